"""The whole tick on a real chain: what is sent, what is not, and what survives a crash."""

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import (
    Answer,
    Cli,
    Edit,
    Proxy,
    Rule,
    adopt,
    as_it_is,
    events_of,
    hand_trade,
    hedger_nonce,
    ledger_bytes,
    opened,
    pass_on,
    read_venue,
    rows,
    run_here,
    trades_of,
    write_config,
)

from bot.config import load_config
from bot.core.model import Hold, OutcomeState, Rebalance
from bot.desk import Tick
from bot.errors import DataError, Halt
from bot.localnet.curie import deposit_usdc
from bot.localnet.market import Market
from bot.localnet.world import World

TRIGGER = 0.5
TOKEN = "s3cr3t-t0k3n-in-the-path"
SECOND_TOKEN = "s3cr3t-t0k3n-in-the-query"


def impatient(document: Any) -> None:
    """A tick does not wait for its order's receipt."""
    document["chains"]["localnet"]["patience_s"] = "0"


def small_orders(document: Any) -> None:
    impatient(document)
    document["books"][0]["limits"]["max_order"] = "2"


@pytest.fixture
def exposed(fresh: World) -> World:
    """A world whose pool has sold options, so that there is something to hedge."""
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    return fresh


def net_delta(config: Path) -> float:
    """As a new desk would measure it now."""
    with opened(config) as app:
        return app.desk.assess(app.desk.books[0]).exposure.net


def tick(config: Path) -> Tick:
    """One tick of a desk that has just been started."""
    with opened(config) as app:
        return app.desk.tick(app.desk.books[0])


def tick_until_settled(config: Path) -> Tick:
    """The first tick from now, and as many more as its order needs to have an outcome.

    As in a run, a tick without sound data is skipped: while anvil mines an order that a tick has just sent again, it
    answers calls at the pinned block with the next one's state.
    """
    first = None
    for _ in range(20):
        with opened(config) as app, contextlib.suppress(DataError):
            done = app.desk.tick(app.desk.books[0])
            first = first or done
            if not app.ledger.open_intents(app.account):
                return first
    raise AssertionError("an order has no outcome after 20 ticks")


def enrich(world: World, amount_usd: int) -> None:
    usdc, vault = world.curie_contract("usdc"), world.curie_contract("vault")
    deposit_usdc(usdc, vault, world.accounts.hedger, amount_usd, world.accounts.owner)


def mined(world: World, tx_hash: str) -> bool:
    receipt = world.node.rpc("eth_getTransactionReceipt", tx_hash)
    return bool(receipt) and receipt["status"] == "0x1"


def ledger_equals_chain(world: World, config: Path, since: int) -> None:
    """Every trade on chain is one fill of the ledger with the same figures, and the other way round."""
    ledger = load_config(config).ledger
    ours = rows(
        ledger,
        "SELECT fills.size, notional, fee_usd FROM fills JOIN intents ON key = intent_key ORDER BY tick_id",
    )
    theirs = events_of(world, "PositionChanged", since)
    names = ("exchangedPositionSize", "exchangedPositionNotional", "fee")
    assert [tuple(abs(Decimal(value)) for value in row) for row in ours] == [
        tuple(abs(Decimal(event[name]) / 10**18) for name in names) for event in theirs
    ]
    assert sum((Decimal(row[0]) for row in ours), Decimal(0)) == read_venue(world).position.size
    states = rows(ledger, "SELECT hash, state FROM attempts")
    assert all(state == "MINED_OK" and mined(world, tx_hash) for tx_hash, state in states)
    assert len(states) == len(theirs) == hedger_nonce(world) - nonce_at(world, since)


def nonce_at(world: World, block: int) -> int:
    return int(world.node.rpc("eth_getTransactionCount", world.accounts.hedger, hex(block)), 16)


class TestTicks:
    def test_a_live_tick_brings_the_net_delta_inside_the_band(self, exposed: World, tmp_path: Path) -> None:
        config, since = write_config(exposed, tmp_path), exposed.node.block_number()
        assert abs(net_delta(config)) > 5
        done = tick(config)
        assert isinstance(done.record.decision, Rebalance)
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED
        assert done.again_in_s is None
        assert trades_of(exposed, since) == [done.record.decision.size]
        assert abs(net_delta(config)) < 0.01
        ledger = load_config(config).ledger
        ((tx_hash, key),) = rows(ledger, "SELECT hash, intent_key FROM attempts")
        assert key == done.intent_key
        assert mined(exposed, tx_hash)
        sender = exposed.node.rpc("eth_getTransactionByHash", tx_hash)["from"]
        assert sender == exposed.accounts.hedger.lower()
        assert isinstance(tick(config).record.decision, Hold)
        ledger_equals_chain(exposed, config, since)

    @pytest.mark.parametrize(
        ("held", "most"),
        [(700, "150"), (-700, "150"), (3_000, "5000")],
        ids=["the order limit cuts a sale", "the order limit cuts a purchase", "the venue's limit cuts"],
    )
    def test_a_big_hedge_is_sliced_and_ends_neutral(
        self, exposed: World, tmp_path: Path, held: int, most: str
    ) -> None:
        market = Market(exposed, 3)
        enrich(exposed, 8_000_000)
        for _ in range(3):  # the protocol takes no more at once, either
            hand_trade(exposed, held // 3)
            market.set_time(exposed.node.timestamp() + 60)
            market.arbitrage()
            market.set_time(exposed.node.timestamp() + 60)

        def edit(document: Any) -> None:
            document["books"][0]["limits"].update({"max_order": most, "max_position": "5000"})

        since = exposed.node.block_number()
        sizes = []
        with opened(write_config(exposed, tmp_path, edit=edit)) as app:
            adopt(app)
            for _ in range(12):
                done = app.desk.tick(app.desk.books[0])
                assert done.outcome is not None
                assert done.outcome.state is OutcomeState.FILLED
                assert isinstance(done.record.decision, Rebalance)
                sizes.append(done.record.decision.size)
                if done.record.decision.remaining == 0:
                    break
                assert done.again_in_s == 16
                market.set_time(exposed.node.timestamp() + done.again_in_s)
                market.arbitrage()
                market.set_time(exposed.node.timestamp() + done.again_in_s)
            else:
                pytest.fail(f"not done after {sizes}")
            assert done.again_in_s is None
            assert len(sizes) >= 2
            assert len({size > 0 for size in sizes}) == 1, "no clip undoes another"
            assert all(abs(size) <= Decimal(most) for size in sizes)
            assert trades_of(exposed, since) == sizes
            assert abs(app.desk.assess(app.desk.books[0]).exposure.net) < TRIGGER

    def test_a_close_that_the_protocol_cuts_is_finished_by_later_ticks(
        self, fresh: World, tmp_path: Path
    ) -> None:
        # No options here: the whole position is to go, by the protocol's own close, which stops at the tick limit.
        market = Market(fresh, 3)
        enrich(fresh, 8_000_000)
        hand_trade(fresh, -1_500)
        market.set_time(fresh.node.timestamp() + 60)
        market.arbitrage()
        market.set_time(fresh.node.timestamp() + 60)
        market.set_price(Decimal(2_120))
        market.arbitrage()

        def edit(document: Any) -> None:
            document["books"][0]["limits"].update({"max_order": "5000", "max_position": "5000"})

        states = []
        with opened(write_config(fresh, tmp_path, edit=edit)) as app:
            adopt(app)
            for _ in range(6):
                done = app.desk.tick(app.desk.books[0])
                assert done.outcome is not None
                states.append(done.outcome.state)
                if done.again_in_s is None:
                    break
                assert done.again_in_s == 16
                market.set_time(fresh.node.timestamp() + done.again_in_s)
                market.arbitrage()
                market.set_time(fresh.node.timestamp() + done.again_in_s)
            assert states[0] is OutcomeState.PARTIAL
            assert states[-1] is OutcomeState.FILLED
            assert abs(app.desk.assess(app.desk.books[0]).exposure.net) < 0.001

    def test_paper_sends_nothing_and_its_fills_count(self, exposed: World, tmp_path: Path) -> None:
        def edit(document: Any) -> None:
            document["books"][0]["limits"]["max_order"] = "10"

        config = write_config(exposed, tmp_path, live=False, edit=edit)
        nonce, height = hedger_nonce(exposed), exposed.node.block_number()
        deltas = [net_delta(config)]
        for _ in range(5):
            done = tick(config)
            if isinstance(done.record.decision, Hold):
                break
            assert done.outcome is not None
            assert done.outcome.state is OutcomeState.PAPER
            deltas.append(net_delta(config))
        assert isinstance(done.record.decision, Hold)
        assert done.record.decision.code == "INSIDE_BAND"
        assert len(deltas) > 2
        assert all(abs(near) < abs(far) for far, near in itertools.pairwise(deltas))
        assert abs(deltas[-1]) < TRIGGER
        assert (hedger_nonce(exposed), exposed.node.block_number()) == (nonce, height)
        assert read_venue(exposed).position.size == 0
        assert rows(load_config(config).ledger, "SELECT count(*) FROM attempts") == [(0,)]


class TestReading:
    def test_status_takes_at_most_four_round_trips_at_one_block(self, exposed: World, tmp_path: Path) -> None:
        nonce, height = hedger_nonce(exposed), exposed.node.block_number()
        with Proxy(exposed.url) as proxy:
            config = write_config(exposed, tmp_path, edit=behind(proxy.url))
            with Cli(tmp_path, "status", "--config", config, "--json") as run:
                shown = run.json()
        assert len(proxy.bodies) <= 4, [[r["method"] for r in proxy.requests]]
        calls = [r["params"] for r in proxy.requests if r["method"] == "eth_call"]
        (block,) = shown["blocks"]
        assert calls
        assert all(where == {"blockHash": block["hash"], "requireCanonical": True} for _, where in calls)
        assert exposed.node.rpc("eth_getBlockByNumber", hex(block["number"]), False)["hash"] == block["hash"]
        assert (hedger_nonce(exposed), exposed.node.block_number()) == (nonce, height)
        assert rows(load_config(config).ledger, "SELECT count(*) FROM ticks") == [(0,)]
        assert shown["positions"]
        assert shown["decision"]["kind"] == "rebalance"

    def test_a_tick_reads_at_one_block_while_the_chain_moves_on(self, exposed: World, tmp_path: Path) -> None:
        def rule(methods: list[str], forward: Callable[[], Answer]) -> Answer:
            answer = forward()
            exposed.node.mine()
            return answer

        with (
            Proxy(exposed.url, rule) as proxy,
            opened(write_config(exposed, tmp_path, edit=behind(proxy.url))) as app,
        ):
            record = app.desk.assess(app.desk.books[0])
        where = [r["params"][1] for r in proxy.requests if r["method"] == "eth_call"]
        assert len(where) >= 2
        assert {w["blockHash"] for w in where} == {record.snapshot.blocks[0].hash}
        assert exposed.node.block_number() > record.snapshot.blocks[0].number + 2


@contextlib.contextmanager
def mining_stopped(world: World) -> Iterator[None]:
    world.node.rpc("evm_setAutomine", False)
    try:
        yield
    finally:
        world.node.rpc("evm_setAutomine", True)


def behind(url: str, then: Edit = as_it_is) -> Edit:
    """The node is reached through `url`."""

    def edit(document: Any) -> None:
        document["chains"]["localnet"]["rpc_urls"] = [url]
        then(document)

    return edit


class TestOrdersInFlight:
    def test_an_unmined_order_is_pending_blocks_others_and_is_filled_once(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config, since = write_config(exposed, tmp_path, edit=small_orders), exposed.node.block_number()
        with mining_stopped(exposed):
            first = tick(config)
            assert first.outcome is not None
            assert first.outcome.state is OutcomeState.PENDING
            assert first.again_in_s == 2
            for _ in range(2):
                held = tick(config)
                assert isinstance(held.record.decision, Hold)
                assert held.record.decision.code == "ORDER_OPEN"
                assert held.record.snapshot.in_flight == first.record.decision.size  # type: ignore[union-attr]
                assert held.again_in_s == 2
            pending = exposed.node.rpc("eth_getTransactionCount", exposed.accounts.hedger, "pending")
            assert int(pending, 16) == nonce_at(exposed, since) + 1
            assert trades_of(exposed, since) == []
            exposed.node.mine()
        with opened(config) as app:
            assert app.desk._advance(app.desk.books[0]) == ()
            (order,) = app.ledger.orders("eth")
        assert order["outcome"] == OutcomeState.FILLED
        assert trades_of(exposed, since) == [Decimal(order["size"])]
        ledger_equals_chain(exposed, config, since)

    def test_an_order_that_the_node_forgot_is_sent_again_as_it_was(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config, since = write_config(exposed, tmp_path, edit=impatient), exposed.node.block_number()
        with mining_stopped(exposed):
            tick(config)
            ((tx_hash,),) = rows(load_config(config).ledger, "SELECT hash FROM attempts")
            exposed.node.rpc("anvil_dropTransaction", tx_hash)
            assert exposed.node.rpc("eth_getTransactionByHash", tx_hash) is None
            tick(config)
            assert exposed.node.rpc("eth_getTransactionByHash", tx_hash)["hash"] == tx_hash
            exposed.node.mine()
        tick_until_settled(config)
        ledger_equals_chain(exposed, config, since)
        assert len(trades_of(exposed, since)) == 1

    def test_an_order_mined_after_its_deadline_trades_nothing_and_the_next_does(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config, since = write_config(exposed, tmp_path, edit=impatient), exposed.node.block_number()
        with mining_stopped(exposed):
            tick(config)
            exposed.node.set_next_timestamp(exposed.node.timestamp() + 300)
            exposed.node.mine()
        done = tick_until_settled(config)
        orders = rows(load_config(config).ledger, "SELECT outcome, reason FROM intents ORDER BY tick_id")
        assert orders[0] == ("DEAD", "the order reverted on chain; nothing was traded")
        assert isinstance(done.record.decision, Rebalance)
        assert len(trades_of(exposed, since)) == 1
        assert abs(net_delta(config)) < TRIGGER

    @pytest.mark.parametrize(
        ("trouble", "says"),
        [
            (
                "no gas money",
                r"0x\w{40} on localnet holds 0\.00000\d+ of the native coin, an order may cost 0\.00\d+ of it",
            ),
            ("dear gas", r"gas costs 5\d\.\d+ gwei, max_fee_gwei and max_gas_usd allow 1\d\.\d+"),
        ],
    )
    def test_an_order_that_no_node_would_take_is_not_signed_and_the_next_one_is(
        self, exposed: World, tmp_path: Path, trouble: str, says: str
    ) -> None:
        # Signed, it would hang, block the account and count as perhaps traded: the vault would look hedged.
        node, hedger = exposed.node, exposed.accounts.hedger
        config, since = write_config(exposed, tmp_path), node.block_number()
        for _ in range(2):
            if trouble == "no gas money":
                node.set_balance(hedger, 10**12)
                node.mine()
            else:
                node.rpc("anvil_setNextBlockBaseFeePerGas", hex(60 * 10**9))
                node.rpc("evm_mine")
            refused = tick(config)
            assert isinstance(refused.record.decision, Rebalance)
            assert refused.outcome is not None
            assert refused.outcome.state is OutcomeState.DEAD
            assert re.fullmatch(says, refused.outcome.reason), refused.outcome.reason
        assert rows(load_config(config).ledger, "SELECT count(*) FROM attempts") == [(0,)]
        assert trades_of(exposed, since) == []
        node.set_balance(hedger, 10**18)
        node.mine()
        assert tick(config).outcome.state is OutcomeState.FILLED  # type: ignore[union-attr]
        assert abs(net_delta(config)) < TRIGGER

    def test_a_nonce_that_another_program_used_halts_the_account(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config = write_config(exposed, tmp_path)
        tick(config)
        node, hedger = exposed.node, exposed.accounts.hedger
        node.send(hedger, b"", hedger)
        Market(exposed, 3).set_price(Decimal(2_100))
        since = node.block_number()

        with pytest.raises(Halt, match="another program holds this key"):
            tick(config)
        held = tick(config)
        assert isinstance(held.record.decision, Hold)
        assert held.record.decision.code == "HALTED"
        assert trades_of(exposed, since) == []


class TestKilled:
    @pytest.mark.parametrize(
        "reached", [False, True], ids=["before the node has it", "after the node has it"]
    )
    def test_an_order_is_filled_exactly_once_after_a_kill_at_the_moment_of_sending(
        self, exposed: World, tmp_path: Path, reached: bool
    ) -> None:
        since, victim = exposed.node.block_number(), list[Cli]()

        def kill_at_send(methods: list[str], forward: Callable[[], Answer]) -> Answer:
            if "eth_sendRawTransaction" not in methods:
                return forward()
            answer = forward() if reached else (502, b"")
            os.kill(victim[0].pid, signal.SIGKILL)
            return answer

        with Proxy(exposed.url, kill_at_send) as proxy:
            config = write_config(exposed, tmp_path, edit=behind(proxy.url))
            with Cli(tmp_path, "once", "--config", config, "--json") as run:
                victim.append(run)
                assert run.code == -signal.SIGKILL
            assert proxy.asked("eth_sendRawTransaction") == 1
        config = write_config(exposed, tmp_path)
        ledger = load_config(config).ledger
        assert rows(ledger, "SELECT state FROM attempts") == [("SIGNED",)]
        assert rows(ledger, "SELECT outcome FROM intents") == [("PENDING",)]
        assert len(trades_of(exposed, since)) == int(reached)
        tick_until_settled(config)
        assert len(trades_of(exposed, since)) == 1
        ledger_equals_chain(exposed, config, since)
        assert abs(net_delta(config)) < TRIGGER
        assert rows(ledger, "SELECT outcome FROM intents") == [("FILLED",)]


class TestSignals:
    def test_signals_let_the_tick_in_flight_finish_however_many_come(
        self, exposed: World, tmp_path: Path
    ) -> None:
        since, sending, go_on = exposed.node.block_number(), threading.Event(), threading.Event()

        def slow_send(methods: list[str], forward: Callable[[], Answer]) -> Answer:
            if "eth_sendRawTransaction" in methods:
                sending.set()
                assert go_on.wait(20)
            return forward()

        # Threads of a numeric library don't block signals: one of them would take the second one.
        env = {"OPENBLAS_NUM_THREADS": "2"}
        with Proxy(exposed.url, slow_send) as proxy:
            config = write_config(exposed, tmp_path, edit=behind(proxy.url))
            with Cli(tmp_path, "run", "--config", config, "--json", env=env) as run:
                assert sending.wait(20)
                for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                    run.signal(number)
                    time.sleep(0.2)
                assert run.process.poll() is None, "it was cut short while its order was on the way"
                go_on.set()
                assert run.code == 0
                assert json.loads(run.out) == {"ticks": 1, "fatal": ""}
        assert rows(load_config(config).ledger, "SELECT outcome FROM intents") == [("FILLED",)]
        ledger_equals_chain(exposed, config, since)


FIRST_RUNS = """
import os, sys, time
from pathlib import Path
from bot.ledger import open_ledger

for round in range(20):
    path, start = Path(sys.argv[1]) / f"{round}.db", time.time() + 0.01
    children = []
    for _ in range(3):
        child = os.fork()
        if child == 0:
            while time.time() < start:
                pass
            try:
                open_ledger(path).bind("localnet", 31337, "", "0x" + "11" * 20)
                os._exit(0)
            except BaseException as error:
                print(type(error).__name__, error, flush=True)
                os._exit(1)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
print("done")
"""


def test_first_runs_that_start_at_once_share_a_new_ledger(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_RUNS, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "done\n"


TOKEN_PATH = f"/v3/{TOKEN}?key={SECOND_TOKEN}"
NOWHERE = "0x000000000000000000000000000000000000dEaD"


def not_json(_methods: list[str], _forward: Callable[[], Answer]) -> Answer:
    return 200, b"<html>Welcome to the captive portal</html>"


def nested_too_deeply(_methods: list[str], _forward: Callable[[], Answer]) -> Answer:
    return 200, b"[" * 100_000


def server_error(_methods: list[str], _forward: Callable[[], Answer]) -> Answer:
    return 500, b'{"error": "out of order"}'


def quotes_the_address(methods: list[str], forward: Callable[[], Answer]) -> Answer:
    """A provider that says in its own error whom it refuses."""
    text = f"no access for {TOKEN}: see https://provider.example{TOKEN_PATH}"
    error = {"jsonrpc": "2.0", "id": 0, "error": {"code": -32_000, "message": text}}
    return 200, json.dumps(
        [{**error, "id": i} for i in range(len(methods))] if len(methods) > 1 else error
    ).encode()


@dataclass(frozen=True)
class Mistake:
    """Something wrong with a configuration or a node, and what is to be said of it."""

    code: int
    says: str
    edit: Edit = as_it_is
    rule: Rule | None = pass_on
    command: str = "once"


def set_chain(**values: Any) -> Edit:
    return lambda document: document["chains"]["localnet"].update(values)


def set_source(**values: Any) -> Edit:
    return lambda document: document["books"][0]["sources"][0].update(values)


def set_venue(**values: Any) -> Edit:
    return lambda document: document["books"][0]["venue"].update(values)


def multicall_of_another_kind(document: Any) -> None:
    document["chains"]["localnet"]["multicall"] = document["books"][0]["sources"][0]["base_asset"]


MISTAKES = {
    "a wrong chain id": Mistake(
        2, r"chains\.localnet\.chain_id is 1, the node's is 31337", set_chain(chain_id=1)
    ),
    "another local chain": Mistake(
        2,
        r"chains\.localnet\.instance: the node runs another local chain",
        set_chain(instance="0x" + "ab" * 32),
    ),
    "a source without code": Mistake(
        2, rf"lyra-eth\.viewer: there is no contract at {NOWHERE} on localnet", set_source(viewer=NOWHERE)
    ),
    "a venue without code": Mistake(
        2,
        rf"curie-eth\.quoter: there is no contract at {NOWHERE}",
        set_venue(quoter=NOWHERE),
        command="status",
    ),
    "a multicall without code": Mistake(
        2, rf"chains\.localnet\.multicall: there is no contract at {NOWHERE}", set_chain(multicall=NOWHERE)
    ),
    "a multicall of another kind": Mistake(
        4, r"localnet: a batched read at 0x\w{40} failed: \S", multicall_of_another_kind
    ),
    "a dead node": Mistake(
        3, r"localnet provider 1: the node can't be reached \(ConnectionError\)", rule=None
    ),
    "an answer that is not JSON": Mistake(
        3, r"localnet provider 1: the node's answer is not JSON-RPC", rule=not_json
    ),
    "an answer that is nested too deeply": Mistake(
        3, r"localnet provider 1: the node's answer is not JSON-RPC", rule=nested_too_deeply
    ),
    "an error of the server": Mistake(
        3, r"localnet provider 1: the node answered HTTP 500", rule=server_error, command="status"
    ),
    "an error that quotes the address": Mistake(
        4, r"localnet provider 1: eth_chainId: no access for <", rule=quotes_the_address
    ),
}


class TestRefusals:
    @pytest.mark.parametrize("name", MISTAKES)
    def test_a_mistake_is_one_clear_line_without_tokens_and_nothing_is_sent(
        self,
        fresh: World,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        name: str,
    ) -> None:
        mistake = MISTAKES[name]
        with Proxy(fresh.url, mistake.rule or pass_on) as proxy:
            address = (proxy.url if mistake.rule else f"http://127.0.0.1:{free_port()}") + TOKEN_PATH
            config = write_config(fresh, tmp_path, edit=behind(address, mistake.edit))
            code, out, err = run_here(monkeypatch, capsys, mistake.command, "--config", config, "--json")
        *_, line = err.splitlines()
        kind, _, sentence = line.partition(": ")
        assert re.match(mistake.says, sentence), line
        assert code == mistake.code
        assert json.loads(out) == {"error": kind, "message": sentence}
        assert proxy.asked("eth_sendRawTransaction") == 0
        kept = ledger_bytes(tmp_path)
        assert kept, "the ledger was opened"
        for token in (TOKEN, SECOND_TOKEN):
            assert token not in out + err
            assert token.encode() not in kept

    def test_processes_of_their_own_say_the_same_of_a_dead_node(self, fresh: World, tmp_path: Path) -> None:
        address = f"http://127.0.0.1:{free_port()}{TOKEN_PATH}"
        config = write_config(fresh, tmp_path, edit=behind(address))
        sentence = "localnet provider 1: the node can't be reached (ConnectionError)"
        with (
            Cli(tmp_path, "status", "--config", config) as status,
            Cli(tmp_path, "run", "--config", config) as run,
        ):
            assert status.code == 3
            assert status.out == ""
            assert status.err == f"TransientError: {sentence}\n"
            # A run goes on: the node may come back.
            assert run.process.stderr is not None
            said = ""
            while "tick skipped" not in said:
                said += (line := run.process.stderr.readline())
                assert line, said
            run.signal(signal.SIGTERM)
            assert run.code == 0
            said += run.out + run.err
        assert sentence in said
        assert "Traceback" not in said
        kept = ledger_bytes(tmp_path)
        for token in (TOKEN, SECOND_TOKEN):
            assert token not in said
            assert token.encode() not in kept


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
