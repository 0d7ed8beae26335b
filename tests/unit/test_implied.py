"""Claims about bot.pricing.implied: it inverts the price to the last digits, and refuses what has no volatility."""

import math
import re
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import PricingError
from bot.pricing.black import black_scholes
from bot.pricing.implied import implied_vol


@given(
    st.floats(-1.6, 1.6),
    st.floats(1e-5, 3.0),
    st.floats(0.05, 3.0),
    st.floats(-0.05, 0.2),
    st.floats(0.0, 0.05),
)
def test_a_volatility_comes_back_from_its_out_of_the_money_price(
    log_ratio: float, years: float, vol: float, rate: float, carry: float
) -> None:
    strike = 3000.0 * math.exp(log_ratio)
    is_call = log_ratio >= (rate - carry) * years
    greeks = black_scholes(3000.0, strike, years, vol, rate, is_call, carry)
    if greeks.price < 1e-280:
        return
    got = float(implied_vol(greeks.price, 3000.0, strike, years, rate, is_call, carry))
    # What rounding the price at the size of the spot costs, besides the last digits.
    rounding = min(3000.0 * 2e-15, 1e-11 * float(greeks.price)) / float(greeks.vega)
    assert got == pytest.approx(vol, rel=1e-12, abs=rounding)


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(0.1, 2.0), st.booleans())
def test_a_volatility_comes_back_as_well_as_the_price_has_it(
    log_ratio: float, years: float, vol: float, is_call: bool
) -> None:
    strike = 3000.0 * math.exp(log_ratio)
    greeks = black_scholes(3000.0, strike, years, vol, 0.03, is_call)
    if greeks.vega < 1e-3:
        return
    got = float(implied_vol(greeks.price, 3000.0, strike, years, 0.03, is_call))
    assert got == pytest.approx(vol, abs=1e-15 + 3000.0 * 5e-15 / float(greeks.vega))


def _exact_price(centre: float, total_vol: float) -> float:
    """The call on 1 USD struck at exp(centre), centre >= 0, with 60 digits, rounded once; the strike is float64."""
    with mp.workdps(60):
        strike, w = mp.mpf(math.exp(centre)), mp.mpf(total_vol)
        d1 = -mp.log(strike) / w + w / 2
        root_two = mp.sqrt(2)
        return float(mp.erfc(-d1 / root_two) / 2 - strike * mp.erfc((w - d1) / root_two) / 2)


CENTRES = (0.0, 1e-9, 1e-4, 0.01, 0.3, 1.6, 10.0)
TOTAL_VOLS = (1e-6, 7e-5, 0.01, 0.1199, 0.1201, 0.5, 1.0, 2.0, 5.0, 8.0)


# A price of next to nothing, or of all the spot's, tells no volatility.
EXACT = [
    (centre, total_vol)
    for centre in CENTRES
    for total_vol in TOTAL_VOLS
    if 1e-280 < _exact_price(centre, total_vol) < 1.0 - 1e-12
]


@pytest.mark.parametrize(("centre", "total_vol"), EXACT)
def test_an_exact_price_gives_the_volatility_to_its_last_digits(centre: float, total_vol: float) -> None:
    price = _exact_price(centre, total_vol)
    got = float(implied_vol(price, 1.0, math.exp(centre), 1.0, 0.0, True))
    vega = float(black_scholes(1.0, math.exp(centre), 1.0, total_vol, 0.0, True).vega)
    # Half a digit of the price over vega is what no method can tell.
    assert got == pytest.approx(total_vol, rel=4e-15, abs=2.3e-16 * price / vega)


def test_arrays_broadcast_and_give_the_bits_that_scalars_give() -> None:
    strikes, years = np.array([2800.0, 3000.0, 3300.0]), np.array([[0.01], [0.5]])
    vols = np.array([[0.4, 0.5, 0.6], [0.7, 0.8, 0.9]])
    prices = black_scholes(3000.0, strikes, years, vols, 0.02, True, 0.01).price
    got = implied_vol(prices, 3000.0, strikes, years, 0.02, True, 0.01)
    np.testing.assert_allclose(got, vols, rtol=1e-12)
    for row, column in np.ndindex(2, 3):
        args: Any = (prices[row, column], 3000.0, strikes[column], years[row, 0], 0.02, True, 0.01)
        assert implied_vol(*args) == got[row, column]


def test_no_options_give_an_empty_array() -> None:
    assert implied_vol([], 3000.0, 3000.0, 0.1, 0.0, True).shape == (0,)


GOOD: dict[str, Any] = {
    "price": 100.0,
    "spot": 3000.0,
    "strike": 3100.0,
    "years": 0.1,
    "rate": 0.03,
    "is_call": True,
    "carry_yield": 0.01,
}


@pytest.mark.parametrize("name", [name for name in GOOD if name != "is_call"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused_by_name_and_place(name: str, bad: float) -> None:
    with pytest.raises(PricingError, match=rf"^{name} is {re.escape(str(bad))}: it must be finite"):
        implied_vol(**{**GOOD, name: bad})
    with pytest.raises(PricingError, match=rf"^{name}\[1\] is {re.escape(str(bad))}: it must be finite"):
        implied_vol(**{**GOOD, name: [GOOD[name], bad]})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": -1.0}, r"price is -1.0: it must not be below zero"),
        ({"price": 0.0}, r"price is 0.0: it has no time value"),
        ({"price": [100.0, 0.0]}, r"price\[1\] is 0.0: it has no time value"),
        ({"years": 0.0}, r"years is 0.0: without time left"),
        ({"price": 100.0, "strike": 2000.0}, r"price is 100.0: it is below the intrinsic value, 10"),
        ({"price": 3000.0, "carry_yield": 0.0}, r"price is 3000.0: it must be below the upper bound, 3000.0"),
        ({"price": 3100.0, "is_call": False}, r"price is 3100.0: it must be below the upper bound, 309"),
        ({"price": 1e-290}, r"price is 1e-290: it is too small"),
        ({"price": 2500.0, "years": 1e-6}, r"price is 2500.0: it takes a volatility above 50"),
        ({"rate": 1e5}, r"rate is 100000.0: .* outside the range of float64"),
        ({"strike": 0.0}, r"strike is 0.0: it must be above zero"),
        ({"is_call": 1}, r"is_call must be boolean"),
        ({"strike": [1.0, 2.0], "spot": [1.0, 2.0, 3.0]}, r".*do not broadcast"),
    ],
)
def test_what_implies_no_volatility_is_refused_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(PricingError, match=f"^{reason}"):
        implied_vol(**{**GOOD, **changes})


def test_an_in_the_money_price_without_time_value_beyond_rounding_is_refused() -> None:
    price = black_scholes(3000.0, 300.0, 0.01, 0.5, 0.03, True).price
    with pytest.raises(PricingError, match="it has no time value above the intrinsic value"):
        implied_vol(price, 3000.0, 300.0, 0.01, 0.03, True)
