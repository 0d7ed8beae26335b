"""Ready configurations: the shipped example, or a chain's own file, with the addresses of a running chain in it."""

from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from bot.config.deployment import DEPLOYMENT_FILE, CurieRoots, Deployment, VaultRoots
from bot.errors import ConfigError
from bot.localnet.node import Node
from bot.localnet.world import World
from bot.share import share

KEY_FILE = "hedger.key"
CONFIG_FILE = "vaultkeel.toml"


def world_config(world: World) -> tomlkit.TOMLDocument:
    """The annotated local configuration for `world`, with a ledger of this instance's own."""
    document = tomlkit.parse(share("config", "localnet.toml").read_text(encoding="utf-8"))
    tables: Any = document
    tables["books"][0]["sources"][0].update(
        {
            "viewer": world.lyra.viewer,
            "market": world.lyra.option_market,
            "option_token": world.lyra.option_token,
            "greek_cache": world.lyra.greek_cache,
            "liquidity_pool": world.lyra.liquidity_pool,
            "pool_hedger": world.lyra.pool_hedger,
            "base_asset": world.lyra.base_asset,
            "exchange_adapter": world.lyra.synthetix_adapter,
        }
    )
    venue = tables["books"][0]["venue"]
    venue.update({field: getattr(world.curie, field) for field in venue if hasattr(world.curie, field)})
    venue["settlement_token"] = world.curie.usdc
    tables["chains"]["localnet"].update({"rpc_urls": [world.url], "quorum": 1})
    point_at_instance(document, "localnet", world.node)
    return document


def world_deployment(world: World) -> Deployment:
    """Where `world` has its contracts, for `vaultkeel init`."""
    return Deployment(
        chain="localnet",
        chain_id=world.chain_id,
        instance=world.node.rpc("anvil_metadata")["instanceId"],
        rpc_urls=(world.url,),
        account=world.accounts.hedger,
        multicall=world.multicall,
        vault=VaultRoots(viewer=world.lyra.viewer, market=world.lyra.option_market),
        venue=CurieRoots(
            kind="curie",
            clearing_house=world.curie.clearing_house,
            base_token=world.curie.base_token,
            quoter=world.curie.quoter,
        ),
    )


def fork_config(source: Path, source_chain_id: int, node: Node, chain_id: int, *, wall_clock: bool) -> str:
    """The configuration of `source`'s only chain, rewritten for its fork at `node`. ConfigError where it isn't that."""
    try:
        document = tomlkit.parse(source.read_text(encoding="utf-8"))
        chains: Any = document["chains"]
        ((name, chain),) = chains.items()
        theirs = chain["chain_id"]
    except OSError as error:
        raise ConfigError(f"{source} can't be read: {error.strerror}") from None
    except (TOMLKitError, KeyError, ValueError, TypeError, AttributeError):
        raise ConfigError(f"{source} is not the configuration of exactly one chain") from None
    if theirs != source_chain_id:
        raise ConfigError(
            f"{source}: chains.{name}.chain_id is {theirs}, the chain to fork has {source_chain_id}"
        )
    chain.update({"chain_id": chain_id, "rpc_urls": [node.url], "quorum": 1})
    chain.pop("send_urls", None)  # a rehearsal reaches nothing but its fork
    books: Any = document.get("books", [])
    for book in books:  # the fork's own account was approved by nobody: it trades for itself
        for field in ("trader", "delegate_approval"):
            book["venue"].pop(field, None)
    for told in ("alerts", "metrics"):  # a rehearsal rings nobody's phone, and the port is the bot's
        document.pop(told, None)
    document["mode"] = "paper"
    document["clock"] = "system" if wall_clock else "chain"
    point_at_instance(document, name, node)
    return tomlkit.dumps(document)


def bare_config(node: Node, chain_id: int) -> str:
    """A configuration of a fork without books, which the operator adds."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Add [[books]]: see config/localnet.toml for an annotated example."))
    document["mode"] = "paper"
    document["clock"] = "chain"
    document["chains"] = {"fork": {"chain_id": chain_id, "rpc_urls": [node.url], "quorum": 1}}
    point_at_instance(document, "fork", node)
    return tomlkit.dumps(document)


def point_at_instance(document: tomlkit.TOMLDocument, chain: str, node: Node) -> None:
    """Ties a configuration to one run of a local node: its instance id, a ledger of its own, and the key file."""
    instance = node.rpc("anvil_metadata")["instanceId"]
    tables: Any = document
    tables["chains"][chain]["instance"] = instance
    document["ledger"] = f"ledger-{instance[2:10]}.db"
    document["signer"] = {"kind": "key", "key": f"file:{KEY_FILE}", "plain_key": True}


def write_deployment(folder: Path, deployment: Deployment) -> None:
    """Writes the deployment beside the configuration."""
    path = folder / DEPLOYMENT_FILE
    try:
        path.write_text(deployment.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None


def write_files(folder: Path, toml: str, key: str) -> Path:
    """Writes the configuration, and the key so that its owner alone can read it. Returns the former's path."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / CONFIG_FILE
        path.write_text(toml, encoding="utf-8")
        secret = folder / KEY_FILE
        secret.unlink(missing_ok=True)
        secret.touch(mode=0o600)
        secret.write_text(key + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder} can't be written: {error.strerror}") from None
    return path
