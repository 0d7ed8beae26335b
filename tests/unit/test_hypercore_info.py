"""The stand-in's info API answers in the documented shapes, from what the exchange did."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypercore_exchange import OTHER, START_S, STRANGER, TRADER, Exchange

from bot.localnet.hypercore.actions import CancelByCloid, Tif
from bot.localnet.hypercore.info import BadRequest, answer

NONE = "0x" + "00" * 32


def ask(exchange: Exchange, kind: str, **request: Any) -> Any:
    """An answer as it comes over the wire."""
    return json.loads(json.dumps(answer(exchange.state, {"type": kind, **request})))


def status(exchange: Exchange, oid: int | str) -> Any:
    return ask(exchange, "orderStatus", user=TRADER, oid=oid)


def test_an_order_is_found_by_its_cloid_with_status_and_remaining_size() -> None:
    exchange = Exchange()
    fate = exchange.order("-12.5", "2996.5", cloid=7)
    found = status(exchange, "0x" + "0" * 31 + "7")
    assert found == status(exchange, fate.oid)
    assert found == {
        "status": "order",
        "order": {
            "order": {
                "coin": "ETH",
                "side": "A",
                "limitPx": "2996.5",
                "sz": "2.5",
                "oid": fate.oid,
                "timestamp": START_S * 1_000,
                "triggerCondition": "N/A",
                "isTrigger": False,
                "triggerPx": "0.0",
                "children": [],
                "isPositionTpsl": False,
                "reduceOnly": False,
                "orderType": "Limit",
                "origSz": "12.5",
                "tif": "Ioc",
                "cloid": "0x00000000000000000000000000000007",
            },
            "status": "canceled",
            "statusTimestamp": START_S * 1_000,
        },
    }


def test_a_refused_order_has_its_word_and_a_dropped_one_is_unknown() -> None:
    exchange = Exchange()
    exchange.order("1", "3002", cloid=8)
    assert status(exchange, f"0x{8:032x}")["order"]["status"] == "iocCancelRejected"
    exchange.order("1", "3003", cloid=9, value_wei=1)
    assert status(exchange, f"0x{9:032x}") == {"status": "unknownOid"}
    assert ask(exchange, "orderStatus", user=OTHER, oid=f"0x{8:032x}") == {"status": "unknownOid"}
    assert status(exchange, "0x" + "0" * 32) == {"status": "unknownOid"}, "0 is no cloid"


def test_the_size_of_an_open_order_is_as_of_its_last_change_of_status() -> None:
    exchange = Exchange()
    oid = exchange.order("12", "3003", Tif.GTC, cloid=4).oid
    assert status(exchange, oid)["order"]["order"]["sz"] == "2.0"
    exchange.wait(6)
    assert exchange.state.orders[oid].remaining == 1
    assert status(exchange, oid)["order"]["order"]["sz"] == "2.0"
    exchange.act(CancelByCloid(1, 4))
    found = status(exchange, oid)["order"]
    assert (found["status"], found["order"]["sz"]) == ("canceled", "1.0")


def test_fills_say_what_was_traded_newest_first_or_by_time_oldest_first() -> None:
    exchange = Exchange()
    exchange.order("2", "3003", cloid=1, transaction="0x" + "ab" * 32)
    exchange.wait(60)
    exchange.order("-5", "2997")
    fills = ask(exchange, "userFills", user=TRADER)
    assert [f["dir"] for f in fills] == ["Long > Short", "Open Long"]
    assert fills[1] == {
        "coin": "ETH",
        "px": "3003.0",
        "sz": "2.0",
        "side": "B",
        "time": START_S * 1_000,
        "startPosition": "0.0",
        "dir": "Open Long",
        "closedPnl": "0.0",
        "hash": "0x" + "ab" * 32,
        "oid": 1_000,
        "crossed": True,
        "fee": "2.7027",
        "tid": 1,
        "feeToken": "USDC",
        "cloid": "0x00000000000000000000000000000001",
    }
    assert (fills[0]["closedPnl"], fills[0]["startPosition"], fills[0]["hash"]) == ("-12.0", "2.0", NONE)
    by_time = ask(exchange, "userFillsByTime", user=TRADER, startTime=0)
    assert by_time == fills[::-1]
    late = ask(exchange, "userFillsByTime", user=TRADER, startTime=START_S * 1_000 + 1)
    assert late == fills[:1]
    assert ask(exchange, "userFillsByTime", user=TRADER, startTime=0, endTime=START_S * 1_000) == fills[1:]


def test_funding_is_told_by_market_and_by_account() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    exchange.set_price(1, Decimal(3000), Decimal("3000.6"))
    exchange.wait(2 * 3_600)
    first = (START_S + 3_600) * 1_000
    rates = ask(exchange, "fundingHistory", coin="ETH", startTime=first)
    assert rates[0] == {"coin": "ETH", "fundingRate": "0.0000125", "premium": "0.0002", "time": first}
    assert len(rates) == 2
    assert len(ask(exchange, "fundingHistory", coin="ETH", startTime=first, endTime=first)) == 1
    paid = ask(exchange, "userFunding", user=TRADER, startTime=0)
    assert paid[0]["delta"] == {
        "type": "funding",
        "coin": "ETH",
        "usdc": "-0.375",
        "szi": "10.0",
        "fundingRate": "0.0000125",
    }


def test_the_universe_and_its_contexts_are_in_the_order_of_the_indexes() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    meta, contexts = ask(exchange, "metaAndAssetCtxs")
    assert [asset["name"] for asset in meta["universe"]] == ["BTC", "ETH"]
    assert meta["universe"][1] == {"szDecimals": 4, "name": "ETH", "maxLeverage": 25, "marginTableId": 55}
    eth = contexts[1]
    assert (eth["markPx"], eth["oraclePx"], eth["funding"]) == ("3000.0", "3000.0", "0.0000125")
    assert (eth["openInterest"], eth["dayNtlVlm"], eth["midPx"]) == ("10.0", "30030.0", "3013.5")


def test_the_clearinghouse_tells_margin_position_and_funding() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    exchange.wait(3_600)
    found = ask(exchange, "clearinghouseState", user=TRADER)
    value = 100_000 - Decimal(30) - Decimal("13.5135") - Decimal("0.375")
    assert Decimal(found["marginSummary"]["accountValue"]) == value
    assert found["marginSummary"]["totalMarginUsed"] == "1500.0"
    assert found["crossMaintenanceMarginUsed"] == "600.0"
    assert Decimal(found["withdrawable"]) == value - 3_000
    (held,) = found["assetPositions"]
    position = held["position"]
    assert (position["szi"], position["entryPx"], position["unrealizedPnl"]) == ("10.0", "3003.0", "-30.0")
    assert position["leverage"] == {"type": "cross", "value": 20}
    assert position["cumFunding"] == {"allTime": "0.375", "sinceOpen": "0.375", "sinceChange": "0.375"}
    assert position["liquidationPx"] is None, "even at nothing the account could bear it"


def test_at_its_liquidation_price_an_account_is_just_not_liquidated() -> None:
    exchange = Exchange(perp="2000")
    exchange.order("10", "3003")
    (held,) = ask(exchange, "clearinghouseState", user=TRADER)["assetPositions"]
    px = Decimal(held["position"]["liquidationPx"])
    exchange.set_price(1, px + Decimal("0.01"))
    assert exchange.held() == 10
    exchange.set_price(1, px - Decimal("0.01"))
    assert exchange.held() == 0


def test_an_account_that_does_not_exist_is_answered_like_an_empty_one() -> None:
    found = ask(Exchange(), "clearinghouseState", user=OTHER)
    assert found["marginSummary"]["accountValue"] == "0.0"
    assert found["assetPositions"] == []


@pytest.mark.parametrize(
    "request_",
    [
        [],
        {},
        {"type": "l2Book", "coin": "ETH"},
        {"type": ["userFills"]},
        {"type": "orderStatus", "user": TRADER, "oid": "7"},
        {"type": "orderStatus", "user": TRADER, "oid": True},
        {"type": "userFills", "user": "0x12"},
        {"type": "userFillsByTime", "user": TRADER},
        {"type": "userFillsByTime", "user": TRADER, "startTime": -1},
        {"type": "fundingHistory", "coin": "DOGE", "startTime": 0},
        {"type": "clearinghouseState", "user": TRADER, "dex": "xyz"},
    ],
)
def test_what_is_not_in_a_documented_shape_is_refused(request_: Any) -> None:
    with pytest.raises(BadRequest):
        answer(Exchange().state, request_)


@pytest.mark.parametrize(("unified", "mode"), [(False, "disabled"), (True, "unifiedAccount")])
def test_the_margin_mode_is_a_bare_string(unified: bool, mode: str) -> None:
    exchange = Exchange(unified=unified)
    assert ask(exchange, "userAbstraction", user=TRADER) == mode
    assert ask(exchange, "userAbstraction", user=STRANGER) == "disabled"
    with pytest.raises(BadRequest, match="user is no address"):
        ask(exchange, "userAbstraction", user="nobody")
