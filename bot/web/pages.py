"""From templates to answers: the environment, what every page knows, and the designed failures."""

from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from bot import __version__
from bot.core.model import Mode
from bot.errors import VaultkeelError
from bot.ledger.browse import AccountMode, Newest
from bot.ledger.readonly import BusyLedger, ForeignLedger, NoLedger
from bot.render import meant
from bot.web import words
from bot.web.overview import margin_tone, tone_of
from bot.web.reading import Site, sound
from bot.web.security import COOKIE, Sessions, give_session, new_session

PAGES = (
    ("/", "Overview"),
    ("/positions", "Positions"),
    ("/decisions", "Decisions"),
    ("/orders", "Orders"),
    ("/risk", "Risk"),
    ("/health", "Health"),
    ("/settings", "Settings"),
)
FILTERS = (
    words.number,
    words.signed,
    words.usd,
    words.gain,
    words.percent,
    words.clock,
    words.day,
    words.age,
    words.size_of,
    words.short,
    words.tone,
    words.plain,
    words.typeset,
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure as a person sees it, and the status that says it to machines."""

    title: str
    text: str
    remedy: str
    status: int


def trouble_of(error: VaultkeelError) -> Trouble:
    """What went wrong with the ledger or a page, and what to do."""
    match error:
        case NoLedger():
            remedy = "Start `vaultkeel run` or `vaultkeel once`; this page fills itself with the first tick."
            return Trouble("No ledger yet", str(error), remedy, 503)
        case ForeignLedger():
            remedy = (
                "Use the version of Vaultkeel that wrote it, or name another ledger in the configuration."
            )
            return Trouble("This ledger can't be read", str(error), remedy, 503)
        case BusyLedger():
            return Trouble("The ledger is busy", str(error), "Nothing is lost: load the page again.", 503)
        case _:
            return Trouble("This can't be shown", str(error), "", 404)


class Pages:
    """Renders a site's pages."""

    def __init__(self, site: Site, sessions: Sessions) -> None:
        self._site, self._sessions = site, sessions
        self._env = Environment(
            loader=PackageLoader("bot.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._env.filters.update({each.__name__: each for each in FILTERS})
        self._env.globals.update(
            pages=PAGES,
            version=__version__,
            tone_of=tone_of,
            account_words=site.account_words,
            margin_tone=margin_tone,
            meant=meant,
            trading=site.config.mode,
            chain_clock=site.config.clock == "chain",
        )

    def page(self, request: Request, name: str, *, status: int = 200, **values: Any) -> Response:
        """A template as an answer, with what every page shows. A browser without a session gets one.

        ConfigError where it would show a recorded figure that is none.
        """
        session = request.cookies.get(COOKIE) or new_session()
        unlocked = self._sessions.is_unlocked(session)
        reads = unlocked or self._sessions.door.is_loopback
        account, seen = self._standing() if reads else (None, None)
        shared = {
            "path": request.url.path,
            "account": account,
            "books": self._site.books() if reads else (),
            "book": (values.get("book") or self._site.config.books[0].name) if reads else "",
            "seen": "" if seen is None else seen_words(seen),
            "reads": reads,
            "unlocked": unlocked,
            "form_token": self._sessions.form_token(session),
            "Mode": Mode,
        }
        with sound():
            html = self._env.get_template(f"{name}.html").render(shared | values)
        answer = HTMLResponse(html, status_code=status)
        if COOKIE not in request.cookies:
            give_session(answer, request, session)
        return answer

    def trouble(self, request: Request, trouble: Trouble) -> Response:
        """A designed failure."""
        return self.page(request, "trouble", status=trouble.status, trouble=trouble)

    def _standing(self) -> tuple[AccountMode | None, Newest | None]:
        """The account's mode and what is newest, as far as the ledger can be read."""
        try:
            return self._site.account(), self._site.reader.newest()
        except VaultkeelError:
            return None, None


def seen_words(newest: Newest) -> str:
    """What a page has seen, to be compared with what is newest."""
    return ":".join(str(value) for value in asdict(newest).values())
