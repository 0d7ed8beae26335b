"""A delegate at Curie: what it signs, what it may sign, and what is said of its privileges."""

import copy
import json
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
import tomlkit
from builders import (
    ACCOUNT,
    CHAIN,
    CHAIN_ID,
    CURIE,
    KEY,
    NOW,
    address,
    feed,
    intent,
    order_bounds,
    position_changed,
    receipt,
    venue_state,
    word,
)
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from test_readers import EDGES, INDEX_TWAP, LADDER, TWAP, curie_first

from bot.app import bound_account
from bot.app.venues import make_curie
from bot.chain.contracts import contract
from bot.chain.mandate import Mandate
from bot.chain.signer.local import signer_from_key
from bot.config import Config, load_config
from bot.core.model import OutcomeState, Privileges, VenueState
from bot.errors import ConfigError, DataError, OrderRejected
from bot.localnet.configuration import fork_config
from bot.localnet.node import Node
from bot.ports import Call, LogQuery, Reverted, TxCall, UnsignedTx
from bot.share import share
from bot.venues.curie import CurieVenue, Delegation

E18 = 10**18
TRADER, APPROVALS = address(70), address(71)
VENUE = CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"), Delegation(TRADER, APPROVALS))
HOUSE = contract("curie_clearing_house", CURIE.clearing_house)
MANDATE = Mandate(CHAIN_ID, ACCOUNT, VENUE.rules(order_bounds()), max_gas=5_000_000, max_fee_wei=50 * 10**9)
NO_SAFE = [Reverted("reverted"), Reverted("reverted")]


def order(size: str = "5", position: str = "0") -> TxCall:
    return VENUE.prepare(intent(size=size), venue_state(position))


def checked(data: bytes) -> None:
    transaction = UnsignedTx(CHAIN_ID, 3, TxCall(HOUSE.address, data), 10**6, 10**9, 10**9)
    MANDATE.check(transaction, intent(), NOW)


class TestOrders:
    @pytest.mark.parametrize(
        ("size", "position"), [("5", "0"), ("-5", "0"), ("5", "-5"), ("-5", "5"), ("0.001", "-5")]
    )
    def test_every_order_is_for_the_trader_and_a_close_is_one_of_exactly_the_position(
        self, size: str, position: str
    ) -> None:
        call = order(size, position)
        function, arguments = HOUSE.abi.decode_input(call.data)
        assert (function, arguments["trader"], call.to) == (
            "openPositionFor",
            TRADER,
            CURIE.clearing_house,
        )
        params, sells = arguments["params"], Decimal(size) < 0
        # Both ways the amount is in base units: selling gives exactly that much, buying takes exactly that much.
        assert params["isBaseToQuote"] is params["isExactInput"] is sells
        assert params["amount"] == abs(int(Decimal(size) * E18))
        assert params["oppositeAmountBound"] == abs(int(Decimal(size) * 2010 * E18))

    def test_the_promised_fill_is_read_past_the_fee_that_comes_with_it(self) -> None:
        paid = int(Decimal(10_000) / Decimal("0.999") * E18)
        told = VENUE.expected(intent(), venue_state(), encode(["uint256"] * 3, [5 * E18, paid, 10 * E18]))
        assert told.size == 5
        assert told.notional == pytest.approx(Decimal(10_000), abs=Decimal("1e-12"))

    def test_only_events_of_the_trader_are_the_orders(self) -> None:
        theirs, ours = (position_changed(Decimal(5), trader=who) for who in (TRADER, ACCOUNT))
        told, _ = feed(VENUE.outcome(intent(), receipt("0xab", logs=(theirs, ours)), venue_state()), [])
        assert told.state is OutcomeState.FILLED
        with pytest.raises(DataError, match="changed 0 positions of ours"):
            feed(VENUE.outcome(intent(), receipt("0xab", logs=(ours,)), venue_state()), [])

    def test_changes_from_outside_are_looked_for_at_the_trader(self) -> None:
        asked = next(VENUE.outside_changes(7, 0, frozenset()))
        for query in asked:
            assert isinstance(query, LogQuery)
            assert query.topics[1] == "0x" + word(TRADER).hex()

    def test_the_approval_contract_must_hold_code(self) -> None:
        assert VENUE.contracts()["delegate_approval"] == APPROVALS
        assert len(VENUE.contracts()) == 10

    def test_a_missing_approval_is_told_with_its_remedy(self) -> None:
        told = VENUE.explain(bytes.fromhex("08c379a0") + encode(["string"], ["CH_SHNAOPT"]))
        assert told.startswith("CH_SHNAOPT (the account has not approved this key as its delegate")
        assert "`vaultkeel propose approve-delegate`" in told


class TestMandate:
    @pytest.mark.parametrize("size", ["60", "-60", "0.001"])
    def test_orders_for_the_trader_are_allowed(self, size: str) -> None:
        checked(order(size).data)

    @pytest.mark.parametrize("trader", [ACCOUNT, address(72), address(0)])
    def test_orders_for_anyone_else_are_refused(self, trader: str) -> None:
        params = HOUSE.abi.decode_input(order().data)[1]["params"]
        with pytest.raises(OrderRejected, match=f"^mandate: an order for {trader}, not for {TRADER}"):
            checked(HOUSE.abi.encode("openPositionFor", trader, params))

    @pytest.mark.parametrize("function", ["openPosition", "closePosition"])
    def test_what_the_key_could_do_for_itself_is_refused(self, function: str) -> None:
        params = HOUSE.abi.decode_input(order().data)[1]["params"]
        with pytest.raises(OrderRejected, match=f"mandate: {function} at .* is not allowed"):
            checked(HOUSE.abi.encode(function, params))

    @given(
        st.integers(0, 8),
        st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 2), st.integers(60 * E18 - 1, 60 * E18 + 1)),
        st.sampled_from(["5", "-60"]),
    )
    def test_any_changed_word_is_refused_or_leaves_an_order_within_all_bounds(
        self, at: int, value: int, size: str
    ) -> None:
        before = order(size).data
        data = before[: 4 + 32 * at] + value.to_bytes(32, "big") + before[36 + 32 * at :]
        try:
            checked(data)
        except OrderRejected:
            return
        words = [int.from_bytes(data[place : place + 32], "big") for place in range(4, len(data), 32)]
        trader, base, sells, exact_input, amount, bound, deadline = words[:7]
        assert (trader, base) == (int(TRADER, 16), int(CURIE.base_token, 16))
        assert sells == exact_input <= 1
        assert 0 < amount <= 60 * E18
        assert bound >= amount * 1800 if sells else 0 < bound <= amount * 2200
        assert deadline <= NOW + 180


class TestPrivileges:
    def read(self, *approval: Any) -> tuple[VenueState, list[list[Call]]]:
        state, asked = feed(VENUE.read(), [[*curie_first(), *approval], [*EDGES, *LADDER, TWAP, INDEX_TWAP]])
        return state, asked

    def test_the_traders_account_is_read_and_the_keys_approval(self) -> None:
        state, asked = self.read(APPROVALS, 1, *NO_SAFE)
        assert len(asked) == 2, "no round more than without a delegation"
        assert state.account == TRADER
        assert state.privileges == Privileges(ACCOUNT, TRADER, can_trade=True, can_withdraw=False)
        calls = {call.name.split(" ")[0]: call for call in asked[0]}
        for name in ("curie_vault.getAccountValue", "curie_account_balance.getTakerPositionSize"):
            assert calls[name].data[4:36] == word(TRADER)
        assert calls["curie_delegate_approval.getApprovedActions"].data[4:] == word(TRADER) + word(ACCOUNT)

    @pytest.mark.parametrize(
        ("actions", "ownership", "trades", "withdraws"),
        [
            (0, NO_SAFE, False, False),
            (1, [False, 1], True, False),
            (6, [True, 2], False, False),
            (7, [True, 1], True, True),
            (0, [True, 1], False, True),
            (1, [None, None], True, False),
        ],
    )
    def test_they_are_what_the_contracts_say(
        self, actions: int, ownership: list[Any], trades: bool, withdraws: bool
    ) -> None:
        privileges = self.read(APPROVALS, actions, *ownership)[0].privileges
        assert privileges is not None
        assert (privileges.can_trade, privileges.can_withdraw) == (trades, withdraws)
        said = privileges.in_words()
        assert ("can trade" in said, "can withdraw" in said) == (trades, withdraws)
        assert ("vaultkeel propose approve-delegate" in said) is not trades

    def test_another_deciding_contract_is_refused_by_name(self) -> None:
        with pytest.raises(DataError, match=f"not the clearing house's, which is {address(99)}"):
            self.read(address(99), 1, *NO_SAFE)

    def test_an_account_that_trades_for_itself_asks_nothing_more(self) -> None:
        own = CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"))
        state, _ = feed(own.read(), [curie_first(), [*EDGES, *LADDER, TWAP, INDEX_TWAP]])
        assert state.privileges == Privileges(ACCOUNT, ACCOUNT, can_trade=True, can_withdraw=True)


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The shipped configuration with a delegation."""
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)
    loaded = tomllib.loads(share("config", "localnet.toml").read_text(encoding="utf-8"))
    loaded["books"][0]["venue"].update({"trader": TRADER, "delegate_approval": APPROVALS})
    return loaded


class TestConfiguration:
    def load(self, document: dict[str, Any], folder: Path) -> Config:
        path = folder / "vaultkeel.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        return load_config(path)

    def test_the_signer_trades_for_the_trader(self, document: dict[str, Any], tmp_path: Path) -> None:
        config = self.load(document, tmp_path)
        venue = make_curie(config.books[0].venue, ACCOUNT)
        assert (venue.account, venue.trader) == (ACCOUNT, TRADER)
        signer = signer_from_key(KEY)
        assert bound_account(config, signer, "localnet") == f"{ACCOUNT} for {TRADER}"
        for name in ("trader", "delegate_approval"):
            del document["books"][0]["venue"][name]
        assert bound_account(self.load(document, tmp_path), signer, "localnet") == ACCOUNT

    @pytest.mark.parametrize("left_out", ["trader", "delegate_approval"])
    def test_one_half_of_a_delegation_is_refused(
        self, document: dict[str, Any], tmp_path: Path, left_out: str
    ) -> None:
        del document["books"][0]["venue"][left_out]
        with pytest.raises(ConfigError, match="trader and delegate_approval belong together: give both"):
            self.load(document, tmp_path)

    def test_books_of_several_traders_are_refused(self, document: dict[str, Any], tmp_path: Path) -> None:
        second = copy.deepcopy(document["books"][0]) | {"name": "second"}
        second["venue"] |= {"base_token": address(80), "trader": address(81)}
        second["sources"][0]["market"] = address(82)
        document["books"].append(second)
        with pytest.raises(ConfigError, match="the books of one chain trade for several accounts"):
            self.load(document, tmp_path)

    def test_a_signer_that_is_its_own_trader_is_refused(
        self, document: dict[str, Any], tmp_path: Path
    ) -> None:
        config = self.load(document, tmp_path)
        venue = config.books[0].venue.model_copy(update={"trader": ACCOUNT})
        with pytest.raises(ConfigError, match="curie-eth: trader is the signer itself"):
            make_curie(venue, ACCOUNT)

    def test_a_fork_trades_for_its_own_account(self, document: dict[str, Any], tmp_path: Path) -> None:
        self.load(document, tmp_path)

        class Fork:
            url = "http://127.0.0.1:1"

            def rpc(self, method: str) -> dict[str, str]:
                return {"instanceId": "0x" + "ab" * 32}

        text = fork_config(tmp_path / "vaultkeel.toml", 31337, cast(Node, Fork()), 7, wall_clock=True)
        venue = tomllib.loads(text)["books"][0]["venue"]
        assert "trader" not in venue
        assert "delegate_approval" not in venue


def test_a_state_that_was_recorded_without_privileges_can_be_read() -> None:
    states: TypeAdapter[VenueState] = TypeAdapter(VenueState)
    recorded = json.loads(states.dump_json(venue_state()))
    del recorded["privileges"]
    assert states.validate_json(json.dumps(recorded)) == venue_state()
    known = replace(venue_state(), privileges=Privileges(ACCOUNT, TRADER, can_trade=True, can_withdraw=False))
    assert states.validate_json(states.dump_json(known)) == known
