"""Several hand-written nodes of one chain: who is set aside, who is sent to, and whose receipts count."""

from typing import Any

import pytest
from builders import ACCOUNT, address, block, signed
from nodes import TOKEN, Chain, Clock, always, hash_of, quorum
from structlog.testing import capture_logs

from bot.chain.client import Client, Health
from bot.errors import DataError, OutcomeUnknown, TransientError

TX = "0x" + "ab" * 32


def call(client: Client) -> bytes:
    return client.call_at(block(), address(1), b"", 10**6)


class TestSetAside:
    def test_a_height_that_goes_back_is_set_aside_with_one_warning(self) -> None:
        first, second, third, clock = Chain(), Chain(), Chain(), Clock()
        client = quorum([first, second, third], now=clock)
        client.head()
        second.height = 99
        with capture_logs() as logs:
            assert client.head().number == 100
            client.head()
            call(client)
        why = "its height went back from 100 to 99"
        assert logs == [
            {
                "event": "provider set aside",
                "log_level": "warning",
                "provider": "localnet provider 2",
                "why": why,
                "for_s": 30,
            }
        ]
        assert client.health()[1] == Health("localnet provider 2", 99, why)
        assert "eth_call" not in second.asked
        clock.seconds = 30
        client.head()
        assert client.health() == tuple(
            Health(f"localnet provider {i}", height, None) for i, height in ((1, 100), (2, 99), (3, 100))
        )

    def test_a_provider_alone_is_set_aside_too(self) -> None:
        only, clock = Chain(), Clock()
        client = quorum([only], 1, now=clock)
        client.head()
        only.height = 90
        with pytest.raises(TransientError, match=r"^localnet provider 1 is set aside: its height went back"):
            client.head()
        with pytest.raises(TransientError, match="no provider answered: localnet provider 1 is set aside"):
            client.balance(ACCOUNT)
        clock.seconds = 30
        assert client.head().number == 90

    @pytest.mark.parametrize(("behind", "aside"), [(5, False), (6, True)])
    def test_a_lag_above_the_limit_sets_aside_and_then_there_is_no_quorum(
        self, behind: int, aside: bool
    ) -> None:
        client = quorum([Chain(), Chain(100 - behind)], tries=2)
        if not aside:
            assert client.head().number == 100 - behind
            return
        with (
            capture_logs() as logs,
            pytest.raises(
                TransientError,
                match="quorum of 2 providers can't be reached: localnet provider 2 is set aside: its height 94 lags 6 ",
            ),
        ):
            client.head()
        assert len(logs) == 1

    def test_a_frozen_node_is_set_aside_at_a_quorum_of_one_too(self) -> None:
        frozen, second = Chain(), Chain()
        client = quorum([frozen, second], 1)
        client.head()
        second.height = 110
        assert client.head().number == 110
        assert client.balance(ACCOUNT) == 7
        assert "eth_getBalance" not in frozen.asked

    def test_one_that_didnt_answer_lately_is_not_judged_by_its_old_height(self) -> None:
        first, second, third = Chain(), Chain(), Chain()
        client = quorum([first, second, third])
        client.head()
        third.down = True
        client.head()
        first.height = second.height = 200
        client.head()
        assert [each.set_aside_why for each in client.health()] == [None] * 3

    def test_health_asks_nothing(self) -> None:
        node = Chain()
        assert quorum([node], 1).health() == (Health("localnet provider 1", None, None),)
        assert node.asked == []


class TestSending:
    def refuses(self, message: str) -> Chain:
        node = Chain()
        node.answers["eth_sendRawTransaction"] = always({"error": {"code": -32000, "message": message}})
        return node

    def test_every_sender_gets_it_once_and_no_provider_that_is_only_read(self) -> None:
        read, relays = Chain(), [Chain(), Chain()]
        quorum([read], 1, tries=3, senders=relays).send(signed().raw)
        assert read.asked == []
        assert [relay.asked for relay in relays] == [["eth_sendRawTransaction"]] * 2

    def test_without_senders_every_provider_gets_it_the_set_aside_too(self) -> None:
        nodes = [Chain(), Chain(50)]
        client = quorum(nodes)
        with pytest.raises(TransientError):
            client.head()
        client.send(signed().raw)
        assert all("eth_sendRawTransaction" in node.asked for node in nodes)

    @pytest.mark.parametrize("other", ["nonce too low", "replacement transaction underpriced", "no"])
    def test_one_that_accepts_is_enough(self, other: str) -> None:
        with capture_logs() as logs:
            quorum([self.refuses(other), Chain()]).send(signed().raw)
        assert other in logs[0]["why"]

    def test_one_that_has_it_already_is_enough(self) -> None:
        quorum([self.refuses("nonce too low"), self.refuses("already known")]).send(signed().raw)

    def test_none_that_accepts_is_a_doubt_that_names_all(self) -> None:
        down = Chain()
        down.down = True
        nodes = [self.refuses("nonce too low"), self.refuses("replacement underpriced"), down]
        with pytest.raises(OutcomeUnknown) as error:
            quorum(nodes, tries=5).send(signed().raw)
        for said in (
            "provider 1: eth_sendRawTransaction: nonce too low",
            "underpriced",
            "provider 3: the node can't",
        ):
            assert said in str(error.value)
        assert TOKEN not in str(error.value)
        assert [node.asked for node in nodes] == [["eth_sendRawTransaction"]] * 3


class TestReceipts:
    def both(self) -> tuple[Chain, Chain, Client]:
        first, second = Chain(100), Chain(98)
        first.mined()
        second.mined()
        return first, second, quorum([first, second])

    def test_two_that_show_it_in_one_block_are_believed_at_the_smaller_depth(self) -> None:
        found = self.both()[2].receipt(TX)
        assert found is not None
        assert (found[0].block_number, found[1]) == (90, 9)

    @pytest.mark.parametrize("which", [0, 1])
    def test_one_that_shows_it_alone_is_not_enough(self, which: int) -> None:
        nodes = self.both()
        (nodes[0], nodes[1])[which].receipt = None
        assert nodes[2].receipt(TX) is None

    def test_two_blocks_are_not_enough(self) -> None:
        _, second, client = self.both()
        second.fork = 1
        second.mined()
        assert client.receipt(TX) is None

    def test_a_block_that_isnt_canonical_at_the_same_provider_doesnt_count(self) -> None:
        _, second, client = self.both()
        second.mined(blockHash=hash_of(90, fork=1))
        assert client.receipt(TX) is None

    def test_two_of_three_are_enough(self) -> None:
        first, second, third = Chain(), Chain(), Chain()
        first.mined()
        third.mined()
        assert quorum([first, second, third]).receipt(TX) is not None

    def test_one_that_is_down_leaves_a_doubt_and_not_a_none(self) -> None:
        _, second, client = self.both()
        second.down = True
        with pytest.raises(
            TransientError, match="the quorum of 2 providers can't be reached: localnet provider 2"
        ):
            client.receipt(TX)

    def test_a_spare_that_is_down_takes_nothing_from_a_quorum_that_answered(self) -> None:
        first, second, down = Chain(), Chain(), Chain()
        down.down = True
        assert quorum([first, down], 1).receipt(TX) is None
        first.mined()
        assert quorum([first, second, down]).receipt(TX) is None
        assert quorum([down, first], 1).receipt(TX) is not None

    @pytest.mark.parametrize("change", [{"status": "0x0"}, {"logs": []}])
    def test_a_receipt_that_tells_another_story_is_a_data_error(self, change: dict[str, Any]) -> None:
        _, second, client = self.both()
        second.mined(**change)
        with pytest.raises(DataError, match=f"disagree on what transaction {TX} did"):
            client.receipt(TX)

    def test_how_a_node_writes_an_address_or_a_fee_is_its_own_matter(self) -> None:
        _, second, client = self.both()
        log = {"address": address(1).lower(), "topics": ["0x01"], "data": "0x02"}
        second.mined(logs=[log], l1Fee="0x1")
        assert client.receipt(TX) is not None
