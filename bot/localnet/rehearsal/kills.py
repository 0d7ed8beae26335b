"""kill -9 at many places: at a commit or a request that the seed picks, or at any moment."""

import random
import signal
import threading
from collections.abc import Callable
from typing import Final

from bot.localnet.proxy import SEND, Rule, pass_on
from bot.localnet.proxy_rules import bad_gateway, closing, forwarded, only, swallowing
from bot.localnet.rehearsal.crashes import HOOKS, killing
from bot.localnet.rehearsal.stage import BUMP_AFTER_S, ORDER_TTL_S, Fault, Stage
from bot.localnet.rehearsal.worker import AtCommit, Bot

ANY: Final = ""
MOST_IN_A_ROW: Final = 3
LAST_COMMIT: Final = 9
LAST_REQUEST: Final = 36
"""A bot's first tick has fewer of each."""
LONGEST_S: Final = 0.4
"""A bot is built and has done its first tick within this time."""
PAUSES_S: Final = (2, 2, BUMP_AFTER_S + 1, ORDER_TTL_S + 5)
DEEPEST: Final = 3
WEATHERS: Final[tuple[Callable[[], Rule], ...]] = (
    lambda: pass_on,
    lambda: pass_on,
    lambda: only(SEND, swallowing),
    lambda: only(SEND, bad_gateway),
    lambda: only(SEND, forwarded(closing)),
)
MOST_TICKS: Final = 60
AT_RANDOM: Final = 4
"""One kill of so many comes at any moment."""


def kill_faults(count: int, seed: int) -> tuple[Fault, ...]:
    """So many kills, up to three of them in a row before the book is hedged."""
    rng = random.Random(seed)  # noqa: S311 - a rehearsal, to be repeated
    faults: list[Fault] = []
    done = 0
    while done < count:
        in_a_row = min(rng.randint(1, MOST_IN_A_ROW), count - done)
        kinds = [
            KINDS[-1] if (done + i) % AT_RANDOM == 0 else rng.choice(KINDS[:-1]) for i in range(in_a_row)
        ]
        name = f"kills-{done + 1}-to-{done + in_a_row}-{'-'.join(kind.__name__ for kind in kinds)}"
        faults.append(Fault(name, 1, killed(rng.randrange(2**32), tuple(kinds)), in_a_row))
        done += in_a_row
    return tuple(faults)


def killed(seed: int, kinds: tuple[Callable[[Stage, random.Random], Bot], ...]) -> Callable[[Stage], None]:
    """Kills one bot after the other, with a book to hedge, and then lets one live.

    Now and then sends vanish or fail, time passes until orders are bumped or expire, or blocks are replaced.
    """

    def run(stage: Stage) -> None:
        rng = random.Random(seed)  # noqa: S311 - a rehearsal, to be repeated
        if rng.random() < 0.5:  # with orders in the ledger already
            stage.neutral()
            stage.end_bots()
            stage.unhedge()
        stage.mine_at_once(rng.random() < 0.5)
        for kind in kinds:
            stage.proxy.rule = rng.choice(WEATHERS)()
            tick_until_dead(kind(stage, rng))
            if rng.random() < 0.7:
                stage.pass_time(rng.choice(PAUSES_S))
            if rng.random() < 0.15:
                reorganise(stage, rng.randint(1, DEEPEST))
        stage.land()
        stage.neutral()

    return run


def reorganise(stage: Stage, depth: int) -> None:
    """Replaces so many of the fault's own blocks by empty ones."""
    ours = stage.node.block_number() - stage.first_block
    if ours > 0:
        stage.node.rpc("anvil_reorg", min(depth, ours), [])


def commit(stage: Stage, rng: random.Random) -> Bot:
    """A bot that dies at one of its commits."""
    return stage.start(AtCommit(ANY, rng.random() < 0.5, rng.randint(1, LAST_COMMIT)))


def request(stage: Stage, rng: random.Random) -> Bot:
    """A bot that dies at one of its requests."""
    bot = stage.start()
    side, nth = rng.choice(tuple(HOOKS)), rng.randint(1, LAST_REQUEST)
    stage.proxy.rule = killing(bot, ANY, side, nth, stage.proxy.rule)
    return bot


def moment(stage: Stage, rng: random.Random) -> Bot:
    """A bot that dies at any moment, its start included."""
    bot = stage.start()
    timer = threading.Timer(rng.uniform(0, LONGEST_S), bot.signal, [signal.SIGKILL])
    timer.daemon = True
    timer.start()
    return bot


KINDS: Final = (commit, request, moment)


def tick_until_dead(bot: Bot) -> None:
    """Ticks as fast as it goes."""
    for _ in range(MOST_TICKS):
        if bot.tick().kind == "died":
            break
    bot.kill()
