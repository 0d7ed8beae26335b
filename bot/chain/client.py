"""One chain through several nodes: heads that they agree on, reads that fail over, sends that are never repeated.

What a trade rests on is asked of a quorum and compared at one block hash. Anything else is asked of one provider,
and of the next where that one fails.
"""

import re
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from bot.chain.pinned import PinnedReads, Stamp, disagreement
from bot.chain.pool import Health, Pool, ProviderRules
from bot.chain.provider import Provider, Refused, RevertError, as_log
from bot.core.fees import Offer
from bot.core.model import BlockRef
from bot.errors import DataError, OutcomeUnknown, TransientError, VaultkeelError
from bot.ports import EventLog, Receipt, TxCall

__all__ = ["Client", "Health", "Provider", "ProviderRules", "RevertError"]

T = TypeVar("T")
Head = tuple[Provider, BlockRef]

log = structlog.get_logger("vaultkeel.chain")

HAS_IT = re.compile(r"\balready ?(known|imported)\b", re.IGNORECASE)
TOO_FAR = re.compile(r"\bnonce\b.*\b(too (high|far)|gap(ped)?)\b|\bgapped[- ]nonce\b", re.IGNORECASE)


class Client:
    """Speaks to one chain. `chain` is its name in the configuration, `newest` the last head that it was told.

    Threads may share it.

    Transactions go to `senders`, which may be the `providers` that are read, or a private relay. Every read can raise
    a TransientError (no answer, or no quorum) and a DataError (an answer that makes no sense, or providers that
    disagree).
    """

    newest: BlockRef | None = None

    def __init__(
        self,
        chain: str,
        providers: Sequence[Provider],
        senders: Sequence[Provider],
        rules: ProviderRules,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.chain = chain
        self._rules = rules
        # A head that another thread's overtook would look like one that went back.
        self._heads = threading.Lock()
        self._pool = Pool(chain, providers, rules, now)
        self._senders = tuple(senders)
        self._retrying = Retrying(
            stop=stop_after_attempt(rules.read_tries),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            retry=retry_if_exception_type(TransientError),
            reraise=True,
        )
        self._pinned = PinnedReads(chain, self._pool, rules, self._retrying)

    @classmethod
    def of_one(cls, chain: str, url: str, *, timeout_s: float = 10.0) -> Self:
        """A client of one node, which is believed."""
        provider = Provider(chain, url, timeout_s)
        return cls(chain, [provider], [provider], ProviderRules())

    def health(self) -> tuple[Health, ...]:
        """The providers that are read, as they were last seen. Asks nothing."""
        return self._pool.health()

    def head(self) -> BlockRef:
        """The latest block that a quorum has: the lowest of its heads, with one hash."""
        with self._heads:
            self.newest = self._retrying(
                lambda: self._agreed(self._pool.several(self._latest, everyone=True))
            )
            return self.newest

    def confirmed(self, depth: int) -> BlockRef:
        """The block at this depth (1 = the head), as a quorum has it."""
        head = self.head()
        if depth <= 1:
            return head
        number = hex(max(head.number - depth + 1, 0))
        told = self._retrying(lambda: self._pool.several(lambda p: p.block(self.chain, number)))
        (first, block), *others = told
        for other, theirs in others:
            self._refuse_other(first, block, other, theirs)
        return block

    def opening(self, addresses: Sequence[str]) -> tuple[int, BlockRef, dict[str, bool]]:
        """Chain id, latest block, and which addresses hold code, in one round trip to each provider."""
        with self._heads:
            return self._retrying(lambda: self._opening(addresses))

    def call_at(
        self,
        block: BlockRef,
        to: str,
        data: bytes,
        gas: int,
        stamp_of: Callable[[bytes], Stamp] | None = None,
    ) -> bytes:
        """An eth_call at exactly this block (EIP-1898), byte for byte the same at every provider of a quorum.

        With `drift_blocks` it is made at the provider's latest block. `stamp_of` finds in an answer which block it is
        from; one from another block than it may be counts as none. TransientError where a reorg removed the block.
        """
        return self._pinned.call(block, to, data, gas, stamp_of)

    def batch_at(
        self, block: BlockRef, asked: Sequence[tuple[str, bytes | None]], gas: int
    ) -> list[bytes | RevertError]:
        """Several eth_calls, or balances where the data is None, at exactly this block, in JSON-RPC batches.

        As `call_at`, but each call may revert by itself. A balance is a word, in wei. Only with `drift_blocks` can it
        be told which block an answer is from.
        """
        return self._pinned.batch(block, asked, gas)

    def call_latest(self, to: str, data: bytes) -> bytes:
        """An eth_call at one provider's latest block: for looking, not for deciding. Raises RevertError."""
        params = [{"to": to, "data": "0x" + data.hex()}, "latest"]
        return self._first(lambda provider: provider.data("eth_call", params))

    def preflight(self, account: str, call: TxCall) -> bytes:
        """What `call` would return if `account` sent it now. Raises RevertError."""
        params = [_as_call(account, call), "pending"]
        return self._first(lambda provider: provider.data("eth_call", params))

    def estimate_gas(self, account: str, call: TxCall) -> int:
        """Gas units that `call` would use if `account` sent it now, without any margin. Raises RevertError."""
        return self._number("eth_estimateGas", [_as_call(account, call)])

    def nonces(self, account: str) -> tuple[int, int]:
        """The next nonce by mined transactions, and by pending ones too."""

        def ask(provider: Provider) -> tuple[int, int]:
            method = "eth_getTransactionCount"
            mined, pending = provider.batch([(method, [account, tag]) for tag in ("latest", "pending")])
            with provider.expecting(method):
                return int(mined, 16), int(pending, 16)

        return self._first(ask)

    def buried_nonce(self, account: str, depth: int) -> int:
        """The next nonce as `depth` blocks below the head show it: the lowest that a quorum tells.

        A node may count a block's nonces before it serves the block's receipts, so the head itself proves nothing.
        """
        params = [account, hex(max(self.head().number - depth, 0))]
        answers = self._retrying(
            lambda: self._pool.several(lambda p: p.number("eth_getTransactionCount", params))
        )
        return min(nonce for _, nonce in answers)

    def balance(self, account: str) -> int:
        """Native balance in wei at the latest block."""
        return self._number("eth_getBalance", [account, "latest"])

    def send(self, raw: bytes) -> None:
        """Sends signed bytes once to every sender; one that accepts them, or has them already, is enough.

        Without one it is OutcomeUnknown, whatever they said: the bytes stay valid until their nonce is used; but a
        TransientError where all refuse the nonce as too far ahead of those that they have seen. The hash that a node
        answers is not looked at.
        """
        doubts: list[str] = []
        too_far = 0
        for sender in self._senders:
            try:
                sender.request("eth_sendRawTransaction", ["0x" + raw.hex()])
            except Refused as error:
                too_far += bool(TOO_FAR.search(error.said))
                if not HAS_IT.search(error.said):
                    doubts.append(str(error))
            except VaultkeelError as error:
                doubts.append(str(error))
        if too_far == len(self._senders):
            raise TransientError(
                f"{self.chain}: the nonce of an order is too far ahead for the node, which has not seen those "
                f"before it: the order waits and is sent again ({'; '.join(doubts)})"
            )
        if len(doubts) == len(self._senders):
            raise OutcomeUnknown(f"{self.chain}: no node confirmed a sent order: {'; '.join(doubts)}")
        if doubts:
            log.info("sent, but not every node took it", chain=self.chain, why="; ".join(doubts))

    def offer(self, min_tip_wei: int) -> Offer:
        """Fees for now: twice the next base fee and the median recent tip, at least `min_tip_wei` (EIP-1559)."""

        def ask(provider: Provider) -> Offer:
            history = provider.request("eth_feeHistory", [hex(5), "latest", [50]])
            with provider.expecting("eth_feeHistory"):
                rewards = sorted(int(block[0], 16) for block in history.get("reward") or [] if block)
                tip = max(min_tip_wei, rewards[len(rewards) // 2] if rewards else 0)
                return Offer(2 * int(history["baseFeePerGas"][-1], 16) + tip, tip)

        return self._first(ask)

    def receipt(self, tx_hash: str) -> tuple[Receipt, int] | None:
        """A transaction's receipt and its depth (1 = in the head), while its block is canonical.

        With a quorum of two or more, two providers must show it in the same block. None means that they don't yet,
        not that the transaction is gone.
        """
        return self._retrying(lambda: self._receipt(tx_hash))

    def logs(self, address: str, topics: Sequence[str | None], first: int, last: int) -> list[EventLog]:
        """Events of one contract in the blocks `first` to `last`, oldest first."""
        found: list[EventLog] = []
        most = self._rules.max_log_blocks
        for start in range(first, last + 1, most):
            found += self._logs(address, topics, start, min(start + most - 1, last))
        return found

    def _logs(self, address: str, topics: Sequence[str | None], first: int, last: int) -> list[EventLog]:
        wanted = {"address": address, "topics": list(topics), "fromBlock": hex(first), "toBlock": hex(last)}

        def ask(provider: Provider) -> list[EventLog]:
            answered = provider.request("eth_getLogs", [wanted])
            with provider.expecting("eth_getLogs"):
                return [as_event(event) for event in answered]

        return self._first(ask)

    def instance(self) -> str:
        """anvil's instance id, which changes with every chain that it starts; "" where the node isn't anvil."""
        try:
            return str(self._pool.first(lambda p: p.request("anvil_metadata", []))["instanceId"])
        except (DataError, KeyError, TypeError):
            return ""

    def batch(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Several requests in one round trip to one provider, answers in order. The first error in it is raised."""
        return self._first(lambda provider: provider.batch(asked))

    def _first(self, ask: Callable[[Provider], T]) -> T:
        return self._retrying(lambda: self._pool.first(ask))

    def _number(self, method: str, params: list[Any]) -> int:
        return self._first(lambda provider: provider.number(method, params))

    def _latest(self, provider: Provider) -> BlockRef:
        if not self._pool.needs_vetting(provider):
            return provider.block(self.chain, "latest")
        chain_id, head = provider.batch([("eth_chainId", []), ("eth_getBlockByNumber", ["latest", False])])
        with provider.expecting("eth_chainId"):
            self._pool.vet(provider, int(chain_id, 16))
        return provider.as_block(self.chain, "latest", head)

    def _agreed(self, told: Sequence[Head]) -> BlockRef:
        """The lowest head of a quorum, which the others have at that height too."""
        heads = self._pool.abreast(told)
        first, lowest = min(heads, key=lambda each: each[1].number)
        for other, head in heads:
            theirs = head if head.number == lowest.number else other.block(self.chain, hex(lowest.number))
            self._refuse_other(first, lowest, other, theirs)
        return lowest

    def _refuse_other(self, first: Provider, mine: BlockRef, other: Provider, theirs: BlockRef) -> None:
        """DataError where two providers have another block at one height."""
        if theirs != mine:
            what = "hash" if theirs.hash != mine.hash else "header"
            told, its = (mine.hash, theirs.hash) if what == "hash" else (mine, theirs)
            raise self._disagreement(first, other, f"the {what} of block {mine.number}: {told} and {its}")

    def _opening(self, addresses: Sequence[str]) -> tuple[int, BlockRef, dict[str, bool]]:
        asked: list[tuple[str, list[Any]]] = [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["latest", False]),
        ]
        asked += [("eth_getCode", [address, "latest"]) for address in addresses]

        def ask(provider: Provider) -> tuple[int, BlockRef, dict[str, bool]]:
            chain_id, head, *codes = provider.batch(asked)
            with provider.expecting("eth_chainId"):
                number = int(chain_id, 16)
            has_code = {a: code not in ("0x", "", None) for a, code in zip(addresses, codes, strict=True)}
            return number, provider.as_block(self.chain, "latest", head), has_code

        told = self._pool.several(ask, everyone=True)
        first, (chain_id, _, has_code) = told[0]
        for other, (theirs, _, _) in told[1:]:
            if theirs != chain_id:
                raise self._disagreement(first, other, f"the chain id: {chain_id} and {theirs}")
        self._pool.found_chain(chain_id, [provider for provider, _ in told])
        self.newest = self._agreed([(provider, head) for provider, (_, head, _) in told])
        for other, (_, _, theirs_) in told[1 : self._pool.quorum]:
            for address in addresses:
                if theirs_[address] != has_code[address]:
                    raise self._disagreement(first, other, f"whether there is a contract at {address}")
        return chain_id, self.newest, has_code

    def _receipt(self, tx_hash: str) -> tuple[Receipt, int] | None:
        needed = min(2, self._pool.quorum)
        found: list[tuple[Provider, Receipt, int]] = []
        failures: list[TransientError | DataError] = []
        without = 0
        for provider, answer in self._pool.each(lambda p: p.receipt(tx_hash)):
            if isinstance(answer, TransientError | DataError):
                failures.append(answer)
                continue
            if answer is None:
                without += 1
                if without > self._pool.size - needed:
                    return None  # those that are left can't be enough
                continue
            found.append((provider, *answer))
            agreed = [each for each in found if each[1].block_hash == answer[0].block_hash]
            if len(agreed) >= needed:
                return self._agreed_receipt(agreed)
        if len(found) + without < needed:
            raise self._pool.no_quorum(failures)
        return None

    def _agreed_receipt(self, shown: Sequence[tuple[Provider, Receipt, int]]) -> tuple[Receipt, int]:
        first, receipt, _ = shown[0]
        for other, theirs, _ in shown[1:]:
            if _meaning(theirs) != _meaning(receipt):
                raise self._disagreement(first, other, f"what transaction {receipt.tx_hash} did")
        return receipt, min(depth for _, _, depth in shown)

    def _disagreement(self, one: Provider, other: Provider, what: str) -> DataError:
        return disagreement(self.chain, one, other, what)


def as_event(found: dict[str, Any]) -> EventLog:
    """One event as eth_getLogs answers it."""
    return EventLog(
        as_log(found), found["transactionHash"], int(found["blockNumber"], 16), found["blockHash"]
    )


def _as_call(account: str, call: TxCall) -> dict[str, str]:
    return {"from": account, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}


def _meaning(receipt: Receipt) -> tuple[object, ...]:
    """What a receipt says happened. Nodes write the case of an address, and the parts of a fee, in their own ways."""
    logs = tuple((log_.address.lower(), log_.topics, log_.data) for log_ in receipt.logs)
    return receipt.succeeded, receipt.block_number, logs
