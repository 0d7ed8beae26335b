"""What an order of a size would do to the two sides of a GMX position, and the sizes that the protocol doesn't take."""

from decimal import Decimal

from bot.core.collateral import carried
from bot.core.model import VenueState
from bot.core.units import from_raw, to_raw
from bot.errors import OrderRejected
from bot.venues.gmx_market import SCALE, GmxMarket, GmxState, Side, usd

ZERO = Decimal(0)


def sides_of(state: VenueState, market: GmxMarket) -> tuple[Side | None, Side | None]:
    """The long and the short position, of any state: without its own sides there is the one that the size says."""
    if isinstance(state, GmxState):
        return state.long, state.short
    size = state.position.size
    if size == 0:
        return None, None
    side = Side(to_raw(abs(state.position.entry_notional), SCALE), to_raw(abs(size), market.index_decimals))
    return (side, None) if size > 0 else (None, side)


def closed_by(size: Decimal, state: VenueState, market: GmxMarket) -> Side | None:
    """The side that an order of a signed `size` makes smaller; None where it opens, or adds to, its own side."""
    long, short = sides_of(state, market)
    return short if size > 0 else long


def brought_in(size: Decimal, state: VenueState) -> Decimal:
    """What an increase hands over, in collateral tokens."""
    return max(carried(size, state), ZERO)


def taken_back(size: Decimal, state: VenueState, market: GmxMarket) -> Decimal:
    """The collateral that a decrease takes back, in tokens: none beside a close, which returns all of its own.

    None either while both sides are open, for the margin is then of both.
    """
    long, short = sides_of(state, market)
    closing = short if size > 0 else long
    whole = closing is not None and to_raw(abs(size), market.index_decimals) >= closing.tokens
    return ZERO if whole or (long and short) else max(-carried(size, state), ZERO)


def check_size(size: Decimal, state: VenueState, market: GmxMarket) -> None:
    """OrderRejected, saying how much is too much or too little, where the protocol would not do what is meant.

    It would cancel an order for more than is open the other way, or a position below its least sizes, and close in full
    where a decrease leaves less than those.
    """
    if size == 0:
        raise OrderRejected(f"{state.name}: an order of 0 trades nothing")
    closing = closed_by(size, state, market)
    if closing is None:
        check_increase(size, state, market)
        return
    left = closing.tokens - to_raw(abs(size), market.index_decimals)
    if left < 0:
        have = from_raw(closing.tokens, market.index_decimals)
        raise OrderRejected(
            f"{state.name}: an order of {size:+f} is more than the {have:f} that are open the other way: a flip takes "
            "two orders"
        )
    if left > 0:
        taken = closing.usd_of(closing.tokens - left, is_long=size < 0)
        back = taken_back(size, state, market) * collateral_price(state)
        margin = min(state.margin.account_value, state.margin.collateral) - back - fee_of(size, state)
        doing = f"{state.name}: an order of {size:+f} would leave a position"
        check_least(doing, usd(closing.usd - taken), margin, state)


def check_increase(size: Decimal, state: VenueState, market: GmxMarket) -> None:
    """OrderRejected where a position can't be opened or grown: by too high a leverage, or to too small a size."""
    rules = state.collateral
    if rules is not None and rules.leverage * state.initial_ratio > 1:
        raise OrderRejected(
            f"{state.name}: a leverage of {rules.leverage:f} is above the {1 / state.initial_ratio:.2f} that the "
            "market takes now"
        )
    long, short = sides_of(state, market)
    growing = long if size > 0 else short
    after = usd(growing.usd if growing else 0) + abs(size) * state.mark
    brings = brought_in(size, state) * collateral_price(state)
    margin = state.margin.account_value + brings - fee_of(size, state)
    check_least(f"{state.name}: an order of {size:+f} would make a position", after, margin, state)


def check_least(doing: str, size_usd: Decimal, margin: Decimal, state: VenueState) -> None:
    """OrderRejected where a position would be smaller than the protocol's least, or have less margin (both in USD)."""
    if not isinstance(state, GmxState):
        return
    if size_usd < state.min_position_usd:
        raise OrderRejected(
            f"{doing} of {size_usd:.2f} USD, and the protocol's least is {state.min_position_usd:.2f}"
        )
    if state.collateral is not None and margin < state.min_collateral_usd:  # on paper none is brought
        raise OrderRejected(
            f"{doing} with a margin of {margin:.2f} USD, and the protocol's least is {state.min_collateral_usd:.2f}"
        )


def collateral_price(state: VenueState) -> Decimal:
    """USD per collateral token."""
    return ZERO if state.collateral is None else state.collateral.price


def fee_of(size: Decimal, state: VenueState) -> Decimal:
    """The venue's fee for `size` at the mark, in USD."""
    return abs(size) * state.mark * state.fee_ratio
