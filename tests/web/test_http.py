"""What the dashboard answers to requests that mean no good, and to ledgers that can't be read."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import httpx
import pytest
from dashboards import (
    ROOT,
    TOKEN,
    Book,
    Dashboard,
    environment,
    form_token,
    hosted,
    unlocked,
)

from bot.config import load_config
from bot.ledger import open_ledger
from bot.ledger.readonly import open_readonly
from bot.web.__main__ import TOKEN_VARIABLE, door_of, main, parsed
from bot.web.door import Door

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
    with hosted(book, "0.0.0.0", "desk.example") as dashboard:  # noqa: S104
        url = dashboard.url
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


def test_the_options_make_the_door() -> None:
    given = parsed(
        ["--config", "x.toml", "--host", "192.0.2.1", "--allow-host", "a.example", "--allow-host", "b.org"]
    )
    assert door_of(given, TOKEN) == Door("192.0.2.1", TOKEN, ("a.example", "b.org"))
    assert not door_of(given, TOKEN).is_loopback
    assert door_of(parsed(["--config", "x.toml"]), TOKEN).is_loopback


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
        with hosted(book) as dashboard, httpx.Client(base_url=dashboard.url) as client:
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


def test_many_who_look_at_once_are_all_answered(shared: Dashboard) -> None:
    """More than the ledger keeps connections open for: none may lose its connection to another."""
    with httpx.Client(base_url=shared.url, timeout=60) as client:
        with ThreadPoolExecutor(16) as crowd:
            answers = list(crowd.map(client.get, [*READS[:-1], "/orders?show=open", "/?span=all"] * 8))
        assert {answer.status_code for answer in answers} == {200}
        assert client.get("/health").status_code == 200


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


@pytest.mark.parametrize(
    ("options", "token", "said"),
    [
        ((), "short", "at least 20 characters"),
        (("--host", "nowhere.invalid"), TOKEN, "can't listen"),
        (("--config", "nothing.toml"), TOKEN, "nothing.toml"),
        (("--token-file", "nothing"), TOKEN, "can't be read"),
    ],
)
def test_what_cant_be_served_is_one_line(
    book: Book,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    token: str,
    said: str,
) -> None:
    arguments = ["--config", str(book.config), "--port", "0", *options]
    monkeypatch.setattr(sys, "argv", ["vaultkeel dashboard", *arguments])
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err.strip()
    assert said in told
    assert len(told.splitlines()) == 1


def test_without_its_packages_it_says_what_to_install(book: Book) -> None:
    code = (
        "import sys\n"
        "for name in ('fastapi', 'starlette', 'uvicorn', 'jinja2'): sys.modules[name] = None\n"
        "from bot.web.__main__ import main; main()"
    )
    arguments = [sys.executable, "-c", code, "--config", str(book.config)]
    run = subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 2
    assert "pip install 'vaultkeel[web]'" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_new_token_is_printed_once_and_is_the_one(book: Book) -> None:
    env = {name: value for name, value in environment().items() if name != TOKEN_VARIABLE}
    arguments = [sys.executable, "-m", "bot.web", "--config", str(book.config), "--port", "0"]
    with subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        url, token = first.split()[2].rstrip("/;"), second.rsplit(" ", 1)[1].strip()
        with httpx.Client(base_url=url) as client:
            unlocked(client, url, token)
        process.terminate()
        assert process.stdout.read() == ""
    assert first.startswith("dashboard at http://127.0.0.1:")
    assert len(token) >= 32


def test_the_shipped_library_is_the_named_version() -> None:
    static = ROOT / "bot" / "web" / "static"
    assert (static / "uPlot.LICENSE").read_text().startswith("The MIT License")
    assert "leeoniya/uPlot (v1.6.32)" in (static / "uPlot.iife.min.js").read_text()[:400]
