"""The seams: what the desk needs of the world, as Protocols, and the shape of a reader.

A reader is a generator without I/O. It yields the calls that it needs, is sent their decoded results in the same
order, and returns what it read. `bot.chain.reads` drives the readers of a chain side by side.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from bot.core.attribution import TradeDone
from bot.core.decision import Decided
from bot.core.model import (
    BlockRef,
    Exposure,
    FeedPrice,
    Fill,
    Intent,
    LastTrade,
    Mode,
    Outcome,
    Refusals,
    SequencerState,
    Settled,
    Snapshot,
    SourceState,
    Spent,
    VenueState,
)
from bot.core.orders import Order
from bot.pricing.surface import Surface


@dataclass(frozen=True, slots=True)
class Call:
    """One contract read: calldata, and how to decode what comes back.

    `name` is what an error calls it. Where `may_fail` is set a revert is sent to the reader as `Reverted`; else it
    stops the tick.
    """

    to: str
    data: bytes
    name: str
    decode: Callable[[bytes], Any]
    explain: Callable[[bytes], str]
    may_fail: bool = False


@dataclass(frozen=True, slots=True)
class Reverted:
    """A call that reverted, with the decoded reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class LogQuery:
    """The events of one contract from a block on, up to `to_block` and the pinned one. Sent are `EventLog`s."""

    address: str
    topics: tuple[str | None, ...]
    from_block: int
    name: str
    to_block: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """What an address holds of the chain's own coin at the pinned block. Sent is the amount in wei."""

    address: str

    @property
    def name(self) -> str:
        """What an error calls it."""
        return f"the balance of {self.address}"


Asked = Call | LogQuery | Balance
"""One question of a reader."""

T = TypeVar("T")
Reader = Generator[Sequence[Asked], list[Any], T]


@dataclass(frozen=True, slots=True)
class Log:
    """One event of a receipt, undecoded."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class EventLog:
    """An event with the transaction that it came from."""

    log: Log
    tx_hash: str
    block_number: int
    block_hash: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction at the confirmation depth. `gas_cost_wei` includes every fee of the chain's own."""

    tx_hash: str
    succeeded: bool
    block_number: int
    block_hash: str
    gas_used: int
    gas_cost_wei: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class TxCall:
    """A transaction's meaning: to whom, what, with how much native coin (wei)."""

    to: str
    data: bytes
    value: int = 0


@dataclass(frozen=True, slots=True)
class UnsignedTx:
    """Everything that a signature would cover."""

    chain_id: int
    nonce: int
    call: TxCall
    gas: int
    max_fee_wei: int
    tip_wei: int

    @property
    def most_wei(self) -> int:
        """The most that it takes of the native coin: all of its gas at its highest fee, and its value."""
        return self.gas * self.max_fee_wei + self.call.value


@dataclass(frozen=True, slots=True)
class SignedTx:
    """The bytes to send and their own hash."""

    raw: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A signed transaction as the ledger holds it."""

    hash: str
    intent_key: str
    account: str
    nonce: int
    raw: bytes
    purpose: str
    max_fee_wei: int
    tip_wei: int
    signed_at: int
    state: str
    block_hash: str | None = None


@dataclass(frozen=True, slots=True)
class OutsideChange:
    """A change of our position that we did not order, as the venue's own events tell it.

    `reason` is the venue's own (a liquidation, say), "" where its events don't explain it.
    """

    size: Decimal
    reason: str
    tx_hash: str


class OptionSource(Protocol):
    """One option protocol's positions of one vault."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def chain(self) -> str:
        """The configured chain's name."""
        ...

    def read(self) -> Reader[SourceState]:
        """The vault's positions, holdings, spot and vols. Raises DataError where one can't be read."""
        ...

    def watch(self) -> Reader[Decimal | None]:
        """The spot alone, in one call: what is looked at between two ticks. None where it has no spot of its own."""
        ...

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        ...


class PriceFeed(Protocol):
    """A second source for the spot."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def chain(self) -> str:
        """The configured chain's name."""
        ...

    def read(self) -> Reader[FeedPrice]:
        """Its price. Raises DataError where it has none."""
        ...

    def watch(self) -> Reader[Decimal | None]:
        """The price alone, in one call: what is looked at between two ticks where no source tells the spot."""
        ...

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        ...


class UptimeFeed(Protocol):
    """Whether a chain's sequencer runs."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def chain(self) -> str:
        """The configured chain's name."""
        ...

    def read(self) -> Reader[SequencerState]:
        """The sequencer's state."""
        ...

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        ...


class VolSource(Protocol):
    """Vols from elsewhere than the vaults themselves."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def read(self, now: int) -> Surface:
        """The surface as it is at Unix second `now`. Raises DataError where there is none."""
        ...


class PerpVenue(Protocol):
    """One perps DEX and our account on it."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def chain(self) -> str:
        """The configured chain's name."""
        ...

    @property
    def account(self) -> str:
        """The address that signs.

        Whose position it trades is in the state that `read` returns, and may be another's who approved it.
        """
        ...

    def read(self) -> Reader[VenueState]:
        """Position, margin, prices, limits and the cost curve."""
        ...

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        """Calldata with the price bound and the deadline of `intent`, or that moves its amount. Sends nothing."""
        ...

    def decode(self, call: TxCall, state: VenueState) -> Order:
        """What a prepared call would trade, read back from its bytes. OrderRejected where it is no order of ours."""
        ...

    def expected(self, intent: Intent, state: VenueState, returned: bytes) -> Fill:
        """The fill that a preflight's return data promises."""
        ...

    def explain(self, revert: bytes) -> str:
        """A revert's data in words."""
        ...

    def outcome(self, intent: Intent, receipt: Receipt, before: VenueState) -> Reader[Outcome]:
        """What became of `intent`, from its mined transaction and whatever followed it on the venue.

        `before` is the venue as the intent's decision saw it: a venue without events tells an order by what changed.
        PENDING where an executor has still to act; it is asked again then.
        """
        ...

    def outside_changes(
        self, from_block: int, since_s: int, known: frozenset[str]
    ) -> Reader[tuple[OutsideChange, ...]]:
        """Changes of our position that came from transactions other than `known`, oldest first.

        They are those from a block on; the block before it was of Unix second `since_s`.
        """
        ...

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        ...


class Signer(Protocol):
    """Holds a key that never leaves it."""

    @property
    def address(self) -> str:
        """The address whose key it holds."""
        ...

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """The signed type-2 transaction."""
        ...


class Clock(Protocol):
    """The desk's time."""

    def now(self) -> int:
        """Unix seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Baseline:
    """A position that was adopted: at which block, of which Unix second, and why."""

    size: Decimal
    block: int
    why: str
    at: int


@dataclass(frozen=True, slots=True)
class OpenIntent:
    """An intent with its attempts, oldest first. `settled` is the executor's transaction where that decided it."""

    intent: Intent
    attempts: tuple[AttemptRow, ...]
    settled: Settled | None = None


@dataclass(frozen=True, slots=True)
class LastTick:
    """A book's newest tick: what it saw and measured."""

    id: int
    snapshot: Snapshot
    exposure: Exposure


class Ledger(Protocol):
    """What must survive a crash. Every write is committed when the call returns. Threads may share it.

    An `account` is the id of one address on one chain (`bot.core.accounts`).
    """

    def record_tick(self, decided: Decided) -> int:
        """The new tick's id."""
        ...

    def last_tick(self, book: str) -> LastTick | None:
        """The book's newest tick."""
        ...

    def decided_on(self, intent_key: str) -> Snapshot:
        """What an intent's decision saw. KeyError where there is no such intent."""
        ...

    def settled_since(self, tick_id: int) -> tuple[tuple[TradeDone, ...], Decimal]:
        """What was filled for a tick's book since that tick was recorded, and the gas paid for it in USD."""
        ...

    def transferred_since(self, account: str, tick_id: int) -> bool:
        """Whether an order of ours moved margin of `account` since a tick was recorded, or an open one may."""
        ...

    def spent(self, book: str | None, now: int, *, paper: bool) -> Spent:
        """What the orders that have an outcome used up by `now`, of one book, or of all for None.

        On paper recorded orders count too.
        """
        ...

    def top_ups(self, book: str, now: int) -> tuple[Decimal, str]:
        """What a book added to its margin in the last day, open deposits included, in settlement tokens.

        The second is why its newest attempt came to nothing, "" where it did not or was more than a minute ago.
        """
        ...

    def refusals(self, book: str) -> Refusals | None:
        """The book's newest orders in a row that their executor cancelled; None where the newest one was not."""
        ...

    def last_trade(self, book: str, *, paper: bool) -> LastTrade | None:
        """The book's newest order that finished its rebalance: the last clip, filled in whole, on paper or live."""
        ...

    def intend(self, intent: Intent, tick_id: int) -> None:
        """Commits an intent before anything is signed. OrderRejected where the same key was intended before."""
        ...

    def attempt(self, attempt: AttemptRow) -> None:
        """Commits the exact bytes before they are sent.

        TransientError, and nothing committed, where the intent has an outcome already, the nonce is another intent's
        or the intent has another nonce.
        """
        ...

    def note(self, intent_key: str, why: str) -> None:
        """Says of an intent without an outcome what keeps it from being pushed on. Its outcome's reason replaces it."""
        ...

    def sent(self, tx_hash: str) -> None:
        """Notes that a node accepted the bytes."""
        ...

    def mined(self, receipt: Receipt) -> None:
        """Notes an attempt's receipt at the confirmation depth; the intent's other attempts are REPLACED by it."""
        ...

    def unfinal(self, account: str) -> tuple[OpenIntent, ...]:
        """Intents with an attempt that is mined and could still be undone by a reorg."""
        ...

    def finalise(self, tx_hash: str) -> None:
        """Notes that an attempt's block can't be undone any more."""
        ...

    def unconfirm(self, intent_key: str) -> None:
        """Takes an outcome and its fill back, after a reorg: the intent is UNKNOWN and its attempts are sent."""
        ...

    def bury(self, intent_key: str, why: str, at: int) -> None:
        """Takes a signed intent as DEAD on a person's word: its nonce was used by a foreign transaction."""
        ...

    def baseline(self, account: str, market: str) -> Baseline | None:
        """The position that the fills are counted from; None before the first reconciliation."""
        ...

    def adopt(
        self,
        account: str,
        market: str,
        size: Decimal,
        block: int,
        why: str,
        at: int,
        nonce: int | None = None,
    ) -> None:
        """From now on `size` is the position that the ledger expects, and `nonce` the account's next one at least."""
        ...

    def own_transactions(self, account: str) -> frozenset[str]:
        """The hashes of every attempt ever signed for `account`."""
        ...

    def live_position(self, account: str, market: str) -> Decimal:
        """The position that the ledger expects: the baseline and all live fills since."""
        ...

    def resolve(self, intent_key: str, outcome: Outcome, gas_usd: Decimal, at: int) -> None:
        """Records an intent's outcome and its fill together, once.

        TransientError where it has an outcome already, or was signed and none of its attempts is mined.
        """
        ...

    def open_intents(self, account: str | None, market: str | None = None) -> tuple[OpenIntent, ...]:
        """Intents whose outcome is PENDING or UNKNOWN, of one account, or of all for None."""
        ...

    def next_nonce(self, account: str) -> int | None:
        """One more than the highest nonce ever signed for `account`; None where none was."""
        ...

    def last_mined_block(self, account: str) -> int:
        """The highest block known to hold a transaction of `account`, or one that settled an order of it.

        0 where there is none.
        """
        ...

    def paper_fills(self, book: str) -> tuple[Fill, ...]:
        """Fills of orders that were recorded and not sent, oldest first."""
        ...

    def mode(self, account: str) -> Mode:
        """The account's mode."""
        ...

    def set_mode(self, account: str, mode: Mode, why: str, at: int) -> None:
        """Changes the account's mode, with the reason."""
        ...


Part = OptionSource | PerpVenue | PriceFeed
"""Whatever is read on a chain."""


def primary_block(blocks: tuple[BlockRef, ...], chain: str) -> BlockRef:
    """The pinned block of `chain`. KeyError where the snapshot didn't read that chain."""
    for block in blocks:
        if block.chain == chain:
            return block
    raise KeyError(chain)
