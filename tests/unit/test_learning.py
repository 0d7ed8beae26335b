"""What options did between two ticks teaches the minimum variance delta, and a restart forgets nothing."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW, WEEK, block, measured, option, positions, snapshot, source

from bot.core.learning import taught
from bot.core.model import Snapshot
from bot.core.target import Target
from bot.pricing.conventions import MinimumVarianceFit, coefficients

STRIKES = ("1700", "1800", "1900", "2000", "2100", "2200", "2300")


def seen(spot: float, second: int, falls: float = 0.4) -> Snapshot:
    """A book of a month's calls whose vol falls by `falls` per ln of the price."""
    vol = 0.8 - falls * (spot / 2000 - 1)
    calls = (option("-1", strike=strike, vol=vol, expiry=NOW + 4 * WEEK) for strike in STRIKES)
    return snapshot(
        source(*calls),
        spot=Decimal(repr(round(spot, 6))),
        at=NOW + second,
        blocks=(block(100, NOW + second),),
    )


def lessons(count: int, falls: float = 0.4) -> Snapshot:
    """The last of many ticks whose price goes up and down, with what they taught."""
    before = seen(2000.0, 0, falls)
    for i in range(1, count + 1):
        now = seen(2000.0 + 10 * ((i * 7) % 5 - 2), 15 * i, falls)
        before = replace(now, fit=taught(before, now))
    return before


def test_the_first_tick_teaches_nothing() -> None:
    assert taught(None, snapshot()) is None


def test_a_price_that_stood_still_teaches_nothing() -> None:
    fit = MinimumVarianceFit(observations=3.0)
    assert taught(replace(seen(2000.0, 0), fit=fit), seen(2000.0, 15)) == fit


def test_vols_that_fall_as_the_price_rises_make_the_delta_of_a_call_smaller() -> None:
    last = lessons(100)
    assert last.fit is not None
    learned = measured(last, Target(convention="minimum_variance"))
    model = measured(last)
    true = (
        positions(seen(float(last.spot) + 5, 1500)),
        positions(seen(float(last.spot) - 5, 1500)),
    )
    slope = sum(up.value - down.value for up, down in zip(*true, strict=True)) / 10
    assert abs(learned.options - slope) < 0.1 * abs(model.options - slope)


def test_vols_that_stay_teach_that_the_models_delta_is_right() -> None:
    last = lessons(100, falls=0.0)
    assert last.fit is not None
    assert max(map(abs, coefficients(last.fit))) < 0.02


def test_options_that_are_gone_or_have_expired_teach_nothing() -> None:
    before = snapshot(source(option(expiry=NOW + 10), option(strike="2100")))
    now = snapshot(
        source(option(expiry=NOW + 10, vol=None)), spot=Decimal(2010), blocks=(block(101, NOW + 15),)
    )
    assert taught(before, now) == MinimumVarianceFit()


@pytest.mark.parametrize("count", [2, 30])
def test_what_was_taught_is_plain_numbers(count: int) -> None:
    fit = lessons(count).fit
    assert fit is not None
    assert fit.observations > 0
    assert all(isinstance(number, float) for number in (*fit.information, *fit.moment))
