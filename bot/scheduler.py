"""Runs the desk until a signal: one worker per account, and a signal lets the ticks in flight finish.

Two ticks of one account never race, for they share its nonces; and a dead chain holds up the books of its own account
alone.

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
from sqlalchemy.exc import SQLAlchemyError

from bot.book import Book
from bot.core.accounts import Account
from bot.core.events import Event, Kind
from bot.core.exposure import widest
from bot.core.model import Band, OutcomeState, Wake
from bot.desk import Desk, Tick
from bot.errors import ConfigError, Halt, VaultkeelError
from bot.monitor import UNWATCHED, Monitor

log = structlog.get_logger("vaultkeel.scheduler")

SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_EVERY_S = 0.5
CALMEST_WAKING = 0.1
"""A price may wake a book once in this part of the interval: one at the edge of its band would wake it for ever."""
ALERT_AFTER = 5
"""Ticks in a row that a node or a feed may fail, or that doubts may exceed the band, before it is an error."""


class Runner:
    """Ticks of every book, each at its own next time, or earlier when its spot crosses a price that it waits for.

    Each account has a worker, which is the only one that visits its books; what is kept by a book's name is written by
    that worker alone.
    """

    def __init__(self, desk: Desk, interval_s: int, watch_s: float, monitor: Monitor = UNWATCHED) -> None:
        self._desk = desk
        self._monitor = monitor
        self._interval_s = interval_s
        self._watch_s = watch_s
        self._busy = {account: threading.Lock() for account in self.accounts}
        self._ticks: Counter[Account] = Counter()
        self._stopping = threading.Event()
        self._due = {book.name: 0.0 for book in desk.books}
        self._looked = {book.name: 0.0 for book in desk.books}
        self._woke = {book.name: 0.0 for book in desk.books}
        self._wake: dict[str, Wake] = {}
        self._wide: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self.fatal: VaultkeelError | None = None

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Who signs; each has a worker of its own."""
        return self._desk.accounts

    @property
    def ticks(self) -> int:
        """How many ticks began."""
        return sum(self._ticks.values())

    def visit(self, account: Account) -> None:
        """Ticks the books of an account that are due or woken by their spot."""
        with self._busy[account]:
            self._monitor.beat(account)
            for book in (book for book in self._desk.books if book.account == account):
                if self._stopping.is_set() or self.fatal is not None:
                    return
                if time.monotonic() >= self._due[book.name] or self._woken(book):
                    self._due[book.name] = time.monotonic() + self._tick(book)
                    self._looked[book.name] = time.monotonic()

    def drain(self) -> None:
        """Starts no further tick and waits for those in flight."""
        self._stopping.set()
        for busy in self._busy.values():
            with busy:
                pass

    def _end(self, why: VaultkeelError) -> None:
        """Ends the run from within: the main thread is woken by the signal that it waits for."""
        self.fatal = self.fatal or why
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, signal.SIGTERM)

    def _woken(self, book: Book) -> bool:
        """Whether the spot has crossed a price that the book waits for. Looks every `watch_s` seconds at most.

        A look that fails wakes nothing: the regular tick still comes, and says what is wrong.
        """
        wake, now = self._wake.get(book.name), time.monotonic()
        if wake is None or not self._watch_s or now < self._looked[book.name] + self._watch_s:
            return False
        if now < self._woke[book.name] + self._interval_s * CALMEST_WAKING:
            return False
        self._looked[book.name] = time.monotonic()
        try:
            spot = self._desk.watch(book)
        except VaultkeelError as error:
            log.debug("look failed", book=book.name, why=str(error))
            return False
        crossed = wake.crossed(spot)
        if crossed:
            self._woke[book.name] = time.monotonic()
            log.info("woken", book=book.name, spot=float(spot), why=crossed)
        return bool(crossed)

    def _tick(self, book: Book) -> float:
        """Seconds until the book's next tick."""
        self._ticks[book.account] += 1
        self._wake.pop(book.name, None)
        self._monitor.began(book)
        try:
            tick = self._desk.tick(book)
        except Exception as error:  # noqa: BLE001 - the one broad catch: a bug must not end the other books
            self._tell_failure(book, error)
            self._monitor.failed(book, error)
            return self._interval_s
        if self._failed.pop(book.name, 0) >= ALERT_AFTER:
            log.warning("ticks succeed again", book=book.name)
            self._over(Kind.NO_TICK_SUCCEEDS, book, "ticks succeed again")
        self._monitor.done(book, tick)
        self._note(book, tick)
        return self._interval_s if tick.again_in_s is None else tick.again_in_s

    def _tell_failure(self, book: Book, error: Exception) -> None:
        """Logs what stopped a tick, and tells what a person should know of it."""
        why = str(error)
        match error:
            case ConfigError():
                self._end(error)
                log.error("stopped", book=book.name, why=why)
            case Halt():
                log.error("halted", book=book.name, why=why)
                self._tell(Kind.HALTED, book, why)
            case VaultkeelError():
                log.warning("tick skipped", book=book.name, kind=type(error).__name__, why=why)
                self._failed[book.name] += 1
                if self._failed[book.name] == ALERT_AFTER:
                    log.error("no tick succeeds", book=book.name, why=why)
                if self._failed[book.name] >= ALERT_AFTER:
                    self._tell(
                        Kind.NO_TICK_SUCCEEDS, book, f"{self._failed[book.name]} ticks in a row failed: {why}"
                    )
            case SQLAlchemyError():
                log.error("ledger trouble", book=book.name, exc_info=error)
                self._tell(Kind.LEDGER_TROUBLE, book, f"the ledger can't be used: {type(error).__name__}")
            case _:
                log.error("tick failed", book=book.name, exc_info=error)
                self._tell(Kind.TICK_FAILED, book, f"a bug stopped the tick: {type(error).__name__}: {why}")

    def _tell(self, kind: Kind, book: Book, text: str) -> None:
        self._monitor.notify(Event(kind, text, book.name))

    def _over(self, kind: Kind, book: Book, text: str) -> None:
        self._monitor.notify(Event(kind, text, book.name, over=True))

    def _note(self, book: Book, tick: Tick) -> None:
        """Keeps what the book waits for, and says when the doubts about its delta hide whether it must trade."""
        exposure, band = tick.record.exposure, tick.record.decision.band
        # The prices are those of the position that the tick's order leaves, so they hold only where it was filled.
        if tick.outcome is None or tick.outcome.state in (OutcomeState.FILLED, OutcomeState.PAPER):
            self._wake[book.name] = tick.record.wake
        if tick.record.snapshot.open_order:
            return
        if not isinstance(band, Band) or exposure.gap_hi - exposure.gap_lo <= band.high - band.low:
            if self._wide.pop(book.name, 0) >= ALERT_AFTER:
                log.warning("the delta is known well enough again", book=book.name)
                self._over(Kind.DELTA_IN_DOUBT, book, "the delta is known well enough again")
            return
        self._wide[book.name] += 1
        if self._wide[book.name] < ALERT_AFTER:
            return
        why = (
            f"the gap is from {exposure.gap_lo:+.4f} to {exposure.gap_hi:+.4f}, wider than the band of "
            f"{band.low:+.4f} to {band.high:+.4f}; most of it is due to {widest(exposure).name}"
        )
        self._tell(Kind.DELTA_IN_DOUBT, book, why)
        if self._wide[book.name] == ALERT_AFTER:
            log.error("the delta is not known well enough", book=book.name, why=why)


def run(
    desk: Desk,
    interval_s: int,
    watch_s: float,
    announce: Callable[[str], None],
    monitor: Monitor = UNWATCHED,
) -> Runner:
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
    runner = Runner(desk, interval_s, watch_s, monitor)
    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(len(runner.accounts))},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone="UTC",
    )
    for account in runner.accounts:
        now = datetime.now().astimezone()
        scheduler.add_job(runner.visit, "interval", [account], seconds=LOOK_EVERY_S, next_run_time=now)
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
