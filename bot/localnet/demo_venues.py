"""The demo's hedging side: what differs between the perps DEXes that its vault is hedged on."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import tomlkit

from bot.chain.contracts import contract
from bot.core.model import Snapshot
from bot.core.units import from_raw
from bot.localnet.configuration import world_config
from bot.localnet.gmx.deploy import FEED, USDC, GmxDeployment, deploy_gmx, gmx_contract
from bot.localnet.gmx.keeper import Keeper
from bot.localnet.opening import open_markets
from bot.localnet.world import START_PRICE, World
from bot.ports import Log
from bot.share import share

GMX_WALLET_USD = 400_000


class Side(Protocol):
    """One venue in the demo."""

    def configuration(self) -> tomlkit.TOMLDocument:
        """The hedger's configuration for this world."""
        ...

    def set_price(self, price: Decimal) -> None:
        """The venue's own oracle says this price, in USD."""
        ...

    def work(self) -> None:
        """Whoever executes orders here does what is due by the chain's time."""
        ...

    def value(self, seen: Snapshot) -> Decimal:
        """What closing the hedge now would leave its owner, in USD, gas aside."""
        ...

    def funding(self, orders: Sequence[Mapping[str, Any]], last: Snapshot) -> Decimal:
        """What the hedge paid for being carried, in USD."""
        ...


class CurieSide:
    """Perpetual Protocol v2: an order is executed in its own transaction."""

    def __init__(self, world: World) -> None:
        open_markets(world)
        self._world = world
        self._first_block = world.node.block_number()

    def configuration(self) -> tomlkit.TOMLDocument:
        """See the protocol."""
        return world_config(self._world)

    def set_price(self, price: Decimal) -> None:
        """The market moved this venue's feed with the vault's already."""

    def work(self) -> None:
        """Nothing waits."""

    def value(self, seen: Snapshot) -> Decimal:
        """See the protocol."""
        return seen.venue.margin.exit_value

    def funding(self, _orders: Sequence[Mapping[str, Any]], last: Snapshot) -> Decimal:
        """From all settlements on chain: funding is settled with other transactions too than our orders."""
        event = "FundingPaymentSettled"
        house = contract("curie_clearing_house", self._world.curie.clearing_house)
        found = self._world.node.rpc(
            "eth_getLogs",
            {
                "address": house.address,
                "fromBlock": hex(self._first_block),
                "topics": ["0x" + house.abi.topic(event).hex()],
            },
        )
        paid = Decimal(0)
        for log in found:
            topics = tuple(bytes.fromhex(topic[2:]) for topic in log["topics"])
            decoded = house.abi.decode_event(
                event, Log(log["address"], topics, bytes.fromhex(log["data"][2:]))
            )
            if decoded and decoded["trader"] == self._world.accounts.hedger:
                paid += from_raw(decoded["fundingPayment"], 18)
        return paid + last.venue.pending_funding


class GmxSide:
    """The stand-in of GMX v2: a keeper executes an order 2 to 30 seconds later, and cancels one in ten."""

    def __init__(self, world: World, seed: int) -> None:
        open_markets(world)
        self._world = world
        owner, keeper = world.accounts.owner, world.accounts.keeper
        self._gmx = deploy_gmx(world.node, START_PRICE, owner=owner, keeper=keeper)
        self._keeper = Keeper(world.node, self._gmx, keeper, seed)
        self._feeds = [gmx_contract(world.node, self._gmx, feed) for feed in ("index_feed", "short_feed")]
        wallet = gmx_contract(world.node, self._gmx, "short_token")
        wallet.send("mint", world.accounts.hedger, GMX_WALLET_USD * USDC, sender=owner)

    def configuration(self) -> tomlkit.TOMLDocument:
        """See the protocol."""
        return gmx_config(self._world, self._gmx)

    def set_price(self, price: Decimal) -> None:
        """See the protocol."""
        answers = (int(price * FEED), FEED)
        owner = self._world.accounts.owner
        self._world.node.send_together(
            [
                feed.prepare("setAnswer", answer, sender=owner)
                for feed, answer in zip(self._feeds, answers, strict=True)
            ]
        )

    def work(self) -> None:
        """See the protocol."""
        self._keeper.work(self._world.node.timestamp())

    def value(self, seen: Snapshot) -> Decimal:
        """See the protocol. Collateral goes from the wallet to the position and back."""
        venue = seen.venue
        claimable = Decimal(0) if venue.collateral is None else venue.collateral.claimable_usd
        return venue.margin.exit_value + (venue.wallet or Decimal(0)) + claimable

    def funding(self, orders: Sequence[Mapping[str, Any]], last: Snapshot) -> Decimal:
        """What the fills settled, and what is pending."""
        settled = sum((Decimal(o["funding_usd"]) for o in orders if o["funding_usd"] is not None), Decimal(0))
        return settled + last.venue.pending_funding


def gmx_config(world: World, gmx: GmxDeployment) -> tomlkit.TOMLDocument:
    """The local configuration with the stand-in of GMX v2 as its venue, in the shape of config/arbitrum.toml."""
    document = world_config(world)
    shipped = tomlkit.parse(share("config", "arbitrum.toml").read_text(encoding="utf-8"))
    tables: Any = document
    theirs: Any = shipped
    venue = theirs["books"][0]["venue"]
    venue.update({field: getattr(gmx, field) for field in venue if hasattr(gmx, field)})
    venue.update(
        {
            "chain": "localnet",
            "collateral_token": gmx.short_token,
            "long_feed": gmx.index_feed,
            "max_collateral": "250000",
        }
    )
    tables["books"][0]["venue"] = venue
    tables["books"][0].pop("margin", None)
    return document
