"""The routes. Reading them is all that most may do; those that change something are in `bot.web.actions`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Literal

import structlog
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from bot.config import Config
from bot.errors import ConfigError, VaultkeelError
from bot.ledger import browse
from bot.risk_view import RiskSettings, risk_report
from bot.web.actions import add_actions
from bot.web.door import Door
from bot.web.effective import sections_of
from bot.web.health import health
from bot.web.live import MOST_LISTENERS, Live
from bot.web.overview import DEFAULT_RANGE, RANGES, overview, policy_of
from bot.web.pages import Pages, Trouble, trouble_of
from bot.web.positions import positions_of
from bot.web.reading import UNSOUND, Reader, Site
from bot.web.security import Guard, Sessions
from bot.web.targets import target_of

log = structlog.get_logger("vaultkeel.web")

STATIC = Path(__file__).parent / "static"
MOST_ID = 2**62

Book = Annotated[str | None, Query(max_length=100)]
Before = Annotated[int | None, Query(ge=1, le=MOST_ID)]
Word = Annotated[str, Query(max_length=200)]


def create_app(config: Config, door: Door) -> Guard:
    """The dashboard of a configuration's ledger."""
    site = Site(config, Reader(config.ledger))
    sessions = Sessions(door)
    live = Live(site.reader.newest)
    pages = Pages(site, sessions)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with live.running():
            warming = asyncio.create_task(asyncio.to_thread(warm, site))
            yield
            await warming
        site.reader.close()

    app = FastAPI(title="Vaultkeel", openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_pages(app, site, pages)
    add_lists(app, site, pages)
    add_actions(app, site, pages, sessions)
    add_failures(app, pages)

    @app.get("/events")
    async def events() -> Response:
        if live.listeners >= MOST_LISTENERS:
            return PlainTextResponse("too many pages are open\n", status_code=503)
        return StreamingResponse(live.events(), media_type="text/event-stream")

    return Guard(app, door, sessions)  # outside of everything, so that failures have the headers too


def warm(site: Site) -> None:
    """Loads what the first page would wait for: the compiled prices. What is wrong with a ledger the pages say."""
    with contextlib.suppress(VaultkeelError):
        tick = site.newest_tick(site.book(None))
        if tick is not None:
            positions_of(tick.decided, target_of(site.configured(tick.decided.snapshot.book)))


def add_pages(app: FastAPI, site: Site, pages: Pages) -> None:
    """What is made from a book's newest tick."""

    @app.get("/")
    def overview_page(request: Request, book: Book = None, span: Word = DEFAULT_RANGE) -> Response:
        name = site.book(book)
        if span not in RANGES:
            raise ConfigError(f"There is no span of that name: it is one of {', '.join(RANGES)}.")
        tick = site.newest_tick(name)
        if tick is None:
            return pages.page(request, "empty", book=name, title="Overview")
        with site.reader.open() as db:
            view = overview(db, site.config, tick, span)
        now = site.time_of(tick.decided.snapshot.at)
        return pages.page(
            request, "overview", book=name, view=view, span=span, spans=tuple(RANGES), now=int(now)
        )

    @app.get("/positions")
    def positions_page(request: Request, book: Book = None) -> Response:
        name = site.book(book)
        tick = site.newest_tick(name)
        if tick is None:
            return pages.page(request, "empty", book=name, title="Positions")
        view = positions_of(tick.decided, target_of(site.configured(name)))
        return pages.page(request, "positions", book=name, tick=tick, view=view)

    @app.get("/risk")
    def risk_page(request: Request, book: Book = None) -> Response:
        name = site.book(book)
        tick = site.newest_tick(name)
        if tick is None:
            return pages.page(request, "empty", book=name, title="Risk")
        ratio = float(target_of(site.configured(name)).hedge_ratio)
        settings = RiskSettings(policy=policy_of(site.config, name), hedge_ratio=ratio)
        return pages.page(
            request, "risk", book=name, tick=tick, report=risk_report(tick.decided, tick.id, settings)
        )

    @app.get("/health")
    def health_page(request: Request, book: Book = None) -> Response:
        name = site.book(book)
        tick = site.newest_tick(name)
        with site.reader.open() as db:
            now = site.time_of(None if tick is None else tick.decided.snapshot.at)
            view = health(db, site.config, site.configured(name), tick, now)
            modes = browse.mode_history(db)
        return pages.page(request, "health", book=name, tick=tick, view=view, modes=modes)

    @app.get("/settings")
    def settings_page(request: Request) -> Response:
        return pages.page(request, "settings", sections=sections_of(site.config))


def add_lists(app: FastAPI, site: Site, pages: Pages) -> None:
    """Ticks and orders, page by page."""

    @app.get("/decisions")
    def decisions_page(
        request: Request,
        book: Book = None,
        decision: Literal["", "hold", "rebalance", "transfer"] = "",
        code: Word = "",
        text: Word = "",
        before: Before = None,
    ) -> Response:
        name = site.book(book)
        wanted = browse.Wanted(name, decision, code, text.strip())
        with site.reader.open() as db:
            page = browse.tick_page(db, wanted, before)
            codes = browse.codes_of(db, name)
        return pages.page(
            request, "decisions", book=name, page=page, wanted=wanted, codes=codes, before=before
        )

    @app.get("/decisions/{tick_id}")
    def decision_page(request: Request, tick_id: int) -> Response:
        if not 0 < tick_id < MOST_ID:
            raise ConfigError(f"the ledger has no tick {tick_id}")
        tick = site.tick(tick_id)
        explanation = site.explained(tick_id)
        name = tick.decided.snapshot.book
        view = positions_of(tick.decided, target_of(site.configured(name)))
        with site.reader.open() as db:
            around = browse.neighbours(db, name, tick_id)
            orders = browse.orders_of_tick(db, tick_id)
        return pages.page(
            request,
            "decision",
            book=name,
            explanation=explanation,
            tick=tick,
            rows=view.rows,
            around=around,
            orders=orders,
        )

    @app.get("/orders")
    def orders_page(
        request: Request, book: Book = None, show: Literal["all", "open"] = "all", before: Before = None
    ) -> Response:
        name = site.book(book)
        with site.reader.open() as db:
            page = browse.order_page(db, name, before, only_open=show == "open")
            attempts = browse.attempts_for(db, [row["key"] for row in page.rows])
        configured = site.configured(name)
        chain = None if configured is None else site.config.chains[configured.venue.chain]
        return pages.page(
            request,
            "orders",
            book=name,
            page=page,
            show=show,
            attempts=attempts,
            before=before,
            explorer="" if chain is None else chain.explorer,
        )


def add_failures(app: FastAPI, pages: Pages) -> None:
    """A designed answer for whatever goes wrong, never a traceback."""

    @app.exception_handler(VaultkeelError)
    def said(request: Request, error: VaultkeelError) -> Response:
        cause = error.__cause__
        if isinstance(cause, UNSOUND):  # the page says that something is wrong, this what
            kind = type(cause).__name__
            log.warning("a page can't be shown", path=request.url.path, kind=kind, why=str(cause))
        return pages.trouble(request, trouble_of(error))

    @app.exception_handler(HTTPException)
    def refused(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            trouble = Trouble("No such page", "Nothing is at this address.", "", 404)
        else:
            trouble = Trouble("This can't be done", str(error.detail), "", error.status_code)
        return pages.trouble(request, trouble)

    @app.exception_handler(RequestValidationError)
    def wrong(request: Request, _error: RequestValidationError) -> Response:
        trouble = Trouble("This address makes no sense", "A part of it is not what the page takes.", "", 422)
        return pages.trouble(request, trouble)

    @app.exception_handler(Exception)
    def broken(request: Request, error: Exception) -> Response:
        log.error("a page failed", path=request.url.path, kind=type(error).__name__, why=str(error))
        trouble = Trouble("This page failed", "The dashboard's own log says why.", "Trading goes on.", 500)
        return pages.trouble(request, trouble)
