# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's Reader, for the stand-in's one market. What is not modelled is 0.
"""
import keys
import parts
import shapes

CALCULATOR: immutable(address)
MARKET: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(calculator: address, market: address, long_token: address, short_token: address):
    CALCULATOR = calculator
    MARKET = market
    LONG = long_token
    SHORT = short_token

@external
@view
def getMarket(dataStore: address, key: address) -> shapes.Market:
    return self._market(key)

@external
@view
def getMarkets(dataStore: address, start: uint256, end: uint256) -> DynArray[shapes.Market, 64]:
    markets: DynArray[shapes.Market, 64] = []
    listed: DynArray[address, 64] = staticcall parts.DataStore(dataStore).getAddressValuesAt(keys.MARKET_LIST, start, end)
    for market: address in listed:
        markets.append(self._market(market))
    return markets

@external
@view
def getPosition(dataStore: address, key: bytes32) -> shapes.Position:
    return staticcall parts.DataStore(dataStore).standInPosition(key)

@external
@view
def getAccountPositions(
    dataStore: address, account: address, start: uint256, end: uint256
) -> DynArray[shapes.Position, 64]:
    found: DynArray[shapes.Position, 64] = []
    held: DynArray[bytes32, 64] = staticcall parts.DataStore(dataStore).getBytes32ValuesAt(
        keccak256(abi_encode(keys.ACCOUNT_POSITION_LIST, account)), start, end
    )
    for key: bytes32 in held:
        found.append(staticcall parts.DataStore(dataStore).standInPosition(key))
    return found

@external
@view
def getPositionInfo(
    dataStore: address,
    referralStorage: address,
    positionKey: bytes32,
    prices: shapes.MarketPrices,
    sizeDeltaUsd: uint256,
    uiFeeReceiver: address,
    usePositionSizeAsSizeDeltaUsd: bool,
) -> shapes.PositionInfo:
    position: shapes.Position = staticcall parts.DataStore(dataStore).standInPosition(positionKey)
    if position.addresses.account == empty(address):
        raw_revert(method_id("EmptyPosition()"))
    size: uint256 = position.numbers.sizeInUsd if usePositionSizeAsSizeDeltaUsd else sizeDeltaUsd
    info: shapes.PositionInfo = empty(shapes.PositionInfo)
    info.positionKey = positionKey
    info.position = position
    info.executionPriceResult = staticcall parts.Calculator(CALCULATOR).executionPrice(
        prices.indexTokenPrice,
        position.numbers.sizeInUsd,
        position.numbers.sizeInTokens,
        -convert(size, int256),
        position.numbers.pendingImpactAmount,
        position.flags.isLong,
    )
    info.fees = staticcall parts.Calculator(CALCULATOR).fees(
        position, prices, size, info.executionPriceResult.balanceWasImproved
    )
    tokens: uint256 = 0
    info.basePnlUsd, tokens = staticcall parts.Calculator(CALCULATOR).profit(prices.indexTokenPrice, position, size)
    info.uncappedBasePnlUsd = info.basePnlUsd
    info.pnlAfterPriceImpactUsd = info.basePnlUsd + info.executionPriceResult.totalImpactUsd
    return info

@external
@view
def getExecutionPrice(
    dataStore: address,
    marketKey: address,
    prices: shapes.MarketPrices,
    positionSizeInUsd: uint256,
    positionSizeInTokens: uint256,
    sizeDeltaUsd: int256,
    pendingImpactAmount: int256,
    isLong: bool,
) -> shapes.ExecutionPriceResult:
    return staticcall parts.Calculator(CALCULATOR).executionPrice(
        prices.indexTokenPrice, positionSizeInUsd, positionSizeInTokens, sizeDeltaUsd, pendingImpactAmount, isLong
    )

@external
@view
def getMarketInfo(dataStore: address, prices: shapes.MarketPrices, marketKey: address) -> shapes.MarketInfo:
    info: shapes.MarketInfo = empty(shapes.MarketInfo)
    info.market = self._market(marketKey)
    info.borrowingFactorPerSecondForLongs = parts._uint(
        dataStore, keccak256(abi_encode(keys.BORROWING_FACTOR, marketKey, True))
    )
    info.borrowingFactorPerSecondForShorts = parts._uint(
        dataStore, keccak256(abi_encode(keys.BORROWING_FACTOR, marketKey, False))
    )
    info.baseFunding = staticcall parts.Calculator(CALCULATOR).baseFunding()
    info.nextFunding = staticcall parts.Calculator(CALCULATOR).nextFunding(prices)
    info.isDisabled = staticcall parts.DataStore(dataStore).getBool(
        keccak256(abi_encode(keys.IS_MARKET_DISABLED, marketKey))
    )
    return info

@external
@view
def isPositionLiquidatable(
    dataStore: address,
    referralStorage: address,
    positionKey: bytes32,
    market: shapes.Market,
    prices: shapes.MarketPrices,
    shouldValidateMinCollateralUsd: bool,
    forLiquidation: bool,
) -> (bool, String[32], shapes.LiquidationInfo):
    position: shapes.Position = staticcall parts.DataStore(dataStore).standInPosition(positionKey)
    if position.addresses.account == empty(address):
        raw_revert(method_id("EmptyPosition()"))
    is_due: bool = False
    reason: String[32] = ""
    info: shapes.LiquidationInfo = empty(shapes.LiquidationInfo)
    is_due, reason, info = staticcall parts.Calculator(CALCULATOR).liquidatable(
        position, prices, shouldValidateMinCollateralUsd, forLiquidation
    )
    return is_due, reason, info

@external
@view
def getOrder(dataStore: address, key: bytes32) -> shapes.Order:
    return staticcall parts.DataStore(dataStore).standInOrder(key)

@external
@view
def getAccountOrders(
    dataStore: address, account: address, start: uint256, end: uint256
) -> DynArray[shapes.OrderInfo, 64]:
    found: DynArray[shapes.OrderInfo, 64] = []
    pending: DynArray[bytes32, 64] = staticcall parts.DataStore(dataStore).getBytes32ValuesAt(
        keccak256(abi_encode(keys.ACCOUNT_ORDER_LIST, account)), start, end
    )
    for key: bytes32 in pending:
        found.append(
            shapes.OrderInfo(orderKey=key, order=staticcall parts.DataStore(dataStore).standInOrder(key))
        )
    return found

@internal
@view
def _market(key: address) -> shapes.Market:
    if key != MARKET:
        return empty(shapes.Market)
    return shapes.Market(marketToken=MARKET, indexToken=LONG, longToken=LONG, shortToken=SHORT)
