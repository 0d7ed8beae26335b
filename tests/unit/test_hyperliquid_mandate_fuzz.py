"""Ten thousand transactions against Hyperliquid's mandate, judged by a decoder of this file's own.

It shares nothing with the bot's: calldata is cut into words by hand, every byte of an action is compared with where it
belongs, and the bounds are held in whole numbers. What the mandate lets through must be allowed by both, and
everything that the bot makes itself must pass. Mandates that are broken on purpose, or deaf to one of their reasons,
must be caught.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from builders import ACCOUNT, CHAIN_ID, NOW, address
from eth_utils.crypto import keccak
from hyperliquid_models import SEND, WRITER, Core, hyperliquid_venue, meant

from bot.chain.mandate import Mandate, Rule
from bot.core.model import Intent, IntentKind
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.venues.bounds import OrderBounds, TransferBounds

D = Decimal
CASES = 10_000
MAX_GAS, MAX_FEE = 1_000_000, 20 * 10**9
MAX_ORDER = 25 * 10**8
MOST_IN, MOST_OUT = 20_000 * 10**6, 5_000 * 10**6
BOUNDS, TRANSFERS = OrderBounds(D(25), D("0.1"), 60), TransferBounds(D(20_000), D(5_000))
MOST = 2**256 - 1
FOREIGN = address(66)
VENUE = hyperliquid_venue(watches_margin=True)
STATE = Core(account_value=D(10**9), spot=D(10**6), withdrawable=D(10**6)).state(VENUE)
WORDS_OF = {1: 7, 7: 2}
OTHERS = tuple(
    keccak(text=signature)[:4]
    for signature in ("transfer(address,uint256)", "approve(address,uint256)", "sendRawAction(bytes,uint256)")
)


@dataclass(frozen=True)
class Case:
    """A transaction with what it is sent for."""

    tx: UnsignedTx
    meant: Intent


def mandate_of(bounds: OrderBounds = BOUNDS, transfers: TransferBounds | None = TRANSFERS) -> Mandate:
    return Mandate(CHAIN_ID, ACCOUNT, VENUE.rules(bounds, transfers), MAX_GAS, MAX_FEE)


def words(body: bytes) -> list[int]:
    """32-byte words; none where the data doesn't end with a whole one."""
    whole = range(0, len(body), 32) if len(body) % 32 == 0 else ()
    return [int.from_bytes(body[at : at + 32], "big") for at in whole]


def joined(values: list[int]) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


def wrapped(action: bytes) -> bytes:
    """CoreWriter's calldata for an action, put together byte by byte."""
    padded = action.ljust(-(-len(action) // 32) * 32, b"\0")
    return SEND + joined([32, len(action)]) + padded


def unwrapped(data: bytes) -> bytes | None:
    """The action of a call; None unless putting it together again gives the same bytes."""
    length = int.from_bytes(data[36:68], "big")
    action = data[68 : 68 + length] if length < len(data) else b""
    return action if wrapped(action) == data else None


def allowed(case: Case) -> bool:
    """What the configuration allows to be signed, read from the transaction by hand."""
    tx = case.tx
    if tx.chain_id != CHAIN_ID or tx.nonce < 0 or not 21_000 <= tx.gas <= MAX_GAS:
        return False
    if not 0 <= tx.tip_wei <= tx.max_fee_wei <= MAX_FEE or tx.call.value != 0:
        return False
    to, data = tx.call.to.lower(), tx.call.data
    if to == ACCOUNT.lower() and data == b"":
        return tx.gas == 21_000
    if to != WRITER.lower() or data[:4] != SEND:
        return False
    action = unwrapped(data)
    if action is None or action[:3] != b"\x01\x00\x00" or len(action) < 4:
        return False
    found, number = words(action[4:]), action[3]
    if len(found) != WORDS_OF.get(number, -1):
        return False
    return allowed_order(found, case.meant) if number == 1 else allowed_transfer(found)


def allowed_order(found: list[int], decided: Intent) -> bool:
    """Asset 1, immediate, with an id, 25 units at most, a tenth worse than the reference price at most."""
    asset, buys, price, size, reduces, tif, cloid = found
    if asset != 1 or buys > 1 or reduces > 1 or tif != 3 or not 0 < cloid < 2**128:
        return False
    if not 0 < size <= MAX_ORDER or not 0 < price < 2**64:
        return False
    reference = int(decided.reference_price * 10**6) * 100
    return price * 10 <= reference * 11 if buys else price * 10 >= reference * 9


def allowed_transfer(found: list[int]) -> bool:
    """Above nothing, and at most what may go in or out."""
    raw, to_perp = found
    return to_perp <= 1 and 0 < raw <= (MOST_IN if to_perp else MOST_OUT)


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a case that fails must come again


def own(dice: random.Random) -> Case:
    """Anything that the bot signs here."""
    mark = D(dice.randint(50 * 10**6, 10**10)) / 10**6
    kinds = [IntentKind.TRADE] * 5 + [IntentKind.ADD_MARGIN, IntentKind.WITHDRAW_MARGIN]
    kind, side = dice.choice(kinds), dice.choice([1, -1])
    lots = dice.choice([250_000, dice.randint(10_000, 250_000)])
    held = dice.choice([D(0), D(lots) / 10**4, -D(lots) / 10**4, D(30), D(-30)])
    seen = replace(STATE, mark=mark, position=replace(STATE.position, size=held))
    # The limit is at most the gap from the reference, so the bound may have the fee on top.
    worse = dice.choice([D("0.1"), D(dice.randint(0, 1000)) / 10_000])
    bound = (mark * (1 + side * worse) * (1 + side * seen.fee_ratio)).quantize(
        D("0.000001"), "ROUND_FLOOR" if side > 0 else "ROUND_CEILING"
    )
    changes = {"key": str(dice.random()), "reference_price": mark, "price_bound": bound}
    order = meant(str(side * D(lots) / 10**4), **changes)
    if kind is not IntentKind.TRADE:
        most = MOST_IN if kind is IntentKind.ADD_MARGIN else MOST_OUT
        amount = D(dice.choice([1, most, dice.randint(1, most)])) / 10**6
        order = replace(order, kind=kind, size=amount, price_bound=D(0))
    fee = dice.randint(0, MAX_FEE)
    tx = UnsignedTx(
        CHAIN_ID,
        dice.randint(0, 10**6),
        VENUE.prepare(order, seen),
        dice.randint(21_000, MAX_GAS),
        fee,
        dice.randint(0, fee),
    )
    return Case(tx, order)


def with_data(case: Case, data: bytes) -> Case:
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, data=data)))


def with_action(case: Case, action: bytes) -> Case:
    return with_data(case, wrapped(action))


def action_in(case: Case) -> bytes:
    return unwrapped(case.tx.call.data) or b""


def some_value(dice: random.Random, case: Case) -> int:
    reference = int(case.meant.reference_price * 10**6) * 100
    near = dice.choice([0, 0, 1, -1])
    values = [0, 1, 2, 3, 4, 7, 2**16, 2**32 - 1, 2**64 - 1, 2**64, 2**128 - 1, 2**128, MOST]
    bounds = [MAX_ORDER, MOST_IN, MOST_OUT, reference * 11 // 10, -(-reference * 9 // 10), reference]
    return max(dice.choice([*values, *bounds, *bounds]) + near, 0) % (MOST + 1)


def a_field(dice: random.Random, case: Case) -> Case:
    """One word of the action becomes something else."""
    action = action_in(case)
    at = dice.randrange(max((len(action) - 4) // 32, 1))
    value = some_value(dice, case).to_bytes(32, "big")
    return with_action(case, action[: 4 + 32 * at] + value + action[36 + 32 * at :])


def another_action(dice: random.Random, case: Case) -> Case:
    """Another of CoreWriter's actions, with our parameters or with an abuser's."""
    number = dice.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 2**16 + 1, 2**24 - 1])
    abuse = joined([int(FOREIGN, 16), 0, 10**14])
    return with_action(case, b"\x01" + number.to_bytes(3, "big") + dice.choice([action_in(case)[4:], abuse]))


def another_version(dice: random.Random, case: Case) -> Case:
    return with_action(case, bytes([dice.choice([0, 2, 255])]) + action_in(case)[1:])


def longer_or_shorter(dice: random.Random, case: Case) -> Case:
    """The action or the calldata around it."""
    action, data = action_in(case), case.tx.call.data
    cut = dice.choice([1, 4, 31, 32])
    return dice.choice(
        [
            with_action(case, action + bytes(cut)),
            with_action(case, action[:-cut]),
            with_data(case, data + bytes(cut)),
            with_data(case, data[:-cut]),
            with_action(case, b""),
        ]
    )


def another_layout(dice: random.Random, case: Case) -> Case:
    """The same action with its bytes elsewhere, or dirt in the padding."""
    action = action_in(case)
    padded = action.ljust(-(-len(action) // 32) * 32, b"\0")
    moved = SEND + joined([64, 0, len(action)]) + padded
    dirty = wrapped(action)[:-1] + b"\1"
    return with_data(case, dice.choice([moved, dirty]))


def flip_a_bit(dice: random.Random, case: Case) -> Case:
    data = bytearray(case.tx.call.data)
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return with_data(case, bytes(data))


def another_function(dice: random.Random, case: Case) -> Case:
    return with_data(case, dice.choice(OTHERS) + case.tx.call.data[4:])


def another_target(dice: random.Random, case: Case) -> Case:
    to = dice.choice([FOREIGN, ACCOUNT, "0x" + "22" * 20, ""])
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, to=to)))


def a_value(dice: random.Random, case: Case) -> Case:
    """Native coin along with it, which would void it without a word."""
    call = replace(case.tx.call, value=dice.choice([-1, 1, 10**18]))
    return replace(case, tx=replace(case.tx, call=call))


def of_the_chain(dice: random.Random, case: Case) -> Case:
    changes = [
        {"chain_id": dice.choice([0, 1, 998, 999])},
        {"nonce": dice.choice([-1, 0])},
        {"gas": dice.choice([0, 20_999, 21_000, MAX_GAS, MAX_GAS + 1])},
        {"max_fee_wei": dice.choice([-1, MAX_FEE, MAX_FEE + 1])},
        {"tip_wei": dice.choice([-1, MAX_FEE, MAX_FEE + 1])},
    ]
    return replace(case, tx=replace(case.tx, **dice.choice(changes)))


def another_reference(dice: random.Random, case: Case) -> Case:
    share = D(dice.choice([1, 50, 90, 91, 110, 111, 200])) / 100
    price = (case.meant.reference_price * share).quantize(D("0.000001"))
    return replace(case, meant=replace(case.meant, reference_price=price))


def at_the_edge(dice: random.Random, case: Case) -> Case:
    """The largest order or transfer, at the worst price of either side, or next to them."""
    reference = int(case.meant.reference_price * 10**6) * 100
    near = lambda value: max(value + dice.choice([-1, 0, 1]), 0)  # noqa: E731
    if dice.random() < 0.3:
        to_perp = dice.randrange(2)
        return with_action(
            case, b"\x01\x00\x00\x07" + joined([near(MOST_IN if to_perp else MOST_OUT), to_perp])
        )
    buys = dice.randrange(2)
    worst = reference * 11 // 10 if buys else -(-reference * 9 // 10)
    order = [1, buys, near(worst), near(MAX_ORDER), dice.randrange(2), 3, dice.choice([0, 1, 2**128 - 1])]
    return with_action(case, b"\x01\x00\x00\x01" + joined(order))


Mutation = Callable[[random.Random, Case], Case]
MUTATIONS: tuple[Mutation, ...] = (
    *(a_field, a_field, a_field, another_action, another_version, longer_or_shorter, another_layout),
    *(flip_a_bit, another_function, another_target, a_value, of_the_chain, another_reference),
    *(at_the_edge, at_the_edge),
)


def accepted(case: Case, mandate: Mandate) -> bool:
    """Whether the mandate lets it through. Any other error than a refusal fails the test."""
    try:
        mandate.check(case.tx, case.meant, NOW)
    except OrderRejected:
        return False
    return True


def disagreements(mandate: Mandate, verdicts: Counter[tuple[str, bool]]) -> Iterator[str]:
    """Where the mandate and this file's decoder part; `verdicts` counts the mandate's."""
    dice = dice_of(20_260_501)
    for number in range(CASES):
        mutation = MUTATIONS[number % len(MUTATIONS)]
        case = mutation(dice, own(dice))
        if dice.random() < 0.2 and len(case.tx.call.data) >= 100:
            case = dice.choice(MUTATIONS)(dice, case)
        lets = accepted(case, mandate)
        if lets != allowed(case):
            yield f"{mutation.__name__}, case {number}, the mandate says {lets}: {case}"
        verdicts[mutation.__name__, lets] += 1


def test_of_ten_thousand_transactions_the_mandate_accepts_what_the_rules_allow_and_nothing_else() -> None:
    verdicts: Counter[tuple[str, bool]] = Counter()
    assert list(disagreements(mandate_of(), verdicts)) == []
    assert sum(verdicts.values()) == CASES
    for mutation in MUTATIONS:
        assert verdicts[mutation.__name__, False] > 0, f"{mutation.__name__} never made a forbidden one"
    assert sum(count for (_, lets), count in verdicts.items() if lets) > CASES // 20, "some mutants are legal"


def test_everything_of_the_bots_own_is_accepted() -> None:
    dice, mandate, kinds = dice_of(7), mandate_of(), Counter[int]()
    for _ in range(2_000):
        case = own(dice)
        kinds[action_in(case)[3]] += 1
        assert allowed(case), f"the decoder of this test has an error: {case}"
        assert accepted(case, mandate), case
    assert set(kinds) == {1, 7}


@dataclass(frozen=True)
class DeafMandate(Mandate):
    """Lets through what it would refuse for one reason."""

    deaf_to: str = ""

    def check(self, tx: UnsignedTx, intent: Intent, now: int) -> None:
        """As the mandate, but for that reason."""
        try:
            super().check(tx, intent, now)
        except OrderRejected as error:
            if self.deaf_to not in str(error):
                raise


REASONS = (
    "chain id",
    "a nonce of",
    "a gas limit of",
    "a fee of",
    "a value of",
    "is not a contract that may be called",
    "no function with selector",
    "the calldata of sendRawAction is not in its canonical form",
    "an action of version",
    "is none of ours",
    "parameters of another form",
    "action 1 is not in its canonical form",
    "action 7 is not in its canonical form",
    "an order of asset",
    "an order that may rest",
    "needs a client order id",
    "an order of +",
    "a limit of",
    "a deposit of",
    "a withdrawal of",
)


@pytest.mark.parametrize("reason", REASONS)
def test_a_mandate_that_is_deaf_to_one_of_its_reasons_is_caught(reason: str) -> None:
    whole = mandate_of()
    deaf = DeafMandate(whole.chain_id, whole.account, whole.rules, whole.max_gas, whole.max_fee_wei, reason)
    assert any(disagreements(deaf, Counter()))


def dearer(rule: Rule) -> Rule:
    return replace(rule, max_value_wei=rule.max_value_wei + 1)


BROKEN: dict[str, Callable[[], Mandate]] = {
    "a hair more in an order": lambda: mandate_of(replace(BOUNDS, max_order=D("25.00000001"))),
    "a hair less in an order": lambda: mandate_of(replace(BOUNDS, max_order=D("24.99999999"))),
    "a hair more of a gap": lambda: mandate_of(replace(BOUNDS, max_bound_gap=D("0.1000001"))),
    "a hair less of a gap": lambda: mandate_of(replace(BOUNDS, max_bound_gap=D("0.0999999"))),
    "a millionth more in": lambda: mandate_of(transfers=replace(TRANSFERS, deposit=D("20000.000001"))),
    "a millionth less out": lambda: mandate_of(transfers=replace(TRANSFERS, withdraw=D("4999.999999"))),
    "no transfers": lambda: mandate_of(transfers=None),
    "no rules": lambda: replace(mandate_of(), rules=()),
    "a wei of value": lambda: replace(mandate_of(), rules=tuple(map(dearer, mandate_of().rules))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mandate_that_is_broken_on_purpose_is_caught(name: str) -> None:
    assert any(disagreements(BROKEN[name](), Counter()))


@pytest.mark.parametrize("bounds", [None, TransferBounds(D(100))])
def test_without_bounds_nothing_is_moved(bounds: TransferBounds | None) -> None:
    order = meant("1", kind=IntentKind.WITHDRAW_MARGIN)
    tx = UnsignedTx(CHAIN_ID, 0, VENUE.prepare(order, STATE), 60_000, 0, 0)
    with pytest.raises(OrderRejected, match="a withdrawal of"):
        mandate_of(transfers=bounds).check(tx, order, NOW)


def test_an_absurd_length_is_refused_and_no_other_error() -> None:
    call = TxCall(WRITER, SEND + joined([32, MOST]))
    with pytest.raises(OrderRejected):
        mandate_of().check(UnsignedTx(CHAIN_ID, 0, call, 21_000, 0, 0), meant(), NOW)
