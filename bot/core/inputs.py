"""Whether what was read can be traded on: pauses, the sequencer, ages, and sources that disagree."""

from collections.abc import Sequence
from decimal import Decimal

from bot.core.limits import Limits
from bot.core.model import FeedPrice, Hold, Prices, Snapshot, SourceState
from bot.errors import DataError

CONFIRMS = Decimal("0.5")
"""A second source confirms a move of the spot by moving at least this share of it the same way."""


def spot_of(sources: Sequence[SourceState], feeds: Sequence[FeedPrice]) -> Decimal:
    """The book's spot in USD: the first source's that has one, else the first feed's. DataError where none has."""
    known = (*(source.spot for source in sources), *(feed.price for feed in feeds))
    for price in known:
        if price is not None:
            return price
    named = ", ".join(source.name for source in sources)
    raise DataError(
        f"{named}: no source has a spot of its own, and the book has no feeds: add [[books.feeds]]"
    )


def untrusted(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold that names the first input that can't be traded on."""
    return (
        sequencer(snapshot)
        or paused(snapshot)
        or stale(snapshot, limits)
        or price_gap(snapshot, limits)
        or price_move(snapshot, limits)
    )


def sequencer(snapshot: Snapshot) -> Hold | None:
    """A Hold where a chain's sequencer is down, came back a moment ago, or its feed doesn't know."""
    for state in snapshot.sequencers:
        up_s = snapshot.at - state.since
        if not state.up:
            return Hold(
                "SEQUENCER", f"the sequencer of {state.chain} is down since Unix second {state.since}"
            )
        if state.since == 0:
            return Hold("SEQUENCER", f"the uptime feed of {state.chain}'s sequencer has no round yet")
        if up_s <= state.grace_s:
            text = f"the sequencer of {state.chain} is up for {up_s} s, it is trusted after {state.grace_s} s"
            return Hold("SEQUENCER", text)
    return None


def paused(snapshot: Snapshot) -> Hold | None:
    """A Hold where a protocol has paused its market."""
    said = [*(source.paused for source in snapshot.sources), snapshot.venue.paused]
    found = " and ".join(text for text in said if text)
    return Hold("PAUSED", found) if found else None


def stale(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where a pinned block, the vols or a price feed are older than their limit, or the blocks too far apart."""
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
    if snapshot.skew_s > limits.max_block_skew_s:
        oldest, newest = sorted(snapshot.blocks, key=lambda block: block.timestamp)[
            :: len(snapshot.blocks) - 1
        ]
        text = (
            f"the blocks of {oldest.chain} and {newest.chain} are {snapshot.skew_s} s apart, "
            f"the limit is {limits.max_block_skew_s} s"
        )
        return Hold("BLOCK_SKEW", text)
    for feed in snapshot.feeds:
        age = snapshot.at - feed.updated_at
        if age > feed.stale_after_s:
            text = f"the price of feed {feed.name} is {age} s old, its heartbeat is {feed.heartbeat_s} s"
            text += f" and {feed.slack_s} s more are allowed" if feed.slack_s else ""
            return Hold("STALE_FEED", text)
    return None


def price_gap(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where the vault's spot and another source's price disagree too much."""
    venue = snapshot.venue
    most = limits.max_price_gap
    for name, price, limit in (
        ("the venue's index", venue.index, most),
        ("the venue's traded price", venue.mark, most),
        *((f"the spot of {source.name}", source.spot, most) for source in snapshot.sources if source.spot),
        *((f"feed {feed.name}'s price", feed.price, gap_limit(feed, most)) for feed in snapshot.feeds),
    ):
        gap = abs(price / snapshot.spot - 1)
        if gap > limit:
            text = (
                f"{name} {price:.4f} is {gap:.2%} from the vault's spot {snapshot.spot:.4f}, "
                f"the limit is {limit:.2%}"
            )
            return Hold("PRICE_GAP", text)
    return None


def gap_limit(feed: FeedPrice, most: Decimal) -> Decimal:
    """How far a feed's price may be from the spot, as a fraction: its own limit where that is stricter than all's."""
    return most if feed.max_gap is None else min(feed.max_gap, most)


def price_move(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where the spot jumped since the book's last tick and no second source went along."""
    before, now, most = snapshot.before, snapshot.prices, limits.max_price_move
    if before is None or most is None:
        return None
    move = now.spot / before.spot - 1
    if abs(move) <= most or any(other / move >= CONFIRMS for other in other_moves(before, now)):
        return None
    text = (
        f"the spot went from {before.spot:.4f} to {now.spot:.4f} ({move:+.2%}) since the last tick, the limit is "
        f"{most:.2%} where no second source moves at least half as far"
    )
    return Hold("PRICE_MOVE", text)


def other_moves(before: Prices, now: Prices) -> list[Decimal]:
    """By which fraction each second source moved that both ticks have."""
    then = dict(before.feeds)
    pairs = [
        (before.index, now.index),
        *((then[name], price) for name, price in now.feeds if name in then),
    ]
    return [new / old - 1 for old, new in pairs if old > 0]
