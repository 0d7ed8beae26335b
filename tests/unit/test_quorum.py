"""Several hand-written nodes of one chain: who must agree, and who answers where another fails."""

import pytest
from builders import ACCOUNT, address, block
from nodes import DOWN, TOKEN, Chain, Clock, always, hash_of, quorum
from structlog.testing import capture_logs

from bot.chain.client import Client
from bot.errors import DataError, TransientError


def call(client: Client) -> bytes:
    return client.call_at(block(), address(1), b"", 10**6)


class TestHeads:
    def test_the_head_is_the_lowest_of_the_quorum_with_one_hash(self) -> None:
        ahead, behind = Chain(103), Chain(100)
        client = quorum([ahead, behind])
        head = client.head()
        assert (head.number, head.hash) == (100, hash_of(100))
        assert client.newest == head
        assert ahead.asked == ["eth_getBlockByNumber"] * 2
        assert behind.asked == ["eth_getBlockByNumber"], "it told its head itself"

    @pytest.mark.parametrize("height", [100, 103], ids=["the same height", "another height"])
    def test_two_hashes_at_one_height_are_a_data_error_with_both_names(self, height: int) -> None:
        client = quorum([Chain(100), Chain(height, fork=1)])
        said = "localnet: localnet provider 1 and localnet provider 2 disagree on the hash of block 100"
        with pytest.raises(DataError, match=said):
            client.head()
        assert client.newest is None

    def test_a_header_that_differs_under_the_same_hash_is_a_data_error(self) -> None:
        liar = Chain()
        liar.answers["eth_getBlockByNumber"] = always(
            {"result": {"number": "0x64", "hash": hash_of(100), "timestamp": "0xffff"}}
        )
        with pytest.raises(DataError, match="disagree on the header of block 100"):
            quorum([Chain(), liar]).head()

    def test_the_third_takes_the_place_of_one_that_is_down(self) -> None:
        first, second, third = Chain(), Chain(), Chain(99)
        second.down = True
        assert quorum([first, second, third]).head().number == 99

    def test_the_third_doesnt_count_while_the_first_two_are_up(self) -> None:
        assert quorum([Chain(), Chain(), Chain(98)]).head().number == 100

    def test_one_of_two_that_is_down_is_no_quorum_and_never_fewer(self) -> None:
        first, second = Chain(), Chain()
        second.down = True
        client = quorum([first, second], tries=3)
        for ask in (client.head, lambda: client.opening([]), lambda: call(client)):
            with pytest.raises(TransientError) as error:
                ask()
            said = (
                "localnet: the quorum of 2 providers can't be reached: localnet provider 2: the node can't be"
            )
            assert str(error.value).startswith(said)
            assert TOKEN not in str(error.value)
            assert error.value.__cause__ is None
        assert client.newest is None

    def test_a_second_try_reaches_the_quorum(self) -> None:
        first, second = Chain(), Chain()
        heads = iter([DOWN, {"result": second.block(100)}])
        second.answers["eth_getBlockByNumber"] = lambda params: next(heads)
        assert quorum([first, second], tries=2).head().number == 100


class TestOpening:
    def test_it_is_one_round_trip_to_each(self) -> None:
        nodes = [Chain(), Chain()]
        chain_id, head, codes = quorum(nodes).opening([address(1)])
        assert (chain_id, head.number, codes) == (1, 100, {address(1): True})
        for node in nodes:
            assert node.asked == ["eth_chainId", "eth_getBlockByNumber", "eth_getCode"]

    @pytest.mark.parametrize("count", [1, 2])
    def test_two_chain_ids_are_a_data_error_even_of_a_provider_beyond_the_quorum(self, count: int) -> None:
        client = quorum([*[Chain()] * count, Chain(10**6, chain_id=10)], count)
        with pytest.raises(
            DataError, match=f"provider 1 and localnet provider {count + 1} disagree on the chain id: 1"
        ):
            client.opening([])

    def test_code_that_one_doesnt_have_is_a_data_error(self) -> None:
        empty = Chain()
        empty.answers["eth_getCode"] = always({"result": "0x"})
        with pytest.raises(DataError, match=f"disagree on whether there is a contract at {address(1)}"):
            quorum([Chain(), empty]).opening([address(1)])

    def test_one_that_was_down_then_tells_its_chain_before_it_is_asked_anything_else(self) -> None:
        first, second, clock = Chain(), Chain(chain_id=10), Clock()
        second.down = True
        client = quorum([first, second], 1, now=clock)
        client.opening([])
        second.down, first.down = False, True
        with pytest.raises(TransientError, match="localnet provider 2 has not told its chain id yet"):
            client.balance(ACCOUNT)
        first.down, clock.seconds = False, 31
        with capture_logs() as logs:
            client.head()
        assert logs[0]["why"] == "it is on chain 10, the others on 1"
        second.chain_id, clock.seconds = 1, 62
        client.head()
        first.down = True
        assert client.balance(ACCOUNT) == 7


class TestPinnedReads:
    def test_the_same_bytes_are_the_answer(self) -> None:
        nodes = [Chain(), Chain(), Chain()]
        assert call(quorum(nodes)) == b"\x07"
        assert [len(node.asked) for node in nodes] == [1, 1, 0]

    @pytest.mark.parametrize(
        ("theirs", "difference"),
        [
            ("0x" + "00" * 32 + "02" * 32, f"word 1 is 0x{'01' * 32} and 0x{'02' * 32}"),
            ("0x" + "00" * 32, "64 and 32 bytes"),
            ("0x", "64 and 0 bytes"),
        ],
    )
    def test_other_bytes_are_a_data_error_that_says_what_differs(self, theirs: str, difference: str) -> None:
        first, second = Chain(), Chain()
        first.answers["eth_call"] = always({"result": "0x" + "00" * 32 + "01" * 32})
        second.answers["eth_call"] = always({"result": theirs})
        with pytest.raises(DataError) as error:
            call(quorum([first, second]))
        assert str(error.value) == (
            "localnet: localnet provider 1 and localnet provider 2 disagree on a read at "
            f"{address(1)} at block {hash_of(100)}: {difference}"
        )

    def test_a_revert_at_one_of_them_is_a_data_error(self) -> None:
        second = Chain()
        second.answers["eth_call"] = always(
            {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}
        )
        with pytest.raises(DataError, match="one answers, the other reverts"):
            call(quorum([Chain(), second]))

    def test_a_revert_at_both_is_the_answer(self) -> None:
        nodes = [Chain(), Chain()]
        for node in nodes:
            node.answers["eth_call"] = always({"error": {"code": 3, "message": "execution reverted"}})
        with pytest.raises(DataError, match=r"localnet: a batched read at 0x\w+ failed: execution reverted"):
            call(quorum(nodes))

    def test_a_block_that_one_doesnt_have_is_transient(self) -> None:
        second = Chain()
        second.answers["eth_call"] = always({"error": {"code": -32000, "message": "header not found"}})
        with pytest.raises(
            TransientError, match=r"quorum of 2 .* provider 2: the pinned block is no longer there"
        ):
            call(quorum([Chain(), second]))


class TestFailover:
    def test_the_next_provider_answers(self) -> None:
        first, second = Chain(), Chain()
        first.down = True
        client = quorum([first, second])
        assert client.balance(ACCOUNT) == 7
        assert client.nonces(ACCOUNT) == (7, 7)
        assert first.asked == ["eth_getBalance"], "one that failed is asked last for a while"

    def test_one_that_failed_is_asked_first_again_later(self) -> None:
        first, second, clock = Chain(), Chain(), Clock()
        first.down = True
        client = quorum([first, second], now=clock)
        client.balance(ACCOUNT)
        first.down, clock.seconds = False, 30.1
        client.balance(ACCOUNT)
        assert (len(first.asked), len(second.asked)) == (2, 1)

    def test_one_that_failed_is_still_asked_when_the_others_fail(self) -> None:
        first, second = Chain(), Chain()
        first.down = True
        client = quorum([first, second])
        client.balance(ACCOUNT)
        first.down, second.down = False, True
        assert client.balance(ACCOUNT) == 7

    def test_a_refusal_fails_over_too(self) -> None:
        first = Chain()
        first.answers["eth_getBalance"] = always({"error": {"code": -32601, "message": "not supported"}})
        assert quorum([first, Chain()]).balance(ACCOUNT) == 7

    def test_all_that_fail_are_named(self) -> None:
        nodes = [Chain(), Chain()]
        for node in nodes:
            node.down = True
        with pytest.raises(
            TransientError, match=r"no provider answered: localnet provider 1: .*; localnet provider 2: "
        ):
            quorum(nodes).balance(ACCOUNT)

    def test_a_nonce_is_buried_where_the_quorum_says_so(self) -> None:
        second = Chain()
        second.answers["eth_getTransactionCount"] = always({"result": "0x6"})
        assert quorum([Chain(), second]).buried_nonce(ACCOUNT, 1) == 6
        second.down = True
        with pytest.raises(TransientError, match="quorum of 2"):
            quorum([Chain(), second]).buried_nonce(ACCOUNT, 1)
