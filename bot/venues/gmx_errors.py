"""GMX's errors in words. A cancelled order carries the error's bytes, and no text."""

from typing import Any

from bot.chain.contracts import decode_values, load_abi
from bot.errors import DataError
from bot.venues.gmx_market import GmxMarket, usd

WORDS = {
    "InsufficientExecutionFee": "the fee for the executor is too low at this transaction's gas price",
    "InsufficientWntAmountForExecutionFee": "less native coin was sent than the executor's fee",
    "DisabledFeature": "the protocol has stopped this kind of order",
    "DisabledMarket": "the market is disabled",
    "EmptyPosition": "there is no position to close",
    "EmptyOrder": "there is no such order: it was executed or cancelled",
    "OrderNotFound": "there is no such order: it was executed or cancelled",
    "OrderNotFulfillableAtAcceptablePrice": "the price moved past the order's bound",
    "PriceImpactLargerThanOrderSize": "the order would move the price by more than its own size",
    "InvalidDecreaseOrderSize": "the order closes more than is open on its side",
    "UnableToWithdrawCollateral": "the position needs the collateral that was to be taken out",
    "InsufficientFundsToPayForCosts": "the collateral doesn't pay for the costs of closing",
    "InsufficientCollateralAmount": "the costs of the order are more than the collateral",
    "InsufficientCollateralUsd": "the order leaves too little collateral for the position's size",
    "LiquidatablePosition": "the position could be liquidated at once",
    "InvalidPositionSizeValues": "there is no position to add collateral to",
    "MinPositionSize": "the position would be smaller than the protocol's least",
    "MaxOpenInterestExceeded": "the market's open interest is full on this side",
    "InsufficientReserve": "the pool can't back a position of this size",
    "InsufficientReserveForOpenInterest": "the pool can't back more open interest on this side",
    "InvalidCollateralTokenForMarket": "the market doesn't take this token as collateral",
    "RequestNotYetCancellable": "the order has not waited long enough to be cancelled",
    "OrderNotUpdatable": "a market order can't be changed",
    "Unauthorized": "this account may not do that",
    "TokenTransferError": "a token could not be moved",
    "USER_INITIATED_CANCEL": "the account itself cancelled it",
}
IN_USD = ("openInterest", "maxOpenInterest", "minCollateralUsdForLeverage")
PRICES = ("price", "acceptablePrice")


def reason_of(revert: bytes, market: GmxMarket) -> str:
    """A revert's data in words: the error's name, what it means and its figures in USD."""
    abi = load_abi("gmx_errors")
    error = abi.errors.get(revert[:4])
    if error is None:
        return abi.explain(revert)
    name, inputs = error["name"], error.get("inputs", ())
    try:
        values = decode_values(name, inputs, revert[4:])
    except DataError:
        return abi.explain(revert)
    given = {i["name"]: value for i, value in zip(inputs, values, strict=True)}
    figures = ", ".join(f"{key} {shown(key, value, market)}" for key, value in given.items())
    said = f"{name}: {WORDS[name]}"
    return f"{said} ({figures})" if figures else said


def plain(reason: str) -> str:
    """A reason that the protocol gives as text, with what it means where that is known."""
    return f"{reason}: {WORDS[reason]}" if reason in WORDS else reason


def shown(name: str, value: Any, market: GmxMarket) -> str:
    """A figure of an error as a person reads it."""
    if name in PRICES:
        return f"{market.price_usd(value):.6f} USD"
    if name in IN_USD or name.endswith(("Usd", "InUsd")):
        return f"{usd(value):.2f} USD"
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)
