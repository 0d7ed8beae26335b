"""The GMX adapter by hand on the stand-in: what it reads is what the contracts then do, to the cent and to the wei."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from support import LOT, contract

from bot.chain.client import Client
from bot.chain.reads import drive
from bot.core.costs import Costs
from bot.core.margin import margin_of
from bot.core.model import Intent, IntentKind, Outcome, OutcomeState
from bot.core.orders import PRICE_STEP, Order, price_bound
from bot.errors import OrderRejected
from bot.localnet.gmx.deploy import FEED, ONE, USDC, GmxDeployment, deploy_gmx, gmx_contract, key
from bot.localnet.gmx.keeper import Keeper
from bot.localnet.node import Reverted, RpcError
from bot.localnet.world import START_PRICE, World
from bot.ports import OutsideChange, Reader, TxCall
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxAddresses, GmxMarket, GmxRules, GmxState, PriceSource

CALL_GAS = 100_000_000
CAP = 10 * 10**9
CENT = Decimal("0.01")
YEAR_S = 365 * 86_400
WALLET = 1_000_000
SLIPPAGE = Decimal("0.05")


@dataclass
class Hand:
    """An account that reads, orders and follows up through the adapter, and a keeper that does as it is told."""

    world: World
    gmx: GmxDeployment
    keeper: Keeper
    venue: GmxVenue
    since: int

    def contract(self, field: str) -> Any:
        return gmx_contract(self.world.node, self.gmx, field)

    def fund(self) -> None:
        """A million USDC that the router may take."""
        usdc = self.contract("short_token")
        usdc.send("mint", self.venue.account, WALLET * USDC, sender=self.world.accounts.owner)
        usdc.send("approve", self.gmx.router, WALLET * USDC, sender=self.venue.account)

    def ask(self, reader: Reader[Any]) -> Any:
        """What a reader returns at the head."""
        client = Client.of_one("localnet", self.world.url)
        (told,) = drive(
            client, contract("multicall3", self.world.multicall), client.head(), [reader], CALL_GAS
        )
        return told

    def state(self) -> GmxState:
        told = self.ask(self.venue.read())
        assert isinstance(told, GmxState)
        return told

    def intent(
        self, size: Decimal, state: GmxState, kind: IntentKind = IntentKind.TRADE, **changes: Any
    ) -> Intent:
        bound = Decimal(0)
        if kind is IntentKind.TRADE:
            bound = price_bound(costs_of(state), size, SLIPPAGE)
        meant = Intent(
            "by-hand", "eth", self.venue.account, self.gmx.market, kind, size, bound, 2**40, state.mark
        )
        return replace(meant, **changes)

    def send(self, call: TxCall) -> Any:
        receipt = self.world.node.send(call.to, call.data, self.venue.account, value=call.value)
        found = Client.of_one("localnet", self.world.url).receipt(receipt.transaction_hash)
        assert found is not None
        return found[0]

    def place(self, size: str, state: GmxState | None = None, **changes: Any) -> "Waiting":
        """An order for a size, with the collateral that it should bring allowed."""
        state = state or self.state()
        meant = self.intent(Decimal(size), state, **changes)
        call = self.venue.prepare(meant, state)
        assert self.venue.decode(call, state) == Order(meant.size, meant.price_bound, None)
        return Waiting(self, meant, self.send(call))

    def trade(self, size: str) -> Outcome:
        """An order that the keeper executes at once."""
        waiting = self.place(size)
        self.keeper.execute(self.keeper.pending()[0])
        return waiting.outcome()

    def outside(self, known: frozenset[str] = frozenset()) -> list[tuple[Decimal, str]]:
        told: tuple[OutsideChange, ...] = self.ask(self.venue.outside_changes(self.since, 0, known))
        return [(change.size, change.reason) for change in told]

    def set_price(self, price: str) -> None:
        self.contract("index_feed").send(
            "setAnswer", int(Decimal(price) * FEED), sender=self.world.accounts.owner
        )

    def wait(self, seconds: int) -> None:
        node = self.world.node
        node.set_next_timestamp(node.timestamp() + seconds)
        node.mine()


@dataclass
class Waiting:
    """A placed order."""

    hand: Hand
    meant: Intent
    receipt: Any

    def outcome(self) -> Outcome:
        told = self.hand.ask(self.hand.venue.outcome(self.meant, self.receipt, self.hand.state()))
        assert isinstance(told, Outcome)
        return told


def costs_of(state: GmxState) -> Costs:
    return Costs(state.mark, state.fee_ratio, state.curve, Decimal(0), state.lot, state.half_spread)


def venue_of(world: World, gmx: GmxDeployment, who: str) -> GmxVenue:
    """The adapter on the stand-in."""
    index, short = PriceSource(gmx.index_feed, YEAR_S), PriceSource(gmx.short_feed, YEAR_S)
    return GmxVenue(
        "gmx-eth",
        "localnet",
        who,
        GmxAddresses(**{field: getattr(gmx, field) for field in GmxAddresses.__slots__}),
        GmxMarket(
            gmx.index_token, 18, gmx.long_token, gmx.short_token, gmx.short_token, 6, index, index, short
        ),
        LOT,
        GmxRules(leverage=Decimal(3), max_fee_wei=CAP),
        world.multicall,
    )


@pytest.fixture
def hand(fresh: World) -> Hand:
    """A market at the world's price, and an account with a million USDC that the router may take."""
    accounts = fresh.accounts
    gmx = deploy_gmx(fresh.node, START_PRICE, owner=accounts.owner, keeper=accounts.keeper)
    keeper = Keeper(fresh.node, gmx, accounts.keeper, seed=1)
    made = Hand(fresh, gmx, keeper, venue_of(fresh, gmx, accounts.hedger), fresh.node.block_number())
    made.fund()
    return made


@pytest.mark.parametrize("held", ["0", "20", "-20"])
def test_every_point_of_the_cost_curve_is_what_an_order_of_that_size_then_does(hand: Hand, held: str) -> None:
    if held != "0":
        hand.trade(held)
    state = hand.state()
    assert {p.size > 0 for p in state.curve} == {True, False}
    tried = [p for p in state.curve if abs(p.size) * state.mark < 2 * WALLET]
    assert len(tried) >= 4
    for point in tried:
        snapshot = hand.world.node.snapshot()
        told = hand.trade(f"{point.size}")
        assert told.state is OutcomeState.FILLED, told.reason
        assert told.fill is not None
        assert told.fill.size == pytest.approx(point.size, rel=Decimal("1E-15"))
        assert told.fill.notional / abs(told.fill.size) == pytest.approx(point.price, rel=Decimal("1E-9"))
        assert told.fill.fee_usd <= told.fill.notional * state.fee_ratio * Decimal("1.001")
        hand.world.node.revert(snapshot)


@pytest.mark.parametrize("size", ["10", "-10"])
def test_a_position_its_margin_and_its_liquidation_are_the_protocols(hand: Hand, size: str) -> None:
    hand.trade(size)
    state, side = hand.state(), Decimal(size) / 10
    assert state.position.size == pytest.approx(Decimal(size), rel=Decimal("1E-15"))
    assert state.margin.collateral == pytest.approx(10 * state.mark / 3, rel=Decimal("0.001"))
    assert state.margin.maintenance > 0
    assert abs(state.margin.account_value - state.margin.exit_value) < state.mark / 50
    told = margin_of(state)
    assert told.liquidation_price is not None
    risk, who, token = hand.keeper, hand.venue.account, hand.gmx.short_token
    # The check takes the cost of closing into account, which moves with the price: half a percent either way.
    hand.set_price(f"{(told.liquidation_price * (1 + side * Decimal('0.005'))).quantize(CENT)}")
    with pytest.raises(Reverted):
        risk.liquidate(who, token, side > 0)
    assert not margin_of(hand.state()).is_liquidatable
    hand.set_price(f"{(told.liquidation_price * (1 - side * Decimal('0.005'))).quantize(CENT)}")
    assert margin_of(hand.state()).is_liquidatable
    risk.liquidate(who, token, side > 0)
    flat = hand.state()
    assert (flat.position.size, flat.margin.account_value) == (0, 0)
    ours, liquidated = hand.outside()
    assert ours[1] == ""
    assert (round(liquidated[0]), liquidated[1]) == (-Decimal(size), "liquidation")


@pytest.mark.parametrize("size", ["10", "-10"])
def test_what_closing_now_would_leave_is_what_closing_brings_to_the_wallet(hand: Hand, size: str) -> None:
    hand.trade(size)
    hand.set_price("2050")
    hand.wait(86_400)
    state = hand.state()
    before = state.wallet
    told = hand.trade(f"{-state.position.size}")
    assert told.state is OutcomeState.FILLED
    after = hand.state()
    assert after.position.size == 0
    assert before is not None
    assert after.wallet is not None
    owed = after.collateral.claimable_usd if after.collateral is not None else Decimal(0)
    assert after.wallet + owed - before == pytest.approx(state.margin.exit_value, abs=Decimal(1))


def test_funding_is_read_with_its_sign_and_claimed(hand: Hand) -> None:
    """A stranger's long is twice ours: longs pay, so we are paid for being short, and claim it."""
    hand.trade("-30")
    stranger(hand).trade("60")
    state = hand.state()
    hourly = state.funding_per_hour
    rates = hand.contract("reader").read("getMarketInfo", hand.gmx.data_store, prices(state), hand.gmx.market)
    funding = Decimal(rates["nextFunding"]["fundingFactorPerSecond"]) / ONE
    borrowing = Decimal(rates["borrowingFactorPerSecondForShorts"]) / ONE
    assert rates["nextFunding"]["longsPayShorts"]
    assert hourly == pytest.approx((2 * funding - borrowing) * 3_600, rel=Decimal("1E-3"))
    hand.wait(YEAR_S // 20)
    later = hand.state()
    notional = abs(state.position.size) * state.mark
    assert later.pending_funding == pytest.approx(
        -hourly * notional * YEAR_S / 20 / 3_600, rel=Decimal("0.01")
    )
    hand.trade("1")
    owed = hand.state()
    assert owed.collateral is not None
    assert owed.collateral.claimable_usd > 0
    claim = hand.intent(owed.collateral.claimable_usd, owed, IntentKind.CLAIM)
    mined = hand.send(hand.venue.prepare(claim, owed))
    assert hand.ask(hand.venue.outcome(claim, mined, owed)).state is OutcomeState.FILLED
    done = hand.state()
    assert done.collateral is not None
    assert done.collateral.claimable_usd == 0
    assert done.wallet is not None
    assert owed.wallet is not None
    assert done.wallet > owed.wallet


def test_impact_that_is_fixed_is_delta_and_paid_with_the_close(hand: Hand) -> None:
    hand.trade("60")
    state = hand.state()
    stored = hand.contract("reader").read(
        "getAccountPositions", hand.gmx.data_store, hand.venue.account, 0, 9
    )
    impact = Decimal(stored[0]["numbers"]["pendingImpactAmount"]) / 10**18
    assert impact < 0
    assert state.margin_delta == impact
    assert state.margin.mark_value < state.margin.collateral + CENT


def test_a_flip_takes_two_orders(hand: Hand) -> None:
    hand.trade("3")
    held = hand.state()
    with pytest.raises(OrderRejected, match="a flip takes two orders"):
        hand.venue.prepare(replace(hand.intent(Decimal(-3), held), size=Decimal(-5)), held)
    assert hand.trade(f"{-held.position.size}").state is OutcomeState.FILLED
    assert hand.trade("-2").state is OutcomeState.FILLED
    short = hand.state()
    assert (short.long, short.position.size) == (None, pytest.approx(-2))
    assert short.max_buy == -short.position.size


def test_two_orders_of_a_flat_account_can_open_both_sides_which_then_close_one_by_one(hand: Hand) -> None:
    flat = hand.state()
    for size in ("3", "-2"):
        hand.place(size, flat)
    for order_key in hand.keeper.pending():
        hand.keeper.execute(order_key)
    both = hand.state()
    assert (both.position.size, both.max_sell, both.max_buy) == (
        pytest.approx(1),
        pytest.approx(3),
        pytest.approx(2),
    )
    assert margin_of(both).requirement >= both.margin.maintenance
    sold = hand.trade(f"{-both.max_sell}")
    assert sold.fill is not None
    assert sold.fill.size == -both.max_sell
    short = hand.state()
    assert (short.long, short.position.size) == (None, -both.max_buy)


@pytest.mark.parametrize("kind", [IntentKind.ADD_MARGIN, IntentKind.WITHDRAW_MARGIN])
@pytest.mark.parametrize("size", ["10", "-10"])
def test_margin_is_moved_by_an_order_of_no_size(hand: Hand, kind: IntentKind, size: str) -> None:
    hand.trade(size)
    before = hand.state()
    moves = hand.intent(Decimal(500), before, kind, price_bound=Decimal(0))
    waiting = Waiting(hand, moves, hand.send(hand.venue.prepare(moves, before)))
    assert waiting.outcome().state is OutcomeState.PENDING
    hand.keeper.execute(hand.keeper.pending()[0])
    told = waiting.outcome()
    assert (told.state, told.fill) == (OutcomeState.FILLED, None)
    after = hand.state()
    moved = 500 if kind is IntentKind.ADD_MARGIN else -500
    assert after.margin.collateral - before.margin.collateral == pytest.approx(moved, abs=CENT)
    assert after.wallet is not None
    assert before.wallet is not None
    assert after.wallet - before.wallet == -moved
    assert after.position == before.position


class TestFee:
    """Held by the protocol against the gas price of the very transaction, so a bumped attempt needs more."""

    @pytest.mark.parametrize(("held", "size"), [("0", "5"), ("0", "-5"), ("5", "-2"), ("-5", "2")])
    def test_it_is_enough_for_every_attempt_up_to_the_cap(self, hand: Hand, held: str, size: str) -> None:
        call = self.order(hand, held, size)
        for gas_price in (CAP // 100, CAP // 2, CAP):
            assert self.refusal(hand, call, gas_price) == ""

    def test_for_the_kind_that_takes_most_it_is_not_a_wei_too_much(self, hand: Hand) -> None:
        call = self.order(hand, "5", "-2")
        assert "InsufficientExecutionFee: the fee for the executor is too low" in self.refusal(
            hand, call, CAP + 1
        )

    def order(self, hand: Hand, held: str, size: str) -> TxCall:
        if held != "0":
            hand.trade(held)
        state = hand.state()
        call = hand.venue.prepare(hand.intent(Decimal(size), state), state)
        assert call.value == state.keeper_gas * CAP
        return call

    def refusal(self, hand: Hand, call: TxCall, gas_price: int) -> str:
        """Why the protocol would not take the order at a gas price, "" where it would."""
        node = hand.world.node
        node.rpc("anvil_setBalance", hand.venue.account, hex(10**21))
        asked = {"from": hand.venue.account, "to": call.to, "data": "0x" + call.data.hex()}
        try:
            node.rpc("eth_call", {**asked, "value": hex(call.value), "gasPrice": hex(gas_price)}, "latest")
        except RpcError as error:
            return hand.venue.explain(error.data)
        return ""


def test_a_cancel_after_the_expiry_returns_the_collateral_and_is_told_of_both_orders(hand: Hand) -> None:
    before = hand.state()
    waiting = hand.place("5", before)
    told = waiting.outcome()
    assert (told.state, told.cancellable) == (OutcomeState.PENDING, False)
    (pending,) = hand.state().orders
    assert pending.id == told.order_id
    hand.wait(301)
    told = waiting.outcome()
    assert told.cancellable
    asked = hand.intent(Decimal(0), before, IntentKind.CANCEL, order_id=told.order_id, price_bound=Decimal(0))
    mined = hand.send(hand.venue.prepare(asked, before))
    assert hand.ask(hand.venue.outcome(asked, mined, before)).state is OutcomeState.FILLED
    ended = waiting.outcome()
    assert (ended.state, ended.keeper_wei) == (OutcomeState.DEAD, 0)
    assert "the account itself cancelled it" in ended.reason
    assert hand.state().wallet == before.wallet


def test_an_early_cancel_is_refused_in_words(hand: Hand) -> None:
    state = hand.state()
    told = hand.place("5", state).outcome()
    asked = hand.intent(Decimal(0), state, IntentKind.CANCEL, order_id=told.order_id, price_bound=Decimal(0))
    with pytest.raises(Reverted, match="RequestNotYetCancellable"):
        hand.send(hand.venue.prepare(asked, state))


class TestReasons:
    def cancelled(self, hand: Hand, waiting: Waiting) -> str:
        hand.keeper.execute(hand.keeper.pending()[0])
        told = waiting.outcome()
        assert (told.state, told.fill) == (OutcomeState.DEAD, None)
        assert told.settled is not None
        assert told.keeper_wei > 0
        return told.reason

    @pytest.mark.parametrize(("size", "price"), [("5", "2200"), ("-5", "1800")])
    def test_a_price_beyond_the_bound(self, hand: Hand, size: str, price: str) -> None:
        waiting = hand.place(size)
        hand.set_price(price)
        assert "the price moved past the order's bound" in self.cancelled(hand, waiting)

    def test_a_full_market(self, hand: Hand) -> None:
        waiting = hand.place("5")
        name = key("MAX_OPEN_INTEREST", ("address", hand.gmx.market), ("bool", True))
        hand.contract("data_store").send("setUint", name, ONE, sender=hand.world.accounts.owner)
        assert "open interest is full" in self.cancelled(hand, waiting)

    def test_a_position_that_is_gone(self, hand: Hand) -> None:
        hand.trade("5")
        state = hand.state()
        closing = f"{-state.position.size}"
        first = hand.place(closing, state)
        second = Waiting(hand, first.meant, hand.send(hand.venue.prepare(first.meant, state)))
        hand.keeper.execute(hand.keeper.pending()[0])
        assert first.outcome().state is OutcomeState.FILLED
        assert "EmptyPosition" in self.cancelled(hand, second)


def test_a_bound_is_never_worse_than_decided(hand: Hand) -> None:
    """A fill's price with its fee, held against the bound that was decided."""
    for size in ("7", "-3"):
        state = hand.state()
        bound = price_bound(costs_of(state), Decimal(size), Decimal("0.0001"))
        waiting = hand.place(size, state, price_bound=bound.quantize(PRICE_STEP))
        hand.keeper.execute(hand.keeper.pending()[0])
        told = waiting.outcome()
        assert told.fill is not None, told.reason
        side = 1 if Decimal(size) > 0 else -1
        paid = (told.fill.notional + side * told.fill.fee_usd) / abs(told.fill.size)
        assert side * paid <= side * bound


def prices(state: GmxState) -> tuple[tuple[int, int], ...]:
    """What the Reader is told."""
    index = int(state.mark * 10**12)
    return (index, index), (index, index), (10**24, 10**24)


def stranger(hand: Hand) -> Hand:
    """Another trader on the same market, with as much money."""
    made = replace(hand, venue=venue_of(hand.world, hand.gmx, hand.world.accounts.owner))
    made.fund()
    return made
