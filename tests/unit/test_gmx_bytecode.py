"""The GMX stand-in's committed bytecode is what its sources compile to, and its constants are the real keys."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from bot.localnet.gmx import compiling
from bot.localnet.standin import as_text

MOST_BYTES = 24_576
"""What a chain accepts as one contract's code (EIP-170)."""
KEY = re.compile(r"^(\w+): constant\(bytes32\) = 0x([0-9a-f]{64})$", re.MULTILINE)


def test_neither_sources_nor_bytecode_were_changed_since_they_were_compiled() -> None:
    assert compiling.digest() == compiling.DIGEST.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("name", ["keys.vy", "StandInBank.vy", "bytecode.json"])
def test_any_change_of_them_shows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(compiling.SOURCES, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(compiling, "SOURCES", tmp_path)
    monkeypatch.setattr(compiling, "OUTPUT", tmp_path / compiling.OUTPUT.name)
    with (tmp_path / name).open("a", encoding="utf-8") as file:
        file.write("\n")
    assert compiling.digest() != compiling.DIGEST.read_text(encoding="utf-8").strip()


@pytest.mark.long
@pytest.mark.skipif(find_spec("vyper") is None, reason="needs vyper, which the test extra brings")
def test_the_bytecode_is_what_the_sources_compile_to() -> None:
    assert as_text(compiling.compile_sources()) == compiling.OUTPUT.read_text(encoding="utf-8")


def test_every_contract_fits_on_a_chain() -> None:
    compiled = json.loads(compiling.OUTPUT.read_text(encoding="utf-8"))
    sizes = {name: len(content["bytecode"]) // 2 - 1 for name, content in compiled.items()}
    assert max(sizes.values()) <= MOST_BYTES, sizes


def test_every_key_is_the_hash_of_its_name() -> None:
    keys = KEY.findall((compiling.SOURCES / "keys.vy").read_text(encoding="utf-8"))
    assert len(keys) > 40
    for name, digest in keys:
        assert digest == keccak(encode(["string"], [name])).hex(), name
