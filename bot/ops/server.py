"""A tiny web server for /metrics, /live and /ready. It changes nothing, and holds up nobody but who asks."""

import ipaddress
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog

from bot.errors import ConfigError

log = structlog.get_logger("vaultkeel.ops")

TIMEOUT_S = 5
AT_ONCE = 16
"""Requests that are answered side by side; more are turned away, so that nobody fills the process with threads."""
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
WORDS_TYPE = "text/plain; charset=utf-8"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Those who are not even accepted yet: with a short queue a scrape waits for seconds behind a crowd.
    request_queue_size = 128
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        is_v6 = ipaddress.ip_address(address[0]).version == 6
        self.address_family = socket.AF_INET6 if is_v6 else socket.AF_INET
        self._places = threading.BoundedSemaphore(AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: object, client_address: object) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)  # type: ignore[arg-type]
        else:
            self.shutdown_request(request)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked has gone, which is their own affair."""


class Server:
    """Serves from construction until `close`. ConfigError where the address can't be had."""

    def __init__(
        self,
        address: tuple[str, int],
        metrics: Callable[[], bytes],
        stuck: Callable[[], str],
        unready: Callable[[], str],
    ) -> None:
        def health(why: str) -> tuple[int, str, bytes]:
            return (503, WORDS_TYPE, f"{why}\n".encode()) if why else (200, WORDS_TYPE, b"ok\n")

        pages: dict[str, Callable[[], tuple[int, str, bytes]]] = {
            "/metrics": lambda: (200, METRICS_TYPE, metrics()),
            "/live": lambda: health(stuck()),
            "/ready": lambda: health(unready()),
        }

        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S
            server_version = "vaultkeel"
            sys_version = ""

            def do_GET(self) -> None:
                page = pages.get(self.path.partition("?")[0])
                if page is None:
                    known = ", ".join(pages)
                    status, kind, content = 404, WORDS_TYPE, f"there are {known}\n".encode()
                else:
                    status, kind, content = page()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.send_header("cache-control", "no-store")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def do_HEAD(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing: a scrape every few seconds is no event."""

        try:
            self._server = _Server(address, Handler)
        except OSError as error:
            raise ConfigError(
                f"metrics.listen: {address[0]}:{address[1]} can't be listened on: {error.strerror}; choose a free port"
            ) from None
        self.port = int(self._server.server_address[1])
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="metrics", daemon=True
        ).start()

    def close(self) -> None:
        """Serves no more."""
        self._server.shutdown()
        self._server.server_close()
