"""Ledger and venue agree on our position before a trade, or a person must look."""

from decimal import Decimal
from pathlib import Path

import pytest
from builders import ACCOUNT, ACCOUNT_ID, CURIE, NOW, Rig, option, position_changed, source, word
from eth_abi.abi import encode

from bot.chain.contracts import contract
from bot.core.model import Mode
from bot.errors import Halt
from bot.ports import EventLog, Log

MARKET = CURIE.base_token


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path / "vaultkeel.db")
    rig.client.on_send = rig.mines
    return rig


def liquidated(size: Decimal, tx_hash: str = "0xbad") -> list[list[EventLog]]:
    """The two events of a forced close of `size`, as the venue's reader asks for them."""
    house = contract("curie_clearing_house", CURIE.clearing_house)
    figures = [int(abs(size) * 2000 * 10**18), int(abs(size) * 10**18), 10**18, ACCOUNT]
    topics = (house.abi.topic("PositionLiquidated"), word(ACCOUNT), word(MARKET))
    forced = Log(house.address, topics, encode(["uint256", "uint256", "uint256", "address"], figures))
    return [
        [EventLog(position_changed(size), tx_hash, 101, "0x01")],
        [EventLog(forced, tx_hash, 101, "0x01")],
    ]


def events(rig: Rig, answers: list[list[EventLog]]) -> None:
    left = iter(answers)
    rig.client.logs = lambda *_: next(left)  # type: ignore[method-assign]


def hedged(rig: Rig) -> Decimal:
    """A first hedge, then more options to hedge."""
    rig.tick()
    rig.source.state = source(option("-20"))
    rig.next_block()
    return rig.curie.state.position.size


def test_an_empty_account_begins_at_zero(rig: Rig) -> None:
    rig.tick()
    baseline = rig.ledger.baseline(ACCOUNT_ID, MARKET)
    assert baseline is not None
    assert baseline.size == 0
    assert rig.ledger.live_position(ACCOUNT_ID, MARKET) == rig.curie.state.position.size != 0


def test_a_position_from_before_the_first_run_halts_until_it_is_adopted(rig: Rig) -> None:
    rig.curie.traded(Decimal(3))
    with pytest.raises(Halt, match=r"position of \+3 that the ledger doesn't know.*vaultkeel adopt"):
        rig.tick()
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED
    assert rig.signer.signed == []
    found, at = rig.desk.compare(rig.book)
    rig.ledger.adopt(ACCOUNT_ID, MARKET, found.actual, at, "adopted", NOW)
    rig.ledger.set_mode(ACCOUNT_ID, Mode.ACTIVE, "resumed", NOW)
    rig.next_block()
    rig.tick()
    assert rig.outcomes() == ["FILLED"]
    assert rig.ledger.live_position(ACCOUNT_ID, MARKET) == rig.curie.state.position.size


def test_a_liquidation_is_adopted_with_its_reason_and_hedged_again(rig: Rig) -> None:
    size = hedged(rig)
    rig.curie.traded(-size)
    events(rig, liquidated(-size))
    rig.tick()
    baseline = rig.ledger.baseline(ACCOUNT_ID, MARKET)
    assert baseline is not None
    assert "liquidation" in baseline.why
    assert "0xbad" in baseline.why
    assert rig.outcomes() == ["FILLED", "FILLED"]
    assert rig.ledger.live_position(ACCOUNT_ID, MARKET) == rig.curie.state.position.size
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE


@pytest.mark.parametrize("share", ["0.5", "1.001", "-1"])
def test_a_liquidation_of_another_size_explains_nothing(rig: Rig, share: str) -> None:
    size = hedged(rig)
    rig.curie.traded(-size)
    events(rig, liquidated(-size * Decimal(share)))
    with pytest.raises(Halt, match="no event of the venue explains the difference"):
        rig.tick()
    assert len(rig.signer.signed) == 1


def test_a_trade_by_somebody_else_is_never_adopted_by_itself(rig: Rig) -> None:
    size = hedged(rig)
    rig.curie.traded(-size)
    events(rig, [liquidated(-size)[0], []])
    with pytest.raises(Halt, match=r"the venue has a position of \+0"):
        rig.tick()
    assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED


def test_a_run_compares_at_its_start_even_where_there_is_nothing_to_trade(rig: Rig) -> None:
    size = hedged(rig)
    rig.curie.traded(-size)
    rig.source.state = source()
    rig.restart()
    rig.next_block()
    with pytest.raises(Halt, match="no event of the venue explains"):
        rig.tick()


def test_a_run_finds_a_foreign_nonce_at_its_start(rig: Rig) -> None:
    hedged(rig)
    rig.source.state = source(option())
    rig.restart()
    rig.client.mined_nonce = rig.client.pending_nonce = 5
    rig.next_block()
    with pytest.raises(Halt, match="another program holds this key"):
        rig.tick()


def test_our_own_orders_are_no_outside_changes(rig: Rig) -> None:
    hedged(rig)
    own = next(iter(rig.ledger.own_transactions(ACCOUNT_ID)))
    rig.curie.traded(Decimal(1))
    events(rig, liquidated(Decimal(1), own))
    with pytest.raises(Halt):
        rig.tick()


def test_paper_has_no_position_to_compare(tmp_path: Path) -> None:
    paper = Rig(tmp_path / "paper.db", paper=True)
    paper.curie.traded(Decimal(3))
    paper.tick()
    assert paper.ledger.baseline(ACCOUNT_ID, MARKET) is None
    assert paper.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
