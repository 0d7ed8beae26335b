"""Vols from a CSV file that somebody keeps: `expiry,strike,vol[,forward][,at]`, one quote a line.

An expiry or an `at` is an ISO date and time in UTC (2026-11-27T08:00Z), or whole Unix seconds. Lines that start with #
are comments; one of the form `# at: 2026-11-20T12:00Z` says when the vols were made. Else the column `at` does, by its
oldest entry, and where there is neither the time that the file was written.
"""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bot.errors import DataError, PricingError
from bot.pricing.surface import Surface, VolQuote, fit_surface

NEEDED = ("expiry", "strike", "vol")
KNOWN = (*NEEDED, "forward", "at")
CLOCK_GAP_S = 300
"""How far a source's clock may be ahead of ours."""


class TableVol:
    """Reads the file at `path` anew each time. `tolerance` is the quotes' spread in vol, as for `fit_surface`."""

    def __init__(self, path: Path, name: str = "table", tolerance: float = 0.02) -> None:
        self.name = name
        self._path = path
        self._tolerance = tolerance

    def read(self, now: int) -> Surface:
        """The file's surface; rows whose expiry has passed are left out. DataError names the file, and the line."""
        try:
            text = self._path.read_text(encoding="utf-8-sig")
            written = int(self._path.stat().st_mtime)
        except OSError as error:
            raise DataError(f"{self.name}: {self._path.name} can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise DataError(f"{self.name}: {self._path.name} is not text in UTF-8") from None
        rows = self._rows(text)
        said = self._said(text)
        times = [at for _, _, at in rows if at is not None]
        if times and len(times) < len(rows):
            line = next(line for line, _, at in rows if at is None)
            raise DataError(f"{self._place(line)}: at is empty, where other lines have one")
        at = said if said is not None else min(times) if times else written
        if at > now + CLOCK_GAP_S:
            raise DataError(f"{self.name}: {self._path.name} is {at - now} s ahead of the time of this tick")
        quotes = [quote for _, quote, _ in rows if quote.expiry > max(now, at)]
        if not quotes:
            raise DataError(f"{self.name}: every expiry in {self._path.name} has passed")
        try:
            return fit_surface(quotes, at, self.name, self._tolerance)
        except PricingError as error:
            lines = _lines_in(rows, str(error))
            raise type(error)(f"{error} ({self._path.name}{lines})") from None

    def _rows(self, text: str) -> list[tuple[int, VolQuote, int | None]]:
        """(line, quote, its time) of every row. No two are of the same option."""
        lines = [
            (number, line)
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith("#")
        ]
        if not lines:
            raise DataError(f"{self.name}: {self._path.name} is empty")
        header = [field.strip().lower() for field in next(csv.reader([lines[0][1]]))]
        missing = [field for field in NEEDED if field not in header]
        unknown = [field for field in header if field not in KNOWN]
        if missing or unknown or len(set(header)) < len(header):
            fault = (
                f"{missing[0]} is missing"
                if missing
                else f"{unknown[0]!r} is not known"
                if unknown
                else "twice"
            )
            raise DataError(
                f"{self._place(lines[0][0])}: the header is expiry,strike,vol[,forward][,at]: {fault}"
            )
        found: list[tuple[int, VolQuote, int | None]] = []
        seen: dict[tuple[int, float], int] = {}
        for number, line in lines[1:]:
            quote, at = self._row(number, header, line)
            before = seen.setdefault((quote.expiry, quote.strike), number)
            if before != number:
                raise DataError(f"{self._place(number)}: line {before} has this expiry and strike already")
            found.append((number, quote, at))
        if not found:
            raise DataError(f"{self.name}: {self._path.name} has a header and no vol")
        return found

    def _row(self, number: int, header: list[str], line: str) -> tuple[VolQuote, int | None]:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        if len(cells) != len(header):
            raise DataError(f"{self._place(number)}: {len(cells)} fields, where the header has {len(header)}")
        row = dict(zip(header, cells, strict=True))
        values: dict[str, float] = {}
        for field in ("strike", "vol", "forward"):
            if field == "forward" and not row.get(field):
                continue
            try:
                values[field] = float(row[field])
            except ValueError:
                raise DataError(f"{self._place(number)}: {field} is not a number") from None
            # NaN compares as neither.
            if not 0 < values[field] < float("inf"):
                raise DataError(f"{self._place(number)}: {field} is not above zero")
        expiry = self._time(number, "expiry", row["expiry"])
        at = self._time(number, "at", row["at"]) if row.get("at") else None
        return VolQuote(expiry, values["strike"], values["vol"], values.get("forward")), at

    def _said(self, text: str) -> int | None:
        """The time on the `# at:` line, if there is one."""
        for number, line in _comments(text):
            key, colon, value = line.lstrip("# \t").partition(":")
            if colon and key.strip().lower() == "at":
                return self._time(number, "at", value.strip())
        return None

    def _time(self, number: int, field: str, value: str) -> int:
        if value.isascii() and value.isdigit():
            return int(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise DataError(f"{self._place(number)}: {field} is no time like 2026-11-27T08:00Z") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        if moment.utcoffset() != UTC.utcoffset(None):
            raise DataError(f"{self._place(number)}: {field} is not in UTC")
        return int(moment.timestamp())

    def _place(self, number: int) -> str:
        return f"{self.name}: {self._path.name} line {number}"


def _comments(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            yield number, line.strip()


def _lines_in(rows: list[tuple[int, VolQuote, int | None]], message: str) -> str:
    """The lines of the strike that an error of `fit_surface` names, for whoever has to mend them."""
    lines = [str(line) for line, quote, _ in rows if f"strike {quote.strike:g}" in message]
    return f", line {' or '.join(lines)}" if lines else ""
