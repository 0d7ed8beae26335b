# pragma version 0.4.3
# pragma optimize codesize
"""
@notice The stand-in's execution of decrease, liquidation and ADL orders. A revert of it cancels or freezes the order.
"""
import keys
import parts
import roles
import shapes
import trades

ONE: constant(uint256) = 10**30
LIQUIDATION: constant(uint8) = 7

struct Payout:
    collateral: uint256
    output: uint256
    secondary: uint256

ROLES: immutable(address)
STORE: immutable(address)
CALCULATOR: immutable(address)
ORDER_EVENTS: immutable(address)
EVENTS: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(
    role_store: address,
    store: address,
    calculator: address,
    order_events: address,
    events: address,
    long_token: address,
    short_token: address,
):
    ROLES = role_store
    STORE = store
    CALCULATOR = calculator
    ORDER_EVENTS = order_events
    EVENTS = events
    LONG = long_token
    SHORT = short_token

@external
def execute(key: bytes32, order: shapes.Order, prices: shapes.MarketPrices, isAdl: bool):
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    trades._check_trigger(order, prices.indexTokenPrice)
    is_long: bool = order.flags.isLong
    position_key: bytes32 = parts._position_key(
        order.addresses.account, order.addresses.market, order.addresses.initialCollateralToken, is_long
    )
    position: shapes.Position = staticcall parts.DataStore(STORE).standInPosition(position_key)
    old: shapes.PositionNumbers = position.numbers
    if old.sizeInUsd == 0:
        raw_revert(method_id("EmptyPosition()"))
    extcall parts.Calculator(CALCULATOR).accrue(prices)
    collateral: shapes.Price = self._price(position.addresses.collateralToken, prices)
    change: shapes.Decreased = empty(shapes.Decreased)
    change.orderType = order.numbers.orderType
    change.sizeDeltaUsd, change.collateralDeltaAmount = self._adjusted(key, order, position, prices, collateral.min)
    if change.orderType == LIQUIDATION:
        self._check_liquidation(position, prices)
    size: uint256 = change.sizeDeltaUsd

    result: shapes.ExecutionPriceResult = staticcall parts.Calculator(CALCULATOR).executionPrice(
        prices.indexTokenPrice, old.sizeInUsd, old.sizeInTokens, -convert(size, int256), old.pendingImpactAmount, is_long
    )
    if size > 0:
        trades._check_acceptable(result.executionPrice, order, False)
    change.executionPrice = result.executionPrice
    change.priceImpactUsd = result.priceImpactUsd
    change.priceImpactDiffUsd = result.priceImpactDiffUsd
    change.proportionalPendingImpactUsd = result.proportionalPendingImpactUsd
    change.totalImpactUsd = result.totalImpactUsd
    change.basePnlUsd, change.sizeDeltaInTokens = staticcall parts.Calculator(CALCULATOR).profit(
        prices.indexTokenPrice, position, size
    )
    fees: shapes.PositionFees = staticcall parts.Calculator(CALCULATOR).fees(
        position, prices, size, result.balanceWasImproved
    )
    insolvent_is_fine: bool = (isAdl or change.orderType == LIQUIDATION) and size == old.sizeInUsd
    payout: Payout = self._settle(order, position, prices, collateral, change, fees, insolvent_is_fine)
    if change.collateralDeltaAmount > payout.collateral:
        extcall parts.Events(ORDER_EVENTS).autoUpdated(False, key, change.collateralDeltaAmount, payout.collateral)
        change.collateralDeltaAmount = payout.collateral
    payout.collateral -= change.collateralDeltaAmount
    payout.output += change.collateralDeltaAmount

    position.numbers.sizeInUsd -= size
    position.numbers.sizeInTokens -= change.sizeDeltaInTokens
    position.numbers.pendingImpactAmount -= self._share(old.pendingImpactAmount, size, old.sizeInUsd)
    position.numbers.decreasedAtTime = block.timestamp
    is_closed: bool = position.numbers.sizeInUsd == 0 or position.numbers.sizeInTokens == 0
    if is_closed:
        payout.output += payout.collateral
        payout.collateral = 0
    position.numbers.collateralAmount = payout.collateral
    position.numbers.borrowingFactor = staticcall parts.Calculator(CALCULATOR).nextBorrowingFactor(is_long)
    position.numbers.fundingFeeAmountPerSize = fees.funding.latestFundingFeeAmountPerSize
    position.numbers.longTokenClaimableFundingAmountPerSize = fees.funding.latestLongTokenClaimableFundingAmountPerSize
    position.numbers.shortTokenClaimableFundingAmountPerSize = fees.funding.latestShortTokenClaimableFundingAmountPerSize

    trades._pay_funding(STORE, position, fees, LONG, SHORT)
    trades._change_collateral(
        STORE, position, convert(payout.collateral, int256) - convert(old.collateralAmount, int256)
    )
    trades._change_open_interest(STORE, position, -convert(size, int256), -convert(change.sizeDeltaInTokens, int256))
    if is_closed:
        extcall parts.DataStore(STORE).removeStandInPosition(position_key)
    else:
        extcall parts.DataStore(STORE).setStandInPosition(position_key, position)
        trades._check_position(CALCULATOR, position, prices, False)

    extcall parts.Events(EVENTS).feesCollected(key, position_key, position, size, False, fees)
    extcall parts.Events(EVENTS).positionDecrease(
        key, position_key, position, prices.indexTokenPrice, collateral, change
    )
    self._pay(order, position, prices, collateral, payout)

@internal
@view
def _price(token: address, prices: shapes.MarketPrices) -> shapes.Price:
    if token == LONG:
        return prices.longTokenPrice
    return prices.shortTokenPrice

@internal
@pure
def _share(amount: int256, part: uint256, whole: uint256) -> int256:
    if amount >= 0:
        return convert(convert(amount, uint256) * part // whole, int256)
    return -convert(parts._divide_up(convert(-amount, uint256) * part, whole), int256)

@internal
def _adjusted(
    key: bytes32, order: shapes.Order, position: shapes.Position, prices: shapes.MarketPrices, price: uint256
) -> (uint256, uint256):
    """
    The size to close and the collateral to withdraw: a remainder that would be too small is closed too.
    """
    whole: uint256 = position.numbers.sizeInUsd
    size: uint256 = order.numbers.sizeDeltaUsd
    withdrawn: uint256 = order.numbers.initialCollateralDeltaAmount
    if size > whole:
        if order.numbers.orderType != 5 and order.numbers.orderType != 6:
            raw_revert(abi_encode(size, whole, method_id=method_id("InvalidDecreaseOrderSize(uint256,uint256)")))
        extcall parts.Events(ORDER_EVENTS).autoUpdated(True, key, size, whole)
        size = whole
    if withdrawn > position.numbers.collateralAmount:
        extcall parts.Events(ORDER_EVENTS).autoUpdated(False, key, withdrawn, position.numbers.collateralAmount)
        withdrawn = position.numbers.collateralAmount
    if size < whole:
        total: int256 = 0
        tokens: uint256 = 0
        total, tokens = staticcall parts.Calculator(CALCULATOR).profit(prices.indexTokenPrice, position, whole)
        realized: int256 = total * convert(size, int256) // convert(whole, int256)
        left: int256 = convert((position.numbers.collateralAmount - withdrawn) * price, int256) + min(realized, 0)
        open_interest: uint256 = staticcall parts.Calculator(CALCULATOR).openInterest(order.flags.isLong) - size
        least: uint256 = (whole - size) * trades._collateral_factor(STORE, position, open_interest) // ONE
        if left < convert(least, int256):
            if size == 0:
                raw_revert(abi_encode(left, method_id=method_id("UnableToWithdrawCollateral(int256)")))
            if withdrawn > 0:
                extcall parts.Events(ORDER_EVENTS).autoUpdated(False, key, withdrawn, 0)
                left += convert(withdrawn * price, int256)
                withdrawn = 0
        too_poor: bool = left + total - realized < convert(parts._uint(STORE, keys.MIN_COLLATERAL_USD), int256)
        if too_poor or whole - size < parts._uint(STORE, keys.MIN_POSITION_SIZE_USD):
            extcall parts.Events(ORDER_EVENTS).autoUpdated(True, key, size, whole)
            size = whole
    if size == whole and withdrawn > 0:
        # Closing pays out all of the collateral anyway.
        extcall parts.Events(ORDER_EVENTS).autoUpdated(False, key, withdrawn, 0)
        withdrawn = 0
    return size, withdrawn

@internal
@view
def _check_liquidation(position: shapes.Position, prices: shapes.MarketPrices):
    is_due: bool = False
    reason: String[32] = ""
    info: shapes.LiquidationInfo = empty(shapes.LiquidationInfo)
    is_due, reason, info = staticcall parts.Calculator(CALCULATOR).liquidatable(position, prices, True, True)
    if not is_due:
        raw_revert(
            abi_encode(
                reason,
                info.remainingCollateralUsd,
                info.minCollateralUsd,
                info.minCollateralUsdForLeverage,
                method_id=method_id("PositionShouldNotBeLiquidated(string,int256,int256,int256)"),
            )
        )

@internal
@view
def _settle(
    order: shapes.Order,
    position: shapes.Position,
    prices: shapes.MarketPrices,
    collateral: shapes.Price,
    change: shapes.Decreased,
    fees: shapes.PositionFees,
    insolvent_is_fine: bool,
) -> Payout:
    """
    Profit is paid in the long token to a long and in the short token to a short, costs are taken from what is paid
    out in collateral, then from the collateral, then from the profit.
    """
    payout: Payout = Payout(collateral=position.numbers.collateralAmount, output=0, secondary=0)
    profit_token: address = LONG if position.flags.isLong else SHORT
    profit_price: shapes.Price = self._price(profit_token, prices)
    gain: uint256 = convert(max(change.basePnlUsd, 0), uint256) // profit_price.max
    gain += convert(max(change.totalImpactUsd, 0), uint256) // profit_price.max
    if profit_token == position.addresses.collateralToken:
        payout.output = gain
    elif order.numbers.decreasePositionSwapType == 1:
        payout.output = gain * profit_price.min // collateral.max
    else:
        payout.secondary = gain
    cost: uint256 = fees.totalCostAmount
    cost += parts._divide_up(convert(max(-change.basePnlUsd, 0), uint256), collateral.min)
    cost += parts._divide_up(convert(max(-change.totalImpactUsd, 0), uint256), collateral.min)
    cost += parts._divide_up(change.priceImpactDiffUsd, collateral.min)
    part: uint256 = min(cost, payout.output)
    payout.output -= part
    cost -= part
    part = min(cost, payout.collateral)
    payout.collateral -= part
    cost -= part
    if cost > 0:
        part = min(parts._divide_up(cost * collateral.min, profit_price.min), payout.secondary)
        payout.secondary -= part
        cost -= min(cost, part * profit_price.min // collateral.min)
    # A rounding of one unit is not a debt.
    if cost > 1 and not insolvent_is_fine:
        raw_revert(
            abi_encode(
                cost * collateral.min, "fees", method_id=method_id("InsufficientFundsToPayForCosts(uint256,string)")
            )
        )
    return payout

@internal
def _pay(
    order: shapes.Order, position: shapes.Position, prices: shapes.MarketPrices, collateral: shapes.Price, payout: Payout
):
    profit_token: address = LONG if position.flags.isLong else SHORT
    worth: uint256 = payout.output * collateral.min + payout.secondary * self._price(profit_token, prices).min
    if worth < order.numbers.minOutputAmount:
        raw_revert(
            abi_encode(
                worth, order.numbers.minOutputAmount, method_id=method_id("InsufficientOutputAmount(uint256,uint256)")
            )
        )
    market: address = position.addresses.market
    unwraps: bool = order.flags.shouldUnwrapNativeToken
    extcall parts.Bank(market).transferOut(
        position.addresses.collateralToken, order.addresses.receiver, payout.output, unwraps
    )
    extcall parts.Bank(market).transferOut(profit_token, order.addresses.receiver, payout.secondary, unwraps)
