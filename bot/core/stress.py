"""Named stresses, as data, and what each does to book, hedge and margin."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from bot.core.margin import margin_of
from bot.core.model import Snapshot
from bot.core.scenario import held_of, revalue, shocks_of

Fault = Literal["none", "venue_gone", "oracle_frozen"]


@dataclass(frozen=True, slots=True)
class Stress:
    """One stress: `text` says what is assumed.

    `price` is a fraction, `vol_points` are added to every vol (0.5 = 50 points), `hours` pass. `funding_per_hour` is
    the fraction of notional that the hedge pays whatever its side; None: the venue's own of now. `fault` is what
    breaks. ValueError where a number is none.
    """

    name: str
    text: str
    price: float = 0.0
    vol_points: float = 0.0
    hours: float = 0.0
    funding_per_hour: float | None = None
    fault: Fault = "none"

    def __post_init__(self) -> None:
        if self.funding_per_hour is not None and not math.isfinite(self.funding_per_hour):
            raise ValueError(f"stress {self.name}: funding_per_hour is {self.funding_per_hour}")
        # Shocks checks the moves, and says which it is.
        shocks_of(self.price, self.vol_points, self.hours)


PRESETS: Final = (
    Stress(
        "down 30 %, vol up",
        "The price falls by 30 % and every vol rises by 50 points at once; nothing is rebalanced on the way.",
        price=-0.3,
        vol_points=0.5,
    ),
    Stress(
        "up 30 %, vol up",
        "The price rises by 30 % and every vol rises by 50 points at once; nothing is rebalanced on the way.",
        price=0.3,
        vol_points=0.5,
    ),
    Stress(
        "crash 35 %",
        "The price falls by 35 % within an hour at unchanged vols, the hedge pays 0.1 % of its notional, and "
        "nothing is rebalanced or topped up.",
        price=-0.35,
        hours=1.0,
        funding_per_hour=0.001,
    ),
    Stress(
        "funding spike",
        "The hedge pays 0.1 % of its notional per hour for 24 hours, whichever side it is on; price and vols "
        "stand still and options lose their time value.",
        hours=24.0,
        funding_per_hour=0.001,
    ),
    Stress(
        "venue gone, down 20 %",
        "The venue stops: the hedge keeps its size and can't be traded, its equity is out of reach, and the "
        "price falls by 20 %. If the venue never comes back, the locked equity is lost too.",
        price=-0.2,
        fault="venue_gone",
    ),
    Stress(
        "venue gone, up 20 %",
        "The venue stops: the hedge keeps its size and can't be traded, its equity is out of reach, and the "
        "price rises by 20 %. If the venue never comes back, the locked equity is lost too.",
        price=0.2,
        fault="venue_gone",
    ),
    Stress(
        "oracle frozen, down 10 %",
        "The vault's price stays where it is while the venue's falls by 10 %: the hedge gains or loses at once, "
        "the book's own change is not shown until the oracle moves, and the delta that is measured is the old one.",
        price=-0.1,
        fault="oracle_frozen",
    ),
)


@dataclass(frozen=True, slots=True)
class Stressed:
    """What a stress does. Money in USD against now, the hedge at the mark and still open; deltas in units.

    `book_usd` is what the vault's price shows, `unseen_usd` what it doesn't show yet; `delta` is the true net delta and
    `seen_delta` the one that is measured. `equity_usd` and `requirement_usd` are the hedge's margin afterwards without
    any top-up, `locked_usd` the equity that is out of reach.
    """

    stress: Stress
    book_usd: float
    hedge_usd: float
    unseen_usd: float
    delta: float
    seen_delta: float
    equity_usd: float
    requirement_usd: float
    locked_usd: float
    is_liquidated: bool

    @property
    def pnl_usd(self) -> float:
        """Profit and loss of book and hedge, with what the vault doesn't show yet."""
        return self.book_usd + self.hedge_usd + self.unseen_usd

    @property
    def if_lost_usd(self) -> float:
        """The same where what is locked never comes back."""
        return self.pnl_usd - max(self.locked_usd, 0.0)


def stressed(snapshot: Snapshot, stresses: Sequence[Stress] = PRESETS) -> tuple[Stressed, ...]:
    """What each stress does to a snapshot. DataError where it can't be priced or its margin makes no sense."""
    held = held_of(snapshot)
    margin = margin_of(snapshot.venue)
    side = 1.0 if held.perp > 0 else -1.0
    found = []
    for stress in stresses:
        paid = stress.funding_per_hour
        under = held if paid is None else replace(held, funding_per_hour=side * paid)
        moved = revalue(under, shocks_of(stress.price, stress.vol_points, stress.hours))
        book, hedge = float(moved.book[0]), float(moved.hedge[0])
        delta = seen = float(moved.delta[0])
        unseen = 0.0
        if stress.fault == "oracle_frozen":
            still = revalue(under, shocks_of(0.0, stress.vol_points, stress.hours))
            unseen, book = book - float(still.book[0]), float(still.book[0])
            seen = float(still.delta[0])
        equity = float(margin.equity) + hedge
        own = margin.maintenance_ratio * margin.notional
        requirement = float(own) * (1.0 + stress.price) + float(margin.other)
        found.append(
            Stressed(
                stress=stress,
                book_usd=book,
                hedge_usd=hedge,
                unseen_usd=unseen,
                delta=delta,
                seen_delta=seen,
                equity_usd=equity,
                requirement_usd=requirement,
                locked_usd=equity if stress.fault == "venue_gone" else 0.0,
                is_liquidated=margin.size != Decimal(0) and equity < requirement,
            )
        )
    return tuple(found)
