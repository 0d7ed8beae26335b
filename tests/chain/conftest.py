"""A real local chain for tests: started once, put back after each test."""

from collections.abc import Iterator

import pytest

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
