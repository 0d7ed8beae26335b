"""What the mandate lets a key sign on HyperEVM: one market's immediate orders, and margin between its own two sides."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from bot.chain.contracts import Contract
from bot.chain.mandate import Occasion, Rule
from bot.errors import DataError, OrderRejected
from bot.venues import hyperliquid_core as core
from bot.venues.bounds import OrderBounds, TransferBounds

ZERO = Decimal(0)


def mandate_rules(
    writer: Contract, asset: int, bounds: OrderBounds, transfers: TransferBounds | None
) -> tuple[Rule, ...]:
    """Orders of `asset` within `bounds`, and transfers of USDC within `transfers`, none where that is None.

    The action's bytes are decoded here once more. Whatever else CoreWriter would do is refused: it could send the
    account's money away, or let another wallet trade for it.
    """

    def action(arguments: Mapping[str, Any], occasion: Occasion) -> None:
        try:
            asked = core.decode_action(arguments["data"])
        except DataError as error:
            raise OrderRejected(f"mandate: {error}") from error
        if isinstance(asked, core.LimitOrder):
            ordered(asked, asset, bounds, occasion)
        else:
            transferred(asked, transfers)

    return (Rule(writer, "sendRawAction", action),)


def ordered(order: core.LimitOrder, asset: int, bounds: OrderBounds, occasion: Occasion) -> None:
    """OrderRejected unless an order is one of ours, within its bounds."""
    if order.asset != asset:
        raise OrderRejected(f"mandate: an order of asset {order.asset}, not of {asset}")
    if order.tif != core.IOC:
        raise OrderRejected(f"mandate: an order that may rest (time in force {order.tif})")
    if order.cloid == 0:
        raise OrderRejected("mandate: an order needs a client order id to be told by")
    if not 0 < order.size <= bounds.max_order:
        raise OrderRejected(
            f"mandate: an order of {order.signed:+f} is not above 0 and within {bounds.max_order}"
        )
    side = 1 if order.is_buy else -1
    limit = Fraction(occasion.reference_price) * (1 + side * Fraction(bounds.max_bound_gap))
    if order.price <= 0 or side * Fraction(order.price) > side * limit:
        raise OrderRejected(
            f"mandate: a limit of {order.price.normalize():f} USD for {order.signed:+f} is more than "
            f"{bounds.max_bound_gap:.2%} worse than {occasion.reference_price:f}"
        )


def transferred(moved: core.UsdClassTransfer, transfers: TransferBounds | None) -> None:
    """OrderRejected unless a transfer is above 0 and within its bound."""
    most = ZERO if transfers is None else transfers.deposit if moved.to_perp else transfers.withdraw
    what = "a deposit" if moved.to_perp else "a withdrawal"
    if not 0 < moved.amount <= most:
        raise OrderRejected(f"mandate: {what} of {moved.amount:f} USDC is not above 0 and within {most:f}")
