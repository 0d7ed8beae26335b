"""Second prices of a book's underlying: one of several kinds of feed."""

import string
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from bot.config.fields import Address, Model, Ratio, Whole


def _price_id(value: str) -> str:
    digits = value.removeprefix("0x")
    if len(digits) != 64 or set(digits) - set(string.hexdigits) or not int(digits, 16):
        raise ValueError("a price id is 0x and 64 hex digits, not all of them 0")
    return f"0x{digits.lower()}"


PriceId = Annotated[str, AfterValidator(_price_id)]


class FeedModel(Model):
    """What every feed of the spot in USD has."""

    name: str
    """What messages call this feed; each feed of a book has its own."""
    address: Address
    """The contract that is asked, which answers in USD."""
    heartbeat_s: Whole
    """Seconds within which the feed promises a new price."""
    slack_s: Annotated[int, Field(ge=0, strict=True)] = 0
    """Seconds that it may be late; after both its price is too old to trade on."""
    max_deviation: Ratio | None = None
    """How far it may be from the book's spot, as a fraction, where that is stricter than `max_price_gap`."""
    chain: str | None = None
    """The chain that it is on: a NAME of `[chains.NAME]`; the venue's where it is not given."""


class ChainlinkConfig(FeedModel):
    """A Chainlink feed of the spot in USD."""

    kind: Literal["chainlink"]
    """A Chainlink aggregator."""


class RedstoneConfig(FeedModel):
    """A RedStone push feed of the spot in USD, which answers as an aggregator does."""

    kind: Literal["redstone"]
    """A RedStone push feed."""


class PythConfig(FeedModel):
    """A price in USD of the Pyth contract at `address`."""

    kind: Literal["pyth"]
    """A price on Pyth's contract."""
    price_id: PriceId
    """Which price: 0x and 64 hex digits."""
    max_confidence: Ratio
    """How wide the confidence interval may be to either side, as a fraction; a wider one stops the tick."""


FeedConfig = Annotated[ChainlinkConfig | RedstoneConfig | PythConfig, Field(discriminator="kind")]
