"""Keys: read from where they are, used for one thing, and never shown."""

import contextlib
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
from builders import ACCOUNT, ACCOUNT_ID, CHAIN_ID, CURIE, KEY, NOW, SIGNER, Rig, address
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_keys.datatypes import PrivateKey
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bot.chain.signer import LocalSigner, signer_from_key, signer_from_keystore
from bot.chain.signer.local import keystore_address
from bot.chain.signer.remote import PROOF, RemoteSigner, proven
from bot.chain.signer.sealing import ORDER, checked, payload
from bot.core.model import Mode, Purpose
from bot.errors import ConfigError, Halt, OrderRejected
from bot.ports import SignedTx, TxCall, UnsignedTx

PASSWORD = "correct horse battery staple"
TX = UnsignedTx(CHAIN_ID, 7, TxCall(CURIE.clearing_house, b"\x12\x34", 5), 400_000, 3 * 10**9, 10**9)


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "keystore.json"
    path.touch(mode=0o600)
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
        path.touch(mode=0o600)
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

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o777])
    def test_a_keystore_that_others_may_use_is_refused(self, keystore: Path, mode: int) -> None:
        keystore.chmod(mode)
        with pytest.raises(ConfigError) as error:
            signer_from_keystore(keystore, PASSWORD)
        assert f"its permissions are {mode:04o}" in str(error.value)
        assert f"run `chmod 600 {keystore}`" in str(error.value)

    @pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
    def test_a_keystore_of_its_owner_alone_opens(self, keystore: Path, mode: int) -> None:
        keystore.chmod(mode)
        assert signer_from_keystore(keystore, PASSWORD).address == ACCOUNT

    def test_a_link_to_a_file_that_others_may_use_is_refused_too(self, keystore: Path) -> None:
        keystore.chmod(0o644)
        link = keystore.with_name("link.json")
        link.symlink_to(keystore)
        with pytest.raises(ConfigError, match="chmod 600"):
            signer_from_keystore(link, PASSWORD)

    def test_a_keystore_that_names_another_address_is_refused(self, keystore: Path) -> None:
        document = json.loads(keystore.read_text())
        keystore.write_text(json.dumps(document | {"address": address(7)[2:]}))
        assert keystore_address(keystore) == address(7)
        with pytest.raises(ConfigError, match=f"says {address(7)}, its key is that of {ACCOUNT}"):
            signer_from_keystore(keystore, PASSWORD)

    @pytest.mark.parametrize("named", [None, 5, "", "0x12"])
    def test_a_keystore_need_not_name_its_address(self, keystore: Path, named: object) -> None:
        document = json.loads(keystore.read_text())
        keystore.write_text(json.dumps(document | {"address": named}))
        assert keystore_address(keystore) == ""
        assert signer_from_keystore(keystore, PASSWORD).address == ACCOUNT

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

    def test_bytes_of_another_sender_are_a_halt(self) -> None:
        raw = signer_from_key("0x" + "43" * 32).sign(TX).raw
        with pytest.raises(Halt, match=f"signer local: its signature is not {ACCOUNT}'s"):
            checked("local", raw, ACCOUNT)

    @pytest.mark.parametrize("raw", [b"", b"\x02", b"\x02\xc0", b"\x02\xff", b"\x00" * 40])
    def test_bytes_that_are_no_transaction_are_a_halt(self, raw: bytes) -> None:
        with pytest.raises(Halt):
            checked("local", raw, ACCOUNT)

    def test_bytes_with_a_high_s_are_a_halt(self) -> None:
        fields = TypedTransaction.from_bytes(HexBytes(SIGNER.sign(TX).raw)).as_dict()
        high = {**fields, "s": ORDER - fields["s"], "v": 1 - fields["v"]}
        raw = bytes(TypedTransaction.from_dict(high).encode())
        assert Account.recover_transaction(raw) == ACCOUNT, "the chain would know the sender, and refuse it"
        with pytest.raises(Halt):
            checked("local", raw, ACCOUNT)


def rs_of(message: bytes, key: str = KEY) -> tuple[int, int]:
    """The signature of a message's keccak, as a service would make it."""
    signature = PrivateKey(HexBytes(key)).sign_msg_hash(keccak(message))
    return int(signature.r), int(signature.s)


def remote(ask: Callable[[bytes], tuple[int, int]] = rs_of) -> RemoteSigner:
    return RemoteSigner("kms", ACCOUNT, ask)


class TestRemoteSigners:
    def test_a_remote_signature_gives_the_same_bytes_as_a_local_one(self) -> None:
        for nonce in range(50):
            tx = replace(TX, nonce=nonce, call=replace(TX.call, data=bytes(nonce), value=nonce))
            assert remote().sign(tx) == SIGNER.sign(tx)

    def test_a_high_s_is_brought_down(self) -> None:
        signer = remote(lambda message: (rs_of(message)[0], ORDER - rs_of(message)[1]))
        assert signer.sign(TX) == SIGNER.sign(TX)

    def test_what_is_signed_is_the_unsigned_transaction(self) -> None:
        asked: list[bytes] = []
        remote(lambda message: asked.append(message) or rs_of(message)).sign(TX)  # type: ignore[func-returns-value]
        assert asked == [payload(TX)]
        assert keccak(asked[0]) == TypedTransaction.from_bytes(HexBytes(SIGNER.sign(TX).raw)).hash()

    def test_a_signature_of_another_key_is_a_halt(self) -> None:
        signer = remote(lambda message: rs_of(message, "0x" + "43" * 32))
        with pytest.raises(Halt, match=f"signer kms: its signature is not {ACCOUNT}'s"):
            signer.sign(TX)

    def test_a_signature_of_other_data_is_a_halt(self) -> None:
        signer = remote(lambda message: rs_of(message + b"!"))
        with pytest.raises(Halt):
            signer.sign(TX)

    def test_a_transaction_that_cant_be_encoded_is_refused(self) -> None:
        with pytest.raises(OrderRejected, match="nothing was signed"):
            remote().sign(replace(TX, nonce=-1))

    def test_a_signer_that_signs_as_its_address_is_proven(self) -> None:
        assert proven(remote()).address == ACCOUNT

    def test_a_signer_of_another_address_is_refused_at_start(self) -> None:
        with pytest.raises(ConfigError, match=f"signer kms: its signature is not {ACCOUNT}'s"):
            proven(remote(lambda message: rs_of(message, "0x" + "43" * 32)))

    def test_a_signer_that_does_not_answer_is_refused_at_start(self) -> None:
        with pytest.raises(ConfigError, match="kms did not answer"):
            proven(remote(silent))

    def test_the_proof_is_no_transaction(self) -> None:
        """Neither the type byte of one, nor the list that a legacy one is."""
        assert 0x7F > PROOF[0] > 0x04

    def test_a_remote_signer_shows_its_name_and_address(self) -> None:
        assert repr(remote()) == f"RemoteSigner(kms, {ACCOUNT})"


def silent(_: bytes) -> NoReturn:
    raise OrderRejected("signer kms did not answer; nothing was signed")


class Unreliable:
    """The real signer, until it is told what to raise instead."""

    address = ACCOUNT

    def __init__(self) -> None:
        self.error: Exception | None = None

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """The real signature, or the error."""
        if self.error is not None:
            raise self.error
        return SIGNER.sign(tx)


class TestSigningThatFails:
    """On a desk with the real sender and ledger."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        rig = Rig(tmp_path / "vaultkeel.db")
        self.signer = Unreliable()
        rig.sender._signer = self.signer
        return rig

    def fails(self) -> None:
        self.signer.error = OrderRejected("signer kms: it did not answer in time; nothing was signed")

    def test_an_order_that_cant_be_signed_is_dead_and_nothing_is_committed_or_sent(self, rig: Rig) -> None:
        self.fails()
        tick = rig.tick()
        assert tick.outcome is not None
        assert "kms: it did not answer in time; nothing was signed" in tick.outcome.reason
        assert rig.outcomes() == ["DEAD"]
        assert (rig.attempts(), rig.client.sent) == ([], [])

    def test_the_next_tick_trades_with_the_same_nonce(self, rig: Rig) -> None:
        self.fails()
        rig.tick()
        self.signer.error = None
        rig.next_block()
        rig.client.on_send = rig.mines
        rig.tick()
        assert sorted(rig.outcomes()) == ["DEAD", "FILLED"]
        assert [row[1] for row in rig.attempts()] == [0]

    def test_a_signature_of_another_address_halts_and_the_order_was_never_signed(self, rig: Rig) -> None:
        self.signer.error = Halt("signer kms: its signature is not ours")
        with pytest.raises(Halt):
            rig.tick()
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED
        assert (rig.attempts(), rig.client.sent) == ([], [])
        rig.tick()
        (order,) = rig.ledger.orders("eth")
        assert (order["outcome"], order["reason"]) == ("DEAD", "it was never signed")

    @pytest.mark.parametrize(
        ("later", "purpose"), [(31, Purpose.ORDER), (121, Purpose.CANCEL)], ids=["bump", "cancel"]
    )
    def test_a_follow_up_that_cant_be_signed_leaves_the_order_open_and_is_tried_again(
        self, rig: Rig, later: int, purpose: Purpose
    ) -> None:
        rig.tick()
        (order,) = rig.ledger.open_intents(ACCOUNT_ID)
        assert len(order.attempts) == 1
        rig.next_block()
        rig.clock.time = NOW + later
        rig.client.block = replace(rig.client.block, timestamp=NOW + later)
        self.fails()
        for _ in range(2):
            # Whether the desk skips the tick or goes on without the follow-up, the order stays as it is.
            with contextlib.suppress(OrderRejected):
                rig.tick()
            (order,) = rig.ledger.open_intents(ACCOUNT_ID)
            assert len(order.attempts) == 1
            assert {bytes(raw) for raw in rig.client.sent} == {order.attempts[0].raw}
        self.signer.error = None
        rig.tick()
        (order,) = rig.ledger.open_intents(ACCOUNT_ID)
        assert [attempt.purpose for attempt in order.attempts] == [Purpose.ORDER, purpose]
        assert order.attempts[0].nonce == order.attempts[1].nonce
        assert rig.client.sent[-1] == order.attempts[1].raw
