"""What the Hyperliquid adapter makes of the precompiles: position, margin, prices, limits, and bad input."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hyperliquid_models import ETH, WRITER, Core, Told, hyperliquid_venue, precompile

from bot.core.costs import Costs
from bot.core.margin import margin_of
from bot.core.model import PerpPosition
from bot.errors import DataError, OrderRejected
from bot.venues.hyperliquid_market import HyperliquidState
from bot.venues.hyperliquid_orders import check_margin

D = Decimal


def read(core: Core, **options: Any) -> HyperliquidState:
    return core.state(hyperliquid_venue(**options))


def changed(**changes: Any) -> Core:
    core = Core()
    for name, value in changes.items():
        setattr(core, name, value)
    return core


class TestRounds:
    def test_what_could_fail_is_asked_by_itself_once_and_the_rest_in_one_round(self) -> None:
        core, venue = Core(), hyperliquid_venue()
        core.state(venue)
        core.state(venue)
        cold, first, warm = ([call.to.lower() for call in calls] for calls in core.rounds)
        assert cold == [precompile(0x810), precompile(0x80A)]
        assert first == warm
        assert sorted(warm) == [
            precompile(n) for n in (0x801, 0x803, 0x806, 0x807, 0x80A, 0x80E, 0x80F, 0x813)
        ]

    def test_only_corewriter_must_hold_code(self) -> None:
        assert hyperliquid_venue().contracts() == {"core_writer": WRITER}

    def test_an_outcome_after_a_restart_asks_the_market_again_and_nothing_twice(self) -> None:
        core = Core()
        core.drive(hyperliquid_venue()._reading.asset())
        assert len(core.rounds) == 1


class TestPosition:
    @pytest.mark.parametrize(("size", "entry"), [("2.5", D(-5000)), ("-2.5", D(5000))])
    def test_it_is_signed_and_its_entry_too(self, size: str, entry: Decimal) -> None:
        seen = read(Core().holding(size))
        assert seen.position == PerpPosition("hyperliquid:1", D(size), entry)
        assert seen.lot == D("0.0001")
        assert seen.margin.collateral == 10_000, "cash without what the position took or brought"

    def test_the_raw_cash_is_found_again_from_the_state(self) -> None:
        core = Core().holding("-3", entry="2100")
        seen = read(core)
        assert seen.margin.collateral + seen.position.entry_notional == core.raw_usd


class TestMargin:
    def test_the_margin_is_the_protocols_and_the_ratios_are_the_accounts(self) -> None:
        core = Core().holding("10", entry="1990")
        seen = read(core)
        assert seen.margin.account_value == 10_100
        assert seen.initial_ratio == D(1) / 20
        assert seen.maintenance_ratio == D(1) / 50
        assert seen.margin.maintenance == D(400)
        assert seen.margin.free_collateral == 9_000
        assert seen.margin.mark_value == seen.margin.account_value, "the mid is the mark"
        state = margin_of(seen)
        assert state.requirement == 400
        assert state.other == 0

    def test_the_mark_value_is_at_the_price_that_trades_happen_at(self) -> None:
        core = Core().holding("10")
        core.bid, core.ask = D(2009), D(2011)
        seen = read(core)
        assert seen.mark == 2010
        assert seen.margin.mark_value == seen.margin.account_value + 100

    def test_closing_pays_the_other_side_of_the_book_and_the_fee(self) -> None:
        seen = read(Core().holding("10"))
        price = D("1999.5") * (1 - 10 * ETH.impact_per_unit)
        assert seen.margin.exit_value == 10_000 + 10 * (price - 2000) - 10 * price * ETH.fee_ratio
        assert read(Core()).margin.exit_value == 10_000

    def test_other_positions_count_with_half_their_margin_at_most(self) -> None:
        core = Core().holding("10")
        core.margin_used += 600
        core.notional += 12_000
        seen = read(core)
        assert seen.others_margin == 600
        assert seen.margin.maintenance == 400 + 300
        assert margin_of(seen).other == 300

    @pytest.mark.parametrize(("leverage", "reckoned"), [(0, 1), (1, 1), (3, 3), (25, 25), (40, 25)])
    def test_the_leverage_is_the_accounts_within_the_markets_and_never_guessed_higher(
        self, leverage: int, reckoned: int
    ) -> None:
        seen = read(changed(leverage=leverage))
        assert seen.leverage == reckoned
        assert seen.initial_ratio == D(1) / reckoned

    def test_the_wallet_is_the_spot_side_where_the_margin_is_watched(self) -> None:
        seen = read(changed(spot=D("700.5"), hold=D(200)), watches_margin=True)
        assert (seen.wallet, seen.allowance, seen.needs_allowance) == (D("500.5"), 0, False)
        assert (read(Core()).wallet, read(Core()).allowance) == (None, None)


class TestPrices:
    def test_the_curve_starts_at_the_best_prices_and_ends_at_the_configured_depth(self) -> None:
        seen = read(Core(), watches_margin=True)
        costs = Costs(seen.mark, seen.fee_ratio, seen.curve, D(0), seen.lot, seen.half_spread)
        assert seen.index == 2001
        assert seen.half_spread == D("0.5")
        for side, best in ((1, D("2000.5")), (-1, D("1999.5"))):
            for size in (D("0.0001"), D(7), D(50)):
                expected = best * (1 + side * size * ETH.impact_per_unit)
                assert abs(costs.average_price(side * size) - expected) < D("1e-10")
        assert (seen.max_buy, seen.max_sell) == (50, 50)

    @pytest.mark.parametrize("held", ["0", "4", "-4", "9.6", "-9.6"])
    def test_without_top_ups_orders_are_cut_to_what_the_margin_opens(self, held: str) -> None:
        seen = read(Core().holding(held, cash="1000"))
        for most in (seen.max_buy, -seen.max_sell):
            check_margin(most, seen)
            assert most % seen.lot == 0
            # Five in a hundred more of the new position would be too much.
            with pytest.raises(OrderRejected, match="of margin"):
                check_margin(most + (most + D(held)).copy_sign(most) * D("0.05"), seen)

    @pytest.mark.parametrize(
        ("held", "cash", "buy", "sell"),
        [("30", "1000", "0", "38.9"), ("0", "100000", "50", "50"), ("0", "0.01", "0", "0")],
    )
    def test_nothing_is_opened_beyond_margin_or_depth(
        self, held: str, cash: str, buy: str, sell: str
    ) -> None:
        seen = read(Core().holding(held, cash=cash))
        assert seen.max_buy == D(buy)
        assert abs(seen.max_sell - D(sell)) <= D("0.5")

    def test_a_position_without_margin_can_still_be_closed(self) -> None:
        core = Core().holding("30")
        core.account_value = D("0.01")
        assert read(core).max_sell == 30

    @pytest.mark.parametrize(("bid", "ask"), [(0, 2000), (2000, 0), (0, 0), (2001, 2000), (2000, 2000)])
    def test_a_book_without_two_sides_pauses_the_venue(self, bid: int, ask: int) -> None:
        seen = read(changed(bid=D(bid), ask=D(ask)))
        assert "the book of ETH shows" in seen.paused
        assert (seen.curve, seen.max_buy, seen.max_sell, seen.mark) == ((), 0, 0, 2000)

    @pytest.mark.parametrize("field", ["mark", "oracle"])
    def test_no_price_is_a_data_error(self, field: str) -> None:
        with pytest.raises(DataError, match="no price of ETH"):
            read(changed(**{field: D(0)}))


class TestFunding:
    def test_it_is_the_info_apis_and_nothing_without_it(self) -> None:
        assert read(Core(), info=Told(funding=D("0.0000125"))).funding_per_hour == D("0.0000125")
        assert read(Core(), info=Told()).funding_per_hour == 0
        assert read(Core()).funding_per_hour == 0


class TestRefusals:
    def test_an_account_that_hypercore_does_not_know_is_named_with_the_remedy(self) -> None:
        with pytest.raises(DataError, match=r"does not exist on HyperCore: send it some USDC"):
            read(changed(exists=False))

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"coin": "BTC"}, "the perp 1 is BTC on HyperCore, not ETH"),
            ({"only_isolated": True}, "isolated margin alone"),
            ({"sz_decimals": 2}, r"lot: 0\.0001 is no whole number of the market's lots of 0\.01"),
            ({"max_leverage": 0}, "a leverage of 0"),
            ({"isolated": True}, "is isolated"),
        ],
    )
    def test_another_market_than_configured_is_refused(self, changes: dict[str, Any], said: str) -> None:
        with pytest.raises(DataError, match=said):
            read(changed(**changes))

    @pytest.mark.parametrize("mode", ["unifiedAccount", "portfolioMargin"])
    def test_a_shared_margin_is_refused_by_the_info_apis_word(self, mode: str) -> None:
        with pytest.raises(DataError, match=f"margin mode is {mode}"):
            read(Core(), info=Told(mode=mode))

    @pytest.mark.parametrize("mode", ["disabled", "default", None])
    def test_any_other_mode_is_not(self, mode: str | None) -> None:
        assert read(Core(), info=Told(mode=mode)).paused == ""

    @pytest.mark.parametrize(
        "changes", [{"account_value": D(0)}, {"account_value": D(-1)}, {"notional": D(1)}]
    )
    def test_a_position_that_the_perp_side_does_not_back_is_refused(self, changes: dict[str, Any]) -> None:
        core = Core().holding("5")
        for name, value in changes.items():
            setattr(core, name, value)
        with pytest.raises(DataError, match="unified or portfolio margin"):
            read(core)

    def test_a_leverage_that_hypercore_lowers_is_the_margins_at_once(self) -> None:
        core, venue = Core().holding("5"), hyperliquid_venue()
        assert core.state(venue).maintenance_ratio == Decimal("0.02")
        core.max_leverage = 10
        assert core.state(venue).maintenance_ratio == Decimal("0.05")

    def test_an_account_that_shares_nothing_may_be_under_water_or_empty(self) -> None:
        lost = Core().holding("5", cash="-10")
        assert read(lost, info=Told(mode="disabled")).margin.account_value == -10
        with pytest.raises(DataError, match="or its collateral is lost"):
            read(lost)
        empty = replace(Core(), account_value=Decimal(0), raw_usd=Decimal(0), spot=Decimal(50_000))
        assert read(empty, info=Told(mode="disabled")).paused == ""

    @pytest.mark.parametrize("side", ["bid", "ask"])
    def test_an_empty_side_of_the_book_stops_trading_and_no_transfer(self, side: str) -> None:
        seen = read(replace(Core(), **{side: Decimal(0)}))
        assert (seen.max_buy, seen.max_sell, seen.moves_while_paused) == (0, 0, True)
        assert seen.paused
        assert not read(Core()).moves_while_paused

    @pytest.mark.parametrize(("spot", "paused"), [("9.99", False), ("10", True)])
    def test_an_empty_perp_side_beside_spot_money_pauses_the_venue(self, spot: str, paused: bool) -> None:
        core = changed(account_value=D(0), raw_usd=D(0), spot=D(spot))
        assert ("the margin is unified" in read(core).paused.replace("account's ", "")) is paused


class TestOtherDexes:
    HIP3 = replace(ETH, coin="xyz:TSLA", index=20_003)

    def core(self) -> Core:
        return changed(coin="xyz:TSLA", market=20_003, asset=120_003, dex=2, margin_used=D(100))

    def test_a_market_of_another_dex_is_read_with_its_own_numbers_and_margin(self) -> None:
        seen = read(self.core(), market=self.HIP3)
        assert seen.position.market == "hyperliquid:20003"
        assert seen.margin.free_collateral == 9_900, "the precompile tells the first dex's alone"

    def test_no_margin_is_moved_there_for_a_transfer_reaches_the_first_dex_alone(self) -> None:
        seen = read(self.core(), market=self.HIP3, watches_margin=True)
        assert (seen.wallet, seen.allowance) == (None, None)
