"""What a book reads: its option sources, second prices and vols."""

from bot.config.books import (
    ConstantVols,
    DeribitVols,
    TableVols,
    VaultVols,
    VolsConfig,
)
from bot.config.feeds import ChainlinkConfig, FeedConfig, PythConfig, RedstoneConfig
from bot.config.sources import DeriveConfig, LyraConfig, SourceConfig
from bot.feeds.chainlink import ChainlinkFeed
from bot.feeds.pyth import PythFeed
from bot.options.derive import DeriveRules, DeriveSource
from bot.options.derive_market import DeriveAddresses
from bot.options.lyra import LyraAddresses, LyraSource
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


def make_source(source: SourceConfig) -> OptionSource:
    """One option source."""
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
