"""Sends with a doubtful answer, fees that don't suffice, transactions that vanish, orders that expire."""

from collections.abc import Callable
from typing import Any, Final

from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bot.localnet.node import BASE_FEE_WEI
from bot.localnet.proxy import SEND, Rule, pass_on
from bot.localnet.proxy_rules import (
    WRONG_HASH,
    answering,
    bad_gateway,
    bad_json,
    closing,
    failing,
    forwarded,
    only,
    replacing_like_geth,
    silent,
    swallowing,
)
from bot.localnet.rehearsal.stage import BUMP_AFTER_S, NODE_TIMEOUT_S, ORDER_TTL_S, Fault, Stage, expect
from bot.localnet.rehearsal.verdict import rows
from bot.localnet.rehearsal.worker import Bot

DEAR_WEI: Final = 10 * BASE_FEE_WEI
"""A base fee that the first offer of an order does not reach."""

AMBIGUOUS: Final[dict[str, Rule]] = {
    "connection-closed": forwarded(closing),
    "timeout": forwarded(silent(NODE_TIMEOUT_S + 0.2)),
    "http-502": forwarded(bad_gateway),
    "json-error": forwarded(failing("internal error", -32603)),
    "nonce-too-low-said": forwarded(failing("nonce too low", -32003)),
    "wrong-hash": forwarded(answering(WRONG_HASH)),
    "null": forwarded(answering(None)),
    "bad-json": forwarded(bad_json),
}
NOT_FORWARDED: Final[dict[str, Rule]] = {
    "http-502-before-the-node": bad_gateway,
    "closed-before-the-node": closing,
    "swallowed-by-the-node": swallowing,
}


def ambiguous(answer: Rule) -> Callable[[Stage], None]:
    """The answer to the send says nothing; the order is mined only after the bot asked again."""

    def run(stage: Stage) -> None:
        stage.mine_at_once(False)
        stage.proxy.rule = only(SEND, answer, times=1)
        bot = stage.start()
        said = bot.tick()
        expect(said.outcome == "PENDING", f"the order stays open, the bot said {said}")
        said = bot.tick()
        expect(said.code == "ORDER_OPEN" or said.kind == "hold", f"no second order, the bot said {said}")
        stage.mine_at_once(True)
        stage.pass_time(2)
        stage.neutral(bot)
        expect(len(set(stage.proxy.sends())) == 1, "only the identical bytes were sent again")

    return run


def dear_gas(stage: Stage) -> None:
    """The base fee rises twice above what was offered: the order is offered more under a strict node's rule."""
    stage.proxy.rule = replacing_like_geth()
    stage.mine_at_once(False)
    bot = stage.start()
    bot.tick()
    for base_fee in (DEAR_WEI, 3 * DEAR_WEI):
        wait(stage, bot, BUMP_AFTER_S, base_fee)
    stage.pass_time(2, 3 * DEAR_WEI)
    stage.neutral(bot)
    expect(len(attempts(stage)) == 3, f"the order was bumped twice, it has {len(attempts(stage))} attempts")


def slow_block(stage: Stage) -> None:
    """Blocks come, and the order in none of them: both fees rise by a tenth at least though the market's don't."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    for _ in range(3):
        wait(stage, bot, BUMP_AFTER_S)
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect(
        len(attempts(stage)) == 4, f"the order was bumped three times, it has {len(attempts(stage))} attempts"
    )


def at_the_cap(stage: Stage) -> None:
    """The cap leaves no room for a raise: the identical bytes are sent again until the fees fall."""
    stage.configure(lambda document: capped(document, "0.18"))
    stage.mine_at_once(False)
    bot = stage.start()
    bot.tick()
    for _ in range(2):
        wait(stage, bot, BUMP_AFTER_S, DEAR_WEI)
    stage.pass_time(2)
    bot.tick()
    stage.pass_time(2)
    stage.mine_at_once(True)
    stage.neutral(bot)
    expect(len(stage.proxy.sends()) > 1, "the order was sent again")
    expect(len(set(stage.proxy.sends())) == 1, "only the identical bytes were sent again")


def capped(document: Any, gwei: str) -> None:
    """Sets the fee cap."""
    document["chains"]["localnet"]["max_fee_gwei"] = gwei


def older_wins(stage: Stage) -> None:
    """The bump vanishes and the first attempt is mined after all."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    wait(stage, bot, BUMP_AFTER_S)
    stage.proxy.rule = pass_on
    stage.deliver(stage.proxy.sends()[0])
    stage.neutral(bot)
    states = [row["state"] for row in attempts(stage)]
    expect(states == ["MINED_OK", "REPLACED"], f"the first attempt won, the states are {states}")


def dropped(stage: Stage) -> None:
    """The node forgets the transaction: the same bytes are sent again."""
    stage.mine_at_once(False)
    bot = stage.start()
    bot.tick()
    (sent,) = stage.proxy.sends()
    stage.node.rpc("anvil_dropTransaction", "0x" + keccak(HexBytes(sent)).hex())
    bot.tick()
    expect(stage.proxy.sends() == [sent, sent], "the identical bytes were sent again")
    stage.mine_at_once(True)
    stage.pass_time(2)
    stage.neutral(bot)


def expired(stage: Stage) -> None:
    """An order that never arrived expires: a no-op takes its nonce, and a new order hedges the book."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    stage.pass_time(ORDER_TTL_S + 1)
    bot.tick()
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect_outcomes(stage, "DEAD", "FILLED")
    expect("cancelled" in intents(stage)[0]["reason"], "the first order says that it was cancelled")


def cancel_bumped(stage: Stage) -> None:
    """The no-op that cancels is slow as well, and is offered more at the same nonce."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    wait(stage, bot, ORDER_TTL_S)
    wait(stage, bot, BUMP_AFTER_S)
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect_outcomes(stage, "DEAD", "FILLED")
    purposes = [row["purpose"] for row in attempts(stage)]
    expect(purposes.count("cancel") > 1, f"the cancel was bumped, the attempts are {purposes}")


def original_after_expiry(stage: Stage) -> None:
    """The cancel vanishes and the expired original is mined: the venue refuses it, and the book is hedged anew."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    wait(stage, bot, ORDER_TTL_S)
    expect(attempts(stage)[-1]["purpose"] == "cancel", "the cancel was sent")
    stage.proxy.rule = pass_on
    stage.deliver(stage.proxy.sends()[0])
    stage.neutral(bot)
    expect_outcomes(stage, "DEAD", "FILLED")
    expect("reverted" in intents(stage)[0]["reason"], "the first order says that it reverted")


def original_after_cancel(stage: Stage) -> None:
    """A person cancels an order, and the original wins all the same: it counts, and nothing is sent on top."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    said = bot.ask("cancel")
    expect(said.kind == "done", f"the cancel is sent, the bot said {said}")
    stage.proxy.rule = pass_on
    stage.deliver(stage.proxy.sends()[0])
    stage.neutral(bot)
    expect_outcomes(stage, "FILLED")


def never_sent(stage: Stage) -> None:
    """The node can't be reached from the send on: the order stays open until it can."""
    stage.proxy.rule = only(SEND, closing)
    bot = stage.start()
    for _ in range(3):
        bot.tick()
        stage.pass_time(2)
    expect(len(intents(stage)) == 1, "no second order is intended")
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect_outcomes(stage, "FILLED")


def wait(stage: Stage, bot: Bot, seconds: int, base_fee_wei: int = BASE_FEE_WEI) -> None:
    """So many seconds pass, and the bot notices: on the chain's time a tick knows the time of the one before."""
    stage.pass_time(seconds + 1, base_fee_wei)
    bot.tick()
    bot.tick()


def intents(stage: Stage) -> list[dict[str, Any]]:
    """The ledger's orders, oldest first."""
    return rows(stage.ledger_file, "SELECT * FROM intents ORDER BY tick_id")


def attempts(stage: Stage) -> list[dict[str, Any]]:
    """The ledger's signed transactions, oldest first."""
    return rows(stage.ledger_file, "SELECT * FROM attempts ORDER BY id")


def expect_outcomes(stage: Stage, *outcomes: str) -> None:
    """Expects these outcomes of the ledger's orders."""
    found = [intent["outcome"] for intent in intents(stage)]
    expect(found == list(outcomes), f"the outcomes {outcomes}, the ledger has {found}")


FAULTS: Final = (
    *(Fault(f"send-{name}", 2, ambiguous(rule)) for name, rule in AMBIGUOUS.items()),
    *(Fault(f"send-{name}", 2, ambiguous(rule)) for name, rule in NOT_FORWARDED.items()),
    Fault("send-unreachable", 2, never_sent),
    Fault("gas-gets-dear", 4, dear_gas),
    Fault("slow-block", 4, slow_block),
    Fault("fee-cap", 4, at_the_cap),
    Fault("older-attempt-wins", 5, older_wins),
    Fault("dropped-transaction", 7, dropped),
    Fault("expired-order", 8, expired),
    Fault("slow-cancel", 8, cancel_bumped),
    Fault("original-mined-after-expiry", 8, original_after_expiry),
    Fault("original-mined-after-cancel", 8, original_after_cancel),
)
