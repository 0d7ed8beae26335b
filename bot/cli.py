"""The commands. Each parses its arguments, calls one function and shows the result; no logic lives here.

The local chain and the drawing library are imported by the commands that use them: they would double the start-up
time of `status` and `run`.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bot import __version__, render
from bot.app import App, build
from bot.book import Book
from bot.config import load_config
from bot.core.model import OPEN_OUTCOMES, Mode
from bot.errors import ConfigError, VaultkeelError
from bot.log import set_up_logs
from bot.ports import OpenIntent
from bot.scheduler import run as run_scheduler
from bot.simulate.measures import Step

app = typer.Typer(
    name="vaultkeel",
    help="Keeps on-chain option vaults delta-neutral.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
people = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
ConfigFile = Annotated[
    Path,
    typer.Option("--config", help="The configuration file.", envvar="VAULTKEEL_CONFIG", show_default=True),
]
Yes = Annotated[bool, typer.Option("--yes", help="Answer the question with yes.")]
DEFAULT_CONFIG = Path("vaultkeel.toml")
INTERRUPTED = 130


def main() -> None:
    """The entry point: an error is one line on standard error and its own exit code, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        app()
    except VaultkeelError as error:
        if as_json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))  # noqa: T201
        people.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        people.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        people.print("interrupted")
        sys.exit(INTERRUPTED)


@app.command()
def demo(
    hours: Annotated[float, typer.Option(help="Simulated hours.", min=0.5)] = 48,
    step_minutes: Annotated[float, typer.Option(help="Simulated minutes between two ticks.", min=1)] = 15,
    seed: Annotated[int, typer.Option(help="Of the price path and the traders.", min=0)] = 7,
    out: Annotated[Path, typer.Option(help="Where the ledger, the picture and the report go.")] = Path(
        "demo-out"
    ),
    as_json: Json = False,
) -> None:
    """Hedges a real option vault on a local chain, on simulated time, and reports how well."""
    from bot.localnet.demo import Plan, rehearse
    from bot.simulate.report import write_report

    set_up_logs(as_json=False, level="error")
    plan = Plan(hours, step_minutes, seed, out.resolve())
    columns = (
        BarColumn(bar_width=8),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=people) as bar:
        task = bar.add_task("starting", total=plan.steps + 1)
        seen: list[Step] = []

        def watch(step: Step) -> None:
            seen.append(step)
            bar.update(task, advance=1, description=render.progress_line(seen))

        run = rehearse(plan, lambda text: bar.update(task, description=text), watch)
    picture, report = write_report(run, plan.out)
    summary = run.summary() | {"report": str(report), "picture": str(picture)}
    show(summary, render.rehearsal_view(run, str(report), str(picture)), as_json=as_json)


@app.command()
def rehearse(
    kills: Annotated[int, typer.Option(help="How often to kill -9 the bot after the faults.", min=0)] = 20,
    only: Annotated[
        list[str] | None, typer.Option(help="Only these faults, or those that begin so; no kills after them.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the market and of the kills.", min=0)] = 7,
    out: Annotated[Path, typer.Option(help="Where each fault's ledger and log go.")] = Path("rehearsal-out"),
    as_json: Json = False,
) -> None:
    """Breaks everything that may break, fault by fault, and proves that no order is lost or doubled."""
    from bot.localnet import rehearsal

    set_up_logs(as_json=False, level="error")
    plan = rehearsal.Plan(0 if only else kills, seed, out.resolve(), tuple(only or ()))
    summary = rehearsal.rehearse(plan, lambda text: people.print(text, markup=False, highlight=False))
    show(summary.as_json(), summary.text(), as_json=as_json)
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def localnet(
    port: Annotated[
        int | None, typer.Option(help="Of the node; a free one if not given.", min=1, max=65535)
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the configuration and the key go.")] = Path("localnet"),
    move_every: Annotated[
        float, typer.Option(help="Seconds between two moves of the market; 0 leaves it still.", min=0)
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of the moves.", min=0)] = 7,
    default_vault: Annotated[
        bool,
        typer.Option(
            "--default-vault", help="Let the pool buy base and hedge itself, as the protocol ships."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Starts the local chain with both protocols and keeps it up until Ctrl-C."""
    from bot.localnet import serve

    set_up_logs(as_json=as_json)
    plan = serve.Plan(port, out.resolve(), move_every, seed, short_only=not default_vault)
    serve.serve(
        plan,
        lambda text: people.print(text),
        lambda ready: show(ready.as_json(), ready.text(), as_json=as_json),
    )


@app.command()
def fork(
    rpc: Annotated[str, typer.Option(help="RPC address of the chain to fork.", envvar="VAULTKEEL_FORK_RPC")],
    block: Annotated[
        int | None, typer.Option(help="Fork at this block instead of the latest.", min=0)
    ] = None,
    chain_config: Annotated[
        Path | None, typer.Option(help="The source chain's configuration, to be rewritten for the fork.")
    ] = None,
    collateral: Annotated[
        str, typer.Option(help="Settlement tokens that the fork's own account deposits.")
    ] = "200000",
    port: Annotated[
        int | None, typer.Option(help="Of the fork; a free one if not given.", min=1, max=65535)
    ] = None,
    out: Annotated[Path, typer.Option(help="Where the configuration and the key go.")] = Path("fork"),
    as_json: Json = False,
) -> None:
    """Forks a chain, so that the other commands rehearse against it while nothing reaches the source."""
    from bot.localnet import fork as forks

    set_up_logs(as_json=as_json)
    plan = forks.Plan(rpc, block, chain_config, amount(collateral), port, out.resolve())
    forks.serve_fork(
        plan,
        lambda text: people.print(text),
        lambda ready: show(ready.as_json(), ready.text(), as_json=as_json),
    )


@app.command()
def status(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Shows positions, greeks, the hedge, the net delta and what would be done now. Sends nothing."""
    set_up_logs(as_json=as_json, level="warning")
    with opened(config) as bot:
        mode, why = bot.ledger.mode_and_why(bot.account)
        for book in bot.desk.books:
            record = bot.desk.assess(book)
            shown = render.record_json(record) | {"mode": mode.value, "trading": bot.config.mode}
            show(shown, render.status_view(record, mode, why, bot.config.mode), as_json=as_json)


@app.command()
def once(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Runs one tick of every book."""
    set_up_logs(as_json=as_json)
    with opened(config, trades=True) as bot:
        for book in bot.desk.books:
            tick = bot.desk.tick(book)
            shown = render.record_json(tick.record) | {
                "order": tick.intent_key,
                "outcome": render.outcome_json(tick.outcome),
                "again_in_s": tick.again_in_s,
            }
            show(shown, render.tick_view(tick.record, tick.outcome, tick.intent_key), as_json=as_json)


@app.command()
def run(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Runs the scheduler until SIGTERM or Ctrl-C, which let the tick in flight finish."""
    set_up_logs(as_json=as_json)
    with opened(config, trades=True) as bot:
        people.print(f"{bot.config.mode} trading, a tick every {bot.config.interval_s} s; Ctrl-C drains")
        runner = run_scheduler(bot.desk, bot.config.interval_s, lambda text: people.print(text))
        show(
            {"ticks": runner.ticks, "fatal": str(runner.fatal or "")},
            f"{runner.ticks} ticks run",
            as_json=as_json,
        )
        if runner.fatal is not None:
            raise runner.fatal


@app.command()
def halt(why: str, config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Stops new orders until `resume`. Orders that were sent are still followed up."""
    set_mode(config, Mode.HALTED, why, as_json=as_json)


@app.command("reduce-only")
def reduce_only(why: str, config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Allows only orders that shrink the hedge, until `resume`."""
    set_mode(config, Mode.REDUCING, why, as_json=as_json)


@app.command()
def resume(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Allows new orders again, after a halt that a person has looked into."""
    set_mode(config, Mode.ACTIVE, "resumed by the operator", as_json=as_json)


@app.command()
def intents(
    config: ConfigFile = DEFAULT_CONFIG,
    only_open: Annotated[bool, typer.Option("--open", help="Only those without an outcome.")] = False,
    as_json: Json = False,
) -> None:
    """Shows what was meant, what was signed and sent for it, and what became of it."""
    with opened(config) as bot:
        rows = [row for book in bot.desk.books for row in bot.ledger.orders(book.name)]
        wanted = [row for row in rows if not only_open or row["outcome"] in OPEN_OUTCOMES]
        show({"intents": wanted}, render.intents_table(wanted), as_json=as_json)


@app.command()
def adopt(config: ConfigFile = DEFAULT_CONFIG, yes: Yes = False, as_json: Json = False) -> None:
    """Takes the venue's position as right, after a person found out where the difference comes from."""
    with opened(config, trades=True) as bot:
        for book in bot.desk.books:
            found, block = bot.desk.compare(book)
            ours, mined = book.sender.next_nonces()
            said = (
                f"{book.name}: the ledger expects a position of {found.expected:+f} and nonce {ours}, "
                f"the chain has {found.actual:+f} and {mined}"
            )
            if not found.agrees or (ours is not None and mined > ours):
                confirm(f"{said}. Adopt what the chain has?", yes=yes)
                why, now = "adopted by the operator", int(time.time())
                bot.ledger.adopt(found.account, found.market, found.actual, block, why, now, mined)
            shown = {
                "book": book.name,
                "before": str(found.expected),
                "now": str(found.actual),
                "nonce": mined,
            }
            show(shown, f"{book.name}: the ledger expects {found.actual:+f} from now on", as_json=as_json)


@app.command()
def resolve(
    key: str,
    config: ConfigFile = DEFAULT_CONFIG,
    cancel: Annotated[bool, typer.Option("--cancel", help="Send a no-op at the order's nonce now.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Walks a person through an order without an outcome: shows it, cancels it, or takes a lost one as dead."""
    with opened(config, trades=True) as bot:
        book, order = open_order(bot, key)
        people.print(render.order_panel(order))
        if cancel:
            confirm("Send a no-op at its nonce? The order itself may still win.", yes=yes)
            bot.desk.cancel(book, order)
            said = "a no-op was sent; `vaultkeel once` follows both up"
        elif book.sender.is_lost(order):
            confirm(
                "Its nonce was used by a transaction that is not in the ledger. Take it as dead?", yes=yes
            )
            bot.ledger.bury(key, "its nonce was used by a foreign transaction", int(time.time()))
            said = "it is dead now; compare the positions with `vaultkeel adopt`, then `vaultkeel resume`"
        else:
            said = "it may still be mined; `vaultkeel once` follows it up, --cancel takes its place"
        show({"intent": key, "said": said}, said, as_json=as_json)


@app.command()
def version(as_json: Json = False) -> None:
    """Prints the version."""
    show({"version": __version__}, __version__, as_json=as_json)


def amount(text: str) -> Decimal:
    """A decimal of the command line that is not negative."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"{text!r} is not a decimal number") from None
    if not value.is_finite() or value < 0:
        raise ConfigError(f"{text} is not an amount")
    return value


def set_mode(config: Path, mode: Mode, why: str, *, as_json: bool) -> None:
    """Writes the account's mode into the ledger."""
    with opened(config) as bot:
        bot.ledger.set_mode(bot.account, mode, why, int(time.time()))
        show(
            {"account": bot.account, "mode": mode.value, "why": why},
            f"{bot.account}: {mode.value}",
            as_json=as_json,
        )


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person, unless --yes was given. ConfigError where the answer is no, or nobody can answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"{question} Nobody is there to answer: give --yes if it is so")
    if not typer.confirm(question):
        raise ConfigError("nothing was changed")


def open_order(bot: App, key: str) -> tuple[Book, OpenIntent]:
    """The order without an outcome that has this key, with its book. ConfigError where there is none."""
    for book in bot.desk.books:
        for order in bot.ledger.open_intents(bot.account):
            if order.intent.key == key and order.intent.book == book.name:
                return book, order
    raise ConfigError(f"there is no order {key} without an outcome; `vaultkeel intents --open` lists them")


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
