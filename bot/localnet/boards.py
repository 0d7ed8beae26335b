"""Option boards: one expiry each, with strikes around the spot that the protocol will trade."""

import math
from decimal import Decimal
from typing import Final

from bot.localnet.lyra_parameters import DAY, HOUR, wei
from bot.localnet.world import World

FIRST_EXPIRIES_S: Final = (30 * HOUR, 7 * DAY, 28 * DAY)
NEXT_EXPIRY_S: Final = 7 * DAY
YEAR_S: Final = 365 * DAY

# Distances of the strikes from the spot, in standard deviations until expiry. The protocol trades no option
# whose delta is beyond 0.15 or 0.85, about one standard deviation away.
_FEW_STRIKES: Final = (-0.7, 0.0, 0.7)
_STRIKES: Final = (-0.75, -0.25, 0.25, 0.75)
_SMILE: Final = 0.05


def create_board(world: World, spot: Decimal, expires_in_s: int) -> int:
    """Lists a board that expires so many seconds after the latest block, and returns its id. Spot in USD."""
    base_iv = _base_iv(expires_in_s)
    deviation = base_iv * math.sqrt(expires_in_s / YEAR_S)
    strikes = _strikes(float(spot), deviation, _FEW_STRIKES if expires_in_s < 3 * DAY else _STRIKES)
    market = world.lyra_contract("option_market")
    receipt = market.send(
        "createOptionBoard",
        world.node.timestamp() + expires_in_s,
        wei(str(base_iv)),
        [wei(strike) for strike in strikes],
        [wei(str(skew)) for skew in strikes.values()],
        False,
        sender=world.accounts.owner,
    )
    return int(market.interface.events("BoardCreated", receipt)[0]["boardId"])


def _base_iv(expires_in_s: int) -> float:
    """Volatility per year: the nearer, the higher."""
    return 0.88 if expires_in_s < 3 * DAY else 0.84 if expires_in_s < 14 * DAY else 0.80


def _strikes(spot: float, deviation: float, distances: tuple[float, ...]) -> dict[int, float]:
    """Round strikes in USD, each with its skew."""
    step = 50 if spot * deviation < 150 else 100
    strikes = {}
    for distance in distances:
        strike = round(spot * math.exp(distance * deviation) / step) * step
        strikes[strike] = round(1 + _SMILE * abs(distance), 4)
    return strikes
