"""Decide: whether a trade is due, and how large. Each policy is frozen parameters and a pure `decide`.

The gap is what the book is away from its target, in units of the underlying; where it is an interval, the possible gap
nearest to the band's centre counts, so that a trade is right whichever end is true. Sizes are rounded towards zero to
the venue's lot. Every policy raises DataError for a situation that isn't numbers, ValueError for parameters that make
no sense. docs/policies.md says which to use when.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Protocol

from bot.core.bands import (
    OPTIMAL,
    WHALLEY_WILMOTT,
    ZAKAMOULINE,
    Conditions,
    carry_shift,
    widths,
)
from bot.core.costs import Costs
from bot.core.lines import Lines, Side, arithmetic_of, refuse_nonsense
from bot.core.model import Band, Decision, Hold, PriceBand, Rebalance
from bot.core.risk_target import Risk, UnreachableTarget, aversion_of, in_words
from bot.core.situation import Situation
from bot.core.units import round_to_lot
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR

ROUNDS = 5
"""λ and the size that it is taken at settle in two or three rounds: the size goes with about λ^(−1/9)."""
SETTLED = 5e-3
CENTRE = Side(0.0, 0.0)


class Policy(Protocol):
    """The seam that every policy stands behind."""

    def decide(self, situation: Situation) -> Decision:
        """A Hold with its reason, or the signed size to trade in units of the underlying."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Trade to a gap of zero once `every_s` seconds have passed since the last trade, or where there was none.

    A decision that waits for the clock alone has no band: no price makes it trade.
    """

    every_s: int
    min_trade: Decimal

    def __post_init__(self) -> None:
        if self.every_s <= 0:
            raise ValueError(f"every_s must be above zero, got {self.every_s}")
        _require_min_trade(self.min_trade)

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        refuse_nonsense(situation)
        last = situation.last_trade
        if last is not None and situation.now - last.at < self.every_s:
            figures = arithmetic_of(situation, Lines(CENTRE, CENTRE), Decimal(0))
            waited = situation.now - last.at
            text = f"the last trade was {waited} s ago, the next is due after {self.every_s} s"
            return Hold("NOT_DUE", text, figures | {"every_s": str(self.every_s), "waited_s": str(waited)})
        decision = decide_by(situation, Lines(CENTRE, CENTRE), self.min_trade)
        return replace(decision, band=None) if isinstance(decision, Rebalance) else decision


@dataclass(frozen=True, slots=True)
class PriceMove:
    """Trade to a gap of zero once the spot is the fraction `move` away from that of the last trade, or without one."""

    move: Decimal
    min_trade: Decimal

    def __post_init__(self) -> None:
        if not Decimal(0) < self.move < Decimal(1):
            raise ValueError(f"move is a fraction between 0 and 1, got {self.move}")
        _require_min_trade(self.min_trade)

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        refuse_nonsense(situation)
        last = situation.last_trade
        if last is not None and abs(situation.price - last.spot) < self.move * last.spot:
            figures = arithmetic_of(situation, Lines(CENTRE, CENTRE), Decimal(0))
            moved = situation.price / last.spot - 1
            text = f"the price has moved by {moved:+.4%} since the last trade, less than {self.move:.4%}"
            return Hold("NOT_DUE", text, figures | {"move": str(self.move)}, self._around(last.spot))
        decision = decide_by(situation, Lines(CENTRE, CENTRE), self.min_trade)
        if isinstance(decision, Rebalance):
            return replace(decision, band=self._around(situation.price))
        return decision

    def _around(self, spot: Decimal) -> PriceBand:
        return PriceBand(spot * (1 - self.move), spot * (1 + self.move))


@dataclass(frozen=True, slots=True)
class DeltaBand:
    """Trade when the gap leaves ±`trigger`, until it is ±`target` on the side that it left by.

    In units, 0 ≤ target ≤ trigger: a target of zero trades to the centre, one of `trigger` to the edge.
    """

    trigger: Decimal
    target: Decimal
    min_trade: Decimal

    def __post_init__(self) -> None:
        if not Decimal(0) <= self.target <= self.trigger:
            raise ValueError(f"0 ≤ target ≤ trigger is required, got {self.target} and {self.trigger}")
        _require_min_trade(self.min_trade)

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        refuse_nonsense(situation)
        side = Side(float(self.trigger), float(self.target))
        return decide_by(situation, Lines(side, side), self.min_trade)


@dataclass(frozen=True, slots=True)
class WhalleyWilmott:
    """Whalley and Wilmott's band around zero, traded to its edge. It knows no fixed cost."""

    risk: Risk
    min_trade: Decimal

    def __post_init__(self) -> None:
        _require_min_trade(self.min_trade)

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        return decide_by(
            situation, lines_of(WHALLEY_WILMOTT, self.risk, situation, self.min_trade), self.min_trade
        )


@dataclass(frozen=True, slots=True)
class Zakamouline:
    """Zakamouline's band, traded to its edge. It knows no fixed cost.

    Around zero, which is the book's own delta: the formula's own centre is the delta at a vol that differs by a percent
    or two (`bands.zakamouline_vol`), a shift well inside the band.
    """

    risk: Risk
    min_trade: Decimal

    def __post_init__(self) -> None:
        _require_min_trade(self.min_trade)

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        return decide_by(
            situation, lines_of(ZAKAMOULINE, self.risk, situation, self.min_trade), self.min_trade
        )


@dataclass(frozen=True, slots=True)
class OptimalBand:
    """The band with a fixed and a proportional cost: past its trigger, trade until the target (`bands.optimal_band`).

    Funding moves the centre towards the side that is paid, by `carry_cap` of the trigger at most (0 to 1).
    """

    risk: Risk
    min_trade: Decimal
    carry_cap: Decimal = Decimal("0.5")

    def __post_init__(self) -> None:
        _require_min_trade(self.min_trade)
        if not Decimal(0) <= self.carry_cap <= Decimal(1):
            raise ValueError(f"carry_cap is a share of the trigger from 0 to 1, got {self.carry_cap}")

    def decide(self, situation: Situation) -> Decision:
        """See the class."""
        lines = lines_of(OPTIMAL, self.risk, situation, self.min_trade, float(self.carry_cap))
        return decide_by(situation, lines, self.min_trade)


def lines_of(
    kind: int, risk: Risk, situation: Situation, min_trade: Decimal, carry_cap: float = 0.0
) -> Lines:
    """The band of one of `bands.widths`' kinds, each side with its own λ.

    λ is taken at the size that is traded where the gap is found just outside, h − k, or at the least that may be traded
    where that is more. A target of risk that can't be reached is noted, and the nearest one that is worth its cost
    taken instead. Without a live option the gap moves no more and nothing is waited for: a band of no width.
    """
    refuse_nonsense(situation)
    if situation.vol == 0.0 or situation.years == 0.0:
        return Lines(CENTRE, CENTRE, note=" (no option is live, so there is nothing to wait for)")
    costs = situation.costs
    least = max(least_trade(min_trade, costs.lot), costs.lot)
    fixed, funding = float(costs.fixed_usd), float(costs.funding_per_year)
    buy_ratio, sell_ratio = _ratio(costs, least), _ratio(costs, -least)
    for _ in range(ROUNDS):
        at = Conditions(
            situation.gamma,
            situation.spot,
            situation.vol,
            situation.years,
            situation.rate,
            (buy_ratio + sell_ratio) / 2,
            fixed,
            situation.interval_s / SECONDS_PER_YEAR,
        )
        aversion, note = reachable_aversion(risk, kind, at, situation, carry_cap)
        buy = Side(*widths(kind, at._replace(ratio=buy_ratio), aversion), buy_ratio)
        sell = Side(*widths(kind, at._replace(ratio=sell_ratio), aversion), sell_ratio)
        buy_ratio = _ratio(costs, max(least, Decimal(f"{buy.trigger - buy.target:.6g}")))
        sell_ratio = _ratio(costs, -max(least, Decimal(f"{sell.trigger - sell.target:.6g}")))
        if _near(buy_ratio, buy.ratio) and _near(sell_ratio, sell.ratio):
            break
    most = carry_cap * min(buy.trigger, sell.trigger)
    centre = carry_shift(situation.spot, situation.vol, aversion, funding, most)
    return Lines(buy, sell, centre, aversion, in_words(risk), note)


def reachable_aversion(
    risk: Risk, kind: int, at: Conditions, situation: Situation, carry_cap: float
) -> tuple[float, str]:
    """γ in 1/USD, and a note where the risk that was asked for can't be reached."""
    terms = situation.nav_usd, float(situation.costs.funding_per_year), carry_cap
    try:
        return aversion_of(risk, kind, at, *terms), ""
    except UnreachableTarget as error:
        # A book whose gamma has grown past what its ticks can follow needs its hedge most.
        return aversion_of(error.reachable, kind, at, *terms), f" ({error})"


def decide_by(situation: Situation, lines: Lines, min_trade: Decimal) -> Decision:
    """Trade from outside the triggers to the target, or hold. The step that every policy shares.

    The decision's band is the gaps that are left alone: those too near for the least trade are among them.
    """
    gap = situation.nearest(lines.centre)
    high = gap > lines.centre
    side = lines.sell if high else lines.buy
    goal = lines.centre + (side.target if high else -side.target)
    lot = situation.costs.lot
    least = least_trade(min_trade, lot)
    size = Decimal(0)
    if abs(gap - lines.centre) > side.target:
        size = round_to_lot(Decimal(repr(goal)) - Decimal(repr(gap)), lot)
    figures = arithmetic_of(situation, lines, size) | {"min_trade": str(min_trade)}
    room = float(max(least, lot))
    low_end = lines.centre - max(lines.buy.trigger, lines.buy.target + room)
    high_end = lines.centre + max(lines.sell.trigger, lines.sell.target + room)
    band = Band(low_end, high_end)
    inner = f"[{lines.centre - lines.buy.trigger:+.6g}, {lines.centre + lines.sell.trigger:+.6g}]"
    if abs(gap - lines.centre) <= side.trigger:
        return Hold("INSIDE_BAND", f"the gap of {gap:+.6g} is within {inner}{lines.note}", figures, band)
    if size == 0 or abs(size) < min_trade:
        text = f"a trade of {size:+f} would be below the least of {max(least, lot)}"
        return Hold("BELOW_MIN_TRADE", text, figures, band)
    left = gap + float(size)
    order = f"{'buy' if size > 0 else 'sell'} {abs(size):f} to bring it to {left:+.6g}"
    text = f"the gap of {gap:+.6g} is outside {inner}{lines.note}: {order}"
    return Rebalance(size, text, figures | situation.costs.itemise(size), band)


def least_trade(min_trade: Decimal, lot: Decimal) -> Decimal:
    """`min_trade` rounded up to whole lots."""
    return (min_trade / lot).to_integral_value(rounding=ROUND_CEILING) * lot


def _ratio(costs: Costs, size: Decimal) -> float:
    """λ at a signed size. DataError where a trade would be paid for, which no venue does: a quote is wrong."""
    ratio = float(costs.ratio(size))
    if not ratio >= 0.0:
        raise DataError(
            f"trading {size:+f} would cost {ratio:.6%} of its notional: the venue's quotes are wrong"
        )
    return ratio


def _near(one: float, other: float | None) -> bool:
    return other is not None and abs(one - other) <= SETTLED * other


def _require_min_trade(min_trade: Decimal) -> None:
    if not min_trade.is_finite() or min_trade < 0:
        raise ValueError(f"min_trade must not be negative, got {min_trade}")
