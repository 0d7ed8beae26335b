"""The bot as a process of its own: what `vaultkeel run` does, tick by tick at the rehearsal's word.

The process is forked from a server that has imported everything already, so a start takes milliseconds. It can be
told to kill itself at a commit; kills at other places come from outside.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from bot.app import App, build
from bot.config import load_config
from bot.errors import VaultkeelError
from bot.log import set_up_logs
from bot.scheduler import run as run_scheduler

ANSWER_S: Final = 30.0
END_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class AtCommit:
    """The process kills itself at the `nth` commit of a transaction that ran a statement beginning with this."""

    statement: str
    after: bool
    nth: int = 1


@dataclass(frozen=True, slots=True)
class Said:
    """What the bot has to say after an order.

    `kind` is "hold" or "rebalance" after a tick, the error's class where one stopped it, "died" where there is no
    answer any more. `outcome` is that of the order which the tick sent.
    """

    kind: str
    text: str = ""
    code: str = ""
    again_in_s: int | None = None
    outcome: str = ""


Patch = Callable[[App], None]
"""Changes a freshly built app: for tests of the rehearsal itself, with a bot that is broken on purpose."""

READY: Final = "ready"
DIED: Final = Said("died")


class Bot:
    """A running bot process."""

    def __init__(self, config: Path, death: AtCommit | None = None, patch: Patch | None = None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        ours, theirs = context.Pipe()
        self._pipe = ours
        arguments = (config, theirs, death, patch)
        self._process: ForkServerProcess = context.Process(target=work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._process.pid or 0)

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def tick(self) -> Said:
        """One tick of the first book."""
        return self.ask("tick")

    def ask(self, order: str) -> Said:
        """What comes of an order: "tick", "cancel" the open order, or "run" the scheduler until a signal."""
        self.tell(order)
        return self.hear()

    def tell(self, order: str) -> None:
        """Gives an order without waiting for what comes of it."""
        with suppress(OSError):  # it may have ended, and this end may be closed
            self._pipe.send(order)

    def hear(self) -> Said:
        """What came of the last order."""
        with suppress(EOFError, OSError):
            while self._pipe.poll(ANSWER_S):
                said: Said = self._pipe.recv()
                if said.kind != READY:
                    return said
            return Said("silent", f"the bot said nothing for {ANSWER_S:g} s")
        self._process.join(END_S)
        return DIED

    def signal(self, number: int) -> None:
        """Signals the process, unless it has ended."""
        if self._process.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9, and waits for the end."""
        self.signal(signal.SIGKILL)
        self._process.join(END_S)

    def end(self) -> None:
        """Lets it close its ledger and end; kills it where it does not."""
        self.tell("end")
        self._process.join(END_S)
        self.kill()
        self._pipe.close()


def work(config: Path, pipe: Connection, death: AtCommit | None, patch: Patch | None) -> None:
    """The process: builds the app and does as it is told until the other end hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with (config.parent / "bot.log").open("ab") as log:
        os.dup2(log.fileno(), 2)
    set_up_logs(as_json=True)
    try:
        app = build(load_config(config), trades=True)
    except VaultkeelError as error:
        pipe.send(Said(type(error).__name__, str(error)))
        return
    if patch is not None:
        patch(app)
    if death is not None:
        die_at(app.ledger._engine, death)
    pipe.send(Said(READY))
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while (order := pipe.recv()) != "end":
            pipe.send(obey(app, order))
            if order == "run":
                break
    app.close()


def obey(app: App, order: str) -> Said:
    """Does one order."""
    try:
        if order == "run":
            runner = run_scheduler(app.desk, app.config.interval_s, float(app.config.watch_s), lambda _: None)
            return Said("drained", str(runner.fatal or ""))
        if order == "tick":
            return tick(app)
        if order == "cancel":
            (open_order,) = app.ledger.open_intents(app.account)
            app.desk.cancel(app.desk.books[0], open_order)
    except VaultkeelError as error:
        return Said(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - a bug is a result here, to be reported with its fault
        return Said(type(error).__name__, f"a bug: {error!r}")
    return Said("done")


def tick(app: App) -> Said:
    """One tick, in words."""
    done = app.desk.tick(app.desk.books[0])
    decision = done.record.decision
    return Said(
        kind=decision.kind,
        text=decision.text if done.outcome is None else f"{decision.text}; {done.outcome.reason}",
        code=decision.code if decision.kind == "hold" else "REBALANCE",
        again_in_s=done.again_in_s,
        outcome="" if done.outcome is None else done.outcome.state.value,
    )


def die_at(engine: Engine, death: AtCommit) -> None:
    """kill -9 from within, on either side of a commit."""
    ran: list[str] = []
    seen = 0
    commit = engine.dialect.do_commit

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        ran.append(statement)

    def do_commit(connection: Any) -> None:
        nonlocal seen
        hit = any(statement.startswith(death.statement) for statement in ran)
        ran.clear()
        seen += hit
        if hit and seen == death.nth and not death.after:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(connection)
        if hit and seen == death.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(engine, "before_cursor_execute", note)
    engine.dialect.do_commit = do_commit  # type: ignore[assignment,method-assign]
