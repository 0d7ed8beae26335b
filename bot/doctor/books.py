"""A book's parts on their chains: whether each answers, and whether what they say can be traded on."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from bot.app.chains import make_access, make_client
from bot.app.parts import make_feed, make_source, make_vols
from bot.app.venues import make_venue
from bot.book import ChainAccess
from bot.chain.reads import drive, look
from bot.config import Config
from bot.config.books import BookConfig
from bot.core.inputs import gap_limit, spot_of
from bot.core.margin import margin_of, standing
from bot.core.model import BlockRef, FeedPrice, SourceState, VenueState
from bot.core.units import WEI_PER_NATIVE
from bot.doctor.chains import all_of, clock_findings, contract_findings, newest
from bot.doctor.findings import Finding, fails, isolated, passes, warns
from bot.errors import DataError, TransientError, VaultkeelError
from bot.ports import Part, Reader

FEW_ORDERS = 20
"""Gas for fewer orders than this is worth a warning."""


@dataclass(slots=True)
class Patient:
    """A book under examination, and what was read of it so far."""

    config: Config
    book: BookConfig
    signer: str
    now: Callable[[], float] = time.time
    access: dict[str, ChainAccess] = field(default_factory=dict)
    heads: dict[str, BlockRef] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> list[Part]:
        """Everything of the book that is read on a chain. ConfigError where one can't be made."""
        venue, _allowed = make_venue(self.config, self.book, self.signer)
        feeds = [make_feed(feed, self.book.venue.chain) for feed in self.book.feeds]
        chain = self.book.venue.chain
        sources = [make_source(source, self.config.chains, chain) for source in self.book.sources]
        return [*sources, venue, *feeds]

    def read(self, chain: str, reader: Reader[Any]) -> Any:
        """What a reader returns at the chain's head. TransientError where there is no head to read at."""
        if chain not in self.heads:
            raise TransientError(f"{chain} could not be read at all: see its providers")
        access = self.access[chain]
        return drive(access.client, access.multicall, self.heads[chain], [reader], access.call_gas)[0]


def book_findings(patient: Patient) -> list[Finding]:
    """Everything about one book."""
    name = patient.book.name
    try:
        parts = patient.parts
    except VaultkeelError as error:
        return [fails(name, str(error), "mend what it names in the configuration")]
    found: list[Finding] = []
    for chain in dict.fromkeys(part.chain for part in parts):
        found += isolated(f"{chain} head", partial(open_chain, patient, chain, parts))
    for part in parts:
        found += isolated(part.name, partial(read_part, patient, part))
    for chain in patient.heads:
        found += isolated(f"{chain} sequencer", partial(sequencer, patient, chain))
    found += isolated(f"{name} prices", lambda: prices(patient))
    found += isolated(f"{name} vols", lambda: vols(patient))
    venue = patient.states.get(patient.book.venue.name)
    if isinstance(venue, VenueState):
        found += isolated(f"{name} privileges", lambda: privileges(patient, venue))
        found += isolated(f"{name} margin", lambda: margin(patient, venue))
        found += isolated(f"{name} top-ups", lambda: top_ups(patient, venue))
        found += isolated(f"{name} gas", lambda: gas(patient, venue))
    else:
        skipped = "not checked, for the venue can't be read: privileges, margin, top-ups, gas"
        found.append(warns(f"{name} account", skipped, "mend what keeps the venue from being read first"))
    return found


def open_chain(patient: Patient, chain: str, parts: list[Part]) -> Iterator[Finding]:
    """The head that the quorum agrees on, its age, and code at every address."""
    config = patient.config.chains[chain]
    access = patient.access[chain] = make_access(make_client(chain, config), config)
    patient.heads[chain] = head = newest(access.client)
    max_age_s = patient.book.limits.max_block_age_s
    if patient.config.clock == "system":
        yield from clock_findings(chain, head, patient.now(), max_age_s)
    ours = [(part.name, part.contracts()) for part in parts if part.chain == chain]
    if access.sequencer is not None:
        ours.append((access.sequencer.name, access.sequencer.contracts()))
    addresses = all_of(ours)
    if access.multicall is not None:
        addresses[f"chains.{chain}.multicall"] = access.multicall.address
    elif not config.drift_blocks:
        said = (
            "without Multicall3 nobody notices a node that answers from another block than it was asked for"
        )
        yield warns(f"{chain} reads", said, "take providers that keep history, and a quorum of two")
    yield from contract_findings(access.client, config, addresses)


def read_part(patient: Patient, part: Part) -> Iterator[Finding]:
    """Whether every function that a tick asks of a part answers."""
    state = patient.states[part.name] = patient.read(part.chain, part.read())
    match state:
        case SourceState():
            source = next(s for s in patient.parts if s.name == part.name)
            spot = look(patient.access[part.chain].client, source.watch())  # type: ignore[union-attr]
            priced = "no spot of its own" if spot is None else f"spot {spot:,.2f} USD"
            text = f"{len(state.positions)} positions, {priced}"
            paused = state.paused
        case VenueState():
            text = f"position {state.position.size:+.4f}, mark {state.mark:,.2f} USD, index {state.index:,.2f} USD"
            paused = state.paused
        case _:
            text, paused = f"{state.price:,.2f} USD", ""
    if paused:
        yield warns(part.name, paused, "nothing is traded until the protocol opens it again")
    else:
        yield passes(part.name, text)


def sequencer(patient: Patient, chain: str) -> Iterator[Finding]:
    """Whether an L2's sequencer runs."""
    feed = patient.access[chain].sequencer
    if feed is None:
        return
    state = patient.read(chain, feed.read())
    if state.up:
        yield passes(f"{chain} sequencer", "it is up")
    else:
        yield fails(
            f"{chain} sequencer", f"it is down since Unix second {state.since}", "wait until it is up"
        )


def prices(patient: Patient) -> Iterator[Finding]:
    """The feeds' age, and how far every source of the spot is from the vault's."""
    limits, check = patient.book.limits, f"{patient.book.name} prices"
    states = patient.states.values()
    sources = [state for state in states if isinstance(state, SourceState)]
    feeds = [state for state in states if isinstance(state, FeedPrice)]
    for feed in feeds:
        age = patient.now() - feed.updated_at
        if patient.config.clock == "system" and age > feed.stale_after_s:
            said = f"its price is {age:.0f} s old, its heartbeat is {feed.heartbeat_s} s"
            yield fails(feed.name, said, "mend heartbeat_s, or wait: a stale feed holds every trade")
    if not patient.book.feeds:
        yield warns(
            check, "no second source of the spot is configured", "add [[books.feeds]]: docs/limits.md"
        )
    if not sources:
        return
    try:
        spot = spot_of(sources, feeds)
    except DataError as error:
        yield fails(check, str(error), "name a feed that prices the underlying in USD: docs/configuration.md")
        return
    most = limits.max_price_gap
    others = [(feed.name, feed.price, gap_limit(feed, most)) for feed in feeds]
    for state in states:
        if isinstance(state, VenueState):
            others += [
                (f"{state.name}'s index", state.index, most),
                (f"{state.name}'s mark", state.mark, most),
            ]
    far = [(name, price, abs(price / spot - 1), limit) for name, price, limit in others]
    for name, price, gap, limit in far:
        if gap > limit:
            said = f"{name} says {price:,.2f} USD, {gap:.2%} from the vault's {spot:,.2f}"
            yield fails(check, said, "one of them is wrong, or another underlying's: nothing is traded")
    if far and all(gap <= limit for *_, gap, limit in far):
        widest = max(gap for *_, gap, _ in far)
        yield passes(check, f"{len(far)} others are within {widest:.2%} of the vault's {spot:,.2f} USD")


def vols(patient: Patient) -> Iterator[Finding]:
    """Whether vols from elsewhere are there, and young enough."""
    source = make_vols(patient.book.vols)
    if source is None:
        return
    age = patient.now() - source.read(int(patient.now())).at
    check, most = f"{patient.book.name} vols", patient.book.limits.max_vol_age_s
    if age > most:
        said = f"those of {source.name} are {age:.0f} s old, the limit is {most} s"
        yield fails(check, said, "bring newer ones, or raise max_vol_age_s")
    else:
        yield passes(check, f"those of {source.name} are {age:.0f} s old")


def privileges(patient: Patient, venue: VenueState) -> Iterator[Finding]:
    """What the key may do for the account."""
    check, may = f"{patient.book.name} privileges", venue.privileges
    if may is None:
        yield warns(check, "what the key may do is not known", "look at the account's approvals")
    elif not may.can_trade:
        yield fails(check, may.in_words(), "have the owners approve the key")
    elif may.can_withdraw and may.key != may.account:
        yield warns(check, may.in_words(), "a hot key should not withdraw: docs/delegation.md")
    else:
        yield passes(check, may.in_words())


def margin(patient: Patient, venue: VenueState) -> Iterator[Finding]:
    """How far the hedge is from liquidation, by the book's own levels."""
    check, state = f"{patient.book.name} margin", margin_of(venue)
    if patient.book.margin is None:
        yield warns(check, "nobody watches it", "add [books.margin]: docs/margin.md")
    if state.equity <= 0:
        yield fails(
            check, f"the account {venue.account} holds no collateral", "deposit some: docs/delegation.md"
        )
        return
    if state.is_liquidatable:
        yield fails(check, f"{standing(state)}: the venue may liquidate it", "add collateral now")
        return
    if patient.book.margin is not None and state.size != 0:
        policy = patient.book.margin.protection().policy
        for level, report in (("critical", fails), ("warning", warns)):
            if state.equity < policy.needed(getattr(policy, level), state):
                yield report(check, f"{standing(state)}: below the {level} level", "add collateral")
                return
    yield passes(check, standing(state))


def top_ups(patient: Patient, venue: VenueState) -> Iterator[Finding]:
    """Whether something is there to be added to the margin, and no more allowance than that."""
    settings, check = patient.book.margin, f"{patient.book.name} top-ups"
    if settings is None:
        return
    if venue.wallet is None or venue.allowance is None:
        said = "this key can't add collateral"
        yield warns(check, said, "the owners do, with what `vaultkeel propose deposit` writes")
        return
    if settings.max_topup_day_usd > 0 and venue.wallet < max(settings.min_transfer_usd, Decimal(1)):
        said = f"the wallet has {venue.wallet:f} of the settlement token to add"
        yield warns(check, said, "send it what a bad day needs")
    else:
        yield passes(check, f"the wallet has {venue.wallet:f} of the settlement token")
    if venue.allowance > settings.max_topup_day_usd:
        said = f"the venue may take {venue.allowance:f} of the settlement token"
        yield warns(check, said, "take the allowance back: the bot needs exact ones alone")


def gas(patient: Patient, venue: VenueState) -> Iterator[Finding]:
    """Whether the signing account can pay for orders."""
    chain = patient.config.chains[patient.book.venue.chain]
    client = patient.access[patient.book.venue.chain].client
    check, balance = f"{patient.book.name} gas", Decimal(client.balance(patient.signer)) / WEI_PER_NATIVE
    fee = client.offer(int(chain.min_tip_gwei * 10**9)).max_fee_wei
    order = venue.order_gas * chain.gas_margin * fee / WEI_PER_NATIVE
    kept = patient.book.limits.min_native or Decimal(0)
    text = f"{patient.signer} holds {balance:.6f} of the native coin, an order may cost {order:.6f} now"
    if kept:
        text += f", {kept:f} must stay"
    if balance < kept + order:
        report = fails if patient.config.mode == "live" else warns
        yield report(check, text, "send it native coin, or no order is signed")
    elif balance < kept + order * FEW_ORDERS:
        yield warns(check, text, f"enough for fewer than {FEW_ORDERS} orders: send it more")
    else:
        yield passes(check, text)
