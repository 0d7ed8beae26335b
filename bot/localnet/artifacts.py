"""Hardhat artifacts in a package folder: ABI and bytecode by contract name, libraries linked."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from bot.errors import ConfigError
from bot.localnet.contract import Contract, Interface
from bot.localnet.node import Node


@dataclass(frozen=True)
class Artifact:
    """One compiled contract: its interface, and its creation code in hex with gaps where libraries go."""

    name: str
    interface: Interface
    bytecode: str
    link_references: Mapping[str, Mapping[str, Any]]

    def creation_code(self, arguments: Iterable[Any], libraries: Mapping[str, str]) -> bytes:
        """Creation code with libraries (name → address) linked and constructor arguments appended.

        ConfigError names the library that is missing.
        """
        code = self.bytecode.removeprefix("0x")
        for by_name in self.link_references.values():
            for library, places in by_name.items():
                if library not in libraries:
                    raise ConfigError(f"{self.name} needs the address of library {library}")
                address = libraries[library].removeprefix("0x").lower()
                for place in places:
                    start, end = 2 * place["start"], 2 * (place["start"] + place["length"])
                    code = code[:start] + address + code[end:]
        return bytes.fromhex(code) + self.interface.constructor_data(tuple(arguments))


@dataclass
class Artifacts:
    """The artifacts below one folder, read when they are first asked for."""

    root: Path
    _paths: dict[str, list[Path]] = field(default_factory=dict)
    _loaded: dict[str, Artifact] = field(default_factory=dict)

    def load(self, name: str) -> Artifact:
        """One artifact by contract name. ConfigError when the folder has none, or more than one."""
        if name not in self._loaded:
            self._loaded[name] = _read(self._path(name), name)
        return self._loaded[name]

    def at(self, node: Node, name: str, address: str) -> Contract:
        """The contract of this name at an address, whose errors the node can then describe."""
        interface = self.load(name).interface
        interface.teach_errors(node)
        return Contract(node, to_checksum_address(address), interface)

    def deploy(
        self,
        node: Node,
        name: str,
        *arguments: Any,
        sender: str,
        libraries: Mapping[str, str] | None = None,
    ) -> Contract:
        """Deploys a contract and returns it. Reverted when its constructor reverts."""
        code = self.load(name).creation_code(arguments, libraries or {})
        return self.at(node, name, node.deploy(code, sender))

    def _path(self, name: str) -> Path:
        if not self._paths:
            for path in sorted(self.root.rglob("*.json")):
                self._paths.setdefault(path.stem, []).append(path)
        found = self._paths.get(name, [])
        if len(found) != 1:
            raise ConfigError(f"{self.root} holds {len(found)} artifacts named {name}, expected one")
        return found[0]


def _read(path: Path, name: str) -> Artifact:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        interface = Interface(content["abi"])
        return Artifact(name, interface, content["bytecode"], content.get("linkReferences", {}))
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"the artifact {path} can't be read: {error}") from error
