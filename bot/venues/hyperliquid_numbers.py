"""Hyperliquid's prices and sizes: which ones an order may have, and how a raw figure of HyperCore is read.

A price has at most 5 significant figures and at most 6 − szDecimals decimals; a whole number is always a price. A size
is a whole number of lots of 10^−szDecimals. Source: the exchange's documentation of tick and lot size.
"""

from decimal import Decimal
from fractions import Fraction

from bot.core.units import from_raw

SIGNIFICANT_FIGURES = 5
PRICE_DECIMALS = 6
"""Decimals of a perp's price and size together."""
USD_DECIMALS = 6
SPOT_USDC_DECIMALS = 8
ORDER_DECIMALS = 8
"""Of prices and sizes in an order's bytes, whatever the market."""


def lot_of(sz_decimals: int) -> Decimal:
    """The smallest size that the market knows, in units of the underlying."""
    return Decimal(1).scaleb(-sz_decimals)


def price_usd(raw: int, sz_decimals: int) -> Decimal:
    """A raw price of the read precompiles in USD per unit."""
    return from_raw(raw, PRICE_DECIMALS - sz_decimals)


def usd(raw: int) -> Decimal:
    """A raw amount of USD."""
    return from_raw(raw, USD_DECIMALS)


def tick_at(price: Decimal, sz_decimals: int) -> Decimal:
    """The distance of the allowed prices around `price` (above 0), in USD per unit; never above 1."""
    decimals = min(SIGNIFICANT_FIGURES - 1 - price.adjusted(), PRICE_DECIMALS - sz_decimals)
    return Decimal(1).scaleb(-max(decimals, 0))


def is_price(price: Decimal, sz_decimals: int) -> bool:
    """Whether an order of the market may have this price."""
    return price > 0 and Fraction(price) % Fraction(tick_at(price, sz_decimals)) == 0


def stricter_price(exact: Fraction, sz_decimals: int, *, buys: bool) -> Decimal:
    """The nearest allowed price that is no worse than `exact` USD: below it for a purchase, above it for a sale.

    ValueError where there is none above 0.
    """
    if exact <= 0:
        raise ValueError(f"a price of {float(exact):f} USD is none")
    rough = Decimal(exact.numerator) / Decimal(exact.denominator)
    tick = Fraction(tick_at(rough, sz_decimals))
    steps = exact // tick if buys else -(-exact // tick)
    price = Decimal(steps) * tick_at(rough, sz_decimals)
    if price <= 0:
        raise ValueError(f"a price of {float(exact):f} USD is below the market's smallest")
    return price


def whole_lots(size: Decimal, lot: Decimal) -> bool:
    """Whether `size` (of either sign) is a whole number of lots."""
    return Fraction(size) % Fraction(lot) == 0


def stricter_bound(price: Decimal, fee_ratio: Decimal, step: Decimal, *, buys: bool) -> Decimal:
    """The bound with the fee, in whole `step`s of USD per unit, that an order at `price` before fees keeps to.

    It is rounded so that it is never worse than what the price allows: down for a purchase, up for a sale.
    """
    factor = 1 + Fraction(fee_ratio) if buys else 1 - Fraction(fee_ratio)
    exact = Fraction(price) * factor / Fraction(step)
    steps = exact // 1 if buys else -(-exact // 1)
    return Decimal(steps) * step


def price_before_fee(bound: Decimal, fee_ratio: Decimal, *, buys: bool) -> Fraction:
    """The price before fees whose cost with the fee is exactly `bound`, in USD per unit."""
    return Fraction(bound) / (1 + Fraction(fee_ratio) if buys else 1 - Fraction(fee_ratio))
