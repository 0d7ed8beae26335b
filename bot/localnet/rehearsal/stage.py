"""The stage: a local world with an unhedged option vault, a fault proxy, and the bot as a process of its own.

Each fault begins on the same chain with an empty ledger. Time is the chain's: it passes only where a fault lets it.
"""

import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit

from bot.chain.contracts import Contract, contract
from bot.config import Config, load_config
from bot.core.accounts import account_id
from bot.core.model import Mode
from bot.ledger import open_ledger
from bot.localnet.configuration import world_config, write_files
from bot.localnet.market import Market
from bot.localnet.node import BASE_FEE_WEI, PRIORITY_FEE_WEI, Node
from bot.localnet.opening import open_markets
from bot.localnet.proxy import FaultProxy, pass_on
from bot.localnet.rehearsal.verdict import Witness
from bot.localnet.rehearsal.worker import AtCommit, Bot, Patch, Said
from bot.localnet.world import World, start_world

STARTING_TRADES: Final = 24
MOST_TRADES: Final = 30
WORTH_A_HEDGE: Final = 2.0
"""How far the delta must move for a new order to be sure, in units of the underlying."""
MOST_VISITS: Final = 40
CALM: Final = 2
FRESH_BLOCKS: Final = 4
"""Mined after each return to the start: the node keeps few states, and that of the block before may be gone."""
DELAYS_S: Final = 3_600
TRANSFER_GAS: Final = 21_000
BUMP_AFTER_S: Final = 30
ORDER_TTL_S: Final = 120
NODE_TIMEOUT_S: Final = 1
PATIENCE_S: Final = "0.2"

Edit = Callable[[Any], None]


class Missed(Exception):
    """A fault's own expectation was not met. The sentence says which."""


class Stage:
    """The world and what one fault does on it. `foreign` are the hashes that the fault itself put on the chain."""

    def __init__(
        self,
        world: World,
        seed: int,
        proxy: FaultProxy,
        folder: Path,
        patch: Patch | None,
        *,
        real_time: bool,
    ) -> None:
        self.world = world
        self.node = world.node
        self.seed = seed
        self.market = Market(world, seed + 1)
        self.proxy = proxy
        self.foreign: set[str] = set()
        self.folder = folder
        self.first_block = 0
        self.path = folder
        self._root = folder
        self._patch = patch
        self._real_time = real_time
        self._bots: list[Bot] = []
        self._snapshot = self.node.snapshot()

    @property
    def config(self) -> Config:
        """The bot's configuration, as it is now."""
        return load_config(self.path)

    @property
    def ledger_file(self) -> Path:
        """The bot's ledger."""
        return self.config.ledger

    def begin(self, name: str) -> None:
        """The chain as it was at first, no bot, a proxy that disturbs nothing, and an empty ledger."""
        self.end_bots()
        self.node.revert(self._snapshot)
        self._snapshot = self.node.snapshot()
        self.node.rpc("evm_setAutomine", True)
        self.proxy.reset()
        if not self._real_time:
            mine_fresh(self.node, name)
        self.market = Market(self.world, self.seed + 1)
        self.foreign = set()
        self.first_block = self.node.block_number() + 1
        self.folder = self._root / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.configure()
        self.proxy.watch = Witness(self.ledger_file, self.folder / "unwritten.txt").look

    def configure(self, edit: Edit = lambda _: None) -> None:
        """Writes the bot's configuration anew: live, on the chain's time, through the proxy, impatient."""
        document: Any = world_config(self.world)
        document.update({"mode": "live", "clock": "chain", "interval_s": 1})
        document["chains"]["localnet"].update(
            {
                "rpc_urls": [self.proxy.url],
                "timeout_s": NODE_TIMEOUT_S,
                "read_tries": 2,
                "patience_s": PATIENCE_S,
                "bump_after_s": BUMP_AFTER_S,
            }
        )
        document["books"][0]["limits"]["order_ttl_s"] = ORDER_TTL_S
        # A fault is judged by what the bot does about it, not by how much risk the policy of the day would bear.
        document["books"][0]["policy"] = {"kind": "delta_band", "trigger": "0.5", "min_trade": "0.1"}
        document["books"][0]["doubts"]["vol"] = "0"
        # Kept margin would save the hedge from the liquidation that is one of the faults.
        document["books"][0].pop("margin")
        # A liquidation leaves so little equity that this limit would refuse to hedge the book again.
        del document["books"][0]["limits"]["max_leverage"]
        edit(document)
        self.path = write_files(self.folder, tomlkit.dumps(document), self.world.hedger_key)

    def start(self, death: AtCommit | None = None) -> Bot:
        """A bot process. It builds its app at once and ticks when it is told to."""
        bot = Bot(self.path, death, self._patch)
        self._bots.append(bot)
        return bot

    def end_bots(self) -> None:
        """Ends every bot process."""
        while self._bots:
            self._bots.pop().end()

    def rest(self, bot: Bot | None = None) -> Said:
        """A bot ticks until it has nothing more to do, or halts. Returns its last word."""
        bot = bot or self.start()
        calm, said = 0, Said("nothing")
        for _ in range(MOST_VISITS):
            said = bot.tick()
            calm = calm + 1 if said.kind == "hold" and said.again_in_s is None else 0
            if said.kind in ("Halt", "died", "silent") or calm == CALM:
                return said
            self.pass_time(said.again_in_s or 2)
        raise Missed(f"the bot did not come to rest in {MOST_VISITS} ticks; it last said {said}")

    def neutral(self, bot: Bot | None = None) -> None:
        """Lets a bot come to rest and expects a hedged book."""
        said = self.rest(bot)
        expect(said.code == "INSIDE_BAND", f"the book is hedged at the end, the bot said {said}")

    def land(self) -> None:
        """Whatever waits in the node's pool is mined, so that a verdict counts it too."""
        self.proxy.rule = pass_on
        self.mine_at_once(True)
        self.pass_time(2)

    def halted(self, said: Said, *words: str) -> None:
        """Expects that the bot stopped for a person, with a sentence that has these words, and stays stopped."""
        expect(said.kind == "Halt", f"a halt, the bot said {said}")
        for word in words:
            expect(word in said.text, f"a halt that says {word!r}, it said {said.text!r}")
        expect(self.mode() is Mode.HALTED, "the account's mode is HALTED")

    def pass_time(self, seconds: int, base_fee_wei: int = BASE_FEE_WEI) -> None:
        """A block so many seconds after the last."""
        self.node.set_next_timestamp(self.node.timestamp() + seconds)
        self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee_wei))
        self.node.rpc("evm_mine")

    def mine_at_once(self, yes: bool) -> None:
        """Whether the node mines each transaction as it comes."""
        self.node.rpc("evm_setAutomine", yes)

    def unhedge(self) -> None:
        """Option traders open more positions, until the book has something to hedge again."""
        before = self.pool_delta()
        for _ in range(MOST_TRADES):
            self.market.open_interest(1)
            self.market.refresh()
            if abs(self.pool_delta() - before) >= WORTH_A_HEDGE:
                return
        raise Missed(f"the delta did not move by {WORTH_A_HEDGE} in {MOST_TRADES} option trades")

    def pool_delta(self) -> float:
        """The option protocol's own figure, in units of the underlying."""
        cache = self.world.lyra_contract("greek_cache").read("getGlobalCache")
        return float(cache["netGreeks"]["netDelta"]) / 1e18

    def deliver(self, raw: str) -> None:
        """Gives signed bytes to the node past the proxy."""
        self.node.rpc("eth_sendRawTransaction", raw)

    def foreign_transfer(self, nonce: int | None = None) -> str:
        """A transaction with the hedger's key that is not the bot's. Returns its hash."""
        hedger = self.world.accounts.hedger
        request = {
            "from": hedger,
            "to": hedger,
            "gas": hex(TRANSFER_GAS),
            "maxFeePerGas": hex(10 * BASE_FEE_WEI),
            "maxPriorityFeePerGas": hex(2 * PRIORITY_FEE_WEI),
        }
        if nonce is not None:
            request["nonce"] = hex(nonce)
        sent = str(self.node.rpc("eth_sendTransaction", request))
        self.foreign.add(sent)
        return sent

    def nonce(self) -> int:
        """How many transactions of the hedger's are mined."""
        return int(self.node.rpc("eth_getTransactionCount", self.world.accounts.hedger, "latest"), 16)

    def set_mode(self, mode: Mode, why: str) -> None:
        """What `vaultkeel halt` and `resume` do while the bot runs."""
        ledger = open_ledger(self.ledger_file)
        try:
            ledger.set_mode(self.account, mode, why, self.node.timestamp())
        finally:
            ledger.close()

    @property
    def account(self) -> str:
        """The hedger as the ledger keeps it."""
        return account_id(self.world.chain_id, self.world.accounts.hedger)

    def mode(self) -> Mode:
        """The account's mode."""
        ledger = open_ledger(self.ledger_file)
        try:
            return ledger.mode(self.account)
        finally:
            ledger.close()

    def contract(self, name: str, field: str) -> Contract:
        """A contract of the venue or the vault as the bot sees it, by its ABI file and its configuration field."""
        book = self.config.books[0]
        holder = book.venue if hasattr(book.venue, field) else book.sources[0]
        return contract(name, getattr(holder, field))

    def multicall(self) -> Contract:
        """The contract that the bot reads through."""
        return contract("multicall3", self.world.multicall)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that breaks. `run` does it, brings the bot back, and raises Missed where that went wrong.

    `promise` is the number of the promise that it proves, in the documentation's table of faults; `kills` how many bots
    it kills at places that the seed picks.
    """

    name: str
    promise: int
    run: Callable[[Stage], None]
    kills: int = 0


def expect(met: object, sentence: str) -> None:
    """Raises Missed with what was expected, unless it is so."""
    if not met:
        raise Missed(f"expected: {sentence}")


@contextmanager
def open_stage(
    folder: Path,
    seed: int,
    progress: Callable[[str], None] = lambda _: None,
    *,
    patch: Patch | None = None,
    real_time: bool = False,
) -> Iterator[Stage]:
    """A stage with its own chain, which ends with it. `patch` is done to every bot; `real_time` starts it today."""
    started_at = int(time.time()) if real_time else None
    with start_world(short_only=True, progress=progress, timestamp=started_at) as world:
        open_markets(world)
        open_options(world, seed)
        with FaultProxy(world.url) as proxy:
            stage = Stage(world, seed, proxy, folder, patch, real_time=real_time)
            try:
                yield stage
            finally:
                stage.end_bots()


def mine_fresh(node: Node, name: str) -> None:
    """Some blocks, of which the first comes at a time of the fault's own.

    Blocks that are the same as after an earlier return would count as old ones, whose states the node drops first.
    """
    node.set_next_timestamp(node.timestamp() + 1 + zlib.crc32(name.encode()) % DELAYS_S)
    for _ in range(FRESH_BLOCKS):
        node.mine()


def open_options(world: World, seed: int) -> None:
    """Option traders buy from the pool, which leaves it short some twenty units of the underlying."""
    market = Market(world, seed)
    market.open_interest(STARTING_TRADES)
    market.refresh()
