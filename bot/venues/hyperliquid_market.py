"""What is configured of a Hyperliquid perp, and the venue's state with what only its own orders need."""

import hashlib
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from bot.core.model import VenueState

MARKETS_OF_A_DEX = 10_000
FIRST_HIP3_ASSET = 100_000
FIRST_DEX = 0
MIN_ORDER_USD = Decimal(10)
"""What an order must be worth, unless it closes the whole position."""
OURS = 0x7661756C
"""The first four bytes of every client order id of ours."""
KEY_BITS = 96


@dataclass(frozen=True, slots=True)
class HyperliquidMarket:
    """One perp, by its number `index`; those of other dexes (HIP-3) are numbered from 10000 × dex on.

    `lot` in units, `fee_ratio` the taker's fee as a fraction. The read precompiles show the best prices alone, so the
    book behind them is told: one unit moves the average price by the fraction `impact_per_unit`, and no order is of
    more than `depth` units. An order has no effect any more `acts_within` blocks after its own.
    """

    coin: str
    index: int
    lot: Decimal
    fee_ratio: Decimal
    impact_per_unit: Decimal
    depth: Decimal
    acts_within: int

    @property
    def dex(self) -> int:
        """The number of the dex that lists it, 0 for Hyperliquid's own."""
        return self.index // MARKETS_OF_A_DEX

    @property
    def asset(self) -> int:
        """What an order calls it."""
        return self.index if self.dex == FIRST_DEX else FIRST_HIP3_ASSET + self.index

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return market_name(self.index)


@dataclass(frozen=True, slots=True)
class HyperliquidState(VenueState):
    """The venue's state, and what only its own orders need of it.

    `others_margin` is what the account's other positions use of its margin, in USD. `leverage` is the account's
    setting for the market, which no action of CoreWriter changes.
    """

    sz_decimals: int = 0
    leverage: int = 1
    others_margin: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class ToldFill:
    """One execution as the info API tells it: signed units, USD per unit, the fee in USD, Unix milliseconds.

    `reason` is what explains one that we did not order, "" where nothing does. `cloid` is 0 where the order had none.
    """

    size: Decimal
    price: Decimal
    fee_usd: Decimal
    at_ms: int
    oid: int
    cloid: int
    reason: str


@dataclass(frozen=True, slots=True)
class ToldOrder:
    """What the info API knows of a client order id: its own word for the state ("" for none), and the fills."""

    status: str
    fills: tuple[ToldFill, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether the order can't act any more."""
        return self.status not in ("", "open", "triggered")

    @property
    def is_refused(self) -> bool:
        """Whether it never traded. An order that ended in another way may have fills that are not told yet."""
        return self.status.lower().endswith("rejected") and not self.fills

    @property
    def size(self) -> Decimal:
        """What it traded, signed."""
        return sum((fill.size for fill in self.fills), Decimal(0))

    def filled_whole(self, meant: Decimal) -> bool:
        """Whether its own word says so, and its fills are all of the signed size that it was meant to be."""
        return self.status == "filled" and self.size == meant


class CoreInfo(Protocol):
    """Hyperliquid's info API, as far as the venue asks it. None stands for no usable answer, whatever the cause."""

    def order(self, cloid: int, since_s: int) -> ToldOrder | None:
        """One order of the account, with its fills since a Unix second."""
        ...

    def fills(self, since_s: int) -> tuple[ToldFill, ...] | None:
        """The account's fills of the market since a Unix second, oldest first."""
        ...

    def funding_per_hour(self) -> Decimal | None:
        """The fraction of notional that a long pays per hour now."""
        ...

    def margin_mode(self) -> str | None:
        """How the account's collateral is shared, in the API's own word."""
        ...


def market_name(index: int) -> str:
    """The ledger's name of the market of a number."""
    return f"hyperliquid:{index}"


def cloid_of(intent_key: str) -> int:
    """The client order id of an intent: four bytes that mark it as ours, and twelve of its key's hash."""
    digest = hashlib.sha256(intent_key.encode()).digest()
    return OURS << KEY_BITS | int.from_bytes(digest[: KEY_BITS // 8], "big")


def is_ours(cloid: int) -> bool:
    """Whether a client order id is one that this program gives."""
    return cloid >> KEY_BITS == OURS


def cloid_text(cloid: int) -> str:
    """A client order id as the info API writes it."""
    return f"0x{cloid:032x}"
