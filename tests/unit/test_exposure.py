"""Measuring: greeks and sums, and that nothing unknown counts as zero."""

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import pytest
from builders import NOW, TARGET, WEEK, block, measured, option, positions, snapshot, source, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.exposure import widest
from bot.core.model import OptionPosition
from bot.core.target import Doubts, Numeraire, Target
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR, black_scholes
from bot.pricing.conventions import Convention, MinimumVarianceFit


def test_an_option_has_the_delta_of_its_model_times_its_size() -> None:
    row = positions(snapshot())[0]
    greeks = black_scholes(2000.0, 2000.0, WEEK / SECONDS_PER_YEAR, 0.8, 0.05, True)
    assert row.delta == pytest.approx(-10 * float(greeks.delta), rel=1e-12)
    assert row.gamma == pytest.approx(-10 * float(greeks.gamma), rel=1e-12)
    assert row.vega == pytest.approx(-10 * float(greeks.vega), rel=1e-12)
    assert row.theta == pytest.approx(-10 * float(greeks.theta), rel=1e-12)
    assert row.rho == pytest.approx(-10 * float(greeks.rho), rel=1e-12)
    assert row.value == pytest.approx(-10 * float(greeks.price), rel=1e-12)


def test_a_short_call_is_short_delta_and_a_short_put_is_long() -> None:
    assert measured(snapshot(source(option("-10")))).net < -5
    assert measured(snapshot(source(option("-10", is_call=False)))).net > 4


def test_the_parts_add_up() -> None:
    calls, puts = option("-10"), option("-4", is_call=False, strike="1800")
    seen = snapshot(
        source(calls, holdings=["1.5", "-0.25"]),
        source(puts, holdings=["2"], name="other", rate=0.0),
        venue=venue_state("3.125"),
    )
    whole, rows = measured(seen), positions(seen)
    alone = [measured(snapshot(s)).options for s in seen.sources]
    assert whole.options == pytest.approx(sum(alone), rel=1e-12)
    assert whole.holdings == 3.25
    assert whole.perps == 3.125
    assert whole.unhedged == whole.options + 3.25
    assert whole.net_lo == whole.net_hi == whole.net == whole.options + 3.25 + 3.125
    assert whole.gross == pytest.approx(sum(abs(row.delta) for row in rows) + 3.25)
    for greek in ("delta", "gamma", "vega", "theta", "rho"):
        total = sum(getattr(row, greek) for row in rows)
        assert total == pytest.approx(whole.options if greek == "delta" else getattr(whole, greek))
    assert [row.source for row in rows] == ["lyra-eth", "lyra-eth"]
    assert [check.name for check in whole.checks] == ["lyra-eth options delta", "other options delta"]


def test_a_perp_position_counts_one_for_one() -> None:
    before = measured(snapshot(venue=venue_state("0"))).net
    assert measured(snapshot(venue=venue_state("-7.5"))).net == pytest.approx(before - 7.5)


def test_an_empty_book_is_flat() -> None:
    flat = measured(snapshot(source()))
    assert (positions(snapshot(source())), flat.options, flat.holdings, flat.perps) == ((), 0.0, 0.0, 0.0)
    assert (flat.net_lo, flat.net_hi, flat.gross, flat.gamma, flat.vega) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert all(
        isinstance(value, float) for value in (flat.options, flat.gross, flat.gamma, flat.theta, flat.rho)
    )


@given(st.decimals("-100", "100", places=3))
def test_an_order_in_flight_widens_the_interval_by_its_size(in_flight: Decimal) -> None:
    still, moving = measured(snapshot()), measured(snapshot(in_flight=in_flight))
    assert moving.net_lo == pytest.approx(still.net + min(float(in_flight), 0.0))
    assert moving.net_hi == pytest.approx(still.net + max(float(in_flight), 0.0))
    assert moving.net_lo <= still.net <= moving.net_hi, "that it didn't happen must stay possible"
    assert moving.perps == still.perps


@pytest.mark.parametrize("vol", [None, 0.0, -0.1, math.nan, math.inf])
def test_a_live_option_without_a_usable_vol_stops_the_tick_with_its_name(vol: float | None) -> None:
    held = (option("-1", strike="1900"), option("-1", strike="2100", vol=vol))
    with pytest.raises(DataError, match=r"lyra-eth: .*2100-C"):
        measured(snapshot(source(*held)))


def test_an_absurd_vol_stops_the_tick_with_its_name() -> None:
    with pytest.raises(DataError, match=r"lyra-eth: a vol of 4500% for 2000-C is no vol"):
        measured(snapshot(source(option(vol=45.0))))


@pytest.mark.parametrize("changes", [{"spot": Decimal(0)}, {"spot": Decimal(-5)}])
def test_a_price_that_is_none_stops_the_tick(changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="spot"):
        measured(snapshot(source(option()), **changes))


def test_a_price_of_zero_stops_the_tick_of_a_book_without_options_too() -> None:
    with pytest.raises(DataError, match="spot"):
        measured(snapshot(source(holdings=["1"]), spot=Decimal(0)))


def test_a_strike_of_zero_stops_the_tick_with_the_sources_name() -> None:
    with pytest.raises(DataError, match=r"lyra-eth: .*strike"):
        measured(snapshot(source(option(strike="0"))))


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
    seen = measured(snapshot(source(expired)))
    assert seen.options == pytest.approx(-10 * delta)
    assert seen.gamma == seen.vega == seen.theta == 0


def test_a_missing_vol_counts_from_the_expiry_on_and_not_before() -> None:
    last_second = option(vol=None, expiry=NOW + 1)
    with pytest.raises(DataError, match="no vol"):
        measured(snapshot(source(last_second)))
    assert positions(snapshot(source(replace(last_second, expiry=NOW))))[0].vol is None


def test_time_is_the_oldest_blocks() -> None:
    """A chain that is ahead must not expire the options of one that is behind."""
    expiring: OptionPosition = option(expiry=NOW + 10)
    apart = (block(timestamp=NOW), block(timestamp=NOW + 60, chain="other"))
    assert measured(snapshot(source(expiring), blocks=apart)).gamma != 0


def test_the_protocols_cached_delta_is_reported_and_decides_nothing() -> None:
    honest, odd = (measured(snapshot(source(option(), cached_delta=delta))) for delta in (-5.2, 1e9))
    assert odd.net == honest.net
    assert (odd.checks[0].ours, odd.checks[0].theirs) == (odd.options, 1e9)
    assert str(NOW - 60) in odd.checks[0].note


class TestTarget:
    """What the hedge aims at, and how its delta is counted."""

    def test_the_gap_is_what_is_missing_to_the_hedged_share(self) -> None:
        seen = snapshot(source(option("-10"), holdings=["2"]), venue=venue_state("3"))
        half = measured(seen, Target(hedge_ratio=Decimal("0.5"), delta=Decimal("1.5")))
        assert half.gap_lo == half.gap_hi == pytest.approx(0.5 * (half.options + 2) + 3 - 1.5)
        assert half.gap_gamma == pytest.approx(0.5 * half.gamma)
        assert half.net == pytest.approx(half.options + 2 + 3), (
            "the net delta is what it is, whatever is aimed at"
        )

    def test_a_ratio_of_zero_lets_the_options_be(self) -> None:
        none = measured(snapshot(venue=venue_state("3")), Target(hedge_ratio=Decimal(0)))
        assert (none.gap_lo, none.gap_gamma) == (3, 0)

    def test_spot_counts_only_where_it_is_said_and_a_hedge_of_the_vaults_own_always(self) -> None:
        held = source(option("-10"), holdings=["2"])
        own = replace(held.holdings[0], asset="own hedge", size=Decimal(4), is_spot=False)
        seen = snapshot(replace(held, holdings=(*held.holdings, own)))
        with_spot, without = (measured(seen, Target(hedge_holdings=told)) for told in (True, False))
        assert with_spot.gap_lo == pytest.approx(with_spot.options + 6)
        assert without.gap_lo == pytest.approx(with_spot.options + 4)
        assert without.net == with_spot.net

    def test_a_book_kept_in_coins_counts_the_premium_as_no_risk(self) -> None:
        seen = snapshot(source(option("-10"), holdings=["2"]))
        usd = measured(seen)
        coin = measured(seen, Target(hedge_holdings=False, numeraire=Numeraire.COIN))
        assert coin.options == pytest.approx(usd.options - positions(seen)[0].value / 2000)
        assert coin.gap_lo == pytest.approx(coin.options)

    @pytest.mark.parametrize("changes", [{"hedge_ratio": Decimal("1.51")}, {"numeraire": Numeraire.COIN}])
    def test_a_target_that_contradicts_itself_is_refused(self, changes: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="hedge"):
            Target(**changes)

    def test_each_convention_has_its_own_delta_and_the_models_stays_beside_it(self) -> None:
        skewed = option("-10", strike="1800", vol=0.9, slope=-0.4, money_vol=0.8)
        rows = {
            name: positions(snapshot(source(skewed)), Target(convention=name))[0]
            for name in get_args(Convention)
        }
        own = black_scholes(2000.0, 1800.0, WEEK / SECONDS_PER_YEAR, 0.9, 0.05, True)
        money = black_scholes(2000.0, 1800.0, WEEK / SECONDS_PER_YEAR, 0.8, 0.05, True)
        assert rows["sticky_strike"].delta == pytest.approx(-10 * float(own.delta))
        assert rows["black_scholes"].delta == pytest.approx(-10 * float(money.delta))
        assert rows["sticky_delta"].delta == pytest.approx(-10 * float(own.delta + own.vega * 0.4 / 2000))
        assert rows["minimum_variance"].delta == rows["sticky_strike"].delta, "untaught, it is the model's"
        assert len({row.model_delta for row in rows.values()}) == 1

    def test_a_taught_fit_moves_the_minimum_variance_delta(self) -> None:
        fit = MinimumVarianceFit((1.0, 0.5, 0.3, 0.3, 0.2, 0.2), (-0.1, -0.05, -0.03), 1000.0)
        seen = snapshot(fit=fit)
        assert measured(seen, Target(convention="minimum_variance")).options != measured(seen).options


class TestDoubts:
    """How far the delta may be off, and why."""

    def doubted(self, seen: Any, vol: str = "0", price: str = "0") -> dict[str, tuple[float, float]]:
        exposed = measured(seen, TARGET, Doubts(Decimal(vol), Decimal(price)))
        assert exposed.net_lo == pytest.approx(exposed.net + sum(b.below for b in exposed.bounds))
        assert exposed.net_hi == pytest.approx(exposed.net + sum(b.above for b in exposed.bounds))
        return {b.name: (b.below, b.above) for b in exposed.bounds if b.above - b.below > 0}

    def test_nothing_in_doubt_leaves_a_point(self) -> None:
        assert self.doubted(snapshot()) == {}

    def test_the_bounds_hold_the_delta_that_another_vol_would_give(self) -> None:
        wing = option("-10", strike="2400")
        below, above = self.doubted(snapshot(source(wing)), vol="0.01")["vols"]
        at_vols = [measured(snapshot(source(replace(wing, vol=v)))).options for v in (0.79, 0.80, 0.81)]
        assert max(at_vols) - min(at_vols) == pytest.approx(above - below, rel=0.01)

    def test_vols_of_one_expiry_are_off_together_and_of_two_each_for_itself(self) -> None:
        up, down = option("-10", strike="2400"), option("10", strike="2400")
        assert "vols" not in self.doubted(snapshot(source(up, down)), vol="0.01")
        apart = self.doubted(snapshot(source(up, replace(down, expiry=NOW + 2 * WEEK))), vol="0.01")
        assert apart["vols"][1] > 0.03

    def test_price_sources_that_disagree_count_by_gamma(self) -> None:
        seen = snapshot(venue=venue_state(index=Decimal(2004)))
        assert self.doubted(seen)["price sources apart"][1] == pytest.approx(abs(measured(seen).gamma) * 4)

    def test_an_error_of_the_price_counts_by_gamma(self) -> None:
        seen = snapshot()
        assert self.doubted(seen, price="0.001")["price error"][1] == pytest.approx(
            abs(measured(seen).gamma) * 2
        )

    def test_an_old_block_counts_by_what_the_price_may_have_moved_since(self) -> None:
        seen = snapshot(at=NOW + 36)
        moved = 2000 * 0.8 * math.sqrt(36 / SECONDS_PER_YEAR)
        assert self.doubted(seen)["age of the price"][1] == pytest.approx(abs(measured(seen).gamma) * moved)

    def test_inside_a_settlement_window_the_delta_fades_and_its_doubt_is_told(self) -> None:
        near = {
            left: option("-10", strike="2001", expiry=NOW + left, averaging_s=1800)
            for left in (1801, 900, 60)
        }
        deltas = {left: measured(snapshot(source(o))).options for left, o in near.items()}
        assert abs(deltas[1801]) > abs(deltas[900]) > abs(deltas[60])
        assert "settlement window" not in self.doubted(snapshot(source(near[1801])))
        assert self.doubted(snapshot(source(near[900])))["settlement window"][1] > 0

    def test_after_a_settlement_window_no_price_moves_an_option_any_more(self) -> None:
        over = option("-10", strike="1500", expiry=NOW - 60, averaging_s=1800, vol=None)
        assert measured(snapshot(source(over))).options == 0

    @pytest.mark.parametrize("spot", ["1999", "2000", "2001"])
    def test_an_expired_option_near_its_strike_is_all_or_nothing_until_it_is_settled(self, spot: str) -> None:
        calls = option("-50", expiry=NOW - 60, vol=None)
        puts = option("20", expiry=NOW - 60, vol=None, is_call=False, strike="1998")
        exposed = measured(snapshot(source(calls, puts), spot=Decimal(spot)))
        assert exposed.gap_lo == pytest.approx(-70)
        assert exposed.gap_hi == pytest.approx(0)

    def test_an_expired_option_far_from_its_strike_is_certain(self) -> None:
        calls = option("-50", expiry=NOW - 60, vol=None, strike="1900")
        exposed = measured(snapshot(source(calls)))
        assert (exposed.gap_lo, exposed.gap_hi) == (-50, -50)

    def test_another_vaults_price_counts_as_a_source_of_its_own(self) -> None:
        seen = snapshot(source(option()), source(name="other", spot=Decimal(2006)))
        assert self.doubted(seen)["price sources apart"][1] == pytest.approx(abs(measured(seen).gamma) * 6)

    def test_the_widest_doubt_is_found(self) -> None:
        seen = snapshot(in_flight=Decimal(-7), at=NOW + 10)
        assert widest(measured(seen, TARGET, Doubts())).name == "orders in flight"

    def test_the_pace_is_the_live_options_vol_weighted_by_gamma(self) -> None:
        live, far = option("-10", vol=0.6), option("-10", vol=1.2, expiry=NOW + 4 * WEEK, strike="9000")
        expired = option("5", vol=None, expiry=NOW)
        exposed = measured(snapshot(source(live, far, expired)))
        assert 0.6 < exposed.vol < 0.61
        assert exposed.years == pytest.approx(4 * WEEK / SECONDS_PER_YEAR)
        assert (measured(snapshot(source(expired))).vol, measured(snapshot(source(expired))).years) == (0, 0)
