"""What orders may do and use up, per book and in all. Limits that contradict each other are refused."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from bot.config.fields import Model, Positive, Ratio, Whole
from bot.core.budgets import Budgets
from bot.core.limits import BOOK_CODES, TOTAL_CODES

Then = dict[str, Literal["reduce", "halt"]]
"""What a code does to the account's mode besides holding the order."""


class BudgetsConfig(Model):
    """The most in a rolling hour or day; a key that isn't given is no limit."""

    max_trades_hour: Whole | None = None
    """Orders that were signed in any hour."""
    max_trades_day: Whole | None = None
    """Orders that were signed in any day."""
    max_turnover_hour_usd: Positive | None = None
    """USD of notional filled in any hour."""
    max_turnover_day_usd: Positive | None = None
    """USD of notional filled in any day."""
    max_fees_day_usd: Positive | None = None
    """USD of the venue's fees in any day."""
    max_gas_day_usd: Positive | None = None
    """USD of gas in any day, that of reverted orders and cancels included."""
    max_loss_day_usd: Positive | None = None
    """USD lost in any day."""

    def budgets(self) -> Budgets:
        """As the desk keeps them."""
        return Budgets(**{name: getattr(self, name) for name in Budgets.__slots__})

    @model_validator(mode="after")
    def _an_hour_is_within_a_day(self) -> Self:
        check_order(self, (("max_trades_hour", "max_trades_day"),))
        check_order(self, (("max_turnover_hour_usd", "max_turnover_day_usd"),))
        return self

    def check_within(self, in_all: "BudgetsConfig", book: str) -> None:
        """ValueError where a book may use more than all books together."""
        for name in Budgets.__slots__:
            ours, theirs = getattr(self, name), getattr(in_all, name)
            if ours is not None and theirs is not None and ours > theirs:
                raise ValueError(f"{name} of book {book} is {ours}, above {theirs} of all books together")


class TotalLimitsConfig(BudgetsConfig):
    """The budgets that all books share."""

    then: Then = Field(default={})
    """What a code does besides holding: `"reduce"` or `"halt"`. The codes begin with `TOTAL_`."""

    @field_validator("then")
    @classmethod
    def _codes(cls, then: Then) -> Then:
        return known(then, TOTAL_CODES)


class LimitsConfig(BudgetsConfig):
    """Bounds that every order keeps; see `bot.core.limits.Limits`. A key that has no value is no limit."""

    max_order: Positive
    """Units in one order; the rest follows as the next one."""
    max_position: Positive
    """Units of the hedge, long or short."""
    max_price_gap: Ratio = Decimal("0.05")
    """The vault's spot against the venue's index, its traded price and every feed, as a fraction."""
    max_slippage: Ratio = Decimal("0.005")
    """The price bound of an order beyond the quoted average price, as a fraction."""
    max_bound_gap: Ratio = Decimal("0.1")
    """How much worse than the price traded now the price bound may be, as a fraction."""
    max_block_age_s: Whole = 120
    """Seconds; an older block is not traded on."""
    max_block_skew_s: Whole = 120
    """Seconds between the blocks of the chains that a book reads; farther apart they are not traded on."""
    max_vol_age_s: Whole = 3600
    """Seconds; older vols are not traded on."""
    order_ttl_s: Whole = 120
    """Seconds after which an order that isn't mined is refused by the venue or cancelled."""
    max_order_usd: Positive | None = None
    """USD that one order may be worth; the rest follows as the next one."""
    max_leverage: Positive | None = None
    """|position| × mark ÷ account value after the order."""
    max_gross: Positive | None = None
    """Units: gross delta of the options, holdings, and |position| after the order."""
    max_net: Positive | None = None
    """Units: no order leaves more net delta, unless it makes it smaller."""
    min_interval_s: Whole | None = None
    """Seconds between two orders of the book."""
    max_price_move: Ratio | None = None
    """The spot against the book's last tick, as a fraction, unless a second source moved along."""
    min_native: Positive | None = None
    """Coins that stay with the signing account after the order's gas and what it carries."""
    then: Then = Field(default={})
    """What a code does besides holding: `"reduce"` or `"halt"`."""

    @field_validator("then")
    @classmethod
    def _codes(cls, then: Then) -> Then:
        return known(then, BOOK_CODES)

    @model_validator(mode="after")
    def _an_order_is_within_the_rest(self) -> Self:
        pairs = (
            ("max_order", "max_position"),
            ("max_order_usd", "max_turnover_hour_usd"),
            ("max_order_usd", "max_turnover_day_usd"),
            ("max_slippage", "max_bound_gap"),
        )
        check_order(self, pairs)
        return self

    def check_against(self, min_trade: Decimal, lot: Decimal) -> None:
        """ValueError where the limits leave nothing to trade."""
        for name, least in (("min_trade", min_trade), ("lot", lot)):
            if least > self.max_order:
                raise ValueError(
                    f"{name} {least:f} is above max_order {self.max_order:f}: nothing could be traded"
                )


def check_order(limits: Model, pairs: Iterable[tuple[str, str]]) -> None:
    """ValueError where the first of a pair is above the second."""
    for small, large in pairs:
        less, more = getattr(limits, small), getattr(limits, large)
        if less is not None and more is not None and less > more:
            raise ValueError(f"{small} {less} is above {large} {more}")


def check_gas(limits: BudgetsConfig, whose: str, max_gas_usd: Decimal) -> None:
    """ValueError where an order is not worth its gas, or a day's gas is less than one order's may cost."""
    if limits.max_gas_day_usd is not None and limits.max_gas_day_usd < max_gas_usd:
        raise ValueError(
            f"max_gas_day_usd {limits.max_gas_day_usd} of {whose} is below max_gas_usd {max_gas_usd} of the chain, "
            "what one order's gas may cost: lower that one first"
        )
    order = limits.max_order_usd if isinstance(limits, LimitsConfig) else None
    if order is not None and order <= max_gas_usd:
        raise ValueError(
            f"max_order_usd {order} of {whose} is not above max_gas_usd {max_gas_usd} of the chain: an order may cost "
            "more gas than it is worth"
        )


def known(then: Then, codes: tuple[str, ...]) -> Then:
    """`then`, whose keys are all codes."""
    for code in then:
        if code not in codes:
            raise ValueError(f"{code} is no code of these limits, which are {', '.join(codes)}")
    return then
