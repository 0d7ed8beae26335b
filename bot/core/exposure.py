"""Measure: from a Snapshot to the book's delta and greeks, with the doubts about them."""

import math
from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from bot.core.greeks import SUMMED, Priced
from bot.core.model import Bound, Check, Exposure, Snapshot, SourceState
from bot.core.target import Doubts, Numeraire, Target
from bot.pricing.black import SECONDS_PER_YEAR

DELTA, GAMMA, VANNA = (SUMMED.index(name) for name in ("delta", "gamma", "vanna"))


def measure(snapshot: Snapshot, priced: Sequence[Priced], target: Target, doubts: Doubts) -> Exposure:
    """The exposure of a snapshot whose sources are `priced` (`price_book`).

    Perps are added one for one, with the delta that their margin has of its own."""
    sums = dict(
        zip(SUMMED, sum((p.values.sum(axis=1) for p in priced), np.zeros(len(SUMMED))).tolist(), strict=True)
    )
    options = sums["delta"]
    holdings = float(sum((h.size for source in snapshot.sources for h in source.holdings), Decimal(0)))
    hedged = float(hedged_holdings(snapshot, target))
    perps = float(snapshot.venue.position.size + snapshot.venue.margin_delta)
    vol, years = pace(priced)
    bounds = doubts_of(snapshot, priced, vol, doubts)
    *certain, flight = bounds
    below, above = sum(bound.below for bound in certain), sum(bound.above for bound in certain)
    net = options + holdings + perps
    ratio = float(target.hedge_ratio)
    gap = ratio * (options + hedged) + perps - float(target.delta)
    return Exposure(
        options=options,
        holdings=holdings,
        perps=perps,
        bounds=bounds,
        net_lo=net + below + flight.below,
        net_hi=net + above + flight.above,
        gap_lo=gap + ratio * below + flight.below,
        gap_hi=gap + ratio * above + flight.above,
        gap_gamma=ratio * sum(part.gap_gamma for part in priced),
        gross=float(sum(np.abs(p.values[DELTA]).sum() for p in priced)) + abs(holdings),
        value=sums["value"],
        model_delta=sums["model_delta"],
        gamma=sums["gamma"],
        vega=sums["vega"],
        theta=sums["theta"],
        rho=sums["rho"],
        vanna=sums["vanna"],
        volga=sums["volga"],
        charm=sums["charm"],
        vol=vol,
        years=years,
        checks=tuple(
            cached_delta_check(part.source, float(part.values[DELTA].sum()), part.source.cached_delta)
            for part in priced
            if part.source.cached_delta is not None
        ),
    )


def hedged_holdings(snapshot: Snapshot, target: Target) -> Decimal:
    """The holdings that count for the hedge, in units of the underlying."""
    counted = target.hedge_holdings and target.numeraire is Numeraire.USD
    held = (h for source in snapshot.sources for h in source.holdings if counted or not h.is_spot)
    return sum((h.size for h in held), Decimal(0))


def pace(priced: Sequence[Priced]) -> tuple[float, float]:
    """The live options' vol, weighted by |gamma|, and the years to the last of their expiries; 0 where none is live."""
    years = np.concatenate([p.columns.years for p in priced]) if priced else np.zeros(0)
    live = years > 0
    if not live.any():
        return 0.0, 0.0
    vols = np.concatenate([p.columns.vol for p in priced])[live]
    weights = np.abs(np.concatenate([p.values[GAMMA] for p in priced]))[live]
    weights = weights if weights.sum() > 0 else np.ones_like(vols)
    return float(np.average(vols, weights=weights)), float(years.max())


def doubts_of(snapshot: Snapshot, priced: Sequence[Priced], vol: float, doubts: Doubts) -> tuple[Bound, ...]:
    """What may move the delta, the orders in flight last.

    The vols of one expiry are taken to be off together, those of different expiries each for itself. The spot may be
    off by what its sources disagree, by the configured fraction, and by one standard deviation of its move since the
    block.
    """
    expiries = np.concatenate([p.columns.expiry for p in priced]) if priced else np.zeros(0)
    vannas = np.concatenate([p.values[VANNA] for p in priced]) if priced else np.zeros(0)
    _, group = np.unique(expiries, return_inverse=True)
    vanna = float(np.abs(np.bincount(group, weights=vannas)).sum())
    gamma = sum(part.gap_gamma for part in priced)
    spot = float(snapshot.spot)
    age = max(snapshot.at - snapshot.timestamp, 0)
    moved = spot * vol * math.sqrt(age / SECONDS_PER_YEAR)
    second = (
        *(source.spot for source in snapshot.sources if source.spot),
        *(feed.price for feed in snapshot.feeds),
    )
    others = (snapshot.venue.index, *second)
    apart = max(abs(float(price) - spot) for price in others)
    in_flight = float(snapshot.in_flight)
    return (
        symmetric("vols", vanna * float(doubts.vol)),
        symmetric("price sources apart", abs(gamma) * apart),
        symmetric("price error", abs(gamma) * spot * float(doubts.price)),
        symmetric("age of the price", abs(gamma) * moved),
        symmetric("settlement window", sum(p.window for p in priced)),
        Bound("settlement to come", sum(p.unsettled[0] for p in priced), sum(p.unsettled[1] for p in priced)),
        Bound("orders in flight", min(in_flight, 0.0), max(in_flight, 0.0)),
    )


def symmetric(name: str, half_width: float) -> Bound:
    """A doubt of the same size either way."""
    return Bound(name, -half_width if half_width else 0.0, half_width)


def widest(exposure: Exposure) -> Bound:
    """The doubt that moves the delta most."""
    return max(exposure.bounds, key=lambda bound: bound.above - bound.below)


def cached_delta_check(source: SourceState, ours: float, theirs: float) -> Check:
    """Our options delta at the live price beside the protocol's cached one, which ages and is never traded on."""
    return Check(
        name=f"{source.name} options delta",
        ours=ours,
        theirs=theirs,
        note=f"cached at price {source.cached_spot:.2f}, Unix time {source.cached_at}",
    )
