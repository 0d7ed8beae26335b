"""The option pool as the source reads it, against the pool itself on a real chain.

The yardstick is the pool's own NAV: bumping the spot price on chain and refreshing the pool's greeks must move the NAV
by the delta that the source and the pricing give.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support import hedger_nonce, lyra_source, opened, read_part, read_source, read_venue, rows, write_config

from bot.config import load_config
from bot.core.exposure import measure
from bot.core.greeks import position_greeks, price_book
from bot.core.model import BlockRef, Exposure, Snapshot, SourceState, VolsUsed
from bot.core.target import Doubts, Target
from bot.errors import DataError
from bot.localnet.deploy_lyra import BASE_KEY
from bot.localnet.flows import OptionType, PositionState
from bot.localnet.lyra_parameters import HOUR, wei
from bot.localnet.market import Market
from bot.localnet.opening import open_markets
from bot.localnet.world import START_PRICE, World, start_world
from bot.options.lyra import LyraAddresses, LyraSource

CLOSE_ENOUGH = 5e-5
"""Of the gross delta: what a finite bump leaves near a strike."""
WITH_SETTLEMENT = 1e-3
"""The same where the bumped chain settles a board: the protocol's fee on covered calls is not in a delta."""
TRADES = 14
SEED = 3


@pytest.fixture(scope="module")
def default_world() -> Iterator[World]:
    """A world whose pool buys base against its calls and hedges itself, as the protocol ships."""
    with start_world(short_only=False) as started:
        open_markets(started)
        yield started


@pytest.fixture(params=["short only", "protocol defaults"])
def vault(request: pytest.FixtureRequest, world: World, default_world: World) -> Iterator[World]:
    """Either setting of the pool, after trades, put back after the test."""
    chosen = world if request.param == "short only" else default_world
    snapshot = chosen.node.snapshot()
    market = Market(chosen, SEED)
    assert market.open_interest(TRADES) > TRADES / 2
    market.refresh()
    yield chosen
    chosen.node.revert(snapshot)


def exposure_of(world: World) -> Exposure:
    """What the desk would measure of the pool now, at the head's own time."""
    block, source = read_source(world)
    return exposed(snapshot_of(world, block, source))


def snapshot_of(world: World, block: BlockRef, source: SourceState) -> Snapshot:
    return Snapshot(
        book="eth",
        underlying="ETH",
        at=block.timestamp,
        blocks=(block,),
        sources=(source,),
        vols=VolsUsed("vault", block.timestamp),
        venue=read_venue(world),
        spot=source.spot,
        native_usd=source.spot,
        gas_price_wei=0,
    )


def exposed(seen: Snapshot) -> Exposure:
    """All of it hedged, its inputs taken as exact."""
    return measure(seen, price_book(seen, Target()), Target(), Doubts(Decimal(0), Decimal(0)))


def nav(world: World) -> float:
    return float(world.lyra_contract("liquidity_pool").read("getTotalPoolValueQuote")) / 1e18


def refresh(world: World) -> None:
    world.lyra_contract("keeper_helper").send("updateAllBoardCachedGreeks", sender=world.accounts.keeper)


def hedge_delta(world: World) -> None:
    world.lyra_contract("pool_hedger").send("hedgeDelta", sender=world.accounts.keeper)
    refresh(world)


def settle_first_board(world: World) -> None:
    market = world.lyra_contract("option_market")
    market.send("settleExpiredBoard", market.read("getLiveBoards")[0], sender=world.accounts.keeper)


def at_price(
    world: World, price: Decimal, then: Callable[[World], None], ask: Callable[[World], object]
) -> float:
    """What `ask` gives in a chain that takes `price` and `then`, and forgets both."""
    snapshot = world.node.snapshot()
    try:
        Market(world, SEED).set_price(price)
        then(world)
        answer = ask(world)
        assert isinstance(answer, float)
        return answer
    finally:
        world.node.revert(snapshot)


def delta_error(world: World, bump: Decimal, then: Callable[[World], None] = refresh) -> float:
    """Our delta of the pool against its NAV's slope, in parts of the gross delta."""
    spot = Market(world, SEED).spot()
    up, down = (at_price(world, spot + side * bump, then, nav) for side in (1, -1))
    # The unbumped chain takes the same blocks, so both sides stand at the same second.
    ours = at_price(world, spot, refresh if then is refresh else nothing, lambda w: exposure_of(w).unhedged)
    gross = exposure_of(world).gross
    return ((up - down) / float(2 * bump) - ours) / gross


def nothing(_world: World) -> None:
    """Leaves the chain alone."""


def active_tokens(world: World) -> list[dict[str, int]]:
    """The options that the traders hold, as the token contract lists them."""
    tokens = world.lyra_contract("option_token")
    every = tokens.read("getOptionPositions", list(range(1, tokens.read("nextId"))))
    return [token for token in every if token["state"] == PositionState.ACTIVE]


def first_strikes(world: World) -> set[int]:
    return set(world.lyra_contract("option_market").read("getOptionBoard", 1)["strikeIds"])


def strikes_of(world: World) -> dict[int, dict[str, int]]:
    """Every live strike with its board's expiry."""
    market = world.lyra_contract("option_market")
    found: dict[int, dict[str, int]] = {}
    for board_id in market.read("getLiveBoards"):
        board, strikes, _, _ = market.read("getBoardAndStrikeDetails", board_id)
        found |= {strike["id"]: {**strike, "expiry": board["expiry"]} for strike in strikes}
    return found


class TestDelta:
    @pytest.mark.parametrize("price", ["1800", "1930", "2000", "2051.37", "2200"])
    def test_the_delta_is_the_navs_slope_at_every_price(self, vault: World, price: str) -> None:
        market = Market(vault, SEED)
        market.advance(vault.node.timestamp() + 600, Decimal(price))
        refresh(vault)
        assert abs(delta_error(vault, Decimal("0.5"))) < CLOSE_ENOUGH

    def test_it_is_after_the_pool_hedged_itself(self, default_world: World) -> None:
        snapshot = default_world.node.snapshot()
        market = Market(default_world, SEED)
        market.open_interest(TRADES)
        market.refresh()
        before = exposure_of(default_world)
        assert abs(before.unhedged) > 1, "the pool has something to hedge"
        hedge_delta(default_world)
        assert abs(exposure_of(default_world).unhedged) < 0.001
        assert abs(delta_error(default_world, Decimal("0.5"))) < CLOSE_ENOUGH
        for price in ("1850", "2150"):
            market.advance(default_world.node.timestamp() + 600, Decimal(price))
            refresh(default_world)
            assert abs(exposure_of(default_world).unhedged) > 1, "the hedge is of another price"
            assert abs(delta_error(default_world, Decimal("0.5"))) < CLOSE_ENOUGH
        default_world.node.revert(snapshot)

    @pytest.mark.parametrize(("before_s", "bump"), [(HOUR, "0.5"), (600, "0.2"), (30, "0.05")])
    def test_it_is_just_before_an_expiry(self, vault: World, before_s: int, bump: str) -> None:
        market = Market(vault, SEED)
        expiry = vault.lyra_contract("option_market").read("getOptionBoard", 1)["expiry"]
        market.set_time(expiry - before_s)
        market.set_price(Decimal(2003))  # near a strike, where gamma is at its largest
        refresh(vault)
        assert abs(delta_error(vault, Decimal(bump))) < CLOSE_ENOUGH

    @pytest.mark.parametrize("price", ["1900", "1960", "2003", "2100"])
    def test_it_is_while_an_expired_board_waits_for_its_settlement(self, vault: World, price: str) -> None:
        expiry = vault.lyra_contract("option_market").read("getOptionBoard", 1)["expiry"]
        market = Market(vault, SEED)
        market.set_time(expiry + 60)
        market.set_price(Decimal(price))

        def settle_and_refresh(world: World) -> None:
            settle_first_board(world)  # at the price of this very moment
            refresh(world)

        expired = [p for p in read_source(vault)[1].positions if p.expiry <= expiry]
        assert expired, "an expired board's positions are still there"
        assert abs(delta_error(vault, Decimal(1), settle_and_refresh)) < WITH_SETTLEMENT

    def test_settled_and_unpaid_positions_carry_none(self, vault: World) -> None:
        expiry = vault.lyra_contract("option_market").read("getOptionBoard", 1)["expiry"]
        Market(vault, SEED).set_time(expiry + 60)
        due = len([p for p in active_tokens(vault) if p["strikeId"] in first_strikes(vault)])
        settle_first_board(vault)
        refresh(vault)
        _, source = read_source(vault)
        assert source.settled == due > 0
        assert all(position.expiry > expiry for position in source.positions)
        assert abs(delta_error(vault, Decimal("0.5"))) < CLOSE_ENOUGH

    def test_the_cached_delta_of_the_pool_is_ours_right_after_a_refresh_and_not_after_a_move(
        self, vault: World
    ) -> None:
        (check,) = exposure_of(vault).checks
        assert check.ours == pytest.approx(check.theirs, abs=1e-6)
        Market(vault, SEED).set_price(Decimal(2200))
        (aged,) = exposure_of(vault).checks
        assert aged.theirs == check.theirs
        assert abs(aged.ours - aged.theirs) > 1


class TestPositions:
    def test_they_are_minus_the_open_interest(self, vault: World) -> None:
        held: Counter[tuple[int, Decimal, bool]] = Counter()
        for strike in strikes_of(vault).values():
            at = (strike["expiry"], Decimal(strike["strikePrice"]) / 10**18)
            held[*at, True] += strike["longCall"] - strike["shortCallBase"] - strike["shortCallQuote"]
            held[*at, False] += strike["longPut"] - strike["shortPut"]
        ours = {(p.expiry, p.strike, p.is_call): p.size for p in read_source(vault)[1].positions}
        assert ours == {at: -Decimal(size) / 10**18 for at, size in held.items() if size}

    def test_they_are_minus_the_sum_of_the_traders_tokens(self, vault: World) -> None:
        strikes, held = strikes_of(vault), Counter[tuple[int, Decimal, bool]]()
        for token in active_tokens(vault):
            kind, strike = OptionType(token["optionType"]), strikes[token["strikeId"]]
            long = kind in (OptionType.LONG_CALL, OptionType.LONG_PUT)
            is_call = kind not in (OptionType.LONG_PUT, OptionType.SHORT_PUT_QUOTE)
            at = (strike["expiry"], Decimal(strike["strikePrice"]) / 10**18, is_call)
            held[at] += token["amount"] if long else -token["amount"]
        ours = {(p.expiry, p.strike, p.is_call): p.size for p in read_source(vault)[1].positions}
        assert ours == {at: -Decimal(size) / 10**18 for at, size in held.items() if size}

    def test_their_values_are_the_pools_own(self, vault: World) -> None:
        # Some hours after the trades the averaged vols differ from those that the traders see.
        market = Market(vault, SEED)
        for hour in range(1, 4):
            market.advance(vault.node.timestamp() + hour * HOUR, START_PRICE + 15 * hour)
            market.trade_flows()
        refresh(vault)
        cache = vault.lyra_contract("greek_cache")
        block, source = read_source(vault)
        greeks = position_greeks(price_book(snapshot_of(vault, block, source), Target()))
        assert greeks
        strikes = strikes_of(vault)
        by_name = {
            (strike["expiry"], strike["strikePrice"]): cache.read("getStrikeCache", strike_id)["greeks"]
            for strike_id, strike in strikes.items()
        }
        for position, row in zip(source.positions, greeks, strict=True):
            theirs = by_name[position.expiry, int(position.strike * 10**18)]
            kind = "call" if position.is_call else "put"
            assert row.value / row.size == pytest.approx(theirs[f"{kind}Price"] / 1e18, rel=1e-9)
            assert row.delta / row.size == pytest.approx(theirs[f"{kind}Delta"] / 1e18, rel=1e-9)
        debt = cache.read("getGlobalCache")["netGreeks"]["netOptionValue"] / 1e18
        assert sum(row.value for row in greeks) == pytest.approx(-debt, rel=1e-9)

    def test_a_pool_without_positions_has_no_delta(self, fresh: World) -> None:
        exposure = exposure_of(fresh)
        assert (exposure.value, exposure.unhedged, exposure.gross) == (0, 0, 0)

    def test_those_that_ended_are_not_asked_for_again_and_new_ones_are_found(self, fresh: World) -> None:
        market, source = Market(fresh, SEED), lyra_source(fresh)
        market.open_interest(4)
        first = read_part(fresh, source)[1]
        token = next(t for t in active_tokens(fresh) if t["optionType"] == OptionType.LONG_CALL)
        order = {
            "strikeId": token["strikeId"],
            "positionId": token["positionId"],
            "iterations": 1,
            "optionType": token["optionType"],
            "amount": token["amount"],
            "setCollateralTo": 0,
            "minTotalCost": 0,
            "maxTotalCost": 2**256 - 1,
        }
        owner = fresh.lyra_contract("option_token").read("ownerOf", token["positionId"])
        snapshot = fresh.node.snapshot()
        fresh.lyra_contract("option_market").send("closePosition", order, sender=owner)
        market.open_interest(3)
        for _ in range(2):
            second = read_part(fresh, source)[1]
            assert second == read_source(fresh)[1], "a reader with a memory sees what a new one sees"
        assert second.positions != first.positions
        # A reorg brings the position back: the memory is wrong, says so, and mends itself.
        fresh.node.revert(snapshot)
        with pytest.raises(DataError, match="its positions sum to"):
            read_part(fresh, source)
        assert read_part(fresh, source)[1].positions == first.positions


class TestRefusals:
    @pytest.mark.parametrize(
        ("spot", "invalid", "reason"),
        [(START_PRICE, True, "RateIsInvalid"), (Decimal(10**6), False, "OptionValueDebtExceedsTotalAssets")],
        ids=["the oracle says that its rate is invalid", "the pool can't pay its options"],
    )
    def test_a_pool_that_reverts_is_named_with_the_reason_and_nothing_is_sent(
        self, fresh: World, tmp_path: Path, spot: Decimal, invalid: bool, reason: str
    ) -> None:
        Market(fresh, SEED).open_interest(TRADES)
        refresh(fresh)
        rates = fresh.lyra_contract("exchange_rates")
        rates.send("setRateAndInvalid", BASE_KEY, wei(spot), invalid, sender=fresh.accounts.owner)
        if not invalid:
            refresh(fresh)
        nonce, height = hedger_nonce(fresh), fresh.node.block_number()
        config = write_config(fresh, tmp_path)
        with (
            opened(config) as app,
            pytest.raises(DataError, match=rf"lyra_viewer\.getMarket at 0x\w{{40}} reverted: {reason}\("),
        ):
            app.desk.tick(app.desk.books[0])
        assert (hedger_nonce(fresh), fresh.node.block_number()) == (nonce, height)
        assert rows(load_config(config).ledger, "SELECT count(*) FROM intents") == [(0,)]

    @pytest.mark.parametrize(
        "field", ["option_token", "greek_cache", "liquidity_pool", "pool_hedger", "base_asset"]
    )
    def test_an_address_of_something_else_is_named(self, fresh: World, field: str) -> None:
        lyra = fresh.lyra
        addresses = {
            "viewer": lyra.viewer,
            "market": lyra.option_market,
            "option_token": lyra.option_token,
            "greek_cache": lyra.greek_cache,
            "liquidity_pool": lyra.liquidity_pool,
            "pool_hedger": lyra.pool_hedger,
            "base_asset": lyra.base_asset,
            "exchange_adapter": lyra.synthetix_adapter,
        }
        # It answers every question that is asked of it, but it is not this market's.
        twin = deploy_twin(fresh, addresses[field])
        source = LyraSource("lyra-eth", "localnet", LyraAddresses(**{**addresses, field: twin}))
        with pytest.raises(
            DataError, match=f"lyra-eth: {field} is not the market's, which is {addresses[field]}"
        ):
            read_part(fresh, source)


def deploy_twin(world: World, address: str) -> str:
    """Another contract with the same code and the same state."""
    twin = "0x00000000000000000000000000000000000071a1"
    node = world.node
    node.rpc("anvil_setCode", twin, node.rpc("eth_getCode", address, "latest"))
    for slot in range(40):
        value = node.rpc("eth_getStorageAt", address, hex(slot), "latest")
        node.rpc("anvil_setStorageAt", twin, f"0x{slot:064x}", value)
    return twin
