"""Calldata, results, events and reverts: there and back, and no garbage taken for a value."""

import contextlib
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, CURIE, address, position_changed, word
from eth_abi.abi import encode
from eth_utils.abi import function_signature_to_4byte_selector
from hypothesis import given
from hypothesis import strategies as st

from bot.chain.contracts import ERROR_STRING, PANIC, Abi, contract, load_abi
from bot.errors import ConfigError, DataError
from bot.ports import Log

HOUSE = load_abi("curie_clearing_house")
MULTICALL = load_abi("multicall3")
TOKENS = load_abi("lyra_option_token")
ERC20 = load_abi("erc20")
ACCOUNT_BALANCE = load_abi("curie_account_balance")
ABIS = ("multicall3", "lyra_viewer", "lyra_option_token", "curie_clearing_house", "curie_quoter", "erc20")
FUNCTIONS = [(name, function) for name in ABIS for function in load_abi(name).functions]

ORDER = {
    "baseToken": CURIE.base_token,
    "isBaseToQuote": True,
    "isExactInput": True,
    "amount": 5 * 10**18,
    "oppositeAmountBound": 10**22,
    "deadline": 1_700_000_120,
    "sqrtPriceLimitX96": 0,
    "referralCode": bytes(32),
}
CALLS = [
    {"target": address(1), "allowFailure": True, "callData": b"\x01\x02"},
    {"target": address(2), "allowFailure": False, "callData": b""},
]
TOO_MUCH = function_signature_to_4byte_selector("TooMuch(address,int256)")
POOL = Abi(
    name="pool",
    functions={},
    events={},
    errors={
        TOO_MUCH: {
            "type": "function",
            "name": "TooMuch",
            "inputs": [{"name": "who", "type": "address"}, {"name": "amount", "type": "int256"}],
        }
    },
)
# keccak("approve(address,uint256)")[:4] and keccak("aggregate3((address,bool,bytes)[])")[:4], as published.
APPROVE, AGGREGATE3 = bytes.fromhex("095ea7b3"), bytes.fromhex("82ad56cb")


def test_selectors_are_the_published_ones() -> None:
    assert ERC20.selector("approve") == APPROVE
    assert MULTICALL.selector("aggregate3") == AGGREGATE3


def test_a_struct_is_encoded_from_its_fields_or_from_a_tuple() -> None:
    assert HOUSE.encode("openPosition", ORDER) == HOUSE.encode("openPosition", tuple(ORDER.values()))


def test_the_order_of_a_structs_given_fields_makes_no_difference() -> None:
    backwards = dict(reversed(ORDER.items()))
    assert HOUSE.encode("openPosition", backwards) == HOUSE.encode("openPosition", ORDER)


def test_an_array_of_structs_is_encoded_from_their_fields_or_from_tuples() -> None:
    tuples = [tuple(call.values()) for call in CALLS]
    assert MULTICALL.encode("aggregate3", CALLS) == MULTICALL.encode("aggregate3", tuples)


@pytest.mark.parametrize(
    ("abi", "function", "arguments"),
    [
        (HOUSE, "openPosition", {"params": ORDER}),
        (MULTICALL, "aggregate3", {"calls": CALLS}),
        (MULTICALL, "aggregate3", {"calls": []}),
        (TOKENS, "getOptionPositions", {"positionIds": [1, 2, 2**256 - 1]}),
        (ERC20, "approve", {"spender": ACCOUNT, "amount": 2**256 - 1}),
        (ERC20, "decimals", {}),
    ],
)
def test_calldata_survives_the_round_trip(abi: Any, function: str, arguments: dict[str, Any]) -> None:
    data = abi.encode(function, *arguments.values())
    assert abi.decode_input(data) == (function, arguments)
    name, decoded = abi.decode_input(data)
    assert abi.encode(name, *decoded.values()) == data


@given(st.fixed_dictionaries({
    "baseToken": st.just(CURIE.base_token),
    "isBaseToQuote": st.booleans(),
    "isExactInput": st.booleans(),
    "amount": st.integers(0, 2**256 - 1),
    "oppositeAmountBound": st.integers(0, 2**256 - 1),
    "deadline": st.integers(0, 2**256 - 1),
    "sqrtPriceLimitX96": st.integers(0, 2**160 - 1),
    "referralCode": st.binary(min_size=32, max_size=32),
}))  # fmt: skip
def test_any_order_survives_the_round_trip(order: dict[str, Any]) -> None:
    assert HOUSE.decode_input(HOUSE.encode("openPosition", order)) == ("openPosition", {"params": order})


def test_one_output_is_itself_and_several_are_a_list() -> None:
    assert ERC20.decode_output("decimals", encode(["uint8"], [6])) == 6
    three = encode(["int256", "int256", "uint256"], [-1, 2, 3])
    assert ACCOUNT_BALANCE.decode_output("getPnlAndPendingFee", three) == [-1, 2, 3]


def test_a_struct_is_answered_by_field_and_an_array_of_structs_as_a_list() -> None:
    rows = [(7, 3, 1, 10**18, 5, 1), (8, 4, 0, 2 * 10**18, 0, 2)]
    raw = encode(["(uint256,uint256,uint8,uint256,uint256,uint8)[]"], [rows])
    decoded = TOKENS.decode_output("getOptionPositions", raw)
    assert decoded[0] == {
        "positionId": 7,
        "strikeId": 3,
        "optionType": 1,
        "amount": 10**18,
        "collateral": 5,
        "state": 1,
    }
    assert [row["positionId"] for row in decoded] == [7, 8]


def test_an_address_is_answered_in_its_checksum_form() -> None:
    quoted = "0xcA11bde05977b3631167028862bE2a173976CA11"
    data = ERC20.encode("balanceOf", quoted.lower())
    assert ERC20.decode_input(data) == ("balanceOf", {"account": quoted})


@pytest.mark.parametrize(
    "arguments",
    [
        ({**ORDER, "amount": -1},),
        ({**ORDER, "amount": 2**256},),
        ({**ORDER, "amount": 1.5},),
        ({**ORDER, "baseToken": "0x12"},),
        ({**ORDER, "referralCode": bytes(33)},),
    ],
)
def test_a_value_that_its_type_cant_hold_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(DataError, match=r"curie_clearing_house\.openPosition"):
        HOUSE.encode("openPosition", *arguments)


@pytest.mark.parametrize("data", [b"", b"\x00", bytes(4), bytes(300)])
def test_calldata_of_another_function_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="no function with selector"):
        HOUSE.decode_input(data)


@pytest.mark.parametrize(
    "body",
    [b"", bytes(31), bytes(8 * 32 - 1), b"\xff" * 8 * 32],
    ids=["none", "short", "nearly", "overflowing"],
)
def test_calldata_that_is_not_its_type_is_refused(body: bytes) -> None:
    with pytest.raises(DataError, match="openPosition answered something that is not its type"):
        HOUSE.decode_input(HOUSE.selector("openPosition") + body)


@given(st.sampled_from(FUNCTIONS), st.binary(max_size=400))
def test_garbage_is_a_value_of_its_type_or_a_data_error(where: tuple[str, str], data: bytes) -> None:
    abi, function = load_abi(where[0]), where[1]
    for decode in (
        lambda: abi.decode_input(abi.selector(function) + data),
        lambda: abi.decode_output(function, data),
    ):
        with contextlib.suppress(DataError):
            decode()


def test_an_empty_answer_is_never_taken_for_a_zero() -> None:
    """A call to an address without code succeeds and returns nothing."""
    with pytest.raises(DataError, match=r"erc20\.balanceOf"):
        ERC20.decode_output("balanceOf", b"")


class TestEvents:
    def test_indexed_and_plain_arguments_come_by_name(self) -> None:
        log = position_changed(Decimal("-2.5"), "2001")
        assert HOUSE.decode_event("PositionChanged", log) == {
            "trader": ACCOUNT,
            "baseToken": CURIE.base_token,
            "exchangedPositionSize": -25 * 10**17,
            "exchangedPositionNotional": 50025 * 10**17,
            "fee": 50025 * 10**14,
            "openNotional": 0,
            "realizedPnl": 0,
            "sqrtPriceAfterX96": 0,
        }

    def test_another_event_is_none(self) -> None:
        assert HOUSE.decode_event("FundingPaymentSettled", position_changed(Decimal(1))) is None
        assert HOUSE.decode_event("PositionChanged", Log(CURIE.clearing_house, (), b"")) is None

    @pytest.mark.parametrize(
        ("topics", "data"),
        [
            ((word(ACCOUNT), word(CURIE.base_token)), bytes(31)),
            ((word(ACCOUNT),), bytes(6 * 32)),
            ((word(ACCOUNT), word(CURIE.base_token), bytes(32)), bytes(6 * 32)),
            ((b"\xff" * 32, word(CURIE.base_token)), bytes(6 * 32)),
        ],
        ids=["short data", "a topic less", "a topic more", "a dirty address"],
    )
    def test_a_garbled_event_is_a_data_error(self, topics: tuple[bytes, ...], data: bytes) -> None:
        log = Log(CURIE.clearing_house, (HOUSE.topic("PositionChanged"), *topics), data)
        with pytest.raises(DataError, match="PositionChanged"):
            HOUSE.decode_event("PositionChanged", log)


class TestReverts:
    def test_a_reason_string_is_told(self) -> None:
        assert HOUSE.explain(ERROR_STRING + encode(["string"], ["CH_NEFCI"])) == "CH_NEFCI"

    def test_a_panic_is_told_with_its_code(self) -> None:
        assert HOUSE.explain(PANIC + encode(["uint256"], [0x11])) == "Panic(0x11)"

    def test_a_custom_error_is_told_with_its_arguments(self) -> None:
        body = encode(["address", "int256"], [address(5), -3])
        assert POOL.explain(TOO_MUCH + body) == f"TooMuch(who={address(5)}, amount=-3)"

    def test_no_data_is_told_as_such(self) -> None:
        assert HOUSE.explain(b"") == "reverted without a reason"

    @pytest.mark.parametrize("revert", [b"\x01", b"\x01\x02\x03\x04", b"\xde\xad\xbe\xef" + bytes(500)])
    def test_an_unknown_error_is_shown_raw_and_short(self, revert: bytes) -> None:
        told = HOUSE.explain(revert)
        assert told == f"unknown error 0x{revert.hex()[:72]}"

    @pytest.mark.parametrize(
        "revert",
        [
            ERROR_STRING,
            ERROR_STRING + b"\xff" * 10,
            ERROR_STRING + b"\xff" * 64,
            ERROR_STRING + encode(["bytes"], [b"\xff\xfe"]),
            PANIC + b"\x01",
        ],
        ids=["cut off", "short", "a wild offset", "not utf-8", "a short panic"],
    )
    def test_a_garbled_reason_is_shown_raw_and_never_raises(self, revert: bytes) -> None:
        assert HOUSE.explain(revert) == f"unreadable error 0x{revert.hex()[:72]}"

    @given(st.sampled_from([b"", ERROR_STRING, PANIC, TOO_MUCH]), st.binary(max_size=200))
    def test_any_revert_has_words(self, selector: bytes, body: bytes) -> None:
        assert POOL.explain(selector + body)


def test_a_call_names_its_contract_and_its_function() -> None:
    call = contract("erc20", address(3)).call("balanceOf", ACCOUNT, may_fail=True)
    assert (call.to, call.name, call.may_fail) == (address(3), f"erc20.balanceOf at {address(3)}", True)
    assert call.decode(encode(["uint256"], [9])) == 9


def test_an_abi_that_is_not_shipped_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match=r"abis/nonesuch\.json is missing"):
        load_abi("nonesuch")
