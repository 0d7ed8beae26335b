"""Second prices of a book's underlying: one of several kinds of feed."""

from typing import Literal

from bot.config.fields import Address, Model, Whole


class ChainlinkConfig(Model):
    """A Chainlink feed of the spot in USD; a price older than its `heartbeat_s` is not traded on.

    It is on the venue's chain unless `chain` says otherwise.
    """

    kind: Literal["chainlink"]
    name: str
    address: Address
    heartbeat_s: Whole
    chain: str | None = None


FeedConfig = ChainlinkConfig
