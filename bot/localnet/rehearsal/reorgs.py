"""Reorgs: a mined order is not executed for good. One that is undone is followed up, or dropped where it is stale."""

from typing import Any, Final

from bot.localnet.node import BASE_FEE_WEI, PRIORITY_FEE_WEI
from bot.localnet.proxy import SEND
from bot.localnet.proxy_rules import only, swallowing
from bot.localnet.rehearsal.nonces import stays_halted
from bot.localnet.rehearsal.sends import attempts, expect_outcomes
from bot.localnet.rehearsal.stage import TRANSFER_GAS, Fault, Stage, expect
from bot.localnet.rehearsal.worker import AtCommit

REORG_DEPTH: Final = 2


def reorg(stage: Stage) -> None:
    """The order's block is replaced by one without it, and the node doesn't put it back into its pool."""
    bot = stage.start()
    said = bot.tick()
    expect(said.outcome == "FILLED", f"the order is executed, the bot said {said}")
    stage.pass_time(2)
    stage.node.rpc("anvil_reorg", REORG_DEPTH, [])
    stage.neutral(bot)
    expect_outcomes(stage, "FILLED")
    expect(len(set(stage.proxy.sends())) == 1, "only the identical bytes were sent again")
    expect(len(stage.proxy.sends()) > 1, "the order was sent again")


def reorg_while_down(stage: Stage) -> None:
    """The same while no bot runs."""
    bot = stage.start()
    bot.tick()
    bot.kill()
    stage.pass_time(2)
    stage.node.rpc("anvil_reorg", REORG_DEPTH, [])
    stage.neutral()
    expect_outcomes(stage, "FILLED")


def reorg_moves_order(stage: Stage) -> None:
    """The order is in another block after the reorg than before."""
    bot = stage.start()
    bot.tick()
    stage.pass_time(2)
    (sent,) = stage.proxy.sends()
    stage.node.rpc("anvil_reorg", REORG_DEPTH, [[sent, 1]])
    stage.neutral(bot)
    expect_outcomes(stage, "FILLED")
    expect(len(stage.proxy.sends()) == 1, "the order need not be sent again")


def reorg_reverts_order(stage: Stage) -> None:
    """After a reorg the order is mined too late for its deadline and trades nothing."""
    bot = stage.start()
    bot.tick()
    stage.pass_time(2)
    (sent,) = stage.proxy.sends()
    stage.node.rpc("anvil_reorg", REORG_DEPTH, [])
    stage.pass_time(10 * 60)
    stage.deliver(sent)
    stage.neutral(bot)
    expect_outcomes(stage, "DEAD", "FILLED")


def reorg_swaps_cancel(stage: Stage) -> None:
    """A cancel is mined and the book hedged anew; then a reorg mines the original in the cancel's place.

    The new order is valid still, but the book is hedged without it.
    """
    cancel_swapped(stage)
    stage.neutral()
    expect_outcomes(stage, "FILLED", "DEAD")


def reorg_swaps_cancel_and_kill(stage: Stage) -> None:
    """The same, and the bot dies as soon as it has recorded that the original won."""
    cancel_swapped(stage)
    said = stage.start(AtCommit("UPDATE intents SET outcome", after=True, nth=3)).tick()
    expect(said.kind == "died", f"the bot dies, it said {said}")
    stage.pass_time(2)
    stage.neutral()
    expect_outcomes(stage, "FILLED", "DEAD")


def cancel_swapped(stage: Stage) -> None:
    """Cancel, new order, reorg; no bot runs any more."""
    stage.proxy.rule = only(SEND, swallowing, times=1)
    bot = stage.start()
    bot.tick()
    bot.ask("cancel")
    bot.tick()
    expect_outcomes(stage, "DEAD", "FILLED")
    stage.pass_time(2)
    stage.end_bots()
    reorg_since_first(stage, [stage.proxy.sends()[0], 0])


def reorg_of_two(stage: Stage) -> None:
    """Two executed orders are undone at once, and neither is in the pool."""
    bot = stage.start()
    bot.tick()
    stage.unhedge()
    said = bot.tick()
    expect(said.outcome == "FILLED", f"a second order is executed, the bot said {said}")
    stage.pass_time(2)
    reorg_since_first(stage)
    stage.neutral(bot)


def reorg_since_first(stage: Stage, *transactions: list[Any]) -> None:
    """Replaces every block since the hedger's first transaction, which `transactions` take the place of."""
    number = min(row["block_number"] for row in attempts(stage) if row["block_number"] is not None)
    depth = stage.node.block_number() - number + 1
    stage.node.rpc("anvil_reorg", depth, list(transactions))


def reorg_with_rival(stage: Stage) -> None:
    """After a reorg another program's transaction has the order's nonce."""
    bot = stage.start()
    nonce = stage.nonce()
    bot.tick()
    stage.pass_time(2)
    stage.node.rpc("anvil_reorg", REORG_DEPTH, [[rival(stage, nonce), 0]])
    stage.foreign |= set(hedger_transactions(stage))
    stays_halted(stage, bot, "not in the ledger")
    expect_outcomes(stage, "UNKNOWN")


def rival(stage: Stage, nonce: int) -> dict[str, Any]:
    """A transfer of nothing with the hedger's key."""
    hedger = stage.world.accounts.hedger
    return {
        "from": hedger,
        "to": hedger,
        "nonce": hex(nonce),
        "gas": hex(TRANSFER_GAS),
        "maxFeePerGas": hex(10 * BASE_FEE_WEI),
        "maxPriorityFeePerGas": hex(PRIORITY_FEE_WEI),
    }


def hedger_transactions(stage: Stage) -> set[str]:
    """The hashes of the hedger's mined transactions that the ledger doesn't have."""
    ours = {row["hash"] for row in attempts(stage)}
    found = set()
    for number in range(stage.first_block, stage.node.block_number() + 1):
        block = stage.node.rpc("eth_getBlockByNumber", hex(number), True)
        found |= {
            tx["hash"] for tx in block["transactions"] if tx["from"] == stage.world.accounts.hedger.lower()
        }
    return found - ours


FAULTS: Final = (
    Fault("reorg", 6, reorg),
    Fault("reorg-while-down", 6, reorg_while_down),
    Fault("reorg-moves-the-order", 6, reorg_moves_order),
    Fault("reorg-reverts-the-order", 6, reorg_reverts_order),
    Fault("reorg-swaps-cancel-for-original", 6, reorg_swaps_cancel),
    Fault("reorg-swaps-cancel-and-kill", 6, reorg_swaps_cancel_and_kill),
    Fault("reorg-of-two-orders", 6, reorg_of_two),
    Fault("reorg-with-rival", 6, reorg_with_rival),
)
