"""A GMX market and our account in it, read in two rounds: what is stored, and what the Reader makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.model import CostPoint, OrderCollateral, PerpPosition, Privileges
from bot.core.units import from_raw, to_raw
from bot.errors import DataError
from bot.ports import Call, Reader, Reverted
from bot.venues import gmx_keys as keys
from bot.venues.gmx_fees import GasTerms, keeper_gas
from bot.venues.gmx_market import (
    MARKET_DECREASE,
    MARKET_INCREASE,
    ZERO_ADDRESS,
    GmxAddresses,
    GmxContracts,
    GmxMarket,
    GmxRules,
    GmxState,
    PriceSource,
    Side,
    same,
    usd,
)
from bot.venues.gmx_prices import Price, Prices, feed_calls, price_of
from bot.venues.gmx_state import (
    Held,
    Terms,
    cost_point,
    funding_per_hour,
    largest,
    margin_delta,
    margin_of,
    ours,
    pending_funding,
    quoted_sizes,
    side_of,
    waiting_orders,
)

ORDER_GAS = 950_000
CLIP_INTERVAL_S = 2
MOST_ENTRIES = 100
FEATURES = ("CREATE_ORDER_FEATURE_DISABLED", "EXECUTE_ORDER_FEATURE_DISABLED")
GAS_TERMS = (
    "ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1",
    "ESTIMATED_GAS_FEE_PER_ORACLE_PRICE",
    "ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR",
    "INCREASE_ORDER_GAS_LIMIT",
    "DECREASE_ORDER_GAS_LIMIT",
    "SINGLE_SWAP_GAS_LIMIT",
)
Answers = dict[Any, Any]


@dataclass(frozen=True)
class GmxReading:
    """What is read of one account in one market. `lot` in units, `use` how the venue is used."""

    name: str
    account: str
    at: GmxAddresses
    market: GmxMarket
    contracts: GmxContracts
    lot: Decimal
    use: GmxRules

    def read(self) -> Reader[GmxState]:
        """The venue's state. Round one asks prices, positions and parameters, round two what the Reader makes of it."""
        asked = self._first_round()
        first: Answers = dict(zip(asked, (yield list(asked.values())), strict=True))
        self._check(first)
        prices, terms = self._prices(first), self._terms(first)
        long, short = ours(self.name, first["positions"], self.at.market, self.market)
        sides = side_of(long), side_of(short)
        mark = self.market.price_usd(prices.mid)
        most = {
            buys: largest(
                sides[1] if buys else sides[0], terms.room(is_long=buys), mark, self.market, self.lot
            )
            for buys in (True, False)
        }
        sizes = [
            size if buys else -size for buys in (True, False) for size in quoted_sizes(most[buys], self.lot)
        ]
        second = self._second_round((long, short), prices, sizes)
        answers: Answers = dict(zip(second, (yield list(second.values())), strict=True))
        held = [
            Held(
                is_long=is_long,
                numbers=stored["numbers"],
                info=answers["info", is_long],
                check=answers["check", is_long][2],
            )
            for is_long, stored in ((True, long), (False, short))
            if stored is not None
        ]
        return self._state(first, answers, held, prices, terms, sides, most, sizes)

    def _first_round(self) -> dict[Any, Call]:
        store, market, tokens = self.at.data_store, self.at.market, self.market
        reader, token = self.contracts.reader, self.contracts.collateral
        asked: dict[Any, Call] = dict(feed_calls((tokens.index_feed, tokens.long_feed, tokens.short_feed)))
        asked |= {
            "now": self.contracts.clock.call("getCurrentBlockTimestamp"),
            "market": reader.call("getMarket", store, market),
            "positions": reader.call("getAccountPositions", store, self.account, 0, MOST_ENTRIES),
            "orders": reader.call("getAccountOrders", store, self.account, 0, MOST_ENTRIES),
            "wallet": token.call("balanceOf", self.account),
            "allowance": token.call("allowance", self.account, self.at.router),
        }
        for backing in tokens.backing:
            asked["decimals", backing] = contract("erc20", backing).call("decimals")
        for name in ("MIN_COLLATERAL_USD", "MIN_POSITION_SIZE_USD", *GAS_TERMS):
            asked[name] = self._uint(name)
        for name in ("MIN_COLLATERAL_FACTOR", "MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION"):
            asked[name] = self._uint(name, keys.of_market(name, market))
        for flag in (True, False):
            for name in (
                "POSITION_FEE_FACTOR",
                "MAX_OPEN_INTEREST",
                "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER",
            ):
                asked[name, flag] = self._uint(name, keys.of_side(name, market, flag=flag))
            for backing in tokens.backing:
                key = keys.open_interest(market, backing, is_long=flag)
                asked["interest", flag, backing] = self._uint("OPEN_INTEREST", key)
        for backing in tokens.backing:
            key = keys.claimable_funding(market, backing, self.account)
            asked["claimable", backing] = self._uint("CLAIMABLE_FUNDING_AMOUNT", key)
        for name in FEATURES:
            for kind in (MARKET_INCREASE, MARKET_DECREASE):
                key = keys.feature(name, self.at.order_handler, kind)
                asked[name, kind] = self.contracts.store.call("getBool", key)
        return asked

    def _second_round(
        self,
        stored: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None],
        prices: Prices,
        sizes: Sequence[Decimal],
    ) -> dict[Any, Call]:
        store, market, reader = self.at.data_store, self.at.market, self.contracts.reader
        tokens = self.market
        props = (market, tokens.index_token, tokens.long_token, tokens.short_token)
        asked: dict[Any, Call] = {
            "market": reader.call("getMarketInfo", store, prices.arguments, market),
        }
        long, short = stored
        for is_long in (is_long for is_long, held in ((True, long), (False, short)) if held is not None):
            key = keys.position(self.account, market, tokens.collateral_token, is_long=is_long)
            of_it = (store, self.at.referral_storage, key)
            asked["info", is_long] = reader.call(
                "getPositionInfo", *of_it, prices.arguments, 0, ZERO_ADDRESS, True
            )
            asked["check", is_long] = reader.call(
                "isPositionLiquidatable", *of_it, props, prices.arguments, True, True
            )
        for size in sizes:
            buys = size > 0
            closing, growing = (short, long) if buys else (long, short)
            raw = to_raw(abs(size), tokens.index_decimals)
            at: Mapping[str, Any] | None
            if closing is not None:
                side = Side(closing["numbers"]["sizeInUsd"], closing["numbers"]["sizeInTokens"])
                delta, at, is_long = -side.usd_of(raw, is_long=not buys), closing, not buys
            else:
                delta, at, is_long = raw * prices.mid, growing, buys
            numbers = {} if at is None else at["numbers"]
            asked["price", size] = reader.call(
                "getExecutionPrice",
                store,
                market,
                prices.arguments,
                numbers.get("sizeInUsd", 0),
                numbers.get("sizeInTokens", 0),
                delta,
                numbers.get("pendingImpactAmount", 0),
                is_long,
                may_fail=True,
            )
        return asked

    def _check(self, first: Answers) -> None:
        """DataError where the configuration names another token than the market has, or other decimals."""
        for field in ("index_token", "long_token", "short_token"):
            theirs = first["market"]["indexToken" if field == "index_token" else _camel(field)]
            if not same(theirs, getattr(self.market, field)):
                raise DataError(f"{self.name}: {field} is not the market's, which is {theirs}")
        if not any(same(self.market.collateral_token, token) for token in self.market.backing):
            raise DataError(f"{self.name}: collateral_token is neither the market's long nor its short token")
        for token in self.market.backing:
            decimals = first["decimals", token]
            for field, configured, wanted in (
                ("collateral_decimals", self.market.collateral_token, self.market.collateral_decimals),
                ("index_decimals", self.market.index_token, self.market.index_decimals),
            ):
                if same(token, configured) and decimals != wanted:
                    raise DataError(f"{self.name}: {field} is not the token's, which is {decimals}")

    def _prices(self, first: Answers) -> Prices:
        market, now = self.market, first["now"]

        def price(what: str, source: PriceSource, decimals: int, spread: Decimal) -> Price:
            return price_of(f"{self.name}: {what}", source, first, decimals, now, spread)

        scales = [first["decimals", token] for token in (market.long_token, market.short_token)]
        long_spread = market.spread if market.is_index(market.long_token) else Decimal(0)
        return Prices(
            index=price("index_feed", market.index_feed, market.index_decimals, market.spread),
            long=price("long_feed", market.long_feed, scales[0], long_spread),
            short=price("short_feed", market.short_feed, scales[1], Decimal(0)),
        )

    def _terms(self, first: Answers) -> Terms:
        interest = {
            flag: sum(first["interest", flag, token] for token in self.market.backing)
            for flag in (True, False)
        }
        multiplier = "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER"
        return Terms(
            min_collateral=usd(first["MIN_COLLATERAL_USD"]),
            min_position=usd(first["MIN_POSITION_SIZE_USD"]),
            min_factor=usd(first["MIN_COLLATERAL_FACTOR"]),
            liquidation_factor=usd(first["MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION"]),
            fee_ratio=usd(max(first["POSITION_FEE_FACTOR", flag] for flag in (True, False))),
            interest_factors=(usd(first[multiplier, True]), usd(first[multiplier, False])),
            interest=(interest[True], interest[False]),
            most_interest=(first["MAX_OPEN_INTEREST", True], first["MAX_OPEN_INTEREST", False]),
            gas=GasTerms(*(first[name] for name in GAS_TERMS)),
        )

    def _state(
        self,
        first: Answers,
        second: Answers,
        held: Sequence[Held],
        prices: Prices,
        terms: Terms,
        sides: tuple[Side | None, Side | None],
        most: Mapping[bool, Decimal],
        sizes: Sequence[Decimal],
    ) -> GmxState:
        market, (long, short) = self.market, sides
        tokens = (long.tokens if long else 0) - (short.tokens if short else 0)
        entry = (short.usd if short else 0) - (long.usd if long else 0)
        size = from_raw(tokens, market.index_decimals)
        claimable = {token.lower(): first["claimable", token] for token in market.backing}
        collateral_usd = usd(prices.least(market.collateral_token, market) * 10**market.collateral_decimals)
        answers = [(size, second["price", size]) for size in sizes]
        points = [
            cost_point(size, answer, market) for size, answer in answers if not isinstance(answer, Reverted)
        ]
        curve: tuple[CostPoint, ...] = tuple(point for point in points if point is not None)
        reach = {
            buys: max((abs(p.size) for p in curve if (p.size > 0) is buys), default=Decimal(0))
            for buys in (True, False)
        }
        mark = market.price_usd(prices.mid)
        return GmxState(
            name=self.name,
            account=self.account,
            position=PerpPosition(self.at.market, size, usd(entry)),
            margin=margin_of(held, terms, market, prices),
            mark=mark,
            index=mark,
            fee_ratio=terms.fee_ratio,
            funding_per_hour=funding_per_hour(second["market"], terms, size),
            pending_funding=pending_funding(held, market, prices),
            curve=curve,
            max_buy=min(most[True], reach[True]),
            max_sell=min(most[False], reach[False]),
            lot=self.lot,
            clip_interval_s=CLIP_INTERVAL_S,
            order_gas=ORDER_GAS,
            initial_ratio=terms.initial_ratio,
            maintenance_ratio=terms.liquidation_factor,
            half_spread=market.price_usd(prices.index[1] - prices.index[0]) / 2,
            keeper_gas=keeper_gas(terms.gas),
            privileges=Privileges(self.account, self.account, can_trade=True, can_withdraw=True),
            paused=self._paused(first, second),
            wallet=from_raw(first["wallet"], market.collateral_decimals),
            allowance=from_raw(first["allowance"], market.collateral_decimals),
            margin_delta=margin_delta(held, claimable, market),
            orders=waiting_orders(first["orders"], self.at.market),
            collateral=OrderCollateral(
                leverage=self.use.leverage,
                price=collateral_usd,
                returns=self.use.returns,
                claimable_usd=self._claimable_usd(claimable, prices),
                claim_above_usd=self.use.claim_above_usd,
                most=self.use.most,
            ),
            long=long,
            short=short,
            min_position_usd=terms.min_position,
            min_collateral_usd=terms.min_collateral,
        )

    def _claimable_usd(self, claimable: Mapping[str, int], prices: Prices) -> Decimal:
        market = self.market
        return sum((usd(raw * prices.least(token, market)) for token, raw in claimable.items()), Decimal(0))

    def _paused(self, first: Answers, second: Answers) -> str:
        """Why nothing can be traded, "" where it can."""
        if second["market"]["isDisabled"]:
            return f"{self.name}: the market is disabled"
        for name in FEATURES:
            for kind, what in ((MARKET_INCREASE, "increases"), (MARKET_DECREASE, "decreases")):
                if first[name, kind]:
                    doing = "takes" if name.startswith("CREATE") else "executes"
                    return f"{self.name}: the protocol {doing} no {what} for now"
        return ""

    def _uint(self, name: str, key: bytes | None = None) -> Call:
        return self.contracts.store.call("getUint", keys.base(name) if key is None else key)


def _camel(field: str) -> str:
    """A configuration field as the protocol's structs write it."""
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)
