"""VaR and expected shortfall, beside closed forms. Monte Carlo is held to four of its own standard errors."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from builders import measured, option, snapshot, source, venue_state
from scipy.stats import norm

from bot.core.scenario import held_of, revalue, shocks_of
from bot.core.value_at_risk import (
    Law,
    Sensitivities,
    Tail,
    delta_gamma,
    historical,
    monte_carlo,
    sensitivities_of,
    tail_of,
)
from bot.errors import DataError

DAY = 24.0
ROOT_DAY = math.sqrt(1.0 / 365.0)
COINS = snapshot(source(holdings=("10",)))
CALL = snapshot(source(option("-10")))
BOTH = Law(0.8, 1.2, -0.5)


def within(tail: Tail, var: float, es: float, errors: float = 4.0) -> bool:
    return (
        abs(tail.var_usd - var) <= errors * tail.var_error and abs(tail.es_usd - es) <= errors * tail.es_error
    )


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_monte_carlo_of_coins_is_the_lognormal_quantile(confidence: float) -> None:
    tail = monte_carlo(held_of(COINS), Law(0.8), confidence, DAY, paths=200_000)
    width, z = 0.8 * ROOT_DAY, norm.ppf(1 - confidence)
    worst = 20_000 * math.exp(width * z - width**2 / 2)
    # E[S; S below its quantile] of a lognormal martingale is S N(z − width).
    mean = 20_000 * norm.cdf(z - width) / (1 - confidence)
    assert within(tail, 20_000 - worst, 20_000 - mean)
    assert 0 < tail.var_error < 0.01 * tail.var_usd
    assert tail.es_usd > tail.var_usd


def test_monte_carlo_of_a_short_call_is_its_value_at_the_prices_quantile() -> None:
    held = held_of(CALL)
    tail = monte_carlo(held, Law(0.8), 0.99, DAY, paths=200_000)
    width = 0.8 * ROOT_DAY
    # A short call loses the more the higher the price: its quantile is the price's, its shortfall an integral.
    chances = 0.99 + 0.01 * (np.arange(20_000) + 0.5) / 20_000
    prices = np.exp(width * norm.ppf(np.append(chances, 0.99)) - width**2 / 2) - 1.0
    losses = -revalue(held, shocks_of(prices, hours=DAY)).marked
    assert within(tail, float(losses[-1]), float(losses[:-1].mean()))


def test_the_same_seed_draws_the_same_moves() -> None:
    held = held_of(CALL)
    assert monte_carlo(held, BOTH, 0.95, DAY) == monte_carlo(held, BOTH, 0.95, DAY)
    assert monte_carlo(held, BOTH, 0.95, DAY) != monte_carlo(held, BOTH, 0.95, DAY, seed=8)


def test_shocks_of_vol_make_a_hedged_short_option_riskier() -> None:
    delta = measured(CALL).model_delta
    hedged = held_of(snapshot(source(option("-10")), venue=venue_state(f"{-delta:.3f}")))
    calm = monte_carlo(hedged, Law(0.8), 0.99, DAY)
    assert monte_carlo(hedged, Law(0.8, 5.0), 0.99, DAY).var_usd > calm.var_usd + 4 * calm.var_error


def test_delta_gamma_of_coins_is_the_normal_quantile() -> None:
    tail = delta_gamma(sensitivities_of(COINS), Law(0.8), 0.99, DAY)
    deviation = 20_000 * 0.8 * ROOT_DAY
    assert tail.var_usd == pytest.approx(deviation * norm.ppf(0.99), rel=1e-9)
    assert tail.es_usd == pytest.approx(deviation * norm.pdf(norm.ppf(0.99)) / 0.01, rel=1e-9)


def test_delta_gamma_of_gamma_alone_is_the_chi_square_quantile() -> None:
    greeks = Sensitivities(delta=0.0, gamma=-200_000.0, vega=0.0, vanna=0.0, volga=0.0, theta=0.0)
    tail = delta_gamma(greeks, Law(0.8), 0.99, DAY)
    scale = 100_000 * (0.8 * ROOT_DAY) ** 2
    edge = norm.ppf(0.995)
    assert tail.var_usd == pytest.approx(scale * edge**2, rel=1e-9)
    assert tail.es_usd == pytest.approx(scale * (1 + edge * norm.pdf(edge) / norm.sf(edge)), rel=1e-9)
    # Long gamma gains whatever the price does: the worst is to stand still.
    long = Sensitivities(0.0, 200_000.0, 0.0, 0.0, 0.0, 0.0)
    assert delta_gamma(long, Law(0.8), 0.99, DAY).var_usd == pytest.approx(
        -scale * norm.ppf(0.505) ** 2, rel=1e-6
    )


@pytest.mark.parametrize(
    "greeks",
    [
        Sensitivities(20_000.0, -150_000.0, -8_000.0, 30_000.0, -5_000.0, 90_000.0),
        Sensitivities(-500.0, 150_000.0, 8_000.0, -30_000.0, 5_000.0, -90_000.0),
        Sensitivities(0.0, -150_000.0, -50_000.0, 0.0, 40_000.0, 0.0),
        Sensitivities(0.0, -1.0, -50_000.0, 0.0, 0.0, 0.0),
    ],
)
@pytest.mark.parametrize("law", [Law(0.8), BOTH, Law(0.8, 1.2, 1.0)])
def test_delta_gamma_agrees_with_drawing_the_same_quadratic(greeks: Sensitivities, law: Law) -> None:
    drawn = np.random.default_rng(3).standard_normal((2, 1_000_000))
    price = law.vol * ROOT_DAY * drawn[0]
    other = law.correlation * drawn[0] + math.sqrt(1 - law.correlation**2) * drawn[1]
    vol = law.vol_of_vol * ROOT_DAY * other
    profits = (
        greeks.theta / 365
        + greeks.delta * price
        + greeks.vega * vol
        + greeks.gamma * price**2 / 2
        + greeks.vanna * price * vol
        + greeks.volga * vol**2 / 2
    )
    sampled = tail_of("drawn", profits, 0.99, DAY, "")
    tail = delta_gamma(greeks, law, 0.99, DAY)
    assert within(sampled, tail.var_usd, tail.es_usd, errors=4.5)


def test_the_sensitivities_are_those_of_the_revaluation() -> None:
    seen = snapshot(
        source(option("-10"), option("3", strike="2300", vol=0.6), holdings=("2",)), venue=venue_state("4")
    )
    greeks, held = sensitivities_of(seen), held_of(seen)
    step = 1e-4

    def profit(price: float, factor: float, hours: float = 0.0) -> float:
        return float(revalue(held, shocks_of(price, hours=hours, vol_factor=factor)).marked[0])

    up, down = profit(step, 1.0), profit(-step, 1.0)
    more, less = profit(0.0, 1 + step), profit(0.0, 1 - step)
    assert (up - down) / (2 * step) == pytest.approx(greeks.delta, rel=1e-5)
    assert (up + down) / step**2 == pytest.approx(greeks.gamma, rel=1e-4)
    assert (more - less) / (2 * step) == pytest.approx(greeks.vega, rel=1e-5)
    assert (more + less) / step**2 == pytest.approx(greeks.volga, rel=1e-2, abs=1.0)
    cross = (
        profit(step, 1 + step) + profit(-step, 1 - step) - profit(step, 1 - step) - profit(-step, 1 + step)
    )
    assert cross / (4 * step**2) == pytest.approx(greeks.vanna, rel=1e-3)
    assert profit(0.0, 1.0, 0.01) * 8760 / 0.01 == pytest.approx(greeks.theta, rel=1e-3)


def test_a_book_without_risk_has_none() -> None:
    tail = delta_gamma(Sensitivities(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), Law(0.8), 0.99, DAY)
    assert (tail.var_usd, tail.es_usd) == (0.0, 0.0)


def test_historical_takes_the_worst_of_the_past() -> None:
    returns = np.append(np.linspace(-0.1, 0.1, 99), -0.5)
    tail = historical(held_of(COINS), returns, 0.98, DAY)
    # Two of a hundred lie in the tail: the mean of the worst two, and VaR is the next loss.
    assert tail.es_usd == pytest.approx(20_000 * (0.5 + 0.1) / 2)
    assert tail.var_usd == pytest.approx(20_000 * (0.1 - 0.2 / 98))
    assert tail.outcomes == 100


def test_a_tail_that_is_no_whole_number_of_outcomes_is_weighted() -> None:
    tail = tail_of("x", -np.arange(1.0, 11.0), 0.85, DAY, "")
    assert tail.var_usd == 9.0
    assert tail.es_usd == pytest.approx((10.0 + 0.5 * 9.0) / 1.5)


HELD = held_of(COINS)
NOTHING = Sensitivities(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, float("nan")])
def test_a_confidence_that_is_none_is_refused(confidence: float) -> None:
    for ask in (
        lambda: historical(HELD, np.zeros(1000), confidence, DAY),
        lambda: monte_carlo(HELD, Law(0.8), confidence, DAY),
        lambda: delta_gamma(NOTHING, Law(0.8), confidence, DAY),
    ):
        with pytest.raises(ValueError, match="confidence is"):
            ask()


@pytest.mark.parametrize("hours", [0.0, -24.0, float("nan"), float("inf")])
def test_a_horizon_that_is_none_is_refused(hours: float) -> None:
    for ask in (
        lambda: historical(HELD, np.zeros(1000), 0.99, hours),
        lambda: monte_carlo(HELD, Law(0.8), 0.99, hours),
        lambda: delta_gamma(NOTHING, Law(0.8), 0.99, hours),
    ):
        with pytest.raises(ValueError, match="horizon is"):
            ask()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Law(0.0), "vol is 0"),
        (lambda: Law(float("nan")), "vol is nan"),
        (lambda: Law(0.8, -1.0), "vol_of_vol"),
        (lambda: Law(0.8, 1.0, 1.1), "correlation"),
        (lambda: monte_carlo(HELD, Law(0.8), 0.99, DAY, paths=50), "50 paths"),
        (lambda: historical(HELD, [0.1, float("nan")], 0.5, DAY), "return 1 is nan"),
        (lambda: historical(HELD, [0.1, -1.0], 0.5, DAY), "return 1 is -1"),
        (lambda: historical(HELD, np.zeros(99), 0.99, DAY), "at least 100 returns, got 99"),
        (
            lambda: delta_gamma(Sensitivities(float("nan"), 0.0, 0.0, 0.0, 0.0, 0.0), Law(0.8), 0.9, DAY),
            "greeks",
        ),
    ],
)
def test_input_that_makes_no_sense_is_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises((ValueError, DataError), match=says):
        make()
