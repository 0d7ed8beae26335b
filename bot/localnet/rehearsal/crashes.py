"""kill -9 on either side of everything that a tick writes or sends: no order is lost, none is sent twice."""

import signal
from collections.abc import Callable
from typing import Final

from bot.localnet.proxy import SEND, Rule, pass_on
from bot.localnet.proxy_rules import after, before, only
from bot.localnet.rehearsal.stage import Fault, Stage, expect
from bot.localnet.rehearsal.worker import AtCommit, Bot

COMMITS: Final = {
    "tick": ("INSERT INTO ticks", 1),
    "baseline": ("INSERT INTO baselines", 1),
    "intent": ("INSERT INTO intents", 1),
    "attempt": ("INSERT INTO attempts", 1),
    "sent-status": ("UPDATE attempts SET state", 1),
    "mined-status": ("UPDATE attempts SET state", 2),
    "outcome": ("UPDATE intents SET outcome", 1),
}
"""What a tick commits, in order: the beginning of a statement, and the how manieth transaction that runs it."""

SIDES: Final = {"before": False, "after": True}
HOOKS: Final = {"before": before, "after": after}
MINED_LATER: Final = ("attempt", "sent-status")
"""Commits at which the order may be in the node's pool, mined only when the bot is there again."""


def at_commit(death: AtCommit, *, later: bool) -> Callable[[Stage], None]:
    """The bot dies at a commit of its first order. `later`: the node mines only after the restart."""

    def run(stage: Stage) -> None:
        stage.mine_at_once(not later)
        died_then_hedged(stage, stage.start(death), later=later)

    return run


def at_send(side: str, *, later: bool) -> Callable[[Stage], None]:
    """The bot dies at the request that sends its first order, before or after the node got it."""

    def run(stage: Stage) -> None:
        stage.mine_at_once(not later)
        bot = stage.start()
        stage.proxy.rule = killing(bot, SEND, side)
        died_then_hedged(stage, bot, later=later)

    return run


def killing(bot: Bot, method: str, side: str, nth: int = 1, weather: Rule = pass_on) -> Rule:
    """kill -9 around the nth request of a method. `weather` is how the node answers for the rest."""
    hooked = HOOKS[side](lambda: bot.signal(signal.SIGKILL), weather)
    return only(method, hooked, first=nth, times=1, otherwise=weather)


def died_then_hedged(stage: Stage, bot: Bot, *, later: bool) -> None:
    """The bot's tick ends in its death; another one follows up what it left, and the book is hedged by one order."""
    said = bot.tick()
    expect(said.kind == "died", f"the bot dies, it said {said}")
    again = stage.start()
    if later:
        again.tick()
        stage.mine_at_once(True)
    stage.pass_time(2)
    stage.neutral(again)
    expect(len(set(stage.proxy.sends())) == 1, f"one order was sent, not {len(set(stage.proxy.sends()))}")


FAULTS: Final = (
    *(
        Fault(f"kill-{side}-{name}-commit", 1, at_commit(AtCommit(statement, flag, nth), later=False))
        for name, (statement, nth) in COMMITS.items()
        for side, flag in SIDES.items()
    ),
    *(
        Fault(
            f"kill-{side}-{name}-commit-mined-later",
            1,
            at_commit(AtCommit(*COMMITS[name][:1], flag), later=True),
        )
        for name in MINED_LATER
        for side, flag in SIDES.items()
    ),
    *(Fault(f"kill-{side}-send", 1, at_send(side, later=False)) for side in HOOKS),
    *(Fault(f"kill-{side}-send-mined-later", 1, at_send(side, later=True)) for side in HOOKS),
)
