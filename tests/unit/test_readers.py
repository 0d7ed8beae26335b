"""The readers, driven with plain lists, and the driver, with a node that answers from a list."""

import math
from collections.abc import Generator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, CHAIN, CURIE, MULTICALL, NOW, FakeClient, address, block, feed
from eth_abi.abi import encode

from bot.chain.contracts import ERROR_STRING, contract
from bot.chain.reads import drive, read_round
from bot.core.model import SourceState, VenueState
from bot.errors import DataError
from bot.options.lyra import OPEN_INTEREST, LyraAddresses, LyraSource
from bot.ports import Call, Reverted
from bot.venues.curie import CurieVenue

E18 = 10**18
LYRA = LyraAddresses(
    viewer=address(21),
    market=address(22),
    option_token=address(23),
    greek_cache=address(24),
    liquidity_pool=address(25),
    pool_hedger=address(26),
    base_asset=address(27),
    exchange_adapter=address(28),
)
LONG_CALL, LONG_PUT, SHORT_CALL_BASE, SHORT_CALL_QUOTE, SHORT_PUT = range(5)


def token(
    number: int, strike: int, kind: int, amount: Decimal | int = 1, *, state: int = 1
) -> dict[str, Any]:
    """An option token as the protocol shows it."""
    raw = int(amount * E18)
    return {"positionId": number, "strikeId": strike, "optionType": kind, "amount": raw, "state": state}


class Pool:
    """A Lyra market by its option tokens; open interest follows from them unless a test forges it."""

    def __init__(self, *tokens: dict[str, Any], strikes: dict[int, int] | None = None) -> None:
        self.tokens = {t["positionId"]: t for t in tokens}
        self.strikes = {7: 2000, 8: 2200} if strikes is None else strikes
        self.theirs = {
            "optionToken": LYRA.option_token,
            "greekCache": LYRA.greek_cache,
            "liquidityPool": LYRA.liquidity_pool,
            "poolHedger": LYRA.pool_hedger,
            "baseAsset": LYRA.base_asset,
        }
        self.forged: dict[tuple[int, str], int] = {}
        self.paused = False
        self.base = 0
        self.hedged = 0
        self.expiry = NOW + 86_400
        self.watched = 2000 * E18
        self.skews: dict[int, int] = {}

    def interest(self, strike: int, kind: int) -> int:
        field = OPEN_INTEREST[kind]
        held = (t for t in self.tokens.values() if t["state"] == 1)
        summed = sum(t["amount"] for t in held if (t["strikeId"], t["optionType"]) == (strike, kind))
        return int(self.forged.get((strike, field), summed))

    def first(self) -> list[Any]:
        strikes = [
            {
                "strikeId": strike,
                "strikePrice": price * E18,
                **{field: self.interest(strike, kind) for kind, field in enumerate(OPEN_INTEREST)},
            }
            for strike, price in self.strikes.items()
        ]
        view = {
            "isPaused": self.paused,
            "marketAddresses": self.theirs,
            "marketParameters": {
                "greekCacheParams": {
                    "optionValueIvGWAVPeriod": 600,
                    "optionValueSkewGWAVPeriod": 900,
                    "rateAndCarry": 5 * E18 // 100,
                }
            },
            "liveBoards": [{"boardId": 3, "expiry": self.expiry, "strikes": strikes}] if strikes else [],
            "exchangeParams": {"spotPrice": 2000 * E18},
        }
        cache = {
            "minUpdatedAt": NOW - 60,
            "minUpdatedAtPrice": 1990 * E18,
            "netGreeks": {"netDelta": 4 * E18},
        }
        return [view, len(self.tokens) + 1, cache, self.base, self.hedged, 10**6 * E18, 18, self.watched]

    def second(self, asked: list[int]) -> list[Any]:
        skews = (self.skews.get(strike, 11 * E18 // 10) for strike in self.strikes)
        vols = [8 * E18 // 10, *skews] if self.strikes else []
        return [[self.tokens[i] for i in asked], *vols]


def read_pool(source: LyraSource, pool: Pool) -> tuple[SourceState, list[int]]:
    """The state, and the ids of the tokens that were asked."""
    reader = source.read()
    assert len(next(reader)) == 8
    calls = reader.send(pool.first())
    ids = source._tokens.abi.decode_input(calls[0].data)[1]["positionIds"]
    with pytest.raises(StopIteration) as stop:
        reader.send(pool.second(ids))
    return stop.value.value, ids


def lyra() -> LyraSource:
    return LyraSource("lyra-eth", CHAIN, LYRA)


class TestLyra:
    def test_an_adapter_that_says_another_price_is_another_markets(self) -> None:
        pool = Pool(token(1, 7, LONG_CALL))
        pool.watched += 1
        reader = lyra().read()
        next(reader)
        with pytest.raises(DataError, match=r"exchange_adapter says 2000\.0{17}1, the market's spot is 2000"):
            reader.send(pool.first())

    @pytest.mark.parametrize(("place", "name"), [(5, "getTotalPoolValueQuote"), (7, "getSpotPriceForMarket")])
    @pytest.mark.parametrize(
        ("paused", "why"), [(True, "the option market is paused"), (False, "its oracle's reason")]
    )
    def test_a_pool_without_a_price_is_a_data_error_that_says_why(
        self, place: int, name: str, paused: bool, why: str
    ) -> None:
        pool = Pool(token(1, 7, LONG_CALL))
        pool.paused = paused
        answers = pool.first()
        answers[place] = Reverted("its oracle's reason")
        reader = lyra().read()
        next(reader)
        with pytest.raises(DataError, match=f"lyra-eth: {name} reverted: {why}"):
            reader.send(answers)

    def test_a_pause_with_a_price_is_in_the_state(self) -> None:
        pool = Pool(token(1, 7, LONG_CALL))
        assert read_pool(lyra(), pool)[0].paused == ""
        pool.paused = True
        assert read_pool(lyra(), pool)[0].paused == "lyra-eth: the option market is paused"

    def test_the_spot_alone_is_one_call(self) -> None:
        spot, asked = feed(lyra().watch(), [[1999 * E18]])
        assert (spot, [len(calls) for calls in asked]) == (1999, [1])

    def test_each_option_knows_its_smile(self) -> None:
        pool = Pool(*(token(i, i, LONG_CALL) for i in (1, 2, 3)), strikes={1: 1800, 2: 2000, 3: 2200})
        pool.skews = {1: 12 * E18 // 10, 2: E18, 3: 11 * E18 // 10}
        state, _ = read_pool(lyra(), pool)
        low, middle, high = sorted(state.positions, key=lambda p: p.strike)
        assert [p.money_vol for p in state.positions] == pytest.approx([0.8] * 3)
        assert low.slope < 0 < high.slope
        assert low.slope == pytest.approx((0.8 - 0.96) / math.log(2000 / 1800), rel=0.5)
        assert low.slope < middle.slope < high.slope

    def test_a_board_of_one_strike_has_no_slope(self) -> None:
        state, _ = read_pool(lyra(), Pool(token(1, 7, LONG_CALL), strikes={7: 2000}))
        assert (state.positions[0].slope, state.positions[0].money_vol) == (0, pytest.approx(0.88))

    def test_the_pool_holds_the_other_side_of_every_option(self) -> None:
        pool = Pool(
            token(1, 7, LONG_CALL, 5),
            token(2, 7, SHORT_CALL_BASE, 1),
            token(3, 7, SHORT_CALL_QUOTE, Decimal("0.5")),
            token(4, 7, LONG_PUT, 2),
            token(5, 8, SHORT_PUT, 3),
            token(6, 8, LONG_CALL, 1),
        )
        state, _ = read_pool(lyra(), pool)
        sizes = {(int(p.strike), p.is_call): p.size for p in state.positions}
        assert sizes == {
            (2000, True): Decimal("-3.5"),
            (2000, False): Decimal(-2),
            (2200, True): Decimal(-1),
            (2200, False): Decimal(3),
        }

    def test_a_position_that_nets_to_nothing_is_left_out(self) -> None:
        state, _ = read_pool(lyra(), Pool(token(1, 7, LONG_CALL, 2), token(2, 7, SHORT_CALL_BASE, 2)))
        assert state.positions == ()

    def test_the_figures_have_the_domains_units(self) -> None:
        pool = Pool(token(1, 7, LONG_CALL, 2))
        pool.base, pool.hedged = 3 * E18, -2 * E18
        state, _ = read_pool(lyra(), pool)
        (position,) = state.positions
        assert position.vol == pytest.approx(0.88)
        assert (position.strike, position.expiry, position.is_call) == (Decimal(2000), NOW + 86_400, True)
        assert position.instrument == "15NOV23-2000-C"
        assert [holding.size for holding in state.holdings] == [Decimal(3), Decimal(-2)]
        assert (state.spot, state.rate, state.nav_usd) == (Decimal(2000), 0.05, Decimal(10**6))
        assert (state.cached_delta, state.cached_at, state.cached_spot) == (-4.0, NOW - 60, Decimal(1990))

    def test_a_33_digit_amount_keeps_every_digit(self) -> None:
        amount = 123_456_789_012_345_123_456_789_012_345_678
        pool = Pool(token(1, 7, LONG_CALL))
        pool.tokens[1]["amount"] = amount
        state, _ = read_pool(lyra(), pool)
        assert state.positions[0].size.as_tuple().digits == tuple(map(int, str(amount)))

    def test_two_rounds_are_enough_whatever_the_number_of_positions(self) -> None:
        pool = Pool(*(token(i, 7 + i % 2, LONG_CALL) for i in range(1, 200)))
        state, asked = read_pool(lyra(), pool)
        assert len(asked) == 199
        assert sum(p.size for p in state.positions) == -199

    def test_a_new_market_without_positions_is_read_too(self) -> None:
        state, asked = read_pool(lyra(), Pool(strikes={}))
        assert (state.positions, state.settled, asked) == ((), 0, [])

    @pytest.mark.parametrize("kind", range(5))
    @pytest.mark.parametrize("error", [1, -1])
    def test_open_interest_that_differs_is_a_data_error_with_the_strike(self, kind: int, error: int) -> None:
        pool = Pool(token(1, 7, LONG_CALL, 5), token(2, 8, kind, 2))
        pool.forged[8, OPEN_INTEREST[kind]] = 2 * E18 + error
        with pytest.raises(DataError, match=rf"lyra-eth: strike 8 has {OPEN_INTEREST[kind]} .*sum to 2"):
            read_pool(lyra(), pool)

    def test_open_interest_without_any_position_is_a_data_error(self) -> None:
        pool = Pool()
        pool.forged[7, "longCallOpenInterest"] = E18
        with pytest.raises(DataError, match="strike 7"):
            read_pool(lyra(), pool)

    @pytest.mark.parametrize(
        ("theirs", "field"),
        [
            ("optionToken", "option_token"),
            ("greekCache", "greek_cache"),
            ("liquidityPool", "liquidity_pool"),
            ("poolHedger", "pool_hedger"),
            ("baseAsset", "base_asset"),
        ],
    )
    def test_an_address_of_another_market_is_a_data_error_with_its_field(
        self, theirs: str, field: str
    ) -> None:
        pool = Pool(token(1, 7, LONG_CALL))
        pool.theirs[theirs] = address(66)
        with pytest.raises(DataError, match=f"lyra-eth: {field} is not the market's, which is {address(66)}"):
            read_pool(lyra(), pool)

    def test_positions_of_settled_boards_are_counted_and_carry_nothing(self) -> None:
        pool = Pool(token(1, 7, LONG_CALL, 1), token(2, 99, LONG_CALL, 50), token(3, 99, LONG_PUT, 50))
        state, _ = read_pool(lyra(), pool)
        assert state.settled == 2
        assert [p.size for p in state.positions] == [Decimal(-1)]

    def test_a_settled_position_is_asked_again_until_it_is_paid_out(self) -> None:
        source, pool = lyra(), Pool(token(1, 7, LONG_CALL), token(2, 99, LONG_CALL))
        assert [read_pool(source, pool)[1] for _ in range(2)] == [[1, 2], [1, 2]]

    def test_an_ended_position_is_not_asked_again(self) -> None:
        source = lyra()
        pool = Pool(token(1, 7, LONG_CALL, state=2), token(2, 7, LONG_CALL))
        assert read_pool(source, pool)[1] == [1, 2]
        pool.tokens[3] = token(3, 7, LONG_CALL)
        assert read_pool(source, pool)[1] == [2, 3]

    def test_after_a_mismatch_every_position_is_asked_again(self) -> None:
        """A reorg can bring an ended position back; the reader must notice, and mend itself."""
        source = lyra()
        pool = Pool(token(1, 7, LONG_CALL, state=2), token(2, 7, LONG_CALL))
        read_pool(source, pool)
        pool.tokens[1]["state"] = 1
        with pytest.raises(DataError, match="strike 7"):
            read_pool(source, pool)
        state, asked = read_pool(source, pool)
        assert asked == [1, 2]
        assert state.positions[0].size == -2

    def test_a_position_is_not_taken_as_ended_by_a_read_that_failed(self) -> None:
        source = lyra()
        pool = Pool(token(1, 7, LONG_CALL, state=2), token(2, 7, LONG_CALL))
        pool.forged[7, "longCallOpenInterest"] = 0
        with pytest.raises(DataError):
            read_pool(source, pool)
        pool.forged.clear()
        assert read_pool(source, pool)[1] == [1, 2]

    def test_every_address_must_hold_code(self) -> None:
        assert lyra().contracts() == {name: getattr(LYRA, name) for name in LyraAddresses.__slots__}


ROOT_2000 = int(Decimal(2000).sqrt() * 2**96)


def curie_first(size: str = "0", **changes: Any) -> list[Any]:
    """The first round's answers of a Curie market at 2000 USD; amounts in raw units, with 6 decimals in the vault."""
    raw = int(Decimal(size) * E18)
    values: dict[str, Any] = {
        "size": raw,
        "open_notional": -raw * 2000,
        "pnl": [0, 0, 0],
        "maintenance": 500 * E18,
        "pending_funding": 0,
        "account_value": 10_000 * 10**6,
        "free": 9_000 * 10**6,
        "balance": 10_000 * 10**6,
        "decimals": 6,
        "index": 2000 * E18,
        "market": {"pool": CURIE.pool, "exchangeFeeRatio": 1000, "maxPriceSpreadRatio": 100_000},
        "max_ticks": 205,
        "slot0": [ROOT_2000, 0, 0, 0, 0, 0, True],
        "liquidity": 10**6 * E18,
        "twap_interval": 900,
        "initial_ratio": 100_000,
        "maintenance_ratio": 62_500,
        "paused": False,
        "is_open": True,
    }
    return list((values | changes).values())


def quote(size: Decimal | int, price: int | str = 2000) -> dict[str, int]:
    """The quoter's answer for `size` at an average `price`, with a fee of a thousandth on the quote side."""
    notional = abs(Decimal(size)) * Decimal(price)
    after = notional * Decimal("0.999") if size < 0 else notional / Decimal("0.999")
    return {
        "exchangedPositionSize": int(Decimal(size) * E18),
        "exchangedPositionNotional": int((-notional if size > 0 else notional) * E18),
        "deltaAvailableQuote": int(after * E18),
    }


def curie() -> CurieVenue:
    return CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"))


TWAP, INDEX_TWAP = ROOT_2000, 2000 * E18
EDGES = [quote(-100, 1990), quote(100, 2010)]
LADDER = [quote(s, 2000 + s // 10) for s in (10, 50, 90, -10, -50, -90)]


def read_curie(first: list[Any], second: list[Any]) -> tuple[VenueState, list[list[Call]]]:
    state, asked = feed(curie().read(), [first, second])
    return state, asked


def swap_of(call: Call) -> dict[str, Any]:
    params: dict[str, Any] = contract("curie_quoter", CURIE.quoter).abi.decode_input(call.data)[1]["params"]
    return params


class TestCurie:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({}, ""),
            ({"paused": True}, "curie-eth: the clearing house is paused"),
            ({"is_open": False}, "curie-eth: the market is paused or closed"),
        ],
    )
    def test_a_pause_is_a_sentence(self, changes: dict[str, bool], words: str) -> None:
        state, _ = read_curie(curie_first(**changes), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        assert state.paused == words

    def test_two_rounds_are_enough(self) -> None:
        _, asked = read_curie(curie_first(), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        assert [len(calls) for calls in asked] == [19, 10]

    def test_the_figures_have_the_domains_units(self) -> None:
        state, _ = read_curie(curie_first(), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        assert state.mark == pytest.approx(Decimal(2000), abs=Decimal("1e-9"))
        assert state.index == 2000
        assert (state.fee_ratio, state.initial_ratio) == (Decimal("0.001"), Decimal("0.1"))
        assert state.maintenance_ratio == Decimal("0.0625")
        margin = state.margin
        assert (margin.collateral, margin.account_value) == (Decimal(10_000), Decimal(10_000))
        assert (margin.free_collateral, margin.maintenance) == (Decimal(9_000), Decimal(500))

    def test_the_limits_are_what_trades_before_the_price_reaches_the_edges(self) -> None:
        edges = [quote(-70, 1990), quote(30, 2010)]
        state, asked = read_curie(curie_first(), [*edges, *LADDER, TWAP, INDEX_TWAP])
        assert (state.max_sell, state.max_buy) == (Decimal(70), Decimal(30))
        sell, buy = (swap_of(call) for call in asked[1][:2])
        assert (sell["isBaseToQuote"], buy["isBaseToQuote"]) == (True, False)
        for swap, side in ((sell, -1), (buy, 1)):
            limit = (Decimal(swap["sqrtPriceLimitX96"]) / 2**96) ** 2
            assert limit == pytest.approx(2000 * Decimal("1.0001") ** (side * 200), rel=Decimal("1e-12"))

    @pytest.mark.parametrize(("index", "sells", "buys"), [(2100, 1, 1), (1820, 1, 0), (2220, 0, 1)])
    def test_the_price_band_closes_the_side_that_would_leave_it(
        self, index: int, sells: int, buys: int
    ) -> None:
        edges = [quote(-70, 1990)] * sells + [quote(30, 2010)] * buys
        state, asked = read_curie(curie_first(index=index * E18), [*edges, *LADDER, TWAP, INDEX_TWAP])
        assert state.max_sell == 70 * sells
        assert state.max_buy == 30 * buys
        assert len(asked[1]) == 8 + sells + buys
        assert all(-state.max_sell <= point.size <= state.max_buy for point in state.curve)

    def test_the_price_band_bounds_the_edge_before_the_tick_limit_does(self) -> None:
        _, asked = read_curie(curie_first(max_ticks=5000), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        limits = [(Decimal(swap_of(call)["sqrtPriceLimitX96"]) / 2**96) ** 2 for call in asked[1][:2]]
        assert limits[0] == pytest.approx(Decimal(1810), rel=Decimal("1e-12"))
        assert limits[1] == pytest.approx(Decimal(2190), rel=Decimal("1e-12"))

    @pytest.mark.parametrize("max_ticks", [0, 3, 5])
    def test_without_ticks_to_spare_nothing_trades(self, max_ticks: int) -> None:
        state, asked = read_curie(curie_first(max_ticks=max_ticks), [TWAP, INDEX_TWAP])
        assert state.max_buy == state.max_sell == 0
        assert state.curve == ()
        assert len(asked[1]) == 2

    def test_the_curve_has_every_quote_within_the_limits_and_the_edges_themselves(self) -> None:
        edges = [quote(-60, 1990), quote(60, 2010)]
        state, _ = read_curie(curie_first(), [*edges, *LADDER, TWAP, INDEX_TWAP])
        assert {(int(p.size), int(p.price)) for p in state.curve} == {
            (-60, 1990),
            (60, 2010),
            (10, 2001),
            (50, 2005),
            (-10, 1999),
            (-50, 1995),
        }

    def test_the_quoted_sizes_are_whole_lots_on_both_sides(self) -> None:
        _, asked = read_curie(curie_first(), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        swaps = [swap_of(call) for call in asked[1][2:8]]
        assert [swap["isBaseToQuote"] for swap in swaps] == [False] * 3 + [True] * 3
        assert all(swap["isExactInput"] == swap["isBaseToQuote"] for swap in swaps), "amounts are in base"
        assert all(swap["amount"] % (E18 // 1000) == 0 for swap in swaps)

    def test_a_reverted_optional_quote_is_left_out(self) -> None:
        ladder = [*LADDER[:2], Reverted("EX_OPLAS"), *LADDER[3:5], Reverted("EX_OPLAS")]
        state, asked = read_curie(curie_first(), [*EDGES, *ladder, TWAP, INDEX_TWAP])
        assert {int(p.size) for p in state.curve} == {-100, 100, 10, 50, -10, -50}
        assert [call.may_fail for call in asked[1]] == [False] * 2 + [True] * 6 + [False] * 2

    def test_without_a_position_no_closing_is_quoted(self) -> None:
        state, asked = read_curie(curie_first(), [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        assert len(asked[1]) == 2 + 6 + 2
        assert state.position.size == 0
        assert state.margin.exit_value == state.margin.collateral

    @pytest.mark.parametrize("size", ["-12.345678901234567891", "12.345678901234567891"])
    def test_a_positions_closing_is_quoted_at_its_exact_size(self, size: str) -> None:
        closing = quote(-Decimal(size), 2000)
        state, asked = read_curie(curie_first(size), [*EDGES, *LADDER, closing, TWAP, INDEX_TWAP])
        swap = swap_of(asked[1][8])
        assert not asked[1][8].may_fail
        assert swap["amount"] == 12_345_678_901_234_567_891
        assert swap["isBaseToQuote"] is (Decimal(size) > 0)
        assert state.position.size == Decimal(size)

    @pytest.mark.parametrize(
        ("size", "close_at", "exit_value"),
        [
            # short 10 from 2000: 20000 came in; closing takes 10 × 2100 ÷ 0.999
            ("-10", 2100, Decimal(10_000) + 20_000 - 21_000 / Decimal("0.999")),
            # long 10 from 2000: 20000 went out; closing brings 10 × 2100 × 0.999
            ("10", 2100, Decimal(10_000) - 20_000 + 21_000 * Decimal("0.999")),
        ],
    )
    def test_the_exit_value_is_what_closing_all_now_would_leave(
        self, size: str, close_at: int, exit_value: Decimal
    ) -> None:
        closing = quote(-Decimal(size), close_at)
        state, _ = read_curie(curie_first(size), [*EDGES, *LADDER, closing, TWAP, INDEX_TWAP])
        assert state.margin.exit_value == pytest.approx(exit_value, abs=Decimal("1e-12"))
        assert state.position.entry_notional == -Decimal(size) * 2000

    def test_the_exit_value_has_what_is_owed_and_the_pending_funding_in_it(self) -> None:
        first = curie_first(pnl=[-30 * E18, 77 * E18, 0], pending_funding=5 * E18)
        state, _ = read_curie(first, [*EDGES, *LADDER, TWAP, INDEX_TWAP])
        assert state.margin.exit_value == Decimal(10_000) - 30 - 5
        assert state.pending_funding == 5

    @pytest.mark.parametrize(("index_twap", "sign"), [(1900, 1), (2100, -1), (2000, 0)])
    def test_longs_pay_funding_where_the_market_is_above_the_index(self, index_twap: int, sign: int) -> None:
        state, _ = read_curie(curie_first(), [*EDGES, *LADDER, TWAP, index_twap * E18])
        expected = Decimal(2000 - index_twap) / 2000 / 24
        assert state.funding_per_hour == pytest.approx(expected, abs=Decimal("1e-9"))
        assert (state.funding_per_hour > Decimal("1e-9")) - (
            state.funding_per_hour < -Decimal("1e-9")
        ) == sign

    def test_a_pool_of_another_market_is_a_data_error(self) -> None:
        market = {"pool": address(66), "exchangeFeeRatio": 1000, "maxPriceSpreadRatio": 100_000}
        with pytest.raises(DataError, match=f"curie-eth: pool is not the market's, which is {address(66)}"):
            feed(curie().read(), [curie_first(market=market)])

    @pytest.mark.parametrize("nothing", [{"index": 0}, {"slot0": [0, 0, 0, 0, 0, 0, True]}])
    def test_a_price_of_zero_is_a_data_error(self, nothing: dict[str, Any]) -> None:
        with pytest.raises(DataError, match="curie-eth: the pool's price is"):
            feed(curie().read(), [curie_first(**nothing)])


TOKEN = contract("erc20", address(31))


def asking(*rounds: int) -> Generator[list[Call], list[Any], list[Any]]:
    """A reader that asks so many numbers per round and returns what it was sent."""
    heard: list[Any] = []
    for count in rounds:
        heard.append((yield [TOKEN.call("balanceOf", address(i), may_fail=True) for i in range(count)]))
    return heard


def answers(*results: bytes | int | None) -> bytes:
    """A Multicall3 answer: a number, raw return data, or None for a revert without a reason."""
    rows = [(r is not None, encode(["uint256"], [r]) if isinstance(r, int) else r or b"") for r in results]
    return encode(["(bool,bytes)[]"], [rows])


def run(client: FakeClient, *readers: Any) -> list[Any]:
    return drive(client, MULTICALL, block(), readers, 10**7)


class TestDriving:
    def test_readers_side_by_side_take_as_many_rounds_as_the_deepest(self) -> None:
        client = FakeClient()
        client.call_answers = [answers(1, 2, 3), answers(4, 5), answers(6)]
        returned = run(client, asking(1), asking(2, 1), asking(0, 1, 1))
        assert returned == [[[1]], [[2, 3], [4]], [[], [5], [6]]]
        assert len(client.calls) == 3

    def test_every_round_is_read_at_the_same_block_hash(self) -> None:
        client = FakeClient()
        client.call_answers = [answers(1), answers(2)]
        run(client, asking(1, 1))
        assert {where for where, _, _ in client.calls} == {block().hash}
        assert {to for _, to, _ in client.calls} == {MULTICALL.address}

    def test_the_calls_reach_the_contract_in_order_and_each_may_fail_alone(self) -> None:
        client = FakeClient()
        client.call_answers = [answers(1, 2)]
        run(client, asking(2))
        calls = MULTICALL.abi.decode_input(client.calls[0][2])[1]["calls"]
        assert [c["callData"][:4].hex() for c in calls[:2]] == ["42cbb15c", "0f28c97d"], "which block it is"
        assert [c["allowFailure"] for c in calls] == [True] * 4
        assert [c["callData"] for c in calls[2:]] == [
            TOKEN.call("balanceOf", address(i)).data for i in range(2)
        ]

    def test_readers_that_ask_nothing_cost_no_round_trip(self) -> None:
        client = FakeClient()
        assert run(client, asking(), asking()) == [[], []]
        assert client.calls == []

    def test_a_revert_that_may_be_is_handed_to_the_reader_with_its_reason(self) -> None:
        client = FakeClient()
        reverted = encode(["(bool,bytes)[]"], [[(False, ERROR_STRING + encode(["string"], ["EX_MIP"]))]])
        client.call_answers = [reverted]
        assert run(client, asking(1)) == [[[Reverted("EX_MIP")]]]

    def test_a_revert_that_must_not_be_names_contract_and_function(self) -> None:
        client = FakeClient()
        client.call_answers = [encode(["(bool,bytes)[]"], [[(False, b"")]])]
        with pytest.raises(DataError, match=rf"erc20\.balanceOf at {address(31)} reverted: reverted without"):
            read_round(client, MULTICALL, block(), [TOKEN.call("balanceOf", ACCOUNT)], 10**7)

    def test_a_garbled_reason_does_not_stop_a_read_that_may_fail(self) -> None:
        client = FakeClient()
        client.call_answers = [encode(["(bool,bytes)[]"], [[(False, ERROR_STRING + b"\xff" * 9)]])]
        ((heard,),) = run(client, asking(1))
        assert isinstance(heard[0], Reverted)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_a_short_or_a_long_answer_is_a_data_error(self, count: int) -> None:
        client = FakeClient()
        client.call_answers = [answers(*range(count))]
        with pytest.raises(DataError, match=f"localnet: 2 calls were asked and {count} answered"):
            run(client, asking(2))

    @pytest.mark.parametrize("raw", [b"", b"\x01", bytes(31)])
    def test_an_answer_that_is_none_is_a_data_error(self, raw: bytes) -> None:
        client = FakeClient()
        client.call_answers = [raw]
        with pytest.raises(DataError, match="multicall3"):
            run(client, asking(1))

    def test_a_call_that_returned_nothing_is_a_data_error_and_not_a_zero(self) -> None:
        client = FakeClient()
        client.call_answers = [answers(b"")]
        with pytest.raises(DataError, match=r"erc20\.balanceOf"):
            run(client, asking(1))

    def test_a_readers_own_error_ends_the_drive(self) -> None:
        def doubting() -> Generator[list[Call], list[Any], None]:
            yield [TOKEN.call("decimals")]
            raise DataError("these don't agree")

        client = FakeClient()
        client.call_answers = [answers(1, 2)]
        with pytest.raises(DataError, match="these don't agree"):
            run(client, asking(1, 1), doubting())
        assert len(client.calls) == 1

    def test_the_address_in_an_error_is_the_calls_own(self) -> None:
        moved = replace(TOKEN, address=address(32)).call("decimals")
        assert moved.name == f"erc20.decimals at {address(32)}"
