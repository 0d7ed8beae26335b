# pragma version 0.4.3
"""
@notice How old a feed's values may be.
"""

HEARTBEAT: constant(uint256) = 3600

@internal
@view
def check(updated_at: uint256):
    """
    @notice Reverts with the real feeds' error where a value is older than the heartbeat.
    """
    if updated_at + HEARTBEAT < block.timestamp:
        raw_revert(method_id("BLF_DataTooOld()"))
