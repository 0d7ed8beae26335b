"""Calls to contracts by name: arguments to calldata, answers and events back to values.

Local and quick: an ABI entry is parsed at its first use, nothing asks the node for its chain id or an
estimate. Structs are mappings in and dicts out; integers stay the chain's raw integers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from eth_abi.abi import decode, encode
from eth_typing import ABIElement, ABIEvent
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
    get_aligned_abi_inputs,
)
from eth_utils.address import to_checksum_address

from bot.errors import VaultkeelError
from bot.localnet.node import Call, Node, Receipt

Entry = Mapping[str, Any]

_BUILT_IN_ERRORS: tuple[Entry, ...] = (
    {"type": "error", "name": "Error", "inputs": [{"name": "message", "type": "string"}]},
    {"type": "error", "name": "Panic", "inputs": [{"name": "code", "type": "uint256"}]},
)


@dataclass(frozen=True)
class Interface:
    """One contract's ABI, looked up by name."""

    abi: Sequence[Entry]
    _selectors: dict[str, bytes] = field(default_factory=dict, compare=False, repr=False)

    def constructor_data(self, arguments: Sequence[Any]) -> bytes:
        """The encoded arguments that follow the creation code."""
        entries = [entry for entry in self.abi if entry["type"] == "constructor"]
        return _encode_inputs(entries[0], arguments) if entries else b""

    def calldata(self, name: str, arguments: Sequence[Any]) -> bytes:
        """The selector and encoded arguments of a function, of the overload that takes that many."""
        entry = self._function(name, len(arguments))
        key = f"{name}/{len(arguments)}"
        if key not in self._selectors:
            self._selectors[key] = function_abi_to_4byte_selector(cast(Any, entry))
        return self._selectors[key] + _encode_inputs(entry, arguments)

    def result(self, name: str, argument_count: int, data: bytes) -> Any:
        """A function's answer: its only value, or a tuple of them."""
        values = _decode_components(self._function(name, argument_count)["outputs"], data)
        return values[0] if len(values) == 1 else values

    def events(self, name: str, receipt: Receipt) -> list[dict[str, Any]]:
        """The arguments of every event of this name in a receipt, whichever contract emitted it."""
        entry = self._only("event", name)
        topic = event_abi_to_log_topic(cast(ABIEvent, entry))
        indexed = [item for item in entry["inputs"] if item["indexed"]]
        plain = [item for item in entry["inputs"] if not item["indexed"]]
        found = []
        for log in receipt.logs:
            if log.topics and log.topics[0] == topic:
                arguments = dict(zip(_names(plain), _decode_components(plain, log.data), strict=True))
                for item, value in zip(indexed, log.topics[1:], strict=True):
                    arguments[item["name"]] = _decode_components([item], value)[0]
                found.append(arguments)
        return found

    def teach_errors(self, node: Node) -> None:
        """Lets the node describe this contract's custom errors, and Solidity's own."""
        for entry in (*_BUILT_IN_ERRORS, *(entry for entry in self.abi if entry["type"] == "error")):
            selector = function_abi_to_4byte_selector(cast(Any, {**entry, "type": "function"}))
            node.learn_error(selector, partial(_describe, entry))

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


def _encode_inputs(entry: Entry, arguments: Sequence[Any]) -> bytes:
    types, values = get_aligned_abi_inputs(cast(ABIElement, entry), tuple(arguments))
    return encode(types, values)


def _decode_components(components: Sequence[Entry], data: bytes) -> tuple[Any, ...]:
    values = decode([collapse_if_tuple(dict(item)) for item in components], data)
    return tuple(_named(item, value) for item, value in zip(components, values, strict=True))


def _named(component: Entry, value: Any) -> Any:
    """Structs become dicts and addresses get their checksum, at every depth."""
    kind = str(component["type"])
    if kind.endswith("]"):
        element = {**component, "type": kind[: kind.rindex("[")]}
        return tuple(_named(element, item) for item in value)
    if kind == "tuple":
        items = component["components"]
        return {item["name"]: _named(item, part) for item, part in zip(items, value, strict=True)}
    return to_checksum_address(value) if kind == "address" else value


def _names(components: Sequence[Entry]) -> list[str]:
    return [str(item["name"]) for item in components]


def _describe(entry: Entry, data: bytes) -> str:
    values = _decode_components(entry["inputs"], data)
    if entry["name"] == "Error":
        return str(values[0])
    arguments = ", ".join(
        f"{name}={value}" for name, value in zip(_names(entry["inputs"]), values, strict=True)
    )
    return f"{entry['name']}({arguments})"
