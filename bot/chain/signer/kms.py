"""AWS KMS: a secp256k1 key (ECC_SECG_P256K1) that never leaves the service.

It signs a digest as it is (MessageType DIGEST) and answers in DER, with `s` in either half and no recovery id.
boto3 finds the credentials where it always does: environment, profile, role.
"""

import importlib
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from eth_keys.datatypes import PublicKey
from eth_utils.crypto import keccak

from bot.chain.signer.remote import RemoteSigner, failed, in_range, proven
from bot.errors import ConfigError, OrderRejected

T = TypeVar("T")

NAME = "aws_kms"
QUIET = ("boto3", "botocore")
"""Their debug logs quote requests with a session token in it."""

PUBLIC_KEY_HEAD = bytes.fromhex("3056301006072a8648ce3d020106052b8104000a03420004")
"""A SubjectPublicKeyInfo of an uncompressed secp256k1 point, up to the point's 64 bytes."""


def kms_client(region: str, endpoint: str, timeout_s: float, tries: int) -> Any:
    """boto3's client. "" leaves the region or the endpoint to boto3. ConfigError where it can't be made.

    `timeout_s` bounds the connection and each wait for an answer, `tries` the requests of one call.
    """
    try:
        boto3, settings = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    except ImportError:
        raise ConfigError(
            "signer.kind: aws_kms needs boto3: install vaultkeel with the extra `kms`"
        ) from None
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    limits = settings.Config(
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        retries={"total_max_attempts": tries, "mode": "standard"},
    )
    try:
        # A session of its own: boto3's default one remembers the credentials of an earlier call.
        session = boto3.session.Session(region_name=region or None)
        return session.client("kms", endpoint_url=endpoint or None, config=limits)
    except Exception as error:  # noqa: BLE001 - botocore raises what its environment suggests
        raise ConfigError(f"signer {NAME}: boto3 can't be set up: {_why(error)}") from None


def signer_from_kms(client: Any, key_id: str, address: str) -> RemoteSigner:
    """The key `key_id`, tried once. ConfigError where it can't be had, or is not `address`'s."""
    try:
        found = public_address(_asked(lambda: client.get_public_key(KeyId=key_id)["PublicKey"]))
    except OrderRejected as error:
        raise ConfigError(str(error)) from None
    if found != address:
        raise ConfigError(f"signer.address: it is {address}, the key in AWS KMS is that of {found}")

    def ask(message: bytes) -> tuple[int, int]:
        digest = keccak(message)
        answer = _asked(
            lambda: client.sign(
                KeyId=key_id, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
            )["Signature"]
        )
        return in_range(NAME, *numbers(answer))

    return proven(RemoteSigner(NAME, address, ask))


def public_address(der: bytes) -> str:
    """The address of a public key in DER. ConfigError where it is not one of secp256k1."""
    if len(der) != len(PUBLIC_KEY_HEAD) + 64 or not der.startswith(PUBLIC_KEY_HEAD):
        raise ConfigError("signer.key_id: the key in AWS KMS is not of the kind ECC_SECG_P256K1")
    return PublicKey(der[len(PUBLIC_KEY_HEAD) :]).to_checksum_address()


def numbers(der: bytes) -> tuple[int, int]:
    """(r, s) of a signature in DER: a sequence of two positive integers. OrderRejected where it is anything else."""
    try:
        tag, length, body = der[0], der[1], der[2:]
        r, rest = _integer(body)
        s, rest = _integer(rest)
    except IndexError:
        raise failed(NAME, "its answer is not a signature in DER") from None
    if tag != 0x30 or length != len(body) or rest:
        raise failed(NAME, "its answer is not a signature in DER")
    return r, s


def _integer(der: bytes) -> tuple[int, bytes]:
    """The integer at the beginning, and what follows it."""
    tag, length = der[0], der[1]
    value, rest = der[2 : 2 + length], der[2 + length :]
    if tag != 0x02 or not 0 < len(value) == length or value[0] & 0x80:
        raise failed(NAME, "its answer is not a signature in DER")
    return int.from_bytes(value, "big"), rest


def _asked(ask: Callable[[], Any]) -> bytes:
    """The bytes of an answer. OrderRejected where there is none, with the error's kind: its text may quote anything."""
    try:
        return bytes(ask())
    except Exception as error:  # noqa: BLE001 - an odd answer makes botocore raise what its parsers do
        raise failed(NAME, _why(error)) from None


def _why(error: Exception) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return f"AWS refuses it ({response.get('Error', {}).get('Code', 'without a code')})"
    kind = type(error).__name__
    if "Timeout" in kind:
        return "it did not answer in time"
    known = {
        "NoCredentialsError": "boto3 finds no AWS credentials",
        "NoRegionError": "no region is configured: give `region`",
    }
    return known.get(kind, f"it gave no usable answer ({kind})")
