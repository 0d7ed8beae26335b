"""The command line as an operator runs it: processes, files, signals, exit codes."""

import json
import os
import re
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support import Cli, ledger_bytes, rows, run_here

from bot.chain.contracts import contract
from bot.config import load_config
from bot.localnet.node import Node, RpcError
from bot.share import share

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="finds a process's children in /proc")

Here = Callable[..., tuple[int, str, str]]


@dataclass(frozen=True)
class Served:
    """A chain that a process of ours keeps up."""

    run: Cli
    ready: dict[str, Any]

    @property
    def url(self) -> str:
        return str(self.ready["rpc_url"])

    @property
    def config(self) -> Path:
        return Path(self.ready["config"])

    @property
    def hedger(self) -> str:
        return str(self.ready["accounts"]["hedger"])


def start(folder: Path, *command: str | Path) -> Cli:
    """Starts a chain, with everything that it writes in `folder`."""
    return Cli(folder, *command, "--json", "--out", folder / "out")


def announced(run: Cli) -> Served:
    """A chain that was started, once it is up."""
    line = run.first_line()
    assert line, run.err
    return Served(run, json.loads(line))


@dataclass(frozen=True)
class Runs:
    """Processes that are started side by side, for what takes the time is Python's start."""

    localnet: Served
    spare: Served
    unknown_key: Cli
    without_packages: Cli
    demo: Cli


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """All of the above; the folder of each is its own."""

    def folder() -> Path:
        return tmp_path_factory.mktemp("run")

    with ExitStack() as stack:
        chains = [start(folder(), "localnet", "--move-every", "0") for _ in range(2)]
        unknown_key, packageless = misconfigured(folder()), without_packages(folder())
        for run in (*chains, unknown_key, packageless):
            stack.enter_context(run)
        first, second = (announced(run) for run in chains)
        # Judged last, so that it runs beside everything else.
        demo = start(folder(), "demo", "--hours", "3", "--seed", "5")
        stack.enter_context(demo)
        yield Runs(first, second, unknown_key, packageless, demo)


@pytest.fixture(scope="module")
def localnet(runs: Runs) -> Served:
    """The chain that most tests use."""
    return runs.localnet


@pytest.fixture(scope="module")
def forks(localnet: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Served]]:
    """Two forks of the local chain."""
    command = ("fork", "--rpc", localnet.url, "--chain-config", localnet.config)
    first, second = (start(tmp_path_factory.mktemp("fork"), *command) for _ in range(2))
    with first, second:
        yield announced(first), announced(second)


def misconfigured(folder: Path) -> Cli:
    """A run with a key in its configuration that does not exist."""
    example = share("config", "localnet.toml").read_text(encoding="utf-8")
    wrong = example.replace("[books.limits]", '[books.limits]\nmax_ordr = "1"')
    (folder / "wrong.toml").write_text(wrong, encoding="utf-8")
    return Cli(folder, "once", "--config", "wrong.toml", env={"VAULTKEEL_KEY": "0x" + "11" * 32})


def bare_environment(folder: Path) -> dict[str, str]:
    """Variables without a cache, without anvil, and with an npm that has no network."""
    programs = folder / "programs"
    programs.mkdir()
    npm = programs / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n")
    npm.chmod(0o755)
    return {"PATH": str(programs), "VAULTKEEL_CACHE": str(folder / "cache")}


def without_packages(folder: Path) -> Cli:
    """A local chain that can't be had."""
    return Cli(folder, "localnet", "--out", "net", env=bare_environment(folder))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process, for the many small runs."""
    return lambda *arguments: run_here(monkeypatch, capsys, *arguments)


def copied(served: Served, folder: Path, mode: str = "live") -> Path:
    """A copy of a chain's configuration and key in `folder`, with a ledger of its own."""
    text = served.config.read_text(encoding="utf-8")
    assert 'mode = "paper"' in text
    copy = folder / "vaultkeel.toml"
    copy.write_text(text.replace('mode = "paper"', f'mode = "{mode}"'), encoding="utf-8")
    key = folder / "hedger.key"
    key.write_text(served.config.with_name("hedger.key").read_text(encoding="utf-8"), encoding="utf-8")
    key.chmod(0o600)
    return copy


def children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@dataclass(frozen=True)
class Facts:
    """What a transaction would change of a chain, without what an empty block changes."""

    nonces: tuple[int, ...]
    positions: tuple[str, ...]


class TestLocalnet:
    def test_its_first_line_says_where_everything_is(self, localnet: Served) -> None:
        assert localnet.ready.keys() >= {"rpc_url", "chain_id", "config", "accounts"}
        assert localnet.ready["chain_id"] == 31_337
        assert localnet.url.startswith("http://127.0.0.1:")
        assert localnet.config.is_file()
        key = localnet.config.with_name("hedger.key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        node = Node(localnet.url)
        for name in ("option vault", "perp clearing house", "multicall"):
            assert node.code_size(localnet.ready["accounts"][name]) > 0
        assert load_config(localnet.config).mode == "paper"

    def test_its_blocks_go_on_though_its_market_stands_still(self, localnet: Served) -> None:
        node = Node(localnet.url)
        before, deadline = node.block_number(), time.monotonic() + 10
        while node.block_number() == before:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert abs(node.timestamp() - time.time()) < 30

    def test_status_once_and_run_work_against_it(self, localnet: Served, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        folder.mkdir()
        with (
            Cli(tmp_path, "once", "--config", localnet.config, "--json") as once,
            Cli(folder, "run", "--config", copied(localnet, folder, "paper"), "--json") as run,
        ):
            done = once.json()
            assert done["outcome"]["state"] == "PAPER"
            assert len(done["positions"]) > 3
            assert abs(float(done["delta"]["net"])) > 0.5
            with Cli(tmp_path, "status", "--config", localnet.config, "--json") as status:
                drained(run, folder)
                shown = status.json()
        assert (shown["trading"], shown["mode"]) == ("paper", "ACTIVE")
        assert len(shown["positions"]) == len(done["positions"])


def drained(run: Cli, folder: Path) -> None:
    """A run that is told to end in the middle of its first tick finishes that tick first."""
    assert run.process.stderr is not None
    seen = ""
    while '"event": "tick"' not in seen:
        seen += (line := run.process.stderr.readline())
        assert line, seen
    run.signal(signal.SIGTERM)
    assert run.code == 0, seen + run.err
    assert "SIGTERM received: finishing the tick in flight" in seen + run.err
    (ledger,) = folder.glob("*.db")
    finished = rows(ledger, "SELECT id FROM ticks")
    assert json.loads(run.out) == {"ticks": len(finished), "fatal": ""}
    assert set(rows(ledger, "SELECT outcome FROM intents")) == {("PAPER",)}


class TestHalt:
    def test_it_holds_until_resumed(self, forks: tuple[Served, Served], tmp_path: Path, here: Here) -> None:
        config = copied(forks[1], tmp_path)
        with Cli(tmp_path, "halt", "looking into the oracle", "--config", config, "--json") as halt:
            assert halt.json()["mode"] == "HALTED"
        code, out, _ = here("once", "--config", config, "--json")
        held = json.loads(out)
        assert (code, held["decision"]["code"], held["order"]) == (0, "HALTED", None)
        code, out, _ = here("status", "--config", config)
        assert "HALTED" in out
        assert "looking into the oracle" in out
        code, out, _ = here("resume", "--config", config, "--json")
        assert json.loads(out)["mode"] == "ACTIVE"
        code, out, _ = here("once", "--config", config, "--json")
        traded = json.loads(out)
        assert (code, traded["outcome"]["state"]) == (0, "FILLED")


class TestFork:
    def test_it_is_a_chain_of_its_own_with_a_key_of_its_own(
        self, localnet: Served, forks: tuple[Served, Served]
    ) -> None:
        ids = {served.ready["chain_id"] for served in (localnet, *forks)}
        hedgers = {served.hedger for served in (localnet, *forks)}
        assert len(ids) == len(hedgers) == 3
        for served in forks:
            node = Node(served.url)
            assert int(node.rpc("eth_chainId"), 16) == served.ready["chain_id"]
            key = served.config.with_name("hedger.key")
            assert stat.S_IMODE(key.stat().st_mode) == 0o600
            config = load_config(served.config)
            assert config.mode == "paper"
            assert config.chains["localnet"].chain_id == served.ready["chain_id"]
            source = load_config(localnet.config)
            assert config.books[0].sources == source.books[0].sources
            assert config.books[0].venue == source.books[0].venue
            assert config.ledger != source.ledger

    def test_a_live_order_on_it_leaves_the_source_alone_and_is_refused_there(
        self, localnet: Served, forks: tuple[Served, Served], tmp_path: Path, here: Here
    ) -> None:
        served, source = forks[0], Node(localnet.url)
        before, height = facts(localnet, served), source.block_number()
        forked = source.rpc("eth_getBlockByNumber", hex(height), False)["hash"]
        config = copied(served, tmp_path)
        code, out, _ = here("status", "--config", config, "--json")
        assert code == 0
        assert json.loads(out)["venue"]["account"] == served.hedger
        with Cli(tmp_path, "once", "--config", config, "--json") as once:
            done = once.json()
        assert done["outcome"]["state"] == "FILLED"
        code, out, _ = here("status", "--config", config, "--json")
        after = json.loads(out)
        assert float(after["venue"]["position"]) == float(done["decision"]["size"])
        assert abs(after["delta"]["net"]) < 0.5
        assert facts(localnet, served) == before
        latest = source.block_number()
        blocks = [source.rpc("eth_getBlockByNumber", hex(n), False) for n in range(height + 1, latest + 1)]
        assert all(block["transactions"] == [] for block in blocks)
        assert source.rpc("eth_getBlockByNumber", hex(height), False)["hash"] == forked
        ((raw,),) = rows(load_config(config).ledger, "SELECT raw FROM attempts")
        with pytest.raises(RpcError, match=r"(?i)chain.?id"):
            source.rpc("eth_sendRawTransaction", "0x" + raw.hex())
        assert facts(localnet, served) == before

    def test_a_ledger_of_one_fork_refuses_another(
        self, forks: tuple[Served, Served], tmp_path: Path, here: Here
    ) -> None:
        one, other = forks
        config = copied(one, tmp_path)
        assert here("halt", "so that there is a ledger", "--config", config)[0] == 0
        ledger = load_config(config).ledger
        theirs = copied(other, tmp_path)
        own = load_config(theirs).ledger.name
        theirs.write_text(theirs.read_text().replace(own, ledger.name))
        with Cli(tmp_path, "once", "--config", theirs) as once:
            assert once.code == 2
            assert once.out == ""
            *_, line = once.err.splitlines()
        assert line.startswith(
            f"ConfigError: ledger: it belongs to chain_id {one.ready['chain_id']} of localnet"
        )
        assert str(other.ready["chain_id"]) in line
        assert here("once", "--config", theirs)[0] == 2

    def test_a_source_that_is_not_there_is_one_line_without_its_address(
        self, tmp_path: Path, here: Here
    ) -> None:
        code, out, err = here(
            "fork", "--rpc", "http://127.0.0.1:9/v3/s3cr3t-t0k3n", "--out", tmp_path / "out"
        )
        assert (code, out) == (3, "")
        assert err == "TransientError: the source chain: the node can't be reached (ConnectionError)\n"

    def test_a_configuration_of_another_chain_is_refused(
        self, localnet: Served, forks: tuple[Served, Served], tmp_path: Path, here: Here
    ) -> None:
        arguments = ("--rpc", localnet.url, "--chain-config", forks[0].config, "--out", tmp_path / "out")
        code, out, err = here("fork", *arguments)
        assert (code, out) == (2, "")
        assert f"chain_id is {forks[0].ready['chain_id']}, the chain to fork has 31337" in err
        assert not (tmp_path / "out").exists()


def facts(source: Served, fork_: Served) -> Facts:
    """What the source chain knows of both accounts."""
    node, accounts = Node(source.url), (source.hedger, fork_.hedger)
    nonces = tuple(int(node.rpc("eth_getTransactionCount", a, "pending"), 16) for a in accounts)
    sizes = tuple(position(node, source, account) for account in accounts)
    return Facts(nonces, sizes)


def position(node: Node, source: Served, account: str) -> str:
    venue = load_config(source.config).books[0].venue
    balances = contract("curie_account_balance", venue.account_balance)
    answer = node.call(
        balances.address, balances.abi.encode("getTakerPositionSize", account, venue.base_token)
    )
    return str(balances.abi.decode_output("getTakerPositionSize", answer))


class TestMistakes:
    def test_an_unknown_key_is_one_line(self, runs: Runs) -> None:
        run = runs.unknown_key
        assert run.code == 2
        assert run.out == ""
        said = "wrong.toml: books.0.limits.max_ordr: this key is not known; did you mean max_order?"
        assert run.err == f"ConfigError: {said}\n"
        assert ledger_bytes(run.folder) == b""

    @pytest.mark.parametrize(
        ("signer", "says"),
        [
            (
                'kind = "keystore"\nkeystore = "none.json"\npassword = "env:VAULTKEEL_NO_SUCH"',
                "vaultkeel.toml: signer.password: the environment variable VAULTKEEL_NO_SUCH is not set",
            ),
            (
                'kind = "keystore"\nkeystore = "none.json"\npassword = "file:none.txt"',
                "vaultkeel.toml: signer.password: none.txt can't be read: No such file or directory",
            ),
            (
                'kind = "keystore"\nkeystore = "none.json"\npassword = "file:hedger.key"',
                "signer.keystore: {folder}/none.json can't be read: No such file or directory",
            ),
            (
                'kind = "keystore"\nkeystore = "hedger.key"\npassword = "file:hedger.key"',
                "signer.keystore: {folder}/hedger.key is not a keystore file",
            ),
            (
                'kind = "key"\nplain_key = true\nkey = "file:words.txt"',
                "signer.key: this is not a private key of 32 bytes in hex",
            ),
        ],
        ids=["password not set", "password file missing", "keystore missing", "not a keystore", "not a key"],
    )
    def test_a_missing_secret_is_one_line(
        self, localnet: Served, tmp_path: Path, here: Here, signer: str, says: str
    ) -> None:
        config = copied(localnet, tmp_path)
        (tmp_path / "words.txt").touch(mode=0o600)
        (tmp_path / "words.txt").write_text("no key at all")
        text = config.read_text()
        start = text.index("[signer]")
        end = text.index("[chains", start)
        config.write_text(text[:start] + f"[signer]\n{signer}\n\n" + text[end:])
        code, out, err = here("once", "--config", config)
        assert (code, out) == (2, "")
        assert err == f"ConfigError: {says.format(folder=tmp_path)}\n"
        assert ledger_bytes(tmp_path) == b""

    def test_without_packages_and_network_it_says_what_is_missing_and_what_to_do(
        self, runs: Runs, tmp_path: Path, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = runs.without_packages
        says = "could not be downloaded (npm: ENOTFOUND): connect to the network once and run again"
        assert run.code == 2
        assert run.out == ""
        last = run.err.splitlines()[-1]
        assert re.match(r"ConfigError: @foundry-rs/anvil-\S+@\d+\.\d+\.\d+ could not", last), last
        assert says in last
        assert "Traceback" not in run.err
        assert not (run.folder / "net").exists()
        for name, value in bare_environment(tmp_path).items():
            monkeypatch.setenv(name, value)
        code, out, err = here("demo", "--hours", "1", "--out", tmp_path / "demo", "--json")
        assert code == 2
        assert says in json.loads(out)["message"]
        assert says in err.replace("\n", " ")


class Sources(HTMLParser):
    """Everything that a page would load, and every address that it would lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collects what the attributes that load or lead somewhere say."""
        self.found += [value or "" for name, value in attrs if name in LOADING]


LOADING = ("src", "srcset", "href", "data", "poster", "action", "background")


class TestDemo:
    def test_its_last_line_is_its_result(self, runs: Runs) -> None:
        shown = runs.demo.json()
        wanted = """hours ticks hedges rejected boards_settled variance_reduction pnl_std_unhedged_usd
            pnl_std_hedged_usd max_abs_delta_before max_abs_delta_after cost_usd txs ledger report"""
        assert shown.keys() >= set(wanted.split())
        assert shown["cost_usd"].keys() == {"fees", "impact", "gas", "funding"}
        assert shown["hours"] == 3
        assert shown["ticks"] >= 13
        assert shown["hedges"] == len(shown["txs"]) > 3
        assert shown["rejected"] == 0
        assert 0 < shown["max_abs_delta_after"] < shown["max_abs_delta_before"]
        assert 0 < shown["pnl_std_hedged_usd"] < shown["pnl_std_unhedged_usd"]
        ratio = shown["pnl_std_hedged_usd"] / shown["pnl_std_unhedged_usd"]
        assert shown["variance_reduction"] == pytest.approx(1 - ratio**2, abs=1e-3)
        assert len(runs.demo.out.splitlines()) == 1
        assert "Traceback" not in runs.demo.err

    def test_its_transactions_and_costs_are_the_ledgers(self, runs: Runs) -> None:
        shown = runs.demo.json()
        ledger = Path(shown["ledger"])
        assert ledger.parent == runs.demo.folder / "out"
        attempts = rows(ledger, "SELECT hash, state FROM attempts")
        assert {tx for tx, _ in attempts} == set(shown["txs"])
        assert {state for _, state in attempts} == {"MINED_OK"}
        fees, impact = (
            sum(float(value) for (value,) in rows(ledger, f"SELECT {column} FROM fills"))  # noqa: S608
            for column in ("fee_usd", "impact_usd")
        )
        assert shown["cost_usd"]["fees"] == pytest.approx(fees, abs=1e-3)
        assert shown["cost_usd"]["impact"] == pytest.approx(impact, abs=1e-3)
        assert shown["ticks"] == rows(ledger, "SELECT count(*) FROM ticks")[0][0]

    def test_its_key_is_in_no_report_ledger_or_output(self, runs: Runs) -> None:
        shown = runs.demo.json()
        folder = Path(shown["ledger"]).parent
        key = (folder / "hedger.key").read_text(encoding="utf-8").strip().removeprefix("0x")
        assert len(key) == 64
        page = Path(shown["report"]).read_bytes()
        for written in (page, ledger_bytes(folder), runs.demo.out.encode(), runs.demo.err.encode()):
            assert key.encode() not in written.lower()
            assert bytes.fromhex(key) not in written

    def test_its_report_needs_nothing_else(self, runs: Runs) -> None:
        shown = runs.demo.json()
        page = Path(shown["report"]).read_text(encoding="utf-8")
        assert not re.search(r"https?://", page)
        assert "@import" not in page
        assert not re.search(r"url\((?!['\"]?data:)", page)
        sources = Sources()
        sources.feed(page)
        assert sources.found
        assert all(source.startswith(("data:", "#")) for source in sources.found)
        assert Path(shown["picture"]).stat().st_size > 10_000


class TestTheEnd:
    """Last, for it ends the chain that the other tests use."""

    @linux_only
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
    def test_a_signal_ends_it_well_and_leaves_no_node(self, runs: Runs, number: signal.Signals) -> None:
        run = (runs.localnet if number is signal.SIGINT else runs.spare).run
        (anvil,) = children(run.pid)
        run.signal(number)
        assert run.code == 0, run.err
        assert not exists(anvil)
        assert "Traceback" not in run.err
