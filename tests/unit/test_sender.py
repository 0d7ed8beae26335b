"""From a call to signed bytes: nothing leaves before it is committed, and nothing in doubt is called failed."""

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from builders import (
    ACCOUNT_ID,
    CHAIN_ID,
    CURIE,
    NOW,
    Rig,
    address,
    decided,
    fee_rules,
    intent,
    receipt,
    venue_state,
)
from eth_abi.abi import encode

from bot.chain.client import RevertError
from bot.chain.contracts import ERROR_STRING
from bot.chain.sender import LOST_AFTER_S, Mined, Powers, Prepared, Sender
from bot.core.fees import Offer
from bot.core.model import AttemptState, Purpose
from bot.errors import Halt, OrderRejected, OutcomeUnknown, TransientError
from bot.ports import OpenIntent, UnsignedTx

USD = Decimal(2000)
ALL = Powers(resend=True, cancel=True)
WATCH = Powers(resend=False, cancel=False)
HALTED = Powers(resend=False, cancel=True)

DOUBTS = [
    OutcomeUnknown("the node did not confirm a sent order"),
    TransientError("timeout"),
    ConnectionResetError("reset"),
    RuntimeError("a bug"),
    KeyboardInterrupt(),
]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "vaultkeel.db")


def prepared(rig: Rig) -> Prepared:
    return rig.sender.preflight(rig.curie, rig.curie.prepare(intent(), venue_state()))


def submit(rig: Rig, key: str = "intent-1") -> None:
    """An intent of its own with a signed and sent transaction."""
    rig.ledger.intend(intent(key), rig.ledger.record_tick(decided()))
    rig.sender.submit(intent(key), unsigned(rig), NOW)


def unsigned(rig: Rig, ready: Prepared | None = None) -> UnsignedTx:
    return rig.sender.unsigned(ready or prepared(rig), intent(), USD, NOW)


def the_order(rig: Rig) -> OpenIntent:
    (order,) = rig.ledger.open_intents(ACCOUNT_ID)
    return order


def follow(
    rig: Rig, order: OpenIntent | None = None, *, powers: Powers = ALL, now: int = NOW
) -> Mined | None:
    return rig.sender.follow(order or the_order(rig), powers, now, USD)


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


class TestPreflight:
    def test_the_gas_limit_is_the_estimate_with_its_margin(self, rig: Rig) -> None:
        assert prepared(rig).gas == 520_000
        assert prepared(rig).returned == rig.client.preflight_answer

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            (ERROR_STRING + encode(["string"], ["CH_NEFCI"]), "CH_NEFCI (not enough free collateral"),
            (b"", "execution reverted"),
            (ERROR_STRING + b"\xff" * 40, "unreadable error"),
            (b"\xde\xad\xbe\xef", "unknown error 0xdeadbeef"),
        ],
    )
    @pytest.mark.parametrize("where", ["preflight_answer", "gas"])
    def test_a_revert_is_a_refusal_with_the_venues_reason(
        self, rig: Rig, where: str, data: bytes, reason: str
    ) -> None:
        setattr(rig.client, where, RevertError("execution reverted", data))
        with pytest.raises(OrderRejected) as refused:
            prepared(rig)
        assert str(refused.value).startswith(f"curie-eth would refuse the order: {reason}")

    def test_a_node_that_does_not_answer_is_not_a_refusal(self, rig: Rig) -> None:
        rig.client.gas = TransientError("timeout")
        with pytest.raises(TransientError):
            prepared(rig)


class TestUnsigned:
    def test_a_transaction_says_what_was_prepared_with_the_offered_fees(self, rig: Rig) -> None:
        rig.client.mined_nonce = rig.client.pending_nonce = 9
        ready = prepared(rig)
        assert unsigned(rig, ready) == UnsignedTx(CHAIN_ID, 9, ready.call, 520_000, 3 * 10**9, 10**9)

    @pytest.mark.parametrize(
        ("offer", "expected"),
        [
            ((50 * 10**9, 10**9), (50 * 10**9, 10**9)),
            ((51 * 10**9, 10**9), (50 * 10**9, 10**9)),
            ((190 * 10**9, 90 * 10**9), (50 * 10**9, 50 * 10**9)),
        ],
    )
    def test_fees_never_pass_their_cap(
        self, rig: Rig, offer: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        rig.client.fees = Offer(*offer)
        transaction = unsigned(rig)
        assert (transaction.max_fee_wei, transaction.tip_wei) == expected

    def test_what_the_mandate_refuses_is_not_even_proposed(self, rig: Rig) -> None:
        with pytest.raises(OrderRejected, match="mandate: a gas limit"):
            unsigned(rig, replace(prepared(rig), gas=5_000_001))

    @pytest.mark.parametrize(
        ("ours", "mined", "pending", "nonce"),
        [(None, 0, 0, 0), (None, 7, 7, 7), (3, 3, 3, 3), (3, 3, 2, 3)],
        ids=["a new account", "an old account, a new ledger", "all agree", "the pending view lags"],
    )
    def test_the_nonce_is_the_ledgers_where_the_node_agrees(
        self, rig: Rig, ours: int | None, mined: int, pending: int, nonce: int
    ) -> None:
        assert self.nonce(rig, ours, mined, pending) == nonce

    @pytest.mark.parametrize(
        ("ours", "mined", "pending", "why"),
        [
            (3, 4, 4, "nonce 3 of .* was used by a transaction that is not in the ledger"),
            (3, 9, 9, "nonce 8 of .* was used by a transaction that is not in the ledger"),
            (3, 3, 4, "pending transaction that is not in the ledger"),
            (None, 3, 4, "pending transaction that is not in the ledger"),
            (3, 2, 4, "pending transaction that is not in the ledger"),
        ],
    )
    def test_a_nonce_that_somebody_else_uses_is_a_halt(
        self, rig: Rig, ours: int | None, mined: int, pending: int, why: str
    ) -> None:
        with pytest.raises(Halt, match=why):
            self.nonce(rig, ours, mined, pending)

    @pytest.mark.parametrize(("mined", "pending"), [(2, 2), (0, 0), (2, 3)])
    def test_a_node_whose_nonce_is_behind_the_ledgers_is_transient(
        self, rig: Rig, mined: int, pending: int
    ) -> None:
        with pytest.raises(
            TransientError, match=f"nonce for .* is {mined}, the ledger's is 3: the node lags"
        ):
            self.nonce(rig, 3, mined, pending)

    def nonce(self, rig: Rig, ours: int | None, mined: int, pending: int) -> int:
        if ours is not None:
            submit_at(rig, ours - 1)
        rig.client.mined_nonce, rig.client.pending_nonce = mined, pending
        return unsigned(rig).nonce


def submit_at(rig: Rig, nonce: int) -> None:
    """An order of ours that was mined with `nonce`."""
    rig.client.mined_nonce = rig.client.pending_nonce = nonce
    submit(rig)
    tx_hash = the_order(rig).attempts[0].hash
    rig.ledger.mined(receipt(tx_hash))


class TestSubmitting:
    def test_the_bytes_are_committed_before_they_are_sent(self, rig: Rig) -> None:
        seen = []
        rig.client.on_send = lambda raw: seen.append(rig.attempts())
        submit(rig)
        (sent,) = rig.client.sent
        (transaction,) = rig.signer.signed
        expected = (the_order(rig).attempts[0].hash, transaction.nonce, sent)
        assert seen == [[(*expected, "SIGNED")]]
        assert rig.attempts() == [(*expected, "SENT")]

    @pytest.mark.parametrize("error", DOUBTS, ids=lambda e: type(e).__name__)
    def test_whatever_a_send_raises_the_bytes_are_in_the_ledger_and_the_order_open(
        self, rig: Rig, error: BaseException
    ) -> None:
        rig.client.on_send = raising(error)
        with pytest.raises(type(error)):
            submit(rig)
        (attempt,) = rig.attempts()
        assert attempt[2:] == (rig.client.sent[0], "SIGNED")
        assert rig.outcomes() == ["PENDING"]

    def test_what_the_mandate_refuses_is_neither_signed_nor_committed_nor_sent(self, rig: Rig) -> None:
        transaction = unsigned(rig)
        changed = (
            replace(transaction, chain_id=1),
            replace(transaction, gas=10**9),
            replace(transaction, max_fee_wei=10**18),
        )
        for forbidden in changed:
            with pytest.raises(OrderRejected, match="mandate"):
                rig.sender.submit(intent(), forbidden, NOW)
        assert (rig.signer.signed, rig.attempts(), rig.client.sent) == ([], [], [])

    @pytest.mark.parametrize(
        ("held", "enough"), [(520_000 * 3 * 10**9 + 7, True), (520_000 * 3 * 10**9 + 6, False)]
    )
    def test_the_account_must_hold_gas_and_value(self, rig: Rig, held: int, enough: bool) -> None:
        paying = tuple(replace(rule, max_value_wei=7) for rule in rig.sender._mandate.rules)
        rig.sender._mandate = replace(rig.sender._mandate, rules=paying)
        rig.client.native_wei = held
        rig.ledger.intend(intent(), rig.ledger.record_tick(decided()))
        plain = unsigned(rig)
        transaction = replace(plain, call=replace(plain.call, value=7))
        if enough:
            rig.sender.submit(intent(), transaction, NOW)
            return
        with pytest.raises(OrderRejected, match=r"an order may cost 0\.00156\d* of it"):
            rig.sender.submit(intent(), transaction, NOW)
        assert rig.signer.signed == []

    def test_what_cant_be_committed_is_not_sent(self, rig: Rig) -> None:
        with pytest.raises(TransientError):
            rig.sender.submit(intent("an intent that nobody knows"), unsigned(rig), NOW)
        assert rig.client.sent == []


class TestFollowing:
    def test_an_order_that_is_not_on_chain_is_sent_again_byte_for_byte(self, rig: Rig) -> None:
        rig.client.on_send = raising(OutcomeUnknown("cut off"))
        with pytest.raises(OutcomeUnknown):
            submit(rig)
        assert follow(rig) is None
        assert the_order(rig).attempts[0].state == AttemptState.SIGNED, "this send was in doubt, too"
        rig.client.on_send = lambda raw: None
        assert follow(rig) is None
        assert the_order(rig).attempts[0].state == AttemptState.SENT
        assert len(rig.client.sent) == 3
        assert len(set(rig.client.sent)) == 1
        assert len(rig.signer.signed) == 1

    def test_an_order_may_be_watched_without_being_sent(self, rig: Rig) -> None:
        submit(rig)
        assert follow(rig, powers=WATCH) is None
        assert len(rig.client.sent) == 1

    @pytest.mark.parametrize(("depth", "confirmed"), [(1, False), (2, False), (3, True), (9, True)])
    def test_a_receipt_counts_from_the_confirmation_depth_on(
        self, rig: Rig, depth: int, confirmed: bool
    ) -> None:
        rig.confirmations = 3
        rig.restart()
        submit(rig)
        mined = receipt(the_order(rig).attempts[0].hash)
        rig.client.mine(mined, depth)
        rig.client.buried = 0
        assert follow(rig) == (Mined(mined, Purpose.ORDER) if confirmed else None)
        assert rig.attempts()[0][3] == ("MINED_OK" if confirmed else "SENT")
        assert len(rig.client.sent) == 1, "what is on chain is not sent again"

    def test_a_reverted_receipt_is_recorded_as_reverted(self, rig: Rig) -> None:
        submit(rig)
        rig.client.mine(receipt(the_order(rig).attempts[0].hash, succeeded=False))
        assert follow(rig) is not None
        assert rig.attempts()[0][3] == "REVERTED"

    def test_a_nonce_that_a_foreign_transaction_used_is_a_halt(self, rig: Rig) -> None:
        submit(rig)
        rig.client.mined_nonce = 1
        assert follow(rig) is None, "a node that lags may serve the receipt soon"
        assert follow(rig, now=NOW + LOST_AFTER_S - 1) is None
        with pytest.raises(Halt, match=r"nonce 0 of .* order intent-1 can't be told apart from lost"):
            follow(rig, now=NOW + LOST_AFTER_S)
        assert len(rig.client.sent) == 1
        assert rig.outcomes() == ["PENDING"]

    def test_a_nonce_that_is_used_at_the_head_alone_proves_nothing(self, rig: Rig) -> None:
        """A node may count a block's nonces before it serves its receipts."""
        submit(rig)
        rig.client.mined_nonce, rig.client.buried = 1, 0
        assert follow(rig) is None

    def test_an_older_attempt_may_win(self, rig: Rig) -> None:
        submit(rig)
        row = the_order(rig).attempts[0]
        bumped = replace(row, hash="0x" + "cd" * 32, raw=b"\x02bumped", state="SENT")
        order = OpenIntent(the_order(rig).intent, (row, bumped))
        rig.client.mine(receipt(row.hash))
        found = follow(rig, order)
        assert found is not None
        assert found.receipt.tx_hash == row.hash

    def test_an_intent_that_was_never_signed_has_nothing_to_follow(self, rig: Rig) -> None:
        assert follow(rig, OpenIntent(intent(), ())) is None
        assert rig.client.sent == []


class TestWaiting:
    def impatient(self, rig: Rig, patience_s: float) -> Sender:
        return Sender(
            rig.client, rig.ledger, rig.signer, rig.sender._mandate, fee_rules(patience_s=patience_s)
        )

    def test_it_looks_once_without_patience(self, rig: Rig) -> None:
        submit(rig)
        assert self.impatient(rig, 0.0).wait(the_order(rig)) is None
        mined = receipt(the_order(rig).attempts[0].hash)
        rig.client.mine(mined)
        assert self.impatient(rig, 0.0).wait(the_order(rig)) == Mined(mined, Purpose.ORDER)

    def test_it_returns_as_soon_as_the_receipt_is_there_and_sends_nothing(self, rig: Rig) -> None:
        submit(rig)
        order = the_order(rig)
        mined = receipt(order.attempts[0].hash)
        looks = iter([None, None, (mined, 1)])
        rig.client.receipt = lambda tx_hash: next(looks)  # type: ignore[method-assign]
        begun = time.monotonic()
        assert self.impatient(rig, 60.0).wait(order) == Mined(mined, Purpose.ORDER)
        assert time.monotonic() - begun < 5
        assert len(rig.client.sent) == 1

    def test_it_gives_up_when_its_patience_ends(self, rig: Rig) -> None:
        submit(rig)
        begun = time.monotonic()
        assert self.impatient(rig, 0.1).wait(the_order(rig)) is None
        assert 0.1 <= time.monotonic() - begun < 5
        assert rig.outcomes() == ["PENDING"]


def test_the_mandates_market_is_the_one_that_is_signed_for(rig: Rig) -> None:
    foreign = replace(prepared(rig).call, to=address(66))
    with pytest.raises(OrderRejected, match=f"{address(66)} is not a contract that may be called"):
        unsigned(rig, Prepared(foreign, b"", 100_000))
    assert prepared(rig).call.to == CURIE.clearing_house


def test_the_same_nonce_is_never_signed_for_two_orders(rig: Rig) -> None:
    """Two runs on one ledger that saw the same nonce: the database lets one of them through."""
    submit(rig)
    rig.ledger.intend(intent("other", market=address(77)), rig.ledger.record_tick(decided()))
    late: UnsignedTx = replace(rig.signer.signed[0], tip_wei=1)
    with pytest.raises(TransientError, match="is another order's"):
        rig.sender.submit(intent("other"), late, NOW)
    assert len(rig.client.sent) == 1
