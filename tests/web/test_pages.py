"""Every page in a real browser: what it says, how it behaves, and whether everybody can use it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from dashboards import EXPLORER, TOKEN, Book, Dashboard, served
from playwright.sync_api import Browser, Page, expect

from bot.core.model import Mode
from bot.ledger import open_ledger

PAGES = (
    "/",
    "/positions",
    "/decisions",
    "/decisions/3",
    "/orders",
    "/risk",
    "/health",
    "/settings",
    "/control",
)
FORMS = ("/unlock", "/control/halt", "/nowhere")
AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")
LIVE_MS = 1_000
"""The most that may pass from a tick's commit to its showing."""


@contextmanager
def opened(browser: Browser, path: str, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """A page whose console must stay silent."""
    said: list[str] = []
    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=False,
    )
    page = context.new_page()
    page.on(
        "console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path)
    expect(page.locator("#link.live")).to_be_attached()
    yield page
    context.close()
    loud = [text for text in said if "404 (Not Found)" not in text]
    assert not loud


@pytest.mark.parametrize(
    ("path", "texts"),
    [
        (
            "/",
            (
                "Net delta",
                "of required",
                "Last decision",
                "Next check",
                "Without a hedge",
                "Cost today",
                "Active",
            ),
        ),
        (
            "/positions",
            ("Options of the vault", "By expiry", "By strike", "Delta and gamma over the price", "+30 %"),
        ),
        ("/decisions", ("outside", "Rebalance", "Why")),
        ("/decisions/3", ("Arithmetic", "trigger", "Gap to the target", "Change of value", "Unexplained")),
        ("/orders", ("Filled", "nonce", "gwei")),
        (
            "/risk",
            (
                "Profit and loss by price and vol",
                "Monte carlo",
                "Liquidation price",
                "Oracle frozen",
                "Runway",
            ),
        ),
        ("/health", ("Last tick", "agrees", "1 provider", "the first reconciliation", "Trading runs")),
        ("/settings", ("daily_error_usd", "from file:hedger.key", "set, not shown")),
        ("/control", ("Halt", "Reduce only", "is so now")),
    ],
)
def test_a_page_says_what_it_is_for(
    shared: Dashboard, browser: Browser, path: str, texts: tuple[str, ...]
) -> None:
    with opened(browser, shared.url + path) as page:
        for text in texts:
            expect(page.locator("body")).to_contain_text(text)


def test_charts_are_drawn_and_answer_the_pointer(shared: Dashboard, browser: Browser) -> None:
    with opened(browser, f"{shared.url}/?span=all") as page:
        expect(page.locator(".chart canvas")).to_have_count(3)
        page.locator("#delta-chart .u-over").hover()
        expect(page.locator('output[data-for="delta-chart"]')).to_contain_text("band")


def test_the_figures_are_the_ledgers(shared: Dashboard, browser: Browser) -> None:
    with closing(sqlite3.connect(f"file:{shared.book.ledger}?mode=ro", uri=True)) as db:
        net, spot = db.execute("SELECT net_delta, spot FROM ticks ORDER BY id DESC LIMIT 1").fetchone()
        (fees,) = db.execute("SELECT sum(fee_usd) FROM fills").fetchone()
    with opened(browser, shared.url) as page:
        expect(page.locator("#facts")).to_contain_text(f"{float(net):+.4f}".replace("-", "−"))
        expect(page.locator("#facts")).to_contain_text(f"{float(spot):,.2f}")
        expect(page.locator("#tables")).to_contain_text(f"${fees:,.2f}")


def test_an_order_links_to_the_explorer(shared: Dashboard, browser: Browser) -> None:
    with opened(browser, f"{shared.url}/orders") as page:
        link = page.locator(".attempt a").first
        href = link.get_attribute("href") or ""
        assert href.startswith(f"{EXPLORER}/tx/0x")
        assert len(href) == len(f"{EXPLORER}/tx/0x") + 64


def test_decisions_are_filtered(shared: Dashboard, browser: Browser) -> None:
    with opened(browser, f"{shared.url}/decisions") as page:
        page.locator("select[name=decision]").select_option("rebalance")
        page.get_by_label("Text").fill("to bring it")
        page.get_by_role("button", name="Filter").click()
        badges = page.locator("td .badge")
        assert badges.count() > 0
        assert set(badges.all_inner_texts()) == {"Rebalance"}
        page.get_by_label("Text").fill("nobody said this")
        page.get_by_role("button", name="Filter").click()
        expect(page.locator("main")).to_contain_text("No tick matches")


def test_a_new_tick_shows_within_a_second(book: Book, browser: Browser) -> None:
    with served(book) as dashboard, opened(browser, dashboard.url) as page:
        page.wait_for_timeout(700)
        ledger = open_ledger(book.ledger)
        newest = ledger.history.tick(ledger.history.newest("eth")).decided
        moved = replace(newest.snapshot, at=newest.snapshot.at + 15, spot=newest.snapshot.spot + 111)
        began = time.monotonic()
        tick = ledger.record_tick(replace(newest, snapshot=moved))
        committed = time.monotonic()
        ledger.close()
        expect(page.locator("#said")).to_contain_text(f"Tick {tick}", timeout=3_000)
        shown_ms = 1_000 * (time.monotonic() - committed)
        assert committed - began < 1
        assert shown_ms <= LIVE_MS, f"{shown_ms:.0f} ms"
        expect(page.locator("#facts")).to_contain_text(f"{moved.spot:,.2f}")


def test_halt_and_resume_through_the_page(book: Book, browser: Browser) -> None:
    with served(book) as dashboard, opened(browser, dashboard.url) as page:
        page.get_by_role("link", name="Control").click()
        page.get_by_role("link", name="Halt…").click()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", name="Halt?")).to_be_visible()
        page.get_by_label("Why").fill("the feed looks wrong")
        page.get_by_role("button", name="Halt").click()
        expect(page.locator(".banner")).to_contain_text("the feed looks wrong, from the dashboard")
        ledger = open_ledger(book.ledger)
        with closing(sqlite3.connect(book.ledger)) as db:
            (account,) = db.execute("SELECT 'eip155:' || chain_id || ':' || account FROM chains").fetchone()
        assert ledger.mode_and_why(account) == (Mode.HALTED, "the feed looks wrong, from the dashboard")
        page.get_by_role("link", name="Resume…").click()
        page.get_by_role("button", name="Resume").click()
        expect(page.locator(".banner")).to_have_count(0)
        assert ledger.mode_and_why(account) == (Mode.ACTIVE, "resumed by the operator, from the dashboard")
        ledger.close()


def test_a_halt_from_elsewhere_shows_on_an_open_page(book: Book, browser: Browser) -> None:
    with served(book) as dashboard, opened(browser, dashboard.url) as page:
        ledger = open_ledger(book.ledger)
        with closing(sqlite3.connect(book.ledger)) as db:
            (account,) = db.execute("SELECT 'eip155:' || chain_id || ':' || account FROM chains").fetchone()
        ledger.set_mode(account, Mode.HALTED, "by the desk", int(time.time()))
        ledger.close()
        expect(page.locator(".banner")).to_contain_text("by the desk", timeout=3_000)


@pytest.mark.parametrize("path", [*PAGES, *FORMS])
def test_a_phone_scrolls_no_page_sideways(shared: Dashboard, browser: Browser, path: str) -> None:
    with opened(browser, shared.url + path, width=390) as page:
        page.wait_for_timeout(100)
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide == 0


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
@pytest.mark.parametrize("path", [*PAGES, *FORMS])
def test_axe_finds_no_serious_fault(shared: Dashboard, browser: Browser, path: str, scheme: str) -> None:
    with opened(browser, shared.url + path, scheme=scheme) as page:
        page.evaluate(AXE)
        found = page.evaluate("axe.run()")["violations"]
        serious = [
            (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
            for fault in found
            if fault["impact"] in ("serious", "critical")
        ]
        assert not serious


def test_the_theme_is_switched_and_kept(shared: Dashboard, browser: Browser) -> None:
    with opened(browser, shared.url) as page:
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Switch between light and dark").press("Enter")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.reload()
        assert dark == page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_the_keyboard_reaches_everything(shared: Dashboard, browser: Browser) -> None:
    with opened(browser, shared.url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        reached = set()
        for _ in range(30):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.textContent.trim()"))
        assert {
            "Overview",
            "Positions",
            "Decisions",
            "Orders",
            "Risk",
            "Health",
            "Settings",
            "Control",
        } <= reached


def test_a_ledger_that_comes_later_fills_the_page(book: Book, browser: Browser) -> None:
    away = book.ledger.with_suffix(".away")
    book.ledger.rename(away)
    with served(book) as dashboard:
        context = browser.new_context()
        page = context.new_page()
        page.goto(dashboard.url)
        expect(page.locator("h1")).to_have_text("No ledger yet")
        away.rename(book.ledger)
        expect(page.locator("#facts")).to_contain_text("Net delta", timeout=5_000)
        context.close()
