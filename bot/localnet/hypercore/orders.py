"""Orders: what is refused and why, what fills against the book at once, and what rests in it.

A refusal is decided before anything changes. The info API's word for it follows Hyperliquid's error responses.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.localnet.hypercore import rules
from bot.localnet.hypercore.actions import CancelByCloid, CancelByOid, LimitOrder, Tif
from bot.localnet.hypercore.book import Take
from bot.localnet.hypercore.model import ZERO, Account, Order, Position
from bot.localnet.hypercore.state import State

FIRST_OID: Final = 1_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order is not taken. `status` is empty where HyperCore gives it no number either."""

    sentence: str
    status: str = ""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that HyperCore has a number for, and why it was refused, if it was."""

    order: Order | None
    refusal: str
    filled: Decimal = ZERO
    average_px: Decimal | None = None
    fee_usd: Decimal = ZERO


def place(state: State, account: Account, asked: LimitOrder, transaction: str) -> Placed:
    """Takes an order, or refuses it."""
    refusal = refuse(state, account, asked)
    if refusal is not None and not refusal.status:
        return Placed(None, refusal.sentence)
    order = number_order(state, account, asked)
    if refusal is not None:
        state.set_status(order, refusal.status)
        return Placed(order, refusal.sentence)
    takes = _crossing(state, asked)
    state.books[asked.asset].take(asked.is_buy, takes)
    fills = [state.trade(order, take.px, take.size, transaction, crossed=True) for take in takes]
    state.set_status(order, _status(order))
    filled = sum((fill.size for fill in fills), ZERO)
    paid = sum((fill.px * fill.size for fill in fills), ZERO)
    return Placed(
        order,
        "",
        filled if asked.is_buy else -filled,
        rules.round_usd(paid / filled, up=False) if filled else None,
        sum((fill.fee_usd for fill in fills), ZERO),
    )


def refuse(state: State, account: Account, asked: LimitOrder) -> Refusal | None:
    """Why an order would be refused now; None where it would be taken. Nothing changes."""
    market = state.markets.get(asked.asset)
    if market is None:
        return Refusal(f"asset {asked.asset} does not exist")
    if not rules.on_lot(market, asked.size):
        return Refusal(f"size {asked.size} is not a positive multiple of {market.lot} {market.coin}")
    if not rules.on_tick(market, asked.limit_px):
        return Refusal(
            f"price {asked.limit_px} has more than 5 significant figures or {market.px_decimals} decimals",
            "tickRejected",
        )
    held = account.positions.get(asked.asset, Position()).size
    signed = asked.size if asked.is_buy else -asked.size
    # Traders report that a reduction larger than the position is refused; the documentation does not say.
    if asked.reduce_only and (held * signed >= 0 or asked.size > abs(held)):
        return Refusal(f"reduce-only {signed} would increase or flip {held}", "reduceOnlyRejected")
    # Nor does it say that the rest of a position may be closed below the minimum, as the real one lets its users do.
    closes = asked.reduce_only and held == -signed
    if asked.limit_px * asked.size < rules.MIN_ORDER_USD and not closes:
        return Refusal(f"its value is below {rules.MIN_ORDER_USD} USD", "minTradeNtlRejected")
    takes = _crossing(state, asked)
    if asked.tif is Tif.ALO and takes:
        return Refusal("add-liquidity-only would have matched at once", "badAloPxRejected")
    if asked.tif is Tif.IOC and not takes:
        return Refusal("immediate-or-cancel met nothing within its limit", "iocCancelRejected")
    if abs(held + signed) > abs(held) and _lacks_margin(state, account, asked, takes):
        return Refusal("the account lacks the initial margin", "perpMarginRejected")
    return None


def cancel(state: State, account: Account, asked: CancelByOid | CancelByCloid) -> Order | None:
    """Cancels the newest resting order that fits; None where none does."""
    for order in reversed(state.resting.values()):
        named = order.oid == asked.oid if isinstance(asked, CancelByOid) else order.cloid == asked.cloid != 0
        if order.account == account.address and order.market == asked.asset and named:
            state.set_status(order, "canceled")
            return order
    return None


def match_resting(state: State) -> None:
    """Fills resting orders that the book has come to, at their own price, oldest first."""
    for order in list(state.resting.values()):
        account, book = state.accounts[order.account], state.books[order.market]
        held = account.positions.get(order.market, Position()).size
        wanted = order.remaining
        if order.reduce_only:
            wanted = min(wanted, abs(held)) if held and (held > 0) != order.is_buy else ZERO
            if not wanted:
                state.set_status(order, "reduceOnlyCanceled")
                continue
        takes = book.walk(order.is_buy, order.limit_px, wanted)
        if not takes:
            continue
        size = sum((take.size for take in takes), ZERO)
        asked = LimitOrder(order.market, order.is_buy, order.limit_px, size, False, order.tif)
        grows = abs(held + (size if order.is_buy else -size)) > abs(held)
        if grows and _lacks_margin(state, account, asked, (Take(0, order.limit_px, size),)):
            state.set_status(order, "marginCanceled")
            continue
        book.take(order.is_buy, takes)
        state.trade(order, order.limit_px, size)
        if not order.remaining:
            state.set_status(order, "filled")


def number_order(state: State, account: Account, asked: LimitOrder) -> Order:
    """Gives an order its number. Its status is the caller's to set."""
    order = Order(
        oid=FIRST_OID + len(state.orders),
        account=account.address,
        market=asked.asset,
        is_buy=asked.is_buy,
        limit_px=asked.limit_px,
        size=asked.size,
        reduce_only=asked.reduce_only,
        tif=asked.tif,
        cloid=asked.cloid,
        placed_s=state.now_s,
        remaining=asked.size,
        shown_remaining=asked.size,
        status="",
        status_s=state.now_s,
    )
    state.orders[order.oid] = order
    return order


def _status(order: Order) -> str:
    if not order.remaining:
        return "filled"
    # What the real API calls an order of which the rest was cancelled at once is not documented.
    return "canceled" if order.tif is Tif.IOC else "open"


def _crossing(state: State, asked: LimitOrder) -> tuple[Take, ...]:
    return state.books[asked.asset].walk(asked.is_buy, asked.limit_px, asked.size)


def _lacks_margin(state: State, account: Account, asked: LimitOrder, takes: tuple[Take, ...]) -> bool:
    """Whether the account could not open the whole order at the mark, after what its matching part costs."""
    market, marks = state.markets[asked.asset], state.marks
    sign = 1 if asked.is_buy else -1
    mark = marks[asked.asset]
    cost = sum(((take.px - mark) * sign * take.size for take in takes), ZERO)
    fees = sum((rules.round_usd(take.px * take.size * market.taker_fee, up=True) for take in takes), ZERO)
    held = account.positions.get(asked.asset, Position()).size
    after = Account(
        account.address,
        positions={**account.positions, asked.asset: Position(held + sign * asked.size)},
        leverage=account.leverage,
    )
    left = rules.collateral(account, marks) - cost - fees
    return left < rules.initial_margin(after, state.markets, marks)
