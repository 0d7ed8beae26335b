"""What a tick, an order and a run tell an operator, as typed events."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from builders import ACCOUNT, NOW, Rig, decided, exposure, intent, rules, snapshot, venue_state
from sqlalchemy.exc import OperationalError

from bot.core.events import (
    SEVERITIES,
    Event,
    Kind,
    Severity,
    conditions,
    events_of_outcome,
    margin_conditions,
    tell_nobody,
)
from bot.core.margin import MarginPolicy
from bot.core.model import Hold, IntentKind, Margin, Mode, Outcome, OutcomeState
from bot.core.protection import Protection
from bot.errors import ConfigError, DataError, Halt, OutcomeUnknown, TransientError
from bot.monitor import NoMonitor
from bot.ports import OutsideChange
from bot.scheduler import ALERT_AFTER, Runner

KEEP = rules(margin=Protection(MarginPolicy(), Decimal(50_000)))


def told(events: tuple[Event, ...] | list[Event]) -> dict[Kind, bool]:
    """Of each kind whether it is so, as opposed to over."""
    return {event.kind: not event.over for event in events}


def with_equity(usd: int, position: str = "10") -> Any:
    """A tick with a hedge of 10 units at 2000 USD, for which the venue requires 1250 USD, and this equity."""
    worth = Decimal(usd)
    margin = Margin(worth, worth, worth, worth, Decimal(1250), worth)
    return decided(snapshot(venue=venue_state(position, margin=margin)))


def test_every_kind_has_a_severity() -> None:
    assert set(SEVERITIES) == set(Kind)
    assert Severity.INFO < Severity.WARNING < Severity.CRITICAL


@pytest.mark.parametrize("mode", list(Mode))
def test_a_halted_account_is_a_condition_and_an_active_one_ends_it(mode: Mode) -> None:
    found = told(conditions(decided(mode=mode), rules()))
    assert found[Kind.HALTED] is (mode is Mode.HALTED)
    assert (Kind.MODE_BY_LIMIT in found) is (mode is Mode.ACTIVE), "only ACTIVE ends what a limit did"


@pytest.mark.parametrize(
    ("code", "so"), [("STALE_FEED", True), ("SEQUENCER", True), ("INSIDE_BAND", False), ("HALTED", False)]
)
def test_inputs_that_hold_the_trades_are_told_with_their_sentence(code: str, so: bool) -> None:
    record = replace(decided(), decision=Hold(code, "the sentence"))
    (event,) = [e for e in conditions(record, rules()) if e.kind is Kind.INPUTS_NOT_TRUSTED]
    assert event.over is not so
    assert ("the sentence" in event.text) is so


@pytest.mark.parametrize(
    ("equity", "expected"),
    [
        (20_000, {Kind.MARGIN_CRITICAL: False, Kind.MARGIN_WARNING: False}),
        (9_000, {Kind.MARGIN_CRITICAL: False, Kind.MARGIN_WARNING: True}),
        (2_000, {Kind.MARGIN_CRITICAL: True}),
        (-5, {Kind.MARGIN_CRITICAL: True}),
    ],
)
def test_the_margin_is_told_by_the_books_own_levels(equity: int, expected: dict[Kind, bool]) -> None:
    assert told(margin_conditions(with_equity(equity), KEEP)) == expected


@pytest.mark.parametrize(("equity", "so"), [(1_300, False), (1_200, True)])
def test_without_levels_only_what_the_venue_may_liquidate_is_critical(equity: int, so: bool) -> None:
    assert told(margin_conditions(with_equity(equity), rules()))[Kind.MARGIN_CRITICAL] is so


def test_no_position_needs_no_margin() -> None:
    assert not any(told(margin_conditions(with_equity(0, "0"), KEEP)).values())


def test_a_margin_that_is_no_number_is_told_and_breaks_nothing() -> None:
    record = with_equity(1)
    broken = replace(record.snapshot.venue, mark=Decimal("NaN"))
    (event,) = margin_conditions(replace(record, snapshot=replace(record.snapshot, venue=broken)), KEEP)
    assert event.kind is Kind.MARGIN_CRITICAL
    assert "not known" in event.text


@pytest.mark.parametrize(
    ("kind", "outcome", "expected"),
    [
        (IntentKind.TRADE, Outcome(OutcomeState.FILLED), {}),
        (IntentKind.TRADE, Outcome(OutcomeState.DEAD, "CH_TMRL"), {Kind.ORDER_DEAD: True}),
        (
            IntentKind.TRADE,
            Outcome(OutcomeState.DEAD, "cancelled: a no-op took its nonce"),
            {Kind.ORDER_CANCELLED: True},
        ),
        (IntentKind.ADD_MARGIN, Outcome(OutcomeState.DEAD, "reverted"), {Kind.TOP_UP_FAILED: True}),
        (IntentKind.APPROVE, Outcome(OutcomeState.DEAD, "reverted"), {Kind.TOP_UP_FAILED: True}),
        (IntentKind.ADD_MARGIN, Outcome(OutcomeState.FILLED), {Kind.TOP_UP_FAILED: False}),
    ],
)
def test_an_outcome_is_told_for_what_it_is_and_ends_every_doubt(
    kind: IntentKind, outcome: Outcome, expected: dict[Kind, bool]
) -> None:
    events = events_of_outcome(intent("abc", kind=kind), outcome)
    assert told(events) == {Kind.ORDER_IN_DOUBT: False} | expected
    assert all("abc" in event.text for event in events)


class TestDesk:
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        return Rig(tmp_path / "vaultkeel.db")

    def test_an_order_in_doubt_is_told_and_over_once_it_has_an_outcome(self, rig: Rig) -> None:
        def swallow(_raw: bytes) -> NoReturn:
            raise OutcomeUnknown("the node did not confirm a sent order")

        rig.client.on_send = swallow
        rig.tick()
        (doubt,) = rig.events
        assert (doubt.kind, doubt.over) == (Kind.ORDER_IN_DOUBT, False)
        rig.client.on_send = lambda raw: None
        rig.mines(rig.client.sent[0])
        rig.next_block()
        rig.tick()
        assert rig.events[1].key == doubt.key
        assert rig.events[1].over

    def test_an_order_that_is_refused_before_it_is_signed_is_told_as_dead(self, rig: Rig) -> None:
        rig.client.native_wei = 0
        rig.tick()
        dead = [event for event in rig.events if event.kind is Kind.ORDER_DEAD]
        assert "of the native coin" in dead[0].text
        assert rig.client.sent == []

    def test_an_order_that_was_never_signed_is_told_as_dead(self, rig: Rig) -> None:
        rig.ledger.intend(intent(), rig.ledger.record_tick(decided()))
        rig.tick()
        dead = [event for event in rig.events if event.kind is Kind.ORDER_DEAD]
        assert "it was never signed" in dead[0].text

    def test_a_limit_that_changes_the_mode_is_told_with_the_limit(self, rig: Rig) -> None:
        rig.book = replace(rig.book, then={"STALE_BLOCK": Mode.REDUCING})
        rig.clock.time = NOW + 1_000
        rig.tick()
        (event,) = rig.events
        assert event.kind is Kind.MODE_BY_LIMIT
        assert "REDUCING" in event.text
        assert "STALE_BLOCK" in event.text

    def test_a_liquidation_is_told_with_the_venues_own_word(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig.client.on_send = rig.mines
        rig.tick()
        rig.events.clear()
        rig.next_block()

        def liquidated(*_: Any) -> Any:
            yield from ()
            return (OutsideChange(Decimal(-5), "liquidated", "0xabc"),)

        monkeypatch.setattr(rig.curie, "outside_changes", liquidated)
        rig.curie.traded(Decimal(-5))
        rig.tick()
        (event,) = [e for e in rig.events if e.kind is Kind.POSITION_CHANGED]
        assert "liquidated -5" in event.text
        assert ACCOUNT in event.text


class Recorder(NoMonitor):
    """Remembers what a run tells."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.calls: list[str] = []

    def beat(self, account: Any) -> None:
        self.calls.append("beat")

    def began(self, book: Any) -> None:
        self.calls.append("began")

    def done(self, book: Any, tick: Any) -> None:
        self.calls.append("done")

    def failed(self, book: Any, error: Exception) -> None:
        self.calls.append(type(error).__name__)

    def notify(self, event: Event) -> None:
        self.events.append(event)


class TestRunner:
    def run(self, desk: Any, times: int, recorder: Recorder) -> Runner:
        runner = Runner(desk, 0, 0, recorder)
        for _ in range(times):
            runner.visit(runner.accounts[0])
        return runner

    @pytest.fixture
    def desk(self, tmp_path: Path) -> Any:
        rig = Rig(tmp_path / "vaultkeel.db", paper=True)
        return rig.desk

    @pytest.mark.parametrize(
        ("error", "kind", "times"),
        [
            (Halt("look"), Kind.HALTED, 1),
            (ZeroDivisionError("a bug"), Kind.TICK_FAILED, 1),
            (OperationalError("SELECT", {}, Exception("disk full")), Kind.LEDGER_TROUBLE, 1),
            (TransientError("no answer"), Kind.NO_TICK_SUCCEEDS, ALERT_AFTER),
            (DataError("no price"), Kind.NO_TICK_SUCCEEDS, ALERT_AFTER),
        ],
    )
    def test_what_stops_a_tick_is_told_for_what_it_is(
        self, desk: Any, error: Exception, kind: Kind, times: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_book: object) -> NoReturn:
            raise error

        monkeypatch.setattr(desk, "tick", fail)
        recorder = Recorder()
        self.run(desk, times, recorder)
        assert [event.kind for event in recorder.events] == [kind]
        assert recorder.calls == ["beat", "began", type(error).__name__] * times

    def test_ticks_that_succeed_again_are_told(self, desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        right = desk.tick
        recorder = Recorder()
        runner = Runner(desk, 0, 0, recorder)
        monkeypatch.setattr(desk, "tick", lambda _book: (_ for _ in ()).throw(TransientError("no answer")))
        for _ in range(ALERT_AFTER + 2):
            runner.visit(runner.accounts[0])
        monkeypatch.setattr(desk, "tick", right)
        runner.visit(runner.accounts[0])
        assert [event.over for event in recorder.events] == [False, False, False, True]
        assert {event.kind for event in recorder.events} == {Kind.NO_TICK_SUCCEEDS}

    def test_an_error_in_the_configuration_ends_the_run_and_is_told_by_who_started_it(
        self, desk: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bot.scheduler.signal.pthread_kill", lambda *_: None)
        monkeypatch.setattr(desk, "tick", lambda _book: (_ for _ in ()).throw(ConfigError("wrong chain")))
        recorder = Recorder()
        runner = self.run(desk, 1, recorder)
        assert isinstance(runner.fatal, ConfigError)
        assert recorder.calls[-1] == "ConfigError"

    def test_a_delta_in_doubt_is_told_until_it_is_over(
        self, desk: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        right = desk.tick

        def wide(book: Any) -> Any:
            tick = right(book)
            return replace(tick, record=replace(tick.record, exposure=exposure(-3, 3)))

        recorder = Recorder()
        runner = Runner(desk, 0, 0, recorder)
        monkeypatch.setattr(desk, "tick", wide)
        for _ in range(ALERT_AFTER + 1):
            runner.visit(runner.accounts[0])
        monkeypatch.setattr(desk, "tick", right)
        runner.visit(runner.accounts[0])
        doubts = [e for e in recorder.events if e.kind is Kind.DELTA_IN_DOUBT]
        assert [event.over for event in doubts] == [False, False, True]


def test_nobody_is_told_by_default() -> None:
    tell_nobody(Event(Kind.TEST, "x"))
    idle: Any = NoMonitor()
    for name in ("beat", "began", "done", "failed", "notify"):
        getattr(idle, name)(*[None] * {"beat": 1, "began": 1, "notify": 1}.get(name, 2))
