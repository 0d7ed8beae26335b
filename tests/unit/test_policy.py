"""The delta band: when it trades, how much, and that it never overshoots."""

import math
from decimal import Decimal

import pytest
from builders import CURVE, exposure
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bot.core.costs import Costs
from bot.core.model import CostPoint, Decision, Hold, Rebalance
from bot.core.policy import DeltaBand
from bot.errors import DataError

DEEP = (*CURVE, CostPoint(Decimal(10) ** 9, Decimal(9000)), CostPoint(-(Decimal(10) ** 9), Decimal(9)))
DELTAS = st.floats(-1e6, 1e6, allow_nan=False)
SIZES = st.decimals("0", "1000", places=3)
LOTS = st.sampled_from([Decimal(text) for text in ("0.000001", "0.001", "0.01", "0.5", "1", "10")])


def costs(lot: Decimal = Decimal("0.001")) -> Costs:
    return Costs(Decimal(2000), Decimal("0.001"), DEEP, Decimal("1.8"), lot)


def decide(
    low: float, high: float, *, trigger: Decimal, target: Decimal, min_trade: Decimal, lot: Decimal
) -> Decision:
    return DeltaBand(trigger, target, min_trade).decide(exposure(low, high), costs(lot))


def band(trigger: str = "0.5", target: str = "0", min_trade: str = "0") -> DeltaBand:
    return DeltaBand(Decimal(trigger), Decimal(target), Decimal(min_trade))


@given(st.floats(-1, 1), SIZES, SIZES, SIZES, LOTS)
@example(1.0, Decimal("0.5"), Decimal(0), Decimal(0), Decimal("0.001"))
@example(-1.0, Decimal("0.5"), Decimal("0.5"), Decimal(0), Decimal("0.001"))
def test_it_never_trades_inside_the_band(
    share: float, one: Decimal, other: Decimal, min_trade: Decimal, lot: Decimal
) -> None:
    target, trigger = sorted((one, other))
    net = share * float(trigger)
    decision = decide(net, net, trigger=trigger, target=target, min_trade=min_trade, lot=lot)
    assert isinstance(decision, Hold)
    assert decision.code == "INSIDE_BAND"


@given(DELTAS, SIZES, SIZES, SIZES, LOTS)
@example(0.5000000001, Decimal("0.5"), Decimal(0), Decimal(0), Decimal("0.001"))
@example(-1e6, Decimal(0), Decimal(0), Decimal(0), Decimal(10))
def test_a_trade_brings_the_net_within_a_lot_of_the_target_on_its_side(
    net: float, one: Decimal, other: Decimal, min_trade: Decimal, lot: Decimal
) -> None:
    target, trigger = sorted((one, other))
    assume(abs(net) > float(trigger))
    decision = decide(net, net, trigger=trigger, target=target, min_trade=min_trade, lot=lot)
    if isinstance(decision, Hold):
        assert decision.code == "BELOW_MIN_TRADE"
        assert Decimal(repr(abs(net))) - target < max(min_trade, lot) + lot
        return
    left = Decimal(repr(net)) + decision.size
    assert (decision.size > 0) == (net < 0)
    assert left * Decimal(repr(net)) >= 0, "it crossed zero"
    assert target <= abs(left) < target + lot
    assert decision.size % lot == 0
    assert abs(decision.size) >= min_trade


@given(DELTAS, DELTAS, SIZES, SIZES, LOTS)
@example(-5.0, 5.0, Decimal("0.5"), Decimal(0), Decimal("0.001"))
@example(-7.0, -2.0, Decimal("0.5"), Decimal("0.25"), Decimal("0.001"))
def test_a_trade_is_right_whichever_end_of_the_interval_is_true(
    one: float, other: float, this: Decimal, that: Decimal, lot: Decimal
) -> None:
    (low, high), (target, trigger) = sorted((one, other)), sorted((this, that))
    decision = decide(low, high, trigger=trigger, target=target, min_trade=Decimal(0), lot=lot)
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    if isinstance(decision, Hold):
        assert nearest <= float(trigger) + float(lot)
        return
    assert nearest > float(trigger)
    for end in (Decimal(repr(low)), Decimal(repr(high))):
        left = end + decision.size
        assert abs(left) < abs(end)
        assert left * end >= 0, "it crossed zero"
        assert abs(left) >= target


def test_an_interval_around_zero_is_left_alone() -> None:
    decision = band().decide(exposure(-40.0, 0.1), costs())
    assert isinstance(decision, Hold)
    assert decision.code == "INSIDE_BAND"


def test_below_the_smallest_trade_it_holds_and_at_it_it_trades() -> None:
    below = band(min_trade="1").decide(exposure(-0.9994), costs())
    assert isinstance(below, Hold)
    assert below.code == "BELOW_MIN_TRADE"
    assert "0.999" in below.text
    assert band(min_trade="1").decide(exposure(-1.0), costs()).kind == "rebalance"


def test_a_size_of_less_than_a_lot_is_held_without_a_smallest_trade() -> None:
    decision = band(trigger="0").decide(exposure(0.0004), costs())
    assert isinstance(decision, Hold)
    assert decision.code == "BELOW_MIN_TRADE"


@pytest.mark.parametrize(("net", "size"), [(3.2, "-3.2"), (-3.2, "3.2"), (0.6, "-0.6")])
def test_a_long_net_sells_and_a_short_net_buys(net: float, size: str) -> None:
    decision = band().decide(exposure(net), costs())
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal(size)
    assert ("sell" if net > 0 else "buy") in decision.text
    assert decision.remaining == 0


def test_a_target_leaves_that_much() -> None:
    decision = band(trigger="2", target="1.5").decide(exposure(-5.0), costs())
    assert isinstance(decision, Rebalance)
    assert decision.size == Decimal("3.5")


@pytest.mark.parametrize("net", [0.2, 3.0, 0.55])
def test_the_decision_carries_its_arithmetic(net: float) -> None:
    decision = band(min_trade="0.6").decide(exposure(net, net + 1), costs())
    wanted = {
        "net_delta": f"{net + 0.5:+.6f}",
        "net_lo": f"{net:+.6f}",
        "net_hi": f"{net + 1:+.6f}",
        "trigger": "0.5",
        "target": "0",
        "min_trade": "0.6",
    }
    assert decision.arithmetic.items() >= wanted.items()
    if isinstance(decision, Rebalance):
        assert decision.arithmetic.items() >= costs().itemise(decision.size).items()
        assert set(decision.arithmetic) > {"average_price", "fee_usd", "impact_usd", "gas_usd"}


@pytest.mark.parametrize(
    ("trigger", "target", "min_trade", "why"),
    [
        ("0.5", "0.6", "0", "target ≤ trigger"),
        ("0.5", "-0.1", "0", "0 ≤ target"),
        ("-1", "-1", "0", "0 ≤ target"),
        ("0.5", "0", "-0.001", "min_trade must not be negative"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    trigger: str, target: str, min_trade: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        band(trigger, target, min_trade)


@pytest.mark.parametrize("net", [math.nan, math.inf, -math.inf])
def test_a_net_delta_that_is_not_a_number_is_never_traded_on(net: float) -> None:
    with pytest.raises(DataError, match="net delta"):
        band().decide(exposure(net), costs())
