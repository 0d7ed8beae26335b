"""European option prices and sensitivities under Black-Scholes-Merton and Black-76.

One implementation serves both models. Black-Scholes-Merton takes a spot that pays a continuous yield ``q``;
Black-76 is the same formula with ``q`` equal to the rate, because holding a forward costs nothing. Only rho
differs: the former keeps the spot fixed as the rate moves, the latter keeps the forward fixed.

Notation, with ``tau`` years to expiry and ``phi`` = +1 for a call and -1 for a put::

    F  = S exp((r - q) tau)                          the forward
    w  = vol sqrt(tau)                               the total volatility
    d1 = ln(F / K) / w + w / 2,   d2 = d1 - w
    V  = phi (S exp(-q tau) N(phi d1) - K exp(-r tau) N(phi d2))

Sources: F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities" (1973); R. Merton,
"Theory of Rational Option Pricing" (1973), for the yield; F. Black, "The Pricing of Commodity Contracts"
(1976), for the forward; J. Hull, "Options, Futures, and Other Derivatives", the chapters on index options,
futures options and the Greek letters, for the sensitivities.

Edges. Where ``w`` is zero the option pays a known amount, and the fields are limits as volatility falls to
zero. "At the forward" means that ``F`` and ``K`` are equal to the last bit:

- price is the discounted intrinsic value of the forward; delta, theta and rho are its derivatives, or, at the
  forward, where it has a kink, the mean of the derivatives on its two sides (so ``N`` is 1/2 there);
- gamma is zero; at the forward its limit is infinite, and zero is reported by convention;
- vega is zero, except at the forward with time left, where the price rises with volatility from the start and
  vega is the one-sided derivative ``S exp(-q tau) sqrt(tau / (2 pi))``.

At expiry (``tau`` = 0) theta is zero by convention: no time is left to pass, and just before expiry the theta
of an option at the forward has no bound.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import erfcx, ndtr

FloatArray = npt.NDArray[np.float64]

SECONDS_PER_YEAR: Final = 31_536_000
"""Seconds in the 365-day year that every ``years`` argument here is counted in."""

_SQRT_2: Final = float(np.sqrt(2.0))
_SQRT_HALF_PI: Final = float(np.sqrt(np.pi / 2.0))
_SQRT_2_PI: Final = float(np.sqrt(2.0 * np.pi))


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """Values for one option each, as float64 arrays of one common shape (``()`` for scalar arguments).

    price: USD per option, never negative.
    delta: units of the underlying per option, dV/dS (or dV/dF).
    gamma: change of delta per USD of the underlying.
    vega:  USD per 1.00 of volatility (divide by 100 for one volatility point).
    theta: USD per 365-day year of time passing with everything else fixed, dV/dt.
    rho:   USD per 1.00 of the interest rate.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray


def black_scholes(
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    is_call: npt.ArrayLike,
    carry_yield: npt.ArrayLike = 0.0,
) -> Greeks:
    """Price European options on a spot that pays a continuous yield (Merton 1973; Hull, index options).

    Arguments are scalars or arrays that broadcast together; the result has their common shape. ``spot`` and
    ``strike`` are USD, ``years`` is in 365-day years, ``vol``, ``rate`` and ``carry_yield`` are per year with
    1.00 for 100 %, the last two continuously compounded and of either sign. ``is_call`` is boolean. Delta and
    gamma are with respect to the spot; rho holds the spot and the yield fixed.

    Raises ValueError, naming the argument, where ``spot`` or ``strike`` is not above zero, ``years`` or
    ``vol`` is below zero, any number is NaN or infinite, or ``is_call`` is not boolean; also where a discount
    factor, the forward or its ratio to the strike leaves the range of float64, and where shapes do not
    broadcast.
    """
    s, k, tau, sigma, r, q, call = np.broadcast_arrays(
        _positive("spot", spot),
        _positive("strike", strike),
        _non_negative("years", years),
        _non_negative("vol", vol),
        _finite("rate", rate),
        _finite("carry_yield", carry_yield),
        _boolean("is_call", is_call),
    )
    # Overflow to infinity and division by zero give the limits wanted here, and underflow to zero is right.
    with np.errstate(all="ignore"):
        discount = np.exp(-r * tau)
        yield_discount = np.exp(-q * tau)
        forward = s * np.exp((r - q) * tau)
        moneyness = forward / k
        for factor in (discount, yield_discount, moneyness):
            if not np.all(np.isfinite(factor) & (factor > 0.0)):
                raise ValueError(
                    "spot, strike, years, rate and carry_yield put a discount factor, the forward or its "
                    "ratio to the strike outside the range of float64"
                )

        root_tau = np.sqrt(tau)
        total_vol = sigma * root_tau
        log_moneyness = np.log(moneyness)
        # ln(F/K) / w tends to ±infinity off the forward as w falls to zero, and stays zero at the forward.
        centre = np.where(log_moneyness == 0.0, 0.0, log_moneyness / total_vol)
        d1 = centre + 0.5 * total_vol
        d2 = centre - 0.5 * total_vol

        sign = np.where(call, 1.0, -1.0)
        density = _normal_density(d1)
        asset_leg = sign * yield_discount * ndtr(sign * d1)
        cash_leg = sign * k * discount * ndtr(sign * d2)

        # An in-the-money option is its intrinsic value plus the other side's out-of-the-money option. Both
        # terms are non-negative, so no digits are lost however small the time value is.
        intrinsic = np.maximum(sign * (forward - k), 0.0)
        price = discount * (intrinsic + _out_of_the_money(forward, k, centre, total_vol))
        # Dividing twice keeps spot * total_vol from underflowing to zero and turning 0 / 0 into NaN.
        gamma = np.where(total_vol > 0.0, yield_discount * density / s / total_vol, 0.0)
        vega = s * yield_discount * density * root_tau
        decay = -s * yield_discount * density * sigma / (2.0 * root_tau)
        theta = np.where(tau > 0.0, decay + q * s * asset_leg - r * cash_leg, 0.0)
        rho = tau * cash_leg
    return Greeks(
        price=np.asarray(price),
        delta=np.asarray(asset_leg),
        gamma=gamma,
        vega=np.asarray(vega),
        theta=theta,
        rho=np.asarray(rho),
    )


def black_76(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    is_call: npt.ArrayLike,
) -> Greeks:
    """Price European options on a forward that expires with the option (Black 1976; Hull, futures options).

    Shapes, units and errors are those of ``black_scholes``, with ``forward`` in USD in place of the spot.
    Delta and gamma are with respect to the forward and discounted at ``rate``; rho holds the forward fixed,
    which leaves only discounting: ``-years * price``.
    """
    underlying = _positive("forward", forward)
    tau = _non_negative("years", years)
    greeks = black_scholes(underlying, strike, tau, vol, rate, is_call, carry_yield=rate)
    return replace(greeks, rho=np.asarray(-tau * greeks.price))


def _out_of_the_money(
    forward: FloatArray, strike: FloatArray, centre: FloatArray, total_vol: FloatArray
) -> FloatArray:
    """Undiscounted value of whichever of the call and the put is out of the money, in USD; same shape.

    The call below the strike and the put above it are one expression in the lower and the higher of forward
    and strike: ``low N(e1) - high N(e2)`` with ``e1, e2 = -|ln(F/K)| / w ± w / 2``.
    """
    low = np.minimum(forward, strike)
    e1 = 0.5 * total_vol - np.abs(centre)
    e2 = -0.5 * total_vol - np.abs(centre)
    # low n(e1) = high n(e2), so n(e1) factors out of the difference. What is left subtracts two ratios N/n of
    # ordinary size, which costs no more digits than one rounding of the forward does; subtracting the tails
    # themselves would also multiply the error of each exponential.
    density = _normal_density(e1)
    # The ratio overflows for large positive e1, where N(e1) is near one and needs no factoring.
    upper = np.where(e1 > 0.0, ndtr(e1), density * _ratio_of_tail_to_density(e1))
    value = low * (upper - density * _ratio_of_tail_to_density(e2))
    # The ratio need not be monotone to the last bit, so neighbouring e1 and e2 could leave a trace below zero.
    return np.asarray(np.maximum(value, 0.0))


def _normal_density(x: FloatArray) -> FloatArray:
    """Density of the standard normal distribution; zero at ±infinity."""
    return np.asarray(np.exp(-0.5 * x * x) / _SQRT_2_PI)


def _ratio_of_tail_to_density(x: FloatArray) -> FloatArray:
    """N(x) / n(x), Mills' ratio of ``-x``: zero at -infinity, no underflow, overflow above about 37."""
    return np.asarray(_SQRT_HALF_PI * erfcx(-x / _SQRT_2))


def _finite(name: str, value: npt.ArrayLike) -> FloatArray:
    array = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} must be finite")
    # Adding zero turns -0.0 into 0.0: a negative zero volatility would swap the signs of the limits.
    return np.asarray(array + 0.0)


def _positive(name: str, value: npt.ArrayLike) -> FloatArray:
    array = _finite(name, value)
    if not np.all(array > 0.0):
        raise ValueError(f"{name} must be above zero")
    return array


def _non_negative(name: str, value: npt.ArrayLike) -> FloatArray:
    array = _finite(name, value)
    if not np.all(array >= 0.0):
        raise ValueError(f"{name} must not be below zero")
    return array


def _boolean(name: str, value: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise ValueError(f"{name} must be boolean, got {array.dtype}")
    return array
