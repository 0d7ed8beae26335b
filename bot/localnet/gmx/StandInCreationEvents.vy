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
def _emit2(name: String[64], topic1: bytes32, topic2: bytes32, data: shapes.EventLogData):
    extcall Emitter(EMITTER).emitEventLog2(name, topic1, topic2, data)

@external
def orderCreated(key: bytes32, order: shapes.Order):
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.addressItems.items = [
        shapes.AddressItem(key="account", value=order.addresses.account),
        shapes.AddressItem(key="receiver", value=order.addresses.receiver),
        shapes.AddressItem(key="callbackContract", value=order.addresses.callbackContract),
        shapes.AddressItem(key="uiFeeReceiver", value=order.addresses.uiFeeReceiver),
        shapes.AddressItem(key="market", value=order.addresses.market),
        shapes.AddressItem(key="initialCollateralToken", value=order.addresses.initialCollateralToken),
        shapes.AddressItem(key="cancellationReceiver", value=order.addresses.cancellationReceiver),
    ]
    data.addressItems.arrayItems = [shapes.AddressArrayItem(key="swapPath", value=order.addresses.swapPath)]
    data.uintItems.items = [
        shapes.UintItem(key="orderType", value=convert(order.numbers.orderType, uint256)),
        shapes.UintItem(key="decreasePositionSwapType", value=convert(order.numbers.decreasePositionSwapType, uint256)),
        shapes.UintItem(key="sizeDeltaUsd", value=order.numbers.sizeDeltaUsd),
        shapes.UintItem(key="initialCollateralDeltaAmount", value=order.numbers.initialCollateralDeltaAmount),
        shapes.UintItem(key="triggerPrice", value=order.numbers.triggerPrice),
        shapes.UintItem(key="acceptablePrice", value=order.numbers.acceptablePrice),
        shapes.UintItem(key="executionFee", value=order.numbers.executionFee),
        shapes.UintItem(key="callbackGasLimit", value=order.numbers.callbackGasLimit),
        shapes.UintItem(key="minOutputAmount", value=order.numbers.minOutputAmount),
        shapes.UintItem(key="updatedAtTime", value=order.numbers.updatedAtTime),
        shapes.UintItem(key="validFromTime", value=order.numbers.validFromTime),
        shapes.UintItem(key="srcChainId", value=order.numbers.srcChainId),
    ]
    data.boolItems.items = [
        shapes.BoolItem(key="isLong", value=order.flags.isLong),
        shapes.BoolItem(key="shouldUnwrapNativeToken", value=order.flags.shouldUnwrapNativeToken),
        shapes.BoolItem(key="isFrozen", value=order.flags.isFrozen),
        shapes.BoolItem(key="autoCancel", value=order.flags.autoCancel),
    ]
    data.bytes32Items.items = [shapes.Bytes32Item(key="key", value=key)]
    data.bytes32Items.arrayItems = [shapes.Bytes32ArrayItem(key="dataList", value=order._dataList)]
    self._emit2("OrderCreated", key, self._topic(order.addresses.account), data)
