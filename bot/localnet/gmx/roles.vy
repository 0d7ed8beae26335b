# pragma version 0.4.3
"""
@notice Who may do what, asked of the stand-in's RoleStore.
"""

interface RoleStore:
    def hasRole(account: address, roleKey: bytes32) -> bool: view

@view
def _only(role_store: address, role: bytes32, name: String[32]):
    """
    Reverts Unauthorized(msgSender, role).
    """
    if not staticcall RoleStore(role_store).hasRole(msg.sender, role):
        raw_revert(abi_encode(msg.sender, name, method_id=method_id("Unauthorized(address,string)")))
