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

@internal
def _emit2(name: String[64], topic1: bytes32, topic2: bytes32, data: shapes.EventLogData):
    extcall Emitter(EMITTER).emitEventLog2(name, topic1, topic2, data)

@external
def orderExecuted(key: bytes32, account: address, secondaryOrderType: uint256):
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.bytes32Items.items = [shapes.Bytes32Item(key="key", value=key)]
    data.addressItems.items = [shapes.AddressItem(key="account", value=account)]
    data.uintItems.items = [shapes.UintItem(key="secondaryOrderType", value=secondaryOrderType)]
    self._emit2("OrderExecuted", key, self._topic(account), data)

@external
def orderStopped(name: String[64], key: bytes32, account: address, reason: String[256], reasonBytes: Bytes[1024]):
    """
    @notice OrderCancelled or OrderFrozen, by name.
    """
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.bytes32Items.items = [shapes.Bytes32Item(key="key", value=key)]
    data.addressItems.items = [shapes.AddressItem(key="account", value=account)]
    data.stringItems.items = [shapes.StringItem(key="reason", value=reason)]
    data.bytesItems.items = [shapes.BytesItem(key="reasonBytes", value=reasonBytes)]
    self._emit2(name, key, self._topic(account), data)

@external
def autoUpdated(isSize: bool, key: bytes32, old: uint256, new: uint256):
    """
    @notice OrderSizeDeltaAutoUpdated or OrderCollateralDeltaAmountAutoUpdated.
    """
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.bytes32Items.items = [shapes.Bytes32Item(key="key", value=key)]
    if isSize:
        data.uintItems.items = [
            shapes.UintItem(key="sizeDeltaUsd", value=old), shapes.UintItem(key="nextSizeDeltaUsd", value=new)
        ]
        self._emit1("OrderSizeDeltaAutoUpdated", key, data)
        return
    data.uintItems.items = [
        shapes.UintItem(key="collateralDeltaAmount", value=old), shapes.UintItem(key="nextCollateralDeltaAmount", value=new)
    ]
    self._emit1("OrderCollateralDeltaAmountAutoUpdated", key, data)

@external
def executionFee(isRefund: bool, receiver: address, amount: uint256):
    """
    @notice KeeperExecutionFee or ExecutionFeeRefund.
    """
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    if isRefund:
        data.addressItems.items = [shapes.AddressItem(key="receiver", value=receiver)]
        data.uintItems.items = [shapes.UintItem(key="refundFeeAmount", value=amount)]
        self._emit1("ExecutionFeeRefund", self._topic(receiver), data)
        return
    data.addressItems.items = [shapes.AddressItem(key="keeper", value=receiver)]
    data.uintItems.items = [shapes.UintItem(key="executionFeeAmount", value=amount)]
    self._emit1("KeeperExecutionFee", self._topic(receiver), data)

@external
def fundingFeesClaimed(
    market: address, token: address, account: address, receiver: address, amount: uint256, nextPoolValue: uint256
):
    self._authorize()
    data: shapes.EventLogData = empty(shapes.EventLogData)
    data.addressItems.items = [
        shapes.AddressItem(key="market", value=market),
        shapes.AddressItem(key="token", value=token),
        shapes.AddressItem(key="account", value=account),
        shapes.AddressItem(key="receiver", value=receiver),
    ]
    data.uintItems.items = [
        shapes.UintItem(key="amount", value=amount), shapes.UintItem(key="nextPoolValue", value=nextPoolValue)
    ]
    self._emit1("FundingFeesClaimed", self._topic(account), data)
