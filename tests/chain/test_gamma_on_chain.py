"""Gamma's vaults, read from the stand-in on a real node: positions, rounds, settlement in cash and by delivery."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from support import opened, write_config

from bot.chain.client import Client
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.core.greeks import price_positions
from bot.core.model import BlockRef, SourceState
from bot.core.target import Target
from bot.core.units import from_raw
from bot.errors import DataError
from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.gamma.deploy import (
    GammaDeployment,
    controller_of,
    create_otoken,
    deploy_gamma,
    open_cash_secured_put,
    open_covered_call,
    oracle_of,
    report_expiry,
    set_price,
    settle,
    token,
)
from bot.localnet.multicall import deploy_multicall
from bot.localnet.node import Node, Reverted
from bot.localnet.world import START_PRICE, World
from bot.options.gamma import GammaAddresses, GammaScope, GammaSource

CALL_GAS = 25_000_000
DAY = 86_400
PRICE = Decimal(2000)
LAST_DIGIT = Decimal("1e-17")
"""The contract rounds a payout down to wei, each of two times."""


class Rig:
    """A node of its own with Multicall3, and whoever writes, buys and settles options."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.multicall = contract("multicall3", deploy_multicall(node))
        self.owner, self.writer, self.buyer, self.keeper, self.second = map(
            to_checksum_address, node.accounts()[:5]
        )
        self.client = Client.of_one("localnet", node.url)
        self.round_trips = 0

    def source(self, gamma: GammaDeployment, *owners: str, **scope: Any) -> GammaSource:
        """The adapter on the stand-in."""
        at = GammaAddresses(gamma.controller, gamma.oracle, gamma.underlying, gamma.strike_asset)
        scope.setdefault("physical", gamma.is_physical)
        return GammaSource("gamma-eth", "localnet", at, GammaScope(owners or (self.writer,), **scope))

    def read(self, source: GammaSource) -> tuple[BlockRef, SourceState]:
        """A state at the head, and in `round_trips` how many batches it took."""
        block = self.client.head()
        asked = self.client.call_at
        self.round_trips = 0

        def counting(*arguments: Any) -> bytes:
            self.round_trips += 1
            return asked(*arguments)

        self.client.call_at = counting  # type: ignore[method-assign]
        try:
            (state,) = drive(self.client, self.multicall, block, [source.read()], CALL_GAS)
        finally:
            self.client.call_at = asked  # type: ignore[method-assign]
        return block, state

    def delta(self, source: GammaSource, price: Decimal = PRICE) -> Decimal:
        """Options and holdings in units of the underlying, by the desk's own pricing."""
        block, state = self.read(source)
        vols = replace(state, positions=tuple(replace(p, vol=0.8) for p in state.positions))
        target = Target(hedge_holdings=True)
        seen: Any = _Seen(price, block.timestamp)
        priced = price_positions(seen, vols, target)
        options = Decimal(str(round(float(priced.values[1].sum()), 9)))
        return options + sum((h.size for h in state.holdings), Decimal(0))

    def after(self, time_s: int) -> None:
        """The chain's time."""
        self.node.set_next_timestamp(time_s)
        self.node.mine()

    def balance(self, asset: str, holder: str, decimals: int = 18) -> Decimal:
        return from_raw(token(self.node, asset).read("balanceOf", holder), decimals)


class _Seen:
    """What the pricing looks at of a snapshot."""

    fit = None

    def __init__(self, spot: Decimal, timestamp: int) -> None:
        self.spot = spot
        self.timestamp = timestamp


@pytest.fixture(scope="module")
def bare() -> Iterator[Rig]:
    with Anvil.start(binary=anvil_binary(), args=("--hardfork", "cancun")) as anvil:
        node = Node(anvil.url)
        yield Rig(node)
        node.close()


@pytest.fixture
def rig(bare: Rig) -> Iterator[Rig]:
    snapshot = bare.node.snapshot()
    # A client sets a provider aside whose height goes back.
    bare.client = Client.of_one("localnet", bare.node.url)
    yield bare
    bare.node.revert(snapshot)


def series(
    rig: Rig, gamma: GammaDeployment, strike: int, *, is_put: bool = False, **more: Any
) -> tuple[str, int]:
    """A series that expires in a week, and when."""
    expiry = rig.node.timestamp() + 7 * DAY
    return create_otoken(rig.node, gamma, Decimal(strike), expiry, is_put=is_put, **more), expiry


def test_a_written_call_and_put_are_read_exactly(rig: Rig) -> None:
    gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
    call, expiry = series(rig, gamma, 2200)
    put, _ = series(rig, gamma, 1800, is_put=True)
    open_covered_call(rig.node, gamma, rig.writer, call, Decimal("12.5"), buyer=rig.buyer)
    open_cash_secured_put(rig.node, gamma, rig.writer, put, Decimal(4), buyer=rig.buyer)
    _, state = rig.read(rig.source(gamma))
    sizes = {(p.strike, p.is_call): p.size for p in state.positions}
    assert sizes == {(Decimal(2200), True): Decimal("-12.5"), (Decimal(1800), False): Decimal(-4)}
    assert {p.expiry for p in state.positions} <= {expiry, expiry + 1, expiry + 2}
    assert [h.size for h in state.holdings] == [Decimal("12.5")]
    assert state.spot == PRICE
    _, bought = rig.read(rig.source(gamma, rig.buyer, otokens=(call, put)))
    assert {(p.strike, p.is_call): p.size for p in bought.positions} == {k: -v for k, v in sizes.items()}
    _, both = rig.read(rig.source(gamma, rig.writer, rig.buyer))
    assert both.positions == ()


@pytest.mark.parametrize("decimals", [(18, 6, 8), (8, 18, 18), (6, 0, 1), (0, 6, 8)])
def test_any_decimals_read_the_same(rig: Rig, decimals: tuple[int, int, int]) -> None:
    coin, money, option = decimals
    gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner, underlying_decimals=coin, strike_decimals=money)
    call, _ = series(rig, gamma, 2200, decimals=option)
    open_covered_call(rig.node, gamma, rig.writer, call, Decimal(7), buyer=rig.buyer)
    _, state = rig.read(rig.source(gamma))
    assert [p.size for p in state.positions] == [Decimal(-7)]
    assert [h.size for h in state.holdings] == [Decimal(7)]


def test_an_option_without_decimals_is_refused(rig: Rig) -> None:
    gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
    call, _ = series(rig, gamma, 2200, decimals=0)
    open_covered_call(rig.node, gamma, rig.writer, call, Decimal(7), buyer=rig.buyer)
    with pytest.raises(DataError, match=f"option {call} says that it has 0 decimals"):
        rig.read(rig.source(gamma))


def test_a_dead_price_leaves_the_spot_to_others(rig: Rig) -> None:
    gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
    oracle_of(rig.node, gamma).send("setPrice", gamma.underlying, 0, sender=rig.owner)
    _, state = rig.read(rig.source(gamma))
    assert state.spot is None


def test_fifty_vaults_of_four_series_are_read_in_four_batches_and_then_in_one(rig: Rig) -> None:
    gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
    calls = [series(rig, gamma, 1500 + 5 * n)[0] for n in range(200)]
    controller = controller_of(rig.node, gamma)
    coin = token(rig.node, gamma.underlying)
    coin.send("mint", rig.writer, 10**24, sender=rig.writer)
    coin.send("approve", gamma.controller, 10**30, sender=rig.writer)
    rig.node.send_together([controller.prepare("openVault", sender=rig.writer) for _ in range(50)])
    for first in range(1, 51, 10):
        rig.node.send_together(
            [
                prepared
                for vault in range(first, first + 10)
                for prepared in (
                    controller.prepare(
                        "depositCollateral", vault, gamma.underlying, 4 * 10**18, sender=rig.writer
                    ),
                    *(
                        controller.prepare("mintShort", vault, call, 10**8, rig.buyer, sender=rig.writer)
                        for call in calls[4 * vault - 4 : 4 * vault]
                    ),
                )
            ]
        )
    source = rig.source(gamma)
    _, state = rig.read(source)
    assert (len(state.positions), sum(p.size for p in state.positions)) == (200, -200)
    assert [h.size for h in state.holdings] == [200]
    assert rig.round_trips <= 4
    rig.read(source)
    assert rig.round_trips == 1
    open_covered_call(rig.node, gamma, rig.writer, calls[0], Decimal(1), buyer=rig.buyer)
    assert len(rig.read(source)[1].positions) == 200
    assert rig.round_trips == 2


class TestCash:
    @pytest.mark.parametrize("price", [1900, 2200, 2317, 9000])
    def test_what_is_left_of_a_settled_vault_is_what_its_owner_gets(self, rig: Rig, price: int) -> None:
        gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
        call, expiry = series(rig, gamma, 2200)
        number = open_covered_call(rig.node, gamma, rig.writer, call, Decimal(3), buyer=rig.buyer)
        source = rig.source(gamma, wallet=True)
        rig.after(expiry + 1)
        report_expiry(rig.node, gamma, expiry, Decimal(price))
        _, settled = rig.read(source)
        left = sum((h.size for h in settled.holdings), Decimal(0))
        assert (settled.positions, settled.settled) == ((), 1)
        settle(rig.node, gamma, rig.writer, number, keeper=rig.keeper)
        paid = rig.balance(gamma.underlying, rig.writer)
        assert abs(left - paid) <= LAST_DIGIT
        _, cleared = rig.read(source)
        assert [h.size for h in cleared.holdings] == [paid]
        assert cleared.settled == 0

    def test_a_buyers_payout_is_what_redeeming_brings(self, rig: Rig) -> None:
        gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
        call, expiry = series(rig, gamma, 2200)
        open_covered_call(rig.node, gamma, rig.writer, call, Decimal(3), buyer=rig.buyer)
        source = rig.source(gamma, rig.buyer, otokens=(call,))
        rig.after(expiry + 1)
        report_expiry(rig.node, gamma, expiry, Decimal(2317))
        _, state = rig.read(source)
        (holding,) = state.holdings
        controller_of(rig.node, gamma).send("redeem", call, 3 * 10**8, sender=rig.buyer)
        assert abs(holding.size - rig.balance(gamma.underlying, rig.buyer)) <= LAST_DIGIT

    def test_nothing_is_settled_before_its_price_is_final_and_a_dispute_is_read(self, rig: Rig) -> None:
        gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner)
        call, expiry = series(rig, gamma, 2200)
        number = open_covered_call(rig.node, gamma, rig.writer, call, Decimal(2), buyer=rig.buyer)
        source = rig.source(gamma)
        rig.after(expiry + 1)
        assert [p.size for p in rig.read(source)[1].positions] == [-2]
        report_expiry(rig.node, gamma, expiry, Decimal(2750), final=False)
        assert [h.size for h in rig.read(source)[1].holdings] == [2 - 2 * Decimal("0.2")]
        with pytest.raises(Reverted, match="CO29"):
            settle(rig.node, gamma, rig.writer, number, keeper=rig.keeper)
        report_expiry(rig.node, gamma, expiry, Decimal(2100))
        _, state = rig.read(source)
        assert [(h.size, h.asset) for h in state.holdings] == [(Decimal(2), "underlying in vaults")]


class TestPhysical:
    @pytest.mark.parametrize("is_put", [False, True], ids=["call", "put"])
    @pytest.mark.parametrize("price", [1700, 2300])
    def test_the_delta_is_the_same_from_before_expiry_until_after_clearing(
        self, rig: Rig, is_put: bool, price: int
    ) -> None:
        gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner, physical=True)
        option, expiry = series(rig, gamma, 2000, is_put=is_put)
        write = open_cash_secured_put if is_put else open_covered_call
        number = write(rig.node, gamma, rig.writer, option, Decimal(5), buyer=rig.buyer)
        source, now = rig.source(gamma, wallet=True), Decimal(price)
        set_price(rig.node, gamma, now)
        rig.after(expiry - 60)
        deltas = [rig.delta(source, now)]
        rig.after(expiry + 1)
        deltas.append(rig.delta(source, now))
        report_expiry(rig.node, gamma, expiry, now, final=False)
        deltas.append(rig.delta(source, now))
        report_expiry(rig.node, gamma, expiry, now)
        deltas.append(rig.delta(source, now))
        settle(rig.node, gamma, rig.writer, number, keeper=rig.keeper)
        deltas.append(rig.delta(source, now))
        kept = Decimal(5) if price < 2000 else Decimal(0)
        assert deltas == [kept] * 5
        assert rig.balance(gamma.underlying, rig.writer) == kept

    def test_an_exercised_call_brings_its_writer_the_strikes_money(self, rig: Rig) -> None:
        gamma = deploy_gamma(rig.node, PRICE, owner=rig.owner, physical=True)
        call, expiry = series(rig, gamma, 2000)
        number = open_covered_call(rig.node, gamma, rig.writer, call, Decimal(5), buyer=rig.buyer)
        rig.after(expiry + 1)
        report_expiry(rig.node, gamma, expiry, Decimal(2300))
        settle(rig.node, gamma, rig.writer, number, keeper=rig.keeper)
        assert rig.balance(gamma.strike_asset, rig.writer, 6) == 10_000
        assert rig.balance(gamma.underlying, rig.keeper) == 5
        assert rig.balance(gamma.underlying, gamma.controller) == 0


def test_the_desk_hedges_a_book_of_gamma_vaults_and_declared_trades(world: World, tmp_path: Path) -> None:
    node, accounts = world.node, world.accounts
    snapshot = node.snapshot()
    try:
        writer, buyer = accounts.traders[:2]
        gamma = deploy_gamma(node, START_PRICE, owner=accounts.owner)
        expiry = node.timestamp() + 7 * DAY
        put = create_otoken(node, gamma, Decimal(2400), expiry, is_put=True)
        open_cash_secured_put(node, gamma, writer, put, Decimal(10), buyer=buyer)
        (tmp_path / "otc.toml").write_text(
            f'underlying = "ETH"\nas_of = {node.timestamp()}\n[[holdings]]\nasset = "coins"\nsize = "3"\n',
            encoding="utf-8",
        )
        sources = [
            {
                "kind": "opyn_gamma",
                "name": "gamma-eth",
                "chain": "localnet",
                "controller": gamma.controller,
                "oracle": gamma.oracle,
                "owners": [writer],
                "underlying": gamma.underlying,
                "strike_asset": gamma.strike_asset,
            },
            {"kind": "declared", "name": "otc", "path": "otc.toml", "underlying": "ETH", "max_age_s": 3600},
        ]

        def edit(document: Any) -> None:
            document["books"][0].update({"sources": sources, "vols": {"kind": "constant", "vol": "0.6"}})

        with opened(write_config(world, tmp_path, edit=edit), trades=True) as app:
            tick = app.desk.tick(app.desk.books[0])
            assert [s.name for s in tick.record.snapshot.sources] == ["gamma-eth", "otc (declared)"]
            assert tick.record.exposure.holdings == 3
            assert 8 < tick.record.exposure.options < 10
            position = app.desk.tick(app.desk.books[0]).record.snapshot.venue.position.size
            assert position == pytest.approx(-Decimal(tick.record.exposure.options) - 3, abs=Decimal("0.5"))
    finally:
        node.revert(snapshot)
