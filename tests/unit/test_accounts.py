"""One key on several chains: the ledger keeps its accounts apart, and an older ledger's are rewritten."""

import sqlite3
import threading
from contextlib import closing
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
    CURIE,
    NOW,
    Rig,
    attempt,
    decided,
    intent,
    receipt,
    signed,
)

from bot.core.accounts import Account, account_id, address_of, chain_id_of
from bot.core.model import Mode
from bot.errors import ConfigError, OrderRejected, TransientError
from bot.ledger import open_ledger
from bot.ledger.lock import FileLock
from bot.ledger.look import look_at
from bot.ledger.migration import chain_id_in
from bot.ledger.readonly import ForeignLedger, open_readonly

THERE = account_id(10, ACCOUNT)
MARKET = CURIE.base_token
KEPT = ("modes", "intents", "attempts", "nonces", "baselines")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vaultkeel.db"


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def test_an_account_is_its_chain_and_its_address() -> None:
    account = Account(ACCOUNT, 10, "optimism")
    assert account.id == THERE == f"eip155:10:{ACCOUNT}"
    assert account.text == f"{ACCOUNT} on optimism"
    assert (address_of(THERE), chain_id_of(THERE)) == (ACCOUNT, 10)
    assert (address_of(ACCOUNT), chain_id_of(ACCOUNT)) == (ACCOUNT, None)


class TestOneKeyOnTwoChains:
    def test_each_has_its_own_nonces_orders_position_and_mode(self, path: Path) -> None:
        ledger = open_ledger(path)
        tick = ledger.record_tick(decided())
        here, there = intent("here"), intent("there", account=THERE)
        ledger.intend(here, tick)
        ledger.intend(there, tick)  # the same market's name on another chain is another market
        ledger.attempt(attempt("here", 4))
        ledger.attempt(attempt("there", 4, account=THERE, hash="0x" + "11" * 32))
        assert (ledger.next_nonce(ACCOUNT_ID), ledger.next_nonce(THERE)) == (5, 5)
        ledger.adopt(THERE, MARKET, Decimal(3), 7, "why", NOW, 9)
        assert (ledger.next_nonce(ACCOUNT_ID), ledger.next_nonce(THERE)) == (5, 9)
        assert (ledger.live_position(ACCOUNT_ID, MARKET), ledger.live_position(THERE, MARKET)) == (0, 3)
        ledger.set_mode(THERE, Mode.HALTED, "why", NOW)
        assert (ledger.mode(ACCOUNT_ID), ledger.mode(THERE)) == (Mode.ACTIVE, Mode.HALTED)
        ledger.mined(receipt("0x" + "11" * 32, block_number=77))
        assert (ledger.last_mined_block(ACCOUNT_ID), ledger.last_mined_block(THERE)) == (0, 77)
        assert [o.intent.key for o in ledger.open_intents(ACCOUNT_ID)] == ["here"]
        assert {o.intent.key for o in ledger.open_intents(None)} == {"here", "there"}
        with pytest.raises(OrderRejected):
            ledger.intend(intent("here again"), tick)

    def test_a_nonce_is_one_orders_on_each_chain(self, path: Path) -> None:
        ledger = open_ledger(path)
        tick = ledger.record_tick(decided())
        ledger.intend(intent("one"), tick)
        ledger.intend(intent("two", market="other"), tick)
        ledger.attempt(attempt("one", 4))
        with pytest.raises(TransientError, match=f"nonce 4 of {ACCOUNT} is another order's"):
            ledger.attempt(attempt("two", 4, hash="0x" + "22" * 32))

    def test_a_chain_that_is_only_read_belongs_to_nobody_until_it_is_traded_on(self, path: Path) -> None:
        ledger = open_ledger(path)
        ledger.bind("other", 10, "", None)
        ledger.bind("other", 10, "", ACCOUNT)
        ledger.bind("other", 10, "", None)
        with pytest.raises(ConfigError, match="it belongs to account"):
            ledger.bind("other", 10, "", "0x" + "11" * 20)
        with pytest.raises(ConfigError, match="it belongs to chain_id 10"):
            ledger.bind("other", 11, "", None)

    def test_threads_write_at_the_same_time_and_nothing_is_lost(self, path: Path) -> None:
        ledger = open_ledger(path, trades=True)
        failed: list[Exception] = []

        def work(account: str) -> None:
            try:
                for number in range(60):
                    ledger.set_mode(account, Mode.ACTIVE, f"{number}", NOW)
                    ledger.record_tick(decided())
                    ledger.mode(account)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test must see it
                failed.append(error)

        threads = [threading.Thread(target=work, args=(who,)) for who in (ACCOUNT_ID, THERE, "third")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        counted = "SELECT account, count(*), max(cast(why AS INTEGER)) FROM modes GROUP BY account"
        assert {row[1:] for row in rows(path, counted)} == {(60, 59)}
        assert rows(path, "SELECT count(*) FROM ticks") == [(180,)]


def older(path: Path, *chains: tuple[str, int]) -> None:
    """A ledger of schema 3 with an open, signed order: accounts are addresses."""
    ledger = open_ledger(path)
    for name, chain_id in chains:
        ledger.bind(name, chain_id, "", ACCOUNT)
    ledger.intend(intent("key"), ledger.record_tick(decided()))
    ledger.attempt(attempt("key", 4))
    ledger.adopt(ACCOUNT_ID, MARKET, Decimal(3), 7, "why", NOW)
    ledger.set_mode(ACCOUNT_ID, Mode.REDUCING, "careful", NOW)
    ledger.close()
    with closing(sqlite3.connect(path)) as db:
        for table in KEPT:
            db.execute(f"UPDATE {table} SET account = ?", (ACCOUNT,))  # noqa: S608 - our own names
        db.execute("UPDATE meta SET value = '3'")
        db.commit()


class TestAnOlderLedger:
    @pytest.mark.parametrize("trades", [False, True])
    def test_it_is_rewritten_and_a_copy_is_kept(self, path: Path, trades: bool) -> None:
        older(path, (CHAIN, CHAIN_ID))
        before = {table: rows(path, f"SELECT * FROM {table}") for table in (*KEPT, "ticks", "chains")}  # noqa: S608
        ledger = open_ledger(path, trades=trades)
        assert ledger.next_nonce(ACCOUNT_ID) == 5
        assert ledger.mode_and_why(ACCOUNT_ID) == (Mode.REDUCING, "careful")
        assert ledger.live_position(ACCOUNT_ID, MARKET) == 3
        (order,) = ledger.open_intents(ACCOUNT_ID)
        assert (order.intent.account, order.attempts[0].account) == (ACCOUNT_ID, ACCOUNT_ID)
        assert ledger.own_transactions(ACCOUNT_ID) == {signed(4).hash}
        ledger.bind(CHAIN, CHAIN_ID, "", ACCOUNT)
        ledger.close()
        copy = path.with_name("vaultkeel.db.schema3")
        assert {table: rows(copy, f"SELECT * FROM {table}") for table in before} == before  # noqa: S608
        assert rows(copy, "SELECT value FROM meta") == [("3",)]
        assert rows(path, "SELECT value FROM meta") == [("4",)]
        assert copy.stat().st_mode == path.stat().st_mode

    def test_with_several_chains_its_transactions_say_which_one_it_traded_on(self, path: Path) -> None:
        older(path, ("source", 10), (CHAIN, CHAIN_ID))
        assert open_ledger(path).next_nonce(ACCOUNT_ID) == 5

    def test_one_that_can_not_be_told_is_refused_and_left_as_it_was(self, path: Path) -> None:
        older(path, ("source", 10), (CHAIN, CHAIN_ID))
        with closing(sqlite3.connect(path)) as db:
            db.execute("DELETE FROM nonces")
            db.execute("DELETE FROM attempts")
            db.commit()
        with pytest.raises(ConfigError, match="belongs to several chains, and nothing in it says which"):
            open_ledger(path)
        assert rows(path, "SELECT value FROM meta") == [("3",)]
        assert rows(path, "SELECT account FROM modes") == [(ACCOUNT,)]

    def test_it_is_left_alone_while_a_run_trades_with_it(self, path: Path) -> None:
        older(path, (CHAIN, CHAIN_ID))
        run = lock_of(path)
        with pytest.raises(ConfigError, match="another run trades with"):
            open_ledger(path)
        assert rows(path, "SELECT value FROM meta") == [("3",)]
        run.release()
        open_ledger(path).close()
        assert rows(path, "SELECT value FROM meta") == [("4",)]

    def test_who_only_looks_is_told_what_to_do(self, path: Path) -> None:
        older(path, (CHAIN, CHAIN_ID))
        for looking, kind in ((look_at, ConfigError), (open_readonly, ForeignLedger)):
            with pytest.raises(kind, match=r"schema 3, this program reads 4: .* `vaultkeel intents`"):
                looking(path)

    def test_the_chain_id_is_read_from_signed_bytes_of_any_length(self) -> None:
        assert chain_id_in(signed(4).raw) == CHAIN_ID
        assert [chain_id_in(raw) for raw in (b"", b"\x01\xc0\x01", b"\x02\x01\x01")] == [None] * 3
        short = b"\x02\xc1\x0a"
        assert chain_id_in(short) == 10


def lock_of(path: Path) -> FileLock:
    """The lock that a run of any version holds."""
    return FileLock(path)


class TestInAll:
    """What all books share is kept by books of several chains, which decide at the same time."""

    def test_an_open_order_on_another_chain_counts_for_all_books(self, path: Path) -> None:
        rig = Rig(path)
        tick = rig.ledger.record_tick(decided())
        rig.ledger.intend(intent("there", account=THERE, book="other"), tick)
        seen = rig.desk.observe(rig.book)
        assert (seen.spent.trades_day, seen.spent_in_all.trades_day) == (0, 1)
        assert seen.open_order == "", "it holds up nobody here"
        assert seen.in_flight == 0

    def test_of_two_orders_that_pass_a_shared_budget_together_one_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig = Rig(path)
        budgets = replace(rig.rules.limits.in_all, max_trades_day=1)
        rig.book = replace(
            rig.book, rules=replace(rig.rules, limits=replace(rig.rules.limits, in_all=budgets))
        )
        two = (*rig.desk.accounts, Account(ACCOUNT, 10, "other"))
        monkeypatch.setattr(type(rig.desk), "accounts", property(lambda _self: two))
        intend = rig.ledger.intend

        def both(ours: Any, tick_id: int) -> None:
            intend(
                intent("there", account=THERE, book="other"), tick_id
            )  # in the moment between look and leap
            intend(ours, tick_id)

        monkeypatch.setattr(rig.ledger, "intend", both)
        tick = rig.tick()
        assert tick.outcome is not None
        assert "TOTAL_TRADES_DAY: all books: 1 orders in the last day, the limit is 1" in tick.outcome.reason
        assert rig.signer.signed == []


def test_at_most_one_transaction_of_an_account_is_ever_in_flight(path: Path) -> None:
    """Some chains' mempools take the next few nonces only."""
    rig = Rig(path)
    rig.tick()
    assert len(rig.client.sent) == 1
    (order,) = rig.ledger.open_intents(ACCOUNT_ID)
    with pytest.raises(TransientError, match="the node lags"):
        rig.sender.check_nonces()
    for _ in range(20):
        rig.clock.time += 40
        rig.next_block()
        rig.tick()
    assert {row[1] for row in rig.attempts()} == {order.attempts[0].nonce}
