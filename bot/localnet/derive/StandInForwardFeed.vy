# pragma version 0.4.3
"""
@notice A stand-in for a forward feed: the spot plus a difference for each expiry, and the price that settled it.

Simpler than the real one: in the half hour before expiry the forward is not mixed with the average so far.
"""

import freshness

interface Spot:
    def getSpot() -> (uint256, uint256): view

struct Forward:
    difference: int256
    confidence: uint256
    updated_at: uint256

WINDOW: constant(uint256) = 1800
SETTLEMENT_HEARTBEAT: constant(uint256) = 300

spotFeed: public(address)
_forwards: HashMap[uint64, Forward]
_settled: HashMap[uint64, uint256]

@deploy
def __init__(spot_feed: address):
    self.spotFeed = spot_feed

@external
def setStandInForward(expiry: uint64, difference: int256, confidence: uint256):
    self._forwards[expiry] = Forward(difference=difference, confidence=confidence, updated_at=block.timestamp)

@external
def settleStandIn(expiry: uint64, price: uint256):
    assert convert(expiry, uint256) <= block.timestamp, "not yet expired"
    self._settled[expiry] = price

@external
@view
def getForwardPrice(expiry: uint64) -> (uint256, uint256):
    forward: Forward = self._forwards[expiry]
    spot: uint256 = 0
    confidence: uint256 = 0
    spot, confidence = staticcall Spot(self.spotFeed).getSpot()
    if forward.updated_at == 0:
        raw_revert(method_id("LFF_MissingExpiryData()"))
    if self._settled[expiry] != 0:
        return self._settled[expiry], min(forward.confidence, confidence)
    freshness.check(forward.updated_at)
    in_window: bool = block.timestamp + WINDOW > convert(expiry, uint256)
    if in_window and forward.updated_at + SETTLEMENT_HEARTBEAT < block.timestamp:
        raw_revert(method_id("LFF_SettlementDataTooOld()"))
    price: int256 = convert(spot, int256) + forward.difference
    return convert(price, uint256), min(forward.confidence, confidence)

@external
@view
def getSettlementPrice(expiry: uint64) -> (bool, uint256):
    return self._settled[expiry] != 0, self._settled[expiry]
