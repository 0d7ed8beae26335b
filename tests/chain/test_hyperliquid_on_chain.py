"""The desk hedging on the stand-in of HyperCore: every kind of order, every kind of silence."""

from decimal import Decimal

import pytest
from eth_abi.abi import encode
from hyperliquid_rig import ACTS_WITHIN, RECKONED, HyperRig, MakeHyper, with_margin

from bot.core.model import Hold, IntentKind, Mode, OutcomeState, Transfer
from bot.errors import DataError, Halt, TransientError
from bot.localnet.hypercore.actions import LimitOrder, Tif
from bot.localnet.hypercore.answers import POSITION_2
from bot.localnet.hypercore.core import Script
from bot.localnet.hypercore.deploy import Funds, core_state, write_answers
from bot.localnet.hypercore.model import Level, Market, Sent
from bot.venues.hyperliquid_market import market_name

D = Decimal
HOUR_S = 3_600


@pytest.fixture(params=[True, False], ids=["api", "alone"])
def info(request: pytest.FixtureRequest) -> bool:
    """Whether the desk has the info API."""
    return bool(request.param)


@pytest.fixture
def rig(hyper: MakeHyper, info: bool) -> HyperRig:
    return hyper(info=info)


def foreign(rig: HyperRig, size: str, cloid: int = 0) -> None:
    """The hedger's account trades by the exchange's own interface, past HyperEVM."""
    signed = D(size)
    limit = rig.price * (D("1.05") if signed > 0 else D("0.95"))
    order = LimitOrder(rig.market.index, signed > 0, limit, abs(signed), False, Tif.IOC, cloid)
    with rig.core.lock:
        fate = rig.core.engine.apply(Sent(rig.hedger, order))
    assert fate.filled == signed, fate.refusal
    rig.core.work()


class TestOrders:
    def test_the_vaults_delta_is_hedged_and_followed_as_the_price_moves(self, rig: HyperRig) -> None:
        for price in ("2000", "2150", "1900"):
            rig.move(D(price))
            done = rig.settle()
            delta = done.record.exposure.options + done.record.exposure.holdings
            assert float(rig.position()) == pytest.approx(-delta, abs=0.5)
            assert rig.position() < 0
        assert rig.outcomes() == ["FILLED"] * 3
        for order in rig.orders():
            rig.check_traded(order)
        rig.check_books()

    @pytest.mark.parametrize(
        ("first", "then"),
        [
            ("3", "8"),
            ("-3", "-8"),
            ("8", "3"),
            ("-8", "-3"),
            ("4", "-6"),
            ("-4", "6"),
            ("5", "0"),
            ("-5", "0"),
        ],
        ids=["grow", "grow short", "shrink", "shrink short", "turn", "turn up", "close", "close short"],
    )
    def test_every_kind_of_order_is_told_as_it_was_traded(self, rig: HyperRig, first: str, then: str) -> None:
        for target in (first, then):
            rig.aim(target)
            rig.settle()
            assert rig.position() == D(target)
            rig.check_traded(rig.last())
        assert rig.outcomes() == ["FILLED", "FILLED"]
        rig.check_books()

    def test_a_rest_that_is_worth_less_than_any_order_is_closed(self, rig: HyperRig) -> None:
        rig.edits.append(lambda d: d["books"][0]["policy"].update({"trigger": "0.001", "min_trade": "0.001"}))
        rig.aim("0.006")
        rig.settle()
        rig.move(D(1500))
        rig.aim("0")
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (0, ["FILLED", "FILLED"])
        rig.check_traded(rig.last())

    @pytest.mark.parametrize("side", [1, -1], ids=["bought", "sold"])
    def test_a_part_is_counted_and_the_rest_follows(self, hyper: MakeHyper, info: bool, side: int) -> None:
        levels = (Level(D("0.00005"), D(3)), Level(D("0.02"), D(100)))
        thin = Market(1, "ETH", 4, 25, 55, levels=levels, refill_s=4)
        rig = hyper(info=info, market=thin)
        rig.aim(str(5 * side))
        rig.settle()
        assert rig.position() == 5 * side
        assert rig.outcomes() == ["PARTIAL", "FILLED"]
        assert [D(order["size"]) for order in rig.orders()] == [3 * side, 2 * side]
        for order in rig.orders():
            rig.check_traded(order)
        rig.check_books()

    def test_what_waits_is_an_interval_in_the_exposure_and_nothing_else_is_sent(self, rig: HyperRig) -> None:
        rig.waits()
        tick = rig.tick()
        assert isinstance(tick.record.decision, Hold)
        assert tick.record.snapshot.in_flight == 5
        flight = tick.record.exposure.bounds[-1]
        assert (flight.below, flight.above) == (0.0, 5.0)
        assert len(rig.orders()) == 1

    def test_on_paper_an_order_is_prepared_tried_and_recorded(self, rig: HyperRig) -> None:
        rig.mode = "paper"
        rig.aim("5")
        tick = rig.tick()
        assert tick.outcome is not None
        assert tick.outcome.state is OutcomeState.PAPER, tick.outcome.reason
        rig.later(3)
        assert rig.tick().record.snapshot.venue.position.size == 5
        assert (rig.position(), rig.core.engine.state.journal) == (0, [])


class TestRefusals:
    def test_a_silent_one_is_dead_at_its_block_and_the_next_order_is_made(self, rig: HyperRig) -> None:
        rig.core.script(Script(refused=True))
        rig.waits()
        for blocks in range(1, ACTS_WITHIN):
            rig.later(1)
            rig.tick()
            assert rig.outcomes() == ["PENDING"], f"{blocks} blocks after its own"
            rig.check()
        rig.later(1)
        rig.tick()
        assert rig.outcomes() == ["DEAD", "PENDING"]
        assert f"no effect within {ACTS_WITHIN} blocks" in rig.orders()[0]["reason"]
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (5, ["DEAD", "FILLED"])
        rig.check_books()

    def test_one_that_has_a_word_is_told_by_it_at_once_or_else_by_time(self, rig: HyperRig) -> None:
        rig.waits()
        rig.core.set_price(rig.price * D("1.02"))
        rig.later(3)
        rig.core.set_price(rig.price)
        rig.later(1)
        rig.tick()
        assert rig.outcomes()[0] == ("DEAD" if rig.info else "PENDING")
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (5, ["DEAD", "FILLED"])
        word = "iocCancelRejected" if rig.info else "nothing crossed its limit"
        assert word in rig.orders()[0]["reason"]
        rig.check_books()

    def test_after_three_in_a_row_the_next_one_waits(self, rig: HyperRig) -> None:
        rig.core.script(*[Script(refused=True)] * 3)
        rig.aim("5")
        held = rig.settle().record.decision
        assert isinstance(held, Hold)
        assert held.code == "CANCELLED"
        assert rig.outcomes() == ["DEAD"] * 3
        rig.check_books()


class TestLate:
    def test_an_order_that_acts_after_it_was_given_up_halts(self, rig: HyperRig) -> None:
        rig.core.script(Script(delay_blocks=ACTS_WITHIN + 4))
        rig.waits()
        rig.aim("0")
        rig.later(ACTS_WITHIN)
        rig.tick()
        assert rig.outcomes() == ["DEAD"]
        rig.later(4)
        assert rig.position() == 5
        said = "no event of the venue explains" if rig.info else "HyperCore has no events"
        with pytest.raises(Halt, match=said):
            rig.tick()
        assert rig.mode_and_why()[0] is Mode.HALTED
        rig.start()
        rig.later(5)
        rig.tick()
        assert (rig.outcomes(), rig.position()) == (["DEAD"], 5), "nothing is sent any more"

    def test_beside_its_successor_it_halts_and_no_third_one_is_sent(self, rig: HyperRig) -> None:
        rig.core.script(Script(delay_blocks=ACTS_WITHIN + 4), Script(delay_blocks=6))
        rig.waits()
        rig.later(ACTS_WITHIN)
        rig.tick()
        assert rig.outcomes() == ["DEAD", "PENDING"]
        with pytest.raises(Halt, match="no event"):
            rig.watch(2 * ACTS_WITHIN + 4)
        assert rig.mode_and_why()[0] is Mode.HALTED
        assert (rig.outcomes(), rig.position()) == (["DEAD", "FILLED"], 10)
        rig.later(5)
        rig.tick()
        assert len(rig.orders()) == 2

    def test_beside_its_successor_in_one_block_it_is_no_fill_of_either(self, hyper: MakeHyper) -> None:
        rig = hyper(info=False)
        rig.core.script(Script(delay_blocks=ACTS_WITHIN + 4), Script(delay_blocks=3))
        rig.waits()
        rig.later(ACTS_WITHIN)
        rig.tick()
        with pytest.raises(Halt, match="HyperCore has no events"):
            rig.watch(2 * ACTS_WITHIN + 4)
        assert (rig.outcomes(), rig.position()) == (["DEAD", "DEAD"], 10)
        assert "none of it is counted as filled" in rig.last()["reason"]

    def test_its_effect_is_not_counted_as_its_successors_that_was_refused(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True)
        rig.core.script(Script(delay_blocks=ACTS_WITHIN + 4), Script(delay_blocks=4))
        rig.waits()
        rig.later(ACTS_WITHIN)
        rig.tick()
        rig.later(3)
        assert rig.position() == 5
        rig.core.set_price(rig.price * D("1.02"))
        rig.later(1)
        with pytest.raises(Halt, match="no event of the venue explains"):
            rig.settle()
        assert rig.outcomes() == ["DEAD", "DEAD"]
        assert "iocCancelRejected" in rig.last()["reason"]


def crash(rig: HyperRig) -> None:
    """The price falls at one stroke to where a long position can't be held."""
    rig.move(rig.price * D("0.86"))


POOR = Funds(perp_usd=D(700), spot_usd=D(5_000))


class TestOutside:
    def test_a_liquidation_is_taken_over_and_hedged_again(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True, funds=POOR)
        rig.aim("5")
        rig.settle()
        crash(rig)
        assert rig.position() == 0
        rig.deposit(D(2_000))
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (5, ["FILLED", "FILLED"])
        baseline = rig.running.ledger.baseline(rig.hedger_id, market_name(1))
        assert baseline is not None
        assert "liquidation -5" in baseline.why
        assert rig.known_position() == 5

    def test_a_liquidation_halts_where_nothing_can_tell_it(self, hyper: MakeHyper) -> None:
        rig = hyper(info=False, funds=POOR)
        rig.aim("5")
        rig.settle()
        crash(rig)
        with pytest.raises(Halt, match="HyperCore has no events"):
            rig.tick()
        assert rig.mode_and_why()[0] is Mode.HALTED

    def test_a_liquidation_after_an_order_acted_is_told_apart_from_it(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True, funds=POOR)
        rig.aim("4")
        rig.settle()
        rig.waits("5")
        rig.later(2)
        assert rig.position() == 5
        crash(rig)
        rig.deposit(D(2_000))
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (5, ["FILLED", "FILLED", "FILLED"])
        for order in rig.orders():
            rig.check_traded(order)

    @pytest.mark.parametrize("cloid", [0, 7])
    def test_a_trade_of_somebody_elses_halts(self, rig: HyperRig, cloid: int) -> None:
        rig.aim("5")
        rig.settle()
        foreign(rig, "-2", cloid)
        with pytest.raises(Halt, match="no event" if rig.info else "no events"):
            rig.tick()
        assert len(rig.orders()) == 1

    def test_while_nobody_answers_about_a_change_nothing_is_concluded(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True, funds=POOR)
        rig.aim("5")
        rig.settle()
        crash(rig)
        rig.answering(False)
        with pytest.raises(TransientError, match="doesn't answer"):
            rig.tick()
        rig.answering(True)
        rig.later(30)
        rig.deposit(D(2_000))
        rig.settle()
        assert (rig.position(), rig.mode_and_why()[0]) == (5, Mode.ACTIVE)


class TestMargin:
    def test_a_deposit_comes_before_the_order_that_needs_it(self, hyper: MakeHyper, info: bool) -> None:
        rig = hyper(info=info, funds=Funds(perp_usd=D(300), spot_usd=D(30_000)))
        rig.edits.append(with_margin())
        rig.aim("5")
        first = rig.tick().record.decision
        assert isinstance(first, Transfer)
        assert first.what == "deposit"
        rig.later(2)
        rig.settle()
        assert rig.outcomes(IntentKind.ADD_MARGIN) == ["FILLED"]
        assert rig.position() == 5
        assert rig.account.spot_usd == 30_000 - first.amount
        rig.check_books()

    def test_what_is_beyond_the_target_is_withdrawn(self, hyper: MakeHyper, info: bool) -> None:
        rig = hyper(info=info, funds=Funds(perp_usd=D(40_000)))
        rig.edits.append(with_margin(withdraw=True))
        rig.aim("5")
        rig.settle()
        taken = [D(order["intended"]) for order in rig.orders(IntentKind.WITHDRAW_MARGIN)]
        assert rig.outcomes(IntentKind.WITHDRAW_MARGIN) == ["FILLED"] * len(taken)
        assert taken
        assert rig.account.spot_usd == sum(taken)
        assert rig.position() == 5
        rig.check_books()

    def test_a_refused_one_is_dead_by_its_balances_and_nothing_is_counted(
        self, hyper: MakeHyper, info: bool
    ) -> None:
        rig = hyper(info=info, funds=Funds(perp_usd=D(300), spot_usd=D(1_000)))
        rig.edits.append(with_margin())
        rig.aim("5")
        first = rig.tick().record.decision
        assert isinstance(first, Transfer)
        assert first.amount == 1_000
        rig.account.spot_usd -= 5
        rig.later(2)
        (refused,) = rig.transfers()
        assert "more than" in refused.refusal
        rig.tick()
        assert rig.outcomes(IntentKind.ADD_MARGIN) == ["PENDING"]
        rig.later(ACTS_WITHIN - 2)
        rig.tick()
        assert rig.outcomes(IntentKind.ADD_MARGIN) == ["DEAD"]
        assert "moved nothing" in rig.last(IntentKind.ADD_MARGIN)["reason"]
        assert rig.account.raw_usd == 300


class TestAccounts:
    def refused(self, rig: HyperRig, said: str) -> None:
        """A tick ends with that sentence, and nothing was sent."""
        sent = rig.node.rpc("eth_getTransactionCount", rig.hedger, "latest")
        with pytest.raises(DataError, match=said):
            rig.tick()
        assert rig.node.rpc("eth_getTransactionCount", rig.hedger, "latest") == sent

    def test_one_that_hypercore_does_not_know_is_named(self, hyper: MakeHyper, info: bool) -> None:
        rig = hyper(info=info, funds=None)
        self.refused(rig, f"{rig.hedger} does not exist on HyperCore")

    def test_a_unified_one_is_named_by_the_api(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True, funds=Funds(spot_usd=D(50_000), unified=True))
        self.refused(rig, "margin mode is unifiedAccount")

    def test_a_unified_one_pauses_the_venue_without_the_api(self, hyper: MakeHyper) -> None:
        rig = hyper(info=False, funds=Funds(spot_usd=D(50_000), unified=True))
        held = rig.tick().record.decision
        assert isinstance(held, Hold)
        assert held.code == "PAUSED"
        assert "must not be" in held.text
        assert rig.orders() == []

    def test_a_position_that_nothing_seems_to_back_is_named_without_the_api(self, hyper: MakeHyper) -> None:
        rig = hyper(info=False)
        rig.aim("5")
        rig.settle()
        rig.account.unified, rig.account.spot_usd = True, rig.account.spot_usd + rig.account.raw_usd + 20_000
        rig.account.raw_usd = D(-20_000)
        rig.core.work()
        self.refused(rig, "HyperEVM doesn't show what backs it")

    def test_an_isolated_position_is_named(self, rig: HyperRig) -> None:
        rig.aim("5")
        rig.settle()
        question = encode(["address", "uint32"], [rig.hedger, 1])
        shape = ["int64", "uint64", "int64", "uint32", "bool"]
        isolated = encode(shape, [50_000, 10_000 * 10**6, 10**6, 20, True])
        write_answers(
            core_state(rig.node, rig.hyper.state), {(POSITION_2, question): isolated}, rig.site.keeper
        )
        rig.aim("8")
        self.refused(rig, "margin for ETH is isolated")


class TestInfoApi:
    def test_down_while_an_order_acts_it_is_waited_for(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True)
        rig.waits()
        rig.answering(False)
        rig.later(3)
        assert rig.position() == 5
        rig.tick()
        assert rig.outcomes() == ["PENDING"], "its price is not told yet"
        rig.answering(True)
        rig.later(1)
        rig.start()
        rig.settle()
        assert rig.outcomes() == ["FILLED"]
        rig.check_traded(rig.last())

    def test_down_for_longer_the_position_alone_tells(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True)
        rig.waits()
        rig.answering(False)
        rig.settle()
        assert rig.outcomes() == ["FILLED"]
        assert "reckoned" in rig.last()["reason"]
        rig.check_traded(rig.last(), RECKONED)
        rig.check_books()

    def test_a_silence_is_not_taken_for_a_refusal(self, hyper: MakeHyper) -> None:
        rig = hyper(info=True)
        rig.answering(False)
        rig.core.script(Script(delay_blocks=ACTS_WITHIN - 1))
        rig.waits()
        rig.settle()
        assert (rig.outcomes(), rig.position()) == (["FILLED"], 5)


class TestFunding:
    @pytest.mark.parametrize(("first", "then"), [("6", "2"), ("-6", "-2"), ("6", "-2")])
    def test_paid_while_a_shrinking_order_waits_it_is_all_that_the_price_is_off(
        self, rig: HyperRig, first: str, then: str
    ) -> None:
        rig.aim(first)
        rig.settle()
        rig.waits(then)
        now = rig.node.timestamp()
        rig.node.set_next_timestamp(now - now % HOUR_S + HOUR_S)
        rig.node.mine()
        rig.core.work()
        (paid,) = rig.core.engine.state.payments
        assert abs(paid.usd) == D("0.15")
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (D(then), ["FILLED", "FILLED"])
        rig.check_traded(rig.last(), D(0) if rig.info else D("0.1502"))
        rig.check_books()
