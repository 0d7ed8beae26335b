"""Whatever bytes are sent to the metrics' server, it answers with a status of its own or not at all, and stays up."""

import re
import socket
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.ops import server as serving
from bot.ops.server import Server

PATHS = (
    "/metrics",
    "/live",
    "/ready",
    "/",
    "//live",
    "/live?x=1",
    "/..%2f",
    "*",
    "http://x/live",
    "/%00",
    "",
    "/\xff",
)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get", "BREW", "")
VERSIONS = (
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/9.9",
    "HTTP/1.\xb2",
    "HTTP/-1.1",
    "HTTP/1.1.1",
    "",
    "X",
)
NAMES = (
    "Host",
    "Content-Length",
    "Transfer-Encoding",
    "Expect",
    "Connection",
    "Range",
    "Accept-Encoding",
    "X" * 300,
)
VALUES = (
    "",
    "x",
    "-1",
    "9" * 30,
    "chunked",
    "100-continue",
    "keep-alive",
    "bytes=0-",
    "\xff\xfe",
    "a" * 70_000,
    "\t",
)
KNOWN = {200, 400, 404, 414, 431, 501, 503, 505}
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")

header = st.tuples(
    st.sampled_from(NAMES) | st.text(max_size=12), st.sampled_from(VALUES) | st.text(max_size=12)
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Something like a request; of half of them everything but the fields is well made."""
    odd = draw(st.booleans())
    method = draw(st.sampled_from(METHODS) | st.text(max_size=8) if odd else st.just("GET"))
    path = draw(st.sampled_from(PATHS) | st.text(max_size=20) if odd else st.sampled_from(PATHS[:4]))
    version = draw(st.sampled_from(VERSIONS) | st.text(max_size=8) if odd else st.just("HTTP/1.1"))
    end = draw(st.sampled_from(["\r\n", "\n", "\r", "\r\n\r\n"]) if odd else st.just("\r\n"))
    parts = [
        " ".join((method, path, version)),
        *(f"{name}: {value}" for name, value in draw(st.lists(header, max_size=6))),
    ]
    head = end.join(parts) + end + draw(st.sampled_from(["\r\n", "\n", ""]))
    return head.encode("latin-1", "replace") + draw(st.binary(max_size=40))


@pytest.fixture
def broke() -> list[BaseException]:
    """The errors that a request ended in, those aside that say that who asked has gone."""
    return []


@pytest.fixture
def server(broke: list[BaseException], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    def seen(_self: object, request: object, client_address: object) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            broke.append(error)

    monkeypatch.setattr(serving._Server, "handle_error", seen)
    monkeypatch.setattr(serving, "TIMEOUT_S", 1)
    started = Server(("127.0.0.1", 0), lambda: b"vaultkeel_net_delta 1.5\n", str, lambda: "no tick yet")
    yield started
    started.close()


def answer_to(server: Server, content: bytes) -> bytes:
    """All that the server says to these bytes."""
    found = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        try:
            client.sendall(content)
            client.shutdown(socket.SHUT_WR)
            while part := client.recv(65_536):
                found += part
        except OSError:  # it has heard enough
            pass
    return found


def test_no_bytes_make_the_server_fail(server: Server, broke: list[BaseException], long: bool) -> None:
    seen: set[int] = set()

    @settings(
        max_examples=5_000 if long else 300,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(requests() | st.binary(max_size=200))
    def holds(content: bytes) -> None:
        answer = answer_to(server, content)
        statuses = {int(found) for found in STATUS.findall(answer)}
        seen.update(statuses)
        assert statuses <= KNOWN | {100}, answer
        assert b"Traceback" not in answer
        assert b'File "' not in answer
        assert not broke

    holds()
    assert {200, 404} <= seen, "what is asked reaches no page"
    assert answer_to(server, b"GET /live HTTP/1.0\r\n\r\n").endswith(b"ok\n")
