"""Measuring: greeks and sums, and that nothing unknown counts as zero."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, WEEK, block, option, snapshot, source, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.exposure import measure
from bot.core.model import OptionPosition
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes


def test_an_option_has_the_delta_of_its_model_times_its_size() -> None:
    row = measure(snapshot()).positions[0]
    greeks = black_scholes(2000.0, 2000.0, WEEK / SECONDS_PER_YEAR, 0.8, 0.05, True)
    assert row.delta == pytest.approx(-10 * float(greeks.delta), rel=1e-12)
    assert row.gamma == pytest.approx(-10 * float(greeks.gamma), rel=1e-12)
    assert row.vega == pytest.approx(-10 * float(greeks.vega), rel=1e-12)
    assert row.theta == pytest.approx(-10 * float(greeks.theta), rel=1e-12)
    assert row.rho == pytest.approx(-10 * float(greeks.rho), rel=1e-12)
    assert row.value == pytest.approx(-10 * float(greeks.price), rel=1e-12)


def test_a_short_call_is_short_delta_and_a_short_put_is_long() -> None:
    assert measure(snapshot(source(option("-10")))).net < -5
    assert measure(snapshot(source(option("-10", is_call=False)))).net > 4


def test_the_parts_add_up() -> None:
    calls, puts = option("-10"), option("-4", is_call=False, strike="1800")
    seen = snapshot(
        source(calls, holdings=["1.5", "-0.25"]),
        source(puts, holdings=["2"], name="other", rate=0.0),
        venue=venue_state("3.125"),
    )
    whole = measure(seen)
    alone = [measure(snapshot(s)).options for s in seen.sources]
    assert whole.options == pytest.approx(sum(alone), rel=1e-12)
    assert whole.holdings == 3.25
    assert whole.perps == 3.125
    assert whole.unhedged == whole.options + 3.25
    assert whole.net_lo == whole.net_hi == whole.net == whole.options + 3.25 + 3.125
    assert whole.gross == pytest.approx(sum(abs(row.delta) for row in whole.positions) + 3.25)
    for greek in ("delta", "gamma", "vega", "theta", "rho"):
        total = sum(getattr(row, greek) for row in whole.positions)
        assert total == pytest.approx(whole.options if greek == "delta" else getattr(whole, greek))
    assert [row.source for row in whole.positions] == ["lyra-eth", "lyra-eth"]
    assert [check.name for check in whole.checks] == ["lyra-eth options delta", "other options delta"]


def test_a_perp_position_counts_one_for_one() -> None:
    before = measure(snapshot(venue=venue_state("0"))).net
    assert measure(snapshot(venue=venue_state("-7.5"))).net == pytest.approx(before - 7.5)


def test_an_empty_book_is_flat() -> None:
    flat = measure(snapshot(source()))
    assert (flat.positions, flat.options, flat.holdings, flat.perps) == ((), 0.0, 0.0, 0.0)
    assert (flat.net_lo, flat.net_hi, flat.gross, flat.gamma, flat.vega) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert all(
        isinstance(value, float) for value in (flat.options, flat.gross, flat.gamma, flat.theta, flat.rho)
    )


@given(st.decimals("-100", "100", places=3))
def test_an_order_in_flight_widens_the_interval_by_its_size(in_flight: Decimal) -> None:
    still, moving = measure(snapshot()), measure(snapshot(in_flight=in_flight))
    assert moving.net_lo == pytest.approx(still.net + min(float(in_flight), 0.0))
    assert moving.net_hi == pytest.approx(still.net + max(float(in_flight), 0.0))
    assert moving.net_lo <= still.net <= moving.net_hi, "that it didn't happen must stay possible"
    assert moving.perps == still.perps


@pytest.mark.parametrize("vol", [None, 0.0, -0.1, math.nan, math.inf])
def test_a_live_option_without_a_usable_vol_stops_the_tick_with_its_name(vol: float | None) -> None:
    positions = (option("-1", strike="1900"), option("-1", strike="2100", vol=vol))
    with pytest.raises(DataError, match=r"lyra-eth: .*2100-C"):
        measure(snapshot(source(*positions)))


@pytest.mark.parametrize("changes", [{"spot": Decimal(0)}, {"spot": Decimal(-5)}])
def test_a_price_that_is_none_stops_the_tick(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="spot"):
        measure(snapshot(source(option()), **changes))


def test_a_price_of_zero_stops_the_tick_of_a_book_without_options_too() -> None:
    with pytest.raises(DataError, match="spot"):
        measure(snapshot(source(holdings=["1"]), spot=Decimal(0)))


def test_a_strike_of_zero_stops_the_tick_with_the_sources_name() -> None:
    with pytest.raises(DataError, match=r"lyra-eth: .*strike"):
        measure(snapshot(source(option(strike="0"))))


@pytest.mark.parametrize(
    ("is_call", "strike", "delta"),
    [
        (True, "1999.99", 1.0),
        (True, "2000.01", 0.0),
        (False, "1999.99", 0.0),
        (False, "2000.01", -1.0),
    ],
)
@pytest.mark.parametrize("vol", [None, 0.8])
@pytest.mark.parametrize("expired_s", [0, 1, 86_400])
def test_an_expired_option_that_is_not_settled_has_its_moneyness_as_delta(
    is_call: bool, strike: str, delta: float, vol: float | None, expired_s: int
) -> None:
    expired = option("-10", strike=strike, is_call=is_call, vol=vol, expiry=NOW - expired_s)
    measured = measure(snapshot(source(expired)))
    assert measured.options == pytest.approx(-10 * delta)
    assert measured.gamma == measured.vega == measured.theta == 0


def test_a_missing_vol_counts_from_the_expiry_on_and_not_before() -> None:
    last_second = option(vol=None, expiry=NOW + 1)
    with pytest.raises(DataError, match="no vol"):
        measure(snapshot(source(last_second)))
    assert measure(snapshot(source(replace(last_second, expiry=NOW)))).positions[0].vol is None


def test_time_is_the_oldest_blocks() -> None:
    """A chain that is ahead must not expire the options of one that is behind."""
    expiring: OptionPosition = option(expiry=NOW + 10)
    apart = (block(timestamp=NOW), block(timestamp=NOW + 60, chain="other"))
    assert measure(snapshot(source(expiring), blocks=apart)).gamma != 0


def test_the_protocols_cached_delta_is_reported_and_decides_nothing() -> None:
    honest, odd = (measure(snapshot(source(option(), cached_delta=delta))) for delta in (-5.2, 1e9))
    assert odd.net == honest.net
    assert (odd.checks[0].ours, odd.checks[0].theirs) == (odd.options, 1e9)
    assert str(NOW - 60) in odd.checks[0].note
