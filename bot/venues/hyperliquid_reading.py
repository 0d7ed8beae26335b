"""A Hyperliquid perp and our account in it, read from the precompiles: one round, and one before it the first time.

The first round asks what would make the second one fail: a number that HyperCore doesn't know takes all gas of a batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from bot.core.model import CostPoint, Margin, PerpPosition, Privileges
from bot.core.units import from_raw, round_to_lot
from bot.errors import DataError
from bot.ports import Call, Reader
from bot.venues import hyperliquid_core as core
from bot.venues import hyperliquid_numbers as numbers
from bot.venues.hyperliquid_market import FIRST_DEX, CoreInfo, HyperliquidMarket, HyperliquidState

ZERO = Decimal(0)
ORDER_GAS = 60_000
"""CoreWriter takes about 47,000 for an order, most of it on purpose."""
CLIP_INTERVAL_S = 5
PRICE_STEP = Decimal(10) ** -12
MARGIN_SAFETY = Decimal("0.99")
"""Share of what the margin opens that one order may use, for prices move before it acts."""
TRANSFER_RATIO = Decimal("0.1")
"""What must stay of the positions' notional when margin is taken out."""
HIDDEN_USD = Decimal(10)
"""Spot USDC beside an empty perp side that is worth a word."""
SHARED_MODES = ("unifiedAccount", "portfolioMargin")
"""The info API's words for accounts whose spot balance backs their perps."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The account as HyperCore shows it, in units and USD. `entry_notional` is signed like a `PerpPosition`'s."""

    size: Decimal
    entry_notional: Decimal
    leverage: int
    account_value: Decimal
    margin_used: Decimal
    notional: Decimal
    raw_usd: Decimal
    spot_usdc: Decimal
    mark: Decimal


@dataclass
class HyperliquidReading:
    """What is read of one account in one perp. `info` is None where the info API isn't configured.

    Without `watches_margin` nothing can be moved, and orders are cut to what the margin opens.
    """

    name: str
    account: str
    market: HyperliquidMarket
    info: CoreInfo | None
    watches_margin: bool
    _asset: core.AssetInfo | None = field(default=None, init=False)

    def read(self) -> Reader[HyperliquidState]:
        """The venue's state. DataError where the account or the market is not as configured, or can't be told."""
        asset = yield from self.asset()
        market = self.market
        asked: dict[str, Call] = dict(self.account_calls())
        asked["oracle"] = core.oracle_price(market.index)
        asked["best"] = core.best_prices(market.asset)
        asked["asset"] = core.asset_info(market.index)  # HyperCore may lower a market's leverage at any time
        if market.dex == FIRST_DEX:
            asked["withdrawable"] = core.withdrawable(self.account)
        answers = dict(zip(asked, (yield list(asked.values())), strict=True))
        self._check_asset(answers["asset"])
        asset = self._asset = answers["asset"]
        seen = self.seen(answers, asset)
        self._check(seen)
        oracle = numbers.price_usd(answers["oracle"], asset.sz_decimals)
        bid, ask = (numbers.price_usd(raw, asset.sz_decimals) for raw in answers["best"])
        if seen.mark <= 0 or oracle <= 0:
            raise DataError(
                f"{self.name}: HyperCore has no price of {market.coin}: mark {seen.mark}, oracle {oracle}"
            )
        return self._state(seen, asset, oracle, (bid, ask), answers.get("withdrawable"))

    def asset(self) -> Reader[core.AssetInfo]:
        """What is listed under the market's number, asked once. DataError where it isn't what is configured."""
        if self._asset is not None:
            return self._asset
        exists, info = yield [core.user_exists(self.account), core.asset_info(self.market.index)]
        if not exists:
            raise DataError(
                f"{self.name}: the account {self.account} does not exist on HyperCore: send it some USDC there first"
            )
        self._check_asset(info)
        self._asset = info
        return self._asset

    def account_calls(self) -> Mapping[str, Call]:
        """What tells an order's outcome: position, margin, spot balance and the mark."""
        index = self.market.index
        return {
            "position": core.position(self.account, index),
            "summary": core.margin_summary(self.market.dex, self.account),
            "spot": core.spot_usdc(self.account),
            "mark": core.mark_price(index),
        }

    def seen(self, answers: Mapping[str, Any], asset: core.AssetInfo) -> Seen:
        """The answers to `account_calls`. DataError where the position has a margin of its own."""
        position: core.Position = answers["position"]
        summary: core.Summary = answers["summary"]
        total, hold = answers["spot"]
        if position.is_isolated:
            raise DataError(
                f"{self.name}: the account's margin for {self.market.coin} is isolated, which this venue doesn't "
                "reckon with: set it to cross on Hyperliquid"
            )
        size = from_raw(position.szi, asset.sz_decimals)
        paid = numbers.usd(position.entry_ntl)
        return Seen(
            size=size,
            entry_notional=paid if size < 0 else -paid,
            leverage=position.leverage,
            account_value=numbers.usd(summary.account_value),
            margin_used=numbers.usd(summary.margin_used),
            notional=numbers.usd(summary.notional),
            raw_usd=numbers.usd(summary.raw_usd),
            spot_usdc=from_raw(max(total - hold, 0), numbers.SPOT_USDC_DECIMALS),
            mark=numbers.price_usd(answers["mark"], asset.sz_decimals),
        )

    def _check_asset(self, info: core.AssetInfo) -> None:
        market = self.market
        if info.coin != market.coin:
            raise DataError(
                f"{self.name}: coin: the perp {market.index} is {info.coin} on HyperCore, not {market.coin}"
            )
        if info.only_isolated:
            raise DataError(
                f"{self.name}: {market.coin} takes isolated margin alone, which this venue doesn't"
            )
        if not 0 <= info.sz_decimals <= numbers.PRICE_DECIMALS or info.max_leverage <= 0:
            raise DataError(
                f"{self.name}: HyperCore tells {info.sz_decimals} size decimals and a leverage of {info.max_leverage} "
                f"for {market.coin}"
            )
        smallest = numbers.lot_of(info.sz_decimals)
        if not numbers.whole_lots(market.lot, smallest):
            raise DataError(
                f"{self.name}: lot: {market.lot:f} is no whole number of the market's lots of {smallest:f}"
            )

    def _check(self, seen: Seen) -> None:
        """DataError where the perp side's figures can't be the whole of what backs the position."""
        mode = None if self.info is None else self.info.margin_mode()
        if mode in SHARED_MODES:
            raise DataError(
                f"{self.name}: the account's margin mode is {mode}: HyperEVM doesn't show what backs its perps; "
                "switch it back to separate balances on Hyperliquid"
            )
        own = abs(seen.size) * seen.mark
        # An account that is known to share nothing has lost what it had, and is to be refilled or closed.
        hidden = seen.account_value <= 0 and mode is None
        if seen.size != 0 and (hidden or seen.notional < own / 2):
            raise DataError(
                f"{self.name}: a position of {seen.size:+f} beside an account value of {seen.account_value:.2f} USD "
                f"and a notional of {seen.notional:.2f}: HyperEVM doesn't show what backs it, as with unified or "
                "portfolio margin, which must be off; or its collateral is lost, which the info API would tell apart"
            )

    def _state(
        self,
        seen: Seen,
        asset: core.AssetInfo,
        oracle: Decimal,
        best: tuple[Decimal, Decimal],
        withdrawable: int | None,
    ) -> HyperliquidState:
        market, (bid, ask) = self.market, best
        quoted = 0 < bid < ask
        mark = (bid + ask) / 2 if quoted else seen.mark
        # An account that never set it may show 0: then nothing is borrowed on it.
        leverage = min(max(seen.leverage, 1), asset.max_leverage)
        initial, maintenance = Decimal(1) / leverage, Decimal(1) / (2 * asset.max_leverage)
        others = max(seen.margin_used - abs(seen.size) * seen.mark * initial, ZERO)
        kept = max(seen.margin_used, TRANSFER_RATIO * seen.notional)
        free = max(seen.account_value - kept, ZERO) if withdrawable is None else numbers.usd(withdrawable)
        most = (
            self._most(seen, mark, (ask - bid) / 2, leverage, others) if quoted else {True: ZERO, False: ZERO}
        )
        curve = self._curve(best) if quoted else ()
        funding = None if self.info is None else self.info.funding_per_hour()
        moves = self.watches_margin and market.dex == FIRST_DEX
        return HyperliquidState(
            name=self.name,
            account=self.account,
            position=PerpPosition(market.name, seen.size, seen.entry_notional),
            margin=Margin(
                # What was paid in and realised: the cash without what the open position took or brought.
                collateral=seen.raw_usd - seen.entry_notional,
                account_value=seen.account_value,
                mark_value=self._mark_value(seen, mark),
                free_collateral=free,
                # At its own leverage or below it, another position's requirement is half its margin at most.
                maintenance=abs(seen.size) * seen.mark * maintenance + others / 2,
                exit_value=self._exit_value(seen, best if quoted else (seen.mark, seen.mark)),
            ),
            mark=mark,
            index=oracle,
            fee_ratio=market.fee_ratio,
            funding_per_hour=ZERO if funding is None else funding,
            pending_funding=ZERO,
            collateral_pays=True,
            curve=curve,
            max_buy=most[True],
            max_sell=most[False],
            lot=market.lot,
            clip_interval_s=CLIP_INTERVAL_S,
            order_gas=ORDER_GAS,
            initial_ratio=initial,
            maintenance_ratio=maintenance,
            half_spread=(ask - bid) / 2 if quoted else ZERO,
            privileges=Privileges(self.account, self.account, can_trade=True, can_withdraw=True),
            paused=self._paused(seen, best),
            moves_while_paused=not quoted,
            wallet=seen.spot_usdc if moves else None,
            allowance=ZERO if moves else None,
            needs_allowance=False,
            sz_decimals=asset.sz_decimals,
            leverage=leverage,
            others_margin=others,
        )

    def _most(
        self, seen: Seen, mark: Decimal, half_spread: Decimal, leverage: int, others: Decimal
    ) -> dict[bool, Decimal]:
        """The largest purchase and sale: what the book is told to bear, and what the margin opens, costs paid.

        Where the book watches its margin a top-up comes before an order that needs one, so that none is cut for it.
        """
        if self.watches_margin:
            return {True: self.market.depth, False: self.market.depth}
        cost = mark * self.market.fee_ratio + half_spread
        has = seen.account_value - others - abs(seen.size) * cost
        opens = max(has, ZERO) / (mark / leverage + cost) * MARGIN_SAFETY
        rooms = {}
        for buys in (True, False):
            held = seen.size if buys else -seen.size
            # What closes the position needs no margin.
            room = max(opens - held, -held, ZERO)
            rooms[buys] = round_to_lot(min(room, self.market.depth), self.market.lot)
        return rooms

    def _curve(self, best: tuple[Decimal, Decimal]) -> tuple[CostPoint, ...]:
        """The average prices of the largest sizes. From the best price to them they rise in a straight line."""
        most = self.market.depth
        return tuple(
            CostPoint(size, self._average(size, best).quantize(PRICE_STEP)) for size in (most, -most)
        )

    def _average(self, size: Decimal, best: tuple[Decimal, Decimal]) -> Decimal:
        """The average price of a signed `size` by the configured depth of the book, above 0."""
        bid, ask = best
        worse = self.market.impact_per_unit * size
        return (ask if size > 0 else bid) * max(1 + worse, PRICE_STEP)

    def _mark_value(self, seen: Seen, mark: Decimal) -> Decimal:
        """The account's value with this position at the price that trades happen at."""
        return seen.account_value + seen.size * (mark - seen.mark)

    def _exit_value(self, seen: Seen, best: tuple[Decimal, Decimal]) -> Decimal:
        """What closing this position now would leave: its value at the price of that, less the fee."""
        if seen.size == 0:
            return seen.account_value
        price = self._average(-seen.size, best)
        fee = abs(seen.size) * price * self.market.fee_ratio
        return seen.account_value + seen.size * (price - seen.mark) - fee

    def _paused(self, seen: Seen, best: tuple[Decimal, Decimal]) -> str:
        """Why nothing can be traded, "" where it can."""
        bid, ask = best
        if not 0 < bid < ask:
            return f"{self.name}: the book of {self.market.coin} shows a best bid of {bid:f} and an offer of {ask:f}"
        mode = None if self.info is None else self.info.margin_mode()
        if mode is None and seen.size == 0 and seen.account_value == 0 and seen.spot_usdc >= HIDDEN_USD:
            return (
                f"{self.name}: the perp side of the account is empty while {seen.spot_usdc:.2f} USDC lie on the spot "
                "side: move some of it over; if Hyperliquid refuses that, the account's margin is unified, and must "
                "not be"
            )
        return ""
