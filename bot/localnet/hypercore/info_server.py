"""The stand-in's info API on loopback: POST /info, answered by `info` from the exchange's state."""

import json
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from bot.localnet.hypercore.core import Core
from bot.localnet.hypercore.info import BadRequest, answer

MOST_BYTES: Final = 100_000
IDLE_S: Final = 30


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away."""


class InfoServer(AbstractContextManager["InfoServer"]):
    """Listens on 127.0.0.1 from construction until `close`. `asked` is every request that was JSON, oldest first."""

    def __init__(self, core: Core, port: int = 0) -> None:
        self.asked: list[Any] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = IDLE_S

            def do_POST(self) -> None:
                length = self.headers.get("content-length", "")
                if not length.isdecimal() or int(length) > MOST_BYTES:
                    self.close_connection = True
                    self._reply(413, "the body's length is missing or too large")
                    return
                body = self.rfile.read(int(length))
                if self.path != "/info":
                    self._reply(404, "only /info is answered")
                    return
                status, content = owner._answer(core, body)
                self._reply(status, content)

            def _reply(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads a log of this."""

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address, without /info, as Hyperliquid's clients take it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, core: Core, body: bytes) -> tuple[int, Any]:
        try:
            request = json.loads(body)
            self.asked.append(request)
            with core.lock:
                return 200, answer(core.engine.state, request)
        except (ValueError, BadRequest) as error:
            return 422, f"Failed to deserialize the JSON body into the target type: {error}"
