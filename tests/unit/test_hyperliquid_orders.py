"""Hyperliquid orders: the bytes that an intent becomes, what is refused because HyperCore would drop it silently."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import address, fill, venue_state
from eth_abi.abi import encode
from hyperliquid_models import (
    ETH,
    SEND,
    WRITER,
    Core,
    hyperliquid_venue,
    meant,
    order_action,
    transfer_action,
)
from hypothesis import given
from hypothesis import strategies as st

from bot.core.model import IntentKind
from bot.core.orders import PRICE_STEP, Order
from bot.desk import check_same
from bot.errors import OrderRejected
from bot.ports import TxCall
from bot.venues.hyperliquid_core import LimitOrder, UsdClassTransfer, decode_action
from bot.venues.hyperliquid_market import HyperliquidState, cloid_of
from bot.venues.paper import PaperVenue

D = Decimal
VENUE = hyperliquid_venue()
WATCHED = hyperliquid_venue(watches_margin=True)


def action_of(call: TxCall) -> Any:
    """What a call's bytes ask for."""
    assert (call.to, call.value, call.data[:4]) == (WRITER, 0, SEND)
    length = int.from_bytes(call.data[36:68], "big")
    return decode_action(call.data[68 : 68 + length])


def calling(action: bytes) -> TxCall:
    return TxCall(WRITER, SEND + encode(["bytes"], [action]))


def state(core: Core | None = None) -> HyperliquidState:
    return (core or Core()).state(VENUE)


class TestTrades:
    def test_a_purchase_is_an_immediate_limit_order_below_its_bound(self) -> None:
        order = action_of(VENUE.prepare(meant("5"), state()))
        # 2010 / 1.00045 = 2009.0959..., down to the tick of 0.1.
        assert order == LimitOrder(1, True, D("2009.0"), D(5), False, 3, cloid_of("intent-1"))

    def test_a_sale_is_above_its_bound(self) -> None:
        order = action_of(VENUE.prepare(meant("-5"), state()))
        # 1990 / 0.99955 = 1990.8958..., up.
        assert (order.is_buy, order.price, order.size) == (False, D("1990.9"), 5)

    @pytest.mark.parametrize(
        ("held", "size", "reduces"),
        [("0", "1", False), ("3", "1", False), ("-3", "1", True), ("-3", "3", True), ("-3", "3.1", False),
         ("3", "-2", True), ("3", "-3", True), ("3", "-4", False)],
    )  # fmt: skip
    def test_what_only_shrinks_the_position_can_do_nothing_else(
        self, held: str, size: str, reduces: bool
    ) -> None:
        seen = state(Core().holding(held))
        call = VENUE.prepare(meant(size), seen)
        assert action_of(call).reduce_only is reduces
        VENUE.decode(call, seen)

    @pytest.mark.parametrize("size", ["0.00005", "1.00001", "-0.12345"])
    def test_a_size_beyond_the_lot_is_refused_and_not_rounded(self, size: str) -> None:
        with pytest.raises(OrderRejected, match=r"no whole number of lots of 0\.0001"):
            VENUE.prepare(meant(size), state())

    def test_an_order_of_nothing_is_refused(self) -> None:
        with pytest.raises(OrderRejected, match="trades nothing"):
            VENUE.prepare(meant("0"), state())

    def test_an_order_below_the_least_value_is_refused_with_it(self) -> None:
        with pytest.raises(OrderRejected, match=r"worth 9\.80 USD.*below 10"):
            VENUE.prepare(meant("0.0049"), state())
        VENUE.prepare(meant("0.005", price_bound=D(2020)), state())

    def test_a_close_may_be_of_any_value(self) -> None:
        order = action_of(VENUE.prepare(meant("-0.0001"), state(Core().holding("0.0001"))))
        assert order.reduce_only
        with pytest.raises(OrderRejected, match="below 10"):
            VENUE.prepare(meant("-0.0001"), state(Core().holding("5")))

    def test_a_bound_that_leaves_no_price_is_refused(self) -> None:
        with pytest.raises(OrderRejected, match="price of"):
            VENUE.prepare(meant("5", price_bound=D(0)), state())

    def test_a_position_beyond_the_margin_is_refused_with_the_figures(self) -> None:
        # 10,000 USD open 100 ETH at a leverage of 20, less 1.40 USD of costs for each.
        seen = Core().state(WATCHED)
        WATCHED.prepare(meant("98.6"), seen)
        with pytest.raises(
            OrderRejected, match=r"needs 10000\.00 USD of margin at the account's leverage of 20"
        ):
            WATCHED.prepare(meant("100"), seen)

    def test_a_shrinking_order_needs_no_margin(self) -> None:
        core = Core().holding("50")
        core.account_value = D(1)
        VENUE.prepare(meant("-50"), state(core))

    def test_the_margin_of_other_positions_counts(self) -> None:
        core = Core()
        core.margin_used = D(9_000)
        seen = core.state(WATCHED)
        assert seen.others_margin == 9_000
        WATCHED.prepare(meant("9"), seen)
        with pytest.raises(OrderRejected, match="of margin"):
            WATCHED.prepare(meant("11"), seen)

    def test_a_state_of_another_venue_is_refused(self) -> None:
        with pytest.raises(OrderRejected, match="not read from this venue"):
            VENUE.prepare(meant(), venue_state())

    @pytest.mark.parametrize("kind", [IntentKind.APPROVE, IntentKind.CLAIM, IntentKind.CANCEL])
    def test_what_hypercore_does_not_know_is_refused(self, kind: IntentKind) -> None:
        with pytest.raises(OrderRejected, match=f"knows no {kind}"):
            VENUE.prepare(meant(kind=kind), state())


class TestReadBack:
    @given(
        st.integers(1, 500_000),
        st.booleans(),
        st.integers(10**6, 3 * 10**9),
        st.sampled_from([D(0), D("0.00045"), D("0.0015")]),
    )
    def test_every_order_is_the_one_that_was_meant(
        self, lots: int, buys: bool, bound: int, fee: Decimal
    ) -> None:
        seen = replace(
            state(),
            fee_ratio=fee,
            mark=D(bound) * PRICE_STEP,
            margin=replace(state().margin, account_value=D(10**12)),
        )
        size = lots * D("0.0001") * (1 if buys else -1)
        order = meant(str(size), price_bound=bound * PRICE_STEP)
        try:
            call = VENUE.prepare(order, seen)
        except OrderRejected as error:
            assert "below 10" in str(error)  # noqa: PT017 - the only refusal there may be
            return
        found = VENUE.decode(call, seen)
        assert (found.size, found.deadline) == (size, None)
        check_same(found, order)

    @pytest.mark.parametrize(
        "order",
        [
            Order(D(5), D("2010.000001"), None, D(1)),
            Order(D(5), D("2008.9"), None, D(1)),
            Order(D("5.0001"), D(2010), None, D(1)),
            Order(D(5), D("2009.999999"), None),
            Order(D(5), D(2010), 1),
        ],
        ids=["a worse bound", "more than a tick stricter", "another size", "no tick", "another deadline"],
    )
    def test_another_order_than_was_decided_is_refused(self, order: Order) -> None:
        check_same(Order(D(5), D("2009.5"), None, D(1)), meant())
        with pytest.raises(OrderRejected, match="another order"):
            check_same(order, meant())

    def test_a_sales_bound_may_be_higher_and_not_lower(self) -> None:
        sale = meant("-5")
        check_same(Order(D(-5), D("1990.5"), None, D(1)), sale)
        with pytest.raises(OrderRejected, match="another order"):
            check_same(Order(D(-5), D("1989.9"), None, D(1)), sale)

    @pytest.mark.parametrize(
        ("call", "said"),
        [
            (TxCall(address(66), SEND), "goes to"),
            (
                TxCall(WRITER, SEND + encode(["bytes"], [order_action(True, 2 * 10**11, 10**8)]), 1),
                "with 1 wei",
            ),
            (TxCall(WRITER, b"\1\2\3\4"), "no order"),
            (calling(b"\x01\x00\x00\x06" + bytes(96)), "spotSend"),
            (calling(transfer_action(1, to_perp=True)), "moves margin"),
            (calling(order_action(True, 2000 * 10**8, 10**8, asset=2)), "none of ours"),
            (calling(order_action(True, 2000 * 10**8, 10**8, tif=2)), "none of ours"),
            (calling(order_action(True, 2000 * 10**8, 10**8, cloid=0)), "none of ours"),
            (calling(order_action(True, 200_012 * 10**6, 10**8)), "not on the market's tick"),
            (calling(order_action(True, 2000 * 10**8, 10**3)), "no whole number of lots"),
            (calling(order_action(True, 2000 * 10**8, 0)), "no whole number of lots"),
            (calling(order_action(True, 2000 * 10**8, 10**8, reduce_only=True)), "reduce-only"),
        ],
    )
    def test_whatever_is_no_order_of_ours_is_refused(self, call: TxCall, said: str) -> None:
        with pytest.raises(OrderRejected, match=said):
            VENUE.decode(call, state())

    def test_bytes_that_mean_the_same_in_another_form_are_refused(self) -> None:
        call = calling(order_action(True, 2000 * 10**8, 10**8))
        VENUE.decode(call, state())
        with pytest.raises(OrderRejected, match="canonical"):
            VENUE.decode(replace(call, data=call.data + bytes(32)), state())


class TestTransfers:
    @pytest.mark.parametrize(
        ("kind", "to_perp"), [(IntentKind.ADD_MARGIN, True), (IntentKind.WITHDRAW_MARGIN, False)]
    )
    def test_margin_moves_between_the_accounts_own_sides(self, kind: IntentKind, to_perp: bool) -> None:
        call = WATCHED.prepare(meant("123.45", kind=kind), Core().state(WATCHED))
        assert action_of(call) == UsdClassTransfer(D("123.45"), to_perp)

    @pytest.mark.parametrize(
        ("kind", "size", "said"),
        [
            (IntentKind.ADD_MARGIN, "500.01", "500.00 are on the spot side"),
            (IntentKind.WITHDRAW_MARGIN, "9000.01", "9000.00 are withdrawable"),
            (IntentKind.ADD_MARGIN, "0", "can't be moved"),
            (IntentKind.ADD_MARGIN, "1.0000001", "more than 6 decimals"),
        ],
    )
    def test_what_is_not_there_is_refused(self, kind: IntentKind, size: str, said: str) -> None:
        with pytest.raises(OrderRejected, match=said):
            WATCHED.prepare(meant(size, kind=kind), Core().state(WATCHED))

    def test_a_book_that_watches_no_margin_moves_none(self) -> None:
        with pytest.raises(OrderRejected, match="moves no margin"):
            VENUE.prepare(meant("1", kind=IntentKind.ADD_MARGIN), state())


def test_on_paper_the_order_is_prepared_for_the_position_that_the_chain_has() -> None:
    paper = PaperVenue(VENUE, lambda: (fill("-3"),))
    seen = Core().drive(paper.read())
    assert seen.position.size == -3
    call = paper.prepare(meant("2"), seen)
    assert not action_of(call).reduce_only, "on chain nothing is open that it could shrink"
    check_same(paper.decode(call, seen), meant("2"))


def test_a_preflight_promises_what_the_configured_depth_says() -> None:
    seen = state()
    promised = VENUE.expected(meant("10"), seen, b"")
    # 2000.5 × (1 + 10 × 0.00001) on average.
    assert promised.notional == 10 * D("2000.5") * D("1.0001")
    assert promised.fee_usd == promised.notional * ETH.fee_ratio
    assert promised.impact_usd == promised.notional - 20_000
