"""Raw integers to Decimals and back: exact, or refused."""

import threading
from collections.abc import Callable
from decimal import Decimal, Inexact

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.units import from_raw, round_to_lot, to_raw, to_raw_down

INT256 = st.integers(-(2**255), 2**255 - 1)
TOKEN_DECIMALS = st.integers(0, 18)
ANY_DECIMALS = st.integers(0, 77)
AMOUNTS = st.builds(from_raw, st.integers(-(10**48), 10**48), TOKEN_DECIMALS)
LOTS = st.builds(from_raw, st.integers(1, 10**6), TOKEN_DECIMALS)

DIGITS_33 = 123_456_789_012_345_678_901_234_567_890_123
DIGITS_78 = 2**256 - 1


def whole_lots(size: Decimal, lot: Decimal) -> bool:
    """Exact whatever the number of digits, unlike Decimal's own remainder."""
    (a, b), (c, d) = size.as_integer_ratio(), lot.as_integer_ratio()
    return (a * d) % (b * c) == 0


def in_a_later_thread(ask: Callable[[], Decimal]) -> Decimal:
    """A worker's decimal context is a fresh one, whatever the main thread's is."""
    answers: list[Decimal] = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    thread.start()
    thread.join()
    return answers[0]


@given(INT256, TOKEN_DECIMALS)
def test_a_raw_amount_survives_the_round_trip(raw: int, decimals: int) -> None:
    assert to_raw(from_raw(raw, decimals), decimals) == raw


@given(INT256, ANY_DECIMALS)
def test_the_round_trip_holds_up_to_77_decimals(raw: int, decimals: int) -> None:
    assert to_raw(from_raw(raw, decimals), decimals) == raw


@given(INT256, ANY_DECIMALS)
def test_an_amount_is_the_raw_one_over_a_power_of_ten(raw: int, decimals: int) -> None:
    numerator, denominator = from_raw(raw, decimals).as_integer_ratio()
    assert numerator * 10**decimals == raw * denominator


@pytest.mark.parametrize("raw", [DIGITS_33, -DIGITS_33, DIGITS_78, -DIGITS_78])
@pytest.mark.parametrize("decimals", [0, 6, 18])
def test_a_long_amount_keeps_every_digit(raw: int, decimals: int) -> None:
    assert to_raw(from_raw(raw, decimals), decimals) == raw
    shown = f"{from_raw(raw, decimals):f}".replace(".", "").replace("-", "").lstrip("0")
    assert shown == str(abs(raw))


@pytest.mark.parametrize("raw", [DIGITS_33, DIGITS_78])
def test_a_long_amount_keeps_every_digit_in_a_thread_that_started_later(raw: int) -> None:
    amount = in_a_later_thread(lambda: from_raw(raw, 18))
    assert amount == from_raw(raw, 18)
    assert in_a_later_thread(lambda: Decimal(to_raw(amount, 18))) == raw
    assert in_a_later_thread(lambda: round_to_lot(amount, Decimal("1e-18"))) == amount


def test_plain_arithmetic_is_exact_in_a_thread_that_started_later() -> None:
    """A new thread has a decimal context of its own, which would round to 28 digits."""
    amount = from_raw(DIGITS_33, 18)
    assert in_a_later_thread(lambda: -amount).as_tuple().digits == amount.as_tuple().digits
    assert in_a_later_thread(lambda: amount * amount) == Decimal(DIGITS_33**2).scaleb(-36)


def test_more_digits_than_a_contract_can_hold_are_refused() -> None:
    with pytest.raises(Inexact):
        from_raw(10**78 + 1, 18)


@given(INT256.filter(lambda raw: raw % 10 != 0), st.integers(1, 18))
def test_an_amount_finer_than_the_token_is_refused(raw: int, decimals: int) -> None:
    with pytest.raises(ValueError, match=f"more than {decimals - 1} decimals"):
        to_raw(from_raw(raw, decimals), decimals - 1)


@pytest.mark.parametrize(
    "amount",
    ["NaN", "Infinity", "-Infinity", "1." + "0" * 90 + "1", "9" * 78 + ".5"],
    ids=["nan", "infinity", "minus infinity", "a trace beyond 78 digits", "a half beyond 78 digits"],
)
def test_what_no_token_can_express_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="more than 0 decimals"):
        to_raw(Decimal(amount), 0)


@given(AMOUNTS, TOKEN_DECIMALS)
def test_rounding_down_to_raw_never_grows(amount: Decimal, decimals: int) -> None:
    raw = to_raw_down(amount, decimals)
    assert abs(Decimal(raw)) <= abs(amount.scaleb(decimals))
    assert raw * amount >= 0


@given(AMOUNTS, LOTS)
@example(Decimal("5." + "9" * 77), Decimal(3))
@example(Decimal("-5." + "9" * 77), Decimal(3))
@example(Decimal("0.3"), Decimal("0.1"))
@example(Decimal("0.0009999"), Decimal("0.001"))
def test_a_size_in_lots_is_whole_never_larger_and_less_than_a_lot_away(size: Decimal, lot: Decimal) -> None:
    rounded = round_to_lot(size, lot)
    assert abs(rounded) <= abs(size)
    assert whole_lots(rounded, lot)
    assert abs(size) - abs(rounded) < lot
    assert rounded == 0 or (rounded > 0) == (size > 0)


@given(st.integers(-(10**12), 10**12), LOTS)
def test_whole_lots_are_left_as_they_are(lots: int, lot: Decimal) -> None:
    size = Decimal(lots) * lot
    if whole_lots(size, lot):
        assert round_to_lot(size, lot) == size


@pytest.mark.parametrize("lot", ["0", "-0.001"])
def test_a_lot_must_be_positive(lot: str) -> None:
    with pytest.raises(ValueError, match="a lot must be positive"):
        round_to_lot(Decimal(1), Decimal(lot))
