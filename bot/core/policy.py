"""Decide: whether a rebalance is due, and how large. Each policy is frozen parameters and a pure `decide`."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from bot.core.costs import Costs
from bot.core.model import Decision, Exposure, Hold, Rebalance
from bot.core.units import round_to_lot
from bot.errors import DataError


class Policy(Protocol):
    """The seam that every policy stands behind."""

    def decide(self, exposure: Exposure, costs: Costs) -> Decision:
        """A Hold with its reason, or the signed size to trade in units of the underlying."""
        ...


@dataclass(frozen=True, slots=True)
class DeltaBand:
    """Trade when the net delta leaves ±`trigger`, until it is ±`target` on the side that it left by.

    All in units of the underlying, 0 ≤ target ≤ trigger. Trades below `min_trade` are not worth their fixed cost.
    Where the net delta is an interval, the end nearest to zero counts, so that a trade is right whichever end is
    true.
    """

    trigger: Decimal
    target: Decimal
    min_trade: Decimal

    def __post_init__(self) -> None:
        if not Decimal(0) <= self.target <= self.trigger:
            raise ValueError(f"0 ≤ target ≤ trigger is required, got {self.target} and {self.trigger}")
        if self.min_trade < 0:
            raise ValueError(f"min_trade must not be negative, got {self.min_trade}")

    def decide(self, exposure: Exposure, costs: Costs) -> Decision:
        """See the class."""
        if not (math.isfinite(exposure.net_lo) and math.isfinite(exposure.net_hi)):
            raise DataError(f"the net delta is [{exposure.net_lo}, {exposure.net_hi}], which is not a number")
        gap = nearest_to_zero(exposure.net_lo, exposure.net_hi)
        arithmetic = {
            "net_delta": f"{exposure.net:+.6f}",
            "net_lo": f"{exposure.net_lo:+.6f}",
            "net_hi": f"{exposure.net_hi:+.6f}",
            "trigger": str(self.trigger),
            "target": str(self.target),
            "min_trade": str(self.min_trade),
        }
        if abs(gap) <= float(self.trigger):
            return Hold("INSIDE_BAND", f"net delta {gap:+.4f} is within ±{self.trigger}", arithmetic)
        wanted = Decimal(repr(abs(gap))) - self.target
        size = round_to_lot(wanted if gap < 0 else -wanted, costs.lot)
        if size == 0 or abs(size) < self.min_trade:
            text = f"a trade of {size:+f} would be below the minimum of {self.min_trade}"
            return Hold("BELOW_MIN_TRADE", text, arithmetic)
        arithmetic |= costs.itemise(size)
        side = "buy" if size > 0 else "sell"
        text = (
            f"net delta {gap:+.4f} is outside ±{self.trigger}: {side} {abs(size):f} "
            f"to bring it to {gap + float(size):+.4f}"
        )
        return Rebalance(size, text, arithmetic)


def nearest_to_zero(low: float, high: float) -> float:
    """The point of [low, high] nearest to zero."""
    if low <= 0.0 <= high:
        return 0.0
    return low if low > 0.0 else high
