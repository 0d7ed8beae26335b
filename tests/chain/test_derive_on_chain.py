"""Derive's subaccounts as the source reads them, on a chain of their own with the stand-in on it, and the desk hedging
them on another chain.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Proxy, adopt, opened, read_venue, write_config

from bot.chain.client import Client
from bot.chain.contracts import contract
from bot.chain.reads import drive, look
from bot.core.greeks import position_greeks, price_book
from bot.core.model import BlockRef, Holding, Snapshot, SourceState, VolsUsed
from bot.core.target import Target
from bot.errors import DataError
from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.derive.deploy import DeriveDeployment, DeriveHand, Smile, deploy_derive, derive_contract
from bot.localnet.multicall import deploy_multicall
from bot.localnet.node import Node
from bot.localnet.world import START_PRICE, World
from bot.options.derive import DeriveRules, DeriveSource
from bot.options.derive_ids import OptionId
from bot.options.derive_market import DeriveAddresses
from bot.pricing.black import black_76
from bot.pricing.settlement import effective_years

CALL_GAS = 50_000_000
CHAIN_ID = 957
DAY = 86_400
WEEK = 7 * DAY
D = Decimal
RULES = DeriveRules(min_confidence=D("0.55"), averaging_s=1800)
SKEWED = Smile(
    centre=START_PRICE, difference=D(12), level=D("0.7"), skew=D("-0.2"), curvature=D("0.5"), rate=D("0.04")
)


@dataclass
class Derive:
    """A chain with the stand-in on it, and a source of its subaccounts."""

    node: Node
    url: str
    multicall: str
    at: DeriveDeployment
    hand: DeriveHand
    start: int

    @property
    def source(self) -> DeriveSource:
        fields = {name: getattr(self.at, name) for name in DeriveAddresses.__slots__}
        return DeriveSource("derive-eth", "derive", self.at.accounts, DeriveAddresses(**fields), RULES)

    def read(self, url: str = "") -> tuple[BlockRef, SourceState]:
        """The subaccounts at the head."""
        client = Client.of_one("derive", url or self.url)
        block = client.head()
        (state,) = drive(
            client, contract("multicall3", self.multicall), block, [self.source.read()], CALL_GAS
        )
        return block, state

    def later(self, seconds: int) -> None:
        """Time passes on the chain."""
        self.node.set_next_timestamp(self.node.timestamp() + seconds)
        self.node.mine()

    def expiry(self, days: int) -> int:
        """An expiry so many days after the chain's start, at 08:00 as Derive's are."""
        return (self.start // DAY + days) * DAY + 8 * 3600


@pytest.fixture(scope="module")
def chain(world: World) -> Iterator[Derive]:
    """Derive's own chain, whose time is the other chain's."""
    now = world.node.timestamp()
    args = ("--hardfork", "cancun", "--timestamp", str(now - 60), "--chain-id", str(CHAIN_ID))
    with Anvil.start(binary=anvil_binary(), args=args) as anvil:
        node = Node(anvil.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        owner = node.accounts()[0]
        multicall = deploy_multicall(node)
        at = deploy_derive(node, START_PRICE, owner=owner, accounts=2)
        yield Derive(node, anvil.url, multicall, at, DeriveHand(node, at, owner), now)
        node.close()


@pytest.fixture
def derive(chain: Derive) -> Iterator[Derive]:
    """The same chain, which goes back to how it was after the test."""
    kept = chain.node.snapshot()
    yield chain
    chain.node.revert(kept)


def filled(derive: Derive) -> tuple[OptionId, OptionId, OptionId]:
    """Three options of two expiries in two subaccounts, a perpetual, spot and cash."""
    near, far = derive.expiry(7), derive.expiry(35)
    options = (
        OptionId(near, D(2000), is_call=True),
        OptionId(near, D("1800.5"), is_call=False),
        OptionId(far, D(2400), is_call=True),
    )
    for expiry in (near, far):
        derive.hand.expiry(expiry, SKEWED)
    derive.hand.hold_option(1, options[0], D("-10.5"))
    derive.hand.hold_option(1, options[1], D(4))
    derive.hand.hold_option(2, options[0], D("0.5"))
    derive.hand.hold_option(2, options[2], D(-3))
    derive.hand.hold(2, derive.at.perp_asset, D("1.25"))
    derive.hand.hold(1, derive.at.base_asset, D(2))
    derive.hand.hold(1, derive.at.cash_asset, D("-700.25"))
    derive.hand.mark(1, D("12345.67"))
    derive.hand.mark(2, D("-45.67"))
    return options


def deltas(block: BlockRef, state: SourceState) -> dict[str, float]:
    """Every position's hedged delta at the source's own spot and the block's time."""
    seen: Any = Snapshot(
        book="eth",
        underlying="ETH",
        at=block.timestamp,
        blocks=(block,),
        sources=(state,),
        vols=VolsUsed("vault", block.timestamp),
        venue=None,  # type: ignore[arg-type]
        spot=state.spot or D(0),
        native_usd=D(1),
        gas_price_wei=1,
    )
    return {p.instrument: p.delta for p in position_greeks(price_book(seen, Target()))}


class TestReading:
    def test_two_subaccounts_are_read_in_two_calls_to_the_last_digit(self, derive: Derive) -> None:
        call, put, far = filled(derive)
        with Proxy(derive.url) as proxy:
            _, state = derive.read(proxy.url)
            assert proxy.asked("eth_call") == 2
        assert {p.instrument: p.size for p in state.positions} == {
            call.instrument: D(-10),
            put.instrument: D(4),
            far.instrument: D(-3),
        }
        assert state.holdings == (
            Holding("derive-eth", "the subaccounts' perpetual", D("1.25"), is_spot=False),
            Holding("derive-eth", "base held by the subaccounts", D(2)),
        )
        assert (state.spot, state.nav_usd, state.rate) == (START_PRICE, D(12300), 0.04)
        assert (state.settled, {p.unread for p in state.positions}) == (0, {""})

    def test_one_more_option_takes_no_more_calls(self, derive: Derive) -> None:
        filled(derive)
        for strike in range(1500, 2500, 50):
            derive.hand.hold_option(2, OptionId(derive.expiry(35), D(strike), is_call=False), D(1))
        with Proxy(derive.url) as proxy:
            _, state = derive.read(proxy.url)
            assert (proxy.asked("eth_call"), len(state.positions)) == (2, 23)

    def test_an_empty_subaccount_holds_nothing_and_a_missing_one_is_an_error(self, derive: Derive) -> None:
        assert derive.read()[1].positions == ()
        assert derive.read()[1].nav_usd is None, "no manager has said what they are worth"
        derive.at = DeriveDeployment(**{**vars(derive.at), "accounts": (1, 7)})
        try:
            with pytest.raises(DataError, match="there is no subaccount 7"):
                derive.read()
        finally:
            derive.at = DeriveDeployment(**{**vars(derive.at), "accounts": (1, 2)})

    def test_the_spot_alone(self, derive: Derive) -> None:
        derive.hand.spot(D("2111.5"))
        assert look(Client.of_one("derive", derive.url), derive.source.watch()) == D("2111.5")

    def test_the_delta_is_the_slope_of_what_the_contracts_say_an_option_is_worth(
        self, derive: Derive
    ) -> None:
        options = filled(derive)
        block, state = derive.read()
        forward, vols = (derive_contract(derive.node, derive.at, f) for f in ("forward_feed", "vol_feed"))

        def worth(option: OptionId) -> float:
            price, _ = forward.read("getForwardPrice", option.expiry)
            vol, _ = vols.read("getVol", int(option.strike * 10**18), option.expiry)
            years = float(effective_years(block.timestamp, option.expiry, 1800))
            terms = price / 1e18, float(option.strike), years, vol / 1e18, 0.0, np.bool_(option.is_call)
            return float(black_76(*terms).price)

        found, step = deltas(block, state), D("0.5")
        prices = []
        for move in (-step, step):
            derive.hand.spot(START_PRICE + move)
            prices.append([worth(option) for option in options])
        for option, low, high in zip(options, *prices, strict=True):
            size = float(next(p.size for p in state.positions if p.instrument == option.instrument))
            assert found[option.instrument] == pytest.approx(size * (high - low) / float(2 * step), abs=1e-5)


class TestFeedsThatFail:
    def test_a_stale_spot_stops_the_tick_by_its_name(self, derive: Derive) -> None:
        filled(derive)
        derive.later(3601)
        with pytest.raises(DataError, match=r"derive-eth: spot_feed reverted: BLF_DataTooOld\(\)"):
            derive.read()

    def test_a_stale_vol_stops_it_where_an_option_lives_that_needs_it(self, derive: Derive) -> None:
        filled(derive)
        derive.later(3601)
        derive.hand.spot(START_PRICE)
        block, state = derive.read()
        with pytest.raises(DataError, match=r"derive-eth: \S+: forward_feed reverted: BLF_DataTooOld\(\)"):
            deltas(block, state)

    def test_an_expiry_that_the_feeds_dont_know_is_named(self, derive: Derive) -> None:
        unknown = OptionId(derive.expiry(100), D(2000), is_call=True)
        derive.hand.hold_option(1, unknown, D(1))
        block, state = derive.read()
        said = f"{unknown.instrument}: forward_feed reverted: LFF_MissingExpiryData"
        with pytest.raises(DataError, match=said) as told:
            deltas(block, state)
        assert "vol_feed reverted: LVF_MissingExpiryData" in str(told.value)

    def test_a_feed_that_is_hardly_sure_is_not_believed(self, derive: Derive) -> None:
        call, _, _ = filled(derive)
        derive.hand.expiry(call.expiry, SKEWED, confidence=D("0.5"))
        block, state = derive.read()
        with pytest.raises(DataError, match=r"forward_feed has a confidence of 0.5, below 0.55"):
            deltas(block, state)


def test_an_expiry_goes_from_its_window_to_its_settlement_without_a_gap(derive: Derive) -> None:
    deep = OptionId(derive.expiry(2), D(1000), is_call=True)
    derive.hand.hold_option(1, deep, D(-8))
    expiry = deep.expiry

    def at(seconds_left: int) -> tuple[SourceState, float]:
        derive.node.set_next_timestamp(expiry - seconds_left - 8)
        derive.hand.spot(START_PRICE)
        derive.hand.expiry(expiry, SKEWED)
        derive.node.set_next_timestamp(expiry - seconds_left)
        derive.node.mine()
        block, state = derive.read()
        return state, sum(deltas(block, state).values())

    assert at(3600)[1] == pytest.approx(-8, abs=1e-9)
    assert at(900)[1] == pytest.approx(-4, abs=1e-9)
    state, delta = at(-30)
    assert (state.settled, len(state.positions), delta) == (0, 1, 0.0)
    derive.later(4000)  # the feeds have long stopped for this expiry
    derive.hand.spot(START_PRICE)
    block, state = derive.read()
    assert deltas(block, state) == {deep.instrument: 0.0}
    derive.hand.settle(expiry, D(1990))
    _, state = derive.read()
    assert (state.settled, state.positions) == (1, ())


def test_the_desk_hedges_subaccounts_that_are_on_another_chain(
    fresh: World, derive: Derive, tmp_path: Path
) -> None:
    filled(derive)
    # Both chains show the same second, as two real ones nearly do.
    now = max(fresh.node.timestamp(), derive.node.timestamp()) + 1
    for node in (fresh.node, derive.node):
        node.set_next_timestamp(now)
        node.mine()

    def edit(document: Any) -> None:
        document["chains"]["derive"] = {
            "chain_id": CHAIN_ID,
            "rpc_urls": [derive.url],
            "quorum": 1,
            "multicall": derive.multicall,
            "max_fee_gwei": "1",
        }
        fields = {name: getattr(derive.at, name) for name in DeriveAddresses.__slots__}
        document["books"][0]["sources"] = [
            {"kind": "derive", "name": "derive-eth", "chain": "derive", "accounts": [1, 2], **fields}
        ]

    with opened(write_config(fresh, tmp_path, edit=edit), trades=True) as app:
        adopt(app)
        (book,) = app.desk.books
        unhedged = app.desk.tick(book).record.exposure.unhedged
        assert abs(unhedged) > 0.5
        assert float(read_venue(fresh).position.size) == pytest.approx(-unhedged, abs=0.002)
        after = app.desk.tick(book)
        assert abs(after.record.exposure.net) < 0.01
        assert after.record.snapshot.sources[0].name == "derive-eth"
        assert {block.chain for block in after.record.snapshot.blocks} == {"localnet", "derive"}
