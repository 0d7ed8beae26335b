"""How soon the dashboard shows what was recorded, and whether whoever records ever waits for it.

Ticks are committed one after the other, alone, beside a busy dashboard of another ledger, and beside one of the same
ledger. The first two differ by the processor's time, which a shared machine takes from everybody; the last two by what
sharing the ledger costs.
"""

import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from bot.core.decision import Decided
from bot.ledger import SqlLedger, open_ledger

SHOWN = 20
COMMITS = 300
FIRST = 5
"""So many commits aren't counted: the disk still writes the copied ledger."""
PAUSE_S = 0.01
BROWSERS = 4
BUSY_PAGES = ("/", "/?span=all", "/decisions?text=nowhere+to+be+found", "/orders", "/health", "/risk")


def newest(ledger: SqlLedger) -> Decided:
    """The ledger's newest tick, to be recorded again with later times."""
    return ledger.history.tick(ledger.history.newest("eth")).decided


def later(tick: Decided) -> Decided:
    """The same a second later."""
    return replace(tick, snapshot=replace(tick.snapshot, at=tick.snapshot.at + 1))


def shown_ms(url: str, path: Path) -> list[float]:
    """Milliseconds from each of `SHOWN` commits until the overview that an open page then asks for is there."""
    found = []
    ledger = open_ledger(path)
    tick = newest(ledger)
    with httpx.Client(base_url=url, timeout=30) as client, client.stream("GET", "/events") as stream:
        lines = stream.iter_lines()
        recorded(lines)
        for turn in range(SHOWN):
            time.sleep(0.037 * turn % 0.5)  # at any moment between two looks
            tick = later(tick)
            number = ledger.record_tick(tick)
            began = time.perf_counter()
            while recorded(lines) < number:
                pass
            client.get("/").raise_for_status()
            found.append(1_000 * (time.perf_counter() - began))
    ledger.close()
    return found


def recorded(lines: Iterator[str]) -> int:
    """The newest tick's number, once the stream tells one."""
    for line in lines:
        if line.startswith("data: "):
            return int(json.loads(line.removeprefix("data: "))["tick"])
    raise SystemExit("the dashboard's stream ended")


def commits_ms(path: Path) -> list[float]:
    """Milliseconds that each of `COMMITS` ticks takes to be recorded."""
    ledger = open_ledger(path)
    tick, found = newest(ledger), []
    for turn in range(FIRST + COMMITS):
        tick = later(tick)
        began = time.perf_counter()
        ledger.record_tick(tick)
        found += [1_000 * (time.perf_counter() - began)] if turn >= FIRST else []
        time.sleep(PAUSE_S)
    ledger.close()
    return found


def browse(url: str, turn: int) -> None:
    """Loads pages without a pause until it is ended."""
    with httpx.Client(base_url=url, timeout=60) as client:
        while True:
            client.get(BUSY_PAGES[turn % len(BUSY_PAGES)])
            turn += 1


@contextmanager
def busy(url: str) -> Iterator[None]:
    """Browsers, each a process, that keep a dashboard busy."""
    context = multiprocessing.get_context("spawn")
    browsers = [context.Process(target=browse, args=(url, turn), daemon=True) for turn in range(BROWSERS)]
    for browser in browsers:
        browser.start()
    time.sleep(2)
    try:
        yield
        if not all(browser.is_alive() for browser in browsers):
            raise SystemExit("the dashboard didn't answer all who looked, so that nothing is measured")
    finally:
        for browser in browsers:
            browser.terminate()
            browser.join()


def spread(times: list[float]) -> dict[str, float]:
    """Median, 99th percentile and worst, in milliseconds."""
    centiles = statistics.quantiles(times, n=100, method="inclusive")
    return {"median": statistics.median(times), "p99": centiles[98], "worst": max(times)}


def in_words(name: str, times: list[float]) -> str:
    """A line of a table."""
    found = spread(times)
    return f"{name:58} median {found['median']:6.1f}   p99 {found['p99']:6.1f}   worst {found['worst']:6.1f}"
