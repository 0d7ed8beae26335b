# pragma version 0.4.3
"""
@notice A stand-in for Gamma's Controller and MarginPool: it keeps the vaults and their collateral.
        Simpler than the real one: each step is a function of its own (the real `operate` takes lists of actions), only
        owners act on their vaults, and how much collateral a short option needs is not checked.
        With `isPhysical` it stands in for Rysk V12: options are delivered, see `settleVault`.
"""

from ethereum.ercs import IERC20

interface OToken:
    def getOtokenDetails() -> (address, address, address, uint256, uint256, bool): view
    def decimals() -> uint8: view
    def mintOtoken(account: address, amount: uint256): nonpayable
    def burnOtoken(account: address, amount: uint256): nonpayable

interface Decimals:
    def decimals() -> uint8: view

interface Oracle:
    def getExpiryPrice(asset: address, expiry: uint256) -> (uint256, bool): view

MOST: constant(uint256) = 8
PRICE: constant(uint256) = 10**8

struct Vault:
    shortOtokens: DynArray[address, MOST]
    longOtokens: DynArray[address, MOST]
    collateralAssets: DynArray[address, MOST]
    shortAmounts: DynArray[uint256, MOST]
    longAmounts: DynArray[uint256, MOST]
    collateralAmounts: DynArray[uint256, MOST]

struct Terms:
    collateral: address
    underlying: address
    strikeAsset: address
    strike: uint256
    expiry: uint256
    isPut: bool

event VaultOpened:
    accountOwner: indexed(address)
    vaultId: uint256
    vaultType: indexed(uint256)

event VaultSettled:
    accountOwner: indexed(address)
    vaultId: uint256

oracle: public(immutable(address))
isPhysical: public(immutable(bool))
_counts: HashMap[address, uint256]
_vaults: HashMap[address, HashMap[uint256, Vault]]
_updated: HashMap[address, HashMap[uint256, uint256]]

@deploy
def __init__(oracle_: address, physical: bool):
    oracle = oracle_
    isPhysical = physical

@external
@view
def getAccountVaultCounter(owner: address) -> uint256:
    return self._counts[owner]

@external
@view
def getVaultWithDetails(owner: address, vault_id: uint256) -> (Vault, uint256, uint256):
    return self._vaults[owner][vault_id], 0, self._updated[owner][vault_id]

@external
def openVault() -> uint256:
    self._counts[msg.sender] += 1
    log VaultOpened(accountOwner=msg.sender, vaultId=self._counts[msg.sender], vaultType=0)
    return self._counts[msg.sender]

@external
def depositCollateral(vault_id: uint256, asset: address, amount: uint256):
    self._touch(vault_id)
    place: uint256 = self._place(self._vaults[msg.sender][vault_id].collateralAssets, asset)
    if place == len(self._vaults[msg.sender][vault_id].collateralAssets):
        self._vaults[msg.sender][vault_id].collateralAssets.append(asset)
        self._vaults[msg.sender][vault_id].collateralAmounts.append(0)
    self._vaults[msg.sender][vault_id].collateralAmounts[place] += amount
    assert extcall IERC20(asset).transferFrom(msg.sender, self, amount, default_return_value=True)

@external
def mintShort(vault_id: uint256, otoken: address, amount: uint256, to: address):
    """
    @notice Writes options into a vault, which go to `to`.
    """
    self._touch(vault_id)
    assert self._terms(otoken).expiry > block.timestamp, "CO24"
    place: uint256 = self._place(self._vaults[msg.sender][vault_id].shortOtokens, otoken)
    if place == len(self._vaults[msg.sender][vault_id].shortOtokens):
        self._vaults[msg.sender][vault_id].shortOtokens.append(otoken)
        self._vaults[msg.sender][vault_id].shortAmounts.append(0)
    self._vaults[msg.sender][vault_id].shortAmounts[place] += amount
    extcall OToken(otoken).mintOtoken(to, amount)

@external
def depositLong(vault_id: uint256, otoken: address, amount: uint256):
    self._touch(vault_id)
    place: uint256 = self._place(self._vaults[msg.sender][vault_id].longOtokens, otoken)
    if place == len(self._vaults[msg.sender][vault_id].longOtokens):
        self._vaults[msg.sender][vault_id].longOtokens.append(otoken)
        self._vaults[msg.sender][vault_id].longAmounts.append(0)
    self._vaults[msg.sender][vault_id].longAmounts[place] += amount
    assert extcall IERC20(otoken).transferFrom(msg.sender, self, amount, default_return_value=True)

@external
@view
def getPayout(otoken: address, amount: uint256) -> uint256:
    """
    @notice What settled options pay in raw collateral, rounded down.
    """
    return self._payout(otoken, amount)

@external
def redeem(otoken: address, amount: uint256):
    """
    @notice A holder's settled options for their payout.
    """
    assert not isPhysical, "options are delivered"
    payout: uint256 = self._payout(otoken, amount)
    extcall OToken(otoken).burnOtoken(msg.sender, amount)
    self._pay(self._terms(otoken).collateral, msg.sender, payout)

@external
def settleVault(owner: address, vault_id: uint256):
    """
    @notice Ends a vault whose options are settled. The owner gets what is left of the collateral.
            Where options are delivered the sender stands for every maker: for each short option in the money it brings
            what the owner is to get (strike assets for a call, underlying for a put) and takes what the owner gives.
    """
    vault: Vault = self._vaults[owner][vault_id]
    assert len(vault.shortOtokens) + len(vault.longOtokens) > 0, "CO30"
    assert len(vault.collateralAssets) <= 1, "the stand-in settles one collateral asset"
    asset: address = empty(address)
    left: uint256 = 0
    if len(vault.collateralAssets) == 1:
        asset = vault.collateralAssets[0]
        left = vault.collateralAmounts[0]
    gained: uint256 = 0
    owed: uint256 = 0
    for i: uint256 in range(len(vault.longOtokens), bound=MOST):
        assert not isPhysical, "the stand-in delivers short options alone"
        gained += self._payout(vault.longOtokens[i], vault.longAmounts[i])
        asset = self._terms(vault.longOtokens[i]).collateral
        extcall OToken(vault.longOtokens[i]).burnOtoken(self, vault.longAmounts[i])
    for i: uint256 in range(len(vault.shortOtokens), bound=MOST):
        if isPhysical:
            owed += self._deliver(owner, vault.shortOtokens[i], vault.shortAmounts[i])
        else:
            owed += self._payout(vault.shortOtokens[i], vault.shortAmounts[i])
    assert left + gained >= owed, "CO32"
    if isPhysical and owed > 0:
        self._pay(asset, msg.sender, owed)
    self._vaults[owner][vault_id] = empty(Vault)
    self._updated[owner][vault_id] = block.timestamp
    if left + gained > owed:
        self._pay(asset, owner, left + gained - owed)
    log VaultSettled(accountOwner=owner, vaultId=vault_id)

@internal
def _deliver(owner: address, otoken: address, amount: uint256) -> uint256:
    """
    @notice Takes the sender's side of an exercise to the owner, and says how much raw collateral it gets for it.
    """
    terms: Terms = self._terms(otoken)
    price: uint256 = self._price(terms.underlying, terms.expiry)
    strike_usd: uint256 = terms.strike * self._price(terms.strikeAsset, terms.expiry) // PRICE
    exercised: bool = price < strike_usd if terms.isPut else price > strike_usd
    if not exercised:
        return 0
    units: uint256 = amount * 10**convert(staticcall Decimals(terms.underlying).decimals(), uint256)
    units = units // 10**convert(staticcall OToken(otoken).decimals(), uint256)
    money: uint256 = amount * terms.strike * 10**convert(staticcall Decimals(terms.strikeAsset).decimals(), uint256)
    money = money // (PRICE * 10**convert(staticcall OToken(otoken).decimals(), uint256))
    brought: address = terms.underlying if terms.isPut else terms.strikeAsset
    much: uint256 = units if terms.isPut else money
    assert extcall IERC20(brought).transferFrom(msg.sender, owner, much, default_return_value=True)
    return money if terms.isPut else units

@internal
@view
def _payout(otoken: address, amount: uint256) -> uint256:
    terms: Terms = self._terms(otoken)
    price: uint256 = self._price(terms.underlying, terms.expiry)
    strike_usd: uint256 = terms.strike * self._price(terms.strikeAsset, terms.expiry) // PRICE
    value: uint256 = 0
    if terms.isPut and price < strike_usd:
        value = strike_usd - price
    if not terms.isPut and price > strike_usd:
        value = price - strike_usd
    raw: uint256 = amount * value * 10**convert(staticcall Decimals(terms.collateral).decimals(), uint256)
    scale: uint256 = 10**convert(staticcall OToken(otoken).decimals(), uint256)
    return raw // (self._price(terms.collateral, terms.expiry) * scale)

@internal
@view
def _price(asset: address, expiry: uint256) -> uint256:
    price: uint256 = 0
    is_final: bool = False
    price, is_final = staticcall Oracle(oracle).getExpiryPrice(asset, expiry)
    assert is_final, "CO29"
    return price

@internal
@view
def _terms(otoken: address) -> Terms:
    terms: Terms = empty(Terms)
    terms.collateral, terms.underlying, terms.strikeAsset, terms.strike, terms.expiry, terms.isPut = staticcall OToken(
        otoken
    ).getOtokenDetails()
    return terms

@internal
def _touch(vault_id: uint256):
    assert 0 < vault_id and vault_id <= self._counts[msg.sender], "CO35"
    self._updated[msg.sender][vault_id] = block.timestamp

@internal
@pure
def _place(found: DynArray[address, MOST], wanted: address) -> uint256:
    for i: uint256 in range(len(found), bound=MOST):
        if found[i] == wanted:
            return i
    return len(found)

@internal
def _pay(asset: address, to: address, amount: uint256):
    assert extcall IERC20(asset).transfer(to, amount, default_return_value=True)
