"""The rehearsal: a real option vault on a local chain, hedged by the real desk on a real perps DEX, step by step."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tomlkit

from bot.app import App, build
from bot.book import Book
from bot.config import load_config
from bot.core.model import OutcomeState, Snapshot
from bot.desk import Tick
from bot.errors import DataError
from bot.localnet.configuration import write_files
from bot.localnet.demo_rysk import open_rysk_stage
from bot.localnet.demo_stages import LyraStage, Stage
from bot.localnet.demo_venues import CurieSide, GmxSide, Side
from bot.localnet.world import START_PRICE, start_world
from bot.simulate.measures import Cost, Rehearsal, Step, measures
from bot.simulate.paths import JumpDiffusion

MOST_VISITS = 240


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, how often, which randomness, and where the results go."""

    hours: float
    step_minutes: float
    seed: int
    out: Path
    venue: Literal["curie", "gmx", "hyperliquid"] = "curie"

    @property
    def step_s(self) -> int:
        """Seconds of one step."""
        return round(self.step_minutes * 60)

    @property
    def steps(self) -> int:
        """How many steps follow the first."""
        return round(self.hours * 3600 / self.step_s)


Watch = Callable[[Step], None]


def rehearse(plan: Plan, progress: Callable[[str], None], watch: Watch) -> Rehearsal:
    """Runs the plan and returns what happened. Everything started here has ended when it returns."""
    with ExitStack() as stack:
        stage = stack.enter_context(open_stage(plan, progress))
        app = stack.enter_context(opened_app(stage, plan.out))
        return Run(stage, app, plan, watch).run()


@contextmanager
def open_stage(plan: Plan, progress: Callable[[str], None]) -> Iterator[Stage]:
    """The plan's world with its markets open; its chain ends with it."""
    if plan.venue == "hyperliquid":
        with open_rysk_stage(plan.seed, progress) as stage:
            yield stage
        return
    with start_world(short_only=True, progress=progress) as world:
        progress("Opening the option boards and funding the accounts")
        side: Side = GmxSide(world, plan.seed) if plan.venue == "gmx" else CurieSide(world)
        yield LyraStage(world, side, plan.seed)


def opened_app(stage: Stage, folder: Path) -> "AppContext":
    """The desk for `stage` in live mode on the chain's own time, its files in `folder`."""
    config = stage.configuration()
    config.update({"mode": "live", "clock": "chain"})
    path = write_files(folder, tomlkit.dumps(config), stage.hedger_key)
    return AppContext(build(load_config(path), trades=True))


@dataclass(frozen=True, slots=True)
class AppContext:
    """Closes an App at the end of a `with`."""

    app: App

    def __enter__(self) -> App:
        return self.app

    def __exit__(self, *_: object) -> None:
        self.app.close()


class Run:
    """One run's moving state."""

    def __init__(self, stage: Stage, app: App, plan: Plan, watch: Watch) -> None:
        self._stage = stage
        self._desk = app.desk
        self._book: Book = app.desk.books[0]
        self._ledger = app.ledger
        self._path = app.config.ledger
        self._plan = plan
        self._watch = watch
        self._ticks = 0
        self._settled = 0
        self._trades = 0

    def run(self) -> Rehearsal:
        """All steps, then the figures."""
        rng = np.random.default_rng(self._plan.seed)
        prices = JumpDiffusion().path(float(START_PRICE), self._plan.steps, self._plan.step_s, rng)
        start = self._stage.now() + 60
        steps = [
            self._step(i, start + i * self._plan.step_s, Decimal(repr(float(p))))
            for i, p in enumerate(prices)
        ]
        last = self._desk.observe(self._book)
        orders = tuple(self._ledger.orders(self._book.name))
        return Rehearsal(
            hours=self._plan.hours,
            seed=self._plan.seed,
            steps=tuple(steps),
            orders=orders,
            ticks=self._ticks,
            hedges=sum(1 for order in orders if order["size"] is not None),
            rejected=sum(1 for order in orders if order["outcome"] == OutcomeState.DEAD),
            boards_settled=self._settled,
            traders_trades=self._trades,
            measures=measures(steps),
            cost=self._cost(orders, last),
            venue_value_usd=last.venue.margin.account_value,
            nav_usd=self._stage.nav(last),
            ledger=self._path,
        )

    def _step(self, index: int, at: int, price: Decimal) -> Step:
        self._settled += self._stage.advance(at, price)
        m1 = self._desk.observe(self._book)
        nav_m1 = self._stage.nav(m1)
        gas = self._gas_usd()
        self._trades += self._stage.trade(first=index == 0)
        filled = self._fills()
        ticks = self._hedge()
        before, after = ticks[0].record, ticks[-1].record
        last_fill = ticks[-1].outcome.fill if ticks[-1].outcome else None
        step = Step(
            at=at,
            price=m1.spot,
            nav_m1=nav_m1,
            nav_m2=self._stage.nav(before.snapshot),
            hedge_m1=self._stage.value(m1) - gas,
            venue_value_m1=m1.venue.margin.account_value,
            vault_delta=before.exposure.unhedged,
            net_before=before.exposure.net,
            net_after=after.exposure.net + (float(last_fill.size) if last_fill else 0.0),
            hedges=self._fills() - filled,
        )
        self._watch(step)
        return step

    def _hedge(self) -> list[Tick]:
        """The desk's tick, and those that it asks for within the step: the next clip, the rest of a partial close."""
        ticks = []
        for _ in range(MOST_VISITS):
            tick = self._desk.tick(self._book)
            self._ticks += 1
            ticks.append(tick)
            if tick.again_in_s is None:
                return ticks
            self._stage.wait(tick.again_in_s)
        raise DataError(f"the desk was not done after {MOST_VISITS} visits in one step")

    def _fills(self) -> int:
        return len(self._ledger.fills(self._book.name))

    def _gas_usd(self) -> Decimal:
        return sum((Decimal(order["gas_usd"]) for order in self._ledger.orders(self._book.name)), Decimal(0))

    def _cost(self, orders: tuple[dict[str, Any], ...], last: Snapshot) -> Cost:
        """Fees and impact from the fills, gas and keepers' fees from the receipts, funding as the venue settles it."""
        filled = [order for order in orders if order["size"] is not None]
        funding = self._stage.funding(orders, last)
        return Cost(
            fees=float(sum(Decimal(order["fee_usd"]) for order in filled)),
            impact=float(sum(Decimal(order["impact_usd"]) for order in filled)),
            gas=float(self._gas_usd()),
            funding=float(funding),
        )
