"""A Hyperliquid venue in the configuration: what is refused, what it is made of, and the files that are shipped."""

from pathlib import Path
from typing import Any

import pytest
from builders import ACCOUNT, KEY
from hyperliquid_models import WRITER, Core, action_types

from bot.app.venues import info_of, make_venue
from bot.config import Config, load_config
from bot.config.venues import HyperliquidConfig
from bot.core.model import IntentKind
from bot.errors import ConfigError
from bot.share import share
from bot.venues.hyperliquid import HyperliquidVenue
from bot.venues.hyperliquid_market import HyperliquidState

SHIPPED = {"hyperevm": 999, "hyperevm-testnet": 998}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HYPEREVM", "HYPEREVM_TESTNET"):
        for place in (1, 2):
            monkeypatch.setenv(f"{name}_RPC_{place}", f"https://rpc{place}.invalid/token")
    monkeypatch.setenv("VAULTKEEL_PASSWORD", "a password")
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)


def changed(name: str, folder: Path, *changes: tuple[str, str]) -> Config:
    """A shipped file with changes."""
    text = share("config", f"{name}.toml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


@pytest.mark.parametrize(("name", "chain_id"), SHIPPED.items())
def test_every_shipped_file_is_read_and_starts_on_paper(name: str, chain_id: int, tmp_path: Path) -> None:
    config = changed(name, tmp_path)
    assert config.mode == "paper"
    assert config.chains[name].chain_id == chain_id
    assert config.chains[name].quorum == 2
    assert config.chains[name].native_usd != "underlying", "gas is paid in HYPE"
    venue = config.books[0].venue
    assert isinstance(venue, HyperliquidConfig)
    assert venue.core_writer == WRITER
    text = share("config", f"{name}.toml").read_text(encoding="utf-8")
    assert "(unconfirmed)" in text


class TestRefusals:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('market = 1 ', 'market = -1 ', "market"),
            ('market = 1 ', 'market = 4294867296 ', "market"),
            ('coin = "ETH"', 'coin = ""', "coin"),
            ('lot = "0.0001"', 'lot = "51"', "above depth"),
            ('impact_per_unit = "0.000005"', 'impact_per_unit = "0.02"', "a price of nothing"),
            ("acts_within_blocks = 60", "acts_within_blocks = 9", "acts_within_blocks"),
            ("info_timeout_s = 3", "info_timeout_s = 11", "info_timeout_s"),
            ("xyz/info", "xyz", "ends with /info"),
            ('"https://api.hyperliquid', '"ftp://api.hyperliquid', "http"),
            ('market = 1 ', 'market = 10000 ', "margin needs"),
        ],
    )  # fmt: skip
    def test_what_can_not_be_meant_is_refused(self, old: str, new: str, said: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=said):
            changed("hyperevm", tmp_path, (old, new))

    def test_the_address_of_the_info_api_may_be_a_secret(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HL_INFO", "https://info.invalid/a-token-of-ours/info")
        change = ('"https://api.hyperliquid.xyz/info"', '"env:HL_INFO"')
        venue = changed("hyperevm", tmp_path, change).books[0].venue
        assert isinstance(venue, HyperliquidConfig)
        assert venue.info_url is not None
        assert "a-token" not in str(venue)
        asked = info_of(venue, ACCOUNT)
        assert asked is not None
        assert asked.coin == "ETH"


def made(folder: Path, *changes: tuple[str, str]) -> tuple[HyperliquidVenue, Any]:
    config = changed("hyperevm", folder, *changes)
    venue, rules = make_venue(config, config.books[0], ACCOUNT)
    assert isinstance(venue, HyperliquidVenue)
    return venue, rules


def test_the_venue_of_a_file_reads_and_orders(tmp_path: Path) -> None:
    without = ('info_url = "https', '# info_url = "https')
    venue, (rule,) = made(tmp_path, without)
    seen = Core().state(venue)
    assert isinstance(seen, HyperliquidState)
    assert seen.wallet == 500, "its book watches its margin"
    assert (rule.contract.address, rule.function, rule.max_value_wei) == (WRITER, "sendRawAction", 0)
    assert action_types(venue, seen) == {
        IntentKind.TRADE: 1,
        IntentKind.ADD_MARGIN: 7,
        IntentKind.WITHDRAW_MARGIN: 7,
    }
