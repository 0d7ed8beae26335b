"""Orders that wait: raised under the cap, cancelled at their nonce once expired, taken back after a reorg."""

import itertools
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import (
    ACCOUNT,
    ACCOUNT_ID,
    CHAIN_ID,
    NOW,
    Rig,
    decided,
    intent,
    option,
    receipt,
    source,
    venue_state,
)
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from bot.chain.mandate import Occasion
from bot.chain.sender import Mined, Powers
from bot.core.fees import FeeCap, Offer
from bot.core.model import AttemptState, Mode, Outcome, OutcomeState, Purpose
from bot.errors import OutcomeUnknown, TransientError
from bot.ports import AttemptRow, OpenIntent

USD = Decimal(2000)
ALL = Powers(resend=True, cancel=True)
HALTED = Powers(resend=False, cancel=True)
WATCHED = Powers(resend=False, cancel=False)
LATER = NOW + 30
EXPIRED = NOW + 121


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path / "vaultkeel.db")
    rig.ledger.intend(intent(), rig.ledger.record_tick(decided()))
    prepared = rig.sender.preflight(rig.curie, rig.curie.prepare(intent(), venue_state()))
    rig.sender.submit(intent(), rig.sender.unsigned(prepared, intent(), USD, NOW), NOW)
    return rig


def the_order(rig: Rig) -> OpenIntent:
    (order,) = rig.ledger.open_intents(ACCOUNT_ID)
    return order


def follow(rig: Rig, now: int, powers: Powers = ALL) -> Mined | None:
    return rig.sender.follow(the_order(rig), powers, now, USD)


def decoded(row: AttemptRow) -> dict[str, object]:
    return dict(TypedTransaction.from_bytes(HexBytes(row.raw)).as_dict())


class TestBumps:
    def test_an_order_that_waits_is_offered_more_at_its_own_nonce_for_the_same_call(self, rig: Rig) -> None:
        assert follow(rig, LATER) is None
        first, second = the_order(rig).attempts
        assert second.purpose == Purpose.ORDER
        assert rig.client.sent[-1] == second.raw
        changed = {"maxFeePerGas", "maxPriorityFeePerGas", "v", "r", "s"}
        before, after = decoded(first), decoded(second)
        assert {k: v for k, v in before.items() if k not in changed} == {
            k: v for k, v in after.items() if k not in changed
        }
        assert 10 * second.max_fee_wei >= 11 * first.max_fee_wei
        assert 10 * second.tip_wei >= 11 * first.tip_wei

    def test_a_bump_carries_the_same_value(self, tmp_path: Path) -> None:
        rig = Rig(tmp_path / "paying.db")
        paying = tuple(replace(rule, max_value_wei=7) for rule in rig.sender._mandate.rules)
        rig.sender._mandate = replace(rig.sender._mandate, rules=paying)
        rig.ledger.intend(intent(), rig.ledger.record_tick(decided()))
        call = replace(rig.curie.prepare(intent(), venue_state()), value=7)
        transaction = rig.sender.unsigned(rig.sender.preflight(rig.curie, call), intent(), USD, NOW)
        rig.sender.submit(intent(), transaction, NOW)
        follow(rig, LATER)
        assert [decoded(row)["value"] for row in the_order(rig).attempts] == [7, 7]

    def test_a_bump_that_the_mandate_refuses_is_not_signed_and_the_intent_says_so(self, rig: Rig) -> None:
        rig.sender._mandate = replace(rig.sender._mandate, rules=())
        assert follow(rig, LATER) is None
        assert len(the_order(rig).attempts) == 1
        (row,) = rig.ledger.orders("eth")
        assert row["outcome"] == "PENDING"
        assert row["reason"].startswith("it can't be pushed: mandate: ")
        rig.client.mine(receipt(the_order(rig).attempts[0].hash))
        rig.ledger.mined(receipt(the_order(rig).attempts[0].hash))
        rig.ledger.resolve("intent-1", Outcome(OutcomeState.FILLED), Decimal(0), LATER)
        assert rig.ledger.orders("eth")[0]["reason"] == ""

    def test_an_outcome_is_not_noted_over(self, rig: Rig) -> None:
        rig.ledger.mined(receipt(the_order(rig).attempts[0].hash))
        rig.ledger.resolve("intent-1", Outcome(OutcomeState.DEAD, "it reverted"), Decimal(0), LATER)
        rig.ledger.note("intent-1", "it can't be pushed")
        assert rig.ledger.orders("eth")[0]["reason"] == "it reverted"

    def test_a_bump_is_held_against_the_price_of_its_decision_at_the_time_of_its_tick(self, rig: Rig) -> None:
        seen: list[Occasion] = []
        mandate = rig.sender._mandate
        told = tuple(replace(rule, check=lambda _, occasion: seen.append(occasion)) for rule in mandate.rules)
        rig.sender._mandate = replace(mandate, rules=told)
        follow(rig, LATER)
        assert seen == [Occasion(0, Decimal(2000), LATER, Decimal(5))]

    def test_a_bump_is_committed_before_it_is_sent(self, rig: Rig) -> None:
        seen = []
        rig.client.on_send = lambda raw: seen.append([a[2] for a in rig.attempts()])
        follow(rig, LATER)
        assert seen[0][-1] == rig.client.sent[-1]

    def test_before_its_time_the_identical_bytes_are_sent_again(self, rig: Rig) -> None:
        assert follow(rig, LATER - 1) is None
        assert len(the_order(rig).attempts) == 1
        assert rig.client.sent == [rig.client.sent[0]] * 2

    def test_bumps_follow_each_other_up_to_the_cap_and_then_the_last_bytes_are_repeated(
        self, rig: Rig
    ) -> None:
        now = NOW
        for _ in range(60):
            now += 30
            rig.sender.follow(replace_deadline(the_order(rig)), ALL, now, USD)
        attempts = the_order(rig).attempts
        assert 10 < len(attempts) < 60
        assert max(a.max_fee_wei for a in attempts) <= 50 * 10**9
        assert all(10 * b.max_fee_wei >= 11 * a.max_fee_wei for a, b in itertools.pairwise(attempts))
        assert rig.client.sent[-2:] == [attempts[-1].raw] * 2

    def test_the_cap_in_usd_holds_too(self, rig: Rig) -> None:
        rig.sender._fees = replace(rig.sender._fees, cap=FeeCap(50 * 10**9, Decimal("0.01")))
        follow(rig, LATER)
        assert len(the_order(rig).attempts) == 1

    def test_a_halted_account_neither_bumps_nor_repeats(self, rig: Rig) -> None:
        follow(rig, LATER, HALTED)
        assert len(rig.client.sent) == 1

    def test_an_older_attempt_that_is_mined_decides(self, rig: Rig) -> None:
        follow(rig, LATER)
        first, second = the_order(rig).attempts
        rig.client.mine(receipt(first.hash))
        mined = follow(rig, LATER + 1)
        assert mined is not None
        assert mined.receipt.tx_hash == first.hash
        states = {a[0]: a[3] for a in rig.attempts()}
        assert states == {first.hash: "MINED_OK", second.hash: "REPLACED"}

    def test_a_bump_in_doubt_leaves_the_order_open(self, rig: Rig) -> None:
        def late(_raw: bytes) -> None:
            raise OutcomeUnknown("cut off")

        rig.client.on_send = late
        assert follow(rig, LATER) is None
        assert [a.state for a in the_order(rig).attempts] == [AttemptState.SENT, AttemptState.SIGNED]


class TestCancels:
    def test_an_expired_order_is_cancelled_by_nothing_to_oneself_at_its_nonce(self, rig: Rig) -> None:
        follow(rig, EXPIRED)
        first, cancel = the_order(rig).attempts
        assert cancel.purpose == Purpose.CANCEL
        sent = decoded(cancel)
        assert (sent["nonce"], sent["value"], bytes(HexBytes(sent["data"]))) == (first.nonce, 0, b"")  # type: ignore[arg-type]
        assert HexBytes(sent["to"]) == HexBytes(ACCOUNT)  # type: ignore[arg-type]
        assert sent["chainId"] == CHAIN_ID
        assert Account.recover_transaction(cancel.raw) == ACCOUNT
        assert 10 * cancel.max_fee_wei >= 11 * first.max_fee_wei

    def test_a_mined_cancel_makes_the_order_dead(self, rig: Rig) -> None:
        rig.clock.time = EXPIRED
        rig.tick()
        rig.client.mine(receipt(the_order(rig).attempts[-1].hash))
        rig.client.block = replace(rig.client.block, timestamp=EXPIRED)
        rig.tick()
        assert rig.outcomes()[0] == OutcomeState.DEAD

    def test_the_order_may_still_win_against_its_cancel(self, rig: Rig) -> None:
        follow(rig, EXPIRED)
        rig.client.mine(receipt(the_order(rig).attempts[0].hash))
        mined = follow(rig, EXPIRED + 1)
        assert mined is not None
        assert mined.purpose is Purpose.ORDER

    def test_a_cancel_that_waits_is_offered_more_and_stays_a_cancel(self, rig: Rig) -> None:
        follow(rig, EXPIRED)
        follow(rig, EXPIRED + 30)
        assert [a.purpose for a in the_order(rig).attempts] == ["order", "cancel", "cancel"]

    @pytest.mark.parametrize(("powers", "cancelled"), [(HALTED, True), (WATCHED, False)])
    def test_a_halted_account_cancels_and_a_watched_one_doesnt(
        self, rig: Rig, powers: Powers, cancelled: bool
    ) -> None:
        follow(rig, EXPIRED, powers)
        assert (len(the_order(rig).attempts) == 2) is cancelled

    def test_at_the_cap_the_order_itself_is_repeated(self, rig: Rig) -> None:
        rig.sender._fees = replace(rig.sender._fees, cap=FeeCap(3 * 10**9, Decimal(1000)))
        follow(rig, EXPIRED)
        assert len(the_order(rig).attempts) == 1
        assert len(rig.client.sent) == 2


class TestReorgs:
    def mined(self, rig: Rig) -> str:
        rig.client.on_send = rig.mines
        raw = rig.client.sent[0]
        rig.mines(raw)
        rig.tick()
        assert rig.outcomes() == ["FILLED"]
        return str(rig.attempts()[0][0])

    def test_an_outcome_whose_block_is_gone_is_taken_back_and_followed_up(self, rig: Rig) -> None:
        tx_hash = self.mined(rig)
        position = rig.curie.state.position.size
        del rig.client.receipts[tx_hash]
        rig.client.mined_nonce = rig.client.pending_nonce = 0
        rig.curie.traded(-position)
        rig.client.on_send = lambda raw: None
        rig.next_block()
        rig.tick()
        assert rig.outcomes() == ["UNKNOWN"]
        assert rig.ledger.fills("eth") == []
        assert rig.client.sent[-1] == rig.client.sent[0], "the same bytes, not a new order"
        rig.mines(rig.client.sent[0])
        rig.next_block()
        rig.tick()
        assert rig.outcomes()[0] == "FILLED"
        assert len(rig.ledger.fills("eth")) == 1

    def test_an_outcome_in_another_block_is_read_anew(self, rig: Rig) -> None:
        tx_hash = self.mined(rig)
        found, depth = rig.client.receipts[tx_hash]
        moved = replace(found, block_number=101, block_hash="0x" + "ee" * 32)
        rig.client.receipts[tx_hash] = (moved, depth)
        rig.client.block = replace(rig.client.block, number=102)
        rig.tick()
        assert rig.outcomes()[0] == "FILLED"
        assert rig.ledger.last_mined_block(ACCOUNT_ID) == 101

    def test_a_block_that_is_deep_enough_is_final_and_not_asked_for_again(self, rig: Rig) -> None:
        tx_hash = self.mined(rig)
        found, _ = rig.client.receipts[tx_hash]
        rig.client.receipts[tx_hash] = (found, 10)
        rig.next_block()
        rig.tick()
        assert rig.attempts()[0][3] == "FINAL"
        assert rig.ledger.unfinal(ACCOUNT_ID) == ()


class TestSeveralOpenOrders:
    """After a reorg that undid two orders of a market: the later one was meant for a position that may be gone."""

    @pytest.fixture
    def two(self, rig: Rig) -> Rig:
        rig.client.on_send = rig.mines
        rig.mines(rig.client.sent[0])
        rig.tick()
        rig.source.state = source(option("-30"))
        rig.next_block()
        rig.tick()
        assert rig.outcomes() == ["FILLED", "FILLED"]
        rig.client.receipts.clear()
        rig.client.mined_nonce = rig.client.pending_nonce = 0
        rig.curie.traded(-rig.curie.state.position.size)
        rig.client.on_send = lambda raw: None
        rig.next_block()
        return rig

    def test_the_oldest_is_sent_again_and_the_later_one_cancelled(self, two: Rig) -> None:
        before = len(two.client.sent)
        two.tick()
        assert two.outcomes() == ["UNKNOWN", "UNKNOWN"]
        first, second = two.ledger.open_intents(ACCOUNT_ID)
        assert [a.purpose for a in first.attempts] == ["order"]
        assert [a.purpose for a in second.attempts] == ["order", "cancel"]
        assert two.client.sent[before:] == [second.attempts[1].raw, first.attempts[0].raw]

    def test_the_later_one_is_not_sent_again_where_its_cancel_finds_no_room(self, two: Rig) -> None:
        two.sender._fees = replace(two.sender._fees, cap=FeeCap(3 * 10**9, Decimal(1000)))
        before = len(two.client.sent)
        two.tick()
        assert two.client.sent[before:] == [two.client.sent[0]]


def replace_deadline(order: OpenIntent) -> OpenIntent:
    return OpenIntent(replace(order.intent, deadline=NOW + 10**6), order.attempts)


def test_an_offer_below_the_market_is_raised_to_it(rig: Rig) -> None:
    rig.client.fees = Offer(20 * 10**9, 2 * 10**9)
    follow(rig, LATER)
    assert the_order(rig).attempts[-1].max_fee_wei == 20 * 10**9


def test_a_mode_that_reduces_still_follows_up(rig: Rig) -> None:
    rig.ledger.set_mode(ACCOUNT_ID, Mode.REDUCING, "why", NOW)
    rig.tick()
    assert len(rig.client.sent) == 2


def test_an_attempt_never_takes_another_nonce_than_its_intents(rig: Rig) -> None:
    row = replace(the_order(rig).attempts[0], hash="0x" + "ab" * 32, nonce=7)
    with pytest.raises(TransientError, match="another nonce"):
        rig.ledger.attempt(row)
