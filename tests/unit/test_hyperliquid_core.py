"""HyperCore's precompiles and CoreWriter's actions, byte for byte."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import ACCOUNT, address, receipt
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hyperliquid_models import ETH, WRITER, order_action, precompile, sent, transfer_action
from hypothesis import given
from hypothesis import strategies as st

from bot.chain.contracts import contract
from bot.errors import DataError
from bot.venues import hyperliquid_core as core
from bot.venues.hyperliquid_market import cloid_of, cloid_text, is_ours

D = Decimal
VECTOR = (
    "01000001"
    "0000000000000000000000000000000000000000000000000000000000000001"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000045dc5fa880"
    "00000000000000000000000000000000000000000000000000000000017d7840"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000003"
    "0000000000000000000000000000000000000000000000000000000000000007"
)
"""Sells 0.25 of asset 1 at 3000.5, immediately or not at all, as client order 7."""
ORDER = core.LimitOrder(1, False, D("3000.5"), D("0.25"), reduce_only=False, tif=3, cloid=7)
WRITER_CONTRACT = contract("hyperevm_core_writer", WRITER)
U64 = st.integers(0, 2**64 - 1)


def test_the_known_order_has_the_known_bytes() -> None:
    assert core.encode_action(ORDER).hex() == VECTOR
    assert core.decode_action(bytes.fromhex(VECTOR)) == ORDER
    assert ORDER.signed == D("-0.25")


def test_the_writers_selector_and_event_are_the_documented_ones() -> None:
    assert WRITER_CONTRACT.abi.selector("sendRawAction").hex() == "17938e13"
    assert WRITER_CONTRACT.abi.topic("RawAction") == keccak(text="RawAction(address,bytes)")


@given(
    st.integers(0, 2**32 - 1),
    st.booleans(),
    U64,
    U64,
    st.booleans(),
    st.integers(0, 255),
    st.integers(0, 2**128 - 1),
)
def test_an_order_is_read_back_as_it_was_written(
    asset: int, is_buy: bool, price: int, size: int, reduce_only: bool, tif: int, cloid: int
) -> None:
    data = order_action(is_buy, price, size, reduce_only=reduce_only, cloid=cloid, asset=asset, tif=tif)
    found = core.decode_action(data)
    assert isinstance(found, core.LimitOrder)
    assert core.encode_action(found) == data
    assert (found.asset, found.is_buy, found.tif, found.cloid) == (asset, is_buy, tif, cloid)
    assert (found.price * 10**8, found.size * 10**8) == (price, size)


@given(U64, st.booleans())
def test_a_transfer_is_read_back_as_it_was_written(raw: int, to_perp: bool) -> None:
    data = transfer_action(raw, to_perp=to_perp)
    found = core.decode_action(data)
    assert found == core.UsdClassTransfer(D(raw).scaleb(-6), to_perp)
    assert core.encode_action(found) == data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "version none"),
        (b"\x01\x00\x00", "version 1"),
        (b"\x02\x00\x00\x01" + bytes(224), "version 2"),
        (b"\x01\x00\x00\x06" + bytes(96), "spotSend"),
        (b"\x01\x00\x00\x02" + bytes(96), "vaultTransfer"),
        (b"\x01\x00\x00\x09" + bytes(96), "addApiWallet"),
        (b"\x01\x00\x00\x0d" + bytes(96), "sendAsset"),
        (b"\x01\x00\x01\x01" + bytes(224), "unknown kind"),
        (bytes.fromhex(VECTOR)[:-1], "another form"),
        (bytes.fromhex(VECTOR) + b"\0", "canonical"),
        (bytes.fromhex(VECTOR)[:67] + b"\x02" + bytes.fromhex(VECTOR)[68:], "another form"),
    ],
)
def test_whatever_is_no_action_of_ours_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(DataError, match=said):
        core.decode_action(data)


def test_an_amount_that_an_action_can_not_say_is_refused() -> None:
    with pytest.raises(ValueError, match="decimals"):
        core.encode_action(replace(ORDER, size=D("0.000000001")))
    with pytest.raises(ValueError, match="decimals"):
        core.encode_action(core.UsdClassTransfer(D("0.0000001"), to_perp=True))


class TestQuestions:
    def test_a_precompile_is_asked_without_a_selector_at_its_address(self) -> None:
        call = core.position(ACCOUNT, 1)
        assert call.to.lower() == precompile(0x813)
        assert call.data == encode(["address", "uint32"], [ACCOUNT, 1])
        assert core.margin_summary(2, ACCOUNT).data == encode(["uint32", "address"], [2, ACCOUNT])

    @pytest.mark.parametrize(
        ("call", "number"),
        [
            (core.spot_usdc(ACCOUNT), 0x801),
            (core.withdrawable(ACCOUNT), 0x803),
            (core.mark_price(1), 0x806),
            (core.oracle_price(1), 0x807),
            (core.asset_info(1), 0x80A),
            (core.best_prices(1), 0x80E),
            (core.margin_summary(0, ACCOUNT), 0x80F),
            (core.user_exists(ACCOUNT), 0x810),
        ],
    )
    def test_each_has_its_documented_number(self, call: core.Call, number: int) -> None:
        assert call.to.lower() == precompile(number)
        assert call.to in call.name

    def test_an_empty_answer_says_that_there_is_no_hypercore(self) -> None:
        with pytest.raises(DataError, match="no read precompiles"):
            core.mark_price(1).decode(b"")

    def test_another_answer_than_documented_is_refused_with_its_name(self) -> None:
        with pytest.raises(DataError, match="accountMarginSummary"):
            core.margin_summary(0, ACCOUNT).decode(bytes(40))

    def test_a_revert_names_what_was_asked(self) -> None:
        assert "77" in core.asset_info(77).explain(b"")


class TestReceipts:
    def test_the_action_is_the_accounts_own(self) -> None:
        data = bytes.fromhex(VECTOR)
        assert core.sent_in(WRITER_CONTRACT, sent(data), ACCOUNT) == ORDER

    @pytest.mark.parametrize("who", [address(66), address(67)])
    def test_another_accounts_action_is_not(self, who: str) -> None:
        with pytest.raises(DataError, match="passed 0 actions"):
            core.sent_in(WRITER_CONTRACT, sent(bytes.fromhex(VECTOR), who=who), ACCOUNT)

    def test_two_actions_are_none(self) -> None:
        one = sent(bytes.fromhex(VECTOR))
        with pytest.raises(DataError, match="passed 2 actions"):
            core.sent_in(WRITER_CONTRACT, replace(one, logs=one.logs * 2), ACCOUNT)

    def test_another_contracts_event_does_not_count(self) -> None:
        (log,) = sent(bytes.fromhex(VECTOR)).logs
        other = receipt("0x" + "ab" * 32, logs=(replace(log, address=address(66)),))
        with pytest.raises(DataError, match="passed 0 actions"):
            core.sent_in(WRITER_CONTRACT, other, ACCOUNT)


class TestNames:
    @given(st.text(min_size=1), st.text(min_size=1))
    def test_a_client_order_id_follows_from_the_key_alone(self, one: str, other: str) -> None:
        assert cloid_of(one) == cloid_of(one)
        assert (cloid_of(one) == cloid_of(other)) is (one == other)
        assert is_ours(cloid_of(one))
        assert 0 < cloid_of(one) < 2**128

    def test_others_ids_are_not_ours(self) -> None:
        assert not any(map(is_ours, (0, 7, 2**96 - 1, 2**128 - 1)))
        assert cloid_text(7) == "0x" + "0" * 31 + "7"

    def test_perps_of_other_dexes_have_their_own_numbers(self) -> None:
        hip3 = replace(ETH, index=20_003)
        assert (hip3.dex, hip3.asset) == (2, 120_003)
        assert (ETH.dex, ETH.asset) == (0, 1)
