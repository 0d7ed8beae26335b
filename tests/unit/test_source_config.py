"""The configuration of option sources: what each kind takes, and what no book may be made of."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from builders import KEY, address, feed

from bot.app.parts import make_source
from bot.config import load_config
from bot.config.sources import GammaConfig, RyskConfig
from bot.errors import ConfigError
from bot.options.declared import DeclaredSource
from bot.options.gamma import GammaSource
from bot.options.holdings import HoldingsSource
from bot.share import share

OWNER, COIN, MONEY, STAKED = (address(n) for n in range(1, 5))
GAMMA: dict[str, Any] = {
    "kind": "opyn_gamma",
    "name": "gamma-eth",
    "chain": "localnet",
    "controller": address(11),
    "oracle": address(12),
    "owners": [OWNER],
    "underlying": COIN,
    "strike_asset": MONEY,
}
RYSK = {**GAMMA, "kind": "rysk_v12", "name": "rysk-eth", "wallet": True}
HELD: dict[str, Any] = {
    "kind": "holdings",
    "name": "wallet",
    "chain": "localnet",
    "owners": [OWNER],
    "tokens": [{"name": "coin", "token": COIN, "factor": "1"}],
}
OTC: dict[str, Any] = {
    "kind": "declared",
    "name": "otc",
    "path": "otc.toml",
    "underlying": "ETH",
    "max_age_s": 86_400,
}
CONSTANT = {"kind": "constant", "vol": "0.8"}
FEED = {"kind": "chainlink", "name": "link", "address": address(20), "heartbeat_s": 3600}


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)


def write(folder: Path, *sources: dict[str, Any], **book: Any) -> Path:
    """The shipped configuration with other sources, and a constant vol."""
    document = copy.deepcopy(tomllib.loads(share("config", "localnet.toml").read_text(encoding="utf-8")))
    changed: dict[str, Any] = {"vols": CONSTANT, "feeds": [FEED], **book}
    document["books"][0].update({"sources": list(sources), **changed})
    path = folder / "vaultkeel.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def refusal(folder: Path, *sources: dict[str, Any], **book: Any) -> str:
    with pytest.raises(ConfigError) as error:
        load_config(write(folder, *sources, **book))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_kind_becomes_its_source(tmp_path: Path) -> None:
    config = load_config(
        write(tmp_path, GAMMA, {**RYSK, "controller": address(13), "wallet": False}, HELD, OTC)
    )
    (book,) = config.books
    made = [make_source(source, config.chains, book.venue.chain) for source in book.sources]
    assert [type(source) for source in made] == [GammaSource, GammaSource, HoldingsSource, DeclaredSource]
    assert [source.name for source in made] == ["gamma-eth", "rysk-eth", "wallet", "otc (declared)"]
    assert {source.chain for source in made} == {"localnet"}


def test_rysk_delivers_and_opyn_pays(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GAMMA, {**RYSK, "controller": address(13), "wallet": False}))
    opyn, rysk = config.books[0].sources
    assert isinstance(opyn, GammaConfig)
    assert isinstance(rysk, RyskConfig)
    assert (opyn.is_physical, rysk.is_physical) == (False, True)


def test_a_declared_source_asks_the_venues_chain_for_the_time(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GAMMA, OTC))
    book = config.books[0]
    source = make_source(book.sources[1], config.chains, book.venue.chain)
    (tmp_path / "otc.toml").write_text('underlying = "ETH"\nas_of = 1700000000\n', encoding="utf-8")
    state, asked = feed(source.read(), [[1_700_000_000]])
    assert state.positions == ()
    assert asked[0][0].to == config.chains["localnet"].multicall


@pytest.mark.parametrize("source", [GAMMA, RYSK, {**OTC}])
def test_options_without_vols_of_their_own_need_a_source_of_vols(
    tmp_path: Path, source: dict[str, Any]
) -> None:
    told = refusal(tmp_path, source, vols={"kind": "vault"})
    assert f"the options of {source['name']} bring none: choose" in told


def test_holdings_alone_go_with_any_vols(tmp_path: Path) -> None:
    lyra = tomllib.loads(share("config", "localnet.toml").read_text(encoding="utf-8"))["books"][0]["sources"][
        0
    ]
    assert load_config(write(tmp_path, lyra, HELD, vols={"kind": "vault"}))


@pytest.mark.parametrize("source", [HELD, OTC])
def test_a_book_without_any_price_is_refused(tmp_path: Path, source: dict[str, Any]) -> None:
    assert "none of the sources tells a spot" in refusal(tmp_path, source, feeds=[])
    assert load_config(write(tmp_path, source))


def test_a_makers_options_must_be_tokens(tmp_path: Path) -> None:
    maker = {**RYSK, "role": "maker"}
    assert "credited inside Rysk's MMarket, where they can't be read" in refusal(tmp_path, maker)
    assert load_config(write(tmp_path, {**maker, "otokens": [address(30)]}))


def test_ryskss_wallet_has_no_default(tmp_path: Path) -> None:
    without = {key: value for key, value in RYSK.items() if key != "wallet"}
    assert "books.0.sources.0.wallet: Field required" in refusal(tmp_path, without)


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({**GAMMA, "typo": 1}, "books.0.sources.0.typo: this key is not known"),
    ({**GAMMA, "kind": "hegic"}, "books.0.sources.0.kind"),
    ({**GAMMA, "owners": []}, "books.0.sources.0.owners"),
    ({**GAMMA, "owners": [OWNER, OWNER]}, f"owners: {OWNER} is there twice and would count twice"),
    ({**GAMMA, "strike_asset": COIN}, "is there twice"),
    ({**GAMMA, "otokens": [COIN]}, "is an asset of the book, not an option"),
    ({**GAMMA, "ignore_underlyings": [COIN]}, "names the book's own underlying"),
    ({**GAMMA, "equivalents": [{"name": "s", "token": STAKED}]}, "s: give one of factor"),
    (
        {**GAMMA, "equivalents": [{"name": "s", "token": STAKED, "factor": "1", "rate": {"contract": COIN}}]},
        "s: give one of factor",
    ),
    ({**GAMMA, "equivalents": [{"name": "s", "token": COIN, "factor": "1"}]}, "is there twice"),
    ({**GAMMA, "equivalents": [{"name": "s", "token": STAKED, "factor": "0"}]}, "greater than 0"),
    ({**HELD, "tokens": []}, "it counts nothing"),
    ({**HELD, "tokens": [*HELD["tokens"], *HELD["tokens"]]}, "is there twice"),
    ({**OTC, "max_age_s": 0}, "max_age_s"),
    ({**OTC, "chain": "elsewhere"}, "otc: chain 'elsewhere' is not under [chains]"),
    ({**GAMMA, "settlement": "physical"}, "this key is not known"),
]


@pytest.mark.parametrize(("source", "words"), MISTAKES)
def test_a_mistake_is_one_line_with_its_field(tmp_path: Path, source: dict[str, Any], words: str) -> None:
    assert words in refusal(tmp_path, source)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (GAMMA, {**GAMMA, "name": "again"}),
        (RYSK, {**HELD, "name": "again"}),
        (HELD, {**HELD, "name": "again"}),
        (
            {**GAMMA, "otokens": [address(30)]},
            {**GAMMA, "name": "again", "controller": address(13), "otokens": [address(30)]},
        ),
        (OTC, {**OTC, "name": "again"}),
    ],
)
def test_two_sources_never_count_the_same(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert f"the sources {first['name']} and again both count" in refusal(tmp_path, first, second)


def test_two_sources_never_share_a_name(tmp_path: Path) -> None:
    assert "two sources share a name" in refusal(tmp_path, GAMMA, {**HELD, "name": "gamma-eth"})
