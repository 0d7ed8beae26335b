"""Claims about bot.vols.deribit, against a real HTTP server that answers as Deribit documents it."""

import json
import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from bot.errors import DataError, PricingError, TransientError
from bot.pricing.svi import JumpWings, SviSlice, from_jump_wings, total_variance
from bot.vols.deribit import DeribitVol

NOW = int(datetime(2026, 11, 1, 12, 0, tzinfo=UTC).timestamp())
TOKEN = "s3cr3t-token-of-ours"
NAMES = ("6NOV26", "27NOV26", "25DEC26", "26MAR27", "25JUN27")


@dataclass
class Answers:
    """What the server says next, and what it was asked."""

    status: int = 200
    body: bytes = b""
    delay_s: float = 0.0
    trickle_s: float = 0.0
    missing: int = 0
    stall_s: float = 0.0
    location: str = ""
    asked: list[str] = field(default_factory=list)

    def say(self, document: Any, status: int = 200) -> None:
        self.status, self.body = status, json.dumps(document).encode()


@pytest.fixture
def exchange() -> Iterator[tuple[str, Answers]]:
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.asked.append(self.path)
            time.sleep(answers.delay_s)
            self.send_response(answers.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answers.body) + answers.missing))
            if answers.location:
                self.send_header("Location", answers.location)
            self.end_headers()
            try:
                if not answers.trickle_s:
                    self.wfile.write(answers.body)
                    time.sleep(answers.stall_s)
                    return
                for byte in answers.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(answers.trickle_s)
            except OSError:
                return  # the client went away, as it should

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v2/{TOKEN}", answers
    server.shutdown()
    server.server_close()
    thread.join()


def envelope(result: list[Any], testnet: bool = False) -> dict[str, Any]:
    micro = NOW * 1_000_000
    return {
        "jsonrpc": "2.0",
        "result": result,
        "usIn": micro,
        "usOut": micro + 1234,
        "usDiff": 1234,
        "testnet": testnet,
    }


def item(name: str, mark_iv: float | None, forward: float, **changes: Any) -> dict[str, Any]:
    """One option as the endpoint gives it."""
    expiry = name.split("-")[1]
    return {
        "volume": 12.0,
        "volume_usd": 2345.6,
        "underlying_price": forward,
        "underlying_index": f"SYN.ETH-{expiry}",
        "quote_currency": "ETH",
        "price_change": None,
        "open_interest": 421.0,
        "mid_price": 0.0305,
        "mark_price": 0.0306,
        "mark_iv": mark_iv,
        "low": None,
        "last": 0.03,
        "interest_rate": 0.0,
        "instrument_name": name,
        "high": None,
        "estimated_delivery_price": forward,
        "creation_timestamp": NOW * 1000 - 1500,
        "bid_price": 0.03,
        "base_currency": "ETH",
        "ask_price": 0.031,
    } | changes


def seconds(name: str) -> int:
    """08:00 UTC of a date like 27NOV26."""
    return int(datetime.strptime(name, "%d%b%y").replace(hour=8, tzinfo=UTC).timestamp())


def truth(name: str) -> tuple[SviSlice, float, float]:
    """The smile that a synthetic board is made of, its years and its forward."""
    years = (seconds(name) - NOW) / 31_536_000
    root = math.sqrt(years)
    wings = JumpWings(0.36, -0.06 - 0.1 * root, 0.5 + 0.3 * root, 0.4 + 0.3 * root, 0.335, years)
    return from_jump_wings(wings), years, 2500.0 * math.exp(0.05 * years)


def board() -> list[dict[str, Any]]:
    """Calls and puts at 13 round strikes of every expiry; mark_iv rounded to two decimals as Deribit's is.

    The in-the-money side is off by three points, as no one should look at it.
    """
    found = []
    for name in NAMES:
        svi, years, forward = truth(name)
        for x in np.linspace(-2.2, 2.2, 13):
            strike = round(forward * math.exp(x * 0.6 * math.sqrt(years)) / 5) * 5
            vol = 100.0 * math.sqrt(float(total_variance(svi, math.log(strike / forward))) / years)
            for kind in "CP":
                wrong = 0.0 if (kind == "C") == (strike >= forward) else 3.0
                found.append(item(f"ETH-{name}-{strike}-{kind}", round(vol + wrong, 2), round(forward, 4)))
    return found


SMALL = [
    item("ETH-27NOV26-2000-P", 70.0, 2500.0),
    item("ETH-27NOV26-2500-C", 62.0, 2500.0),
    item("ETH-27NOV26-3000-C", 65.0, 2500.0),
]


def source(url: str, **options: Any) -> DeribitVol:
    return DeribitVol(url, "eth", timeout_s=5.0, **options)


def test_the_request_is_the_documented_one(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL))
    source(url + "/").read(NOW)
    asked = urlsplit(answers.asked[0])
    assert asked.path == f"/api/v2/{TOKEN}/public/get_book_summary_by_currency"
    assert parse_qs(asked.query) == {"currency": ["ETH"], "kind": ["option"]}
    assert len(answers.asked) == 1


def test_a_board_is_fitted_within_a_tenth_of_a_vol_point(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(board()))
    surface = source(url).read(NOW)
    assert surface.at == NOW - 2
    assert [part.expiry for part in surface.slices] == [seconds(name) for name in NAMES]
    for name in NAMES:
        svi, years, forward = truth(name)
        assert surface.forward(seconds(name), NOW) == pytest.approx(forward, rel=1e-6)
        for k in np.linspace(-2.2, 2.2, 23) * 0.6 * math.sqrt(years):
            expected = math.sqrt(float(total_variance(svi, k)) / years)
            assert surface.vol(forward * math.exp(k), seconds(name), NOW) == pytest.approx(
                expected, abs=0.001
            )


def test_a_board_is_calibrated_in_well_under_a_second(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(board()))
    source(url).read(NOW)
    began = time.process_time()
    source(url).read(NOW)
    assert time.process_time() - began < 1.0


def test_an_expiry_is_at_eight_and_vols_are_per_cent(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL))
    surface = source(url).read(NOW)
    expiry = int(datetime(2026, 11, 27, 8, tzinfo=UTC).timestamp())
    assert [part.expiry for part in surface.slices] == [expiry]
    assert surface.vols([2000.0, 2500.0, 3000.0], expiry, NOW) == pytest.approx([0.70, 0.62, 0.65])
    assert surface.name == "deribit"


def test_of_a_call_and_a_put_the_one_out_of_the_money_counts(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    wrong = [item("ETH-27NOV26-2000-C", 90.0, 2500.0), item("ETH-27NOV26-3000-P", 90.0, 2500.0)]
    answers.say(envelope(wrong + SMALL + wrong[:0]))
    surface = source(url).read(NOW)
    assert surface.vols([2000.0, 3000.0], seconds("27NOV26"), NOW) == pytest.approx([0.70, 0.65])


def test_where_the_option_out_of_the_money_has_no_vol_the_other_one_counts(
    exchange: tuple[str, Answers],
) -> None:
    url, answers = exchange
    missing = item("ETH-27NOV26-2000-P", None, 2500.0, bid_price=None, ask_price=None)
    answers.say(envelope([missing, item("ETH-27NOV26-2000-C", 71.0, 2500.0), *SMALL[1:]]))
    assert source(url).read(NOW).vol(2000.0, seconds("27NOV26"), NOW) == pytest.approx(0.71)


def test_options_without_a_mark_vol_are_left_out_and_a_board_of_them_is_refused(
    exchange: tuple[str, Answers],
) -> None:
    url, answers = exchange
    empty = item("ETH-27NOV26-9000-C", None, 2500.0, bid_price=None, ask_price=None)
    answers.say(envelope([*SMALL, empty, item("ETH-27NOV26-9500-C", 0.0, 2500.0)]))
    assert source(url).read(NOW).vol(9000.0, seconds("27NOV26"), NOW) == pytest.approx(0.65)
    answers.say(envelope([empty]))
    with pytest.raises(DataError, match="deribit: none of the 1 ETH options has a mark_iv"):
        source(url).read(NOW)


def test_the_age_of_the_vols_is_that_of_the_oldest(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    old = item("ETH-27NOV26-2000-P", 70.0, 2500.0, creation_timestamp=(NOW - 3600) * 1000)
    answers.say(envelope([old, *SMALL[1:]]))
    assert source(url).read(NOW).at == NOW - 3600


def test_vols_of_the_future_are_refused(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL))
    with pytest.raises(DataError, match=r"the vols are 99\d\d s ahead of the time of this tick"):
        source(url).read(NOW - 10_000)


def test_options_that_expire_within_their_averaging_window_are_left_out(
    exchange: tuple[str, Answers],
) -> None:
    url, answers = exchange
    answers.say(envelope([*SMALL, item("ETH-25DEC26-2500-C", 60.0, 2510.0)]))
    soon = seconds("27NOV26") - 1700
    assert [part.expiry for part in source(url).read(soon).slices] == [seconds("25DEC26")]
    answers.say(envelope(SMALL))
    with pytest.raises(DataError, match="has expired, or does within half an hour"):
        source(url).read(soon)


def test_a_decimal_strike_and_a_one_digit_day_are_read(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    name = "XRP_USDC-6NOV26-0d625-C"
    answers.say(envelope([item(name, 80.0, 0.6)]))
    surface = DeribitVol(url, "XRP_USDC").read(NOW)
    assert surface.slices[0].expiry == seconds("06NOV26")
    assert surface.vol(0.625, seconds("06NOV26"), NOW) == pytest.approx(0.8)


# ---------------------------------------------------------------------------------------------------------
# What goes wrong.


def test_an_error_of_the_request_is_quoted(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(
        {"jsonrpc": "2.0", "error": {"code": -32602, "message": "Invalid params"}, "testnet": False}, 400
    )
    with pytest.raises(DataError, match=r"deribit: the exchange refuses: Invalid params \(code -32602\)"):
        source(url).read(NOW)


@pytest.mark.parametrize(("code", "status"), [(10028, 429), (10028, 200), (11051, 400), (13888, 200)])
def test_an_error_that_passes_by_itself_is_transient(
    exchange: tuple[str, Answers], code: int, status: int
) -> None:
    url, answers = exchange
    answers.say({"jsonrpc": "2.0", "error": {"code": code, "message": "too_many_requests"}}, status)
    with pytest.raises(TransientError, match=rf"too_many_requests \(code {code}\)"):
        source(url).read(NOW)


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_a_server_in_trouble_is_transient(exchange: tuple[str, Answers], status: int) -> None:
    url, answers = exchange
    answers.status, answers.body = status, b"<html>Bad gateway</html>"
    with pytest.raises(TransientError, match=f"deribit: the exchange answered HTTP {status}"):
        source(url).read(NOW)


@pytest.mark.parametrize("status", [302, 403, 404])
def test_any_other_status_is_named_and_no_redirect_is_followed(
    exchange: tuple[str, Answers], status: int
) -> None:
    url, answers = exchange
    answers.status, answers.body, answers.location = status, b"no", url + "/elsewhere"
    with pytest.raises(DataError, match=f"deribit: the exchange answered HTTP {status}"):
        source(url).read(NOW)
    assert len(answers.asked) == 1


def test_a_server_that_does_not_answer_in_time_is_transient(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL))
    answers.delay_s = 1.0
    with pytest.raises(TransientError, match="deribit: the exchange did not answer in time"):
        DeribitVol(url, "ETH", timeout_s=0.2).read(NOW)


def test_a_server_that_answers_byte_by_byte_is_out_of_time_too(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(board()))
    answers.trickle_s = 0.05
    began = time.monotonic()
    with pytest.raises(TransientError, match="did not answer in time"):
        DeribitVol(url, "ETH", timeout_s=0.5).read(NOW)
    assert time.monotonic() - began < 3.0


def test_a_server_that_stops_in_the_middle_of_its_answer_is_transient(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL))
    answers.missing = 100
    with pytest.raises(
        TransientError, match=r"the exchange can't be reached \((IncompleteRead|ProtocolError)\)"
    ):
        source(url).read(NOW)
    answers.stall_s = 1.0
    with pytest.raises(TransientError, match="did not answer in time"):
        DeribitVol(url, "ETH", timeout_s=0.2).read(NOW)


def test_a_server_that_is_not_there_is_transient_and_its_address_is_not_shown() -> None:
    with pytest.raises(
        TransientError, match=r"deribit: the exchange can't be reached \(ConnectionError\)"
    ) as caught:
        DeribitVol(f"http://127.0.0.1:1/{TOKEN}", "ETH", timeout_s=1.0).read(NOW)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_token_that_the_exchange_quotes_is_not_shown(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say({"error": {"code": 13004, "message": f"bad key {TOKEN} at {url}\nnext"}}, 400)
    with pytest.raises(DataError, match="bad key <token> at <address> next") as caught:
        source(url).read(NOW)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "the answer is not JSON-RPC"),
        (b'{"jsonrpc": "2.0", "result": [', "the answer is not JSON-RPC"),
        (b"[1, 2]", "the answer is not JSON-RPC"),
        (b"[" * 100_000, "the answer is not JSON-RPC"),
        (b"{}", "the answer has no result"),
        (b'{"result": null}', "the answer has no result"),
        (b'{"result": []}', "the exchange lists no ETH option"),
        (b'{"result": ["ETH"]}', "an item of the answer is not an object"),
        (b'{"error": "broken"}', r"the exchange refuses: broken \(code None\)"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    exchange: tuple[str, Answers], body: bytes, sentence: str
) -> None:
    url, answers = exchange
    answers.body = body
    with pytest.raises(DataError, match=f"deribit: {sentence}"):
        source(url).read(NOW)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"instrument_name": None}, "None is no option's name"),
        ({"instrument_name": "ETH-PERPETUAL"}, "ETH-PERPETUAL is no option's name"),
        ({"instrument_name": "ETH-27XXX26-2500-C"}, "is no option's name"),
        ({"instrument_name": "ETH-31FEB27-2500-C"}, "ETH-31FEB27-2500-C has no date of the calendar"),
        ({"instrument_name": "BTC-27NOV26-2500-C"}, "BTC-27NOV26-2500-C is no option on ETH"),
        ({"underlying_price": None}, "ETH-27NOV26-2000-P has no underlying_price"),
        ({"underlying_price": -1}, "the underlying_price of ETH-27NOV26-2000-P is no number above zero"),
        (
            {"underlying_price": 2700.0},
            "the underlying_price of ETH-27NOV26-2000-P is not that of its expiry's",
        ),
        ({"creation_timestamp": None}, "ETH-27NOV26-2000-P has no creation_timestamp"),
        ({"mark_iv": "62"}, "the mark_iv of ETH-27NOV26-2000-P is no number above zero"),
        ({"mark_iv": -5.0}, "the mark_iv of ETH-27NOV26-2000-P is no number above zero"),
        ({"mark_iv": float("nan")}, "the mark_iv of ETH-27NOV26-2000-P is no number above zero"),
        ({"mark_iv": 10**400}, "the mark_iv of ETH-27NOV26-2000-P is no number above zero"),
        ({"mark_iv": True}, "the mark_iv of ETH-27NOV26-2000-P is no number above zero"),
        ({"instrument_name": "ETH-27NOV26-2500-C"}, "the answer has ETH-27NOV26-2500-C twice"),
        ({"instrument_name": "ETH-27NOV26-0-P"}, "a strike of 0.0 is not a price above zero"),
    ],
)
def test_an_item_that_makes_no_sense_is_named(
    exchange: tuple[str, Answers], changes: dict[str, Any], sentence: str
) -> None:
    url, answers = exchange
    answers.say(envelope([SMALL[0] | changes, *SMALL[1:]]))
    with pytest.raises(DataError, match=f"deribit.*{sentence}"):
        source(url).read(NOW)


def test_an_absurd_vol_is_refused(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope([item("ETH-27NOV26-2000-P", 700.0, 2500.0), *SMALL[1:]]))
    with pytest.raises(PricingError, match="strike 2000: a vol of 7 is above 5"):
        source(url).read(NOW)


def test_a_test_networks_vols_are_refused_unless_wanted(exchange: tuple[str, Answers]) -> None:
    url, answers = exchange
    answers.say(envelope(SMALL, testnet=True))
    with pytest.raises(DataError, match="comes from the exchange's test network"):
        source(url).read(NOW)
    assert source(url, testnet=True).read(NOW).at == NOW - 2
