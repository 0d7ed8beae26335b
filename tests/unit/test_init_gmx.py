"""Which GMX market and which price feeds `vaultkeel init` takes, and what it doesn't guess."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import address

from bot.errors import ConfigError
from bot.setup.presets import presets
from bot.setup.probe import GmxListed
from bot.setup.reading import chosen_gmx, feed_of
from bot.setup.roots import DEPLOYMENT, GIVEN, Roots, roots_of
from bot.setup.wanted import Defaults, Wanted

PRESET = presets()["arbitrum"].book["venue"]
OTHER = address(50)


def roots(*, market: str | None = None, whose: str = GIVEN, **feeds: str) -> Roots:
    """Arbitrum's preset, with another market or feeds that somebody named."""
    at = {("venue", name): feed for name, feed in feeds.items()}
    found = roots_of(Wanted(Path("x"), at=at), 42161, None)
    if market is None:
        return found
    return replace(
        found, venue=found.venue | {"market": market}, source=found.source | {"venue.market": whose}
    )


def listed(*markets: str) -> list[GmxListed]:
    symbols = {"index_token": "WETH", "long_token": "WETH", "short_token": "USDC"}
    return [GmxListed(market, {}, symbols) for market in markets]


def test_the_preset_s_market_is_proposed_among_all() -> None:
    assert (
        chosen_gmx(listed(OTHER, PRESET["market"]), roots(), Defaults(agreed=True)).market == PRESET["market"]
    )
    with pytest.raises(ConfigError, match=r"Which market\? .* give --at venue\.market=0x…, or --yes"):
        chosen_gmx(listed(OTHER, PRESET["market"]), roots(), Defaults(agreed=False))


@pytest.mark.parametrize("whose", [GIVEN, DEPLOYMENT])
def test_a_market_that_was_named_is_not_asked_for(whose: str) -> None:
    named = roots(market=OTHER, whose=whose)
    assert chosen_gmx(listed(OTHER, PRESET["market"]), named, Defaults(agreed=False)).market == OTHER


def test_a_market_that_gmx_doesn_t_list_is_refused() -> None:
    with pytest.raises(ConfigError, match=f"GMX lists no market {OTHER}"):
        chosen_gmx(listed(PRESET["market"]), roots(market=OTHER), Defaults(agreed=True))


def test_a_token_that_the_preset_knows_has_the_preset_s_feed_wherever_it_stands() -> None:
    assert feed_of("index", PRESET["short_token"], roots(), PRESET) == PRESET["short_feed"]
    assert feed_of("long", PRESET["index_token"], roots(), PRESET) == PRESET["index_feed"]


def test_the_feed_of_another_token_is_never_guessed() -> None:
    with pytest.raises(ConfigError, match=rf"no Chainlink feed of {OTHER}: give --at venue\.index_feed=0x…"):
        feed_of("index", OTHER, roots(), PRESET)
    assert feed_of("index", OTHER, roots(index_feed=address(51)), PRESET) == address(51)


def test_a_deployment_s_feeds_are_for_its_own_market_alone() -> None:
    named = roots(market=OTHER)
    theirs = replace(named, source=named.source | {"venue.index_feed": DEPLOYMENT})
    with pytest.raises(ConfigError, match="the deployment's feed is of its own market's token"):
        feed_of("index", OTHER, theirs, {})
