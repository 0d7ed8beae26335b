# pragma version 0.4.3
"""
@notice A stand-in for a Chainlink aggregator: 8 decimals, and a price that anyone can set.
"""

struct Round:
    roundId: uint80
    answer: int256
    startedAt: uint256
    updatedAt: uint256
    answeredInRound: uint80

description: public(String[16])
_latest: Round

@deploy
def __init__(description: String[16], answer: int256):
    self.description = description
    self._post(answer)

@external
def setAnswer(answer: int256):
    """
    @notice Posts a round dated with this block.
    """
    self._post(answer)

@external
@view
def decimals() -> uint8:
    return 8

@external
@view
def version() -> uint256:
    return 4

@external
@view
def latestAnswer() -> int256:
    return self._latest.answer

@external
@view
def latestRoundData() -> (uint80, int256, uint256, uint256, uint80):
    latest: Round = self._latest
    return latest.roundId, latest.answer, latest.startedAt, latest.updatedAt, latest.answeredInRound

@internal
def _post(answer: int256):
    round_id: uint80 = self._latest.roundId + 1
    self._latest = Round(
        roundId=round_id, answer=answer, startedAt=block.timestamp, updatedAt=block.timestamp, answeredInRound=round_id
    )
