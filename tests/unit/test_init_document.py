"""The file that `vaultkeel init` writes: every preset, filled and loaded."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import address

from bot.config.deployment import CurieRoots, Deployment, VaultRoots
from bot.config.file import checked
from bot.errors import ConfigError
from bot.setup import native_price
from bot.setup.document import Filling, written
from bot.setup.presets import NOBODY, presets
from bot.setup.probe import LYRA_FIELDS
from bot.setup.roots import Roots, roots_of
from bot.setup.wanted import Defaults, Wanted

WANTED = Wanted(Path("x.toml"))
VAULT = {"viewer": address(20), "market": address(21), "exchange_adapter": address(22)} | {
    field: address(23 + place) for place, field in enumerate(LYRA_FIELDS)
}
GMX = ["arbitrum", "arbitrum-sepolia", "avalanche-fuji"]


def filling(roots: Roots, **changes: Any) -> Filling:
    made = Filling(
        roots=roots,
        rpc=("http://one.invalid", "http://two.invalid"),
        instance="",
        signer={"kind": "watch", "address": address(9)},
        underlying="ETH",
        hedge_holdings=False,
        vault=VAULT,
        venue=dict(roots.venue),
        market="WETH/USD",
        seen_at="at block 7",
    )
    return replace(made, **changes)


def of_preset(name: str) -> Roots:
    return roots_of(WANTED, presets()[name].chain_id, None)


def curie_somewhere() -> Roots:
    venue = CurieRoots(kind="curie", clearing_house=address(3), base_token=address(4), quoter=address(5))
    vault = VaultRoots(viewer=address(1), market=address(2))
    return roots_of(WANTED, 10, Deployment(chain="optimism", chain_id=10, vault=vault, venue=venue))


@pytest.mark.parametrize("name", GMX)
def test_every_preset_is_filled_and_loads(name: str) -> None:
    text = written(filling(of_preset(name)))
    config = checked(tomllib.loads(text), Path("x.toml"))
    assert config.mode == "paper"
    assert list(config.chains) == [name]
    assert config.chains[name].quorum == 2
    assert config.books[0].sources[0].viewer == VAULT["viewer"]
    assert config.books[0].target.hedge_holdings is False
    assert NOBODY not in text
    assert "None of this was tried" in text, "the preset's own caution"
    assert "[[books]]" in text.split("multicall = ")[1].split("\n", 2)[2], "a key slipped out of its table"


def test_an_example_becomes_another_chain_s_file() -> None:
    text = written(filling(curie_somewhere(), native_usd="2000"))
    config = checked(tomllib.loads(text), Path("x.toml"))
    assert (list(config.chains), config.chains["optimism"].chain_id) == (["optimism"], 10)
    assert config.books[0].venue.chain == "optimism"
    assert config.ledger.name == "vaultkeel-optimism.db"
    assert "localnet" not in text.split("\n", 2)[2]


def test_one_provider_is_believed_and_the_file_says_so() -> None:
    text = written(filling(of_preset("arbitrum"), rpc=("env:RPC",)))
    assert "quorum = 1" in text
    assert "one provider is believed" in text
    assert "two providers that must agree" not in text


def test_another_market_keeps_no_comment_of_the_example_s() -> None:
    roots = of_preset("arbitrum")
    other = dict(roots.venue) | {"market": address(50), "index_token": address(51), "index_feed": address(52)}
    text = written(filling(roots, underlying="BTC", venue=other, market="WBTC/USD [WBTC-USDC]"))
    lines = {line.split(" = ")[0]: line for line in text.splitlines() if " = " in line}
    assert lines["market"] == f'market = "{address(50)}" # WBTC/USD [WBTC-USDC]', (
        "the venue's, after the vault's"
    )
    assert lines["index_token"] == f'index_token = "{address(51)}"'
    assert lines["index_feed"] == f'index_feed = "{address(52)}"'
    assert "takes the collateral" in lines["router"]
    assert "the example's are meant for ETH: set them first" in text
    assert checked(tomllib.loads(text.replace("env:", "http://")), Path("x")).books[0].venue.name == "gmx-btc"


def test_gas_is_priced_anew_where_the_example_s_price_is_another_s() -> None:
    person = Defaults(agreed=True)
    assert native_price(WANTED, of_preset("arbitrum"), "ETH", person) is None
    assert native_price(WANTED, of_preset("avalanche-fuji"), "BTC", person) is None, "it has a price in USD"
    for roots, underlying in ((of_preset("arbitrum"), "BTC"), (curie_somewhere(), "ETH")):
        with pytest.raises(ConfigError, match="give --native-usd"):
            native_price(WANTED, roots, underlying, person)
    assert native_price(replace(WANTED, native_usd="3"), curie_somewhere(), "ETH", person) == "3"
