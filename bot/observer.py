"""Observe: everything that a decision needs, read at one pinned block per chain."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from bot.book import Book, ChainAccess
from bot.chain.client import Health
from bot.chain.reads import drive, look
from bot.core.inputs import spot_of
from bot.core.model import BlockRef, IntentKind, OptionPosition, Snapshot, SourceState, VolsUsed
from bot.core.units import from_raw
from bot.errors import ConfigError, DataError, TransientError, VaultkeelError
from bot.ports import Asked, Balance, Clock, Ledger, OptionSource, PriceFeed, Reader, VolSource, primary_block
from bot.pricing.surface import Surface
from bot.spending import accounted

T = TypeVar("T")

FARTHEST_FORWARD = 0.25
"""A forward farther from the spot than this is not one of the same underlying."""


class Observer:
    """Reads books on their chains."""

    def __init__(self, chains: Mapping[str, ChainAccess], ledger: Ledger, clock: Clock) -> None:
        self._chains = chains
        self._ledger = ledger
        self._clock = clock
        self._verified: set[str] = set()
        self._newest: dict[tuple[str, str], int] = {}
        # One account per chain at most is at work at once, and asks each chain once: nobody waits for a thread.
        self._threads = ThreadPoolExecutor(len(chains) ** 2, thread_name_prefix="chain")

    def health(self) -> tuple[Health, ...]:
        """Every provider of every chain as it was last seen. Asks nothing."""
        return tuple(one for access in self._chains.values() for one in access.client.health())

    def native_usd(self, book: Book, underlying_usd: Decimal) -> Decimal:
        """The price of the coin that pays for gas on the venue's chain, in USD."""
        configured = self._chains[book.venue.chain].native_usd
        return underlying_usd if configured is None else configured

    def ask(self, chain: str, block: BlockRef, reader: Reader[T]) -> T:
        """What one reader returns at one block."""
        access = self._chains[chain]
        answer: T = drive(access.client, access.multicall, block, [reader], access.call_gas)[0]
        return answer

    def ask_late(self, book: Book, block: Callable[[], BlockRef], reader: Reader[T]) -> T:
        """What one reader returns at a block of the venue's chain, which is asked for only where it reads anything.

        No later snapshot of `book` is older than that block.
        """
        try:
            first = next(reader)
        except StopIteration as done:
            known: T = done.value
            return known
        chain, pinned = book.venue.chain, block()
        answer = self.ask(chain, pinned, resumed(first, reader))
        self._newest[book.name, chain] = max(self._newest_seen(book, chain), pinned.number)
        return answer

    def observe(self, book: Book) -> Snapshot:
        """Everything that a decision of `book` needs, at one block hash per chain."""
        heads = self.verify(book)
        readers: dict[str, list[Reader[Any]]] = {}
        for part in book.parts:
            readers.setdefault(part.chain, []).append(part.read())
        guarded = [chain for chain in readers if self._chains[chain].sequencer is not None]
        for chain in guarded:
            readers[chain] += (feed.read() for feed in (self._chains[chain].sequencer,) if feed)
        if book.rules.limits.min_native is not None:
            readers[book.venue.chain].append(self._native(book))
        read = self._side_by_side(
            {
                chain: partial(self._read, book, chain, heads.get(chain), wanted)
                for chain, wanted in readers.items()
            }
        )
        blocks = tuple(block for block, _ in read.values())
        states = {chain: found for chain, (_, found) in read.items()}
        sources = tuple(states[source.chain].pop(0) for source in book.sources)
        venue = states[book.venue.chain].pop(0)
        feeds = tuple(states[feed.chain].pop(0) for feed in book.feeds)
        sequencers = tuple(states[chain].pop(0) for chain in guarded)
        native = states[book.venue.chain].pop(0) if book.rules.limits.min_native is not None else None
        spot = spot_of(sources, feeds)
        sources, vols = with_vols(book.vols, sources, spot, blocks, self._clock.now())
        access = self._chains[book.venue.chain]
        head = primary_block(blocks, book.venue.chain)
        open_orders = self._ledger.open_intents(book.account.id)
        ours = (o.intent for o in open_orders if o.intent.market == venue.position.market)
        in_flight = (intent.size for intent in ours if intent.kind is IntentKind.TRADE)
        left, failed = self._top_ups(book)
        snapshot = Snapshot(
            book=book.name,
            underlying=book.underlying,
            at=self._clock.now(),
            blocks=blocks,
            sources=sources,
            vols=vols,
            venue=venue,
            spot=spot,
            native_usd=spot if access.native_usd is None else access.native_usd,
            gas_price_wei=head.base_fee_wei + access.min_tip_wei,
            in_flight=sum(in_flight, Decimal(0)),
            open_order=open_orders[0].intent.key if open_orders else "",
            last_trade=self._ledger.last_trade(book.name, paper=book.paper),
            feeds=feeds,
            sequencers=sequencers,
            native=native,
            paper=book.paper,
            top_up_left_usd=left,
            top_up_failed=failed,
        )
        snapshot = replace(snapshot, refusals=None if book.paper else self._ledger.refusals(book.name))
        return accounted(self._ledger, book, snapshot)

    def _read(
        self, book: Book, chain: str, head: BlockRef | None, wanted: Sequence[Reader[Any]]
    ) -> tuple[BlockRef, list[Any]]:
        """The block that one chain is pinned to, and what each reader returns there."""
        access = self._chains[chain]
        block = self._pin(book, chain, head)
        found = drive(access.client, access.multicall, block, wanted, access.call_gas)
        self._newest[book.name, chain] = block.number
        return block, found

    def _side_by_side(self, asks: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """What is asked of each chain, all at once: it takes as long as the slowest. An error names its chain.

        All are waited for, also where one fails: nothing of a tick is left behind when it ends.
        """
        if len(asks) == 1:
            return {chain: ask() for chain, ask in asks.items()}
        begun = {chain: self._threads.submit(copy_context().run, ask) for chain, ask in asks.items()}
        wait(begun.values())
        found: dict[str, T] = {}
        for chain, answer in begun.items():
            try:
                found[chain] = answer.result()
            except VaultkeelError as error:
                if chain not in str(error):
                    error.args = (f"{chain}: {error}", *error.args[1:])
                raise
        return found

    def _top_ups(self, book: Book) -> tuple[Decimal, str]:
        """What may still be added to the margin today, in USD, and why the last attempt at it failed."""
        if book.rules.margin is None:
            return Decimal(0), ""
        added, failed = self._ledger.top_ups(book.name, self._clock.now())
        return max(book.rules.margin.max_topup_day_usd - added, Decimal(0)), failed

    def _native(self, book: Book) -> Reader[Decimal]:
        """What the signing account holds of the gas coin, asked in the round that is asked anyway."""
        (wei,) = yield [Balance(book.venue.account)]
        return from_raw(wei, 18)

    def watch(self, book: Book) -> Decimal:
        """The book's spot alone, in one request: from the source or feed that a tick takes it from."""
        told: tuple[OptionSource | PriceFeed, ...] = (*book.sources, *book.feeds)
        for part in told:
            spot = look(self._chains[part.chain].client, part.watch())
            if spot is not None:
                return spot
        raise DataError(f"{book.name}: nothing tells its spot: add [[books.feeds]]")

    def _pin(self, book: Book, chain: str, head: BlockRef | None) -> BlockRef:
        """The head of `chain`, if it was not read just now.

        TransientError where it can't show our last order yet, or is older than what `book` was decided on before:
        another node may lag behind the one that told an outcome, and the position would be taken for a foreign one.
        A chain that a reorg made shorter is refused, too, until it is as long again.
        """
        block = head or self._chains[chain].client.head()
        ours = self._ledger.last_mined_block(book.account.id) if chain == book.venue.chain else 0
        if block.number < ours:
            raise TransientError(
                f"{chain}: the node's block {block.number} is older than {ours}, which has our last order: it lags"
            )
        newest = self._newest_seen(book, chain)
        if block.number < newest:
            raise TransientError(
                f"{chain}: the node's block {block.number} is older than {newest}, which {book.name} was read at "
                "before: it lags"
            )
        return block

    def _newest_seen(self, book: Book, chain: str) -> int:
        """The number of the newest block of `chain` that `book` was read at, in earlier runs too; 0 for none."""
        if (book.name, chain) not in self._newest:
            last = self._ledger.last_tick(book.name)
            blocks = () if last is None else last.snapshot.blocks
            self._newest[book.name, chain] = max((b.number for b in blocks if b.chain == chain), default=0)
        return self._newest[book.name, chain]

    def verify(self, book: Book) -> dict[str, BlockRef]:
        """Once per book, before anything is sent: the chains are the configured ones and every address holds code.

        Returns the heads that this read.
        """
        if book.name in self._verified:
            return {}
        heads = self._side_by_side(
            {
                chain: partial(self._verify_chain, book, chain)
                for chain in dict.fromkeys(p.chain for p in book.parts)
            }
        )
        self._verified.add(book.name)
        return heads

    def _verify_chain(self, book: Book, chain: str) -> BlockRef:
        access = self._chains[chain]
        addresses = {}
        if access.multicall is not None:
            addresses[f"chains.{chain}.multicall"] = access.multicall.address
        for part in (*book.parts, *([access.sequencer] if access.sequencer else [])):
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


def resumed(asked: Sequence[Asked], reader: Reader[T]) -> Reader[T]:
    """A reader that was begun, from its first question on."""
    try:
        while True:
            asked = reader.send((yield asked))
    except StopIteration as done:
        answer: T = done.value
        return answer


def with_vols(
    vols: VolSource | None,
    sources: tuple[SourceState, ...],
    spot: Decimal,
    blocks: tuple[BlockRef, ...],
    now: int,
) -> tuple[tuple[SourceState, ...], VolsUsed]:
    """`sources` with the vols of `vols` in place of the vaults' own, where there is one, and what was used."""
    if vols is None:
        return sources, VolsUsed("vault", min(block.timestamp for block in blocks))
    surface = vols.read(now)
    refuse_other_underlying(surface, spot, now)
    # The pricing tells the expired from the rest by the oldest block: a desk's clock ahead of it leaves out none.
    oldest = min(block.timestamp for block in blocks)
    seen = tuple(
        replace(source, positions=priced_by(surface, source, spot, oldest, now)) for source in sources
    )
    return seen, VolsUsed(vols.name, surface.at)


def priced_by(
    surface: Surface, source: SourceState, spot: Decimal, oldest: int, now: int
) -> tuple[OptionPosition, ...]:
    """A source's positions with the surface's vols, asked once per expiry. What has expired stays as it is.

    What has expired is told by the `oldest` block's time. What else has by the desk's, `now`, may be quoted
    no more: with seconds left it has the vols of the nearest expiry that is.
    """
    found = list(source.positions)
    by_expiry: dict[int, list[int]] = defaultdict(list)
    for place, position in enumerate(found):
        if position.expiry > oldest:
            by_expiry[position.expiry].append(place)
    quoted = [part.expiry for part in surface.slices if part.expiry > oldest]
    for expiry, places in by_expiry.items():
        strikes = [float(found[place].strike) for place in places]
        at = expiry
        if expiry <= now:
            at = min(quoted, key=lambda known: abs(known - expiry), default=expiry)
        vols, slopes = surface.vols(strikes, at, oldest), surface.slopes(strikes, at, oldest)
        money_vol = surface.atm_vol(at, oldest, float(spot))
        for place, vol, slope in zip(places, vols.tolist(), slopes.tolist(), strict=True):
            found[place] = replace(found[place], vol=vol, slope=slope, money_vol=money_vol)
    return tuple(found)


def refuse_other_underlying(surface: Surface, spot: Decimal, now: int) -> None:
    """DataError where a surface's forwards are far from the book's spot: its vols are another underlying's."""
    for part in surface.slices:
        if part.forward_known and part.expiry > now:
            forward = surface.forward(part.expiry, now)
            if abs(forward / float(spot) - 1) > FARTHEST_FORWARD:
                raise DataError(
                    f"{surface.name}: a forward of {forward:,.2f} beside the book's spot of {spot:,.2f}: "
                    "these are the vols of another underlying"
                )
