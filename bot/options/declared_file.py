"""Reads a file of declared positions, TOML or CSV: every row is checked, and a wrong one is a DataError with its place.

Amounts are whole units of the underlying as quoted decimals, times ISO in UTC or whole Unix seconds.
"""

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from bot.errors import DataError

MOST_BYTES = 1_000_000
MOST_DIGITS = 30
TOP = ("underlying", "as_of")
OPTION = ("type", "strike", "expiry", "size")
HOLDING = ("asset", "size")
COLUMNS = ("kind", "type", "strike", "expiry", "asset", "size", "spot", "note")
TYPES = {"call": True, "put": False}
TRUTH = {"true": True, "false": False, True: True, False: False}


@dataclass(frozen=True, slots=True)
class DeclaredOption:
    """One trade: `size` in units, negative where it was sold; `expiry` in Unix seconds; `strike` in USD."""

    place: str
    is_call: bool
    strike: Decimal
    expiry: int
    size: Decimal
    note: str


@dataclass(frozen=True, slots=True)
class DeclaredHolding:
    """An amount that moves one for one with the underlying; `is_spot` False for a hedge held elsewhere."""

    place: str
    asset: str
    size: Decimal
    is_spot: bool


@dataclass(frozen=True, slots=True)
class Declaration:
    """A whole file, as of Unix second `as_of`."""

    underlying: str
    as_of: int
    options: tuple[DeclaredOption, ...]
    holdings: tuple[DeclaredHolding, ...]


def read_declaration(name: str, path: Path) -> Declaration:
    """The file at `path`; what ends in .csv is CSV, all else TOML. DataError names `name`, the file and the row."""
    where = f"{name}: {path.name}"
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{where} can't be read: {error.strerror}") from None
    if len(raw) > MOST_BYTES:
        raise DataError(f"{where} is larger than {MOST_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{where} is not text in UTF-8") from None
    if not text.endswith("\n"):
        raise DataError(f"{where} doesn't end with a line's end: it may have been cut off")
    rows = _csv_rows(where, text) if path.suffix.lower() == ".csv" else _toml_rows(where, text)
    top, options, holdings = rows
    for key in TOP:
        if key not in top:
            raise DataError(f"{where}: {key} is missing")
    if not isinstance(top["underlying"], str) or not top["underlying"]:
        raise DataError(f"{where}: underlying is no name")
    found = Declaration(
        underlying=top["underlying"],
        as_of=_time(where, "as_of", top["as_of"]),
        options=tuple(_option(place, row) for place, row in options),
        holdings=tuple(_holding(place, row) for place, row in holdings),
    )
    _refuse_twice([(o.place, (o.is_call, o.strike, o.expiry, o.note)) for o in found.options])
    _refuse_twice([(h.place, (h.asset,)) for h in found.holdings])
    return found


Rows = list[tuple[str, Mapping[str, Any]]]


def _toml_rows(where: str, text: str) -> tuple[Mapping[str, Any], Rows, Rows]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{where} is not TOML: {error}") from None
    _refuse_unknown(where, document, (*TOP, "options", "holdings"))
    tables: dict[str, Rows] = {}
    for kind, single in (("options", "option"), ("holdings", "holding")):
        rows = document.get(kind, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise DataError(f"{where}: {kind} is written as [[{kind}]], one table for each")
        tables[kind] = [(f"{where} {single} {i}", row) for i, row in enumerate(rows, 1)]
    return document, tables["options"], tables["holdings"]


def _csv_rows(where: str, text: str) -> tuple[Mapping[str, Any], Rows, Rows]:
    """The same from CSV, whose `# as_of: …` and `# underlying: …` lines say what the whole file is about."""
    lines = [(i, line) for i, line in enumerate(text.splitlines(), 1) if line.strip()]
    top: dict[str, str] = {}
    for number, line in lines:
        key, colon, value = line.lstrip("# \t").partition(":")
        if line.lstrip().startswith("#") and colon and key.strip() in TOP:
            if key.strip() in top:
                raise DataError(f"{where} line {number}: {key.strip()} is there twice")
            top[key.strip()] = value.strip()
    rows = [(i, line) for i, line in lines if not line.lstrip().startswith("#")]
    if not rows:
        raise DataError(f"{where} has no header: it is {','.join(COLUMNS)}, in any order")
    header = _cells(f"{where} line {rows[0][0]}", rows[0][1])
    _refuse_unknown(f"{where} line {rows[0][0]}", dict.fromkeys(header), COLUMNS)
    if len(set(header)) < len(header) or "kind" not in header:
        raise DataError(f"{where} line {rows[0][0]}: the header needs kind, and each column once")
    found: dict[str, Rows] = {"option": [], "holding": []}
    for number, line in rows[1:]:
        place = f"{where} line {number}"
        cells = _cells(place, line)
        if len(cells) != len(header):
            raise DataError(f"{place}: {len(cells)} fields, where the header has {len(header)}")
        row = {key: cell for key, cell in zip(header, cells, strict=True) if cell}
        kind = row.pop("kind", "")
        if kind not in found:
            raise DataError(f"{place}: kind is option or holding, not {kind!r}")
        found[kind].append((place, row))
    return top, found["option"], found["holding"]


def _cells(place: str, line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], strict=True))]
    except csv.Error as error:
        raise DataError(f"{place} is no line of CSV: {error}") from None


def _option(place: str, row: Mapping[str, Any]) -> DeclaredOption:
    _refuse_unknown(place, row, (*OPTION, "note"), OPTION)
    if not isinstance(row["type"], str) or row["type"] not in TYPES:
        raise DataError(f"{place}: type is call or put, not {row['type']!r}")
    strike = _amount(place, "strike", row["strike"])
    if strike <= 0:
        raise DataError(f"{place}: strike is not above zero")
    expiry, size = _time(place, "expiry", row["expiry"]), _size(place, row)
    return DeclaredOption(place, TYPES[row["type"]], strike, expiry, size, str(row.get("note", "")))


def _holding(place: str, row: Mapping[str, Any]) -> DeclaredHolding:
    _refuse_unknown(place, row, (*HOLDING, "spot", "note"), HOLDING)
    spot = row.get("spot", True)
    if not isinstance(spot, bool | str) or spot not in TRUTH:
        raise DataError(f"{place}: spot is true or false")
    if not isinstance(row["asset"], str) or not row["asset"]:
        raise DataError(f"{place}: asset is no name")
    return DeclaredHolding(place, row["asset"], _size(place, row), TRUTH[spot])


def _size(place: str, row: Mapping[str, Any]) -> Decimal:
    size = _amount(place, "size", row["size"])
    if size == 0:
        raise DataError(f"{place}: size is zero: leave the row out")
    return size


def _amount(place: str, field: str, value: Any) -> Decimal:
    if not isinstance(value, str):
        raise DataError(f'{place}: {field} is written in quotes, like "0.25", for a float would not be exact')
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise DataError(f"{place}: {field} is not a decimal number") from None
    if not amount.is_finite():
        raise DataError(f"{place}: {field} is not finite")
    if amount.adjusted() > MOST_DIGITS or int(amount.as_tuple().exponent) < -MOST_DIGITS:
        raise DataError(f"{place}: {field} has more than {MOST_DIGITS} digits before or behind the point")
    return amount


def _time(place: str, field: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise DataError(f"{place}: {field} is no time like 2026-11-27T08:00Z") from None
    if isinstance(value, str) and ":" not in value:
        raise DataError(f"{place}: {field} has no hour: write it like 2026-11-27T08:00Z")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if moment.utcoffset() != UTC.utcoffset(None):
        raise DataError(f"{place}: {field} is not in UTC")
    return int(moment.timestamp())


def _refuse_unknown(
    place: str, row: Mapping[str, Any], known: tuple[str, ...], needed: tuple[str, ...] = ()
) -> None:
    for key in row:
        if key not in known:
            raise DataError(f"{place}: {key!r} is not known here, there are {', '.join(known)}")
    for key in needed:
        if key not in row:
            raise DataError(f"{place}: {key} is missing")


def _refuse_twice(keyed: list[tuple[str, tuple[Any, ...]]]) -> None:
    """DataError where two rows are about the same: one of them may be a slip, and both would count."""
    seen: dict[tuple[Any, ...], str] = {}
    for place, key in keyed:
        before = seen.setdefault(key, place)
        if before != place:
            raise DataError(
                f"{place}: it is {before} again: add their sizes, or tell two options apart by a note"
            )
