"""The README's commands, run as they are written there, in an empty folder."""

import os
import re
import shlex
import shutil
from pathlib import Path

from commands import PROGRAMS, README, ROOT, commands, finished, running, wait_for_line

SCRIPTS = {"./scripts/demo", "./scripts/check", "./scripts/test", "./scripts/bench", "./scripts/docs"}


def test_every_command_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    script_lines, program_lines = [], {}
    for command in commands(README):
        if command.words[0] in SCRIPTS:
            script_lines.append(command.words[0])
        else:
            assert command.words[0] == PROGRAMS[0], "as it is in a checkout"
            program_lines[shlex.split(command.line)[1]] = command.line
    assert set(script_lines) == SCRIPTS
    assert all(os.access(ROOT / script, os.X_OK) for script in SCRIPTS)
    known = {"localnet", "status", "once", "run", "explain", "replay", "risk"}
    known |= {"halt", "resume", "rehearse", "fork", "doctor", "export", "init"}
    assert set(program_lines) == known

    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with running(program_lines["localnet"], tmp_path, environment) as localnet:
        wait_for_line(localnet, "Ctrl-C here ends the chain")
        config = tmp_path / "localnet" / "vaultkeel.toml"
        assert "vaultkeel.toml is written" in finished(program_lines["init"], tmp_path, environment)
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
    (line,) = [c.line for c in commands(README) if c.line.startswith(f"{PROGRAMS[0]} rehearse")]
    said = finished(f"{line} --only kill-after-send", tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)})
    assert "0 doubled, 0 lost, 0 failed" in " ".join(said.split())


def test_the_readme_s_links_lead_to_files_of_this_project() -> None:
    text = README.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
