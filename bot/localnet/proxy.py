"""A proxy on loopback between the bot and its node: it answers by a rule that can be swapped at any time.

The rules themselves are in `bot.localnet.proxy_rules`. Nothing but 127.0.0.1 is listened on or asked.
"""

import contextlib
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import urlsplit

NODE_TIMEOUT_S: Final = 30.0
SEND: Final = "eth_sendRawTransaction"


class ConnectionEnds(Exception):
    """Raised by a rule: the connection is closed without an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request on its way. `parts` are its JSON-RPC requests, several where it `is_batch`."""

    parts: tuple[dict[str, Any], ...]
    is_batch: bool
    raw: bytes
    ask: Callable[[bytes], Answer]

    def forward(self) -> Answer:
        """The node's own answer."""
        return self.ask(self.raw)

    def asks(self, method: str) -> bool:
        """Whether this method is among the requests."""
        return any(part["method"] == method for part in self.parts)


Rule = Callable[[Exchange], Answer]
"""What the proxy answers to a request. It may raise ConnectionEnds."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One JSON-RPC request that reached the proxy, whatever was done with it."""

    method: str
    params: tuple[Any, ...]


def pass_on(exchange: Exchange) -> Answer:
    """The rule that disturbs nothing."""
    return exchange.forward()


def ask_node(url: str, raw: bytes) -> Answer:
    """What a node answers to a request's bytes."""
    parts = urlsplit(url)
    node = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=NODE_TIMEOUT_S)
    with contextlib.closing(node):
        node.request("POST", "/", raw, {"content-type": "application/json"})
        answer = node.getresponse()
        return Answer(answer.status, answer.read())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed in the middle of its request is what this is for."""


class FaultProxy:
    """Listens from construction until `close`. `asked` is everything that reached it, oldest first.

    `watch` is called with each request before the rule is.
    """

    def __init__(self, target_url: str) -> None:
        self.rule: Rule = pass_on
        self.watch: Callable[[Exchange], None] = lambda _: None
        self.asked: list[Asked] = []
        self._target = target_url
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, raw: bytes) -> Answer:
        """What the rule makes of a request."""
        body = json.loads(raw)
        parts = tuple(body) if isinstance(body, list) else (body,)
        exchange = Exchange(parts, isinstance(body, list), raw, lambda sent: ask_node(self._target, sent))
        self.asked.extend(Asked(part["method"], tuple(part.get("params", ()))) for part in parts)
        self.watch(exchange)
        return self.rule(exchange)

    def sends(self) -> list[str]:
        """The signed bytes, in hex, of every send that reached the proxy, oldest first."""
        return [str(request.params[0]) for request in self.asked if request.method == SEND]

    def reset(self) -> None:
        """Disturbs nothing from now on, and forgets what passed."""
        self.rule = pass_on
        self.watch = lambda _: None
        self.asked = []

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            try:
                answer = proxy.answer(raw)
            except ConnectionEnds:
                self.close_connection = True
                return
            head = (
                f"HTTP/1.1 {answer.status} -\r\ncontent-type: application/json\r\n"
                f"content-length: {len(answer.body)}\r\n\r\n"
            )
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the rule may have killed it
                self.wfile.write(head.encode() + answer.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
