"""An order in the numbers that its limits are held against: its price bound, and the most it may be worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from bot.core.costs import Costs

PRICE_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Order:
    """What calldata asks of a venue: a signed size, the worst average price accepted with fees, and a deadline.

    `price_bound` is in USD per unit, `deadline` a Unix second, None where the venue knows none. The bound may be
    stricter than the one decided by up to `stricter_by`: the tick of a venue whose prices are coarse.
    """

    size: Decimal
    price_bound: Decimal
    deadline: int | None
    stricter_by: Decimal = Decimal(0)

    def means(self, size: Decimal, price_bound: Decimal, deadline: int) -> bool:
        """Whether this is the order that was decided, its bound no worse and no more than `stricter_by` stricter."""
        side = 1 if size > 0 else -1
        stricter = side * (price_bound - self.price_bound)
        on_time = self.deadline in (None, deadline)
        return self.size == size and on_time and 0 <= stricter <= self.stricter_by


@dataclass(frozen=True, slots=True)
class Cap:
    """The largest order (units of the underlying, ≥ 0) that one limit allows. `code` is that of a Hold for its sake.

    What a cap that is `passing` cut off may follow as a next order at once.
    """

    code: str
    name: str
    size: Decimal
    passing: bool = False


def tightest(caps: Sequence[Cap]) -> Cap:
    """The cap that allows least."""
    return min(caps, key=lambda cap: cap.size)


def price_bound(costs: Costs, size: Decimal, max_slippage: Decimal) -> Decimal:
    """The worst average price for `size`, fees included: the quoted one with the fee, worsened by `max_slippage`."""
    buys = size > 0
    bound = costs.average_price(size) * bound_factor(1 if buys else -1, costs.fee_ratio, max_slippage)
    return bound.quantize(PRICE_STEP, rounding=ROUND_FLOOR if buys else ROUND_CEILING)


def bound_factor(side: int, fee_ratio: Decimal, max_slippage: Decimal) -> Decimal:
    """The price bound of an order of a side (1 buys, −1 sells) ÷ its quoted average price."""
    return (1 + side * max_slippage) * (1 + side * fee_ratio)


def reserve_price(bound: Decimal, mark: Decimal) -> Decimal:
    """What one unit is counted at before it is traded, in USD.

    A purchase costs its bound at most. A sale's bound is the least it brings; it is taken to bring at most as much more
    than the mark as that is less.
    """
    return mark + abs(bound - mark)


def reserve_usd(size: Decimal, bound: Decimal, mark: Decimal) -> Decimal:
    """What an order is counted at before it is traded, in USD."""
    return abs(size) * reserve_price(bound, mark)
