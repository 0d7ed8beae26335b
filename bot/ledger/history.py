"""Looking back: recorded ticks, and what was settled between two of them. Reads, and changes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, Float, cast, func, or_, select

from bot.core.attribution import TradeDone
from bot.core.decision import Decided
from bot.core.model import OPEN_OUTCOMES, IntentKind, OutcomeState
from bot.errors import ConfigError
from bot.ledger.rows import decided_of, fill_of
from bot.ledger.schema import fills, intents, ticks

PAGE = 50
"""Snapshots are large: they are read this many at a time."""
OPEN = tuple(state.value for state in OPEN_OUTCOMES)
TRANSFERS = (IntentKind.ADD_MARGIN.value, IntentKind.WITHDRAW_MARGIN.value)


@dataclass(frozen=True, slots=True)
class RecordedTick:
    """A tick as it was recorded. `before` is the id of the book's tick before it, None for the first."""

    id: int
    before: int | None
    decided: Decided


class Totals(NamedTuple):
    """The orders of a book that had one outcome: how many, and their gas in USD."""

    book: str
    outcome: str
    orders: int
    gas_usd: float


class History:
    """The ticks of a ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(
            isolation_level="AUTOCOMMIT"
        )  # else it would lock out the writer

    def tick(self, tick_id: int) -> RecordedTick:
        """One tick. ConfigError where the ledger has none of that number."""
        with self._engine.connect() as db:
            row = db.execute(select(ticks).where(ticks.c.id == tick_id)).mappings().first()
            if row is None:
                raise ConfigError(f"the ledger has no tick {tick_id}")
            earlier = select(func.max(ticks.c.id)).where(ticks.c.book == row["book"], ticks.c.id < tick_id)
            return RecordedTick(tick_id, db.scalar(earlier), decided_of(row))

    def newest(self, book: str) -> int:
        """The id of a book's last tick. ConfigError where it has none."""
        with self._engine.connect() as db:
            found: int | None = db.scalar(select(func.max(ticks.c.id)).where(ticks.c.book == book))
        if found is None:
            raise ConfigError(f"the ledger has no tick of book {book} yet")
        return found

    def between(self, book: str, first: int | None, last: int | None) -> Iterator[RecordedTick]:
        """A book's ticks from `first` to `last`, both included, oldest first; all where they are None."""
        after, before = (first or 1) - 1, None
        while True:
            wanted = select(ticks).where(ticks.c.book == book, ticks.c.id > after)
            if last is not None:
                wanted = wanted.where(ticks.c.id <= last)
            with self._engine.connect() as db:
                rows = db.execute(wanted.order_by(ticks.c.id).limit(PAGE)).mappings().all()
            for row in rows:
                yield RecordedTick(row["id"], before, decided_of(row))
                before = row["id"]
            if len(rows) < PAGE:
                return
            after = rows[-1]["id"]

    def totals(self, *, paper: bool) -> tuple[list[Totals], list[tuple[str, float]]]:
        """Per book and outcome how many orders and how much gas in USD, and per book the venue's fees in USD."""
        on_paper = intents.c.outcome == OutcomeState.PAPER.value
        gas = func.sum(cast(intents.c.gas_usd, Float))
        counted = select(intents.c.book, intents.c.outcome, func.count(), gas)
        counted = counted.where(on_paper if paper else ~on_paper).group_by(intents.c.book, intents.c.outcome)
        fees = select(fills.c.book, func.sum(cast(fills.c.fee_usd, Float)))
        with self._engine.connect() as db:
            orders = [Totals(*row) for row in db.execute(counted)]
            paid = db.execute(fees.where(fills.c.paper == int(paper)).group_by(fills.c.book)).all()
        return orders, [(book, float(amount)) for book, amount in paid]

    def settled_between(self, first: int, last: int) -> tuple[tuple[TradeDone, ...], Decimal]:
        """What was filled between the recordings of ticks `first` and `last`, and the gas paid for it in USD."""
        return self._settled(first, intents.c.resolved_after >= first, intents.c.resolved_after < last)

    def settled_since(self, tick_id: int) -> tuple[tuple[TradeDone, ...], Decimal]:
        """What was filled for a tick's book since that tick was recorded, and the gas paid for it in USD."""
        return self._settled(tick_id, intents.c.resolved_after >= tick_id)

    def transferred_since(self, account: str, tick_id: int) -> bool:
        """Whether an order of ours moved margin of `account` since a tick was recorded, or an open one may."""
        wanted = select(intents.c.key).where(
            intents.c.account == account,
            intents.c.kind.in_(TRANSFERS),
            intents.c.outcome != OutcomeState.DEAD.value,
            or_(intents.c.outcome.in_(OPEN), intents.c.resolved_after >= tick_id),
        )
        with self._engine.connect() as db:
            return db.execute(wanted.limit(1)).first() is not None

    def _settled(self, first: int, *inside: ColumnElement[bool]) -> tuple[tuple[TradeDone, ...], Decimal]:
        same_book = intents.c.book == select(ticks.c.book).where(ticks.c.id == first).scalar_subquery()
        filled = select(fills, intents.c.reference_price).join(intents).where(same_book, *inside)
        paid = select(intents.c.gas_usd).where(same_book, *inside)
        with self._engine.connect() as db:
            trades = tuple(
                TradeDone(fill_of(row), Decimal(row["reference_price"]))
                for row in db.execute(filled.order_by(intents.c.resolved_after)).mappings()
            )
            gas = sum((Decimal(text) for text in db.scalars(paid)), Decimal(0))
        return trades, gas
