"""Where the hedge is traded: one of several kinds of perps DEX."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import Address, Model, NotNegative, Positive, Whole


class CurieConfig(Model):
    """A Perpetual Protocol v2 market as the hedging venue. `lot` in units of the underlying.

    With a `trader` the signer trades that account's position, as its delegate; `delegate_approval` is the contract that
    holds the approval. `settlement_token` is what the vault keeps collateral in, for books that watch their margin.
    """

    kind: Literal["curie"]
    name: str
    chain: str
    clearing_house: Address
    clearing_house_config: Address
    account_balance: Address
    exchange: Address
    vault: Address
    market_registry: Address
    quoter: Address
    base_token: Address
    pool: Address
    lot: Positive = Decimal("0.001")
    trader: Address | None = None
    delegate_approval: Address | None = None
    settlement_token: Address | None = None
    settlement_decimals: Whole = 6

    @model_validator(mode="after")
    def _whole_delegation(self) -> "CurieConfig":
        if (self.trader is None) != (self.delegate_approval is None):
            raise ValueError("trader and delegate_approval belong together: give both, or neither")
        return self

    @property
    def market_address(self) -> str:
        """What tells this market from the venue's others."""
        return self.base_token

    @property
    def taker_of_collateral(self) -> str:
        """Whom the key allows to take collateral from its wallet."""
        return self.vault


class GmxConfig(Model):
    """A GMX v2 market as the hedging venue. `lot` in units of the underlying.

    `collateral_token` is the market's long or short token. Prices come from Chainlink aggregators; a price older than
    its heartbeat is not quoted from. `leverage` is notional over collateral, which every order keeps to: what an
    increase lacks comes from the wallet, and what a decrease frees goes back there where `returns_collateral` is set.
    `claim_above_usd` is the funding that is worth a claim, None for never. `spread` is the width of the market's own
    price around the feed's, as a fraction.
    """

    kind: Literal["gmx"]
    name: str
    chain: str
    router: Address
    exchange_router: Address
    reader: Address
    data_store: Address
    event_emitter: Address
    order_vault: Address
    order_handler: Address
    referral_storage: Address
    market: Address
    index_token: Address
    index_decimals: Whole = 18
    long_token: Address
    short_token: Address
    collateral_token: Address
    collateral_decimals: Whole = 6
    index_feed: Address
    index_heartbeat_s: Whole
    long_feed: Address
    long_heartbeat_s: Whole
    short_feed: Address
    short_heartbeat_s: Whole
    spread: NotNegative = Decimal(0)
    lot: Positive = Decimal("0.001")
    leverage: Annotated[Positive, Field(le=50)] = Decimal(3)
    returns_collateral: bool = True
    claim_above_usd: Positive | None = None
    max_collateral: Positive

    @property
    def market_address(self) -> str:
        """What tells this market from the venue's others."""
        return self.market

    @property
    def taker_of_collateral(self) -> str:
        """Whom the key allows to take collateral from its wallet."""
        return self.router

    @property
    def settlement_token(self) -> str:
        """What the margin is kept in."""
        return self.collateral_token

    @property
    def trader(self) -> None:
        """Nobody trades here for another account."""
        return None

    @property
    def delegate_approval(self) -> None:
        """Nobody trades here for another account."""
        return None


VenueConfig = Annotated[CurieConfig | GmxConfig, Field(discriminator="kind")]
