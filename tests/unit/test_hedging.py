"""The hedging simulator: published figures, and that it trades as the policies do."""

import math
from decimal import Decimal

import numpy as np
import pytest

from bot.core.bands import OPTIMAL, Conditions, aversion_for, error_at, whalley_wilmott
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk_target import Aversion, DailyError
from bot.pricing.black import black_scholes
from bot.simulate.hedging import Market, OptionBook, certainty_loss, result_of, simulate

NONE = Decimal(0)
FREE = Market(96, 0.0, 0.0)
STRADDLE = OptionBook()
RISK = Aversion(Decimal(16))
ALL: list[Policy] = [
    Interval(86_400, NONE),
    PriceMove(Decimal("0.05"), NONE),
    DeltaBand(Decimal("0.1"), Decimal("0.05"), NONE),
    WhalleyWilmott(RISK, NONE),
    Zakamouline(RISK, NONE),
    OptimalBand(RISK, NONE),
]

# QuantLib's DiscreteHedging example: one short call, S = K = 100, a month, σ = 20 %, r = 5 %, in discounted prices.
RATE, MONTH = 0.05, 1 / 12
EXAMPLE = OptionBook(-1.0, 0.0, 100.0, 100.0 * math.exp(-RATE * MONTH), 0.2, MONTH)


def test_quantlibs_example_has_its_value() -> None:
    assert -EXAMPLE.value() == pytest.approx(2.51207, abs=5e-6)


@pytest.mark.parametrize(("hedges", "deviation"), [(21, 0.43), (84, 0.22)])
def test_quantlibs_example_has_its_hedging_error(hedges: int, deviation: float) -> None:
    (run,) = simulate(EXAMPLE, [Interval(1, NONE)], Market(hedges, 0.0, 0.0), paths=50_000, seed=1)
    profit = run.gross * math.exp(RATE * MONTH)
    assert float(np.std(profit)) == pytest.approx(deviation, abs=0.006)
    assert abs(float(np.mean(profit))) < 4 * deviation / math.sqrt(50_000)


def test_the_hedging_error_is_derman_and_kamals() -> None:
    vega = float(black_scholes(100.0, EXAMPLE.strike, MONTH, 0.2, 0.0, True).vega)
    assert math.sqrt(math.pi / (4 * 21)) * vega * 0.2 == pytest.approx(0.44, abs=0.005)


def test_one_small_step_has_boyle_and_emanuels_error() -> None:
    rng = np.random.default_rng(5)
    years, vol, spot, step = 0.25, 0.4, 100.0, 1e-5
    noise = rng.standard_normal(1_000_000)
    moved = spot * np.exp(vol * math.sqrt(step) * noise - vol**2 * step / 2)
    before = black_scholes(spot, spot, years, vol, 0.0, True)
    after = black_scholes(moved, spot, years - step, vol, 0.0, True)
    error = after.price - before.price - before.delta * (moved - spot)
    centred = (error - error.mean()) / error.std()
    assert float(error.std()) == pytest.approx(
        math.sqrt(0.5) * float(before.gamma) * (spot * vol) ** 2 * step, rel=0.01
    )
    assert float(np.mean(centred**3)) == pytest.approx(2.83, abs=0.06)
    assert float(np.mean(centred**4)) - 3 == pytest.approx(12, abs=0.8)
    assert float(np.mean(error < 0)) == pytest.approx(0.6827, abs=0.002)


def test_the_same_seed_gives_the_same_bits_whatever_runs_beside() -> None:
    market = Market(96, 5e-4, 3e-5)
    together = simulate(STRADDLE, ALL, market, paths=500, seed=3)
    for policy, run in zip(ALL, together, strict=True):
        (alone,) = simulate(STRADDLE, [policy], market, paths=500, seed=3)
        assert np.array_equal(alone.gross, run.gross)
        assert np.array_equal(alone.trades, run.trades)


def test_hedging_without_costs_earns_nothing_and_removes_risk() -> None:
    runs = simulate(STRADDLE, [*ALL, DeltaBand(Decimal(9), NONE, NONE)], FREE, paths=20_000, seed=4)
    unhedged = float(np.std(runs[-1].gross))
    for run in runs[:-1]:
        spread = float(np.std(run.gross))
        assert spread < 0.5 * unhedged
        assert abs(float(np.mean(run.gross))) < 4 * spread / math.sqrt(20_000)


def test_costs_are_what_was_traded_and_unwinding_is_a_trade() -> None:
    (run,) = simulate(STRADDLE, [Interval(30 * 86_400, NONE)], Market(96, 5e-4, 3e-5), paths=100, seed=1)
    assert np.all(run.trades == 2)
    delta = 2 * 0.5 * math.erfc(-0.7 * math.sqrt(30 / 365) / 2 / math.sqrt(2)) - 1
    assert np.all(run.traded_usd > delta)
    paid = run.gross - run.profit(5e-4, 3e-5)
    assert paid == pytest.approx(5e-4 * run.traded_usd + 2 * 3e-5)


def test_a_least_trade_makes_fewer_and_larger_trades() -> None:
    market = Market(960, 5e-4, 3e-5)
    few, many = simulate(
        STRADDLE,
        [WhalleyWilmott(RISK, Decimal("0.05")), WhalleyWilmott(RISK, NONE)],
        market,
        paths=500,
        seed=2,
    )
    assert float(np.mean(few.trades)) < 0.3 * float(np.mean(many.trades))


def test_the_certainty_loss_of_a_normal_profit_is_mean_and_half_gamma_variance() -> None:
    profit = 0.3 + 0.1 * np.random.default_rng(1).standard_normal(400_000)
    assert certainty_loss(profit, 4.0) == pytest.approx(-0.3 + 4.0 / 2 * 0.01, abs=1e-3)
    assert certainty_loss(np.full(3, -7.0), 1e6) == pytest.approx(7.0)


@pytest.mark.parametrize("fixed", [0.0, 3e-5, 3e-4])
def test_the_optimal_band_is_the_best_of_all_at_its_own_aversion(fixed: float) -> None:
    market = Market(720, 5e-4, fixed)
    runs = simulate(STRADDLE, ALL, market, paths=8_000, seed=6)
    *others, ours = (result_of(run, market, 16.0).loss for run in runs)
    assert all(ours < 1.005 * other for other in others)


@pytest.mark.parametrize(("gamma", "fixed"), [("4", 3e-5), ("16", 0.0), ("16", 3e-4)])
def test_a_calibrated_target_is_what_is_realised(gamma: str, fixed: float) -> None:
    book = OptionBook(years=90 / 365)
    checks, days = 90 * 96, 5
    total = book.vol * math.sqrt(book.years)
    density = math.exp(-total * total / 8) / math.sqrt(2 * math.pi)
    at = Conditions(-2 * density / total, 1.0, book.vol, book.years, 0.0, 5e-4, fixed, book.years / checks)
    target = error_at(OPTIMAL, at, float(gamma), 0.0, 0.0)
    found = aversion_for(target, OPTIMAL, at, 0.0, 0.0)
    assert found == pytest.approx(float(gamma), rel=1e-6)
    policy = OptimalBand(Aversion(Decimal(repr(found))), NONE)
    early, late = (
        simulate(book, [policy], Market(checks, 5e-4, fixed, stop=96 * end), paths=4_000, seed=8)[0]
        for end in (2, 2 + days)
    )
    # The first two days are left out: the gap has to spread over the band first.
    realised = float(np.std(late.gross - early.gross)) / math.sqrt(days)
    assert realised == pytest.approx(target, rel=0.15)


def test_a_stopped_run_is_marked_and_not_unwound() -> None:
    (run,) = simulate(STRADDLE, [Interval(1, NONE)], Market(960, 5e-4, 0.0, stop=1), paths=4_000, seed=1)
    assert np.all(run.trades == 1)
    step = 30 / 365 / 960
    gamma = 2 * math.exp(-(0.7**2) * 30 / 365 / 8) / math.sqrt(2 * math.pi) / (0.7 * math.sqrt(30 / 365))
    assert float(np.std(run.gross)) == pytest.approx(math.sqrt(0.5) * gamma * 0.49 * step, rel=0.1)


def test_a_trade_of_the_simulator_is_that_of_the_formula() -> None:
    edge = whalley_wilmott(2.0, 1.0, 30 / 365, 0.0, 1e6, 5e-4)
    market = Market(960, 5e-4, 0.0, stop=1)
    to_edge, to_centre = simulate(
        STRADDLE,
        [WhalleyWilmott(Aversion(Decimal(10**6)), NONE), Interval(1, NONE)],
        market,
        paths=10,
        seed=1,
    )
    gamma = 2 * math.exp(-(0.7**2) * 30 / 365 / 8) / math.sqrt(2 * math.pi) / (0.7 * math.sqrt(30 / 365))
    edge *= (gamma / 2.0) ** (2 / 3)
    assert to_centre.traded_usd - to_edge.traded_usd == pytest.approx(np.full(10, edge), rel=1e-3)


def test_what_cannot_be_simulated_is_refused() -> None:
    with pytest.raises(ValueError, match="aversion"):
        simulate(STRADDLE, [OptimalBand(DailyError(Decimal(1)), NONE)], FREE, paths=10, seed=1)
    with pytest.raises(ValueError, match="at least one path"):
        simulate(STRADDLE, ALL, FREE, paths=0, seed=1)
