"""The kinds of values that a configuration holds, each with the sentence that refuses a wrong one.

Money and sizes are quoted decimals. Secrets are named, never written: `"env:NAME"` is read from the environment,
`"file:PATH"` from a file beside the configuration that its owner alone can use, `"credential:NAME"` from what systemd
hands to a service.
"""

import os
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal

from eth_utils.address import (
    is_checksum_address,
    is_checksum_formatted_address,
    is_hex_address,
    to_checksum_address,
)
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
)

from bot.log import remember_secret, tokens_in
from bot.private import read_private


def _address(value: str) -> str:
    if not is_hex_address(value):
        raise ValueError("an address is 0x and 40 hex digits")
    if is_checksum_formatted_address(value) and not is_checksum_address(value):
        raise ValueError("this address has a typing error: its checksum (the case of its letters) is wrong")
    return to_checksum_address(value)


def _address_or_empty(value: str) -> str:
    return value and _address(value)


def _amount(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('an amount is written in quotes, like "0.25", for a float would not be exact')  # noqa: TRY004
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is not a decimal number") from None
    if not amount.is_finite():
        raise ValueError("an amount must be finite")
    return amount


def _native_usd(value: object) -> Decimal | Literal["underlying"]:
    if value == "underlying":
        return "underlying"
    price = _amount(value)
    if price <= 0:
        raise ValueError('a price is "underlying", or an amount above zero')
    return price


def _folder(info: ValidationInfo) -> Path:
    """The configuration file's folder, which relative paths start from."""
    return Path(info.context["folder"]) if info.context else Path()


def opens_secrets(info: ValidationInfo) -> bool:
    """Whether secrets are read. Who only looks (`load_config(..., secrets=False)`) keeps their names instead."""
    return bool(info.context.get("secrets", True)) if info.context else True


def read_secret(value: object, info: ValidationInfo) -> SecretStr:
    """The secret that `value` names. ValueError where it names none, or a file that others may use too."""
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind in ("env", "file", "credential") and not opens_secrets(info):
        return SecretStr(str(value))
    if kind == "env":
        found = os.environ.get(name, "")
        if not found:
            raise ValueError(f"the environment variable {name} is not set")
        remember_secret(found)
        return SecretStr(found)
    if kind in ("file", "credential"):
        try:
            read = read_private(_folder(info) / name) if kind == "file" else _credential(name)
            secret = read.decode("utf-8").strip()
        except OSError as error:
            raise ValueError(f"{name} can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"{name} is not text") from None
        if not secret:
            raise ValueError(f"{name} is empty")
        remember_secret(secret)
        return SecretStr(secret)
    raise ValueError('a secret is named, not written here: "env:NAME", "file:PATH" or "credential:NAME"')


def _credential(name: str) -> bytes:
    """What systemd's LoadCredential put there for this service alone. Its own access list guards it, not a mode."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise ValueError(f"the credential {name} is there in a systemd service alone: see docs/operating.md")
    if "/" in name or not name:
        raise ValueError("a credential is named without a folder")
    return (Path(folder) / name).read_bytes()


def _url(value: object, info: ValidationInfo) -> SecretStr:
    named = not isinstance(value, str) or value.startswith(("env:", "file:", "credential:"))
    url = read_secret(value, info) if named else SecretStr(str(value))
    if named and not opens_secrets(info):
        return url
    for token in tokens_in(url.get_secret_value()):
        remember_secret(token)
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("a web address starts with http:// or https://")
    return url


def _public_url(value: str) -> str:
    if value and not value.startswith(("http://", "https://")):
        raise ValueError("a web address starts with http:// or https://")
    return value.rstrip("/")


def _beside(value: Path, info: ValidationInfo) -> Path:
    return _folder(info) / value


Whole = Annotated[int, Field(gt=0, strict=True)]
Address = Annotated[str, AfterValidator(_address)]
AddressOrEmpty = Annotated[str, AfterValidator(_address_or_empty)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Positive = Annotated[Amount, Field(gt=0)]
NotNegative = Annotated[Amount, Field(ge=0)]
Ratio = Annotated[Amount, Field(gt=0, lt=1)]
NativeUsd = Annotated[Literal["underlying"] | Decimal, PlainValidator(_native_usd)]
Secret = Annotated[SecretStr, PlainValidator(read_secret), PlainSerializer(str)]
WebUrl = Annotated[SecretStr, PlainValidator(_url), PlainSerializer(str)]
PublicUrl = Annotated[str, AfterValidator(_public_url)]
GivenPath = Annotated[Path, AfterValidator(_beside)]
FilePath = Annotated[GivenPath, Field(validate_default=True)]


class Model(BaseModel):
    """Frozen, and unknown keys are refused. A field's own docstring is its line in the reference."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )
