"""What orders used up, from the ledger's rows, and how the value changed. Reads, and changes nothing."""

import itertools
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from bot.core.model import OPEN_OUTCOMES, IntentKind, OutcomeState, Refusals, Spent
from bot.ledger.schema import attempts, fills, intents, ticks

HOUR_S = 3_600
DAY_S = 86_400
OPEN = tuple(state.value for state in OPEN_OUTCOMES)
TRADE = IntentKind.TRADE.value
TOPPING_UP = (IntentKind.APPROVE.value, IntentKind.ADD_MARGIN.value)
RETRY_S = 60
"""How long a top-up that came to nothing keeps the next one waiting, so that the hedge is not held up by it."""
MOST_REFUSALS = 12
"""How far back cancelled orders are counted."""


def spent_by(db: Connection, book: str | None, now: int, *, paper: bool) -> Spent:
    """Of one book, or of all for None: what resolved orders used in the hour and day until `now`.

    An order counts from when its outcome was recorded, which is never before it was mined. One that reverted or was
    cancelled counts as an order and with its gas; one that was never signed counts nowhere. Of what moves margin the
    gas alone counts.
    """
    rows = db.execute(
        select(intents.c.kind, intents.c.resolved_at, intents.c.gas_usd, fills.c.notional, fills.c.fee_usd)
        .select_from(intents.outerjoin(fills))
        .where(
            intents.c.resolved_at > now - DAY_S,
            intents.c.outcome.not_in(OPEN),
            *placed(book, paper=paper),
        )
    ).all()
    traded = [row for row in rows if row.kind == TRADE]
    within_hour = [row for row in traded if row.resolved_at > now - HOUR_S]
    newest = (
        select(ticks.c.at)
        .select_from(intents.outerjoin(fills).join(ticks, ticks.c.id == intents.c.tick_id))
        .where(intents.c.kind == TRADE, or_(intents.c.outcome.in_(OPEN), *placed(None, paper=paper)))
        .order_by(intents.c.tick_id.desc())
        .limit(1)
    )
    return Spent(
        trades_hour=len(within_hour),
        trades_day=len(traded),
        turnover_hour_usd=total(row.notional for row in within_hour),
        turnover_day_usd=total(row.notional for row in traded),
        fees_day_usd=total(row.fee_usd for row in traded),
        gas_day_usd=total(row.gas_usd for row in rows),
        change_day_usd=change(db, book, now, paper=paper),
        last_order_at=db.scalar(newest if book is None else newest.where(intents.c.book == book)),
    )


def top_ups(db: Connection, book: str, now: int) -> tuple[Decimal, str]:
    """What a book's deposits of the last day add up to, open ones in full, and why the newest attempt failed."""
    added = select(intents.c.size).where(
        intents.c.book == book,
        intents.c.kind == IntentKind.ADD_MARGIN.value,
        or_(
            intents.c.outcome.in_(OPEN),
            (intents.c.outcome == OutcomeState.FILLED.value) & (intents.c.resolved_at > now - DAY_S),
        ),
    )
    newest = (
        select(intents.c.outcome, intents.c.reason, intents.c.resolved_at)
        .where(intents.c.book == book, intents.c.kind.in_(TOPPING_UP))
        .order_by(intents.c.tick_id.desc())
        .limit(1)
    )
    last = db.execute(newest).first()
    failed = last is not None and last.outcome == OutcomeState.DEAD.value and last.resolved_at > now - RETRY_S
    return total(db.scalars(added)), last.reason if last is not None and failed else ""


def refusals(db: Connection, book: str) -> Refusals | None:
    """The book's newest orders in a row that an executor cancelled; None where the newest one was not."""
    newest = (
        select(intents.c.settled_tx, intents.c.outcome, intents.c.reason, intents.c.resolved_at)
        .where(
            intents.c.book == book,
            intents.c.kind == IntentKind.TRADE.value,
            select(attempts.c.id).where(attempts.c.intent_key == intents.c.key).exists(),
        )
        .order_by(intents.c.tick_id.desc())
        .limit(MOST_REFUSALS)
    )
    rows = db.execute(newest).all()
    dead = OutcomeState.DEAD.value
    row = list(itertools.takewhile(lambda r: r.outcome == dead and r.settled_tx is not None, rows))
    return Refusals(len(row), row[0].resolved_at, row[0].reason) if row else None


def placed(book: str | None, *, paper: bool) -> tuple[ColumnElement[bool], ...]:
    """The orders that were signed, and on paper those that were recorded."""
    signed = select(attempts.c.id).where(attempts.c.intent_key == intents.c.key).exists()
    recorded = intents.c.outcome == OutcomeState.PAPER.value
    conditions = (or_(signed, recorded) if paper else signed,)
    return conditions if book is None else (*conditions, intents.c.book == book)


def change(db: Connection, book: str | None, now: int, *, paper: bool) -> Decimal:
    """The change of value that the day's ticks recorded, in USD."""
    wanted = select(func.sum(ticks.c.change_usd)).where(ticks.c.at > now - DAY_S, ticks.c.paper == int(paper))
    found = db.scalar(wanted if book is None else wanted.where(ticks.c.book == book))
    return Decimal(f"{found or 0.0:.6f}")


def total(texts: Any) -> Decimal:
    """The sum of decimal texts, None counting as 0."""
    return sum((Decimal(text or 0) for text in texts), Decimal(0))
