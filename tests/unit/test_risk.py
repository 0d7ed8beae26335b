"""The limits: each at, below and above."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, block, exposure, limits, snapshot, source, venue_state

from bot.core.limits import Limits
from bot.core.model import Decision, Hold, Mode, Rebalance, VolsUsed
from bot.core.risk import guard

EXPOSED = exposure(-5.0)


def rebalance(size: str) -> Rebalance:
    return Rebalance(Decimal(size), f"trade {size}", {"net_delta": "-5"})


def guarded(
    size: str,
    *,
    position: str = "0",
    mode: Mode = Mode.ACTIVE,
    now: int = NOW,
    bounds: Limits | None = None,
    **venue: Any,
) -> Decision:
    seen = snapshot(venue=venue_state(position, **venue), at=now, vols=VolsUsed("vault", now))
    return guard(rebalance(size), EXPOSED, seen, bounds or limits(), mode)


def code(decision: Decision) -> str:
    return decision.code if isinstance(decision, Hold) else "REBALANCE"


def test_a_hold_stays_as_it_is() -> None:
    hold = Hold("INSIDE_BAND", "nothing to do", {"net_delta": "0"})
    for mode in Mode:
        assert guard(hold, EXPOSED, snapshot(open_order="one"), limits(), mode) is hold


def test_a_hold_on_inputs_that_cant_be_trusted_says_so() -> None:
    hold = Hold("INSIDE_BAND", "nothing to do", {"net_delta": "0"})
    old = snapshot(at=NOW + 121)
    mad = snapshot(venue=venue_state(index=Decimal(2_000_000)))
    for seen, expected in ((old, "STALE_BLOCK"), (mad, "PRICE_GAP")):
        told = guard(hold, EXPOSED, seen, limits(), Mode.ACTIVE)
        assert (code(told), told.arithmetic) == (expected, hold.arithmetic)


def test_a_decision_within_every_limit_stays_as_it_is() -> None:
    decision = rebalance("5")
    assert guard(decision, EXPOSED, snapshot(), limits(), Mode.ACTIVE) is decision


@pytest.mark.parametrize(("age", "expected"), [(0, "REBALANCE"), (120, "REBALANCE"), (121, "STALE_BLOCK")])
def test_a_block_may_be_as_old_as_the_limit_and_no_older(age: int, expected: str) -> None:
    assert code(guarded("5", now=NOW + age)) == expected


def test_one_stale_chain_of_several_is_enough_and_is_named() -> None:
    seen = snapshot(blocks=(block(), block(77, NOW - 121, chain="other")))
    decision = guard(rebalance("5"), EXPOSED, seen, limits(), Mode.ACTIVE)
    assert code(decision) == "STALE_BLOCK"
    assert "block 77 of other is 121 s old" in (decision.text)


@pytest.mark.parametrize(("age", "expected"), [(0, "REBALANCE"), (3600, "REBALANCE"), (3601, "STALE_VOL")])
def test_vols_may_be_as_old_as_the_limit_and_no_older(age: int, expected: str) -> None:
    seen = snapshot(vols=VolsUsed("a table", NOW - age))
    decision = guard(rebalance("5"), EXPOSED, seen, limits(), Mode.ACTIVE)
    assert code(decision) == expected
    assert expected == "REBALANCE" or "the a table vols are 3601 s old" in decision.text


def test_vaults_that_disagree_about_the_price_are_named() -> None:
    seen = snapshot(source(), source(name="other", spot=Decimal(2600)))
    decision = guard(rebalance("5"), EXPOSED, seen, limits(), Mode.ACTIVE)
    assert code(decision) == "PRICE_GAP"
    assert "the spot of other 2600" in decision.text


def test_an_order_without_an_outcome_lets_no_other_pass_and_is_named() -> None:
    seen = snapshot(open_order="0123456789ab")
    decision = guard(rebalance("5"), EXPOSED, seen, limits(), Mode.ACTIVE)
    assert (code(decision), "0123456789ab" in decision.text) == ("ORDER_OPEN", True)


@pytest.mark.parametrize("price", ["index", "mark"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2000", "REBALANCE"),
        ("2100", "REBALANCE"),
        ("1900", "REBALANCE"),
        ("2100.01", "PRICE_GAP"),
        ("1899.99", "PRICE_GAP"),
        ("0", "PRICE_GAP"),
        ("2000000000000000000000", "PRICE_GAP"),
    ],
)
def test_index_and_traded_price_may_be_as_far_from_the_spot_as_the_limit(
    price: str, value: str, expected: str
) -> None:
    prices: dict[str, Any] = {price: Decimal(value)}
    decision = guarded("5", **prices)
    assert code(decision) == expected
    if expected == "PRICE_GAP":
        assert ("index" if price == "index" else "traded price") in decision.text


def test_a_halted_account_trades_nothing() -> None:
    for size, position in (("5", "0"), ("5", "-5"), ("-5", "5")):
        assert code(guarded(size, position=position, mode=Mode.HALTED)) == "HALTED"


@pytest.mark.parametrize(
    ("size", "position", "expected"),
    [
        ("4.999", "-5", "REBALANCE"),
        ("5", "-5", "REBALANCE"),
        ("5.001", "-5", "REDUCING"),
        ("-5", "5", "REBALANCE"),
        ("-5.001", "5", "REDUCING"),
        ("5", "5", "REDUCING"),
        ("-5", "-5", "REDUCING"),
        ("5", "0", "REDUCING"),
    ],
)
def test_reduce_only_lets_the_position_shrink_to_nothing_and_no_further(
    size: str, position: str, expected: str
) -> None:
    assert code(guarded(size, position=position, mode=Mode.REDUCING)) == expected


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("wanted", "size"), [("59.999", "59.999"), ("60", "60"), ("60.001", "60")])
def test_an_order_is_cut_to_the_order_limit(side: int, wanted: str, size: str) -> None:
    decision = guarded(str(side * Decimal(wanted)), max_buy=Decimal(1000), max_sell=Decimal(1000))
    assert isinstance(decision, Rebalance)
    assert decision.size == side * Decimal(size)
    assert decision.remaining == side * (Decimal(wanted) - Decimal(size))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("wanted", "size"), [("29.999", "29.999"), ("30", "30"), ("30.001", "30")])
def test_an_order_is_cut_to_what_the_venue_takes_on_that_side(side: int, wanted: str, size: str) -> None:
    this, other = ("max_buy", "max_sell") if side > 0 else ("max_sell", "max_buy")
    room: dict[str, Any] = {this: Decimal(30), other: Decimal(1)}
    decision = guarded(str(side * Decimal(wanted)), **room)
    assert isinstance(decision, Rebalance)
    assert decision.size == side * Decimal(size)
    assert decision.remaining == side * (Decimal(wanted) - Decimal(size))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("wanted", "size"), [("9.999", "9.999"), ("10", "10"), ("10.001", "10")])
def test_an_order_is_cut_to_the_position_limit_and_leaves_nothing_for_later(
    side: int, wanted: str, size: str
) -> None:
    decision = guarded(str(side * Decimal(wanted)), position=str(side * 290))
    assert isinstance(decision, Rebalance)
    assert decision.size == side * Decimal(size)
    assert decision.remaining == 0


def test_a_position_may_turn_as_far_as_its_limit_on_the_other_side() -> None:
    wide = limits(max_order=Decimal(1000))
    decision = guarded("700", position="-290", bounds=wide, max_buy=Decimal(1000))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal(590)


def test_a_position_beyond_its_limit_may_shrink_and_not_grow() -> None:
    assert code(guarded("5", position="301")) == "POSITION"
    assert code(guarded("-5", position="301")) == "REBALANCE"


def test_the_tightest_limit_cuts_and_is_named() -> None:
    decision = guarded("100", position="270", max_buy=Decimal(40))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal(30)
    assert "the position limit" in decision.text
    decision = guarded("100", position="270", max_buy=Decimal(20))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal(20)
    assert "the venue's limit for one order" in decision.text


@pytest.mark.parametrize(
    ("position", "venue"),
    [("300", {}), ("0", {"max_buy": Decimal(0)}), ("0", {"max_buy": Decimal("0.0009")})],
    ids=["position limit", "venue takes none", "less than a lot"],
)
def test_no_room_is_a_hold_that_names_the_limit(position: str, venue: dict[str, Any]) -> None:
    decision = guarded("5", position=position, **venue)
    assert code(decision) == ("POSITION" if position == "300" else "NO_ROOM")
    assert ("position limit" if position == "300" else "the venue's limit") in decision.text


def test_a_cut_order_is_whole_lots() -> None:
    decision = guarded("50", max_buy=Decimal("30.0019"))
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal("30.001")
    assert decision.size + decision.remaining == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"now": NOW + 500},
        {"mark": Decimal(1)},
        {"mode": Mode.HALTED},
        {"max_buy": Decimal(0)},
        {"max_buy": Decimal(2)},
    ],
    ids=["stale", "gap", "halted", "no room", "cut"],
)
def test_the_arithmetic_of_the_decision_stays_with_it(changes: dict[str, Any]) -> None:
    assert guarded("5", **changes).arithmetic.items() >= {"net_delta": "-5"}.items()


def test_the_limits_are_checked_before_the_cut() -> None:
    """An order that would be cut to nothing on a halted account is refused for the halt, which a person must see."""
    seen = replace(snapshot(), venue=venue_state("300"))
    decision = guard(rebalance("5"), EXPOSED, seen, limits(), Mode.HALTED)
    assert code(decision) == "HALTED"
