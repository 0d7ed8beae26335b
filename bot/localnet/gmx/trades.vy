# pragma version 0.4.3
"""
@notice What an increase and a decrease of the stand-in share.
"""
import keys
import parts
import shapes

@pure
def _check_acceptable(price: uint256, order: shapes.Order, is_increase: bool):
    """
    Buying needs a price at or below the acceptable one, selling one at or above.
    """
    acceptable: uint256 = order.numbers.acceptablePrice
    buys: bool = order.flags.isLong == is_increase
    if (buys and price > acceptable) or (not buys and price < acceptable):
        raw_revert(
            abi_encode(price, acceptable, method_id=method_id("OrderNotFulfillableAtAcceptablePrice(uint256,uint256)"))
        )

@pure
def _check_trigger(order: shapes.Order, index: shapes.Price):
    """
    Limit orders wait for a better price, stop orders for a worse one.
    """
    kind: uint8 = order.numbers.orderType
    trigger: uint256 = order.numbers.triggerPrice
    is_long: bool = order.flags.isLong
    reached: bool = True
    if kind == 3 or kind == 6:
        reached = index.max <= trigger if is_long else index.min >= trigger
        if kind == 6:
            reached = index.min <= trigger if is_long else index.max >= trigger
    elif kind == 5 or kind == 8:
        reached = index.min >= trigger if is_long else index.max <= trigger
        if kind == 8:
            reached = index.max >= trigger if is_long else index.min <= trigger
    if not reached:
        raw_revert(
            abi_encode(
                index.min,
                index.max,
                trigger,
                convert(kind, uint256),
                method_id=method_id("InvalidOrderPrices(uint256,uint256,uint256,uint256)"),
            )
        )

def _change_collateral(store: address, position: shapes.Position, delta: int256):
    """
    Books a change of the market's collateral. It may not become negative, and says so in plain words like the real one.
    """
    extcall parts.DataStore(store).applyDeltaToUint(
        self._key(keys.COLLATERAL_SUM, position), delta, "Invalid state: negative collateralSum"
    )

def _change_open_interest(store: address, position: shapes.Position, usd: int256, tokens: int256):
    """
    Books a change of open interest. Reverts MaxOpenInterestExceeded where it grows over its limit.
    """
    extcall parts.DataStore(store).applyDeltaToUint(
        self._key(keys.OPEN_INTEREST, position), usd, "Invalid state: negative open interest"
    )
    extcall parts.DataStore(store).applyDeltaToUint(
        self._key(keys.OPEN_INTEREST_IN_TOKENS, position), tokens, "Invalid state: negative open interest in tokens"
    )

@view
def _key(base: bytes32, position: shapes.Position) -> bytes32:
    return keccak256(
        abi_encode(base, position.addresses.market, position.addresses.collateralToken, position.flags.isLong)
    )

@view
def _collateral_factor(store: address, position: shapes.Position, open_interest: uint256) -> uint256:
    """
    The least collateral per USD of size that a trade may leave, 1e30: it grows with open interest.
    """
    market: address = position.addresses.market
    least: uint256 = parts._uint(store, keccak256(abi_encode(keys.MIN_COLLATERAL_FACTOR, market)))
    multiplier: uint256 = parts._uint(
        store,
        keccak256(abi_encode(keys.MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER, market, position.flags.isLong)),
    )
    return max(least, open_interest * multiplier // 10**30)

def _pay_funding(
    store: address, position: shapes.Position, fees: shapes.PositionFees, long_token: address, short_token: address
):
    """
    What others paid to this position becomes claimable by its account.
    """
    self._credit(store, position, long_token, fees.funding.claimableLongTokenAmount)
    self._credit(store, position, short_token, fees.funding.claimableShortTokenAmount)

def _credit(store: address, position: shapes.Position, token: address, amount: uint256):
    if amount == 0:
        return
    base: bytes32 = keys.CLAIMABLE_FUNDING_AMOUNT
    market: address = position.addresses.market
    extcall parts.DataStore(store).incrementUint(
        keccak256(abi_encode(base, market, token, position.addresses.account)), amount
    )
    extcall parts.DataStore(store).incrementUint(keccak256(abi_encode(base, market, token)), amount)

@view
def _check_position(
    calculator: address, position: shapes.Position, prices: shapes.MarketPrices, with_min_collateral_usd: bool
):
    """
    Reverts LiquidatablePosition where the trade would leave a position that can be liquidated.
    """
    bad: bool = False
    reason: String[32] = ""
    info: shapes.LiquidationInfo = empty(shapes.LiquidationInfo)
    bad, reason, info = staticcall parts.Calculator(calculator).liquidatable(
        position, prices, with_min_collateral_usd, False
    )
    if bad:
        raw_revert(
            abi_encode(
                reason,
                info.remainingCollateralUsd,
                info.minCollateralUsd,
                info.minCollateralUsdForLeverage,
                method_id=method_id("LiquidatablePosition(string,int256,int256,int256)"),
            )
        )
