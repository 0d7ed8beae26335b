"""What the doctor says of a book on Hyperliquid, each finding with its remedy."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import ACCOUNT, block
from eth_abi.abi import encode
from hyperliquid_models import Core, hyperliquid_venue
from test_hyperliquid_config import changed, secrets

from bot.chain.provider import Provider
from bot.config.venues import HyperliquidConfig
from bot.core.model import VenueState
from bot.doctor import hyperliquid as doctor
from bot.doctor.books import Patient
from bot.doctor.findings import Finding, State
from bot.errors import DataError, TransientError

D = Decimal
__all__ = ["secrets"]
NO_INFO = ('info_url = "https', '# info_url = "https')
ANSWERS: dict[str, Any] = {
    "metaAndAssetCtxs": [{"universe": [{"name": "ETH"}]}, [{"funding": "0.0000125"}]],
    "userFillsByTime": [],
    "userAbstraction": "disabled",
}


@pytest.fixture
def old_state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Providers whose old block has this time, as Multicall3 sees it."""
    told: dict[str, Any] = {"time": 1_700_000_000}

    def data(_self: Provider, method: str, params: list[Any]) -> bytes:
        assert method == "eth_call"
        assert params[0]["to"] == "0xcA11bde05977b3631167028862bE2a173976CA11"
        assert params[1] == {"blockHash": block(36).hash}
        if isinstance(told["time"], Exception):
            raise told["time"]
        return encode(["uint256"], [told["time"]])

    def head(_self: Provider, _chain: str, which: str) -> Any:
        assert which in ("latest", hex(36))
        return block(100) if which == "latest" else block(36)

    monkeypatch.setattr(Provider, "data", data)
    monkeypatch.setattr(Provider, "block", head)
    return told


def found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *changes: tuple[str, str], **more: Any
) -> dict[str, Finding]:
    """The findings by their check; the info API says what `answers` says."""
    answers = more.get("answers", ANSWERS)

    def ask(_self: Any, question: Mapping[str, Any]) -> Any:
        if isinstance(answers, Exception):
            raise answers
        return answers[question["type"]]

    monkeypatch.setattr("bot.venues.hyperliquid_info.HttpAsk.__call__", ask)
    config = changed("hyperevm", folder, *changes)
    patient = Patient(config, config.books[0], ACCOUNT, now=lambda: 1_000.0)
    state: VenueState = Core(leverage=more.get("leverage", 25)).state(hyperliquid_venue())
    state = replace(state, mark=more.get("mark", state.mark))
    return {one.check: one for one in doctor.hyperliquid_findings(patient, state)}


@pytest.mark.usefixtures("old_state")
def test_where_all_is_well_every_check_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = found(tmp_path, monkeypatch)
    assert {name: one.state for name, one in checks.items()} == dict.fromkeys(
        (
            "hyperevm network",
            "hyperevm provider 1 memory",
            "hyperevm provider 2 memory",
            "eth account settings",
            "eth order sizes",
            "eth info API",
            "eth margin mode",
        ),
        State.PASS,
    )
    assert "0.001250% per hour" in checks["eth info API"].text


@pytest.mark.usefixtures("old_state")
@pytest.mark.parametrize(
    ("change", "more", "check", "state", "said"),
    [
        (("chain_id = 999", "chain_id = 31337"), {}, "hyperevm network", State.WARN, "a stand-in there"),
        (
            ('native_usd = "60" ', 'native_usd = "underlying" '),
            {},
            "hyperevm gas coin",
            State.FAIL,
            "paid in HYPE",
        ),
        (None, {"leverage": 3}, "eth account settings", State.WARN, "below the max_leverage 5"),
        (None, {"leverage": 19}, "eth margin levels", State.WARN, "no top-up is made"),
        (None, {"mark": D(199)}, "eth order sizes", State.FAIL, "worth 9.95 USD"),
        (('max_order = "25"', 'max_order = "51"'), {}, "eth order sizes", State.WARN, "above depth 50"),
        (NO_INFO, {}, "eth info API", State.WARN, "none is configured"),
        (None, {"answers": TransientError("down")}, "eth info API", State.FAIL, "down"),
        (None, {"answers": ANSWERS | {"userFillsByTime": {}}}, "eth info API", State.FAIL, "another form"),
        (
            None,
            {"answers": ANSWERS | {"userAbstraction": "unifiedAccount"}},
            "eth margin mode",
            State.FAIL,
            "is unifiedAccount",
        ),
    ],
)
def test_each_thing_that_is_not_well_is_said_with_what_to_do(
    change: tuple[str, str] | None,
    more: dict[str, Any],
    check: str,
    state: State,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checks = found(tmp_path, monkeypatch, *([change] if change else []), **more)
    assert checks[check].state is state
    assert said in checks[check].text
    assert checks[check].remedy


@pytest.mark.parametrize(
    ("time", "said"),
    [(1_700_000_064, "with its newest state"), (DataError("missing trie node"), "missing trie node")],
)
def test_a_node_without_a_memory_is_told(
    time: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old_state: dict[str, Any]
) -> None:
    old_state["time"] = time
    checks = found(tmp_path, monkeypatch)
    for place in (1, 2):
        one = checks[f"hyperevm provider {place} memory"]
        assert (one.state, said in one.text) == (State.WARN, True)


def test_books_elsewhere_are_not_asked(tmp_path: Path) -> None:
    config = changed("hyperevm", tmp_path)
    book = config.books[0]
    assert isinstance(book.venue, HyperliquidConfig)
    other = book.model_copy(update={"venue": None})
    state = Core().state(hyperliquid_venue())
    assert doctor.hyperliquid_findings(Patient(config, other, ACCOUNT), state) == []
