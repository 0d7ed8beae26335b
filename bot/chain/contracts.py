"""Contracts from the JSON files in `abis/`: encode a call, decode its result, its events and its reverts.

Results are plain values: one output is itself, several are a list, and a struct is a dict by field name.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_typing import ABIComponent, ABIComponentIndexed, ABIElement, ABIEvent, ABIFunction
from eth_utils.abi import (
    collapse_if_tuple,
    event_abi_to_log_topic,
    function_abi_to_4byte_selector,
)
from eth_utils.address import to_checksum_address

from bot.errors import ConfigError, DataError
from bot.ports import Call, Log
from bot.share import share

ERROR_STRING = bytes.fromhex("08c379a0")
PANIC = bytes.fromhex("4e487b71")


@dataclass(frozen=True)
class Abi:
    """One file of `abis/`: the functions, events and errors that we use of a contract."""

    name: str
    functions: Mapping[str, ABIFunction]
    events: Mapping[str, ABIEvent]
    errors: Mapping[bytes, ABIFunction]

    def selector(self, function: str) -> bytes:
        """A function's four bytes."""
        return function_abi_to_4byte_selector(self.functions[function])

    def encode(self, function: str, *args: Any) -> bytes:
        """Calldata. A struct is given as a dict by field name or as a tuple."""
        inputs = self.functions[function].get("inputs", ())
        try:
            return self.selector(function) + encode_values(inputs, args)
        except EncodingError as error:
            raise DataError(f"{self.name}.{function}: {error}") from error

    def topic(self, event: str) -> bytes:
        """The first topic of an event's logs."""
        return event_abi_to_log_topic(self.events[event])

    def decode_input(self, data: bytes) -> tuple[str, dict[str, Any]]:
        """The function's name and its arguments by name. DataError for a selector that isn't in the file."""
        for name, function in self.functions.items():
            if data[:4] == self.selector(name):
                inputs = function.get("inputs", ())
                values = decode_values(f"{self.name}.{name}", inputs, data[4:])
                return name, {c["name"]: value for c, value in zip(inputs, values, strict=True)}
        raise DataError(f"{self.name} has no function with selector 0x{data[:4].hex()}")

    def decode_output(self, function: str, data: bytes) -> Any:
        """What a call returned."""
        outputs = self.functions[function].get("outputs", ())
        values = decode_values(f"{self.name}.{function}", outputs, data)
        return values[0] if len(values) == 1 else values

    def decode_event(self, event: str, log: Log) -> dict[str, Any] | None:
        """The event's arguments by name; None where the log is another event."""
        abi = self.events[event]
        if not log.topics or log.topics[0] != self.topic(event):
            return None
        return decode_log(f"{self.name}.{event}", abi.get("inputs", ()), log.topics, log.data)

    def explain(self, revert: bytes) -> str:
        """A revert's data in words: Error(string), Panic(uint256), a custom error of the file, or the raw bytes."""
        if not revert:
            return "reverted without a reason"
        try:
            error = self.errors.get(revert[:4])
            known = built_in_error(revert) if error is None else describe_error(error, revert[4:])
        except DataError:
            return f"unreadable error 0x{revert.hex()[:72]}"
        return known or f"unknown error 0x{revert.hex()[:72]}"


@dataclass(frozen=True)
class Contract:
    """An ABI at an address."""

    abi: Abi
    address: str

    def call(self, function: str, *args: Any, may_fail: bool = False) -> Call:
        """A read for a reader to yield."""
        return Call(
            to=self.address,
            data=self.abi.encode(function, *args),
            name=f"{self.abi.name}.{function} at {self.address}",
            decode=functools.partial(self.abi.decode_output, function),
            explain=self.abi.explain,
            may_fail=may_fail,
        )


@functools.cache
def load_abi(name: str) -> Abi:
    """`abis/NAME.json`. ConfigError where the package lacks it."""
    path = share("abis", f"{name}.json")
    if not path.is_file():
        raise ConfigError(f"abis/{name}.json is missing from this installation")
    entries: list[ABIElement] = json.loads(path.read_text(encoding="utf-8"))
    functions = {e["name"]: e for e in entries if e["type"] == "function"}
    errors = [cast(ABIFunction, {**e, "type": "function"}) for e in entries if e["type"] == "error"]
    return Abi(
        name=name,
        functions=functions,
        events={e["name"]: e for e in entries if e["type"] == "event"},
        errors={function_abi_to_4byte_selector(e): e for e in errors},
    )


def contract(name: str, address: str) -> Contract:
    """`abis/NAME.json` at `address`."""
    return Contract(load_abi(name), address)


def encode_values(components: Sequence[ABIComponent], values: Sequence[Any]) -> bytes:
    """The ABI encoding of `values`, one per component; a struct is a dict by field name or a tuple."""
    positional = [_positional(component, value) for component, value in zip(components, values, strict=True)]
    return encode(_types(components), positional)


def decode_values(where: str, components: Sequence[ABIComponent], data: bytes) -> list[Any]:
    """The values in `data`, structs as dicts, addresses with checksums. DataError names `where`."""
    values = _decode(where, _types(components), data)
    return [_named(component, value) for component, value in zip(components, values, strict=True)]


def decode_log(
    where: str, inputs: Sequence[ABIComponentIndexed], topics: Sequence[bytes], data: bytes
) -> dict[str, Any]:
    """An event's arguments by name. `topics` are all of the log's, the event's own first."""
    indexed = [i for i in inputs if i.get("indexed")]
    plain = [i for i in inputs if not i.get("indexed")]
    if len(topics) != 1 + len(indexed):
        raise DataError(f"{where} has {len(topics) - 1} indexed arguments, not {len(indexed)}")
    values = dict(zip((i["name"] for i in plain), decode_values(where, plain, data), strict=True))
    for component, topic in zip(indexed, topics[1:], strict=True):
        values[component["name"]] = decode_values(where, [component], topic)[0]
    return values


def built_in_error(revert: bytes) -> str | None:
    """Solidity's own errors in words: the string of Error(string), or Panic with its code; None for any other."""
    if revert[:4] == ERROR_STRING:
        return str(_decode("Error", ["string"], revert[4:])[0])
    if revert[:4] == PANIC:
        return f"Panic(0x{_decode('Panic', ['uint256'], revert[4:])[0]:02x})"
    return None


def describe_error(error: ABIFunction, body: bytes) -> str:
    """A custom error with its arguments, from the data behind its selector."""
    inputs = error.get("inputs", ())
    values = decode_values(error["name"], inputs, body)
    shown = ", ".join(f"{i['name']}={v}" for i, v in zip(inputs, values, strict=True))
    return f"{error['name']}({shown})"


def _types(components: Any) -> list[str]:
    return [collapse_if_tuple(component) for component in components]


def _decode(where: str, types: list[str], data: bytes) -> tuple[Any, ...]:
    try:
        return decode(types, data)
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:  # a length beyond any machine's
        raise DataError(f"{where} answered something that is not its type") from error


def _named_struct(components: Any, values: tuple[Any, ...]) -> dict[str, Any]:
    return {c["name"]: _named(c, v) for c, v in zip(components, values, strict=True)}


def _named(component: ABIComponent, value: Any) -> Any:
    kind = component["type"]
    if kind.endswith("]"):
        element = cast(ABIComponent, {**component, "type": kind[: kind.rindex("[")]})
        return [_named(element, item) for item in value]
    if kind == "tuple":
        return _named_struct(component["components"], value)
    return to_checksum_address(value) if kind == "address" else value


def _positional(component: ABIComponent, value: Any) -> Any:
    kind = component["type"]
    if kind.endswith("]") and isinstance(value, Sequence):
        element = cast(ABIComponent, {**component, "type": kind[: kind.rindex("[")]})
        return [_positional(element, item) for item in value]
    if kind == "tuple" and isinstance(value, Mapping):
        return tuple(_positional(c, value[c["name"]]) for c in component["components"])
    return value
