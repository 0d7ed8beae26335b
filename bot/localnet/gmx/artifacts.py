"""The stand-in's compiled contracts, the errors they revert with, and its events as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.abi import decode
from eth_utils.abi import collapse_if_tuple, event_abi_to_log_topic

from bot.errors import VaultkeelError
from bot.localnet.node import Receipt
from bot.localnet.standin import StandIn

# gmx-synthetics error/Errors.sol, as far as the stand-in uses it.
ERRORS: Final = (
    "DisabledFeature(bytes32 key)",
    "DisabledMarket(address market)",
    "EmptyMarket()",
    "EmptyOrder()",
    "EmptyPosition()",
    "EmptyPrimaryPrice(address token)",
    "EmptyReceiver()",
    "InsufficientCollateralAmount(uint256 collateralAmount, int256 collateralDeltaAmount)",
    "InsufficientCollateralUsd(int256 remainingCollateralUsd)",
    "InsufficientExecutionFee(uint256 minExecutionFee, uint256 executionFee)",
    "InsufficientFundsToPayForCosts(uint256 remainingCostUsd, string step)",
    "InsufficientOutputAmount(uint256 outputAmount, uint256 minOutputAmount)",
    "InsufficientWntAmountForExecutionFee(uint256 wntAmount, uint256 executionFee)",
    "InvalidClaimFundingFeesInput(uint256 marketsLength, uint256 tokensLength)",
    "InvalidCollateralTokenForMarket(address market, address token)",
    "InvalidDecreaseOrderSize(uint256 sizeDeltaUsd, uint256 positionSizeInUsd)",
    "InvalidKeeperForFrozenOrder(address keeper)",
    "InvalidOrderPrices(uint256 primaryPriceMin, uint256 primaryPriceMax, uint256 triggerPrice, uint256 orderType)",
    "InvalidPositionSizeValues(uint256 sizeInUsd, uint256 sizeInTokens)",
    "LiquidatablePosition(string reason, int256 remainingCollateralUsd, int256 minCollateralUsd, "
    "int256 minCollateralUsdForLeverage)",
    "MaxOpenInterestExceeded(uint256 openInterest, uint256 maxOpenInterest)",
    "MaxPriceAgeExceeded(uint256 oracleTimestamp, uint256 currentTimestamp)",
    "MinPositionSize(uint256 positionSizeInUsd, uint256 minPositionSizeUsd)",
    "OracleTimestampsAreLargerThanRequestExpirationTime(uint256 maxOracleTimestamp, uint256 requestTimestamp, "
    "uint256 requestExpirationTime)",
    "OracleTimestampsAreSmallerThanRequired(uint256 minOracleTimestamp, uint256 expectedTimestamp)",
    "OrderNotFulfillableAtAcceptablePrice(uint256 price, uint256 acceptablePrice)",
    "OrderTypeCannotBeCreated(uint256 orderType)",
    "PositionShouldNotBeLiquidated(string reason, int256 remainingCollateralUsd, int256 minCollateralUsd, "
    "int256 minCollateralUsdForLeverage)",
    "PriceImpactLargerThanOrderSize(int256 priceImpactUsd, uint256 sizeDeltaUsd)",
    "RequestNotYetCancellable(uint256 requestAge, uint256 requestExpirationAge, string requestType)",
    "UnableToWithdrawCollateral(int256 estimatedRemainingCollateralUsd)",
    "Unauthorized(address msgSender, string role)",
    "UnexpectedValidFromTime(uint256 orderType)",
    "UnsupportedOrderType(uint256 orderType)",
)


def error_abi(signature: str) -> dict[str, Any]:
    """The ABI entry of an error that is written as in Solidity, with its arguments' names."""
    name, _, rest = signature.rstrip(")").partition("(")
    arguments = [argument.split() for argument in rest.split(", ") if argument]
    return {
        "type": "error",
        "name": name,
        "inputs": [{"type": kind, "name": word} for kind, word in arguments],
    }


STAND_IN: Final = StandIn("GMX", "bot.localnet.gmx", tuple(map(error_abi, ERRORS)))
interface: Final = STAND_IN.interface
deploy: Final = STAND_IN.deploy


@dataclass(frozen=True)
class GmxEvent:
    """One event of the EventEmitter: its name, its indexed topics behind the name, and all items by name."""

    name: str
    topics: tuple[bytes, ...]
    items: dict[str, Any]


def read_events(receipt: Receipt) -> list[GmxEvent]:
    """Every EventLog1 and EventLog2 of a receipt, in order. Items keep the names that the real contracts use."""
    known = {
        event_abi_to_log_topic(entry): [i for i in entry["inputs"] if not i["indexed"]]
        for entry in STAND_IN.compiled["StandInEventEmitter"]["abi"]
        if entry["type"] == "event"
    }
    found = []
    for log in receipt.logs:
        inputs = known.get(log.topics[0]) if log.topics else None
        if inputs is not None:
            _, name, data = decode([collapse_if_tuple(i) for i in inputs], log.data)
            found.append(GmxEvent(name, tuple(log.topics[2:]), _flat(data)))
    return found


def _flat(data: Sequence[Any]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for single, arrays in data:
        for key, value in (*single, *arrays):
            if key in items:
                raise VaultkeelError(f"an event has two items named {key}")
            items[key] = value
    return items
