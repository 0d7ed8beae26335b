"""Where the hedge is traded: one of several kinds of perps DEX."""

from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from bot.config.fields import Address, Model, NotNegative, Positive, Ratio, WebUrl, Whole


class CurieConfig(Model):
    """A Perpetual Protocol v2 market as the hedging venue, traded for the signer or for the account that it
    is delegate of."""

    kind: Literal["curie"]
    """Perpetual Protocol v2 (Curie)."""
    name: str
    """What messages and the ledger call this venue."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    clearing_house: Address
    """The ClearingHouse, which takes the orders."""
    clearing_house_config: Address
    """The ClearingHouseConfig."""
    account_balance: Address
    """The AccountBalance."""
    exchange: Address
    """The Exchange."""
    vault: Address
    """The Vault, which holds the collateral."""
    market_registry: Address
    """The MarketRegistry."""
    quoter: Address
    """The Quoter, which says what an order would cost."""
    base_token: Address
    """The market's base token, which names the market."""
    pool: Address
    """The market's Uniswap v3 pool."""
    lot: Positive = Decimal("0.001")
    """Units: the step of order sizes."""
    trader: Address | None = None
    """Whose position it is, where the signer is that account's delegate: [delegation](delegation.md)."""
    delegate_approval: Address | None = None
    """The contract that holds the approval; given together with `trader`."""
    settlement_token: Address | None = None
    """What the Vault keeps collateral in. `[books.margin]` needs it."""
    settlement_decimals: Whole = 6
    """Decimals of the settlement token."""

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
    """A GMX v2 market as the hedging venue. Prices come from Chainlink aggregators."""

    kind: Literal["gmx"]
    """GMX v2."""
    name: str
    """What messages and the ledger call this venue."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    router: Address
    """The Router, which takes the collateral: it is allowed exactly what each order brings."""
    exchange_router: Address
    """The ExchangeRouter, where orders are placed."""
    reader: Address
    """The Reader."""
    data_store: Address
    """The DataStore."""
    event_emitter: Address
    """The EventEmitter."""
    order_vault: Address
    """The OrderVault."""
    order_handler: Address
    """The OrderHandler."""
    referral_storage: Address
    """The ReferralStorage."""
    market: Address
    """The market's token, which names the market."""
    index_token: Address
    """The token whose price the position follows."""
    index_decimals: Whole = 18
    """Decimals of the index token."""
    long_token: Address
    """The market's long token; compared with the market's own."""
    short_token: Address
    """The market's short token; compared with the market's own."""
    collateral_token: Address
    """What orders bring as collateral: the market's long or short token."""
    collateral_decimals: Whole = 6
    """Decimals of the collateral token."""
    index_feed: Address
    """The Chainlink aggregator of the index token."""
    index_heartbeat_s: Whole
    """Seconds after which its price is too old to quote from."""
    long_feed: Address
    """The Chainlink aggregator of the long token."""
    long_heartbeat_s: Whole
    """Seconds after which its price is too old to quote from."""
    short_feed: Address
    """The Chainlink aggregator of the short token."""
    short_heartbeat_s: Whole
    """Seconds after which its price is too old to quote from."""
    spread: NotNegative = Decimal(0)
    """Width of the market's own price around the feed's, as a fraction."""
    lot: Positive = Decimal("0.001")
    """Units: the step of order sizes."""
    leverage: Annotated[Positive, Field(le=50)] = Decimal(3)
    """Notional ÷ collateral, which every order keeps to; what an increase lacks comes from the key's wallet.
    """
    returns_collateral: bool = True
    """Whether what a smaller position no longer needs goes back to the wallet."""
    claim_above_usd: Positive | None = None
    """USD of funding that is worth a claim; never claimed where it is not given."""
    max_collateral: Positive
    """Collateral tokens that one order may bring, or that may be allowed at once."""

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


CORE_WRITER = "0x3333333333333333333333333333333333333333"
"""Where HyperEVM has its CoreWriter, on every network."""
FIRST_HIP3_MARKET = 10_000


class HyperliquidConfig(Model):
    """A Hyperliquid perp as the hedging venue, through HyperEVM; see docs/hyperliquid.md."""

    kind: Literal["hyperliquid"]
    """A Hyperliquid perp, through HyperEVM."""
    name: str
    """What messages and the ledger call this venue."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    core_writer: Address = CORE_WRITER
    """The contract that orders are sent to."""
    market: Annotated[int, Field(ge=0, lt=2**32 - 100_000, strict=True)]
    """The perp's number on HyperCore; HIP-3 perps are numbered from 10000 × dex on."""
    coin: Annotated[str, Field(min_length=1)]
    """The name that HyperCore must have the perp under."""
    lot: Positive
    """The step of order sizes, in units of the underlying."""
    fee_ratio: Ratio = Decimal("0.00045")
    """The account's taker fee, as a fraction of notional."""
    impact_per_unit: NotNegative
    """By which fraction one unit is taken to move an order's average price: HyperEVM shows the best prices alone."""
    depth: Positive
    """The most units that one order takes from the book."""
    acts_within_blocks: Annotated[Whole, Field(ge=10)] = 60
    """What HyperCore has not done so many blocks after a transaction is taken as refused."""
    info_url: WebUrl | None = None
    """The info API's whole address, by which orders are told exactly and funding is known."""
    info_timeout_s: Annotated[Whole, Field(le=10)] = 3
    """Seconds that the info API is waited for."""

    @field_validator("info_url")
    @classmethod
    def _whole_address(cls, url: SecretStr | None) -> SecretStr | None:
        text = "" if url is None else url.get_secret_value()
        named = text.startswith(("env:", "file:", "credential:"))
        if text and not named and not urlsplit(text).path.rstrip("/").endswith("/info"):
            raise ValueError("the whole address of the info API ends with /info")
        return url

    @model_validator(mode="after")
    def _depth_is_traded(self) -> "HyperliquidConfig":
        if self.lot > self.depth:
            raise ValueError(f"lot {self.lot:f} is above depth {self.depth:f}: nothing could be traded")
        if self.impact_per_unit * self.depth >= 1:
            raise ValueError("impact_per_unit x depth is a price of nothing: it must be below 1")
        return self

    @property
    def market_address(self) -> str:
        """What tells this market from the venue's others."""
        return f"{self.core_writer} {self.market}"

    @property
    def taker_of_collateral(self) -> str:
        """Whose account the margin is in: all perps of a dex share one."""
        return self.core_writer

    @property
    def settlement_token(self) -> str | None:
        """What the margin is kept in; None where no transfer reaches it: CoreWriter's goes to the first dex alone."""
        return "USDC" if self.market < FIRST_HIP3_MARKET else None

    @property
    def trader(self) -> None:
        """Nobody trades here for another account."""
        return None

    @property
    def delegate_approval(self) -> None:
        """Nobody trades here for another account."""
        return None


VenueConfig = Annotated[CurieConfig | GmxConfig | HyperliquidConfig, Field(discriminator="kind")]
