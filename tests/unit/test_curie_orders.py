"""What the Curie adapter signs for an order, and what it makes of a mined one."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import (
    ACCOUNT,
    CURIE,
    ScriptedCurie,
    address,
    feed,
    funding_settled,
    intent,
    position_changed,
    receipt,
    venue_state,
)
from eth_abi.abi import encode

from bot.chain.contracts import ERROR_STRING
from bot.core.model import Outcome, OutcomeState
from bot.errors import DataError
from bot.ports import Log, Receipt, TxCall

E18 = 10**18
VENUE = ScriptedCurie(venue_state())
TX = "0x" + "ab" * 32


def decoded(call: TxCall) -> tuple[str, dict[str, Any]]:
    function, arguments = VENUE._house.abi.decode_input(call.data)
    return function, arguments["params"]


def outcome(size: str, mined: Receipt) -> Outcome:
    told, rounds = feed(VENUE.outcome(intent(size=size), mined, venue_state()), [])
    assert rounds == [], "a receipt is enough"
    return told  # type: ignore[no-any-return]


class TestPreparing:
    @pytest.mark.parametrize(("size", "sells"), [("5", False), ("-5", True), ("-0.001", True)])
    def test_an_order_is_for_exactly_the_size_with_bound_and_deadline(self, size: str, sells: bool) -> None:
        asked = intent(size=size, price_bound=Decimal("2010.123456"))
        call = VENUE.prepare(asked, venue_state("7"))
        function, params = decoded(call)
        assert (function, call.to, call.value) == ("openPosition", CURIE.clearing_house, 0)
        assert params == {
            "baseToken": CURIE.base_token,
            "isBaseToQuote": sells,
            "isExactInput": sells,
            "amount": int(abs(Decimal(size)) * E18),
            "oppositeAmountBound": int(abs(Decimal(size)) * Decimal("2010.123456") * E18),
            "deadline": asked.deadline,
            "sqrtPriceLimitX96": 0,
            "referralCode": bytes(32),
        }

    @pytest.mark.parametrize(("size", "position"), [("5", "-5"), ("-5", "5")])
    def test_an_order_that_leaves_nothing_is_the_protocols_close(self, size: str, position: str) -> None:
        function, params = decoded(VENUE.prepare(intent(size=size), venue_state(position)))
        assert function == "closePosition"
        assert params["oppositeAmountBound"] == 5 * 2010 * E18
        assert params["baseToken"] == CURIE.base_token

    @pytest.mark.parametrize(("size", "position"), [("5", "5"), ("5", "0"), ("5", "-5.000000000000000001")])
    def test_any_other_order_is_not_a_close(self, size: str, position: str) -> None:
        assert decoded(VENUE.prepare(intent(size=size), venue_state(position)))[0] == "openPosition"


class TestExpecting:
    def test_a_buy_pays_the_fee_on_top(self) -> None:
        paid = int(Decimal(10_000) / Decimal("0.999") * E18)
        told = VENUE.expected(intent(size="5"), venue_state(), encode(["uint256"] * 2, [5 * E18, paid]))
        assert told.size == 5
        assert told.notional == pytest.approx(Decimal(10_000), abs=Decimal("1e-12"))
        assert told.fee_usd == pytest.approx(Decimal(10) / Decimal("0.999"), abs=Decimal("1e-12"))
        assert told.impact_usd == pytest.approx(Decimal(0), abs=Decimal("1e-12"))

    def test_a_sale_brings_the_notional_less_the_fee(self) -> None:
        told = VENUE.expected(
            intent(size="-5"), venue_state(), encode(["uint256"] * 2, [5 * E18, 9_990 * E18 - E18])
        )
        assert told.size == -5
        assert told.notional == pytest.approx(Decimal(9_989) / Decimal("0.999"), abs=Decimal("1e-12"))
        assert told.fee_usd == pytest.approx(told.notional / 1000, abs=Decimal("1e-12"))
        assert told.impact_usd == pytest.approx(10_000 - told.notional, abs=Decimal("1e-12"))
        assert told.impact_usd > 0

    def test_a_preflight_that_answered_nothing_is_a_data_error(self) -> None:
        with pytest.raises(DataError):
            VENUE.expected(intent(), venue_state(), b"")


class TestOutcome:
    @pytest.mark.parametrize("size", ["5", "-5"])
    def test_an_order_that_traded_its_size_is_filled(self, size: str) -> None:
        worse = "2004" if size == "5" else "1996"
        told = outcome(size, receipt(TX, logs=(position_changed(Decimal(size), worse),)))
        assert (told.state, told.reason) == (OutcomeState.FILLED, "")
        assert told.fill is not None
        assert told.fill.size == Decimal(size)
        assert told.fill.notional == 5 * Decimal(worse)
        assert told.fill.fee_usd == told.fill.notional / 1000
        assert told.fill.impact_usd == 20
        assert told.fill.funding_usd == 0

    def test_an_order_that_traded_less_is_partial(self) -> None:
        told = outcome("5", receipt(TX, logs=(position_changed(Decimal("1.25")),)))
        assert told.state is OutcomeState.PARTIAL
        assert told.fill is not None
        assert told.fill.size == Decimal("1.25")
        assert "+1.25" in told.reason
        assert "+5" in told.reason

    def test_a_reverted_order_is_dead_and_traded_nothing(self) -> None:
        told = outcome("5", receipt(TX, succeeded=False))
        assert (told.state, told.fill) == (OutcomeState.DEAD, None)
        assert "reverted" in told.reason

    def test_funding_that_was_settled_with_the_order_is_its_cost(self) -> None:
        logs = (funding_settled(3 * E18), position_changed(Decimal(5)), funding_settled(-E18))
        told = outcome("5", receipt(TX, logs=logs))
        assert told.fill is not None
        assert told.fill.funding_usd == 2

    @pytest.mark.parametrize(
        "logs",
        [
            (),
            (position_changed(Decimal(5)), position_changed(Decimal(5))),
            (position_changed(Decimal(5), trader=address(77)),),
            (replace(position_changed(Decimal(5)), address=address(77)),),
        ],
        ids=["no event", "two events", "another trader's", "another contract's"],
    )
    def test_a_success_without_exactly_one_change_of_ours_is_a_data_error(
        self, logs: tuple[Log, ...]
    ) -> None:
        with pytest.raises(DataError, match=f"curie-eth: {TX} changed"):
            outcome("5", receipt(TX, logs=logs))

    def test_events_of_others_in_the_same_transaction_are_not_ours(self) -> None:
        theirs = position_changed(Decimal(9), trader=address(77))
        told = outcome("5", receipt(TX, logs=(theirs, position_changed(Decimal(5)))))
        assert told.state is OutcomeState.FILLED


def test_a_protocol_code_is_told_with_its_meaning() -> None:
    told = VENUE.explain(ERROR_STRING + encode(["string"], ["CH_NEFCI"]))
    assert told == "CH_NEFCI (not enough free collateral for the initial margin)"
    assert VENUE.explain(ERROR_STRING + encode(["string"], ["XX_NEW"])) == "XX_NEW"


def test_every_address_must_hold_code() -> None:
    assert VENUE.contracts()["clearing_house"] == CURIE.clearing_house
    assert len(VENUE.contracts()) == 9
    assert ACCOUNT not in VENUE.contracts().values()
