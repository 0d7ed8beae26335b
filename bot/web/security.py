"""Who may read and who may act: the token, sessions, and what every answer and request must have.

A session is a random cookie; its form token is an HMAC of it, so that only sessions that gave the token are kept.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.door import Door

COOKIE = "vaultkeel_session"
LASTS_S = 12 * 3_600
MOST_SESSIONS = 256
OPEN_PATHS = ("/unlock", "/static/")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(slots=True)
class Sessions:
    """Who gave the token. Kept in memory: a restart asks for it again."""

    door: Door
    clock: Callable[[], float] = time.monotonic
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    _until: dict[str, float] = field(default_factory=dict)

    def form_token(self, session: str) -> str:
        """What a form of this session must carry."""
        return hmac.new(self._secret, session.encode(), hashlib.sha256).hexdigest()

    def is_unlocked(self, session: str) -> bool:
        """Whether this session gave the token, and not too long ago."""
        return bool(session) and self._until.get(session, 0.0) > self.clock()

    def unlock(self, token: str) -> str | None:
        """A new session for the right token, None for a wrong one."""
        if not hmac.compare_digest(token.encode(), self.door.token.encode()):
            return None
        now = self.clock()
        for old in [key for key, until in self._until.items() if until <= now]:
            del self._until[old]
        while len(self._until) >= MOST_SESSIONS:
            del self._until[next(iter(self._until))]
        session = new_session()
        self._until[session] = now + LASTS_S
        return session

    def lock(self, session: str) -> None:
        """Forgets a session."""
        self._until.pop(session, None)

    def refusal(self, request: Request, form: dict[str, str]) -> str:
        """Why a form must not be taken, in a sentence; "" where it may."""
        if not same_origin(request.headers):
            return "The form was not sent by this page."
        session = request.cookies.get(COOKIE, "")
        given = form.get("form_token", "")
        if not session or not hmac.compare_digest(given.encode(), self.form_token(session).encode()):
            return "The form is not of this session, or is too old. Open it again."
        return ""


def new_session() -> str:
    """A random name for a session."""
    return secrets.token_urlsafe(32)


def same_origin(headers: Headers) -> bool:
    """Whether a browser says that our own page sent this. One that says nothing is not believed."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site") == "same-origin"
    try:
        return urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    except ValueError:
        return False


def give_session(response: Response, request: Request, session: str) -> None:
    """Puts the session's cookie on an answer."""
    response.set_cookie(
        COOKIE, session, httponly=True, samesite="strict", secure=request.url.scheme == "https", path="/"
    )


class Guard:
    """In front of everything: a Host that is ours, the right to read, and the headers of every answer."""

    def __init__(self, app: ASGIApp, door: Door, sessions: Sessions) -> None:
        self.app, self._door, self._sessions = app, door, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the class."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        secured = secured_by(send, cached=scope["path"].startswith("/static/"))
        refused = self._refused(scope)
        await (refused or self.app)(scope, receive, secured)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._door.answers_to(headers.get("host", "")):
            why = "This dashboard doesn't answer to that name; --allow-host adds one.\n"
            return PlainTextResponse(why, status_code=421)
        if self._door.is_loopback or scope["path"].startswith(OPEN_PATHS):
            return None
        if self._sessions.is_unlocked(Request(scope).cookies.get(COOKIE, "")):
            return None
        if "text/html" in headers.get("accept", "") and scope["method"] in ("GET", "HEAD"):
            return RedirectResponse("/unlock", status_code=303)
        return PlainTextResponse("The token is needed to read: see /unlock.\n", status_code=401)


def secured_by(send: Send, *, cached: bool) -> Callable[[Message], Awaitable[None]]:
    """`send` with the security headers on the answer; nothing but shipped files is kept by a browser."""

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers["Cache-Control"] = "no-cache" if cached else "no-store"
        await send(message)

    return secured
