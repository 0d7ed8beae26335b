"""A book and the chains that it lives on: everything that a tick needs, put together by `bot.app`."""

from dataclasses import dataclass
from decimal import Decimal

from bot.chain.client import Client
from bot.chain.contracts import Contract
from bot.chain.sender import Sender
from bot.core.decision import Rules
from bot.ports import OptionSource, Part, PerpVenue, VolSource


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """One chain as the desk reads it. `native_usd` is None where gas is paid in the book's underlying."""

    client: Client
    multicall: Contract
    chain_id: int
    instance: str
    call_gas: int
    min_tip_wei: int
    native_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Book:
    """One underlying, with everything that a tick of it needs. `vols` is None where the vaults' own vols are used."""

    name: str
    underlying: str
    sources: tuple[OptionSource, ...]
    vols: VolSource | None
    venue: PerpVenue
    rules: Rules
    order_ttl_s: int
    sender: Sender
    paper: bool

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything of the book that is read on a chain, the venue last."""
        return (*self.sources, self.venue)
