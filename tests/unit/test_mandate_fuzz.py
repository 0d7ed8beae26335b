"""Ten thousand transactions against the mandate, judged by a decoder of this file's own.

It shares nothing with the bot's: selectors are hashed from their signatures here, words are cut out by offset, and the
rules are written down a second time, in whole numbers. What the mandate lets through must be allowed by both, and
every order and transfer that the bot makes itself must pass. Mandates that are broken on purpose must be caught.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from builders import ACCOUNT, CHAIN, CHAIN_ID, CURIE, NOW, address, intent, venue_state
from eth_utils.crypto import keccak

from bot.chain.mandate import Mandate, Occasion, Rule
from bot.core.model import Intent, IntentKind
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.venues.bounds import OrderBounds, TransferBounds
from bot.venues.curie import CurieVenue, Delegation, Settlement

CASES = 10_000
MAX_ORDER = Decimal("60")
MAX_RAW = 60 * 10**18
MAX_GAS = 5_000_000
MAX_FEE = 50 * 10**9
LOT = Decimal("0.001")
GAP = Decimal("0.1")
TTL_S = 120
SLACK_S = 60
MOST_USD = 50_000
MOST_MOVED = MOST_USD * 10**6
TOKEN = address(12)
TRADER = address(77)
FOREIGN = address(66)
MOST = 2**256 - 1

OPEN = "(address,bool,bool,uint256,uint256,uint256,uint160,bytes32)"
CLOSE = "(address,uint160,uint256,uint256,bytes32)"


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a case that fails must come again


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


OPEN_POSITION = selector(f"openPosition({OPEN})")
OPEN_POSITION_FOR = selector(f"openPositionFor(address,{OPEN})")
CLOSE_POSITION = selector(f"closePosition({CLOSE})")
APPROVE = selector("approve(address,uint256)")
DEPOSIT = selector("deposit(address,uint256)")
WITHDRAW = selector("withdraw(address,uint256)")

OTHERS = {
    "transfer": "transfer(address,uint256)",
    "transferFrom": "transferFrom(address,address,uint256)",
    "approve": "approve(address,uint256)",
    "increaseAllowance": "increaseAllowance(address,uint256)",
    "permit": "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "withdraw": "withdraw(address,uint256)",
    "withdrawAll": "withdrawAll(address)",
    "withdrawEther": "withdrawEther(uint256)",
    "deposit": "deposit(address,uint256)",
    "depositFor": "depositFor(address,address,uint256)",
    "liquidate": "liquidate(address,address,int256)",
    "addLiquidity": "addLiquidity((address,uint256,uint256,int24,int24,uint256,uint256,bool,uint256))",
    "removeLiquidity": "removeLiquidity((address,int24,int24,uint128,uint256,uint256,uint256))",
    "delegate approve": "approve(address,uint8)",
    "delegate revoke": "revoke(address,uint8)",
    "setDelegateApproval": "setDelegateApproval(address)",
    "transferOwnership": "transferOwnership(address)",
    "setOwner": "setOwner(address)",
    "upgradeTo": "upgradeTo(address)",
    "multicall": "multicall(bytes[])",
    "execTransaction": "execTransaction(address,uint256,bytes,uint8)",
}
"""What an abused key would like to call."""


ORDERS = OrderBounds(MAX_ORDER, GAP, TTL_S)


@dataclass(frozen=True)
class World:
    """Who signs, for whom, and the mandate of its configuration.

    `deposits` and `withdraws` say what its key may do with the margin; an order carries up to `value` wei.
    """

    name: str
    trader: str | None = None
    deposits: bool = False
    withdraws: bool = False
    value: int = 0

    @property
    def venue(self) -> CurieVenue:
        """The bot's own adapter, which makes the orders that must pass."""
        delegation = None if self.trader is None else Delegation(self.trader, address(12))
        return CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, LOT, delegation, Settlement(TOKEN, 6))

    def mandate_of(self, orders: OrderBounds, most_usd: Decimal = Decimal(MOST_USD)) -> Mandate:
        """The mandate with other bounds."""
        transfers = TransferBounds(most_usd, most_usd if self.withdraws else Decimal(0))
        rules = self.venue.rules(orders, transfers if self.deposits else None)
        paying = tuple(
            replace(rule, max_value_wei=self.value) if rule.function == "openPosition" else rule
            for rule in rules
        )
        return Mandate(CHAIN_ID, ACCOUNT, paying, MAX_GAS, MAX_FEE)

    @property
    def mandate(self) -> Mandate:
        """What is tested."""
        return self.mandate_of(ORDERS)


OWN = World("own account")
DELEGATE = World("delegate", TRADER, deposits=True)
TOPPING_UP = World("own account with margin", deposits=True)
GIVING = World("own account with withdrawals", deposits=True, withdraws=True)
PAYING = World("orders that carry a value", value=10**15)
WORLDS = (OWN, DELEGATE, TOPPING_UP, GIVING, PAYING)
in_every_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


@dataclass(frozen=True)
class Case:
    """A transaction with what it is sent for, and the desk's clock."""

    tx: UnsignedTx
    meant: Intent
    now: int


def words(data: bytes) -> list[int] | None:
    """The arguments as 32-byte words; None where the data doesn't end with a whole one."""
    body = data[4:]
    if len(body) % 32:
        return None
    return [int.from_bytes(body[at : at + 32], "big") for at in range(0, len(body), 32)]


def number(who: str) -> int:
    return int(who, 16)


def allowed(case: Case, world: World) -> bool:
    """What the configuration allows to be signed, read from the transaction by hand."""
    tx = case.tx
    if tx.chain_id != CHAIN_ID or tx.nonce < 0 or not 21_000 <= tx.gas <= MAX_GAS:
        return False
    if not (0 <= tx.tip_wei <= tx.max_fee_wei <= MAX_FEE):
        return False
    to, data = tx.call.to.lower(), tx.call.data
    if to == ACCOUNT.lower() and data == b"":
        return (tx.gas, tx.call.value) == (21_000, 0)
    found = words(data)
    if found is None or not 0 <= tx.call.value <= (world.value if data[:4] == OPEN_POSITION else 0):
        return False
    if to == CURIE.clearing_house.lower():
        return allowed_order(data[:4], found, case, world)
    return world.trader is None and world.deposits and allowed_transfer(to, data[:4], found, world)


def allowed_transfer(to: str, head: bytes, found: list[int], world: World) -> bool:
    if len(found) != 2 or found[1] > MOST_MOVED:
        return False
    if to == TOKEN.lower():
        return head == APPROVE and found[0] == number(CURIE.vault)
    if found[1] == 0:
        return False
    functions = (DEPOSIT, WITHDRAW) if world.withdraws else (DEPOSIT,)
    return to == CURIE.vault.lower() and head in functions and found[0] == number(TOKEN)


def allowed_order(head: bytes, found: list[int], case: Case, world: World) -> bool:
    if world.trader is None:
        if head == OPEN_POSITION:
            return len(found) == 8 and allowed_open(found, case)
        return head == CLOSE_POSITION and len(found) == 5 and allowed_close(found, case)
    if head != OPEN_POSITION_FOR or len(found) != 9:
        return False
    return found[0] == number(world.trader) and allowed_open(found[1:], case)


def allowed_open(found: list[int], case: Case) -> bool:
    base, sells, exact_input, amount, bound, deadline, root, referral = found
    return (
        base == number(CURIE.base_token)
        and sells in (0, 1)
        and exact_input == sells
        and (root, referral) == (0, 0)
        and allowed_price(-amount if sells else amount, bound, case)
        and deadline <= case.now + TTL_S + SLACK_S
    )


def allowed_close(found: list[int], case: Case) -> bool:
    base, root, bound, deadline, referral = found
    return (
        base == number(CURIE.base_token)
        and (root, referral) == (0, 0)
        and allowed_price(int(case.meant.size * 10**18), bound, case)
        and deadline <= case.now + TTL_S + SLACK_S
    )


def allowed_price(amount: int, bound: int, case: Case) -> bool:
    """A tenth worse than the reference price at most, in units of 10⁻³¹ USD."""
    if not 0 < abs(amount) <= MAX_RAW or bound <= 0:
        return False
    worth = abs(amount) * int(case.meant.reference_price * 10**12)
    asked = bound * 10**12
    return asked * 10 <= worth * 11 if amount > 0 else asked * 10 >= worth * 9


def own(dice: random.Random, world: World) -> Case:
    """An order or a transfer as the bot makes them."""
    moves = world.deposits and world.trader is None and dice.random() < 0.4
    return own_transfer(dice, world) if moves else own_order(dice, world)


def own_order(dice: random.Random, world: World) -> Case:
    """Any size up to the largest, either way, with a bound up to the worst, a deadline up to the latest and any fee."""
    lots = dice.choice([1, int(MAX_ORDER / LOT), dice.randint(1, int(MAX_ORDER / LOT))])
    side = dice.choice([1, -1])
    position = dice.choice(["0", "250", "-250", str(-side * lots * LOT)])
    reference = Decimal(dice.randint(10**4, 10**13)) / 10**6
    worse = dice.choice([Decimal(0), GAP, GAP * dice.randint(0, 1000) / 1000])
    step = Decimal("0.000001")
    bound = (reference * (1 + side * worse)).quantize(step, "ROUND_FLOOR" if side > 0 else "ROUND_CEILING")
    now = dice.randint(1, 2**33)
    meant = intent(
        size=str(side * lots * LOT),
        price_bound=bound,
        deadline=now + dice.choice([TTL_S + SLACK_S, TTL_S, dice.randint(-500, TTL_S)]),
        reference_price=reference,
    )
    meant = replace(meant, deadline=max(meant.deadline, 0))
    value = dice.choice([0, world.value]) if world.value else 0
    call = replace(world.venue.prepare(meant, venue_state(position)), value=0)
    if call.data[:4] == OPEN_POSITION:
        call = replace(call, value=value)
    return Case(priced(dice, call), meant, now)


def own_transfer(dice: random.Random, world: World) -> Case:
    kinds = [IntentKind.APPROVE, IntentKind.ADD_MARGIN]
    kind = dice.choice([*kinds, IntentKind.WITHDRAW_MARGIN] if world.withdraws else kinds)
    least = 0 if kind is IntentKind.APPROVE else 1
    amount = Decimal(dice.choice([least, MOST_MOVED, dice.randint(1, MOST_MOVED)])) / 10**6
    meant = intent(kind=kind, size=str(amount), price_bound=Decimal(0))
    return Case(priced(dice, world.venue.prepare(meant, venue_state())), meant, NOW)


def priced(dice: random.Random, call: TxCall) -> UnsignedTx:
    fee = dice.randint(0, MAX_FEE)
    gas, nonce = dice.randint(21_000, MAX_GAS), dice.randint(0, 10**6)
    return UnsignedTx(CHAIN_ID, nonce, call, gas, fee, dice.randint(0, fee))


def cancel(dice: random.Random) -> UnsignedTx:
    return replace(priced(dice, TxCall(ACCOUNT, b"")), gas=21_000)


def with_data(tx: UnsignedTx, data: bytes) -> UnsignedTx:
    return replace(tx, call=replace(tx.call, data=data))


def with_word(data: bytes, at: int, value: int) -> bytes:
    return data[: 4 + 32 * at] + value.to_bytes(32, "big") + data[36 + 32 * at :]


def flip_a_bit(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    data = bytearray(tx.call.data)
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    return with_data(tx, bytes(data))


def flip_bits_of_a_word(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    at = dice.randrange(len(tx.call.data) // 32)
    data = bytearray(tx.call.data)
    for _ in range(dice.randint(1, 4)):
        data[4 + 32 * at + dice.randrange(32)] ^= 1 << dice.randrange(8)
    return with_data(tx, bytes(data))


def set_a_word(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    values = [
        0,
        1,
        2,
        MAX_RAW,
        MAX_RAW + 1,
        MOST_MOVED,
        MOST_MOVED + 1,
        MOST,
        2**160 - 1,
        2**160,
        2**255,
        number(CURIE.base_token),
        number(CURIE.base_token) + 2**160,
        number(FOREIGN),
        number(TRADER),
        number(ACCOUNT),
        dice.getrandbits(256),
        dice.getrandbits(64),
    ]
    at = dice.randrange(len(tx.call.data) // 32)
    return with_data(tx, with_word(tx.call.data, at, dice.choice(values)))


def swap_words(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    found = words(tx.call.data) or []
    first, second = dice.sample(range(len(found)), 2)
    data = with_word(with_word(tx.call.data, first, found[second]), second, found[first])
    return with_data(tx, data)


def another_function(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    own_ones = [OPEN_POSITION, OPEN_POSITION_FOR, CLOSE_POSITION, APPROVE, DEPOSIT, WITHDRAW]
    selectors = [*own_ones, *map(selector, OTHERS.values())]
    head = dice.choice([*selectors, dice.randbytes(4)])
    return with_data(tx, head + tx.call.data[4:])


def another_call(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """A transfer, an approval, a withdrawal: to a foreigner or to anybody, of everything or of nothing."""
    who = dice.choice([FOREIGN, ACCOUNT, TRADER, CURIE.clearing_house, CURIE.vault, TOKEN])
    arguments = [number(who), dice.choice([0, 1, 10**18, MOST]), number(FOREIGN), dice.getrandbits(200)]
    data = selector(dice.choice(list(OTHERS.values())))
    data += b"".join(value.to_bytes(32, "big") for value in arguments[: dice.randint(1, 4)])
    to = dice.choice([CURIE.clearing_house, CURIE.vault, CURIE.base_token, TOKEN, FOREIGN, ACCOUNT])
    return replace(tx, call=TxCall(to, data))


def another_transfer(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """An approval, a deposit or a withdrawal that is right but for its amount, its partner or its contract."""
    (head, right, at), wrong = dice.choice(TRANSFERS), dice.random()
    who = dice.choice([FOREIGN, ACCOUNT, CURIE.clearing_house, CURIE.quoter]) if wrong < 0.25 else right
    to = dice.choice([FOREIGN, CURIE.clearing_house, TOKEN, CURIE.vault]) if 0.25 < wrong < 0.4 else at
    amounts = [0, 1, MOST_MOVED - 1, MOST_MOVED, MOST_MOVED + 1, 2 * MOST_MOVED, MOST]
    body = number(who).to_bytes(32, "big") + dice.choice(amounts).to_bytes(32, "big")
    return replace(tx, call=TxCall(to, head + body))


def order_for(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """An order in another's name, or in one's own where it must be another's."""
    body = tx.call.data[36:] if tx.call.data[:4] == OPEN_POSITION_FOR else tx.call.data[4:]
    who = number(dice.choice([FOREIGN, ACCOUNT, TRADER])) + dice.choice([0, 0, 2**160, 2**255])
    return with_data(tx, OPEN_POSITION_FOR + who.to_bytes(32, "big") + body)


def order_for_oneself(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    body = tx.call.data[36:] if tx.call.data[:4] == OPEN_POSITION_FOR else tx.call.data[4:]
    return with_data(tx, OPEN_POSITION + body)


def another_market(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    at = 1 if tx.call.data[:4] == OPEN_POSITION_FOR else 0
    market = dice.choice([FOREIGN, CURIE.pool, CURIE.vault, address(80), address(0)])
    return with_data(tx, with_word(tx.call.data, at, number(market)))


def another_target(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    targets = [
        FOREIGN,
        ACCOUNT,
        CURIE.vault,
        CURIE.exchange,
        CURIE.clearing_house[:-1],
        CURIE.clearing_house + "00",
        "",
        "0x",
        "0x" + dice.randbytes(20).hex(),
    ]
    return replace(tx, call=replace(tx.call, to=dice.choice(targets)))


def another_chain(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    return replace(tx, chain_id=dice.choice([0, 1, 10, 42161, CHAIN_ID + 1, -CHAIN_ID, dice.getrandbits(64)]))


def native_coin(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    value = dice.choice([1, -1, 10**15, 10**15 + 1, 10**18, MOST, dice.getrandbits(80)])
    return replace(tx, call=replace(tx.call, value=value))


def another_gas(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    gas = [MAX_GAS + 1, MAX_GAS, 21_000, 21_001, 20_999, 2**64, MOST, dice.randint(0, 2 * MAX_GAS)]
    return replace(tx, gas=dice.choice(gas))


def another_nonce(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    return replace(tx, nonce=dice.choice([-1, -(2**64), 0, 1]))


def another_fee(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    fees = [-1, 0, 1, MAX_FEE - 1, MAX_FEE, MAX_FEE + 1, MOST, dice.randint(0, 2 * MAX_FEE)]
    return replace(tx, max_fee_wei=dice.choice(fees), tip_wei=dice.choice(fees))


def longer(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    tail = dice.choice([b"\x00", bytes(32), dice.randbytes(dice.randint(1, 96)), tx.call.data])
    return with_data(tx, tx.call.data + tail)


def shorter(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    return with_data(tx, tx.call.data[: dice.randrange(len(tx.call.data))])


def dirty_padding(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """The same values for who drops what lies above an address, a flag or a 160-bit number."""
    found = words(tx.call.data) or []
    at = dice.randrange(len(found))
    above = dice.choice([2**8, 2**160, 2**255, 2**161 + 2**200])
    return with_data(tx, with_word(tx.call.data, at, (found[at] + above) % 2**256))


def offset_encoding(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """The struct behind an offset, as a dynamic one would be."""
    return with_data(tx, tx.call.data[:4] + (32).to_bytes(32, "big") + tx.call.data[4:])


def data_to_oneself(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """Near a cancel: with data, value, another gas limit, or to somebody else."""
    return dice.choice(
        [
            replace(tx, call=TxCall(ACCOUNT, dice.randbytes(dice.randint(1, 40))), gas=21_000),
            replace(tx, call=TxCall(ACCOUNT, b"", 1), gas=21_000),
            replace(tx, call=TxCall(ACCOUNT, b""), gas=dice.choice([0, 20_999, 21_001, MAX_GAS])),
            replace(tx, call=TxCall(FOREIGN, b""), gas=21_000),
            replace(tx, call=TxCall(CURIE.clearing_house, b""), gas=21_000),
        ]
    )


def random_calldata(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    head = dice.choice([b"", OPEN_POSITION, OPEN_POSITION_FOR, CLOSE_POSITION])
    size = dice.choice([dice.randint(0, 400), 5 * 32, 8 * 32, 9 * 32])
    return with_data(tx, head + dice.randbytes(size))


TRANSFERS = (
    (APPROVE, CURIE.vault, TOKEN),
    (DEPOSIT, TOKEN, CURIE.vault),
    (WITHDRAW, TOKEN, CURIE.vault),
)


def bound_at(data: bytes) -> int | None:
    """Which word of an order is its bound."""
    return {OPEN_POSITION: 4, OPEN_POSITION_FOR: 5, CLOSE_POSITION: 2}.get(data[:4])


def another_bound(dice: random.Random, case: Case) -> Case:
    """A bound at the worst price of either side, next to it, or a multiple of the reference price."""
    at = bound_at(case.tx.call.data)
    if at is None:
        return case
    found = words(case.tx.call.data) or []
    raw = found[at - 1] if len(found) > 5 else int(abs(case.meant.size) * 10**18)
    worth = raw * int(case.meant.reference_price * 10**12)
    share = dice.choice([9, 11, 9, 11, 10, 1, 100])
    bound = min(max(worth * share // (10 * 10**12) + dice.choice([-1, 0, 0, 1, 2]), 0), MOST)
    return replace(case, tx=with_data(case.tx, with_word(case.tx.call.data, at, bound)))


def another_deadline(dice: random.Random, case: Case) -> Case:
    at = bound_at(case.tx.call.data)
    if at is None:
        return case
    latest = case.now + TTL_S + SLACK_S
    deadline = dice.choice([latest, latest + 1, latest - 1, 2 * latest, 0, MOST])
    return replace(case, tx=with_data(case.tx, with_word(case.tx.call.data, at + 1, deadline)))


def another_clock(dice: random.Random, case: Case) -> Case:
    return replace(case, now=case.now + dice.choice([-(10**6), -61, -1, 0, 1, 10**6]))


def another_reference(dice: random.Random, case: Case) -> Case:
    """The price was another one when the intent was decided."""
    change = Decimal(dice.choice([1, 50, 89, 90, 91, 99, 101, 109, 110, 111, 112, 200])) / 100
    reference = (case.meant.reference_price * change).quantize(Decimal("0.000001"))
    return replace(case, meant=replace(case.meant, reference_price=reference))


def another_size(dice: random.Random, case: Case) -> Case:
    """Another size was decided, which is all that says what a close trades."""
    wei = Decimal(1).scaleb(-18)
    sizes = [Decimal(0), case.meant.size * 2, -case.meant.size, MAX_ORDER, -MAX_ORDER, MAX_ORDER + wei]
    return replace(case, meant=replace(case.meant, size=dice.choice(sizes)))


def largest(dice: random.Random, case: Case) -> Case:
    """An order of the largest amount or next to it, at the reference price."""
    at = bound_at(case.tx.call.data)
    raw = MAX_RAW + dice.choice([-1, 0, 1])
    reference = int(case.meant.reference_price * 10**12)
    if at is None:
        return case
    data = with_word(case.tx.call.data, at, -(-raw * reference // 10**12))
    if at == 2:
        size = Decimal(raw).scaleb(-18).copy_sign(case.meant.size)
        return replace(case, tx=with_data(case.tx, data), meant=replace(case.meant, size=size))
    return replace(case, tx=with_data(case.tx, with_word(data, at - 1, raw)))


Mutation = Callable[[random.Random, Case], Case]


def of_the_transaction(mutation: Callable[[random.Random, UnsignedTx], UnsignedTx]) -> Mutation:
    def mutated(dice: random.Random, case: Case) -> Case:
        return replace(case, tx=mutation(dice, case.tx))

    mutated.__name__ = mutation.__name__
    return mutated


MUTATIONS: tuple[Mutation, ...] = (
    *map(
        of_the_transaction,
        (
            flip_a_bit,
            flip_bits_of_a_word,
            set_a_word,
            swap_words,
            another_function,
            another_call,
            another_transfer,
            order_for,
            order_for_oneself,
            another_market,
            another_target,
            another_chain,
            native_coin,
            another_gas,
            another_nonce,
            another_fee,
            longer,
            shorter,
            dirty_padding,
            offset_encoding,
            data_to_oneself,
            random_calldata,
        ),
    ),
    another_bound,
    another_deadline,
    another_clock,
    another_reference,
    another_size,
    largest,
)


def accepted(case: Case, mandate: Mandate) -> bool:
    """Whether the mandate lets it through. Any other error than a refusal fails the test."""
    try:
        mandate.check(case.tx, case.meant, case.now)
    except OrderRejected:
        return False
    return True


def disagreements(
    world: World, mandate: Mandate, verdicts: Counter[tuple[str, bool]], cases: int = CASES
) -> Iterator[str]:
    """Where the mandate and this file's decoder part in so many cases; `verdicts` counts the mandate's."""
    dice = dice_of(20_260_719)
    for number_ in range(cases):
        mutation = MUTATIONS[number_ % len(MUTATIONS)]
        case = mutation(dice, own(dice, world))
        if dice.random() < 0.2 and len(words(case.tx.call.data) or ()) >= 2:
            case = dice.choice(MUTATIONS)(dice, case)
        lets = accepted(case, mandate)
        if lets != allowed(case, world):
            yield f"{mutation.__name__}, case {number_}, the mandate says {lets}: {case}"
        verdicts[mutation.__name__, lets] += 1


def caught(world: World, broken: Mandate) -> bool:
    return any(disagreements(world, broken, Counter()))


@in_every_world
def test_of_thousands_of_transactions_the_mandate_accepts_what_the_rules_allow_and_nothing_else(
    world: World, long: bool
) -> None:
    """Ten thousand cases over all worlds together; with --long in each of them."""
    cases = CASES if long else CASES // len(WORLDS)
    verdicts: Counter[tuple[str, bool]] = Counter()
    assert list(disagreements(world, world.mandate, verdicts, cases)) == []
    assert sum(verdicts.values()) == cases
    for mutation in MUTATIONS:
        assert verdicts[mutation.__name__, False] > 0, f"{mutation.__name__} never made a forbidden one"
    assert sum(count for (_, lets), count in verdicts.items() if lets) > cases // 20, "some mutants are legal"


@dataclass(frozen=True)
class DeafMandate(Mandate):
    """Lets through what it would refuse for one reason."""

    deaf_to: str

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
    "is not the market",
    "needs a price bound",
    "no second limit",
    "pays no referrer",
    "must be in base units",
    "an order of",
    "a deadline of",
    "worse than",
    "is not the settlement token",
    "which is not the vault",
    "an approval of 5",
    "a deposit of",
    "a withdrawal of",
)


@pytest.mark.parametrize("reason", REASONS)
def test_a_mandate_that_is_deaf_to_one_of_its_reasons_is_caught(reason: str) -> None:
    mandate = GIVING.mandate
    fields = (mandate.chain_id, mandate.account, mandate.rules, mandate.max_gas, mandate.max_fee_wei)
    assert caught(GIVING, DeafMandate(*fields, reason))


def test_a_mandate_that_is_deaf_to_whom_an_order_is_for_is_caught() -> None:
    mandate = DELEGATE.mandate
    fields = (mandate.chain_id, mandate.account, mandate.rules, mandate.max_gas, mandate.max_fee_wei)
    assert caught(DELEGATE, DeafMandate(*fields, "an order for"))


def blurred(world: World, function: str, change: Callable[[Occasion], Occasion]) -> Mandate:
    """A mandate whose rule for a function is told another occasion."""
    mandate = world.mandate

    def deceived(rule: Rule) -> Rule:
        return replace(rule, check=lambda arguments, occasion: rule.check(arguments, change(occasion)))

    rules = tuple(deceived(rule) if rule.function == function else rule for rule in mandate.rules)
    return replace(mandate, rules=rules)


WEI = Decimal(1).scaleb(-18)
BROKEN: dict[str, tuple[World, Callable[[], Mandate]]] = {
    "a wei more in an order": (OWN, lambda: OWN.mandate_of(replace(ORDERS, max_order=MAX_ORDER + WEI))),
    "a wei less in an order": (OWN, lambda: OWN.mandate_of(replace(ORDERS, max_order=MAX_ORDER - WEI))),
    "a second longer": (OWN, lambda: OWN.mandate_of(replace(ORDERS, ttl_s=TTL_S + 1))),
    "a second shorter": (OWN, lambda: OWN.mandate_of(replace(ORDERS, ttl_s=TTL_S - 1))),
    "a hair more of a gap": (OWN, lambda: OWN.mandate_of(replace(ORDERS, max_bound_gap=GAP + WEI))),
    "a hair less of a gap": (OWN, lambda: OWN.mandate_of(replace(ORDERS, max_bound_gap=GAP - WEI))),
    "a unit more moved": (GIVING, lambda: GIVING.mandate_of(ORDERS, MOST_USD + Decimal("0.000001"))),
    "a unit less moved": (GIVING, lambda: GIVING.mandate_of(ORDERS, MOST_USD - Decimal("0.000001"))),
    "withdrawals nobody wanted": (TOPPING_UP, lambda: GIVING.mandate),
    "transfers nobody wanted": (OWN, lambda: TOPPING_UP.mandate),
    "a value nobody wanted": (OWN, lambda: PAYING.mandate),
    "no value where one is wanted": (PAYING, lambda: OWN.mandate),
    "a wei more of value": (PAYING, lambda: replace(PAYING, value=PAYING.value + 1).mandate),
    "no rules": (OWN, lambda: replace(OWN.mandate, rules=())),
    "more gas": (OWN, lambda: replace(OWN.mandate, max_gas=MAX_GAS + 1)),
    "a dearer fee": (OWN, lambda: replace(OWN.mandate, max_fee_wei=MAX_FEE + 1)),
    "a close of any size": (
        OWN,
        lambda: blurred(OWN, "closePosition", lambda o: replace(o, size=min(o.size, MAX_ORDER))),
    ),
    "a close the other way round": (
        OWN,
        lambda: blurred(OWN, "closePosition", lambda o: replace(o, size=-o.size)),
    ),
    "another price": (
        OWN,
        lambda: blurred(
            OWN, "openPosition", lambda o: replace(o, reference_price=o.reference_price + Decimal("0.01"))
        ),
    ),
    "another clock": (OWN, lambda: blurred(OWN, "openPosition", lambda o: replace(o, now=o.now + 1))),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mandate_that_is_broken_on_purpose_is_caught(name: str) -> None:
    world, broken = BROKEN[name]
    assert caught(world, broken())


@in_every_world
def test_every_order_transfer_and_cancel_of_the_bots_own_is_accepted(world: World) -> None:
    dice, mandate = dice_of(7), world.mandate
    functions: Counter[bytes] = Counter()
    for _ in range(2_000):
        case = own(dice, world)
        functions[case.tx.call.data[:4]] += 1
        assert allowed(case, world), "the decoder of this test has an error"
        assert accepted(case, mandate), case
        no_op = replace(case, tx=cancel(dice))
        assert allowed(no_op, world)
        assert accepted(no_op, mandate)
    expected = {OPEN_POSITION, CLOSE_POSITION} if world.trader is None else {OPEN_POSITION_FOR}
    if world.deposits and world.trader is None:
        expected |= {APPROVE, DEPOSIT, WITHDRAW} if world.withdraws else {APPROVE, DEPOSIT}
    assert set(functions) == expected


@pytest.mark.parametrize("to", [CURIE.clearing_house, CURIE.vault, CURIE.base_token, TOKEN, FOREIGN, ACCOUNT])
@pytest.mark.parametrize("name", OTHERS)
def test_no_other_function_of_any_contract_is_accepted(name: str, to: str) -> None:
    arguments = (number(FOREIGN), MOST, MOST, 0, 0, 0, 0)
    data = selector(OTHERS[name]) + b"".join(value.to_bytes(32, "big") for value in arguments)
    tx = UnsignedTx(CHAIN_ID, 0, TxCall(to, data), 100_000, 10**9, 10**9)
    for world in WORLDS:
        assert not accepted(Case(tx, intent(), NOW), world.mandate)
        assert not accepted(Case(replace(tx, gas=21_000), intent(), NOW), world.mandate)


@in_every_world
def test_an_order_in_the_name_of_another_account_is_refused(world: World) -> None:
    dice = dice_of(3)
    body = OWN.venue.prepare(intent(size="5"), venue_state()).data[4:]
    for who in (FOREIGN, ACCOUNT, address(0)):
        data = OPEN_POSITION_FOR + number(who).to_bytes(32, "big") + body
        case = own_order(dice, world)
        assert not accepted(replace(case, tx=with_data(case.tx, data)), world.mandate)
