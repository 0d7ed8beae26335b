# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's EventEmitter: the same two logs, from the same item lists.
"""
import shapes
import keys
import roles

event EventLog1:
    msgSender: address
    eventName: String[64]
    eventNameHash: indexed(String[64])
    topic1: indexed(bytes32)
    eventData: shapes.EventLogData

event EventLog2:
    msgSender: address
    eventName: String[64]
    eventNameHash: indexed(String[64])
    topic1: indexed(bytes32)
    topic2: indexed(bytes32)
    eventData: shapes.EventLogData

roleStore: public(immutable(address))

@deploy
def __init__(role_store: address):
    roleStore = role_store

@external
def emitEventLog1(eventName: String[64], topic1: bytes32, eventData: shapes.EventLogData):
    roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")
    log EventLog1(msgSender=msg.sender, eventName=eventName, eventNameHash=eventName, topic1=topic1, eventData=eventData)

@external
def emitEventLog2(eventName: String[64], topic1: bytes32, topic2: bytes32, eventData: shapes.EventLogData):
    roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")
    log EventLog2(
        msgSender=msg.sender, eventName=eventName, eventNameHash=eventName, topic1=topic1, topic2=topic2, eventData=eventData
    )
