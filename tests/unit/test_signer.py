"""Keys: read from where they are, used for one thing, and never shown."""

import hashlib
import json
import logging
from pathlib import Path

import pytest
from builders import ACCOUNT, CHAIN_ID, CURIE, KEY, SIGNER
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bot.chain.signer import LocalSigner, signer_from_key, signer_from_keystore
from bot.errors import ConfigError
from bot.ports import TxCall, UnsignedTx

PASSWORD = "correct horse battery staple"
TX = UnsignedTx(CHAIN_ID, 7, TxCall(CURIE.clearing_house, b"\x12\x34", 5), 400_000, 3 * 10**9, 10**9)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    path.write_text(json.dumps(Account.encrypt(HexBytes(KEY), PASSWORD, kdf="pbkdf2", iterations=2)))
    return path


class TestKeys:
    @pytest.mark.parametrize("written", [KEY, KEY.removeprefix("0x"), KEY.upper().replace("0X", "0x")])
    def test_a_raw_key_gives_its_address(self, written: str) -> None:
        assert signer_from_key(written).address == ACCOUNT

    @pytest.mark.parametrize(
        "key",
        [
            "",
            "0x",
            "0x1234",
            KEY + "ab",
            KEY[:-1] + "g",
            "0x" + "00" * 32,
            "0x" + "ff" * 32,
            "cafe babe\n",
            "ключ",
        ],
    )
    def test_what_is_no_key_is_refused_without_being_quoted(
        self, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as error:
            signer_from_key(key)
        assert str(error.value) == "signer.key: this is not a private key of 32 bytes in hex"
        assert error.value.__cause__ is None
        assert error.value.__suppress_context__, "a traceback would quote it"
        assert not key.strip() or key.strip() not in caplog.text


class TestKeystores:
    def test_a_keystore_opens_with_its_password(self, keystore: Path) -> None:
        assert signer_from_keystore(keystore, PASSWORD).address == ACCOUNT

    @pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " "])
    def test_a_wrong_password_is_said_to_be_the_password(self, keystore: Path, password: str) -> None:
        with pytest.raises(ConfigError, match=f"signer.password: it does not open {keystore}$"):
            signer_from_keystore(keystore, password)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"not json",
            b"\xff\xfe\x00",
            b"[]",
            b"{}",
            b"5",
            b"null",
            b'"text"',
            b'{"crypto": {}, "version": 3}',
            b'{"version": 9}',
            b'{"crypto": {"kdf": "md5"}, "version": 3}',
            b'{"crypto": 5, "version": 3}',
        ],
    )
    def test_what_is_no_keystore_is_said_to_be_none(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "keystore.json"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"signer.keystore: {path} is not a keystore file$"):
            signer_from_keystore(path, PASSWORD)

    @pytest.mark.parametrize("field", ["kdf", "kdfparams", "ciphertext", "cipherparams", "mac"])
    @pytest.mark.parametrize("value", [None, "zz", 5, {}])
    def test_a_damaged_keystore_is_refused(self, keystore: Path, field: str, value: object) -> None:
        document = json.loads(keystore.read_text())
        document["crypto"][field] = value
        keystore.write_text(json.dumps(document))
        with pytest.raises(ConfigError, match=rf"signer\.(keystore|password): .*{keystore}"):
            signer_from_keystore(keystore, PASSWORD)

    def test_a_keystore_that_holds_no_key_is_refused(self, keystore: Path) -> None:
        document = json.loads(keystore.read_text())
        document["crypto"] |= {"ciphertext": "", "mac": empty_mac(document)}
        keystore.write_text(json.dumps(document))
        with pytest.raises(ConfigError, match=f"signer.keystore: {keystore} is not a keystore file"):
            signer_from_keystore(keystore, PASSWORD)

    def test_a_missing_file_is_said_to_be_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"signer.keystore: .*nowhere.json can't be read: No such file"):
            signer_from_keystore(tmp_path / "nowhere.json", PASSWORD)
        with pytest.raises(ConfigError, match=f"signer.keystore: {tmp_path} can't be read"):
            signer_from_keystore(tmp_path, PASSWORD)


def empty_mac(document: dict[str, dict[str, dict[str, str]]]) -> str:
    """The checksum of a keystore of nothing, so that only the key's length is wrong."""
    salt = bytes.fromhex(document["crypto"]["kdfparams"]["salt"])
    derived = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, 2, 32)
    return keccak(derived[16:32]).hex()


class TestSigning:
    def test_a_signed_transaction_is_ours_and_says_what_was_asked(self) -> None:
        signed = SIGNER.sign(TX)
        assert Account.recover_transaction(signed.raw) == ACCOUNT
        assert signed.raw[0] == 2
        fields = TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()
        assert fields["chainId"] == CHAIN_ID
        assert (fields["nonce"], fields["gas"], fields["value"]) == (7, 400_000, 5)
        assert (fields["maxFeePerGas"], fields["maxPriorityFeePerGas"]) == (3 * 10**9, 10**9)
        assert HexBytes(fields["to"]) == HexBytes(CURIE.clearing_house)
        assert HexBytes(fields["data"]) == b"\x12\x34"

    def test_the_hash_is_that_of_the_bytes(self) -> None:
        signed = SIGNER.sign(TX)
        assert signed.hash == "0x" + keccak(signed.raw).hex()

    def test_the_same_transaction_has_the_same_bytes(self) -> None:
        """What is resent after a crash can be told apart from a new order by its hash alone."""
        assert SIGNER.sign(TX) == SIGNER.sign(TX)

    def test_the_case_of_an_address_makes_no_difference(self) -> None:
        mixed = "0xcA11bde05977b3631167028862bE2a173976CA11"
        one, other = (
            SIGNER.sign(UnsignedTx(1, 0, TxCall(to, b""), 21_000, 1, 1)) for to in (mixed, mixed.lower())
        )
        assert one == other

    def test_nothing_that_is_shown_has_the_key_in_it(self) -> None:
        shown = f"{SIGNER!r} {SIGNER} {SIGNER.sign(TX)!r}"
        assert repr(SIGNER) == f"LocalSigner({ACCOUNT})"
        assert KEY.removeprefix("0x") not in shown
        assert isinstance(SIGNER, LocalSigner)
