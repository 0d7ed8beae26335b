"""Collateral that an order brings along or takes back, on venues where each order carries its own."""

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal

from bot.core.limits import CALM_CODES, Limits, out_of_gas
from bot.core.model import Decision, Hold, Mode, OrderCollateral, Rebalance, Snapshot, Transfer, VenueState
from bot.core.units import round_to_lot

ZERO = Decimal(0)
STEP = Decimal("0.000001")
"""Amounts of collateral are multiples of this, in tokens."""
LEAST_FIT, MOST_FIT = Decimal("0.8"), Decimal("1.25")
"""An allowance between these parts of what an order should bring is used up whole: prices move after it was given."""
REST_MARGIN = 2
"""How many times the least collateral what is left of a position should have, for it pays fees out of that."""


def brought(size: Decimal, venue: VenueState) -> Decimal:
    """What an order of a signed `size` should bring (above 0) or take back (below 0), in collateral tokens.

    After it, notional ÷ equity is at the target leverage at the mark, the order's fee paid; what the equity has above
    that is left where it is until the position shrinks, and then its share of the collateral at most is taken back.
    A close in full takes everything back by itself.
    """
    rules = venue.collateral
    before, after = abs(venue.position.size), abs(venue.position.size + size)
    if rules is None or after == 0:
        return ZERO
    equity = max(venue.margin.account_value, ZERO)
    wanted = after * venue.mark / rules.leverage
    fee = abs(size) * venue.mark * venue.fee_ratio
    if after > before:
        missing = wanted + fee - equity
        return (missing / rules.price).quantize(STEP, rounding=ROUND_CEILING) if missing > 0 else ZERO
    spare = min(equity - wanted - fee, venue.margin.collateral * (before - after) / before)
    if not rules.returns or spare <= 0:
        return ZERO
    tokens = (spare / rules.price).quantize(STEP, rounding=ROUND_DOWN)
    return -tokens if rules.most is None else -min(tokens, rules.most)


def carried(size: Decimal, venue: VenueState) -> Decimal:
    """What an order of `size` is sent with, in collateral tokens: `brought`, or the allowance that was given for it."""
    wanted, allowed = brought(size, venue), venue.allowance or ZERO
    return allowed if wanted > 0 and fits(allowed, wanted) else wanted


def fits(allowed: Decimal, wanted: Decimal) -> bool:
    """Whether an allowance was given for about this amount."""
    return LEAST_FIT * wanted <= allowed <= MOST_FIT * wanted


def least_rest(venue: VenueState) -> Decimal:
    """The smallest position that is worth leaving open, in units: the venue closes anything smaller by itself."""
    if venue.collateral is None:
        return ZERO
    margin = REST_MARGIN * venue.min_collateral_usd * venue.collateral.leverage
    return max(venue.min_position_usd, margin) / venue.mark


def leaves_too_little(size: Decimal, venue: VenueState) -> bool:
    """Whether an order only shrinks the position, to less than is worth leaving open."""
    position = venue.position.size
    rest = position + size
    return rest != 0 and position * size < 0 and position * rest > 0 and abs(rest) < least_rest(venue)


def without_rest(decision: Decision, venue: VenueState) -> Decision:
    """`decision`, or where it would leave too little, the whole close."""
    if not isinstance(decision, Rebalance) or not leaves_too_little(decision.size, venue):
        return decision
    position = venue.position.size
    text = (
        f"{decision.text}; all of {position:+f} is closed, for what would be left is too small to stay open"
    )
    return replace(decision, size=-position, text=text)


def with_enough_left(decision: Rebalance, venue: VenueState) -> Decision:
    """`decision`, or where a limit cut it so that too little would be left, a smaller order that leaves enough."""
    if not leaves_too_little(decision.size, venue):
        return decision
    position = venue.position.size
    size = round_to_lot(-position + least_rest(venue).copy_sign(position), venue.lot)
    if size * position >= 0:
        text = f"a limit leaves {decision.size:+f} of {position:+f} to be closed, and the rest is too small"
        return Hold("NO_ROOM", text, decision.arithmetic, decision.band)
    text = f"{decision.text}; a little less, for the rest to be large enough to stay open"
    return replace(decision, size=size, text=text, remaining=decision.remaining + decision.size - size)


def provide(decision: Decision, snapshot: Snapshot, limits: Limits, mode: Mode) -> Decision:
    """`decision`, or what must come before it: an allowance for the collateral that its order brings; a claim.

    A Hold where the wallet holds less than that. What the venue owes is claimed while nothing else is to be done. No
    order leaves a rest that is too small to stay open.
    """
    venue, rules = snapshot.venue, snapshot.venue.collateral
    if rules is None:
        return decision
    if isinstance(decision, Hold):
        return claimed(decision, snapshot, rules, mode) if not out_of_gas(snapshot, limits) else decision
    if not isinstance(decision, Rebalance):
        return decision
    enough = with_enough_left(decision, venue)
    if snapshot.paper or not isinstance(enough, Rebalance):
        return enough
    decision = enough
    wanted, allowed = brought(decision.size, venue), venue.allowance or ZERO
    too_much = rules.most is not None and wanted > rules.most
    if wanted <= 0 or (fits(allowed, wanted) and not too_much):
        return decision
    wallet = venue.wallet or ZERO
    known = decision.arithmetic | {
        "collateral_brought": f"{wanted:f}",
        "collateral_wallet": f"{wallet:f}",
        "collateral_allowance": f"{allowed:f}",
    }
    if too_much:
        text = (
            f"an order of {decision.size:+f} needs {wanted:f} of collateral, and max_collateral allows {rules.most}: "
            "raise it, or lower max_order"
        )
        return Hold("COLLATERAL", text, known, decision.band)
    if wallet < wanted:
        text = (
            f"an order of {decision.size:+f} needs {wanted:f} more collateral for the target leverage of "
            f"{rules.leverage:f}, and the wallet holds {wallet:f}"
        )
        return Hold("COLLATERAL", text, known, decision.band)
    text = f"{decision.text}; first the venue is allowed to take exactly the {wanted:f} that the order brings"
    return Transfer("approve", wanted, text, known, decision.band)


def claimed(decision: Hold, snapshot: Snapshot, rules: OrderCollateral, mode: Mode) -> Decision:
    """A claim of what the venue owes, where that pays and nothing else is to be done."""
    least = rules.claim_above_usd
    idle = decision.code in CALM_CODES and mode is Mode.ACTIVE and not (snapshot.paper or snapshot.open_order)
    if least is None or not idle or rules.claimable_usd < least:
        return decision
    text = f"the venue owes {rules.claimable_usd:.2f} USD of funding, and nothing else is to be done: it is claimed"
    return Transfer("claim", rules.claimable_usd, text, decision.arithmetic, decision.band)
