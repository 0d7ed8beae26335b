"""The command that writes a configuration: asks a few questions, and the chain for the rest."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from bot.cli.shared import DEFAULT_CONFIG, Json, Yes, busy, people, show
from bot.log import set_up_logs
from bot.nearest import did_you_mean
from bot.private import someone_answers

if TYPE_CHECKING:  # its flags are completed without what speaks to a chain
    from bot.setup import SetUp

MOST_SHOWN = 40
"""Choices that are shown in full; of more, those that begin as the answer does."""


def init(
    rpc: Annotated[
        list[str] | None,
        typer.Option(
            help="RPC address of the chain, or env:NAME or file:PATH where it holds a token; give two or more."
        ),
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option(help="An address to watch, or where a key is: env:NAME, file:PATH or keystore:PATH."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Of this shipped configuration; the one of the chain if not given.")
    ] = None,
    deployment: Annotated[
        Path | None,
        typer.Option(
            help="A file with the contracts to start from; localnet/deployment.json if it is there."
        ),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="TABLE.FIELD=0x…", help="A contract's address, like vault.viewer=0x…"),
    ] = None,
    underlying: Annotated[
        str | None, typer.Option(help="Its name; what the contracts say if not given.")
    ] = None,
    hedge_holdings: Annotated[
        bool | None,
        typer.Option("--hedge-holdings/--no-hedge-holdings", help="Whether the vault's spot is hedged too."),
    ] = None,
    native_usd: Annotated[
        str | None,
        typer.Option(
            help="The gas coin's price in USD, or \"underlying\"; the shipped configuration's if not given."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Writes a configuration for paper trading, with what it finds on the chain.

    Every address is checked and every part read before anything is written. No secret is ever written.
    """
    with busy("starting", as_json=as_json):
        from bot.setup import set_up
        from bot.setup.wanted import Defaults, Wanted, placed

    set_up_logs(as_json=as_json, level="error")
    wanted = Wanted(
        out=out,
        rpc=tuple(rpc or ()),
        preset=preset,
        deployment=deployment,
        signer=signer,
        underlying=underlying,
        hedge_holdings=hedge_holdings,
        native_usd=native_usd,
        at=placed(at or ()),
        force=force,
    )
    ask = Person() if someone_answers() and not yes else Defaults(agreed=yes)
    done = set_up(wanted, ask, lambda text: busy(text, as_json=as_json))
    show(done.as_json(), view(done), as_json=as_json)


class Person:
    """Asks at the terminal, on standard error, so that the result stays alone on standard output."""

    def text(self, question: str, default: str, flag: str) -> str:  # noqa: ARG002 - the flag is for nobody here
        """A line; Enter takes the default."""
        answer: str = typer.prompt(question, default=default or None, err=True)
        return answer.strip()

    def choose(self, question: str, choices: Sequence[str], default: str, flag: str) -> str:
        """One of the choices, by its number, its first word or its address; Enter takes the default."""
        for number, choice in enumerate(choices[:MOST_SHOWN], start=1):
            people.print(f"{number:4}  {choice}", markup=False, highlight=False)
        if len(choices) > MOST_SHOWN:
            people.print(f"      and {len(choices) - MOST_SHOWN} more, by their names")
        while True:
            answer = self.text(question, default, flag)
            found = matching(answer, choices)
            if len(found) == 1:
                return found[0]
            why = "fits several" if found else f"is none of them{did_you_mean(answer, choices)}"
            people.print(f"{answer} {why}", markup=False, highlight=False)

    def agrees(self, question: str, *, default: bool, flag: str) -> bool:  # noqa: ARG002
        """Yes or no; Enter takes the default."""
        return typer.confirm(f"{question}?", default=default, err=True)


def matching(answer: str, choices: Sequence[str]) -> list[str]:
    """The choices that an answer means."""
    if answer in choices:
        return [answer]
    if answer.isascii() and answer.isdigit() and 1 <= int(answer) <= len(choices):
        return [choices[int(answer) - 1]]
    wanted = answer.lower()
    return [one for one in choices if wanted and wanted in one.lower()]


def view(done: "SetUp") -> RenderableType:
    """What was found, where the file is, and what comes next."""
    from bot.render import plain_table

    roots, seen = done.roots, done.seen
    table = plain_table(f"{roots.chain}, chain {roots.chain_id}, block {done.block}")
    table.add_column("what")
    table.add_column("found", overflow="fold")
    rows = [
        ("option vault", f"{done.vault.label}: {seen.positions} option positions, spot {seen.spot:,.2f} USD"),
        ("perps market", f"{done.venue.label}: index {seen.index:,.2f} USD"),
        ("account", f"{seen.account}: position {seen.position:+,.3f} {done.underlying}"),
        ("orders", f"in lots of {seen.lot} {done.underlying}, none below {seen.min_trade}"),
    ]
    for what, found in rows:
        table.add_row(Text(what), Text(found))
    many = len(done.vault.source) + len(done.venue.source)
    said = [f"All {many} contracts are there; every part was read as a tick reads it."]
    said += done.notes
    said.append(f"{done.path} is written: paper trading, nothing is sent. Next:")
    lines = [Text(line) for line in said]
    return Group(table, *lines, *(Text(f"  {command}", style="bold") for command in done.next))
