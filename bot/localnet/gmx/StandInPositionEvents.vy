# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Builds the item lists of the real contracts' events, item by item, for the stand-in's EventEmitter.
"""
import keys
import roles
import shapes

interface Emitter:
    def emitEventLog1(eventName: String[64], topic1: bytes32, eventData: shapes.EventLogData): nonpayable
    def emitEventLog2(eventName: String[64], topic1: bytes32, topic2: bytes32, eventData: shapes.EventLogData): nonpayable

ROLES: immutable(address)
EMITTER: immutable(address)

@deploy
def __init__(role_store: address, emitter: address):
    ROLES = role_store
    EMITTER = emitter

@internal
@view
def _authorize():
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")

@internal
@pure
def _topic(account: address) -> bytes32:
    return convert(account, bytes32)

@internal
def _emit1(name: String[64], topic: bytes32, data: shapes.EventLogData):
    extcall Emitter(EMITTER).emitEventLog1(name, topic, data)

@external
def positionIncrease(
    orderKey: bytes32,
    positionKey: bytes32,
    position: shapes.Position,
    index: shapes.Price,
    collateral: shapes.Price,
    change: shapes.Increased,
):
    self._authorize()
    numbers: shapes.PositionNumbers = position.numbers
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.addressItems.items = [
        shapes.AddressItem(key="account", value=position.addresses.account),
        shapes.AddressItem(key="market", value=position.addresses.market),
        shapes.AddressItem(key="collateralToken", value=position.addresses.collateralToken),
    ]
    data.uintItems.items = [
        shapes.UintItem(key="sizeInUsd", value=numbers.sizeInUsd),
        shapes.UintItem(key="sizeInTokens", value=numbers.sizeInTokens),
        shapes.UintItem(key="collateralAmount", value=numbers.collateralAmount),
        shapes.UintItem(key="borrowingFactor", value=numbers.borrowingFactor),
        shapes.UintItem(key="fundingFeeAmountPerSize", value=numbers.fundingFeeAmountPerSize),
        shapes.UintItem(key="longTokenClaimableFundingAmountPerSize", value=numbers.longTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="shortTokenClaimableFundingAmountPerSize", value=numbers.shortTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="executionPrice", value=change.executionPrice),
        shapes.UintItem(key="indexTokenPrice.max", value=index.max),
        shapes.UintItem(key="indexTokenPrice.min", value=index.min),
        shapes.UintItem(key="collateralTokenPrice.max", value=collateral.max),
        shapes.UintItem(key="collateralTokenPrice.min", value=collateral.min),
        shapes.UintItem(key="sizeDeltaUsd", value=change.sizeDeltaUsd),
        shapes.UintItem(key="sizeDeltaInTokens", value=change.sizeDeltaInTokens),
        shapes.UintItem(key="orderType", value=convert(change.orderType, uint256)),
        shapes.UintItem(key="increasedAtTime", value=numbers.increasedAtTime),
    ]
    data.intItems.items = [
        shapes.IntItem(key="collateralDeltaAmount", value=change.collateralDeltaAmount),
        shapes.IntItem(key="pendingPriceImpactUsd", value=change.pendingPriceImpactUsd),
        shapes.IntItem(key="pendingPriceImpactAmount", value=change.pendingPriceImpactAmount),
    ]
    data.boolItems.items = [shapes.BoolItem(key="isLong", value=position.flags.isLong)]
    data.bytes32Items.items = [
        shapes.Bytes32Item(key="orderKey", value=orderKey),
        shapes.Bytes32Item(key="positionKey", value=positionKey),
    ]
    self._emit1("PositionIncrease", self._topic(position.addresses.account), data)

@external
def positionDecrease(
    orderKey: bytes32,
    positionKey: bytes32,
    position: shapes.Position,
    index: shapes.Price,
    collateral: shapes.Price,
    change: shapes.Decreased,
):
    self._authorize()
    numbers: shapes.PositionNumbers = position.numbers
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.addressItems.items = [
        shapes.AddressItem(key="account", value=position.addresses.account),
        shapes.AddressItem(key="market", value=position.addresses.market),
        shapes.AddressItem(key="collateralToken", value=position.addresses.collateralToken),
    ]
    data.uintItems.items = [
        shapes.UintItem(key="sizeInUsd", value=numbers.sizeInUsd),
        shapes.UintItem(key="sizeInTokens", value=numbers.sizeInTokens),
        shapes.UintItem(key="collateralAmount", value=numbers.collateralAmount),
        shapes.UintItem(key="borrowingFactor", value=numbers.borrowingFactor),
        shapes.UintItem(key="fundingFeeAmountPerSize", value=numbers.fundingFeeAmountPerSize),
        shapes.UintItem(key="longTokenClaimableFundingAmountPerSize", value=numbers.longTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="shortTokenClaimableFundingAmountPerSize", value=numbers.shortTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="executionPrice", value=change.executionPrice),
        shapes.UintItem(key="indexTokenPrice.max", value=index.max),
        shapes.UintItem(key="indexTokenPrice.min", value=index.min),
        shapes.UintItem(key="collateralTokenPrice.max", value=collateral.max),
        shapes.UintItem(key="collateralTokenPrice.min", value=collateral.min),
        shapes.UintItem(key="sizeDeltaUsd", value=change.sizeDeltaUsd),
        shapes.UintItem(key="sizeDeltaInTokens", value=change.sizeDeltaInTokens),
        shapes.UintItem(key="collateralDeltaAmount", value=change.collateralDeltaAmount),
        shapes.UintItem(key="values.priceImpactDiffUsd", value=change.priceImpactDiffUsd),
        shapes.UintItem(key="orderType", value=convert(change.orderType, uint256)),
        shapes.UintItem(key="decreasedAtTime", value=numbers.decreasedAtTime),
    ]
    data.intItems.items = [
        shapes.IntItem(key="priceImpactUsd", value=change.priceImpactUsd),
        shapes.IntItem(key="basePnlUsd", value=change.basePnlUsd),
        shapes.IntItem(key="uncappedBasePnlUsd", value=change.basePnlUsd),
        shapes.IntItem(key="proportionalPendingImpactUsd", value=change.proportionalPendingImpactUsd),
        shapes.IntItem(key="totalImpactUsd", value=change.totalImpactUsd),
    ]
    data.boolItems.items = [shapes.BoolItem(key="isLong", value=position.flags.isLong)]
    data.bytes32Items.items = [
        shapes.Bytes32Item(key="orderKey", value=orderKey),
        shapes.Bytes32Item(key="positionKey", value=positionKey),
    ]
    self._emit1("PositionDecrease", self._topic(position.addresses.account), data)

@external
def feesCollected(
    orderKey: bytes32, positionKey: bytes32, position: shapes.Position, sizeUsd: uint256, isIncrease: bool, fees: shapes.PositionFees
):
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.bytes32Items.items = [
        shapes.Bytes32Item(key="orderKey", value=orderKey),
        shapes.Bytes32Item(key="positionKey", value=positionKey),
        shapes.Bytes32Item(key="referralCode", value=fees.referral.referralCode),
    ]
    data.addressItems.items = [
        shapes.AddressItem(key="market", value=position.addresses.market),
        shapes.AddressItem(key="collateralToken", value=position.addresses.collateralToken),
        shapes.AddressItem(key="affiliate", value=fees.referral.affiliate),
        shapes.AddressItem(key="trader", value=fees.referral.trader),
        shapes.AddressItem(key="uiFeeReceiver", value=fees.ui.uiFeeReceiver),
    ]
    data.uintItems.items = [
        shapes.UintItem(key="collateralTokenPrice.min", value=fees.collateralTokenPrice.min),
        shapes.UintItem(key="collateralTokenPrice.max", value=fees.collateralTokenPrice.max),
        shapes.UintItem(key="tradeSizeUsd", value=sizeUsd),
        shapes.UintItem(key="totalRebateFactor", value=fees.referral.totalRebateFactor),
        shapes.UintItem(key="traderDiscountFactor", value=fees.referral.traderDiscountFactor),
        shapes.UintItem(key="totalRebateAmount", value=fees.referral.totalRebateAmount),
        shapes.UintItem(key="traderDiscountAmount", value=fees.referral.traderDiscountAmount),
        shapes.UintItem(key="affiliateRewardAmount", value=fees.referral.affiliateRewardAmount),
        shapes.UintItem(key="fundingFeeAmount", value=fees.funding.fundingFeeAmount),
        shapes.UintItem(key="claimableLongTokenAmount", value=fees.funding.claimableLongTokenAmount),
        shapes.UintItem(key="claimableShortTokenAmount", value=fees.funding.claimableShortTokenAmount),
        shapes.UintItem(key="latestFundingFeeAmountPerSize", value=fees.funding.latestFundingFeeAmountPerSize),
        shapes.UintItem(key="latestLongTokenClaimableFundingAmountPerSize", value=fees.funding.latestLongTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="latestShortTokenClaimableFundingAmountPerSize", value=fees.funding.latestShortTokenClaimableFundingAmountPerSize),
        shapes.UintItem(key="borrowingFeeUsd", value=fees.borrowing.borrowingFeeUsd),
        shapes.UintItem(key="borrowingFeeAmount", value=fees.borrowing.borrowingFeeAmount),
        shapes.UintItem(key="borrowingFeeReceiverFactor", value=fees.borrowing.borrowingFeeReceiverFactor),
        shapes.UintItem(key="borrowingFeeAmountForFeeReceiver", value=fees.borrowing.borrowingFeeAmountForFeeReceiver),
        shapes.UintItem(key="positionFeeFactor", value=fees.positionFeeFactor),
        shapes.UintItem(key="protocolFeeAmount", value=fees.protocolFeeAmount),
        shapes.UintItem(key="positionFeeReceiverFactor", value=fees.positionFeeReceiverFactor),
        shapes.UintItem(key="feeReceiverAmount", value=fees.feeReceiverAmount),
        shapes.UintItem(key="feeAmountForPool", value=fees.feeAmountForPool),
        shapes.UintItem(key="positionFeeAmountForPool", value=fees.positionFeeAmountForPool),
        shapes.UintItem(key="positionFeeAmount", value=fees.positionFeeAmount),
        shapes.UintItem(key="totalCostAmount", value=fees.totalCostAmount),
        shapes.UintItem(key="uiFeeReceiverFactor", value=fees.ui.uiFeeReceiverFactor),
        shapes.UintItem(key="uiFeeAmount", value=fees.ui.uiFeeAmount),
    ]
    data.boolItems.items = [shapes.BoolItem(key="isIncrease", value=isIncrease)]
    self._emit1("PositionFeesCollected", self._topic(position.addresses.market), data)
