"""Opyn Gamma's vaults as the source reads them, from a protocol in memory."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from builders import NOW, WEEK, address, feed
from gamma_models import (
    COIN,
    CONTROLLER,
    MONEY,
    ORACLE,
    OWNER,
    PRICE,
    RATES,
    SECOND,
    STAKED,
    Naive,
    Protocol,
    VaultModel,
    gamma,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import DataError
from bot.options.gamma_vaults import NOBODY
from bot.options.tokens import Follower, Rate

E8, E18 = 10**8, 10**18
STETH = Follower("stETH", STAKED, Decimal(1))
WSTETH = Follower("wstETH", STAKED, Rate(RATES, "stEthPerToken"))


def covered_call(size: int = 3, **terms: Any) -> tuple[Protocol, str]:
    """A vault that is short some calls against as much of the underlying."""
    protocol = Protocol()
    series = protocol.option(**terms)
    protocol.add(VaultModel([(series, size * E8)], [], [(COIN, size * E18)]))
    return protocol, series


class TestPositions:
    def test_a_covered_call_is_short_the_option_and_holds_the_coin(self) -> None:
        protocol, _ = covered_call()
        state = protocol.read(gamma())
        (position,), (holding,) = state.positions, state.holdings
        assert (position.size, position.strike, position.is_call) == (Decimal(-3), Decimal(2000), True)
        assert (position.instrument, position.expiry, position.vol) == ("21NOV23-2000-C", NOW + WEEK, None)
        assert (holding.size, holding.is_spot, holding.asset) == (Decimal(3), True, "underlying in vaults")
        assert (state.spot, state.nav_usd, state.settled) == (Decimal(2000), None, 0)

    def test_a_cash_secured_put_is_short_and_its_money_carries_no_delta(self) -> None:
        protocol = Protocol()
        put = protocol.option(is_put=True, collateral=MONEY)
        protocol.add(VaultModel([(put, E8)], [], [(MONEY, 2000 * 10**6)]))
        state = protocol.read(gamma())
        assert [(p.size, p.is_call) for p in state.positions] == [(Decimal(-1), False)]
        assert state.holdings == ()

    def test_a_long_option_in_a_vault_and_one_in_the_wallet_are_long(self) -> None:
        protocol, short = covered_call()
        lower, bought = protocol.option(2, strike=1800 * PRICE), protocol.option(3, strike=2200 * PRICE)
        protocol.vaults[OWNER][0].longs = [(lower, 2 * E8)]
        protocol.balances[bought, OWNER] = 5 * E8
        sizes = {p.strike: p.size for p in protocol.read(gamma(otokens=(bought,))).positions}
        assert sizes == {Decimal(1800): 2, Decimal(2000): -3, Decimal(2200): 5}
        assert short in protocol.series

    def test_an_option_that_left_its_vault_for_the_wallet_must_be_named(self) -> None:
        protocol, _ = covered_call()
        bought = protocol.option(2, strike=1800 * PRICE)
        protocol.vaults[OWNER][0].longs = [(bought, 2 * E8)]
        source = gamma()
        protocol.read(source)
        protocol.vaults[OWNER][0].longs = []
        protocol.balances[bought, OWNER] = 2 * E8
        with pytest.raises(DataError, match=f"wallet holds options {bought}, which no vault has any more"):
            protocol.read(source)
        sizes = {p.strike: p.size for p in protocol.read(gamma(otokens=(bought,))).positions}
        assert sizes == {Decimal(1800): 2, Decimal(2000): -3}

    def test_options_that_were_written_and_not_sold_net_to_nothing(self) -> None:
        protocol, series = covered_call()
        protocol.balances[series, OWNER] = 3 * E8
        state = protocol.read(gamma())
        assert state.positions == ()
        assert [h.size for h in state.holdings] == [Decimal(3)]

    def test_owners_net_against_each_other(self) -> None:
        protocol, series = covered_call()
        protocol.balances[series, SECOND] = E8
        assert [p.size for p in protocol.read(gamma(OWNER, SECOND)).positions] == [Decimal(-2)]

    def test_two_series_with_the_same_terms_have_names_of_their_own(self) -> None:
        protocol, _ = covered_call()
        other = protocol.option(2, collateral=MONEY)
        protocol.add(VaultModel([(other, E8)], [], [(MONEY, 10**9)]))
        names = {p.instrument for p in protocol.read(gamma()).positions}
        assert names == {"21NOV23-2000-C-1001", "21NOV23-2000-C-1002"}

    def test_a_cleared_vault_is_nothing(self) -> None:
        protocol, series = covered_call()
        source = gamma()
        protocol.read(source)
        protocol.vaults[OWNER] = [VaultModel()]
        assert protocol.read(source).positions == ()
        protocol.vaults[OWNER] = [VaultModel([(NOBODY, 0)], [], [(COIN, 0)])]
        state = protocol.read(source)
        assert (state.positions, state.holdings) == ((), ())
        assert series in protocol.series

    def test_an_equivalent_counts_by_what_its_contract_says(self) -> None:
        protocol = Protocol()
        protocol.rates[RATES] = 12 * E18 // 10
        protocol.decimals[STAKED] = 6
        series = protocol.option(collateral=STAKED)
        protocol.add(VaultModel([(series, E8)], [], [(STAKED, 5 * 10**6)]))
        state = protocol.read(gamma(equivalents=(WSTETH,)))
        assert [(h.asset, h.size) for h in state.holdings] == [("wstETH in vaults", Decimal(6))]

    def test_the_owners_wallets_count_where_that_is_wished(self) -> None:
        protocol, _ = covered_call()
        protocol.balances |= {(COIN, OWNER): 2 * E18, (STAKED, SECOND): E18}
        silent = protocol.read(gamma(OWNER, SECOND, equivalents=(STETH,)))
        assert sum(h.size for h in silent.holdings) == 3
        state = protocol.read(gamma(OWNER, SECOND, equivalents=(STETH,), wallet=True))
        assert sum(h.size for h in state.holdings) == 6

    def test_without_a_price_there_is_no_spot_and_none_is_looked_for(self) -> None:
        protocol, _ = covered_call()
        source = gamma()
        assert feed(source.watch(), [[1999 * PRICE]])[0] == Decimal(1999)
        protocol.price = None
        assert protocol.read(source).spot is None
        assert feed(source.watch(), []) == (None, [])

    def test_a_price_of_nothing_is_no_price(self) -> None:
        protocol, _ = covered_call()
        protocol.price = 0
        assert protocol.read(gamma()).spot is None

    def test_every_address_that_matters_must_hold_code(self) -> None:
        source = gamma(otokens=(address(7),), equivalents=(WSTETH,))
        assert source.contracts() == {
            "controller": CONTROLLER,
            "oracle": ORACLE,
            "underlying": COIN,
            "strike_asset": MONEY,
            "otokens.0": address(7),
            "equivalents.wstETH": STAKED,
            "equivalents.wstETH.rate": RATES,
        }


class TestRounds:
    def test_fifty_vaults_of_four_series_take_four_rounds_at_first_and_one_afterwards(self) -> None:
        protocol = Protocol()
        series = [protocol.option(n, strike=(1000 + n) * PRICE) for n in range(200)]
        for n in range(50):
            shorts = [(s, E8) for s in series[4 * n : 4 * n + 4]]
            protocol.add(VaultModel(shorts, [], [(COIN, 4 * E18)]), OWNER if n % 2 else SECOND)
        source = gamma(OWNER, SECOND)
        assert len(protocol.read(source).positions) == 200
        assert len(protocol.asked) == 4
        assert len(protocol.read(source).positions) == 200
        assert len(protocol.asked) == 1

    def test_a_new_vault_of_a_known_series_takes_two_rounds(self) -> None:
        protocol, series = covered_call()
        source = gamma()
        protocol.read(source)
        protocol.add(VaultModel([(series, E8)], [], [(COIN, E18)]))
        assert [p.size for p in protocol.read(source).positions] == [Decimal(-4)]
        assert len(protocol.asked) == 2

    def test_what_never_changes_is_asked_once(self) -> None:
        protocol, _ = covered_call()
        source = gamma()
        protocol.read(source)
        protocol.read(source)
        again = {call.name.split(" ")[0] for calls in protocol.asked for call in calls}
        assert again == {
            "gamma_controller.getAccountVaultCounter",
            "gamma_controller.getVaultWithDetails",
            "gamma_oracle.getPrice",
            "gamma_oracle.getExpiryPrice",
            "gamma_otoken.balanceOf",
        }

    def test_a_vault_that_a_reorg_takes_back_is_gone(self) -> None:
        protocol, series = covered_call()
        protocol.add(VaultModel([(series, E8)], [], [(COIN, E18)]))
        source = gamma()
        protocol.read(source)
        protocol.vaults[OWNER].pop()
        assert [p.size for p in protocol.read(source).positions] == [Decimal(-3)]

    def test_a_reader_that_failed_reads_everything_again(self) -> None:
        protocol, _ = covered_call(strike=2000)
        source = gamma()
        with pytest.raises(DataError):
            protocol.read(source)
        with pytest.raises(DataError, match="a wrong strike scale"):
            protocol.read(source)


MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"decimals": 0}, r"option .*1001 says that it has 0 decimals, from 1 to 18 are plausible"),
    ({"decimals": 19}, "says that it has 19 decimals"),
    ({"strike": 2000}, r"has a strike of 0\.00002 beside a price of 2000: a wrong strike scale"),
    ({"strike": 2000 * E18}, "a wrong strike scale"),
    ({"strike": 0}, "has no strike"),
    ({"expiry": 1000 * (NOW + WEEK)}, "which is no Unix second of this century"),
    ({"underlying": STAKED}, "which is not the book's underlying.*ignore_underlyings leaves it out"),
    ({"strike_asset": STAKED}, "has its strike in .*, not in strike_asset"),
    ({"collateral": STAKED}, "which is neither the underlying, nor strike_asset, nor among the equivalents"),
    ({"collateral": MONEY}, "which is collateralised in .*, and none of it"),
]


class TestRefusals:
    @pytest.mark.parametrize(("terms", "words"), MISFITS)
    def test_an_option_that_cant_be_so_is_a_data_error_with_its_name(
        self, terms: dict[str, Any], words: str
    ) -> None:
        protocol, _ = covered_call(**terms)
        with pytest.raises(DataError, match=f"gamma-eth: .*{words}"):
            protocol.read(gamma())

    def test_a_token_with_impossible_decimals_is_a_data_error(self) -> None:
        protocol, _ = covered_call()
        protocol.decimals[COIN] = 77
        with pytest.raises(DataError, match=f"token {COIN} says that it has 77 decimals"):
            protocol.read(gamma())

    def test_unknown_collateral_is_a_data_error_with_its_vault(self) -> None:
        protocol, _ = covered_call()
        protocol.vaults[OWNER][0].collateral.append((STAKED, 1))
        with pytest.raises(DataError, match=f"vault 1 of {OWNER} holds {STAKED} as collateral"):
            protocol.read(gamma())
        assert protocol.read(gamma(equivalents=(STETH,))).holdings

    @pytest.mark.parametrize("side", ["shortAmounts", "longOtokens", "collateralAmounts"])
    def test_arrays_of_different_lengths_are_a_data_error(self, side: str) -> None:
        protocol, series = covered_call()
        raw = protocol.vaults[OWNER][0].raw()
        protocol.forged[OWNER, 1] = raw | {side: [*raw[side], series if side == "longOtokens" else 5]}
        with pytest.raises(DataError, match=f"vault 1 of {OWNER} has .* amounts of them"):
            protocol.read(gamma())

    def test_an_amount_without_an_address_is_a_data_error(self) -> None:
        protocol = Protocol()
        protocol.add(VaultModel([(NOBODY, 5)], [], [(COIN, 5)]))
        with pytest.raises(DataError, match="has an amount of short options without an address"):
            protocol.read(gamma())

    def test_a_short_without_any_cover_is_a_data_error(self) -> None:
        protocol, series = covered_call()
        protocol.vaults[OWNER][0].collateral = []
        with pytest.raises(DataError, match="short options without any collateral or long option"):
            protocol.read(gamma())
        protocol.vaults[OWNER][0].longs = [(protocol.option(2, strike=1900 * PRICE), 3 * E8)]
        assert len(protocol.read(gamma()).positions) == 2
        assert series in protocol.series

    def test_more_vaults_than_may_be_read_are_refused_before_they_are_asked(self) -> None:
        protocol, _ = covered_call()
        protocol.counts[OWNER] = 2**255
        with pytest.raises(DataError, match=rf"{OWNER} has {2**255} vaults, max_vaults is 300"):
            protocol.read(gamma())

    def test_another_oracle_than_the_controllers_is_refused_and_an_unknown_one_is_not(self) -> None:
        protocol, _ = covered_call()
        protocol.oracle = address(9)
        with pytest.raises(DataError, match=f"oracle is not the controller's, which is {address(9)}"):
            protocol.read(gamma())
        protocol.oracle = None
        assert protocol.read(gamma()).positions

    @pytest.mark.parametrize("rate", [0, 10**8, 10**27])
    def test_a_rate_of_another_scale_is_a_data_error(self, rate: int) -> None:
        protocol, _ = covered_call()
        protocol.rates[RATES] = rate
        with pytest.raises(DataError, match=r"stEthPerToken of wstETH .* a rate of another scale"):
            protocol.read(gamma(equivalents=(WSTETH,)))

    def test_a_vault_on_an_ignored_underlying_is_left_out(self) -> None:
        protocol, _ = covered_call()
        other = protocol.option(2, underlying=STAKED, collateral=MONEY, is_put=True, strike=5)
        protocol.add(VaultModel([(other, E8)], [], [(MONEY, 1)]))
        protocol.balances[other, OWNER] = E8
        state = protocol.read(gamma(ignored=frozenset({STAKED})))
        assert [p.size for p in state.positions] == [Decimal(-3)]

    def test_an_ignored_option_on_the_books_own_collateral_is_refused(self) -> None:
        protocol = Protocol()
        other = protocol.option(2, underlying=STAKED)
        protocol.add(VaultModel([(other, E8)], [], [(COIN, E18)]))
        with pytest.raises(
            DataError, match="on an ignored underlying together with what follows the book's own"
        ):
            protocol.read(gamma(ignored=frozenset({STAKED})))

    def test_a_final_price_of_nothing_is_a_data_error(self) -> None:
        protocol, _ = covered_call()
        protocol.report(0)
        with pytest.raises(DataError, match=r"the oracle's final price of .* is nothing"):
            protocol.read(gamma())

    def test_a_strike_is_held_against_the_price_at_expiry_once_there_is_one(self) -> None:
        protocol, _ = covered_call()
        protocol.price = None
        assert protocol.read(gamma()).positions
        protocol.report(1)
        with pytest.raises(DataError, match="a wrong strike scale"):
            protocol.read(gamma())


amounts = st.integers(0, 10**24)
DECIMALS = st.integers(0, 18)


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Two owners with random vaults of random series, some settled, every token with decimals of its own."""
    protocol = Protocol()
    protocol.decimals = {token: draw(DECIMALS) for token in (COIN, MONEY, STAKED)}
    protocol.rates[RATES] = draw(st.integers(E18, 2 * E18))
    expiries = [NOW + WEEK, NOW + 2 * WEEK]
    if draw(st.booleans()):
        for asset in (COIN, STAKED):
            protocol.report(
                draw(st.integers(1000, 4000)), expiries[0], final=draw(st.booleans()), asset=asset
            )
    for n in range(draw(st.integers(1, 5))):
        protocol.option(
            n,
            strike=draw(st.integers(1000 * PRICE, 4000 * PRICE)),
            expiry=draw(st.sampled_from(expiries)),
            is_put=draw(st.booleans()),
            collateral=draw(st.sampled_from([COIN, MONEY, STAKED])),
            decimals=draw(st.integers(1, 18)),
        )
    series = st.sampled_from(sorted(protocol.series))
    for owner in (OWNER, SECOND):
        for _ in range(draw(st.integers(0, 3))):
            short, long = draw(series), draw(series)
            wanted = [protocol.series[short].collateral, protocol.series[long].collateral]
            collateral = [(asset, draw(st.integers(1, 10**24))) for asset in wanted]
            protocol.add(VaultModel([(short, draw(amounts))], [(long, draw(amounts))], collateral), owner)
        for token in protocol.series:
            protocol.balances[token, owner] = draw(amounts)
    return protocol


@settings(max_examples=150)
@given(protocols(), st.booleans())
def test_random_vaults_read_as_a_plain_reader_reads_them(protocol: Protocol, physical: bool) -> None:
    owners = (OWNER, SECOND)
    source = gamma(*owners, otokens=tuple(protocol.series), equivalents=(WSTETH,), physical=physical)
    state = protocol.read(source)
    factors = {COIN: Fraction(1), STAKED: Fraction(protocol.rates[RATES], E18)}
    naive = Naive(protocol, owners, factors)
    found = {(p.strike, p.expiry, p.is_call): Fraction(0) for p in state.positions}
    for p in state.positions:
        found[p.strike, p.expiry, p.is_call] += Fraction(p.size)
    wanted: dict[tuple[Decimal, int, bool], Fraction] = {}
    for token, size in naive.sizes().items():
        series = protocol.series[token]
        if size and not naive.settled(token):
            key = (Decimal(series.strike).scaleb(-8), series.expiry, not series.is_put)
            wanted[key] = wanted.get(key, Fraction(0)) + size
    assert found == wanted
    spot = sum((Fraction(h.size) for h in state.holdings if h.is_spot), Fraction(0))
    assert abs(spot - naive.spot_holdings(physical=physical)) < Fraction(1, 10**30)
    moved = sum((Fraction(h.size) for h in state.holdings if not h.is_spot), Fraction(0))
    assert moved == (naive.deliveries() if physical else 0)
    assert state.settled == sum(1 for t, size in naive.sizes().items() if size and naive.settled(t))
