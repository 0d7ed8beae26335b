"""What a tick costs: milliseconds of deciding, requests to the node, and what waking on price saves of them."""

import statistics
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit

from bot.app import build
from bot.config import load_config
from bot.core.decision import Rules, decide
from bot.core.limits import Limits
from bot.core.model import (
    BlockRef,
    CostPoint,
    Margin,
    Mode,
    OptionPosition,
    PerpPosition,
    Snapshot,
    SourceState,
    VenueState,
    VolsUsed,
)
from bot.core.policy import OptimalBand
from bot.core.risk_target import DailyErrorOfNav
from bot.core.target import Doubts, Target
from bot.localnet.configuration import world_config, write_files
from bot.localnet.market import Market
from bot.localnet.opening import open_markets
from bot.localnet.proxy import Exchange, FaultProxy
from bot.localnet.world import World, start_world
from bot.simulate.paths import JumpDiffusion

NOW = 1_700_000_000
DAY_S = 86_400
ROUNDS = 9


def decision_ms(positions: int) -> float:
    """Milliseconds of one decision (measure, decide, guard, prices to wait for) of a book; the median of some."""
    seen, rules = book_of(positions), rules_of()
    decide(seen, Mode.ACTIVE, rules)
    return statistics.median(timed(lambda: decide(seen, Mode.ACTIVE, rules)) for _ in range(ROUNDS))


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that `work` takes."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000


def rules_of() -> Rules:
    """The default policy with wide limits."""
    wide = Decimal(10) ** 6
    limits = Limits(wide, wide, wide, 3600, 3600, Decimal("0.005"), Decimal("0.1"))
    policy = OptimalBand(DailyErrorOfNav(Decimal("0.001")), Decimal("0.1"), Decimal("0.5"))
    return Rules(Target(), Doubts(), policy, limits, 60)


def book_of(positions: int) -> Snapshot:
    """A seeded book of short and long options of 12 expiries around 2000 USD."""
    rng = np.random.default_rng(7)
    held = tuple(
        OptionPosition(
            source="vault",
            instrument=f"option {i}",
            is_call=bool(rng.random() < 0.5),
            strike=Decimal(int(rng.integers(1000, 4000))),
            expiry=NOW + int(rng.integers(1, 13)) * 7 * DAY_S,
            size=Decimal(int(rng.integers(-100, 60))) / 10,
            vol=float(rng.uniform(0.5, 1.2)),
            slope=float(rng.uniform(-0.3, 0.1)),
            money_vol=0.8,
        )
        for i in range(positions)
    )
    source = SourceState(
        "vault", held, (), Decimal(2000), 0.03, Decimal(10_000_000), 0.0, NOW, Decimal(2000), 0
    )
    prices = (("5", "2002"), ("50", "2010"), ("-5", "1998"), ("-50", "1990"))
    money = Decimal(1_000_000)
    venue = VenueState(
        name="perps",
        account="account",
        position=PerpPosition("market", Decimal(0), Decimal(0)),
        margin=Margin(money, money, money, money, money, money),
        mark=Decimal(2000),
        index=Decimal(2000),
        fee_ratio=Decimal("0.0005"),
        funding_per_hour=Decimal("0.00001"),
        pending_funding=Decimal(0),
        curve=tuple(CostPoint(Decimal(size), Decimal(price)) for size, price in prices),
        max_buy=Decimal(50),
        max_sell=Decimal(50),
        lot=Decimal("0.001"),
        clip_interval_s=16,
        order_gas=900_000,
        initial_ratio=Decimal("0.1"),
        maintenance_ratio=Decimal("0.0625"),
    )
    block = BlockRef("chain", 1, "0x1", NOW, 10**9)
    return Snapshot(
        book="book",
        underlying="ETH",
        at=NOW,
        blocks=(block,),
        sources=(source,),
        vols=VolsUsed("vault", NOW),
        venue=venue,
        spot=Decimal(2000),
        native_usd=Decimal(2000),
        gas_price_wei=10**9,
    )


def requests() -> dict[str, float]:
    """Requests and milliseconds of real ticks on the local chain: one that trades, one that holds, one look.

    Counted by a proxy before the node. The first tick of a run, which also checks chain and addresses, is left out.
    """
    with (
        start_world(short_only=True) as world,
        tempfile.TemporaryDirectory() as folder,
        FaultProxy(world.url) as proxy,
    ):
        open_markets(world)
        market = Market(world, 7)
        market.open_interest(24)
        market.refresh()
        app = build(load_config(configured(world, proxy.url, Path(folder))), trades=True)
        try:
            desk, book = app.desk, app.desk.books[0]
            count: dict[str, float] = {}
            counted(proxy, lambda: desk.assess(book))
            count["tick_requests_trade"] = counted(proxy, lambda: desk.tick(book))
            while desk.tick(book).again_in_s is not None:
                market.set_time(world.node.timestamp() + 16)
            count["tick_requests_idle"] = counted(proxy, lambda: desk.tick(book))
            count["look_requests"] = counted(proxy, lambda: desk.watch(book))
            count["tick_ms_idle"] = statistics.median(timed(lambda: desk.tick(book)) for _ in range(ROUNDS))
            return count
        finally:
            app.close()


def configured(world: World, url: str, folder: Path) -> Path:
    """The shipped configuration for `world`, live and behind a proxy."""
    document: Any = world_config(world)
    document.update({"mode": "live", "clock": "chain"})
    document["chains"]["localnet"]["rpc_urls"] = [url]
    return write_files(folder, tomlkit.dumps(document), world.hedger_key)


def counted(proxy: FaultProxy, work: Callable[[], object]) -> int:
    """Round trips to the node that `work` takes."""
    passed: list[Exchange] = []
    proxy.watch = passed.append
    work()
    return len(passed)


def waking(tick_requests: float, look_requests: float, hours: int = 24) -> dict[str, dict[str, float]]:
    """Requests per hour and the mean delay from a price that matters to its tick, for ways to run.

    A day of seconds of a seeded price (`JumpDiffusion`); a price matters when it is 0.5 % from that of the last tick
    that traded. `tick_requests` and `look_requests` are those measured by `requests`.
    """
    rng = np.random.default_rng(11)
    prices = JumpDiffusion().path(2000.0, hours * 3600, 1, rng)
    ways = {
        "tick every 60 s": (60, 0),
        "tick every 15 s": (15, 0),
        "tick every 5 s": (5, 0),
        "tick every 2 s": (2, 0),
        "tick every 60 s, look every 2 s": (60, 2),
        "tick every 60 s, look every 5 s": (60, 5),
    }
    return {name: paced(prices, *way, tick_requests, look_requests) for name, way in ways.items()}


def paced(
    prices: Any, interval_s: int, watch_s: int, tick_requests: float, look_requests: float
) -> dict[str, float]:
    """One way to run over prices of one second each. Delays in seconds."""
    centre, crossed_at, due, asked = float(prices[0]), None, 0, 0.0
    delays: list[int] = []
    for second, price in enumerate(map(float, prices)):
        outside = abs(price / centre - 1) >= 0.005
        if outside and crossed_at is None:
            crossed_at = second
        looks = watch_s > 0 and second % watch_s == 0 and second < due
        asked += look_requests if looks else 0.0
        if second >= due or (looks and outside):
            asked += tick_requests
            due = second + interval_s
            if outside:
                delays.append(second - (second if crossed_at is None else crossed_at))
                centre = price
            crossed_at = None
    return {
        "requests_per_hour": asked / (len(prices) / 3600),
        "mean_delay_s": statistics.fmean(delays) if delays else 0.0,
    }
