"""Keys held in this process: from a raw key, or from an encrypted keystore file."""

import json
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import is_hex_address, to_checksum_address

from bot.chain.signer.sealing import checked
from bot.errors import ConfigError
from bot.ports import SignedTx, UnsignedTx
from bot.private import read_private


class LocalSigner:
    """A key held in this process. `repr` shows the address alone."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account
        self.address = str(account.address)

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """The signed type-2 transaction and its own hash."""
        signed = self._account.sign_transaction(
            {
                "type": 2,
                "chainId": tx.chain_id,
                "nonce": tx.nonce,
                "to": to_checksum_address(tx.call.to),
                "data": tx.call.data,
                "value": tx.call.value,
                "gas": tx.gas,
                "maxFeePerGas": tx.max_fee_wei,
                "maxPriorityFeePerGas": tx.tip_wei,
                "accessList": [],
            }
        )
        return checked("local", bytes(signed.raw_transaction), self.address)


def signer_from_key(key: str) -> LocalSigner:
    """A raw private key. ConfigError without a word of its content where it isn't one."""
    try:
        return LocalSigner(Account.from_key(key))
    except Exception:  # noqa: BLE001 - any message of the library could quote the key
        raise ConfigError("signer.key: this is not a private key of 32 bytes in hex") from None


def signer_from_keystore(path: Path, password: str) -> LocalSigner:
    """An encrypted keystore file (Web3 Secret Storage). ConfigError says whether file or password is at fault."""
    keystore = _keystore(path)
    try:
        signer = LocalSigner(Account.from_key(Account.decrypt(keystore, password)))
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise ConfigError(f"signer.password: it does not open {path}") from None
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None
    named = _named(keystore)
    if named not in ("", signer.address):
        raise ConfigError(f"signer.keystore: {path} says {named}, its key is that of {signer.address}")
    return signer


def keystore_address(path: Path) -> str:
    """The address that a keystore says it is for, without opening it; "" where it names none. ConfigError."""
    return _named(_keystore(path))


def _keystore(path: Path) -> Any:
    try:
        return json.loads(read_private(path))
    except OSError as error:
        raise ConfigError(f"signer.keystore: {path} can't be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None


def _named(keystore: Any) -> str:
    named = keystore.get("address") if isinstance(keystore, dict) else None
    return to_checksum_address(named) if isinstance(named, str) and is_hex_address(named) else ""
