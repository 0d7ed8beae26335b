"""One channel of alerts: a thread of its own, a bounded queue, tries until it gets through. It holds up nobody."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from pydantic import SecretStr

from bot.core.events import Event, Kind, Severity
from bot.errors import ConfigError
from bot.log import conceal
from bot.ops.grouping import Message

log = structlog.get_logger("vaultkeel.alerts")

Send = Callable[[Message], bool]
"""Delivers one message. False, or any exception, where it was not delivered."""

MISSING = "alerts need Apprise, which is not installed: `pip install 'vaultkeel[alerts]'`"


@dataclass(frozen=True, slots=True)
class Patience:
    """How a channel deals with failure, times in seconds.

    It is reported after `report_after` failed tries of a message, or when one try hangs for `hangs_s`. The pauses
    between tries double up to `longest_pause_s`; after `give_up_s` a message is dropped.
    """

    queue: int = 100
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    report_after: int = 2
    hangs_s: float = 60.0
    give_up_s: float = 3_600.0


PATIENCE = Patience()
LATE_S = 60.0
"""A message that is delivered later than this says when it was written."""


class Channel:
    """Delivers messages of at least a severity, in order. `report` is told when it fails and when it works again."""

    def __init__(
        self,
        name: str,
        least: Severity,
        send: Send,
        report: Callable[[Event], None],
        patience: Patience = PATIENCE,
    ) -> None:
        self.name = name
        self.sent = self.dropped = 0
        self._least = least
        self._send = send
        self._report = report
        self._patience = patience
        self._queue: queue.Queue[tuple[float, Message]] = queue.Queue(patience.queue)
        self._closing = threading.Event()
        self._busy_since: float | None = None
        self._failing = False
        self._thread = threading.Thread(target=self._work, name=f"alerts {name}", daemon=True)
        self._thread.start()

    def offer(self, message: Message) -> None:
        """Takes a message that is for this channel. Counts it as dropped where the queue is full."""
        its_own = message.kind is Kind.CHANNEL_FAILED and message.about == self.name
        if message.severity < self._least or its_own:
            return
        try:
            self._queue.put_nowait((time.time(), message))
        except queue.Full:
            self.dropped += 1

    def look(self, now: float) -> None:
        """Reports a try that hangs. `now` is of the monotonic clock."""
        since = self._busy_since
        if since is not None and now - since > self._patience.hangs_s:
            self._fails(f"it has not answered for {now - since:.0f} s")

    def close(self, give_up_at: float) -> None:
        """Delivers what waits, one try each, until `give_up_at` of the monotonic clock."""
        self._closing.set()
        self._thread.join(max(give_up_at - time.monotonic(), 0.0))
        self.dropped += self._queue.qsize()

    def _work(self) -> None:
        while True:
            try:
                at, message = self._queue.get(timeout=0.1)
            except queue.Empty:
                if self._closing.is_set():
                    return
                continue
            self._deliver(at, message)

    def _deliver(self, at: float, message: Message) -> None:
        begun, pause, tries = time.monotonic(), self._patience.first_pause_s, 0
        while True:
            late = time.time() - at > LATE_S
            why = self._try(replace(message, text=f"{message.text} (from {clock(at)})") if late else message)
            if not why:
                self.sent += 1
                self._works()
                return
            tries += 1
            log.warning("an alert was not delivered", channel=self.name, kind=message.kind, why=why)
            if tries >= self._patience.report_after:
                self._fails(why)
            if self._closing.is_set() or time.monotonic() - begun >= self._patience.give_up_s:
                self.dropped += 1
                return
            self._closing.wait(pause)
            pause = min(pause * 2, self._patience.longest_pause_s)

    def _try(self, message: Message) -> str:
        """Why it was not delivered, "" where it was."""
        self._busy_since = time.monotonic()
        try:
            return "" if self._send(message) else "the service did not take it"
        except Exception as error:  # noqa: BLE001 - whatever a service's plugin raises is the channel's failure
            return f"{type(error).__name__}: {conceal(str(error))}"
        finally:
            self._busy_since = None

    def _fails(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            log.error("an alert channel fails", channel=self.name, why=why)
            self._report(Event(Kind.CHANNEL_FAILED, f"channel {self.name}: {why}", about=self.name))

    def _works(self) -> None:
        if self._failing:
            self._failing = False
            log.warning("an alert channel works again", channel=self.name)
            said = f"channel {self.name} works again"
            self._report(Event(Kind.CHANNEL_FAILED, said, about=self.name, over=True))


def clock(at: float) -> str:
    """A Unix second for people, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def apprise_sender(name: str, url: SecretStr, who: str) -> Send:
    """Sends by Apprise to the service at `url`, in the name of `who`.

    ConfigError where Apprise isn't installed, or doesn't understand the address.
    """
    try:
        from apprise import Apprise, NotifyType
    except ImportError:
        raise ConfigError(MISSING) from None
    service = Apprise()
    if not service.add(url.get_secret_value()):
        raise ConfigError(
            f"alerts.channels {name}: Apprise does not understand its url; its documentation lists the form of each"
        )
    types = {
        Severity.INFO: NotifyType.INFO,
        Severity.WARNING: NotifyType.WARNING,
        Severity.CRITICAL: NotifyType.FAILURE,
    }

    def send(message: Message) -> bool:
        kind = NotifyType.SUCCESS if message.over else types[message.severity]
        return bool(service.notify(body=message.text, title=f"{who} {message.title}", notify_type=kind))

    return send
