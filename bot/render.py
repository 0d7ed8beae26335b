"""What a person sees of a result: rich tables and panels. No logic, no I/O but the console that it is given."""

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bot.core.budgets import Use
from bot.core.decision import Decided
from bot.core.model import (
    Decision,
    Exposure,
    IntentKind,
    Mode,
    Outcome,
    PositionGreeks,
    Privileges,
    Snapshot,
    Wake,
)
from bot.ports import OpenIntent
from bot.simulate.measures import Rehearsal, Step, profit, usd

GOOD, BAD, QUIET = "green", "red", "dim"


def status_view(
    record: Decided,
    positions: Sequence[PositionGreeks],
    budgets: Sequence[Use],
    why: str,
    trading: str,
    chain: str,
) -> RenderableType:
    """One snapshot: where it was read, every position, the hedge, what is left to spend, and what would be done.

    `chain` is the name of the one that the book trades on.
    """
    snapshot, exposure = record.snapshot, record.exposure
    return Group(
        header(snapshot, record.mode, why, trading),
        positions_table(positions, exposure),
        delta_table(snapshot, exposure),
        venue_table(snapshot, chain),
        privileges_line(snapshot.venue.privileges),
        checks_table(exposure),
        *([budgets_table(budgets)] if budgets else []),
        decision_panel(record.decision, "What would be done now"),
        Text(f"It would trade at {wake_text(record.wake)}"),
    )


def wake_text(wake: Wake) -> str:
    """The prices that a policy waits for, in words."""
    sides = [
        f"{price:,.2f} USD or {way}" for way, price in (("below", wake.down), ("above", wake.up)) if price
    ]
    return ", or at ".join(sides) or "no price near this one"


def header(snapshot: Snapshot, mode: Mode, why: str, trading: str) -> RenderableType:
    """The blocks, the price and the mode."""
    lines = Text()
    lines.append(blocks_text(snapshot))
    lines.append(f"{snapshot.underlying} {snapshot.spot:,.2f} USD   ")
    lines.append(f"{trading} · {mode.value}", style=GOOD if mode is Mode.ACTIVE else BAD)
    if why:
        lines.append(f"  ({why})")
    return Panel(lines, title=f"Book {snapshot.book}", title_align="left", box=box.ROUNDED)


def blocks_text(snapshot: Snapshot) -> Text:
    """The pinned blocks, and how far apart they are where there are several."""
    lines = Text(style=QUIET)
    for block in snapshot.blocks:
        lines.append(f"{block.chain} block {block.number}  {block.hash}\n")
    if len(snapshot.blocks) > 1:
        lines.append(f"{snapshot.skew_s} s between these blocks\n")
    return lines


def positions_table(positions: Sequence[PositionGreeks], exposure: Exposure) -> RenderableType:
    """Every option position with its greeks, and their sums."""
    table = plain_table("Option positions of the vault; money in USD")
    table.add_column("option", no_wrap=True)
    for name in ("size", "vol", "value $", "delta", "gamma", "vega/pt", "theta/d"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in positions:
        table.add_row(
            row.instrument,
            f"{row.size:+,.2f}",
            "expired" if row.vol is None else f"{row.vol:.1%}",
            f"{row.value:,.0f}",
            f"{row.delta:+.4f}",
            f"{row.gamma:+.4f}",
            f"{row.vega / 100:+,.1f}",
            f"{row.theta / 365:+,.1f}",
        )
    table.add_section()
    table.add_row(
        "all",
        "",
        "",
        f"{exposure.value:,.0f}",
        f"{exposure.options:+.4f}",
        f"{exposure.gamma:+.4f}",
        f"{exposure.vega / 100:+,.1f}",
        f"{exposure.theta / 365:+,.1f}",
        style="bold",
    )
    return table


def delta_table(snapshot: Snapshot, exposure: Exposure) -> RenderableType:
    """The net delta by part."""
    table = plain_table(f"Delta in {snapshot.underlying}")
    table.add_column("part")
    table.add_column("delta", justify="right")
    table.add_row("options", f"{exposure.options:+.4f}")
    for source in snapshot.sources:
        for holding in source.holdings:
            table.add_row(holding.asset, f"{float(holding.size):+.4f}")
    table.add_row("perp position", f"{exposure.perps:+.4f}")
    if snapshot.in_flight:
        table.add_row("order without an outcome", f"{float(snapshot.in_flight):+.4f}")
    table.add_section()
    net = f"{exposure.net:+.4f}"
    if exposure.net_lo != exposure.net_hi:
        net = f"{net}  [{exposure.net_lo:+.4f}, {exposure.net_hi:+.4f}]"
    table.add_row("net", net, style="bold")
    return table


def venue_table(snapshot: Snapshot, chain: str) -> RenderableType:
    """The perp position and its margin."""
    venue = snapshot.venue
    table = plain_table(f"Hedge on {venue.name}")
    table.add_column("", style=QUIET)
    table.add_column("", justify="right")
    table.show_header = False
    margin = venue.margin
    for name, value in (
        ("account", f"{venue.account} on {chain}"),
        ("position", f"{venue.position.size:+,.3f} {snapshot.underlying}"),
        ("price traded at / index", f"{venue.mark:,.2f} / {venue.index:,.2f}"),
        ("account value", f"${margin.account_value:,.2f}"),
        ("free collateral", f"${margin.free_collateral:,.2f}"),
        ("maintenance margin", f"${margin.maintenance:,.2f}"),
        ("closing all now would leave", f"${margin.exit_value:,.2f}"),
        ("funding a long pays", f"{venue.funding_per_hour * 24:+.4%} per day"),
        ("one order may buy / sell", f"{venue.max_buy:,.1f} / {venue.max_sell:,.1f} {snapshot.underlying}"),
        *collateral_rows(snapshot),
    ):
        table.add_row(name, value)
    return table


def collateral_rows(snapshot: Snapshot) -> list[tuple[str, str]]:
    """Where each order brings its own collateral: what there is of it, and what the venue may take.

    An order that brings more than that is preceded by an approval of exactly its amount, which `once` and `run` send.
    """
    venue = snapshot.venue
    if venue.collateral is None:
        return []
    allowed = f"{venue.allowance or 0:,.2f}"
    return [
        ("delta of the margin itself", f"{venue.margin_delta:+,.4f} {snapshot.underlying}"),
        ("collateral in the wallet", f"{venue.wallet or 0:,.2f}"),
        (
            "allowed to the venue",
            f"{allowed}; `vaultkeel once` or `run` approves exactly what an order brings",
        ),
        ("orders that wait there", str(len(venue.orders))),
    ]


def privileges_line(privileges: Privileges | None) -> RenderableType:
    """What the key may do on the venue."""
    if privileges is None:
        return Text("What the key may do is not known", style=QUIET)
    return Text(privileges.in_words(), style=BAD if privileges.can_withdraw else GOOD)


def checks_table(exposure: Exposure) -> RenderableType:
    """Our figures beside the protocol's own cached ones."""
    table = plain_table("Cross-checks")
    table.add_column("figure")
    for name in ("ours, live", "theirs, cached", "difference"):
        table.add_column(name, justify="right")
    table.add_column("note", style=QUIET)
    for check in exposure.checks:
        difference = f"{check.ours - check.theirs:+.4f}"
        table.add_row(check.name, f"{check.ours:+.4f}", f"{check.theirs:+.4f}", difference, check.note)
    return table


def budgets_table(budgets: Sequence[Use]) -> RenderableType:
    """What is used and left of every budget."""
    table = plain_table("Budgets; money in USD")
    table.add_column("whose")
    table.add_column("budget")
    for name in ("used", "allowed", "left"):
        table.add_column(name, justify="right")
    for use in budgets:
        figures = (f"{value:,.2f}" if use.name.endswith("_usd") else f"{value}" for value in figures_of(use))
        table.add_row(use.whose, use.name, *figures, style=None if use.left > 0 else BAD)
    return table


def figures_of(use: Use) -> tuple[Decimal, Decimal, Decimal]:
    """Used, allowed, left."""
    return use.used, use.allowed, use.left


def budgets_json(budgets: Sequence[Use]) -> list[dict[str, str]]:
    """The same for machines."""
    return [
        {"whose": use.whose, "budget": use.name}
        | dict(zip(("used", "allowed", "left"), map(str, figures_of(use)), strict=True))
        for use in budgets
    ]


def decision_panel(decision: Decision, title: str) -> RenderableType:
    """A decision in words."""
    head = decision.kind.upper()
    colour = GOOD if decision.kind == "hold" else "yellow"
    return Panel(
        Text(f"{head}: {decision.text}"),
        title=title,
        title_align="left",
        border_style=colour,
        box=box.ROUNDED,
    )


def tick_view(record: Decided, outcome: Outcome | None, intent_key: str | None) -> RenderableType:
    """One tick's decision and what became of its order."""
    parts: list[RenderableType] = [decision_panel(record.decision, f"Tick of {record.snapshot.book}")]
    if outcome is not None:
        line = f"order {intent_key}: {outcome.state.value} {outcome.reason}"
        if outcome.fill is not None:
            fill = outcome.fill
            price = fill.notional / abs(fill.size)
            line += f"\n{fill.size:+,.3f} at {price:,.2f}, fee ${fill.fee_usd:,.2f}, impact ${fill.impact_usd:,.2f}"
        parts.append(Panel(line, box=box.ROUNDED, title="Order", title_align="left"))
    return Group(*parts)


def progress_line(steps: Sequence[Step]) -> str:
    """A running demo in one line: price, delta around the last tick, trades, profit without and with the hedge."""
    last = steps[-1]
    alone, hedged = profit(steps)
    return (
        f"{last.price:,.0f} USD  Δ {last.net_before:+.1f} → {last.net_after:+.1f}  "
        f"{sum(step.hedges for step in steps)} trades  P&L {alone[-1]:+,.0f} / {hedged[-1]:+,.0f}"
    )


def intents_table(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Orders with their attempts and outcomes, oldest first."""
    table = plain_table("Orders")
    for name in ("key", "size", "outcome", "nonce", "state", "why"):
        table.add_column(name, no_wrap=name != "why")
    for row in rows:
        nonce = "" if row["nonce"] is None else str(row["nonce"])
        why = row["reason"] or row["why"]
        table.add_row(
            row["key"],
            meant(row["kind"], Decimal(row["intended"])),
            row["outcome"],
            nonce,
            row["state"] or "",
            why,
        )
    return table


def meant(kind: str, size: Decimal) -> str:
    """What an intent moves: a signed size, or an amount with what is done with it."""
    return f"{size:+f}" if kind == IntentKind.TRADE else f"{kind.replace('_', ' ')} {size:f}"


def order_panel(order: OpenIntent) -> RenderableType:
    """One order without an outcome, with every transaction that was signed for it."""
    intent = order.intent
    lines = [f"{meant(intent.kind, intent.size)} of {intent.market}, deadline {intent.deadline}"]
    lines += [
        f"nonce {a.nonce}  {a.purpose}  {a.state}  {a.max_fee_wei / 1e9:.4f} gwei  {a.hash}"
        for a in order.attempts
    ]
    return Panel("\n".join(lines), title=f"Order {intent.key}", title_align="left", box=box.ROUNDED)


def rehearsal_view(run: Rehearsal, report: str, picture: str) -> RenderableType:
    """A finished demo's summary."""
    m, cost = run.measures, run.cost
    table = plain_table(f"{run.hours:g} simulated hours, seed {run.seed}")
    table.add_column("", style=QUIET)
    table.add_column("vault alone", justify="right")
    table.add_column("vault + hedge", justify="right")
    alone = max(abs(step.vault_delta) for step in run.steps)
    table.add_row("largest |delta| after a check, ETH", f"{alone:,.2f}", f"{m.max_abs_delta_after:,.2f}")
    table.add_row("std of one step's change", usd(m.pnl_std_unhedged_usd), usd(m.pnl_std_hedged_usd))
    table.add_row("profit, with what option traders paid", usd(m.pnl_unhedged_usd), usd(m.pnl_hedged_usd))
    facts = Text()
    facts.append(f"Variance reduction {m.variance_reduction:.2%}", style="bold green")
    facts.append(f"   efficiency {m.efficiency:.2f}\n")
    facts.append(
        f"{run.hedges} hedges, {run.rejected} refused, {run.ticks} ticks, {run.boards_settled} boards settled\n"
        f"cost {usd(cost.total)}: {cost.in_words()}\n"
        f"picture {picture}\nreport  {report}\nledger  {run.ledger}"
    )
    return Group(table, Panel(facts, title="Vaultkeel demo", title_align="left", box=box.ROUNDED))


def plain_table(title: str) -> Table:
    """The one table style."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 0),
    )


def record_json(record: Decided, positions: Sequence[PositionGreeks]) -> dict[str, Any]:
    """A tick for machines; the snapshot's own JSON is in the ledger."""
    exposure, snapshot = record.exposure, record.snapshot
    venue = snapshot.venue
    return {
        "book": snapshot.book,
        "at": snapshot.at,
        "blocks": [{"chain": b.chain, "number": b.number, "hash": b.hash} for b in snapshot.blocks],
        "block_skew_s": snapshot.skew_s,
        "spot_usd": str(snapshot.spot),
        "positions": [
            {
                "source": row.source,
                "instrument": row.instrument,
                "size": row.size,
                "vol": row.vol,
                "value_usd": row.value,
                "delta": row.delta,
                "gamma": row.gamma,
                "vega": row.vega,
                "theta": row.theta,
                "rho": row.rho,
            }
            for row in positions
        ],
        "delta": delta_json(exposure),
        "venue": {
            "name": venue.name,
            "account": venue.account,
            "privileges": privileges_json(venue.privileges),
            "position": str(venue.position.size),
            "mark_usd": str(venue.mark),
            "index_usd": str(venue.index),
            "account_value_usd": str(venue.margin.account_value),
            "free_collateral_usd": str(venue.margin.free_collateral),
            "maintenance_usd": str(venue.margin.maintenance),
            "exit_value_usd": str(venue.margin.exit_value),
            "funding_per_hour": str(venue.funding_per_hour),
        },
        "checks": [
            {"name": c.name, "ours": c.ours, "theirs": c.theirs, "note": c.note} for c in exposure.checks
        ],
        "decision": decision_json(record.decision),
        "wake": wake_json(record.wake),
    }


def privileges_json(privileges: Privileges | None) -> dict[str, Any] | None:
    """What the key may do, for machines and in words."""
    return None if privileges is None else asdict(privileges) | {"text": privileges.in_words()}


def delta_json(exposure: Exposure) -> dict[str, Any]:
    """The parts of the delta for machines."""
    names = ("options", "holdings", "perps", "net", "net_lo", "net_hi", "gap_lo", "gap_hi", "gap_gamma")
    parts: dict[str, Any] = {name: getattr(exposure, name) for name in names}
    return parts | {"bounds": {bound.name: [bound.below, bound.above] for bound in exposure.bounds}}


def wake_json(wake: Wake) -> dict[str, str | None]:
    """The prices waited for, for machines."""
    return {
        side: None if price is None else str(price) for side, price in (("down", wake.down), ("up", wake.up))
    }


def decision_json(decision: Decision) -> dict[str, Any]:
    """A decision for machines."""
    shared = {"kind": decision.kind, "text": decision.text, "arithmetic": decision.arithmetic}
    if decision.kind == "hold":
        return shared | {"code": decision.code}
    if decision.kind == "transfer":
        return shared | {"what": decision.what, "amount": str(decision.amount)}
    return shared | {"size": str(decision.size), "remaining": str(decision.remaining)}


def outcome_json(outcome: Outcome | None) -> dict[str, Any] | None:
    """An order's outcome for machines."""
    if outcome is None:
        return None
    fill = outcome.fill
    return {
        "state": outcome.state.value,
        "reason": outcome.reason,
        "fill": None
        if fill is None
        else {
            "size": str(fill.size),
            "notional_usd": str(fill.notional),
            "fee_usd": str(fill.fee_usd),
            "impact_usd": str(fill.impact_usd),
        },
    }
