"""Everything that the exchange behind the stand-in remembers, and the one way in which cash and positions move."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from bot.localnet.hypercore import rules
from bot.localnet.hypercore.book import Book
from bot.localnet.hypercore.model import (
    ZERO,
    Account,
    Fate,
    Fill,
    FundingPayment,
    FundingRate,
    Maker,
    Market,
    Order,
    Position,
)


@dataclass(slots=True)
class State:
    """`accounts` by lower-case address, `books` by market index, `orders` and `resting` by oid.

    What cash and positions there are is in `accounts`, `maker` and `books`; the rest is history.
    """

    now_s: int
    markets: dict[int, Market] = field(default_factory=dict)
    books: dict[int, Book] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    maker: Maker = field(default_factory=Maker)
    resting: dict[int, Order] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    funding_rates: list[FundingRate] = field(default_factory=list)
    payments: list[FundingPayment] = field(default_factory=list)
    journal: list[Fate] = field(default_factory=list)
    deposited_usd: Decimal = ZERO

    @property
    def marks(self) -> dict[int, Decimal]:
        """The mark price of every market."""
        return {index: book.mark for index, book in self.books.items()}

    def positions(self) -> Iterator[tuple[Account, int, Position]]:
        """Every position of every account."""
        for account in self.accounts.values():
            for index, position in account.positions.items():
                yield account, index, position

    def pay(self, account: Account, usd: Decimal) -> None:
        """Cash from the maker to an account; from the account where negative."""
        account.raw_usd += usd
        self.maker.raw_usd -= usd

    def trade(
        self,
        order: Order,
        px: Decimal,
        size: Decimal,
        transaction: str = "",
        *,
        crossed: bool = False,
        liquidation: bool = False,
    ) -> Fill:
        """An account and the maker trade so much of an order at a price, and the account pays its fee.

        `crossed` where it takes liquidity. A `liquidation` costs no fee besides its price.
        """
        account, market = self.accounts[order.account], self.markets[order.market]
        signed = size if order.is_buy else -size
        rate = market.taker_fee if crossed else market.maker_fee
        fee = ZERO if liquidation else rules.round_usd(px * size * rate, up=True)
        position = account.positions.setdefault(order.market, Position())
        start = position.size
        closed_pnl = _change_position(position, signed, px)
        if not position.size:
            del account.positions[order.market]
        self.pay(account, -signed * px)
        account.raw_usd -= fee
        self.maker.fees_usd += fee
        self.maker.sizes[order.market] = self.maker.sizes.get(order.market, ZERO) - signed
        order.remaining -= size
        fill = Fill(
            number=len(self.fills) + 1,
            account=order.account,
            market=order.market,
            oid=order.oid,
            cloid=order.cloid,
            is_buy=order.is_buy,
            px=px,
            size=size,
            time_s=self.now_s,
            start_size=start,
            closed_pnl=closed_pnl,
            fee_usd=fee,
            crossed=crossed,
            liquidation=liquidation,
            transaction=transaction,
        )
        self.fills.append(fill)
        return fill

    def set_status(self, order: Order, status: str) -> None:
        """The order's status changes, and only now what the info API says of its size."""
        order.status, order.status_s, order.shown_remaining = status, self.now_s, order.remaining
        if status == "open":
            self.resting[order.oid] = order
        else:
            self.resting.pop(order.oid, None)


def _change_position(position: Position, signed: Decimal, px: Decimal) -> Decimal:
    """Moves a position and what it cost; returns the profit of the part that was closed."""
    size, entry = position.size, position.entry_ntl
    closed = min(abs(size), abs(signed)) if size * signed < 0 else ZERO
    cost = entry if closed == abs(size) else rules.round_usd(entry * closed / abs(size), up=False)
    opened = abs(signed) - closed
    position.size = size + signed
    position.entry_ntl = entry - cost + opened * px
    profit = closed * px - cost
    return profit if size > 0 else -profit
