"""Measure: from a Snapshot to the book's delta and greeks."""

import math

import numpy as np

from bot.core.model import Check, Exposure, OptionPosition, PositionGreeks, Snapshot, SourceState
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes


def measure(snapshot: Snapshot) -> Exposure:
    """The exposure of a snapshot: greeks at the live price and the pinned block's time, perps added one for one.

    Raises DataError where a live option has no vol, or a price is none: an unknown greek is never taken as zero.
    """
    if snapshot.spot <= 0:
        raise DataError(f"{snapshot.book}: the spot is {snapshot.spot}")
    spot = float(snapshot.spot)
    rows: list[PositionGreeks] = []
    checks: list[Check] = []
    for source in snapshot.sources:
        priced = price_positions(source.positions, spot, source.rate, snapshot.timestamp)
        rows.extend(priced)
        checks.append(cached_delta_check(source, sum((row.delta for row in priced), 0.0)))
    options = sum((row.delta for row in rows), 0.0)
    holdings = float(sum(h.size for source in snapshot.sources for h in source.holdings))
    perps = float(snapshot.venue.position.size)
    settled = options + holdings + perps
    in_flight = float(snapshot.in_flight)
    return Exposure(
        positions=tuple(rows),
        options=options,
        holdings=holdings,
        perps=perps,
        net_lo=settled + min(in_flight, 0.0),
        net_hi=settled + max(in_flight, 0.0),
        gross=sum((abs(row.delta) for row in rows), abs(holdings)),
        gamma=sum((row.gamma for row in rows), 0.0),
        vega=sum((row.vega for row in rows), 0.0),
        theta=sum((row.theta for row in rows), 0.0),
        rho=sum((row.rho for row in rows), 0.0),
        checks=tuple(checks),
    )


def price_positions(
    positions: tuple[OptionPosition, ...], spot: float, rate: float, now: int
) -> list[PositionGreeks]:
    """Greeks of every position, priced in one vectorised call.

    An expired option that is not settled yet has no time left: its delta is 0 or ±1 by moneyness at `spot`, for the
    settlement price is still to come.
    """
    if not positions:
        return []
    for position in positions:
        if position.expiry > now and not usable(position.vol):
            raise DataError(f"{position.source}: no vol for {position.instrument}, which has not expired")
    try:
        greeks = black_scholes(
            spot,
            np.array([float(p.strike) for p in positions]),
            np.array([max(p.expiry - now, 0) / SECONDS_PER_YEAR for p in positions]),
            np.array([0.0 if p.vol is None else p.vol for p in positions]),
            rate,
            np.array([p.is_call for p in positions]),
        )
    except ValueError as error:
        raise DataError(f"{positions[0].source}: {error}") from error
    rows = []
    for i, position in enumerate(positions):
        size = float(position.size)
        rows.append(
            PositionGreeks(
                source=position.source,
                instrument=position.instrument,
                size=size,
                vol=position.vol,
                value=size * float(greeks.price[i]),
                delta=size * float(greeks.delta[i]),
                gamma=size * float(greeks.gamma[i]),
                vega=size * float(greeks.vega[i]),
                theta=size * float(greeks.theta[i]),
                rho=size * float(greeks.rho[i]),
            )
        )
    return rows


def usable(vol: float | None) -> bool:
    """Whether an option can be priced with this vol. A vol of zero is one that nobody quoted."""
    return vol is not None and math.isfinite(vol) and vol > 0


def cached_delta_check(source: SourceState, ours: float) -> Check:
    """Our options delta at the live price beside the protocol's cached one, which ages and is never traded on."""
    return Check(
        name=f"{source.name} options delta",
        ours=ours,
        theirs=source.cached_delta,
        note=f"cached at price {source.cached_spot:.2f}, Unix time {source.cached_at}",
    )
