"""Puts together what is named, what the chain says and what is chosen: a book's source and its venue."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.chain.client import Client
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.core.model import BlockRef
from bot.errors import ConfigError
from bot.ports import Reader
from bot.setup.probe import (
    GmxListed,
    OptionMarket,
    curie_market,
    gmx_decimals,
    gmx_markets,
    lyra_markets,
    plain_name,
)
from bot.setup.roots import DEPLOYMENT, GIVEN, Roots
from bot.setup.wanted import Ask, Working, as_address

CALL_GAS = 25_000_000
READ = "read on the chain"


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain that answers: where it is read, at which block."""

    client: Client
    head: BlockRef
    multicall: str

    def read(self, reader: Reader[Any]) -> Any:
        """What a reader returns at that block."""
        at = contract("multicall3", self.multicall)
        return drive(self.client, at, self.head, [reader], CALL_GAS)[0]


@dataclass(frozen=True, slots=True)
class Part:
    """A table of the book: its fields, its underlying ("" where the chain doesn't say), and who said each address."""

    fields: dict[str, Any]
    underlying: str
    label: str
    source: dict[str, str] = field(default_factory=dict)


def read_vault(chain: Chain, roots: Roots, ask: Ask, working: Working) -> Part:
    """The option market. ConfigError where there is none of it, or no viewer."""
    given = dict(roots.vault)
    source = {name: roots.source.get(f"vault.{name}", GIVEN) for name in given}
    if "viewer" not in given:
        flag = "--at vault.viewer=0x…"
        answer = ask.text("The option vault: Lyra's OptionMarketViewer, an address", "", flag)
        given["viewer"], source["viewer"] = as_address("vault.viewer", answer), GIVEN
        require_code(chain, {"vault.viewer": given["viewer"]}, {"vault.viewer": GIVEN})
    with working("reading the option markets"):
        listed: list[OptionMarket] = chain.read(lyra_markets(given["viewer"]))
    market = chosen_market(listed, given.get("market"), ask)
    fields = market.addresses | given
    if "exchange_adapter" not in fields:
        flag = "--at vault.exchange_adapter=0x…"
        answer = ask.text("The contract that says the option market's spot, an address", "", flag)
        fields["exchange_adapter"] = as_address("vault.exchange_adapter", answer)
        source["exchange_adapter"] = GIVEN
    label = market.symbol or market.addresses["market"]
    return Part(fields, plain_name(market.symbol), label, {name: source.get(name, READ) for name in fields})


def chosen_market(listed: Sequence[OptionMarket], named: str | None, ask: Ask) -> OptionMarket:
    """The market that was named, the only one, or the one that a person chooses."""
    by_address = {one.addresses["market"]: one for one in listed}
    if named is not None:
        if named not in by_address:
            raise ConfigError(f"vault.market: the viewer doesn't list {named}, but {', '.join(by_address)}")
        return by_address[named]
    if len(listed) == 1:
        return listed[0]
    labels = {f"{one.symbol or '?'} {address}": one for address, one in by_address.items()}
    return labels[ask.choose("Which option market", list(labels), "", "--at vault.market=0x…")]


def read_venue(chain: Chain, roots: Roots, ask: Ask, working: Working) -> Part:
    """Where it is hedged. ConfigError where a contract is another than it is said to be."""
    if roots.kind == "curie":
        return read_curie(chain, roots, working)
    return read_gmx(chain, roots, ask, working)


def read_curie(chain: Chain, roots: Roots, working: Working) -> Part:
    """A market of Perpetual Protocol v2."""
    with working("reading the perps market"):
        found = chain.read(curie_market(roots.venue))
    source = {
        name: roots.source[f"venue.{name}"] if name in roots.venue else READ for name in found.addresses
    }
    fields = found.addresses | {"settlement_decimals": found.settlement_decimals}
    label = f"{found.symbol}, collateral in {found.settlement_symbol or 'its settlement token'}"
    return Part(fields, plain_name(found.symbol), label, source)


def read_gmx(chain: Chain, roots: Roots, ask: Ask, working: Working) -> Part:
    """A market of GMX v2: the preset's, the one that was given, or the one that a person chooses."""
    with working("reading GMX's markets"):
        listed: list[GmxListed] = chain.read(gmx_markets(roots.venue))
    market = chosen_gmx(listed, roots, ask)
    theirs = market.tokens
    configured = roots.preset.book["venue"]
    if not roots.own:
        configured = {}
    same_index = theirs["index_token"] == configured.get("index_token")
    synthetic = configured["index_decimals"] if same_index else None
    with working("reading the market's tokens"):
        decimals = chain.read(gmx_decimals(market, synthetic))
    feeds = {
        f"{which}_feed": feed_of(which, theirs[f"{which}_token"], roots, configured)
        for which in ("index", "long", "short")
    }
    read = {**theirs, "market": market.market, "collateral_token": theirs["short_token"]}
    counted = {"index_decimals": decimals.index, "collateral_decimals": decimals.collateral}
    source = {name: roots.source.get(f"venue.{name}", READ) for name in {**roots.venue, **feeds}}
    source |= dict.fromkeys(read, READ)
    fields = {**roots.venue, **read, **feeds, **counted}
    return Part(fields, plain_name(market.symbols["index_token"]), market.label, source)


def chosen_gmx(listed: Sequence[GmxListed], roots: Roots, ask: Ask) -> GmxListed:
    """The market that --at or a deployment names, else the one chosen; what is proposed is the preset's."""
    by_address = {one.market: one for one in listed}
    named = roots.venue.get("market", "")
    if named not in by_address and named:
        raise ConfigError(f"venue.market: GMX lists no market {named} at this data store")
    if len(listed) == 1 or roots.source.get("venue.market") in (GIVEN, DEPLOYMENT):
        return by_address[named] if named else listed[0]
    labels = {f"{one.label} {one.market}": one for one in sorted(listed, key=lambda one: one.label)}
    default = next((label for label, one in labels.items() if one.market == named), "")
    return labels[ask.choose("Which market", list(labels), default, "--at venue.market=0x…")]


def feed_of(which: str, token: str, roots: Roots, configured: dict[str, Any]) -> str:
    """The Chainlink feed of a token: one that was named for it, or the preset's for the same token."""
    place = f"{which}_feed"
    others = (roots.source.get("venue.market"), roots.source.get(f"venue.{place}")) == (GIVEN, DEPLOYMENT)
    if others:
        raise ConfigError(
            f"venue.{place}: the deployment's feed is of its own market's token: give --at venue.{place}=0x…"
        )
    if roots.source.get(f"venue.{place}", "").startswith("preset"):
        known = {
            configured[f"{each}_token"]: configured[f"{each}_feed"] for each in ("index", "long", "short")
        }
        if token not in known:
            raise ConfigError(
                f"venue.{place}: the preset knows no Chainlink feed of {token}: give --at venue.{place}=0x…"
            )
        return str(known[token])
    return roots.venue[place]


def require_code(chain: Chain, addresses: dict[str, str], source: dict[str, str]) -> None:
    """ConfigError for the first address without a contract, with who named it."""
    _, _, has_code = chain.client.opening(list(addresses.values()))
    for place, address in addresses.items():
        if not has_code[address]:
            who = source.get(place, READ)
            raise ConfigError(
                f"{place}: there is no contract at {address} on this chain ({who}): is it another chain's?"
            )
