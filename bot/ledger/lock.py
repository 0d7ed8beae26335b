"""One trading run per ledger: a lock on a file beside it.

`flock` is freed by the kernel however the holder ends. The file is opened close-on-exec, for a child that inherited
it would keep the lock, and never unlinked, for a second run could then lock a new file of the same name.
"""

import fcntl
import os
from pathlib import Path

from bot.errors import ConfigError


class FileLock:
    """Held from construction until `release`."""

    def __init__(self, ledger: Path) -> None:
        path = ledger.with_name(ledger.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(f"ledger: {path} can't be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise ConfigError(f"ledger: another run trades with {ledger}; end it first") from None

    def release(self) -> None:
        """Lets another run trade."""
        os.close(self._file)
