"""Figures as people read them. Every function takes None for what is not known."""

from datetime import UTC, datetime
from decimal import Decimal

Number = int | float | Decimal
UNKNOWN = "—"
MINUS = "−"


def number(value: Number | None, digits: int = 2) -> str:
    """With thousands separated."""
    return UNKNOWN if value is None else f"{_whole_zero(value, digits):,.{digits}f}".replace("-", MINUS)


def signed(value: Number | None, digits: int = 4) -> str:
    """With its sign, which zero has not."""
    if value is None:
        return UNKNOWN
    shown = _whole_zero(value, digits)
    return f"{shown:,.{digits}f}" if shown == 0 else f"{shown:+,.{digits}f}".replace("-", MINUS)


def usd(value: Number | None, digits: int = 2) -> str:
    """An amount of USD."""
    if value is None:
        return UNKNOWN
    shown = _whole_zero(value, digits)
    return f"{MINUS if shown < 0 else ''}${abs(shown):,.{digits}f}"


def gain(value: Number | None, digits: int = 2) -> str:
    """A profit or loss in USD, with its sign."""
    if value is None:
        return UNKNOWN
    shown = _whole_zero(value, digits)
    return usd(shown, digits) if shown <= 0 else f"+{usd(shown, digits)}"


def percent(value: Number | None, digits: int = 1) -> str:
    """A fraction as per cent."""
    return UNKNOWN if value is None else f"{value:.{digits}%}".replace("-", MINUS).replace("%", " %")


def clock(at: int | None) -> str:
    """A Unix second in UTC."""
    return UNKNOWN if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def day(at: int | None) -> str:
    """A Unix second's day in UTC."""
    return UNKNOWN if at is None else f"{datetime.fromtimestamp(at, UTC):%d %b %Y}"


def age(seconds: float | None) -> str:
    """How long something is ago, or lasts."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return "0 s"
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def size_of(count: int) -> str:
    """Bytes."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1_000:
            return f"{value:.0f} {unit}"
        value /= 1_000
    return f"{value:.1f} GB"


def short(text: str) -> str:
    """An address or a hash, its middle left out."""
    return f"{text[:8]}…{text[-6:]}" if len(text) > 16 else text


def tone(value: Number | None) -> str:
    """The class of a profit or loss."""
    return "" if value is None or value >= 0 else "bad"


def plain(name: str) -> str:
    """A field's name in words."""
    return name.replace("_", " ")


def typeset(text: str) -> str:
    """A recorded sentence with true minus signs before its figures."""
    return "".join(
        MINUS
        if char == "-" and text[i + 1 : i + 2].isdigit() and (i == 0 or text[i - 1] in " [(±,")
        else char
        for i, char in enumerate(text)
    )


def _whole_zero(value: Number, digits: int) -> Number:
    """A figure that rounds to zero as zero, for −0.00 looks like a loss."""
    return 0 if round(value, digits) == 0 else value
