"""By which a book is measured, decided and limited."""

from decimal import Decimal

from bot.config import Config
from bot.config.books import (
    BookConfig,
    MarginConfig,
)
from bot.config.limits import LimitsConfig
from bot.config.policies import (
    DeltaBandConfig,
    IntervalConfig,
    OptimalBandConfig,
    PolicyConfig,
    PriceMoveConfig,
    RiskConfig,
    WhalleyWilmottConfig,
    ZakamoulineConfig,
)
from bot.core.decision import Rules
from bot.core.limits import Limits
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk_target import Aversion, DailyError, DailyErrorOfNav, Risk
from bot.core.target import Doubts, Target
from bot.errors import ConfigError
from bot.venues.bounds import OrderBounds, TransferBounds


def make_limits(config: Config, book: BookConfig) -> Limits:
    """What a book's orders may do and use up, alone and with all others."""
    given = {field for field in Limits.__slots__ if field in type(book.limits).model_fields}
    return Limits(
        **{field: getattr(book.limits, field) for field in given},
        min_order=book.policy.min_trade,
        max_order_gas_usd=config.chains[book.venue.chain].max_gas_usd,
        budgets=book.limits.budgets(),
        in_all=config.limits.budgets(),
    )


def make_rules(config: Config, book: BookConfig) -> Rules:
    """By which a book is measured and decided."""
    return Rules(
        target=Target(**dict(book.target)),
        doubts=Doubts(**dict(book.doubts)),
        policy=make_policy(book.policy),
        limits=make_limits(config, book),
        interval_s=config.interval_s,
        margin=None if book.margin is None else book.margin.protection(),
    )


def order_bounds(limits: LimitsConfig) -> OrderBounds:
    """What the key may sign as one order."""
    return OrderBounds(limits.max_order, limits.max_bound_gap, limits.order_ttl_s)


def transfer_bounds(margin: MarginConfig | None) -> TransferBounds | None:
    """What the key may move into and out of the margin at once; None where it may move nothing."""
    if margin is None or margin.max_topup_day_usd == 0:
        return None
    most = margin.max_topup_day_usd
    return TransferBounds(most, most if margin.withdraw else Decimal(0))


def make_policy(policy: PolicyConfig) -> Policy:
    """The rule that says when to trade, and how much."""
    match policy:
        case IntervalConfig(every_s=every_s):
            return Interval(every_s, policy.min_trade)
        case PriceMoveConfig(move=move):
            return PriceMove(move, policy.min_trade)
        case DeltaBandConfig(trigger=trigger, target=target):
            return DeltaBand(trigger, target, policy.min_trade)
        case WhalleyWilmottConfig():
            return WhalleyWilmott(risk_of(policy), policy.min_trade)
        case ZakamoulineConfig():
            return Zakamouline(risk_of(policy), policy.min_trade)
        case OptimalBandConfig(carry_cap=carry_cap):
            return OptimalBand(risk_of(policy), policy.min_trade, carry_cap)


def risk_of(policy: RiskConfig) -> Risk:
    """How much risk a policy bears, in the one way that the configuration says it."""
    if policy.risk_aversion is not None:
        return Aversion(policy.risk_aversion)
    if policy.daily_error_usd is not None:
        return DailyError(policy.daily_error_usd)
    if policy.daily_error_nav is not None:
        return DailyErrorOfNav(policy.daily_error_nav)
    raise ConfigError("policy: it names no risk")
