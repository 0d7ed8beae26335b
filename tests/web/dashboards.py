"""What the dashboard's tests share: a copied ledger, and the dashboard on it, as a process or in a thread."""

import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

import bot
from bot.config import load_config
from bot.web.__main__ import listen
from bot.web.app import create_app
from bot.web.door import Door
from bot.web.serving import server_of

ROOT = Path(bot.__file__).parents[1]
TOKEN = "a-token-for-tests-0123456789"
EXPLORER = "https://explorer.example"


@dataclass(frozen=True)
class Book:
    """A folder with a configuration and the ledger that belongs to it."""

    config: Path

    @property
    def ledger(self) -> Path:
        return load_config(self.config, secrets=False).ledger


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that is served."""

    url: str
    book: Book


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "bot", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def copied(demo: Book, folder: Path) -> Book:
    """A copy of a ledger with its configuration. The key stays behind: the dashboard must not miss it."""
    with (
        closing(sqlite3.connect(demo.ledger)) as source,
        closing(sqlite3.connect(folder / demo.ledger.name)) as to,
    ):
        source.backup(to)
    text = demo.config.read_text(encoding="utf-8")
    text = text.replace("[chains.localnet]", f'[chains.localnet]\nexplorer = "{EXPLORER}"')
    (folder / "vaultkeel.toml").write_text(text, encoding="utf-8")
    return Book(folder / "vaultkeel.toml")


@contextmanager
def served(book: Book, *options: str, by_command: bool = False) -> Iterator[Dashboard]:
    """The dashboard of a book as its own process: the one that `vaultkeel dashboard` becomes, or by that command."""
    given = ("--config", book.config, "--port", "0", "--json", *options)
    direct = [sys.executable, "-m", "bot.web", *map(str, given)]
    arguments = command("dashboard", *given) if by_command else direct
    process = subprocess.Popen(
        arguments,
        cwd=book.config.parent,
        env=environment(VAULTKEEL_DASHBOARD_TOKEN=TOKEN),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the dashboard ended"
        yield Dashboard(json.loads(line)["url"].rstrip("/"), book)
    finally:
        process.terminate()
        assert process.wait(10) in (0, -15)
        if process.stdout:
            process.stdout.close()


@contextmanager
def hosted(book: Book, host: str = "127.0.0.1", *names: str) -> Iterator[Dashboard]:
    """The dashboard of a book in a thread of this process: the same app on the same server, there at once.

    It behaves as if it listened on `host`, and listens on this computer alone.
    """
    server = server_of(create_app(load_config(book.config, secrets=False), Door(host, TOKEN, names)))
    listening = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        give_up = time.monotonic() + 10
        while not server.started:
            assert thread.is_alive(), "the dashboard ended"
            assert time.monotonic() < give_up
            time.sleep(0.005)
        yield Dashboard(f"http://127.0.0.1:{listening.getsockname()[1]}", book)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive()


def form_token(answer: httpx.Response) -> str:
    return answer.text.split('name="form_token" value="')[1].split('"')[0]


def unlocked(client: httpx.Client, origin: str, token: str = TOKEN) -> str:
    """Gives the token; returns what forms of the new session must carry."""
    given = {"token": token, "form_token": form_token(client.get("/unlock"))}
    answer = client.post("/unlock", data=given, headers={"Origin": origin})
    assert answer.status_code == 303
    return form_token(client.get("/control/halt"))


def content_of(ledger: Path) -> str:
    """A digest of every row of every table, which is the same as long as nothing was changed."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        made = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        digest.update(repr(made).encode())
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
        ).fetchall():
            digest.update(name.encode())
            for row in db.execute(f'SELECT * FROM "{name}" ORDER BY rowid'):  # noqa: S608 - the ledger's own names
                digest.update(repr(row).encode())
    return digest.hexdigest()
