"""What became of an order or a transfer on HyperCore, told by what changed.

Nothing there reverts and nothing answers: a mined transaction says that HyperCore was asked. An immediate-or-cancel
order acts at once or not at all within a stated number of blocks, so the position before and after tells it, and the
info API, where it is configured, tells its price and fee. Where the two differ the position counts, but for an order
that the API knows to be refused or filled whole: then something else moved the position.
"""

from dataclasses import dataclass
from decimal import Decimal

from bot.core.model import Fill, Intent, IntentKind, Outcome, OutcomeState, VenueState
from bot.core.units import DOWN
from bot.venues.hyperliquid_core import LimitOrder
from bot.venues.hyperliquid_market import ToldOrder, cloid_text
from bot.venues.hyperliquid_reading import Seen

ZERO = Decimal(0)
CENT_OF_CENT = Decimal("0.000001")
FARTHEST = Decimal("0.1")
"""A reckoned price farther than this fraction from the marks before and after is not one."""
SAME = Decimal("0.01")
"""A balance that changed by a transfer's amount to within this share of it changed by the transfer."""
ROUNDING = Decimal("0.00001")
"""Share by which a price may seem worse than its limit, for money is kept in millionths of a USD."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How many blocks have passed since an order's own, and after how many it has no effect any more."""

    blocks: int
    most: int

    @property
    def is_over(self) -> bool:
        """Whether what has not acted by now is taken to never do so."""
        return self.blocks >= self.most

    def pending(self, why: str, order_id: str = "") -> Outcome:
        """It may still act. HyperCore lets nobody cancel what doesn't rest in its book."""
        said = f"{why}, {self.blocks} of {self.most} blocks after its own"
        return Outcome(OutcomeState.PENDING, said, order_id=order_id)


def of_order(
    intent: Intent,
    order: LimitOrder,
    before: VenueState,
    seen: Seen,
    wait: Wait,
    told: ToldOrder | None,
    *,
    asks: bool,
) -> Outcome:
    """The outcome of an order. `told` is the info API's answer, None where it had none or isn't asked (`asks`).

    While order and position disagree, or the API says nothing of an order that acted, it waits until its time is over;
    then the position alone tells, unless the API's fills are the whole order. A refusal's own word is waited for no
    longer. What else moved the position is the reconciliation's to explain.
    """
    moved = seen.size - before.position.size
    cloid = cloid_text(order.cloid)
    if told is not None and told.is_refused:
        beside = f"; the position moved by {moved:+f}, which is not its doing" if moved != 0 else ""
        return Outcome(OutcomeState.DEAD, f"HyperCore refused it: {told.status}{beside}")
    if told is not None and told.is_over and moved != 0 and told.size == moved:
        return filled(intent, told_fill(intent, told), "")
    if told is not None and told.filled_whole(intent.size) and wait.is_over:
        why = (
            f"its price is the exchange's own, although the position moved by {moved:+f} since it was decided"
        )
        return filled(intent, told_fill(intent, told), why)
    if not wait.is_over:
        if told is not None and told.is_over:
            why = f"the info API says {told.status} with {told.size:+f}, and the position moved by {moved:+f}"
            return wait.pending(why, cloid)
        if moved == 0:
            return wait.pending("HyperCore has not acted yet", cloid)
        if asks:
            return wait.pending(
                f"the position moved by {moved:+f}, and the info API says nothing of it", cloid
            )
    if moved == 0:
        said = f"HyperCore gave it no effect within {wait.most} blocks"
        return Outcome(
            OutcomeState.DEAD,
            f"{said}: it was refused, or nothing crossed its limit of {order.price.normalize():f}",
        )
    if moved * intent.size > 0 and abs(moved) <= abs(intent.size):
        fill, why = reckoned(intent, order, before, seen)
        return filled(intent, fill, why)
    if not wait.is_over:
        return wait.pending(f"the position moved by {moved:+f}, which is not this order's doing", cloid)
    return Outcome(
        OutcomeState.DEAD,
        f"the position moved by {moved:+f} since it was decided, which an order of {intent.size:+f} can't have done: "
        "none of it is counted as filled",
    )


def filled(intent: Intent, fill: Fill, why: str) -> Outcome:
    """FILLED, or PARTIAL where it is less than was meant."""
    if fill.size == intent.size:
        return Outcome(OutcomeState.FILLED, why, fill)
    part = f"{fill.size:+f} of {intent.size:+f} was traded, nothing more crossed its limit"
    return Outcome(OutcomeState.PARTIAL, f"{part}; {why}" if why else part, fill)


def told_fill(intent: Intent, told: ToldOrder) -> Fill:
    """The fill as the exchange's own record of the order has it, to its last digit."""
    notional = sum((abs(fill.size) * fill.price for fill in told.fills), ZERO)
    return made(intent, told.size, notional, sum((fill.fee_usd for fill in told.fills), ZERO))


def made(intent: Intent, size: Decimal, notional: Decimal, fee_usd: Decimal) -> Fill:
    """A fill of `size` for `notional` USD. Funding is paid on the hour here, and never with an order."""
    worse = notional - abs(size) * intent.reference_price
    return Fill(
        size=size,
        notional=notional,
        fee_usd=fee_usd,
        impact_usd=worse if size > 0 else -worse,
        funding_usd=ZERO,
    )


def reckoned(intent: Intent, order: LimitOrder, before: VenueState, seen: Seen) -> tuple[Fill, str]:
    """A fill without the exchange's record of it, and how its money was told.

    The size is exact. Where the position only grew, the notional is the change of its entry notional, which knows no
    fee. Else it is the change of the account's cash with the configured fee taken off; funding that was paid in between
    would be in it. Where neither makes a price that the order can have had, it is counted at its limit, its worst.
    """
    moved = seen.size - before.position.size
    fee_ratio, held = before.fee_ratio, before.position.size
    if held * moved >= 0:
        notional = abs(seen.entry_notional) - abs(before.position.entry_notional)
        why = "its price is the change of the entry notional, its fee is reckoned"
        if possible(notional, moved, order, intent, seen):
            return made(intent, moved, notional, fee_of(notional, fee_ratio)), why
    cash = seen.raw_usd - (before.margin.collateral + before.position.entry_notional)
    factor = -(1 + fee_ratio) if moved > 0 else 1 - fee_ratio
    notional = DOWN.divide(cash, factor).quantize(CENT_OF_CENT)
    if possible(notional, moved, order, intent, seen):
        why = "its price is reckoned from the change of the account's cash, with the configured fee"
        return made(intent, moved, notional, fee_of(notional, fee_ratio)), why
    notional = abs(moved) * order.price
    why = f"its price can't be told, for the account's cash changed by {cash:+.2f} USD: it is counted at its limit"
    return made(intent, moved, notional, fee_of(notional, fee_ratio)), why


def possible(notional: Decimal, moved: Decimal, order: LimitOrder, intent: Intent, seen: Seen) -> bool:
    """Whether so much money can have been the order's: no worse than its limit, and near one of the two marks."""
    price = notional / abs(moved)
    side = 1 if moved > 0 else -1
    worse = side * (price - order.price) > order.price * ROUNDING
    near = any(abs(price - mark) <= mark * FARTHEST for mark in (intent.reference_price, seen.mark))
    return near and not worse


def fee_of(notional: Decimal, fee_ratio: Decimal) -> Decimal:
    """The configured taker fee in USD."""
    return (notional * fee_ratio).quantize(CENT_OF_CENT)


def of_transfer(intent: Intent, before: VenueState, seen: Seen, wait: Wait) -> Outcome:
    """The outcome of moving USDC between the two sides, from both balances.

    It is done whole or not at all. Small differences are others' doing: funding, or what somebody sent.
    """
    adds = intent.kind is IntentKind.ADD_MARGIN
    amount = intent.size if adds else -intent.size
    spot = None if before.wallet is None else before.wallet - seen.spot_usdc
    cash = seen.raw_usd - (before.margin.collateral + before.position.entry_notional)
    found = {about(change, amount) for change in (spot, cash) if change is not None}
    if True in found and False not in found:
        return Outcome(OutcomeState.FILLED)
    if not wait.is_over:
        why = (
            "HyperCore has not moved it yet"
            if True not in found
            else "one side shows it, the other doesn't yet"
        )
        return wait.pending(why)
    if True not in found and False in found:
        said = f"HyperCore moved nothing within {wait.most} blocks: it was refused"
        return Outcome(OutcomeState.DEAD, said)
    shown = "nothing is known of the spot side" if spot is None else f"the spot side lost {spot:f}"
    return Outcome(
        OutcomeState.DEAD,
        f"{shown} and the perp side gained {cash:f}: a transfer of {amount:f} can't be told from that, and is counted "
        "as not made",
    )


def about(change: Decimal, amount: Decimal) -> bool | None:
    """Whether a balance changed by the transfer: True for by its amount, False for not at all, None for neither."""
    room = abs(amount) * SAME
    if abs(change - amount) <= room:
        return True
    return False if abs(change) <= room else None
