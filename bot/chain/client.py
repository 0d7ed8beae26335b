"""One chain's node: pinned heads, reads that are retried, and sends that never are.

Nothing here puts an RPC address into an error or a log: it may hold a token.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests
from hexbytes import HexBytes
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from web3 import HTTPProvider
from web3.exceptions import BadResponseFormat
from web3.types import RPCEndpoint

from bot.core.model import BlockRef
from bot.errors import DataError, OutcomeUnknown, TransientError, VaultkeelError
from bot.ports import Log, Receipt, TxCall

T = TypeVar("T")

BLOCK_GONE = -32001
SHORTEST_TOKEN = 8


class RevertError(VaultkeelError):
    """An eth_call or a gas estimate reverted. `data` is the revert's undecoded reason."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class Client:
    """Speaks to one chain. `chain` is its name in the configuration, `newest` the last head that it was told."""

    newest: BlockRef | None = None

    def __init__(self, chain: str, url: str, *, timeout_s: float = 10.0, read_tries: int = 3) -> None:
        self.chain = chain
        self._tokens = _tokens_in(url)
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None
        )
        self._retrying = Retrying(
            stop=stop_after_attempt(read_tries),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            retry=retry_if_exception_type(TransientError),
            reraise=True,
        )

    def head(self) -> BlockRef:
        """The latest block."""
        self.newest = self._read(
            lambda: _block_ref(self.chain, self._request("eth_getBlockByNumber", ["latest", False]))
        )
        return self.newest

    def opening(self, addresses: Sequence[str]) -> tuple[int, BlockRef, dict[str, bool]]:
        """Chain id, latest block, and which addresses hold code, in one round trip."""
        asked: list[tuple[str, list[Any]]] = [
            ("eth_chainId", []),
            ("eth_getBlockByNumber", ["latest", False]),
        ]
        asked += [("eth_getCode", [address, "latest"]) for address in addresses]
        answers = self.batch(asked)
        codes = {
            address: answer not in ("0x", "") for address, answer in zip(addresses, answers[2:], strict=True)
        }
        self.newest = _block_ref(self.chain, answers[1])
        return int(answers[0], 16), self.newest, codes

    def call_at(self, block_hash: str, to: str, data: bytes, gas: int) -> bytes:
        """An eth_call at exactly this block (EIP-1898). TransientError where a reorg removed the block."""
        where = {"blockHash": block_hash, "requireCanonical": True}
        transaction = {"to": to, "data": "0x" + data.hex(), "gas": hex(gas)}
        try:
            return bytes(HexBytes(self._read(lambda: self._request("eth_call", [transaction, where]))))
        except RevertError as error:
            raise DataError(f"{self.chain}: a batched read at {to} failed: {error}") from error

    def preflight(self, account: str, call: TxCall) -> bytes:
        """What `call` would return if `account` sent it now. Raises RevertError."""
        transaction = _as_call(account, call)
        return bytes(HexBytes(self._read(lambda: self._request("eth_call", [transaction, "pending"]))))

    def estimate_gas(self, account: str, call: TxCall) -> int:
        """Gas units that `call` would use if `account` sent it now, without any margin. Raises RevertError."""
        return int(self._read(lambda: self._request("eth_estimateGas", [_as_call(account, call)])), 16)

    def nonces(self, account: str) -> tuple[int, int]:
        """The next nonce by mined transactions, and by pending ones too."""
        answers = self.batch([("eth_getTransactionCount", [account, tag]) for tag in ("latest", "pending")])
        return int(answers[0], 16), int(answers[1], 16)

    def buried_nonce(self, account: str, depth: int) -> int:
        """The next nonce as `depth` blocks below the head show it.

        A node may count a block's nonces before it serves the block's receipts, so the head itself proves nothing.
        """
        number = max(self.head().number - depth, 0)
        return int(self._read(lambda: self._request("eth_getTransactionCount", [account, hex(number)])), 16)

    def balance(self, account: str) -> int:
        """Native balance in wei at the latest block."""
        return int(self._read(lambda: self._request("eth_getBalance", [account, "latest"])), 16)

    def send(self, raw: bytes) -> None:
        """Sends signed bytes once. Any doubt is OutcomeUnknown: the bytes stay valid until their nonce is used."""
        try:
            self._request("eth_sendRawTransaction", ["0x" + raw.hex()])
        except (TransientError, DataError) as error:
            raise OutcomeUnknown(f"{self.chain}: the node did not confirm a sent order: {error}") from error

    def fees(self, min_tip_wei: int) -> tuple[int, int]:
        """(fee cap, tip) per gas unit in wei: twice the next base fee plus the median recent tip (EIP-1559)."""
        history = self._read(lambda: self._request("eth_feeHistory", [hex(5), "latest", [50]]))
        rewards = sorted(int(block[0], 16) for block in history.get("reward") or [] if block)
        tip = max(min_tip_wei, rewards[len(rewards) // 2] if rewards else 0)
        return 2 * int(history["baseFeePerGas"][-1], 16) + tip, tip

    def receipt(self, tx_hash: str) -> tuple[Receipt, int] | None:
        """A transaction's receipt and its depth (1 = in the head), while its block is canonical."""
        found, head = self.batch(
            [("eth_getTransactionReceipt", [tx_hash]), ("eth_getBlockByNumber", ["latest", False])]
        )
        if found is None:
            return None
        block = self._read(lambda: self._request("eth_getBlockByNumber", [found["blockNumber"], False]))
        if block is None or block["hash"] != found["blockHash"]:
            return None
        receipt = _receipt(tx_hash, found)
        return receipt, int(head["number"], 16) - receipt.block_number + 1

    def instance(self) -> str:
        """anvil's instance id, which changes with every chain that it starts; "" where the node isn't anvil."""
        try:
            return str(self._request("anvil_metadata", [])["instanceId"])
        except (DataError, KeyError, TypeError):
            return ""

    def batch(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """Several requests in one round trip, answers in order. The first error in it is raised."""
        return self._read(lambda: self._batch(asked))

    def _read(self, ask: Callable[[], T]) -> T:
        return self._retrying(ask)

    def _batch(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        requests_ = [(RPCEndpoint(method), params) for method, params in asked]
        answers = self._speak(lambda: self._provider.make_batch_request(requests_))
        if not isinstance(answers, list) or len(answers) != len(asked):
            raise TransientError(f"{self.chain}: the node gave a short answer to a batch of {len(asked)}")
        return [self._result(method, answer) for (method, _), answer in zip(asked, answers, strict=True)]

    def _request(self, method: str, params: list[Any]) -> Any:
        answer = self._speak(lambda: self._provider.make_request(RPCEndpoint(method), params))
        return self._result(method, answer)

    def _speak(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except requests.exceptions.Timeout:
            raise TransientError(f"{self.chain}: the node did not answer in time") from None
        except requests.exceptions.HTTPError as error:
            status = "an error" if error.response is None else error.response.status_code
            raise TransientError(f"{self.chain}: the node answered HTTP {status}") from None
        except OSError as error:  # of requests too: its exceptions are OSErrors
            raise TransientError(
                f"{self.chain}: the node can't be reached ({type(error).__name__})"
            ) from None
        except (ValueError, BadResponseFormat):
            raise TransientError(f"{self.chain}: the node's answer is not JSON-RPC") from None

    def _result(self, method: str, answer: Any) -> Any:
        error = answer.get("error") if isinstance(answer, dict) else {"message": "not an object"}
        if not error:
            return answer.get("result")
        if not isinstance(error, dict):
            error = {"message": error}
        code, message = error.get("code"), self._clean(str(error.get("message", error)))
        if code == BLOCK_GONE:
            raise TransientError(f"{self.chain}: the pinned block is no longer there ({message})")
        data = error.get("data")
        if method in ("eth_call", "eth_estimateGas") and (isinstance(data, str) or "revert" in message):
            raise RevertError(message, bytes(HexBytes(data)) if isinstance(data, str) else b"")
        raise DataError(f"{self.chain}: {method}: {message}")

    def _clean(self, message: str) -> str:
        """A node's own words without addresses, and without a token of ours that it quotes."""
        message = re.sub(r"\w+://\S+", "<address>", message)
        for token in self._tokens:
            message = message.replace(token, "<token>")
        return message


def _tokens_in(url: str) -> tuple[str, ...]:
    """What may be a token in an RPC address, longest first."""
    parts = urlsplit(url)
    values = [value for _, value in parse_qsl(parts.query)]
    found = {*parts.path.split("/"), *values, parts.username or "", parts.password or ""}
    return tuple(sorted((part for part in found if len(part) >= SHORTEST_TOKEN), key=len, reverse=True))


def _as_call(account: str, call: TxCall) -> dict[str, str]:
    return {"from": account, "to": call.to, "data": "0x" + call.data.hex(), "value": hex(call.value)}


def _block_ref(chain: str, block: Any) -> BlockRef:
    if not isinstance(block, dict):
        raise DataError(f"{chain}: the node has no latest block")
    return BlockRef(
        chain=chain,
        number=int(block["number"], 16),
        hash=block["hash"],
        timestamp=int(block["timestamp"], 16),
        base_fee_wei=int(block.get("baseFeePerGas", "0x0"), 16),
    )


def _receipt(tx_hash: str, found: dict[str, Any]) -> Receipt:
    gas_used = int(found["gasUsed"], 16)
    l1_fee = int(found.get("l1Fee") or "0x0", 16)
    return Receipt(
        tx_hash=tx_hash,
        succeeded=int(found["status"], 16) == 1,
        block_number=int(found["blockNumber"], 16),
        block_hash=found["blockHash"],
        gas_used=gas_used,
        gas_cost_wei=gas_used * int(found["effectiveGasPrice"], 16) + l1_fee,
        logs=tuple(
            Log(
                address=log["address"],
                topics=tuple(bytes(HexBytes(topic)) for topic in log["topics"]),
                data=bytes(HexBytes(log["data"])),
            )
            for log in found["logs"]
        ),
    )
