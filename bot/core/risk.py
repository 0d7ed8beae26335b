"""Guard: the same decision, cut to what may be done now, or a Hold that says which limit refused it."""

from dataclasses import dataclass, replace
from decimal import Decimal

from bot.core.costs import costs_of
from bot.core.model import Decision, Exposure, Hold, Mode, Rebalance, Snapshot
from bot.core.units import round_to_lot


@dataclass(frozen=True, slots=True)
class Limits:
    """What one book may do. Sizes in units of the underlying, ages in seconds, ratios as fractions."""

    max_order: Decimal
    max_position: Decimal
    max_price_gap: Decimal
    max_block_age_s: int
    max_vol_age_s: int
    max_slippage: Decimal


def guard(decision: Decision, exposure: Exposure, snapshot: Snapshot, limits: Limits, mode: Mode) -> Decision:
    """`decision` within the limits: cut to the largest order allowed, or a Hold with the limit's name.

    Inputs that can't be trusted are named even where the policy would hold: it held for a wrong reason.
    """
    refusal = stale(snapshot, limits) or price_gap(snapshot, limits)
    if isinstance(decision, Rebalance):
        refusal = refusal or refused_by_mode(decision, snapshot, mode) or waits(snapshot)
    if refusal is not None:
        return replace(refusal, arithmetic=decision.arithmetic, band=decision.band)
    if isinstance(decision, Hold):
        return decision
    return cut(decision, exposure, snapshot, limits)


def waits(snapshot: Snapshot) -> Hold | None:
    """A Hold where an order of the account has no outcome yet: a second one might double it."""
    if not snapshot.open_order:
        return None
    return Hold("ORDER_OPEN", f"order {snapshot.open_order} has no outcome yet")


def stale(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where a pinned block or the vols are older than the limit."""
    vols = snapshot.vols
    if snapshot.at - vols.at > limits.max_vol_age_s:
        age = snapshot.at - vols.at
        return Hold(
            "STALE_VOL", f"the {vols.name} vols are {age} s old, the limit is {limits.max_vol_age_s} s"
        )
    for block in snapshot.blocks:
        age = snapshot.at - block.timestamp
        if age > limits.max_block_age_s:
            text = f"block {block.number} of {block.chain} is {age} s old, the limit is {limits.max_block_age_s} s"
            return Hold("STALE_BLOCK", text)
    return None


def price_gap(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where the vault's spot, the venue's index and the venue's traded price disagree too much."""
    prices = [("the venue's index", snapshot.venue.index), ("the venue's traded price", snapshot.venue.mark)]
    prices += [(f"the spot of {source.name}", source.spot) for source in snapshot.sources]
    for name, price in prices:
        gap = abs(price / snapshot.spot - 1)
        if gap > limits.max_price_gap:
            text = (
                f"{name} {price:.4f} is {gap:.2%} from the vault's spot {snapshot.spot:.4f}, "
                f"the limit is {limits.max_price_gap:.2%}"
            )
            return Hold("PRICE_GAP", text)
    return None


def refused_by_mode(decision: Rebalance, snapshot: Snapshot, mode: Mode) -> Hold | None:
    """A Hold where the account's mode doesn't allow this trade."""
    if mode is Mode.HALTED:
        return Hold("HALTED", "the account is halted; a person must resume it")
    position = snapshot.venue.position.size
    shrinks = decision.size * position < 0 and abs(decision.size) <= abs(position)
    if mode is Mode.REDUCING and not shrinks:
        return Hold("REDUCING", f"reduce-only: a trade of {decision.size:+f} would not shrink {position:+f}")
    return None


def cut(decision: Rebalance, exposure: Exposure, snapshot: Snapshot, limits: Limits) -> Decision:
    """The decision cut to the order limit, the position limit and what the venue takes in one order."""
    venue = snapshot.venue
    wanted = decision.size
    side = 1 if wanted > 0 else -1
    room = limits.max_position - side * venue.position.size
    largest = {
        "the order limit": limits.max_order,
        "the position limit": max(room, Decimal(0)),
        "the venue's limit for one order": venue.max_buy if wanted > 0 else venue.max_sell,
    }
    name, size = min(largest.items(), key=lambda item: item[1])
    if abs(wanted) <= size:
        return decision
    clip = round_to_lot(side * size, venue.lot)
    if clip == 0:
        text = f"{name} leaves no room: position {venue.position.size:+f}, net delta {exposure.net:+.4f}"
        return Hold("NO_ROOM", text, decision.arithmetic, decision.band)
    return replace(
        decision,
        size=clip,
        text=f"{decision.text}; cut to {clip:+f} by {name}",
        arithmetic=decision.arithmetic | costs_of(snapshot).itemise(clip) | {"cut_to": f"{clip:+f}"},
        remaining=wanted - clip
        if name.startswith("the venue") or name.startswith("the order")
        else Decimal(0),
    )
