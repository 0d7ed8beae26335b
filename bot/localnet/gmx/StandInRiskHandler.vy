# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's LiquidationHandler and AdlHandler in one contract, with their functions.
@dev A liquidation closes all of a position that `isPositionLiquidatable` names. An ADL is executed whenever its keeper
     asks: the real one also requires that the pool owes traders too much.
"""
import keys
import oracle
import parts
import roles
import shapes

ROLES: immutable(address)
STORE: immutable(address)
EXECUTOR: immutable(address)
CREATION_EVENTS: immutable(address)
EVENTS: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(
    role_store: address,
    store: address,
    executor: address,
    creation_events: address,
    events: address,
    long_token: address,
    short_token: address,
):
    ROLES = role_store
    STORE = store
    EXECUTOR = executor
    CREATION_EVENTS = creation_events
    EVENTS = events
    LONG = long_token
    SHORT = short_token

@external
def executeLiquidation(
    account: address, market: address, collateralToken: address, isLong: bool, oracleParams: shapes.OracleParams
):
    roles._only(ROLES, keys.LIQUIDATION_KEEPER, "LIQUIDATION_KEEPER")
    key: bytes32 = parts._position_key(account, market, collateralToken, isLong)
    size: uint256 = (staticcall parts.DataStore(STORE).standInPosition(key)).numbers.sizeInUsd
    self._execute(7, account, market, collateralToken, isLong, size, oracleParams)

@external
def executeAdl(
    account: address,
    market: address,
    collateralToken: address,
    isLong: bool,
    sizeDeltaUsd: uint256,
    oracleParams: shapes.OracleParams,
):
    roles._only(ROLES, keys.ADL_KEEPER, "ADL_KEEPER")
    self._execute(4, account, market, collateralToken, isLong, sizeDeltaUsd, oracleParams)

@internal
def _execute(
    kind: uint8,
    account: address,
    market: address,
    token: address,
    is_long: bool,
    size: uint256,
    params: shapes.OracleParams,
):
    prices: shapes.MarketPrices = empty(shapes.MarketPrices)
    earliest: uint256 = 0
    latest: uint256 = 0
    prices, earliest, latest = oracle._prices(STORE, params, LONG, SHORT)
    order: shapes.Order = empty(shapes.Order)
    order.addresses.account = account
    order.addresses.receiver = account
    order.addresses.market = market
    order.addresses.initialCollateralToken = token
    order.numbers.orderType = kind
    order.numbers.sizeDeltaUsd = size
    order.numbers.acceptablePrice = 0 if is_long else max_value(uint256)
    order.numbers.updatedAtTime = block.timestamp
    order.flags.isLong = is_long
    order.flags.shouldUnwrapNativeToken = True
    key: bytes32 = parts._next_key(STORE, keys.NONCE)
    extcall parts.Events(CREATION_EVENTS).orderCreated(key, order)
    extcall parts.Executor(EXECUTOR).execute(key, order, prices, kind == 4)
    extcall parts.Events(EVENTS).orderExecuted(key, account, 1 if kind == 4 else 0)
