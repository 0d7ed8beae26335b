"""Consensys Web3Signer in eth1 mode: keys in a service of the operator's own, asked over HTTPS.

It hashes what it is sent and signs that; the answer is r, s and v as 65 bytes in hex. It knows a key by its public
key, which a list of all keys is asked for once, at start.
"""

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from eth_keys.datatypes import PublicKey
from eth_utils.exceptions import ValidationError

from bot.chain.signer.remote import RemoteSigner, failed, in_range, proven
from bot.errors import ConfigError, OrderRejected
from bot.private import read_private

NAME = "web3signer"
LONGEST_ANSWER = 2**20
SIGNATURE_BYTES = 65
SHOWN = 3
"""So many of the service's addresses are named where ours is none of them."""


@dataclass(frozen=True, slots=True)
class Web3SignerAt:
    """Where the service is and how it is spoken to. `timeout_s` bounds the connection and each wait for an answer.

    `ca_file` holds the authority that issued the service's certificate, where it is none of the public ones.
    `client_cert` and `client_key` (PEM files, the key unencrypted) say who we are.
    """

    url: str
    timeout_s: float
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def __repr__(self) -> str:
        return "Web3SignerAt(...)"  # the address may hold a password

    def get(self, path: str) -> bytes:
        """What the service answers. OrderRejected where it gives no answer, or an error."""
        return self._request("GET", path, None)

    def post(self, path: str, body: dict[str, str]) -> bytes:
        """What the service answers to `body` as JSON. OrderRejected where it gives no answer, or an error."""
        return self._request("POST", path, body)

    def _request(self, method: str, path: str, body: dict[str, str] | None) -> bytes:
        try:
            return self._exchange(method, path, body)
        except requests.exceptions.SSLError:
            raise failed(NAME, "no TLS connection, one side refuses the other's certificate") from None
        except (requests.exceptions.Timeout, TimeoutError, urllib3.exceptions.TimeoutError):
            raise failed(NAME, "it did not answer in time") from None
        except (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError) as error:
            # By its kind alone: the libraries' texts quote the address.
            raise failed(NAME, f"it can't be reached ({type(error).__name__})") from None

    def _exchange(self, method: str, path: str, body: dict[str, str] | None) -> bytes:
        # A connection for each request: one that the service closed between two ticks would cost an order.
        with requests.Session() as session:
            session.trust_env = False  # no proxy, authority or password but those that the file names
            answer = session.request(
                method,
                self.url.rstrip("/") + path,
                json=body,
                timeout=self.timeout_s,
                verify=True if self.ca_file is None else str(self.ca_file),
                cert=self._certificate(),
                allow_redirects=False,
                stream=True,
            )
            if answer.status_code != requests.codes.ok:
                raise failed(NAME, f"it answered HTTP {answer.status_code}")
            content = bytes(answer.raw.read(LONGEST_ANSWER + 1, decode_content=True))
        if len(content) > LONGEST_ANSWER:
            raise failed(NAME, "its answer is too long")
        return content

    def _certificate(self) -> str | tuple[str, str] | None:
        if self.client_cert is None:
            return None
        if self.client_key is None:
            return str(self.client_cert)
        return str(self.client_cert), str(self.client_key)


def signer_from_web3signer(at: Web3SignerAt, address: str) -> RemoteSigner:
    """The service's key of `address`, tried once. ConfigError where it can't be reached, or doesn't sign as it."""
    _check_files(at)
    identifier = _identifier(at, address)

    def ask(message: bytes) -> tuple[int, int]:
        answer = at.post(f"/api/v1/eth1/sign/{identifier}", {"data": "0x" + message.hex()})
        try:
            signature = bytes.fromhex(answer.decode("ascii").strip().removeprefix("0x"))
        except ValueError:
            raise failed(NAME, "its answer is not a signature") from None
        if len(signature) != SIGNATURE_BYTES:
            raise failed(NAME, f"its answer is not a signature of {SIGNATURE_BYTES} bytes")
        r, s = (int.from_bytes(signature[at : at + 32], "big") for at in (0, 32))
        return in_range(NAME, r, s)

    return proven(RemoteSigner(NAME, address, ask))


def _check_files(at: Web3SignerAt) -> None:
    """The TLS files are there, and the key that says who we are can be used by nobody else."""
    # Where the key has no file of its own it is in the certificate's.
    private = at.client_key or at.client_cert
    for path in (at.ca_file, at.client_cert, at.client_key):
        if path is None:
            continue
        try:
            read_private(path) if path == private else path.read_bytes()
        except OSError as error:
            raise ConfigError(f"signer: {path} can't be read: {error.strerror}") from None


def _identifier(at: Web3SignerAt, address: str) -> str:
    """The public key of `address` as the service lists it."""
    try:
        listed = json.loads(at.get("/api/v1/eth1/publicKeys"))
        found = {_address(identifier): identifier for identifier in listed}
    except OrderRejected as error:
        raise ConfigError(str(error)) from None
    except (ValueError, TypeError, AttributeError, RecursionError, ValidationError):
        raise ConfigError(f"signer {NAME}: its list of public keys is not one") from None
    if address not in found:
        others = ", ".join(list(found)[:SHOWN]) or "none"
        raise ConfigError(f"signer.address: {NAME} has no key of {address}; it has {len(found)}: {others}")
    return str(found[address])


def _address(identifier: Any) -> str:
    """Of a public key in hex: 64 bytes, or 65 with the mark of an uncompressed point."""
    point = bytes.fromhex(identifier.removeprefix("0x"))
    if len(point) == 65 and point[0] == 4:
        point = point[1:]
    return str(PublicKey(point).to_checksum_address())
