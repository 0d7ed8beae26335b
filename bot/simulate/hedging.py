"""What a policy is worth: many paths of one option book hedged by it, on a price that moves lognormally.

Every policy of bot.core.policy is simulated by the formulas that it decides by (bot.core.bands), all on the same seeded
paths. A cost that is the same for every size stands in for a venue's quotes, and there are no lots.

Prices are discounted: a rate r is a strike of K e^(−r τ), and profit is in today's money.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from bot.core.bands import (
    OPTIMAL,
    WHALLEY_WILMOTT,
    ZAKAMOULINE,
    Conditions,
    widths,
    zakamouline_vol,
)
from bot.core.policy import (
    DeltaBand,
    Interval,
    OptimalBand,
    Policy,
    PriceMove,
    WhalleyWilmott,
    Zakamouline,
)
from bot.core.risk_target import Aversion
from bot.pricing.compiled import compiled_anew

YEAR_S: Final = 31_536_000
REACH: Final = 8.0
"""Tables reach so many standard deviations (in d1) from the strike; beyond, gamma is nothing."""
POINTS: Final = 513
FIXED, EVERY_CHECK, ON_MOVE = -1, -2, -3
"""Kinds of rule beside those of `bands.widths`: a band of given widths, no band, a move of the price."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class OptionBook:
    """`calls` and `puts` of one strike and expiry (negative = short), an underlying without drift.

    `vol` is annual, `years` 365-day years to expiry, prices USD per unit.
    """

    calls: float = -1.0
    puts: float = -1.0
    spot: float = 1.0
    strike: float = 1.0
    vol: float = 0.7
    years: float = 30 / 365

    def value(self) -> float:
        """What the book is worth at the start, in USD."""
        return float(self.value_at(np.array([self.spot]), self.years)[0])

    def value_at(self, price: Array, years: float) -> Array:
        """What it is worth at prices in USD with `years` left (Black-Scholes at no rate); the shape of `price`."""
        if years <= 0.0:
            call = np.maximum(price - self.strike, 0.0)
        else:
            total = self.vol * math.sqrt(years)
            d1 = np.log(price / self.strike) / total + total / 2
            call = price * ndtr(d1) - self.strike * ndtr(d1 - total)
        return np.asarray(self.calls * call + self.puts * (call - price + self.strike))


@dataclass(frozen=True, slots=True)
class Market:
    """`checks` per life, `ratio` λ and `fixed` f per trade in USD.

    With `stop` only so many checks are made, and book and hedge are marked at their fair value then, not unwound.
    """

    checks: int = 2_880
    ratio: float = 5e-4
    fixed: float = 0.0
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One policy's results per path, arrays of shape (paths,): the profit before costs in USD, USD traded, trades made.

    Unwinding the hedge at expiry counts as a trade.
    """

    gross: Array
    traded_usd: Array
    trades: Array

    def profit(self, ratio: float, fixed: float) -> Array:
        """Profit after costs in USD against the book's fair value at the start. Shape (paths,)."""
        return self.gross - ratio * self.traded_usd - fixed * self.trades


@dataclass(frozen=True, slots=True)
class Result:
    """Figures of a run in USD. `cost` is paid on average, `deviation` is the profit's standard deviation.

    `loss` is minus the certainty equivalent of the profit: the sum that hedging is as bad as.
    """

    cost: float
    deviation: float
    loss: float
    trades: float


def result_of(run: Run, market: Market, aversion: float) -> Result:
    """`run` at a market's costs, for an exponential utility of `aversion` in 1/USD."""
    profit = run.profit(market.ratio, market.fixed)
    cost = float(np.mean(run.gross - profit))
    loss = certainty_loss(profit, aversion)
    return Result(cost, float(np.std(profit)), loss, float(np.mean(run.trades)))


def certainty_loss(profit: Array, aversion: float) -> float:
    """(1/γ) ln E[e^(−γ · profit)] in USD. `profit` has shape (paths,)."""
    exponents = -aversion * profit
    top = float(np.max(exponents))
    return (top + math.log(float(np.mean(np.exp(exponents - top))))) / aversion


def simulate(
    book: OptionBook, policies: Sequence[Policy], market: Market, *, paths: int, seed: int
) -> tuple[Run, ...]:
    """A run of every policy, all on the same paths. The same seed gives the same bits.

    Policies that know their costs decide by the market's; a risk must be given as an Aversion. ValueError for a policy
    that can't be simulated, for no path or no check.
    """
    if paths < 1 or market.checks < 1:
        raise ValueError(f"at least one path and one check are needed, got {paths} and {market.checks}")
    rules = [_rule(policy, book, market) for policy in policies]
    states = [_State(paths) for _ in rules]
    rng = np.random.default_rng(seed)
    check_years = book.years / market.checks
    step = book.vol * math.sqrt(check_years)
    log_price = np.full(paths, math.log(book.spot / book.strike))
    price, place = np.empty(paths), np.empty(paths)
    stop = market.checks if market.stop is None else min(market.stop, market.checks)
    for check in range(stop):
        years = book.years - check * check_years
        _locate(log_price, book.strike, book.vol * math.sqrt(years), price, place)
        for rule, state in zip(rules, states, strict=True):
            if check % rule.every == 0:
                at = Conditions(0.0, 1.0, book.vol, years, 0.0, market.ratio, market.fixed, check_years)
                _fill(rule.kind, rule.first, rule.second, at, book.calls, book.puts, book.strike, state.table)
                _trade(rule.kind, rule.first, rule.min_trade, price, place, state.table, state.rows)
        log_price += step * rng.standard_normal(paths) - step * step / 2
    price = book.strike * np.exp(log_price)
    gain = (
        book.value_at(price, book.years - stop * check_years if stop < market.checks else 0.0) - book.value()
    )
    return tuple(_ended(state.rows, price, gain, stop == market.checks) for state in states)


@dataclass(frozen=True, slots=True)
class _Rule:
    """A policy as numbers: `first` and `second` are widths, an aversion or a move, by `kind`."""

    kind: int
    first: float = 0.0
    second: float = 0.0
    every: int = 1
    min_trade: float = 0.0


class _State:
    """What a policy holds: rows hold, cash, USD traded, trades, the last trade's price; shape (5, paths)."""

    __slots__ = ("rows", "table")

    def __init__(self, paths: int) -> None:
        self.rows: Array = np.zeros((5, paths))
        self.table: Array = np.empty((3, POINTS))


def _rule(policy: Policy, book: OptionBook, market: Market) -> _Rule:
    match policy:
        case Interval(every_s, min_trade):
            every = round(every_s * market.checks / (book.years * YEAR_S))
            return _Rule(EVERY_CHECK, every=max(every, 1), min_trade=float(min_trade))
        case PriceMove(move, min_trade):
            return _Rule(ON_MOVE, float(move), min_trade=float(min_trade))
        case DeltaBand(trigger, target, min_trade):
            return _Rule(FIXED, float(trigger), float(target), min_trade=float(min_trade))
        case WhalleyWilmott(Aversion(gamma), min_trade):
            return _Rule(WHALLEY_WILMOTT, float(gamma), min_trade=float(min_trade))
        case Zakamouline(Aversion(gamma), min_trade):
            return _Rule(ZAKAMOULINE, float(gamma), min_trade=float(min_trade))
        case OptimalBand(Aversion(gamma), min_trade, _):
            return _Rule(OPTIMAL, float(gamma), min_trade=float(min_trade))
    raise ValueError(f"{policy} can't be simulated: a risk must be given as an aversion")


def _ended(rows: Array, price: Array, gain: Array, unwound: bool) -> Run:
    """The run with the hedge closed or marked at `price`, the book having gained `gain`; shapes (paths,)."""
    hold, cash, traded, trades = rows[:4]
    gross = gain + cash + hold * price
    if not unwound:
        return Run(gross, traded, trades)
    return Run(gross, traded + np.abs(hold) * price, trades + (hold != 0))


@compiled_anew
def _normal(x: float) -> float:
    """The standard normal distribution function."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


@compiled_anew
def _locate(log_price: Array, strike: float, total: float, price: Array, place: Array) -> None:
    """Each path's price, and its d1 as a place in a table. `log_price` is ln(S/K), `total` σ√τ; shapes (paths,)."""
    scale = (POINTS - 1) / (2.0 * REACH)
    for i in range(log_price.size):
        price[i] = strike * math.exp(log_price[i])
        d1 = log_price[i] / total + total / 2.0
        place[i] = (min(max(d1, -REACH), REACH) + REACH) * scale


@compiled_anew
def _fill(
    kind: int,
    first: float,
    second: float,
    at: Conditions,
    calls: float,
    puts: float,
    strike: float,
    table: Array,
) -> None:
    """The hedge's centre in units, and trigger and target in USD, at d1 from −REACH to REACH. Shape (3, POINTS).

    In USD because a width without gamma goes as 1/S: so it is right beyond the table's ends too.
    """
    total = at.vol * math.sqrt(at.years)
    for i in range(POINTS):
        d1 = -REACH + 2.0 * REACH * i / (POINTS - 1)
        spot = strike * math.exp(total * d1 - total * total / 2.0)
        density = math.exp(-d1 * d1 / 2.0) / math.sqrt(2.0 * math.pi)
        gamma = (calls + puts) * density / (spot * total)
        call = _normal(d1)
        if kind >= 0:
            here = Conditions(gamma, spot, at.vol, at.years, 0.0, at.ratio, at.fixed, at.check_years)
            trigger, target = widths(kind, here, first)
            if kind == ZAKAMOULINE:
                other = zakamouline_vol(gamma, spot, at.vol, at.years, 0.0, first, at.ratio)
                wide = other * math.sqrt(at.years)
                call = _normal((total * d1 - total * total / 2.0) / wide + wide / 2.0)
            table[1, i], table[2, i] = trigger * spot, target * spot
        elif kind == FIXED:
            table[1, i], table[2, i] = first, second
        else:
            table[1, i], table[2, i] = 0.0, 0.0
        table[0, i] = -(calls * call + puts * (call - 1.0))


@compiled_anew
def _trade(
    kind: int, move: float, min_trade: float, price: Array, place: Array, table: Array, rows: Array
) -> None:
    """One check of every path. `rows` as in `_State`, changed in place; prices and places of shape (paths,)."""
    for i in range(price.size):
        spot = price[i]
        if kind == ON_MOVE and abs(spot - rows[4, i]) < move * rows[4, i]:
            continue
        low = min(int(place[i]), POINTS - 2)
        share = place[i] - low
        gap = rows[0, i] - (table[0, low] + share * (table[0, low + 1] - table[0, low]))
        scale = 1.0 if kind < 0 else spot
        trigger = (table[1, low] + share * (table[1, low + 1] - table[1, low])) / scale
        if abs(gap) <= trigger:
            continue
        target = (table[2, low] + share * (table[2, low + 1] - table[2, low])) / scale
        size = abs(gap) - target
        if size <= 0.0 or size < min_trade:
            continue
        rows[0, i] -= math.copysign(size, gap)
        rows[1, i] += math.copysign(size, gap) * spot
        rows[2, i] += size * spot
        rows[3, i] += 1.0
        rows[4, i] = spot
