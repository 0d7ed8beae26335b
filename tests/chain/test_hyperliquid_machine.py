"""Any sequence of refusals, delays, prices, crashes and silences: the ledger says of an order what became of it.

The node, the ledger and the info API's server are real, HyperCore is the stand-in. A crash is an exception that nothing
catches, raised before a write to the ledger or around a send, after which a new app is built on the same ledger.
"""

import tempfile
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hyperliquid_rig import ACTS_WITHIN, PRICE, PROMPT, RECKONED, HyperRig, Site, hyper_rig
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bot.core.model import OPEN_OUTCOMES, Mode
from bot.core.risk import LONGEST_WAIT_S
from bot.desk import Tick
from bot.errors import Halt, TransientError, VaultkeelError
from bot.localnet.hypercore.core import Manner, Script

UNLUCKY = Manner(shortest_delay_blocks=2, longest_delay_blocks=5, refuse_one_in=8)
BAND = 0.5
FATES = {
    "refused": Script(refused=True),
    "slow": Script(delay_blocks=ACTS_WITHIN - 1, refused=False),
    "at the last": Script(delay_blocks=ACTS_WITHIN, refused=False),
    "late": Script(delay_blocks=ACTS_WITHIN + 3, refused=False),
    "very late": Script(delay_blocks=3 * ACTS_WITHIN, refused=False),
}
REGULAR = ("refused", "slow", "at the last")
DELTAS = ("-6", "-2", "0", "3", "6")
OPEN = {state.value for state in OPEN_OUTCOMES}
MOVES = ("-0.06", "-0.02", "0.02", "0.06")


class Crash(BaseException):
    """The process is gone."""


def die_at(rig: HyperRig, at: str | int) -> None:
    """From now on the process of `rig` ends there."""
    client: Any = rig.running.desk.books[0].sender._client
    ledger: Any = rig.running.ledger
    send, write, left = client.send, ledger._write, at if isinstance(at, int) else 10_000

    def dying_send(raw: bytes) -> None:
        if at != "before the send":
            send(raw)
        if not isinstance(at, int):
            raise Crash

    def dying_write() -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise Crash
        return write()

    client.send, ledger._write = dying_send, dying_write


class Desk(RuleBasedStateMachine):
    """A desk and HyperCore between faults. `late` lets orders act after they were given up."""

    site: ClassVar[Site]
    late: ClassVar[bool]
    seen: ClassVar[dict[str, int]]

    @initialize(info=st.booleans(), seed=st.integers(0, 1_000))
    def begin(self, info: bool, seed: int) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        rig = hyper_rig(self.site, folder, info=info, manner=UNLUCKY, seed=seed)
        self.rig: HyperRig = self.stack.enter_context(rig)
        self.wanted = "0"
        self.rig.edits.append(lambda document: document["books"][0]["target"].update({"delta": self.wanted}))
        self.rig.start()
        self.checked: set[str] = set()
        self.sent_before_halt: int | None = None
        self.count("runs")

    def count(self, what: str) -> None:
        self.seen[what] = self.seen.get(what, 0) + 1

    def tick(self) -> Tick | None:
        """One tick. It may stop for two causes alone."""
        done: Tick | None = None
        stopped: VaultkeelError | None = None
        try:
            done = self.rig.tick()
        except (Halt, TransientError) as error:
            stopped = error
        if stopped is None:
            self.count("ticks")
            self.agrees()
            return done
        assert self.overdue(), f"nothing acted late, and yet: {stopped}"
        assert isinstance(stopped, Halt) or not self.rig.answers, f"the API answers, and yet: {stopped}"
        self.count("halts" if isinstance(stopped, Halt) else "ticks that could not tell")
        return None

    def overdue(self) -> set[str]:
        """The orders that acted after they were given up."""
        fates = self.rig.fates()
        return {
            key
            for key, fate in fates.items()
            if fate.filled != 0 and fate.block - fate.sent.block > ACTS_WITHIN
        }

    def agrees(self) -> None:
        """After a tick that ran to its end with nothing open: fills and position agree, or a person was called."""
        if any(order["outcome"] in OPEN for order in self.rig.orders()):
            return
        recorded = sum((Decimal(order["size"] or 0) for order in self.rig.orders()), Decimal(0))
        assert recorded == self.rig.known_position()
        mode, why = self.rig.mode_and_why()
        if recorded != self.rig.position():
            assert mode is Mode.HALTED, f"{recorded:f} recorded, {self.rig.position():f} held, nobody told"
            assert "expects" in why

    @rule(blocks=st.sampled_from([1, 1, 2, 3]))
    def tick_after(self, blocks: int) -> None:
        self.rig.later(blocks)
        self.tick()

    @rule(visits=st.integers(2, 4))
    def tick_on(self, visits: int) -> None:
        for _ in range(visits):
            self.tick()
            self.rig.later(2)

    @rule(blocks=st.sampled_from([4, ACTS_WITHIN + 1]))
    def wait(self, blocks: int) -> None:
        self.rig.later(blocks)

    @rule(move=st.sampled_from(MOVES))
    def move(self, move: str) -> None:
        price = self.rig.price * (1 + Decimal(move))
        self.rig.move(min(max(price, PRICE * Decimal("0.75")), PRICE * Decimal("1.3")))

    @rule(delta=st.sampled_from(DELTAS))
    def more_to_hedge(self, delta: str) -> None:
        self.hedge(delta, "as drawn")

    @rule(delta=st.sampled_from(DELTAS), fate=st.sampled_from(REGULAR))
    def more_to_hedge_slowly(self, delta: str, fate: str) -> None:
        self.hedge(delta, fate)

    @precondition(lambda self: self.late)
    @rule(delta=st.sampled_from(DELTAS), fate=st.sampled_from(("late", "very late")))
    def more_to_hedge_too_late(self, delta: str, fate: str) -> None:
        self.hedge(delta, fate)

    def hedge(self, delta: str, fate: str) -> None:
        """The book is to have that delta from now on; the next order has this fate."""
        self.wanted = delta
        if fate in FATES:
            self.rig.core.script(FATES[fate])
        self.rig.start()
        self.rig.later(1)
        self.tick()

    @precondition(lambda self: self.rig.info)
    @rule()
    def info_goes_or_comes(self) -> None:
        self.rig.answering(not self.rig.answers)

    @rule(at=st.sampled_from(("between two ticks", "before the send", "after the send", 0, 1, 2, 3, 4, 5)))
    def crash(self, at: str | int) -> None:
        """The process ends: a number is the write to the ledger that it doesn't come to."""
        if at != "between two ticks":
            self.rig.later(1)
            die_at(self.rig, at)
            try:
                self.tick()
            except Crash:
                self.count("crashes")
        self.rig.start()

    @rule()
    def reorganise(self) -> None:
        """The last block goes, if HyperCore hasn't looked at it yet: the stand-in knows no reorgs behind that."""
        looked_at = self.rig.core._seen
        if looked_at is not None and self.rig.node.block_number() > looked_at.number:
            self.rig.node.rpc("anvil_reorg", 1, [])
            self.count("reorgs")

    @invariant()
    def one_order_waits_at_a_time(self) -> None:
        if hasattr(self, "rig") and not self.given_up():
            self.rig.check()

    def given_up(self) -> bool:
        """Whether an order that the ledger holds for dead still waits or has acted."""
        fates = self.rig.fates()
        dead = [
            order for order in self.rig.orders() if order["outcome"] == "DEAD" and order["nonce"] is not None
        ]
        return any(order["key"] not in fates or fates[order["key"]].filled != 0 for order in dead)

    @invariant()
    def every_outcome_is_what_became_of_the_order(self) -> None:
        if not hasattr(self, "rig"):
            return
        fates, overdue = self.rig.fates(), self.overdue()
        for order in self.rig.orders():
            key, fate = order["key"], fates.get(order["key"])
            done = Decimal(0) if fate is None else fate.filled
            if order["outcome"] in OPEN or key in self.checked:
                continue
            if order["outcome"] == "DEAD":
                assert done == 0 or overdue, f"it traded {done:f}: {order}"
                if fate is None and order["nonce"] is not None:
                    continue  # it may act yet
            elif overdue - {key} and not (self.rig.info and order["reason"] == ""):
                # Without the exchange's word what a late order did may be taken for its successor's doing.
                assert abs(Decimal(order["size"])) <= abs(Decimal(order["intended"]))
            else:
                self.is_as_traded(order, done)
            self.count(order["outcome"] + (" by its word" if self.rig.info and order["reason"] == "" else ""))
            self.checked.add(key)

    def is_as_traded(self, order: dict[str, Any], done: Decimal) -> None:
        """A fill in the ledger is the exchange's."""
        assert order["outcome"] == ("FILLED" if done == Decimal(order["intended"]) else "PARTIAL")
        self.rig.check_traded(order, Decimal(0) if order["reason"] == "" else RECKONED)

    @invariant()
    def a_halted_account_sends_nothing(self) -> None:
        if not hasattr(self, "rig") or self.rig.mode_and_why()[0] is not Mode.HALTED:
            return
        sent = int(self.rig.node.rpc("eth_getTransactionCount", self.rig.hedger, "latest"), 16)
        if self.sent_before_halt is None:
            self.sent_before_halt = sent
        assert sent == self.sent_before_halt

    def teardown(self) -> None:
        """Everything heals; in the end the book is hedged, or a person was called because something acted late."""
        if not hasattr(self, "rig"):
            return
        try:
            self.come_to_rest()
        finally:
            self.stack.close()

    def come_to_rest(self) -> None:
        self.rig.answering(True)
        self.rig.core.manner = PROMPT
        self.rig.core._scripts.clear()
        self.rig.start()
        self.rig.later(3 * ACTS_WITHIN + 5)
        calm = 0
        for _ in range(60):
            done = self.tick()
            self.every_outcome_is_what_became_of_the_order()
            halted = self.rig.mode_and_why()[0] is Mode.HALTED
            calm = calm + 1 if halted or (done is not None and done.again_in_s is None) else 0
            if calm == 2 and done is not None:
                break
            self.rig.later(2)
            if calm:  # nothing is open; refusals in a row may have made the next order wait
                self.rig.node.set_next_timestamp(self.rig.node.timestamp() + LONGEST_WAIT_S)
                self.rig.later(1)
        assert done is not None
        assert calm == 2, f"the desk was not done: {self.rig.orders()}"
        self.agrees()
        assert not any(order["outcome"] in OPEN for order in self.rig.orders())
        mode, why = self.rig.mode_and_why()
        if mode is Mode.HALTED:
            assert self.overdue(), why
            return
        assert mode is Mode.ACTIVE, why
        assert done.record.snapshot.venue.position.size == self.rig.position()
        assert abs(done.record.exposure.net - float(self.wanted)) <= BAND
        if not self.overdue():
            self.rig.check_books()
        self.count("hedged in the end")


def run(site: Site, examples: int, steps: int, *, late: bool, always_the_same: bool = True) -> None:
    Desk.site, Desk.late, Desk.seen = site, late, {}
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=always_the_same,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Desk, settings=profile)
    print(dict(sorted(Desk.seen.items())))  # noqa: T201 - what was met, for whoever asks with -s


def test_a_few_sequences_of_faults_end_hedged(hyperevm: Site) -> None:
    run(hyperevm, 4, 16, late=False)


def test_where_orders_act_after_they_were_given_up_a_person_is_called(hyperevm: Site) -> None:
    run(hyperevm, 6, 14, late=True)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("late", [False, True], ids=["in time", "late"])
def test_over_many_sequences_too(hyperevm: Site, late: bool) -> None:
    run(hyperevm, 60, 50, late=late, always_the_same=False)
