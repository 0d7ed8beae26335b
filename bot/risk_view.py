"""What a book risks, for people and for machines: scenarios, tails, stresses, margin and its runway."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from bot.core.decision import Decided
from bot.core.margin import (
    MarginPolicy,
    MarginState,
    Runway,
    Strain,
    margin_of,
    margin_runway,
)
from bot.core.scenario import Grid, Revalued, held_of, revalue_grid
from bot.core.stress import PRESETS, Stress, Stressed, stressed
from bot.core.value_at_risk import (
    Law,
    Tail,
    check,
    delta_gamma,
    historical,
    monte_carlo,
    sensitivities_of,
)
from bot.errors import DataError
from bot.explain import when
from bot.render import BAD, QUIET, plain_table

NO_VOL = "no option is live, so the price's vol is not known: give one"


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """What a report asks. `returns` are past simple returns, each over `hours`.

    `vol` is the price's, annual; None: the options' own. `hedge_ratio` is the target's.
    """

    grid: Grid = field(default_factory=Grid)
    stresses: tuple[Stress, ...] = PRESETS
    confidence: float = 0.99
    hours: float = 24.0
    vol: float | None = None
    vol_of_vol: float = 1.0
    correlation: float = -0.3
    paths: int = 20_000
    seed: int = 7
    returns: tuple[float, ...] = ()
    strain: Strain = field(default_factory=Strain)
    policy: MarginPolicy = field(default_factory=MarginPolicy)
    hedge_ratio: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class RiskReport:
    """All figures of one snapshot. `tick` is None where it was just observed.

    `not_measured` says by name why a figure is missing.
    """

    decided: Decided
    tick: int | None
    settings: RiskSettings
    cells: Revalued
    tails: tuple[Tail, ...]
    stresses: tuple[Stressed, ...]
    margin: MarginState
    runway: Runway | None
    not_measured: dict[str, str]


def risk_report(decided: Decided, tick: int | None, settings: RiskSettings) -> RiskReport:
    """The report of a snapshot. DataError where it can't be priced, ValueError where a setting is none.

    A figure whose own input isn't there is left out, with the reason: it is not made up.
    """
    check(settings.confidence, settings.hours)
    snapshot, exposure = decided.snapshot, decided.exposure
    held = held_of(snapshot)
    vol = exposure.vol if settings.vol is None else settings.vol
    span = settings.confidence, settings.hours
    missing: dict[str, str] = {}
    tails: list[Tail] = []
    if not settings.returns:
        missing["historical"] = "no past returns were given"
    else:
        try:
            tails.append(historical(held, settings.returns, *span))
        except DataError as error:
            missing["historical"] = str(error)
    runway = None
    if settings.vol is None and vol == 0.0:
        missing |= dict.fromkeys(("delta_gamma", "monte_carlo", "runway"), NO_VOL)
    else:
        law = Law(vol, settings.vol_of_vol, settings.correlation)
        tails.append(delta_gamma(sensitivities_of(snapshot), law, *span))
        tails.append(monte_carlo(held, law, *span, settings.paths, settings.seed))
        vanna = settings.hedge_ratio * exposure.vanna
        runway = margin_runway(snapshot.venue, settings.strain, vol, vanna, exposure.gap_gamma)
    return RiskReport(
        decided=decided,
        tick=tick,
        settings=settings,
        cells=revalue_grid(held, settings.grid),
        tails=tuple(tails),
        stresses=stressed(snapshot, settings.stresses),
        margin=margin_of(snapshot.venue),
        runway=runway,
        not_measured=missing,
    )


def risk_view(report: RiskReport) -> RenderableType:
    """The report for people."""
    snapshot = report.decided.snapshot
    seen = "observed now" if report.tick is None else f"tick {report.tick}"
    head = Text(f"{seen}, {when(snapshot.timestamp)}   {snapshot.underlying} {snapshot.spot:,.2f} USD\n")
    head.append(
        f"options and holdings {report.decided.exposure.unhedged:+.4f}, hedge "
        f"{snapshot.venue.position.size:+,.3f} {snapshot.underlying}"
    )
    if snapshot.in_flight:
        head.append(f"\nnot counted: {snapshot.in_flight:+f} in orders without an outcome", style=BAD)
    return Group(
        Panel(head, title=f"Risk of book {snapshot.book}", title_align="left", box=box.ROUNDED),
        grid_table(report),
        tails_table(report),
        stress_table(report.stresses),
        margin_table(report),
    )


def grid_table(report: RiskReport) -> RenderableType:
    """Profit and loss and net delta at the grid's first time: a row per vol, a column per price."""
    grid, cells = report.settings.grid, report.cells
    table = plain_table(f"P&L in USD with the hedge closed, and net delta, {grid.hours[0]:g} hours from now")
    table.add_column("vol points", style=QUIET, no_wrap=True)
    for price in grid.prices:
        table.add_column(f"{100 * price:+g} %", justify="right", no_wrap=True, min_width=11)
    for v, points in enumerate(grid.vols):
        profit, delta = cells.closed[:, v, 0], cells.delta[:, v, 0]
        table.add_row(
            f"{100 * points:+g}",
            *(
                Text(f"{gain:+,.0f}\nΔ {left:+,.2f}", style=BAD if gain < 0 else "", justify="right")
                for gain, left in zip(profit, delta, strict=True)
            ),
        )
    return table


def tails_table(report: RiskReport) -> RenderableType:
    """VaR and expected shortfall by each method, or why it is missing."""
    settings = report.settings
    table = plain_table(
        f"Loss over {settings.hours:g} h at {settings.confidence:.4g} in USD, nothing rebalanced"
    )
    table.add_column("method", no_wrap=True)
    for name in ("VaR", "expected shortfall"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("assumes", style=QUIET)
    for tail in report.tails:
        table.add_row(
            tail.method.replace("_", " "),
            plus_minus(tail.var_usd, tail.var_error),
            plus_minus(tail.es_usd, tail.es_error),
            tail.assumes,
        )
    for name in ("historical", "delta_gamma", "monte_carlo"):
        if name in report.not_measured:
            table.add_row(name.replace("_", " "), "—", "—", report.not_measured[name])
    return table


def plus_minus(value: float, error: float) -> str:
    """A figure with its standard error where it has one."""
    return f"{value:,.0f} ± {error:,.0f}" if error else f"{value:,.0f}"


def stress_table(stresses: Sequence[Stressed]) -> RenderableType:
    """What every stress does, and below it what each assumes."""
    table = plain_table("Stresses, in USD, nothing rebalanced")
    table.add_column("stress", no_wrap=True)
    for name in ("book", "hedge", "both", "net delta", "hedge's equity"):
        table.add_column(name, justify="right", no_wrap=True)
    said = Text()
    for result in stresses:
        stress, equity = result.stress, f"{result.equity_usd:,.0f}"
        book, delta = f"{result.book_usd + result.unseen_usd:+,.0f}", f"{result.delta:+,.2f}"
        if stress.fault == "venue_gone":
            equity += "\nlocked"
        if stress.fault == "oracle_frozen":
            book += "\nnot shown yet"
            delta += f"\nmeasured {result.seen_delta:+,.2f}"
        if result.is_liquidated:
            equity += "\nLIQUIDATED"
        table.add_row(
            stress.name,
            book,
            f"{result.hedge_usd:+,.0f}",
            f"{result.pnl_usd:+,.0f}",
            delta,
            Text(equity, style=BAD if result.is_liquidated else "", justify="right"),
        )
        said.append(f"{stress.name}: ").append(f"{stress.text}\n", style=QUIET)
    return Group(table, said)


def margin_table(report: RiskReport) -> RenderableType:
    """The hedge's margin, the policy's levels, and how long it lasts."""
    margin, policy = report.margin, report.settings.policy
    table = plain_table(f"Margin on {report.decided.snapshot.venue.name}")
    table.show_header = False
    table.add_column("", style=QUIET, no_wrap=True)
    table.add_column("")
    price = margin.liquidation_price
    far = "" if margin.distance is None else f", {margin.distance:+.1%} from the mark"
    rows = {
        "equity": f"{margin.equity:,.2f} USD",
        "requirement": f"{margin.requirement:,.2f} USD",
        "equity ÷ requirement": "—" if margin.ratio is None else f"{margin.ratio:.2f}",
        "leverage": "—" if margin.leverage is None else f"{margin.leverage:.2f}",
        "liquidation price": "no price liquidates it" if price is None else f"{price:,.2f} USD{far}",
    }
    for name in ("critical", "warning", "target", "excess"):
        level: Decimal = getattr(policy, name)
        rows[f"{name} level"] = f"{policy.needed(level, margin):,.2f} USD ({policy.measure} {level})"
    runway = report.runway
    rows["runway"] = report.not_measured["runway"] if runway is None else runway.text
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def risk_json(report: RiskReport) -> dict[str, Any]:
    """The report for machines. Profits in USD, positive where they gain; a tail's loss is positive; deltas in units.

    A grid's figures are nested lists by price, vol and time, its hedge closed and the fee paid.
    """
    snapshot, settings, cells = report.decided.snapshot, report.settings, report.cells
    return {
        "book": snapshot.book,
        "tick": report.tick,
        "at": snapshot.at,
        "spot_usd": str(snapshot.spot),
        "in_flight": str(snapshot.in_flight),
        "grid": {
            "price_moves": list(settings.grid.prices),
            "vol_points": list(settings.grid.vols),
            "hours": list(settings.grid.hours),
            "book_usd": cells.book.tolist(),
            "hedge_usd": cells.closed_hedge.tolist(),
            "pnl_usd": cells.closed.tolist(),
            "book_delta": cells.book_delta.tolist(),
            "hedge_delta": cells.hedge_delta.tolist(),
            "delta": cells.delta.tolist(),
        },
        "tails": [asdict(tail) for tail in report.tails],
        "stresses": [stress_json(result) for result in report.stresses],
        "margin": margin_json(report.margin, settings.policy),
        "runway": None
        if report.runway is None
        else asdict(report.runway) | {"strain": asdict(settings.strain)},
        "not_measured": report.not_measured,
    }


def stress_json(result: Stressed) -> dict[str, Any]:
    """One stress for machines."""
    figures = asdict(result)
    stress: dict[str, Any] = figures.pop("stress")
    return stress | figures | {"pnl_usd": result.pnl_usd, "if_lost_usd": result.if_lost_usd}


def margin_json(margin: MarginState, policy: MarginPolicy) -> dict[str, Any]:
    """The margin for machines: decimals as text, None where there is none; the equity in USD that each level asks."""
    figures = {name: None if value is None else str(value) for name, value in asdict(margin).items()}
    levels = {
        name: str(policy.needed(getattr(policy, name), margin))
        for name in ("critical", "warning", "target", "excess")
    }
    return figures | {"is_liquidatable": margin.is_liquidatable, "levels_usd": levels}
