"""Bringing protocol packages, with a stand-in `npm` on the PATH: no socket is opened."""

import base64
import contextlib
import hashlib
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import bot
from bot.errors import ConfigError
from bot.localnet import packages
from bot.localnet.packages import Package

PINNED = (
    packages.CURIE,
    packages.PERP_ORACLE,
    packages.UNISWAP_V3,
    packages.CURIE_DEPLOYMENTS,
    packages.LYRA,
    packages.SAFE,
    *packages.ANVIL.values(),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VAULTKEEL_CACHE", str(folder))
    return folder


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Make the body of a shell script the only `npm`; each run adds a line to the returned file."""
    folder, calls = tmp_path / "path", tmp_path / "calls"
    folder.mkdir()
    calls.touch()
    monkeypatch.setenv("PATH", str(folder))

    def install(body: str) -> Path:
        script = folder / "npm"
        script.write_text(f"#!/bin/sh\necho \"$*\" >> '{calls}'\n{body}\n")
        script.chmod(0o755)
        return calls

    return install


def tarball(path: Path, files: dict[str, str], mode: int = 0o644) -> Package:
    """Write an npm-like tarball and return the package that pins it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), mode
            archive.addfile(member, io.BytesIO(text.encode()))
    digest = hashlib.sha512(path.read_bytes()).digest()
    return Package("@some/thing", "1.2.3", f"sha512-{base64.b64encode(digest).decode()}")


def left_in(cache: Path) -> list[str]:
    return sorted(entry.name for entry in cache.iterdir())


def test_a_package_whose_checksum_matches_is_unpacked_and_kept(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/bin/tool": "run", "package/a.json": "{}"}, mode=0o755)
    calls = npm(f"/bin/cp '{tmp_path}/a.tgz' some-thing-1.2.3.tgz")
    said: list[str] = []
    folder = packages.ensure(package, said.append)
    assert (folder / "a.json").read_text() == "{}"
    assert os.access(folder / "bin" / "tool", os.X_OK)
    assert left_in(cache) == [folder.name]
    assert calls.read_text().startswith("pack @some/thing@1.2.3 ")
    assert len(said) == 1
    assert "@some/thing 1.2.3" in said[0]


def test_a_second_call_answers_from_the_cache_without_npm_and_silently(
    npm: Callable[[str], Path], tmp_path: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}"})
    calls = npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    first = packages.ensure(package)
    said: list[str] = []
    assert packages.ensure(package, said.append) == first
    assert len(calls.read_text().splitlines()) == 1
    assert said == []


def test_a_changed_pin_is_not_answered_from_the_old_cache(npm: Callable[[str], Path], tmp_path: Path) -> None:
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    old = packages.ensure(tarball(tmp_path / "a.tgz", {"package/a.json": "old"}))
    new = packages.ensure(tarball(tmp_path / "a.tgz", {"package/a.json": "new"}))
    assert (old / "a.json").read_text() == "old"
    assert (new / "a.json").read_text() == "new"


def test_what_npm_writes_on_stderr_does_not_spoil_a_download(
    npm: Callable[[str], Path], tmp_path: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}"})
    npm(f"echo 'npm warn Unknown user config' >&2; /bin/cp '{tmp_path}/a.tgz' a.tgz")
    assert packages.ensure(package).is_dir()


def test_a_wrong_checksum_is_refused_and_nothing_is_left(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "real"})
    tarball(tmp_path / "a.tgz", {"package/a.json": "forged"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    with pytest.raises(ConfigError, match=r"@some/thing 1\.2\.3 was refused"):
        packages.ensure(package)
    assert left_in(cache) == []


def test_a_wrong_checksum_is_found_before_anything_is_unpacked(
    npm: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tarball(tmp_path / "a.tgz", {"package/a.json": "forged"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    opened: list[object] = []
    monkeypatch.setattr(tarfile, "open", lambda *a, **k: opened.append(a))
    with pytest.raises(ConfigError, match="refused"):
        packages.ensure(packages.CURIE)
    assert opened == []


@pytest.mark.parametrize("name", ["../../escaped", "{}/escaped", "package/../../../escaped"])
def test_a_member_that_points_outside_never_gets_there(
    npm: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}", name.format(tmp_path): "x"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    with contextlib.suppress(ConfigError):  # an absolute name is made relative instead of refused
        packages.ensure(package)
    assert list(tmp_path.rglob("escaped")) == []


def test_a_tarball_without_a_package_folder_is_refused_by_name(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"other/a.json": "{}"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    with pytest.raises(ConfigError, match=r"@some/thing 1\.2\.3 was refused"):
        packages.ensure(package)
    assert left_in(cache) == []


def test_a_missing_npm_is_said_with_the_package_and_the_remedy(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=r"@perp/curie-contract@2\.8\.4 .* npm is not installed: install"):
        packages.ensure(packages.CURIE)
    assert left_in(cache) == []


def test_no_network_is_one_sentence_that_says_what_to_do_and_names_no_host(
    npm: Callable[[str], Path], cache: Path
) -> None:
    host = "packages.invalid"
    summary = f"request to https://user:token@{host}/thing failed, reason: getaddrinfo ENOTFOUND {host}"
    answer = json.dumps({"error": {"code": "ENOTFOUND", "summary": summary}})
    npm(f"echo '{answer}'; echo 'npm error network request to https://{host}/thing' >&2; exit 1")
    with pytest.raises(ConfigError) as caught:
        packages.ensure(packages.LYRA)
    assert str(caught.value) == (
        "@lyrafinance/protocol@0.1.3-alpha could not be downloaded (npm: ENOTFOUND): connect to the network "
        f"once and run again; the package is then kept in {cache}."
    )
    assert left_in(cache) == []


@pytest.mark.parametrize("word", ["error", "ERR!"])
def test_npms_reason_is_also_read_from_stderr(npm: Callable[[str], Path], word: str) -> None:
    npm(f"echo 'npm {word} code ECONNREFUSED' >&2; exit 1")
    with pytest.raises(ConfigError, match=r"npm: ECONNREFUSED\): connect to the network"):
        packages.ensure(packages.LYRA)


@pytest.mark.parametrize("body", ["exit 1", "echo []; exit 1", "echo '{\"error\": null}'; exit 1", "exit 0"])
def test_an_npm_that_fails_without_a_reason_still_gives_the_sentence(
    npm: Callable[[str], Path], body: str
) -> None:
    npm(body)
    with pytest.raises(ConfigError, match=r"could not be downloaded \(npm: no reason given\): connect"):
        packages.ensure(packages.LYRA)


@pytest.mark.parametrize(
    ("code", "remedy"),
    [("E404", "does not offer it"), ("ENOSPC", "disk is full"), ("EACCES", "cannot write its own cache")],
)
def test_a_cause_that_is_not_the_network_gets_its_own_remedy(
    npm: Callable[[str], Path], code: str, remedy: str
) -> None:
    npm(f"echo 'npm error code {code}' >&2; exit 1")
    with pytest.raises(ConfigError, match=remedy) as caught:
        packages.ensure(packages.LYRA)
    assert "connect to the network" not in str(caught.value)


def test_an_npm_that_hangs_is_given_up(
    npm: Callable[[str], Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "NPM_TIMEOUT_S", 0.2)
    npm("exec /bin/sleep 20")
    with pytest.raises(ConfigError, match=r"no answer within 0\.2 s"):
        packages.ensure(packages.LYRA)
    assert left_in(cache) == []


def test_a_cache_that_cannot_be_written_is_said_with_the_variable_to_set(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where the folder should be")
    monkeypatch.setenv("VAULTKEEL_CACHE", str(cache / "below"))
    with pytest.raises(ConfigError, match=r"@perp/curie-contract 2\.8\.4 .* set VAULTKEEL_CACHE"):
        packages.ensure(packages.CURIE)


def test_a_parallel_run_that_finishes_first_wins_and_both_get_its_folder(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz; /bin/sleep 0.2")
    folders: list[Path] = []
    runs = [threading.Thread(target=lambda: folders.append(packages.ensure(package))) for _ in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(folders) == 4
    assert left_in(cache) == [folders[0].name]
    assert set(folders) == {cache / folders[0].name}


def test_a_run_that_is_killed_leaves_no_package_and_the_next_run_succeeds(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}"})
    npm(f"echo $$ > '{tmp_path}/pid.new'; /bin/mv '{tmp_path}/pid.new' '{tmp_path}/pid'; exec /bin/sleep 60")
    code = (
        f"from bot.localnet import packages as p; p.ensure(p.Package{(package.name, package.version, 'x')})"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(bot.__file__).parents[1])}
    run = subprocess.Popen([sys.executable, "-c", code], env=env)
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    run.kill()
    run.wait()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert all(name.startswith(packages.STAGING) for name in left_in(cache))
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    assert (packages.ensure(package) / "a.json").exists()


def test_only_long_abandoned_downloads_are_swept(
    npm: Callable[[str], Path], tmp_path: Path, cache: Path
) -> None:
    package = tarball(tmp_path / "a.tgz", {"package/a.json": "{}"})
    npm(f"/bin/cp '{tmp_path}/a.tgz' a.tgz")
    old, fresh = cache / f"{packages.STAGING}old", cache / f"{packages.STAGING}fresh"
    for folder in (old, fresh):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    packages.ensure(package)
    assert not old.exists()
    assert fresh.exists()


def test_the_cache_is_where_the_variable_says_even_when_relative(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAULTKEEL_CACHE", "here")
    assert packages.cache_root() == tmp_path / "here"


@pytest.mark.parametrize(
    ("system", "xdg", "expected"),
    [
        ("linux", "", "home/.cache/vaultkeel"),
        ("linux", "relative", "home/.cache/vaultkeel"),
        ("linux", "{}/xdg", "xdg/vaultkeel"),
        ("darwin", "{}/xdg", "home/Library/Caches/vaultkeel"),
    ],
)
def test_the_cache_is_by_default_where_the_system_keeps_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, xdg: str, expected: str
) -> None:
    monkeypatch.setenv("VAULTKEEL_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", xdg.format(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", system)
    assert packages.cache_root() == tmp_path / expected


@pytest.mark.parametrize("machine", ["x86_64", "AMD64"])
def test_a_machines_names_lead_to_one_anvil_package(monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert packages.anvil_package().name == "@foundry-rs/anvil-linux-amd64"


def test_a_platform_without_a_pinned_anvil_is_told_to_install_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    with pytest.raises(ConfigError, match=r"linux on riscv64: install Foundry's anvil 1\.5\.0"):
        packages.anvil_package()


@pytest.mark.parametrize("package", PINNED, ids=lambda package: package.name)
def test_every_pin_is_a_whole_sha512(package: Package) -> None:
    kind, digest = package.integrity.split("-", 1)
    assert kind == "sha512"
    assert len(base64.b64decode(digest, validate=True)) == 64
