"""What the commands share: their options, opening and closing the App, asking a person, showing a result."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType

from bot.app import App, build
from bot.config import load_config
from bot.errors import ConfigError

people = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ConfigFile = Annotated[
    Path,
    typer.Option("--config", help="The configuration file.", envvar="VAULTKEEL_CONFIG", show_default=True),
]
Yes = Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")]
DEFAULT_CONFIG = Path("vaultkeel.toml")


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


@contextmanager
def opened(path: Path, *, trades: bool = False) -> Iterator[App]:
    """The App of a configuration file, closed at the end. One that `trades` holds the ledger alone."""
    if not path.is_file():
        raise ConfigError(
            f"{path} is not there: give --config, or start `vaultkeel localnet`, which writes one"
        )
    bot = build(load_config(path), trades=trades)
    try:
        yield bot
    finally:
        bot.close()


def show(machine: dict[str, Any], person: RenderableType, *, as_json: bool) -> None:
    """A result on standard output: one line of JSON, or the person's view."""
    if as_json:
        print(json.dumps(machine), flush=True)  # noqa: T201 - this is the command's result
    else:
        Console().print(person)
