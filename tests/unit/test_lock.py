"""One trading run per ledger."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from builders import ACCOUNT_ID, NOW, decided, intent

from bot.core.model import Mode
from bot.errors import ConfigError
from bot.ledger import open_ledger

HOLD = "import sys; from pathlib import Path; from bot.ledger import open_ledger; l = open_ledger(Path(sys.argv[1]), "
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vaultkeel.db"


def test_a_second_trading_run_is_refused(path: Path) -> None:
    with closing(open_ledger(path, trades=True)), pytest.raises(ConfigError, match="another run trades with"):
        open_ledger(path, trades=True)


def test_a_run_that_ended_leaves_the_ledger_to_the_next(path: Path) -> None:
    for _ in range(3):
        open_ledger(path, trades=True).close()


def test_a_run_in_another_process_that_is_killed_leaves_no_lock(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = HOLD + "trades=True); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(ConfigError):
        open_ledger(path, trades=True)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    holder.stdin.close()
    open_ledger(path, trades=True).close()


def test_a_child_process_does_not_inherit_the_lock(path: Path) -> None:
    ledger = open_ledger(path, trades=True)
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        ledger.close()
        open_ledger(path, trades=True).close()
    finally:
        child.communicate(b"")


def test_reading_and_changing_the_mode_work_beside_a_trading_run(path: Path) -> None:
    with closing(open_ledger(path, trades=True)) as run, closing(open_ledger(path)) as other:
        run.record_tick(decided())
        other.set_mode(ACCOUNT_ID, Mode.HALTED, "why", NOW)
        assert run.mode(ACCOUNT_ID) is Mode.HALTED
        run.record_tick(decided())


def test_a_run_whose_place_was_taken_cant_write_any_more(path: Path) -> None:
    """As after a pause during which the lock was lost: the epoch has moved on."""
    paused = open_ledger(path, trades=True)
    assert paused._lock is not None
    paused._lock.release()
    paused._lock = None
    with closing(open_ledger(path, trades=True)) as successor:
        tick = successor.record_tick(decided())
        for write in (
            lambda: paused.record_tick(decided()),
            lambda: paused.intend(intent(), tick),
            lambda: paused.sent("0x"),
        ):
            with pytest.raises(ConfigError, match="another took its place"):
                write()
        successor.intend(intent(), tick)
    paused.close()


def test_the_lock_file_stays(path: Path) -> None:
    open_ledger(path, trades=True).close()
    assert path.with_name("vaultkeel.db.lock").exists()
