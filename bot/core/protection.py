"""The margin before everything else: what was decided, or what must be done about the margin instead.

In this order: a deleveraging at the critical level where nothing can be added, a top-up, the policy's own trade, a
withdrawal of excess, an allowance that is left over and taken back. A top-up needs to know the venue's own figures
alone, so that it is made where the vault's spot or the vols can't be trusted too: it moves the account's own money to
the account's own margin, within a budget.
"""

from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal

from bot.core.collateral import brought
from bot.core.costs import costs_of
from bot.core.inputs import sequencer
from bot.core.limits import CALM_CODES, Limits, out_of_gas
from bot.core.margin import (
    CENT,
    MarginAction,
    MarginKind,
    MarginLevel,
    MarginPolicy,
    addable,
    cents,
    margin_action,
    margin_of,
    short_of,
    standing,
)
from bot.core.model import Decision, Exposure, Hold, Mode, Rebalance, Snapshot, Transfer, VenueState
from bot.core.risk import guard

ZERO = Decimal(0)
NET_STEP = Decimal("0.0001")
OWNERS = "the key can't deposit: its owners add collateral with what `vaultkeel propose deposit` writes"


@dataclass(frozen=True, slots=True)
class Protection:
    """How a book's margin is kept. `max_topup_day_usd` bounds the deposits of a rolling day, and one withdrawal."""

    policy: MarginPolicy
    max_topup_day_usd: Decimal
    withdraw: bool = False
    deleverage: bool = True


def protect(
    decision: Decision,
    exposure: Exposure,
    snapshot: Snapshot,
    limits: Limits,
    protection: Protection,
    mode: Mode,
) -> Decision:
    """`decision`, which the limits have passed, or what the margin needs first. DataError as `margin_of` says."""
    if mode is Mode.HALTED:
        return decision
    policy, venue = protection.policy, snapshot.venue
    closed = nothing_to_add(snapshot, limits)
    net = Decimal(repr(exposure.net)).quantize(NET_STEP)
    action = margin_action(
        venue, policy, venue.wallet or ZERO, snapshot.top_up_left_usd, net, closed, limits.min_order
    )
    if not closed:
        action = begun(action, snapshot, policy)
    done = kept(decision, action, exposure, snapshot, limits, protection, mode)
    if isinstance(done, Hold) and action.level is MarginLevel.OK and not closed:
        return taken_back(done, snapshot, limits, protection)
    return done


def kept(
    decision: Decision,
    action: MarginAction,
    exposure: Exposure,
    snapshot: Snapshot,
    limits: Limits,
    protection: Protection,
    mode: Mode,
) -> Decision:
    """`decision`, or the action that the margin needs where it comes first and can be done."""
    match action.kind:
        case MarginKind.TOP_UP:
            return top_up(decision, action, snapshot, limits)
        case MarginKind.DELEVERAGE if protection.deleverage:
            return deleverage(decision, action, exposure, snapshot, limits)
        case MarginKind.WITHDRAW:
            return withdraw(decision, action, snapshot, limits, protection, mode)
    if isinstance(decision, Rebalance):
        return grown(decision, snapshot, limits, protection.policy)
    if action.level is not MarginLevel.OK and is_calm(decision):
        return Hold("MARGIN", action.text, decision.arithmetic | figures(snapshot), decision.band)
    return decision


def begun(action: MarginAction, snapshot: Snapshot, policy: MarginPolicy) -> MarginAction:
    """`action`, or the rest of a top-up whose allowance was given before the margin rose above the warning level."""
    state, allowed = margin_of(snapshot.venue), snapshot.venue.allowance or ZERO
    wallet = snapshot.venue.wallet or ZERO
    if action.kind is not MarginKind.NOTHING or action.level is not MarginLevel.OK or state.size == 0:
        return action
    wanted = cents(policy.needed(policy.target, state) - state.equity)
    if not 0 < wanted / 2 <= allowed <= min(wanted * 2, wallet, snapshot.top_up_left_usd):
        return action
    text = f"{standing(state)}: the top-up that was allowed is made, towards the target of {policy.target}"
    return MarginAction(MarginKind.TOP_UP, MarginLevel.OK, text, amount_usd=wanted)


def top_up(decision: Decision, action: MarginAction, snapshot: Snapshot, limits: Limits) -> Decision:
    """The deposit, or the exact allowance that it needs first where the venue takes it by one.

    An allowance that is about what is needed now is used up whole, although the price has moved since it was given:
    else a fast market would be answered by allowances alone. Any other is replaced, so that none is left over.
    """
    if snapshot.open_order or unreachable(snapshot, limits):
        return decision
    if snapshot.paper:
        return would(decision, action, snapshot)
    wanted, allowed = action.amount_usd, snapshot.venue.allowance or ZERO
    most = min(snapshot.venue.wallet or ZERO, snapshot.top_up_left_usd)
    known = decision.arithmetic | figures(snapshot)
    if not snapshot.venue.needs_allowance:
        return Transfer("deposit", wanted, action.text, known, decision.band)
    if wanted / 2 <= allowed <= min(wanted * 2, most):
        text = (
            action.text if allowed == wanted else f"{action.text}; {allowed:f} USD is what was allowed for it"
        )
        return Transfer("deposit", allowed, text, known, decision.band)
    text = f"{action.text}; first the venue is allowed to take exactly that"
    return Transfer("approve", wanted, text, known, decision.band)


def deleverage(
    decision: Decision, action: MarginAction, exposure: Exposure, snapshot: Snapshot, limits: Limits
) -> Decision:
    """The trade that shrinks the hedge, within what the market takes, whatever net delta it leaves.

    A trade of the policy's own that shrinks it at least as much stays.
    """
    if isinstance(decision, Rebalance) and decision.size * action.size > 0:
        position = snapshot.venue.position.size
        if abs(action.size) <= abs(decision.size) <= abs(position):
            return replace(decision, text=f"{decision.text}; {action.text}")
    known = decision.arithmetic | figures(snapshot)
    wanted = Rebalance(action.size, action.text, known, decision.band, protects=True)
    return guard(wanted, exposure, replace(snapshot, refusals=None), eased(limits), Mode.REDUCING)


def eased(limits: Limits) -> Limits:
    """The limits for a trade that keeps the hedge from liquidation.

    Net delta, pace, the smallest order and the reserve of gas, which is there for this, don't hold it back. Budgets do.
    """
    return replace(limits, max_net=None, min_interval_s=None, min_native=None, min_order=ZERO)


def withdraw(
    decision: Decision,
    action: MarginAction,
    snapshot: Snapshot,
    limits: Limits,
    protection: Protection,
    mode: Mode,
) -> Decision:
    """Takes excess out where all is well, no more at once than could be put back in a day."""
    if isinstance(decision, Rebalance):
        return grown(decision, snapshot, limits, protection.policy)
    calm = is_calm(decision) and mode is Mode.ACTIVE and not snapshot.open_order
    if not protection.withdraw or snapshot.venue.wallet is None or not calm:
        return decision
    if out_of_gas(snapshot, limits):
        return decision
    if snapshot.paper:
        return would(decision, action, snapshot)
    amount = cents(min(action.amount_usd, protection.max_topup_day_usd))
    if amount <= 0:
        return decision
    known = decision.arithmetic | figures(snapshot)
    return Transfer("withdraw", amount, action.text, known, decision.band)


def taken_back(decision: Hold, snapshot: Snapshot, limits: Limits, protection: Protection) -> Decision:
    """An allowance of nothing in place of one that no deposit will use up, where there is one."""
    allowed = snapshot.venue.allowance or ZERO
    if allowed == 0 or protection.max_topup_day_usd == 0 or snapshot.paper:
        return decision
    if snapshot.open_order or unreachable(snapshot, limits):
        return decision
    text = (
        f"the venue may take {allowed:f} USD of the wallet, which the margin doesn't need: that is taken back"
    )
    return Transfer("approve", ZERO, text, decision.arithmetic | figures(snapshot), decision.band)


def would(decision: Decision, action: MarginAction, snapshot: Snapshot) -> Decision:
    """On paper nothing is moved: the policy's trade stays, and a Hold says what would have been."""
    if isinstance(decision, Rebalance):
        return decision
    known = decision.arithmetic | figures(snapshot)
    return Hold("WOULD_TRANSFER", f"on paper nothing is moved: {action.text}", known, decision.band)


def grown(decision: Rebalance, snapshot: Snapshot, limits: Limits, policy: MarginPolicy) -> Decision:
    """`decision`, or where it makes the hedge larger than the critical level bears, a top-up that it would bear.

    Where not enough can be added either it is a Hold: the next tick would take back what this one trades, and pay for
    both. A hedge of nothing has no margin to top up, so that without this it would never begin.
    """
    state, position = margin_of(snapshot.venue), snapshot.venue.position.size
    after = position + decision.size
    if abs(after) <= abs(position):
        return decision
    cost = costs_of(snapshot).ratio(decision.size) * abs(decision.size) * state.mark
    needed = policy.needed_for(policy.critical, after, state) + cost
    rules = snapshot.venue.collateral
    if rules is not None:
        return brings_enough(decision, snapshot, needed - state.equity, policy)
    if state.equity >= needed:
        return decision
    text = (
        f"{standing(state)}: a trade of {decision.size:+f} would make the hedge {after:+f}, for which the critical "
        f"level of {policy.critical} asks {needed:.2f} USD with the trade's cost"
    )
    wallet, left = snapshot.venue.wallet or ZERO, snapshot.top_up_left_usd
    wanted = policy.needed_for(policy.target, after, state) + cost - state.equity
    given = addable(wanted.quantize(CENT, ROUND_CEILING), wallet, left, policy)
    closed = nothing_to_add(snapshot, limits)
    known = decision.arithmetic | figures(snapshot)
    if closed or state.equity + given < needed:
        return Hold(
            "MARGIN",
            f"{text}, and that can't be added: {closed or short_of(wallet, left)}",
            known,
            decision.band,
        )
    text = f"{text}: {given} USD is added before it, towards the target of {policy.target}"
    action = MarginAction(MarginKind.TOP_UP, MarginLevel.OK, text, amount_usd=given)
    return top_up(Hold("MARGIN", text, known, decision.band), action, snapshot, limits)


def brings_enough(
    decision: Rebalance, snapshot: Snapshot, missing: Decimal, policy: MarginPolicy
) -> Decision:
    """`decision`, or a Hold where the collateral that its order brings along is less USD than what is `missing`."""
    rules = snapshot.venue.collateral
    price = ZERO if rules is None else rules.price
    brings = brought(decision.size, snapshot.venue) * price
    if brings >= missing:
        return decision
    text = (
        f"a trade of {decision.size:+f} would bring {brings:.2f} USD of collateral, and the critical level of "
        f"{policy.critical} asks {missing:.2f}: the venue's leverage is above what the margin's levels allow"
    )
    return Hold("MARGIN", text, decision.arithmetic | figures(snapshot), decision.band)


def nothing_to_add(snapshot: Snapshot, limits: Limits) -> str:
    """Why no collateral can be added, whatever the wallet has; "" where it can."""
    if snapshot.venue.wallet is None:
        return OWNERS
    if snapshot.top_up_failed:
        return f"the last top-up failed: {snapshot.top_up_failed}"
    return out_of_gas(snapshot, limits)


def unreachable(snapshot: Snapshot, limits: Limits) -> bool:
    """Whether the venue can't be reached, takes no collateral while it is paused, or what was read of it is too old."""
    oldest = snapshot.at - snapshot.timestamp
    shut = bool(snapshot.venue.paused) and not snapshot.venue.moves_while_paused
    return bool(sequencer(snapshot)) or shut or oldest > limits.max_block_age_s


def is_calm(decision: Decision) -> bool:
    """Whether a decision is a Hold because nothing is to be done."""
    return isinstance(decision, Hold) and decision.code in CALM_CODES


def figures(snapshot: Snapshot) -> dict[str, str]:
    """The margin's figures behind a decision."""
    venue: VenueState = snapshot.venue
    state = margin_of(venue)
    return {
        "margin_equity_usd": f"{state.equity:.2f}",
        "margin_requirement_usd": f"{state.requirement:.2f}",
        "margin_wallet_usd": "not this key's" if venue.wallet is None else f"{venue.wallet:f}",
        "margin_allowance_usd": "none" if venue.allowance is None else f"{venue.allowance:f}",
        "margin_top_up_left_usd": f"{snapshot.top_up_left_usd:f}",
    }
