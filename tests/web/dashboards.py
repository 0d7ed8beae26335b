"""What the dashboard's tests share: a copied ledger, and the dashboard as a process on it."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import bot
from bot.config import load_config

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
    """A dashboard that a process serves."""

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
def served(book: Book, *options: str) -> Iterator[Dashboard]:
    """The dashboard of a book as its own process."""
    arguments = command("dashboard", "--config", book.config, "--port", "0", "--json", *options)
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
