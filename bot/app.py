"""From a Config to a Desk: the only file that names concrete classes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import structlog
from eth_utils.address import to_checksum_address
from pydantic import SecretStr

from bot.book import Book, ChainAccess
from bot.chain.client import Client, Provider, ProviderRules
from bot.chain.contracts import contract
from bot.chain.mandate import Mandate, Rule
from bot.chain.sender import FeeRules, Sender
from bot.chain.signer.kms import kms_client, signer_from_kms
from bot.chain.signer.local import keystore_address, signer_from_key, signer_from_keystore
from bot.chain.signer.web3signer import Web3SignerAt, signer_from_web3signer
from bot.config import Config
from bot.config.books import (
    BookConfig,
    ChainlinkConfig,
    ConstantVols,
    DeribitVols,
    LyraConfig,
    MarginConfig,
    TableVols,
    VaultVols,
    VolsConfig,
)
from bot.config.chains import (
    ChainConfig,
    KeySigner,
    KeystoreSigner,
    KmsSigner,
    WatchSigner,
    Web3Signer,
)
from bot.config.limits import LimitsConfig
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
from bot.config.venues import CurieConfig, GmxConfig
from bot.core.decision import Rules
from bot.core.events import Notify, tell_nobody
from bot.core.fees import FeeCap
from bot.core.limits import Limits
from bot.core.model import Mode
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk_target import Aversion, DailyError, DailyErrorOfNav, Risk
from bot.core.target import Doubts, Target
from bot.desk import Desk
from bot.errors import ConfigError
from bot.feeds.chainlink import ChainlinkFeed, SequencerFeed
from bot.ledger import SqlLedger, open_ledger
from bot.options.lyra import LyraAddresses, LyraSource
from bot.ports import Clock, PerpVenue, PriceFeed, SignedTx, Signer, UnsignedTx, VolSource
from bot.private import hidden_answer
from bot.venues.bounds import OrderBounds, TransferBounds
from bot.venues.curie import CurieAddresses, CurieVenue, Delegation, Settlement
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxAddresses, GmxMarket, GmxRules, PriceSource
from bot.venues.paper import PaperVenue
from bot.vols.constant import ConstantVol
from bot.vols.deribit import DeribitVol
from bot.vols.table import TableVol

log = structlog.get_logger("vaultkeel.app")

WEI_PER_GWEI = Decimal(10) ** 9
MODES = {"reduce": Mode.REDUCING, "halt": Mode.HALTED}


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
    """An address without its key, and `why` the key isn't there."""

    address: str
    why: str = "its key is not configured"

    def sign(self, tx: UnsignedTx) -> SignedTx:  # noqa: ARG002 - the port's signature
        """Always a ConfigError: there is no key."""
        raise ConfigError(f"signer: {self.address} is watched only, {self.why}")


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


def build(config: Config, *, trades: bool = False, notify: Notify = tell_nobody) -> App:
    """Everything of a configuration, put together. Speaks to no chain yet; ConfigError where a part is unusable.

    An app that `trades` holds the ledger alone. `notify` is told what an operator may want to know.
    """
    signer = make_signer(config, signs=trades)
    clients = {name: make_client(name, chain) for name, chain in config.chains.items()}
    ledger = open_ledger(config.ledger, trades=trades)
    for name, chain in config.chains.items():
        ledger.bind(name, chain.chain_id, chain.instance, bound_account(config, signer))
    chains = {name: make_access(clients[name], chain) for name, chain in config.chains.items()}
    books = tuple(make_book(config, book, clients[book.venue.chain], ledger, signer) for book in config.books)
    clock: Clock = (
        SystemClock() if config.clock == "system" else ChainClock(clients[config.books[0].venue.chain])
    )
    return App(config, Desk(chains, books, ledger, clock, notify), ledger, signer.address)


def bound_account(config: Config, signer: Signer) -> str:
    """Whom a ledger belongs to: the signer, and whose position it trades where that is another's."""
    trader = config.books[0].venue.trader  # the books share it
    return signer.address if trader is None else f"{signer.address} for {trader}"


def make_signer(config: Config, *, signs: bool = True) -> Signer:
    """The configured signer. ConfigError where it can't be had, or doesn't sign as its address.

    What never `signs` asks no service and no person for a key whose address is known: an account can be halted while
    its KMS is down.
    """
    match config.signer:
        case KeySigner(key=key):
            signer = signer_from_key(key.get_secret_value())
            if signs and structlog.is_configured():  # else it would go to standard output, beside the result
                log.warning("the signing key lies in the clear", kind="key", safer="see docs/custody.md")
            return signer
        case KeystoreSigner(keystore=path, password="prompt"):
            named = "" if signs else keystore_address(path)
            if named:
                return WatchOnly(named, "this command signs nothing")
            instead = "signer.password can name a file or a variable instead"
            return signer_from_keystore(path, hidden_answer(f"Password of {path}", instead))
        case KeystoreSigner(keystore=path, password=SecretStr() as password):
            return signer_from_keystore(path, password.get_secret_value())
        case Web3Signer(address=address) | KmsSigner(address=address) if not signs:
            return WatchOnly(address, "this command signs nothing")
        case Web3Signer() as at:
            files = at.ca_file, at.client_cert, at.client_key
            service = Web3SignerAt(at.url.get_secret_value(), at.timeout_s, *files)
            return signer_from_web3signer(service, at.address)
        case KmsSigner() as kms:
            endpoint = "" if kms.endpoint is None else kms.endpoint.get_secret_value()
            client = kms_client(kms.region, endpoint, kms.timeout_s, kms.tries)
            return signer_from_kms(client, kms.key_id, kms.address)
        case WatchSigner(address=address):
            return WatchOnly(to_checksum_address(address))
    raise TypeError(f"no signer is of the kind {config.signer.kind}")


def make_client(name: str, chain: ChainConfig) -> Client:
    """The chain's providers, and the rules that they are asked by."""
    read = make_providers(name, "provider", chain.rpc_urls, chain.timeout_s)
    rules = ProviderRules(
        quorum=chain.quorum,
        max_lag_blocks=chain.max_lag_blocks,
        set_aside_s=chain.set_aside_s,
        read_tries=chain.read_tries,
    )
    senders = make_providers(name, "sender", chain.send_urls, chain.timeout_s)
    return Client(name, read, senders or read, rules)


def make_providers(chain: str, role: str, urls: Sequence[SecretStr], timeout_s: float) -> list[Provider]:
    """One provider per address, each called by its place in the configuration."""
    return [
        Provider(f"{chain} {role} {place}", url.get_secret_value(), timeout_s)
        for place, url in enumerate(urls, start=1)
    ]


def make_access(client: Client, chain: ChainConfig) -> ChainAccess:
    """One chain as the desk reads it."""
    feed = chain.sequencer_feed
    return ChainAccess(
        client=client,
        multicall=contract("multicall3", chain.multicall),
        chain_id=chain.chain_id,
        instance=chain.instance,
        call_gas=chain.call_gas,
        min_tip_wei=int(chain.min_tip_gwei * WEI_PER_GWEI),
        native_usd=None if chain.native_usd == "underlying" else chain.native_usd,
        sequencer=None if feed is None else SequencerFeed(client.chain, feed, chain.sequencer_grace_s),
    )


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
        sources=tuple(make_source(source) for source in book.sources),
        vols=make_vols(book.vols),
        venue=venue,
        rules=make_rules(config, book),
        order_ttl_s=book.limits.order_ttl_s,
        sender=Sender(client, ledger, signer, mandate, fees),
        paper=config.mode == "paper",
        feeds=tuple(make_feed(feed, book.venue.chain) for feed in book.feeds),
        then={code: MODES[mode] for code, mode in (book.limits.then | config.limits.then).items()},
    )


def make_feed(feed: ChainlinkConfig, chain: str) -> PriceFeed:
    """A second source of the spot, on `chain` where it names none."""
    return ChainlinkFeed(feed.name, feed.chain or chain, feed.address, feed.heartbeat_s)


def make_limits(config: Config, book: BookConfig) -> Limits:
    """What a book's orders may do and use up, alone and with all others."""
    given = {field for field in Limits.__slots__ if field in type(book.limits).model_fields}
    return Limits(
        **{field: getattr(book.limits, field) for field in given},
        min_order=book.policy.min_trade,
        max_order_gas_usd=config.chains[book.venue.chain].max_gas_usd,
        budgets=book.limits.budgets(),
        in_all=config.limits.budgets(),
    )


def make_rules(config: Config, book: BookConfig) -> Rules:
    """By which a book is measured and decided."""
    return Rules(
        target=Target(**dict(book.target)),
        doubts=Doubts(**dict(book.doubts)),
        policy=make_policy(book.policy),
        limits=make_limits(config, book),
        interval_s=config.interval_s,
        margin=None if book.margin is None else book.margin.protection(),
    )


def order_bounds(limits: LimitsConfig) -> OrderBounds:
    """What the key may sign as one order."""
    return OrderBounds(limits.max_order, limits.max_bound_gap, limits.order_ttl_s)


def transfer_bounds(margin: MarginConfig | None) -> TransferBounds | None:
    """What the key may move into and out of the margin at once; None where it may move nothing."""
    if margin is None or margin.max_topup_day_usd == 0:
        return None
    most = margin.max_topup_day_usd
    return TransferBounds(most, most if margin.withdraw else Decimal(0))


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


def make_venue(config: Config, book: BookConfig, account: str) -> tuple[PerpVenue, tuple[Rule, ...]]:
    """Where a book is hedged, traded by `account`, and what the mandate allows there."""
    orders = order_bounds(book.limits)
    match book.venue:
        case CurieConfig():
            curie = make_curie(book.venue, account, watches_margin=book.margin is not None)
            return curie, curie.rules(orders, transfer_bounds(book.margin))
        case GmxConfig():
            gmx = make_gmx(book.venue, config.chains[book.venue.chain], account)
            return gmx, gmx.rules(orders, book.venue.max_collateral)


def make_gmx(venue: GmxConfig, chain: ChainConfig, account: str) -> GmxVenue:
    """The configured GMX market, traded by `account` for itself."""
    named = {field: getattr(venue, field) for field in GmxMarket.__slots__ if hasattr(venue, field)}
    feeds = {
        f"{which}_feed": PriceSource(getattr(venue, f"{which}_feed"), getattr(venue, f"{which}_heartbeat_s"))
        for which in ("index", "long", "short")
    }
    return GmxVenue(
        venue.name,
        venue.chain,
        account,
        GmxAddresses(**{field: getattr(venue, field) for field in GmxAddresses.__slots__}),
        GmxMarket(**(named | feeds)),
        venue.lot,
        GmxRules(
            leverage=venue.leverage,
            max_fee_wei=int(chain.max_fee_gwei * WEI_PER_GWEI),
            returns=venue.returns_collateral,
            claim_above_usd=venue.claim_above_usd,
            most=venue.max_collateral,
        ),
        chain.multicall,
    )


def make_curie(venue: CurieConfig, account: str, *, watches_margin: bool = False) -> CurieVenue:
    """The configured Curie market, traded by `account` for itself or for the configured trader."""
    settlement = None
    if watches_margin and venue.settlement_token is not None:
        settlement = Settlement(venue.settlement_token, venue.settlement_decimals)
    addresses = CurieAddresses(**{field: getattr(venue, field) for field in CurieAddresses.__slots__})
    delegation = None
    if venue.trader is not None and venue.delegate_approval is not None:
        if venue.trader == account:
            raise ConfigError(
                f"{venue.name}: trader is the signer itself, who needs no approval: leave it out"
            )
        delegation = Delegation(venue.trader, venue.delegate_approval)
    return CurieVenue(venue.name, venue.chain, account, addresses, venue.lot, delegation, settlement)
