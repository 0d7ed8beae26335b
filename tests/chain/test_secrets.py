"""A canary key, password and RPC token never show: not in output, logs at DEBUG, errors, the ledger or a report."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from support import Proxy, ledger_bytes, run_here, write_config

from bot.localnet.market import Market
from bot.localnet.world import World

PASSWORD = "c4nary-p4ssw0rd"
TOKEN = "c4nary-t0ken-in-the-path"


@pytest.fixture
def loud() -> Iterator[io.StringIO]:
    """Every library logs all that it can, into what is returned."""
    root, logged = logging.getLogger(), io.StringIO()
    before, handler = root.level, logging.StreamHandler(logged)
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield logged
    root.removeHandler(handler)
    root.setLevel(before)


def canaries(world: World) -> list[bytes]:
    """Each secret as it could appear."""
    key = world.hedger_key.removeprefix("0x")
    return [key.encode(), key.upper().encode(), bytes.fromhex(key), PASSWORD.encode(), TOKEN.encode()]


def test_no_secret_ever_shows(
    fresh: World,
    loud: io.StringIO,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    keystore = Account.encrypt(fresh.hedger_key, PASSWORD, kdf="pbkdf2", iterations=10)
    (tmp_path / "keystore.json").write_text(json.dumps(keystore), encoding="utf-8")
    (tmp_path / "keystore.json").chmod(0o600)
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD)
    seen: list[str] = []

    def run(*arguments: str | Path) -> int:
        code, out, err = run_here(monkeypatch, capsys, *arguments, "--config", tmp_path / "vaultkeel.toml")
        seen.extend((out, err))
        return code

    with Proxy(fresh.url) as proxy:

        def secretive(document: Any) -> None:
            document["signer"] = {
                "kind": "keystore",
                "keystore": "keystore.json",
                "password": "env:CANARY_PASSWORD",
            }
            document["chains"]["localnet"]["rpc_urls"] = [f"{proxy.url}/v3/{TOKEN}"]

        write_config(fresh, tmp_path, edit=secretive)
        (tmp_path / "hedger.key").unlink()
        for command in (
            ("status",),
            ("once", "--json"),
            ("intents",),
            ("status", "--json"),
            ("halt", "why"),
            ("resume",),
        ):
            assert run(*command) == 0
        proxy.rule = lambda _methods, _forward: (502, f"bad gateway to {proxy.url}/v3/{TOKEN}".encode())
        assert run("once") == 3
        error = {
            "jsonrpc": "2.0",
            "id": 1,
            "error": {"code": -32000, "message": f"key {TOKEN} is over its quota"},
        }
        proxy.rule = lambda _methods, _forward: (200, json.dumps(error).encode())
        assert run("status", "--json") != 0
    assert run("once", "--json") == 3, "nobody listens any more"
    monkeypatch.setenv("CANARY_PASSWORD", PASSWORD + "!")
    assert run("status") == 2
    logging.getLogger("a.library").debug("heard")
    assert "heard" in loud.getvalue()
    said = "".join([*seen, loud.getvalue()]).encode()
    assert b"decision" in said
    stored = ledger_bytes(tmp_path)
    assert stored
    for canary in canaries(fresh):
        assert canary not in said
        assert canary not in stored
