"""A GMX market and our account in it as one block shows them, turned into the venue's state.

The account's value is the protocol's own figure of its liquidation check: collateral and profit less pending fees, the
cost of closing and the closing fee. With both sides open each is liquidated on its own: the account is then as far from
its requirement as the nearer of the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.core.model import CostPoint, Margin, PendingOrder
from bot.core.units import from_raw, round_to_lot
from bot.errors import DataError
from bot.venues.gmx_fees import GasTerms
from bot.venues.gmx_market import GmxMarket, Side, same, usd
from bot.venues.gmx_prices import Prices

ZERO = Decimal(0)
RATE_STEP = Decimal(10) ** -18
PRICE_STEP = Decimal(10) ** -12
CURVE_SHARES = (Decimal("0.001"), Decimal("0.01"), Decimal("0.1"), Decimal("0.4"), Decimal(1))
"""Sizes that are quoted, as shares of the largest order."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The market's parameters, money in USD. Of the pairs the first is of the longs."""

    min_collateral: Decimal
    min_position: Decimal
    min_factor: Decimal
    liquidation_factor: Decimal
    fee_ratio: Decimal
    interest_factors: tuple[Decimal, Decimal]
    interest: tuple[int, int]
    most_interest: tuple[int, int]
    gas: GasTerms

    @property
    def initial_ratio(self) -> Decimal:
        """The collateral that a position needs to grow, as a fraction of notional: the larger of the two sides'."""
        grown = [
            factor * usd(interest)
            for factor, interest in zip(self.interest_factors, self.interest, strict=True)
        ]
        return max(self.min_factor, *grown)

    def room(self, *, is_long: bool) -> Decimal:
        """The USD that a side's open interest may still grow by; 0 where that is less than a position must have."""
        at = 0 if is_long else 1
        room = usd(max(self.most_interest[at] - self.interest[at], 0))
        return room if room >= self.min_position else ZERO


@dataclass(frozen=True, slots=True)
class Held:
    """One open position of ours: as it is stored, as the Reader values it, and its liquidation check's figures."""

    is_long: bool
    numbers: Mapping[str, int]
    info: Mapping[str, Any]
    check: Mapping[str, int]

    @property
    def fees(self) -> Mapping[str, Any]:
        """What is due with its next change."""
        fees: Mapping[str, Any] = self.info["fees"]
        return fees


def side_of(stored: Mapping[str, Any] | None) -> Side | None:
    """A stored position's size."""
    return None if stored is None else Side(stored["numbers"]["sizeInUsd"], stored["numbers"]["sizeInTokens"])


def ours(
    name: str, stored: Sequence[Mapping[str, Any]], market: str, tokens: GmxMarket
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]:
    """Our long and our short in the market. DataError where another token than the configured one backs a position."""
    long = short = None
    for position in stored:
        if not same(position["addresses"]["market"], market) or position["numbers"]["sizeInUsd"] == 0:
            continue
        token = position["addresses"]["collateralToken"]
        if not same(token, tokens.collateral_token):
            side = "long" if position["flags"]["isLong"] else "short"
            raise DataError(
                f"{name}: collateral_token: a {side} position in this market is backed by {token}, not by "
                f"{tokens.collateral_token}; close it, or configure that token"
            )
        if position["flags"]["isLong"]:
            long = position
        else:
            short = position
    return long, short


def waiting_orders(orders: Sequence[Mapping[str, Any]], market: str) -> tuple[PendingOrder, ...]:
    """The account's orders in the market that nobody has executed yet."""
    found = []
    for entry in orders:
        order = entry["order"]
        if not same(order["addresses"]["market"], market):
            continue
        side = "long" if order["flags"]["isLong"] else "short"
        size, kind = usd(order["numbers"]["sizeDeltaUsd"]), order["numbers"]["orderType"]
        key = "0x" + entry["orderKey"].hex()
        text = f"order {key} of type {kind} for {size:.2f} USD {side}, placed at {order['numbers']['updatedAtTime']}"
        found.append(PendingOrder(key, text + (", frozen" if order["flags"]["isFrozen"] else "")))
    return tuple(found)


def largest(side: Side | None, room: Decimal, mark: Decimal, market: GmxMarket, lot: Decimal) -> Decimal:
    """The largest order that closes `side`, or opens in `room` USD where nothing is to be closed."""
    return from_raw(side.tokens, market.index_decimals) if side else round_to_lot(room / mark, lot)


def quoted_sizes(most: Decimal, lot: Decimal) -> list[Decimal]:
    """The sizes of one direction that are quoted, in whole lots but for the largest, smallest first."""
    sizes = {most if share == 1 else round_to_lot(most * share, lot) for share in CURVE_SHARES}
    return sorted(size for size in sizes if size > 0)


def cost_point(size: Decimal, answer: Mapping[str, Any], market: GmxMarket) -> CostPoint | None:
    """The average price of `size` from the Reader's answer; None where it names none."""
    raw = answer["executionPrice"]
    return CostPoint(size, market.price_usd(raw).quantize(PRICE_STEP)) if raw > 0 else None


def margin_of(held: Sequence[Held], terms: Terms, market: GmxMarket, prices: Prices) -> Margin:
    """The account's margin in USD: nothing where nothing is open."""
    if not held:
        return Margin(ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    price = prices.least(market.collateral_token, market)
    collateral = sum((usd(h.numbers["collateralAmount"] * price) for h in held), ZERO)
    required = [usd(max(h.check["minCollateralUsd"], h.check["minCollateralUsdForLeverage"])) for h in held]
    values = [usd(h.check["remainingCollateralUsd"]) for h in held]
    maintenance = sum(required, ZERO)
    nearest = min(value - need for value, need in zip(values, required, strict=True))
    account_value = maintenance + nearest
    initial = sum((usd(h.numbers["sizeInUsd"]) for h in held), ZERO) * terms.initial_ratio
    keep = max(initial, terms.min_collateral * len(held))
    return Margin(
        collateral=collateral,
        account_value=account_value,
        mark_value=collateral
        + sum((marked(h, prices.mid) for h in held), ZERO)
        - pending_funding(held, market, prices),
        # Open profit can't be taken out.
        free_collateral=min(account_value, collateral) - keep,
        maintenance=maintenance,
        exit_value=collateral + sum((exit_usd(h, price) + earned_usd(h, prices) for h in held), ZERO),
    )


def marked(held: Held, mid: int) -> Decimal:
    """A position's profit at the mark in USD, with the price impact that is fixed in it."""
    numbers = held.numbers
    profit = numbers["sizeInTokens"] * mid - numbers["sizeInUsd"]
    return usd((profit if held.is_long else -profit) + numbers["pendingImpactAmount"] * mid)


def exit_usd(held: Held, price: int) -> Decimal:
    """What closing in full adds to a position's collateral in USD: profit after impact, less every fee."""
    return usd(held.info["pnlAfterPriceImpactUsd"] - held.fees["totalCostAmount"] * price)


def earned_usd(held: Held, prices: Prices) -> Decimal:
    """The funding that becomes claimable with a position's next change, in USD."""
    funding = held.fees["funding"]
    long = funding["claimableLongTokenAmount"] * prices.long[0]
    return usd(long + funding["claimableShortTokenAmount"] * prices.short[0])


def pending_funding(held: Sequence[Held], market: GmxMarket, prices: Prices) -> Decimal:
    """Funding and borrowing due less funding earned, in USD, positive where we pay."""
    price = prices.least(market.collateral_token, market)
    due = sum(
        (
            usd((h.fees["funding"]["fundingFeeAmount"] + h.fees["borrowing"]["borrowingFeeAmount"]) * price)
            for h in held
        ),
        ZERO,
    )
    return due - sum((earned_usd(h, prices) for h in held), ZERO)


def margin_delta(held: Sequence[Held], claimable: Mapping[str, int], market: GmxMarket) -> Decimal:
    """What the margin holds of the underlying, in units: fixed impact, and what is in the index token.

    `claimable` is the stored funding by token, in lower case. Collateral counts without the fees that are due in it.
    """
    raw = 0
    for one in held:
        raw += one.numbers["pendingImpactAmount"]
        funding = one.fees["funding"]
        if market.is_index(market.long_token):
            raw += funding["claimableLongTokenAmount"]
        if market.is_index(market.short_token):
            raw += funding["claimableShortTokenAmount"]
        if market.is_index(market.collateral_token):
            due = funding["fundingFeeAmount"] + one.fees["borrowing"]["borrowingFeeAmount"]
            raw += one.numbers["collateralAmount"] - due
    raw += sum(amount for token, amount in claimable.items() if market.is_index(token))
    return from_raw(raw, market.index_decimals)


def funding_per_hour(info: Mapping[str, Any], terms: Terms, size: Decimal) -> Decimal:
    """The fraction of notional that a long pays per hour, as the side of a position of `size` meets it.

    The paying side's total is what the other receives, so each one's rate is by its own open interest. Borrowing is
    added to the side's own. For a flat account it is what the larger side pays or receives, without borrowing.
    """
    funding = info["nextFunding"]
    sign = 1 if funding["longsPayShorts"] else -1
    rate, larger = usd(funding["fundingFactorPerSecond"]), max(terms.interest)
    if size == 0:
        return (sign * rate * 3600).quantize(RATE_STEP)
    interest = terms.interest[0] if size > 0 else terms.interest[1]
    own = rate * larger / interest if interest else ZERO
    borrowing = info[f"borrowingFactorPerSecondFor{'Longs' if size > 0 else 'Shorts'}"]
    paid_by_long = sign * own + (usd(borrowing) if size > 0 else -usd(borrowing))
    return (paid_by_long * 3600).quantize(RATE_STEP)
