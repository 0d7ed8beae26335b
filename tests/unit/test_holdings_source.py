"""Owners' holdings: native coins, tokens, shares, each by its own decimals and what it follows."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from builders import CHAIN, address, feed
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import DataError
from bot.options.holdings import Held, HoldingsSource
from bot.options.tokens import Follower, Rate

ONE, TWO = address(1), address(2)
TOKEN, VAULT, ASSET, RATES = (address(n) for n in range(11, 15))
E18 = 10**18
PLAIN = Held(Follower("stETH", TOKEN, Decimal(1)))
RATED = Held(Follower("wstETH", TOKEN, Rate(RATES, "getRate")))
SHARES = Held(Follower("vault", VAULT, Decimal("0.5")), ASSET)


def held(*kinds: Held, native: bool = False, owners: tuple[str, ...] = (ONE, TWO)) -> HoldingsSource:
    return HoldingsSource("held", CHAIN, owners, kinds, native=native)


def sizes(source: HoldingsSource, *rounds: list[Any]) -> tuple[dict[str, Decimal], list[int]]:
    """Each holding's size by its name, and how many calls each round had."""
    state, asked = feed(source.read(), rounds)
    assert (state.positions, state.spot, state.nav_usd) == ((), None, None)
    assert all(h.is_spot for h in state.holdings)
    return {h.asset: h.size for h in state.holdings}, [len(calls) for calls in asked]


def test_every_owners_coins_and_tokens_add_up() -> None:
    found, asked = sizes(held(PLAIN, native=True), [E18, 2 * E18, 3 * 10**6, 4 * 10**6, 6])
    assert found == {"native coin": 3, "stETH": 7}
    assert asked == [5]


def test_decimals_are_asked_once() -> None:
    source = held(PLAIN)
    assert sizes(source, [1, 0, 18])[1] == [3]
    assert sizes(source, [1, 0])[1] == [2]


def test_a_rate_multiplies_what_a_token_is() -> None:
    found, _ = sizes(held(RATED), [E18, 0, 18, 12 * E18 // 10])
    assert found == {"wstETH": Decimal("1.2")}


def test_shares_count_as_the_vaults_asset_by_its_own_decimals() -> None:
    found, asked = sizes(held(SHARES), [5 * E18, 5 * E18, 6, ASSET], [22 * 10**6])
    assert found == {"vault": Decimal(11)}
    assert asked == [4, 1]


def test_an_empty_vault_is_not_asked_to_convert_nothing() -> None:
    assert sizes(held(SHARES), [0, 0, 6, ASSET]) == ({"vault": 0}, [4])


def test_a_vault_of_another_asset_is_a_data_error() -> None:
    with pytest.raises(
        DataError, match=f"held: the vault vault is of {TOKEN}, not of its configured asset {ASSET}"
    ):
        sizes(held(SHARES), [1, 1, 6, TOKEN])


def test_impossible_decimals_are_a_data_error() -> None:
    with pytest.raises(DataError, match=f"held: token {TOKEN} says that it has 200 decimals"):
        sizes(held(PLAIN), [1, 1, 200])


@pytest.mark.parametrize("rate", [0, 10**8, 10**27])
def test_a_rate_of_another_scale_is_a_data_error(rate: int) -> None:
    with pytest.raises(DataError, match="a rate of another scale"):
        sizes(held(RATED), [1, 1, 18, rate])


def test_an_absurd_balance_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"held: wstETH has an amount of .*, which has too many digits"):
        sizes(held(RATED), [2**256 - 1, 0, 18, E18 + 1])


def test_it_has_no_price_and_asks_for_none() -> None:
    assert feed(held(PLAIN).watch(), []) == (None, [])


def test_every_address_must_hold_code() -> None:
    both = HoldingsSource("held", CHAIN, (ONE,), (RATED, SHARES), native=False)
    assert both.contracts() == {
        "tokens.wstETH": TOKEN,
        "tokens.wstETH.rate": RATES,
        "tokens.vault": VAULT,
        "tokens.vault.asset": ASSET,
    }


@given(st.integers(0, 2**128), st.integers(0, 18), st.integers(1, 10**6))
def test_any_decimals_and_factor_are_exact(raw: int, decimals: int, factor: int) -> None:
    kind = Held(Follower("t", TOKEN, Decimal(factor) / 1000))
    found, _ = sizes(held(kind, owners=(ONE,)), [raw, decimals])
    assert Fraction(found["t"]) == Fraction(raw * factor, 10 ** (decimals + 3))


def test_an_amount_of_many_digits_keeps_them_all() -> None:
    raw = 123_456_789_012_345_123_456_789_012_345_678
    found, _ = sizes(held(PLAIN, owners=(ONE,)), [raw, 18])
    assert found["stETH"].as_tuple().digits == tuple(map(int, str(raw)))
