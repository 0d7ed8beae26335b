"""The desk hedging on the stand-in of GMX v2: every kind of order, every way in which a keeper may let it down."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from gmx_rig import GmxRig, gmx_rig

from bot.core.model import Hold, IntentKind, OutcomeState
from bot.errors import Halt
from bot.localnet.gmx.deploy import ONE, key
from bot.localnet.gmx.keeper import Act, Script
from bot.localnet.world import World

NEAR = Decimal("0.6")
"""The band is half a unit wide either way, and an increase is ordered in USD."""


@pytest.fixture
def rig(world: World, tmp_path: Path) -> Iterator[GmxRig]:
    with gmx_rig(world, tmp_path) as made:
        yield made


def waits(rig: GmxRig, target: str = "5") -> None:
    """An order is placed, and nobody has come for it."""
    rig.aim(target)
    rig.keeper.away = True
    for _ in range(10):
        tick = rig.tick()
        if tick.outcome is not None and tick.outcome.state is OutcomeState.PENDING and rig.outcomes():
            break
        rig.later(2)
    assert rig.outcomes()[-1] == "PENDING"
    assert len(rig.keeper.pending()) == 1


class TestOrders:
    @pytest.mark.parametrize("target", ["5", "-5"], ids=["bought", "sold"])
    def test_an_increase_is_allowed_exactly_ordered_and_filled(self, rig: GmxRig, target: str) -> None:
        rig.aim(target)
        rig.settle()
        assert abs(rig.position() - Decimal(target)) < NEAR
        assert rig.outcomes("approve") == ["FILLED"]
        assert rig.outcomes() == ["FILLED"]
        router = rig.gmx.router
        assert rig.contract("short_token").read("allowance", rig.world.accounts.hedger, router) == 0
        rig.check_books()

    @pytest.mark.parametrize("side", [1, -1], ids=["bought", "sold"])
    def test_a_partial_and_a_full_decrease_give_collateral_back(self, rig: GmxRig, side: int) -> None:
        rig.aim(str(6 * side))
        rig.settle()
        rig.aim(str(3 * side))
        rig.settle()
        assert abs(rig.position() - 3 * side) < NEAR
        rig.aim("0")
        rig.settle()
        assert abs(rig.position()) < NEAR
        assert set(rig.outcomes()) == {"FILLED"}
        rig.check_books()

    @pytest.mark.parametrize("side", [1, -1], ids=["long to short", "short to long"])
    def test_a_flip_closes_one_side_before_it_opens_the_other(self, rig: GmxRig, side: int) -> None:
        rig.aim(str(4 * side))
        rig.settle()
        rig.aim(str(-4 * side))
        rig.settle()
        long, short = rig.sides()
        assert (long if side > 0 else short) == 0
        assert abs(rig.position() + 4 * side) < NEAR
        assert len(rig.fills()) >= 3
        rig.check_books()

    def test_the_keepers_surplus_comes_back_and_what_it_kept_is_gas(self, rig: GmxRig) -> None:
        node, hedger = rig.world.node, rig.world.accounts.hedger
        before = int(node.rpc("eth_getBalance", hedger, "latest"), 16)
        rig.aim("5")
        rig.settle()
        after = int(node.rpc("eth_getBalance", hedger, "latest"), 16)
        assert rig.app is not None
        paid = sum(Decimal(order["gas_usd"]) for order in rig.app.ledger.orders("eth"))
        assert paid == pytest.approx(Decimal(before - after) / 10**18 * 2000, rel=Decimal("0.01"))


class TestKeeper:
    def test_a_slow_keeper_is_waited_for_and_nothing_else_is_sent(self, rig: GmxRig) -> None:
        rig.keeper.script(Script(delay_s=60))
        rig.aim("5")
        rig.settle(visits=60)
        assert rig.outcomes() == ["FILLED"]
        rig.check_books()

    def test_a_cancelled_order_is_replaced_within_seconds(self, rig: GmxRig) -> None:
        rig.keeper.script(Script(act=Act.CANCEL, delay_s=2))
        rig.aim("5")
        rig.settle()
        assert rig.outcomes() == ["DEAD", "FILLED"]
        rig.check_books()

    def test_a_keeper_that_reverts_leaves_the_order_waiting(self, rig: GmxRig) -> None:
        rig.keeper.script(Script(reverts=3, delay_s=2))
        rig.aim("5")
        rig.settle()
        assert rig.outcomes() == ["FILLED"]
        rig.check_books()

    def test_an_order_that_no_keeper_comes_for_is_cancelled_and_placed_again(self, rig: GmxRig) -> None:
        waits(rig)
        rig.later(290)
        rig.tick()
        assert rig.outcomes("cancel") == []
        rig.later(15)
        rig.tick()
        assert rig.outcomes("cancel") == ["FILLED"]
        assert rig.keeper.pending() == []
        rig.keeper.away = False
        rig.settle()
        assert rig.outcomes() == ["DEAD", "FILLED"]
        rig.check_books()

    def test_a_keeper_that_comes_just_before_the_cancel_wins(self, rig: GmxRig) -> None:
        waits(rig)
        rig.later(295)
        (order,) = rig.keeper.pending()
        rig.keeper.execute(order)
        rig.later(10)
        rig.keeper.away = False
        rig.settle()
        assert rig.outcomes() == ["FILLED"]
        assert rig.outcomes("cancel") == []
        rig.check_books()


def factor(rig: GmxRig, name: str, value: int, *arguments: tuple[str, object]) -> None:
    rig.contract("data_store").send("setUint", key(name, *arguments), value, sender=rig.world.accounts.owner)


class TestReasons:
    def test_a_price_that_ran_away_is_named(self, rig: GmxRig) -> None:
        rig.keeper.script(Script(moved=Decimal("0.02"), delay_s=2))
        rig.aim("5")
        rig.settle()
        assert rig.outcomes() == ["DEAD", "FILLED"]

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("MIN_COLLATERAL_USD", 10**6 * ONE, "ollateral"),
            ("MAX_OPEN_INTEREST", 1, "pen interest"),
        ],
    )
    def test_limits_that_changed_while_it_waited_are_named(
        self, rig: GmxRig, name: str, value: int, reason: str
    ) -> None:
        waits(rig)
        where = (("address", rig.gmx.market), ("bool", True)) if name == "MAX_OPEN_INTEREST" else ()
        factor(rig, name, value, *where)
        (order,) = rig.keeper.pending()
        rig.keeper.execute(order)
        rig.tick()
        assert rig.outcomes()[0] == "DEAD"
        assert reason in rig.last_reason() or rig.outcomes()[-1] == "DEAD"

    def test_a_paused_feature_holds_before_anything_is_signed(self, rig: GmxRig) -> None:
        store = rig.contract("data_store")
        for module in (rig.gmx.order_handler, rig.gmx.exchange_router):
            for kind in (2, 4):
                flag = key("CREATE_ORDER_FEATURE_DISABLED", ("address", module), ("uint256", kind))
                store.send("setBool", flag, True, sender=rig.world.accounts.owner)
        rig.aim("5")
        decision = rig.tick().record.decision
        assert isinstance(decision, Hold)
        assert decision.code == "PAUSED"
        assert rig.outcomes() == []


class TestOutside:
    def test_a_liquidation_is_adopted_and_hedged_again(self, rig: GmxRig) -> None:
        rig.aim("5", leverage="20")
        rig.settle()
        rig.move(rig.price * Decimal("0.94"))
        rig.keeper.liquidate(rig.world.accounts.hedger, rig.gmx.short_token, True)
        assert rig.position() == 0
        rig.settle()
        assert rig.adopted()
        assert abs(rig.position() - 5) < NEAR
        assert rig.app is not None
        assert rig.app.ledger.live_position(rig.app.account, rig.gmx.market) == rig.position()

    def test_an_auto_deleveraging_is_adopted_and_hedged_again(self, rig: GmxRig) -> None:
        rig.aim("5")
        rig.settle()
        rig.keeper.deleverage(rig.world.accounts.hedger, rig.gmx.short_token, True, 4_000 * ONE)
        assert abs(rig.position() - 3) < NEAR
        rig.settle()
        assert rig.adopted()
        assert abs(rig.position() - 5) < NEAR

    def test_an_order_that_somebody_else_placed_halts(self, rig: GmxRig) -> None:
        waits(rig)
        assert rig.app is not None
        (order,) = rig.app.ledger.open_intents(rig.app.account)
        rig.app.ledger.bury(order.intent.key, "a person", 0)
        with pytest.raises(Halt, match="waiting order"):
            rig.tick()


class TestRestarts:
    def test_in_every_state_an_order_goes_on_where_it_was(self, rig: GmxRig) -> None:
        rig.aim("5")
        for _ in range(30):
            rig.start()
            tick = rig.tick()
            rig.check()
            if tick.again_in_s is None:
                break
            rig.later(2)
            rig.start()
            rig.keeper.work(rig.world.node.timestamp())
        assert rig.outcomes() == ["FILLED"]
        rig.check_books()

    def test_while_it_expires(self, rig: GmxRig) -> None:
        waits(rig)
        for seconds in (100, 150, 60):
            rig.start()
            rig.tick()
            rig.check()
            rig.later(seconds)
        rig.start()
        rig.tick()
        assert rig.outcomes("cancel") == ["FILLED"]
        rig.start()
        rig.keeper.away = False
        rig.settle()
        rig.check_books()


def test_what_waits_is_an_interval_in_the_exposure(rig: GmxRig) -> None:
    waits(rig)
    tick = rig.tick()
    flight = tick.record.exposure.bounds[-1]
    assert flight.below == 0.0
    assert flight.above == pytest.approx(5.0, abs=0.6)
    assert rig.app is not None
    (order,) = rig.app.ledger.open_intents(rig.app.account)
    assert order.intent.kind is IntentKind.TRADE


def test_on_paper_an_order_is_prepared_tried_and_recorded(rig: GmxRig) -> None:
    rig.mode = "paper"
    rig.aim("5")
    tick = rig.tick()
    assert tick.outcome is not None
    assert tick.outcome.state is OutcomeState.PAPER, tick.outcome.reason
    assert rig.tick().record.snapshot.venue.position.size == 5
    assert rig.sides() == (0, 0)
    assert rig.keeper.pending() == []


def test_a_rest_on_the_wrong_side_that_is_no_lot_is_closed_before_the_other_side_opens(rig: GmxRig) -> None:
    rig.aim("0.6")
    rig.settle()
    rig.move(rig.price * Decimal("1.013"))
    rig.aim("0")
    rig.settle()
    rig.aim("-3")
    rig.settle()
    long, _short = rig.sides()
    assert long == 0
    assert abs(rig.position() + 3) < NEAR
    rig.check_books()
