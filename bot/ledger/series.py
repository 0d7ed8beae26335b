"""Figures over time for charts: bounded in number, however long the ledger is. Reads, and changes nothing.

A span is cut into intervals of equal length. The delta of an interval is that of its worst tick, so that no excursion
is lost by thinning; its profit and loss is that at its last tick. Structures are read of the chosen ticks alone.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, text

from bot.ledger.schema import fills, intents, ticks

IN_INTERVAL = "FROM ticks WHERE book = :book AND paper = :paper AND at >= :start AND at < :end"
WORST = text(f"SELECT id, max(abs(CAST(net_delta AS REAL))) {IN_INTERVAL}")
LAST = text(f"SELECT max(id), max(at), sum(change_usd) {IN_INTERVAL}")
GAS = text("""
    SELECT sum(CAST(gas_usd AS REAL)) FROM intents
    WHERE book = :book AND resolved_at >= :start AND resolved_at < :end""")
DELTAS = text("""
    SELECT id, at, spot, net_delta, decision,
           json_extract(exposure_json, '$.net_lo', '$.net_hi', '$.gap_lo', '$.gap_hi') AS ends,
           json_extract(decision_json, '$.band.low', '$.band.high') AS band
    FROM ticks WHERE id IN :ids ORDER BY id""").bindparams(bindparam("ids", expanding=True))
MARGINS = text("""
    SELECT id, at, json_extract(snapshot_json, '$.venue.margin.mark_value', '$.venue.margin.collateral',
                                '$.venue.pending_funding') AS margin
    FROM ticks WHERE id IN :ids ORDER BY id""").bindparams(bindparam("ids", expanding=True))


@dataclass(frozen=True, slots=True)
class Span:
    """Ticks of a book from Unix second `start` to `end`, both included, in intervals of `width` seconds.

    On `paper` those on paper, else the live ones.
    """

    book: str
    paper: bool
    start: int
    end: int
    width: int

    def intervals(self) -> Iterator[dict[str, Any]]:
        """Each interval as the statements take it. One range of an index each is less work than sorting them all."""
        shared = {"book": self.book, "paper": int(self.paper)}
        for start in range(self.start, self.end + 1, self.width):
            yield shared | {"start": start, "end": min(start + self.width, self.end + 1)}


@dataclass(frozen=True, slots=True)
class DeltaPoint:
    """An interval's worst tick, deltas in units. `band` is where the net delta may be without a trade.

    It is the policy's band for the gap, moved by what the net delta is beyond the gap; None without one.
    """

    id: int
    at: int
    spot: float
    net: float
    low: float
    high: float
    band: tuple[float, float] | None
    decision: str


@dataclass(frozen=True, slots=True)
class ProfitPoint:
    """Profit and loss since the span's start at one tick, in USD: with the hedge, and as if there were none."""

    id: int
    at: int
    hedged: float
    unhedged: float


@dataclass(frozen=True, slots=True)
class Costs:
    """What was paid for hedging in a span, in USD, and how many orders were filled. Funding received is negative."""

    fees: float = 0.0
    impact: float = 0.0
    gas: float = 0.0
    funding: float = 0.0
    trades: int = 0

    @property
    def total(self) -> float:
        """All of it."""
        return self.fees + self.impact + self.gas + self.funding


def first_at(db: Connection, book: str, *, paper: bool) -> int | None:
    """The Unix second of a book's first tick."""
    of_book = ticks.c.book == book, ticks.c.paper == int(paper)
    found: int | None = db.scalar(select(func.min(ticks.c.at)).where(*of_book))
    return found


def deltas(db: Connection, span: Span) -> list[DeltaPoint]:
    """The worst tick of every interval, oldest first."""
    found = (db.execute(WORST, interval).first() for interval in span.intervals())
    ids = [row[0] for row in found if row is not None and row[0] is not None]
    return [_delta_point(row) for row in db.execute(DELTAS, {"ids": ids}).mappings()]


def _delta_point(row: Any) -> DeltaPoint:
    low, high, gap_low, gap_high = json.loads(row["ends"])
    net, band = float(row["net_delta"]), json.loads(row["band"])
    shift = net - (gap_low + gap_high) / 2
    edges = None
    if all(isinstance(edge, int | float) for edge in band):  # a band of prices is text
        edges = band[0] + shift, band[1] + shift
    return DeltaPoint(row["id"], row["at"], float(row["spot"]), net, low, high, edges, row["decision"])


def profit(db: Connection, span: Span) -> list[ProfitPoint]:
    """Profit and loss at every interval's last tick, oldest first, from the last tick before the span on.

    The hedge's own is what its account gained beyond deposits, less gas.
    """
    base = _base(db, span)
    if base is None:
        return []
    found: list[tuple[int, float, float]] = []
    gained, gas = (
        (-base[2] if base[1] >= span.start else 0.0),
        0.0,
    )  # what changed before the base isn't counted
    since = base[1]
    for interval in span.intervals():
        last, at, change = db.execute(LAST, interval).one()
        if last is None:
            continue
        # What a tick's own order burns comes after what that tick saw.
        gas += db.scalar(GAS, {"book": span.book, "start": since, "end": at}) or 0.0
        gained, since = gained + (change or 0.0), at
        found.append((last, gained, gas))
    margins = {row["id"]: row for row in _margins(db, [base[0], *(last for last, _, _ in found)])}
    start = _earned(margins[base[0]])
    return [
        ProfitPoint(last, margins[last]["at"], total, total - (_earned(margins[last]) - start - burnt))
        for last, total, burnt in found
    ]


def costs(db: Connection, span: Span) -> Costs:
    """What hedging cost in a span, of orders that were settled in it; funding that is owed but not settled included."""
    columns = (intents.c.gas_usd, *(fills.c[name] for name in ("fee_usd", "impact_usd", "funding_usd")))
    wanted = (
        select(*columns)
        .select_from(intents.outerjoin(fills, fills.c.intent_key == intents.c.key))
        .where(
            intents.c.book == span.book,
            intents.c.resolved_at >= span.start,
            intents.c.resolved_at <= span.end,
        )
    )
    rows = db.execute(wanted).all()
    traded = [row for row in rows if row[1] is not None]
    base, last = _base(db, span), db.execute(LAST, next(span.intervals())).one()[0]
    owed = 0.0
    if base is not None and last is not None:
        margins = _margins(db, [base[0], last])
        owed = _pending(margins[-1]) - _pending(margins[0])
    return Costs(
        fees=sum(float(row[1]) for row in traded),
        impact=sum(float(row[2]) for row in traded),
        gas=sum(float(row[0]) for row in rows),
        funding=sum(float(row[3]) for row in traded) + owed,
        trades=len(traded),
    )


def _base(db: Connection, span: Span) -> tuple[int, int, float] | None:
    """The tick that a span is counted from: the last before it, else its first."""
    columns = ticks.c.id, ticks.c.at, ticks.c.change_usd
    of_book = select(*columns).where(ticks.c.book == span.book, ticks.c.paper == int(span.paper))
    before = of_book.where(ticks.c.at < span.start).order_by(ticks.c.at.desc(), ticks.c.id.desc())
    row = db.execute(before.limit(1)).first()
    row = row or db.execute(of_book.order_by(ticks.c.at, ticks.c.id).limit(1)).first()
    return None if row is None else (row[0], row[1], row[2] or 0.0)


def _margins(db: Connection, ids: list[int]) -> list[Any]:
    return list(db.execute(MARGINS, {"ids": ids}).mappings())


def _earned(row: Any) -> float:
    """The account's value at the mark beyond what was deposited, in USD."""
    value, collateral, _ = json.loads(row["margin"])
    return float(value) - float(collateral)


def _pending(row: Any) -> float:
    return float(json.loads(row["margin"])[2])
