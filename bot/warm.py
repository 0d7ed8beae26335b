"""Compiles the numeric functions that a tick needs and keeps them on disk: `python -m bot.warm`, once per installation.

Without it the first tick of an installation waits some seconds for the compiler.
"""

from decimal import Decimal
from pathlib import Path

import numpy as np

from bot.core.costs import Costs
from bot.core.model import CostPoint
from bot.core.policy import OptimalBand, WhalleyWilmott, Zakamouline
from bot.core.risk_target import DailyError
from bot.core.situation import Situation
from bot.pricing.black import black_scholes, book_delta


def main() -> None:
    """Calls each compiled function once, with numbers of the kinds that a tick has."""
    options = (np.array([2000.0, 2100.0]), np.array([0.1, 0.0]), np.array([0.8, 0.0]), 0.05)
    is_call = np.array([True, False])
    black_scholes(2000.0, *options, is_call)
    book_delta(np.array([1990.0, 2010.0]), *options, is_call, np.ones(2))
    one = Decimal(1)
    costs = Costs(Decimal(2000), one / 1000, (CostPoint(one, Decimal(2001)),), one, one / 1000)
    at = Situation(0.0, 0.0, -0.01, 2000.0, 0.8, 0.1, 0.05, 1e6, 0, 60, None, costs)
    for kind in (OptimalBand, WhalleyWilmott, Zakamouline):
        kind(DailyError(Decimal(100)), one).decide(at)


def is_cold() -> bool:
    """Whether nothing was compiled yet, so that the first tick would wait for the compiler."""
    from bot.pricing.kernel import greeks_loop

    kept = greeks_loop.stats.cache_path  # type: ignore[attr-defined]
    return not any(Path(kept).glob("kernel.greeks_loop-*.nbi"))


if __name__ == "__main__":
    main()
