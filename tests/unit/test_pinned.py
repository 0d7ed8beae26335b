"""Nodes that answer from another block than they were asked for, and rounds on a chain without Multicall3."""

from typing import Any

import pytest
from builders import MULTICALL, NOW, address, block
from eth_abi.abi import decode, encode
from nodes import Chain, client_of, hash_of

from bot.chain.client import Client, ProviderRules
from bot.chain.contracts import contract
from bot.chain.pinned import BATCH, Stamp, misplaced
from bot.chain.reads import drive
from bot.errors import DataError, TransientError
from bot.ports import Balance, Reader, Reverted

TOKEN = contract("erc20", address(31))
GAS = 10**7
HELD = 7


class Node(Chain):
    """A node that answers from the block at `answers_from` and knows Multicall3, or refuses single calls."""

    def __init__(self, answers_from: int = 100, answers_at: int = NOW) -> None:
        super().__init__(100)
        self.here = answers_from, answers_at
        self.wheres: list[Any] = []
        self.refusals: dict[int, dict[str, Any]] = {}
        self.answers["eth_call"] = self.call
        self.answers["eth_getBalance"] = lambda params: self.noted(params[1], {"result": hex(10**18)})
        self.answers["eth_blockNumber"] = lambda _params: {"result": hex(self.here[0])}

    def noted(self, where: Any, answer: dict[str, Any]) -> dict[str, Any]:
        self.wheres.append(where)
        return answer

    def call(self, params: list[Any]) -> dict[str, Any]:
        data = bytes.fromhex(params[0]["data"][2:])
        if params[0]["to"] != MULTICALL.address:
            nth = len(self.wheres)
            return self.noted(params[1], self.refusals.get(nth, {"result": f"0x{HELD:064x}"}))
        (calls,) = decode(["(address,bool,bytes)[]"], data[4:])
        figures = [*self.here, *[HELD] * (len(calls) - 2)]
        rows = [(True, encode(["uint256"], [figure])) for figure in figures]
        return self.noted(params[1], {"result": "0x" + encode(["(bool,bytes)[]"], [rows]).hex()})


def client(*nodes: Node, tries: int = 1, **rules: Any) -> Client:
    return client_of(nodes, ProviderRules(quorum=rules.pop("quorum", 1), read_tries=tries, **rules))


def asking(*rounds: int) -> Reader[list[list[Any]]]:
    heard = []
    for count in rounds:
        heard.append((yield [TOKEN.call("balanceOf", address(i), may_fail=True) for i in range(count)]))
    return heard


def through(node: Client) -> Any:
    return drive(node, MULTICALL, block(), [asking(1)], GAS)[0]


def in_a_batch(node: Client, *rounds: int) -> Any:
    return drive(node, None, block(), [asking(*rounds or (1,))], GAS)[0]


class TestTheBlockOfAnAnswer:
    def test_the_pinned_blocks_answer_counts(self) -> None:
        node = Node()
        assert through(client(node)) == [[HELD]]
        assert node.wheres == [{"blockHash": block().hash, "requireCanonical": True}]

    @pytest.mark.parametrize(("number", "at"), [(101, NOW + 1), (99, NOW - 1), (100, NOW + 1), (101, NOW)])
    def test_another_blocks_is_refused_with_the_nodes_name(self, number: int, at: int) -> None:
        said = rf"localnet provider 1: asked for block 100, the node answered from block {number}"
        with pytest.raises(DataError, match=said):
            through(client(Node(number, at)))

    def test_another_provider_that_keeps_history_takes_its_place(self) -> None:
        assert through(client(Node(105, NOW + 5), Node())) == [[HELD]]

    def test_two_that_must_agree_are_not_two_where_one_answers_from_elsewhere(self) -> None:
        with pytest.raises(
            TransientError, match=r"the quorum of 2 providers can.t be reached: .* answered from"
        ):
            through(client(Node(105, NOW + 5), Node(), quorum=2))

    def test_a_parent_chains_number_is_not_compared_but_the_time_is(self) -> None:
        assert through(client(Node(21_000_000), parent_numbers=True)) == [[HELD]]
        with pytest.raises(DataError, match="answered from block"):
            through(client(Node(21_000_000, NOW + 1), parent_numbers=True))

    def test_where_only_the_number_differs_the_setting_is_named(self) -> None:
        assert "parent_numbers = true" in misplaced(Stamp(7, NOW), block(), 0, parent_numbers=False)


class TestDrift:
    @pytest.mark.parametrize("ahead", [0, 1, 3])
    def test_the_latest_state_counts_so_many_blocks_after_the_pinned_one(self, ahead: int) -> None:
        node = Node(100 + ahead, NOW + ahead)
        assert through(client(node, drift_blocks=3)) == [[HELD]]
        assert in_a_batch(client(node, drift_blocks=3)) == [[HELD]]
        assert set(node.wheres) == {"latest"}

    @pytest.mark.parametrize("number", [99, 104])
    def test_before_or_farther_on_it_does_not(self, number: int) -> None:
        for read in (through, in_a_batch):
            with pytest.raises(
                DataError, match=f"answered from block {number}, and drift_blocks allows 3 more"
            ):
                read(client(Node(number, NOW + 4), drift_blocks=3))

    def test_answers_from_two_heights_are_asked_again_and_never_compared(self) -> None:
        late, early = Node(101), Node(100)
        with pytest.raises(TransientError, match=r"from block 101 and .* from 100, which can't be compared"):
            through(client(late, early, quorum=2, drift_blocks=3))
        early.here = late.here
        assert through(client(late, early, quorum=2, drift_blocks=3)) == [[HELD]]

    def test_a_block_in_the_middle_of_a_batch_is_asked_again(self) -> None:
        node = Node()
        heights = iter([100, 101, 101, 101])
        node.answers["eth_blockNumber"] = lambda _params: {"result": hex(next(heights))}
        assert in_a_batch(client(node, drift_blocks=3, tries=2)) == [[HELD]]


class TestWithoutMulticall:
    def test_a_round_is_one_batch_at_the_blocks_hash(self) -> None:
        node = Node()
        assert in_a_batch(client(node), 2, 1) == [[HELD, HELD], [HELD]]
        assert node.wheres == [{"blockHash": block().hash, "requireCanonical": True}] * 3

    @pytest.mark.parametrize(
        "error",
        [
            {"code": 3, "message": "execution reverted", "data": "0x"},
            {"code": -32000, "message": "out of gas"},
            {"code": -32000, "message": "invalid opcode: INVALID"},
        ],
    )
    def test_a_call_that_may_fail_fails_alone(self, error: dict[str, Any]) -> None:
        node = Node()
        node.refusals[1] = {"error": error}
        ((first, second, third),) = in_a_batch(client(node), 3)
        assert (first, second, third) == (HELD, Reverted("reverted without a reason"), HELD)

    @pytest.mark.parametrize(
        ("error", "kind"),
        [
            ({"code": -32005, "message": "limit exceeded"}, TransientError),
            ({"code": -32001, "message": "gone"}, TransientError),
            ({"code": -32602, "message": "invalid params"}, DataError),
        ],
    )
    def test_what_is_no_revert_stops_the_round(self, error: dict[str, Any], kind: type[Exception]) -> None:
        node = Node()
        node.refusals[1] = {"error": error}
        with pytest.raises(kind):
            in_a_batch(client(node), 3)

    def test_a_revert_that_must_not_be_names_contract_and_function(self) -> None:
        def must() -> Reader[list[Any]]:
            return (yield [TOKEN.call("decimals")])

        node = Node()
        node.refusals[0] = {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}
        with pytest.raises(DataError, match=r"erc20\.decimals at .* reverted"):
            drive(client(node), None, block(), [must()], GAS)

    def test_balances_are_read_either_way(self) -> None:
        def balance() -> Reader[int]:
            return (yield [Balance(address(5))])[0]

        assert drive(client(Node()), None, block(), [balance()], GAS) == [10**18]
        assert drive(client(Node()), MULTICALL, block(), [balance()], GAS) == [HELD]

    def test_two_providers_are_compared_call_by_call(self) -> None:
        other = Node()
        other.refusals[1] = {"result": f"0x{8:064x}"}
        said = rf"provider 1 and localnet provider 2 disagree on a read at {TOKEN.address} .* word 0"
        with pytest.raises(DataError, match=said):
            in_a_batch(client(Node(), other, quorum=2), 3)

    def test_more_calls_than_a_batch_may_have_take_several(self) -> None:
        node = Node()
        ((*answers,),) = in_a_batch(client(node), BATCH + 1)
        assert len(answers) == BATCH + 1


class TestHeads:
    def test_a_block_below_the_head_sets_nobody_aside(self) -> None:
        two = client_of([Chain(100), Chain(100)], ProviderRules(quorum=2))
        assert two.confirmed(3).number == 98
        assert two.head().number == 100
        assert [one.set_aside_why for one in two.health()] == [None, None]

    def test_two_that_have_other_blocks_there_disagree(self) -> None:
        forked = Chain(100)
        forked.answers["eth_getBlockByNumber"] = lambda params: {
            "result": forked.block(100)
            if params[0] == "latest"
            else {"number": params[0], "hash": hash_of(98, 1), "timestamp": "0x1"}
        }
        two = client_of([Chain(100), forked], ProviderRules(quorum=2))
        with pytest.raises(DataError, match="disagree on the hash of block 98"):
            two.confirmed(3)


def test_events_are_asked_for_in_as_many_blocks_as_the_chain_allows() -> None:
    node = Chain(100)
    spans: list[tuple[int, int]] = []

    def logs(params: list[Any]) -> dict[str, Any]:
        spans.append((int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)))
        return {"result": []}

    node.answers["eth_getLogs"] = logs
    client_of([node], ProviderRules(max_log_blocks=1_000)).logs(address(1), [], 1, 2_500)
    assert spans == [(1, 1_000), (1_001, 2_000), (2_001, 2_500)]


@pytest.mark.parametrize(
    "said", ["nonce too high", "nonce too far in the future", "gapped-nonce tx", "nonce gap: 9"]
)
def test_a_nonce_too_far_ahead_is_a_transient_error_that_says_so(said: str) -> None:
    node = Chain(100)
    node.answers["eth_sendRawTransaction"] = lambda _params: {"error": {"code": -32000, "message": said}}
    with pytest.raises(TransientError, match="too far ahead for the node"):
        client_of([node], ProviderRules()).send(b"\x02")
