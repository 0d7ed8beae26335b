"""Logs: one line per event to standard error, for people or as JSON, and no secret in any of them."""

import json
import logging
import sys
from typing import TextIO, cast
from urllib.parse import parse_qsl, urlsplit

import structlog

QUIET = ("web3", "urllib3", "requests", "apscheduler", "matplotlib", "apprise")
"""Libraries whose debug logs quote RPC addresses, which may hold tokens, or say what we say ourselves."""

SHORTEST_SECRET = 8
"""What is shorter is no secret worth the name, and would tear words apart."""
HIDDEN = "<secret>"

SHORTEST_TOKEN = 16
"""What is shorter in an address is a word, like the chain's name."""

_secrets: tuple[str, ...] = ()
"""Every form in which a secret that was read could appear in a line, longest first."""


def remember_secret(value: str) -> None:
    """From now on no log line shows `value`; of a web address neither what may be a token in it."""
    global _secrets
    found = {text for text in (value, value.removeprefix("0x")) if len(text) >= SHORTEST_SECRET}
    known = set(_secrets)
    for text in found | tokens_in(value):
        known |= {text, text.lower(), text.upper(), json.dumps(text)[1:-1], repr(text)[1:-1]}
    _secrets = tuple(sorted(known, key=len, reverse=True))  # rebound whole: other threads read it


def tokens_in(url: str) -> set[str]:
    """What may be a token in a web address; nothing for what is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    if not parts.scheme or not parts.netloc:
        return set()
    values = [value for _, value in parse_qsl(parts.query)]
    found = {*parts.path.split("/"), *values, parts.username or "", parts.password or ""}
    if parts.scheme not in ("http", "https"):  # an alert channel's, which keeps a token in the host's place
        found.add(parts.netloc)
    return {part for part in found if len(part) >= SHORTEST_TOKEN}


def conceal(line: str) -> str:
    """`line` without any secret that was read."""
    for secret in _secrets:
        line = line.replace(secret, HIDDEN)
    return line


class Concealing(logging.Formatter):
    """For what libraries log past us."""

    def format(self, record: logging.LogRecord) -> str:
        """The line without secrets."""
        return conceal(super().format(record))


class Stderr:
    """Standard error as it is when a line is written: a spinner stands in for it while it turns."""

    def write(self, text: str) -> int:
        """Writes there."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flushes it."""
        sys.stderr.flush()


def set_up_logs(*, as_json: bool, level: str = "info") -> None:
    """Sends our events to standard error from `level` on; standard output stays free for results."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(Concealing())
    text = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    machine = structlog.processors.JSONRenderer(default=str)

    def render(logger: object, method: str, event: structlog.typing.EventDict) -> str:
        """The line, for machines or people."""
        if not as_json:
            return conceal(str(text(logger, method, event)))
        return conceal(
            str(machine(logger, method, structlog.processors.format_exc_info(logger, method, event)))
        )

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, Stderr())),
        cache_logger_on_first_use=False,
    )
