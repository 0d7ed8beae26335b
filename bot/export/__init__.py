"""The ledger as files for accountants and notebooks: CSV and Parquet, row by row. See docs/export.md.

Decimals stay the exact texts that the ledger has, in both formats: amounts come with up to 28 digits, any number of
which may be decimals, so that no one decimal128 holds them all.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from bot.errors import ConfigError
from bot.export.tables import TABLES, Row, Table, Type
from bot.ledger.look import look_at

__all__ = ["TABLES", "export"]

BATCH = 5_000
"""Rows of one Parquet row group."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so would be a formula to a spreadsheet: a contract's own words must not run there."""


def export(
    ledger: Path, out: Path, kinds: Iterable[str], wanted: Iterable[str], progress: Callable[[str, int], None]
) -> dict[str, int]:
    """Writes each wanted table in each format ("csv", "parquet") into `out`, and says how many rows each has.

    A file appears under its name only once it is whole; one that is there is replaced.
    """
    formats = [WRITERS[kind] for kind in kinds]
    found = look_at(ledger)
    counts: dict[str, int] = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for table in (table for table in TABLES if table.name in wanted):
            with ExitStack() as files:
                writers = [files.enter_context(writer(out, table)) for writer in formats]
                counts[table.name] = 0
                for row in table.rows(found.engine):
                    for write in writers:
                        write(row)
                    counts[table.name] += 1
                    if counts[table.name] % BATCH == 0:
                        progress(table.name, counts[table.name])
    except OSError as error:
        raise ConfigError(
            f"{out} can't be written: {error.strerror}: give another folder with --out"
        ) from None
    finally:
        found.close()
    return counts


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file beside `path` that takes its place at the end, and is removed where something went wrong."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def plain(row: Row, table: Table, times: Callable[[int], object]) -> list[object]:
    """A row's values in the order of the columns: decimals written out, Unix seconds as `times` has them."""
    found: list[object] = []
    for name, kind in table.columns.items():
        value = row[name]
        if value is not None and kind == "decimal":
            value = f"{Decimal(value):f}"
        elif value is not None and kind == "time":
            value = times(value)
        found.append(value)
    return found


def as_text(at: int) -> str:
    """A Unix second in ISO 8601."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def harmless(kind: Type, value: object) -> object:
    """A text that a spreadsheet takes for a formula, with an apostrophe before it; anything else as it is."""
    return f"'{value}" if kind == "text" and isinstance(value, str) and value.startswith(FORMULA) else value


@contextmanager
def csv_writer(out: Path, table: Table) -> Iterator[Callable[[Row], None]]:
    """UTF-8 with a header; what is not known is empty."""
    with whole(out / f"{table.name}.csv") as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        yield lambda row: writer.writerow(map(harmless, table.columns.values(), plain(row, table, as_text)))
        file.flush()


@contextmanager
def parquet_writer(out: Path, table: Table) -> Iterator[Callable[[Row], None]]:
    """Zstandard, with decimals as strings. ConfigError where pyarrow isn't installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            "Parquet needs pyarrow, which is not installed: `pip install 'vaultkeel[parquet]'`, or export CSV alone"
        ) from None
    types = {
        "text": pyarrow.string(),
        "decimal": pyarrow.string(),
        "integer": pyarrow.int64(),
        "float": pyarrow.float64(),
        "time": pyarrow.timestamp("s", tz="UTC"),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in table.columns.items()])
    rows: list[list[object]] = []
    with (
        whole(out / f"{table.name}.parquet") as part,
        parquet.ParquetWriter(part, schema, compression="zstd") as file,
    ):

        def flush() -> None:
            columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in table.columns]
            arrays = [pyarrow.array(column, each.type) for column, each in zip(columns, schema, strict=True)]
            file.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            rows.clear()

        def write(row: Row) -> None:
            rows.append(plain(row, table, int))
            if len(rows) >= BATCH:
                flush()

        yield write
        flush()


WRITERS: dict[str, Callable[[Path, Table], AbstractContextManager[Callable[[Row], None]]]] = {
    "csv": csv_writer,
    "parquet": parquet_writer,
}
