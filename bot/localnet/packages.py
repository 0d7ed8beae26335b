"""The real protocol artifacts, brought once by npm, checked against a pinned sha512 and kept in a cache.

Vaultkeel's local world deploys the bytecode that the protocols published rather than copies kept here. A
package is unpacked only after its tarball matched the pin below.
"""

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.errors import ConfigError

NPM_TIMEOUT_S: Final = 180
ABANDONED_AFTER_S: Final = 24 * 3600
STAGING: Final = ".staging-"


@dataclass(frozen=True)
class Package:
    """One published version. `integrity` is npm's form: `sha512-` and the base64 of the tarball's digest."""

    name: str
    version: str
    integrity: str


CURIE: Final = Package(
    "@perp/curie-contract",
    "2.8.4",
    "sha512-fTHxpzzuHlSyCEvI6T8Ya10Oz3Y4T06YTiCciR/4uvR9rx/9Afmm8nDLJ85ZwXiA0edce9bPUkE/ZcKY4xkJEw==",
)
PERP_ORACLE: Final = Package(
    "@perp/perp-oracle-contract",
    "0.6.7",
    "sha512-Pqoy4dlcMoy5oEbWOnaHbS1CQTee0ZbfEc//fS2ze0o1IVCrvhP1S+wS+6ZZtJ6Oz1RGPtGnF/F98Av7SHlVaA==",
)
UNISWAP_V3: Final = Package(
    "@uniswap/v3-core",
    "1.0.0",
    "sha512-kSC4djMGKMHj7sLMYVnn61k9nu+lHjMIxgg9CDQT+s2QYLoA56GbSK9Oxr+qJXzzygbkrmuY6cwgP6cW2JXPFA==",
)
CURIE_DEPLOYMENTS: Final = Package(
    "@perp/curie-deployments",
    "2023.4.12-1681295833590",
    "sha512-NJbTy3frix5AQS5Bk/littykkmQ/m1rFD5HUQG8b0SDVGsqvIsSr5NSlhwb+UGJS7EHtgxevh4P4dTPc4dN6lQ==",
)
LYRA: Final = Package(
    "@lyrafinance/protocol",
    "0.1.3-alpha",
    "sha512-oUO/m3kS6Bx0SmVID2PIjZ6RFVfixQV66I8hShuuMOIytehmxQtex5DgtMFDYumoO6MuyoZ18vKtDMHT0HLCXg==",
)
SAFE: Final = Package(
    "@safe-global/safe-contracts",
    "1.4.1",
    "sha512-fP1jewywSwsIniM04NsqPyVRFKPMAuirC3ftA/TA4X3Zc5EnwQp/UCJUU2PL/37/z/jMo8UUaJ+pnFNWmMU7dQ==",
)

# Only platforms whose tarball was checked are listed. On any other, anvil has to be on the PATH.
ANVIL: Final = {
    ("linux", "amd64"): Package(
        "@foundry-rs/anvil-linux-amd64",
        "1.7.1",
        "sha512-+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    ),
}
MACHINES: Final = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}

# What to do about npm's own error codes; any other is taken for a missing network, by far the usual cause.
_REGISTRY: Final = "npm's registry does not offer it: check npm's registry setting and run again"
_NPM_CACHE: Final = "npm cannot write its own cache: make npm's cache folder writable and run again"
_REMEDIES: Final = {
    **dict.fromkeys(("E401", "E403", "E404", "ETARGET"), _REGISTRY),
    **dict.fromkeys(("EACCES", "EPERM", "EROFS"), _NPM_CACHE),
    "ENOSPC": "the disk is full: free some space and run again",
}


def anvil_package() -> Package:
    """The anvil build for this machine. ConfigError where none is pinned."""
    system, machine = platform.system().lower(), platform.machine().lower()
    package = ANVIL.get((system, MACHINES.get(machine, machine)))
    if package is None:
        raise ConfigError(
            f"No anvil package is pinned for {system} on {machine}: install Foundry's anvil 1.5.0 or later "
            "as a native program on the PATH and run again."
        )
    return package


def cache_root() -> Path:
    """The folder that holds everything downloaded; it may not exist yet."""
    if chosen := os.environ.get("VAULTKEEL_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "vaultkeel"
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG rules say that a relative path is to be ignored.
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "vaultkeel"


def ensure(package: Package, progress: Callable[[str], None] = lambda _: None) -> Path:
    """The folder of the unpacked package (what the tarball calls `package/`), downloaded if it is not cached.

    `progress` gets one line before a download. Raises ConfigError, naming the package and what to do.
    Safe to call from several processes at once: the last step is one rename.
    """
    root = cache_root()
    final = root / _folder_name(package)
    if final.is_dir():
        return final
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        with tempfile.TemporaryDirectory(prefix=STAGING, dir=root, ignore_cleanup_errors=True) as staging:
            progress(f"Downloading {package.name} {package.version} (once; kept in {root})")
            tarball = _npm_pack(package, Path(staging), root)
            _verify(package, tarball)
            _publish(_unpack(package, tarball), final)
    except OSError as error:
        raise ConfigError(
            f"{package.name} {package.version} could not be kept in the cache folder {root} "
            f"({error.strerror or error}): make it writable or set VAULTKEEL_CACHE to a folder that is."
        ) from error
    return final


def _folder_name(package: Package) -> str:
    """Holds part of the pin too, so that a changed pin is never answered from the old cache."""
    pin = hashlib.sha256(package.integrity.encode()).hexdigest()[:8]
    return f"{package.name.lstrip('@').replace('/', '-')}-{package.version}-{pin}"


def _sweep(root: Path) -> None:
    """Remove what runs that were killed long ago left half-way."""
    for folder in root.glob(f"{STAGING}*"):
        try:
            abandoned = time.time() - folder.stat().st_mtime > ABANDONED_AFTER_S
        except FileNotFoundError:  # its owner has just finished
            continue
        if abandoned:
            shutil.rmtree(folder, ignore_errors=True)


def _npm_pack(package: Package, folder: Path, root: Path) -> Path:
    """Run `npm pack` in `folder` and return the tarball's path."""
    spec = f"{package.name}@{package.version}"
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigError(
            f"{spec} has to be downloaded and npm is not installed: install Node.js (it brings npm) and run "
            f"again; the package is then kept in {root}."
        )
    # npm's own retries wait 10 s and then 60 s, which without a network looks like a hang.
    retries = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=5000"]
    quiet = ["--json", "--loglevel=error", "--update-notifier=false"]
    command = [npm, "pack", spec, *quiet, *retries, "--ignore-scripts"]
    try:
        run = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NPM_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _not_downloaded(spec, root, f"no answer within {NPM_TIMEOUT_S} s") from error
    tarballs = list(folder.glob("*.tgz"))
    if run.returncode != 0 or len(tarballs) != 1:
        raise _not_downloaded(spec, root, _npm_code(run.stdout, run.stderr))
    return tarballs[0]


def _npm_code(stdout: bytes, stderr: bytes) -> str:
    """npm's error code. Its longer text is left out: it carries the registry's address, even a token."""
    try:
        return str(json.loads(stdout)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        code = re.search(rb"npm (?:error|ERR!) code (\w+)", stderr)
        return code[1].decode() if code else "no reason given"


def _not_downloaded(spec: str, root: Path, reason: str) -> ConfigError:
    remedy = _REMEDIES.get(reason)
    if remedy is not None:
        return ConfigError(f"{spec} could not be downloaded (npm: {reason}): {remedy}.")
    return ConfigError(
        f"{spec} could not be downloaded (npm: {reason}): connect to the network once and run again; "
        f"the package is then kept in {root}."
    )


def _verify(package: Package, tarball: Path) -> None:
    digest = hashlib.sha512(tarball.read_bytes()).digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != package.integrity:
        raise ConfigError(
            f"{package.name} {package.version} was refused: the downloaded file's sha512 is not the pinned "
            "one, so it is not the file that was published; check npm's registry setting and run again."
        )


def _unpack(package: Package, tarball: Path) -> Path:
    if not hasattr(tarfile, "data_filter"):
        raise ConfigError(f"{package.name} cannot be unpacked safely by this Python: use 3.11.4 or later.")
    folder = tarball.parent / "unpacked"
    try:
        with tarfile.open(tarball, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise ConfigError(f"{package.name} {package.version} was refused: {error}.") from error
    if not (folder / "package").is_dir():
        raise ConfigError(f"{package.name} {package.version} was refused: it holds no package folder.")
    return folder / "package"


def _publish(unpacked: Path, final: Path) -> None:
    try:
        unpacked.rename(final)
    except OSError:
        # A parallel run of ours was first; its copy passed the same check.
        if not final.is_dir():
            raise
