"""Signers that hold a key in this process: from a raw key, or from an encrypted keystore file."""

import json
from pathlib import Path

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

from bot.errors import ConfigError
from bot.ports import SignedTx, UnsignedTx


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
        return SignedTx(bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex())


def signer_from_key(key: str) -> LocalSigner:
    """A raw private key. ConfigError without a word of its content where it isn't one."""
    try:
        return LocalSigner(Account.from_key(key))
    except Exception:  # noqa: BLE001 - any message of the library could quote the key
        raise ConfigError("signer.key: this is not a private key of 32 bytes in hex") from None


def signer_from_keystore(path: Path, password: str) -> LocalSigner:
    """An encrypted keystore file (Web3 Secret Storage). ConfigError says whether file or password is at fault."""
    try:
        keystore = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"signer.keystore: {path} can't be read: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None
    try:
        return LocalSigner(Account.from_key(Account.decrypt(keystore, password)))
    except ValueError as error:
        if "MAC mismatch" in str(error):
            raise ConfigError(f"signer.password: it does not open {path}") from None
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None
    except (KeyError, TypeError, AttributeError, NotImplementedError):
        raise ConfigError(f"signer.keystore: {path} is not a keystore file") from None
