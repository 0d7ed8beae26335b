"""Seeded price paths: a jump-diffusion without drift."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

DAY_S: Final = 86_400
YEAR_S: Final = 365 * DAY_S


@dataclass(frozen=True)
class JumpDiffusion:
    """How a price moves. The expected price is the starting price at every horizon.

    `annual_vol` is the diffusion's standard deviation of log returns per square root of a year, without the
    jumps; `jump_std` is the standard deviation of one jump's log return.
    """

    annual_vol: float = 0.80
    jumps_per_day: float = 1.0
    jump_std: float = 0.02

    def path(self, start: float, steps: int, step_s: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """`steps + 1` prices, `step_s` seconds apart, the first of which is `start`. The rng is drawn from."""
        diffusion_std = self.annual_vol * math.sqrt(step_s / YEAR_S)
        jumps_per_step = self.jumps_per_day * step_s / DAY_S
        # The mean of exp(x) is above exp(mean of x): taken off, so that neither part drifts.
        compensation = diffusion_std**2 / 2 + jumps_per_step * math.expm1(self.jump_std**2 / 2)
        diffusion = diffusion_std * rng.standard_normal(steps)
        # The sum of n independent jumps is one normal draw, sqrt(n) as wide.
        jumps = self.jump_std * np.sqrt(rng.poisson(jumps_per_step, steps)) * rng.standard_normal(steps)
        log_prices = np.concatenate(([0.0], np.cumsum(diffusion + jumps - compensation)))
        return start * np.exp(log_prices)
