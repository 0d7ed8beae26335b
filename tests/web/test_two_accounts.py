"""The dashboard of books on two chains: each account's mode, and actions on one or on all."""

import copy
from pathlib import Path
from typing import Any

import httpx
import pytest
import tomlkit
from dashboards import TOKEN, Book, Dashboard, served

from bot.core.accounts import account_id
from bot.core.model import Mode
from bot.ledger import open_ledger


@pytest.fixture
def two(book: Book) -> tuple[Book, tuple[str, str]]:
    """A configuration with a second book on a second chain, and both accounts' ids."""
    document: Any = tomlkit.parse(book.config.read_text(encoding="utf-8"))
    document["clock"] = "system"
    document["chains"]["second"] = {"chain_id": 10, "rpc_urls": ["http://127.0.0.1:1"], "quorum": 1}
    other = copy.deepcopy(document["books"][0])
    other["name"] = "other"
    for part in (*other["sources"], other["venue"]):
        part["chain"] = "second"
    document["books"].append(other)
    book.config.write_text(tomlkit.dumps(document), encoding="utf-8")
    ledger = open_ledger(book.ledger)
    ((_, chain_id, _, address),) = ledger.bindings()
    ledger.bind("second", 10, "", address)
    ledger.close()
    return book, (account_id(chain_id, address), account_id(10, address))


def modes(path: Path, accounts: tuple[str, str]) -> list[Mode]:
    ledger = open_ledger(path)
    found = [ledger.mode(account) for account in accounts]
    ledger.close()
    return found


def form_token(answer: httpx.Response) -> str:
    return answer.text.split('name="form_token" value="')[1].split('"')[0]


def act(dashboard: Dashboard, client: httpx.Client, path: str, chain: str) -> httpx.Response:
    form = {"why": "x", "chain": chain, "form_token": form_token(client.get(path))}
    return client.post(path, data=form, headers={"Origin": dashboard.url})


def test_an_action_is_of_every_account_or_of_one_chains(two: tuple[Book, tuple[str, str]]) -> None:
    book, accounts = two
    with served(book) as dashboard, httpx.Client(base_url=dashboard.url, timeout=10) as client:
        asked = client.get("/control/halt?chain=second")
        assert 'name="next" value="/control/halt?chain=second"' in asked.text, "the token is asked for first"
        given = {"token": TOKEN, "form_token": form_token(asked), "next": "/control/halt?chain=second"}
        answer = client.post("/unlock", data=given, headers={"Origin": dashboard.url})
        assert answer.headers["location"] == "/control/halt?chain=second"
        shown = client.get("/control/halt?chain=second").text
        assert 'name="chain" value="second"' in shown
        assert shown.count("on second") == 1
        assert "on localnet" not in shown
        assert act(dashboard, client, "/control/halt", "second").status_code == 303
        assert modes(book.ledger, accounts) == [Mode.ACTIVE, Mode.HALTED]
        control = client.get("/control").text
        assert "on localnet" in control
        assert "on second" in control
        assert "eip155" not in control + client.get("/health").text
        assert act(dashboard, client, "/control/reduce-only", "").status_code == 303
        assert modes(book.ledger, accounts) == [Mode.REDUCING, Mode.REDUCING]
        assert client.get("/control/halt?chain=third").status_code == 404
        assert act(dashboard, client, "/control/halt", "third").status_code in (404, 422, 503)
        assert modes(book.ledger, accounts) == [Mode.REDUCING, Mode.REDUCING]
