"""Commands that look back: explain one tick, replay many."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bot import explain as views
from bot.app.rules import make_rules
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, busy, show
from bot.config import load_config
from bot.errors import ConfigError
from bot.ledger import open_ledger
from bot.ledger.history import History
from bot.replay import replay as replayed

Book = Annotated[str | None, typer.Option("--book", help="Of this book; the first one if not given.")]
Ledger = Annotated[
    Path | None, typer.Option("--ledger", help="Another ledger than the configuration's own.", exists=True)
]


def explain(
    tick: Annotated[
        int | None, typer.Argument(help="The tick's number; the newest one if not given.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    ledger: Ledger = None,
    as_json: Json = False,
) -> None:
    """Shows why a tick did what it did: inputs, thresholds, costs, and what would have made it trade."""
    loaded = load_config(config)
    name = loaded.book(book).name
    with history_of(ledger or loaded.ledger) as history, busy("reading the ledger", as_json=as_json):
        explanation = views.explained(history, history.newest(name) if tick is None else tick)
    show(views.explanation_json(explanation), views.explanation_view(explanation), as_json=as_json)


def replay(
    first: Annotated[
        int | None, typer.Argument(metavar="FROM", help="The first tick; the book's first.")
    ] = None,
    last: Annotated[int | None, typer.Argument(metavar="TO", help="The last tick; the book's last.")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    ledger: Ledger = None,
    as_json: Json = False,
) -> None:
    """Decides recorded snapshots again by a configuration's rules, beside what was decided then.

    By the rules that recorded them the answer is the same to the last bit. Each snapshot is taken as it was: what other
    rules would have traded changes no later one.
    """
    loaded = load_config(config)
    wanted = loaded.book(book)
    with history_of(ledger or loaded.ledger) as history, busy("deciding again", as_json=as_json) as said:
        ticks = history.between(wanted.name, first, last)
        rows = []
        for row in replayed(ticks, make_rules(loaded, wanted)):
            rows.append(row)
            said(f"decided {len(rows):,} ticks again")
    if not rows:
        raise ConfigError(f"the ledger has no such tick of book {wanted.name}")
    show(views.replay_json(rows), views.replay_view(rows), as_json=as_json)
    if any(row.identical is False for row in rows):
        raise typer.Exit(1)


@contextmanager
def history_of(ledger: Path) -> Iterator[History]:
    """The ticks of a ledger that is there. ConfigError where it isn't: looking back makes none."""
    if not ledger.is_file():
        raise ConfigError(f"ledger: {ledger} is not there")
    opened = open_ledger(ledger)
    try:
        yield opened.history
    finally:
        opened.close()
