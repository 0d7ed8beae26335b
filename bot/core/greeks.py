"""The greeks of every option position, by the book's delta convention, in one vectorised call per source."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bot.core.model import OptionPosition, PositionGreeks, Snapshot, SourceState
from bot.core.target import Numeraire, Target
from bot.errors import DataError, PricingError
from bot.pricing.black import Greeks, black_scholes, book_delta
from bot.pricing.conventions import MinimumVarianceFit, coin_delta, convention_delta
from bot.pricing.settlement import averaged_greeks, effective_years
from bot.pricing.surface import HIGHEST_VOL

FloatArray = NDArray[np.float64]
SUMMED = PositionGreeks._fields[PositionGreeks._fields.index("value") :]
NEAR_STRIKE = 0.005
"""An expired option whose strike is this near, as a fraction, may still settle on either side of it."""
AFTER_DELTAS = SUMMED[SUMMED.index("gamma") :]


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Positions as arrays of shape (n,): `expiry` in Unix seconds, `years` those that the vol acts for, never negative.

    `vol` is 0 where it is not known, `window` the seconds before expiry whose average price settles it. `rate` is the
    annual continuous one that leads from the spot to the forward over `years`.
    """

    strike: FloatArray
    expiry: FloatArray
    years: FloatArray
    vol: FloatArray
    is_call: NDArray[np.bool_]
    size: FloatArray
    window: FloatArray
    rate: FloatArray

    @classmethod
    def of(cls, positions: tuple[OptionPosition, ...], now: int, rate: float) -> "Columns":
        """The arrays of `positions` at Unix second `now`, whose source has this `rate`.

        In its averaging window an option's forward is no longer one: its source's rate stands for it there.
        """
        expiry = np.array([p.expiry for p in positions], dtype=np.float64)
        window = np.array([p.averaging_s for p in positions], dtype=np.float64)
        years = effective_years(now, expiry, window)
        carry = np.array([np.nan if p.carry is None else p.carry for p in positions], dtype=np.float64)
        told = np.isfinite(carry) & (expiry - now > window)
        return cls(
            strike=np.array([float(p.strike) for p in positions]),
            expiry=expiry,
            years=years,
            vol=np.array([0.0 if p.vol is None else p.vol for p in positions]),
            is_call=np.array([p.is_call for p in positions]),
            size=np.array([float(p.size) for p in positions]),
            window=window,
            rate=np.divide(carry, years, out=np.full(years.shape, rate), where=told),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """A source's positions. `values` are the summed greeks of each, shape (len(SUMMED), n), units as in PositionGreeks.

    `gap_gamma` is the change of the hedged delta per USD, `window` the half-width of that delta in settlement windows
    and `unsettled` how far options that wait for their settlement price may move it down (≤ 0) and up, in units.
    """

    source: SourceState
    columns: Columns
    values: FloatArray
    gap_gamma: float
    window: float
    unsettled: tuple[float, float]


def price_book(snapshot: Snapshot, target: Target) -> tuple[Priced, ...]:
    """Every source of a snapshot, priced at its spot and block time.

    Raises DataError where a live option has no vol, or a price is none: an unknown greek is never taken as zero.
    """
    if snapshot.spot <= 0:
        raise DataError(f"{snapshot.book}: the spot is {snapshot.spot}")
    return tuple(price_positions(snapshot, source, target) for source in snapshot.sources)


def price_positions(snapshot: Snapshot, source: SourceState, target: Target) -> Priced:
    """Greeks of every position of one source.

    An expired option that is not settled yet has no time left: its delta is 0 or ±1 by moneyness at the spot, for the
    settlement price is still to come.
    """
    positions, now, spot = source.positions, snapshot.timestamp, float(snapshot.spot)
    columns = Columns.of(positions, now, source.rate)
    if not positions:
        return Priced(source, columns, np.zeros((len(SUMMED), 0)), 0.0, 0.0, (0.0, 0.0))
    refuse_unknown_vols(positions, columns)
    try:
        model = black_scholes(spot, columns.strike, columns.years, columns.vol, columns.rate, columns.is_call)
        delta = hedged_delta(model, columns, positions, snapshot, target)
        doubt = averaged(model, delta, columns, now, spot)
        in_coin = target.numeraire is Numeraire.COIN
        delta = coin_delta(delta, model.price, spot, in_coin)
    except PricingError as error:
        raise DataError(f"{source.name}: {error}") from error
    greeks = (getattr(model, name) for name in AFTER_DELTAS)
    values = columns.size * np.array([model.price, delta, model.delta, *greeks])
    gamma = model.gamma - (model.delta - model.price / spot) / spot if in_coin else model.gamma
    return Priced(
        source=source,
        columns=columns,
        values=values,
        gap_gamma=float(np.sum(columns.size * gamma)),
        window=float(np.sum(np.abs(columns.size) * doubt)),
        unsettled=unsettled(columns, spot, now),
    )


def position_greeks(priced: Sequence[Priced]) -> tuple[PositionGreeks, ...]:
    """Every position with its greeks, one by one."""
    return tuple(
        PositionGreeks(
            p.source, p.instrument, p.is_call, float(p.strike), p.expiry, float(p.size), p.vol, *values
        )
        for part in priced
        for p, values in zip(part.source.positions, part.values.T.tolist(), strict=True)
    )


def refuse_unknown_vols(positions: tuple[OptionPosition, ...], columns: Columns) -> None:
    """DataError where a live option has no vol, or an absurd one, or something of it could not be read.

    A vol of zero is one that nobody quoted.
    """
    live = columns.years > 0
    for place in np.flatnonzero(live):
        if positions[place].unread:
            unread = positions[place]
            raise DataError(f"{unread.source}: {unread.instrument}: {unread.unread}")
    missing = np.flatnonzero(live & ~(np.isfinite(columns.vol) & (columns.vol > 0)))
    if missing.size:
        first = positions[missing[0]]
        raise DataError(f"{first.source}: no vol for {first.instrument}, which has not expired")
    absurd = np.flatnonzero(live & (columns.vol > HIGHEST_VOL))
    if absurd.size:
        first = positions[absurd[0]]
        raise DataError(f"{first.source}: a vol of {first.vol:.0%} for {first.instrument} is no vol")


def hedged_delta(
    model: Greeks,
    columns: Columns,
    positions: tuple[OptionPosition, ...],
    snapshot: Snapshot,
    target: Target,
) -> FloatArray:
    """Delta per unit by the target's convention, in USD terms, shape (n,)."""
    spot = float(snapshot.spot)
    greeks = model
    if target.convention == "black_scholes":
        money = [
            own if p.money_vol is None else p.money_vol for p, own in zip(positions, columns.vol, strict=True)
        ]
        greeks = black_scholes(
            spot, columns.strike, columns.years, np.array(money), columns.rate, columns.is_call
        )
    slopes = np.array([p.slope for p in positions]) if target.convention == "sticky_delta" else 0.0
    fit = snapshot.fit or MinimumVarianceFit()
    return np.array(convention_delta(target.convention, greeks, spot, columns.years, slopes, fit))


def averaged(
    model: Greeks,
    delta: FloatArray,
    columns: Columns,
    now: int,
    spot: float,
) -> FloatArray:
    """Puts price, delta and gamma of options inside their averaging window in place; returns their delta's doubt.

    All arrays have the shape (n,). The average so far is not known here: the doubt is what it may make of the delta.
    """
    doubt = np.zeros_like(delta)
    left = np.maximum(columns.expiry - now, 0.0)
    for i in np.flatnonzero(left < columns.window):
        option = columns.strike[i], columns.vol[i], columns.is_call[i]
        at = averaged_greeks(spot, *option, int(left[i]), int(columns.window[i]))
        model.price[i], model.delta[i], model.gamma[i] = at.price, at.delta, at.gamma
        delta[i], doubt[i] = at.delta, at.delta_error
    return doubt


def unsettled(columns: Columns, spot: float, now: int) -> tuple[float, float]:
    """How far expired options near their strike may move the delta down and up until their price is settled, in units.

    Their delta is all or nothing, and the next small move may turn it: neither is worth trading on.
    """
    near = (columns.expiry <= now) & (columns.window == 0)
    near &= np.abs(np.log(spot / columns.strike)) <= NEAR_STRIKE
    size = np.where(columns.is_call, columns.size, -columns.size)[near]
    in_the_money = (np.where(columns.is_call, 1.0, -1.0) * (spot - columns.strike))[near]
    delta = size * np.heaviside(in_the_money, 0.5)
    return float(np.sum(np.minimum(size, 0.0) - delta)), float(np.sum(np.maximum(size, 0.0) - delta))


def options_delta(priced: Sequence[Priced], target: Target) -> Callable[[FloatArray], FloatArray]:
    """The options' delta in units of the underlying as a function of the spot, by Black-Scholes with their own vols.

    It takes and returns arrays of shape (m,). For a book kept in coins it is less the options' value in coins.
    """
    held = [part.columns for part in priced if part.columns.size.size]

    def delta(prices: FloatArray) -> FloatArray:
        total = np.zeros_like(prices)
        for columns in held:
            terms = columns.strike, columns.years, columns.vol, columns.rate, columns.is_call
            total += book_delta(prices, *terms, columns.size)
            if target.numeraire is Numeraire.COIN:
                values = black_scholes(prices[:, None], *terms).price @ columns.size
                total -= values / prices
        return total

    return delta
