"""Second prices of a book's underlying: one of several kinds of feed."""

from typing import Literal

from bot.config.fields import Address, Model, Whole


class ChainlinkConfig(Model):
    """A Chainlink feed of the spot in USD."""

    kind: Literal["chainlink"]
    """A Chainlink aggregator."""
    name: str
    """What messages call this feed; each feed of a book has its own."""
    address: Address
    """The aggregator's proxy, which answers in USD."""
    heartbeat_s: Whole
    """Seconds after which its price is too old to trade on."""
    chain: str | None = None
    """The chain that it is on: a NAME of `[chains.NAME]`; the venue's where it is not given."""


FeedConfig = ChainlinkConfig
