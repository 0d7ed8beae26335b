"""Looking at a ledger without touching it: no table is made, nothing is locked, no run is held up."""

import fcntl
import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import create_engine, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from bot.errors import ConfigError
from bot.ledger.migration import refusal
from bot.ledger.schema import SCHEMA_VERSION, meta
from bot.ledger.store import SqlLedger


def look_at(path: Path) -> SqlLedger:
    """The ledger at `path`, which refuses every write. ConfigError where there is none that this program reads."""
    if not path.is_file():
        raise ConfigError(f"ledger: {path} is not there")

    def connect() -> sqlite3.Connection:
        # Without a write-ahead log beside it SQLite would make one, unless it is told that nobody writes.
        in_use = path.with_name(path.name + "-wal").exists()
        address = f"file:{quote(str(path))}?mode=ro" + ("" if in_use else "&immutable=1")
        return sqlite3.connect(address, uri=True, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool).execution_options(
        isolation_level="AUTOCOMMIT"
    )
    try:
        with engine.connect() as db:
            version = db.scalar(select(meta.c.value).where(meta.c.name == "schema_version"))
    except DatabaseError as error:
        raise ConfigError(f"ledger: {path} is not a Vaultkeel ledger, or is damaged: {error.orig}") from None
    if version != str(SCHEMA_VERSION):
        raise ConfigError(f"ledger: {path}: {refusal(version)}")
    return SqlLedger(engine)


def is_traded_with(path: Path) -> bool:
    """Whether a run holds the lock beside the ledger at `path`."""
    try:
        with path.with_name(path.name + ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
