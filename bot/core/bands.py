"""How wide a no-trade band is: closed formulas, for Python and for the compiled simulators alike.

Every function takes and returns plain floats. Symbols of the formulas and their arguments here:

    Γ  `gamma`     the gap's change per USD of price, in units² per USD, of either sign
    S  `spot`      USD per unit, > 0
    σ  `vol`       annual, 1.00 = 100 %, > 0
    τ  `years`     365-day years to the book's last expiry, > 0
    r  `rate`      annual, continuous
    γ  `aversion`  absolute risk aversion, 1/USD, > 0
    λ  `ratio`     proportional cost of a trade as a fraction of its notional, ≥ 0
    f  `fixed`     cost per trade whatever its size, USD, ≥ 0
    φ  `funding`   USD per unit and year that a long pays

The functions check nothing: the caller (bot.core.policy) refuses what isn't a number. Widths are in units of the
underlying, half widths, ≥ 0: the `trigger` h is the gap that starts a trade, the `target` k ≤ h the gap that it leaves.

Where the two-threshold band comes from. Between trades the gap diffuses at ΓSσ per √year; at ±h it is set back to ±k.
By Dynkin's formula with g² and g⁴ the time from k to h has mean (h² − k²)/(ΓSσ)², and the gap has the mean square
(h² + k²)/6, so that per year

    risk    γ/2 · S²σ² · (h² + k²)/6
    trades  Γ²S²σ²/(h² − k²), each of which costs f + λS(h − k)

With a = h + k and b = h − k the risk is γS²σ²(a² + b²)/24 and the cost Γ²S²σ²(f/(ab) + λS/a). The sum is least where

    a³b = q(f + λSb),   ab³ = qf,   q = 12Γ²/γ

which is Whalley and Wilmott's band at f = 0 (b = 0), and a = b = (qf)^¼ (trade to the middle) at λ = 0.

All that is for a gap that is watched without pause. One that is looked at every Δt moves by s = ΓSσ√Δt between two
looks and is found beyond its trigger by 0.58 s on average: `optimal_band` puts the trigger that much nearer (Chernoff
1965; Broadie, Glasserman and Kou 1997), which took the certainty equivalent at hourly checks from up to 1.10 times the
limit's to 1.04 (docs/policies.md).
"""

import math
from typing import NamedTuple

from bot.pricing.compiled import compiled

OVERSHOOT = 0.5825971579390107
"""−ζ(½)/√(2π): how far beyond a threshold a Gaussian walk is when it is first seen there, in steps (Siegmund 1979)."""

ROUNDS = 60
"""A bound on Newton's steps. Six are usual, for the function is convex and the start is on its far side."""

WHALLEY_WILMOTT, ZAKAMOULINE, OPTIMAL = 0, 1, 2
"""The kinds of `widths`."""


class Conditions(NamedTuple):
    """What a width depends on beside γ; `check_years` is the time between two checks."""

    gamma: float
    spot: float
    vol: float
    years: float
    rate: float
    ratio: float
    fixed: float
    check_years: float


@compiled
def whalley_wilmott(
    gamma: float, spot: float, years: float, rate: float, aversion: float, ratio: float
) -> float:
    """The half width in units: (3/2 · e^(−rτ) λSΓ²/γ)^⅓ (Whalley and Wilmott 1997). Trade to the edge of it."""
    width: float = (1.5 * math.exp(-rate * years) * ratio * spot / aversion) ** (1 / 3)
    return width * math.pow(abs(gamma), 2 / 3)


@compiled
def last_width(spot: float, vol: float, years: float, aversion: float, ratio: float) -> float:
    """H0 = λ/(γSσ²τ), in units: the gap that is not worth its proportional cost if it stays until the last expiry."""
    return ratio / (aversion * spot * vol * vol * years)


@compiled
def last_jump(spot: float, vol: float, years: float, aversion: float, fixed: float) -> float:
    """sqrt(2f/(γσ²S²τ)), in units: the gap beyond H0 that is worth a fixed cost, if it stays until the last expiry."""
    return math.sqrt(2.0 * fixed / (aversion * years)) / (vol * spot)


@compiled
def zakamouline(
    gamma: float, spot: float, vol: float, years: float, rate: float, aversion: float, ratio: float
) -> float:
    """The half width H0 + H1 in units (Zakamouline 2006); to the edge, around the delta at `zakamouline_vol`.

    H1 = 1.12 λ^0.31 τ^0.05 (e^(−rτ)/σ)^¼ (|Γ|/γ)^½.
    """
    spread = (math.exp(-rate * years) / vol) ** 0.25
    wide: float = 1.12 * ratio**0.31 * years**0.05 * spread * math.sqrt(abs(gamma) / aversion)
    return last_width(spot, vol, years, aversion, ratio) + wide


@compiled
def zakamouline_vol(
    gamma: float, spot: float, vol: float, years: float, rate: float, aversion: float, ratio: float
) -> float:
    """The vol whose delta is the middle of Zakamouline's band: σm² = σ²(1 − K) where Γ < 0, σ²(1 + K) where Γ > 0.

    K = −4.76 λ^0.78 τ^−0.02 (e^(−rτ)/σ)^¼ (γS²|Γ|)^0.15, so that a short book is hedged at a higher vol.
    """
    spread = (math.exp(-rate * years) / vol) ** 0.25
    shift = 4.76 * ratio**0.78 * years**-0.02 * spread * (aversion * spot * spot * abs(gamma)) ** 0.15
    return vol * math.sqrt(max(1.0 + shift if gamma < 0.0 else 1.0 - shift, 0.0))


@compiled
def two_thresholds(
    gamma: float, spot: float, aversion: float, ratio: float, fixed: float
) -> tuple[float, float]:
    """(trigger, target) in units for a long life: the equations of the module's docstring, without the floors.

    With u = b/a they are a⁴u³ = qf and a³(1 − u²) = qλS. Eliminating a leaves ρ³u^(9/4) + u² = 1 with
    ρ = (qλS)^⅓ ÷ (qf)^¼, whose left side is convex and rises: Newton's steps from above its root can't miss it at
    any scale.
    """
    root_q = abs(gamma) * math.sqrt(12.0 / aversion)
    by_ratio = root_q ** (2 / 3) * (ratio * spot) ** (1 / 3)
    by_fixed = math.sqrt(root_q) * fixed**0.25
    if by_fixed == 0.0:
        return by_ratio / 2, by_ratio / 2
    rho = by_ratio / by_fixed
    u = 1.0 if rho <= 1.0 else rho ** (-4 / 3)
    if u < 1e-100:
        return by_ratio / 2, by_ratio / 2
    for _ in range(ROUNDS):
        rest = (rho * u**0.75) ** 3
        step = (rest + u * u - 1.0) / (2.25 * rest / u + 2.0 * u)
        u -= step
        if step <= 1e-15 * u:
            break
    wide = by_fixed / u**0.75
    # 1 − u² is taken from the equation, for a difference would lose the target's digits where u is near 1.
    return wide * (1.0 + u) / 2, wide * (rho * u**0.75) ** 3 / (2.0 * (1.0 + u))


@compiled
def optimal_band(
    gamma: float,
    spot: float,
    vol: float,
    years: float,
    aversion: float,
    ratio: float,
    fixed: float,
    check_years: float,
) -> tuple[float, float]:
    """(trigger, target) in units: `two_thresholds`, set nearer for checks `check_years` apart, not below the floors.

    The trigger moves by the mean overshoot, by half of itself at most: where a check's move is as wide as the band, the
    correction is no longer one. The target is never beyond the trigger. The floors are what pays for itself by the last
    expiry: target ≥ H0, trigger ≥ H0 + sqrt(2f/(γσ²S²τ)).
    """
    trigger, target = two_thresholds(gamma, spot, aversion, ratio, fixed)
    least = last_width(spot, vol, years, aversion, ratio)
    jump = last_jump(spot, vol, years, aversion, fixed)
    nearer = OVERSHOOT * abs(gamma) * spot * vol * math.sqrt(check_years)
    trigger = max(trigger - nearer, trigger / 2, least + jump)
    return trigger, min(max(target, least), trigger)


@compiled
def widths(kind: int, at: Conditions, aversion: float) -> tuple[float, float]:
    """(trigger, target) in units of one of the three kinds. A band that is traded to its edge has the two equal."""
    if kind == WHALLEY_WILMOTT:
        edge = whalley_wilmott(at.gamma, at.spot, at.years, at.rate, aversion, at.ratio)
        return edge, edge
    if kind == ZAKAMOULINE:
        edge = zakamouline(at.gamma, at.spot, at.vol, at.years, at.rate, aversion, at.ratio)
        return edge, edge
    return optimal_band(at.gamma, at.spot, at.vol, at.years, aversion, at.ratio, at.fixed, at.check_years)


@compiled
def held_gap(trigger: float, target: float, step: float) -> tuple[float, float, float]:
    """(mean square of the gap held, trades per check, mean size of a trade), in units and units².

    For a gap that moves by a normal `step` (standard deviation, units) between two checks and is set back to ±`target`
    when a check finds it beyond ±`trigger`. With M2 and M4 the moments of what the check finds there and k the target,
    the martingales g² − s²n and g⁴ − 6s²Σg² − 3s⁴n give

        checks per trade  (M2 − k²)/s²
        mean square       (M4 − k⁴ − 3s²(M2 − k²)) / (6(M2 − k²))

    M2 and M4 follow from the overshoot's moments in steps: those of a walk's first ladder height where it starts at the
    threshold, those of the limit where it starts far from it, and in between by a fitted exponential. Within 5 % of
    simulated walks for thresholds from one step on, less exact below; at step 0 it is (h² + k²)/6.
    """
    if step <= 0.0:
        return (trigger * trigger + target * target) / 6.0, 0.0, 0.0
    h, k = trigger / step, target / step
    near = math.exp(-2.7 * (h - k))
    over1 = OVERSHOOT + near * (0.70711 - OVERSHOOT)
    over2 = 0.58942 + near * (0.82392 - 0.58942)
    over3 = 0.80123 + near * (1.25034 - 0.80123)
    over4 = 1.32847 + near * (2.26624 - 1.32847)
    gain2 = (h - k) * (h + k) + 2.0 * h * over1 + over2
    wider4 = 4.0 * h**3 * over1 + 6.0 * h * h * over2 + 4.0 * h * over3 + over4
    gain4 = (h - k) * (h + k) * (h * h + k * k) + wider4
    square = max(gain4 - 3.0 * gain2, 0.0) / (6.0 * gain2)
    return square * step * step, min(1.0 / gain2, 1.0), (h - k + over1) * step


@compiled
def carry_shift(spot: float, vol: float, aversion: float, funding: float, most: float) -> float:
    """Where funding moves the band's centre, in units: −φ/(γσ²S²), the gap whose risk is worth its carry.

    Mean-variance: γ/2 · g²S²σ² + φg is least there. No further than `most` from zero.
    """
    shift = -funding / (aversion * vol * vol * spot * spot)
    return min(max(shift, -most), most)


@compiled
def daily_error(at: Conditions, trigger: float, target: float, centre: float) -> float:
    """The hedging error's standard deviation per day, in USD, of a band around `centre` that is looked at in steps.

    Per year, S²σ²(E[g²] + c²) for the gap that is held between checks (`held_gap`), and ½Γ²S⁴σ⁴Δt for what the gap does
    between two checks (Boyle and Emanuel 1980).
    """
    step = abs(at.gamma) * at.spot * at.vol * math.sqrt(at.check_years)
    square = held_gap(trigger, target, step)[0]
    return at.spot * at.vol * math.sqrt((square + centre * centre + step * step / 2.0) / 365.0)


@compiled
def error_at(kind: int, at: Conditions, aversion: float, funding: float, carry_cap: float) -> float:
    """`daily_error` of the band of one kind at one γ, its centre moved by funding up to `carry_cap` of its trigger."""
    trigger, target = widths(kind, at, aversion)
    centre = carry_shift(at.spot, at.vol, aversion, funding, carry_cap * trigger)
    return daily_error(at, trigger, target, centre)


@compiled
def aversion_for(daily_usd: float, kind: int, at: Conditions, funding: float, carry_cap: float) -> float:
    """The γ in 1/USD at which `error_at` is `daily_usd`, which must be above `daily_error` of a band of no width.

    The error falls as γ grows. Where trading is free every γ keeps it below `daily_usd`; the least one looked at is
    returned.
    """
    low, high = 1.0 / at.spot, 1.0 / at.spot
    for _ in range(ROUNDS):
        if error_at(kind, at, low, funding, carry_cap) >= daily_usd:
            break
        low /= 1000.0
    for _ in range(ROUNDS):
        if error_at(kind, at, high, funding, carry_cap) <= daily_usd:
            break
        high *= 1000.0
    for _ in range(ROUNDS):
        middle = math.sqrt(low) * math.sqrt(high)
        if error_at(kind, at, middle, funding, carry_cap) > daily_usd:
            low = middle
        else:
            high = middle
        if high <= low * (1.0 + 1e-9):
            break
    return high
