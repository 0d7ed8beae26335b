"""`vaultkeel localnet`: the local world in real time, kept up with a moving market until the operator ends it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from bot.localnet.configuration import world_config, world_deployment, write_deployment, write_files
from bot.localnet.market import Market
from bot.localnet.opening import open_markets
from bot.localnet.world import World, start_world
from bot.simulate.paths import JumpDiffusion

HEARTBEAT_S = 2.0
"""A block at least this often, so that a still chain does not look like a dead one."""
STARTING_TRADES = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """How the local chain is to be served. `move_every_s` 0 leaves the market still."""

    port: int | None
    out: Path
    move_every_s: float
    seed: int
    short_only: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """A chain that is up: where it answers, and the configuration for the other commands."""

    url: str
    chain_id: int
    config: Path
    accounts: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "rpc_url": self.url,
            "chain_id": self.chain_id,
            "config": str(self.config),
            "accounts": self.accounts,
        }

    def text(self) -> str:
        """For people."""
        accounts = "\n".join(f"  {name:20} {address}" for name, address in self.accounts.items())
        return (
            f"RPC       {self.url}   chain id {self.chain_id}\n{accounts}\nconfig    {self.config}\n\n"
            f"In another terminal:\n  vaultkeel status --config {self.config}\n  vaultkeel run --config {self.config}\n"
            "or write a configuration of your own there: vaultkeel init\n"
            "Ctrl-C here ends the chain."
        )


def serve(plan: Plan, progress: Callable[[str], None], announce: Callable[[Ready], None]) -> None:
    """Starts the world, announces it, and moves it until SIGINT or SIGTERM."""
    with (
        ended_by_signal(),
        start_world(
            short_only=plan.short_only, progress=progress, port=plan.port, timestamp=int(time.time())
        ) as world,
    ):
        open_markets(world)
        market = Market(world, plan.seed)
        market.open_interest(STARTING_TRADES)
        market.refresh()
        path = write_files(plan.out, tomlkit.dumps(world_config(world)), world.hedger_key)
        write_deployment(plan.out, world_deployment(world))
        accounts = {
            "hedger": world.accounts.hedger,
            "option vault": world.lyra.liquidity_pool,
            "perp clearing house": world.curie.clearing_house,
            "multicall": world.multicall,
        }
        announce(Ready(world.url, world.chain_id, path, accounts))
        keep_moving(world, market, plan)


def keep_moving(world: World, market: Market, plan: Plan) -> None:
    """Real time: a heartbeat of blocks and, where the plan wants it, a step of the market now and then."""
    rng = np.random.default_rng(plan.seed)
    price = float(market.spot())
    moved_at = time.monotonic()
    while True:
        time.sleep(HEARTBEAT_S)
        if plan.move_every_s and time.monotonic() - moved_at >= plan.move_every_s:
            elapsed, moved_at = time.monotonic() - moved_at, time.monotonic()
            price = float(JumpDiffusion().path(price, 1, elapsed, rng)[-1])
            move(market, Decimal(repr(price)))
        else:
            world.node.mine()


def move(market: Market, price: Decimal) -> None:
    """One step of the market in real time."""
    market.set_price(price)
    market.arbitrage()
    market.settle_expired()
    market.poke_funding()
    market.refresh()
    if market.trade_flows():
        market.refresh()


@contextmanager
def ended_by_signal() -> Iterator[None]:
    """Lets SIGTERM end a wait just as Ctrl-C does, and takes either as the normal end."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)
