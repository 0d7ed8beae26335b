"""The configuration's reference, from the models: `python docs/config_reference.py` writes the page.

Every table of the file has a section, every key of it a line: its type in words with its bounds, its default, and the
model's own sentence about it.
"""

import types
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AfterValidator, BaseModel, BeforeValidator, PlainValidator
from pydantic.fields import FieldInfo

from bot.config import Config, chains, fields

PAGE = Path(__file__).parent / "configuration-reference.md"
HEAD = """# Configuration reference

Made from the program's own models by `docs/config_reference.py`. The [guide](configuration.md) says how the parts work
together.

- An **amount** is a quoted decimal, like `"0.25"`: a float would not be exact. An **address** is 0x and 40 hex digits.
- A **secret** is named and never written: `"env:NAME"`, `"file:PATH"` or `"credential:NAME"`. None has a default.
- A **path** starts from the configuration's folder.
- *required* has to be given. *none* is a key that may be left out, which then sets nothing.
- *Units* are those of the underlying. A unit of time or money is in the key's name, too.
"""

WORDS: dict[Callable[..., object], str] = {
    fields._amount: "amount",
    fields._address: "address",
    fields._address_or_empty: 'address, or `""`',
    fields._native_usd: '`"underlying"`, or an amount of USD above 0',
    fields._url: "web address, or a secret",
    fields._public_url: "web address",
    fields._beside: "path",
    fields.read_secret: "secret",
    chains._password: 'secret, or `"prompt"`',
}
"""What a value is called that this function reads."""

UNITS = {"_s": "seconds", "_usd": "USD", "_gwei": "gwei", "_minutes": "minutes", "_hours": "hours"}
PLAIN: dict[Any, str] = {
    str: "text",
    bool: "`true` or `false`",
    int: "whole number",
    Decimal: "amount",
    Path: "path",
}


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file: where it is (`[chains.NAME]`), and of which model; `kind` tells the kinds of one apart."""

    where: str
    model: type[BaseModel]
    kind: str = ""

    @property
    def title(self) -> str:
        """Its heading."""
        named = f"`{self.where}`" if self.where else "Top level"
        return f'{named} with `kind = "{self.kind}"`' if self.kind else named


def is_union(annotation: object) -> bool:
    """Whether it is one of several types."""
    return get_origin(annotation) in (typing.Union, types.UnionType)


def models_in(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models that a field holds, in whatever it holds them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    return tuple(model for part in get_args(annotation) for model in models_in(part))


def tables(model: type[BaseModel] = Config, where: str = "", kind: str = "") -> Iterator[Table]:
    """Every table that the file may hold, from `model` down, in the order of its fields."""
    yield Table(where, model, kind)
    for name, field in model.model_fields.items():
        below = [where.strip("[]"), name] if where else [name]
        many = get_origin(field.annotation)
        path = ".".join([*below, "NAME"] if many is dict else below)
        found = models_in(field.annotation)
        for inner in found:
            told = get_args(inner.model_fields["kind"].annotation)[0] if "kind" in inner.model_fields else ""
            yield from tables(inner, f"[[{path}]]" if many is tuple else f"[{path}]", told)


def type_in_words(name: str, annotation: Any, metadata: list[Any]) -> str:
    """What may be written, like "amount of USD, above 0"."""
    said = base_in_words(annotation, metadata)
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    if unit and said in ("amount", "whole number"):
        said = f"{said} of {unit}"
    bounds = [*bounds_in_words(annotation, metadata)]
    if is_union(annotation):  # an optional field keeps its bounds inside
        bounds += [bound for part in get_args(annotation) for bound in bounds_in_words(part, inside(part))]
    return ", ".join([said, *bounds])


def inside(annotation: Any) -> list[Any]:
    """What an Annotated type carries, and what the pydantic Fields among it carry."""
    carried = list(getattr(annotation, "__metadata__", ()))
    return [one for part in carried for one in (part.metadata if isinstance(part, FieldInfo) else [part])]


def base_in_words(annotation: Any, metadata: list[Any]) -> str:
    """The kind of value, without its bounds."""
    if models_in(annotation):
        return tables_in_words(annotation)
    for one in metadata:
        if isinstance(one, PlainValidator | BeforeValidator | AfterValidator) and one.func in WORDS:
            return WORDS[one.func]
    arguments = get_args(annotation)
    if get_origin(annotation) is typing.Annotated:
        return base_in_words(arguments[0], inside(annotation))
    if is_union(annotation):
        return ", or ".join(base_in_words(part, []) for part in arguments if part is not types.NoneType)
    if get_origin(annotation) is Literal:
        return " or ".join(written(value) for value in arguments)
    if get_origin(annotation) is tuple:
        return f"list: {base_in_words(arguments[0], [])}"
    if get_origin(annotation) is dict:
        keys = "names" if issubclass(arguments[0], Enum) else "codes"
        return f"table of {keys}: {base_in_words(arguments[1], [])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(written(value.value) for value in annotation)
    return PLAIN[annotation]


def tables_in_words(annotation: Any) -> str:
    """How a field's tables are written."""
    many = {dict: "tables by name", tuple: "list of tables"}.get(get_origin(annotation), "table")
    return f"{many}, of one of several kinds" if len(models_in(annotation)) > 1 else many


def bounds_in_words(annotation: Any, metadata: list[Any]) -> Iterator[str]:
    """The bounds that pydantic holds a value to."""
    for one in metadata:
        match one:
            case Gt(gt=bound):
                yield f"above {bound}"
            case Ge(ge=bound):
                yield f"at least {bound}"
            case Lt(lt=bound):
                yield f"below {bound}"
            case Le(le=bound):
                yield f"at most {bound}"
            case MinLen(min_length=1) if annotation is str:
                yield "not empty"
            case MinLen(min_length=1):
                yield "at least one"
            case _:
                pass


def written(value: object) -> str:
    """A value as the file writes it, as code."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Enum):
        return written(value.value)
    return f"`{value}`" if isinstance(value, int) else f'`"{value}"`'


def default_in_words(field: FieldInfo) -> str:
    """What a key is where the file doesn't give it."""
    if field.is_required():
        return "*required*"
    value = field.default
    if value is None or value in ((), {}):
        return "*none*"
    if isinstance(value, BaseModel):
        kind = getattr(value, "kind", "")
        return f'`kind = "{kind}"`' if kind else "its own defaults"
    return written(value)


def sentence(text: str | None) -> str:
    """A docstring on one line of a table."""
    return " ".join((text or "").split()).replace("|", "\\|")


def page() -> str:
    """The whole reference."""
    parts = [HEAD]
    for table in tables():
        rows = [
            f"| `{name}` | {sentence(field.description)} "
            f"| {type_in_words(name, field.annotation, field.metadata)} | {default_in_words(field)} |"
            for name, field in table.model.model_fields.items()
            if name != "kind"
        ]
        parts.append(f"## {table.title}\n\n{introduction(table.model)}\n")
        if rows:
            parts.append("\n".join(["| key | meaning | value | default |", "|---|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def introduction(model: type[BaseModel]) -> str:
    """The first sentence of a model's docstring, without where the code goes on."""
    return sentence(model.__doc__).split("; see ")[0].rstrip(".") + "."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
