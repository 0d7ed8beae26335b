"""What expired Gamma options leave: exact payouts, and a delta that doesn't jump where options are delivered."""

from dataclasses import replace
from decimal import Decimal

import pytest
from builders import NOW, WEEK, block, measured, snapshot
from gamma_models import COIN, MONEY, OWNER, PRICE, STAKED, Protocol, VaultModel, gamma
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.core.greeks import NEAR_STRIKE
from bot.core.model import SourceState
from bot.core.target import Target
from bot.options.tokens import Follower

E8, E18 = 10**8, 10**18
EXPIRY = NOW + WEEK


def written(*, is_put: bool = False, strike: int = 2000, size: int = 4) -> tuple[Protocol, str]:
    """A covered call or a cash-secured put, sold."""
    protocol = Protocol()
    series = protocol.option(strike=strike * PRICE, is_put=is_put, collateral=MONEY if is_put else COIN)
    backing = (MONEY, strike * size * 10**6) if is_put else (COIN, size * E18)
    protocol.add(VaultModel([(series, size * E8)], [], [backing]))
    return protocol, series


def delta(state: SourceState, spot: int | Decimal, now: int, *, hedge_holdings: bool = True) -> float:
    """The book's delta in units at a spot and a time, by the desk's own measure."""
    source = replace(state, positions=tuple(replace(p, vol=0.8) for p in state.positions))
    seen = snapshot(source, blocks=(block(timestamp=now),), at=now, spot=Decimal(spot))
    found = measured(seen, Target(hedge_holdings=hedge_holdings))
    return (found.gap_lo + found.gap_hi) / 2


class TestCash:
    def test_a_covered_call_in_the_money_keeps_its_collateral_less_the_payout(self) -> None:
        protocol, _ = written()
        protocol.report(2500)
        state = protocol.read(gamma())
        assert [h.size for h in state.holdings] == [Decimal(4) - 4 * Decimal(500) / 2500]
        assert (state.positions, state.settled) == ((), 1)

    def test_one_out_of_the_money_keeps_everything(self) -> None:
        protocol, _ = written()
        protocol.report(1900)
        assert [h.size for h in protocol.read(gamma()).holdings] == [Decimal(4)]

    def test_a_settled_put_carries_nothing(self) -> None:
        protocol, _ = written(is_put=True)
        protocol.report(1500)
        state = protocol.read(gamma())
        assert (state.positions, state.holdings, state.settled) == ((), (), 1)

    def test_a_spreads_long_leg_pays_into_its_vault(self) -> None:
        protocol, _ = written()
        long = protocol.option(2, strike=2200 * PRICE)
        protocol.vaults[OWNER][0].longs = [(long, 4 * E8)]
        protocol.vaults[OWNER][0].collateral = [(COIN, E18)]
        protocol.report(2500)
        expected = 1 - 4 * Decimal(500) / 2500 + 4 * Decimal(300) / 2500
        assert [h.size for h in protocol.read(gamma()).holdings] == [expected]

    def test_a_naked_vault_that_is_under_water_is_worth_nothing_and_not_less(self) -> None:
        protocol, _ = written()
        protocol.vaults[OWNER][0].collateral = [(COIN, E18 // 10)]
        protocol.report(2500)
        assert protocol.read(gamma()).holdings == ()

    def test_a_settled_call_in_the_wallet_is_worth_its_payout_in_coins(self) -> None:
        protocol, series = written()
        protocol.vaults[OWNER] = []
        protocol.balances[series, OWNER] = 10 * E8
        protocol.report(2500)
        state = protocol.read(gamma(otokens=(series,)))
        assert [(h.asset, h.size) for h in state.holdings] == [
            ("underlying that settled options pay", Decimal(2))
        ]

    def test_written_and_kept_options_pay_nothing_in_sum(self) -> None:
        protocol, series = written()
        protocol.balances[series, OWNER] = 4 * E8
        protocol.report(2500)
        assert sum(h.size for h in protocol.read(gamma()).holdings) == 4

    def test_a_strike_asset_off_its_peg_settles_at_its_own_price(self) -> None:
        protocol, _ = written()
        protocol.report(2500)
        protocol.expiries[MONEY, EXPIRY] = (PRICE * 8 // 10, True)
        # 3,125 strike assets for a coin: 1,125 above the strike, which are 900 USD, which are 0.36 coins.
        assert [h.size for h in protocol.read(gamma()).holdings] == [4 - 4 * Decimal("0.36")]

    def test_until_every_price_is_reported_nothing_is_settled(self) -> None:
        protocol, _ = written()
        protocol.report(2500)
        protocol.expiries[MONEY, EXPIRY] = (0, False)
        state = protocol.read(gamma())
        assert ([p.size for p in state.positions], [h.size for h in state.holdings]) == ([-4], [4])

    def test_a_price_that_may_be_disputed_counts_and_says_so(self) -> None:
        protocol, _ = written()
        protocol.report(2500, final=False)
        (holding,) = protocol.read(gamma()).holdings
        assert holding.size == 4 - 4 * Decimal(500) / 2500
        assert holding.asset == "underlying in vaults, at a price that may still be disputed"

    def test_an_unreported_expiry_is_left_to_moneyness(self) -> None:
        protocol, _ = written()
        state = protocol.read(gamma())
        assert delta(state, 2500, EXPIRY + 60) == 0
        assert delta(state, 1500, EXPIRY + 60) == 4


class TestPhysical:
    @pytest.mark.parametrize(
        ("is_put", "price", "words", "moved"),
        [(False, 2500, "delivered", -4), (True, 1500, "received", 4)],
    )
    def test_an_exercised_option_is_a_delivery_to_come(
        self, is_put: bool, price: int, words: str, moved: int
    ) -> None:
        protocol, _ = written(is_put=is_put)
        protocol.report(price)
        state = protocol.read(gamma(physical=True))
        (delivery,) = [h for h in state.holdings if not h.is_spot]
        assert delivery.size == moved
        assert delivery.asset == f"to be {words} for 21NOV23-2000-{'P' if is_put else 'C'}"
        assert (state.positions, state.settled) == ((), 1)

    @pytest.mark.parametrize(("is_put", "price"), [(False, 2000), (True, 2000), (False, 1500), (True, 2500)])
    def test_at_the_strike_and_beyond_nobody_exercises(self, is_put: bool, price: int) -> None:
        protocol, _ = written(is_put=is_put)
        protocol.report(price)
        assert [h for h in protocol.read(gamma(physical=True)).holdings if not h.is_spot] == []

    def test_a_makers_options_are_delivered_the_other_way(self) -> None:
        protocol, series = written()
        protocol.vaults[OWNER] = []
        protocol.balances[series, OWNER] = 4 * E8
        protocol.report(2500)
        (delivery,) = protocol.read(gamma(physical=True, otokens=(series,))).holdings
        assert (delivery.size, delivery.is_spot) == (4, False)

    def test_a_delivery_needs_no_price_of_the_collateral(self) -> None:
        protocol = Protocol()
        call = protocol.option(collateral=STAKED)
        protocol.add(VaultModel([(call, E8)], [], [(STAKED, E18)]))
        protocol.report(2500)
        steth = Follower("stETH", STAKED, Decimal(1))
        assert protocol.read(gamma(equivalents=(steth,))).settled == 0
        state = protocol.read(gamma(equivalents=(steth,), physical=True))
        assert [(h.size, h.is_spot) for h in state.holdings] == [(1, True), (-1, False)]

    def test_a_delivery_that_a_dispute_may_undo_says_so(self) -> None:
        protocol, _ = written()
        protocol.report(2500, final=False)
        assert "unless the price is disputed" in protocol.read(gamma(physical=True)).holdings[-1].asset


def lifetime(is_put: bool, strike: int, price: int, size: int) -> list[float]:
    """A written option's delta: before expiry, after it, reported, final, cleared with the wallet's new coins."""
    protocol, _ = written(is_put=is_put, strike=strike, size=size)
    source = gamma(physical=True, wallet=True)
    protocol.price = price * PRICE

    def seen(now: int) -> float:
        return delta(protocol.read(source), price, now)

    deltas = [seen(EXPIRY - 60), seen(EXPIRY), seen(EXPIRY + 60)]
    protocol.report(price, final=False)
    deltas.append(seen(EXPIRY + 120))
    protocol.report(price)
    deltas.append(seen(EXPIRY + 180))
    protocol.vaults[OWNER] = [VaultModel()]
    exercised = price < strike if is_put else price > strike
    if is_put:
        protocol.balances[COIN, OWNER] = size * E18 if exercised else 0
    else:
        protocol.balances[COIN, OWNER] = 0 if exercised else size * E18
    deltas.append(seen(EXPIRY + 240))
    return deltas


@settings(max_examples=80)
@given(st.booleans(), st.integers(500, 5000), st.integers(500, 5000), st.integers(1, 50))
def test_a_delivered_options_delta_never_jumps_away_from_the_strike(
    is_put: bool, strike: int, price: int, size: int
) -> None:
    assume(abs(price / strike - 1) > 2 * NEAR_STRIKE)
    deltas = lifetime(is_put, strike, price, size)
    assert deltas == pytest.approx([deltas[0]] * len(deltas), abs=1e-9 * size)


@given(st.booleans(), st.integers(1995, 2005))
def test_near_the_strike_a_jump_is_at_most_the_option_itself(is_put: bool, price: int) -> None:
    deltas = lifetime(is_put, 2000, price, 4)
    assert max(deltas) - min(deltas) <= 4 + 1e-9


def test_the_delta_jumps_where_a_put_is_delivered_to_a_wallet_that_doesnt_count() -> None:
    """What the configuration makes a person decide."""
    protocol, _ = written(is_put=True)
    protocol.report(1500)
    source = gamma(physical=True)
    before = delta(protocol.read(source), 1500, EXPIRY + 60)
    protocol.vaults[OWNER] = [VaultModel()]
    protocol.balances[COIN, OWNER] = 4 * E18
    assert (before, delta(protocol.read(source), 1500, EXPIRY + 120)) == (4, 0)


def test_a_delivery_is_hedged_with_the_options_where_holdings_are_not() -> None:
    protocol, _ = written()
    source = gamma(physical=True)
    before = delta(protocol.read(source), 2500, EXPIRY, hedge_holdings=False)
    protocol.report(2500)
    after = delta(protocol.read(source), 2500, EXPIRY + 60, hedge_holdings=False)
    assert before == after == -4
