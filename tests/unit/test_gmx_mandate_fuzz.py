"""Ten thousand transactions against GMX's mandate, judged by a decoder of this file's own.

It shares nothing with the bot's: selectors are hashed from their signatures here, the nested steps are cut out by
offset, and every word of an order is compared with the one place where it belongs. What the mandate lets through must
be allowed by both, and every order, claim, cancel and approval that the bot makes itself must pass. Mandates that are
deaf to one of their reasons must be caught.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

import pytest
from builders import ACCOUNT, CHAIN_ID, NOW, address, intent
from eth_utils.crypto import keccak
from gmx_models import E18, E30, GMX, LOT, RULES, USDC, WETH, gmx_state, gmx_venue

from bot.chain.mandate import Mandate, Rule
from bot.core.model import Intent, IntentKind
from bot.core.orders import PRICE_STEP
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.venues.bounds import OrderBounds
from bot.venues.gmx_market import Side

CASES = 10_000
MAX_ORDER, MAX_GAS, MAX_FEE = Decimal(60), 5_000_000, RULES.max_fee_wei
GAP = Decimal("0.1")
MOST_USDC = 50_000
MOST_RAW = MOST_USDC * 10**6
MOST_VALUE = 20_000_000 * MAX_FEE
ORDER_WORDS = 26
FOREIGN = address(66)
MOST = 2**256 - 1
VENUE = gmx_venue()
BOUNDS = OrderBounds(MAX_ORDER, GAP, 120)
NESTED = (
    "((address,address,address,address,address,address,address[]),"
    "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256),"
    "uint8,uint8,bool,bool,bool,bytes32,bytes32[])"
)


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


MULTICALL, CREATE = selector("multicall(bytes[])"), selector(f"createOrder({NESTED})")
SEND_WNT, SEND_TOKENS = selector("sendWnt(address,uint256)"), selector("sendTokens(address,address,uint256)")
CANCEL, APPROVE = selector("cancelOrder(bytes32)"), selector("approve(address,uint256)")
CLAIM = selector("claimFundingFees(address[],address[],address)")
OTHERS = tuple(
    selector(signature)
    for signature in (
        "transfer(address,uint256)",
        "transferFrom(address,address,uint256)",
        "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
        "sendNativeToken(address,uint256)",
        "makeExternalCalls(address[],bytes[],address[],address[])",
        "setSavedCallbackContract(address,address)",
        "setUiFeeFactor(uint256)",
        "updateOrder(bytes32,uint256,uint256,uint256,uint256,uint256,bool)",
        "claimCollateral(address[],address[],uint256[],address)",
        "claimAffiliateRewards(address[],address[],address)",
        "claimUiFees(address[],address[],address)",
        "createDeposit(bytes)",
        "createWithdrawal(bytes)",
    )
)
"""What an abused key would like to call."""


@dataclass(frozen=True)
class Case:
    """A transaction with what it is sent for."""

    tx: UnsignedTx
    meant: Intent


def mandate_of(bounds: OrderBounds = BOUNDS, most: Decimal = Decimal(MOST_USDC)) -> Mandate:
    return Mandate(CHAIN_ID, ACCOUNT, VENUE.rules(bounds, most), MAX_GAS, MAX_FEE)


def number(who: str) -> int:
    return int(who, 16)


def words(body: bytes) -> list[int]:
    """32-byte words; none where the data doesn't end with a whole one."""
    whole = range(0, len(body), 32) if len(body) % 32 == 0 else ()
    return [int.from_bytes(body[at : at + 32], "big") for at in whole]


def joined(values: list[int]) -> bytes:
    return b"".join(value.to_bytes(32, "big") for value in values)


def wrapped(steps: list[bytes]) -> bytes:
    """A multicall of these steps, put together word by word."""
    padded = [len(s).to_bytes(32, "big") + s.ljust(-(-len(s) // 32) * 32, b"\0") for s in steps]
    offsets, at = [], 32 * len(steps)
    for item in padded:
        offsets.append(at)
        at += len(item)
    return MULTICALL + joined([32, len(steps), *offsets]) + b"".join(padded)


def unwrapped(data: bytes) -> list[bytes] | None:
    """The steps of a multicall; None unless putting them together again gives the same bytes."""
    found = words(data[4:])
    if data[:4] != MULTICALL or len(found) < 2 or found[1] > 10:
        return None
    steps = []
    for i in range(found[1]):
        at = found[2 + i] + 68 if len(found) > 2 + i else MOST
        if at + 32 > len(data):
            return None
        length = int.from_bytes(data[at : at + 32], "big")
        steps.append(data[at + 32 : at + 32 + length] if length < len(data) else b"")
    return steps if wrapped(steps) == data else None


def allowed(case: Case) -> bool:
    """What the configuration allows to be signed, read from the transaction by hand."""
    tx = case.tx
    if tx.chain_id != CHAIN_ID or tx.nonce < 0 or not 21_000 <= tx.gas <= MAX_GAS:
        return False
    if not 0 <= tx.tip_wei <= tx.max_fee_wei <= MAX_FEE:
        return False
    to, data, found = tx.call.to.lower(), tx.call.data, words(tx.call.data[4:])
    if to == ACCOUNT.lower() and data == b"":
        return (tx.gas, tx.call.value) == (21_000, 0)
    if to == USDC.lower():
        approves = data[:4] == APPROVE and tx.call.value == 0 and len(found) == 2
        return approves and found[0] == number(GMX.router) and found[1] <= MOST_RAW
    if to != GMX.exchange_router.lower():
        return False
    if data[:4] == MULTICALL:
        return 0 <= tx.call.value <= MOST_VALUE and allowed_order(case)
    if tx.call.value:
        return False
    if data[:4] == CANCEL:
        return len(found) == 1
    return data[:4] == CLAIM and allowed_claim(found)


def allowed_claim(found: list[int]) -> bool:
    """Any number of our own markets and tokens, for ourselves."""
    if len(found) < 5 or found[0] != 96 or found[2] != number(ACCOUNT):
        return False
    markets = found[3]
    if len(found) < 5 + markets or found[1] != 128 + 32 * markets:
        return False
    tokens = found[4 + markets]
    of_us = all(m == number(GMX.market) for m in found[4 : 4 + markets])
    ours = all(t in (number(WETH), number(USDC)) for t in found[5 + markets :])
    return of_us and ours and len(found) == 5 + markets + tokens


def allowed_order(case: Case) -> bool:
    """The executor's fee, at most one payment, and one order each of whose words is where and what it must be."""
    steps, value, vault = unwrapped(case.tx.call.data), case.tx.call.value, number(GMX.order_vault)
    if steps is None or len(steps) not in (2, 3) or steps[0] != SEND_WNT + joined([vault, value]):
        return False
    brings = 0
    if len(steps) == 3:
        brings = int.from_bytes(steps[1][-32:], "big")
        if brings == 0 or steps[1] != SEND_TOKENS + joined([number(USDC), vault, brings]):
            return False
    found = words(steps[-1][4:])
    if len(found) != ORDER_WORDS or steps[-1][:4] != CREATE:
        return False
    usd, takes, acceptable, kind, is_long = found[2], found[3], found[5], found[10], found[12]
    me, swap = number(ACCOUNT), int(kind == 4 and is_long == 1)
    template = [32, 512, usd, takes, 0, acceptable, value, 0, 0, 0, kind, swap, is_long, 0, 0, 0, 768]
    if found != [*template, me, me, 0, 0, number(GMX.market), number(USDC), 224, 0, 0]:
        return False
    if kind not in (2, 4) or is_long not in (0, 1) or brings + takes > MOST_RAW:
        return False
    if (takes and kind == 2) or (brings and kind == 4):
        return False
    if usd == 0:
        return brings + takes > 0
    return allowed_size(usd, kind, case.meant) and allowed_price(
        acceptable, (kind == 2) == is_long, case.meant
    )


def allowed_size(usd: int, kind: int, meant: Intent) -> bool:
    """An increase is worth 60 units at the reference price at most; of either kind 60 units at most are meant."""
    reference = int(meant.reference_price * 10**6)
    return abs(meant.size) <= 60 and (kind == 4 or usd <= 60 * reference * 10**24)


def allowed_price(raw: int, buys: bool, meant: Intent) -> bool:
    """A tenth worse than the reference price at most, in units of 10⁻¹² USD."""
    reference = int(meant.reference_price * 10**6) * 10**6
    return raw > 0 and (raw * 10 <= reference * 11 if buys else raw * 10 >= reference * 9)


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a case that fails must come again


def own(dice: random.Random) -> Case:
    """Anything that the bot signs here."""
    kinds = [IntentKind.TRADE] * 6 + [kind for kind in IntentKind if kind is not IntentKind.TRADE]
    kind = dice.choice(kinds)
    lots = dice.choice([1, int(MAX_ORDER / LOT), dice.randint(1, int(MAX_ORDER / LOT))])
    side = dice.choice([1, -1])
    size = side * lots * LOT
    held = dice.choice([Decimal(0), size, -size, -size - side * Decimal(1), -2 * size])
    mark = Decimal(dice.randint(10**6, 2 * 10**9)) / 10**6
    entry = dice.randint(1, 5 * 10**9)
    opened = Side(int(abs(held) * entry) * 10**24, int(abs(held) * E18)) if held else None
    state = gmx_state(
        str(held), mark=mark, long=opened if held > 0 else None, short=opened if held < 0 else None
    )
    worse = dice.choice([Decimal(0), GAP, GAP * dice.randint(0, 1000) / 1000])
    # The bound has the fee on top of the gap, for the acceptable price is before fees.
    bound = mark * (1 + side * worse) * (1 + side * state.fee_ratio)
    bound = bound.quantize(PRICE_STEP, "ROUND_FLOOR" if side > 0 else "ROUND_CEILING")
    meant = intent(size=str(size), price_bound=bound, reference_price=mark, order_id="0x" + "5a" * 32)
    if kind is not IntentKind.TRADE:
        amount = Decimal(dice.choice([1, MOST_RAW, dice.randint(1, MOST_RAW)])) / 10**6
        state = gmx_state(str(held or size), mark=mark)
        meant = replace(meant, kind=kind, size=amount, price_bound=Decimal(0))
    return Case(priced(dice, VENUE.prepare(meant, state)), meant)


def priced(dice: random.Random, call: TxCall) -> UnsignedTx:
    fee = dice.randint(0, MAX_FEE)
    return UnsignedTx(
        CHAIN_ID, dice.randint(0, 10**6), call, dice.randint(21_000, MAX_GAS), fee, dice.randint(0, fee)
    )


def with_data(case: Case, data: bytes) -> Case:
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, data=data)))


def with_word(data: bytes, at: int, value: int) -> bytes:
    return data[: 4 + 32 * at] + value.to_bytes(32, "big") + data[36 + 32 * at :]


def of_steps(change: Callable[[random.Random, Case, list[bytes]], list[bytes]]) -> "Mutation":
    """A mutation of an order's steps, which are wrapped again; others are left alone."""

    def mutated(dice: random.Random, case: Case) -> Case:
        steps = unwrapped(case.tx.call.data) or []
        whole = len(steps) > 1 and len(steps[-1]) == len(CREATE) + 32 * ORDER_WORDS
        return with_data(case, wrapped(change(dice, case, steps))) if whole else case

    mutated.__name__ = change.__name__
    return mutated


def some_value(dice: random.Random, case: Case) -> int:
    reference = int(case.meant.reference_price * 10**6)
    near = dice.choice([0, 0, 1, -1])
    values = [
        *(0, 1, 2, 3, 4, 7, 32, 224, 512, 768, MOST, 2**160, case.tx.call.value),
        *(number(who) for who in (ACCOUNT, FOREIGN, USDC, WETH, GMX.market, GMX.order_vault, GMX.router)),
        *(MOST_RAW, 60 * reference * 10**24, dice.getrandbits(256), dice.getrandbits(100)),
        *(reference * 10**5 * share for share in (9, 10, 11)),
    ]
    return max(min(dice.choice(values) + near, MOST), 0)


@of_steps
def field_of_the_order(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """Any word of the order but one is as it should be."""
    return [*steps[:-1], with_word(steps[-1], dice.randrange(ORDER_WORDS), some_value(dice, case))]


@of_steps
def word_of_a_payment(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    at = dice.randrange(len(steps) - 1)
    body = words(steps[at][4:])
    return [
        *steps[:at],
        with_word(steps[at], dice.randrange(len(body)), some_value(dice, case)),
        *steps[at + 1 :],
    ]


@of_steps
def a_payment_more(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """Collateral, of any amount, from an order that may bring none: to the vault or elsewhere."""
    token, whom = dice.choice([USDC, USDC, WETH]), dice.choice([GMX.order_vault, GMX.order_vault, FOREIGN])
    amount = dice.choice([0, 1, MOST_RAW - 1, MOST_RAW, MOST_RAW + 1, MOST])
    step = SEND_TOKENS + joined([number(token), number(whom), amount])
    return [steps[0], step, steps[-1]] if dice.random() < 0.7 else [*steps[:-1], step, steps[-1]]


@of_steps
def collateral_of_the_order(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """An order that takes another amount back, with a size or with none, and that pays or doesn't."""
    order = with_word(steps[-1], 3, dice.choice([0, 1, MOST_RAW, MOST_RAW + 1, MOST]))
    order = with_word(order, 2, 0) if dice.random() < 0.5 else order
    return [steps[0], order] if dice.random() < 0.5 else [*steps[:-1], order]


@of_steps
def other_steps(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """Left out, doubled, in another order, or with a stranger among them."""
    stranger = dice.choice([*OTHERS, CANCEL, CLAIM, MULTICALL, APPROVE]) + joined([number(FOREIGN), MOST, 0])
    return dice.choice(
        [
            [],
            steps[1:],
            steps[:-1],
            [*steps, steps[-1]],
            [steps[0], *steps],
            list(reversed(steps)),
            [*steps, stranger],
            [stranger, *steps],
            [*steps[:-1], b"", steps[-1]],
        ]
    )


@of_steps
def longer_step(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """The same meaning for who doesn't look behind the arguments."""
    at = dice.randrange(len(steps))
    tail = dice.choice([bytes(32), bytes(1), dice.randbytes(32)])
    return [step + tail if i == at else step for i, step in enumerate(steps)]


@of_steps
def arrays_in_the_order(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """A swap path, or data behind the order, in its canonical form."""
    found = words(steps[-1][4:])
    extra = dice.choice([number(FOREIGN), number(GMX.market), 0])
    if dice.random() < 0.5:
        found[16] += 32
        found[24:25] = [1, extra]
    else:
        found[25:26] = [1, extra]
    return [*steps[:-1], CREATE + joined(found)]


def flip_a_bit(dice: random.Random, case: Case) -> Case:
    data = bytearray(case.tx.call.data)
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return with_data(case, bytes(data))


def set_a_word(dice: random.Random, case: Case) -> Case:
    at = dice.randrange(max((len(case.tx.call.data) - 4) // 32, 1))
    return with_data(case, with_word(case.tx.call.data, at, some_value(dice, case)))


def longer_or_shorter(dice: random.Random, case: Case) -> Case:
    data = case.tx.call.data
    return with_data(case, dice.choice([data + b"\0", data + bytes(32), data[: dice.randrange(len(data))]]))


def another_function(dice: random.Random, case: Case) -> Case:
    head = dice.choice([*OTHERS, MULTICALL, CREATE, SEND_WNT, SEND_TOKENS, CANCEL, CLAIM, APPROVE])
    return with_data(case, head + case.tx.call.data[4:])


def a_bare_step(dice: random.Random, case: Case) -> Case:
    """A step of an order by itself, or something that an abused key would call."""
    steps = unwrapped(case.tx.call.data) or [dice.choice(OTHERS) + joined([number(FOREIGN), MOST])]
    return with_data(case, dice.choice(steps))


def another_target(dice: random.Random, case: Case) -> Case:
    targets = [
        FOREIGN,
        ACCOUNT,
        USDC,
        WETH,
        GMX.router,
        GMX.order_vault,
        GMX.exchange_router,
        GMX.order_handler,
        "",
    ]
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, to=dice.choice(targets))))


def another_value(dice: random.Random, case: Case) -> Case:
    """More or less native coin than the executor's fee says, or as the fee says and too much."""
    value = dice.choice([0, 1, -1, case.tx.call.value + 1, MOST_VALUE, MOST_VALUE + 1])
    steps = unwrapped(case.tx.call.data) or []
    if len(steps) > 1 and len(steps[-1]) > 32 * 7 and value >= 0 and dice.random() < 0.7:
        fee = SEND_WNT + joined([number(GMX.order_vault), value])
        case = with_data(case, wrapped([fee, *steps[1:-1], with_word(steps[-1], 6, value)]))
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, value=value)))


def another_approval(dice: random.Random, case: Case) -> Case:
    whom = number(dice.choice([GMX.router, GMX.router, GMX.exchange_router, FOREIGN]))
    amount = dice.choice([0, 1, MOST_RAW, MOST_RAW + 1, MOST])
    to = dice.choice([USDC, USDC, USDC, WETH, GMX.exchange_router])
    return replace(case, tx=replace(case.tx, call=TxCall(to, APPROVE + joined([whom, amount]))))


def another_claim(dice: random.Random, case: Case) -> Case:
    markets = [number(dice.choice([GMX.market] * 4 + [FOREIGN])) for _ in range(dice.randint(0, 3))]
    tokens = [number(dice.choice([WETH, USDC, WETH, USDC, FOREIGN])) for _ in range(dice.randint(0, 3))]
    whom = number(dice.choice([ACCOUNT, ACCOUNT, ACCOUNT, FOREIGN]))
    body = [96, 128 + 32 * len(markets), whom, len(markets), *markets, len(tokens), *tokens]
    return replace(case, tx=replace(case.tx, call=TxCall(GMX.exchange_router, CLAIM + joined(body))))


def of_the_chain(dice: random.Random, case: Case) -> Case:
    changes = [
        {"chain_id": dice.choice([0, 1, 42161, -CHAIN_ID])},
        {"nonce": dice.choice([-1, 0])},
        {"gas": dice.choice([0, 20_999, 21_000, MAX_GAS, MAX_GAS + 1, MOST])},
        {"max_fee_wei": dice.choice([-1, MAX_FEE, MAX_FEE + 1, MOST])},
        {"tip_wei": dice.choice([-1, MAX_FEE, MAX_FEE + 1])},
    ]
    return replace(case, tx=replace(case.tx, **dice.choice(changes)))


def another_meaning(dice: random.Random, case: Case) -> Case:
    """Another size or another price was decided."""
    share = Decimal(dice.choice([1, 50, 90, 91, 110, 111, 200])) / 100
    price = (case.meant.reference_price * share).quantize(PRICE_STEP)
    sizes = [case.meant.size, MAX_ORDER, -MAX_ORDER, MAX_ORDER + LOT, -MAX_ORDER - LOT]
    return replace(case, meant=replace(case.meant, size=dice.choice(sizes), reference_price=price))


@of_steps
def largest(dice: random.Random, case: Case, steps: list[bytes]) -> list[bytes]:
    """An order of the largest worth, at the worst price of either side, or next to them."""
    reference = int(case.meant.reference_price * 10**6)
    order = with_word(steps[-1], 2, 60 * reference * 10**24 + dice.choice([-1, 0, 1]))
    worst = reference * 10**5 * dice.choice([9, 11]) + dice.choice([-1, 0, 1])
    return [*steps[:-1], with_word(order, 5, worst)]


Mutation = Callable[[random.Random, Case], Case]
MUTATIONS: tuple[Mutation, ...] = (
    *(
        field_of_the_order,
        field_of_the_order,
        field_of_the_order,
        word_of_a_payment,
        a_payment_more,
        other_steps,
    ),
    *(
        longer_step,
        arrays_in_the_order,
        flip_a_bit,
        set_a_word,
        longer_or_shorter,
        another_function,
        a_bare_step,
    ),
    *(another_target, another_value, another_approval, another_claim, of_the_chain, another_meaning, largest),
)


def accepted(case: Case, mandate: Mandate) -> bool:
    """Whether the mandate lets it through. Any other error than a refusal fails the test, but for a known one."""
    try:
        mandate.check(case.tx, case.meant, NOW)
    except OrderRejected:
        return False
    return True


def disagreements(mandate: Mandate, verdicts: Counter[tuple[str, bool]]) -> Iterator[str]:
    """Where the mandate and this file's decoder part in ten thousand cases; `verdicts` counts the mandate's."""
    dice = dice_of(20_261_121)
    for number_ in range(CASES):
        mutation = MUTATIONS[number_ % len(MUTATIONS)]
        case = mutation(dice, own(dice))
        if dice.random() < 0.2 and len(case.tx.call.data) >= 36:
            case = dice.choice(MUTATIONS)(dice, case)
        lets = accepted(case, mandate)
        if lets != allowed(case):
            yield f"{mutation.__name__}, case {number_}, the mandate says {lets}: {case}"
        verdicts[mutation.__name__, lets] += 1


def test_of_ten_thousand_transactions_the_mandate_accepts_what_the_rules_allow_and_nothing_else() -> None:
    verdicts: Counter[tuple[str, bool]] = Counter()
    assert list(disagreements(mandate_of(), verdicts)) == []
    assert sum(verdicts.values()) == CASES
    for mutation in MUTATIONS:
        assert verdicts[mutation.__name__, False] > 0, f"{mutation.__name__} never made a forbidden one"
    assert sum(count for (_, lets), count in verdicts.items() if lets) > CASES // 20, "some mutants are legal"


def test_an_absurd_length_is_refused_and_no_other_error() -> None:
    call = TxCall(GMX.exchange_router, MULTICALL + joined([32, 1, 32, MOST]))
    with pytest.raises(OrderRejected):
        mandate_of().check(UnsignedTx(CHAIN_ID, 0, call, 21_000, 0, 0), intent(), NOW)


def test_everything_of_the_bots_own_is_accepted() -> None:
    dice, mandate, functions = dice_of(7), mandate_of(), Counter[bytes]()
    for _ in range(2_000):
        case = own(dice)
        functions[case.tx.call.data[:4]] += 1
        assert allowed(case), f"the decoder of this test has an error: {case}"
        assert accepted(case, mandate), case
    assert set(functions) == {MULTICALL, CANCEL, CLAIM, APPROVE}


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
    "not in its canonical form",
    "is not allowed",
    "not a fee, at most one payment",
    "the executor's fee of",
    "which is not the collateral token",
    "which is not the order vault",
    "nothing is handed over",
    "an order with another",
    "a decrease that brings",
    "an increase that takes",
    "an order that does nothing",
    "an order that moves",
    "an increase of",
    "an order of",
    "an acceptable price of",
    "which is not the router",
    "an approval of 5",
    "a claim for",
    "a claim of another market",
    "a claim of another token",
)


@pytest.mark.parametrize("reason", REASONS)
def test_a_mandate_that_is_deaf_to_one_of_its_reasons_is_caught(reason: str) -> None:
    whole = mandate_of()
    deaf = DeafMandate(whole.chain_id, whole.account, whole.rules, whole.max_gas, whole.max_fee_wei, reason)
    assert any(disagreements(deaf, Counter()))


BROKEN: dict[str, Callable[[], Mandate]] = {
    "a lot more in an order": lambda: mandate_of(replace(BOUNDS, max_order=MAX_ORDER + LOT)),
    "a lot less in an order": lambda: mandate_of(replace(BOUNDS, max_order=MAX_ORDER - LOT)),
    "a hair more of a gap": lambda: mandate_of(replace(BOUNDS, max_bound_gap=GAP + Decimal("1E-12"))),
    "a hair less of a gap": lambda: mandate_of(replace(BOUNDS, max_bound_gap=GAP - Decimal("1E-12"))),
    "a unit more of collateral": lambda: mandate_of(most=MOST_USDC + Decimal("0.000001")),
    "a unit less of collateral": lambda: mandate_of(most=MOST_USDC - Decimal("0.000001")),
    "no rules": lambda: replace(mandate_of(), rules=()),
    "a wei more of value": lambda: replace(mandate_of(), rules=tuple(map(dearer, mandate_of().rules))),
}


def dearer(rule: Rule) -> Rule:
    return replace(rule, max_value_wei=rule.max_value_wei + 1)


@pytest.mark.parametrize("name", BROKEN)
def test_a_mandate_that_is_broken_on_purpose_is_caught(name: str) -> None:
    assert any(disagreements(BROKEN[name](), Counter()))


def test_every_word_of_an_order_is_looked_at() -> None:
    """One order, each of its words changed to each of many values, against the decoder of this file."""
    dice, mandate = dice_of(11), mandate_of()
    cases = [own(dice) for _ in range(200)]
    orders = [case for case in cases if case.tx.call.data[:4] == MULTICALL]
    seen: Counter[int] = Counter()
    for first, second in pairwise(orders[:40]):
        assert first != second
        for at in range(ORDER_WORDS):
            steps = unwrapped(first.tx.call.data)
            assert steps is not None
            changed = with_word(steps[-1], at, some_value(dice, first))
            case = with_data(first, wrapped([*steps[:-1], changed]))
            assert accepted(case, mandate) == allowed(case), (at, case)
            seen[at] += not accepted(case, mandate)
    assert all(seen[at] for at in range(ORDER_WORDS))


def test_the_signature_is_the_documented_one() -> None:
    assert CREATE.hex() == "f59c48eb"
    assert E30 == 10**30
