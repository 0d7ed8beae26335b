"""What Derive's contracts are asked about a book's options, and what an answer is worth.

A feed answers a value and a confidence between 0 and 1, both with 18 decimals, and reverts once its last update is
older than its heartbeat; the forward and vol feeds revert for an expiry that they don't know, too.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

from bot.chain.contracts import Contract, contract
from bot.core.units import from_raw, to_raw_down
from bot.options.derive_ids import OptionId
from bot.ports import Call, Reverted

DECIMALS = 18
BUMP = Decimal("1.01")
"""The smile's slope at a strike is taken between the strike × this and the strike ÷ this."""

FARTHEST_FORWARD = Decimal("0.5")
"""A forward farther from the spot than this fraction is a mistake, or another underlying's."""

Question = tuple[str, int, int]
"""What is asked (the feed's field, or "settled"), of which expiry, and at which raw strike (0 where there is none)."""


@dataclass(frozen=True, slots=True)
class DeriveAddresses:
    """The contracts of one underlying's market. Those that are None are not asked, or not held."""

    sub_accounts: str
    option_asset: str
    spot_feed: str
    forward_feed: str
    cash_asset: str
    vol_feed: str | None = None
    rate_feed: str | None = None
    perp_asset: str | None = None
    base_asset: str | None = None

    def given(self) -> dict[str, str]:
        """Every address that is there, by field."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: address for name, address in named.items() if address is not None}


@dataclass(frozen=True, slots=True)
class Told:
    """A feed's value, or None and the sentence why there is none that can be used."""

    value: Decimal | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What the feeds say of one option, annual vols and rate as fractions; `unread` is why a figure is missing.

    `carry` is ln(forward ÷ spot), `slope` ∂vol/∂ln(strike), `money_vol` the vol at the spot's strike.
    """

    settled: bool
    carry: float | None = None
    vol: float | None = None
    slope: float = 0.0
    money_vol: float | None = None
    rate: float | None = None
    unread: str = ""


class DeriveMarket:
    """One underlying's feeds."""

    def __init__(self, addresses: DeriveAddresses, min_confidence: Decimal) -> None:
        self._least = min_confidence
        self._feeds: dict[str, Contract] = {
            name: contract("derive_feed", address)
            for name, address in addresses.given().items()
            if name.endswith("_feed")
        }

    def spot_call(self, *, may_fail: bool = False) -> Call:
        """The question for the spot."""
        return self._feeds["spot_feed"].call("getSpot", may_fail=may_fail)

    def told(self, feed: str, answer: Any) -> Told:
        """What an answer of `feed` is worth."""
        if isinstance(answer, Reverted):
            return Told(None, f"{feed} reverted: {answer.reason}")
        value, confidence = (from_raw(part, DECIMALS) for part in answer)
        if confidence < self._least:
            low = f"{confidence.normalize():f}, below {self._least.normalize():f}"
            return Told(None, f"{feed} has a confidence of {low}")
        return Told(value)

    def questions(self, options: Iterable[OptionId], spot: Decimal) -> dict[Question, Call]:
        """Everything to ask about `options`, each thing once however many options need it. `spot` in USD."""
        asked: dict[Question, Call] = {}
        at_spot = to_raw_down(spot, DECIMALS)
        for option in options:
            expiry = option.expiry
            forward = self._feeds["forward_feed"]
            asked["settled", expiry, 0] = forward.call("getSettlementPrice", expiry)
            asked["forward_feed", expiry, 0] = forward.call("getForwardPrice", expiry, may_fail=True)
            if "rate_feed" in self._feeds:
                rate = self._feeds["rate_feed"].call("getInterestRate", expiry, may_fail=True)
                asked["rate_feed", expiry, 0] = rate
            if "vol_feed" in self._feeds:
                for strike in (*bumped(option.strike), at_spot):
                    vol = self._feeds["vol_feed"].call("getVol", strike, expiry, may_fail=True)
                    asked["vol_feed", expiry, strike] = vol
        return asked

    def quote(self, option: OptionId, spot: Decimal, answers: Mapping[Question, Any]) -> Quote:
        """What the `answers` to `questions` say of one option. Unknown stays unknown, with its reason."""
        expiry = option.expiry
        settled, _price = answers["settled", expiry, 0]
        if settled:
            return Quote(settled=True)
        missing: list[str] = []

        def value(feed: str, strike: int = 0) -> Decimal | None:
            told = self.told(feed, answers[feed, expiry, strike])
            if told.why_not and told.why_not not in missing:
                missing.append(told.why_not)
            return told.value

        forward = value("forward_feed")
        if forward is not None and abs(forward / spot - 1) > FARTHEST_FORWARD:
            missing.append(
                f"forward_feed says {forward:f} beside a spot of {spot:f}, which is no forward of it"
            )
            forward = None
        carry = math.log(forward / spot) if forward else None
        rate = value("rate_feed") if "rate_feed" in self._feeds else None
        vol = money = None
        slope = 0.0
        if "vol_feed" in self._feeds:
            low, middle, high = bumped(option.strike)
            vol, below, above = (value("vol_feed", strike) for strike in (middle, low, high))
            money = value("vol_feed", to_raw_down(spot, DECIMALS))
            if below is not None and above is not None:
                slope = float(above - below) / math.log(high / low)
        return Quote(
            settled=False,
            carry=carry,
            vol=None if vol is None else float(vol),
            slope=slope,
            money_vol=None if money is None else float(money),
            rate=None if rate is None else float(rate),
            unread="; ".join(missing),
        )


def bumped(strike: Decimal) -> tuple[int, int, int]:
    """The raw strikes just below, at and just above a strike in USD."""
    return (
        to_raw_down(strike / BUMP, DECIMALS),
        to_raw_down(strike, DECIMALS),
        to_raw_down(strike * BUMP, DECIMALS),
    )
