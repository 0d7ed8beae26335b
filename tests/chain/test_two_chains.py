"""Two books on two real chains in one process, with one key: each goes on when the other's chain is dead."""

import copy
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from support import FIXED_BAND, Cli, hedger_nonce, opened, read_venue, rows

from bot.core.accounts import account_id
from bot.localnet.configuration import world_config, write_files
from bot.localnet.market import Market
from bot.localnet.opening import open_markets
from bot.localnet.world import World, start_world

OTHER_ID = 31_338
NAMES = ("localnet", "second")
BOOKS = ("eth", "eth-second")
STOPPED_S = 10.0
WAIT_S = 40.0


@pytest.fixture(scope="module")
def worlds() -> Iterator[tuple[World, World]]:
    """Two local chains in real time, whose option pools have sold options."""
    now = int(time.time())
    with (
        start_world(short_only=True, timestamp=now) as first,
        start_world(short_only=True, timestamp=now, chain_id=OTHER_ID) as second,
    ):
        for seed, world in enumerate((first, second)):
            open_markets(world)
            sell(world, seed)
        yield first, second


def sell(world: World, seed: int, trades: int = 14) -> None:
    """Option traders buy from the pool, which then has something to hedge."""
    market = Market(world, seed)
    market.open_interest(trades)
    market.refresh()


def configured(worlds: tuple[World, World], folder: Path, *, live: bool = True) -> Path:
    """One configuration with a book on each chain."""
    first, second = (world_config(world) for world in worlds)
    document: Any = first
    theirs: Any = second
    book = copy.deepcopy(theirs["books"][0])
    document["chains"][NAMES[1]] = theirs["chains"][NAMES[0]] | {"chain_id": OTHER_ID}
    book["name"] = BOOKS[1]
    for part in (*book["sources"], book["venue"]):
        part["name"], part["chain"] = f"{part['name']}-second", NAMES[1]
    document["books"].append(book)
    document.update({"mode": "live" if live else "paper", "clock": "system", "interval_s": 1})
    for each in document["books"]:
        each.update({"policy": FIXED_BAND, "doubts": {"vol": "0"}})
        each.pop("margin")
        each["limits"] = {"max_order": "200", "max_position": "1000", "max_block_age_s": 3600}
    for chain in document["chains"].values():
        chain.update({"timeout_s": 1, "read_tries": 1})
    document["limits"] = {}
    return write_files(folder, tomlkit.dumps(document), worlds[0].hedger_key)


def until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


class Run:
    """A live run as a process, and what its ledger says."""

    def __init__(self, worlds: tuple[World, World], config: Path, ledger: Path) -> None:
        self.worlds, self.config, self.ledger = worlds, config, ledger

    def ticks(self, book: str) -> int:
        return int(rows(self.ledger, f"SELECT count(*) FROM ticks WHERE book = '{book}'")[0][0])  # noqa: S608

    def fills(self, book: str) -> list[Decimal]:
        found = rows(self.ledger, f"SELECT size FROM fills WHERE book = '{book}'")  # noqa: S608
        return [Decimal(size) for (size,) in found]

    def hedges_again(self, which: int, seed: int) -> None:
        """More and more options are sold on a chain, until the run hedges them."""
        before = len(self.fills(BOOKS[which]))
        for more in range(6):
            sell(self.worlds[which], seed + more, 8)
            time.sleep(1.5)
            if len(self.fills(BOOKS[which])) > before:
                return
        until(lambda: len(self.fills(BOOKS[which])) > before, f"{BOOKS[which]} did not hedge")

    def settled(self) -> bool:
        return rows(self.ledger, "SELECT key FROM intents WHERE outcome IN ('PENDING', 'UNKNOWN')") == []

    def pace(self, book: str, seconds: float) -> int:
        before = self.ticks(book)
        time.sleep(seconds)
        return self.ticks(book) - before


@contextmanager
def stopped(world: World) -> Iterator[None]:
    """The chain's node doesn't answer inside: it isn't gone, which is the worst kind of dead."""
    os.kill(world.anvil.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(world.anvil.pid, signal.SIGCONT)


@pytest.mark.long
def test_a_dead_chain_holds_up_its_own_book_alone_and_nothing_is_doubled_or_lost(
    worlds: tuple[World, World], tmp_path: Path
) -> None:
    nonces = [hedger_nonce(world) for world in worlds]
    config = configured(worlds, tmp_path)
    with opened(config) as app:
        ledger = app.config.ledger
    run = Run(worlds, config, ledger)
    with Cli(tmp_path, "run", "--config", config) as process:
        until(
            lambda: all(run.fills(book) for book in BOOKS),
            f"no hedge of both books; {process.process.poll()}",
        )
        usual = run.pace(BOOKS[1], STOPPED_S)
        assert usual >= 5
        with stopped(worlds[0]):
            time.sleep(1.5)  # whatever was in flight has timed out
            before = run.ticks(BOOKS[0])
            alone = run.pace(BOOKS[1], STOPPED_S)
            run.hedges_again(1, 100)
            assert run.ticks(BOOKS[0]) == before, "nothing is read from a node that is stopped"
        assert alone >= 0.7 * usual, f"{alone} ticks beside a dead chain, {usual} usually"
        run.hedges_again(0, 200)
        until(run.settled, "an order has no outcome")
        process.signal(signal.SIGTERM)
        assert process.code == 0, process.err
    check_nothing_doubled_or_lost(worlds, ledger, nonces)


def check_nothing_doubled_or_lost(worlds: tuple[World, World], ledger: Path, nonces: list[int]) -> None:
    """Every nonce that was used on a chain is one order of the ledger, and the positions are the ledger's fills."""
    for world, before, book in zip(worlds, nonces, BOOKS, strict=True):
        account = account_id(world.chain_id, world.accounts.hedger)
        used = rows(ledger, f"SELECT nonce FROM nonces WHERE account = '{account}' ORDER BY nonce")  # noqa: S608
        assert [nonce for (nonce,) in used] == list(range(before, hedger_nonce(world)))
        states = rows(ledger, f"SELECT state FROM attempts WHERE account = '{account}'")  # noqa: S608
        assert {state for (state,) in states} <= {"MINED_OK", "FINAL", "REPLACED"}
        sizes = rows(ledger, f"SELECT size FROM fills WHERE book = '{book}'")  # noqa: S608
        assert sum((Decimal(size) for (size,) in sizes), Decimal(0)) == read_venue(world).position.size != 0


def test_a_mode_is_of_all_chains_or_of_the_one_that_is_named(
    worlds: tuple[World, World], tmp_path: Path
) -> None:
    config = configured(worlds, tmp_path, live=False)
    halted = Cli(tmp_path, "halt", "one alone", "--chain", "second", "--config", config, "--json").json()
    hedger = worlds[0].accounts.hedger
    assert halted == {"account": hedger, "chain": "second", "mode": "HALTED", "why": "one alone"}
    with opened(config) as app:
        assert [app.ledger.mode(account.id) for account in app.accounts] == ["ACTIVE", "HALTED"]
    everywhere = Cli(tmp_path, "reduce-only", "both", "--config", config)
    assert everywhere.out.split() == f"{hedger} on localnet: REDUCING {hedger} on second: REDUCING".split()
    nowhere = Cli(tmp_path, "resume", "--chain", "third", "--config", config)
    assert nowhere.code == 2
    assert "no book trades on third; there is localnet, second" in nowhere.err


def test_a_source_on_another_chain_than_the_venue_is_read_at_a_block_of_its_own(
    worlds: tuple[World, World], tmp_path: Path
) -> None:
    config = configured(worlds, tmp_path, live=False)
    document = tomlkit.parse(config.read_text())
    books: Any = document["books"]
    books[0]["sources"] = copy.deepcopy(books[1]["sources"])
    del books[1]
    config.write_text(tomlkit.dumps(document))
    worlds[1].node.mine()
    with opened(config) as app:
        (book,) = app.desk.books
        seen = app.desk.observe(book)
        assert [(block.chain) for block in seen.blocks] == ["second", "localnet"]
        assert seen.skew_s == abs(seen.blocks[0].timestamp - seen.blocks[1].timestamp)
        tick = app.desk.tick(book)
        assert tick.record.decision.kind == "rebalance"
        with stopped(worlds[1]), pytest.raises(Exception, match="second"):
            app.desk.observe(book)
    shown = Cli(tmp_path, "status", "--config", config)
    assert "s between these blocks" in shown.out
