"""The seam between a run and whoever watches it: metrics, alerts, the watchdog."""

from typing import Protocol

from bot.book import Book
from bot.core.accounts import Account
from bot.core.events import Event
from bot.desk import Tick


class Monitor(Protocol):
    """Watches a run. Every call returns at once and never raises.

    Each account's worker calls from a thread of its own.
    """

    def beat(self, account: Account) -> None:
        """The worker of an account is alive. Called between its ticks, many times a minute."""
        ...

    def began(self, book: Book) -> None:
        """A tick begins."""
        ...

    def done(self, book: Book, tick: Tick) -> None:
        """A tick succeeded."""
        ...

    def failed(self, book: Book, error: Exception) -> None:
        """A tick was stopped by an error."""
        ...

    def notify(self, event: Event) -> None:
        """Something that an operator may want to know."""
        ...


class NoMonitor:
    """Watches nothing."""

    def beat(self, account: Account) -> None:
        """Nothing."""

    def began(self, book: Book) -> None:
        """Nothing."""

    def done(self, book: Book, tick: Tick) -> None:
        """Nothing."""

    def failed(self, book: Book, error: Exception) -> None:
        """Nothing."""

    def notify(self, event: Event) -> None:
        """Nothing."""


UNWATCHED = NoMonitor()
