"""The effective configuration, key by key, without a secret."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel, SecretStr

from bot.config import Config

HIDDEN = "set, not shown"


@dataclass(frozen=True, slots=True)
class Row:
    """One key with its value as it is shown. `given` is whether the file says it, else it is a default."""

    key: str
    value: str
    given: bool


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one table."""

    name: str
    rows: tuple[Row, ...]


def sections_of(config: Config) -> tuple[Section, ...]:
    """Every table of the configuration, the top level first. What is a secret is a `SecretStr`, and never opened
    beyond the name that stands in for it.
    """
    return tuple(Section(name, tuple(rows)) for name, rows in _tables("", config) if rows)


def _tables(name: str, model: BaseModel) -> Iterator[tuple[str, list[Row]]]:
    rows: list[Row] = []
    nested: list[tuple[str, BaseModel]] = []
    for field in type(model).model_fields:
        value: object = getattr(model, field)
        path = f"{name}.{field}" if name else field
        given = field in model.model_fields_set
        if isinstance(value, BaseModel):
            nested.append((path, value))
        elif isinstance(value, dict) and any(isinstance(each, BaseModel) for each in value.values()):
            nested += [(f"{path}.{key}", each) for key, each in value.items()]
        elif isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value):
            nested += [(f"{path}[{place}]", each) for place, each in enumerate(value)]
        else:
            rows.append(Row(field, shown(value), given))
    yield name, rows
    for path, each in nested:
        yield from _tables(path, each)


def shown(value: object) -> str:
    """A value for people; of a secret where it comes from, or that it is set."""
    if isinstance(value, SecretStr):
        source = value.get_secret_value()
        return f"from {source}" if source.startswith(("env:", "file:")) else HIDDEN
    if isinstance(value, tuple | list):
        return ", ".join(shown(each) for each in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {shown(each)}" for key, each in value.items()) or "none"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "empty" if value == "" else str(value)
