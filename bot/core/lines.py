"""A band as a policy trades by it, and the figures that stand behind a decision."""

import math
from dataclasses import dataclass
from decimal import Decimal

from bot.core.bands import held_gap
from bot.core.situation import Situation
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR

DAYS = 365.0
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a band, in units from its centre: past `trigger`, trade until `target`. `ratio` is its λ."""

    trigger: float
    target: float
    ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Lines:
    """A band: `buy` below its `centre` (in units), `sell` above. `aversion` in 1/USD, None where none is behind it.

    `origin` says where the aversion comes from, `note` what else a person should know.
    """

    buy: Side
    sell: Side
    centre: float = 0.0
    aversion: float | None = None
    origin: str = "none"
    note: str = ""


def refuse_nonsense(situation: Situation) -> None:
    """DataError for a situation that no decision can be made on."""
    numbers = {
        "gap_lo": situation.gap_lo,
        "gap_hi": situation.gap_hi,
        "gamma": situation.gamma,
        "spot": situation.spot,
        "vol": situation.vol,
        "years": situation.years,
        "rate": situation.rate,
        "NAV": situation.nav_usd,
    }
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise DataError(f"{name} is {value}, which is not a number to trade on")
    if situation.gap_lo > situation.gap_hi:
        raise DataError(f"the gap's interval [{situation.gap_lo}, {situation.gap_hi}] is the wrong way round")
    if situation.spot <= 0.0:
        raise DataError(f"the spot is {situation.spot}, not above zero")
    if situation.vol < 0.0 or situation.years < 0.0:
        raise DataError(
            f"the vol is {situation.vol} with {situation.years} years left: neither can be negative"
        )
    if situation.interval_s <= 0:
        raise DataError(f"the time between two ticks is {situation.interval_s} s, not above zero")
    if situation.costs.fixed_usd < 0 or situation.costs.lot <= 0:
        raise DataError(f"an order costs {situation.costs.fixed_usd} USD, in lots of {situation.costs.lot}")


def arithmetic_of(situation: Situation, lines: Lines, size: Decimal) -> dict[str, str]:
    """The figures behind a decision, as text. `size` is the trade that would bring the gap to the target now.

    Money in USD, gaps in units, `gamma` in units per USD. What isn't known is left out.
    """
    spot, vol, gap = situation.spot, situation.vol, situation.gap
    side = lines.sell if gap > lines.centre else lines.buy
    figures = {
        "gap": f"{gap:+.6f}",
        "gap_lo": f"{situation.gap_lo:+.6f}",
        "gap_hi": f"{situation.gap_hi:+.6f}",
        "gamma": f"{situation.gamma:+.6g}",
        "spot": f"{spot:.6f}",
        "vol": f"{vol:.4f}",
        "days_to_expiry": f"{situation.years * DAYS:.4f}",
        "risk_aversion_from": lines.origin,
        "fixed_usd": f"{situation.costs.fixed_usd:.4f}",
        "trigger": f"{side.trigger:.6g}",
        "target": f"{side.target:.6g}",
        "centre": f"{lines.centre:+.6g}",
        "funding_usd_per_unit_year": f"{situation.costs.funding_per_year:+.4f}",
        "cost_now_usd": cost_now(situation, size),
        "risk_per_day_usd": f"{abs(gap) * spot * vol / math.sqrt(DAYS):.4f}",
    }
    if side.ratio is not None:
        figures["cost_ratio"] = f"{side.ratio:.8f}"
    if lines.aversion is not None:
        risk_cost = lines.aversion / 2 * (gap * spot * vol) ** 2 / DAYS
        figures["risk_aversion"] = f"{lines.aversion:.6g}"
        figures["risk_cost_per_day_usd"] = f"{risk_cost:.4f}"
        figures |= expected(situation, lines)
    return figures


def cost_now(situation: Situation, size: Decimal) -> str:
    """What `size` would cost at once, in USD: 0 without a trade, at the largest quoted size where it is beyond."""
    if size == 0:
        return "0.0000"
    costs = situation.costs
    return f"{costs.proportional_usd(costs.quoted(size)) + costs.fixed_usd:.4f}"


def expected(situation: Situation, lines: Lines) -> dict[str, str]:
    """Trades, their cost and the hedging error per day if all stays as it is (`bands.held_gap`)."""
    ticks = DAY_S / situation.interval_s
    spot, vol = situation.spot, situation.vol
    step = abs(situation.gamma) * spot * vol * math.sqrt(situation.interval_s / SECONDS_PER_YEAR)
    trigger = (lines.buy.trigger + lines.sell.trigger) / 2
    target = (lines.buy.target + lines.sell.target) / 2
    ratio = ((lines.buy.ratio or 0.0) + (lines.sell.ratio or 0.0)) / 2
    square, rate, size = held_gap(trigger, target, step)
    error = spot * vol * math.sqrt((square + lines.centre**2 + step * step / 2) / DAYS)
    cost = rate * ticks * (float(situation.costs.fixed_usd) + ratio * spot * size)
    return {
        "expected_trades_per_day": f"{rate * ticks:.4f}",
        "expected_cost_per_day_usd": f"{cost:.4f}",
        "expected_error_per_day_usd": f"{error:.4f}",
    }
