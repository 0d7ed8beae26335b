"""What an order of a given size costs now, from the cost curve and the fees that the snapshot brought."""

import itertools
from dataclasses import dataclass
from decimal import Decimal

from bot.core.model import CostPoint, Snapshot
from bot.core.units import WEI_PER_NATIVE


@dataclass(frozen=True, slots=True)
class Costs:
    """The venue's and the chain's costs at one moment. Prices in USD per unit, `fee_ratio` a fraction of notional."""

    mark: Decimal
    fee_ratio: Decimal
    curve: tuple[CostPoint, ...]
    gas_usd: Decimal
    lot: Decimal

    def average_price(self, size: Decimal) -> Decimal:
        """The average price before fees for a signed `size`, linear between the curve's points.

        Raises ValueError beyond the curve's last point: a cost that was not quoted is not guessed.
        """
        side = [p for p in self.curve if (p.size > 0) == (size > 0)]
        points = [CostPoint(Decimal(0), self.mark), *sorted(side, key=lambda p: abs(p.size))]
        if abs(size) > abs(points[-1].size):
            raise ValueError(f"size {size} is beyond the quoted {points[-1].size}")
        for near, far in itertools.pairwise(points):
            if abs(size) <= abs(far.size):
                share = (size - near.size) / (far.size - near.size)
                return near.price + share * (far.price - near.price)
        return self.mark

    def fee_usd(self, size: Decimal) -> Decimal:
        """The venue's fee for `size`, in USD."""
        return abs(size) * self.average_price(size) * self.fee_ratio

    def impact_usd(self, size: Decimal) -> Decimal:
        """The cost of moving the venue's price, against the mark, in USD."""
        return (self.average_price(size) - self.mark) * size

    def itemise(self, size: Decimal) -> dict[str, str]:
        """The cost of an order of `size`, part by part, as text for the decision's arithmetic."""
        try:
            price = self.average_price(size)
        except ValueError:
            return {"cost": "not quoted at this size; the order is cut to the venue's limit"}
        return {
            "average_price": f"{price:.6f}",
            "fee_usd": f"{self.fee_usd(size):.4f}",
            "impact_usd": f"{self.impact_usd(size):.4f}",
            "gas_usd": f"{self.gas_usd:.4f}",
        }


def costs_of(snapshot: Snapshot) -> Costs:
    """The costs that a snapshot brought."""
    venue = snapshot.venue
    gas_native = Decimal(venue.order_gas) * Decimal(snapshot.gas_price_wei) / WEI_PER_NATIVE
    return Costs(venue.mark, venue.fee_ratio, venue.curve, gas_native * snapshot.native_usd, venue.lot)
