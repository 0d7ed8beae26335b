"""Any sequence of keepers, prices, delays and restarts: the hedge is never doubled, a cancelled order never counted."""

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from gmx_rig import GmxRig, gmx_rig
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bot.core.risk import LONGEST_WAIT_S
from bot.errors import VaultkeelError
from bot.localnet.gmx.keeper import Act, Script
from bot.localnet.world import START_PRICE, World

MOST_OFF = Decimal("1.2")
"""How far the position may be from its target in the end: the band, and what the price did to an order in USD."""

SCRIPTS = {
    "executes": Script(act=Act.EXECUTE, delay_s=2),
    "is slow": Script(act=Act.EXECUTE, delay_s=40),
    "cancels": Script(act=Act.CANCEL, delay_s=2),
    "leaves": Script(act=Act.LEAVE),
    "reverts": Script(act=Act.EXECUTE, delay_s=2, reverts=2),
    "front-runs a little": Script(act=Act.EXECUTE, delay_s=2, moved=Decimal("0.003")),
    "front-runs too far": Script(act=Act.EXECUTE, delay_s=2, moved=Decimal("-0.03")),
}
MOVES = ("-0.04", "-0.01", "0.01", "0.04")
TARGETS = ("-6", "-2", "0", "3", "6")
WAITS = (1, 5, 40, 310)
step = st.one_of(
    st.just(("tick", "")),
    st.tuples(st.just("keeper"), st.sampled_from(sorted(SCRIPTS))),
    st.tuples(st.just("move"), st.sampled_from(MOVES)),
    st.tuples(st.just("aim"), st.sampled_from(TARGETS)),
    st.tuples(st.just("wait"), st.sampled_from([str(s) for s in WAITS])),
    st.just(("restart", "")),
    st.just(("works", "")),
    st.just(("away", "")),
)


def act(rig: GmxRig, kind: str, what: str) -> None:
    match kind:
        case "keeper":
            rig.keeper.script(SCRIPTS[what])
        case "move":
            price = rig.price * (1 + Decimal(what))
            rig.move(min(max(price, START_PRICE * Decimal("0.8")), START_PRICE * Decimal("1.25")))
        case "aim":
            rig.aim(what)
        case "wait":
            rig.later(int(what))
        case "restart":
            rig.start()
        case "works":
            rig.keeper.work(rig.world.node.timestamp())
        case "away":
            rig.keeper.away = not rig.keeper.away


def looked(rig: GmxRig) -> int | None:
    """One tick, and what its exposure must say. In how many seconds the desk wants to come back."""
    before, waiting = rig.position(), len(rig.keeper.pending())
    try:
        tick = rig.tick()
    except VaultkeelError as error:
        raise AssertionError(f"a tick failed: {error}") from error
    seen = tick.record.snapshot
    assert bool(seen.in_flight) == bool(waiting), "a cancelled order is counted, or a waiting one is not"
    assert rig.position() == before, "a tick can't execute an order"
    assert seen.venue.position.size == before
    rig.check()
    return tick.again_in_s


def run(world: World, steps: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder, gmx_rig(world, Path(folder)) as rig:
        rig.aim("5")
        for kind, what in steps:
            act(rig, kind, what)
            looked(rig)
            assert abs(rig.position()) < 9, "the hedge was doubled"
        rig.later(310)  # what the keeper left lying has expired
        rig.hire()
        calm = 0
        for _ in range(80):
            wait = looked(rig)
            rig.later(wait or LONGEST_WAIT_S)
            rig.keeper.work(rig.world.node.timestamp())
            calm = 0 if wait else calm + 1
            if calm == 2:
                break
        assert abs(rig.position() - rig.target) < MOST_OFF
        rig.check_books()


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=(Phase.generate,),
)
@given(st.lists(step, min_size=6, max_size=16))
def test_the_hedge_is_never_doubled_and_ends_at_its_target(
    world: World, steps: list[tuple[str, str]]
) -> None:
    run(world, steps)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(step, min_size=10, max_size=60))
def test_over_long_sequences_too(world: World, steps: list[tuple[str, str]]) -> None:
    run(world, steps)
