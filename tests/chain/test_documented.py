"""Every command that a page under docs/ shows is run here, on a real chain, or is named with the reason why not."""

import getpass
import io
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from commands import PAGES, README, ROOT, Command, commands, expanded, finished, running, spans, wait_for_line
from eth_account import Account
from support import run_here, write_config
from test_safe import HELD_USD, deploy_safe

from bot.localnet.market import Market
from bot.localnet.world import World

NOT_RUN = {
    "./scripts/setup": "it installs packages, and every other script runs it first",
    ". .venv/bin/activate": "it changes a person's terminal",
    "./scripts/check": "it looks at this project's own code, for minutes",
    "./scripts/docs": "tests/unit/test_docs.py builds the same pages with the same settings",
    "./scripts/test": "it is what runs this test",
    "pip install": "it asks a package index",
    "python3 -m venv /opt": "it writes a folder of the system's",
    "/opt/vaultkeel/bin/pip": "it asks a package index, and writes a folder of the system's",
    "CREDENTIALS_DIRECTORY=": "it reads a folder of the system's; its arguments are parsed",
    "useradd": "it needs root, and makes a user",
    "install -": "it needs root, and writes folders of the system's",
    "systemctl": "it needs systemd as the first process",
    "journalctl": "it needs systemd's journal",
    "systemd-analyze": "tests/unit/test_runbook.py runs it on the shipped unit",
}
"""How a command begins that isn't run, and why."""

SERVED = {
    "run": ("decision=", (), 0),
    "fork": ("Ctrl-C here ends the chain", (), 0),
    "dashboard": ("http://127.0.0.1:", ("--port", "0"), -signal.SIGTERM),
}
"""What stays up until it is ended: a word that it says once it is up, what is added to take a free port, how it ends.

The dashboard has nothing to finish: it ends by the signal itself.
"""

ELSEWHERE = {
    "localnet": "the README has the same line, and its test runs it",
    "init": "tests/chain/test_init.py answers its questions, and goes on to doctor and run",
}
SLOW = ("rehearse",)
SHOWN = {page.name: commands(page) for page in PAGES if page != README and commands(page)}
ONCE: dict[tuple[str, ...], str] = {}
"""Of what stays up, the page whose test runs it: other pages' same lines are the same run."""
for _page, _lines in SHOWN.items():
    for _command in _lines:
        if _command.is_program and _command.words[1] in SERVED:
            ONCE.setdefault(tuple(_command.words[1:]), _page)


def reason_not_to_run(command: Command) -> str:
    """Why a command isn't run; "" where it is."""
    return next((why for begins, why in NOT_RUN.items() if command.line.startswith(begins)), "")


class Stage:
    """A folder with configurations of a chain that has something to hedge, and a person who answers every question."""

    def __init__(
        self, world: World, folder: Path, phone: str, here: Callable[..., tuple[int, str, str]]
    ) -> None:
        self.folder = folder
        self._here = here
        safe, _ = deploy_safe(world, [world.accounts.keeper], 1)
        world.curie_contract("usdc").send("mint", safe.address, HELD_USD * 10**6, sender=world.accounts.owner)
        self.variables = {"RPC_URL": world.url, "SAFE": safe.address, "PHONE": phone, "PYTHONPATH": str(ROOT)}

        def edit(document: Any) -> None:
            document["alerts"] = {"channels": [{"name": "phone", "url": "env:PHONE"}]}
            document["chains"]["localnet"]["patience_s"] = "0.2"

        def delegated(document: Any) -> None:
            own = {"trader": safe.address, "delegate_approval": world.curie.delegate_approval}
            document["books"][0]["venue"].update(own)

        for name in ("", "localnet"):
            write_config(world, folder / name, live=False, edit=edit)
        self._delegated = write_config(world, folder / "delegated", edit=delegated)

    @property
    def environment(self) -> dict[str, str]:
        """Of processes of their own."""
        return {**os.environ, **self.variables}

    def run(self, command: Command) -> None:
        """Runs a command as it stands; it must end well."""
        words = expanded(command.line, self.variables)
        if words[0] in SERVED and ONCE[tuple(command.words[1:])] == command.page:
            word, more, end = SERVED[words[0]]
            line = " ".join([command.line, *more])
            with running(line, self.folder, self.environment, ends_with=end) as process:
                wait_for_line(process, word)
        elif words[0] not in (*SERVED, *ELSEWHERE, *SLOW):
            about = ("--config", self._delegated) if words[0] == "propose" else ()
            code, out, err = self._here(*words, *about)
            assert code == 0, f"{command.line}\n{out}{err}"


@pytest.fixture
def phone() -> Iterator[str]:
    """A service that takes every message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def stage(
    fresh: World,
    tmp_path: Path,
    phone: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Stage:
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def answer(question: str) -> str:
        return "0x" + "42" * 32 if question.startswith("Private key") else "a password"

    encrypt = Account.encrypt
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", answer)
    # What is tested here is not scrypt.
    monkeypatch.setattr(Account, "encrypt", lambda *a: encrypt(*a, kdf="pbkdf2", iterations=2))
    made = Stage(fresh, tmp_path, phone, lambda *words: run_here(monkeypatch, capsys, *words))
    for name, value in made.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    made.run(Command("", "vaultkeel once"))  # a ledger with a tick in it
    return made


@pytest.mark.parametrize("page", SHOWN)
def test_every_command_of_a_page_ends_well(page: str, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in SHOWN[page]:
        if command.words[0] == "export":
            monkeypatch.setenv(*command.words[1].split("=", 1))
        elif not reason_not_to_run(command):
            assert command.is_program, f"{page}: {command.line} is neither run nor named in NOT_RUN"
            stage.run(command)


def test_what_runs_elsewhere_is_there() -> None:
    readme = [command.words[1:] for command in commands(README) if command.is_program]
    shown = [c for lines in SHOWN.values() for c in lines if c.is_program and c.words[1] in ELSEWHERE]
    assert {c.words[1] for c in shown} == set(ELSEWHERE)
    assert [c.line for c in shown if c.words[1:] not in (*readme, ["init"])] == []


@pytest.mark.long
@pytest.mark.parametrize(
    "line", [c.line for ls in SHOWN.values() for c in ls if c.is_program and c.words[1] in SLOW]
)
def test_every_slow_command_ends_well(line: str, tmp_path: Path) -> None:
    finished(line, tmp_path, {**os.environ, "PYTHONPATH": str(ROOT)})


def test_no_reason_is_left_without_a_command() -> None:
    lines = [command.line for page in SHOWN.values() for command in page]
    assert [begins for begins in NOT_RUN if not any(line.startswith(begins) for line in lines)] == []


def test_scripts_that_are_named_are_there() -> None:
    scripts = {c.words[0] for page in PAGES for c in commands(page) if c.words[0].startswith("./")}
    assert scripts
    assert [script for script in scripts if not os.access(ROOT / script, os.X_OK)] == []


def ours(command: Command) -> str:
    """A line from our own program's name on, behind at most one variable; "" where it isn't there."""
    for at, word in enumerate(command.words[:2]):
        if "=" not in word and word.split("/")[-1] == "vaultkeel":
            return shlex.join(["vaultkeel", *command.words[at + 1 :]])
    return ""


def written() -> list[str]:
    """Every command of ours that a page shows and no test runs in the default suite, or that its text mentions."""
    blocks = [ours(c) for page in PAGES for c in commands(page) if not c.is_program or c.words[1] in SLOW]
    blocks += [ours(c) for page in PAGES for c in commands(page) if reason_not_to_run(c)]
    return sorted({line for line in [*blocks, *(span for page in PAGES for span in spans(page))] if line})


def test_every_command_that_is_only_mentioned_is_one_with_options_that_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(written()) > 20
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vaultkeel.db").touch()  # some options ask whether their file is there
    for line in written():
        words = expanded(line, {})
        code, _, err = run_here(monkeypatch, capsys, *words, "--help")
        assert code == 0, f"{line}\n{err}"
