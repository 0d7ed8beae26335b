"""Runs the faults, then kills at chosen and at random moments, and sums up."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import VaultkeelError
from bot.localnet.rehearsal.faults import named
from bot.localnet.rehearsal.kills import kill_faults
from bot.localnet.rehearsal.stage import Fault, Missed, Stage, open_stage
from bot.localnet.rehearsal.verdict import Verdict, judge
from bot.localnet.rehearsal.worker import Patch


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faults (`only` names, all for none), how many kills after them, by which seed, and where the ledgers go."""

    kills: int
    seed: int
    out: Path
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One fault's verdict."""

    fault: Fault
    verdict: Verdict

    @property
    def sentences(self) -> tuple[str, ...]:
        """What went wrong."""
        return (*self.verdict.doubled, *self.verdict.lost, *self.verdict.broken)


@dataclass(frozen=True, slots=True)
class Summary:
    """All results. `kills` are those of the kills at places that the seed picked, of which each may have several."""

    faults: tuple[Result, ...]
    kills: tuple[Result, ...]

    @property
    def failed(self) -> tuple[Result, ...]:
        """Those that went wrong."""
        return tuple(result for result in (*self.faults, *self.kills) if not result.verdict.passed)

    def as_json(self) -> dict[str, Any]:
        """For machines. `faults` and `passed` count the named faults, the other figures the kills too."""
        everything = (*self.faults, *self.kills)
        return {
            "faults": len(self.faults),
            "passed": sum(1 for result in self.faults if result.verdict.passed),
            "failed": len(self.failed),
            "doubled": sum(1 for result in everything if result.verdict.doubled),
            "lost": sum(1 for result in everything if result.verdict.lost),
            "kills": sum(result.fault.kills for result in self.kills),
            "failures": [
                {"name": r.fault.name, "promise": r.fault.promise, "why": list(r.sentences)}
                for r in self.failed
            ],
        }

    def text(self) -> str:
        """For people."""
        found = self.as_json()
        return (
            f"{found['passed']} of {found['faults']} faults passed, {found['kills']} kills: "
            f"{found['doubled']} doubled, {found['lost']} lost, {found['failed']} failed"
        )


def rehearse(plan: Plan, progress: Callable[[str], None], *, patch: Patch | None = None) -> Summary:
    """Runs the plan. Everything started here has ended when it returns. `patch` breaks the bot on purpose."""
    progress("Opening the stage")
    faults = named(plan.only)
    with open_stage(plan.out, plan.seed, progress, patch=patch) as stage:
        results = run_all(stage, faults, progress)
        kills = run_all(stage, kill_faults(plan.kills, plan.seed), progress)
    return Summary(results, kills)


def run_all(stage: Stage, faults: tuple[Fault, ...], progress: Callable[[str], None]) -> tuple[Result, ...]:
    """Each fault on a fresh chain with a fresh ledger, in order."""
    results = []
    for number, fault in enumerate(faults, 1):
        result = run_fault(stage, fault)
        said = "passed" if result.verdict.passed else "FAILED: " + "; ".join(result.sentences)
        progress(f"{number:3}/{len(faults)}  promise {fault.promise:2}  {fault.name:44} {said}")
        results.append(result)
    return tuple(results)


def run_fault(stage: Stage, fault: Fault) -> Result:
    """One fault and its verdict."""
    missed: tuple[str, ...] = ()
    try:
        stage.begin(fault.name)
        fault.run(stage)
    except (Missed, VaultkeelError) as error:
        missed = (f"{type(error).__name__}: {error}",)
    stage.end_bots()
    if missed:
        stage.land()
    found = judge(stage)
    return Result(fault, Verdict(found.doubled, found.lost, (*missed, *found.broken)))
