# ruff: noqa: S608 - every name in a statement is our own
"""How long the dashboard's pages take at the server, with a ledger of 100,000 ticks, how soon they show a new tick,
and what recording ticks costs beside them.

    vaultkeel demo --hours 3 --out demo-out
    python tests/bench/dashboard.py --config demo-out/vaultkeel.toml

The ledger is made from a demo run's: its ticks are copied with later times, as are its orders, so that rows are as
large as real ones. It is kept in --out for the next measurement.
"""

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dashboard_live as live
import httpx
import tomlkit

from bot.ledger import open_ledger

TICKS = 100_000
TURNS = 20
MOST_MS = 300.0
MOST_SHOWN_MS = 1_000.0
PAGES = (
    "/",
    "/?span=6h",
    "/?span=7d",
    "/?span=30d",
    "/?span=all",
    "/positions",
    "/decisions",
    "/decisions?before={half}",
    "/decisions?decision=rebalance",
    "/decisions?code=INSIDE_BAND",
    "/decisions?code=WOULD_TRANSFER",
    "/decisions?text=gap",
    "/decisions?text=nowhere+to+be+found",
    "/decisions/{last}",
    "/orders",
    "/orders?before={half}",
    "/orders?show=open",
    "/risk",
    "/health",
    "/settings",
    "/control",
)


def grow(source: Path, target: Path, count: int, step_s: int = 60) -> None:
    """A ledger of `count` ticks, each `step_s` seconds after the one before, from copies of the source's."""
    target.unlink(missing_ok=True)
    open_ledger(target).close()
    with closing(sqlite3.connect(target, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("ATTACH ? AS old", (str(source),))
        db.execute("BEGIN")
        for table in ("chains", "baselines"):
            db.execute(f"INSERT INTO {table} SELECT * FROM old.{table}")
        (here,), (base,) = (
            db.execute(f"SELECT {what}(id) FROM old.ticks").fetchone() for what in ("count", "min")
        )
        (end,) = db.execute("SELECT max(at) FROM old.ticks").fetchone()
        start = end - count * step_s
        columns = [row[1] for row in db.execute("PRAGMA old.table_info(ticks)")]
        kept = [name for name in columns if name not in ("id", "at", "snapshot_json")]
        for turn in range(-(-count // here)):
            first = turn * here
            db.execute(
                f"INSERT INTO ticks (id, at, snapshot_json, {', '.join(kept)}) "
                "SELECT id - :base + 1 + :first, :start + (id - :base + 1 + :first) * :step, "
                "json_set(snapshot_json, '$.at', :start + (id - :base + 1 + :first) * :step), "
                f"{', '.join(kept)} FROM old.ticks WHERE id - :base + 1 + :first <= :count ORDER BY id",
                {"base": base, "first": first, "start": start, "step": step_s, "count": count},
            )
            copy_orders(db, turn, first - base + 1, start, step_s, count)
        db.execute("COMMIT")
        db.execute("ANALYZE")


def copy_orders(db: sqlite3.Connection, turn: int, shift: int, start: int, step_s: int, count: int) -> None:
    """The source's settled orders once more, their ticks `shift` later and their keys their own."""
    values = {"turn": f"{turn}-", "shift": shift, "start": start, "step": step_s, "count": count}
    here = "tick_id + :shift <= :count AND resolved_after + :shift <= :count"
    db.execute(
        "INSERT INTO intents SELECT :turn || key, tick_id + :shift, book, account, market, kind, size, price_bound, "
        "deadline, reference_price, parent, order_id, outcome, reason, gas_usd, "
        ":start + (resolved_after + :shift) * :step, "
        "resolved_after + :shift, settled_tx, settled_block, settled_block_hash "
        f"FROM old.intents WHERE {here}",
        values,
    )
    keys = f"(SELECT key FROM old.intents WHERE {here})"
    db.execute(
        "INSERT INTO fills SELECT :turn || intent_key, book, paper, at, size, notional, fee_usd, impact_usd, "
        f"funding_usd FROM old.fills WHERE intent_key IN {keys}",
        values,
    )
    db.execute(
        "INSERT INTO attempts (hash, intent_key, account, nonce, raw, purpose, max_fee_wei, tip_wei, signed_at, state, "
        "block_number, block_hash, gas_used, gas_cost_wei) SELECT :turn || hash, :turn || intent_key, account, nonce, "
        "raw, purpose, max_fee_wei, tip_wei, signed_at, state, block_number, block_hash, gas_used, gas_cost_wei "
        f"FROM old.attempts WHERE intent_key IN {keys}",
        values,
    )


@contextmanager
def served(config: Path) -> Iterator[str]:
    """The address of the dashboard, served by a process of its own."""
    arguments = [sys.executable, "-m", "bot", "dashboard", "--config", str(config), "--port", "0", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())["url"] if process.stdout else ""
        finally:
            process.terminate()


def measured(client: httpx.Client, page: str, turns: int) -> list[float]:
    """Milliseconds of each of `turns` loads after one that warms up; a page that isn't there is an error."""
    found = []
    for turn in range(turns + 1):
        began = time.perf_counter()
        status = client.get(page).status_code
        spent = 1_000 * (time.perf_counter() - began)
        if status != 200:
            raise SystemExit(f"{page} answered {status}")
        found += [spent] if turn else []
    return found


def configured(source: Path, ledger: Path) -> Path:
    """A demo's configuration with this ledger, beside it."""
    document = tomlkit.parse(source.read_text(encoding="utf-8"))
    document["ledger"] = str(ledger)
    path = ledger.with_suffix(".toml")
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def grown(config: Path, folder: Path, count: int) -> tuple[Path, Path]:
    """A ledger of so many ticks, made from a demo's where it isn't there, and a configuration with it."""
    folder.mkdir(parents=True, exist_ok=True)
    ledger = folder / f"ledger-{count}.db"
    if not ledger.exists():
        began = time.perf_counter()
        grow(config.parent / str(tomllib.loads(config.read_text(encoding="utf-8"))["ledger"]), ledger, count)
        print(f"{count} ticks copied in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return ledger, configured(config, ledger)


def pages_ms(config: Path, ticks: int, turns: int = TURNS) -> dict[str, list[float]]:
    """The times of every page."""
    with served(config) as url, httpx.Client(base_url=url, timeout=60) as client:
        pages = [page.format(half=ticks // 2, last=ticks - 1) for page in PAGES]
        return {page: measured(client, page, turns) for page in pages}


def recording_ms(config: Path, ledger: Path) -> tuple[list[float], dict[str, list[float]]]:
    """How soon a tick shows, and what recording one takes without and with a dashboard that is busy.

    It is done on a copy, so that the ledger stays as it is.
    """
    own, other = ledger.with_name("recorded.db"), ledger.with_name("other.db")
    for copy in (own, other):
        for part in ledger.parent.glob(f"{copy.name}*"):
            part.unlink()
        shutil.copy(ledger, copy)
    try:
        found = {"alone": live.commits_ms(own)}
        with served(configured(config, other)) as url, live.busy(url):
            found["beside a busy dashboard of another ledger"] = live.commits_ms(own)
        with served(configured(config, own)) as url:
            shown = live.shown_ms(url, own)
            with live.busy(url):
                found["beside a busy dashboard of this ledger"] = live.commits_ms(own)
    finally:
        for part in (*ledger.parent.glob("recorded.*"), *ledger.parent.glob("other.*")):
            part.unlink()
    return shown, found


def figures(quick: bool) -> dict[str, Any]:
    """The bench as part of all measurements: a demo of its own, a smaller ledger where it must be quick."""
    ticks, turns = (10_000, 5) if quick else (TICKS, TURNS)
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder) / "demo"
        arguments = [sys.executable, "-m", "bot", "demo", "--hours", "3", "--out", str(demo), "--json"]
        subprocess.run(arguments, stdout=subprocess.DEVNULL, check=True)
        ledger, config = grown(demo / "vaultkeel.toml", Path(folder) / "grown", ticks)
        pages = pages_ms(config, ticks, turns)
        shown, commits = recording_ms(config, ledger)
    return {
        "dashboard_ticks": ticks,
        "dashboard_page_worst_ms": max(max(times) for times in pages.values()),
        "dashboard_shown_worst_ms": max(shown),
        "dashboard_commit_p99_ms": {name: live.spread(times)["p99"] for name, times in commits.items()},
    }


def main() -> None:
    """Makes the ledger where it isn't there, and prints a line per page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True, help="of a demo run that has ended")
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "vaultkeel-bench")
    options = parser.parse_args()
    ledger, config = grown(options.config, options.out, options.ticks)
    print(f"{ledger.stat().st_size / 1e6:,.0f} MB, {os.cpu_count()} processors, {TURNS} loads each")
    print("ms from request to answer:")
    slow = []
    for page, times in pages_ms(config, options.ticks).items():
        slow += [page] if max(times) > MOST_MS else []
        print(f"{page:42} median {statistics.median(times):6.1f}   worst {max(times):6.1f}")
    shown, commits = recording_ms(config, ledger)
    print(live.in_words("ms from a tick's commit to its overview:", shown))
    print("ms to record a tick:")
    for name, times in commits.items():
        print(live.in_words(name, times))
    if slow:
        raise SystemExit(f"slower than {MOST_MS:.0f} ms: {', '.join(slow)}")
    if max(shown) > MOST_SHOWN_MS:
        raise SystemExit(f"a tick showed later than {MOST_SHOWN_MS:.0f} ms after its commit")


if __name__ == "__main__":
    main()
