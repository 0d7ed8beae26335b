"""The endpoints that Prometheus and orchestrators ask, with clients that behave and clients that don't."""

import contextlib
import http.client
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config.ops import MetricsConfig
from bot.errors import ConfigError
from bot.ops.server import AT_ONCE, Server
from bot.ops.systemd import ALIVE, ENDING, READY, tell_systemd
from bot.ops.watchdog import Pulse, Watchdog


class Health:
    """Whether the run is well."""

    stuck = unready = ""


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def server(health: Health, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that waits a second for a client that says nothing."""

    def metrics() -> bytes:
        return b"vaultkeel_net_delta 1.5\n"

    monkeypatch.setattr("bot.ops.server.TIMEOUT_S", 1)
    started = Server(("127.0.0.1", 0), metrics, lambda: health.stuck, lambda: health.unready)
    yield started
    started.close()


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, bytes, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers["content-type"] or ""
    finally:
        connection.close()


def test_metrics_are_served_as_prometheus_reads_them(server: Server) -> None:
    status, content, kind = ask(server, "/metrics?name[]=x")
    assert (status, content) == (200, b"vaultkeel_net_delta 1.5\n")
    assert kind.startswith("text/plain; version=0.0.4")


def test_live_and_ready_say_why_they_are_not(server: Server, health: Health) -> None:
    assert ask(server, "/live")[:2] == ask(server, "/ready")[:2] == (200, b"ok\n")
    health.unready = "no tick of eth has succeeded yet"
    assert ask(server, "/live")[0] == 200
    assert ask(server, "/ready")[:2] == (503, b"no tick of eth has succeeded yet\n")
    health.stuck = "the tick of eth has not moved for 301 s"
    assert ask(server, "/live")[:2] == (503, b"the tick of eth has not moved for 301 s\n")


def test_an_unknown_page_names_those_that_there_are(server: Server) -> None:
    status, content, _ = ask(server, "/../../etc/passwd")
    assert status == 404
    assert content == b"there are /metrics, /live, /ready\n"


def test_nothing_but_reading_is_possible(server: Server) -> None:
    assert ask(server, "/live", "HEAD")[:2] == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, "/metrics", method)[0] == 501


@pytest.mark.parametrize(
    "rubbish", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET " + b"a" * 70_000 + b" HTTP/1.1\r\n"]
)
def test_rubbish_leaves_it_up(server: Server, rubbish: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
        client.sendall(rubbish)
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            client.recv(1000)
    assert ask(server, "/live")[0] == 200


def test_clients_that_say_nothing_take_no_more_than_their_places(server: Server) -> None:
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", server.port), timeout=5) for _ in range(AT_ONCE * 3)]
    time.sleep(0.3)
    assert threading.active_count() - before <= AT_ONCE
    for client in idle:
        client.close()
    give_up = time.monotonic() + 10
    while True:
        try:
            assert ask(server, "/live")[0] == 200
            break
        except (ConnectionError, http.client.HTTPException):
            assert time.monotonic() < give_up
            time.sleep(0.1)


def test_a_port_that_is_taken_is_an_error_with_its_remedy(server: Server) -> None:
    with pytest.raises(ConfigError, match="choose a free port"):
        Server(("127.0.0.1", server.port), bytes, str, str)


def test_it_listens_on_ipv6_too() -> None:
    if not socket.has_ipv6:
        pytest.skip("this computer has no IPv6")
    try:
        started = Server(MetricsConfig(listen="[::1]:0").address, bytes, str, str)
    except ConfigError:
        pytest.skip("this computer has no IPv6 loopback")
    with socket.create_connection(("::1", started.port), timeout=5):
        pass
    started.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    folder = Path(tempfile.mkdtemp(prefix="vk"))
    name = str(folder / "notify") if request.param == "path" else f"@vaultkeel-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield listening
    (folder / "notify").unlink(missing_ok=True)
    folder.rmdir()


def test_systemd_is_told_each_state(systemd: socket.socket) -> None:
    for state in (READY, ALIVE, ENDING):
        tell_systemd(state)
        assert systemd.recv(100) == state.encode()


def heard(systemd: socket.socket) -> int:
    """How many messages have come so far."""
    number = 0
    with contextlib.suppress(BlockingIOError):
        while systemd.recv(100):
            number += 1
    return number


def test_systemd_hears_that_the_run_is_alive_until_it_is_stuck(systemd: socket.socket) -> None:
    now = [0.0]
    pulse = Pulse(["eth"], 60, 300, lambda: now[0])
    watchdog = Watchdog(pulse, lambda event: None, look_every_s=0.01)
    assert systemd.recv(100) == b"WATCHDOG=1"
    now[0] = 301
    time.sleep(0.1)
    systemd.setblocking(False)
    heard(systemd)  # those that were on their way
    time.sleep(0.1)
    assert heard(systemd) == 0
    watchdog.close()


def test_a_socket_that_nobody_reads_delays_nothing(systemd: socket.socket) -> None:
    begun = time.monotonic()
    for _ in range(5_000):
        tell_systemd(ALIVE)
        if time.monotonic() - begun > 5:
            break
    assert time.monotonic() - begun < 5
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_without_systemd_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    tell_systemd(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/socket")
    tell_systemd(READY)
