"""What the stand-in of HyperCore knows: markets, accounts, orders, fills, and what became of each action.

Sizes are signed units of the coin, prices and amounts USD, times seconds since 1970 on the chain. Addresses are in
lower case.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from bot.localnet.hypercore.actions import Action, Tif

ZERO: Final = Decimal(0)
CENT_OF_CENT: Final = Decimal("0.000001")
"""The smallest amount of USD that a perp account knows."""


@dataclass(frozen=True, slots=True)
class Level:
    """Liquidity at a distance from the mark (a fraction of it), in units, on each side."""

    offset: Decimal
    size: Decimal


DEPTH: Final = tuple(
    Level(Decimal(offset), Decimal(size))
    for offset, size in (
        ("0.00005", "15"),
        ("0.0002", "40"),
        ("0.0005", "120"),
        ("0.001", "300"),
        ("0.002", "600"),
        ("0.005", "1500"),
    )
)


@dataclass(frozen=True, slots=True)
class Market:
    """One perp. Fees are fractions of the notional; an empty level is full again after `refill_s`."""

    index: int
    coin: str
    sz_decimals: int
    max_leverage: int
    margin_table: int
    levels: tuple[Level, ...] = DEPTH
    refill_s: int = 60
    taker_fee: Decimal = Decimal("0.00045")
    maker_fee: Decimal = Decimal("0.00015")

    @property
    def lot(self) -> Decimal:
        """The smallest size, in units."""
        return Decimal(1).scaleb(-self.sz_decimals)

    @property
    def px_decimals(self) -> int:
        """The most decimals that a price may have."""
        return 6 - self.sz_decimals


BTC: Final = Market(index=0, coin="BTC", sz_decimals=5, max_leverage=40, margin_table=56)
ETH: Final = Market(index=1, coin="ETH", sz_decimals=4, max_leverage=25, margin_table=55)


@dataclass(slots=True)
class Position:
    """Signed size, and what was paid for it in all (always positive)."""

    size: Decimal = ZERO
    entry_ntl: Decimal = ZERO


@dataclass(slots=True)
class Account:
    """One user. `raw_usd` is cash less what positions cost: the account's value less its positions' at the mark.

    `unified` stands for unified and portfolio margin: spot USDC backs the perps, and the perp's own figures omit it.
    """

    address: str
    raw_usd: Decimal = ZERO
    spot_usd: Decimal = ZERO
    unified: bool = False
    positions: dict[int, Position] = field(default_factory=dict)
    leverage: dict[int, int] = field(default_factory=dict)
    api_wallets: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Maker:
    """Who is on the other side of every trade and funding payment, bears bad debts and keeps the fees."""

    raw_usd: Decimal = ZERO
    fees_usd: Decimal = ZERO
    sizes: dict[int, Decimal] = field(default_factory=dict)


@dataclass(slots=True)
class Order:
    """An order that HyperCore has a number for. `status` is the info API's word.

    `shown_remaining` is what the info API says: the remaining size when the status last changed.
    """

    oid: int
    account: str
    market: int
    is_buy: bool
    limit_px: Decimal
    size: Decimal
    reduce_only: bool
    tif: Tif
    cloid: int
    placed_s: int
    remaining: Decimal
    shown_remaining: Decimal
    status: str
    status_s: int


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. `crossed` says that it took liquidity; `fee_usd` is what the account paid."""

    number: int
    account: str
    market: int
    oid: int
    cloid: int
    is_buy: bool
    px: Decimal
    size: Decimal
    time_s: int
    start_size: Decimal
    closed_pnl: Decimal
    fee_usd: Decimal
    crossed: bool
    liquidation: bool
    transaction: str


@dataclass(frozen=True, slots=True)
class FundingRate:
    """An hour of one market. The rate is what longs pay to shorts per hour, a fraction of the notional."""

    time_s: int
    market: int
    rate: Decimal
    premium: Decimal


@dataclass(frozen=True, slots=True)
class FundingPayment:
    """What one position was paid (positive) or paid (negative) for an hour."""

    time_s: int
    account: str
    market: int
    size: Decimal
    rate: Decimal
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Sent:
    """An action as it reached CoreWriter. `value_wei` is what its transaction carried."""

    account: str
    action: Action
    value_wei: int = 0
    block: int = 0
    time_s: int = 0
    transaction: str = ""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an action. `refusal` is empty where it was done, else a sentence that only we can read.

    `oid` is 0 where HyperCore has no number for it: then its API doesn't know it either. `filled` is signed.
    """

    sent: Sent
    block: int
    time_s: int
    refusal: str
    oid: int = 0
    status: str = ""
    filled: Decimal = ZERO
    average_px: Decimal | None = None
    fee_usd: Decimal = ZERO
