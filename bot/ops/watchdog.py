"""Whether the run is alive (its workers move) and ready (its ticks succeed), and the thread that looks."""

import threading
import time
from collections.abc import Callable, Iterable

import structlog

from bot.core.events import Event, Kind, Notify
from bot.ops.systemd import ALIVE, tell_systemd

log = structlog.get_logger("vaultkeel.ops")

LOOK_EVERY_S = 1.0
PATIENT_INTERVALS = 3
"""A book whose ticks have not succeeded for so many intervals is not ready."""


class Pulse:
    """When each account's worker moved last, and when each book's tick last succeeded.

    Every worker writes its own; others read.
    """

    def __init__(
        self,
        books: Iterable[str],
        interval_s: int,
        stuck_after_s: int,
        now: Callable[[], float] = time.monotonic,
        workers: Iterable[str] = ("",),
    ) -> None:
        self._now = now
        self._stuck_after_s = stuck_after_s
        self._fresh_s = PATIENT_INTERVALS * interval_s + stuck_after_s
        self._moved: dict[str, tuple[float, str]] = dict.fromkeys(workers, (now(), ""))
        self._succeeded: dict[str, float | None] = dict.fromkeys(books)

    @property
    def workers(self) -> tuple[str, ...]:
        """Their names: the accounts that they work for."""
        return tuple(self._moved)

    def moves(self, doing: str = "", worker: str = "") -> None:
        """A worker is here, and does this next."""
        self._moved[worker] = (self._now(), doing)

    def succeeded(self, book: str) -> None:
        """A tick of `book` succeeded."""
        self._succeeded[book] = self._now()

    def stuck_worker(self, worker: str) -> str:
        """Why a worker is not alive, with the book that it is at; "" where it is."""
        at, doing = self._moved[worker]
        still = self._now() - at
        if still <= self._stuck_after_s:
            return ""
        whose = f" of {worker}" if worker else ""
        what = f"the tick of {doing}" if doing else f"the scheduler{whose}"
        return f"{what} has not moved for {still:.0f} s, the limit is {self._stuck_after_s} s"

    def stuck(self) -> str:
        """Why the run is not alive; "" where it is."""
        return "; ".join(why for worker in self._moved if (why := self.stuck_worker(worker)))

    def unready(self) -> str:
        """Why the run is not ready; "" where it is."""
        stuck = self.stuck()
        if stuck:
            return stuck
        for book, at in self._succeeded.items():
            if at is None:
                return f"no tick of {book} has succeeded yet"
            if self._now() - at > self._fresh_s:
                return f"no tick of {book} has succeeded for {self._now() - at:.0f} s"
        return ""


class Watchdog:
    """Looks at the pulse every second: tells a person of each worker that stops, and systemd as long as one moves."""

    def __init__(self, pulse: Pulse, notify: Notify, look_every_s: float = LOOK_EVERY_S) -> None:
        self._pulse = pulse
        self._notify = notify
        self._look_every_s = look_every_s
        self._stuck: set[str] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()
        self._thread.join(self._look_every_s * 2)

    def _work(self) -> None:
        while not self._closing.wait(self._look_every_s):
            self._look()

    def _look(self) -> None:
        for worker in self._pulse.workers:
            self._look_at(worker)
        # A restart ends all workers: while one moves, it may be in the middle of an order on a chain that is well.
        if any(not self._pulse.stuck_worker(worker) for worker in self._pulse.workers):
            tell_systemd(ALIVE)

    def _look_at(self, worker: str) -> None:
        stuck = self._pulse.stuck_worker(worker)
        if stuck:
            self._notify(Event(Kind.TICK_STUCK, stuck, about=worker))
            if worker not in self._stuck:
                log.error("stuck", why=stuck)
            self._stuck.add(worker)
        elif worker in self._stuck:
            whose = f"the worker of {worker}" if worker else "the run"
            self._notify(Event(Kind.TICK_STUCK, f"{whose} moves again", about=worker, over=True))
            log.warning("not stuck any more", worker=worker)
            self._stuck.discard(worker)
