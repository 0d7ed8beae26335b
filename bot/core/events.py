"""What an operator may want to be told, as typed events, and which of them a tick's own figures show.

An event is told where it arises, or read off a tick. A trouble that can end is told to be over by the same kind with
`over` set; whoever forwards events knows whether it had told of the trouble at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from bot.core.decision import Decided, Rules
from bot.core.margin import margin_of, standing
from bot.core.model import Hold, Intent, IntentKind, Mode, Outcome, OutcomeState
from bot.errors import DataError


class Severity(IntEnum):
    """How much it matters: nothing is wrong; somebody should look; somebody must act."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


class Kind(StrEnum):
    """What happened. Each has an entry in docs/runbook.md."""

    STARTED = "started"
    STOPPED = "stopped"
    RUN_ENDED = "run_ended"
    HALTED = "halted"
    MODE_BY_LIMIT = "mode_by_limit"
    NO_TICK_SUCCEEDS = "no_tick_succeeds"
    TICK_FAILED = "tick_failed"
    TICK_STUCK = "tick_stuck"
    DELTA_IN_DOUBT = "delta_in_doubt"
    INPUTS_NOT_TRUSTED = "inputs_not_trusted"
    POSITION_CHANGED = "position_changed"
    ORDER_IN_DOUBT = "order_in_doubt"
    ORDER_DEAD = "order_dead"
    ORDER_CANCELLED = "order_cancelled"
    TOP_UP_FAILED = "top_up_failed"
    MARGIN_WARNING = "margin_warning"
    MARGIN_CRITICAL = "margin_critical"
    PROVIDER_TROUBLE = "provider_trouble"
    LEDGER_TROUBLE = "ledger_trouble"
    CHANNEL_FAILED = "channel_failed"
    HEARTBEAT = "heartbeat"
    TEST = "test"


SEVERITIES = {
    Kind.STARTED: Severity.INFO,
    Kind.STOPPED: Severity.WARNING,
    Kind.RUN_ENDED: Severity.CRITICAL,
    Kind.HALTED: Severity.CRITICAL,
    Kind.MODE_BY_LIMIT: Severity.CRITICAL,
    Kind.NO_TICK_SUCCEEDS: Severity.CRITICAL,
    Kind.TICK_FAILED: Severity.CRITICAL,
    Kind.TICK_STUCK: Severity.CRITICAL,
    Kind.DELTA_IN_DOUBT: Severity.WARNING,
    Kind.INPUTS_NOT_TRUSTED: Severity.WARNING,
    Kind.POSITION_CHANGED: Severity.CRITICAL,
    Kind.ORDER_IN_DOUBT: Severity.WARNING,
    Kind.ORDER_DEAD: Severity.WARNING,
    Kind.ORDER_CANCELLED: Severity.WARNING,
    Kind.TOP_UP_FAILED: Severity.CRITICAL,
    Kind.MARGIN_WARNING: Severity.WARNING,
    Kind.MARGIN_CRITICAL: Severity.CRITICAL,
    Kind.PROVIDER_TROUBLE: Severity.WARNING,
    Kind.LEDGER_TROUBLE: Severity.CRITICAL,
    Kind.CHANNEL_FAILED: Severity.WARNING,
    Kind.HEARTBEAT: Severity.INFO,
    Kind.TEST: Severity.INFO,
}
"""How much each matters where the configuration says nothing else."""

UNTRUSTED = (
    "SEQUENCER",
    "PAUSED",
    "STALE_VOL",
    "STALE_BLOCK",
    "BLOCK_SKEW",
    "STALE_FEED",
    "PRICE_GAP",
    "PRICE_MOVE",
)
"""Codes of a Hold that say that an input can't be traded on."""

TOP_UPS = (IntentKind.APPROVE, IntentKind.ADD_MARGIN)
CANCELLED = "cancelled"
"""How the reason of an order begins that a no-op took the place of."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, in a sentence. `about` tells apart what may happen to several: an order, a provider."""

    kind: Kind
    text: str
    book: str = ""
    about: str = ""
    over: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """The same for everything that is told as one."""
        return self.kind, self.book, self.about


Notify = Callable[[Event], None]
"""Takes an event. Returns at once and never raises."""


def tell_nobody(_event: Event) -> None:
    """Takes an event and drops it."""


def condition(holds: bool, kind: Kind, book: str, text: str, over: str) -> Event:
    """That something is so, or is not so any more."""
    return Event(kind, text if holds else over, book, over=not holds)


def conditions(record: Decided, rules: Rules, whose: str = "") -> tuple[Event, ...]:
    """What one tick shows of the account's mode, the inputs and the margin: each as it is, or as over.

    `whose` is the account as people are shown it, where it is not the venue's own.
    """
    book, decision = record.snapshot.book, record.decision
    code = decision.code if isinstance(decision, Hold) else ""
    said = decision.text if code == "HALTED" else "the account is halted"
    halted = f"{whose or record.snapshot.venue.account}: {said}"
    return (
        condition(
            record.mode is Mode.HALTED, Kind.HALTED, book, halted, "the account is not halted any more"
        ),
        *(
            [Event(Kind.MODE_BY_LIMIT, "the account is ACTIVE again", book, over=True)]
            if record.mode is Mode.ACTIVE
            else []
        ),
        condition(
            code in UNTRUSTED,
            Kind.INPUTS_NOT_TRUSTED,
            book,
            f"{code}: {decision.text}",
            "the inputs can be traded on again",
        ),
        *margin_conditions(record, rules),
    )


def margin_conditions(record: Decided, rules: Rules) -> tuple[Event, ...]:
    """Whether the margin is below its levels; without configured levels, whether the venue may liquidate."""
    book, venue = record.snapshot.book, record.snapshot.venue
    try:
        state = margin_of(venue)
    except DataError as error:
        return (Event(Kind.MARGIN_CRITICAL, f"the margin is not known: {error}", book),)
    if rules.margin is None:
        warned = critical = state.is_liquidatable
    else:
        policy = rules.margin.policy
        critical = state.size != 0 and state.equity < policy.needed(policy.critical, state)
        warned = state.size != 0 and state.equity < policy.needed(policy.warning, state)
    where = f"{venue.name}: {standing(state)}"
    at_worst = condition(critical, Kind.MARGIN_CRITICAL, book, f"{where}: below the critical level", where)
    if critical:  # a warning that was told is not over, nor worth telling
        return (at_worst,)
    return at_worst, condition(warned, Kind.MARGIN_WARNING, book, f"{where}: below the warning level", where)


def events_of_outcome(intent: Intent, outcome: Outcome) -> tuple[Event, ...]:
    """What an order's outcome says: one that came to nothing is told, one that was in doubt is so no more."""
    said = f"order {intent.key} ({intent.kind}, {intent.size:+f}): {outcome.reason or outcome.state}"
    events = [Event(Kind.ORDER_IN_DOUBT, said, intent.book, intent.key, over=True)]
    if outcome.state is OutcomeState.DEAD:
        cancelled = outcome.reason.startswith(CANCELLED)
        kind = Kind.ORDER_CANCELLED if cancelled else Kind.ORDER_DEAD
        events.append(Event(Kind.TOP_UP_FAILED if intent.kind in TOP_UPS else kind, said, intent.book))
    elif intent.kind is IntentKind.ADD_MARGIN and outcome.state is OutcomeState.FILLED:
        events.append(Event(Kind.TOP_UP_FAILED, said, intent.book, over=True))
    return tuple(events)
