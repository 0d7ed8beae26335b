"""The scheduler with a desk that does what it is told, in processes of their own: signals belong to a main thread.

Importing takes longer than any of the runs, so this process imports once and forks for each. A line of standard input
asks for a run: the file that it writes to, whether a signal comes EARLY (before the scheduler has started), the
interval in seconds, and one word per book, which says what its ticks do: words joined by "+" are taken tick by tick,
the last one for ever. "2/word" is of a book that trades on chain 2, all others trade on chain 1. It is
answered with the run's process id and then with its exit code.
"""

import os
import signal
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

from apscheduler.schedulers.background import BackgroundScheduler

import bot.scheduler
from bot import errors
from bot.core.accounts import Account
from bot.core.model import Wake
from bot.log import set_up_logs

SLOW_S = 0.4
NEVER = 0.0


def say(*words: object) -> None:
    """One line, at once and in one piece: two threads write."""
    os.write(sys.stdout.fileno(), f"{' '.join(map(str, words))}\n".encode())


class StubDesk:
    """Ticks by script."""

    def __init__(self, scripts: list[str]) -> None:
        placed = [script.split("/") if "/" in script else ["1", script] for script in scripts]
        self.scripts = [words.split("+") for _, words in placed]
        self.books = tuple(
            SimpleNamespace(name=str(i), account=Account("0x0", int(chain), f"chain-{chain}"))
            for i, (chain, _) in enumerate(placed)
        )
        self.accounts = tuple(dict.fromkeys(book.account for book in self.books))
        self.done = [0] * len(scripts)

    def tick(self, book: Any) -> Any:
        """One tick of a book."""
        number = int(book.name)
        script = self.scripts[number]
        word = script[min(self.done[number], len(script) - 1)]
        self.done[number] += 1
        say("begin", number, word)
        if word == "hang":
            time.sleep(600)
        if word.startswith("slow"):
            time.sleep(SLOW_S)
            word = word.removeprefix("slow")
        try:
            if hasattr(errors, word):
                raise getattr(errors, word)(f"a {word}")
            if word == "Bug":
                raise ZeroDivisionError("a bug")
        finally:
            say("end", number)
        record = SimpleNamespace(
            wake=Wake(None, None),
            decision=SimpleNamespace(band=None),
            exposure=None,
            snapshot=SimpleNamespace(open_order=""),
        )
        return SimpleNamespace(again_in_s=0 if word == "soon" else None, record=record, outcome=None)


class EarlyScheduler(BackgroundScheduler):  # type: ignore[misc]
    """Starts just after a signal that a thread of another library takes, for it blocks none."""

    def start(self, *args: Any, **kwargs: Any) -> None:
        """As its parent, a moment later."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        super().start(*args, **kwargs)


def run(early: bool, interval_s: int, scripts: list[str]) -> int:
    """One run; returns its exit code."""
    set_up_logs(as_json=False)
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if early:
        vars(bot.scheduler)["BackgroundScheduler"] = EarlyScheduler
    bot.scheduler.LOOK_EVERY_S = 0.05
    desk: Any = StubDesk(scripts)
    runner = bot.scheduler.run(desk, interval_s, NEVER, lambda text: say("said", text))
    say("ticks", runner.ticks)
    if runner.fatal is not None:
        say("fatal", type(runner.fatal).__name__, runner.fatal)
        return runner.fatal.exit_code
    return 0


def serve() -> None:
    """A fork for each line."""
    for line in sys.stdin:
        path, early, interval, *scripts = line.split()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), sys.stdout.fileno())
            os._exit(run(early == "EARLY", int(interval), scripts))
        say(child)
        say(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    serve()
