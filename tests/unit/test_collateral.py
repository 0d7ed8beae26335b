"""Collateral that orders bring along: how much, the allowance before it, and claims."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar
from unittest.mock import ANY

import pytest
from builders import limits, measured, snapshot, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.collateral import LEAST_FIT, MOST_FIT, STEP, brought, carried, provide, without_rest
from bot.core.costs import costs_of
from bot.core.model import Hold, Mode, OrderCollateral, Rebalance, Snapshot, Transfer, VenueState
from bot.core.risk import guard

D = Decimal
RULES = OrderCollateral(leverage=D(4), price=D(1))
LIMITS = limits()
BUY = Rebalance(D(2), "buy")
CALM = Hold("INSIDE_BAND", "inside")


def state(size: str = "0", equity: str = "0", rules: OrderCollateral = RULES, **changes: Any) -> VenueState:
    """A market at 2,000 USD with a fee of 0.1 %."""
    return venue_state(
        size,
        margin=replace(venue_state().margin, account_value=D(equity), collateral=D(equity)),
        fee_ratio=D("0.001"),
        collateral=rules,
        **{"wallet": D(10_000), "allowance": D(0), **changes},
    )


def seen(**changes: Any) -> Snapshot:
    return snapshot(venue=state(**changes))


class TestBrought:
    @pytest.mark.parametrize(
        ("held", "equity", "size", "tokens"),
        [
            ("0", "0", "2", "1004"),
            ("0", "0", "-2", "1004"),
            ("1", "500", "1", "502"),
            ("1", "5000", "1", "0"),
            ("-1", "100", "-1", "902"),
        ],
        ids=["first long", "first short", "more", "enough is there", "what was lost is made up"],
    )
    def test_an_increase_brings_what_the_target_leverage_lacks(
        self, held: str, equity: str, size: str, tokens: str
    ) -> None:
        assert brought(D(size), state(held, equity)) == D(tokens)

    def test_a_price_of_the_token_turns_dollars_into_tokens(self) -> None:
        assert brought(D(2), state(rules=replace(RULES, price=D(2000)))) == D("0.502")

    @pytest.mark.parametrize(
        ("size", "equity", "tokens"), [("-1", "1000", "-498"), ("-1", "600", "-98"), ("-1", "400", "0")]
    )
    def test_a_decrease_takes_back_what_it_frees(self, size: str, equity: str, tokens: str) -> None:
        assert brought(D(size), state("2", equity)) == D(tokens)

    def test_it_takes_no_more_than_its_share_of_the_collateral(self) -> None:
        assert brought(D("-0.2"), state("2", "5000")) == D("-500")

    def test_nothing_is_taken_back_where_it_stays(self) -> None:
        assert brought(D(-1), state("2", "1000", replace(RULES, returns=False))) == 0

    def test_a_close_takes_everything_back_by_itself(self) -> None:
        assert brought(D(-2), state("2", "1000")) == 0

    def test_elsewhere_orders_bring_nothing(self) -> None:
        assert brought(D(2), venue_state()) == 0

    @given(st.decimals("0.01", "50", places=2), st.decimals("0", "20000", places=2))
    def test_after_an_increase_the_leverage_is_the_target_or_less(self, size: D, equity: D) -> None:
        venue = state("1", str(equity))
        notional = (1 + size) * venue.mark
        left = equity + brought(size, venue) - size * venue.mark * venue.fee_ratio
        assert left >= notional / 4
        assert left - notional / 4 <= max(STEP, equity)


class TestProvide:
    def test_an_order_without_its_allowance_waits_for_exactly_that(self) -> None:
        decision = provide(BUY, seen(), LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Transfer)
        assert (decision.what, decision.amount) == ("approve", D(1004))

    @pytest.mark.parametrize("part", [LEAST_FIT, D(1), MOST_FIT])
    def test_an_allowance_that_fits_is_used_up_whole(self, part: Decimal) -> None:
        snap = seen(allowance=part * 1004)
        assert provide(BUY, snap, LIMITS, Mode.ACTIVE) is BUY
        assert carried(BUY.size, snap.venue) == part * 1004

    @pytest.mark.parametrize("allowance", ["803", "1256"])
    def test_one_that_does_not_fit_is_replaced(self, allowance: str) -> None:
        decision = provide(BUY, seen(allowance=D(allowance)), LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Transfer)
        assert decision.amount == 1004

    def test_a_wallet_that_holds_less_is_named(self) -> None:
        decision = provide(BUY, seen(wallet=D(1003)), LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Hold)
        assert decision.code == "COLLATERAL"
        assert "1003" in decision.text

    def test_a_decrease_needs_no_allowance(self) -> None:
        sell = Rebalance(D(-1), "sell")
        assert provide(sell, seen(size="2", equity="1000"), LIMITS, Mode.ACTIVE) is sell

    def test_on_paper_nothing_is_allowed(self) -> None:
        assert provide(BUY, replace(seen(), paper=True), LIMITS, Mode.ACTIVE) is BUY

    def test_elsewhere_a_decision_stays(self) -> None:
        assert provide(BUY, snapshot(), LIMITS, Mode.ACTIVE) is BUY


class TestClaims:
    OWED: ClassVar = replace(RULES, claimable_usd=D(60), claim_above_usd=D(50))

    def test_what_is_owed_is_claimed_when_all_is_calm(self) -> None:
        decision = provide(CALM, seen(rules=self.OWED), LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Transfer)
        assert (decision.what, decision.amount) == ("claim", 60)

    @pytest.mark.parametrize(
        ("hold", "rules", "mode", "changes"),
        [
            (Hold("PAUSED", "x"), OWED, Mode.ACTIVE, {}),
            (CALM, RULES, Mode.ACTIVE, {}),
            (CALM, replace(OWED, claimable_usd=D("49.99")), Mode.ACTIVE, {}),
            (CALM, OWED, Mode.HALTED, {}),
            (CALM, OWED, Mode.ACTIVE, {"open_order": "key"}),
            (CALM, OWED, Mode.ACTIVE, {"paper": True}),
        ],
        ids=["not calm", "never", "too little", "halted", "an order is open", "paper"],
    )
    def test_else_it_is_left(
        self, hold: Hold, rules: OrderCollateral, mode: Mode, changes: dict[str, Any]
    ) -> None:
        assert provide(hold, replace(seen(rules=rules), **changes), LIMITS, mode) is hold


class TestRest:
    SMALL: ClassVar[dict[str, Any]] = {"min_position_usd": D(10), "min_collateral_usd": D(5)}

    @pytest.mark.parametrize(
        ("held", "size", "traded"),
        [
            ("2", "-1.999", "-2"),
            ("2", "-1.981", "-2"),
            ("2", "-1.97", "-1.97"),
            ("2", "-2", "-2"),
            ("-2", "1.999", "2"),
        ],
    )
    def test_what_would_be_left_too_small_is_closed_too(self, held: str, size: str, traded: str) -> None:
        venue = state(held, "1000", **self.SMALL)
        assert without_rest(Rebalance(D(size), "sell"), venue) == Rebalance(D(traded), ANY, remaining=D(0))

    def test_a_flip_and_a_hold_stay(self) -> None:
        venue = state("2", "1000", **self.SMALL)
        for decision in (Rebalance(D("-2.001"), "flip"), CALM):
            assert without_rest(decision, venue) is decision

    def test_where_a_limit_cut_the_close_enough_is_left(self) -> None:
        snap = seen(size="2", equity="1000", **self.SMALL)
        decision = provide(Rebalance(D("-1.999"), "sell", remaining=D("-1")), snap, LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Rebalance)
        assert (decision.size, decision.remaining) == (D("-1.98"), D("-1.019"))

    def test_where_nothing_can_be_left_it_is_held(self) -> None:
        snap = seen(size="0.015", equity="10", **self.SMALL)
        decision = provide(Rebalance(D("-0.010"), "sell"), snap, LIMITS, Mode.ACTIVE)
        assert isinstance(decision, Hold)
        assert decision.code == "NO_ROOM"


def test_an_order_that_needs_more_than_one_may_bring_is_held() -> None:
    decision = provide(BUY, seen(rules=replace(RULES, most=D(1000))), LIMITS, Mode.ACTIVE)
    assert isinstance(decision, Hold)
    assert decision.code == "COLLATERAL"
    assert "max_collateral" in decision.text


def test_a_small_position_the_other_way_is_closed_whole_although_it_is_no_lot() -> None:
    snap = seen(size="0.0137", equity="10", max_sell=D("0.0137"))
    wide = replace(limits(), min_order=D("0.05"))
    decision = guard(Rebalance(D(-3), "sell"), measured(snap), snap, wide, Mode.ACTIVE)
    assert isinstance(decision, Rebalance)
    assert (decision.size, decision.remaining) == (D("-0.0137"), D("-2.9863"))


def test_the_keepers_gas_is_reserved_beside_our_own() -> None:
    costs = costs_of(replace(snapshot(), venue=replace(venue_state(), keeper_gas=5_000_000)))
    assert costs.most_gas_usd(D(25)) == 25 + 2 * costs.keeper_usd
    assert costs.most_gas_usd(None) == costs.fixed_usd
