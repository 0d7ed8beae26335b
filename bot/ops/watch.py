"""A watched run: alerts, metrics and the watchdog behind the scheduler's one seam."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import structlog

from bot.book import Book
from bot.chain.client import Health
from bot.config import Config
from bot.core.accounts import Account
from bot.core.events import Event, Kind, Notify, conditions, tell_nobody
from bot.desk import Desk, Tick
from bot.errors import VaultkeelError
from bot.ledger import SqlLedger
from bot.ops.alerts import Alerts, start_alerts
from bot.ops.systemd import ENDING, READY, tell_systemd
from bot.ops.watchdog import Pulse, Watchdog

log = structlog.get_logger("vaultkeel.ops")

P = ParamSpec("P")


def harmless(method: Callable[P, None]) -> Callable[P, None]:
    """`method`, whose bugs are logged and go no further: who watches must not stop what is watched."""

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except Exception:
            log.exception("the watch over the run failed", where=method.__name__)

    return wrapped


class Watch:
    """See `bot.monitor.Monitor`. `metrics` is None where none are served."""

    def __init__(
        self, pulse: Pulse, notify: Notify, health: Callable[[], Iterable[Health]], metrics: Any = None
    ) -> None:
        self._pulse = pulse
        self._notify = notify
        self._health = health
        self._metrics = metrics
        self._began: dict[str, float] = {}
        self._succeeded: Counter[str] = Counter()
        self._lines: dict[str, str] = {}
        self._at: dict[str, float] = {}

    def beat(self, account: Account) -> None:
        """See the protocol."""
        self._pulse.moves(worker=account.text)

    def began(self, book: Book) -> None:
        """See the protocol."""
        self._pulse.moves(book.name, book.account.text)
        self._began[book.name] = time.monotonic()

    @harmless
    def done(self, book: Book, tick: Tick) -> None:
        """See the protocol."""
        seconds = time.monotonic() - self._began[book.name]
        self._pulse.succeeded(book.name)
        self._succeeded[book.name] += 1
        self._lines[book.name], self._at[book.name] = state_line(tick), time.monotonic()
        for kind in (Kind.TICK_FAILED, Kind.LEDGER_TROUBLE):
            self._notify(Event(kind, "a tick succeeded again", book.name, over=True))
        for event in conditions(tick.record, book.rules, book.account.text):
            self._notify(event)
        if self._metrics is not None:
            self._metrics.done(tick, seconds)
        self._look_at_providers()

    @harmless
    def failed(self, book: Book, error: Exception) -> None:
        """See the protocol."""
        if self._metrics is not None:
            self._metrics.failed(book.name, error, time.monotonic() - self._began[book.name])
        self._look_at_providers()

    @harmless
    def notify(self, event: Event) -> None:
        """See the protocol."""
        self._notify(event)

    def state(self) -> str:
        """How the run stands, in a line."""
        now = time.monotonic()
        books = [f"{line}, {now - self._at[book]:.0f} s ago" for book, line in tuple(self._lines.items())]
        return (
            f"{sum(tuple(self._succeeded.values()))} ticks. "
            + ("; ".join(books) or "None has succeeded yet")
            + "."
        )

    def _look_at_providers(self) -> None:
        health = tuple(self._health())
        for one in health:
            why = f"is set aside: {one.set_aside_why}" if one.set_aside_why else "does not answer"
            trouble = bool(one.set_aside_why or one.failing)
            said = f"{one.name} {why}" if trouble else f"{one.name} answers again"
            self._notify(Event(Kind.PROVIDER_TROUBLE, said, about=one.name, over=not trouble))
        if self._metrics is not None:
            self._metrics.providers(health)


def state_line(tick: Tick) -> str:
    """A tick in a line: price, deltas, mode."""
    record = tick.record
    snapshot, exposure = record.snapshot, record.exposure
    return (
        f"{snapshot.book}: {record.mode.value}, {snapshot.underlying} {snapshot.spot:,.2f} USD, "
        f"net delta {exposure.net:+.4f}, hedge {snapshot.venue.position.size:+.4f}, {record.decision.kind}"
    )


@contextmanager
def told(config: Config) -> Iterator[Alerts | None]:
    """The configured alerts while a run lasts, None where there are none. They tell of an error that ends it."""
    if config.alerts is None:
        yield None
        return
    alerts = start_alerts(config.alerts)
    try:
        yield alerts
    except VaultkeelError as error:
        alerts.notify(Event(Kind.RUN_ENDED, f"{type(error).__name__}: {error}"))
        raise
    finally:
        alerts.close()


@contextmanager
def watched(config: Config, desk: Desk, ledger: SqlLedger, alerts: Alerts | None) -> Iterator[Watch]:
    """Watches a run from its beginning to its end, and tells systemd of both."""
    notify = tell_nobody if alerts is None else alerts.notify
    pulse = Pulse(
        (book.name for book in desk.books),
        config.interval_s,
        config.stuck_after_s,
        workers=(account.text for account in desk.accounts),
    )
    metrics = server = None
    if config.metrics is not None:
        from bot.ops.metrics import Metrics, exposition
        from bot.ops.server import Server

        metrics = Metrics(ledger.history, alerts, paper=config.mode == "paper")
        answer = exposition(metrics.registry)
        server = Server(config.metrics.address, answer, pulse.stuck, pulse.unready)
    watch = Watch(pulse, notify, desk.health, metrics)
    if alerts is not None:
        alerts.state = watch.state
    watchdog = Watchdog(pulse, notify)
    notify(
        Event(Kind.STARTED, f"a {config.mode} run of {', '.join(book.name for book in desk.books)} begins")
    )
    tell_systemd(READY)
    try:
        yield watch
    finally:
        tell_systemd(ENDING)
        watchdog.close()
        if server is not None:
            server.close()
    notify(Event(Kind.STOPPED, f"the run was ended: {watch.state()}"))
