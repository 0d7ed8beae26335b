"""The configurations in `config/`: each is read whole, starts on paper, and names no secret and nobody's vault."""

import tomllib
from pathlib import Path

import pytest

from bot.config import load_config
from bot.config.sources import DeriveConfig
from bot.config.venues import GmxConfig
from bot.share import share

GMX = {"arbitrum": 42161, "arbitrum-sepolia": 421614, "avalanche-fuji": 43113}
NOBODY = "0x" + "0" * 40


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARBITRUM", "ARBITRUM_SEPOLIA", "DERIVE", "FUJI"):
        for place in (1, 2):
            monkeypatch.setenv(f"{name}_RPC_{place}", f"https://rpc{place}.invalid/token")
    monkeypatch.setenv("VAULTKEEL_PASSWORD", "a password")


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(("name", "chain_id"), GMX.items())
def test_every_gmx_configuration_is_read_and_starts_on_paper(name: str, chain_id: int) -> None:
    config = load_config(share("config", f"{name}.toml"))
    assert config.mode == "paper"
    assert config.chains[name].chain_id == chain_id
    assert config.chains[name].quorum == 2
    (book,) = config.books
    assert isinstance(book.venue, GmxConfig)
    addresses = {field: getattr(book.venue, field) for field in type(book.venue).model_fields}
    named = [value for value in addresses.values() if isinstance(value, str) and value.startswith("0x")]
    assert len(named) == 16
    assert NOBODY not in named
    assert {book.sources[0].viewer, book.sources[0].market} == {NOBODY}, (
        "the vault is the operator's to fill in"
    )


@pytest.mark.usefixtures("secrets")
def test_derives_configuration_reads_one_chain_and_trades_on_another() -> None:
    config = load_config(share("config", "derive.toml"))
    assert config.mode == "paper"
    assert {name: (chain.chain_id, chain.quorum) for name, chain in config.chains.items()} == {
        "arbitrum": (42161, 2),
        "derive": (957, 2),
    }
    (book,) = config.books
    (vault,) = book.sources
    assert isinstance(vault, DeriveConfig)
    assert (vault.chain, book.venue.chain, book.feeds[0].chain) == ("derive", "arbitrum", None)
    assert vault.accounts == (2**63 - 1,), "the subaccounts are the operator's to fill in"
    assert vault.averaging_s == 1800


def test_derives_configuration_hedges_where_arbitrums_does() -> None:
    ours, theirs = (
        tomllib.loads(share("config", f"{name}.toml").read_text(encoding="utf-8"))
        for name in ("derive", "arbitrum")
    )
    assert ours["books"][0]["venue"] == theirs["books"][0]["venue"]
    assert ours["chains"]["arbitrum"] == theirs["chains"]["arbitrum"]


@pytest.mark.parametrize("name", [*GMX, "derive"])
def test_without_its_secrets_it_is_refused_with_the_variable_to_set(name: str) -> None:
    text = Path(share("config", f"{name}.toml")).read_text(encoding="utf-8")
    assert "https://" not in text
    with pytest.raises(Exception, match="_RPC_1"):
        load_config(share("config", f"{name}.toml"))
