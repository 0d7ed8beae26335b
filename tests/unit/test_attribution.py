"""Attribution: the parts are the whole, each is what happened, and little is left unexplained."""

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, WEEK, block, fill, measured, option, positions, snapshot, source, venue_state

from bot.core.attribution import Attribution, TradeDone, attribute, hedge_unexplained
from bot.core.model import Snapshot

BOOK = (option("-10"), option("-4", strike="2200", is_call=False), option("3", strike="1900", vol=0.9))


def money(seen: Snapshot, **changes: Any) -> Snapshot:
    """The same with changes of the venue's margin."""
    return replace(seen, venue=replace(seen.venue, margin=replace(seen.venue.margin, **changes)))


def later(seen: Snapshot, spot: str, seconds: int = 60, vol: float = 0.0, earned: str = "0") -> Snapshot:
    """A while later, at another price, all vols moved by `vol`, the hedge account `earned` richer."""
    price = Decimal(spot)
    sources = tuple(
        replace(
            s, positions=tuple(replace(p, vol=None if p.vol is None else p.vol + vol) for p in s.positions)
        )
        for s in seen.sources
    )
    moved = replace(
        seen,
        spot=price,
        at=seen.at + seconds,
        blocks=(block(101, NOW + seconds),),
        sources=sources,
        venue=replace(seen.venue, mark=price, index=price),
    )
    return money(moved, mark_value=seen.venue.margin.mark_value + Decimal(earned))


def attributed(before: Snapshot, after: Snapshot, *trades: TradeDone, gas: str = "0") -> Attribution:
    return attribute(before, measured(before), after, trades, Decimal(gas))


def test_the_parts_add_up_to_the_change_of_value() -> None:
    before = snapshot(source(*BOOK, holdings=["2"]), venue=venue_state("5"))
    after = later(before, "2030", vol=0.01, earned="150")
    parts = attributed(before, after)
    value = sum(row.value for row in positions(after)) - sum(row.value for row in positions(before))
    assert parts.total == pytest.approx(value + 2 * 30 + 150)
    assert parts.total == pytest.approx(sum(asdict(parts).values()))


@pytest.mark.parametrize("spot", ["2001", "1999", "2010", "1985"])
def test_small_moves_are_explained_by_the_greeks(spot: str) -> None:
    before = snapshot(source(*BOOK), venue=venue_state("5"))
    after = later(before, spot, seconds=600, vol=0.002, earned=str(5 * (Decimal(spot) - 2000)))
    parts = attributed(before, after)
    explained = sum(abs(v) for name, v in asdict(parts).items() if name != "unexplained")
    assert abs(parts.unexplained) < 0.01 * explained


def test_each_part_is_what_happened() -> None:
    before = snapshot(source(*BOOK), venue=venue_state("5"))
    exposed = measured(before)
    aged = attributed(before, later(before, "2000", seconds=3600))
    assert aged.theta == pytest.approx(exposed.theta * 3600 / 31_536_000)
    assert (aged.delta, aged.gamma, aged.vega, aged.funding) == (0, 0, 0, 0)
    vol = attributed(before, later(before, "2000", seconds=0, vol=0.01))
    assert vol.vega == pytest.approx(exposed.vega * 0.01)
    assert abs(vol.unexplained) < 0.02 * abs(vol.vega)
    moved = attributed(before, later(before, "2010", seconds=0, earned="50"))
    assert moved.delta == pytest.approx(exposed.options * 10 + 5 * 10)
    assert moved.gamma == pytest.approx(exposed.gamma * 50)


def test_a_trade_shows_its_fee_its_impact_and_its_gas_and_nothing_else() -> None:
    before = snapshot(source(), venue=venue_state("5"))
    done = TradeDone(fill("2", "2003", fee_usd=Decimal(4), impact_usd=Decimal(6)), Decimal(2000))
    parts = attributed(before, later(before, "2000", earned="-10"), done, gas="1.5")
    assert asdict(parts) == pytest.approx(
        dict.fromkeys(asdict(parts), 0.0) | {"fees": -4, "impact": -6, "gas": -1.5}, abs=1e-9
    )


def test_funding_is_what_was_settled_and_what_has_accrued_since() -> None:
    before = snapshot(source(), venue=venue_state("5", pending_funding=Decimal(3)))
    after = later(before, "2000", earned="-9")
    after = replace(after, venue=replace(after.venue, pending_funding=Decimal(2)))
    done = TradeDone(
        fill("1", fee_usd=Decimal(0), impact_usd=Decimal(0), funding_usd=Decimal(10)), Decimal(2000)
    )
    parts = attributed(before, after, done)
    assert parts.funding == pytest.approx(-9)
    assert parts.unexplained == pytest.approx(0)


def test_options_that_were_traded_since_count_for_the_size_that_was_held() -> None:
    before = snapshot(source(option("-10")))
    grown = later(snapshot(source(option("-50"), option("-1", strike="2500"))), "2005", vol=0.01)
    same = later(before, "2005", vol=0.01)
    assert attributed(before, grown) == attributed(before, same)


def test_an_option_that_expired_is_worth_its_intrinsic_value() -> None:
    before = snapshot(source(option("-10", strike="1900", expiry=NOW + 60)))
    after = later(snapshot(source()), "2000", seconds=WEEK)
    start = positions(before)[0].value
    assert attributed(before, after).total == pytest.approx(-10 * 100 - start)


def test_the_hedges_share_of_the_unexplained_has_nothing_of_the_options() -> None:
    before = snapshot(venue=venue_state("5"))
    trade = TradeDone(fill("-2", "2090", fee_usd=Decimal(4), impact_usd=Decimal(20)), Decimal(2100))
    value = before.venue.margin.mark_value + 5 * 100 - 4 - 20 - 50  # the mark rises by 100; 50 are gone
    margin = replace(before.venue.margin, mark_value=value)
    after = replace(
        before, spot=Decimal(2300), venue=replace(before.venue, mark=Decimal(2100), margin=margin)
    )
    assert hedge_unexplained(before, after, [trade]) == -50
    assert attributed(before, after, trade).unexplained > 50, "with the higher orders of the options"
