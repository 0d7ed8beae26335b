"""The file that is written: a preset with its comments, and in it what was found on the chain."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomlkit

from bot.setup.roots import Roots

COMMENTED = re.compile(r"(\w+ = .*?)\s+(# .*)")
COLUMN = 28
"""Where the presets' comments begin."""
MANY = 2
"""Providers that must agree, where there are as many."""


@dataclass(frozen=True, slots=True)
class Filling:
    """What goes into a preset. `vault` and `venue` are fields of the book's source and venue.

    `market` is what people call the venue's market. Without a `native_usd` the preset's is right.
    """

    roots: Roots
    rpc: tuple[str, ...]
    instance: str
    signer: Mapping[str, object]
    underlying: str
    hedge_holdings: bool
    vault: Mapping[str, str]
    venue: Mapping[str, Any]
    market: str
    seen_at: str
    native_usd: str | None = None


def written(filling: Filling) -> str:
    """The configuration in TOML, with the preset's comments at what they explain."""
    roots = filling.roots
    document = tomlkit.parse(body_of(roots))
    tables: Any = document
    document["mode"] = "paper"
    if filling.instance:  # a ledger belongs to one run of a local chain
        document["ledger"] = f"ledger-{filling.instance.removeprefix('0x')[:8]}.db"
    elif not roots.own:
        document["ledger"] = f"vaultkeel-{roots.chain}.db"
    document["signer"] = signer_of(filling.signer)
    chain = tables["chains"][roots.chain]
    chain["chain_id"] = roots.chain_id
    chain["rpc_urls"] = list(filling.rpc)
    chain["quorum"] = min(MANY, len(filling.rpc))
    if len(filling.rpc) == 1 and not filling.instance:
        chain["rpc_urls"].comment('each an address, or "env:NAME" or "file:PATH" where it holds a token')
        chain["quorum"].comment("one provider is believed: give two, and write 2")
    if filling.native_usd is not None:
        chain["native_usd"] = filling.native_usd
        chain["native_usd"].comment('the price in USD of the coin that pays for gas, or "underlying"')
    if filling.instance or "instance" in chain:
        chain["instance"] = filling.instance
    chain["multicall"] = roots.multicall
    if not roots.own:
        chain.pop("sequencer_feed", None)
    book = tables["books"][0]
    book["name"] = filling.underlying.lower()
    book["underlying"] = filling.underlying
    for part in (book["sources"][0], book["venue"]):
        part["name"] = part["name"].replace("-eth", f"-{filling.underlying.lower()}")
    book["sources"][0].update(filling.vault)
    book["target"]["hedge_holdings"] = filling.hedge_holdings
    fill_venue(book["venue"], filling)
    return header_of(filling) + aligned(tomlkit.dumps(document), roots.preset.text)


def fill_venue(venue: Any, filling: Filling) -> None:
    """Puts the venue's fields in, without the comments that say which token or feed the preset's were."""
    before = dict(filling.roots.preset.book["venue"])
    venue.update(filling.venue)
    for name, value in filling.venue.items():
        if value != before.get(name) and (name == "market" or name.endswith(("_token", "_feed"))):
            venue[name].trivia.comment = ""
            venue[name].trivia.comment_ws = ""
            if name == "market":
                venue[name].comment(filling.market)


def aligned(text: str, before: str) -> str:
    """`text` with the comments of changed lines where those of its neighbours are, or as near as they can be."""
    known = set(before.splitlines())
    lines = []
    for line in text.splitlines():
        found = None if line in known else COMMENTED.match(line)
        lines.append(line if found is None else f"{found[1]:<{COLUMN - 1}} {found[2]}")
    return "\n".join(lines) + "\n"


def signer_of(signer: Mapping[str, object]) -> tomlkit.items.Table:
    """The [signer] table, with what there is to know about its kind."""
    why = {
        "watch": "no key: enough for paper trading; docs/custody.md has the kinds that can sign",
        "key": "a private key in the clear; docs/custody.md has better places for one with money",
        "keystore": "see docs/custody.md for the others",
    }
    table = tomlkit.table()
    for name, value in signer.items():
        table[name] = value
    table["kind"].comment(why[str(signer["kind"])])
    table.add(tomlkit.nl())
    return table


def body_of(roots: Roots) -> str:
    """The preset without its first comments, and with the chain's own name where it has another."""
    lines = roots.preset.text.splitlines(keepends=True)
    begin = next(place for place, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    text = "".join(lines[begin:])
    text = text.replace(": fill in its addresses, which are refused as they are", "")
    ((theirs, _),) = roots.preset.content["chains"].items()
    if theirs != roots.chain:
        text = text.replace(f'chain = "{theirs}"', f'chain = "{roots.chain}"')
        text = text.replace(f"[chains.{theirs}]", f"[chains.{roots.chain}]")
    return text


def header_of(filling: Filling) -> str:
    """The first comments: what the file is, how it was made, and what a preset says of itself."""
    roots = filling.roots
    places = {"curie": "Perpetual Protocol v2 (Curie)", "gmx": "GMX v2"}
    lines = [
        f"# Vaultkeel on {roots.chain}: a Lyra Avalon option pool hedged on {places[roots.kind]}.",
        f"# Written by `vaultkeel init` from config/{roots.preset.name}.toml and from the chain {filling.seen_at}.",
        "# Limits, policy and fees are the example's: read them, and set your own. Unknown keys are refused.",
    ]
    meant = roots.preset.book["underlying"]
    if meant != filling.underlying:
        lines.append(
            f"# Sizes count in units of {filling.underlying}, and the example's are meant for {meant}: set them first."
        )
    if roots.own and roots.kind == "gmx":
        first = roots.preset.text.splitlines()
        caution = first[1 : next(place for place, line in enumerate(first) if not line.startswith("#"))]
        lines += caution
    return "\n".join(lines) + "\n\n"
