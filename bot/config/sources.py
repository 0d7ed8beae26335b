"""Where a book's options and holdings are: one of several kinds of source."""

from typing import Literal

from bot.config.fields import Address, Model


class LyraConfig(Model):
    """A Lyra Avalon market's pool as the option vault."""

    kind: Literal["lyra"]
    name: str
    chain: str
    viewer: Address
    market: Address
    option_token: Address
    greek_cache: Address
    liquidity_pool: Address
    pool_hedger: Address
    base_asset: Address
    exchange_adapter: Address


SourceConfig = LyraConfig
