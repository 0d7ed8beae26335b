"""Every page in a real browser: what it says, how it behaves, and whether everybody can use it."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dashboards import EXPLORER, TOKEN, Book, Dashboard, hosted
from playwright.sync_api import Browser, Page, expect

from bot.core.model import Mode
from bot.ledger import open_ledger

SAYS = {
    "/": (
        "Net delta",
        "of required",
        "Last decision",
        "Next check",
        "Without a hedge",
        "Cost today",
        "Active",
    ),
    "/positions": (
        "Options of the vault",
        "By expiry",
        "By strike",
        "Delta and gamma over the price",
        "+30 %",
    ),
    "/decisions": ("outside", "Rebalance", "Why"),
    "/decisions/3": ("Arithmetic", "trigger", "Gap to the target", "Change of value", "Unexplained"),
    "/orders": ("Filled", "nonce", "gwei"),
    "/risk": (
        "Profit and loss by price and vol",
        "Monte carlo",
        "Liquidation price",
        "Oracle frozen",
        "Runway",
    ),
    "/health": ("Last tick", "agrees", "1 provider", "the first reconciliation", "Trading runs"),
    "/settings": ("daily_error_usd", "from file:hedger.key", "set, not shown"),
    "/control": ("Halt", "Reduce only", "is so now"),
    "/unlock": ("Give the token", "twelve hours"),
    "/control/halt": ("Give the token",),
    "/nowhere": ("No such page",),
}
AXE = Path(__file__).with_name("axe.min.js").read_text(encoding="utf-8")
AXE_ALWAYS = ("/", "/decisions", "/settings", "/control/halt", "/nowhere")
"""One of each kind: charts, a list with a form, tables, a form, a message."""
LIVE_MS = 1_000
"""The most that may pass from a tick's commit to its showing."""


@contextmanager
def opened(browser: Browser, path: str, width: int = 1280, scheme: str = "light") -> Iterator[Page]:
    """A page whose console must stay silent."""
    with tab(browser, width, scheme) as (page, said):
        page.goto(path)
        expect(page.locator("#link.live")).to_be_attached()
        yield page
        page.close()
        assert not said


@contextmanager
def tab(browser: Browser, width: int = 1280, scheme: str = "light") -> Iterator[tuple[Page, list[str]]]:
    """An empty page, and what its console will say."""
    said: list[str] = []

    def heard(text: str) -> None:
        if "404 (Not Found)" not in text:
            said.append(text)

    context = browser.new_context(
        viewport={"width": width, "height": 844},
        color_scheme=scheme,  # type: ignore[arg-type]
        bypass_csp=False,
    )
    page = context.new_page()
    page.on("console", lambda message: heard(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard(str(error)))
    yield page, said
    context.close()


@dataclass(frozen=True)
class Visit:
    """A page that is open, for all that is asked of it."""

    path: str
    page: Page


@pytest.fixture(scope="module")
def wide(browser: Browser) -> Iterator[tuple[Page, list[str]]]:
    with tab(browser) as found:
        yield found


@pytest.fixture(scope="module", params=SAYS)
def visit(request: pytest.FixtureRequest, shared: Dashboard, wide: tuple[Page, list[str]]) -> Iterator[Visit]:
    """Every page in turn, loaded once, its console silent."""
    page, said = wide
    page.goto(shared.url + request.param)
    expect(page.locator("#link.live")).to_be_attached()
    yield Visit(request.param, page)
    heard, said[:] = tuple(said), []
    assert not heard


def test_a_page_says_what_it_is_for(visit: Visit) -> None:
    for text in SAYS[visit.path]:
        expect(visit.page.locator("body")).to_contain_text(text)


def test_a_phone_scrolls_no_page_sideways(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.wait_for_timeout(150)  # charts take their new width a moment after the window has
    too_wide = visit.page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    visit.page.set_viewport_size({"width": 1280, "height": 844})
    assert too_wide == 0


def test_axe_finds_no_serious_fault(visit: Visit, long: bool) -> None:
    if not long and visit.path not in AXE_ALWAYS:
        pytest.skip("takes long over all pages: --long")
    visit.page.wait_for_timeout(150)
    assert not serious_faults(visit.page)


def each_but_first_long(*cases: tuple[str, int]) -> list[object]:
    return [cases[0], *(pytest.param(*case, marks=pytest.mark.long) for case in cases[1:])]


@pytest.mark.parametrize(
    ("path", "width"), each_but_first_long(*((path, width) for path in SAYS for width in (390, 1280)))
)
def test_axe_finds_no_serious_fault_in_the_dark_nor_on_a_phone(
    shared: Dashboard, browser: Browser, path: str, width: int
) -> None:
    with opened(browser, shared.url + path, width=width, scheme="dark") as page:
        assert not serious_faults(page)


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core calls serious or critical, with the first nodes that have it."""
    page.evaluate(AXE)
    return [
        (fault["id"], [node["html"][:120] for node in fault["nodes"]][:3])
        for fault in page.evaluate("axe.run()")["violations"]
        if fault["impact"] in ("serious", "critical")
    ]


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
    with hosted(book) as dashboard, opened(browser, dashboard.url) as page:
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
    with hosted(book) as dashboard, opened(browser, dashboard.url) as page:
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
    with hosted(book) as dashboard, opened(browser, dashboard.url) as page:
        ledger = open_ledger(book.ledger)
        with closing(sqlite3.connect(book.ledger)) as db:
            (account,) = db.execute("SELECT 'eip155:' || chain_id || ':' || account FROM chains").fetchone()
        ledger.set_mode(account, Mode.HALTED, "by the desk", int(time.time()))
        ledger.close()
        expect(page.locator(".banner")).to_contain_text("by the desk", timeout=3_000)


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
    with hosted(book) as dashboard:
        context = browser.new_context()
        page = context.new_page()
        page.goto(dashboard.url)
        expect(page.locator("h1")).to_have_text("No ledger yet")
        away.rename(book.ledger)
        expect(page.locator("#facts")).to_contain_text("Net delta", timeout=5_000)
        context.close()
