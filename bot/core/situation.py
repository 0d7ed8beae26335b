"""What a policy decides on: the gap to the target with its doubts, how fast it moves, and what closing it costs."""

import math
from dataclasses import dataclass
from decimal import Decimal

from bot.core.costs import Costs, costs_of
from bot.core.model import Exposure, LastTrade, Snapshot
from bot.errors import DataError


@dataclass(frozen=True, slots=True)
class Situation:
    """The gap in units of the underlying (`gap_lo` ≤ true gap ≤ `gap_hi`; a trade of −gap closes it).

    `gamma` is the gap's change per USD, `vol` annual (0 where no option is live), `years` the time to the last expiry,
    `rate` annual and continuous, `now` in Unix seconds, `interval_s` the seconds between two ticks.
    """

    gap_lo: float
    gap_hi: float
    gamma: float
    spot: float
    vol: float
    years: float
    rate: float
    nav_usd: float
    now: int
    interval_s: int
    last_trade: LastTrade | None
    costs: Costs

    @property
    def gap(self) -> float:
        """The middle of the gap's interval, in units of the underlying."""
        return (self.gap_lo + self.gap_hi) / 2

    def nearest(self, centre: float) -> float:
        """The possible gap nearest to `centre`: a trade from there is right whichever end is true."""
        return min(max(centre, self.gap_lo), self.gap_hi)

    @property
    def price(self) -> Decimal:
        """The spot in USD."""
        return Decimal(repr(self.spot))


def situation_of(snapshot: Snapshot, exposure: Exposure, interval_s: int) -> Situation:
    """The situation of a book. DataError where the gap is no number."""
    if not (math.isfinite(exposure.gap_lo) and math.isfinite(exposure.gap_hi)):
        raise DataError(
            f"{snapshot.book}: the gap to the target is [{exposure.gap_lo}, {exposure.gap_hi}], not a number"
        )
    return Situation(
        gap_lo=exposure.gap_lo,
        gap_hi=exposure.gap_hi,
        gamma=exposure.gap_gamma,
        spot=float(snapshot.spot),
        vol=exposure.vol,
        years=exposure.years,
        rate=snapshot.sources[0].rate if snapshot.sources else 0.0,
        nav_usd=float(nav_of(snapshot)),
        now=snapshot.at,
        interval_s=interval_s,
        last_trade=snapshot.last_trade,
        costs=costs_of(snapshot),
    )


def nav_of(snapshot: Snapshot) -> Decimal:
    """What the sources' vaults say that they are worth together, in USD; 0 where one of them doesn't say."""
    worth = [source.nav_usd for source in snapshot.sources]
    return sum((nav for nav in worth if nav is not None), Decimal(0)) if None not in worth else Decimal(0)
