"""A real local chain for tests: started once, put back after each test."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hyperliquid_rig import HyperRig, MakeHyper, Site, hyper_rig, hyper_site

from bot.localnet.opening import open_markets
from bot.localnet.world import World, start_world


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    """A world whose option pool leaves its whole delta to a hedger, with open markets and no positions."""
    with start_world(short_only=True) as started:
        open_markets(started)
        yield started


@pytest.fixture
def fresh(world: World) -> Iterator[World]:
    """The same world, which goes back to how it was after the test."""
    snapshot = world.node.snapshot()
    yield world
    world.node.revert(snapshot)


@pytest.fixture(scope="session")
def hyperevm() -> Iterator[Site]:
    """A chain with HyperEVM's id and the vaults of a writer, without HyperCore."""
    with hyper_site() as made:
        yield made


@pytest.fixture
def hyper(hyperevm: Site, tmp_path: Path) -> Iterator[MakeHyper]:
    """Makes a test's one rig, which is gone after it."""
    with ExitStack() as stack:

        def made(*, info: bool, **how: Any) -> HyperRig:
            return stack.enter_context(hyper_rig(hyperevm, tmp_path, info=info, **how))

        yield made
