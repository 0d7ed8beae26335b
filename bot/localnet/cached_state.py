"""A deployed world's state in the cache: kept whole or not at all, checked before it is trusted."""

import hashlib
import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bot.errors import ConfigError
from bot.localnet import packages
from bot.localnet.curie import CurieDeployment
from bot.localnet.deploy_lyra import LyraDeployment
from bot.localnet.node import Node, RpcError

_STATE: Final = "state.bin"
_ABOUT: Final = "world.json"
_STAGING: Final = ".staging-"
_ABANDONED_AFTER_S: Final = 24 * 3600
_OUTDATED_AFTER_S: Final = 30 * 24 * 3600

# Whatever these say decides what a deployed world looks like.
_SOURCES: Final = (
    "artifacts.py",
    "cached_state.py",
    "contract.py",
    "curie.py",
    "deploy_curie.py",
    "deploy_lyra.py",
    "lyra_parameters.py",
    "multicall.py",
    "multicall3.hex",
    "node.py",
    "world.py",
)
_PACKAGES: Final = (
    packages.CURIE,
    packages.PERP_ORACLE,
    packages.UNISWAP_V3,
    packages.CURIE_DEPLOYMENTS,
    packages.LYRA,
)


@dataclass(frozen=True)
class WorldState:
    """What is to be known about a deployed world beside the chain itself."""

    lyra: LyraDeployment
    curie: CurieDeployment
    multicall: str


def folder(node: Node, short_only: bool) -> Path:
    """Where this world is kept: named by a hash of everything that determines it."""
    digest = hashlib.sha256()
    parts = [node.rpc("web3_clientVersion"), f"short_only={short_only}"]
    for part in (*parts, *(package.integrity for package in _PACKAGES)):
        digest.update(part.encode() + b"\0")
    here = Path(__file__).parent
    for name in _SOURCES:
        digest.update((here / name).read_bytes() + b"\0")
    return packages.cache_root() / "worlds" / digest.hexdigest()[:32]


def restore(node: Node, place: Path) -> WorldState | None:
    """Loads the cached chain into a fresh node. None when there is none; one that is damaged is deleted."""
    try:
        about = json.loads((place / _ABOUT).read_text(encoding="utf-8"))
        state = (place / _STATE).read_bytes()
        addresses = about["addresses"]
        world = WorldState(
            LyraDeployment(**addresses["lyra"]), CurieDeployment(**addresses["curie"]), addresses["multicall"]
        )
        whole = _digest(world, state) == about["digest"]
        if whole:
            node.rpc("anvil_loadState", "0x" + state.hex())
    except (OSError, ValueError, KeyError, TypeError, RpcError):
        whole = False
    if not whole:
        shutil.rmtree(place, ignore_errors=True)
        return None
    # A loaded chain forgets its clock: without this the next block would go back in time.
    node.set_next_timestamp(node.timestamp() + 1)
    return world


def keep(node: Node, place: Path, world: WorldState) -> None:
    """Writes the chain's state under the cache. ConfigError names the folder that can't be written."""
    state = bytes.fromhex(node.rpc("anvil_dumpState")[2:])
    about = {"addresses": asdict(world), "digest": _digest(world, state)}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place.parent)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=place.parent) as staging:
            whole = Path(staging) / "world"
            whole.mkdir()
            (whole / _STATE).write_bytes(state)
            (whole / _ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            _publish(whole, place)
    except OSError as error:
        raise ConfigError(
            f"the deployed world could not be kept in {place} ({error.strerror}): make it writable or set "
            "VAULTKEEL_CACHE to a folder that is."
        ) from error


def _digest(world: WorldState, state: bytes) -> str:
    return hashlib.sha256(json.dumps(asdict(world), sort_keys=True).encode() + b"\0" + state).hexdigest()


def _sweep(worlds: Path) -> None:
    """Removes worlds that an older version of this code deployed, and what killed runs left half-way."""
    for folder in worlds.iterdir():
        try:
            age_s = time.time() - folder.stat().st_mtime
        except FileNotFoundError:  # a parallel run removed it
            continue
        if age_s > (_ABANDONED_AFTER_S if folder.name.startswith(_STAGING) else _OUTDATED_AFTER_S):
            shutil.rmtree(folder, ignore_errors=True)


def _publish(whole: Path, place: Path) -> None:
    try:
        whole.rename(place)
    except OSError:
        # A parallel run was first, with the same world.
        if not place.is_dir():
            raise
