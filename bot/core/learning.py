"""Teaching the minimum variance delta from what the options did between two ticks."""

import numpy as np

from bot.core.greeks import Columns
from bot.core.model import Snapshot, SourceState
from bot.pricing.black import SECONDS_PER_YEAR, Greeks, black_scholes
from bot.pricing.conventions import MinimumVarianceFit, Moves, updated

LONGEST_LESSON_S = 3600


def taught(before: Snapshot | None, now: Snapshot) -> MinimumVarianceFit | None:
    """The earlier snapshot's fit, taught by the options that both snapshots have; None before the first lesson.

    Nothing is learned over a longer pause, or from vols that come from elsewhere than before: neither is one move.
    """
    if before is None:
        return None
    paused = now.timestamp - before.timestamp > LONGEST_LESSON_S
    if before.spot == now.spot or paused or before.vols.name != now.vols.name:
        return before.fit
    fit = before.fit or MinimumVarianceFit()
    for earlier in before.sources:
        for later in now.sources:
            if later.name == earlier.name:
                fit = lesson(fit, before, earlier, now, later)
    return fit


def lesson(
    fit: MinimumVarianceFit, before: Snapshot, earlier: SourceState, now: Snapshot, later: SourceState
) -> MinimumVarianceFit:
    """What the live options of one source teach."""
    still = {p.instrument: p for p in later.positions if p.vol is not None and p.expiry > now.timestamp}
    pairs = [
        (old, still[old.instrument])
        for old in earlier.positions
        if old.vol is not None and old.instrument in still
    ]
    if not pairs:
        return fit
    old, new = (tuple(pair[i] for pair in pairs) for i in (0, 1))
    columns = Columns.of(old, before.timestamp, earlier.rate)
    start = greeks_of(columns, before)
    end = greeks_of(Columns.of(new, now.timestamp, later.rate), now)
    aged = start.theta * (now.timestamp - before.timestamp) / SECONDS_PER_YEAR
    moves = Moves(
        delta=start.delta,
        vega=start.vega,
        years=columns.years,
        spot=np.full(len(old), float(before.spot)),
        spot_change=np.full(len(old), float(now.spot - before.spot)),
        value_change=end.price - start.price - aged,
    )
    return updated(fit, moves)


def greeks_of(columns: Columns, snapshot: Snapshot) -> Greeks:
    """Black-Scholes greeks per unit of option, at a snapshot's spot."""
    return black_scholes(
        float(snapshot.spot), columns.strike, columns.years, columns.vol, columns.rate, columns.is_call
    )
