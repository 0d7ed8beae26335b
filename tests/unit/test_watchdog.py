"""Whether a run is alive and ready, and who is told when it isn't."""

import time
from collections.abc import Iterator

import pytest

from bot.core.events import Event, Kind
from bot.ops.watchdog import Pulse, Watchdog


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(clock: Clock) -> Pulse:
    return Pulse(["eth", "btc"], interval_s=60, stuck_after_s=300, now=clock)


def test_a_worker_that_moves_is_alive_for_as_long_as_a_tick_may_take(pulse: Pulse, clock: Clock) -> None:
    pulse.moves("eth")
    clock.now += 300
    assert pulse.stuck() == ""
    clock.now += 1
    assert pulse.stuck() == "the tick of eth has not moved for 301 s, the limit is 300 s"
    pulse.moves()
    assert pulse.stuck() == ""


def test_a_scheduler_that_has_died_between_ticks_is_not_alive(pulse: Pulse, clock: Clock) -> None:
    pulse.moves()
    clock.now += 301
    assert pulse.stuck().startswith("the scheduler has not moved")


def test_a_run_is_ready_once_every_book_ticked_and_while_their_ticks_succeed(
    pulse: Pulse, clock: Clock
) -> None:
    assert pulse.unready() == "no tick of eth has succeeded yet"
    pulse.succeeded("eth")
    assert pulse.unready() == "no tick of btc has succeeded yet"
    pulse.succeeded("btc")
    assert pulse.unready() == ""
    for _ in range(5):
        clock.now += 100
        pulse.moves()
        pulse.succeeded("btc")
    assert pulse.unready() == "no tick of eth has succeeded for 500 s"
    clock.now += 400
    assert pulse.unready().startswith("the scheduler has not moved"), "what is stuck is not ready either"


@pytest.fixture
def told(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[list[Event], list[str]]]:
    """What a watchdog on the pulse tells people, and systemd."""
    events: list[Event] = []
    systemd: list[str] = []
    monkeypatch.setattr("bot.ops.watchdog.tell_systemd", systemd.append)
    watchdog = Watchdog(pulse, events.append, look_every_s=0.01)
    yield events, systemd
    watchdog.close()


def test_a_stuck_run_is_told_until_it_moves_and_systemd_hears_nothing_meanwhile(
    told: tuple[list[Event], list[str]], pulse: Pulse, clock: Clock
) -> None:
    events, systemd = told
    while not systemd:
        time.sleep(0.005)
    assert events == []
    clock.now += 301
    while not events:
        time.sleep(0.005)
    heard = len(systemd)
    time.sleep(0.05)
    assert len(systemd) == heard
    assert (events[0].kind, events[0].over) == (Kind.TICK_STUCK, False)
    pulse.moves()
    while not events[-1].over:
        time.sleep(0.005)
    while len(systemd) == heard:
        time.sleep(0.005)
    assert set(systemd) == {"WATCHDOG=1"}


def test_of_two_workers_the_one_that_is_stuck_is_told_with_its_book(clock: Clock) -> None:
    two = Pulse(["eth", "btc"], 60, 300, clock, workers=("0x1 on one", "0x1 on two"))
    two.moves("eth", "0x1 on one")
    clock.now += 200
    two.moves("btc", "0x1 on two")
    clock.now += 101
    assert two.stuck_worker("0x1 on one") == "the tick of eth has not moved for 301 s, the limit is 300 s"
    assert two.stuck_worker("0x1 on two") == ""
    assert two.stuck() == two.stuck_worker("0x1 on one")
    clock.now += 200
    two.moves("", "0x1 on two")
    two.moves("", "0x1 on one")
    clock.now += 301
    assert two.stuck().startswith("the scheduler of 0x1 on one has not moved")


def test_a_worker_that_moves_again_is_told_while_the_other_is_still_stuck(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Pulse(["eth", "btc"], 60, 300, clock, workers=("one", "two"))
    events: list[Event] = []
    systemd: list[str] = []
    monkeypatch.setattr("bot.ops.watchdog.tell_systemd", systemd.append)
    watchdog = Watchdog(two, events.append, look_every_s=60)
    clock.now += 301
    watchdog._look()
    two.moves("", "one")
    watchdog._look()
    watchdog.close()
    assert [(event.about, event.over) for event in events] == [
        ("one", False),
        ("two", False),
        ("one", True),
        ("two", False),
    ]
    assert systemd == ["WATCHDOG=1"], "all were stuck at first; a restart would kill the one that moves, too"
