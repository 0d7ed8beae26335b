# pragma version 0.4.3
"""
@notice Stand-in for GMX v2's Router: the contract that users approve, so that it can move their tokens for a plugin.
"""
import keys
import roles

interface Token:
    def transferFrom(sender: address, to: address, amount: uint256) -> bool: nonpayable

roleStore: public(immutable(address))

@deploy
def __init__(role_store: address):
    roleStore = role_store

@external
def pluginTransfer(token: address, account: address, receiver: address, amount: uint256):
    roles._only(roleStore, keys.ROUTER_PLUGIN, "ROUTER_PLUGIN")
    assert extcall Token(token).transferFrom(account, receiver, amount), "stand-in: transferFrom answered false"
