"""Nodes that lag or lie, and sources that can't be read: nothing is sent on stale, false or missing data."""

import time
from collections.abc import Callable
from typing import Any, Final

from bot.core.model import Mode
from bot.localnet.opening import open_markets
from bot.localnet.proxy import FaultProxy, Rule, pass_on
from bot.localnet.proxy_rules import (
    WRONG_HASH,
    altering,
    altering_call,
    alternating,
    bad_gateway,
    bad_json,
    before,
    closing,
    freezing_head,
    only,
    silent,
    without_history,
)
from bot.localnet.rehearsal.stage import (
    NODE_TIMEOUT_S,
    Fault,
    Stage,
    expect,
    mine_fresh,
    open_options,
    open_stage,
)
from bot.localnet.rehearsal.verdict import judge
from bot.localnet.world import start_world

LAGGING_TICKS: Final = 10
FACTOR: Final = 10**6
FORGED_RAW: Final = 10 * 10**18
REVERTS: Final = "0x60006000fd"
"""Code that reverts whatever it is asked."""
OLDEST_S: Final = 2


def lagging_node(stage: Stage) -> None:
    """Two nodes behind one address, of which one stays at the block before our order."""
    with start_world(short_only=True) as other:
        open_markets(other)
        open_options(other, stage.seed)
        mine_fresh(other.node, stage.folder.name)
        same = other.node.rpc("eth_getBlockByNumber", "latest", False) == stage.node.rpc(
            "eth_getBlockByNumber", "latest", False
        )
        expect(same, "both nodes begin with the same chain")
        other.node.rpc("evm_setAutomine", False)
        stage.proxy.rule = alternating(other.url)
        bot = stage.start()
        for _ in range(LAGGING_TICKS):
            bot.tick()
            stage.pass_time(2)
        stage.proxy.rule = pass_on
        stage.neutral(bot)
    expect(len(set(stage.proxy.sends())) == 1, "one order was sent")


def went_back(stage: Stage) -> None:
    """After our order the node shows only the blocks before it: it lags, and no order is sent on what it says."""
    head = stage.node.rpc("eth_getBlockByNumber", "latest", False)
    bot = stage.start()
    bot.tick()
    stage.proxy.rule = freezing_head(head)
    for _ in range(3):
        stage.pass_time(2)
        said = bot.tick()
        expect(said.kind == "TransientError", f"the tick is skipped, the bot said {said}")
        expect("lags" in said.text, f"the bot says that the node lags, it said {said.text!r}")
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect(len(set(stage.proxy.sends())) == 1, "one order was sent")


def no_receipts(stage: Stage) -> None:
    """The node mines our order and does not serve its receipt for some ticks: it is neither lost nor sent anew."""
    stage.proxy.rule = altering("eth_getTransactionReceipt", lambda _params, _result: None)
    bot = stage.start()
    for _ in range(3):
        bot.tick()
        stage.pass_time(2)
    stage.proxy.rule = pass_on
    stage.neutral(bot)
    expect(len(set(stage.proxy.sends())) == 1, "one order was sent")


def frozen_head(stage: Stage) -> None:
    """On the computer's own time, a head that stands still is too old to trade on. This one has a chain of its own."""
    with open_stage(stage.folder / "real-time", stage.seed, real_time=True) as real:
        real.begin("frozen")
        real.configure(on_the_clock)
        real.proxy.rule = freezing_head(real.node.rpc("eth_getBlockByNumber", "latest", False))
        time.sleep(OLDEST_S + 1.5)
        bot = real.start()
        real.node.mine()
        held(real, bot.tick().code, "STALE_BLOCK")
        real.proxy.rule = pass_on
        real.node.mine()
        real.neutral(bot)
        found = judge(real)
        expect(found.passed, f"nothing is doubled or lost, the verdict is {found}")


def on_the_clock(document: Any) -> None:
    """Ages are held against the computer's clock."""
    document["clock"] = "system"
    document["books"][0]["limits"]["max_block_age_s"] = OLDEST_S


def false_price(name: str, field: str, function: str, edit: Callable[[Any], Any]) -> Callable[[Stage], None]:
    """One of the two prices is wrong by a power of ten: the other contradicts it."""

    def run(stage: Stage) -> None:
        stage.proxy.rule = altering_call(stage.multicall(), stage.contract(name, field), function, edit)
        bot = stage.start()
        said = bot.tick()
        held(stage, said.code or said.kind, "PRICE_GAP", "DataError")
        stage.proxy.rule = pass_on
        stage.pass_time(2)
        stage.neutral(bot)

    return run


def second_provider(rule: Rule) -> Callable[[Stage], None]:
    """Two providers must agree, and the second is down or lies: nothing is sent on the word of one alone."""

    def run(stage: Stage) -> None:
        with FaultProxy(stage.world.url) as second:

            def both(document: Any) -> None:
                urls = [stage.proxy.url, second.url]
                document["chains"]["localnet"].update({"rpc_urls": urls, "quorum": 2})

            stage.configure(both)
            second.rule = rule
            bot = stage.start()
            for _ in range(2):
                said = bot.tick()
                expect(
                    said.kind in ("TransientError", "DataError"), f"the tick is skipped, the bot said {said}"
                )
                stage.pass_time(2)
            expect(not (stage.proxy.sends() or second.sends()), "nothing was sent")
            second.rule = pass_on
            stage.neutral(bot)

    return run


def another_hash(_params: list[Any], block: Any) -> Any:
    """The head with a hash that is not its own."""
    return block | {"hash": WRONG_HASH}


def times_in_spot(view: Any) -> Any:
    """The vault's view with a spot price that is too high."""
    exchange = view["exchangeParams"]
    return view | {"exchangeParams": exchange | {"spotPrice": exchange["spotPrice"] * FACTOR}}


def forged_position(stage: Stage) -> None:
    """The venue is made to show another position than our fills add up to."""
    bot = stage.start()
    stage.neutral(bot)
    sent = len(stage.proxy.sends())
    balances = stage.contract("curie_account_balance", "account_balance")
    stage.proxy.rule = altering_call(
        stage.multicall(), balances, "getTakerPositionSize", lambda size: size + FORGED_RAW
    )
    said = bot.tick()
    stage.halted(said, "the ledger expects")
    expect(len(stage.proxy.sends()) == sent, "nothing was sent")
    stage.proxy.rule = pass_on
    stage.set_mode(Mode.ACTIVE, "the node was replaced")
    stage.neutral(bot)


def source_reverts(stage: Stage) -> None:
    """The vault can't be read: unknown is not zero."""
    viewer = stage.world.lyra.viewer
    code = stage.node.rpc("eth_getCode", viewer, "latest")
    stage.node.rpc("anvil_setCode", viewer, REVERTS)
    bot = stage.start()
    said = bot.tick()
    held(stage, said.kind, "DataError")
    expect("getMarket" in said.text, f"the error names what can't be read, it is {said.text!r}")
    stage.node.rpc("anvil_setCode", viewer, code)
    stage.pass_time(2)
    stage.neutral(bot)


def venue_reverts(stage: Stage) -> None:
    """The venue's position can't be read after we have one."""
    bot = stage.start()
    stage.neutral(bot)
    sent = len(stage.proxy.sends())
    address = stage.world.curie.account_balance
    code = stage.node.rpc("eth_getCode", address, "latest")
    stage.node.rpc("anvil_setCode", address, REVERTS)
    said = bot.tick()
    expect(said.kind == "DataError", f"the tick ends with a DataError, the bot said {said}")
    expect(len(stage.proxy.sends()) == sent, "nothing was sent")
    stage.node.rpc("anvil_setCode", address, code)
    stage.neutral(bot)


def unreadable(rule: Rule, method: str | None = None) -> Callable[[Stage], None]:
    """The node's answers to what the bot reads are no use: ticks are skipped, then the book is hedged."""

    def run(stage: Stage) -> None:
        stage.proxy.rule = rule if method is None else only(method, rule)
        bot = stage.start()
        for _ in range(2):
            said = bot.tick()
            held(stage, said.kind, "TransientError", "DataError")
        stage.proxy.rule = pass_on
        stage.pass_time(2)
        stage.neutral(bot)

    return run


def no_history(stage: Stage) -> None:
    """The node answers every read from the block after the pinned one: the ticks are skipped, and it is named."""
    stage.proxy.rule = only("eth_call", before(lambda: stage.pass_time(1), without_history))
    bot = stage.start()
    for _ in range(2):
        said = bot.tick()
        held(stage, said.kind, "DataError")
        expect("answered from block" in said.text, f"the error says from which block, it is {said.text!r}")
    stage.proxy.rule = pass_on
    stage.neutral(bot)


def held(stage: Stage, said: str, *codes: str) -> None:
    """Expects one of these codes or errors, and that nothing was sent."""
    expect(said in codes, f"{' or '.join(codes)}, the bot said {said}")
    expect(not stage.proxy.sends(), "nothing was sent")


FAULTS: Final = (
    Fault("lagging-node", 10, lagging_node),
    Fault("node-goes-back", 10, went_back),
    Fault("receipts-missing", 10, no_receipts),
    Fault("frozen-head", 12, frozen_head),
    Fault(
        "index-times-a-million",
        12,
        false_price("curie_base_token", "base_token", "getIndexPrice", lambda p: p * FACTOR),
    ),
    Fault("spot-times-a-million", 12, false_price("lyra_viewer", "viewer", "getMarket", times_in_spot)),
    Fault("forged-position", 12, forged_position),
    Fault("node-without-history", 12, no_history),
    Fault("second-provider-down", 12, second_provider(closing)),
    Fault("second-provider-on-a-fork", 12, second_provider(altering("eth_getBlockByNumber", another_hash))),
    Fault("source-reverts", 13, source_reverts),
    Fault("venue-reverts", 13, venue_reverts),
    Fault("node-away", 12, unreadable(closing)),
    Fault("node-answers-502", 12, unreadable(bad_gateway)),
    Fault("node-answers-bad-json", 12, unreadable(bad_json)),
    Fault("node-hangs-on-calls", 12, unreadable(silent(NODE_TIMEOUT_S + 0.2), "eth_call")),
)
