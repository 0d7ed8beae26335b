"""The options one by one, summed by expiry and by strike, and the book's delta and gamma over the price."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bot.core.decision import Decided
from bot.core.greeks import position_greeks, price_book
from bot.core.model import PositionGreeks
from bot.core.scenario import held_of, revalue, shocks_of
from bot.core.target import Target
from bot.web.overview import thin

MOVES = np.round(np.linspace(-0.3, 0.3, 61), 10)
SHOWN = 5
"""Every so many of the moves is a row of the table."""
STEP = 1e-4


@dataclass(frozen=True, slots=True)
class Sums:
    """Positions that share a key, added up; units as in `bot.core.model.PositionGreeks`."""

    key: float
    options: int
    size: float
    value: float
    delta: float
    gamma: float
    vega: float
    theta: float


@dataclass(frozen=True, slots=True)
class Rung:
    """The book at one price: delta of the options and holdings and with the hedge in units, gamma in units per USD."""

    move: float
    price: float
    book_delta: float
    delta: float
    gamma: float
    profit: float


@dataclass(frozen=True, slots=True)
class Positions:
    """All that the page shows."""

    rows: tuple[PositionGreeks, ...]
    by_expiry: tuple[Sums, ...]
    by_strike: tuple[Sums, ...]
    ladder: tuple[Rung, ...]
    chart: dict[str, Any]


def positions_of(decided: Decided, target: Target) -> Positions:
    """The page of a tick. DataError where its snapshot can't be priced."""
    rows = tuple(
        sorted(
            position_greeks(price_book(decided.snapshot, target)),
            key=lambda row: (row.expiry, row.strike, row.is_call),
        )
    )
    rungs = ladder(decided)
    return Positions(
        rows=rows,
        by_expiry=summed(rows, lambda row: row.expiry),
        by_strike=summed(rows, lambda row: row.strike),
        ladder=rungs[::SHOWN],
        chart={
            "kind": "ladder",
            "unit": decided.snapshot.underlying,
            "spot": thin(float(decided.snapshot.spot)),
            "price": [thin(rung.price) for rung in rungs],
            "delta": [thin(rung.delta) for rung in rungs],
            "book": [thin(rung.book_delta) for rung in rungs],
            "gamma": [thin(rung.gamma) for rung in rungs],
        },
    )


def summed(rows: Sequence[PositionGreeks], key: Callable[[PositionGreeks], float]) -> tuple[Sums, ...]:
    """Positions added up by a key, in its order."""
    groups: dict[float, list[PositionGreeks]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    names = ("size", "value", "delta", "gamma", "vega", "theta")
    return tuple(
        Sums(each, len(group), *(sum(getattr(row, name) for row in group) for name in names))
        for each, group in sorted(groups.items())
    )


def ladder(decided: Decided) -> tuple[Rung, ...]:
    """The book over prices by full revaluation, at unchanged vols and time; gamma is the slope of its delta."""
    held = held_of(decided.snapshot)
    at = revalue(held, shocks_of(MOVES))
    above, below = (revalue(held, shocks_of(MOVES + side * STEP)).book_delta for side in (1.0, -1.0))
    gamma = (above - below) / (2.0 * STEP * held.spot)
    prices = held.spot * (1.0 + MOVES)
    columns = (MOVES, prices, at.book_delta, at.delta, gamma, at.marked)
    return tuple(Rung(*row) for row in zip(*(column.tolist() for column in columns), strict=True))
