"""Claims about bot.pricing.conventions: each delta is the derivative of what it assumes; the fit finds what is so."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from bot.errors import PricingError
from bot.pricing.black import black_scholes
from bot.pricing.conventions import (
    MinimumVarianceFit,
    Moves,
    coefficients,
    coin_delta,
    coin_value,
    convention_delta,
    minimum_variance,
    sticky_delta,
    sticky_strike,
    updated,
)

SPOT, YEARS = 100.0, 0.25
STRIKES = np.array([80.0, 100.0, 120.0])
CALLS = np.array([False, True, True])


def smile(strikes: np.ndarray, spot: float) -> np.ndarray:
    """A vol that depends on strike over spot alone."""
    x = np.log(strikes / spot)
    return np.asarray(0.6 - 0.15 * x + 0.3 * x**2)


def slopes(strikes: np.ndarray, spot: float) -> np.ndarray:
    return np.asarray(-0.15 + 0.6 * np.log(strikes / spot))


def moves_of(seed: int, count: int, beta: float = -0.5) -> Moves:
    """Options at many strikes while the vol moves linearly with the price: dσ = beta · dS/S, plus noise."""
    rng = np.random.default_rng(seed)
    years, spot = rng.uniform(0.05, 0.5, count), rng.uniform(50.0, 200.0, count)
    strikes, calls = spot * np.exp(rng.normal(0.0, 0.15, count)), rng.random(count) < 0.5
    change = spot * rng.normal(0.0, 0.01, count)
    before = black_scholes(spot, strikes, years, 0.6, 0.0, calls)
    vol = 0.6 + beta * change / spot + rng.normal(0.0, 0.002, count)
    after = black_scholes(spot + change, strikes, years, vol, 0.0, calls)
    return Moves(before.delta, before.vega, years, spot, change, after.price - before.price)


def test_sticky_strike_is_the_models_delta() -> None:
    greeks = black_scholes(SPOT, STRIKES, YEARS, smile(STRIKES, SPOT), 0.0, CALLS)
    assert sticky_strike(greeks) == pytest.approx(greeks.delta)


def test_sticky_delta_is_the_derivative_when_the_smile_moves_with_the_price() -> None:
    h = 1e-4
    up, down = (
        black_scholes(SPOT + x, STRIKES, YEARS, smile(STRIKES, SPOT + x), 0.0, CALLS).price for x in (h, -h)
    )
    greeks = black_scholes(SPOT, STRIKES, YEARS, smile(STRIKES, SPOT), 0.0, CALLS)
    assert sticky_delta(greeks, SPOT, slopes(STRIKES, SPOT)) == pytest.approx(
        (up - down) / (2.0 * h), abs=1e-7
    )


def test_each_convention_gives_its_own_delta() -> None:
    greeks = black_scholes(SPOT, STRIKES, YEARS, smile(STRIKES, SPOT), 0.0, CALLS)
    slope, fit = slopes(STRIKES, SPOT), updated(MinimumVarianceFit(), moves_of(1, 500))
    expected = {
        "black_scholes": greeks.delta,
        "sticky_strike": greeks.delta,
        "sticky_delta": sticky_delta(greeks, SPOT, slope),
        "minimum_variance": minimum_variance(greeks, SPOT, YEARS, coefficients(fit)),
    }
    for convention, delta in expected.items():
        found = convention_delta(convention, greeks, SPOT, YEARS, slope, fit)  # type: ignore[arg-type]
        assert found == pytest.approx(delta)


def test_minimum_variance_is_hull_and_whites_formula() -> None:
    greeks = black_scholes(SPOT, 110.0, YEARS, 0.6, 0.0, True)
    a, b, c = -0.2, 0.1, 0.05
    delta = float(greeks.delta)
    expected = delta + float(greeks.vega) / (SPOT * math.sqrt(YEARS)) * (a + b * delta + c * delta**2)
    assert float(minimum_variance(greeks, SPOT, YEARS, (a, b, c))) == pytest.approx(expected)


def test_a_call_and_a_put_at_one_strike_get_the_same_correction() -> None:
    greeks = black_scholes(SPOT, 90.0, YEARS, 0.6, 0.0, np.array([True, False]))
    call, put = minimum_variance(greeks, SPOT, YEARS, (-0.2, 0.1, 0.3)) - greeks.delta
    assert call == pytest.approx(put)


def test_at_expiry_minimum_variance_is_the_models_delta() -> None:
    greeks = black_scholes(SPOT, STRIKES, 0.0, 0.6, 0.0, CALLS)
    assert minimum_variance(greeks, SPOT, 0.0, (-1.0, 0.0, 0.0)) == pytest.approx(greeks.delta)


def test_a_wild_fit_moves_the_delta_by_no_more_than_the_bound() -> None:
    greeks = black_scholes(SPOT, 100.0, YEARS, 0.6, 0.0, True)
    wild = minimum_variance(greeks, SPOT, YEARS, (1e6, 0.0, 0.0))
    assert float(wild - greeks.delta) == pytest.approx(0.25)


def test_the_fit_recovers_how_the_vol_moves_with_the_price() -> None:
    """With dσ = β dS/S the best correction is vega β / S at all deltas and years.

    With vega/(S√T) in front, β √T is what the bracket must be: at one maturity a constant.
    """
    moves = moves_of(2, 4_000)
    same = replace(moves)
    at = np.abs(moves.years - 0.25) < 0.05
    same = Moves(*(getattr(moves, name)[at] for name in Moves.__slots__))
    fit = updated(MinimumVarianceFit(ridge=1e-6), same)
    a, b, c = coefficients(fit)
    for delta in (0.2, 0.5, 0.8):
        assert a + b * delta + c * delta**2 == pytest.approx(-0.5 * math.sqrt(0.25), abs=0.04)


def test_hedged_moves_vary_less_with_the_fitted_delta_than_with_black_scholes() -> None:
    fit = MinimumVarianceFit()
    for seed in range(20):
        fit = updated(fit, moves_of(seed, 100))
    fresh = moves_of(99, 2_000)
    call = np.where(fresh.delta < 0, fresh.delta + 1.0, fresh.delta)
    a, b, c = coefficients(fit)
    corrected = fresh.delta + fresh.vega / (fresh.spot * np.sqrt(fresh.years)) * (a + b * call + c * call**2)
    plain = np.var((fresh.value_change - fresh.delta * fresh.spot_change) / fresh.spot)
    fitted = np.var((fresh.value_change - corrected * fresh.spot_change) / fresh.spot)
    assert fitted < 0.6 * plain


def test_where_the_vol_does_not_move_the_coefficients_stay_near_zero() -> None:
    fit = updated(MinimumVarianceFit(), moves_of(5, 2_000, beta=0.0))
    assert np.abs(np.polyval(coefficients(fit)[::-1], np.linspace(0.1, 0.9, 9))).max() < 0.03


def test_too_few_moves_leave_the_coefficients_at_zero() -> None:
    fit = updated(MinimumVarianceFit(minimum=200.0), moves_of(6, 199))
    assert coefficients(fit) == (0.0, 0.0, 0.0)
    assert coefficients(updated(fit, moves_of(7, 10))) != (0.0, 0.0, 0.0)
    assert coefficients(MinimumVarianceFit(minimum=0.0)) == (0.0, 0.0, 0.0)


def test_the_ridge_pulls_towards_zero() -> None:
    moves = moves_of(8, 300)
    loose, tight = (coefficients(updated(MinimumVarianceFit(ridge=r), moves)) for r in (1e-3, 1e4))
    assert max(abs(x) for x in tight) < 0.1 * max(abs(x) for x in loose)


def test_old_moves_are_forgotten() -> None:
    fit = updated(MinimumVarianceFit(forgetting=0.5), moves_of(9, 1_000, beta=0.5))
    for seed in range(10, 20):
        fit = updated(fit, moves_of(seed, 1_000, beta=-0.5))
    a, b, c = coefficients(fit)
    assert a + b * 0.5 + c * 0.25 < -0.1
    assert fit.observations == pytest.approx(2_000.0, rel=0.01)


def test_an_update_leaves_the_old_fit_as_it_was_and_no_moves_change_nothing() -> None:
    fit = MinimumVarianceFit()
    assert updated(fit, moves_of(1, 10)) != fit
    assert fit == MinimumVarianceFit()
    none = np.zeros(0)
    assert updated(fit, Moves(none, none, none, none, none, none)) is fit


def test_a_fit_survives_json_bit_for_bit() -> None:
    fit = updated(MinimumVarianceFit(), moves_of(11, 300))
    kept = TypeAdapter(MinimumVarianceFit)
    assert kept.validate_json(kept.dump_json(fit)) == fit


@pytest.mark.parametrize(
    "change",
    [{"moment": (1.0,)}, {"observations": math.nan}, {"forgetting": 0.0}, {"information": (math.inf,) * 6}],
)
def test_a_spoilt_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PricingError, match="minimum-variance fit"):
        MinimumVarianceFit(**change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vega": np.ones(3)}, "lists of one length"),
        ({"value_change": np.array([math.nan, 0.0])}, "not a finite number"),
        ({"spot": np.array([0.0, 1.0])}, "spot must be above zero"),
        ({"years": np.array([0.0, 1.0])}, "years must be above zero"),
    ],
)
def test_senseless_moves_are_refused(change: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(PricingError, match=sentence):
        updated(MinimumVarianceFit(), replace(moves_of(1, 2), **change))


def test_senseless_input_of_a_delta_is_refused() -> None:
    greeks = black_scholes(SPOT, STRIKES, YEARS, 0.6, 0.0, CALLS)
    with pytest.raises(PricingError, match="spot must be above zero"):
        sticky_delta(greeks, 0.0, 0.0)
    with pytest.raises(PricingError, match="finite"):
        sticky_delta(greeks, SPOT, math.nan)
    with pytest.raises(PricingError, match="don't fit each other"):
        sticky_delta(greeks, SPOT, [0.0, 0.0])
    with pytest.raises(PricingError, match="years must not be below zero"):
        minimum_variance(greeks, SPOT, -1.0, (0.0, 0.0, 0.0))
    with pytest.raises(PricingError, match="coefficient is not finite"):
        minimum_variance(greeks, SPOT, YEARS, (math.nan, 0.0, 0.0))


def test_a_book_in_coins_hedges_what_its_options_are_worth_in_coins() -> None:
    """d(V/S)/dS · S = δ − V/S: the coins to hold against an option's value in coins."""
    h = 1e-4
    greeks = black_scholes(SPOT, STRIKES, YEARS, 0.6, 0.0, CALLS)
    up, down = (
        coin_value(black_scholes(SPOT + x, STRIKES, YEARS, 0.6, 0.0, CALLS).price, SPOT + x) for x in (h, -h)
    )
    found = coin_delta(greeks.delta, greeks.price, SPOT, kept_in_coin=True)
    assert found == pytest.approx((up - down) / (2.0 * h) * SPOT, abs=1e-7)


def test_a_book_in_usd_hedges_the_plain_delta() -> None:
    assert coin_delta([0.5, -0.3], [4.0, 2.0], 100.0, kept_in_coin=False) == pytest.approx([0.5, -0.3])
    assert coin_delta(0.5, 4.0, 100.0, kept_in_coin=True) == pytest.approx(0.46)
