"""Who is told what happens, and where metrics and health are served."""

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from bot.config.fields import Model, Secret, Whole
from bot.core.events import Kind, Severity

Level = Literal["info", "warning", "critical"]
TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


class ChannelConfig(Model):
    """One receiver of alerts."""

    name: Annotated[str, Field(min_length=1)]
    """What messages call this channel; each has its own."""
    url: Secret
    """An Apprise URL: `tgram://…`, `slack://…`, `pagerduty://…`, `mailto://…`, `json://…`."""
    least: Level = "warning"
    """The least severity that it is told."""


class AlertsConfig(Model):
    """Who is told what happens, and how often."""

    name: Annotated[str, Field(min_length=1)] = "Vaultkeel"
    """How every message begins, to tell several bots apart."""

    channels: Annotated[tuple[ChannelConfig, ...], Field(min_length=1)]
    """Who is told."""
    quiet_minutes: Whole = 60
    """Minutes in which the same is held back, counted, and told afterwards."""
    heartbeat_hours: Annotated[int, Field(ge=0, le=168, strict=True)] = 24
    """Hours between two lines that say how the run stands; 0 for none."""
    heartbeat_at: str = "08:00"
    """Time of day, in UTC, that the hours count from."""
    events: dict[Kind, Level | Literal["off"]] = Field(default={})
    """How much an event matters where that isn't its default; `"off"` never tells it."""

    @field_validator("heartbeat_at")
    @classmethod
    def _time(cls, value: str) -> str:
        if not TIME.fullmatch(value):
            raise ValueError('a time of day is written like "08:00", in UTC')
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> "AlertsConfig":
        if len({channel.name for channel in self.channels}) < len(self.channels):
            raise ValueError("two channels share a name")
        return self

    @property
    def heartbeat_s(self) -> int:
        """When the heartbeat comes, in seconds after midnight UTC."""
        hours, minutes = self.heartbeat_at.split(":")
        return int(hours) * 3_600 + int(minutes) * 60

    def severities(self) -> dict[Kind, Severity | None]:
        """What differs from the defaults; None is never told."""
        return {
            kind: None if level == "off" else Severity[level.upper()] for kind, level in self.events.items()
        }


class MetricsConfig(Model):
    """Where /metrics, /live and /ready are served: on this computer alone, unless `exposed` says otherwise."""

    listen: str = "127.0.0.1:9464"
    """IP address and port of `/metrics`, `/live` and `/ready`; port 0 takes a free one."""
    exposed: Annotated[bool, Field(strict=True)] = False
    """Another address than this computer's own needs `true`: whoever can ask sees positions and margin."""

    @model_validator(mode="after")
    def _here(self) -> "MetricsConfig":
        host, port = self.address
        if not host or not 0 <= port <= 65_535:
            raise ValueError('listen is an IP address and a port, like "127.0.0.1:9464"')
        if not ipaddress.ip_address(host).is_loopback and not self.exposed:
            raise ValueError(
                f"at {host} other computers could read positions and margin: write exposed = true where that is meant"
            )
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port; ("", -1) where it is none."""
        try:
            parts = urlsplit(f"//{self.listen}")
            host, port = parts.hostname or "", parts.port
            ipaddress.ip_address(host)
        except ValueError:
            return "", -1
        return host, -1 if port is None else port
