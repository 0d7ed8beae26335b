"""HyperCore at work: it takes what CoreWriter was sent, some blocks later, and lets the precompiles tell.

Orders wait 2 to 5 blocks, as the real ones wait a few seconds; all else acts on the block after its own. One order
in ten is dropped although it would have been taken, and nothing on the EVM ever says so.
"""

import threading
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bot.errors import VaultkeelError
from bot.localnet.hypercore.actions import LimitOrder, decode_action
from bot.localnet.hypercore.answers import Answers, all_answers
from bot.localnet.hypercore.deploy import FIRST_L1_BLOCK, HyperCore, core_state, write_answers
from bot.localnet.hypercore.engine import Engine
from bot.localnet.hypercore.model import Fate, Sent
from bot.localnet.node import Node

BLOCK_S: Final = 1
L1_BLOCKS_PER_S: Final = 12
_OTHERS_DELAY_BLOCKS: Final = 1
_MOST_ROUNDS: Final = 1_000
_RAW_ACTION: Final = keccak(text="RawAction(address,bytes)")


@dataclass(frozen=True, slots=True)
class Script:
    """One order's fate. None takes what is drawn; `refused` true drops it without a trace."""

    delay_blocks: int | None = None
    refused: bool | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """How orders without a script are treated. `refuse_one_in` 0 drops none."""

    shortest_delay_blocks: int = 2
    longest_delay_blocks: int = 5
    refuse_one_in: int = 10


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An action on its way: it acts at a block, or at a time where the chain's clock was moved on at one stroke."""

    sent: Sent
    due_block: int
    due_s: int
    refused: str


@dataclass(frozen=True, slots=True)
class _Head:
    number: int
    time_s: int
    block_hash: str


class Core:
    """Works through what one deployment was sent. `away` true makes it do nothing: HyperCore stands still.

    `lock` is held while the exchange changes; who reads it from another thread takes it.
    """

    def __init__(self, node: Node, hyper: HyperCore, seed: int, manner: Manner | None = None) -> None:
        self.manner = manner or Manner()
        self.away = False
        self.lock = threading.RLock()
        self._node = node
        self._hyper = hyper
        self._state = core_state(node, hyper.state)
        self._random = np.random.default_rng(seed)
        self._scripts: deque[Script] = deque()
        self._waiting: deque[_Waiting] = deque()
        self._next_block = hyper.first_block
        self._seen: _Head | None = None
        self._first_s = hyper.engine.state.now_s
        self._l1_block = FIRST_L1_BLOCK
        self._written: Answers = {}

    @property
    def engine(self) -> Engine:
        """The exchange."""
        return self._hyper.engine

    def script(self, *scripts: Script) -> None:
        """The next orders are treated so, in the order in which they reach CoreWriter."""
        self._scripts.extend(scripts)

    def waiting(self) -> list[Sent]:
        """What was seen and has not acted yet, in the order in which it was sent."""
        return [entry.sent for entry in self._waiting]

    def set_price(self, oracle: Decimal, mark: Decimal | None = None) -> None:
        """The hedge market's oracle and mark price in USD. The precompiles say so after the next `work`."""
        with self.lock:
            self.engine.set_price(self._hyper.market, oracle, mark)

    def work(self) -> list[Fate]:
        """Does what is due in the next block by the chain's blocks or time, and makes that block.

        The block holds one transaction with all answers that changed; more than 128 take several. VaultkeelError
        when the chain was taken back behind what HyperCore has already seen: it knows no reorgs.
        """
        if self.away:
            return []
        head = self._head()
        self._take(head)
        fates = []
        with self.lock:
            self.engine.advance(max(head.time_s, self.engine.state.now_s))
            due = [entry for entry in self._waiting if _is_due(entry, head)]
            for entry in sorted(due, key=lambda entry: entry.due_block):
                self._waiting.remove(entry)
                fates.append(self.engine.apply(entry.sent, head.number + 1, refused=entry.refused))
            by_time = FIRST_L1_BLOCK + L1_BLOCKS_PER_S * (self.engine.state.now_s - self._first_s)
            # It always rises, so that there is always something to write, and a block.
            self._l1_block = max(by_time, self._l1_block + 1)
            answers = all_answers(self.engine.state, self._l1_block)
        changed = {key: answer for key, answer in answers.items() if self._written.get(key) != answer}
        write_answers(self._state, changed, self._hyper.operator)
        self._written = answers
        self._seen = self._latest()
        return fates

    def settle(self) -> list[Fate]:
        """Works, block by block, until nothing waits."""
        fates = self.work()
        for _ in range(_MOST_ROUNDS):
            if not self._waiting or self.away:
                return fates
            fates += self.work()
        raise VaultkeelError(f"{len(self._waiting)} actions still wait after {_MOST_ROUNDS} blocks")

    def _head(self) -> _Head:
        if self._seen is not None:
            again = self._node.rpc("eth_getBlockByNumber", hex(self._seen.number), False)
            if again is None or again["hash"] != self._seen.block_hash:
                raise VaultkeelError(
                    f"the chain went back behind block {self._seen.number}, which HyperCore has acted on: "
                    "deploy the stand-in again"
                )
        return self._latest()

    def _latest(self) -> _Head:
        block = self._node.rpc("eth_getBlockByNumber", "latest", False)
        return _Head(int(block["number"], 16), int(block["timestamp"], 16), block["hash"])

    def _take(self, head: _Head) -> None:
        """Puts what CoreWriter was sent up to this block in the queue."""
        if self._next_block > head.number:
            return
        logs = self._node.rpc(
            "eth_getLogs",
            {
                "address": self._hyper.core_writer,
                "fromBlock": hex(self._next_block),
                "toBlock": hex(head.number),
                "topics": ["0x" + _RAW_ACTION.hex()],
            },
        )
        self._next_block = head.number + 1
        for log in logs:
            sent = self._sent(log)
            is_order = isinstance(sent.action, LimitOrder)
            delay, refused = self._draw() if is_order else (_OTHERS_DELAY_BLOCKS, "")
            due_block = sent.block + delay
            if is_order:
                # Orders act in the order in which they were sent.
                earlier = [e.due_block for e in self._waiting if isinstance(e.sent.action, LimitOrder)]
                due_block = max([due_block, *earlier])
            due_s = sent.time_s + (due_block - sent.block) * BLOCK_S
            self._waiting.append(_Waiting(sent, due_block, due_s, refused))

    def _draw(self) -> tuple[int, str]:
        # Both are drawn for every order, so that a script for one does not change the fate of the others.
        manner = self.manner
        drawn = int(self._random.integers(manner.shortest_delay_blocks, manner.longest_delay_blocks + 1))
        unlucky = bool(manner.refuse_one_in and self._random.random() < 1 / manner.refuse_one_in)
        script = self._scripts.popleft() if self._scripts else Script()
        delay = drawn if script.delay_blocks is None else script.delay_blocks
        refused = unlucky if script.refused is None else script.refused
        return delay, "the stand-in dropped it at random" if refused else ""

    def _sent(self, log: dict[str, Any]) -> Sent:
        transaction = self._node.rpc("eth_getTransactionByHash", log["transactionHash"])
        block = self._node.rpc("eth_getBlockByNumber", log["blockNumber"], False)
        (data,) = decode(["bytes"], bytes.fromhex(log["data"][2:]))
        return Sent(
            account=to_checksum_address("0x" + log["topics"][1][-40:]),
            action=decode_action(data),
            value_wei=int(transaction["value"], 16),
            block=int(log["blockNumber"], 16),
            time_s=int(block["timestamp"], 16),
            transaction=log["transactionHash"],
        )


def _is_due(entry: _Waiting, head: _Head) -> bool:
    return entry.due_block <= head.number + 1 or entry.due_s <= head.time_s
