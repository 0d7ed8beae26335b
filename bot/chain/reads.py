"""Drives the readers of one chain in lockstep: each round of all of them is one Multicall3 call at one block hash."""

from collections.abc import Sequence
from typing import Any, TypeVar

from bot.chain.client import Client
from bot.chain.contracts import Contract
from bot.chain.provider import RevertError
from bot.core.model import BlockRef
from bot.errors import DataError
from bot.ports import Call, LogQuery, Reader, Reverted

T = TypeVar("T")


def drive(
    client: Client, multicall: Contract, block: BlockRef, readers: Sequence[Reader[Any]], gas: int
) -> list[Any]:
    """What each reader returns, in order. As many round trips as the deepest reader has rounds.

    Raises DataError that names the contract and function where a call reverted that must not, and TransientError
    where a reorg removed the block in between.
    """
    returned: dict[int, Any] = {}
    asked: dict[int, Sequence[Call | LogQuery]] = {}
    for i, reader in enumerate(readers):
        try:
            asked[i] = next(reader)
        except StopIteration as stop:
            returned[i] = stop.value
    while asked:
        answers = iter(
            read_round(client, multicall, block, [c for calls in asked.values() for c in calls], gas)
        )
        following: dict[int, Sequence[Call | LogQuery]] = {}
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
            asked = reader.send([_look(client, call) for call in asked])
    except StopIteration as stop:
        answer: T = stop.value
        return answer


def _look(client: Client, call: Call | LogQuery) -> Any:
    if isinstance(call, LogQuery):
        raise TypeError(f"{call.name}: events are not looked at between ticks")
    try:
        return call.decode(client.call_latest(call.to, call.data))
    except RevertError as error:
        raise DataError(f"{call.name} reverted: {call.explain(error.data)}") from error


def read_round(
    client: Client, multicall: Contract, block: BlockRef, asked: Sequence[Call | LogQuery], gas: int
) -> list[Any]:
    """The results of one round, in order: all calls in one eth_call, each log query in a request of its own.

    `Reverted` stands for a call that may fail and did.
    """
    calls = [item for item in asked if isinstance(item, Call)]
    results = iter(call_all(client, multicall, block, calls, gas) if calls else [])
    return [
        next(results)
        if isinstance(item, Call)
        else client.logs(
            item.address, item.topics, item.from_block, min(item.to_block or block.number, block.number)
        )
        for item in asked
    ]


def call_all(
    client: Client, multicall: Contract, block: BlockRef, calls: Sequence[Call], gas: int
) -> list[Any]:
    """The decoded results of `calls` in one eth_call at the block's hash."""
    batch = [{"target": c.to, "allowFailure": True, "callData": c.data} for c in calls]
    encoded = multicall.abi.encode("aggregate3", [tuple(entry.values()) for entry in batch])
    raw = client.call_at(block.hash, multicall.address, encoded, gas)
    answers = multicall.abi.decode_output("aggregate3", raw)
    if len(answers) != len(calls):
        raise DataError(f"{block.chain}: {len(calls)} calls were asked and {len(answers)} answered")
    return [_result(call, answer) for call, answer in zip(calls, answers, strict=True)]


def _result(call: Call, answer: dict[str, Any]) -> Any:
    data: bytes = answer["returnData"]
    if not answer["success"]:
        reason = call.explain(data)
        if call.may_fail:
            return Reverted(reason)
        raise DataError(f"{call.name} reverted: {reason}")
    return call.decode(data)
