"""The first page: where the book stands, what was decided, and how it went."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from bot.config import Config
from bot.core.decision import Decided
from bot.core.margin import MarginPolicy, MarginState, margin_of
from bot.core.model import Mode, PriceBand
from bot.ledger import series
from bot.ledger.history import RecordedTick
from bot.web import words

POINTS = 320
RANGES = {"6h": 6 * 3_600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400, "all": 0}
DEFAULT_RANGE = "24h"


@dataclass(frozen=True, slots=True)
class Result:
    """How some time went, in USD: profit with the hedge and as if there were none, and what hedging cost."""

    hedged: float | None
    unhedged: float | None
    costs: series.Costs


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows. `checked_by` is when the next tick is due, None where nobody can say."""

    tick: RecordedTick
    decided: Decided
    margin: MarginState
    policy: MarginPolicy
    chart: dict[str, Any]
    profit_chart: dict[str, Any]
    today: Result
    last_day: Result
    checked_by: int | None
    price_band: PriceBand | None
    band_words: str


def overview(db: Connection, config: Config, tick: RecordedTick, span_name: str) -> Overview:
    """The page of a book's newest tick. DataError where its margin makes no sense."""
    decided = tick.decided
    snapshot = decided.snapshot
    at = snapshot.at
    span = span_of(db, decided, span_name)
    points = series.deltas(db, span)
    band = decided.decision.band
    price_band = band if isinstance(band, PriceBand) else None
    newest = points[-1].band if points and points[-1].id == tick.id else None
    return Overview(
        tick=tick,
        decided=decided,
        margin=margin_of(snapshot.venue),
        policy=policy_of(config, snapshot.book),
        chart=delta_chart(points, snapshot.underlying),
        profit_chart=profit_chart(series.profit(db, span)),
        today=result(db, decided, midnight(at)),
        last_day=result(db, decided, at - 86_400),
        checked_by=next_check(config, decided),
        price_band=price_band,
        band_words="" if newest is None else f"{words.signed(newest[0])} to {words.signed(newest[1])}",
    )


def span_of(db: Connection, decided: Decided, name: str) -> series.Span:
    """The time that the charts show, up to a tick."""
    snapshot = decided.snapshot
    length = RANGES[name]
    first = series.first_at(db, snapshot.book, paper=snapshot.paper) or snapshot.at
    start = max(snapshot.at - length, first) if length else first
    width = max((snapshot.at - start) // POINTS, 1)
    return series.Span(snapshot.book, snapshot.paper, start, snapshot.at, width)


def result(db: Connection, decided: Decided, start: int) -> Result:
    """How the time since `start` went, up to a tick."""
    snapshot = decided.snapshot
    span = series.Span(snapshot.book, snapshot.paper, start, snapshot.at, max(snapshot.at - start + 1, 1))
    points, paid = series.profit(db, span), series.costs(db, span)
    last = points[-1] if points else None
    return Result(None, None, paid) if last is None else Result(last.hedged, last.unhedged, paid)


def midnight(at: int) -> int:
    """The start of a Unix second's day in UTC."""
    return int(datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0).timestamp())


def next_check(config: Config, decided: Decided) -> int | None:
    """When the next regular tick is due, in Unix seconds."""
    known = any(book.name == decided.snapshot.book for book in config.books)
    return decided.snapshot.at + config.interval_s if known else None


def policy_of(config: Config, book: str) -> MarginPolicy:
    """The levels that a book's margin is kept by, or the usual ones where it watches none."""
    for configured in config.books:
        if configured.name == book and configured.margin is not None:
            return configured.margin.protection().policy
    return MarginPolicy()


def delta_chart(points: list[series.DeltaPoint], unit: str) -> dict[str, Any]:
    """The net delta with its error bar against the band, and the price."""
    edges = [point.band or (None, None) for point in points]
    return {
        "kind": "delta",
        "unit": unit,
        "at": [point.at for point in points],
        "net": [thin(point.net) for point in points],
        "low": [thin(point.low) for point in points],
        "high": [thin(point.high) for point in points],
        "bandLow": [thin(low) for low, _ in edges],
        "bandHigh": [thin(high) for _, high in edges],
        "traded": [thin(point.net) if point.decision == "rebalance" else None for point in points],
        "spot": [thin(point.spot) for point in points],
    }


def profit_chart(points: list[series.ProfitPoint]) -> dict[str, Any]:
    """Profit and loss with the hedge and without it."""
    return {
        "kind": "profit",
        "at": [point.at for point in points],
        "hedged": [thin(point.hedged) for point in points],
        "unhedged": [thin(point.unhedged) for point in points],
    }


def thin(value: float | None) -> float | None:
    """A figure in as many digits as a chart can show."""
    return None if value is None else float(f"{value:.6g}")


def tone_of(mode: Mode) -> str:
    """The class of a mode."""
    return {Mode.ACTIVE: "good", Mode.REDUCING: "warn", Mode.HALTED: "bad"}[mode]


def margin_tone(margin: MarginState, policy: MarginPolicy) -> str:
    """The class of a margin: its levels are the policy's."""
    for level, tone in ((policy.critical, "bad"), (policy.warning, "warn")):
        if margin.size and margin.equity < policy.needed(level, margin):
            return tone
    return "good"
