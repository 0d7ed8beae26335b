"""A key that another service keeps. What it answers is never believed before it is checked."""

from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.crypto import keccak

from bot.chain.signer.sealing import ORDER, not_ours, parity, payload, sealed
from bot.errors import ConfigError, OrderRejected
from bot.ports import SignedTx, UnsignedTx

PROOF = b"vaultkeel asks whether this key can sign"
"""Signed at start. It begins like no transaction, so its signature is of no use to anybody."""

Ask = Callable[[bytes], tuple[int, int]]
"""From a message to the signature (r, s) of its keccak-256. OrderRejected where there is none."""


@dataclass(frozen=True, slots=True)
class RemoteSigner:
    """Signs as `address` by asking a service, which `name` calls.

    A signature that can't be had is an OrderRejected: nothing was signed, and the order can be tried again. One that is
    not the address's is a Halt: the service signs other data or with another key, and no later answer mends that.
    """

    name: str
    address: str
    ask: Ask

    def __repr__(self) -> str:
        return f"RemoteSigner({self.name}, {self.address})"

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """The signed type-2 transaction."""
        r, s = self.ask(payload(tx))
        return sealed(self.name, tx, r, s, self.address)


def proven(signer: RemoteSigner) -> RemoteSigner:
    """The signer itself, once it has signed a harmless text as its address. ConfigError where it doesn't."""
    try:
        r, s = signer.ask(PROOF)
    except OrderRejected as error:
        raise ConfigError(str(error)) from None
    if parity(keccak(PROOF), r, min(s, ORDER - s), signer.address) is None:
        raise ConfigError(not_ours(signer.name, signer.address))
    return signer


def in_range(name: str, r: int, s: int) -> tuple[int, int]:
    """(r, s) of a signature. OrderRejected where they are no such numbers."""
    if not (0 < r < ORDER and 0 < s < ORDER):
        raise failed(name, "its answer is not a signature")
    return r, s


def failed(name: str, why: str) -> OrderRejected:
    """The error for a signature that could not be had."""
    return OrderRejected(f"signer {name}: {why}; nothing was signed")
