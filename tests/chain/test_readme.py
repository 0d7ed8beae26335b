"""The README's commands, run as they are written there, in an empty folder."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ".venv/bin/vaultkeel"
SCRIPTS = {"./scripts/demo", "./scripts/check", "./scripts/test", "./scripts/bench"}
PATIENCE_S = 60


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def arguments(command: str, environment: dict[str, str]) -> list[str]:
    expanded = re.sub(r'"\$(\w+)"', lambda match: shlex.quote(environment[match[1]]), command)
    program, *rest = shlex.split(expanded)
    assert program == PROGRAM
    return [sys.executable, "-m", "bot", *rest]


@contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        arguments(command, environment),
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output


def finished(command: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        arguments(command, environment),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for(path: Path) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < give_up, f"{path.name} was not written"
        time.sleep(0.05)


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    raise AssertionError(f"the program ended without saying {word!r}")


def test_every_command_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    script_lines, program_lines = [], {}
    for line in commands():
        if line.split()[0] in SCRIPTS:
            script_lines.append(line.split()[0])
        else:
            program_lines[shlex.split(line)[1]] = line
    assert set(script_lines) == SCRIPTS
    assert all(os.access(ROOT / script, os.X_OK) for script in SCRIPTS)
    known = {"localnet", "status", "once", "run", "explain", "replay", "risk"}
    known |= {"halt", "resume", "rehearse", "fork", "doctor", "export"}
    assert set(program_lines) == known

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with running(program_lines["localnet"], tmp_path, environment) as localnet:
        wait_for_line(localnet, "Ctrl-C here ends the chain")
        config = tmp_path / "localnet" / "vaultkeel.toml"
        assert "What would be done now" in finished(program_lines["status"], tmp_path, environment)
        assert "Tick of eth" in finished(program_lines["once"], tmp_path, environment)
        with running(program_lines["run"], tmp_path, environment) as run:
            wait_for_line(run, "decision=")
        assert "It would trade at" in finished(program_lines["explain"], tmp_path, environment)
        replayed = finished(program_lines["replay"], tmp_path, environment)
        assert "identical to the last bit" in " ".join(replayed.replace("│", " ").split())
        assert "Margin on curie-eth" in finished(program_lines["risk"], tmp_path, environment)
        assert " 0 fail" in " ".join(finished(program_lines["doctor"], tmp_path, environment).split())
        finished(program_lines["export"], tmp_path, environment)
        assert (tmp_path / "export" / "decisions.csv").read_text(encoding="utf-8").count("\n") > 1
        assert "HALTED" in finished(program_lines["halt"], tmp_path, environment)
        assert "ACTIVE" in finished(program_lines["resume"], tmp_path, environment)

        shutil.copy(config, tmp_path / "my-vault.toml")
        found = re.search(r'rpc_urls = \["(.*?)"', config.read_text(encoding="utf-8"))
        assert found is not None
        source = {**environment, "RPC_URL": found[1]}
        with running(program_lines["fork"], tmp_path, source) as fork:
            wait_for_line(fork, "Ctrl-C here ends the chain")
            on_fork = program_lines["status"].replace("localnet/", "fork/")
            assert "What would be done now" in finished(on_fork, tmp_path, environment)


def test_the_readme_s_rehearsal_runs(tmp_path: Path) -> None:
    (command,) = [line for line in commands() if line.startswith(f"{PROGRAM} rehearse")]
    said = finished(f"{command} --only kill-after-send", tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)})
    assert "0 doubled, 0 lost, 0 failed" in " ".join(said.split())


def test_the_readme_s_links_lead_to_files_of_this_project() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
