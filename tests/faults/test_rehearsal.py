"""The rehearsal of faults: a part of it always, all of it with --long, and proofs that it notices what is wrong."""

import json
import re
from pathlib import Path

import pytest
from broken import buries_when_in_doubt, forgets_fills, sends_before_it_writes, signs_anew_when_in_doubt

from bot.errors import ConfigError
from bot.localnet.rehearsal import Plan, Summary, rehearse
from bot.localnet.rehearsal.faults import FAULTS, named
from bot.localnet.rehearsal.kills import kill_faults
from bot.localnet.rehearsal.worker import Patch

PROMISES = range(1, 14)
SUBSET = (
    "kill-before-attempt-commit",
    "kill-after-send",
    "send-connection-closed",
    "foreign-takes-our-nonce",
    "gas-gets-dear",
    "older-attempt-wins",
    "reorg",
    "dropped-transaction",
    "expired-order",
    "old-ledger",
    "node-goes-back",
    "halt-in-flight",
    "index-times-a-million",
    "source-reverts",
    "stopped-before-signing",
    "liquidation",
)


def rehearsed(folder: Path, names: tuple[str, ...], kills: int = 0, patch: Patch | None = None) -> Summary:
    return rehearse(Plan(kills, 7, folder, names), lambda _: None, patch=patch)


def test_a_fault_of_each_kind_and_some_kills_neither_lose_nor_double_an_order(tmp_path: Path) -> None:
    found = rehearsed(tmp_path, SUBSET, kills=6).as_json()
    assert found["failures"] == []
    assert (found["doubled"], found["lost"], found["kills"]) == (0, 0, 6)
    assert found["faults"] == found["passed"] >= len(SUBSET)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [7, 8])
def test_every_fault_and_200_kills_neither_lose_nor_double_an_order(tmp_path: Path, seed: int) -> None:
    found = rehearse(Plan(200, seed, tmp_path), lambda _: None).as_json()
    assert found["failures"] == []
    assert found["faults"] == found["passed"] == len(FAULTS)


def test_every_promise_is_proved_by_a_fault() -> None:
    assert {fault.promise for fault in FAULTS} == set(PROMISES)
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)


def test_a_fault_that_is_not_there_is_refused_with_the_names_of_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"there is no fault nonsense.*kill-after-send"):
        named(("nonsense",))


def test_so_many_kills_are_planned_as_were_asked_for_and_the_same_by_the_same_seed() -> None:
    plan = kill_faults(50, 3)
    assert sum(fault.kills for fault in plan) == 50
    assert [fault.name for fault in plan] == [fault.name for fault in kill_faults(50, 3)]
    assert [fault.name for fault in plan] != [fault.name for fault in kill_faults(50, 4)]


@pytest.mark.parametrize(
    ("patch", "fault", "verdict"),
    [
        (signs_anew_when_in_doubt, "send-bad-json", "doubled"),
        (buries_when_in_doubt, "send-bad-json", "lost"),
        (forgets_fills, "two-bots", "lost"),
        (sends_before_it_writes, "lock-freed-by-kill", "left before it was in the ledger"),
    ],
)
def test_a_bot_that_is_broken_on_purpose_does_not_pass(
    tmp_path: Path, patch: Patch, fault: str, verdict: str
) -> None:
    found = rehearsed(tmp_path, (fault,), patch=patch).as_json()
    assert found["failed"] == 1
    assert found.get(verdict) == 1 or verdict in json.dumps(found["failures"])


def test_the_documentation_names_every_fault_beside_its_promise() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
    promises = {
        int(cells[1]): set(re.findall(r"`([^`]+)`", cells[3]))
        for cells in (line.split("|") for line in page.splitlines())
        if len(cells) == 5 and cells[1].strip().isdigit()
    }
    faults = named(())
    assert set(promises) == set(range(1, 14))
    assert {n: {f.name for f in faults if f.promise == n} for n in promises} == promises
