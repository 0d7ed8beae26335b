"""The demo's other world: covered calls and cash-secured puts in vaults like Rysk V12's, hedged on a HyperCore.

Both protocols are stand-ins of ours. The hedge's orders act some blocks after they are mined, and one in ten is
dropped without a word.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import numpy as np
import tomlkit

from bot.core.greeks import SUMMED, price_book
from bot.core.model import Snapshot
from bot.core.target import Target
from bot.core.units import from_raw
from bot.localnet.configuration import point_at_instance
from bot.localnet.gamma import deploy as gamma
from bot.localnet.hypercore.core import Core
from bot.localnet.hypercore.deploy import Funds, deploy_hypercore
from bot.localnet.hypercore.info_server import InfoServer
from bot.localnet.hypercore.model import Fate
from bot.localnet.multicall import deploy_multicall
from bot.localnet.node import Node
from bot.localnet.world import HEDGER_KEY, START_PRICE, Accounts, accounts_of, start_chain
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes
from bot.share import share

VOL: Final = Decimal("0.8")
PERP_USD: Final = Decimal(150_000)
SPOT_USD: Final = Decimal(100_000)
BLOCK_S: Final = 1
HOUR_S: Final = 3600
FIRST_OPTIONS: Final = 12
OPTIONS_PER_HOUR: Final = 0.7
EXPIRY_EVERY_S: Final = 24 * HOUR_S
EXPIRIES_AHEAD: Final = (1, 2, 3, 7)
"""In days from the last expiry on."""
CENT: Final = Decimal("0.01")
VALUE: Final = SUMMED.index("value")


@dataclass(frozen=True, slots=True)
class Written:
    """A vault that is open: its number, when its option expires, and the money that secures it."""

    number: int
    expiry: int
    money: Decimal


class RyskStage:
    """One writer's vaults, hedged on the stand-in of HyperCore by a book that also asks its info API."""

    def __init__(
        self, node: Node, accounts: Accounts, core: Core, info_url: str, market: int, seed: int
    ) -> None:
        self.hedger_key = HEDGER_KEY
        self._node = node
        self._who = accounts
        self._core = core
        self._info_url = info_url
        self._market = market
        self._random = np.random.default_rng((seed, 2))
        self._writer = accounts.liquidity_provider
        self._gamma = gamma.deploy_gamma(node, START_PRICE, owner=accounts.owner, physical=True)
        self._series: dict[tuple[Decimal, int, bool], str] = {}
        self._open: list[Written] = []
        self._first_s = self._seen_s = self.now()
        self._price = START_PRICE
        self._brought_usd = Decimal(0)

    def configuration(self) -> tomlkit.TOMLDocument:
        """HyperEVM's shipped configuration with this world's addresses, and the vol that its options are sold at."""
        document = tomlkit.parse(share("config", "hyperevm.toml").read_text(encoding="utf-8"))
        tables: Any = document
        chain = tables["chains"].pop("hyperevm")
        chain.update({"chain_id": 31_337, "rpc_urls": [self._node.url], "quorum": 1, "native_usd": "40"})
        tables["chains"]["localnet"] = chain
        book = tables["books"][0]
        book["sources"][0].update(
            {
                "chain": "localnet",
                "controller": self._gamma.controller,
                "oracle": self._gamma.oracle,
                "owners": [self._writer],
                "underlying": self._gamma.underlying,
                "strike_asset": self._gamma.strike_asset,
            }
        )
        book["vols"] = {"kind": "constant", "vol": f"{VOL:f}"}
        book["venue"].update({"chain": "localnet", "market": self._market, "info_url": self._info_url})
        book.pop("feeds")  # this world has no second price
        book["policy"]["daily_error_usd"] = "25"
        book["limits"].update({"max_order": "50", "max_position": "300"})
        point_at_instance(document, "localnet", self._node)
        return document

    def now(self) -> int:
        """See the protocol."""
        return self._node.timestamp()

    def advance(self, at: int, price: Decimal) -> int:
        """See the protocol. Expired options are settled by delivery at the price that is found after their expiry."""
        self._price = price.quantize(CENT, rounding=ROUND_HALF_EVEN)
        if at > self.now():
            self._node.set_next_timestamp(at)
        gamma.set_price(self._node, self._gamma, self._price)
        self._core.set_price(self._price)
        self._core.work()
        due = sorted({written.expiry for written in self._open if written.expiry <= self.now()})
        for expiry in due:
            gamma.report_expiry(self._node, self._gamma, expiry, self._price)
            for written in [each for each in self._open if each.expiry == expiry]:
                keeper = self._who.keeper
                gamma.settle(self._node, self._gamma, self._writer, written.number, keeper=keeper)
                self._open.remove(written)
        return len(due)

    def trade(self, *, first: bool) -> int:
        """Options are sold at their Black-Scholes price, as many as fall due by chance since the last call."""
        hours = max(self.now() - self._seen_s, 0) / HOUR_S
        self._seen_s = self.now()
        count = FIRST_OPTIONS if first else int(self._random.poisson(OPTIONS_PER_HOUR * hours))
        for _ in range(count):
            self._sell()
        return count

    def wait(self, seconds: int) -> None:
        """See the protocol: a block each second, in each of which HyperCore does what is due."""
        for _ in range(max(seconds // BLOCK_S, 1)):
            self._core.work()

    def nav(self, seen: Snapshot) -> Decimal:
        """The options at Black-Scholes with the vol that they were sold at, the coins at the spot, and the money, less
        what the writer brought as collateral, at the prices then.

        It has to be asked before the vaults change again: the money is read now.
        """
        options = sum(
            float(part.values[VALUE].sum()) for part in price_book(seen, Target(hedge_holdings=True))
        )
        coins = sum((held.size for source in seen.sources for held in source.holdings), Decimal(0))
        secured = sum((written.money for written in self._open), Decimal(0))
        raw = gamma.token(self._node, self._gamma.strike_asset).read("balanceOf", self._writer)
        money = from_raw(raw, self._gamma.strike_decimals)
        return Decimal(repr(options)) + coins * seen.spot + secured + money - self._brought_usd

    def value(self, seen: Snapshot) -> Decimal:
        """See the protocol: the account's perp side closed, and its spot side."""
        return seen.venue.margin.exit_value + (seen.venue.wallet or Decimal(0))

    def funding(self, _orders: Sequence[Mapping[str, Any]], _last: Snapshot) -> Decimal:
        """What HyperCore charged the hedger on the hours."""
        payments = self._core.engine.state.payments
        ours = self._who.hedger.lower()
        return -sum((each.usd for each in payments if each.account == ours), Decimal(0))

    def fates(self) -> tuple[Fate, ...]:
        """What HyperCore did with everything that it was sent."""
        return tuple(self._core.engine.state.journal)

    def _sell(self) -> None:
        """One covered call or cash-secured put, out of the money or at it, to the only buyer."""
        is_put = bool(self._random.random() < 0.4)
        days = int(self._random.choice(EXPIRIES_AHEAD))
        passed = (self.now() - self._first_s) // EXPIRY_EVERY_S
        expiry = self._first_s + (passed + days) * EXPIRY_EVERY_S
        away = Decimal(int(self._random.integers(0, 4))) * Decimal("0.02")
        step = 50 if self._price >= 1000 else 10
        strike = (self._price * (1 - away if is_put else 1 + away) / step).to_integral_value() * step
        size = Decimal(int(self._random.integers(10, 60))) / 10
        series = self._series_of(strike, expiry, is_put)
        write = gamma.open_cash_secured_put if is_put else gamma.open_covered_call
        number = write(self._node, self._gamma, self._writer, series, size, buyer=self._who.traders[0])
        self._brought_usd += size * (strike if is_put else self._price)
        self._open.append(Written(number, expiry, size * strike if is_put else Decimal(0)))
        years = (expiry - self.now()) / SECONDS_PER_YEAR
        worth = black_scholes(float(self._price), float(strike), years, float(VOL), 0.0, not is_put).price
        premium = (size * Decimal(repr(float(worth)))).quantize(CENT)
        gamma.provide(self._node, self._gamma, self._gamma.strike_asset, premium, self._writer)

    def _series_of(self, strike: Decimal, expiry: int, is_put: bool) -> str:
        key = (strike, expiry, is_put)
        if key not in self._series:
            self._series[key] = gamma.create_otoken(self._node, self._gamma, strike, expiry, is_put=is_put)
        return self._series[key]


@contextmanager
def open_rysk_stage(seed: int, progress: Callable[[str], None]) -> Iterator[RyskStage]:
    """The world on a chain of its own, which ends with it."""
    anvil, node = start_chain(progress)
    with anvil, closing(node):
        progress("Placing stand-ins for Gamma and HyperCore")
        accounts = accounts_of(node)
        deploy_multicall(node)
        hyper = deploy_hypercore(
            node,
            START_PRICE,
            operator=accounts.arbitrageur,
            accounts={accounts.hedger: Funds(perp_usd=PERP_USD, spot_usd=SPOT_USD)},
        )
        core = Core(node, hyper, seed)
        with InfoServer(core) as info:
            yield RyskStage(node, accounts, core, f"{info.url}/info", hyper.market, seed)
