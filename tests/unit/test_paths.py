"""Seeded price paths."""

import numpy as np
import pytest

from bot.simulate.paths import DAY_S, YEAR_S, JumpDiffusion

STEP_S = 300.0
STEPS = 200_000


def _log_returns(model: JumpDiffusion, seed: int = 1) -> np.ndarray:
    return np.diff(np.log(model.path(2_000.0, STEPS, STEP_S, np.random.default_rng(seed))))


def test_a_path_begins_at_the_start_and_has_a_price_per_step() -> None:
    path = JumpDiffusion().path(1_850.0, 12, 60.0, np.random.default_rng(3))
    assert path.shape == (13,)
    assert path[0] == 1_850.0
    assert (path > 0).all()


def test_the_seed_decides_the_path() -> None:
    one, same, other = (
        JumpDiffusion().path(2_000.0, 50, STEP_S, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    assert (one == same).all()
    assert (one != other).any()


def test_without_jumps_the_volatility_is_the_annual_one() -> None:
    returns = _log_returns(JumpDiffusion(annual_vol=0.80, jumps_per_day=0.0))
    assert returns.std() * np.sqrt(YEAR_S / STEP_S) == pytest.approx(0.80, rel=0.01)


def test_jumps_come_at_their_rate_and_size() -> None:
    returns = _log_returns(JumpDiffusion(annual_vol=0.0, jumps_per_day=1.0, jump_std=0.02))
    drift = np.median(returns)
    jumps = returns[np.abs(returns - drift) > 1e-9]
    assert len(jumps) / (STEPS * STEP_S / DAY_S) == pytest.approx(1.0, rel=0.1)
    assert jumps.std() == pytest.approx(0.02, rel=0.1)


def test_both_parts_add_up() -> None:
    returns = _log_returns(JumpDiffusion())
    expected = np.sqrt(0.80**2 + 365 * 0.02**2)
    assert returns.std() * np.sqrt(YEAR_S / STEP_S) == pytest.approx(expected, rel=0.02)


def test_the_expected_price_is_the_starting_price() -> None:
    model, rng = JumpDiffusion(), np.random.default_rng(8)
    ends = [model.path(1.0, 24, 3_600.0, rng)[-1] for _ in range(20_000)]
    assert np.mean(ends) == pytest.approx(1.0, abs=4 * np.std(ends) / np.sqrt(len(ends)))


def test_no_volatility_and_no_jumps_is_a_flat_line() -> None:
    path = JumpDiffusion(annual_vol=0.0, jumps_per_day=0.0).path(
        2_000.0, 10, STEP_S, np.random.default_rng(1)
    )
    assert (path == 2_000.0).all()
