"""A book: where its options are, whose vols, what the hedge aims at, where it trades, by which rule and limits."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator

from bot.config.feeds import FeedConfig
from bot.config.fields import Amount, FilePath, Model, NotNegative, Positive, WebUrl, Whole
from bot.config.limits import LimitsConfig
from bot.config.policies import PolicyConfig
from bot.config.sources import SourceConfig
from bot.config.venues import GmxConfig, VenueConfig
from bot.core.margin import MarginPolicy
from bot.core.protection import Protection
from bot.core.target import Numeraire
from bot.pricing.conventions import Convention


class VaultVols(Model):
    """Each vault's own vols, from its chain."""

    kind: Literal["vault"]


class ConstantVols(Model):
    """One vol for every option. 0.8 is 80 %."""

    kind: Literal["constant"]
    vol: Positive


class TableVols(Model):
    """A surface in a CSV file with the columns expiry, strike, vol and, where it is known, forward."""

    kind: Literal["file"]
    path: FilePath


class DeribitVols(Model):
    """Deribit's public order book summary of `currency`."""

    kind: Literal["deribit"]
    currency: str
    url: WebUrl
    timeout_s: Whole = 10

    @field_validator("url")
    @classmethod
    def _base(cls, url: SecretStr) -> SecretStr:
        if "?" in url.get_secret_value():
            raise ValueError("the address ends before any ?, like https://www.deribit.com/api/v2")
        return url


VolsConfig = VaultVols | ConstantVols | TableVols | DeribitVols


class TargetConfig(Model):
    """What the hedge aims at; see `bot.core.target.Target`. `hedge_holdings` has no default: a vault may hold spot."""

    hedge_ratio: Annotated[Amount, Field(ge=0, le=Decimal("1.5"))] = Decimal(1)
    delta: Amount = Decimal(0)
    hedge_holdings: bool
    convention: Convention = "sticky_strike"
    numeraire: Numeraire = Numeraire.USD

    @model_validator(mode="after")
    def _coins_are_no_risk(self) -> "TargetConfig":
        if self.numeraire is Numeraire.COIN and self.hedge_holdings:
            raise ValueError("a book kept in coins has no risk in its coins: hedge_holdings must be false")
        return self


class DoubtsConfig(Model):
    """How far the inputs may be off: vols in points of 1.00, the spot as a fraction."""

    vol: NotNegative = Decimal("0.01")
    price: NotNegative = Decimal(0)


def _with_kind(policy: object) -> object:
    """`policy` with the default kind where it names none."""
    return {"kind": "optimal_band", **policy} if isinstance(policy, dict) else policy


class MarginConfig(Model):
    """When collateral is added, taken out, or the hedge made smaller; see `bot.core.margin.MarginPolicy`.

    Levels are by `measure`: "ratio" (equity ÷ requirement) or "leverage" (notional ÷ equity).
    """

    target: Positive = MarginPolicy().target
    warning: Positive = MarginPolicy().warning
    critical: Positive = MarginPolicy().critical
    excess: Positive = MarginPolicy().excess
    measure: Literal["ratio", "leverage"] = "ratio"
    min_transfer_usd: NotNegative = MarginPolicy().min_transfer_usd
    max_topup_day_usd: NotNegative
    withdraw: bool = False
    deleverage: bool = True

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
    underlying: str
    sources: Annotated[tuple[SourceConfig, ...], Field(min_length=1)]
    vols: Annotated[VolsConfig, Field(discriminator="kind")] = VaultVols(kind="vault")
    target: TargetConfig
    doubts: DoubtsConfig = DoubtsConfig()
    venue: VenueConfig
    policy: Annotated[PolicyConfig, Field(discriminator="kind"), BeforeValidator(_with_kind)]
    limits: LimitsConfig
    feeds: tuple[FeedConfig, ...] = ()
    margin: MarginConfig | None = None

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
