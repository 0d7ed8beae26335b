"""That the unit tests' own guard works: without it a forgotten fake would quietly ask a real node."""

import socket

import pytest
import requests


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_no_socket_connects(family: socket.AddressFamily) -> None:
    where = ("127.0.0.1", 9) if family is socket.AF_INET else "/nowhere"
    with socket.socket(family) as opened, pytest.raises(pytest.fail.Exception, match="tried to open"):
        opened.connect(where)


def test_no_http_request_leaves() -> None:
    with pytest.raises(pytest.fail.Exception, match="tried to open"):
        requests.get("http://127.0.0.1:9", timeout=1)
