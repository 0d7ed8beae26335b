# pragma version 0.4.3
# pragma optimize codesize
"""
@notice The stand-in's arithmetic for its one market: price impact, fees, funding, borrowing and the margin checks.
@dev USD and factors are 1e30, a price is USD per smallest token unit. Two rates are plain settings here, where the real
     contracts derive them from open interest and the pool: SAVED_FUNDING_FACTOR_PER_SECOND(market), signed, and
     BORROWING_FACTOR(market, isLong), both per second. The impact exponent is 2.
"""
import keys
import parts
import roles
import shapes

ONE: constant(uint256) = 10**30
ROOT: constant(uint256) = 10**15

ROLES: immutable(address)
STORE: immutable(address)
MARKET: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(role_store: address, store: address, market: address, long_token: address, short_token: address):
    ROLES = role_store
    STORE = store
    MARKET = market
    LONG = long_token
    SHORT = short_token

@external
def accrue(prices: shapes.MarketPrices):
    """
    @notice Books funding and borrowing up to now.
    """
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    coming: shapes.NextFunding = self._next_funding(prices)
    self._book(keys.FUNDING_FEE_AMOUNT_PER_SIZE, coming.fundingFeeAmountPerSizeDelta)
    self._book(keys.CLAIMABLE_FUNDING_AMOUNT_PER_SIZE, coming.claimableFundingAmountPerSizeDelta)
    extcall parts.DataStore(STORE).setUint(keccak256(abi_encode(keys.FUNDING_UPDATED_AT, MARKET)), block.timestamp)
    for is_long: bool in [True, False]:
        factor: uint256 = self._next_borrowing_factor(is_long)
        extcall parts.DataStore(STORE).setUint(keccak256(abi_encode(keys.CUMULATIVE_BORROWING_FACTOR, MARKET, is_long)), factor)
        extcall parts.DataStore(STORE).setUint(
            keccak256(abi_encode(keys.CUMULATIVE_BORROWING_FACTOR_UPDATED_AT, MARKET, is_long)), block.timestamp
        )

@internal
def _book(base: bytes32, delta: shapes.PositionType):
    self._increment(self._key(base, LONG, True), delta.long.longToken)
    self._increment(self._key(base, SHORT, True), delta.long.shortToken)
    self._increment(self._key(base, LONG, False), delta.short.longToken)
    self._increment(self._key(base, SHORT, False), delta.short.shortToken)

@internal
def _increment(key: bytes32, amount: uint256):
    if amount > 0:
        extcall parts.DataStore(STORE).incrementUint(key, amount)

@external
@view
def openInterest(isLong: bool) -> uint256:
    return self._open_interest(isLong)

@external
@view
def nextBorrowingFactor(isLong: bool) -> uint256:
    return self._next_borrowing_factor(isLong)

@external
@view
def nextFunding(prices: shapes.MarketPrices) -> shapes.NextFunding:
    return self._next_funding(prices)

@external
@view
def baseFunding() -> shapes.BaseFunding:
    return shapes.BaseFunding(
        fundingFeeAmountPerSize=self._saved(keys.FUNDING_FEE_AMOUNT_PER_SIZE),
        claimableFundingAmountPerSize=self._saved(keys.CLAIMABLE_FUNDING_AMOUNT_PER_SIZE),
    )

@external
@view
def impact(
    index: shapes.Price, sizeInUsd: uint256, sizeInTokens: uint256, sizeDeltaUsd: int256, isLong: bool
) -> shapes.Impact:
    return self._impact(index, sizeInUsd, sizeInTokens, sizeDeltaUsd, isLong)

@external
@view
def executionPrice(
    index: shapes.Price,
    sizeInUsd: uint256,
    sizeInTokens: uint256,
    sizeDeltaUsd: int256,
    pendingImpactAmount: int256,
    isLong: bool,
) -> shapes.ExecutionPriceResult:
    """
    @notice What a change of this size would execute at. A negative size is a decrease.
    """
    impact: shapes.Impact = self._impact(index, sizeInUsd, sizeInTokens, sizeDeltaUsd, isLong)
    result: shapes.ExecutionPriceResult = empty(shapes.ExecutionPriceResult)
    result.priceImpactUsd = impact.priceImpactUsd
    result.executionPrice = impact.executionPrice
    result.balanceWasImproved = impact.balanceWasImproved
    if sizeDeltaUsd >= 0:
        return result
    size: uint256 = convert(-sizeDeltaUsd, uint256)
    pending: int256 = self._share(pendingImpactAmount, size, sizeInUsd)
    result.proportionalPendingImpactUsd = pending * convert(index.min if pending > 0 else index.max, int256)
    total: int256 = result.proportionalPendingImpactUsd + impact.priceImpactUsd
    most: int256 = convert(
        size * parts._uint(STORE, keccak256(abi_encode(keys.MAX_POSITION_IMPACT_FACTOR, MARKET, total > 0))) // ONE, int256
    )
    if total < -most:
        result.priceImpactDiffUsd = convert(-most - total, uint256)
    result.totalImpactUsd = min(max(total, -most), most)
    return result

@external
@view
def profit(index: shapes.Price, position: shapes.Position, sizeDeltaUsd: uint256) -> (int256, uint256):
    """
    @notice The USD profit of closing so much of a position, before impact and fees, and how many tokens that closes.
    """
    return self._profit(index, position, sizeDeltaUsd)

@external
@view
def fees(
    position: shapes.Position, prices: shapes.MarketPrices, sizeDeltaUsd: uint256, balanceWasImproved: bool
) -> shapes.PositionFees:
    """
    @notice A change's position fee, and the position's funding and borrowing up to now, in its collateral token.
    """
    return self._fees(position, prices, sizeDeltaUsd, balanceWasImproved)

@external
@view
def liquidatable(
    position: shapes.Position, prices: shapes.MarketPrices, withMinCollateralUsd: bool, forLiquidation: bool
) -> (bool, String[32], shapes.LiquidationInfo):
    """
    @notice Whether a position has too little left, and which of the three limits it breaks.
    """
    is_long: bool = position.flags.isLong
    size: uint256 = position.numbers.sizeInUsd
    profit: int256 = 0
    tokens: uint256 = 0
    profit, tokens = self._profit(prices.indexTokenPrice, position, size)
    price: uint256 = self._collateral_price(position.addresses.collateralToken, prices).min
    impact: shapes.Impact = self._impact(
        prices.indexTokenPrice, size, position.numbers.sizeInTokens, -convert(size, int256), is_long
    )
    pending: int256 = position.numbers.pendingImpactAmount
    pending = pending * convert(prices.indexTokenPrice.min if pending > 0 else prices.indexTokenPrice.max, int256)
    most: uint256 = parts._uint(STORE, keccak256(abi_encode(keys.MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS, MARKET)))
    impact_usd: int256 = max(min(impact.priceImpactUsd + pending, 0), -convert(size * most // ONE, int256))
    fees: shapes.PositionFees = self._fees(position, prices, size, impact.balanceWasImproved)
    remaining: int256 = (
        convert(position.numbers.collateralAmount * price, int256)
        + profit
        + impact_usd
        - convert(fees.totalCostAmount * price, int256)
    )
    base: bytes32 = keys.MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION if forLiquidation else keys.MIN_COLLATERAL_FACTOR
    info: shapes.LiquidationInfo = shapes.LiquidationInfo(
        remainingCollateralUsd=remaining,
        minCollateralUsd=convert(parts._uint(STORE, keys.MIN_COLLATERAL_USD), int256) if withMinCollateralUsd else 0,
        minCollateralUsdForLeverage=convert(size * parts._uint(STORE, keccak256(abi_encode(base, MARKET))) // ONE, int256),
    )
    if withMinCollateralUsd and remaining < info.minCollateralUsd:
        return True, "min collateral", info
    if remaining <= 0:
        return True, "< 0", info
    if remaining < info.minCollateralUsdForLeverage:
        return True, "min collateral for leverage", info
    return False, "", info

@internal
@view
def _key(base: bytes32, token: address, is_long: bool) -> bytes32:
    return keccak256(abi_encode(base, MARKET, token, is_long))

@internal
@view
def _saved(base: bytes32) -> shapes.PositionType:
    return shapes.PositionType(
        long=shapes.CollateralType(
            longToken=parts._uint(STORE, self._key(base, LONG, True)), shortToken=parts._uint(STORE, self._key(base, SHORT, True))
        ),
        short=shapes.CollateralType(
            longToken=parts._uint(STORE, self._key(base, LONG, False)), shortToken=parts._uint(STORE, self._key(base, SHORT, False))
        ),
    )

@internal
@view
def _open_interest(is_long: bool) -> uint256:
    return parts._uint(STORE, self._key(keys.OPEN_INTEREST, LONG, is_long)) + parts._uint(
        STORE, self._key(keys.OPEN_INTEREST, SHORT, is_long)
    )

@internal
@view
def _collateral_price(token: address, prices: shapes.MarketPrices) -> shapes.Price:
    if token == LONG:
        return prices.longTokenPrice
    return prices.shortTokenPrice

@internal
@view
def _seconds_since(key: bytes32) -> uint256:
    since: uint256 = parts._uint(STORE, key)
    # Before its first trade a market has no such time.
    return block.timestamp - since if since > 0 else 0

@internal
@view
def _next_borrowing_factor(is_long: bool) -> uint256:
    elapsed: uint256 = self._seconds_since(keccak256(abi_encode(keys.CUMULATIVE_BORROWING_FACTOR_UPDATED_AT, MARKET, is_long)))
    rate: uint256 = parts._uint(STORE, keccak256(abi_encode(keys.BORROWING_FACTOR, MARKET, is_long)))
    return parts._uint(STORE, keccak256(abi_encode(keys.CUMULATIVE_BORROWING_FACTOR, MARKET, is_long))) + elapsed * rate

@internal
@view
def _next_funding(prices: shapes.MarketPrices) -> shapes.NextFunding:
    result: shapes.NextFunding = empty(shapes.NextFunding)
    longs: uint256 = self._open_interest(True)
    shorts: uint256 = self._open_interest(False)
    # With nobody on one side there is nobody to pay: the real contracts answer zeroes too.
    if longs == 0 or shorts == 0:
        return result
    rate: int256 = staticcall parts.DataStore(STORE).getInt(keccak256(abi_encode(keys.SAVED_FUNDING_FACTOR_PER_SECOND, MARKET)))
    result.longsPayShorts = rate > 0
    result.fundingFactorPerSecond = convert(abs(rate), uint256)
    result.nextSavedFundingFactorPerSecond = rate
    elapsed: uint256 = self._seconds_since(keccak256(abi_encode(keys.FUNDING_UPDATED_AT, MARKET)))
    funding_usd: uint256 = max(longs, shorts) * (elapsed * result.fundingFactorPerSecond) // ONE
    payers: uint256 = longs if result.longsPayShorts else shorts
    receivers: uint256 = shorts if result.longsPayShorts else longs
    paid: shapes.CollateralType = empty(shapes.CollateralType)
    earned: shapes.CollateralType = empty(shapes.CollateralType)
    paid.longToken, earned.longToken = self._per_size(
        funding_usd, payers, receivers, LONG, result.longsPayShorts, prices.longTokenPrice.max
    )
    paid.shortToken, earned.shortToken = self._per_size(
        funding_usd, payers, receivers, SHORT, result.longsPayShorts, prices.shortTokenPrice.max
    )
    if result.longsPayShorts:
        result.fundingFeeAmountPerSizeDelta.long = paid
        result.claimableFundingAmountPerSizeDelta.short = earned
    else:
        result.fundingFeeAmountPerSizeDelta.short = paid
        result.claimableFundingAmountPerSizeDelta.long = earned
    return result

@internal
@view
def _per_size(
    funding_usd: uint256, payers: uint256, receivers: uint256, token: address, longs_pay: bool, price: uint256
) -> (uint256, uint256):
    """
    What each 1e30 USD of size pays and earns in this collateral token, times 1e15: paid rounds up, earned rounds down.
    """
    payers_here: uint256 = parts._uint(STORE, self._key(keys.OPEN_INTEREST, token, longs_pay))
    if payers_here == 0:
        return 0, 0
    paid: uint256 = parts._divide_up(parts._divide_up(funding_usd * ONE, payers) * ROOT, price)
    usd_here: uint256 = (funding_usd * ONE // payers) * payers_here // ONE
    return paid, (usd_here * ONE // receivers) * ROOT // price

@internal
@view
def _curve(difference: uint256, factor: uint256) -> int256:
    # The difference loses half of its decimals first, because its square would not fit.
    root: uint256 = difference // ROOT
    return convert(root * root * factor // ONE, int256)

@internal
@view
def _impact_usd(size_delta: int256, is_long: bool) -> (int256, bool):
    longs: uint256 = self._open_interest(True)
    shorts: uint256 = self._open_interest(False)
    next_longs: uint256 = longs
    next_shorts: uint256 = shorts
    if is_long:
        next_longs = convert(convert(longs, int256) + size_delta, uint256)
    else:
        next_shorts = convert(convert(shorts, int256) + size_delta, uint256)
    before: uint256 = max(longs, shorts) - min(longs, shorts)
    after: uint256 = max(next_longs, next_shorts) - min(next_longs, next_shorts)
    good: uint256 = parts._uint(STORE, keccak256(abi_encode(keys.POSITION_IMPACT_FACTOR, MARKET, True)))
    bad: uint256 = parts._uint(STORE, keccak256(abi_encode(keys.POSITION_IMPACT_FACTOR, MARKET, False)))
    good = min(good, bad)
    improved: bool = after < before
    if (longs <= shorts) == (next_longs <= next_shorts):
        factor: uint256 = good if improved else bad
        return self._curve(before, factor) - self._curve(after, factor), improved
    return self._curve(before, good) - self._curve(after, bad), improved

@internal
@view
def _impact(
    index: shapes.Price, size_usd: uint256, size_tokens: uint256, size_delta: int256, is_long: bool
) -> shapes.Impact:
    """
    Uncapped. An increase's price is size over impacted tokens; a decrease's is the price that gives the impacted profit.
    """
    result: shapes.Impact = empty(shapes.Impact)
    rising: bool = size_delta > 0
    price: uint256 = index.max if is_long == (size_delta >= 0) else index.min
    result.executionPrice = price
    if size_delta == 0:
        return result
    result.priceImpactUsd, result.balanceWasImproved = self._impact_usd(size_delta, is_long)
    usd: int256 = result.priceImpactUsd
    if not rising:
        adjusted: int256 = usd if is_long else -usd
        if adjusted < size_delta:
            raw_revert(
                abi_encode(
                    usd, convert(-size_delta, uint256), method_id=method_id("PriceImpactLargerThanOrderSize(int256,uint256)")
                )
            )
        if size_tokens > 0:
            moved: int256 = convert(size_usd, int256) * adjusted // convert(size_tokens, int256) // -size_delta
            result.executionPrice = convert(convert(price, int256) + moved, uint256)
        return result
    size: uint256 = convert(size_delta, uint256)
    if usd > 0:
        result.impactAmount = usd // convert(index.max, int256)
    else:
        result.impactAmount = -convert(parts._divide_up(convert(-usd, uint256), index.min), int256)
    result.sizeDeltaInTokens = size // price if is_long else parts._divide_up(size, price)
    tokens: int256 = convert(result.sizeDeltaInTokens, int256)
    tokens += result.impactAmount if is_long else -result.impactAmount
    if tokens <= 0:
        raw_revert(abi_encode(usd, size, method_id=method_id("PriceImpactLargerThanOrderSize(int256,uint256)")))
    result.executionPrice = size // convert(tokens, uint256)
    return result

@internal
@pure
def _share(amount: int256, part: uint256, whole: uint256) -> int256:
    """
    Rounded down, so away from zero where it costs.
    """
    if amount >= 0:
        return convert(convert(amount, uint256) * part // whole, int256)
    return -convert(parts._divide_up(convert(-amount, uint256) * part, whole), int256)

@internal
@view
def _profit(index: shapes.Price, position: shapes.Position, size_delta: uint256) -> (int256, uint256):
    size: uint256 = position.numbers.sizeInUsd
    tokens: uint256 = position.numbers.sizeInTokens
    is_long: bool = position.flags.isLong
    worth: uint256 = tokens * (index.min if is_long else index.max)
    total: int256 = convert(worth, int256) - convert(size, int256)
    if not is_long:
        total = -total
    closed: uint256 = tokens
    if size_delta < size:
        closed = parts._divide_up(tokens * size_delta, size) if is_long else tokens * size_delta // size
    if tokens == 0:
        return 0, 0
    return total * convert(closed, int256) // convert(tokens, int256), closed

@internal
@view
def _fees(
    position: shapes.Position, prices: shapes.MarketPrices, size_delta: uint256, improved: bool
) -> shapes.PositionFees:
    result: shapes.PositionFees = empty(shapes.PositionFees)
    token: address = position.addresses.collateralToken
    is_long: bool = position.flags.isLong
    size: uint256 = position.numbers.sizeInUsd
    price: shapes.Price = self._collateral_price(token, prices)
    result.collateralTokenPrice = price
    result.referral.trader = position.addresses.account

    result.positionFeeFactor = parts._uint(STORE, keccak256(abi_encode(keys.POSITION_FEE_FACTOR, MARKET, improved)))
    result.positionFeeAmount = size_delta * result.positionFeeFactor // ONE // price.min
    result.protocolFeeAmount = result.positionFeeAmount
    result.positionFeeAmountForPool = result.positionFeeAmount

    grown: uint256 = self._next_borrowing_factor(is_long) - position.numbers.borrowingFactor if size > 0 else 0
    result.borrowing.borrowingFeeUsd = size * grown // ONE
    result.borrowing.borrowingFeeAmount = result.borrowing.borrowingFeeUsd // price.min
    result.feeAmountForPool = result.positionFeeAmount + result.borrowing.borrowingFeeAmount

    coming: shapes.NextFunding = self._next_funding(prices)
    pays: shapes.CollateralType = (
        coming.fundingFeeAmountPerSizeDelta.long if is_long else coming.fundingFeeAmountPerSizeDelta.short
    )
    earns: shapes.CollateralType = (
        coming.claimableFundingAmountPerSizeDelta.long if is_long else coming.claimableFundingAmountPerSizeDelta.short
    )
    latest: shapes.FundingFees = empty(shapes.FundingFees)
    latest.latestFundingFeeAmountPerSize = parts._uint(STORE, self._key(keys.FUNDING_FEE_AMOUNT_PER_SIZE, token, is_long)) + (
        pays.longToken if token == LONG else pays.shortToken
    )
    base: bytes32 = keys.CLAIMABLE_FUNDING_AMOUNT_PER_SIZE
    latest.latestLongTokenClaimableFundingAmountPerSize = (
        parts._uint(STORE, self._key(base, LONG, is_long)) + earns.longToken
    )
    latest.latestShortTokenClaimableFundingAmountPerSize = (
        parts._uint(STORE, self._key(base, SHORT, is_long)) + earns.shortToken
    )
    if size > 0:
        numbers: shapes.PositionNumbers = position.numbers
        latest.fundingFeeAmount = parts._divide_up(
            size * (latest.latestFundingFeeAmountPerSize - numbers.fundingFeeAmountPerSize), ONE * ROOT
        )
        latest.claimableLongTokenAmount = (
            size
            * (latest.latestLongTokenClaimableFundingAmountPerSize - numbers.longTokenClaimableFundingAmountPerSize)
            // (ONE * ROOT)
        )
        latest.claimableShortTokenAmount = (
            size
            * (latest.latestShortTokenClaimableFundingAmountPerSize - numbers.shortTokenClaimableFundingAmountPerSize)
            // (ONE * ROOT)
        )
    result.funding = latest
    result.totalCostAmountExcludingFunding = result.positionFeeAmount + result.borrowing.borrowingFeeAmount
    result.totalCostAmount = result.totalCostAmountExcludingFunding + latest.fundingFeeAmount
    return result
