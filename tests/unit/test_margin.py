"""The hedge's margin: where it is liquidated, how long it lasts, and what is done about it."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.margin import (
    MarginKind,
    MarginLevel,
    MarginPolicy,
    Strain,
    margin_action,
    margin_of,
    margin_runway,
)
from bot.core.model import Margin, VenueState
from bot.errors import DataError

RATIO = Decimal("0.0625")
NONE = Decimal(0)
PLENTY = Decimal(10_000_000)


def venue(size: str, equity: str | Decimal, **changes: Any) -> VenueState:
    """A position at 2000 USD with so much equity, its requirement the ratio's own."""
    worth = Decimal(equity)
    maintenance = abs(Decimal(size)) * 2000 * RATIO
    margin = Margin(worth, worth, worth, max(worth - maintenance * 2, NONE), maintenance, worth)
    return venue_state(size, **({"margin": margin, "lot": Decimal("0.01")} | changes))


def act(state: VenueState, wallet: Decimal = PLENTY, budget: Decimal = PLENTY, **changes: Any) -> Any:
    return margin_action(state, MarginPolicy(**changes), wallet, budget)


def test_the_liquidation_price_of_a_long_and_of_a_short() -> None:
    # 10 units with 5000 USD: a long is liquidated where 5000 + 10 (P - 2000) = 0.625 P, at 15000 / 9.375.
    long, short = margin_of(venue("10", "5000")), margin_of(venue("-10", "5000"))
    assert long.liquidation_price == Decimal(1600)
    assert long.distance == Decimal("-0.2")
    assert short.liquidation_price == Decimal(25_000) / Decimal("10.625")
    assert (long.requirement, long.leverage, long.ratio) == (1250, 4, 4)


@given(
    size=st.integers(-500, 500).filter(bool),
    equity=st.integers(1, 2_000_000),
    other=st.integers(0, 5_000),
)
def test_equity_meets_the_requirement_at_the_liquidation_price(size: int, equity: int, other: int) -> None:
    state = venue(str(size), str(equity))
    state = replace(state, margin=replace(state.margin, maintenance=state.margin.maintenance + other))
    found = margin_of(state)
    price = found.liquidation_price
    if price is None:
        assert size > 0
        assert found.equity - size * found.mark >= found.other
        return
    left = found.equity + size * (price - found.mark)
    assert float(left) == pytest.approx(float(RATIO * abs(size) * price + other), rel=1e-9, abs=1e-6)


def test_a_long_with_all_of_its_price_as_collateral_has_no_liquidation_price() -> None:
    assert margin_of(venue("10", "20000")).liquidation_price is None
    assert margin_of(venue("0", "20000")).liquidation_price is None


def test_equity_is_the_lower_of_two_figures_and_the_requirement_the_higher() -> None:
    state = venue("10", "5000")
    margin = replace(state.margin, account_value=Decimal(4000), maintenance=Decimal(2000))
    found = margin_of(replace(state, margin=margin))
    assert (found.equity, found.requirement, found.other) == (4000, 2000, 750)
    margin = replace(state.margin, mark_value=Decimal(3000), maintenance=NONE)
    found = margin_of(replace(state, margin=margin))
    assert (found.equity, found.requirement, found.other) == (3000, 1250, 0)


def test_an_account_without_equity_has_no_leverage() -> None:
    found = margin_of(venue("10", "-5"))
    assert found.leverage is None
    assert found.is_liquidatable
    assert act(venue("10", "-5"), NONE).kind is MarginKind.DELEVERAGE


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mark": Decimal("NaN")}, "mark is NaN"),
        ({"mark": Decimal(0)}, "mark is 0"),
        ({"maintenance_ratio": Decimal(1)}, "maintenance ratio 1"),
        ({"maintenance_ratio": Decimal("Infinity")}, "maintenance ratio is Infinity"),
    ],
)
def test_a_margin_that_makes_no_sense_is_refused_by_name(changes: dict[str, Decimal], says: str) -> None:
    with pytest.raises(DataError, match=says):
        margin_of(venue("10", "5000", **changes))


# --- the runway -----------------------------------------------------------------------------------------------------


def test_funding_alone_uses_up_the_margin_in_a_time_known_in_closed_form() -> None:
    # 5000 - 1250 USD to lose, at 20000 x 0.001 per hour.
    run = margin_runway(venue("10", "5000"), Strain(0.0, 0.0, 0.001), 0.0)
    assert run.hours == pytest.approx(187.5)
    assert run.price == pytest.approx(2000.0)


def test_a_short_pays_its_funding_on_what_it_is_worth_by_then() -> None:
    # By then the price is above the mark, so that the funding of the mark alone would be too little.
    run = margin_runway(venue("-10", "5000"), Strain(1.0, 0.0, 0.001), 0.8)
    assert run.hours is not None
    assert run.price is not None
    lost = 10 * (run.price - 2000) + 0.001 * 10 * run.price * run.hours
    assert 5000 - lost == pytest.approx(0.0625 * 10 * run.price)


@pytest.mark.parametrize(("size", "way"), [("10", -1), ("-10", 1)])
def test_the_price_alone_reaches_the_liquidation_price_then(size: str, way: int) -> None:
    state = venue(size, "5000")
    run = margin_runway(state, Strain(2.0, 0.0, 0.0), 0.8)
    price = float(margin_of(state).liquidation_price or 0)
    assert run.price == pytest.approx(price)
    assert run.hours is not None
    assert 2000 * 2.718281828459045 ** (way * 2 * 0.8 * (run.hours / 8760) ** 0.5) == pytest.approx(price)


def test_every_strain_shortens_the_runway() -> None:
    state = venue("10", "5000")

    def hours(strain: Strain, **target: float) -> float:
        found = margin_runway(state, strain, 0.8, **target).hours
        assert found is not None
        return found

    base = hours(Strain(2.0, 0.0, 0.0))
    assert hours(Strain(2.5, 0.0, 0.0)) < base
    assert hours(Strain(2.0, 0.2, 0.0)) < base
    assert hours(Strain(2.0, 0.0, 0.001)) < base
    joint = hours(Strain(2.0, 0.2, 0.001))
    assert joint < min(hours(Strain(2.0, 0.2, 0.0)), hours(Strain(2.0, 0.0, 0.001)))
    # A target that grows with vol or along the path makes it shorter still, one that shrinks changes nothing.
    assert hours(Strain(2.0, 0.2, 0.001), target_vanna=-10.0) < joint
    assert hours(Strain(2.0, 0.2, 0.001), target_gamma=0.01) < joint
    assert hours(Strain(2.0, 0.2, 0.001), target_vanna=10.0, target_gamma=-0.01) == joint


def test_a_margin_that_outlasts_everything_says_so() -> None:
    run = margin_runway(venue("10", "20001"), Strain(2.0, 0.2, 0.0), 0.8)
    assert run.hours is None
    assert "lasts beyond" in run.text
    assert margin_runway(venue("0", "5000"), Strain(), 0.0).hours is None


def test_a_margin_that_is_gone_already_lasts_no_time() -> None:
    assert margin_runway(venue("10", "1000"), Strain(), 0.8).hours == 0.0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Strain(deviations=float("nan")), "deviations is nan"),
        (lambda: Strain(funding_per_hour=-0.1), "funding_per_hour is -0.1"),
        (lambda: Strain(0.0, 0.1, 0.0), "both 0"),
        (lambda: margin_runway(venue("1", "500"), Strain(), float("nan")), "vol is nan"),
        (lambda: margin_runway(venue("1", "500"), Strain(), 0.0), "vol is 0"),
        (lambda: margin_runway(venue("1", "500"), Strain(), 0.8, float("inf")), "vanna is inf"),
        (lambda: margin_runway(venue("1", "500"), Strain(), 0.8, most_hours=-1.0), "most_hours is -1"),
    ],
)
def test_strains_that_make_no_sense_are_refused_by_name(make: Callable[[], object], says: str) -> None:
    with pytest.raises((ValueError, DataError), match=says):
        make()


# --- what is done -----------------------------------------------------------------------------------------------------

# At 10 units of 2000 USD the requirement is 1250: target 11250, warning 9375, critical 2500, excess 15000.


@pytest.mark.parametrize(
    ("equity", "wallet", "budget", "kind", "amount"),
    [
        ("15000.01", PLENTY, PLENTY, MarginKind.WITHDRAW, "3750.01"),
        ("15000", PLENTY, PLENTY, MarginKind.NOTHING, "0"),
        ("11250", PLENTY, PLENTY, MarginKind.NOTHING, "0"),
        ("9375", PLENTY, PLENTY, MarginKind.NOTHING, "0"),
        ("9374.99", PLENTY, PLENTY, MarginKind.TOP_UP, "1875.01"),
        ("9374.99", Decimal("700.555"), PLENTY, MarginKind.TOP_UP, "700.55"),
        ("9374.99", PLENTY, Decimal(600), MarginKind.TOP_UP, "600"),
        ("9374.99", Decimal(99), PLENTY, MarginKind.NOTHING, "0"),
        ("9374.99", PLENTY, Decimal(-5), MarginKind.NOTHING, "0"),
        ("2500", NONE, NONE, MarginKind.NOTHING, "0"),
        ("2499", Decimal(100), PLENTY, MarginKind.TOP_UP, "100"),
    ],
)
def test_each_level_has_its_action(
    equity: str, wallet: Decimal, budget: Decimal, kind: MarginKind, amount: str
) -> None:
    action = act(venue("10", equity), wallet, budget)
    assert (action.kind, action.amount_usd) == (kind, Decimal(amount))
    assert action.size == 0


def test_what_reaches_the_target_is_moved_however_little_it_is() -> None:
    assert act(venue("10", "9374.99"), min_transfer_usd=Decimal(5_000)).amount_usd == Decimal("1875.01")
    assert (
        act(venue("10", "9374.99"), Decimal(1_875), min_transfer_usd=Decimal(5_000)).kind
        is MarginKind.NOTHING
    )


BEYOND = MarginPolicy(Decimal(8), Decimal(12), Decimal(20), Decimal(4), "leverage")
"""A critical leverage that the venue, which asks a sixteenth, doesn't let one reach."""


def test_a_critical_leverage_beyond_the_venues_own_is_where_it_liquidates() -> None:
    for equity, level in (("1250", MarginLevel.WARNING), ("1249", MarginLevel.CRITICAL)):
        assert margin_action(venue("10", equity), BEYOND, NONE, NONE).level is level


@pytest.mark.parametrize("size", ["10", "-10"])
def test_a_deleveraging_meets_what_other_markets_ask_too(size: str) -> None:
    state = venue(size, "1700")
    state = replace(state, margin=replace(state.margin, maintenance=Decimal(1_250 + 500)))
    action = margin_action(state, BEYOND, NONE, NONE)
    assert action.kind is MarginKind.DELEVERAGE
    left = abs(Decimal(size) + action.size) * 2000 * RATIO + 500
    assert Decimal(1_700) - abs(action.size) * 2000 * Decimal("0.0029") >= left
    assert abs(action.size) < 1


def test_the_level_is_told_whatever_is_done() -> None:
    assert act(venue("10", "9375")).level is MarginLevel.OK
    assert act(venue("10", "9000"), NONE).level is MarginLevel.WARNING
    assert act(venue("10", "2000")).level is MarginLevel.CRITICAL
    assert "budget leaves 0.00" in act(venue("10", "9000"), NONE, NONE).text


def test_no_more_is_withdrawn_than_is_free() -> None:
    state = venue("10", "20000")
    free = replace(state, margin=replace(state.margin, free_collateral=Decimal(1234)))
    assert act(free).amount_usd == 1234
    free = replace(state, margin=replace(state.margin, free_collateral=Decimal(50)))
    assert act(free).kind is MarginKind.NOTHING


def test_nothing_is_done_without_a_position() -> None:
    assert act(venue("0", "20000")).kind is MarginKind.NOTHING


@pytest.mark.parametrize("size", ["10", "-10"])
@pytest.mark.parametrize("policy", [MarginPolicy(), MarginPolicy(*map(Decimal, (2, 3, 8, 1)), "leverage")])
@pytest.mark.parametrize("equity", ["1300", "2000", "2400"])
def test_deleveraging_reaches_the_critical_level_and_no_more(
    size: str, policy: MarginPolicy, equity: str
) -> None:
    state = venue(size, equity, maintenance_ratio=RATIO)
    action = margin_action(state, policy, NONE, NONE, net_delta=Decimal("0.5"))
    assert action.kind is MarginKind.DELEVERAGE
    assert action.size * Decimal(size) < 0

    def is_enough(traded: Decimal, cost: str) -> bool:
        paid = abs(traded) * 2000 * Decimal(cost)
        after = margin_of(venue(str(Decimal(size) + traded), Decimal(equity) - paid))
        return after.equity >= policy.needed(policy.critical, after)

    # A fee of 0.1 % and an impact of 0.2 % at 10 units.
    lot = Decimal("0.01") if action.size > 0 else Decimal("-0.01")
    assert is_enough(action.size, "0.0029")
    assert not is_enough(action.size - lot, "0.0031")
    assert f"net delta is then {Decimal('0.5') + action.size:+f}" in action.text


def test_a_deleveraging_pays_for_itself() -> None:
    # With p = 2 x 0.0625 and a cost k of fee and impact, x = (p s m - E) / (m (p - k)).
    state = venue("10", "2000", curve=())
    action = act(state, NONE)
    wanted = (Decimal("0.125") * 20_000 - 2000) / (2000 * (Decimal("0.125") - Decimal("0.001")))
    assert -action.size - wanted < Decimal("0.01")
    assert -action.size >= wanted


def test_a_position_that_closing_cannot_save_is_closed() -> None:
    assert act(venue("10", "1"), NONE).size == Decimal(-10)
    assert act(venue("10", "2000", fee_ratio=Decimal("0.2")), NONE).size == Decimal(-10)


@pytest.mark.parametrize(("size", "move"), [("10", "-0.35"), ("-10", "0.35")])
def test_a_hedge_at_the_default_warning_level_outlasts_a_crash_with_a_funding_spike(
    size: str, move: str
) -> None:
    policy = MarginPolicy()
    before = margin_of(venue(size, "1"))
    equity = policy.needed(policy.warning, before)
    after = equity + Decimal(size) * 2000 * Decimal(move) - Decimal(20_000) * Decimal("0.001") * 24
    moved = venue(size, after, mark=2000 * (1 + Decimal(move)))
    margin = replace(moved.margin, maintenance=RATIO * 10 * moved.mark)
    assert not margin_of(replace(moved, margin=margin)).is_liquidatable


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"warning": Decimal(10)}, "critical < warning < target < excess"),
        ({"critical": Decimal(1)}, "already liquidates"),
        ({"measure": "leverage"}, "excess < target < warning < critical"),
        ({"measure": "hope"}, "hope"),
        ({"target": Decimal("NaN")}, "not a number"),
        ({"min_transfer_usd": Decimal(-1)}, "min_transfer_usd is -1"),
    ],
)
def test_contradictory_levels_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MarginPolicy(**changes)


def test_a_wallet_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="wallet is NaN"):
        act(venue("10", "5000"), Decimal("NaN"))
    with pytest.raises(DataError, match="budget left is NaN"):
        act(venue("10", "5000"), PLENTY, Decimal("NaN"))
