"""Brings a ledger of schema 3 up to schema 4, in which an account is an address on one chain.

Schema 3 kept accounts by their address alone, for all books of a ledger traded on one chain.
"""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Table, func, select, update

from bot.core.accounts import account_id
from bot.errors import ConfigError
from bot.ledger.schema import attempts, baselines, chains, intents, meta, modes, nonces

BEFORE = "3"
AFTER = "4"
SHORT_TEXT, SHORTEST_LIST, LONGEST_SHORT_LIST = 0x80, 0xC0, 0xF7
"""RLP's prefixes."""
KEPT_BY_ACCOUNT: tuple[Table, ...] = (modes, intents, attempts, nonces, baselines)


def refusal(version: str | None) -> str:
    """Why a ledger of another schema than `AFTER` is not read by one who only looks, and what to do."""
    said = f"it was written with schema {version}, this program reads {AFTER}"
    if version == BEFORE:
        return f"{said}: end the run that trades with it; the next one, or `vaultkeel intents`, brings it up to date"
    return said


def version_at(path: Path) -> str | None:
    """The schema of the ledger at `path`; None where there is no ledger, or nothing can be said of it."""
    if not path.is_file():
        return None
    with contextlib.closing(sqlite3.connect(path)) as db, contextlib.suppress(sqlite3.Error):
        row = db.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
        return None if row is None else str(row[0])
    return None


def keep_copy(path: Path) -> Path:
    """A copy of the ledger at `path` as it is, beside it, its write-ahead log included. Returns where it is.

    OSError or sqlite3's where it can't be written: then nothing was changed.
    """
    copy = path.with_name(f"{path.name}.schema{BEFORE}")
    part = path.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(part)) as to:
        source.backup(to)
    shutil.copymode(path, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(copy)
    return copy


def migrate(db: Connection) -> None:
    """Rewrites every account of schema 3, in the caller's transaction. ConfigError where its chain can't be told."""
    chain_id = traded_on(db)
    for table in KEPT_BY_ACCOUNT:
        known = db.scalars(select(table.c.account).distinct()).all()
        for address in known:
            if chain_id is None:
                raise ConfigError(
                    "ledger: it was written with schema 3 and belongs to several chains, and nothing in it says which "
                    "one its orders are for: give this run a ledger of its own"
                )
            ours = account_id(chain_id, address)
            db.execute(update(table).where(table.c.account == address).values(account=ours))
    db.execute(update(meta).where(meta.c.name == "schema_version").values(value=AFTER))


def traded_on(db: Connection) -> int | None:
    """The id of the one chain that a ledger of schema 3 traded on; None where it can't be told.

    It is the only chain that the ledger is tied to, or the one that its transactions were signed for.
    """
    bound: set[int] = set(db.scalars(select(chains.c.chain_id)))
    if len(bound) == 1:
        return bound.pop()
    newest = select(attempts.c.raw).where(attempts.c.id == select(func.max(attempts.c.id)).scalar_subquery())
    raw = db.scalar(newest)
    return None if raw is None else chain_id_in(bytes(raw))


def chain_id_in(raw: bytes) -> int | None:
    """The chain id in a signed transaction of type 2 (EIP-1559): the first item of the list behind its type byte.

    None for any other transaction.
    """
    if len(raw) < 3 or raw[0] != 2 or raw[1] < SHORTEST_LIST:
        return None
    at = 2 if raw[1] <= LONGEST_SHORT_LIST else 2 + raw[1] - LONGEST_SHORT_LIST
    first = raw[at]
    return first if first < SHORT_TEXT else int.from_bytes(raw[at + 1 : at + 1 + first - SHORT_TEXT], "big")
