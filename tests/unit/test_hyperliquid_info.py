"""Hyperliquid's info API: its documented answers in our terms, and no harm from any other."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, address

from bot.errors import DataError, TransientError
from bot.venues.hyperliquid_info import MOST_FILLS, Questions, QuietInfo
from bot.venues.hyperliquid_market import ToldFill, ToldOrder, cloid_of, cloid_text

D = Decimal
CLOID = cloid_of("intent-1")


@dataclass
class Api:
    """Answers by the question's type; an exception is raised."""

    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Mapping[str, Any]] = field(default_factory=list)

    def __call__(self, question: Mapping[str, Any]) -> Any:
        self.asked.append(question)
        answer = self.answers[question["type"]]
        if isinstance(answer, Exception):
            raise answer
        return answer


def questions(coin: str = "ETH", **answers: Any) -> tuple[Questions, Api]:
    api = Api(answers)
    return Questions("hl", ACCOUNT, coin, api), api


def status(word: str = "filled", oid: Any = 77, coin: str = "ETH") -> dict[str, Any]:
    """The documented answer to orderStatus."""
    order = {
        "coin": coin,
        "side": "B",
        "limitPx": "2009.0",
        "sz": "0.0",
        "oid": oid,
        "timestamp": 1_700_000_000_123,
        "origSz": "5.0",
        "tif": "Ioc",
        "cloid": cloid_text(CLOID),
    }
    return {
        "status": "order",
        "order": {"order": order, "status": word, "statusTimestamp": 1_700_000_000_456},
    }


def fill(**changes: Any) -> dict[str, Any]:
    """An item of the documented answer to userFillsByTime."""
    item = {
        "closedPnl": "0.0",
        "coin": "ETH",
        "crossed": True,
        "dir": "Open Long",
        "hash": "0x" + "a1" * 32,
        "oid": 77,
        "px": "2003.4",
        "side": "B",
        "startPosition": "0.0",
        "sz": "5.0",
        "time": 1_700_000_000_456,
        "fee": "4.507650",
        "feeToken": "USDC",
        "tid": 118906512037719,
        "cloid": cloid_text(CLOID),
    }
    return item | changes


class TestOrders:
    def test_an_order_is_asked_by_its_client_id_and_told_with_its_own_fills(self) -> None:
        asks, api = questions(
            orderStatus=status(),
            userFillsByTime=[fill(oid=9, tid=1), fill(tid=2), fill(coin="BTC", px="60000", tid=3)],
        )
        told = asks.order(CLOID, 1_699_999_000)
        assert told == ToldOrder(
            "filled",
            (ToldFill(D("5.0"), D("2003.4"), D("4.507650"), 1_700_000_000_456, 77, CLOID, ""),),
        )
        assert told.is_over
        assert api.asked == [
            {"type": "orderStatus", "user": ACCOUNT, "oid": cloid_text(CLOID)},
            {"type": "userFillsByTime", "user": ACCOUNT, "startTime": 1_699_999_000_000},
        ]

    def test_an_order_that_it_does_not_know_has_no_state_yet(self) -> None:
        asks, api = questions(orderStatus={"status": "unknownOid"})
        told = asks.order(CLOID, 0)
        assert (told, told.is_over, told.is_refused) == (ToldOrder(""), False, False)
        assert len(api.asked) == 1

    @pytest.mark.parametrize(
        ("word", "over", "refused"),
        [
            ("open", False, False),
            ("filled", True, False),
            ("canceled", True, False),
            ("rejected", True, True),
            ("iocCancelRejected", True, True),
            ("minTradeNtlRejected", True, True),
        ],
    )
    def test_its_words(self, word: str, over: bool, refused: bool) -> None:
        asks, _ = questions(orderStatus=status(word), userFillsByTime=[])
        told = asks.order(CLOID, 0)
        assert (told.is_over, told.is_refused) == (over, refused)

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [],
            {},
            {"status": "order"},
            {"status": "order", "order": {"status": "filled"}},
            status(word=7),  # type: ignore[arg-type]
            status(oid="77"),
            status(coin="BTC"),
        ],
    )
    def test_another_form_is_a_data_error(self, answer: Any) -> None:
        asks, _ = questions(orderStatus=answer, userFillsByTime=[])
        with pytest.raises(DataError):
            asks.order(CLOID, 0)


class TestFills:
    def test_more_than_one_answer_holds_are_asked_for_page_by_page_and_counted_once(self) -> None:
        every = [fill(time=i // 3, tid=i) for i in range(2 * MOST_FILLS + 500)]
        asks, api = questions(userFillsByTime=None)

        def page(question: Mapping[str, Any]) -> Any:
            api.asked.append(question)
            return [item for item in every if item["time"] >= question["startTime"]][:MOST_FILLS]

        found = replace(asks, ask=page).fills(0)
        assert len(found) == len(every)
        assert len(api.asked) == 3

    def test_they_are_signed_and_in_their_order(self) -> None:
        later, earlier = fill(side="A", sz="1.5", time=20), fill(time=10, cloid=None, tid=1)
        asks, _ = questions(userFillsByTime=[later, earlier])
        found = asks.fills(0)
        assert [(f.size, f.at_ms, f.cloid) for f in found] == [(5, 10, 0), (D("-1.5"), 20, CLOID)]

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            (
                {"liquidation": {"liquidatedUser": ACCOUNT.lower(), "markPx": "1", "method": "market"}},
                "liquidation",
            ),
            ({"liquidation": {"liquidatedUser": address(66), "markPx": "1", "method": "market"}}, ""),
            ({"dir": "Auto-Deleveraging"}, "auto-deleveraging"),
            ({"dir": "Settlement"}, "settlement"),
            ({"dir": "Close Long"}, ""),
        ],
    )
    def test_what_nobody_ordered_explains_itself(self, changes: dict[str, Any], reason: str) -> None:
        asks, _ = questions(userFillsByTime=[fill(**changes)])
        assert asks.fills(0)[0].reason == reason

    @pytest.mark.parametrize(
        "answer",
        [
            {},
            None,
            ["x"],
            [fill(sz="0")],
            [fill(sz="-1")],
            [fill(sz="NaN")],
            [fill(px=None)],
            [fill(px="x")],
            [fill(px=True)],
            [fill(side="C")],
            [fill(time="now")],
            [fill(oid=None)],
            [fill(cloid="zz")],
            [fill(fee="Infinity")],
            [fill(feeToken="HYPE")],
            [fill(tid=None)],
            [fill(tid=i) for i in range(MOST_FILLS)],
        ],
    )
    def test_another_form_is_a_data_error(self, answer: Any) -> None:
        asks, _ = questions(userFillsByTime=answer)
        with pytest.raises(DataError):
            asks.fills(0)


class TestFunding:
    def market(self, *listed: tuple[str, Any]) -> list[Any]:
        return [{"universe": [{"name": n} for n, _ in listed]}, [{"funding": rate} for _, rate in listed]]

    def test_it_is_the_markets_own_per_hour(self) -> None:
        asks, api = questions(metaAndAssetCtxs=self.market(("BTC", "1"), ("ETH", "-0.0000125")))
        assert asks.funding_per_hour() == D("-0.0000125")
        assert api.asked == [{"type": "metaAndAssetCtxs"}]

    def test_another_dexs_market_is_asked_of_its_dex(self) -> None:
        asks, api = questions("xyz:TSLA", metaAndAssetCtxs=self.market(("xyz:TSLA", "0.0001")))
        assert asks.funding_per_hour() == D("0.0001")
        assert api.asked == [{"type": "metaAndAssetCtxs", "dex": "xyz"}]

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            [],
            [{}, []],
            [{"universe": [{"name": "ETH"}]}, []],
            [{"universe": [{"name": "BTC"}]}, [{"funding": "0"}]],
            [{"universe": [{"name": "ETH"}]}, [{"funding": None}]],
            [{"universe": [{"name": "ETH"}]}, [{"funding": "0.05"}]],
        ],
    )
    def test_another_form_is_a_data_error(self, answer: Any) -> None:
        asks, _ = questions(metaAndAssetCtxs=answer)
        with pytest.raises(DataError):
            asks.funding_per_hour()


def test_the_margin_mode_is_a_bare_word() -> None:
    asks, api = questions(userAbstraction="unifiedAccount")
    assert asks.margin_mode() == "unifiedAccount"
    assert api.asked == [{"type": "userAbstraction", "user": ACCOUNT}]
    with pytest.raises(DataError):
        questions(userAbstraction={})[0].margin_mode()


class TestQuietly:
    def quiet(self, **answers: Any) -> tuple[QuietInfo, Api, list[float]]:
        asks, api = questions(**answers)
        time = [0.0]
        return QuietInfo(asks, lambda: time[0]), api, time

    def test_where_nobody_is_there_nothing_is_asked_for_a_while(self) -> None:
        down = TransientError("down")
        info, api, time = self.quiet(orderStatus=down, userAbstraction="disabled")
        assert info.order(CLOID, 0) is None
        time[0] = 29.9
        assert info.order(CLOID, 0) is None
        assert info.margin_mode() is None
        assert info.fills(0) is None
        assert info.funding_per_hour() is None
        assert len(api.asked) == 1
        time[0] = 30.0
        assert info.margin_mode() == "disabled"

    def test_a_question_that_it_does_not_answer_silences_no_other(self) -> None:
        info, api, time = self.quiet(
            userAbstraction=DataError("HTTP 422"), orderStatus={"status": "unknownOid"}
        )
        for _ in range(3):
            assert info.margin_mode() is None
            assert info.order(CLOID, 0) == ToldOrder("")
        assert [q["type"] for q in api.asked].count("userAbstraction") == 1
        time[0] = 30.0
        assert info.margin_mode() is None
        assert [q["type"] for q in api.asked].count("userAbstraction") == 2

    def test_rates_and_the_mode_are_remembered_and_orders_are_not(self) -> None:
        market = [{"universe": [{"name": "ETH"}]}, [{"funding": "0.0001"}]]
        info, api, time = self.quiet(
            metaAndAssetCtxs=market, userAbstraction="disabled", orderStatus={"status": "unknownOid"}
        )
        for _ in range(3):
            assert info.funding_per_hour() == D("0.0001")
            assert info.margin_mode() == "disabled"
            assert info.order(CLOID, 0) == ToldOrder("")
        assert [q["type"] for q in api.asked].count("metaAndAssetCtxs") == 1
        assert [q["type"] for q in api.asked].count("orderStatus") == 3
        time[0] = 60.0
        info.funding_per_hour()
        info.margin_mode()
        assert [q["type"] for q in api.asked].count("metaAndAssetCtxs") == 2
        assert [q["type"] for q in api.asked].count("userAbstraction") == 1

    def test_the_last_mode_holds_until_another_is_told(self) -> None:
        info, api, time = self.quiet(userAbstraction="unifiedAccount")
        assert info.margin_mode() == "unifiedAccount"
        api.answers["userAbstraction"] = TransientError("down")
        time[0] = 1_000_000.0
        assert info.margin_mode() == "unifiedAccount"
        api.answers["userAbstraction"] = "disabled"
        time[0] += 31
        assert info.margin_mode() == "disabled"

    def test_the_last_rate_holds_for_an_hour_while_the_api_is_down_and_no_longer(self) -> None:
        market = [{"universe": [{"name": "ETH"}]}, [{"funding": "0.0001"}]]
        info, api, time = self.quiet(metaAndAssetCtxs=market)
        info.funding_per_hour()
        api.answers["metaAndAssetCtxs"] = TransientError("down")
        time[0] = 3_599.0
        assert info.funding_per_hour() == Decimal("0.0001")
        time[0] = 3_660.0
        assert info.funding_per_hour() is None
