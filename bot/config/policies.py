"""The rules that say when to trade and how much, by `kind`; see `bot.core.policy` for what each does."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import Model, NotNegative, Positive, Ratio, Whole


class IntervalConfig(Model):
    """Trade to the target every so many seconds."""

    kind: Literal["interval"]
    """A fixed time between trades."""
    every_s: Whole
    """Seconds since the last trade."""
    min_trade: NotNegative = Decimal(0)
    """Units; a smaller trade is not made."""


class PriceMoveConfig(Model):
    """Trade to the target when the price has moved by a fraction since the last trade."""

    kind: Literal["price_move"]
    """A fixed move of the price."""
    move: Ratio
    """The move since the last trade, as a fraction; `"0.01"` is 1 %."""
    min_trade: NotNegative = Decimal(0)
    """Units; a smaller trade is not made."""


class DeltaBandConfig(Model):
    """Trade when the gap leaves ±trigger, until ±target."""

    kind: Literal["delta_band"]
    """A fixed band."""
    trigger: Positive
    """Units: the gap that starts a trade."""
    target: NotNegative = Decimal(0)
    """Units: the gap that a trade leaves; `"0"` trades to the centre."""
    min_trade: NotNegative = Decimal(0)
    """Units; a smaller trade is not made."""

    @model_validator(mode="after")
    def _ordered(self) -> "DeltaBandConfig":
        if self.target > self.trigger:
            raise ValueError("target must not be above trigger")
        return self


class RiskConfig(Model):
    """How much risk to bear, said in one of three ways."""

    risk_aversion: Positive | None = None
    """Absolute risk aversion γ, in 1/USD."""
    daily_error_usd: Positive | None = None
    """Standard deviation of a day's hedging error, in USD."""
    daily_error_nav: Ratio | None = None
    """Standard deviation of a day's hedging error, as a fraction of the vault's value."""
    min_trade: NotNegative = Decimal(0)
    """Units; a smaller trade is not made."""

    @model_validator(mode="after")
    def _one_way(self) -> "RiskConfig":
        ways = (self.risk_aversion, self.daily_error_usd, self.daily_error_nav)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of risk_aversion, daily_error_usd and daily_error_nav")
        return self


class WhalleyWilmottConfig(RiskConfig):
    """Whalley and Wilmott's band, to its edge."""

    kind: Literal["whalley_wilmott"]
    """Whalley and Wilmott's band."""


class ZakamoulineConfig(RiskConfig):
    """Zakamouline's band, to its edge."""

    kind: Literal["zakamouline"]
    """Zakamouline's band."""


class OptimalBandConfig(RiskConfig):
    """The band with a fixed and a proportional cost."""

    kind: Literal["optimal_band"]
    """The band with a fixed and a proportional cost; the default."""
    carry_cap: Annotated[NotNegative, Field(le=1)] = Decimal("0.5")
    """How far funding may shift the band, as a share of its trigger."""


PolicyConfig = (
    IntervalConfig
    | PriceMoveConfig
    | DeltaBandConfig
    | WhalleyWilmottConfig
    | ZakamoulineConfig
    | OptimalBandConfig
)
