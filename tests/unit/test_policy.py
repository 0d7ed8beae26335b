"""The policies: when each trades, how much, and that none overshoots."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.bands import OPTIMAL, Conditions, optimal_band, whalley_wilmott
from bot.core.costs import Costs
from bot.core.model import Band, CostPoint, Hold, LastTrade, PriceBand, Rebalance
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
    least_trade,
)
from bot.core.risk_target import Aversion, DailyError, DailyErrorOfNav, UnreachableTarget, aversion_of
from bot.core.situation import Situation
from bot.errors import DataError

NONE = Decimal(0)
NOW = 1_700_000_000
IMPACT = Decimal("0.2")
"""USD per unit and unit traded."""
SIZES = st.decimals("0", "1000", places=3)
LOTS = st.sampled_from([Decimal(text) for text in ("0.000001", "0.001", "0.01", "0.5", "1", "10")])
GAPS = st.floats(-1e6, 1e6, allow_nan=False)
RISK = Aversion(Decimal("0.001"))


def costs(**changes: Any) -> Costs:
    """2000 USD, fee of 10 bp, 1.8 USD per order, a price that moves with the size."""
    curve = tuple(
        CostPoint(
            Decimal(size), Decimal(2000) + (IMPACT * size if abs(size) < 1000 else 4 * size // abs(size))
        )
        for size in (-5, 5, -20, 20)
    )
    values: dict[str, Any] = {
        "mark": Decimal(2000),
        "fee_ratio": Decimal("0.001"),
        "curve": curve,
        "gas_usd": Decimal("1.8"),
        "lot": Decimal("0.001"),
    }
    return Costs(**(values | changes))


def situation(low: float, high: float | None = None, **changes: Any) -> Situation:
    """A short book of a gamma of 0.02 per USD with a week to go, ticks every five minutes."""
    values: dict[str, Any] = {
        "gap_lo": low,
        "gap_hi": low if high is None else high,
        "gamma": -0.02,
        "spot": 2000.0,
        "vol": 0.8,
        "years": 7 / 365,
        "rate": 0.0,
        "nav_usd": 1e6,
        "now": NOW,
        "interval_s": 300,
        "last_trade": None,
        "costs": costs(),
    }
    return Situation(**(values | changes))


def every_policy(min_trade: Decimal = NONE) -> list[Policy]:
    return [
        Interval(3600, min_trade),
        PriceMove(Decimal("0.01"), min_trade),
        DeltaBand(Decimal("0.5"), Decimal("0.2"), min_trade),
        WhalleyWilmott(RISK, min_trade),
        Zakamouline(RISK, min_trade),
        OptimalBand(RISK, min_trade),
        OptimalBand(DailyError(Decimal(300)), min_trade),
    ]


ARGUMENT = {"gap_lo": "low", "gap_hi": "high"}
POLICIES = st.integers(0, 6)


def centre_of(decision: Hold | Rebalance) -> float:
    return float(decision.arithmetic["centre"])


@given(POLICIES, GAPS, SIZES, LOTS)
@example(2, 0.5, NONE, Decimal("0.001"))
@example(2, 0.5000000001, NONE, Decimal("0.001"))
def test_a_trade_brings_the_gap_within_a_lot_of_the_target_and_not_past_the_centre(
    index: int, gap: float, min_trade: Decimal, lot: Decimal
) -> None:
    policy = every_policy(min_trade)[index]
    decision = policy.decide(situation(gap, costs=costs(lot=lot)))
    assert "target" in decision.arithmetic
    if isinstance(decision, Hold):
        assert decision.code in {"INSIDE_BAND", "BELOW_MIN_TRADE"}
        assert isinstance(decision.band, Band)
        slack = 1e-6 * max(1.0, abs(gap)) + float(lot)
        assert decision.band.low - slack <= gap <= decision.band.high + slack
        return
    centre, target = centre_of(decision), float(decision.arithmetic["target"])
    away, left = gap - centre, gap + float(decision.size) - centre
    slack = 1e-5 * max(1.0, abs(gap), target)
    assert (decision.size > 0) == (away < 0)
    assert left * math.copysign(1, away) >= -slack, "it crossed the centre"
    assert target - slack <= abs(left) <= target + float(lot) + slack
    assert decision.size % lot == 0
    assert abs(decision.size) >= max(min_trade, lot)


@given(POLICIES, st.floats(-1, 1), SIZES, LOTS)
def test_it_never_trades_inside_its_band(index: int, share: float, min_trade: Decimal, lot: Decimal) -> None:
    policy = every_policy(min_trade)[index]
    band = policy.decide(situation(0.0, costs=costs(lot=lot))).band
    assert isinstance(band, Band)
    middle, half = (band.low + band.high) / 2, (band.high - band.low) / 2
    inside = policy.decide(situation(middle + share * half * (1 - 1e-9), costs=costs(lot=lot)))
    assert isinstance(inside, Hold)
    least = float(least_trade(min_trade, lot) or lot)
    beyond = policy.decide(situation(band.high + 1e-6 * half + least * 1e-6, costs=costs(lot=lot)))
    assert isinstance(beyond, Rebalance)


@given(POLICIES, GAPS, GAPS, LOTS)
@example(2, -5.0, 5.0, Decimal("0.001"))
@example(2, -7.0, -2.0, Decimal("0.001"))
def test_a_trade_is_right_whichever_end_of_the_interval_is_true(
    index: int, one: float, other: float, lot: Decimal
) -> None:
    low, high = sorted((one, other))
    decision = every_policy()[index].decide(situation(low, high, costs=costs(lot=lot)))
    centre = centre_of(decision)
    if isinstance(decision, Hold):
        return
    assert not low <= centre <= high
    for end in (low, high):
        left = end + float(decision.size) - centre
        slack = 1e-5 * max(1.0, abs(end))
        assert abs(left) < abs(end - centre)
        assert left * math.copysign(1, end - centre) >= -slack, "it crossed the centre"


@pytest.mark.parametrize("policy", every_policy(Decimal(1)), ids=lambda policy: type(policy).__name__)
def test_a_trade_below_the_least_is_held(policy: Policy) -> None:
    # Without costs and gamma the bands have no width: only the least trade holds the gap.
    near = situation(0.9, gamma=-1e-9, years=0.019, costs=costs(gas_usd=NONE, fee_ratio=NONE, curve=()))
    decision = policy.decide(near)
    assert isinstance(decision, Hold)
    assert decision.code in {"BELOW_MIN_TRADE", "INSIDE_BAND"}


def test_below_the_smallest_trade_it_holds_and_at_it_it_trades() -> None:
    policy = DeltaBand(Decimal("0.5"), NONE, Decimal(1))
    below = policy.decide(situation(-0.9994))
    assert isinstance(below, Hold)
    assert below.code == "BELOW_MIN_TRADE"
    assert "0.999" in below.text
    assert below.band == Band(-1.0, 1.0)
    assert isinstance(policy.decide(situation(-1.0)), Rebalance)


@pytest.mark.parametrize(("gap", "size"), [(3.2, "-3.2"), (-3.2, "3.2"), (0.6, "-0.6")])
def test_a_long_gap_sells_and_a_short_gap_buys(gap: float, size: str) -> None:
    decision = DeltaBand(Decimal("0.5"), NONE, NONE).decide(situation(gap))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal(size)
    assert ("sell" if gap > 0 else "buy") in decision.text
    assert decision.arithmetic.items() >= costs().itemise(decision.size).items()
    assert decision.arithmetic["cost_now_usd"] == decision.arithmetic["cost_usd"]


def test_an_interval_waits_for_its_time_and_needs_no_first_trade() -> None:
    policy = Interval(3600, NONE)
    recent = policy.decide(situation(9.0, last_trade=LastTrade(NOW - 3599, Decimal(2000))))
    assert isinstance(recent, Hold)
    assert (recent.code, recent.band) == ("NOT_DUE", None)
    for last in (LastTrade(NOW - 3600, Decimal(2000)), None):
        due = policy.decide(situation(9.0, last_trade=last))
        assert isinstance(due, Rebalance)
        assert due.size == -9


@pytest.mark.parametrize(("spot", "due"), [(2019.9, False), (1980.1, False), (2020.0, True), (1980.0, True)])
def test_a_price_move_is_measured_from_the_last_trade(spot: float, due: bool) -> None:
    last = LastTrade(NOW - 10, Decimal(2000))
    decision = PriceMove(Decimal("0.01"), NONE).decide(situation(3.0, spot=spot, last_trade=last))
    assert isinstance(decision, Rebalance) == due
    around = Decimal(repr(spot)) if due else Decimal(2000)
    assert decision.band == PriceBand(around * Decimal("0.99"), around * Decimal("1.01"))
    if isinstance(decision, Hold):
        assert decision.code == "NOT_DUE"


def flat(ratio: str = "0.001", gas: str = "0") -> Costs:
    """Costs that are the same at every size."""
    points = tuple(CostPoint(Decimal(size), Decimal(2000)) for size in (-(10**6), 10**6))
    return costs(fee_ratio=Decimal(ratio), gas_usd=Decimal(gas), curve=points)


@pytest.mark.parametrize("gamma", [-0.02, 0.3])
def test_the_optimal_band_is_whalley_and_wilmotts_without_a_fixed_cost(gamma: float) -> None:
    seen = situation(0.0, gamma=gamma, costs=flat(), interval_s=1)
    ours, theirs = (policy.decide(seen) for policy in (OptimalBand(RISK, NONE), WhalleyWilmott(RISK, NONE)))
    edge = whalley_wilmott(gamma, 2000.0, 7 / 365, 0.0, 1e-3, 1e-3)
    assert float(theirs.arithmetic["trigger"]) == pytest.approx(edge, rel=1e-4)
    # What is left is the correction for checks that are a second apart.
    assert float(ours.arithmetic["trigger"]) == pytest.approx(edge, rel=0.02)


def test_the_optimal_band_decides_by_its_formula() -> None:
    decision = OptimalBand(RISK, NONE).decide(situation(0.0, costs=flat(gas="1.8")))
    trigger, target = optimal_band(-0.02, 2000.0, 0.8, 7 / 365, 1e-3, 1e-3, 1.8, 300 / 31_536_000)
    assert float(decision.arithmetic["trigger"]) == pytest.approx(trigger, rel=1e-5)
    assert float(decision.arithmetic["target"]) == pytest.approx(target, rel=1e-5)


def test_the_cost_is_taken_at_the_size_that_would_be_traded() -> None:
    decision = OptimalBand(RISK, NONE).decide(situation(0.0))
    size = float(decision.arithmetic["trigger"]) - float(decision.arithmetic["target"])
    ratio = costs().ratio(Decimal(f"{size:.6f}"))
    assert float(decision.arithmetic["cost_ratio"]) == pytest.approx(float(ratio), rel=5e-3)


@pytest.mark.parametrize("change", [{"ratio": "0.01"}, {"gas": "20"}])
def test_dearer_trades_widen_the_band(change: dict[str, str]) -> None:
    cheap = OptimalBand(RISK, NONE).decide(situation(0.0, costs=flat(gas="1")))
    dear = OptimalBand(RISK, NONE).decide(situation(0.0, costs=flat(**({"gas": "1"} | change))))
    assert float(dear.arithmetic["trigger"]) > float(cheap.arithmetic["trigger"])


@pytest.mark.parametrize("funding", ["200", "-200", "1e6", "-1e6"])
def test_funding_moves_the_centre_to_the_side_that_is_paid_and_no_further_than_the_cap(funding: str) -> None:
    seen = situation(0.0, costs=costs(funding_per_year=Decimal(funding)))
    decision = OptimalBand(RISK, NONE, Decimal("0.5")).decide(seen)
    shift, trigger = centre_of(decision), float(decision.arithmetic["trigger"])
    assert shift * float(funding) < 0
    assert abs(shift) <= 0.5 * trigger * (1 + 1e-5)
    assert isinstance(decision.band, Band)
    assert (decision.band.low + decision.band.high) / 2 == pytest.approx(shift, abs=0.02 * trigger)
    if abs(float(funding)) < 1000:
        assert shift == pytest.approx(-float(funding) / (1e-3 * 0.64 * 2000.0**2))
    fixed = OptimalBand(RISK, NONE, NONE).decide(seen)
    assert centre_of(fixed) == 0


def test_a_risk_target_is_met_by_the_band_that_it_gives() -> None:
    for risk in (DailyError(Decimal(300)), DailyErrorOfNav(Decimal("0.0003"))):
        decision = OptimalBand(risk, NONE).decide(situation(0.0))
        assert float(decision.arithmetic["expected_error_per_day_usd"]) == pytest.approx(300, rel=0.01)
        assert float(decision.arithmetic["risk_aversion"]) > 0
        assert "daily error" in decision.arithmetic["risk_aversion_from"]


def test_a_tighter_target_needs_a_larger_aversion() -> None:
    loose, tight = (
        OptimalBand(DailyError(Decimal(usd)), NONE).decide(situation(0.0)).arithmetic for usd in (400, 100)
    )
    assert float(tight["risk_aversion"]) > float(loose["risk_aversion"])
    assert float(tight["trigger"]) < float(loose["trigger"])


def test_a_target_below_what_the_ticks_allow_is_named_and_the_nearest_worthwhile_one_is_taken() -> None:
    floor = 0.02 * 2000.0**2 * 0.64 * math.sqrt(0.5 * 3600 / 31_536_000 / 365)
    policy = OptimalBand(DailyError(Decimal("5")), NONE)
    decision = policy.decide(situation(0.0, interval_s=3600))
    assert f"3600 s between two ticks it is ${floor:,.2f} even where every tick trades" in decision.text
    expected = float(decision.arithmetic["expected_error_per_day_usd"])
    assert expected == pytest.approx(math.sqrt(2) * floor, rel=0.02)


def test_a_tighter_target_never_trades_less_and_stops_tightening_where_it_would_pay_for_little() -> None:
    floor = 0.02 * 2000.0**2 * 0.64 * math.sqrt(0.5 * 3600 / 31_536_000 / 365)
    triggers = [
        float(
            OptimalBand(DailyError(Decimal(repr(floor * share))), NONE)
            .decide(situation(0.0, interval_s=3600))
            .arithmetic["trigger"]
        )
        for share in (0.5, 0.999, 1.001, 1.2, 1.414, 1.42, 1.6, 2.0, 4.0)
    ]
    assert triggers == sorted(triggers)
    assert triggers[0] == pytest.approx(triggers[4])
    policy = OptimalBand(DailyError(Decimal(5)), NONE)
    assert "can't be reached" not in policy.decide(situation(0.0, gamma=1e-5)).text


def test_a_target_that_no_band_reaches_is_an_error_with_one_that_can_be() -> None:
    at = Conditions(0.02, 2000.0, 0.8, 0.1, 0.0, 5e-4, 1.0, 3600 / 31_536_000)
    with pytest.raises(UnreachableTarget, match="tick more often or ask for less") as refusal:
        aversion_of(DailyError(Decimal(5)), OPTIMAL, at, 0.0, 0.0, 0.0)
    assert aversion_of(refusal.value.reachable, OPTIMAL, at, 0.0, 0.0, 0.0) > 0


def test_a_share_of_no_nav_is_refused() -> None:
    with pytest.raises(DataError, match="share of NAV"):
        OptimalBand(DailyErrorOfNav(Decimal("0.001")), NONE).decide(situation(0.0, nav_usd=0.0))


@pytest.mark.parametrize("policy", every_policy()[3:], ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("dead", [{"vol": 0.0, "gamma": 0.0}, {"years": 0.0, "gamma": 0.0}])
def test_a_book_without_a_live_option_has_nothing_to_wait_for(policy: Policy, dead: dict[str, float]) -> None:
    decision = policy.decide(situation(0.01, **dead))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal("-0.01")
    assert "no option is live" in decision.text


@pytest.mark.parametrize("policy", every_policy(), ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("gap", [0.0, 500.0])
def test_a_decision_carries_its_arithmetic(policy: Policy, gap: float) -> None:
    figures = policy.decide(situation(gap, gap + 1)).arithmetic
    assert set(figures) >= {
        "gap", "gap_lo", "gap_hi", "gamma", "spot", "vol", "days_to_expiry", "risk_aversion_from", "fixed_usd",
        "trigger", "target", "centre", "funding_usd_per_unit_year", "cost_now_usd", "risk_per_day_usd",
    }  # fmt: skip
    assert figures["gap"] == f"{gap + 0.5:+.6f}"
    assert float(figures["risk_per_day_usd"]) == pytest.approx((gap + 0.5) * 1600 / math.sqrt(365), rel=1e-3)
    if "risk_aversion" in figures:
        aversion = float(figures["risk_aversion"])
        risk_cost = aversion / 2 * ((gap + 0.5) * 1600) ** 2 / 365
        assert float(figures["risk_cost_per_day_usd"]) == pytest.approx(risk_cost, rel=1e-3, abs=1e-4)
        assert float(figures["expected_trades_per_day"]) > 0
        assert float(figures["cost_ratio"]) > 0


@pytest.mark.parametrize("policy", every_policy(), ids=lambda policy: type(policy).__name__)
@pytest.mark.parametrize("field", ["gap_lo", "gap_hi", "gamma", "spot", "vol", "years", "rate", "nav_usd"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_never_traded_on(policy: Policy, field: str, value: float) -> None:
    with pytest.raises(DataError, match="not a number"):
        policy.decide(situation(**({"low": 9.0, "high": 9.0} | {ARGUMENT.get(field, field): value})))


@pytest.mark.parametrize(
    "change",
    [
        {"spot": 0.0},
        {"vol": -0.1},
        {"years": -1e-9},
        {"interval_s": 0},
        {"gap_hi": 8.0},
        {"costs": costs(gas_usd=Decimal(-1))},
    ],
)
def test_a_situation_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    for policy in every_policy():
        with pytest.raises(DataError):
            policy.decide(replace(situation(9.0), **change))


def test_quotes_that_pay_for_trading_are_refused() -> None:
    wrong = costs(curve=(CostPoint(Decimal(5), Decimal(1900)), CostPoint(Decimal(-5), Decimal(1999))))
    with pytest.raises(DataError, match="quotes are wrong"):
        OptimalBand(RISK, NONE).decide(situation(9.0, costs=wrong))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: DeltaBand(Decimal("0.5"), Decimal("0.6"), NONE), "target ≤ trigger"),
        (lambda: DeltaBand(Decimal("0.5"), Decimal("-0.1"), NONE), "0 ≤ target"),
        (lambda: DeltaBand(Decimal("0.5"), NONE, Decimal("-0.001")), "min_trade must not be negative"),
        (lambda: Interval(0, NONE), "every_s must be above zero"),
        (lambda: PriceMove(NONE, NONE), "between 0 and 1"),
        (lambda: PriceMove(Decimal(1), NONE), "between 0 and 1"),
        (lambda: OptimalBand(RISK, NONE, Decimal("1.1")), "carry_cap"),
        (lambda: OptimalBand(RISK, Decimal("NaN")), "min_trade"),
        (lambda: Aversion(NONE), "above zero"),
        (lambda: DailyError(Decimal(-1)), "above zero"),
        (lambda: DailyErrorOfNav(Decimal("Infinity")), "above zero"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(make: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


def test_the_same_situation_gives_the_same_decision() -> None:
    for policy in every_policy():
        assert policy.decide(situation(9.0, 9.5)) == policy.decide(situation(9.0, 9.5))
