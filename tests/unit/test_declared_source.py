"""Declared positions: marked as such, refused when old, wrong or expired, and every mistake has its place."""

from decimal import Decimal
from pathlib import Path

import pytest
from builders import CHAIN, NOW, WEEK, address, feed

from bot.core.model import SourceState
from bot.errors import DataError
from bot.options.declared import DeclaredSource

TOML = f"""
underlying = "ETH"
as_of = 2023-11-14T22:00:00Z

[[options]]
type = "call"
strike = "2000"
expiry = {NOW + WEEK}
size = "-10"

[[options]]
type = "put"
strike = "1800"
expiry = "2023-11-24T08:00Z"
size = "2.5"
note = "with a bank"

[[holdings]]
asset = "coins in cold storage"
size = "12.000000000000000001"
"""
CSV = """# underlying: ETH
# as_of: 2023-11-14T22:00Z
# anything else is a comment
kind,type,strike,expiry,asset,size,spot,note
option,call,2000,2023-11-24T08:00Z,,-10,,
option,call,2000,2023-11-24T08:00Z,,4,,bought back
holding,,,,coins,12,,
holding,,,,a future elsewhere,-3,false,
"""


def declared(path: Path, max_age_s: int = 3600, **more: str) -> DeclaredSource:
    return DeclaredSource("otc", CHAIN, path, "ETH", max_age_s, address(10), **more)  # type: ignore[arg-type]


def read(tmp_path: Path, text: str, name: str = "otc.toml", now: int = NOW, **more: str) -> SourceState:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    state: SourceState = feed(declared(path, **more).read(), [[now]])[0]
    return state


def test_every_position_is_marked_as_declared(tmp_path: Path) -> None:
    state = read(tmp_path, TOML)
    sources = {state.name, *(p.source for p in state.positions), *(h.source for h in state.holdings)}
    assert sources == {"otc (declared)"}
    shown = [*(p.instrument for p in state.positions), *(h.asset for h in state.holdings)]
    assert len(shown) == 3
    assert all(name.endswith(" (declared)") for name in shown)


def test_a_toml_file_is_read_exactly(tmp_path: Path) -> None:
    state = read(tmp_path, TOML)
    assert [(p.instrument, p.size, p.vol) for p in state.positions] == [
        ("21NOV23-2000-C (declared)", Decimal(-10), None),
        ("24NOV23-1800-P (declared)", Decimal("2.5"), None),
    ]
    assert [str(h.size) for h in state.holdings] == ["12.000000000000000001"]
    assert (state.spot, state.settled) == (None, 0)


def test_a_csv_file_is_read_and_trades_in_one_option_add_up(tmp_path: Path) -> None:
    state = read(tmp_path, CSV, "otc.csv")
    assert [(p.instrument, p.size) for p in state.positions] == [("24NOV23-2000-C (declared)", Decimal(-6))]
    assert [(h.asset, h.size, h.is_spot) for h in state.holdings] == [
        ("coins (declared)", Decimal(12), True),
        ("a future elsewhere (declared)", Decimal(-3), False),
    ]


def test_the_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "otc.toml"
    path.write_text(TOML, encoding="utf-8")
    source = declared(path)
    assert feed(source.read(), [[NOW]])[0].positions[0].size == -10
    (tmp_path / "new").write_text(TOML.replace('"-10"', '"-7"'), encoding="utf-8")
    (tmp_path / "new").replace(path)
    assert feed(source.read(), [[NOW]])[0].positions[0].size == -7


def test_it_has_no_price_and_no_contract(tmp_path: Path) -> None:
    source = declared(tmp_path / "otc.toml")
    assert feed(source.watch(), []) == (None, [])
    assert source.contracts() == {}


def test_its_age_is_held_against_the_chains_time(tmp_path: Path) -> None:
    as_of = 1_699_999_200
    assert read(tmp_path, TOML, now=as_of + 3600).positions
    with pytest.raises(
        DataError, match=r"otc \(declared\): otc.toml was declared 3601 s ago, the limit is 3600 s"
    ):
        read(tmp_path, TOML, now=as_of + 3601)
    assert read(tmp_path, TOML, now=as_of - 300).positions
    with pytest.raises(DataError, match="301 s ahead of the chain's time"):
        read(tmp_path, TOML, now=as_of - 301)


def test_an_expired_option_is_refused_unless_it_is_to_be_dropped(tmp_path: Path) -> None:
    expired = TOML.replace(str(NOW + WEEK), str(NOW))
    with pytest.raises(DataError, match="option 1: 14NOV23-2000-C has expired: take it out"):
        read(tmp_path, expired)
    state = read(tmp_path, expired, when_expired="drop")
    assert ([p.strike for p in state.positions], state.settled) == ([Decimal(1800)], 1)


def test_another_underlyings_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is about BTC, the book's file is to be of ETH"):
        read(tmp_path, TOML.replace('"ETH"', '"BTC"'))


def test_a_file_that_isnt_there_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"otc.toml can't be read: No such file"):
        feed(declared(tmp_path / "otc.toml").read(), [[NOW]])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('underlying = "ETH"\n', "", "underlying is missing"),
        ("as_of = 2023-11-14T22:00:00Z", "", "as_of is missing"),
        ("as_of = 2023-11-14T22:00:00Z", 'as_of = "soon"', "as_of is no time"),
        ("as_of = 2023-11-14T22:00:00Z", "as_of = 2023-11-14T22:00:00+02:00", "as_of is not in UTC"),
        ('underlying = "ETH"', "underlying = 5", "underlying is no name"),
        ('size = "-10"', 'size = "-10"\nsizee = "1"', "option 1: 'sizee' is not known here"),
        ('size = "-10"', "", "option 1: size is missing"),
        ('size = "-10"', "size = -10.5", "option 1: size is written in quotes"),
        ('size = "-10"', 'size = "0"', "option 1: size is zero"),
        ('size = "-10"', 'size = "ten"', "option 1: size is not a decimal number"),
        ('size = "-10"', 'size = "1e31"', "option 1: size has more than 30 digits"),
        ('size = "-10"', 'size = "1e-99999999"', "option 1: size has more than 30 digits"),
        ('type = "call"', 'type = ["call"]', "option 1: type is call or put"),
        ('asset = "coins in cold storage"', "asset = 5", "holding 1: asset is no name"),
        ('size = "-10"', 'size = "NaN"', "option 1: size is not finite"),
        ('strike = "2000"', 'strike = "-1"', "option 1: strike is not above zero"),
        ('type = "call"', 'type = "swap"', "option 1: type is call or put, not 'swap'"),
        (f"expiry = {NOW + WEEK}", f"expiry = {(NOW + WEEK) * 1000}", "is no Unix second of this century"),
        ("[[holdings]]", "[[holding]]", "'holding' is not known here"),
        ("[[holdings]]", "[holdings]", r"holdings is written as \[\[holdings\]\]"),
        ('asset = "coins', 'spot = "maybe"\nasset = "coins', "holding 1: spot is true or false"),
        ("underlying", "= 5", "is not TOML"),
    ],
)
def test_every_mistake_has_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TOML
    with pytest.raises(DataError, match=rf"otc \(declared\): otc.toml.*{words}"):
        read(tmp_path, TOML.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# as_of: 2023-11-14T22:00Z\n", "", "as_of is missing"),
        ("# anything else is a comment", "# as_of: 2023-11-14T22:00Z", "line 3: as_of is there twice"),
        ("kind,type", "kind,colour", "line 4: 'colour' is not known here"),
        ("kind,type", "type,type", "the header needs kind"),
        ("holding,,,,coins,12,,", "holding,,,,coins,12,", "line 7: 7 fields, where the header has 8"),
        ("holding,,,,coins,12,,", "gift,,,,coins,12,,", "line 7: kind is option or holding, not 'gift'"),
        ("holding,,,,coins,12,,", "holding,put,,,coins,12,,", "line 7: 'type' is not known here"),
        ("bought back", '"', "line 6 is no line of CSV"),
        ("bought back", "x" * 200_000, "line 6 is no line of CSV"),
        ("bought back", "", "line 6: it is .* line 5 again"),
        ("a future elsewhere,-3,false,\n", "a future", "may have been cut off"),
    ],
)
def test_every_mistake_in_a_csv_has_its_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in CSV
    with pytest.raises(DataError, match=rf"otc \(declared\): otc.csv.*{words}"):
        read(tmp_path, CSV.replace(old, new, 1), "otc.csv")


def test_a_day_without_an_hour_and_a_second_of_another_century_are_no_expiry(tmp_path: Path) -> None:
    for written, words in (('"2023-11-24"', "expiry has no hour"), ('"20231124"', "no Unix second")):
        text = TOML.replace('"2023-11-24T08:00Z"', written)
        assert text != TOML
        with pytest.raises(DataError, match=words):
            read(tmp_path, text)


def test_a_huge_file_and_one_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is larger than"):
        read(tmp_path, TOML + "#" * 1_000_000 + "\n")
    (tmp_path / "otc.toml").write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        feed(declared(tmp_path / "otc.toml").read(), [[NOW]])
