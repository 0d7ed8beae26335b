"""Calldata of a Curie order read back: what it would trade, whoever wrote it."""

from decimal import Decimal

from bot.chain.contracts import Contract
from bot.core.model import VenueState
from bot.core.orders import Order
from bot.core.units import from_raw
from bot.errors import DataError, OrderRejected
from bot.ports import TxCall

OPENS = ("openPosition", "openPositionFor")


def order_of(house: Contract, base_token: str, trader: str, call: TxCall, state: VenueState) -> Order:
    """The order that `call` asks of the clearing house. OrderRejected where it is none of this market and trader.

    A close trades the position of `state`. The bound of a purchase is its most, that of a sale its least quote amount.
    """
    if call.to.lower() != house.address.lower() or call.value:
        raise OrderRejected(
            f"the prepared call goes to {call.to} with {call.value} wei, not to {house.address}"
        )
    try:
        function, arguments = house.abi.decode_input(call.data)
    except DataError as error:
        raise OrderRejected(f"the prepared call is no order: {error}") from error
    if function not in (*OPENS, "closePosition"):
        raise OrderRejected(f"the prepared call is {function}, which is no order")
    whose = arguments.get("trader", state.account)
    params = arguments["params"]
    if whose.lower() != trader.lower() or params["baseToken"].lower() != base_token.lower():
        raise OrderRejected(f"the prepared order is for {whose} in {params['baseToken']}")
    if params["sqrtPriceLimitX96"] != 0:
        raise OrderRejected("the prepared order has a price limit that may cut it short")
    size = -state.position.size if function == "closePosition" else _size(params)
    if size == 0:
        raise OrderRejected("the prepared order trades nothing")
    bound = from_raw(params["oppositeAmountBound"], 18) / abs(size)
    return Order(size, bound, params["deadline"])


def _size(params: dict[str, object]) -> Decimal:
    sells = bool(params["isBaseToQuote"])
    if params["isExactInput"] is not sells:
        raise OrderRejected("the prepared order's amount is not in base units")
    amount = from_raw(int(str(params["amount"])), 18)
    return -amount if sells else amount
