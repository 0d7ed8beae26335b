"""Claims about bot.vols.constant and bot.vols.table. bot.vols.deribit speaks over a socket: tests/chain."""

import os
import re
from pathlib import Path

import pytest

from bot.errors import DataError, PricingError
from bot.pricing.svi import ArbitrageError
from bot.vols.constant import ConstantVol
from bot.vols.table import TableVol

NOW = 1_790_000_000  # 2026-09-21T14:13:20Z
EXPIRY = 1_795_766_400  # 2026-11-27T08:00Z

ROWS = """expiry,strike,vol,forward
2026-11-27T08:00Z,2000,0.70,2500
2026-11-27T08:00Z,2500,0.62,2500
2026-11-27T08:00Z,3000,0.65,2500
"""


def table(folder: Path, text: str) -> TableVol:
    path = folder / "vols.csv"
    path.write_text(text, encoding="utf-8")
    os.utime(path, (NOW - 60, NOW - 60))
    return TableVol(path)


def test_a_constant_vol_is_the_same_everywhere_and_always_of_now() -> None:
    source = ConstantVol(0.8)
    surface = source.read(NOW)
    assert (source.name, surface.name, surface.at) == ("constant", "constant", NOW)
    assert surface.vol(1.0, NOW + 1, NOW) == surface.vol(1e5, NOW + 10**8, NOW) == 0.8


@pytest.mark.parametrize("vol", [0.0, -1.0, 80.0, float("nan")])
def test_a_senseless_constant_vol_is_refused_at_once(vol: float) -> None:
    with pytest.raises(PricingError, match="constant: "):
        ConstantVol(vol)


def test_a_table_gives_its_vols(tmp_path: Path) -> None:
    surface = table(tmp_path, ROWS).read(NOW)
    assert surface.vols([2000.0, 2500.0, 3000.0], EXPIRY, NOW) == pytest.approx([0.70, 0.62, 0.65])
    assert surface.atm_vol(EXPIRY, NOW) == pytest.approx(0.62)


def test_an_expiry_may_be_iso_or_unix_and_a_forward_may_be_left_out(tmp_path: Path) -> None:
    text = f"strike,vol,expiry\n2500,0.62,{EXPIRY}\n2600,0.63,2026-11-27 08:00:00+00:00\n2700,0.64,2026-11-27T08:00\n"
    surface = table(tmp_path, text).read(NOW)
    assert surface.vols([2500.0, 2600.0, 2700.0], EXPIRY, NOW) == pytest.approx([0.62, 0.63, 0.64])
    with pytest.raises(PricingError, match="gives no forward"):
        surface.atm_vol(EXPIRY, NOW)


def test_a_tables_time_is_what_it_says_else_its_oldest_row_else_its_files(tmp_path: Path) -> None:
    assert table(tmp_path, ROWS).read(NOW).at == NOW - 60
    rows = f"expiry,strike,vol,at\n{EXPIRY},2500,0.6,{NOW - 500}\n{EXPIRY},2600,0.6,{NOW - 400}\n"
    assert table(tmp_path, rows).read(NOW).at == NOW - 500
    assert table(tmp_path, "# at: 2026-09-21T14:00Z\n" + rows).read(NOW).at == NOW - 800
    assert table(tmp_path, f"# made by hand\n# At: {NOW - 7}\n" + ROWS).read(NOW).at == NOW - 7


def test_a_table_is_read_anew_each_time(tmp_path: Path) -> None:
    source = table(tmp_path, ROWS)
    before = source.read(NOW).vol(2500.0, EXPIRY, NOW)
    table(tmp_path, ROWS.replace("0.62", "0.60"))
    assert (before, source.read(NOW).vol(2500.0, EXPIRY, NOW)) == pytest.approx((0.62, 0.60))


def test_rows_whose_expiry_has_passed_are_left_out(tmp_path: Path) -> None:
    source = table(tmp_path, ROWS + f"{NOW - 10},2500,0.9,2400\n")
    assert len(source.read(NOW).slices) == 1
    with pytest.raises(DataError, match=r"every expiry in vols\.csv has passed"):
        source.read(EXPIRY)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "vols.csv is empty"),
        ("# nothing\n", "vols.csv is empty"),
        ("expiry,strike,vol\n", "has a header and no vol"),
        ("expiry,strike\n", "line 1: the header is expiry,strike,vol[,forward][,at]: vol is missing"),
        (
            "expiry,strike,vol,price\n",
            "line 1: the header is expiry,strike,vol[,forward][,at]: 'price' is not known",
        ),
        ("# c\nexpiry,strike,vol,vol\n", "line 2: the header is"),
        (ROWS + "2026-11-27T08:00Z,3500\n", "line 5: 2 fields, where the header has 4"),
        (ROWS + "soon,3500,0.7,2500\n", "line 5: expiry is no time like 2026-11-27T08:00Z"),
        (ROWS + "2026-11-27T08:00+02:00,3500,0.7,2500\n", "line 5: expiry is not in UTC"),
        (ROWS + "2026-11-27T08:00Z,much,0.7,2500\n", "line 5: strike is not a number"),
        (ROWS + "2026-11-27T08:00Z,3500,nan,2500\n", "line 5: vol is not above zero"),
        (ROWS + "2026-11-27T08:00Z,3500,inf,2500\n", "line 5: vol is not above zero"),
        (ROWS + "2026-11-27T08:00Z,3500,0,2500\n", "line 5: vol is not above zero"),
        (ROWS + "2026-11-27T08:00Z,3500,0.7,-1\n", "line 5: forward is not above zero"),
        (ROWS + f"{EXPIRY},2500.0,0.7,2500\n", "line 5: line 3 has this expiry and strike already"),
        (
            ROWS + "2026-11-27T08:00Z,3500,70,2500\n",
            "a vol of 70 is above 5: taken for a mistake (vols.csv, line 5)",
        ),
        (ROWS + "2026-11-27T08:00Z,3500,0.7,2400\n", "its quotes name 2 different forwards (vols.csv)"),
        (
            f"expiry,strike,vol,at\n{EXPIRY},1,0.5,{NOW}\n{EXPIRY},2,0.5,\n",
            "line 3: at is empty, where other lines",
        ),
        (f"# at: {NOW + 301}\n" + ROWS, "vols.csv is 301 s ahead of the time of this tick"),
        ("# at: noon\n" + ROWS, "line 1: at is no time like"),
    ],
)
def test_a_tables_mistake_is_named_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(DataError, match=re.escape(sentence)):
        table(tmp_path, text).read(NOW)


def test_arbitrage_in_a_table_is_named_with_its_line(tmp_path: Path) -> None:
    text = ROWS.replace("2500,0.62", "2500,0.95").replace("0.65", "0.5").replace("0.70", "0.5")
    with pytest.raises(ArbitrageError, match=r"butterfly arbitrage at strike 2500: .* \(vols\.csv, line 3\)"):
        table(tmp_path, text).read(NOW)


def test_a_table_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"table: none\.csv can't be read: No such file"):
        TableVol(tmp_path / "none.csv").read(NOW)
    (tmp_path / "vols.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        TableVol(tmp_path / "vols.csv").read(NOW)
