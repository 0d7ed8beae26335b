"""Log lines: one per tick that says why, told apart by tick and order, as text or JSON, and without secrets."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from builders import Rig
from pydantic import ValidationInfo

from bot import log as logs
from bot.config import fields
from bot.log import HIDDEN, conceal, remember_secret, set_up_logs, tokens_in

CANARY = 'c4nary-"quoted"-s3cret-\u00e9'
TOKEN = "t0kenOfTwentyLetters"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Secrets are a process's own: other tests get theirs back."""
    before = logs._secrets
    yield
    logs._secrets = before


Read = Callable[[], list[str]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Read:
    """The lines that were logged so far."""
    return lambda: capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("as_json", [False, True])
def test_no_form_of_a_secret_is_logged(as_json: bool, lines: Read) -> None:
    remember_secret(CANARY)
    set_up_logs(as_json=as_json)
    log = structlog.get_logger("x")
    log.warning(f"said {CANARY}", value=CANARY, nested={"deep": [CANARY]}, quoted=repr(CANARY))
    try:
        int(CANARY)
    except ValueError:
        log.exception("failed")
    said = "\n".join(lines())
    assert "c4nary" not in said
    assert said.count(HIDDEN) >= 4
    assert "ValueError" in said


def test_what_a_library_logs_past_us_is_concealed_too(lines: Read) -> None:
    remember_secret(CANARY)
    set_up_logs(as_json=False)
    record = logging.LogRecord("lib", logging.ERROR, "f", 1, "it said %s", (CANARY,), None)
    assert logging.lastResort is not None
    assert logging.lastResort.format(record) == f"it said {HIDDEN}"


@pytest.mark.parametrize("form", ["env", "file", "credential"])
def test_a_secret_is_remembered_wherever_it_was_read(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("s3cret-of-the-" + form, encoding="utf-8")
    (tmp_path / "secret").chmod(0o600)
    monkeypatch.setenv("SECRET", "s3cret-of-the-" + form)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    info: Any = type("Info", (), {"context": {"folder": tmp_path}})()
    where: ValidationInfo = info
    name = "SECRET" if form == "env" else "secret"
    secret = fields.read_secret(f"{form}:{name}", where)
    assert secret.get_secret_value() == "s3cret-of-the-" + form
    assert conceal(f"it is {secret.get_secret_value()}.") == f"it is {HIDDEN}."


def test_a_key_is_concealed_with_and_without_its_prefix_in_either_case() -> None:
    remember_secret("0x" + "aB" * 32)
    for form in ("0x" + "aB" * 32, "ab" * 32, "AB" * 32):
        assert conceal(f"<{form}>") in (f"<{HIDDEN}>", f"<0x{HIDDEN}>")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"https://rpc.example/v2/{TOKEN}", {TOKEN}),
        (f"https://rpc.example/optimism?key={TOKEN}", {TOKEN}),
        (f"tgram://{TOKEN}:AAAA/12345/", {f"{TOKEN}:AAAA"}),
        ("http://127.0.0.1:8545", set()),
        ("not an address", set()),
        ("http://[broken", set()),
    ],
)
def test_what_may_be_a_token_in_an_address_is_found_and_words_are_not(url: str, expected: set[str]) -> None:
    assert tokens_in(url) == expected


def test_a_credential_is_refused_outside_its_folder_and_outside_a_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info: Any = type("Info", (), {"context": {}})()
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ValueError, match="in a systemd service alone"):
        fields.read_secret("credential:key", info)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name in ("../key", "", "a/b"):
        with pytest.raises(ValueError, match="without a folder"):
            fields.read_secret(f"credential:{name}", info)
    with pytest.raises(ValueError, match="can't be read"):
        fields.read_secret("credential:missing", info)


def test_a_tick_is_one_line_that_says_why_and_its_order_is_told_apart_by_tick_and_intent(
    tmp_path: Path, lines: Read
) -> None:
    set_up_logs(as_json=True)
    rig = Rig(tmp_path / "vaultkeel.db")
    rig.client.on_send = rig.mines
    done = rig.tick()
    said = [json.loads(line) for line in lines()]
    (tick,) = [line for line in said if line["event"] == "tick"]
    assert tick["why"] == done.record.decision.text
    assert (tick["tick"], tick["book"], tick["decision"]) == (done.id, "eth", "rebalance")
    (order,) = [line for line in said if line["event"] == "order"]
    assert (order["tick"], order["intent"]) == (done.id, done.intent_key)


def test_a_tick_in_text_is_one_line_with_its_reason(tmp_path: Path, lines: Read) -> None:
    set_up_logs(as_json=False)
    done = Rig(tmp_path / "vaultkeel.db").tick()
    (line,) = [line for line in lines() if " tick " in line]
    assert done.record.decision.text in line


def test_a_bug_is_logged_as_json_with_its_traceback_in_the_same_line(lines: Read) -> None:
    set_up_logs(as_json=True)
    try:
        _ = 1 / 0
    except ZeroDivisionError as error:
        structlog.get_logger("x").error("tick failed", exc_info=error)
    (line,) = lines()
    assert "ZeroDivisionError" in json.loads(line)["exception"]
