"""The prices waited for: at each the policy trades, before it the policy holds."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, TARGET, WEEK, decided, exposure, measured, option, snapshot, source, venue_state
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.greeks import price_book
from bot.core.model import Band, Hold, Mode, PriceBand, Rebalance, Snapshot, Wake
from bot.core.target import Numeraire, Target
from bot.core.triggers import FARTHEST, wake_of

SHORT = (option("-10"), option("-4", strike="2300", is_call=False), option("6", strike="1800"))


def hedged(*positions: Any, off: str = "0", **changes: Any) -> Snapshot:
    """A book whose hedge is `off` units away from neutral."""
    bare = snapshot(source(*positions), **changes)
    size = Decimal(repr(round(-measured(bare).net, 3))) + Decimal(off)
    return replace(bare, venue=venue_state(str(size)))


def at(seen: Snapshot, spot: Decimal) -> Snapshot:
    """The same book at another price."""
    sources = tuple(replace(vault, spot=spot) for vault in seen.sources)
    return replace(seen, spot=spot, sources=sources, venue=replace(seen.venue, index=spot, mark=spot))


def would_trade(seen: Snapshot, spot: Decimal) -> bool:
    return decided(at(seen, spot)).decision.kind == "rebalance"


def look(seen: Snapshot) -> Wake:
    return decided(seen).wake


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-40, 40), st.sampled_from(["-10", "-3", "2", "12"]), st.sampled_from(["1700", "2000", "2400"])
)
def test_at_a_price_waited_for_it_trades_and_shortly_before_it_holds(
    off: int, size: str, strike: str
) -> None:
    seen = hedged(option(size, strike=strike), *SHORT[1:], off=str(Decimal(off) / 100))
    wake = look(seen)
    for price, side in ((wake.down, -1), (wake.up, 1)):
        if price is None:
            assert not would_trade(seen, seen.spot * (1 + side * Decimal(repr(FARTHEST))))
            continue
        assert (price - seen.spot) * side > 0
        assert would_trade(seen, price)
        assert not would_trade(
            seen, price - side * seen.spot * Decimal("0.001") * (1 + abs(price / seen.spot - 1))
        )


def test_it_is_the_nearest_crossing_that_counts() -> None:
    """The gap of a short strangle leaves the band, and far out comes back into it through its other wing."""
    seen = hedged(
        option("-20", strike="2030", expiry=NOW + 86_400), option("20", strike="2080", expiry=NOW + 86_400)
    )
    wake = look(seen)
    assert wake.up is not None
    assert wake.up < 2040


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.REDUCING])
def test_where_an_order_is_held_back_no_price_wakes_the_book_again(mode: Mode) -> None:
    held = decided(snapshot(), mode)
    assert isinstance(held.decision, Hold)
    assert held.wake == Wake(None, None)


@pytest.mark.parametrize("spot", ["1.0", "1.1937", "0.0213", "61234.5"])
def test_prices_of_any_size_are_waited_for_on_their_own_side(spot: str) -> None:
    price = Decimal(spot)
    calls = option("-20", strike=str(price), expiry=NOW + WEEK)
    bare = snapshot(
        source(calls, spot=price), spot=price, venue=venue_state(mark=price, index=price, curve=())
    )
    here = Hold("INSIDE_BAND", "", band=Band(-1.0, 1.0))
    exposed = replace(measured(bare), gap_lo=0.0, gap_hi=0.0)
    wake = wake_of(bare, price_book(bare, TARGET), exposed, TARGET, here)
    assert wake.down is not None
    assert wake.up is not None
    assert wake.down < price < wake.up
    assert not wake.crossed(price)


def test_a_book_kept_in_coins_waits_for_the_prices_that_move_its_own_delta() -> None:
    coin = Target(hedge_holdings=False, numeraire=Numeraire.COIN)
    seen = snapshot(source(option("-50", strike="1500")))
    exposed = measured(seen, coin)
    moved = [measured(at(seen, Decimal(spot)), coin).gap_lo for spot in (1999, 2001)]
    assert exposed.gap_gamma == pytest.approx((moved[1] - moved[0]) / 2, rel=1e-3)
    inside = Hold("INSIDE_BAND", "", band=Band(exposed.gap_lo - 0.5, exposed.gap_lo + 0.5))
    wake = wake_of(seen, price_book(seen, coin), exposed, coin, inside)
    for price in (wake.down, wake.up):
        assert price is not None
        there = measured(at(seen, price), coin).gap_lo - exposed.gap_lo
        assert abs(there) == pytest.approx(0.5, rel=0.05)


def test_a_book_that_no_price_moves_waits_for_none() -> None:
    assert look(snapshot(source(holdings=["1"]), venue=venue_state("-1"))) == Wake(None, None)


def test_after_a_trade_the_prices_are_those_of_the_position_that_it_leaves() -> None:
    seen = hedged(*SHORT, off="3")
    done = decided(seen)
    assert isinstance(done.decision, Rebalance)
    after = replace(seen, venue=venue_state(str(seen.venue.position.size + done.decision.size)))
    assert done.wake == look(after)


def test_a_wider_doubt_lets_the_price_go_further() -> None:
    exact = hedged(*SHORT)
    inside = Hold("INSIDE_BAND", "", band=Band(-0.5, 0.5))
    exposed = measured(exact)
    vague = replace(exposed, gap_lo=exposed.gap_lo - 1, gap_hi=exposed.gap_hi + 1)
    near, far = (wake_of(exact, price_book(exact, TARGET), e, TARGET, inside) for e in (exposed, vague))
    assert near.up is not None
    assert far.up is not None
    assert far.up > near.up


def test_a_price_band_is_taken_as_it_is_and_no_band_waits_for_nothing() -> None:
    seen = snapshot()
    band = PriceBand(Decimal(1900), Decimal(2100))
    waits = Hold("INSIDE_BAND", "", band=band)
    assert wake_of(seen, (), exposure(0.0), TARGET, waits) == Wake(Decimal(1900), Decimal(2100))
    assert wake_of(seen, (), exposure(0.0), TARGET, Hold("NOT_DUE", "")) == Wake(None, None)


@pytest.mark.parametrize(
    ("spot", "crossed"), [("1900", True), ("1900.01", False), ("2099.99", False), ("2100", True)]
)
def test_a_price_waited_for_is_crossed_when_it_is_reached(spot: str, crossed: bool) -> None:
    said = Wake(Decimal(1900), Decimal(2100)).crossed(Decimal(spot))
    assert bool(said) is crossed
    assert not Wake(None, None).crossed(Decimal(spot))
