# pragma version 0.4.3
"""
@notice A stand-in for Gamma's oToken: one series of options as an ERC-20 that its controller mints and burns.
        `decimals` is 8 on the real one; here it may be another, to show that nobody assumes it.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

controller: public(immutable(address))
collateralAsset: public(immutable(address))
underlyingAsset: public(immutable(address))
strikeAsset: public(immutable(address))
strikePrice: public(immutable(uint256))
expiryTimestamp: public(immutable(uint256))
isPut: public(immutable(bool))
decimals: public(immutable(uint8))
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])

@deploy
def __init__(
    controller_: address,
    collateral: address,
    underlying: address,
    strike_asset: address,
    strike_price: uint256,
    expiry: uint256,
    is_put: bool,
    decimals_: uint8,
):
    controller = controller_
    collateralAsset = collateral
    underlyingAsset = underlying
    strikeAsset = strike_asset
    strikePrice = strike_price
    expiryTimestamp = expiry
    isPut = is_put
    decimals = decimals_

@external
@view
def getOtokenDetails() -> (address, address, address, uint256, uint256, bool):
    return collateralAsset, underlyingAsset, strikeAsset, strikePrice, expiryTimestamp, isPut

@external
def mintOtoken(account: address, amount: uint256):
    assert msg.sender == controller, "not the controller"
    self.totalSupply += amount
    self.balanceOf[account] += amount
    log Transfer(sender=empty(address), receiver=account, amount=amount)

@external
def burnOtoken(account: address, amount: uint256):
    assert msg.sender == controller, "not the controller"
    self.totalSupply -= amount
    self.balanceOf[account] -= amount
    log Transfer(sender=account, receiver=empty(address), amount=amount)

@external
def transfer(to: address, amount: uint256) -> bool:
    self._move(msg.sender, to, amount)
    return True

@external
def transferFrom(sender: address, to: address, amount: uint256) -> bool:
    if self.allowance[sender][msg.sender] != max_value(uint256):
        self.allowance[sender][msg.sender] -= amount
    self._move(sender, to, amount)
    return True

@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)
    return True

@internal
def _move(sender: address, to: address, amount: uint256):
    self.balanceOf[sender] -= amount
    self.balanceOf[to] += amount
    log Transfer(sender=sender, receiver=to, amount=amount)
