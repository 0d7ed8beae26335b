"""What the mandate lets a key sign on Perpetual Protocol v2: one market's orders, and exact transfers of margin."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bot.chain.contracts import Contract
from bot.chain.mandate import Occasion, Rule
from bot.core.units import from_raw
from bot.errors import OrderRejected
from bot.venues.bounds import OrderBounds, TransferBounds

CLOCK_SLACK_S = 60
"""How far the chain's clock, from which deadlines are counted, may be ahead of the desk's."""


def order_rules(
    house: Contract, base_token: str, bounds: OrderBounds, delegating_trader: str | None
) -> tuple[Rule, ...]:
    """Orders of the market `base_token` within `bounds`.

    With a `delegating_trader` orders for that account alone are allowed, and none for the key itself. The calldata of a
    close doesn't say what it trades: it is held against the size that was decided.
    """

    def common(params: Mapping[str, Any], size: Decimal, occasion: Occasion) -> None:
        if params["baseToken"].lower() != base_token.lower():
            raise OrderRejected(f"mandate: {params['baseToken']} is not the market {base_token}")
        if params["oppositeAmountBound"] == 0:
            raise OrderRejected("mandate: an order needs a price bound")
        if params["sqrtPriceLimitX96"] != 0:
            raise OrderRejected("mandate: an order has its bound and no second limit, which may cut it short")
        if any(params["referralCode"]):
            raise OrderRejected("mandate: an order pays no referrer")
        if not 0 < abs(size) <= bounds.max_order:
            raise OrderRejected(f"mandate: an order of {size} is not above 0 and within {bounds.max_order}")
        latest = occasion.now + bounds.ttl_s + CLOCK_SLACK_S
        if params["deadline"] > latest:
            raise OrderRejected(
                f"mandate: a deadline of {params['deadline']} is beyond {latest}: order_ttl_s is {bounds.ttl_s}, and "
                f"this clock says {occasion.now}"
            )
        price_within(params["oppositeAmountBound"], size, occasion.reference_price)

    def price_within(raw_bound: int, size: Decimal, reference: Decimal) -> None:
        side = 1 if size > 0 else -1
        bound, worth = Fraction(raw_bound, 10**18), abs(Fraction(size)) * Fraction(reference)
        if side * bound > side * worth * (1 + side * Fraction(bounds.max_bound_gap)):
            raise OrderRejected(
                f"mandate: a bound of {float(bound / abs(Fraction(size))):f} USD for {size:+f} is more than "
                f"{bounds.max_bound_gap:.2%} worse than {reference:f}"
            )

    def order(arguments: Mapping[str, Any], occasion: Occasion) -> None:
        params = arguments["params"]
        if params["isExactInput"] != params["isBaseToQuote"]:
            raise OrderRejected("mandate: an order's amount must be in base units")
        amount = from_raw(params["amount"], 18)
        common(params, -amount if params["isBaseToQuote"] else amount, occasion)

    def order_for(arguments: Mapping[str, Any], occasion: Occasion) -> None:
        if arguments["trader"].lower() != str(delegating_trader).lower():
            raise OrderRejected(f"mandate: an order for {arguments['trader']}, not for {delegating_trader}")
        order(arguments, occasion)

    def close(arguments: Mapping[str, Any], occasion: Occasion) -> None:
        common(arguments["params"], occasion.size, occasion)

    if delegating_trader is not None:
        return (Rule(house, "openPositionFor", order_for),)
    return (Rule(house, "openPosition", order), Rule(house, "closePosition", close))


def transfer_rules(
    token: Contract, vault: Contract, decimals: int, bounds: TransferBounds
) -> tuple[Rule, ...]:
    """Exact amounts of the settlement `token`, to the vault and back, each above 0 and at most its bound.

    An approval may be of nothing too, which takes one back.
    """

    def within(raw: int, least: int, most: Decimal, what: str) -> None:
        amount = from_raw(raw, decimals)
        if not (raw >= least and amount <= most):
            raise OrderRejected(
                f"mandate: {what} of {amount:f} is not from {from_raw(least, decimals):f} to {most:f}"
            )

    def of_token(address: str) -> None:
        if address.lower() != token.address.lower():
            raise OrderRejected(f"mandate: {address} is not the settlement token {token.address}")

    def approve(arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        if arguments["spender"].lower() != vault.address.lower():
            raise OrderRejected(f"mandate: an approval of {arguments['spender']}, which is not the vault")
        within(arguments["amount"], 0, bounds.deposit, "an approval")

    def deposit(arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        of_token(arguments["token"])
        within(arguments["amount"], 1, bounds.deposit, "a deposit")

    def withdraw(arguments: Mapping[str, Any], _occasion: Occasion) -> None:
        of_token(arguments["token"])
        within(arguments["amount"], 1, bounds.withdraw, "a withdrawal")

    rules = (Rule(token, "approve", approve), Rule(vault, "deposit", deposit))
    return (*rules, Rule(vault, "withdraw", withdraw)) if bounds.withdraw > 0 else rules
