"""Price feeds by kind: Pyth's exact decimals and its own doubt, RedStone by Chainlink's interface, and their limits."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import CHAIN, NOW, address, feed, limits, snapshot
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bot.app.parts import make_feed
from bot.config.feeds import FeedConfig
from bot.core.inputs import price_gap, stale
from bot.core.model import FeedPrice, Hold
from bot.errors import DataError
from bot.feeds.chainlink import ChainlinkFeed
from bot.feeds.pyth import PythFeed

AT = address(50)
ID = "0x" + "ab" * 32
D = Decimal
ADAPTER: TypeAdapter[Any] = TypeAdapter(FeedConfig)


def pyth(widest: str = "0.005", **changes: Any) -> PythFeed:
    return PythFeed("pyth-eth", CHAIN, AT, ID, D(widest), 60, **changes)


def told(price: int, conf: int = 0, expo: int = -8, at: int = NOW) -> dict[str, int]:
    return {"price": price, "conf": conf, "expo": expo, "publishTime": at}


def read(answer: dict[str, int], **changes: Any) -> FeedPrice:
    found, asked = feed(pyth(**changes).read(), [[answer]])
    assert [call.to for call in asked[0]] == [AT]
    assert asked[0][0].data[4:] == bytes.fromhex(ID[2:])
    assert isinstance(found, FeedPrice)
    return found


class TestPyth:
    def test_a_price_has_its_exponent_and_the_time_it_was_published(self) -> None:
        seen = read(told(200_012_345_678, 1, at=NOW - 7), slack_s=5, max_gap=D("0.01"))
        assert seen == FeedPrice("pyth-eth", D("2000.12345678"), NOW - 7, 60, 5, D("0.01"))

    @given(st.integers(1, 2**63 - 1), st.integers(-18, 6))
    def test_every_digit_is_kept_whatever_the_exponent(self, price: int, expo: int) -> None:
        found = read(told(price, expo=expo)).price
        assert found * 10**18 == price * 10 ** (18 + expo) if expo >= 0 else found.scaleb(-expo) == price

    @pytest.mark.parametrize("price", [0, -1, -(10**12)])
    def test_what_is_no_price_is_refused(self, price: int) -> None:
        with pytest.raises(DataError, match=r"feed pyth-eth: it answers .* which is no price"):
            read(told(price))

    @pytest.mark.parametrize("expo", [-31, 31, 2**31 - 1, -(2**31)])
    def test_an_exponent_that_is_no_prices_is_refused(self, expo: int) -> None:
        with pytest.raises(DataError, match=f"its exponent is {expo}"):
            read(told(1, expo=expo))

    def test_an_interval_as_wide_as_the_limit_is_believed_and_a_wider_one_is_not(self) -> None:
        assert read(told(2000 * 10**8, 10 * 10**8)).price == 2000
        with pytest.raises(DataError, match=r"sure of 2000.00000000 to ± 0.500% only, the limit is 0.500%"):
            read(told(2000 * 10**8, 10 * 10**8 + 1))

    def test_the_spot_alone_is_held_against_the_interval_too(self) -> None:
        assert feed(pyth().watch(), [[told(2000 * 10**8)]])[0] == 2000
        with pytest.raises(DataError, match="only, the limit is"):
            feed(pyth().watch(), [[told(2000 * 10**8, 10**11)]])

    def test_its_address_must_hold_code(self) -> None:
        assert pyth().contracts() == {"address": AT}


class TestLimits:
    def hold(self, check: Any, **changes: Any) -> Hold | None:
        seen = replace(snapshot(), feeds=(FeedPrice("eth-usd", D(2010), NOW, 60, **changes),))
        found: Hold | None = check(seen, limits())
        return found

    @pytest.mark.parametrize(("slack", "age", "held"), [(0, 61, True), (30, 90, False), (30, 91, True)])
    def test_a_feed_may_be_late_by_its_slack(self, slack: int, age: int, held: bool) -> None:
        late = FeedPrice("eth-usd", D(2000), NOW - age, 60, slack)
        found = stale(replace(snapshot(), feeds=(late,)), limits())
        assert (found is not None) is held
        if found is not None and slack:
            assert "91 s old, its heartbeat is 60 s and 30 s more are allowed" in found.text

    @pytest.mark.parametrize(("most", "held"), [(None, False), ("0.005", False), ("0.0049", True)])
    def test_a_feeds_own_limit_is_kept_beside_that_of_all(self, most: str | None, held: bool) -> None:
        found = self.hold(price_gap, max_gap=None if most is None else D(most))
        assert (found is not None) is held
        if found is not None:
            assert (found.code, "feed eth-usd's price" in found.text) == ("PRICE_GAP", True)
            assert "the limit is 0.49%" in found.text

    def test_a_wider_limit_of_its_own_allows_no_more_than_all_have(self) -> None:
        far = FeedPrice("eth-usd", D(2200), NOW, 60, max_gap=D("0.5"))
        found = price_gap(replace(snapshot(), feeds=(far,)), limits(max_price_gap=D("0.05")))
        assert found is not None
        assert "the limit is 5.00%" in found.text


GIVEN: dict[str, Any] = {"name": "eth-usd", "address": AT, "heartbeat_s": 60}
PYTH = GIVEN | {"kind": "pyth", "price_id": ID.upper().replace("0X", "0x"), "max_confidence": "0.01"}


class TestConfig:
    @pytest.mark.parametrize("kind", ["chainlink", "redstone"])
    def test_an_aggregator_is_read_the_same_way_whoever_feeds_it(self, kind: str) -> None:
        config = ADAPTER.validate_python(
            GIVEN | {"kind": kind, "slack_s": 9, "max_deviation": "0.02", "chain": "hyperevm"}
        )
        made = make_feed(config, "arbitrum")
        assert isinstance(made, ChainlinkFeed)
        assert (made.name, made.chain) == ("eth-usd", "hyperevm")
        seen, _ = feed(made.read(), [[[1, 1630 * 10**8, 0, NOW, 1], 8]])
        assert seen == FeedPrice("eth-usd", D(1630), NOW, 60, 9, D("0.02"))

    def test_pyth_needs_a_price_id_and_how_sure_it_must_be(self) -> None:
        made = make_feed(ADAPTER.validate_python(PYTH), "arbitrum")
        assert isinstance(made, PythFeed)
        assert made.chain == "arbitrum"
        assert feed(made.read(), [[told(10**11, 10**9)]])[0] == FeedPrice("eth-usd", D(1000), NOW, 60)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"price_id": "0x12"}, "a price id is 0x and 64 hex digits"),
            ({"price_id": "zz" * 32}, "a price id is 0x and 64 hex digits"),
            ({"price_id": "0x" + "0" * 64}, "not all of them 0"),
            ({"max_confidence": "1"}, "less than 1"),
            ({"max_confidence": 0.01}, "an amount is written in quotes"),
            ({"heartbeat_s": 0}, "greater than 0"),
            ({"slack_s": -1}, "greater than or equal to 0"),
            ({"kind": "venue_mark"}, "'chainlink', 'redstone', 'pyth'"),
        ],
    )
    def test_a_mistake_is_refused(self, changes: dict[str, Any], why: str) -> None:
        with pytest.raises(ValidationError, match=why):
            ADAPTER.validate_python(PYTH | changes)

    def test_what_belongs_to_another_kind_is_not_known(self) -> None:
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            ADAPTER.validate_python(PYTH | {"kind": "chainlink"})
