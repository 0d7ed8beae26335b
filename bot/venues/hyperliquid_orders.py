"""Hyperliquid orders as calldata: built from an intent, and read back from the bytes.

An order is an immediate-or-cancel limit order. Its limit is the intent's bound without the fee, on the market's tick
and never worse than that; the bound is found again from it, stricter by less than a tick.
"""

from dataclasses import dataclass
from decimal import Decimal

from bot.chain.contracts import Contract
from bot.core.model import Intent, IntentKind, VenueState
from bot.core.orders import PRICE_STEP, Order
from bot.core.units import to_raw
from bot.errors import DataError, OrderRejected
from bot.ports import TxCall
from bot.venues import hyperliquid_core as core
from bot.venues import hyperliquid_numbers as numbers
from bot.venues.hyperliquid_market import (
    MIN_ORDER_USD,
    HyperliquidMarket,
    HyperliquidState,
    cloid_of,
)


@dataclass(frozen=True)
class Place:
    """Where orders go, and for which market."""

    writer: Contract
    market: HyperliquidMarket


def trade(place: Place, intent: Intent, state: VenueState) -> TxCall:
    """The order for exactly `intent.size`. OrderRejected where HyperCore would drop it, for it would do so silently."""
    known = known_state(state)
    check_size(intent.size, known)
    buys = intent.size > 0
    try:
        exact = numbers.price_before_fee(intent.price_bound, state.fee_ratio, buys=buys)
        price = numbers.stricter_price(exact, known.sz_decimals, buys=buys)
    except ValueError as error:
        raise OrderRejected(f"{state.name}: {error}") from None
    closes = intent.size == -state.position.size
    worth = abs(intent.size) * min(price, state.mark)
    if worth < MIN_ORDER_USD and not closes:
        raise OrderRejected(
            f"{state.name}: an order of {intent.size:+f} is worth {worth:.2f} USD, and HyperCore takes none below "
            f"{MIN_ORDER_USD}: raise min_trade"
        )
    check_margin(intent.size, known)
    order = core.LimitOrder(
        asset=place.market.asset,
        is_buy=buys,
        price=price,
        size=abs(intent.size),
        reduce_only=only_reduces(intent.size, state),
        tif=core.IOC,
        cloid=cloid_of(intent.key),
    )
    return sends(place, order)


def transfer(place: Place, intent: Intent, state: VenueState) -> TxCall:
    """USDC between the spot and the perp side. OrderRejected where there isn't enough, for nothing would say so."""
    if state.wallet is None:
        raise OrderRejected(f"{state.name}: this book moves no margin: it has no [books.margin]")
    adds = intent.kind is IntentKind.ADD_MARGIN
    there = state.wallet if adds else state.margin.free_collateral
    if not 0 < intent.size <= there:
        side = "on the spot side" if adds else "withdrawable"
        raise OrderRejected(f"{state.name}: {intent.size:f} USDC can't be moved: {there:.2f} are {side}")
    try:
        return sends(place, core.UsdClassTransfer(intent.size, to_perp=adds))
    except ValueError as error:
        raise OrderRejected(f"{state.name}: {error}") from None


def order_of(place: Place, call: TxCall, state: VenueState) -> Order:
    """The trade that `call` asks for. OrderRejected where it is none of this market, or not as we would make it."""
    known = known_state(state)
    if call.to.lower() != place.writer.address.lower() or call.value != 0:
        raise OrderRejected(
            f"the prepared call goes to {call.to} with {call.value} wei, not to {place.writer.address} with none"
        )
    try:
        name, arguments = place.writer.abi.decode_input(call.data)
        action = core.decode_action(arguments["data"])
    except DataError as error:
        raise OrderRejected(f"the prepared call is no order: {error}") from error
    if place.writer.abi.encode(name, *arguments.values()) != call.data:
        raise OrderRejected("the prepared call is not in its canonical form")
    if not isinstance(action, core.LimitOrder):
        raise OrderRejected("the prepared call moves margin and trades nothing")
    if action.asset != place.market.asset or action.tif != core.IOC or action.cloid == 0:
        raise OrderRejected(f"the prepared order is none of ours in {place.market.coin}: {action}")
    if not numbers.is_price(action.price, known.sz_decimals):
        raise OrderRejected(
            f"the prepared order's price {action.price.normalize():f} is not on the market's tick"
        )
    if not action.size or not numbers.whole_lots(action.size, numbers.lot_of(known.sz_decimals)):
        raise OrderRejected(f"the prepared order's size {action.size:f} is no whole number of lots")
    if action.reduce_only != only_reduces(action.signed, state):
        raise OrderRejected(
            f"the prepared order of {action.signed:+f} is {'' if action.reduce_only else 'not '}reduce-only, at a "
            f"position of {state.position.size:+f}"
        )
    buys = action.is_buy
    bound = numbers.stricter_bound(action.price, state.fee_ratio, PRICE_STEP, buys=buys)
    tick = numbers.tick_at(action.price, known.sz_decimals)
    return Order(action.signed, bound, None, stricter_by=tick * (1 + state.fee_ratio) + PRICE_STEP)


def sends(place: Place, action: core.Action) -> TxCall:
    """The transaction of an action. It carries no native coin: one that does is void, without a word."""
    writer = place.writer
    return TxCall(writer.address, writer.abi.encode("sendRawAction", core.encode_action(action)))


def only_reduces(size: Decimal, state: VenueState) -> bool:
    """Whether an order of a signed `size` makes the position smaller and nothing else."""
    held = state.position.size
    return held * size < 0 and abs(size) <= abs(held)


def check_size(size: Decimal, state: HyperliquidState) -> None:
    """OrderRejected unless a size is one that an order can have: it is never rounded here."""
    if size == 0:
        raise OrderRejected("an order of 0 trades nothing")
    lot = numbers.lot_of(state.sz_decimals)
    if not numbers.whole_lots(size, lot):
        raise OrderRejected(f"{state.name}: a size of {size:+f} is no whole number of lots of {lot:f}")
    if to_raw(abs(size), numbers.ORDER_DECIMALS) >= 2**64:
        raise OrderRejected(f"{state.name}: a size of {size:+f} is more than an order can say")


def check_margin(size: Decimal, state: HyperliquidState) -> None:
    """OrderRejected where the position would grow beyond what the account's margin opens at its leverage."""
    held = state.position.size
    after = abs(held + size)
    if after <= abs(held):
        return
    needed = after * state.mark * state.initial_ratio + state.others_margin
    cost = abs(size) * (state.mark * state.fee_ratio + state.half_spread)
    has = state.margin.account_value - cost
    if has < needed:
        raise OrderRejected(
            f"{state.name}: a position of {held + size:+f} needs {needed:.2f} USD of margin at the account's leverage "
            f"of {state.leverage}, and {has:.2f} would be there"
        )


def known_state(state: VenueState) -> HyperliquidState:
    """`state` as this venue read it. OrderRejected for any other, which doesn't say the market's decimals."""
    if not isinstance(state, HyperliquidState):
        raise OrderRejected(f"{state.name}: the state was not read from this venue")
    return state
