"""Chains that are poorer than an archive node: no Multicall3, no history, few blocks of events at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import CALL_GAS, curie_venue, lyra_source, opened, write_config

from bot.chain.client import Client, Provider, ProviderRules
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.errors import DataError
from bot.localnet.market import Market
from bot.localnet.proxy import FaultProxy
from bot.localnet.proxy_rules import altering, before, without_history
from bot.localnet.world import World
from bot.ports import Balance, Call, Reader, Reverted


@pytest.fixture
def exposed(fresh: World) -> World:
    """A world whose pool has sold options, so that there is something to hedge."""
    market = Market(fresh, 3)
    market.open_interest(14)
    market.refresh()
    return fresh


@pytest.fixture
def proxy(exposed: World) -> Iterator[FaultProxy]:
    with FaultProxy(exposed.url) as made:
        yield made


def behind(proxy: FaultProxy, **rules: Any) -> Client:
    provider = Provider("localnet provider 1", proxy.url)
    return Client("localnet", [provider], [provider], ProviderRules(**rules))


def balance(address: str) -> Reader[int]:
    return (yield [Balance(address)])[0]


def refused(call: Call) -> Reader[list[Any]]:
    return (yield [call])


class TestWithoutMulticall:
    def test_the_same_readers_have_the_same_results_either_way(self, exposed: World) -> None:
        client, multicall = Client.of_one("localnet", exposed.url), contract("multicall3", exposed.multicall)
        house = contract("curie_clearing_house", exposed.curie.clearing_house)
        usdc = contract("erc20", exposed.curie.usdc)
        broken = usdc.call("allowance", exposed.accounts.hedger, exposed.accounts.hedger, may_fail=True)
        broken = Call(house.address, broken.data, "broken", broken.decode, broken.explain, may_fail=True)

        def read(through: Any, block: Any) -> list[Any]:
            readers = [
                lyra_source(exposed).read(),
                curie_venue(exposed).read(),
                balance(exposed.accounts.hedger),
                refused(broken),
            ]
            return drive(client, through, block, readers, CALL_GAS)

        block = client.head()
        exposed.node.mine()  # what is read is the pinned block, not the latest
        through, batched = read(multicall, block), read(None, block)
        assert through == batched
        assert len(batched[0].positions) > 0
        assert (
            batched[2] == int(exposed.node.rpc("eth_getBalance", exposed.accounts.hedger, "latest"), 16) > 0
        )
        assert isinstance(batched[3][0], Reverted)

    def test_a_round_is_one_request(self, exposed: World, proxy: FaultProxy) -> None:
        exchanges: list[int] = []
        client = behind(proxy)
        block = client.head()
        proxy.watch = lambda exchange: exchanges.append(len(exchange.parts))
        drive(client, None, block, [lyra_source(exposed).read(), curie_venue(exposed).read()], CALL_GAS)
        assert len(exchanges) == 2, "both adapters need two rounds"
        assert all(parts > 1 for parts in exchanges)

    def test_a_live_tick_hedges(self, exposed: World, tmp_path: Path) -> None:
        def without(document: Any) -> None:
            document["chains"]["localnet"]["multicall"] = ""
            document["books"][0]["limits"]["min_native"] = "0.1"

        with opened(write_config(exposed, tmp_path, edit=without)) as app:
            done = app.desk.tick(app.desk.books[0])
            assert done.outcome is not None
            assert done.outcome.fill is not None
            assert done.record.snapshot.native is not None
            assert app.desk.tick(app.desk.books[0]).record.decision.kind == "hold"


class TestWithoutHistory:
    """A node that answers the latest state whatever block is asked for, as HyperEVM's public ones do."""

    def test_while_no_block_comes_it_says_what_is_so(
        self, exposed: World, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        proxy.rule = without_history
        with opened(self.config(exposed, proxy, tmp_path)) as app:
            assert app.desk.assess(app.desk.books[0]).decision.kind == "rebalance"

    def test_a_later_state_is_refused_and_the_node_is_named(
        self, exposed: World, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        self.a_block_before_every_read(exposed, proxy)
        with opened(self.config(exposed, proxy, tmp_path)) as app:
            said = r"localnet provider 1: asked for block \d+, the node answered from block \d+: it keeps no history"
            with pytest.raises(DataError, match=said):
                app.desk.tick(app.desk.books[0])
            assert app.ledger.orders("eth") == []

    @pytest.mark.parametrize("multicall", [True, False])
    def test_with_drift_blocks_it_is_traded_on(
        self, exposed: World, proxy: FaultProxy, tmp_path: Path, multicall: bool
    ) -> None:
        self.a_block_before_every_read(exposed, proxy)
        config = self.config(
            exposed, proxy, tmp_path, drift_blocks=4, **({} if multicall else {"multicall": ""})
        )
        with opened(config) as app:
            done = app.desk.tick(app.desk.books[0])
            assert done.outcome is not None
            assert done.outcome.fill is not None
        asked = [request.params[1] for request in proxy.asked if request.method == "eth_call"]
        assert set(asked) <= {"latest", "pending"}

    def test_beyond_the_drift_blocks_it_is_refused(
        self, exposed: World, proxy: FaultProxy, tmp_path: Path
    ) -> None:
        self.a_block_before_every_read(exposed, proxy, 3)
        config = self.config(exposed, proxy, tmp_path, drift_blocks=2)
        with opened(config) as app, pytest.raises(DataError, match="and drift_blocks allows 2 more"):
            app.desk.tick(app.desk.books[0])

    def a_block_before_every_read(self, world: World, proxy: FaultProxy, blocks: int = 1) -> None:
        def mine() -> None:
            for _ in range(blocks):
                world.node.mine()

        late = before(mine, without_history)
        proxy.rule = lambda exchange: (late if exchange.asks("eth_call") else without_history)(exchange)

    def config(self, world: World, proxy: FaultProxy, folder: Path, **chain: Any) -> Path:
        def edit(document: Any) -> None:
            document["chains"]["localnet"].update({"rpc_urls": [proxy.url], **chain})

        return write_config(world, folder, edit=edit)


def test_a_node_with_a_parents_numbers_is_believed_by_its_time(exposed: World, proxy: FaultProxy) -> None:
    """Arbitrum's contracts see the number of an Ethereum block."""
    multicall = contract("multicall3", exposed.multicall)

    def parents(_params: list[Any], result: str) -> str:
        rows = multicall.abi.decode_output("aggregate3", bytes.fromhex(result[2:]))
        word = rows[0]["returnData"].hex()
        return result.replace(word, f"{21_000_000:064x}", 1)

    proxy.rule = altering("eth_call", parents)
    with pytest.raises(DataError, match="parent_numbers = true"):
        drive(behind(proxy), multicall, behind(proxy).head(), [curie_venue(exposed).read()], CALL_GAS)
    arbitrum = behind(proxy, parent_numbers=True)
    drive(arbitrum, multicall, arbitrum.head(), [curie_venue(exposed).read()], CALL_GAS)
