# pragma version 0.4.3
"""
@notice Stand-in for GMX v2's OrderVault and for its MarketToken as the holder of the pool: a bank that pays out for a
        CONTROLLER and knows what came in since it last looked.
"""
import keys
import roles

interface Token:
    def balanceOf(account: address) -> uint256: view
    def transfer(to: address, amount: uint256) -> bool: nonpayable

interface WrappedEther:
    def deposit(): payable
    def withdraw(amount: uint256): nonpayable
    def balanceOf(account: address) -> uint256: view

roleStore: public(immutable(address))
WNT: immutable(address)
tokenBalances: public(HashMap[address, uint256])

@deploy
def __init__(role_store: address, wnt: address):
    roleStore = role_store
    WNT = wnt

@external
@payable
def __default__():
    assert msg.sender == WNT, "stand-in: only wrapped ether sends ether here"

@external
def recordTransferIn(token: address) -> uint256:
    roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")
    before: uint256 = self.tokenBalances[token]
    self.tokenBalances[token] = staticcall Token(token).balanceOf(self)
    return self.tokenBalances[token] - before

@external
def transferOut(token: address, receiver: address, amount: uint256, shouldUnwrapNativeToken: bool):
    roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")
    if amount == 0:
        return
    if shouldUnwrapNativeToken and token == WNT:
        self._send_ether(receiver, amount)
    else:
        assert extcall Token(token).transfer(receiver, amount), "stand-in: transfer answered false"
    self.tokenBalances[token] = staticcall Token(token).balanceOf(self)

@external
def transferOutNativeToken(receiver: address, amount: uint256):
    roles._only(roleStore, keys.CONTROLLER, "CONTROLLER")
    if amount == 0:
        return
    self._send_ether(receiver, amount)
    self.tokenBalances[WNT] = staticcall Token(WNT).balanceOf(self)

@internal
def _send_ether(receiver: address, amount: uint256):
    extcall WrappedEther(WNT).withdraw(amount)
    # A receiver that refuses ether gets it wrapped, as with the real contracts.
    if not raw_call(receiver, b"", value=amount, gas=200_000, revert_on_failure=False):
        extcall WrappedEther(WNT).deposit(value=amount)
        assert extcall Token(WNT).transfer(receiver, amount), "stand-in: transfer answered false"
