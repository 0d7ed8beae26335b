"""One tick: advance, observe, measure, decide, guard, act, record. Nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import structlog

from bot import reconcile
from bot.book import Book, ChainAccess
from bot.chain.client import Health
from bot.chain.sender import Mined, Powers
from bot.core.accounts import Account
from bot.core.budgets import NO_BUDGETS
from bot.core.costs import costs_of
from bot.core.decision import Decided, decide
from bot.core.events import Event, Kind, Notify, events_of_outcome, tell_nobody
from bot.core.model import (
    OPEN_OUTCOMES,
    Hold,
    Intent,
    IntentKind,
    Mode,
    Outcome,
    OutcomeState,
    Purpose,
    Rebalance,
    Snapshot,
    Transfer,
    Wake,
)
from bot.core.orders import Order, price_bound
from bot.core.protection import eased
from bot.core.risk import recheck
from bot.core.units import WEI_PER_NATIVE
from bot.errors import Halt, OrderRejected, OutcomeUnknown, TransientError, VaultkeelError
from bot.observer import Observer
from bot.ports import (
    Clock,
    Ledger,
    OpenIntent,
    Receipt,
    primary_block,
)
from bot.spending import spent_since

log = structlog.get_logger("vaultkeel.desk")

SOON_S = 2
CANCEL_AGAIN_S = 30
"""How long after a refused cancel the next one is tried."""
MOVES = {
    "approve": IntentKind.APPROVE,
    "deposit": IntentKind.ADD_MARGIN,
    "withdraw": IntentKind.WITHDRAW_MARGIN,
    "claim": IntentKind.CLAIM,
}
DONE = {
    IntentKind.TRADE: "traded",
    IntentKind.APPROVE: "allowed",
    IntentKind.ADD_MARGIN: "deposited",
    IntentKind.WITHDRAW_MARGIN: "withdrawn",
    IntentKind.CLAIM: "claimed",
    IntentKind.CANCEL: "of an order that was cancelled on the venue",
}
SEVERITY = (Mode.ACTIVE, Mode.REDUCING, Mode.HALTED)


@dataclass(frozen=True, slots=True)
class Tick:
    """What a tick did. `again_in_s` is when it wants to come back, None for the next interval."""

    id: int
    record: Decided
    outcome: Outcome | None
    intent_key: str | None
    again_in_s: int | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order without an outcome; `outcome` says what the venue tells of it, None where it isn't mined yet."""

    order: OpenIntent
    outcome: Outcome | None = None


class Desk:
    """Runs ticks of its books against the chains. `notify` is told what an operator may want to know."""

    def __init__(
        self,
        chains: Mapping[str, ChainAccess],
        books: tuple[Book, ...],
        ledger: Ledger,
        clock: Clock,
        notify: Notify = tell_nobody,
    ) -> None:
        self.books = books
        self._notify = notify
        self.ledger = ledger
        self._observer = Observer(chains, ledger, clock)
        self._clock = clock
        self._reconciled: set[str] = set()
        self._cancel_tried: dict[str, int] = {}

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Who signs for the books, once per chain that is traded on."""
        return tuple(dict.fromkeys(book.account for book in self.books))

    def tick(self, book: Book) -> Tick:
        """One tick of `book`. Raises a VaultkeelError where something stopped it; nothing is sent after one."""
        with structlog.contextvars.bound_contextvars(book=book.name):
            try:
                return self._tick(book)
            except Halt as error:
                if self.ledger.mode(book.account.id) is not Mode.HALTED:
                    self.ledger.set_mode(book.account.id, Mode.HALTED, str(error), self._clock.now())
                raise

    def observe(self, book: Book) -> Snapshot:
        """Everything that a decision of `book` needs, at one block hash per chain."""
        return self._observer.observe(book)

    def watch(self, book: Book) -> Decimal:
        """The book's spot alone, in USD, in one request."""
        return self._observer.watch(book)

    def health(self) -> tuple[Health, ...]:
        """Every provider as it was last seen. Asks nothing."""
        return self._observer.health()

    def assess(self, book: Book) -> Decided:
        """What a tick would decide now. Reads, and changes nothing."""
        return decide(self._observer.observe(book), self.ledger.mode(book.account.id), book.rules)

    def _tick(self, book: Book) -> Tick:
        self._observer.verify(book)
        waiting = self._advance(book)
        try:
            record = self.assess(book)
        except VaultkeelError as error:
            self._cancel_unseen(book, waiting, error)
            raise
        halted = self.ledger.mode(book.account.id) is Mode.HALTED
        if not (book.paper or waiting or halted) and self._must_reconcile(book, record.snapshot):
            self._reconcile(book, record.snapshot)
            self._reconciled.add(book.name)
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
        with structlog.contextvars.bound_contextvars(tick=tick_id):
            self._cancel_expired(book, record, tick_id, waiting)
            if isinstance(record.decision, Hold):
                self._escalate(book, record.decision)
                return Tick(tick_id, record, None, None, SOON_S if waiting else None)
            return self._act(book, record, tick_id)

    def _advance(self, book: Book) -> tuple[Waiting, ...]:
        """Follows up the book's open orders; returns those of its account that still have no outcome.

        On paper they are only watched. On a halted account stored bytes are not sent again and no fee is raised, but an
        expired order is cancelled. An outcome that a reorg undid is taken back first. Where that leaves several open
        orders in a market, the later ones are dropped: they were meant for a position that may not come back.
        """
        account = book.account.id
        for order in self.ledger.unfinal(account):
            if order.intent.book == book.name and book.sender.undone(order):
                log.error("a reorg undid an order", intent=order.intent.key)
                self.ledger.unconfirm(order.intent.key)
                said = f"order {order.intent.key}: a reorg undid its block; it is followed up again"
                self._notify(Event(Kind.ORDER_IN_DOUBT, said, book.name, order.intent.key))
        halted = self.ledger.mode(account) is Mode.HALTED
        powers = Powers(resend=not book.paper and not halted, cancel=not book.paper)
        waiting: list[Waiting] = []
        orders = self.ledger.open_intents(account)
        placed = [order for order in orders if order.intent.kind is not IntentKind.CANCEL]
        oldest = {order.intent.market: order.intent.key for order in reversed(placed)}
        # Newest first: a crash in between must not leave a later order alone, which would then be sent again.
        for order in reversed(orders):
            drop = order in placed and oldest[order.intent.market] != order.intent.key
            if order.intent.book != book.name:
                waiting.append(Waiting(order))
            elif not order.attempts:
                unsigned = Outcome(OutcomeState.DEAD, "it was never signed")
                self.ledger.resolve(order.intent.key, unsigned, Decimal(0), self._clock.now())
                self._tell(order.intent, unsigned)
            else:
                outcome = self._settle(book, order, self._follow(book, order, replace(powers, drop=drop)))
                if outcome is None or outcome.state in OPEN_OUTCOMES:
                    waiting.append(Waiting(order, outcome))
        return tuple(reversed(waiting))

    def _follow(self, book: Book, order: OpenIntent, powers: Powers) -> Mined | None:
        native_usd = self._observer.native_usd(book, order.intent.reference_price)
        with structlog.contextvars.bound_contextvars(intent=order.intent.key):
            return book.sender.follow(order, powers, self._clock.now(), native_usd)

    def _settle(self, book: Book, order: OpenIntent, mined: Mined | None) -> Outcome | None:
        """Records what became of an order whose nonce is used; None while there is no receipt.

        What still waits for an executor is not recorded: the next tick asks again.
        """
        if mined is None:
            return None
        receipt = mined.receipt
        if mined.purpose is Purpose.CANCEL:
            outcome = Outcome(OutcomeState.DEAD, "cancelled: a no-op took its nonce")
        else:
            outcome = self._outcome(book, order, receipt)
        if outcome.state in OPEN_OUTCOMES:
            log.info("order waits", intent=order.intent.key, tx=receipt.tx_hash, why=outcome.reason)
            return outcome
        native_usd = self._observer.native_usd(book, order.intent.reference_price)
        gas_usd = Decimal(receipt.gas_cost_wei + outcome.keeper_wei) / WEI_PER_NATIVE * native_usd
        self.ledger.resolve(order.intent.key, outcome, gas_usd, self._clock.now())
        log.info(
            "order",
            intent=order.intent.key,
            tx=receipt.tx_hash,
            outcome=outcome.state.value,
            why=outcome.reason or f"{order.intent.size:+f} {DONE[order.intent.kind]}",
        )
        self._tell(order.intent, outcome)
        return outcome

    def _tell(self, intent: Intent, outcome: Outcome) -> None:
        for event in events_of_outcome(intent, outcome):
            self._notify(event)

    def _outcome(self, book: Book, order: OpenIntent, receipt: Receipt) -> Outcome:
        """What the venue says of a mined order, as far as the chain is deep enough to count."""
        before = self.ledger.decided_on(order.intent.key).venue
        reader = book.venue.outcome(order.intent, receipt, before)
        return self._observer.ask_late(book, book.sender.confirmed, reader)

    def _act(self, book: Book, record: Decided, tick_id: int) -> Tick:
        decision = record.decision
        if isinstance(decision, Hold):
            raise TypeError("a hold is not acted on")
        if not book.paper:
            self._reconcile(book, record.snapshot)
        intent = make_intent(book, record.snapshot, decision)
        outcome = self._submit(book, record, intent, tick_id)
        again = next_visit(decision, outcome, record.snapshot.venue.clip_interval_s)
        return Tick(tick_id, record, outcome, intent.key, again)

    def _submit(self, book: Book, record: Decided, intent: Intent, tick_id: int) -> Outcome:
        """Commits an intent and places it; what was refused before a signature is DEAD at once."""
        self.ledger.intend(intent, tick_id)
        try:
            with structlog.contextvars.bound_contextvars(intent=intent.key):
                return self._place(book, record, intent)
        except OrderRejected as error:
            outcome = Outcome(OutcomeState.DEAD, str(error))
            self.ledger.resolve(intent.key, outcome, Decimal(0), self._clock.now())
            log.warning("order refused", intent=intent.key, why=str(error))
            self._tell(intent, outcome)
            return outcome

    def _cancel_expired(
        self, book: Book, record: Decided, tick_id: int, waiting: tuple[Waiting, ...]
    ) -> None:
        """Cancels on the venue what waits for its executor for too long, unless that is being done."""
        now = self._clock.now()
        being_cancelled = {each.order.intent.parent for each in waiting}
        for each in waiting:
            parent, outcome = each.order.intent, each.outcome
            tried = self._cancel_tried.get(parent.key)
            if book.paper or outcome is None or not outcome.cancellable or parent.key in being_cancelled:
                continue
            if tried is not None and now - tried < CANCEL_AGAIN_S:
                continue
            self._cancel_tried[parent.key] = now
            log.warning("cancelling on the venue", intent=parent.key, why=outcome.reason)
            self._submit(
                book, record, make_cancel(book, record.snapshot, parent, outcome.order_id, now), tick_id
            )

    def _cancel_unseen(self, book: Book, waiting: tuple[Waiting, ...], why: VaultkeelError) -> None:
        """Cancels what waits for too long although this tick can't be decided: a cancel needs no price and no vol."""
        last = self.ledger.last_tick(book.name)
        if last is not None:
            mode = self.ledger.mode(book.account.id)
            unread = Decided(
                last.snapshot, mode, last.exposure, Hold("UNREAD", str(why)), Wake(None, None), ""
            )
            self._cancel_expired(book, unread, last.id, waiting)

    def _escalate(self, book: Book, hold: Hold) -> None:
        """Moves the account to the mode that the configuration names for a Hold, never to a milder one."""
        wanted, mode = book.then.get(hold.code), self.ledger.mode(book.account.id)
        if wanted is None or SEVERITY.index(wanted) <= SEVERITY.index(mode):
            return
        why = f"{hold.code}: {hold.text}"
        self.ledger.set_mode(book.account.id, wanted, why, self._clock.now())
        log.error("a limit changed the mode", mode=wanted.value, why=why)
        self._notify(
            Event(Kind.MODE_BY_LIMIT, f"{book.account.text} is {wanted.value} now. {why}", book.name)
        )

    def compare(self, book: Book) -> tuple[reconcile.Position, int]:
        """The ledger's idea of the book's position beside the venue's, and the block that the latter was read at."""
        snapshot = self._observer.observe(book)
        block = primary_block(snapshot.blocks, book.venue.chain)
        return reconcile.position(self.ledger, book.account.id, snapshot.venue), block.number

    def cancel(self, book: Book, order: OpenIntent) -> None:
        """Sends a no-op at an order's nonce now. OutcomeUnknown where the node leaves a doubt."""
        native_usd = self._observer.native_usd(book, order.intent.reference_price)
        book.sender.cancel(order, self._clock.now(), native_usd)

    def _must_reconcile(self, book: Book, snapshot: Snapshot) -> bool:
        """Whether it is a run's first tick, or the position is not the one expected: a liquidation is seen at once."""
        found = reconcile.position(self.ledger, book.account.id, snapshot.venue)
        return book.name not in self._reconciled or not found.agrees or bool(snapshot.venue.orders)

    def _reconcile(self, book: Book, snapshot: Snapshot) -> None:
        """Nonces and our position are the same in ledger and chain, or a venue event explains why not; Halt otherwise.

        Done at the start of a run, before every order, and wherever the position is not the one expected.
        """
        book.sender.check_nonces()
        block = primary_block(snapshot.blocks, book.venue.chain)
        reconcile.refuse_unknown_orders(snapshot.venue)
        found = reconcile.position(self.ledger, book.account.id, snapshot.venue)
        baseline = reconcile.begin(self.ledger, found, block.number, block.timestamp)
        if found.agrees:
            return
        reader = reconcile.changes_since(book.venue, self.ledger, book.account.id, baseline)
        changes = self._observer.ask(book.venue.chain, block, reader)
        why = reconcile.settle(self.ledger, found, changes, block.number, block.timestamp)
        self._notify(
            Event(Kind.POSITION_CHANGED, f"{found.holder} on {book.account.chain}: {why}", book.name)
        )

    def _place(self, book: Book, record: Decided, intent: Intent) -> Outcome:
        """Prepares, checks and sends. OrderRejected only where nothing was signed."""
        snapshot = record.snapshot
        trades = intent.kind is IntentKind.TRADE
        call = book.venue.prepare(intent, snapshot.venue)
        if trades:
            check_same(book.venue.decode(call, snapshot.venue), intent)
        prepared = book.sender.preflight(book.venue, call)
        transaction = book.sender.unsigned(prepared, intent, snapshot.native_usd, self._clock.now())
        if trades:  # what moves margin is bounded by the mandate, which decodes it
            order = book.venue.decode(call, snapshot.venue)
            self._check_limits(book, record, order, Decimal(transaction.most_wei), intent.key)
        if book.paper:
            fill = book.venue.expected(intent, snapshot.venue, prepared.returned)
            outcome = Outcome(OutcomeState.PAPER, "recorded, not sent", fill)
            self.ledger.resolve(intent.key, outcome, costs_of(snapshot).gas_usd, self._clock.now())
            return outcome
        try:
            book.sender.submit(intent, transaction, self._clock.now())
        except OutcomeUnknown as error:
            log.warning("order in doubt", intent=intent.key, why=str(error))
            self._notify(Event(Kind.ORDER_IN_DOUBT, f"order {intent.key}: {error}", book.name, intent.key))
        ours = [
            o for o in self.ledger.open_intents(intent.account, intent.market) if o.intent.key == intent.key
        ]
        if not ours:
            raise TransientError(
                f"order {intent.key} has an outcome already: another run works with this ledger"
            )
        outcome_now = self._settle(book, ours[0], book.sender.wait(ours[0]))
        return outcome_now or Outcome(OutcomeState.PENDING, "sent, not mined yet")

    def _check_limits(self, book: Book, record: Decided, order: Order, most_wei: Decimal, own: str) -> None:
        """The limits once more, on what the bytes to be signed would trade. OrderRejected with the limit's code.

        `own` is the key of the order's intent, which is committed already.
        """
        mode, limits, snapshot = self.ledger.mode(book.account.id), book.rules.limits, record.snapshot
        if len(self.accounts) > 1 and limits.in_all != NO_BUDGETS:
            snapshot = spent_since(self.ledger, book, snapshot, own)
        if isinstance(record.decision, Rebalance) and record.decision.protects:
            limits, mode = eased(limits), Mode.HALTED if mode is Mode.HALTED else Mode.REDUCING
            snapshot = replace(snapshot, refusals=None)
        hold = recheck(order, most_wei / WEI_PER_NATIVE, record.exposure, snapshot, limits, mode)
        if hold is not None:
            self._escalate(book, hold)
            raise OrderRejected(f"{hold.code}: {hold.text}")


def check_same(order: Order, intent: Intent) -> None:
    """OrderRejected where the prepared bytes mean another order than the intent."""
    meant = Order(intent.size, intent.price_bound, None if order.deadline is None else intent.deadline)
    if not order.means(intent.size, intent.price_bound, intent.deadline):
        raise OrderRejected(f"the prepared call means another order than was decided: {order}, not {meant}")


def make_intent(book: Book, snapshot: Snapshot, decision: Rebalance | Transfer) -> Intent:
    """The order for a decision. Its key follows from the blocks that were read and the position on them, so that a book
    can't intend two orders of a kind on the same state of the chain.

    The price bound is the quoted average price with the fee, worsened by the slippage limit.
    """
    match decision:
        case Rebalance(size=size):
            kind, amount = IntentKind.TRADE, size
            bound = price_bound(costs_of(snapshot), size, book.rules.limits.max_slippage)
        case Transfer(what=what, amount=amount):
            kind, bound = MOVES[what], Decimal(0)
    return Intent(
        key=key_of(book, snapshot, f"{kind}:0"),
        book=book.name,
        account=book.account.id,
        market=snapshot.venue.position.market,
        kind=kind,
        size=amount,
        price_bound=bound,
        deadline=primary_block(snapshot.blocks, book.venue.chain).timestamp + book.order_ttl_s,
        reference_price=snapshot.venue.mark,
    )


def make_cancel(book: Book, snapshot: Snapshot, parent: Intent, order_id: str, now: int) -> Intent:
    """The cancel at Unix second `now` of an order of ours that waits on the venue under `order_id`."""
    return Intent(
        key=key_of(book, snapshot, f"{IntentKind.CANCEL}:{order_id}:{now}"),
        book=book.name,
        account=book.account.id,
        market=parent.market,
        kind=IntentKind.CANCEL,
        size=Decimal(0),
        price_bound=Decimal(0),
        deadline=now + book.order_ttl_s,
        reference_price=snapshot.venue.mark,
        parent=parent.key,
        order_id=order_id,
    )


def key_of(book: Book, snapshot: Snapshot, what: str) -> str:
    """An intent's key, from the blocks that were read, the position on them, and what is meant."""
    blocks = [block.hash for block in snapshot.blocks]
    state = f"{book.name}:{blocks}:{snapshot.venue.position.size}:{snapshot.in_flight}:{what}"
    return hashlib.sha256(state.encode()).hexdigest()[:24]


def next_visit(decision: Rebalance | Transfer, outcome: Outcome, clip_interval_s: int) -> int | None:
    """Seconds until the desk should look again, None for the next interval.

    An open order is followed up, a clip or a partial fill has more to trade. What moved margin came before the rest.
    """
    if outcome.state is OutcomeState.PENDING:
        return SOON_S
    if isinstance(decision, Transfer):
        return SOON_S if outcome.state is OutcomeState.FILLED else None
    if decision.remaining != 0 or outcome.state is OutcomeState.PARTIAL:
        return clip_interval_s
    return None
