"""From a signature to the bytes of a type-2 transaction, and the check that every signer's bytes pass."""

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from hexbytes import HexBytes
from rlp import encode  # type: ignore[import-untyped]
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

from bot.errors import Halt, OrderRejected
from bot.ports import SignedTx, UnsignedTx

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""Of secp256k1's group. Of the two signatures (r, s) and (r, ORDER - s) the chain takes the one with the lower s."""


def payload(tx: UnsignedTx) -> bytes:
    """What is signed: 0x02 and the fields. Its keccak-256 is the digest."""
    return b"\x02" + _encoded(_fields(tx))


def parity(digest: bytes, r: int, s: int, address: str) -> int | None:
    """Which of the two points with this `r` (0 or 1) makes the signature `address`'s; None where neither does."""
    for candidate in (0, 1):
        try:
            signature = Signature(vrs=(candidate, r, s))
            found = signature.recover_public_key_from_msg_hash(digest).to_checksum_address()
        except (BadSignature, ValidationError):
            continue
        if found.lower() == address.lower():
            return candidate
    return None


def sealed(name: str, tx: UnsignedTx, r: int, s: int, address: str) -> SignedTx:
    """The signed transaction, `s` in the lower half. Halt where the signature is not `address`'s."""
    low = min(s, ORDER - s)
    which = parity(keccak(payload(tx)), r, low, address)
    if which is None:
        raise Halt(not_ours(name, address))
    return checked(name, b"\x02" + _encoded([*_fields(tx), which, r, low]), address)


def checked(name: str, raw: bytes, address: str) -> SignedTx:
    """Signed bytes whose sender is `address` and whose `s` is in the lower half, with their hash; Halt for others."""
    try:
        sender = str(Account.recover_transaction(raw))
        s = int(TypedTransaction.from_bytes(HexBytes(raw)).as_dict()["s"])
    except Exception:  # noqa: BLE001 - decoders raise what they like at what is no transaction
        raise Halt(not_ours(name, address)) from None
    if sender.lower() != address.lower() or s > ORDER // 2:
        raise Halt(not_ours(name, address))
    return SignedTx(raw, "0x" + keccak(raw).hex())


def not_ours(name: str, address: str) -> str:
    """What is said of a signer whose signature belongs to another address. A person must look into it."""
    return f"signer {name}: its signature is not {address}'s; it signs other data, or with another key"


def _fields(tx: UnsignedTx) -> list[object]:
    to = bytes(HexBytes(tx.call.to))
    no_access_list: list[object] = []
    return [
        tx.chain_id,
        tx.nonce,
        tx.tip_wei,
        tx.max_fee_wei,
        tx.gas,
        to,
        tx.call.value,
        tx.call.data,
        no_access_list,
    ]


def _encoded(fields: list[object]) -> bytes:
    try:
        return bytes(encode(fields))
    except (RLPException, TypeError) as error:
        raise OrderRejected(f"the transaction can't be encoded ({error}); nothing was signed") from None
