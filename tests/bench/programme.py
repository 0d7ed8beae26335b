"""The best that any hedging rule can do, from a dynamic programme on a lattice, and our band on the same lattice.

Short one call and one put at the money, S = K = 1, σ = 70 %, 30 days, no rate, exponential utility, the hedge unwound
at expiry. The log price makes one of three steps per check (Gauss-Hermite: ±√3 s with probability 1/6, 0 with 2/3),
which matches a normal step up to its fifth moment. State: the price's node and the hedge, on a grid. Cash factors out
of an exponential utility, so W(t, S, y) = E[e^(γ · loss to come)] obeys

    U(t, S, y) = E[e^(−γ y ΔS + γ ΔV) W(t + Δt, S', y)]        V: the book's fair value on the lattice
    W(t, S, y) = min(U(y), e^(γf) min over y' of e^(γλS|y' − y|) U(y'))

and the certainty equivalent's loss is ln W(0, 1, 0)/γ. The band's own loss replaces the minimum by what it does.
Both are exact on the lattice up to the hedge's grid; nodes beyond 5 standard deviations are left out.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bot.core.bands import optimal_band
from bot.pricing.compiled import compiled

VOL: Final = 0.7
YEARS: Final = 30 / 365
RATIO: Final = 5e-4
FIXED: Final = {"no_gas": 0.0, "gas": 3e-5, "gas_x10": 3e-4}
AVERSIONS: Final = (1.0, 4.0, 16.0, 32.0)
REACH: Final = 5.0
WIDEST: Final = 1.4
"""The hedge's grid reaches from minus to plus this many units."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """Losses of the certainty equivalent in USD at one fixed cost and one γ (in 1/S), and their ratio."""

    costs: str
    aversion: float
    limit: float
    band: float

    @property
    def ratio(self) -> float:
        """The band's loss ÷ the limit's."""
        return self.band / self.limit


def cells(checks: int, points: int) -> tuple[Cell, ...]:
    """Every fixed cost with every γ, for `checks` per life and a grid of `points` hedges (odd)."""
    return tuple(
        Cell(
            name,
            aversion,
            loss(checks, points, aversion, RATIO, fixed, True),
            loss(checks, points, aversion, RATIO, fixed, False),
        )
        for name, fixed in FIXED.items()
        for aversion in AVERSIONS
    )


@compiled
def loss(checks: int, points: int, aversion: float, ratio: float, fixed: float, best: bool) -> float:
    """The loss of the certainty equivalent in USD, of the best rule or of the band. State: (nodes, points)."""
    step = VOL * math.sqrt(YEARS / checks)
    jump = math.sqrt(3.0) * step
    drift = math.log(2.0 / 3.0 + math.cosh(jump) / 3.0)
    nodes = int(REACH * math.sqrt(checks / 3.0)) + 3
    grid = 2.0 * WIDEST / (points - 1)
    after, now = np.empty((2 * nodes + 1, points)), np.empty((2 * nodes + 1, points))
    value, value_now = np.empty(2 * nodes + 1), np.empty(2 * nodes + 1)
    held, other = np.empty(points), np.empty(points)
    for node in range(2 * nodes + 1):
        spot = math.exp((node - nodes) * jump - checks * drift)
        value[node] = abs(spot - 1.0)
        for i in range(points):
            hedge = abs(i * grid - WIDEST)
            unwinding = ratio * spot * hedge + (fixed if hedge > grid / 2 else 0.0)
            after[node, i] = math.exp(aversion * unwinding)
    for check in range(checks - 1, -1, -1):
        edge = min(check, int(REACH * math.sqrt(check / 3.0)) + 2)
        years = YEARS * (checks - check) / checks
        for node in range(nodes - edge, nodes + edge + 1):
            spot = math.exp((node - nodes) * jump - check * drift)
            fair = (value[node - 1] + 4.0 * value[node] + value[node + 1]) / 6.0
            value_now[node] = fair
            _hold(aversion, spot, jump, drift, fair, grid, node, value, after, held)
            if best:
                _choose(aversion, ratio * spot, fixed, grid, held, other, now[node])
            else:
                _follow(aversion, ratio, fixed, spot, years, YEARS / checks, grid, held, now[node])
        # The cone's neighbours: what lies beyond is taken as its edge.
        for outside, inside in ((nodes - edge - 1, nodes - edge), (nodes + edge + 1, nodes + edge)):
            value_now[outside] = value_now[inside]
            now[outside] = now[inside]
        value, value_now = value_now, value
        after, now = now, after
    return math.log(after[nodes, (points - 1) // 2]) / aversion


@compiled
def _hold(
    aversion: float,
    spot: float,
    jump: float,
    drift: float,
    fair: float,
    grid: float,
    node: int,
    value: Array,
    after: Array,
    held: Array,
) -> None:
    """U at one node for every hedge. Shapes: value (nodes,), after (nodes, points), held (points,)."""
    up = spot * math.exp(jump - drift) - spot
    flat = spot * math.exp(-drift) - spot
    down = spot * math.exp(-jump - drift) - spot
    weight_up = math.exp(aversion * (WIDEST * up + value[node + 1] - fair)) / 6.0
    weight_flat = math.exp(aversion * (WIDEST * flat + value[node] - fair)) * 2.0 / 3.0
    weight_down = math.exp(aversion * (WIDEST * down + value[node - 1] - fair)) / 6.0
    # One more grid step of hedge is one more factor: no exponential per hedge.
    factor_up, factor_flat = math.exp(-aversion * grid * up), math.exp(-aversion * grid * flat)
    factor_down = math.exp(-aversion * grid * down)
    for i in range(held.size):
        held[i] = (
            weight_up * after[node + 1, i] + weight_flat * after[node, i] + weight_down * after[node - 1, i]
        )
        weight_up *= factor_up
        weight_flat *= factor_flat
        weight_down *= factor_down


@compiled
def _choose(
    aversion: float, unit_cost: float, fixed: float, grid: float, held: Array, lower: Array, now: Array
) -> None:
    """The minimum over all trades and none: two sweeps, for a proportional cost adds up grid step by grid step."""
    unit, once = math.exp(aversion * unit_cost * grid), math.exp(aversion * fixed)
    lower[0] = held[0]
    for i in range(1, held.size):
        lower[i] = min(held[i], lower[i - 1] * unit)
    upper = held[held.size - 1]
    for i in range(held.size - 1, -1, -1):
        upper = min(held[i], upper * unit)
        now[i] = min(held[i], once * min(upper, lower[i]))


@compiled
def _follow(
    aversion: float,
    ratio: float,
    fixed: float,
    spot: float,
    years: float,
    check_years: float,
    grid: float,
    held: Array,
    now: Array,
) -> None:
    """What the band makes of every hedge: its target lies between two hedges of the grid and is interpolated."""
    total = VOL * math.sqrt(years)
    d1 = math.log(spot) / total + total / 2.0
    delta = 1.0 - math.erfc(d1 / math.sqrt(2.0))
    gamma = 2.0 * math.exp(-d1 * d1 / 2.0) / math.sqrt(2.0 * math.pi) / (spot * total)
    trigger, target = optimal_band(gamma, spot, VOL, years, aversion, ratio, fixed, check_years)
    low, high = max(delta - target, -WIDEST), min(delta + target, WIDEST)
    at_low, at_high = _between(held, (low + WIDEST) / grid), _between(held, (high + WIDEST) / grid)
    once = math.exp(aversion * fixed)
    for i in range(held.size):
        hedge = i * grid - WIDEST
        if hedge - delta > trigger:
            now[i] = at_high * once * math.exp(aversion * ratio * spot * (hedge - high))
        elif delta - hedge > trigger:
            now[i] = at_low * once * math.exp(aversion * ratio * spot * (low - hedge))
        else:
            now[i] = held[i]


@compiled
def _between(values: Array, place: float) -> float:
    """`values` at a place between two of its indices, linearly."""
    low = min(max(int(place), 0), values.size - 2)
    share = place - low
    between: float = values[low] * (1.0 - share) + values[low + 1] * share
    return between
