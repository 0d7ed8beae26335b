"""The one boundary between a contract's raw integers and the Decimals of the domain.

Every conversion is exact. The context holds 78 digits, enough for any uint256 (the default of 28 digits would
silently corrupt a 33-digit amount); inexact results raise instead of rounding.
"""

from decimal import ROUND_DOWN, Context, Decimal, Inexact, InvalidOperation

WEI_PER_NATIVE = Decimal(10) ** 18

EXACT = Context(prec=78, traps=[Inexact, InvalidOperation])
DOWN = Context(prec=78, rounding=ROUND_DOWN, traps=[InvalidOperation])


def from_raw(raw: int, decimals: int) -> Decimal:
    """`raw` ÷ 10^decimals, exactly. For example USDC's 1_500_000 with 6 decimals is 1.5."""
    return Decimal(raw).scaleb(-decimals, context=EXACT)


def to_raw(amount: Decimal, decimals: int) -> int:
    """`amount` × 10^decimals. ValueError when the token can't express the amount."""
    try:
        scaled = amount.scaleb(decimals, context=EXACT)
    except Inexact:
        raise ValueError(f"{amount} has more than {decimals} decimals, or too many digits") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value():
        raise ValueError(f"{amount} has more than {decimals} decimals")
    return int(scaled)


def to_raw_down(amount: Decimal, decimals: int) -> int:
    """`amount` × 10^decimals, rounded towards zero."""
    return int(amount.scaleb(decimals, context=DOWN))


def round_to_lot(size: Decimal, lot: Decimal) -> Decimal:
    """`size` rounded towards zero to a whole number of lots, in the same unit. Never larger than asked."""
    if lot <= 0:
        raise ValueError(f"a lot must be positive, got {lot}")
    lots = DOWN.divide(size, lot).to_integral_value(rounding=ROUND_DOWN)
    return EXACT.multiply(lots, lot)
