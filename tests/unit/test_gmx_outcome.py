"""What became of a GMX order, from the protocol's own events: filled, cancelled, waiting, and what others did."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, NOW, address, intent, receipt, venue_state
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from gmx_models import (
    E18,
    E30,
    EXECUTED,
    GMX,
    KEEPER,
    KEY,
    TX,
    WETH,
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

from bot.core.model import IntentKind, Outcome, OutcomeState, Settled
from bot.errors import DataError
from bot.ports import EventLog, Log
from bot.venues import gmx_keys

VENUE = gmx_venue()
USD = 10_000 * E30
HEX = "0x" + KEY.hex()
SETTLED = Settled(EXECUTED, 105, f"0x{105:064x}")
FILLED = (order_ended("OrderExecuted"), position_changed("5", USD, price="2004"), fees_collected(6_000_000))


def chain(*logs: Log | EventLog, since: int = NOW - 10, now: int = NOW) -> Chain:
    """A chain where an order may be cancelled after five minutes."""
    found = tuple(log if isinstance(log, EventLog) else mined(log) for log in logs)
    expiry = {gmx_keys.base("REQUEST_EXPIRATION_TIME"): 300}
    return Chain(found, now, expiry, answers={"getOrder": waiting_order(since)})


def outcome(world: Chain, size: str = "5", *, kind: int = 2, is_long: bool = True, **changes: Any) -> Outcome:
    asked = intent(size=size, **changes)
    return world.outcome(VENUE.outcome(asked, placed(USD, kind=kind, is_long=is_long), venue_state()))


def error(signature: str, types: list[str], values: list[Any]) -> bytes:
    return keccak(text=signature)[:4] + encode(types, values)


class TestFilled:
    @pytest.mark.parametrize(
        ("size", "kind", "is_long", "price"),
        [("5", 2, True, "2004"), ("-5", 2, False, "1996"), ("-5", 4, True, "1996"), ("5", 4, False, "2004")],
    )
    def test_the_position_says_what_was_traded(self, size: str, kind: int, is_long: bool, price: str) -> None:
        change = position_changed(size, USD, price=price, is_long=is_long)
        told = outcome(
            chain(FILLED[0], change, FILLED[2], keeper_paid(7 * 10**15)), size, kind=kind, is_long=is_long
        )
        assert (told.state, told.reason, told.settled) == (OutcomeState.FILLED, "", SETTLED)
        assert told.keeper_wei == 7 * 10**15
        assert told.fill is not None
        assert (told.fill.size, told.fill.notional) == (Decimal(size), 5 * Decimal(price))
        assert (told.fill.fee_usd, told.fill.impact_usd, told.fill.funding_usd) == (6, 20, 0)

    def test_the_tokens_may_differ_from_what_was_meant_for_an_order_is_in_usd(self) -> None:
        told = outcome(chain(FILLED[0], position_changed("4.99", USD, price="2004"), FILLED[2]))
        assert told.state is OutcomeState.FILLED
        assert told.fill is not None
        assert told.fill.size == Decimal("4.99")

    def test_a_size_that_the_protocol_changed_is_partial(self) -> None:
        told = outcome(chain(FILLED[0], position_changed("6", USD * 6 // 5), FILLED[2]))
        assert told.state is OutcomeState.PARTIAL
        assert told.fill is not None
        assert told.fill.size == 6
        assert "changed the order's size" in told.reason

    def test_funding_and_borrowing_are_paid_and_claimable_funding_is_earned(self) -> None:
        fees = fees_collected(6_000_000, funding=2_000_000, borrowing=500_000, earned=(E18 // 1000, 250_000))
        told = outcome(chain(*FILLED[:2], fees))
        assert told.fill is not None
        # 2 + 0.5 paid; a thousandth of an ETH at 2,000 and 0.25 earned.
        assert told.fill.funding_usd == Decimal("2.5") - 2 - Decimal("0.25")

    def test_events_of_other_orders_in_the_same_transaction_are_not_ours(self) -> None:
        other = bytes(32)[:-1] + b"\1"
        strangers = (
            position_changed("9", USD, key=other),
            fees_collected(1, key=other),
            keeper_paid(2 * E18),
            mined(keeper_paid(9), EXECUTED[:-1] + "0"),
        )
        told = outcome(chain(*FILLED, *strangers, keeper_paid(3)))
        assert told.fill is not None
        assert (told.fill.size, told.keeper_wei) == (5, 3)

    @pytest.mark.parametrize("missing", [1, 2])
    def test_an_execution_without_its_events_is_a_data_error(self, missing: int) -> None:
        with pytest.raises(DataError, match="was executed with"):
            outcome(chain(*(log for i, log in enumerate(FILLED) if i != missing)))

    @pytest.mark.parametrize("kind", [IntentKind.ADD_MARGIN, IntentKind.WITHDRAW_MARGIN])
    def test_moved_margin_has_no_fill(self, kind: IntentKind) -> None:
        asked = intent(kind=kind, size="5")
        mined_order = placed(0, kind=2 if kind is IntentKind.ADD_MARGIN else 4)
        told = chain(FILLED[0], keeper_paid(4)).outcome(VENUE.outcome(asked, mined_order, venue_state()))
        assert told == Outcome(OutcomeState.FILLED, settled=SETTLED, keeper_wei=4)

    def test_only_what_follows_the_order_is_looked_through(self) -> None:
        world = chain(*FILLED)
        outcome(world)
        first, second = world.asked
        assert {q.from_block for q in first if not hasattr(q, "data")} == {100}
        assert {q.from_block for q in second if not hasattr(q, "data")} == {105}


class TestCancelled:
    CASES = (
        ("OrderNotFulfillableAtAcceptablePrice(uint256,uint256)", ["uint256"] * 2, [2_020 * 10**12, 2_009 * 10**12],
         ("moved past the order's bound", "price 2020.000000 USD")),
        ("InvalidDecreaseOrderSize(uint256,uint256)", ["uint256"] * 2, [USD, USD // 2],
         ("closes more than is open", "sizeDeltaUsd 10000.00 USD")),
        ("InsufficientCollateralUsd(int256)", ["int256"], [-5 * E30], ("too little collateral", "-5.00 USD")),
        ("LiquidatablePosition(string,int256,int256,int256)", ["string", *["int256"] * 3],
         ["min collateral", 2 * E30, 5 * E30, 4 * E30], ("liquidated at once", "min collateral")),
        ("MaxOpenInterestExceeded(uint256,uint256)", ["uint256"] * 2, [3 * E30, 2 * E30],
         ("open interest is full", "maxOpenInterest 2.00 USD")),
        ("EmptyPosition()", [], [], ("no position to close",)),
    )  # fmt: skip

    @pytest.mark.parametrize(("signature", "types", "values", "said"), CASES, ids=[c[0] for c in CASES])
    def test_a_custom_error_is_decoded(
        self, signature: str, types: list[str], values: list[Any], said: tuple[str, ...]
    ) -> None:
        end = order_ended("OrderCancelled", data=error(signature, types, values))
        told = outcome(chain(end, keeper_paid(8)))
        assert (told.state, told.fill, told.settled, told.keeper_wei) == (OutcomeState.DEAD, None, SETTLED, 8)
        assert signature.split("(")[0] in told.reason
        assert all(words in told.reason for words in said), told.reason

    def test_a_plain_reason_is_told_as_it_is(self) -> None:
        told = outcome(chain(order_ended("OrderCancelled", text="Invalid state: negative collateralSum")))
        assert told.reason == "Invalid state: negative collateralSum"

    def test_a_cancel_of_our_own_is_paid_to_us(self) -> None:
        end = order_ended("OrderCancelled", text="USER_INITIATED_CANCEL")
        told = outcome(chain(end, keeper_paid(8, who=ACCOUNT)))
        assert (told.state, told.keeper_wei) == (OutcomeState.DEAD, 0)
        assert "the account itself cancelled it" in told.reason

    def test_an_unknown_error_is_shown_raw(self) -> None:
        told = outcome(chain(order_ended("OrderCancelled", data=b"\x01\x02\x03\x04")))
        assert "0x01020304" in told.reason


class TestWaiting:
    @pytest.mark.parametrize(("age", "cancellable"), [(0, False), (299, False), (300, True), (5_000, True)])
    def test_until_an_executor_comes(self, age: int, cancellable: bool) -> None:
        told = outcome(chain(since=NOW - age))
        assert (told.state, told.order_id, told.cancellable) == (OutcomeState.PENDING, HEX, cancellable)
        assert told.settled is None
        assert f"for {age} s" in told.reason

    def test_a_freeze_leaves_it_waiting(self) -> None:
        told = outcome(chain(order_ended("OrderFrozen", data=b"")))
        assert (told.state, told.order_id) == (OutcomeState.PENDING, HEX)

    def test_a_node_that_shows_neither_order_nor_end_decides_nothing(self) -> None:
        told = outcome(chain(since=0))
        assert (told.state, told.order_id, told.cancellable) == (OutcomeState.PENDING, HEX, False)

    def test_what_happened_to_another_order_is_not_ours(self) -> None:
        told = outcome(chain(order_ended("OrderExecuted", key=bytes(32))))
        assert told.state is OutcomeState.PENDING


class TestReceipts:
    @pytest.mark.parametrize("kind", list(IntentKind))
    def test_a_revert_is_the_end(self, kind: IntentKind) -> None:
        told = chain().outcome(VENUE.outcome(intent(kind=kind), receipt(TX, succeeded=False), venue_state()))
        assert (told.state, told.order_id) == (OutcomeState.DEAD, "")
        assert "reverted" in told.reason

    @pytest.mark.parametrize("kind", [IntentKind.APPROVE, IntentKind.CLAIM])
    def test_an_approval_and_a_claim_need_no_executor(self, kind: IntentKind) -> None:
        assert (
            chain().outcome(VENUE.outcome(intent(kind=kind), receipt(TX), venue_state())).state
            is OutcomeState.FILLED
        )

    def test_a_cancel_is_done_where_its_event_says_so(self) -> None:
        asked = intent(kind=IntentKind.CANCEL, size="0", order_id=HEX)
        done = receipt(TX, logs=(order_ended("OrderCancelled"),))
        assert chain().outcome(VENUE.outcome(asked, done, venue_state())).state is OutcomeState.FILLED
        with pytest.raises(DataError, match="cancelled nothing"):
            chain().outcome(VENUE.outcome(replace(asked, order_id="0x" + "22" * 32), done, venue_state()))

    @pytest.mark.parametrize(
        "logs",
        [
            (),
            (order_created(USD), order_created(USD, key=bytes(32))),
            (order_created(USD, who=address(77)),),
            (replace(order_created(USD), address=address(77)),),
        ],
        ids=["no order", "two orders", "another account's", "another contract's"],
    )
    def test_a_success_without_exactly_one_order_of_ours_is_a_data_error(self, logs: tuple[Log, ...]) -> None:
        with pytest.raises(DataError, match=f"{TX} placed"):
            chain().outcome(VENUE.outcome(intent(), receipt(TX, logs=logs), venue_state()))


class TestOutside:
    def changes(self, *logs: EventLog, known: frozenset[str] = frozenset({TX})) -> list[tuple[Decimal, str]]:
        told = chain(*logs).drive(VENUE.outside_changes(100, 0, known))
        return [(change.size, change.reason) for change in told]

    def test_orders_of_our_own_are_left_out_whoever_executed_them(self) -> None:
        ours = mined(order_created(USD), TX, 104)
        assert self.changes(ours, mined(position_changed("5", USD))) == []
        assert self.changes(ours, mined(position_changed("5", USD)), known=frozenset()) == [(5, "")]

    def test_a_liquidation_and_a_deleveraging_explain_themselves(self) -> None:
        other = bytes(31) + b"\2"
        logs = (
            mined(order_created(USD, key=other, kind=7), block=106),
            mined(position_changed("-2", USD, is_long=True, kind=7, key=other), block=106),
            mined(position_changed("3", USD, is_long=False, key=KEY), block=105),
            mined(order_ended("OrderExecuted", key=KEY, secondary=1), block=105),
        )
        assert self.changes(*logs) == [(3, "auto-deleveraging"), (-2, "liquidation")]

    @pytest.mark.parametrize("change", [{"market": address(77)}, {"token": WETH}, {"who": address(77)}])
    def test_other_positions_are_not_ours(self, change: dict[str, str]) -> None:
        assert self.changes(mined(position_changed("5", USD, **change))) == []

    def test_moved_collateral_changes_no_position(self) -> None:
        assert self.changes(mined(position_changed("0", 0))) == []


def test_the_topics_are_the_published_ones() -> None:
    assert (
        order_created(USD).topics[0].hex()
        == "468a25a7ba624ceea6e540ad6f49171b52495b648417ae91bca21676d8a24dc5"
    )
    assert (
        keeper_paid(1).topics[0].hex() == "137a44067c8961cd7e1d876f4754a5a3a75989b4552f1843fc69c3b372def160"
    )
    assert keeper_paid(1).topics[2][-20:] == bytes.fromhex(KEEPER[2:])
    assert order_created(USD).address == GMX.event_emitter
