"""The desk on the stand-in of HyperCore: a crash in every state of an order, a reorg, and two books on one account."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hyperliquid_rig import ACTS_WITHIN, HyperRig, MakeHyper, with_margin

from bot.app import build
from bot.config import load_config
from bot.errors import ConfigError, VaultkeelError
from bot.localnet.hypercore.core import Manner, Script
from bot.venues.hyperliquid_market import market_name


@pytest.fixture(params=[True, False], ids=["api", "alone"])
def info(request: pytest.FixtureRequest) -> bool:
    """Whether the desk has the info API."""
    return bool(request.param)


@pytest.fixture
def rig(hyper: MakeHyper, info: bool) -> HyperRig:
    return hyper(info=info)


class Crash(BaseException):
    """The process is gone."""


def dies(*_: Any) -> Any:
    raise Crash


def die(rig: HyperRig) -> None:
    """A tick in which the process ends, and another process."""
    with pytest.raises(Crash):
        rig.tick()
    rig.start()


class TestRestarts:
    def done(self, rig: HyperRig, *outcomes: str) -> None:
        rig.settle()
        assert (rig.position(), rig.outcomes()) == (5, list(outcomes))
        filled = [fate for fate in rig.core.engine.state.journal if fate.filled]
        assert len(filled) == 1, "traded once"
        rig.check_books()

    def test_intended_it_is_dead_and_made_anew(self, rig: HyperRig) -> None:
        rig.aim("5")
        assert rig.app is not None
        rig.app.desk.books[0].venue.prepare = dies  # type: ignore[method-assign]
        die(rig)
        rig.later(1)
        self.done(rig, "DEAD", "FILLED")

    @pytest.mark.parametrize("reached", [False, True], ids=["signed", "sent"])
    def test_signed_or_sent_its_own_bytes_are_what_counts(self, rig: HyperRig, reached: bool) -> None:
        rig.aim("5")
        assert rig.app is not None
        client: Any = rig.app.desk.books[0].sender._client
        send = client.send

        def dying(raw: bytes) -> None:
            if reached:
                send(raw)
            raise Crash

        client.send = dying
        die(rig)
        assert rig.outcomes() == ["PENDING"]
        self.done(rig, "FILLED")

    def test_in_the_mempool(self, rig: HyperRig) -> None:
        rig.node.rpc("evm_setAutomine", False)
        try:
            rig.aim("5")
            rig.tick()
            assert rig.last()["state"] == "SENT"
            rig.start()
            rig.tick()
        finally:
            rig.node.rpc("evm_setAutomine", True)
        rig.node.mine()
        rig.start()
        self.done(rig, "FILLED")

    def test_mined_and_waiting(self, rig: HyperRig) -> None:
        rig.waits()
        rig.start()
        rig.tick()
        assert rig.outcomes() == ["PENDING"]
        self.done(rig, "FILLED")

    def test_acted_unseen(self, rig: HyperRig) -> None:
        rig.waits()
        rig.later(3)
        assert rig.position() == 5
        rig.start()
        self.done(rig, "FILLED")

    def test_refused_unseen(self, rig: HyperRig) -> None:
        rig.core.script(Script(refused=True))
        rig.waits()
        rig.stop()
        rig.later(ACTS_WITHIN + 3)
        rig.start()
        self.done(rig, "DEAD", "FILLED")

    def test_acted_and_seen_long_after(self, rig: HyperRig) -> None:
        rig.waits()
        rig.stop()
        rig.later(10 * ACTS_WITHIN)
        rig.start()
        self.done(rig, "FILLED")

    def test_before_and_after_every_visit(self, hyper: MakeHyper, info: bool) -> None:
        rig = hyper(info=info, manner=Manner(refuse_one_in=0))
        rig.aim("5")
        for _ in range(20):
            rig.start()
            tick = rig.tick()
            rig.check()
            if tick.again_in_s is None:
                break
            rig.later(1)
        self.done(rig, "FILLED")


def bitcoin(rig: HyperRig) -> Callable[[dict[str, Any]], None]:
    """A second book, of bitcoin."""

    def edit(document: dict[str, Any]) -> None:
        book = copy.deepcopy(document["books"][0])
        book.update({"name": "btc", "underlying": "BTC"})
        gamma = rig.site.bitcoin
        for name in ("controller", "oracle", "underlying", "strike_asset"):
            book["sources"][0][name] = getattr(gamma, name)
        book["venue"].update(
            {"name": "hyperliquid-btc", "market": 0, "coin": "BTC", "lot": "0.00001", "depth": "2"}
        )
        book["policy"] = {"kind": "delta_band", "trigger": "0.005", "min_trade": "0.001"}
        book["limits"].update({"max_order": "2", "max_position": "2"})
        document["books"].append(book)

    return edit


class TestTwoBooks:
    def test_on_one_account_each_has_its_market_and_one_order_waits_at_a_time(self, rig: HyperRig) -> None:
        rig.edits.append(bitcoin(rig))
        rig.start()
        for _ in range(12):
            for book in (0, 1):
                rig.tick(book)
                rig.check()
                rig.later(1)
        for book, name, market in ((0, "eth", 1), (1, "btc", 0)):
            done = rig.tick(book)
            delta = done.record.exposure.options + done.record.exposure.holdings
            band = 0.5 if name == "eth" else 0.005
            assert float(rig.position(market)) == pytest.approx(-delta, abs=band)
            assert [order["outcome"] for order in rig.orders(book=name)] == ["FILLED"]
            rig.check_traded(rig.orders(book=name)[-1])
            assert rig.running.ledger.live_position(rig.hedger_id, market_name(market)) == rig.position(
                market
            )

    def test_both_may_not_watch_the_margin(self, rig: HyperRig) -> None:
        rig.edits += [with_margin(), bitcoin(rig)]
        with pytest.raises(ConfigError, match="watch the margin of one account"):
            build(load_config(rig.write()))


class TestReorgs:
    def test_an_order_whose_block_went_is_sent_again_and_fills_once(self, rig: HyperRig) -> None:
        rig.aim("5")
        rig.later(2)
        rig.tick()
        before = rig.last()["hash"]
        rig.node.rpc("anvil_reorg", 1, [])
        assert rig.node.rpc("eth_getTransactionReceipt", before) is None
        rig.tick()
        rig.later(3)
        rig.settle()
        assert (rig.position(), rig.outcomes(), rig.last()["hash"]) == (5, ["FILLED"], before)
        rig.check_books()

    def test_the_stand_in_knows_none_behind_what_it_acted_on(self, rig: HyperRig) -> None:
        rig.waits()
        rig.later(3)
        rig.node.rpc("anvil_reorg", 2, [])
        with pytest.raises(VaultkeelError, match="the chain went back"):
            rig.later(1)
