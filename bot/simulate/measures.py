"""What a hedge was worth: variance reduction, efficiency and cost, from the marks that were read at each step."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run, in the order in which it happened. Money in USD, deltas in units of the underlying.

    M1 is marked after price, arbitrage and settlement, M2 after the traders' trades, just before the desk's tick.
    `hedge_m1` is what closing the hedge account at M1 would leave, less all gas paid so far. `vault_delta` is the
    vault's whole delta at M2, `net_before` and `net_after` the net delta around the tick.
    """

    at: int
    price: Decimal
    nav_m1: Decimal
    nav_m2: Decimal
    hedge_m1: Decimal
    venue_value_m1: Decimal
    vault_delta: float
    net_before: float
    net_after: float
    hedges: int


@dataclass(frozen=True, slots=True)
class Measures:
    """Figures of a run. Standard deviations are of one step's change in USD.

    `variance_reduction` = 1 − var(hedged) ÷ var(unhedged); `efficiency` = var(a cost-free hedge to the full delta at
    every step of the same path) ÷ var(hedged): 1 means that nothing better was possible at these steps. The two
    profits are the ends of `profit`.
    """

    variance_reduction: float
    efficiency: float
    pnl_std_unhedged_usd: float
    pnl_std_hedged_usd: float
    pnl_unhedged_usd: float
    pnl_hedged_usd: float
    max_abs_delta_before: float
    max_abs_delta_after: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What hedging cost, in USD."""

    fees: float
    impact: float
    gas: float
    funding: float

    @property
    def total(self) -> float:
        """All of it, in USD."""
        return self.fees + self.impact + self.gas + self.funding

    def in_words(self) -> str:
        """The parts for people."""
        parts = {"fees": self.fees, "impact": self.impact, "gas": self.gas, "funding": self.funding}
        return ", ".join(f"{name} {usd(amount)}" for name, amount in parts.items())


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A finished run."""

    hours: float
    seed: int
    steps: tuple[Step, ...]
    orders: tuple[dict[str, Any], ...]
    ticks: int
    hedges: int
    rejected: int
    boards_settled: int
    traders_trades: int
    measures: Measures
    cost: Cost
    venue_value_usd: Decimal
    nav_usd: Decimal
    ledger: Path

    def summary(self) -> dict[str, Any]:
        """The figures as plain values for JSON."""
        return {
            "hours": self.hours,
            "seed": self.seed,
            "ticks": self.ticks,
            "hedges": self.hedges,
            "rejected": self.rejected,
            "boards_settled": self.boards_settled,
            "traders_trades": self.traders_trades,
            **{name: round(value, 6) for name, value in asdict(self.measures).items()},
            "cost_usd": {name: round(value, 4) for name, value in asdict(self.cost).items()},
            "venue_account_value_usd": round(float(self.venue_value_usd), 4),
            "vault_nav_usd": round(float(self.nav_usd), 4),
            "txs": [order["hash"] for order in self.orders if order["hash"]],
            "ledger": str(self.ledger),
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """Per-step changes in USD, from step 1 on. Shape (steps − 1,)."""

    unhedged: NDArray[np.float64]
    hedged: NDArray[np.float64]
    cost_free: NDArray[np.float64]


def changes(steps: Sequence[Step]) -> Changes:
    """The changes between steps.

    Unhedged is NAV at this step's M1 less NAV at the last one's M2: what the market did to the positions that were
    there, so that a new trade's premium and its liability never count apart. Hedged adds the hedge account's change
    from M1 to M1, costs included. The cost-free hedge holds minus the vault's delta over each step.
    """
    pairs = list(itertools.pairwise(steps))
    unhedged = np.array([float(now.nav_m1 - last.nav_m2) for last, now in pairs])
    hedge = np.array([float(now.hedge_m1 - last.hedge_m1) for last, now in pairs])
    ideal = np.array([-last.vault_delta * float(now.price - last.price) for last, now in pairs])
    return Changes(unhedged, unhedged + hedge, unhedged + ideal)


def profit(steps: Sequence[Step]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Profit since the first step in USD, without and with the hedge account. Shape (steps,) each.

    Unlike `changes` it has what the option traders paid in it: the vault's own NAV after the step's trades.
    """
    vault = np.array([float(step.nav_m2 - steps[0].nav_m2) for step in steps])
    hedge = np.array([float(step.hedge_m1 - steps[0].hedge_m1) for step in steps])
    return vault, vault + hedge


def measures(steps: Sequence[Step]) -> Measures:
    """All figures of a run. ValueError for fewer than three steps, which have no variance."""
    if len(steps) < 3:
        raise ValueError(f"a run of {len(steps)} steps has no variance to measure")
    change = changes(steps)
    unhedged, hedged = float(np.var(change.unhedged)), float(np.var(change.hedged))
    if unhedged == 0 or hedged == 0:
        raise ValueError("nothing moved in this run, so there is no variance to compare")
    return Measures(
        variance_reduction=1 - hedged / unhedged,
        efficiency=float(np.var(change.cost_free)) / hedged,
        pnl_std_unhedged_usd=unhedged**0.5,
        pnl_std_hedged_usd=hedged**0.5,
        pnl_unhedged_usd=float(profit(steps)[0][-1]),
        pnl_hedged_usd=float(profit(steps)[1][-1]),
        max_abs_delta_before=max(abs(step.net_before) for step in steps),
        max_abs_delta_after=max(abs(step.net_after) for step in steps),
    )


def usd(amount: float) -> str:
    """A sum of money for people, to the cent."""
    return f"{'−' if amount < 0 else ''}${abs(amount):,.2f}"
