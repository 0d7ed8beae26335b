"""The desk on a world whose hedge is traded on the stand-in of GMX v2, and what the chain has to say about it."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from support import FIXED_BAND

from bot.app import App, build
from bot.config import load_config
from bot.core.model import OPEN_OUTCOMES, IntentKind, OutcomeState
from bot.core.units import from_raw
from bot.desk import Tick
from bot.localnet.configuration import write_files
from bot.localnet.contract import Contract
from bot.localnet.demo_venues import gmx_config
from bot.localnet.deploy_lyra import BASE_KEY
from bot.localnet.gmx.artifacts import read_events
from bot.localnet.gmx.deploy import FEED, USDC, GmxDeployment, deploy_gmx, gmx_contract
from bot.localnet.gmx.keeper import Keeper, Manner
from bot.localnet.node import Log, Receipt
from bot.localnet.world import START_PRICE, World

WALLET_USD = 400_000
PROMPT = Manner(shortest_delay_s=2, longest_delay_s=2, cancel_chance=0.0)


@dataclass(frozen=True)
class Traded:
    """What the chain says of one executed order: its key, the signed size and the kind of order."""

    key: str
    size: Decimal
    kind: int


class GmxRig:
    """A desk, a keeper and the market's price. `aim` says what position the book is to have."""

    def __init__(self, world: World, folder: Path, manner: Manner = PROMPT, seed: int = 1) -> None:
        self.world = world
        self.folder = folder
        self.target = Decimal(0)
        self.price = START_PRICE
        self.gmx: GmxDeployment = deploy_gmx(
            world.node, START_PRICE, owner=world.accounts.owner, keeper=world.accounts.keeper
        )
        self.hire(manner, seed)
        self.contract("short_token").send(
            "mint", world.accounts.hedger, WALLET_USD * USDC, sender=world.accounts.owner
        )
        self.since = world.node.block_number()
        self.venue: dict[str, Any] = {}
        self.mode = "live"
        self.app: App | None = None

    def hire(self, manner: Manner = PROMPT, seed: int = 1) -> None:
        """Another keeper in place of the last one, who takes its scripts along."""
        self.keeper = Keeper(self.world.node, self.gmx, self.world.accounts.keeper, seed, manner)

    def contract(self, field: str) -> Contract:
        """One of the stand-in's contracts."""
        return gmx_contract(self.world.node, self.gmx, field)

    def start(self) -> App:
        """A new process on the same ledger."""
        self.stop()
        document = gmx_config(self.world, self.gmx)
        document.update({"mode": self.mode, "clock": "chain"})
        book: Any = document["books"][0]  # type: ignore[index]
        book.update({"policy": FIXED_BAND, "doubts": {"vol": "0"}})
        book["target"]["delta"] = f"{self.target:f}"
        book["limits"].update({"max_price_move": "0.9", "max_leverage": "50", "max_slippage": "0.005"})
        for name in ("max_trades_hour", "max_turnover_day_usd", "max_gas_day_usd", "max_order_usd"):
            book["limits"].pop(name, None)
        book["venue"].update(self.venue)
        path = write_files(self.folder, tomlkit.dumps(document), self.world.hedger_key)
        self.app = build(load_config(path), trades=True)
        return self.app

    def stop(self) -> None:
        """The process is gone."""
        if self.app is not None:
            self.app.close()
            self.app = None

    def aim(self, target: str, **venue: Any) -> None:
        """From now on the book is to have this position (units); `venue` changes its configuration."""
        self.target = Decimal(target)
        self.venue |= venue
        self.start()

    def tick(self) -> Tick:
        """One tick."""
        app = self.app or self.start()
        return app.desk.tick(app.desk.books[0])

    def later(self, seconds: int) -> None:
        """Time passes on the chain."""
        node = self.world.node
        node.set_next_timestamp(node.timestamp() + seconds)
        node.mine()

    def move(self, price: Decimal) -> None:
        """Both protocols' oracles say this price."""
        self.price = price.quantize(Decimal("0.01"))
        owner = self.world.accounts.owner
        rates = self.world.lyra_contract("exchange_rates")
        wei = int(self.price * 10**18)
        self.world.node.send_together(
            [
                rates.prepare("setRateAndInvalid", BASE_KEY, wei, False, sender=owner),
                self.contract("index_feed").prepare("setAnswer", int(self.price * FEED), sender=owner),
                self.contract("short_feed").prepare("setAnswer", FEED, sender=owner),
            ]
        )

    def settle(self, visits: int = 40) -> Tick:
        """Ticks and the keeper, as the desk asks for them, until it is done."""
        for _ in range(visits):
            tick = self.tick()
            if tick.again_in_s is None:
                return tick
            self.later(tick.again_in_s)
            self.keeper.work(self.world.node.timestamp())
        raise AssertionError(f"the desk was not done after {visits} visits: {self.outcomes()}")

    def outcomes(self, kind: str = "trade") -> list[str]:
        """Of every order of a kind, oldest first."""
        app = self.app or self.start()
        return [order["outcome"] for order in app.ledger.orders("eth") if order["kind"] == kind]

    def last_reason(self) -> str:
        """Why the newest trade ended as it did."""
        app = self.app or self.start()
        return str([o["reason"] for o in app.ledger.orders("eth") if o["kind"] == "trade"][-1])

    def sides(self) -> tuple[Decimal, Decimal]:
        """The long and the short position on the chain, both ≥ 0, in units."""
        found = self.contract("reader").read(
            "getAccountPositions", self.gmx.data_store, self.world.accounts.hedger, 0, 10
        )
        long = sum(p["numbers"]["sizeInTokens"] for p in found if p["flags"]["isLong"])
        short = sum(p["numbers"]["sizeInTokens"] for p in found if not p["flags"]["isLong"])
        return from_raw(long, 18), from_raw(short, 18)

    def position(self) -> Decimal:
        """The chain's net position, in units."""
        long, short = self.sides()
        return long - short

    def traded(self) -> list[Traded]:
        """Every change of our position that the chain has seen, oldest first."""
        logs = self.world.node.rpc(
            "eth_getLogs", {"address": self.gmx.event_emitter, "fromBlock": hex(self.since)}
        )
        seen = tuple(
            Log(
                log["address"],
                tuple(bytes.fromhex(topic[2:]) for topic in log["topics"]),
                bytes.fromhex(log["data"][2:]),
            )
            for log in logs
        )
        found = []
        for event in read_events(Receipt("", 0, 0, None, seen)):
            if event.name in ("PositionIncrease", "PositionDecrease"):
                size = from_raw(event.items["sizeDeltaInTokens"], 18)
                gains = event.items["isLong"] == (event.name == "PositionIncrease")
                key = "0x" + event.items["orderKey"].hex()
                if size:
                    found.append(Traded(key, size if gains else -size, event.items["orderType"]))
        return found

    def check(self) -> None:
        """What must hold after every tick: one order waits at most, and none was executed twice."""
        app = self.app or self.start()
        waiting = self.keeper.pending()
        assert len(waiting) <= 1, "two orders wait on the venue"
        keys = [t.key for t in self.traded()]
        assert len(keys) == len(set(keys)), "an order was executed twice"
        ours = app.ledger.open_intents(app.account)
        trades = [o for o in ours if o.intent.kind is IntentKind.TRADE]
        assert len(trades) <= 1, "two trades are open in the ledger"
        assert all(o.attempts for o in ours), "an open intent was never signed"

    def check_books(self) -> None:
        """With nothing open: the ledger's position is the chain's, and its fills are the chain's executed orders."""
        app = self.app or self.start()
        market = self.gmx.market
        assert app.ledger.live_position(app.account, market) == self.position()
        fills = [fill.size for fill, _ in app.ledger.fills("eth")]
        own = [t.size for t in self.traded() if t.kind in (2, 4)]
        for size in fills:
            own.remove(size)
        assert sum(own) == 0 or self.adopted(), f"the chain executed {own} that the ledger doesn't know"
        assert not [o for o in app.ledger.orders("eth") if o["outcome"] in {s.value for s in OPEN_OUTCOMES}]

    def adopted(self) -> bool:
        """Whether the ledger took over a change from outside."""
        app = self.app or self.start()
        baseline = app.ledger.baseline(app.account, self.gmx.market)
        return baseline is not None and baseline.why != "the first reconciliation"

    def fills(self) -> list[Decimal]:
        """The sizes that the ledger knows as filled."""
        app = self.app or self.start()
        return [fill.size for fill, _ in app.ledger.fills("eth")]

    def state(self) -> OutcomeState:
        """Of the newest trade."""
        return OutcomeState(self.outcomes()[-1])


@contextlib.contextmanager
def gmx_rig(world: World, folder: Path, manner: Manner = PROMPT, seed: int = 1) -> Iterator[GmxRig]:
    """A rig on `world`, which is put back afterwards."""
    snapshot = world.node.snapshot()
    rig = GmxRig(world, folder, manner, seed)
    try:
        yield rig
    finally:
        rig.stop()
        world.node.revert(snapshot)
