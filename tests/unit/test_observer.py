"""Vols from elsewhere: each option gets its own point of the surface, and another underlying's surface none."""

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW, WEEK, block, option, source

from bot.core.inputs import spot_of
from bot.core.model import FeedPrice, VolsUsed
from bot.errors import DataError
from bot.observer import with_vols
from bot.pricing.surface import Surface, VolQuote, fit_surface

STRIKES = (1600.0, 1800.0, 2200.0, 2500.0)


SPOT = Decimal(2000)


class Quoted:
    """A source of vols whose smile is steeper in the nearer expiry."""

    name = "quoted"

    def __init__(self, forward: float = 2000.0) -> None:
        self.reads = 0
        quotes = [
            VolQuote(
                NOW + weeks * WEEK, strike * forward / 2000, 0.8 - tilt * math.log(strike / 2000), forward
            )
            for weeks, tilt in ((1, 0.2), (4, 0.1))
            for strike in STRIKES
        ]
        self.surface = fit_surface(quotes, NOW - 7, self.name)

    def read(self, now: int) -> Surface:
        self.reads += 1
        return self.surface


def test_each_option_has_the_vol_slope_and_money_of_its_own_strike_and_expiry() -> None:
    near, far = option(strike="1800"), option(strike="2500", expiry=NOW + 4 * WEEK)
    vols = Quoted()
    (seen,), used = with_vols(vols, (source(near, far, option(strike="2200")),), SPOT, (block(),), NOW)
    low, high, other = seen.positions
    assert low.vol == pytest.approx(0.8 - 0.2 * math.log(0.9), abs=2e-3)
    assert high.vol == pytest.approx(0.8 - 0.1 * math.log(1.25), abs=2e-3)
    assert other.vol == pytest.approx(0.8 - 0.2 * math.log(1.1), abs=2e-3)
    assert (low.slope, high.slope) == (pytest.approx(-0.2, abs=0.02), pytest.approx(-0.1, abs=0.02))
    assert [p.money_vol for p in seen.positions] == pytest.approx([0.8] * 3, abs=2e-3)
    assert (used, vols.reads) == (VolsUsed("quoted", NOW - 7), 1)
    assert [replace(p, vol=0.8, slope=0.0, money_vol=None) for p in (low, high)] == [near, far]


def test_an_expired_option_keeps_what_it_has() -> None:
    expired = option(expiry=NOW, vol=None)
    (seen,), _ = with_vols(Quoted(), (source(expired, option()),), SPOT, (block(),), NOW)
    assert seen.positions[0] == expired


def test_the_vols_of_another_underlying_are_refused() -> None:
    with pytest.raises(DataError, match=r"a forward of 60,000\.00 beside the book's spot of 2,000\.00"):
        with_vols(Quoted(60_000.0), (source(option()),), SPOT, (block(),), NOW)


def test_the_vaults_own_vols_are_left_as_they_are() -> None:
    vault = source(option(vol=0.7, slope=-0.1))
    seen, used = with_vols(None, (vault, replace(vault, spot=Decimal(2001))), SPOT, (block(),), NOW)
    assert seen[0] is vault
    assert used == VolsUsed("vault", NOW)


def test_the_books_spot_is_the_first_sources_that_has_one_else_the_first_feeds() -> None:
    silent, feeds = source(spot=None), (FeedPrice("link", Decimal(2010), NOW, 60),)
    assert spot_of((silent, source(spot=Decimal(1990))), feeds) == Decimal(1990)
    assert spot_of((silent,), feeds) == Decimal(2010)
    with pytest.raises(
        DataError, match=r"lyra-eth: no source has a spot of its own, and the book has no feeds"
    ):
        spot_of((silent,), ())
