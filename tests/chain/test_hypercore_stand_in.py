"""The stand-in of HyperCore on a real local chain: raw precompiles, CoreWriter, delays, and refusals nobody sees."""

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_abi.abi import decode, encode

from bot.chain.contracts import contract
from bot.errors import VaultkeelError
from bot.localnet.hypercore.actions import LimitOrder, Tif
from bot.localnet.hypercore.answers import (
    ACCOUNT_MARGIN_SUMMARY,
    BBO,
    CORE_USER_EXISTS,
    CORE_WRITER,
    L1_BLOCK_NUMBER,
    MARK_PX,
    NOBODY,
    ORACLE_PX,
    PERP_ASSET_INFO,
    POSITION,
    POSITION_2,
    PRECOMPILES,
    SPOT_BALANCE,
    SPOT_PX,
    TOKEN_INFO,
    WITHDRAWABLE,
)
from bot.localnet.hypercore.core import Core, Manner, Script
from bot.localnet.hypercore.deploy import Funds, HyperCore, core_state, deploy_hypercore
from bot.localnet.hypercore.info_server import InfoServer
from bot.localnet.node import Node, Receipt, Reverted, RpcError
from bot.localnet.world import World

SEND_RAW_ACTION = bytes.fromhex("17938e13")
ETH_INDEX = 1
# hyper-evm-lib's layout: asset 1, a sale of 0.25 at 3000.5 or better, immediate or cancel, cloid 7.
SALE = bytes.fromhex(
    "01000001"
    "0000000000000000000000000000000000000000000000000000000000000001"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000000000000000000000000000000000000000045dc5fa880"
    "00000000000000000000000000000000000000000000000000000000017d7840"
    "0000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000000000003"
    "0000000000000000000000000000000000000000000000000000000000000007"
)
POSITION_SHAPE = ("int64", "uint64", "int64", "uint32", "bool")


@dataclass
class Bench:
    """A stand-in at 3001 USD whose orders all fill, with one trader by hand."""

    node: Node
    multicall: str
    hyper: HyperCore
    core: Core
    trader: str
    stranger: str

    def send(self, action: bytes, who: str | None = None, value: int = 0) -> Receipt:
        data = SEND_RAW_ACTION + encode(["bytes"], [action])
        return self.node.send(CORE_WRITER, data, who or self.trader, value=value)

    def order(self, size: str, px: str, cloid: int = 0, who: str | None = None) -> Receipt:
        """An immediate order for a signed size."""
        signed = Decimal(size)
        kinds = ["uint32", "bool", "uint64", "uint64", "bool", "uint8", "uint128"]
        raw = [ETH_INDEX, signed > 0, int(Decimal(px) * 10**8), int(abs(signed) * 10**8), False, 3, cloid]
        return self.send(bytes.fromhex("01000001") + encode(kinds, raw), who)

    def ask(self, address: str, asked: Sequence[tuple[str, Any]], shape: Sequence[str]) -> tuple[Any, ...]:
        """What a precompile answers at the latest block."""
        return decode(list(shape), self.node.call(address, question(*asked)))

    def size(self) -> int:
        """The trader's raw position."""
        asked = (("address", self.trader), ("uint32", ETH_INDEX))
        return int(self.ask(POSITION_2, asked, POSITION_SHAPE)[0])

    def head(self) -> tuple[int, str]:
        block = self.node.rpc("eth_getBlockByNumber", "latest", False)
        return int(block["number"], 16), block["hash"]

    def batch(self, calls: Sequence[tuple[str, bytes]], block_hash: str) -> list[bytes]:
        """Reads through Multicall3 at one block hash."""
        multicall = contract("multicall3", self.multicall)
        call = multicall.call("aggregate3", [(address, False, data) for address, data in calls])
        request = {"to": call.to, "data": "0x" + call.data.hex()}
        raw = self.node.rpc("eth_call", request, {"blockHash": block_hash, "requireCanonical": True})
        (rows,) = decode(["(bool,bytes)[]"], bytes.fromhex(raw[2:]))
        assert all(succeeded for succeeded, _ in rows)
        return [answer for _, answer in rows]


def question(*asked: tuple[str, Any]) -> bytes:
    """Calldata of a precompile: no selector."""
    return encode([kind for kind, _ in asked], [value for _, value in asked])


@pytest.fixture
def bench(fresh: World) -> Bench:
    accounts = fresh.accounts
    funds = {accounts.hedger: Funds(perp_usd=Decimal(100_000), spot_usd=Decimal(5_000))}
    hyper = deploy_hypercore(fresh.node, Decimal(3_001), operator=accounts.keeper, accounts=funds)
    core = Core(fresh.node, hyper, seed=1, manner=Manner(refuse_one_in=0))
    return Bench(fresh.node, fresh.multicall, hyper, core, accounts.hedger, accounts.traders[0])


def test_the_precompiles_answer_raw_calldata_in_their_documented_shapes(bench: Bench) -> None:
    user, eth = ("address", bench.trader), ("uint32", ETH_INDEX)
    summary = ("int64", "uint64", "uint64", "int64")
    usd = 100_000 * 10**6
    assert bench.ask(MARK_PX, [eth], ["uint64"]) == (300_100,)
    assert bench.ask(ORACLE_PX, [("uint32", 0)], ["uint64"]) == (600_000,)
    assert bench.ask(BBO, [("uint64", ETH_INDEX)], ["uint64"] * 2) == (300_080, 300_120)
    asset = bench.ask(PERP_ASSET_INFO, [eth], ["(string,uint32,uint8,uint8,bool)"])
    assert asset == (("ETH", 55, 4, 25, False),)
    shape = "(string,uint64[],uint64,address,address,uint8,uint8,int8)"
    token = bench.ask(TOKEN_INFO, [("uint64", 0)], [shape])
    assert token == (("USDC", (107,), 0, NOBODY, NOBODY, 8, 8, 0),)
    assert bench.ask(SPOT_PX, [("uint64", 107)], ["uint64"]) == (40 * 10**6,)
    assert bench.ask(SPOT_BALANCE, [user, ("uint64", 0)], ["uint64"] * 3) == (5_000 * 10**8, 0, 0)
    assert bench.ask(WITHDRAWABLE, [user], ["uint64"]) == (usd,)
    assert bench.ask(ACCOUNT_MARGIN_SUMMARY, [("uint32", 0), user], summary) == (usd, 0, 0, usd)
    assert bench.ask(CORE_USER_EXISTS, [user], ["bool"]) == (True,)
    assert bench.ask(POSITION, [user, ("uint16", ETH_INDEX)], POSITION_SHAPE) == (0, 0, 0, 20, False)
    assert bench.ask(POSITION_2, [user, eth], POSITION_SHAPE) == (0, 0, 0, 20, False)


def test_who_is_not_on_hypercore_has_nothing_there(bench: Bench) -> None:
    user = ("address", bench.stranger)
    assert bench.ask(CORE_USER_EXISTS, [user], ["bool"]) == (False,)
    assert bench.ask(POSITION_2, [user, ("uint32", ETH_INDEX)], POSITION_SHAPE) == (0, 0, 0, 0, False)
    assert bench.ask(WITHDRAWABLE, [user], ["uint64"]) == (0,)
    assert bench.ask(ACCOUNT_MARGIN_SUMMARY, [("uint32", 0), user], ["int64"] * 4) == (0, 0, 0, 0)
    assert bench.ask(SPOT_BALANCE, [user, ("uint64", 0)], ["uint64"] * 3) == (0, 0, 0)


@pytest.mark.parametrize(
    ("address", "asked"),
    [
        (MARK_PX, question(("uint32", 9))),
        (POSITION_2, question(("address", NOBODY), ("uint32", 9))),
        (POSITION_2, question(("uint32", 9))),
        (MARK_PX, b""),
        (MARK_PX, bytes(33)),
        (WITHDRAWABLE, bytes(96)),
        (ACCOUNT_MARGIN_SUMMARY, question(("uint32", 1), ("address", NOBODY))),
    ],
)
def test_a_bad_input_consumes_all_gas(bench: Bench, address: str, asked: bytes) -> None:
    with pytest.raises(RpcError, match="InvalidFEOpcode"):
        bench.node.call(address, asked)
    request = {"to": address, "data": "0x" + asked.hex(), "from": bench.trader, "gas": hex(500_000)}
    receipt = bench.node.rpc("eth_sendTransactionSync", request)
    assert (receipt["status"], receipt["gasUsed"]) == ("0x0", hex(500_000))


def test_only_the_operator_writes_answers(bench: Bench) -> None:
    state = core_state(bench.node, bench.hyper.state)
    row = (MARK_PX, question(("uint32", ETH_INDEX)), encode(["uint64"], [1]))
    with pytest.raises(Reverted, match="only the operator writes"):
        state.send("write", [row], sender=bench.trader)
    assert bench.ask(MARK_PX, [("uint32", ETH_INDEX)], ["uint64"]) == (300_100,)


def test_every_block_keeps_its_own_answers_through_multicall(bench: Bench) -> None:
    user, eth = ("address", bench.trader), ("uint32", ETH_INDEX)
    calls = [
        (MARK_PX, question(eth)),
        (POSITION_2, question(user, eth)),
        (ACCOUNT_MARGIN_SUMMARY, question(("uint32", 0), user)),
        (L1_BLOCK_NUMBER, b""),
    ]
    bench.core.work()
    _, old = bench.head()
    before = bench.batch(calls, old)
    bench.order("2", "3010")
    bench.core.set_price(Decimal(3_005))
    bench.core.settle()
    _, new = bench.head()
    after = bench.batch(calls, new)
    assert bench.batch(calls, old) == before
    assert [decode(["uint64"], rows[0])[0] for rows in (before, after)] == [300_100, 300_500]
    assert [decode(["int64"], rows[1][:32])[0] for rows in (before, after)] == [0, 20_000]
    assert decode(["int64"], after[2][:32])[0] < 100_000 * 10**6
    assert decode(["uint64"], after[3])[0] > decode(["uint64"], before[3])[0]


def test_the_documented_bytes_of_an_order_are_understood_and_sell(bench: Bench) -> None:
    receipt = bench.send(SALE)
    (log,) = receipt.logs
    assert log.address.lower() == CORE_WRITER
    assert log.topics[1][12:].hex() == bench.trader[2:].lower()
    assert decode(["bytes"], log.data) == (SALE,)
    assert 40_000 < receipt.gas_used < 55_000, "as on the real one"
    bench.core.settle()
    (fate,) = bench.core.engine.state.journal
    expected = LimitOrder(ETH_INDEX, False, Decimal("3000.5"), Decimal("0.25"), False, Tif.IOC, 7)
    assert fate.sent.action == expected
    assert fate.sent.transaction == receipt.transaction_hash
    assert (fate.filled, fate.average_px) == (Decimal("-0.25"), Decimal("3000.8"))
    assert bench.size() == -2_500


@pytest.mark.parametrize("delay", [2, 3, 5])
def test_an_order_acts_so_many_blocks_after_its_own(bench: Bench, delay: int) -> None:
    bench.core.script(Script(delay_blocks=delay))
    sent = bench.order("1", "3010").block_number
    while bench.size() == 0:
        bench.core.work()
        assert bench.head()[0] <= sent + delay
    assert bench.head()[0] == sent + delay
    (fate,) = bench.core.engine.state.journal
    assert (fate.sent.block, fate.block) == (sent, sent + delay)


def test_orders_wait_two_to_five_blocks_and_act_in_their_order(bench: Bench) -> None:
    for cloid in range(1, 13):
        bench.order("0.1", "3010", cloid)
        bench.core.work()
    bench.core.settle()
    journal = bench.core.engine.state.journal
    assert [fate.sent.action.cloid for fate in journal if isinstance(fate.sent.action, LimitOrder)] == [
        *range(1, 13)
    ]
    waits = {fate.block - fate.sent.block for fate in journal}
    assert waits <= {2, 3, 4, 5}
    assert len(waits) > 1
    assert bench.size() == 12_000


def test_where_the_clock_was_moved_on_an_order_acts_at_once(bench: Bench) -> None:
    bench.order("1", "3010")
    bench.node.set_next_timestamp(bench.node.timestamp() + 900)
    bench.node.mine()
    (fate,) = bench.core.work()
    assert fate.filled == 1
    assert bench.size() == 10_000


def test_a_cancel_overtakes_the_order_that_it_was_sent_after(bench: Bench) -> None:
    kinds = ["uint32", "bool", "uint64", "uint64", "bool", "uint8", "uint128"]
    resting = encode(kinds, [ETH_INDEX, True, 2_900 * 10**8, 10**8, False, int(Tif.GTC), 4])
    bench.send(bytes.fromhex("01000001") + resting)
    bench.send(bytes.fromhex("0100000b") + encode(["uint32", "uint128"], [ETH_INDEX, 4]))
    fates = bench.core.settle()
    assert [fate.refusal for fate in fates] == ["no such order rests", ""]
    assert len(bench.core.engine.state.resting) == 1


def test_a_silent_refusal_leaves_no_trace_on_the_evm(bench: Bench) -> None:
    user, eth = ("address", bench.trader), ("uint32", ETH_INDEX)
    asked = [
        (POSITION_2, question(user, eth)),
        (ACCOUNT_MARGIN_SUMMARY, question(("uint32", 0), user)),
        (WITHDRAWABLE, question(user)),
        (SPOT_BALANCE, question(user, ("uint64", 0))),
        (BBO, question(("uint64", ETH_INDEX))),
    ]
    bench.core.work()
    before = bench.batch(asked, bench.head()[1])
    bench.core.script(Script(refused=True))
    receipts = [bench.order("1", "3010", 5), bench.order("1", "2900", 6), bench.order("1", "3010.55", 7)]
    receipts.append(bench.send(b"nonsense"))
    receipts.append(bench.order("1", "3010", 8, who=bench.stranger))
    bench.core.settle()
    assert bench.batch(asked, bench.head()[1]) == before
    assert {len(receipt.logs) for receipt in receipts} == {1}, "each looks like one that was taken"
    refusals = [fate.refusal for fate in bench.core.engine.state.journal]
    assert len(refusals) == 5
    assert all(refusals)


def test_one_order_in_ten_is_dropped_although_it_would_have_filled(bench: Bench) -> None:
    core = Core(bench.node, bench.hyper, seed=3)
    for cloid in range(1, 61):
        bench.order("0.01", "3020", cloid)
    core.settle()
    dropped = [fate for fate in core.engine.state.journal if fate.refusal]
    assert {fate.refusal for fate in dropped} == {"the stand-in dropped it at random"}
    assert 1 <= len(dropped) <= 15
    assert bench.size() == 100 * (60 - len(dropped))


def test_value_voids_the_action_and_the_transaction_succeeds(bench: Bench) -> None:
    bench.send(SALE, value=1)
    (fate,) = bench.core.settle()
    assert "carried 1 wei" in fate.refusal
    assert bench.size() == 0


def test_hypercore_that_stands_still_acts_later(bench: Bench) -> None:
    bench.core.away = True
    bench.order("1", "3010")
    for _ in range(8):
        bench.node.mine()
        assert bench.core.work() == []
    assert bench.size() == 0
    bench.core.away = False
    bench.core.work()
    assert bench.size() == 10_000


def test_the_precompiles_are_all_there_and_say_what_the_engine_knows(bench: Bench) -> None:
    assert all(bench.node.code_size(address) for address in (*PRECOMPILES, CORE_WRITER))
    bench.order("-3", "2990")
    bench.core.settle()
    trader = bench.core.engine.account(bench.trader)
    assert trader is not None
    size, paid, _, _, _ = bench.ask(
        POSITION, [("address", bench.trader), ("uint16", ETH_INDEX)], POSITION_SHAPE
    )
    assert (size, paid) == (-30_000, int(trader.positions[ETH_INDEX].entry_ntl * 10**6))
    summary = bench.ask(
        ACCOUNT_MARGIN_SUMMARY,
        [("uint32", 0), ("address", bench.trader)],
        ["int64", "uint64", "uint64", "int64"],
    )
    raw = int(trader.raw_usd * 10**6)
    notional = 3 * 3_001 * 10**6
    assert summary == (raw - notional, notional // 20, notional, raw)


def test_the_info_api_answers_on_loopback_for_orders_by_cloid(bench: Bench) -> None:
    with InfoServer(bench.core) as server:
        parts = urlsplit(server.url)
        assert parts.hostname == "127.0.0.1"
        client = http.client.HTTPConnection("127.0.0.1", int(parts.port or 0), timeout=10)

        def post(body: Any, path: str = "/info") -> tuple[int, Any]:
            client.request("POST", path, json.dumps(body), {"content-type": "application/json"})
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())

        request = {"type": "orderStatus", "user": bench.trader, "oid": f"0x{7:032x}"}
        bench.send(SALE)
        assert post(request) == (200, {"status": "unknownOid"}), "it has not acted yet"
        bench.core.settle()
        status, found = post(request)
        assert (status, found["order"]["status"]) == (200, "filled")
        _, fills = post({"type": "userFills", "user": bench.trader})
        assert [fill["sz"] for fill in fills] == ["0.25"]
        assert post({"type": "nothing"})[0] == 422
        assert post(request, "/exchange")[0] == 404
        client.request("POST", "/info", "not json")
        assert client.getresponse().status == 422
        client.close()


def test_hypercore_says_so_when_the_chain_went_back_behind_it(bench: Bench) -> None:
    bench.core.work()
    snapshot = bench.node.snapshot()
    bench.core.work()
    bench.node.revert(snapshot)
    bench.node.mine()
    with pytest.raises(VaultkeelError, match="the chain went back"):
        bench.core.work()


def test_a_dozen_new_accounts_are_written_in_one_transaction(bench: Bench) -> None:
    before = bench.head()[0]
    for number in range(1, 13):
        bench.core.engine.register(f"0x{number:040x}", Decimal(number))
    bench.core.work()
    assert bench.head()[0] == before + 1
    assert bench.ask(WITHDRAWABLE, [("address", f"0x{12:040x}")], ["uint64"]) == (12 * 10**6,)
    block = bench.node.rpc("eth_getBlockByNumber", "latest", False)
    assert int(block["gasUsed"], 16) < 8_000_000


def test_more_accounts_than_fit_take_several_blocks_and_are_all_there(bench: Bench) -> None:
    for number in range(1, 41):
        bench.core.engine.register(f"0x{number:040x}", Decimal(number))
    bench.core.work()
    for number in (1, 20, 40):
        assert bench.ask(WITHDRAWABLE, [("address", f"0x{number:040x}")], ["uint64"]) == (number * 10**6,)
