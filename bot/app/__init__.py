"""From a Config to a Desk: the only package that names concrete classes."""

from dataclasses import dataclass

from bot.app.chains import WEI_PER_GWEI, ChainClock, SystemClock, make_access, make_client
from bot.app.parts import make_feed, make_source, make_vols
from bot.app.rules import make_rules
from bot.app.signers import make_signer
from bot.app.venues import make_venue
from bot.book import Book
from bot.chain.client import Client
from bot.chain.mandate import Mandate
from bot.chain.sender import FeeRules, Sender
from bot.config import Config
from bot.config.books import BookConfig
from bot.core.accounts import Account
from bot.core.events import Notify, tell_nobody
from bot.core.fees import FeeCap
from bot.core.model import Mode
from bot.desk import Desk
from bot.ledger import SqlLedger, open_ledger
from bot.ports import Clock, Signer
from bot.venues.paper import PaperVenue

MODES = {"reduce": Mode.REDUCING, "halt": Mode.HALTED}


@dataclass(frozen=True, slots=True)
class App:
    """A desk and what must be closed after it."""

    config: Config
    desk: Desk
    ledger: SqlLedger

    @property
    def accounts(self) -> tuple[Account, ...]:
        """Who signs, once per chain that is traded on, in the books' order."""
        return self.desk.accounts

    @property
    def account(self) -> str:
        """The id of who signs for the first book: for what has one book."""
        return self.accounts[0].id

    def close(self) -> None:
        """Releases the ledger."""
        self.ledger.close()


def build(config: Config, *, trades: bool = False, notify: Notify = tell_nobody) -> App:
    """Everything of a configuration, put together. Speaks to no chain yet; ConfigError where a part is unusable.

    An app that `trades` holds the ledger alone. `notify` is told what an operator may want to know.
    """
    signer = make_signer(config, signs=trades)
    clients = {name: make_client(name, chain) for name, chain in config.chains.items()}
    ledger = open_ledger(config.ledger, trades=trades)
    for name, chain in config.chains.items():
        ledger.bind(name, chain.chain_id, chain.instance, bound_account(config, signer, name))
    chains = {name: make_access(clients[name], chain) for name, chain in config.chains.items()}
    books = tuple(make_book(config, book, clients[book.venue.chain], ledger, signer) for book in config.books)
    clock: Clock = (
        SystemClock() if config.clock == "system" else ChainClock(clients[config.books[0].venue.chain])
    )
    return App(config, Desk(chains, books, ledger, clock, notify), ledger)


def bound_account(config: Config, signer: Signer, chain: str) -> str | None:
    """Whom a ledger belongs to on a chain: the signer, and whose position it trades where that is another's.

    None where no book trades on the chain.
    """
    for book in config.books:
        if book.venue.chain == chain:
            trader = book.venue.trader  # the books of a chain share it
            return signer.address if trader is None else f"{signer.address} for {trader}"
    return None


def make_book(config: Config, book: BookConfig, client: Client, ledger: SqlLedger, signer: Signer) -> Book:
    """One book with its adapters, its mandate and its sender."""
    chain = config.chains[book.venue.chain]
    traded, allowed = make_venue(config, book, signer.address)
    venue = traded
    if config.mode == "paper":
        venue = PaperVenue(traded, lambda: ledger.paper_fills(book.name))
    mandate = Mandate(
        chain_id=chain.chain_id,
        account=signer.address,
        rules=allowed,
        max_gas=chain.max_gas,
        max_fee_wei=int(chain.max_fee_gwei * WEI_PER_GWEI),
    )
    fees = FeeRules(
        min_tip_wei=int(chain.min_tip_gwei * WEI_PER_GWEI),
        cap=FeeCap(mandate.max_fee_wei, chain.max_gas_usd),
        gas_margin=chain.gas_margin,
        confirmations=chain.confirmations,
        finality=chain.finality,
        bump_after_s=chain.bump_after_s,
        patience_s=float(chain.patience_s),
    )
    return Book(
        name=book.name,
        underlying=book.underlying,
        sources=tuple(make_source(source, config.chains, book.venue.chain) for source in book.sources),
        vols=make_vols(book.vols),
        venue=venue,
        rules=make_rules(config, book),
        order_ttl_s=book.limits.order_ttl_s,
        sender=Sender(client, ledger, signer, mandate, fees),
        paper=config.mode == "paper",
        feeds=tuple(make_feed(feed, book.venue.chain) for feed in book.feeds),
        then={code: MODES[mode] for code, mode in (book.limits.then | config.limits.then).items()},
    )
