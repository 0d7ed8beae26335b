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
    AddressOrEmpty,
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

ARBITRUM_CHAINS = (42_161, 42_170, 421_614)
"""Arbitrum One, Nova and Sepolia."""


class ChainConfig(Model):
    """One chain with its providers, and what an order may pay for gas there."""

    chain_id: Whole
    """A node that answers another id is refused."""
    rpc_urls: Annotated[tuple[WebUrl, ...], Field(min_length=1)]
    """The providers that are read, each an address or a secret."""
    send_urls: tuple[WebUrl, ...] = ()
    """Where transactions go instead of to all of `rpc_urls`: a private relay, say."""
    quorum: Whole = 2
    """How many providers must agree on what a trade rests on. 1 believes a single one."""
    max_lag_blocks: Whole = 5
    """Blocks; a provider that lags further behind the best is set aside."""
    set_aside_s: Whole = 30
    """Seconds for which a provider that lags or goes back is not asked."""
    multicall: AddressOrEmpty = "0xcA11bde05977b3631167028862bE2a173976CA11"
    """Multicall3, which batches the reads; `""` where the chain has none: each round is a JSON-RPC batch then."""
    max_log_blocks: Whole = 5_000
    """Blocks whose events are asked for at once."""
    drift_blocks: Annotated[int, Field(strict=True, ge=0)] = 0
    """Blocks that a node's latest state may be after the pinned one. 0 reads at exactly the pinned block."""
    parent_numbers: Annotated[bool, Field(strict=True)] | None = None
    """Whether contracts see the block number of the chain below. Arbitrum's own chains are known."""
    instance: str = ""
    """A local chain's own id, so that a restarted one is not taken for the same."""
    timeout_s: Whole = 10
    """Seconds that one request may take."""
    read_tries: Whole = 3
    """How often a read is tried. A send is never retried by itself."""
    call_gas: Whole = 25_000_000
    """Units of gas that one batched read may use."""
    confirmations: Whole = 1
    """Blocks, the order's own included, before its outcome counts."""
    finality: Whole = 64
    """Blocks after which an outcome can't be undone; until then reorgs are looked for."""
    bump_after_s: Whole = 30
    """Seconds without a receipt before both fees are raised by an eighth."""
    max_gas_usd: Positive = Decimal(25)
    """USD: the most that one order's gas may cost."""
    patience_s: NotNegative = Decimal(2)
    """Seconds that a tick waits for its order's receipt; later ticks follow it up."""
    min_tip_gwei: NotNegative = Decimal("0.001")
    """Gwei per unit of gas; no order offers a smaller tip."""
    max_fee_gwei: Positive = Decimal(50)
    """Gwei per unit of gas; no order offers more, tip included."""
    gas_margin: Positive = Decimal("1.3")
    """An order's gas limit is the node's estimate times this."""
    max_gas: Whole = 5_000_000
    """Units of gas; an order that needs a higher limit is refused."""
    native_usd: NativeUsd = "underlying"
    """The price of the coin that pays for gas: `"underlying"` where it is the book's own, else an amount of
    USD."""
    sequencer_feed: Address | None = None
    """Chainlink's uptime feed of an L2; while it says down, nothing is traded."""
    sequencer_grace_s: Whole = 3600
    """Seconds after an outage in which nothing is traded yet."""
    explorer: PublicUrl = ""
    """A block explorer like `"https://arbiscan.io"`, for the dashboard's links. It is shown: no secret in it.
    """

    @property
    def contracts_see_parent(self) -> bool:
        """Whether contracts see the block number of the chain below this one; known of Arbitrum's own chains."""
        return self.chain_id in ARBITRUM_CHAINS if self.parent_numbers is None else self.parent_numbers

    @model_validator(mode="after")
    def _drift_can_be_told(self) -> "ChainConfig":
        if self.drift_blocks and self.contracts_see_parent:
            raise ValueError(
                "drift_blocks are counted by the number that contracts see, which is the parent chain's here: "
                "leave it 0"
            )
        if 0 < self.drift_blocks < self.confirmations:
            raise ValueError(
                f"drift_blocks {self.drift_blocks} is below confirmations {self.confirmations}: an order's outcome is "
                "read so many blocks below the head"
            )
        return self

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
    """A private key in the clear: `plain_key` says that the operator knows."""

    kind: Literal["key"]
    """A private key in the clear, for local chains."""
    key: Secret
    """The key, 32 bytes in hex."""
    plain_key: Annotated[bool, Field(strict=True)] = False
    """Must be `true`: the clear is knowingly chosen."""

    @model_validator(mode="after")
    def _knowingly(self) -> "KeySigner":
        if not self.plain_key:
            raise ValueError(
                'a key in the clear needs plain_key = true; safer is kind "keystore" '
                '(`vaultkeel key import` makes one), "web3signer" or "aws_kms"'
            )
        return self


class KeystoreSigner(Model):
    """An encrypted keystore file (Web3 Secret Storage) and its password."""

    kind: Literal["keystore"]
    """An encrypted keystore file."""
    keystore: FilePath
    """The file, mode 0600. `vaultkeel key new` makes one."""
    password: Password
    """A secret, or `"prompt"`, which asks at the terminal."""


class Web3Signer(Model):
    """A Consensys Web3Signer that holds the key."""

    kind: Literal["web3signer"]
    """A remote Web3Signer."""
    url: SafeUrl
    """Its address; `http://` for this computer alone."""
    address: Address
    """Which of its keys signs."""
    ca_file: GivenPath | None = None
    """PEM: the authority of its certificate, where that isn't a public one."""
    client_cert: GivenPath | None = None
    """PEM: the certificate that it knows this bot by."""
    client_key: GivenPath | None = None
    """PEM, unencrypted, mode 0600: the certificate's key."""
    timeout_s: Whole = 5
    """Seconds that a signature may take."""

    @model_validator(mode="after")
    def _whose_key(self) -> "Web3Signer":
        if self.client_key is not None and self.client_cert is None:
            raise ValueError("client_key needs client_cert")
        return self


class KmsSigner(Model):
    """A key in AWS KMS."""

    kind: Literal["aws_kms"]
    """A key that never leaves AWS KMS."""
    key_id: Annotated[str, Field(min_length=1)]
    """The key's id, ARN or alias."""
    address: Address
    """The key's account; another one's key is refused."""
    region: str = ""
    """The AWS region; boto3 finds it where it is empty."""
    endpoint: SafeUrl | None = None
    """Another endpoint than AWS's own."""
    timeout_s: Whole = 5
    """Seconds that one request may take."""
    tries: Whole = 2
    """Requests of one call, in all."""


class WatchSigner(Model):
    """An address without its key: for `status` and paper trading."""

    kind: Literal["watch"]
    """An address without its key, for `status` and paper trading."""
    address: Address
    """The account that is watched."""


SignerConfig = KeySigner | KeystoreSigner | Web3Signer | KmsSigner | WatchSigner
