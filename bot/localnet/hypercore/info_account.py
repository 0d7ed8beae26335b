"""One account as the stand-in's info API shows it. Numbers are strings in USD or units, times are milliseconds."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from bot.localnet.hypercore import rules
from bot.localnet.hypercore.model import ZERO, Account, Position
from bot.localnet.hypercore.state import State

_NO_TRANSACTION: Final = "0x" + "00" * 32
_RATIO: Final = Decimal("1e-10")


def number(value: Decimal) -> str:
    """A number as the API writes it: plain, and with a point."""
    text = f"{value.normalize() or ZERO:f}"
    return text if "." in text else f"{text}.0"


def clearinghouse_state(state: State, user: str) -> dict[str, Any]:
    """The perp side of an account. One that does not exist is answered like an empty one."""
    account = state.accounts.get(user) or Account(user)
    marks = state.marks
    summary = {
        "accountValue": number(rules.perp_value(account, marks)),
        "totalNtlPos": number(rules.notional(account, marks)),
        "totalRawUsd": number(account.raw_usd),
        "totalMarginUsed": number(rules.initial_margin(account, state.markets, marks)),
    }
    return {
        "marginSummary": summary,
        "crossMarginSummary": dict(summary),
        "crossMaintenanceMarginUsed": number(rules.maintenance_margin(account, state.markets, marks)),
        "withdrawable": number(rules.withdrawable(account, state.markets, marks)),
        "assetPositions": [
            {"type": "oneWay", "position": _position(state, account, index, held)}
            for index, held in sorted(account.positions.items())
        ],
        "time": state.now_s * 1_000,
    }


def user_funding(state: State, user: str, start_ms: int, end_ms: int) -> list[dict[str, Any]]:
    """Every funding payment of an account in a time, oldest first. `usdc` is negative where it paid."""
    return [
        {
            "time": entry.time_s * 1_000,
            "hash": _NO_TRANSACTION,
            "delta": {
                "type": "funding",
                "coin": state.markets[entry.market].coin,
                "usdc": number(entry.usd),
                "szi": number(entry.size),
                "fundingRate": number(entry.rate),
            },
        }
        for entry in state.payments
        if entry.account == user and start_ms <= entry.time_s * 1_000 <= end_ms
    ]


def _position(state: State, account: Account, index: int, held: Position) -> dict[str, Any]:
    market, mark = state.markets[index], state.marks[index]
    value = abs(held.size) * mark
    pnl = value - held.entry_ntl if held.size > 0 else held.entry_ntl - value
    leverage = rules.leverage(account, market)
    liquidation = _liquidation_px(state, account, index, held)
    margin_at_entry = held.entry_ntl / leverage
    return {
        "coin": market.coin,
        "szi": number(held.size),
        "leverage": {"type": "cross", "value": leverage},
        "entryPx": number((held.entry_ntl / abs(held.size)).quantize(Decimal(1).scaleb(-market.px_decimals))),
        "positionValue": number(value),
        "unrealizedPnl": number(pnl),
        "returnOnEquity": number((pnl / margin_at_entry).quantize(_RATIO)),
        "liquidationPx": None if liquidation is None else number(liquidation),
        "marginUsed": number(rules.round_usd(value / leverage, up=True)),
        "maxLeverage": market.max_leverage,
        "cumFunding": _paid_funding(state, account, index),
    }


def _liquidation_px(state: State, account: Account, index: int, held: Position) -> Decimal | None:
    """The documented formula: the price that leaves no margin above maintenance; None where no price does."""
    market, mark, side = state.markets[index], state.marks[index], 1 if held.size > 0 else -1
    spare = rules.collateral(account, state.marks) - rules.maintenance_margin(
        account, state.markets, state.marks
    )
    fraction = Decimal(1) / (2 * market.max_leverage)
    px = mark - side * spare / abs(held.size) / (1 - fraction * side)
    rounded = px.quantize(Decimal(1).scaleb(-market.px_decimals), rounding=ROUND_HALF_EVEN)
    return rounded if rounded > 0 else None


def _paid_funding(state: State, account: Account, index: int) -> dict[str, str]:
    """Funding that was paid (positive) ever, since the position was opened, and since it last changed."""
    opened_s = changed_s = 0
    for fill in state.fills:
        if fill.account == account.address and fill.market == index:
            changed_s = fill.time_s
            end = fill.start_size + (fill.size if fill.is_buy else -fill.size)
            if fill.start_size * end <= 0:
                opened_s = fill.time_s
    paid = [(p.time_s, -p.usd) for p in state.payments if p.account == account.address and p.market == index]
    return {
        "allTime": number(sum((usd for _, usd in paid), ZERO)),
        "sinceOpen": number(sum((usd for at, usd in paid if at > opened_s), ZERO)),
        "sinceChange": number(sum((usd for at, usd in paid if at > changed_s), ZERO)),
    }
