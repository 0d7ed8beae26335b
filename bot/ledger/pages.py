"""A ledger's rows for export, page by page: no read lasts long enough to hold up a run, and few rows are in memory."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, Select, select, tuple_

from bot.ledger.schema import attempts, fills, intents, ticks

PAGE = 500


def orders(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every intent with the tick that decided it, oldest first."""
    wanted = select(intents, ticks.c.at.label("decided_at")).join(ticks, ticks.c.id == intents.c.tick_id)
    last: tuple[int, str] = (0, "")
    while True:
        after = wanted.where(tuple_(intents.c.tick_id, intents.c.key) > last)
        page = _page(engine, after.order_by(intents.c.tick_id, intents.c.key))
        yield from page
        if len(page) < PAGE:
            return
        last = (page[-1]["tick_id"], page[-1]["key"])


def transactions(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every signed transaction, oldest first."""
    columns = [column for column in attempts.c if column.name != "raw"]
    yield from _by_id(engine, select(*columns), attempts.c.id)


def executions(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every fill with its order, oldest decision first."""
    wanted = select(fills, intents.c.tick_id, intents.c.account, intents.c.market, intents.c.reference_price)
    wanted = wanted.join(intents, intents.c.key == fills.c.intent_key)
    last: tuple[int, str] = (0, "")
    while True:
        after = wanted.where(tuple_(intents.c.tick_id, fills.c.intent_key) > last)
        page = _page(engine, after.order_by(intents.c.tick_id, fills.c.intent_key))
        yield from page
        if len(page) < PAGE:
            return
        last = (page[-1]["tick_id"], page[-1]["intent_key"])


def decisions(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every tick without its structures, oldest first."""
    columns = [column for column in ticks.c if not column.name.endswith("_json")]
    yield from _by_id(engine, select(*columns), ticks.c.id)


def exposures(engine: Engine) -> Iterator[dict[str, Any]]:
    """Every tick's exposure and snapshot as JSON texts, oldest first."""
    columns = (
        ticks.c.id,
        ticks.c.book,
        ticks.c.at,
        ticks.c.spot,
        ticks.c.exposure_json,
        ticks.c.snapshot_json,
    )
    yield from _by_id(engine, select(*columns), ticks.c.id)


def _by_id(engine: Engine, wanted: Select[Any], number: Any) -> Iterator[dict[str, Any]]:
    last = 0
    while True:
        page = _page(engine, wanted.where(number > last).order_by(number))
        yield from page
        if len(page) < PAGE:
            return
        last = page[-1]["id"]


def _page(engine: Engine, wanted: Select[Any]) -> list[dict[str, Any]]:
    with engine.connect() as db:
        return [dict(row) for row in db.execute(wanted.limit(PAGE)).mappings()]
