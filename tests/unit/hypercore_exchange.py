"""The exchange behind the stand-in of HyperCore with one trader, by hand."""

import copy
from decimal import Decimal
from typing import Any

from bot.localnet.hypercore.actions import Action, LimitOrder, Tif
from bot.localnet.hypercore.engine import Engine
from bot.localnet.hypercore.model import BTC, ETH, Account, Fate, Level, Market, Sent

TRADER = "0x" + "aa" * 20
OTHER = "0x" + "bb" * 20
STRANGER = "0x" + "cc" * 20
START_S = 1_735_689_600
"""A whole hour."""
LEVELS = tuple(Level(Decimal(o), Decimal(s)) for o, s in (("0.001", "10"), ("0.01", "20")))
MARKET = Market(
    index=1, coin="ETH", sz_decimals=4, max_leverage=25, margin_table=55, levels=LEVELS, refill_s=60
)
"""Asks at 3003 and 3030, bids at 2997 and 2970 while the mark is 3000."""


class Exchange(Engine):
    """`trader` has 100,000 USD of margin and 50,000 in spot."""

    def __init__(
        self, market: Market = MARKET, price: str = "3000", perp: str = "100000", **how: Any
    ) -> None:
        super().__init__(START_S, {BTC: Decimal(60_000), market: Decimal(price)})
        self.trader = self.register(TRADER, Decimal(perp), Decimal(50_000), **how)

    def act(self, action: Action, who: str = TRADER, **sent: Any) -> Fate:
        """Does an action at once."""
        return self.apply(Sent(who, action, **sent))

    def order(self, size: str, px: str, tif: Tif = Tif.IOC, **how: Any) -> Fate:
        """An order for a signed size."""
        who = how.pop("who", TRADER)
        signed = Decimal(size)
        asset, reduce_only, cloid = how.pop("asset", 1), how.pop("reduce_only", False), how.pop("cloid", 0)
        return self.act(
            LimitOrder(asset, signed > 0, Decimal(px), abs(signed), reduce_only, tif, cloid), who, **how
        )

    def held(self, account: Account | None = None) -> Decimal:
        """The ETH position."""
        found = (account or self.trader).positions.get(1)
        return Decimal(0) if found is None else found.size

    def everything(self) -> Any:
        """Cash, positions, books and resting orders, to be compared with later."""
        state = self.state
        return copy.deepcopy((state.accounts, state.maker, state.books, state.resting, state.deposited_usd))

    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.advance(self.state.now_s + seconds)


__all__ = ["ETH", "LEVELS", "MARKET", "OTHER", "START_S", "STRANGER", "TRADER", "Exchange"]
