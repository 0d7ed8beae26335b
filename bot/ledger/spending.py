"""What orders used up, from the ledger's rows, and how the value changed. Reads, and changes nothing."""

from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, or_, select

from bot.core.model import OPEN_OUTCOMES, OutcomeState, Spent
from bot.ledger.schema import attempts, fills, intents, ticks

HOUR_S = 3_600
DAY_S = 86_400
OPEN = tuple(state.value for state in OPEN_OUTCOMES)


def spent_by(db: Connection, book: str | None, now: int, *, paper: bool) -> Spent:
    """Of one book, or of all for None: what resolved orders used in the hour and day until `now`.

    An order counts from when its outcome was recorded, which is never before it was mined. One that reverted or was
    cancelled counts as an order and with its gas; one that was never signed counts nowhere.
    """
    rows = db.execute(
        select(intents.c.resolved_at, intents.c.gas_usd, fills.c.notional, fills.c.fee_usd)
        .select_from(intents.outerjoin(fills))
        .where(
            intents.c.resolved_at > now - DAY_S,
            intents.c.outcome.not_in(OPEN),
            *placed(book, paper=paper),
        )
    ).all()
    within_hour = [row for row in rows if row.resolved_at > now - HOUR_S]
    newest = (
        select(ticks.c.at)
        .select_from(intents.outerjoin(fills).join(ticks, ticks.c.id == intents.c.tick_id))
        .where(or_(intents.c.outcome.in_(OPEN), *placed(None, paper=paper)))
        .order_by(intents.c.tick_id.desc())
        .limit(1)
    )
    return Spent(
        trades_hour=len(within_hour),
        trades_day=len(rows),
        turnover_hour_usd=total(row.notional for row in within_hour),
        turnover_day_usd=total(row.notional for row in rows),
        fees_day_usd=total(row.fee_usd for row in rows),
        gas_day_usd=total(row.gas_usd for row in rows),
        change_day_usd=change(db, book, now, paper=paper),
        last_order_at=db.scalar(newest if book is None else newest.where(intents.c.book == book)),
    )


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
