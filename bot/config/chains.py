"""Chains with their providers, and the key that signs."""

import contextlib
import ipaddress
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from bot.config.fields import (
    Address,
    FilePath,
    GivenPath,
    Model,
    NativeUsd,
    NotNegative,
    Positive,
    PublicUrl,
    Secret,
    WebUrl,
    Whole,
    read_secret,
)


class ChainConfig(Model):
    """One chain. Fees in gwei per gas unit, `call_gas` bounds one batched read, `instance` names a local chain.

    `quorum` providers must agree on what a trade rests on; one that lags or goes back is set aside for `set_aside_s`.
    `patience_s` is how long a tick waits for the receipt of its order before later ticks follow it up.
    `native_usd` prices the coin that pays for gas: "underlying" where it is the book's own, else a USD amount.
    `sequencer_feed` is Chainlink's uptime feed of an L2; after an outage it is trusted again `sequencer_grace_s` later.
    `explorer` is a block explorer's address, for the dashboard's links; it is shown, so it holds no secret.
    """

    chain_id: Whole
    rpc_urls: Annotated[tuple[WebUrl, ...], Field(min_length=1)]
    send_urls: tuple[WebUrl, ...] = ()
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
    sequencer_feed: Address | None = None
    sequencer_grace_s: Whole = 3600
    explorer: PublicUrl = ""

    @model_validator(mode="after")
    def _providers_are_enough(self) -> "ChainConfig":
        for field, urls in (("rpc_urls", self.rpc_urls), ("send_urls", self.send_urls)):
            if len({url.get_secret_value().rstrip("/").lower() for url in urls}) < len(urls):
                raise ValueError(f"{field} names the same address twice")
        if self.quorum > len(self.rpc_urls):
            needs = f"a quorum of {self.quorum} needs as many rpc_urls, not {len(self.rpc_urls)}"
            raise ValueError(f"{needs}; a single provider is trusted only where quorum = 1 says so")
        return self


def _password(value: object, info: ValidationInfo) -> SecretStr | Literal["prompt"]:
    return "prompt" if value == "prompt" else read_secret(value, info)


def _https(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.query or parts.fragment:
        raise ValueError("the address ends before any ? or #")
    if parts.scheme == "http" and not _is_here(parts.hostname or ""):
        raise ValueError("http:// is for this computer alone; a service elsewhere needs https://")
    return url


def _is_here(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


Password = Annotated[SecretStr | Literal["prompt"], PlainValidator(_password), PlainSerializer(str)]
SafeUrl = Annotated[WebUrl, AfterValidator(_https)]


class KeySigner(Model):
    """A private key, 32 bytes in hex, in the clear: `plain_key` says that the operator knows."""

    kind: Literal["key"]
    key: Secret
    plain_key: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _knowingly(self) -> "KeySigner":
        if not self.plain_key:
            raise ValueError(
                'a key in the clear needs plain_key = true; safer is kind "keystore" '
                '(`vaultkeel key import` makes one), "web3signer" or "aws_kms"'
            )
        return self


class KeystoreSigner(Model):
    """An encrypted keystore file (Web3 Secret Storage) and its password, which "prompt" asks for at the terminal."""

    kind: Literal["keystore"]
    keystore: FilePath
    password: Password


class Web3Signer(Model):
    """A Consensys Web3Signer that holds the key of `address`. The files are PEM."""

    kind: Literal["web3signer"]
    url: SafeUrl
    address: Address
    ca_file: GivenPath | None = None
    client_cert: GivenPath | None = None
    client_key: GivenPath | None = None
    timeout_s: Whole = 5

    @model_validator(mode="after")
    def _whose_key(self) -> "Web3Signer":
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        return self


class KmsSigner(Model):
    """A key in AWS KMS: that of `address`. Without `region` or `endpoint` boto3 finds them itself."""

    kind: Literal["aws_kms"]
    key_id: Annotated[str, Field(min_length=1)]
    address: Address
    region: str = ""
    endpoint: SafeUrl | None = None
    timeout_s: Whole = 5
    tries: Whole = 2


class WatchSigner(Model):
    """An address without its key: for `status` and paper trading."""

    kind: Literal["watch"]
    address: Address


SignerConfig = KeySigner | KeystoreSigner | Web3Signer | KmsSigner | WatchSigner
