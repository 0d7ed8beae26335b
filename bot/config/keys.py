"""Which keys a model knows at a place in the file: found in the models' own annotations."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel


def keys_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys that are known at a place, which is written as pydantic writes where a mistake is.

    That is by the names of fields, by an entry's number or name in a list or table, and by the kind of a union.
    """
    found = [model]
    for step in path:
        inside = [
            each
            for one in found
            if step in one.model_fields
            for each in models_in(one.model_fields[step].annotation)
        ]
        kinds = [one for one in found if step in kinds_of(one)]
        found = inside or kinds or found
    return [key for one in found for key in one.model_fields]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def kinds_of(model: type[BaseModel]) -> tuple[Any, ...]:
    """What a model's `kind` may say, () where it has none."""
    field = model.model_fields.get("kind")
    return () if field is None else get_args(field.annotation)
