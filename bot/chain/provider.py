"""One RPC address: what it answers, and what its failures mean.

A provider is called by its place in the configuration. Its address may hold a token, so neither an error nor a log
ever shows it, nor what a node quotes of it.
"""

import contextlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import requests
from hexbytes import HexBytes
from web3 import HTTPProvider
from web3.exceptions import BadResponseFormat
from web3.types import RPCEndpoint

from bot.core.model import BlockRef
from bot.errors import DataError, TransientError, VaultkeelError
from bot.ports import Log, Receipt

T = TypeVar("T")

DEEPEST = 1_000
sys.setrecursionlimit(DEEPEST)
"""Python's own. A library of web3's raises it a hundredfold, and then a deeply nested answer would end the process."""

BLOCK_GONE = -32001
BLOCK_UNKNOWN = re.compile(r"header not found|unknown block", re.IGNORECASE)
BUSY = (-32005, 429)
EVM_FAILED = re.compile(
    r"out of gas|invalid (opcode|jump)|stack (under|over)flow|precompile|bad instruction", re.IGNORECASE
)
"""What nodes say of a call that failed in the EVM without a revert."""
SHORTEST_TOKEN = 8


class RevertError(VaultkeelError):
    """An eth_call or a gas estimate reverted. `data` is the revert's undecoded reason."""

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class Refused(DataError):
    """A node answered with an error. `said` is its own message, without addresses and tokens."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class Provider:
    """Asks one node once, without retries. `name` is what messages call it, `timeout_s` seconds per request.

    Every failure is a TransientError (no usable answer: another try or another provider may have one), a DataError
    (the node says no, or something that isn't what was asked), or a RevertError.
    """

    def __init__(self, name: str, url: str, timeout_s: float = 10.0) -> None:
        self.name = name
        self._tokens = _tokens_in(url)
        # web3 would send a transaction again by itself, and report the second answer.
        self._http = HTTPProvider(
            url, request_kwargs={"timeout": timeout_s}, exception_retry_configuration=None
        )

    def request(self, method: str, params: list[Any]) -> Any:
        """One request's result."""
        answer = self._speak(lambda: self._http.make_request(RPCEndpoint(method), params))
        return self._result(method, answer)

    def batch(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        """The results of several requests in one round trip, in order. The first error in it is raised."""
        answers = self._answers(asked)
        return [self._result(method, answer) for (method, _), answer in zip(asked, answers, strict=True)]

    def batch_of_calls(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any | RevertError]:
        """As `batch`, but a call that failed in the EVM is a RevertError in its place. Any other error is raised."""
        answers = self._answers(asked)
        return [self._of_call(method, answer) for (method, _), answer in zip(asked, answers, strict=True)]

    def _of_call(self, method: str, answer: Any) -> Any | RevertError:
        try:
            return self._result(method, answer)
        except RevertError as error:
            return error
        except Refused as error:
            if method == "eth_call" and EVM_FAILED.search(error.said):
                return RevertError(error.said, b"")
            raise

    def _answers(self, asked: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        requests_ = [(RPCEndpoint(method), params) for method, params in asked]
        answers = self._speak(lambda: self._http.make_batch_request(requests_))
        if not isinstance(answers, list) or len(answers) != len(asked):
            raise TransientError(f"{self.name}: the node gave a short answer to a batch of {len(asked)}")
        return answers

    def number(self, method: str, params: list[Any]) -> int:
        """A request whose result is a whole number."""
        answer = self.request(method, params)
        with self.expecting(method):
            return int(answer, 16)

    def data(self, method: str, params: list[Any]) -> bytes:
        """A request whose result is bytes."""
        answer = self.request(method, params)
        with self.expecting(method):
            return bytes(HexBytes(answer))

    def block(self, chain: str, which: str) -> BlockRef:
        """The block at a height in hex, or "latest". DataError where there is none."""
        return self.as_block(chain, which, self.request("eth_getBlockByNumber", [which, False]))

    def as_block(self, chain: str, which: str, answer: Any) -> BlockRef:
        """The same from the node's answer."""
        if answer is None:
            missing = "latest block" if which == "latest" else f"block {int(which, 16)}"
            raise DataError(f"{self.name}: the node has no {missing}")
        with self.expecting("eth_getBlockByNumber"):
            return BlockRef(
                chain=chain,
                number=int(answer["number"], 16),
                hash=HexBytes(answer["hash"]).to_0x_hex(),
                timestamp=int(answer["timestamp"], 16),
                base_fee_wei=int(answer.get("baseFeePerGas", "0x0"), 16),
            )

    def receipt(self, tx_hash: str) -> tuple[Receipt, int] | None:
        """A transaction's receipt and its depth (1 = in the head), while this node's chain has its block."""
        found, head = self.batch(
            [("eth_getTransactionReceipt", [tx_hash]), ("eth_getBlockByNumber", ["latest", False])]
        )
        if found is None:
            return None
        with self.expecting("eth_getTransactionReceipt"):
            receipt, height = _receipt(tx_hash, found), int(head["number"], 16)
        block = self.request("eth_getBlockByNumber", [hex(receipt.block_number), False])
        with self.expecting("eth_getBlockByNumber"):
            if block is None or HexBytes(block["hash"]).to_0x_hex() != receipt.block_hash:
                return None
        return receipt, height - receipt.block_number + 1

    @contextlib.contextmanager
    def expecting(self, what: str) -> Iterator[None]:
        """Inside, results are decoded: one of another form than expected is a DataError that names `what`."""
        try:
            yield
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            raise DataError(f"{self.name}: {what}: the answer has an unexpected form") from None

    def _speak(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except requests.exceptions.Timeout:
            raise TransientError(f"{self.name}: the node did not answer in time") from None
        except requests.exceptions.HTTPError as error:
            status = "an error" if error.response is None else error.response.status_code
            raise TransientError(f"{self.name}: the node answered HTTP {status}") from None
        except OSError as error:  # of requests too: its exceptions are OSErrors
            raise TransientError(f"{self.name}: the node can't be reached ({type(error).__name__})") from None
        except (ValueError, TypeError, AttributeError, RecursionError, BadResponseFormat):
            # web3 trips over odd batches, and JSON over one that is nested too deeply
            raise TransientError(f"{self.name}: the node's answer is not JSON-RPC") from None

    def _result(self, method: str, answer: Any) -> Any:
        error = answer.get("error") if isinstance(answer, dict) else {"message": "not an object"}
        if not error:
            return answer.get("result")
        if not isinstance(error, dict):
            error = {"message": error}
        code, message = error.get("code"), self._clean(str(error.get("message", error)))
        if code == BLOCK_GONE or BLOCK_UNKNOWN.search(message):
            raise TransientError(f"{self.name}: the pinned block is no longer there ({message})")
        if code in BUSY:
            raise TransientError(f"{self.name}: the node takes no more requests for now ({message})")
        data = error.get("data")
        if method in ("eth_call", "eth_estimateGas") and (isinstance(data, str) or "revert" in message):
            raise RevertError(message, _revert_data(data))
        raise Refused(f"{self.name}: {method}: {message}", message)

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


def _revert_data(data: object) -> bytes:
    """A revert's data; empty where a node puts words there."""
    if not isinstance(data, str):
        return b""
    with contextlib.suppress(ValueError):
        return bytes(HexBytes(data.removeprefix("Reverted ")))
    return b""


def _receipt(tx_hash: str, found: dict[str, Any]) -> Receipt:
    gas_used = int(found["gasUsed"], 16)
    l1_fee = int(found.get("l1Fee") or "0x0", 16)
    return Receipt(
        tx_hash=tx_hash,
        succeeded=int(found["status"], 16) == 1,
        block_number=int(found["blockNumber"], 16),
        block_hash=HexBytes(found["blockHash"]).to_0x_hex(),
        gas_used=gas_used,
        gas_cost_wei=gas_used * int(found["effectiveGasPrice"], 16) + l1_fee,
        logs=tuple(as_log(entry) for entry in found["logs"]),
    )


def as_log(entry: dict[str, Any]) -> Log:
    """One event of a receipt, or of a log query."""
    topics = tuple(bytes(HexBytes(topic)) for topic in entry["topics"])
    return Log(entry["address"], topics, bytes(HexBytes(entry["data"])))
