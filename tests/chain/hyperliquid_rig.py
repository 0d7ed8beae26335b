"""A desk on a chain of its own: a Rysk-style book hedged on the stand-in of HyperCore, and what the exchange did."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from eth_utils.address import to_checksum_address
from support import FIXED_BAND

from bot.app import App, build
from bot.config import load_config
from bot.core.model import OPEN_OUTCOMES, Mode
from bot.desk import Tick
from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.configuration import point_at_instance, write_files
from bot.localnet.gamma.deploy import (
    GammaDeployment,
    create_otoken,
    deploy_gamma,
    open_cash_secured_put,
    open_covered_call,
    set_price,
)
from bot.localnet.hypercore.actions import LimitOrder, UsdClassTransfer
from bot.localnet.hypercore.core import Core, Manner
from bot.localnet.hypercore.deploy import BTC_PRICE_USD, Funds, deploy_hypercore
from bot.localnet.hypercore.info_server import InfoServer
from bot.localnet.hypercore.model import ETH, Account, Fate, Fill, Market
from bot.localnet.multicall import deploy_multicall
from bot.localnet.node import BASE_FEE_WEI, Node
from bot.localnet.world import GENESIS_S, HEDGER_KEY
from bot.share import share
from bot.venues.hyperliquid import HyperliquidVenue
from bot.venues.hyperliquid_market import cloid_of, market_name

CHAIN = "hyperevm"
CHAIN_ID = 999
DAY = 86_400
PRICE = Decimal(2_000)
ACTS_WITHIN = 12
"""Blocks after which the venue gives an order up. HyperCore's longest regular delay is 5."""
RECKONED = Decimal("0.00002")
"""USD by which a notional or fee may be off where it is told by the account's figures: each is kept in millionths."""
PROMPT = Manner(shortest_delay_blocks=2, longest_delay_blocks=2, refuse_one_in=0)
RICH = Funds(perp_usd=Decimal(100_000), spot_usd=Decimal(50_000))
Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Site:
    """An anvil under HyperEVM's chain id with Multicall3, and the vaults of one writer on the stand-in of Rysk V12.

    They hold ten covered calls at 2200 and ten cash-secured puts at 1800 on ETH, and a tenth of each on BTC at 66000
    and 54000, a month before their expiry.
    """

    node: Node
    gamma: GammaDeployment
    bitcoin: GammaDeployment
    owner: str
    hedger: str
    keeper: str
    writer: str


@contextlib.contextmanager
def hyper_site() -> Iterator[Site]:
    """A site of its own."""
    chain = ("--hardfork", "cancun", "--timestamp", str(GENESIS_S), "--chain-id", str(CHAIN_ID))
    args = (*chain, "--block-base-fee-per-gas", str(BASE_FEE_WEI))
    with Anvil.start(binary=anvil_binary(), args=args) as anvil:
        node = Node(anvil.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        owner, hedger, keeper, writer, buyer = map(to_checksum_address, node.accounts()[:5])
        deploy_multicall(node)
        books = [
            deploy_gamma(node, price, owner=owner, physical=True, symbol=symbol, underlying_decimals=decimals)
            for price, symbol, decimals in ((PRICE, "WETH", 18), (BTC_PRICE_USD, "WBTC", 8))
        ]
        expiry = node.timestamp() + 30 * DAY
        for gamma, size, strikes in zip(
            books, ("10", "0.1"), ((2_200, 1_800), (66_000, 54_000)), strict=True
        ):
            for write, strike in zip((open_covered_call, open_cash_secured_put), strikes, strict=True):
                is_put = write is open_cash_secured_put
                option = create_otoken(node, gamma, Decimal(strike), expiry, is_put=is_put)
                write(node, gamma, writer, option, Decimal(size), buyer=buyer)
        yield Site(node, books[0], books[1], owner, hedger, keeper, writer)
        node.close()


def with_margin(**changes: Any) -> Edit:
    """The shipped margin, changed."""
    margin = {"max_topup_day_usd": "20000", "withdraw": False, "critical": "2.6"} | changes
    return lambda document: document["books"][0].update({"margin": margin})


@dataclass
class HyperRig:
    """A desk, the exchange that its orders reach, and the market's price.

    `info` says whether the desk asks the info API. `edits` change the configuration; `start` reads it anew.
    """

    site: Site
    folder: Path
    info: bool
    manner: Manner = PROMPT
    seed: int = 1
    funds: Funds | None = RICH
    market: Market = ETH
    edits: list[Edit] = field(default_factory=list)
    mode: str = "live"
    price: Decimal = PRICE
    app: App | None = None

    def __post_init__(self) -> None:
        accounts = {} if self.funds is None else {self.hedger: self.funds}
        self.hyper = deploy_hypercore(
            self.node, PRICE, operator=self.site.keeper, accounts=accounts, market=self.market
        )
        self.core = Core(self.node, self.hyper, self.seed, self.manner)
        self.server = InfoServer(self.core)
        self._port = int(self.server.url.rpartition(":")[2])
        self.answers = True

    @property
    def node(self) -> Node:
        """The chain's node."""
        return self.site.node

    @property
    def hedger(self) -> str:
        """Who trades."""
        return self.site.hedger

    @property
    def hedger_id(self) -> str:
        """The hedger as the ledger knows it."""
        (account,) = self.running.desk.accounts
        return account.id

    @property
    def account(self) -> Account:
        """The hedger's account on the exchange."""
        found = self.core.engine.account(self.hedger)
        assert found is not None
        return found

    @property
    def running(self) -> App:
        """The process that runs, a new one where none does."""
        return self.app or self.start()

    def start(self) -> App:
        """A new process on the same ledger."""
        self.stop()
        self.app = build(load_config(self.write()), trades=True)
        for book in self.app.desk.books:
            if isinstance(book.venue, HyperliquidVenue) and book.venue._info is not None:
                # The API is left alone for half a minute after a failure: of the chain's time, as all else here.
                book.venue._info.clock = lambda: float(self.node.timestamp())  # type: ignore[attr-defined]
        return self.app

    def write(self) -> Path:
        """The shipped configuration with this site's addresses and the edits."""
        document: Any = tomlkit.parse(share("config", "hyperevm.toml").read_text(encoding="utf-8"))
        document.update({"mode": self.mode, "clock": "chain"})
        document["chains"][CHAIN].update(
            {"chain_id": CHAIN_ID, "rpc_urls": [self.node.url], "quorum": 1, "patience_s": "0.2"}
        )
        point_at_instance(document, CHAIN, self.node)
        book = document["books"][0]
        gamma = self.site.gamma
        for name in ("controller", "oracle", "underlying", "strike_asset"):
            book["sources"][0][name] = getattr(gamma, name)
        book["sources"][0]["owners"] = [self.site.writer]
        book.update({"vols": {"kind": "constant", "vol": "0.6"}, "policy": FIXED_BAND})
        book["doubts"] = {"vol": "0"}
        book["venue"].update({"acts_within_blocks": ACTS_WITHIN, "info_url": f"{self.server.url}/info"})
        if not self.info:
            del book["venue"]["info_url"]
        for name in ("feeds", "margin"):
            del book[name]
        for name in ("max_leverage", "max_trades_hour", "max_gas_day_usd"):
            del book["limits"][name]
        for edit in self.edits:
            edit(document)
        return write_files(self.folder, tomlkit.dumps(document), HEDGER_KEY)

    def stop(self) -> None:
        """The process is gone."""
        if self.app is not None:
            self.app.close()
            self.app = None

    def close(self) -> None:
        """Ends the process and the info API."""
        self.stop()
        self.server.close()

    def aim(self, position: str) -> None:
        """From now on the book is to have exactly this position, in units, whatever its options' delta."""
        target = {"hedge_ratio": "0", "delta": position}
        self.edits.append(lambda document: document["books"][0]["target"].update(target))
        self.start()

    def answering(self, yes: bool) -> None:
        """Whether anybody listens at the info API's address."""
        if yes and not self.answers:
            self.server = InfoServer(self.core, self._port)
        if not yes and self.answers:
            self.server.close()
        self.answers = yes

    def deposit(self, usd: Decimal) -> None:
        """Somebody sends the account money, out of nothing."""
        self.account.raw_usd += usd
        self.core.engine.state.deposited_usd += usd
        self.core.work()

    def tick(self, book: int = 0) -> Tick:
        """One tick."""
        return self.running.desk.tick(self.running.desk.books[book])

    def later(self, blocks: int) -> None:
        """Blocks of a second each, in which HyperCore does what is due."""
        for _ in range(blocks):
            self.core.work() if not self.core.away else self.node.mine()

    def mine(self, blocks: int) -> None:
        """Blocks of a second each, in which HyperCore does nothing."""
        for _ in range(blocks):
            self.node.mine()

    def move(self, price: Decimal) -> None:
        """The vaults' oracle and the exchange say this price."""
        self.price = price.quantize(Decimal("0.01"))
        set_price(self.node, self.site.gamma, self.price)
        self.core.set_price(self.price)
        self.core.work()

    def settle(self, visits: int = 40) -> Tick:
        """Ticks as the desk asks for them, until it is done."""
        for _ in range(visits):
            tick = self.tick()
            self.check()
            if tick.again_in_s is None:
                return tick
            self.later(tick.again_in_s)
        raise AssertionError(f"the desk was not done after {visits} visits: {self.orders()}")

    def watch(self, blocks: int) -> None:
        """A tick after each of so many blocks."""
        for _ in range(blocks):
            self.later(1)
            self.tick()

    def waits(self, position: str = "5") -> Tick:
        """An order towards a position is placed and mined, and HyperCore has not acted."""
        self.aim(position)
        tick = self.tick()
        assert self.outcomes()[-1] == "PENDING"
        return tick

    def orders(self, kind: str = "trade", book: str = "eth") -> list[dict[str, Any]]:
        """What the ledger has of a kind, oldest first."""
        return [order for order in self.running.ledger.orders(book) if order["kind"] == kind]

    def outcomes(self, kind: str = "trade") -> list[str]:
        """Of every order of a kind, oldest first."""
        return [order["outcome"] for order in self.orders(kind)]

    def last(self, kind: str = "trade") -> dict[str, Any]:
        """The newest order of a kind."""
        return self.orders(kind)[-1]

    def position(self, market: int | None = None) -> Decimal:
        """The exchange's, in units."""
        found = self.account.positions.get(self.market.index if market is None else market)
        return Decimal(0) if found is None else found.size

    def known_position(self) -> Decimal:
        """The ledger's."""
        return self.running.ledger.live_position(self.hedger_id, market_name(self.market.index))

    def mode_and_why(self) -> tuple[Mode, str]:
        """Of the account."""
        return self.running.ledger.mode_and_why(self.hedger_id)

    def fates(self) -> dict[str, Fate]:
        """What became of each of our orders on the exchange, by the key of its intent."""
        keys = {cloid_of(order["key"]): str(order["key"]) for order in self.orders()}
        ours = [fate for fate in self.core.engine.state.journal if isinstance(fate.sent.action, LimitOrder)]
        told = [(keys[fate.sent.action.cloid], fate) for fate in ours if fate.sent.action.cloid in keys]  # type: ignore[union-attr]
        assert len({key for key, _ in told}) == len(told), "an order reached HyperCore twice"
        return dict(told)

    def transfers(self) -> list[Fate]:
        """What became of each transfer of margin."""
        journal = self.core.engine.state.journal
        return [fate for fate in journal if isinstance(fate.sent.action, UsdClassTransfer)]

    def fills(self, key: str) -> list[Fill]:
        """The executions of one intent's order."""
        return [fill for fill in self.core.engine.state.fills if fill.cloid == cloid_of(key)]

    def check_traded(self, order: dict[str, Any], off: Decimal | None = None) -> None:
        """Size, notional and fee of an order in the ledger are the exchange's, the latter two to within `off` USD.

        By default that is nothing where the info API told them.
        """
        fills = self.fills(order["key"])
        notional = sum((fill.px * fill.size for fill in fills), Decimal(0))
        fee = sum((fill.fee_usd for fill in fills), Decimal(0))
        if off is None:
            off = Decimal(0) if self.info else RECKONED
        size = sum((fill.size if fill.is_buy else -fill.size for fill in fills), Decimal(0))
        assert Decimal(order["size"]) == size, f"it traded {size:f}: {order}"
        assert abs(Decimal(order["notional"]) - notional) <= off, f"for {notional:f} USD: {order}"
        assert abs(Decimal(order["fee_usd"]) - fee) <= off, f"a fee of {fee:f} USD: {order}"

    def check(self) -> None:
        """What must hold at any time: one order waits at most, there and in the ledger."""
        waiting = [sent for sent in self.core.waiting() if isinstance(sent.action, LimitOrder)]
        assert len(waiting) <= 1, "two orders wait on HyperCore"
        assert len(self.running.ledger.open_intents(self.hedger_id)) <= 1, "two orders are open in the ledger"

    def check_books(self) -> None:
        """With nothing open: position and outcomes are the exchange's."""
        assert not [o for o in self.orders() if o["outcome"] in {s.value for s in OPEN_OUTCOMES}]
        assert self.known_position() == self.position()
        fates = self.fates()
        for order in self.orders():
            fate = fates.get(order["key"])
            done = Decimal(0) if fate is None else fate.filled
            assert (Decimal(order["size"] or 0), order["outcome"]) == (done, expected(order, done))


def expected(order: dict[str, Any], done: Decimal) -> str:
    """The outcome of an order that traded so much."""
    if done == 0:
        return "DEAD"
    return "FILLED" if done == Decimal(order["intended"]) else "PARTIAL"


MakeHyper = Callable[..., HyperRig]
"""Makes a test's rig: whether it has the `info` API, and the fields of `HyperRig`."""


@contextlib.contextmanager
def hyper_rig(site: Site, folder: Path, *, info: bool, **how: Any) -> Iterator[HyperRig]:
    """A rig on `site`, which is put back afterwards."""
    snapshot = site.node.snapshot()
    rig = HyperRig(site, folder, info, **how)
    try:
        yield rig
    finally:
        rig.close()
        site.node.revert(snapshot)
