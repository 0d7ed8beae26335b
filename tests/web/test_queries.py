"""What the pages read from a ledger, against the ledger itself."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from dashboards import Book
from sqlalchemy import Connection

from bot.core.accounts import account_id
from bot.ledger import browse, open_ledger, series
from bot.ledger.readonly import open_readonly


@pytest.fixture
def db(book: Book) -> Iterator[Connection]:
    engine = open_readonly(book.ledger)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def whole(db: Connection) -> series.Span:
    """All of the demo, a tick to an interval."""
    first = series.first_at(db, "eth", paper=False)
    assert first is not None
    last = db.exec_driver_sql("SELECT max(at) FROM ticks").scalar_one()
    return series.Span("eth", False, first, last, 1)


def test_pages_go_through_every_tick_once(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PAGE", 3)
    every = list(db.exec_driver_sql("SELECT id FROM ticks ORDER BY id DESC").scalars())
    for wanted in (browse.Wanted("eth"), browse.Wanted(), browse.Wanted("eth", text="gap")):
        found: list[int] = []
        before = None
        while True:
            page = browse.tick_page(db, wanted, before)
            found += [row["id"] for row in page.rows]
            before = page.older
            if before is None:
                break
        assert found == every


def test_a_search_is_bounded_and_goes_on(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "SEARCHED", 4)
    page = browse.tick_page(db, browse.Wanted("eth", text="nobody said this"), None)
    last = db.exec_driver_sql("SELECT max(id) FROM ticks").scalar_one()
    assert (page.rows, page.searched_to, page.older) == ((), last - 3, last - 3)


def test_pages_go_through_every_order_once(db: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "PAGE", 2)
    found: list[str] = []
    before = None
    while True:
        page = browse.order_page(db, "eth", before)
        found += [row["key"] for row in page.rows]
        before = page.older
        if before is None:
            break
    assert sorted(found) == sorted(db.exec_driver_sql("SELECT key FROM intents").scalars())


def test_profit_without_the_hedge_is_what_the_fills_say(db: Connection, whole: series.Span) -> None:
    points = series.profit(db, whole)
    ticks = db.exec_driver_sql(
        "SELECT id, json_extract(snapshot_json, '$.venue.position.size'), json_extract(snapshot_json, '$.venue.mark'), "
        "json_extract(snapshot_json, '$.venue.pending_funding') FROM ticks ORDER BY id"
    ).all()
    last = ticks[-1][0]
    fills = db.exec_driver_sql(
        "SELECT fills.size, notional, fee_usd, funding_usd, gas_usd FROM intents JOIN fills ON intent_key = key "
        "WHERE resolved_after < ?",
        (last,),
    ).all()
    cash = sum(
        -Decimal(n) * (1 if Decimal(size) > 0 else -1) - Decimal(fee) - Decimal(funding) - Decimal(gas)
        for size, n, fee, funding, gas in fills
    )
    (_, size0, mark0, owed0), (_, size1, mark1, owed1) = ticks[0], ticks[-1]
    marked = (
        Decimal(size1) * Decimal(mark1) - Decimal(size0) * Decimal(mark0) - Decimal(owed1) + Decimal(owed0)
    )
    hedge = points[-1].hedged - points[-1].unhedged
    assert hedge == pytest.approx(float(cash + marked), abs=0.01)
    change = db.exec_driver_sql("SELECT sum(change_usd) FROM ticks").scalar_one()
    assert points[-1].hedged == pytest.approx(change, abs=1e-6)


def test_thinning_keeps_the_worst_tick(db: Connection, whole: series.Span) -> None:
    every = series.deltas(db, whole)
    assert len(every) == db.exec_driver_sql("SELECT count(DISTINCT at) FROM ticks").scalar_one()
    thin = series.deltas(db, series.Span("eth", False, whole.start, whole.end, whole.end - whole.start + 1))
    assert [point.id for point in thin] == [max(every, key=lambda point: abs(point.net)).id]
    assert all(point.low <= point.net <= point.high for point in every)


def test_costs_are_the_fills(db: Connection, whole: series.Span) -> None:
    paid = series.costs(
        db, series.Span("eth", False, whole.start, whole.end + 60, whole.end - whole.start + 61)
    )
    fees, count = db.exec_driver_sql("SELECT sum(CAST(fee_usd AS REAL)), count(*) FROM fills").one()
    assert (paid.fees, paid.trades) == (pytest.approx(fees), count)


def test_the_expected_position_is_what_the_tick_saw(db: Connection) -> None:
    for tick, account, market, size in db.exec_driver_sql(
        "SELECT id, json_extract(snapshot_json, '$.venue.account'), json_extract(snapshot_json, "
        "'$.venue.position.market'), json_extract(snapshot_json, '$.venue.position.size') FROM ticks"
    ).all():
        (chain_id,) = db.exec_driver_sql("SELECT chain_id FROM chains").one()
        assert browse.expected_position(db, account_id(chain_id, account), market, tick) == Decimal(size)


def test_an_older_ledger_gets_the_indices(book: Book) -> None:
    with closing(sqlite3.connect(book.ledger)) as db:
        db.execute("DROP INDEX deltas_of_book")
        db.execute("DROP INDEX gas_of_book")
        db.commit()
    open_ledger(book.ledger).close()
    with closing(sqlite3.connect(book.ledger)) as db:
        names = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert {"deltas_of_book", "codes_of_book", "gas_of_book", "orders_by_outcome"} <= names
