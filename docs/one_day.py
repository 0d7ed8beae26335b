"""One day of a hedged book in the program's own terms, for the pictures: a made-up market, the real decisions."""

import functools
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from bot.core.attribution import TradeDone, attribute
from bot.core.costs import Costs, costs_of
from bot.core.decision import Rules, decide
from bot.core.limits import Limits
from bot.core.model import (
    Band,
    BlockRef,
    CostPoint,
    Fill,
    Margin,
    Mode,
    OptionPosition,
    PerpPosition,
    Rebalance,
    Snapshot,
    SourceState,
    VenueState,
    VolsUsed,
)
from bot.core.policy import OptimalBand
from bot.core.risk_target import DailyError
from bot.core.target import Doubts, Target
from bot.simulate.paths import JumpDiffusion

START_S, STEP_S, STEPS = 1_735_689_600, 900, 96
EXPIRY_S = START_S + 7 * 86_400
START_USD = Decimal(2_000)
LOT = Decimal("0.001")
FLAT = Decimal(0)
FEE = Decimal("0.0005")
HOURLY_FUNDING = Decimal("0.00002")
CENT = Decimal("0.01")

RULES = Rules(
    target=Target(),
    doubts=Doubts(FLAT, FLAT),
    policy=OptimalBand(DailyError(Decimal(350)), Decimal("0.1")),
    limits=Limits(
        max_order=Decimal(60),
        max_position=Decimal(300),
        max_price_gap=Decimal("0.05"),
        max_block_age_s=120,
        max_vol_age_s=3600,
        max_slippage=Decimal("0.005"),
        max_bound_gap=Decimal("0.1"),
    ),
    interval_s=STEP_S,
)


@dataclass(frozen=True, slots=True)
class Step:
    """One tick: hours since the start, USD, the gap and its band in units, and what was traded."""

    hour: float
    price: float
    gap: float
    low: float
    high: float
    target: float
    centre: float
    traded: float


@dataclass(frozen=True, slots=True)
class Day:
    """All ticks, and where the day's change of value came from, in USD by cause."""

    steps: tuple[Step, ...]
    causes: dict[str, float]

    @property
    def trades(self) -> tuple[Step, ...]:
        """The ticks that traded."""
        return tuple(step for step in self.steps if step.traded)


@dataclass
class Account:
    """The hedge: units, the money beside them, and funding that is owed and not settled, in USD."""

    size: Decimal = FLAT
    cash: Decimal = Decimal(100_000)
    owed: Decimal = FLAT


def venue_costs(price: Decimal) -> Costs:
    """What the made-up venue asks: 5 basis points, a tight spread, and an impact that grows with the size."""
    return costs_of(snapshot(START_S, price, Account()))


def snapshot(at: int, price: Decimal, account: Account) -> Snapshot:
    """The book at a second: 60 short straddles of a week, and the hedge."""
    sizes = [Decimal(size) for size in (-60, -25, -5, 5, 25, 60)]
    curve = tuple(
        CostPoint(s, price * (1 + s * Decimal("0.00003")) + (s > 0) * CENT * 40 - CENT * 20) for s in sizes
    )
    value = account.cash + account.size * price - account.owed
    venue = VenueState(
        name="venue",
        account="0x0",
        position=PerpPosition("ETH", account.size, -account.size * price),
        margin=Margin(account.cash, value, value, value, Decimal(1), value),
        mark=price,
        index=price,
        fee_ratio=FEE,
        funding_per_hour=HOURLY_FUNDING,
        pending_funding=account.owed,
        curve=curve,
        max_buy=Decimal(60),
        max_sell=Decimal(60),
        lot=LOT,
        clip_interval_s=16,
        order_gas=900_000,
        initial_ratio=Decimal("0.1"),
        maintenance_ratio=Decimal("0.0625"),
        half_spread=CENT * 20,
    )
    options = tuple(
        OptionPosition("vault", f"2000-{kind}", kind == "C", START_USD, EXPIRY_S, Decimal(-60), 0.8)
        for kind in "CP"
    )
    source = SourceState("vault", options, (), price, 0.0, Decimal(500_000), 0.0, at, price, 0)
    block = BlockRef("chain", at, f"0x{at:064x}", at, 10**9)
    return Snapshot(
        book="eth",
        underlying="ETH",
        at=at,
        blocks=(block,),
        sources=(source,),
        vols=VolsUsed("vault", at),
        venue=venue,
        spot=price,
        native_usd=price,
        gas_price_wei=10**9,
    )


@functools.cache
def day_of(seed: int) -> Day:
    """A day at 80 % vol, decided tick by tick as the desk would."""
    prices = JumpDiffusion(jumps_per_day=0.0).path(
        float(START_USD), STEPS, STEP_S, np.random.default_rng(seed)
    )
    account = Account()
    steps: list[Step] = []
    causes: dict[str, float] = {}
    last = None
    trades: list[TradeDone] = []
    gas = FLAT
    for number, at_usd in enumerate(prices.tolist()):
        at, price = START_S + number * STEP_S, Decimal(f"{at_usd:.2f}")
        account.owed += HOURLY_FUNDING * STEP_S / 3600 * account.size * price
        seen = snapshot(at, price, account)
        if last is not None:
            parts = attribute(*last, seen, trades, gas)
            for name in parts.__slots__:
                causes[name] = causes.get(name, 0.0) + getattr(parts, name)
        trades, gas = [], FLAT
        record = decide(seen, Mode.ACTIVE, RULES)
        decision, figures = record.decision, record.decision.arithmetic
        size = FLAT
        if isinstance(decision, Rebalance):
            size = decision.size
            costs = costs_of(seen)
            trades, gas = [TradeDone(traded(account, size, costs), price)], costs.gas_usd
        band = decision.band
        if not isinstance(band, Band):
            raise TypeError("the optimal band is a band")
        steps.append(
            Step(
                hour=number * STEP_S / 3600,
                price=float(price),
                gap=record.exposure.gap_lo,
                low=band.low,
                high=band.high,
                target=float(figures["target"]),
                centre=float(figures["centre"]),
                traded=float(size),
            )
        )
        last = seen, record.exposure
    return Day(tuple(steps), causes)


def traded(account: Account, size: Decimal, costs: Costs) -> Fill:
    """An order of `size` filled as quoted, in the account."""
    average = costs.average_price(size)
    fee = costs.fee_usd(size)
    fill = Fill(size, abs(size) * average, fee, (average - costs.mark) * size, account.owed)
    account.size += size
    account.cash -= size * average + fee + account.owed
    account.owed = FLAT
    return fill
