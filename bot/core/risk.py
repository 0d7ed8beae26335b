"""Guard: the same decision, cut to what may be done now, or a Hold that says which limit refused it."""

from dataclasses import replace
from decimal import Decimal

from bot.core.budgets import accounts, lost, used_up
from bot.core.costs import costs_of
from bot.core.inputs import untrusted
from bot.core.limits import Limits, money_caps, size_caps, widens_net
from bot.core.model import Decision, Exposure, Hold, Mode, Rebalance, Snapshot
from bot.core.orders import Order, price_bound, reserve_usd, tightest
from bot.core.units import WEI_PER_NATIVE, round_to_lot

RETRIES_AT_ONCE = 3
FIRST_WAIT_S = 30
LONGEST_WAIT_S = 1_800


def guard(decision: Decision, exposure: Exposure, snapshot: Snapshot, limits: Limits, mode: Mode) -> Decision:
    """`decision` within the limits: cut to the largest order allowed, or a Hold with the limit's code.

    Inputs that can't be trusted are named even where the policy would hold: it held for a wrong reason. So is a loss,
    which a person is to see.
    """
    refusal = untrusted(snapshot, limits) or daily_loss(snapshot, limits, mode)
    if isinstance(decision, Rebalance):
        gas = Decimal(snapshot.venue.order_gas + snapshot.venue.keeper_gas)
        native = gas * Decimal(snapshot.gas_price_wei) / WEI_PER_NATIVE
        refusal = (
            refusal
            or refused_by_mode(decision.size, snapshot, mode)
            or waits(snapshot)
            or too_soon(snapshot, limits)
            or native_reserve(snapshot, limits, native)
        )
    if refusal is not None:
        return replace(refusal, arithmetic=decision.arithmetic, band=decision.band)
    if not isinstance(decision, Rebalance):
        return decision
    return cut(decision, exposure, snapshot, limits)


def recheck(
    order: Order, native: Decimal, exposure: Exposure, snapshot: Snapshot, limits: Limits, mode: Mode
) -> Hold | None:
    """A Hold where an order that is about to be signed breaks a limit.

    `native` is what it takes of the gas coin at worst, in coins: gas, and what it carries.
    """
    side = 1 if order.size > 0 else -1
    caps = [
        *size_caps(side, exposure, snapshot, limits),
        *money_caps(side, order.price_bound, snapshot, limits),
    ]
    cap = tightest(caps)
    if abs(order.size) > cap.size:
        return Hold(cap.code, f"an order of {order.size:+f} is more than {cap.name} leaves: {cap.size:f}")
    return (
        untrusted(snapshot, limits)
        or daily_loss(snapshot, limits, mode)
        or refused_by_mode(order.size, snapshot, mode)
        or waits(snapshot)
        or too_soon(snapshot, limits)
        or native_reserve(snapshot, limits, native)
        or beyond_cutting(order.size, order.price_bound, exposure, snapshot, limits)
    )


def daily_loss(snapshot: Snapshot, limits: Limits, mode: Mode) -> Hold | None:
    """A Hold where too much was lost in a day.

    A reduce-only account may go on: its orders can only shrink the position, which may be what the loss calls for.
    """
    if mode is Mode.REDUCING:
        return None
    of_book, in_all = accounts(snapshot, limits.budgets, limits.in_all)
    return lost(of_book) or lost(in_all)


def waits(snapshot: Snapshot) -> Hold | None:
    """A Hold where an order of the account has no outcome yet: a second one might double it."""
    if snapshot.open_order:
        return Hold("ORDER_OPEN", f"order {snapshot.open_order} has no outcome yet")
    return refused_again(snapshot)


def refused_again(snapshot: Snapshot) -> Hold | None:
    """A Hold where executors cancelled several orders in a row, each of which was paid for.

    The first are placed again at once, for the price may just have moved; then the wait doubles with each.
    """
    last = snapshot.refusals
    if last is None or last.count < RETRIES_AT_ONCE:
        return None
    wait = min(FIRST_WAIT_S * 2 ** (last.count - RETRIES_AT_ONCE), LONGEST_WAIT_S)
    left = last.at + wait - snapshot.at
    if left <= 0:
        return None
    text = f"the last {last.count} orders were cancelled ({last.reason}): the next one in {left} s"
    return Hold("CANCELLED", text)


def too_soon(snapshot: Snapshot, limits: Limits) -> Hold | None:
    """A Hold where the book's last order is too recent."""
    last, least = snapshot.spent.last_order_at, limits.min_interval_s
    if last is None or least is None or snapshot.at - last >= least:
        return None
    return Hold("TOO_SOON", f"the last order is {snapshot.at - last} s old, the limit is one in {least} s")


def native_reserve(snapshot: Snapshot, limits: Limits, native: Decimal) -> Hold | None:
    """A Hold where an order that takes `native` coins would leave the signing account less than its reserve."""
    if limits.min_native is None:
        return None
    if snapshot.native is None:
        return Hold("NATIVE_RESERVE", "what the signing account holds of the gas coin is not known")
    if snapshot.native - native >= limits.min_native:
        return None
    text = (
        f"the signing account holds {snapshot.native:f} of the gas coin, an order costs {native:f}, "
        f"and {limits.min_native:f} must stay"
    )
    return Hold("NATIVE_RESERVE", text)


def refused_by_mode(size: Decimal, snapshot: Snapshot, mode: Mode) -> Hold | None:
    """A Hold where the account's mode doesn't allow a trade of `size`."""
    if mode is Mode.HALTED:
        return Hold("HALTED", "the account is halted; a person must resume it")
    position = snapshot.venue.position.size
    shrinks = size * position < 0 and abs(size) <= abs(position)
    if mode is Mode.REDUCING and not shrinks:
        return Hold("REDUCING", f"reduce-only: a trade of {size:+f} would not shrink {position:+f}")
    return None


def cut(decision: Rebalance, exposure: Exposure, snapshot: Snapshot, limits: Limits) -> Decision:
    """The decision cut to what every limit leaves; a Hold where that is nothing, or where cutting doesn't help."""
    wanted, costs = decision.size, costs_of(snapshot)
    side = 1 if wanted > 0 else -1
    caps = size_caps(side, exposure, snapshot, limits)
    largest = costs.quoted(side * min(abs(wanted), tightest(caps).size))
    if largest != 0:
        caps += money_caps(side, price_bound(costs, largest, limits.max_slippage), snapshot, limits)
    cap = tightest(caps)
    venue = snapshot.venue
    clip = wanted if abs(wanted) <= cap.size else round_to_lot(side * cap.size, venue.lot)
    # Where sides never net, what is open the other way is closed whole and exactly, or nothing could follow it.
    closes = venue.collateral is not None and cap.code == "NO_ROOM" and side * venue.position.size < 0
    if clip != wanted and closes:
        clip = side * cap.size
    elif clip != wanted and abs(clip) < max(venue.lot, limits.min_order):
        text = f"{cap.name} leaves no room: position {venue.position.size:+f}, net delta {exposure.net:+.4f}"
        return Hold(cap.code, text, decision.arithmetic, decision.band)
    bound = price_bound(costs, costs.quoted(clip), limits.max_slippage)
    refusal = beyond_cutting(clip, bound, exposure, snapshot, limits)
    if refusal is not None:
        return replace(refusal, arithmetic=decision.arithmetic, band=decision.band)
    if clip == wanted:
        return decision
    return replace(
        decision,
        size=clip,
        text=f"{decision.text}; cut to {clip:+f} by {cap.name}",
        arithmetic=decision.arithmetic | costs_of(snapshot).itemise(clip) | {"cut_to": f"{clip:+f}"},
        remaining=wanted - clip if cap.passing else Decimal(0),
    )


def beyond_cutting(
    size: Decimal, bound: Decimal, exposure: Exposure, snapshot: Snapshot, limits: Limits
) -> Hold | None:
    """A Hold where an order of `size` breaks a limit that a smaller one needn't keep: net delta, counts, fees, gas."""
    costs = costs_of(snapshot)
    fee_usd = reserve_usd(size, bound, costs.mark) * costs.fee_ratio
    gas_usd = costs.most_gas_usd(limits.max_order_gas_usd)
    of_book, in_all = accounts(snapshot, limits.budgets, limits.in_all)
    return (
        widens_net(size, exposure, limits)
        or used_up(of_book, fee_usd, gas_usd)
        or used_up(in_all, fee_usd, gas_usd)
    )
