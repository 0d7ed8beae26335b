"""Ten thousand transactions against the mandate, judged by a decoder of this file's own.

It shares nothing with the bot's: selectors are hashed from their signatures here, words are cut out by offset, and the
rules are written down a second time. What the mandate lets through must be allowed by both, and every order that the
bot makes itself must pass.
"""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from builders import ACCOUNT, CHAIN, CHAIN_ID, CURIE, address, intent, venue_state
from eth_utils.crypto import keccak

from bot.chain.mandate import Mandate
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.venues.curie import CurieVenue, Delegation

CASES = 10_000
MAX_ORDER = Decimal("60")
MAX_RAW = 60 * 10**18
MAX_GAS = 5_000_000
MAX_FEE = 50 * 10**9
LOT = Decimal("0.001")
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


@dataclass(frozen=True)
class World:
    """Who signs, for whom, and the mandate of its configuration."""

    trader: str | None

    @property
    def venue(self) -> CurieVenue:
        """The bot's own adapter, which makes the orders that must pass."""
        delegation = None if self.trader is None else Delegation(self.trader, address(12))
        return CurieVenue("curie-eth", CHAIN, ACCOUNT, CURIE, LOT, delegation)

    @property
    def mandate(self) -> Mandate:
        """What is tested."""
        return Mandate(CHAIN_ID, ACCOUNT, self.venue.rules(MAX_ORDER), MAX_GAS, MAX_FEE)


OWN = World(None)
DELEGATE = World(TRADER)


def words(data: bytes) -> list[int] | None:
    """The arguments as 32-byte words; None where the data doesn't end with a whole one."""
    body = data[4:]
    if len(body) % 32:
        return None
    return [int.from_bytes(body[at : at + 32], "big") for at in range(0, len(body), 32)]


def number(who: str) -> int:
    return int(who, 16)


def allowed(tx: UnsignedTx, world: World) -> bool:
    """What the configuration allows to be signed, read from the transaction by hand."""
    if tx.chain_id != CHAIN_ID or tx.call.value != 0 or tx.gas > MAX_GAS:
        return False
    if not (0 <= tx.tip_wei <= tx.max_fee_wei <= MAX_FEE):
        return False
    to, data = tx.call.to.lower(), tx.call.data
    if to == ACCOUNT.lower() and data == b"":
        return tx.gas == 21_000
    if to != CURIE.clearing_house.lower():
        return False
    return allowed_call(data, world)


def allowed_call(data: bytes, world: World) -> bool:
    found = words(data)
    if found is None:
        return False
    if world.trader is None:
        if data[:4] == OPEN_POSITION:
            return len(found) == 8 and allowed_open(found)
        return data[:4] == CLOSE_POSITION and len(found) == 5 and allowed_close(found)
    if data[:4] != OPEN_POSITION_FOR or len(found) != 9:
        return False
    return found[0] == number(world.trader) and allowed_open(found[1:])


def allowed_open(found: list[int]) -> bool:
    base, sells, exact_input, amount, bound, _deadline, root, referral = found
    return (
        base == number(CURIE.base_token)
        and sells in (0, 1)
        and exact_input == sells
        and 0 < amount <= MAX_RAW
        and bound > 0
        and (root, referral) == (0, 0)
    )


def allowed_close(found: list[int]) -> bool:
    base, root, bound, _deadline, referral = found
    return base == number(CURIE.base_token) and bound > 0 and (root, referral) == (0, 0)


def own_order(dice: random.Random, world: World) -> UnsignedTx:
    """An order as the bot makes it: any size up to the largest, either way, with a fee up to the highest."""
    lots = dice.choice([1, int(MAX_ORDER / LOT), dice.randint(1, int(MAX_ORDER / LOT))])
    size = dice.choice([1, -1]) * lots * LOT
    position = dice.choice(["0", "250", "-250", str(-size)])
    price = Decimal(dice.randint(1, 10**7)) / 1000
    order = intent(size=str(size), price_bound=price, deadline=dice.randint(1, 2**33))
    fee = dice.randint(0, MAX_FEE)
    return UnsignedTx(
        chain_id=CHAIN_ID,
        nonce=dice.randint(0, 10**6),
        call=world.venue.prepare(order, venue_state(position)),
        gas=dice.randint(21_000, MAX_GAS),
        max_fee_wei=fee,
        tip_wei=dice.randint(0, fee),
    )


def cancel(dice: random.Random) -> UnsignedTx:
    fee = dice.randint(0, MAX_FEE)
    return UnsignedTx(CHAIN_ID, dice.randint(0, 99), TxCall(ACCOUNT, b""), 21_000, fee, dice.randint(0, fee))


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
    selectors = [OPEN_POSITION, OPEN_POSITION_FOR, CLOSE_POSITION, *map(selector, OTHERS.values())]
    head = dice.choice([*selectors, dice.randbytes(4)])
    return with_data(tx, head + tx.call.data[4:])


def another_call(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    """A transfer, an approval, a withdrawal: to a foreigner or to anybody, of everything or of nothing."""
    who = dice.choice([FOREIGN, ACCOUNT, TRADER, CURIE.clearing_house])
    arguments = [number(who), dice.choice([0, 1, 10**18, MOST]), number(FOREIGN), dice.getrandbits(200)]
    data = selector(dice.choice(list(OTHERS.values())))
    data += b"".join(value.to_bytes(32, "big") for value in arguments[: dice.randint(1, 4)])
    to = dice.choice([CURIE.clearing_house, CURIE.vault, CURIE.base_token, FOREIGN, ACCOUNT])
    return replace(tx, call=TxCall(to, data))


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
    value = dice.choice([1, -1, 10**18, MOST, dice.getrandbits(80)])
    return replace(tx, call=replace(tx.call, value=value))


def another_gas(dice: random.Random, tx: UnsignedTx) -> UnsignedTx:
    gas = [MAX_GAS + 1, MAX_GAS, 21_000, 21_001, 20_999, 2**64, MOST, dice.randint(0, 2 * MAX_GAS)]
    return replace(tx, gas=dice.choice(gas))


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


MUTATIONS: tuple[Callable[[random.Random, UnsignedTx], UnsignedTx], ...] = (
    flip_a_bit,
    flip_bits_of_a_word,
    set_a_word,
    swap_words,
    another_function,
    another_call,
    order_for,
    order_for_oneself,
    another_market,
    another_target,
    another_chain,
    native_coin,
    another_gas,
    another_fee,
    longer,
    shorter,
    dirty_padding,
    offset_encoding,
    data_to_oneself,
    random_calldata,
)


def accepted(tx: UnsignedTx, mandate: Mandate) -> bool:
    """Whether the mandate lets it through. Any other error than a refusal fails the test."""
    try:
        mandate.check(tx)
    except OrderRejected:
        return False
    return True


@pytest.mark.parametrize("world", [OWN, DELEGATE], ids=["own account", "delegate"])
def test_of_ten_thousand_transactions_the_mandate_accepts_what_the_rules_allow_and_nothing_else(
    world: World,
) -> None:
    dice, mandate = dice_of(20_260_719), world.mandate
    verdicts: Counter[tuple[str, bool]] = Counter()
    for number_ in range(CASES):
        mutation = MUTATIONS[number_ % len(MUTATIONS)]
        tx = mutation(dice, own_order(dice, world))
        if dice.random() < 0.2 and len(words(tx.call.data) or ()) >= 2:
            tx = dice.choice(MUTATIONS)(dice, tx)
        lets = accepted(tx, mandate)
        assert lets == allowed(tx, world), f"{mutation.__name__}, case {number_}: {tx}"
        verdicts[mutation.__name__, lets] += 1
    assert sum(verdicts.values()) == CASES
    for mutation in MUTATIONS:
        assert verdicts[mutation.__name__, False] > 0, f"{mutation.__name__} never made a forbidden one"
    assert sum(count for (_, lets), count in verdicts.items() if lets) > CASES // 50, "some mutants are legal"


@pytest.mark.parametrize("world", [OWN, DELEGATE], ids=["own account", "delegate"])
def test_every_order_and_cancel_of_the_bots_own_is_accepted(world: World) -> None:
    dice, mandate = dice_of(7), world.mandate
    functions: Counter[bytes] = Counter()
    for _ in range(2_000):
        tx = own_order(dice, world)
        functions[tx.call.data[:4]] += 1
        assert allowed(tx, world), "the decoder of this test has an error"
        assert accepted(tx, mandate), tx
        no_op = cancel(dice)
        assert allowed(no_op, world)
        assert accepted(no_op, mandate)
    expected = {OPEN_POSITION, CLOSE_POSITION} if world is OWN else {OPEN_POSITION_FOR}
    assert set(functions) == expected


@pytest.mark.parametrize("to", [CURIE.clearing_house, CURIE.vault, CURIE.base_token, FOREIGN, ACCOUNT])
@pytest.mark.parametrize("name", OTHERS)
def test_no_other_function_of_any_contract_is_accepted(name: str, to: str) -> None:
    arguments = (number(FOREIGN), MOST, MOST, 0, 0, 0, 0)
    data = selector(OTHERS[name]) + b"".join(value.to_bytes(32, "big") for value in arguments)
    tx = UnsignedTx(CHAIN_ID, 0, TxCall(to, data), 100_000, 10**9, 10**9)
    for world in (OWN, DELEGATE):
        assert not accepted(tx, world.mandate)
        assert not accepted(replace(tx, gas=21_000), world.mandate)


@pytest.mark.parametrize("world", [OWN, DELEGATE], ids=["own account", "delegate"])
def test_an_order_in_the_name_of_another_account_is_refused(world: World) -> None:
    dice = dice_of(3)
    body = OWN.venue.prepare(intent(size="5"), venue_state()).data[4:]
    for who in (FOREIGN, ACCOUNT, address(0)):
        data = OPEN_POSITION_FOR + number(who).to_bytes(32, "big") + body
        assert not accepted(with_data(own_order(dice, world), data), world.mandate)
