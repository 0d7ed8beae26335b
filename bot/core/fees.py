"""What to offer for gas: first offers, bumps, and the cap that no offer passes. Pure integer arithmetic in wei."""

from dataclasses import dataclass
from decimal import Decimal

from bot.core.units import WEI_PER_NATIVE

BUMP = (9, 8)
"""A bump raises both fees by an eighth. Nodes take a replacement from 10 % on; the rest is room for rounding."""
SMALLEST_BUMP = (11, 10)


@dataclass(frozen=True, slots=True)
class Offer:
    """EIP-1559 fees in wei per gas unit: at most `max_fee_wei` in all, of which `tip_wei` for the block's maker."""

    max_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class FeeCap:
    """No offer passes `max_fee_wei` per gas unit, nor `max_gas_usd` for the whole order."""

    max_fee_wei: int
    max_gas_usd: Decimal

    def for_gas(self, gas: int, native_usd: Decimal) -> int:
        """The highest fee per gas unit in wei for an order of `gas` units, with the gas coin at `native_usd`."""
        affordable = self.max_gas_usd / native_usd * WEI_PER_NATIVE / gas
        return min(self.max_fee_wei, int(affordable))


def within(offer: Offer, cap_wei: int) -> Offer:
    """`offer` cut to the cap."""
    fee = min(offer.max_fee_wei, cap_wei)
    return Offer(fee, min(offer.tip_wei, fee))


def bumped(last: Offer, wanted: Offer, cap_wei: int) -> Offer | None:
    """The next offer for the same nonce: both fees at least 10 % above `last`, at least what is `wanted` now.

    None where the cap leaves no room for that: then the identical bytes are sent again.
    """
    least_fee, least_tip = raised(last.max_fee_wei, SMALLEST_BUMP), raised(last.tip_wei, SMALLEST_BUMP)
    if max(least_fee, least_tip) > cap_wei:
        return None
    fee = min(max(raised(last.max_fee_wei, BUMP), wanted.max_fee_wei, least_tip), cap_wei)
    tip = min(max(raised(last.tip_wei, BUMP), wanted.tip_wei), fee)
    return Offer(fee, tip)


def raised(amount: int, factor: tuple[int, int]) -> int:
    """`amount` × factor, rounded up."""
    return -(-amount * factor[0] // factor[1])
