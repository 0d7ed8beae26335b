"""Whether the run is alive (its worker moves) and ready (its ticks succeed), and the thread that looks."""

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
    """When the worker moved last, and when each book's tick last succeeded. Written by one thread, read by others."""

    def __init__(
        self,
        books: Iterable[str],
        interval_s: int,
        stuck_after_s: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._stuck_after_s = stuck_after_s
        self._fresh_s = PATIENT_INTERVALS * interval_s + stuck_after_s
        self._moved_at = now()
        self._doing = ""
        self._succeeded: dict[str, float | None] = dict.fromkeys(books)

    def moves(self, doing: str = "") -> None:
        """The worker is here, and does this next."""
        self._moved_at, self._doing = self._now(), doing

    def succeeded(self, book: str) -> None:
        """A tick of `book` succeeded."""
        self._succeeded[book] = self._now()

    def still_s(self) -> float:
        """Seconds since the worker moved."""
        return self._now() - self._moved_at

    def stuck(self) -> str:
        """Why the run is not alive; "" where it is."""
        still = self.still_s()
        if still <= self._stuck_after_s:
            return ""
        what = f"the tick of {self._doing}" if self._doing else "the scheduler"
        return f"{what} has not moved for {still:.0f} s, the limit is {self._stuck_after_s} s"

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
    """Looks at the pulse every second: tells a person when it stops, and systemd as long as it doesn't."""

    def __init__(self, pulse: Pulse, notify: Notify, look_every_s: float = LOOK_EVERY_S) -> None:
        self._pulse = pulse
        self._notify = notify
        self._look_every_s = look_every_s
        self._was_stuck = False
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
        stuck = self._pulse.stuck()
        if not stuck:
            tell_systemd(ALIVE)
        if stuck:
            self._notify(Event(Kind.TICK_STUCK, stuck))
            if not self._was_stuck:
                log.error("stuck", why=stuck)
        elif self._was_stuck:
            self._notify(Event(Kind.TICK_STUCK, "the run moves again", over=True))
            log.warning("not stuck any more")
        self._was_stuck = bool(stuck)
