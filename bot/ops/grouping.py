"""When an event becomes a message: one per key and quiet time, with a count of what was held back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.core.events import SEVERITIES, Event, Kind, Severity


@dataclass(frozen=True, slots=True)
class Message:
    """What goes to the channels. `over` says that a trouble ended."""

    kind: Kind
    severity: Severity
    book: str
    text: str
    about: str = ""
    over: bool = False

    @property
    def title(self) -> str:
        """One line, like "CRITICAL: halted (eth)"."""
        word = "OVER" if self.over else self.severity.name
        return f"{word}: {self.kind}" + (f" ({self.book})" if self.book else "")


@dataclass(slots=True)
class _Told:
    event: Event
    at: float
    held: int = 0
    open: bool = True
    heard: bool = True  # a message that it began has gone out, and none that it is over


class Grouping:
    """Keeps what was told. `severities` holds what differs from the defaults, None for what is never told."""

    def __init__(self, quiet_s: float, severities: Mapping[Kind, Severity | None]) -> None:
        self._quiet_s = quiet_s
        self._severities: dict[Kind, Severity | None] = {**SEVERITIES, **severities}
        self._told: dict[tuple[str, str, str], _Told] = {}

    def take(self, event: Event, now: float) -> Message | None:
        """The message of an event at `now` (seconds), None where it is held back or nobody knew of the trouble."""
        if self._severities[event.kind] is None:
            return None
        told = self._told.get(event.key)
        if event.over:
            return None if told is None else self._over(told, event)
        if told is None:
            self._told[event.key] = _Told(event, now)
            return self._message(event, 0)
        told.event, told.open = event, True
        if now - told.at < self._quiet_s:
            told.held += 1
            return None
        return self._again(told, now)

    def due(self, now: float) -> list[Message]:
        """What was held back for the whole quiet time. What is over and was told is forgotten."""
        found = []
        for key, told in tuple(self._told.items()):
            if now - told.at < self._quiet_s:
                continue
            if told.held:
                found.append(self._again(told, now))
            elif not told.open:
                del self._told[key]
        return found

    def _over(self, told: _Told, event: Event) -> Message | None:
        told.open = False
        if not told.heard:
            return None
        told.heard = False
        held, told.held = told.held, 0
        return self._message(event, held)

    def _again(self, told: _Told, now: float) -> Message:
        held, told.held, told.at, told.heard = told.held, 0, now, told.open
        return self._message(told.event, held, ended=not told.open)

    def _message(self, event: Event, held: int, *, ended: bool = False) -> Message:
        severity = self._severities[event.kind]
        times = "once" if held == 1 else f"{held} times"
        more = f" (told {times} more since the last message)" if held else ""
        state = " It is over by now." if ended else ""
        return Message(
            event.kind,
            severity or Severity.INFO,
            event.book,
            f"{event.text}{more}{state}",
            event.about,
            event.over,
        )
