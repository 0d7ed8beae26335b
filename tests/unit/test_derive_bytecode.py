"""The Derive stand-in's committed bytecode is what its sources compile to."""

from importlib.util import find_spec

import pytest

from bot.localnet.derive import compiling
from bot.localnet.standin import as_text


@pytest.mark.skipif(find_spec("vyper") is None, reason="needs vyper, which the test extra brings")
def test_the_derive_bytecode_is_what_the_sources_compile_to() -> None:
    assert as_text(compiling.compile_sources()) == compiling.OUTPUT.read_text(encoding="utf-8")
