"""The Gamma stand-in's committed bytecode is what its sources compile to, and speaks the interface that is read."""

import json
from importlib.util import find_spec

import pytest

from bot.chain.contracts import load_abi
from bot.localnet.gamma import compiling
from bot.localnet.standin import as_text

MOST_BYTES = 24_576
"""What a chain accepts as one contract's code (EIP-170)."""


@pytest.mark.skipif(find_spec("vyper") is None, reason="needs vyper, which the test extra brings")
def test_the_gamma_bytecode_is_what_the_sources_compile_to() -> None:
    assert as_text(compiling.compile_sources()) == compiling.OUTPUT.read_text(encoding="utf-8")


def test_every_gamma_contract_fits_on_a_chain() -> None:
    compiled = json.loads(compiling.OUTPUT.read_text(encoding="utf-8"))
    sizes = {name: len(content["bytecode"]) // 2 - 1 for name, content in compiled.items()}
    assert max(sizes.values()) <= MOST_BYTES, sizes


@pytest.mark.parametrize(
    ("abi", "name"),
    [
        ("gamma_controller", "StandInGammaController"),
        ("gamma_oracle", "StandInGammaOracle"),
        ("gamma_otoken", "StandInOToken"),
    ],
)
def test_the_stand_in_has_every_function_that_is_read(abi: str, name: str) -> None:
    compiled = json.loads(compiling.OUTPUT.read_text(encoding="utf-8"))[name]["abi"]

    def shape(parameter: dict[str, object]) -> object:
        parts = parameter.get("components")
        return [(p["name"], shape(p)) for p in parts] if isinstance(parts, list) else parameter["type"]

    theirs = {
        e["name"]: ([shape(i) for i in e["inputs"]], [shape(o) for o in e["outputs"]])
        for e in compiled
        if e["type"] == "function"
    }
    for function, entry in load_abi(abi).functions.items():
        ours = [shape(dict(i)) for i in entry["inputs"]], [shape(dict(o)) for o in entry["outputs"]]
        assert theirs[function] == ours, function
