"""All measurements in one run: tables for people, one JSON object with `--json`.

Speeds are ratios against libraries measured in the same run, for machines differ and are shared; absolute rates are
printed beside them.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import dashboard
import policies
import pricing
import scenario
import ticks
from rich.console import Console
from rich.table import Table

FULL = {"options": 1_000_000, "random": 100_000}
QUICK = {"options": 200_000, "random": 10_000}

people = Console(stderr=True)


def main() -> None:
    """Measures everything and prints it."""
    quick, as_json = "--quick" in sys.argv, "--json" in sys.argv
    size = QUICK if quick else FULL
    figures: dict[str, Any] = {"quick": quick}
    figures |= step("price, greeks and implied vol: speed", lambda: pricing.speed(size["options"]))
    figures |= step("price, greeks and implied vol: accuracy", lambda: pricing.accuracy(size["random"]))
    for count in (100, 10_000):
        name = f"decision_ms_{count}"
        figures |= step(f"a decision of {count} positions", lambda n=name, c=count: {n: ticks.decision_ms(c)})
    figures |= step("a grid of scenarios", scenario.speed)
    figures |= step("ticks on the local chain", ticks.requests)
    waking = ticks.waking(figures["tick_requests_idle"], figures["look_requests"])
    figures["waking"] = waking
    figures |= step("the dashboard", lambda: dashboard.figures(quick))
    quality = step("policies against the optimum", lambda: policies.quality(quick))
    figures["policy_ce_ratio"] = quality["policy_ce_ratio"]
    shown = people if as_json else Console()
    for table in (plain_table(figures), waking_table(waking), policies.table(policies.found_in(quality))):
        shown.print(table)
    if as_json:
        print(json.dumps(figures))


def step(name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `work` measures, with a line before it and its time after."""
    people.print(f"{name} …", end=" ")
    begun = time.perf_counter()
    found = work()
    people.print(f"{time.perf_counter() - begun:.1f} s")
    return found


def plain_table(figures: dict[str, Any]) -> Table:
    """Every plain number."""
    table = Table("figure", "value", title="Measured", title_justify="left")
    for name, value in figures.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            table.add_row(name, f"{value:.4g}")
    for beside, value in figures["dashboard_commit_p99_ms"].items():
        table.add_row(f"dashboard_commit_p99_ms {beside}", f"{value:.4g}")
    for costs, value in figures["policy_ce_ratio"].items():
        table.add_row(f"policy_ce_ratio {costs}", f"{value:.4f}")
    return table


def waking_table(waking: dict[str, dict[str, float]]) -> Table:
    """What the ways to run cost, and how late they are."""
    table = Table(
        "way to run", "requests per hour", "mean delay", title="Waking on price", title_justify="left"
    )
    for name, found in waking.items():
        table.add_row(name, f"{found['requests_per_hour']:,.0f}", f"{found['mean_delay_s']:.1f} s")
    return table


if __name__ == "__main__":
    main()
