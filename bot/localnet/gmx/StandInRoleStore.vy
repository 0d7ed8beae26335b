# pragma version 0.4.3
"""
@notice Stand-in for GMX v2's RoleStore. Its deployer grants and revokes every role.
"""

owner: public(address)
hasRole: public(HashMap[address, HashMap[bytes32, bool]])

@deploy
def __init__():
    self.owner = msg.sender

@external
def grantRole(account: address, roleKey: bytes32):
    assert msg.sender == self.owner, "stand-in: only its owner"
    self.hasRole[account][roleKey] = True

@external
def revokeRole(account: address, roleKey: bytes32):
    assert msg.sender == self.owner, "stand-in: only its owner"
    self.hasRole[account][roleKey] = False

@external
def grantStandInRole(accounts: DynArray[address, 16], roleKey: bytes32):
    """
    @notice One role to many, which is quicker to deploy.
    """
    assert msg.sender == self.owner, "stand-in: only its owner"
    for account: address in accounts:
        self.hasRole[account][roleKey] = True
