"""Logs: one line per event to standard error, for people or as JSON."""

import logging
import sys

import structlog

QUIET = ("web3", "urllib3", "requests", "apscheduler", "matplotlib")
"""Libraries whose debug logs quote RPC addresses, which may hold tokens, or say what we say ourselves."""


def set_up_logs(*, as_json: bool, level: str = "info") -> None:
    """Sends our events to standard error from `level` on; standard output stays free for results."""
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer() if as_json else renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
