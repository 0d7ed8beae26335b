"""Full revaluation: what a book and its hedge gain or lose, and what delta is left, under stated moves.

Every option is priced again by Black-Scholes at the moved price, vol and time (`bot.pricing.black`): vols stick to
their strikes and move together. The hedge stands still at its size; holdings move one for one with the spot. Orders in
flight are not counted.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.core.greeks import Columns, refuse_unknown_vols
from bot.core.model import Snapshot
from bot.errors import DataError, PricingError
from bot.pricing.black import black_scholes
from bot.pricing.settlement import effective_years

FloatArray = npt.NDArray[np.float64]

HOUR_S = 3_600.0


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A book and its hedge as arrays. The options' have the shape (n,), units as in `Columns`.

    `left` is the seconds to expiry, never negative. `holdings` and `perp` are in units of the underlying, `spot` and
    `mark` in USD. `fee_ratio` and `funding_per_hour` (what a long pays) are fractions of notional.
    """

    spot: float
    strike: FloatArray
    left: FloatArray
    window: FloatArray
    vol: FloatArray
    rate: FloatArray
    is_call: npt.NDArray[np.bool_]
    size: FloatArray
    holdings: float
    perp: float
    mark: float
    fee_ratio: float
    funding_per_hour: float


@dataclass(frozen=True, slots=True, eq=False)
class Shocks:
    """Moves, arrays of one shape (m,): `price` a fraction of the price now, `vol_points` added to every vol (0.5 = 50
    points) after it was multiplied by `vol_factor`, `hours` that pass.

    A vol never falls below zero. ValueError where a move is no number, takes the price to zero, or goes back in time.
    """

    price: FloatArray
    vol_points: FloatArray
    hours: FloatArray
    vol_factor: FloatArray

    def __post_init__(self) -> None:
        if self.price.ndim != 1 or self.price.size == 0:
            raise ValueError("shocks: there is no move to revalue at")
        for name in ("price", "vol_points", "hours", "vol_factor"):
            moves = getattr(self, name)
            if moves.shape != self.price.shape:
                raise ValueError(f"shocks: {name} has the shape {moves.shape}, price {self.price.shape}")
            wrong = np.flatnonzero(~np.isfinite(moves))
            if wrong.size:
                raise ValueError(
                    f"shocks: {name}[{wrong[0]}] is {moves[wrong[0]]}, which is not a number to move by"
                )
        for name, least in (("price", -1.0), ("hours", 0.0), ("vol_factor", 0.0)):
            moves = getattr(self, name)
            wrong = np.flatnonzero(moves <= least if name == "price" else moves < least)
            if wrong.size:
                rule = "above -1" if name == "price" else "0 or more"
                raise ValueError(f"shocks: {name}[{wrong[0]}] is {moves[wrong[0]]}; it must be {rule}")


@dataclass(frozen=True, slots=True, eq=False)
class Revalued:
    """What each move does; arrays of one shape. Money in USD against now, deltas in units of the underlying.

    `book` is the options and holdings. `hedge` is the perp position at the moved mark, after funding for the hours that
    pass; `exit_fee` what the venue would take for closing it there. Impact of that close is not in it.
    """

    book: FloatArray
    hedge: FloatArray
    exit_fee: FloatArray
    book_delta: FloatArray
    hedge_delta: FloatArray

    @property
    def marked(self) -> FloatArray:
        """Profit and loss of book and hedge together, in USD, the hedge kept open."""
        return self.book + self.hedge

    @property
    def closed_hedge(self) -> FloatArray:
        """Profit and loss of the hedge in USD, closed there and its fee paid."""
        return self.hedge - self.exit_fee

    @property
    def closed(self) -> FloatArray:
        """Profit and loss of book and hedge together, in USD, the hedge closed there and its fee paid."""
        return self.book + self.closed_hedge

    @property
    def delta(self) -> FloatArray:
        """Net delta of book and hedge, in units of the underlying."""
        return self.book_delta + self.hedge_delta


@dataclass(frozen=True, slots=True)
class Grid:
    """Moves to be combined, each with each: price fractions, vol points (0.5 = 50 points), hours that pass."""

    prices: tuple[float, ...] = (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
    vols: tuple[float, ...] = (-0.2, -0.1, 0.0, 0.25, 0.5)
    hours: tuple[float, ...] = (0.0, 24.0)

    def __post_init__(self) -> None:
        for name in ("prices", "vols", "hours"):
            if not getattr(self, name):
                raise ValueError(f"grid: {name} is empty")

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many price moves, vol moves and times."""
        return len(self.prices), len(self.vols), len(self.hours)


def held_of(snapshot: Snapshot) -> Held:
    """A snapshot's book and hedge. DataError where a live option has no vol, or a price is none."""
    venue, spot = snapshot.venue, float(snapshot.spot)
    for name, price in (("spot", spot), ("venue's mark", float(venue.mark))):
        if not (math.isfinite(price) and price > 0.0):
            raise DataError(f"{snapshot.book}: the {name} is {price}")
    now = snapshot.timestamp
    parts = [(source, Columns.of(source.positions, now, source.rate)) for source in snapshot.sources]
    for source, columns in parts:
        refuse_unknown_vols(source.positions, columns)

    def joined(name: str) -> FloatArray:
        arrays = [getattr(columns, name) for _, columns in parts]
        return np.concatenate([np.zeros(0), *arrays])

    return Held(
        spot=spot,
        strike=joined("strike"),
        left=np.maximum(joined("expiry") - now, 0.0),
        window=joined("window"),
        vol=joined("vol"),
        rate=joined("rate"),
        is_call=joined("is_call").astype(np.bool_),
        size=joined("size"),
        holdings=float(sum(h.size for source in snapshot.sources for h in source.holdings)),
        perp=float(venue.position.size),
        mark=float(venue.mark),
        fee_ratio=float(venue.fee_ratio),
        funding_per_hour=float(venue.funding_per_hour),
    )


def shocks_of(
    price: npt.ArrayLike,
    vol_points: npt.ArrayLike = 0.0,
    hours: npt.ArrayLike = 0.0,
    vol_factor: npt.ArrayLike = 1.0,
) -> Shocks:
    """Moves from scalars and arrays that broadcast to one shape (m,). ValueError as `Shocks` says."""
    moves = (np.asarray(move, dtype=np.float64) for move in (price, vol_points, hours, vol_factor))
    return Shocks(*(np.ascontiguousarray(move).reshape(-1) for move in np.broadcast_arrays(*moves)))


def revalue(held: Held, shocks: Shocks) -> Revalued:
    """What each of `shocks` does, arrays of its shape (m,). PricingError where a move can't be priced.

    The mark moves by the same fraction as the spot. Funding is charged on the notional before the move.
    """
    from bot.pricing import kernel

    # The last scenario is no move at all: gains are counted from there, in the same arithmetic.
    spots = np.append(held.spot * (1.0 + shocks.price), held.spot)
    factor, points = np.append(shocks.vol_factor, 1.0), np.append(shocks.vol_points, 0.0)
    passed = np.append(shocks.hours * HOUR_S, 0.0)
    value, delta = np.zeros(spots.size), np.zeros(spots.size)
    options = (held.strike, held.left, held.window, held.vol, held.rate, held.is_call, held.size)
    if not np.isfinite(held.size).all():
        raise PricingError(f"size is {held.size[~np.isfinite(held.size)][0]}: it must be finite")
    bad = kernel.revalue_loop(spots, factor, points, passed, *options, value, delta)
    if bad:
        refuse_unpriced(held, spots, factor, points, passed)
    move = shocks.price
    notional = held.perp * held.mark
    return Revalued(
        book=value[:-1] - value[-1] + held.holdings * held.spot * move,
        hedge=notional * move - notional * held.funding_per_hour * shocks.hours,
        exit_fee=abs(notional) * held.fee_ratio * (1.0 + move),
        book_delta=delta[:-1] + held.holdings,
        hedge_delta=np.full(move.shape, held.perp),
    )


def refuse_unpriced(
    held: Held, spots: FloatArray, factor: FloatArray, points: FloatArray, passed: FloatArray
) -> None:
    """PricingError for the first scenario that can't be priced, naming the argument at fault."""
    for spot, times, plus, gone in zip(spots, factor, points, passed, strict=True):
        vols = np.maximum(held.vol * times + plus, 0.0)
        years = effective_years(0, np.maximum(held.left - gone, 0.0), held.window)
        try:
            black_scholes(spot, held.strike, years, vols, held.rate, held.is_call)
        except PricingError as error:
            raise PricingError(f"at a price of {spot:.6g}: {error}") from error
    raise PricingError("the book can't be priced in one of the scenarios")


def revalue_grid(held: Held, grid: Grid) -> Revalued:
    """Every cell of `grid`: arrays of its shape (prices, vols, hours). ValueError for moves that are none."""
    cells = np.array(list(itertools.product(grid.prices, grid.vols, grid.hours)), dtype=np.float64)
    found = revalue(held, shocks_of(cells[:, 0], cells[:, 1], cells[:, 2]))
    shape = grid.shape
    return Revalued(
        *(
            array.reshape(shape)
            for array in (found.book, found.hedge, found.exit_fee, found.book_delta, found.hedge_delta)
        )
    )
