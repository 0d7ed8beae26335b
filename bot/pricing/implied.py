"""The volatility that a European option's price implies under Black-Scholes-Merton: `black_scholes` inverted.

The price is reduced to the value of the out-of-the-money option over its upper bound, the lower of the two
discounted legs; the logarithm of that, or of what is missing to one, is then solved for the total volatility by
Householder's third-order method from a first guess between bounds. After P. Jäckel, "Let's Be Rational" (2015).

The result is as good as the price: an error in the price becomes one of itself over vega. An out-of-the-money price
keeps all its digits, also where it is tiny. An in-the-money price keeps only the digits of its time value.
"""

import math

import numpy as np
import numpy.typing as npt

from bot.errors import PricingError
from bot.pricing.arguments import (
    MOST_VOL,
    BoolArray,
    FloatArray,
    check_each,
    check_range,
    common_shape,
    element,
    flat,
    flat_sides,
    numbers,
    sides,
)


def implied_vol(
    price: npt.ArrayLike,
    spot: npt.ArrayLike,
    strike: npt.ArrayLike,
    years: npt.ArrayLike,
    rate: npt.ArrayLike,
    is_call: npt.ArrayLike,
    carry_yield: npt.ArrayLike = 0.0,
) -> FloatArray:
    """The volatility per year, 1.00 for 100 %, at which `black_scholes` gives ``price``; of the common shape.

    ``price``, ``spot`` and ``strike`` are USD, ``years`` 365-day years, the others as in `black_scholes`.

    Raises PricingError, naming the first bad element, where an argument is out of its range, where no time is
    left, and where no volatility gives the price: it has no time value beyond rounding, is below the intrinsic
    value, reaches its upper bound (the spot less its yield for a call, the discounted strike for a put), is too
    small to have all its digits, or takes more volatility than ``arguments.MOST_VOL``.
    """
    from bot.pricing import kernel

    named = {
        "price": numbers("price", price),
        "spot": numbers("spot", spot),
        "strike": numbers("strike", strike),
        "years": numbers("years", years),
        "rate": numbers("rate", rate),
        "carry_yield": numbers("carry_yield", carry_yield),
    }
    call = sides(is_call)
    shape = common_shape({**named, "is_call": call})
    out = np.empty(int(np.prod(shape)))
    value, asset, cash, time, interest, carry = (flat(array, shape) for array in named.values())
    bad = kernel.implied_loop(value, asset, cash, time, interest, carry, flat_sides(call, shape), out)
    if bad or 0 in shape:
        check_each(named)
    if bad:
        _refuse(named, call, shape, int(np.argmax(np.isnan(out))))
    return out.reshape(shape)


def _refuse(named: dict[str, FloatArray], call: BoolArray, shape: tuple[int, ...], index: int) -> None:
    """Raises PricingError for the option at flat `index`, whose arguments are each sound by themselves."""
    from bot.pricing import kernel

    price, spot, strike, years, rate, carry = (
        float(np.broadcast_to(array, shape).reshape(-1)[index]) for array in named.values()
    )
    is_call = bool(np.broadcast_to(call, shape).reshape(-1)[index])
    if years == 0.0:
        where = element("years", named["years"], index, shape)
        raise PricingError(f"{where}: without time left no volatility is implied")
    value, intrinsic, low, _ = kernel.time_value(price, spot, strike, years, rate, carry, is_call)
    if not (0.0 < low < math.inf):
        check_range({name: array for name, array in named.items() if name != "price"}, shape)
    where = element("price", named["price"], index, shape)
    if value < -kernel.SLACK * intrinsic:
        raise PricingError(f"{where}: it is below the intrinsic value, {intrinsic}")
    if value <= kernel.SLACK * intrinsic:
        raise PricingError(f"{where}: it has no time value above the intrinsic value, {intrinsic}")
    if low - value <= kernel.SLACK * low:
        raise PricingError(f"{where}: it must be below the upper bound, {intrinsic + low}")
    if value <= kernel.LEAST_PART * low:
        raise PricingError(f"{where}: it is too small to imply a volatility")
    raise PricingError(f"{where}: it takes a volatility above {MOST_VOL} ({MOST_VOL:.0%} a year)")
