"""Looking back: the same rules give the same bits, other rules are shown beside, and a tick explains itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import Rig, block, limits, option, rules, source, venue_state
from rich.console import Console, RenderableType

from bot import explain
from bot.core.model import LastTrade, Rebalance
from bot.core.policy import DeltaBand, Interval, PriceMove
from bot.errors import ConfigError
from bot.ledger.history import PAGE, History
from bot.replay import Replayed, replay

OTHER = rules(policy=DeltaBand(Decimal("0.01"), Decimal(0), Decimal(0)))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A desk whose orders are filled, a block and another price per tick."""
    made = Rig(tmp_path / "ledger.db")
    made.client.on_send = made.mines
    yield made
    made.ledger.close()


def run(rig: Rig, *spots: str) -> None:
    """One tick at each price."""
    for spot in spots:
        price = Decimal(spot)
        rig.source.state = replace(rig.source.state, spot=price)
        rig.curie.state = replace(rig.curie.state, mark=price, index=price)
        rig.tick()
        rig.next_block()


def replayed(
    rig: Rig, first: int | None = None, last: int | None = None, by: object = None
) -> list[Replayed]:
    wanted = rig.rules if by is None else by
    return list(replay(rig.ledger.history.between("eth", first, last), wanted))  # type: ignore[arg-type]


def shown(view: RenderableType) -> str:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(view)
    return console.export_text()


def test_the_same_rules_decide_the_same_to_the_last_bit(rig: Rig) -> None:
    run(rig, "2000", "2001.37", "1990.1", "2050", "2050.000000000000000001")
    rows = replayed(rig)
    assert [row.identical for row in rows] == [True] * 5
    assert explain.replay_json(rows)["trades_recorded"] >= 2


def test_a_recorded_decision_that_the_rules_would_not_make_is_found(rig: Rig) -> None:
    run(rig, "2000")
    (tick,) = rig.ledger.history.between("eth", None, None)
    forged = replace(tick.decided, decision=replace(tick.decided.decision, text="because"))
    (row,) = replay([replace(tick, decided=forged)], rig.rules)
    assert row.identical is False


def test_other_rules_are_shown_beside_what_was_done(rig: Rig) -> None:
    run(rig, "2000", "2000.5", "2001")
    rows = replayed(rig, by=OTHER)
    assert [row.identical for row in rows] == [None] * 3
    told = explain.replay_json(rows)
    assert (told["ticks"], told["same_rules"]) == (3, 0)
    assert told["trades_again"] > told["trades_recorded"]
    assert "these rules" in shown(explain.replay_view(rows))
    json.dumps(told)


def test_rules_that_refuse_a_snapshot_say_why_and_go_on(rig: Rig) -> None:
    run(rig, "2000", "2001")
    ticks = list(rig.ledger.history.between("eth", None, None))
    broken = replace(ticks[0].decided.snapshot, spot=Decimal(0))
    ticks[0] = replace(ticks[0], decided=replace(ticks[0].decided, snapshot=broken))
    rows = list(replay(ticks, OTHER))
    assert isinstance(rows[0].again, str)
    assert not isinstance(rows[1].again, str)
    assert explain.replay_json(rows)["refused"] == 1
    assert "the spot is 0" in shown(explain.replay_view(rows))


def test_a_part_of_the_ticks_can_be_asked_for_however_many_there_are(rig: Rig) -> None:
    rig.source.state = source()
    for _ in range(PAGE + 3):
        rig.tick()
        rig.next_block()
    ids = [tick.id for tick in rig.ledger.history.between("eth", None, None)]
    assert ids == list(range(1, PAGE + 4))
    assert [row.tick for row in replayed(rig, 3, 5)] == [3, 4, 5]
    befores = [tick.before for tick in rig.ledger.history.between("eth", None, None)]
    assert befores == [None, *ids[:-1]]


def test_a_tick_that_is_not_there_is_named(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="no tick 7"):
        rig.ledger.history.tick(7)


def test_an_explanation_says_what_was_decided_and_where_the_value_went(rig: Rig) -> None:
    run(rig, "2000", "2003")
    history: History = rig.ledger.history
    first, second = (explain.explained(history, i) for i in (1, 2))
    assert first.attribution is None
    assert second.attribution is not None
    assert second.attribution.fees == pytest.approx(-float(rig.ledger.fills("eth")[0][0].fee_usd))
    assert second.attribution.gas == pytest.approx(-2)
    told = explain.explanation_json(second)
    json.dumps(told)
    assert told["attribution_usd"]["total"] == pytest.approx(second.attribution.total)
    assert set(told["delta"]["bounds"]) >= {"vols", "orders in flight"}
    text = shown(explain.explanation_view(second))
    for words in ("Tick 2 of book eth", "It would trade at", "orders in flight", "unexplained", "fees"):
        assert words in text


def test_a_fill_that_comes_after_the_next_tick_counts_from_then_on(rig: Rig) -> None:
    rig.client.on_send = lambda raw: None
    run(rig, "2000", "2000")
    assert rig.ledger.history.settled_between(1, 2) == ((), 0)
    rig.mines(rig.client.sent[0])
    run(rig, "2000", "2000")
    assert rig.ledger.history.settled_between(1, 2) == ((), 0)
    trades, gas = rig.ledger.history.settled_between(2, 3)
    assert (len(trades), gas) == (1, 2)


class TestTheLastTrade:
    def test_it_is_the_last_order_that_traded_and_not_the_last_tick(self, rig: Rig) -> None:
        assert rig.ledger.last_trade("eth", paper=False) is None
        run(rig, "2000", "2000.1", "2000.2")
        assert rig.ledger.last_trade("eth", paper=True) is None, "nothing was traded on paper"
        assert rig.ledger.last_trade("eth", paper=False) == LastTrade(
            rig.ledger.history.tick(1).decided.snapshot.at, Decimal(2000)
        )

    @pytest.mark.parametrize("policy", [Interval(86_400, Decimal(0)), PriceMove(Decimal("0.05"), Decimal(0))])
    def test_a_rebalance_in_clips_is_finished_before_the_next_one_is_waited_for(
        self, rig: Rig, policy: Interval | PriceMove
    ) -> None:
        rig.rules = rules(policy=policy, limits=limits(max_order=Decimal(2)))
        rig.restart()
        sizes = []
        for _ in range(5):
            tick = rig.tick()
            sizes.append(tick.outcome.fill.size if tick.outcome and tick.outcome.fill else None)
            rig.next_block()
        assert sizes[:2] == [2, 2]
        assert sizes[2] is not None
        assert 0 < sizes[2] < 2
        assert sizes[3:] == [None, None]
        assert abs(rig.tick().record.exposure.net) < 0.01

    def test_a_policy_by_time_replays_from_what_was_recorded(self, rig: Rig) -> None:
        rig.rules = rules(policy=Interval(2, Decimal(0)), limits=limits(max_order=Decimal(1000)))
        rig.restart()
        run(rig, *["2000", "2010", "2020", "2030", "2040", "2050"])
        done = replayed(rig)
        assert all(row.identical for row in done)
        assert [isinstance(row.recorded, Rebalance) for row in done] == [True, False] * 3


def test_the_snapshot_of_the_newest_tick_is_at_hand(rig: Rig) -> None:
    assert rig.ledger.last_tick("eth") is None
    run(rig, "2000", "2005")
    newest = rig.ledger.last_tick("eth")
    assert newest is not None
    assert (newest.id, newest.snapshot.spot) == (2, 2005)
    decided = rig.ledger.history.tick(2).decided
    assert (newest.snapshot, newest.exposure) == (decided.snapshot, decided.exposure)


def test_the_vols_and_the_time_are_those_of_the_tick(rig: Rig) -> None:
    rig.source.state = source(option("-10", vol=0.7))
    rig.client.block = block(200, rig.clock.time - 5)
    rig.curie.state = venue_state("5")
    record = rig.desk.assess(rig.book)
    assert (record.snapshot.at, record.snapshot.vols.at) == (rig.clock.time, rig.clock.time - 5)
    assert record.snapshot.vols.name == "vault"
