# pragma version 0.4.3
"""
@notice A stand-in for an interest rate feed, whose rates anyone may set. An unknown expiry is as stale as an old one.
"""

import freshness

struct Rate:
    annual: int256
    confidence: uint256
    updated_at: uint256

_rates: HashMap[uint64, Rate]

@external
def setStandInRate(expiry: uint64, annual: int256, confidence: uint256):
    self._rates[expiry] = Rate(annual=annual, confidence=confidence, updated_at=block.timestamp)

@external
@view
def getInterestRate(expiry: uint64) -> (int256, uint256):
    rate: Rate = self._rates[expiry]
    freshness.check(rate.updated_at)
    return rate.annual, rate.confidence
