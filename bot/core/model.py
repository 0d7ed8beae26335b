"""The nouns of the domain, all frozen: what was read, what was measured, what was decided, what was done.

Sizes are signed in units of the underlying (negative = short), prices and money in USD, both as Decimal. Greeks
and exposures are floats. Times are whole Unix seconds.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Literal, NamedTuple

from bot.pricing.conventions import MinimumVarianceFit


@dataclass(frozen=True, slots=True)
class BlockRef:
    """The block that everything of one chain was read at."""

    chain: str
    number: int
    hash: str
    timestamp: int
    base_fee_wei: int


@dataclass(frozen=True, slots=True)
class OptionPosition:
    """The vault's net position in one option.

    `vol` is annual (0.8 = 80 %), None once the option has expired. `slope` is ∂vol/∂ln(strike) at its strike,
    `money_vol` the vol at the money of its expiry, None where it isn't known. `averaging_s` is the window before expiry
    whose average price settles it, 0 where a single price does. `carry` is ln(forward of its expiry ÷ its source's
    spot), None where the source's rate says it. `unread` is why a figure that it needs while it lives could not be
    read, "" where all could.
    """

    source: str
    instrument: str
    is_call: bool
    strike: Decimal
    expiry: int
    size: Decimal
    vol: float | None
    slope: float = 0.0
    money_vol: float | None = None
    averaging_s: int = 0
    carry: float | None = None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class Holding:
    """An amount that moves one for one with the underlying: a spot holding, or a hedge of the vault's own."""

    source: str
    asset: str
    size: Decimal
    is_spot: bool = True


@dataclass(frozen=True, slots=True)
class Check:
    """A figure of ours beside the protocol's own, to be reported. It decides nothing."""

    name: str
    ours: float
    theirs: float
    note: str


@dataclass(frozen=True, slots=True)
class SourceState:
    """What one option source holds. `spot` in USD, `rate` annual and continuous, `nav_usd` the vault's own mark.

    `spot` and `nav_usd` are None where the protocol has none, and so is `cached_delta`: the protocol's own figure for
    the options' delta, of Unix second `cached_at` and the price `cached_spot`. `settled` counts positions that are
    expired, settled and not yet paid out: they carry no delta. `paused` says in a sentence that the protocol has
    stopped the market, "" where it is open.
    """

    name: str
    positions: tuple[OptionPosition, ...]
    holdings: tuple[Holding, ...]
    spot: Decimal | None = None
    rate: float = 0.0
    nav_usd: Decimal | None = None
    cached_delta: float | None = None
    cached_at: int = 0
    cached_spot: Decimal = Decimal(0)
    settled: int = 0
    paused: str = ""


@dataclass(frozen=True, slots=True)
class CostPoint:
    """Trading `size` at once now costs an average `price` per unit before fees (size > 0 buys)."""

    size: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class PerpPosition:
    """`entry_notional` is what opening it brought (short: positive) or took (long: negative), in USD."""

    market: str
    size: Decimal
    entry_notional: Decimal


@dataclass(frozen=True, slots=True)
class Margin:
    """In USD. `account_value` is the venue's own figure, `mark_value` ours with the position at the mark.

    `exit_value` is what closing all now would leave.
    """

    collateral: Decimal
    account_value: Decimal
    mark_value: Decimal
    free_collateral: Decimal
    maintenance: Decimal
    exit_value: Decimal


@dataclass(frozen=True, slots=True)
class Privileges:
    """What a venue lets `key` do with the position and the money of `account`."""

    key: str
    account: str
    can_trade: bool
    can_withdraw: bool

    def in_words(self) -> str:
        """One sentence for a person."""
        if self.key == self.account:
            return f"this key is the account {self.account}: it can trade and withdraw everything"
        trades, withdraws = ("can" if may else "can't" for may in (self.can_trade, self.can_withdraw))
        said = f"this key {trades} trade for {self.account} and {withdraws} withdraw"
        if self.can_trade:
            return said
        return f"{said}: its owners approve {self.key} with what `vaultkeel propose approve-delegate` writes"


@dataclass(frozen=True, slots=True)
class PendingOrder:
    """An order that waits on the venue for its executor. `id` is the venue's own name for it."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class OrderCollateral:
    """How collateral moves where every order brings its own, from the wallet, and takes its share back.

    `leverage` is notional ÷ collateral to aim at, `price` the collateral token's in USD. Where `returns` is set, what a
    shrinking position no longer needs is taken out with the order. `claimable_usd` waits to be claimed, which pays
    above `claim_above_usd`. One order may bring `most` tokens.
    """

    leverage: Decimal
    price: Decimal
    returns: bool = True
    claimable_usd: Decimal = Decimal(0)
    claim_above_usd: Decimal | None = None
    most: Decimal | None = None


@dataclass(frozen=True, slots=True)
class VenueState:
    """The perps venue as one block shows it. `account` is whose position and money these are.

    `mark` is the price that trades happen at now (the pool's), `index` the oracle's, `fee_ratio` a fraction of
    notional. `funding_per_hour` is the fraction of notional that a long pays per hour; `pending_funding` is in USD and
    positive where this position pays. `max_buy` and `max_sell` are the sizes (both ≥ 0) that one order may have.
    `order_gas` is the gas units that an order is reckoned with, the margin ratios are fractions of notional.
    `half_spread` is USD per unit between the mark and the best price of either side; `keeper_gas` is the gas units that
    an order pays its executor for. `privileges` is None where a venue can't say. `paused` says in a sentence that
    nothing can be traded, "" where it can. `wallet` is what the signer's wallet holds of the settlement token and
    `allowance` what the venue may take of it: None where no margin is watched, or the signer can't deposit. Without
    `needs_allowance` a deposit is made without one, and with `moves_while_paused` also while nothing can be traded.
    `margin_delta` is the margin's own delta, in units of the underlying: collateral kept in it, and profit or loss that
    is fixed in it. `orders` wait for their executor. `collateral` is None where orders draw on what was deposited.
    A position smaller than `min_position_usd`, or with less collateral than `min_collateral_usd`, is not left open.
    Where `collateral_pays`, the margin's `collateral` pays funding and what a liquidation takes at once: it moves
    without anybody's deposit.
    """

    name: str
    account: str
    position: PerpPosition
    margin: Margin
    mark: Decimal
    index: Decimal
    fee_ratio: Decimal
    funding_per_hour: Decimal
    pending_funding: Decimal
    curve: tuple[CostPoint, ...]
    max_buy: Decimal
    max_sell: Decimal
    lot: Decimal
    clip_interval_s: int
    order_gas: int
    initial_ratio: Decimal
    maintenance_ratio: Decimal
    half_spread: Decimal = Decimal(0)
    keeper_gas: int = 0
    privileges: Privileges | None = None
    paused: str = ""
    wallet: Decimal | None = None
    allowance: Decimal | None = None
    needs_allowance: bool = True
    moves_while_paused: bool = False
    margin_delta: Decimal = Decimal(0)
    orders: tuple[PendingOrder, ...] = ()
    collateral: OrderCollateral | None = None
    min_position_usd: Decimal = Decimal(0)
    min_collateral_usd: Decimal = Decimal(0)
    collateral_pays: bool = False


@dataclass(frozen=True, slots=True)
class LastTrade:
    """The book's last filled order: when it was decided (Unix seconds) and the spot then, in USD."""

    at: int
    spot: Decimal


@dataclass(frozen=True, slots=True)
class VolsUsed:
    """Where the positions' vols came from, and the Unix second that they are of."""

    name: str
    at: int


@dataclass(frozen=True, slots=True)
class FeedPrice:
    """A second source's price in USD, of Unix second `updated_at`; older than `heartbeat_s` + `slack_s` it is stale.

    `max_gap` is how far it may be from the spot, as a fraction, beside what the limits allow; None for no more.
    """

    name: str
    price: Decimal
    updated_at: int
    heartbeat_s: int
    slack_s: int = 0
    max_gap: Decimal | None = None

    @property
    def stale_after_s(self) -> int:
        """Seconds after which it is stale."""
        return self.heartbeat_s + self.slack_s


@dataclass(frozen=True, slots=True)
class SequencerState:
    """Whether an L2's sequencer runs, and the Unix second since when (0: its feed doesn't know).

    After an outage it is trusted again `grace_s` later: prices need time to follow.
    """

    chain: str
    up: bool
    since: int
    grace_s: int


@dataclass(frozen=True, slots=True)
class Prices:
    """What the sources said at one tick, in USD: the vault's spot, the venue's index, and the feeds by name."""

    spot: Decimal
    index: Decimal
    feeds: tuple[tuple[str, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Spent:
    """What orders used in the last hour and day, and how the value changed in the last day (USD, gains positive).

    Orders that may still be executed count in full. `last_order_at` is the Unix second at which the newest order that
    was signed or recorded was decided.
    """

    trades_hour: int = 0
    trades_day: int = 0
    turnover_hour_usd: Decimal = Decimal(0)
    turnover_day_usd: Decimal = Decimal(0)
    fees_day_usd: Decimal = Decimal(0)
    gas_day_usd: Decimal = Decimal(0)
    change_day_usd: Decimal = Decimal(0)
    last_order_at: int | None = None

    @property
    def loss_day_usd(self) -> Decimal:
        """What was lost in the last day, in USD, 0 where nothing was."""
        return max(-self.change_day_usd, Decimal(0))


NOTHING_SPENT = Spent()


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many of the newest orders in a row their executor cancelled, the last one at Unix second `at`, and why."""

    count: int
    at: int
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a decision used, at one block hash per chain.

    `at` is the desk's own time in Unix seconds. `in_flight` is the signed size of orders of this market whose outcome
    is not known yet, `open_order` the key of the account's oldest one, "" where there is none. `native_usd` is the
    price of the coin that pays for gas, `gas_price_wei` what an order is expected to pay per gas unit. `fit` is the
    minimum variance delta's, as far as earlier ticks had taught it. `native` is what the signing account holds of the
    gas coin, None where it wasn't asked. `before` is what the book's last tick saw, `change_usd` the book's change of
    value since then. `spent` is this book's, `spent_in_all` that of all books. On `paper` recorded orders are done.
    `top_up_left_usd` is what may still be added to the margin today, `top_up_failed` why the last attempt at it came to
    nothing, "" where it did not or was long ago. `refusals` is None where the book's newest order was not cancelled by
    its executor.
    """

    book: str
    underlying: str
    at: int
    blocks: tuple[BlockRef, ...]
    sources: tuple[SourceState, ...]
    vols: VolsUsed
    venue: VenueState
    spot: Decimal
    native_usd: Decimal
    gas_price_wei: int
    in_flight: Decimal = Decimal(0)
    open_order: str = ""
    last_trade: LastTrade | None = None
    fit: MinimumVarianceFit | None = None
    feeds: tuple[FeedPrice, ...] = ()
    sequencers: tuple[SequencerState, ...] = ()
    native: Decimal | None = None
    paper: bool = False
    before: Prices | None = None
    change_usd: Decimal | None = None
    spent: Spent = NOTHING_SPENT
    spent_in_all: Spent = NOTHING_SPENT
    top_up_left_usd: Decimal = Decimal(0)
    top_up_failed: str = ""
    refusals: Refusals | None = None

    @property
    def prices(self) -> Prices:
        """What the sources say now."""
        return Prices(self.spot, self.venue.index, tuple((feed.name, feed.price) for feed in self.feeds))

    @property
    def timestamp(self) -> int:
        """The oldest of the pinned blocks' times, in Unix seconds."""
        return min(block.timestamp for block in self.blocks)

    @property
    def skew_s(self) -> int:
        """Seconds between the oldest and the newest of the pinned blocks: 0 where one chain alone is read."""
        return max(block.timestamp for block in self.blocks) - self.timestamp


class PositionGreeks(NamedTuple):
    """Greeks of one whole position (per-unit greek × size), units as in `bot.pricing.black`.

    `delta` is the hedged one: by the book's delta convention, `model_delta` by Black-Scholes with the option's own vol.
    """

    source: str
    instrument: str
    is_call: bool
    strike: float
    expiry: int
    size: float
    vol: float | None
    value: float
    delta: float
    model_delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float
    volga: float
    charm: float


@dataclass(frozen=True, slots=True)
class Bound:
    """How far one doubt may move the delta, in units of the underlying: `below` ≤ 0 ≤ `above`."""

    name: str
    below: float
    above: float


@dataclass(frozen=True, slots=True)
class Exposure:
    """The book's delta by part and in total, in units of the underlying, with the doubts about it.

    `net_lo` ≤ true net delta ≤ `net_hi`, by the linear sum of `bounds`. The gap is what the hedge is away from its
    target, as an interval too: a trade of −gap would close it. `gap_gamma` is the gap's change per USD.
    `value` is the options' in USD, `model_delta` their delta by Black-Scholes, whatever convention the hedge goes by.
    `gamma` is in units per USD, `vega` in USD per 1.00 of vol, `theta` in USD per year, `rho` in USD per 1.00 of rate,
    `vanna` in units per 1.00 of vol, `volga` in USD per 1.00 of vol squared, `charm` in units per year.
    `vol` is the annual vol of the options' underlying (their own vols weighted by |gamma|; 0 where no option is live)
    and `years` the time to the last expiry.
    """

    options: float
    holdings: float
    perps: float
    bounds: tuple[Bound, ...]
    net_lo: float
    net_hi: float
    gap_lo: float
    gap_hi: float
    gap_gamma: float
    gross: float
    value: float
    model_delta: float
    gamma: float
    vega: float
    theta: float
    rho: float
    vanna: float
    volga: float
    charm: float
    vol: float
    years: float
    checks: tuple[Check, ...]

    @property
    def unhedged(self) -> float:
        """Delta without the hedge, in units of the underlying."""
        return self.options + self.holdings

    @property
    def net(self) -> float:
        """The best estimate of the net delta, in units of the underlying, without orders in flight."""
        return self.unhedged + self.perps


@dataclass(frozen=True, slots=True)
class Band:
    """The gaps that a policy leaves alone, in units of the underlying: `low` ≤ gap ≤ `high`."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PriceBand:
    """The spots that a policy leaves alone, in USD."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Wake:
    """The spots in USD at which the policy would trade, all else as it was; None where no price near makes it."""

    down: Decimal | None
    up: Decimal | None

    def crossed(self, spot: Decimal) -> str:
        """Which of the two `spot` has reached, in words; "" where it is between them."""
        if self.down is not None and spot <= self.down:
            return f"the spot {spot:.2f} is at or below {self.down}"
        if self.up is not None and spot >= self.up:
            return f"the spot {spot:.2f} is at or above {self.up}"
        return ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing, because of `code`, said in words in `text`. `arithmetic` holds the figures behind it.

    `band` is what would have to be left for the policy to trade.
    """

    code: str
    text: str
    arithmetic: dict[str, str] = field(default_factory=dict)
    band: Band | PriceBand | None = None
    kind: Literal["hold"] = "hold"


@dataclass(frozen=True, slots=True)
class Rebalance:
    """Trade `size` units (negative sells). `remaining` is left for later orders of the same rebalance.

    One that `protects` the margin makes the hedge smaller whatever the net delta is then.
    """

    size: Decimal
    text: str
    arithmetic: dict[str, str] = field(default_factory=dict)
    band: Band | PriceBand | None = None
    remaining: Decimal = Decimal(0)
    protects: bool = False
    kind: Literal["rebalance"] = "rebalance"


@dataclass(frozen=True, slots=True)
class Transfer:
    """Move `amount` settlement tokens into or out of the margin, or allow the venue to take exactly that much.

    An approval of 0 takes back what was allowed.
    """

    what: Literal["approve", "deposit", "withdraw", "claim"]
    amount: Decimal
    text: str
    arithmetic: dict[str, str] = field(default_factory=dict)
    band: Band | PriceBand | None = None
    kind: Literal["transfer"] = "transfer"


Decision = Hold | Rebalance | Transfer


class Mode(StrEnum):
    """What an account may do. Kept in the ledger."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


class IntentKind(StrEnum):
    """What an intent means to do."""

    TRADE = "trade"
    APPROVE = "approve"
    ADD_MARGIN = "add_margin"
    WITHDRAW_MARGIN = "withdraw_margin"
    CLAIM = "claim"
    CANCEL = "cancel"


class AttemptState(StrEnum):
    """What became of one signed transaction.

    MINED_OK and REVERTED are at the confirmation depth and can still be undone by a reorg; FINAL can't. REPLACED had
    its nonce used by another attempt of the same intent.
    """

    SIGNED = "SIGNED"
    SENT = "SENT"
    MINED_OK = "MINED_OK"
    REVERTED = "REVERTED"
    REPLACED = "REPLACED"
    FINAL = "FINAL"


class Purpose(StrEnum):
    """What a signed transaction is for: the intent's order, or a no-op at its nonce that takes its place."""

    ORDER = "order"
    CANCEL = "cancel"


class OutcomeState(StrEnum):
    """What became of an intent. PENDING and UNKNOWN are open; the others hold from the confirmation depth on.

    UNKNOWN had an outcome that a reorg undid.
    """

    PENDING = "PENDING"
    UNKNOWN = "UNKNOWN"
    FILLED = "FILLED"
    PARTIAL = "PARTIAL"
    DEAD = "DEAD"
    PAPER = "PAPER"


OPEN_OUTCOMES = (OutcomeState.PENDING, OutcomeState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Intent:
    """What we mean to do, committed before anything is signed.

    `account` is the id of who signs on the venue's chain (`bot.core.accounts`). `size` is signed; `price_bound` the
    worst average price accepted, fees included, in USD per unit; `deadline` the Unix second after which the venue must
    refuse it. Of any kind but a trade `size` is an amount of settlement tokens, `price_bound` 0, and the deadline that
    after which a no-op takes its place. A cancel is of the venue's order `order_id`, which the intent `parent` placed;
    its size is 0.
    """

    key: str
    book: str
    account: str
    market: str
    kind: IntentKind
    size: Decimal
    price_bound: Decimal
    deadline: int
    reference_price: Decimal
    parent: str = ""
    order_id: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """The transaction of somebody else, an executor's, that settled an order of ours."""

    tx_hash: str
    block_number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Fill:
    """What an order did. `size` signed; `notional` = |size| × average price before fees; `fee` and all money in USD.

    `impact_usd` is the cost against the pool's price just before the order; `funding_usd` was settled with the order
    (positive = paid).
    """

    size: Decimal
    notional: Decimal
    fee_usd: Decimal
    impact_usd: Decimal
    funding_usd: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an intent, with its fill where there was one and the reason where there was none.

    While it is PENDING on the venue, `order_id` is the venue's name for it, and it may be cancelled there where
    `cancellable` is set. `settled` is None where our own transaction decided it; `keeper_wei` was paid to the executor
    in the chain's own coin, beside our own gas.
    """

    state: OutcomeState
    reason: str = ""
    fill: Fill | None = None
    order_id: str = ""
    cancellable: bool = False
    settled: Settled | None = None
    keeper_wei: int = 0
