"""The commands that the README and the pages under docs/ show, as they are written there, and how they are run."""

import contextlib
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").glob("*.md")))
PROGRAMS = (".venv/bin/vaultkeel", "vaultkeel")
PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a page's ```sh blocks."""

    page: str
    line: str

    @property
    def words(self) -> list[str]:
        """It as a shell splits it, without its comment."""
        return shlex.split(self.line, comments=True)

    @property
    def is_program(self) -> bool:
        """Whether it is one of ours, and not a script or the system's."""
        return bool(self.words) and self.words[0] in PROGRAMS


def commands(page: Path) -> list[Command]:
    """A page's commands, in order."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [Command(page.name, line) for line in lines if line]


def spans(page: Path) -> list[str]:
    """The commands in a page's running text, in code: `vaultkeel …`, without what is optional or follows a ||."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"`(?:[A-Z_]+=\S+ |sudo )*(?:\S*/)?(vaultkeel\s[^`]*)`", text)
    return [re.split(r"\|\||\[", " ".join(span.split()))[0].strip() for span in found]


def expanded(line: str, environment: Mapping[str, str]) -> list[str]:
    """The arguments of our own program, its variables replaced by those of `environment`."""
    known = re.sub(r'"\$(\w+)"', lambda match: shlex.quote(environment[match[1]]), line)
    program, *rest = shlex.split(known, comments=True)
    assert program in PROGRAMS
    return rest


def process_of(line: str, environment: Mapping[str, str]) -> list[str]:
    """What runs a line in a process of its own, by this Python."""
    return [sys.executable, "-m", "bot", *expanded(line, environment)]


@contextmanager
def running(
    line: str, folder: Path, environment: dict[str, str], *, ends_with: int = 0
) -> Iterator[subprocess.Popen[str]]:
    """A command that stays up, ended by SIGTERM at the end: it must then end well, as `ends_with` says."""
    process = subprocess.Popen(
        process_of(line, environment),
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
        try:
            output, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == ends_with, output


def finished(line: str, folder: Path, environment: dict[str, str]) -> str:
    """What a command says that ends by itself, and well."""
    done = subprocess.run(
        process_of(line, environment),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    """Reads what the process says until a line holds `word`."""
    assert process.stdout is not None
    give_up = time.monotonic() + PATIENCE_S
    for line in process.stdout:
        if word in line:
            return
        assert time.monotonic() < give_up, f"the program never said {word!r}"
    raise AssertionError(f"the program ended without saying {word!r}")
