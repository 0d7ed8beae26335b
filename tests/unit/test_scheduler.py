"""The scheduler as a real process: signals drain, errors end what they should, and no two ticks overlap."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.errors import TransientError
from bot.scheduler import Runner

HERE = Path(__file__).parent
FOREVER = "1000"
TIMEOUT_S = 20


class Process:
    """A running scheduler and the lines that it wrote."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, line: str, times: int = 1) -> None:
        """Waits until `line` was written so often."""
        assert self.process.stdout is not None
        while self.lines.count(line) < times:
            written = self.process.stdout.readline()
            if not written:
                raise AssertionError(f"it ended after {self.lines}")
            self.lines.append(written.strip())

    def send(self, number: int) -> None:
        """A signal, as from a service manager or a terminal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code; all lines are read then."""
        rest, _ = self.process.communicate(timeout=TIMEOUT_S)
        self.lines += rest.splitlines()
        return self.process.returncode


@contextmanager
def running(*scripts: str, interval: str = FOREVER) -> Iterator[Process]:
    command = [sys.executable, str(HERE / "stub_desk.py"), interval, *scripts]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=HERE.parent.parent
    ) as process:
        try:
            yield Process(process)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_tick_in_flight_finish_and_no_new_one_begin(number: signal.Signals) -> None:
    with running("slow+soon", "soon") as scheduler:
        scheduler.until("begin 0 slow")
        scheduler.send(number)
        assert scheduler.end() == 0
    said = f"said {number.name} received: finishing the tick in flight"
    assert sorted(scheduler.lines) == sorted(["begin 0 slow", said, "end 0", "ticks 1"])
    assert scheduler.lines.index("end 0") < scheduler.lines.index("ticks 1")


def test_a_signal_between_two_ticks_ends_at_once() -> None:
    with running("once") as scheduler:
        scheduler.until("end 0")
        begun = time.monotonic()
        scheduler.send(signal.SIGTERM)
        assert scheduler.end() == 0
        assert time.monotonic() - begun < 3
    assert scheduler.lines[-1] == "ticks 1"


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_break_the_drain(second: signal.Signals) -> None:
    with running("slow") as scheduler:
        scheduler.until("begin 0 slow")
        scheduler.send(signal.SIGTERM)
        scheduler.until("said SIGTERM received: finishing the tick in flight")
        scheduler.send(second)
        assert scheduler.end() == 0
    assert scheduler.lines[-2:] == ["end 0", "ticks 1"]


def test_a_config_error_ends_the_run_and_is_its_fatal_error() -> None:
    with running("ConfigError", "soon") as scheduler:
        assert scheduler.end() == 2
    assert scheduler.lines == ["begin 0 ConfigError", "end 0", "ticks 1", "fatal ConfigError a ConfigError"]


def test_a_config_error_of_the_tick_that_is_drained_is_told_as_well() -> None:
    with running("slowConfigError") as scheduler:
        scheduler.until("begin 0 slowConfigError")
        scheduler.send(signal.SIGTERM)
        assert scheduler.end() == 2
    assert scheduler.lines[-2:] == ["ticks 1", "fatal ConfigError a ConfigError"]


def test_no_other_error_ends_the_run_or_the_other_books() -> None:
    kinds = ("TransientError", "DataError", "OrderRejected", "OutcomeUnknown", "Halt", "Bug")
    with running("+".join([*kinds, "fine"]), "fine", interval="0") as scheduler:
        scheduler.until("begin 0 fine")
        scheduler.until("begin 1 fine", times=len(kinds))
        scheduler.send(signal.SIGTERM)
        assert scheduler.end() == 0
    begun = [line for line in scheduler.lines if line.startswith("begin 0")]
    assert begun[: len(kinds)] == [f"begin 0 {kind}" for kind in kinds]


def test_a_book_comes_back_when_its_tick_says_so_and_ticks_never_overlap() -> None:
    with running("soon", "slow", interval="0") as scheduler:
        scheduler.until("begin 1 slow", times=2)
        scheduler.send(signal.SIGTERM)
        assert scheduler.end() == 0
    steps = [line.split()[0] for line in scheduler.lines if line.startswith(("begin", "end"))]
    assert steps == ["begin", "end"] * (len(steps) // 2)
    assert scheduler.lines.count("begin 0 soon") >= 2


class Scripted:
    """A desk in this process, for what needs no signals."""

    def __init__(self, *again: Any) -> None:
        self.books = (SimpleNamespace(name="eth"),)
        self.again = list(again)
        self.ticks = 0

    def tick(self, book: Any) -> Any:
        self.ticks += 1
        answer = self.again.pop(0) if self.again else None
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(again_in_s=answer)


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [(None, 60), (2, 2), (16, 16), (0, 0), (TransientError("timeout"), 60), (KeyError("bug"), 60)],
)
def test_the_next_tick_is_due_when_the_last_one_said_or_an_interval_later(
    answer: Any, wait_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("bot.scheduler.time.monotonic", lambda: now[0])
    desk: Any = Scripted(answer)
    runner = Runner(desk, 60)
    runner.visit()
    assert desk.ticks == 1
    now[0] += wait_s - 0.001
    runner.visit()
    assert desk.ticks == 1
    now[0] += 0.001
    runner.visit()
    assert desk.ticks == 2


def test_a_drained_runner_begins_no_tick() -> None:
    desk: Any = Scripted()
    runner = Runner(desk, 60)
    runner.drain()
    runner.visit()
    assert (desk.ticks, runner.ticks) == (0, 0)
