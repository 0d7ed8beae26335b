"""The demo on Rysk-like vaults and HyperCore, both stand-ins: hedged although orders act late and some vanish."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bot.core.model import Mode, OutcomeState
from bot.localnet.demo import Plan, Run, opened_app
from bot.localnet.demo_rysk import open_rysk_stage
from bot.localnet.hypercore.actions import LimitOrder
from bot.localnet.hypercore.model import Fate
from bot.simulate.measures import Measures
from bot.venues.hyperliquid_market import cloid_of

SENT = ("FILLED", "PARTIAL", "DEAD")


@dataclass(frozen=True)
class Done:
    """A finished run: its figures, the ledger's orders, and what HyperCore did with each by its client order id."""

    measures: Measures
    orders: list[dict[str, Any]]
    fates: dict[int, list[Fate]]
    position: Decimal
    expected: Decimal
    settled: int
    mode: Mode


def done(plan: Plan) -> Done:
    with open_rysk_stage(plan.seed, lambda _: None) as stage, opened_app(stage, plan.out) as app:
        run = Run(stage, app, plan, lambda _: None).run()
        (book,) = app.desk.books
        seen = app.desk.observe(book)
        fates: dict[int, list[Fate]] = {}
        for fate in stage.fates():
            if isinstance(fate.sent.action, LimitOrder):
                fates.setdefault(fate.sent.action.cloid, []).append(fate)
        market = seen.venue.position.market
        return Done(
            run.measures,
            [order for order in run.orders if order["kind"] == "trade" and order["outcome"] in SENT],
            fates,
            seen.venue.position.size,
            app.ledger.live_position(book.account.id, market),
            run.boards_settled,
            app.ledger.mode(book.account.id),
        )


def check(run: Done) -> None:
    """What holds after every run, however HyperCore treated its orders."""
    assert run.mode is Mode.ACTIVE
    assert run.orders
    assert run.position == run.expected, "the ledger's fills are the position"
    for order in run.orders:
        fates = run.fates.pop(cloid_of(order["key"]), [])
        assert len(fates) <= 1, "an order reached HyperCore twice"
        filled = fates[0].filled if fates else Decimal(0)
        assert (Decimal(order["size"]) if order["size"] is not None else Decimal(0)) == filled
        assert (order["outcome"] == OutcomeState.DEAD) is (filled == 0)
    assert not run.fates, "HyperCore got an order that the ledger doesn't know"


def test_a_short_run_is_hedged_and_every_fill_is_hypercores(tmp_path: Path) -> None:
    run = done(Plan(6, 30, 11, tmp_path, "hyperliquid"))
    check(run)
    assert run.measures.variance_reduction >= 0.9


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [7, 11, 23])
def test_two_days_with_expiries_are_hedged_although_one_order_in_ten_vanishes(
    tmp_path: Path, seed: int
) -> None:
    run = done(Plan(48, 15, seed, tmp_path, "hyperliquid"))
    dropped = [order for order in run.orders if order["outcome"] == OutcomeState.DEAD]
    check(run)
    assert run.measures.variance_reduction >= 0.9
    assert run.settled >= 1
    assert dropped, "one order in ten is dropped"
