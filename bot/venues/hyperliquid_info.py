"""Hyperliquid's info API: what becomes of an order, the account's fills, the funding rate, how margin is shared.

One POST per question, answered in public JSON with figures as text. Nothing that decides alone comes from here: every
failure is logged, and no answer. After one that reached nobody nothing is asked for a while, so that it can't hold a
tick up for long; a question that is answered wrongly, or refused, is the only one that isn't asked again.
An address may hold a token, so no message shows it. Source: the exchange's documentation of its info endpoint.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

import requests
import structlog
import urllib3

from bot.errors import DataError, TransientError, VaultkeelError
from bot.venues.hyperliquid_market import ToldFill, ToldOrder, cloid_text

log = structlog.get_logger("vaultkeel.hyperliquid")
T = TypeVar("T")

LARGEST_ANSWER: Final = 8 * 1024 * 1024
MOST_FILLS: Final = 2_000
"""What one answer holds at most: then there may be more."""
MOST_PAGES: Final = 5
"""The exchange keeps no more fills than these answers hold."""
SET_ASIDE_S: Final = 30
EVERYTHING: Final = ""
FUNDING_AGE_S: Final = 60
MODE_AGE_S: Final = 600
FUNDING_KEPT_S, FOR_EVER = 3_600, float("inf")
LARGEST_RATE: Final = Decimal("0.04")
"""The most that the exchange takes per hour, as a fraction of notional."""

Ask = Callable[[Mapping[str, Any]], Any]
"""Sends one question, gives the answer's JSON. TransientError where there is none, DataError for what is no JSON."""


@dataclass(frozen=True, slots=True)
class HttpAsk:
    """Asks the endpoint at `url` (as in https://api.hyperliquid.xyz/info) once, unretried.

    `timeout_s` bounds the whole request in seconds; `name` is what messages call it.
    """

    name: str
    url: str
    timeout_s: float

    def __call__(self, question: Mapping[str, Any]) -> Any:
        """The answer to one question."""
        until = time.monotonic() + self.timeout_s
        try:
            # A redirect would carry the address, and a token in it, to somebody else.
            with requests.post(
                self.url, json=question, timeout=self.timeout_s, stream=True, allow_redirects=False
            ) as answer:
                body = self._body(answer, until)
                status = answer.status_code
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
            raise TransientError(f"{self.name}: the info API did not answer in time") from None
        # Those of requests are OSErrors. In the middle of a body they are urllib3's own, which are not.
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise TransientError(
                f"{self.name}: the info API can't be reached ({type(error).__name__})"
            ) from None
        if status != 200:
            kind = TransientError if status == 429 or status >= 500 else DataError
            raise kind(f"{self.name}: the info API answered HTTP {status}")
        try:
            return json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise DataError(f"{self.name}: the info API answered something that is no JSON") from None

    def _body(self, answer: requests.Response, until: float) -> bytes:
        parts: list[bytes] = []
        size = 0
        # `read1` gives what is there. To wait for a whole part would let a slow server take any time it likes.
        while part := answer.raw.read1(65_536, decode_content=True):
            parts.append(part)
            size += len(part)
            if time.monotonic() > until:
                raise TransientError(f"{self.name}: the info API did not answer in time")
            if size > LARGEST_ANSWER:
                raise DataError(f"{self.name}: the info API's answer is too large")
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions, and their answers in the domain's terms.

    TransientError where there is no answer, DataError for one of another form than is documented. `coin` is the
    market's name, of HIP-3 markets with their dex before a colon.
    """

    name: str
    account: str
    coin: str
    ask: Ask

    def order(self, cloid: int, since_s: int) -> ToldOrder:
        """One order of the account, with its fills since a Unix second."""
        answer = self._object(
            self.ask({"type": "orderStatus", "user": self.account, "oid": cloid_text(cloid)})
        )
        if answer.get("status") == "unknownOid":
            return ToldOrder("")
        inner = self._object(answer.get("order"))
        status, order = inner.get("status"), self._object(inner.get("order"))
        oid = order.get("oid")
        if not isinstance(status, str) or not isinstance(oid, int) or order.get("coin") != self.coin:
            raise self._wrong("orderStatus")
        return ToldOrder(status, tuple(fill for fill in self.fills(since_s) if fill.oid == oid))

    def fills(self, since_s: int) -> tuple[ToldFill, ...]:
        """The account's fills of the market since a Unix second, oldest first."""
        found: dict[Any, Mapping[str, Any]] = {}
        start_ms = max(since_s, 0) * 1_000
        for _ in range(MOST_PAGES):
            asked = {"type": "userFillsByTime", "user": self.account, "startTime": start_ms}
            answer = self.ask(asked)
            if not isinstance(answer, list):
                raise self._wrong("userFillsByTime")
            # Pages overlap where several fills are of one millisecond.
            items = [self._object(item) for item in answer]
            found |= {item.get("tid"): item for item in items}
            if len(items) < MOST_FILLS:
                break
            start_ms = max(int(self._figure(item, "time")) for item in items)
        else:
            raise DataError(
                f"{self.name}: the info API has more fills since Unix second {since_s} than it tells"
            )
        mine = [item for item in found.values() if item.get("coin") == self.coin]
        return tuple(sorted((self._fill(item) for item in mine), key=lambda fill: fill.at_ms))

    def funding_per_hour(self) -> Decimal:
        """The fraction of notional that a long pays per hour now."""
        dex, colon, _ = self.coin.partition(":")
        answer = self.ask({"type": "metaAndAssetCtxs"} | ({"dex": dex} if colon else {}))
        if not isinstance(answer, list) or len(answer) != 2 or not isinstance(answer[1], list):
            raise self._wrong("metaAndAssetCtxs")
        universe = self._object(answer[0]).get("universe")
        if not isinstance(universe, list) or len(universe) != len(answer[1]):
            raise self._wrong("metaAndAssetCtxs")
        for listed, context in zip(universe, answer[1], strict=True):
            if self._object(listed).get("name") == self.coin:
                rate = self._figure(self._object(context), "funding")
                if abs(rate) > LARGEST_RATE:
                    raise DataError(f"{self.name}: the info API tells a funding rate of {rate} per hour")
                return rate
        raise DataError(f"{self.name}: the info API lists no {self.coin}")

    def margin_mode(self) -> str:
        """How the account's collateral is shared: "unifiedAccount" and "portfolioMargin" hide it from HyperEVM."""
        answer = self.ask({"type": "userAbstraction", "user": self.account})
        if not isinstance(answer, str):
            raise self._wrong("userAbstraction")
        return answer

    def _fill(self, item: Mapping[str, Any]) -> ToldFill:
        size, price = self._figure(item, "sz"), self._figure(item, "px")
        side, at, oid = item.get("side"), item.get("time"), item.get("oid")
        if side not in ("A", "B") or not isinstance(item.get("tid"), int):
            raise self._wrong("userFillsByTime")
        if not isinstance(at, int) or not isinstance(oid, int):
            raise self._wrong("userFillsByTime")
        if size <= 0 or price <= 0 or item.get("feeToken", "USDC") != "USDC":
            raise self._wrong("userFillsByTime")
        cloid = item.get("cloid")
        return ToldFill(
            size=size if side == "B" else -size,
            price=price,
            fee_usd=self._figure(item, "fee"),
            at_ms=at,
            oid=oid,
            cloid=self._cloid(cloid) if cloid else 0,
            reason=reason_of(item, self.account),
        )

    def _cloid(self, text: Any) -> int:
        try:
            return int(text, 16)
        except (TypeError, ValueError):
            raise self._wrong("userFillsByTime") from None

    def _figure(self, item: Mapping[str, Any], key: str) -> Decimal:
        found = item.get(key)
        try:
            value = Decimal(found) if isinstance(found, str | int | Decimal) else None
        except InvalidOperation:
            value = None
        if value is None or isinstance(found, bool) or not value.is_finite():
            raise DataError(f"{self.name}: the info API's {key} is no number")
        return value

    def _object(self, found: Any) -> Mapping[str, Any]:
        if not isinstance(found, dict):
            raise self._wrong("an entry")
        return found

    def _wrong(self, what: str) -> DataError:
        return DataError(f"{self.name}: the info API's answer to {what} has another form than is documented")


def reason_of(fill: Mapping[str, Any], account: str) -> str:
    """What explains a fill that nobody of ours ordered, "" where nothing does."""
    liquidation = fill.get("liquidation")
    if (
        isinstance(liquidation, dict)
        and str(liquidation.get("liquidatedUser", "")).lower() == account.lower()
    ):
        return "liquidation"
    kind = str(fill.get("dir", ""))
    return {"Auto-Deleveraging": "auto-deleveraging", "Settlement": "settlement"}.get(kind, "")


@dataclass
class QuietInfo:
    """The info API as the venue asks it: no answer instead of an error, and none asked for `SET_ASIDE_S` after one.

    What concerns one question alone sets that one aside, and what concerns the API all of them.

    Rates are asked for once a minute, the margin mode every ten. While the API is silent the last rate holds for an
    hour, and the last mode until another is told. `clock` gives seconds.
    """

    questions: Questions
    clock: Callable[[], float] = time.monotonic
    _quiet_until: dict[str, float] = field(default_factory=dict, init=False)
    _kept: dict[str, tuple[float, Any]] = field(default_factory=dict, init=False)

    def order(self, cloid: int, since_s: int) -> ToldOrder | None:
        """See the port."""
        return self._quietly("order", lambda: self.questions.order(cloid, since_s))

    def fills(self, since_s: int) -> tuple[ToldFill, ...] | None:
        """See the port."""
        return self._quietly("fills", lambda: self.questions.fills(since_s))

    def funding_per_hour(self) -> Decimal | None:
        """See the port."""
        return self._remembered("funding", FUNDING_AGE_S, self.questions.funding_per_hour, FUNDING_KEPT_S)

    def margin_mode(self) -> str | None:
        """See the port."""
        return self._remembered("mode", MODE_AGE_S, self.questions.margin_mode, FOR_EVER)

    def _remembered(self, what: str, age_s: float, ask: Callable[[], T], kept_s: float) -> T | None:
        """An answer of at most `age_s` seconds ago; while there is no new one, of at most `kept_s`."""
        at, value = self._kept.get(what, (float("-inf"), None))
        known: T | None = value
        if self.clock() - at < age_s:
            return known
        found = self._quietly(what, ask)
        if found is None:
            return known if self.clock() - at < kept_s else None
        self._kept[what] = (self.clock(), found)
        return found

    def _quietly(self, what: str, ask: Callable[[], T]) -> T | None:
        if any(self.clock() < self._quiet_until.get(kept, float("-inf")) for kept in (what, EVERYTHING)):
            return None
        try:
            return ask()
        except VaultkeelError as error:
            log.warning("the info API is no help", what=what, why=str(error), again_in_s=SET_ASIDE_S)
            concerns = what if isinstance(error, DataError) else EVERYTHING
            self._quiet_until[concerns] = self.clock() + SET_ASIDE_S
            return None
