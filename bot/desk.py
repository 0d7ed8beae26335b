"""One tick: advance, observe, measure, decide, guard, act, record. Nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import structlog
from pydantic import TypeAdapter

from bot.chain.client import Client
from bot.chain.contracts import Contract
from bot.chain.reads import drive
from bot.chain.sender import Sender
from bot.core.costs import costs_of
from bot.core.exposure import measure
from bot.core.model import (
    BlockRef,
    Decision,
    Hold,
    Intent,
    IntentKind,
    Mode,
    Outcome,
    OutcomeState,
    Rebalance,
    Snapshot,
)
from bot.core.policy import Policy
from bot.core.risk import Limits, guard
from bot.core.units import WEI_PER_NATIVE
from bot.errors import ConfigError, Halt, OrderRejected, OutcomeUnknown, TransientError
from bot.ports import (
    Clock,
    Ledger,
    OpenIntent,
    OptionSource,
    Part,
    PerpVenue,
    Reader,
    Receipt,
    TickRecord,
    primary_block,
)

log = structlog.get_logger("vaultkeel.desk")

SOON_S = 2
PRICE_STEP = Decimal("0.000001")
SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """One chain as the desk reads it. `native_usd` is None where gas is paid in the book's underlying."""

    client: Client
    multicall: Contract
    chain_id: int
    instance: str
    call_gas: int
    min_tip_wei: int
    native_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Book:
    """One underlying, with everything that a tick of it needs."""

    name: str
    underlying: str
    sources: tuple[OptionSource, ...]
    venue: PerpVenue
    policy: Policy
    limits: Limits
    order_ttl_s: int
    sender: Sender
    paper: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything of the book that is read on a chain, the venue last."""
        return (*self.sources, self.venue)


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick did. `again_in_s` is when it wants to come back, None for the next interval."""

    record: TickRecord
    outcome: Outcome | None
    intent_key: str | None
    again_in_s: int | None


class Desk:
    """Runs ticks of its books against the chains."""

    def __init__(
        self, chains: Mapping[str, ChainAccess], books: tuple[Book, ...], ledger: Ledger, clock: Clock
    ) -> None:
        self.books = books
        self.ledger = ledger
        self._chains = chains
        self._clock = clock
        self._verified: set[str] = set()

    def tick(self, book: Book) -> Tick:
        """One tick of `book`. Raises a VaultkeelError where something stopped it; nothing is sent after one."""
        with structlog.contextvars.bound_contextvars(book=book.name):
            try:
                return self._tick(book)
            except Halt as error:
                self.ledger.set_mode(book.venue.account, Mode.HALTED, str(error), self._clock.now())
                raise

    def assess(self, book: Book) -> TickRecord:
        """What a tick would decide now. Reads, and changes nothing."""
        snapshot = self.observe(book)
        exposure = measure(snapshot)
        decision: Decision = book.policy.decide(exposure, costs_of(snapshot))
        mode = self.ledger.mode(book.venue.account)
        now = self._clock.now()
        return TickRecord(
            now, snapshot, exposure, guard(decision, exposure, snapshot, book.limits, mode, now)
        )

    def observe(self, book: Book) -> Snapshot:
        """Everything that a decision of `book` needs, at one block hash per chain."""
        heads = self._verify(book)
        readers: dict[str, list[Reader[Any]]] = {}
        for part in book.parts:
            readers.setdefault(part.chain, []).append(part.read())
        blocks: list[BlockRef] = []
        states: dict[str, list[Any]] = {}
        for chain, wanted in readers.items():
            access = self._chains[chain]
            block = self._pin(book, chain, heads.get(chain))
            blocks.append(block)
            states[chain] = drive(access.client, access.multicall, block, wanted, access.call_gas)
        sources = tuple(states[source.chain].pop(0) for source in book.sources)
        venue = states[book.venue.chain].pop(0)
        spot = sources[0].spot
        access = self._chains[book.venue.chain]
        head = primary_block(tuple(blocks), book.venue.chain)
        open_orders = self.ledger.open_intents(book.venue.account, venue.position.market)
        return Snapshot(
            book=book.name,
            underlying=book.underlying,
            blocks=tuple(blocks),
            sources=sources,
            venue=venue,
            spot=spot,
            native_usd=spot if access.native_usd is None else access.native_usd,
            gas_price_wei=head.base_fee_wei + access.min_tip_wei,
            in_flight=sum((o.intent.size for o in open_orders), Decimal(0)),
        )

    def _tick(self, book: Book) -> Tick:
        self._verify(book)
        waiting = self._advance(book)
        record = self.assess(book)
        if waiting and isinstance(record.decision, Rebalance):
            text = f"order {waiting[0].intent.key} has no outcome yet"
            record = replace(record, decision=Hold("ORDER_OPEN", text, record.decision.arithmetic))
        tick_id = self.ledger.record_tick(record)
        log.info(
            "tick",
            tick=tick_id,
            block=record.snapshot.blocks[-1].number,
            spot=float(record.snapshot.spot),
            delta=round(record.exposure.unhedged, 4),
            hedge=float(record.snapshot.venue.position.size),
            net=round(record.exposure.net, 4),
            decision=record.decision.kind,
            why=record.decision.text,
        )
        if isinstance(record.decision, Hold):
            return Tick(record, None, None, SOON_S if waiting else None)
        return self._act(book, record, tick_id)

    def _pin(self, book: Book, chain: str, head: BlockRef | None) -> BlockRef:
        """The head of `chain`, if it was not read just now. TransientError where it can't show our last order yet."""
        block = head or self._chains[chain].client.head()
        ours = self.ledger.last_mined_block(book.venue.account) if chain == book.venue.chain else 0
        if block.number < ours:
            raise TransientError(
                f"{chain}: the node's block {block.number} is older than {ours}, which has our last order: it lags"
            )
        return block

    def _verify(self, book: Book) -> dict[str, BlockRef]:
        """Once per book, before anything is sent: the chains are the configured ones and every address holds code.

        Returns the heads that this read.
        """
        if book.name in self._verified:
            return {}
        heads = {
            chain: self._verify_chain(book, chain) for chain in dict.fromkeys(p.chain for p in book.parts)
        }
        self._verified.add(book.name)
        return heads

    def _verify_chain(self, book: Book, chain: str) -> BlockRef:
        access = self._chains[chain]
        addresses = {f"chains.{chain}.multicall": access.multicall.address}
        for part in book.parts:
            if part.chain == chain:
                addresses |= {f"{part.name}.{field}": address for field, address in part.contracts().items()}
        chain_id, head, has_code = access.client.opening(list(addresses.values()))
        if chain_id != access.chain_id:
            raise ConfigError(f"chains.{chain}.chain_id is {access.chain_id}, the node's is {chain_id}")
        for field, address in addresses.items():
            if not has_code[address]:
                raise ConfigError(f"{field}: there is no contract at {address} on {chain}")
        if access.instance and access.client.instance() != access.instance:
            raise ConfigError(
                f"chains.{chain}.instance: the node runs another local chain than {access.instance}"
            )
        return head

    def _advance(self, book: Book) -> tuple[OpenIntent, ...]:
        """Follows up the book's open orders; returns those of its account that still have no outcome.

        On paper and on a halted account they are only watched: stored bytes are sent by neither.
        """
        resend = not book.paper and self.ledger.mode(book.venue.account) is not Mode.HALTED
        waiting = []
        for order in self.ledger.open_intents(book.venue.account):
            if order.intent.book != book.name:
                waiting.append(order)
            elif not order.attempts:
                unsigned = Outcome(OutcomeState.DEAD, "it was never signed")
                self.ledger.resolve(order.intent.key, unsigned, Decimal(0), self._clock.now())
            elif self._settle(book, order, book.sender.follow(order, resend=resend)) is None:
                waiting.append(order)
        return tuple(waiting)

    def _settle(self, book: Book, order: OpenIntent, receipt: Receipt | None) -> Outcome | None:
        """Records what the venue says of a mined order; None while there is no receipt."""
        if receipt is None:
            return None
        access = self._chains[book.venue.chain]
        block = BlockRef(book.venue.chain, receipt.block_number, receipt.block_hash, 0, 0)
        outcomes: list[Outcome] = drive(
            access.client,
            access.multicall,
            block,
            [book.venue.outcome(order.intent, receipt)],
            access.call_gas,
        )
        outcome = outcomes[0]
        native_usd = order.intent.reference_price if access.native_usd is None else access.native_usd
        gas_usd = Decimal(receipt.gas_cost_wei) / WEI_PER_NATIVE * native_usd
        self.ledger.resolve(order.intent.key, outcome, gas_usd, self._clock.now())
        log.info(
            "order",
            intent=order.intent.key,
            tx=receipt.tx_hash,
            outcome=outcome.state.value,
            why=outcome.reason or f"{order.intent.size:+f} traded",
        )
        return outcome

    def _act(self, book: Book, record: TickRecord, tick_id: int) -> Tick:
        decision = record.decision
        if not isinstance(decision, Rebalance):
            raise TypeError("only a rebalance is acted on")
        intent = make_intent(book, record.snapshot, decision)
        self.ledger.intend(intent, tick_id)
        try:
            outcome = self._place(book, record.snapshot, intent)
        except OrderRejected as error:
            outcome = Outcome(OutcomeState.DEAD, str(error))
            self.ledger.resolve(intent.key, outcome, Decimal(0), self._clock.now())
            log.warning("order refused", intent=intent.key, why=str(error))
        again = next_visit(decision, outcome, record.snapshot.venue.clip_interval_s)
        return Tick(record, outcome, intent.key, again)

    def _place(self, book: Book, snapshot: Snapshot, intent: Intent) -> Outcome:
        """Prepares, checks and sends. OrderRejected only where nothing was signed."""
        call = book.venue.prepare(intent, snapshot.venue)
        prepared = book.sender.preflight(book.venue, call)
        transaction = book.sender.unsigned(prepared)
        if book.paper:
            fill = book.venue.expected(intent, snapshot.venue, prepared.returned)
            outcome = Outcome(OutcomeState.PAPER, "recorded, not sent", fill)
            self.ledger.resolve(intent.key, outcome, costs_of(snapshot).gas_usd, self._clock.now())
            return outcome
        try:
            book.sender.submit(intent.key, transaction)
        except OutcomeUnknown as error:
            log.warning("order in doubt", intent=intent.key, why=str(error))
        (order,) = self.ledger.open_intents(intent.account, intent.market)
        outcome_now = self._settle(book, order, book.sender.wait(order))
        return outcome_now or Outcome(OutcomeState.PENDING, "sent, not mined yet")


def make_intent(book: Book, snapshot: Snapshot, decision: Rebalance) -> Intent:
    """The order for a decision. Its key depends on the snapshot alone, so the same decision can't be intended twice.

    The price bound is the quoted average price with the fee, worsened by the slippage limit.
    """
    digest = hashlib.sha256(SNAPSHOT.dump_json(snapshot)).hexdigest()
    key = hashlib.sha256(f"{book.name}:{digest}:trade:0".encode()).hexdigest()[:24]
    costs = costs_of(snapshot)
    buys = decision.size > 0
    worse = (
        (1 + book.limits.max_slippage) * (1 + costs.fee_ratio)
        if buys
        else (1 - book.limits.max_slippage) * (1 - costs.fee_ratio)
    )
    bound = costs.average_price(decision.size) * worse
    return Intent(
        key=key,
        book=book.name,
        account=book.venue.account,
        market=snapshot.venue.position.market,
        kind=IntentKind.TRADE,
        size=decision.size,
        price_bound=bound.quantize(PRICE_STEP, rounding=ROUND_FLOOR if buys else ROUND_CEILING),
        deadline=primary_block(snapshot.blocks, book.venue.chain).timestamp + book.order_ttl_s,
        reference_price=snapshot.venue.mark,
    )


def next_visit(decision: Rebalance, outcome: Outcome, clip_interval_s: int) -> int | None:
    """Seconds until the desk should look again, None for the next interval.

    An open order is followed up, a clip or a partial fill has more to trade.
    """
    if outcome.state is OutcomeState.PENDING:
        return SOON_S
    if decision.remaining != 0 or outcome.state is OutcomeState.PARTIAL:
        return clip_interval_s
    return None
