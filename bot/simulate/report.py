"""A rehearsal as a picture and as one self-contained HTML page."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bot.simulate.measures import Rehearsal, changes, profit, usd

mpl.use("Agg")

INK, GRID = "#1f2933", "#d9dee5"
UNHEDGED, HEDGED, PRICE = "#c2410c", "#0f766e", "#334155"
MOST_ORDERS_SHOWN = 500


def write_report(run: Rehearsal, folder: Path) -> tuple[Path, Path]:
    """Writes `rehearsal.png` and `rehearsal.html` into `folder`; returns the picture's and the page's paths."""
    folder.mkdir(parents=True, exist_ok=True)
    picture, page = folder / "rehearsal.png", folder / "rehearsal.html"
    draw(run, picture)
    page.write_text(render(run, picture.read_bytes()), encoding="utf-8")
    return picture, page


def draw(run: Rehearsal, path: Path) -> None:
    """Four panels over the hours: price, net delta, each step's market profit and loss, and all profit and loss.

    All but the first show the vault alone and the vault with its hedge.
    """
    hours = np.array([(step.at - run.steps[0].at) / 3600 for step in run.steps])
    figure = Figure(figsize=(11, 11), dpi=130, layout="constrained", facecolor="white")
    price, delta, risk, pnl = figure.subplots(4, 1, sharex=True, height_ratios=(0.8, 1.1, 1.1, 1.0))
    reduction = run.measures.variance_reduction
    figure.suptitle(
        f"{reduction:.1%} of the vault's market risk hedged away  ·  {run.hedges} hedges, "
        f"${run.cost.total:,.0f} of costs in {run.hours:g} hours",
        fontsize=15,
        fontweight="bold",
        color=INK,
    )
    price.plot(hours, [float(step.price) for step in run.steps], color=PRICE, linewidth=1.6)
    label(price, "ETH price", "USD")
    delta.axhline(0, color=INK, linewidth=0.8)
    delta.plot(
        hours, [step.vault_delta for step in run.steps], color=UNHEDGED, linewidth=1.6, label="vault alone"
    )
    delta.plot(
        hours, [step.net_after for step in run.steps], color=HEDGED, linewidth=2.0, label="vault + hedge"
    )
    label(delta, "Net delta after each check", "ETH")
    delta.legend(loc="best", frameon=False)
    change = changes(run.steps)
    risk.axhline(0, color=INK, linewidth=0.8)
    risk.plot(hours[1:], change.unhedged, color=UNHEDGED, linewidth=1.2, label="vault alone")
    risk.plot(hours[1:], change.hedged, color=HEDGED, linewidth=1.8, label="vault + hedge, all costs paid")
    label(risk, f"What the market did to it in each {60 * hours[1]:g} minutes", "USD")
    risk.legend(loc="best", frameon=False)
    alone, hedged = profit(run.steps)
    pnl.axhline(0, color=INK, linewidth=0.8)
    pnl.plot(hours, alone, color=UNHEDGED, linewidth=1.6, label="vault alone")
    pnl.plot(hours, hedged, color=HEDGED, linewidth=2.0, label="vault + hedge, all costs paid")
    label(pnl, "Profit and loss since the start, with what option traders paid", "USD")
    pnl.legend(loc="best", frameon=False)
    pnl.set_xlabel("hours", color=INK)
    figure.savefig(path)


def label(axes: Axes, title: str, unit: str) -> None:
    """A panel's title, unit and quiet frame."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK)
    axes.set_ylabel(unit, color=INK)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.grid(color=GRID, linewidth=0.7)
    axes.margins(x=0.01)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def render(run: Rehearsal, picture: bytes) -> str:
    """The page, with the picture inside it and nothing fetched from anywhere."""
    encoded = base64.b64encode(picture).decode()
    m, cost = run.measures, run.cost
    figures = [
        ("Variance reduction", f"{m.variance_reduction:.2%}", "1 − var(hedged) ÷ var(unhedged), per step"),
        ("Efficiency", f"{m.efficiency:.2f}", "a cost-free hedge at every step would score 1"),
        ("Std per step, unhedged", usd(m.pnl_std_unhedged_usd), "of the change between two checks"),
        ("Std per step, hedged", usd(m.pnl_std_hedged_usd), "all costs included"),
        ("Largest |net delta| before", f"{m.max_abs_delta_before:.3f} ETH", "when a check began"),
        ("Largest |net delta| after", f"{m.max_abs_delta_after:.3f} ETH", "when the check was done"),
        ("Orders", f"{run.hedges} filled, {run.rejected} refused", f"in {run.ticks} ticks"),
        ("Cost", usd(cost.total), cost.in_words()),
        ("Boards settled", str(run.boards_settled), f"{run.traders_trades} trades by option traders"),
        ("Venue account", usd(float(run.venue_value_usd)), "the venue's own figure at the end"),
        ("Vault NAV", usd(float(run.nav_usd)), "the vault's own figure at the end"),
    ]
    cards = "".join(
        f'<div class="card"><div class="name">{html.escape(name)}</div><div class="value">{html.escape(value)}</div>'
        f'<div class="note">{html.escape(note)}</div></div>'
        for name, value, note in figures
    )
    return PAGE.format(
        hours=f"{run.hours:g}",
        seed=run.seed,
        picture=encoded,
        cards=cards,
        rows=order_rows(run),
        shown=min(len(run.orders), MOST_ORDERS_SHOWN),
        total=len(run.orders),
    )


def order_rows(run: Rehearsal) -> str:
    """The table's rows, oldest order first."""
    start = run.steps[0].at
    rows = []
    for order in run.orders[:MOST_ORDERS_SHOWN]:
        size = order["size"] if order["size"] is not None else order["intended"]
        average = float(order["notional"]) / abs(float(size)) if order["size"] is not None else None
        cells: Sequence[str] = (
            f"{(order['at'] - start) / 3600:.2f}",
            f"{float(size):+.3f}",
            "" if average is None else f"{average:,.2f}",
            "" if order["fee_usd"] is None else f"{float(order['fee_usd']):,.2f}",
            "" if order["impact_usd"] is None else f"{float(order['impact_usd']):,.2f}",
            f"{float(order['gas_usd']):,.2f}",
            order["outcome"],
            order["reason"] or order["why"],
            order["hash"] or "",
        )
        rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    return "\n".join(rows)


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vaultkeel rehearsal</title>
<style>
:root {{ color-scheme: light dark; --ink: #1f2933; --soft: #5b6875; --line: #d9dee5; --card: #f6f8fa; --page: #fff; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6eaee; --soft: #a3aeb9; --line: #38424d; --card: #1f262d; --page: #14191e; }}
}}
body {{ margin: 0 auto; max-width: 1100px; padding: 1.5rem; font: 16px/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--page); }}
h1 {{ margin: 0 0 .25rem; font-size: 1.7rem; }}
p {{ color: var(--soft); margin: 0 0 1rem; }}
img {{ width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }}
.cards {{ display: grid; gap: .75rem; margin: 1.25rem 0;
  grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); }}
.card {{ background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .75rem .9rem; }}
.name, .note {{ color: var(--soft); font-size: .85rem; }}
.value {{ font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums; }}
.scroll {{ overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }}
table {{ border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .35rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }}
th {{ color: var(--soft); font-weight: 600; }}
td:nth-child(n+7), th:nth-child(n+7) {{ text-align: left; }}
td:last-child {{ font-family: ui-monospace, monospace; }}
</style>
</head>
<body>
<h1>Vaultkeel rehearsal</h1>
<p>{hours} simulated hours, seed {seed}: a Lyra Avalon option pool hedged on Perpetual Protocol v2,
real contracts on a local chain.</p>
<img alt="Price, net delta with and without the hedge, and profit and loss with and without the hedge"
  src="data:image/png;base64,{picture}">
<div class="cards">{cards}</div>
<h2>Orders</h2>
<p>{shown} of {total}, oldest first. Money in USD.</p>
<div class="scroll"><table>
<thead><tr><th>hour</th><th>size</th><th>price</th><th>fee</th><th>impact</th><th>gas</th><th>outcome</th>
<th>why</th><th>transaction</th></tr></thead>
<tbody>
{rows}
</tbody></table></div>
</body>
</html>
"""
