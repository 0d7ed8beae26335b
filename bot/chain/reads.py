"""Drives the readers of one chain in lockstep: each round of all of them is one call at one block hash.

Through Multicall3 a round is one eth_call, which also tells the block that it was answered from. On a chain without it
a round is a JSON-RPC batch.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from bot.chain.client import Client
from bot.chain.contracts import Contract
from bot.chain.pinned import WORD, Stamp
from bot.chain.provider import RevertError
from bot.core.model import BlockRef
from bot.errors import DataError
from bot.ports import Asked, Balance, Call, LogQuery, Reader, Reverted

T = TypeVar("T")

WHERE = ("getBlockNumber", "getCurrentBlockTimestamp")
"""What every round through Multicall3 asks before all else: a node may answer from another block than it was asked."""


def drive(
    client: Client, multicall: Contract | None, block: BlockRef, readers: Sequence[Reader[Any]], gas: int
) -> list[Any]:
    """What each reader returns, in order. As many round trips as the deepest reader has rounds.

    `multicall` is None on a chain without Multicall3. Raises DataError that names the contract and function where a
    call reverted that must not, or the node that answered from another block, and TransientError where a reorg removed
    the block in between.
    """
    returned: dict[int, Any] = {}
    asked: dict[int, Sequence[Asked]] = {}
    for i, reader in enumerate(readers):
        try:
            asked[i] = next(reader)
        except StopIteration as stop:
            returned[i] = stop.value
    while asked:
        answers = iter(
            read_round(client, multicall, block, [c for calls in asked.values() for c in calls], gas)
        )
        following: dict[int, Sequence[Asked]] = {}
        for i, calls in asked.items():
            try:
                following[i] = readers[i].send([next(answers) for _ in calls])
            except StopIteration as stop:
                returned[i] = stop.value
        asked = following
    return [returned[i] for i in range(len(readers))]


def look(client: Client, reader: Reader[T]) -> T:
    """What a reader of single calls returns at one provider's latest block, unpinned: good to look, not to decide."""
    try:
        asked = next(reader)
        while True:
            asked = reader.send([_look(client, question) for question in asked])
    except StopIteration as stop:
        answer: T = stop.value
        return answer


def _look(client: Client, asked: Asked) -> Any:
    if not isinstance(asked, Call):
        raise TypeError(f"{asked.name}: only calls are looked at between ticks")
    try:
        return asked.decode(client.call_latest(asked.to, asked.data))
    except RevertError as error:
        raise DataError(f"{asked.name} reverted: {asked.explain(error.data)}") from error


def read_round(
    client: Client, multicall: Contract | None, block: BlockRef, asked: Sequence[Asked], gas: int
) -> list[Any]:
    """The results of one round, in order: all calls and balances at once, each log query in a request of its own.

    `Reverted` stands for a call that may fail and did.
    """
    at_once = [item for item in asked if not isinstance(item, LogQuery)]
    results = iter(call_all(client, multicall, block, at_once, gas) if at_once else [])
    return [
        client.logs(
            item.address, item.topics, item.from_block, min(item.to_block or block.number, block.number)
        )
        if isinstance(item, LogQuery)
        else next(results)
        for item in asked
    ]


def call_all(
    client: Client, multicall: Contract | None, block: BlockRef, asked: Sequence[Call | Balance], gas: int
) -> list[Any]:
    """The decoded results of calls and balances, all at the block's hash."""
    if multicall is not None:
        return _through(multicall, client, block, asked, gas)
    questions = [(item.to, item.data) if isinstance(item, Call) else (item.address, None) for item in asked]
    told = client.batch_at(block, questions, gas)
    return [_result(item, answer) for item, answer in zip(asked, told, strict=True)]


def _through(
    multicall: Contract, client: Client, block: BlockRef, asked: Sequence[Call | Balance], gas: int
) -> list[Any]:
    """The same in one eth_call of Multicall3."""
    abi = multicall.abi
    batch = [(multicall.address, True, abi.encode(function)) for function in WHERE]
    for item in asked:
        if isinstance(item, Call):
            batch.append((item.to, True, item.data))
        else:
            batch.append((multicall.address, True, abi.encode("getEthBalance", item.address)))

    def rows(raw: bytes) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = abi.decode_output("aggregate3", raw)
        if len(answers) != len(batch):
            raise DataError(
                f"{block.chain}: {len(asked)} calls were asked and {len(answers) - len(WHERE)} answered"
            )
        return answers

    def stamp_of(raw: bytes) -> Stamp:
        number, timestamp = (
            abi.decode_output(function, row["returnData"])
            for function, row in zip(WHERE, rows(raw), strict=False)
        )
        return Stamp(number, timestamp)

    raw = client.call_at(block, multicall.address, abi.encode("aggregate3", batch), gas, stamp_of)
    return [
        _result(item, row["returnData"] if row["success"] else RevertError("reverted", row["returnData"]))
        for item, row in zip(asked, rows(raw)[len(WHERE) :], strict=True)
    ]


def _result(item: Call | Balance, answer: bytes | RevertError) -> Any:
    if isinstance(item, Balance):
        if isinstance(answer, RevertError) or len(answer) != WORD:
            raise DataError(f"{item.name} can't be read")
        return int.from_bytes(answer, "big")
    if isinstance(answer, RevertError):
        reason = item.explain(answer.data)
        if item.may_fail:
            return Reverted(reason)
        raise DataError(f"{item.name} reverted: {reason}")
    return item.decode(answer)
