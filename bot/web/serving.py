"""How an app is served: by uvicorn, which is asked for no more than it needs."""

import logging

import uvicorn
from starlette.types import ASGIApp

GRACE_S = 1
"""How long an open page's stream may hold up the end."""
MOST_AT_ONCE = 200


def server_of(app: ASGIApp) -> uvicorn.Server:
    """A server of `app`, to be run on a socket that listens."""
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    settings = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=MOST_AT_ONCE,
    )
    return uvicorn.Server(settings)
