"""Ledgers that can't be read, come late, go away or are damaged, and nodes that are dead: each has a designed page."""

import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from dashboards import Book, content_of, copied, hosted, served, unlocked

from bot.ledger.schema import SCHEMA_VERSION
from bot.web.__main__ import main

PAGES = ("/", "/positions", "/decisions", "/decisions/3", "/orders", "/risk", "/health", "/control")
CANT = "can&#39;t be read"


def executed(book: Book, *statements: str) -> None:
    """Changes a ledger as no version of the program would."""
    with closing(sqlite3.connect(book.ledger, isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        for statement in statements:
            db.execute(statement)


def cut(book: Book, share: float) -> None:
    """Leaves the first part of a ledger's file, as an interrupted copy does."""
    os.truncate(book.ledger, int(book.ledger.stat().st_size * share))


def folder(book: Book) -> None:
    book.ledger.unlink()
    book.ledger.mkdir()


EMPTIED = [f"DELETE FROM {table}" for table in ("fills", "attempts", "nonces", "intents", "ticks")]  # noqa: S608
BROKEN: dict[str, tuple[Callable[[Book], None], str]] = {
    "missing": (lambda book: book.ledger.unlink(), "No ledger yet"),
    "a folder": (folder, "No ledger yet"),
    "of zero length": (lambda book: cut(book, 0), "not a Vaultkeel ledger"),
    "a third of it": (lambda book: cut(book, 1 / 3), CANT),
    "its first bytes": (lambda book: os.truncate(book.ledger, 50), CANT),
    "text": (lambda book: book.ledger.write_text("not a database " * 400, encoding="utf-8") and None, CANT),
    "of a newer version": (lambda book: executed(book, "UPDATE meta SET value = '99'"), "schema 99"),
    "of an older version": (lambda book: executed(book, "UPDATE meta SET value = '2'"), "schema 2"),
    "without its version": (lambda book: executed(book, "DELETE FROM meta"), "schema None"),
    "of another program": (lambda book: executed(book, "DROP TABLE meta"), "not a Vaultkeel ledger"),
    "without a table": (lambda book: executed(book, "DROP TABLE ticks"), CANT),
    "without a tick": (lambda book: executed(book, *EMPTIED), "No tick yet"),
    "with ticks of another form": (
        lambda book: executed(book, "UPDATE ticks SET snapshot_json = '{\"book\": 1}'"),
        "can&#39;t be shown",
    ),
    "with ticks that are no structure": (
        lambda book: executed(
            book, "UPDATE ticks SET snapshot_json = '{', exposure_json = '', decision_json = '['"
        ),
        "can&#39;t be shown",
    ),
    "with figures that are none": (
        lambda book: executed(book, "UPDATE ticks SET net_delta = 'x', spot = ''"),
        "",
    ),
    "with modes that there are none of": (
        lambda book: executed(
            book, "INSERT INTO modes (account, mode, why, at) SELECT account, 'ASLEEP', '', 0 FROM chains"
        ),
        "",
    ),
    "of no chain": (lambda book: executed(book, "DELETE FROM chains"), ""),
}


def designed(answer: httpx.Response) -> bool:
    """Whether an answer is a page of ours without a traceback, and no failure of a page."""
    ours = (
        "Vaultkeel" in answer.text
        and "Traceback" not in answer.text
        and "This page failed" not in answer.text
    )
    return ours and answer.status_code in (200, 404, 422, 503)


@pytest.mark.parametrize("how", BROKEN)
def test_a_ledger_that_cant_be_read_has_a_designed_page(book: Book, how: str) -> None:
    breaks, said = BROKEN[how]
    breaks(book)
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        for path in PAGES:
            answer = client.get(path)
            assert designed(answer), (path, answer.status_code, answer.text)
        assert said in client.get("/positions").text
        assert client.get("/settings").status_code == 200


@pytest.mark.parametrize(
    "how", ["missing", "of zero length", "a third of it", "of an older version", "of no chain"]
)
def test_a_halt_of_a_ledger_that_cant_be_written_says_so(book: Book, how: str) -> None:
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        form = {"why": "because", "form_token": unlocked(client, dashboard.url)}
        BROKEN[how][0](book)
        there = book.ledger.exists()
        answer = client.post("/control/halt", data=form, headers={"Origin": dashboard.url})
        assert designed(answer)
        assert answer.status_code in (404, 503)
        assert book.ledger.exists() == there, "a halt made a ledger"


def test_an_older_and_a_newer_ledger_name_both_versions(book: Book) -> None:
    executed(book, f"UPDATE meta SET value = '{SCHEMA_VERSION + 1}'")  # noqa: S608 - a number of ours
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        answer = client.get("/")
        assert answer.status_code == 503
        assert f"schema {SCHEMA_VERSION + 1}, this program reads {SCHEMA_VERSION}" in answer.text


def test_a_locked_ledger_says_so_and_nothing_is_lost(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.ledger.readonly.BUSY_S", 0.05)
    before = content_of(book.ledger)
    with closing(sqlite3.connect(book.ledger, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("BEGIN EXCLUSIVE")
        with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url, timeout=30) as client:
            answer = client.get("/positions")
            assert answer.status_code == 503
            assert "The ledger is busy" in answer.text
            db.execute("ROLLBACK")
            assert client.get("/positions").status_code == 200
    assert content_of(book.ledger) == before


def test_a_ledger_that_vanishes_is_said_to_be_gone_until_it_is_back(book: Book) -> None:
    away = book.ledger.with_suffix(".away")
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        for path in PAGES:
            assert client.get(path).status_code == 200
        book.ledger.rename(away)
        for path in PAGES:
            answer = client.get(path)
            assert (answer.status_code, "No ledger yet" in answer.text) == (503, True), path
        away.rename(book.ledger)
        assert client.get("/").status_code == 200


def test_another_ledger_in_its_place_is_read_at_once(book: Book) -> None:
    fresh = book.ledger.with_suffix(".fresh")
    shutil.copy(book.ledger, fresh)
    with closing(sqlite3.connect(fresh)) as db:
        db.execute("UPDATE modes SET mode = 'HALTED'")
        db.execute(
            "INSERT INTO modes (account, mode, why, at) "
            "SELECT 'eip155:' || chain_id || ':' || account, 'HALTED', 'elsewhere', 0 FROM chains"
        )
        db.commit()
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        assert "elsewhere" not in client.get("/").text
        fresh.replace(book.ledger)
        assert "elsewhere" in client.get("/").text


def test_a_file_that_is_cut_while_it_is_served_ends_nothing(book: Book) -> None:
    with served(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        for share in (1, 0.9, 0.3, 0):
            cut(book, share)
            for path in PAGES:
                answer = client.get(path)
                assert designed(answer), (share, path)
                assert share < 1 or answer.status_code == 200
            assert client.get("/settings").status_code == 200


@pytest.mark.timeout(900)
def test_no_damage_to_the_file_makes_a_page_fail(
    demo: Book, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for seed in range(200 if request.config.getoption("--long") else 5):
        chance = random.Random(seed)  # noqa: S311 - which bytes are damaged is no secret
        folder = tmp_path / str(seed)
        folder.mkdir()
        book = copied(demo, folder)
        content = bytearray(book.ledger.read_bytes())
        for _ in range(chance.choice((1, 10, 200))):
            at = chance.randrange(len(content))
            damage = chance.randbytes(chance.choice((1, 8, 512)))
            content[at : at + len(damage)] = damage[: len(content) - at]
        book.ledger.write_bytes(content)
        with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
            for path in PAGES:
                answer = client.get(path)
                assert designed(answer), (seed, path, answer.status_code)
        shutil.rmtree(folder)


def test_nodes_that_are_dead_change_no_page(book: Book) -> None:
    text = book.config.read_text(encoding="utf-8")
    start = text.index("rpc_urls = ")
    line = text[start : text.index("\n", start)]
    book.config.write_text(text.replace(line, 'rpc_urls = ["http://127.0.0.1:9", "http://node.invalid"]'))
    with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        for path in (*PAGES, "/settings"):
            assert client.get(path).status_code == 200


def test_a_configuration_without_its_chain_is_refused_in_one_line(
    book: Book, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = book.config.read_text(encoding="utf-8")
    book.config.write_text(text.replace("[chains.localnet]", "[chains.elsewhere]"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["vaultkeel dashboard", "--config", str(book.config), "--port", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err.strip()
    assert "localnet" in said
    assert len(said.splitlines()) == 1
