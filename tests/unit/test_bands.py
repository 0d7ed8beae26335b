"""The bands' formulas: known values, the equations that they solve, and what they promise at every scale."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from bot.core.bands import (
    OPTIMAL,
    WHALLEY_WILMOTT,
    ZAKAMOULINE,
    Conditions,
    aversion_for,
    carry_shift,
    daily_error,
    error_at,
    held_gap,
    last_width,
    optimal_band,
    two_thresholds,
    whalley_wilmott,
    zakamouline,
    zakamouline_vol,
)

QUARTER_HOUR = 900 / 31_536_000
GOLDEN = {"gamma": 0.02, "spot": 5000.0, "years": 0.25, "rate": 0.0, "aversion": 1.0, "ratio": 5e-4}
AT = Conditions(0.02, 2000.0, 0.8, 0.05, 0.0, 1e-3, 2.0, QUARTER_HOUR)


def powers(low: int, high: int) -> st.SearchStrategy[float]:
    """Floats spread evenly over the powers of ten."""
    return st.floats(low, high).map(lambda power: 10.0**power)


def test_whalley_and_wilmotts_golden() -> None:
    assert whalley_wilmott(**GOLDEN) == pytest.approx(0.114471, abs=5e-7)


def test_zakamoulines_goldens() -> None:
    least = last_width(5000.0, 0.2, 0.25, 1.0, 5e-4)
    assert least == pytest.approx(1e-5)
    assert zakamouline(vol=0.2, **GOLDEN) - least == pytest.approx(0.0209437, abs=5e-8)


def test_a_short_book_is_hedged_at_a_higher_vol_and_a_long_one_at_a_lower() -> None:
    short = zakamouline_vol(-0.02, 5000.0, 0.2, 0.25, 0.0, 1.0, 5e-4)
    long = zakamouline_vol(0.02, 5000.0, 0.2, 0.25, 0.0, 1.0, 5e-4)
    assert long < 0.2 < short
    assert short**2 + long**2 == pytest.approx(2 * 0.2**2)


@given(powers(-12, 6), powers(-3, 6), powers(-9, 3), powers(-12, 0), powers(-12, 6))
def test_two_thresholds_solve_their_equations_at_every_scale(
    gamma: float, spot: float, aversion: float, ratio: float, fixed: float
) -> None:
    trigger, target = two_thresholds(gamma, spot, aversion, ratio, fixed)
    a, b, q = trigger + target, trigger - target, 12 * gamma**2 / aversion
    assert 0 <= target <= trigger
    if b > 1e-4 * a:  # b is a difference: it has digits only where it is not much smaller than a
        assert a * b**3 == pytest.approx(q * fixed, rel=1e-6)
        assert a**3 * b == pytest.approx(q * (fixed + ratio * spot * b), rel=1e-6)
    else:
        assert a**3 == pytest.approx(q * ratio * spot, rel=1e-3)


def test_two_thresholds_are_the_least_of_risk_and_cost() -> None:
    gamma, spot, vol, aversion, ratio, fixed = 0.02, 2000.0, 0.8, 1e-3, 1e-3, 3.0

    def per_year(x: np.ndarray) -> float:
        h, k = math.exp(x[0]), math.exp(x[0]) / (1 + math.exp(x[1]))
        risk = aversion / 2 * (spot * vol) ** 2 * (h * h + k * k) / 6
        return risk + (gamma * spot * vol) ** 2 / (h * h - k * k) * (fixed + ratio * spot * (h - k))

    best = minimize(
        per_year, np.array([0.0, 0.0]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-9}
    )
    h, k = math.exp(best.x[0]), math.exp(best.x[0]) / (1 + math.exp(best.x[1]))
    assert two_thresholds(gamma, spot, aversion, ratio, fixed) == pytest.approx((h, k), rel=1e-3)


@given(powers(-9, 3), powers(-3, 6), powers(-9, 3), powers(-9, 0))
def test_without_a_fixed_cost_it_is_whalley_and_wilmotts_band(
    gamma: float, spot: float, aversion: float, ratio: float
) -> None:
    edge = whalley_wilmott(gamma, spot, 0.1, 0.0, aversion, ratio)
    assert two_thresholds(gamma, spot, aversion, ratio, 0.0) == pytest.approx((edge, edge))
    least = last_width(spot, 0.8, 0.1, aversion, ratio)
    wide = optimal_band(gamma, spot, 0.8, 0.1, aversion, ratio, 0.0, 0.0)
    assert wide == pytest.approx((max(edge, least),) * 2)


def test_without_a_proportional_cost_it_trades_to_the_middle() -> None:
    trigger, target = two_thresholds(0.02, 2000.0, 1e-3, 0.0, 3.0)
    assert trigger == pytest.approx((12 * 0.02**2 / 1e-3 * 3.0) ** 0.25)
    assert target == 0.0


@pytest.mark.parametrize(("gamma", "ratio", "fixed"), [(0.0, 1e-3, 3.0), (0.02, 0.0, 0.0), (0.0, 0.0, 0.0)])
def test_without_gamma_or_costs_the_thresholds_vanish(gamma: float, ratio: float, fixed: float) -> None:
    assert two_thresholds(gamma, 2000.0, 1e-3, ratio, fixed) == (0.0, 0.0)


@pytest.mark.parametrize("fixed", [1e-300, 1e-200, 1e-80, 1e-30])
def test_a_vanishing_fixed_cost_is_none(fixed: float) -> None:
    edge = whalley_wilmott(0.02, 2000.0, 0.1, 0.0, 1e-3, 1e-3)
    assert two_thresholds(0.02, 2000.0, 1e-3, 1e-3, fixed) == pytest.approx((edge, edge), rel=1e-6)


@given(powers(-6, 1), powers(-6, 2), powers(-6, -1), powers(-3, 3), st.floats(1.0, 100.0))
def test_dearer_trades_never_narrow_the_band(
    gamma: float, aversion: float, ratio: float, fixed: float, more: float
) -> None:
    here = optimal_band(gamma, 2000.0, 0.8, 0.05, aversion, ratio, fixed, QUARTER_HOUR)
    by_gas = optimal_band(gamma, 2000.0, 0.8, 0.05, aversion, ratio, fixed * more, QUARTER_HOUR)
    by_fee = optimal_band(gamma, 2000.0, 0.8, 0.05, aversion, min(ratio * more, 1.0), fixed, QUARTER_HOUR)
    assert by_gas[0] >= here[0] * (1 - 1e-9)
    assert by_fee[0] >= here[0] * (1 - 1e-9)
    assert by_fee[1] >= min(here[1], by_fee[0]) * (1 - 1e-9)


def test_a_band_is_no_narrower_than_what_pays_by_the_last_expiry() -> None:
    trigger, target = optimal_band(0.0, 2000.0, 0.8, 0.05, 1e-3, 1e-3, 2.0, QUARTER_HOUR)
    least = 1e-3 / (1e-3 * 2000.0 * 0.64 * 0.05)
    assert target == pytest.approx(least)
    assert trigger == pytest.approx(least + math.sqrt(2 * 2.0 / (1e-3 * 0.64 * 2000.0**2 * 0.05)))


def test_rarer_checks_bring_the_trigger_nearer_by_the_mean_overshoot() -> None:
    watched = optimal_band(0.02, 2000.0, 0.8, 0.05, 1e-3, 1e-3, 2.0, 0.0)
    checked = optimal_band(0.02, 2000.0, 0.8, 0.05, 1e-3, 1e-3, 2.0, QUARTER_HOUR)
    step = 0.02 * 2000.0 * 0.8 * math.sqrt(QUARTER_HOUR)
    assert watched[0] - checked[0] == pytest.approx(0.5826 * step, rel=1e-4)
    assert optimal_band(2.0, 2000.0, 0.8, 0.05, 1e-3, 1e-3, 2.0, 1.0)[0] > 0


@pytest.mark.parametrize(("trigger", "target"), [(5, 5), (5, 2), (2, 1), (1, 1), (1, 0), (10, 7)])
def test_the_gap_that_is_held_and_the_trades_are_those_of_a_walk(trigger: float, target: float) -> None:
    rng = np.random.default_rng(3)
    gap, squares, trades, sizes, rounds = np.zeros(2_000), 0.0, 0, 0.0, 1_500
    for number in range(2 * rounds):
        if number >= rounds:
            squares += float(np.mean(gap**2))
        gap = gap + rng.standard_normal(gap.size)
        out = np.abs(gap) > trigger
        if number >= rounds:
            trades += int(out.sum())
            sizes += float(np.sum(np.abs(gap[out]) - target))
        gap[out] = np.sign(gap[out]) * target
    square, rate, size = held_gap(float(trigger), float(target), 1.0)
    assert square == pytest.approx(squares / rounds, rel=0.07)
    assert rate == pytest.approx(trades / rounds / gap.size, rel=0.03)
    assert size == pytest.approx(sizes / trades, rel=0.02)


def test_a_gap_that_is_watched_without_pause_has_the_stationary_square() -> None:
    assert held_gap(3.0, 1.0, 1e-6)[0] == pytest.approx((9 + 1) / 6, rel=1e-5)
    assert held_gap(3.0, 1.0, 0.0) == ((9 + 1) / 6, 0.0, 0.0)


@pytest.mark.parametrize("kind", [WHALLEY_WILMOTT, ZAKAMOULINE, OPTIMAL])
@pytest.mark.parametrize("daily_usd", [60.0, 200.0, 1e5])
def test_the_aversion_of_a_target_has_that_error(kind: int, daily_usd: float) -> None:
    assert daily_error(AT, 0.0, 0.0, 0.0) < daily_usd
    aversion = aversion_for(daily_usd, kind, AT, 20.0, 0.5)
    assert error_at(kind, AT, aversion, 20.0, 0.5) == pytest.approx(daily_usd, rel=1e-6)


def test_where_trading_is_free_every_target_is_met() -> None:
    free = AT._replace(ratio=0.0, fixed=0.0)
    assert error_at(OPTIMAL, free, aversion_for(200.0, OPTIMAL, free, 0.0, 0.0), 0.0, 0.0) <= 200.0


@given(st.floats(-1e6, 1e6), powers(-9, 2), st.floats(0, 10))
def test_a_long_that_pays_is_held_less_and_no_further_than_the_cap(
    funding: float, aversion: float, most: float
) -> None:
    shift = carry_shift(2000.0, 0.8, aversion, funding, most)
    assert abs(shift) <= most
    assert shift * funding <= 0
    if abs(shift) < most:
        assert shift == pytest.approx(-funding / (aversion * 0.64 * 2000.0**2))
