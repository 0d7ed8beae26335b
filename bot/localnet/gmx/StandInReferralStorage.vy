# pragma version 0.4.3
"""
@notice Stand-in for GMX v2's ReferralStorage: remembers codes, and gives nobody a discount.
"""
import keys
import roles

ROLES: immutable(address)
traderReferralCodes: public(HashMap[address, bytes32])

@deploy
def __init__(role_store: address):
    ROLES = role_store

@external
def setTraderReferralCode(account: address, code: bytes32):
    roles._only(ROLES, keys.CONTROLLER, "CONTROLLER")
    self.traderReferralCodes[account] = code
