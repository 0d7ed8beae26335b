"""GMX orders as calldata: built from an intent, and read back from the bytes.

One transaction pays the executor, hands over the collateral and places the order. A price bound includes the fee, the
protocol's acceptable price doesn't: it is rounded to the stricter side, and the bound is found again from it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

from bot.chain.contracts import Contract
from bot.core.model import Intent, VenueState
from bot.core.orders import PRICE_STEP, Order
from bot.core.units import from_raw, to_raw
from bot.errors import DataError, OrderRejected
from bot.ports import TxCall
from bot.venues.gmx_market import (
    MARKET_DECREASE,
    MARKET_INCREASE,
    SCALE,
    ZERO_ADDRESS,
    GmxMarket,
    same,
)
from bot.venues.gmx_sizes import brought_in, check_size, closed_by, sides_of, taken_back

SWAP_PROFIT = 1
"""The protocol's number for a decrease that swaps its profit into the collateral token."""


@dataclass(frozen=True)
class Place:
    """Where orders go and whose they are."""

    account: str
    market: str
    order_vault: str
    exchange: Contract
    tokens: GmxMarket


@dataclass(frozen=True, slots=True)
class Asked:
    """An order in the protocol's terms, raw. `brings` is handed over, `takes` is collateral to be given back.

    `fee` is the wei that the executor's gas is paid from.
    """

    is_increase: bool
    is_long: bool
    size_usd: int
    acceptable: int
    brings: int
    takes: int
    fee: int

    @property
    def buys(self) -> bool:
        """Whether it makes the position more positive."""
        return self.is_increase == self.is_long


def built(place: Place, asked: Asked) -> TxCall:
    """The one transaction of an order."""
    encode, vault = place.exchange.abi.encode, place.order_vault
    steps = [encode("sendWnt", vault, asked.fee)]
    if asked.brings:
        steps.append(encode("sendTokens", place.tokens.collateral_token, vault, asked.brings))
    steps.append(encode("createOrder", parameters(place, asked)))
    return TxCall(place.exchange.address, encode("multicall", steps), asked.fee)


def parameters(place: Place, asked: Asked) -> dict[str, Any]:
    """The struct that an order is created with."""
    return {
        "addresses": {
            "receiver": place.account,
            "cancellationReceiver": place.account,
            "callbackContract": ZERO_ADDRESS,
            "uiFeeReceiver": ZERO_ADDRESS,
            "market": place.market,
            "initialCollateralToken": place.tokens.collateral_token,
            "swapPath": [],
        },
        "numbers": {
            "sizeDeltaUsd": asked.size_usd,
            "initialCollateralDeltaAmount": asked.takes,
            "triggerPrice": 0,
            "acceptablePrice": asked.acceptable,
            "executionFee": asked.fee,
            "callbackGasLimit": 0,
            "minOutputAmount": 0,
            "validFromTime": 0,
        },
        "orderType": MARKET_INCREASE if asked.is_increase else MARKET_DECREASE,
        "decreasePositionSwapType": swap_type(place.tokens, asked),
        "isLong": asked.is_long,
        "shouldUnwrapNativeToken": False,
        "autoCancel": False,
        "referralCode": bytes(32),
        "dataList": [],
    }


def swap_type(tokens: GmxMarket, asked: Asked) -> int:
    """Whether a decrease swaps its profit, which the pool pays in the long token to longs, into the collateral token.

    Else it would lie in the wallet as the underlying itself, unseen by the hedge.
    """
    paid_in = tokens.long_token if asked.is_long else tokens.short_token
    swaps = not asked.is_increase and not same(paid_in, tokens.collateral_token)
    return SWAP_PROFIT if swaps else 0


def read_back(place: Place, steps: Sequence[bytes], value: int) -> Asked:
    """What the steps of a multicall ask for. OrderRejected unless every byte is as in an order of ours.

    The numbers that differ from order to order are returned; whether they are within bounds is the caller's to say.
    """
    decoded = [canonical(place.exchange, step) for step in steps]
    names = [name for name, _ in decoded]
    if names not in (["sendWnt", "createOrder"], ["sendWnt", "sendTokens", "createOrder"]):
        raise OrderRejected(
            f"the steps are {', '.join(names) or 'none'}, not a fee, at most one payment and one order"
        )
    paid, params = decoded[0][1], decoded[-1][1]["params"]
    if not same(paid["receiver"], place.order_vault) or paid["amount"] != value:
        raise OrderRejected(
            f"the executor's fee of {paid['amount']} wei goes to {paid['receiver']} and {value} wei are sent"
        )
    brings = 0
    if len(decoded) == len(("fee", "payment", "order")):
        sent = decoded[1][1]
        if not same(sent["token"], place.tokens.collateral_token):
            raise OrderRejected(f"{sent['token']} is handed over, which is not the collateral token")
        if not same(sent["receiver"], place.order_vault):
            raise OrderRejected(f"collateral is handed to {sent['receiver']}, which is not the order vault")
        brings = sent["amount"]
        if brings == 0:
            raise OrderRejected("nothing is handed over with a payment")
    numbers = params["numbers"]
    asked = Asked(
        is_increase=params["orderType"] == MARKET_INCREASE,
        is_long=params["isLong"],
        size_usd=numbers["sizeDeltaUsd"],
        acceptable=numbers["acceptablePrice"],
        brings=brings,
        takes=numbers["initialCollateralDeltaAmount"],
        fee=value,
    )
    differing = differences(params, parameters(place, asked))
    if differing:
        raise OrderRejected(f"an order with another {', '.join(differing)} than ours")
    if asked.brings and not asked.is_increase:
        raise OrderRejected("a decrease that brings collateral")
    if asked.takes and asked.is_increase:
        raise OrderRejected("an increase that takes collateral back")
    return asked


def canonical(exchange: Contract, step: bytes) -> tuple[str, dict[str, Any]]:
    """A step's function and arguments. OrderRejected where other bytes would mean the same."""
    try:
        name, arguments = exchange.abi.decode_input(step)
    except DataError as error:
        raise OrderRejected(f"a step that is none of ours: {error}") from error
    if exchange.abi.encode(name, *arguments.values()) != step:
        raise OrderRejected(f"the step {name} is not in its canonical form")
    return name, arguments


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The fields of an order that are not as wanted."""
    names: list[str] = []
    for name, value in wanted.items():
        other = found[name]
        if isinstance(value, Mapping):
            names += differences(other, value)
        elif isinstance(value, str):
            names += [] if same(value, other) else [name]
        elif value != other:
            names.append(name)
    return names


def trade(place: Place, intent: Intent, state: VenueState, max_fee_wei: int) -> TxCall:
    """The order for exactly `intent.size`. OrderRejected where the protocol would not take it as it is meant.

    It closes what is open the other way, or opens where nothing is.
    """
    if intent.size == 0:
        raise OrderRejected("an order of 0 trades nothing")
    check_size(intent.size, state, place.tokens)
    buys = intent.size > 0
    closing = closed_by(intent.size, state, place.tokens)
    tokens = to_raw(abs(intent.size), place.tokens.index_decimals)
    fee = state.keeper_gas * max_fee_wei
    acceptable = acceptable_price(intent.price_bound, state.fee_ratio, place.tokens, buys=buys)
    if closing is None:
        size_usd = tokens * place.tokens.price_raw(state.mark)
        brings = to_raw(brought_in(intent.size, state), place.tokens.collateral_decimals)
        return built(place, Asked(True, buys, size_usd, acceptable, brings, 0, fee))
    size_usd = closing.usd_of(tokens, is_long=not buys)
    takes = to_raw(taken_back(intent.size, state, place.tokens), place.tokens.collateral_decimals)
    return built(place, Asked(False, not buys, size_usd, acceptable, 0, takes, fee))


def margin_order(place: Place, amount: Decimal, state: VenueState, max_fee_wei: int, *, adds: bool) -> TxCall:
    """An order of no size that moves `amount` collateral tokens. OrderRejected unless exactly one side is open."""
    long, short = sides_of(state, place.tokens)
    if (long is None) == (short is None):
        found = "none is open" if long is None else "both sides are open"
        raise OrderRejected(f"{state.name}: collateral belongs to a position, and {found}")
    raw = to_raw(amount, place.tokens.collateral_decimals)
    if raw <= 0:
        raise OrderRejected(f"{state.name}: {amount} is nothing to move")
    fee = state.keeper_gas * max_fee_wei
    brings, takes = (raw, 0) if adds else (0, raw)
    return built(place, Asked(adds, long is not None, 0, 0, brings, takes, fee))


def order_of(place: Place, call: TxCall, state: VenueState) -> Order:
    """The trade that `call` asks for. OrderRejected where it is none of this market, account and state.

    GMX knows no deadline. The size of an increase follows from its USD at the mark, that of a decrease from the
    position.
    """
    if not same(call.to, place.exchange.address):
        raise OrderRejected(f"the prepared call goes to {call.to}, not to {place.exchange.address}")
    name, arguments = canonical(place.exchange, call.data)
    if name != "multicall":
        raise OrderRejected(f"the prepared call is {name}, which is no order")
    asked = read_back(place, arguments["data"], call.value)
    if asked.size_usd == 0:
        raise OrderRejected("the prepared order trades nothing")
    size = from_raw(tokens_asked(place, asked, state), place.tokens.index_decimals)
    signed = size if asked.buys else -size
    moves = brought_in(signed, state) if asked.is_increase else taken_back(signed, state, place.tokens)
    if to_raw(moves, place.tokens.collateral_decimals) != asked.brings + asked.takes:
        raise OrderRejected(
            f"the prepared order of {signed:+f} moves {asked.brings + asked.takes} of collateral, not {moves:f} tokens"
        )
    bound = bound_of(asked.acceptable, state.fee_ratio, place.tokens, buys=asked.buys)
    if acceptable_price(bound, state.fee_ratio, place.tokens, buys=asked.buys) != asked.acceptable:
        raise OrderRejected(f"the prepared order's acceptable price {asked.acceptable} is no bound of ours")
    return Order(signed, bound, None)


def tokens_asked(place: Place, asked: Asked, state: VenueState) -> int:
    """The index tokens that an order trades, raw."""
    long, short = sides_of(state, place.tokens)
    if asked.is_increase:
        tokens, rest = divmod(asked.size_usd, place.tokens.price_raw(state.mark))
        if rest:
            raise OrderRejected(f"the prepared order's {asked.size_usd} are no size at the mark {state.mark}")
        return tokens
    closing = long if asked.is_long else short
    if closing is None or asked.size_usd > closing.usd:
        raise OrderRejected("the prepared order closes more than is open on its side")
    return closing.tokens_of(asked.size_usd, is_long=asked.is_long)


def acceptable_price(bound: Decimal, fee_ratio: Decimal, market: GmxMarket, *, buys: bool) -> int:
    """The price before fees that a bound with fees allows, raw, rounded to the stricter side.

    OrderRejected where it allows none: an acceptable price of 0 would be no bound.
    """
    factor = 1 + Fraction(fee_ratio) if buys else 1 - Fraction(fee_ratio)
    exact = Fraction(bound) / factor * Fraction(10) ** (SCALE - market.index_decimals)
    raw = floor(exact) if buys else ceil(exact)
    if raw <= 0:
        raise OrderRejected(f"a price bound of {bound} USD is none")
    return raw


def bound_of(acceptable: int, fee_ratio: Decimal, market: GmxMarket, *, buys: bool) -> Decimal:
    """The bound with fees, in whole steps, whose acceptable price this is: the inverse of `acceptable_price`."""
    factor = 1 + Fraction(fee_ratio) if buys else 1 - Fraction(fee_ratio)
    exact = Fraction(acceptable, 10 ** (SCALE - market.index_decimals)) * factor / Fraction(PRICE_STEP)
    steps = ceil(exact) if buys else floor(exact)
    return Decimal(steps) * PRICE_STEP
