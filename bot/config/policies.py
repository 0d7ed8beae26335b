"""The rules that say when to trade and how much, by `kind`; see `bot.core.policy` for what each does."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import Model, NotNegative, Positive, Ratio, Whole


class IntervalConfig(Model):
    """Trade to the target every so many seconds."""

    kind: Literal["interval"]
    every_s: Whole
    min_trade: NotNegative = Decimal(0)


class PriceMoveConfig(Model):
    """Trade to the target when the price has moved by a fraction since the last trade."""

    kind: Literal["price_move"]
    move: Ratio
    min_trade: NotNegative = Decimal(0)


class DeltaBandConfig(Model):
    """Trade when the gap leaves ±trigger, until ±target. In units of the underlying."""

    kind: Literal["delta_band"]
    trigger: Positive
    target: NotNegative = Decimal(0)
    min_trade: NotNegative = Decimal(0)

    @model_validator(mode="after")
    def _ordered(self) -> "DeltaBandConfig":
        if self.target > self.trigger:
            raise ValueError("target must not be above trigger")
        return self


class RiskConfig(Model):
    """How much risk to bear, said in one of three ways: per USD, or as a day's hedging error in USD or of NAV."""

    risk_aversion: Positive | None = None
    daily_error_usd: Positive | None = None
    daily_error_nav: Ratio | None = None
    min_trade: NotNegative = Decimal(0)

    @model_validator(mode="after")
    def _one_way(self) -> "RiskConfig":
        ways = (self.risk_aversion, self.daily_error_usd, self.daily_error_nav)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give one of risk_aversion, daily_error_usd and daily_error_nav")
        return self


class WhalleyWilmottConfig(RiskConfig):
    """Whalley and Wilmott's band, to its edge."""

    kind: Literal["whalley_wilmott"]


class ZakamoulineConfig(RiskConfig):
    """Zakamouline's band, to its edge."""

    kind: Literal["zakamouline"]


class OptimalBandConfig(RiskConfig):
    """The band with a fixed and a proportional cost. `carry_cap` bounds the funding's shift, by the trigger."""

    kind: Literal["optimal_band"]
    carry_cap: Annotated[NotNegative, Field(le=1)] = Decimal("0.5")


PolicyConfig = (
    IntervalConfig
    | PriceMoveConfig
    | DeltaBandConfig
    | WhalleyWilmottConfig
    | ZakamoulineConfig
    | OptimalBandConfig
)
