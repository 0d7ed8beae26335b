"""Budgets of an hour and a day: at, below and above each, of one book and of all, and how the ledger adds them up."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import (
    ACCOUNT_ID,
    NOW,
    Rig,
    block,
    decided,
    exposure,
    fill,
    intent,
    limits,
    option,
    rules,
    snapshot,
    source,
    venue_state,
)
from builders import attempt as signed_attempt
from builders import receipt as mined_receipt
from eth_abi.abi import encode
from rich.console import Console

from bot import core
from bot.config.limits import LimitsConfig
from bot.core.budgets import Budgets, Use, reserved
from bot.core.decision import budgets_used
from bot.core.limits import BOOK_CODES, CALM_CODES, TOTAL_CODES
from bot.core.margin import MarginPolicy
from bot.core.model import (
    CostPoint,
    Decision,
    Hold,
    IntentKind,
    Mode,
    Outcome,
    OutcomeState,
    Prices,
    Rebalance,
    Snapshot,
    Spent,
)
from bot.core.orders import Order, reserve_price
from bot.core.protection import Protection
from bot.core.risk import guard, recheck
from bot.explain import explained
from bot.ledger import SqlLedger, open_ledger
from bot.render import budgets_json, budgets_table
from bot.replay import replay

D = Decimal
HOUR, DAY = 3_600, 86_400
EXPOSED = exposure(-5.0)
FLAT = (CostPoint(D(1000), D(2000)), CostPoint(D(-1000), D(2000)))
UNIT = reserve_price(D(2000) * D("1.005") * D("1.001"), D(2000))
FEE = UNIT / 1000

WHOSE = [("spent", "budgets", "", "book eth"), ("spent_in_all", "in_all", "TOTAL_", "all books")]


def run(size: str, seen: Snapshot, mode: Mode = Mode.ACTIVE, **bounds: Any) -> Decision:
    deep = replace(seen, venue=venue_state("-50", max_buy=D(1000), curve=FLAT))
    wide: dict[str, Any] = {"max_order": D(1000), "max_position": D(1000)}
    return guard(Rebalance(D(size), "because"), EXPOSED, deep, limits(**(wide | bounds)), mode)


def told(decision: Decision) -> str:
    return decision.code if isinstance(decision, Hold) else f"{decision.size.normalize():f}"


@pytest.mark.parametrize(("field", "bound", "prefix", "whose"), WHOSE)
class TestEachBudget:
    @pytest.mark.parametrize("word", ["hour", "day"])
    @pytest.mark.parametrize(("used", "passes"), [(2, True), (3, True), (4, False), (5, False)])
    def test_orders(
        self, field: str, bound: str, prefix: str, whose: str, word: str, used: int, passes: bool
    ) -> None:
        seen = snapshot(**{field: Spent(**{f"trades_{word}": used})})
        decision = run("5", seen, **{bound: Budgets(**{f"max_trades_{word}": 4})})
        assert told(decision) == ("5" if passes else f"{prefix}TRADES_{word.upper()}")
        if not passes:
            assert decision.text == f"{whose}: {used} orders in the last {word}, the limit is 4"

    @pytest.mark.parametrize("word", ["hour", "day"])
    @pytest.mark.parametrize(
        ("wanted", "size"), [("2.999", "2.999"), ("3", "3"), ("3.001", "3"), ("50", "3")]
    )
    def test_turnover_is_cut(
        self, field: str, bound: str, prefix: str, whose: str, word: str, wanted: str, size: str
    ) -> None:
        seen = snapshot(**{field: Spent(**{f"turnover_{word}_usd": D(10_000)})})
        budgets = Budgets(**{f"max_turnover_{word}_usd": 10_000 + 3 * UNIT})
        decision = run(wanted, seen, **{bound: budgets})
        assert told(decision) == size
        assert not isinstance(decision, Rebalance) or decision.remaining == 0
        if wanted != size:
            assert f"the {word}'s turnover of {whose}, 10000.00 USD of" in decision.text

    @pytest.mark.parametrize("word", ["hour", "day"])
    @pytest.mark.parametrize("used", ["30000", "29999", "40000"])
    def test_turnover_that_is_used_up(
        self, field: str, bound: str, prefix: str, whose: str, word: str, used: str
    ) -> None:
        seen = snapshot(**{field: Spent(**{f"turnover_{word}_usd": D(used)})})
        decision = run("5", seen, **{bound: Budgets(**{f"max_turnover_{word}_usd": D(30_000)})})
        assert told(decision) == f"{prefix}TURNOVER_{word.upper()}"

    @pytest.mark.parametrize(("off", "passes"), [("-0.01", False), ("0", True), ("0.01", True)])
    def test_fees(self, field: str, bound: str, prefix: str, whose: str, off: str, passes: bool) -> None:
        seen = snapshot(**{field: Spent(fees_day_usd=D(100))})
        decision = run("5", seen, **{bound: Budgets(max_fees_day_usd=100 + 5 * FEE + D(off))})
        assert told(decision) == ("5" if passes else f"{prefix}DAILY_FEES")
        assert passes or decision.text.startswith(f"{whose}: 100.00 USD of fees in the last day")

    @pytest.mark.parametrize(("limit", "passes"), [("124.99", False), ("125", True), ("126", True)])
    def test_gas(self, field: str, bound: str, prefix: str, whose: str, limit: str, passes: bool) -> None:
        """An order counts with the most that its gas may cost."""
        seen = snapshot(**{field: Spent(gas_day_usd=D(100))})
        budgets = Budgets(max_gas_day_usd=D(limit))
        decision = run("5", seen, max_order_gas_usd=D(25), **{bound: budgets})
        assert told(decision) == ("5" if passes else f"{prefix}DAILY_GAS")

    @pytest.mark.parametrize(("change", "passes"), [("500", True), ("-100", True), ("-100.01", False)])
    def test_loss(self, field: str, bound: str, prefix: str, whose: str, change: str, passes: bool) -> None:
        seen = snapshot(**{field: Spent(change_day_usd=D(change))})
        budgets = {bound: Budgets(max_loss_day_usd=D(100))}
        decision = run("5", seen, **budgets)
        assert told(decision) == ("5" if passes else f"{prefix}DAILY_LOSS")
        assert passes or decision.text == f"{whose}: 100.01 USD lost in the last day, the limit is 100"
        assert told(run("5", seen, Mode.REDUCING, **budgets)) == "5", "what shrinks the position may go on"

    def test_the_bytes_to_be_signed_are_held_against_it_again(
        self, field: str, bound: str, prefix: str, whose: str
    ) -> None:
        spent = Spent(3, 3, D(900), D(900), D(9), D(9), D(-9))
        for name, limit, code in (
            ("max_trades_hour", 3, "TRADES_HOUR"),
            ("max_trades_day", 3, "TRADES_DAY"),
            ("max_turnover_hour_usd", D(2_909), "TURNOVER_HOUR"),
            ("max_turnover_day_usd", D(2_909), "TURNOVER_DAY"),
            ("max_fees_day_usd", D("11.009"), "DAILY_FEES"),
            ("max_gas_day_usd", D(33), "DAILY_GAS"),
            ("max_loss_day_usd", D(8), "DAILY_LOSS"),
        ):
            for slack in (D(0), D("1.01")):
                budgets = Budgets(**{name: limit + (slack if isinstance(limit, Decimal) else int(slack))})
                bounds = limits(max_order_gas_usd=D(25), **{bound: budgets})
                seen = snapshot(**{field: spent})
                order = Order(D(1), D(2010), NOW)
                hold = recheck(order, D(0), EXPOSED, seen, bounds, Mode.ACTIVE)
                assert (hold.code if hold else "") == ("" if slack else prefix + code), (name, slack)


def test_open_orders_count_in_full() -> None:
    """A purchase at its bound, a sale as far above the mark as its bound is below: it may still be executed so."""
    buy, sell = intent(), intent(size="-5", price_bound=D(1990))
    spent = reserved(Spent(trades_hour=1, gas_day_usd=D(1)), [buy, sell], D("0.001"), D(25))
    worth = 5 * D(2010) + 5 * D(2010)
    assert (spent.trades_hour, spent.trades_day) == (3, 2)
    assert spent.turnover_hour_usd == spent.turnover_day_usd == worth
    assert (spent.fees_day_usd, spent.gas_day_usd) == (worth / 1000, 51)


def test_what_is_left_of_every_budget_that_is_configured_is_told_and_of_no_other() -> None:
    of_book = Budgets(10, 20, D(1_000), D(2_000), D(30), D(40), D(50))
    spent = Spent(1, 2, D(300), D(400), D(5), D(6), D(-51))
    seen = snapshot(spent=spent, spent_in_all=Spent(trades_hour=9), top_up_left_usd=D(400))
    keep = Protection(MarginPolicy(), D(1_000))
    by = rules(limits=limits(budgets=of_book, in_all=Budgets(max_trades_hour=8)), margin=keep)
    told = [(use.whose, use.name, use.used, use.allowed, use.left) for use in budgets_used(seen, by)]
    assert told == [
        ("book eth", "max_trades_hour", 1, 10, 9),
        ("book eth", "max_trades_day", 2, 20, 18),
        ("book eth", "max_turnover_hour_usd", 300, 1_000, 700),
        ("book eth", "max_turnover_day_usd", 400, 2_000, 1_600),
        ("book eth", "max_fees_day_usd", 5, 30, 25),
        ("book eth", "max_gas_day_usd", 6, 40, 34),
        ("book eth", "max_loss_day_usd", 51, 50, 0),
        ("all books", "max_trades_hour", 9, 8, 0),
        ("book eth", "max_topup_day_usd", 600, 1_000, 400),
    ]
    assert budgets_used(seen, rules()) == []


def test_budgets_are_shown_to_people_and_to_machines() -> None:
    found = [
        Use("book eth", "max_fees_day_usd", D("1234.5"), D(2_000)),
        Use("all books", "max_trades_day", D(7), D(5)),
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(budgets_table(found))
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["book", "eth", "max_fees_day_usd", "1,234.50", "2,000.00", "765.50"] in lines
    assert ["all", "books", "max_trades_day", "7", "5", "0"] in lines
    assert budgets_json(found) == [
        {
            "whose": "book eth",
            "budget": "max_fees_day_usd",
            "used": "1234.5",
            "allowed": "2000",
            "left": "765.5",
        },
        {"whose": "all books", "budget": "max_trades_day", "used": "7", "allowed": "5", "left": "0"},
    ]


def test_no_two_codes_are_the_same() -> None:
    assert len({*BOOK_CODES, *TOTAL_CODES}) == len(BOOK_CODES) + len(TOTAL_CODES)


def test_every_code_in_the_source_of_a_decision_is_known_to_the_configuration() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(core.__file__).parent.glob("*.py"))
    written = set(re.findall(r'\b(?:Hold|Cap)\(\s*"([A-Z_]+)"', source))
    assert written >= {"MARGIN", "WOULD_TRANSFER", "ORDER_OPEN", "STALE_VOL", "NO_ROOM"}
    assert written <= {*BOOK_CODES, *CALM_CODES}
    limits = LimitsConfig(max_order="1", max_position="1", then=dict.fromkeys(BOOK_CODES, "halt"))
    assert limits.then.keys() == set(BOOK_CODES)


@pytest.mark.parametrize("code", CALM_CODES)
def test_a_tick_that_holds_because_all_is_well_changes_no_mode(code: str) -> None:
    with pytest.raises(ValueError, match=f"{code} is no code of these limits"):
        LimitsConfig(max_order="1", max_position="1", then={code: "halt"})


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    return open_ledger(tmp_path / "vaultkeel.db")


Place = Callable[..., None]


@pytest.fixture
def order(ledger: SqlLedger) -> Place:
    """Places orders, each at a nonce of its own, resolved at a given age."""
    nonces = iter(range(1000))

    def place(age: int, state: str = "FILLED", *, book: str = "eth", signed: bool = True) -> None:
        nonce = next(nonces)
        key = f"order-{nonce}"
        tick = ledger.record_tick(decided(snapshot(at=NOW - age - 7, book=book)))
        ledger.intend(intent(key, market=f"market-{nonce}", book=book), tick)
        if signed:
            row = signed_attempt(key, nonce)
            ledger.attempt(row)
            if state not in ("PENDING", "BURIED"):
                ledger.mined(mined_receipt(row.hash, succeeded=state != "REVERTED"))
        if state == "PENDING":
            return
        if state == "BURIED":
            ledger.bury(key, "lost", NOW - age)
            return
        traded = fill("5") if state in ("FILLED", "PARTIAL", "PAPER") else None
        outcome = OutcomeState.DEAD if state == "REVERTED" else OutcomeState(state)
        ledger.resolve(key, Outcome(outcome, "", traded), D(3), NOW - age)

    return place


class TestLedger:
    def test_a_new_ledger_has_spent_nothing(self, ledger: SqlLedger) -> None:
        assert ledger.spent(None, NOW, paper=False) == Spent()

    @pytest.mark.parametrize(
        ("age", "hour", "day"),
        [(0, 1, 1), (HOUR - 1, 1, 1), (HOUR, 0, 1), (DAY - 1, 0, 1), (DAY, 0, 0), (-60, 1, 1)],
    )
    def test_windows_roll(self, ledger: SqlLedger, order: Place, age: int, hour: int, day: int) -> None:
        order(age)
        spent = ledger.spent("eth", NOW, paper=False)
        assert (spent.trades_hour, spent.trades_day) == (hour, day)
        assert (spent.turnover_hour_usd, spent.turnover_day_usd) == (10_000 * hour, 10_000 * day)
        assert (spent.fees_day_usd, spent.gas_day_usd) == (10 * day, 3 * day)
        assert spent.last_order_at == NOW - age - 7, "the newest order is known however old it is"

    def test_books_add_up(self, ledger: SqlLedger, order: Place) -> None:
        order(10)
        order(20, book="btc")
        assert ledger.spent("eth", NOW, paper=False).trades_day == 1
        total = ledger.spent(None, NOW, paper=False)
        assert (total.trades_day, total.turnover_hour_usd, total.last_order_at) == (2, 20_000, NOW - 27)

    def test_a_reverted_or_lost_order_counts_with_its_gas_and_no_turnover(
        self, ledger: SqlLedger, order: Place
    ) -> None:
        order(10, "REVERTED")
        order(10, "BURIED")
        spent = ledger.spent("eth", NOW, paper=False)
        assert (spent.trades_hour, spent.turnover_day_usd, spent.gas_day_usd) == (2, 0, 3)

    def test_an_order_that_was_never_signed_counts_nowhere(self, ledger: SqlLedger, order: Place) -> None:
        order(10, "DEAD", signed=False)
        assert ledger.spent("eth", NOW, paper=False) == Spent()

    def test_recorded_orders_count_on_paper_alone(self, ledger: SqlLedger, order: Place) -> None:
        order(10, "PAPER", signed=False)
        assert ledger.spent("eth", NOW, paper=False) == Spent()
        assert ledger.spent("eth", NOW, paper=True).turnover_day_usd == 10_000

    def test_open_orders_are_left_to_be_counted_in_full(self, ledger: SqlLedger, order: Place) -> None:
        order(10, "PENDING")
        spent = ledger.spent("eth", NOW, paper=False)
        assert (spent.trades_day, spent.last_order_at) == (0, NOW - 17)

    def test_the_change_of_value_is_the_sum_of_a_days_ticks(self, ledger: SqlLedger) -> None:
        for age, change in ((DAY, -1000), (DAY - 1, -30), (60, 10), (0, None)):
            seen = snapshot(at=NOW - age, change_usd=None if change is None else D(change))
            ledger.record_tick(decided(seen))
        ledger.record_tick(decided(snapshot(book="btc", change_usd=D(-5))))
        ledger.record_tick(decided(snapshot(paper=True, change_usd=D(-7))))
        spent = ledger.spent("eth", NOW, paper=False)
        assert (spent.change_day_usd, spent.loss_day_usd) == (-20, 20)
        assert ledger.spent(None, NOW, paper=False).loss_day_usd == 25
        assert ledger.spent("eth", NOW, paper=True).loss_day_usd == 7


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "vaultkeel.db")


def code(rig: Rig) -> str:
    decision = rig.tick().record.decision
    return decision.code if isinstance(decision, Hold) else "REBALANCE"


def bounded(rig: Rig, **changes: Any) -> None:
    rig.rules = rules(limits=limits(**changes))
    rig.restart()
    rig.client.on_send = rig.mines


def later(rig: Rig, seconds: int) -> None:
    rig.clock.time += seconds
    rig.client.block = block(rig.client.block.number + 1, rig.clock.time)


class TestDesk:
    def test_a_budget_survives_a_restart_and_rolls_on(self, rig: Rig) -> None:
        bounded(rig, max_order=D(2), budgets=Budgets(max_trades_hour=2))
        assert [code(rig), (later(rig, 1), code(rig))[1]] == ["REBALANCE", "REBALANCE"]
        for wait, expected in ((1, "TRADES_HOUR"), (3597, "TRADES_HOUR"), (1, "REBALANCE")):
            later(rig, wait)
            rig.restart()
            rig.client.on_send = rig.mines
            assert code(rig) == expected
        assert len(rig.client.sent) == 3

    def test_a_reverted_order_counts(self, rig: Rig) -> None:
        bounded(rig, budgets=Budgets(max_trades_day=1))
        rig.client.on_send = lambda raw: rig.mines(raw, succeeded=False)
        assert code(rig) == "REBALANCE"
        later(rig, 5)
        assert code(rig) == "TRADES_DAY"

    def test_all_of_it_is_in_the_snapshot_and_replays(self, rig: Rig) -> None:
        bounded(rig, max_order=D(2), min_order=D("0.1"), budgets=Budgets(max_turnover_day_usd=D(9_000)))
        sizes = []
        for _ in range(4):
            tick = rig.tick()
            decision = tick.record.decision
            sizes.append(decision.size if isinstance(decision, Rebalance) else decision.code)
            later(rig, 20)
        assert sizes[:2] == [2, 2]
        assert isinstance(sizes[2], Decimal)
        assert sizes[3] == "TURNOVER_DAY"
        done = list(replay(rig.ledger.history.between("eth", None, None), rig.rules))
        assert [row.identical for row in done] == [True] * 4
        tick_before = rig.ledger.last_tick("eth")
        assert tick_before is not None
        last = tick_before.snapshot
        assert last.spent.trades_day == 3
        assert last.spent.turnover_day_usd <= 9_000
        assert last.spent_in_all == last.spent
        assert last.before == Prices(D(2000), D(2000))

    def test_an_open_order_is_counted_in_full(self, rig: Rig) -> None:
        bounded(rig, budgets=Budgets())
        rig.client.on_send = lambda raw: None
        tick = rig.tick()
        later(rig, 1)
        seen = rig.desk.assess(rig.book).snapshot
        (order,) = rig.ledger.open_intents(ACCOUNT_ID)
        assert tick.intent_key == order.intent.key
        assert seen.spent.trades_hour == 1
        assert seen.spent.turnover_day_usd == order.intent.size * order.intent.price_bound
        assert seen.spent.last_order_at == NOW

    @pytest.mark.parametrize(("move", "mode"), [("halt", Mode.HALTED), ("reduce", Mode.REDUCING)])
    def test_a_code_moves_the_account_to_a_mode_with_its_sentence(
        self, rig: Rig, move: str, mode: Mode
    ) -> None:
        bounded(rig, budgets=Budgets(max_trades_hour=1))
        rig.book = replace(rig.book, then={"TRADES_HOUR": mode})
        rig.client.on_send = lambda raw: rig.mines(raw, "0.3")
        assert code(rig) == "REBALANCE"
        later(rig, 20)
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
        assert rig.desk.assess(rig.book).mode is Mode.ACTIVE, "looking changes nothing"
        assert code(rig) == "TRADES_HOUR"
        why = "TRADES_HOUR: book eth: 1 orders in the last hour, the limit is 1"
        assert rig.ledger.mode_and_why(ACCOUNT_ID) == (mode, why)

    def test_a_milder_mode_never_replaces_a_stricter_one(self, rig: Rig) -> None:
        rig.book = replace(rig.book, then={"HALTED": Mode.REDUCING, "STALE_BLOCK": Mode.REDUCING})
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "a person", NOW)
        rig.clock.time += 500
        assert code(rig) == "STALE_BLOCK"
        assert rig.ledger.mode_and_why(ACCOUNT_ID) == (Mode.HALTED, "a person")

    def test_calldata_that_means_another_order_is_never_signed(self, rig: Rig) -> None:
        honest = rig.curie.prepare

        def twice(order: Any, state: Any) -> Any:
            return honest(replace(order, size=order.size * 2), state)

        rig.curie.prepare = twice  # type: ignore[method-assign]
        tick = rig.tick()
        assert tick.outcome is not None
        assert "the prepared call means another order than was decided" in tick.outcome.reason
        assert (rig.signer.signed, rig.client.sent, rig.outcomes()) == ([], [], ["DEAD"])

    def test_a_breach_that_shows_in_the_bytes_is_never_signed_and_changes_the_mode(self, rig: Rig) -> None:
        """The gas of the signed transaction is more than was reckoned with."""
        bounded(rig, min_native=D("0.998"))
        rig.client.gas = 2_000_000
        rig.book = replace(rig.book, then={"NATIVE_RESERVE": Mode.HALTED})
        rig.client.call_answers = [native(10**18)]
        tick = rig.tick()
        assert tick.outcome is not None
        assert tick.outcome.reason.startswith("NATIVE_RESERVE: the signing account holds 1.0")
        assert (rig.signer.signed, rig.client.sent) == ([], [])
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED

    def test_the_native_coin_that_an_order_carries_counts_against_the_reserve(self, rig: Rig) -> None:
        """Its gas at worst is 0.00156 coins, and it carries 0.001."""
        bounded(rig, min_native=D("0.998"))
        prepare, decode = rig.curie.prepare, rig.curie.decode
        carried = {"wei": 10**15}

        def paying(order: Any, state: Any) -> Any:
            return replace(prepare(order, state), value=carried["wei"])

        rig.curie.prepare = paying  # type: ignore[method-assign]
        rig.curie.decode = lambda call, state: decode(replace(call, value=0), state)  # type: ignore[method-assign]
        mandate = rig.sender._mandate
        rules_ = tuple(replace(rule, max_value_wei=10**15) for rule in mandate.rules)
        rig.sender._mandate = replace(mandate, rules=rules_)
        rig.client.call_answers = [native(10**18), native(10**18)]
        tick = rig.tick()
        assert tick.outcome is not None
        assert tick.outcome.reason.startswith("NATIVE_RESERVE: the signing account holds 1.0")
        carried["wei"] = 0
        rig.next_block()
        rig.tick()
        assert len(rig.signer.signed) == 1


def native(wei: int) -> bytes:
    """Multicall3's answer to a round that asks for one balance."""
    return encode(["(bool,bytes)[]"], [[(True, wei.to_bytes(32, "big"))]])


class TestChange:
    def see(self, rig: Rig, spot: str, *, position: str | None = None, **margin: Any) -> Snapshot:
        """A tick at a spot, the venue's money changed as told."""
        later(rig, 60)
        state = rig.curie.state
        rig.source.state = replace(rig.source.state, spot=D(spot))
        rig.curie.state = replace(state, mark=D(spot), index=D(spot), margin=replace(state.margin, **margin))
        return rig.tick().record.snapshot

    def test_each_tick_records_what_the_book_won_or_lost_since_the_last(self, rig: Rig) -> None:
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "watch only", NOW)
        assert rig.tick().record.snapshot.change_usd is None
        up = self.see(rig, "2100")
        assert up.change_usd is not None
        assert -700 < up.change_usd < -450, "ten short calls with a delta of a half, and gamma against us"
        same = self.see(rig, "2100")
        assert same.change_usd is not None
        assert 0 < same.change_usd < 5, "a minute of theta"
        assert same.spent.change_day_usd == up.change_usd + same.change_usd
        explanation = explained(rig.ledger.history, 2)
        assert explanation.attribution is not None
        assert float(up.change_usd) == pytest.approx(explanation.attribution.total, abs=1e-6)

    def test_a_deposit_is_no_gain_and_a_withdrawal_no_loss(self, rig: Rig) -> None:
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "watch only", NOW)
        rig.tick()
        for moved in (D(50_000), D(-50_000)):
            margin = rig.curie.state.margin
            seen = self.see(
                rig, "2000", collateral=margin.collateral + moved, mark_value=margin.mark_value + moved
            )
            assert seen.change_usd is not None
            assert abs(seen.change_usd) < 5

    @pytest.mark.parametrize("pays", [False, True])
    def test_a_small_change_of_collateral_is_funding_only_where_that_pays_it(
        self, rig: Rig, pays: bool
    ) -> None:
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "watch only", NOW)
        rig.curie.state = replace(rig.curie.state, collateral_pays=pays)
        rig.tick()
        margin = rig.curie.state.margin
        seen = self.see(rig, "2000", collateral=margin.collateral - 4, mark_value=margin.mark_value - 4)
        still = self.see(rig, "2000")
        assert seen.change_usd is not None
        assert still.change_usd is not None
        assert float(seen.change_usd - still.change_usd) == pytest.approx(-4 if pays else 0, abs=0.1)

    def test_a_small_change_of_collateral_beside_a_transfer_of_ours_is_no_loss(self, rig: Rig) -> None:
        rig.ledger.set_mode(ACCOUNT_ID, Mode.HALTED, "watch only", NOW)
        rig.curie.state = replace(rig.curie.state, collateral_pays=True)
        tick = rig.tick().id
        moved = intent(kind=IntentKind.WITHDRAW_MARGIN, size="4")
        rig.ledger.intend(moved, tick)
        assert rig.ledger.transferred_since(ACCOUNT_ID, tick), "it may be done any moment"
        assert not rig.ledger.transferred_since("another", tick)
        rig.ledger.resolve(moved.key, Outcome(OutcomeState.FILLED), D(0), NOW)
        margin = rig.curie.state.margin
        seen = self.see(rig, "2000", collateral=margin.collateral - 4, mark_value=margin.mark_value - 4)
        assert seen.change_usd is not None
        assert seen.change_usd > 0
        last = rig.ledger.last_tick("eth")
        assert last is not None
        assert not rig.ledger.transferred_since(ACCOUNT_ID, last.id), "it is over"

    def test_a_transfer_that_came_to_nothing_moved_nothing(self, rig: Rig) -> None:
        tick = rig.tick().id
        rig.ledger.intend(intent("no", kind=IntentKind.ADD_MARGIN, market="other"), tick)
        rig.ledger.resolve("no", Outcome(OutcomeState.DEAD, "refused"), D(0), NOW)
        assert not rig.ledger.transferred_since(ACCOUNT_ID, tick)

    def test_a_loss_beyond_the_days_holds_and_halts(self, rig: Rig) -> None:
        bounded(rig, budgets=Budgets(max_loss_day_usd=D(400)))
        rig.source.state = source(option("-10"))
        rig.book = replace(rig.book, then={"DAILY_LOSS": Mode.HALTED})
        rig.client.preflight_answer = RuntimeError("nothing is to be sent")
        rig.curie.state = replace(rig.curie.state, max_buy=D(0))
        rig.tick()
        seen = self.see(rig, "2100")
        assert seen.spent.loss_day_usd > 400
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.HALTED
        assert "USD lost in the last day, the limit is 400" in rig.ledger.mode_and_why(ACCOUNT_ID)[1]

    def test_changing_from_paper_to_live_is_no_loss(self, rig: Rig) -> None:
        rig.tick()
        rig.paper = True
        rig.restart()
        later(rig, 60)
        assert rig.desk.assess(rig.book).snapshot.change_usd is None
