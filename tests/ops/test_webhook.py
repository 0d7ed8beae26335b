"""Alerts through the real Apprise to a real server: what arrives, and what a server does that hangs or fails."""

import io
import json
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner
from webhook import Webhook

from bot import log as logs
from bot.cli import app
from bot.config.ops import AlertsConfig
from bot.core.events import Event, Kind
from bot.errors import ConfigError
from bot.log import set_up_logs
from bot.ops.alerts import Alerts, start_alerts
from bot.ops.channels import Channel, Patience
from bot.share import share

KEY = "0x" + "42" * 32
HALT = Event(Kind.HALTED, "nonce 7 was used by another program", "eth")


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    before = logs._secrets
    yield
    logs._secrets = before
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def no_time_to_waste(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end is noticed at once, and a failed try is repeated soon."""
    monkeypatch.setattr("bot.ops.alerts.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("bot.ops.alerts.FLUSH_S", 2.0)
    monkeypatch.setattr(Channel.__init__, "__defaults__", (Patience(first_pause_s=0.1),))


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with Webhook() as started:
        yield started


@pytest.fixture
def other() -> Iterator[Webhook]:
    with Webhook() as started:
        yield started


def running(monkeypatch: pytest.MonkeyPatch, **hooks: str) -> Alerts:
    """Alerts to these addresses by name."""
    channels = []
    for name, url in hooks.items():
        monkeypatch.setenv(f"URL_{name}", url)
        channels.append({"name": name, "url": f"env:URL_{name}", "least": "info"})
    return start_alerts(AlertsConfig.model_validate({"channels": channels}))


def test_what_arrives_has_the_severity_the_name_the_book_and_the_sentence(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = running(monkeypatch, hook=hook.url)
    alerts.notify(Event(Kind.STARTED, "a run begins"))
    alerts.notify(HALT)
    alerts.notify(Event(Kind.HALTED, "resumed", "eth", over=True))
    alerts.close()
    assert [(m["type"], m["title"], m["message"]) for m in hook.messages] == [
        ("info", "Vaultkeel INFO: started", "a run begins"),
        ("failure", "Vaultkeel CRITICAL: halted (eth)", "nonce 7 was used by another program"),
        ("success", "Vaultkeel OVER: halted (eth)", "resumed"),
    ]


def test_a_server_that_hangs_delays_nobody_and_the_others_hear_of_it(
    hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answer = lambda: time.sleep(3) or 200  # type: ignore[func-returns-value]
    alerts = running(monkeypatch, hanging=hook.url, other=other.url)
    begun = time.monotonic()
    alerts.notify(HALT)
    assert time.monotonic() - begun < 0.05
    other.until("halted", within_s=2)
    failed = other.until("channel_failed")
    assert "channel hanging" in failed["message"]
    assert "c4nary" not in json.dumps(failed)
    alerts.close()


@pytest.mark.parametrize("status", [500, 404])
def test_a_server_that_errs_gets_the_message_when_it_is_back(
    status: int, hook: Webhook, other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook.answer = lambda: status
    said = io.StringIO()
    with redirect_stderr(said):
        set_up_logs(as_json=True, level="debug")
        alerts = running(monkeypatch, flaky=hook.url, other=other.url)
        alerts.notify(HALT)
        other.until("channel_failed")
        hook.answer = lambda: 200
        hook.until("halted")
        give_up = time.monotonic() + 10
        while not other.messages[-1]["title"].startswith("Vaultkeel OVER: channel_failed"):
            assert time.monotonic() < give_up
            time.sleep(0.01)
        alerts.close()
    assert hook.kinds == ["halted"]
    assert "an alert channel fails" in said.getvalue()
    assert "c4nary" not in said.getvalue(), "its address is a secret"


def test_a_port_that_nobody_listens_on_is_a_failing_channel(
    other: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerts = running(monkeypatch, gone="json://127.0.0.1:9/?cto=1&rto=1", other=other.url)
    alerts.notify(HALT)
    other.until("channel_failed")
    alerts.close()
    assert alerts.dropped >= 1


def test_an_address_that_apprise_doesnt_know_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ConfigError) as error:
        running(monkeypatch, odd="carrier-pigeon://c4nary-t0ken")
    assert "odd" in str(error.value)
    assert "c4nary" not in str(error.value)


def test_without_apprise_a_sentence_says_what_to_install(
    hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'vaultkeel\[alerts\]'"):
        running(monkeypatch, hook=hook.url)


class TestCommand:
    @pytest.fixture
    def config(self, tmp_path: Path, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("VAULTKEEL_KEY", KEY)
        monkeypatch.setenv("HOOK", hook.url)
        monkeypatch.setenv("GONE", "json://127.0.0.1:9/?cto=1&rto=1")
        text = share("config", "localnet.toml").read_text(encoding="utf-8")
        for name in ("hook", "gone"):
            text += (
                f'\n[[alerts.channels]]\nname = "{name}"\nurl = "env:{name.upper()}"\nleast = "critical"\n'
            )
        path = tmp_path / "vaultkeel.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, *arguments: Any) -> Any:
        return CliRunner().invoke(app, ["alerts", "test", *map(str, arguments)])

    def test_every_channel_is_sent_a_message_and_one_that_fails_is_named(
        self, config: Path, hook: Webhook
    ) -> None:
        result = self.run("--config", config, "--json")
        assert result.exit_code == 1
        said = json.loads(result.stdout.splitlines()[-1])["channels"]
        assert said == {"hook": "delivered", "gone": "the service did not take it"}
        assert hook.kinds == ["test"], "though it is for critical events alone"

    def test_one_channel_alone_can_be_tested(self, config: Path, hook: Webhook) -> None:
        result = self.run("--config", config, "--channel", "hook")
        assert result.exit_code == 0
        assert hook.kinds == ["test"]

    def test_a_channel_that_there_is_not_is_an_error(self, config: Path) -> None:
        result = self.run("--config", config, "--channel", "nonesuch")
        assert isinstance(result.exception, ConfigError)
