"""Proposals for a Safe: what the hot key may not do, as the file that owners import in Safe's transaction builder.

A file names functions and arguments instead of calldata, so that owners see what they sign. Nothing here signs.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from bot.chain.contracts import Contract, contract
from bot.errors import DataError
from bot.ports import Call, TxCall

FORMAT = "1.0"
BUILDER = "1.18.2"
"""The transaction builder whose files these are like."""
SIMPLE = ("address", "bool", "uint")
"""Kinds of arguments that one line of text says without a doubt."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a proposal, with its arguments in the function's order: addresses and whole numbers."""

    contract: Contract
    function: str
    arguments: tuple[str | int, ...]

    @property
    def call(self) -> TxCall:
        """The transaction that the Safe would send."""
        data = self.contract.abi.encode(self.function, *self.arguments)
        return TxCall(to_checksum_address(self.contract.address), data)

    def in_words(self) -> str:
        """The call as a person reads it."""
        said = ", ".join(f"{name} = {value}" for name, value in self._values().items())
        return f"{self.function}({said}) at {to_checksum_address(self.contract.address)}"

    def entry(self) -> dict[str, Any]:
        """The call as the transaction builder holds it, which encodes it by itself."""
        inputs = self._inputs()
        for parameter in inputs:
            if not parameter["type"].startswith(SIMPLE) or parameter["type"].endswith("]"):
                raise TypeError(f"{self.function}: an argument of type {parameter['type']} can't be proposed")
        return {
            "to": to_checksum_address(self.contract.address),
            "value": "0",
            "data": None,
            "contractMethod": {
                "inputs": [{"internalType": p["type"], "name": p["name"], "type": p["type"]} for p in inputs],
                "name": self.function,
                "payable": False,
            },
            "contractInputsValues": self._values(),
        }

    def _inputs(self) -> Sequence[Any]:
        return self.contract.abi.functions[self.function].get("inputs", ())

    def _values(self) -> dict[str, str]:
        """The arguments by name, as text: the builder refuses numbers, for JavaScript's are not exact."""
        return {p["name"]: str(value) for p, value in zip(self._inputs(), self.arguments, strict=True)}


@dataclass(frozen=True, slots=True)
class Proposal:
    """Calls that a Safe is to make in one transaction, all or none. `name` and `why` are for its owners."""

    name: str
    why: str
    steps: tuple[Step, ...]


def batch_file(proposal: Proposal, chain_id: int, safe: str, created_at_ms: int) -> dict[str, Any]:
    """The transaction builder's file. Another chain's Safe refuses it by its `chainId`."""
    batch: dict[str, Any] = {
        "version": FORMAT,
        "chainId": str(chain_id),
        "createdAt": created_at_ms,
        "meta": {
            "name": proposal.name,
            "description": proposal.why,
            "txBuilderVersion": BUILDER,
            "createdFromSafeAddress": to_checksum_address(safe),
            "createdFromOwnerAddress": "",
        },
        "transactions": [step.entry() for step in proposal.steps],
    }
    return {**batch, "meta": {**batch["meta"], "checksum": checksum(batch)}}


def checksum(batch: Mapping[str, Any]) -> str:
    """What the builder compares at import, to warn of a file that was changed since. `batch` has no checksum yet.

    The hash is over every field but the name, which owners may change.
    """
    unnamed = {**batch, "meta": {**batch["meta"], "name": None}}
    return "0x" + keccak(_serialized(unnamed).encode()).hex()


def _serialized(value: Any) -> str:
    """The builder's own form: an object is the list of its sorted keys, then each value with a comma behind it."""
    if isinstance(value, Mapping):
        keys = sorted(value)
        values = "".join(f"{_serialized(value[key])}," for key in keys)
        return f"{{{_json(keys)}{values}}}"
    if isinstance(value, list):
        return f"[{','.join(_serialized(item) for item in value)}]"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def ownership_calls(account: str, key: str) -> list[Call]:
    """Asks `account`, which may be a Safe or anything else, whether `key` is its owner and how many owners sign."""
    safe = contract("safe_multisig", account)
    calls = (safe.call("isOwner", key, may_fail=True), safe.call("getThreshold", may_fail=True))
    return [replace(call, decode=partial(_if_readable, call.decode)) for call in calls]


def signs_alone(answers: Sequence[Any]) -> bool:
    """Whether the key could move a Safe by itself, from the answers to `ownership_calls`."""
    owner, threshold = answers
    return owner is True and threshold == 1


def _if_readable(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """None where an account that is no Safe answers nothing, or something else."""
    try:
        return decode(data)
    except DataError:
        return None
