"""What the mandate lets a key sign on Perpetual Protocol v2: one market's orders, and exact transfers of margin."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import Contract
from bot.chain.mandate import Rule
from bot.core.units import from_raw
from bot.errors import OrderRejected


@dataclass(frozen=True, slots=True)
class TransferBounds:
    """The most settlement tokens that one deposit, its allowance or a withdrawal may move; 0 for none."""

    deposit: Decimal
    withdraw: Decimal = Decimal(0)


def order_rules(
    house: Contract, base_token: str, max_order: Decimal, delegating_trader: str | None
) -> tuple[Rule, ...]:
    """Orders of the market `base_token` of at most `max_order` units, with a price bound.

    With a `delegating_trader` orders for that account alone are allowed, and none for the key itself.
    """

    def common(params: Mapping[str, Any]) -> None:
        if params["baseToken"].lower() != base_token.lower():
            raise OrderRejected(f"mandate: {params['baseToken']} is not the market {base_token}")
        if params["oppositeAmountBound"] == 0:
            raise OrderRejected("mandate: an order needs a price bound")
        if params["sqrtPriceLimitX96"] != 0:
            raise OrderRejected("mandate: an order has its bound and no second limit, which may cut it short")
        if any(params["referralCode"]):
            raise OrderRejected("mandate: an order pays no referrer")

    def order(arguments: Mapping[str, Any]) -> None:
        params = arguments["params"]
        common(params)
        amount = from_raw(params["amount"], 18)
        if not 0 < amount <= max_order:
            raise OrderRejected(f"mandate: an order of {amount} is above {max_order}")
        if params["isExactInput"] != params["isBaseToQuote"]:
            raise OrderRejected("mandate: an order's amount must be in base units")

    def order_for(arguments: Mapping[str, Any]) -> None:
        if arguments["trader"].lower() != str(delegating_trader).lower():
            raise OrderRejected(f"mandate: an order for {arguments['trader']}, not for {delegating_trader}")
        order(arguments)

    def close(arguments: Mapping[str, Any]) -> None:
        common(arguments["params"])

    if delegating_trader is not None:
        return (Rule(house, "openPositionFor", order_for),)
    return (Rule(house, "openPosition", order), Rule(house, "closePosition", close))


def transfer_rules(
    token: Contract, vault: Contract, decimals: int, bounds: TransferBounds
) -> tuple[Rule, ...]:
    """Exact amounts of the settlement `token`, to the vault and back, each at most its bound."""

    def within(raw: int, most: Decimal, what: str) -> None:
        amount = from_raw(raw, decimals)
        if not 0 < amount <= most:
            raise OrderRejected(f"mandate: {what} of {amount:f} is not above 0 and within {most:f}")

    def of_token(address: str) -> None:
        if address.lower() != token.address.lower():
            raise OrderRejected(f"mandate: {address} is not the settlement token {token.address}")

    def approve(arguments: Mapping[str, Any]) -> None:
        if arguments["spender"].lower() != vault.address.lower():
            raise OrderRejected(f"mandate: an approval of {arguments['spender']}, which is not the vault")
        within(arguments["amount"], bounds.deposit, "an approval")

    def deposit(arguments: Mapping[str, Any]) -> None:
        of_token(arguments["token"])
        within(arguments["amount"], bounds.deposit, "a deposit")

    def withdraw(arguments: Mapping[str, Any]) -> None:
        of_token(arguments["token"])
        within(arguments["amount"], bounds.withdraw, "a withdrawal")

    rules = (Rule(token, "approve", approve), Rule(vault, "deposit", deposit))
    return (*rules, Rule(vault, "withdraw", withdraw)) if bounds.withdraw > 0 else rules
