"""AWS KMS without a network: public keys and signatures in DER, and what becomes of a service that fails."""

import sys
from typing import Any

import pytest
from builders import ACCOUNT, CHAIN_ID, KEY, SIGNER, address
from coincurve import PrivateKey
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from bot.chain.signer.kms import PUBLIC_KEY_HEAD, kms_client, numbers, public_address, signer_from_kms
from bot.chain.signer.sealing import ORDER
from bot.errors import ConfigError, OrderRejected
from bot.ports import TxCall, UnsignedTx

HOLDER = PrivateKey.from_hex(KEY[2:])
PUBLIC = PUBLIC_KEY_HEAD + HOLDER.public_key.format(compressed=False)[1:]
TX = UnsignedTx(CHAIN_ID, 7, TxCall(address(1), b"\x12\x34", 0), 400_000, 3 * 10**9, 10**9)
P256_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")


def der_integer(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return b"\x02" + bytes([len(content)]) + content


def der(r: int, s: int) -> bytes:
    content = der_integer(r) + der_integer(s)
    return b"\x30" + bytes([len(content)]) + content


class Kms:
    """What boto3's client answers, scripted. Every other signature has its `s` in the upper half."""

    def __init__(self, public: Any = PUBLIC, holder: PrivateKey = HOLDER) -> None:
        self.public = public
        self.holder = holder
        self.asked: list[dict[str, Any]] = []
        self.signature: Any = None
        self.error: Exception | None = None

    def get_public_key(self, KeyId: str) -> dict[str, Any]:  # noqa: N803 - boto3's
        """The public key."""
        if self.error is not None:
            raise self.error
        return {"PublicKey": self.public}

    def sign(self, **asked: Any) -> dict[str, Any]:
        """A signature of the digest as it is."""
        self.asked.append(asked)
        if self.error is not None:
            raise self.error
        if self.signature is not None:
            return {"Signature": self.signature}
        made = self.holder.sign_recoverable(asked["Message"], hasher=None)
        r, s = int.from_bytes(made[:32], "big"), int.from_bytes(made[32:64], "big")
        return {"Signature": der(r, ORDER - s if len(self.asked) % 2 else s)}


class TestSignatures:
    def test_it_signs_the_same_bytes_as_a_local_key(self) -> None:
        kms = Kms()
        signer = signer_from_kms(kms, "alias/hedger", ACCOUNT)
        for nonce in range(40):
            tx = UnsignedTx(CHAIN_ID, nonce, TX.call, TX.gas, TX.max_fee_wei, TX.tip_wei)
            assert signer.sign(tx) == SIGNER.sign(tx)

    def test_it_asks_for_the_digest_itself_to_be_signed(self) -> None:
        kms = Kms()
        signer_from_kms(kms, "alias/hedger", ACCOUNT).sign(TX)
        asked = kms.asked[-1]
        assert len(asked.pop("Message")) == 32
        assert asked == {
            "KeyId": "alias/hedger",
            "MessageType": "DIGEST",
            "SigningAlgorithm": "ECDSA_SHA_256",
        }

    @given(st.integers(1, ORDER - 1), st.integers(1, ORDER - 1))
    def test_both_numbers_come_out_of_der_as_they_went_in(self, r: int, s: int) -> None:
        assert numbers(der(r, s)) == (r, s)

    @pytest.mark.parametrize("size", [1, 2, 31, 32])
    def test_short_numbers_are_read_too(self, size: int) -> None:
        value = int.from_bytes(b"\x80" + bytes(size - 1), "big")
        assert numbers(der(value, 1)) == (value, 1)

    @given(st.binary(max_size=80))
    def test_what_is_no_der_is_refused_and_never_trips_the_parser(self, answer: bytes) -> None:
        try:
            r, s = numbers(answer)
        except OrderRejected:
            return
        assert r >= 0
        assert s >= 0

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"\x30",
            b"\x30\x00",
            der(5, 7)[:-1],
            der(5, 7) + b"\x00",
            b"\x31" + der(5, 7)[1:],
            b"\x30\x06\x03\x01\x05\x02\x01\x07",
            b"\x30\x06\x02\x01\x85\x02\x01\x07",
            b"\x30\x05\x02\x00\x02\x01\x07",
            b"\x30\x80\x02\x01\x05\x02\x01\x07\x00\x00",
            der(0, 7),
            der(ORDER, 7),
            der(5, 0),
            der(5, ORDER),
            "not bytes",
        ],
    )
    def test_an_answer_that_is_no_signature_is_refused_and_nothing_is_signed(self, answer: Any) -> None:
        kms = Kms()
        signer = signer_from_kms(kms, "key", ACCOUNT)
        kms.signature = answer
        with pytest.raises(OrderRejected, match=r"^signer aws_kms: .*; nothing was signed$"):
            signer.sign(TX)


class TestStart:
    def test_the_address_is_that_of_the_public_key(self) -> None:
        assert public_address(PUBLIC) == ACCOUNT

    @pytest.mark.parametrize(
        "public",
        [
            b"",
            PUBLIC[:-1],
            PUBLIC + b"\x00",
            P256_HEAD + PUBLIC[-64:],
            PUBLIC[:22] + b"\x02" + PUBLIC[23:],
        ],
    )
    def test_a_key_of_another_kind_is_refused(self, public: bytes) -> None:
        with pytest.raises(ConfigError, match="not of the kind ECC_SECG_P256K1"):
            signer_from_kms(Kms(public), "key", ACCOUNT)

    def test_the_key_of_another_address_is_refused(self) -> None:
        says = f"signer.address: it is {address(1)}, the key in AWS KMS is that of {ACCOUNT}"
        with pytest.raises(ConfigError, match=says):
            signer_from_kms(Kms(), "key", address(1))

    def test_a_service_that_signs_with_another_key_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=f"signer aws_kms: its signature is not {ACCOUNT}'s"):
            signer_from_kms(Kms(holder=PrivateKey(b"\x43" * 32)), "key", ACCOUNT)

    def test_a_service_that_hashes_the_digest_again_is_refused(self) -> None:
        class Rehashes(Kms):
            def sign(self, **asked: Any) -> dict[str, Any]:
                return super().sign(**{**asked, "Message": keccak(asked["Message"])})

        with pytest.raises(ConfigError, match="it signs other data, or with another key"):
            signer_from_kms(Rehashes(), "key", ACCOUNT)

    @pytest.mark.parametrize("answer", [{}, None, {"PublicKey": None}, {"PublicKey": "text"}])
    def test_an_odd_answer_is_refused(self, answer: Any) -> None:
        kms = Kms()
        kms.get_public_key = lambda KeyId: answer  # type: ignore[method-assign]  # noqa: N803
        with pytest.raises(ConfigError, match="signer aws_kms: it gave no usable answer"):
            signer_from_kms(kms, "key", ACCOUNT)

    def test_an_error_is_named_by_its_kind_and_its_text_is_not_quoted(self) -> None:
        kms = Kms()
        kms.error = RuntimeError("with a c4nary in it")
        with pytest.raises(ConfigError) as error:
            signer_from_kms(kms, "key", ACCOUNT)
        assert "RuntimeError" in str(error.value)
        assert "c4nary" not in str(error.value)
        assert error.value.__suppress_context__

    def test_without_boto3_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "boto3", None)
        with pytest.raises(ConfigError, match="needs boto3: install vaultkeel with the extra `kms`"):
            kms_client("eu-central-1", "", 1, 1)
