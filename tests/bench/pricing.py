"""How fast and how exact the pricing is, beside QuantLib and mpmath. One thread."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import QuantLib as ql  # noqa: N813

from bot.pricing.black import Greeks, black_scholes
from bot.pricing.implied import implied_vol

FloatArray = npt.NDArray[np.float64]
Options = dict[str, npt.NDArray[Any]]

SEED = 20_240_613
ROUNDS = 5
QUANTLIB_OPTIONS = 50_000
"""QuantLib prices one option per call at about 1e5 a second, so a round times no more of them than this."""

GREEKS = ("delta", "gamma", "vega", "theta", "rho", "vanna", "volga", "charm")
IN_QUANTLIB = GREEKS[:5]


def options(count: int) -> Options:
    """Random arguments of `black_scholes`, each (count,): spot 1 to 1e5 USD, strike 0.2 to 5 times it, 1 minute to
    3 years (uniform in the logarithm), vol 5 to 300 %, rate -5 to 20 %, yield 0 to 5 %, calls and puts."""
    rng = np.random.default_rng(SEED)
    spot = np.exp(rng.uniform(0.0, np.log(1e5), count))
    return {
        "spot": spot,
        "strike": spot * np.exp(rng.uniform(np.log(0.2), np.log(5.0), count)),
        "years": np.exp(rng.uniform(np.log(1.0 / 525_600.0), np.log(3.0), count)),
        "vol": rng.uniform(0.05, 3.0, count),
        "rate": rng.uniform(-0.05, 0.2, count),
        "is_call": rng.random(count) < 0.5,
        "carry_yield": rng.uniform(0.0, 0.05, count),
    }


def out_of_the_money(given: Options) -> Options:
    """The same options, each as the call or the put that is out of the money at the forward."""
    drift = (given["rate"] - given["carry_yield"]) * given["years"]
    return {**given, "is_call": given["spot"] * np.exp(drift) <= given["strike"]}


def quantlib_greeks(given: Options) -> dict[str, FloatArray]:
    """Price and the five greeks that `ql.BlackCalculator` has, from Python floats, each (n,)."""
    return _as_columns(_quantlib_loop(_quantlib_inputs(given)))


def speed(count: int) -> dict[str, float]:
    """Rates in options per second, and ours over QuantLib's.

    Ours: nine numbers for `count` options in one call; volatilities from as many out-of-the-money prices. QuantLib
    in Python: price and five greeks by `BlackCalculator`, volatility by `blackFormulaImpliedStdDev`, each for at most
    QUANTLIB_OPTIONS of the same options, inputs converted beforehand. The two alternate in ROUNDS rounds, and a rate
    is that of the median round. Volatilities are of prices above 1e-6 of the spot, which QuantLib solves
    too, to its default accuracy of 1e-6; ours go to the last digits.
    """
    given = options(count)
    some = {name: array[:QUANTLIB_OPTIONS] for name, array in given.items()}
    inputs = _quantlib_inputs(some)
    quotes = out_of_the_money(given)
    price = black_scholes(**quotes).price
    worth = price > 1e-6 * given["spot"]
    quotes = {name: np.ascontiguousarray(array[worth]) for name, array in quotes.items()}
    price = np.ascontiguousarray(price[worth])
    vol = quotes.pop("vol")
    implied_vol(price[:1], **{name: array[:1] for name, array in quotes.items()})
    few = {name: array[:QUANTLIB_OPTIONS] for name, array in {**quotes, "vol": vol}.items()}
    iv_inputs = [
        (kind, strike, forward, value, discount)
        for (kind, strike, forward, _, discount, _, _), value in zip(
            _quantlib_inputs(few), price[:QUANTLIB_OPTIONS].tolist(), strict=True
        )
    ]
    ours, theirs = _alternate(lambda: black_scholes(**given), lambda: _quantlib_loop(inputs))
    our_iv, their_iv = _alternate(lambda: implied_vol(price, **quotes), lambda: _quantlib_iv(iv_inputs))
    greeks, quantlib = count / ours, len(inputs) / theirs
    iv, quantlib_iv = len(price) / our_iv, len(iv_inputs) / their_iv
    return {
        "greeks_vs_quantlib": greeks / quantlib,
        "iv_vs_quantlib": iv / quantlib_iv,
        "greeks_per_s": greeks,
        "iv_per_s": iv,
        "quantlib_greeks_per_s": quantlib,
        "quantlib_iv_per_s": quantlib_iv,
    }


def accuracy(count: int) -> dict[str, float]:
    """The greatest errors over `count` random options, against mpmath at 36 digits from the closed forms.

    price_max_abs_err: of the price, in units of the spot; 1e-12 is the limit.
    greeks_max_rel_err: the greatest, over options and the eight greeks, of ``min(e / |g|, 1e3 e / scale)`` for an
    error e in a greek g: at most 1e-9 means that each is within 1e-9 of itself or within 1e-12 of its scale (`scales`).
    iv_max_abs_err: of the volatility, per year with 1.00 for 100 %, implied by mpmath's out-of-the-money prices rounded
    to float64, wherever such a price is above 1e-280 of the spot.
    price_err_vs_quantlib and greeks_err_vs_quantlib: as the first two, of what `ql.BlackCalculator` has and against it.

    mpmath decides and not QuantLib, which forms an in-the-money and a nearly-forward price by subtraction.
    """
    given = options(count)
    greeks = black_scholes(**given)
    reference, otm = _mpmath_greeks(given)
    theirs = quantlib_greeks(given)
    quotes = out_of_the_money(given)
    vol = quotes.pop("vol").astype(np.float64)
    usable = otm > 1e-280 * given["spot"]
    implied = implied_vol(otm[usable], **{name: array[usable] for name, array in quotes.items()})
    return {
        "price_max_abs_err": _price_error(greeks, reference, given),
        "greeks_max_rel_err": max(greek_errors(greeks, reference, given).values()),
        "iv_max_abs_err": float(np.max(np.abs(implied - vol[usable]))),
        "price_err_vs_quantlib": _price_error(greeks, theirs, given),
        "greeks_err_vs_quantlib": max(greek_errors(greeks, theirs, given).values()),
    }


def greek_errors(greeks: Greeks, reference: dict[str, FloatArray], given: Options) -> dict[str, float]:
    """The combined error of `accuracy` for each greek that `reference` has."""
    size = scales(given)
    worst = {}
    for name in GREEKS:
        if name in reference:
            error = np.abs(getattr(greeks, name) - reference[name])
            with np.errstate(all="ignore"):
                relative = np.where(error == 0.0, 0.0, error / np.abs(reference[name]))
            worst[name] = float(np.max(np.minimum(relative, 1e3 * error / size[name])))
    return worst


def scales(given: Options) -> dict[str, FloatArray]:
    """The size of each greek for an option's spot, time and volatility at the strike where it is largest, (n,) each.

    With S' the spot less its yield, n(0) = 0.3989 and w the total volatility: delta exp(-q tau); gamma
    n(0) S' / (S² w); vega S' n(0) sqrt(tau); theta S' (n(0) vol / (2 sqrt(tau)) + |q| + |r|); rho S' tau; and, as
    n(d) |d| is at most 0.2420 and n(d) d² at most 0.2936, vanna 0.2420 S' / (S vol), volga 0.2936 S' sqrt(tau) / vol,
    charm (S' / S)(0.2420 / (2 tau) + |q|). Where these are not the exact maximum, that is larger.
    """
    spot, years, vol, rate, carry = (
        given[name].astype(np.float64) for name in ("spot", "years", "vol", "rate", "carry_yield")
    )
    share = np.exp(-carry * years)
    root = np.sqrt(years)
    peak = 1.0 / np.sqrt(2.0 * np.pi)
    return {
        "delta": share,
        "gamma": peak * share / (spot * vol * root),
        "vega": spot * share * peak * root,
        "theta": spot * share * (peak * vol / (2.0 * root) + np.abs(carry) + np.abs(rate)),
        "rho": spot * share * years,
        "vanna": 0.2420 * share / vol,
        "volga": 0.2936 * spot * share * root / vol,
        "charm": share * (0.2420 / (2.0 * years) + np.abs(carry)),
    }


def _price_error(greeks: Greeks, reference: dict[str, FloatArray], given: Options) -> float:
    return float(np.max(np.abs(greeks.price - reference["price"]) / given["spot"]))


def _alternate(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each over ROUNDS rounds that run one after the other, after one call of `ours` to load it."""
    ours()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for function, taken in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return median(times[0]), median(times[1])


def _quantlib_inputs(given: Options) -> list[tuple[Any, ...]]:
    """Rows of option type, strike, forward, total volatility, discount, spot and years, as Python numbers."""
    spot, strike, years, vol, rate, carry = (
        given[name].astype(np.float64) for name in ("spot", "strike", "years", "vol", "rate", "carry_yield")
    )
    kind = np.where(given["is_call"], ql.Option.Call, ql.Option.Put)
    columns = (
        kind,
        strike,
        spot * np.exp((rate - carry) * years),
        vol * np.sqrt(years),
        np.exp(-rate * years),
    )
    return list(zip(*(column.tolist() for column in (*columns, spot, years)), strict=True))


def _quantlib_loop(inputs: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    rows = []
    for kind, strike, forward, total_vol, discount, spot, years in inputs:
        it = ql.BlackCalculator(ql.PlainVanillaPayoff(kind, strike), forward, total_vol, discount)
        rows.append(
            (it.value(), it.delta(spot), it.gamma(spot), it.vega(years), it.theta(spot, years), it.rho(years))
        )
    return rows


def _quantlib_iv(inputs: list[tuple[Any, ...]]) -> list[float]:
    return [ql.blackFormulaImpliedStdDev(*row) for row in inputs]


def _as_columns(rows: list[tuple[Any, ...]]) -> dict[str, FloatArray]:
    names = ("price", *IN_QUANTLIB)
    return dict(zip(names, np.array(rows, dtype=np.float64).reshape(-1, len(names)).T, strict=True))


def _mpmath_greeks(given: Options) -> tuple[dict[str, FloatArray], FloatArray]:
    """All nine numbers rounded to float64, (n,) each, and the out-of-the-money option's price."""
    names = ("spot", "strike", "years", "vol", "rate", "carry_yield", "is_call")
    rows = zip(*(given[name].tolist() for name in names), strict=True)
    with mp.workdps(36):
        root_two, root_two_pi = mp.sqrt(2), mp.sqrt(2 * mp.pi)
        table = [_mpmath_row(root_two, root_two_pi, *row) for row in rows]
    columns = np.array(table, dtype=np.float64).T
    return dict(zip(("price", *GREEKS), columns[:9], strict=True)), columns[9]


def _mpmath_row(
    root_two: mp.mpf,
    root_two_pi: mp.mpf,
    spot: float,
    strike: float,
    years: float,
    vol: float,
    rate: float,
    carry: float,
    is_call: bool,
) -> tuple[float, ...]:
    s, k, tau, sigma, r, q = map(mp.mpf, (spot, strike, years, vol, rate, carry))
    root = mp.sqrt(tau)
    w = sigma * root
    x = mp.log(s / k) + (r - q) * tau
    d1 = x / w + w / 2
    d2 = d1 - w
    share, discount = mp.exp(-q * tau), mp.exp(-r * tau)
    # Each tail by itself: one less its complement would lose a small one's digits.
    call1, call2 = mp.erfc(-d1 / root_two) / 2, mp.erfc(-d2 / root_two) / 2
    put1, put2 = mp.erfc(d1 / root_two) / 2, mp.erfc(d2 / root_two) / 2
    call = s * share * call1 - k * discount * call2
    put = k * discount * put2 - s * share * put1
    density = mp.exp(-d1 * d1 / 2) / root_two_pi
    n1, n2 = (call1, call2) if is_call else (-put1, -put2)
    delta = share * n1
    vega = s * share * density * root
    return tuple(
        float(value)
        for value in (
            call if is_call else put,
            delta,
            share * density / (s * w),
            vega,
            -s * share * density * sigma / (2 * root) + q * s * share * n1 - r * k * discount * n2,
            k * tau * discount * n2,
            -share * density * d2 / sigma,
            vega * d1 * d2 / sigma,
            q * delta - share * density * ((r - q) / w - d2 / (2 * tau)),
            put if x > 0 else call,
        )
    )
