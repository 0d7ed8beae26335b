"""Vols from elsewhere: each option gets its own point of the surface, and another underlying's surface none."""

import math
import threading
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from builders import (
    CHAIN,
    NOW,
    TARGET,
    WEEK,
    FakeClient,
    Rig,
    ScriptedSource,
    block,
    option,
    snapshot,
    source,
)

from bot.core.greeks import position_greeks, price_book
from bot.core.inputs import spot_of
from bot.core.model import BlockRef, FeedPrice, VolsUsed
from bot.desk import Desk
from bot.errors import DataError, TransientError
from bot.observer import with_vols
from bot.pricing.surface import Surface, VolQuote, fit_surface

STRIKES = (1600.0, 1800.0, 2200.0, 2500.0)


SPOT = Decimal(2000)


class Quoted:
    """A source of vols whose smile is steeper in the nearer expiry."""

    name = "quoted"

    def __init__(self, forward: float = 2000.0) -> None:
        self.reads = 0
        quotes = [
            VolQuote(
                NOW + weeks * WEEK, strike * forward / 2000, 0.8 - tilt * math.log(strike / 2000), forward
            )
            for weeks, tilt in ((1, 0.2), (4, 0.1))
            for strike in STRIKES
        ]
        self.surface = fit_surface(quotes, NOW - 7, self.name)

    def read(self, now: int) -> Surface:
        self.reads += 1
        return self.surface


def test_each_option_has_the_vol_slope_and_money_of_its_own_strike_and_expiry() -> None:
    near, far = option(strike="1800"), option(strike="2500", expiry=NOW + 4 * WEEK)
    vols = Quoted()
    (seen,), used = with_vols(vols, (source(near, far, option(strike="2200")),), SPOT, (block(),), NOW)
    low, high, other = seen.positions
    assert low.vol == pytest.approx(0.8 - 0.2 * math.log(0.9), abs=2e-3)
    assert high.vol == pytest.approx(0.8 - 0.1 * math.log(1.25), abs=2e-3)
    assert other.vol == pytest.approx(0.8 - 0.2 * math.log(1.1), abs=2e-3)
    assert (low.slope, high.slope) == (pytest.approx(-0.2, abs=0.02), pytest.approx(-0.1, abs=0.02))
    assert [p.money_vol for p in seen.positions] == pytest.approx([0.8] * 3, abs=2e-3)
    assert (used, vols.reads) == (VolsUsed("quoted", NOW - 7), 1)
    assert [replace(p, vol=0.8, slope=0.0, money_vol=None) for p in (low, high)] == [near, far]


def test_an_expired_option_keeps_what_it_has() -> None:
    expired = option(expiry=NOW, vol=None)
    (seen,), _ = with_vols(Quoted(), (source(expired, option()),), SPOT, (block(),), NOW)
    assert seen.positions[0] == expired


def test_what_has_expired_is_told_by_the_oldest_block_as_the_pricing_does() -> None:
    """The desk's clock is past the expiry already, the block that is priced at not yet."""
    expiring, rest = option(expiry=NOW, vol=None), option(strike="2500", expiry=NOW + 3 * WEEK, vol=None)
    blocks = (block(100, NOW + 2), block(7, NOW - 5, "there"))
    (seen,), used = with_vols(Quoted(), (source(expiring, rest),), SPOT, blocks, NOW + 1)
    assert all(position.vol is not None for position in seen.positions)
    whole = replace(snapshot(seen), at=NOW + 1, blocks=blocks, vols=used)
    assert len(position_greeks(price_book(whole, TARGET))) == 2


def test_the_vols_of_another_underlying_are_refused() -> None:
    with pytest.raises(DataError, match=r"a forward of 60,000\.00 beside the book's spot of 2,000\.00"):
        with_vols(Quoted(60_000.0), (source(option()),), SPOT, (block(),), NOW)


def test_the_vaults_own_vols_are_left_as_they_are() -> None:
    vault = source(option(vol=0.7, slope=-0.1))
    seen, used = with_vols(None, (vault, replace(vault, spot=Decimal(2001))), SPOT, (block(),), NOW)
    assert seen[0] is vault
    assert used == VolsUsed("vault", NOW)


def test_the_books_spot_is_the_first_sources_that_has_one_else_the_first_feeds() -> None:
    silent, feeds = source(spot=None), (FeedPrice("link", Decimal(2010), NOW, 60),)
    assert spot_of((silent, source(spot=Decimal(1990))), feeds) == Decimal(1990)
    assert spot_of((silent,), feeds) == Decimal(2010)
    with pytest.raises(
        DataError, match=r"lyra-eth: no source has a spot of its own, and the book has no feeds"
    ):
        spot_of((silent,), ())


class TestSeveralChains:
    """A book whose second source lives on another chain than its venue."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Rig:
        rig = Rig(tmp_path / "vaultkeel.db")
        self.there = FakeClient()
        self.there.chain, self.there.block = "there", block(7, NOW - 30, "there")
        far = ScriptedSource(source())
        vars(far).update(name="far", chain="there")
        rig.book = replace(rig.book, sources=(rig.source, far))
        chains = {**rig.chains, "there": replace(rig.chains[CHAIN], client=self.there)}
        rig.desk = Desk(chains, (rig.book,), rig.ledger, rig.clock)
        return rig

    def test_each_is_read_at_a_block_of_its_own_and_the_time_between_them_is_known(self, rig: Rig) -> None:
        seen = rig.desk.observe(rig.book)
        assert [(each.chain, each.number) for each in seen.blocks] == [(CHAIN, 100), ("there", 7)]
        assert seen.skew_s == 30
        assert len(seen.sources) == 2

    def test_they_are_read_side_by_side(self, rig: Rig) -> None:
        both = threading.Barrier(2, timeout=5)
        for client in (rig.client, self.there):
            head = client.head
            vars(client)["head"] = lambda head=head: (both.wait(), head())[1]
        rig.desk.observe(rig.book)
        rig.desk.observe(rig.book)
        assert not both.broken

    def test_an_error_names_its_chain_and_the_other_is_waited_for(self, rig: Rig) -> None:
        rig.desk.observe(rig.book)
        done: list[str] = []

        def failing() -> BlockRef:
            raise TransientError("no answer")

        def slow() -> BlockRef:
            time.sleep(0.1)
            done.append("read")
            return block()

        vars(self.there)["head"], vars(rig.client)["head"] = failing, slow
        with pytest.raises(TransientError, match="there: no answer"):
            rig.desk.observe(rig.book)
        assert done == ["read"]

    @pytest.mark.parametrize(("limit", "expected"), [(30, "REBALANCE"), (29, "BLOCK_SKEW")])
    def test_blocks_too_far_apart_are_not_traded_on(self, rig: Rig, limit: int, expected: str) -> None:
        limits = replace(rig.rules.limits, max_block_skew_s=limit)
        book = replace(rig.book, rules=replace(rig.rules, limits=limits))
        decision = rig.desk.assess(book).decision
        assert (decision.code if decision.kind == "hold" else decision.kind.upper()) == expected
        if expected == "BLOCK_SKEW":
            assert decision.text == f"the blocks of there and {CHAIN} are 30 s apart, the limit is 29 s"

    def test_no_chain_goes_back_behind_what_the_book_was_read_at(self, rig: Rig) -> None:
        """Also that of a source: an older state of it would be hedged once more. A restart forgets nothing."""
        rig.client.on_send = rig.mines
        rig.tick()
        chains = {**rig.chains, "there": replace(rig.chains[CHAIN], client=self.there)}
        for restarted in (False, True):
            if restarted:
                rig.desk = Desk(chains, (rig.book,), rig.ledger, rig.clock)
            self.there.block = block(6, NOW - 42, "there")
            with pytest.raises(
                TransientError,
                match="there: the node's block 6 is older than 7, which eth was read at before",
            ):
                rig.tick()
        self.there.block = block(8, NOW - 10, "there")
        assert [each.number for each in rig.tick().record.snapshot.blocks] == [100, 8]
        assert len(rig.client.sent) == 1
