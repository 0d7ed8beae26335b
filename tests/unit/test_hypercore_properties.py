"""Whatever happens on the exchange behind the stand-in of HyperCore, cash and positions are neither made nor lost."""

from collections.abc import Callable
from decimal import Decimal

from hypercore_exchange import OTHER, TRADER, Exchange
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.localnet.hypercore import rules
from bot.localnet.hypercore.actions import CancelByOid, Tif, UsdClassTransfer
from bot.localnet.hypercore.model import ZERO, Fate

Step = Callable[[Exchange], Fate | None]

sizes = st.integers(-200_000, 200_000).filter(bool).map(lambda lots: Decimal(lots).scaleb(-4))
prices = st.integers(20_000, 40_000).map(lambda tenths: Decimal(tenths).scaleb(-1))
who = st.sampled_from([TRADER, OTHER])


def _order(account: str, size: Decimal, px: Decimal, tif: Tif, reduce_only: bool) -> Step:
    return lambda exchange: exchange.order(str(size), str(px), tif, who=account, reduce_only=reduce_only)


def _transfer(account: str, usd: int, to_perp: bool) -> Step:
    return lambda exchange: exchange.act(UsdClassTransfer(Decimal(usd), to_perp), account)


def _cancel(account: str, oid: int) -> Step:
    return lambda exchange: exchange.act(CancelByOid(1, oid), account)


def _price(px: Decimal, basis: int) -> Step:
    return lambda exchange: exchange.set_price(1, px, px + basis)


def _wait(seconds: int) -> Step:
    return lambda exchange: exchange.wait(seconds)


def _rate(millionths: int) -> Step:
    return lambda exchange: exchange.set_funding_rate(1, Decimal(millionths).scaleb(-6))


seldom = st.integers(0, 5).map(lambda drawn: drawn == 5)
orders = st.builds(_order, who, sizes, prices, st.sampled_from(Tif), seldom)
steps = st.one_of(
    orders,
    orders,
    st.builds(_transfer, who, st.integers(0, 150_000), st.booleans()),
    st.builds(_cancel, who, st.integers(1_000, 1_020)),
    st.builds(_price, prices, st.integers(-20, 20)),
    st.builds(_wait, st.integers(0, 8_000)),
    st.builds(_rate, st.integers(-500, 500)),
)


def _two_accounts(perp: int, unified: bool) -> Exchange:
    exchange = Exchange(perp=str(perp))
    exchange.register(OTHER, Decimal(perp), Decimal(perp), unified=unified)
    return exchange


def _total_cash(exchange: Exchange) -> Decimal:
    state = exchange.state
    accounts = sum((a.raw_usd + a.spot_usd for a in state.accounts.values()), ZERO)
    return accounts + state.maker.raw_usd + state.maker.fees_usd


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=8, max_size=25), st.sampled_from([500, 5_000, 200_000]), st.booleans())
def test_no_cash_and_no_position_is_made_or_lost(what: list[Step], perp: int, unified: bool) -> None:
    exchange = _two_accounts(perp, unified)
    for step in what:
        step(exchange)
        assert _total_cash(exchange) == exchange.state.deposited_usd
        held = sum((p.size for _, index, p in exchange.state.positions() if index == 1), ZERO)
        assert held + exchange.state.maker.sizes.get(1, ZERO) == 0
        assert all(account.spot_usd >= 0 for account in exchange.state.accounts.values())


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=8, max_size=25))
def test_fills_stay_within_the_orders_limit_and_size(what: list[Step]) -> None:
    exchange = _two_accounts(50_000, unified=False)
    for step in what:
        step(exchange)
    filled: dict[int, Decimal] = {}
    for fill in exchange.state.fills:
        order = exchange.state.orders[fill.oid]
        filled[fill.oid] = filled.get(fill.oid, ZERO) + fill.size
        if not fill.liquidation:
            assert fill.px <= order.limit_px if order.is_buy else fill.px >= order.limit_px
    for oid, order in exchange.state.orders.items():
        assert filled.get(oid, ZERO) + order.remaining == order.size
        assert order.remaining >= 0
        assert (order.status == "filled") is (order.remaining == 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=8, max_size=25))
def test_reduce_only_fills_never_increase_or_flip(what: list[Step]) -> None:
    exchange = _two_accounts(200_000, unified=False)
    for step in what:
        step(exchange)
    for fill in exchange.state.fills:
        if exchange.state.orders[fill.oid].reduce_only:
            end = fill.start_size + (fill.size if fill.is_buy else -fill.size)
            assert abs(end) < abs(fill.start_size)
            assert end * fill.start_size >= 0


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=8, max_size=20), steps)
def test_a_refused_action_changes_nothing_but_the_journal(what: list[Step], last: Step) -> None:
    exchange = _two_accounts(5_000, unified=False)
    for step in [*what, last]:
        before = exchange.everything()
        fate = step(exchange)
        if fate is not None and fate.refusal:
            assert exchange.everything() == before
            assert not fate.filled


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=8, max_size=25))
def test_nobody_is_left_below_maintenance(what: list[Step]) -> None:
    exchange = _two_accounts(2_000, unified=True)
    for step in what:
        step(exchange)
        state = exchange.state
        for account in state.accounts.values():
            needed = rules.maintenance_margin(account, state.markets, state.marks)
            assert not account.positions or rules.collateral(account, state.marks) >= needed


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=8, max_size=25))
def test_what_a_position_cost_is_what_its_fills_say(what: list[Step]) -> None:
    """Cash is what was deposited, less the fees, plus closed profits, funding and the cost of what is still held."""
    exchange = _two_accounts(200_000, unified=False)
    for step in what:
        if step.__qualname__.startswith("_transfer"):
            continue
        step(exchange)
    account, state = exchange.trader, exchange.state
    mine = [fill for fill in state.fills if fill.account == TRADER]
    if any(fill.liquidation for fill in mine):
        return
    cash = sum((fill.closed_pnl - fill.fee_usd for fill in mine), Decimal(200_000))
    cash += sum((p.usd for p in state.payments if p.account == TRADER), ZERO)
    held = account.positions.get(1)
    cost = ZERO if held is None else held.entry_ntl * (1 if held.size > 0 else -1)
    assert account.raw_usd == cash - cost


@settings(max_examples=200)
@given(st.decimals("0.01", "999999", allow_nan=False, places=2), st.booleans())
def test_a_rounded_price_is_the_nearest_allowed_one_on_its_side(px: Decimal, up: bool) -> None:
    market = Exchange().state.markets[1]
    rounded = rules.round_price(market, px, up=up)
    assert rules.on_tick(market, rounded)
    assert (rounded >= px) if up else (rounded <= px)
    assert abs(rounded - px) < rules.tick(market, px)
