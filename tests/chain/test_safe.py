"""Proposals as owners of a real Safe sign them, and the whole least-privilege set-up: a Safe, and a key that trades."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from support import opened, run_here, trades_of, write_config

from bot.core.model import OutcomeState, Rebalance
from bot.errors import VaultkeelError
from bot.localnet.artifacts import Artifacts
from bot.localnet.contract import Contract
from bot.localnet.market import Market
from bot.localnet.packages import SAFE, ensure
from bot.localnet.world import World
from bot.safe import checksum

ZERO = "0x" + "00" * 20
HELD_USD = 300_000
CALL, DELEGATECALL = 0, 1


def builders_calldata(entry: dict[str, Any]) -> bytes:
    """An entry of the file as Safe's transaction builder turns it into calldata: from names and texts alone."""
    if entry["data"]:
        return bytes.fromhex(entry["data"][2:])
    method = entry["contractMethod"]
    types = [parameter["type"] for parameter in method["inputs"]]
    texts = [entry["contractInputsValues"][parameter["name"]] for parameter in method["inputs"]]
    values = [int(text) if kind.startswith("uint") else text for kind, text in zip(types, texts, strict=True)]
    return keccak(f"{method['name']}({','.join(types)})".encode())[:4] + encode(types, values)


@dataclass
class Custody:
    """A Safe with its owners on the local chain; anyone may bring what they signed."""

    world: World
    safe: Contract
    multisend: Contract
    owners: Sequence[LocalAccount]
    folder: Path
    imported: list[dict[str, Any]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return self.safe.address

    @property
    def key(self) -> str:
        return self.world.accounts.hedger

    def execute(self, path: Path, signers: Sequence[LocalAccount]) -> None:
        """Imports a file as the builder does and executes it with these owners' signatures."""
        batch = json.loads(path.read_text(encoding="utf-8"))
        self.check_import(batch)
        calls = [(e["to"], int(e["value"]), builders_calldata(e)) for e in batch["transactions"]]
        if len(calls) == 1:
            to, value, data = calls[0]
            self._execute(to, value, data, CALL, signers)
            return
        packed = b"".join(
            bytes([CALL])
            + bytes.fromhex(to[2:])
            + value.to_bytes(32, "big")
            + len(data).to_bytes(32, "big")
            + data
            for to, value, data in calls
        )
        self._execute(
            self.multisend.address,
            0,
            self.multisend.interface.calldata("multiSend", (packed,)),
            DELEGATECALL,
            signers,
        )

    def check_import(self, batch: dict[str, Any]) -> None:
        """What the builder checks of a file, and warns about."""
        assert batch["version"] == "1.0"
        assert batch["chainId"] == str(self.world.chain_id)
        assert batch["meta"]["createdFromSafeAddress"] == self.address
        for entry in batch["transactions"]:
            assert isinstance(entry["value"], str)
            assert all(isinstance(value, str) for value in entry["contractInputsValues"].values())
        meta = {name: value for name, value in batch["meta"].items() if name != "checksum"}
        assert checksum({**batch, "meta": meta}) == batch["meta"]["checksum"]

    def _execute(
        self, to: str, value: int, data: bytes, operation: int, signers: Sequence[LocalAccount]
    ) -> None:
        nonce = self.safe.read("nonce")
        unpaid = (0, 0, 0, ZERO, ZERO)
        safe_hash = self.safe.read("getTransactionHash", to, value, data, operation, *unpaid, nonce)
        typed = self._typed_data(to, value, data, operation, nonce)
        signable = encode_typed_data(full_message=typed)
        assert keccak(b"\x19" + signable.version + signable.header + signable.body) == safe_hash
        ordered = sorted(signers, key=lambda owner: int(owner.address, 16))
        signatures = b"".join(bytes(owner.sign_message(signable).signature) for owner in ordered)
        self.safe.send(
            "execTransaction",
            to,
            value,
            data,
            operation,
            *unpaid,
            signatures,
            sender=self.world.accounts.keeper,
        )
        assert self.safe.read("nonce") == nonce + 1

    def _typed_data(self, to: str, value: int, data: bytes, operation: int, nonce: int) -> dict[str, Any]:
        """What an owner's wallet shows and signs (EIP-712)."""
        kinds = {
            "to": "address",
            "value": "uint256",
            "data": "bytes",
            "operation": "uint8",
            "safeTxGas": "uint256",
            "baseGas": "uint256",
            "gasPrice": "uint256",
            "gasToken": "address",
            "refundReceiver": "address",
            "nonce": "uint256",
        }
        values = (to, value, data, operation, 0, 0, 0, ZERO, ZERO, nonce)
        domain = {"chainId": "uint256", "verifyingContract": "address"}
        return {
            "types": {
                "EIP712Domain": [{"name": name, "type": kind} for name, kind in domain.items()],
                "SafeTx": [{"name": name, "type": kind} for name, kind in kinds.items()],
            },
            "primaryType": "SafeTx",
            "domain": {"chainId": self.world.chain_id, "verifyingContract": self.address},
            "message": dict(zip(kinds, values, strict=True)),
        }

    def config(self, **venue: Any) -> Path:
        own = {"trader": self.address, "delegate_approval": self.world.curie.delegate_approval}

        def edit(document: Any) -> None:
            document["books"][0]["venue"].update(
                {name: value for name, value in (own | venue).items() if value is not None}
            )

        return write_config(self.world, self.folder, edit=edit)

    def usdc_of(self, account: str) -> int:
        held: int = self.world.curie_contract("usdc").read("balanceOf", account)
        return held

    def collateral_of(self, account: str) -> Decimal:
        return Decimal(self.world.curie_contract("vault").read("getBalance", account)) / 10**6


def deploy_safe(world: World, owners: Sequence[str], threshold: int) -> tuple[Contract, Contract]:
    """A Safe through its factory, as Safe's own app makes one, and the contract that batches calls."""
    files, sender = Artifacts(ensure(SAFE) / "build/artifacts/contracts"), world.accounts.owner
    singleton = files.deploy(world.node, "Safe", sender=sender)
    factory = files.deploy(world.node, "SafeProxyFactory", sender=sender)
    handler = files.deploy(world.node, "CompatibilityFallbackHandler", sender=sender)
    multisend = files.deploy(world.node, "MultiSendCallOnly", sender=sender)
    setup = singleton.interface.calldata(
        "setup", (owners, threshold, ZERO, b"", handler.address, ZERO, 0, ZERO)
    )
    created = factory.send("createProxyWithNonce", singleton.address, setup, 7, sender=sender)
    (event,) = factory.interface.events("ProxyCreation", created)
    safe = files.at(world.node, "Safe", to_checksum_address(event["proxy"]))
    assert safe.read("getThreshold") == threshold
    return safe, multisend


@pytest.fixture
def custody(fresh: World, tmp_path: Path) -> Custody:
    """A 2-of-3 Safe with USDC. The hot key has nothing at the venue."""
    owners = [Account.from_key(keccak(f"owner {number}".encode())) for number in range(3)]
    safe, multisend = deploy_safe(fresh, [owner.address for owner in owners], 2)
    fresh.curie_contract("usdc").send("mint", safe.address, HELD_USD * 10**6, sender=fresh.accounts.owner)
    fresh.curie_contract("vault").send("withdrawAll", fresh.curie.usdc, sender=fresh.accounts.hedger)
    return Custody(fresh, safe, multisend, owners, tmp_path)


class Owners:
    """The command line, and what the owners make of its files."""

    def __init__(
        self, custody: Custody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.custody = custody
        self._here = (monkeypatch, capsys)
        self._files = 0

    def propose(self, *arguments: str, config: Path | None = None, safe: str | None = None) -> Path:
        """The file of a proposal."""
        self._files += 1
        out = self.custody.folder / f"proposal-{self._files}.json"
        code, _, err = self._run(*arguments, config=config, safe=safe, out=out)
        assert code == 0, err
        return out

    def refusal(self, *arguments: str, config: Path | None = None, safe: str | None = None) -> str:
        """Why there is no file."""
        out = self.custody.folder / "refused.json"
        code, _, err = self._run(*arguments, config=config, safe=safe, out=out)
        assert code != 0
        assert not out.exists()
        return " ".join(err.split())

    def sign(self, *arguments: str) -> None:
        """Proposes, and has the first and the third owner sign."""
        first, _, third = self.custody.owners
        self.custody.execute(self.propose(*arguments), [first, third])

    def _run(self, *arguments: str, config: Path | None, safe: str | None, out: Path) -> tuple[int, str, str]:
        path = config or self.custody.config()
        options = ("--safe", safe or self.custody.address, "--out", out, "--config", path)
        return run_here(*self._here, "propose", *arguments, *options)


@pytest.fixture
def owners(custody: Custody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Owners:
    return Owners(custody, monkeypatch, capsys)


def test_a_safe_holds_the_money_and_the_key_hedges_for_it(custody: Custody, owners: Owners) -> None:
    world = custody.world
    owners.sign("deposit", "250000")
    assert custody.usdc_of(custody.address) == 50_000 * 10**6
    assert custody.collateral_of(custody.address) == 250_000
    allowance = world.curie_contract("usdc").read("allowance", custody.address, world.curie.vault)
    assert allowance == 0, "exactly the deposit was approved"
    owners.sign("approve-delegate")
    market = Market(world, 3)
    market.open_interest(14)
    market.refresh()
    config = custody.config()
    with opened(config) as app:
        done = app.desk.tick(app.desk.books[0])
    assert isinstance(done.record.decision, Rebalance)
    assert done.outcome is not None
    assert done.outcome.state is OutcomeState.FILLED
    privileges = done.record.snapshot.venue.privileges
    assert privileges is not None
    assert privileges.in_words() == f"this key can trade for {custody.address} and can't withdraw"
    balances, vault = world.curie_contract("account_balance"), world.curie_contract("vault")
    base = world.curie.base_token
    held = balances.read("getTakerPositionSize", custody.address, base)
    assert Decimal(held) / 10**18 == done.record.decision.size
    assert trades_of(world, 0) == [], "the key itself trades nothing"
    with pytest.raises(VaultkeelError, match="V_NEFC"):
        vault.send("withdraw", world.curie.usdc, 10**6, sender=custody.key)
    owners.sign("withdraw", "100000.5")
    assert custody.usdc_of(custody.address) == 150_000_500_000
    owners.sign("revoke-delegate")
    with opened(config) as app:
        privileges = app.desk.assess(app.desk.books[0]).snapshot.venue.privileges
    assert privileges is not None
    assert not privileges.can_trade
    assert balances.read("getTakerPositionSize", custody.address, base) == held, "and nothing is lost"


class TestSignatures:
    def test_one_owner_of_two_is_not_enough(self, custody: Custody, owners: Owners) -> None:
        path = owners.propose("deposit", "1000")
        with pytest.raises(VaultkeelError, match="GS020"):  # signatures data too short
            custody.execute(path, custody.owners[:1])
        assert custody.usdc_of(custody.address) == HELD_USD * 10**6

    def test_the_hot_key_is_no_owner(self, custody: Custody, owners: Owners) -> None:
        path = owners.propose("deposit", "1000")
        key = Account.from_key(custody.world.hedger_key)
        assert key.address == custody.key
        with pytest.raises(VaultkeelError, match="GS026"):  # invalid owner provided
            custody.execute(path, [custody.owners[0], key])

    def test_a_batch_is_done_whole_or_not_at_all(self, custody: Custody, owners: Owners) -> None:
        path = owners.propose("deposit", "300000")
        usdc = custody.world.curie_contract("usdc")
        batch = json.loads(path.read_text(encoding="utf-8"))
        custody.execute(owners.propose("deposit", "1"), custody.owners[:2])  # what is left is too little now
        with pytest.raises(VaultkeelError, match="GS013"):  # the Safe's transaction failed
            custody.execute(path, custody.owners[:2])
        assert usdc.read("allowance", custody.address, custody.world.curie.vault) == 0
        assert [entry["contractMethod"]["name"] for entry in batch["transactions"]] == ["approve", "deposit"]

    @pytest.mark.parametrize(("threshold", "can"), [(1, True), (2, False)])
    def test_a_key_that_owns_a_safe_alone_is_said_to_withdraw(
        self, custody: Custody, owners: Owners, threshold: int, can: bool
    ) -> None:
        world = custody.world
        safe, _ = deploy_safe(world, [world.accounts.hedger, custody.owners[0].address], threshold)
        with opened(custody.config(trader=safe.address)) as app:
            privileges = app.desk.assess(app.desk.books[0]).snapshot.venue.privileges
        assert privileges is not None
        assert privileges.can_withdraw is can


class TestProposals:
    def test_a_safe_tops_up_an_account_that_is_not_its_own(self, custody: Custody, owners: Owners) -> None:
        config = custody.config(trader=None, delegate_approval=None)
        path = owners.propose("deposit", "1234.567891", config=config)
        custody.execute(path, custody.owners[1:])
        assert custody.collateral_of(custody.key) == Decimal("1234.567891")
        assert custody.collateral_of(custody.address) == 0

    def test_what_was_written_is_said_line_by_line(
        self, custody: Custody, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out, config = custody.folder / "shown.json", custody.config()
        arguments = ("propose", "deposit", "5", "--safe", custody.address.lower(), "--out", out)
        code, said, _ = run_here(monkeypatch, capsys, *arguments, "--config", config, "--json")
        assert code == 0
        shown = json.loads(said.splitlines()[-1])
        curie = custody.world.curie
        assert shown == {
            "file": str(out),
            "safe": custody.address,
            "chain_id": custody.world.chain_id,
            "name": "Deposit 5",
            "steps": [
                f"approve(spender = {curie.vault}, amount = 5000000) at {curie.usdc}",
                f"deposit(token = {curie.usdc}, amount = 5000000) at {curie.vault}",
            ],
            "signatures": 2,
            "owners": 3,
        }
        code, _, err = run_here(monkeypatch, capsys, *arguments, "--config", config)
        assert code == 2
        assert "can't be written: File exists" in " ".join(err.split())

    def test_another_key_can_be_approved_and_revoked(self, custody: Custody, owners: Owners) -> None:
        other = custody.world.accounts.traders[0]
        owners.sign("approve-delegate", "--delegate", other)
        approvals = custody.world.curie_contract("delegate_approval")
        assert approvals.read("canOpenPositionFor", custody.address, other)
        assert not approvals.read("canOpenPositionFor", custody.address, custody.key)
        owners.sign("revoke-delegate", "--delegate", other)
        assert approvals.read("getApprovedActions", custody.address, other) == 0

    def test_what_owners_would_sign_in_vain_is_refused(self, custody: Custody, owners: Owners) -> None:
        held = (
            f"the Safe {custody.address} holds 300000.000000 of {custody.world.curie.usdc}, less than 300001"
        )
        assert held in owners.refusal("deposit", "300001")
        assert "has 0.000000 of free collateral, less than 1" in owners.refusal("withdraw", "1")
        assert "has no approval" in owners.refusal("revoke-delegate")
        owners.sign("approve-delegate")
        assert f"{custody.key} can trade for {custody.address} already" in owners.refusal("approve-delegate")

    def test_amounts_that_the_token_can_not_express_are_refused(self, owners: Owners) -> None:
        assert "0.0000001 has more than 6 decimals, which" in owners.refusal("deposit", "0.0000001")
        assert "an amount of nothing can't be proposed" in owners.refusal("deposit", "0")
        assert "'ten' is not a decimal number" in owners.refusal("deposit", "ten")

    def test_a_paused_venue_refuses_now_and_not_when_all_have_signed(
        self, custody: Custody, owners: Owners
    ) -> None:
        owners.sign("deposit", "1000")
        world = custody.world
        world.curie_contract("vault").send("pause", sender=world.accounts.owner)
        assert "would revert: Pausable: paused" in owners.refusal("withdraw", "10")

    def test_an_address_that_is_no_safe_is_refused(self, custody: Custody, owners: Owners) -> None:
        world = custody.world
        cases = {
            world.accounts.maker: f"--safe: there is no contract at {world.accounts.maker} on localnet",
            world.curie.vault: f"--safe: the contract at {world.curie.vault} is no Safe",
            "0x12": "--safe: an address is 0x and 40 hex digits",
        }
        config = custody.config(trader=None, delegate_approval=None)
        for safe, why in cases.items():
            assert why in owners.refusal("deposit", "1", safe=safe, config=config)

    def test_a_safe_decides_for_its_own_account_alone(self, custody: Custody, owners: Owners) -> None:
        config = custody.config(trader=custody.world.accounts.maker)
        for command in (("withdraw", "1"), ("approve-delegate",), ("revoke-delegate",)):
            refused = owners.refusal(*command, config=config)
            assert f"the position is {custody.world.accounts.maker}'s" in refused
