"""Derive's subaccounts, with answers from plain lists: what is held, what is known of it, and what is refused."""

import math
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import NOW, WEEK, address, block, decided, feed, snapshot
from derive_books import (
    AT,
    CALL,
    EXPIRY,
    NOBODY,
    ONE,
    RULES,
    SPOT,
    STRANGER,
    FakeDerive,
    derive,
    entry,
    option_entry,
    smile,
)
from hypothesis import given
from hypothesis import strategies as st

from bot.core.greeks import options_delta, position_greeks, price_book
from bot.core.model import FeedPrice, Holding, SourceState
from bot.core.scenario import held_of, revalue, shocks_of
from bot.core.target import Target
from bot.errors import DataError
from bot.ledger import open_ledger
from bot.options.derive_ids import CALL_BIT, OptionId, decode_sub_id, encode_sub_id
from bot.ports import Reverted
from bot.pricing.black import SECONDS_PER_YEAR, black_76
from bot.pricing.settlement import effective_years

STALE = Reverted("BLF_DataTooOld()")
D = Decimal

OPTIONS = st.builds(
    OptionId,
    st.integers(1, 2**32 - 1),
    st.integers(1, 2**63 - 1).map(lambda raw: D(raw).scaleb(-8)),
    st.booleans(),
)


class TestSubId:
    def test_the_known_vector_is_reproduced(self) -> None:
        known = OptionId(1_798_704_000, D(3000), is_call=True)
        assert encode_sub_id(known) == 39614082545622357598570679168
        assert decode_sub_id(39614082545622357598570679168) == known
        assert known.instrument == "31DEC26-3000-C"

    @given(OPTIONS)
    def test_every_option_comes_back_from_its_sub_id(self, option: OptionId) -> None:
        assert decode_sub_id(encode_sub_id(option)) == option

    @given(st.integers(0, 2**96 - 1))
    def test_every_sub_id_is_one_option_or_refused(self, sub_id: int) -> None:
        try:
            assert encode_sub_id(decode_sub_id(sub_id)) == sub_id
        except ValueError:
            assert sub_id % 2**32 == 0 or sub_id >> 32 & 2**63 - 1 == 0

    @pytest.mark.parametrize("sub_id", [-1, 0, EXPIRY, 1 << CALL_BIT | 1 << 32, 1 << 96 | 1 << 32 | EXPIRY])
    def test_what_names_no_option_is_refused(self, sub_id: int) -> None:
        with pytest.raises(ValueError, match="is no option's subId"):
            decode_sub_id(sub_id)

    @pytest.mark.parametrize(
        "option",
        [
            replace(CALL, strike=D("3000.000000001")),
            replace(CALL, strike=D(0)),
            replace(CALL, expiry=2**32),
            replace(CALL, strike=D(2**63).scaleb(-8)),
        ],
    )
    def test_an_option_that_no_sub_id_can_name_is_refused(self, option: OptionId) -> None:
        with pytest.raises(ValueError, match=r"no subId can say that|more than 8 decimals"):
            encode_sub_id(option)


class TestHeld:
    def test_every_balance_keeps_its_sign_and_every_digit(self) -> None:
        put = OptionId(EXPIRY + WEEK, D("2500.5"), is_call=False)
        book = FakeDerive(
            {
                1: [
                    option_entry(CALL, "-12.000000000000000001"),
                    option_entry(put, "3"),
                    entry(str(AT.perp_asset), "7.25"),
                    entry(str(AT.base_asset), "0.5"),
                    entry(AT.cash_asset, "-125000.5"),
                ]
            }
        )
        state = book.read(derive())
        held = [(p.instrument, p.size, p.strike, p.is_call, p.expiry) for p in state.positions]
        assert held == [
            ("12DEC23-3000-C", D("-12.000000000000000001"), D(3000), True, EXPIRY),
            ("19DEC23-2500.5-P", D(3), D("2500.5"), False, EXPIRY + WEEK),
        ]
        assert state.holdings == (
            Holding("derive-eth", "the subaccounts' perpetual", D("7.25"), is_spot=False),
            Holding("derive-eth", "base held by the subaccounts", D("0.5")),
        )
        assert (state.spot, state.nav_usd, state.rate) == (SPOT, D(1000), 0.04)
        assert {p.averaging_s for p in state.positions} == {1800}

    def test_several_subaccounts_are_one_book(self) -> None:
        book = FakeDerive(
            {
                4: [option_entry(CALL, "-5"), entry(str(AT.perp_asset), "2")],
                9: [option_entry(CALL, "2"), entry(str(AT.perp_asset), "-2")],
            }
        )
        state = book.read(derive(4, 9))
        assert [(p.instrument, p.size) for p in state.positions] == [("12DEC23-3000-C", D(-3))]
        assert (state.holdings, state.nav_usd) == ((), D(13_000))

    def test_positions_that_cancel_each_other_are_none(self) -> None:
        book = FakeDerive({4: [option_entry(CALL, "-5")], 9: [option_entry(CALL, "5")]})
        assert book.read(derive(4, 9)).positions == ()

    def test_a_subaccount_that_does_not_exist_is_not_an_empty_one(self) -> None:
        assert FakeDerive({1: []}).read(derive()).positions == ()
        with pytest.raises(DataError, match="derive-eth: there is no subaccount 2"):
            FakeDerive({1: []}).read(derive(1, 2))
        assert NOBODY == "0x" + "0" * 40

    def test_an_asset_of_another_market_is_refused_by_name_unless_it_is_ignored(self) -> None:
        book = FakeDerive({1: [entry(STRANGER, "3.50", 5), option_entry(CALL, "-1")]})
        with pytest.raises(DataError, match=rf"subaccount 1 holds 3.5 of asset {STRANGER} \(subId 5\)"):
            book.read(derive())
        state = book.read(derive(rules=replace(RULES, ignored=(STRANGER,))))
        assert [p.size for p in state.positions] == [D(-1)]

    def test_an_asset_that_was_not_configured_is_refused_too(self) -> None:
        book = FakeDerive({1: [entry(str(AT.perp_asset), "1")]})
        with pytest.raises(DataError, match="name it, or list it in ignored_assets"):
            book.read(derive(at=replace(AT, perp_asset=None)))

    @pytest.mark.parametrize(
        ("balance", "why"),
        [
            (entry(AT.option_asset, "1", 1 << 97), "subaccount 1: .* is no option's subId"),
            (entry(AT.option_asset, "1"), "its expiry is 0"),
            (entry(str(AT.perp_asset), "1", 3), "holds subId 3 of its perp_asset"),
        ],
    )
    def test_a_sub_id_that_means_nothing_is_refused(self, balance: dict[str, Any], why: str) -> None:
        with pytest.raises(DataError, match=why):
            FakeDerive({1: [balance]}).read(derive())

    def test_two_rounds_whatever_the_number_of_options(self) -> None:
        strikes = [
            option_entry(OptionId(EXPIRY + week * WEEK, D(strike), call), "-1")
            for week in range(4)
            for strike in range(2000, 4000, 100)
            for call in (True, False)
        ]
        book = FakeDerive({1: strikes, 2: strikes})
        source = derive(1, 2)
        for _ in range(2):
            book.rounds.clear()
            assert len(book.read(source).positions) == 160
            assert len(book.rounds) == 2
        # Three vols per strike and one per expiry, three questions per expiry, two marks: a put asks no more.
        # The strike at the spot needs no vol at the money of its own.
        assert len(book.rounds[1]) == 4 * (20 * 3 + 3) + 2

    def test_its_contracts_are_those_that_are_configured(self) -> None:
        at = replace(AT, vol_feed=None, base_asset=None)
        assert derive(at=at).contracts().keys() == {
            "sub_accounts",
            "option_asset",
            "spot_feed",
            "forward_feed",
            "cash_asset",
            "rate_feed",
            "perp_asset",
        }


class TestMarks:
    def test_a_manager_without_a_mark_leaves_the_value_unknown(self) -> None:
        book = FakeDerive({1: []}, {"getMarginAndMarkToMarket": Reverted("no mark")})
        assert book.read(derive()).nav_usd is None

    def test_marks_that_are_not_wanted_are_not_asked(self) -> None:
        book = FakeDerive({1: [option_entry(CALL, "-1")]})
        assert book.read(derive(rules=replace(RULES, marks=False))).nav_usd is None
        assert not any("getMarginAndMarkToMarket" in call.name for call in book.rounds[1])


def of_one_call(says: dict[str, Any] | None = None, **changes: Any) -> SourceState:
    return FakeDerive({1: [option_entry(CALL, "-10")]}, says).read(derive(**changes))


def priced(state: SourceState, now: int = NOW) -> Any:
    seen = snapshot(state, spot=state.spot, at=now, blocks=(block(timestamp=now),))
    return price_book(seen, Target())


class TestFeeds:
    def test_vol_slope_and_money_come_from_the_feed(self) -> None:
        far = OptionId(EXPIRY, D(3300), is_call=True)
        state = FakeDerive({1: [option_entry(far, "-1")]}).read(derive())
        (position,) = state.positions
        assert position.vol == pytest.approx(smile(3300), abs=1e-15)
        assert position.money_vol == pytest.approx(smile(3000), abs=1e-15)
        assert position.slope == pytest.approx(-0.1, abs=1e-9)
        assert position.carry == pytest.approx(math.log(1.01), abs=1e-15)

    @pytest.mark.parametrize(
        ("says", "why"),
        [
            ({"getVol": STALE}, r"vol_feed reverted: BLF_DataTooOld\(\)"),
            ({"getVol": Reverted("LVF_MissingExpiryData()")}, "vol_feed reverted: LVF_MissingExpiryData"),
            ({"getForwardPrice": STALE}, "forward_feed reverted: BLF_DataTooOld"),
            (
                {"getForwardPrice": [0, ONE]},
                "forward_feed says 0.0+ beside a spot of 3000.0+, which is no forward",
            ),
            ({"getForwardPrice": [4501 * ONE, ONE]}, "forward_feed says 4501.0+ beside a spot"),
            ({"getInterestRate": STALE}, "rate_feed reverted: BLF_DataTooOld"),
            ({"getVol": [ONE, ONE // 2]}, "vol_feed has a confidence of 0.5, below 0.55"),
            ({"getForwardPrice": [3030 * ONE, 0]}, "forward_feed has a confidence of 0, below 0.55"),
        ],
    )
    def test_what_a_live_option_lacks_stops_the_tick_with_the_feeds_name(
        self, says: dict[str, Any], why: str
    ) -> None:
        state = of_one_call(says)
        with pytest.raises(DataError, match=f"derive-eth: 12DEC23-3000-C: {why}"):
            priced(state)
        assert price_book(snapshot(state, spot=SPOT, at=EXPIRY, blocks=(block(timestamp=EXPIRY),)), Target())

    def test_every_feed_that_is_missing_is_named_once(self) -> None:
        state = of_one_call({"getVol": STALE, "getForwardPrice": STALE})
        assert state.positions[0].unread == (
            "forward_feed reverted: BLF_DataTooOld(); vol_feed reverted: BLF_DataTooOld()"
        )

    @pytest.mark.parametrize("confidence", ["0.55", "1"])
    def test_a_feed_is_believed_from_the_least_confidence_on(self, confidence: str) -> None:
        state = of_one_call({"getVol": [ONE, int(D(confidence) * ONE)]})
        assert state.positions[0].unread == ""

    def test_one_vol_of_the_smile_is_as_needed_as_the_strikes_own(self) -> None:
        def above_is_missing(strike: int, expiry: int) -> Any:
            return STALE if strike > 3000 * ONE else [ONE, ONE]

        (position,) = of_one_call({"getVol": above_is_missing}).positions
        assert (position.vol, position.unread) == (1.0, "vol_feed reverted: BLF_DataTooOld()")

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (STALE, r"derive-eth: spot_feed reverted: BLF_DataTooOld\(\)"),
            ([3000 * ONE, ONE // 10], "derive-eth: spot_feed has a confidence of 0.1, below 0.55"),
            ([0, ONE], "derive-eth: spot_feed answers 0"),
        ],
    )
    def test_a_spot_that_is_none_is_refused_at_once(self, answer: Any, why: str) -> None:
        with pytest.raises(DataError, match=why):
            of_one_call({"getSpot": answer})
        if not isinstance(answer, Reverted):
            with pytest.raises(DataError, match=why):
                feed(derive().watch(), [[answer]])

    def test_the_spot_alone_is_one_call(self) -> None:
        spot, asked = feed(derive().watch(), [[[3000 * ONE + 1, ONE]]])
        assert spot == D("3000.000000000000000001")
        assert [[call.to for call in calls] for calls in asked] == [[AT.spot_feed]]

    def test_without_a_vol_feed_the_vols_come_from_elsewhere(self) -> None:
        state = of_one_call(at=replace(AT, vol_feed=None))
        assert state.positions[0].vol is None
        with pytest.raises(DataError, match="no vol for 12DEC23-3000-C, which has not expired"):
            priced(state)

    def test_without_a_rate_feed_the_rate_is_none(self) -> None:
        assert of_one_call({"getInterestRate": STALE}, at=replace(AT, rate_feed=None)).rate == 0.0

    def test_the_rate_is_that_of_the_last_expiry_that_has_one(self) -> None:
        later = OptionId(EXPIRY + WEEK, D(3000), is_call=True)
        rates = {EXPIRY: [ONE // 100, ONE], EXPIRY + WEEK: STALE}
        book = FakeDerive(
            {1: [option_entry(CALL, "-1"), option_entry(later, "-1")]}, {"getInterestRate": rates.__getitem__}
        )
        assert book.read(derive()).rate == 0.01


class TestSettlement:
    def test_settled_and_not_yet_paid_is_counted_and_carries_no_delta(self) -> None:
        later = OptionId(EXPIRY + WEEK, D(3000), is_call=True)
        put = replace(CALL, is_call=False)
        book = FakeDerive(
            {1: [option_entry(CALL, "-1"), option_entry(put, "-1"), option_entry(later, "-2")]},
            {"getSettlementPrice": lambda expiry: [expiry == EXPIRY, 3100 * ONE]},
        )
        state = book.read(derive())
        assert (state.settled, [p.expiry for p in state.positions]) == (2, [EXPIRY + WEEK])

    def test_an_expired_option_waits_for_its_price_without_a_feed(self) -> None:
        state = of_one_call({"getVol": STALE, "getForwardPrice": STALE, "getInterestRate": STALE})
        (part,) = priced(state, EXPIRY + 3600)
        (position,) = position_greeks((part,))
        assert position.delta == 0.0  # its average is known, to Derive if not to us

    def test_in_the_settlement_window_the_delta_fades(self) -> None:
        deep = OptionId(EXPIRY, D(1000), is_call=True)
        state = FakeDerive({1: [option_entry(deep, "-10")]}).read(derive())
        deltas = [position_greeks(priced(state, EXPIRY - left))[0].delta for left in (1800, 900, 0)]
        assert deltas == pytest.approx([-10.0, -5.0, 0.0], abs=1e-9)

    def test_a_window_of_none_keeps_it_whole_to_the_end(self) -> None:
        deep = OptionId(EXPIRY, D(1000), is_call=True)
        state = FakeDerive({1: [option_entry(deep, "-10")]}).read(derive(rules=replace(RULES, averaging_s=0)))
        assert position_greeks(priced(state, EXPIRY - 900))[0].delta == pytest.approx(-10.0, abs=1e-9)


def black(spot: float, option: OptionId, forward_of: Callable[[float], float], vol: float) -> float:
    """Derive's own mark of one option: Black-76 on its forward, not discounted."""
    years = float(effective_years(NOW, option.expiry, 1800))
    return float(
        black_76(forward_of(spot), float(option.strike), years, vol, 0.0, np.bool_(option.is_call)).price
    )


@pytest.mark.parametrize("strike", [2000, 2800, 3000, 3030, 3500, 4500])
@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("difference", [-150.0, 0.0, 30.0, 200.0])
def test_the_delta_is_the_slope_of_derives_own_price_at_the_feeds_vol(
    strike: int, is_call: bool, difference: float
) -> None:
    option = OptionId(EXPIRY, D(strike), is_call)
    forward = int((3000 + difference) * ONE)
    book = FakeDerive({1: [option_entry(option, "-10")]}, {"getForwardPrice": [forward, ONE]})
    (found,) = position_greeks(priced(book.read(derive())))
    # The feed's forward is the spot plus a difference, so it moves with the spot one for one.
    step = 0.01
    prices = [black(3000 + move, option, lambda s: s + difference, smile(strike)) for move in (-step, step)]
    assert found.delta == pytest.approx(-10 * (prices[1] - prices[0]) / (2 * step), abs=1e-5)
    assert found.vol == pytest.approx(smile(strike), abs=1e-15)


def test_two_expiries_have_their_own_forwards() -> None:
    later = OptionId(EXPIRY + 4 * WEEK, D(3000), is_call=True)
    forwards = {EXPIRY: [3100 * ONE, ONE], later.expiry: [2900 * ONE, ONE]}
    book = FakeDerive(
        {1: [option_entry(CALL, "1"), option_entry(later, "1")]}, {"getForwardPrice": forwards.__getitem__}
    )
    near, far = priced(book.read(derive()))[0].columns.rate
    assert near == pytest.approx(math.log(3100 / 3000) / ((EXPIRY - NOW - 1200) / SECONDS_PER_YEAR))
    assert far < 0 < near


def test_policies_and_scenarios_take_each_expirys_forward_too() -> None:
    later = OptionId(EXPIRY + 4 * WEEK, D(3000), is_call=True)
    forwards = {EXPIRY: [3300 * ONE, ONE], later.expiry: [2800 * ONE, ONE]}
    book = FakeDerive(
        {1: [option_entry(CALL, "-5"), option_entry(later, "3")]}, {"getForwardPrice": forwards.__getitem__}
    )
    seen = snapshot(book.read(derive()), spot=SPOT)
    parts = price_book(seen, Target())
    summed = sum(p.delta for p in position_greeks(parts))
    assert options_delta(parts, Target())(np.array([3000.0])) == pytest.approx([summed], abs=1e-12)
    revalued = revalue(held_of(seen), shocks_of(0.0))
    assert revalued.book_delta == pytest.approx([summed], abs=1e-12)
    assert held_of(seen).rate.tolist() == parts[0].columns.rate.tolist()


def test_a_tick_of_subaccounts_is_the_same_when_it_comes_back_from_the_ledger(tmp_path: Path) -> None:
    seen = replace(
        snapshot(of_one_call(), spot=SPOT), feeds=(FeedPrice("pyth", SPOT, NOW, 60, 5, D("0.01")),)
    )
    with closing(open_ledger(tmp_path / "ledger.db", trades=True)) as ledger:
        ledger.record_tick(decided(seen))
        last = ledger.last_tick(seen.book)
    assert last is not None
    assert last.snapshot == seen


def test_the_addresses_are_told_apart() -> None:
    assert len({*AT.given().values(), address(79), STRANGER}) == 11
