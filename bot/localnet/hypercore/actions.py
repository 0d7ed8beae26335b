"""What CoreWriter is told: one version byte, three bytes of action id, and the ABI-encoded parameters.

Sizes are in units of the coin, prices and amounts in USD.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from bot.core.units import from_raw

VERSION: Final = 1
ORDER_DECIMALS: Final = 8
USD_DECIMALS: Final = 6
_HEAD_BYTES: Final = 4


class Tif(IntEnum):
    """Time in force: add liquidity only, good till cancelled, immediate or cancel."""

    ALO = 1
    GTC = 2
    IOC = 3


@dataclass(frozen=True, slots=True)
class LimitOrder:
    """Action 1. `cloid` 0 means none."""

    asset: int
    is_buy: bool
    limit_px: Decimal
    size: Decimal
    reduce_only: bool
    tif: Tif
    cloid: int = 0


@dataclass(frozen=True, slots=True)
class UsdClassTransfer:
    """Action 7: USDC from spot to perp, or back."""

    usd: Decimal
    to_perp: bool


@dataclass(frozen=True, slots=True)
class AddApiWallet:
    """Action 9: the wallet may sign for the account in the HTTP API. Nothing on the EVM."""

    wallet: str
    name: str


@dataclass(frozen=True, slots=True)
class CancelByOid:
    """Action 10."""

    asset: int
    oid: int


@dataclass(frozen=True, slots=True)
class CancelByCloid:
    """Action 11."""

    asset: int
    cloid: int


@dataclass(frozen=True, slots=True)
class NotDone:
    """An action that exists, and that this stand-in does not do."""

    name: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no action. `why` is a clause."""

    why: str


Action = LimitOrder | UsdClassTransfer | AddApiWallet | CancelByOid | CancelByCloid | NotDone | Malformed


def _limit_order(
    asset: int, is_buy: bool, px: int, sz: int, reduce_only: bool, tif: int, cloid: int
) -> Action:
    if tif not in set(Tif):
        return Malformed(f"time in force {tif} does not exist")
    price, size = from_raw(px, ORDER_DECIMALS), from_raw(sz, ORDER_DECIMALS)
    return LimitOrder(asset, is_buy, price, size, reduce_only, Tif(tif), cloid)


_SHAPES: Final[dict[int, tuple[tuple[str, ...], Callable[..., Action]]]] = {
    1: (("uint32", "bool", "uint64", "uint64", "bool", "uint8", "uint128"), _limit_order),
    7: (("uint64", "bool"), lambda usd, to_perp: UsdClassTransfer(from_raw(usd, USD_DECIMALS), to_perp)),
    9: (("address", "string"), AddApiWallet),
    10: (("uint32", "uint64"), CancelByOid),
    11: (("uint32", "uint128"), CancelByCloid),
}
_NOT_DONE: Final = {
    2: "vaultTransfer",
    3: "tokenDelegate",
    4: "stakingDeposit",
    5: "stakingWithdraw",
    6: "spotSend",
    8: "finalizeEvmContract",
    12: "approveBuilderFee",
    13: "sendAsset",
    14: "reflectEvmSupplyChange",
    15: "borrowLend",
}


def decode_action(data: bytes) -> Action:
    """The action in these bytes; Malformed where there is none, as HyperCore never answers with an error."""
    if len(data) < _HEAD_BYTES:
        return Malformed(f"{len(data)} bytes are too short for an action")
    if data[0] != VERSION:
        return Malformed(f"encoding version {data[0]} does not exist")
    action_id = int.from_bytes(data[1:_HEAD_BYTES], "big")
    if action_id in _NOT_DONE:
        return NotDone(_NOT_DONE[action_id])
    if action_id not in _SHAPES:
        return Malformed(f"action {action_id} does not exist")
    kinds, build = _SHAPES[action_id]
    try:
        values: tuple[Any, ...] = decode(kinds, data[_HEAD_BYTES:])
    except (DecodingError, OverflowError, ValueError) as error:
        return Malformed(f"the parameters of action {action_id} can't be decoded: {error}")
    return build(*values)
