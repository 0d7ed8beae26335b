"""What an order of a given size costs now, from the cost curve and the fees that the snapshot brought."""

import itertools
from dataclasses import dataclass
from decimal import Decimal

from bot.core.model import CostPoint, Fill, Intent, Snapshot, VenueState
from bot.core.units import WEI_PER_NATIVE

HOURS_PER_YEAR = 8_760


@dataclass(frozen=True, slots=True)
class Costs:
    """The venue's and the chain's costs at one moment. Prices in USD per unit, `fee_ratio` a fraction of notional.

    `gas_usd` and `keeper_usd` are paid per order whatever its size. `funding_per_year` is what a long pays for carrying
    one unit, in USD per year: it is carry and no part of an order's cost.
    """

    mark: Decimal
    fee_ratio: Decimal
    curve: tuple[CostPoint, ...]
    gas_usd: Decimal
    lot: Decimal
    half_spread: Decimal = Decimal(0)
    keeper_usd: Decimal = Decimal(0)
    funding_per_year: Decimal = Decimal(0)

    @property
    def fixed_usd(self) -> Decimal:
        """What an order costs before its first unit, in USD."""
        return self.gas_usd + self.keeper_usd

    def most_gas_usd(self, cap: Decimal | None) -> Decimal:
        """What an order's gas and its executor may cost in USD, with `cap` on our own gas where there is one.

        The executor pays the price of the second in which it comes: it is taken to be twice today's.
        """
        return self.fixed_usd if cap is None else cap + 2 * self.keeper_usd

    def average_price(self, size: Decimal) -> Decimal:
        """The average price before fees for a signed `size`, linear between the curve's points.

        Raises ValueError beyond the curve's last point: a cost that was not quoted is not guessed.
        """
        points = self._points(size)
        if abs(size) > abs(points[-1].size):
            raise ValueError(f"size {size} is beyond the quoted {points[-1].size}")
        for near, far in itertools.pairwise(points):
            if abs(size) <= abs(far.size):
                share = (size - near.size) / (far.size - near.size)
                return near.price + share * (far.price - near.price)
        return points[0].price

    def reach(self, side: int, price: Decimal) -> Decimal | None:
        """The largest size (≥ 0) of a side (1 buys, −1 sells) whose average price is no worse than `price`.

        None where all that is quoted on that side is within it.
        """
        points = self._points(Decimal(side))
        if side * points[0].price > side * price:
            return Decimal(0)
        for near, far in itertools.pairwise(points):
            if side * far.price > side * price:
                share = (price - near.price) / (far.price - near.price)
                return abs(near.size + share * (far.size - near.size))
        return None

    def quoted(self, size: Decimal) -> Decimal:
        """`size`, or the largest size quoted on its side where that is smaller."""
        largest = self._points(size)[-1].size
        return size if abs(size) <= abs(largest) else largest

    def fee_usd(self, size: Decimal) -> Decimal:
        """The venue's fee for `size`, in USD."""
        return abs(size) * self.average_price(size) * self.fee_ratio

    def spread_usd(self, size: Decimal) -> Decimal:
        """The half spread that `size` pays, in USD."""
        return abs(size) * self.half_spread

    def impact_usd(self, size: Decimal) -> Decimal:
        """The cost of moving the venue's price, beyond the half spread, in USD."""
        return (self.average_price(size) - self.mark) * size - self.spread_usd(size)

    def proportional_usd(self, size: Decimal) -> Decimal:
        """Fee, half spread and impact of `size`, in USD: what an order costs beside `fixed_usd`."""
        return self.fee_usd(size) + self.spread_usd(size) + self.impact_usd(size)

    def ratio(self, size: Decimal) -> Decimal:
        """λ of hedging theory: `proportional_usd` as a fraction of the notional at the mark.

        At a size beyond the quoted ones it is that of the largest quoted one, for an order is cut to it.
        """
        at = self.quoted(size)
        if at == 0:
            return self.fee_ratio + self.half_spread / self.mark
        return self.proportional_usd(at) / (abs(at) * self.mark)

    def itemise(self, size: Decimal) -> dict[str, str]:
        """The cost of an order of `size`, part by part, as text for the decision's arithmetic."""
        try:
            price = self.average_price(size)
        except ValueError:
            return {"cost": "not quoted at this size; the order is cut to the venue's limit"}
        return {
            "average_price": f"{price:.6f}",
            "fee_usd": f"{self.fee_usd(size):.4f}",
            "spread_usd": f"{self.spread_usd(size):.4f}",
            "impact_usd": f"{self.impact_usd(size):.4f}",
            "gas_usd": f"{self.gas_usd:.4f}",
            "keeper_usd": f"{self.keeper_usd:.4f}",
            "cost_usd": f"{self.proportional_usd(size) + self.fixed_usd:.4f}",
        }

    def _points(self, size: Decimal) -> list[CostPoint]:
        """The quoted points of the side of `size`, nearest first, from the best price on."""
        buys = size > 0
        best = self.mark + (self.half_spread if buys else -self.half_spread)
        side = [p for p in self.curve if (p.size > 0) == buys]
        return [CostPoint(Decimal(0), best), *sorted(side, key=lambda p: abs(p.size))]


def costs_of(snapshot: Snapshot) -> Costs:
    """The costs that a snapshot brought."""
    venue = snapshot.venue
    gas_native = Decimal(venue.order_gas) * Decimal(snapshot.gas_price_wei) / WEI_PER_NATIVE
    keeper_native = Decimal(venue.keeper_gas) * Decimal(snapshot.gas_price_wei) / WEI_PER_NATIVE
    return Costs(
        mark=venue.mark,
        fee_ratio=venue.fee_ratio,
        curve=venue.curve,
        gas_usd=gas_native * snapshot.native_usd,
        lot=venue.lot,
        half_spread=venue.half_spread,
        keeper_usd=keeper_native * snapshot.native_usd,
        funding_per_year=venue.funding_per_hour * HOURS_PER_YEAR * venue.mark,
    )


def quoted_fill(intent: Intent, state: VenueState) -> Fill:
    """The fill that a venue's cost curve promises an order, where its transaction itself promises none."""
    costs = Costs(state.mark, state.fee_ratio, state.curve, Decimal(0), state.lot, state.half_spread)
    price = costs.average_price(intent.size)
    notional = abs(intent.size) * price
    return Fill(
        size=intent.size,
        notional=notional,
        fee_usd=notional * state.fee_ratio,
        impact_usd=(price - intent.reference_price) * intent.size,
        funding_usd=Decimal(0),
    )
