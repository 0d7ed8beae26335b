"""Every limit of an order and every doubt about an input: at, below and above it."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import CURVE, NOW, block, exposure, limits, measured, snapshot, source, venue_state

from bot.core.budgets import Budgets
from bot.core.costs import costs_of
from bot.core.limits import Limits
from bot.core.model import (
    CostPoint,
    Decision,
    FeedPrice,
    Hold,
    Margin,
    Mode,
    Prices,
    Rebalance,
    SequencerState,
    Snapshot,
    Spent,
    VolsUsed,
)
from bot.core.orders import Order, price_bound, reserve_price, reserve_usd
from bot.core.risk import guard, recheck

D = Decimal
EXPOSED = exposure(-5.0)
FLAT_CURVE = (CostPoint(D(1000), D(2000)), CostPoint(D(-1000), D(2000)))
"""No impact: the price bound is the same at every size."""

UP = reserve_price(D(2000) * D("1.005") * D("1.001"), D(2000))
DOWN = reserve_price(D(2000) * D("0.995") * D("0.999"), D(2000))
"""What a unit bought and a unit sold are counted at in USD where the pool has no impact."""


def deep(position: str = "0", **changes: Any) -> Snapshot:
    """A venue that takes a thousand units without impact."""
    wide: dict[str, Any] = {"max_buy": D(1000), "max_sell": D(1000), "curve": FLAT_CURVE}
    return snapshot(venue=venue_state(position, **(wide | changes)))


def wide(**changes: Any) -> Limits:
    """Room for a thousand units unless told otherwise."""
    return limits(**({"max_order": D(1000), "max_position": D(1000)} | changes))


def run(
    size: str, seen: Snapshot, bounds: Limits, *, mode: Mode = Mode.ACTIVE, net: float = -5.0
) -> Decision:
    decision = Rebalance(D(size), "because", {"net_delta": str(net)})
    return guard(decision, replace(EXPOSED, options=net), seen, bounds, mode)


def told(decision: Decision) -> str:
    return decision.code if isinstance(decision, Hold) else f"{decision.size.normalize():f}"


def money(value: str) -> Margin:
    usd = D(value)
    return Margin(usd, usd, usd, usd, D(0), usd)


class TestOrderUsd:
    @pytest.mark.parametrize(("side", "unit"), [(1, UP), (-1, DOWN)])
    @pytest.mark.parametrize(("wanted", "size"), [("9.999", "9.999"), ("10", "10"), ("10.001", "10")])
    def test_an_order_is_cut_to_what_it_may_be_worth_and_the_rest_follows(
        self, side: int, unit: Decimal, wanted: str, size: str
    ) -> None:
        decision = run(str(side * D(wanted)), deep(), wide(max_order_usd=10 * unit))
        assert isinstance(decision, Rebalance)
        assert (decision.size, decision.remaining) == (side * D(size), side * (D(wanted) - D(size)))
        if wanted != size:
            assert f"cut to {side * D(size):+f} by the order limit of" in decision.text

    def test_less_than_a_lot_is_a_hold(self) -> None:
        decision = run("5", deep(), wide(max_order_usd=D("1.9")))
        assert told(decision) == "ORDER_USD"
        assert "the order limit of 1.9 USD leaves no room" in decision.text

    def test_a_deep_price_counts_as_it_is_quoted(self) -> None:
        """With impact a larger order has a worse bound; the cut never makes it worth more than the limit."""
        seen = snapshot(venue=venue_state(curve=CURVE))
        for limit in range(1_000, 150_000, 7_001):
            decision = run("55", seen, limits(max_order_usd=D(limit)))
            if isinstance(decision, Rebalance):
                bound = price_bound(costs_of(seen), decision.size, D("0.005"))
                assert reserve_usd(decision.size, bound, seen.venue.mark) <= limit


class TestBoundGap:
    """The curve costs 0.4 USD per unit on top of 2000, and a bound is 0.6005 % worse than the quoted price."""

    GAP = D("0.012")

    @pytest.mark.parametrize("side", [1, -1])
    def test_an_order_is_cut_to_where_its_bound_is_within_the_gap_and_the_rest_follows(
        self, side: int
    ) -> None:
        seen = snapshot(venue=venue_state(curve=CURVE))
        decision = run(str(side * 55), seen, limits(max_bound_gap=self.GAP))
        assert isinstance(decision, Rebalance)
        assert "by the limit of 1.20% between the price traded now and an order's bound" in decision.text
        assert decision.remaining == side * 55 - decision.size
        for more, within in (("0", True), ("0.001", False)):
            bound = price_bound(costs_of(seen), decision.size + side * D(more), D("0.005"))
            assert (side * (bound / seen.venue.mark - 1) <= self.GAP) is within

    @pytest.mark.parametrize("side", [1, -1])
    def test_where_no_order_is_within_the_gap_it_holds(self, side: int) -> None:
        seen = snapshot(venue=venue_state(curve=CURVE, fee_ratio=D("0.009")))
        assert told(run(str(side * 5), seen, limits(max_bound_gap=self.GAP))) == "BOUND_GAP"

    def test_a_gap_that_the_whole_curve_keeps_cuts_nothing(self) -> None:
        assert told(run("55", snapshot(venue=venue_state(curve=CURVE)), limits())) == "55"

    @pytest.mark.parametrize("size", ["55", "-55"])
    def test_an_order_beyond_it_is_not_signed(self, size: str) -> None:
        seen = snapshot(venue=venue_state(curve=CURVE))
        hold = recheck(
            Order(D(size), D(2000), NOW), D(0), EXPOSED, seen, limits(max_bound_gap=self.GAP), Mode.ACTIVE
        )
        assert hold is not None
        assert hold.code == "BOUND_GAP"


class TestLeverage:
    """The account is worth 20,000 USD: a leverage of 2 is some 20 units at 2000 USD."""

    @pytest.mark.parametrize("side", [1, -1])
    def test_the_position_after_the_order_keeps_it_with_the_order_paid(self, side: int) -> None:
        seen = deep(margin=money("20000"))
        decision = run(str(side * 100), seen, wide(max_leverage=D(2)))
        assert isinstance(decision, Rebalance)
        cost = abs(price_bound(costs_of(seen), decision.size, D("0.005")) - 2000)

        def leverage(size: Decimal) -> Decimal:
            return size * 2000 / (20_000 - size * cost)

        size = abs(decision.size)
        assert leverage(size) <= 2 < leverage(size + D("0.001"))
        assert decision.remaining == 0

    @pytest.mark.parametrize(("off", "same"), [("-0.001", True), ("0", True), ("0.001", False)])
    def test_at_below_and_above(self, off: str, same: bool) -> None:
        seen = deep(margin=money("20000"))
        most = run("100", seen, wide(max_leverage=D(2)))
        assert isinstance(most, Rebalance)
        wanted = most.size + D(off)
        decision = run(f"{wanted:f}", seen, wide(max_leverage=D(2)))
        assert isinstance(decision, Rebalance)
        assert decision.size == (wanted if same else most.size)

    def test_an_order_that_grows_it_beyond_is_held(self) -> None:
        seen = deep("30", margin=money("20000"))
        decision = run("5", seen, wide(max_leverage=D(2)))
        assert told(decision) == "LEVERAGE"
        assert "the leverage limit of 2 on an account value of 20000.00 USD leaves no room" in decision.text

    @pytest.mark.parametrize("value", ["20000", "0", "-5000"])
    def test_an_order_that_shrinks_the_position_always_passes_and_never_turns_it(self, value: str) -> None:
        seen = deep("30", margin=money(value))
        assert told(run("-5", seen, wide(max_leverage=D(1)))) == "-5"
        turned = run("-100", seen, wide(max_leverage=D(1)))
        assert isinstance(turned, Rebalance)
        room = max(-turned.size - 30, D(0))
        assert turned.size == -30 or room * 2000 <= max(D(value), D(0))


class TestGross:
    @pytest.mark.parametrize(("wanted", "size"), [("4.999", "4.999"), ("5", "5"), ("5.001", "5")])
    def test_options_and_perp_together_stay_within_it(self, wanted: str, size: str) -> None:
        """The options' gross delta is 5: a limit of 10 leaves 5 for the perp."""
        assert told(run(wanted, deep(), wide(max_gross=D(10)))) == size

    def test_options_that_take_all_leave_no_room(self) -> None:
        decision = run("1", deep(), wide(max_gross=D(5)))
        assert told(decision) == "GROSS"
        assert "the gross limit of 5, of which options and holdings take 5.0000" in decision.text

    def test_an_order_that_shrinks_the_perp_is_always_allowed_and_not_turned(self) -> None:
        assert told(run("-3", deep("8"), wide(max_gross=D(1)))) == "-3"
        assert told(run("-9", deep("8"), wide(max_gross=D(1)))) == "-8"
        assert told(run("3", deep("8"), wide(max_gross=D(1)))) == "GROSS"


class TestNet:
    @pytest.mark.parametrize(
        ("net", "size", "expected"),
        [
            (-5.0, "4", "4"),  # at the limit
            (-5.0, "4.5", "4.5"),  # below
            (-5.0, "3.5", "3.5"),  # above it, but smaller than before
            (-5.0, "-1", "NET"),
            (-0.5, "-0.5", "-0.5"),  # grows, to the limit
            (-0.5, "-0.501", "NET"),
            (-5.0, "10", "NET"),  # as far on the other side
            (-5.0, "9.999", "9.999"),
            (-5.0, "6", "6"),
            (0.0, "1.001", "NET"),
        ],
    )
    def test_an_order_leaves_no_more_than_it_or_makes_it_smaller(
        self, net: float, size: str, expected: str
    ) -> None:
        assert told(run(size, deep(), wide(max_net=D(1)), net=net)) == expected

    def test_it_is_held_against_the_order_as_it_is_cut(self) -> None:
        assert told(run("100", deep(), wide(max_order=D(6), max_net=D(1)))) == "6"

    def test_the_sentence_has_the_figures(self) -> None:
        decision = run("-2", deep(), wide(max_net=D(1)))
        assert "from -5.0000 to -7.0000, the limit is 1" in decision.text


class TestInterval:
    @pytest.mark.parametrize(("age", "expected"), [(59, "TOO_SOON"), (60, "5"), (61, "5")])
    def test_two_orders_are_that_far_apart(self, age: int, expected: str) -> None:
        seen = replace(deep(), spent=Spent(last_order_at=NOW - age))
        assert told(run("5", seen, wide(min_interval_s=60))) == expected

    def test_the_first_order_waits_for_nothing(self) -> None:
        assert told(run("5", deep(), wide(min_interval_s=60))) == "5"


class TestNativeReserve:
    """An order is reckoned with 900,000 gas at 1 gwei: 0.0009 coins."""

    @pytest.mark.parametrize(
        ("held", "expected"),
        [("0.0509", "5"), ("0.0510", "5"), ("0.0508", "NATIVE_RESERVE"), (None, "NATIVE_RESERVE")],
    )
    def test_what_must_stay_stays(self, held: str | None, expected: str) -> None:
        seen = replace(deep(), native=None if held is None else D(held))
        assert told(run("5", seen, wide(min_native=D("0.05")))) == expected

    @pytest.mark.parametrize(("held", "expected"), [("0.0609", "5"), ("0.0608", "NATIVE_RESERVE")])
    def test_what_an_order_carries_for_its_keeper_counts_too(self, held: str, expected: str) -> None:
        seen = replace(deep(keeper_gas=10_000_000), native=D(held))
        assert told(run("5", seen, wide(min_native=D("0.05")))) == expected

    def test_without_a_reserve_nobody_asks(self) -> None:
        assert told(run("5", deep(), wide())) == "5"


class TestMinOrder:
    @pytest.mark.parametrize(("most", "expected"), [("0.1", "0.1"), ("0.099", "ORDER_SIZE")])
    def test_an_order_that_a_limit_would_cut_below_it_is_held(self, most: str, expected: str) -> None:
        assert told(run("5", deep(), wide(max_order=D(most), min_order=D("0.1")))) == expected

    def test_an_order_that_is_not_cut_may_be_smaller(self) -> None:
        assert told(run("0.05", deep(), wide(min_order=D("0.1")))) == "0.05"


class TestFeeds:
    def feed(self, price: str = "2000", age: int = 0, name: str = "eth-usd") -> FeedPrice:
        return FeedPrice(name, D(price), NOW - age, 3600)

    @pytest.mark.parametrize(("age", "expected"), [(0, "5"), (3600, "5"), (3601, "STALE_FEED")])
    def test_a_feed_is_within_its_heartbeat(self, age: int, expected: str) -> None:
        seen = replace(deep(), feeds=(self.feed(age=age),))
        decision = run("5", seen, wide())
        assert told(decision) == expected
        assert expected == "5" or "feed eth-usd is 3601 s old, its heartbeat is 3600 s" in decision.text

    @pytest.mark.parametrize(
        ("price", "expected"),
        [("2000", "5"), ("2100", "5"), ("1900", "5"), ("2100.01", "PRICE_GAP"), ("1899.99", "PRICE_GAP")],
    )
    def test_a_feed_may_be_as_far_from_the_spot_as_the_limit(self, price: str, expected: str) -> None:
        seen = replace(deep(), feeds=(self.feed(), self.feed(price, name="other")))
        decision = run("5", seen, wide())
        assert told(decision) == expected
        assert expected == "5" or "feed other's price" in decision.text

    def test_a_feed_that_differs_widens_the_doubt(self) -> None:
        near, far = (measured(replace(snapshot(), feeds=(self.feed(p),))) for p in ("2001", "2080"))
        widths = [{b.name: b.above for b in e.bounds}["price sources apart"] for e in (near, far)]
        assert widths[1] == pytest.approx(80 * widths[0])


class TestPriceMove:
    """The limit is 10 %; the spot is 2000 USD now."""

    @pytest.mark.parametrize(
        ("before", "index", "feeds", "expected"),
        [
            ("1900", "2000", [], "5"),
            ("2200", "2000", [], "5"),
            ("1800", "2000", [], "PRICE_MOVE"),
            ("2300", "2000", [], "PRICE_MOVE"),
            ("1600", "1778", [], "PRICE_MOVE"),  # +25 %, the index +12.49 %
            ("1600", "1777", [], "5"),  # the index +12.55 %
            ("2500", "2222", [], "PRICE_MOVE"),  # −20 %, the index −9.99 %
            ("2500", "2223", [], "5"),
            ("1600", "2400", [], "PRICE_MOVE"),  # the other way
            ("1600", "2000", [("feed", "1777")], "5"),
            ("1600", "2000", [("feed", "1778")], "PRICE_MOVE"),
            ("1600", "2000", [("other", "1000")], "PRICE_MOVE"),  # no such feed now
        ],
    )
    def test_a_jump_needs_a_second_source_that_goes_half_as_far(
        self, before: str, index: str, feeds: Sequence[tuple[str, str]], expected: str
    ) -> None:
        then = Prices(D(before), D(index), tuple((name, D(price)) for name, price in feeds))
        now = FeedPrice("feed", D(2000), NOW, 3600)
        seen = replace(deep(), before=then, feeds=(now,) if feeds else ())
        assert told(run("5", seen, wide(max_price_move=D("0.1")))) == expected
        assert told(run("5", seen, wide())) == "5", "no limit, no doubt"

    def test_a_first_tick_has_nothing_to_compare_with(self) -> None:
        assert told(run("5", deep(), wide(max_price_move=D("0.0001")))) == "5"

    def test_the_sentence_has_the_figures(self) -> None:
        seen = replace(deep(), before=Prices(D(1600), D(2000)))
        decision = run("5", seen, wide(max_price_move=D("0.1")))
        assert "from 1600.0000 to 2000.0000 (+25.00%)" in decision.text
        assert "10.00%" in decision.text


class TestFlags:
    @pytest.mark.parametrize(
        ("up", "since", "expected", "words"),
        [
            (True, NOW - 3601, "5", ""),
            (True, NOW - 3600, "SEQUENCER", "is up for 3600 s, it is trusted after 3600 s"),
            (True, NOW, "SEQUENCER", "is up for 0 s"),
            (True, 0, "SEQUENCER", "has no round yet"),
            (False, NOW - 10_000, "SEQUENCER", "the sequencer of base is down since"),
        ],
    )
    def test_a_sequencer_is_up_for_its_grace(self, up: bool, since: int, expected: str, words: str) -> None:
        seen = replace(deep(), sequencers=(SequencerState("base", up, since, 3600),))
        decision = run("5", seen, wide())
        assert told(decision) == expected
        assert words in decision.text

    def test_a_paused_venue_or_vault_holds_and_is_named(self) -> None:
        paused = deep(paused="curie-eth: the clearing house is paused")
        assert told(run("5", paused, wide())) == "PAUSED"
        both = replace(paused, sources=(source(paused="lyra-eth: the option market is paused"),))
        text = run("5", both, wide()).text
        assert "lyra-eth: the option market is paused and curie-eth: the clearing house is paused" in text

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"feeds": (FeedPrice("f", D(2000), 0, 60),)}, "STALE_FEED"),
            ({"sequencers": (SequencerState("base", False, NOW, 60),)}, "SEQUENCER"),
            ({"venue": venue_state(paused="paused")}, "PAUSED"),
            ({"before": Prices(D(1000), D(2000))}, "PRICE_MOVE"),
            ({"spent": Spent(change_day_usd=D(-101))}, "DAILY_LOSS"),
        ],
    )
    def test_a_hold_that_rests_on_what_cant_be_trusted_says_so(
        self, changes: dict[str, Any], expected: str
    ) -> None:
        bounds = wide(max_price_move=D("0.1"), budgets=Budgets(max_loss_day_usd=D(100)))
        hold = Hold("INSIDE_BAND", "nothing to do")
        assert told(guard(hold, EXPOSED, replace(deep(), **changes), bounds, Mode.ACTIVE)) == expected


class TestRecheck:
    """The same limits on what the bytes to be signed would trade."""

    def check(self, size: str, bound: str, seen: Snapshot, bounds: Limits, **kept: Any) -> str:
        order = Order(D(size), D(bound), NOW + 120)
        gas, mode = kept.get("gas", D("0.001")), kept.get("mode", Mode.ACTIVE)
        hold = recheck(order, gas, EXPOSED, seen, bounds, mode)
        return "" if hold is None else hold.code

    @pytest.mark.parametrize(
        ("size", "bounds", "expected"),
        [
            ("10", {"max_order": D(10)}, ""),
            ("10.001", {"max_order": D(10)}, "ORDER_SIZE"),
            ("10.001", {"max_position": D(10)}, "POSITION"),
            ("1000.001", {"max_order": D(2000), "max_position": D(2000)}, "NO_ROOM"),
            ("10", {"max_order_usd": D(20_100)}, ""),
            ("10", {"max_order_usd": D("20099.99")}, "ORDER_USD"),
            ("5", {"max_gross": D(10)}, ""),
            ("5.001", {"max_gross": D(10)}, "GROSS"),
            ("4", {"max_net": D(1)}, ""),
            ("-1", {"max_net": D(1)}, "NET"),
            ("99", {"max_leverage": D(1)}, ""),
            ("100", {"max_leverage": D(1)}, "LEVERAGE"),
            ("5", {"min_native": D("0.999")}, ""),
            ("5", {"min_native": D("0.9991")}, "NATIVE_RESERVE"),
            ("5", {"min_interval_s": 100}, ""),
            ("5", {"min_interval_s": 101}, "TOO_SOON"),
        ],
    )
    def test_each_limit_once_more(self, size: str, bounds: dict[str, Any], expected: str) -> None:
        seen = replace(deep(), native=D(1), spent=Spent(last_order_at=NOW - 100))
        assert self.check(size, "2010", seen, wide(**bounds)) == expected

    def test_modes_open_orders_and_old_blocks_too(self) -> None:
        assert self.check("5", "2010", deep(), wide(), mode=Mode.HALTED) == "HALTED"
        assert self.check("5", "2010", deep(), wide(), mode=Mode.REDUCING) == "REDUCING"
        assert self.check("5", "2010", replace(deep(), open_order="one"), wide()) == "ORDER_OPEN"
        old = replace(deep(), blocks=(block(timestamp=NOW - 121),), vols=VolsUsed("vault", NOW))
        assert self.check("5", "2010", old, wide()) == "STALE_BLOCK"

    def test_whatever_the_guard_lets_pass_passes_again(self) -> None:
        bounds = wide(max_order_usd=D(50_000), max_leverage=D(3), max_gross=D(40), max_order=D(50))
        for curve in (CURVE, FLAT_CURVE):
            for position in ("-20", "0", "7"):
                for wanted in (-59, -23, -4, 3, 17, 58):
                    seen = deep(position, curve=curve, margin=money("30000"), max_buy=D(60), max_sell=D(60))
                    decision = run(str(wanted), seen, bounds)
                    if isinstance(decision, Rebalance):
                        bound = price_bound(costs_of(seen), decision.size, D("0.005"))
                        assert self.check(f"{decision.size:f}", f"{bound:f}", seen, bounds) == ""
