"""Ends of a GMX order that its events tell only together, and what the executor's fee of it was."""

from decimal import Decimal

import pytest
from builders import NOW, address, intent, venue_state
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from gmx_models import (
    E18,
    E30,
    EXECUTED,
    KEY,
    TX,
    Chain,
    fees_collected,
    gmx_venue,
    keeper_paid,
    mined,
    order_created,
    order_ended,
    placed,
    position_changed,
    waiting_order,
)
from hypothesis import given
from hypothesis import strategies as st

from bot.core.model import Outcome, OutcomeState
from bot.errors import DataError
from bot.ports import EventLog
from bot.venues import gmx_keys

VENUE = gmx_venue()
USD = 10_000 * E30
OTHER_TX = "0x" + "ef" * 32


def outcome(*logs: EventLog, size: str = "5", kind: int = 2, is_long: bool = True, fee: int = E18) -> Outcome:
    """What became of an order that pays its executor `fee` at most."""
    uints = {gmx_keys.base("REQUEST_EXPIRATION_TIME"): 300}
    world = Chain(logs, NOW, uints, answers={"getOrder": waiting_order(NOW - 10)})
    asked = placed(USD, kind=kind, is_long=is_long, fee=fee)
    return world.outcome(VENUE.outcome(intent(size=size), asked, venue_state()))


def executed(tx: str = EXECUTED, block: int = 105) -> tuple[EventLog, ...]:
    """An execution with all of its events."""
    logs = (order_ended("OrderExecuted"), position_changed("5", USD), fees_collected(6_000_000))
    return tuple(mined(log, tx, block) for log in logs)


def test_an_order_that_was_frozen_first_is_decided_by_what_came_later() -> None:
    frozen = mined(order_ended("OrderFrozen", text="paused"), OTHER_TX, 103)
    told = outcome(frozen, *executed())
    assert told.state is OutcomeState.FILLED
    assert told.settled is not None
    assert (told.settled.tx_hash, told.settled.block_number) == (EXECUTED, 105)


def test_a_smaller_size_than_asked_is_partial_with_the_size_that_was_traded() -> None:
    logs = (order_ended("OrderExecuted"), position_changed("-1.25", USD // 4), fees_collected(1_500_000))
    told = outcome(*map(mined, logs), size="-5", kind=4)
    assert told.state is OutcomeState.PARTIAL
    assert told.fill is not None
    assert (told.fill.size, told.fill.fee_usd) == (Decimal("-1.25"), Decimal("1.5"))


@pytest.mark.parametrize(
    ("paid", "kept"),
    [((), 0), ((7,), 7), ((7, 9), 9), ((E18, E18 + 1), E18), ((E18 + 1,), 0)],
    ids=["none", "one", "two orders", "at the fee", "more than the order's fee"],
)
def test_the_executor_kept_the_largest_fee_that_the_order_can_have_paid(
    paid: tuple[int, ...], kept: int
) -> None:
    told = outcome(*executed(), *(mined(keeper_paid(wei)) for wei in paid))
    assert told.keeper_wei == kept


def test_fees_of_other_transactions_in_the_block_are_not_the_orders() -> None:
    assert outcome(*executed(), mined(keeper_paid(5), OTHER_TX)).keeper_wei == 0


def test_two_changes_by_one_order_are_a_data_error() -> None:
    with pytest.raises(DataError, match="2 changes and 1 fees"):
        outcome(*executed(), mined(position_changed("5", USD)))


def test_a_custom_error_that_is_cut_short_is_told_as_bytes() -> None:
    head = keccak(text="InvalidDecreaseOrderSize(uint256,uint256)")[:4]
    told = outcome(mined(order_ended("OrderCancelled", data=head + encode(["uint256"], [5]))))
    assert told.state is OutcomeState.DEAD
    assert "0x" + head.hex() in told.reason


@given(
    size=st.integers(1, 10**24),
    price=st.integers(1, 10**18),
    reference=st.integers(1, 10**12),
    buys=st.booleans(),
    is_long=st.booleans(),
)
def test_a_fill_is_the_tokens_at_the_execution_price_and_its_impact_is_what_that_cost(
    size: int, price: int, reference: int, buys: bool, is_long: bool
) -> None:
    """In whole numbers: `size` of 10⁻¹⁸ units, `price` of 10⁻¹² USD, `reference` of 10⁻⁶ USD."""
    side = 1 if buys else -1
    change = position_changed(
        str(side * Decimal(size).scaleb(-18)), USD, price=str(Decimal(price).scaleb(-12)), is_long=is_long
    )
    world = Chain(
        tuple(map(mined, (order_ended("OrderExecuted"), change, fees_collected(0)))),
        NOW,
        {gmx_keys.base("REQUEST_EXPIRATION_TIME"): 300},
        answers={"getOrder": waiting_order(NOW - 10)},
    )
    asked = intent(reference_price=Decimal(reference).scaleb(-6))
    fill = world.outcome(VENUE.outcome(asked, placed(USD), venue_state())).fill
    assert fill is not None
    assert int(fill.size.scaleb(18)) == side * size
    assert fill.notional == pytest.approx(Decimal(size * price).scaleb(-30), rel=Decimal("1e-25"))
    cost = Decimal(side * size * (price - reference * 10**6)).scaleb(-30)
    assert fill.impact_usd == pytest.approx(cost, abs=fill.notional * Decimal("1e-24") + Decimal("1e-20"))


def test_a_strangers_order_in_our_position_has_no_reason_and_other_accounts_have_no_part() -> None:
    key, other = bytes(31) + b"\3", bytes(31) + b"\4"
    logs = (
        mined(order_created(USD, key=key), OTHER_TX, 104),
        mined(position_changed("1", USD, key=key), EXECUTED, 105),
        mined(order_created(USD, key=KEY), TX, 104),
        mined(position_changed("5", USD, key=KEY), EXECUTED, 105),
        mined(position_changed("8", USD, key=other, who=address(77)), EXECUTED, 105),
    )
    told = Chain(logs).drive(VENUE.outside_changes(100, 0, frozenset({TX})))
    assert [(c.size, c.reason, c.tx_hash) for c in told] == [(1, "", EXECUTED)]
