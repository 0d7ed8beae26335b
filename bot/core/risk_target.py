"""How much risk a book is to bear: as an aversion, or as a day's hedging error that the aversion is found from."""

import math
from dataclasses import dataclass
from decimal import Decimal

from bot.core.bands import Conditions, aversion_for, daily_error
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR


class UnreachableTarget(DataError):
    """No band keeps a day's hedging error down to what was asked for: the ticks are too far apart.

    `reachable` is a target that is worth its cost: a band whose own error equals the one of the time between ticks.
    """

    def __init__(self, message: str, reachable: "DailyError") -> None:
        super().__init__(message)
        self.reachable = reachable


@dataclass(frozen=True, slots=True)
class Aversion:
    """Absolute risk aversion γ, in 1/USD."""

    per_usd: Decimal

    def __post_init__(self) -> None:
        _require_positive("risk aversion", self.per_usd)


@dataclass(frozen=True, slots=True)
class DailyError:
    """The standard deviation of a day's hedging error, in USD."""

    usd: Decimal

    def __post_init__(self) -> None:
        _require_positive("daily error", self.usd)


@dataclass(frozen=True, slots=True)
class DailyErrorOfNav:
    """The same as a share of the book's NAV (0.001 = 0.1 %)."""

    share: Decimal

    def __post_init__(self) -> None:
        _require_positive("daily error as a share of NAV", self.share)


Risk = Aversion | DailyError | DailyErrorOfNav


def aversion_of(
    risk: Risk, kind: int, at: Conditions, nav_usd: float, funding: float, carry_cap: float
) -> float:
    """γ in 1/USD: as given, or such that the band's expected error per day is the target.

    `funding` in USD per unit and year, `carry_cap` a share of the trigger. UnreachableTarget where the band's own error
    would have to be below the one that the time between two ticks makes anyway: it would trade at nearly every tick for
    little. DataError where a share of NAV has no NAV to be of.
    """
    if isinstance(risk, Aversion):
        return float(risk.per_usd)
    daily_usd = daily_usd_of(risk, nav_usd)
    floor = daily_error(at, 0.0, 0.0, 0.0)
    worthwhile = math.sqrt(2) * floor
    if daily_usd < worthwhile:
        raise UnreachableTarget(
            f"a hedging error of ${daily_usd:,.2f} per day can't be reached at a sensible cost: with "
            f"{at.check_years * SECONDS_PER_YEAR:.0f} s between two ticks it is ${floor:,.2f} even where every tick "
            "trades; tick more often or ask for less",
            DailyError(Decimal(repr(worthwhile))),
        )
    return float(aversion_for(daily_usd, kind, at, funding, carry_cap))


def daily_usd_of(risk: DailyError | DailyErrorOfNav, nav_usd: float) -> float:
    """The target in USD per day."""
    if isinstance(risk, DailyError):
        return float(risk.usd)
    if nav_usd <= 0.0:
        unknown = "; it counts as 0 where a source doesn't tell" if nav_usd == 0.0 else ""
        raise DataError(f"the risk target is a share of NAV, which is ${nav_usd:,.2f}{unknown}")
    return float(risk.share) * nav_usd


def in_words(risk: Risk) -> str:
    """Where γ comes from, for the decision's arithmetic."""
    match risk:
        case Aversion():
            return "given"
        case DailyError(usd):
            return f"from a daily error of {usd} USD"
        case DailyErrorOfNav(share):
            return f"from a daily error of {share} of NAV"


def _require_positive(name: str, value: Decimal) -> None:
    if not value.is_finite() or value <= 0:
        raise ValueError(f"{name} must be above zero, got {value}")
