"""The hedge's margin: how far it is from liquidation, how long that lasts, and what to do about it.

One linear perp position against collateral. At a price P, with E the equity now at the mark m, s the signed size and q
the maintenance ratio:

    equity(P) = E + s (P − m),   requirement(P) = q |s| P + other

`other` is what the venue asks beyond this position (other markets of the account), taken as constant. Equity is the
lower of the venue's own figure and ours at the mark; the requirement is never below the venue's.
"""

import itertools
import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal
from enum import StrEnum
from typing import Literal

from bot.core.costs import Costs
from bot.core.model import VenueState
from bot.errors import DataError

CENT = Decimal("0.01")
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class MarginState:
    """The margin of one account now, money in USD.

    `other` is the part of the requirement that doesn't move with this position's price. `leverage` is notional ÷
    equity and `ratio` equity ÷ requirement: None where the divisor is not above zero. `liquidation_price` is the mark
    at which equity meets the requirement, None where no price does; `distance` is how far that is, as a signed
    fraction of the mark.
    """

    size: Decimal
    mark: Decimal
    equity: Decimal
    requirement: Decimal
    other: Decimal
    maintenance_ratio: Decimal
    notional: Decimal
    leverage: Decimal | None
    ratio: Decimal | None
    liquidation_price: Decimal | None
    distance: Decimal | None

    @property
    def is_liquidatable(self) -> bool:
        """Whether the venue may liquidate the position as it is."""
        return self.size != 0 and self.equity < self.requirement


def margin_of(venue: VenueState) -> MarginState:
    """The account's margin. DataError where a figure of the venue's makes no sense, naming it."""
    size, mark, ratio, margin = venue.position.size, venue.mark, venue.maintenance_ratio, venue.margin
    for name, value in (
        ("position", size),
        ("mark", mark),
        ("maintenance ratio", ratio),
        ("account value", margin.account_value),
        ("mark value", margin.mark_value),
        ("free collateral", margin.free_collateral),
        ("maintenance margin", margin.maintenance),
    ):
        if not value.is_finite():
            raise DataError(f"{venue.name}: the {name} is {value}, which is not a number")
    if mark <= 0 or not 0 < ratio < 1 or margin.maintenance < 0:
        raise DataError(
            f"{venue.name}: the mark is {mark}, the maintenance ratio {ratio} and the maintenance margin "
            f"{margin.maintenance}: one of them is none"
        )
    equity = min(margin.account_value, margin.mark_value)
    notional = abs(size) * mark
    own = ratio * notional
    other = max(margin.maintenance - own, ZERO)
    requirement = own + other
    price = liquidation_price(size, mark, equity, ratio, other)
    return MarginState(
        size=size,
        mark=mark,
        equity=equity,
        requirement=requirement,
        other=other,
        maintenance_ratio=ratio,
        notional=notional,
        leverage=notional / equity if equity > 0 else None,
        ratio=equity / requirement if requirement > 0 else None,
        liquidation_price=price,
        distance=None if price is None else price / mark - 1,
    )


def liquidation_price(
    size: Decimal, mark: Decimal, equity: Decimal, ratio: Decimal, other: Decimal = ZERO
) -> Decimal | None:
    """P with equity + size (P − mark) = ratio |size| P + other, in USD; None where no price above zero solves it.

    A long is liquidated at or below it, a short at or above it. Past the mark on the wrong side, it is the price that
    would save the position.
    """
    if size == 0:
        return None
    price = (size * mark - equity + other) / (size - ratio * abs(size))
    return price if price > 0 else None


@dataclass(frozen=True, slots=True)
class Strain:
    """What the operator wants the margin to outlast, all of it at once.

    `deviations`: by every hour the price has moved that many standard deviations against the hedge. `vol_points`: the
    vol is that much higher (0.2 = 20 points), which widens those moves and moves the hedge's target.
    `funding_per_hour`: the fraction of notional that the hedge pays, whatever its side.
    """

    deviations: float = 2.0
    vol_points: float = 0.2
    funding_per_hour: float = 0.0005

    def __post_init__(self) -> None:
        for name in ("deviations", "vol_points", "funding_per_hour"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"{name} is {value}; it must be a number that is 0 or more")
        if self.deviations == 0.0 and self.funding_per_hour == 0.0:
            raise ValueError(
                "deviations and funding_per_hour are both 0: nothing would ever use up the margin"
            )

    @property
    def text(self) -> str:
        """The strain in plain words."""
        return (
            f"the price {self.deviations:g} standard deviations against the hedge, the vol "
            f"{100.0 * self.vol_points:g} points higher, funding {self.funding_per_hour:.4%} per hour paid"
        )


@dataclass(frozen=True, slots=True)
class Runway:
    """Hours until liquidation under a strain, None where the margin outlasts the longest time looked at.

    `price` is the mark there in USD and `size` the hedge then, in units.
    """

    hours: float | None
    price: float | None
    size: float | None
    text: str


def margin_runway(
    venue: VenueState,
    strain: Strain,
    vol: float,
    target_vanna: float = 0.0,
    target_gamma: float = 0.0,
    most_hours: float = 2_160.0,
) -> Runway:
    """How long the margin lasts if nobody tops it up. DataError as `margin_of` says, or where the vol is no vol.

    `vol` is the price's, annual. The hedge follows a target that moves by −`target_vanna` units per 1.00 of vol and
    −`target_gamma` units per USD, which are the gap's vanna and gamma. Only what makes the hedge larger is counted:
    it grows at once with the vol, and with the price along its path. Growth pays the venue's fee; shrinking, which
    would help, is left out.
    """
    state = margin_of(venue)
    if state.size == 0:
        return Runway(None, None, None, "there is no position to liquidate")
    for name, value in (("vol", vol), ("vanna", target_vanna), ("gamma", target_gamma)):
        if not math.isfinite(value):
            raise DataError(f"margin runway: the {name} is {value}, which is not a number")
    if vol < 0.0 or (vol == 0.0 and strain.deviations > 0.0):
        raise DataError(
            f"margin runway: the price's vol is {vol}; without one there is no standard deviation"
        )
    if not (math.isfinite(most_hours) and most_hours > 0.0):
        raise ValueError(f"most_hours is {most_hours}; it must be above 0")
    side = 1.0 if state.size > 0 else -1.0
    mark, equity, other = float(state.mark), float(state.equity), float(state.other)
    ratio, fee = float(state.maintenance_ratio), float(venue.fee_ratio)
    start = abs(float(state.size))
    first = start + max(-side * target_vanna * strain.vol_points, 0.0)
    growth = max(target_gamma, 0.0)

    def at(hours: float) -> tuple[float, float, float]:
        """Equity less requirement in USD, the price, and the hedge's absolute size, after so many hours."""
        root = math.sqrt(hours / 8_760.0)
        price = mark * math.exp(-side * strain.deviations * (vol + strain.vol_points) * root)
        move = abs(price - mark)
        size = first + growth * move
        lost = first * move + growth * move * move / 2.0
        fees = fee * (size - start) * max(mark, price)
        funding = strain.funding_per_hour * size * max(mark, price) * hours
        return equity - lost - fees - funding - ratio * size * price - other, price, size

    left, price, size = at(0.0)
    if left < 0.0:
        return Runway(0.0, price, side * size, f"{strain.text}: liquidated at once")
    if at(most_hours)[0] >= 0.0:
        return Runway(None, None, None, f"{strain.text}: the margin lasts beyond {most_hours:g} hours")
    low, high = 0.0, most_hours
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if at(middle)[0] >= 0.0 else (low, middle)
    _, price, size = at(low)
    text = f"{strain.text}: liquidated after {low:.1f} hours at {price:,.2f} USD"
    return Runway(low, price, side * size, text)


@dataclass(frozen=True, slots=True)
class MarginPolicy:
    """The levels of a margin, by `measure`: "ratio" is equity ÷ requirement, "leverage" notional ÷ equity.

    Below `warning` collateral is added up to `target`; below `critical` without collateral the hedge is made smaller
    until `critical` holds; above `excess` what is beyond `target` is taken out. A leverage counts the other way round.
    Nothing smaller than `min_transfer_usd` is moved, unless it reaches the target.

    By default, at the 6.25 % that Curie asks, a hedge at its warning level outlasts −35 % or +35 % without any help.
    """

    target: Decimal = Decimal(9)
    warning: Decimal = Decimal("7.5")
    critical: Decimal = Decimal(2)
    excess: Decimal = Decimal(12)
    measure: Literal["ratio", "leverage"] = "ratio"
    min_transfer_usd: Decimal = Decimal(100)

    def __post_init__(self) -> None:
        levels = (self.critical, self.warning, self.target, self.excess)
        if self.measure not in ("ratio", "leverage"):
            raise ValueError(f"measure is {self.measure!r}; it must be ratio or leverage")
        if not all(level.is_finite() for level in levels) or not self.min_transfer_usd.is_finite():
            raise ValueError("a margin level or min_transfer_usd is not a number")
        ordered = levels if self.measure == "ratio" else levels[::-1]
        names = ("critical", "warning", "target", "excess")
        rising = " < ".join(names if self.measure == "ratio" else names[::-1])
        if any(low >= high for low, high in itertools.pairwise(ordered)) or ordered[0] <= 0:
            raise ValueError(f"margin levels must be 0 < {rising}; got {', '.join(map(str, ordered))}")
        if self.measure == "ratio" and self.critical <= 1:
            raise ValueError(f"critical is {self.critical}; at 1 the venue already liquidates")
        if self.min_transfer_usd < 0:
            raise ValueError(f"min_transfer_usd is {self.min_transfer_usd}; it can't be negative")

    def per_notional(self, level: Decimal, state: MarginState) -> Decimal:
        """The equity that `level` asks per USD of notional."""
        return level * state.maintenance_ratio if self.measure == "ratio" else 1 / level

    def beside(self, level: Decimal, state: MarginState) -> Decimal:
        """The equity in USD that `level` asks whatever this position's size."""
        return level * state.other if self.measure == "ratio" else ZERO

    def needed(self, level: Decimal, state: MarginState) -> Decimal:
        """The equity in USD that `level` asks now, never less than the venue's own requirement."""
        asked = self.per_notional(level, state) * state.notional + self.beside(level, state)
        return max(asked, state.requirement)

    def needed_for(self, level: Decimal, size: Decimal, state: MarginState) -> Decimal:
        """The equity in USD that `level` would ask now if the hedge were `size`; part by part what the venue asks."""
        per_notional = max(self.per_notional(level, state), state.maintenance_ratio)
        return per_notional * abs(size) * state.mark + max(self.beside(level, state), state.other)


class MarginKind(StrEnum):
    """What to do about the margin."""

    NOTHING = "nothing"
    TOP_UP = "top_up"
    WITHDRAW = "withdraw"
    DELEVERAGE = "deleverage"


class MarginLevel(StrEnum):
    """Where the margin stands now."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class MarginAction:
    """One thing to do, and why. `amount_usd` ≥ 0 is moved; `size` is the signed trade that shrinks the hedge."""

    kind: MarginKind
    level: MarginLevel
    text: str
    amount_usd: Decimal = ZERO
    size: Decimal = ZERO


def margin_action(
    venue: VenueState,
    policy: MarginPolicy,
    wallet_usd: Decimal,
    budget_left_usd: Decimal,
    net_delta: Decimal | None = None,
    closed: str = "",
    min_trade: Decimal = ZERO,
) -> MarginAction:
    """What `policy` does now, in this order: top up, deleverage, withdraw, nothing. DataError as `margin_of` says.

    `wallet_usd` is what the hedger can send, `budget_left_usd` what it still may; `closed` says why nothing can be
    added whatever these are. `net_delta` in units makes a deleveraging's text say what delta is left. A deleveraging is
    of at least `min_trade`, of at most the position and of whole lots; the venue's limit for one order is the caller's
    to keep. A top-up that doesn't reach the critical level is made all the same: the next look finds no collateral left
    and deleverages.
    """
    for name, value in (("wallet", wallet_usd), ("budget left", budget_left_usd)):
        if not value.is_finite():
            raise DataError(f"{venue.name}: the {name} is {value} USD, which is not a number")
    state = margin_of(venue)
    if state.size == 0:
        return MarginAction(
            MarginKind.NOTHING, MarginLevel.OK, "there is no position, so its margin is not at risk"
        )
    target, warning, critical, excess = (
        policy.needed(level, state)
        for level in (policy.target, policy.warning, policy.critical, policy.excess)
    )
    equity, where = state.equity, standing(state)
    if equity >= warning:
        spare = cents(min(equity - target, venue.margin.free_collateral))
        if equity > excess and spare > 0 and spare >= policy.min_transfer_usd:
            text = (
                f"{where}: {spare} USD beyond the target of {policy.target} can be taken out; it is then not there "
                f"to stand a shock"
            )
            return MarginAction(MarginKind.WITHDRAW, MarginLevel.OK, text, amount_usd=spare)
        return MarginAction(MarginKind.NOTHING, MarginLevel.OK, f"{where}: above the warning level")
    level = MarginLevel.CRITICAL if equity < critical else MarginLevel.WARNING
    wanted = (target - equity).quantize(CENT, ROUND_CEILING)
    given = ZERO if closed else addable(wanted, wallet_usd, budget_left_usd, policy)
    short = closed or short_of(wallet_usd, budget_left_usd)
    if given > 0:
        rest = "" if given == wanted else f"; the target needs {wanted} USD, {short}"
        text = f"{where}: {given} USD is added, towards the target of {policy.target}{rest}"
        return MarginAction(MarginKind.TOP_UP, level, text, amount_usd=given)
    if level is MarginLevel.WARNING:
        text = f"{where}: below the warning level of {policy.warning}, and nothing can be added: {short}"
        return MarginAction(MarginKind.NOTHING, level, text)
    size = deleveraging(venue, state, policy, min_trade)
    left = f"unhedged: the net delta moves by {size:+f}"
    if net_delta is not None:
        left = f"unhedged: the net delta is then {net_delta + size:+f}"
    text = (
        f"{where}: below the critical level of {policy.critical}, and nothing can be added: {short}. A trade of "
        f"{size:+f} makes the hedge smaller and keeps it from liquidation, and leaves the book {left}"
    )
    return MarginAction(MarginKind.DELEVERAGE, level, text, size=size)


def addable(wanted: Decimal, wallet_usd: Decimal, budget_left_usd: Decimal, policy: MarginPolicy) -> Decimal:
    """What of `wanted` USD can be added, in whole cents; 0 where that is less than is worth moving."""
    given = cents(max(min(wanted, wallet_usd, budget_left_usd), ZERO))
    return given if given >= policy.min_transfer_usd or given == wanted else ZERO


def deleveraging(
    venue: VenueState, state: MarginState, policy: MarginPolicy, min_trade: Decimal = ZERO
) -> Decimal:
    """The least trade in whole lots that brings the equity to the critical level, signed; at most all of the position.

    It is of at least `min_trade`: a price that drifts would else be answered by one order of a lot after the other.

    Closing x units costs k x m (fee, spread, impact as quoted), so E − k x m = p (|s| − x) m + other with p what the
    level asks per USD of notional. Where p ≤ k closing costs more than it frees: then all is closed.
    """
    costs = Costs(venue.mark, venue.fee_ratio, venue.curve, ZERO, venue.lot, venue.half_spread)
    whole, mark = abs(state.size), state.mark
    side = -1 if state.size > 0 else 1
    cost = costs.ratio(side * whole)
    # The venue's own requirement bounds a level by leverage from below.
    asked = max(policy.per_notional(policy.critical, state), state.maintenance_ratio)
    beside = max(policy.beside(policy.critical, state), state.other)
    if asked <= cost:
        return side * whole
    wanted = (asked * whole * mark + beside - state.equity) / (mark * (asked - cost))
    lots = (max(wanted, min_trade) / venue.lot).to_integral_value(ROUND_CEILING)
    return side * min(lots * venue.lot, whole)


def standing(state: MarginState) -> str:
    """The margin in words."""
    ratio = "no requirement" if state.ratio is None else f"{state.ratio:.2f} times the requirement"
    leverage = "no equity" if state.leverage is None else f"leverage {state.leverage:.2f}"
    return f"equity {state.equity:.2f} USD is {ratio}, {leverage}"


def short_of(wallet_usd: Decimal, budget_left_usd: Decimal) -> str:
    """What bounds a top-up, in words."""
    return f"the wallet has {wallet_usd:.2f} USD and the budget leaves {budget_left_usd:.2f}"


def cents(amount: Decimal) -> Decimal:
    """`amount` of USD rounded down to whole cents."""
    return amount.quantize(CENT, ROUND_DOWN)
