"""The mandate: two functions of one contract within bounds, and nothing else on the exact transaction."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, CHAIN_ID, CURIE, NOW, ScriptedCurie, address, intent, order_bounds, venue_state
from hypothesis import given
from hypothesis import strategies as st

from bot.chain.contracts import contract
from bot.chain.mandate import CANCEL_GAS, Mandate, Occasion, Rule
from bot.core.model import Intent
from bot.core.units import from_raw
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx

VENUE = ScriptedCurie(venue_state())
HOUSE = contract("curie_clearing_house", CURIE.clearing_house)
MAX_ORDER = Decimal(60)
MANDATE = Mandate(
    CHAIN_ID, ACCOUNT, VENUE.rules(order_bounds(MAX_ORDER)), max_gas=5_000_000, max_fee_wei=50 * 10**9
)
E18 = 10**18
LATEST = NOW + 120 + 60
MEANT = intent(size="5")
MEANT_RAW = 5 * E18

BUY = VENUE.prepare(intent(size="5"), venue_state())
SELL = VENUE.prepare(intent(size="-60"), venue_state())
CLOSE = VENUE.prepare(intent(size="5"), venue_state("-5"))


def tx(call: TxCall = BUY, **changes: Any) -> UnsignedTx:
    values: dict[str, Any] = {
        "chain_id": CHAIN_ID,
        "nonce": 3,
        "call": call,
        "gas": 5_000_000,
        "max_fee_wei": 50 * 10**9,
        "tip_wei": 50 * 10**9,
    }
    return UnsignedTx(**(values | changes))


def check(transaction: UnsignedTx, mandate: Mandate = MANDATE, meant: Intent = MEANT) -> None:
    mandate.check(transaction, meant, NOW)


def refused(why: str, transaction: UnsignedTx, meant: Intent = MEANT) -> None:
    with pytest.raises(OrderRejected, match=f"^mandate: .*{why}"):
        check(transaction, meant=meant)


def order(**changes: Any) -> TxCall:
    params = HOUSE.abi.decode_input(BUY.data)[1]["params"]
    return replace(BUY, data=HOUSE.abi.encode("openPosition", params | changes))


def sized(amount: int) -> TxCall:
    """A purchase of so much, at most at 2010."""
    return order(amount=amount, oppositeAmountBound=min(amount * 2010 or 1, 2**256 - 1))


def close(bound: int) -> TxCall:
    params = HOUSE.abi.decode_input(CLOSE.data)[1]["params"]
    return replace(CLOSE, data=HOUSE.abi.encode("closePosition", params | {"oppositeAmountBound": bound}))


@pytest.mark.parametrize("call", [BUY, SELL, CLOSE], ids=["buy", "largest sale", "close"])
def test_an_order_at_every_limit_is_allowed(call: TxCall) -> None:
    check(tx(call))


@pytest.mark.parametrize("chain_id", [1, 0, CHAIN_ID + 1])
def test_another_chain_is_refused(chain_id: int) -> None:
    refused(f"chain id {chain_id} is not {CHAIN_ID}", tx(chain_id=chain_id))


@pytest.mark.parametrize("to", [CURIE.vault, CURIE.base_token, address(99), "", "0x"])
def test_another_contract_is_refused(to: str) -> None:
    refused("is not a contract that may be called", tx(replace(BUY, to=to)))


def test_the_case_of_an_address_makes_no_difference() -> None:
    mixed = "0xcA11bde05977b3631167028862bE2a173976CA11"
    rules = tuple(
        Rule(replace(rule.contract, address=mixed), rule.function, rule.check) for rule in MANDATE.rules
    )
    for to in (mixed, mixed.lower()):
        check(tx(replace(BUY, to=to)), replace(MANDATE, rules=rules))


@pytest.mark.parametrize("call", [BUY, CLOSE])
def test_a_function_without_a_rule_is_refused(call: TxCall) -> None:
    for rule in MANDATE.rules:
        narrow = replace(MANDATE, rules=tuple(r for r in MANDATE.rules if r is not rule))
        function = HOUSE.abi.decode_input(call.data)[0]
        if rule.function == function:
            with pytest.raises(OrderRejected, match=f"{function} at {CURIE.clearing_house} is not allowed"):
                check(tx(call), narrow)
        else:
            check(tx(call), narrow)


def test_a_function_that_the_abi_does_not_know_is_refused() -> None:
    erc20 = contract("erc20", CURIE.clearing_house)
    for data in (
        erc20.abi.encode("balanceOf", address(1)),
        erc20.abi.encode("approve", address(1), 2**256 - 1),
    ):
        refused("no function with selector", tx(replace(BUY, data=data)))


@pytest.mark.parametrize("function", ["openPosition", "closePosition"])
def test_another_market_is_refused(function: str) -> None:
    call = BUY if function == "openPosition" else CLOSE
    params = HOUSE.abi.decode_input(call.data)[1]["params"] | {"baseToken": address(66)}
    refused(f"{address(66)} is not the market", tx(replace(call, data=HOUSE.abi.encode(function, params))))


@pytest.mark.parametrize(
    ("amount", "allowed"),
    [(1, True), (60 * 10**18, True), (60 * 10**18 + 1, False), (0, False), (2**256 - 1, False)],
)
def test_an_amount_is_above_nothing_and_at_most_the_largest_order(amount: int, allowed: bool) -> None:
    if allowed:
        check(tx(sized(amount)))
    else:
        refused("an order of", tx(sized(amount)))


@pytest.mark.parametrize(("size", "allowed"), [("60", True), ("-60", True), ("60.001", False), ("0", False)])
def test_a_close_is_of_at_most_the_largest_order_too(size: str, allowed: bool) -> None:
    transaction, meant = tx(close(int(abs(Decimal(size)) * 2000 * E18) or 1)), intent(size=size)
    if allowed:
        check(transaction, meant=meant)
    else:
        refused("an order of", transaction, meant)


@pytest.mark.parametrize(("sells", "worst"), [(False, 5 * 2200 * E18), (True, 5 * 1800 * E18)])
@pytest.mark.parametrize("closes", [False, True])
def test_a_bound_is_at_most_a_tenth_worse_than_the_reference_price(
    sells: bool, worst: int, closes: bool
) -> None:
    meant = intent(size="-5" if sells else "5")
    sides = {"isBaseToQuote": sells, "isExactInput": sells, "amount": 5 * E18}

    def bounded(bound: int) -> TxCall:
        return close(bound) if closes else order(**sides, oppositeAmountBound=bound)

    check(tx(bounded(worst)), meant=meant)
    refused("is more than 10.00% worse than 2000", tx(bounded(worst + (-1 if sells else 1))), meant)


@pytest.mark.parametrize("call", [BUY, SELL, CLOSE], ids=["buy", "sell", "close"])
def test_a_deadline_is_at_most_the_configured_time_from_now_and_the_clocks_slack(call: TxCall) -> None:
    function, arguments = HOUSE.abi.decode_input(call.data)

    def until(deadline: int) -> TxCall:
        changed = arguments["params"] | {"deadline": deadline}
        return replace(call, data=HOUSE.abi.encode(function, changed))

    check(tx(until(LATEST)))
    for deadline in (LATEST + 1, 2**256 - 1):
        refused(f"a deadline of {deadline} is beyond {LATEST}", tx(until(deadline)))


def test_a_rule_is_told_the_occasion() -> None:
    seen: list[Occasion] = []
    rule = Rule(HOUSE, "openPosition", lambda _, occasion: seen.append(occasion), max_value_wei=7)
    meant = intent(size="-3", reference_price=Decimal("1999.5"))
    check(tx(replace(BUY, value=7)), replace(MANDATE, rules=(rule,)), meant)
    assert seen == [Occasion(value=7, reference_price=Decimal("1999.5"), now=NOW, size=Decimal(-3))]


@pytest.mark.parametrize("call", [BUY, SELL, CLOSE])
def test_an_order_without_a_price_bound_is_refused(call: TxCall) -> None:
    function, arguments = HOUSE.abi.decode_input(call.data)
    unbound = HOUSE.abi.encode(function, arguments["params"] | {"oppositeAmountBound": 0})
    refused("needs a price bound", tx(replace(call, data=unbound)))


@pytest.mark.parametrize(("sells", "exact_input"), [(True, False), (False, True)])
def test_an_amount_in_quote_units_is_refused(sells: bool, exact_input: bool) -> None:
    refused("must be in base units", tx(order(isBaseToQuote=sells, isExactInput=exact_input)))


@pytest.mark.parametrize("value", [1, 10**18, -1])
def test_native_coin_is_sent_along_by_no_rule_that_does_not_say_so(value: int) -> None:
    refused("a value of", tx(replace(BUY, value=value)))


@pytest.mark.parametrize(("value", "allowed"), [(0, True), (7, True), (8, False), (-1, False)])
def test_a_rule_bounds_the_native_coin_that_its_function_carries(value: int, allowed: bool) -> None:
    paying = tuple(replace(r, max_value_wei=7) if r.function == "openPosition" else r for r in MANDATE.rules)
    mandate = replace(MANDATE, rules=paying)
    with pytest.raises(OrderRejected, match=f"a value of {value or 1} wei with closePosition"):
        check(tx(replace(CLOSE, value=value or 1)), mandate)
    if allowed:
        check(tx(replace(BUY, value=value)), mandate)
    else:
        with pytest.raises(OrderRejected, match=f"a value of {value} wei with openPosition is not within 7"):
            check(tx(replace(BUY, value=value)), mandate)


@pytest.mark.parametrize("value", [1, -1])
def test_the_no_op_carries_no_value(value: int) -> None:
    no_op = TxCall(ACCOUNT, b"")
    check(tx(no_op, gas=CANCEL_GAS))
    refused("is not a contract", tx(replace(no_op, value=value), gas=CANCEL_GAS))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"gas": 5_000_001}, "a gas limit of 5000001"),
        ({"gas": 20_999}, "a gas limit of 20999"),
        ({"nonce": -1}, "a nonce of -1"),
        ({"max_fee_wei": 50 * 10**9 + 1}, "a fee of"),
        ({"max_fee_wei": 10**9, "tip_wei": 10**9 + 1}, "a fee of"),
        ({"tip_wei": -1}, "a fee of"),
    ],
    ids=["gas", "too little gas", "nonce", "fee", "tip above the fee", "negative tip"],
)
def test_gas_and_fees_above_their_limits_are_refused(changes: dict[str, Any], why: str) -> None:
    refused(why, tx(**changes))


@pytest.mark.parametrize("tail", [b"\x00", bytes(32), b"\xde\xad"])
@pytest.mark.parametrize("call", [BUY, CLOSE])
def test_bytes_behind_the_arguments_are_refused(call: TxCall, tail: bytes) -> None:
    refused("not in its canonical form", tx(replace(call, data=call.data + tail)))


@pytest.mark.parametrize(
    "data", [b"", BUY.data[:3], BUY.data[:4], BUY.data[:-1], BUY.data[:4] + b"\xff" * 256]
)
def test_calldata_that_does_not_decode_is_refused(data: bytes) -> None:
    refused("", tx(replace(BUY, data=data)))


def test_a_dirty_byte_beside_an_address_is_refused() -> None:
    dirty = bytearray(BUY.data)
    dirty[4] = 1
    refused("", tx(replace(BUY, data=bytes(dirty))))


def check_bounds(data: bytes) -> None:
    """What the mandate let through, held against the bounds by this test's own reading of it."""
    function, arguments = HOUSE.abi.decode_input(data)
    params = arguments["params"]
    assert HOUSE.abi.encode(function, params) == data
    assert params["baseToken"] == CURIE.base_token
    assert params["oppositeAmountBound"] > 0
    assert params["deadline"] <= LATEST
    amount, sells = from_raw(MEANT_RAW, 18), False
    if function == "openPosition":
        amount, sells = from_raw(params["amount"], 18), params["isBaseToQuote"]
        assert 0 < amount <= MAX_ORDER
        assert params["isExactInput"] is params["isBaseToQuote"]
    else:
        assert function == "closePosition"
    bound = from_raw(params["oppositeAmountBound"], 18)
    assert bound >= amount * 1800 if sells else bound <= amount * 2200


def flipped(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bits]) + data[at + 1 :]


@pytest.mark.parametrize("call", [BUY, SELL, CLOSE], ids=["buy", "sell", "close"])
def test_any_flipped_byte_is_refused_or_leaves_an_order_within_all_bounds(call: TxCall) -> None:
    outcomes = set()
    for at in range(len(call.data)):
        for bit in (0, 3, 7):
            data = flipped(call.data, at, 1 << bit)
            try:
                check(tx(replace(call, data=data)))
            except OrderRejected:
                outcomes.add("refused")
            else:
                outcomes.add("allowed")
                check_bounds(data)
    assert outcomes == {"refused", "allowed"}, "a deadline may change, a market may not"


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    flips: Callable[..., bytes] = flipped
    one = st.builds(flips, st.just(data), st.integers(0, len(data) - 1), st.integers(1, 255))
    word = st.builds(
        lambda at, value: data[: 4 + 32 * at] + value.to_bytes(32, "big") + data[36 + 32 * at :],
        st.integers(0, len(data) // 32 - 1),
        st.one_of(st.integers(0, 2**256 - 1), st.integers(0, 2), st.just(60 * 10**18 + 1)),
    )
    cut = st.builds(lambda at: data[:at], st.integers(0, len(data) - 1))
    longer = st.builds(lambda tail: data + tail, st.binary(min_size=1, max_size=64))
    return st.one_of(one, word, cut, longer)


@given(st.one_of(mutations(BUY.data), mutations(SELL.data), mutations(CLOSE.data), st.binary(max_size=300)))
def test_any_mutation_is_refused_or_leaves_an_order_within_all_bounds(data: bytes) -> None:
    try:
        check(tx(replace(BUY, data=data)))
    except OrderRejected:
        return
    check_bounds(data)
