# pragma version 0.4.3
"""
@notice A stand-in for one of HyperEVM's read precompiles: the calldata is the question, without a selector.
@dev The same code lies at every precompile's address. What it can't answer consumes all gas, like the real ones.
"""

interface CoreState:
    def answer(precompile: address, question: Bytes[64]) -> Bytes[1024]: view

STATE: immutable(CoreState)

@deploy
def __init__(state: address):
    STATE = CoreState(state)

@external
@view
@raw_return
def __default__() -> Bytes[1024]:
    question: Bytes[64] = b""
    if len(msg.data) == 32:
        question = slice(msg.data, 0, 32)
    elif len(msg.data) == 64:
        question = slice(msg.data, 0, 64)
    else:
        assert len(msg.data) == 0, UNREACHABLE
    found: Bytes[1024] = staticcall STATE.answer(self, question)
    assert len(found) > 0, UNREACHABLE
    return found
