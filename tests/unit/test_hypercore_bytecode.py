"""The HyperCore stand-in's committed bytecode is what its sources compile to."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from bot.errors import ConfigError
from bot.localnet.hypercore import compiling
from bot.localnet.hypercore.deploy import STAND_IN
from bot.localnet.standin import StandIn, as_text, compile_sources


@pytest.mark.skipif(find_spec("vyper") is None, reason="needs vyper, which the test extra brings")
def test_the_hypercore_bytecode_is_what_the_sources_compile_to() -> None:
    assert as_text(compiling.compile_sources()) == compiling.OUTPUT.read_text(encoding="utf-8")


def test_what_a_stand_in_does_not_have_is_named() -> None:
    with pytest.raises(ConfigError, match="the HyperCore stand-in has no contract Nothing"):
        STAND_IN.interface("Nothing")
    with pytest.raises(ConfigError, match=r"the X stand-in's bytecode\.json can't be read"):
        StandIn("X", "bot.core").interface("Nothing")


@pytest.mark.skipif(find_spec("vyper") is None, reason="needs vyper, which the test extra brings")
def test_sources_that_do_not_compile_are_refused(tmp_path: Path) -> None:
    (tmp_path / "StandInWrong.vy").write_text("nonsense(")
    with pytest.raises(ConfigError, match="did not compile the X stand-in"):
        compile_sources("X", tmp_path)
