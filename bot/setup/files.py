"""Puts the file in its place: whole or not at all, and never over another without being told."""

import contextlib
import os
from pathlib import Path

from bot.errors import ConfigError
from bot.setup.wanted import Ask, Wanted


def may_write(wanted: Wanted, ask: Ask) -> bool:
    """Whether a file that is there may be replaced. ConfigError where it may not, or its folder isn't there."""
    path = wanted.out
    if path.is_dir():
        raise ConfigError(f"--out: {path} is a folder: name a file in it")
    if not path.parent.is_dir():
        raise ConfigError(f"--out: the folder {path.parent} is not there")
    if not (path.exists() or path.is_symlink()):
        return False
    if not wanted.force and not ask.agrees(
        f"{path} is there already. Replace it", default=False, flag="--force"
    ):
        raise ConfigError(
            f"{path} is there already and was left as it is: give --out another name, or --force"
        )
    return True


def put(path: Path, text: str, *, replaces: bool) -> None:
    """Writes beside the file and takes its place. ConfigError names the file that can't be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replaces:
            beside.replace(path)
        else:
            os.link(beside, path)  # refuses a file that came in between
    except FileExistsError:
        raise ConfigError(f"{path} has come to be there meanwhile and was left as it is") from None
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
