"""Claims about bot.pricing.black: textbook values, high-precision references, properties, edges, refusals."""

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from decimal import Decimal, getcontext, localcontext
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import PricingError
from bot.pricing.black import SECONDS_PER_YEAR, Greeks, black_76, black_scholes, book_delta

FIELDS = tuple(field.name for field in fields(Greeks))
FIRST_SIX = FIELDS[:6]

# ---------------------------------------------------------------------------------------------------------
# Textbook values: J. Hull, "Options, Futures, and Other Derivatives", printed to the digits given.


def test_a_stock_option_has_hulls_price() -> None:
    """The worked Black-Scholes-Merton example: six months, stock 42, strike 40, 10 % rate, 20 % vol."""
    greeks = black_scholes(42.0, 40.0, 0.5, 0.2, 0.1, [True, False])
    assert greeks.price == pytest.approx([4.76, 0.81], abs=0.005)


def test_an_index_option_has_hulls_price() -> None:
    """The worked index example: a two-month call, index 930, strike 900, 8 % rate, 20 % vol, 3 % yield."""
    greeks = black_scholes(930.0, 900.0, 2.0 / 12.0, 0.2, 0.08, True, carry_yield=0.03)
    assert float(greeks.price) == pytest.approx(51.83, abs=0.005)


def test_a_futures_option_has_hulls_price() -> None:
    """The worked Black-76 example: a four-month put, futures price 20, strike 20, 9 % rate, 25 % vol."""
    assert float(black_76(20.0, 20.0, 4.0 / 12.0, 0.25, 0.09, False).price) == pytest.approx(1.12, abs=0.005)


def test_sensitivities_are_hulls_in_the_documented_units() -> None:
    """The running example of the Greek letters: a 20-week call, stock 49, strike 50, 5 % rate, 20 % vol."""
    greeks = black_scholes(49.0, 50.0, 0.3846, 0.2, 0.05, True)
    assert float(greeks.price) == pytest.approx(2.40, abs=0.005)
    assert float(greeks.delta) == pytest.approx(0.522, abs=0.0005)
    assert float(greeks.gamma) == pytest.approx(0.066, abs=0.0005)
    assert float(greeks.vega) == pytest.approx(12.1, abs=0.05)
    assert float(greeks.theta) == pytest.approx(-4.31, abs=0.005)
    assert float(greeks.rho) == pytest.approx(8.91, abs=0.005)


# ---------------------------------------------------------------------------------------------------------
# High-precision values.

# Computed with mpmath 1.4.1 (erfc, 60 digits; 400 for the price) from the closed form, taking each argument
# as the float64 it is. Columns: spot, strike, years, vol, rate, carry yield, is_call, then the six fields.
GOLDEN = [
    (
        (3000.0, 3200.0, 0.08, 0.65, 0.04, 0.01, True),
        (143.277847385455033, 0.402493789356531465, 0.000701189146683898514),
        (328.156520648064522, -1363.62919227943177, 85.1362816547311507),
    ),
    (
        (3000.0, 3200.0, 0.08, 0.65, 0.04, 0.01, False),
        (335.453254179109244, -0.596706530558152266, 0.000701189146683898514),
        (328.156520648064522, -1266.01414721536406, -170.045827668285287),
    ),
    (
        (3000.0, 6000.0, 0.0027, 0.6, 0.05, 0.0, True),
        (5.41077481656207629e-109, 1.29199232969351304e-109, 3.07457003180409606e-110),
        (4.48272310637037213e-106, -4.98273873462976724e-104, 1.04505287785127386e-108),
    ),
    (
        (3000.0, 1500.0, 0.0027, 0.6, 0.05, 0.0, False),
        (2.22984002408352168e-109, -5.31906665731045293e-110, 1.26804583187971827e-110),
        (1.84881082288062926e-106, -2.05343527272653483e-104, -4.31446456048649261e-109),
    ),
]


@pytest.mark.parametrize(("arguments", "first_three", "last_three"), GOLDEN)
def test_spot_fields_match_golden_values(
    arguments: tuple[float, float, float, float, float, float, bool],
    first_three: tuple[float, float, float],
    last_three: tuple[float, float, float],
) -> None:
    spot, strike, years, vol, rate, carry_yield, is_call = arguments
    greeks = black_scholes(spot, strike, years, vol, rate, is_call, carry_yield)
    got = [float(getattr(greeks, name)) for name in FIRST_SIX]
    assert got == pytest.approx([*first_three, *last_three], rel=2e-12, abs=0.0)


# The same mpmath computation with the yield equal to the rate; rho is -years times the price.
GOLDEN_FORWARD = [
    (
        (100.0, 100.0, 0.25, 0.5, 0.03, True),
        (9.87331670815778434, 0.545630610950358137, 0.0157152003778951709),
        (19.6440004723689636, -19.3478009711242301, -2.46832917703944609),
    ),
    (
        (65000.0, 60000.0, 0.5, 0.45, -0.01, False),
        (5675.27573642927747, -0.342372559018398573, 0.0000178177378034836541),
        (16937.9869994366491, -7678.84690711078505, -2837.63786821463873),
    ),
]


@pytest.mark.parametrize(("arguments", "first_three", "last_three"), GOLDEN_FORWARD)
def test_forward_fields_match_golden_values(
    arguments: tuple[float, float, float, float, float, bool],
    first_three: tuple[float, float, float],
    last_three: tuple[float, float, float],
) -> None:
    greeks = black_76(*arguments)
    got = [float(getattr(greeks, name)) for name in FIRST_SIX]
    assert got == pytest.approx([*first_three, *last_three], rel=2e-14, abs=0.0)


# The reference below is the textbook price in decimal arithmetic, its sensitivities plain differences of that
# price. It shares no special function and no derivative formula with the code under test.
_BUMP = Decimal("1e-40")


@lru_cache
def _root_two_pi(digits: int) -> Decimal:
    """sqrt(2 pi), pi by Machin's formula 16 arctan(1/5) - 4 arctan(1/239)."""

    def arctan_of_inverse(n: int) -> Decimal:
        power = total = 1 / Decimal(n)
        for odd in range(3, 2 * digits, 2):
            power /= -n * n
            total += power / odd
        return total

    return (2 * (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239))).sqrt()


def _normal_cdf(x: Decimal) -> Decimal:
    """N(x) = 1/2 + n(x) (x + x^3 / 3 + x^5 / (3 * 5) + ...), summed until a term no longer counts."""
    square, term, odd = x * x, x, 1
    total, before = x, Decimal(0)
    while total != before:
        odd += 2
        term = term * square / odd
        total, before = total + term, total
    return Decimal("0.5") + (-square / 2).exp() / _root_two_pi(getcontext().prec) * total


@dataclass(frozen=True)
class _Case:
    is_call: bool
    spot: Decimal
    strike: Decimal
    years: Decimal
    vol: Decimal
    rate: Decimal
    carry_yield: Decimal

    def price(self) -> Decimal:
        phi = 1 if self.is_call else -1
        total_vol = self.vol * self.years.sqrt()
        drift = (self.rate - self.carry_yield) * self.years
        d1 = ((self.spot / self.strike).ln() + drift) / total_vol + total_vol / 2
        asset = self.spot * (-self.carry_yield * self.years).exp() * _normal_cdf(phi * d1)
        cash = self.strike * (-self.rate * self.years).exp() * _normal_cdf(phi * (d1 - total_vol))
        return phi * (asset - cash)

    def around(self, name: str) -> tuple[Decimal, Decimal]:
        """The price with one argument moved up and down by the bump."""
        value = getattr(self, name)
        up, down = replace(self, **{name: value + _BUMP}), replace(self, **{name: value - _BUMP})
        return up.price(), down.price()

    def delta(self) -> Decimal:
        up, down = self.around("spot")
        return (up - down) / (2 * _BUMP)

    def fields(self) -> dict[str, float]:
        price = self.price()
        up, down = self.around("spot")
        slopes = {}
        for name in ("vol", "years", "rate"):
            higher, lower = self.around(name)
            slopes[name] = (higher - lower) / (2 * _BUMP)
        vol_up = replace(self, vol=self.vol + _BUMP)
        vol_down = replace(self, vol=self.vol - _BUMP)
        years_up = replace(self, years=self.years + _BUMP)
        years_down = replace(self, years=self.years - _BUMP)
        return {
            "price": float(price),
            "delta": float((up - down) / (2 * _BUMP)),
            "gamma": float((up - 2 * price + down) / (_BUMP * _BUMP)),
            "vega": float(slopes["vol"]),
            "theta": float(-slopes["years"]),
            "rho": float(slopes["rate"]),
            "vanna": float((vol_up.delta() - vol_down.delta()) / (2 * _BUMP)),
            "volga": float((vol_up.price() - 2 * price + vol_down.price()) / (_BUMP * _BUMP)),
            "charm": float(-(years_up.delta() - years_down.delta()) / (2 * _BUMP)),
        }


def _reference(
    spot: float, strike: float, years: float, vol: float, rate: float, carry_yield: float, is_call: bool
) -> dict[str, float]:
    with localcontext() as context:
        # 26 deviations out N is near 1e-149, and a second difference with this bump loses 80 digits more.
        context.prec = 260
        return _Case(is_call, *map(Decimal, (spot, strike, years, vol, rate, carry_yield))).fields()


REFERENCE_CASES = [
    (3000.0, 3000.0 * math.exp(deviations * vol * math.sqrt(years)), years, vol, 0.05, 0.02)
    for deviations in (-25.0, -3.0, 0.01, 7.0, 25.0)
    for years, vol in ((1.0 / 365.0, 0.5), (0.25, 1.2))
]


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("spot", "strike", "years", "vol", "rate", "carry_yield"), REFERENCE_CASES)
def test_every_field_keeps_relative_accuracy_into_the_tails(
    spot: float, strike: float, years: float, vol: float, rate: float, carry_yield: float, is_call: bool
) -> None:
    expected = _reference(spot, strike, years, vol, rate, carry_yield, is_call)
    greeks = black_scholes(spot, strike, years, vol, rate, is_call, carry_yield)
    got = {name: float(getattr(greeks, name)) for name in FIELDS}
    # One rounding of ln(F/K) 25 total volatilities out moves the price by about 25 * 1e-16 / 0.026 of itself.
    assert got == pytest.approx(expected, rel=2e-12, abs=0.0)


def test_a_price_near_the_smallest_float_keeps_its_digits() -> None:
    spot, strike, vol = 1000.0, 1000.0 * math.exp(30.0), 0.8
    got = float(black_76(spot, strike, 1.0, vol, 0.0, True).price)
    with localcontext() as context:
        context.prec = 700
        expected = float(_Case(True, *map(Decimal, (spot, strike, 1.0, vol, 0.0, 0.0))).price())
    assert 0.0 < expected < 1e-250
    assert got == pytest.approx(expected, rel=1e-12, abs=0.0)


# ---------------------------------------------------------------------------------------------------------
# Properties.


@dataclass(frozen=True)
class Market:
    spot: float
    strike: float
    years: float
    vol: float
    rate: float
    carry_yield: float
    is_call: bool

    def value(self) -> Greeks:
        return black_scholes(
            self.spot, self.strike, self.years, self.vol, self.rate, self.is_call, self.carry_yield
        )

    @property
    def asset(self) -> float:
        """The spot less the yield it pays until expiry, in USD today."""
        return self.spot * math.exp(-self.carry_yield * self.years)

    @property
    def cash(self) -> float:
        """The strike, discounted to today, in USD."""
        return self.strike * math.exp(-self.rate * self.years)

    @property
    def forward(self) -> float:
        return self.spot * math.exp((self.rate - self.carry_yield) * self.years)


def _markets(
    years: tuple[float, float] = (0.0, 3.0), vol: tuple[float, float] = (0.0, 3.0)
) -> st.SearchStrategy[Market]:
    return st.builds(
        lambda spot, log_ratio, *rest: Market(spot, spot * math.exp(log_ratio), *rest),
        st.floats(1.0, 1e5),
        st.floats(-0.7, 0.7),
        st.floats(*years),
        st.floats(*vol),
        st.floats(-0.1, 0.3),
        st.floats(-0.1, 0.3),
        st.booleans(),
    )


ANY_MARKET = _markets()
# Wide enough in total volatility for a difference quotient of float64 prices to mean something.
SMOOTH_MARKET = _markets(years=(0.02, 2.0), vol=(0.2, 1.5))

checked = settings(max_examples=80, deadline=None)


@checked
@given(ANY_MARKET)
def test_call_less_put_is_the_discounted_forward_less_strike(market: Market) -> None:
    call, put = replace(market, is_call=True).value(), replace(market, is_call=False).value()
    scale = market.asset + market.cash
    assert float(call.price - put.price) == pytest.approx(market.asset - market.cash, abs=1e-14 * scale)
    assert float(call.delta - put.delta) == pytest.approx(market.asset / market.spot, rel=1e-14)
    assert float(call.gamma) == pytest.approx(float(put.gamma), rel=1e-14)
    assert float(call.vega) == pytest.approx(float(put.vega), rel=1e-14)
    assert float(call.rho - put.rho) == pytest.approx(market.years * market.cash, abs=1e-14 * scale)
    if market.years > 0.0:
        carry = market.carry_yield * market.asset - market.rate * market.cash
        # The part of theta both share, vol times vega over twice the years, cancels in the difference.
        shared = market.vol * float(call.vega) / (2.0 * market.years)
        assert float(call.theta - put.theta) == pytest.approx(carry, abs=1e-14 * (scale + shared))


@checked
@given(ANY_MARKET)
def test_price_stays_within_the_no_arbitrage_bounds(market: Market) -> None:
    price = float(market.value().price)
    most, least = (market.asset, market.cash) if market.is_call else (market.cash, market.asset)
    rounding = 1e-14 * (most + least)
    assert price >= 0.0
    assert price >= most - least - rounding
    assert price <= most + rounding


@checked
@given(ANY_MARKET, st.floats(0.0, 1.0))
def test_price_does_not_fall_as_volatility_rises(market: Market, more: float) -> None:
    wilder = replace(market, vol=market.vol + more)
    assert wilder.value().price >= market.value().price - 1e-14 * (market.asset + market.cash)


@checked
@given(SMOOTH_MARKET)
def test_price_rises_strictly_with_volatility_where_time_value_counts(market: Market) -> None:
    at_forward = replace(market, strike=market.forward)
    wilder = replace(at_forward, vol=1.01 * market.vol)
    assert wilder.value().price > 1.002 * at_forward.value().price


def _difference(market: Market, name: str, bump: float, field: str = "price") -> float:
    value = getattr(market, name)
    up = getattr(replace(market, **{name: value + bump}).value(), field)
    down = getattr(replace(market, **{name: value - bump}).value(), field)
    return float(up - down) / (2.0 * bump)


@checked
@given(SMOOTH_MARKET)
def test_sensitivities_are_the_slopes_of_the_price(market: Market) -> None:
    """Each is compared on the scale it has near the forward, where the quotient is good to about 1e-8."""
    greeks = market.value()
    total_vol = market.vol * math.sqrt(market.years)
    step = 1e-4 * market.spot * total_vol
    scale = market.asset + market.cash

    assert _difference(market, "spot", step) == pytest.approx(float(greeks.delta), abs=1e-6)
    gamma_scale = 1.0 / (market.spot * total_vol)
    assert _difference(market, "spot", step, "delta") == pytest.approx(
        float(greeks.gamma), abs=1e-6 * gamma_scale
    )
    vega_scale = scale * math.sqrt(market.years)
    assert _difference(market, "vol", 1e-4 * market.vol) == pytest.approx(
        float(greeks.vega), abs=1e-6 * vega_scale
    )
    theta_scale = scale * (market.vol / math.sqrt(market.years) + abs(market.rate) + abs(market.carry_yield))
    assert -_difference(market, "years", 1e-4 * market.years) == pytest.approx(
        float(greeks.theta), abs=1e-6 * theta_scale
    )
    rho_scale = scale * market.years
    assert _difference(market, "rate", 1e-4 * total_vol) == pytest.approx(
        float(greeks.rho), abs=1e-6 * rho_scale
    )
    vanna_scale = scale / market.spot / market.vol
    assert _difference(market, "vol", 1e-4 * market.vol, "delta") == pytest.approx(
        float(greeks.vanna), abs=1e-6 * vanna_scale
    )
    assert _difference(market, "spot", step, "vega") == pytest.approx(
        float(greeks.vanna), abs=1e-6 * vanna_scale
    )
    assert _difference(market, "vol", 1e-4 * market.vol, "vega") == pytest.approx(
        float(greeks.volga), abs=1e-6 * vega_scale / market.vol
    )
    speed = abs(market.rate - market.carry_yield) / total_vol + 1.0 / market.years + abs(market.carry_yield)
    assert -_difference(market, "years", 1e-4 * market.years, "delta") == pytest.approx(
        float(greeks.charm), abs=1e-6 * speed * scale / market.spot
    )


@checked
@given(SMOOTH_MARKET)
def test_fields_satisfy_the_pricing_equation(market: Market) -> None:
    """Merton's partial differential equation ties theta, delta, gamma and price together."""
    greeks = market.value()
    convexity = 0.5 * market.vol**2 * market.spot**2 * float(greeks.gamma)
    growth = (market.rate - market.carry_yield) * market.spot * float(greeks.delta)
    interest = market.rate * float(greeks.price)
    tolerance = 1e-12 * (convexity + market.asset + market.cash)
    assert float(greeks.theta) + convexity + growth - interest == pytest.approx(0.0, abs=tolerance)


@checked
@given(_markets(years=(0.001, 3.0), vol=(0.05, 3.0)))
def test_black_76_on_the_forward_is_black_scholes_on_the_spot(market: Market) -> None:
    """The sensitivities follow from the price by the chain rule through F = S exp((r - q) tau)."""
    spot = market.value()
    forward = market.forward
    ahead = black_76(forward, market.strike, market.years, market.vol, market.rate, market.is_call)
    growth = forward / market.spot
    drift = market.rate - market.carry_yield
    expected = Greeks(
        price=ahead.price,
        delta=ahead.delta * growth,
        gamma=ahead.gamma * growth**2,
        vega=ahead.vega,
        theta=ahead.theta - drift * forward * ahead.delta,
        rho=ahead.rho + market.years * forward * ahead.delta,
        vanna=ahead.vanna * growth,
        volga=ahead.volga,
        charm=(ahead.charm - drift * ahead.delta - drift * forward * ahead.gamma) * growth,
    )
    scale = market.asset + market.cash
    # Rounding the forward costs what the fields' own steepness in total volatilities makes of it.
    sizes = (scale, 1.0, 1.0 / market.spot, scale, scale, scale, 1.0 / market.vol, scale / market.vol)
    for name, size in zip(FIELDS, (*sizes, 1.0 / market.years), strict=True):
        got, want = float(getattr(spot, name)), float(getattr(expected, name))
        assert got == pytest.approx(want, rel=1e-10, abs=1e-11 * size), name


@checked
@given(ANY_MARKET, st.integers(-20, 20))
def test_prices_scale_exactly_with_the_unit_of_money(market: Market, power: int) -> None:
    unit = 2.0**power
    rescaled = replace(market, spot=market.spot * unit, strike=market.strike * unit)
    assert rescaled.value().price == unit * market.value().price
    assert rescaled.value().delta == market.value().delta


@checked
@given(st.lists(ANY_MARKET, min_size=1, max_size=6))
def test_arrays_give_the_bits_that_scalars_give(markets: list[Market]) -> None:
    columns = [np.array([getattr(market, field.name) for market in markets]) for field in fields(Market)]
    spot, strike, years, vol, rate, carry_yield, is_call = columns
    together = black_scholes(spot, strike, years, vol, rate, is_call, carry_yield)
    for name in FIELDS:
        alone = [float(getattr(market.value(), name)) for market in markets]
        np.testing.assert_array_equal(getattr(together, name), alone, err_msg=name)


def test_arguments_broadcast_to_one_shape_of_float64() -> None:
    spots = np.array([[2500], [3000], [3500]])
    strikes = np.array([2800.0, 3000.0, 3200.0, 3400.0])
    greeks = black_scholes(spots, strikes, 0.1, 0.6, 0.03, True)
    for name in FIELDS:
        array = getattr(greeks, name)
        assert array.shape == (3, 4), name
        assert array.dtype == np.float64, name
    assert greeks.price[2, 1] == black_scholes(3500, 3000, 0.1, 0.6, 0.03, True).price


@pytest.mark.parametrize("price", [black_scholes, black_76])
def test_scalars_give_arrays_without_dimensions(price: Callable[..., Greeks]) -> None:
    greeks = price(3000, 3100, 0.1, 0.6, 0.03, True)
    for name in FIELDS:
        array = getattr(greeks, name)
        assert isinstance(array, np.ndarray), name
        assert array.shape == (), name


def test_no_options_give_empty_arrays() -> None:
    assert black_scholes([], 3000.0, 0.1, 0.6, 0.03, True).price.shape == (0,)


def test_a_year_is_365_days() -> None:
    assert SECONDS_PER_YEAR == 365 * 24 * 60 * 60


# ---------------------------------------------------------------------------------------------------------
# Edges.


@pytest.mark.parametrize(
    ("spot", "is_call", "price", "delta"),
    [
        (120.0, True, 20.0, 1.0),
        (120.0, False, 0.0, 0.0),
        (80.0, True, 0.0, 0.0),
        (80.0, False, 20.0, -1.0),
        (100.0, True, 0.0, 0.5),
        (100.0, False, 0.0, -0.5),
    ],
)
def test_at_expiry_an_option_is_its_payoff(spot: float, is_call: bool, price: float, delta: float) -> None:
    for vol in (0.0, 0.7):
        greeks = black_scholes(spot, 100.0, 0.0, vol, 0.05, is_call, carry_yield=0.02)
        assert greeks.price == price
        assert greeks.delta == delta
        for name in ("gamma", "vega", "theta", "rho", "vanna", "volga", "charm"):
            assert getattr(greeks, name) == 0.0, name


@pytest.mark.parametrize(
    ("spot", "strike", "is_call", "exercised"),
    [
        (120.0, 100.0, True, 1.0),
        (120.0, 100.0, False, 0.0),
        (80.0, 100.0, True, 0.0),
        (80.0, 100.0, False, -1.0),
        # The spot is below the strike and the forward above it: the forward decides.
        (99.9, 100.0, True, 1.0),
        (99.9, 100.0, False, 0.0),
    ],
)
def test_without_volatility_an_option_is_its_discounted_payoff(
    spot: float, strike: float, is_call: bool, exercised: float
) -> None:
    years, rate, carry_yield = 0.5, 0.05, 0.02
    asset, cash = spot * math.exp(-carry_yield * years), strike * math.exp(-rate * years)
    greeks = black_scholes(spot, strike, years, 0.0, rate, is_call, carry_yield)
    assert float(greeks.price) == pytest.approx(exercised * (asset - cash), rel=1e-13, abs=0.0)
    assert float(greeks.delta) == pytest.approx(exercised * asset / spot, rel=1e-15, abs=0.0)
    assert greeks.gamma == 0.0
    assert greeks.vega == 0.0
    assert float(greeks.theta) == pytest.approx(
        exercised * (carry_yield * asset - rate * cash), rel=1e-13, abs=0.0
    )
    assert float(greeks.rho) == pytest.approx(exercised * years * cash, rel=1e-15, abs=0.0)
    assert greeks.vanna == 0.0
    assert greeks.volga == 0.0
    assert float(greeks.charm) == pytest.approx(carry_yield * float(greeks.delta), rel=1e-15, abs=0.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_at_the_forward_without_volatility_fields_are_the_middle_of_the_kink(sign: float) -> None:
    years, rate = 0.25, 0.04
    discount = math.exp(-rate * years)
    greeks = black_76(100.0, 100.0, years, 0.0, rate, sign > 0.0)
    assert greeks.price == 0.0
    assert float(greeks.delta) == pytest.approx(sign * 0.5 * discount, rel=1e-15)
    assert greeks.gamma == 0.0
    assert float(greeks.vega) == pytest.approx(
        100.0 * discount * math.sqrt(years / (2.0 * math.pi)), rel=1e-15
    )
    assert float(greeks.theta) == pytest.approx(0.0, abs=1e-14)
    assert greeks.rho == 0.0
    assert float(greeks.vanna) == pytest.approx(float(greeks.vega) / 200.0, rel=1e-15)
    assert greeks.volga == 0.0
    assert float(greeks.charm) == pytest.approx(rate * float(greeks.delta), rel=1e-15)


def test_vega_at_the_forward_without_volatility_is_the_one_sided_slope() -> None:
    arguments = (100.0, 100.0, 0.25)
    nudged = float(black_76(*arguments, 1e-6, 0.04, True).price)
    assert float(black_76(*arguments, 0.0, 0.04, True).vega) == pytest.approx(nudged / 1e-6, rel=1e-8)


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("strike", [90.0, 110.0])
def test_fields_run_into_their_limits_as_volatility_and_time_vanish(strike: float, is_call: bool) -> None:
    still = black_scholes(100.0, strike, 0.5, 0.0, 0.05, is_call, carry_yield=0.02)
    nearly_still = black_scholes(100.0, strike, 0.5, 1e-9, 0.05, is_call, carry_yield=0.02)
    over = black_scholes(100.0, strike, 0.0, 0.6, 0.05, is_call)
    nearly_over = black_scholes(100.0, strike, 1e-12, 0.6, 0.05, is_call)
    for name in FIELDS:
        assert getattr(nearly_still, name) == getattr(still, name), name
        if name not in ("theta", "charm"):
            assert float(getattr(nearly_over, name)) == pytest.approx(float(getattr(over, name)), abs=1e-9), (
                name
            )


def test_unbounded_volatility_makes_a_call_worth_its_asset_and_a_put_its_cash() -> None:
    greeks = black_scholes(100.0, [80.0, 120.0], 3.0, 50.0, 0.05, [[True], [False]], carry_yield=0.02)
    asset, discount = 100.0 * math.exp(-0.06), math.exp(-0.15)
    prices = [[asset, asset], [80.0 * discount, 120.0 * discount]]
    np.testing.assert_allclose(greeks.price, prices, rtol=1e-15)
    np.testing.assert_allclose(greeks.delta, [[asset / 100.0] * 2, [0.0, 0.0]], rtol=1e-15)


def test_far_in_the_money_delta_is_exactly_the_yield_discount() -> None:
    call = black_scholes(1000.0, 1.0, 0.5, 0.3, 0.05, True, carry_yield=0.02)
    put = black_scholes(1.0, 1000.0, 0.5, 0.3, 0.05, False, carry_yield=0.02)
    assert float(call.delta) == pytest.approx(math.exp(-0.01), rel=1e-15)
    assert float(put.delta) == pytest.approx(-math.exp(-0.01), rel=1e-15)
    assert black_scholes(1000.0, 1.0, 0.5, 0.3, 0.05, True).delta == 1.0


def test_a_negative_zero_counts_as_zero() -> None:
    for years, vol in ((1.0, -0.0), (-0.0, 0.5)):
        greeks = black_scholes(110.0, 100.0, years, vol, 0.0, True)
        assert greeks.price == 10.0
        assert greeks.delta == 1.0


def _extremes() -> list[npt.NDArray[np.float64]]:
    prices = [1e-140, 1e-3, np.nextafter(3000.0, 0.0), 3000.0, 9000.0, 1e9, 1e140]
    durations = [0.0, 5e-324, 1e-300, 1e-12, 1.0 / 365.0, 1.0, 50.0]
    vols = [0.0, 5e-324, 1e-160, 1e-9, 0.5, 4.0, 50.0]
    rates = [-0.2, 0.0, 0.3]
    return list(np.meshgrid(prices, prices, durations, vols, rates, rates))


@pytest.mark.parametrize("is_call", [True, False])
def test_extreme_arguments_give_bounded_numbers_without_warnings(is_call: bool) -> None:
    spot, strike, years, vol, rate, carry_yield = _extremes()
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        greeks = black_scholes(spot, strike, years, vol, rate, is_call, carry_yield)
    for name in FIELDS:
        assert not np.any(np.isnan(getattr(greeks, name))), name
    asset, cash = spot * np.exp(-carry_yield * years), strike * np.exp(-rate * years)
    assert np.all(greeks.price >= 0.0)
    assert np.all(greeks.price <= (asset if is_call else cash) * (1.0 + 1e-13))
    assert np.all(np.abs(greeks.delta) <= asset / spot * (1.0 + 1e-13))
    assert np.all((greeks.delta >= 0.0) if is_call else (greeks.delta <= 0.0))
    assert np.all(greeks.gamma >= 0.0)
    assert np.all(greeks.vega >= 0.0)
    # Only a gamma larger than the largest float, at the forward within 1e-150 of no volatility, is infinite.
    assert np.all(np.isfinite(greeks.gamma) | (vol * np.sqrt(years) < 1e-150))
    for name in ("price", "delta", "vega", "theta", "rho", "vanna", "volga"):
        assert np.all(np.isfinite(getattr(greeks, name))), name
    assert np.all(np.isfinite(greeks.charm) | (vol * np.sqrt(years) < 1e-150))


# ---------------------------------------------------------------------------------------------------------
# Refusals.

NUMBERS: dict[str, float] = {
    "spot": 3000.0,
    "strike": 3100.0,
    "years": 0.1,
    "vol": 0.6,
    "rate": 0.03,
    "carry_yield": 0.01,
}
NOT_FINITE = (math.nan, math.inf, -math.inf)
REFUSED = [
    *((name, bad) for name in NUMBERS for bad in NOT_FINITE),
    *((name, bad) for name in ("spot", "strike") for bad in (0.0, -1.0)),
    ("years", -1e-9),
    ("vol", -1e-9),
    ("vol", 50.1),
]


@pytest.mark.parametrize(("name", "bad"), REFUSED)
def test_black_scholes_refuses_a_bad_number_by_name_and_place(name: str, bad: float) -> None:
    with pytest.raises(PricingError, match=rf"^{name} is {re.escape(str(bad))}: it must"):
        black_scholes(**{**NUMBERS, name: bad}, is_call=True)
    good = NUMBERS[name]
    arguments: dict[str, npt.ArrayLike] = {**NUMBERS, name: [good, good, bad, bad]}
    with pytest.raises(PricingError, match=rf"^{name}\[2\] is {re.escape(str(bad))}: it must"):
        black_scholes(**arguments, is_call=True)
    arguments = {**NUMBERS, name: [[good], [bad]]}
    with pytest.raises(PricingError, match=rf"^{name}\[1, 0\] is {re.escape(str(bad))}: it must"):
        black_scholes(**arguments, is_call=[True, False, True])


@pytest.mark.parametrize(("name", "bad"), [case for case in REFUSED if case[0] != "carry_yield"])
def test_black_76_refuses_a_bad_number_by_name(name: str, bad: float) -> None:
    name = "forward" if name == "spot" else name
    numbers = {"forward": 3000.0, "strike": 3100.0, "years": 0.1, "vol": 0.6, "rate": 0.03}
    with pytest.raises(PricingError, match=rf"^{name} is {re.escape(str(bad))}: it must"):
        black_76(**{**numbers, name: bad}, is_call=True)


def test_a_refusal_says_what_is_wrong_and_where() -> None:
    vols = [0.5, 0.6, 0.7, math.nan]
    with pytest.raises(PricingError, match=r"^vol\[3\] is nan: it must be finite$"):
        black_scholes(**{**NUMBERS, "vol": vols}, is_call=True)


def test_a_bad_number_is_refused_where_no_option_is_priced() -> None:
    with pytest.raises(PricingError, match=r"^vol is nan"):
        black_scholes([], 3000.0, 0.1, math.nan, 0.03, True)


@pytest.mark.parametrize("bad", ["3000", None, True, [1.0, "x"], 1j, [[1.0], [1.0, 2.0]]])
def test_what_is_no_number_is_refused_by_name(bad: Any) -> None:
    with pytest.raises(PricingError, match=r"^strike"):
        black_scholes(**{**NUMBERS, "strike": bad}, is_call=True)


@pytest.mark.parametrize("bad", ["put", 1, 0.0, [1, 0], None])
def test_a_side_that_is_not_boolean_is_refused(bad: npt.ArrayLike) -> None:
    with pytest.raises(PricingError, match=r"^is_call must be boolean"):
        black_scholes(**NUMBERS, is_call=bad)


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 1e4},
        {"rate": -1e4},
        {"carry_yield": 1e4},
        {"carry_yield": -1e4},
        # Only one of the two discount factors overflows, and the forward does not.
        {"rate": -700.0, "carry_yield": -1400.0},
        {"rate": -1400.0, "carry_yield": -700.0},
        {"rate": 1e308, "carry_yield": -1e308, "years": 0.0},
        {"spot": 1e200, "strike": 1e-200},
        {"spot": 1e-200, "strike": 1e200},
    ],
)
def test_arguments_beyond_float_range_are_refused_without_warnings(changes: dict[str, float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(
            PricingError, match=r"^(spot|strike|rate|carry_yield)\b.* outside the range of float64"
        ):
            black_scholes(**{**NUMBERS, "years": 1.0, **changes}, is_call=True)


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(PricingError, match=r"broadcast.*spot \(2,\), strike \(3,\)"):
        black_scholes([3000.0, 3100.0], [3000.0, 3100.0, 3200.0], 0.1, 0.6, 0.03, True)


def test_the_option_that_leaves_float_range_is_named() -> None:
    with pytest.raises(PricingError, match=r"^rate\[1\] is 10000.0: it puts the discount factor outside"):
        black_scholes(**{**NUMBERS, "years": 1.0, "rate": [0.0, 1e4]}, is_call=True)


# ---------------------------------------------------------------------------------------------------------
# A book's delta.


def _book(count: int) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(11)
    return {
        "strike": 3000.0 * np.exp(rng.uniform(-1.0, 1.0, count)),
        "years": np.where(rng.random(count) < 0.2, 0.0, rng.uniform(1e-4, 1.0, count)),
        "vol": np.where(rng.random(count) < 0.1, 0.0, rng.uniform(0.1, 2.0, count)),
        "rate": rng.uniform(-0.05, 0.2, count),
        "is_call": rng.random(count) < 0.5,
    }


@pytest.mark.parametrize("count", [0, 1, 300])
def test_a_books_delta_is_the_sum_of_its_options(count: int) -> None:
    book = _book(count)
    size = np.random.default_rng(12).normal(size=count)
    # Prices at strikes too, where options that have expired or don't move are in the middle of their step.
    prices = np.array([*np.linspace(1000.0, 9000.0, 29), *book["strike"][:4]])
    expected = [float(np.sum(size * black_scholes(price, **book).delta)) for price in prices]
    np.testing.assert_allclose(
        book_delta(prices, **book, size=size), expected, rtol=1e-12, atol=1e-12 * (count + 1)
    )


def test_a_books_delta_at_a_price_does_not_depend_on_the_other_prices_order() -> None:
    book = _book(50)
    prices = np.array([3000.0, 2000.0, 4000.0])
    together = book_delta(prices, **book, size=1.0)
    np.testing.assert_array_equal(book_delta(prices[[0, 2, 1]], **book, size=1.0), together[[0, 2, 1]])


def test_an_expired_option_counts_by_its_moneyness() -> None:
    deltas = book_delta([90.0, 100.0, 110.0], 100.0, 0.0, 0.0, 0.05, [True, False], [1.0, 10.0])
    assert deltas.tolist() == [-10.0, -4.5, 1.0]


@pytest.mark.parametrize("name", ["prices", "strike", "years", "vol", "rate", "size"])
def test_a_bad_number_in_a_book_is_refused_by_name_and_place(name: str) -> None:
    book: dict[str, npt.ArrayLike] = {
        "prices": [3000.0, 3100.0],
        "strike": 3000.0,
        "years": 0.1,
        "vol": 0.5,
        "rate": 0.0,
        "size": 1.0,
        "is_call": True,
    }
    with pytest.raises(PricingError, match=rf"^{name}\[1\] is nan: it must be finite"):
        book_delta(**{**book, name: [1.0, math.nan]})


def test_a_book_beyond_float_range_is_refused() -> None:
    with pytest.raises(PricingError, match=r"^prices\[1\] is 1e\+300: .* outside the range of float64"):
        book_delta([1.0, 1e300], [1.0, 1e-100], 0.1, 0.5, 0.0, True, 1.0)
    with pytest.raises(PricingError, match="one dimension"):
        book_delta(3000.0, 3000.0, 0.1, 0.5, 0.0, True, 1.0)
