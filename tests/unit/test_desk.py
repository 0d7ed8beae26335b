"""The tick with a real ledger, a real sender and a scripted node: what is sent, what blocks, what a crash leaves."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from builders import (
    ACCOUNT_ID,
    CURIE,
    MULTICALL,
    NOW,
    OPTIONS_VAULT,
    Rig,
    ScriptedCurie,
    ScriptedSource,
    address,
    block,
    decided,
    intent,
    limits,
    option,
    rules,
    snapshot,
    source,
    venue_state,
)
from eth_abi.abi import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.book import Book
from bot.chain.client import RevertError
from bot.chain.contracts import ERROR_STRING
from bot.chain.sender import LOST_AFTER_S
from bot.core.model import Hold, LastTrade, Mode, Outcome, OutcomeState, Rebalance
from bot.desk import SOON_S, Desk, Tick, make_intent, next_visit
from bot.errors import ConfigError, DataError, Halt, OrderRejected, OutcomeUnknown, TransientError

MUCH_MORE = source(option("-30"))
"""So much to hedge that a band around the open order's interval is left, too."""
LATE = OutcomeUnknown("the node did not confirm a sent order")
HEDGE = Decimal("5.255")


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "vaultkeel.db")


@pytest.fixture
def paper(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "vaultkeel.db", paper=True)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


def code(tick: Tick) -> str:
    decision = tick.record.decision
    return decision.code if isinstance(decision, Hold) else "REBALANCE"


def state(tick: Tick) -> OutcomeState | None:
    return None if tick.outcome is None else tick.outcome.state


def revert(reason: str) -> RevertError:
    return RevertError("execution reverted", ERROR_STRING + encode(["string"], [reason]))


class TestTrading:
    def test_a_net_delta_outside_the_band_is_traded_once(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        tick = rig.tick()
        assert code(tick) == "REBALANCE"
        assert state(tick) is OutcomeState.FILLED
        assert tick.outcome is not None
        assert tick.outcome.fill is not None
        assert tick.outcome.fill.size == HEDGE
        assert tick.again_in_s is None
        rig.next_block()
        assert code(rig.tick()) == "INSIDE_BAND"
        assert len(rig.client.sent) == 1
        assert rig.ledger.fills("eth") == [(tick.outcome.fill, False)]

    def test_the_gas_that_was_paid_is_recorded_in_dollars(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        rig.tick()
        (order,) = rig.ledger.orders("eth")
        assert Decimal(order["gas_usd"]) == Decimal("0.001") * 2000

    def test_inside_the_band_nothing_is_asked_signed_or_sent(self, rig: Rig) -> None:
        rig.curie.traded(HEDGE)
        rig.ledger.adopt(ACCOUNT_ID, CURIE.base_token, HEDGE, 0, "there before", NOW)
        tick = rig.tick()
        assert (code(tick), tick.outcome, tick.intent_key, tick.again_in_s) == (
            "INSIDE_BAND",
            None,
            None,
            None,
        )
        assert (rig.client.preflights, rig.signer.signed, rig.client.sent) == ([], [], [])
        assert rig.outcomes() == []
        assert rig.ledger.history.newest("eth") == 1, "a hold is recorded, too"

    def test_the_order_has_a_bound_and_a_deadline_from_the_snapshot(self, rig: Rig) -> None:
        tick = rig.tick()
        (order,) = rig.ledger.open_intents(ACCOUNT_ID)
        quoted = 2002 + (HEDGE - 5) / 15 * 6
        bound = quoted * Decimal("1.005") * Decimal("1.001")
        assert order.intent.price_bound == pytest.approx(bound, abs=Decimal("0.000001"))
        assert order.intent.price_bound <= bound
        assert order.intent.deadline == NOW + 120
        assert order.intent.reference_price == 2000
        assert order.intent.key == tick.intent_key

    def test_a_partial_fill_is_continued_soon(self, rig: Rig) -> None:
        rig.client.on_send = lambda raw: rig.mines(raw, "0.25")
        tick = rig.tick()
        assert (state(tick), tick.again_in_s) == (OutcomeState.PARTIAL, 16)
        rig.next_block()
        rig.client.on_send = rig.mines
        tick = rig.tick()
        assert (state(tick), tick.again_in_s) == (OutcomeState.FILLED, None)
        total = sum(fill.size for fill, _ in rig.ledger.fills("eth"))
        assert abs(total - HEDGE) < Decimal("0.002")
        assert total <= HEDGE

    def test_an_order_that_was_cut_is_continued_at_the_venues_pace(self, rig: Rig) -> None:
        rig.rules = rules(limits=limits(max_order=Decimal(2)))
        rig.restart()
        rig.client.on_send = rig.mines
        sizes, visits = [], []
        for _ in range(4):
            tick = rig.tick()
            sizes.append(tick.outcome.fill.size if tick.outcome and tick.outcome.fill else None)
            visits.append(tick.again_in_s)
            rig.next_block()
        assert sizes == [Decimal(2), Decimal(2), HEDGE - 4, None]
        assert visits == [16, 16, None, None]

    def test_a_mined_revert_is_dead_and_costs_its_gas(self, rig: Rig) -> None:
        rig.client.on_send = lambda raw: rig.mines(raw, succeeded=False)
        tick = rig.tick()
        assert state(tick) is OutcomeState.DEAD
        assert rig.outcomes() == ["DEAD"]
        assert rig.attempts()[0][3] == "REVERTED"
        assert rig.ledger.orders("eth")[0]["gas_usd"] == "2.000"
        assert rig.ledger.fills("eth") == []

    def test_after_a_dead_order_the_next_one_has_the_next_nonce(self, rig: Rig) -> None:
        rig.client.on_send = lambda raw: rig.mines(raw, succeeded=False)
        rig.tick()
        rig.next_block()
        rig.client.on_send = rig.mines
        rig.tick()
        assert [tx.nonce for tx in rig.signer.signed] == [0, 1]
        assert rig.outcomes() == ["DEAD", "FILLED"]


class TestRefusals:
    def test_a_preflight_that_reverts_is_dead_with_the_venues_reason_and_nothing_is_signed(
        self, rig: Rig
    ) -> None:
        rig.client.preflight_answer = revert("CH_NEFCI")
        tick = rig.tick()
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.DEAD
        assert "CH_NEFCI (not enough free collateral for the initial margin)" in tick.outcome.reason
        assert (rig.signer.signed, rig.client.sent, rig.attempts()) == ([], [], [])
        assert rig.ledger.next_nonce(ACCOUNT_ID) is None
        assert "CH_NEFCI" in rig.ledger.orders("eth")[0]["reason"]

    def test_what_the_mandate_refuses_is_dead_and_nothing_is_signed(self, rig: Rig) -> None:
        rig.client.gas = 10**9
        tick = rig.tick()
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.DEAD
        assert tick.outcome.reason.startswith("mandate: a gas limit of")
        assert rig.signer.signed == []

    def test_a_refused_order_blocks_nothing(self, rig: Rig) -> None:
        rig.client.preflight_answer = revert("CH_NEFCI")
        rig.tick()
        rig.next_block()
        rig.client.preflight_answer = encode(["uint256"] * 2, [1, 1])
        rig.client.on_send = rig.mines
        assert state(rig.tick()) is OutcomeState.FILLED

    def test_the_same_snapshot_is_not_intended_twice(self, rig: Rig) -> None:
        rig.client.preflight_answer = revert("EX_OPLAS")
        first = rig.tick()
        with pytest.raises(OrderRejected, match=f"order {first.intent_key} was intended before"):
            rig.tick()
        assert rig.outcomes() == ["DEAD"]
        rig.next_block()
        assert rig.tick().intent_key != first.intent_key


class TestDoubt:
    @pytest.mark.parametrize(
        "error",
        [LATE, TransientError("timeout"), ConnectionResetError(), RuntimeError()],
        ids=lambda e: type(e).__name__,
    )
    def test_whatever_a_send_raises_the_order_is_pending_and_blocks(self, rig: Rig, error: Exception) -> None:
        rig.client.on_send = raising(error)
        if isinstance(error, OutcomeUnknown):
            tick = rig.tick()
            assert (state(tick), tick.again_in_s) == (OutcomeState.PENDING, SOON_S)
        else:
            with pytest.raises(type(error)):
                rig.tick()
        assert rig.outcomes() == ["PENDING"]
        (attempt,) = rig.attempts()
        assert attempt[2] == rig.client.sent[0]
        rig.client.on_send = lambda raw: None
        rig.source.state = MUCH_MORE
        for _ in range(3):
            rig.next_block()
            tick = rig.tick()
            assert code(tick) == "ORDER_OPEN"
            assert tick.again_in_s == SOON_S
        assert rig.outcomes() == ["PENDING"]
        assert len(rig.signer.signed) == 1, "one signature, however often it is sent"
        assert set(rig.client.sent) == {attempt[2]}
        assert len(rig.client.sent) == 4

    def test_an_order_in_doubt_counts_as_traded_and_as_not_traded(self, rig: Rig) -> None:
        rig.tick()
        rig.next_block()
        exposure = rig.tick().record.exposure
        assert exposure.net_hi - exposure.net_lo == pytest.approx(float(HEDGE))

    def test_an_order_that_was_mined_after_all_is_filled_and_the_blocking_ends(self, rig: Rig) -> None:
        rig.client.on_send = raising(LATE)
        rig.tick()
        rig.next_block()
        rig.mines(rig.client.sent[0])
        assert code(rig.tick()) == "INSIDE_BAND"
        assert rig.outcomes() == ["FILLED"]
        assert len(rig.client.sent) == 1

    def test_another_accounts_open_order_blocks_nothing(self, rig: Rig) -> None:
        rig.ledger.intend(intent("theirs", account=address(55)), rig.ledger.record_tick(decided()))
        rig.client.on_send = rig.mines
        assert state(rig.tick()) is OutcomeState.FILLED

    def test_an_open_order_of_another_book_blocks_the_account_and_is_not_touched(self, rig: Rig) -> None:
        order = intent("theirs", book="btc", market=address(55))
        rig.ledger.intend(order, rig.ledger.record_tick(decided()))
        tick = rig.tick()
        assert code(tick) == "ORDER_OPEN"
        assert tick.record.snapshot.in_flight == 0, "it is not of this market"
        assert rig.outcomes() == []
        assert len(rig.ledger.open_intents(ACCOUNT_ID)) == 1

    def test_a_receipt_below_the_confirmation_depth_is_waited_for(self, rig: Rig) -> None:
        rig.confirmations = 2
        rig.restart()
        rig.client.on_send = rig.mines
        assert state(rig.tick()) is OutcomeState.PENDING
        rig.client.buried = 0
        (found,) = rig.client.receipts.values()
        rig.next_block()
        assert code(rig.tick()) == "INSIDE_BAND", "the interval reaches from the hedged delta on"
        assert rig.outcomes() == ["PENDING"]
        rig.client.receipts[found[0].tx_hash] = (found[0], 2)
        rig.next_block()
        rig.tick()
        assert rig.outcomes() == ["FILLED"]
        assert len(rig.client.sent) == 1

    def test_a_mined_order_that_the_venue_cant_explain_stays_open(self, rig: Rig) -> None:
        def mined_without_a_trade(raw: bytes) -> None:
            rig.mines(raw)
            ((mined, depth),) = rig.client.receipts.values()
            rig.client.receipts[mined.tx_hash] = (replace(mined, logs=()), depth)

        rig.client.on_send = mined_without_a_trade
        for _ in range(2):
            with pytest.raises(DataError, match="changed 0 positions of ours"):
                rig.tick()
            rig.next_block()
        assert rig.outcomes() == ["PENDING"]
        assert len(rig.signer.signed) == 1


class TestCrashes:
    def test_after_a_crash_before_the_signature_the_order_is_dead(self, rig: Rig) -> None:
        rig.client.estimate_gas = raising(KeyboardInterrupt())  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            rig.tick()
        assert rig.outcomes() == ["PENDING"]
        del rig.client.estimate_gas
        rig.restart()
        rig.next_block()
        rig.client.on_send = rig.mines
        assert state(rig.tick()) is OutcomeState.FILLED
        assert rig.outcomes() == ["DEAD", "FILLED"]
        assert rig.ledger.orders("eth")[0]["reason"] == "it was never signed"
        assert len(rig.client.sent) == 1

    @pytest.mark.parametrize(
        "reached", [False, True], ids=["before the node had it", "after the node had it"]
    )
    def test_after_a_crash_around_the_send_the_same_bytes_are_sent(self, rig: Rig, reached: bool) -> None:
        def crash(raw: bytes) -> None:
            if reached:
                rig.next_block()
                rig.mines(raw)
            raise KeyboardInterrupt

        rig.client.on_send = crash
        with pytest.raises(KeyboardInterrupt):
            rig.tick()
        rig.restart()
        rig.next_block()
        rig.client.on_send = lambda raw: None
        tick = rig.tick()
        assert len(set(rig.client.sent)) == 1
        assert len(rig.signer.signed) == 1
        assert len(rig.client.sent) == (1 if reached else 2)
        assert (code(tick), rig.outcomes()) == (
            "INSIDE_BAND",
            ["FILLED"] if reached else ["PENDING"],
        )

    def test_after_a_crash_before_the_outcome_is_written_the_fill_counts_once(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        rig.ledger.resolve = raising(KeyboardInterrupt())  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            rig.tick()
        rig.restart()
        rig.next_block()
        assert code(rig.tick()) == "INSIDE_BAND"
        assert rig.outcomes() == ["FILLED"]
        assert len(rig.ledger.fills("eth")) == len(rig.client.sent) == 1

    def test_two_desks_on_one_ledger_cant_double_an_order(self, rig: Rig) -> None:
        """The other desk's tick falls between this one's intent and its signature, and gives the intent up."""
        rig.ledger.close()
        rig.trades = False  # as if the file system had no locks
        rig.start()
        other = Rig(rig.path, trades=False)
        other.client = rig.client
        other.start()

        def meanwhile(account: str, call: Any) -> int:
            with pytest.raises(OrderRejected):
                other.tick()  # resolves the unsigned intent, and can't intend the same snapshot
            return 400_000

        rig.client.estimate_gas = meanwhile  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="has an outcome already and is not sent"):
            rig.tick()
        assert rig.outcomes() == ["DEAD"]
        assert rig.client.sent == []


class TestHalts:
    def test_a_nonce_that_a_foreign_transaction_used_halts_the_account_for_good(self, rig: Rig) -> None:
        rig.tick()
        rig.next_block()
        rig.client.mined_nonce = 1
        rig.tick()
        rig.clock.time += LOST_AFTER_S
        with pytest.raises(Halt, match="nonce 0"):
            rig.tick()
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED
        rig.restart()
        mode, why = rig.ledger.mode_and_why(ACCOUNT_ID)
        assert mode is Mode.HALTED
        assert "nonce 0 of" in why
        assert rig.outcomes() == ["PENDING"], "it may be the foreign one that reorgs away"
        assert len(rig.client.sent) == 1

    def test_a_foreign_nonce_before_an_order_halts_and_nothing_is_signed(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        rig.tick()
        rig.source.state = source(option("-20"))
        rig.client.mined_nonce = rig.client.pending_nonce = 2
        rig.next_block()
        with pytest.raises(Halt, match="another program holds this key"):
            rig.tick()
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED
        assert len(rig.signer.signed) == 1
        rig.next_block()
        tick = rig.tick()
        assert code(tick) == "HALTED"
        assert rig.outcomes() == ["FILLED"]

    def test_a_halted_account_watches_its_open_order_and_sends_nothing(self, rig: Rig) -> None:
        rig.client.on_send = raising(LATE)
        rig.tick()
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "the operator", NOW)
        rig.client.on_send = lambda raw: None
        rig.source.state = MUCH_MORE
        for _ in range(2):
            rig.next_block()
            assert code(rig.tick()) == "HALTED"
        assert len(rig.client.sent) == 1, "the kill switch must not push out what may never have left"
        rig.mines(rig.client.sent[0])
        rig.tick()
        assert rig.outcomes() == ["FILLED"]

    def test_a_resumed_account_sends_its_open_order_again(self, rig: Rig) -> None:
        rig.client.on_send = raising(LATE)
        rig.tick()
        for mode in (Mode.HALTED, Mode.ACTIVE):
            rig.ledger.set_mode(ACCOUNT_ID, mode, "the operator", NOW)
            rig.next_block()
            rig.tick()
        assert len(rig.client.sent) == 2
        assert len(set(rig.client.sent)) == 1

    def test_reduce_only_refuses_to_open_a_position(self, rig: Rig) -> None:
        rig.ledger.set_mode(ACCOUNT_ID, Mode.REDUCING, "careful", NOW)
        assert code(rig.tick()) == "REDUCING"
        assert rig.client.sent == []


class TestNodes:
    def test_a_node_whose_nonce_lags_is_transient_and_nothing_is_signed(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        rig.tick()
        rig.source.state = source(option("-20"))
        rig.client.mined_nonce = rig.client.pending_nonce = 0
        rig.next_block()
        with pytest.raises(TransientError, match="the node lags"):
            rig.tick()
        assert len(rig.signer.signed) == 1
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
        rig.client.mined_nonce = rig.client.pending_nonce = 1
        rig.next_block()
        assert state(rig.tick()) is OutcomeState.FILLED
        assert rig.outcomes() == ["FILLED", "FILLED"]

    def test_a_head_older_than_our_last_order_is_never_traded_on(self, rig: Rig) -> None:
        """A lagging node shows the position without the order that another node has confirmed: it would be repeated."""
        rig.client.on_send = rig.mines
        rig.tick()
        before = rig.curie.state
        for restarted in (False, True):
            if restarted:
                rig.restart()
            rig.client.block = block(99, NOW)
            rig.curie.state = venue_state("0")
            with pytest.raises(TransientError, match="block 99 is older than 100, which has our last order"):
                rig.tick()
        assert len(rig.client.sent) == 1
        assert rig.outcomes() == ["FILLED"]
        rig.curie.state = before
        rig.client.block = block(100)
        assert code(rig.tick()) == "INSIDE_BAND"

    def test_a_stale_block_is_not_traded_on(self, rig: Rig) -> None:
        rig.clock.time = NOW + 121
        assert code(rig.tick()) == "STALE_BLOCK"
        assert rig.client.sent == []

    def test_an_input_that_is_missing_stops_the_tick_before_anything_is_intended(self, rig: Rig) -> None:
        rig.source.state = source(option(), option(strike="2100", vol=None))
        with pytest.raises(DataError, match="no vol for 2100-C"):
            rig.tick()
        assert rig.outcomes() == []
        assert rig.ledger.last_tick("eth") is None


class TestFirstTick:
    @pytest.mark.parametrize("open_order", [False, True], ids=["fresh", "with an order to resend"])
    @pytest.mark.parametrize(
        ("fault", "why"),
        [
            ("chain", "chains.localnet.chain_id is 31337, the node's is 1"),
            (
                "multicall",
                f"chains.localnet.multicall: there is no contract at {MULTICALL.address} on localnet",
            ),
            ("venue", f"curie-eth.quoter: there is no contract at {CURIE.quoter} on localnet"),
            ("source", f"lyra-eth.viewer: there is no contract at {OPTIONS_VAULT} on localnet"),
            ("instance", "chains.localnet.instance: the node runs another local chain than first"),
        ],
    )
    def test_a_wrong_chain_or_address_is_named_before_anything_is_sent(
        self, rig: Rig, fault: str, why: str, open_order: bool
    ) -> None:
        if open_order:
            rig.client.on_send = raising(LATE)
            rig.tick()
        sent = len(rig.client.sent)
        rig.instance, rig.client.instance_id = "first", "first"
        rig.restart()
        match fault:
            case "chain":
                rig.client.chain_id = 1
            case "instance":
                rig.client.instance_id = "second"
            case _:
                empty = {"multicall": MULTICALL.address, "venue": CURIE.quoter, "source": OPTIONS_VAULT}
                rig.client.without_code = {empty[fault]}
        rig.next_block()
        rig.client.mined_nonce = 5  # of the other chain: it must not halt this account
        for look in (rig.tick, lambda: rig.desk.assess(rig.book)):
            with pytest.raises(ConfigError) as error:
                look()
            assert str(error.value) == why
        assert len(rig.client.sent) == sent
        assert rig.outcomes() == ["PENDING"] * open_order
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE

    def test_the_addresses_of_every_book_are_checked(self, rig: Rig) -> None:
        """A second book on a chain that the first one has verified has contracts of its own."""

        class Elsewhere(ScriptedSource):
            def contracts(self) -> dict[str, str]:
                return {"viewer": address(88)}

        second: Book = replace(rig.book, name="second", sources=(Elsewhere(source()),))
        desk = Desk(rig.chains, (rig.book, second), rig.ledger, rig.clock)
        rig.client.without_code = {address(88)}
        desk.assess(rig.book)
        with pytest.raises(ConfigError, match=f"lyra-eth.viewer: there is no contract at {address(88)}"):
            desk.assess(second)


class TestPaper:
    def test_paper_never_signs_or_sends_and_its_fills_accumulate(self, paper: Rig) -> None:
        paper.client.preflight_answer = encode(
            ["uint256"] * 2, [int(HEDGE * 10**18), int(HEDGE * 2003 * 10**18)]
        )
        tick = paper.tick()
        assert (code(tick), state(tick)) == ("REBALANCE", OutcomeState.PAPER)
        assert tick.outcome is not None
        assert tick.outcome.fill is not None
        assert tick.outcome.fill.size == HEDGE
        for _ in range(3):
            paper.next_block()
            again = paper.tick()
            assert code(again) == "INSIDE_BAND"
            assert again.record.snapshot.venue.position.size == HEDGE
        paper.restart()
        paper.next_block()
        assert code(paper.tick()) == "INSIDE_BAND"
        assert (paper.signer.signed, paper.client.sent, paper.attempts()) == ([], [], [])
        assert paper.outcomes() == ["PAPER"]
        assert paper.ledger.fills("eth") == [(tick.outcome.fill, True)]

    def test_paper_orders_are_preflighted_and_refused_like_real_ones(self, paper: Rig) -> None:
        paper.client.preflight_answer = revert("CH_NEFCI")
        tick = paper.tick()
        assert state(tick) is OutcomeState.DEAD
        assert paper.ledger.fills("eth") == []
        assert len(paper.client.preflights) == 1

    def test_paper_never_sends_an_order_that_a_live_run_left_open(self, rig: Rig) -> None:
        rig.client.on_send = raising(LATE)
        rig.tick()
        rig.paper = True
        rig.restart()
        rig.source.state = MUCH_MORE
        rig.client.on_send = lambda raw: None
        rig.next_block()
        assert code(rig.tick()) == "ORDER_OPEN"
        assert len(rig.client.sent) == 1
        rig.mines(rig.client.sent[0])
        rig.next_block()
        rig.tick()
        assert rig.outcomes()[0] == "FILLED", "it is watched, and recorded when it is mined"
        assert len(rig.client.sent) == 1

    def test_a_live_run_does_not_count_what_was_traded_on_paper(self, paper: Rig) -> None:
        paper.client.preflight_answer = encode(
            ["uint256"] * 2, [int(HEDGE * 10**18), int(HEDGE * 2003 * 10**18)]
        )
        paper.tick()
        paper.paper = False
        paper.restart()
        paper.next_block()
        assert paper.desk.assess(paper.book).snapshot.venue.position.size == 0


class TestAssessing:
    def test_looking_changes_nothing(self, rig: Rig) -> None:
        record = rig.desk.assess(rig.book)
        assert isinstance(record.decision, Rebalance)
        assert record.decision.size == HEDGE
        with closing(sqlite3.connect(rig.path)) as db:
            tables = ("ticks", "intents", "attempts", "nonces", "fills", "modes")
            counts = [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]  # noqa: S608
        assert counts == [0] * 6
        assert (rig.client.preflights, rig.signer.signed, rig.client.sent) == ([], [], [])

    def test_what_a_tick_recorded_replays_to_the_same_decision(self, rig: Rig) -> None:
        rig.client.on_send = rig.mines
        done = rig.tick()
        assert rig.ledger.history.newest("eth") == done.id
        assert rig.ledger.history.tick(done.id).decided == done.record
        assert decided(done.record.snapshot) == done.record


class TestIntents:
    def made(self, rig: Rig, size: str, **changes: Any) -> Any:
        seen = snapshot(**changes)
        return make_intent(rig.book, seen, Rebalance(Decimal(size), "because"))

    def test_the_key_follows_from_the_snapshot_alone(self, rig: Rig) -> None:
        first = self.made(rig, "5")
        assert self.made(rig, "5") == first
        assert self.made(rig, "6").key == first.key, "one snapshot, one decision"
        later = self.made(rig, "5", at=NOW + 1, open_order="x", last_trade=LastTrade(NOW, Decimal(1)))
        assert later.key == first.key, "the same state of the chain, looked at again"
        others = [
            self.made(rig, "5", blocks=(block(101),)).key,
            self.made(rig, "5", in_flight=Decimal(1)).key,
            self.made(rig, "5", venue=venue_state("0.001")).key,
        ]
        assert len({first.key, *others}) == 4

    @pytest.mark.parametrize(("size", "bound"), [("5", "2014.02201"), ("-5", "1986.02199")])
    def test_the_bound_is_the_quoted_price_worsened_by_slippage_and_fee(
        self, rig: Rig, size: str, bound: str
    ) -> None:
        assert self.made(rig, size).price_bound == Decimal(bound)

    def test_the_bound_is_rounded_to_our_side(self, rig: Rig) -> None:
        odd = {"venue": venue_state(fee_ratio=Decimal("0.0003333333"))}
        exact = Decimal(2002) * Decimal("1.005") * Decimal("1.0003333333")
        assert exact - Decimal("0.000001") < self.made(rig, "5", **odd).price_bound <= exact
        exact = Decimal(1998) * Decimal("0.995") * Decimal("0.9996666667")
        assert exact <= self.made(rig, "-5", **odd).price_bound < exact + Decimal("0.000001")

    def test_a_size_beyond_what_was_quoted_is_never_intended(self, rig: Rig) -> None:
        with pytest.raises(ValueError, match="beyond the quoted"):
            self.made(rig, "61")


@pytest.mark.parametrize(
    ("outcome", "remaining", "again"),
    [
        (OutcomeState.PENDING, "0", SOON_S),
        (OutcomeState.PENDING, "3", SOON_S),
        (OutcomeState.FILLED, "0", None),
        (OutcomeState.FILLED, "-3", 16),
        (OutcomeState.PARTIAL, "0", 16),
        (OutcomeState.DEAD, "0", None),
        (OutcomeState.DEAD, "3", 16),
        (OutcomeState.PAPER, "3", 16),
    ],
)
def test_a_tick_comes_back_when_there_is_more_to_do(
    outcome: OutcomeState, remaining: str, again: int | None
) -> None:
    decision = Rebalance(Decimal(1), "because", remaining=Decimal(remaining))
    assert next_visit(decision, Outcome(outcome), 16) == again


@settings(max_examples=15)
@given(
    position=st.decimals("-20", "20", places=3),
    size=st.decimals("-15", "15", places=3),
    shares=st.lists(st.sampled_from(["1", "0.5", "0.25", "lost", "reverted"]), min_size=1, max_size=5),
)
def test_no_sequence_of_fills_losses_and_reverts_overshoots(
    tmp_path_factory: pytest.TempPathFactory, position: Decimal, size: Decimal, shares: list[str]
) -> None:
    """Whatever becomes of the orders, the net delta never crosses zero and never grows."""
    rig = Rig(tmp_path_factory.mktemp("ledger") / "vaultkeel.db")
    rig.source.state = source(option(str(size)))
    rig.curie = ScriptedCurie(venue_state(str(position)))
    rig.restart()
    rig.ledger.adopt(ACCOUNT_ID, CURIE.base_token, position, 0, "there before", NOW)
    net = rig.desk.assess(rig.book).exposure.net
    for share in shares:
        match share:
            case "lost":
                rig.client.on_send = raising(LATE)
            case "reverted":
                rig.client.on_send = lambda raw: rig.mines(raw, succeeded=False)
            case _:
                rig.client.on_send = lambda raw, share=share: rig.mines(raw, share)  # type: ignore[misc]
        rig.next_block()
        rig.tick()
        after = float(rig.curie.state.position.size) + rig.desk.assess(rig.book).exposure.unhedged
        assert abs(after) <= abs(net) + 1e-3
        assert after * net >= -1e-6
        net = after
    assert len(rig.signer.signed) == len(set(rig.client.sent))
    rig.ledger.close()
