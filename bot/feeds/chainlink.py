"""AggregatorV3 as Chainlink made it: a second source for a price, and the uptime of an L2's sequencer.

RedStone's push feeds answer by the same interface, so they are read by the same class. The number of decimals is the
feed's own word, asked once.

A feed's age is held against its own heartbeat when the limits are checked; what is no price at all stops the tick.
`answeredInRound` is deprecated and the aggregator's own bounds are mostly unused: neither is looked at.
"""

from decimal import Decimal

from bot.chain.contracts import contract
from bot.core.model import FeedPrice, SequencerState
from bot.core.units import from_raw
from bot.errors import DataError
from bot.ports import Reader

UP = 0
"""What an uptime feed answers while the sequencer runs; 1 while it is down."""


class ChainlinkFeed:
    """A price in USD, in one round."""

    def __init__(
        self,
        name: str,
        chain: str,
        address: str,
        heartbeat_s: int,
        slack_s: int = 0,
        max_gap: Decimal | None = None,
    ) -> None:
        self.name = name
        self.chain = chain
        self._feed = contract("chainlink_aggregator", address)
        self._heartbeat_s = heartbeat_s
        self._slack_s = slack_s
        self._max_gap = max_gap
        self._decimals: int | None = None

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        return {"address": self._feed.address}

    def read(self) -> Reader[FeedPrice]:
        """The latest round's price. DataError where the round is incomplete or its answer is no price."""
        first = [] if self._decimals is not None else [self._feed.call("decimals")]
        (_round, answer, _started, updated_at, _), *told = yield [
            self._feed.call("latestRoundData"),
            *first,
        ]
        decimals = self._decimals = told[0] if self._decimals is None else self._decimals
        if updated_at == 0:
            raise DataError(f"feed {self.name}: its latest round is not complete")
        if answer <= 0:
            raise DataError(f"feed {self.name}: it answers {from_raw(answer, decimals):f}, which is no price")
        price = from_raw(answer, decimals)
        return FeedPrice(self.name, price, updated_at, self._heartbeat_s, self._slack_s, self._max_gap)

    def watch(self) -> Reader[Decimal | None]:
        """The price alone."""
        return (yield from self.read()).price


class SequencerFeed:
    """Whether a chain's sequencer runs, in one round."""

    def __init__(self, chain: str, address: str, grace_s: int) -> None:
        self.name = f"chains.{chain}"
        self.chain = chain
        self._feed = contract("chainlink_aggregator", address)
        self._grace_s = grace_s

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        return {"sequencer_feed": self._feed.address}

    def read(self) -> Reader[SequencerState]:
        """The latest answer, and since when it holds."""
        ((_round, answer, started_at, _updated, _),) = yield [self._feed.call("latestRoundData")]
        return SequencerState(self.chain, answer == UP, started_at, self._grace_s)
