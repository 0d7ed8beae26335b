"""The configurations in `config/`: each is read whole, starts on paper, and names no secret and nobody's vault."""

from pathlib import Path

import pytest

from bot.config import load_config
from bot.config.venues import GmxConfig
from bot.share import share

GMX = {"arbitrum": 42161, "arbitrum-sepolia": 421614, "avalanche-fuji": 43113}
NOBODY = "0x" + "0" * 40


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARBITRUM", "ARBITRUM_SEPOLIA", "FUJI"):
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


@pytest.mark.parametrize("name", GMX)
def test_without_its_secrets_it_is_refused_with_the_variable_to_set(name: str) -> None:
    text = Path(share("config", f"{name}.toml")).read_text(encoding="utf-8")
    assert "https://" not in text
    with pytest.raises(Exception, match="_RPC_1"):
        load_config(share("config", f"{name}.toml"))
