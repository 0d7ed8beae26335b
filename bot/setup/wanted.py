"""What a person wants of `vaultkeel init`: the answers that were given as flags, and whoever answers the rest."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from pydantic import TypeAdapter, ValidationError

from bot.config.fields import Address
from bot.errors import ConfigError
from bot.log import remember_secret, tokens_in
from bot.nearest import did_you_mean

Working = Callable[[str], AbstractContextManager[object]]
"""Says what is being done for as long as it takes."""

UNDERLYING = re.compile(r"[A-Za-z0-9.-]{1,16}")
NAMED = ("env:", "file:", "credential:")

PLACES = {
    "chain": ("multicall",),
    "vault": ("viewer", "market", "exchange_adapter"),
    "venue": (
        "clearing_house",
        "base_token",
        "quoter",
        "router",
        "exchange_router",
        "reader",
        "data_store",
        "event_emitter",
        "order_vault",
        "order_handler",
        "referral_storage",
        "market",
        "index_feed",
        "long_feed",
        "short_feed",
    ),
}
"""The addresses that --at may give. All others are read from these."""


class Ask(Protocol):
    """Whoever answers a question. `flag` is what answers it beforehand."""

    def text(self, question: str, default: str, flag: str) -> str:
        """A line; "" as default has none. ConfigError where nobody answers."""
        ...

    def choose(self, question: str, choices: Sequence[str], default: str, flag: str) -> str:
        """One of `choices`. ConfigError where nobody answers, and for what is none of them."""
        ...

    def agrees(self, question: str, *, default: bool, flag: str) -> bool:
        """Yes or no. ConfigError where nobody answers."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """The flags. What is None, or empty, is asked. `at` is addresses by (table, field)."""

    out: Path
    rpc: tuple[str, ...] = ()
    preset: str | None = None
    deployment: Path | None = None
    signer: str | None = None
    underlying: str | None = None
    hedge_holdings: bool | None = None
    native_usd: str | None = None
    at: Mapping[tuple[str, str], str] = field(default_factory=dict)
    force: bool = False


class Defaults:
    """Answers with what is proposed, for runs without a person; refuses where nothing is, or none was asked for."""

    def __init__(self, *, agreed: bool) -> None:
        self._agreed = agreed

    def text(self, question: str, default: str, flag: str) -> str:
        """The default."""
        if not default:
            raise ConfigError(f"{question}? Nobody is there to answer: give {flag}")
        if not self._agreed:
            raise ConfigError(
                f"{question}? Nobody is there to answer: give {flag}, or --yes to take {default}"
            )
        return default

    def choose(self, question: str, choices: Sequence[str], default: str, flag: str) -> str:
        """The default, or the only choice."""
        return self.text(question, choices[0] if len(choices) == 1 else default, flag)

    def agrees(self, question: str, *, default: bool, flag: str) -> bool:
        """The default. A no needs nobody's word."""
        return default and self.text(question, "yes", flag) == "yes"


def placed(given: Sequence[str]) -> dict[tuple[str, str], str]:
    """Addresses of the command line, each written as TABLE.FIELD=0x…. ConfigError says which is wrong, and how."""
    known = [f"{table}.{name}" for table, names in PLACES.items() for name in names]
    found = {}
    for text in given:
        place, _, value = text.partition("=")
        if place not in known:
            hint = did_you_mean(place, known) or f": it is one of {', '.join(known)}"
            raise ConfigError(f"--at {place}: no such address is asked for{hint}")
        table, _, name = place.partition(".")
        found[table, name] = as_address(f"--at {place}", value)
    return found


def as_address(where: str, value: str) -> str:
    """An address with its checksum. ConfigError names `where` it was given."""
    try:
        return TypeAdapter[str](Address).validate_python(value.strip())
    except ValidationError as error:
        raise ConfigError(f"{where}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def as_underlying(name: str) -> str:
    """The underlying's name, short and without what would need quoting. ConfigError for another."""
    if not UNDERLYING.fullmatch(name):
        raise ConfigError("--underlying: a name like ETH, of at most 16 letters, digits, dots and dashes")
    return name


def refuse_token(url: str) -> None:
    """ConfigError for an address that looks as if it held a token: the configuration holds no secret."""
    if url.startswith(NAMED):
        return
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError("--rpc: this is not a web address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(
            '--rpc: an RPC address starts with http:// or https://, or is named as "env:NAME" or "file:PATH"'
        )
    if parts.username or parts.password or parse_qsl(parts.query) or tokens_in(url):
        remember_secret(url)
        raise ConfigError(
            "--rpc: this address looks as if it holds a token, and a configuration holds no secret. Put it into a "
            "variable, `export VAULTKEEL_RPC_1=…`, and give env:VAULTKEEL_RPC_1; or into a file that only you can "
            "read, and give file:PATH"
        )


def signer_table(text: str) -> dict[str, object]:
    """The [signer] table that a short form means.

    An address is watched; "env:NAME" and "file:PATH" name a key in the clear, "keystore:PATH" a keystore whose password
    is asked for. ConfigError for anything else, and above all for a key itself, which the message doesn't repeat.
    """
    text = text.strip()
    if text.startswith("keystore:") and len(text) > len("keystore:"):
        return {"kind": "keystore", "keystore": text.removeprefix("keystore:"), "password": "prompt"}
    if text.startswith(NAMED):
        return {"kind": "key", "key": text, "plain_key": True}
    if len(text.removeprefix("0x")) == 64:
        remember_secret(text)
        raise ConfigError(
            "--signer: this looks like a private key, which is never written down nor given on a command line: name "
            "where it is, env:NAME, file:PATH or keystore:PATH"
        )
    return {"kind": "watch", "address": as_address("--signer", text)}
