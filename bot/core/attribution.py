"""Where a change of value came from: delta, gamma, theta, vega, funding, fees, impact, gas, and what is left."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal

import numpy as np

from bot.core.greeks import SUMMED, Columns, price_book
from bot.core.model import Exposure, Fill, Snapshot
from bot.core.target import Target
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes


@dataclass(frozen=True, slots=True)
class TradeDone:
    """A fill with the mark that its impact was counted against, in USD."""

    fill: Fill
    reference: Decimal


@dataclass(frozen=True, slots=True)
class Attribution:
    """The parts of one change of value in USD, gains positive. `total` is their sum.

    The vault's part is that of the positions held at the earlier tick, so that premiums of later ones count nowhere.
    The hedge is marked at the venue's mark. Deposits, withdrawals and what others did to the position are unexplained.
    """

    delta: float
    gamma: float
    theta: float
    vega: float
    funding: float
    fees: float
    impact: float
    gas: float
    unexplained: float

    @property
    def total(self) -> float:
        """The whole change in USD."""
        return float(sum(asdict(self).values()))


def attribute(
    before: Snapshot, exposure: Exposure, after: Snapshot, trades: Sequence[TradeDone], gas_usd: Decimal
) -> Attribution:
    """The change from `before`, whose greeks are `exposure`, to `after`.

    `trades` and `gas_usd` are those that were settled between the two. Theta, gamma and vega are the greeks of the
    earlier tick times what happened (½ Γ dS² for gamma); higher orders are unexplained.
    """
    moved = float(after.spot - before.spot)
    mark_moved = float(after.venue.mark - before.venue.mark)
    years = (after.timestamp - before.timestamp) / SECONDS_PER_YEAR
    fills = [trade.fill for trade in trades]
    traded = sum(
        (float(t.fill.size * (after.venue.mark - t.reference)) for t in trades),
        float(before.venue.position.size) * mark_moved,
    )
    paid = sum((fill.funding_usd for fill in fills), Decimal(0))
    options, vega = repriced(before, after)
    parts = {
        "delta": (exposure.model_delta + exposure.holdings) * moved + traded,
        "gamma": 0.5 * exposure.gamma * moved**2,
        "theta": exposure.theta * years,
        "vega": vega,
        "funding": -float(after.venue.pending_funding - before.venue.pending_funding + paid),
        "fees": -float(sum((fill.fee_usd for fill in fills), Decimal(0))),
        "impact": -float(sum((fill.impact_usd for fill in fills), Decimal(0))),
        "gas": -float(gas_usd),
    }
    hedge = float(after.venue.margin.mark_value - before.venue.margin.mark_value)
    whole = options + exposure.holdings * moved + hedge - float(gas_usd)
    return Attribution(**parts, unexplained=whole - sum(parts.values()))


def hedge_unexplained(before: Snapshot, after: Snapshot, trades: Sequence[TradeDone]) -> Decimal:
    """The hedge's share of the unexplained, in USD: what neither its marks nor its fills account for."""
    fills = [trade.fill for trade in trades]
    traded = sum((t.fill.size * (after.venue.mark - t.reference) for t in trades), Decimal(0))
    marked = before.venue.position.size * (after.venue.mark - before.venue.mark) + traded
    paid = sum((fill.fee_usd + fill.impact_usd + fill.funding_usd for fill in fills), Decimal(0))
    pending = after.venue.pending_funding - before.venue.pending_funding
    return after.venue.margin.mark_value - before.venue.margin.mark_value - marked + paid + pending


def repriced(before: Snapshot, after: Snapshot) -> tuple[float, float]:
    """The change of value of the earlier positions in USD, and the part of it that their vols made by vega.

    A position that the later snapshot has no vol for keeps its earlier one.
    """
    later = {(p.source, p.instrument): p.vol for source in after.sources for p in source.positions}
    value, vega = 0.0, 0.0
    for part in price_book(before, Target()):
        held = part.source.positions
        if not held:
            continue
        kept = tuple(replace(p, vol=later.get((p.source, p.instrument)) or p.vol) for p in held)
        aged = Columns.of(kept, after.timestamp, part.source.rate)
        columns = replace(aged, rate=part.columns.rate)  # what drifts is part of the theta
        prices = black_scholes(
            float(after.spot), columns.strike, columns.years, columns.vol, columns.rate, columns.is_call
        ).price
        value += float(np.sum(columns.size * prices) - part.values[SUMMED.index("value")].sum())
        moved = np.where(part.columns.vol > 0, columns.vol - part.columns.vol, 0.0)
        vega += float(np.sum(part.values[SUMMED.index("vega")] * moved))
    return value, vega
