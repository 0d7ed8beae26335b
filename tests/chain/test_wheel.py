"""The wheel, built and installed on its own: what a user of the package gets."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import bot

ROOT = Path(bot.__file__).parents[1]

CHECK = """
import sys
from pathlib import Path
import bot
from bot.chain.contracts import load_abi
from bot.config import load_config
from bot.share import share

site = Path(sys.argv[1])
inside = [Path(bot.__file__), share("config", "localnet.toml"), *share("abis").glob("*.json")]
assert all(path.resolve().is_relative_to(site) for path in inside), inside
abis = sorted(path.stem for path in share("abis").glob("*.json"))
for name in abis:
    load_abi(name)
config = load_config(share("config", "localnet.toml"))
print(config.mode, *abis)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    for arguments in (
        ["build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT)],
        [
            *("pip", "--disable-pip-version-check", "install", "--no-deps", "--no-index", "--quiet"),
            *("--target", str(folder / "site"), "--find-links", str(folder / "dist"), "vaultkeel"),
        ],
    ):
        run = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stdout + run.stderr
    return folder / "site"


def outside(site: Path, *arguments: str) -> str:
    """What Python says that knows this site and the dependencies, and not the checkout."""
    # -S leaves the environment's .pth files unread: one of them points at the checkout.
    libraries = sysconfig.get_path("purelib")
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(site), libraries]),
        "VAULTKEEL_KEY": "0x" + "11" * 32,
    }
    run = subprocess.run(
        [sys.executable, "-S", *arguments],
        cwd=site.parent,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_command_runs_from_the_wheel_alone(site: Path) -> None:
    assert outside(site, "-m", "bot", "version") == f"{bot.__version__}\n"


def test_its_abis_and_its_example_configuration_are_inside(site: Path) -> None:
    mode, *abis = outside(site, "-c", CHECK, str(site)).split()
    assert mode == "paper"
    assert abis == sorted(path.stem for path in (ROOT / "abis").glob("*.json"))


def test_it_ships_everything_that_the_code_needs_and_no_tests(site: Path) -> None:
    (wheel,) = (site.parent / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "bot").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= names
    assert {"bot/py.typed", "bot/localnet/multicall3.hex", "bot/share/config/localnet.toml"} <= names
    packaged = {
        name for name in names if not name.startswith(("bot/", f"vaultkeel-{bot.__version__}.dist-info/"))
    }
    assert packaged == set()
