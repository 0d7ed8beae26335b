"""The exchange behind the stand-in: it takes actions, pays funding on the hour, and liquidates. Pure: no clock, no I/O.

A refused action changes nothing but the journal. Prices and amounts are USD, sizes units of the coin, times seconds.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from bot.errors import VaultkeelError
from bot.localnet.hypercore import orders, rules
from bot.localnet.hypercore.actions import (
    Action,
    AddApiWallet,
    CancelByCloid,
    CancelByOid,
    LimitOrder,
    Malformed,
    NotDone,
    Tif,
    UsdClassTransfer,
)
from bot.localnet.hypercore.book import Book
from bot.localnet.hypercore.model import (
    CENT_OF_CENT,
    ZERO,
    Account,
    Fate,
    FundingPayment,
    FundingRate,
    Market,
    Sent,
)
from bot.localnet.hypercore.state import State

HOUR_S: Final = 3_600
# 0.01 % in eight hours, the documented rate where the perp trades at its index.
BASE_FUNDING_RATE: Final = Decimal("0.0000125")
_PREMIUM_UNIT: Final = Decimal("1e-10")


class Engine:
    """All accounts and markets. `state` is open to whoever reads it."""

    def __init__(self, now_s: int, prices: Mapping[Market, Decimal]) -> None:
        """VaultkeelError when the markets' indexes are not 0, 1, 2 and so on: the info API lists them by place."""
        if sorted(market.index for market in prices) != list(range(len(prices))):
            raise VaultkeelError(
                "the stand-in of HyperCore needs its markets numbered from 0, each number once"
            )
        self.state = State(now_s)
        for market, price in prices.items():
            self.state.markets[market.index] = market
            px = _expressible(market, price)
            self.state.books[market.index] = Book(market, px, px, BASE_FUNDING_RATE)

    def register(
        self,
        address: str,
        perp_usd: Decimal = ZERO,
        spot_usd: Decimal = ZERO,
        *,
        unified: bool = False,
        leverage: Mapping[int, int] | None = None,
    ) -> Account:
        """An account comes to exist, with these amounts of USDC out of nothing. VaultkeelError if it existed."""
        if address.lower() in self.state.accounts:
            raise VaultkeelError(f"the account {address} exists on the stand-in of HyperCore already")
        account = Account(address.lower(), perp_usd, spot_usd, unified, leverage=dict(leverage or {}))
        self.state.accounts[account.address] = account
        self.state.deposited_usd += perp_usd + spot_usd
        return account

    def account(self, address: str) -> Account | None:
        """The account of an address; None when there is none."""
        return self.state.accounts.get(address.lower())

    def set_price(self, index: int, oracle: Decimal, mark: Decimal | None = None) -> None:
        """The oracle and mark price of a market, the mark at the oracle where it isn't given."""
        book = self.state.books[index]
        book.oracle = _expressible(book.market, oracle)
        book.mark = book.oracle if mark is None else _expressible(book.market, mark)
        self._settle()

    def set_funding_rate(self, index: int, rate_hour: Decimal) -> None:
        """What longs pay to shorts each hour from now on, as a fraction of the notional at the oracle price."""
        self.state.books[index].funding_rate = rate_hour

    def advance(self, now_s: int) -> None:
        """Time passes: the book refills, and each whole hour on the way pays funding at today's oracle price."""
        state = self.state
        if now_s < state.now_s:
            raise VaultkeelError(
                f"the stand-in of HyperCore is at {state.now_s} s and can't go back to {now_s} s"
            )
        first = state.now_s // HOUR_S + 1
        for book in state.books.values():
            book.refill(now_s - state.now_s)
        for hour in range(first, now_s // HOUR_S + 1):
            self._pay_funding(hour * HOUR_S)
        state.now_s = now_s
        self._settle()

    def apply(self, sent: Sent, block: int = 0, *, refused: str = "") -> Fate:
        """Does an action now, and remembers what became of it. `refused` is a reason to drop it nevertheless."""
        sent = replace(sent, account=sent.account.lower())
        fate = Fate(sent, block, self.state.now_s, self._obstacle(sent) or refused)
        if not fate.refusal:
            fate = self._do(fate, self.state.accounts[sent.account], sent.action)
            self._settle()
        self.state.journal.append(fate)
        return fate

    def _obstacle(self, sent: Sent) -> str:
        if sent.account not in self.state.accounts:
            return f"the account {sent.account} does not exist on HyperCore"
        if sent.value_wei:
            return f"its transaction carried {sent.value_wei} wei"
        if isinstance(sent.action, Malformed):
            return sent.action.why
        if isinstance(sent.action, NotDone):
            return f"the stand-in does no {sent.action.name}"
        return ""

    def _do(self, fate: Fate, account: Account, action: Action) -> Fate:
        if isinstance(action, LimitOrder):
            placed = orders.place(self.state, account, action, fate.sent.transaction)
            oid, status = (placed.order.oid, placed.order.status) if placed.order else (0, "")
            return replace(
                fate,
                refusal=placed.refusal,
                oid=oid,
                status=status,
                filled=placed.filled,
                average_px=placed.average_px,
                fee_usd=placed.fee_usd,
            )
        if isinstance(action, CancelByOid | CancelByCloid):
            order = orders.cancel(self.state, account, action)
            if order is None:
                return replace(fate, refusal="no such order rests")
            return replace(fate, oid=order.oid, status=order.status)
        if isinstance(action, UsdClassTransfer):
            return replace(fate, refusal=self._transfer(account, action))
        if isinstance(action, AddApiWallet):
            account.api_wallets[action.wallet.lower()] = action.name
        return fate

    def _transfer(self, account: Account, asked: UsdClassTransfer) -> str:
        """Moves USDC between spot and perp; returns why not."""
        if account.unified:
            return "a unified account has nothing to transfer between spot and perp"
        if not asked.usd:
            return "nothing is to be transferred"
        free = (
            account.spot_usd
            if asked.to_perp
            else rules.withdrawable(account, self.state.markets, self.state.marks)
        )
        if asked.usd > free:
            return f"{asked.usd} USD are more than the {free} USD that may be moved"
        moved = asked.usd if asked.to_perp else -asked.usd
        account.raw_usd += moved
        account.spot_usd -= moved
        return ""

    def _pay_funding(self, time_s: int) -> None:
        state = self.state
        for index, book in state.books.items():
            premium = ((book.mark - book.oracle) / book.oracle).quantize(_PREMIUM_UNIT)
            state.funding_rates.append(FundingRate(time_s, index, book.funding_rate, premium))
        for account, index, position in state.positions():
            book = state.books[index]
            exact = -position.size * book.oracle * book.funding_rate
            usd = exact.quantize(CENT_OF_CENT, rounding=ROUND_HALF_EVEN)
            state.pay(account, usd)
            state.payments.append(
                FundingPayment(time_s, account.address, index, position.size, book.funding_rate, usd)
            )

    def _settle(self) -> None:
        """What follows from any change: resting orders that are met, and accounts that are under water."""
        orders.match_resting(self.state)
        state = self.state
        for account in state.accounts.values():
            needed = rules.maintenance_margin(account, state.markets, state.marks)
            if account.positions and rules.collateral(account, state.marks) < needed:
                self._liquidate(account)

    def _liquidate(self, account: Account) -> None:
        """Cancels everything, sells the positions into the book and the rest to the maker at the mark.

        What is then missing comes from spot in a unified account, and from the maker otherwise.
        """
        state = self.state
        for order in [o for o in state.resting.values() if o.account == account.address]:
            state.set_status(order, "liquidatedCanceled")
        for index, position in list(account.positions.items()):
            book, is_buy, size = state.books[index], position.size < 0, abs(position.size)
            asked = LimitOrder(index, is_buy, book.mark, size, True, Tif.IOC)
            order = orders.number_order(state, account, asked)
            takes = book.walk(is_buy, None, size)
            book.take(is_buy, takes)
            for take in takes:
                state.trade(order, take.px, take.size, crossed=True, liquidation=True)
            if order.remaining:
                state.trade(order, book.mark, order.remaining, crossed=True, liquidation=True)
            state.set_status(order, "filled")
        if account.raw_usd < 0 and account.unified:
            drawn = min(account.spot_usd, -account.raw_usd)
            account.spot_usd -= drawn
            account.raw_usd += drawn
        if account.raw_usd < 0:
            state.pay(account, -account.raw_usd)


def _expressible(market: Market, price: Decimal) -> Decimal:
    """A price that the precompiles can say. VaultkeelError for one that is not positive."""
    px = price.quantize(Decimal(1).scaleb(-market.px_decimals), rounding=ROUND_HALF_EVEN)
    if px <= 0:
        raise VaultkeelError(f"{price} is no price for {market.coin}")
    return px
