"""What is configured of a GMX v2 market, the protocol's units, and an account's positions as it counts them.

USD values and factors are whole numbers of 10⁻³⁰. A price is USD per smallest unit of a token, on the same scale: for a
token of d decimals a price of 1 USD is 10^(30 − d).
"""

from dataclasses import dataclass
from decimal import Decimal

from bot.chain.contracts import Contract, contract
from bot.core.model import VenueState
from bot.core.units import from_raw, to_raw

SCALE = 30
FLOAT: int = 10**SCALE
MARKET_INCREASE, MARKET_DECREASE, LIQUIDATION = 2, 4, 7
"""The kinds of order that matter here, by the protocol's number."""
ZERO_ADDRESS = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class GmxAddresses:
    """The protocol's contracts, and the market's token, which names the market."""

    router: str
    exchange_router: str
    reader: str
    data_store: str
    event_emitter: str
    order_vault: str
    order_handler: str
    referral_storage: str
    market: str


@dataclass(frozen=True, slots=True)
class PriceSource:
    """A Chainlink aggregator in USD; older than `heartbeat_s` its price is stale."""

    feed: str
    heartbeat_s: int


@dataclass(frozen=True, slots=True)
class GmxMarket:
    """The market's tokens, and where their prices come from. Feeds may coincide.

    The index token may be one without a contract, so its decimals are told. `spread` is the fraction by which the
    protocol's own prices are taken to differ from the feed's, up and down.
    """

    index_token: str
    index_decimals: int
    long_token: str
    short_token: str
    collateral_token: str
    collateral_decimals: int
    index_feed: PriceSource
    long_feed: PriceSource
    short_feed: PriceSource
    spread: Decimal = Decimal(0)

    @property
    def backing(self) -> tuple[str, ...]:
        """The long and the short token, once where they are one."""
        both = (self.long_token, self.short_token)
        return both[:1] if same(*both) else both

    def price_usd(self, raw: int) -> Decimal:
        """A raw price of the index in USD per unit."""
        return from_raw(raw, SCALE - self.index_decimals)

    def price_raw(self, usd: Decimal) -> int:
        """A price of the index in the protocol's units. ValueError where it is finer than these."""
        return to_raw(usd, SCALE - self.index_decimals)

    def is_index(self, token: str) -> bool:
        """Whether a token moves one for one with the underlying: it is the index token."""
        return same(token, self.index_token)


@dataclass(frozen=True, slots=True)
class GmxRules:
    """How the venue is used: notional ÷ collateral to aim at, and the most wei per gas unit of any transaction.

    The executor's fee is paid for at `max_fee_wei`, so that a bumped attempt still carries enough; the rest comes back.
    `returns`, `claim_above_usd` and `most` are as in `bot.core.model.OrderCollateral`.
    """

    leverage: Decimal
    max_fee_wei: int
    returns: bool = True
    claim_above_usd: Decimal | None = None
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Side:
    """One open position, in raw units: what it was opened for in USD, and the index tokens that it is of."""

    usd: int
    tokens: int

    def usd_of(self, tokens: int, *, is_long: bool) -> int:
        """The USD with which a decrease takes exactly `tokens`: the protocol rounds a long's up and a short's down."""
        if tokens == self.tokens:
            return self.usd
        whole = tokens * self.usd
        return whole // self.tokens if is_long else -(-whole // self.tokens)

    def tokens_of(self, usd: int, *, is_long: bool) -> int:
        """The tokens that the protocol takes with a decrease of `usd`."""
        if usd == self.usd:
            return self.tokens
        whole = usd * self.tokens
        return -(-whole // self.usd) if is_long else whole // self.usd


@dataclass(frozen=True, slots=True)
class GmxState(VenueState):
    """The venue's state with what only its own orders need: the two sides, which never net."""

    long: Side | None = None
    short: Side | None = None

    def side(self, *, is_long: bool) -> Side | None:
        """The position on one side, None where there is none."""
        return self.long if is_long else self.short


@dataclass(frozen=True)
class GmxContracts:
    """The contracts that are called, by their ABI."""

    exchange: Contract
    reader: Contract
    store: Contract
    emitter: Contract
    clock: Contract
    collateral: Contract

    @classmethod
    def at(cls, addresses: GmxAddresses, market: GmxMarket, multicall: str) -> "GmxContracts":
        """The protocol's contracts, the collateral token, and `multicall`, which tells the block's time."""
        return cls(
            exchange=contract("gmx_exchange_router", addresses.exchange_router),
            reader=contract("gmx_reader", addresses.reader),
            store=contract("gmx_data_store", addresses.data_store),
            emitter=contract("gmx_event_emitter", addresses.event_emitter),
            clock=contract("multicall3", multicall),
            collateral=contract("erc20", market.collateral_token),
        )


def same(one: str, other: str) -> bool:
    """Whether two addresses are one, whatever their capitals."""
    return one.lower() == other.lower()


def usd(raw: int) -> Decimal:
    """A raw USD value or factor."""
    return from_raw(raw, SCALE)
