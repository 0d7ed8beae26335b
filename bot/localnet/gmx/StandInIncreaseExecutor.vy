# pragma version 0.4.3
# pragma optimize codesize
"""
@notice The stand-in's execution of increase orders. A revert of it cancels or freezes the order.
"""
import keys
import parts
import roles
import shapes
import trades

ONE: constant(uint256) = 10**30

ROLES: immutable(address)
STORE: immutable(address)
CALCULATOR: immutable(address)
EVENTS: immutable(address)
VAULT: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(
    role_store: address, store: address, calculator: address, events: address, vault: address, long_token: address, short_token: address
):
    ROLES = role_store
    STORE = store
    CALCULATOR = calculator
    EVENTS = events
    VAULT = vault
    LONG = long_token
    SHORT = short_token

@external
def execute(key: bytes32, order: shapes.Order, prices: shapes.MarketPrices, isAdl: bool):
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    trades._check_trigger(order, prices.indexTokenPrice)
    token: address = order.addresses.initialCollateralToken
    market: address = order.addresses.market
    extcall parts.Bank(VAULT).transferOut(token, market, order.numbers.initialCollateralDeltaAmount, False)
    extcall parts.Calculator(CALCULATOR).accrue(prices)

    position_key: bytes32 = parts._position_key(order.addresses.account, market, token, order.flags.isLong)
    position: shapes.Position = staticcall parts.DataStore(STORE).standInPosition(position_key)
    position.addresses = shapes.PositionAddresses(
        account=order.addresses.account, market=market, collateralToken=token
    )
    position.flags.isLong = order.flags.isLong
    size: uint256 = order.numbers.sizeDeltaUsd
    impact: shapes.Impact = staticcall parts.Calculator(CALCULATOR).impact(
        prices.indexTokenPrice, 0, 0, convert(size, int256), order.flags.isLong
    )
    if size > 0:
        trades._check_acceptable(impact.executionPrice, order, True)

    fees: shapes.PositionFees = staticcall parts.Calculator(CALCULATOR).fees(
        position, prices, size, impact.balanceWasImproved
    )
    delta: int256 = convert(order.numbers.initialCollateralDeltaAmount, int256) - convert(fees.totalCostAmount, int256)
    trades._change_collateral(STORE, position, delta)
    collateral: int256 = convert(position.numbers.collateralAmount, int256) + delta
    if collateral < 0:
        raw_revert(
            abi_encode(
                position.numbers.collateralAmount, delta, method_id=method_id("InsufficientCollateralAmount(uint256,int256)")
            )
        )
    position.numbers.collateralAmount = convert(collateral, uint256)
    position.numbers.sizeInUsd += size
    position.numbers.sizeInTokens += impact.sizeDeltaInTokens
    position.numbers.pendingImpactAmount += impact.impactAmount
    position.numbers.borrowingFactor = staticcall parts.Calculator(CALCULATOR).nextBorrowingFactor(order.flags.isLong)
    position.numbers.fundingFeeAmountPerSize = fees.funding.latestFundingFeeAmountPerSize
    position.numbers.longTokenClaimableFundingAmountPerSize = fees.funding.latestLongTokenClaimableFundingAmountPerSize
    position.numbers.shortTokenClaimableFundingAmountPerSize = fees.funding.latestShortTokenClaimableFundingAmountPerSize
    position.numbers.increasedAtTime = block.timestamp
    trades._pay_funding(STORE, position, fees, LONG, SHORT)
    trades._change_open_interest(STORE, position, convert(size, int256), convert(impact.sizeDeltaInTokens, int256))
    self._check(position, prices, fees.collateralTokenPrice, size)
    extcall parts.DataStore(STORE).setStandInPosition(position_key, position)

    extcall parts.Events(EVENTS).feesCollected(key, position_key, position, size, True, fees)
    extcall parts.Events(EVENTS).positionIncrease(
        key,
        position_key,
        position,
        prices.indexTokenPrice,
        fees.collateralTokenPrice,
        shapes.Increased(
            executionPrice=impact.executionPrice,
            sizeDeltaUsd=size,
            sizeDeltaInTokens=impact.sizeDeltaInTokens,
            orderType=order.numbers.orderType,
            collateralDeltaAmount=delta,
            pendingPriceImpactUsd=impact.priceImpactUsd,
            pendingPriceImpactAmount=impact.impactAmount,
        ),
    )

@internal
@view
def _check(position: shapes.Position, prices: shapes.MarketPrices, collateral: shapes.Price, delta: uint256):
    is_long: bool = position.flags.isLong
    size: uint256 = position.numbers.sizeInUsd
    open_interest: uint256 = staticcall parts.Calculator(CALCULATOR).openInterest(is_long)
    most: uint256 = parts._uint(STORE, keccak256(abi_encode(keys.MAX_OPEN_INTEREST, position.addresses.market, is_long)))
    if delta > 0 and open_interest > most:
        raw_revert(abi_encode(open_interest, most, method_id=method_id("MaxOpenInterestExceeded(uint256,uint256)")))
    remaining: int256 = convert(position.numbers.collateralAmount * collateral.min, int256)
    least: int256 = convert(size * trades._collateral_factor(STORE, position, open_interest) // ONE, int256)
    if remaining < least:
        raw_revert(abi_encode(remaining, method_id=method_id("InsufficientCollateralUsd(int256)")))
    if size == 0 or position.numbers.sizeInTokens == 0:
        raw_revert(
            abi_encode(
                size, position.numbers.sizeInTokens, method_id=method_id("InvalidPositionSizeValues(uint256,uint256)")
            )
        )
    least_size: uint256 = parts._uint(STORE, keys.MIN_POSITION_SIZE_USD)
    if size < least_size:
        raw_revert(abi_encode(size, least_size, method_id=method_id("MinPositionSize(uint256,uint256)")))
    trades._check_position(CALCULATOR, position, prices, True)
