"""Option traders: seeded people who buy from the pool, sell a little to it, and change their minds.

Four of five options that they buy are calls, so the pool ends up short options and short delta. Only trades
that the protocol should accept are tried; one that it refuses for a business reason is counted and left.
"""

import math
from collections import Counter
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from bot.localnet.lyra_parameters import HOUR, MAX_UINT, TRADE_LIMITS, wei
from bot.localnet.node import Reverted
from bot.localnet.world import World

OPENS_PER_HOUR: Final = 2.0
# Per position, so that the number of positions levels off at some dozens.
CLOSES_PER_HOUR: Final = 0.05
CALL_SHARE: Final = 0.80
BUY_SIZES: Final = (2.0, 8.0)
SELL_SIZES: Final = (1.0, 3.0)
# Few sell at first. The dearer an option gets above this volatility, the more of them do.
SELLER_SHARE: Final = 0.15
MOST_SELLERS: Final = 0.45
USUAL_VOL: Final = 0.90

YEAR_S: Final = 365 * 24 * HOUR
# The protocol's limits with a margin, for what changes between looking and trading.
_CUTOFF_S: Final = TRADE_LIMITS["tradingCutoff"] + HOUR / 4
_DELTAS: Final = (0.18, 0.82)
# The largest absolute delta of an option that somebody new takes an interest in.
_DEEPEST: Final = 0.60
_BASE_IVS: Final = (0.40, 1.80)
_SKEWS: Final = (0.60, 1.40)
_LOWEST_VOL: Final = 0.60

# A trader's bad luck, not a fault of ours.
BUSINESS_REASONS: Final = frozenset(
    {
        "AdjustmentResultsInMinimumCollateralNotBeingMet",
        "BoardExpired",
        "BoardIsFrozen",
        "InsufficientFreeLiquidityForBaseExchange",
        "LockingMoreQuoteThanIsFree",
        "QuoteBaseExchangeExceedsLimit",
        "SendPremiumNotEnoughCollateral",
        "TotalCostOutsideOfSpecifiedBounds",
        "TradeDeltaOutOfRange",
        "TradingCutoffReached",
        "VolSkewOrBaseIvOutsideOfTradingBounds",
    }
)


class OptionType(IntEnum):
    """The protocol's own numbers, from the trader's side."""

    LONG_CALL = 0
    LONG_PUT = 1
    SHORT_CALL_BASE = 2
    SHORT_CALL_QUOTE = 3
    SHORT_PUT_QUOTE = 4


_CALLS: Final = frozenset({OptionType.LONG_CALL, OptionType.SHORT_CALL_BASE, OptionType.SHORT_CALL_QUOTE})


class PositionState(IntEnum):
    """The protocol's own numbers."""

    EMPTY = 0
    ACTIVE = 1
    CLOSED = 2
    LIQUIDATED = 3
    SETTLED = 4
    MERGED = 5


@dataclass(frozen=True)
class _Strike:
    """A strike as a trader sees it: USD, seconds, volatility per year."""

    id: int
    price: float
    time_left_s: int
    base_iv: float
    skew: float

    def call_delta(self, spot: float) -> float:
        deviation = self.base_iv * self.skew * math.sqrt(max(self.time_left_s, 1) / YEAR_S)
        return 0.5 * math.erfc(-(math.log(spot / self.price) / deviation + deviation / 2) / math.sqrt(2))

    def is_tradable(self, spot: float) -> bool:
        return (
            self.time_left_s > _CUTOFF_S
            and _DELTAS[0] < self.call_delta(spot) < _DELTAS[1]
            and _BASE_IVS[0] < self.base_iv < _BASE_IVS[1]
            and _SKEWS[0] < self.skew < _SKEWS[1]
            and self.base_iv * self.skew > _LOWEST_VOL
        )

    def is_wanted(self, kind: OptionType, spot: float) -> bool:
        """Whether a trader looks at it: options deep in the money tie up more money than they need."""
        call_delta = self.call_delta(spot)
        depth = call_delta if kind in _CALLS else 1 - call_delta
        return depth <= _DEEPEST


class Traders:
    """The option traders of a world. What they do follows from the seed and the chain alone."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._rng = np.random.default_rng((seed, 1))
        self._seen_s = world.node.timestamp()
        self._held = len(self._positions())
        self.skipped: Counter[str] = Counter()
        for field in ("pricer", "greek_cache", "liquidity_pool", "option_token", "short_collateral"):
            world.lyra_contract(field)  # so that the node can name the errors that come from inside

    def trade(self) -> int:
        """Does what falls due since the last call, closing first. Returns how many trades went through."""
        now_s = self._world.node.timestamp()
        hours = max(now_s - self._seen_s, 0) / HOUR
        self._seen_s = now_s
        closes = int(self._rng.poisson(CLOSES_PER_HOUR * hours * self._held))
        opens = int(self._rng.poisson(OPENS_PER_HOUR * hours))
        # On most calls nobody does anything, and then nothing need be read.
        if not closes and not opens:
            return 0
        strikes = self._strikes(now_s)
        done = self._close(strikes, closes) + self._open(strikes, opens)
        self._held = len(self._positions())
        return done

    def open(self, count: int) -> int:
        """Tries so many new trades at once. Returns how many went through."""
        done = self._open(self._strikes(self._world.node.timestamp()), count)
        self._held = len(self._positions())
        return done

    def _open(self, strikes: dict[int, _Strike], count: int) -> int:
        spot, traders = self._spot(), self._world.accounts.traders
        tradable = [strike for strike in strikes.values() if strike.is_tradable(spot)]
        done = 0
        for _ in range(count):
            if not tradable:
                self.skipped["nothing to trade"] += 1
                continue
            kind, size = self._draw_order(tradable[int(self._rng.integers(len(tradable)))])
            wanted = [strike for strike in tradable if strike.is_wanted(kind, spot)] or tradable
            strike = wanted[int(self._rng.integers(len(wanted)))]
            trader = traders[int(self._rng.integers(len(traders)))]
            collateral = {OptionType.SHORT_CALL_BASE: 1.0, OptionType.SHORT_PUT_QUOTE: strike.price}
            order = _order(strike.id, 0, kind, wei(str(size)), wei(str(size * collateral.get(kind, 0.0))))
            done += self._try("openPosition", order, trader)
        return done

    def _close(self, strikes: dict[int, _Strike], count: int) -> int:
        if not count:
            return 0
        spot = self._spot()
        held = [
            (trader, position)
            for trader, position in self._positions()
            if position["strikeId"] in strikes and strikes[position["strikeId"]].is_tradable(spot)
        ]
        picks = self._rng.permutation(len(held))[:count]
        if len(picks) < count:
            self.skipped["nothing to close"] += count - len(picks)
        done = 0
        for trader, position in (held[pick] for pick in picks):
            kind = OptionType(position["optionType"])
            order = _order(position["strikeId"], position["positionId"], kind, position["amount"], 0)
            done += self._try("closePosition", order, trader)
        return done

    def _draw_order(self, strike: _Strike) -> tuple[OptionType, float]:
        dear = max(strike.base_iv * strike.skew - USUAL_VOL, 0.0)
        sells = self._rng.random() < min(SELLER_SHARE + dear, MOST_SELLERS)
        calls = self._rng.random() < (0.5 if sells else CALL_SHARE)
        low, high = SELL_SIZES if sells else BUY_SIZES
        size = round(2 * float(self._rng.uniform(low, high))) / 2
        if sells:
            return (OptionType.SHORT_CALL_BASE if calls else OptionType.SHORT_PUT_QUOTE), size
        return (OptionType.LONG_CALL if calls else OptionType.LONG_PUT), size

    def _try(self, function: str, order: dict[str, int], trader: str) -> bool:
        try:
            self._world.lyra_contract("option_market").send(function, order, sender=trader)
        except Reverted as error:
            if error.name not in BUSINESS_REASONS:
                raise
            self.skipped[error.name] += 1
            return False
        return True

    def _spot(self) -> float:
        adapter = self._world.lyra_contract("synthetix_adapter")
        return float(adapter.read("getSpotPriceForMarket", self._world.lyra.option_market)) / 1e18

    def _positions(self) -> list[tuple[str, dict[str, Any]]]:
        """What each trader holds."""
        tokens = self._world.lyra_contract("option_token")
        return [
            (trader, position)
            for trader in self._world.accounts.traders
            for position in tokens.read("getOwnerPositions", trader)
            if position["state"] == PositionState.ACTIVE
        ]

    def _strikes(self, now_s: int) -> dict[int, _Strike]:
        market = self._world.lyra_contract("option_market")
        found = {}
        for board_id in market.read("getLiveBoards"):
            board, strikes, _, _ = market.read("getBoardAndStrikeDetails", board_id)
            for strike in strikes:
                found[strike["id"]] = _Strike(
                    strike["id"],
                    strike["strikePrice"] / 1e18,
                    board["expiry"] - now_s,
                    board["iv"] / 1e18,
                    strike["skew"] / 1e18,
                )
        return found


def _order(
    strike_id: int, position_id: int, kind: OptionType, amount: int, collateral: int
) -> dict[str, int]:
    return {
        "strikeId": strike_id,
        "positionId": position_id,
        "iterations": 1,
        "optionType": int(kind),
        "amount": amount,
        "setCollateralTo": collateral,
        "minTotalCost": 0,
        "maxTotalCost": MAX_UINT,
    }
