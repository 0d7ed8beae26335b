"""Pages of ticks and orders, newest first, and the ledger's own state. Reads, and changes nothing.

Pages go by key, never by offset, and a search that no index serves looks through a bounded number of ticks: what a
page costs does not grow with the ledger.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Float, Select, cast, func, select

from bot.core.accounts import Account
from bot.core.model import OPEN_OUTCOMES, Mode
from bot.ledger.schema import attempts, baselines, chains, epoch, fills, intents, modes, ticks

PAGE = 50
SEARCHED = 10_000
"""How many ticks such a search looks through at once."""
OPEN = tuple(state.value for state in OPEN_OUTCOMES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which ticks: of a book, a kind of decision, a code, a text within the reason. "" is any."""

    book: str = ""
    decision: str = ""
    code: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `older` is the key to go on before, None at the end.

    `searched_to` is the oldest tick that a search has looked at, None where it looked at all.
    """

    rows: tuple[Any, ...]
    older: int | None
    searched_to: int | None = None


@dataclass(frozen=True, slots=True)
class Newest:
    """What changes whenever something was recorded: the newest tick, mode, attempt and outcome."""

    tick: int
    mode: int
    attempt: int
    resolved_at: int
    open_orders: int


@dataclass(frozen=True, slots=True)
class AccountMode:
    """An account that the ledger belongs to, its mode, the reason that was given, and since when (Unix seconds)."""

    account: Account
    mode: Mode
    why: str
    at: int | None


def newest(db: Connection) -> Newest:
    """The newest of everything; four looks at indices."""
    pending = select(func.count()).select_from(intents).where(intents.c.resolved_at.is_(None))
    parts = (
        select(func.max(ticks.c.id)).scalar_subquery(),
        select(func.max(modes.c.id)).scalar_subquery(),
        select(func.max(attempts.c.id)).scalar_subquery(),
        select(func.max(intents.c.resolved_at)).scalar_subquery(),
        pending.scalar_subquery(),
    )
    row = db.execute(select(*parts)).one()
    return Newest(*(int(value or 0) for value in row))


def books_of(db: Connection) -> tuple[str, ...]:
    """The books that have ticks, by name. Each is one step in the index, however many ticks it has."""
    found: list[str] = []
    while True:
        after = select(func.min(ticks.c.book))
        name = db.scalar(after.where(ticks.c.book > found[-1]) if found else after)
        if name is None:
            return tuple(found)
        found.append(name)


def accounts_of(db: Connection, traded_on: Iterable[str]) -> tuple[AccountMode, ...]:
    """The accounts that runs of this ledger sign as on these chains, each with its mode."""
    bound = {row.chain: row for row in db.execute(select(chains).where(chains.c.account != ""))}
    rows = [bound[chain] for chain in dict.fromkeys(traded_on) if chain in bound]
    return tuple(
        _mode_of(db, Account(row.account.split(" for ")[0], row.chain_id, row.chain)) for row in rows
    )


def _mode_of(db: Connection, account: Account) -> AccountMode:
    wanted = select(modes.c.mode, modes.c.why, modes.c.at).where(modes.c.account == account.id)
    row = db.execute(wanted.order_by(modes.c.id.desc()).limit(1)).first()
    return (
        AccountMode(account, Mode.ACTIVE, "", None)
        if row is None
        else AccountMode(account, Mode(row[0]), *row[1:])
    )


def mode_history(db: Connection, most: int = 20) -> list[Any]:
    """The newest changes of mode."""
    return list(db.execute(select(modes).order_by(modes.c.id.desc()).limit(most)).mappings())


def tick_page(db: Connection, wanted: Wanted, before: int | None) -> Page:
    """A page of ticks, without their structures."""
    columns = (
        c
        for c in ticks.c
        if c.name in ("id", "book", "at", "spot", "net_delta", "decision", "code", "why", "mode")
    )
    query = select(*columns)
    if before is not None:
        query = query.where(ticks.c.id < before)
    if wanted.book:
        query = query.where(ticks.c.book == wanted.book)
    if wanted.code:
        query = query.where(ticks.c.code == wanted.code)
    if wanted.decision in ("rebalance", "transfer"):
        query = query.where(ticks.c.code == wanted.decision.upper())
    elif wanted.decision:
        query = query.where(ticks.c.decision == wanted.decision)
    low = None
    if wanted.text or wanted.decision == "hold":  # no index finds these
        start = before or (db.scalar(select(func.max(ticks.c.id))) or 0) + 1
        low = start - SEARCHED if start > SEARCHED + 1 else None
        query = query if low is None else query.where(ticks.c.id >= low)
        if wanted.text:
            query = query.where(ticks.c.why.contains(wanted.text, autoescape=True))
    rows = tuple(db.execute(query.order_by(ticks.c.id.desc()).limit(PAGE + 1)).mappings())
    if len(rows) > PAGE:
        return Page(rows[:PAGE], rows[PAGE - 1]["id"])
    return Page(rows, low, low)


def codes_of(db: Connection, book: str) -> tuple[str, ...]:
    """The codes that a book's ticks have, by name; one step in an index for each."""
    found: list[str] = []
    while True:
        wanted = select(func.min(ticks.c.code)).where(ticks.c.book == book)
        code = db.scalar(wanted.where(ticks.c.code > found[-1]) if found else wanted)
        if code is None:
            return tuple(found)
        found.append(code)


def neighbours(db: Connection, book: str, tick_id: int) -> tuple[int | None, int | None]:
    """The ids of a book's ticks before and after one."""
    of_book = ticks.c.book == book
    before = db.scalar(select(func.max(ticks.c.id)).where(of_book, ticks.c.id < tick_id))
    after = db.scalar(select(func.min(ticks.c.id)).where(of_book, ticks.c.id > tick_id))
    return before, after


def order_page(db: Connection, book: str, before: int | None, *, only_open: bool = False) -> Page:
    """A page of orders with their fills; those of one tick stay together."""
    query: Select[Any] = (
        select(
            intents,
            fills.c.size.label("filled"),
            fills.c.notional,
            fills.c.fee_usd,
            fills.c.impact_usd,
            fills.c.funding_usd,
            fills.c.paper,
        )
        .select_from(intents.outerjoin(fills, fills.c.intent_key == intents.c.key))
        .where(intents.c.book == book)
    )
    if before is not None:
        query = query.where(intents.c.tick_id < before)
    if only_open:
        query = query.where(intents.c.outcome.in_(OPEN))
    rows = list(db.execute(query.order_by(intents.c.tick_id.desc()).limit(PAGE + 1)).mappings())
    older = None
    if len(rows) > PAGE:
        last = rows[PAGE]["tick_id"]
        kept = [row for row in rows if row["tick_id"] > last]
        rows = kept or rows[:PAGE]
        older = rows[-1]["tick_id"]
    return Page(tuple(rows), older)


def orders_of_tick(db: Connection, tick_id: int) -> list[Any]:
    """The orders that a tick decided."""
    return list(db.execute(select(intents).where(intents.c.tick_id == tick_id)).mappings())


def attempts_for(db: Connection, keys: Sequence[str]) -> dict[str, list[Any]]:
    """The signed transactions of orders, without their bytes, oldest first."""
    columns = [c for c in attempts.c if c.name != "raw"]
    found: dict[str, list[Any]] = {key: [] for key in keys}
    wanted = select(*columns).where(attempts.c.intent_key.in_(keys)).order_by(attempts.c.id)
    for row in db.execute(wanted).mappings():
        found[row["intent_key"]].append(row)
    return found


@dataclass(frozen=True, slots=True)
class State:
    """The ledger in figures. `orders` by outcome, `pace` ticks of the hour before the newest."""

    ticks: int
    first_at: int | None
    runs: int
    orders: dict[str, int]
    baselines: tuple[Any, ...]
    pace: int


def state_of(db: Connection, now: int) -> State:
    """The ledger's own state; counts go over indices."""
    outcomes = select(intents.c.outcome, func.count()).group_by(intents.c.outcome)
    paced = select(func.count()).select_from(ticks).where(ticks.c.paper.in_((0, 1)), ticks.c.at > now - 3_600)
    return State(
        ticks=db.scalar(select(func.count(ticks.c.id))) or 0,
        first_at=db.scalar(select(ticks.c.at).order_by(ticks.c.id).limit(1)),
        runs=db.scalar(select(epoch.c.epoch)) or 0,
        orders={row[0]: row[1] for row in db.execute(outcomes)},
        baselines=tuple(db.execute(select(baselines).order_by(baselines.c.id.desc()).limit(20)).mappings()),
        pace=db.scalar(paced) or 0,
    )


def expected_position(db: Connection, account: str, market: str, tick_id: int) -> Decimal | None:
    """The live position that a tick should have seen, in units to six decimals; None without a baseline before it.

    `account` is an id.
    """
    wanted = select(baselines).where(baselines.c.account == account, baselines.c.market == market)
    row = db.execute(wanted.order_by(baselines.c.id.desc()).limit(1)).mappings().first()
    if row is None:
        return None
    filled = select(func.sum(cast(fills.c.size, Float))).join(intents)
    filled = filled.where(intents.c.account == account, intents.c.market == market, fills.c.paper == 0)
    seen = db.scalar(filled.where(intents.c.resolved_after < tick_id)) or 0.0
    expected = Decimal(row["size"]) + Decimal(str(seen)) - Decimal(row["filled_before"])
    return round(expected, 6)


def worst_first(states: Sequence[AccountMode]) -> AccountMode | None:
    """The account whose mode allows least, None where there is none."""
    order = {Mode.HALTED: 0, Mode.REDUCING: 1, Mode.ACTIVE: 2}
    return min(states, key=lambda state: order[state.mode], default=None)
