# pragma version 0.4.3
"""
@notice A stand-in for Gamma's Oracle: prices in USD with 8 decimals that its owner sets, for now and for expiries.
        A reported expiry price may be corrected until it is finalised; the real one counts a dispute period instead.
"""

struct ExpiryPrice:
    price: uint256
    isFinal: bool

owner: public(address)
_stable: HashMap[address, uint256]
_live: HashMap[address, uint256]
_expiry: HashMap[address, HashMap[uint256, ExpiryPrice]]

@deploy
def __init__():
    self.owner = msg.sender

@external
def setStablePrice(asset: address, price: uint256):
    assert msg.sender == self.owner, "not the owner"
    self._stable[asset] = price

@external
def setPrice(asset: address, price: uint256):
    """
    @notice The live price; 0 takes it away, and asking for it reverts.
    """
    assert msg.sender == self.owner, "not the owner"
    self._live[asset] = price

@external
def setExpiryPrice(asset: address, expiry: uint256, price: uint256):
    """
    @notice Reports the price at an expiry that has passed, or corrects it.
    """
    assert msg.sender == self.owner, "not the owner"
    assert block.timestamp > expiry, "Oracle: locking period is not over yet"
    assert not self._expiry[asset][expiry].isFinal, "Oracle: dispute period over"
    self._expiry[asset][expiry].price = price

@external
def finaliseExpiryPrice(asset: address, expiry: uint256):
    """
    @notice Ends the time in which a price may be disputed.
    """
    assert msg.sender == self.owner, "not the owner"
    assert self._expiry[asset][expiry].price != 0, "no price is reported"
    self._expiry[asset][expiry].isFinal = True

@external
@view
def getPrice(asset: address) -> uint256:
    if self._stable[asset] != 0:
        return self._stable[asset]
    assert self._live[asset] != 0, "Oracle: Pricer for this asset not set"
    return self._live[asset]

@external
@view
def getExpiryPrice(asset: address, expiry: uint256) -> (uint256, bool):
    if self._stable[asset] != 0:
        return self._stable[asset], True
    found: ExpiryPrice = self._expiry[asset][expiry]
    return found.price, found.isFinal
