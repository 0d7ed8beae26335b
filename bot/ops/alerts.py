"""Alerts: takes events from the run without ever holding it up, groups them, and hands messages to the channels."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from bot.config.ops import AlertsConfig, ChannelConfig
from bot.core.events import Event, Kind, Severity
from bot.log import conceal
from bot.ops.channels import Channel, Send, apprise_sender
from bot.ops.grouping import Grouping, Message

log = structlog.get_logger("vaultkeel.alerts")

INBOX = 1_000
LOOK_EVERY_S = 1.0
FLUSH_S = 5.0
"""How long the end of a run waits for the last messages."""
HOUR_S = 3_600
MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Every `hours` hours, counted from `at_s` seconds after midnight UTC."""

    hours: int
    at_s: int

    def next_after(self, now: float) -> float:
        """The Unix second of the next one after `now`."""
        period = self.hours * HOUR_S
        return now - (now - self.at_s) % period + period


class Alerts:
    """Forwards events to channels in a thread of its own. `state` says in a line how the run stands."""

    def __init__(
        self,
        channels: Sequence[Channel],
        grouping: Grouping,
        inbox: "queue.Queue[Event]",
        heartbeat: Heartbeat | None = None,
        state: Callable[[], str] = lambda: "the run has just begun",
    ) -> None:
        self.channels = tuple(channels)
        self.state = state
        self._grouping = grouping
        self._inbox = inbox
        self._heartbeat = heartbeat
        self._beat_at = 0.0 if heartbeat is None else heartbeat.next_after(time.time())
        self._lost = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
        self._thread.start()

    def notify(self, event: Event) -> None:
        """Takes an event, or counts it as dropped where too many wait. Returns at once and never raises."""
        try:
            self._inbox.put_nowait(event)
        except queue.Full:
            self._lost += 1

    @property
    def dropped(self) -> int:
        """Events and messages that were dropped so far."""
        return self._lost + sum(channel.dropped for channel in self.channels)

    def close(self) -> None:
        """Delivers what waits, for a few seconds at most."""
        give_up_at = time.monotonic() + FLUSH_S
        self._closing.set()
        self._thread.join(FLUSH_S)
        for channel in self.channels:
            channel.close(give_up_at)
        if self.dropped:
            log.warning("alerts were dropped", count=self.dropped)

    def _work(self) -> None:
        while True:
            try:
                event: Event | None = self._inbox.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                if self._closing.is_set():
                    return
                event = None
            try:
                self._step(event)
            except Exception:  # a bug with one message must not silence those after it
                log.exception("an alert was lost", event_kind=None if event is None else event.kind)
                self._lost += 1

    def _step(self, event: Event | None) -> None:
        """An event, if there is one, and whatever is due."""
        now = time.monotonic()
        messages = self._grouping.due(now)
        first = None if event is None else self._grouping.take(event, now)
        for message in messages if first is None else [*messages, first]:
            self._send(message)
        for channel in self.channels:
            channel.look(now)
        if self._heartbeat is not None and time.time() >= self._beat_at:
            self._beat_at = self._heartbeat.next_after(time.time())
            self._send(Message(Kind.HEARTBEAT, Severity.INFO, "", self.state()))

    def _send(self, message: Message) -> None:
        """To every channel, without secrets: it goes to other people's computers."""
        for channel in self.channels:
            channel.offer(replace(message, text=conceal(message.text)))


def start_alerts(config: AlertsConfig) -> Alerts:
    """The configured channels, begun. ConfigError where one can't be used."""
    senders = [(channel, sender_of(channel, config.name)) for channel in config.channels]
    inbox: queue.Queue[Event] = queue.Queue(INBOX)

    def report(event: Event) -> None:
        try:
            inbox.put_nowait(event)
        except queue.Full:
            log.warning("a channel's failure could not be told to the others", why=event.text)

    channels = [
        Channel(channel.name, Severity[channel.least.upper()], send, report) for channel, send in senders
    ]
    beat = Heartbeat(config.heartbeat_hours, config.heartbeat_s) if config.heartbeat_hours else None
    return Alerts(channels, Grouping(config.quiet_minutes * MINUTE_S, config.severities()), inbox, beat)


def sender_of(channel: ChannelConfig, who: str) -> Send:
    """What delivers to a channel in the name of `who`. ConfigError where it can't be used."""
    return apprise_sender(channel.name, channel.url, who)
