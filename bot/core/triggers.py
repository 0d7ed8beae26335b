"""The prices at which a policy would trade, all else as it was: what a run waits for between two ticks."""

from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context

import numpy as np
from numpy.typing import NDArray

from bot.core.greeks import Priced, options_delta
from bot.core.model import Band, Decision, Exposure, PriceBand, Rebalance, Snapshot, Wake
from bot.core.target import Target

FARTHEST = 0.30
"""Prices are looked at up to this fraction from the spot."""
LOOKS = 10
"""Prices looked at on a side, then between the two that the crossing is between, and so on."""
REFINEMENTS = (5, 5, 4)
OUTWARD_DOWN, OUTWARD_UP = Context(prec=7, rounding=ROUND_FLOOR), Context(prec=7, rounding=ROUND_CEILING)

FloatArray = NDArray[np.float64]


def wake_of(
    snapshot: Snapshot, priced: Sequence[Priced], exposure: Exposure, target: Target, decision: Decision
) -> Wake:
    """The nearest spots below and above at which the gap leaves the decision's band.

    After a Rebalance they are those of the position that it leaves. The band, the vols and the doubts are held as
    they are: the tick that a price wakes decides with its own.
    """
    match decision.band:
        case None:
            return Wake(None, None)
        case PriceBand(low, high):
            return Wake(low, high)
        case Band() as band:
            traded = float(decision.size) if isinstance(decision, Rebalance) else 0.0
            middle = (exposure.gap_lo + exposure.gap_hi) / 2 + traded
            # A gap is left alone until even its end nearest to the band is outside.
            doubt = (exposure.gap_hi - exposure.gap_lo) / 2
            inside = band.low - doubt - middle, band.high + doubt - middle
            return crossings(
                options_delta(priced, target), float(target.hedge_ratio), float(snapshot.spot), *inside
            )


def crossings(
    delta: Callable[[FloatArray], FloatArray], ratio: float, spot: float, low: float, high: float
) -> Wake:
    """The nearest spots at which `ratio` × the change of `delta` since `spot` leaves [low, high], to seven digits.

    None where it is outside already: what holds an order back then is no price.

    Both sides are looked at in one go: LOOKS prices each, quadratically spaced, dense near the spot where the crossing
    that matters is, then again between the two that it is between.
    """
    sides = np.array([-1.0, 1.0])
    near, far = np.zeros(2), np.full(2, FARTHEST)
    shares = (np.arange(1, LOOKS + 1) / LOOKS) ** 2
    found = np.full(2, low <= 0 <= high)
    for closer in (*REFINEMENTS, 0):
        steps = near[:, None] + (far - near)[:, None] * shares
        prices = spot * (1 + sides[:, None] * steps)
        deltas = delta(np.append(prices.ravel(), spot))
        moved = ratio * (deltas[:-1].reshape(prices.shape) - deltas[-1])
        outside = (moved < low) | (moved > high)
        found &= outside.any(axis=1)
        first = outside.argmax(axis=1)
        rows = np.arange(2)
        near = np.where(first > 0, steps[rows, first - 1], near)
        far = steps[rows, first]
        shares = np.arange(1, closer + 1) / max(closer, 1)
    down, up = (spot * (1 + side * step) for side, step in zip(sides.tolist(), far.tolist(), strict=True))
    return Wake(
        OUTWARD_DOWN.create_decimal(repr(down)) if found[0] else None,
        OUTWARD_UP.create_decimal(repr(up)) if found[1] else None,
    )
