"""HyperCore as HyperEVM shows it: what its read precompiles answer, and CoreWriter's actions as bytes.

A precompile takes its ABI-encoded inputs without a selector. An action is one version byte, three bytes of its number,
and its ABI-encoded parameters. CoreWriter neither answers nor reverts. Source: Hyperliquid's documentation of HyperEVM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_utils.address import to_checksum_address

from bot.chain.contracts import Contract
from bot.core.units import from_raw, to_raw
from bot.errors import DataError
from bot.ports import Call, Receipt
from bot.venues.hyperliquid_numbers import ORDER_DECIMALS, USD_DECIMALS

FIRST_PRECOMPILE = 0x800
USDC = 0
"""The number of USDC among HyperCore's tokens."""
VERSION = 1
LIMIT_ORDER, USD_CLASS_TRANSFER = 1, 7
IOC = 3
HEAD = 4
"""Bytes before an action's parameters."""
ORDER_TYPES = ["uint32", "bool", "uint64", "uint64", "bool", "uint8", "uint128"]
TRANSFER_TYPES = ["uint64", "bool"]
OTHERS = {
    2: "vaultTransfer",
    3: "tokenDelegate",
    4: "stakingDeposit",
    5: "stakingWithdraw",
    6: "spotSend",
    8: "finalizeEvmContract",
    9: "addApiWallet",
    10: "cancelByOid",
    11: "cancelByCloid",
    12: "approveBuilderFee",
    13: "sendAsset",
    14: "reflectEvmSupplyChange",
    15: "borrowLend",
}
"""Actions that are none of ours, for messages."""


@dataclass(frozen=True, slots=True)
class Position:
    """One position, raw: `szi` signed in lots, `entry_ntl` in millionths of a USD and never negative."""

    szi: int
    entry_ntl: int
    isolated_raw_usd: int
    leverage: int
    is_isolated: bool


@dataclass(frozen=True, slots=True)
class Summary:
    """The account's margin on one dex, raw millionths of a USD.

    `raw_usd` is the account's value less its positions' at the mark: cash, what shorts brought, less what longs took.
    """

    account_value: int
    margin_used: int
    notional: int
    raw_usd: int


@dataclass(frozen=True, slots=True)
class AssetInfo:
    """A perp. What can't change while it is listed, but for its highest leverage."""

    coin: str
    margin_table: int
    sz_decimals: int
    max_leverage: int
    only_isolated: bool


@dataclass(frozen=True, slots=True)
class LimitOrder:
    """Action 1: USD per unit, units of the underlying, and the client order id (0 for none)."""

    asset: int
    is_buy: bool
    price: Decimal
    size: Decimal
    reduce_only: bool
    tif: int
    cloid: int

    @property
    def signed(self) -> Decimal:
        """The size, negative where it sells."""
        return self.size if self.is_buy else -self.size


@dataclass(frozen=True, slots=True)
class UsdClassTransfer:
    """Action 7: USDC from the spot side to the perp side, or back."""

    amount: Decimal
    to_perp: bool


Action = LimitOrder | UsdClassTransfer


def position(user: str, perp: int) -> Call:
    """A user's position in a perp, of any dex."""
    shape = ["int64", "uint64", "int64", "uint32", "bool"]
    return _ask(0x13, "position2", (["address", "uint32"], (user, perp)), shape, lambda v: Position(*v))


def spot_usdc(user: str) -> Call:
    """A user's USDC on the spot side: raw total, and what of it is held for orders."""
    asked = (["address", "uint64"], (user, USDC))
    return _ask(0x01, "spotBalance", asked, ["uint64"] * 3, lambda v: (v[0], v[1]))


def withdrawable(user: str) -> Call:
    """Raw USD that may leave the perp side of the first dex."""
    return _ask(0x03, "withdrawable", (["address"], (user,)), ["uint64"], _first)


def mark_price(perp: int) -> Call:
    """A perp's raw mark price."""
    return _ask(0x06, "markPx", (["uint32"], (perp,)), ["uint64"], _first)


def oracle_price(perp: int) -> Call:
    """A perp's raw oracle price."""
    return _ask(0x07, "oraclePx", (["uint32"], (perp,)), ["uint64"], _first)


def asset_info(perp: int) -> Call:
    """What is listed under a perp's number. A number that isn't used takes all gas, so it is asked by itself."""
    shape = ["(string,uint32,uint8,uint8,bool)"]
    return _ask(0x0A, "perpAssetInfo", (["uint32"], (perp,)), shape, lambda v: AssetInfo(*v[0]))


def best_prices(asset: int) -> Call:
    """The raw best bid and offer of an asset."""
    return _ask(0x0E, "bbo", (["uint64"], (asset,)), ["uint64", "uint64"], lambda v: (v[0], v[1]))


def margin_summary(dex: int, user: str) -> Call:
    """A user's margin on a dex."""
    shape = ["int64", "uint64", "uint64", "int64"]
    asked = (["uint32", "address"], (dex, user))
    return _ask(0x0F, "accountMarginSummary", asked, shape, lambda v: Summary(*v))


def user_exists(user: str) -> Call:
    """Whether HyperCore knows an address."""
    return _ask(0x10, "coreUserExists", (["address"], (user,)), ["bool"], _first)


def _first(values: tuple[Any, ...]) -> Any:
    return values[0]


def _ask(
    number: int,
    name: str,
    asked: tuple[list[str], tuple[Any, ...]],
    shape: list[str],
    read: Callable[[tuple[Any, ...]], Any],
) -> Call:
    address = to_checksum_address((FIRST_PRECOMPILE + number).to_bytes(20, "big"))
    where = f"HyperCore's {name} at {address}"

    def decoded(data: bytes) -> Any:
        if not data:
            raise DataError(f"{where} answered nothing: this chain, or its node, has no read precompiles")
        try:
            return read(decode(shape, data))
        except (DecodingError, UnicodeDecodeError, OverflowError) as error:
            raise DataError(f"{where} answered something that is not its type") from error

    def explain(_revert: bytes) -> str:
        return f"HyperCore takes no such input: {', '.join(map(str, asked[1]))}"

    return Call(address, encode(*asked), where, decoded, explain)


def encode_action(action: Action) -> bytes:
    """An action as CoreWriter takes it. ValueError where it can't express an amount."""
    match action:
        case LimitOrder():
            values = (
                action.asset,
                action.is_buy,
                to_raw(action.price, ORDER_DECIMALS),
                to_raw(action.size, ORDER_DECIMALS),
                action.reduce_only,
                action.tif,
                action.cloid,
            )
            return _head(LIMIT_ORDER) + encode(ORDER_TYPES, values)
        case UsdClassTransfer():
            raw = to_raw(action.amount, USD_DECIMALS)
            return _head(USD_CLASS_TRANSFER) + encode(TRANSFER_TYPES, (raw, action.to_perp))


def decode_action(data: bytes) -> Action:
    """The action of CoreWriter's bytes. DataError for one that is none of ours, or is not in its canonical form."""
    if len(data) < HEAD or data[0] != VERSION:
        raise DataError(f"an action of version {data[0] if data else 'none'}, not {VERSION}")
    number = int.from_bytes(data[1:HEAD], "big")
    types = {LIMIT_ORDER: ORDER_TYPES, USD_CLASS_TRANSFER: TRANSFER_TYPES}.get(number)
    if types is None:
        raise DataError(f"the action {OTHERS.get(number, 'of an unknown kind')} ({number}) is none of ours")
    try:
        values = decode(types, data[HEAD:])
    except (DecodingError, OverflowError) as error:
        raise DataError(f"action {number} has parameters of another form") from error
    if _head(number) + encode(types, values) != data:
        raise DataError(f"action {number} is not in its canonical form")
    if number == USD_CLASS_TRANSFER:
        return UsdClassTransfer(from_raw(values[0], USD_DECIMALS), values[1])
    asset, is_buy, price, size, reduce_only, tif, cloid = values
    return LimitOrder(
        asset=asset,
        is_buy=is_buy,
        price=from_raw(price, ORDER_DECIMALS),
        size=from_raw(size, ORDER_DECIMALS),
        reduce_only=reduce_only,
        tif=tif,
        cloid=cloid,
    )


def sent_in(writer: Contract, receipt: Receipt, account: str) -> Action:
    """The one action of `account` that a transaction passed to HyperCore. DataError where there is none, or several."""
    ours = [log for log in receipt.logs if log.address.lower() == writer.address.lower()]
    events = [e for log in ours if (e := writer.abi.decode_event("RawAction", log)) is not None]
    mine = [event["data"] for event in events if event["user"].lower() == account.lower()]
    if len(mine) != 1:
        raise DataError(f"{receipt.tx_hash} passed {len(mine)} actions of {account} to HyperCore, not one")
    return decode_action(mine[0])


def _head(number: int) -> bytes:
    return bytes([VERSION]) + number.to_bytes(HEAD - 1, "big")
