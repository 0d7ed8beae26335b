"""Signals, the kill switch, two bots on one ledger, and a venue that liquidates."""

import signal
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from bot.core.model import Mode
from bot.localnet.proxy import SEND, pass_on
from bot.localnet.proxy_rules import before, only, swallowing
from bot.localnet.rehearsal.sends import attempts, expect_outcomes, intents, wait
from bot.localnet.rehearsal.stage import BUMP_AFTER_S, ORDER_TTL_S, Fault, Stage, expect
from bot.localnet.rehearsal.verdict import read_chain, rows
from bot.localnet.rehearsal.worker import Bot

SLOW_SEND_S: Final = 0.3
STOP_S: Final = 15.0
LEFT_IN_VAULT: Final = Decimal("0.18")
"""Of the hedge's notional. After the fall it is below the venue's maintenance margin of 6.25 %."""
TOPPED_UP_USD: Final = 50_000
FALL: Final = Decimal("0.85")
AVERAGED_S: Final = 3_600
"""Longer than the venue averages its index over."""


def sigterm(*, later: bool) -> Callable[[Stage], None]:
    """SIGTERM while the order is on its way: the tick in flight ends in good order, and no other begins."""

    def run(stage: Stage) -> None:
        stage.mine_at_once(not later)
        bot = stage.start()

        def terminate() -> None:
            bot.signal(signal.SIGTERM)
            time.sleep(SLOW_SEND_S)

        stage.proxy.rule = only(SEND, before(terminate), times=1)
        said = bot.ask("run")
        expect(said.kind == "drained", f"the bot drains, it said {said}")
        bot.end()
        expect(bot.code == 0, f"the bot ends with code 0, it ended with {bot.code}")
        expect_outcomes(stage, "PENDING" if later else "FILLED")
        (attempt,) = attempts(stage)
        expect(attempt["state"] in ("SENT", "MINED_OK"), f"the send is noted, it is {attempt['state']}")
        stage.mine_at_once(True)
        stage.pass_time(2)
        stage.neutral()
        expect(len(set(stage.proxy.sends())) == 1, "one order was sent")

    return run


def halt_in_flight(stage: Stage) -> None:
    """HALTED while an order is open: it is followed up, not sent again, not bumped, and no new one is intended."""
    stage.mine_at_once(False)
    bot = stage.start()
    bot.tick()
    stage.set_mode(Mode.HALTED, "the rehearsal's kill switch")
    wait_blocked(bot)
    sent = len(stage.proxy.sends())
    expect(sent == 1, "nothing is sent after the halt")
    stage.mine_at_once(True)
    stage.pass_time(2)
    stage.rest(bot)
    expect_outcomes(stage, "FILLED")
    stage.unhedge()
    said = stage.rest(bot)
    expect(said.code == "HALTED", f"a hold because of the halt, the bot said {said}")
    expect(len(stage.proxy.sends()) == sent, "nothing is sent after the halt")
    stage.set_mode(Mode.ACTIVE, "the rehearsal goes on")
    stage.neutral(bot)


def wait_blocked(bot: Bot) -> None:
    """Ticks while the order waits in the node's pool."""
    for _ in range(2):
        said = bot.tick()
        expect(said.kind == "hold", f"the bot holds, it said {said}")


def halt_never_bumps(stage: Stage) -> None:
    """A halted bot neither sends an order again nor raises its fees, and cancels it once it has expired."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    stage.set_mode(Mode.HALTED, "the rehearsal's kill switch")
    wait(stage, bot, BUMP_AFTER_S)
    expect(len(stage.proxy.sends()) == 1, "nothing is sent after the halt")
    stage.proxy.rule = pass_on
    wait(stage, bot, ORDER_TTL_S)
    stage.rest(bot)
    expect_outcomes(stage, "DEAD")
    purposes = [row["purpose"] for row in attempts(stage)]
    expect(purposes == ["order", "cancel"], f"the order was cancelled, the attempts are {purposes}")
    stage.set_mode(Mode.ACTIVE, "the rehearsal goes on")
    stage.neutral(bot)


def second_bot(stage: Stage) -> None:
    """A second bot on the same ledger is refused, and the first goes on."""
    first = stage.start()
    first.tick()
    said = stage.start().tick()
    expect(said.kind == "ConfigError", f"the second bot is refused, it said {said}")
    expect("another run" in said.text, f"the refusal says why, it is {said.text!r}")
    stage.neutral(first)


def freed_by_kill(stage: Stage) -> None:
    """A bot that was killed leaves no lock behind."""
    first = stage.start()
    first.tick()
    first.kill()
    stage.pass_time(2)
    stage.neutral()


def stopped_at(method: str, *, reaches_node: bool) -> Callable[[Stage], None]:
    """A bot is stopped at a request, another takes its place, and it wakes up: it can write and send nothing more.

    The lock is taken from the first by deleting its file, which is what an impatient person may do.
    """

    def run(stage: Stage) -> None:
        first, halfway, woken = stage.start(), threading.Event(), threading.Event()

        def stop() -> None:
            first.signal(signal.SIGSTOP)
            halfway.set()
            if not reaches_node:
                woken.wait(STOP_S)

        stage.proxy.rule = only(method, before(stop), times=1)
        first.tell("tick")
        expect(halfway.wait(STOP_S), f"the bot comes to {method}")
        lock = stage.ledger_file.with_name(stage.ledger_file.name + ".lock")
        lock.unlink()
        stage.pass_time(2)
        stage.neutral(stage.start())
        known = len(attempts(stage))
        woken.set()
        first.signal(signal.SIGCONT)
        said = first.hear()
        if said.kind == "TransientError":  # it woke up between its send and its next write
            said = first.tick()
        expect(said.kind == "ConfigError", f"the first bot ends with a ConfigError, it said {said}")
        expect("another took its place" in said.text, f"the error says why, it is {said.text!r}")
        expect(len(attempts(stage)) == known, "the first bot signed nothing more")
        first.kill()

    return run


def liquidation(stage: Stage) -> None:
    """The venue liquidates the hedge: the change is adopted with its reason, and the book hedged again."""
    world = stage.world
    hedger, keeper = world.accounts.hedger, world.accounts.keeper
    usdc, vault = world.curie_contract("usdc"), world.curie_contract("vault")
    left_usd = LEFT_IN_VAULT * Decimal(abs(stage.pool_delta())) * stage.market.spot()
    spare = vault.read("getBalance", hedger) - int(left_usd) * 10**6
    drawn = vault.send("withdraw", usdc.address, spare, sender=hedger)
    stage.foreign.add(drawn.transaction_hash)
    bot = stage.start()
    stage.neutral(bot)
    stage.market.set_price(stage.market.spot() * FALL)
    stage.market.arbitrage()
    stage.pass_time(AVERAGED_S)
    stage.market.refresh()
    position = read_chain(stage).position
    house = world.curie_contract("clearing_house")
    # On Curie the liquidator takes the position over, so it must be somebody with money in the vault.
    liquidator = world.accounts.arbitrageur
    done = house.send("liquidate", hedger, world.curie.base_token, int(position * 10**18), sender=liquidator)
    stage.foreign.add(done.transaction_hash)
    left = read_chain(stage).position
    expect(left < position, f"the venue liquidates, the position is {left:+f} after {position:+f}")
    usdc.send("mint", keeper, TOPPED_UP_USD * 10**6, sender=world.accounts.owner)
    usdc.send("approve", vault.address, TOPPED_UP_USD * 10**6, sender=keeper)
    vault.send("depositFor", hedger, usdc.address, TOPPED_UP_USD * 10**6, sender=keeper)
    stage.neutral(bot)
    whys = [row["why"] for row in rows(stage.ledger_file, "SELECT why FROM baselines ORDER BY id")]
    expect(any("liquidation" in why for why in whys), f"the liquidation is adopted, the reasons are {whys}")
    expect(stage.mode() is Mode.ACTIVE, "the account is not halted")
    expect(len(intents(stage)) > 1, "the book is hedged again")


FAULTS: Final = (
    Fault("sigterm-in-flight", 11, sigterm(later=False)),
    Fault("sigterm-in-flight-mined-later", 11, sigterm(later=True)),
    Fault("halt-in-flight", 11, halt_in_flight),
    Fault("halt-never-bumps", 11, halt_never_bumps),
    Fault("two-bots", 1, second_bot),
    Fault("lock-freed-by-kill", 1, freed_by_kill),
    Fault("stopped-before-signing", 1, stopped_at("eth_estimateGas", reaches_node=True)),
    Fault("stopped-at-send", 1, stopped_at(SEND, reaches_node=True)),
    Fault("stopped-before-send", 1, stopped_at(SEND, reaches_node=False)),
    Fault("liquidation", 9, liquidation),
)
