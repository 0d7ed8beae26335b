"""Claims about bot.pricing.surface: what was quoted comes back, nothing is invented, nonsense is named."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from models import Heston, heston_undiscounted, implied_vol

from bot.errors import PricingError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes
from bot.pricing.surface import (
    HOLD_S,
    ExtrapolationError,
    Surface,
    VolQuote,
    fit_surface,
    flat_surface,
    smile_slopes,
)
from bot.pricing.svi import (
    ArbitrageError,
    JumpWings,
    SviSlice,
    check_butterfly,
    from_jump_wings,
    total_variance,
)

AT = 1_790_000_000
DAY = 86_400


def quotes_at(
    days: int, strikes: list[float], vols: list[float], forward: float | None = 100.0
) -> list[VolQuote]:
    return [VolQuote(AT + days * DAY, k, vol, forward) for k, vol in zip(strikes, vols, strict=True)]


def smile(days: int, forward: float) -> SviSlice:
    """A crypto-like smile whose total variance grows with `days` at every log-moneyness."""
    years = days / 365
    root = math.sqrt(years)
    return from_jump_wings(
        JumpWings(0.36, -0.06 - 0.1 * root, 0.5 + 0.3 * root, 0.4 + 0.3 * root, 0.335, years)
    )


def board(all_days: list[int], count: int = 15) -> list[VolQuote]:
    found: list[VolQuote] = []
    for days in all_days:
        forward = 2500.0 * math.exp(0.05 * days / 365)
        k = np.linspace(-2.5, 2.5, count) * 0.6 * math.sqrt(days / 365)
        vols = np.sqrt(total_variance(smile(days, forward), k) / (days / 365))
        found += quotes_at(days, (forward * np.exp(k)).tolist(), vols.tolist(), forward)
    return found


# ---------------------------------------------------------------------------------------------------------
# Through the quotes.


def test_a_board_gives_back_its_vols() -> None:
    quotes = board([1, 7, 30, 90, 365])
    surface = fit_surface(quotes, AT, "board")
    assert (surface.name, surface.at) == ("board", AT)
    for quote in quotes:
        assert surface.vol(quote.strike, quote.expiry, AT) == pytest.approx(quote.vol, abs=1e-6)


def test_a_quoted_expiry_keeps_its_vols_as_time_passes() -> None:
    quotes = board([7, 30])
    surface = fit_surface(quotes, AT, "board")
    for quote in quotes:
        assert surface.vol(quote.strike, quote.expiry, AT + 3 * DAY) == pytest.approx(quote.vol, abs=1e-6)


def test_few_strikes_are_joined_by_straight_total_variance_and_held_flat_outside() -> None:
    surface = fit_surface(quotes_at(30, [80.0, 100.0, 125.0], [0.8, 0.6, 0.7]), AT, "few")
    expiry = AT + 30 * DAY
    assert surface.vols([80.0, 100.0, 125.0], expiry, AT) == pytest.approx([0.8, 0.6, 0.7])
    assert surface.vols([10.0, 900.0], expiry, AT) == pytest.approx([0.8, 0.7])
    middle = math.sqrt((0.8**2 + 0.6**2) / 2.0)
    assert surface.vol(math.sqrt(80.0 * 100.0), expiry, AT) == pytest.approx(middle)


def test_a_single_strike_is_flat() -> None:
    surface = fit_surface(quotes_at(30, [100.0], [0.6]), AT, "one")
    expiry = AT + 30 * DAY
    assert surface.vols([50.0, 100.0, 200.0], expiry, AT) == pytest.approx([0.6] * 3)
    assert surface.slopes([50.0, 100.0, 200.0], expiry, AT) == pytest.approx([0.0] * 3)


def test_strikes_keep_their_shape() -> None:
    surface = fit_surface(board([30]), AT, "board")
    strikes = np.full((2, 3), 2400.0)
    assert surface.vols(strikes, AT + 30 * DAY, AT).shape == (2, 3)
    assert surface.slopes(strikes, AT + 30 * DAY, AT).shape == (2, 3)


def test_slopes_are_the_derivatives_of_vols_in_the_logarithm_of_the_strike() -> None:
    surface = fit_surface(
        board([30, 90]) + quotes_at(180, [2300.0, 2600.0], [0.63, 0.62], 2560.0), AT, "board"
    )
    h = 1e-6
    for days in (20, 30, 50, 90, 120, 180):
        for strike in (2350.0, 2480.0, 2555.0):
            up, down = (surface.vol(strike * math.exp(x), AT + days * DAY, AT + 5) for x in (h, -h))
            slope = surface.slope(strike, AT + days * DAY, AT + 5)
            assert slope == pytest.approx((up - down) / (2.0 * h), abs=1e-7)


def test_the_slope_at_a_bend_is_the_mean_of_both_sides_and_zero_outside() -> None:
    surface = fit_surface(quotes_at(365, [80.0, 100.0, 125.0], [0.8, 0.6, 0.7]), AT, "few")
    expiry, gap = AT + 365 * DAY, math.log(1.25)
    left, right = (0.36 - 0.64) / gap, (0.49 - 0.36) / gap
    expected = [left / 1.6, (left + right) / 2.0 / 1.2, right / 1.4]
    assert surface.slopes([80.0, 100.0, 125.0], expiry, AT) == pytest.approx(expected)
    assert surface.slopes([79.0, 126.0], expiry, AT) == pytest.approx([0.0, 0.0])


# ---------------------------------------------------------------------------------------------------------
# Between and beside the expiries.


def test_total_variance_is_linear_between_expiries_at_equal_log_moneyness() -> None:
    surface = fit_surface(
        quotes_at(10, [100.0], [0.5], 100.0) + quotes_at(30, [110.0], [0.7], 110.0), AT, "two"
    )
    expected = (0.5**2 * 10 + (0.7**2 * 30 - 0.5**2 * 10) / 2.0) / 20
    forward = surface.forward(AT + 20 * DAY, AT)
    assert forward == pytest.approx(math.sqrt(100.0 * 110.0))
    assert surface.vol(forward, AT + 20 * DAY, AT) == pytest.approx(math.sqrt(expected))
    assert surface.atm_vol(AT + 20 * DAY, AT) == pytest.approx(math.sqrt(expected))


@given(days=st.floats(7.0, 365.0), k=st.floats(-0.5, 0.5))
def test_total_variance_never_falls_with_expiry(days: float, k: float) -> None:
    surface = BOARD
    early, late = AT + int(days * DAY), AT + int((days + 5.0) * DAY)

    def variance(expiry: int) -> float:
        strike = surface.forward(expiry, AT) * math.exp(k)
        return surface.vol(strike, expiry, AT) ** 2 * (expiry - AT)

    assert variance(late) >= variance(early) * (1.0 - 1e-9)


BOARD = fit_surface(board([7, 30, 90, 400]), AT, "board")


def test_outside_the_quoted_expiries_the_nearest_vol_is_held() -> None:
    surface = fit_surface(board([30, 90]), AT, "board")
    strike = 2400.0
    first, last = (surface.vol(strike, AT + days * DAY, AT) for days in (30, 90))
    assert surface.vol(strike, AT + 15 * DAY, AT) == pytest.approx(first)
    assert surface.vol(strike, AT + 180 * DAY, AT) == pytest.approx(last)


def test_too_far_outside_the_quoted_expiries_there_is_no_vol() -> None:
    surface = fit_surface(board([30, 90]), AT, "board")
    with pytest.raises(ExtrapolationError, match=r"board: no vol for an option with 14\.0 days left"):
        surface.vol(2400.0, AT + 14 * DAY, AT)
    with pytest.raises(ExtrapolationError, match=r"181\.0 days left: the nearest quoted expiry has 90\.0"):
        surface.slope(2400.0, AT + 181 * DAY, AT)


def test_the_last_hours_of_an_option_are_covered_by_an_expiry_of_the_next_days() -> None:
    surface = fit_surface(board([1, 7]), AT, "board")
    expected = surface.vol(2400.0, AT + DAY, AT)
    assert surface.vol(2400.0, AT + 600, AT) == pytest.approx(expected)
    assert surface.vol(2400.0, AT + 600 + 7 * DAY, AT) > 0
    far = fit_surface(board([3]), AT, "board")
    with pytest.raises(ExtrapolationError):
        far.vol(2400.0, AT + 3 * DAY - HOLD_S - 1, AT)


def test_an_expiry_that_has_passed_no_longer_counts() -> None:
    surface = fit_surface(board([1, 7]), AT, "board")
    later = AT + 2 * DAY
    assert surface.vol(2400.0, AT + 5 * DAY, later) == pytest.approx(surface.vol(2400.0, AT + 7 * DAY, later))
    with pytest.raises(PricingError, match="an option that has expired"):
        surface.vol(2400.0, AT + DAY, later)
    with pytest.raises(ExtrapolationError, match="every expiry of the vols has passed"):
        surface.vol(2400.0, AT + 9 * DAY, AT + 8 * DAY)


def test_a_flat_surface_answers_the_same_everywhere() -> None:
    surface = flat_surface(0.8, AT)
    assert surface.vols([1.0, 1e6], AT + 1, AT) == pytest.approx([0.8, 0.8])
    assert surface.vol(5.0, AT + 9_999 * DAY, AT) == 0.8
    assert surface.slope(5.0, AT + DAY, AT) == 0.0
    assert surface.atm_vol(AT + DAY, AT) == 0.8
    with pytest.raises(PricingError, match="has expired"):
        surface.vol(5.0, AT, AT)


@pytest.mark.parametrize("vol", [0.0, -0.1, 5.1, math.nan, math.inf])
def test_a_flat_surface_of_a_senseless_vol_is_refused(vol: float) -> None:
    with pytest.raises(PricingError, match="constant: "):
        flat_surface(vol, AT)


# ---------------------------------------------------------------------------------------------------------
# Without forwards.


def test_without_forwards_vols_are_interpolated_by_strike_and_the_money_is_not_known() -> None:
    strikes = [60.0, 80.0, 100.0, 120.0, 140.0, 160.0]
    quotes = quotes_at(30, strikes, [0.9, 0.7, 0.6, 0.62, 0.65, 0.7], None)
    surface = fit_surface(quotes + quotes_at(60, [100.0], [0.65], None), AT, "table")
    assert surface.vols(strikes, AT + 30 * DAY, AT) == pytest.approx([0.9, 0.7, 0.6, 0.62, 0.65, 0.7])
    with pytest.raises(PricingError, match="gives no forward"):
        surface.atm_vol(AT + 30 * DAY, AT)
    assert surface.atm_vol(AT + 30 * DAY, AT, forward=100.0) == pytest.approx(0.6)


def test_forwards_for_some_expiries_only_are_refused() -> None:
    with pytest.raises(PricingError, match="some expiries have a forward and some have none"):
        fit_surface(quotes_at(30, [100.0], [0.6]) + quotes_at(60, [100.0], [0.6], None), AT, "mixed")


# ---------------------------------------------------------------------------------------------------------
# Refusals.


@pytest.mark.parametrize(
    ("quotes", "sentence"),
    [
        ([], "bad: there is no vol at all"),
        (quotes_at(30, [100.0], [math.nan]), "strike 100: the vol is not a finite number"),
        (quotes_at(30, [100.0], [0.0]), "strike 100: a vol of 0 is not above zero"),
        (
            quotes_at(30, [90.0, 100.0], [0.5, 5.5]),
            "strike 100: a vol of 5.5 is above 5: taken for a mistake",
        ),
        (quotes_at(30, [90.0, 90.0], [0.5, 0.5]), "strike 90: there are two vols for it"),
        (quotes_at(30, [-1.0], [0.5]), "a strike of -1.0 is not a price above zero"),
        (quotes_at(30, [math.nan], [0.5]), "a strike of nan is not a price above zero"),
        (quotes_at(30, [90.0], [0.5], 0.0), "a forward of 0.0 is not a price above zero"),
        (quotes_at(30, [90.0], [0.5], 99.0) + quotes_at(30, [95.0], [0.5], 98.0), "2 different forwards"),
        (quotes_at(0, [90.0], [0.5]), "it had passed when its vols were made"),
        ([VolQuote(AT + DAY, 90.0, 0.5, 100.0, weight=0.0)], "a weight must be above zero"),
    ],
)
def test_a_senseless_quote_is_named(quotes: list[VolQuote], sentence: str) -> None:
    with pytest.raises(PricingError, match=re.escape(sentence)):
        fit_surface(quotes, AT, "bad")


def test_an_error_names_the_expiry_by_its_date() -> None:
    with pytest.raises(PricingError, match=r"bad, expiry 2026-10-21 14:13"):
        fit_surface(quotes_at(30, [100.0], [0.0]), AT, "bad")


def test_calendar_arbitrage_between_svi_expiries_is_named() -> None:
    high = [VolQuote(q.expiry, q.strike, 1.4 * q.vol, q.forward) for q in board([30])]
    with pytest.raises(
        ArbitrageError, match=r"expiry 2026-10-25 14:13: the quotes have calendar arbitrage at k"
    ):
        fit_surface(high + board([34]), AT, "bad")


def test_calendar_arbitrage_between_few_strikes_is_named_unless_the_spread_explains_it() -> None:
    quotes = quotes_at(30, [90.0, 110.0], [0.80, 0.82]) + quotes_at(40, [90.0, 110.0], [0.74, 0.69])
    with pytest.raises(ArbitrageError, match="calendar arbitrage at strike 110: total variance falls"):
        fit_surface(quotes, AT, "bad")
    assert fit_surface(quotes, AT, "wide", tolerance=0.04).vol(90.0, AT + 40 * DAY, AT) == pytest.approx(0.74)


def test_butterfly_arbitrage_between_few_strikes_is_named_unless_the_spread_explains_it() -> None:
    quotes = quotes_at(30, [95.0, 100.0, 105.0], [0.5, 0.65, 0.5])
    with pytest.raises(ArbitrageError, match="butterfly arbitrage at strike 100: calls are not convex"):
        fit_surface(quotes, AT, "bad")
    fit_surface(quotes_at(30, [95.0, 100.0, 105.0], [0.5, 0.53, 0.5]), AT, "good")


def test_a_call_that_costs_more_than_one_at_a_lower_strike_is_named() -> None:
    with pytest.raises(ArbitrageError, match="butterfly arbitrage at strike"):
        fit_surface(quotes_at(30, [100.0, 104.0], [0.3, 0.9]), AT, "bad")


def test_a_strike_must_be_a_price() -> None:
    with pytest.raises(PricingError, match="a strike must be a price above zero"):
        BOARD.vol(0.0, AT + 30 * DAY, AT)


def test_noisy_boards_are_fitted_within_a_vol_point_and_free_of_arbitrage() -> None:
    rng = np.random.default_rng(3)
    quotes = board([1, 2, 7, 30, 90, 180, 365], 31)
    noisy = [VolQuote(q.expiry, q.strike, q.vol + rng.normal(0.0, 0.004), q.forward) for q in quotes]
    surface = fit_surface(noisy, AT, "board")
    for part in surface.slices:
        assert isinstance(part.smile, SviSlice)
        check_butterfly(part.smile)
    near_money = [
        q
        for q in quotes
        if abs(math.log(q.strike / (q.forward or 1.0))) < 0.8 * math.sqrt((q.expiry - AT) / SECONDS_PER_YEAR)
    ]
    assert max(abs(surface.vol(q.strike, q.expiry, AT) - q.vol) for q in near_money) < 0.01


def test_a_heston_surface_is_reproduced_between_its_expiries() -> None:
    model = Heston(v0=0.36, kappa=2.0, theta=0.49, xi=1.0, rho=-0.4)

    def vol(k: float, days: int) -> float:
        return implied_vol(
            1.0, math.exp(k), days / 365, heston_undiscounted(model, 1.0, math.exp(k), days / 365)
        )

    quotes: list[VolQuote] = []
    for days in (30, 60, 120, 240):
        k = np.linspace(-2.0, 2.0, 13) * 0.6 * math.sqrt(days / 365)
        quotes += quotes_at(days, (1000.0 * np.exp(k)).tolist(), [vol(x, days) for x in k], 1000.0)
    surface = fit_surface(quotes, AT, "heston")
    for days in (45, 90, 180):
        for k_ in (-0.2, 0.0, 0.2):
            found = surface.vol(1000.0 * math.exp(k_), AT + days * DAY, AT)
            assert found == pytest.approx(vol(k_, days), abs=0.005)


# ---------------------------------------------------------------------------------------------------------
# A vault's own vols.


def test_smile_slopes_of_a_parabola_are_exact_inside() -> None:
    strikes = np.array([70.0, 90.0, 100.0, 125.0])
    x = np.log(strikes / 100.0)
    slopes = smile_slopes(strikes, 0.6 - 0.1 * x + 0.4 * x**2)
    assert slopes[1:-1] == pytest.approx(-0.1 + 0.8 * x[1:-1])


def test_smile_slopes_keep_the_order_of_the_strikes() -> None:
    strikes, vols = np.array([70.0, 90.0, 100.0, 125.0]), np.array([0.8, 0.7, 0.62, 0.66])
    order = [2, 0, 3, 1]
    assert smile_slopes(strikes[order], vols[order]) == pytest.approx(smile_slopes(strikes, vols)[order])


def test_smile_slopes_of_one_and_two_strikes() -> None:
    assert smile_slopes([100.0], [0.6]) == pytest.approx([0.0])
    assert smile_slopes([100.0, 200.0], [0.6, 0.7]) == pytest.approx([0.1 / math.log(2.0)] * 2)
    assert smile_slopes([], []).shape == (0,)


@pytest.mark.parametrize(
    ("strikes", "vols", "sentence"),
    [
        ([100.0, 100.0], [0.6, 0.7], "a strike comes twice"),
        ([100.0], [0.6, 0.7], "lists of one length"),
        ([100.0], [math.nan], "finite and above zero"),
        ([0.0], [0.5], "finite and above zero"),
    ],
)
def test_smile_slopes_of_senseless_input_are_refused(
    strikes: list[float], vols: list[float], sentence: str
) -> None:
    with pytest.raises(PricingError, match=sentence):
        smile_slopes(strikes, vols)


def test_surfaces_are_frozen() -> None:
    with pytest.raises(AttributeError):
        BOARD.at = 0  # type: ignore[misc]
    assert isinstance(BOARD, Surface)


def test_a_surfaces_calls_fall_with_the_strike_and_are_convex() -> None:
    expiry = AT + 45 * DAY
    strikes = np.linspace(1200.0, 4500.0, 400)
    vols = BOARD.vols(strikes, expiry, AT)
    forward = BOARD.forward(expiry, AT)
    calls = black_scholes(forward, strikes, (expiry - AT) / SECONDS_PER_YEAR, vols, 0.0, True).price
    assert (np.diff(calls) < 0).all()
    assert (np.diff(calls, 2) > -1e-9).all()
