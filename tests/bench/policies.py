"""How near each policy comes to the limit. `python tests/bench/policies.py [--quick]` prints docs/policies.md's table.

The band's ratio is exact, from the lattice of programme.py. The other policies are simulated on the same 20,000 paths
as the band; their loss ÷ the band's loss there × the band's exact ratio is their ratio to the limit. Each has its
parameter chosen afresh for every cost and every γ, from a grid, to have the least loss; the band's γ is literal.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parent))

from programme import AVERSIONS, FIXED, RATIO, Cell, cells

from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk_target import Aversion
from bot.simulate.hedging import Market, OptionBook, Run, certainty_loss, simulate

NONE: Final = Decimal(0)
CHECKS: Final = 2_880
PATHS: Final = 20_000
SEED: Final = 7
WIDTHS: Final = ("0.02", "0.04", "0.06", "0.08", "0.1", "0.13", "0.17", "0.22", "0.3", "0.4", "0.6", "0.9")
MOVES: Final = ("0.005", "0.01", "0.015", "0.02", "0.03", "0.04", "0.06", "0.08", "0.12", "0.18", "0.25")
HOURS: Final = ("0.25", "0.5", "1", "2", "4", "8", "16", "24", "48", "96", "192", "384")
GAMMAS: Final = tuple(str(2.0**power) for power in range(-16, 9))

FAMILIES: Final[dict[str, tuple[Policy, ...]]] = {
    "interval": tuple(Interval(int(Decimal(hours) * 3600), NONE) for hours in HOURS),
    "price_move": tuple(PriceMove(Decimal(move), NONE) for move in MOVES),
    "delta_band to the centre": tuple(DeltaBand(Decimal(width), NONE, NONE) for width in WIDTHS),
    "delta_band to the edge": tuple(DeltaBand(Decimal(width), Decimal(width), NONE) for width in WIDTHS),
    "whalley_wilmott": tuple(WhalleyWilmott(Aversion(Decimal(gamma)), NONE) for gamma in GAMMAS),
    "zakamouline": tuple(Zakamouline(Aversion(Decimal(gamma)), NONE) for gamma in GAMMAS),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One policy at one fixed cost and one γ: its loss ÷ the limit's, and its best parameters."""

    policy: str
    costs: str
    aversion: float
    ratio: float
    best: str


def quality(quick: bool) -> dict[str, Any]:
    """`policy_ce_ratio`: the band's worst ratio to the limit over the four γ, by fixed cost; and what is behind it.

    Quick: checks every 30 minutes, a coarser grid of hedges, no simulated policies.
    """
    exact = cells(1_440, 281) if quick else cells(CHECKS, 401)
    worst = {name: max(cell.ratio for cell in exact if cell.costs == name) for name in FIXED}
    return {
        "policy_ce_ratio": worst,
        "cells": [asdict(cell) | {"ratio": cell.ratio} for cell in exact],
        "policies": [] if quick else [asdict(row) for row in rows(exact)],
    }


def rows(exact: Sequence[Cell]) -> list[Row]:
    """Every family of policies at its best, and the band, at every fixed cost and γ."""
    book = OptionBook()
    members = [policy for family in FAMILIES.values() for policy in family]
    runs = simulate(book, members, Market(CHECKS, RATIO), paths=PATHS, seed=SEED)
    by_policy = dict(zip(members, runs, strict=True))
    found: list[Row] = []
    for name, fixed in FIXED.items():
        bands = [OptimalBand(Aversion(Decimal(str(aversion))), NONE) for aversion in AVERSIONS]
        ours = simulate(book, bands, Market(CHECKS, RATIO, fixed), paths=PATHS, seed=SEED)
        for aversion, run in zip(AVERSIONS, ours, strict=True):
            cell = next(c for c in exact if (c.costs, c.aversion) == (name, aversion))
            unit = certainty_loss(run.profit(RATIO, fixed), aversion) / cell.ratio
            for family, policies in FAMILIES.items():
                found.append(_best(family, policies, by_policy, name, fixed, aversion, unit))
            found.append(Row("optimal_band", name, aversion, cell.ratio, "γ as given"))
    return found


def _best(
    family: str,
    policies: Sequence[Policy],
    by_policy: dict[Policy, Run],
    name: str,
    fixed: float,
    aversion: float,
    unit: float,
) -> Row:
    """The member of a family with the least loss, in units of the limit's."""
    losses = {policy: certainty_loss(by_policy[policy].profit(RATIO, fixed), aversion) for policy in policies}
    best = min(losses, key=lambda policy: losses[policy])
    return Row(family, name, aversion, losses[best] / unit, repr(best))


def found_in(result: dict[str, Any]) -> list[dict[str, Any]]:
    """A quality's rows: those of every policy, or of the band alone where no other was simulated."""
    own = [cell | {"policy": "optimal_band"} for cell in result["cells"]]
    return result["policies"] or own


def table(found: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table: a line per policy and fixed cost, a column per γ."""
    lines = ["| policy | costs | " + " | ".join(f"γ = {gamma:g}" for gamma in AVERSIONS) + " |"]
    lines.append("|---|---|" + "---|" * len(AVERSIONS))
    for name in FIXED:
        for policy in dict.fromkeys(row["policy"] for row in found):
            ratios = [row["ratio"] for row in found if (row["policy"], row["costs"]) == (policy, name)]
            lines.append(f"| {policy} | {name} | " + " | ".join(f"{ratio:.3f}" for ratio in ratios) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    started = time.monotonic()
    result = quality(quick="--quick" in sys.argv)
    print(table(found_in(result)))
    for row in result["policies"]:
        print(row["policy"], row["costs"], row["aversion"], row["best"])
    print({name: round(ratio, 4) for name, ratio in result["policy_ce_ratio"].items()})
    print(f"{time.monotonic() - started:.0f} s")
