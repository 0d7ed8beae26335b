"""A tick's whole arithmetic, and replayed ticks side by side, for people and for machines."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from bot.core.attribution import Attribution, attribute
from bot.core.greeks import position_greeks, price_book
from bot.core.model import Decision, Exposure
from bot.core.target import Target
from bot.ledger.history import History, RecordedTick
from bot.render import (
    QUIET,
    blocks_text,
    decision_json,
    decision_panel,
    delta_json,
    plain_table,
    positions_table,
    wake_json,
    wake_text,
)
from bot.replay import Replayed
from bot.simulate.measures import usd


@dataclass(frozen=True, slots=True)
class Explanation:
    """A tick with where the change of value since the tick before it came from; None for a book's first tick."""

    tick: RecordedTick
    attribution: Attribution | None


def explained(history: History, tick_id: int) -> Explanation:
    """The explanation of a recorded tick. ConfigError where there is none of that number."""
    tick = history.tick(tick_id)
    if tick.before is None:
        return Explanation(tick, None)
    before = history.tick(tick.before).decided
    trades, gas = history.settled_between(tick.before, tick.id)
    return Explanation(tick, attribute(before.snapshot, before.exposure, tick.decided.snapshot, trades, gas))


def explanation_view(explanation: Explanation) -> RenderableType:
    """Everything that a tick's decision rests on, top down."""
    tick = explanation.tick
    decided = tick.decided
    snapshot, exposure = decided.snapshot, decided.exposure
    head = Text(f"{when(snapshot.at)}   {decided.mode.value}   rules {decided.rules}\n")
    head.append(blocks_text(snapshot))
    age = snapshot.at - snapshot.vols.at
    head.append(f"{snapshot.underlying} {snapshot.spot:,.2f} USD, {snapshot.vols.name} vols, {age} s old")
    parts = [
        Panel(head, title=f"Tick {tick.id} of book {snapshot.book}", title_align="left", box=box.ROUNDED),
        decision_panel(decided.decision, "Decision"),
        Text(f"It would trade at {wake_text(decided.wake)}"),
        arithmetic_table(decided.decision),
        positions_table(position_greeks(price_book(snapshot, Target())), exposure),
        parts_table(exposure),
    ]
    if explanation.attribution is not None:
        parts.append(attribution_table(explanation.attribution, tick.before))
    return Group(*parts)


def arithmetic_table(decision: Decision) -> RenderableType:
    """The figures behind a decision."""
    table = plain_table("Arithmetic")
    table.show_header = False
    table.add_column("", style=QUIET)
    table.add_column("", justify="right", overflow="fold")
    for name, value in decision.arithmetic.items():
        table.add_row(name.replace("_", " "), value)
    return table


def parts_table(exposure: Exposure) -> RenderableType:
    """The parts of the delta and what may move it."""
    table = plain_table("Delta, in units of the underlying")
    table.add_column("part")
    table.add_column("delta", justify="right")
    table.add_column("may be lower by", justify="right")
    table.add_column("higher by", justify="right")
    for name in ("options", "holdings", "perps"):
        table.add_row(name, f"{getattr(exposure, name):+.4f}", "", "")
    for bound in exposure.bounds:
        table.add_row(bound.name, "", f"{-bound.below:.4f}", f"{bound.above:.4f}")
    table.add_section()
    table.add_row("net delta", f"{exposure.net:+.4f}", f"{exposure.net_lo:+.4f} …", f"{exposure.net_hi:+.4f}")
    gap = (exposure.gap_lo + exposure.gap_hi) / 2
    table.add_row(
        "gap to the target",
        f"{gap:+.4f}",
        f"{exposure.gap_lo:+.4f} …",
        f"{exposure.gap_hi:+.4f}",
        style="bold",
    )
    return table


def attribution_table(attribution: Attribution, before: int | None) -> RenderableType:
    """Where the change of value came from."""
    table = plain_table(f"Change of value since tick {before}, in USD")
    table.show_header = False
    table.add_column("", style=QUIET)
    table.add_column("", justify="right")
    for name, value in asdict(attribution).items():
        table.add_row(name, usd(value))
    table.add_section()
    table.add_row("all", usd(attribution.total), style="bold")
    return table


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """The same for machines. Deltas in units of the underlying, money in USD."""
    tick = explanation.tick
    decided = tick.decided
    snapshot, exposure = decided.snapshot, decided.exposure
    attribution = explanation.attribution
    return {
        "tick": tick.id,
        "before": tick.before,
        "book": snapshot.book,
        "at": snapshot.at,
        "blocks": [{"chain": b.chain, "number": b.number, "hash": b.hash} for b in snapshot.blocks],
        "block_skew_s": snapshot.skew_s,
        "mode": decided.mode.value,
        "rules": decided.rules,
        "spot_usd": str(snapshot.spot),
        "vols": asdict(snapshot.vols),
        "decision": decision_json(decided.decision),
        "wake": wake_json(decided.wake),
        "delta": delta_json(exposure),
        "positions": [row._asdict() for row in position_greeks(price_book(snapshot, Target()))],
        "attribution_usd": None
        if attribution is None
        else asdict(attribution) | {"total": attribution.total},
    }


def replay_view(rows: Sequence[Replayed]) -> RenderableType:
    """What was decided and what these rules decide, where the two differ, and the sums."""
    table = plain_table("Decisions that differ")
    for name in ("tick", "time", "spot", "recorded", "by these rules"):
        table.add_column(name, justify="left" if name in ("time", "by these rules") else "right")
    for row in rows:
        then, now = row.sizes
        if then != now or isinstance(row.again, str):
            said = row.again if isinstance(row.again, str) else f"{now:+f}"
            table.add_row(str(row.tick), when(row.at), f"{row.spot:,.2f}", f"{then:+f}", said)
    summary = replay_json(rows)
    words = (
        f"{summary['ticks']} ticks; {summary['same_rules']} were recorded by these rules, and "
        f"{summary['identical']} of them are identical to the last bit\n"
        f"recorded {summary['trades_recorded']} trades of {summary['turnover_recorded']} units, "
        f"these rules {summary['trades_again']} of {summary['turnover_again']}"
    )
    panel = Panel(words, title="Replay", title_align="left", box=box.ROUNDED)
    return Group(table, panel) if table.row_count else panel


def replay_json(rows: Sequence[Replayed]) -> dict[str, Any]:
    """The sums of a replay and its rows for machines. Turnover in units of the underlying."""
    ours = [row for row in rows if row.identical is not None]
    then, now = ([row.sizes[side] for row in rows] for side in (0, 1))
    return {
        "ticks": len(rows),
        "same_rules": len(ours),
        "identical": sum(1 for row in ours if row.identical),
        "refused": sum(1 for row in rows if isinstance(row.again, str)),
        "trades_recorded": sum(1 for size in then if size),
        "trades_again": sum(1 for size in now if size),
        "turnover_recorded": str(sum(map(abs, then))),
        "turnover_again": str(sum(map(abs, now))),
        "rows": [
            {
                "tick": row.tick,
                "at": row.at,
                "spot_usd": str(row.spot),
                "identical": row.identical,
                "recorded": decision_json(row.recorded),
                "again": {"error": row.again} if isinstance(row.again, str) else decision_json(row.again),
            }
            for row in rows
        ],
    }


def when(at: int) -> str:
    """A Unix second for people, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
