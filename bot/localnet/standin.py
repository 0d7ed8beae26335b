"""A protocol's stand-in as a package: Vyper sources beside the `bytecode.json` that they compile to.

Each stand-in's `compiling` module writes that file, so that nobody who only uses it needs the compiler, which runs
as its own process: nothing of it is ever imported beside the bot.
"""

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from eth_utils.address import to_checksum_address

from bot.errors import ConfigError
from bot.localnet.contract import Contract, Entry, Interface
from bot.localnet.node import Node

COMPILER: Final = "0.4.3"
# The hardfork of the local world, and no metadata: the same sources always give the same bytes.
OPTIONS: Final = ("--evm-version", "cancun", "--no-bytecode-metadata", "-f", "combined_json")
_TIMEOUT_S: Final = 300


@dataclass(frozen=True)
class StandIn:
    """One protocol's contracts: what they are a stand-in for, their package, and errors beyond their ABIs."""

    protocol: str
    package: str
    errors: tuple[Entry, ...] = ()

    @functools.cached_property
    def compiled(self) -> dict[str, Any]:
        """Each contract's ABI and creation code by name. ConfigError when the file can't be read."""
        try:
            text = files(self.package).joinpath("bytecode.json").read_text(encoding="utf-8")
            content: dict[str, Any] = json.loads(text)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"the {self.protocol} stand-in's bytecode.json can't be read: {error}"
            ) from error
        return content

    def interface(self, name: str) -> Interface:
        """One contract's interface, every error of the stand-in included. ConfigError for an unknown name."""
        if name not in self._interfaces:
            if name not in self.compiled:
                raise ConfigError(f"the {self.protocol} stand-in has no contract {name}")
            self._interfaces[name] = Interface([*self.compiled[name]["abi"], *self.errors])
        return self._interfaces[name]

    def deploy(self, node: Node, name: str, *arguments: Any, sender: str) -> Contract:
        """Deploys one of the contracts. Reverted when its constructor reverts."""
        shape = self.interface(name)
        code = bytes.fromhex(self.compiled[name]["bytecode"].removeprefix("0x"))
        code += shape.constructor_data(arguments)
        return Contract(node, to_checksum_address(node.deploy(code, sender)), shape)

    @functools.cached_property
    def _interfaces(self) -> dict[str, Interface]:
        return {}


def compile_sources(protocol: str, sources: Path) -> dict[str, Any]:
    """The ABI and creation code in hex of every StandIn*.vy of a folder, by name.

    ConfigError when vyper is missing or refuses the sources.
    """
    names: Sequence[str] = sorted(path.name for path in sources.glob("StandIn*.vy"))
    start = "from vyper.cli.vyper_compile import _parse_cli_args as run; run()"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start, *OPTIONS, "-p", str(sources), *names],
        cwd=sources,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise ConfigError(
            f"vyper {COMPILER} did not compile the {protocol} stand-in: {run.stderr.strip()[-400:]}"
        )
    compiled: dict[str, Any] = json.loads(run.stdout)
    return {
        Path(file).stem: {"abi": content["abi"], "bytecode": content["bytecode"]}
        for file, content in sorted(compiled.items())
        if file != "version"
    }


def as_text(compiled: dict[str, Any]) -> str:
    """What `bytecode.json` holds: one line per contract."""
    lines = [f"{json.dumps(name)}: {json.dumps(content)}" for name, content in compiled.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"
