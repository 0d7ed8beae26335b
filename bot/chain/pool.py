"""A chain's read providers: who is asked, who has failed lately, who is set aside and why.

Failing and lagging are different. A provider that fails is asked last for a while, and still counts for the quorum
when it answers. A provider whose height goes back or that lags says things that were true once, which looks like an
answer and isn't one: it is set aside, and counts for nothing until it is tried again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bot.chain.provider import Provider
from bot.core.model import BlockRef
from bot.errors import DataError, TransientError

log = structlog.get_logger("vaultkeel.chain")

T = TypeVar("T")
Failure = TransientError | DataError


@dataclass(frozen=True, slots=True)
class ProviderRules:
    """How far providers are trusted.

    `quorum` providers must agree on what a trade rests on. One that lags by more than `max_lag_blocks`, or whose
    height goes back, is set aside for `set_aside_s` seconds. `read_tries` bounds how often a read is asked in all.
    Events are asked for at most `max_log_blocks` at once. `drift_blocks` above 0 is for nodes without history: rounds
    read their latest state, at most so many blocks after the pinned one. On a chain with `parent_numbers` contracts
    see the block number of the chain below it.
    """

    quorum: int = 1
    max_lag_blocks: int = 5
    set_aside_s: float = 30.0
    read_tries: int = 3
    max_log_blocks: int = 5_000
    drift_blocks: int = 0
    parent_numbers: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """A provider as it was last seen: its height (None before its first answer), and why it is set aside if it is.

    One that is `failing` gave no answer lately, and is asked last for a while.
    """

    name: str
    height: int | None
    set_aside_why: str | None
    failing: bool = False


@dataclass(slots=True)
class _Standing:
    provider: Provider
    height: int | None = None
    vetted: bool = False  # its chain id is the one that the quorum agreed on
    set_aside_why: str | None = None
    back_at: float = 0.0
    rests_until: float = 0.0


class Pool:
    """Asks providers in the configured order, those that failed lately last and those set aside never."""

    def __init__(
        self,
        chain: str,
        providers: Sequence[Provider],
        rules: ProviderRules,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.quorum = rules.quorum
        self.size = len(providers)
        self.chain_id: int | None = None
        self._chain = chain
        self._rules = rules
        self._now = now
        self._standings = [_Standing(provider) for provider in providers]

    def first(self, ask: Callable[[Provider], T]) -> T:
        """The first answer. TransientError where every provider failed, DataError where all of them said no."""
        failures: list[Failure] = []
        for _, answer in self.each(ask):
            if not isinstance(answer, TransientError | DataError):
                return answer
            failures.append(answer)
        raise self._no_answer(failures)

    def several(self, ask: Callable[[Provider], T], *, everyone: bool = False) -> list[tuple[Provider, T]]:
        """As many answers as the quorum has providers; never fewer: that is a TransientError.

        With `everyone` the others are asked too, unless they failed lately: a slow one must not hold up a tick.
        """
        answers: list[tuple[Provider, T]] = []
        failures: list[Failure] = []
        at_least = sum(s.rests_until <= self._now() for s in self._healthy()) if everyone else 0
        for asked, (provider, answer) in enumerate(self.each(ask, vetted=not everyone), start=1):
            if isinstance(answer, TransientError | DataError):
                failures.append(answer)
            else:
                answers.append((provider, answer))
            if len(answers) >= self.quorum and asked >= at_least:
                return answers
        raise self.no_quorum(failures)

    def each(
        self, ask: Callable[[Provider], T], *, vetted: bool = True
    ) -> Iterator[tuple[Provider, T | Failure]]:
        """What each healthy provider answers, or how it failed, asked as the caller goes on.

        With `vetted` a provider that may be on another chain is passed over, once the chain's id is known.
        """
        for standing in self._healthy():
            if vetted and self.needs_vetting(standing.provider):
                continue
            try:
                answer: T | Failure = ask(standing.provider)
                standing.rests_until = 0.0
            except DataError as error:
                answer = error
            except TransientError as error:
                standing.rests_until = self._now() + self._rules.set_aside_s
                answer = error
            yield standing.provider, answer

    def needs_vetting(self, provider: Provider) -> bool:
        """Whether its chain id is not known to be the quorum's."""
        return self.chain_id is not None and not self._of(provider).vetted

    def found_chain(self, chain_id: int, providers: Sequence[Provider]) -> None:
        """Remembers the chain id that these agree on. Any other has to show it before it is asked anything else."""
        self.chain_id = chain_id
        for provider in providers:
            self._of(provider).vetted = True

    def vet(self, provider: Provider, chain_id: int) -> None:
        """Compares its chain id with the others'. TransientError, and it is set aside, where it's another."""
        if chain_id != self.chain_id:
            why = f"it is on chain {chain_id}, the others on {self.chain_id}"
            raise TransientError(self._set_aside(provider, why))
        self._of(provider).vetted = True

    def abreast(self, heads: Sequence[tuple[Provider, BlockRef]]) -> list[tuple[Provider, BlockRef]]:
        """A quorum of heads, without those that go back or lag, which are set aside.

        TransientError where fewer are left than the quorum needs.
        """
        failures: list[Failure] = []
        kept: list[tuple[Provider, BlockRef]] = []
        for provider, head in heads:
            standing = self._of(provider)
            before, standing.height = standing.height, head.number
            if before is not None and head.number < before:
                why = f"its height went back from {before} to {head.number}"
                failures.append(TransientError(self._set_aside(provider, why)))
            else:
                kept.append((provider, head))
        # The heights of those that were not asked now are old, but a chain was there once: they count for the best.
        best = max(
            (s.height for s in self._standings if s.height is not None and not s.set_aside_why), default=0
        )
        for provider, head in tuple(kept):
            if best - head.number > self._rules.max_lag_blocks:
                kept.remove((provider, head))
                why = f"its height {head.number} lags {best - head.number} blocks behind"
                failures.append(TransientError(self._set_aside(provider, why)))
        if len(kept) < self.quorum:
            raise self.no_quorum(failures)
        return kept[: self.quorum]

    def no_quorum(self, failures: Sequence[Failure]) -> Failure:
        """The error that says why too few providers are left to agree."""
        if self.quorum == 1:
            return self._no_answer(failures)
        reasons = "; ".join(self._reasons(failures))
        return TransientError(
            f"{self._chain}: the quorum of {self.quorum} providers can't be reached: {reasons}"
        )

    def health(self) -> tuple[Health, ...]:
        """Every provider as it was last seen, in the configured order."""
        self._healthy()
        now = self._now()
        return tuple(
            Health(s.provider.name, s.height, s.set_aside_why, s.rests_until > now) for s in self._standings
        )

    def _healthy(self) -> list[_Standing]:
        now = self._now()
        for standing in self._standings:
            if standing.set_aside_why is not None and now >= standing.back_at:
                standing.set_aside_why = standing.height = None  # it is tried again as if it were new
        healthy = [s for s in self._standings if s.set_aside_why is None]
        return sorted(healthy, key=lambda s: s.rests_until > now)

    def _of(self, provider: Provider) -> _Standing:
        return next(s for s in self._standings if s.provider is provider)

    def _set_aside(self, provider: Provider, why: str) -> str:
        standing = self._of(provider)
        standing.set_aside_why, standing.back_at = why, self._now() + self._rules.set_aside_s
        log.warning("provider set aside", provider=provider.name, why=why, for_s=self._rules.set_aside_s)
        return f"{provider.name} is set aside: {why}"

    def _no_answer(self, failures: Sequence[Failure]) -> Failure:
        if self.size == 1 and failures:
            return failures[0]
        refused = bool(failures) and all(isinstance(failure, DataError) for failure in failures)
        kind = DataError if refused else TransientError
        return kind(f"{self._chain}: no provider answered: {'; '.join(self._reasons(failures))}")

    def _reasons(self, failures: Sequence[Failure]) -> list[str]:
        reasons = [str(failure) for failure in failures]
        for standing in self._standings:
            name, why = standing.provider.name, standing.set_aside_why
            if why is not None:
                reasons.append(f"{name} is set aside: {why}")
            elif self.needs_vetting(standing.provider):
                reasons.append(f"{name} has not told its chain id yet")
        return list(dict.fromkeys(reasons))
