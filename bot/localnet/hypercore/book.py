"""The book of one market: a maker's levels about the mark, which are taken and come back with time.

Accounts trade with the maker alone, never with each other. Sizes in units, prices in USD, times in seconds.
"""

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal

from bot.localnet.hypercore import rules
from bot.localnet.hypercore.model import ZERO, Market


@dataclass(frozen=True, slots=True)
class Take:
    """So much at a price, from one level."""

    level: int
    px: Decimal
    size: Decimal


@dataclass(slots=True)
class Book:
    """`mark` and `oracle` are prices that the raw integers of HyperEVM can express."""

    market: Market
    mark: Decimal
    oracle: Decimal
    funding_rate: Decimal
    _taken: dict[bool, list[Decimal]] = field(init=False)

    def __post_init__(self) -> None:
        self._taken = {side: [ZERO] * len(self.market.levels) for side in (True, False)}

    def price(self, level: int, *, is_ask: bool) -> Decimal:
        """A level's price, rounded away from the mark to an allowed one."""
        offset = self.market.levels[level].offset
        moved = self.mark * (1 + offset if is_ask else 1 - offset)
        return rules.round_price(self.market, moved, up=is_ask)

    def available(self, level: int, *, is_ask: bool) -> Decimal:
        """What is left at a level, in whole lots."""
        left = self.market.levels[level].size - self._taken[is_ask][level]
        return left.quantize(self.market.lot, rounding=ROUND_DOWN)

    def best(self, *, is_ask: bool) -> Decimal | None:
        """The best bid or ask; None when that side is empty."""
        for level in range(len(self.market.levels)):
            if self.available(level, is_ask=is_ask) > 0:
                return self.price(level, is_ask=is_ask)
        return None

    def walk(self, is_buy: bool, limit: Decimal | None, size: Decimal) -> tuple[Take, ...]:
        """What an order up to `size` would take within its limit (None: any price), best first. Nothing changes."""
        takes = []
        for level in range(len(self.market.levels)):
            px = self.price(level, is_ask=is_buy)
            beyond = limit is not None and (px > limit if is_buy else px < limit)
            if beyond or size <= 0:
                break
            taken = min(self.available(level, is_ask=is_buy), size)
            if taken > 0:
                takes.append(Take(level, px, taken))
                size -= taken
        return tuple(takes)

    def take(self, is_buy: bool, takes: tuple[Take, ...]) -> None:
        """Removes from the book what `walk` found."""
        for part in takes:
            self._taken[is_buy][part.level] += part.size

    def refill(self, seconds: int) -> None:
        """Every level gets back its size × seconds ÷ refill_s, up to its size."""
        for taken in self._taken.values():
            for level, shape in enumerate(self.market.levels):
                back = shape.size * seconds / self.market.refill_s
                taken[level] = max(taken[level] - back, ZERO)
