"""The table of faults, by theme."""

from typing import Final

from bot.errors import ConfigError
from bot.localnet.rehearsal import crashes, data, nonces, reorgs, runs, sends
from bot.localnet.rehearsal.stage import Fault
from bot.nearest import did_you_mean

FAULTS: Final[tuple[Fault, ...]] = (
    *crashes.FAULTS,
    *sends.FAULTS,
    *nonces.FAULTS,
    *reorgs.FAULTS,
    *data.FAULTS,
    *runs.FAULTS,
)


def named(names: tuple[str, ...]) -> tuple[Fault, ...]:
    """The faults of these names, or all whose names begin so; all for no name. ConfigError where there is none."""
    if not names:
        return FAULTS
    found: dict[str, Fault] = {}
    for name in names:
        exact = [fault for fault in FAULTS if fault.name == name]
        alike = exact or [fault for fault in FAULTS if fault.name.startswith(name)]
        if not alike:
            known = [fault.name for fault in FAULTS]
            hint = did_you_mean(name, known)
            raise ConfigError(
                f"there is no fault {name}{f'{hint} There' if hint else '; there'} are {', '.join(known)}"
            )
        found |= {fault.name: fault for fault in alike}
    return tuple(found.values())
