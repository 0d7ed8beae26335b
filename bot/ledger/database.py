"""The SQLite file: how it is opened, so that a commit is on the disk and a writer is alone."""

import sqlite3
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

BUSY_S = 5.0


def connect(path: Path) -> Engine:
    """An engine on the database at `path`, which need not be there yet."""
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", durable)
    event.listen(engine, "begin", lock_for_writing)
    return engine


def durable(connection: Any, _record: object) -> None:
    """Write-ahead log, and a commit that returns only when the bytes are on the disk.

    The driver's own transactions are turned off, for they begin too late: see `lock_for_writing`.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # Another first run makes the same change. SQLite itself waits for every lock but this one.
            if "locked" not in str(error) or time.monotonic() >= give_up:
                raise
            time.sleep(BUSY_S / 100)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def lock_for_writing(connection: Connection) -> None:
    """A transaction that writes is alone from its first read on, so that what it checked still holds at its commit."""
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
