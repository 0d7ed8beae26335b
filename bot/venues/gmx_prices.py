"""The prices that GMX's Reader is told, for it has no oracle: Chainlink's, as fresh as their heartbeat asks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.units import from_raw
from bot.errors import DataError
from bot.ports import Call
from bot.venues.gmx_market import SCALE, GmxMarket, PriceSource

Price = tuple[int, int]
"""The lower and the upper price, raw."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What the Reader is told, in the protocol's units."""

    index: Price
    long: Price
    short: Price

    @property
    def arguments(self) -> tuple[Price, Price, Price]:
        """As the Reader takes them."""
        return self.index, self.long, self.short

    @property
    def mid(self) -> int:
        """The index's, raw."""
        return sum(self.index) // 2

    def least(self, token: str, market: GmxMarket) -> int:
        """The lower price of the long or the short token."""
        return self.long[0] if token.lower() == market.long_token.lower() else self.short[0]


def feed_calls(sources: Sequence[PriceSource]) -> dict[tuple[str, str], Call]:
    """What is asked of each feed, once however many tokens it prices."""
    calls: dict[tuple[str, str], Call] = {}
    for source in sources:
        feed = contract("chainlink_aggregator", source.feed)
        calls["answer", source.feed.lower()] = feed.call("latestRoundData")
        calls["scale", source.feed.lower()] = feed.call("decimals")
    return calls


def price_of(
    what: str, source: PriceSource, answers: Mapping[Any, Any], decimals: int, now: int, spread: Decimal
) -> Price:
    """A token's price from its feed's answers at Unix second `now`. DataError, naming `what`, where there is none."""
    _round, answer, _started, updated_at, _ = answers["answer", source.feed.lower()]
    usd = from_raw(answer, answers["scale", source.feed.lower()])
    if updated_at == 0:
        raise DataError(f"{what}: the latest round of feed {source.feed} is not complete")
    if answer <= 0:
        raise DataError(f"{what}: feed {source.feed} answers {usd:f}, which is no price")
    if now - updated_at > source.heartbeat_s:
        raise DataError(
            f"{what}: the price of feed {source.feed} is {now - updated_at} s old, and its heartbeat is "
            f"{source.heartbeat_s} s"
        )
    exact = usd.scaleb(SCALE - decimals)
    low = int((exact * (1 - spread)).to_integral_value(ROUND_FLOOR))
    high = int((exact * (1 + spread)).to_integral_value(ROUND_CEILING))
    if low <= 0:
        raise DataError(
            f"{what}: feed {source.feed} answers {usd:f}, which is no price at {decimals} decimals"
        )
    return low, high
