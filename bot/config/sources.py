"""Where a book's options and holdings are: one of several kinds of source."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import Address, Amount, FilePath, Model, Positive, Whole

Counted = frozenset[tuple[str, ...]]
"""What a source counts, each as (chain, kind, …): no two sources of a book may count the same."""


class LyraConfig(Model):
    """A Lyra Avalon market's pool as the option vault."""

    kind: Literal["lyra"]
    """A Lyra Avalon market."""
    name: str
    """What messages and the ledger call this source."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    viewer: Address
    """The OptionMarketViewer that the market is registered with."""
    market: Address
    """The OptionMarket."""
    option_token: Address
    """The market's OptionToken."""
    greek_cache: Address
    """The market's OptionGreekCache."""
    liquidity_pool: Address
    """The market's LiquidityPool: the vault whose delta is hedged."""
    pool_hedger: Address
    """The pool's own hedger; what it holds is part of the pool's delta."""
    base_asset: Address
    """The token of the underlying that the pool holds."""
    exchange_adapter: Address
    """The contract that says the market's spot."""

    @property
    def counts(self) -> Counted:
        """The pool's positions."""
        return frozenset({(self.chain, "lyra", self.market)})


class RateConfig(Model):
    """A contract that says how much underlying one token is, with 18 decimals."""

    contract: Address
    """The contract that is asked."""
    function: Literal["getRate", "stEthPerToken"] = "getRate"
    """What it is asked: how much of the underlying one token is, with 18 decimals."""


class FollowerConfig(Model):
    """How much underlying one token is: a fixed `factor`, or what a contract says."""

    name: str
    """What messages call it."""
    token: Address
    """The token's contract; its decimals are read."""
    factor: Positive | None = None
    """Units of the underlying that one token always is; `"1"` for one to one."""
    rate: RateConfig | None = None
    """A contract that says it instead."""

    @model_validator(mode="after")
    def _one_rate(self) -> "FollowerConfig":
        if (self.factor is None) == (self.rate is None):
            raise ValueError(f'{self.name}: give one of factor ("1" for one to one) and rate')
        return self


class TokenConfig(FollowerConfig):
    """A token that an owner holds. With `asset` it is an ERC-4626 vault of that asset, which the factor is about."""

    asset: Address | None = None
    """Where `token` is an ERC-4626 vault: its asset, which `factor` or `rate` is about."""


Owners = Annotated[tuple[Address, ...], Field(min_length=1)]


def refuse_twice(field: str, values: tuple[str, ...]) -> None:
    """ValueError where one is there twice: it would count twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{field}: {value} is there twice and would count twice")


class GammaConfig(Model):
    """Every vault of some owners on Opyn Gamma; see docs/gamma.md.

    `otokens` are options to look for in the owners' wallets, `equivalents` tokens that follow the underlying, and
    `wallet` counts the owners' balances of it.
    """

    kind: Literal["opyn_gamma"]
    """Opyn Gamma."""
    name: str
    """What messages and the ledger call this source."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    controller: Address
    """The Controller, which keeps the vaults."""
    oracle: Address
    """The controller's Oracle, which says live prices and those at expiries."""
    owners: Owners
    """Whose vaults and options count."""
    underlying: Address
    """The token that the book's options are on, and that counts one to one."""
    strike_asset: Address
    """The token that strikes are in, taken as USD while options live."""
    otokens: tuple[Address, ...] = ()
    """Options to look for in the owners' wallets, beside every series seen in their vaults."""
    equivalents: tuple[FollowerConfig, ...] = ()
    """Other tokens that follow the underlying and may be collateral."""
    ignore_underlyings: tuple[Address, ...] = ()
    """Underlyings whose options are left out; any other that is met stops the tick."""
    wallet: bool = False
    """Whether the owners' own balances of the underlying and its equivalents count."""
    max_vaults: Whole = 300
    """The most vaults of one owner that a tick reads; more stop it."""

    @model_validator(mode="after")
    def _told_apart(self) -> "GammaConfig":
        refuse_twice("owners", self.owners)
        refuse_twice("otokens", self.otokens)
        assets = (self.underlying, self.strike_asset, *(e.token for e in self.equivalents))
        refuse_twice("underlying, strike_asset and equivalents", assets)
        refuse_twice("equivalents", tuple(e.name for e in self.equivalents))
        for address in self.otokens:
            if address in assets:
                raise ValueError(f"otokens: {address} is an asset of the book, not an option")
        if self.underlying in self.ignore_underlyings:
            raise ValueError("ignore_underlyings names the book's own underlying")
        return self

    @property
    def is_physical(self) -> bool:
        """Whether options are settled by delivery."""
        return False

    @property
    def counts(self) -> Counted:
        """The owners' vaults, the options looked for in their wallets and, with `wallet`, their balances."""
        tokens = (self.underlying, *(e.token for e in self.equivalents))
        held = {(self.chain, t, o) for t in tokens for o in self.owners} if self.wallet else set()
        held |= {(self.chain, t, o) for t in self.otokens for o in self.owners}
        return frozenset({(self.chain, self.controller, o) for o in self.owners} | held)


class RyskConfig(GammaConfig):
    """Rysk V12, a fork of Gamma that settles by delivery.

    `wallet` has no default: what a put delivers lies in the owner's wallet once its vault is cleared.
    """

    kind: Literal["rysk_v12"]  # type: ignore[assignment]
    """Rysk V12."""
    role: Literal["taker", "maker"] = "taker"
    """`"taker"` wrote the options; `"maker"` holds them, as tokens that `otokens` names."""
    settlement: Literal["physical", "cash"] = "physical"
    """How options end: by delivery, or by a payout."""
    wallet: bool
    """Whether the owners' own balances count: what a put delivers lies there once its vault is cleared."""

    @model_validator(mode="after")
    def _makers_options_are_tokens(self) -> "RyskConfig":
        if self.role == "maker" and not self.otokens:
            raise ValueError(
                "a maker's long options are credited inside Rysk's MMarket, where they can't be read: name under "
                'otokens those that lie in its wallet as tokens, and declare the others in a source of kind "declared"'
            )
        return self

    @property
    def is_physical(self) -> bool:
        """Whether options are settled by delivery."""
        return self.settlement == "physical"


class HoldingsConfig(Model):
    """What owners hold that follows the underlying. `native` counts the chain's own coin, one to one."""

    kind: Literal["holdings"]
    """Balances."""
    name: str
    """What messages and the ledger call this source."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    owners: Owners
    """Whose balances count."""
    native: bool = False
    """Whether the chain's own coin counts, one to one."""
    tokens: tuple[TokenConfig, ...] = ()
    """The tokens that count."""

    @model_validator(mode="after")
    def _told_apart(self) -> "HoldingsConfig":
        refuse_twice("owners", self.owners)
        refuse_twice("tokens", tuple(t.token for t in self.tokens))
        refuse_twice("tokens", tuple(t.name for t in self.tokens))
        if not self.native and not self.tokens:
            raise ValueError("it counts nothing: give tokens, or native = true")
        return self

    @property
    def counts(self) -> Counted:
        """Each owner's balance of each token."""
        tokens = [t.token for t in self.tokens] + (["native"] if self.native else [])
        return frozenset((self.chain, t, o) for t in tokens for o in self.owners)


class DeclaredConfig(Model):
    """Positions that the operator writes into a file; see docs/gamma.md.

    The file's time is held against the time of `chain`, the venue's unless it says otherwise.
    """

    kind: Literal["declared"]
    """A file."""
    name: str
    """What messages and the ledger call this source, with "(declared)" behind it."""
    path: FilePath
    """The file, TOML or CSV, read at every tick."""
    underlying: str
    """What the file must say that it is about."""
    max_age_s: Whole
    """Seconds after the file's `as_of` from which it is refused."""
    when_expired: Literal["refuse", "drop"] = "refuse"
    """What becomes of an expired option: the tick stops, or the option is left out as settled in cash."""
    chain: str | None = None
    """The chain whose time the file is held against; the venue's where it is not given."""

    @property
    def counts(self) -> Counted:
        """The file."""
        return frozenset({("declared", str(self.path.resolve()))})


WITHOUT_SPOT = (HoldingsConfig, DeclaredConfig)
"""Sources that have no price of their own."""


class DeriveConfig(Model):
    """Subaccounts on Derive (Lyra v2), and the contracts of one underlying there."""

    kind: Literal["derive"]
    """Subaccounts on Derive."""
    name: str
    """What messages and the ledger call this source."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    accounts: Annotated[tuple[Annotated[int, Field(gt=0, strict=True)], ...], Field(min_length=1)]
    """The subaccounts' ids, whose balances count together."""
    sub_accounts: Address
    """Derive's SubAccounts, which keeps all balances."""
    option_asset: Address
    """The underlying's OptionAsset."""
    spot_feed: Address
    """The underlying's spot feed."""
    forward_feed: Address
    """The underlying's forward feed, which has the settlement prices too."""
    vol_feed: Address | None = None
    """The underlying's vol feed; without one the book's vols come from elsewhere."""
    rate_feed: Address | None = None
    """The underlying's interest rate feed, whose rate the policies reckon with; without one it is 0."""
    cash_asset: Address
    """Derive's CashAsset: money without a delta."""
    perp_asset: Address | None = None
    """The underlying's PerpAsset, which counts as a hedge of the vault's own."""
    base_asset: Address | None = None
    """The wrapped underlying, which counts as spot."""
    ignored_assets: tuple[Address, ...] = ()
    """Assets that may be held and don't count; any that is named nowhere is refused."""
    min_confidence: Annotated[Amount, Field(gt=0, le=1)] = Decimal("0.55")
    """A feed that is less sure of its value is not believed."""
    averaging_s: Annotated[int, Field(ge=0, strict=True)] = 1800
    """Seconds before expiry whose average price settles an option."""
    marks: bool = True
    """Whether each subaccount's manager is asked what the account is worth."""

    @property
    def counts(self) -> Counted:
        """The subaccounts."""
        return frozenset((self.chain, self.sub_accounts, str(account)) for account in self.accounts)

    @model_validator(mode="after")
    def _each_once(self) -> "DeriveConfig":
        if len(set(self.accounts)) < len(self.accounts):
            raise ValueError("accounts: a subaccount is named twice and would count twice")
        named = (self.option_asset, self.cash_asset, self.perp_asset, self.base_asset, *self.ignored_assets)
        assets = [asset for asset in named if asset is not None]
        if len(set(assets)) < len(assets):
            raise ValueError("one asset has two roles: each of the assets is another contract")
        return self


SourceConfig = Annotated[
    LyraConfig | DeriveConfig | GammaConfig | RyskConfig | HoldingsConfig | DeclaredConfig,
    Field(discriminator="kind"),
]


def brings_vols(source: SourceConfig) -> bool:
    """Whether a source's options have vols of their protocol's own."""
    if isinstance(source, DeriveConfig):
        return source.vol_feed is not None
    return not isinstance(source, GammaConfig | DeclaredConfig)
