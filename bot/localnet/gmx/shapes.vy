# pragma version 0.4.3
"""
@notice The structs of GMX v2's own interface, field by field, for the stand-in.
"""

MAX_SWAPS: constant(uint256) = 4
MAX_DATA: constant(uint256) = 4
MAX_LIST: constant(uint256) = 32

struct Price:
    min: uint256
    max: uint256

struct MarketPrices:
    indexTokenPrice: Price
    longTokenPrice: Price
    shortTokenPrice: Price

struct Market:
    marketToken: address
    indexToken: address
    longToken: address
    shortToken: address

struct OracleParams:
    tokens: DynArray[address, 4]
    providers: DynArray[address, 4]
    data: DynArray[Bytes[96], 4]

struct CreateOrderAddresses:
    receiver: address
    cancellationReceiver: address
    callbackContract: address
    uiFeeReceiver: address
    market: address
    initialCollateralToken: address
    swapPath: DynArray[address, 4]

struct CreateOrderNumbers:
    sizeDeltaUsd: uint256
    initialCollateralDeltaAmount: uint256
    triggerPrice: uint256
    acceptablePrice: uint256
    executionFee: uint256
    callbackGasLimit: uint256
    minOutputAmount: uint256
    validFromTime: uint256

struct CreateOrderParams:
    addresses: CreateOrderAddresses
    numbers: CreateOrderNumbers
    orderType: uint8
    decreasePositionSwapType: uint8
    isLong: bool
    shouldUnwrapNativeToken: bool
    autoCancel: bool
    referralCode: bytes32
    dataList: DynArray[bytes32, 4]

struct OrderAddresses:
    account: address
    receiver: address
    cancellationReceiver: address
    callbackContract: address
    uiFeeReceiver: address
    market: address
    initialCollateralToken: address
    swapPath: DynArray[address, 4]

struct OrderNumbers:
    orderType: uint8
    decreasePositionSwapType: uint8
    sizeDeltaUsd: uint256
    initialCollateralDeltaAmount: uint256
    triggerPrice: uint256
    acceptablePrice: uint256
    executionFee: uint256
    callbackGasLimit: uint256
    minOutputAmount: uint256
    updatedAtTime: uint256
    validFromTime: uint256
    srcChainId: uint256

struct OrderFlags:
    isLong: bool
    shouldUnwrapNativeToken: bool
    isFrozen: bool
    autoCancel: bool

struct Order:
    addresses: OrderAddresses
    numbers: OrderNumbers
    flags: OrderFlags
    _dataList: DynArray[bytes32, 4]

struct OrderInfo:
    orderKey: bytes32
    order: Order

struct PositionAddresses:
    account: address
    market: address
    collateralToken: address

struct PositionNumbers:
    sizeInUsd: uint256
    sizeInTokens: uint256
    collateralAmount: uint256
    pendingImpactAmount: int256
    borrowingFactor: uint256
    fundingFeeAmountPerSize: uint256
    longTokenClaimableFundingAmountPerSize: uint256
    shortTokenClaimableFundingAmountPerSize: uint256
    increasedAtTime: uint256
    decreasedAtTime: uint256

struct PositionFlags:
    isLong: bool

struct Position:
    addresses: PositionAddresses
    numbers: PositionNumbers
    flags: PositionFlags

struct ReferralFees:
    referralCode: bytes32
    affiliate: address
    trader: address
    totalRebateFactor: uint256
    affiliateRewardFactor: uint256
    adjustedAffiliateRewardFactor: uint256
    traderDiscountFactor: uint256
    totalRebateAmount: uint256
    traderDiscountAmount: uint256
    affiliateRewardAmount: uint256

struct ProFees:
    traderTier: uint256
    traderDiscountFactor: uint256
    traderDiscountAmount: uint256

struct FundingFees:
    fundingFeeAmount: uint256
    claimableLongTokenAmount: uint256
    claimableShortTokenAmount: uint256
    latestFundingFeeAmountPerSize: uint256
    latestLongTokenClaimableFundingAmountPerSize: uint256
    latestShortTokenClaimableFundingAmountPerSize: uint256

struct BorrowingFees:
    borrowingFeeUsd: uint256
    borrowingFeeAmount: uint256
    borrowingFeeReceiverFactor: uint256
    borrowingFeeAmountForFeeReceiver: uint256

struct UiFees:
    uiFeeReceiver: address
    uiFeeReceiverFactor: uint256
    uiFeeAmount: uint256

struct LiquidationFees:
    liquidationFeeUsd: uint256
    liquidationFeeAmount: uint256
    liquidationFeeReceiverFactor: uint256
    liquidationFeeAmountForFeeReceiver: uint256

struct PositionFees:
    referral: ReferralFees
    pro: ProFees
    funding: FundingFees
    borrowing: BorrowingFees
    ui: UiFees
    liquidation: LiquidationFees
    collateralTokenPrice: Price
    positionFeeFactor: uint256
    protocolFeeAmount: uint256
    positionFeeReceiverFactor: uint256
    feeReceiverAmount: uint256
    feeAmountForPool: uint256
    positionFeeAmountForPool: uint256
    positionFeeAmount: uint256
    totalCostAmountExcludingFunding: uint256
    totalCostAmount: uint256
    totalDiscountAmount: uint256

struct ExecutionPriceResult:
    priceImpactUsd: int256
    executionPrice: uint256
    balanceWasImproved: bool
    proportionalPendingImpactUsd: int256
    totalImpactUsd: int256
    priceImpactDiffUsd: uint256

struct PositionInfo:
    positionKey: bytes32
    position: Position
    fees: PositionFees
    executionPriceResult: ExecutionPriceResult
    basePnlUsd: int256
    uncappedBasePnlUsd: int256
    pnlAfterPriceImpactUsd: int256

struct LiquidationInfo:
    remainingCollateralUsd: int256
    minCollateralUsd: int256
    minCollateralUsdForLeverage: int256

struct CollateralType:
    longToken: uint256
    shortToken: uint256

struct PositionType:
    long: CollateralType
    short: CollateralType

struct BaseFunding:
    fundingFeeAmountPerSize: PositionType
    claimableFundingAmountPerSize: PositionType

struct NextFunding:
    longsPayShorts: bool
    fundingFactorPerSecond: uint256
    nextSavedFundingFactorPerSecond: int256
    fundingFeeAmountPerSizeDelta: PositionType
    claimableFundingAmountPerSizeDelta: PositionType

struct VirtualInventory:
    virtualPoolAmountForLongToken: uint256
    virtualPoolAmountForShortToken: uint256
    virtualInventoryForPositions: int256

struct MarketInfo:
    market: Market
    borrowingFactorPerSecondForLongs: uint256
    borrowingFactorPerSecondForShorts: uint256
    baseFunding: BaseFunding
    nextFunding: NextFunding
    virtualInventory: VirtualInventory
    isDisabled: bool

# The stand-in's own, between its contracts.

struct Decreased:
    executionPrice: uint256
    sizeDeltaUsd: uint256
    sizeDeltaInTokens: uint256
    collateralDeltaAmount: uint256
    priceImpactDiffUsd: uint256
    orderType: uint8
    priceImpactUsd: int256
    basePnlUsd: int256
    proportionalPendingImpactUsd: int256
    totalImpactUsd: int256

struct Increased:
    executionPrice: uint256
    sizeDeltaUsd: uint256
    sizeDeltaInTokens: uint256
    orderType: uint8
    collateralDeltaAmount: int256
    pendingPriceImpactUsd: int256
    pendingPriceImpactAmount: int256

struct Impact:
    priceImpactUsd: int256
    executionPrice: uint256
    balanceWasImproved: bool
    impactAmount: int256
    sizeDeltaInTokens: uint256

struct AddressItem:
    key: String[48]
    value: address

struct AddressArrayItem:
    key: String[48]
    value: DynArray[address, 4]

struct UintItem:
    key: String[48]
    value: uint256

struct UintArrayItem:
    key: String[48]
    value: DynArray[uint256, 1]

struct IntItem:
    key: String[48]
    value: int256

struct IntArrayItem:
    key: String[48]
    value: DynArray[int256, 1]

struct BoolItem:
    key: String[48]
    value: bool

struct BoolArrayItem:
    key: String[48]
    value: DynArray[bool, 1]

struct Bytes32Item:
    key: String[48]
    value: bytes32

struct Bytes32ArrayItem:
    key: String[48]
    value: DynArray[bytes32, 4]

struct BytesItem:
    key: String[48]
    value: Bytes[1024]

struct BytesArrayItem:
    key: String[48]
    value: DynArray[Bytes[32], 1]

struct StringItem:
    key: String[48]
    value: String[256]

struct StringArrayItem:
    key: String[48]
    value: DynArray[String[32], 1]

struct AddressItems:
    items: DynArray[AddressItem, 7]
    arrayItems: DynArray[AddressArrayItem, 1]

struct UintItems:
    items: DynArray[UintItem, 28]
    arrayItems: DynArray[UintArrayItem, 1]

struct IntItems:
    items: DynArray[IntItem, 5]
    arrayItems: DynArray[IntArrayItem, 1]

struct BoolItems:
    items: DynArray[BoolItem, 4]
    arrayItems: DynArray[BoolArrayItem, 1]

struct Bytes32Items:
    items: DynArray[Bytes32Item, 3]
    arrayItems: DynArray[Bytes32ArrayItem, 1]

struct BytesItems:
    items: DynArray[BytesItem, 1]
    arrayItems: DynArray[BytesArrayItem, 1]

struct StringItems:
    items: DynArray[StringItem, 1]
    arrayItems: DynArray[StringArrayItem, 1]

struct EventLogData:
    addressItems: AddressItems
    uintItems: UintItems
    intItems: IntItems
    boolItems: BoolItems
    bytes32Items: Bytes32Items
    bytesItems: BytesItems
    stringItems: StringItems
