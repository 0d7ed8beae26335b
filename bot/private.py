"""Secrets at their sources: files that only their owner can use, and a person at the terminal."""

import errno
import getpass
import os
import sys
from pathlib import Path

from bot.errors import ConfigError

OTHERS = 0o077
"""Every permission of the group and of everybody else."""


def read_private(path: Path) -> bytes:
    """A secret file's content. OSError, with the sentence in its `strerror`, where others may use the file too.

    The permissions are those of the file that is read, not of one that took its place in between.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o777
        if mode & OTHERS:
            why = f"its permissions are {mode:04o}, so that others may use it too; run `chmod 600 {path}`"
            raise PermissionError(errno.EPERM, why)
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """A new file that only its owner can use, on the disk when this returns. OSError; nothing is ever overwritten."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        path.unlink(missing_ok=True)  # it is ours: a half-written one must not pass for a key
        raise


def someone_answers() -> bool:
    """Whether a person is at the terminal."""
    return sys.stdin is not None and sys.stdin.isatty()


def hidden_answer(question: str, instead: str) -> str:
    """What a person types, unseen. ConfigError that names what to do `instead` where nobody can answer."""
    if not someone_answers():
        raise ConfigError(f"{question}? Nobody is there to answer: {instead}")
    try:
        return getpass.getpass(f"{question}: ")
    except EOFError:
        raise ConfigError(f"{question}? It was not answered") from None
