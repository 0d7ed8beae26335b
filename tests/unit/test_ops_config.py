"""[alerts] and [metrics]: what is refused, and what the defaults are."""

from typing import Any

import pytest
from builders import KEY
from pydantic import ValidationError

from bot.config import load_config
from bot.config.ops import AlertsConfig, MetricsConfig
from bot.core.events import Kind, Severity
from bot.share import share


@pytest.fixture(autouse=True)
def urls_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHONE", "json://127.0.0.1/c4nary-t0ken-of-the-phone")
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)


def alerts(**changes: Any) -> AlertsConfig:
    phone = {"name": "phone", "url": "env:PHONE"}
    return AlertsConfig.model_validate({"channels": [phone]} | changes)


def test_nobody_is_told_and_nothing_is_served_by_default() -> None:
    config = load_config(share("config", "localnet.toml"))
    assert (config.alerts, config.metrics, config.stuck_after_s) == (None, None, 300)


def test_the_defaults_are_those_of_the_documentation() -> None:
    config = alerts()
    assert (config.quiet_minutes, config.heartbeat_hours, config.heartbeat_s) == (60, 24, 8 * 3600)
    assert config.channels[0].least == "warning"
    assert config.severities() == {}


def test_severities_are_changed_by_name() -> None:
    config = alerts(events={"order_dead": "off", "margin_warning": "critical"})
    assert config.severities() == {Kind.ORDER_DEAD: None, Kind.MARGIN_WARNING: Severity.CRITICAL}


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": []},
        {"channels": [{"name": "phone", "url": "json://127.0.0.1/c4nary-t0ken"}]},
        {"channels": [{"name": "", "url": "env:PHONE"}]},
        {"channels": [{"name": "phone", "url": "env:PHONE"}] * 2},
        {"channels": [{"name": "phone", "url": "env:PHONE", "least": "loud"}]},
        {"events": {"nonesuch": "off"}},
        {"events": {"halted": "loud"}},
        {"heartbeat_at": "25:00"},
        {"heartbeat_at": "8:00"},
        {"heartbeat_hours": -1},
        {"quiet_minutes": 0},
        {"nonesuch": 1},
    ],
)
def test_what_is_wrong_is_refused_without_showing_an_address(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as error:
        alerts(**changes)
    assert "c4nary" not in str(error.value)


def test_an_address_shows_neither_in_the_configuration_nor_in_its_dump() -> None:
    config = alerts()
    assert "c4nary" not in f"{config!r}{config.model_dump_json()}"


@pytest.mark.parametrize(
    ("listen", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:80", ("::1", 80)), ("127.0.0.2:0", ("127.0.0.2", 0))],
)
def test_this_computers_own_addresses_are_listened_on(listen: str, address: tuple[str, int]) -> None:
    assert MetricsConfig(listen=listen).address == address


@pytest.mark.parametrize(
    "listen", ["localhost:9464", "9464", "127.0.0.1", "127.0.0.1:99999", "127.0.0.1:x", "", ":80", "[::1"]
)
def test_what_is_no_address_is_refused(listen: str) -> None:
    with pytest.raises(ValidationError, match="an IP address and a port"):
        MetricsConfig(listen=listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:9464", "192.168.1.4:9464", "[::]:9464"])
def test_other_computers_are_let_in_only_where_that_is_meant(listen: str) -> None:
    with pytest.raises(ValidationError, match="exposed = true"):
        MetricsConfig(listen=listen)
    assert MetricsConfig(listen=listen, exposed=True).address[1] == 9464
