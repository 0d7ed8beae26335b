"""What a check finds, and how a check that fails leaves the others alone."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from bot.errors import ConfigError, DataError, TransientError, VaultkeelError


class State(StrEnum):
    """Whether it is as it should be."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's answer in a sentence, and what to do about it where it isn't a pass."""

    check: str
    state: State
    text: str
    remedy: str = ""


REMEDIES: tuple[tuple[type[VaultkeelError], str], ...] = (
    (ConfigError, "mend what it names in the configuration"),
    (TransientError, "look whether the node answers, try again, or add a provider"),
    (DataError, "look at the contract or source that it names: its address, and whether it is the right one"),
)


def passes(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, State.PASS, text)


def warns(check: str, text: str, remedy: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(check, State.WARN, text, remedy)


def fails(check: str, text: str, remedy: str) -> Finding:
    """It would not work, or not safely."""
    return Finding(check, State.FAIL, text, remedy)


def failed_by(check: str, error: Exception) -> Finding:
    """What an error says about a check."""
    if not isinstance(error, VaultkeelError):
        said = f"a bug: {type(error).__name__}: {error}"
        return fails(check, said, "report it with the version and this line")
    for kind, remedy in REMEDIES:
        if isinstance(error, kind):
            return fails(check, str(error), remedy)
    return fails(check, str(error), "see docs/operating.md for what this error means")


def isolated(check: str, look: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of a check; an error in it is one of them."""
    found: list[Finding] = []
    try:
        found.extend(look())
    except Exception as error:  # noqa: BLE001 - a check that breaks must not hide the others
        found.append(failed_by(check, error))
    return found
