"""The local world: real anvil, real protocols, and a market that moves."""

import os
import time
from decimal import Decimal
from pathlib import Path

import pytest
from eth_account import Account

from bot.errors import ConfigError
from bot.localnet import cached_state
from bot.localnet.curie import sqrt_price_x96
from bot.localnet.flows import OptionType, PositionState, Traders
from bot.localnet.lyra_parameters import DAY, HOUR, MAX_UINT, wei
from bot.localnet.market import Market
from bot.localnet.node import Node, Reverted
from bot.localnet.opening import open_markets
from bot.localnet.world import START_PRICE, World, start_world


def _head(node: Node) -> str:
    return str(node.rpc("eth_getBlockByNumber", "latest", False)["hash"])


def _prices(world: World) -> set[Decimal]:
    """What everybody says ETH costs, USD to 8 decimals."""
    spot = world.lyra_contract("synthetix_adapter").read("getSpotPriceForMarket", world.lyra.option_market)
    answer = world.curie_contract("aggregator").read("latestRoundData")[1]
    index = world.curie_contract("base_token").read("getIndexPrice", 0)
    square_root = world.curie_contract("pool").read("slot0")[0]
    return {
        Decimal(spot) / 10**18,
        Decimal(answer) / 10**8,
        Decimal(index) / 10**18,
        (Decimal(square_root**2 * 10**18 // 2**192) / 10**18).quantize(Decimal("1E-8")),
    }


def _positions(world: World) -> list[dict[str, int]]:
    tokens = world.lyra_contract("option_token")
    return list(tokens.read("getOptionPositions", list(range(1, tokens.read("nextId")))))


class TestStart:
    @pytest.fixture
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where this test's worlds are cached, empty at first."""
        monkeypatch.setattr(cached_state, "folder", lambda node, short_only: tmp_path / "world")
        return tmp_path / "world"

    def test_the_cached_world_is_the_deployed_one_and_quicker(self, place: Path) -> None:
        seconds, heads, said = [], [], list[str]()
        for _ in range(2):
            begun = time.perf_counter()
            with start_world(short_only=True, progress=said.append) as world:
                seconds.append(time.perf_counter() - begun)
                heads.append(_head(world.node))
                world.node.mine()
                assert world.node.block_number() > world.lyra_contract("option_token").read("nextId")
        assert heads[0] == heads[1]
        assert seconds[1] < seconds[0]
        assert sum("Deploying a local world" in line for line in said) == 1

    @pytest.mark.parametrize("file", ["state.bin", "world.json"])
    def test_a_damaged_cache_is_deployed_again(self, place: Path, file: str) -> None:
        with start_world(short_only=True) as world:
            head = _head(world.node)
        content = (place / file).read_bytes()
        (place / file).write_bytes(content[:-9] + b"x" + content[-8:])
        said: tuple[list[str], list[str]] = ([], [])
        for lines in said:
            with start_world(short_only=True, progress=lines.append) as world:
                assert _head(world.node) == head
        assert "Deploying a local world (once; kept in the cache)" in said[0]
        assert said[1] == []

    def test_anvil_is_gone_after_the_world(self, world: World) -> None:
        with start_world(short_only=True) as another:
            pid = another.anvil.pid
            assert another.url != world.url
            os.kill(pid, 0)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_a_world_in_real_time_runs_with_the_wall_clock(self) -> None:
        now = int(time.time())
        with start_world(short_only=True, timestamp=now) as world:
            open_markets(world)
            Market(world, 1).advance(int(time.time()), START_PRICE)
            assert now <= world.node.timestamp() <= time.time() + 60
            feed = world.curie_contract("price_feed")
            assert not feed.read("isTimedOut")
            mark = world.curie_contract("account_balance").read("getMarkPrice", world.curie.base_token)
            assert mark == pytest.approx(2_000e18, rel=1e-3)

    def test_a_world_cannot_start_before_it_was_made(self) -> None:
        with pytest.raises(ConfigError, match="can't start at 1000"):
            start_world(short_only=True, timestamp=1_000)


class TestOpening:
    def test_the_hedger_has_collateral_and_no_allowance_left(self, world: World) -> None:
        vault, usdc, hedger = (
            world.curie_contract("vault"),
            world.curie_contract("usdc"),
            world.accounts.hedger,
        )
        assert vault.read("getFreeCollateral", hedger) == 200_000 * 10**6
        assert usdc.read("allowance", hedger, vault.address) == 0

    def test_the_hedgers_key_is_the_hedgers(self, world: World) -> None:
        assert Account.from_key(world.hedger_key).address == world.accounts.hedger

    def test_everybody_agrees_on_the_first_price(self, world: World) -> None:
        (price,) = {price.quantize(Decimal("0.01")) for price in _prices(world)}
        assert price == START_PRICE

    def test_multicall_reads_several_contracts_at_once(self, world: World) -> None:
        assert world.node.code_size(world.multicall) == 3808

    def test_a_pool_with_the_defaults_buys_base_and_a_short_only_one_does_not(self, fresh: World) -> None:
        Traders(fresh, 3).open(6)
        assert fresh.lyra_contract("base_asset").read("balanceOf", fresh.lyra.liquidity_pool) == 0
        with start_world(short_only=False) as buying:
            open_markets(buying)
            Traders(buying, 3).open(6)
            assert buying.lyra_contract("base_asset").read("balanceOf", buying.lyra.liquidity_pool) > 0


class TestMarket:
    @pytest.mark.parametrize("move", ["1.08", "0.92"])
    def test_prices_agree_after_a_move(self, fresh: World, move: str) -> None:
        market = Market(fresh, 1)
        price = START_PRICE * Decimal(move) + Decimal("0.12345678")
        market.set_time(fresh.node.timestamp() + 300)
        market.set_price(price)
        assert market.arbitrage() == 1
        assert _prices(fresh) == {price}

    @pytest.mark.parametrize("move", ["1.20", "0.80"])
    def test_a_jump_is_followed_in_clips(self, fresh: World, move: str) -> None:
        market, begun = Market(fresh, 1), fresh.node.timestamp()
        trades = market.advance(begun + 300, START_PRICE * Decimal(move))
        assert trades > 1
        assert _prices(fresh) == {START_PRICE * Decimal(move)}
        assert fresh.node.timestamp() >= begun + 300 + 16 * (trades - 1)

    def test_one_step_can_be_one_block(self, fresh: World) -> None:
        market, begun, height = Market(fresh, 1), fresh.node.timestamp(), fresh.node.block_number()
        assert market.advance(begun + 300, Decimal("2011.5")) == 1
        assert (fresh.node.timestamp(), fresh.node.block_number()) == (begun + 300, height + 1)
        assert _prices(fresh) == {Decimal("2011.5")}

    def test_time_never_goes_back(self, fresh: World) -> None:
        market, now = Market(fresh, 1), fresh.node.timestamp()
        assert market.set_time(now - 100) == now
        assert market.set_time(now + 100) == now + 100

    def test_an_expired_board_is_settled_and_replaced(self, fresh: World) -> None:
        market = Market(fresh, 4)
        assert market.open_interest(12) == 12
        options = fresh.lyra_contract("option_market")
        first = options.read("getOptionBoard", 1)
        market.set_time(first["expiry"])
        with pytest.raises(Reverted, match="CannotUpdateExpiredBoard"):
            market.refresh()
        assert market.settle_expired() == 1
        assert market.settle_expired() == 0
        market.refresh()
        strikes = set(first["strikeIds"])
        held = [position for position in _positions(fresh) if position["strikeId"] in strikes]
        assert held
        assert {position["state"] for position in held} == {PositionState.SETTLED}
        live = options.read("getLiveBoards")
        assert len(live) == 3
        expiry = options.read("getOptionBoard", max(live))["expiry"]
        assert expiry == pytest.approx(first["expiry"] + 7 * DAY, abs=60)

    def test_traders_leave_the_pool_short(self, fresh: World) -> None:
        market, begun = Market(fresh, 2), fresh.node.timestamp()
        assert market.open_interest(16) == 16
        for hour in range(1, 7):
            market.set_time(begun + hour * HOUR)
            market.trade_flows()
        market.refresh()
        net_delta = fresh.lyra_contract("greek_cache").read("getGlobalNetDelta")
        assert 5e18 < net_delta < 80e18
        held = [position for position in _positions(fresh) if position["state"] == PositionState.ACTIVE]
        bought = [position["amount"] for position in held if position["optionType"] <= OptionType.LONG_PUT]
        assert sum(bought) > 0.6 * sum(position["amount"] for position in held)

    def test_funding_is_settled_once_an_hour(self, fresh: World) -> None:
        market, begun = Market(fresh, 1), fresh.node.timestamp()
        assert [market.poke_funding() for _ in range(2)] == [False, False]
        market.set_time(begun + HOUR)
        assert [market.poke_funding() for _ in range(2)] == [True, False]

    def test_a_refused_trade_is_counted(self, fresh: World) -> None:
        market = Market(fresh, 1)
        market.set_price(Decimal(3_500))
        assert market.open_interest(3) == 0
        assert market.skipped == {"nothing to trade": 3}

    def test_the_same_seed_gives_the_same_chain(self) -> None:
        heads = []
        for seed in (5, 5, 6):
            with start_world(short_only=True) as world:
                open_markets(world)
                market, begun = Market(world, seed), world.node.timestamp()
                market.open_interest(4)
                for hour in range(1, 5):
                    market.advance(begun + hour * HOUR, START_PRICE + 10 * hour)
                    market.trade_flows()
                heads.append(_head(world.node))
        assert heads[0] == heads[1]
        assert heads[0] != heads[2]


class TestNode:
    def test_a_revert_is_named(self, fresh: World) -> None:
        order = {
            "strikeId": 1,
            "positionId": 0,
            "iterations": 1,
            "optionType": OptionType.LONG_CALL,
            "amount": wei(1_000),
            "setCollateralTo": 0,
            "minTotalCost": 0,
            "maxTotalCost": MAX_UINT,
        }
        fresh.lyra_contract("pricer")
        market, trader = fresh.lyra_contract("option_market"), fresh.accounts.traders[0]
        for attempt in (market.send, market.read):
            with pytest.raises(Reverted) as refused:
                attempt("openPosition", order, sender=trader)
            assert refused.value.name == "VolSkewOrBaseIvOutsideOfTradingBounds"

    def test_one_refused_call_of_several_in_a_block_is_named(self, fresh: World) -> None:
        usdc, owner, trader = fresh.curie_contract("usdc"), fresh.accounts.owner, fresh.accounts.traders[0]
        calls = [usdc.prepare("mint", trader, 7, sender=sender) for sender in (owner, trader)]
        height = fresh.node.block_number()
        with pytest.raises(Reverted, match="only permitted"):
            fresh.node.send_together(calls)
        assert fresh.node.block_number() == height + 1
        assert usdc.read("balanceOf", trader) == 7

    def test_a_snapshot_drops_what_was_waiting(self, fresh: World) -> None:
        node, (sender, other) = fresh.node, fresh.accounts.traders[:2]
        snapshot, before = node.snapshot(), node.block_number()
        node.rpc("evm_setAutomine", False)
        node.rpc("eth_sendTransaction", {"from": sender, "to": other, "value": hex(1)})
        node.revert(snapshot)
        node.rpc("evm_setAutomine", True)
        node.mine()
        latest = node.rpc("eth_getBlockByNumber", "latest", False)
        assert latest["transactions"] == []
        assert node.block_number() == before + 1

    def test_the_pool_price_is_exact(self) -> None:
        assert sqrt_price_x96(Decimal(4)) == 2 * 2**96
