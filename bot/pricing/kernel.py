"""The compiled arithmetic of option pricing: elementary functions, sensitivities, and volatility from a price.

All of it is in this one file, because the copy of a compiled function on disk is renewed when the function's own
source file changes, and not when a file that it calls into does.

The elementary functions are sums and products without branches, so that a loop over options runs several options
per instruction, and one option gives the same bits alone as among others, on any machine. What they compute is
within about two units in the last place of the exact value; none raises, and a NaN argument gives NaN.
"""

import math
from typing import Final

import numpy as np

from bot.pricing.arguments import MOST_VOL, BoolArray, FloatArray
from bot.pricing.compiled import compiled, inlined

FIELDS: Final = 9
"""Rows that `greeks_loop` fills: price, delta, gamma, vega, theta, rho, vanna, volga, charm."""

SLACK: Final = 8.0 * 2.220446049250313e-16
"""Rounding allowed for where a price meets a bound, relative to that bound."""

LEAST_PART: Final = 1e-290
"""The least out-of-the-money price, relative to the lower discounted leg, that still has all its digits."""

_BLOCK: Final = 256
"""Options per pass: few enough for the columns of a pass to stay in the nearest cache."""

_ROUNDER: Final = 6755399441055744.0
"""1.5 * 2^52: adding and subtracting it rounds to an integer."""
_ONE_IN_LOW_BITS: Final = 4503599627370496.0
"""2^52: added to an integer below 2^51, it leaves that integer in the low bits."""
_LOG2_E: Final = 1.4426950408889634
# ln 2 in two parts, the first with 33 zero bits at its end, so that its product with an exponent is exact.
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10
_INV_ROOT_2PI: Final = 0.3989422804014327
_FAR: Final = 1e150
"""Standard deviations that stand for infinity; the density is zero from 39 on."""


@inlined
def _power_of_two(k: float) -> float:
    """2^k for an integer k in [-1022, 1023], by writing the exponent's bits."""
    return np.int64(np.float64(k + (1023.0 + _ONE_IN_LOW_BITS)).view(np.int64) << 52).view(np.float64)


@inlined
def _expm1_parts(x: float) -> tuple[float, float, float]:
    """(a, b, m) with exp(x) = a b (1 + m): a and b powers of two, |m| < 0.42; x within ±750.

    The argument is reduced by multiples of ln 2 and the rest summed as a Taylor series; its first term left
    out is below 2^-57.
    """
    k = (x * _LOG2_E + _ROUNDER) - _ROUNDER
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    m = r + r * r * p
    half = (0.5 * k + _ROUNDER) - _ROUNDER
    return _power_of_two(half), _power_of_two(k - half), m


@inlined
def _exp(x: float) -> float:
    """e^x; zero below -745.2, infinite above 709.8."""
    x = -800.0 if x < -800.0 else x
    x = 800.0 if x > 800.0 else x
    a, b, m = _expm1_parts(x)
    return (a + a * m) * b


@inlined
def _expm1(x: float) -> float:
    """e^x - 1, to its last digits also near zero."""
    x = -800.0 if x < -800.0 else x
    x = 800.0 if x > 800.0 else x
    a, b, m = _expm1_parts(x)
    whole = a * b
    return whole * m + (whole - 1.0)


@inlined
def _log_ratio(a: float, b: float) -> float:
    """ln(a / b) for positive a and b whose ratio is a normal float64; to its last digits also near zero.

    fdlibm's logarithm (Sun Microsystems, e_log.c): the ratio is 2^k (1 + f) and ln(1 + f) a series in
    f / (2 + f). Where k is zero f is (a - b) / b, which rounds once less than the ratio minus one.
    """
    bits = np.float64(a / b).view(np.int64)
    shifted = bits + 0x95F6200000000  # moves the cut between two exponents from 1 to sqrt(1/2)
    k = np.int64(((shifted >> 52) & 0xFFF) | 0x4330000000000000).view(np.float64) - (
        _ONE_IN_LOW_BITS + 1023.0
    )
    mantissa = np.int64((shifted & 0xFFFFFFFFFFFFF) + 0x3FE6A09E00000000).view(np.float64)
    f = (a - b) / b if k == 0.0 else mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    square = 0.5 * f * f
    return k * _LN2_HIGH - ((square - (s * (square + (even + odd)) + k * _LN2_LOW)) - f)


@inlined
def _tail_ratio(y: float) -> float:
    """N(-y) / exp(-y² / 2), that is erfcx(y / √2) / 2, for y >= 0.

    (1 + y) times it is smooth in t = (y - 5) / (y + 5), which takes [0, ∞) to [-1, 1) (M. Shepherd and
    J. Laframboise, "Chebyshev Approximation of (1 + 2x) exp(x²) erfc x", 1981). The coefficients are the Chebyshev
    interpolant of degree 23, computed with 60 digits; what it leaves out is below 5e-18.
    """
    t = (y - 5.0) / (y + 5.0)
    p = -3.815816262632953e-10
    p = p * t + -2.8220772290629865e-10
    p = p * t + 4.4011596227599254e-09
    p = p * t + 3.627373163401201e-09
    p = p * t + -3.095201755804207e-08
    p = p * t + -2.6286205089898754e-08
    p = p * t + 1.9627809920091187e-07
    p = p * t + 1.27878221820937e-07
    p = p * t + -1.3074486019237587e-06
    p = p * t + -7.034644683537101e-08
    p = p * t + 9.05982468125664e-06
    p = p * t + -9.896097759279782e-06
    p = p * t + -5.36075811148722e-05
    p = p * t + 0.00018233414511643843
    p = p * t + 7.791597409338999e-06
    p = p * t + -0.00167607234455447
    p = p * t + 0.006522000667783896
    p = p * t + -0.015170415402514863
    p = p * t + 0.024536963243678652
    p = p * t + -0.026401042966308307
    p = p * t + 0.010002352385229382
    p = p * t + 0.031030368425963708
    p = p * t + -0.09155228183400904
    p = p * t + 0.46151582985003775
    # One half to the last bit: an option at the forward without volatility has half a delta.
    return p / (1.0 + y) if y > 0.0 else 0.5


@inlined
def _greeks_of_one(
    spot: float, strike: float, years: float, vol: float, rate: float, carry: float, sign: float
) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Price, delta, gamma, vega, theta, rho, vanna, volga and charm of one option; `sign` is 1 call, -1 put.

    Units, formulas and edges are those of `bot.pricing.black`; the arguments are sound. The call below the
    forward and the put above it are one expression in the lower and the higher of the two discounted legs,
    ``low N(e1) - high N(e2)`` with ``e1, e2 = -|ln(F/K)| / w ± w / 2``, and ``d1`` and ``d2`` are these two or
    their negatives. As ``low n(e1) = high n(e2)``, one exponential serves both densities, and what is subtracted
    are two ratios N/n of ordinary size: that costs no more digits than one rounding of the forward does.
    """
    discount = _exp(-rate * years)
    yield_discount = _exp(-carry * years)
    asset = spot * yield_discount
    cash = strike * discount
    root_years = math.sqrt(years)
    total_vol = vol * root_years
    still = total_vol == 0.0
    log_moneyness = _log_ratio(spot, strike) + (rate - carry) * years
    at_forward = log_moneyness == 0.0
    # |ln(F/K)| / w tends to infinity off the forward as w falls to zero, and stays zero at the forward.
    centre = math.fabs(log_moneyness) / total_vol
    centre = centre if centre < _FAR else _FAR
    centre = 0.0 if at_forward else centre
    e1 = 0.5 * total_vol - centre
    far = 0.5 * total_vol + centre
    near = math.fabs(e1)
    low = asset if asset < cash else cash
    high = cash if asset < cash else asset

    weight = _exp(-0.5 * near * near)
    far_ratio = _tail_ratio(far)
    near_tail = weight * _tail_ratio(near)
    far_weight = weight * (low / high)
    far_tail = far_weight * far_ratio
    near_body = 1.0 - near_tail
    upper = near_body if e1 > 0.0 else near_tail
    lower = near_tail if e1 > 0.0 else near_body
    # The ratio need not be monotone to the last bit, so neighbouring e1 and e2 could leave a trace below zero.
    time_value = low * (upper - weight * far_ratio)
    time_value = time_value if time_value > 0.0 else 0.0
    intrinsic = sign * (asset - cash)
    intrinsic = intrinsic if intrinsic > 0.0 else 0.0

    above = log_moneyness >= 0.0
    call = sign > 0.0
    # N(d1) and N(-d1), N(d2) and N(-d2).
    up1 = (1.0 - far_tail) if above else upper
    down1 = far_tail if above else lower
    up2 = lower if above else far_tail
    down2 = upper if above else (1.0 - far_tail)
    share1 = sign * (up1 if call else down1)
    share2 = sign * (up2 if call else down2)
    density = _INV_ROOT_2PI * (far_weight if above else weight)
    d1 = far if above else e1
    d2 = -e1 if above else -far

    delta = yield_discount * share1
    cash_leg = cash * share2
    vega = asset * density * root_years
    # At the forward d2 / vol is -sqrt(years) / 2 for any volatility.
    d2_by_vol = -0.5 * root_years if at_forward else d2 / vol
    smooth = (density > 0.0) & (not still)
    # Dividing twice keeps spot * total_vol from underflowing to zero and turning 0 / 0 into NaN.
    gamma = yield_discount * density / spot / total_vol if smooth else 0.0
    vanna = -yield_discount * density * d2_by_vol if (density > 0.0) & (at_forward | (not still)) else 0.0
    volga = vega * d1 * d2_by_vol if smooth else 0.0
    decay = asset * density * vol / (2.0 * root_years)
    theta = carry * asset * share1 - rate * cash_leg - decay
    drift = yield_discount * density * ((rate - carry) / total_vol - d2 / (2.0 * years))
    charm = carry * delta - (drift if smooth else 0.0)
    over = years == 0.0
    return (
        intrinsic + time_value,
        delta,
        gamma,
        vega,
        0.0 if over else theta,
        years * cash_leg,
        vanna,
        volga,
        0.0 if over else charm,
    )


@inlined
def _is_sound(spot: float, strike: float, years: float, vol: float, rate: float, carry: float) -> bool:
    """Whether the arguments can be priced: `bot.pricing.black` says what each must be. NaN compares false."""
    most, least = 1.7976931348623157e308, 2.2250738585072014e-308
    discount = _exp(-rate * years)
    yield_discount = _exp(-carry * years)
    asset = spot * yield_discount
    cash = strike * discount
    ratio = spot / strike
    drift = (rate - carry) * years
    return (
        (spot > 0.0)
        & (strike > 0.0)
        & (years >= 0.0)
        & (vol >= 0.0)
        & (vol <= MOST_VOL)
        & (spot <= most)
        & (strike <= most)
        & (years <= most)
        & (discount >= least)
        & (discount <= most)
        & (yield_discount >= least)
        & (yield_discount <= most)
        & (asset >= least)
        & (asset <= most)
        & (cash >= least)
        & (cash <= most)
        & (ratio >= least)
        & (ratio <= most)
        & (math.fabs(rate) <= most)
        & (math.fabs(carry) <= most)
        & (math.fabs(drift) <= most)
    )


@compiled
def greeks_loop(
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    vol: FloatArray,
    rate: FloatArray,
    carry: FloatArray,
    is_call: BoolArray,
    out: FloatArray,
) -> int:
    """Fills the columns of `out` (FIELDS, n) and returns how many options can't be priced; theirs mean nothing.

    Arguments are contiguous, of n elements or of one that serves all.
    """
    count = out.shape[1]
    steps = (
        np.int64(len(spot) == count),
        np.int64(len(strike) == count),
        np.int64(len(years) == count),
        np.int64(len(vol) == count),
        np.int64(len(rate) == count),
        np.int64(len(carry) == count),
        np.int64(len(is_call) == count),
    )
    # One buffer for the columns of a pass: sixteen arrays that might overlap would keep the loop from running
    # several options per instruction.
    work = np.empty(16 * _BLOCK)
    bad = 0
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        for j in range(size):
            work[j] = spot[(start + j) * steps[0]] + 0.0
        for j in range(size):
            work[_BLOCK + j] = strike[(start + j) * steps[1]]
        for j in range(size):
            # Adding zero turns -0.0 into 0.0, which would swap the signs of the limits.
            work[2 * _BLOCK + j] = years[(start + j) * steps[2]] + 0.0
        for j in range(size):
            work[3 * _BLOCK + j] = vol[(start + j) * steps[3]] + 0.0
        for j in range(size):
            work[4 * _BLOCK + j] = rate[(start + j) * steps[4]]
        for j in range(size):
            work[5 * _BLOCK + j] = carry[(start + j) * steps[5]]
        for j in range(size):
            work[6 * _BLOCK + j] = 1.0 if is_call[(start + j) * steps[6]] else -1.0
        for j in range(size):
            s, k, t = work[j], work[_BLOCK + j], work[2 * _BLOCK + j]
            v, r, q = work[3 * _BLOCK + j], work[4 * _BLOCK + j], work[5 * _BLOCK + j]
            # In one loop with the pricing, for both take the same two discounts.
            if not _is_sound(s, k, t, v, r, q):
                bad += 1
            a = _greeks_of_one(s, k, t, v, r, q, work[6 * _BLOCK + j])
            work[7 * _BLOCK + j] = a[0]
            work[8 * _BLOCK + j] = a[1]
            work[9 * _BLOCK + j] = a[2]
            work[10 * _BLOCK + j] = a[3]
            work[11 * _BLOCK + j] = a[4]
            work[12 * _BLOCK + j] = a[5]
            work[13 * _BLOCK + j] = a[6]
            work[14 * _BLOCK + j] = a[7]
            work[15 * _BLOCK + j] = a[8]
        for row in range(FIELDS):
            offset = (7 + row) * _BLOCK
            for j in range(size):
                out[row, start + j] = work[offset + j]
    return bad


@compiled
def book_delta_loop(
    prices: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    vol: FloatArray,
    rate: FloatArray,
    is_call: BoolArray,
    size: FloatArray,
    out: FloatArray,
) -> int:
    """Fills `out` (M,) with the book's delta at each of `prices` (M,) and returns how many options are unsound.

    The other arguments are contiguous, all of n elements. What depends on the option alone is computed once; the
    sum runs in the order of the options, whatever M is.
    """
    bad = 0
    log_price = np.empty(len(prices))
    highest, lowest, reference = prices[0], prices[0], prices[0]
    for m in range(len(prices)):
        highest = max(highest, prices[m])
        lowest = min(lowest, prices[m])
        # Relative to a price of the same size: the logarithm of the price itself would be large and lose digits.
        log_price[m] = _log_ratio(prices[m], reference)
        out[m] = 0.0
    for i in range(len(strike)):
        if not (
            _is_sound(highest, strike[i], years[i], vol[i], rate[i], 0.0)
            and _is_sound(lowest, strike[i], years[i], vol[i], rate[i], 0.0)
            and math.fabs(size[i]) < math.inf
        ):
            bad += 1
            continue
        total_vol = vol[i] * math.sqrt(years[i])
        half = 0.5 * total_vol
        drift = rate[i] * years[i]
        # A put's share is the call's less one.
        base = 0.0 if is_call[i] else -size[i]
        if total_vol == 0.0:
            for m in range(len(prices)):
                log_moneyness = _log_ratio(prices[m], strike[i]) + drift
                call_share = 1.0 if log_moneyness > 0.0 else 0.0
                call_share = 0.5 if log_moneyness == 0.0 else call_share
                out[m] += base + size[i] * call_share
            continue
        level = _log_ratio(reference, strike[i]) + drift
        for m in range(len(prices)):
            d1 = (log_price[m] + level) / total_vol + half
            near = math.fabs(d1)
            near = near if near < _FAR else _FAR
            tail = _exp(-0.5 * near * near) * _tail_ratio(near)
            call_share = 1.0 - tail if d1 > 0.0 else tail
            out[m] += base + size[i] * call_share
    return bad


@inlined
def _time_value(
    price: float, spot: float, strike: float, years: float, rate: float, carry: float, is_call: bool
) -> tuple[float, float, float, float]:
    """An option's price less its intrinsic value; that value; the lower discounted leg; |ln(F/K)|. USD but the last.

    The intrinsic value is summed from the differences, spot less strike and what each leg loses to its discount,
    so that near the forward it keeps the digits that subtracting the legs would lose.
    """
    spot_loss = spot * _expm1(-carry * years)
    strike_loss = strike * _expm1(-rate * years)
    ahead = (spot - strike) + (spot_loss - strike_loss)
    intrinsic = ahead if is_call else -ahead
    intrinsic = intrinsic if intrinsic > 0.0 else 0.0
    asset = spot + spot_loss
    cash = strike + strike_loss
    low = asset if asset < cash else cash
    return price - intrinsic, intrinsic, low, math.fabs(_log_ratio(spot, strike) + (rate - carry) * years)


@inlined
def _quantile_of_tail(log_tail: float) -> float:
    """z >= 0 with N(-z) = exp(log_tail) <= 1/2, to 4.5e-4 (Abramowitz and Stegun, 26.2.23)."""
    t = math.sqrt(-2.0 * log_tail)
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    return t - above / (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)))


@inlined
def _first_total_vol(centre: float, part: float, rest: float) -> float:
    """A total volatility within a factor of three of the one sought; arguments as for `_better_total_vol`.

    Two lower bounds added in quadrature. As the normalised price is below N(w/2 - centre/w), w is at least
    z + sqrt(z² + 2 centre) with N(z) the price; and it is at least that of an option at the forward.
    """
    less = part if part < rest else rest
    less = less if less < 0.5 else 0.5
    z = _quantile_of_tail(_log_ratio(less, 1.0))
    root = math.sqrt(z * z + 2.0 * centre)
    off = 2.0 * centre / (root + z) if part < rest else root + z
    at = 2.0 * _quantile_of_tail(_log_ratio(0.5 * rest, 1.0))
    at = 2.5066282746310002 * part if part < 0.05 else at
    return math.sqrt(off * off + at * at)


@inlined
def _better_total_vol(w: float, centre: float, part: float, rest: float) -> float:
    """One step of Householder's third-order method from `w` towards the total volatility.

    `part` is the out-of-the-money price over its upper bound, the lower discounted leg; `rest` is one less that,
    and `centre` |ln(F/K)|. Solved is ln(part) where it is below one half and ln(rest) above, in which the price is
    close to a power of w. Derivatives: P. Jäckel, "Let's Be Rational" (2015), scaled to that leg.
    """
    h = centre / w
    h = h if h < _FAR else _FAR
    t = 0.5 * w
    e1 = t - h
    near = math.fabs(e1)
    small = t < 0.06
    first = _tail_ratio(h if small else near)
    second = _tail_ratio(h if small else h + t)
    weight = _exp(-0.5 * near * near)
    density = _INV_ROOT_2PI * weight
    # Below a small w the two ratios nearly cancel: their difference is the odd part of a Taylor series about h,
    # by T' = h T - 1/sqrt(2 pi) and T⁽ⁿ⁺¹⁾ = h T⁽ⁿ⁾ + n T⁽ⁿ⁻¹⁾.
    t1 = h * first - _INV_ROOT_2PI
    t2 = h * t1 + first
    t3 = h * t2 + 2.0 * t1
    t4 = h * t3 + 3.0 * t2
    t5 = h * t4 + 4.0 * t3
    t6 = h * t5 + 5.0 * t4
    t7 = h * t6 + 6.0 * t5
    t8 = h * t7 + 7.0 * t6
    t9 = h * t8 + 8.0 * t7
    u = t * t
    series = t1 + u * (t3 / 6.0 + u * (t5 / 120.0 + u * (t7 / 5040.0 + u * (t9 / 362880.0))))
    little = -2.0 * t * series * weight
    inside = weight * (first + second)
    outside = weight * (first - second)
    value = (1.0 - inside) if e1 > 0.0 else outside
    value = little if small else value
    remainder = inside if e1 > 0.0 else 1.0 - outside
    remainder = 1.0 - little if small else remainder
    lower_half = part < 0.5
    f = _log_ratio(value if lower_half else remainder, part if lower_half else rest)
    g = density / value if lower_half else -density / remainder
    second_by_first = h * h / w - 0.25 * w
    third_by_first = second_by_first * second_by_first - 3.0 * h * h / (w * w) - 0.25
    a = second_by_first - g
    b = third_by_first - 3.0 * g * second_by_first + 2.0 * g * g
    newton = -f / g
    step = newton * (1.0 + 0.5 * a * newton) / (1.0 + newton * (a + b * newton / 6.0))
    # Far below the solution the price underflows and the step is no number: then w doubles.
    step = step if step < w else w
    step = step if step == step else w
    step = step if step > -0.5 * w else -0.5 * w
    return w + step


@compiled
def implied_loop(
    price: FloatArray,
    spot: FloatArray,
    strike: FloatArray,
    years: FloatArray,
    rate: FloatArray,
    carry: FloatArray,
    is_call: BoolArray,
    out: FloatArray,
) -> int:
    """Fills `out` (n,) with volatilities per year and returns how many are not defined; those are NaN.

    Arguments are contiguous, of n elements or of one that serves all.
    """
    count = len(out)
    steps = (
        np.int64(len(price) == count),
        np.int64(len(spot) == count),
        np.int64(len(strike) == count),
        np.int64(len(years) == count),
        np.int64(len(rate) == count),
        np.int64(len(carry) == count),
        np.int64(len(is_call) == count),
    )
    work = np.empty(6 * _BLOCK)
    bad = 0
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        for j in range(size):
            i = start + j
            p, s, k = price[i * steps[0]], spot[i * steps[1]], strike[i * steps[2]]
            t, r, q = years[i * steps[3]], rate[i * steps[4]], carry[i * steps[5]]
            value, intrinsic, low, centre = _time_value(p, s, k, t, r, q, is_call[i * steps[6]])
            part, rest = value / low, (low - value) / low
            fine = (
                _is_sound(s, k, t, 0.0, r, q)
                & (t > 0.0)
                & (p <= 1.7976931348623157e308)
                & (value > SLACK * intrinsic)
                & (part > LEAST_PART)
                & (rest > SLACK)
            )
            work[j] = centre if fine else 0.0
            work[_BLOCK + j] = part if fine else 0.5
            work[2 * _BLOCK + j] = rest if fine else 0.5
            work[3 * _BLOCK + j] = t if fine else math.nan
        for j in range(size):
            work[4 * _BLOCK + j] = _first_total_vol(work[j], work[_BLOCK + j], work[2 * _BLOCK + j])
        for j in range(size):
            work[5 * _BLOCK + j] = 1.0
        for _ in range(10):
            for j in range(size):
                w, unrest = work[4 * _BLOCK + j], work[5 * _BLOCK + j]
                better = _better_total_vol(w, work[j], work[_BLOCK + j], work[2 * _BLOCK + j])
                # One that has settled stays, so that it does not depend on the others in its pass.
                settled = unrest < 0.0
                work[5 * _BLOCK + j] = unrest if settled else math.fabs(better - w) - 1e-5 * w
                work[4 * _BLOCK + j] = w if settled else better
            unsettled = 0
            for j in range(size):
                if not work[5 * _BLOCK + j] < 0.0:
                    unsettled += 1
            # A step multiplies the relative error by its cube and more, so after one of 1e-5 none is left.
            if unsettled == 0:
                break
        for j in range(size):
            vol = work[4 * _BLOCK + j] / math.sqrt(work[3 * _BLOCK + j])
            fine = (vol <= MOST_VOL) & (work[5 * _BLOCK + j] < 0.0)
            out[start + j] = vol if fine else math.nan
            if not fine:
                bad += 1
    return bad


@compiled
def time_value(
    price: float, spot: float, strike: float, years: float, rate: float, carry: float, is_call: bool
) -> tuple[float, float, float, float]:
    """`_time_value` for one option: its time value, its intrinsic value and the lower discounted leg, in USD;
    and the distance of the forward from the strike, |ln(F/K)|."""
    return _time_value(price, spot, strike, years, rate, carry, is_call)


@compiled
def revalue_loop(
    spot: FloatArray,
    vol_factor: FloatArray,
    vol_shift: FloatArray,
    passed: FloatArray,
    strike: FloatArray,
    left: FloatArray,
    window: FloatArray,
    vol: FloatArray,
    rate: FloatArray,
    is_call: BoolArray,
    size: FloatArray,
    value: FloatArray,
    delta: FloatArray,
) -> int:
    """Fills `value` (USD) and `delta` (units), both (M,), of a whole book in M scenarios; returns how many prices of
    one option in one scenario are unsound: then the sums mean nothing.

    A scenario is a `spot` in USD, vols that are `vol_factor` times their own plus `vol_shift` and never below zero, and
    `passed` seconds, (M,) each. The options, (n,) each, have `left` seconds to expiry now and settle by the average of
    `window` seconds (`bot.pricing.settlement.effective_years`); `size` is in options. The sum runs in the order of
    the options, whatever M is.
    """
    count = len(spot)
    # One buffer, for the reason that `greeks_loop` gives.
    work = np.empty(6 * _BLOCK)
    bad = 0
    for start in range(0, count, _BLOCK):
        block = min(_BLOCK, count - start)
        for j in range(block):
            work[j] = spot[start + j]
            work[_BLOCK + j] = vol_factor[start + j]
            work[2 * _BLOCK + j] = vol_shift[start + j]
            work[3 * _BLOCK + j] = passed[start + j]
            work[4 * _BLOCK + j] = 0.0
            work[5 * _BLOCK + j] = 0.0
        for i in range(len(strike)):
            k, r, own, time, wide, held = strike[i], rate[i], vol[i], left[i], window[i], size[i]
            sign = 1.0 if is_call[i] else -1.0
            for j in range(block):
                s = work[j]
                v = own * work[_BLOCK + j] + work[2 * _BLOCK + j]
                v = 0.0 if v <= 0.0 else v
                rest = time - work[3 * _BLOCK + j]
                rest = 0.0 if rest <= 0.0 else rest
                years = (rest - 2.0 * wide / 3.0 if rest >= wide else rest / 3.0) / 31_536_000.0
                if not _is_sound(s, k, years, v, r, 0.0):
                    bad += 1
                a = _greeks_of_one(s, k, years, v, r, 0.0, sign)
                work[4 * _BLOCK + j] += held * a[0]
                work[5 * _BLOCK + j] += held * a[1]
        for j in range(block):
            value[start + j] = work[4 * _BLOCK + j]
            delta[start + j] = work[5 * _BLOCK + j]
    return bad
