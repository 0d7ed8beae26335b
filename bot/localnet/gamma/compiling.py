"""Compiles the stand-in's sources to `bytecode.json`: `python -m bot.localnet.gamma.compiling`.

Needs vyper installed.
"""

from pathlib import Path
from typing import Any, Final

from bot.localnet import standin

SOURCES: Final = Path(__file__).parent
OUTPUT: Final = SOURCES / "bytecode.json"


def compile_sources() -> dict[str, Any]:
    """Each contract's ABI and creation code in hex, by name. Takes about 2 seconds.

    ConfigError when vyper is missing or refuses the sources.
    """
    return standin.compile_sources("Gamma", SOURCES)


if __name__ == "__main__":
    OUTPUT.write_text(standin.as_text(compile_sources()), encoding="utf-8")
