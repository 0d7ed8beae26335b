"""What `vaultkeel init` makes of a chain's answers, fed from plain lists."""

from typing import Any

import pytest
from builders import address, feed

from bot.errors import ConfigError
from bot.ports import Reverted
from bot.setup.presets import NOBODY
from bot.setup.probe import (
    GmxListed,
    as_symbol,
    curie_market,
    decimals_of,
    gmx_decimals,
    gmx_markets,
    lyra_markets,
    plain_name,
)

NO = Reverted("no such function")
CURIE = {"clearing_house": address(1), "base_token": address(8), "quoter": address(7)}
REGISTRY, TOKEN, POOL = address(6), address(12), address(9)
GMX = {"reader": address(30), "data_store": address(31)}


def curie_rounds(**wrong: Any) -> list[list[Any]]:
    """Three rounds of a whole deployment; `wrong` replaces answers by name."""
    said: dict[str, Any] = {
        "config": address(2),
        "balance": address(3),
        "exchange": address(4),
        "vault": address(5),
        "quoted": REGISTRY,
        "symbol": "vETH",
        "registry": REGISTRY,
        "token": TOKEN,
        "decimals": 6,
        "market": {"pool": POOL},
        "token_decimals": 6,
        "token_symbol": "USDC",
    } | wrong
    values = list(said.values())
    return [values[:6], values[6:9], values[9:]]


def lyra_listed(market: str, base: str) -> dict[str, str]:
    names = ("optionToken", "greekCache", "liquidityPool", "poolHedger")
    return {"optionMarket": market, "baseAsset": base, **dict.fromkeys(names, address(40))}


def gmx_props(market: int, index: str = "", long: int = 51, short: int = 52) -> dict[str, str]:
    return {
        "marketToken": address(market),
        "indexToken": index or address(50),
        "longToken": address(long),
        "shortToken": address(short),
    }


class TestCurie:
    def test_three_addresses_lead_to_all_others(self) -> None:
        found, asked = feed(curie_market(CURIE), curie_rounds())
        assert found.addresses == CURIE | {
            "clearing_house_config": address(2),
            "account_balance": address(3),
            "exchange": address(4),
            "vault": address(5),
            "market_registry": REGISTRY,
            "pool": POOL,
            "settlement_token": TOKEN,
        }
        assert (found.symbol, found.settlement_symbol, found.settlement_decimals) == ("vETH", "USDC", 6)
        assert [call.to for call in asked[1]] == [address(4), address(5), address(5)]

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"vault": NO}, r"venue\.clearing_house: the contract at .*1 is not the one .*getVault: no such"),
            ({"quoted": NO}, r"venue\.quoter: the contract at .*7 is not the one .*marketRegistry"),
            ({"symbol": NO}, r"venue\.base_token: the contract at .*8 is not the one"),
            (
                {"quoted": address(66)},
                r"venue\.quoter: it quotes the markets of 0x0*66, .* are those of 0x0*6",
            ),
            ({"market": NO}, r"venue\.base_token: .*getMarketInfo|venue\.base_token: .*market: no such"),
            ({"market": {"pool": NOBODY}}, r"venue\.base_token: the clearing house has no market of 0x0*8"),
            ({"token_decimals": 18}, r"venue\.settlement_token: 0x0*12 has 18 decimals, the vault .* with 6"),
            ({"token_decimals": NO}, r"venue\.settlement_token: the contract at"),
        ],
    )
    def test_what_contradicts_is_refused_by_its_field(self, wrong: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ConfigError, match=sentence):
            feed(curie_market(CURIE), curie_rounds(**wrong))


class TestLyra:
    def test_the_viewer_lists_markets_with_their_contracts(self) -> None:
        listed = [lyra_listed(address(20), address(60)), lyra_listed(address(21), address(61))]
        found, _ = feed(lyra_markets(address(19)), [[listed, address(70)], ["sETH", NO]])
        assert [one.symbol for one in found] == ["sETH", ""]
        assert found[1].addresses == {
            "viewer": address(19),
            "market": address(21),
            "base_asset": address(61),
            "exchange_adapter": address(70),
            **dict.fromkeys(("option_token", "greek_cache", "liquidity_pool", "pool_hedger"), address(40)),
        }

    def test_a_viewer_that_names_no_adapter_leaves_it_open(self) -> None:
        found, _ = feed(lyra_markets(address(19)), [[[lyra_listed(address(20), address(60))], NO], ["sETH"]])
        assert "exchange_adapter" not in found[0].addresses

    @pytest.mark.parametrize(("listed", "why"), [(NO, "is no Lyra viewer"), ([], "lists no option market")])
    def test_another_contract_is_no_viewer(self, listed: Any, why: str) -> None:
        with pytest.raises(ConfigError, match=rf"vault\.viewer: .*{why}"):
            feed(lyra_markets(address(19)), [[listed, NO]])


class TestGmx:
    def test_markets_are_called_as_people_call_them_and_swap_markets_left_out(self) -> None:
        listed = [gmx_props(1), gmx_props(2, index=NOBODY)]
        found, _ = feed(gmx_markets(GMX), [[listed], ["WETH", "WETH", "USDC"]])
        assert [(one.market, one.label) for one in found] == [(address(1), "WETH/USD [WETH-USDC]")]

    def test_a_reader_of_something_else_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"venue\.reader: .* is no GMX Reader .*no such function"):
            feed(gmx_markets(GMX), [[NO]])

    def test_an_empty_store_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"venue\.data_store: .* lists no market"):
            feed(gmx_markets(GMX), [[[]]])

    def test_a_token_without_a_contract_takes_the_decimals_that_are_known_for_it(self) -> None:
        market = GmxListed(address(1), {"index_token": address(50), "short_token": address(52)}, {})
        assert feed(gmx_decimals(market, 8), [[NO, 6]])[0].index == 8
        assert feed(gmx_decimals(market, 8), [[18, 6]])[0].index == 18
        with pytest.raises(ConfigError, match=r"index_token: .* decimals can't be read"):
            feed(gmx_decimals(market, None), [[NO, 6]])


def test_an_address_without_a_contract_is_no_token() -> None:
    """Multicall3 reports a call to an empty address as a success with no bytes."""
    assert isinstance(decimals_of(address(1)).decode(b""), Reverted)
    assert decimals_of(address(1)).decode(bytes(31) + b"\x06") == 6


def test_a_symbol_is_shown_without_what_could_disturb_a_terminal_or_a_file() -> None:
    assert as_symbol('v"ETH\x1b[31m\n') == "vETH31m"
    assert len(as_symbol("A" * 99)) == 16
    assert as_symbol(NO) == ""


@pytest.mark.parametrize(
    ("symbol", "name"),
    [("vETH", "ETH"), ("sBTC", "BTC"), ("WETH", "ETH"), ("WIF", "WIF"), ("stETH", "stETH"), ("", "")],
)
def test_tokens_of_one_underlying_go_by_one_name(symbol: str, name: str) -> None:
    assert plain_name(symbol) == name
