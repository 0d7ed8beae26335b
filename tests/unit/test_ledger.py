"""What must survive a crash: real SQLite files, and what they refuse."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import (
    ACCOUNT,
    ACCOUNT_ID,
    CHAIN,
    CHAIN_ID,
    CURIE,
    NOW,
    address,
    attempt,
    decided,
    fill,
    intent,
    option,
    receipt,
    signed,
    snapshot,
    source,
    venue_state,
)
from sqlalchemy import text

from bot.core.model import Hold, Intent, Mode, Outcome, OutcomeState, Rebalance, Snapshot
from bot.errors import ConfigError, OrderRejected, TransientError
from bot.ledger import SqlLedger, open_ledger
from bot.ledger.rows import DECISION, EXPOSURE, SNAPSHOT

FILLED = Outcome(OutcomeState.FILLED, "", fill("5"))
DEAD = Outcome(OutcomeState.DEAD, "refused")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledgers" / "vaultkeel.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[SqlLedger]:
    with closing(open_ledger(path)) as opened:
        yield opened


def intended(ledger: SqlLedger, order: Intent | None = None) -> Intent:
    order = order or intent()
    ledger.intend(order, ledger.record_tick(decided()))
    return order


def attempted(ledger: SqlLedger, order: Intent | None = None, nonce: int = 0) -> str:
    order = intended(ledger, order)
    transaction = signed(nonce)
    ledger.attempt(attempt(order.key, nonce))
    return transaction.hash


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


class TestOpening:
    def test_a_new_ledger_and_its_folder_are_made(self, ledger: SqlLedger, path: Path) -> None:
        tables = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert tables == {
            "meta",
            "chains",
            "modes",
            "ticks",
            "intents",
            "attempts",
            "nonces",
            "fills",
            "baselines",
            "epoch",
        }
        assert rows(path, "SELECT value FROM meta WHERE name = 'schema_version'") == [("4",)]

    def test_what_was_written_is_there_when_it_is_opened_again(self, path: Path) -> None:
        with closing(open_ledger(path)) as first:
            tx_hash = attempted(first)
        with closing(open_ledger(path)) as second:
            (order,) = second.open_intents(ACCOUNT_ID)
        assert order.intent == intent()
        assert [(a.hash, a.raw, a.nonce, a.state) for a in order.attempts] == [
            (tx_hash, signed().raw, 0, "SIGNED")
        ]

    def test_every_connection_writes_ahead_and_waits_for_the_disk(self, ledger: SqlLedger) -> None:
        quiet = {"isolation_level": "AUTOCOMMIT"}
        connections = [ledger._engine.connect().execution_options(**quiet) for _ in range(3)]
        try:
            for connection in connections:
                assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
                assert connection.scalar(text("PRAGMA synchronous")) == 2, "FULL"
                assert connection.scalar(text("PRAGMA foreign_keys")) == 1
        finally:
            for connection in connections:
                connection.close()

    def test_another_connection_sees_what_a_call_has_written_when_it_returns(
        self, ledger: SqlLedger, path: Path
    ) -> None:
        with closing(open_ledger(path)) as other:
            order = intended(ledger)
            assert [o.intent for o in other.open_intents(ACCOUNT_ID)] == [order]
            other.attempt(attempt(order.key, 4))
            assert ledger.next_nonce(ACCOUNT_ID) == 5
            ledger.mined(receipt(signed(4).hash))
            ledger.resolve(order.key, FILLED, Decimal(0), NOW)
            assert other.open_intents(ACCOUNT_ID) == ()
            assert other.fills("eth") == [(fill("5"), False)]
            other.set_mode(ACCOUNT_ID, Mode.HALTED, "why", NOW)
            assert ledger.mode(ACCOUNT_ID) is Mode.HALTED

    def test_another_schema_is_refused_and_left_as_it_was(self, path: Path) -> None:
        open_ledger(path).close()
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE meta SET value = '7' WHERE name = 'schema_version'")
            db.execute("DROP TABLE fills")
            db.commit()
        with pytest.raises(ConfigError, match="ledger: it was written with schema 7, this program reads 4"):
            open_ledger(path)
        assert rows(path, "SELECT name FROM sqlite_master WHERE name = 'fills'") == []

    def test_another_programs_database_is_refused_and_left_as_it_was(self, path: Path) -> None:
        path.parent.mkdir()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE cookies (name TEXT)")
            db.commit()
        with pytest.raises(
            ConfigError, match="ledger: it is another program's database, with a table 'cookies'"
        ):
            open_ledger(path)
        assert rows(path, "SELECT name FROM sqlite_master") == [("cookies",)]

    @pytest.mark.parametrize("damage", ["junk", "header", "middle"])
    def test_a_corrupted_file_is_a_config_error_with_its_path(self, path: Path, damage: str) -> None:
        with closing(open_ledger(path)) as ledger:
            for number in range(50):
                ledger.set_mode(ACCOUNT_ID, Mode.ACTIVE, f"reason {number}" * 50, NOW)
        content = bytearray(path.read_bytes())
        match damage:
            case "junk":
                content = bytearray(b"this is no database" * 400)
            case "header":
                content[:16] = bytes(16)
            case "middle":
                content[100:4096] = b"\xff" * 3996
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"ledger: {path} (is not a Vaultkeel ledger|can't be opened)"):
            open_ledger(path)
        assert path.read_bytes() == content

    def test_a_folder_in_its_place_is_a_config_error(self, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(ConfigError, match=f"ledger: {path} can't be opened or written"):
            open_ledger(path)

    def test_a_file_in_the_folders_place_is_a_config_error(self, path: Path) -> None:
        path.parent.write_text("")
        with pytest.raises(ConfigError, match=f"ledger: {path} can't be created"):
            open_ledger(path)

    def test_a_read_only_folder_is_a_config_error(self) -> None:
        with tempfile.TemporaryDirectory() as name, without_rights(Path(name)):
            with pytest.raises(ConfigError, match=f"ledger: {name}/vaultkeel.db can't be opened or written"):
                open_ledger(Path(name) / "vaultkeel.db")
            with pytest.raises(ConfigError, match=f"ledger: {name}/new/vaultkeel.db can't be created"):
                open_ledger(Path(name) / "new" / "vaultkeel.db")


@contextmanager
def without_rights(folder: Path) -> Iterator[None]:
    """A folder that may be read and not written, for root as for anybody."""
    folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


class TestBinding:
    def test_the_same_run_may_come_back(self, ledger: SqlLedger) -> None:
        for _ in range(2):
            ledger.bind(CHAIN, CHAIN_ID, "instance-1", ACCOUNT)

    @pytest.mark.parametrize(
        ("chain_id", "instance", "account", "field"),
        [
            (1, "instance-1", ACCOUNT, "chain_id"),
            (CHAIN_ID, "instance-2", ACCOUNT, "instance"),
            (CHAIN_ID, "", ACCOUNT, "instance"),
            (CHAIN_ID, "instance-1", address(5), "account"),
        ],
    )
    def test_another_chain_instance_or_account_is_refused(
        self, ledger: SqlLedger, chain_id: int, instance: str, account: str, field: str
    ) -> None:
        ledger.bind(CHAIN, CHAIN_ID, "instance-1", ACCOUNT)
        with pytest.raises(ConfigError, match=f"ledger: it belongs to {field} .* a ledger of its own"):
            ledger.bind(CHAIN, chain_id, instance, account)
        ledger.bind(CHAIN, CHAIN_ID, "instance-1", ACCOUNT)

    def test_another_chain_of_the_same_run_is_bound_beside_it(self, ledger: SqlLedger) -> None:
        ledger.bind(CHAIN, CHAIN_ID, "", ACCOUNT)
        ledger.bind("other", 10, "", ACCOUNT)
        with pytest.raises(ConfigError, match="chain_id 10 of other"):
            ledger.bind("other", 11, "", ACCOUNT)


class TestIntents:
    def test_an_intent_comes_back_as_it_was(self, ledger: SqlLedger) -> None:
        order = intended(ledger, intent(size="-0.001", price_bound=Decimal("1999.123456")))
        (found,) = ledger.open_intents(ACCOUNT_ID)
        assert found.intent == order
        assert str(found.intent.price_bound) == "1999.123456"
        assert found.attempts == ()

    def test_a_key_is_intended_once(self, ledger: SqlLedger) -> None:
        intended(ledger)
        ledger.resolve("intent-1", DEAD, Decimal(0), NOW)
        with pytest.raises(OrderRejected, match="intent-1 was intended before"):
            intended(ledger)

    def test_an_account_has_one_open_intent_per_market(self, ledger: SqlLedger) -> None:
        intended(ledger, intent("one"))
        with pytest.raises(OrderRejected, match=f"{CURIE.base_token} has an order without an outcome"):
            intended(ledger, intent("two"))
        intended(ledger, intent("other market", market=address(77)))
        intended(ledger, intent("other account", account=address(78)))
        ledger.resolve("one", DEAD, Decimal(0), NOW)
        intended(ledger, intent("two"))
        assert [o.intent.key for o in ledger.open_intents(ACCOUNT_ID)] == ["other market", "two"]
        assert [o.intent.key for o in ledger.open_intents(ACCOUNT_ID, CURIE.base_token)] == ["two"]

    def test_the_database_itself_refuses_a_second_pending_intent(self, ledger: SqlLedger, path: Path) -> None:
        intended(ledger)
        copy = (
            "INSERT INTO intents SELECT 'copy', tick_id, book, account, market, kind, size, price_bound, deadline, "
            "reference_price, parent, order_id, ?, reason, gas_usd, resolved_at, resolved_after, settled_tx, "
            "settled_block, settled_block_hash FROM intents"
        )
        with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute(copy, ("PENDING",))

    def test_an_intent_belongs_to_a_tick(self, ledger: SqlLedger) -> None:
        with pytest.raises(OrderRejected):
            ledger.intend(intent(), 12345)
        assert ledger.open_intents(ACCOUNT_ID) == ()


class TestAttempts:
    def test_the_next_nonce_follows_the_highest_ever_signed(self, ledger: SqlLedger) -> None:
        assert ledger.next_nonce(ACCOUNT_ID) is None
        attempted(ledger, nonce=7)
        assert ledger.next_nonce(ACCOUNT_ID) == 8
        assert ledger.next_nonce(address(5)) is None
        ledger.mined(receipt(signed(7).hash, succeeded=False))
        ledger.resolve("intent-1", DEAD, Decimal(0), NOW)
        assert ledger.next_nonce(ACCOUNT_ID) == 8, "an order's end does not free its nonce"

    def test_the_states_of_an_attempt_follow_each_other(self, ledger: SqlLedger) -> None:
        tx_hash = attempted(ledger)

        def state() -> str:
            ((attempt,),) = [order.attempts for order in ledger.open_intents(ACCOUNT_ID)]
            return attempt.state

        assert state() == "SIGNED"
        ledger.sent(tx_hash)
        assert state() == "SENT"
        ledger.mined(receipt(tx_hash))
        assert state() == "MINED_OK"
        ledger.sent(tx_hash)
        assert state() == "MINED_OK", "another run may note its send late"

    def test_a_nonce_is_signed_once(self, ledger: SqlLedger) -> None:
        attempted(ledger)
        intended(ledger, intent("two", market=address(77)))
        with pytest.raises(TransientError, match=f"nonce 0 of {ACCOUNT} is another order's"):
            ledger.attempt(attempt("two"))
        (_, two) = ledger.open_intents(ACCOUNT_ID)
        assert two.attempts == ()

    def test_an_intent_with_an_outcome_is_never_signed(self, ledger: SqlLedger) -> None:
        """Two runs on one ledger: the other has given the order up while this one was about to sign it."""
        intended(ledger)
        ledger.resolve("intent-1", DEAD, Decimal(0), NOW)
        with pytest.raises(TransientError, match="intent-1 has an outcome already and is not sent"):
            ledger.attempt(attempt())
        assert ledger.next_nonce(ACCOUNT_ID) is None, "nothing was committed"

    def test_an_intent_that_nobody_knows_is_never_signed(self, ledger: SqlLedger) -> None:
        with pytest.raises(TransientError):
            ledger.attempt(attempt("nonesuch"))
        assert ledger.next_nonce(ACCOUNT_ID) is None

    def test_the_highest_block_of_our_own_is_remembered(self, ledger: SqlLedger) -> None:
        assert ledger.last_mined_block(ACCOUNT_ID) == 0
        tx_hash = attempted(ledger)
        assert ledger.last_mined_block(ACCOUNT_ID) == 0
        ledger.mined(receipt(tx_hash, block_number=120))
        assert ledger.last_mined_block(ACCOUNT_ID) == 120
        assert ledger.last_mined_block(address(5)) == 0


class TestOutcomes:
    @pytest.mark.parametrize("outcome", [FILLED, DEAD, Outcome(OutcomeState.PARTIAL, "half", fill("2"))])
    def test_an_intent_with_attempts_resolves_once(self, ledger: SqlLedger, outcome: Outcome) -> None:
        tx_hash = attempted(ledger)
        ledger.mined(receipt(tx_hash))
        ledger.resolve("intent-1", outcome, Decimal("1.5"), NOW)
        before = ledger.orders("eth")
        for again in (FILLED, DEAD):
            with pytest.raises(TransientError, match="intent-1 has an outcome already"):
                ledger.resolve("intent-1", again, Decimal(9), NOW + 1)
        assert ledger.orders("eth") == before
        assert len(ledger.fills("eth")) == (0 if outcome is DEAD else 1)

    @pytest.mark.parametrize("sent", [False, True])
    def test_an_order_that_may_still_be_mined_has_no_outcome(self, ledger: SqlLedger, sent: bool) -> None:
        tx_hash = attempted(ledger)
        if sent:
            ledger.sent(tx_hash)
        for outcome in (DEAD, FILLED):
            with pytest.raises(TransientError, match="intent-1 was signed and may still be mined"):
                ledger.resolve("intent-1", outcome, Decimal(0), NOW)
        assert len(ledger.open_intents(ACCOUNT_ID)) == 1
        assert ledger.fills("eth") == []

    def test_an_intent_that_nobody_knows_has_no_outcome(self, ledger: SqlLedger) -> None:
        with pytest.raises(TransientError):
            ledger.resolve("nonesuch", DEAD, Decimal(0), NOW)

    def test_an_intent_has_one_fill_at_most(self, ledger: SqlLedger, path: Path) -> None:
        ledger.mined(receipt(attempted(ledger)))
        ledger.resolve("intent-1", FILLED, Decimal(0), NOW)
        copy = "INSERT INTO fills SELECT * FROM fills"
        with closing(sqlite3.connect(path)) as db, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
            db.execute(copy)

    def test_an_outcome_and_its_fill_are_written_together_or_not_at_all(
        self, ledger: SqlLedger, path: Path
    ) -> None:
        ledger.mined(receipt(attempted(ledger)))
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TRIGGER broken BEFORE INSERT ON fills BEGIN SELECT RAISE(ABORT, 'disk'); END")
            db.commit()
        with pytest.raises(Exception, match="disk"):
            ledger.resolve("intent-1", FILLED, Decimal(0), NOW)
        assert len(ledger.open_intents(ACCOUNT_ID)) == 1

    def test_fills_come_back_oldest_first_and_to_the_last_digit(self, ledger: SqlLedger) -> None:
        exact = fill("5", notional=Decimal("10000.123456789012345678"), funding_usd=Decimal("-0.5"))
        for number, (state, done) in enumerate(
            [
                (OutcomeState.FILLED, exact),
                (OutcomeState.PARTIAL, fill("-1")),
                (OutcomeState.PAPER, fill("3")),
            ]
        ):
            order = intended(ledger, intent(f"z{9 - number}"))
            ledger.resolve(order.key, Outcome(state, "", done), Decimal(0), NOW)
        assert ledger.fills("eth") == [(exact, False), (fill("-1"), False), (fill("3"), True)]
        assert ledger.paper_fills("eth") == (fill("3"),)
        assert ledger.paper_fills("other") == ()

    def test_fills_are_in_the_order_of_their_ticks_and_not_of_their_ends(self, ledger: SqlLedger) -> None:
        for key, market in (("first", address(71)), ("second", address(72))):
            intended(ledger, intent(key, market=market))
        for key, size in (("second", "2"), ("first", "1")):
            ledger.resolve(key, Outcome(OutcomeState.PAPER, "", fill(size)), Decimal(0), NOW)
        assert ledger.paper_fills("eth") == (fill("1"), fill("2"))

    def test_every_order_is_listed_with_what_became_of_it(self, ledger: SqlLedger) -> None:
        ledger.mined(receipt(attempted(ledger)))
        ledger.resolve("intent-1", FILLED, Decimal("1.25"), NOW)
        refused = intended(ledger, intent("intent-2"))
        ledger.resolve(refused.key, DEAD, Decimal(0), NOW)
        first, second = ledger.orders("eth")
        assert (first["outcome"], first["state"], first["hash"]) == ("FILLED", "MINED_OK", signed().hash)
        assert (first["gas_usd"], first["size"], first["intended"]) == ("1.25", "5", "5")
        assert (second["outcome"], second["reason"], second["hash"]) == ("DEAD", "refused", None)


class TestModes:
    def test_an_account_is_active_until_somebody_says_otherwise(self, ledger: SqlLedger) -> None:
        assert ledger.mode_and_why(ACCOUNT_ID) == (Mode.ACTIVE, "")

    def test_the_last_mode_counts_and_the_history_stays(self, ledger: SqlLedger, path: Path) -> None:
        history = [(Mode.HALTED, "a foreign nonce"), (Mode.REDUCING, "careful"), (Mode.ACTIVE, "resumed")]
        for number, (mode, why) in enumerate(history):
            ledger.set_mode(ACCOUNT_ID, mode, why, NOW - number)
            assert ledger.mode_and_why(ACCOUNT_ID) == (mode, why)
        assert ledger.mode(address(5)) is Mode.ACTIVE
        assert rows(path, "SELECT mode, why, at FROM modes ORDER BY id") == [
            (mode.value, why, NOW - number) for number, (mode, why) in enumerate(history)
        ]


RECORDED = {
    "a rebalance": snapshot(),
    "a hold": snapshot(source(option("-0.5"))),
    "a cut": snapshot(source(option("-1000"))),
    "an order in flight": snapshot(in_flight=Decimal("-3.001")),
    "expired options": snapshot(source(option(vol=None, expiry=NOW), option("2", is_call=False))),
    "nothing at all": snapshot(source()),
    "awkward numbers": snapshot(
        source(
            option("-10.123456789012345678", vol=0.1 + 0.2), holdings=["123456789012345.123456789012345678"]
        ),
        venue=venue_state("1E-18", index=Decimal("2000.000000000000000001")),
        gas_price_wei=2**80,
    ),
}


class TestTicks:
    @pytest.mark.parametrize("seen", RECORDED.values(), ids=RECORDED)
    def test_a_tick_comes_back_bit_for_bit_and_replays(self, ledger: SqlLedger, seen: Snapshot) -> None:
        written = decided(seen)
        read = ledger.history.tick(ledger.record_tick(written)).decided
        assert read == written
        assert repr(read) == repr(written), "equal numbers may still be written differently"
        for adapter, name in ((SNAPSHOT, "snapshot"), (EXPOSURE, "exposure"), (DECISION, "decision")):
            assert adapter.dump_json(getattr(read, name)) == adapter.dump_json(getattr(written, name))
        assert decided(read.snapshot) == written

    def test_the_kinds_of_decision_are_kept_apart(self, ledger: SqlLedger) -> None:
        kinds = {
            name: type(ledger.history.tick(ledger.record_tick(decided(seen))).decided.decision)
            for name, seen in RECORDED.items()
        }
        assert kinds["a rebalance"] is kinds["a cut"] is Rebalance
        assert kinds["a hold"] is kinds["nothing at all"] is Hold

    def test_the_newest_tick_of_a_book_is_found(self, ledger: SqlLedger) -> None:
        with pytest.raises(ConfigError, match="no tick of book eth yet"):
            ledger.history.newest("eth")
        ids = [ledger.record_tick(decided()) for _ in range(3)]
        ledger.record_tick(decided(snapshot(book="btc")))
        assert ids == sorted(set(ids))
        assert ledger.history.newest("eth") == ids[-1]

    def test_a_tick_can_be_read_without_decoding_it(self, ledger: SqlLedger, path: Path) -> None:
        hold = Hold("INSIDE_BAND", "nothing to do")
        seen = replace(decided(), decision=hold)
        ledger.record_tick(seen)
        found = rows(path, "SELECT book, at, spot, net_delta, decision, code, why FROM ticks")
        assert found == [
            ("eth", NOW, "2000", f"{seen.exposure.net:.9f}", "hold", "INSIDE_BAND", "nothing to do")
        ]


def test_an_order_with_several_attempts_is_listed_once(ledger: SqlLedger) -> None:
    first = attempted(ledger)
    bump = attempt(nonce=0, hash="0x" + "ab" * 32)
    ledger.attempt(bump)
    (order,) = ledger.orders("eth")
    assert order["hash"] == bump.hash, "the newest, while none is mined"
    ledger.mined(receipt(first))
    (order,) = ledger.orders("eth")
    assert order["hash"] == first
