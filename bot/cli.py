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
from bot.config import load_config
from bot.core.model import Mode
from bot.errors import ConfigError, VaultkeelError
from bot.log import set_up_logs
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
    with opened(config) as bot:
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
    with opened(config) as bot:
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


@app.command()
def resume(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Allows new orders again, after a halt that a person has looked into."""
    set_mode(config, Mode.ACTIVE, "resumed by the operator", as_json=as_json)


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


@contextmanager
def opened(path: Path) -> Iterator[App]:
    """The App of a configuration file, closed at the end."""
    if not path.is_file():
        raise ConfigError(
            f"{path} is not there: give --config, or start `vaultkeel localnet`, which writes one"
        )
    bot = build(load_config(path))
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
