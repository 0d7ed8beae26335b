"""The scheduler with a desk that does what it is told, as a process of its own: signals belong to a main thread.

Arguments: the interval in seconds, then one word per book, which says what its ticks do: words joined by "+" are
taken tick by tick, the last one for ever. Every step is a line of standard output.
"""

import sys
import time
from types import SimpleNamespace
from typing import Any

import bot.scheduler
from bot import errors

SLOW_S = 0.4
lines = sys.stdout


def say(*words: object) -> None:
    """One line, at once."""
    print(*words, file=lines, flush=True)


class StubDesk:
    """Ticks by script."""

    def __init__(self, scripts: list[str]) -> None:
        self.scripts = [script.split("+") for script in scripts]
        self.books = tuple(SimpleNamespace(name=str(i)) for i in range(len(scripts)))
        self.done = [0] * len(scripts)

    def tick(self, book: Any) -> Any:
        """One tick of a book."""
        number = int(book.name)
        script = self.scripts[number]
        word = script[min(self.done[number], len(script) - 1)]
        self.done[number] += 1
        say("begin", number, word)
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
        return SimpleNamespace(again_in_s=0 if word == "soon" else None)


if __name__ == "__main__":
    bot.scheduler.LOOK_EVERY_S = 0.05
    desk: Any = StubDesk(sys.argv[2:])
    runner = bot.scheduler.run(desk, int(sys.argv[1]), lambda text: say("said", text))
    say("ticks", runner.ticks)
    if runner.fatal is not None:
        say("fatal", type(runner.fatal).__name__, runner.fatal)
        sys.exit(runner.fatal.exit_code)
