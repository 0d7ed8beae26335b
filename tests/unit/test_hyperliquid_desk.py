"""Orders on Hyperliquid through the whole desk: real ledger, sender and mandate, a HyperCore that may say nothing."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import (
    ACCOUNT,
    ACCOUNT_ID,
    CHAIN,
    CHAIN_ID,
    MULTICALL,
    FakeClient,
    FakeClock,
    ScriptedSource,
    SpySigner,
    block,
    fee_rules,
    limits,
    option,
    order_bounds,
    rules,
    source,
)
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hyperliquid_models import ETH, Core, Told, hyperliquid_venue, sent, told_fill
from test_hyperliquid_outcome import traded

from bot.book import Book, ChainAccess
from bot.chain.mandate import Mandate
from bot.chain.pinned import Stamp
from bot.chain.sender import Sender
from bot.core.margin import MarginPolicy
from bot.core.model import BlockRef, Hold, Mode, OutcomeState, Rebalance, Transfer
from bot.core.protection import Protection
from bot.desk import Desk, Tick
from bot.errors import Halt, TransientError
from bot.ledger import open_ledger
from bot.venues.bounds import TransferBounds
from bot.venues.hyperliquid_core import LimitOrder, UsdClassTransfer, decode_action
from bot.venues.hyperliquid_market import market_name
from bot.venues.paper import PaperVenue

D = Decimal


class CoreClient(FakeClient):
    """A node of HyperEVM: Multicall3 and the precompiles behind it answer from `core`."""

    def __init__(self, core: Core) -> None:
        super().__init__()
        self.core = core
        self.preflight_answer, self.gas = b"", 48_000

    def call_at(
        self,
        block: BlockRef,
        to: str,
        data: bytes,
        gas: int,
        stamp_of: Callable[[bytes], Stamp] | None = None,
    ) -> bytes:
        self.core.block, self.core.now = self.block.number, self.block.timestamp
        known = self.core.answers()
        own = {"getBlockNumber": self.core.block, "getCurrentBlockTimestamp": self.core.now}
        known |= {(to.lower(), MULTICALL.abi.encode(f)): encode(["uint256"], [v]) for f, v in own.items()}
        (calls,) = MULTICALL.abi.decode_input(data)[1].values()
        results = [(True, known[call["target"].lower(), call["callData"]]) for call in calls]
        return encode(["(bool,bytes)[]"], [results])


class HyperRig:
    """A desk with one book on Hyperliquid. What is sent is mined at once; HyperCore does what the test has it do."""

    def __init__(self, path: Path, info: Told | None = None, *, paper: bool = False, **changes: Any) -> None:
        self.path, self.info, self.paper = path, info, paper
        self.core = Core().holding("0", cash="100000")
        self.client, self.clock = CoreClient(self.core), FakeClock()
        self.client.on_send = self.mine
        self.source = ScriptedSource(source(option()))
        self.rules = rules(**({"limits": limits(max_order=D(40))} | changes))
        self.start()

    def start(self) -> None:
        """A new process on the same ledger."""
        self.ledger = open_ledger(self.path, trades=True)
        self.venue = hyperliquid_venue(self.info, watches_margin=self.rules.margin is not None)
        allowed = self.venue.rules(order_bounds(D(40)), TransferBounds(D(20_000), D(20_000)))
        mandate = Mandate(CHAIN_ID, ACCOUNT, allowed, 1_000_000, 50 * 10**9)
        sender = Sender(self.client, self.ledger, SpySigner(), mandate, fee_rules())
        paper = PaperVenue(self.venue, lambda: self.ledger.paper_fills("eth"))
        self.book = Book(
            name="eth",
            underlying="ETH",
            sources=(self.source,),
            venue=paper if self.paper else self.venue,
            vols=None,
            rules=self.rules,
            order_ttl_s=120,
            sender=sender,
            paper=self.paper,
        )
        access = ChainAccess(self.client, MULTICALL, CHAIN_ID, "", 10**7, 10**6, None)
        self.desk = Desk({CHAIN: access}, (self.book,), self.ledger, self.clock)

    def mine(self, raw: bytes) -> None:
        """Puts the last preflighted call on the chain as these bytes."""
        data = self.client.preflights[-1].data
        length = int.from_bytes(data[36:68], "big")
        done = sent(data[68 : 68 + length], block=self.client.block.number)
        self.client.mine(replace(done, tx_hash="0x" + keccak(raw).hex()))

    def tick(self) -> Tick:
        return self.desk.tick(self.book)

    def later(self, blocks: int) -> None:
        """Blocks of a second each."""
        self.client.block = block(self.client.block.number + blocks, self.client.block.timestamp + blocks)
        self.clock.time += blocks
        self.source.state = replace(self.source.state, cached_at=self.clock.time)

    def asked(self) -> LimitOrder | UsdClassTransfer:
        """The last action that was sent."""
        data = self.client.preflights[-1].data
        return decode_action(data[68 : 68 + int.from_bytes(data[36:68], "big")])

    def order(self) -> LimitOrder:
        asked = self.asked()
        assert isinstance(asked, LimitOrder)
        return asked

    def outcomes(self) -> list[str]:
        return [order["outcome"] for order in self.ledger.orders("eth")]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[HyperRig]:
    made = HyperRig(tmp_path / "vaultkeel.db")
    yield made
    made.ledger.close()


def test_an_order_waits_for_hypercore_and_is_filled_by_what_it_changed(rig: HyperRig) -> None:
    first = rig.tick()
    assert first.outcome is not None
    assert first.outcome.state is OutcomeState.PENDING
    size = rig.order().signed
    assert size > 0
    rig.later(2)
    waiting = rig.tick()
    assert isinstance(waiting.record.decision, Hold)
    assert waiting.record.snapshot.in_flight == size
    assert waiting.again_in_s == 2
    traded(rig.core, str(size), "2000.4")
    rig.later(2)
    assert isinstance(rig.tick().record.decision, Hold)
    (order,) = rig.ledger.orders("eth")
    assert (order["outcome"], rig.ledger.live_position(ACCOUNT_ID, market_name(1))) == ("FILLED", size)
    assert len(rig.client.sent) == 1


def test_a_part_is_followed_by_the_rest(rig: HyperRig) -> None:
    rig.tick()
    whole = rig.order().signed
    traded(rig.core, "2", "2000.4")
    rig.later(3)
    again = rig.tick()
    assert isinstance(again.record.decision, Rebalance)
    assert rig.outcomes() == ["PARTIAL", "PENDING"]
    assert abs(rig.order().signed - (whole - 2)) < D("0.05")


def test_a_silent_refusal_is_dead_after_its_blocks_and_no_second_order_waits_beside_it(rig: HyperRig) -> None:
    rig.tick()
    for _ in range(29):
        rig.later(2)
        rig.tick()
    assert len(rig.client.sent) == 1
    rig.later(2)
    rig.tick()
    assert rig.outcomes() == ["DEAD", "PENDING"]
    assert len(rig.client.sent) == 2


def test_three_refusals_in_a_row_make_the_next_order_wait(tmp_path: Path) -> None:
    rig = HyperRig(tmp_path / "vaultkeel.db", Told("iocCancelRejected"))
    held: Any = None
    for _ in range(5):
        held = rig.tick().record.decision
        if isinstance(held, Hold) and held.code == "CANCELLED":
            break
        rig.later(1)
    assert isinstance(held, Hold)
    assert held.code == "CANCELLED"
    assert "iocCancelRejected" in held.text
    rig.ledger.close()


def test_a_killed_process_goes_on_with_the_waiting_order(rig: HyperRig) -> None:
    rig.tick()
    size = rig.order().signed
    rig.ledger.close()
    rig.start()
    traded(rig.core, str(size), "2000.4")
    rig.later(5)
    rig.tick()
    assert rig.outcomes() == ["FILLED"]
    assert len(rig.client.sent) == 1


def test_an_order_that_acts_after_it_was_given_up_halts_the_account(rig: HyperRig) -> None:
    rig.tick()
    size = rig.order().signed
    rig.source.state = replace(rig.source.state, positions=())
    rig.later(60)
    rig.tick()
    assert rig.outcomes() == ["DEAD"]
    traded(rig.core, str(size), "2000.4")
    rig.later(1)
    with pytest.raises(Halt, match="HyperCore has no events"):
        rig.tick()
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED


def test_a_liquidation_that_the_info_api_tells_is_taken_over(tmp_path: Path) -> None:
    info = Told("")
    rig = HyperRig(tmp_path / "vaultkeel.db", info)
    rig.tick()
    size = rig.order().signed
    traded(rig.core, str(size), "2000.4")
    info.status, info.fills_ = "filled", (told_fill(str(size), "2000.4", "4.5"),)
    rig.later(2)
    rig.tick()
    assert rig.outcomes() == ["FILLED"]
    traded(rig.core, "-2", "1900")
    info.fills_ += (told_fill("-2", "1900", cloid=0, reason="liquidation", oid=9),)
    rig.later(30)
    change = rig.tick().record.snapshot.change_usd
    assert change is not None
    assert -210 < change < -195, "two units for a hundred less than the mark are lost"
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
    expected = rig.ledger.live_position(ACCOUNT_ID, market_name(1))
    assert expected == size - 2
    rig.ledger.close()


def test_a_top_up_needs_no_allowance_and_is_told_by_the_balances(tmp_path: Path) -> None:
    protection = Protection(MarginPolicy(), D(20_000))
    rig = HyperRig(tmp_path / "vaultkeel.db", margin=protection)
    rig.core.holding("0", cash="300")
    rig.core.spot = D(50_000)
    told = rig.tick()
    assert isinstance(told.record.decision, Transfer)
    assert told.record.decision.what == "deposit"
    moved = rig.asked()
    assert isinstance(moved, UsdClassTransfer)
    assert moved.to_perp
    rig.later(2)
    assert isinstance(rig.tick().record.decision, Hold)
    rig.core.spot -= moved.amount
    rig.core.holding("0", cash=str(300 + moved.amount))
    rig.later(2)
    after = rig.tick()
    assert rig.outcomes()[0] == "FILLED"
    assert isinstance(after.record.decision, Rebalance), "the trade that the margin was for"
    rig.ledger.close()


def test_spot_money_is_no_allowance_that_would_be_taken_back(tmp_path: Path) -> None:
    protection = Protection(MarginPolicy(), D(20_000))
    rig = HyperRig(tmp_path / "vaultkeel.db", margin=protection)
    rig.source.state = replace(rig.source.state, positions=())
    assert isinstance(rig.tick().record.decision, Hold)
    assert rig.client.sent == []
    rig.ledger.close()


def test_on_paper_nothing_is_sent(tmp_path: Path) -> None:
    rig = HyperRig(tmp_path / "vaultkeel.db", paper=True)
    told = rig.tick()
    assert told.outcome is not None
    assert told.outcome.state is OutcomeState.PAPER
    assert told.outcome.fill is not None
    assert told.outcome.fill.size % ETH.lot == 0
    assert rig.client.sent == []
    rig.ledger.close()


def test_a_node_that_lags_behind_the_block_of_an_outcome_is_not_traded_on(rig: HyperRig) -> None:
    """It shows the position without the fill that another node has told: the account would halt."""
    rig.tick()
    size, before = rig.order().signed, rig.client.block
    rig.later(4)
    traded(rig.core, str(size), "2000.4")
    ahead = rig.client.block
    vars(rig.client)["confirmed"] = lambda depth: ahead
    rig.client.block = block(before.number + 1, before.timestamp + 1)
    with pytest.raises(TransientError, match="block 101 is older than 104, which eth was read at before"):
        rig.tick()
    assert rig.outcomes() == ["FILLED"]
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
    rig.client.block = ahead
    assert isinstance(rig.tick().record.decision, Hold)


def hedged(rig: HyperRig) -> Decimal:
    """A desk that has hedged and ticked once since; the order's size."""
    rig.tick()
    size = rig.order().signed
    traded(rig.core, str(size), "2000.4")
    for blocks in (3, 60):
        rig.later(blocks)
        rig.tick()
    assert rig.outcomes() == ["FILLED"]
    return size


def cash(rig: HyperRig, amount: str) -> None:
    """Money comes to the account, or leaves it."""
    rig.core.raw_usd += D(amount)
    rig.core.account_value += D(amount)


def changed(rig: HyperRig) -> Decimal:
    """The change of value that the next tick records, a minute later."""
    rig.later(60)
    change = rig.tick().record.snapshot.change_usd
    assert change is not None
    return change


def test_funding_counts_as_lost_or_won(rig: HyperRig) -> None:
    hedged(rig)
    quiet = changed(rig)
    for paid in ("-50", "50"):
        cash(rig, paid)
        assert abs(changed(rig) - quiet - D(paid)) < 1
    assert abs(rig.ledger.spent("eth", rig.clock.time, paper=False).change_day_usd) < 20


def test_what_is_more_than_funding_could_be_is_a_transfer(rig: HyperRig) -> None:
    hedged(rig)
    quiet = changed(rig)
    for moved in ("-54", "54", "-9000", "9000"):
        cash(rig, moved)
        assert abs(changed(rig) - quiet) < 1


def test_a_jump_of_the_spot_counts_in_whole_also_where_funding_was_paid(rig: HyperRig) -> None:
    """What the greeks don't explain of the options is no transfer."""
    changes = []
    for paid in ("0", "-10", "-9000"):
        later = HyperRig(rig.path.with_name(f"{paid}.db"))
        hedged(later)
        later.source.state = replace(later.source.state, spot=D(2400))
        cash(later, paid)
        changes.append(changed(later))
        later.ledger.close()
    alone, with_funding, with_transfer = changes
    assert abs(with_funding - alone + 10) < 1
    assert abs(with_transfer - alone) < 1


def test_a_longer_time_may_have_had_more_funding_but_not_more_than_a_days(rig: HyperRig) -> None:
    size = hedged(rig)
    hourly = abs(size) * 2000 / 200
    for hours, count in ((1, D("1.9")), (10, D("10.9")), (40, D("24.9"))):
        for factor, counts in ((count, True), (count + D("0.3"), False)):
            cash(rig, str((-hourly * factor).quantize(D("0.01"))))
            rig.later(hours * 3600 - 60)
            assert (changed(rig) < -hourly * factor / 2) is counts, (hours, factor)
