"""Reads at a pinned block: whether what a node answers is that block's, and how two nodes' answers differ."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hexbytes import HexBytes
from tenacity import Retrying

from bot.chain.pool import Pool, ProviderRules
from bot.chain.provider import Provider, RevertError
from bot.core.model import BlockRef
from bot.errors import DataError, TransientError

BATCH = 100
"""Requests in one JSON-RPC batch: many providers refuse more."""
WORD = 32

Told = bytes | RevertError
"""What one call returned. A revert is an answer too, which other nodes must share."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """The block that an answer says it is from: its number, and its time in Unix seconds, None where it isn't said."""

    number: int
    timestamp: int | None = None


StampOf = Callable[[bytes], Stamp]
"""Finds in an answer which block it is from."""
Request = tuple[str, list[Any]]


class PinnedReads:
    """What a quorum answers alike at one block, by `rules`."""

    def __init__(self, chain: str, pool: Pool, rules: ProviderRules, retrying: Retrying) -> None:
        self._chain = chain
        self._pool = pool
        self._rules = rules
        self._retrying = retrying

    def call(self, block: BlockRef, to: str, data: bytes, gas: int, stamp_of: StampOf | None = None) -> bytes:
        """See `Client.call_at`."""
        method, params = self._request(block, to, data, gas)

        def ask(provider: Provider) -> tuple[int, list[Told]]:
            try:
                answer = provider.data(method, params)
                if stamp_of is not None and self._misplaced(stamp_of(answer), block):
                    # A node that is about to add a block may show its state for a moment.
                    answer = provider.data(method, params)
            except RevertError as error:
                return block.number, [error]
            stamp = None if stamp_of is None else stamp_of(answer)
            return self._height(provider, block, stamp), [answer]

        (answer,) = self._alike(block, [to], ask)
        if isinstance(answer, RevertError):
            raise DataError(f"{self._chain}: a batched read at {to} failed: {answer}") from answer
        return answer

    def batch(self, block: BlockRef, asked: Sequence[tuple[str, bytes | None]], gas: int) -> list[Told]:
        """See `Client.batch_at`."""
        found: list[Told] = []
        for start in range(0, len(asked), BATCH):
            found += self._batch(block, asked[start : start + BATCH], gas)
        return found

    def _batch(self, block: BlockRef, asked: Sequence[tuple[str, bytes | None]], gas: int) -> list[Told]:
        requests = [self._request(block, to, data, gas) for to, data in asked]
        height: list[Request] = [("eth_blockNumber", [])] if self._rules.drift_blocks else []

        def ask(provider: Provider) -> tuple[int, list[Told]]:
            answers: list[Any] = provider.batch_of_calls([*height, *requests, *height])
            with provider.expecting("a batch of eth_call"):
                number = block.number
                if height:
                    first, number = int(answers.pop(0), 16), int(answers.pop(), 16)
                    if first != number:
                        raise TransientError(f"{provider.name}: a block came in the middle of a batch")
                    self._height(provider, block, Stamp(number))
                return number, [as_word(method, a) for (method, _), a in zip(requests, answers, strict=True)]

        return self._alike(block, [to for to, _ in asked], ask)

    def _request(self, block: BlockRef, to: str, data: bytes | None, gas: int) -> Request:
        where: str | dict[str, Any] = {"blockHash": block.hash, "requireCanonical": True}
        if self._rules.drift_blocks:
            where = "latest"
        if data is None:
            return "eth_getBalance", [to, where]
        return "eth_call", [{"to": to, "data": "0x" + data.hex(), "gas": hex(gas)}, where]

    def _height(self, provider: Provider, block: BlockRef, stamp: Stamp | None) -> int:
        """The height that an answer is from. DataError, which names the node, where it may not be from there."""
        if stamp is None:
            return block.number
        wrong = self._misplaced(stamp, block)
        if wrong:
            raise DataError(f"{provider.name}: {wrong}")
        return stamp.number if self._rules.drift_blocks else block.number

    def _misplaced(self, stamp: Stamp, block: BlockRef) -> str:
        rules = self._rules
        return misplaced(stamp, block, rules.drift_blocks, parent_numbers=rules.parent_numbers)

    def _alike(
        self, block: BlockRef, to: Sequence[str], ask: Callable[[Provider], tuple[int, list[Told]]]
    ) -> list[Told]:
        """What a quorum answers alike, each part asked of one contract. Answers from two heights are asked again."""

        def at_one_height() -> list[tuple[Provider, tuple[int, list[Told]]]]:
            told = self._pool.several(ask)
            (first, (height, _)), *others = told
            for other, (theirs, _) in others:
                if theirs != height:
                    raise TransientError(
                        f"{self._chain}: {first.name} answered from block {height} and {other.name} from {theirs}, "
                        "which can't be compared"
                    )
            return told

        (first, (_, answers)), *others = self._retrying(at_one_height)
        for other, (_, theirs) in others:
            for address, mine, its in zip(to, answers, theirs, strict=True):
                what = difference(mine, its)
                if what:
                    what = f"a read at {address} at block {block.hash}: {what}"
                    raise disagreement(self._chain, first, other, what)
        return answers


def disagreement(chain: str, one: Provider, other: Provider, what: str) -> DataError:
    """The error of two providers that say different things."""
    return DataError(f"{chain}: {one.name} and {other.name} disagree on {what}")


def as_word(method: str, answer: Any) -> Told:
    """A call's bytes, or a balance as one word. ValueError or the like where it is neither."""
    if isinstance(answer, RevertError):
        return answer
    return int(answer, 16).to_bytes(WORD, "big") if method == "eth_getBalance" else bytes(HexBytes(answer))


def misplaced(stamp: Stamp, block: BlockRef, drift_blocks: int, *, parent_numbers: bool) -> str:
    """Why an answer is not the pinned block's; "" where it is.

    With `drift_blocks` it may be so many blocks younger. Where contracts see a parent chain's numbers only the time is
    compared.
    """
    ahead = stamp.number - block.number
    if drift_blocks:
        if 0 <= ahead <= drift_blocks:
            return ""
        return (
            f"pinned is block {block.number}, the node answered from block {stamp.number}, "
            f"and drift_blocks allows {drift_blocks} more"
        )
    same_time = stamp.timestamp in (None, block.timestamp)
    if same_time and (parent_numbers or ahead == 0):
        return ""
    if same_time:
        return (
            f"asked for block {block.number}, the node answered from block {stamp.number} of the same second: it keeps "
            "no history, or contracts on this chain see its parent's numbers (then set parent_numbers = true)"
        )
    return (
        f"asked for block {block.number}, the node answered from block {stamp.number}: it keeps no history, or several "
        "nodes answer at its address; put another in its place, or see drift_blocks in docs/configuration.md"
    )


def difference(mine: Told, theirs: Told) -> str:
    """How two answers to one eth_call differ; "" where they don't."""
    if isinstance(mine, RevertError) or isinstance(theirs, RevertError):
        said = ["reverts" if isinstance(answer, RevertError) else "answers" for answer in (mine, theirs)]
        return "" if said[0] == said[1] else f"one {said[0]}, the other {said[1]}"
    if len(mine) != len(theirs):
        return f"{len(mine)} and {len(theirs)} bytes"
    for at in range(0, len(mine), WORD):
        if mine[at : at + WORD] != theirs[at : at + WORD]:
            return f"word {at // WORD} is 0x{mine[at : at + WORD].hex()} and 0x{theirs[at : at + WORD].hex()}"
    return ""
