"""The ledger over SQLAlchemy Core. Each public call is one committed transaction."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import (
    Connection,
    Engine,
    Select,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from bot.core.accounts import address_of
from bot.core.attribution import TradeDone
from bot.core.decision import Decided
from bot.core.model import (
    OPEN_OUTCOMES,
    AttemptState,
    Fill,
    Intent,
    IntentKind,
    LastTrade,
    Mode,
    Outcome,
    OutcomeState,
    Refusals,
    Snapshot,
    Spent,
)
from bot.errors import ConfigError, OrderRejected, TransientError
from bot.ledger import migration, schema
from bot.ledger.database import connect
from bot.ledger.history import History
from bot.ledger.lock import FileLock
from bot.ledger.rows import (
    EXPOSURE,
    SNAPSHOT,
    attempts_of,
    fill_of,
    intent_of,
    plain,
    settled_of,
    tick_values,
)
from bot.ledger.schema import attempts, baselines, chains, epoch, fills, intents, meta, modes, nonces, ticks
from bot.ledger.spending import refusals, spent_by, top_ups
from bot.ports import AttemptRow, Baseline, LastTick, OpenIntent, Receipt

log = structlog.get_logger("vaultkeel.ledger")

OPEN = tuple(state.value for state in OPEN_OUTCOMES)
MINED = (AttemptState.MINED_OK.value, AttemptState.REVERTED.value)
OTHERS = "another run works with this ledger"


def open_ledger(path: Path, *, trades: bool = False) -> "SqlLedger":
    """Opens or creates the ledger at `path`. ConfigError where it can't be used.

    A run that `trades` is the only one: it holds the lock beside the file, and begins an epoch, so that an earlier
    holder that was paused and comes back can't write any more.
    """
    lock = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path) if trades else None
        bring_up_to_date(path, lock)
        ledger = SqlLedger(connect(path), lock)
        ledger.create()
        if trades:
            ledger.begin_epoch()
    except OSError as error:
        raise ConfigError(f"ledger: {path} can't be created: {error.strerror}") from error
    except OperationalError as error:
        raise ConfigError(f"ledger: {path} can't be opened or written: {error.orig}") from error
    except DatabaseError as error:
        raise ConfigError(f"ledger: {path} is not a Vaultkeel ledger: {error.orig}") from error
    return ledger


def bring_up_to_date(path: Path, lock: FileLock | None) -> None:
    """Rewrites a ledger of the schema before, and keeps a copy of it. ConfigError where a run trades with it now."""
    if migration.version_at(path) != migration.BEFORE:
        return
    ours = lock or FileLock(path)
    try:
        if migration.version_at(path) != migration.BEFORE:
            return  # another process was faster
        copy = migration.keep_copy(path)
        engine = connect(path)
        try:
            with engine.begin() as db:
                migration.migrate(db)
        finally:
            engine.dispose()
        if structlog.is_configured():  # else it would go to standard output, beside a command's result
            log.warning("the ledger was brought up to date", schema=migration.AFTER, before=str(copy))
    except sqlite3.Error as error:
        raise ConfigError(
            f"ledger: {path} can't be copied before it is brought up to date: {error}"
        ) from error
    finally:
        if lock is None:
            ours.release()


class SqlLedger:
    """See `bot.ports.Ledger` for what each call promises."""

    def __init__(self, engine: Engine, lock: FileLock | None = None) -> None:
        self._engine = engine
        self._lock = lock
        self._writing = threading.Lock()  # threads of ours wait here, not for SQLite's patience to end
        self._epoch: int | None = None
        self.history = History(engine)

    def begin_epoch(self) -> None:
        """From now on this run alone may write."""
        with self._writing, self._engine.begin() as db:
            before = db.scalar(select(epoch.c.epoch))
            db.execute(delete(epoch))
            db.execute(insert(epoch).values(id=1, epoch=(before or 0) + 1))
        self._epoch = (before or 0) + 1

    def create(self) -> None:
        """Makes the tables of a new ledger. ConfigError for one that another version or program wrote."""
        wanted = select(meta.c.value).where(meta.c.name == "schema_version")
        ours = str(schema.SCHEMA_VERSION)
        with self._write() as db:
            tables = inspect(db).get_table_names()
            if tables and meta.name not in tables:
                raise ConfigError(f"ledger: it is another program's database, with a table {tables[0]!r}")
            version = db.scalar(wanted) if tables else None
            if version not in (None, ours):
                raise ConfigError(f"ledger: it was written with schema {version}, this program reads {ours}")
            schema.metadata.create_all(db)
            for index in (
                *ticks.indexes,
                *intents.indexes,
            ):  # those that later versions added to a schema that reads as before
                index.create(db, checkfirst=True)
            if version is None:
                db.execute(insert(meta).values(name="schema_version", value=ours))

    def bind(self, chain: str, chain_id: int, instance: str, account: str | None) -> None:
        """Ties the ledger to a chain, a local chain's instance and an account. ConfigError for any other.

        `account` is the address that signs there, with whose position it trades, and None where the chain is only read.
        """
        ours = {"chain_id": chain_id, "instance": instance, "account": account or ""}
        here = chains.c.chain == chain
        with self._write() as db:
            row = db.execute(select(chains).where(here)).mappings().first()
            if row is None:
                db.execute(insert(chains).values(chain=chain, **ours))
                return
            if row["account"] == "" and account is not None:
                db.execute(update(chains).where(here).values(account=account))
        for name, value in ours.items():
            if name == "account" and (account is None or row[name] == ""):
                continue
            if row[name] != value:
                raise ConfigError(
                    f"ledger: it belongs to {name} {row[name] or 'of a public chain'} of {chain}, "
                    f"this run has {value or 'a public chain'}: give this run a ledger of its own"
                )

    @property
    def engine(self) -> Engine:
        """For reading page by page."""
        return self._engine

    def bindings(self) -> list[tuple[str, int, str, str]]:
        """What the ledger is tied to: each chain's name, its id, a local chain's instance, and the account."""
        with self._read() as db:
            return [tuple(row) for row in db.execute(select(chains))]

    def close(self) -> None:
        """Releases the file and its lock."""
        self._engine.dispose()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def record_tick(self, decided: Decided) -> int:
        """See the port."""
        with self._write() as db:
            result = db.execute(insert(ticks).values(**tick_values(decided)))
            key = result.inserted_primary_key
            return int(key[0]) if key else 0

    def last_tick(self, book: str) -> LastTick | None:
        """See the port."""
        columns = (ticks.c.id, ticks.c.snapshot_json, ticks.c.exposure_json)
        newest = select(*columns).where(ticks.c.book == book).order_by(ticks.c.id.desc())
        with self._read() as db:
            row = db.execute(newest.limit(1)).first()
        if row is None:
            return None
        return LastTick(row[0], SNAPSHOT.validate_json(row[1]), EXPOSURE.validate_json(row[2]))

    def decided_on(self, intent_key: str) -> Snapshot:
        """See the port."""
        wanted = (
            select(ticks.c.snapshot_json)
            .select_from(intents.join(ticks, ticks.c.id == intents.c.tick_id))
            .where(intents.c.key == intent_key)
        )
        with self._read() as db:
            found = db.execute(wanted).scalar_one_or_none()
        if found is None:
            raise KeyError(intent_key)
        return SNAPSHOT.validate_json(found)

    def settled_since(self, tick_id: int) -> tuple[tuple[TradeDone, ...], Decimal]:
        """See the port."""
        return self.history.settled_since(tick_id)

    def transferred_since(self, account: str, tick_id: int) -> bool:
        """See the port."""
        return self.history.transferred_since(account, tick_id)

    def spent(self, book: str | None, now: int, *, paper: bool) -> Spent:
        """See the port."""
        with self._read() as db:
            return spent_by(db, book, now, paper=paper)

    def top_ups(self, book: str, now: int) -> tuple[Decimal, str]:
        """See the port."""
        with self._read() as db:
            return top_ups(db, book, now)

    def refusals(self, book: str) -> Refusals | None:
        """See the port."""
        with self._read() as db:
            return refusals(db, book)

    def last_trade(self, book: str, *, paper: bool) -> LastTrade | None:
        """See the port."""
        whole = OutcomeState.PAPER if paper else OutcomeState.FILLED
        traded = (
            select(ticks.c.at, ticks.c.spot)
            .select_from(intents.join(ticks, ticks.c.id == intents.c.tick_id))
            .where(
                intents.c.book == book,
                intents.c.kind == IntentKind.TRADE.value,
                intents.c.outcome == whole.value,
                ticks.c.remaining == "0",
            )
            .order_by(ticks.c.id.desc())
        )
        with self._read() as db:
            row = db.execute(traded.limit(1)).first()
        return None if row is None else LastTrade(row[0], Decimal(row[1]))

    def intend(self, intent: Intent, tick_id: int) -> None:
        """See the port."""
        values = {name: plain(value) for name, value in asdict(intent).items()}
        try:
            with self._write() as db:
                db.execute(
                    insert(intents).values(tick_id=tick_id, outcome=OutcomeState.PENDING.value, **values)
                )
        except IntegrityError as error:
            raise OrderRejected(
                f"order {intent.key} was intended before, or {intent.market} has an order without an outcome"
            ) from error

    def attempt(self, attempt: AttemptRow) -> None:
        """See the port."""
        key, account, nonce = attempt.intent_key, attempt.account, attempt.nonce
        values = asdict(attempt) | {"max_fee_wei": str(attempt.max_fee_wei), "tip_wei": str(attempt.tip_wei)}
        with self._write() as db:
            if db.scalar(select(intents.c.outcome).where(intents.c.key == key)) not in OPEN:
                raise TransientError(f"order {key} has an outcome already and is not sent: {OTHERS}")
            owner = db.scalar(
                select(nonces.c.intent_key).where(nonces.c.account == account, nonces.c.nonce == nonce)
            )
            if owner is None:
                try:
                    db.execute(insert(nonces).values(account=account, nonce=nonce, intent_key=key))
                except IntegrityError as error:
                    raise TransientError(f"order {key} has another nonce than {nonce}: {OTHERS}") from error
            elif owner != key:
                raise TransientError(f"nonce {nonce} of {address_of(account)} is another order's: {OTHERS}")
            db.execute(insert(attempts).values(**values))

    def note(self, intent_key: str, why: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                update(intents)
                .where(intents.c.key == intent_key, intents.c.outcome.in_(OPEN))
                .values(reason=why)
            )

    def sent(self, tx_hash: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                update(attempts)
                .where(attempts.c.hash == tx_hash, attempts.c.state == AttemptState.SIGNED.value)
                .values(state=AttemptState.SENT.value)
            )

    def mined(self, receipt: Receipt) -> None:
        """See the port."""
        state = AttemptState.MINED_OK if receipt.succeeded else AttemptState.REVERTED
        with self._write() as db:
            key = db.scalar(select(attempts.c.intent_key).where(attempts.c.hash == receipt.tx_hash))
            db.execute(
                update(attempts)
                .where(attempts.c.intent_key == key, attempts.c.hash != receipt.tx_hash)
                .values(state=AttemptState.REPLACED.value, block_number=None, block_hash=None)
            )
            db.execute(
                update(attempts)
                .where(attempts.c.hash == receipt.tx_hash)
                .values(
                    state=state.value,
                    block_number=receipt.block_number,
                    block_hash=receipt.block_hash,
                    gas_used=receipt.gas_used,
                    gas_cost_wei=str(receipt.gas_cost_wei),
                )
            )

    def unfinal(self, account: str) -> tuple[OpenIntent, ...]:
        """See the port."""
        mined = select(attempts.c.intent_key).where(
            attempts.c.account == account, attempts.c.state.in_(MINED)
        )
        return self._intents(select(intents).where(intents.c.key.in_(mined)))

    def finalise(self, tx_hash: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                update(attempts).where(attempts.c.hash == tx_hash).values(state=AttemptState.FINAL.value)
            )

    def unconfirm(self, intent_key: str) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                update(intents)
                .where(intents.c.key == intent_key)
                .values(
                    outcome=OutcomeState.UNKNOWN.value,
                    reason="a reorg undid its block",
                    resolved_at=None,
                    resolved_after=None,
                    settled_tx=None,
                    settled_block=None,
                    settled_block_hash=None,
                )
            )
            db.execute(
                update(attempts)
                .where(attempts.c.intent_key == intent_key)
                .values(state=AttemptState.SENT.value, block_number=None, block_hash=None)
            )
            db.execute(delete(fills).where(fills.c.intent_key == intent_key))

    def baseline(self, account: str, market: str) -> Baseline | None:
        """See the port."""
        row = self._newest_baseline(account, market)
        return (
            None
            if row is None
            else Baseline(Decimal(row["size"]), row["block_number"], row["why"], row["at"])
        )

    def adopt(
        self,
        account: str,
        market: str,
        size: Decimal,
        block: int,
        why: str,
        at: int,
        nonce: int | None = None,
    ) -> None:
        """See the port."""
        filled = self._live_fills(account, market)
        with self._write() as db:
            db.execute(
                insert(baselines).values(
                    account=account,
                    market=market,
                    size=str(size),
                    filled_before=str(filled),
                    nonce=nonce,
                    block_number=block,
                    why=why,
                    at=at,
                )
            )

    def own_transactions(self, account: str) -> frozenset[str]:
        """See the port."""
        with self._read() as db:
            return frozenset(db.scalars(select(attempts.c.hash).where(attempts.c.account == account)))

    def live_position(self, account: str, market: str) -> Decimal:
        """See the port."""
        filled = self._live_fills(account, market)
        row = self._newest_baseline(account, market)
        return filled if row is None else Decimal(row["size"]) + filled - Decimal(row["filled_before"])

    def resolve(self, intent_key: str, outcome: Outcome, gas_usd: Decimal, at: int) -> None:
        """See the port."""
        by = outcome.settled
        settled = (
            {}
            if by is None
            else {
                "settled_tx": by.tx_hash,
                "settled_block": by.block_number,
                "settled_block_hash": by.block_hash,
            }
        )
        with self._write() as db:
            same_book = select(intents.c.book).where(intents.c.key == intent_key).scalar_subquery()
            newest = db.scalar(select(func.max(ticks.c.id)).where(ticks.c.book == same_book))
            changed = db.execute(
                update(intents)
                .where(intents.c.key == intent_key, intents.c.outcome.in_(OPEN))
                .values(
                    outcome=outcome.state.value,
                    reason=outcome.reason,
                    gas_usd=str(gas_usd),
                    resolved_at=at,
                    resolved_after=newest,
                    **settled,
                )
            )
            if changed.rowcount != 1:
                raise TransientError(f"order {intent_key} has an outcome already: {OTHERS}")
            states = set(db.scalars(select(attempts.c.state).where(attempts.c.intent_key == intent_key)))
            if states and not states.intersection((*MINED, AttemptState.FINAL.value)):
                raise TransientError(f"order {intent_key} was signed and may still be mined: {OTHERS}")
            if outcome.fill is not None:
                book = select(intents.c.book).where(intents.c.key == intent_key).scalar_subquery()
                paper = int(outcome.state is OutcomeState.PAPER)
                money = {name: str(value) for name, value in asdict(outcome.fill).items()}
                db.execute(
                    insert(fills).values(intent_key=intent_key, book=book, paper=paper, at=at, **money)
                )

    def bury(self, intent_key: str, why: str, at: int) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(
                update(intents)
                .where(intents.c.key == intent_key)
                .values(outcome=OutcomeState.DEAD.value, reason=why, resolved_at=at)
            )
            db.execute(
                update(attempts)
                .where(attempts.c.intent_key == intent_key)
                .values(state=AttemptState.REPLACED.value)
            )

    def open_intents(self, account: str | None, market: str | None = None) -> tuple[OpenIntent, ...]:
        """See the port."""
        wanted = select(intents).where(intents.c.outcome.in_(OPEN))
        wanted = wanted if account is None else wanted.where(intents.c.account == account)
        return self._intents(wanted if market is None else wanted.where(intents.c.market == market))

    def next_nonce(self, account: str) -> int | None:
        """See the port."""
        with self._read() as db:
            signed = db.scalar(select(func.max(nonces.c.nonce)).where(nonces.c.account == account))
            adopted = db.scalar(select(func.max(baselines.c.nonce)).where(baselines.c.account == account))
        known = [*([] if signed is None else [int(signed) + 1]), *([] if adopted is None else [int(adopted)])]
        return max(known, default=None)

    def last_mined_block(self, account: str) -> int:
        """See the port."""
        with self._read() as db:
            ours = db.scalar(select(func.max(attempts.c.block_number)).where(attempts.c.account == account))
            executors = db.scalar(
                select(func.max(intents.c.settled_block)).where(intents.c.account == account)
            )
        return max(int(ours or 0), int(executors or 0))

    def paper_fills(self, book: str) -> tuple[Fill, ...]:
        """See the port."""
        return tuple(fill for fill, paper in self.fills(book) if paper)

    def fills(self, book: str) -> list[tuple[Fill, bool]]:
        """All fills of a book with whether they were on paper, oldest first."""
        with self._read() as db:
            rows = db.execute(
                select(fills).join(intents).where(fills.c.book == book).order_by(intents.c.tick_id)
            ).mappings()
            return [(fill_of(row), bool(row["paper"])) for row in rows]

    def orders(self, book: str) -> list[dict[str, Any]]:
        """Every intent of a book with its outcome, its mined or else newest attempt, and its fill, oldest first."""
        each = attempts.alias()
        shown = (
            select(each.c.id)
            .where(each.c.intent_key == intents.c.key)
            .order_by(each.c.block_number.is_not(None).desc(), each.c.id.desc())
            .limit(1)
            .correlate(intents)
            .scalar_subquery()
        )
        joined = intents.outerjoin(attempts, attempts.c.id == shown)
        joined = joined.outerjoin(fills, fills.c.intent_key == intents.c.key)
        joined = joined.join(ticks, ticks.c.id == intents.c.tick_id)
        wanted = (
            select(
                intents.c.key,
                intents.c.kind,
                intents.c.size.label("intended"),
                intents.c.price_bound,
                intents.c.outcome,
                intents.c.reason,
                intents.c.gas_usd,
                ticks.c.at,
                ticks.c.why,
                attempts.c.hash,
                attempts.c.nonce,
                attempts.c.state,
                fills.c.size,
                fills.c.notional,
                fills.c.fee_usd,
                fills.c.impact_usd,
                fills.c.funding_usd,
            )
            .select_from(joined)
            .where(intents.c.book == book)
            .order_by(intents.c.tick_id)
        )
        with self._read() as db:
            return [dict(row) for row in db.execute(wanted).mappings()]

    def mode(self, account: str) -> Mode:
        """See the port."""
        return self.mode_and_why(account)[0]

    def mode_and_why(self, account: str) -> tuple[Mode, str]:
        """The account's mode with the reason that was given for it."""
        with self._read() as db:
            row = db.execute(
                select(modes.c.mode, modes.c.why)
                .where(modes.c.account == account)
                .order_by(modes.c.id.desc())
            ).first()
        return (Mode.ACTIVE, "") if row is None else (Mode(row[0]), row[1])

    def set_mode(self, account: str, mode: Mode, why: str, at: int) -> None:
        """See the port."""
        with self._write() as db:
            db.execute(insert(modes).values(account=account, mode=mode.value, why=why, at=at))

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._writing, self._engine.begin() as db:
            if self._epoch is not None and db.scalar(select(epoch.c.epoch)) != self._epoch:
                raise ConfigError(f"ledger: this run was paused and another took its place; {OTHERS}")
            yield db

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
            yield db

    def _intents(self, wanted: Select[Any]) -> tuple[OpenIntent, ...]:
        """Intents with their attempts, both oldest first."""
        with self._read() as db:
            rows = db.execute(wanted.order_by(intents.c.tick_id)).mappings().all()
            return tuple(
                OpenIntent(intent_of(row), attempts_of(db, row["key"]), settled_of(row)) for row in rows
            )

    def _newest_baseline(self, account: str, market: str) -> Any:
        wanted = select(baselines).where(baselines.c.account == account, baselines.c.market == market)
        with self._read() as db:
            return db.execute(wanted.order_by(baselines.c.id.desc())).mappings().first()

    def _live_fills(self, account: str, market: str) -> Decimal:
        """The sum of all live fills of a market, signed, in units of the underlying."""
        wanted = (
            select(fills.c.size)
            .join(intents)
            .where(intents.c.account == account, intents.c.market == market, fills.c.paper == 0)
        )
        with self._read() as db:
            return sum((Decimal(size) for size in db.scalars(wanted)), Decimal(0))
