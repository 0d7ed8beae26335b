"""The client of one hand-written node: what is retried, what is in doubt, and what is never told."""

from typing import Any

import pytest
import requests
from builders import ACCOUNT, address, block, signed
from nodes import TOKEN, URL, Node, Script, client_of
from web3.exceptions import BadResponseFormat

from bot.chain.client import Client, ProviderRules, RevertError
from bot.chain.pinned import Stamp
from bot.core.fees import Offer
from bot.errors import DataError, OutcomeUnknown, TransientError
from bot.ports import TxCall

CALL = TxCall(address(1), b"\x01")
TX = "0x" + "ab" * 32
BLOCK = {"number": "0x64", "hash": block(100).hash, "timestamp": "0x10", "baseFeePerGas": "0x5"}


def client(script: Script, tries: int = 2) -> tuple[Client, Node]:
    node = Node(script)
    return client_of([node], ProviderRules(read_tries=tries)), node


def always(answer: Any) -> Script:
    return lambda method, params: answer


def http_error(status: int) -> requests.exceptions.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.exceptions.HTTPError(f"{status} for url {URL}", response=response)


UNANSWERED = {
    "timeout": requests.exceptions.ReadTimeout(URL),
    "refused": requests.exceptions.ConnectionError(URL),
    "cut off": requests.exceptions.ChunkedEncodingError(URL),
    "reset": ConnectionResetError(104, URL),
    "502": http_error(502),
    "429": http_error(429),
    "not json": ValueError(URL),
    "not rpc": BadResponseFormat(URL),
}
ERRORS = {
    "pool": {"error": {"code": -32000, "message": "txpool is full"}},
    "underpriced": {"error": {"code": -32003, "message": "replacement transaction underpriced"}},
    "nonce": {"error": {"code": -32000, "message": f"nonce too low at {URL}"}},
    "a bare sentence": {"error": f"forbidden for {TOKEN}"},
    "a number": {"error": 7},
    "without a message": {"error": {"code": 1}},
    "not an object": [],
    "null": None,
}


class TestSending:
    @pytest.mark.parametrize("answer", [*UNANSWERED.values(), *ERRORS.values()], ids=[*UNANSWERED, *ERRORS])
    def test_whatever_a_send_ends_with_is_a_doubt_and_it_is_sent_once(self, answer: Any) -> None:
        node, provider = client(always(answer), tries=5)
        with pytest.raises(OutcomeUnknown, match="localnet: no node confirmed a sent order") as error:
            node.send(signed().raw)
        assert provider.asked == ["eth_sendRawTransaction"]
        assert TOKEN not in str(error.value)

    @pytest.mark.parametrize("said", ["already known", "transaction already imported", "AlreadyKnown"])
    def test_a_node_that_has_the_very_same_bytes_has_accepted_them(self, said: str) -> None:
        node, provider = client(always({"error": {"code": -32000, "message": said}}))
        node.send(signed().raw)
        assert provider.asked == ["eth_sendRawTransaction"]

    @pytest.mark.parametrize("result", [TX, "0x" + "cd" * 32, None])
    def test_an_answer_without_an_error_is_an_acceptance_whatever_hash_it_names(
        self, result: str | None
    ) -> None:
        node, provider = client(always({"result": result}))
        node.send(signed().raw)
        assert provider.asked == ["eth_sendRawTransaction"]


class TestReading:
    @pytest.mark.parametrize("answer", UNANSWERED.values(), ids=UNANSWERED)
    def test_a_node_that_does_not_answer_is_asked_again_and_then_transient(self, answer: Exception) -> None:
        node, provider = client(always(answer), tries=3)
        with pytest.raises(TransientError, match=r"^localnet provider 1: ") as error:
            node.head()
        assert len(provider.asked) == 3
        assert TOKEN not in str(error.value)
        assert error.value.__suppress_context__, "a traceback would quote the address"

    def test_one_answer_in_time_is_enough(self) -> None:
        answers = iter([UNANSWERED["timeout"], {"result": BLOCK}])
        node, _ = client(lambda method, params: next(answers))
        head = node.head()
        assert (head.number, head.hash, head.timestamp, head.base_fee_wei) == (100, block(100).hash, 16, 5)

    @pytest.mark.parametrize("answer", ERRORS.values(), ids=ERRORS)
    def test_an_error_is_a_data_error_without_an_address_and_not_asked_again(self, answer: Any) -> None:
        node, provider = client(always(answer), tries=5)
        with pytest.raises(DataError) as error:
            node.head()
        assert len(provider.asked) == 1
        assert TOKEN not in str(error.value)

    @pytest.mark.parametrize(
        "answer", [{}, 7, "0x", [], {"number": None}, {**BLOCK, "hash": None, "baseFeePerGas": None}]
    )
    def test_an_answer_of_another_form_is_a_data_error(self, answer: Any) -> None:
        node, provider = client(always({"result": answer}), tries=5)
        for ask in (node.head, lambda: node.estimate_gas(ACCOUNT, CALL), lambda: node.offer(0)):
            with pytest.raises(DataError, match=r"localnet provider 1: eth_.*: the answer has an unexpected"):
                ask()
        assert len(provider.asked) == 3

    def test_a_node_that_is_busy_is_asked_again(self) -> None:
        answers = iter([{"error": {"code": -32005, "message": "limit exceeded"}}, {"result": "0x7"}])
        assert client(lambda method, params: next(answers))[0].balance(ACCOUNT) == 7

    def test_no_block_is_a_data_error(self) -> None:
        with pytest.raises(DataError, match="localnet provider 1: the node has no latest block"):
            client(always({"result": None}))[0].head()

    @pytest.mark.parametrize(
        "error",
        [
            {"code": -32001, "message": "block not canonical"},
            {"code": -32000, "message": "header not found"},
            {"code": -32602, "message": "Unknown block"},
        ],
        ids=["anvil", "geth", "others"],
    )
    def test_a_block_that_a_reorg_removed_is_transient(self, error: dict[str, Any]) -> None:
        node, _ = client(always({"error": error}), tries=1)
        with pytest.raises(TransientError, match="the pinned block is no longer there"):
            node.call_at(block(), address(1), b"", 10**6)

    def test_a_read_names_its_block_by_hash(self) -> None:
        seen: list[Any] = []

        def answer(method: str, params: list[Any]) -> Any:
            seen.append(params)
            return {"result": "0x1234"}

        node, _ = client(answer)
        assert node.call_at(block(), address(1), b"\x01", 10**6) == b"\x12\x34"
        assert seen[0][1] == {"blockHash": block().hash, "requireCanonical": True}

    @pytest.mark.parametrize("ahead", [[1, 0], [1, 1]], ids=["for a moment", "always"])
    def test_an_answer_of_the_next_block_is_asked_for_again_once(self, ahead: list[int]) -> None:
        """A node that is about to add a block may show its state for a moment; one without history always does."""
        left = list(ahead)

        def answer(method: str, params: list[Any]) -> Any:
            return {"result": f"0x{block().number + left.pop(0):02x}"}

        def stamp(raw: bytes) -> Stamp:
            return Stamp(raw[0], block().timestamp + raw[0] - block().number)

        node, _ = client(answer, tries=1)
        if sum(ahead) == 1:
            assert node.call_at(block(), address(1), b"", 10**6, stamp) == bytes([block().number])
        else:
            with pytest.raises(DataError, match="the node answered from block 101: it keeps no history"):
                node.call_at(block(), address(1), b"", 10**6, stamp)
        assert left == []

    @pytest.mark.parametrize("count", [0, 1])
    def test_a_short_answer_to_a_batch_is_transient(self, count: int) -> None:
        node, provider = client(always({"result": "0x1"}), tries=1)
        provider.make_batch_request = lambda calls: [{"result": "0x1"}] * count  # type: ignore[method-assign]
        with pytest.raises(TransientError, match="short answer to a batch of 2"):
            node.nonces(ACCOUNT)


class TestPreflight:
    @pytest.mark.parametrize(
        ("error", "data"),
        [
            ({"code": 3, "message": "execution reverted", "data": "0x08c379a0"}, bytes.fromhex("08c379a0")),
            ({"code": -32000, "message": "execution reverted"}, b""),
            ({"code": -32015, "message": "VM Exception", "data": "0x"}, b""),
            (
                {"code": -32015, "message": "VM error", "data": "Reverted 0x08c379a0"},
                bytes.fromhex("08c379a0"),
            ),
            ({"code": -32015, "message": "VM error", "data": "bad instruction"}, b""),
        ],
    )
    def test_a_revert_is_told_with_its_data(self, error: dict[str, Any], data: bytes) -> None:
        node, _ = client(always({"error": error}))
        for ask in (node.preflight, node.estimate_gas):
            with pytest.raises(RevertError) as reverted:
                ask(ACCOUNT, CALL)
            assert reverted.value.data == data

    def test_an_error_that_is_no_revert_is_a_data_error(self) -> None:
        node, _ = client(always({"error": {"code": -32000, "message": "insufficient funds for gas"}}))
        with pytest.raises(DataError, match="insufficient funds"):
            node.estimate_gas(ACCOUNT, CALL)


RECEIPT = {
    "blockNumber": "0x60",
    "blockHash": "0x60",
    "status": "0x1",
    "gasUsed": "0x10",
    "effectiveGasPrice": "0x3",
    "logs": [{"address": address(1), "topics": ["0x01"], "data": "0x02"}],
}


def chain_of(found: Any, at_its_height: Any) -> Script:
    def answer(method: str, params: list[Any]) -> Any:
        if method == "eth_getTransactionReceipt":
            return {"result": found}
        return {"result": BLOCK if params[0] == "latest" else at_its_height}

    return answer


class TestReceipts:
    def test_a_receipt_has_its_depth_and_every_fee(self) -> None:
        found = {**RECEIPT, "l1Fee": "0x7"}
        answer = client(chain_of(found, {**BLOCK, "hash": "0x60"}))[0].receipt(TX)
        assert answer is not None
        receipt, depth = answer
        assert (receipt.succeeded, receipt.block_number, depth) == (True, 96, 5)
        assert receipt.gas_cost_wei == 16 * 3 + 7
        assert receipt.logs[0].topics == (b"\x01",)

    @pytest.mark.parametrize(
        "at_its_height", [None, {**BLOCK, "hash": "0x61"}], ids=["gone", "another block"]
    )
    def test_a_receipt_whose_block_is_not_canonical_is_none(self, at_its_height: Any) -> None:
        assert client(chain_of(RECEIPT, at_its_height))[0].receipt(TX) is None

    def test_an_unknown_transaction_has_none(self) -> None:
        assert client(chain_of(None, BLOCK))[0].receipt(TX) is None


class TestFees:
    @pytest.mark.parametrize(
        ("rewards", "fees"),
        [([5, 7, 9], (207, 7)), ([1, 1, 1], (202, 2)), ([], (202, 2))],
        ids=["median tip", "smallest tip", "none known"],
    )
    def test_the_offer_is_twice_the_next_base_fee_and_a_usual_tip(
        self, rewards: list[int], fees: tuple[int, int]
    ) -> None:
        history = {"baseFeePerGas": ["0x1", "0x64"], "reward": [[hex(r)] for r in rewards]}
        assert client(always({"result": history}))[0].offer(min_tip_wei=2) == Offer(*fees)
