"""Chains with their providers, and the key that signs."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from bot.config.fields import (
    Address,
    FilePath,
    Model,
    NativeUsd,
    NotNegative,
    Positive,
    Secret,
    WebUrl,
    Whole,
)


class ChainConfig(Model):
    """One chain. Fees in gwei per gas unit, `call_gas` bounds one batched read, `instance` names a local chain.

    `quorum` providers must agree on what a trade rests on; one that lags or goes back is set aside for `set_aside_s`.
    `patience_s` is how long a tick waits for the receipt of its order before later ticks follow it up.
    `native_usd` prices the coin that pays for gas: "underlying" where it is the book's own, else a USD amount.
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
