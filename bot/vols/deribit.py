"""Vols from Deribit: the mark vols of one currency's whole option board, in one public request.

`public/get_book_summary_by_currency` is JSON-RPC over HTTP GET. An item names its option as in ETH-27NOV26-2400-C
(expiry at 08:00 UTC; a "d" stands for a decimal point), has `mark_iv` in percent, and as `underlying_price` the forward
that this vol belongs to. Source: docs.deribit.com.

An address may hold a token, so no error shows it.
"""

import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import requests
import urllib3

from bot.errors import DataError, TransientError
from bot.pricing.settlement import DERIBIT_WINDOW_S
from bot.pricing.surface import Surface, VolQuote, fit_surface

METHOD: Final = "public/get_book_summary_by_currency"
BUSY: Final = (10028, 10040, 10041, 10047, 10066, 11051, 11094, 13028, 13888)
"""Deribit's codes for a refusal that passes: too many requests, settlement, maintenance, a time-out of its own."""

CLOCK_GAP_S: Final = 300
LARGEST_ANSWER: Final = 32 * 1024 * 1024
LARGEST_FIGURE: Final = 1e15
UNQUOTED_WEIGHT: Final = 0.25
"""A mark without a bid and an ask is the exchange's own guess, and counts for less."""

_NAME: Final = re.compile(r"([A-Z0-9_]+)-(\d{1,2})([A-Z]{3})(\d{2})-(\d+(?:d\d+)?)-([CP])")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_SHORTEST_TOKEN: Final = 8


@dataclass(frozen=True, slots=True)
class _Mark:
    """One option of the board. `at` in Unix seconds, prices in USD, `vol` annual."""

    name: str
    expiry: int
    strike: float
    is_call: bool
    vol: float
    forward: float
    at: int
    quoted: bool


class DeribitVol:
    """Asks the API at `url` (as in https://www.deribit.com/api/v2) for the options of `currency`, once, unretried.

    `timeout_s` bounds the whole request in seconds. `tolerance` is the marks' spread in vol, as for `fit_surface`.
    A test network's prices mean nothing and are refused, unless `testnet` says that this is what one wants.
    """

    def __init__(
        self,
        url: str,
        currency: str,
        timeout_s: float = 10.0,
        name: str = "deribit",
        tolerance: float = 0.02,
        testnet: bool = False,
    ) -> None:
        self.name = name
        self._url = f"{url.rstrip('/')}/{METHOD}"
        self._secrets = _tokens_in(url)
        self._currency = currency.upper()
        self._timeout_s = timeout_s
        self._tolerance = tolerance
        self._testnet = testnet

    def read(self, now: int) -> Surface:
        """The board's surface, of the time of its oldest item.

        Of a call and a put at one strike the one out of the money counts. Options that expire within the half hour
        whose average settles them are left out. TransientError where the exchange gives no usable answer; DataError,
        with the instrument, where its answer makes no sense; PricingError where the vols together don't.
        """
        items = self._result(self._ask())
        marks = [mark for item in items if (mark := self._mark(item)) is not None]
        if not marks:
            raise DataError(f"{self.name}: none of the {len(items)} {self._currency} options has a mark_iv")
        alive = [mark for mark in marks if mark.expiry - DERIBIT_WINDOW_S > max(now, mark.at)]
        if not alive:
            raise DataError(
                f"{self.name}: every {self._currency} option has expired, or does within half an hour"
            )
        at = min(mark.at for mark in alive)
        if at > now + CLOCK_GAP_S:
            raise DataError(f"{self.name}: the vols are {at - now} s ahead of the time of this tick")
        return fit_surface(self._quotes(alive), at, self.name, self._tolerance)

    def _ask(self) -> tuple[int, bytes]:
        """(HTTP status, body). TransientError where there is none within the time."""
        until = time.monotonic() + self._timeout_s
        params = {"currency": self._currency, "kind": "option"}
        try:
            # A redirect would carry the address, and a token in it, to somebody else.
            with requests.get(
                self._url, params=params, timeout=self._timeout_s, stream=True, allow_redirects=False
            ) as answer:
                body = b""
                # `read1` gives what is there. To wait for a whole part would let a slow server take any time it likes.
                while part := answer.raw.read1(65_536, decode_content=True):
                    body += part
                    if time.monotonic() > until:
                        raise TransientError(f"{self.name}: the exchange did not answer in time")
                    if len(body) > LARGEST_ANSWER:
                        raise DataError(f"{self.name}: the answer is larger than any board of options")
                return answer.status_code, body
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise TransientError(f"{self.name}: the exchange did not answer in time") from None
        # Those of requests are OSErrors. In the middle of a body they are urllib3's own, which are not.
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise TransientError(
                f"{self.name}: the exchange can't be reached ({type(error).__name__})"
            ) from None

    def _result(self, answered: tuple[int, bytes]) -> list[Any]:
        """The items of an answer. An error in it is a TransientError where it passes by itself, else a DataError."""
        status, body = answered
        try:
            answer = json.loads(body)
        except (ValueError, RecursionError):
            answer = None
        error = answer.get("error") if isinstance(answer, dict) else None
        if error:
            code, message = (
                (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, error)
            )
            said = f"{self.name}: the exchange refuses: {self._clean(message)} (code {self._clean(code)})"
            raise TransientError(said) if code in BUSY or status >= 500 or status == 429 else DataError(said)
        if status >= 500 or status == 429:
            raise TransientError(f"{self.name}: the exchange answered HTTP {status}")
        if status != 200:
            raise DataError(f"{self.name}: the exchange answered HTTP {status}")
        if not isinstance(answer, dict):
            raise DataError(f"{self.name}: the answer is not JSON-RPC")
        if answer.get("testnet") and not self._testnet:
            raise DataError(f"{self.name}: the answer comes from the exchange's test network")
        items = answer.get("result")
        if not isinstance(items, list):
            raise DataError(f"{self.name}: the answer has no result")
        if not items:
            raise DataError(f"{self.name}: the exchange lists no {self._currency} option")
        return items

    def _mark(self, item: Any) -> _Mark | None:
        """One item; None where it has no mark vol."""
        if not isinstance(item, dict):
            raise DataError(f"{self.name}: an item of the answer is not an object")
        name = item.get("instrument_name")
        expiry, strike, is_call = self._named(name)
        vol = self._figure(item, "mark_iv", missing_ok=True)
        if not vol:  # null, and the 0 of an option that has no vol at its price
            return None
        at = self._figure(item, "creation_timestamp")
        return _Mark(
            name=str(name),
            expiry=expiry,
            strike=strike,
            is_call=is_call,
            vol=vol / 100.0,
            forward=self._figure(item, "underlying_price"),
            at=int(at / 1000.0),
            quoted=bool(self._figure(item, "bid_price", missing_ok=True))
            and bool(self._figure(item, "ask_price", missing_ok=True)),
        )

    def _named(self, name: Any) -> tuple[int, float, bool]:
        """(expiry in Unix seconds, strike, is a call) of an instrument's name."""
        found = _NAME.fullmatch(name) if isinstance(name, str) else None
        if found is None or found[3] not in _MONTHS:
            raise DataError(f"{self.name}: {self._clean(name)} is no option's name")
        if found[1] != self._currency:
            raise DataError(f"{self.name}: {self._clean(name)} is no option on {self._currency}")
        try:
            expiry = datetime(2000 + int(found[4]), _MONTHS.index(found[3]) + 1, int(found[2]), 8, tzinfo=UTC)
        except ValueError:
            raise DataError(f"{self.name}: {self._clean(name)} has no date of the calendar") from None
        return int(expiry.timestamp()), float(found[5].replace("d", ".")), found[6] == "C"

    def _figure(self, item: dict[str, Any], field: str, missing_ok: bool = False) -> float:
        """A field's number, above zero; 0 where it is null or 0 and may be."""
        value = item.get(field)
        if missing_ok and (value is None or value == 0):
            return 0.0
        name = self._clean(item.get("instrument_name"))
        if value is None:
            raise DataError(f"{self.name}: {name} has no {field}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < LARGEST_FIGURE:
            raise DataError(f"{self.name}: the {field} of {name} is no number above zero")
        return float(value)

    def _quotes(self, marks: list[_Mark]) -> list[VolQuote]:
        """One quote per expiry and strike, with one forward per expiry."""
        by_expiry: dict[int, list[_Mark]] = {}
        for mark in marks:
            by_expiry.setdefault(mark.expiry, []).append(mark)
        quotes: list[VolQuote] = []
        for expiry, group in by_expiry.items():
            forwards = sorted(mark.forward for mark in group)
            forward = forwards[len(forwards) // 2]
            odd = next((mark for mark in group if abs(mark.forward / forward - 1.0) > 0.01), None)
            if odd is not None:
                raise DataError(
                    f"{self.name}: the underlying_price of {odd.name} is not that of its expiry's others"
                )
            chosen: dict[float, _Mark] = {}
            for mark in group:
                other = chosen.get(mark.strike)
                if other is not None and other.is_call == mark.is_call:
                    raise DataError(f"{self.name}: the answer has {mark.name} twice")
                if other is None or mark.is_call == (mark.strike >= forward):
                    chosen[mark.strike] = mark
            for strike, mark in chosen.items():
                weight = 1.0 if mark.quoted else UNQUOTED_WEIGHT
                quotes.append(VolQuote(expiry, strike, mark.vol, forward, weight))
        return quotes

    def _clean(self, said: Any) -> str:
        """Somebody else's words, without addresses, without a token of ours that they quote, and not too many."""
        text = re.sub(r"\w+://\S+", "<address>", str(said))
        for token in self._secrets:
            text = text.replace(token, "<token>")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:120]


def _tokens_in(url: str) -> tuple[str, ...]:
    """What may be a token in an address, longest first."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    found = {*parts.path.split("/"), *values, parts.username or "", parts.password or ""}
    return tuple(sorted((part for part in found if len(part) >= _SHORTEST_TOKEN), key=len, reverse=True))
