"""No request brings an endpoint to fail, whatever it is made of: drawn by schemathesis from the app's own description.

The app describes itself to nobody who asks. The description is made here, with what FastAPI can't know of it: the
fields of the forms, the session, and where a form says that it comes from.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from dashboards import TOKEN, Book, Dashboard, hosted
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode

from bot.config import load_config
from bot.web import actions
from bot.web.app import create_app
from bot.web.door import Door
from bot.web.security import COOKIE

FEW, MANY = 3, 250
FORMS = 6
"""So many times as many for what acts: it takes a well-made form, and answers fast."""
TEXT: dict[str, Any] = {"type": "string"}
FORM = {
    "type": "object",
    "properties": {
        "token": {"anyOf": [{"type": "string", "enum": [TOKEN]}, TEXT]},
        "form_token": TEXT,
        "why": TEXT,
        "next": TEXT,
    },
}
SENT = {
    "Origin": {
        "type": "string",
        "enum": ["https://evil.example", "null", "", "http://[", "http://127.0.0.1"],
    },
    "Sec-Fetch-Site": {"type": "string", "enum": ["same-origin", "cross-site", ""]},
    "Accept": {"type": "string", "enum": ["text/html", "*/*", ""]},
}
TRACES = ("Traceback", 'File "', "File &#34;", "sqlalchemy", "sqlite3", "jinja2.", "starlette")
DESIGNED = {200, 303, 304, 400, 401, 403, 404, 405, 413, 421, 422}


def described(app: FastAPI) -> dict[str, Any]:
    """The app's description, with forms, cookies and headers."""
    found: dict[str, Any] = get_openapi(title="Vaultkeel", version="1", routes=app.routes)
    for methods in found["paths"].values():
        for method, operation in methods.items():
            sent = [
                {"name": name, "in": "header", "required": False, "schema": kind}
                for name, kind in SENT.items()
            ]
            cookie = {"name": COOKIE, "in": "cookie", "required": False, "schema": TEXT}
            operation["parameters"] = [*operation.get("parameters", ()), *sent, cookie]
            if method == "post":
                operation["requestBody"] = {
                    "content": {
                        "application/x-www-form-urlencoded": {"schema": FORM},
                        "text/plain": {"schema": TEXT},
                    }
                }
    return found


@pytest.fixture
def site(book: Book, monkeypatch: pytest.MonkeyPatch) -> Iterator[Dashboard]:
    """A dashboard that answers a wrong token at once."""
    monkeypatch.setattr(actions, "WRONG_TOKEN_S", 0.0)
    with hosted(book) as dashboard:
        yield dashboard


@dataclass
class Known:
    """A browser that gave the token: its session, and what makes a form its own."""

    session: str
    form_token: str


def known(site: Dashboard) -> Known:
    """A session that acts."""
    with requests.Session() as browser:
        page = browser.get(f"{site.url}/unlock", timeout=10).text
        form = {"token": TOKEN, "form_token": between(page, 'name="form_token" value="', '"')}
        browser.post(f"{site.url}/unlock", data=form, headers={"Origin": site.url}, timeout=10)
        page = browser.get(f"{site.url}/control/halt", timeout=10).text
        return Known(browser.cookies[COOKIE], between(page, 'name="form_token" value="', '"'))


def between(text: str, start: str, end: str) -> str:
    return text.split(start)[1].split(end)[0]


def answered(case: Case, url: str) -> tuple[int, str]:
    """The status and the body of a case; of a stream without an end its beginning."""
    wanted = case.as_transport_kwargs(base_url=url)
    with requests.request(**wanted, stream=True, allow_redirects=False, timeout=10) as answer:
        streams = answer.headers.get("content-type", "").startswith("text/event-stream")
        body = next(answer.iter_content(100)) if streams else answer.content
        return answer.status_code, body.decode("utf-8", "replace")


def tried(site: Dashboard, operation: APIOperation, mode: GenerationMode, *, many: bool) -> set[int]:
    """The statuses that an endpoint's cases had, none of them a failure; the same few each time, or many."""
    count = (MANY if many else FEW) * (FORMS if operation.method == "post" else 1)
    seen: set[int] = set()
    ours = [known(site)]

    @settings(
        max_examples=count,
        derandomize=not many,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        who=st.sampled_from(["nobody", "unlocked", "proven", "proven"]),
        action=st.sampled_from([None, *actions.ACTIONS]),
        token=st.sampled_from([None, TOKEN, TOKEN]),
    )
    def holds(case: Case, who: str, action: str | None, token: str | None) -> None:
        if who != "nobody":
            case.cookies = {COOKIE: ours[0].session}
        if who == "proven" and operation.method == "post":
            drawn = case.body if isinstance(case.body, dict) else {}
            proof = {"form_token": ours[0].form_token} | ({} if token is None else {"token": token})
            case.body, case.media_type = {**drawn, **proof}, "application/x-www-form-urlencoded"
            case.headers = {**(case.headers or {}), "Origin": site.url}
        if action is not None and "name" in (case.path_parameters or {}):
            case.path_parameters = {"name": action}
        status, body = answered(case, site.url)
        assert status in DESIGNED, (status, body)
        assert not [trace for trace in TRACES if trace in body]
        seen.add(status)
        if operation.path == "/lock" and status == 303:
            ours[0] = known(site)

    holds()
    return seen


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_makes_an_endpoint_fail(
    site: Dashboard, mode: GenerationMode, request: pytest.FixtureRequest
) -> None:
    app = create_app(load_config(site.book.config, secrets=False), Door("127.0.0.1", TOKEN)).app
    assert isinstance(app, FastAPI)
    schema = schemathesis.openapi.from_dict(described(app))
    many = bool(request.config.getoption("--long"))
    seen = {
        found.ok().label: tried(site, found.ok(), mode, many=many) for found in schema.get_all_operations()
    }
    assert {"GET /", "GET /events", "GET /decisions/{tick_id}", "POST /unlock", "POST /lock"} <= set(seen)
    for label in ("POST /unlock", "POST /lock", "POST /control/{name}"):
        assert 403 in seen[label]
        if mode is GenerationMode.POSITIVE:
            assert 303 in seen[label], f"{label}: what acts was never reached"
    assert requests.get(site.url, timeout=10).status_code == 200
