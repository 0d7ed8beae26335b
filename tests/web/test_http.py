"""What the dashboard answers to requests that mean no good, and to ledgers that can't be read."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from dashboards import ROOT, TOKEN, Book, Dashboard, command, environment, served

from bot.config import load_config
from bot.ledger import open_ledger
from bot.ledger.readonly import open_readonly

READS = (
    "/",
    "/positions",
    "/decisions",
    "/decisions/1",
    "/orders",
    "/risk",
    "/health",
    "/settings",
    "/control",
    "/events",
)
ACTIONS = ("/control/halt", "/control/reduce-only", "/control/resume")
CANARY = "canary-of-a-secret-7f3a"


@pytest.fixture
def client(shared: Dashboard) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=shared.url, timeout=10) as opened:
        yield opened


def form_token(answer: httpx.Response) -> str:
    return answer.text.split('name="form_token" value="')[1].split('"')[0]


def unlocked(client: httpx.Client, origin: str) -> str:
    """Gives the token; returns what forms of the new session must carry."""
    given = {"token": TOKEN, "form_token": form_token(client.get("/unlock"))}
    answer = client.post("/unlock", data=given, headers={"Origin": origin})
    assert answer.status_code == 303
    return form_token(client.get("/control/halt"))


def modes(book: Book) -> int:
    with closing(sqlite3.connect(f"file:{book.ledger}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM modes").fetchone()[0])


@pytest.mark.parametrize("path", ACTIONS)
def test_nobody_acts_without_the_token(client: httpx.Client, shared: Dashboard, path: str) -> None:
    form = {"why": "x", "form_token": form_token(client.get("/unlock"))}
    answer = client.post(path, data=form, headers={"Origin": shared.url})
    assert answer.status_code == 401
    assert modes(shared.book) == 0


@pytest.mark.parametrize("path", [*ACTIONS, "/unlock", "/lock"])
@pytest.mark.parametrize(
    ("origin", "token"),
    [("https://evil.example", True), ("null", True), (None, True), ("own", False)],
)
def test_forms_from_elsewhere_are_refused(
    shared: Dashboard, path: str, origin: str | None, token: bool
) -> None:
    with httpx.Client(base_url=shared.url) as client:
        right = unlocked(client, shared.url)
        headers = {} if origin is None else {"Origin": shared.url if origin == "own" else origin}
        form = {"why": "x", "token": TOKEN, "form_token": right if token else "0" * 64}
        assert client.post(path, data=form, headers=headers).status_code == 403
    assert modes(shared.book) == 0


def test_another_sessions_form_is_refused(shared: Dashboard) -> None:
    with httpx.Client(base_url=shared.url) as ours, httpx.Client(base_url=shared.url) as theirs:
        unlocked(ours, shared.url)
        form = {"why": "x", "form_token": unlocked(theirs, shared.url)}
        assert ours.post("/control/halt", data=form, headers={"Origin": shared.url}).status_code == 403


def test_a_wrong_token_is_no_token(client: httpx.Client, shared: Dashboard) -> None:
    form = {"token": TOKEN + "x", "form_token": form_token(client.get("/unlock"))}
    answer = client.post("/unlock", data=form, headers={"Origin": shared.url})
    assert answer.status_code == 403
    assert "This is not the token" in answer.text
    assert TOKEN not in answer.text


def test_a_halt_says_why(shared: Dashboard) -> None:
    with httpx.Client(base_url=shared.url) as client:
        form = {"why": "  ", "form_token": unlocked(client, shared.url)}
        answer = client.post("/control/halt", data=form, headers={"Origin": shared.url})
        assert answer.status_code == 422
    assert modes(shared.book) == 0


def test_looking_changes_nothing(client: httpx.Client, shared: Dashboard) -> None:
    for path in ("/control/halt", "/control/resume", "/control/nothing"):
        client.get(path)
        for method in ("PUT", "DELETE", "PATCH"):
            assert client.request(method, path).status_code in (404, 405)
    assert modes(shared.book) == 0


def test_the_session_goes_on_no_journey(client: httpx.Client, shared: Dashboard) -> None:
    form = {"token": TOKEN, "next": "//evil.example", "form_token": form_token(client.get("/unlock"))}
    answer = client.post("/unlock", data=form, headers={"Origin": shared.url})
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


@pytest.mark.parametrize("path", [*READS[:-1], "/unlock", "/nowhere", "/static/app.js"])
def test_a_rebound_name_is_refused(client: httpx.Client, path: str) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example:80", "", "[", "10.0.0.5"):
        assert client.get(path, headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize("path", [*READS[:-1], "/unlock", "/nowhere", "/static/app.js"])
def test_every_answer_has_the_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/decisions/0",
        "/decisions/999999",
        "/decisions/" + "9" * 60,
        "/decisions/x",
        "/decisions?before=-1",
        "/decisions?decision=sell",
        "/decisions?text=%00%25_'\"",
        "/decisions?code=" + "A" * 199,
        "/orders?before=" + "9" * 40,
        "/?span=century",
        "/?book=<script>alert(1)</script>",
    ],
)
def test_odd_addresses_have_a_designed_answer(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (200, 404, 422)
    assert "Vaultkeel" in answer.text
    assert "<script>alert" not in answer.text


@pytest.mark.parametrize("body", [b"x" * 9_000, b"\xff\xfe=%zz&" * 9, b"a=1&" * 200, b""])
def test_odd_forms_have_a_designed_answer(client: httpx.Client, shared: Dashboard, body: bytes) -> None:
    headers = {"Origin": shared.url, "Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/unlock", content=body, headers=headers).status_code in (403, 413)


def test_elsewhere_the_token_is_needed_to_read(book: Book) -> None:
    with served(book, "--host", "0.0.0.0", "--allow-host", "desk.example") as dashboard:  # noqa: S104
        url = dashboard.url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        with httpx.Client(base_url=url) as client:
            for path in READS:
                assert client.get(path).status_code == 401
                assert client.get(path, headers={"Accept": "text/html"}).status_code == 303
            asked = client.get("/unlock", headers={"Host": "desk.example"})
            assert asked.status_code == 200
            for told in ("eth", "Active", "live trading"):
                assert f">{told}<" not in asked.text
            assert client.get("/unlock", headers={"Host": "evil.example"}).status_code == 421
            unlocked(client, url)
            assert client.get("/").status_code == 200


def test_no_secret_is_shown_or_read(book: Book) -> None:
    text = book.config.read_text(encoding="utf-8")
    start = text.index("rpc_urls = ")
    line = text[start : text.index("\n", start)]
    given = f'rpc_urls = ["https://rpc.example/{CANARY}", "env:RPC_CANARY"]'
    book.config.write_text(text.replace(line, given), encoding="utf-8")
    config = load_config(book.config, secrets=False)  # there is neither the variable nor the key file
    assert CANARY not in repr(config)
    os.environ["RPC_CANARY"] = f"https://{CANARY}"
    try:
        with served(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
            for path in READS[:-1]:
                answer = client.get(path)
                assert answer.status_code == 200
                assert CANARY not in answer.text
                assert TOKEN not in answer.text
            assert "set, not shown, from env:RPC_CANARY" in client.get("/settings").text
    finally:
        del os.environ["RPC_CANARY"]


def test_the_process_imports_nothing_that_signs() -> None:
    code = (
        "import sys, bot.web.__main__, bot.web.app\n"
        "print([m for m in sys.modules if m.startswith(('bot.chain', 'bot.app', 'bot.desk', 'bot.cli', 'eth_account', "
        "'coincurve', 'web3', 'boto3'))])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert run.stdout.strip() == "[]"


def test_reading_changes_no_byte_and_writes_are_refused(book: Book) -> None:
    before = book.ledger.read_bytes()
    engine = open_readonly(book.ledger)
    with engine.connect() as db, pytest.raises(Exception, match="readonly"):
        db.exec_driver_sql("DELETE FROM ticks")
    engine.dispose()
    assert book.ledger.read_bytes() == before


def test_a_writer_never_waits_for_a_reader(book: Book) -> None:
    engine = open_readonly(book.ledger)
    ledger = open_ledger(book.ledger)
    with engine.connect() as db:
        reading = db.exec_driver_sql("SELECT * FROM ticks")
        reading.fetchone()
        ledger.set_mode("0x0", ledger.mode("0x0"), "while somebody reads", 0)
    ledger.close()
    engine.dispose()


def broken(book: Book, how: str) -> None:
    """Makes a ledger unreadable."""
    for suffix in ("-wal", "-shm"):
        Path(f"{book.ledger}{suffix}").unlink(missing_ok=True)
    if how == "missing":
        book.ledger.unlink()
    elif how == "half":
        content = book.ledger.read_bytes()
        book.ledger.write_bytes(content[: len(content) // 3])
    elif how == "text":
        book.ledger.write_text("not a database " * 400, encoding="utf-8")
    elif how == "folder":
        book.ledger.unlink()
        book.ledger.mkdir()
    else:
        with closing(sqlite3.connect(book.ledger, isolation_level=None)) as db:
            if how == "newer":
                db.execute("UPDATE meta SET value = '99'")
            elif how == "foreign":
                db.execute("DROP TABLE meta")
            elif how == "empty":
                db.execute("PRAGMA foreign_keys=OFF")
                for table in ("fills", "attempts", "nonces", "intents", "ticks"):
                    db.execute(f"DELETE FROM {table}")  # noqa: S608
            elif how == "unreadable tick":
                db.execute("UPDATE ticks SET snapshot_json = '{\"book\": 1}'")


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "No ledger yet"),
        ("half", "can’t be read|can&#39;t be read|can't be read"),
        ("text", "can&#39;t be read|can't be read"),
        ("folder", "No ledger yet"),
        ("newer", "schema 99"),
        ("foreign", "not a Vaultkeel ledger"),
        ("empty", "No tick yet"),
        ("unreadable tick", "can&#39;t be shown|can't be shown"),
    ],
)
def test_a_ledger_that_cant_be_read_has_a_designed_page(book: Book, how: str, said: str) -> None:
    broken(book, how)
    with served(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
        for path in ("/", "/positions", "/decisions", "/orders", "/risk", "/health", "/control"):
            answer = client.get(path)
            assert answer.status_code in (200, 404, 503), (path, answer.text)
            assert "Traceback" not in answer.text
        assert any(part in client.get("/positions").text for part in said.split("|"))
        assert client.get("/settings").status_code == 200


@pytest.mark.long
def test_a_locked_ledger_says_so(book: Book) -> None:
    with closing(sqlite3.connect(book.ledger, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("BEGIN EXCLUSIVE")
        with served(book) as dashboard, httpx.Client(base_url=dashboard.url, timeout=30) as client:
            answer = client.get("/positions")
            assert answer.status_code == 503
            assert "The ledger is busy" in answer.text


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "environ", "said"),
    [
        ((), {"VAULTKEEL_DASHBOARD_TOKEN": "short"}, "at least 20 characters"),
        (("--host", "nowhere.invalid"), {}, "can't listen"),
        (("--config", "nothing.toml"), {}, "is not there"),
    ],
)
def test_what_cant_be_served_is_one_line(
    book: Book, options: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    arguments = command("dashboard", "--config", book.config, "--port", "0", *options)
    env = environment(**environ)
    run = subprocess.run(arguments, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_a_new_token_is_printed_once(book: Book) -> None:
    env = {name: value for name, value in environment().items() if name != "VAULTKEEL_DASHBOARD_TOKEN"}
    arguments = command("dashboard", "--config", book.config, "--port", "0")
    with subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.terminate()
    assert "dashboard at http://127.0.0.1:" in first
    assert len(second.rsplit(" ", 1)[1].strip()) >= 32


def test_the_shipped_library_is_the_named_version() -> None:
    static = ROOT / "bot" / "web" / "static"
    assert (static / "uPlot.LICENSE").read_text().startswith("The MIT License")
    assert "leeoniya/uPlot (v1.6.32)" in (static / "uPlot.iife.min.js").read_text()[:400]
