"""Web3Signer over real TLS, against a local server that implements its documented interface and signs for real."""

import logging
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes
from services import ORDER, Authority, Service, Web3SignerService
from support import Cli, adopt, hedger_nonce, opened, rows, write_config

from bot.chain.signer import signer_from_key
from bot.chain.signer.remote import PROOF, RemoteSigner
from bot.chain.signer.web3signer import Web3SignerAt, signer_from_web3signer
from bot.errors import ConfigError, Halt, OrderRejected
from bot.localnet.market import Market
from bot.localnet.world import World
from bot.ports import TxCall, UnsignedTx

KEY = "0x" + "42" * 32
OTHER = "0x" + "43" * 32
LOCAL = signer_from_key(KEY)
TX = UnsignedTx(31337, 7, TxCall(f"0x{1:040d}", b"\x12\x34", 5), 400_000, 3 * 10**9, 10**9)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def service(authority: Authority) -> Iterator[Web3SignerService]:
    with Web3SignerService(OTHER, KEY, tls=authority.server()) as running:
        yield running


def signer_at(service: Service, authority: Authority | None, **more: Any) -> RemoteSigner:
    ca_file = None if authority is None else authority.file
    return signer_from_web3signer(Web3SignerAt(service.url, 1.0, ca_file, **more), LOCAL.address)


class TestSigning:
    def test_it_gives_the_same_bytes_as_the_same_key_in_this_process(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        signer = signer_at(service, authority)
        for nonce in range(20):
            tx = UnsignedTx(31337, nonce, TX.call, 400_000, 3 * 10**9, 10**9)
            signed = signer.sign(tx)
            assert signed == LOCAL.sign(tx)
            assert Account.recover_transaction(signed.raw) == LOCAL.address
            assert TypedTransaction.from_bytes(HexBytes(signed.raw)).as_dict()["s"] <= ORDER // 2

    def test_it_asks_for_the_key_of_its_address_by_its_public_key(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        signer_at(service, authority).sign(TX)
        paths = [path for path, _ in service.requests]
        identifier = list(service.identifiers())[1]
        assert paths == ["/api/v1/eth1/publicKeys", *[f"/api/v1/eth1/sign/{identifier}"] * 2]
        assert PROOF.hex().encode() in service.requests[1][1]

    def test_a_service_that_changes_its_key_is_a_halt(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        signer = signer_at(service, authority)
        service.signs_with = service.keys[0]
        with pytest.raises(Halt, match=f"signer web3signer: its signature is not {LOCAL.address}'s"):
            signer.sign(TX)

    def test_an_answer_that_comes_too_late_leaves_nothing_signed(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        signer = signer_at(service, authority)
        service.hangs()
        with pytest.raises(
            OrderRejected, match=r"^signer web3signer: it did not answer in time; nothing was signed$"
        ):
            signer.sign(TX)
        service.before = lambda path: None
        assert signer.sign(TX) == LOCAL.sign(TX), "it is asked again the next time"

    @pytest.mark.parametrize("status", [302, 400, 401, 404, 500, 503])
    def test_a_refusal_leaves_nothing_signed(
        self, service: Web3SignerService, authority: Authority, status: int
    ) -> None:
        signer = signer_at(service, authority)
        service.refuses(status, b"c4nary")
        with pytest.raises(OrderRejected) as error:
            signer.sign(TX)
        assert str(error.value) == f"signer web3signer: it answered HTTP {status}; nothing was signed"

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"0x",
            b"0x1234",
            b"zz" * 65,
            b"\xff\xfe",
            b"0x" + b"00" * 65,
            b"0x" + b"ff" * 65,
            b"11" * 64,
            b"1" * 2_000_000,
        ],
        ids=range(9),
    )
    def test_an_answer_that_is_no_signature_leaves_nothing_signed(
        self, service: Web3SignerService, authority: Authority, content: bytes
    ) -> None:
        signer = signer_at(service, authority)
        service.refuses(200, content)
        with pytest.raises(OrderRejected, match=r"nothing was signed$"):
            signer.sign(TX)

    def test_a_service_that_is_gone_leaves_nothing_signed(self, authority: Authority) -> None:
        with Web3SignerService(KEY, tls=authority.server()) as service:
            signer = signer_at(service, authority)
        with pytest.raises(OrderRejected, match="it can't be reached"):
            signer.sign(TX)

    def test_a_connection_that_is_cut_off_leaves_nothing_signed(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        signer = signer_at(service, authority)

        def cut(_path: str) -> None:
            raise ConnectionResetError

        service.before = cut
        with pytest.raises(OrderRejected, match="it can't be reached"):
            signer.sign(TX)


class TestStart:
    def test_an_address_that_the_service_has_no_key_of_is_refused(self, authority: Authority) -> None:
        other = signer_from_key(OTHER).address
        with (
            Web3SignerService(OTHER, tls=authority.server()) as service,
            pytest.raises(ConfigError, match=f"has no key of {LOCAL.address}; it has 1: {other}$"),
        ):
            signer_at(service, authority)

    def test_a_service_that_signs_with_another_key_is_refused(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        service.signs_with = service.keys[0]
        with pytest.raises(ConfigError, match=f"its signature is not {LOCAL.address}'s"):
            signer_at(service, authority)

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"[]", "has no key of"),
            (b"{}", "has no key of"),
            (b"not json", "its list of public keys is not one"),
            (b"5", "its list of public keys is not one"),
            (b"[5]", "its list of public keys is not one"),
            (b'["0x12"]', "its list of public keys is not one"),
            (b'["zz"]', "its list of public keys is not one"),
            (b"[" * 100_000, "its list of public keys is not one"),
        ],
        ids=range(8),
    )
    def test_a_list_of_keys_that_is_none_is_refused(
        self, service: Web3SignerService, authority: Authority, content: bytes, says: str
    ) -> None:
        service.refuses(200, content)
        with pytest.raises(ConfigError, match=says):
            signer_at(service, authority)

    def test_a_service_that_does_not_answer_is_refused(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        service.hangs()
        with pytest.raises(ConfigError, match="signer web3signer: it did not answer in time"):
            signer_at(service, authority)

    def test_a_certificate_of_an_unknown_authority_is_refused(
        self, service: Web3SignerService, authority: Authority, tmp_path: Path
    ) -> None:
        for trusted in (None, Authority(tmp_path / "another")):
            with pytest.raises(ConfigError, match="one side refuses the other's certificate"):
                signer_at(service, trusted)
        assert service.requests == []

    def test_a_name_that_is_not_in_the_certificate_is_refused(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        url = service.url.replace("127.0.0.1", "localhost")
        with pytest.raises(ConfigError, match="one side refuses the other's certificate"):
            signer_from_web3signer(Web3SignerAt(url, 1.0, authority.file), LOCAL.address)

    def test_a_service_that_wants_to_know_who_asks_gets_our_certificate(self, authority: Authority) -> None:
        certificate, key = authority.certificate("hedger", "clientAuth")
        with Web3SignerService(KEY, tls=authority.server(wants_client=True)) as service:
            signer = signer_at(service, authority, client_cert=certificate, client_key=key)
            assert signer.sign(TX) == LOCAL.sign(TX)
            both = certificate.with_name("both.pem")
            both.write_bytes(certificate.read_bytes() + key.read_bytes())
            both.chmod(0o600)
            assert signer_at(service, authority, client_cert=both).sign(TX) == LOCAL.sign(TX)
            with pytest.raises(ConfigError, match="signer web3signer: "):
                signer_at(service, authority)

    def test_a_client_key_that_others_may_use_is_refused(
        self, service: Web3SignerService, authority: Authority
    ) -> None:
        certificate, key = authority.certificate("wide", "clientAuth")
        key.chmod(0o644)
        with pytest.raises(ConfigError, match=f"signer: {key} can't be read: .*chmod 600 {key}"):
            signer_at(service, authority, client_cert=certificate, client_key=key)

    def test_a_missing_file_is_named(self, service: Web3SignerService, tmp_path: Path) -> None:
        nowhere = tmp_path / "nowhere.pem"
        with pytest.raises(ConfigError, match=f"signer: {nowhere} can't be read: No such file"):
            signer_from_web3signer(Web3SignerAt(service.url, 1.0, nowhere), LOCAL.address)

    def test_a_file_that_is_no_certificate_is_refused(
        self, service: Web3SignerService, tmp_path: Path
    ) -> None:
        words = tmp_path / "words.pem"
        words.write_text("no certificate")
        with pytest.raises(ConfigError, match="signer web3signer: "):
            signer_from_web3signer(Web3SignerAt(service.url, 1.0, words), LOCAL.address)

    def test_a_port_where_nobody_listens_is_refused(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        with pytest.raises(ConfigError, match="signer web3signer: it can't be reached"):
            signer_from_web3signer(Web3SignerAt(f"http://127.0.0.1:{port}", 1.0), LOCAL.address)

    def test_no_proxy_of_the_environment_is_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        with Web3SignerService(KEY) as service:
            assert signer_at(service, None).sign(TX) == LOCAL.sign(TX)

    def test_the_services_address_never_shows(
        self, service: Web3SignerService, authority: Authority, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It may hold a password."""
        url = service.url.replace("https://", "https://hedger:c4nary@")
        at = Web3SignerAt(url, 1.0, authority.file)
        with caplog.at_level(logging.DEBUG):
            signer = signer_from_web3signer(at, LOCAL.address)
            service.refuses(500)
            with pytest.raises(OrderRejected) as error:
                signer.sign(TX)
        assert "c4nary" not in f"{at!r} {signer!r} {error.value} {caplog.text}"


class TestOnTheChain:
    def config(self, world: World, folder: Path, service: Service, authority: Authority) -> Path:
        def remote(document: Any) -> None:
            document["signer"] = {
                "kind": "web3signer",
                "url": service.url,
                "address": world.accounts.hedger,
                "ca_file": str(authority.file),
                "timeout_s": 1,
            }

        return write_config(world, folder, edit=remote)

    def test_the_desk_trades_through_it_and_goes_on_where_it_fails(
        self, fresh: World, tmp_path: Path, authority: Authority
    ) -> None:
        market = Market(fresh, 3)
        market.open_interest(14)
        market.refresh()
        before = hedger_nonce(fresh)
        with Web3SignerService(fresh.hedger_key, tls=authority.server()) as service:
            config = self.config(fresh, tmp_path, service, authority)
            with opened(config, trades=True) as app:
                adopt(app)
                (book,) = app.desk.books
                healthy = service.before
                service.hangs()
                failed = app.desk.tick(book)
                assert failed.outcome is not None
                assert failed.outcome.reason == (
                    "signer web3signer: it did not answer in time; nothing was signed"
                )
                ledger = app.config.ledger
                assert rows(ledger, "SELECT count(*) FROM attempts") == [(0,)]
                assert hedger_nonce(fresh) == before
                service.before = healthy
                fresh.node.mine()
                market.refresh()
                traded = app.desk.tick(book)
                assert traded.outcome is not None
                assert traded.outcome.fill is not None
                assert abs(traded.outcome.fill.size) > Decimal("0.1")
        assert hedger_nonce(fresh) == before + 1

    def test_a_service_that_is_down_refuses_the_start_and_lets_a_person_halt(
        self, fresh: World, tmp_path: Path, authority: Authority
    ) -> None:
        with Web3SignerService(fresh.hedger_key, tls=authority.server()) as service:
            config = self.config(fresh, tmp_path, service, authority)
        with Cli(tmp_path, "once", "--config", config) as once:
            assert (once.code, once.out) == (2, "")
            assert once.err.startswith("ConfigError: signer web3signer: it can't be reached")
        assert not (tmp_path / "vaultkeel.db").exists()
        with Cli(tmp_path, "halt", "the signer is down", "--config", config) as halt:
            assert halt.code == 0, halt.err
