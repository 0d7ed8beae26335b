"""What the chain tests share: the desk on a world, the command line as a process, a proxy that interferes."""

import contextlib
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import urlsplit

import pytest
import structlog
import tomlkit

from bot.app import App, build
from bot.chain.client import Client
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.cli import main
from bot.config import load_config
from bot.core.model import BlockRef, SourceState, VenueState
from bot.localnet.configuration import world_config, write_files
from bot.localnet.lyra_parameters import wei
from bot.localnet.node import Log, Receipt
from bot.localnet.world import World
from bot.options.lyra import LyraAddresses, LyraSource
from bot.ports import Part
from bot.venues.curie import CurieAddresses, CurieVenue

CALL_GAS = 25_000_000
CLI_TIMEOUT_S = 60.0
LOT = Decimal("0.001")

FIXED_BAND = {"kind": "delta_band", "trigger": "0.5", "min_trade": "0.1"}
"""What is tested here is what becomes of a decision, not how much risk the policy of the day would bear."""

CHOSEN_LIMITS = (
    "max_order_usd",
    "max_leverage",
    "max_price_move",
    "max_trades_hour",
    "max_turnover_day_usd",
    "max_gas_day_usd",
)
"""Limits that the shipped configuration sets though they need not be: a test sets those that it is about."""

Edit = Callable[[Any], None]


def as_it_is(_document: Any) -> None:
    """No change to a configuration."""


def write_config(world: World, folder: Path, *, live: bool = True, edit: Edit = as_it_is) -> Path:
    """A configuration for `world` on the chain's own time, its key and its ledger in `folder`."""
    document = world_config(world)
    document.update({"mode": "live" if live else "paper", "clock": "chain"})
    document["books"][0].update({"policy": FIXED_BAND, "doubts": {"vol": "0"}})
    document["books"][0].pop("margin")  # its own tests put it back
    for name in CHOSEN_LIMITS:
        del document["books"][0]["limits"][name]
    edit(document)
    return write_files(folder, tomlkit.dumps(document), world.hedger_key)


@contextlib.contextmanager
def opened(path: Path, *, trades: bool = False) -> Iterator[App]:
    """The desk of a configuration."""
    app = build(load_config(path), trades=trades)
    try:
        yield app
    finally:
        app.close()


def adopt(app: App) -> None:
    """What `vaultkeel adopt --yes` does: the position that the venue has is the one to expect."""
    for book in app.desk.books:
        found, block = app.desk.compare(book)
        app.ledger.adopt(found.account, found.market, found.actual, block, "adopted", 0)


def lyra_source(world: World) -> LyraSource:
    """The world's option pool."""
    lyra = world.lyra
    addresses = LyraAddresses(
        viewer=lyra.viewer,
        market=lyra.option_market,
        option_token=lyra.option_token,
        greek_cache=lyra.greek_cache,
        liquidity_pool=lyra.liquidity_pool,
        pool_hedger=lyra.pool_hedger,
        base_asset=lyra.base_asset,
        exchange_adapter=lyra.synthetix_adapter,
    )
    return LyraSource("lyra-eth", "localnet", addresses)


def curie_venue(world: World) -> CurieVenue:
    """The hedger's account in the world's perp market."""
    addresses = CurieAddresses(**{name: getattr(world.curie, name) for name in CurieAddresses.__slots__})
    return CurieVenue("curie-eth", "localnet", world.accounts.hedger, addresses, LOT)


def read_part(world: World, part: Part) -> tuple[BlockRef, Any]:
    """A part's state at the head, with that block."""
    client = Client.of_one("localnet", world.url)
    block = client.head()
    (state,) = drive(client, contract("multicall3", world.multicall), block, [part.read()], CALL_GAS)
    return block, state


def read_source(world: World) -> tuple[BlockRef, SourceState]:
    """The option pool's state at the head."""
    block, state = read_part(world, lyra_source(world))
    return block, cast(SourceState, state)


def read_venue(world: World) -> VenueState:
    """The hedger's perp account at the head."""
    return cast(VenueState, read_part(world, curie_venue(world))[1])


def events_of(world: World, event: str, since: int) -> list[dict[str, Any]]:
    """The hedger's events of this name after block `since`, decoded with the protocol's own ABI."""
    house = world.curie_contract("clearing_house")
    found = world.node.rpc("eth_getLogs", {"address": house.address, "fromBlock": hex(since)})
    logs = tuple(
        Log(
            entry["address"],
            tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"]),
            bytes.fromhex(entry["data"][2:]),
        )
        for entry in found
        if int(entry["blockNumber"], 16) > since
    )
    events = house.interface.events(event, Receipt("", 0, 0, None, logs))
    return [entry for entry in events if entry["trader"] == world.accounts.hedger]


def trades_of(world: World, since: int) -> list[Decimal]:
    """The sizes that the hedger traded after block `since`, as the protocol says."""
    return [Decimal(e["exchangedPositionSize"]) / 10**18 for e in events_of(world, "PositionChanged", since)]


def hand_trade(world: World, size: int) -> None:
    """The hedger trades past the desk, at any price."""
    hedger = world.accounts.hedger
    order = {
        "baseToken": world.curie.base_token,
        "isBaseToQuote": size < 0,
        "isExactInput": size < 0,
        "amount": wei(abs(size)),
        "oppositeAmountBound": 0,
        "deadline": 2**255,
        "sqrtPriceLimitX96": 0,
        "referralCode": bytes(32),
    }
    world.curie_contract("clearing_house").send("openPosition", order, sender=hedger)


def hedger_nonce(world: World) -> int:
    """How many transactions of the hedger's are mined."""
    return int(world.node.rpc("eth_getTransactionCount", world.accounts.hedger, "latest"), 16)


def rows(ledger: Path, query: str) -> list[tuple[Any, ...]]:
    """What a query finds in a ledger, read past the program that wrote it."""
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        return db.execute(query).fetchall()


def ledger_bytes(folder: Path) -> bytes:
    """Everything that the ledgers below a folder hold on the disk, their write-ahead logs included."""
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*.db*")))


def _default_signals() -> None:
    # A runner in a shell's background has SIGINT ignored, and a child would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Cli:
    """A run of the command line in a process of its own, in `folder`."""

    def __init__(self, folder: Path, *arguments: str | Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bot", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_default_signals,
        )
        self._done: tuple[str, str] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def first_line(self) -> str:
        """The first line of standard output, once it is there. "" where the run ended without one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def signal(self, number: int) -> None:
        """Signals this process alone."""
        self.process.send_signal(number)

    def wait(self) -> tuple[str, str]:
        """Standard output and standard error, once the run has ended."""
        if self._done is None:
            try:
                self._done = self.process.communicate(timeout=CLI_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        return self._done

    @property
    def code(self) -> int:
        """The exit code, once the run has ended."""
        self.wait()
        return self.process.returncode

    @property
    def out(self) -> str:
        """All of standard output."""
        return self.wait()[0]

    @property
    def err(self) -> str:
        """All of standard error."""
        return self.wait()[1]

    def json(self) -> dict[str, Any]:
        """The last line of standard output as JSON."""
        assert self.code == 0, self.err
        return cast(dict[str, Any], json.loads(self.out.splitlines()[-1]))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.wait()
            finally:
                if self.process.poll() is None:
                    self.process.kill()


def run_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> tuple[int, str, str]:
    """The command line's own entry point in this process, which spares Python's start: code, output and errors."""
    monkeypatch.setattr(sys, "argv", ["vaultkeel", *map(str, arguments)])
    capsys.readouterr()
    try:
        with pytest.raises(SystemExit) as end:
            main()
    finally:
        structlog.reset_defaults()  # else later tests would log to this test's standard error
    shown = capsys.readouterr()
    return int(end.value.code or 0), shown.out, shown.err


Answer = tuple[int, bytes]
Rule = Callable[[list[str], Callable[[], Answer]], Answer]
"""What a proxy answers to a request with these methods; the second argument asks the node."""


def pass_on(_methods: list[str], forward: Callable[[], Answer]) -> Answer:
    """The node's own answer."""
    return forward()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle of its request is what some tests are about."""


class Proxy:
    """Stands on loopback between the bot and a node, remembers what passes, and answers by a rule."""

    def __init__(self, target: str, rule: Rule = pass_on) -> None:
        self.rule = rule
        self.bodies: list[Any] = []
        host, port = urlsplit(target).hostname, urlsplit(target).port
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(raw)
                proxy.bodies.append(body)
                methods = [part["method"] for part in (body if isinstance(body, list) else [body])]

                def forward() -> Answer:
                    node = http.client.HTTPConnection(str(host), port, timeout=30)
                    with contextlib.closing(node):
                        node.request("POST", "/", raw, {"content-type": "application/json"})
                        answer = node.getresponse()
                        return answer.status, answer.read()

                status, content = proxy.rule(methods, forward)
                with contextlib.suppress(
                    BrokenPipeError, ConnectionResetError
                ):  # the rule may have killed it
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request, those of a batch one by one."""
        return [part for body in self.bodies for part in (body if isinstance(body, list) else [body])]

    def asked(self, method: str) -> int:
        """How often this method was asked."""
        return sum(request["method"] == method for request in self.requests)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
