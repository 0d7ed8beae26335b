"""`vaultkeel init`: a configuration from few answers and from what the chain says. It sends nothing.

Nothing is written before every part was read through the adapters that a tick uses, and the file is loaded as a run
loads it.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from bot.app.chains import make_client
from bot.config import load_config
from bot.config.chains import ChainConfig
from bot.config.deployment import DEPLOYMENT_FILE, Deployment, load_deployment
from bot.config.file import checked, explain
from bot.errors import ConfigError, TransientError
from bot.setup.document import Filling, written
from bot.setup.files import may_write, put
from bot.setup.reading import Chain, Part, read_vault, read_venue, require_code
from bot.setup.roots import Roots, roots_of
from bot.setup.trial import Seen, try_out
from bot.setup.wanted import Ask, Wanted, Working, as_underlying, refuse_token, signer_table

USUAL_RPC = "http://127.0.0.1:8545"
NEARBY = Path("localnet") / DEPLOYMENT_FILE
"""Where `vaultkeel localnet` says what it deployed, if it was started in this folder."""
LOCAL = 31337
"""The usual id of a chain on this computer, whose gas is paid in ETH."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was written, and what it was made of."""

    path: Path
    roots: Roots
    instance: str
    block: int
    providers: int
    underlying: str
    vault: Part
    venue: Part
    seen: Seen

    @property
    def notes(self) -> list[str]:
        """What a person has to look at before a run."""
        meant, found = self.roots.preset.book["underlying"], []
        if self.providers == 1 and not self.instance:
            found.append("One provider is believed: give --rpc twice, and two must agree.")
        if meant != self.underlying:
            found.append(
                f"The example's sizes are meant for {meant}: set max_order, max_position, min_trade and lot in units "
                f"of {self.underlying} first."
            )
        if not self.roots.own:
            found.append("The example's fees and limits are another chain's: set them first.")
        if self.seen.paused:
            found.append(f"Nothing can be traded now: {self.seen.paused}.")
        return found

    @property
    def next(self) -> list[str]:
        """The commands that come next."""
        where = "" if self.path == Path("vaultkeel.toml") else f" --config {self.path}"
        return [f"vaultkeel doctor{where}", f"vaultkeel run{where}"]

    def as_json(self) -> dict[str, Any]:
        """For machines. No RPC address is in it."""
        roots = self.roots
        return {
            "config": str(self.path),
            "mode": "paper",
            "chain": roots.chain,
            "chain_id": roots.chain_id,
            "instance": self.instance,
            "block": self.block,
            "providers": self.providers,
            "preset": roots.preset.name,
            "multicall": roots.multicall,
            "underlying": self.underlying,
            "venue_kind": roots.kind,
            "found": [
                {"field": f"{table}.{name}", "address": part.fields[name], "source": source}
                for table, part in (("vault", self.vault), ("venue", self.venue))
                for name, source in sorted(part.source.items())
            ],
            "seen": self.seen.as_json(),
            "notes": self.notes,
            "next": self.next,
        }


def set_up(wanted: Wanted, ask: Ask, working: Working) -> SetUp:
    """Asks, probes, tries the configuration out and writes it.

    ConfigError, TransientError or DataError with a sentence where something is wrong; then nothing was written.
    """
    for url in wanted.rpc:
        refuse_token(url)
    signer = None if wanted.signer is None else signer_table(wanted.signer)
    replaces = may_write(wanted, ask)
    deployment = near_deployment(wanted)
    urls = wanted.rpc or asked_urls(ask, deployment)
    chain_id, instance, chain = opened(wanted, urls, working)
    deployment = fitting(deployment, chain_id, instance, given=wanted.deployment is not None)
    roots = roots_of(wanted, chain_id, deployment)
    chain = Chain(chain.client, chain.head, roots.multicall)
    with working("looking for the contracts"):
        require_roots(chain, roots)
    vault = read_vault(chain, roots, ask, working)
    venue = read_venue(chain, roots, ask, working)
    underlying = as_underlying(wanted.underlying or one_underlying(vault, venue, ask))
    if signer is None:
        question = "Whose hedge: an address to watch, or a key as env:NAME, file:PATH or keystore:PATH"
        signer = signer_table(ask.text(question, roots.account or "", "--signer"))
    holdings = wanted.hedge_holdings
    if holdings is None:
        question = "Is spot that the vault holds to be hedged too"
        holdings = ask.agrees(question, default=True, flag="--hedge-holdings or --no-hedge-holdings")
    text = written(
        Filling(
            roots=roots,
            rpc=urls,
            instance=instance,
            signer=signer,
            underlying=underlying,
            hedge_holdings=holdings,
            vault=vault.fields,
            venue=venue.fields,
            market=venue.label,
            native_usd=native_price(wanted, roots, underlying, ask),
            seen_at=f"at block {chain.head.number}",
        )
    )
    config = checked(tomllib.loads(text), wanted.out)
    with working("reading everything as a tick does"):
        seen = try_out(config, chain)
    put(wanted.out, text, replaces=replaces)
    if load_config(wanted.out) != config:
        raise ConfigError(f"{wanted.out} was written, but it doesn't read back as it was meant: don't use it")
    return SetUp(wanted.out, roots, instance, chain.head.number, len(urls), underlying, vault, venue, seen)


def native_price(wanted: Wanted, roots: Roots, underlying: str, ask: Ask) -> str | None:
    """What the coin that pays for gas costs in USD; None where the preset knows, for its chain and underlying."""
    if wanted.native_usd is not None:
        return wanted.native_usd
    ((_, theirs),) = roots.preset.content["chains"].items()
    same = roots.chain_id == theirs["chain_id"] or roots.chain_id == LOCAL
    if same and (theirs["native_usd"] != "underlying" or roots.preset.book["underlying"] == underlying):
        return None
    question = 'The price in USD of the coin that pays for gas, or "underlying" if that is the book\'s own'
    return ask.text(question, "", "--native-usd")


def near_deployment(wanted: Wanted) -> Deployment | None:
    """The deployment that was given, or that a local chain left in this folder."""
    if wanted.deployment is not None:
        return load_deployment(wanted.deployment)
    return load_deployment(NEARBY) if NEARBY.is_file() and wanted.preset is None else None


def asked_urls(ask: Ask, deployment: Deployment | None) -> tuple[str, ...]:
    """RPC addresses as a person gives them, with the local chain's proposed."""
    proposed = ", ".join(deployment.rpc_urls) if deployment is not None and deployment.rpc_urls else USUAL_RPC
    answer = ask.text("RPC address (env:NAME where it holds a token; two are better)", proposed, "--rpc")
    urls = tuple(part for part in answer.replace(",", " ").split() if part)
    for url in urls:
        refuse_token(url)
    return urls


def opened(wanted: Wanted, urls: tuple[str, ...], working: Working) -> tuple[int, str, Chain]:
    """The chain's id, its instance if it is a local one ("" if not), and where it is read."""
    try:
        settings = ChainConfig.model_validate(
            {"chain_id": 1, "rpc_urls": list(urls), "quorum": min(2, len(urls))},
            context={"folder": wanted.out.resolve().parent},
        )
    except ValidationError as error:
        raise ConfigError(f"--rpc: {explain(error, ChainConfig)}") from None
    client = make_client("the chain's", settings)
    try:
        with working("asking the node"):
            chain_id, head, _ = client.opening([])
            instance = client.instance()
    except TransientError as error:
        here = any(urlsplit(url).hostname in LOOPBACK for url in urls if "://" in url)
        hint = "start `vaultkeel localnet` in another terminal" if here else "is the address right, and up?"
        raise TransientError(f"{error}: {hint}") from None
    return chain_id, instance, Chain(client, head, settings.multicall)


def fitting(deployment: Deployment | None, chain_id: int, instance: str, *, given: bool) -> Deployment | None:
    """The deployment, if it is this chain's; what another run of a local chain left lying is passed over.

    ConfigError where a person gave it.
    """
    if deployment is None:
        return None
    if deployment.chain_id == chain_id and deployment.instance in ("", instance):
        return deployment
    if not given:
        return None
    if deployment.chain_id != chain_id:
        raise ConfigError(
            f"--deployment is of chain {deployment.chain_id}, and the node is on chain {chain_id}"
        )
    raise ConfigError("--deployment is of another run of the local chain than the one that the node serves")


def require_roots(chain: Chain, roots: Roots) -> None:
    """ConfigError for the first address to start from that holds no code, Multicall3's with what it is for."""
    _, _, has_code = chain.client.opening([roots.multicall])
    if not has_code[roots.multicall]:
        raise ConfigError(
            f"there is no Multicall3 at {roots.multicall} on chain {roots.chain_id}, through which everything is read: "
            "give its address as --at chain.multicall=0x…"
        )
    tables = {"vault": roots.vault, "venue": roots.venue}
    addresses = {f"{table}.{name}": at for table, fields in tables.items() for name, at in fields.items()}
    require_code(chain, addresses, roots.source)


def one_underlying(vault: Part, venue: Part, ask: Ask) -> str:
    """What both are of. ConfigError where each is of another."""
    both = {part.underlying for part in (vault, venue) if part.underlying}
    if len(both) == 2:
        raise ConfigError(
            f"the options are on {vault.underlying} ({vault.label}), and the market is of {venue.underlying} "
            f"({venue.label}): choose another with --at, or name the underlying with --underlying if they are one"
        )
    return both.pop() if both else ask.text("The underlying's name, like ETH", "", "--underlying")
