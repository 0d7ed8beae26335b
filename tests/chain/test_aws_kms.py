"""AWS KMS through boto3, against a local stand-in that signs digests as the service documents."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from services import ORDER, KmsStandIn

from bot.app.signers import make_signer
from bot.chain.signer import signer_from_key
from bot.chain.signer.kms import kms_client, signer_from_kms
from bot.chain.signer.remote import RemoteSigner
from bot.config import Config, load_config
from bot.errors import ConfigError, Halt, OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.share import share

KEY = "0x" + "42" * 32
LOCAL = signer_from_key(KEY)
TX = UnsignedTx(31337, 7, TxCall(f"0x{1:040d}", b"\x12\x34", 5), 400_000, 3 * 10**9, 10**9)
SESSION_TOKEN = "c4nary-session-token"
SECRET = "c4nary-secret-access-key"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An AWS user's environment, and no other source of credentials."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_SESSION_TOKEN", SESSION_TOKEN),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", str(tmp_path / "none")),
        ("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none")),
    ):
        monkeypatch.setenv(name, value)
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kms() -> Iterator[KmsStandIn]:
    with KmsStandIn(KEY) as running:
        yield running


def signer_of(kms: KmsStandIn, *, tries: int = 1) -> RemoteSigner:
    return signer_from_kms(kms_client("eu-central-1", kms.url, 1, tries), kms.key_id, LOCAL.address)


def configured(folder: Path, **signer: Any) -> Config:
    """The shipped configuration with this signer."""
    document: Any = tomlkit.parse(share("config", "localnet.toml").read_text(encoding="utf-8"))
    document["signer"] = {"kind": "aws_kms", "key_id": KmsStandIn.key_id, "address": LOCAL.address, **signer}
    path = folder / "vaultkeel.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return load_config(path)


def test_it_gives_the_same_bytes_as_the_same_key_in_this_process(kms: KmsStandIn) -> None:
    signer = signer_of(kms)
    for nonce in range(20):
        tx = UnsignedTx(31337, nonce, TX.call, 400_000, 3 * 10**9, 10**9)
        signed = signer.sign(tx)
        assert signed == LOCAL.sign(tx)
        assert Account.recover_transaction(signed.raw) == LOCAL.address
        assert TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()["s"] <= ORDER // 2


def test_the_configuration_leads_to_it(kms: KmsStandIn, tmp_path: Path) -> None:
    signer = make_signer(configured(tmp_path, endpoint=kms.url, region="eu-central-1"))
    assert signer.sign(TX) == LOCAL.sign(TX)


def test_what_signs_nothing_does_not_ask_it(kms: KmsStandIn, tmp_path: Path) -> None:
    signer = make_signer(configured(tmp_path, endpoint=kms.url, region="eu-central-1"), signs=False)
    assert signer.address == LOCAL.address
    assert kms.requests == []
    with pytest.raises(ConfigError, match="this command signs nothing"):
        signer.sign(TX)


class TestStart:
    def test_a_service_that_times_out_is_refused_after_its_tries(self, kms: KmsStandIn) -> None:
        kms.hangs()
        with pytest.raises(ConfigError, match="signer aws_kms: it did not answer in time"):
            signer_of(kms, tries=2)
        assert len(kms.requests) == 2

    def test_an_unknown_key_is_refused(self, kms: KmsStandIn) -> None:
        client = kms_client("eu-central-1", kms.url, 1, 1)
        with pytest.raises(ConfigError, match=r"signer aws_kms: AWS refuses it \(NotFoundException\)"):
            signer_from_kms(client, "alias/nowhere", LOCAL.address)

    def test_a_key_that_may_be_read_and_not_used_is_refused(self, kms: KmsStandIn) -> None:
        def once(_path: str) -> Any:
            return None if len(kms.requests) == 1 else kms.error("AccessDeniedException", "c4nary arn")

        kms.before = once
        with pytest.raises(ConfigError) as error:
            signer_of(kms)
        assert "AWS refuses it (AccessDeniedException)" in str(error.value)
        assert "c4nary" not in str(error.value)

    def test_the_key_of_another_address_is_refused(self, kms: KmsStandIn) -> None:
        kms.key = kms.key.from_int(7)
        with pytest.raises(ConfigError, match=f"signer.address: it is {LOCAL.address}, the key in AWS KMS"):
            signer_of(kms)

    def test_without_credentials_or_region_it_says_so(
        self, kms: KmsStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(ConfigError, match="no region is configured: give `region`"):
            kms_client("", kms.url, 1, 1)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name)
        with pytest.raises(ConfigError, match="boto3 finds no AWS credentials"):
            signer_of(kms)

    def test_nobody_listens(self) -> None:
        with KmsStandIn(KEY) as gone:
            url = gone.url
        client = kms_client("eu-central-1", url, 1, 1)
        with pytest.raises(ConfigError, match="signer aws_kms: it gave no usable answer"):
            signer_from_kms(client, KmsStandIn.key_id, LOCAL.address)


class TestSigning:
    @pytest.mark.parametrize(
        ("status", "content"),
        [(500, b""), (503, b"busy"), (200, b"not json"), (200, b"{}"), (200, b'{"Signature": "%%"}')],
    )
    def test_an_odd_answer_leaves_nothing_signed(self, kms: KmsStandIn, status: int, content: bytes) -> None:
        signer = signer_of(kms)
        kms.refuses(status, content)
        with pytest.raises(OrderRejected, match=r"^signer aws_kms: .*; nothing was signed$"):
            signer.sign(TX)
        kms.before = lambda path: None
        assert signer.sign(TX) == LOCAL.sign(TX)

    def test_a_service_that_times_out_leaves_nothing_signed(self, kms: KmsStandIn) -> None:
        signer = signer_of(kms)
        kms.hangs()
        with pytest.raises(OrderRejected, match="it did not answer in time; nothing was signed"):
            signer.sign(TX)

    def test_a_failure_that_passes_is_tried_again_within_one_call(self, kms: KmsStandIn) -> None:
        signer = signer_of(kms, tries=2)
        asked = len(kms.requests)
        kms.before = lambda path: (503, "text/plain", b"busy") if len(kms.requests) == asked + 1 else None
        assert signer.sign(TX) == LOCAL.sign(TX)

    def test_a_service_that_changes_its_key_is_a_halt(self, kms: KmsStandIn) -> None:
        signer = signer_of(kms)
        kms.signs_with = kms.key.from_int(7)
        with pytest.raises(Halt, match=f"signer aws_kms: its signature is not {LOCAL.address}'s"):
            signer.sign(TX)


def test_no_credential_shows_in_any_log_at_debug(kms: KmsStandIn) -> None:
    root, heard = logging.getLogger(), io.StringIO()
    before, handler = root.level, logging.StreamHandler(heard)
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        signer = signer_of(kms)
        signer.sign(TX)
        kms.refuses(500)
        with pytest.raises(OrderRejected):
            signer.sign(TX)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert SESSION_TOKEN not in heard.getvalue()
    assert SECRET not in heard.getvalue()
