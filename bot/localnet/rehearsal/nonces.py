"""Another user of the key, reorgs, an old ledger: the nonces and the position must agree, or a person is called."""

import shutil
from pathlib import Path
from typing import Final

from bot.core.model import Mode
from bot.localnet.proxy import SEND, pass_on
from bot.localnet.proxy_rules import only, swallowing
from bot.localnet.rehearsal.sends import attempts, expect_outcomes, intents
from bot.localnet.rehearsal.stage import Fault, Stage, expect
from bot.localnet.rehearsal.verdict import rows
from bot.localnet.rehearsal.worker import Bot

REORG_DEPTH: Final = 2


def foreign_takes_nonce(stage: Stage) -> None:
    """While our order is nowhere to be seen, another program mines a transaction at its nonce."""
    stage.proxy.rule = only(SEND, swallowing)
    bot = stage.start()
    bot.tick()
    stage.foreign_transfer()
    stays_halted(stage, bot, "not in the ledger", "vaultkeel resolve")
    expect_outcomes(stage, "PENDING")


def foreign_mined(stage: Stage) -> None:
    """Between two orders of ours another program mines a transaction."""
    bot = stage.start()
    stage.neutral(bot)
    stage.foreign_transfer()
    stage.unhedge()
    stays_halted(stage, bot, "not in the ledger", "another program holds this key")


def foreign_pending(stage: Stage) -> None:
    """Another program's transaction waits in the pool when we want to trade."""
    bot = stage.start()
    stage.neutral(bot)
    stage.unhedge()
    stage.mine_at_once(False)
    stage.foreign_transfer()
    said = bot.tick()
    stage.halted(said, "pending transaction that is not in the ledger")


def foreign_trade(stage: Stage) -> None:
    """Another program trades with our account, which moves nonce and position."""
    bot = stage.start()
    stage.neutral(bot)
    stage.foreign.add(foreign_order(stage))
    stage.unhedge()
    stays_halted(stage, bot, "not in the ledger", "vaultkeel adopt")


def foreign_order(stage: Stage) -> str:
    """An order with the hedger's key that is not the bot's. Returns its hash."""
    order = {
        "baseToken": stage.world.curie.base_token,
        "isBaseToQuote": True,
        "isExactInput": True,
        "amount": 10**18,
        "oppositeAmountBound": 0,
        "deadline": 2**255,
        "sqrtPriceLimitX96": 0,
        "referralCode": bytes(32),
    }
    house = stage.world.curie_contract("clearing_house")
    return house.send("openPosition", order, sender=stage.world.accounts.hedger).transaction_hash


def stays_halted(stage: Stage, bot: Bot, *words: str) -> None:
    """The bot halts with these words, and sends nothing in the ticks after."""
    stage.halted(stage.rest(bot), *words)
    sent = len(stage.proxy.sends())
    for _ in range(2):
        stage.pass_time(2)
        bot.tick()
    expect(len(stage.proxy.sends()) == sent, "nothing is sent after the halt")


def old_ledger(stage: Stage) -> None:
    """The ledger of before the last order is put back: its position and nonces are behind the chain's."""
    stage.neutral()
    stage.end_bots()
    kept = copy_ledger(stage, "kept")
    stage.unhedge()
    stage.neutral()
    stage.end_bots()
    stage.foreign |= {row["hash"] for row in attempts(stage)}
    restore_ledger(stage, kept)
    stage.foreign -= {row["hash"] for row in attempts(stage)}
    stage.unhedge()
    stays_halted(stage, stage.start(), "not in the ledger")


def no_ledger(stage: Stage) -> None:
    """The ledger is gone, and the account has a position."""
    stage.neutral()
    stage.end_bots()
    stage.foreign |= {row["hash"] for row in attempts(stage)}
    for path in ledger_files(stage):
        path.unlink()
    stage.unhedge()
    stays_halted(stage, stage.start(), "the ledger doesn't know", "vaultkeel adopt")


def copied_ledger_with_open_order(stage: Stage) -> None:
    """The ledger of while the order was open is put back after it was executed: it is found, not sent anew."""
    stage.mine_at_once(False)
    bot = stage.start()
    bot.tick()
    bot.kill()
    kept = copy_ledger(stage, "kept")
    stage.mine_at_once(True)
    stage.pass_time(2)
    stage.neutral()
    stage.end_bots()
    restore_ledger(stage, kept)
    stage.proxy.rule = pass_on
    stage.neutral()
    expect_outcomes(stage, "FILLED")


def ledger_files(stage: Stage) -> list[Path]:
    """The ledger with its write-ahead log, without the lock."""
    return [path for path in stage.folder.glob("ledger-*.db*") if path.suffix != ".lock"]


def copy_ledger(stage: Stage, name: str) -> Path:
    """A copy of the ledger's files in a folder of their own. No bot may run."""
    folder = stage.folder / name
    folder.mkdir()
    for path in ledger_files(stage):
        shutil.copy2(path, folder)
    return folder


def restore_ledger(stage: Stage, kept: Path) -> None:
    """Puts the copied files in the ledger's place."""
    for path in ledger_files(stage):
        path.unlink()
    for path in kept.iterdir():
        shutil.copy2(path, stage.folder)


def resumed(stage: Stage) -> None:
    """After a foreign trade a halt is lifted without adopting the position: the bot halts again."""
    foreign_trade(stage)
    stage.end_bots()
    stage.set_mode(Mode.ACTIVE, "resumed too early")
    stays_halted(stage, stage.start(), "not in the ledger")
    expect(len(intents(stage)) == len(rows(stage.ledger_file, "SELECT 1 FROM fills")), "no order was added")


FAULTS: Final = (
    Fault("foreign-takes-our-nonce", 3, foreign_takes_nonce),
    Fault("foreign-transaction-mined", 3, foreign_mined),
    Fault("foreign-transaction-pending", 9, foreign_pending),
    Fault("foreign-trade", 9, foreign_trade),
    Fault("foreign-trade-resumed-too-early", 9, resumed),
    Fault("old-ledger", 9, old_ledger),
    Fault("no-ledger", 9, no_ledger),
    Fault("old-ledger-with-open-order", 9, copied_ledger_with_open_order),
)
