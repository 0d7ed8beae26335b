"""Hyperliquid's documented rules as arithmetic: ticks, lots, margin. Sizes in units, prices and amounts in USD."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_UP, Decimal
from typing import Final

from bot.localnet.hypercore.model import CENT_OF_CENT, ZERO, Account, Market

SIGNIFICANT_FIGURES: Final = 5
MIN_ORDER_USD: Final = Decimal(10)
# What must stay behind when margin is taken out, as a fraction of all positions' notional.
TRANSFER_FRACTION: Final = Decimal("0.1")
DEFAULT_LEVERAGE: Final = 20

Marks = Mapping[int, Decimal]
Markets = Mapping[int, Market]


def tick(market: Market, px: Decimal) -> Decimal:
    """The distance of allowed prices about `px`: five significant figures, but never coarser than 1."""
    decimals = min(market.px_decimals, SIGNIFICANT_FIGURES - 1 - px.adjusted())
    return Decimal(1).scaleb(-max(decimals, 0))


def on_tick(market: Market, px: Decimal) -> bool:
    """Whether an order may have this price: ≤ 5 significant figures and ≤ 6 − szDecimals decimals, or an integer."""
    return px > 0 and px % tick(market, px) == 0


def on_lot(market: Market, size: Decimal) -> bool:
    """Whether an order may have this size."""
    return size > 0 and size % market.lot == 0


def round_price(market: Market, px: Decimal, *, up: bool) -> Decimal:
    """The nearest allowed price on that side."""
    return px.quantize(tick(market, px), rounding=ROUND_CEILING if up else ROUND_FLOOR)


def round_usd(amount: Decimal, *, up: bool) -> Decimal:
    """To what an account can hold, away from zero or towards it."""
    return amount.quantize(CENT_OF_CENT, rounding=ROUND_UP if up else ROUND_DOWN)


def leverage(account: Account, market: Market) -> int:
    """The account's setting for a market, which decides the initial margin."""
    return account.leverage.get(market.index, min(DEFAULT_LEVERAGE, market.max_leverage))


def notional(account: Account, marks: Marks) -> Decimal:
    """All positions at the mark, each without its sign."""
    return sum((abs(p.size) * marks[index] for index, p in account.positions.items()), ZERO)


def perp_value(account: Account, marks: Marks) -> Decimal:
    """The perp account's value: what its figures say, spot collateral omitted."""
    return account.raw_usd + sum((p.size * marks[index] for index, p in account.positions.items()), ZERO)


def collateral(account: Account, marks: Marks) -> Decimal:
    """What backs the positions: in a unified account the spot USDC too."""
    return perp_value(account, marks) + (account.spot_usd if account.unified else ZERO)


def initial_margin(account: Account, markets: Markets, marks: Marks) -> Decimal:
    """What the positions need to be opened, at the account's leverage."""
    return sum(
        (
            round_usd(abs(p.size) * marks[index] / leverage(account, markets[index]), up=True)
            for index, p in account.positions.items()
        ),
        ZERO,
    )


def maintenance_margin(account: Account, markets: Markets, marks: Marks) -> Decimal:
    """Below this the account is liquidated: half the initial margin at the highest leverage."""
    return sum(
        (
            round_usd(abs(p.size) * marks[index] / (2 * markets[index].max_leverage), up=True)
            for index, p in account.positions.items()
        ),
        ZERO,
    )


def withdrawable(account: Account, markets: Markets, marks: Marks) -> Decimal:
    """What may leave the perp account: its value less the larger of initial margin and a tenth of the notional."""
    kept = max(
        initial_margin(account, markets, marks),
        round_usd(TRANSFER_FRACTION * notional(account, marks), up=True),
    )
    return max(perp_value(account, marks) - kept, ZERO)
