"""Runs the desk until a signal: one worker, so two ticks never race, and a signal lets the tick in flight finish.

The main thread waits for blocked signals and does all that touches the scheduler; jobs never do. This order (pause,
wait for the tick, shut down) is the one that drains in every case: a handler that raises, or a job that asks the
scheduler something during shutdown, can deadlock or lose the signal.
"""

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from types import FrameType

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from bot.book import Book
from bot.desk import Desk
from bot.errors import ConfigError, Halt, VaultkeelError

log = structlog.get_logger("vaultkeel.scheduler")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_EVERY_S = 0.5
ALERT_AFTER = 5
"""Ticks in a row that a node or a feed may fail before it is an error and no more a warning."""


class Runner:
    """Ticks of every book, each at its own next time."""

    def __init__(self, desk: Desk, interval_s: int) -> None:
        self._desk = desk
        self._interval_s = interval_s
        self._busy = threading.Lock()
        self._stopping = threading.Event()
        self._due = {book.name: 0.0 for book in desk.books}
        self._failed: Counter[str] = Counter()
        self.fatal: VaultkeelError | None = None
        self.ticks = 0

    def visit(self) -> None:
        """Ticks the books that are due."""
        with self._busy:
            for book in self._desk.books:
                if self._stopping.is_set() or self.fatal is not None:
                    return
                if time.monotonic() >= self._due[book.name]:
                    self._due[book.name] = time.monotonic() + self._tick(book)

    def drain(self) -> None:
        """Starts no further tick and waits for the one in flight."""
        self._stopping.set()
        with self._busy:
            pass

    def _end(self, why: VaultkeelError) -> None:
        """Ends the run from within: the main thread is woken by the signal that it waits for."""
        self.fatal = why
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)

    def _tick(self, book: Book) -> float:
        """Seconds until the book's next tick."""
        self.ticks += 1
        try:
            tick = self._desk.tick(book)
        except ConfigError as error:
            self._end(error)
            log.error("stopped", book=book.name, why=str(error))  # noqa: TRY400 - the sentence is the message
        except Halt as error:
            log.error("halted", book=book.name, why=str(error))  # noqa: TRY400
        except VaultkeelError as error:
            log.warning("tick skipped", book=book.name, kind=type(error).__name__, why=str(error))
            self._failed[book.name] += 1
            if self._failed[book.name] == ALERT_AFTER:
                log.error("no tick succeeds", book=book.name, why=str(error))  # noqa: TRY400
        except Exception:  # the one broad catch: a bug in one tick must not end the watch over the others
            log.exception("tick failed", book=book.name)
        else:
            if self._failed.pop(book.name, 0) >= ALERT_AFTER:
                log.warning("ticks succeed again", book=book.name)
            return self._interval_s if tick.again_in_s is None else tick.again_in_s
        return self._interval_s


def run(desk: Desk, interval_s: int, announce: Callable[[str], None]) -> Runner:
    """Ticks until SIGTERM or SIGINT, then drains. Returns the runner; its `fatal` says why it ended by itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    ending = threading.Event()

    def pass_on(number: int, _frame: FrameType | None) -> None:
        """Threads that numeric libraries started don't block signals, so that one may be delivered to them.

        Before the end it belongs to the wait below. While the main thread drains it is dropped: it would end the
        process in the middle of an order.
        """
        if not ending.is_set():
            signal.raise_signal(number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    runner = Runner(desk, interval_s)
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    scheduler.add_job(
        runner.visit, "interval", seconds=LOOK_EVERY_S, next_run_time=datetime.now().astimezone()
    )
    scheduler.start()
    try:
        received = signal.sigwait(SIGNALS)
        ending.set()
        if runner.fatal is None:
            announce(f"{signal.Signals(received).name} received: finishing the tick in flight")
        scheduler.pause()
        runner.drain()
        scheduler.shutdown(wait=True)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for number, handler in before.items():
            signal.signal(number, handler)
    return runner
