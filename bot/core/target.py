"""What a book's hedge aims at, how its delta is counted, and how far its inputs may be off."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from bot.pricing.conventions import Convention


class Numeraire(StrEnum):
    """The money that the book is kept in: its value in USD, or in coins of the underlying, is to be steady."""

    USD = "usd"
    COIN = "coin"


@dataclass(frozen=True, slots=True)
class Target:
    """The hedge's position is to be `delta` − `hedge_ratio` × (options + holdings), in units of the underlying.

    Holdings of spot count only with `hedge_holdings`; a hedge of the vault's own always does. `convention` says how
    vols are taken to move with the price.
    """

    hedge_ratio: Decimal = Decimal(1)
    delta: Decimal = Decimal(0)
    hedge_holdings: bool = True
    convention: Convention = "sticky_strike"
    numeraire: Numeraire = Numeraire.USD

    def __post_init__(self) -> None:
        if not Decimal(0) <= self.hedge_ratio <= Decimal("1.5"):
            raise ValueError(f"hedge_ratio is from 0 to 1.5, got {self.hedge_ratio}")
        if self.numeraire is Numeraire.COIN and self.hedge_holdings:
            raise ValueError("a book kept in coins has no risk in its coins: hedge_holdings must be false")


@dataclass(frozen=True, slots=True)
class Doubts:
    """How far the inputs may be off: vols by `vol` (0.01 = one point), the spot by the fraction `price`."""

    vol: Decimal = Decimal("0.01")
    price: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        if self.vol < 0 or self.price < 0:
            raise ValueError("a doubt can't be negative")
