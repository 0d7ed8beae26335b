"""A book: where its options are, whose vols, what the hedge aims at, where it trades, by which rule and limits."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from bot.config.feeds import FeedConfig
from bot.config.fields import Amount, FilePath, Model, NotNegative, Positive, WebUrl, Whole
from bot.config.limits import LimitsConfig
from bot.config.policies import PolicyConfig
from bot.config.sources import WITHOUT_SPOT, SourceConfig, brings_vols
from bot.config.venues import GmxConfig, VenueConfig
from bot.core.margin import MarginPolicy
from bot.core.protection import Protection
from bot.core.target import Numeraire
from bot.pricing.conventions import Convention


class VaultVols(Model):
    """Each vault's own vols, from its chain."""

    kind: Literal["vault"]
    """The vault's own vols."""


class ConstantVols(Model):
    """One vol for every option."""

    kind: Literal["constant"]
    """One vol for every option."""
    vol: Positive
    """Annual; `"0.8"` is 80 %."""


class TableVols(Model):
    """A surface in a CSV file."""

    kind: Literal["file"]
    """A table in a CSV file."""
    path: FilePath
    """The file. Columns: expiry, strike, vol and, where they are known, forward and at (the time that the
    vols are of)."""


class DeribitVols(Model):
    """Deribit's public order book summary."""

    kind: Literal["deribit"]
    """Deribit's order book summary."""
    currency: str
    """The underlying as Deribit calls it, like `"ETH"`."""
    url: WebUrl
    """The API's address without a question mark, like `"https://www.deribit.com/api/v2"`."""
    timeout_s: Whole = 10
    """Seconds that the answer may take."""

    @field_validator("url")
    @classmethod
    def _base(cls, url: SecretStr) -> SecretStr:
        if "?" in url.get_secret_value():
            raise ValueError("the address ends before any ?, like https://www.deribit.com/api/v2")
        return url


VolsConfig = VaultVols | ConstantVols | TableVols | DeribitVols


class TargetConfig(Model):
    """What the hedge aims at; see `bot.core.target.Target`."""

    hedge_ratio: Annotated[Amount, Field(ge=0, le=Decimal("1.5"))] = Decimal(1)
    """Share of the delta that is hedged: position = `delta` − `hedge_ratio` × (options + holdings)."""
    delta: Amount = Decimal(0)
    """Units of the underlying that the hedge leaves."""
    hedge_holdings: bool
    """Whether spot that the vault holds is hedged too. A covered-call vault may want its options hedged
    alone."""
    convention: Convention = "sticky_strike"
    """How vols move with the price, and so which delta is hedged: see the guide."""
    numeraire: Numeraire = Numeraire.USD
    """The money that the book is kept in: `"coin"` takes premiums and holdings in coins for no risk."""

    @model_validator(mode="after")
    def _coins_are_no_risk(self) -> "TargetConfig":
        if self.numeraire is Numeraire.COIN and self.hedge_holdings:
            raise ValueError("a book kept in coins has no risk in its coins: hedge_holdings must be false")
        return self


class DoubtsConfig(Model):
    """How far the inputs may be off."""

    vol: NotNegative = Decimal("0.01")
    """How far each vol may be off; `"0.01"` is one vol point."""
    price: NotNegative = Decimal(0)
    """How far the spot may be off, as a fraction, beyond what its sources disagree."""


def _with_kind(policy: object) -> object:
    """`policy` with the default kind where it names none."""
    return {"kind": "optimal_band", **policy} if isinstance(policy, dict) else policy


class MarginConfig(Model):
    """When collateral is added, taken out, or the hedge made smaller; see `bot.core.margin.MarginPolicy`."""

    target: Positive = MarginPolicy().target
    """The level that a top-up reaches and a withdrawal leaves, by `measure`."""
    warning: Positive = MarginPolicy().warning
    """Where the margin is worse than this, collateral is added."""
    critical: Positive = MarginPolicy().critical
    """Where it is worse than this and nothing can be added, the hedge is made smaller."""
    excess: Positive = MarginPolicy().excess
    """Where it is better than this and `withdraw` is set, collateral is taken out."""
    measure: Literal["ratio", "leverage"] = "ratio"
    """What levels are in: `"ratio"` is equity ÷ what the venue requires, `"leverage"` notional ÷ equity."""
    min_transfer_usd: NotNegative = MarginPolicy().min_transfer_usd
    """Settlement tokens; nothing smaller is moved, unless it reaches the target."""
    max_topup_day_usd: NotNegative
    """Settlement tokens: the most that is added in 24 hours, and the most of one withdrawal; `"0"` moves
    nothing."""
    withdraw: bool = False
    """Whether what is beyond the target goes back to the key's wallet."""
    deleverage: bool = True
    """Whether the hedge is made smaller before the venue liquidates it."""

    @model_validator(mode="after")
    def _levels(self) -> "MarginConfig":
        self.protection()
        if self.min_transfer_usd > self.max_topup_day_usd > 0:
            raise ValueError(
                f"min_transfer_usd {self.min_transfer_usd:f} is above max_topup_day_usd {self.max_topup_day_usd:f}: "
                "nothing could be added"
            )
        return self

    def protection(self) -> Protection:
        """As the desk keeps it."""
        policy = MarginPolicy(**{name: getattr(self, name) for name in MarginPolicy.__slots__})
        return Protection(policy, self.max_topup_day_usd, self.withdraw, self.deleverage)


class BookConfig(Model):
    """One underlying: where its options are, where it is hedged, and by which rule."""

    name: str
    """What commands, messages and the ledger call this book; each has its own."""
    underlying: str
    """What the options are on, like `"ETH"`: a name for people."""
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    """The option vaults whose delta this book hedges."""
    vols: Annotated[VolsConfig, Field(discriminator="kind")] = VaultVols(kind="vault")
    """Whose vols the options are priced with."""
    target: TargetConfig
    """What the hedge aims at."""
    doubts: DoubtsConfig = DoubtsConfig()
    """How far the inputs may be off."""
    venue: VenueConfig
    """Where the delta is hedged."""
    policy: Annotated[PolicyConfig, Field(discriminator="kind"), BeforeValidator(_with_kind)]
    """When to trade, and how much. Without a `kind` it is `optimal_band`."""
    limits: LimitsConfig
    """What no order of this book exceeds."""
    feeds: tuple[FeedConfig, ...] = ()
    """Second sources of the spot."""
    margin: MarginConfig | None = None
    """When collateral is added or taken out; without it nobody watches the margin."""

    @model_validator(mode="after")
    def _options_have_vols_and_a_price(self) -> "BookConfig":
        bare = [source.name for source in self.sources if not brings_vols(source)]
        if bare and self.vols.kind == "vault":
            raise ValueError(
                f'vols of kind "vault" are the vaults\' own, and the options of {bare[0]} bring none: '
                'choose "deribit", "file" or "constant"'
            )
        if not self.feeds and all(isinstance(source, WITHOUT_SPOT) for source in self.sources):
            raise ValueError("none of the sources tells a spot: add [[books.feeds]]")
        return self

    @model_validator(mode="after")
    def _nothing_counts_twice(self) -> "BookConfig":
        seen: dict[tuple[str, ...], str] = {}
        for source in self.sources:
            for counted in sorted(source.counts):
                if counted in seen:
                    raise ValueError(
                        f"the sources {seen[counted]} and {source.name} both count {' '.join(counted[1:])}"
                    )
            seen |= dict.fromkeys(source.counts, source.name)
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError("two sources share a name")
        return self

    @model_validator(mode="after")
    def _margin_has_a_token(self) -> "BookConfig":
        if self.margin is not None and self.venue.settlement_token is None:
            raise ValueError(
                "margin needs venue.settlement_token: the token that the vault keeps collateral in"
            )
        return self

    @model_validator(mode="after")
    def _collateral_is_money(self) -> "BookConfig":
        venue = self.venue
        if isinstance(venue, GmxConfig) and venue.collateral_token != venue.short_token:
            if self.margin is not None:
                raise ValueError(
                    "margin is kept in USD: it needs the market's short token as collateral_token"
                )
            if venue.collateral_token == venue.index_token and venue.leverage <= 1:
                raise ValueError(
                    "leverage must be above 1 where the collateral is the underlying itself: its own delta is as "
                    "large as the short that it backs"
                )
        return self

    @model_validator(mode="after")
    def _something_can_be_traded(self) -> "BookConfig":
        self.limits.check_against(self.policy.min_trade, self.venue.lot)
        return self
