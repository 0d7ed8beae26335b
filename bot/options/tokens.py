"""What several sources share: tokens that follow the underlying, their decimals, and rounds of named calls."""

from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal, Inexact
from typing import Any, Literal, TypeVar

from bot.chain.contracts import contract
from bot.core.units import EXACT, from_raw
from bot.errors import DataError
from bot.ports import Balance, Call

K = TypeVar("K", bound=Hashable)

RATE_DECIMALS = 18
MOST_DECIMALS = 36
"""No token has more; an answer above it is no number of decimals."""
FARTHEST_RATE = 10
"""A token that is worth more underlying than this, or less than its inverse, has a rate of another scale."""

RateFunction = Literal["getRate", "stEthPerToken"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A contract that says how much underlying one token is, with 18 decimals, and the function that says it."""

    address: str
    function: RateFunction

    def call(self) -> Call:
        """The read for a reader to yield."""
        return contract("rate_provider", self.address).call(self.function)


@dataclass(frozen=True, slots=True)
class Follower:
    """A token that follows the underlying: one of it is `follows` units, a fixed factor or what a contract says."""

    name: str
    token: str
    follows: Decimal | Rate


def ask(calls: Mapping[K, Call | Balance]) -> Generator[list[Call | Balance], list[Any], dict[K, Any]]:
    """One round of calls, answered under the names that they were asked by. No round where there is none."""
    if not calls:
        return {}
    answers = yield list(calls.values())
    return dict(zip(calls, answers, strict=True))


def checked_decimals(where: str, decimals: int, least: int = 0, most: int = MOST_DECIMALS) -> int:
    """`decimals` as a token says them. DataError, which begins with `where`, for what a token can't have."""
    if not least <= decimals <= most:
        raise DataError(f"{where} says that it has {decimals} decimals, from {least} to {most} are plausible")
    return decimals


def factor_of(source: str, follower: Follower, raw_rate: int | None) -> Decimal:
    """Units of the underlying that one token is. DataError where its contract's rate is of another scale."""
    if isinstance(follower.follows, Decimal):
        return follower.follows
    if raw_rate is None:
        raise DataError(f"{source}: the rate of {follower.name} was not read")
    rate = from_raw(raw_rate, RATE_DECIMALS)
    if not Decimal(1) / FARTHEST_RATE <= rate <= FARTHEST_RATE:
        raise DataError(
            f"{source}: {follower.follows.function} of {follower.name} says that one is {rate:f} of the underlying, "
            f"which is farther from one than {FARTHEST_RATE} times: a rate of another scale"
        )
    return rate


def in_underlying(where: str, raw: int, decimals: int, factor: Decimal) -> Decimal:
    """An amount of a token in units of the underlying, exactly. DataError begins with `where`."""
    try:
        return EXACT.multiply(from_raw(raw, decimals), factor)
    except Inexact:
        raise DataError(f"{where} has an amount of {raw}, which has too many digits for a balance") from None
