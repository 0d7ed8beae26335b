# pragma version 0.4.3
"""
@notice A stand-in for Derive's SubAccounts: accounts with a manager, and balances that anyone may set.
"""

struct AssetBalance:
    asset: address
    subId: uint256
    balance: int256

MOST: constant(uint256) = 256

lastAccountId: public(uint256)
manager: public(HashMap[uint256, address])
_balances: HashMap[uint256, DynArray[AssetBalance, MOST]]

@external
def createAccount(owner: address, manager: address) -> uint256:
    """
    @notice The owner is not kept: nobody is asked for leave here.
    """
    self.lastAccountId += 1
    self.manager[self.lastAccountId] = manager
    return self.lastAccountId

@external
def setStandInBalance(account: uint256, asset: address, subId: uint256, balance: int256):
    """
    @notice A balance of 0 leaves the list, as the real one does.
    """
    kept: DynArray[AssetBalance, MOST] = []
    for entry: AssetBalance in self._balances[account]:
        if entry.asset != asset or entry.subId != subId:
            kept.append(entry)
    if balance != 0:
        kept.append(AssetBalance(asset=asset, subId=subId, balance=balance))
    self._balances[account] = kept

@external
@view
def getAccountBalances(accountId: uint256) -> DynArray[AssetBalance, MOST]:
    return self._balances[accountId]
