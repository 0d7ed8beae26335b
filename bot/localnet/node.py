"""A thin harness over one local node, for set-up work: unlocked senders, instant receipts, time, snapshots.

Not for the bot: it has no retries, no quorum and no signing. One `Node` is one kept-alive connection and is
not safe to share between threads. Amounts are wei, times are seconds since 1970.
"""

import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from bot.chain.contracts import built_in_error
from bot.errors import TransientError, VaultkeelError

# Above the largest deployment (5.4M) and below the block limit: an estimate would cost a round trip, and was
# seen to run out of gas where the cost depends on the second in which the transaction is mined.
GAS_LIMIT: Final = 20_000_000

# The order of an L2's fees. Every block that the harness makes starts from this base fee, so fees don't fall
# to nothing over thousands of half-empty blocks.
BASE_FEE_WEI: Final = 100_000_000
PRIORITY_FEE_WEI: Final = 1_000_000

_FEES: Final = {
    "gas": hex(GAS_LIMIT),
    "maxFeePerGas": hex(2 * BASE_FEE_WEI + PRIORITY_FEE_WEI),
    "maxPriorityFeePerGas": hex(PRIORITY_FEE_WEI),
}


class RpcError(VaultkeelError):
    """The node answered with an error. `data` is the revert data, empty when there is none."""

    def __init__(self, sentence: str, data: bytes = b"") -> None:
        super().__init__(sentence)
        self.data = data


class Reverted(VaultkeelError):
    """A transaction or call was reverted.

    `reason` is the decoded message, such as `EX_OPLAS`, or the error with its arguments; `name` is the part
    before the arguments.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.name = reason.partition("(")[0]


@dataclass(frozen=True)
class Call:
    """A call that is to be sent: from an unlocked account, to an address, with calldata."""

    sender: str
    to: str
    data: bytes


@dataclass(frozen=True)
class Log:
    """One event as the chain keeps it: its emitter, topics and data."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True)
class Receipt:
    """A mined transaction that succeeded."""

    transaction_hash: str
    block_number: int
    gas_used: int
    contract_address: str | None
    logs: tuple[Log, ...]


class Node:
    """The RPC of one local node, which mines each transaction as it comes."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname is None:
            raise VaultkeelError(f"the local node's address must be http://host:port, not {url}")
        self.url = url
        self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
        self._errors: dict[bytes, Callable[[bytes], str]] = {}

    def close(self) -> None:
        """Closes the connection. The next request would open it again."""
        self._http.close()

    def learn_error(self, selector: bytes, describe: Callable[[bytes], str]) -> None:
        """From now on revert data that starts with this selector is described so."""
        self._errors[selector] = describe

    def rpc(self, method: str, *params: Any) -> Any:
        """One request. TransientError when the node does not answer, RpcError when it answers an error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            self._http.request("POST", "/", body.encode(), {"content-type": "application/json"})
            answer = json.loads(self._http.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._http.close()
            raise TransientError(f"{self.url} did not answer {method}: {error}") from error
        if "error" in answer:
            failure = answer["error"]
            data = failure.get("data")
            revert = bytes.fromhex(data[2:]) if isinstance(data, str) and data.startswith("0x") else b""
            raise RpcError(f"{method}: {failure.get('message', failure)}", revert)
        return answer["result"]

    def call(self, to: str, data: bytes, sender: str | None = None) -> bytes:
        """What a call returns at the latest block. Reverted with the reason when it reverts."""
        request = {"to": to, "data": "0x" + data.hex(), "gas": hex(GAS_LIMIT)}
        if sender is not None:
            request["from"] = sender
        return self._call(request)

    def send(self, to: str, data: bytes, sender: str, *, value: int = 0) -> Receipt:
        """Sends from an unlocked account and returns the receipt. Reverted with the reason otherwise."""
        return self._send({"to": to, "data": "0x" + data.hex(), "from": sender, "value": hex(value)})

    def send_together(self, calls: Sequence[Call]) -> tuple[Receipt, ...]:
        """Sends calls in one block, in this order. Reverted for the first that was refused, if any was.

        A block costs more time than most transactions: its state root is computed over all of the state. The
        node mines each transaction as it comes again afterwards, whatever it did before.
        """
        requests = [{"to": call.to, "data": "0x" + call.data.hex(), "from": call.sender} for call in calls]
        self.rpc("evm_setAutomine", False)
        try:
            hashes = [self.rpc("eth_sendTransaction", {**request, **_FEES}) for request in requests]
            self.mine()
        finally:
            self.rpc("evm_setAutomine", True)
        answers = [self.rpc("eth_getTransactionReceipt", transaction) for transaction in hashes]
        return tuple(self._succeeded(*pair) for pair in zip(requests, answers, strict=True))

    def deploy(self, code: bytes, sender: str) -> str:
        """Deploys creation code with its arguments appended, and returns the new contract's address."""
        receipt = self._send({"data": "0x" + code.hex(), "from": sender})
        if receipt.contract_address is None:
            raise VaultkeelError(f"transaction {receipt.transaction_hash} deployed nothing")
        return receipt.contract_address

    def send_raw(self, transaction: str) -> Receipt:
        """Sends a signed transaction, given in hex, and returns the receipt."""
        self._pin_base_fee()
        return _receipt(self.rpc("eth_sendRawTransactionSync", transaction))

    def accounts(self) -> list[str]:
        """The unlocked development accounts, as the node spells them."""
        return list(self.rpc("eth_accounts"))

    def set_balance(self, address: str, amount_wei: int) -> None:
        """Gives an account its ETH out of nothing."""
        self.rpc("anvil_setBalance", address, hex(amount_wei))

    def code_size(self, address: str) -> int:
        """Bytes of code at an address: 0 where there is no contract."""
        return (len(self.rpc("eth_getCode", address, "latest")) - 2) // 2

    def block_number(self) -> int:
        """The latest block's number."""
        return int(self.rpc("eth_blockNumber"), 16)

    def timestamp(self) -> int:
        """The latest block's time."""
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def set_next_timestamp(self, time_s: int) -> None:
        """The next block will carry this time. The node refuses one that is not after the latest block's."""
        self.rpc("evm_setNextBlockTimestamp", hex(time_s))

    def mine(self) -> None:
        """Makes one block, empty when nothing waits."""
        self._pin_base_fee()
        self.rpc("evm_mine")

    def snapshot(self) -> str:
        """Remembers the chain as it is now. Each snapshot can be reverted to once."""
        return str(self.rpc("evm_snapshot"))

    def revert(self, snapshot: str) -> None:
        """Goes back to a snapshot, and drops what waits in the mempool, which `evm_revert` alone keeps."""
        if not self.rpc("evm_revert", snapshot):
            raise VaultkeelError(f"the local node does not know snapshot {snapshot}, or it was used already")
        self.rpc("anvil_dropAllTransactions")

    def _pin_base_fee(self) -> None:
        self.rpc("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE_WEI))

    def _send(self, request: dict[str, str]) -> Receipt:
        self._pin_base_fee()
        return self._succeeded(request, self.rpc("eth_sendTransactionSync", {**request, **_FEES}))

    def _succeeded(self, request: dict[str, str], answer: dict[str, Any]) -> Receipt:
        if int(answer["status"], 16) != 1:
            # A failed transaction changed nothing, so replayed on top of its own block it fails the same way.
            self._call({**request, "gas": hex(GAS_LIMIT)})
            raise Reverted(
                "unknown", f"transaction {answer['transactionHash']} was reverted, its replay was not"
            )
        return _receipt(answer)

    def _call(self, request: dict[str, str]) -> bytes:
        try:
            return bytes.fromhex(self.rpc("eth_call", request, "latest")[2:])
        except RpcError as error:
            if "revert" not in str(error):
                raise
            reason = self._reason(error.data)
            raise Reverted(
                reason, f"call to {request.get('to', 'a new contract')} reverted: {reason}"
            ) from error

    def _reason(self, data: bytes) -> str:
        if not data:
            return "no reason given"
        describe = self._errors.get(data[:4])
        if describe is not None:
            return describe(data[4:])
        return built_in_error(data) or f"unknown error 0x{data.hex()}"


def _receipt(answer: dict[str, Any]) -> Receipt:
    logs = tuple(
        Log(
            entry["address"],
            tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"]),
            bytes.fromhex(entry["data"][2:]),
        )
        for entry in answer["logs"]
    )
    return Receipt(
        answer["transactionHash"],
        int(answer["blockNumber"], 16),
        int(answer["gasUsed"], 16),
        answer.get("contractAddress"),
        logs,
    )
