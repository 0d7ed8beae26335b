"""What changes something: giving the token, and the modes. Each is asked for on a page of its own.

A form is taken from an unlocked session alone, from our own page, with the session's form token.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, quote

import structlog
from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from bot.core.model import Mode
from bot.web.pages import Pages
from bot.web.reading import Site
from bot.web.security import COOKIE, Sessions, give_session

log = structlog.get_logger("vaultkeel.web")

MOST_BYTES = 8_192
LONGEST_REASON = 500
WRONG_TOKEN_S = 1.0
"""How long the answer to a wrong token takes."""
FROM_HERE = "from the dashboard"


@dataclass(frozen=True, slots=True)
class Action:
    """A change of mode: what it is called, what it does, in words."""

    mode: Mode
    verb: str
    does: str
    danger: bool
    needs_reason: bool = True


ACTIONS = {
    "halt": Action(
        Mode.HALTED,
        "Halt",
        "No new order is made until somebody resumes. Orders that were sent are still followed up, "
        "or cancelled once they have expired. The hedge stays as it is.",
        danger=True,
    ),
    "reduce-only": Action(
        Mode.REDUCING,
        "Reduce only",
        "Only orders that shrink the hedge are made until somebody resumes.",
        danger=True,
    ),
    "resume": Action(
        Mode.ACTIVE,
        "Resume",
        "New orders are made again from the next tick on. Resume after a halt only once you know why it halted.",
        danger=False,
        needs_reason=False,
    ),
}


def add_actions(app: FastAPI, site: Site, pages: Pages, sessions: Sessions) -> None:
    """The routes that change something, with the pages that ask."""

    @app.get("/unlock")
    def unlock_page(request: Request) -> Response:
        return pages.page(request, "unlock", problem="", next="/")

    @app.post("/unlock")
    async def unlock(request: Request) -> Response:
        form = await form_of(request)
        refused = sessions.refusal(request, form)
        if refused:
            return await run_in_threadpool(_unlock_again, request, refused, 403)
        session = sessions.unlock(form.get("token", "").strip())
        if session is None:
            log.warning("a wrong token was given", client=request.client.host if request.client else "")
            await asyncio.sleep(WRONG_TOKEN_S)
            return await run_in_threadpool(_unlock_again, request, "This is not the token.", 403)
        answer = RedirectResponse(inside(form.get("next", "/"), site.chains()), status_code=303)
        give_session(answer, request, session)
        return answer

    def _unlock_again(request: Request, problem: str, status: int) -> Response:
        return pages.page(request, "unlock", status=status, problem=problem, next="/")

    @app.post("/lock")
    async def lock(request: Request) -> Response:
        form = await form_of(request)
        refused = sessions.refusal(request, form)
        if refused:
            raise HTTPException(403, refused)
        session = request.cookies.get(COOKIE, "")
        if not sessions.is_unlocked(session):
            raise HTTPException(401, "This browser hasn't given the token, or too long ago: it is forgotten.")
        sessions.lock(session)
        return RedirectResponse("/", status_code=303)

    @app.get("/control")
    def control_page(request: Request) -> Response:
        return pages.page(request, "control", actions=ACTIONS, accounts=site.accounts())

    @app.get("/control/{name}")
    def confirm_page(request: Request, name: str, chain: str = "") -> Response:
        action = action_of(name)
        if chain and chain not in site.chains():
            raise HTTPException(404)
        if not sessions.is_unlocked(request.cookies.get(COOKIE, "")):
            on = f"?chain={quote(chain)}" if chain else ""
            return pages.page(request, "unlock", problem="", next=f"/control/{name}{on}")
        return _ask(request, name, action, chain)

    def _ask(
        request: Request, name: str, action: Action, chain: str, problem: str = "", status: int = 200
    ) -> Response:
        states = [state for state in site.accounts() if chain in ("", state.account.chain)]
        return pages.page(
            request,
            "confirm",
            status=status,
            which=name,
            action=action,
            states=states,
            chain=chain,
            problem=problem,
        )

    @app.post("/control/{name}")
    async def act(request: Request, name: str) -> Response:
        action, form = action_of(name), await form_of(request)
        if not sessions.is_unlocked(request.cookies.get(COOKIE, "")):
            raise HTTPException(401, "The token is needed to act: give it first.")
        refused = sessions.refusal(request, form)
        if refused:
            raise HTTPException(403, refused)
        why = " ".join(form.get("why", "").split())[:LONGEST_REASON]
        chain = form.get("chain", "")
        if action.needs_reason and not why:
            problem = "Say why: whoever finds it so will want to know."
            return await run_in_threadpool(_ask, request, name, action, chain, problem, 422)
        said = f"{why or 'resumed by the operator'}, {FROM_HERE}"
        await run_in_threadpool(site.change_mode, action.mode, said, chain)
        log.info("mode changed", mode=action.mode.value, chain=chain or "all", why=said)
        return RedirectResponse("/control", status_code=303)


def action_of(name: str) -> Action:
    """The action of that name. HTTPException where there is none."""
    if name not in ACTIONS:
        raise HTTPException(404)
    return ACTIONS[name]


def inside(path: str, chains: Sequence[str] = ()) -> str:
    """A path of ours to go on to; anything else goes home, for it may lead elsewhere."""
    names = {f"/control/{name}" for name in ACTIONS}
    on_one = {f"{name}?chain={quote(chain)}" for name in names for chain in chains}
    return path if path in names | on_one | {"/control"} else "/"


async def form_of(request: Request) -> dict[str, str]:
    """A form's fields, the first of each name. HTTPException where it is too large or no form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, "This is more than a form of ours holds.")
    fields: dict[str, list[str]] = {}
    with contextlib.suppress(ValueError):
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=16)
    return {name: values[0] for name, values in fields.items()}
