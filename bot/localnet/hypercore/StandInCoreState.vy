# pragma version 0.4.3
"""
@notice What the read precompiles of the HyperEVM stand-in answer. Only its operator writes, in transactions, so
        that a read at an old block gets that block's answer.
"""

struct Answer:
    precompile: address
    question: Bytes[64]
    answer: Bytes[1024]

WORD: constant(uint256) = 32
MOST: constant(uint256) = 128

POSITION: constant(address) = 0x0000000000000000000000000000000000000800
SPOT_BALANCE: constant(address) = 0x0000000000000000000000000000000000000801
WITHDRAWABLE: constant(address) = 0x0000000000000000000000000000000000000803
MARGIN_SUMMARY: constant(address) = 0x000000000000000000000000000000000000080F
USER_EXISTS: constant(address) = 0x0000000000000000000000000000000000000810
POSITION_2: constant(address) = 0x0000000000000000000000000000000000000813

operator: public(immutable(address))
_answers: HashMap[address, HashMap[bytes32, Bytes[1024]]]

@deploy
def __init__():
    operator = msg.sender

@external
def write(answers: DynArray[Answer, MOST]):
    """
    @notice From this transaction on these questions are answered so. A question with the zero address where the
            precompile takes a user stands for every user who has no answer of their own.
    """
    assert msg.sender == operator, "only the operator writes"
    for entry: Answer in answers:
        self._answers[entry.precompile][keccak256(entry.question)] = entry.answer

@external
@view
def answer(precompile: address, question: Bytes[64]) -> Bytes[1024]:
    """
    @notice The answer to a question, empty where HyperCore would call it a bad input.
    """
    found: Bytes[1024] = self._answers[precompile][keccak256(question)]
    if len(found) > 0:
        return found
    if precompile == MARGIN_SUMMARY and len(question) == 2 * WORD:
        return self._answers[precompile][keccak256(concat(slice(question, 0, 32), empty(bytes32)))]
    if precompile in [POSITION, SPOT_BALANCE, POSITION_2] and len(question) == 2 * WORD:
        return self._answers[precompile][keccak256(concat(empty(bytes32), slice(question, 32, 32)))]
    if precompile in [WITHDRAWABLE, USER_EXISTS] and len(question) == WORD:
        return self._answers[precompile][keccak256(empty(bytes32))]
    return b""
