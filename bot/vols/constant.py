"""One vol that the operator names, for every option."""

from bot.pricing.surface import Surface, flat_surface


class ConstantVol:
    """The annual `vol` (0.8 = 80 %), always of now. PricingError where it is not above zero, or above 500 %."""

    def __init__(self, vol: float, name: str = "constant") -> None:
        self.name = name
        self._vol = vol
        self.read(0)  # a vol that makes no sense is refused at the start, not at the first tick

    def read(self, now: int) -> Surface:
        """A flat surface of Unix time `now`."""
        return flat_surface(self._vol, now, self.name)
