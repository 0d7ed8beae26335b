"""The file that Safe's transaction builder imports: its form, its checksum, and what is not proposed at all."""

from decimal import Decimal
from typing import Any

import pytest
from builders import address, feed
from eth_utils.crypto import keccak

from bot.chain.contracts import contract
from bot.errors import ConfigError, OrderRejected
from bot.safe import Proposal, Step, batch_file, checksum, ownership_calls, signs_alone
from bot.venues.curie_custody import CurieCustody

SAFE, VAULT, TOKEN, KEY, APPROVALS = (address(number) for number in range(1, 6))
CUSTODY = CurieCustody(SAFE, contract("curie_vault", VAULT), contract("curie_delegate_approval", APPROVALS))
OWNER = "0x49d4450977E2c95362C13D3a31a09311E0Ea26A6"


def method(name: str, *inputs: tuple[str, str]) -> dict[str, Any]:
    return {
        "inputs": [{"internalType": kind, "name": argument, "type": kind} for argument, kind in inputs],
        "name": name,
        "payable": False,
    }


BUILDERS_OWN: dict[str, Any] = {
    "version": "1.0",
    "chainId": "4",
    "createdAt": 1646321521061,
    "meta": {
        "name": "test batch file",
        "txBuilderVersion": "1.4.0",
        "checksum": "",
        "createdFromSafeAddress": "0xDF8a1Ce35c9a6ACE153B4e0767942f1E2291a1Aa",
        "createdFromOwnerAddress": OWNER,
    },
    "transactions": [
        {
            "to": OWNER,
            "value": "0",
            "contractMethod": method("testAddress", ("paramAddress", "address")),
            "contractInputsValues": {"paramAddress": OWNER},
        },
        {
            "to": OWNER,
            "value": "0",
            "contractMethod": method("testBool", ("paramBool", "bool")),
            "contractInputsValues": {"paramAddress": "", "paramBool": "false"},
        },
        {
            "to": OWNER,
            "value": "2000000000000000000",
            "data": "0x42f4579000000000000000000000000049d4450977e2c95362c13d3a31a09311e0ea26a6",
        },
    ],
}
"""The example in the builder's own tests, where the empty checksum counts as a field."""

FROM_THE_APP: dict[str, Any] = {
    "version": "1.0",
    "chainId": "1",
    "createdAt": 1761326849944,
    "meta": {
        "name": "Transactions Batch",
        "description": "",
        "txBuilderVersion": "1.18.2",
        "createdFromSafeAddress": "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6",
        "createdFromOwnerAddress": "",
    },
    "transactions": [
        {
            "to": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
            "value": "0",
            "data": None,
            "contractMethod": method("approve", ("spender", "address"), ("value", "uint256")),
            "contractInputsValues": {
                "spender": "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8",
                "value": "100000000000",
            },
        }
    ],
}
"""A file that Safe's web app saved."""


class TestFile:
    @pytest.mark.parametrize(
        ("batch", "expected"),
        [
            (BUILDERS_OWN, "0x4ecbfd364aa6759983915644e73f8bd411e85a2dc306f252a387c2728c4db64c"),
            (FROM_THE_APP, "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989"),
        ],
        ids=["the builder's own example", "a file from the app"],
    )
    def test_the_checksum_is_the_builders(self, batch: dict[str, Any], expected: str) -> None:
        assert checksum(batch) == expected

    def test_a_proposal_has_the_form_of_a_file_from_the_app(self) -> None:
        usdc = contract("erc20", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48")
        step = Step(usdc, "approve", ("0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8", 10**11))
        safe = "0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6"
        batch = batch_file(Proposal("Transactions Batch", "", (step,)), 1, safe.lower(), 1761326849944)
        meta = {name: value for name, value in batch["meta"].items() if name != "checksum"}
        (entry,) = batch["transactions"]
        (theirs,) = FROM_THE_APP["transactions"]
        assert meta == FROM_THE_APP["meta"]
        assert {**batch, "meta": 0, "transactions": 0} == {**FROM_THE_APP, "meta": 0, "transactions": 0}
        assert entry.keys() == theirs.keys()
        assert entry["contractMethod"] == method("approve", ("spender", "address"), ("amount", "uint256"))
        assert list(entry["contractInputsValues"].values()) == [
            "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8",
            "100000000000",
        ]
        assert batch["meta"]["checksum"] == checksum({**batch, "meta": meta})

    @pytest.mark.parametrize("where", ["chainId", "createdAt", "transactions"])
    def test_the_checksum_tells_a_changed_file_and_lets_owners_rename_it(self, where: str) -> None:
        renamed = {**FROM_THE_APP, "meta": {**FROM_THE_APP["meta"], "name": "another"}}
        assert checksum(renamed) == checksum(FROM_THE_APP)
        assert checksum({**FROM_THE_APP, where: []}) != checksum(FROM_THE_APP)

    def test_a_step_is_what_its_entry_says(self) -> None:
        step = Step(contract("curie_delegate_approval", APPROVALS), "revoke", (KEY, 7))
        assert step.in_words() == f"revoke(delegate = {KEY}, actions = 7) at {APPROVALS}"
        words = bytes.fromhex(KEY[2:]).rjust(32, b"\0") + (7).to_bytes(32, "big")
        assert step.call.data == keccak(b"revoke(address,uint8)")[:4] + words
        assert step.call.to == step.entry()["to"] == APPROVALS

    def test_an_argument_that_one_line_can_not_say_is_not_proposed(self) -> None:
        house = contract("curie_clearing_house", address(9))
        with pytest.raises(TypeError, match="openPosition: an argument of type tuple can't be proposed"):
            Step(house, "openPosition", (0,)).entry()


def proposed(reader: Any, *rounds: list[Any]) -> list[tuple[str, str, tuple[Any, ...]]]:
    proposal, _ = feed(reader, rounds)
    return [(step.function, step.contract.address, step.arguments) for step in proposal.steps]


class TestCurie:
    def test_a_deposit_approves_exactly_its_amount(self) -> None:
        raw = 1_500_000
        assert proposed(CUSTODY.deposit(SAFE, Decimal("1.5")), [TOKEN, 6], [raw]) == [
            ("approve", TOKEN, (VAULT, raw)),
            ("deposit", VAULT, (TOKEN, raw)),
        ]
        other = address(8)
        assert proposed(CUSTODY.deposit(other, Decimal("1.5")), [TOKEN, 6], [raw]) == [
            ("approve", TOKEN, (VAULT, raw)),
            ("depositFor", VAULT, (SAFE, TOKEN, raw)),
        ]
        with pytest.raises(OrderRejected, match=f"{SAFE} holds 1.499999 of {TOKEN}, less than 1.5"):
            feed(CUSTODY.deposit(SAFE, Decimal("1.5")), [[TOKEN, 6], [raw - 1]])

    def test_a_withdrawal_is_of_free_collateral(self) -> None:
        assert proposed(CUSTODY.withdraw(SAFE, Decimal(2)), [TOKEN, 6], [2_000_000]) == [
            ("withdraw", VAULT, (TOKEN, 2_000_000))
        ]
        with pytest.raises(OrderRejected, match=r"has 1\.999999 of free collateral, less than 2"):
            feed(CUSTODY.withdraw(SAFE, Decimal(2)), [[TOKEN, 6], [1_999_999]])

    def test_a_delegate_gets_one_approval_and_loses_all(self) -> None:
        assert proposed(CUSTODY.approve(SAFE, KEY), [6]) == [("approve", APPROVALS, (KEY, 1))]
        assert proposed(CUSTODY.revoke(SAFE, KEY), [2]) == [("revoke", APPROVALS, (KEY, 7))]
        with pytest.raises(OrderRejected, match="can trade for"):
            feed(CUSTODY.approve(SAFE, KEY), [[1]])
        with pytest.raises(OrderRejected, match="has no approval"):
            feed(CUSTODY.revoke(SAFE, KEY), [[0]])
        with pytest.raises(ConfigError, match="needs no approval to trade for itself"):
            feed(CUSTODY.approve(SAFE, SAFE), [])

    def test_without_a_delegation_no_contract_is_guessed(self) -> None:
        bare = CurieCustody(SAFE, CUSTODY.vault, None)
        for reader in (bare.approve(SAFE, KEY), bare.revoke(SAFE, KEY)):
            with pytest.raises(ConfigError, match=r"books\.venue\.delegate_approval"):
                feed(reader, [])


class TestOwnership:
    def test_an_account_that_is_no_safe_answers_as_it_likes(self) -> None:
        for call in ownership_calls(SAFE, KEY):
            assert call.may_fail
            assert call.decode(b"") is None
            assert call.decode(b"\xff" * 31) is None
        owner, threshold = ownership_calls(SAFE, KEY)
        assert owner.decode((1).to_bytes(32, "big")) is True
        assert threshold.decode((3).to_bytes(32, "big")) == 3

    @pytest.mark.parametrize(
        ("answers", "alone"),
        [
            ((True, 1), True),
            ((True, 2), False),
            ((False, 1), False),
            ((None, 1), False),
            ((True, None), False),
        ],
    )
    def test_a_key_moves_a_safe_by_itself_where_it_is_the_one_owner_needed(
        self, answers: tuple[Any, Any], alone: bool
    ) -> None:
        assert signs_alone(answers) is alone
