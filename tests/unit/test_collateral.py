"""Collateral that orders bring along: how much, the allowance before it, and claims."""

from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from builders import snapshot, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.collateral import LEAST_FIT, MOST_FIT, STEP, brought, carried, provide
from bot.core.model import Hold, Mode, OrderCollateral, Rebalance, Snapshot, Transfer, VenueState

D = Decimal
RULES = OrderCollateral(leverage=D(4), price=D(1))
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
        decision = provide(BUY, seen(), Mode.ACTIVE, D(100))
        assert isinstance(decision, Transfer)
        assert (decision.what, decision.amount) == ("approve", D(1004))

    @pytest.mark.parametrize("part", [LEAST_FIT, D(1), MOST_FIT])
    def test_an_allowance_that_fits_is_used_up_whole(self, part: Decimal) -> None:
        snap = seen(allowance=part * 1004)
        assert provide(BUY, snap, Mode.ACTIVE, D(100)) is BUY
        assert carried(BUY.size, snap.venue) == part * 1004

    @pytest.mark.parametrize("allowance", ["803", "1256"])
    def test_one_that_does_not_fit_is_replaced(self, allowance: str) -> None:
        decision = provide(BUY, seen(allowance=D(allowance)), Mode.ACTIVE, D(100))
        assert isinstance(decision, Transfer)
        assert decision.amount == 1004

    def test_a_wallet_that_holds_less_is_named(self) -> None:
        decision = provide(BUY, seen(wallet=D(1003)), Mode.ACTIVE, D(100))
        assert isinstance(decision, Hold)
        assert decision.code == "COLLATERAL"
        assert "1003" in decision.text

    def test_a_decrease_needs_no_allowance(self) -> None:
        sell = Rebalance(D(-1), "sell")
        assert provide(sell, seen(size="2", equity="1000"), Mode.ACTIVE, D(100)) is sell

    def test_on_paper_nothing_is_allowed(self) -> None:
        assert provide(BUY, replace(seen(), paper=True), Mode.ACTIVE, D(100)) is BUY

    def test_elsewhere_a_decision_stays(self) -> None:
        assert provide(BUY, snapshot(), Mode.ACTIVE, D(100)) is BUY


class TestClaims:
    OWED: ClassVar = replace(RULES, claimable_usd=D(60), claim_above_usd=D(50))

    def test_what_is_owed_is_claimed_when_all_is_calm(self) -> None:
        decision = provide(CALM, seen(rules=self.OWED), Mode.ACTIVE, D(100))
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
        assert provide(hold, replace(seen(rules=rules), **changes), mode, D(100)) is hold


class TestRest:
    SMALL: ClassVar[dict[str, Any]] = {"min_position_usd": D(10), "min_collateral_usd": D(5)}

    @pytest.mark.parametrize(
        ("size", "traded"), [("-1.999", "-2"), ("-1.981", "-2"), ("-1.97", "-1.97"), ("-2", "-2")]
    )
    def test_what_would_be_left_too_small_is_closed_too(self, size: str, traded: str) -> None:
        snap = seen(size="2", equity="1000", **self.SMALL)
        decision = provide(Rebalance(D(size), "sell"), snap, Mode.ACTIVE, D(100))
        assert isinstance(decision, Rebalance)
        assert decision.size == D(traded)

    def test_where_the_whole_is_too_large_for_an_order_enough_is_left(self) -> None:
        snap = seen(size="2", equity="1000", **self.SMALL)
        decision = provide(Rebalance(D("-1.999"), "sell"), snap, Mode.ACTIVE, D("1.9995"))
        assert isinstance(decision, Rebalance)
        assert decision.size == D("-1.98")

    def test_a_short_is_closed_likewise(self) -> None:
        snap = seen(size="-2", equity="1000", **self.SMALL)
        decision = provide(Rebalance(D("1.999"), "buy"), snap, Mode.ACTIVE, D(100))
        assert isinstance(decision, Rebalance)
        assert decision.size == 2
