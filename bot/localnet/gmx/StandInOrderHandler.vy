# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's OrderHandler: takes orders in for the ExchangeRouter, and executes them for a keeper.
@dev A market order that cannot be executed is cancelled, another one frozen, and the keeper is paid all the same. Swap
     orders and swap paths are refused.
"""
import keys
import oracle
import parts
import roles
import shapes

NAME: constant(String[8]) = "Order"
ERROR_STRING: constant(bytes4) = 0x08c379a0

ROLES: immutable(address)
dataStore: public(immutable(address))
eventEmitter: public(immutable(address))
orderVault: public(immutable(address))
referralStorage: public(immutable(address))
increaseOrderExecutor: public(immutable(address))
decreaseOrderExecutor: public(immutable(address))
CREATION_EVENTS: immutable(address)
EVENTS: immutable(address)
MARKET: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

interface ReferralStorage:
    def setTraderReferralCode(account: address, code: bytes32): nonpayable

@deploy
def __init__(
    role_store: address,
    store: address,
    emitter: address,
    vault: address,
    referrals: address,
    increase: address,
    decrease: address,
    creation_events: address,
    events: address,
    market: address,
    long_token: address,
    short_token: address,
):
    ROLES = role_store
    dataStore = store
    eventEmitter = emitter
    orderVault = vault
    referralStorage = referrals
    increaseOrderExecutor = increase
    decreaseOrderExecutor = decrease
    CREATION_EVENTS = creation_events
    EVENTS = events
    MARKET = market
    LONG = long_token
    SHORT = short_token

@external
@view
def roleStore() -> address:
    return ROLES

@external
def createOrder(
    account: address, srcChainId: uint256, params: shapes.CreateOrderParams, shouldCapMaxExecutionFee: bool
) -> bytes32:
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    self._check_feature(keys.CREATE_ORDER_FEATURE_DISABLED, params.orderType)
    kind: uint8 = params.orderType
    if kind == 7 or kind > 8:
        raw_revert(abi_encode(convert(kind, uint256), method_id=method_id("OrderTypeCannotBeCreated(uint256)")))
    if kind < 2 or len(params.addresses.swapPath) > 0:
        raw_revert(abi_encode(convert(kind, uint256), method_id=method_id("UnsupportedOrderType(uint256)")))
    if params.addresses.receiver == empty(address):
        raw_revert(method_id("EmptyReceiver()"))
    self._check_market(params.addresses.market)
    if params.addresses.initialCollateralToken not in [LONG, SHORT]:
        raw_revert(
            abi_encode(
                params.addresses.market,
                params.addresses.initialCollateralToken,
                method_id=method_id("InvalidCollateralTokenForMarket(address,address)"),
            )
        )
    if params.numbers.validFromTime != 0 and (kind == 2 or kind == 4):
        raw_revert(abi_encode(convert(kind, uint256), method_id=method_id("UnexpectedValidFromTime(uint256)")))
    if params.referralCode != empty(bytes32):
        extcall ReferralStorage(referralStorage).setTraderReferralCode(account, params.referralCode)

    order: shapes.Order = empty(shapes.Order)
    order.addresses = shapes.OrderAddresses(
        account=account,
        receiver=params.addresses.receiver,
        cancellationReceiver=params.addresses.cancellationReceiver,
        callbackContract=params.addresses.callbackContract,
        uiFeeReceiver=params.addresses.uiFeeReceiver,
        market=params.addresses.market,
        initialCollateralToken=params.addresses.initialCollateralToken,
        swapPath=params.addresses.swapPath,
    )
    order.numbers.orderType = kind
    order.numbers.decreasePositionSwapType = params.decreasePositionSwapType
    order.numbers.sizeDeltaUsd = params.numbers.sizeDeltaUsd
    order.numbers.triggerPrice = params.numbers.triggerPrice
    order.numbers.acceptablePrice = params.numbers.acceptablePrice
    order.numbers.callbackGasLimit = params.numbers.callbackGasLimit
    order.numbers.minOutputAmount = params.numbers.minOutputAmount
    order.numbers.validFromTime = params.numbers.validFromTime
    order.numbers.updatedAtTime = block.timestamp
    order.numbers.srcChainId = srcChainId
    order.flags = shapes.OrderFlags(
        isLong=params.isLong,
        shouldUnwrapNativeToken=params.shouldUnwrapNativeToken,
        isFrozen=False,
        autoCancel=params.autoCancel,
    )
    order._dataList = params.dataList
    order.numbers.initialCollateralDeltaAmount, order.numbers.executionFee = self._receive(params)
    if order.numbers.sizeDeltaUsd == 0 and order.numbers.initialCollateralDeltaAmount == 0:
        raw_revert(method_id("EmptyOrder()"))

    least: uint256 = self._estimated_gas(order) * tx.gasprice
    if order.numbers.executionFee < least:
        raw_revert(
            abi_encode(
                least, order.numbers.executionFee, method_id=method_id("InsufficientExecutionFee(uint256,uint256)")
            )
        )
    key: bytes32 = parts._next_key(dataStore, keys.NONCE)
    extcall parts.DataStore(dataStore).setStandInOrder(key, order)
    extcall parts.Events(CREATION_EVENTS).orderCreated(key, order)
    return key

@external
def cancelOrder(key: bytes32):
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    starting_gas: uint256 = msg.gas
    order: shapes.Order = staticcall parts.DataStore(dataStore).standInOrder(key)
    self._check_feature(keys.CANCEL_ORDER_FEATURE_DISABLED, order.numbers.orderType)
    age: uint256 = block.timestamp - order.numbers.updatedAtTime
    limit: uint256 = parts._uint(dataStore, keys.REQUEST_EXPIRATION_TIME)
    if self._is_market(order) and age < limit:
        raw_revert(abi_encode(age, limit, NAME, method_id=method_id("RequestNotYetCancellable(uint256,uint256,string)")))
    self._cancel(key, order, order.addresses.account, starting_gas, "USER_INITIATED_CANCEL", b"")

@external
def executeOrder(key: bytes32, oracleParams: shapes.OracleParams):
    roles._only(ROLES, keys.ORDER_KEEPER, "ORDER_KEEPER")
    starting_gas: uint256 = msg.gas
    prices: shapes.MarketPrices = empty(shapes.MarketPrices)
    earliest: uint256 = 0
    latest: uint256 = 0
    prices, earliest, latest = oracle._prices(dataStore, oracleParams, LONG, SHORT)
    order: shapes.Order = staticcall parts.DataStore(dataStore).standInOrder(key)
    if order.addresses.account == empty(address):
        raw_revert(method_id("EmptyOrder()"))
    if order.flags.isFrozen and not staticcall roles.RoleStore(ROLES).hasRole(msg.sender, keys.FROZEN_ORDER_KEEPER):
        raw_revert(abi_encode(msg.sender, method_id=method_id("InvalidKeeperForFrozenOrder(address)")))
    self._check_feature(keys.EXECUTE_ORDER_FEATURE_DISABLED, order.numbers.orderType)
    self._check_times(order, earliest, latest)

    executor: address = increaseOrderExecutor if self._is_increase(order) else decreaseOrderExecutor
    success: bool = True
    failure: Bytes[1024] = b""
    if staticcall parts.DataStore(dataStore).getBool(keccak256(abi_encode(keys.IS_MARKET_DISABLED, MARKET))):
        success = False
        failure = abi_encode(MARKET, method_id=method_id("DisabledMarket(address)"))
    else:
        success, failure = raw_call(
            executor,
            abi_encode(
                key,
                order,
                prices,
                False,
                method_id=method_id(
                    "execute(bytes32,((address,address,address,address,address,address,address,address[]),(uint8,uint8,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256),(bool,bool,bool,bool),bytes32[]),((uint256,uint256),(uint256,uint256),(uint256,uint256)),bool)"
                ),
            ),
            max_outsize=1024,
            revert_on_failure=False,
        )
    if success:
        extcall parts.DataStore(dataStore).removeStandInOrder(key)
        extcall parts.Events(EVENTS).orderExecuted(key, order.addresses.account, 0)
        self._pay_fee(order.numbers.executionFee, starting_gas, msg.sender, order.addresses.receiver)
        return
    self._handle_failure(key, order, starting_gas, failure)

@internal
def _handle_failure(key: bytes32, order: shapes.Order, starting_gas: uint256, failure: Bytes[1024]):
    selector: bytes4 = empty(bytes4)
    if len(failure) >= 4:
        selector = convert(slice(failure, 0, 4), bytes4)
    is_market: bool = self._is_market(order)
    if (
        order.flags.isFrozen
        or selector == method_id("InvalidOrderPrices(uint256,uint256,uint256,uint256)", output_type=bytes4)
        or (not is_market and selector == method_id("EmptyPosition()", output_type=bytes4))
    ):
        raw_revert(failure)
    reason: String[256] = ""
    if selector == ERROR_STRING and len(failure) >= 68:
        size: uint256 = min(convert(slice(failure, 36, 32), uint256), 256)
        reason = convert(slice(failure, 68, min(size, len(failure) - 68)), String[256])
    if is_market:
        self._cancel(key, order, msg.sender, starting_gas, reason, failure)
        return
    frozen: shapes.Order = order
    frozen.numbers.executionFee = 0
    frozen.flags.isFrozen = True
    extcall parts.DataStore(dataStore).setStandInOrder(key, frozen)
    extcall parts.Events(EVENTS).orderStopped("OrderFrozen", key, order.addresses.account, reason, failure)
    self._pay_fee(order.numbers.executionFee, starting_gas, msg.sender, order.addresses.receiver)

@internal
def _cancel(
    key: bytes32, order: shapes.Order, keeper: address, starting_gas: uint256, reason: String[256], reason_bytes: Bytes[1024]
):
    named: address = order.addresses.cancellationReceiver
    extcall parts.DataStore(dataStore).removeStandInOrder(key)
    if self._is_increase(order):
        extcall parts.Bank(orderVault).transferOut(
            order.addresses.initialCollateralToken,
            named if named != empty(address) else order.addresses.account,
            order.numbers.initialCollateralDeltaAmount,
            order.flags.shouldUnwrapNativeToken,
        )
    extcall parts.Events(EVENTS).orderStopped("OrderCancelled", key, order.addresses.account, reason, reason_bytes)
    refunded: address = named if named != empty(address) else order.addresses.receiver
    self._pay_fee(order.numbers.executionFee, starting_gas, keeper, refunded)

@internal
def _pay_fee(fee: uint256, starting_gas: uint256, keeper: address, refund_receiver: address):
    """
    The keeper gets its gas by the EXECUTION_ parameters, at most the fee; what is left goes back as native ether.
    """
    if fee == 0:
        return
    gas: uint256 = parts._uint(dataStore, keys.EXECUTION_GAS_FEE_BASE_AMOUNT_V2_1)
    gas += parts._uint(dataStore, keys.EXECUTION_GAS_FEE_PER_ORACLE_PRICE) * 3
    used: uint256 = starting_gas - msg.gas
    gas += used * parts._uint(dataStore, keys.EXECUTION_GAS_FEE_MULTIPLIER_FACTOR) // 10**30
    paid: uint256 = min(gas * tx.gasprice, fee)
    extcall parts.Bank(orderVault).transferOutNativeToken(keeper, paid)
    extcall parts.Events(EVENTS).executionFee(False, keeper, paid)
    if paid < fee:
        extcall parts.Bank(orderVault).transferOutNativeToken(refund_receiver, fee - paid)
        extcall parts.Events(EVENTS).executionFee(True, refund_receiver, fee - paid)

@internal
def _receive(params: shapes.CreateOrderParams) -> (uint256, uint256):
    """
    The collateral and the execution fee that were sent to the vault. Wrapped ether as collateral comes in one sum.
    """
    wnt: address = staticcall parts.DataStore(dataStore).getAddress(keys.WNT)
    token: address = params.addresses.initialCollateralToken
    fee: uint256 = params.numbers.executionFee
    collateral: uint256 = params.numbers.initialCollateralDeltaAmount
    is_increase: bool = params.orderType in [2, 3, 8]
    if is_increase and token == wnt:
        received: uint256 = extcall parts.Bank(orderVault).recordTransferIn(wnt)
        self._check_received(received, fee)
        return received - fee, fee
    if is_increase:
        collateral = extcall parts.Bank(orderVault).recordTransferIn(token)
    received: uint256 = extcall parts.Bank(orderVault).recordTransferIn(wnt)
    self._check_received(received, fee)
    return collateral, received

@internal
@pure
def _check_received(received: uint256, fee: uint256):
    if received < fee:
        raw_revert(
            abi_encode(received, fee, method_id=method_id("InsufficientWntAmountForExecutionFee(uint256,uint256)"))
        )

@internal
@view
def _estimated_gas(order: shapes.Order) -> uint256:
    limit: uint256 = order.numbers.callbackGasLimit
    if self._is_increase(order):
        limit += parts._uint(dataStore, keys.INCREASE_ORDER_GAS_LIMIT)
    else:
        limit += parts._uint(dataStore, keys.DECREASE_ORDER_GAS_LIMIT)
        if order.numbers.decreasePositionSwapType != 0:
            limit += parts._uint(dataStore, keys.SINGLE_SWAP_GAS_LIMIT)
    base: uint256 = parts._uint(dataStore, keys.ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1)
    base += parts._uint(dataStore, keys.ESTIMATED_GAS_FEE_PER_ORACLE_PRICE) * 3
    return base + limit * parts._uint(dataStore, keys.ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR) // 10**30

@internal
@pure
def _is_increase(order: shapes.Order) -> bool:
    return order.numbers.orderType in [2, 3, 8]

@internal
@pure
def _is_market(order: shapes.Order) -> bool:
    return order.numbers.orderType == 2 or order.numbers.orderType == 4

@internal
@view
def _check_market(market: address):
    if market != MARKET:
        raw_revert(method_id("EmptyMarket()"))
    if staticcall parts.DataStore(dataStore).getBool(keccak256(abi_encode(keys.IS_MARKET_DISABLED, market))):
        raw_revert(abi_encode(market, method_id=method_id("DisabledMarket(address)")))

@internal
@view
def _check_feature(base: bytes32, kind: uint8):
    key: bytes32 = keccak256(abi_encode(base, self, convert(kind, uint256)))
    if staticcall parts.DataStore(dataStore).getBool(key):
        raw_revert(abi_encode(key, method_id=method_id("DisabledFeature(bytes32)")))

@internal
@view
def _check_times(order: shapes.Order, earliest: uint256, latest: uint256):
    """
    The prices must be from after the order, and a market order's from before it expires.
    """
    updated: uint256 = order.numbers.updatedAtTime
    if earliest < updated:
        raw_revert(
            abi_encode(earliest, updated, method_id=method_id("OracleTimestampsAreSmallerThanRequired(uint256,uint256)"))
        )
    limit: uint256 = parts._uint(dataStore, keys.REQUEST_EXPIRATION_TIME)
    if self._is_market(order) and latest > updated + limit:
        raw_revert(
            abi_encode(
                latest,
                updated,
                limit,
                method_id=method_id("OracleTimestampsAreLargerThanRequestExpirationTime(uint256,uint256,uint256)"),
            )
        )
