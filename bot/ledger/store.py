"""The ledger over SQLAlchemy Core. Each public call is one committed transaction."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, create_engine, event, func, insert, inspect, select, update
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from bot.core.model import (
    OPEN_OUTCOMES,
    AttemptState,
    Decision,
    Exposure,
    Fill,
    Intent,
    IntentKind,
    Mode,
    Outcome,
    OutcomeState,
    Snapshot,
)
from bot.errors import ConfigError, OrderRejected, TransientError
from bot.ledger import schema
from bot.ledger.schema import attempts, chains, fills, intents, meta, modes, nonces, ticks
from bot.ports import AttemptRow, OpenIntent, Receipt, SignedTx, TickRecord

SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)
EXPOSURE: TypeAdapter[Exposure] = TypeAdapter(Exposure)
DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)

OPEN = tuple(state.value for state in OPEN_OUTCOMES)
MINED = {AttemptState.MINED_OK.value, AttemptState.REVERTED.value}
OTHERS = "another run works with this ledger"
BUSY_S = 5.0


def open_ledger(path: Path) -> "SqlLedger":
    """Opens or creates the ledger at `path`. ConfigError where it can't be used."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _durable)
        ledger = SqlLedger(engine)
        ledger.create()
    except OSError as error:
        raise ConfigError(f"ledger: {path} can't be created: {error.strerror}") from error
    except OperationalError as error:
        raise ConfigError(f"ledger: {path} can't be opened or written: {error.orig}") from error
    except DatabaseError as error:
        raise ConfigError(f"ledger: {path} is not a Vaultkeel ledger: {error.orig}") from error
    return ledger


def _durable(connection: Any, _record: object) -> None:
    """Write-ahead log, and a commit that returns only when the bytes are on the disk."""
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


class SqlLedger:
    """See `bot.ports.Ledger` for what each call promises."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self) -> None:
        """Makes the tables of a new ledger. ConfigError for one that another version or program wrote."""
        wanted = select(meta.c.value).where(meta.c.name == "schema_version")
        ours = str(schema.SCHEMA_VERSION)
        with self._alone() as db:
            tables = inspect(db).get_table_names()
            if tables and meta.name not in tables:
                raise ConfigError(f"ledger: it is another program's database, with a table {tables[0]!r}")
            version = db.scalar(wanted) if tables else None
            if version not in (None, ours):
                raise ConfigError(f"ledger: it was written with schema {version}, this program reads {ours}")
            schema.metadata.create_all(db)
            if version is None:
                db.execute(insert(meta).values(name="schema_version", value=ours))

    def bind(self, chain: str, chain_id: int, instance: str, account: str) -> None:
        """Ties the ledger to a chain, a local chain's instance and an account. ConfigError for any other."""
        ours = {"chain_id": chain_id, "instance": instance, "account": account}
        with self._alone() as db:
            row = db.execute(select(chains).where(chains.c.chain == chain)).mappings().first()
            if row is None:
                db.execute(insert(chains).values(chain=chain, **ours))
                return
        for name, value in ours.items():
            if row[name] != value:
                raise ConfigError(
                    f"ledger: it belongs to {name} {row[name] or 'of a public chain'} of {chain}, "
                    f"this run has {value or 'a public chain'}: give this run a ledger of its own"
                )

    def close(self) -> None:
        """Releases the file."""
        self._engine.dispose()

    def record_tick(self, record: TickRecord) -> int:
        """See the port."""
        decision = record.decision
        with self._write() as db:
            result = db.execute(
                insert(ticks).values(
                    book=record.snapshot.book,
                    at=record.at,
                    spot=str(record.snapshot.spot),
                    net_delta=f"{record.exposure.net:.9f}",
                    decision=decision.kind,
                    code=decision.code if decision.kind == "hold" else "REBALANCE",
                    why=decision.text,
                    snapshot_json=SNAPSHOT.dump_json(record.snapshot).decode(),
                    exposure_json=EXPOSURE.dump_json(record.exposure).decode(),
                    decision_json=DECISION.dump_json(decision).decode(),
                )
            )
            key = result.inserted_primary_key
            return int(key[0]) if key else 0

    def tick(self, tick_id: int) -> TickRecord:
        """A recorded tick, as it was."""
        with self._engine.connect() as db:
            row = db.execute(select(ticks).where(ticks.c.id == tick_id)).mappings().one()
        return TickRecord(
            at=row["at"],
            snapshot=SNAPSHOT.validate_json(row["snapshot_json"]),
            exposure=EXPOSURE.validate_json(row["exposure_json"]),
            decision=DECISION.validate_json(row["decision_json"]),
        )

    def last_tick(self, book: str) -> int | None:
        """The id of the book's newest tick."""
        with self._engine.connect() as db:
            found: int | None = db.scalar(select(func.max(ticks.c.id)).where(ticks.c.book == book))
        return found

    def intend(self, intent: Intent, tick_id: int) -> None:
        """See the port."""
        values = {name: _plain(value) for name, value in asdict(intent).items()}
        try:
            with self._write() as db:
                db.execute(
                    insert(intents).values(tick_id=tick_id, outcome=OutcomeState.PENDING.value, **values)
                )
        except IntegrityError as error:
            raise OrderRejected(
                f"order {intent.key} was intended before, or {intent.market} has an order without an outcome"
            ) from error

    def attempt(self, intent_key: str, account: str, nonce: int, signed: SignedTx) -> None:
        """See the port."""
        row = {"intent_key": intent_key, "account": account, "nonce": nonce}
        try:
            with self._write() as db:
                db.execute(insert(nonces).values(**row))  # first, for it locks the database until the commit
                if db.scalar(select(intents.c.outcome).where(intents.c.key == intent_key)) not in OPEN:
                    raise TransientError(
                        f"order {intent_key} has an outcome already and is not sent: {OTHERS}"
                    )
                db.execute(
                    insert(attempts).values(
                        hash=signed.hash, raw=signed.raw, state=AttemptState.SIGNED.value, **row
                    )
                )
        except IntegrityError as error:
            raise TransientError(f"nonce {nonce} of {account} is another order's: {OTHERS}") from error

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

    def resolve(self, intent_key: str, outcome: Outcome, gas_usd: Decimal, at: int) -> None:
        """See the port."""
        with self._write() as db:
            changed = db.execute(
                update(intents)
                .where(intents.c.key == intent_key, intents.c.outcome.in_(OPEN))
                .values(
                    outcome=outcome.state.value, reason=outcome.reason, gas_usd=str(gas_usd), resolved_at=at
                )
            )
            if changed.rowcount != 1:
                raise TransientError(f"order {intent_key} has an outcome already: {OTHERS}")
            states = set(db.scalars(select(attempts.c.state).where(attempts.c.intent_key == intent_key)))
            if states and not states & MINED:
                raise TransientError(f"order {intent_key} was signed and may still be mined: {OTHERS}")
            if outcome.fill is not None:
                book = select(intents.c.book).where(intents.c.key == intent_key).scalar_subquery()
                paper = int(outcome.state is OutcomeState.PAPER)
                money = {name: str(value) for name, value in asdict(outcome.fill).items()}
                db.execute(
                    insert(fills).values(intent_key=intent_key, book=book, paper=paper, at=at, **money)
                )

    def open_intents(self, account: str, market: str | None = None) -> tuple[OpenIntent, ...]:
        """See the port."""
        wanted = select(intents).where(intents.c.account == account, intents.c.outcome.in_(OPEN))
        if market is not None:
            wanted = wanted.where(intents.c.market == market)
        with self._engine.connect() as db:
            rows = db.execute(wanted.order_by(intents.c.tick_id)).mappings().all()
            return tuple(OpenIntent(_intent(row), self._attempts(db, row["key"])) for row in rows)

    def next_nonce(self, account: str) -> int | None:
        """See the port."""
        with self._engine.connect() as db:
            highest = db.scalar(select(func.max(nonces.c.nonce)).where(nonces.c.account == account))
        return None if highest is None else int(highest) + 1

    def last_mined_block(self, account: str) -> int:
        """See the port."""
        with self._engine.connect() as db:
            highest = db.scalar(
                select(func.max(attempts.c.block_number)).where(attempts.c.account == account)
            )
        return int(highest or 0)

    def paper_fills(self, book: str) -> tuple[Fill, ...]:
        """See the port."""
        return tuple(fill for fill, paper in self.fills(book) if paper)

    def fills(self, book: str) -> list[tuple[Fill, bool]]:
        """All fills of a book with whether they were on paper, oldest first."""
        with self._engine.connect() as db:
            rows = db.execute(
                select(fills).join(intents).where(fills.c.book == book).order_by(intents.c.tick_id)
            ).mappings()
            return [(_fill(row), bool(row["paper"])) for row in rows]

    def orders(self, book: str) -> list[dict[str, Any]]:
        """Every intent of a book with its outcome, its last attempt and its fill, oldest first."""
        joined = intents.outerjoin(attempts, attempts.c.intent_key == intents.c.key)
        joined = joined.outerjoin(fills, fills.c.intent_key == intents.c.key).join(ticks)
        wanted = (
            select(
                intents.c.key,
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
        with self._engine.connect() as db:
            return [dict(row) for row in db.execute(wanted).mappings()]

    def mode(self, account: str) -> Mode:
        """See the port."""
        return self.mode_and_why(account)[0]

    def mode_and_why(self, account: str) -> tuple[Mode, str]:
        """The account's mode with the reason that was given for it."""
        with self._engine.connect() as db:
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
    def _alone(self) -> Iterator[Connection]:
        """Like `_write`, and what is read can't change before the commit: two first runs may start at once."""
        with self._write() as db:
            if self._engine.dialect.name == "sqlite":
                db.exec_driver_sql("BEGIN IMMEDIATE")
            yield db

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        with self._engine.begin() as db:
            yield db

    @staticmethod
    def _attempts(db: Connection, key: str) -> tuple[AttemptRow, ...]:
        columns = (c for c in attempts.c if c.name in AttemptRow.__slots__)
        rows = db.execute(select(*columns).where(attempts.c.intent_key == key)).mappings()
        return tuple(AttemptRow(**row) for row in rows)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def _intent(row: Any) -> Intent:
    return Intent(
        key=row["key"],
        book=row["book"],
        account=row["account"],
        market=row["market"],
        kind=IntentKind(row["kind"]),
        size=Decimal(row["size"]),
        price_bound=Decimal(row["price_bound"]),
        deadline=row["deadline"],
        reference_price=Decimal(row["reference_price"]),
    )


def _fill(row: Any) -> Fill:
    names = ("size", "notional", "fee_usd", "impact_usd", "funding_usd")
    return Fill(**{name: Decimal(row[name]) for name in names})
