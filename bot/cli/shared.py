"""What the commands share: their options, opening and closing the App, asking a person, showing a result."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.markup import escape

from bot.errors import ConfigError

if TYPE_CHECKING:  # the program begins with these: what they bring along takes over a second
    from bot.app import App
    from bot.config import Config
    from bot.core.events import Notify

people = Console(stderr=True)


class Format(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ConfigFile = Annotated[
    Path,
    typer.Option("--config", help="The configuration file.", envvar="VAULTKEEL_CONFIG", show_default=True),
]
LogFormat = Annotated[
    Format | None,
    typer.Option(
        "--log-format",
        help="Of the log lines: for people or for machines; as --json says if not given.",
        envvar="VAULTKEEL_LOG_FORMAT",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")]
OnChain = Annotated[
    str | None, typer.Option("--chain", help="Only the books that trade on this chain; all if not given.")
]
DEFAULT_CONFIG = Path("vaultkeel.toml")


def logs_as_json(given: Format | None, *, as_json: bool) -> bool:
    """Whether log lines are for machines: as was asked for, else like the results."""
    return as_json if given is None else given is Format.JSON


def amount(text: str) -> Decimal:
    """A decimal of the command line that is not negative."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"{text!r} is not a decimal number") from None
    if not value.is_finite() or value < 0:
        raise ConfigError(f"{text} is not an amount")
    return value


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person, unless --yes was given. ConfigError where the answer is no, or nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to answer: give --yes if it is so")
    if not typer.confirm(question):
        raise ConfigError("nothing was changed")


def settings(path: Path) -> "Config":
    """What a configuration file says. ConfigError where there is none, or it is wrong."""
    from bot.config import load_config

    if not path.is_file():
        raise ConfigError(
            f"{path} is not there: `vaultkeel init` writes one, or give --config; `vaultkeel localnet` starts a chain "
            "to try it on"
        )
    return load_config(path)


@contextmanager
def opened(path: Path, *, trades: bool = False, notify: "Notify | None" = None) -> Iterator["App"]:
    """The App of a configuration file, closed at the end. One that `trades` holds the ledger alone."""
    from bot.app import build
    from bot.core.events import tell_nobody

    bot = build(settings(path), trades=trades, notify=notify or tell_nobody)
    try:
        yield bot
    finally:
        bot.close()


def warm_up() -> None:
    """Compiles what a first tick needs while a person is told what takes so long; it would be compiled anyway.

    For commands that price: one that halts waits for nothing.
    """
    from bot import warm

    if people.is_terminal and warm.is_cold():
        with busy("compiling the pricing functions, once per installation"):
            warm.main()


@contextmanager
def busy(text: str, *, as_json: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows that something takes its time, until it is done; the value says something else meanwhile.

    Only where a person looks on: standard error is a terminal, and the result isn't for machines.
    """
    if as_json or not people.is_terminal or people.is_dumb_terminal:
        yield lambda _: None
        return
    with people.status(escape(text)) as shown:
        yield lambda now: shown.update(escape(now))


def show(machine: dict[str, Any], person: RenderableType, *, as_json: bool) -> None:
    """A result on standard output: one line of JSON, or the person's view."""
    if as_json:
        print(json.dumps(machine), flush=True)  # noqa: T201 - this is the command's result
    else:
        Console().print(person)
