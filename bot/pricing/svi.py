"""The raw SVI smile of one expiry: total variance over log-moneyness, its arbitrage checks and its calibration.

With k = ln(K/F) and w = vol² · years, the total variance::

    w(k) = a + b (ρ (k − m) + √((k − m)² + σ²))

Sources: J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces" (2014), for the form, the jump wings,
the butterfly condition g(k) ≥ 0 and the calendar condition; R. Lee, "The moment formula for implied volatility at
extreme strikes" (2004), for the wings' bound; S. De Marco and C. Martini, "Quasi-explicit calibration of Gatheral's
SVI model" (2009), for the first guess, where w is linear in three parameters once m and σ are given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, minimize_scalar
from scipy.special import expit, logit

from bot.errors import PricingError

FloatArray = npt.NDArray[np.float64]

FEWEST_POINTS: Final = 5
"""As many points as parameters."""

LEE_BOUND: Final = 2.0
"""The steepest wing dw/d|k| that any arbitrage-free smile may have."""

_STEEPEST_FIT: Final = 0.999 * LEE_BOUND
_ROUNDING: Final = 1e-9
_MARGIN: Final = 1e-3
_REFITS: Final = (1.0, 30.0, 1000.0)


class ArbitrageError(PricingError):
    """Vols that let somebody earn without risk: they are not prices to hedge by."""


@dataclass(frozen=True, slots=True)
class SviSlice:
    """One expiry's five parameters. `a` is total variance, `b` total variance per unit of log-moneyness, `rho` has
    no unit, `m` and `sigma` are log-moneyness.

    PricingError where one is not finite, b < 0, |rho| > 1, sigma ≤ 0, or the variance is not above zero everywhere.
    """

    a: float
    b: float
    rho: float
    m: float
    sigma: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.a, self.b, self.rho, self.m, self.sigma)):
            raise PricingError("an SVI parameter is not a finite number")
        if self.b < 0 or abs(self.rho) > 1 or self.sigma <= 0:
            raise PricingError("an SVI slice needs b ≥ 0, |rho| ≤ 1 and sigma > 0")
        if self.lowest <= 0:
            raise PricingError(
                f"an SVI slice has a total variance of {self.lowest:.3g}, not above zero, at its lowest"
            )

    @property
    def lowest(self) -> float:
        """The smallest total variance of the slice (its limit where |rho| = 1)."""
        return self.a + self.b * self.sigma * math.sqrt(1.0 - self.rho**2)


@dataclass(frozen=True, slots=True)
class JumpWings:
    """The same slice in terms that keep their meaning as expiry nears, for `years` to expiry (Gatheral–Jacquier).

    `variance` is the annual variance at the money, `skew` the slope there, `put_slope` and `call_slope` the wings'
    slopes (all three per square root of the money's total variance), `lowest` the lowest annual variance.
    """

    variance: float
    skew: float
    put_slope: float
    call_slope: float
    lowest: float
    years: float


@dataclass(frozen=True, slots=True)
class SviFit:
    """A calibrated slice. `rms` and `worst` are the weighted root mean square and the largest miss, in vol (0.01 = one
    vol point); `worst_k` is the log-moneyness of the latter.
    """

    slice: SviSlice
    rms: float
    worst: float
    worst_k: float


def total_variance(svi: SviSlice, k: npt.ArrayLike) -> FloatArray:
    """w at log-moneyness `k`, in `k`'s shape."""
    x = np.asarray(k, dtype=np.float64) - svi.m
    return np.asarray(svi.a + svi.b * (svi.rho * x + np.hypot(x, svi.sigma)))


def variance_slope(svi: SviSlice, k: npt.ArrayLike) -> FloatArray:
    """dw/dk at log-moneyness `k`, in `k`'s shape."""
    x = np.asarray(k, dtype=np.float64) - svi.m
    return np.asarray(svi.b * (svi.rho + x / np.hypot(x, svi.sigma)))


def density_factor(svi: SviSlice, k: npt.ArrayLike) -> FloatArray:
    """Gatheral and Jacquier's g at `k`, in its shape: what the risk-neutral density is a positive multiple of.

    g = (1 − k w'/(2w))² − w'²/4 (1/w + 1/4) + w''/2.
    """
    return _density_factor(svi.a, svi.b, svi.rho, svi.m, svi.sigma, np.asarray(k, dtype=np.float64))


def jump_wings(svi: SviSlice, years: float) -> JumpWings:
    """The slice in jump-wing terms. PricingError where `years` is not above zero."""
    if not years > 0:
        raise PricingError("jump wings need years above zero")
    radius = math.hypot(svi.m, svi.sigma)
    money = svi.a + svi.b * (radius - svi.rho * svi.m)
    root = math.sqrt(money)
    return JumpWings(
        variance=money / years,
        skew=svi.b / 2.0 * (svi.rho - svi.m / radius) / root,
        put_slope=svi.b * (1.0 - svi.rho) / root,
        call_slope=svi.b * (1.0 + svi.rho) / root,
        lowest=svi.lowest / years,
        years=years,
    )


def from_jump_wings(wings: JumpWings) -> SviSlice:
    """The raw slice of `wings`. PricingError where no slice, or more than one, has them."""
    money = wings.variance * wings.years
    if not (money > 0 and wings.put_slope + wings.call_slope > 0):
        raise PricingError("jump wings need a variance above zero, and one wing that rises")
    root = math.sqrt(money)
    b = root / 2.0 * (wings.put_slope + wings.call_slope)
    rho = 1.0 - wings.put_slope * root / b
    beta = rho - 2.0 * wings.skew * root / b
    if abs(rho) > 1.0 or abs(beta) >= 1.0:
        raise PricingError("jump wings whose skew lies outside their wings' slopes are no SVI smile")
    # beta = m / √(m² + σ²), so with the radius R: m = βR, σ = R √(1 − β²).
    across = math.sqrt(1.0 - beta**2)
    spread = 1.0 - rho * beta - across * math.sqrt(1.0 - rho**2)
    if spread < 1e-12:
        raise PricingError("these jump wings leave sigma open: the money is where the variance is lowest")
    radius = (wings.variance - wings.lowest) * wings.years / (b * spread)
    sigma = radius * across
    a = wings.lowest * wings.years - b * sigma * math.sqrt(1.0 - rho**2)
    return SviSlice(a, b, rho, beta * radius, sigma)


def lowest_density_factor(svi: SviSlice) -> tuple[float, float]:
    """Where g is lowest and how low, over every k."""
    grid = _wide_grid(svi)
    g = density_factor(svi, grid)
    at = int(np.argmin(g))
    k, low = float(grid[at]), float(g[at])
    if 0 < at < grid.size - 1:
        k, low = _refined(lambda x: float(density_factor(svi, x)), grid[at - 1], grid[at + 1], k, low)
    return k, low


def check_butterfly(svi: SviSlice, name: str = "the slice") -> None:
    """ArbitrageError where a butterfly spread would cost less than nothing, with the k where it is worst."""
    steepest = svi.b * (1.0 + abs(svi.rho))
    if steepest > LEE_BOUND:
        wing = "call" if svi.rho >= 0 else "put"
        raise ArbitrageError(
            f"{name}: the {wing} wing rises by {steepest:.3g} per unit of k, above Lee's bound of 2"
        )
    k, low = lowest_density_factor(svi)
    if low < -_ROUNDING:
        raise ArbitrageError(f"{name}: butterfly arbitrage at k = {k:.4f}, where g = {low:.3g} is below zero")


def lowest_calendar_gap(near: SviSlice, far: SviSlice) -> tuple[float, float]:
    """Where the later slice's total variance exceeds the earlier one's the least, and by how much (below 0: crossed).

    Where a wing of the later slice rises less, the gap falls without end, and the k is the last one of the grid.
    """
    grid = np.union1d(_wide_grid(near), _wide_grid(far))
    gap = total_variance(far, grid) - total_variance(near, grid)
    at = int(np.argmin(gap))
    k, low = float(grid[at]), float(gap[at])
    if 0 < at < grid.size - 1:

        def gap_at(x: float) -> float:
            return float(total_variance(far, x) - total_variance(near, x))

        k, low = _refined(gap_at, grid[at - 1], grid[at + 1], k, low)
    return k, low


def check_calendar(near: SviSlice, far: SviSlice, name: str = "the later slice") -> None:
    """ArbitrageError where total variance falls with expiry at some k: a calendar spread would cost nothing."""
    if lowest_calendar_gap(near, far)[1] < -_ROUNDING:
        raise ArbitrageError(f"{name}: calendar arbitrage {_crossing(near, far)}")


def fit_svi(
    k: npt.ArrayLike,
    vols: npt.ArrayLike,
    years: float,
    weights: npt.ArrayLike | None = None,
    tolerance: float = 0.02,
    name: str = "the slice",
    above: SviSlice | None = None,
) -> SviFit:
    """The arbitrage-free slice that is nearest to `vols` at log-moneyness `k` (both of shape (n,), n ≥ 5).

    `weights` (shape (n,), ≥ 0) weigh the squared misses in vol. `above` is the slice of the expiry before: the new one
    is kept from crossing it, as far as `tolerance` (in vol) lets it. PricingError where the input is no smile or no
    slice comes within `tolerance` (root mean square); ArbitrageError where only one with arbitrage does.
    """
    k_, vols_, weights_ = _checked(k, vols, years, weights, name)
    free = _Fitter(k_, vols_, years, weights_)
    params = free.solve(free.starts())
    best = free.fit(params)
    if best.rms > tolerance:
        raise PricingError(
            f"{name}: no SVI slice fits: the best misses by {best.rms:.4f} in vol, more than {tolerance:g}, "
            f"the most at k = {best.worst_k:.4f}"
        )
    if _sound(best.slice, above):
        return best
    bound = _Fitter(k_, vols_, years, weights_, above)
    params = bound.params(*free.raw(params))
    for strength in _REFITS:
        params = bound.solve([params], strength)
        bent = bound.fit(params)
        if _sound(bent.slice, above):
            if bent.rms <= tolerance:
                return bent
            break
    k_worst, g = lowest_density_factor(best.slice)
    if g < -_ROUNDING:
        raise ArbitrageError(
            f"{name}: the quotes have butterfly arbitrage: g = {g:.3g} at k = {k_worst:.4f}, "
            f"and no slice without it comes within {tolerance:g} in vol"
        )
    assert above is not None  # noqa: S101 - unsound without a butterfly means that the calendar is at fault
    raise ArbitrageError(
        f"{name}: the quotes have calendar arbitrage {_crossing(above, best.slice)}, "
        f"and no slice without it comes within {tolerance:g} in vol"
    )


class _Fitter:
    """Least squares over five unbounded numbers that any values of keep b ≥ 0, |rho| < 1, Lee's bound and w > 0.

    They are ln of the lowest variance, logits of where the two wings' slopes lie between the least and the steepest
    that they may have, where m lies in its range, and ln of what sigma is above its floor. Wings that rise no less
    than those of `above`, the slice of the expiry before, can't cross it far out.
    """

    def __init__(
        self,
        k: FloatArray,
        vols: FloatArray,
        years: float,
        weights: FloatArray,
        above: SviSlice | None = None,
    ) -> None:
        self.k, self.vols, self.years, self.above = k, vols, years, above
        rises = np.zeros(2) if above is None else above.b * (1.0 + np.array([above.rho, -above.rho]))
        self.least = np.minimum(rises * (1.0 + 1e-6), 0.99 * _STEEPEST_FIT)
        self.root_weights = np.sqrt(weights / weights.sum())
        self.span = float(k.max() - k.min())
        # Beyond its strikes a smile can't tell where its lowest point is, nor a bend much narrower than their gaps.
        self.centre, self.reach = float(k.max() + k.min()) / 2.0, 1.5 * self.span
        self.floor = 0.01 * self.span / k.size
        # Where g and the calendar are held to: densely over the strikes, ever more thinly far beyond.
        side = self.span * np.geomspace(0.05, 40.0, 24)
        self.grid = np.concatenate([k.min() - side[::-1], np.linspace(k.min(), k.max(), 49), k.max() + side])

    def raw(self, params: FloatArray) -> tuple[float, float, float, float, float]:
        """(a, b, rho, m, sigma) of unbounded parameters."""
        # Clipped where exp would leave float64's comfortable range; no smile is out there.
        low, right, left, place, width = np.clip(params, -60.0, 30.0)
        call, put = self.least + (_STEEPEST_FIT - self.least) * expit([right, left])
        b = (call + put) / 2.0
        rho = (call - put) / (call + put)
        sigma = self.floor + math.exp(width)
        a = math.exp(low) - sigma * math.sqrt(call * put)
        return float(a), float(b), float(rho), self.centre + self.reach * math.tanh(place), float(sigma)

    def params(self, a: float, b: float, rho: float, m: float, sigma: float) -> FloatArray:
        """Unbounded parameters of a raw slice, or of the nearest one in their range."""
        wings = (b * (1.0 + np.array([rho, -rho])) - self.least) / (_STEEPEST_FIT - self.least)
        wings = np.clip(wings, 1e-7, 1.0 - 1e-4)
        lowest = max(
            a + b * sigma * math.sqrt(max(1.0 - rho**2, 0.0)), 1e-4 * float(self.vols.min()) ** 2 * self.years
        )
        place = math.atanh(min(max((m - self.centre) / self.reach, -0.99), 0.99))
        width = math.log(max(sigma - self.floor, 0.1 * self.floor))
        return np.array([math.log(lowest), *logit(wings), place, width])

    def starts(self) -> list[FloatArray]:
        """First guesses: the best of a grid of m and sigma, where the other three follow by linear least squares."""
        w = self.vols**2 * self.years
        # Near the quotes, a miss in w is one in vol times 2 · vol · years.
        weight = (self.root_weights / (2.0 * self.vols * self.years)) ** 2
        places = np.linspace(self.k.min() - 0.25 * self.span, self.k.max() + 0.25 * self.span, 13)
        widths = self.span * np.geomspace(0.01, 1.5, 10)
        m, sigma = (grid.ravel() for grid in np.meshgrid(places, widths))
        y = (self.k - m[:, None]) / sigma[:, None]
        basis = np.stack([np.ones_like(y), y, np.hypot(y, 1.0)], axis=2)
        normal = np.einsum("gnp,n,gnq->gpq", basis, weight, basis)
        moment = np.einsum("gnp,n,n->gp", basis, weight, w)
        ridge = 1e-11 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(3)
        _, d, c = np.linalg.solve(normal + ridge, moment[:, :, None])[:, :, 0].T
        c = np.clip(c, 1e-7, sigma)
        d = np.clip(d, -0.98 * c, 0.98 * c)
        rest = w - d[:, None] * y - c[:, None] * basis[:, :, 2]
        a = (rest * weight).sum(axis=1) / weight.sum()
        miss = ((rest - a[:, None]) ** 2 * weight).sum(axis=1)
        chosen: list[int] = []
        for at in np.argsort(miss):
            far = all(
                abs(m[at] - m[i]) > 0.2 * self.span or not 0.4 < sigma[at] / sigma[i] < 2.5 for i in chosen
            )
            if far:
                chosen.append(int(at))
            if len(chosen) == 2:
                break
        return [self.params(a[i], c[i] / sigma[i], d[i] / c[i], m[i], sigma[i]) for i in chosen]

    def solve(self, starts: list[FloatArray], strength: float = 0.0) -> FloatArray:
        """The parameters with the least squares, from the best of `starts`. `strength` is the weight of arbitrage."""

        def residuals(params: FloatArray) -> FloatArray:
            raw = self.raw(params)
            miss: FloatArray = self._miss(raw) * self.root_weights
            if not strength:
                return miss
            g = _density_factor(*raw, self.grid)
            parts = [miss, strength * 0.03 * np.minimum(g - _MARGIN, 0.0)]
            if self.above is not None:
                w, floor = _variance(*raw, self.grid), total_variance(self.above, self.grid)
                parts.append(strength * np.minimum(w / floor - 1.0 - _MARGIN, 0.0))
            return np.concatenate(parts)

        best: FloatArray | None = None
        least = math.inf
        for start in starts:
            found = least_squares(
                residuals, start, method="lm", xtol=1e-13, ftol=1e-13, gtol=1e-15, max_nfev=600
            )
            if found.cost < least:
                best, least = np.asarray(found.x, dtype=np.float64), float(found.cost)
            if least < 1e-16:
                break
        if best is None:
            raise PricingError("the calibration of an SVI slice did not end in a number")
        return best

    def fit(self, params: FloatArray) -> SviFit:
        """The slice of `params` and how well it fits."""
        raw = self.raw(params)
        miss = self._miss(raw)
        at = int(np.argmax(np.abs(miss) * self.root_weights))
        rms = float(np.sqrt(((miss * self.root_weights) ** 2).sum()))
        return SviFit(SviSlice(*raw), rms, float(abs(miss[at])), float(self.k[at]))

    def _miss(self, raw: tuple[float, float, float, float, float]) -> FloatArray:
        return np.asarray(np.sqrt(_variance(*raw, self.k) / self.years) - self.vols)


def _variance(a: float, b: float, rho: float, m: float, sigma: float, k: FloatArray) -> FloatArray:
    x = k - m
    # A lowest variance near zero is a difference of two larger numbers, which may round to below it.
    return np.asarray(np.maximum(a + b * (rho * x + np.sqrt(x * x + sigma * sigma)), 1e-300))


def _density_factor(a: float, b: float, rho: float, m: float, sigma: float, k: FloatArray) -> FloatArray:
    x = k - m
    root = np.hypot(x, sigma)
    w = np.maximum(a + b * (rho * x + root), 1e-300)
    slope = b * (rho + x / root)
    # Divided one by one: root cubed would overflow for the far k that the checks look at.
    bend = b * (sigma / root) * (sigma / root) / root
    return np.asarray((1.0 - 0.5 * k * slope / w) ** 2 - 0.25 * slope**2 * (1.0 / w + 0.25) + 0.5 * bend)


def _wide_grid(svi: SviSlice) -> FloatArray:
    """Log-moneyness, ascending, at which nothing that a slice does is missed: fine around its bend and its lowest
    point and on each scale above, out to where only the wings are left.
    """
    across = math.sqrt(max(1.0 - svi.rho**2, 1e-12))
    bottom = svi.m - svi.rho * svi.sigma / across
    # Around the bottom the relative change of w, not w itself, sets the scale.
    scale = min(svi.sigma, math.sqrt(2.0 * svi.lowest * svi.sigma / max(svi.b, 1e-12)))
    steps = np.sinh(np.linspace(-18.0, 18.0, 601))
    return np.union1d(svi.m + svi.sigma * steps, bottom + scale * steps)


def _refined(
    value: Callable[[float], float], left: float, right: float, k: float, low: float
) -> tuple[float, float]:
    """The minimum of `value` between two neighbours of a grid's lowest point (k, low)."""
    found = minimize_scalar(
        value, bounds=(float(left), float(right)), method="bounded", options={"xatol": 1e-10}
    )
    return (float(found.x), float(found.fun)) if found.fun < low else (k, low)


def _crossing(near: SviSlice, far: SviSlice) -> str:
    """Where two slices cross, in words: at the k nearest to the money, for a crossing has no worst place in a wing."""
    grid = np.union1d(_wide_grid(near), _wide_grid(far))
    below = grid[total_variance(far, grid) - total_variance(near, grid) < -_ROUNDING]
    k = float(below[np.argmin(np.abs(below))]) if below.size else lowest_calendar_gap(near, far)[0]
    return f"at k = {k:.4f}: total variance falls below that of the expiry before"


def _sound(svi: SviSlice, above: SviSlice | None) -> bool:
    if lowest_density_factor(svi)[1] < -_ROUNDING:
        return False
    return above is None or lowest_calendar_gap(above, svi)[1] >= -_ROUNDING


def _checked(
    k: npt.ArrayLike, vols: npt.ArrayLike, years: float, weights: npt.ArrayLike | None, name: str
) -> tuple[FloatArray, FloatArray, FloatArray]:
    k_ = np.asarray(k, dtype=np.float64)
    vols_ = np.asarray(vols, dtype=np.float64)
    weights_ = np.ones_like(k_) if weights is None else np.asarray(weights, dtype=np.float64)
    if k_.ndim != 1 or not k_.shape == vols_.shape == weights_.shape:
        raise PricingError(f"{name}: log-moneyness, vols and weights must be lists of one length")
    if not (np.isfinite(k_).all() and np.isfinite(vols_).all() and np.isfinite(weights_).all()):
        raise PricingError(f"{name}: a log-moneyness, a vol or a weight is not a finite number")
    if not (math.isfinite(years) and years > 0):
        raise PricingError(f"{name}: years to expiry must be above zero")
    if not (vols_ > 0).all() or (weights_ < 0).any():
        raise PricingError(f"{name}: vols must be above zero, and weights not below it")
    used = weights_ > 0
    if np.unique(k_[used]).size < FEWEST_POINTS:
        raise PricingError(
            f"{name}: an SVI slice needs {FEWEST_POINTS} strikes, not {np.unique(k_[used]).size}"
        )
    return k_[used], vols_[used], weights_[used]
