"""Where a book is hedged, and what its key may sign there."""

from bot.app.chains import WEI_PER_GWEI
from bot.app.rules import order_bounds, transfer_bounds
from bot.chain.mandate import Rule
from bot.config import Config
from bot.config.books import (
    BookConfig,
)
from bot.config.chains import (
    ChainConfig,
)
from bot.config.venues import CurieConfig, GmxConfig, HyperliquidConfig
from bot.errors import ConfigError
from bot.ports import PerpVenue
from bot.venues.curie import CurieAddresses, CurieVenue, Delegation, Settlement
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxAddresses, GmxMarket, GmxRules, PriceSource
from bot.venues.hyperliquid import HyperliquidVenue
from bot.venues.hyperliquid_info import HttpAsk, Questions, QuietInfo
from bot.venues.hyperliquid_market import HyperliquidMarket


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
        case HyperliquidConfig():
            chain = config.chains[book.venue.chain]
            watches = book.margin is not None
            hyperliquid = make_hyperliquid(book.venue, chain, account, watches_margin=watches)
            return hyperliquid, hyperliquid.rules(orders, transfer_bounds(book.margin))


def make_hyperliquid(
    venue: HyperliquidConfig, chain: ChainConfig, account: str, *, watches_margin: bool = False
) -> HyperliquidVenue:
    """The configured perp of Hyperliquid, traded by `account` for itself."""
    asked = info_of(venue, account)
    market = HyperliquidMarket(
        coin=venue.coin,
        index=venue.market,
        lot=venue.lot,
        fee_ratio=venue.fee_ratio,
        impact_per_unit=venue.impact_per_unit,
        depth=venue.depth,
        acts_within=venue.acts_within_blocks,
    )
    return HyperliquidVenue(
        venue.name,
        venue.chain,
        account,
        venue.core_writer,
        market,
        chain.multicall,
        None if asked is None else QuietInfo(asked),
        watches_margin=watches_margin,
    )


def info_of(venue: HyperliquidConfig, account: str) -> Questions | None:
    """What the info API is asked about `account`, None where it isn't configured."""
    if venue.info_url is None:
        return None
    ask = HttpAsk(venue.name, venue.info_url.get_secret_value(), float(venue.info_timeout_s))
    return Questions(venue.name, account, venue.coin, ask)


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
