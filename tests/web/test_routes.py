"""Whoever has not given the token, or can't prove that a form is ours, changes nothing: for every route there is.

The routes are read off the app, so that one that is added later is tried too.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import httpx
import pytest
from dashboards import TOKEN, Book, Dashboard, content_of, form_token, hosted, unlocked
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Mount

from bot.config import load_config
from bot.web import actions
from bot.web.app import create_app
from bot.web.door import Door
from bot.web.security import COOKIE, OPEN_PATHS

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PLAUSIBLE = {"name": tuple(actions.ACTIONS), "tick_id": ("1", "999999")}
HOSTILE = (
    "..%2f..%2fetc%2fpasswd",
    "%00",
    "1%27%20OR%201=1--",
    quote("<script>alert(1)</script>"),
    "9" * 40,
    "-1",
    "halt%0d%0aX-Other:%201",
    "%ff%fe",
)
SHIPPED = (
    "/static/app.js",
    "/static/",
    "/static/..%2fsecurity.py",
    "/static/%2e%2e/%2e%2e/config/__init__.py",
)
STRANGER_SAYS = {
    "token": TOKEN + "x",
    "why": "because",
    "next": "https://evil.example/",
    "form_token": "0" * 64,
}


@dataclass(frozen=True)
class Route:
    """A path of the app with the methods that it is made for, and the addresses that are tried for it."""

    path: str
    methods: frozenset[str]
    plausible: tuple[str, ...]
    hostile: tuple[str, ...]


@dataclass(frozen=True)
class Asker:
    """Somebody whose requests must change nothing. `reads` is whether only their attempts to change are of interest."""

    who: str
    client: httpx.Client
    headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)


def routes_of(app: FastAPI) -> list[Route]:
    """Every route of the app. A kind that this doesn't know fails, so that it can't be forgotten."""
    found: dict[str, Route] = {}
    for route in app.routes:
        if isinstance(route, Mount):
            found[route.path] = Route(route.path, frozenset({"GET", "HEAD"}), SHIPPED[:1], SHIPPED[1:])
            continue
        assert isinstance(route, APIRoute), f"a route of another kind: {route}"
        methods = frozenset(route.methods or ())
        if route.path in found:
            methods |= found[route.path].methods
        names = sorted(route.param_convertors)
        plausible = [PLAUSIBLE.get(name, ("1", "eth")) for name in names]
        found[route.path] = Route(
            route.path,
            methods,
            tuple(filled(route.path, names, plausible)),
            tuple(filled(route.path, names, [HOSTILE] * len(names))) if names else (),
        )
    return list(found.values())


def filled(path: str, names: list[str], values: list[tuple[str, ...]]) -> Iterator[str]:
    """The path with every combination of its parameters' values."""
    for chosen in itertools.product(*values):
        address = path
        for name, value in zip(names, chosen, strict=True):
            address = address.replace("{" + name + "}", value).replace("{" + name + ":path}", value)
        yield address


def asked(asker: Asker, method: str, address: str) -> httpx.Response:
    """An answer, its body read unless it is a stream without an end."""
    body = {} if method in ("GET", "HEAD") else {"data": asker.form}
    wanted = asker.client.build_request(
        method, address, headers=asker.headers, params={"token": TOKEN + "x"}, **body
    )
    answer = asker.client.send(wanted, stream=True)
    if not answer.headers.get("content-type", "").startswith("text/event-stream"):
        answer.read()
    answer.close()
    return answer


@pytest.fixture
def site(book: Book, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard that answers a wrong token at once."""
    monkeypatch.setattr(actions, "WRONG_TOKEN_S", 0.0)
    with hosted(book) as dashboard:
        yield dashboard


@pytest.fixture
def routes(book: Book) -> list[Route]:
    app = create_app(load_config(book.config, secrets=False), Door("127.0.0.1", TOKEN)).app
    assert isinstance(app, FastAPI)
    return routes_of(app)


@pytest.fixture
def clients(site: Dashboard) -> Iterator[list[httpx.Client]]:
    """Four browsers that know nothing of each other."""
    opened = [httpx.Client(base_url=site.url, timeout=10) for _ in range(4)]
    yield opened
    for client in opened:
        client.close()


@pytest.fixture
def askers(site: Dashboard, clients: list[httpx.Client]) -> list[Asker]:
    nobody, stranger, ours, theirs = clients
    own = {"Origin": site.url}
    invented = {"Cookie": f"{COOKIE}=invented", "Authorization": f"Bearer {TOKEN}x"}
    strangers = form_token(stranger.get("/unlock"))
    right, other = unlocked(ours, site.url), unlocked(theirs, site.url)
    acts = {"token": TOKEN, "why": "because"}
    return [
        Asker("nobody", nobody),
        Asker("a session that was made up", nobody, own | invented, STRANGER_SAYS | {"token": TOKEN}),
        Asker("a wrong token in our own form", stranger, own, STRANGER_SAYS | {"form_token": strangers}),
        Asker("the token without a form's proof", ours, own, acts),
        Asker("the token with another session's proof", ours, own, acts | {"form_token": other}),
        Asker(
            "the token from another site",
            ours,
            {"Origin": "https://evil.example"},
            acts | {"form_token": right},
        ),
        Asker("the token from a page without a name", ours, {"Origin": "null"}, acts | {"form_token": right}),
        Asker("the token from nowhere", ours, {}, acts | {"form_token": right}),
        Asker(
            "the token from a site beside ours",
            ours,
            {"Sec-Fetch-Site": "same-site"},
            acts | {"form_token": right},
        ),
    ]


def test_whoever_cant_prove_it_changes_nothing_by_any_route_and_method(
    site: Dashboard, routes: list[Route], askers: list[Asker]
) -> None:
    before = content_of(site.book.ledger)
    for route in routes:
        for place, asker in enumerate(askers):
            # Odd addresses are odd for everybody alike: one without the token and one with it try them.
            addresses = route.plausible + (route.hostile if place in (0, 3) else ())
            for address, method in itertools.product(addresses, METHODS):
                if method in ("GET", "HEAD") and place not in (0, 3):
                    continue
                answer = asked(asker, method, address)
                designed = (
                    (200, 404, 422) if {method} & {"GET", "HEAD"} & route.methods else (401, 403, 404, 405)
                )
                assert answer.status_code in designed, (asker.who, method, address, answer.status_code)
        assert content_of(site.book.ledger) == before, route.path
    for asker in askers[3:]:
        assert "Give the token" not in asker.client.get("/control/halt").text, (
            "a form from elsewhere locked a session"
        )


def test_the_same_requests_act_where_everything_is_right(
    site: Dashboard, clients: list[httpx.Client]
) -> None:
    before = content_of(site.book.ledger)
    form = {"why": "because", "form_token": unlocked(clients[0], site.url)}
    seen = {before}
    for name in actions.ACTIONS:
        answer = clients[0].post(f"/control/{name}", data=form, headers={"Origin": site.url})
        assert answer.status_code == 303
        seen.add(content_of(site.book.ledger))
    assert len(seen) == 1 + len(actions.ACTIONS)


def test_where_reading_takes_the_token_no_route_is_forgotten(book: Book, routes: list[Route]) -> None:
    with hosted(book, "0.0.0.0") as dashboard, httpx.Client(base_url=dashboard.url) as client:  # noqa: S104
        nobody = Asker("nobody", client)
        for route in routes:
            for address, method in itertools.product(route.plausible + route.hostile, METHODS):
                answer = asked(nobody, method, address)
                if address.startswith(OPEN_PATHS):
                    assert answer.status_code in (200, 403, 404, 405)
                    assert 'id="facts"' not in answer.text if method == "GET" else True
                else:
                    assert answer.status_code == 401, (method, address)


def test_the_app_describes_itself_to_nobody(site: Dashboard, clients: list[httpx.Client]) -> None:
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert clients[0].get(path).status_code == 404


def test_the_routes_are_all_found(routes: list[Route]) -> None:
    paths = {route.path for route in routes}
    assert {"/", "/events", "/unlock", "/lock", "/control/{name}", "/decisions/{tick_id}", "/static"} <= paths
    acting = {route.path for route in routes if route.methods - {"GET", "HEAD"}}
    assert acting == {"/unlock", "/lock", "/control/{name}"}
