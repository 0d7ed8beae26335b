"""What became of a Hyperliquid order, told by what changed: every case of position, time and info API."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import NOW, address, receipt, snapshot
from hyperliquid_models import (
    TX,
    Core,
    Told,
    hyperliquid_venue,
    meant,
    order_action,
    placed,
    sent,
    told_fill,
    transfer_action,
)
from hypothesis import given
from hypothesis import strategies as st

from bot.core.model import IntentKind, Outcome, OutcomeState, Settled, VenueState
from bot.errors import DataError, Halt, TransientError
from bot.ledger.rows import SNAPSHOT
from bot.ports import OutsideChange
from bot.venues.hyperliquid import HyperliquidVenue
from bot.venues.hyperliquid_market import cloid_of, cloid_text

D = Decimal
FEE = D("0.00045")
MINED = 100
CLOID = cloid_text(cloid_of("intent-1"))
SETTLED = Settled(TX, MINED, f"0x{MINED:064x}")


def traded(core: Core, size: str, price: str = "2000", fee: Decimal | None = None) -> None:
    """HyperCore trades: position, entry notional and cash follow."""
    moved, at = D(size), D(price)
    held = core.size
    paid = abs(moved) * at * FEE if fee is None else fee
    closed = min(abs(held), abs(moved)) if held * moved < 0 else D(0)
    left = core.entry * (1 - closed / abs(held)) if held else D(0)
    core.entry = left + (abs(moved) - closed) * at
    core.size = held + moved
    core.raw_usd -= moved * at + paid
    core.account_value = core.raw_usd + core.size * core.mark
    core.notional = abs(core.size) * core.mark
    core.margin_used = core.notional / core.leverage


def outcome(
    size: str = "5",
    *,
    held: str = "0",
    happens: Any = None,
    blocks: int = 10,
    info: Told | None = None,
    **changes: Any,
) -> Outcome:
    """What an order is told to have become `blocks` after its own, where `happens` changed HyperCore in between."""
    venue = hyperliquid_venue(info)
    core = Core().holding(held, cash="100000")
    before = core.state(venue)
    order = meant(size, **changes)
    done = placed(order, venue, before)
    if happens is not None:
        happens(core)
    core.block = MINED + blocks
    return core.outcome(venue, order, as_recorded(before), done)


def as_recorded(state: VenueState) -> Any:
    """As the ledger gives it back: the figures that every venue has."""
    text = SNAPSHOT.dump_json(snapshot(venue=state))
    found = SNAPSHOT.validate_json(text).venue
    assert type(found) is VenueState
    return found


def trades(size: str, price: str = "2000", **how: Any) -> Any:
    return lambda core: traded(core, size, price, **how)


class TestByPositionAlone:
    @pytest.mark.parametrize("blocks", [0, 1, 59])
    def test_what_did_not_move_waits_and_can_not_be_cancelled(self, blocks: int) -> None:
        told = outcome(blocks=blocks)
        assert (told.state, told.order_id, told.cancellable) == (OutcomeState.PENDING, CLOID, False)
        assert f"{blocks} of 60 blocks" in told.reason

    @pytest.mark.parametrize("blocks", [60, 5_000])
    def test_what_did_not_move_by_then_is_dead_and_counts_as_refused(self, blocks: int) -> None:
        told = outcome(blocks=blocks)
        assert (told.state, told.fill, told.settled) == (OutcomeState.DEAD, None, SETTLED)
        assert "no effect within 60 blocks" in told.reason
        assert "its limit of 2009" in told.reason

    def test_a_node_that_is_behind_the_order_decides_nothing(self) -> None:
        assert outcome(blocks=-3).state is OutcomeState.PENDING

    @pytest.mark.parametrize(
        ("held", "size", "price"),
        [("0", "5", "2003.1"), ("0", "-5", "1995"), ("3", "5", "2001"), ("-3", "-5", "1999.9")],
    )
    def test_the_price_of_a_growing_position_is_exact(self, held: str, size: str, price: str) -> None:
        told = outcome(size, held=held, happens=trades(size, price, fee=D("3.33")))
        assert told.state is OutcomeState.FILLED
        assert told.settled is None
        assert told.fill is not None
        assert (told.fill.size, told.fill.notional) == (D(size), 5 * D(price))
        assert told.fill.fee_usd == 5 * D(price) * FEE, (
            "as configured, for only the info API tells the real one"
        )
        assert told.fill.impact_usd == abs(5 * (D(price) - 2000))
        assert told.fill.funding_usd == 0
        assert "its fee is reckoned" in told.reason

    @pytest.mark.parametrize(
        ("held", "size", "price"),
        [("-8", "5", "2003.1"), ("8", "-5", "1995"), ("-3", "5", "2001"), ("5", "-5", "2000")],
    )
    def test_the_price_of_a_shrinking_or_turning_position_is_reckoned_from_the_cash(
        self, held: str, size: str, price: str
    ) -> None:
        told = outcome(size, held=held, happens=trades(size, price))
        assert told.fill is not None
        assert told.fill.size == D(size)
        assert abs(told.fill.notional - 5 * D(price)) < D("0.00001")
        assert abs(told.fill.fee_usd - 5 * D(price) * FEE) < D("0.00001")
        assert "reckoned from the change of the account's cash" in told.reason

    def test_a_part_is_partial_at_once_for_an_immediate_order_leaves_nothing(self) -> None:
        told = outcome("5", happens=trades("1.5"), blocks=3)
        assert told.state is OutcomeState.PARTIAL
        assert told.fill is not None
        assert told.fill.size == D("1.5")
        assert "+1.5 of +5" in told.reason.replace("1.5000", "1.5")

    @pytest.mark.parametrize("happened", ["5.0001", "-0.0001", "-5", "12"])
    @pytest.mark.parametrize(("blocks", "state"), [(59, OutcomeState.PENDING), (60, OutcomeState.DEAD)])
    def test_what_can_not_be_the_orders_is_never_counted_as_filled(
        self, happened: str, blocks: int, state: OutcomeState
    ) -> None:
        told = outcome("5", happens=trades(happened), blocks=blocks)
        assert (told.state, told.fill) == (state, None)

    @pytest.mark.parametrize(
        ("cash", "size"), [("-50000", "5"), ("50000", "5"), ("-50000", "-5"), ("50000", "-5")]
    )
    def test_money_that_came_or_went_makes_no_price_and_the_worst_one_is_counted(
        self, cash: str, size: str
    ) -> None:
        held = "-8" if D(size) > 0 else "8"

        def happens(core: Core) -> None:
            traded(core, size, "2001")
            core.raw_usd += D(cash)
            core.account_value += D(cash)

        told = outcome(size, held=held, happens=happens)
        limit = D("2009.0") if D(size) > 0 else D("1990.9")
        assert told.state is OutcomeState.FILLED
        assert told.fill is not None
        assert told.fill.notional == 5 * limit
        assert "counted at its limit" in told.reason

    @given(
        st.integers(-80_000, 80_000),
        st.integers(1, 50_000),
        st.booleans(),
        st.integers(0, 100),
        st.integers(19_910, 20_090),
    )
    def test_no_movement_is_ever_counted_as_more_than_the_order_or_worse_than_its_limit(
        self, held: int, lots: int, buys: bool, share: int, price: int
    ) -> None:
        size = D(lots) * D("0.001") * (1 if buys else -1)
        done = (size * share / 100).quantize(D("0.0001"))
        at = D(price) / 10
        core_held = str(D(held) * D("0.001"))
        if abs(size) < D("0.01"):
            return
        told = outcome(str(size), held=core_held, happens=trades(str(done), str(at)), blocks=70)
        if done == 0:
            assert told.state is OutcomeState.DEAD
            return
        assert told.fill is not None
        assert told.fill.size == done
        limit = D("2009.0") if buys else D("1990.9")
        each = told.fill.notional / abs(done)
        assert each <= limit * D("1.0001") if buys else each >= limit * D("0.9999")
        possible = at <= limit if buys else at >= limit
        if possible and abs(done) > D("0.01"):
            assert abs(each - at) < D("0.01")


class TestWithTheInfoApi:
    @pytest.mark.parametrize(
        "status", ["iocCancelRejected", "perpMarginRejected", "tickRejected", "rejected"]
    )
    def test_a_refusal_is_told_at_once_with_its_word(self, status: str) -> None:
        told = outcome(info=Told(status), blocks=1)
        assert (told.state, told.settled) == (OutcomeState.DEAD, SETTLED)
        assert status in told.reason

    @pytest.mark.parametrize("status", ["filled", "canceled", "marginCanceled"])
    def test_an_order_that_ended_without_fills_that_are_told_waits(self, status: str) -> None:
        assert outcome(info=Told(status), blocks=59).state is OutcomeState.PENDING
        assert outcome(info=Told(status), blocks=60).state is OutcomeState.DEAD

    def test_price_and_fee_are_the_exchanges_own(self) -> None:
        fills = (told_fill("-2", "1999.5", "1.79"), told_fill("-3", "1999", "2.5"))
        info = Told("filled", fills)
        told = outcome("-5", held="8", happens=trades("-5", "1999.2"), info=info, blocks=2)
        assert (told.state, told.reason) == (OutcomeState.FILLED, "")
        assert told.fill is not None
        assert (told.fill.size, told.fill.notional, told.fill.fee_usd) == (-5, D("9996.0"), D("4.29"))
        assert told.fill.impact_usd == D("4.0")
        assert info.asked == [(cloid_of("intent-1"), NOW - 4 - 600)]

    def test_a_part_is_partial(self) -> None:
        told = outcome("5", happens=trades("2"), info=Told("canceled", (told_fill("2"),)))
        assert told.state is OutcomeState.PARTIAL
        assert told.fill is not None
        assert told.fill.fee_usd == 1

    @pytest.mark.parametrize("status", [None, "", "open"])
    def test_what_moved_without_a_word_waits_for_one_until_the_position_alone_tells(
        self, status: str | None
    ) -> None:
        early = outcome("5", happens=trades("5"), info=Told(status), blocks=59)
        assert (early.state, early.order_id) == (OutcomeState.PENDING, CLOID)
        late = outcome("5", happens=trades("5"), info=Told(status), blocks=60)
        assert late.state is OutcomeState.FILLED
        assert "reckoned" in late.reason

    def test_where_it_disagrees_the_order_waits_and_then_the_position_counts(self) -> None:
        info = Told("canceled", (told_fill("3"),))
        early = outcome("5", happens=trades("2"), info=info, blocks=59)
        assert early.state is OutcomeState.PENDING
        assert "says canceled with +3" in early.reason
        late = outcome("5", happens=trades("2"), info=info, blocks=60)
        assert late.state is OutcomeState.PARTIAL
        assert late.fill is not None
        assert late.fill.size == 2
        assert outcome("5", info=info, blocks=60).state is OutcomeState.DEAD

    @pytest.mark.parametrize("happened", ["0", "2", "10", "-4"])
    def test_a_record_that_accounts_for_the_whole_order_is_counted_whatever_else_moved_the_position(
        self, happened: str
    ) -> None:
        info = Told("filled", (told_fill("3", "2001", "2.7"), told_fill("2", "2002", "1.8")))
        happens = trades(happened) if happened != "0" else None
        early = outcome("5", happens=happens, info=info, blocks=59)
        assert (early.state, "says filled with +5" in early.reason) == (OutcomeState.PENDING, True)
        late = outcome("5", happens=happens, info=info, blocks=60)
        assert late.state is OutcomeState.FILLED
        assert late.fill is not None
        assert (late.fill.size, late.fill.notional, late.fill.fee_usd) == (5, D(10_007), D("4.5"))
        assert f"the position moved by {D(happened):+.4f}" in late.reason

    @pytest.mark.parametrize("happened", ["5", "2", "-5"])
    @pytest.mark.parametrize("blocks", [1, 60])
    def test_what_was_refused_by_its_word_is_never_counted_as_filled(
        self, happened: str, blocks: int
    ) -> None:
        told = outcome("5", happens=trades(happened), info=Told("perpMarginRejected"), blocks=blocks)
        assert (told.state, told.fill) == (OutcomeState.DEAD, None)
        assert "perpMarginRejected" in told.reason
        assert f"the position moved by {D(happened):+.4f}, which is not its doing" in told.reason


class TestTransfers:
    def moved(
        self,
        kind: IntentKind,
        spot: str,
        perp: str,
        *,
        blocks: int = 5,
        watched: bool = True,
    ) -> Outcome:
        venue = hyperliquid_venue(watches_margin=watched)
        core = Core().holding("-3")
        before = as_recorded(core.state(hyperliquid_venue(watches_margin=True)))
        before = before if watched else replace(before, wallet=None)
        core.spot += D(spot)
        core.raw_usd += D(perp)
        core.account_value += D(perp)
        core.block = MINED + blocks
        raw = 100 * 10**6
        done = sent(transfer_action(raw, to_perp=kind is IntentKind.ADD_MARGIN))
        return core.outcome(venue, meant("100", kind=kind), before, done)

    @pytest.mark.parametrize(
        ("spot", "perp"), [("-100", "100"), ("-99.5", "100"), ("-100", "98"), ("-100", "99.5")]
    )
    def test_a_deposit_is_told_by_both_sides_whatever_little_else_came_or_went(
        self, spot: str, perp: str
    ) -> None:
        told = self.moved(IntentKind.ADD_MARGIN, spot, perp)
        assert told == Outcome(OutcomeState.FILLED)
        back = self.moved(IntentKind.WITHDRAW_MARGIN, spot[1:], f"-{perp}")
        assert back == Outcome(OutcomeState.FILLED)

    @pytest.mark.parametrize(("spot", "perp"), [("0", "0"), ("0", "-2.5"), ("0.3", "0")])
    def test_what_moved_nothing_waits_and_then_is_dead(self, spot: str, perp: str) -> None:
        assert self.moved(IntentKind.ADD_MARGIN, spot, perp, blocks=59).state is OutcomeState.PENDING
        told = self.moved(IntentKind.ADD_MARGIN, spot, perp, blocks=60)
        assert told.state is OutcomeState.DEAD
        assert "moved nothing within 60 blocks" in told.reason

    @pytest.mark.parametrize(("spot", "perp"), [("-100", "0"), ("0", "100"), ("-40", "40"), ("-200", "200")])
    def test_what_can_not_be_told_is_counted_as_not_made(self, spot: str, perp: str) -> None:
        assert self.moved(IntentKind.ADD_MARGIN, spot, perp, blocks=59).state is OutcomeState.PENDING
        told = self.moved(IntentKind.ADD_MARGIN, spot, perp, blocks=60)
        assert told.state is OutcomeState.DEAD
        assert "can't be told" in told.reason

    def test_a_state_without_the_spot_side_is_told_by_the_perp_side(self) -> None:
        told = self.moved(IntentKind.ADD_MARGIN, "0", "100", watched=False)
        assert told == Outcome(OutcomeState.FILLED)


class TestReceipts:
    @pytest.mark.parametrize("kind", list(IntentKind))
    def test_a_revert_asked_for_nothing(self, kind: IntentKind) -> None:
        venue, core = hyperliquid_venue(), Core()
        before = core.state(venue)
        told = core.outcome(venue, meant(kind=kind), before, receipt(TX, succeeded=False))
        assert (told.state, told.settled) == (OutcomeState.DEAD, None)
        assert "reverted" in told.reason

    @pytest.mark.parametrize(
        "data",
        [
            order_action(True, 2000 * 10**8, 5 * 10**8, cloid=7),
            order_action(True, 2000 * 10**8, 4 * 10**8, cloid=cloid_of("intent-1")),
            order_action(False, 2000 * 10**8, 5 * 10**8, cloid=cloid_of("intent-1")),
            transfer_action(5 * 10**6, to_perp=True),
        ],
        ids=["another id", "another size", "another side", "a transfer"],
    )
    def test_a_transaction_that_asked_for_something_else_is_a_data_error(self, data: bytes) -> None:
        venue, core = hyperliquid_venue(), Core()
        before = core.state(venue)
        with pytest.raises(DataError, match="something else"):
            core.outcome(venue, meant("5"), before, sent(data))

    def test_a_withdrawal_that_deposited_is_a_data_error(self) -> None:
        venue, core = hyperliquid_venue(watches_margin=True), Core()
        before = core.state(venue)
        done = sent(transfer_action(5 * 10**6, to_perp=True))
        with pytest.raises(DataError, match="something else"):
            core.outcome(venue, meant("5", kind=IntentKind.WITHDRAW_MARGIN), before, done)

    def test_a_success_without_an_action_of_ours_is_a_data_error(self) -> None:
        venue, core = hyperliquid_venue(), Core()
        before = core.state(venue)
        stranger = sent(order_action(True, 1, 1), who=address(66))
        with pytest.raises(DataError, match="passed 0 actions"):
            core.outcome(venue, meant("5"), before, stranger)


class TestOutside:
    def changes(self, venue: HyperliquidVenue) -> tuple[OutsideChange, ...]:
        found: tuple[OutsideChange, ...] = Core().drive(venue.outside_changes(40, NOW - 60, frozenset()))
        return found

    def test_what_was_adopted_before_is_not_told_again(self) -> None:
        first, second = (
            told_fill("-1", at_ms=at * 1_000, oid=oid, cloid=0, reason="liquidation")
            for at, oid in ((NOW - 61, 1), (NOW - 5, 2))
        )
        found = self.changes(hyperliquid_venue(Told(fills_=(first, second))))
        assert [change.tx_hash for change in found] == ["order 2"]

    def test_without_the_info_api_a_person_must_look_and_is_told_why(self) -> None:
        with pytest.raises(Halt, match=r"no events that would say why.*vaultkeel adopt"):
            self.changes(hyperliquid_venue())

    def test_while_it_does_not_answer_nothing_is_concluded(self) -> None:
        with pytest.raises(TransientError, match="doesn't answer"):
            self.changes(hyperliquid_venue(Told(fills_=None)))

    def test_fills_that_are_not_ours_are_told_with_their_reason(self) -> None:
        fills = (
            told_fill("5"),
            told_fill("-2", cloid=0, reason="liquidation", oid=9),
            told_fill("1", cloid=1, oid=10),
        )
        assert self.changes(hyperliquid_venue(Told(fills_=fills))) == (
            OutsideChange(D(-2), "liquidation", "order 9"),
            OutsideChange(D(1), "", "order 10"),
        )
