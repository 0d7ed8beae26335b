"""Offers for gas: bounded, and raised enough for a node to take a replacement."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bot.core.fees import FeeCap, Offer, bumped, within

WEI = st.integers(0, 10**13)


def offers() -> st.SearchStrategy[Offer]:
    return st.tuples(WEI, WEI).map(lambda pair: Offer(max(pair), min(pair)))


@given(last=offers(), wanted=offers(), cap=WEI)
def test_a_bump_raises_both_fees_by_a_tenth_and_never_passes_the_cap(
    last: Offer, wanted: Offer, cap: int
) -> None:
    offer = bumped(last, wanted, cap)
    if offer is None:
        return
    assert 10 * offer.max_fee_wei >= 11 * last.max_fee_wei
    assert 10 * offer.tip_wei >= 11 * last.tip_wei
    assert offer.tip_wei <= offer.max_fee_wei <= cap


@given(last=offers(), wanted=offers(), cap=WEI)
def test_a_bump_is_refused_only_where_the_cap_leaves_no_room_for_a_tenth(
    last: Offer, wanted: Offer, cap: int
) -> None:
    if bumped(last, wanted, cap) is None:
        assert 11 * max(last.max_fee_wei, last.tip_wei) > 10 * cap


@given(last=offers(), wanted=offers())
def test_a_bump_offers_what_is_wanted_now_where_that_is_more(last: Offer, wanted: Offer) -> None:
    offer = bumped(last, wanted, 10**30)
    assert offer is not None
    assert offer.max_fee_wei >= wanted.max_fee_wei
    assert offer.tip_wei >= min(wanted.tip_wei, offer.max_fee_wei)


@given(offer=offers(), cap=WEI)
def test_a_first_offer_is_cut_to_the_cap(offer: Offer, cap: int) -> None:
    cut = within(offer, cap)
    assert cut.tip_wei <= cut.max_fee_wei <= cap
    if offer.max_fee_wei <= cap:
        assert cut == offer


def test_the_cap_in_usd_counts_for_the_whole_order() -> None:
    cap = FeeCap(50 * 10**9, Decimal(25))
    # 25 USD at 2500 USD per coin are 0.01 coins, 10^16 wei, over a million units of gas.
    assert cap.for_gas(1_000_000, Decimal(2500)) == 10**10
    assert cap.for_gas(100_000, Decimal(2500)) == 50 * 10**9
