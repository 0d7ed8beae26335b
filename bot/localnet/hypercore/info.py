"""What the stand-in's info API answers, in the JSON shapes that Hyperliquid documents. Numbers are strings in USD or
units of the coin, times are milliseconds.

Where the documentation leaves a question open, a comment says what was chosen.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from bot.errors import VaultkeelError
from bot.localnet.hypercore.actions import Tif
from bot.localnet.hypercore.info_account import clearinghouse_state, number, user_funding
from bot.localnet.hypercore.model import ZERO, Fill, Order
from bot.localnet.hypercore.state import State

MOST_FILLS: Final = 2_000
MOST_RATES: Final = 500
DAY_S: Final = 86_400
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_CLOID: Final = re.compile(r"0x[0-9a-fA-F]{32}")
_NO_TRANSACTION: Final = "0x" + "00" * 32
_TIF: Final = {Tif.ALO: "Alo", Tif.GTC: "Gtc", Tif.IOC: "Ioc"}


class BadRequest(VaultkeelError):
    """A request that is not in a documented shape, or that the stand-in does not answer."""


Request = Mapping[str, Any]


def answer(state: State, request: Any) -> Any:
    """The JSON value for one request. BadRequest where there is none."""
    if not isinstance(request, dict):
        raise BadRequest("the body is no JSON object")
    kind = request.get("type")
    if not isinstance(kind, str) or kind not in _ANSWERS:
        raise BadRequest(f"the stand-in answers no type {kind!r}")
    return _ANSWERS[kind](state, request)


def _meta_and_contexts(state: State, request: Request) -> Any:
    if request.get("dex") not in (None, ""):
        raise BadRequest("the stand-in has only the first perp dex")
    universe = [
        {
            "szDecimals": market.sz_decimals,
            "name": market.coin,
            "maxLeverage": market.max_leverage,
            "marginTableId": market.margin_table,
        }
        for _, market in sorted(state.markets.items())
    ]
    contexts = [_context(state, index) for index in sorted(state.markets)]
    return [{"universe": universe, "marginTables": [], "collateralToken": 0}, contexts]


def _context(state: State, index: int) -> dict[str, Any]:
    book = state.books[index]
    bid, ask = book.best(is_ask=False), book.best(is_ask=True)
    mid = None if bid is None or ask is None else number((bid + ask) / 2)
    traded = [f for f in state.fills if f.market == index and f.time_s > state.now_s - DAY_S]
    interest = sum((abs(p.size) for _, at, p in state.positions() if at == index), ZERO)
    return {
        "funding": number(book.funding_rate),
        "openInterest": number(interest),
        "prevDayPx": number(book.mark),  # yesterday's price is not kept
        "dayNtlVlm": number(sum((f.px * f.size for f in traded), ZERO)),
        "dayBaseVlm": number(sum((f.size for f in traded), ZERO)),
        "premium": number(((book.mark - book.oracle) / book.oracle).quantize(Decimal("1e-10"))),
        "oraclePx": number(book.oracle),
        "markPx": number(book.mark),
        "midPx": mid,
        "impactPxs": None if bid is None or ask is None else [number(bid), number(ask)],
    }


def _funding_history(state: State, request: Request) -> Any:
    coin, start, end = request.get("coin"), _time(request, "startTime"), _end(request)
    indexes = [index for index, market in state.markets.items() if market.coin == coin]
    if not indexes:
        raise BadRequest(f"the stand-in has no coin {coin!r}")
    found = [
        {
            "coin": coin,
            "fundingRate": number(entry.rate),
            "premium": number(entry.premium),
            "time": entry.time_s * 1_000,
        }
        for entry in state.funding_rates
        if entry.market == indexes[0] and start <= entry.time_s * 1_000 <= end
    ]
    return found[:MOST_RATES]


def _order_status(state: State, request: Request) -> Any:
    user, named = _user(request), request.get("oid")
    if isinstance(named, str) and _CLOID.fullmatch(named):
        cloid = int(named, 16)
        # Whether a cloid may be used twice is not documented: the newest order is answered.
        found = [o for o in state.orders.values() if o.account == user and o.cloid == cloid != 0]
    elif isinstance(named, int) and not isinstance(named, bool):
        found = [o for o in state.orders.values() if o.account == user and o.oid == named]
    else:
        raise BadRequest("oid is neither an order number nor a cloid of 16 bytes in hex")
    if not found:
        return {"status": "unknownOid"}
    order = found[-1]
    return {
        "status": "order",
        "order": {
            "order": _order(state, order),
            "status": order.status,
            "statusTimestamp": order.status_s * 1_000,
        },
    }


def _order(state: State, order: Order) -> dict[str, Any]:
    return {
        "coin": state.markets[order.market].coin,
        "side": "B" if order.is_buy else "A",
        "limitPx": number(order.limit_px),
        "sz": number(order.shown_remaining),
        "oid": order.oid,
        "timestamp": order.placed_s * 1_000,
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": order.reduce_only,
        "orderType": "Limit",
        "origSz": number(order.size),
        "tif": _TIF[order.tif],
        "cloid": _cloid(order.cloid),
    }


def _user_fills(state: State, request: Request) -> Any:
    user = _user(request)
    return [_fill(state, f) for f in reversed(state.fills) if f.account == user][:MOST_FILLS]


def _user_fills_by_time(state: State, request: Request) -> Any:
    user, start, end = _user(request), _time(request, "startTime"), _end(request)
    # The documentation says how many, not in which order: the oldest come first, so that a reader can go on.
    found = [f for f in state.fills if f.account == user and start <= f.time_s * 1_000 <= end]
    return [_fill(state, f) for f in found[:MOST_FILLS]]


def _fill(state: State, fill: Fill) -> dict[str, Any]:
    found: dict[str, Any] = {
        "coin": state.markets[fill.market].coin,
        "px": number(fill.px),
        "sz": number(fill.size),
        "side": "B" if fill.is_buy else "A",
        "time": fill.time_s * 1_000,
        "startPosition": number(fill.start_size),
        "dir": _direction(fill),
        "closedPnl": number(fill.closed_pnl),
        "hash": fill.transaction or _NO_TRANSACTION,
        "oid": fill.oid,
        "crossed": fill.crossed,
        "fee": number(fill.fee_usd),
        "tid": fill.number,
        "feeToken": "USDC",
    }
    if fill.cloid:
        found["cloid"] = _cloid(fill.cloid)
    if fill.liquidation:
        mark = number(fill.px)
        found["liquidation"] = {"liquidatedUser": fill.account, "markPx": mark, "method": "market"}
    return found


def _direction(fill: Fill) -> str:
    start = fill.start_size
    end = start + (fill.size if fill.is_buy else -fill.size)
    if start * end < 0:
        return "Long > Short" if start > 0 else "Short > Long"
    side = "Long" if (start or end) > 0 else "Short"
    return f"{'Open' if abs(end) > abs(start) else 'Close'} {side}"


def _cloid(cloid: int) -> str | None:
    return f"0x{cloid:032x}" if cloid else None


def _user(request: Request) -> str:
    user = request.get("user")
    if not isinstance(user, str) or not _ADDRESS.fullmatch(user):
        raise BadRequest("user is no address")
    return user.lower()


def _time(request: Request, name: str) -> int:
    found = request.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise BadRequest(f"{name} is no time in milliseconds")
    return found


def _end(request: Request) -> int:
    return 2**63 if request.get("endTime") is None else _time(request, "endTime")


def _state_of(state: State, request: Request) -> Any:
    if request.get("dex") not in (None, ""):
        raise BadRequest("the stand-in has only the first perp dex")
    return clearinghouse_state(state, _user(request))


def _funding_of(state: State, request: Request) -> Any:
    return user_funding(state, _user(request), _time(request, "startTime"), _end(request))[:MOST_RATES]


def _abstraction(state: State, request: Request) -> Any:
    account = state.accounts.get(_user(request))
    # What it says of nobody is not documented: the word for separate balances.
    return "unifiedAccount" if account is not None and account.unified else "disabled"


_ANSWERS: Final[dict[str, Callable[[State, Request], Any]]] = {
    "clearinghouseState": _state_of,
    "fundingHistory": _funding_history,
    "metaAndAssetCtxs": _meta_and_contexts,
    "orderStatus": _order_status,
    "userAbstraction": _abstraction,
    "userFills": _user_fills,
    "userFillsByTime": _user_fills_by_time,
    "userFunding": _funding_of,
}
