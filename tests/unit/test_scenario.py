"""Full revaluation: every cell is the book priced again, by the same arithmetic that a tick measures by."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from builders import NOW, WEEK, block, measured, option, snapshot, source, venue_state

from bot.core.greeks import price_book
from bot.core.scenario import Grid, held_of, revalue, revalue_grid, shocks_of
from bot.core.stress import PRESETS, Stress, stressed
from bot.core.target import Target
from bot.errors import DataError, PricingError

BOOK = source(
    option(),
    option("4", strike="1800", is_call=False, vol=0.95),
    option("-3", strike="2500", vol=0.7, expiry=NOW + 4 * WEEK),
    holdings=("3.5",),
)


def test_no_move_is_worth_nothing_and_leaves_the_measured_delta() -> None:
    seen = snapshot(BOOK, venue=venue_state("5"))
    still = revalue(held_of(seen), shocks_of(0.0))
    exposure = measured(seen)
    assert still.book[0] == still.marked[0] == 0.0
    assert still.delta[0] == pytest.approx(exposure.model_delta + 3.5 + 5.0, abs=1e-12)


def test_every_cell_is_the_snapshot_measured_again_after_the_move() -> None:
    seen = snapshot(BOOK)
    grid = Grid(prices=(-0.3, 0.0, 0.25), vols=(-0.2, 0.5), hours=(0.0, 30.0, 24.0 * 10))
    found = revalue_grid(held_of(seen), grid)
    assert found.book.shape == found.delta.shape == (3, 2, 3)
    now = measured(seen)
    for p, price in enumerate(grid.prices):
        for v, points in enumerate(grid.vols):
            for h, hours in enumerate(grid.hours):
                moved = tuple(replace(o, vol=(o.vol or 0.0) + points) for o in BOOK.positions)
                then = measured(
                    replace(
                        seen,
                        sources=(replace(BOOK, positions=moved),),
                        spot=Decimal(2000) * (1 + Decimal(str(price))),
                        blocks=(block(timestamp=NOW + int(hours * 3600)),),
                    )
                )
                gain = then.value - now.value + 3.5 * 2000 * price
                assert found.book[p, v, h] == pytest.approx(gain, abs=1e-6)
                assert found.book_delta[p, v, h] == pytest.approx(then.model_delta + 3.5, abs=1e-12)


def test_the_hedge_gains_linearly_pays_funding_and_its_exit_fee() -> None:
    seen = snapshot(BOOK, venue=venue_state("-5", mark=Decimal(2010)))
    found = revalue(held_of(seen), shocks_of([-0.1, 0.0], hours=[0.0, 10.0]))
    assert found.hedge[0] == pytest.approx(5 * 201.0)
    assert found.hedge[1] == pytest.approx(5 * 2010 * 0.00001 * 10)
    assert found.exit_fee == pytest.approx([5 * 1809 * 0.001, 5 * 2010 * 0.001])
    assert found.closed == pytest.approx(found.marked - found.exit_fee)
    assert list(found.hedge_delta) == [-5.0, -5.0]


def test_an_option_that_expires_on_the_way_is_worth_what_it_pays() -> None:
    seen = snapshot(source(option("-1", strike="2000")))
    value = measured(seen).value
    found = revalue(held_of(seen), shocks_of([0.1, -0.1], hours=24.0 * 8))
    assert found.book == pytest.approx([-200.0 - value, -value])
    assert list(found.book_delta) == [-1.0, 0.0]


def test_a_vol_never_falls_below_zero() -> None:
    seen = snapshot(source(option("-1", strike="1500")))
    found = revalue(held_of(seen), shocks_of(0.0, vol_points=[-0.8, -3.0]))
    assert found.book[0] == found.book[1]


def test_a_book_without_options_moves_with_its_holdings() -> None:
    found = revalue(held_of(snapshot(source(holdings=("2",)))), shocks_of(0.1))
    assert found.book[0] == pytest.approx(400.0)


def test_one_scenario_gives_the_same_bits_alone_as_among_others() -> None:
    held = held_of(snapshot(BOOK))
    moves = np.linspace(-0.5, 0.9, 601)
    together = revalue(held, shocks_of(moves, 0.1, 5.0))
    for i in (0, 255, 256, 600):
        alone = revalue(held, shocks_of(moves[i], 0.1, 5.0))
        assert alone.book[0] == together.book[i]
        assert alone.book_delta[0] == together.book_delta[i]


def test_a_settlement_window_shortens_the_time_that_the_vol_acts() -> None:
    averaged = option("-1", averaging_s=1800)
    seen = snapshot(source(averaged))
    (priced,) = price_book(seen, Target())
    found = revalue(held_of(seen), shocks_of(0.0, hours=24.0))
    later = measured(replace(seen, blocks=(block(timestamp=NOW + 86_400),)))
    assert found.book[0] == pytest.approx(later.value - float(priced.values[0].sum()), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: shocks_of([0.1, float("nan")]), r"price\[1\] is nan"),
        (lambda: shocks_of(-1.0), "above -1"),
        (lambda: shocks_of(0.0, hours=-1.0), r"hours\[0\] is -1.0"),
        (lambda: shocks_of(0.0, vol_points=float("inf")), "vol_points"),
        (lambda: shocks_of(0.0, vol_factor=-0.1), "vol_factor"),
        (lambda: shocks_of([]), "no move"),
        (lambda: Grid(prices=()), "prices is empty"),
        (lambda: Grid(vols=()), "vols is empty"),
        (lambda: Grid(hours=()), "hours is empty"),
        (lambda: Stress("odd", "", price=float("nan")), "price"),
        (lambda: Stress("odd", "", funding_per_hour=float("nan")), "stress odd: funding_per_hour"),
    ],
)
def test_moves_that_are_none_are_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_a_grid_with_a_move_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="vol_points"):
        revalue_grid(held_of(snapshot(BOOK)), Grid(vols=(float("nan"),)))


def test_a_book_that_cannot_be_priced_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="no vol for 2000-C"):
        held_of(snapshot(source(option(vol=None))))
    with pytest.raises(DataError, match="spot is 0"):
        held_of(snapshot(BOOK, spot=Decimal(0)))
    with pytest.raises(DataError, match="venue's mark"):
        held_of(snapshot(BOOK, venue=venue_state(mark=Decimal("NaN"))))
    with pytest.raises(PricingError, match="vol"):
        revalue(held_of(snapshot(BOOK)), shocks_of(0.0, vol_points=100.0))
    held = held_of(snapshot(source(option())))
    with pytest.raises(PricingError, match="size is nan"):
        revalue(replace(held, size=np.array([np.nan])), shocks_of(0.0))


def stress_named(start: str) -> Stress:
    (found,) = (stress for stress in PRESETS if stress.name.startswith(start))
    return found


def test_every_preset_says_what_it_assumes_and_adds_up() -> None:
    seen = snapshot(BOOK, venue=venue_state("5"))
    held = held_of(seen)
    for result in stressed(seen):
        stress = result.stress
        assert stress.text.endswith(".")
        assert "%" in stress.text
        if stress.funding_per_hour is None:
            moved = revalue(held, shocks_of(stress.price, stress.vol_points, stress.hours))
            assert result.pnl_usd == pytest.approx(float(moved.marked[0]))
            assert result.delta == pytest.approx(float(moved.delta[0]))


@pytest.mark.parametrize("size", ["5", "-5"])
def test_a_funding_spike_is_paid_whichever_side_the_hedge_is_on(size: str) -> None:
    (result,) = stressed(snapshot(BOOK, venue=venue_state(size)), [stress_named("funding")])
    assert result.hedge_usd == pytest.approx(-5 * 2000 * 0.001 * 24)


def test_a_gone_venue_locks_the_hedges_equity() -> None:
    (result,) = stressed(snapshot(BOOK, venue=venue_state("5")), [stress_named("venue gone, down")])
    assert result.locked_usd == result.equity_usd == pytest.approx(200_000 - 5 * 400)
    assert result.if_lost_usd == pytest.approx(result.pnl_usd - result.locked_usd)


def test_a_frozen_oracle_hides_the_books_change() -> None:
    seen = snapshot(BOOK, venue=venue_state("5"))
    (result,) = stressed(seen, [stress_named("oracle")])
    moved = revalue(held_of(seen), shocks_of(-0.1))
    assert result.book_usd == 0.0
    assert result.hedge_usd == pytest.approx(-5 * 200)
    assert result.unseen_usd == pytest.approx(float(moved.book[0]))
    assert result.seen_delta == pytest.approx(measured(seen).model_delta + 3.5 + 5.0)
    assert result.delta == pytest.approx(float(moved.delta[0]))


def test_a_stress_that_liquidates_the_hedge_says_so() -> None:
    venue = venue_state("100")
    thin = replace(
        venue.margin, account_value=Decimal(40_000), mark_value=Decimal(40_000), maintenance=Decimal(12_500)
    )
    crash, funding = stressed(
        snapshot(BOOK, venue=replace(venue, margin=thin)), [stress_named("crash"), stress_named("funding")]
    )
    assert crash.is_liquidated
    assert crash.requirement_usd == pytest.approx(12_500 * 0.65)
    assert not funding.is_liquidated
