"""Whatever happens, in whatever order: what the chain executed never passes a budget, in any hour or day.

Two books of one account trade on a scripted chain where orders fill, fill in part, revert, hang, expire and are mined
late, prices move, time passes and the process is restarted. What is counted is what the chain did, by a reckoning of
the test's own.
"""

import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import (
    ACCOUNT,
    ACCOUNT_ID,
    CHAIN,
    CHAIN_ID,
    CURIE,
    CURVE,
    Rig,
    ScriptedCurie,
    ScriptedSource,
    address,
    block,
    fee_rules,
    limits,
    option,
    order_bounds,
    receipt,
    rules,
    source,
    venue_state,
    word,
)
from eth_abi.abi import encode
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.chain.contracts import contract
from bot.chain.mandate import Mandate
from bot.chain.sender import Sender
from bot.core.budgets import Budgets
from bot.core.decision import Rules
from bot.core.model import Intent, PerpPosition, Rebalance
from bot.core.policy import DeltaBand
from bot.desk import Desk
from bot.ports import Log, OpenIntent
from bot.venues.curie import CurieVenue

D = Decimal
HOUR, DAY = 3_600, 86_400
GAS_CAP = D(25)
MAX_ORDER, MAX_ORDER_USD, MAX_LEVERAGE, MIN_INTERVAL_S = D(8), D(15_000), D("0.1"), 40
EACH = (
    Budgets(max_trades_hour=2),
    Budgets(max_trades_day=3),
    Budgets(max_turnover_hour_usd=D(12_000)),
    Budgets(max_turnover_day_usd=D(25_000)),
    Budgets(max_fees_day_usd=D(25)),
    Budgets(max_gas_day_usd=D(60)),
    Budgets(max_loss_day_usd=D(3_000)),
)
ALL_AT_ONCE = Budgets(4, 7, D(30_000), D(45_000), D(40), D(120), D(6_000))
"""A budget of its own bites sooner than beside others that are used up first; so each is tried alone, too."""


def bounded(of_book: Budgets, in_all: Budgets) -> Rules:
    """Small trades at once, within these budgets."""
    kept = limits(
        max_order=MAX_ORDER,
        max_order_usd=MAX_ORDER_USD,
        max_leverage=MAX_LEVERAGE,
        min_interval_s=MIN_INTERVAL_S,
        max_order_gas_usd=GAS_CAP,
        min_order=D("0.1"),
        budgets=of_book,
        in_all=in_all,
    )
    return rules(policy=DeltaBand(D("0.1"), D(0), D("0.1")), limits=kept)


ALMOST = D("1e-9")
"""Far below a cent: quotients are rounded in their 28th digit."""


@dataclass(frozen=True)
class Executed:
    """One transaction of ours on the chain. Money in USD."""

    at: int
    book: str
    notional: Decimal
    fee: Decimal
    gas: Decimal


class OtherCurie(ScriptedCurie):
    """A second market of the same protocol."""

    def __init__(self) -> None:
        market = address(80)
        CurieVenue.__init__(self, "curie-2", CHAIN, ACCOUNT, replace(CURIE, base_token=market), D("0.001"))
        self.state = replace(venue_state(), position=PerpPosition(market, D(0), D(0)))


class TwoBooks(Rig):
    """The rig with a second book on the same account, chain and ledger."""

    def __init__(self, path: Path) -> None:
        self.other_curie = OtherCurie()
        self.other_source = ScriptedSource(source(option("12")))
        super().__init__(path)

    def start(self) -> None:
        super().start()
        mandate = Mandate(
            CHAIN_ID, ACCOUNT, self.other_curie.rules(order_bounds(MAX_ORDER)), 5_000_000, 50 * 10**9
        )
        sender = Sender(self.client, self.ledger, self.signer, mandate, fee_rules())
        second = replace(
            self.book, name="two", sources=(self.other_source,), venue=self.other_curie, sender=sender
        )
        self.books = {"eth": self.book, "two": second}
        self.desk = Desk(self.chains, tuple(self.books.values()), self.ledger, self.clock)


def filled(order: Intent, share: Decimal, luck: Decimal) -> tuple[Decimal, Decimal]:
    """Size and notional of a fill: `luck` 0 is the bound itself, 1 as far on the better side of the mark."""
    size = order.size * share
    with_fee = D("1.001") if size > 0 else D("0.999")
    worst = order.price_bound / with_fee
    best = 2 * order.reference_price - order.price_bound
    return size, abs(size) * (worst + (best - worst) * luck)


class Chaos:
    """See the module."""

    def __init__(self, path: Path, of_book: Budgets, in_all: Budgets, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - hypothesis chooses the seed
        self.of_book, self.in_all = of_book, in_all
        self.rig = TwoBooks(path)
        self.rig.rules = bounded(of_book, in_all)
        self.rig.source.state = source(option(str(self.chance.choice((-60, -20, 25, 50)))))
        self.rig.client.on_send = self.arrives
        self.executed: list[Executed] = []
        self.decided_at: dict[str, list[int]] = {"eth": [], "two": []}
        self.waiting: list[bytes] = []
        self.restart()

    def run(self, steps: int) -> None:
        """Any of these things, one after the other."""
        for _ in range(steps):
            self.chance.choices(
                (self.tick, self.wait, self.restart, self.a_hanging_transaction_is_mined), (12, 2, 1, 3)
            )[0]()
            self.no_window_holds_more_than_its_budget()

    def wait(self) -> None:
        self.pass_time(self.chance.choice((130, 3_100, 3_599, 20_000, 82_000)))

    def restart(self) -> None:
        self.rig.restart()

    def a_hanging_transaction_is_mined(self) -> None:
        if self.waiting:
            self.mine(self.chance.choice(self.waiting))

    def tick(self) -> None:
        book = self.chance.choice(("eth", "two"))
        self.pass_time(self.chance.choice((1, 41, 41, 600)))
        self.price_moves(self.chance.choice((-5, -3, 0, 3, 5)))
        rig, before = self.rig, len(self.rig.signer.signed)
        done = rig.desk.tick(rig.books[book])
        orders = [tx for tx in rig.signer.signed[before:] if tx.call.data]
        if isinstance(done.record.decision, Rebalance) and orders:
            times = self.decided_at[book]
            times.append(done.record.snapshot.at)
            assert len(times) == 1 or times[-1] - times[-2] >= MIN_INTERVAL_S
            assert abs(done.record.decision.size) <= MAX_ORDER
            for name, budgets in ((book, self.of_book), (None, self.in_all)):
                most = budgets.max_loss_day_usd
                assert most is None or self.lost(name, rig.clock.time) <= most + D("0.01")

    def lost(self, book: str | None, now: int) -> Decimal:
        """What the recorded ticks say, read past the program."""
        wanted = "SELECT change_usd FROM ticks WHERE at > ? AND change_usd IS NOT NULL AND (book = ? OR ?)"
        with closing(sqlite3.connect(self.rig.path)) as db:
            found = db.execute(wanted, (now - DAY, book, book is None)).fetchall()
        return -sum((D(row[0]) for row in found), D(0))

    def price_moves(self, percent: int) -> None:
        for at, venue in ((self.rig.source, self.rig.curie), (self.rig.other_source, self.rig.other_curie)):
            old, state = at.state.spot, venue.state
            spot = min(max(old * (100 + percent) / 100, D(1_000)), D(4_000)).quantize(D("0.01"))
            profit = state.position.size * (spot - old)
            at.state = replace(at.state, spot=spot)
            venue.state = replace(
                state,
                mark=spot,
                index=spot,
                curve=tuple(replace(point, price=point.price * spot / 2000) for point in CURVE),
                margin=replace(state.margin, mark_value=state.margin.mark_value + profit),
            )

    def pass_time(self, seconds: int) -> None:
        rig = self.rig
        rig.clock.time += seconds
        rig.client.block = block(rig.client.block.number + 1, rig.clock.time)

    def arrives(self, raw: bytes) -> None:
        """A node took these bytes: it mines them at once, or some time, or never."""
        if raw not in self.waiting:
            self.waiting.append(raw)
        if self.chance.random() < 0.8:
            self.mine(raw)

    def mine(self, raw: bytes) -> None:
        rig, tx = self.rig, TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        if int(tx["nonce"]) != rig.client.mined_nonce:
            return  # another attempt used the nonce, or the one before is not mined yet
        tx_hash = "0x" + keccak(raw).hex()
        order = self.order_of(tx_hash)
        intent, cancels = order.intent, not bytes(tx["data"])
        late = rig.clock.time > intent.deadline
        fails = not cancels and (late or self.chance.random() < 0.2)
        share, luck = D(self.chance.choice(("1", "1", "0.25"))), D(self.chance.choice(("0", "0.5", "1")))
        size, notional = (D(0), D(0)) if cancels or fails else filled(intent, share, luck)
        gas_wei = int(GAS_CAP * D(self.chance.choice(("1", "1", "0.1"))) / intent.reference_price * 10**18)
        logs = () if size == 0 else (changed(intent.market, size, notional),)
        mined = receipt(tx_hash, succeeded=not fails, block_number=rig.client.block.number, logs=logs)
        rig.client.mine(replace(mined, gas_cost_wei=gas_wei))
        self.waiting = [
            other
            for other in self.waiting
            if int(TypedTransaction.from_bytes(HexBytes(other)).as_dict()["nonce"]) >= rig.client.mined_nonce
        ]
        venue = rig.curie if intent.market == CURIE.base_token else rig.other_curie
        before = venue.state.position.size
        venue.traded(size)
        self.check_position(before, before + size, intent)
        gas = D(gas_wei) / 10**18 * intent.reference_price
        self.executed.append(Executed(rig.clock.time, intent.book, notional, notional / 1000, gas))

    def order_of(self, tx_hash: str) -> OpenIntent:
        for order in self.rig.ledger.open_intents(ACCOUNT_ID):
            if tx_hash in {attempt.hash for attempt in order.attempts}:
                return order
        raise AssertionError(f"{tx_hash} was sent for no open order")

    def check_position(self, before: Decimal, after: Decimal, intent: Intent) -> None:
        worth = reserve(intent)
        assert worth <= MAX_ORDER_USD + ALMOST
        leverage = abs(after) * intent.reference_price / D(200_000)
        assert leverage <= MAX_LEVERAGE + ALMOST or (abs(after) < abs(before) and after * before >= 0)

    def no_window_holds_more_than_its_budget(self) -> None:
        for name, budgets in (("eth", self.of_book), ("two", self.of_book), (None, self.in_all)):
            events = [event for event in self.executed if name in (None, event.book)]
            for last in events:
                hour, day = (
                    [e for e in events if last.at - window < e.at <= last.at] for window in (HOUR, DAY)
                )
                for used, most in (
                    (D(len(hour)), budgets.max_trades_hour),
                    (D(len(day)), budgets.max_trades_day),
                    (total(e.notional for e in hour), budgets.max_turnover_hour_usd),
                    (total(e.notional for e in day), budgets.max_turnover_day_usd),
                    (total(e.fee for e in day), budgets.max_fees_day_usd),
                    (total(e.gas for e in day), budgets.max_gas_day_usd),
                ):
                    assert most is None or used <= most + ALMOST


def reserve(intent: Intent) -> Decimal:
    """What an order is worth at most, by its definition in the documentation."""
    mark, bound = intent.reference_price, intent.price_bound
    return abs(intent.size) * max(bound, 2 * mark - bound)


def total(amounts: object) -> Decimal:
    return sum(amounts, D(0))  # type: ignore[call-overload, no-any-return]


def changed(market: str, size: Decimal, notional: Decimal) -> Log:
    """The clearing house's event of a fill, with a fee of a thousandth."""
    house = contract("curie_clearing_house", CURIE.clearing_house)
    signed = -notional if size > 0 else notional
    figures = [int(size * 10**18), int(signed * 10**18), int(notional * 10**15), 0, 0, 0]
    types = ["int256", "int256", "uint256", "int256", "int256", "uint256"]
    topics = (house.abi.topic("PositionChanged"), word(ACCOUNT), word(market))
    return Log(house.address, topics, encode(types, figures))


@pytest.mark.timeout(600)
@settings(max_examples=settings.default.max_examples // 10)
@given(
    of_book=st.sampled_from([*EACH, ALL_AT_ONCE]),
    in_all=st.sampled_from([*EACH, ALL_AT_ONCE, Budgets()]),
    seed=st.integers(0, 2**32),
)
def test_no_sequence_of_ticks_passes_a_budget(of_book: Budgets, in_all: Budgets, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder) / "vaultkeel.db", of_book, in_all, seed)
        try:
            chaos.run(45)
        finally:
            chaos.rig.ledger.close()
