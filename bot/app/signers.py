"""Who signs: from the configured kind of key to a Signer."""

from dataclasses import dataclass

import structlog
from eth_utils.address import to_checksum_address
from pydantic import SecretStr

from bot.chain.signer.kms import kms_client, signer_from_kms
from bot.chain.signer.local import keystore_address, signer_from_key, signer_from_keystore
from bot.chain.signer.web3signer import Web3SignerAt, signer_from_web3signer
from bot.config import Config
from bot.config.chains import (
    KeySigner,
    KeystoreSigner,
    KmsSigner,
    WatchSigner,
    Web3Signer,
)
from bot.errors import ConfigError
from bot.ports import SignedTx, Signer, UnsignedTx
from bot.private import hidden_answer

log = structlog.get_logger("vaultkeel.app")


@dataclass(frozen=True, slots=True)
class WatchOnly:
    """An address without its key, and `why` the key isn't there."""

    address: str
    why: str = "its key is not configured"

    def sign(self, tx: UnsignedTx) -> SignedTx:  # noqa: ARG002 - the port's signature
        """Always a ConfigError: there is no key."""
        raise ConfigError(f"signer: {self.address} is watched only, {self.why}")


def make_signer(config: Config, *, signs: bool = True) -> Signer:
    """The configured signer. ConfigError where it can't be had, or doesn't sign as its address.

    What never `signs` asks no service and no person for a key whose address is known: an account can be halted while
    its KMS is down.
    """
    match config.signer:
        case KeySigner(key=key):
            signer = signer_from_key(key.get_secret_value())
            if signs and structlog.is_configured():  # else it would go to standard output, beside the result
                log.warning("the signing key lies in the clear", kind="key", safer="see docs/custody.md")
            return signer
        case KeystoreSigner(keystore=path, password="prompt"):
            named = "" if signs else keystore_address(path)
            if named:
                return WatchOnly(named, "this command signs nothing")
            instead = "signer.password can name a file or a variable instead"
            return signer_from_keystore(path, hidden_answer(f"Password of {path}", instead))
        case KeystoreSigner(keystore=path, password=SecretStr() as password):
            return signer_from_keystore(path, password.get_secret_value())
        case Web3Signer(address=address) | KmsSigner(address=address) if not signs:
            return WatchOnly(address, "this command signs nothing")
        case Web3Signer() as at:
            files = at.ca_file, at.client_cert, at.client_key
            service = Web3SignerAt(at.url.get_secret_value(), at.timeout_s, *files)
            return signer_from_web3signer(service, at.address)
        case KmsSigner() as kms:
            endpoint = "" if kms.endpoint is None else kms.endpoint.get_secret_value()
            client = kms_client(kms.region, endpoint, kms.timeout_s, kms.tries)
            return signer_from_kms(client, kms.key_id, kms.address)
        case WatchSigner(address=address):
            return WatchOnly(to_checksum_address(address))
    raise TypeError(f"no signer is of the kind {config.signer.kind}")
