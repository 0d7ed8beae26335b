"""The export: exact, row by row, whole files or none, and every column is documented."""

import csv
import json
import re
import sys
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import ACCOUNT, NOW, Rig, attempt, decided, fill, intent
from sqlalchemy import insert

from bot.cli import app
from bot.core.model import Outcome, OutcomeState
from bot.errors import ConfigError
from bot.export import TABLES, export
from bot.ledger import open_ledger
from bot.ledger.database import connect
from bot.ledger.rows import tick_values
from bot.ledger.schema import ticks

ALL = [table.name for table in TABLES]
ODD = "0.1234567890123456789012345678"


def quiet(_table: str, _rows: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with two ticks, an order with every figure, and one that was refused."""
    path = tmp_path / "vaultkeel.db"
    with_rows = open_ledger(path)
    first, second = with_rows.record_tick(decided()), with_rows.record_tick(decided())
    with_rows.intend(intent("one", price_bound=Decimal(ODD)), first)
    with_rows.attempt(attempt("one"))
    with_rows.mined(receipt_of("one"))
    with_rows.resolve("one", Outcome(OutcomeState.FILLED, "", fill("5", ODD)), Decimal(ODD), NOW + 3)
    with_rows.intend(intent("two"), second)
    with_rows.resolve("two", Outcome(OutcomeState.DEAD, '=HYPERLINK("evil")'), Decimal(0), NOW + 4)
    with_rows.close()
    return path


def receipt_of(key: str) -> Any:
    from builders import receipt

    return receipt(attempt(key).hash)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_table_has_its_rows_and_decimals_are_exact(ledger: Path, tmp_path: Path) -> None:
    counts = export(ledger, tmp_path / "out", ["csv"], ALL, quiet)
    assert counts == {"orders": 2, "transactions": 1, "fills": 1, "decisions": 2, "exposure": 2}
    order, refused = read_csv(tmp_path / "out" / "orders.csv")
    assert order["price_bound"] == order["gas_usd"] == ODD
    assert order["resolved_at"] == "2023-11-14T22:13:23Z"
    assert order["outcome"] == "FILLED"
    assert refused["reason"] == '\'=HYPERLINK("evil")', "a contract's words are no formula"
    (done,) = read_csv(tmp_path / "out" / "fills.csv")
    assert Decimal(done["notional"]) == 5 * Decimal(ODD)
    exposure = read_csv(tmp_path / "out" / "exposure.csv")[0]
    assert float(exposure["net"]) == decided().exposure.net
    assert Decimal(exposure["mark"]) == 2000
    assert "E" not in exposure["hedge_size"]
    (sent,) = read_csv(tmp_path / "out" / "transactions.csv")
    assert "raw" not in sent, "signed bytes stay in the ledger"


def test_parquet_has_the_same_rows_with_types(ledger: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export(ledger, tmp_path / "out", ["csv", "parquet"], ALL, quiet)
    for table in TABLES:
        theirs = parquet.read_table(tmp_path / "out" / f"{table.name}.parquet")
        assert theirs.schema.names == list(table.columns)
        rows = read_csv(tmp_path / "out" / f"{table.name}.csv")
        assert theirs.num_rows == len(rows)
        for kind, field in zip(table.columns.values(), theirs.schema, strict=True):
            names = {"decimal": "string", "text": "string", "integer": "int64", "float": "double"}
            assert str(field.type) == names.get(kind, "timestamp[ms, tz=UTC]")
    orders = parquet.read_table(tmp_path / "out" / "orders.parquet").to_pylist()
    assert orders[0]["price_bound"] == ODD
    assert int(orders[0]["resolved_at"].timestamp()) == NOW + 3


def test_parquet_without_pyarrow_says_what_to_install(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ConfigError, match=r"pip install 'vaultkeel\[parquet\]'"):
        export(ledger, tmp_path / "out", ["parquet"], ALL, quiet)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export(ledger, out, ["csv"], ALL, quiet)
    before = (out / "exposure.csv").read_bytes()
    monkeypatch.setattr("bot.export.tables.json.loads", lambda _text: json.JSONDecoder().decode("{"))
    with pytest.raises(json.JSONDecodeError):
        export(ledger, out, ["csv"], ["exposure"], quiet)
    assert (out / "exposure.csv").read_bytes() == before
    assert {path.name for path in out.iterdir()} == {f"{name}.csv" for name in ALL}


def test_a_run_goes_on_writing_while_its_ledger_is_exported(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "vaultkeel.db", paper=True)
    rig.tick()
    seen: list[int] = []

    def write_meanwhile(_table: str, rows: int) -> None:
        rig.ledger.record_tick(decided())
        seen.append(rows)

    fill_with(rig.path, 6_000)
    counts = export(rig.path, tmp_path / "out", ["csv"], ["decisions"], write_meanwhile)
    assert seen == [5_000]
    assert counts["decisions"] >= 6_001


def fill_with(path: Path, number: int) -> None:
    """So many ticks, as a long run would leave them."""
    engine = connect(path)
    values = tick_values(decided())
    with engine.begin() as db:
        for first in range(0, number, 1_000):
            db.execute(insert(ticks), [values] * min(1_000, number - first))
    engine.dispose()


@pytest.mark.parametrize(
    "number", [5_000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_memory_doesnt_grow_with_the_ledger(number: int, tmp_path: Path) -> None:
    path = tmp_path / "vaultkeel.db"
    open_ledger(path).close()
    fill_with(path, number)
    tracemalloc.start()
    counts = export(path, tmp_path / "out", ["csv"], ["decisions", "exposure"], quiet)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counts == {"decisions": number, "exposure": number}
    assert most < 40_000_000


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to look like one" * 50])
def test_what_is_no_ledger_is_refused_and_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vaultkeel.db"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="ledger"):
        export(path, tmp_path / "out", ["csv"], ALL, quiet)
    assert path.read_bytes() == content


def test_exporting_makes_nothing_beside_a_ledger_that_nobody_uses(ledger: Path, tmp_path: Path) -> None:
    before = {path.name for path in ledger.parent.iterdir()}
    export(ledger, tmp_path / "elsewhere" / "out", ["csv"], ALL, quiet)
    assert {path.name for path in ledger.parent.iterdir()} == before | {"elsewhere"}


def test_an_unknown_table_is_refused_with_the_names_that_there_are(ledger: Path) -> None:
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["export", "--ledger", str(ledger), "--table", "order"])
    assert isinstance(result.exception, ConfigError)
    assert "orders, transactions, fills, decisions, exposure" in str(result.exception)


def test_every_column_is_documented_with_its_type() -> None:
    text = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    for table in TABLES:
        (section,) = re.findall(rf"## `{table.name}`\n(.*?)(?=\n## |\Z)", text, re.DOTALL)
        rows = {
            name: kind
            for names, kind in re.findall(r"^\| ([^|]+) \| (\w+) \|", section, re.MULTILINE)
            for name in re.findall(r"`(\w+)`", names)
        }
        assert rows == table.columns, table.name


def test_the_account_is_in_the_orders(ledger: Path, tmp_path: Path) -> None:
    export(ledger, tmp_path / "out", ["csv"], ["orders"], quiet)
    assert {row["account"] for row in read_csv(tmp_path / "out" / "orders.csv")} == {ACCOUNT}
