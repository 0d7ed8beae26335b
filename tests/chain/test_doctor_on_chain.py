"""The doctor on a real chain: every fail provoked for real, each alone, and nothing changed by looking."""

import contextlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import Cli, Edit, Proxy, as_it_is, hand_trade, hedger_nonce, opened, run_here, write_config

from bot.core.model import Mode
from bot.doctor.books import Patient
from bot.localnet.contract import Contract
from bot.localnet.market import Market
from bot.localnet.world import World

NOBODY = "0x00000000000000000000000000000000000000A1"
UNREACHABLE = "http://127.0.0.1:9"

Report = dict[str, tuple[str, str]]
"""Of each check its worst state and that finding's text with its remedy."""
Examine = Callable[..., tuple[int, Report]]
WORST = ("pass", "warn", "fail")


@pytest.fixture
def examine(
    fresh: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Examine:
    """The doctor's exit code and report on a live configuration, edited."""

    def run(edit: Edit = as_it_is, *, live: bool = True) -> tuple[int, Report]:
        config = write_config(fresh, tmp_path, live=live, edit=edit)
        before = contents(tmp_path)
        code, out, err = run_here(monkeypatch, capsys, "doctor", "--config", config, "--json")
        assert contents(tmp_path) == before, "it wrote something"
        assert "Traceback" not in err
        report: Report = {}
        for one in json.loads(out.splitlines()[-1])["checks"]:
            state, _ = report.get(one["check"], ("pass", ""))
            if WORST.index(one["state"]) >= WORST.index(state):
                report[one["check"]] = (one["state"], f"{one['text']} {one['remedy']}")
            if one["state"] != "pass":
                assert one["remedy"], one["check"]
        return code, report

    return run


def contents(folder: Path) -> dict[str, bytes]:
    """Every file, but for SQLite's own notes of who reads."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


def fails(report: Report) -> set[str]:
    return {check for check, (state, _) in report.items() if state == "fail"}


def chain(**changes: Any) -> Edit:
    def edit(document: Any) -> None:
        document["chains"]["localnet"].update(changes)

    return edit


def test_a_good_set_up_has_no_fail_and_nothing_is_sent(fresh: World, examine: Examine) -> None:
    before = hedger_nonce(fresh), fresh.node.block_number()
    code, report = examine()
    assert (code, fails(report)) == (0, set())
    assert (hedger_nonce(fresh), fresh.node.block_number()) == before
    expected = {"configuration", "signer", "localnet provider 1", "localnet quorum", "localnet contracts"}
    expected |= {"lyra-eth", "curie-eth", "eth prices", "eth privileges", "eth margin", "eth gas"}
    assert report.keys() >= expected | {"ledger", "mode", "alerts", "metrics"}


def test_a_wrong_chain_id_fails_at_the_provider(examine: Examine) -> None:
    code, report = examine(chain(chain_id=1))
    assert code == 1
    assert report["localnet provider 1"][0] == "fail"
    assert "it is on chain 31337, the configuration says 1" in report["localnet provider 1"][1]


def test_a_dead_provider_is_a_warning_while_the_others_are_enough(fresh: World, examine: Examine) -> None:
    code, report = examine(chain(rpc_urls=[UNREACHABLE, fresh.url], quorum=1))
    assert code == 0
    assert report["localnet provider 1"][0] == "warn"
    assert report["localnet provider 2"][0] == "pass"
    code, report = examine(chain(rpc_urls=[UNREACHABLE, fresh.url], quorum=2))
    assert code == 1
    assert {"localnet provider 1", "localnet quorum"} <= fails(report)
    assert report["ledger"][0] == "pass", "the other checks are made all the same"


def test_a_provider_that_lags_is_told_by_how_much(fresh: World, examine: Examine) -> None:
    def old(methods: list[str], forward: Callable[[], tuple[int, bytes]]) -> tuple[int, bytes]:
        status, content = forward()
        answers = json.loads(content)
        for answer in answers if isinstance(answers, list) else [answers]:
            if isinstance(answer.get("result"), dict) and "number" in answer["result"]:
                answer["result"]["number"] = hex(int(answer["result"]["number"], 16) - 9)
        return status, json.dumps(answers).encode()

    with Proxy(fresh.url, old) as proxy:
        _, report = examine(chain(rpc_urls=[fresh.url, proxy.url], quorum=1))
    assert report["localnet provider 2"][0] == "warn"
    assert "lags 9 blocks" in report["localnet provider 2"][1]


def test_an_address_without_a_contract_is_named_by_its_field(examine: Examine) -> None:
    def edit(document: Any) -> None:
        document["books"][0]["venue"]["quoter"] = NOBODY

    code, report = examine(edit)
    assert code == 1
    assert "curie-eth.quoter" in fails(report)
    assert NOBODY in report["curie-eth.quoter"][1]
    assert report["lyra-eth"][0] == "pass"


def test_a_contract_of_another_kind_fails_at_the_function_that_doesnt_answer(
    fresh: World, examine: Examine
) -> None:
    def edit(document: Any) -> None:
        document["books"][0]["sources"][0]["greek_cache"] = fresh.curie.usdc

    code, report = examine(edit)
    assert (code, fails(report)) == (1, {"lyra-eth"})
    assert "greek" in report["lyra-eth"][1].lower()
    assert report["curie-eth"][0] == "pass"


def test_another_local_chain_is_noticed(examine: Examine) -> None:
    _, report = examine(chain(instance="0x" + "ab" * 32))
    assert report["localnet instance"][0] == "fail"


@pytest.mark.parametrize(
    ("off_s", "state", "word"),
    [
        (1, "pass", "1 s old"),
        (70, "warn", "70 s old"),
        (600, "fail", "600 s old"),
        (-600, "fail", "600 s ahead of this computer's clock"),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_much(
    off_s: int, state: str, word: str, fresh: World, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def computer(*arguments: Any) -> Patient:
        return Patient(*arguments, now=lambda: float(fresh.node.timestamp() + off_s))

    def system_clock(document: Any) -> None:
        document["clock"] = "system"

    monkeypatch.setattr("bot.doctor.Patient", computer)
    _, report = examine(system_clock)
    assert report["localnet clock"][0] == state
    assert word in report["localnet clock"][1]


def test_a_key_without_gas_fails_live_and_warns_on_paper(fresh: World, examine: Examine) -> None:
    fresh.node.set_balance(fresh.accounts.hedger, 10**12)
    code, report = examine()
    assert (code, fails(report)) == (1, {"eth gas"})
    code, report = examine(live=False)
    assert (code, report["eth gas"][0]) == (0, "warn")


def test_a_reserve_of_gas_counts(fresh: World, examine: Examine) -> None:
    fresh.node.set_balance(fresh.accounts.hedger, 10**18)

    def edit(document: Any) -> None:
        document["books"][0]["limits"]["min_native"] = "2"

    _, report = examine(edit)
    assert report["eth gas"][0] == "fail"
    assert "2 must stay" in report["eth gas"][1]


def test_an_account_without_collateral_fails(fresh: World, examine: Examine) -> None:
    fresh.curie_contract("vault").send("withdrawAll", fresh.curie.usdc, sender=fresh.accounts.hedger)
    code, report = examine()
    assert (code, fails(report)) == (1, {"eth margin"})


def test_a_margin_below_its_levels_fails_or_warns(fresh: World, examine: Examine) -> None:
    hand_trade(fresh, 60)

    def levels(**changes: str) -> Edit:
        def edit(document: Any) -> None:
            table = {"target": "900", "warning": "800", "critical": "2", "excess": "1000"} | changes
            document["books"][0]["margin"] = {**table, "max_topup_day_usd": "1000"}

        return edit

    _, report = examine(levels())
    assert report["eth margin"][0] == "warn"
    assert "below the warning level" in report["eth margin"][1]
    code, report = examine(levels(critical="700"))
    assert (code, fails(report)) == (1, {"eth margin"})


def test_a_delegate_that_was_not_approved_fails_with_what_the_owners_sign(
    fresh: World, examine: Examine
) -> None:
    def edit(document: Any) -> None:
        document["books"][0]["venue"]["trader"] = fresh.accounts.traders[-1]
        document["books"][0]["venue"]["delegate_approval"] = fresh.curie.delegate_approval

    code, report = examine(edit)
    assert code == 1
    assert "eth privileges" in fails(report)
    assert "propose approve-delegate" in report["eth privileges"][1]


def feed(world: World, answer: int, at: int) -> Contract:
    made = world.curie_files.doubles.deploy(world.node, "MockAggregatorV2V3", sender=world.accounts.owner)
    made.send("setDecimals", 8, sender=world.accounts.owner)
    made.send("setLatestAnswer", answer, at, sender=world.accounts.owner)
    return made


@pytest.mark.parametrize(("price", "state"), [(2_000, "pass"), (2_300, "fail"), (0, "fail")])
def test_a_feed_that_disagrees_or_has_no_price_fails(
    price: int, state: str, fresh: World, examine: Examine
) -> None:
    spot = Market(fresh, 3)
    spot.set_price(Decimal(2_000))
    made = feed(fresh, price * 10**8, fresh.node.timestamp())

    def edit(document: Any) -> None:
        document["books"][0]["feeds"] = [
            {"kind": "chainlink", "name": "second", "address": made.address, "heartbeat_s": 3600}
        ]

    _, report = examine(edit)
    worst = max((report["second"][0], report["eth prices"][0]), key=WORST.index)
    assert worst == state


def test_a_sequencer_that_is_down_fails(fresh: World, examine: Examine) -> None:
    down = feed(fresh, 1, fresh.node.timestamp())
    _, report = examine(chain(sequencer_feed=down.address))
    assert report["localnet sequencer"][0] == "fail"


def test_the_mode_and_open_orders_of_the_ledger_are_told(
    fresh: World, examine: Examine, tmp_path: Path
) -> None:
    with opened(write_config(fresh, tmp_path)) as app:
        app.ledger.set_mode(app.account, Mode.HALTED, "looking", 0)
    code, report = examine()
    assert code == 0
    assert report["mode"][0] == "warn"
    assert "HALTED: looking" in report["mode"][1]
    assert report["ledger"][0] == "pass"


def test_a_ledger_of_another_account_fails(fresh: World, examine: Examine, tmp_path: Path) -> None:
    def watch(document: Any) -> None:
        document["signer"] = {"kind": "watch", "address": NOBODY}

    with opened(write_config(fresh, tmp_path, live=False, edit=watch)):
        pass
    code, report = examine()
    assert (code, fails(report)) == (1, {"ledger"})


def test_a_ledger_that_is_damaged_fails(fresh: World, examine: Examine, tmp_path: Path) -> None:
    def other(document: Any) -> None:
        document["ledger"] = "broken.db"

    (tmp_path / "broken.db").write_bytes(b"half of a ledger" * 300)
    code, report = examine(other)
    assert (code, fails(report)) == (1, {"ledger"})


def test_a_run_that_trades_is_seen_and_not_disturbed(fresh: World, examine: Examine, tmp_path: Path) -> None:
    with opened(write_config(fresh, tmp_path), trades=True):
        _, report = examine()
        assert "a run trades with it now" in report["lock"][1]


def test_a_channel_that_cant_be_used_fails(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ODD", "carrier-pigeon://somewhere")

    def edit(document: Any) -> None:
        document["alerts"] = {"channels": [{"name": "odd", "url": "env:ODD"}]}

    code, report = examine(edit)
    assert (code, fails(report)) == (1, {"alerts odd"})


def test_a_configuration_that_is_wrong_is_the_only_finding(examine: Examine) -> None:
    code, report = examine(chain(quorum=3))
    assert code == 1
    assert report.keys() == {"configuration"}


class TestWatchedRun:
    """`vaultkeel run` as a process with everything that watches it."""

    def test_metrics_health_alerts_and_systemd_see_a_run_that_a_hanging_channel_doesnt_slow(
        self, fresh: World, tmp_path: Path
    ) -> None:
        Market(fresh, 3).open_interest(14)
        port = free_port()

        def edit(document: Any) -> None:
            document["interval_s"] = 1
            document["metrics"] = {"listen": f"127.0.0.1:{port}"}
            document["alerts"] = {"channels": [{"name": "hanging", "url": "env:HANGING", "least": "info"}]}

        config = write_config(fresh, tmp_path, live=False, edit=edit)
        notify = tmp_path / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, socket.socket() as hanging:
            systemd.bind(str(notify))
            systemd.settimeout(30)
            hanging.bind(("127.0.0.1", 0))
            hanging.listen(8)  # it takes connections and never answers
            env = {
                "NOTIFY_SOCKET": str(notify),
                "HANGING": f"json://127.0.0.1:{hanging.getsockname()[1]}/",
            }
            with Cli(tmp_path, "run", "--config", config, "--log-format", "json", env=env) as run:
                assert systemd.recv(100) == b"READY=1"
                assert systemd.recv(100) == b"WATCHDOG=1"
                wait_until(lambda: get(port, "/ready")[0] == 200)
                assert get(port, "/live") == (200, "ok\n")
                wait_until(lambda: figure(port, 'vaultkeel_ticks_total{book="eth"') >= 4)
                text = get(port, "/metrics")[1]
                assert "vaultkeel_alerts_dropped_total 0.0" in text
                slowest = figure(port, "vaultkeel_tick_duration_seconds_sum") / figure(
                    port, "vaultkeel_tick_duration_seconds_count"
                )
                assert slowest < 3, "the channel hangs for four seconds at every try"
                begun = time.monotonic()
                run.signal(signal.SIGTERM)
                assert run.code == 0
                assert time.monotonic() - begun < 15
            lines = [line for line in run.err.splitlines() if line.startswith("{")]
            ticks = [entry for entry in map(json.loads, lines) if entry["event"] == "tick"]
            assert len(ticks) >= 4
            assert all(tick["why"] and tick["book"] == "eth" for tick in ticks)
            systemd.setblocking(False)
            heard = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(systemd.recv(100))
            assert heard[-1] == b"STOPPING=1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def figure(port: int, name: str) -> float:
    """The sum of all samples whose line begins with `name`."""
    lines = get(port, "/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


def wait_until(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 40
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.1)
