"""The limits on a real chain: budgets over restarts, paused protocols, feeds and sequencers that fail, reserves."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import Edit, hedger_nonce, opened, read_venue, rows, run_here, trades_of, write_config

from bot.app.rules import make_rules
from bot.config import load_config
from bot.core.decision import Decided
from bot.core.model import Hold, Mode, Rebalance
from bot.desk import Tick
from bot.errors import ConfigError, DataError
from bot.localnet.contract import Contract
from bot.localnet.market import Market
from bot.localnet.world import World
from bot.replay import replay

D = Decimal
HEARTBEAT_S = 3_600
GRACE_S = 600


@pytest.fixture
def exposed(fresh: World) -> World:
    """A world whose pool has sold options, so that there is something to hedge."""
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    return fresh


def bounds(**changes: Any) -> Edit:
    """A configuration with these limits of the book."""

    def edit(document: Any) -> None:
        document["books"][0]["limits"].update(changes)

    return edit


def tick(config: Path) -> Tick:
    """One tick of a desk that has just been started."""
    with opened(config) as app:
        return app.desk.tick(app.desk.books[0])


def look(config: Path) -> Decided:
    with opened(config) as app:
        return app.desk.assess(app.desk.books[0])


def told(decided: Decided) -> str:
    return decided.decision.code if isinstance(decided.decision, Hold) else "REBALANCE"


def later(world: World, seconds: int) -> None:
    """Time passes, and both oracles say the same price again."""
    market = Market(world, 3)
    market.set_time(world.node.timestamp() + seconds)
    market.set_price(D(2_000))


def aggregator(world: World, answer: int, at: int) -> Contract:
    """Another Chainlink stand-in with one round."""
    doubles = world.curie_files.doubles
    feed = doubles.deploy(world.node, "MockAggregatorV2V3", sender=world.accounts.owner)
    feed.send("setDecimals", 8, sender=world.accounts.owner)
    feed.send("setLatestAnswer", answer, at, sender=world.accounts.owner)
    return feed


class TestOrders:
    def test_an_order_in_usd_is_cut_and_continued(self, exposed: World, tmp_path: Path) -> None:
        config, since = write_config(exposed, tmp_path, edit=bounds(max_order_usd="6000")), exposed.node
        height = since.block_number()
        done = tick(config)
        assert isinstance(done.record.decision, Rebalance)
        assert "by the order limit of 6000 USD" in done.record.decision.text
        assert done.again_in_s == 16
        (size,) = trades_of(exposed, height)
        assert size == done.record.decision.size
        ((notional,),) = rows(load_config(config).ledger, "SELECT notional FROM fills")
        assert 5_900 < D(notional) <= 6_000

    def test_leverage_is_kept_by_the_venues_own_account_value(self, exposed: World, tmp_path: Path) -> None:
        most = D("0.02")
        config = write_config(exposed, tmp_path, edit=bounds(max_leverage=f"{most}"))
        done = tick(config)
        assert isinstance(done.record.decision, Rebalance)
        assert "by the leverage limit of 0.02" in done.record.decision.text
        state = read_venue(exposed)
        leverage = abs(state.position.size) * state.mark / state.margin.account_value
        assert D("0.019") < leverage <= most
        assert told(tick(config).record) == "LEVERAGE"

    def test_gross_exposure_is_kept(self, exposed: World, tmp_path: Path) -> None:
        gross = D(repr(look(write_config(exposed, tmp_path / "look")).exposure.gross))
        config = write_config(exposed, tmp_path, edit=bounds(max_gross=f"{gross + 2:.3f}"))
        done = tick(config)
        assert isinstance(done.record.decision, Rebalance)
        assert D("1.99") < abs(read_venue(exposed).position.size) <= D("2.001")
        assert told(tick(config).record) == "GROSS"

    def test_the_native_reserve_stays(self, exposed: World, tmp_path: Path) -> None:
        held = D(int(exposed.node.rpc("eth_getBalance", exposed.accounts.hedger, "latest"), 16)) / 10**18
        config = write_config(exposed, tmp_path, edit=bounds(min_native=f"{held:f}"))
        nonce = hedger_nonce(exposed)
        seen = look(config)
        assert (told(seen), seen.snapshot.native) == ("NATIVE_RESERVE", held)
        tick(config)
        assert hedger_nonce(exposed) == nonce
        lower = write_config(exposed, tmp_path / "lower", edit=bounds(min_native=f"{held - 1:f}"))
        assert told(look(lower)) == "REBALANCE"


class TestBudgets:
    def test_orders_of_an_hour_are_counted_over_restarts_and_roll_on(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config = write_config(exposed, tmp_path, edit=bounds(max_order="1", max_trades_hour=2))
        since = exposed.node.block_number()
        assert [told(tick(config).record) for _ in range(4)] == ["REBALANCE"] * 2 + ["TRADES_HOUR"] * 2
        later(exposed, 3_000)
        assert told(tick(config).record) == "TRADES_HOUR"
        later(exposed, 700)
        assert told(tick(config).record) == "REBALANCE"
        assert len(trades_of(exposed, since)) == 3

    def test_turnover_is_what_the_protocol_traded(self, exposed: World, tmp_path: Path) -> None:
        edit = bounds(max_order="1", max_turnover_day_usd="5000")
        config, since = write_config(exposed, tmp_path, edit=edit), exposed.node.block_number()
        codes = [told(tick(config).record) for _ in range(6)]
        assert codes == ["REBALANCE"] * codes.count("REBALANCE") + ["TURNOVER_DAY"] * codes.count(
            "TURNOVER_DAY"
        )
        assert codes.count("TURNOVER_DAY") >= 2
        worth = sum(abs(size) for size in trades_of(exposed, since)) * 2_000
        assert 4_700 < worth < 5_000
        spent = look(config).snapshot.spent
        assert spent.turnover_day_usd == pytest.approx(worth, rel=D("0.01"))
        assert spent.fees_day_usd == pytest.approx(spent.turnover_day_usd / 1000, rel=D("0.002"))
        ((gas,),) = rows(load_config(config).ledger, "SELECT sum(gas_usd) FROM intents")
        assert float(spent.gas_day_usd) == pytest.approx(gas)

    def test_what_all_books_share_is_kept_too_and_can_halt(self, exposed: World, tmp_path: Path) -> None:
        def edit(document: Any) -> None:
            bounds(max_order="1")(document)
            document["limits"] = {"max_trades_day": 1, "then": {"TOTAL_TRADES_DAY": "halt"}}

        config = write_config(exposed, tmp_path, edit=edit)
        assert [told(tick(config).record) for _ in range(2)] == ["REBALANCE", "TOTAL_TRADES_DAY"]
        with opened(config) as app:
            mode, why = app.ledger.mode_and_why(app.account)
        assert mode is Mode.HALTED
        assert why == "TOTAL_TRADES_DAY: all books: 1 orders in the last day, the limit is 1"

    def test_a_days_loss_holds(self, exposed: World, tmp_path: Path) -> None:
        """The hedge was not allowed, so that a jump of the price is a loss."""
        config = write_config(
            exposed, tmp_path, edit=bounds(max_order="0.2", max_loss_day_usd="100", max_price_gap="0.5")
        )
        first = tick(config)
        sign = 1 if first.record.exposure.net < 0 else -1
        Market(exposed, 3).set_price(D(2_000) * (1 + sign * D("0.04")))
        after = tick(config)
        assert told(after.record) == "DAILY_LOSS"
        assert after.record.snapshot.change_usd is not None
        assert after.record.snapshot.change_usd < -100
        ledger = load_config(config).ledger
        changes = dict(rows(ledger, "SELECT id, change_usd FROM ticks"))
        assert changes[after.id] == float(after.record.snapshot.change_usd)

    def test_status_shows_what_is_left_of_each(
        self,
        exposed: World,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def edit(document: Any) -> None:
            bounds(max_order="1", max_trades_day=3, max_turnover_day_usd="50000")(document)
            document["books"][0]["margin"] = {"max_topup_day_usd": "700"}
            document["limits"] = {"max_gas_day_usd": "90"}

        config = write_config(exposed, tmp_path, edit=edit)
        tick(config)
        code, out, _ = run_here(monkeypatch, capsys, "status", "--config", config, "--json")
        told = {(use["whose"], use["budget"]): use for use in json.loads(out)["budgets"]}
        assert code == 0
        assert {key: use["allowed"] for key, use in told.items()} == {
            ("book eth", "max_trades_day"): "3",
            ("book eth", "max_turnover_day_usd"): "50000",
            ("all books", "max_gas_day_usd"): "90",
            ("book eth", "max_topup_day_usd"): "700",
        }
        assert (told["book eth", "max_trades_day"]["used"], told["book eth", "max_trades_day"]["left"]) == (
            "1",
            "2",
        )
        ((notional,),) = rows(load_config(config).ledger, "SELECT notional FROM fills")
        assert D(told["book eth", "max_turnover_day_usd"]["used"]) == D(notional)
        assert D(told["all books", "max_gas_day_usd"]["used"]) > 0
        assert told["book eth", "max_topup_day_usd"]["left"] == "700"
        code, out, _ = run_here(monkeypatch, capsys, "status", "--config", config)
        assert code == 0
        assert "max_topup_day_usd" in out

    def test_recorded_decisions_replay_with_all_they_rested_on(self, exposed: World, tmp_path: Path) -> None:
        config = write_config(exposed, tmp_path, edit=bounds(max_order="1", max_trades_hour=2))
        for _ in range(3):
            tick(config)
        loaded = load_config(config)
        with opened(config) as app:
            done = list(
                replay(app.ledger.history.between("eth", None, None), make_rules(loaded, loaded.books[0]))
            )
        assert [row.identical for row in done] == [True] * 3


def pause_house(world: World) -> None:
    world.curie_contract("clearing_house").send("pause", sender=world.accounts.owner)


def pause_market(world: World) -> None:
    world.curie_contract("base_token").send("pause", sender=world.accounts.owner)


class TestPauses:
    @pytest.mark.parametrize(
        ("pause", "words"),
        [(pause_house, "the clearing house is paused"), (pause_market, "the market is paused or closed")],
    )
    def test_a_paused_venue_is_named_and_nothing_is_sent(
        self, exposed: World, tmp_path: Path, pause: Callable[[World], None], words: str
    ) -> None:
        config, nonce = write_config(exposed, tmp_path), hedger_nonce(exposed)
        pause(exposed)
        done = tick(config)
        assert told(done.record) == "PAUSED"
        assert words in done.record.decision.text
        assert hedger_nonce(exposed) == nonce

    def test_a_paused_vault_without_a_price_stops_the_tick_by_name(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config, nonce = write_config(exposed, tmp_path), hedger_nonce(exposed)
        adapter, owner = exposed.lyra_contract("synthetix_adapter"), exposed.accounts.owner
        adapter.send("setMarketPaused", exposed.lyra.option_market, True, sender=owner)
        with pytest.raises(DataError, match=r"lyra-eth: .* reverted: the option market is paused"):
            tick(config)  # its oracle gives no price then, so there is no delta to decide on
        assert hedger_nonce(exposed) == nonce


class TestFeeds:
    def with_feed(self, feed: Contract) -> Edit:
        def edit(document: Any) -> None:
            document["books"][0]["feeds"] = [
                {
                    "kind": "chainlink",
                    "name": "eth-usd",
                    "address": feed.address,
                    "heartbeat_s": HEARTBEAT_S,
                }
            ]

        return edit

    def test_a_second_source_is_read_at_the_same_block_and_held_against_the_spot(
        self, exposed: World, tmp_path: Path
    ) -> None:
        feed = aggregator(exposed, 2_000 * 10**8, exposed.node.timestamp())
        config = write_config(exposed, tmp_path, edit=self.with_feed(feed))
        seen = look(config)
        assert told(seen) == "REBALANCE"
        assert [(f.name, f.price) for f in seen.snapshot.feeds] == [("eth-usd", 2_000)]
        for price, expected in ((2_090, "REBALANCE"), (2_110, "PRICE_GAP"), (1_890, "PRICE_GAP")):
            owner = exposed.accounts.owner
            feed.send("setLatestAnswer", price * 10**8, exposed.node.timestamp(), sender=owner)
            assert told(look(config)) == expected

    def test_a_feed_that_stops_is_stale_after_its_heartbeat(self, exposed: World, tmp_path: Path) -> None:
        feed = aggregator(exposed, 2_000 * 10**8, exposed.node.timestamp())
        config = write_config(exposed, tmp_path, edit=self.with_feed(feed))
        later(exposed, HEARTBEAT_S - 10)
        assert told(look(config)) == "REBALANCE"
        later(exposed, 20)
        seen = look(config)
        assert told(seen) == "STALE_FEED"
        assert "its heartbeat is 3600 s" in seen.decision.text

    @pytest.mark.parametrize("answer", [0, -2_000 * 10**8])
    def test_a_feed_without_a_price_stops_the_tick(self, exposed: World, tmp_path: Path, answer: int) -> None:
        feed = aggregator(exposed, answer, exposed.node.timestamp())
        config = write_config(exposed, tmp_path, edit=self.with_feed(feed))
        with pytest.raises(DataError, match=r"feed eth-usd: it answers .* which is no price"):
            tick(config)

    def test_a_feed_that_reverts_stops_the_tick_by_name(self, exposed: World, tmp_path: Path) -> None:
        feed = aggregator(exposed, 2_000 * 10**8, exposed.node.timestamp())
        feed.send("setLatestRoundDataShouldRevert", True, sender=exposed.accounts.owner)
        config = write_config(exposed, tmp_path, edit=self.with_feed(feed))
        with pytest.raises(DataError, match=f"chainlink_aggregator.latestRoundData at {feed.address}"):
            tick(config)

    def test_an_address_without_code_is_refused_at_the_start(self, exposed: World, tmp_path: Path) -> None:
        feed = aggregator(exposed, 1, 1)
        nowhere = Contract(feed.node, exposed.accounts.maker, feed.interface)
        config = write_config(exposed, tmp_path, edit=self.with_feed(nowhere))
        with pytest.raises(ConfigError, match=r"eth-usd.address: there is no contract"):
            look(config)

    def test_a_jump_that_no_other_source_shows_is_held_for_a_tick(
        self, exposed: World, tmp_path: Path
    ) -> None:
        config = write_config(
            exposed,
            tmp_path,
            edit=bounds(max_price_move="0.05", max_price_gap="0.5", max_order="0.2"),
        )
        tick(config)
        owner = exposed.accounts.owner
        Market(exposed, 3).set_price(D(2_160))
        assert told(tick(config).record) == "REBALANCE", "the venue's index goes along"
        aggregator_of_index = exposed.curie_contract("aggregator")
        feed = exposed.curie_contract("price_feed")
        aggregator_of_index.send("setLatestAnswer", 2_000 * 10**8, exposed.node.timestamp(), sender=owner)
        feed.send("update", sender=owner)
        tick(config)
        Market(exposed, 3).set_price(D(2_000))
        seen = tick(config).record
        assert told(seen) == "PRICE_MOVE"
        assert "since the last tick" in seen.decision.text


class TestSequencer:
    def edit(self, feed: Contract) -> Edit:
        def edit(document: Any) -> None:
            document["chains"]["localnet"].update(
                {"sequencer_feed": feed.address, "sequencer_grace_s": GRACE_S}
            )

        return edit

    def test_down_or_just_back_holds(self, exposed: World, tmp_path: Path) -> None:
        feed = aggregator(exposed, 0, exposed.node.timestamp())
        config = write_config(exposed, tmp_path, edit=self.edit(feed))
        assert told(look(config)) == "SEQUENCER", "back for less than its grace"
        later(exposed, GRACE_S + 10)
        assert told(look(config)) == "REBALANCE"
        owner, nonce = exposed.accounts.owner, hedger_nonce(exposed)
        feed.send("setLatestAnswer", 1, exposed.node.timestamp(), sender=owner)
        later(exposed, 10 * GRACE_S)
        down = tick(config)
        assert told(down.record) == "SEQUENCER"
        assert "the sequencer of localnet is down since" in down.record.decision.text
        assert hedger_nonce(exposed) == nonce
