"""European option prices and sensitivities under Black-Scholes-Merton and Black-76.

One implementation serves both models. Black-Scholes-Merton takes a spot that pays a continuous yield ``q``;
Black-76 is the same formula with ``q`` equal to the rate, because holding a forward costs nothing. Only rho
differs: the former keeps the spot fixed as the rate moves, the latter keeps the forward fixed.

Notation, with ``tau`` years to expiry and ``phi`` = +1 for a call and -1 for a put::

    F  = S exp((r - q) tau)                          the forward
    w  = vol sqrt(tau)                               the total volatility
    d1 = ln(F / K) / w + w / 2,   d2 = d1 - w
    V  = phi (S exp(-q tau) N(phi d1) - K exp(-r tau) N(phi d2))
    vanna = -exp(-q tau) n(d1) d2 / vol,   volga = vega d1 d2 / vol
    charm = q delta - exp(-q tau) n(d1) ((r - q) / w - d2 / (2 tau))

Sources: F. Black and M. Scholes, "The Pricing of Options and Corporate Liabilities" (1973); R. Merton,
"Theory of Rational Option Pricing" (1973), for the yield; F. Black, "The Pricing of Commodity Contracts"
(1976), for the forward; J. Hull, "Options, Futures, and Other Derivatives", the chapters on index options,
futures options and the Greek letters, for the sensitivities; E. Haug, "The Complete Guide to Option Pricing
Formulas" (2007), for vanna, volga and charm.

Edges. Where ``w`` is zero the option pays a known amount, and the fields are limits as volatility falls to
zero. "At the forward" means that ``ln(S / K) + (r - q) tau`` is zero to the last bit:

- price is the discounted intrinsic value of the forward; delta, theta and rho are its derivatives, or, at the
  forward, where it has a kink, the mean of the derivatives on its two sides (so ``N`` is 1/2 there);
- gamma is zero; at the forward its limit is infinite, and zero is reported by convention;
- vega is zero, except at the forward with time left, where the price rises with volatility from the start and
  vega is the one-sided derivative ``S exp(-q tau) sqrt(tau / (2 pi))``; so is vanna, half of vega over ``S``;
- volga is zero; charm is ``q`` times delta, at the forward by convention, for its limit there may be infinite.

At expiry (``tau`` = 0) theta and charm are zero by convention: no time is left to pass, and just before expiry
the theta of an option at the forward has no bound.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from bot.errors import PricingError
from bot.pricing.arguments import (
    FloatArray,
    check_each,
    check_range,
    common_shape,
    flat,
    flat_sides,
    numbers,
    sides,
)

SECONDS_PER_YEAR: Final = 31_536_000
"""Seconds in the 365-day year that every ``years`` argument here is counted in."""


@dataclass(frozen=True, slots=True, eq=False)
class Greeks:
    """Values for one option each, as float64 arrays of one common shape (``()`` for scalar arguments).

    price: USD per option, never negative.
    delta: units of the underlying per option, dV/dS (or dV/dF).
    gamma: change of delta per USD of the underlying.
    vega:  USD per 1.00 of volatility (divide by 100 for one volatility point).
    theta: USD per 365-day year of time passing with everything else fixed, dV/dt.
    rho:   USD per 1.00 of the interest rate.
    vanna: change of delta per 1.00 of volatility, which is that of vega per USD of the underlying.
    volga: change of vega per 1.00 of volatility.
    charm: change of delta per 365-day year of time passing with everything else fixed.
    """

    price: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray
    rho: FloatArray
    vanna: FloatArray
    volga: FloatArray
    charm: FloatArray


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

    Raises PricingError, naming the argument and its first bad element, where ``spot`` or ``strike`` is not above
    zero, ``years`` or ``vol`` is below zero, ``vol`` is above ``arguments.MOST_VOL``, any number is NaN or
    infinite, or ``is_call`` is not boolean; also where a discount factor, a discounted leg or the ratio of spot to
    strike leaves the normal range of float64, and where shapes do not broadcast.
    """
    named = {
        "spot": numbers("spot", spot),
        "strike": numbers("strike", strike),
        "years": numbers("years", years),
        "vol": numbers("vol", vol),
        "rate": numbers("rate", rate),
        "carry_yield": numbers("carry_yield", carry_yield),
    }
    return _greeks(named, named["carry_yield"], is_call)


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
    named = {
        "forward": numbers("forward", forward),
        "strike": numbers("strike", strike),
        "years": numbers("years", years),
        "vol": numbers("vol", vol),
        "rate": numbers("rate", rate),
    }
    greeks = _greeks(named, named["rate"], is_call)
    return replace(greeks, rho=np.asarray(-named["years"] * greeks.price))


def book_delta(
    prices: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    vol: npt.ArrayLike,
    rate: npt.ArrayLike,
    is_call: npt.ArrayLike,
    size: npt.ArrayLike,
) -> FloatArray:
    """The delta of a whole book at each of several prices of the underlying, in units of the underlying.

    ``prices`` is (M,) USD and so is the result's shape; the other arguments broadcast to one shape, whose options
    are summed in order. ``size`` is in options, negative for a short position. Element m is the sum of ``size``
    times the delta that ``black_scholes`` gives at ``prices[m]`` without a yield, edges included. Raises
    PricingError as ``black_scholes`` does, and where ``size`` is not finite.
    """
    from bot.pricing import kernel

    spots = numbers("prices", prices)
    if spots.ndim != 1:
        raise PricingError(f"prices must have one dimension, got the shape {spots.shape}")
    named = {
        "strike": numbers("strike", strike),
        "years": numbers("years", years),
        "vol": numbers("vol", vol),
        "rate": numbers("rate", rate),
        "size": numbers("size", size),
    }
    call = sides(is_call)
    shape = common_shape({**named, "is_call": call})
    # Few beside the options, and the loop takes them as sound.
    check_each({"prices": spots})
    out = np.zeros(spots.shape)
    if spots.size == 0 or 0 in shape:
        check_each(named)
        return out
    strikes, times, vols, rates, sizes = (flat(array, shape, whole=True) for array in named.values())
    calls = flat_sides(call, shape, whole=True)
    bad = kernel.book_delta_loop(flat(spots, spots.shape), strikes, times, vols, rates, calls, sizes, out)
    if bad:
        check_each(named)
        spread = (*shape, spots.size)
        columns = {name: named[name][..., np.newaxis] for name in ("strike", "years", "rate")}
        check_range({"prices": spots, **columns}, spread)
    return out


def _greeks(named: dict[str, FloatArray], carry: FloatArray, is_call: npt.ArrayLike) -> Greeks:
    """Greeks from the arguments by name: the underlying's price first, then strike, years, vol and rate."""
    # The compiler takes a third of a second to import, which a command that prices nothing need not wait for.
    from bot.pricing import kernel

    call = sides(is_call)
    shape = common_shape({**named, "is_call": call})
    out = np.empty((kernel.FIELDS, int(np.prod(shape))))
    price, strike, years, vol, rate = (flat(named[name], shape) for name in list(named)[:5])
    bad = kernel.greeks_loop(
        price, strike, years, vol, rate, flat(carry, shape), flat_sides(call, shape), out
    )
    if bad or 0 in shape:
        check_each(named)
    if bad:
        check_range({name: array for name, array in named.items() if name != "vol"}, shape)
    return Greeks(*(row.reshape(shape) for row in out))
