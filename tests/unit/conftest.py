"""Unit tests speak to nobody: whoever opens a connection fails."""

import socket
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog
from hypothesis import settings

settings.register_profile("unit", deadline=None)
settings.register_profile("long", deadline=None, max_examples=1_000)


def pytest_configure(config: pytest.Config) -> None:
    """As many examples as there is time for. Tests with a number of their own say it by the profile's."""
    settings.load_profile("long" if config.getoption("--long") else "unit")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes any connection of this process fail with a sentence that says why.

    It fails as an assertion and not as an OSError, which the code under test would take for a node that is down.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        pytest.fail("a unit test tried to open a connection", pytrace=True)

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """A test that sets up the logs writes to a standard error that ends with it."""
    yield
    structlog.reset_defaults()
