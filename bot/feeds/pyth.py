"""Pyth: a price with its confidence interval, as somebody last brought it to the chain.

Pyth's prices are made off the chain, and are as young there as their last update, which anyone may send and nobody
has to. So the price is read as it is (`getPriceUnsafe`), and its age is held against the heartbeat when the limits are
checked, like every feed's.
"""

from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.model import FeedPrice
from bot.core.units import from_raw
from bot.errors import DataError
from bot.ports import Reader

MOST_DECIMALS = 30
"""An exponent farther from 0 than this is not one of a price in USD."""


class PythFeed:
    """A price in USD, in one round."""

    def __init__(
        self,
        name: str,
        chain: str,
        address: str,
        price_id: str,
        max_confidence: Decimal,
        heartbeat_s: int,
        slack_s: int = 0,
        max_gap: Decimal | None = None,
    ) -> None:
        """`price_id` is the price's 32 bytes in hex; its interval may be `max_confidence` of the price to each side."""
        self.name = name
        self.chain = chain
        self._pyth = contract("pyth", address)
        self._price_id = bytes.fromhex(price_id.removeprefix("0x"))
        self._widest = max_confidence
        self._heartbeat_s = heartbeat_s
        self._slack_s = slack_s
        self._max_gap = max_gap

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        return {"address": self._pyth.address}

    def read(self) -> Reader[FeedPrice]:
        """The last price that was brought here. DataError where it is none, or its confidence interval is too wide."""
        (told,) = yield [self._pyth.call("getPriceUnsafe", self._price_id)]
        return FeedPrice(
            self.name, self._price(told), told["publishTime"], self._heartbeat_s, self._slack_s, self._max_gap
        )

    def watch(self) -> Reader[Decimal | None]:
        """The price alone."""
        return (yield from self.read()).price

    def _price(self, told: dict[str, Any]) -> Decimal:
        decimals = -told["expo"]
        if abs(decimals) > MOST_DECIMALS:
            raise DataError(f"feed {self.name}: its exponent is {told['expo']}, which is no price's")
        price, confidence = from_raw(told["price"], decimals), from_raw(told["conf"], decimals)
        if price <= 0:
            raise DataError(f"feed {self.name}: it answers {price:f}, which is no price")
        if confidence > self._widest * price:
            raise DataError(
                f"feed {self.name}: it is sure of {price:f} to ± {confidence / price:.3%} only, the limit is "
                f"{self._widest:.3%}"
            )
        return price
