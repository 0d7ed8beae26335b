"""The configuration: TOML into frozen models. Units are in the names."""

from bot.config.file import Config, load_config

__all__ = ["Config", "load_config"]
