"""What the mandate lets a key sign on GMX: orders of one market, and what belongs to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bot.chain.contracts import Contract
from bot.chain.mandate import Occasion, Rule
from bot.core.units import from_raw
from bot.errors import OrderRejected
from bot.venues.bounds import OrderBounds
from bot.venues.gmx_market import SCALE, same
from bot.venues.gmx_orders import Asked, Place, read_back

MOST_KEEPER_GAS = 20_000_000
"""Gas units that an order's executor may be paid for at most. The protocol asked for about a quarter of it in 2026."""


@dataclass(frozen=True)
class Allowed:
    """What a key may do with an account's orders. `max_collateral` tokens go with one of them at most."""

    place: Place
    token: Contract
    router: str
    bounds: OrderBounds
    max_collateral: Decimal
    max_fee_wei: int


def mandate_rules(allowed: Allowed) -> tuple[Rule, ...]:
    """Orders, exact approvals for them, claims of what the venue owes the account, and cancels of its own orders."""
    place = allowed.place

    def order(arguments: Mapping[str, Any], occasion: Occasion) -> None:
        try:
            asked = read_back(place, arguments["data"], occasion.value)
        except OrderRejected as error:
            raise OrderRejected(f"mandate: {error}") from error
        within_collateral(asked.brings + asked.takes, "an order that moves")
        if asked.size_usd:
            sized(allowed, asked, occasion)
            priced(allowed, asked, occasion)
        elif not asked.brings and not asked.takes:
            raise OrderRejected("mandate: an order that does nothing but pay its executor")

    def approve(arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        if not same(arguments["spender"], allowed.router):
            raise OrderRejected(f"mandate: an approval of {arguments['spender']}, which is not the router")
        within_collateral(arguments["amount"], "an approval of")

    def claim(arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        if not same(arguments["receiver"], place.account):
            raise OrderRejected(f"mandate: a claim for {arguments['receiver']}, not for {place.account}")
        if not all(same(market, place.market) for market in arguments["markets"]):
            raise OrderRejected(f"mandate: a claim of another market than {place.market}")
        ours = {token.lower() for token in place.tokens.backing}
        if not {token.lower() for token in arguments["tokens"]} <= ours:
            raise OrderRejected("mandate: a claim of another token than the market's")

    def cancel(_arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        """The protocol cancels an order for its owner alone, and returns what it holds to that owner."""

    def within_collateral(raw: int, what: str) -> None:
        amount = from_raw(raw, place.tokens.collateral_decimals)
        if amount > allowed.max_collateral:
            raise OrderRejected(
                f"mandate: {what} {amount:f} of collateral is above {allowed.max_collateral:f}"
            )

    return (
        Rule(place.exchange, "multicall", order, MOST_KEEPER_GAS * allowed.max_fee_wei),
        Rule(place.exchange, "cancelOrder", cancel),
        Rule(place.exchange, "claimFundingFees", claim),
        Rule(allowed.token, "approve", approve),
    )


def sized(allowed: Allowed, asked: Asked, occasion: Occasion) -> None:
    """OrderRejected where an order is larger than allowed.

    An increase is in USD, held against the reference price. What a decrease trades doesn't show in its USD, which are
    those that the position was opened for: the protocol takes none beyond the position, so the decided size is held
    against the bound.
    """
    most = Fraction(allowed.bounds.max_order)
    if abs(occasion.size) > allowed.bounds.max_order:
        raise OrderRejected(f"mandate: an order of {occasion.size} is above {allowed.bounds.max_order}")
    worth = Fraction(asked.size_usd, 10**SCALE)
    if asked.is_increase and worth > most * Fraction(occasion.reference_price):
        raise OrderRejected(
            f"mandate: an increase of {float(worth):.2f} USD is above {allowed.bounds.max_order} units at "
            f"{occasion.reference_price:f}"
        )


def priced(allowed: Allowed, asked: Asked, occasion: Occasion) -> None:
    """OrderRejected where the acceptable price is too far from the reference price, on the side that loses."""
    side = 1 if asked.buys else -1
    limit = Fraction(occasion.reference_price) * (1 + side * Fraction(allowed.bounds.max_bound_gap))
    price = Fraction(asked.acceptable, 10 ** (SCALE - allowed.place.tokens.index_decimals))
    if price <= 0 or side * price > side * limit:
        raise OrderRejected(
            f"mandate: an acceptable price of {float(price):f} USD is more than {allowed.bounds.max_bound_gap:.2%} "
            f"worse than {occasion.reference_price:f}"
        )
