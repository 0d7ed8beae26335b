"""The vol surface: one smile per expiry, made from quotes, and what lies between and beside them.

Coordinates are log-moneyness k = ln(K/F), with each expiry's own forward, and total variance w = vol² · years. Between
expiries w is linear in time at equal k, which keeps it from falling where it didn't (J. Gatheral, "The Volatility
Surface", 2006; J. Gatheral and A. Jacquier, "Arbitrage-free SVI volatility surfaces", 2014).

A surface keeps the quoted vols, not their variances, until it is made anew: at a quoted expiry it answers with that
expiry's smile, however much time has passed since. Its age is for the caller to judge, by `at`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from bot.errors import PricingError
from bot.pricing.black import SECONDS_PER_YEAR
from bot.pricing.svi import (
    FEWEST_POINTS,
    ArbitrageError,
    FloatArray,
    SviSlice,
    check_calendar,
    fit_svi,
    total_variance,
    variance_slope,
)

HIGHEST_VOL: Final = 5.0
"""Above 500 % a quote is taken for a mistake."""

HOLD_FACTOR: Final = 2.0
HOLD_S: Final = 2 * 86_400
"""Beyond its first and last expiry a surface holds their vol while the time left differs from theirs by no more than
this factor, or by no more than these seconds: near expiry every factor is large."""

_FAINTEST: Final = 0.02


class ExtrapolationError(PricingError):
    """An expiry that is too far from every quoted one for any of their vols to stand for it."""


@dataclass(frozen=True, slots=True)
class VolQuote:
    """One vol: `expiry` in Unix seconds, `strike` and `forward` in USD, `vol` annual (0.8 = 80 %).

    `forward` is None where nobody says it. `weight` is the quote's share in a fit beside that of its neighbours.
    """

    expiry: int
    strike: float
    vol: float
    forward: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Knots:
    """A smile through a few points: total variance `w` over ascending log-moneyness `k`, straight between them and
    held flat outside.
    """

    k: tuple[float, ...]
    w: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """One expiry's smile. `years` is the time to it from the surface's `at`, `origin` the strike where k = 0.

    The origin is the forward where that is known, and the same for all expiries where it isn't.
    """

    expiry: int
    years: float
    origin: float
    forward_known: bool
    smile: SviSlice | Knots


@dataclass(frozen=True, slots=True)
class Surface:
    """Vols of one underlying as a source gave them. `at` is the time of its data in Unix seconds.

    `slices` ascend in expiry. `flat` is the one vol of a surface without slices.
    """

    name: str
    at: int
    slices: tuple[Slice, ...]
    flat: float | None = None

    def vol(self, strike: float, expiry: int, now: int) -> float:
        """Annual vol of one option. Errors as for `vols`."""
        return float(self.vols(strike, expiry, now))

    def slope(self, strike: float, expiry: int, now: int) -> float:
        """∂vol/∂ln(strike) of one option, forward fixed. Errors as for `vols`."""
        return float(self.slopes(strike, expiry, now))

    def vols(self, strikes: npt.ArrayLike, expiry: int, now: int) -> FloatArray:
        """Annual vols, in the shape of `strikes` (USD).

        PricingError where a strike is not above zero or the expiry has passed, ExtrapolationError where it lies too
        far from all that are quoted.
        """
        strikes_ = _strikes(strikes)
        if self.flat is not None:
            self._check_alive(expiry, now)
            return np.full(strikes_.shape, self.flat)
        variance, _ = self._at(strikes_, expiry, now)
        return np.asarray(np.sqrt(variance / (expiry - now)))

    def slopes(self, strikes: npt.ArrayLike, expiry: int, now: int) -> FloatArray:
        """∂vol/∂ln(strike) with the forward fixed, in the shape of `strikes`. Errors as for `vols`.

        At a bend of a smile that is interpolated it is the mean of both sides, at its ends that of the inner side.
        """
        strikes_ = _strikes(strikes)
        if self.flat is not None:
            self._check_alive(expiry, now)
            return np.zeros(strikes_.shape)
        variance, slope = self._at(strikes_, expiry, now)
        # vol² = w / years, so dvol/dk = w' / (2 vol years).
        return np.asarray(slope / (2.0 * np.sqrt(variance * (expiry - now))))

    def atm_vol(self, expiry: int, now: int, forward: float | None = None) -> float:
        """Annual vol at the forward: the one given, else the surface's own. PricingError where neither is known."""
        if forward is None:
            forward = 1.0 if self.flat is not None else self.forward(expiry, now)
        return self.vol(forward, expiry, now)

    def forward(self, expiry: int, now: int) -> float:
        """The forward in USD: log-linear in time between expiries, the nearest one's outside.

        PricingError where the source gave none; else as for `vols`.
        """
        near, far, share = self._around(expiry, now)
        if not (near.forward_known and far.forward_known):
            raise PricingError(f"{self.name}: the source gives no forward, so the money is not known")
        return _between(near, far, share)

    def _at(self, strikes: FloatArray, expiry: int, now: int) -> tuple[FloatArray, FloatArray]:
        """(vol² · seconds left, its derivative by k) at `strikes`."""
        near, far, share = self._around(expiry, now)
        k = np.log(strikes / _between(near, far, share))
        if near is far:
            scale = (expiry - now) / near.years
            return slice_variance(near, k) * scale, slice_variance_slope(near, k) * scale
        scales = ((near.expiry - now) / near.years * (1.0 - share), (far.expiry - now) / far.years * share)
        variance = slice_variance(near, k) * scales[0] + slice_variance(far, k) * scales[1]
        slope = slice_variance_slope(near, k) * scales[0] + slice_variance_slope(far, k) * scales[1]
        return variance, slope

    def _around(self, expiry: int, now: int) -> tuple[Slice, Slice, float]:
        """The expiries on both sides and the later one's share, or the nearest one twice."""
        self._check_alive(expiry, now)
        alive = [part for part in self.slices if part.expiry > now]
        if not alive:
            raise ExtrapolationError(
                f"{self.name}: every expiry of the vols has passed; the source must be read anew"
            )
        for near, far in pairwise(alive):
            if near.expiry <= expiry <= far.expiry:
                return near, far, (expiry - near.expiry) / (far.expiry - near.expiry)
        nearest = alive[0] if expiry <= alive[0].expiry else alive[-1]
        left, quoted = expiry - now, nearest.expiry - now
        if max(left, quoted) > HOLD_FACTOR * min(left, quoted) and abs(left - quoted) > HOLD_S:
            raise ExtrapolationError(
                f"{self.name}: no vol for an option with {left / 86_400:.1f} days left: the nearest quoted expiry has "
                f"{quoted / 86_400:.1f}, more than {HOLD_FACTOR:g} times as many or as few"
            )
        return nearest, nearest, 0.0

    def _check_alive(self, expiry: int, now: int) -> None:
        if expiry <= now:
            raise PricingError(f"{self.name}: no vol for an option that has expired")


def flat_surface(vol: float, at: int, name: str = "constant") -> Surface:
    """One annual `vol` for every strike and expiry. PricingError where it is not above zero, or above 500 %."""
    _check_vol(vol, name)
    return Surface(name=name, at=at, slices=(), flat=float(vol))


def fit_surface(quotes: Sequence[VolQuote], at: int, name: str, tolerance: float = 0.02) -> Surface:
    """The surface of `quotes`, whose vols are those of Unix time `at`.

    An expiry with five strikes or more and a known forward becomes an SVI slice, fitted by vega; any other is
    interpolated. `tolerance` is how far, in vol, quotes may be off for their spread: it bounds a fit's weighted root
    mean square, and what arbitrage between quotes may need to vanish. PricingError where a quote makes no sense;
    ArbitrageError, with the expiry and the strike or k, where the quotes together don't.
    """
    if not quotes:
        raise PricingError(f"{name}: there is no vol at all")
    if not tolerance >= 0:
        raise PricingError(f"{name}: the tolerance must not be below zero")
    by_expiry: dict[int, list[VolQuote]] = {}
    for quote in quotes:
        by_expiry.setdefault(quote.expiry, []).append(quote)
    common = _geometric_mean([quote.strike for quote in quotes if quote.strike > 0] or [1.0])
    slices: list[Slice] = []
    for expiry in sorted(by_expiry):
        group = sorted(by_expiry[expiry], key=lambda quote: quote.strike)
        slices.append(_fit_slice(group, at, name, tolerance, common, slices[-1] if slices else None))
    if len({part.forward_known for part in slices}) > 1:
        raise PricingError(f"{name}: some expiries have a forward and some have none")
    return Surface(name=name, at=at, slices=tuple(slices))


def smile_slopes(strikes: npt.ArrayLike, vols: npt.ArrayLike) -> FloatArray:
    """∂vol/∂ln(strike) at each of one expiry's strikes, all of shape (n,) and in the order given.

    Inside, the slope of the parabola through a strike and its neighbours; at the ends, that of the line to the next
    strike; 0 for a single strike. PricingError where lengths differ, a strike comes twice or a number makes no sense.
    """
    strikes_, vols_ = np.asarray(strikes, dtype=np.float64), np.asarray(vols, dtype=np.float64)
    if strikes_.ndim != 1 or strikes_.shape != vols_.shape:
        raise PricingError("strikes and vols must be lists of one length")
    if not (np.isfinite(strikes_) & (strikes_ > 0)).all() or not (np.isfinite(vols_) & (vols_ > 0)).all():
        raise PricingError("strikes and vols must be finite and above zero")
    if np.unique(strikes_).size < strikes_.size:
        raise PricingError("a strike comes twice")
    if strikes_.size < 2:
        return np.zeros(strikes_.shape)
    order = np.argsort(strikes_)
    slopes = np.empty(strikes_.shape)
    slopes[order] = np.gradient(vols_[order], np.log(strikes_[order]), edge_order=1)
    return slopes


def slice_variance(part: Slice, k: npt.ArrayLike) -> FloatArray:
    """Total variance over `part.years` at log-moneyness `k`, in its shape."""
    if isinstance(part.smile, SviSlice):
        return total_variance(part.smile, k)
    return np.asarray(np.interp(np.asarray(k, dtype=np.float64), part.smile.k, part.smile.w))


def slice_variance_slope(part: Slice, k: npt.ArrayLike) -> FloatArray:
    """dw/dk at log-moneyness `k`, in its shape."""
    if isinstance(part.smile, SviSlice):
        return variance_slope(part.smile, k)
    x = np.asarray(k, dtype=np.float64)
    knots, w = np.array(part.smile.k), np.array(part.smile.w)
    if knots.size == 1:
        return np.zeros(x.shape)
    steps = np.diff(w) / np.diff(knots)
    # A strike and its logarithm from elsewhere may differ from the knot's by a rounding.
    at = np.argmin(np.abs(knots - x[..., None]), axis=-1)
    on_knot = np.abs(knots[at] - x) < 1e-12
    means = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2.0, steps[-1:]])
    inside = steps[np.clip(np.searchsorted(knots, x) - 1, 0, steps.size - 1)]
    outside = (x < knots[0]) | (x > knots[-1])
    return np.asarray(np.where(on_knot, means[at], np.where(outside, 0.0, inside)))


def _fit_slice(
    quotes: list[VolQuote], at: int, name: str, tolerance: float, common: float, before: Slice | None
) -> Slice:
    expiry = quotes[0].expiry
    label = f"{name}, expiry {_date(expiry)}"
    years = (expiry - at) / SECONDS_PER_YEAR
    if years <= 0:
        raise PricingError(f"{label}: it had passed when its vols were made")
    forward = _forward(quotes, label)
    strikes, vols = np.array([quote.strike for quote in quotes]), np.array([quote.vol for quote in quotes])
    for quote in quotes:
        if not (math.isfinite(quote.strike) and quote.strike > 0):
            raise PricingError(f"{label}: a strike of {quote.strike} is not a price above zero")
        _check_vol(quote.vol, f"{label}, strike {quote.strike:g}")
        if not (math.isfinite(quote.weight) and quote.weight > 0):
            raise PricingError(f"{label}, strike {quote.strike:g}: a weight must be above zero")
    for low, high in pairwise(quotes):
        if low.strike == high.strike:
            raise PricingError(f"{label}, strike {low.strike:g}: there are two vols for it")
    origin = common if forward is None else forward
    k, w = np.log(strikes / origin), vols**2 * years
    if forward is None or len(quotes) < FEWEST_POINTS:
        if forward is not None:
            _check_butterfly_of_quotes(k, vols, years, strikes, tolerance, label)
        smile: SviSlice | Knots = Knots(tuple(k.tolist()), tuple(w.tolist()))
    else:
        # A quote weighs as much as its vega does: there a miss in vol costs money.
        vega = np.exp(-0.5 * (-k / np.sqrt(w) + np.sqrt(w) / 2.0) ** 2)
        weights = np.maximum(vega, _FAINTEST) * np.array([quote.weight for quote in quotes])
        above = before.smile if before is not None and isinstance(before.smile, SviSlice) else None
        smile = fit_svi(k, vols, years, weights, tolerance, label, above).slice
    part = Slice(expiry, years, origin, forward is not None, smile)
    if before is not None:
        _check_calendar_of_slices(before, part, tolerance, label)
    return part


def _check_calendar_of_slices(near: Slice, far: Slice, tolerance: float, label: str) -> None:
    """ArbitrageError where total variance falls between two slices by more than `tolerance` in the earlier's vol.

    Two SVI slices are held to it everywhere; an interpolated smile says something between its own strikes only.
    """
    if isinstance(near.smile, SviSlice) and isinstance(far.smile, SviSlice):
        check_calendar(near.smile, far.smile, label)
        return
    ranges = [part.smile.k for part in (near, far) if isinstance(part.smile, Knots)]
    low, high = max(k[0] for k in ranges), min(k[-1] for k in ranges)
    if low > high:
        return
    k = np.union1d(np.linspace(low, high, 33), [x for known in ranges for x in known if low <= x <= high])
    least = np.maximum(np.sqrt(slice_variance(near, k) / near.years) - tolerance, 0.0) ** 2 * near.years
    short = slice_variance(far, k) - least
    at = int(np.argmin(short))
    if short[at] < -1e-12:
        raise ArbitrageError(
            f"{label}: calendar arbitrage at strike {far.origin * math.exp(k[at]):.6g}: total variance falls from the "
            f"expiry before, and would with a vol lower by {tolerance:g} there"
        )


def _check_butterfly_of_quotes(
    k: FloatArray, vols: FloatArray, years: float, strikes: FloatArray, tolerance: float, label: str
) -> None:
    """ArbitrageError where undiscounted calls don't fall with the strike, or fall ever faster, by more than an error
    of `tolerance` in the vols explains. Prices are in units of the forward, slopes between 0 and −1.
    """
    x = np.exp(k)
    total = vols * math.sqrt(years)
    d1 = -k / total + total / 2.0
    calls = np.asarray(ndtr(d1) - x * ndtr(d1 - total))
    slack = tolerance * math.sqrt(years) * np.exp(-0.5 * d1**2) / math.sqrt(2.0 * math.pi) + 1e-12
    # A strike of 0 is the forward itself, one of infinity is worth nothing.
    x, calls, slack = np.append(0.0, x), np.append(1.0, calls), np.append(0.0, slack)
    slopes, error = np.diff(calls) / np.diff(x), (slack[1:] + slack[:-1]) / np.diff(x)
    for i, strike in enumerate(strikes):
        after, bound = (slopes[i + 1], error[i + 1]) if i + 1 < slopes.size else (0.0, 0.0)
        if slopes[i] - error[i] > after + bound or slopes[i] + error[i] < -1.0 - 1e-9:
            raise ArbitrageError(
                f"{label}: butterfly arbitrage at strike {strike:g}: calls are not convex there"
            )


def _forward(quotes: list[VolQuote], label: str) -> float | None:
    forwards = {quote.forward for quote in quotes}
    if len(forwards) > 1:
        raise PricingError(f"{label}: its quotes name {len(forwards)} different forwards")
    forward = forwards.pop()
    if forward is not None and not (math.isfinite(forward) and forward > 0):
        raise PricingError(f"{label}: a forward of {forward} is not a price above zero")
    return forward


def _check_vol(vol: float, label: str) -> None:
    if not math.isfinite(vol):
        raise PricingError(f"{label}: the vol is not a finite number")
    if vol <= 0:
        raise PricingError(f"{label}: a vol of {vol:g} is not above zero")
    if vol > HIGHEST_VOL:
        raise PricingError(f"{label}: a vol of {vol:g} is above {HIGHEST_VOL:g}: taken for a mistake")


def _strikes(strikes: npt.ArrayLike) -> FloatArray:
    array = np.asarray(strikes, dtype=np.float64)
    if not (np.isfinite(array) & (array > 0)).all():
        raise PricingError("a strike must be a price above zero")
    return array


def _between(near: Slice, far: Slice, share: float) -> float:
    return float(near.origin * (far.origin / near.origin) ** share)


def _geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(math.log(value) for value in values) / len(values))


def _date(expiry: int) -> str:
    """The UTC date and hour of Unix time `expiry`, without asking the clock."""
    return str(np.datetime64(expiry, "s"))[:16].replace("T", " ")
