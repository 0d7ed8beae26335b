# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's DataStore: values and sets under the real keys.
@dev The real one keeps orders and positions field by field under derived keys; this one keeps them as structs, behind
     functions of its own. Its owner and every CONTROLLER may write.
"""
import keys
import roles
import shapes

roleStore: public(immutable(address))
owner: public(address)

getUint: public(HashMap[bytes32, uint256])
getInt: public(HashMap[bytes32, int256])
getAddress: public(HashMap[bytes32, address])
getBool: public(HashMap[bytes32, bool])
getBytes32: public(HashMap[bytes32, bytes32])

_members: HashMap[bytes32, DynArray[bytes32, 1048576]]
_places: HashMap[bytes32, HashMap[bytes32, uint256]]
_orders: HashMap[bytes32, shapes.Order]
_positions: HashMap[bytes32, shapes.Position]

@deploy
def __init__(role_store: address):
    roleStore = role_store
    self.owner = msg.sender

@internal
@view
def _authorize():
    if msg.sender != self.owner:
        roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")

@external
def setUint(key: bytes32, item: uint256) -> uint256:
    self._authorize()
    self.getUint[key] = item
    return item

@external
def setStandInUints(names: DynArray[bytes32, 64], items: DynArray[uint256, 64]):
    """
    @notice Many values at once, which is quicker to deploy.
    """
    self._authorize()
    for i: uint256 in range(len(names), bound=64):
        self.getUint[names[i]] = items[i]

@external
def setInt(key: bytes32, item: int256) -> int256:
    self._authorize()
    self.getInt[key] = item
    return item

@external
def setAddress(key: bytes32, item: address) -> address:
    self._authorize()
    self.getAddress[key] = item
    return item

@external
def setBool(key: bytes32, item: bool) -> bool:
    self._authorize()
    self.getBool[key] = item
    return item

@external
def setBytes32(key: bytes32, item: bytes32) -> bytes32:
    self._authorize()
    self.getBytes32[key] = item
    return item

@external
def incrementUint(key: bytes32, item: uint256) -> uint256:
    self._authorize()
    self.getUint[key] += item
    return self.getUint[key]

@external
def decrementUint(key: bytes32, item: uint256) -> uint256:
    self._authorize()
    self.getUint[key] -= item
    return self.getUint[key]

@external
def applyDeltaToUint(key: bytes32, item: int256, errorMessage: String[64]) -> uint256:
    self._authorize()
    following: int256 = convert(self.getUint[key], int256) + item
    assert following >= 0, errorMessage
    self.getUint[key] = convert(following, uint256)
    return self.getUint[key]

@external
def addBytes32(setKey: bytes32, item: bytes32):
    self._authorize()
    self._add(setKey, item)

@external
def removeBytes32(setKey: bytes32, item: bytes32):
    self._authorize()
    self._remove(setKey, item)

@external
@view
def containsBytes32(setKey: bytes32, item: bytes32) -> bool:
    return self._places[setKey][item] != 0

@external
@view
def getBytes32Count(setKey: bytes32) -> uint256:
    return len(self._members[setKey])

@external
@view
def getBytes32ValuesAt(setKey: bytes32, start: uint256, end: uint256) -> DynArray[bytes32, 64]:
    return self._slice(setKey, start, end)

@external
def addAddress(setKey: bytes32, item: address):
    self._authorize()
    self._add(setKey, convert(item, bytes32))

@external
@view
def containsAddress(setKey: bytes32, item: address) -> bool:
    return self._places[setKey][convert(item, bytes32)] != 0

@external
@view
def getAddressCount(setKey: bytes32) -> uint256:
    return len(self._members[setKey])

@external
@view
def getAddressValuesAt(setKey: bytes32, start: uint256, end: uint256) -> DynArray[address, 64]:
    found: DynArray[address, 64] = []
    members: DynArray[bytes32, 64] = self._slice(setKey, start, end)
    for item: bytes32 in members:
        found.append(convert(item, address))
    return found

@external
@view
def standInOrder(key: bytes32) -> shapes.Order:
    return self._orders[key]

@external
def setStandInOrder(key: bytes32, order: shapes.Order):
    self._authorize()
    self._orders[key] = order
    self._add(keys.ORDER_LIST, key)
    self._add(keccak256(abi_encode(keys.ACCOUNT_ORDER_LIST, order.addresses.account)), key)

@external
def removeStandInOrder(key: bytes32):
    self._authorize()
    self._remove(keys.ORDER_LIST, key)
    self._remove(keccak256(abi_encode(keys.ACCOUNT_ORDER_LIST, self._orders[key].addresses.account)), key)
    self._orders[key] = empty(shapes.Order)

@external
@view
def standInPosition(key: bytes32) -> shapes.Position:
    return self._positions[key]

@external
def setStandInPosition(key: bytes32, position: shapes.Position):
    self._authorize()
    self._positions[key] = position
    self._add(keys.POSITION_LIST, key)
    self._add(keccak256(abi_encode(keys.ACCOUNT_POSITION_LIST, position.addresses.account)), key)

@external
def removeStandInPosition(key: bytes32):
    self._authorize()
    self._remove(keys.POSITION_LIST, key)
    self._remove(keccak256(abi_encode(keys.ACCOUNT_POSITION_LIST, self._positions[key].addresses.account)), key)
    self._positions[key] = empty(shapes.Position)

@internal
def _add(set_key: bytes32, item: bytes32):
    if self._places[set_key][item] == 0:
        self._members[set_key].append(item)
        self._places[set_key][item] = len(self._members[set_key])

@internal
def _remove(set_key: bytes32, item: bytes32):
    place: uint256 = self._places[set_key][item]
    if place == 0:
        return
    last: bytes32 = self._members[set_key].pop()
    if last != item:
        self._members[set_key][place - 1] = last
        self._places[set_key][last] = place
    self._places[set_key][item] = 0

@internal
@view
def _slice(set_key: bytes32, start: uint256, end: uint256) -> DynArray[bytes32, 64]:
    found: DynArray[bytes32, 64] = []
    count: uint256 = min(end, len(self._members[set_key]))
    for i: uint256 in range(start, max(start, count), bound=64):
        found.append(self._members[set_key][i])
    return found
