"""Deciding recorded snapshots again: by the same rules to the last bit, by other rules side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from bot.core.decision import Decided, Rules, decide
from bot.core.model import Decision, Rebalance
from bot.errors import DataError
from bot.ledger.history import RecordedTick
from bot.ledger.rows import tick_values

COMPARED = ("exposure_json", "decision_json", "wake_json")


@dataclass(frozen=True, slots=True)
class Replayed:
    """A recorded tick decided again. Each snapshot is taken as it was: a trade that these rules add changes no later.

    `again` is a sentence where the rules refuse the snapshot. `identical` is None where it was recorded by other rules,
    or by another version of the program.
    """

    tick: int
    at: int
    spot: Decimal
    recorded: Decision
    again: Decision | str
    identical: bool | None

    @property
    def sizes(self) -> tuple[Decimal, Decimal]:
        """What was traded then and would be now, signed, in units of the underlying."""
        return size_of(self.recorded), Decimal(0) if isinstance(self.again, str) else size_of(self.again)


def replay(ticks: Iterable[RecordedTick], rules: Rules) -> Iterator[Replayed]:
    """Each of `ticks` decided again by `rules`."""
    for tick in ticks:
        recorded = tick.decided
        snapshot = recorded.snapshot
        identical = False if recorded.rules == rules.digest else None
        again: Decision | str
        try:
            decided = decide(snapshot, recorded.mode, rules)
        except DataError as error:
            again = str(error)
        else:
            again = decided.decision
            identical = None if identical is None else same(decided, recorded)
        yield Replayed(tick.id, snapshot.at, snapshot.spot, recorded.decision, again, identical)


def same(one: Decided, other: Decided) -> bool:
    """Whether two decisions are the same to the last bit, with the exposure and the prices waited for."""
    ours, theirs = tick_values(one), tick_values(other)
    return all(ours[name] == theirs[name] for name in COMPARED)


def size_of(decision: Decision) -> Decimal:
    """What a decision trades, signed, in units of the underlying."""
    return decision.size if isinstance(decision, Rebalance) else Decimal(0)
