"""Before a trade: the ledger's idea of our position and the venue's are the same, or a person must look."""

from dataclasses import dataclass
from decimal import Decimal

import structlog

from bot.core.model import VenueState
from bot.errors import Halt
from bot.ports import Baseline, Ledger, OutsideChange, PerpVenue, Reader

log = structlog.get_logger("vaultkeel.reconcile")


@dataclass(frozen=True, slots=True)
class Position:
    """One market's position, as the ledger expects it and as the venue has it, in units of the underlying.

    `account` is the id of who signs for it, which the ledger keeps it under; `holder` is whose it is on the venue.
    """

    account: str
    holder: str
    market: str
    expected: Decimal
    actual: Decimal

    @property
    def agrees(self) -> bool:
        """Whether the two are equal, exactly."""
        return self.expected == self.actual


def position(ledger: Ledger, account: str, state: VenueState) -> Position:
    """Ledger and venue side by side. `account` is the id of who signs."""
    market = state.position.market
    expected = ledger.live_position(account, market)
    return Position(account, state.account, market, expected, state.position.size)


def refuse_unknown_orders(state: VenueState) -> None:
    """Halt where an order waits on the venue while the ledger has none that is open: somebody else placed it."""
    if state.orders:
        raise Halt(
            f"{state.name} has {len(state.orders)} waiting order(s) of {state.account} that the ledger doesn't know, "
            f"the first is {state.orders[0].text} ({state.orders[0].id}): find out who placed it and cancel it there"
        )


def begin(ledger: Ledger, found: Position, block: int, at: int) -> Baseline:
    """The baseline, made at the first reconciliation of an empty account at a block of Unix second `at`.

    Halt where there is a position already.
    """
    baseline = ledger.baseline(found.account, found.market)
    if baseline is not None:
        return baseline
    if not found.agrees:
        raise Halt(
            f"the account {found.holder} has a position of {found.actual:+f} that the ledger doesn't know, which "
            f"expects {found.expected:+f}: if it is right, run `vaultkeel adopt`"
        )
    why = "the first reconciliation"
    ledger.adopt(found.account, found.market, found.actual, block, why, at)
    return Baseline(found.actual, block, why, at)


def changes_since(
    venue: PerpVenue, ledger: Ledger, account: str, baseline: Baseline
) -> Reader[tuple[OutsideChange, ...]]:
    """What changed our position since the baseline without an order of ours. `account` signs."""
    return venue.outside_changes(baseline.block + 1, baseline.at, ledger.own_transactions(account))


def settle(ledger: Ledger, found: Position, changes: tuple[OutsideChange, ...], block: int, at: int) -> str:
    """Adopts a difference that the venue's own events explain in full, and says what they are. Halt for any other."""
    difference = found.actual - found.expected
    explained = all(change.reason for change in changes)
    if changes and explained and sum((c.size for c in changes), Decimal(0)) == difference:
        why = ", ".join(f"{c.reason} {c.size:+f} in {c.tx_hash}" for c in changes)
        ledger.adopt(found.account, found.market, found.actual, block, why, at)
        log.error("position changed from outside", account=found.holder, why=why)
        return why
    raise Halt(
        f"the venue has a position of {found.actual:+f}, the ledger expects {found.expected:+f}, and no event of the "
        "venue explains the difference: find out who traded, then run `vaultkeel adopt`"
    )
