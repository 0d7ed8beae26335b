"""What the GMX adapter makes of a market and of our account in it: prices, margin, funding, limits, and bad input."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, NOW, address
from gmx_models import (
    BTC,
    E12,
    E18,
    E24,
    E30,
    GMX,
    INDEX_FEED,
    KEY,
    MARKET,
    REVERTED,
    RULES,
    SHORT_FEED,
    USDC,
    WETH,
    Chain,
    gmx_venue,
)

from bot.chain.contracts import load_abi
from bot.core.costs import Costs
from bot.core.margin import margin_of
from bot.core.model import VenueState
from bot.errors import DataError
from bot.ports import Call
from bot.venues import gmx_keys as keys
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxState, Side

ZERO = Decimal(0)
RATE = E30 // 10**9
"""A funding or borrowing factor of a billionth per second."""
FEED_DECIMALS = 8


def position(size: str, entry: str = "2000", *, is_long: bool = True, **changes: Any) -> dict[str, Any]:
    """A stored position of `size` (> 0), 1,000 USDC behind it."""
    numbers = {
        "sizeInUsd": int(Decimal(size) * Decimal(entry) * E30),
        "sizeInTokens": int(Decimal(size) * E18),
        "collateralAmount": changes.get("collateral", 1_000 * 10**6),
        "pendingImpactAmount": changes.get("impact", 0),
    }
    token, market = changes.get("token", USDC), changes.get("market", GMX.market)
    return {
        "addresses": {"account": ACCOUNT, "market": market, "collateralToken": token},
        "numbers": numbers,
        "flags": {"isLong": is_long},
    }


def info(
    *, pnl: int = 0, funding: int = 0, borrowing: int = 0, earned: tuple[int, int] = (0, 0), cost: int = 0
) -> Any:
    """How the Reader values a position: raw USD and raw amounts."""
    fees = {
        "funding": {
            "fundingFeeAmount": funding,
            "claimableLongTokenAmount": earned[0],
            "claimableShortTokenAmount": earned[1],
        },
        "borrowing": {"borrowingFeeAmount": borrowing},
        "totalCostAmount": cost,
    }
    return {"fees": fees, "pnlAfterPriceImpactUsd": pnl}


def check(remaining: int, least: int, for_leverage: int) -> Any:
    """A liquidation check's figures, in USD."""
    names = ("remainingCollateralUsd", "minCollateralUsd", "minCollateralUsdForLeverage")
    return [False, "", dict(zip(names, (remaining * E30, least * E30, for_leverage * E30), strict=True))]


def market_info(*, longs_pay: bool = True, rate: int = 0, borrowing: tuple[int, int] = (0, 0)) -> Any:
    """What the Reader says of the market's rates."""
    return {
        "nextFunding": {"longsPayShorts": longs_pay, "fundingFactorPerSecond": rate},
        "borrowingFactorPerSecondForLongs": borrowing[0],
        "borrowingFactorPerSecondForShorts": borrowing[1],
        "isDisabled": False,
    }


def executed_at(price: int) -> Any:
    """The Reader's answer to what an order would be executed at."""
    return {"executionPrice": price * E12}


def asked_price(call: Call) -> Any:
    """A thousandth worse than 2,000 whatever the size."""
    arguments = load_abi("gmx_reader").decode_input(call.data)[1]
    buys = (arguments["sizeDeltaUsd"] > 0) is arguments["isLong"]
    return executed_at(2002 if buys else 1998)


def parameters(**changes: Any) -> dict[bytes, int]:
    """The market's parameters: 30,000 USD of longs and 10,000 of shorts, of a million each."""
    values: dict[str, Any] = {
        "MIN_COLLATERAL_USD": E30,
        "MIN_POSITION_SIZE_USD": E30,
        "ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1": 600_000,
        "ESTIMATED_GAS_FEE_PER_ORACLE_PRICE": 250_000,
        "ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR": E30,
        "INCREASE_ORDER_GAS_LIMIT": 3_000_000,
        "DECREASE_ORDER_GAS_LIMIT": 2_500_000,
        "SINGLE_SWAP_GAS_LIMIT": 100_000,
    }
    found = {keys.base(name): changes.get(name, value) for name, value in values.items()}
    market = GMX.market
    found[keys.of_market("MIN_COLLATERAL_FACTOR", market)] = changes.get("factor", E30 // 100)
    found[keys.of_market("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION", market)] = E30 // 200
    interest = changes.get("interest", (30_000, 10_000))
    for flag, fee, amount in ((True, 4, interest[0]), (False, 6, interest[1])):
        found[keys.of_side("POSITION_FEE_FACTOR", market, flag=flag)] = fee * E30 // 10_000
        found[keys.of_side("MAX_OPEN_INTEREST", market, flag=flag)] = 10**6 * E30
        multiplier = "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER"
        found[keys.of_side(multiplier, market, flag=flag)] = changes.get("multiplier", 0)
        for token in changes.get("backing", (WETH, USDC)):
            share = amount * E30 // len(changes.get("backing", (WETH, USDC)))
            found[keys.open_interest(market, token, is_long=flag)] = share
    for token, amount in changes.get("claimable", {}).items():
        found[keys.claimable_funding(market, token, ACCOUNT)] = amount
    return found


def world(*positions: dict[str, Any], **changes: Any) -> Chain:
    """A market at 2,000 USD with our positions in it."""
    answers: dict[str, Any] = {
        f"latestRoundData@{INDEX_FEED.feed}": [9, 2000 * 10**FEED_DECIMALS, 0, NOW - 60, 9],
        f"latestRoundData@{SHORT_FEED.feed}": [9, 10**FEED_DECIMALS, 0, NOW - 60, 9],
        f"decimals@{INDEX_FEED.feed}": FEED_DECIMALS,
        f"decimals@{SHORT_FEED.feed}": FEED_DECIMALS,
        f"decimals@{WETH}": 18,
        f"decimals@{USDC}": 6,
        "getMarket": {"marketToken": GMX.market, "indexToken": WETH, "longToken": WETH, "shortToken": USDC},
        "getAccountPositions": list(positions),
        "getAccountOrders": [],
        "balanceOf": 5_000 * 10**6,
        "allowance": 7 * 10**6,
        "getMarketInfo": market_info(),
        "getPositionInfo": info(),
        "isPositionLiquidatable": check(990, 1, 50),
        "getExecutionPrice": asked_price,
    }
    named = {key.replace("__", "@"): value for key, value in changes.get("answers", {}).items()}
    return Chain(
        uints=changes.get("uints") or parameters(), bools=changes.get("bools", {}), answers=answers | named
    )


def read(chain: Chain, venue: GmxVenue | None = None) -> GmxState:
    told = chain.drive((venue or gmx_venue()).read())
    assert isinstance(told, GmxState)
    assert len(chain.asked) == 2, "two rounds are all it takes"
    return told


class TestPosition:
    def test_a_long_and_a_short_are_their_tokens_and_never_usd_by_price(self) -> None:
        long, short = read(world(position("3", "1500"))), read(world(position("2", "2500", is_long=False)))
        assert (long.position.size, long.position.entry_notional) == (3, -4_500)
        assert (short.position.size, short.position.entry_notional) == (-2, 5_000)
        assert (long.long, long.short) == (Side(4_500 * E30, 3 * E18), None)
        assert (short.long, short.short) == (None, Side(5_000 * E30, 2 * E18))

    def test_both_sides_net_in_the_size_and_close_one_by_one(self) -> None:
        state = read(world(position("3"), position("2", is_long=False)))
        assert (state.position.size, state.position.entry_notional) == (1, -2_000)
        assert (state.max_sell, state.max_buy) == (3, 2)

    def test_impact_and_what_is_kept_in_the_index_token_are_delta(self) -> None:
        chain = world(
            position("3", impact=-(E18 // 100)),
            uints=parameters(claimable={WETH: E18 // 50, USDC: 10**6}),
            answers={"getPositionInfo": info(earned=(E18 // 25, 5))},
        )
        assert read(chain).margin_delta == Decimal("-0.01") + Decimal("0.02") + Decimal("0.04")

    def test_collateral_in_the_index_token_is_delta_less_what_is_due_in_it(self) -> None:
        in_weth = replace(MARKET, collateral_token=WETH, collateral_decimals=18)
        chain = world(
            position("3", token=WETH, collateral=2 * E18),
            answers={"getPositionInfo": info(funding=E18 // 10, borrowing=E18 // 5)},
        )
        state = read(chain, gmx_venue(in_weth))
        assert state.margin_delta == Decimal("1.7")
        assert state.margin.collateral == 4_000
        assert state.collateral is not None
        assert state.collateral.price == 2_000

    def test_a_synthetic_index_has_no_delta_in_other_tokens(self) -> None:
        synthetic = replace(MARKET, index_token=BTC, index_decimals=8)
        market = {"marketToken": GMX.market, "indexToken": BTC, "longToken": WETH, "shortToken": USDC}
        chain = world(uints=parameters(claimable={WETH: E18}), answers={"getMarket": market})
        state = read(chain, gmx_venue(synthetic))
        assert (state.mark, state.margin_delta) == (2_000, 0)

    def test_positions_of_other_markets_are_not_ours(self) -> None:
        state = read(world(position("3", market=address(77), token=WETH)))
        assert (state.position.size, state.long) == (0, None)


class TestMargin:
    def test_the_account_is_worth_what_the_liquidation_check_says(self) -> None:
        state = read(
            world(
                position("3", "1900"),
                answers={
                    "isPositionLiquidatable": check(1_280, 1, 28),
                    "getPositionInfo": info(
                        pnl=290 * E30, funding=2 * 10**6, borrowing=10**6, cost=6 * 10**6
                    ),
                },
            )
        )
        margin = state.margin
        assert (margin.collateral, margin.account_value, margin.maintenance) == (1_000, 1_280, 28)
        assert margin.mark_value == 1_000 + 300 - 3
        assert margin.exit_value == 1_000 + 290 - 6
        # A hundredth of 5,700 must stay, and open profit can't be taken out.
        assert margin.free_collateral == 1_000 - 57
        assert state.pending_funding == 3
        assert margin_of(state).equity == 1_280

    def test_impact_that_is_fixed_is_part_of_the_value_at_the_mark(self) -> None:
        state = read(world(position("3", impact=-(E18 // 100))))
        assert state.margin.mark_value == 1_000 - 20

    def test_a_flat_account_has_none_and_its_margin_is_readable(self) -> None:
        state = read(world())
        assert state.margin == replace(
            state.margin, collateral=ZERO, account_value=ZERO, mark_value=ZERO, free_collateral=ZERO,
            maintenance=ZERO, exit_value=ZERO,
        )  # fmt: skip
        told = margin_of(state)
        assert (told.size, told.requirement, told.is_liquidatable) == (0, 0, False)
        assert (state.initial_ratio, state.maintenance_ratio) == (Decimal("0.01"), Decimal("0.005"))

    def test_with_both_sides_open_the_nearer_one_counts(self) -> None:
        def of_side(call: Call) -> Any:
            key = load_abi("gmx_reader").decode_input(call.data)[1]["positionKey"]
            is_long = key == keys.position(ACCOUNT, GMX.market, USDC, is_long=True)
            return check(60, 1, 50) if is_long else check(5_000, 1, 40)

        both = (position("3"), position("2", is_long=False))
        margin = read(world(*both, answers={"isPositionLiquidatable": of_side})).margin
        assert margin.maintenance == 90
        assert margin.account_value == 90 + 10

    def test_the_least_collateral_binds_small_positions(self) -> None:
        chain = world(position("0.01"), answers={"isPositionLiquidatable": check(9, 5, 1)})
        assert read(chain).margin.maintenance == 5

    def test_growing_asks_for_more_where_the_open_interest_is_large(self) -> None:
        state = read(world(uints=parameters(multiplier=E30 // 10**6)))
        assert state.initial_ratio == Decimal("0.03"), "30,000 USD at a millionth each"


class TestFunding:
    """Longs have 30,000 USD of open interest and shorts 10,000: who pays a billionth pays, and the other gets three."""

    @pytest.mark.parametrize(
        ("held", "longs_pay", "billionths"),
        [
            (None, True, 1),
            (None, False, -1),
            (True, True, 1 + 2),
            (True, False, -1 + 2),
            (False, True, 3 - 5),
            (False, False, -3 - 5),
        ],
    )
    def test_what_a_long_pays_per_hour(self, held: bool | None, longs_pay: bool, billionths: int) -> None:
        """Longs borrow at two billionths and shorts at five: that is the side's own cost, beside the funding."""
        mine = [] if held is None else [position("1", is_long=held)]
        rates = market_info(longs_pay=longs_pay, rate=RATE, borrowing=(2 * RATE, 5 * RATE))
        state = read(world(*mine, answers={"getMarketInfo": rates}))
        assert state.funding_per_hour == billionths * 3_600 * Decimal("1E-9")

    @pytest.mark.parametrize(("earned", "pays"), [((0, 0), 3), ((E18 // 1000, 0), 1), ((0, 5 * 10**6), -2)])
    def test_what_is_pending_is_positive_where_we_pay(self, earned: tuple[int, int], pays: int) -> None:
        due = info(funding=2 * 10**6, borrowing=10**6, earned=earned)
        assert read(world(position("1"), answers={"getPositionInfo": due})).pending_funding == pays

    def test_claims_are_of_what_is_stored(self) -> None:
        chain = world(uints=parameters(claimable={WETH: E18 // 100, USDC: 3 * 10**6}))
        state = read(chain, gmx_venue(rules=replace(RULES, claim_above_usd=Decimal(10))))
        assert state.collateral is not None
        assert (state.collateral.claimable_usd, state.collateral.claim_above_usd) == (23, 10)


class TestOrders:
    def test_the_room_is_what_the_open_interest_leaves(self) -> None:
        state = read(world())
        assert (state.max_buy, state.max_sell) == (485, 495), "970,000 and 990,000 USD at 2,000"
        flat = read(world(uints=parameters(interest=(999_996, 10_000), MIN_POSITION_SIZE_USD=5 * E30)))
        assert flat.max_buy == 0, "less than a position must have"

    def test_a_market_with_one_token_counts_its_interest_once(self) -> None:
        single = replace(MARKET, index_token=WETH, long_token=USDC, long_feed=SHORT_FEED)
        market = {"marketToken": GMX.market, "indexToken": WETH, "longToken": USDC, "shortToken": USDC}
        chain = world(uints=parameters(backing=(USDC,)), answers={"getMarket": market})
        assert read(chain, gmx_venue(single)).max_buy == 485

    def test_the_curve_is_the_readers_and_reaches_as_far_as_an_order_may(self) -> None:
        state = read(world())
        costs = Costs(state.mark, state.fee_ratio, state.curve, ZERO, state.lot, state.half_spread)
        assert costs.average_price(state.max_buy) == 2002
        assert costs.average_price(-state.max_sell) == 1998
        assert state.fee_ratio == Decimal("0.0006"), "the larger of the two"

    def test_a_close_is_quoted_with_its_position_and_growth_without_a_sign(self) -> None:
        chain = world(position("3", "1500", impact=-5))
        read(chain)
        asked = [
            load_abi("gmx_reader").decode_input(call.data)[1]
            for call in chain.asked[1]
            if isinstance(call, Call) and "getExecutionPrice" in call.name
        ]
        closing = [a for a in asked if a["sizeDeltaUsd"] < 0]
        assert {a["isLong"] for a in asked} == {True}
        assert min(a["sizeDeltaUsd"] for a in closing) == -4_500 * E30, "at the entry, not at the mark"
        assert {(a["positionSizeInUsd"], a["positionSizeInTokens"]) for a in closing} == {
            (4_500 * E30, 3 * E18)
        }
        assert {a["pendingImpactAmount"] for a in closing} == {-5}
        assert max(a["sizeDeltaUsd"] for a in asked) == 970_000 * E30

    def test_sizes_that_the_reader_refuses_are_not_offered(self) -> None:
        def shallow(call: Call) -> Any:
            usd = load_abi("gmx_reader").decode_input(call.data)[1]["sizeDeltaUsd"]
            return REVERTED if usd > 500_000 * E30 else asked_price(call)

        state = read(world(answers={"getExecutionPrice": shallow}))
        assert state.max_buy == 194, "four tenths of 485"

    def test_the_spread_is_around_the_feeds_price(self) -> None:
        state = read(world(), gmx_venue(replace(MARKET, spread=Decimal("0.001"))))
        assert (state.mark, state.half_spread) == (2_000, 2)

    def test_gas_privileges_and_the_wallet(self) -> None:
        state = read(world())
        assert (state.keeper_gas, state.order_gas) == (600_000 + 750_000 + 3_000_000, 950_000)
        assert (state.wallet, state.allowance) == (5_000, 7)
        assert state.privileges is not None
        assert state.privileges.can_trade
        assert state.privileges.can_withdraw

    def test_orders_that_wait_are_told(self) -> None:
        def order(market: str, *, frozen: bool) -> Mapping[str, Any]:
            inner = {
                "addresses": {"market": market},
                "numbers": {"orderType": 2, "sizeDeltaUsd": 10_000 * E30, "updatedAtTime": NOW - 5},
                "flags": {"isLong": True, "isFrozen": frozen},
            }
            return {"orderKey": KEY, "order": inner}

        waiting = [order(GMX.market, frozen=True), order(address(77), frozen=False)]
        (told,) = read(world(answers={"getAccountOrders": waiting})).orders
        assert told.id == "0x" + KEY.hex()
        assert "10000.00 USD long" in told.text
        assert "frozen" in told.text


class TestBadInput:
    def refused(self, said: str, venue: GmxVenue | None = None, **changes: Any) -> None:
        with pytest.raises(DataError, match=said):
            read(world(**changes), venue)

    @pytest.mark.parametrize("name", ["index_token", "long_token", "short_token"])
    def test_a_market_of_other_tokens(self, name: str) -> None:
        configured = replace(MARKET, **{name: address(77)})
        answers = {f"decimals__{address(77)}": 18}
        self.refused(f"gmx-eth: {name} is not the market's", gmx_venue(configured), answers=answers)

    def test_a_market_that_does_not_take_the_collateral(self) -> None:
        other = replace(MARKET, collateral_token=address(77))
        self.refused("gmx-eth: collateral_token is neither", gmx_venue(other))

    @pytest.mark.parametrize(("token", "name"), [(USDC, "collateral_decimals"), (WETH, "index_decimals")])
    def test_other_decimals_than_the_tokens(self, token: str, name: str) -> None:
        self.refused(f"gmx-eth: {name} is not the token's, which is 9", answers={f"decimals__{token}": 9})

    @pytest.mark.parametrize("is_long", [True, False])
    def test_a_position_that_another_token_backs(self, is_long: bool) -> None:
        with pytest.raises(DataError, match=f"gmx-eth: collateral_token: a .* is backed by {WETH}"):
            read(world(position("3", is_long=is_long, token=WETH)))

    @pytest.mark.parametrize(
        ("round_", "said"),
        [
            ([9, 0, 0, NOW, 9], "which is no price"),
            ([9, -5, 0, NOW, 9], "which is no price"),
            ([9, 2000 * 10**8, 0, 0, 9], "is not complete"),
            ([9, 2000 * 10**8, 0, NOW - 3_601, 9], "3601 s old, and its heartbeat is 3600 s"),
        ],
        ids=["zero", "negative", "incomplete", "stale"],
    )
    def test_a_price_that_is_none(self, round_: list[int], said: str) -> None:
        self.refused(
            f"gmx-eth: index_feed: .*{said}", answers={f"latestRoundData__{INDEX_FEED.feed}": round_}
        )

    def test_each_price_has_its_own_heartbeat(self) -> None:
        old = {f"latestRoundData__{SHORT_FEED.feed}": [9, 10**8, 0, NOW - 86_400, 9]}
        assert read(world(answers=old)).mark == 2_000
        older = {f"latestRoundData__{SHORT_FEED.feed}": [9, 10**8, 0, NOW - 86_401, 9]}
        self.refused("short_feed", answers=older)

    @pytest.mark.parametrize("kind", [2, 4])
    @pytest.mark.parametrize("name", ["CREATE_ORDER_FEATURE_DISABLED", "EXECUTE_ORDER_FEATURE_DISABLED"])
    def test_a_stopped_kind_of_order_is_said(self, name: str, kind: int) -> None:
        state: VenueState = read(world(bools={keys.feature(name, GMX.order_handler, kind): True}))
        assert f"no {'increases' if kind == 2 else 'decreases'} for now" in state.paused

    def test_a_disabled_market_is_said(self) -> None:
        state = read(world(answers={"getMarketInfo": market_info() | {"isDisabled": True}}))
        assert state.paused == "gmx-eth: the market is disabled"
        assert read(world()).paused == ""


def test_what_the_reader_is_told_is_in_the_protocols_units() -> None:
    chain = world()
    read(chain)
    (call,) = [c for c in chain.asked[1] if isinstance(c, Call) and "getMarketInfo" in c.name]
    prices = load_abi("gmx_reader").decode_input(call.data)[1]["prices"]
    whole = {"min": 2000 * E12, "max": 2000 * E12}
    assert prices == {
        "indexTokenPrice": whole,
        "longTokenPrice": whole,
        "shortTokenPrice": {"min": E24, "max": E24},
    }


def test_every_address_must_hold_code() -> None:
    named = gmx_venue().contracts()
    assert named["exchange_router"] == GMX.exchange_router
    assert named["short_feed"] == SHORT_FEED.feed
    assert len(named) == 14
    assert ACCOUNT not in named.values()
