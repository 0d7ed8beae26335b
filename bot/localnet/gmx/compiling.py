"""Compiles the stand-in's sources to `bytecode.json`: `python -m bot.localnet.gmx.compiling`. Needs vyper installed.

The compiler runs as its own process, so nothing of it is ever imported beside the bot.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from bot.errors import ConfigError

SOURCES: Final = Path(__file__).parent
OUTPUT: Final = SOURCES / "bytecode.json"
COMPILER: Final = "0.4.3"
# The hardfork of the local world, and no metadata: the same sources always give the same bytes.
_OPTIONS: Final = ("--evm-version", "cancun", "--no-bytecode-metadata", "-f", "combined_json")
_TIMEOUT_S: Final = 300


def compile_sources() -> dict[str, Any]:
    """Each contract's ABI and creation code in hex, by name. Takes about 25 seconds.

    ConfigError when vyper is missing or refuses the sources.
    """
    files = sorted(path.name for path in SOURCES.glob("StandIn*.vy"))
    options = [*_OPTIONS, "-p", str(SOURCES), *files]
    start = "from vyper.cli.vyper_compile import _parse_cli_args as run; run()"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start, *options],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise ConfigError(f"vyper {COMPILER} did not compile the GMX stand-in: {run.stderr.strip()[-400:]}")
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


if __name__ == "__main__":
    OUTPUT.write_text(as_text(compile_sources()), encoding="utf-8")
