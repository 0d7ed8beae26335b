"""Where a book's options and holdings are: one of several kinds of source."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import Address, Amount, Model


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
    def counts(self) -> frozenset[tuple[str, ...]]:
        """What it counts, each as (chain, contract, subaccount): no two sources of a book may count the same."""
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


SourceConfig = Annotated[LyraConfig | DeriveConfig, Field(discriminator="kind")]
