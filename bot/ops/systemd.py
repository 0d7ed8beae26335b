"""What systemd is told of a unit with Type=notify: that it is ready, alive, or about to end."""

import os
import socket

import structlog

log = structlog.get_logger("vaultkeel.ops")

READY, ALIVE, ENDING = "READY=1", "WATCHDOG=1", "STOPPING=1"


def tell_systemd(state: str) -> None:
    """Sends `state` to the socket that systemd named; nothing where it named none. A failure is only logged."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(state.encode(), "\0" + path[1:] if path.startswith("@") else path)
    except OSError as error:
        log.warning("systemd was not told", state=state, why=error.strerror)
