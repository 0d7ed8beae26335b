"""Prices and sizes of Hyperliquid orders: allowed ones alone, and never worse or larger than meant."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.orders import PRICE_STEP
from bot.venues import hyperliquid_numbers as numbers

D = Decimal
PRICES = st.decimals(min_value="0.00001", max_value="999999", places=9, allow_nan=False).map(Decimal)
SIZE_DECIMALS = st.integers(0, 6)


def documented(price: Decimal, sz_decimals: int) -> bool:
    """The documentation's sentence on its own: at most 5 significant figures and 6 − szDecimals decimals, or whole."""
    if price == price.to_integral_value():
        return True
    digits = price.normalize()
    exponent = digits.as_tuple().exponent
    assert isinstance(exponent, int)
    return len(digits.as_tuple().digits) <= 5 and -exponent <= 6 - sz_decimals


@given(PRICES, SIZE_DECIMALS, st.booleans())
def test_a_limit_is_allowed_and_never_worse_and_within_a_tick_of_what_is_meant(
    exact: Decimal, sz_decimals: int, buys: bool
) -> None:
    try:
        price = numbers.stricter_price(Fraction(exact), sz_decimals, buys=buys)
    except ValueError:
        assert buys
        assert exact < numbers.tick_at(exact, sz_decimals)
        return
    assert documented(price, sz_decimals)
    assert numbers.is_price(price, sz_decimals)
    gap = exact - price if buys else price - exact
    assert 0 <= gap < numbers.tick_at(exact, sz_decimals)


@given(PRICES, SIZE_DECIMALS)
def test_what_is_taken_for_a_price_is_what_the_documentation_says(price: Decimal, sz_decimals: int) -> None:
    assert numbers.is_price(price, sz_decimals) == documented(price, sz_decimals)


@pytest.mark.parametrize(
    ("price", "sz_decimals", "allowed"),
    [
        ("1234.5", 1, True),  # the documentation's own examples
        ("1234.56", 1, False),
        ("0.001234", 0, True),
        ("0.0012345", 0, False),
        ("0.01234", 1, True),
        ("0.012345", 1, False),
        ("123456", 0, True),
        ("123456.5", 0, False),
        ("0", 0, False),
        ("-1", 0, False),
    ],
)
def test_the_documented_examples(price: str, sz_decimals: int, allowed: bool) -> None:
    assert numbers.is_price(D(price), sz_decimals) is allowed


@given(
    st.integers(1, 10**12),
    st.decimals(min_value="0", max_value="0.01", places=6).map(Decimal),
    SIZE_DECIMALS,
    st.booleans(),
)
def test_the_bound_is_found_again_no_worse_and_stricter_by_less_than_a_tick(
    steps: int, fee: Decimal, sz_decimals: int, buys: bool
) -> None:
    bound = steps * PRICE_STEP
    exact = numbers.price_before_fee(bound, fee, buys=buys)
    try:
        price = numbers.stricter_price(exact, sz_decimals, buys=buys)
    except ValueError:
        return
    found = numbers.stricter_bound(price, fee, PRICE_STEP, buys=buys)
    stricter = bound - found if buys else found - bound
    assert 0 <= stricter <= numbers.tick_at(price, sz_decimals) * (1 + fee) + PRICE_STEP
    # With the fee the order keeps to the bound that was decided, exactly.
    cost = Fraction(price) * (1 + Fraction(fee) if buys else 1 - Fraction(fee))
    assert cost <= bound if buys else cost >= bound


@given(st.integers(1, 10**9), SIZE_DECIMALS, st.integers(1, 10**6))
def test_a_size_is_a_whole_number_of_lots_or_none(lots: int, sz_decimals: int, rest: int) -> None:
    lot = numbers.lot_of(sz_decimals)
    size = lots * lot
    assert numbers.whole_lots(size, lot)
    assert numbers.whole_lots(-size, lot)
    assert not numbers.whole_lots(size + lot * rest / (10**6 + 1), lot)


def test_raw_figures_have_the_documented_scales() -> None:
    assert numbers.price_usd(200_050, 4) == D("2000.50")
    assert numbers.price_usd(7, 0) == D("0.000007")
    assert numbers.usd(1_500_000) == D("1.5")
