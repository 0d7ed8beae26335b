# pragma version 0.4.3
"""
@notice A stand-in for a vol feed: per expiry a parabola in (strike ÷ centre − 1), where the real one has an SVI curve.
"""

import freshness

struct Smile:
    centre: int256
    level: int256
    skew: int256
    curvature: int256
    confidence: uint256
    updated_at: uint256

ONE: constant(int256) = 10**18

_smiles: HashMap[uint64, Smile]

@external
def setStandInSmile(expiry: uint64, centre: int256, level: int256, skew: int256, curvature: int256, confidence: uint256):
    self._smiles[expiry] = Smile(
        centre=centre,
        level=level,
        skew=skew,
        curvature=curvature,
        confidence=confidence,
        updated_at=block.timestamp,
    )

@external
@view
def getVol(strike: uint128, expiry: uint64) -> (uint256, uint256):
    smile: Smile = self._smiles[expiry]
    if smile.updated_at == 0:
        raw_revert(method_id("LVF_MissingExpiryData()"))
    freshness.check(smile.updated_at)
    x: int256 = convert(strike, int256) * ONE // smile.centre - ONE
    vol: int256 = smile.level + smile.skew * x // ONE + smile.curvature * x // ONE * x // ONE
    return convert(vol, uint256), smile.confidence
