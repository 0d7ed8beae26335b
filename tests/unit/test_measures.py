"""What a hedge was worth, on steps whose answers are known by hand."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.simulate.measures import Cost, Measures, Step, changes, measures

START = 2000


def step(number: int, price: float) -> Step:
    """A step of a vault that is short one unit of delta, and whose NAV follows it exactly."""
    nav = Decimal(100_000) - (Decimal(str(price)) - START)
    return Step(
        at=number * 900,
        price=Decimal(str(price)),
        nav_m1=nav,
        nav_m2=nav,
        hedge_m1=Decimal(0),
        venue_value_m1=Decimal(0),
        vault_delta=-1.0,
        net_before=-1.0,
        net_after=0.0,
        hedges=0,
    )


PRICES = (2000, 2010, 1990, 2030)
UNHEDGED = [step(i, price) for i, price in enumerate(PRICES)]


def hedged(share: float, cost_per_step: float = 0.0) -> list[Step]:
    """The same path with a hedge account that holds `share` of the delta and pays something per step."""
    return [
        replace(s, hedge_m1=Decimal(str(share * (float(s.price) - START) - cost_per_step * i)))
        for i, s in enumerate(UNHEDGED)
    ]


def test_a_half_hedge_removes_three_quarters_of_the_variance() -> None:
    got = measures(hedged(0.5))
    assert got.variance_reduction == pytest.approx(0.75)
    assert got.pnl_std_hedged_usd == pytest.approx(got.pnl_std_unhedged_usd / 2)


def test_no_hedge_removes_nothing_and_a_wrong_one_adds() -> None:
    assert measures(hedged(0.0)).variance_reduction == pytest.approx(0.0)
    assert measures(hedged(-1.0)).variance_reduction == pytest.approx(-3.0)


def test_the_standard_deviations_are_those_of_one_steps_change() -> None:
    moves = [-10, 20, -40]
    mean = sum(moves) / 3
    deviation = (sum((move - mean) ** 2 for move in moves) / 3) ** 0.5
    assert measures(UNHEDGED).pnl_std_unhedged_usd == pytest.approx(deviation)


def test_the_efficiency_is_the_best_possible_variance_over_ours() -> None:
    """Where the delta is known exactly the cost-free hedge leaves nothing; here it leaves what the gamma adds."""
    gamma = [-1.0, 3.0, -2.0]
    steps = [
        replace(s, nav_m1=s.nav_m1 + Decimal(str(add)), hedge_m1=Decimal(str(0.5 * (float(s.price) - START))))
        for s, add in zip(UNHEDGED, [0.0, *gamma], strict=True)
    ]
    ours = [-10 + 5 - 1.0, 20 - 10 + 3.0, -40 + 20 - 2.0]
    expected = variance(gamma) / variance(ours)
    assert measures(steps).efficiency == pytest.approx(expected)
    assert 0 < expected < 1


def variance(values: list[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)


def test_a_constant_cost_is_no_variance_and_a_loss_all_the_same() -> None:
    free, paid = measures(hedged(0.5)), measures(hedged(0.5, cost_per_step=7.0))
    assert paid.variance_reduction == pytest.approx(free.variance_reduction)
    assert paid.pnl_hedged_usd == pytest.approx(free.pnl_hedged_usd - 21.0)
    assert paid.pnl_unhedged_usd == free.pnl_unhedged_usd


def with_premium(premium: float, liability: float) -> list[Step]:
    """A trade at step 1, between its two marks: the premium comes in and the liability with it."""
    return [
        replace(s, nav_m2=s.nav_m2 + Decimal(str(premium - liability))) if i == 1 else s
        for i, s in enumerate(UNHEDGED)
    ]


@pytest.mark.parametrize(("premium", "liability"), [(500.0, 0.0), (0.0, 500.0), (500.0, 480.0)])
def test_a_new_trades_premium_and_liability_are_no_move_of_the_market(
    premium: float, liability: float
) -> None:
    steps = with_premium(premium, liability)
    kept = [
        replace(
            s,
            nav_m1=s.nav_m1 + Decimal(str(premium - liability)),
            nav_m2=s.nav_m2 + Decimal(str(premium - liability)),
        )
        if i > 1
        else s
        for i, s in enumerate(steps)
    ]
    assert list(changes(kept).unhedged) == pytest.approx([-10, 20, -40])
    assert measures(kept).variance_reduction == pytest.approx(measures(UNHEDGED).variance_reduction)


def test_the_delta_that_a_trade_brought_counts_from_its_own_step_on() -> None:
    steps = [replace(s, vault_delta=-1.0 if i < 2 else -3.0) for i, s in enumerate(UNHEDGED)]
    ideal = changes(steps).cost_free - changes(steps).unhedged
    assert list(ideal) == pytest.approx([10, -20, 3 * 40])


def test_the_largest_deltas_have_no_sign() -> None:
    steps = [
        replace(s, net_before=before, net_after=after)
        for s, before, after in zip(UNHEDGED, (1.0, -7.5, 2.0, 0.0), (0.1, 0.2, -0.4, 0.0), strict=True)
    ]
    got: Measures = measures(steps)
    assert (got.max_abs_delta_before, got.max_abs_delta_after) == (7.5, 0.4)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_steps_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match=f"a run of {count} steps has no variance"):
        measures(UNHEDGED[:count])


def test_three_steps_are_enough() -> None:
    assert measures(UNHEDGED[:3]).pnl_std_unhedged_usd > 0


def test_a_run_without_any_move_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing moved"):
        measures([step(i, START) for i in range(4)])


def test_a_cost_is_the_sum_of_its_parts() -> None:
    assert Cost(fees=1.0, impact=2.0, gas=3.0, funding=-4.5).total == 1.5
