"""How Derive names an option: one number, its subId, and the instrument that it stands for.

Bits 0–31 are the expiry in Unix seconds, 32–94 the strike with 8 decimals, 95 is set for a call.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from bot.core.units import from_raw, to_raw

STRIKE_DECIMALS = 8
EXPIRY_BITS = 32
STRIKE_BITS = 63
CALL_BIT = EXPIRY_BITS + STRIKE_BITS


@dataclass(frozen=True, slots=True, order=True)
class OptionId:
    """One option: `expiry` in Unix seconds, `strike` in USD."""

    expiry: int
    strike: Decimal
    is_call: bool

    @property
    def instrument(self) -> str:
        """Its name, as 31DEC26-3000-C."""
        when = datetime.fromtimestamp(self.expiry, UTC)
        return f"{when:%d%b%y}-{self.strike.normalize():f}-{'C' if self.is_call else 'P'}".upper()


def decode_sub_id(sub_id: int) -> OptionId:
    """The option behind a subId. ValueError where it has more bits than one, or no strike or expiry."""
    if not 0 <= sub_id < 1 << (CALL_BIT + 1):
        raise ValueError(f"{sub_id} is no option's subId, which has {CALL_BIT + 1} bits")
    expiry = sub_id & ((1 << EXPIRY_BITS) - 1)
    strike = (sub_id >> EXPIRY_BITS) & ((1 << STRIKE_BITS) - 1)
    if not expiry or not strike:
        raise ValueError(f"{sub_id} is no option's subId: its {'strike' if expiry else 'expiry'} is 0")
    return OptionId(expiry, from_raw(strike, STRIKE_DECIMALS), bool(sub_id >> CALL_BIT))


def encode_sub_id(option: OptionId) -> int:
    """An option's subId. ValueError where its strike has more than 8 decimals, or a field doesn't fit."""
    strike = to_raw(option.strike, STRIKE_DECIMALS)
    if not 0 < strike < 1 << STRIKE_BITS or not 0 < option.expiry < 1 << EXPIRY_BITS:
        raise ValueError(f"{option.instrument}: no subId can say that")
    return option.is_call << CALL_BIT | strike << EXPIRY_BITS | option.expiry
