"""From a Config to a Desk: the only file that names concrete classes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from eth_utils.address import to_checksum_address
from pydantic import SecretStr

from bot.book import Book, ChainAccess
from bot.chain.client import Client, Provider, ProviderRules
from bot.chain.contracts import contract
from bot.chain.mandate import Mandate
from bot.chain.sender import FeeRules, Sender
from bot.chain.signer import signer_from_key, signer_from_keystore
from bot.config import Config
from bot.config.books import (
    BookConfig,
    ConstantVols,
    CurieConfig,
    DeribitVols,
    LyraConfig,
    TableVols,
    VaultVols,
    VolsConfig,
)
from bot.config.chains import ChainConfig, KeySigner, KeystoreSigner, WatchSigner
from bot.config.policies import (
    DeltaBandConfig,
    IntervalConfig,
    OptimalBandConfig,
    PolicyConfig,
    PriceMoveConfig,
    RiskConfig,
    WhalleyWilmottConfig,
    ZakamoulineConfig,
)
from bot.core.decision import Rules
from bot.core.fees import FeeCap
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk import Limits
from bot.core.risk_target import Aversion, DailyError, DailyErrorOfNav, Risk
from bot.core.target import Doubts, Target
from bot.desk import Desk
from bot.errors import ConfigError
from bot.ledger import SqlLedger, open_ledger
from bot.options.lyra import LyraAddresses, LyraSource
from bot.ports import Clock, PerpVenue, SignedTx, Signer, UnsignedTx, VolSource
from bot.venues.curie import CurieAddresses, CurieVenue
from bot.venues.paper import PaperVenue
from bot.vols.constant import ConstantVol
from bot.vols.deribit import DeribitVol
from bot.vols.table import TableVol

WEI_PER_GWEI = Decimal(10) ** 9


class SystemClock:
    """The computer's clock."""

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())


@dataclass(frozen=True, slots=True)
class ChainClock:
    """The latest block's time, for chains whose time is not the computer's: forks and rehearsals.

    The block is the last that was read: a clock that asks the node could fail just where a halt is to be recorded.
    """

    client: Client

    def now(self) -> int:
        """Unix seconds."""
        return (self.client.newest or self.client.head()).timestamp


@dataclass(frozen=True, slots=True)
class WatchOnly:
    """An address without its key."""

    address: str

    def sign(self, tx: UnsignedTx) -> SignedTx:  # noqa: ARG002 - the port's signature
        """Always a ConfigError: there is no key."""
        raise ConfigError(f"signer: {self.address} is watched only, its key is not configured")


@dataclass(frozen=True, slots=True)
class App:
    """A desk and what must be closed after it."""

    config: Config
    desk: Desk
    ledger: SqlLedger
    account: str

    def close(self) -> None:
        """Releases the ledger."""
        self.ledger.close()


def build(config: Config, *, trades: bool = False) -> App:
    """Everything of a configuration, put together. Speaks to no chain yet; ConfigError where a part is unusable.

    An app that `trades` holds the ledger alone.
    """
    signer = make_signer(config)
    clients = {name: make_client(name, chain) for name, chain in config.chains.items()}
    ledger = open_ledger(config.ledger, trades=trades)
    for name, chain in config.chains.items():
        ledger.bind(name, chain.chain_id, chain.instance, signer.address)
    chains = {name: make_access(clients[name], chain) for name, chain in config.chains.items()}
    books = tuple(make_book(config, book, clients[book.venue.chain], ledger, signer) for book in config.books)
    clock: Clock = (
        SystemClock() if config.clock == "system" else ChainClock(clients[config.books[0].venue.chain])
    )
    return App(config, Desk(chains, books, ledger, clock), ledger, signer.address)


def make_signer(config: Config) -> Signer:
    """The configured signer."""
    match config.signer:
        case KeySigner(key=key):
            return signer_from_key(key.get_secret_value())
        case KeystoreSigner(keystore=path, password=password):
            return signer_from_keystore(path, password.get_secret_value())
        case WatchSigner(address=address):
            return WatchOnly(to_checksum_address(address))


def make_client(name: str, chain: ChainConfig) -> Client:
    """The chain's providers, each called by its place in the configuration."""

    def providers(role: str, urls: Sequence[SecretStr]) -> list[Provider]:
        return [
            Provider(f"{name} {role} {place}", url.get_secret_value(), chain.timeout_s)
            for place, url in enumerate(urls, start=1)
        ]

    read = providers("provider", chain.rpc_urls)
    rules = ProviderRules(
        quorum=chain.quorum,
        max_lag_blocks=chain.max_lag_blocks,
        set_aside_s=chain.set_aside_s,
        read_tries=chain.read_tries,
    )
    return Client(name, read, providers("sender", chain.send_urls) or read, rules)


def make_access(client: Client, chain: ChainConfig) -> ChainAccess:
    """One chain as the desk reads it."""
    return ChainAccess(
        client=client,
        multicall=contract("multicall3", chain.multicall),
        chain_id=chain.chain_id,
        instance=chain.instance,
        call_gas=chain.call_gas,
        min_tip_wei=int(chain.min_tip_gwei * WEI_PER_GWEI),
        native_usd=None if chain.native_usd == "underlying" else chain.native_usd,
    )


def make_book(config: Config, book: BookConfig, client: Client, ledger: SqlLedger, signer: Signer) -> Book:
    """One book with its adapters, its mandate and its sender."""
    chain = config.chains[book.venue.chain]
    curie = make_curie(book.venue, signer.address)
    venue: PerpVenue = curie
    if config.mode == "paper":
        venue = PaperVenue(curie, lambda: ledger.paper_fills(book.name))
    mandate = Mandate(
        chain_id=chain.chain_id,
        account=signer.address,
        rules=curie.rules(book.limits.max_order),
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
        sources=tuple(make_source(source) for source in book.sources),
        vols=make_vols(book.vols),
        venue=venue,
        rules=make_rules(book, config.interval_s),
        order_ttl_s=book.limits.order_ttl_s,
        sender=Sender(client, ledger, signer, mandate, fees),
        paper=config.mode == "paper",
    )


def make_rules(book: BookConfig, interval_s: int) -> Rules:
    """By which a book is measured and decided."""
    return Rules(
        target=Target(**dict(book.target)),
        doubts=Doubts(**dict(book.doubts)),
        policy=make_policy(book.policy),
        limits=Limits(**{field: getattr(book.limits, field) for field in Limits.__slots__}),
        interval_s=interval_s,
    )


def make_policy(policy: PolicyConfig) -> Policy:
    """The rule that says when to trade, and how much."""
    match policy:
        case IntervalConfig(every_s=every_s):
            return Interval(every_s, policy.min_trade)
        case PriceMoveConfig(move=move):
            return PriceMove(move, policy.min_trade)
        case DeltaBandConfig(trigger=trigger, target=target):
            return DeltaBand(trigger, target, policy.min_trade)
        case WhalleyWilmottConfig():
            return WhalleyWilmott(risk_of(policy), policy.min_trade)
        case ZakamoulineConfig():
            return Zakamouline(risk_of(policy), policy.min_trade)
        case OptimalBandConfig(carry_cap=carry_cap):
            return OptimalBand(risk_of(policy), policy.min_trade, carry_cap)


def risk_of(policy: RiskConfig) -> Risk:
    """How much risk a policy bears, in the one way that the configuration says it."""
    if policy.risk_aversion is not None:
        return Aversion(policy.risk_aversion)
    if policy.daily_error_usd is not None:
        return DailyError(policy.daily_error_usd)
    if policy.daily_error_nav is not None:
        return DailyErrorOfNav(policy.daily_error_nav)
    raise ConfigError("policy: it names no risk")


def make_vols(vols: VolsConfig) -> VolSource | None:
    """Where the vols come from, None where each vault's own are used."""
    match vols:
        case VaultVols():
            return None
        case ConstantVols(vol=vol):
            return ConstantVol(float(vol))
        case TableVols(path=path):
            return TableVol(path)
        case DeribitVols(url=url, currency=currency, timeout_s=timeout_s):
            return DeribitVol(url.get_secret_value(), currency, float(timeout_s))


def make_source(source: LyraConfig) -> LyraSource:
    """One option source."""
    addresses = LyraAddresses(**{field: getattr(source, field) for field in LyraAddresses.__slots__})
    return LyraSource(source.name, source.chain, addresses)


def make_curie(venue: CurieConfig, account: str) -> CurieVenue:
    """The account's position in the configured Curie market."""
    addresses = CurieAddresses(**{field: getattr(venue, field) for field in CurieAddresses.__slots__})
    return CurieVenue(venue.name, venue.chain, account, addresses, venue.lot)
