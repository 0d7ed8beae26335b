"""What an order costs: the quoted curve, and nothing beyond it."""

from decimal import Decimal

import pytest
from builders import CURVE, snapshot, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.core.costs import Costs, costs_of
from bot.core.model import CostPoint

SIZES = st.decimals("-60", "60", places=6)
COSTS = Costs(Decimal(2000), Decimal("0.001"), CURVE, Decimal("1.8"), Decimal("0.001"))


@pytest.mark.parametrize(
    ("size", "price"),
    [
        ("0", "2000"),
        ("5", "2002"),
        ("20", "2008"),
        ("60", "2024"),
        ("-5", "1998"),
        ("-60", "1976"),
        ("2.5", "2001"),
        ("12.5", "2005"),
        ("40", "2016"),
        ("-2.5", "1999"),
        ("-12.5", "1995"),
        ("-40", "1984"),
    ],
)
def test_a_price_is_the_quoted_one_or_on_the_line_between_two(size: str, price: str) -> None:
    assert COSTS.average_price(Decimal(size)) == Decimal(price)


@pytest.mark.parametrize("size", ["60.001", "-60.001", "1e9", "-1e9"])
def test_a_size_beyond_the_curve_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match=r"beyond the quoted -?60"):
        COSTS.average_price(Decimal(size))


@pytest.mark.parametrize(("size", "curve"), [("1", CURVE[3:]), ("-1", CURVE[:3]), ("1", ()), ("-1", ())])
def test_a_side_that_was_not_quoted_is_refused(size: str, curve: tuple[CostPoint, ...]) -> None:
    with pytest.raises(ValueError, match="beyond the quoted 0"):
        Costs(COSTS.mark, COSTS.fee_ratio, curve, COSTS.gas_usd, COSTS.lot).average_price(Decimal(size))


@pytest.mark.parametrize(
    ("side", "price", "size"),
    [
        (1, "2000", "0"),
        (1, "1999", "0"),
        (1, "2001", "2.5"),
        (1, "2023.6", "59"),
        (1, "2024", None),
        (-1, "2000", "0"),
        (-1, "2001", "0"),
        (-1, "1999", "2.5"),
        (-1, "1976.4", "59"),
        (-1, "1976", None),
    ],
)
def test_the_reach_of_a_price_is_the_size_that_has_it_on_average(
    side: int, price: str, size: str | None
) -> None:
    assert COSTS.reach(side, Decimal(price)) == (None if size is None else Decimal(size))


def test_beyond_the_spread_a_price_reaches_nothing() -> None:
    spread = Costs(COSTS.mark, COSTS.fee_ratio, CURVE, COSTS.gas_usd, COSTS.lot, half_spread=Decimal("0.5"))
    assert spread.reach(1, Decimal("2000.4")) == 0
    assert spread.reach(-1, Decimal("1999.6")) == 0


@given(st.permutations(CURVE), SIZES)
def test_the_order_of_the_points_makes_no_difference(curve: list[CostPoint], size: Decimal) -> None:
    shuffled = Costs(COSTS.mark, COSTS.fee_ratio, tuple(curve), COSTS.gas_usd, COSTS.lot)
    assert shuffled.average_price(size) == COSTS.average_price(size)


@given(SIZES)
def test_moving_the_price_never_pays(size: Decimal) -> None:
    assert COSTS.impact_usd(size) >= 0
    assert (COSTS.impact_usd(size) > 0) == (size != 0)


@given(SIZES, SIZES)
def test_a_larger_order_on_a_side_has_no_better_price(one: Decimal, other: Decimal) -> None:
    small, large = sorted((abs(one), abs(other)))
    assert COSTS.average_price(large) >= COSTS.average_price(small)
    assert COSTS.average_price(-large) <= COSTS.average_price(-small)


@pytest.mark.parametrize(("size", "fee", "impact"), [("20", "40.16", "160"), ("-20", "39.84", "160")])
def test_fee_and_impact_have_known_values(size: str, fee: str, impact: str) -> None:
    assert COSTS.fee_usd(Decimal(size)) == Decimal(fee)
    assert COSTS.impact_usd(Decimal(size)) == Decimal(impact)
    assert COSTS.itemise(Decimal(size)) == {
        "average_price": f"{COSTS.average_price(Decimal(size)):.6f}",
        "fee_usd": f"{fee}00",
        "spread_usd": "0.0000",
        "impact_usd": f"{impact}.0000",
        "gas_usd": "1.8000",
        "keeper_usd": "0.0000",
        "cost_usd": f"{Decimal(fee) + Decimal(impact) + Decimal('1.8'):.4f}",
    }


def test_a_cost_that_was_not_quoted_is_said_to_be_so() -> None:
    assert COSTS.itemise(Decimal(61)) == {
        "cost": "not quoted at this size; the order is cut to the venue's limit"
    }


SPREAD = Decimal("0.4")
DEALT = Costs(
    Decimal(2000),
    Decimal("0.001"),
    (CostPoint(Decimal(10), Decimal("2002.4")), CostPoint(Decimal(-10), Decimal("1997.6"))),
    Decimal("1.8"),
    Decimal("0.001"),
    half_spread=SPREAD,
    keeper_usd=Decimal("0.7"),
)


@pytest.mark.parametrize("side", [1, -1])
def test_a_spread_is_paid_beside_impact_and_fee(side: int) -> None:
    size = Decimal(10 * side)
    assert DEALT.spread_usd(size) == 4
    assert DEALT.impact_usd(size) == 20
    assert DEALT.proportional_usd(size) == DEALT.fee_usd(size) + 24
    assert DEALT.fixed_usd == Decimal("2.5")
    assert DEALT.itemise(size)["cost_usd"] == f"{DEALT.proportional_usd(size) + Decimal('2.5'):.4f}"


def test_the_ratio_of_nothing_is_fee_and_half_spread() -> None:
    assert DEALT.ratio(Decimal(0)) == Decimal("0.001") + SPREAD / 2000


@given(st.decimals("0.001", "10", places=3), st.sampled_from([1, -1]))
def test_the_ratio_is_the_cost_over_the_notional(size: Decimal, side: int) -> None:
    signed = size * side
    assert DEALT.ratio(signed) == pytest.approx(DEALT.proportional_usd(signed) / (size * 2000))


@pytest.mark.parametrize("size", ["10.001", "-1e9"])
def test_beyond_the_quotes_the_ratio_is_that_of_the_largest_quoted(size: str) -> None:
    side = 1 if Decimal(size) > 0 else -1
    assert DEALT.ratio(Decimal(size)) == DEALT.ratio(Decimal(10 * side))
    assert DEALT.quoted(Decimal(size)) == 10 * side


def test_the_costs_of_a_snapshot_are_the_venues_and_the_chains() -> None:
    state = venue_state(
        order_gas=900_000,
        half_spread=SPREAD,
        keeper_gas=500_000,
        funding_per_hour=Decimal("0.00001"),
    )
    seen = snapshot(venue=state, gas_price_wei=2 * 10**9, native_usd=Decimal(2000))
    assert costs_of(seen) == Costs(
        mark=Decimal(2000),
        fee_ratio=Decimal("0.001"),
        curve=CURVE,
        gas_usd=Decimal("3.6"),
        lot=Decimal("0.001"),
        half_spread=SPREAD,
        keeper_usd=Decimal(2),
        funding_per_year=Decimal("175.2"),
    )
