"""What expired Gamma options leave behind: payouts, the rest of the collateral, and what is still to be delivered.

Amounts are whole tokens and whole options, signed (negative = short), prices in USD per token. Payouts are those of
Gamma's `MarginCalculator.getExpiredPayoutRate` and `getExcessCollateral`, which round to the token's last digit:

    value in strike assets  v = max(S ÷ P − K, 0) for a call, max(K − S ÷ P, 0) for a put
    payout in collateral    v × P ÷ C

with the prices at expiry of the underlying S, the strike asset P and the collateral C. A vault keeps its collateral
less the payouts of its short options plus those of its long ones, and never less than nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from bot.core.units import EXACT, from_raw
from bot.errors import DataError
from bot.options.gamma_vaults import PRICE_DECIMALS, OToken

QUOTIENT = Context(prec=78, rounding=ROUND_HALF_EVEN)
"""A payout is a quotient, which no number of digits makes exact."""

ExpiryPrice = tuple[int, bool]
"""`Oracle.getExpiryPrice`: the price with 8 decimals, 0 before it is reported, and whether it is final."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """The prices at an option's expiry: of the underlying, the strike asset and the collateral.

    `collateral` is None where options are delivered. `is_final` is False while a price may still be disputed.
    """

    underlying: Decimal
    strike_asset: Decimal
    collateral: Decimal | None
    is_final: bool

    def value(self, option: OToken) -> Decimal:
        """The value of one option in strike assets, never negative."""
        price = QUOTIENT.divide(self.underlying, self.strike_asset)
        above = QUOTIENT.subtract(price, option.strike)
        return max(above if option.is_call else -above, Decimal(0))

    def payout(self, option: OToken) -> Decimal:
        """What one option pays in its collateral asset, never negative. Nothing where options are delivered."""
        if self.collateral is None:
            return Decimal(0)
        return QUOTIENT.divide(QUOTIENT.multiply(self.value(option), self.strike_asset), self.collateral)


def settling_assets(option: OToken, *, physical: bool) -> tuple[str, ...]:
    """Whose prices at its expiry settle an option; where it is delivered no collateral is paid out."""
    delivered = (option.underlying, option.strike_asset)
    return delivered if physical else (*delivered, option.collateral)


def settlement_of(
    source: str, option: OToken, prices: Mapping[tuple[str, int], ExpiryPrice], *, physical: bool
) -> Settlement | None:
    """How an option is settled, None while one of its prices isn't reported. The oracle has none before expiry.

    A reported price counts although it may still be disputed: what it settles is fixed since the expiry, and the live
    price says nothing about it any more. DataError where a price is final and nothing.
    """
    found = []
    for asset in settling_assets(option, physical=physical):
        price, is_final = prices[asset, option.expiry]
        if is_final and price <= 0:
            raise DataError(
                f"{source}: the oracle's final price of {asset} at {option.expiry} is nothing: {option.instrument} "
                "can't be settled"
            )
        found.append((from_raw(price, PRICE_DECIMALS), is_final))
    if any(price <= 0 for price, _ in found):
        return None
    underlying, strike_asset, *collateral = (price for price, _ in found)
    is_final = all(final for _, final in found)
    return Settlement(underlying, strike_asset, collateral[0] if collateral else None, is_final)


def left_in_vault(
    collateral: Decimal, asset: str, options: Iterable[tuple[OToken, Decimal, Settlement | None]]
) -> Decimal:
    """What a vault keeps of its collateral in `asset`, in whole tokens, once its settled options are paid.

    `options` are the vault's, with their signed sizes; those that aren't settled take nothing yet.
    """
    left = collateral
    for option, size, settlement in options:
        if settlement is not None and option.collateral == asset:
            left = QUOTIENT.add(left, QUOTIENT.multiply(size, settlement.payout(option)))
    return max(left, Decimal(0))


def to_deliver(option: OToken, size: Decimal, settlement: Settlement) -> Decimal:
    """Units of the underlying that a physically settled option moves once it is cleared: negative leaves the holder.

    A short call in the money gives up what it was short of, a short put takes it. At the strike nobody exercises.
    """
    if settlement.value(option) <= 0:
        return Decimal(0)
    return EXACT.multiply(size, Decimal(1 if option.is_call else -1))
