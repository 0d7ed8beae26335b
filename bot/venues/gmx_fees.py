"""What an order pays its executor on GMX: gas at the transaction's own price, and what of it was kept."""

from dataclasses import dataclass

from bot.venues.gmx_market import FLOAT

ORACLE_PRICES = 3
"""Prices that an order without swaps is executed with: the index's, the long and the short token's."""


@dataclass(frozen=True, slots=True)
class GasTerms:
    """The protocol's parameters of the executor's fee, in gas units; `multiplier` is a factor of 10⁻³⁰."""

    base: int
    per_price: int
    multiplier: int
    increase: int
    decrease: int
    swap: int


def keeper_gas(terms: GasTerms) -> int:
    """The gas units that an order pays its executor for at least, whichever of the two kinds takes more.

    A decrease may swap its profit into the collateral token.

    The protocol holds the fee against them at the gas price of the transaction that places the order.
    """
    limit = max(terms.increase, terms.decrease + terms.swap)
    return terms.base + terms.per_price * ORACLE_PRICES + terms.multiplier * limit // FLOAT
