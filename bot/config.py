"""The configuration: TOML into frozen models. Every unknown key, wrong type or missing secret is a ConfigError.

Money and sizes are quoted decimals, units are in the names. Secrets are named, never written: `"env:NAME"` is read
from the environment, `"file:PATH"` from a file beside the configuration.
"""

import os
import tomllib
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
    ValidationError,
    ValidationInfo,
    model_validator,
)

from bot.errors import ConfigError


def _address(value: str) -> str:
    if not is_hex_address(value):
        raise ValueError("an address is 0x and 40 hex digits")
    if is_checksum_formatted_address(value) and not is_checksum_address(value):
        raise ValueError("this address has a typing error: its checksum (the case of its letters) is wrong")
    return to_checksum_address(value)


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


def _secret(value: object, info: ValidationInfo) -> SecretStr:
    kind, _, name = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "env":
        found = os.environ.get(name, "")
        if not found:
            raise ValueError(f"the environment variable {name} is not set")
        return SecretStr(found)
    if kind == "file":
        try:
            return SecretStr((_folder(info) / name).read_text(encoding="utf-8").strip())
        except OSError as error:
            raise ValueError(f"{name} can't be read: {error.strerror}") from None
    raise ValueError('a secret is named, not written here: "env:NAME" or "file:PATH"')


def _url(value: object, info: ValidationInfo) -> SecretStr:
    named = not isinstance(value, str) or value.startswith(("env:", "file:"))
    url = _secret(value, info) if named else SecretStr(str(value))
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("an RPC address starts with http:// or https://")
    return url


def _beside(value: Path, info: ValidationInfo) -> Path:
    return _folder(info) / value


Whole = Annotated[int, Field(gt=0, strict=True)]
Address = Annotated[str, AfterValidator(_address)]
Amount = Annotated[Decimal, BeforeValidator(_amount)]
Positive = Annotated[Amount, Field(gt=0)]
NotNegative = Annotated[Amount, Field(ge=0)]
Ratio = Annotated[Amount, Field(gt=0, lt=1)]
NativeUsd = Annotated[Literal["underlying"] | Decimal, PlainValidator(_native_usd)]
Secret = Annotated[SecretStr, PlainValidator(_secret), PlainSerializer(str)]
RpcUrl = Annotated[SecretStr, PlainValidator(_url), PlainSerializer(str)]
FilePath = Annotated[Path, AfterValidator(_beside), Field(validate_default=True)]


class Model(BaseModel):
    """Frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ChainConfig(Model):
    """One chain. Fees in gwei per gas unit, `call_gas` bounds one batched read, `instance` names a local chain.

    `quorum` providers must agree on what a trade rests on; one that lags or goes back is set aside for `set_aside_s`.
    `patience_s` is how long a tick waits for the receipt of its order before later ticks follow it up.
    `native_usd` prices the coin that pays for gas: "underlying" where it is the book's own, else a USD amount.
    """

    chain_id: Whole
    rpc_urls: Annotated[tuple[RpcUrl, ...], Field(min_length=1)]
    send_urls: tuple[RpcUrl, ...] = ()
    quorum: Whole = 2
    max_lag_blocks: Whole = 5
    set_aside_s: Whole = 30
    multicall: Address = "0xcA11bde05977b3631167028862bE2a173976CA11"
    instance: str = ""
    timeout_s: Whole = 10
    read_tries: Whole = 3
    call_gas: Whole = 25_000_000
    confirmations: Whole = 1
    finality: Whole = 64
    bump_after_s: Whole = 30
    max_gas_usd: Positive = Decimal(25)
    patience_s: NotNegative = Decimal(2)
    min_tip_gwei: NotNegative = Decimal("0.001")
    max_fee_gwei: Positive = Decimal(50)
    gas_margin: Positive = Decimal("1.3")
    max_gas: Whole = 5_000_000
    native_usd: NativeUsd = "underlying"

    @model_validator(mode="after")
    def _providers_are_enough(self) -> "ChainConfig":
        for field, urls in (("rpc_urls", self.rpc_urls), ("send_urls", self.send_urls)):
            if len({url.get_secret_value().rstrip("/").lower() for url in urls}) < len(urls):
                raise ValueError(f"{field} names the same address twice")
        if self.quorum > len(self.rpc_urls):
            needs = f"a quorum of {self.quorum} needs as many rpc_urls, not {len(self.rpc_urls)}"
            raise ValueError(f"{needs}; a single provider is trusted only where quorum = 1 says so")
        return self


class KeySigner(Model):
    """A private key, 32 bytes in hex."""

    kind: Literal["key"]
    key: Secret


class KeystoreSigner(Model):
    """An encrypted keystore file (Web3 Secret Storage) and its password."""

    kind: Literal["keystore"]
    keystore: FilePath
    password: Secret


class WatchSigner(Model):
    """An address without its key: for `status` and paper trading."""

    kind: Literal["watch"]
    address: Address


class LyraConfig(Model):
    """A Lyra Avalon market's pool as the option vault."""

    kind: Literal["lyra"]
    name: str
    chain: str
    viewer: Address
    market: Address
    option_token: Address
    greek_cache: Address
    liquidity_pool: Address
    pool_hedger: Address
    base_asset: Address


class CurieConfig(Model):
    """A Perpetual Protocol v2 market as the hedging venue. `lot` in units of the underlying."""

    kind: Literal["curie"]
    name: str
    chain: str
    clearing_house: Address
    clearing_house_config: Address
    account_balance: Address
    exchange: Address
    vault: Address
    market_registry: Address
    quoter: Address
    base_token: Address
    pool: Address
    lot: Positive = Decimal("0.001")


class DeltaBandConfig(Model):
    """Trade when the net delta leaves ±trigger, until ±target. In units of the underlying."""

    kind: Literal["delta_band"]
    trigger: Positive
    target: NotNegative = Decimal(0)
    min_trade: NotNegative = Decimal(0)

    @model_validator(mode="after")
    def _ordered(self) -> "DeltaBandConfig":
        if self.target > self.trigger:
            raise ValueError("target must not be above trigger")
        return self


class LimitsConfig(Model):
    """Bounds that every order keeps. Sizes in units of the underlying, ratios as fractions, ages in seconds."""

    max_order: Positive
    max_position: Positive
    max_price_gap: Ratio = Decimal("0.05")
    max_slippage: Ratio = Decimal("0.005")
    max_block_age_s: Whole = 120
    order_ttl_s: Whole = 120


class BookConfig(Model):
    """One underlying: where its options are, where it is hedged, and by which rule."""

    name: str
    underlying: str
    sources: Annotated[tuple[LyraConfig, ...], Field(min_length=1)]
    venue: CurieConfig
    policy: DeltaBandConfig
    limits: LimitsConfig


class Config(Model):
    """The whole file. `interval_s` is the time between ticks, `clock` whose time the ages are held against."""

    mode: Literal["paper", "live"] = "paper"
    ledger: FilePath = Path("vaultkeel.db")
    interval_s: Whole = 60
    clock: Literal["system", "chain"] = "system"
    chains: Annotated[dict[str, ChainConfig], Field(min_length=1)]
    signer: Annotated[KeySigner | KeystoreSigner | WatchSigner, Field(discriminator="kind")]
    books: Annotated[tuple[BookConfig, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        for book in self.books:
            parts: tuple[LyraConfig | CurieConfig, ...] = (*book.sources, book.venue)
            for part in parts:
                if part.chain not in self.chains:
                    raise ValueError(f"{part.name}: chain {part.chain!r} is not under [chains]")
        names = [book.name for book in self.books]
        markets = [(book.venue.chain, book.venue.base_token) for book in self.books]
        if len(set(names)) < len(names) or len(set(markets)) < len(markets):
            raise ValueError("two books share a name or a market of the venue")
        if len({book.venue.chain for book in self.books}) > 1:
            raise ValueError("the books trade on several chains, whose nonces one ledger can't tell apart")
        if self.mode == "live" and self.signer.kind == "watch":
            raise ValueError('mode "live" needs a signer that holds a key, not kind "watch"')
        return self


def load_config(path: Path) -> Config:
    """The configuration of a file, its relative paths taken from the file's folder. ConfigError in one line."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    try:
        return Config.model_validate(document, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {explain(error)}") from None


def explain(error: ValidationError) -> str:
    """The first mistake with its field, in one line, without the value that was given."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    # A list of books with a mistake in one counts as too short, too.
    mistakes = [mistake for mistake in found if mistake["type"] != "too_short"] or found
    first = mistakes[0]
    where = [str(part) for part in first["loc"]]
    if where[:1] == ["signer"] and len(where) > 2:
        del where[1]  # the kind, which pydantic puts between a union and its field
    field = ".".join(where) or "the file"
    message = first["msg"].removeprefix("Value error, ")
    message = "this key is not known" if first["type"] == "extra_forbidden" else message
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{field}: {message}{more}"
