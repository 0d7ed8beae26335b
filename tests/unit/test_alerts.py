"""Alerts in threads of their own: nothing that a channel does holds up who tells, and its failure is told to others."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bot import log as logs
from bot.core.events import Event, Kind, Severity
from bot.ops.alerts import Alerts, Heartbeat
from bot.ops.channels import Channel, Patience
from bot.ops.grouping import Grouping, Message

FAST = Patience(queue=5, first_pause_s=0.01, longest_pause_s=0.02, hangs_s=0.1, give_up_s=5)
HALT = Event(Kind.HALTED, "look into it", "eth")


@pytest.fixture(autouse=True)
def no_time_to_waste(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end is noticed at once, and waits for a channel that hangs no longer than a test has time for."""
    monkeypatch.setattr("bot.ops.alerts.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("bot.ops.alerts.FLUSH_S", 1.0)


class Service:
    """What a channel delivers to. `answer` says what becomes of a message."""

    def __init__(self) -> None:
        self.got: list[Message] = []
        self.answer: Callable[[], bool] = lambda: True
        self.tries = 0

    def __call__(self, message: Message) -> bool:
        self.tries += 1
        taken = self.answer()
        if taken:
            self.got.append(message)
        return taken

    def until(self, number: int) -> None:
        """Waits until so many messages have arrived."""
        wait_for(lambda: len(self.got) >= number)


def wait_for(happened: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < give_up
        time.sleep(0.005)


@contextmanager
def alerts(
    *services: Service, patience: Patience = FAST, size: int = 100, least: Severity = Severity.INFO
) -> Iterator[Alerts]:
    inbox: queue.Queue[Event] = queue.Queue(size)
    channels = [Channel(f"c{i}", least, service, inbox.put, patience) for i, service in enumerate(services)]
    running = Alerts(channels, Grouping(3600, {}), inbox)
    yield running
    running.close()


def test_every_channel_gets_what_matters_enough_to_it() -> None:
    service, quiet = Service(), Service()
    inbox: queue.Queue[Event] = queue.Queue()
    channels = [
        Channel("all", Severity.INFO, service, inbox.put, FAST),
        Channel("night", Severity.CRITICAL, quiet, inbox.put, FAST),
    ]
    running = Alerts(channels, Grouping(3600, {}), inbox)
    running.notify(Event(Kind.STARTED, "a run begins"))
    running.notify(HALT)
    running.close()
    assert [message.kind for message in service.got] == [Kind.STARTED, Kind.HALTED]
    assert [message.kind for message in quiet.got] == [Kind.HALTED]
    assert channels[0].sent == 2


def test_a_channel_that_hangs_holds_up_neither_the_run_nor_the_others_and_is_told_to_them() -> None:
    hanging, other = Service(), Service()
    release = threading.Event()
    hanging.answer = lambda: release.wait(30)
    try:
        with alerts(hanging, other) as running:
            begun = time.monotonic()
            for number in range(1_000):
                running.notify(Event(Kind.ORDER_IN_DOUBT, "x", about=str(number)))
            assert time.monotonic() - begun < 0.5, "a thousand events take no time that a tick would notice"
            other.until(1)
            wait_for(lambda: any(message.kind is Kind.CHANNEL_FAILED for message in other.got))
            assert running.dropped > 0
            failed = next(message for message in other.got if message.kind is Kind.CHANNEL_FAILED)
            assert "channel c0: it has not answered" in failed.text
    finally:
        release.set()


@pytest.mark.parametrize("failure", ["refuses", "raises"])
def test_a_channel_that_fails_is_told_to_the_others_and_delivers_when_it_is_back(failure: str) -> None:
    flaky, other = Service(), Service()

    def fail() -> bool:
        if failure == "raises":
            raise ConnectionError("no route")
        return False

    flaky.answer = fail
    with alerts(flaky, other) as running:
        running.notify(HALT)
        wait_for(lambda: any(message.kind is Kind.CHANNEL_FAILED for message in other.got))
        assert flaky.got == []
        flaky.answer = lambda: True
        flaky.until(1)
        wait_for(lambda: any(message.over for message in other.got))
    assert [message.kind for message in flaky.got] == [Kind.HALTED], "its own failure is not for itself"
    assert [(message.kind, message.over) for message in other.got] == [
        (Kind.HALTED, False),
        (Kind.CHANNEL_FAILED, False),
        (Kind.CHANNEL_FAILED, True),
    ]


def test_a_message_that_never_gets_through_is_given_up_and_counted() -> None:
    dead = Service()
    dead.answer = lambda: False
    impatient = Patience(first_pause_s=0.01, longest_pause_s=0.01, give_up_s=0.05)
    with alerts(dead, patience=impatient) as running:
        running.notify(HALT)
        wait_for(lambda: running.dropped == 1)
    assert dead.tries > 2


def test_events_beyond_the_inbox_are_dropped_and_counted() -> None:
    running = Alerts([], Grouping(3600, {}), queue.Queue(2))
    running._inbox = queue.Queue(2)  # nobody takes from this one
    for _ in range(5):
        running.notify(HALT)
    assert running.dropped == 3
    running.close()


def test_the_end_of_a_run_waits_for_the_last_message_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bot.ops.alerts.FLUSH_S", 0.5)
    service, hanging = Service(), Service()
    release = threading.Event()
    hanging.answer = lambda: release.wait(30)
    begun = time.monotonic()
    with alerts(service, hanging) as running:
        running.notify(Event(Kind.STOPPED, "the run was ended"))
    assert time.monotonic() - begun < 3
    assert [message.kind for message in service.got] == [Kind.STOPPED]
    release.set()


def test_a_message_that_comes_late_says_when_it_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.ops.channels.LATE_S", -1)
    service = Service()
    with alerts(service) as running:
        running.notify(HALT)
    assert service.got[0].text.startswith("look into it (from 20")


def test_a_secret_in_an_error_never_leaves_the_computer() -> None:
    before = logs._secrets
    logs.remember_secret("c4nary-s3cret")
    service = Service()
    with alerts(service) as running:
        running.notify(Event(Kind.TICK_FAILED, "a bug stopped the tick: KeyError: c4nary-s3cret"))
    logs._secrets = before
    assert service.got[0].text == "a bug stopped the tick: KeyError: <secret>"


def test_a_bug_with_one_message_doesnt_silence_those_after_it() -> None:
    class Broken(Grouping):
        def take(self, event: Event, now: float) -> Message | None:
            if event.kind is Kind.TEST:
                raise ZeroDivisionError
            return super().take(event, now)

    service = Service()
    inbox: queue.Queue[Event] = queue.Queue()
    running = Alerts([Channel("c", Severity.INFO, service, inbox.put, FAST)], Broken(3600, {}), inbox)
    running.notify(Event(Kind.TEST, "x"))
    running.notify(HALT)
    service.until(1)
    running.close()
    assert running.dropped == 1


def test_a_heartbeat_says_how_the_run_stands() -> None:
    class Now(Heartbeat):
        def next_after(self, now: float) -> float:
            return now + 0.02

    service = Service()
    inbox: queue.Queue[Event] = queue.Queue()
    channels = [Channel("c", Severity.INFO, service, inbox.put, FAST)]
    running = Alerts(channels, Grouping(3600, {}), inbox, Now(24, 0), lambda: "all is well")
    service.until(1)
    running.close()
    assert (service.got[0].kind, service.got[0].text) == (Kind.HEARTBEAT, "all is well")


@pytest.mark.parametrize(
    ("hours", "at_s", "now", "expected"),
    [
        (24, 8 * 3600, 0, 8 * 3600),
        (24, 8 * 3600, 8 * 3600, 32 * 3600),
        (24, 8 * 3600, 9 * 3600, 32 * 3600),
        (6, 0, 3600, 6 * 3600),
        (6, 7200, 86_400, 86_400 + 7200),
    ],
)
def test_heartbeats_come_at_their_hours(hours: int, at_s: int, now: int, expected: int) -> None:
    assert Heartbeat(hours, at_s).next_after(now) == expected
