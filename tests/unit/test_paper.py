"""Paper trading: recorded fills laid over the real position, to the dollar."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import CURIE, ScriptedCurie, feed, fill, intent, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.chain.contracts import contract
from bot.core.model import Fill, PerpPosition, VenueState
from bot.venues.paper import PaperVenue, exit_cost, overlay

SIZES = st.decimals("-20", "20", places=3).filter(lambda size: size != 0)
PRICES = st.decimals("1800", "2200", places=2)
FILLS = st.lists(
    st.builds(lambda size, price: fill(str(size), str(price)), SIZES, PRICES), min_size=1, max_size=6
)
FLAT = venue_state("0")


def changes(state: VenueState, before: VenueState) -> dict[str, Decimal]:
    """What the overlay did to the margin."""
    names = ("collateral", "account_value", "free_collateral", "maintenance", "exit_value")
    return {name: getattr(state.margin, name) - getattr(before.margin, name) for name in names}


@pytest.mark.parametrize("position", ["0", "-5", "7.25"])
def test_without_fills_the_state_is_the_same_object(position: str) -> None:
    state = venue_state(position)
    assert overlay(state, ()) is state


def test_a_sale_is_a_short_position_that_brought_its_notional() -> None:
    state = overlay(FLAT, (fill("-10", "2010"),))
    assert state.position == PerpPosition(CURIE.base_token, Decimal(-10), Decimal(20_100))
    fee, profit = Decimal("20.1"), Decimal(100)  # sold 10 above the mark of 2000
    assert changes(state, FLAT) == {
        "collateral": 0,
        "account_value": profit - fee,
        "free_collateral": profit - fee - 10 * 2000 * Decimal("0.1"),
        "maintenance": 10 * 2000 * Decimal("0.0625"),
        # buying 10 back costs an average of 2004 (on the line from 5 at 2002 to 20 at 2008) and a fee of a thousandth
        "exit_value": 20_100 - fee - 10 * 2004 * Decimal("1.001"),
    }


def test_a_purchase_is_a_long_position_that_took_its_notional() -> None:
    state = overlay(FLAT, (fill("10", "2010"),))
    assert state.position == PerpPosition(CURIE.base_token, Decimal(10), Decimal(-20_100))
    fee, profit = Decimal("20.1"), Decimal(-100)
    assert changes(state, FLAT) == {
        "collateral": 0,
        "account_value": profit - fee,
        "free_collateral": profit - fee - 10 * 2000 * Decimal("0.1"),
        "maintenance": 10 * 2000 * Decimal("0.0625"),
        "exit_value": -20_100 - fee + 10 * 1996 * Decimal("0.999"),
    }


def test_a_round_trip_leaves_its_profit_less_two_fees_and_frees_the_margin() -> None:
    state = overlay(FLAT, (fill("-10", "2100"), fill("10", "1900")))
    assert state.position.size == 0
    gain = Decimal(10 * 200) - Decimal(21) - Decimal(19)
    assert changes(state, FLAT) == {
        "collateral": 0,
        "account_value": gain,
        "free_collateral": gain,
        "maintenance": 0,
        "exit_value": gain,
    }


def test_a_flip_has_the_margin_of_what_is_left() -> None:
    state = overlay(FLAT, (fill("-10", "2000"), fill("14", "2000")))
    assert state.position == PerpPosition(CURIE.base_token, Decimal(4), Decimal(-8000))
    assert changes(state, FLAT)["maintenance"] == 4 * 2000 * Decimal("0.0625")
    assert changes(state, FLAT)["account_value"] == -(20 + 28)


@pytest.mark.parametrize(
    ("on_chain", "traded", "left"),
    [("-10", "4", "-6"), ("-10", "10", "0"), ("-10", "25", "15"), ("10", "-25", "-15")],
)
def test_fills_shrink_close_and_flip_a_position_of_the_chain(on_chain: str, traded: str, left: str) -> None:
    before = venue_state(on_chain)
    state = overlay(before, (fill(traded, "2000"),))
    assert state.position.size == Decimal(left)
    assert state.position.entry_notional == -Decimal(left) * 2000
    grown = abs(Decimal(left)) - abs(Decimal(on_chain))
    fee = abs(Decimal(traded)) * 2
    assert changes(state, before)["maintenance"] == grown * 2000 * Decimal("0.0625")
    assert changes(state, before)["free_collateral"] == -fee - grown * 2000 * Decimal("0.1")


def test_what_is_no_matter_of_the_fills_stays() -> None:
    state = overlay(FLAT, (fill("-10"),))
    assert replace(state, position=FLAT.position, margin=FLAT.margin) == FLAT


@given(FILLS)
def test_the_order_of_the_fills_makes_no_difference(fills: list[Fill]) -> None:
    assert overlay(FLAT, tuple(fills)) == overlay(FLAT, tuple(reversed(fills)))


@given(FILLS, FILLS)
def test_fills_add_up(first: list[Fill], second: list[Fill]) -> None:
    at_once = overlay(FLAT, (*first, *second))
    in_turn = overlay(overlay(FLAT, tuple(first)), tuple(second))
    assert at_once.position == in_turn.position
    for name in ("account_value", "free_collateral", "maintenance"):
        assert getattr(at_once.margin, name) == getattr(in_turn.margin, name)


@given(FILLS)
def test_leaving_never_brings_more_than_the_mark_says(fills: list[Fill]) -> None:
    state = overlay(FLAT, tuple(fills))
    gap = FLAT.margin.account_value - FLAT.margin.exit_value
    assert state.margin.account_value - state.margin.exit_value >= gap


@pytest.mark.parametrize(
    ("size", "cost"),
    [
        ("-5", 5 * 2002 * Decimal("1.001")),
        ("5", -5 * 1998 * Decimal("0.999")),
        ("-100", 100 * 2000 * Decimal("1.001")),
        ("100", -100 * 2000 * Decimal("0.999")),
        ("0", Decimal(0)),
    ],
    ids=["a short", "a long", "a short beyond the curve", "a long beyond the curve", "nothing"],
)
def test_leaving_costs_the_quoted_price_or_else_the_mark(size: str, cost: Decimal) -> None:
    assert exit_cost(FLAT, Decimal(size)) == cost


class TestVenue:
    def venue(self, state: VenueState, *fills: Fill) -> PaperVenue:
        return PaperVenue(ScriptedCurie(state), lambda: fills)

    def test_a_read_has_the_fills_in_it(self) -> None:
        state, _ = feed(self.venue(venue_state("3"), fill("-5")).read(), [])
        assert state.position.size == -2

    def test_the_fills_are_asked_at_every_read(self) -> None:
        recorded: list[Fill] = []
        venue = PaperVenue(ScriptedCurie(venue_state("0")), lambda: tuple(recorded))
        sizes = []
        for _ in range(3):
            sizes.append(feed(venue.read(), [])[0].position.size)
            recorded.append(fill("-2"))
        assert sizes == [0, -2, -4]

    @pytest.mark.parametrize(
        ("on_chain", "recorded", "size", "function"),
        [
            ("0", "-5", "5", "openPosition"),
            ("-5", "-5", "10", "openPosition"),
            ("-5", "-5", "5", "closePosition"),
            ("-5", "0.5", "5", "closePosition"),
        ],
    )
    def test_an_order_is_prepared_for_the_position_that_the_chain_has(
        self, on_chain: str, recorded: str, size: str, function: str
    ) -> None:
        """What closes the position on paper is no close on chain, where it would revert in the preflight."""
        venue = self.venue(venue_state(on_chain), fill(recorded))
        state, _ = feed(venue.read(), [])
        call = venue.prepare(intent(size=size), state)
        house = contract("curie_clearing_house", CURIE.clearing_house)
        assert house.abi.decode_input(call.data)[0] == function

    def test_it_answers_for_the_venue_that_it_wraps(self) -> None:
        curie = ScriptedCurie(venue_state("0"))
        venue = PaperVenue(curie, tuple)
        assert (venue.name, venue.chain, venue.account) == (curie.name, curie.chain, curie.account)
        assert venue.contracts() == curie.contracts()
        assert venue.explain(b"") == curie.explain(b"")
