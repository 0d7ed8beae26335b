# pragma version 0.4.3
"""
@notice A stand-in for HyperEVM's CoreWriter: it tells HyperCore what it was sent, and nobody whether that was right.
@dev The real one takes no value from its caller, but the transaction that reaches it may carry some, and then
     HyperCore ignores the action without a word. Here the call itself may carry it, to the same effect.
"""

# A short action costs about 47,000 gas on the real one, most of it spent on nothing.
SPENT_FOR_NOTHING: constant(uint256) = 185

event RawAction:
    user: indexed(address)
    data: Bytes[4096]

@external
@payable
def sendRawAction(data: Bytes[4096]):
    """
    @notice Passes an action on. It returns nothing and never reverts, whatever the action is.
    """
    spent: uint256 = 0
    for i: uint256 in range(SPENT_FOR_NOTHING):
        spent += i
    log RawAction(user=msg.sender, data=data)
