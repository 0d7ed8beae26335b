"""The commands. Each parses its arguments, calls one function and shows the result; no logic lives here."""

import json
import sys
from typing import Annotated, Any

import typer

from bot import __version__
from bot.cli.lazy import Commands, Place
from bot.cli.shared import Json, people, show
from bot.errors import VaultkeelError

INTERRUPTED = 130
PROGRAM = "vaultkeel"

Commands.places = {
    "init": Place(
        "init", "init", "Writes a configuration for paper trading, with what it finds on the chain."
    ),
    "demo": Place(
        "local",
        "demo",
        "Hedges a real option vault on a local chain, on simulated time, and reports how well.",
    ),
    "rehearse": Place(
        "local",
        "rehearse",
        "Breaks everything that may break, fault by fault, and proves that no order is lost or doubled.",
    ),
    "localnet": Place(
        "local", "localnet", "Starts the local chain with both protocols and keeps it up until Ctrl-C."
    ),
    "fork": Place(
        "local",
        "fork",
        "Forks a chain, so that the other commands rehearse against it while nothing reaches the source.",
    ),
    "status": Place(
        "operate",
        "status",
        "Shows positions, greeks, the hedge, the net delta, what is left of each budget and what would be done now.",
    ),
    "once": Place("operate", "once", "Runs one tick of every book."),
    "run": Place(
        "operate", "run", "Runs the scheduler until SIGTERM or Ctrl-C, which let the tick in flight finish."
    ),
    "explain": Place(
        "look",
        "explain",
        "Shows why a tick did what it did: inputs, thresholds, costs, and what would have made it trade.",
    ),
    "replay": Place(
        "look",
        "replay",
        "Decides recorded snapshots again by a configuration's rules, beside what was decided then.",
    ),
    "risk": Place(
        "risk",
        "risk",
        "Shows what the book risks: scenarios, VaR, stresses, margin and how long it lasts. Sends nothing.",
    ),
    "doctor": Place(
        "ops",
        "doctor",
        "Examines everything that a run rests on, and says what to do about it. Signs, sends and writes nothing.",
    ),
    "export": Place(
        "ops",
        "export",
        "Writes orders, transactions, fills, decisions and exposure as CSV or Parquet files. Changes nothing.",
    ),
    "dashboard": Place(
        "web",
        "dashboard",
        "Serves the dashboard of the configuration's ledger until Ctrl-C. It reads, and can't sign.",
    ),
    "halt": Place(
        "operate",
        "halt",
        "Stops new orders until `resume`, on all chains. Orders that were sent are still followed up.",
    ),
    "reduce-only": Place(
        "operate", "reduce_only", "Allows only orders that shrink the hedge, on all chains, until `resume`."
    ),
    "resume": Place(
        "operate",
        "resume",
        "Allows new orders again, on all chains, after a halt that a person has looked into.",
    ),
    "intents": Place(
        "operate", "intents", "Shows what was meant, what was signed and sent for it, and what became of it."
    ),
    "adopt": Place(
        "operate",
        "adopt",
        "Takes the venue's position as right, after a person found out where the difference comes from.",
    ),
    "resolve": Place(
        "operate",
        "resolve",
        "Walks a person through an order without an outcome: shows it, cancels it, or takes a lost one as dead.",
    ),
    "key": Place("keys", "app", "Makes keystores and shows addresses."),
    "propose": Place(
        "propose",
        "app",
        "Writes what the key may not do as a file for the owners of a Safe, who import it and sign.",
    ),
    "alerts": Place("ops", "alerts", "Who is told what happens."),
}

app = typer.Typer(
    name=PROGRAM,
    cls=Commands,
    help="Keeps on-chain option vaults delta-neutral.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def print_version(wanted: bool) -> None:
    """Ends the program with its version, if that is what is wanted."""
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Keeps on-chain option vaults delta-neutral."""


@app.command("version")
def version(as_json: Json = False) -> None:
    """Prints the version."""
    show({"version": __version__}, __version__, as_json=as_json)


def main() -> None:
    """The entry point: an error is one line on standard error and its own exit code, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        sys.exit(app(prog_name=PROGRAM, standalone_mode=False) or 0)
    except VaultkeelError as error:
        refuse(type(error).__name__, str(error), error.exit_code, as_json=as_json)
    except USAGE_ERROR as error:
        usage(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        people.print("interrupted")
        sys.exit(INTERRUPTED)


USAGE_ERROR: type[Exception] = next(
    each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException"
)
"""What typer raises for arguments that it can't parse; the class is click's, or a copy in typer."""


def usage(error: Any, *, as_json: bool) -> None:
    """Ends the program over its arguments. Without any, the help was asked for and shown."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.format_message(), nl=False)
        sys.exit(error.exit_code)
    context = getattr(error, "ctx", None)
    where = f" (`{context.command_path} --help` shows what there is)" if context is not None else ""
    refuse("UsageError", f"{error.format_message().rstrip('.')}{where}", error.exit_code, as_json=as_json)


def refuse(kind: str, message: str, code: int, *, as_json: bool) -> None:
    """Ends the program with one line, and for machines with one object on standard output, too."""
    if as_json:
        print(json.dumps({"error": kind, "message": message}))  # noqa: T201
    people.print(f"[bold red]{kind}[/]: ", end="")
    people.print(message, markup=False, highlight=False, soft_wrap=True)
    sys.exit(code)
