"""Claims about bot.pricing.svi: published numbers, arbitrage found where it is, fits that recover what made them."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from models import Heston, heston_call, heston_undiscounted, implied_vol, merton_call

from bot.errors import DataError, PricingError
from bot.pricing.black import black_scholes
from bot.pricing.svi import (
    ArbitrageError,
    JumpWings,
    SviSlice,
    check_butterfly,
    check_calendar,
    density_factor,
    fit_svi,
    from_jump_wings,
    jump_wings,
    lowest_calendar_gap,
    lowest_density_factor,
    total_variance,
    variance_slope,
)

GATHERAL_JACQUIER = SviSlice(a=-0.041, b=0.1331, rho=0.3060, m=0.3586, sigma=0.4153)
"""Axel Vogt's example in their paper: it looks like a smile and has butterfly arbitrage."""

SOUND = SviSlice(a=0.01, b=0.15, rho=-0.25, m=0.05, sigma=0.25)


def vols_of(svi: SviSlice, k: np.ndarray, years: float) -> np.ndarray:
    return np.sqrt(total_variance(svi, k) / years)


# ---------------------------------------------------------------------------------------------------------
# Published numbers.


def test_gatheral_and_jacquiers_slice_has_their_jump_wings() -> None:
    wings = jump_wings(GATHERAL_JACQUIER, 1.0)
    assert wings.variance == pytest.approx(0.01742625, abs=5e-9)
    assert wings.skew == pytest.approx(-0.1752111, abs=5e-8)
    assert wings.put_slope == pytest.approx(0.6997381, abs=5e-8)
    assert wings.call_slope == pytest.approx(1.316798, abs=5e-7)
    assert wings.lowest == pytest.approx(0.0116249, abs=5e-8)


def test_gatheral_and_jacquiers_slice_has_butterfly_arbitrage() -> None:
    with pytest.raises(ArbitrageError, match=r"butterfly arbitrage at k = 0\.879"):
        check_butterfly(GATHERAL_JACQUIER)


def test_gatheral_and_jacquiers_mended_jump_wings_have_none() -> None:
    """Their remedy keeps variance, skew and put wing, and takes c = p + 2ψ and ṽ = v 4pc / (p + c)²."""
    wings = jump_wings(GATHERAL_JACQUIER, 1.0)
    call = wings.put_slope + 2.0 * wings.skew
    lowest = wings.variance * 4.0 * wings.put_slope * call / (wings.put_slope + call) ** 2
    mended = JumpWings(wings.variance, wings.skew, wings.put_slope, call, lowest, 1.0)
    assert (call, lowest) == pytest.approx((0.3493158, 0.01548182), abs=5e-8)
    check_butterfly(from_jump_wings(mended))


def test_the_heston_oracle_has_lewis_price() -> None:
    model = Heston(v0=0.04, kappa=4.0, theta=0.25, xi=1.0, rho=-0.5)
    assert heston_call(model, 100.0, 100.0, 1.0, 0.01, 0.02) == pytest.approx(16.070154917028834, abs=1e-10)


def test_the_merton_oracle_has_its_published_price() -> None:
    """The published six decimals lie 3e-6 below the converged series."""
    price = merton_call(100.0, 100.0, 0.25, 0.05, 0.15, 0.1, -0.9, 0.45)
    assert price == pytest.approx(4.391243, abs=5e-6)


def test_lelands_vol_and_price_are_reproduced() -> None:
    """σ̂² = σ²(1 + √(2/π) κ / (σ √Δt)) with the round trip κ = 2 λ (H. Leland, 1985)."""
    vol, step, round_trip = 0.25, 0.01, 0.02
    adjusted = vol * math.sqrt(1.0 + math.sqrt(2.0 / math.pi) * round_trip / (vol * math.sqrt(step)))
    assert adjusted == pytest.approx(0.31999, abs=5e-6)
    price = black_scholes(100.0, 100.0, 1.0, adjusted, 0.05, True).price
    assert float(price) == pytest.approx(14.9899, abs=5e-5)


# ---------------------------------------------------------------------------------------------------------
# The slice.


def test_total_variance_is_the_raw_formula() -> None:
    k = 0.3
    root = math.sqrt((k - 0.05) ** 2 + 0.25**2)
    assert float(total_variance(SOUND, k)) == pytest.approx(
        0.01 + 0.15 * (-0.25 * (k - 0.05) + root), abs=1e-15
    )


def test_the_variance_slope_is_the_derivative() -> None:
    k, h = np.linspace(-2.0, 2.0, 9), 1e-5
    differences = (total_variance(SOUND, k + h) - total_variance(SOUND, k - h)) / (2.0 * h)
    assert variance_slope(SOUND, k) == pytest.approx(differences, abs=1e-9)


def test_the_density_factor_is_the_second_derivative_of_call_prices() -> None:
    """With F = 1: ∂²C/∂K² = g · n(d2) / (K √w) (Gatheral and Jacquier)."""
    for k in (-0.4, 0.0, 0.3):
        strike, h = math.exp(k), 1e-3

        def call(x: float) -> float:
            vol = math.sqrt(float(total_variance(SOUND, math.log(x))))
            return float(black_scholes(1.0, x, 1.0, vol, 0.0, True).price)

        curvature = (call(strike + h) - 2.0 * call(strike) + call(strike - h)) / h**2
        total = math.sqrt(float(total_variance(SOUND, k)))
        d2 = -k / total - total / 2.0
        density = math.exp(-0.5 * d2**2) / math.sqrt(2.0 * math.pi) / (strike * total)
        assert curvature == pytest.approx(float(density_factor(SOUND, k)) * density, rel=1e-4)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ((0.01, -0.1, 0.0, 0.0, 0.1), "b ≥ 0"),
        ((0.01, 0.1, 1.2, 0.0, 0.1), r"\|rho\| ≤ 1"),
        ((0.01, 0.1, 0.0, 0.0, 0.0), "sigma > 0"),
        ((-0.02, 0.1, 0.0, 0.0, 0.1), "not above zero, at its lowest"),
        ((math.nan, 0.1, 0.0, 0.0, 0.1), "not a finite number"),
    ],
)
def test_a_slice_of_impossible_parameters_is_refused(parameters: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(PricingError, match=sentence):
        SviSlice(*parameters)


@given(
    a=st.floats(0.001, 0.2),
    b=st.floats(0.01, 0.9),
    rho=st.floats(-0.95, 0.95),
    m=st.floats(-0.5, 0.5),
    sigma=st.floats(0.01, 1.0),
)
def test_jump_wings_lead_back_to_the_slice(a: float, b: float, rho: float, m: float, sigma: float) -> None:
    svi = SviSlice(a, b, rho, m, sigma)
    wings = jump_wings(svi, 0.25)
    assume(wings.variance - wings.lowest > 1e-3)
    k = np.linspace(-1.0, 1.0, 9)
    assert total_variance(from_jump_wings(wings), k) == pytest.approx(total_variance(svi, k), rel=1e-6)


def test_jump_wings_without_a_slice_are_refused() -> None:
    with pytest.raises(PricingError, match="outside their wings' slopes"):
        from_jump_wings(JumpWings(0.04, 2.0, 0.5, 0.5, 0.03, 1.0))
    with pytest.raises(PricingError, match="leave sigma open"):
        from_jump_wings(JumpWings(0.04, 0.0, 0.5, 0.5, 0.04, 1.0))


# ---------------------------------------------------------------------------------------------------------
# Arbitrage.


def test_a_sound_slice_passes() -> None:
    check_butterfly(SOUND)


def test_a_wing_above_lees_bound_is_named() -> None:
    with pytest.raises(ArbitrageError, match=r"put wing rises by 2\.1"):
        check_butterfly(SviSlice(0.1, 1.4, -0.5, 0.0, 0.5))


@settings(max_examples=60)
@given(
    a=st.floats(-0.02, 0.2),
    b=st.floats(0.01, 0.9),
    rho=st.floats(-0.95, 0.95),
    m=st.floats(-0.6, 0.6),
    sigma=st.floats(0.005, 1.0),
)
def test_the_lowest_density_factor_is_not_above_any_on_a_fine_grid(
    a: float, b: float, rho: float, m: float, sigma: float
) -> None:
    assume(a + b * sigma * math.sqrt(1.0 - rho**2) > 1e-5)
    svi = SviSlice(a, b, rho, m, sigma)
    _, low = lowest_density_factor(svi)
    fine = density_factor(svi, np.linspace(-4.0, 4.0, 200_001))
    assert low <= fine.min() + 1e-3 * max(1.0, abs(float(fine.min())))


def test_slices_that_cross_are_named() -> None:
    later = SviSlice(a=0.01, b=0.1, rho=-0.25, m=0.05, sigma=0.4)
    _, gap = lowest_calendar_gap(SOUND, SviSlice(0.02, 0.15, -0.25, 0.05, 0.25))
    assert gap == pytest.approx(0.01)
    with pytest.raises(ArbitrageError, match="calendar arbitrage at k = "):
        check_calendar(SOUND, later)


def test_slices_that_cross_only_far_out_are_named() -> None:
    later = SviSlice(a=0.05, b=0.149, rho=-0.25, m=0.05, sigma=0.25)
    assert float(total_variance(later, 3.0)) > float(total_variance(SOUND, 3.0))
    with pytest.raises(ArbitrageError, match="calendar arbitrage at k = -"):
        check_calendar(SOUND, later)


def test_an_arbitrage_error_is_a_data_error() -> None:
    assert issubclass(ArbitrageError, PricingError)
    assert issubclass(PricingError, DataError)


# ---------------------------------------------------------------------------------------------------------
# Calibration.


@settings(max_examples=60)
@given(
    skew=st.floats(-0.35, 0.35),
    put=st.floats(0.25, 1.4),
    call=st.floats(0.25, 1.4),
    lowest=st.floats(0.6, 0.95),
    vol=st.floats(0.3, 1.2),
    days=st.sampled_from([2, 14, 90, 365]),
    points=st.integers(5, 30),
)
def test_clean_points_give_back_their_vols(
    skew: float, put: float, call: float, lowest: float, vol: float, days: int, points: int
) -> None:
    years = days / 365
    try:
        truth = from_jump_wings(JumpWings(vol**2, skew, put, call, lowest * vol**2, years))
        check_butterfly(truth)
    except PricingError:
        assume(False)
    k = np.linspace(-2.5, 2.5, points) * vol * math.sqrt(years)
    fit = fit_svi(k, vols_of(truth, k, years), years)
    assert fit.worst < 1e-4


@pytest.mark.parametrize("points", [5, 6, 9, 25])
def test_clean_points_give_back_their_parameters(points: int) -> None:
    k = np.linspace(-0.8, 0.8, points)
    found = fit_svi(k, vols_of(SOUND, k, 0.5), 0.5).slice
    expected = (SOUND.a, SOUND.b, SOUND.rho, SOUND.m, SOUND.sigma)
    assert (found.a, found.b, found.rho, found.m, found.sigma) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_noisy_quotes_are_fitted_within_a_vol_point_of_the_truth(seed: int) -> None:
    rng = np.random.default_rng(seed)
    years, k = 30 / 365, np.linspace(-0.4, 0.4, 21)
    truth = from_jump_wings(JumpWings(0.36, -0.12, 0.7, 0.5, 0.33, years))
    quotes = vols_of(truth, k, years) + rng.normal(0.0, 0.005, k.size)
    fit = fit_svi(k, quotes, years)
    check_butterfly(fit.slice)
    assert np.abs(vols_of(fit.slice, k, years) - vols_of(truth, k, years)).max() < 0.01
    assert fit.rms < 0.01


def test_equal_vols_give_a_flat_slice() -> None:
    k = np.linspace(-0.5, 0.5, 9)
    fit = fit_svi(k, np.full(9, 0.7), 0.1)
    check_butterfly(fit.slice)
    assert fit.worst < 1e-5


def test_weights_decide_between_quotes_that_disagree() -> None:
    k = np.repeat(np.linspace(-0.4, 0.4, 7), 2)
    vols = np.tile([0.60, 0.61], 7)
    weights = np.tile([1.0, 0.0], 7)
    fit = fit_svi(k, vols, 0.25, weights)
    assert vols_of(fit.slice, k, 0.25) == pytest.approx(np.full(14, 0.60), abs=1e-5)


@pytest.mark.parametrize("years", [0.1, 0.5, 1.5])
def test_a_heston_smile_is_fitted_within_a_fifth_of_a_vol_point_and_without_arbitrage(years: float) -> None:
    model = Heston(v0=0.36, kappa=2.0, theta=0.49, xi=1.0, rho=-0.4)
    k = np.linspace(-2.0, 2.0, 17) * 0.6 * math.sqrt(years)
    vols = [
        implied_vol(1.0, math.exp(x), years, heston_undiscounted(model, 1.0, math.exp(x), years)) for x in k
    ]
    fit = fit_svi(k, vols, years)
    check_butterfly(fit.slice)
    assert fit.worst < 0.002


def test_quotes_with_butterfly_arbitrage_are_refused_when_no_slice_without_it_is_near() -> None:
    k = np.linspace(-1.5, 1.5, 13)
    quotes = vols_of(GATHERAL_JACQUIER, k, 1.0)
    with pytest.raises(ArbitrageError, match=r"the quotes have butterfly arbitrage: g = -0\.03"):
        fit_svi(k, quotes, 1.0, tolerance=0.002)


def test_quotes_with_a_little_butterfly_arbitrage_get_the_nearest_slice_without() -> None:
    k = np.linspace(-1.5, 1.5, 13)
    fit = fit_svi(k, vols_of(GATHERAL_JACQUIER, k, 1.0), 1.0, tolerance=0.01)
    check_butterfly(fit.slice)
    assert 0.0 < fit.rms < 0.01


def test_a_slice_is_bent_to_stay_above_the_expiry_before() -> None:
    near = SviSlice(0.01, 0.08, -0.2, 0.0, 0.2)
    k = np.linspace(-0.3, 0.3, 9)
    quotes = np.sqrt(total_variance(near, k) + np.where(np.abs(k) > 0.2, -0.0004, 0.002)) / math.sqrt(0.1)
    fit = fit_svi(k, quotes, 0.1, above=near)
    check_calendar(near, fit.slice)
    check_butterfly(fit.slice)
    with pytest.raises(ArbitrageError, match="calendar arbitrage at k = "):
        fit_svi(k, np.sqrt(0.5 * total_variance(near, k) / 0.1), 0.1, above=near)


def test_quotes_that_are_no_smile_are_refused_with_the_worst_of_them() -> None:
    k = np.linspace(-0.4, 0.4, 9)
    with pytest.raises(PricingError, match="weekly: no SVI slice fits: the best misses by"):
        fit_svi(k, np.where(np.arange(9) % 2, 0.5, 0.9), 0.25, name="weekly")


@pytest.mark.parametrize(
    ("k", "vols", "years", "weights", "sentence"),
    [
        ([0.0, 0.1, 0.2, 0.3], [0.5] * 4, 0.1, None, "needs 5 strikes, not 4"),
        ([0.0, 0.1, 0.2, 0.3, 0.3], [0.5] * 5, 0.1, None, "needs 5 strikes, not 4"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], [0.5] * 4, 0.1, None, "lists of one length"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], [0.5, 0.5, math.nan, 0.5, 0.5], 0.1, None, "not a finite number"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.5, 0.5], 0.1, None, "vols must be above zero"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], [0.5] * 5, 0.0, None, "years to expiry"),
        ([0.0, 0.1, 0.2, 0.3, 0.4], [0.5] * 5, 0.1, [1, 1, 1, 1, -1], "weights not below"),
    ],
)
def test_senseless_input_is_refused(
    k: list[float], vols: list[float], years: float, weights: list[float] | None, sentence: str
) -> None:
    with pytest.raises(PricingError, match=sentence):
        fit_svi(k, vols, years, weights)
