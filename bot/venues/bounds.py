"""What the configuration allows one transaction to be, whatever the venue."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OrderBounds:
    """What one order may be: at most `max_order` units, at a price bound that is at most `max_bound_gap` (a fraction)
    worse than the reference price, for at most `ttl_s` seconds.
    """

    max_order: Decimal
    max_bound_gap: Decimal
    ttl_s: int


@dataclass(frozen=True, slots=True)
class TransferBounds:
    """The most settlement tokens that one deposit, its allowance or a withdrawal may move; 0 for none."""

    deposit: Decimal
    withdraw: Decimal = Decimal(0)
