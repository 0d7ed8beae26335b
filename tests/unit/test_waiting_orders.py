"""Orders that an executor fills or cancels later: what the desk counts, what it doesn't send, what it does after."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from builders import ACCOUNT, ACCOUNT_ID, NOW, Rig, ScriptedCurie, address, receipt, venue_state
from eth_utils.crypto import keccak

from bot.chain.contracts import contract
from bot.chain.mandate import Occasion, Rule
from bot.core.model import (
    Fill,
    Hold,
    Intent,
    IntentKind,
    Mode,
    Outcome,
    OutcomeState,
    PendingOrder,
    Refusals,
    Settled,
    VenueState,
)
from bot.core.risk import FIRST_WAIT_S, LONGEST_WAIT_S, RETRIES_AT_ONCE, waits
from bot.desk import CANCEL_AGAIN_S, SOON_S, Tick
from bot.errors import DataError, Halt
from bot.ports import Reader, Receipt, TxCall
from bot.venues.bounds import OrderBounds, TransferBounds

HEDGE = Decimal("5.255")
CANCELS = contract("erc20", address(77))
EXECUTOR = "0x" + "ee" * 32
EXECUTED_IN = "0x" + "bb" * 32
WAITS = Outcome(OutcomeState.PENDING, "it waits for its keeper", order_id="0xkey")
EXPIRED = replace(WAITS, reason="no keeper came", cancellable=True)


class KeptVenue(ScriptedCurie):
    """A venue whose orders wait for an executor: `fates` says what it tells of each. A cancel is a call of its own."""

    def __init__(self, state: VenueState) -> None:
        super().__init__(state)
        self.fates: dict[str, Outcome] = {}

    def outcome(self, intent: Intent, receipt: Receipt, before: VenueState) -> Reader[Outcome]:
        if intent.kind is IntentKind.CANCEL:
            return Outcome(OutcomeState.FILLED if receipt.succeeded else OutcomeState.DEAD)
        yield []
        return self.fates.get(intent.key, WAITS)

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        if intent.kind is IntentKind.CANCEL:
            return TxCall(CANCELS.address, CANCELS.abi.encode("approve", ACCOUNT, 0))
        return super().prepare(intent, state)

    def rules(self, orders: OrderBounds, transfers: TransferBounds | None = None) -> tuple[Rule, ...]:
        def allow(_arguments: Mapping[str, Any], _occasion: Occasion) -> None:
            """A test's own contract."""

        return (*super().rules(orders, transfers), Rule(CANCELS, "approve", allow))


class KeptRig(Rig):
    """A rig on such a venue. What is sent is mined at once, and nothing more happens to it."""

    curie: KeptVenue

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.curie = KeptVenue(venue_state())
        self.restart()
        self.client.on_send = self.takes

    def takes(self, raw: bytes, *, succeeded: bool = True) -> None:
        self.client.mine(
            receipt(
                "0x" + keccak(raw).hex(), succeeded=succeeded, block_number=self.client.block.number, logs=()
            )
        )

    def tells(self, outcome: Outcome) -> None:
        """What the venue says of the order that is open from now on."""
        (key,) = [
            o.intent.key for o in self.ledger.open_intents(ACCOUNT_ID) if o.intent.kind is IntentKind.TRADE
        ]
        self.curie.fates[key] = outcome

    def executes(self, size: Decimal = HEDGE, state: OutcomeState = OutcomeState.FILLED) -> None:
        """The executor comes: the position is what the order made it."""
        fill = Fill(size, abs(size) * 2000, Decimal(10), Decimal(1), Decimal(0))
        number = self.client.block.number
        self.curie.traded(size)
        settled = Settled(EXECUTOR, number, EXECUTED_IN)
        self.tells(Outcome(state, fill=fill, settled=settled, keeper_wei=2 * 10**15))
        executed = replace(receipt(EXECUTOR, block_number=number, logs=()), block_hash=EXECUTED_IN)
        self.client.receipts[EXECUTOR] = (executed, 1)

    def cancels(self, reason: str = "the price moved past its bound") -> None:
        """The executor cancels the order in a transaction that succeeds."""
        number = self.client.block.number
        settled = Settled(EXECUTOR, number, EXECUTED_IN)
        self.tells(Outcome(OutcomeState.DEAD, reason, settled=settled, keeper_wei=10**15))
        executed = replace(receipt(EXECUTOR, block_number=number, logs=()), block_hash=EXECUTED_IN)
        self.client.receipts[EXECUTOR] = (executed, 1)

    def later(self, seconds: int = 1) -> Tick:
        self.next_block()
        self.clock.time += seconds - 1
        block = self.client.block
        self.client.block = replace(block, timestamp=block.timestamp + seconds - 1)
        return self.tick()

    def kinds(self) -> list[tuple[str, str]]:
        return [(order["kind"], order["outcome"]) for order in self.ledger.orders("eth")]


@pytest.fixture
def rig(tmp_path: Path) -> KeptRig:
    return KeptRig(tmp_path / "vaultkeel.db")


def code(tick: Tick) -> str:
    decision = tick.record.decision
    return decision.code if isinstance(decision, Hold) else "REBALANCE"


def test_a_mined_order_is_not_a_filled_one(rig: KeptRig) -> None:
    tick = rig.tick()
    assert tick.outcome is not None
    assert (tick.outcome.state, tick.again_in_s) == (OutcomeState.PENDING, SOON_S)
    assert rig.outcomes() == ["PENDING"]
    assert rig.ledger.fills("eth") == []


@pytest.mark.parametrize("restarts", [False, True])
def test_while_it_waits_it_counts_as_in_flight_and_nothing_more_is_sent(rig: KeptRig, restarts: bool) -> None:
    rig.tick()
    for _ in range(5):
        if restarts:
            rig.restart()
        tick = rig.later()
        flight = tick.record.exposure.bounds[-1]
        assert (flight.below, flight.above) == (0.0, float(HEDGE)), flight
        assert (tick.outcome, tick.again_in_s) == (None, SOON_S)
    assert len(rig.client.sent) == 1
    rig.executes()
    tick = rig.later()
    assert code(tick) == "INSIDE_BAND"
    assert rig.outcomes() == ["FILLED"]
    assert rig.ledger.live_position(ACCOUNT_ID, rig.curie.state.position.market) == HEDGE


def test_what_the_executor_was_paid_counts_as_gas(rig: KeptRig) -> None:
    rig.tick()
    rig.executes()
    rig.later()
    (order,) = rig.ledger.orders("eth")
    assert Decimal(order["gas_usd"]) == (Decimal("0.001") + Decimal("0.002")) * 2000


def test_a_cancelled_order_is_never_counted_and_is_placed_again_in_the_same_tick(rig: KeptRig) -> None:
    rig.tick()
    rig.cancels()
    tick = rig.later()
    assert code(tick) == "REBALANCE"
    assert tick.record.snapshot.in_flight == 0
    assert rig.outcomes()[0] == "DEAD"
    assert rig.ledger.orders("eth")[0]["reason"] == "the price moved past its bound"
    assert len(rig.client.sent) == 2


class TestCancelling:
    def test_an_expired_order_is_cancelled_once_and_hedged_again(self, rig: KeptRig) -> None:
        rig.tick()
        rig.tells(EXPIRED)
        tick = rig.later(301)
        assert (tick.outcome, tick.again_in_s) == (None, SOON_S)
        assert rig.kinds() == [("trade", "PENDING"), ("cancel", "FILLED")]
        rig.cancels("USER_INITIATED_CANCEL")
        assert code(rig.later()) == "REBALANCE"
        assert rig.kinds()[0] == ("trade", "DEAD")
        assert [tx.nonce for tx in rig.signer.signed] == [0, 1, 2]

    def test_a_cancel_that_is_not_mined_yet_is_not_sent_again(self, rig: KeptRig) -> None:
        rig.tick()
        rig.tells(EXPIRED)
        rig.client.on_send = lambda raw: None
        for _ in range(4):
            rig.later(CANCEL_AGAIN_S + 1)
        cancels = [tx for tx in rig.signer.signed if tx.call.to == CANCELS.address]
        assert {tx.nonce for tx in cancels} == {1}
        assert rig.kinds() == [("trade", "PENDING"), ("cancel", "PENDING")]

    def test_a_cancel_that_came_too_late_leaves_the_order_filled(self, rig: KeptRig) -> None:
        rig.tick()
        rig.tells(EXPIRED)
        rig.client.on_send = lambda raw: rig.takes(raw, succeeded=False)
        rig.later(301)
        rig.executes()
        assert code(rig.later()) == "INSIDE_BAND"
        assert rig.kinds() == [("trade", "FILLED"), ("cancel", "DEAD")]

    def test_an_expired_order_is_cancelled_although_the_book_cant_be_read(self, rig: KeptRig) -> None:
        rig.tick()
        rig.tells(EXPIRED)

        def unreadable() -> NoReturn:
            raise DataError("the feed is stale")

        rig.source.read = unreadable
        for _ in range(2):
            with pytest.raises(DataError, match="stale"):
                rig.later(301)
        assert rig.kinds()[1:] == [("cancel", "FILLED")] * 2

    def test_a_halted_account_still_cancels(self, rig: KeptRig) -> None:
        rig.tick()
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "a person", NOW)
        rig.tells(EXPIRED)
        assert rig.later(301).outcome is None
        assert rig.kinds()[1] == ("cancel", "FILLED")

    def test_a_restart_between_cancel_and_outcome_cancels_nothing_twice(self, rig: KeptRig) -> None:
        rig.tick()
        rig.tells(EXPIRED)
        rig.client.on_send = lambda raw: None
        rig.later(301)
        rig.restart()
        rig.later()
        assert rig.kinds() == [("trade", "PENDING"), ("cancel", "PENDING")]


def test_a_reorg_that_undoes_the_executors_transaction_takes_the_fill_back(rig: KeptRig) -> None:
    rig.tick()
    rig.executes()
    rig.later()
    assert rig.outcomes() == ["FILLED"]
    rig.curie.traded(-HEDGE)
    rig.curie.fates.clear()
    del rig.client.receipts[EXECUTOR]
    tick = rig.later()
    assert tick.outcome is None
    assert rig.ledger.fills("eth") == []
    rig.executes()
    assert code(rig.later()) == "INSIDE_BAND"
    assert len(rig.client.sent) == 1


def test_an_outcome_is_final_only_when_both_transactions_are(rig: KeptRig) -> None:
    rig.tick()
    rig.executes()
    rig.later()
    (tx_hash, *_), *_ = rig.attempts()
    rig.client.receipts[tx_hash] = (rig.client.receipts[tx_hash][0], 50)
    rig.later()
    assert rig.attempts()[0][3] == "MINED_OK"
    rig.client.receipts[EXECUTOR] = (rig.client.receipts[EXECUTOR][0], 50)
    rig.later()
    assert rig.attempts()[0][3] == "FINAL"


def test_an_order_whose_own_transaction_is_final_can_still_be_resolved(rig: KeptRig) -> None:
    rig.tick()
    ((tx_hash, *_),) = rig.attempts()
    rig.client.receipts[tx_hash] = (rig.client.receipts[tx_hash][0], 50)
    rig.later()
    rig.ledger.finalise(tx_hash)
    rig.executes()
    rig.later()
    assert rig.outcomes() == ["FILLED"]


def test_a_node_behind_the_executors_block_is_not_read(rig: KeptRig) -> None:
    rig.tick()
    rig.next_block()
    rig.executes()
    rig.tick()
    assert rig.ledger.last_mined_block(ACCOUNT_ID) == rig.client.block.number


def test_a_waiting_order_that_nobody_knows_halts(rig: KeptRig) -> None:
    rig.curie.state = replace(rig.curie.state, orders=(PendingOrder("0xabc", "a limit order"),))
    with pytest.raises(Halt, match="waiting order"):
        rig.tick()
    assert rig.client.sent == []


def test_orders_that_are_cancelled_again_and_again_are_placed_ever_more_rarely(rig: KeptRig) -> None:
    rig.tick()
    for _ in range(RETRIES_AT_ONCE - 1):
        rig.cancels("InsufficientCollateralUsd")
        assert code(rig.later()) == "REBALANCE"
    rig.cancels("InsufficientCollateralUsd")
    tick = rig.later()
    assert code(tick) == "CANCELLED"
    assert "InsufficientCollateralUsd" in tick.record.decision.text
    assert code(rig.later(FIRST_WAIT_S - 2)) == "CANCELLED"
    assert code(rig.later(2)) == "REBALANCE"
    rig.executes()
    rig.later()
    assert rig.ledger.refusals("eth") is None


@pytest.mark.parametrize(
    ("count", "wait"),
    [(RETRIES_AT_ONCE - 1, 0), (RETRIES_AT_ONCE, 30), (RETRIES_AT_ONCE + 1, 60), (99, LONGEST_WAIT_S)],
)
def test_the_wait_doubles_up_to_half_an_hour(rig: KeptRig, count: int, wait: int) -> None:
    seen = rig.desk.observe(rig.book)
    for age, held in ((wait - 1, wait > 0), (wait, False)):
        refused = Refusals(count, seen.at - age, "why")
        assert (waits(replace(seen, refusals=refused)) is not None) is held
