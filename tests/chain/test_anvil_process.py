"""A real anvil as a child process: it serves only us and never outlives its owner."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bot
from bot.errors import ConfigError, TransientError
from bot.localnet import anvil, packages
from bot.localnet.anvil import Anvil

ROOT = Path(bot.__file__).parents[1]
PROC = Path("/proc")
CHAINS = itertools.count(os.getpid() * 1000)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="relies on Linux's prctl and /proc")

# A runner in a shell's background starts its children with SIGINT ignored, hence the explicit handler.
# "unaided" is without Linux's signal on the owner's death, as on any other system.
OWNER = """
import signal, sys, time
from pathlib import Path
from bot.localnet import anvil
if sys.argv[3] == "unaided":
    anvil.PR_SET_PDEATHSIG = 0
signal.signal(signal.SIGINT, signal.default_int_handler)
print("starting", flush=True)
node = anvil.Anvil.start(binary=Path(sys.argv[1]), args=["--chain-id", sys.argv[2]])
print(node.port, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def binary() -> Path:
    return anvil.anvil_binary()


@pytest.fixture
def owner(binary: Path) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Start Python processes that each own an anvil with the given chain id."""
    started: list[subprocess.Popen[str]] = []

    def start(mode: str, chain: str) -> subprocess.Popen[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(binary), chain, mode],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        return process

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)  # by which even the owner in a failed test ends its anvil
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


def unused_chain() -> str:
    return str(next(CHAINS))


def port_of(owner: subprocess.Popen[str]) -> int:
    assert owner.stdout is not None
    return int(owner.stdout.readline())


def is_served(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((anvil.HOST, port)) == 0


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def anvils_with(chain: str) -> list[int]:
    """The process ids of anvils that were started with this chain id; a zombie has no command line."""
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if Path(words[0]).name == "anvil" and chain in words:
                    found.append(int(entry.name))
    return found


def comes_true(claim: Callable[[], bool], within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_it_starts_on_a_free_port_and_answers(binary: Path) -> None:
    with Anvil.start(binary=binary) as node:
        assert node.url == f"http://127.0.0.1:{node.port}"
        assert anvil._answers(node.port)
        assert exists(node.pid)


def test_a_given_port_is_the_one_served(binary: Path) -> None:
    with socket.socket() as probe:
        probe.bind((anvil.HOST, 0))
        port = probe.getsockname()[1]
    with Anvil.start(binary=binary, port=port) as node:
        assert node.port == port
        assert is_served(port)


def test_two_at_once_get_different_ports(binary: Path) -> None:
    with Anvil.start(binary=binary) as one, Anvil.start(binary=binary) as two:
        assert one.port != two.port
        assert anvil._answers(one.port)
        assert anvil._answers(two.port)


def test_stop_ends_it_and_may_be_called_again(binary: Path) -> None:
    node = Anvil.start(binary=binary)
    node.stop()
    assert not exists(node.pid)
    assert not is_served(node.port)
    node.stop()


def test_an_exception_in_the_with_block_ends_it(binary: Path) -> None:
    with pytest.raises(RuntimeError, match="ours"), Anvil.start(binary=binary) as node:
        raise RuntimeError("ours")
    assert not exists(node.pid)


def test_a_frozen_anvil_is_ended_all_the_same(binary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anvil, "STOP_S", 0.2)
    node = Anvil.start(binary=binary)
    os.kill(node.pid, signal.SIGSTOP)
    node.stop()
    assert not exists(node.pid)


def test_a_port_taken_by_another_anvil_is_refused_and_the_other_is_left_alone(binary: Path) -> None:
    with Anvil.start(binary=binary) as first:
        with pytest.raises(
            ConfigError, match=rf"Port {first.port} on 127\.0\.0\.1 is taken by another program"
        ):
            Anvil.start(binary=binary, port=first.port)
        assert anvil._answers(first.port)


def test_a_port_taken_by_any_program_is_refused_by_number(binary: Path) -> None:
    with socket.socket() as other:
        other.bind((anvil.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} .* is taken"):
            Anvil.start(binary=binary, port=port)


def test_the_log_is_appended_to_and_kept_when_a_path_is_given(binary: Path, tmp_path: Path) -> None:
    log = tmp_path / "anvil.log"
    log.write_text("Listening on 127.0.0.1:1\n")
    with Anvil.start(binary=binary, log_path=log) as node:
        assert node.port != 1
    assert log.read_text().startswith("Listening on 127.0.0.1:1\n")
    assert f"Listening on 127.0.0.1:{node.port}\n" in log.read_text()


def test_nothing_is_left_in_the_temporary_folder(
    binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Anvil.start(binary=binary):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_written_is_named(binary: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"log file .*nowhere/anvil\.log cannot be written"):
        Anvil.start(binary=binary, log_path=tmp_path / "nowhere" / "anvil.log")


def test_arguments_reach_anvil_and_wrong_ones_are_quoted_back(binary: Path, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with Anvil.start(binary=binary, args=["--dump-state", str(state)]):
        pass
    assert state.exists(), "SIGTERM lets anvil write its state"
    with pytest.raises(ConfigError, match=r"anvil ended before it answered; .*--no-such-thing"):
        Anvil.start(binary=binary, args=["--no-such-thing"])


@pytest.mark.parametrize("argument", ["--host", "--host=0.0.0.0", "--port", "-p", "--quiet", "-q"])
def test_the_address_and_the_verbosity_cannot_be_overridden(binary: Path, argument: str) -> None:
    with pytest.raises(ValueError, match="not for the caller"):
        Anvil.start(binary=binary, args=[argument])


def test_an_error_that_quotes_the_log_does_not_show_a_nodes_address(binary: Path) -> None:
    with socket.socket() as closed:
        closed.bind((anvil.HOST, 0))  # bound but not listening: every connection is refused
        node = f"http://127.0.0.1:{closed.getsockname()[1]}/v3/apikey"
        with pytest.raises(ConfigError, match="ended before it answered") as caught:
            Anvil.start(binary=binary, args=["--fork-url", node])
    assert "apikey" not in str(caught.value)


def test_a_program_that_cannot_run_here_is_named(tmp_path: Path) -> None:
    (tmp_path / "anvil").write_bytes(b"\x7fNOTELF")
    (tmp_path / "anvil").chmod(0o755)
    with pytest.raises(ConfigError, match=r"anvil at .* cannot be run here"):
        Anvil.start(binary=tmp_path / "anvil")


def test_silence_is_given_up_with_its_last_words_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anvil, "BOOT_S", 0.3)
    mute = script(tmp_path / "mute", f"echo $$ > '{tmp_path}/pid'; echo thinking; exec /bin/sleep 30")
    with pytest.raises(TransientError, match=r"did not answer within 0\.3 s; it last said: thinking"):
        Anvil.start(binary=mute)
    assert not exists(int((tmp_path / "pid").read_text()))


def test_a_child_deaf_to_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anvil, "BOOT_S", 0.3)
    monkeypatch.setattr(anvil, "STOP_S", 0.2)
    deaf = script(
        tmp_path / "deaf", f"trap '' TERM; echo $$ > '{tmp_path}/pid'; while :; do /bin/sleep 0.1; done"
    )
    with pytest.raises(TransientError):
        Anvil.start(binary=deaf)
    assert not exists(int((tmp_path / "pid").read_text()))


def test_an_http_proxy_in_the_environment_does_not_matter(
    binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with Anvil.start(binary=binary) as node:
        assert node.port > 0


def test_an_anvil_started_on_a_worker_thread_outlives_that_thread(binary: Path) -> None:
    nodes: list[Anvil] = []
    worker = threading.Thread(target=lambda: nodes.append(Anvil.start(binary=binary)))
    worker.start()
    worker.join()
    with nodes[0] as node:
        time.sleep(0.2)
        assert anvil._answers(node.port)


def test_a_forgotten_anvil_ends_with_its_owner_but_not_with_a_fork_of_it(binary: Path) -> None:
    code = (
        "import os, sys, threading; from pathlib import Path; from bot.localnet import anvil\n"
        "nodes = []\n"
        "start = lambda: nodes.append(anvil.Anvil.start(binary=Path(sys.argv[1])))\n"
        "worker = threading.Thread(target=start); worker.start(); worker.join()\n"
        "fork = os.fork()\n"
        "if fork == 0: sys.exit(0)\n"
        "os.waitpid(fork, 0)\n"
        "print(anvil._answers(nodes[0].port), nodes[0].port)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", code, binary], env=env, capture_output=True, text=True, check=True
    )
    answered, port = run.stdout.split()
    assert answered == "True"
    assert not is_served(int(port))


def test_a_terminals_interrupt_does_not_reach_anvil_itself(binary: Path) -> None:
    with Anvil.start(binary=binary) as node:
        assert os.getpgid(node.pid) == os.getsid(node.pid) == node.pid


def test_an_owner_that_blocks_signals_can_still_end_it_gently(binary: Path, tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        node = Anvil.start(binary=binary, args=["--dump-state", str(tmp_path / "state.json")])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    node.stop()
    assert (tmp_path / "state.json").exists()


def test_a_start_leaves_the_interrupt_handler_as_it_was(binary: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with Anvil.start(binary=binary):
        assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("mode", ["aided", "unaided"])
def test_an_interrupted_owner_leaves_no_anvil(
    owner: Callable[[str, str], subprocess.Popen[str]], mode: str
) -> None:
    process = owner(mode, unused_chain())
    port = port_of(process)
    assert is_served(port)
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert comes_true(lambda: not is_served(port))


@linux_only
@pytest.mark.parametrize("mode", ["aided", "unaided"])
def test_an_interrupt_at_any_moment_of_the_start_leaves_no_anvil(
    owner: Callable[[str, str], subprocess.Popen[str]], mode: str
) -> None:
    # The start takes about 60 ms, of which the first few are the fork.
    for after_ms in (0, 1, 2, 3, 4, 5, 6, 8, 12, 25, 50):
        chain = unused_chain()
        process = owner(mode, chain)
        time.sleep(after_ms / 1000)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert comes_true(lambda chain=chain: not anvils_with(chain))  # type: ignore[misc]


@linux_only
def test_an_owner_that_is_killed_leaves_no_anvil(owner: Callable[[str, str], subprocess.Popen[str]]) -> None:
    chain = unused_chain()
    process = owner("aided", chain)
    port = port_of(process)
    assert len(anvils_with(chain)) == 1
    process.kill()
    process.wait(30)
    assert comes_true(lambda: not is_served(port) and not anvils_with(chain))


def test_npms_wrapper_script_on_the_path_is_passed_over(
    tmp_path: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "anvil", "echo 'anvil Version: 9.9.9'")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(packages, "ensure", lambda package, progress: binary.parents[1])
    assert anvil.anvil_binary() == binary


def test_a_recent_native_anvil_on_the_path_is_used_without_a_download(
    tmp_path: Path, binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "anvil").symlink_to(binary)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(packages, "ensure", lambda package, progress: pytest.fail("it went for a package"))
    assert anvil.anvil_binary() == tmp_path / "anvil"


@pytest.mark.parametrize(
    "says", ["anvil 0.2.0 (abc 2023)", "anvil Version: 1.4.4-stable", "", "1.7.1; exit 1"]
)
def test_an_anvil_too_old_or_broken_on_the_path_is_passed_over_for_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str
) -> None:
    text, _, ending = says.partition("; ")
    script(tmp_path / "anvil", f"echo '{text}'; {ending}")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(anvil, "_is_native", lambda path: True)
    unpacked = tmp_path / "package" / "bin" / "anvil"
    unpacked.parent.mkdir(parents=True)
    unpacked.touch(mode=0o644)
    monkeypatch.setattr(packages, "ensure", lambda package, progress: tmp_path / "package")
    assert anvil.anvil_binary() == unpacked
    assert os.access(unpacked, os.X_OK)
