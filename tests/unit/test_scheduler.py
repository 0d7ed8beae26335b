"""The scheduler as a real process: signals drain, errors end what they should, and no two ticks overlap."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from builders import ACCOUNT, decided, exposure

from bot.core.accounts import Account
from bot.core.model import Band, Bound, Hold, Outcome, OutcomeState, Wake
from bot.errors import TransientError
from bot.log import set_up_logs
from bot.scheduler import ALERT_AFTER, Runner

HERE = Path(__file__).parent
FOREVER_S = 1000
TIMEOUT_S = 10


class Run:
    """A scheduler that runs in a process of its own, and the lines that it has written."""

    def __init__(self, forker: subprocess.Popen[str], path: Path) -> None:
        self._forker = forker
        self._path = path
        self.pid = int(self._answer())
        self.ended = False

    @property
    def lines(self) -> list[str]:
        """All so far."""
        return self._path.read_text().splitlines() if self._path.exists() else []

    def until(self, line: str, times: int = 1) -> None:
        """Waits until `line` was written so often."""
        give_up = time.monotonic() + TIMEOUT_S
        while self.lines.count(line) < times:
            assert time.monotonic() < give_up, f"there was no {line!r} in {self.lines}"
            time.sleep(0.01)

    def send(self, number: int) -> None:
        """A signal, as from a service manager or a terminal."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """The exit code; one that doesn't end is killed."""
        killer = threading.Timer(TIMEOUT_S, os.kill, (self.pid, signal.SIGKILL))
        killer.start()
        try:
            return int(self._answer())
        finally:
            self.ended = True
            killer.cancel()

    def _answer(self) -> str:
        assert self._forker.stdout is not None
        return self._forker.stdout.readline()


@pytest.fixture(scope="module")
def forker() -> Iterator[subprocess.Popen[str]]:
    """The process that every run is a fork of."""
    command = [sys.executable, str(HERE / "stub_desk.py")]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=HERE.parent.parent,
    ) as process:
        yield process
        process.kill()


Start = Callable[..., Run]


@pytest.fixture
def start(forker: subprocess.Popen[str], tmp_path: Path) -> Iterator[Start]:
    """Begins a run with a script per book. A run that a test has left alone is ended after it."""
    runs: list[Run] = []

    def begin(*scripts: str, interval_s: int = FOREVER_S, early: bool = False) -> Run:
        assert forker.stdin is not None
        path = tmp_path / "lines"
        print(path, "EARLY" if early else "-", interval_s, *scripts, file=forker.stdin, flush=True)
        runs.append(Run(forker, path))
        return runs[-1]

    yield begin
    for left in (run for run in runs if not run.ended):
        left.send(signal.SIGKILL)
        left.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_tick_in_flight_finish_and_no_new_one_begin(
    start: Start, number: signal.Signals
) -> None:
    scheduler = start("slow+soon", "soon")
    scheduler.until("begin 0 slow")
    scheduler.send(number)
    assert scheduler.end() == 0
    said = f"said {number.name} received: finishing the tick in flight"
    assert sorted(scheduler.lines) == sorted(["begin 0 slow", said, "end 0", "ticks 1"])
    assert scheduler.lines.index("end 0") < scheduler.lines.index("ticks 1")


def test_a_signal_that_comes_before_the_first_tick_is_not_lost(start: Start) -> None:
    scheduler = start("once", early=True)
    assert scheduler.end() == 0
    assert "said SIGTERM received: finishing the tick in flight" in scheduler.lines


def test_a_signal_between_two_ticks_ends_at_once(start: Start) -> None:
    scheduler = start("once")
    scheduler.until("end 0")
    begun = time.monotonic()
    scheduler.send(signal.SIGTERM)
    assert scheduler.end() == 0
    assert time.monotonic() - begun < 3
    assert scheduler.lines[-1] == "ticks 1"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_break_the_drain(start: Start, second: signal.Signals) -> None:
    scheduler = start("slow")
    scheduler.until("begin 0 slow")
    scheduler.send(signal.SIGTERM)
    scheduler.until("said SIGTERM received: finishing the tick in flight")
    scheduler.send(second)
    assert scheduler.end() == 0
    assert scheduler.lines[-2:] == ["end 0", "ticks 1"]


def test_a_config_error_ends_the_run_and_is_its_fatal_error(start: Start) -> None:
    scheduler = start("ConfigError", "soon")
    assert scheduler.end() == 2
    assert scheduler.lines == ["begin 0 ConfigError", "end 0", "ticks 1", "fatal ConfigError a ConfigError"]


def test_a_config_error_of_the_tick_that_is_drained_is_told_as_well(start: Start) -> None:
    scheduler = start("slowConfigError")
    scheduler.until("begin 0 slowConfigError")
    scheduler.send(signal.SIGTERM)
    assert scheduler.end() == 2
    assert scheduler.lines[-2:] == ["ticks 1", "fatal ConfigError a ConfigError"]


def test_no_other_error_ends_the_run_or_the_other_books(start: Start) -> None:
    kinds = ("TransientError", "DataError", "OrderRejected", "OutcomeUnknown", "Halt", "Bug")
    scheduler = start("+".join([*kinds, "fine"]), "fine", interval_s=0)
    scheduler.until("begin 0 fine")
    scheduler.until("begin 1 fine", times=len(kinds))
    scheduler.send(signal.SIGTERM)
    assert scheduler.end() == 0
    begun = [line for line in scheduler.lines if line.startswith("begin 0")]
    assert begun[: len(kinds)] == [f"begin 0 {kind}" for kind in kinds]


def test_a_book_comes_back_when_its_tick_says_so_and_ticks_never_overlap(start: Start) -> None:
    scheduler = start("soon", "slow", interval_s=0)
    scheduler.until("begin 1 slow", times=2)
    scheduler.send(signal.SIGTERM)
    assert scheduler.end() == 0
    steps = [line.split()[0] for line in scheduler.lines if line.startswith(("begin", "end"))]
    assert steps == ["begin", "end"] * (len(steps) // 2)
    assert scheduler.lines.count("begin 0 soon") >= 2


def test_books_of_two_accounts_tick_side_by_side_and_a_signal_drains_both(start: Start) -> None:
    scheduler = start("1/slow", "2/slow", interval_s=0)
    scheduler.until("begin 0 slow")
    scheduler.until("begin 1 slow")
    scheduler.send(signal.SIGTERM)
    assert scheduler.end() == 0
    lines = [line for line in scheduler.lines if line.startswith(("begin", "end"))]
    assert {line.split()[1] for line in lines[:2]} == {"0", "1"}, "neither waited for the other's end"
    assert sorted(lines) == ["begin 0 slow", "begin 1 slow", "end 0", "end 1"]
    assert scheduler.lines[-1] == "ticks 2"


def test_an_account_whose_ticks_hang_does_not_hold_up_anothers(start: Start) -> None:
    scheduler = start("1/hang", "2/soon", "2/soon", interval_s=0)
    scheduler.until("begin 0 hang")
    scheduler.until("begin 1 soon", times=3)
    scheduler.until("begin 2 soon", times=3)
    assert "end 0" not in scheduler.lines
    others = [line for line in scheduler.lines if line.split()[1] in ("1", "2")]
    assert [line.split()[0] for line in others] == ["begin", "end"] * (len(others) // 2), "one by one"


def test_a_config_error_of_one_account_ends_the_whole_run(start: Start) -> None:
    scheduler = start("1/ConfigError", "2/soon", interval_s=0)
    assert scheduler.end() == 2
    assert scheduler.lines[-1] == "fatal ConfigError a ConfigError"


class Scripted:
    """A desk in this process, for what needs no signals, and the time that its runner goes by."""

    def __init__(self, *again: Any) -> None:
        self.accounts = (Account(ACCOUNT, 1, "localnet"),)
        self.books = (SimpleNamespace(name="eth", account=self.accounts[0]),)
        self.again = list(again)
        self.ticks = 0
        self.looks = 0
        self.spot: Decimal | Exception = Decimal(2000)
        self.wake = Wake(None, None)
        self.exposure = exposure(0.0)
        self.outcome: Outcome | None = None
        self.now = 1000.0

    def tick(self, book: Any) -> Any:
        self.ticks += 1
        answer = self.again.pop(0) if self.again else None
        if isinstance(answer, Exception):
            raise answer
        decision = Hold("INSIDE_BAND", "nothing to do", band=Band(-1.0, 1.0))
        record = replace(decided(), wake=self.wake, exposure=self.exposure, decision=decision)
        return SimpleNamespace(again_in_s=answer, record=record, outcome=self.outcome)

    def watch(self, book: Any) -> Decimal:
        self.looks += 1
        if isinstance(self.spot, Exception):
            raise self.spot
        return self.spot


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Any:
    scripted = Scripted()
    monkeypatch.setattr("bot.scheduler.time.monotonic", lambda: scripted.now)
    return scripted


def visited(desk: Any, runner: Runner, seconds: float) -> None:
    """Visits twice a second for so long."""
    for _ in range(round(seconds * 2)):
        desk.now += 0.5
        runner.visit(runner.accounts[0])


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [(None, 60), (2, 2), (16, 16), (0, 0), (TransientError("timeout"), 60), (ZeroDivisionError(), 60)],
)
def test_the_next_tick_is_due_when_the_last_one_said_or_an_interval_later(
    answer: Any, wait_s: int, desk: Any
) -> None:
    desk.again = [answer]
    runner = Runner(desk, 60, 0)
    runner.visit(runner.accounts[0])
    assert desk.ticks == 1
    desk.now += wait_s - 0.001
    runner.visit(runner.accounts[0])
    assert desk.ticks == 1
    desk.now += 0.001
    runner.visit(runner.accounts[0])
    assert desk.ticks == 2


def test_a_drained_runner_begins_no_tick(desk: Any) -> None:
    runner = Runner(desk, 60, 2)
    runner.drain()
    runner.visit(runner.accounts[0])
    assert (desk.ticks, runner.ticks) == (0, 0)


@pytest.mark.parametrize("spot", ["1990", "1989.99", "2010", "2500"])
def test_a_tick_comes_early_when_the_spot_reaches_a_price_that_it_waits_for(desk: Any, spot: str) -> None:
    desk.wake = Wake(Decimal(1990), Decimal(2010))
    runner = Runner(desk, 60, 2)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 20)
    assert (desk.ticks, desk.looks) == (1, 10), "between the two prices it only looks, every two seconds"
    desk.spot = Decimal(spot)
    visited(desk, runner, 2)
    assert desk.ticks == 2


def test_a_look_that_fails_wakes_nothing_and_the_regular_tick_still_comes(desk: Any) -> None:
    desk.wake, desk.spot = Wake(Decimal(1990), Decimal(2010)), TransientError("no answer")
    runner = Runner(desk, 60, 2)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 59.5)
    assert desk.ticks == 1
    visited(desk, runner, 0.5)
    assert desk.ticks == 2


@pytest.mark.parametrize(("watch_s", "looks"), [(0, 0), (2, 29), (10, 5)])
def test_it_looks_as_often_as_it_is_told_and_not_at_all_for_zero(
    desk: Any, watch_s: float, looks: int
) -> None:
    desk.wake = Wake(Decimal(1990), None)
    runner = Runner(desk, 60, watch_s)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 59.5)
    assert desk.looks == looks


def test_a_price_at_the_edge_does_not_wake_a_book_for_ever(desk: Any) -> None:
    desk.wake, desk.spot = Wake(Decimal(1990), Decimal(2010)), Decimal(2010)
    runner = Runner(desk, 60, 2)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 60)
    assert desk.ticks <= 11


@pytest.mark.parametrize("state", [OutcomeState.DEAD, OutcomeState.PENDING, OutcomeState.PARTIAL])
def test_it_waits_for_no_price_of_a_hedge_that_was_not_made(desk: Any, state: OutcomeState) -> None:
    desk.wake, desk.spot, desk.outcome = Wake(Decimal(1990), None), Decimal(1), Outcome(state)
    runner = Runner(desk, 60, 2)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 30)
    assert (desk.ticks, desk.looks) == (1, 0)


def test_it_waits_for_no_price_of_a_tick_that_failed(desk: Any) -> None:
    desk.wake, desk.spot = Wake(Decimal(1990), None), Decimal(1)
    desk.again = [TransientError("no answer")]
    runner = Runner(desk, 60, 2)
    runner.visit(runner.accounts[0])
    visited(desk, runner, 30)
    assert (desk.ticks, desk.looks) == (1, 0)


def test_doubts_wider_than_the_band_are_told_after_some_ticks_with_the_part_that_causes_them(
    desk: Any, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    set_up_logs(as_json=False, level="warning")
    request.addfinalizer(structlog.reset_defaults)
    wide = (Bound("vols", -2.0, 2.0), Bound("orders in flight", -0.5, 0.0))
    desk.exposure = replace(exposure(-2.5, 2.0), bounds=wide)
    runner = Runner(desk, 1, 0)
    visited(desk, runner, ALERT_AFTER - 1)
    assert "not known well enough" not in capsys.readouterr().err
    visited(desk, runner, 1)
    told = capsys.readouterr().err
    assert "the delta is not known well enough" in told
    assert "most of it is due to vols" in told
    desk.exposure = exposure(-0.5, 0.5)
    visited(desk, runner, 1)
    assert "known well enough again" in capsys.readouterr().err
