"""Commands on a local chain: demo, rehearse, localnet, fork.

The local chain and the drawing library are imported by the commands that use them: they would double the start-up
time of `status` and `run`.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bot import render
from bot.cli.shared import Json, amount, busy, people, show
from bot.log import set_up_logs
from bot.simulate.measures import Step


def demo(
    hours: Annotated[float, typer.Option(help="Simulated hours.", min=0.5)] = 48,
    step_minutes: Annotated[float, typer.Option(help="Simulated minutes between two ticks.", min=1)] = 15,
    seed: Annotated[int, typer.Option(help="Of the price path and the traders.", min=0)] = 7,
    out: Annotated[Path, typer.Option(help="Where the ledger, the picture and the report go.")] = Path(
        "demo-out"
    ),
    venue: Annotated[
        Literal["curie", "gmx", "hyperliquid"],
        typer.Option(
            help="Where it is hedged: the real Curie contracts, or a stand-in of GMX v2 or of Hyperliquid, "
            "the last with vaults like Rysk V12's."
        ),
    ] = "curie",
    as_json: Json = False,
) -> None:
    """Hedges a real option vault on a local chain, on simulated time, and reports how well."""
    from bot.localnet.demo import Plan, rehearse
    from bot.simulate.report import write_report

    set_up_logs(as_json=False, level="error")
    plan = Plan(hours, step_minutes, seed, out.resolve(), venue)
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
    with busy("rehearsing", as_json=as_json):
        summary = rehearsal.rehearse(plan, lambda text: people.print(text, markup=False, highlight=False))
    show(summary.as_json(), summary.text(), as_json=as_json)
    if summary.failed:
        raise typer.Exit(1)


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
    with starting("starting the local chain", as_json=as_json) as up:
        serve.serve(plan, people.print, lambda ready: up(ready.as_json(), ready.text()))


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
    with starting("forking the chain", as_json=as_json) as up:
        forks.serve_fork(plan, people.print, lambda ready: up(ready.as_json(), ready.text()))


@contextmanager
def starting(text: str, *, as_json: bool) -> Iterator[Callable[[dict[str, Any], str], None]]:
    """A spinner until something is up: then the value is called with how it is shown, for machines and for people."""
    with ExitStack() as until_up:
        until_up.enter_context(busy(text, as_json=as_json))

        def up(machine: dict[str, Any], person: str) -> None:
            until_up.close()
            show(machine, person, as_json=as_json)

        yield up
