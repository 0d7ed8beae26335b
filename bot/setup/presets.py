"""The shipped configurations as presets: which chain each is for, and the addresses that it names."""

import tomllib
from dataclasses import dataclass
from typing import Any

from bot.errors import ConfigError
from bot.nearest import did_you_mean
from bot.share import share

NOBODY = "0x" + "0" * 40
"""What a preset writes where only the operator knows the address."""
TEMPLATES = {"curie": "localnet", "gmx": "arbitrum"}
"""Whose annotations a chain without a preset of its own is described with, by the kind of its venue."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One file of `config/`, which describes exactly one chain with one book."""

    name: str
    text: str

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        return tomllib.loads(self.text)

    @property
    def chain_id(self) -> int:
        """Of its chain."""
        ((_, chain),) = self.content["chains"].items()
        return int(chain["chain_id"])

    @property
    def book(self) -> dict[str, Any]:
        """Its only book."""
        (book,) = self.content["books"]
        found: dict[str, Any] = book
        return found

    @property
    def vault(self) -> dict[str, str]:
        """The addresses of its option source by their fields, without those that it leaves open."""
        return addresses_in(self.book["sources"][0])

    @property
    def venue(self) -> dict[str, str]:
        """The addresses of its venue by their fields."""
        return addresses_in(self.book["venue"])

    @property
    def kind(self) -> str:
        """Of its venue."""
        return str(self.book["venue"]["kind"])


def addresses_in(table: dict[str, Any]) -> dict[str, str]:
    """The fields of a table that hold an address of somebody's."""
    return {
        field: value
        for field, value in table.items()
        if isinstance(value, str) and value.startswith("0x") and value != NOBODY
    }


def presets() -> dict[str, Preset]:
    """Every preset by its name: the shipped files of one chain whose vault and venue can be found from a few roots."""
    files = sorted(share("config").glob("*.toml"))
    every = (Preset(file.stem, file.read_text(encoding="utf-8")) for file in files)
    return {preset.name: preset for preset in every if can_be_probed(preset.content)}


def can_be_probed(content: dict[str, Any]) -> bool:
    """Whether a configuration is of one chain and one book, with a source and a venue that are found by probing."""
    books = content["books"]
    known = [book for book in books if book["venue"]["kind"] in TEMPLATES and sources_of(book) == {"lyra"}]
    return len(content["chains"]) == len(books) == len(known) == 1


def sources_of(book: dict[str, Any]) -> set[str]:
    """The kinds of a book's sources."""
    return {source["kind"] for source in book["sources"]}


def preset_of(chain_id: int) -> Preset | None:
    """The preset for a chain, None where there is none."""
    return next((one for one in presets().values() if one.chain_id == chain_id), None)


def named_preset(name: str, chain_id: int) -> Preset:
    """The preset that a person named. ConfigError where there is none, or it is another chain's than the node's."""
    known = presets()
    if name not in known:
        raise ConfigError(f"--preset {name}: there are {', '.join(sorted(known))}{did_you_mean(name, known)}")
    if known[name].chain_id != chain_id:
        raise ConfigError(
            f"--preset {name} is for chain {known[name].chain_id}, and the node is on chain {chain_id}"
        )
    return known[name]
