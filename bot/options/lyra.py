"""Lyra Avalon: the LiquidityPool of one market as an option vault.

The pool is the counterparty of every option token, so its position in an option is minus what the traders hold.
Its whole delta is that of these options plus the base asset it holds plus its own hedger's position. All on-chain
amounts have 18 decimals.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from bot.chain.contracts import contract
from bot.core.model import Holding, OptionPosition, SourceState
from bot.core.units import from_raw
from bot.errors import DataError
from bot.ports import Call, Reader, Reverted
from bot.pricing.surface import smile_slopes

ACTIVE = 1
OPEN_INTEREST = (
    "longCallOpenInterest",
    "longPutOpenInterest",
    "shortCallBaseOpenInterest",
    "shortCallQuoteOpenInterest",
    "shortPutOpenInterest",
)
"""Field of a strike's view for each option type of the protocol, in the protocol's order (0 = LONG_CALL …)."""

IS_CALL = (True, False, True, True, False)
TRADER_IS_LONG = (True, True, False, False, False)


@dataclass(frozen=True, slots=True)
class LyraAddresses:
    """The market's contracts."""

    viewer: str
    market: str
    option_token: str
    greek_cache: str
    liquidity_pool: str
    pool_hedger: str
    base_asset: str
    exchange_adapter: str


class LyraSource:
    """Reads one Lyra market's pool in two rounds."""

    def __init__(self, name: str, chain: str, addresses: LyraAddresses) -> None:
        self.name = name
        self.chain = chain
        self._at = addresses
        self._viewer = contract("lyra_viewer", addresses.viewer)
        self._tokens = contract("lyra_option_token", addresses.option_token)
        self._cache = contract("lyra_greek_cache", addresses.greek_cache)
        self._pool = contract("lyra_liquidity_pool", addresses.liquidity_pool)
        self._hedger = contract("lyra_pool_hedger", addresses.pool_hedger)
        self._base = contract("erc20", addresses.base_asset)
        self._adapter = contract("lyra_exchange_adapter", addresses.exchange_adapter)
        self._ended: set[int] = set()

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        return {field: getattr(self._at, field) for field in LyraAddresses.__slots__}

    def read(self) -> Reader[SourceState]:
        """The pool's state. DataError where positions and open interest disagree, or an address is another market's.

        Round one asks the viewer and the totals, round two the positions and the vols.
        """
        view, next_id, cache, base, hedged, nav, decimals, watched = yield [
            self._viewer.call("getMarket", self._at.market),
            self._tokens.call("nextId"),
            self._cache.call("getGlobalCache"),
            self._base.call("balanceOf", self._at.liquidity_pool),
            self._hedger.call("getCurrentHedgedNetDelta"),
            self._pool.call("getTotalPoolValueQuote", may_fail=True),
            self._base.call("decimals"),
            self._spot_call(may_fail=True),
        ]
        self._check_answers(nav, watched, paused=view["isPaused"])
        if watched != view["exchangeParams"]["spotPrice"]:
            raise DataError(
                f"{self.name}: exchange_adapter says {from_raw(watched, 18)}, the market's spot is "
                f"{from_raw(view['exchangeParams']['spotPrice'], 18)}: it is another market's"
            )
        self._check_addresses(view["marketAddresses"])
        ids = [i for i in range(1, next_id) if i not in self._ended]
        boards = view["liveBoards"]
        tokens, vols = yield from self._positions_and_vols(
            ids, boards, view["marketParameters"]["greekCacheParams"]
        )
        active = [t for t in tokens if t["state"] == ACTIVE]
        live = {strike["strikeId"] for board in boards for strike in board["strikes"]}
        self._check_open_interest(active, boards)
        self._ended |= {t["positionId"] for t in tokens if t["state"] != ACTIVE}
        greeks = cache["netGreeks"]
        spot = from_raw(watched, 18)
        return SourceState(
            name=self.name,
            positions=tuple(self._net_positions(boards, vols, float(spot))),
            holdings=(
                Holding(self.name, "base held by the pool", from_raw(base, decimals)),
                Holding(self.name, "the pool's own hedger", from_raw(hedged, 18), is_spot=False),
            ),
            spot=spot,
            rate=float(from_raw(view["marketParameters"]["greekCacheParams"]["rateAndCarry"], 18)),
            nav_usd=from_raw(nav, 18),
            cached_delta=-float(from_raw(greeks["netDelta"], 18)),
            cached_at=cache["minUpdatedAt"],
            cached_spot=from_raw(cache["minUpdatedAtPrice"], 18),
            settled=sum(1 for t in active if t["strikeId"] not in live),
            paused=f"{self.name}: the option market is paused" if view["isPaused"] else "",
        )

    def watch(self) -> Reader[Decimal | None]:
        """The spot alone."""
        (spot,) = yield [self._spot_call()]
        return from_raw(spot, 18)

    def _spot_call(self, *, may_fail: bool = False) -> Call:
        return self._adapter.call("getSpotPriceForMarket", self._at.market, may_fail=may_fail)

    def _check_answers(self, nav: Any, spot: Any, *, paused: bool) -> None:
        """DataError where the pool has no value or no spot: a paused market's oracle refuses both."""
        for name, answer in (("getTotalPoolValueQuote", nav), ("getSpotPriceForMarket", spot)):
            if isinstance(answer, Reverted):
                why = "the option market is paused" if paused else answer.reason
                raise DataError(f"{self.name}: {name} reverted: {why}")

    def _positions_and_vols(
        self, ids: list[int], boards: list[dict[str, Any]], parameters: Mapping[str, Any]
    ) -> Generator[list[Call], list[Any], tuple[list[dict[str, Any]], dict[int, float]]]:
        """The option tokens, and each live strike's vol as the pool's own NAV takes it.

        That vol is the time-weighted geometric average of the board's base vol × the strike's skew, over the two
        periods that the greek cache is set to.
        """
        strikes = [(board["boardId"], strike["strikeId"]) for board in boards for strike in board["strikes"]]
        answers = yield [
            self._tokens.call("getOptionPositions", ids),
            *(
                self._cache.call("getIvGWAV", board["boardId"], parameters["optionValueIvGWAVPeriod"])
                for board in boards
            ),
            *(
                self._cache.call("getSkewGWAV", strike, parameters["optionValueSkewGWAVPeriod"])
                for _, strike in strikes
            ),
        ]
        tokens = answers[0]
        ivs = {board["boardId"]: iv for board, iv in zip(boards, answers[1:], strict=False)}
        skews = answers[1 + len(boards) :]
        vols = {
            strike: float(from_raw(ivs[board], 18) * from_raw(skew, 18))
            for (board, strike), skew in zip(strikes, skews, strict=True)
        }
        return tokens, vols

    def _net_positions(
        self, boards: Iterable[dict[str, Any]], vols: Mapping[int, float], spot: float
    ) -> Generator[OptionPosition, None, None]:
        for board in boards:
            strikes = [float(from_raw(strike["strikePrice"], 18)) for strike in board["strikes"]]
            smile = [vols[strike["strikeId"]] for strike in board["strikes"]]
            slopes = dict(
                zip((s["strikeId"] for s in board["strikes"]), smile_slopes(strikes, smile), strict=True)
            )
            ascending = np.argsort(strikes)
            money_vol = float(np.interp(spot, np.array(strikes)[ascending], np.array(smile)[ascending]))
            for strike in board["strikes"]:
                for is_call in (True, False):
                    held = sum(
                        (1 if TRADER_IS_LONG[kind] else -1) * strike[field]
                        for kind, field in enumerate(OPEN_INTEREST)
                        if IS_CALL[kind] is is_call
                    )
                    if held == 0:
                        continue
                    price = from_raw(strike["strikePrice"], 18)
                    yield OptionPosition(
                        source=self.name,
                        instrument=self._instrument(board["expiry"], price, is_call),
                        is_call=is_call,
                        strike=price,
                        expiry=board["expiry"],
                        size=from_raw(-held, 18),
                        vol=vols[strike["strikeId"]],
                        slope=float(slopes[strike["strikeId"]]),
                        money_vol=money_vol,
                    )

    @staticmethod
    def _instrument(expiry: int, strike: Decimal, is_call: bool) -> str:
        when = datetime.fromtimestamp(expiry, UTC)
        return f"{when:%d%b%y}-{strike.normalize():f}-{'C' if is_call else 'P'}".upper()

    def _check_addresses(self, theirs: Mapping[str, str]) -> None:
        expected = {
            "option_token": theirs["optionToken"],
            "greek_cache": theirs["greekCache"],
            "liquidity_pool": theirs["liquidityPool"],
            "pool_hedger": theirs["poolHedger"],
            "base_asset": theirs["baseAsset"],
        }
        for field, address in expected.items():
            if getattr(self._at, field).lower() != address.lower():
                raise DataError(f"{self.name}: {field} is not the market's, which is {address}")

    def _check_open_interest(
        self, active: Iterable[dict[str, Any]], boards: Iterable[dict[str, Any]]
    ) -> None:
        """Positions are read one by one and open interest by strike: a missed or invented position shows here."""
        held: dict[tuple[int, int], int] = defaultdict(int)
        for token in active:
            held[token["strikeId"], token["optionType"]] += token["amount"]
        for board in boards:
            for strike in board["strikes"]:
                for kind, field in enumerate(OPEN_INTEREST):
                    ours, theirs = held[strike["strikeId"], kind], strike[field]
                    if ours != theirs:
                        self._ended.clear()
                        raise DataError(
                            f"{self.name}: strike {strike['strikeId']} has {field} {from_raw(theirs, 18)}, "
                            f"its positions sum to {from_raw(ours, 18)}"
                        )
