"""What a book reads: its option sources, second prices and vols."""

from collections.abc import Mapping

from bot.config.books import (
    ConstantVols,
    DeribitVols,
    TableVols,
    VaultVols,
    VolsConfig,
)
from bot.config.chains import ChainConfig
from bot.config.feeds import ChainlinkConfig, FeedConfig, PythConfig, RedstoneConfig
from bot.config.sources import (
    DeclaredConfig,
    DeriveConfig,
    FollowerConfig,
    GammaConfig,
    HoldingsConfig,
    LyraConfig,
    SourceConfig,
)
from bot.feeds.chainlink import ChainlinkFeed
from bot.feeds.pyth import PythFeed
from bot.options.declared import DeclaredSource
from bot.options.derive import DeriveRules, DeriveSource
from bot.options.derive_market import DeriveAddresses
from bot.options.gamma import GammaAddresses, GammaScope, GammaSource
from bot.options.holdings import Held, HoldingsSource
from bot.options.lyra import LyraAddresses, LyraSource
from bot.options.tokens import Follower, Rate
from bot.ports import OptionSource, PriceFeed, VolSource
from bot.vols.constant import ConstantVol
from bot.vols.deribit import DeribitVol
from bot.vols.table import TableVol


def make_feed(feed: FeedConfig, chain: str) -> PriceFeed:
    """A second source of the spot, on `chain` where it names none."""
    trust = feed.heartbeat_s, feed.slack_s, feed.max_deviation
    where = feed.name, feed.chain or chain, feed.address
    match feed:
        case ChainlinkConfig() | RedstoneConfig():
            return ChainlinkFeed(*where, *trust)
        case PythConfig():
            return PythFeed(*where, feed.price_id, feed.max_confidence, *trust)


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


def make_source(source: SourceConfig, chains: Mapping[str, ChainConfig], chain: str) -> OptionSource:
    """One option source of a configuration's `chains`; a declared one is on `chain` where it names none."""
    match source:
        case LyraConfig():
            lyra = LyraAddresses(**{field: getattr(source, field) for field in LyraAddresses.__slots__})
            return LyraSource(source.name, source.chain, lyra)
        case DeriveConfig():
            derive = DeriveAddresses(**{field: getattr(source, field) for field in DeriveAddresses.__slots__})
            rules = DeriveRules(
                source.min_confidence, source.averaging_s, source.ignored_assets, marks=source.marks
            )
            return DeriveSource(source.name, source.chain, source.accounts, derive, rules)
        case GammaConfig():
            return make_gamma(source)
        case HoldingsConfig():
            held = tuple(Held(make_follower(token), token.asset) for token in source.tokens)
            return HoldingsSource(source.name, source.chain, source.owners, held, native=source.native)
        case DeclaredConfig():
            where = source.chain or chain
            return DeclaredSource(
                source.name,
                where,
                source.path,
                source.underlying,
                source.max_age_s,
                chains[where].multicall,
                source.when_expired,
            )


def make_gamma(source: GammaConfig) -> GammaSource:
    """Opyn Gamma's vaults, or a fork's."""
    scope = GammaScope(
        owners=source.owners,
        otokens=source.otokens,
        equivalents=tuple(make_follower(token) for token in source.equivalents),
        ignored=frozenset(source.ignore_underlyings),
        physical=source.is_physical,
        wallet=source.wallet,
        max_vaults=source.max_vaults,
    )
    addresses = GammaAddresses(**{field: getattr(source, field) for field in GammaAddresses.__slots__})
    return GammaSource(source.name, source.chain, addresses, scope)


def make_follower(token: FollowerConfig) -> Follower:
    """A token that follows the underlying."""
    if token.rate is not None:
        return Follower(token.name, token.token, Rate(token.rate.contract, token.rate.function))
    assert token.factor is not None  # noqa: S101 - the configuration has one of the two
    return Follower(token.name, token.token, token.factor)
