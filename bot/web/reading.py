"""The ledger behind the pages: opened when it is there, opened again when another file takes its place."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DatabaseError

from bot.config import Config
from bot.config.books import BookConfig
from bot.core.accounts import address_of, chain_id_of
from bot.core.model import Mode
from bot.errors import ConfigError
from bot.explain import Explanation, explained
from bot.ledger import open_ledger
from bot.ledger.browse import AccountMode, Newest, accounts_of, books_of, newest, worst_first
from bot.ledger.history import History, RecordedTick
from bot.ledger.readonly import NoLedger, open_readonly, unreadable
from bot.web.words import short

OTHER_FORM = "was recorded in a form that this version can't read"
UNSOUND = (ValueError, TypeError, ArithmeticError)
DAMAGED = f"Something in the ledger is damaged, or {OTHER_FORM}."


@contextmanager
def sound(damaged: str = DAMAGED) -> Iterator[None]:
    """A recorded figure that is none, or a word that there isn't, becomes a ConfigError with this sentence."""
    try:
        yield
    except UNSOUND as error:
        raise ConfigError(damaged) from error


@dataclass(slots=True)
class Reader:
    """Read-only connections to one ledger. Each call may raise NoLedger, ForeignLedger or BusyLedger."""

    path: Path
    _engine: Engine | None = None
    _file: tuple[int, int] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def engine(self) -> Engine:
        """The engine of the file that is at the path now."""
        with self._lock:
            try:
                found = self.path.stat()
            except OSError as error:
                self.close()
                raise NoLedger(f"ledger: {self.path} is not there") from error
            file = found.st_dev, found.st_ino
            if self._engine is None or file != self._file:
                self.close()
                self._engine, self._file = open_readonly(self.path), file
            return self._engine

    def close(self) -> None:
        """Lets go of the file."""
        if self._engine is not None:
            self._engine.dispose()
        self._engine = None

    @contextmanager
    def reading(self, damaged: str = DAMAGED) -> Iterator[Engine]:
        """The engine; what SQLite refuses becomes one of our errors, as does what `sound` finds."""
        with sound(damaged):
            try:
                yield self.engine()
            except DatabaseError as error:
                raise unreadable(error) from error

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """A connection, with the errors of `reading`."""
        with self.reading() as engine, engine.connect() as db:
            yield db

    def newest(self) -> Newest:
        """What is newest in the ledger."""
        with self.open() as db:
            return newest(db)


@dataclass(frozen=True, slots=True)
class Site:
    """What every page is made from. `now` is Unix seconds."""

    config: Config
    reader: Reader
    now: Callable[[], float] = time.time

    def tick(self, tick_id: int) -> RecordedTick:
        """A recorded tick. ConfigError where there is none of that number, or it can't be read."""
        with self.reader.reading(f"tick {tick_id} {OTHER_FORM}") as engine:
            return History(engine).tick(tick_id)

    def explained(self, tick_id: int) -> Explanation:
        """A recorded tick's explanation. ConfigError where it, or the tick before it, can't be read."""
        with self.reader.reading(f"tick {tick_id} or the one before it {OTHER_FORM}") as engine:
            return explained(History(engine), tick_id)

    def newest_tick(self, book: str) -> RecordedTick | None:
        """A book's newest tick, None where it has none yet."""
        with self.reader.reading() as engine:
            try:
                found = History(engine).newest(book)
            except ConfigError:
                return None
        return self.tick(found)

    def book(self, name: str | None) -> str:
        """The book that a page is about: a configured one, or one that the ledger remembers. ConfigError otherwise."""
        if name is None:
            return self.config.books[0].name
        if name in self.books():
            return name
        raise ConfigError(f"There is no book called {name[:40]!r}.")

    def books(self) -> tuple[str, ...]:
        """The configured books, then those that only the ledger knows."""
        ours = tuple(book.name for book in self.config.books)
        try:
            with self.reader.open() as db:
                return (*ours, *(name for name in books_of(db) if name not in ours))
        except ConfigError:
            return ours

    def configured(self, name: str) -> BookConfig | None:
        """A book's configuration, None for one that only the ledger knows."""
        return next((book for book in self.config.books if book.name == name), None)

    def chains(self) -> tuple[str, ...]:
        """The chains that the configured books trade on."""
        return tuple(dict.fromkeys(book.venue.chain for book in self.config.books))

    def accounts(self) -> tuple[AccountMode, ...]:
        """Every account with its mode; none before the first run."""
        with self.reader.open() as db:
            return accounts_of(db, self.chains())

    def account(self) -> AccountMode | None:
        """The account with its mode; of several the one that may do least. None before the first run."""
        return worst_first(self.accounts())

    def account_words(self, account: str) -> str:
        """An account's id in short, with the name of its chain."""
        names = {chain.chain_id: name for name, chain in self.config.chains.items()}
        chain_id = chain_id_of(account)
        where = names.get(chain_id, f"chain {chain_id}") if chain_id is not None else "an unknown chain"
        return f"{short(address_of(account))} on {where}"

    def time_of(self, at: int | None) -> float:
        """Now, by the clock that ticks are stamped with; on a chain's own clock that is the newest tick's time."""
        return float(at) if at is not None and self.config.clock == "chain" else self.now()

    def change_mode(self, mode: Mode, why: str, chain: str = "") -> None:
        """Writes a mode for every account, or for that of one chain, as `vaultkeel halt` does.

        ConfigError where none has run yet, or no book trades on the chain.
        """
        accounts = [state.account.id for state in self.accounts() if chain in ("", state.account.chain)]
        if chain and chain not in self.chains():
            raise ConfigError(f"No book trades on a chain called {chain[:40]!r}.")
        if not accounts:
            raise ConfigError("The ledger belongs to no account yet: run `vaultkeel once` first.")
        ledger = open_ledger(self.reader.path)
        try:
            for account in accounts:
                ledger.set_mode(account, mode, why, int(self.now()))
        finally:
            ledger.close()
