# pragma version 0.4.3
"""
@notice A stand-in for a spot feed, whose price anyone may set.
"""

import freshness

_price: uint256
_confidence: uint256
_updated_at: uint256

@deploy
def __init__(price: uint256):
    self._post(price, 10**18)

@external
def setStandInSpot(price: uint256, confidence: uint256):
    self._post(price, confidence)

@external
@view
def getSpot() -> (uint256, uint256):
    freshness.check(self._updated_at)
    return self._price, self._confidence

@internal
def _post(price: uint256, confidence: uint256):
    self._price = price
    self._confidence = confidence
    self._updated_at = block.timestamp
