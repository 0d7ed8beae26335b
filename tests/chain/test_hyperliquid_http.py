"""The info API over HTTP, against a server on this computer: bounded in time and size, never showing its address."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from bot.errors import DataError, TransientError, VaultkeelError
from bot.venues import hyperliquid_info
from bot.venues.hyperliquid_info import HttpAsk

TOKEN = "s3cr3t-token-of-ours"


@dataclass
class Server:
    """What the server says next, and what it was asked."""

    status: int = 200
    body: bytes = b"{}"
    delay_s: float = 0.0
    trickle_s: float = 0.0
    location: str = ""
    asked: list[Any] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[tuple[str, Server]]:
    says = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            says.asked.append((self.path, json.loads(self.rfile.read(length))))
            time.sleep(says.delay_s)
            self.send_response(says.status)
            self.send_header("Content-Length", str(len(says.body)))
            if says.location:
                self.send_header("Location", says.location)
            self.end_headers()
            try:
                parts = [says.body] if not says.trickle_s else [bytes([b]) for b in says.body]
                for part in parts:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(says.trickle_s)
            except OSError:
                return  # the client went away, as it should

        def log_message(self, *_: Any) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/{TOKEN}/info", says
    http.shutdown()
    http.server_close()
    thread.join()


def test_a_question_is_one_post_and_figures_stay_exact(server: tuple[str, Server]) -> None:
    url, says = server
    says.body = b'{"px": 2003.40, "sz": "5.0"}'
    answer = HttpAsk("hl", url, 2.0)({"type": "orderStatus", "oid": "0x01"})
    assert str(answer["px"]) == "2003.40"
    assert says.asked == [(f"/{TOKEN}/info", {"type": "orderStatus", "oid": "0x01"})]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"status": 500}, TransientError, "HTTP 500"),
        ({"status": 429}, TransientError, "HTTP 429"),
        ({"status": 422, "body": b"Failed to deserialize"}, DataError, "HTTP 422"),
        ({"status": 302, "location": "http://127.0.0.1:1/elsewhere"}, DataError, "HTTP 302"),
        ({"body": b"<html>"}, DataError, "no JSON"),
        ({"body": b"[" * 100_000}, DataError, "no JSON"),
        ({"delay_s": 1.5}, TransientError, "in time"),
        ({"body": b"[" + b"1," * 200 + b"1]", "trickle_s": 0.05}, TransientError, "in time"),
    ],
)
def test_every_failure_is_a_sentence_without_the_address(
    server: tuple[str, Server], changes: dict[str, Any], error: type[VaultkeelError], said: str
) -> None:
    url, says = server
    for name, value in changes.items():
        setattr(says, name, value)
    begun = time.monotonic()
    with pytest.raises(error, match=said) as caught:
        HttpAsk("hl", url, 0.5)({"type": "meta"})
    assert time.monotonic() - begun < 1.4, "a slow server takes no longer than it may"
    assert TOKEN not in str(caught.value)
    assert len(says.asked) == 1


def test_an_answer_without_end_is_not_read_to_it(
    server: tuple[str, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, says = server
    monkeypatch.setattr(hyperliquid_info, "LARGEST_ANSWER", 1_000)
    says.body = b"1" * 200_000
    with pytest.raises(DataError, match="too large"):
        HttpAsk("hl", url, 2.0)({"type": "meta"})


def test_nobody_there_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="can't be reached") as caught:
        HttpAsk("hl", f"http://127.0.0.1:1/{TOKEN}", 0.5)({"type": "meta"})
    assert TOKEN not in str(caught.value)
