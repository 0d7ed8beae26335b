"""The runbook has an entry for every alert, with its severity and what to do; the unit file says what it must."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from bot.core.events import SEVERITIES, Kind
from bot.share import share

DOCS = Path(__file__).parents[2] / "docs"
UNIT = share("config", "vaultkeel.service")


@pytest.mark.parametrize("kind", list(Kind))
def test_every_alert_has_an_entry_with_its_severity_and_what_to_do(kind: Kind) -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8")
    entries = re.findall(rf"^## `{kind}`\n\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert len(entries) == 1
    assert entries[0].startswith(f"{SEVERITIES[kind].name.capitalize()}. ")
    assert "**What to do.**" in entries[0]


def test_the_runbook_has_no_entry_for_an_alert_that_there_is_not() -> None:
    text = (DOCS / "runbook.md").read_text(encoding="utf-8")
    assert re.findall(r"^## `(\w+)`", text, re.MULTILINE) == [kind.value for kind in Kind]


@pytest.fixture
def unit() -> dict[str, list[str]]:
    """The unit's directives, each with its values in order."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_the_unit_is_watched_restarted_and_drained(unit: dict[str, list[str]]) -> None:
    assert unit["Type"] == ["notify"]
    assert int(unit["WatchdogSec"][0]) >= 30
    assert unit["Restart"] == ["on-failure"]
    assert unit["KillSignal"] == ["SIGTERM"]
    assert int(unit["TimeoutStopSec"][0]) >= 60, "the tick in flight is finished"
    assert unit["RestartPreventExitStatus"] == ["2"], "ConfigError"
    assert unit["ExecStart"][0].split()[1] == "run"


def test_the_unit_can_do_little(unit: dict[str, list[str]]) -> None:
    for name in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictNamespaces"):
        assert unit[name] == ["yes"], name
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == [""]
    assert unit["RestrictAddressFamilies"] == ["AF_INET AF_INET6 AF_UNIX"]
    assert unit["StateDirectory"] == ["vaultkeel"]
    assert unit["StateDirectoryMode"] == unit["CacheDirectoryMode"] == ["0700"]
    assert unit["UMask"] == ["0077"]
    assert "MemoryDenyWriteExecute" not in unit, "numba compiles"
    assert all("/etc/vaultkeel/" in value for value in unit["LoadCredential"])
    assert not any("SECRET" in value or "KEY=" in value for value in unit["Environment"])


def test_the_unit_is_sections_of_directives() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(UNIT.read_text(encoding="utf-8"))
    assert parser.sections() == ["Unit", "Service", "Install"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_finds_no_fault_with_the_unit_and_little_exposure(tmp_path: Path) -> None:
    copy = tmp_path / "vaultkeel.service"
    text = UNIT.read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/vaultkeel/bin/vaultkeel", "/bin/true"), encoding="utf-8")
    analyze = str(shutil.which("systemd-analyze"))
    done = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    command = [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", copy]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "unrecognized option" not in done.stderr:  # older ones examine loaded units alone
        assert done.returncode == 0, done.stdout[-500:]
