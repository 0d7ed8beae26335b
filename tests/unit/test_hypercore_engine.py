"""The exchange behind the stand-in of HyperCore keeps the documented rules, one by one."""

from decimal import Decimal
from itertools import pairwise

import pytest
from hypercore_exchange import MARKET, OTHER, START_S, STRANGER, TRADER, Exchange

from bot.errors import VaultkeelError
from bot.localnet.hypercore import rules
from bot.localnet.hypercore.actions import (
    AddApiWallet,
    CancelByCloid,
    CancelByOid,
    Malformed,
    NotDone,
    Tif,
    UsdClassTransfer,
    decode_action,
)
from bot.localnet.hypercore.engine import Engine
from bot.localnet.hypercore.model import BTC, ETH, Fate, Market

HOUR_S = 3_600
TAKER_FEE = Decimal("0.00045")


def refused(fate: Fate, status: str) -> bool:
    """Whether an order was refused with the info API's word."""
    return bool(fate.refusal) and fate.status == status and not fate.filled


def test_an_immediate_order_fills_from_the_best_level_on_and_pays_the_takers_fee() -> None:
    exchange = Exchange()
    fate = exchange.order("12", "3030", cloid=7)
    assert (fate.refusal, fate.status, fate.filled) == ("", "filled", Decimal(12))
    assert [(f.px, f.size) for f in exchange.state.fills] == [(3003, 10), (3030, 2)]
    paid = Decimal(10 * 3003 + 2 * 3030)
    assert fate.average_px == (paid / 12).quantize(Decimal("0.000001"), rounding="ROUND_DOWN")
    assert fate.fee_usd == rules.round_usd(30030 * TAKER_FEE, up=True) + rules.round_usd(
        6060 * TAKER_FEE, up=True
    )
    assert exchange.trader.raw_usd == 100_000 - paid - fate.fee_usd
    assert exchange.trader.positions[1].entry_ntl == paid


def test_an_immediate_order_takes_only_what_there_is_within_its_limit() -> None:
    exchange = Exchange()
    fate = exchange.order("-25", "2997")
    assert (fate.filled, fate.status, fate.average_px) == (Decimal(-10), "canceled", Decimal(2997))
    assert exchange.held() == -10
    assert not exchange.state.resting


def test_an_immediate_order_that_meets_nothing_is_refused() -> None:
    assert refused(Exchange().order("1", "3002"), "iocCancelRejected")


def test_what_was_taken_comes_back_with_time() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    assert refused(exchange.order("1", "3003"), "iocCancelRejected")
    exchange.wait(30)
    assert exchange.order("10", "3003").filled == 5
    exchange.wait(600)
    assert exchange.order("-20", "2997").filled == -10, "the other side was never taken"


def test_a_good_till_cancelled_order_rests_with_what_does_not_cross() -> None:
    exchange = Exchange()
    fate = exchange.order("12", "3003", Tif.GTC)
    assert (fate.filled, fate.status) == (Decimal(10), "open")
    assert [o.remaining for o in exchange.state.resting.values()] == [2]
    exchange.wait(6)
    assert exchange.held() == 11, "a tenth of the level came back"
    exchange.wait(60)
    assert exchange.held() == 12
    assert not exchange.state.resting
    assert exchange.state.orders[fate.oid].status == "filled"
    assert [f.crossed for f in exchange.state.fills] == [True, False, False]


def test_a_resting_order_fills_at_its_own_price_for_the_makers_fee_when_the_book_comes_to_it() -> None:
    exchange = Exchange()
    fate = exchange.order("4", "2900", Tif.ALO)
    assert fate.status == "open"
    assert exchange.held() == 0
    exchange.set_price(1, Decimal(2850))
    (fill,) = exchange.state.fills
    assert (fill.px, fill.size, fill.crossed) == (2900, 4, False)
    assert fill.fee_usd == rules.round_usd(Decimal(11_600) * MARKET.maker_fee, up=True)
    assert exchange.order("10", "2853").filled == 6, "what it met is no longer in the book"


def test_an_order_that_only_adds_liquidity_is_refused_where_it_would_match() -> None:
    exchange = Exchange()
    assert refused(exchange.order("1", "3003", Tif.ALO), "badAloPxRejected")
    assert exchange.order("1", "3002", Tif.ALO).status == "open"


@pytest.mark.parametrize(
    ("size", "start", "ok"),
    [
        ("-3", "5", True),
        ("-5", "5", True),
        ("-6", "5", False),
        ("1", "5", False),
        ("5", "-5", True),
        ("1", "", False),
    ],
)
def test_a_reduce_only_order_never_increases_or_flips(size: str, start: str, ok: bool) -> None:
    exchange = Exchange()
    if start:
        exchange.order(start, "3030" if start > "0" else "2970")
    before = exchange.held()
    fate = exchange.order(size, "2900" if size.startswith("-") else "3100", reduce_only=True)
    assert bool(fate.filled) is ok
    assert refused(fate, "reduceOnlyRejected") is not ok
    assert exchange.held() == before + fate.filled


def test_a_resting_reduce_only_order_shrinks_to_the_position_and_goes_with_it() -> None:
    exchange = Exchange()
    exchange.order("5", "3003")
    oid = exchange.order("-5", "3050", Tif.GTC, reduce_only=True).oid
    exchange.order("-3", "2997")
    exchange.set_price(1, Decimal(3100))
    assert exchange.held() == 0
    exchange.wait(1)
    assert exchange.state.orders[oid].status == "reduceOnlyCanceled"


@pytest.mark.parametrize(
    ("px", "ok"),
    [
        ("3003.5", True),
        ("3003.55", False),
        ("30035", True),
        ("123457", True),
        ("123457.5", False),
        ("3003.50000000", True),
        ("310.05", True),
        ("310.055", False),
        ("0", False),
    ],
)
def test_a_price_has_five_figures_and_the_markets_decimals_or_is_whole(px: str, ok: bool) -> None:
    assert refused(Exchange(perp="100000000").order("1", px, Tif.GTC), "tickRejected") is not ok


def test_decimals_are_limited_by_the_markets_lot() -> None:
    market = Market(index=0, coin="X", sz_decimals=5, max_leverage=10, margin_table=1)
    assert rules.on_tick(market, Decimal("0.1"))
    assert not rules.on_tick(market, Decimal("0.12"))
    assert rules.on_tick(ETH, Decimal("0.12"))
    assert not rules.on_tick(ETH, Decimal("0.123"))


@pytest.mark.parametrize("size", ["0", "0.00001", "1.00005"])
def test_a_size_is_whole_lots_or_there_is_no_order(size: str) -> None:
    fate = Exchange().order(size, "3003")
    assert fate.refusal.startswith(f"size {size} is not a positive multiple of 0.0001")
    assert fate.oid == 0, "the info API does not know it"


def test_an_order_below_ten_dollars_is_refused_unless_it_closes_all() -> None:
    exchange = Exchange()
    assert refused(exchange.order("0.0033", "3003"), "minTradeNtlRejected")
    exchange.order("0.0043", "3003")
    assert refused(exchange.order("-0.0033", "2997", reduce_only=True), "minTradeNtlRejected")
    exchange.order("-0.0041", "2997", reduce_only=True)
    assert exchange.held() == Decimal("0.0002")
    assert exchange.order("-0.0002", "2997", reduce_only=True).filled == Decimal("-0.0002")


def test_an_order_needs_the_initial_margin_at_the_accounts_leverage() -> None:
    # 1,500 USD for 30,000 at 20 times, 30 for the price above the mark, 13.5135 for the fee.
    exchange = Exchange(perp="1543.5135")
    assert exchange.order("10", "3003").filled == 10
    exchange = Exchange(perp="1543.5134")
    assert refused(exchange.order("10", "3003"), "perpMarginRejected")
    exchange = Exchange(perp="1543.5135", leverage={1: 10})
    assert refused(exchange.order("10", "3003"), "perpMarginRejected")


def test_a_reduction_needs_no_margin() -> None:
    exchange = Exchange(perp="1550")
    exchange.order("10", "3003")
    exchange.set_price(1, Decimal(2950))
    assert exchange.order("-5", "2900").filled == -5


def test_a_resting_order_without_margin_is_cancelled_when_it_is_met() -> None:
    exchange = Exchange(perp="2000")
    oid = exchange.order("10", "2900", Tif.GTC).oid
    exchange.act(UsdClassTransfer(Decimal(1_900), to_perp=False))
    exchange.set_price(1, Decimal(2850))
    assert exchange.state.orders[oid].status == "marginCanceled"
    assert exchange.held() == 0


def test_orders_are_cancelled_by_number_or_by_cloid_and_by_their_owner_alone() -> None:
    exchange = Exchange()
    exchange.register(OTHER, Decimal(100_000))
    first = exchange.order("1", "2900", Tif.GTC, cloid=5)
    second = exchange.order("1", "2901", Tif.GTC)
    assert exchange.act(CancelByOid(1, first.oid), OTHER).refusal
    assert exchange.act(CancelByOid(0, first.oid)).refusal, "of another market"
    assert exchange.act(CancelByCloid(1, 0)).refusal, "0 is no cloid"
    assert exchange.act(CancelByCloid(1, 5)).oid == first.oid
    assert exchange.act(CancelByOid(1, second.oid)).status == "canceled"
    assert exchange.act(CancelByOid(1, second.oid)).refusal == "no such order rests"
    assert not exchange.state.resting


def test_usdc_moves_between_spot_and_perp() -> None:
    exchange = Exchange()
    exchange.act(UsdClassTransfer(Decimal("49999.999999"), to_perp=True))
    assert (exchange.trader.raw_usd, exchange.trader.spot_usd) == (
        Decimal("149999.999999"),
        Decimal("0.000001"),
    )
    assert exchange.act(UsdClassTransfer(Decimal(1), to_perp=True)).refusal
    assert exchange.act(UsdClassTransfer(Decimal(0), to_perp=True)).refusal


def test_a_tenth_of_the_notional_stays_when_margin_is_taken_out() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    free = rules.withdrawable(exchange.trader, exchange.state.markets, exchange.state.marks)
    value = rules.perp_value(exchange.trader, exchange.state.marks)
    assert free == value - 3_000, "more than 30,000 USD at 20 times"
    assert exchange.act(UsdClassTransfer(free + 1, to_perp=False)).refusal
    assert not exchange.act(UsdClassTransfer(free, to_perp=False)).refusal


def test_an_api_wallet_is_recorded_and_still_has_no_account() -> None:
    exchange = Exchange()
    exchange.act(AddApiWallet(STRANGER.upper().replace("X", "x"), "bot"))
    assert exchange.trader.api_wallets == {STRANGER: "bot"}
    assert "does not exist" in exchange.order("1", "3003", who=STRANGER).refusal


def test_a_transaction_with_value_voids_its_action() -> None:
    exchange = Exchange()
    fate = exchange.order("1", "3003", value_wei=1)
    assert fate.refusal == "its transaction carried 1 wei"
    assert fate.oid == 0


def test_longs_pay_funding_on_the_hour_at_the_oracle_price() -> None:
    exchange = Exchange()
    exchange.order("10", "3003")
    exchange.set_price(1, Decimal(3000), Decimal(3010))
    exchange.set_funding_rate(1, Decimal("0.0001"))
    before = exchange.trader.raw_usd
    exchange.wait(HOUR_S - 1)
    assert exchange.trader.raw_usd == before
    exchange.wait(1)
    assert exchange.trader.raw_usd == before - 3, "10 ETH × 3000 USD × 0.0001"
    exchange.wait(3 * HOUR_S)
    assert exchange.trader.raw_usd == before - 12
    assert [p.time_s for p in exchange.state.payments] == [START_S + h * HOUR_S for h in (1, 2, 3, 4)]
    exchange.order("-20", "2970")
    exchange.wait(HOUR_S)
    assert exchange.state.payments[-1].usd == 3, "a short is paid"


def test_an_account_below_maintenance_is_liquidated_and_its_orders_go() -> None:
    exchange = Exchange(perp="2000")
    exchange.order("10", "3003")
    oid = exchange.order("1", "2500", Tif.GTC).oid
    # 2,000 USD less 30 and the fee; a fiftieth of the notional must stay, 572 USD at 2860.
    exchange.set_price(1, Decimal(2865))
    assert exchange.held() == 10
    exchange.set_price(1, Decimal(2860))
    assert exchange.held() == 0
    assert exchange.state.orders[oid].status == "liquidatedCanceled"
    assert exchange.state.fills[-1].liquidation
    assert exchange.trader.raw_usd > 0


def test_a_bankrupt_account_ends_at_nothing_and_the_maker_bears_the_rest() -> None:
    exchange = Exchange(perp="2000")
    exchange.order("10", "3003")
    exchange.set_price(1, Decimal(2000))
    assert exchange.held() == 0
    assert exchange.trader.raw_usd == 0
    assert exchange.trader.spot_usd == 50_000, "spot is another account"


def test_in_a_unified_account_spot_backs_the_perp_and_its_figures_omit_it() -> None:
    exchange = Exchange(perp="0", unified=True)
    assert exchange.order("10", "3003").filled == 10
    marks = exchange.state.marks
    assert rules.perp_value(exchange.trader, marks) < 0
    assert rules.withdrawable(exchange.trader, exchange.state.markets, marks) == 0
    assert rules.collateral(exchange.trader, marks) > 49_000
    assert exchange.act(UsdClassTransfer(Decimal(1), to_perp=True)).refusal
    exchange.set_price(1, Decimal(1000))
    assert exchange.held() == 10, "20,000 USD lost, 30,000 left"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "too short"),
        ("02000001", "encoding version 2"),
        ("01000063", "action 99 does not exist"),
        ("01000001" + "00" * 32, "can't be decoded"),
        ("0100000a" + "ff" * 64, "can't be decoded"),
        ("01000001" + "".join(f"{v:064x}" for v in (1, 1, 1, 1, 0, 4, 0)), "time in force 4"),
    ],
)
def test_bytes_that_are_no_action_do_nothing(data: str, why: str) -> None:
    action = decode_action(bytes.fromhex(data))
    assert isinstance(action, Malformed)
    exchange = Exchange()
    before = exchange.everything()
    assert why in exchange.act(action).refusal
    assert exchange.everything() == before


def test_spot_sends_are_ignored_by_name() -> None:
    action = decode_action(bytes.fromhex("01000006") + bytes(96))
    assert action == NotDone("spotSend")
    assert Exchange().act(action).refusal == "the stand-in does no spotSend"


def test_every_fate_is_in_the_journal() -> None:
    exchange = Exchange()
    fates = [exchange.order("1", "3003"), exchange.order("1", "9"), exchange.order("1", "3003", asset=9)]
    assert exchange.state.journal == fates
    assert [bool(fate.refusal) for fate in fates] == [False, True, True]


def test_levels_are_prices_that_an_order_may_have_and_never_better_than_the_mark() -> None:
    engine = Engine(START_S, {BTC: Decimal(60_000), ETH: Decimal("2987.37")})
    book = engine.state.books[1]
    asks = [book.price(level, is_ask=True) for level in range(len(ETH.levels))]
    bids = [book.price(level, is_ask=False) for level in range(len(ETH.levels))]
    assert all(rules.on_tick(ETH, px) for px in asks + bids)
    assert bids[0] <= book.mark <= asks[0]
    assert all(low <= high for low, high in pairwise(asks))
    assert all(high >= low for high, low in pairwise(bids))


def test_time_goes_forward_and_an_account_opens_once() -> None:
    exchange = Exchange()
    with pytest.raises(VaultkeelError, match="can't go back"):
        exchange.wait(-1)
    with pytest.raises(VaultkeelError, match="exists on the stand-in"):
        exchange.register(TRADER.upper().replace("X", "x"))
    with pytest.raises(VaultkeelError, match="numbered from 0"):
        Engine(START_S, {ETH: Decimal(1)})
