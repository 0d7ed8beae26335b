"""Any sequence of faults: the ten invariants of the transaction engine hold, and in the end ledger equals chain.

The node, the contracts, the ledger and the proxy are real. A crash is an exception that nothing catches, raised at a
commit or at a send, after which a new app is built on the same ledger; real kills are in the rehearsal.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bot.app import App, build
from bot.core.model import Mode
from bot.errors import VaultkeelError
from bot.localnet.node import BASE_FEE_WEI, RpcError
from bot.localnet.proxy import SEND, Answer, Exchange
from bot.localnet.proxy_rules import (
    answering,
    bad_gateway,
    bad_json,
    closing,
    failing,
    forwarded,
    only,
    replacing_like_geth,
    swallowing,
)
from bot.localnet.rehearsal.stage import Stage, open_stage
from bot.localnet.rehearsal.verdict import (
    broken_attempts,
    cap_wei,
    doubled,
    judge,
    read_chain,
    read_ledger,
    unwritten,
)

DOUBTS = {
    "closed after": forwarded(closing),
    "502 after": forwarded(bad_gateway),
    "error after": forwarded(failing("internal error")),
    "wrong hash after": forwarded(answering("0x" + "11" * 32)),
    "null after": forwarded(answering(None)),
    "bad JSON after": forwarded(bad_json),
    "502 before": bad_gateway,
    "closed before": closing,
    "swallowed": swallowing,
}


class Crash(BaseException):
    """The process is gone."""


class Engine(RuleBasedStateMachine):
    """The bot between faults."""

    stage: ClassVar[Stage]

    @initialize()
    def begin(self) -> None:
        self.stage.begin("machine")
        self.stage.proxy.rule = replacing_like_geth()
        self.app: App = build(self.stage.config, trades=True)

    def tick(self) -> None:
        try:
            self.app.desk.tick(self.app.desk.books[0])
        except VaultkeelError:
            return

    def restart(self) -> None:
        self.app.close()
        self.app = build(self.stage.config, trades=True)

    @rule(seconds=st.sampled_from([2, 16]))
    def tick_after(self, seconds: int) -> None:
        self.stage.pass_time(seconds)
        self.tick()

    @rule(seconds=st.sampled_from([31, 125]), spike=st.sampled_from([1, 3, 20]))
    def wait_long(self, seconds: int, spike: int) -> None:
        self.stage.pass_time(seconds, BASE_FEE_WEI * spike)

    @rule(yes=st.booleans())
    def mine_at_once(self, yes: bool) -> None:
        self.stage.mine_at_once(yes)

    @rule()
    def more_to_hedge(self) -> None:
        self.stage.mine_at_once(True)
        self.stage.unhedge()

    @rule(kind=st.sampled_from(sorted(DOUBTS)))
    def doubtful_send(self, kind: str) -> None:
        strict = replacing_like_geth()
        doubtful = only(SEND, DOUBTS[kind], times=1)

        def rule_(exchange: Exchange) -> Answer:
            return doubtful(exchange) if exchange.asks(SEND) and kind else strict(exchange)

        self.stage.proxy.rule = rule_
        self.stage.pass_time(2)
        self.tick()
        self.stage.proxy.rule = strict

    @rule()
    def drop_what_waits(self) -> None:
        self.stage.node.rpc("anvil_dropAllTransactions")

    @rule(depth=st.integers(1, 2))
    def reorg(self, depth: int) -> None:
        if self.stage.node.block_number() - depth > self.stage.first_block:
            # anvil refuses where it no longer keeps the state to go back to.
            with contextlib.suppress(RpcError):
                self.stage.node.rpc("anvil_reorg", depth, [])

    @rule(commit=st.integers(1, 6), late=st.booleans())
    def crash_at_a_commit(self, commit: int, late: bool) -> None:
        with crashing(self.app, commit, late=late):
            self.die_in_a_tick()

    @rule(late=st.booleans())
    def crash_at_a_send(self, late: bool) -> None:
        client = self.app.desk.books[0].sender._client
        send = client.send

        def dying(raw: bytes) -> None:
            if late:
                send(raw)
            raise Crash

        client.send = dying  # type: ignore[method-assign]
        self.die_in_a_tick()

    def die_in_a_tick(self) -> None:
        self.stage.pass_time(2)
        with contextlib.suppress(Crash):
            self.tick()
        self.restart()

    @rule()
    def restart_in_peace(self) -> None:
        self.restart()

    @rule(mode=st.sampled_from([Mode.HALTED, Mode.REDUCING, Mode.ACTIVE]))
    def change_mode(self, mode: Mode) -> None:
        self.stage.set_mode(mode, "the operator")

    @invariant()
    def nothing_is_doubled_and_attempts_are_sound(self) -> None:
        if not hasattr(self, "app"):
            return
        book = read_ledger(self.stage.ledger_file)
        assert doubled(read_chain(self.stage), book, self.stage.foreign) == []
        assert broken_attempts(book, cap_wei(self.stage)) == []
        assert unwritten(self.stage.folder / "unwritten.txt") == []

    @invariant()
    def a_new_nonce_waits_for_the_last_one(self) -> None:
        if hasattr(self, "app"):
            book = read_ledger(self.stage.ledger_file)
            open_keys = {i["key"] for i in book.intents if i["outcome"] in ("PENDING", "UNKNOWN")}
            nonces = {row["nonce"] for row in book.attempts if row["intent_key"] in open_keys}
            newest = max((row["nonce"] for row in book.attempts), default=None)
            pending = {i["key"] for i in book.intents if i["outcome"] == "PENDING"}
            waiting = {row["nonce"] for row in book.attempts if row["intent_key"] in pending}
            assert len(waiting) <= 1
            assert not waiting or waiting == {newest}
            assert nonces >= waiting

    def teardown(self) -> None:
        """Heals everything, lets the bot come to rest, and compares ledger and chain in full."""
        if hasattr(self, "app"):
            self.stage.proxy.rule = replacing_like_geth()
            self.stage.mine_at_once(True)
            self.stage.pass_time(2)
            self.stage.set_mode(Mode.ACTIVE, "the operator")
            self.restart()
            for _ in range(12):
                self.tick()
                self.stage.pass_time(31)
            verdict = judge(self.stage)
            mode, why = self.app.ledger.mode_and_why(self.app.account)
            canary = self.stage.world.hedger_key[2:].encode()
            assert canary not in self.stage.ledger_file.read_bytes()
            self.app.close()
            assert verdict.passed, verdict
            assert mode is Mode.ACTIVE, why


@contextlib.contextmanager
def crashing(app: App, commit: int, *, late: bool) -> Iterator[None]:
    """Raises Crash before (or `late`, after) the app's nth commit from now on."""
    dialect: Any = app.ledger._engine.dialect
    original: Callable[[Any], None] = dialect.do_commit
    count = 0

    def do_commit(connection: Any) -> None:
        nonlocal count
        count += 1
        if count == commit and not late:
            raise Crash
        original(connection)
        if count == commit and late:
            raise Crash

    dialect.do_commit = do_commit
    try:
        yield
    finally:
        dialect.do_commit = original


@pytest.fixture(scope="module")
def machine() -> Iterator[type[Engine]]:
    with tempfile.TemporaryDirectory() as folder, open_stage(Path(folder), seed=3) as stage:
        Engine.stage = stage
        yield Engine


def run(machine: type[Engine], examples: int, steps: int) -> None:
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)


def test_a_few_sequences_of_faults_keep_every_invariant(machine: type[Engine]) -> None:
    run(machine, 6, 12)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_sequences_of_faults_keep_every_invariant(machine: type[Engine]) -> None:
    run(machine, 200, 40)
