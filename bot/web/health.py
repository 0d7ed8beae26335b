"""Whether the inputs are fresh and the ledger agrees with itself, as far as the ledger knows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from bot.config import Config
from bot.config.books import BookConfig
from bot.core.accounts import account_id
from bot.core.decision import Decided
from bot.ledger.browse import State, expected_position, state_of
from bot.ledger.history import RecordedTick
from bot.web import words

LATE = 3
"""So many intervals without a tick are too many."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that is well or not: `tone` is "good", "warn", "bad", or "" where there is nothing to judge."""

    name: str
    value: str
    tone: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """All that the page shows."""

    signs: tuple[Sign, ...]
    feeds: tuple[Sign, ...]
    providers: tuple[Sign, ...]
    state: State
    sizes: tuple[tuple[str, int], ...]


def health(
    db: Connection, config: Config, book: BookConfig | None, tick: RecordedTick | None, now: float
) -> Health:
    """The page of a book's newest tick."""
    decided = None if tick is None else tick.decided
    return Health(
        signs=tuple(signs(db, config, tick, now)),
        feeds=() if decided is None else tuple(feeds(decided, book)),
        providers=tuple(providers(config)),
        state=state_of(db, int(now) if decided is None else decided.snapshot.at),
        sizes=tuple(sizes_of(config.ledger)),
    )


def signs(db: Connection, config: Config, tick: RecordedTick | None, now: float) -> Iterator[Sign]:
    """The tick's age, the position against the ledger's own sum, orders without an outcome, what the key may do."""
    if tick is None:
        yield Sign("Last tick", "none yet", "warn", "Start `vaultkeel run`.")
        return
    snapshot = tick.decided.snapshot
    if config.clock == "chain":
        why = "by the chain's own clock, so that nobody can say how old it is"
        yield Sign("Last tick", words.clock(snapshot.at), "", why)
    else:
        old = now - snapshot.at
        late = old > LATE * config.interval_s
        note = f"a tick every {config.interval_s} s"
        yield Sign("Last tick", f"{words.age(old)} ago", "bad" if late else "good", note)
    venue = snapshot.venue
    if (book := next((each for each in config.books if each.name == snapshot.book), None)) is not None:
        yield position_sign(db, tick, config.chains[book.venue.chain].chain_id)
    open_order = snapshot.open_order
    yield Sign("Order without an outcome", open_order or "none", "warn" if open_order else "good")
    if venue.privileges is not None:
        tone = "warn" if venue.privileges.can_withdraw else "good"
        value = "trade and withdraw" if venue.privileges.can_withdraw else "trade, not withdraw"
        yield Sign("The key may", value, tone, venue.privileges.in_words())


def position_sign(db: Connection, tick: RecordedTick, chain_id: int) -> Sign:
    """The position that a tick saw against the one that the ledger's fills make. `chain_id` is the venue's chain's."""
    snapshot = tick.decided.snapshot
    venue = snapshot.venue
    if snapshot.paper:
        return Sign(
            "Position", "on paper", "", "The chain's position is not compared while orders are on paper."
        )
    signer = venue.privileges.key if venue.privileges else venue.account
    expected = None
    for account in dict.fromkeys((venue.account, signer)):
        found = expected_position(db, account_id(chain_id, account), venue.position.market, tick.id)
        expected = found if expected is None else expected
    if expected is None:
        return Sign("Position", "not compared yet", "warn", "The first live order compares it.")
    apart = round(venue.position.size - expected, 6)
    note = f"the ledger expects {words.signed(expected)}, the venue had {words.signed(venue.position.size)}"
    if apart == 0:
        return Sign("Position", "agrees", "good", note)
    return Sign(
        "Position", f"differs by {words.signed(apart)}", "bad" if not snapshot.in_flight else "warn", note
    )


def feeds(decided: Decided, book: BookConfig | None) -> Iterator[Sign]:
    """How old every input was when the tick was recorded."""
    snapshot = decided.snapshot
    limits = None if book is None else book.limits
    for block in snapshot.blocks:
        old = snapshot.at - block.timestamp
        yield aged(
            f"{block.chain}, block {block.number:,}", old, None if limits is None else limits.max_block_age_s
        )
    if len(snapshot.blocks) > 1:
        most = None if limits is None else limits.max_block_skew_s
        yield between("between the chains' blocks", snapshot.skew_s, most)
    yield aged(
        f"vols: {snapshot.vols.name}",
        snapshot.at - snapshot.vols.at,
        None if limits is None else limits.max_vol_age_s,
    )
    for feed in snapshot.feeds:
        yield aged(f"price feed: {feed.name}", snapshot.at - feed.updated_at, feed.stale_after_s)
    for sequencer in snapshot.sequencers:
        value = "runs" if sequencer.up else "is down"
        yield Sign(f"sequencer: {sequencer.chain}", value, "good" if sequencer.up else "bad")
    for source in snapshot.sources:
        yield Sign(f"vault: {source.name}", source.paused or "open", "bad" if source.paused else "good")
    venue = snapshot.venue
    yield Sign(f"venue: {venue.name}", venue.paused or "open", "bad" if venue.paused else "good")
    for check in decided.exposure.checks:
        apart = check.ours - check.theirs
        yield Sign(check.name, f"{words.signed(apart)} from theirs", "", words.typeset(check.note))


def aged(name: str, old: int, most: int | None) -> Sign:
    """An input's age against the most that is traded on."""
    if most is None:
        return Sign(name, f"{words.age(old)} old", "")
    tone = "bad" if old > most else "good"
    return Sign(name, f"{words.age(old)} old", tone, f"not traded on beyond {words.age(most)}")


def between(name: str, seconds: int, most: int | None) -> Sign:
    """A time between two things against the most that is traded on."""
    if most is None:
        return Sign(name, words.age(seconds), "")
    tone = "bad" if seconds > most else "good"
    return Sign(name, words.age(seconds), tone, f"not traded on beyond {words.age(most)}")


def providers(config: Config) -> Iterator[Sign]:
    """How many providers each chain has; their addresses are nobody's business."""
    for name, chain in config.chains.items():
        count = len(chain.rpc_urls)
        note = f"{chain.quorum} must agree"
        if chain.send_urls:
            note += f"; orders go to {len(chain.send_urls)} other addresses"
        tone = "good" if count > chain.quorum else "warn"
        value = f"{count} provider{'s' if count != 1 else ''}"
        yield Sign(name, value, tone, note if tone == "good" else f"{note}; none may fail")


def sizes_of(ledger: Path) -> Iterator[tuple[str, int]]:
    """The ledger's files with their bytes."""
    for suffix in ("", "-wal"):
        path = ledger.with_name(ledger.name + suffix)
        if path.is_file():
            yield path.name, path.stat().st_size
