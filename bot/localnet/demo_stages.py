"""What a demo plays on: a chain with an option vault and a perps DEX whose market moves step by step."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import tomlkit

from bot.core.model import Snapshot
from bot.core.situation import nav_of
from bot.localnet.demo_venues import Side
from bot.localnet.market import Market
from bot.localnet.world import World

STARTING_TRADES = 24


class Stage(Protocol):
    """One demo's world. Times are Unix seconds on its chain, prices and values USD."""

    @property
    def hedger_key(self) -> str:
        """The private key that the desk signs with: worth nothing anywhere else."""
        ...

    def configuration(self) -> tomlkit.TOMLDocument:
        """The desk's configuration for this world."""
        ...

    def now(self) -> int:
        """The chain's time."""
        ...

    def advance(self, at: int, price: Decimal) -> int:
        """The market is at `price` at time `at`, what expired is settled. Returns how many expiries were."""
        ...

    def trade(self, *, first: bool) -> int:
        """The option traders do what is due, or open the first positions. Returns how many trades went through."""
        ...

    def wait(self, seconds: int) -> None:
        """Time passes within a step, and whoever executes orders does what is due."""
        ...

    def nav(self, seen: Snapshot) -> Decimal:
        """What the vault is worth without its hedge."""
        ...

    def value(self, seen: Snapshot) -> Decimal:
        """What closing the hedge now would leave its owner, gas aside."""
        ...

    def funding(self, orders: Sequence[Mapping[str, Any]], last: Snapshot) -> Decimal:
        """What the hedge paid for being carried."""
        ...


class LyraStage:
    """A Lyra Avalon pool, hedged on one of the venues of its world."""

    def __init__(self, world: World, side: Side, seed: int) -> None:
        self._world = world
        self._side = side
        self._market = Market(world, seed)
        self.hedger_key = world.hedger_key

    def configuration(self) -> tomlkit.TOMLDocument:
        """See the protocol."""
        return self._side.configuration()

    def now(self) -> int:
        """See the protocol."""
        return self._world.node.timestamp()

    def advance(self, at: int, price: Decimal) -> int:
        """See the protocol."""
        self._market.advance(at, price)
        self._side.set_price(price)
        settled = self._market.settle_expired()
        self._market.poke_funding()
        self._market.refresh()
        return settled

    def trade(self, *, first: bool) -> int:
        """See the protocol."""
        trades = self._market.open_interest(STARTING_TRADES) if first else self._market.trade_flows()
        if trades:
            self._market.refresh()
        return trades

    def wait(self, seconds: int) -> None:
        """See the protocol."""
        self._market.set_time(self.now() + seconds)
        self._side.work()

    def nav(self, seen: Snapshot) -> Decimal:
        """The vault's own figure."""
        return nav_of(seen)

    def value(self, seen: Snapshot) -> Decimal:
        """See the protocol."""
        return self._side.value(seen)

    def funding(self, orders: Sequence[Mapping[str, Any]], last: Snapshot) -> Decimal:
        """See the protocol."""
        return self._side.funding(orders, last)
