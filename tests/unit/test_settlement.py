"""Claims about bot.pricing.settlement: deltas fade with the window, and what is known of the average counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import PricingError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes
from bot.pricing.settlement import (
    DERIBIT_WINDOW_S,
    averaged_greeks,
    effective_years,
)

EXPIRY = 1_790_000_000
WINDOW = DERIBIT_WINDOW_S


def test_half_way_through_deribits_window_half_the_delta_is_left() -> None:
    """Deribit's own example: a call with delta 0.5 has 0.25 after 15 minutes."""
    found = averaged_greeks(7000.0, 7000.0, 0.6, True, 900, WINDOW, average=7000.0)
    assert float(found.delta) == pytest.approx(0.25, abs=1e-3)


def test_deep_in_the_money_the_delta_falls_linearly_to_none() -> None:
    left = [1800, 1350, 900, 450, 0]
    deltas = [float(averaged_greeks(100.0, 50.0, 0.6, True, s, WINDOW).delta) for s in left]
    assert deltas == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])


def test_a_vol_acts_on_an_average_for_a_third_of_its_window() -> None:
    years = effective_years(EXPIRY - 86_400, EXPIRY, WINDOW) * SECONDS_PER_YEAR
    assert float(years) == pytest.approx(86_400 - 1200)
    edge = [
        float(effective_years(EXPIRY - s, EXPIRY, WINDOW)) * SECONDS_PER_YEAR
        for s in (1800, 1799.9999, 900, 0)
    ]
    assert edge == pytest.approx([600.0, 600.0, 300.0, 0.0], rel=1e-3)


def test_at_the_windows_start_the_greeks_are_those_of_a_live_option() -> None:
    found = averaged_greeks(100.0, 101.0, 0.8, True, WINDOW, WINDOW, average=100.0)
    years = effective_years(EXPIRY - WINDOW, EXPIRY, WINDOW)
    live = black_scholes(100.0, 101.0, years, 0.8, 0.0, True)
    assert (float(found.price), float(found.delta)) == pytest.approx((float(live.price), float(live.delta)))
    assert float(found.gamma) == pytest.approx(float(live.gamma))


def test_a_simulated_average_has_the_price_and_delta() -> None:
    rng = np.random.default_rng(4)
    left, vol, steps = 1200, 1.2, 200
    dt = left / steps / SECONDS_PER_YEAR
    paths = np.exp(
        np.cumsum(vol * np.sqrt(dt) * rng.standard_normal((40_000, steps)) - vol**2 * dt / 2.0, axis=1)
    )
    average = (1.0 / 3.0) * 100.4 + (2.0 / 3.0) * 100.0 * paths.mean(axis=1)
    payoff = np.maximum(average - 100.1, 0.0)
    found = averaged_greeks(100.0, 100.1, vol, True, left, WINDOW, average=100.4)
    assert float(found.price) == pytest.approx(payoff.mean(), abs=4.0 * payoff.std() / 200.0)
    pathwise = (average > 100.1) * (2.0 / 3.0) * paths.mean(axis=1)
    assert float(found.delta) == pytest.approx(pathwise.mean(), abs=4.0 * pathwise.std() / 200.0)


def test_delta_and_gamma_are_the_derivatives_of_the_price() -> None:
    strikes, calls = np.array([99.5, 100.0, 100.5, 100.5]), np.array([True, True, True, False])
    h = 1e-3
    up, at, down = (
        averaged_greeks(100.0 + x, strikes, 0.8, calls, 600, WINDOW, average=100.2) for x in (h, 0.0, -h)
    )
    assert at.delta == pytest.approx((up.price - down.price) / (2.0 * h), abs=1e-5)
    assert at.gamma == pytest.approx((up.delta - down.delta) / (2.0 * h), rel=1e-3, abs=1e-5)


def test_a_call_whose_average_is_already_above_its_strike_is_a_forward_on_the_rest() -> None:
    found = averaged_greeks(100.0, 60.0, 0.8, np.array([True, False]), 450, WINDOW, average=100.0)
    assert found.price == pytest.approx([40.0, 0.0])
    assert found.delta == pytest.approx([0.25, 0.0])
    assert found.gamma == pytest.approx([0.0, 0.0])


def test_with_nothing_left_the_average_pays() -> None:
    found = averaged_greeks(90.0, [95.0, 105.0], 0.8, np.array([True, False]), 0, WINDOW, average=100.0)
    assert found.price == pytest.approx([5.0, 5.0])
    assert found.delta == pytest.approx([0.0, 0.0])


@settings(max_examples=80)
@given(
    left=st.integers(0, WINDOW),
    strike=st.floats(99.0, 101.0),
    deviation=st.floats(-3.0, 3.0),
    vol=st.floats(0.3, 2.0),
    is_call=st.booleans(),
)
def test_an_unknown_average_bounds_the_delta_of_any_likely_one(
    left: int, strike: float, deviation: float, vol: float, is_call: bool
) -> None:
    unknown = averaged_greeks(100.0, strike, vol, is_call, left, WINDOW)
    spread = vol * np.sqrt((WINDOW - left) / 3.0 / SECONDS_PER_YEAR)
    known = averaged_greeks(
        100.0, strike, vol, is_call, left, WINDOW, average=100.0 * float(np.exp(deviation * spread))
    )
    assert abs(float(known.delta - unknown.delta)) <= float(unknown.delta_error) + 1e-12
    assert float(known.delta_error) == 0.0


def test_an_unknown_average_matters_most_at_the_money_and_not_at_the_windows_start() -> None:
    middle = averaged_greeks(100.0, [90.0, 100.0, 110.0], 0.8, True, 900, WINDOW).delta_error
    assert middle[1] > 0.2
    assert middle[0] == pytest.approx(0.0, abs=1e-6)
    assert float(averaged_greeks(100.0, 100.0, 0.8, True, WINDOW, WINDOW).delta_error) == 0.0


@pytest.mark.parametrize(
    ("left", "window", "average", "sentence"),
    [
        (1801, 1800, None, "between 0 and all"),
        (-1, 1800, None, "between 0 and all"),
        (0, 0, None, "between 0 and all"),
        (600, 1800, 0.0, "average so far"),
        (600, 1800, float("nan"), "average so far"),
    ],
)
def test_senseless_windows_are_refused(left: int, window: int, average: float | None, sentence: str) -> None:
    with pytest.raises(PricingError, match=sentence):
        averaged_greeks(100.0, 100.0, 0.8, True, left, window, average)


def test_senseless_numbers_are_refused() -> None:
    with pytest.raises(PricingError, match="shorter than nothing"):
        effective_years(EXPIRY, EXPIRY, -1)
    with pytest.raises(PricingError, match="is_call must be boolean"):
        averaged_greeks(100.0, 100.0, 0.6, 1.0, 60, WINDOW)
