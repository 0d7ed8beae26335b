"""Steps 3 to 5 of a tick as one pure function: a recorded snapshot gives the same answer again, bit for bit."""

import hashlib
from dataclasses import dataclass

from bot import __version__
from bot.core.budgets import Use, accounts, uses
from bot.core.collateral import provide, without_rest
from bot.core.exposure import measure
from bot.core.greeks import price_book
from bot.core.limits import Limits
from bot.core.model import Decision, Exposure, Mode, Snapshot, Wake
from bot.core.policy import Policy
from bot.core.protection import Protection, protect
from bot.core.risk import guard
from bot.core.situation import situation_of
from bot.core.target import Doubts, Target
from bot.core.triggers import wake_of


@dataclass(frozen=True, slots=True)
class Rules:
    """By which a book is measured and decided. `interval_s` is the time between two ticks.

    `margin` is None where nobody watches the margin.
    """

    target: Target
    doubts: Doubts
    policy: Policy
    limits: Limits
    interval_s: int
    margin: Protection | None = None

    @property
    def digest(self) -> str:
        """Tells two sets of rules apart, and two versions of the program that applies them: 16 hex digits."""
        return hashlib.sha256(f"{__version__}:{self!r}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Decided:
    """What one tick saw and decided. `rules` is the digest of the rules that it went by."""

    snapshot: Snapshot
    mode: Mode
    exposure: Exposure
    decision: Decision
    wake: Wake
    rules: str


def decide(snapshot: Snapshot, mode: Mode, rules: Rules) -> Decided:
    """What `rules` make of a snapshot in a mode. DataError where it can't be measured."""
    priced = price_book(snapshot, rules.target)
    exposure = measure(snapshot, priced, rules.target, rules.doubts)
    wanted: Decision = rules.policy.decide(situation_of(snapshot, exposure, rules.interval_s))
    wanted = without_rest(wanted, snapshot.venue)
    decision = guard(wanted, exposure, snapshot, rules.limits, mode)
    if rules.margin is not None:
        decision = protect(decision, exposure, snapshot, rules.limits, rules.margin, mode)
    decision = provide(decision, snapshot, rules.limits, mode)
    wake = wake_of(snapshot, priced, exposure, rules.target, decision)
    return Decided(snapshot, mode, exposure, decision, wake, rules.digest)


def budgets_used(snapshot: Snapshot, rules: Rules) -> list[Use]:
    """How much is used of every budget that is configured: of the book, of all books, and of its top-ups."""
    kept = accounts(snapshot, rules.limits.budgets, rules.limits.in_all)
    found = [use for account in kept for use in uses(account)]
    if rules.margin is None:
        return found
    most = rules.margin.max_topup_day_usd
    return [*found, Use(kept[0].whose, "max_topup_day_usd", most - snapshot.top_up_left_usd, most)]
