# pragma version 0.4.3
# pragma optimize codesize
"""
@notice Stand-in for GMX v2's ExchangeRouter: what users call.
"""
import keys
import parts
import roles
import shapes

interface Handler:
    def createOrder(
        account: address, srcChainId: uint256, params: shapes.CreateOrderParams, shouldCapMaxExecutionFee: bool
    ) -> bytes32: nonpayable
    def cancelOrder(key: bytes32): nonpayable

interface Router:
    def pluginTransfer(token: address, account: address, receiver: address, amount: uint256): nonpayable

interface WrappedEther:
    def deposit(): payable
    def transfer(to: address, amount: uint256) -> bool: nonpayable

router: public(immutable(address))
roleStore: public(immutable(address))
dataStore: public(immutable(address))
eventEmitter: public(immutable(address))
orderHandler: public(immutable(address))
EVENTS: immutable(address)
LONG: immutable(address)
SHORT: immutable(address)

@deploy
def __init__(
    router_: address,
    role_store: address,
    store: address,
    emitter: address,
    handler: address,
    events: address,
    long_token: address,
    short_token: address,
):
    router = router_
    roleStore = role_store
    dataStore = store
    eventEmitter = emitter
    orderHandler = handler
    EVENTS = events
    LONG = long_token
    SHORT = short_token

@external
@payable
def multicall(data: DynArray[Bytes[2048], 16]) -> DynArray[Bytes[128], 16]:
    results: DynArray[Bytes[128], 16] = []
    for call: Bytes[2048] in data:
        results.append(raw_call(self, call, max_outsize=128, is_delegate_call=True))
    return results

@external
@payable
def sendWnt(receiver: address, amount: uint256):
    self._check_receiver(receiver)
    if amount == 0:
        return
    wnt: address = staticcall parts.DataStore(dataStore).getAddress(keys.WNT)
    extcall WrappedEther(wnt).deposit(value=amount)
    assert extcall WrappedEther(wnt).transfer(receiver, amount), "stand-in: transfer answered false"

@external
@payable
def sendTokens(token: address, receiver: address, amount: uint256):
    self._check_receiver(receiver)
    extcall Router(router).pluginTransfer(token, msg.sender, receiver, amount)

@external
@payable
def createOrder(params: shapes.CreateOrderParams) -> bytes32:
    return extcall Handler(orderHandler).createOrder(msg.sender, 0, params, False)

@external
@payable
def cancelOrder(key: bytes32):
    account: address = (staticcall parts.DataStore(dataStore).standInOrder(key)).addresses.account
    if account == empty(address):
        raw_revert(method_id("EmptyOrder()"))
    if account != msg.sender:
        role: String[32] = "account for cancelOrder"
        raw_revert(abi_encode(msg.sender, role, method_id=method_id("Unauthorized(address,string)")))
    extcall Handler(orderHandler).cancelOrder(key)

@external
@payable
def claimFundingFees(
    markets: DynArray[address, 16], tokens: DynArray[address, 16], receiver: address
) -> DynArray[uint256, 16]:
    if len(markets) != len(tokens):
        raw_revert(
            abi_encode(
                len(markets), len(tokens), method_id=method_id("InvalidClaimFundingFeesInput(uint256,uint256)")
            )
        )
    self._check_receiver(receiver)
    amounts: DynArray[uint256, 16] = []
    for i: uint256 in range(len(markets), bound=16):
        key: bytes32 = keccak256(abi_encode(keys.CLAIMABLE_FUNDING_AMOUNT, markets[i], tokens[i], msg.sender))
        amount: uint256 = parts._uint(dataStore, key)
        extcall parts.DataStore(dataStore).setUint(key, 0)
        left: uint256 = extcall parts.DataStore(dataStore).decrementUint(
            keccak256(abi_encode(keys.CLAIMABLE_FUNDING_AMOUNT, markets[i], tokens[i])), amount
        )
        extcall parts.Bank(markets[i]).transferOut(tokens[i], receiver, amount, False)
        extcall parts.Events(EVENTS).fundingFeesClaimed(markets[i], tokens[i], msg.sender, receiver, amount, left)
        amounts.append(amount)
    return amounts

@internal
@pure
def _check_receiver(receiver: address):
    if receiver == empty(address):
        raw_revert(method_id("EmptyReceiver()"))
