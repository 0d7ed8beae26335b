"""Positions that the operator declares in a file beside the configuration: trades over the counter, holdings elsewhere.

Nobody can check them against a chain, so their source, each option and each holding is marked "(declared)" wherever
it is shown, and what was declared too long ago is refused. The file is read at every tick, whole and at once.
"""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from bot.chain.contracts import contract
from bot.core.model import Holding, OptionPosition, SourceState
from bot.core.units import EXACT
from bot.errors import DataError
from bot.options.declared_file import Declaration, DeclaredOption, read_declaration
from bot.ports import Reader

MARK = " (declared)"
CLOCK_GAP_S = 300
"""How far the operator's clock may be ahead of the chain's."""
EARLIEST_S, LATEST_S = 1_500_000_000, 4_102_444_800

WhenExpired = Literal["refuse", "drop"]


class DeclaredSource:
    """Reads the file at `path`. Its age and the options' expiries are held against the pinned block's time."""

    def __init__(
        self,
        name: str,
        chain: str,
        path: Path,
        underlying: str,
        max_age_s: int,
        multicall: str,
        when_expired: WhenExpired = "refuse",
    ) -> None:
        self.name = name + MARK
        self.chain = chain
        self._path = path
        self._underlying = underlying
        self._max_age_s = max_age_s
        self._multicall = contract("multicall3", multicall)
        self._when_expired = when_expired

    def contracts(self) -> dict[str, str]:
        """None: it is a file."""
        return {}

    def watch(self) -> Reader[Decimal | None]:
        """It has no price of its own, and asks nothing."""
        yield from ()
        return None

    def read(self) -> Reader[SourceState]:
        """The file's positions. DataError where the file is wrong, too old, or declares what has expired."""
        (now,) = yield [self._multicall.call("getCurrentBlockTimestamp")]
        declared = read_declaration(self.name, self._path)
        where = f"{self.name}: {self._path.name}"
        if declared.underlying != self._underlying:
            raise DataError(
                f"{where} is about {declared.underlying}, the book's file is to be of {self._underlying}"
            )
        age = now - declared.as_of
        if age > self._max_age_s:
            raise DataError(
                f"{where} was declared {age} s ago, the limit is {self._max_age_s} s: renew its as_of"
            )
        if age < -CLOCK_GAP_S:
            raise DataError(f"{where} has an as_of that is {-age} s ahead of the chain's time")
        live = [option for option in declared.options if self._is_live(option, now)]
        return SourceState(
            name=self.name,
            positions=self._net(live),
            holdings=self._holdings(declared),
            settled=len(declared.options) - len(live),
        )

    def _is_live(self, option: DeclaredOption, now: int) -> bool:
        """Whether an option still counts. What an expired one left behind only the operator knows."""
        if not EARLIEST_S <= option.expiry <= LATEST_S:
            raise DataError(f"{option.place}: expiry {option.expiry} is no Unix second of this century")
        if option.expiry > now:
            return True
        if self._when_expired == "refuse":
            raise DataError(
                f"{option.place}: {instrument(option)} has expired: take it out, and declare what it left as a holding"
            )
        return False

    def _net(self, options: list[DeclaredOption]) -> tuple[OptionPosition, ...]:
        """One position per option: several trades in the same one add up."""
        sizes: dict[tuple[int, Decimal, bool], Decimal] = defaultdict(Decimal)
        named: dict[tuple[int, Decimal, bool], str] = {}
        for option in options:
            key = (option.expiry, option.strike, option.is_call)
            sizes[key] = EXACT.add(sizes[key], option.size)
            named[key] = instrument(option)
        return tuple(
            OptionPosition(self.name, named[key] + MARK, key[2], key[1], key[0], size, vol=None)
            for key, size in sorted(sizes.items())
            if size
        )

    def _holdings(self, declared: Declaration) -> tuple[Holding, ...]:
        return tuple(
            Holding(self.name, holding.asset + MARK, holding.size, is_spot=holding.is_spot)
            for holding in declared.holdings
        )


def instrument(option: DeclaredOption) -> str:
    """As people write it, such as 27NOV26-2000-C."""
    when = datetime.fromtimestamp(option.expiry, UTC)
    return f"{when:%d%b%y}-{option.strike.normalize():f}-{'C' if option.is_call else 'P'}".upper()
