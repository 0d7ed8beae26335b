"""How large an order may be, and what it may leave behind: the limits that a cut can keep, and the one it can't."""

from dataclasses import dataclass
from decimal import Decimal

from bot.core.budgets import BUDGET_CODES, NO_BUDGETS, TOTAL, Budgets, accounts, turnover_caps
from bot.core.costs import Costs, costs_of
from bot.core.model import Exposure, Hold, Snapshot
from bot.core.orders import Cap, bound_factor, reserve_price

CALM_CODES = ("INSIDE_BAND", "BELOW_MIN_TRADE", "NOT_DUE")
"""Reasons for holding that say that all is well."""
MODE_CODES = ("HALTED", "REDUCING", "ORDER_OPEN", "CANCELLED")
INPUT_CODES = (
    "PAUSED",
    "SEQUENCER",
    "STALE_BLOCK",
    "BLOCK_SKEW",
    "STALE_VOL",
    "STALE_FEED",
    "PRICE_GAP",
    "PRICE_MOVE",
)
ORDER_CODES = (
    "TOO_SOON",
    "NATIVE_RESERVE",
    "ORDER_SIZE",
    "ORDER_USD",
    "POSITION",
    "NO_ROOM",
    "BOUND_GAP",
    "LEVERAGE",
    "GROSS",
    "NET",
)
MARGIN_CODES = ("MARGIN", "WOULD_TRANSFER", "COLLATERAL")
BOOK_CODES = (*MODE_CODES, *INPUT_CODES, *ORDER_CODES, *MARGIN_CODES, *BUDGET_CODES)
"""Every reason of a book's own for which a tick holds although something is wanted, or wrong."""
TOTAL_CODES = tuple(TOTAL + code for code in BUDGET_CODES)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one book may do; None is no limit. Sizes in units of the underlying, ages in seconds, ratios as fractions.

    `max_gross` bounds the options' gross delta and the perp's size together, `max_net` the net delta that an order
    leaves. `max_bound_gap` is how much worse than the price traded now an order's bound may be. `max_leverage` is
    notional ÷ account value after the order. `min_native` is in coins. `min_order` is the smallest that an order may be
    cut to, `max_order_gas_usd` the most that its gas may cost. `in_all` is what all books share.
    """

    max_order: Decimal
    max_position: Decimal
    max_price_gap: Decimal
    max_block_age_s: int
    max_vol_age_s: int
    max_slippage: Decimal
    max_bound_gap: Decimal
    max_order_usd: Decimal | None = None
    max_leverage: Decimal | None = None
    max_gross: Decimal | None = None
    max_net: Decimal | None = None
    min_interval_s: int | None = None
    max_price_move: Decimal | None = None
    min_native: Decimal | None = None
    max_block_skew_s: int = 120
    min_order: Decimal = Decimal(0)
    max_order_gas_usd: Decimal | None = None
    budgets: Budgets = NO_BUDGETS
    in_all: Budgets = NO_BUDGETS


def size_caps(side: int, exposure: Exposure, snapshot: Snapshot, limits: Limits) -> list[Cap]:
    """The largest orders of a side (1 buys, −1 sells) by the limits in units."""
    venue = snapshot.venue
    ahead = side * venue.position.size
    caps = [
        Cap("ORDER_SIZE", "the order limit", limits.max_order, passing=True),
        Cap("POSITION", "the position limit", max(limits.max_position - ahead, Decimal(0))),
        Cap(
            "NO_ROOM",
            "the venue's limit for one order",
            venue.max_buy if side > 0 else venue.max_sell,
            passing=True,
        ),
    ]
    reach = bound_reach(side, costs_of(snapshot), limits)
    if reach is not None:
        name = f"the limit of {limits.max_bound_gap:.2%} between the price traded now and an order's bound"
        caps.append(Cap("BOUND_GAP", name, reach, passing=True))
    if limits.max_gross is not None:
        options = Decimal(repr(exposure.gross))
        room = limits.max_gross - options - ahead
        name = f"the gross limit of {limits.max_gross:f}, of which options and holdings take {options:.4f}"
        caps.append(Cap("GROSS", name, max(room, shrinking(ahead))))
    return caps


def bound_reach(side: int, costs: Costs, limits: Limits) -> Decimal | None:
    """The largest order of a side whose price bound is within the limit; None where all that is quoted is."""
    worst = costs.mark * (1 + side * limits.max_bound_gap)
    return costs.reach(side, worst / bound_factor(side, costs.fee_ratio, limits.max_slippage))


def money_caps(side: int, bound: Decimal, snapshot: Snapshot, limits: Limits) -> list[Cap]:
    """The largest orders of a side by the limits in USD, at a price bound that none of them is worse than."""
    venue = snapshot.venue
    unit_usd = reserve_price(bound, venue.mark)
    caps = []
    if limits.max_order_usd is not None:
        name = f"the order limit of {limits.max_order_usd:f} USD"
        caps.append(Cap("ORDER_USD", name, limits.max_order_usd / unit_usd, passing=True))
    if limits.max_leverage is not None:
        caps.append(leverage_cap(side, bound, snapshot, limits.max_leverage))
    for account in accounts(snapshot, limits.budgets, limits.in_all):
        caps += turnover_caps(account, unit_usd)
    return caps


def leverage_cap(side: int, bound: Decimal, snapshot: Snapshot, max_leverage: Decimal) -> Cap:
    """The largest order after which notional ÷ account value is within the limit, or that only shrinks the position.

    The account is taken to lose on every unit what the bound is worse than the mark.
    """
    venue = snapshot.venue
    ahead, value = side * venue.position.size, venue.margin.account_value
    if venue.collateral is not None:  # an order brings its own from the wallet
        value += (venue.wallet or Decimal(0)) * venue.collateral.price
    cost = abs(bound - venue.mark)
    room = (max_leverage * value / venue.mark - ahead) / (1 + max_leverage * cost / venue.mark)
    name = f"the leverage limit of {max_leverage:f} on an account value of {value:.2f} USD"
    return Cap("LEVERAGE", name, max(room, shrinking(ahead)))


def out_of_gas(snapshot: Snapshot, limits: Limits) -> str:
    """Whose gas budget a transaction more would pass, in words; "" where it passes none."""
    gas_usd = costs_of(snapshot).most_gas_usd(limits.max_order_gas_usd)
    for account in accounts(snapshot, limits.budgets, limits.in_all):
        most = account.budgets.max_gas_day_usd
        if most is not None and account.spent.gas_day_usd + gas_usd > most:
            return f"the day's gas of {account.whose} is used up"
    return ""


def shrinking(ahead: Decimal) -> Decimal:
    """How large an order may be and still only shrink the position, which is `ahead` in the order's direction."""
    return max(-ahead, Decimal(0))


def widens_net(size: Decimal, exposure: Exposure, limits: Limits) -> Hold | None:
    """A Hold where an order would leave more net delta than the limit, unless it makes it smaller."""
    if limits.max_net is None:
        return None
    net = exposure.net
    after = net + float(size)
    if abs(after) <= float(limits.max_net) or abs(after) < abs(net):
        return None
    text = (
        f"an order of {size:+f} would turn the net delta from {net:+.4f} to {after:+.4f}, the limit is "
        f"{limits.max_net:f}"
    )
    return Hold("NET", text)
