"""Value at risk and expected shortfall, in three ways: by past returns, by the greeks, by Monte Carlo.

All are of the profit and loss at the end of a horizon of book and hedge left alone: nothing is rebalanced and the hedge
is not closed. A loss is positive. VaR at confidence c is the least loss that is exceeded with a probability of at most
1 − c; expected shortfall is the mean of the worst 1 − c of the outcomes (C. Acerbi and D. Tasche, "On the coherence of
expected shortfall", 2002), so it is never below VaR.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr

from bot.core.greeks import SUMMED, price_book
from bot.core.model import Snapshot
from bot.core.scenario import HOUR_S, Held, revalue, shocks_of
from bot.core.target import Target
from bot.errors import DataError
from bot.pricing.black import SECONDS_PER_YEAR

FloatArray = npt.NDArray[np.float64]

MOST_PATHS = 10_000_000
NODES, SPAN = 4_001, 9.0
"""Points of the trapezoid over a quadratic's lesser factor, and the standard deviations that they span each way."""


@dataclass(frozen=True, slots=True)
class Law:
    """How price and vols move. `vol` is the price's, annual, above 0. `vol_of_vol` is the annual standard deviation of
    the vols' relative move, one for all of them (0: they stay); `correlation` that of the two. Neither has a drift.
    """

    vol: float
    vol_of_vol: float = 0.0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.vol) and self.vol > 0.0):
            raise ValueError(f"vol is {self.vol}; the price's vol must be above 0")
        if not (math.isfinite(self.vol_of_vol) and self.vol_of_vol >= 0.0):
            raise ValueError(f"vol_of_vol is {self.vol_of_vol}; it must be 0 or more")
        if not -1.0 <= self.correlation <= 1.0:
            raise ValueError(f"correlation is {self.correlation}; it must be from -1 to 1")


@dataclass(frozen=True, slots=True)
class Tail:
    """The bad end of the outcomes, in USD; negative where even that is a gain.

    `var_error` and `es_error` are one standard error of sampling, 0 where nothing was sampled. `outcomes` is how many
    were, `assumes` one sentence.
    """

    method: str
    confidence: float
    hours: float
    var_usd: float
    es_usd: float
    var_error: float
    es_error: float
    outcomes: int
    assumes: str


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """Book and hedge to the second order, for relative moves of price and vols.

    USD: `delta` per 1.00 of relative price move, `gamma` per its square, `vega` per 1.00 of the vols' relative move,
    `volga` per its square, `vanna` per the product of both, `theta` per year with the hedge's funding.
    """

    delta: float
    gamma: float
    vega: float
    vanna: float
    volga: float
    theta: float


def check(confidence: float, hours: float) -> None:
    """ValueError for a confidence or a horizon that is none."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1")
    if not (math.isfinite(hours) and hours > 0.0):
        raise ValueError(f"horizon is {hours} hours; it must be above 0")


def historical(held: Held, returns: npt.ArrayLike, confidence: float, hours: float) -> Tail:
    """By past simple `returns` (n,), each over one horizon of `hours`, the book priced again at every one.

    Vols stay. ValueError as `check` says; DataError where a return is none, or there are too few for the confidence:
    at least one must lie beyond it.
    """
    check(confidence, hours)
    moves = np.asarray(returns, dtype=np.float64).reshape(-1)
    wrong = np.flatnonzero(~np.isfinite(moves) | (moves <= -1.0))
    if wrong.size:
        raise DataError(f"return {wrong[0]} is {moves[wrong[0]]}; a return is a number above -1")
    needed = math.ceil(1.0 / (1.0 - confidence) - 1e-9)
    if moves.size < needed:
        raise DataError(
            f"a historical VaR at {confidence:.4g} needs at least {needed} returns, got {moves.size}"
        )
    profits = revalue(held, shocks_of(moves, hours=hours)).marked
    text = f"the next {hours:g} h are one of {moves.size} past returns, each as likely; vols stay"
    return tail_of("historical", profits, confidence, hours, text)


def monte_carlo(
    held: Held, law: Law, confidence: float, hours: float, paths: int = 20_000, seed: int = 7
) -> Tail:
    """By `paths` drawn moves, the book priced again at every one. ValueError as `check` says, or for too few paths.

    Price and vols are lognormal martingales: e^(σ√t Z − σ²t/2). The same seed draws the same moves.
    """
    check(confidence, hours)
    if not math.ceil(1.0 / (1.0 - confidence) - 1e-9) <= paths <= MOST_PATHS:
        raise ValueError(
            f"{paths} paths: a VaR at {confidence:.4g} needs {math.ceil(1.0 / (1.0 - confidence) - 1e-9)} "
            f"to {MOST_PATHS}"
        )
    drawn = np.random.default_rng(seed).standard_normal((2, paths))
    other = law.correlation * drawn[0] + math.sqrt(1.0 - law.correlation**2) * drawn[1]
    root = math.sqrt(hours * HOUR_S / SECONDS_PER_YEAR)
    price = np.expm1(law.vol * root * drawn[0] - (law.vol * root) ** 2 / 2.0)
    factor = np.exp(law.vol_of_vol * root * other - (law.vol_of_vol * root) ** 2 / 2.0)
    profits = revalue(held, shocks_of(price, hours=hours, vol_factor=factor)).marked
    text = (
        f"price lognormal with vol {law.vol:.1%}, all vols lognormal with {law.vol_of_vol:.0%} a year, "
        f"correlation {law.correlation:+g}, no drift, no jumps"
    )
    return tail_of("monte_carlo", profits, confidence, hours, text)


def tail_of(method: str, profits: FloatArray, confidence: float, hours: float, assumes: str) -> Tail:
    """The tail of sampled `profits` (n,) in USD, with its standard errors.

    VaR's is half the distance of the order statistics one binomial deviation to either side; expected shortfall's is
    Manistre and Hancock's, "Variance of the CTE estimator" (2005).
    """
    losses = np.sort(-profits)
    count = losses.size
    beyond = count * (1.0 - confidence)
    # Rounding of n·c must not take the next loss where n·c is a whole number.
    place = min(max(math.ceil(count - beyond - 1e-9 * count), 1), count) - 1
    var = float(losses[place])
    worse = losses[place + 1 :]
    shortfall = (float(worse.sum()) + (beyond - worse.size) * var) / beyond
    spread = math.sqrt(count * confidence * (1.0 - confidence))
    low, high = max(math.floor(place - spread), 0), min(math.ceil(place + spread), count - 1)
    inside = losses[place:]
    variance = float(inside.var()) + confidence * (shortfall - var) ** 2
    return Tail(
        method=method,
        confidence=confidence,
        hours=hours,
        var_usd=var,
        es_usd=shortfall,
        var_error=float(losses[high] - losses[low]) / 2.0,
        es_error=math.sqrt(variance / beyond),
        outcomes=count,
        assumes=assumes,
    )


def sensitivities_of(snapshot: Snapshot) -> Sensitivities:
    """A snapshot's own, by Black-Scholes with each option's vol. DataError as `price_book` says."""
    spot, venue = float(snapshot.spot), snapshot.venue
    parts = [
        (p.columns.vol, dict(zip(SUMMED, p.values, strict=True))) for p in price_book(snapshot, Target())
    ]

    def total(name: str, power: int) -> float:
        return float(sum(np.sum(values[name] * vol**power) for vol, values in parts))

    holdings = float(sum(h.size for source in snapshot.sources for h in source.holdings))
    notional = float(venue.position.size * venue.mark)
    return Sensitivities(
        delta=spot * (total("model_delta", 0) + holdings) + notional,
        gamma=spot * spot * total("gamma", 0),
        vega=total("vega", 1),
        vanna=spot * total("vanna", 1),
        volga=total("volga", 2),
        theta=total("theta", 0) - notional * float(venue.funding_per_hour) * SECONDS_PER_YEAR / HOUR_S,
    )


def delta_gamma(greeks: Sensitivities, law: Law, confidence: float, hours: float) -> Tail:
    """By the greeks to the second order of price and vols, whose relative moves are normal. ValueError as `check` says.

    The distribution is that of a quadratic form of two normal variables, and no series stands for it. Rotated to
    independent ones it is m + (b1 u + λ1 u²) + (b2 w + λ2 w²), whose part in u, the one with more variance, has a
    closed distribution (its roots); over w it is integrated by the trapezoid rule.
    """
    check(confidence, hours)
    years = hours * HOUR_S / SECONDS_PER_YEAR
    root = math.sqrt(years)
    side = math.sqrt(1.0 - law.correlation**2)
    # Price and vols move by `mix` times two independent standard normals.
    mix = root * np.array([[law.vol, 0.0], [law.vol_of_vol * law.correlation, law.vol_of_vol * side]])
    linear = mix.T @ np.array([greeks.delta, greeks.vega])
    curved = mix.T @ np.array([[greeks.gamma, greeks.vanna], [greeks.vanna, greeks.volga]]) @ mix / 2.0
    mean = greeks.theta * years
    if not (np.isfinite(linear).all() and np.isfinite(curved).all() and math.isfinite(mean)):
        raise DataError("the greeks are no numbers: there is no VaR by them")
    bends, axes = np.linalg.eigh(curved)
    slopes = axes.T @ linear
    more, less = np.argsort(slopes**2 + 2.0 * bends**2)[::-1]
    weight = np.linspace(-SPAN, SPAN, NODES)
    density = np.exp(-weight * weight / 2.0)
    density /= density.sum()
    levels = mean + slopes[less] * weight + bends[less] * weight**2
    slope, bend = float(slopes[more]), float(bends[more])
    deviation = math.sqrt(float(np.sum(slopes**2 + 2.0 * bends**2)))
    centre = mean + float(bends.sum())
    var = shortfall = -centre
    if deviation > 0.0:
        rest = 1.0 - confidence

        def beyond(profit: float) -> float:
            return float(density @ below(profit - levels, slope, bend)[0]) - rest

        reach = deviation
        while beyond(centre - reach) > 0.0 or beyond(centre + reach) < 0.0:
            reach *= 2.0
        at = float(brentq(beyond, centre - reach, centre + reach, xtol=1e-12 * reach))
        chance, part = below(at - levels, slope, bend)
        mass = float(density @ chance)
        # Where outcomes pile up at the quantile, what is missing of the tail's mass lies there.
        shortfall = -(float(density @ (levels * chance + part)) + (rest - mass) * at) / rest
        var = -at
    text = (
        f"price and vols move normally ({law.vol:.1%} and {law.vol_of_vol:.0%} a year, correlation "
        f"{law.correlation:+g}), the greeks of now to the second order stand for the book"
    )
    return Tail("delta_gamma", confidence, hours, var, shortfall, 0.0, 0.0, 0, text)


def below(limit: FloatArray, slope: float, bend: float) -> tuple[FloatArray, FloatArray]:
    """P(X ≤ limit) and E[X; X ≤ limit] of X = slope·u + bend·u² with a standard normal u, arrays of limit's shape.

    Between the roots l and r of X = limit the moments of u are N(r) − N(l), n(l) − n(r) and the first of them
    + l·n(l) − r·n(r); where the parabola opens downwards it is what lies outside of them.
    """
    if bend < 0.0:
        chance, part = below(-limit, -slope, -bend)
        # All of X has the mean `bend`.
        return 1.0 - chance, bend + part
    if bend <= 1e-12 * abs(slope):
        if slope == 0.0:
            return np.where(limit >= 0.0, 1.0, 0.0), np.zeros_like(limit)
        edge = limit / slope * math.copysign(1.0, slope)
        return ndtr(edge), -abs(slope) * normal(edge)
    inside = slope * slope + 4.0 * bend * limit
    width = np.sqrt(np.maximum(inside, 0.0))
    # The root without cancellation first, the other by their product.
    far = -(slope + math.copysign(1.0, slope) * width) / 2.0
    one = far / bend
    with np.errstate(divide="ignore", invalid="ignore"):
        two = np.where(far == 0.0, 0.0, -limit / far)
    low, high = np.minimum(one, two), np.maximum(one, two)
    zeroth = ndtr(high) - ndtr(low)
    first = normal(low) - normal(high)
    second = zeroth + low * normal(low) - high * normal(high)
    real = inside > 0.0
    return np.where(real, zeroth, 0.0), np.where(real, slope * first + bend * second, 0.0)


def normal(x: FloatArray) -> FloatArray:
    """The standard normal density, of x's shape."""
    return np.asarray(np.exp(-x * x / 2.0) / math.sqrt(2.0 * math.pi))
