"""Delta conventions: which vol an option is priced with, and how that vol is taken to move with the price.

All are pure functions of the Greeks of `bot.pricing.black` (delta in units of the underlying, vega in USD per 1.00 of
vol). Sources: J. Hull and A. White, "Optimal delta hedging for options" (2017), for the minimum-variance delta;
J. Gatheral, "The Volatility Surface" (2006), for stickiness; Deribit's net transaction delta for coin-margined options.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from bot.errors import PricingError
from bot.pricing.black import Greeks

FloatArray = npt.NDArray[np.float64]
Convention = Literal["black_scholes", "sticky_strike", "sticky_delta", "minimum_variance"]

MONEY_VEGA: Final = 1.0 / (2.0 * math.pi)
"""(vega / (S √T))² of an option at the money, without units."""


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """What happened to options over one interval, float arrays of one shape (n,) each, per unit of option.

    `delta`, `vega`, `years` and `spot` are as the interval began, the former two by Black-Scholes at the option's own
    vol; `spot_change` and `value_change` in USD.
    """

    delta: FloatArray
    vega: FloatArray
    years: FloatArray
    spot: FloatArray
    spot_change: FloatArray
    value_change: FloatArray


@dataclass(frozen=True, slots=True)
class MinimumVarianceFit:
    """Hull and White's a, b, c by recursive least squares: plain numbers, so that it can be kept as JSON exactly.

    `information` is the upper triangle (6 numbers, by rows) of the sum of xxᵀ, `moment` (3) that of x·y and
    `observations` the number of moves, all of them faded by `forgetting` at each update. `ridge` holds the coefficients
    to zero with the strength of so many moves of 1 % of an option at the money; below `minimum` faded observations
    they are zero.
    """

    information: tuple[float, ...] = (0.0,) * 6
    moment: tuple[float, ...] = (0.0,) * 3
    observations: float = 0.0
    forgetting: float = 0.99
    ridge: float = 20.0
    minimum: float = 50.0

    def __post_init__(self) -> None:
        if len(self.information) != 6 or len(self.moment) != 3:
            raise PricingError("a minimum-variance fit has 6 numbers of information and 3 of moment")
        if not all(math.isfinite(value) for value in (*self.information, *self.moment, self.observations)):
            raise PricingError("a minimum-variance fit holds a number that is not finite")
        if not (0 < self.forgetting <= 1 and self.ridge > 0 and self.minimum >= 0 and self.observations >= 0):
            raise PricingError(
                "a minimum-variance fit needs 0 < forgetting ≤ 1, ridge > 0 and counts not below zero"
            )


def convention_delta(
    convention: Convention,
    greeks: Greeks,
    spot: npt.ArrayLike,
    years: npt.ArrayLike,
    slopes: npt.ArrayLike,
    fit: MinimumVarianceFit,
) -> FloatArray:
    """Delta per option under `convention`, of `greeks` at each option's own vol; shapes broadcast.

    Under "black_scholes" the `greeks` must be those at the vol of the money. `slopes` are ∂vol/∂ln(strike) for
    "sticky_delta", `fit` is for "minimum_variance"; the others need neither.
    """
    if convention == "sticky_delta":
        return sticky_delta(greeks, spot, slopes)
    if convention == "minimum_variance":
        return minimum_variance(greeks, spot, years, coefficients(fit))
    return sticky_strike(greeks)


def sticky_strike(greeks: Greeks) -> FloatArray:
    """Delta of an option whose vol stays with its strike as the price moves: the model's own."""
    return np.asarray(greeks.delta)


def sticky_delta(greeks: Greeks, spot: npt.ArrayLike, slopes: npt.ArrayLike) -> FloatArray:
    """Delta of an option whose vol follows its moneyness: Δ + vega · ∂vol/∂S, with ∂vol/∂S = −slope / S.

    `spot` in USD, `slopes` ∂vol/∂ln(strike). PricingError where one is not finite or a spot is not above zero.
    """
    spot_, slopes_, delta, vega = _broadcast(spot, slopes, greeks.delta, greeks.vega)
    _check_positive("spot", spot_)
    return np.asarray(delta - vega * slopes_ / spot_)


def minimum_variance(
    greeks: Greeks,
    spot: npt.ArrayLike,
    years: npt.ArrayLike,
    abc: tuple[float, float, float],
    bound: float = 0.25,
) -> FloatArray:
    """Hull and White's delta: δ + vega / (S √T) · (a + bδ + cδ²), where δ in the bracket is that of the strike's call.

    One fit serves calls and puts, for at one strike their vols move together. At expiry the delta is the model's own.
    The correction stays within ±`bound` units: beyond that a fit is not to be trusted with an order. PricingError where
    a number is not finite, a spot is not above zero or years are below it.
    """
    spot_, years_, delta, vega = _broadcast(spot, years, greeks.delta, greeks.vega)
    _check_positive("spot", spot_)
    _check_not_negative("years", years_)
    if not all(math.isfinite(value) for value in abc):
        raise PricingError("a minimum-variance coefficient is not finite")
    scaled = np.zeros(spot_.shape)
    np.divide(vega, spot_ * np.sqrt(years_), out=scaled, where=years_ > 0)
    a, b, c = abc
    call = _call_delta(delta)
    return np.asarray(delta + np.clip(scaled * (a + b * call + c * call**2), -bound, bound))


def updated(fit: MinimumVarianceFit, moves: Moves) -> MinimumVarianceFit:
    """The fit after `moves` too, which are the newest. No moves leave it as it is.

    Regresses dV − δ dS on vega · dS / (S √T) · (1, δ, δ²), both over the spot, so that moves of any price level weigh
    alike. PricingError where shapes differ, a number is not finite, or a spot or years are not above zero.
    """
    columns = (moves.delta, moves.vega, moves.years, moves.spot, moves.spot_change, moves.value_change)
    delta, vega, years, spot, spot_change, value_change = (np.asarray(c, dtype=np.float64) for c in columns)
    if delta.ndim != 1 or any(np.shape(c) != delta.shape for c in columns):
        raise PricingError("the moves of options must be lists of one length")
    if not delta.size:
        return fit
    if not all(np.isfinite(np.asarray(c, dtype=np.float64)).all() for c in columns):
        raise PricingError("a move of an option is not a finite number")
    _check_positive("spot", spot)
    _check_positive("years", years)
    call = _call_delta(delta)
    regressor = vega * spot_change / (spot * spot * np.sqrt(years))
    x = regressor[:, None] * np.stack([np.ones_like(call), call, call**2], axis=1)
    y = (value_change - delta * spot_change) / spot
    upper = (x.T @ x)[np.triu_indices(3)]
    fade = fit.forgetting
    return replace(
        fit,
        information=tuple((fade * np.array(fit.information) + upper).tolist()),
        moment=tuple((fade * np.array(fit.moment) + x.T @ y).tolist()),
        observations=fade * fit.observations + delta.size,
    )


def coefficients(fit: MinimumVarianceFit) -> tuple[float, float, float]:
    """(a, b, c) of a fit, without units; zero until it has seen enough moves."""
    if fit.observations < fit.minimum or not fit.observations:
        return 0.0, 0.0, 0.0
    matrix = np.zeros((3, 3))
    matrix[np.triu_indices(3)] = fit.information
    matrix += np.triu(matrix, 1).T
    matrix += fit.ridge * MONEY_VEGA * 1e-4 * np.eye(3)
    a, b, c = np.linalg.solve(matrix, np.array(fit.moment)).tolist()
    return a, b, c


def coin_value(price: npt.ArrayLike, spot: npt.ArrayLike) -> FloatArray:
    """An option's value in coins, V / S, of its `price` and the `spot` in USD; shapes broadcast."""
    price_, spot_ = _broadcast(price, spot)
    _check_positive("spot", spot_)
    return np.asarray(price_ / spot_)


def coin_delta(
    delta: npt.ArrayLike, price: npt.ArrayLike, spot: npt.ArrayLike, kept_in_coin: bool
) -> FloatArray:
    """Coins that hedge an option which is paid and settled in coins, of its USD `delta` and `price`; shapes broadcast.

    δ − V/S where the book's result is counted in coins: the premium, being coins, is no risk then. δ where it is
    counted in USD.
    """
    delta_, value = _broadcast(delta, coin_value(price, spot))
    return np.asarray(delta_ - value) if kept_in_coin else delta_


def _call_delta(delta: FloatArray) -> FloatArray:
    """The delta of the call at the strike, of that of the call or of the put there."""
    return np.asarray(np.where(delta < 0, delta + 1.0, delta))


def _broadcast(*values: npt.ArrayLike) -> tuple[FloatArray, ...]:
    arrays = [np.asarray(value, dtype=np.float64) for value in values]
    try:
        shaped = np.broadcast_arrays(*arrays)
    except ValueError:
        raise PricingError(f"shapes {[array.shape for array in arrays]} don't fit each other") from None
    if not all(np.isfinite(array).all() for array in arrays):
        raise PricingError("a delta needs finite numbers")
    return tuple(shaped)


def _check_positive(name: str, values: FloatArray) -> None:
    if not (values > 0).all():
        raise PricingError(f"{name} must be above zero")


def _check_not_negative(name: str, values: FloatArray) -> None:
    if not (values >= 0).all():
        raise PricingError(f"{name} must not be below zero")
