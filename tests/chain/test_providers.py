"""Several providers of a real chain: one that is down, lies, lags, goes back, or answers badly after it forwarded."""

import contextlib
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support import (
    Answer,
    Edit,
    Proxy,
    Rule,
    hedger_nonce,
    ledger_bytes,
    opened,
    pass_on,
    rows,
    run_here,
    trades_of,
    write_config,
)

from bot.app.chains import make_client
from bot.chain.client import Client
from bot.config import load_config
from bot.core.model import Hold, OutcomeState
from bot.errors import DataError, TransientError
from bot.localnet.market import Market
from bot.localnet.world import World

TOKENS = ("s3cr3t-t0k3n-of-the-first", "s3cr3t-t0k3n-of-the-second")
SEND = "eth_sendRawTransaction"


@pytest.fixture
def exposed(fresh: World) -> World:
    """A world whose pool has sold options, so that there is something to hedge."""
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    return fresh


@contextlib.contextmanager
def proxies(world: World, *rules: Rule) -> Iterator[list[Proxy]]:
    """One proxy to the world's node for each rule."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Proxy(world.url, rule)) for rule in rules]


def through(*nodes: Proxy | str, quorum: int = 2, relays: tuple[Proxy, ...] = (), **chain: Any) -> Edit:
    """The chain is read through `nodes`, and orders go to `relays` where there are any."""

    def edit(document: Any) -> None:
        urls = [node if isinstance(node, str) else node.url for node in nodes]
        changes = {"rpc_urls": urls, "quorum": quorum, "send_urls": [relay.url for relay in relays], **chain}
        document["chains"]["localnet"].update(changes)

    return edit


def client_of(world: World, folder: Path, edit: Edit) -> Client:
    config = load_config(write_config(world, folder, edit=edit))
    return make_client("localnet", config.chains["localnet"])


def mine(world: World, blocks: int) -> None:
    for _ in range(blocks):
        world.node.mine()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def only(*wanted: str) -> Callable[[list[str]], bool]:
    return lambda methods: any(method in wanted for method in methods)


def refuse(which: Callable[[list[str]], bool]) -> Rule:
    """502 without asking the node."""
    return lambda methods, forward: (502, b"") if which(methods) else forward()


def lie_about_reads(methods: list[str], forward: Callable[[], Answer]) -> Answer:
    """Flips the lowest bit of the last word that isn't zero in a pinned read, as a wrong position would."""
    status, content = forward()
    if methods != ["eth_call"]:
        return status, content
    answer = json.loads(content)
    digits = answer["result"]
    at = max(i for i, digit in enumerate(digits) if digit in "123456789abcdef")
    answer["result"] = digits[:at] + f"{int(digits[at], 16) ^ 1:x}" + digits[at + 1 :]
    return status, json.dumps(answer).encode()


class Replay:
    """Answers heads from what it heard before, while it is frozen."""

    def __init__(self) -> None:
        self.frozen = False
        self.heard = b""

    def __call__(self, methods: list[str], forward: Callable[[], Answer]) -> Answer:
        if methods != ["eth_getBlockByNumber"]:
            return forward()
        if not self.frozen:
            status, self.heard = forward()
            return status, self.heard
        return 200, self.heard


class TestQuorum:
    def test_two_that_agree_fill_an_order_and_both_are_asked(self, exposed: World, tmp_path: Path) -> None:
        since = exposed.node.block_number()
        with proxies(exposed, pass_on, pass_on) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with opened(config) as app:
                tick = app.desk.tick(app.desk.books[0])
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.FILLED
        assert len(trades_of(exposed, since)) == 1
        for method in ("eth_chainId", "eth_getBlockByNumber", "eth_call", "eth_getTransactionReceipt", SEND):
            assert all(node.asked(method) >= 1 for node in nodes), method
        assert [node.asked("eth_feeHistory") for node in nodes] == [1, 0], "an ordinary read is asked of one"

    def test_a_single_provider_is_asked_no_more_than_it_was(self, exposed: World, tmp_path: Path) -> None:
        with proxies(exposed, pass_on) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes, quorum=1, instance=""))
            with opened(config) as app:
                app.desk.assess(app.desk.books[0])
        assert len(nodes[0].bodies) == 3

    def test_one_that_is_down_stops_everything_and_no_message_has_a_token(
        self,
        exposed: World,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        nonce = hedger_nonce(exposed)
        with proxies(exposed, pass_on) as (node,):
            urls = (f"{node.url}/v2/{TOKENS[0]}", f"http://127.0.0.1:{free_port()}/?key={TOKENS[1]}")
            config = write_config(exposed, tmp_path, edit=through(*urls))
            code, out, err = run_here(monkeypatch, capsys, "once", "--config", config)
        assert code == TransientError.exit_code
        sentence = (
            "the quorum of 2 providers can't be reached: localnet provider 2: the node can't be reached"
        )
        assert f"TransientError: localnet: {sentence} (ConnectionError)" in err
        assert node.asked(SEND) == 0
        assert hedger_nonce(exposed) == nonce
        assert rows(load_config(config).ledger, "SELECT * FROM intents") == []
        for token in TOKENS:
            assert token not in out + err
            assert token.encode() not in ledger_bytes(tmp_path)

    def test_one_that_goes_down_between_the_ticks_stops_the_next(
        self, exposed: World, tmp_path: Path
    ) -> None:
        with proxies(exposed, pass_on, pass_on) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with opened(config) as app:
                (book,) = app.desk.books
                app.desk.assess(book)
                nodes[1].rule = refuse(lambda methods: True)
                with pytest.raises(TransientError, match=r"quorum of 2 .* localnet provider 2: .*HTTP 502"):
                    app.desk.tick(book)
                nodes[1].rule = pass_on
                tick = app.desk.tick(book)
            assert tick.outcome is not None, "it clears itself"

    def test_a_forged_position_is_a_data_error_and_nothing_is_sent(
        self, exposed: World, tmp_path: Path
    ) -> None:
        with proxies(exposed, pass_on, lie_about_reads) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with (
                opened(config) as app,
                pytest.raises(
                    DataError, match=r"localnet provider 1 and localnet provider 2 disagree on a read"
                ),
            ):
                app.desk.tick(app.desk.books[0])
        assert [node.asked(SEND) for node in nodes] == [0, 0]
        assert rows(load_config(config).ledger, "SELECT * FROM intents") == []


class TestFailover:
    def test_a_third_replaces_one_that_fails_in_the_middle_of_a_tick(
        self, exposed: World, tmp_path: Path
    ) -> None:
        broken = refuse(only("eth_call", "eth_estimateGas", "eth_feeHistory", "eth_getTransactionCount"))
        since = exposed.node.block_number()
        with proxies(exposed, broken, pass_on, pass_on) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with opened(config) as app:
                tick = app.desk.tick(app.desk.books[0])
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.FILLED
        assert len(trades_of(exposed, since)) == 1
        assert nodes[2].asked("eth_call") >= 2

    def test_an_ordinary_read_is_answered_by_the_next(self, fresh: World, tmp_path: Path) -> None:
        with proxies(fresh, refuse(lambda methods: True), pass_on) as nodes:
            client = client_of(fresh, tmp_path, through(*nodes))
            assert client.balance(fresh.accounts.hedger) > 0
            assert client.nonces(fresh.accounts.hedger) == (hedger_nonce(fresh),) * 2


class TestSetAside:
    def test_a_frozen_head_is_set_aside_and_the_tick_goes_on_without_it(
        self, exposed: World, tmp_path: Path
    ) -> None:
        frozen = Replay()
        with proxies(exposed, pass_on, frozen, pass_on) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with opened(config) as app:
                (book,) = app.desk.books
                client = app.desk._observer._chains["localnet"].client
                app.desk.assess(book)
                client.head()
                frozen.frozen = True
                mine(exposed, 10)
                with capture_logs() as logs:
                    record = app.desk.assess(book)
                assert record.snapshot.blocks[0].number == exposed.node.block_number()
            (warning,) = [log for log in logs if log["event"] == "provider set aside"]
            assert warning["provider"] == "localnet provider 2"
            assert "lags 10 blocks behind" in warning["why"]
            assert [each.set_aside_why is None for each in client.health()] == [True, False, True]

    def test_a_frozen_head_of_two_leaves_no_quorum_until_it_moves_again(
        self, fresh: World, tmp_path: Path
    ) -> None:
        frozen = Replay()
        with proxies(fresh, pass_on, frozen) as nodes:
            client = client_of(fresh, tmp_path, through(*nodes, set_aside_s=1))
            client.head()
            frozen.frozen = True
            mine(fresh, 10)
            with pytest.raises(
                TransientError, match=r"quorum of 2 .* localnet provider 2 is set aside: .* lags 10"
            ):
                client.head()
            frozen.frozen = False
            client._pool._now = lambda: 10.0**12  # the second has passed
            assert client.head().number == fresh.node.block_number()

    def test_a_height_that_goes_back_is_set_aside(self, fresh: World, tmp_path: Path) -> None:
        """The journal may hold an order in a block that such a node doesn't show."""
        lagging = Replay()
        with proxies(fresh, lagging) as nodes:
            client = client_of(fresh, tmp_path, through(*nodes, quorum=1))
            client.head()
            old = lagging.heard
            fresh.node.mine()
            client.head()
            lagging.frozen, lagging.heard = True, old
            with (
                capture_logs() as logs,
                pytest.raises(
                    TransientError, match="localnet provider 1 is set aside: its height went back from"
                ),
            ):
                client.head()
        assert [log["event"] for log in logs] == ["provider set aside"]


class TestSending:
    def test_a_private_relay_gets_the_orders_and_those_that_are_read_none(
        self, exposed: World, tmp_path: Path
    ) -> None:
        since = exposed.node.block_number()
        with proxies(exposed, pass_on, pass_on, pass_on) as (first, second, relay):
            config = write_config(exposed, tmp_path, edit=through(first, second, relays=(relay,)))
            with opened(config) as app:
                tick = app.desk.tick(app.desk.books[0])
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.FILLED
        assert len(trades_of(exposed, since)) == 1
        assert [body["method"] for body in relay.bodies] == [SEND]
        assert (first.asked(SEND), second.asked(SEND)) == (0, 0)

    def test_a_502_after_forwarding_is_a_doubt_that_the_chain_resolves(
        self, exposed: World, tmp_path: Path
    ) -> None:
        def swallow(methods: list[str], forward: Callable[[], Answer]) -> Answer:
            answer = forward()
            return (502, b"") if SEND in methods else answer

        since = exposed.node.block_number()
        with proxies(exposed, swallow, swallow) as nodes:
            config = write_config(exposed, tmp_path, edit=through(*nodes))
            with opened(config) as app, capture_logs() as logs:
                (book,) = app.desk.books
                tick = app.desk.tick(book)
                after = app.desk.tick(book)
                assert app.ledger.open_intents(app.account) == ()
        (doubt,) = [log for log in logs if log["event"] == "order in doubt"]
        assert (
            "no node confirmed a sent order: localnet provider 1: the node answered HTTP 502" in doubt["why"]
        )
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.FILLED
        assert isinstance(after.record.decision, Hold)
        assert len(trades_of(exposed, since)) == 1
        assert [node.asked(SEND) for node in nodes] == [1, 1]
