"""A local anvil node as a child process that never outlives its owner.

Only 127.0.0.1 is served. The child is only ever signalled through its own process handle.
"""

import atexit
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Final, Self

from bot.errors import ConfigError, TransientError
from bot.localnet import packages

HOST: Final = "127.0.0.1"
OLDEST: Final = (1, 5, 0)
BOOT_S: Final = 20.0
POLL_S: Final = 0.005
STOP_S: Final = 5.0
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

# anvil adds a second --host to the first, and when told to be quiet does not say which port it took.
_NOT_IN_ARGS: Final = frozenset({"--host", "--port", "-p", "--quiet", "-q", "--silent"})
_LISTENING: Final = re.compile(rf"^Listening on {re.escape(HOST)}:(\d+)\n", re.MULTILINE)


def anvil_binary(progress: Callable[[str], None] = lambda _: None) -> Path:
    """A native anvil: the one on the PATH where it is recent enough, else the pinned package's.

    Raises ConfigError when neither can be had.
    """
    found = shutil.which("anvil")
    if found is not None and _is_native(Path(found)) and _version(found) >= OLDEST:
        return Path(found)
    binary = packages.ensure(packages.anvil_package(), progress) / "bin" / "anvil"
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return binary


def _is_native(candidate: Path) -> bool:
    """npm's own `anvil` is a script: a signal to it leaves the real node running."""
    try:
        with candidate.open("rb") as file:
            return file.read(2) != b"#!"
    except OSError:
        return False


def _version(binary: str) -> tuple[int, ...]:
    """(0,) when it does not run or does not say."""
    try:
        run = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return (0,)
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", run.stdout) if run.returncode == 0 else None
    return tuple(map(int, numbers.groups())) if numbers else (0,)


class Anvil:
    """A running anvil. Use `Anvil.start(...)` as a context manager, or end it with `stop()`."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes], log_start: int, port: int) -> None:
        self._process = process
        self._log = log
        self._log_start = log_start
        self.port = port

    @classmethod
    def start(
        cls, *, binary: Path, args: Sequence[str] = (), port: int | None = None, log_path: Path | None = None
    ) -> Self:
        """Start anvil and return once it answers. `port` None takes a free one; `log_path` is appended to.

        Call it on the main thread: only then does Linux end anvil when this process is killed with -9.
        Raises ConfigError when the port is taken or anvil refuses its arguments, TransientError when it
        does not answer within BOOT_S seconds.
        """
        if clash := _NOT_IN_ARGS.intersection(arg.split("=")[0] for arg in args):
            raise ValueError(f"{', '.join(sorted(clash))}: not for the caller to set")
        log = _open_log(log_path)
        log_start = log.tell()
        anvil = None
        try:
            with _interrupts_held_back():
                process = subprocess.Popen(
                    [str(binary), *args, "--host", HOST, "--port", str(port or 0)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # a terminal's Ctrl-C goes to us, and we end anvil
                    preexec_fn=_before_exec(),
                )
                anvil = cls(process, log, log_start, port or 0)
                atexit.register(anvil.stop)
            anvil._wait_until_it_answers()
        except BaseException as error:
            if anvil is not None:
                anvil.stop()
                raise
            log.close()
            if isinstance(error, OSError):
                raise ConfigError(f"anvil at {binary} cannot be run here: {error.strerror}.") from error
            raise
        return anvil

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        """End anvil: SIGTERM, then SIGKILL after STOP_S seconds. A second call does nothing."""
        try:
            self._process.terminate()
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when a second Ctrl-C arrives while waiting
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._log.close()
            atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_it_answers(self) -> None:
        """Ask only the port that our own child says it holds, so never another process on that port."""
        deadline = time.monotonic() + BOOT_S
        listening = False
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise self._ended_early()
            if listening:
                if _answers(self.port):
                    return
            elif announced := _LISTENING.search(self._log_text()):
                self.port = int(announced[1])
                listening = True
                continue
            time.sleep(POLL_S)
        raise TransientError(f"anvil did not answer within {BOOT_S:g} s; it last said: {self._last_words()}")

    def _ended_early(self) -> ConfigError:
        if self.port and "Address already in use" in self._log_text():
            return ConfigError(
                f"Port {self.port} on {HOST} is taken by another program: choose another port, or none to "
                "take a free one."
            )
        return ConfigError(f"anvil ended before it answered; it last said: {self._last_words()}")

    def _log_text(self) -> str:
        # pread, because a temporary file's position is shared with anvil, which writes at it.
        size = os.fstat(self._log.fileno()).st_size - self._log_start
        return os.pread(self._log.fileno(), size, self._log_start).decode(errors="replace")

    def _last_words(self) -> str:
        """The last log lines, without addresses: that of a forked node can hold an API key."""
        lines = [line.strip() for line in self._log_text().splitlines() if line.strip()]
        return re.sub(r"\w+://\S+", "<url>", " / ".join(lines[-5:])) or "nothing"


def _open_log(path: Path | None) -> IO[bytes]:
    if path is None:
        return tempfile.TemporaryFile()  # has no name, so nothing is left behind however the run ends
    try:
        return path.open("ab+")
    except OSError as error:
        raise ConfigError(f"anvil's log file {path} cannot be written: {error.strerror}.") from error


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C act only afterwards: inside Popen it would lose the handle of a child that already runs."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield  # Python runs handlers on the main thread only
        return
    held: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(*held[0])


def _before_exec() -> Callable[[], None]:
    """What the child runs before it becomes anvil.

    It unblocks signals, because a child inherits its parent's mask and would not hear SIGTERM. And even kill -9
    of this process, on which no handler of ours runs, is to end anvil: Linux can signal the child then. It does
    so when the *thread* that started the child ends, so only the main thread asks for it.
    """
    # Looked up before the fork: the child of a process with threads should do very little.
    linux_main = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
    prctl = ctypes.CDLL(None).prctl if linux_main else None
    parent = os.getpid()

    def in_child() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before the line above
                os._exit(1)

    return in_child


def _answers(port: int) -> bool:
    """Whether JSON-RPC answers. Plain http.client, because an HTTP_PROXY variable must not matter here."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request(
            "POST",
            "/",
            json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}),
            {"Content-Type": "application/json"},
        )
        return "result" in json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
