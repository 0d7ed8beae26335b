"""The pictures of docs/concepts.md, from the program's own code: `python docs/pictures.py` draws them into docs/img."""

import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import matplotlib as mpl
import numpy as np
from diagrams import draw_orders, draw_tick
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from one_day import Day, day_of, venue_costs

from bot.core.model import Rebalance
from bot.core.policy import DeltaBand
from bot.core.situation import Situation
from bot.pricing.black import black_scholes
from bot.simulate.report import GRID, HEDGED, INK, PRICE, UNHEDGED

FOLDER = Path(__file__).parent / "img"
SOFT = "#5b6875"
SEED = 8
ARROW = {"arrowstyle": "->", "color": INK}
PARTS = ("delta", "gamma", "theta", "vega", "funding", "fees", "impact", "gas", "unexplained")


def frame(axes: Axes, title: str, across: str, up: str) -> None:
    """A panel's title, its axes' names with units, and a quiet frame."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.set_xlabel(across, color=INK)
    axes.set_ylabel(up, color=INK)
    axes.grid(color=GRID, linewidth=0.7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw_delta(figure: Figure) -> None:
    """Short calls' delta and value over the price, alone and with the hedge that is right at 2,000 USD."""
    prices = np.linspace(1_600, 2_400, 161)
    calls = black_scholes(prices, 2_000.0, 7 / 365, 0.8, 0.0, True)
    delta, value = -10 * calls.delta, -10 * calls.price
    middle = 80
    hedge = -delta[middle]
    left, right = figure.subplots(1, 2)
    left.axhline(0, color=INK, linewidth=0.8)
    left.plot(prices, delta, color=UNHEDGED, linewidth=2, label="calls alone")
    left.plot(prices, delta + hedge, color=HEDGED, linewidth=2, label="calls + hedge")
    left.plot(prices[middle], 0, "o", color=HEDGED)
    left.annotate(
        "net delta 0", (2_000, 0), (2_060, 2.0), color=INK, arrowprops={"arrowstyle": "-", "color": SOFT}
    )
    frame(left, f"Delta of 10 short calls, and with {hedge:.1f} ETH bought", "price, USD", "ETH")
    left.legend(loc="lower left", frameon=False)
    right.axhline(0, color=INK, linewidth=0.8)
    change = value - value[middle]
    right.plot(prices, change, color=UNHEDGED, linewidth=2, label="calls alone")
    right.plot(prices, change + hedge * (prices - 2_000), color=HEDGED, linewidth=2, label="calls + hedge")
    frame(right, "What a sudden move does", "price, USD", "change of value, USD")
    right.yaxis.set_major_formatter("{x:,.0f}")
    right.legend(loc="lower center", frameon=False)


def draw_band(figure: Figure) -> None:
    """A day of the optimal band: the gap, the band around it, and the trades."""
    day = day_of(SEED)
    hours = [step.hour for step in day.steps]
    price, gap = figure.subplots(2, 1, sharex=True, height_ratios=(0.6, 1.4))
    price.plot(hours, [step.price for step in day.steps], color=PRICE, linewidth=1.6)
    frame(price, "Price", "", "USD")
    price.yaxis.set_major_formatter("{x:,.0f}")
    gap.fill_between(
        hours, [s.low for s in day.steps], [s.high for s in day.steps], color=HEDGED, alpha=0.14, linewidth=0
    )
    for sign in (1, -1):
        target = [step.centre + sign * step.target for step in day.steps]
        gap.plot(hours, target, color=HEDGED, linewidth=0.9, linestyle="--")
    path = [(step.hour, gap) for step in day.steps for gap in (step.gap, step.gap + step.traded)]
    gap.plot(*zip(*path, strict=True), color=UNHEDGED, linewidth=1.3)
    for step in day.trades:
        after = step.gap + step.traded
        gap.annotate("", (step.hour, after), (step.hour, step.gap), arrowprops=ARROW)
        gap.annotate(
            f"{step.traded:+.1f}", (step.hour, step.gap), (0, 6 if step.gap > 0 else -13),
            textcoords="offset points", color=INK, fontsize=9, ha="center",
        )  # fmt: skip
    frame(gap, f"Gap to the target: {len(day.trades)} trades in {len(day.steps)} ticks", "hours", "ETH")
    gap.set_title(
        "shaded: no trade   dashed: where trades go   arrow: a trade",
        loc="right",
        color=SOFT,
        fontsize=9,
    )
    gap.margins(x=0.01, y=0.1)


def draw_error_bar(figure: Figure) -> None:
    """What a band of ±2 with a target of ±0.5 decides on gaps that are known more or less well."""
    cases = (
        ("known well, inside", 0.9, 1.1),
        ("known badly, inside or out", 0.8, 3.6),
        ("known badly, outside for certain", 2.6, 4.6),
        ("a sale of 4 in flight", -0.4, 3.6),
        ("below, outside for certain", -3.9, -2.9),
    )
    policy = DeltaBand(Decimal(2), Decimal("0.5"), Decimal("0.1"))
    axes = figure.subplots()
    axes.axvspan(-2, 2, color=HEDGED, alpha=0.14, linewidth=0)
    for x in (-0.5, 0.5):
        axes.axvline(x, color=HEDGED, linewidth=0.9, linestyle="--")
    for row, (name, low, high) in enumerate(reversed(cases)):
        decision = policy.decide(situation(low, high))
        axes.plot([low, high], [row, row], color=UNHEDGED, linewidth=5, solid_capstyle="butt")
        near = min(max(0.0, low), high)
        said = "hold"
        if isinstance(decision, Rebalance):
            size = float(decision.size)
            said = f"trade {size:+.1f}"
            axes.annotate(
                "",
                (near + size, row - 0.22),
                (near, row - 0.22),
                arrowprops=ARROW,
            )
        axes.plot(near, row, "o", color=INK, markersize=5)
        axes.text(5.1, row, said, va="center", color=INK, fontweight="bold")
        axes.text(-4.4, row + 0.24, name, va="bottom", color=INK, fontsize=9.5)
    axes.set_yticks([])
    axes.set_xlim(-4.5, 6.4)
    axes.set_ylim(-0.6, len(cases) - 0.35)
    frame(
        axes, "Bar: where the true gap may be.   Dot: the value that decides.", "gap to the target, ETH", ""
    )
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def situation(low: float, high: float) -> Situation:
    """A gap that is known to be between `low` and `high` units, at 2,000 USD."""
    return Situation(low, high, 0.0, 2_000.0, 0.8, 0.02, 0.0, 1e6, 0, 60, None, venue_costs(Decimal(2_000)))


def draw_costs(figure: Figure) -> None:
    """What an order costs by its size, and a day's profit and loss by its causes."""
    left, right = figure.subplots(1, 2)
    costs = venue_costs(Decimal(2_000))
    sizes = [Decimal(size) for size in np.geomspace(0.05, 60, 60).round(3).tolist()]
    parts = {
        "fee": [costs.fee_usd(s) for s in sizes],
        "half spread": [costs.spread_usd(s) for s in sizes],
        "impact": [costs.impact_usd(s) for s in sizes],
        "gas": [costs.gas_usd for _ in sizes],
    }
    worth = [s * costs.mark / 10_000 for s in sizes]
    stacked = [[float(usd / bp) for usd, bp in zip(row, worth, strict=True)] for row in parts.values()]
    colours = ("#0f766e", "#5eada5", "#c2410c", "#94a3b8")
    left.stackplot([float(s) for s in sizes], stacked, labels=list(parts), colors=colours, linewidth=0)
    left.set_xscale("log")
    left.set_xticks([0.1, 1, 10, 60], ["0.1", "1", "10", "60"])
    left.set_ylim(0, 40)
    frame(left, "An order's cost by its size", "ETH", "basis points of its value")
    left.legend(loc="upper center", frameon=False)
    draw_causes(right, day_of(SEED))


def draw_causes(axes: Axes, day: Day) -> None:
    """A day's profit and loss of vault and hedge, cause by cause, as a waterfall."""
    at = 0.0
    for row, part in enumerate(PARTS):
        change = day.causes[part]
        axes.barh(row, change, left=at, color=HEDGED if change >= 0 else UNHEDGED, height=0.62)
        at += change
        axes.text(max(at, at - change), row, f" {round(change):+,}", va="center", color=INK, fontsize=9)
    axes.barh(len(PARTS), at, color=PRICE, height=0.62)
    axes.text(
        max(at, 0.0), len(PARTS), f" {round(at):+,}", va="center", color=INK, fontsize=9, fontweight="bold"
    )
    axes.set_yticks(range(len(PARTS) + 1), [*PARTS, "all"])
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    left, right = axes.dataLim.intervalx
    axes.set_xlim(left - 0.06 * (right - left), right + 0.16 * (right - left))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    frame(axes, "The same day's profit and loss", "USD", "")
    axes.grid(visible=False, axis="y")


PICTURES: dict[str, tuple[tuple[float, float], Callable[[Figure], None]]] = {
    "concept-delta": ((10.5, 4.2), draw_delta),
    "concept-band": ((10.5, 6.0), draw_band),
    "concept-error-bar": ((9.5, 4.4), draw_error_bar),
    "concept-tick": ((10.5, 5.0), draw_tick),
    "concept-costs": ((10.5, 4.6), draw_costs),
    "concept-orders": ((10.5, 6.8), draw_orders),
}
"""Each picture's size in inches, and what draws it."""


def draw(name: str, folder: Path) -> Path:
    """Draws one picture as an SVG whose bytes are the same every time; returns its path."""
    size, by = PICTURES[name]
    with mpl.rc_context({"svg.hashsalt": name, "font.family": "DejaVu Sans", "text.color": INK}):
        figure = Figure(figsize=size, layout="constrained", facecolor="white")
        by(figure)
        path = folder / f"{name}.svg"
        figure.savefig(path, metadata={"Date": None, "Creator": None})
    return path


if __name__ == "__main__":
    for picture in sys.argv[1:] or PICTURES:
        draw(picture, FOLDER)
