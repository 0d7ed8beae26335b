"""Where a book's options and holdings are: one of several kinds of source."""

from typing import Literal

from bot.config.fields import Address, Model


class LyraConfig(Model):
    """A Lyra Avalon market's pool as the option vault."""

    kind: Literal["lyra"]
    """A Lyra Avalon market."""
    name: str
    """What messages and the ledger call this source."""
    chain: str
    """The chain that it is on: a NAME of `[chains.NAME]`."""
    viewer: Address
    """The OptionMarketViewer that the market is registered with."""
    market: Address
    """The OptionMarket."""
    option_token: Address
    """The market's OptionToken."""
    greek_cache: Address
    """The market's OptionGreekCache."""
    liquidity_pool: Address
    """The market's LiquidityPool: the vault whose delta is hedged."""
    pool_hedger: Address
    """The pool's own hedger; what it holds is part of the pool's delta."""
    base_asset: Address
    """The token of the underlying that the pool holds."""
    exchange_adapter: Address
    """The contract that says the market's spot."""


SourceConfig = LyraConfig
