"""Commands that are imported when they are run: the list of them, their help and completion take no library along."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from bot.cli.shared import busy
from bot.errors import ConfigError
from bot.nearest import nearest


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command is: a module of `bot.cli`, and a function or a group of commands in it.

    `help` is the first line of its own help, which a list of all commands shows.
    """

    module: str
    name: str
    help: str

    def load(self) -> Any:
        """The command, with all that it needs imported."""
        found = getattr(import_module(f"bot.cli.{self.module}"), self.name)
        if isinstance(found, typer.Typer):
            return typer.main.get_group(found)  # get_command would offer to install its completion
        alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        alone.command()(found)
        return typer.main.get_command(alone)


class Commands(TyperGroup):
    """A group whose commands are found by their place."""

    places: ClassVar[Mapping[str, Place]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the list."""
        return [*super().list_commands(ctx), *self.places]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """What a list shows of a command: its name and its help."""
        place = self.places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        return TyperCommand(cmd_name, help=place.help, short_help=place.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself. ConfigError names the nearest one where there is none."""
        name = args[0]
        if name in self.places:
            quiet = ctx.resilient_parsing or "--json" in sys.argv
            with busy("starting", as_json=quiet):
                command = self.places[name].load()
            command.name = name
            return name, command, args[1:]
        if super().get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            raise ConfigError(f"there is no command {name!r}{hint(name, known)}")
        return super().resolve_command(ctx, args)


def hint(name: str, known: list[str]) -> str:
    """What to do about an unknown command."""
    found = nearest(name, known)
    return f": did you mean {found!r}?" if found else ": `--help` lists them"
