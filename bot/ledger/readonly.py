"""The ledger for one who only looks: opened read-only, so that nothing here can change it or make a writer wait."""

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, inspect, select
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.pool import QueuePool

from bot.errors import ConfigError
from bot.ledger.migration import refusal
from bot.ledger.schema import SCHEMA_VERSION, meta

BUSY_S = 2.0


class NoLedger(ConfigError):
    """There is no ledger at the path yet."""


class ForeignLedger(ConfigError):
    """The file is no ledger, or one that another version of the program wrote."""


class BusyLedger(ConfigError):
    """The file can't be read now: somebody holds it, or its folder is closed to us."""


def open_readonly(path: Path) -> Engine:
    """An engine that can only read the ledger at `path`. NoLedger, ForeignLedger or BusyLedger where it can't be."""
    if not path.is_file():
        raise NoLedger(f"ledger: {path} is not there")
    # Without a file's name in the address SQLAlchemy would take the pool for databases in memory, which closes the
    # connection that another thread is using once there are more threads than places: that ends the process.
    engine = create_engine(
        "sqlite://", creator=lambda: _connect(path), poolclass=QueuePool, pool_size=4, max_overflow=-1
    )
    event.listen(engine, "connect", _only_look)
    try:
        with engine.connect() as db:
            tables = inspect(db).get_table_names()
            if meta.name not in tables:
                raise ForeignLedger(f"ledger: {path} is not a Vaultkeel ledger")
            version = db.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))
    except DatabaseError as error:
        engine.dispose()
        raise unreadable(error) from error
    if version != str(SCHEMA_VERSION):
        engine.dispose()
        raise ForeignLedger(f"ledger: {refusal(version)}")
    return engine


def unreadable(error: DatabaseError) -> ConfigError:
    """What a failed read means for a person."""
    if isinstance(error, OperationalError) and "no such" not in str(error.orig):
        return BusyLedger(f"ledger: it can't be read now: {error.orig}")
    return ForeignLedger(f"ledger: it is not a Vaultkeel ledger, or a damaged one: {error.orig}")


def _connect(path: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    return sqlite3.connect(address, uri=True, timeout=BUSY_S, check_same_thread=False)


def _only_look(connection: Any, _record: object) -> None:
    """No transaction outlives its statement, for a long one would keep the write-ahead log from being emptied."""
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA mmap_size=268435456")
