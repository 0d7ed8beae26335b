"""Calls to a package's contracts by name. The codec is `bot.chain.contracts`; here are overloads and constructors.

Local and quick: nothing asks the node for its chain id or an estimate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector

from bot.chain.contracts import decode_log, decode_values, describe_error, encode_values
from bot.errors import VaultkeelError
from bot.localnet.node import Call, Node, Receipt

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Interface:
    """One contract's ABI, looked up by name."""

    abi: Sequence[Entry]
    _selectors: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    def constructor_data(self, arguments: Sequence[Any]) -> bytes:
        """The encoded arguments that follow the creation code."""
        entries = [entry for entry in self.abi if entry["type"] == "constructor"]
        return encode_values(entries[0]["inputs"], arguments) if entries else b""

    def calldata(self, name: str, arguments: Sequence[Any]) -> bytes:
        """The selector and encoded arguments of a function, of the overload that takes that many."""
        entry = self._function(name, len(arguments))
        key = f"{name}/{len(arguments)}"
        if key not in self._selectors:
            self._selectors[key] = function_abi_to_4byte_selector(cast(Any, entry))
        return self._selectors[key] + encode_values(entry["inputs"], arguments)

    def result(self, name: str, argument_count: int, data: bytes) -> Any:
        """A function's answer: its only value, or a list of them."""
        values = decode_values(name, self._function(name, argument_count)["outputs"], data)
        return values[0] if len(values) == 1 else values

    def events(self, name: str, receipt: Receipt) -> list[dict[str, Any]]:
        """The arguments of every event of this name in a receipt, whichever contract emitted it."""
        entry = self._only("event", name)
        topic = event_abi_to_log_topic(cast(Any, entry))
        return [
            decode_log(name, entry["inputs"], log.topics, log.data)
            for log in receipt.logs
            if log.topics and log.topics[0] == topic
        ]

    def teach_errors(self, node: Node) -> None:
        """Lets the node describe this contract's custom errors."""
        for entry in (entry for entry in self.abi if entry["type"] == "error"):
            selector = function_abi_to_4byte_selector(cast(Any, {**entry, "type": "function"}))
            node.learn_error(selector, partial(describe_error, cast(Any, entry)))

    def _function(self, name: str, argument_count: int) -> Entry:
        for entry in self.abi:
            if (
                entry["type"] == "function"
                and entry["name"] == name
                and len(entry["inputs"]) == argument_count
            ):
                return entry
        raise VaultkeelError(f"the ABI has no function {name} with {argument_count} arguments")

    def _only(self, kind: str, name: str) -> Entry:
        for entry in self.abi:
            if entry["type"] == kind and entry["name"] == name:
                return entry
        raise VaultkeelError(f"the ABI has no {kind} {name}")


@dataclass(frozen=True)
class Contract:
    """A deployed contract on a local node."""

    node: Node
    address: str
    interface: Interface

    def read(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        """What a view answers at the latest block. Reverted when it reverts."""
        data = self.node.call(self.address, self.interface.calldata(function, arguments), sender)
        return self.interface.result(function, len(arguments), data)

    def prepare(self, function: str, *arguments: Any, sender: str) -> Call:
        """A transaction that is to be sent later, together with others."""
        return Call(sender, self.address, self.interface.calldata(function, arguments))

    def send(self, function: str, *arguments: Any, sender: str) -> Receipt:
        """Sends a transaction and waits for its receipt. Reverted when it reverts."""
        return self.node.send(self.address, self.interface.calldata(function, arguments), sender)
