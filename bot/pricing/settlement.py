"""Options that settle by the average price of a window before expiry (Deribit: 30 minutes; a window of 0 is the spot).

Inside the window a part of the average is known. With e the part that has passed, A its average and f = 1 − e, a call
pays max(eA + fX − K, 0) for the rest's average X: that is f calls on X at the strike (K − eA) / f. Over a rest of τ, X
has the variance vol² τ/3 (of an arithmetic average, in the limit of a short time: A. Kemna and A. Vorst, 1990, for the
geometric one, which then agrees). Interest over the window is left out: minutes of it are worth nothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from bot.errors import PricingError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DERIBIT_WINDOW_S: Final = 1800
"""Deribit settles by the mean of its index over the last half hour."""


@dataclass(frozen=True, slots=True, eq=False)
class AveragedGreeks:
    """Of options in their averaging window, float arrays of one shape: `price` in USD, `delta` in units of the
    underlying, `gamma` per USD. The true delta lies within ± `delta_error` of `delta`.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    delta_error: FloatArray


def effective_years(now: int, expiry: npt.ArrayLike, window_s: npt.ArrayLike) -> FloatArray:
    """The years that a vol acts on an average over the window: τ − ⅔ window before it, τ/3 in it; shapes broadcast.

    Exact for a Brownian motion; before the window it is what to price a live option with. A window of 0 is a single
    price. PricingError where a window is below it.
    """
    window = np.asarray(window_s, dtype=np.float64)
    if (window < 0).any():
        raise PricingError("an averaging window can't be shorter than nothing")
    left = np.maximum(np.asarray(expiry, dtype=np.float64) - now, 0.0)
    return np.asarray(np.where(left >= window, left - 2.0 * window / 3.0, left / 3.0) / SECONDS_PER_YEAR)


def averaged_greeks(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    vol: npt.ArrayLike,
    is_call: npt.ArrayLike,
    left_s: int,
    window_s: int,
    average: float | None = None,
    deviations: float = 3.0,
) -> AveragedGreeks:
    """Price and greeks of options with `left_s` seconds left of a window of `window_s` (0 ≤ left ≤ window); arrays
    broadcast, `spot` and `strike` in USD, `vol` annual.

    `average` is the mean price of the part that has passed. Where it is not known (None), the price of today stands for
    it, and `delta` is the middle of what any average within so many standard `deviations` of it would give: looking
    back over e seconds from a price, their average has the variance vol² e/3. PricingError where numbers make no sense.
    """
    if not 0 <= left_s <= window_s or window_s <= 0:
        raise PricingError(
            "an option in its averaging window has between 0 and all of the window's seconds left"
        )
    if average is not None and not (np.isfinite(average) and average > 0):
        raise PricingError("the average so far must be a price above zero")
    spot_, strike_, vol_ = (np.asarray(value, dtype=np.float64) for value in (spot, strike, vol))
    call = _booleans("is_call", is_call)
    if average is not None:
        price, delta, gamma = _with_average(spot_, strike_, vol_, call, left_s, window_s, np.asarray(average))
        return AveragedGreeks(price, delta, gamma, np.zeros(delta.shape))
    spread = deviations * vol_ * np.sqrt((window_s - left_s) / 3.0 / SECONDS_PER_YEAR)
    price, _, gamma = _with_average(spot_, strike_, vol_, call, left_s, window_s, spot_)
    _, one, _ = _with_average(spot_, strike_, vol_, call, left_s, window_s, spot_ * np.exp(-spread))
    _, other, _ = _with_average(spot_, strike_, vol_, call, left_s, window_s, spot_ * np.exp(spread))
    return AveragedGreeks(
        price, np.asarray((one + other) / 2.0), gamma, np.asarray(np.abs(one - other) / 2.0)
    )


def _with_average(
    spot: FloatArray,
    strike: FloatArray,
    vol: FloatArray,
    call: BoolArray,
    left_s: int,
    window_s: int,
    average: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(price, delta, gamma), of one shape, once the `average` so far is known."""
    share = left_s / window_s
    spot, strike, vol, average, call = np.broadcast_arrays(spot, strike, vol, average, call)
    known = (1.0 - share) * average
    if share == 0.0:
        gap = np.where(call, known - strike, strike - known)
        return np.asarray(np.maximum(gap, 0.0)), np.zeros(gap.shape), np.zeros(gap.shape)
    moved = (strike - known) / share
    # A strike at or below zero is sure to be passed: the call is a forward, the put is nothing.
    sure = moved <= 0.0
    years = left_s / 3.0 / SECONDS_PER_YEAR
    greeks = black_scholes(spot, np.where(sure, spot, moved), years, vol, 0.0, call)
    forward = np.where(call, known + share * spot - strike, 0.0)
    price = np.where(sure, forward, share * greeks.price)
    delta = share * np.where(sure, np.where(call, 1.0, 0.0), greeks.delta)
    return np.asarray(price), np.asarray(delta), np.asarray(share * np.where(sure, 0.0, greeks.gamma))


def _booleans(name: str, value: npt.ArrayLike) -> BoolArray:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise PricingError(f"{name} must be boolean")
    return array
