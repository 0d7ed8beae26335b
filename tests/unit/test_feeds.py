"""Chainlink feeds and Curie's calldata, with plain lists and made-up bytes."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, CHAIN, CURIE, NOW, address, feed, fill, intent, venue_state

from bot.chain.contracts import contract
from bot.core.model import FeedPrice, SequencerState
from bot.core.orders import Order
from bot.errors import DataError, OrderRejected
from bot.feeds.chainlink import ChainlinkFeed, SequencerFeed
from bot.ports import TxCall
from bot.venues.curie import CurieVenue, Delegation
from bot.venues.paper import PaperVenue

AT = address(50)
EIGHT = 10**8


def latest(answer: int, *, updated: int = NOW, started: int = NOW) -> list[int]:
    return [7, answer, started, updated, 7]


class TestPriceFeed:
    def price(self, *answers: Any) -> FeedPrice:
        found, asked = feed(ChainlinkFeed("eth-usd", CHAIN, AT, 3600).read(), [list(answers)])
        assert [call.to for call in asked[0]] == [AT, AT]
        assert isinstance(found, FeedPrice)
        return found

    def test_a_round_is_a_price_with_its_time(self) -> None:
        seen = self.price(latest(2000 * EIGHT + 1, updated=NOW - 5), 8)
        assert seen == FeedPrice("eth-usd", Decimal("2000.00000001"), NOW - 5, 3600)
        assert self.price(latest(2 * 10**18), 18).price == 2

    @pytest.mark.parametrize("answer", [0, -1, -2000 * EIGHT])
    def test_what_is_no_price_is_a_data_error(self, answer: int) -> None:
        with pytest.raises(DataError, match=r"feed eth-usd: it answers .* which is no price"):
            self.price(latest(answer), 8)

    def test_a_round_that_is_not_complete_is_a_data_error(self) -> None:
        with pytest.raises(DataError, match="feed eth-usd: its latest round is not complete"):
            self.price(latest(2000 * EIGHT, updated=0), 8)

    def test_its_address_must_hold_code(self) -> None:
        assert ChainlinkFeed("eth-usd", CHAIN, AT, 3600).contracts() == {"address": AT}


class TestSequencer:
    @pytest.mark.parametrize(("answer", "up"), [(0, True), (1, False), (2, False)])
    def test_nothing_but_zero_is_up(self, answer: int, up: bool) -> None:
        reader = SequencerFeed("base", AT, 3600).read()
        state, _ = feed(reader, [[latest(answer, started=NOW - 9)]])
        assert state == SequencerState("base", up, NOW - 9, 3600)

    def test_its_address_must_hold_code(self) -> None:
        sequencer = SequencerFeed("base", AT, 3600)
        assert (sequencer.name, sequencer.contracts()) == ("chains.base", {"sequencer_feed": AT})


TRADER = address(60)
HOUSE = contract("curie_clearing_house", CURIE.clearing_house)
OWN = CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"))
FOR_ANOTHER = CurieVenue(
    "curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"), Delegation(TRADER, address(61))
)
PARAMS: dict[str, Any] = {
    "baseToken": CURIE.base_token,
    "isBaseToQuote": False,
    "isExactInput": False,
    "amount": 5 * 10**18,
    "oppositeAmountBound": 10_050 * 10**18,
    "deadline": NOW,
    "sqrtPriceLimitX96": 0,
    "referralCode": bytes(32),
}


def opening(**changes: Any) -> TxCall:
    return TxCall(HOUSE.address, HOUSE.abi.encode("openPosition", PARAMS | changes))


class TestDecode:
    @pytest.mark.parametrize("venue", [OWN, FOR_ANOTHER], ids=["own", "delegate"])
    @pytest.mark.parametrize("size", ["5", "-5", "0.001", "-59.999", "12.345"])
    @pytest.mark.parametrize("position", ["0", "5", "-12.345"])
    def test_what_was_prepared_is_what_was_meant(self, venue: CurieVenue, size: str, position: str) -> None:
        order = intent(size=size, price_bound=Decimal("2011.123457"))
        state = venue_state(position, account=venue.trader)
        call = venue.prepare(order, state)
        assert venue.decode(call, state) == Order(order.size, order.price_bound, order.deadline)

    def test_a_close_trades_the_whole_position(self) -> None:
        state = venue_state("-5")
        call = OWN.prepare(intent(), state)
        assert HOUSE.abi.decode_input(call.data)[0] == "closePosition"
        assert OWN.decode(call, state).size == 5
        assert OWN.decode(call, venue_state("-7")).size == 7
        with pytest.raises(OrderRejected, match="trades nothing"):
            OWN.decode(call, venue_state("0"))

    def test_on_paper_the_chains_position_is_closed(self) -> None:
        paper = PaperVenue(OWN, lambda: (fill("-5"),))
        state = venue_state("-5")  # all of it on paper
        call = paper.prepare(intent(), state)
        assert HOUSE.abi.decode_input(call.data)[0] == "openPosition"
        assert paper.decode(call, state).size == 5

    @pytest.mark.parametrize(
        ("call", "why"),
        [
            (replace(opening(), to=address(66)), "goes to"),
            (replace(opening(), value=1), "with 1 wei"),
            (TxCall(HOUSE.address, b""), "no order"),
            (TxCall(HOUSE.address, b"\x01\x02\x03\x04"), "no order"),
            (TxCall(HOUSE.address, opening().data[:-40]), "no order"),
            (TxCall(HOUSE.address, HOUSE.abi.encode("paused")), "is paused, which is no order"),
            (opening(baseToken=address(66)), "the prepared order is for"),
            (opening(isExactInput=True), "not in base units"),
            (opening(isBaseToQuote=True), "not in base units"),
            (opening(sqrtPriceLimitX96=1), "may cut it short"),
            (opening(amount=0), "trades nothing"),
            (TxCall(HOUSE.address, HOUSE.abi.encode("openPositionFor", TRADER, PARAMS)), f"for {TRADER}"),
        ],
    )
    def test_anything_else_is_refused(self, call: TxCall, why: str) -> None:
        with pytest.raises(OrderRejected, match=why):
            OWN.decode(call, venue_state("-5"))
