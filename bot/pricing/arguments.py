"""Arguments of a pricing function: one shape for all of them, and which element of which can't be priced."""

from collections.abc import Callable, Mapping
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt

from bot.errors import PricingError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

MOST_VOL: Final = 50.0
"""The highest volatility taken for one, per year with 1.00 for 100 %: above it a percentage was not divided."""

_POSITIVE: Final = ("spot", "forward", "prices", "strike")
_NON_NEGATIVE: Final = ("years", "vol", "price")


def numbers(name: str, value: npt.ArrayLike) -> FloatArray:
    """`value` as float64, of its own shape. Raises PricingError where it isn't numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biufO" or (array.dtype.kind == "b"):
            raise PricingError(f"{name} must be numbers, got {array.dtype}")
        return np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PricingError(f"{name} must be numbers: {error}") from error


def sides(value: npt.ArrayLike) -> BoolArray:
    """`is_call` as booleans, of its own shape. Raises PricingError for anything else, 0 and 1 included."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise PricingError(f"is_call must be boolean: {error}") from error
    if array.dtype != np.bool_:
        raise PricingError(f"is_call must be boolean, got {array.dtype}")
    return array


def common_shape(arguments: Mapping[str, npt.NDArray[np.generic]]) -> tuple[int, ...]:
    """The shape that all broadcast to. Raises PricingError, listing every shape, where there is none."""
    try:
        return np.broadcast_shapes(*(array.shape for array in arguments.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arguments.items())
        raise PricingError(f"the arguments' shapes do not broadcast together: {shapes}") from None


def flat(array: FloatArray, shape: tuple[int, ...], whole: bool = False) -> FloatArray:
    """`array` as a compiled loop takes it: (n,) for the n elements of `shape`, or (1,) where one serves all.

    Always contiguous, aligned and writable, because a compiled function is compiled anew for any other kind.
    """
    if array.size == 1 and not whole:
        return np.require(array.reshape(1), requirements=["C", "A", "W"])
    return np.require(np.broadcast_to(array, shape).reshape(-1), requirements=["C", "A", "W"])


def flat_sides(array: BoolArray, shape: tuple[int, ...], whole: bool = False) -> BoolArray:
    """As `flat`, for booleans."""
    if array.size == 1 and not whole:
        return np.require(array.reshape(1), requirements=["C", "A", "W"])
    return np.require(np.broadcast_to(array, shape).reshape(-1), requirements=["C", "A", "W"])


def element(name: str, array: FloatArray, index: int, shape: tuple[int, ...]) -> str:
    """The element behind flat `index` of the common `shape`, as "vol[3] is 0.5", or "vol is 0.5" for a scalar."""
    if array.ndim == 0:
        return f"{name} is {float(array)}"
    own = int(np.broadcast_to(np.arange(array.size).reshape(array.shape), shape).reshape(-1)[index])
    place = ", ".join(str(int(part)) for part in np.unravel_index(own, array.shape))
    return f"{name}[{place}] is {float(array.reshape(-1)[own])}"


def check_each(arguments: Mapping[str, FloatArray]) -> None:
    """Raises PricingError for the first element that is out of its own argument's range, arguments in order."""
    for name, array in arguments.items():
        _refuse_where(name, array, lambda x: ~np.isfinite(x), "it must be finite")
        if name in _POSITIVE:
            _refuse_where(name, array, lambda x: x <= 0.0, "it must be above zero")
        if name in _NON_NEGATIVE:
            _refuse_where(name, array, lambda x: x < 0.0, "it must not be below zero")
        if name == "vol":
            rule = f"it must not be above {MOST_VOL} ({MOST_VOL:.0%} a year)"
            _refuse_where(name, array, lambda x: x > MOST_VOL, rule)


def check_range(arguments: Mapping[str, FloatArray], shape: tuple[int, ...]) -> NoReturn:
    """Raises PricingError for the element that takes a discount, a leg or the forward out of float64's range.

    `arguments` are the price (under any name), strike, years, and rate, with carry_yield where there is one; each
    is sound by itself, and one element is known to be at fault.
    """
    names = list(arguments)
    price, strike, years = (np.broadcast_to(arguments[name], shape).reshape(-1) for name in names[:3])
    with np.errstate(all="ignore"):
        factors = {
            name: np.exp(-np.broadcast_to(arguments[name], shape).reshape(-1) * years)
            for name in ("rate", "carry_yield")
            if name in arguments
        }
        asset = price * factors.get("carry_yield", np.ones(()))
        terms = (
            *((name, factor, "discount factor") for name, factor in factors.items()),
            ("strike", strike * factors["rate"], "discounted strike"),
            (names[0], asset, "discounted price of the underlying"),
            (names[0], price / strike, "ratio of price to strike"),
        )
    for name, term, what in terms:
        outside = ~((term >= np.finfo(np.float64).tiny) & (term < np.inf))
        if outside.any():
            where = element(name, arguments[name], int(np.argmax(outside)), shape)
            raise PricingError(f"{where}: it puts the {what} outside the range of float64")
    raise PricingError(f"{', '.join(names)} put the forward outside the range of float64")


def _refuse_where(name: str, array: FloatArray, bad: Callable[[FloatArray], BoolArray], rule: str) -> None:
    mask = np.asarray(bad(array))
    if mask.any():
        raise PricingError(f"{element(name, array, int(np.argmax(mask)), array.shape)}: {rule}")
