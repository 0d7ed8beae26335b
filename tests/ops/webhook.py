"""A loopback server that takes Apprise's json:// messages, and answers as it is told."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Webhook:
    """Remembers what it was sent. `answer` gives the status; it may wait."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.asked = 0
        self.answer: Callable[[], int] = lambda: 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.asked += 1
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = hook.answer()
                if status == 200:
                    hook.messages.append(body)
                try:
                    self.send_response(status)
                    self.end_headers()
                except OSError:  # who asked has gone
                    return

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        """Its Apprise URL, with short timeouts."""
        return f"json://127.0.0.1:{self._server.server_address[1]}/c4nary-t0ken-in-the-path?cto=1&rto=1"

    @property
    def kinds(self) -> list[str]:
        """The names of what it was told, in order."""
        return [message["title"].split(": ")[1].split(" ")[0] for message in self.messages]

    def until(self, kind: str, within_s: float = 20) -> dict[str, Any]:
        """Waits for a message of this kind and returns the last one."""
        give_up = time.monotonic() + within_s
        while kind not in self.kinds:
            assert time.monotonic() < give_up, f"there was no {kind} in {self.kinds}"
            time.sleep(0.01)
        return [m for m, k in zip(self.messages, list(self.kinds), strict=False) if k == kind][-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
