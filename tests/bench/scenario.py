"""How long a grid of scenarios takes for a large book. One thread."""

import time
from statistics import median
from typing import Final

import numpy as np

from bot.core.scenario import Grid, Held, revalue_grid

SEED: Final = 20_240_613
ROUNDS: Final = 5
POSITIONS: Final = 10_000
GRID: Final = Grid(
    prices=tuple(round(-0.5 + 0.05 * step, 2) for step in range(21)),
    vols=(-0.3, -0.2, -0.1, 0.0, 0.2, 0.5, 1.0),
    hours=(0.0, 24.0, 168.0),
)
"""21 prices × 7 vols × 3 times = 441 scenarios."""


def speed() -> dict[str, float]:
    """Milliseconds for one grid, the median of some rounds after the first, which compiles."""
    held = book(POSITIONS)
    times = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        revalue_grid(held, GRID)
        times.append(1000.0 * (time.perf_counter() - begun))
    return {f"scenario_ms_{POSITIONS}x{int(np.prod(GRID.shape))}": median(times[1:])}


def book(count: int) -> Held:
    """Random options, strikes at 0.5 to 2 times the spot, an hour to a year, vols of 30 to 150 %, calls and puts."""
    rng = np.random.default_rng(SEED)
    return Held(
        spot=2000.0,
        strike=2000.0 * np.exp(rng.uniform(np.log(0.5), np.log(2.0), count)),
        left=np.exp(rng.uniform(np.log(3_600.0), np.log(31_536_000.0), count)),
        window=np.zeros(count),
        vol=rng.uniform(0.3, 1.5, count),
        rate=np.full(count, 0.05),
        is_call=rng.random(count) < 0.5,
        size=rng.uniform(-10.0, 10.0, count),
        holdings=100.0,
        perp=-50.0,
        mark=2000.0,
        fee_ratio=0.001,
        funding_per_hour=0.00001,
    )


if __name__ == "__main__":
    print(speed())
