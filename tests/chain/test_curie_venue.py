"""The perp venue as its adapter reads it and trades on it, against the protocol itself on a real chain."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from support import LOT, curie_venue, events_of, hedger_nonce, opened, read_venue, trades_of, write_config

from bot.chain.client import Client, RevertError
from bot.core.model import Fill, Intent, IntentKind, Outcome, OutcomeState, VenueState
from bot.errors import OrderRejected
from bot.localnet.curie import deposit_usdc, sqrt_price_x96
from bot.localnet.lyra_parameters import HOUR
from bot.localnet.market import Market
from bot.localnet.world import START_PRICE, World
from bot.ports import TxCall
from bot.venues.curie import CurieVenue

ZERO = Decimal(0)
NEVER = 2**40
RICH_USD = 5_000_000
LOOSE = Decimal("0.3")
"""How far beyond the mark an order's bound is where the bound is not what is tested."""
STEP = Decimal("0.000001")
EXACT = Decimal("1E-9")
CENT_OF_A_CENT = Decimal("0.000001")


@dataclass
class Desk:
    """The hedger's account by hand: reads through the venue, sends what the venue prepares."""

    world: World
    venue: CurieVenue
    client: Client

    def state(self) -> VenueState:
        return read_venue(self.world)

    def intent(
        self, size: Decimal, state: VenueState, *, bound: Decimal | None = None, deadline: int = NEVER
    ) -> Intent:
        loose = state.mark * (1 + (LOOSE if size > 0 else -LOOSE))
        return Intent(
            key="by-hand",
            book="eth",
            account=self.venue.account,
            market=state.position.market,
            kind=IntentKind.TRADE,
            size=size,
            price_bound=(bound or loose).quantize(STEP),
            deadline=deadline,
            reference_price=state.mark,
        )

    def trade(self, size: Decimal | str, state: VenueState | None = None) -> Outcome:
        """Prepares and mines an order, and asks the venue what became of it."""
        state = state or self.state()
        intent = self.intent(Decimal(size), state)
        return self.send(intent, self.venue.prepare(intent, state))

    def send(self, intent: Intent, call: TxCall) -> Outcome:
        mined = self.world.node.send(call.to, call.data, self.venue.account)
        found = self.client.receipt(mined.transaction_hash)
        assert found is not None
        with pytest.raises(StopIteration) as stop:  # this venue's outcome is in its receipt: nothing is asked
            next(self.venue.outcome(intent, found[0], self.state()))
        assert isinstance(stop.value.value, Outcome)
        return stop.value.value

    def preflight(self, intent: Intent, state: VenueState) -> Fill:
        call = self.venue.prepare(intent, state)
        return self.venue.expected(intent, state, self.client.preflight(self.venue.account, call))

    def refusal(self, intent: Intent, state: VenueState) -> str:
        """Why the protocol would refuse this order, as the venue words it."""
        call = self.venue.prepare(intent, state)
        with pytest.raises(RevertError) as refused:
            self.client.preflight(self.venue.account, call)
        return self.venue.explain(refused.value.data)

    def wait(self, seconds: int) -> None:
        Market(self.world, 1).set_time(self.world.node.timestamp() + seconds)


@pytest.fixture
def desk(fresh: World) -> Desk:
    """An account with its usual 200,000 USD."""
    return Desk(fresh, curie_venue(fresh), Client.of_one("localnet", fresh.url))


@pytest.fixture
def rich(desk: Desk) -> Desk:
    """The same with enough for orders as large as the protocol takes."""
    world = desk.world
    usdc, vault = world.curie_contract("usdc"), world.curie_contract("vault")
    deposit_usdc(usdc, vault, world.accounts.hedger, RICH_USD, world.accounts.owner)
    return desk


def close_to(value: Decimal, wanted: Decimal, relative: Decimal = EXACT) -> bool:
    return abs(value - wanted) <= relative * abs(wanted)


def from_wei(raw: int) -> Decimal:
    return Decimal(raw) / 10**18


def last_trade(world: World, since: int) -> dict[str, Decimal]:
    """The hedger's only trade after a block, as the protocol's own event says."""
    (event,) = events_of(world, "PositionChanged", since)
    names = ("exchangedPositionSize", "exchangedPositionNotional", "fee", "openNotional")
    return {name: from_wei(event[name]) for name in names}


class TestQuotes:
    def test_every_point_of_the_cost_curve_is_what_a_trade_of_that_size_then_does(self, rich: Desk) -> None:
        state = rich.state()
        assert {p.size > 0 for p in state.curve} == {True, False}
        assert max(p.size for p in state.curve) == state.max_buy
        assert -min(p.size for p in state.curve) == state.max_sell
        for point in state.curve:
            snapshot, since = rich.world.node.snapshot(), rich.world.node.block_number()
            outcome = rich.trade(point.size, state)
            event = last_trade(rich.world, since)
            assert event["exchangedPositionSize"] == point.size
            notional = abs(event["exchangedPositionNotional"])
            assert close_to(notional, point.price * abs(point.size))
            # The fee is a share of what passes through: of the notional when selling, of notional + fee when buying.
            passes = notional + (event["fee"] if point.size > 0 else 0)
            assert close_to(event["fee"], passes * state.fee_ratio)
            assert outcome.state is OutcomeState.FILLED
            assert outcome.fill is not None
            assert (outcome.fill.notional, outcome.fill.fee_usd) == (notional, event["fee"])
            rich.world.node.revert(snapshot)

    @pytest.mark.parametrize("held", ["0", "-30", "30"])
    @pytest.mark.parametrize("size", ["-12.345", "12.345", "-30", "30", "-45.678", "45.678"])
    def test_a_preflight_promises_the_fill_that_comes(self, desk: Desk, held: str, size: str) -> None:
        if Decimal(held):
            desk.trade(held)
        state = desk.state()
        intent = desk.intent(Decimal(size), state)
        promised = desk.preflight(intent, state)
        outcome = desk.send(intent, desk.venue.prepare(intent, state))
        assert outcome.state is OutcomeState.FILLED
        fill = outcome.fill
        assert fill is not None
        assert promised.size == fill.size == intent.size
        assert close_to(promised.notional, fill.notional)
        assert close_to(promised.fee_usd, fill.fee_usd)
        assert abs(promised.impact_usd - fill.impact_usd) < STEP
        assert fill.impact_usd > 0, "moving the price costs"


class TestAccount:
    def test_money_position_and_margin_are_the_protocols(self, desk: Desk) -> None:
        world, me = desk.world, desk.venue.account
        vault, balances = world.curie_contract("vault"), world.curie_contract("account_balance")
        for size in ("-40", "15", "45", "-7.5"):  # short, less short, long, less long
            desk.trade(size)
            desk.wait(600)
            state = desk.state()
            mark = from_wei(balances.read("getMarkPrice", world.curie.base_token))
            value = abs(state.position.size) * mark
            assert state.position.size == from_wei(
                balances.read("getTakerPositionSize", me, world.curie.base_token)
            )
            assert close_to(state.margin.maintenance, value * Decimal("0.0625"))
            assert state.initial_ratio == Decimal("0.1")
            assert state.maintenance_ratio == Decimal("0.0625")
            profit = state.position.size * mark + state.position.entry_notional
            realized = from_wei(balances.read("getPnlAndPendingFee", me)[0])
            expected = state.margin.collateral + profit + realized - state.pending_funding
            assert abs(state.margin.account_value - expected) <= CENT_OF_A_CENT
            free = int(state.margin.free_collateral * 10**6)
            usdc = world.curie.usdc
            snapshot = world.node.snapshot()
            # A second passes before a withdrawal is mined, in which funding accrues.
            vault.send("withdraw", usdc, free - 10_000, sender=me)
            world.node.revert(snapshot)
            with pytest.raises(Exception, match="V_NEFC"):
                vault.read("withdraw", usdc, free + 10_000, sender=me)

    @pytest.mark.parametrize("size", ["-60", "60"])
    def test_the_exit_value_is_what_a_real_close_leaves(self, desk: Desk, size: str) -> None:
        market = Market(desk.world, 1)
        desk.trade(size)
        market.set_price(START_PRICE * Decimal("1.01"))
        desk.wait(3 * HOUR)  # so that there is funding to settle, too
        before, since = desk.state(), desk.world.node.block_number()
        assert abs(before.pending_funding) > 1
        outcome = desk.trade(-before.position.size, before)
        assert outcome.state is OutcomeState.FILLED
        after = desk.state()
        assert after.position.size == after.position.entry_notional == 0
        assert after.margin.maintenance == after.pending_funding == 0
        (settled,) = events_of(desk.world, "FundingPaymentSettled", since)
        paid = from_wei(settled["fundingPayment"])
        assert outcome.fill is not None
        assert outcome.fill.funding_usd == paid
        in_a_second = paid - before.pending_funding
        assert abs(in_a_second) < Decimal("0.02"), "one block's worth"
        assert abs(after.margin.account_value - (before.margin.exit_value - in_a_second)) <= CENT_OF_A_CENT
        assert abs(after.margin.exit_value - after.margin.account_value) <= CENT_OF_A_CENT
        vault = desk.world.curie_contract("vault")
        everything = vault.read("getFreeCollateral", desk.venue.account)
        assert Decimal(everything) / 10**6 == after.margin.account_value
        vault.send("withdraw", desk.world.curie.usdc, everything, sender=desk.venue.account)

    @pytest.mark.parametrize("size", ["-25", "25"])
    @pytest.mark.parametrize("index", ["1.03", "0.97"])
    def test_funding_is_paid_by_the_side_that_the_premium_favours(
        self, desk: Desk, size: str, index: str
    ) -> None:
        desk.trade(size)
        market = Market(desk.world, 1)
        market.set_price(START_PRICE * Decimal(index))
        desk.wait(HOUR)  # the averages that funding is reckoned with reach back a quarter of an hour
        long_pays = Decimal(index) < 1  # the pool trades above the index
        house, me, base = (
            desk.world.curie_contract("clearing_house"),
            desk.venue.account,
            desk.world.curie.base_token,
        )
        house.send("settleAllFunding", me, sender=me)
        settled = desk.state()
        assert abs(settled.pending_funding) < STEP
        assert (settled.funding_per_hour > 0) is long_pays
        desk.wait(2 * HOUR)
        state = desk.state()
        assert (state.pending_funding > 0) is (long_pays == (Decimal(size) > 0))
        accrued = state.position.size * state.index * state.funding_per_hour * 2
        assert close_to(state.pending_funding, accrued, Decimal("1E-6"))
        # The sign that matters: who pays has less afterwards.
        balances = desk.world.curie_contract("account_balance")
        before = balances.read("getPnlAndPendingFee", me)[0]
        house.send("settleAllFunding", me, sender=me)
        change = from_wei(balances.read("getPnlAndPendingFee", me)[0] - before)
        assert close_to(-change, state.pending_funding, Decimal("1E-3"))
        assert base == state.position.market

    def test_the_pool_remembers_each_second_that_the_protocol_averages_over(self, fresh: World) -> None:
        # With fewer slots a busy half hour overwrites what the averages need, and every read and trade reverts: OLD.
        pool, balances = fresh.curie_contract("pool"), fresh.curie_contract("account_balance")
        assert pool.read("slot0")[4] >= 1_800
        assert balances.read("getMarkPrice", fresh.curie.base_token) > 0


class TestOrders:
    def test_an_order_does_exactly_its_size_whatever_is_held(self, desk: Desk) -> None:
        held = ZERO
        # open, increase, reduce, flip through zero, increase, flip back, close
        for size in ("-10", "-2.5", "4", "20", "1.25", "-30", "17.25"):
            since = desk.world.node.block_number()
            outcome = desk.trade(size)
            assert outcome.state is OutcomeState.FILLED
            assert trades_of(desk.world, since) == [Decimal(size)]
            assert outcome.fill is not None
            assert outcome.fill.size == Decimal(size)
            held += Decimal(size)
            assert desk.state().position.size == held
        assert held == 0
        assert desk.state().position.entry_notional == 0

    def test_only_an_order_that_leaves_nothing_is_the_protocols_close(self, desk: Desk) -> None:
        desk.trade("-10")
        state = desk.state()
        house = desk.world.curie_contract("clearing_house").interface
        for size, function in (
            ("10", "closePosition"),
            ("9.999", "openPosition"),
            ("10.001", "openPosition"),
            ("-10", "openPosition"),
        ):
            call = desk.venue.prepare(desk.intent(Decimal(size), state), state)
            selector = house.calldata(function, [zero_order(function, desk.world)])[:4]
            assert call.data[:4] == selector

    def test_a_close_at_the_tick_limit_is_partial_and_later_ones_bring_it_to_nothing(
        self, rich: Desk
    ) -> None:
        world, market = rich.world, Market(rich.world, 1)
        rich.trade(-(rich.state().max_sell * Decimal("0.8")).quantize(LOT))
        rich.wait(60)
        market.arbitrage()
        rich.wait(60)
        market.set_price(START_PRICE * Decimal("1.06"))
        assert market.arbitrage() == 1  # more than half of what the protocol allows within 15 s is used up
        outcomes = []
        for _ in range(6):
            before, since = rich.state(), world.node.block_number()
            outcome = rich.trade(-before.position.size, before)
            outcomes.append(outcome.state)
            after = rich.state()
            assert outcome.fill is not None
            assert [outcome.fill.size] == trades_of(world, since)
            assert after.position.size == before.position.size + outcome.fill.size
            assert 0 < outcome.fill.size <= -before.position.size
            if outcome.state is OutcomeState.FILLED:
                break
            assert f"of {-before.position.size:+f} was traded" in outcome.reason
            rich.wait(before.clip_interval_s)
            market.arbitrage()
            rich.wait(before.clip_interval_s)
        assert outcomes[0] is OutcomeState.PARTIAL
        assert outcomes[-1] is OutcomeState.FILLED
        assert rich.state().position.size == 0

    def test_a_reverted_order_is_dead_and_traded_nothing(self, desk: Desk) -> None:
        state, since = desk.state(), desk.world.node.block_number()
        intent = desk.intent(Decimal(-5), state, deadline=desk.world.node.timestamp() - 1)
        call = desk.venue.prepare(intent, state)
        request = {
            "from": desk.venue.account,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "gas": hex(2_000_000),
        }
        mined = desk.world.node.rpc("eth_sendTransactionSync", request)
        found = desk.client.receipt(mined["transactionHash"])
        assert found is not None
        with pytest.raises(StopIteration) as stop:
            next(desk.venue.outcome(intent, found[0], state))
        assert stop.value.value.state is OutcomeState.DEAD
        assert stop.value.value.fill is None
        assert trades_of(desk.world, since) == []


class TestLimits:
    @pytest.mark.parametrize("sells", [True, False], ids=["sell", "buy"])
    @pytest.mark.parametrize("index", ["1", "0.96", "1.04"])
    def test_the_largest_order_passes_and_one_a_little_above_the_protocols_limit_is_refused(
        self, rich: Desk, sells: bool, index: str
    ) -> None:
        # Where the index lies to one side of the pool's price, the price band is the nearer limit on the other side.
        market = Market(rich.world, 1)
        market.set_price(START_PRICE * Decimal(index))
        rich.wait(16)
        state = rich.state()
        side = -1 if sells else 1
        largest = (state.max_sell if sells else state.max_buy).quantize(state.lot, "ROUND_DOWN")
        true_limit, code = protocols_limit(rich, state, sells=sells)
        assert Decimal("0.9") * true_limit < largest < true_limit
        above = (true_limit * Decimal("1.002")).quantize(state.lot)
        words = {
            "EX_OPLAS": "EX_OPLAS (the order would cross more ticks than the protocol allows within 15 s)",
            "EX_OPB": "EX_OPB (the order would leave the protocol's price band around the index)",
        }
        assert rich.refusal(rich.intent(side * above, state), state) == words[code]
        just_below = (true_limit * Decimal("0.998")).quantize(state.lot)
        rich.preflight(rich.intent(side * just_below, state), state)
        assert rich.trade(side * largest, state).state is OutcomeState.FILLED

    def test_outside_the_band_only_the_way_back_is_offered(self, rich: Desk) -> None:
        Market(rich.world, 1).set_price(START_PRICE * Decimal("1.2"))
        rich.wait(16)
        state = rich.state()
        assert state.max_sell == 0
        assert state.max_buy > 100
        refused = rich.refusal(rich.intent(Decimal(-1), state), state)
        assert refused.startswith("EX_OPB (")
        assert rich.trade(state.max_buy.quantize(state.lot, "ROUND_DOWN"), state).state is OutcomeState.FILLED

    def test_a_deadline_that_has_passed_is_refused_in_words(self, desk: Desk) -> None:
        state = desk.state()
        late = desk.intent(Decimal(-5), state, deadline=desk.world.node.timestamp() - 1)
        assert desk.refusal(late, state) == "CH_TE (the order's deadline has passed)"
        assert desk.preflight(
            desk.intent(Decimal(-5), state, deadline=desk.world.node.timestamp() + 60), state
        )

    @pytest.mark.parametrize(("size", "code"), [("-20", "CH_TLRS"), ("20", "CH_TMRL")])
    def test_a_price_that_moved_past_the_bound_is_refused_in_words(
        self, desk: Desk, size: str, code: str
    ) -> None:
        state = desk.state()
        wanted = Decimal(size)
        side = 1 if wanted > 0 else -1
        paid = desk.preflight(desk.intent(wanted, state), state)
        total = (paid.notional + side * paid.fee_usd) / abs(wanted)
        tight = desk.intent(wanted, state, bound=total * (1 + side * Decimal("0.0001")))
        assert desk.preflight(tight, state).size == wanted
        market = Market(desk.world, 1)
        market.set_price(START_PRICE * (1 + side * Decimal("0.001")))
        market.arbitrage()
        assert desk.refusal(tight, state) == f"{code} (the price moved past the order's bound)"

    def test_too_little_margin_is_refused_in_words(self, desk: Desk) -> None:
        state = desk.state()
        refused = desk.refusal(desk.intent(Decimal(-1_200), state), state)
        assert refused == "CH_NEFCI (not enough free collateral for the initial margin)"

    def test_the_desk_sends_nothing_that_the_venue_would_refuse(self, desk: Desk, tmp_path: Path) -> None:
        world = desk.world
        vault = world.curie_contract("vault")
        Market(world, 3).open_interest(14)
        Market(world, 3).refresh()
        vault.send("withdraw", world.curie.usdc, 199_900 * 10**6, sender=world.accounts.hedger)
        nonce, height = hedger_nonce(world), world.node.block_number()
        with opened(write_config(world, tmp_path)) as app:
            tick = app.desk.tick(app.desk.books[0])
            (order,) = app.ledger.orders("eth")
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.DEAD
        assert "not enough free collateral for the initial margin" in order["reason"]
        assert order["hash"] is None
        assert (hedger_nonce(world), world.node.block_number()) == (nonce, height)

    def test_the_sender_raises_what_the_venue_would_refuse(self, desk: Desk, tmp_path: Path) -> None:
        state = desk.state()
        call = desk.venue.prepare(desk.intent(Decimal(-1_200), state), state)
        with (
            opened(write_config(desk.world, tmp_path)) as app,
            pytest.raises(OrderRejected, match=r"curie-eth would refuse the order: CH_NEFCI \(not enough"),
        ):
            app.desk.books[0].sender.preflight(desk.venue, call)


def zero_order(function: str, world: World) -> dict[str, object]:
    """Arguments of the right shape, for the selector alone."""
    order: dict[str, object] = {
        "baseToken": world.curie.base_token,
        "oppositeAmountBound": 0,
        "deadline": 0,
        "sqrtPriceLimitX96": 0,
        "referralCode": bytes(32),
    }
    extra = {"isBaseToQuote": True, "isExactInput": True, "amount": 0}
    return order | (extra if function == "openPosition" else {})


def protocols_limit(desk: Desk, state: VenueState, *, sells: bool) -> tuple[Decimal, str]:
    """The most that one order may be here, worked out from the protocol's rules alone, and the code beyond it.

    1,000 ticks from the pool's tick, and 10 % from the index, whichever is nearer.
    """
    world = desk.world
    tick = world.curie_contract("pool").read("slot0")[1]
    by_tick = Decimal("1.0001") ** (tick - 1_000 if sells else tick + 1_001)
    by_band = state.index * (Decimal("0.9") if sells else Decimal("1.1"))
    price = max(by_tick, by_band) if sells else min(by_tick, by_band)
    swap = {
        "baseToken": world.curie.base_token,
        "isBaseToQuote": sells,
        "isExactInput": True,
        "amount": 2**127,
        "sqrtPriceLimitX96": sqrt_price_x96(price),
    }
    quoted = world.curie_contract("quoter").read("swap", swap)
    return abs(from_wei(quoted["exchangedPositionSize"])), "EX_OPLAS" if price == by_tick else "EX_OPB"
