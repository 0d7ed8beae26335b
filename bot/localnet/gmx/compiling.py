"""Compiles the stand-in's sources to `bytecode.json`, with a digest: `python -m bot.localnet.gmx.compiling`.

Needs vyper installed.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

from bot.localnet import standin

SOURCES: Final = Path(__file__).parent
OUTPUT: Final = SOURCES / "bytecode.json"
DIGEST: Final = SOURCES / "bytecode.sha256"


def compile_sources() -> dict[str, Any]:
    """Each contract's ABI and creation code in hex, by name. Takes about 25 seconds.

    ConfigError when vyper is missing or refuses the sources.
    """
    return standin.compile_sources("GMX", SOURCES)


def digest() -> str:
    """A SHA-256 over the sources, the compiler's version and options, and what it made of them: in a moment it shows
    that any of them was changed without the others.
    """
    found = hashlib.sha256(repr((standin.COMPILER, standin.OPTIONS)).encode())
    for path in (*sorted(SOURCES.glob("*.vy")), OUTPUT):
        content = path.read_bytes()
        found.update(f"{path.name} {len(content)}\n".encode() + content)
    return found.hexdigest()


if __name__ == "__main__":
    OUTPUT.write_text(standin.as_text(compile_sources()), encoding="utf-8")
    DIGEST.write_text(f"{digest()}\n", encoding="utf-8")
