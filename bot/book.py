"""A book and the chains that it lives on: everything that a tick needs, put together by `bot.app`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from bot.chain.client import Client
from bot.chain.contracts import Contract
from bot.chain.sender import Sender
from bot.core.accounts import Account
from bot.core.decision import Rules
from bot.core.model import Mode
from bot.ports import OptionSource, Part, PerpVenue, PriceFeed, UptimeFeed, VolSource


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """One chain as the desk reads it. `native_usd` is None where gas is paid in the book's underlying.

    `sequencer` is None where the chain has none, or its feed is not configured, `multicall` where it has no Multicall3.
    """

    client: Client
    multicall: Contract | None
    chain_id: int
    instance: str
    call_gas: int
    min_tip_wei: int
    native_usd: Decimal | None
    sequencer: UptimeFeed | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """One underlying, with everything that a tick of it needs. `vols` is None where the vaults' own vols are used.

    `then` is the mode that a Hold of some code moves the account to.
    """

    name: str
    underlying: str
    sources: tuple[OptionSource, ...]
    vols: VolSource | None
    venue: PerpVenue
    rules: Rules
    order_ttl_s: int
    sender: Sender
    paper: bool
    feeds: tuple[PriceFeed, ...] = ()
    then: Mapping[str, Mode] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        """Who signs for it, on the venue's chain: orders, nonces and the mode are the ledger's under its id."""
        return self.sender.account

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything of the book that is read on a chain: sources, venue, feeds."""
        return (*self.sources, self.venue, *self.feeds)
