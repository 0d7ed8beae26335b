"""Thousands of transactions against the mandate of a GMX account, judged by a decoder of this file's own.

It shares nothing with the bot's: calldata is cut into words by hand, an order's layout is written down here once more,
and the bounds are held in whole numbers. Every byte that the mandate lets through must be allowed by both, and what the
bot makes itself must pass. Mandates that are broken on purpose must be caught.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, CHAIN_ID, NOW, address, intent
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from gmx_models import BTC, E30, GMX, GWEI, KEY, LOT, MARKET, USDC, WETH, gmx_state, gmx_venue

from bot.chain.mandate import Mandate
from bot.core.model import Intent, IntentKind, Margin, OrderCollateral
from bot.errors import OrderRejected
from bot.ports import TxCall, UnsignedTx
from bot.venues import gmx_orders
from bot.venues.bounds import OrderBounds
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxMarket, Side

pytestmark = pytest.mark.long

CASES = 5_000
MAX_ORDER = 60
GAP = Decimal("0.1")
MAX_GAS = 5_000_000
MAX_FEE = 50 * GWEI
MOST_VALUE = 20_000_000 * MAX_FEE
MOST = 2**256 - 1
FOREIGN = address(66)
NOBODY = "0x" + "00" * 20
BOUNDS = OrderBounds(Decimal(MAX_ORDER), GAP, 120)


def dice_of(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a case that fails must come again


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


STRUCT = (
    "((address,address,address,address,address,address,address[]),"
    "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256),"
    "uint8,uint8,bool,bool,bool,bytes32,bytes32[])"
)
ADDRESSES = (
    "receiver",
    "cancellationReceiver",
    "callbackContract",
    "uiFeeReceiver",
    "market",
    "initialCollateralToken",
    "swapPath",
)
NUMBERS = (
    "sizeDeltaUsd",
    "initialCollateralDeltaAmount",
    "triggerPrice",
    "acceptablePrice",
    "executionFee",
    "callbackGasLimit",
    "minOutputAmount",
    "validFromTime",
)
REST = (
    "orderType",
    "decreasePositionSwapType",
    "isLong",
    "shouldUnwrapNativeToken",
    "autoCancel",
    "referralCode",
    "dataList",
)
FIELDS = (*ADDRESSES, *NUMBERS, *REST)
MULTICALL = selector("multicall(bytes[])")
SEND_WNT = selector("sendWnt(address,uint256)")
SEND_TOKENS = selector("sendTokens(address,address,uint256)")
CREATE_ORDER = bytes.fromhex("f59c48eb")
CANCEL_ORDER = selector("cancelOrder(bytes32)")
CLAIM = selector("claimFundingFees(address[],address[],address)")
APPROVE = selector("approve(address,uint256)")
OTHERS = (
    "transfer(address,uint256)",
    "transferFrom(address,address,uint256)",
    "increaseAllowance(address,uint256)",
    "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)",
    "withdraw(uint256)",
    "sendNativeToken(address,uint256)",
    "sendWnt(address,uint256)",
    "sendTokens(address,address,uint256)",
    f"createOrder({STRUCT})",
    "claimCollateral(address[],address[],uint256[],address)",
    "claimAffiliateRewards(address[],address[],address)",
    "claimUiFees(address[],address[],address)",
    "setUiFeeFactor(uint256)",
    "updateOrder(bytes32,uint256,uint256,uint256,uint256,uint256,bool)",
    "makeExternalCalls(address[],bytes[],address[],address[])",
    "setSavedCallbackContract(address,address)",
)
"""What an abused key would like to call."""


@dataclass(frozen=True)
class World:
    """A market, and the most collateral that goes with one of its orders, in raw units."""

    name: str
    market: GmxMarket
    most: int

    @property
    def venue(self) -> GmxVenue:
        """The bot's own adapter, which makes the orders that must pass."""
        return gmx_venue(self.market)

    def mandate_of(self, bounds: OrderBounds, most: int) -> Mandate:
        """The mandate with other bounds."""
        tokens = Decimal(most).scaleb(-self.market.collateral_decimals)
        return Mandate(CHAIN_ID, ACCOUNT, self.venue.rules(bounds, tokens), MAX_GAS, MAX_FEE)

    @property
    def mandate(self) -> Mandate:
        """What is tested."""
        return self.mandate_of(BOUNDS, self.most)


IN_USDC = World("USDC collateral", MARKET, 250_000 * 10**6)
IN_WETH = World(
    "WETH collateral", replace(MARKET, collateral_token=WETH, collateral_decimals=18), 25 * 10**18
)
SYNTHETIC = World(
    "an index without a token", replace(MARKET, index_token=BTC, index_decimals=8), 250_000 * 10**6
)
WORLDS = (IN_USDC, IN_WETH, SYNTHETIC)
in_every_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)


@dataclass(frozen=True)
class Case:
    """A transaction with what it is sent for."""

    tx: UnsignedTx
    meant: Intent


def number(who: str) -> int:
    return int(who, 16)


def words(data: bytes) -> list[int] | None:
    """32-byte words; None where the data doesn't end with a whole one."""
    if len(data) % 32:
        return None
    return [int.from_bytes(data[at : at + 32], "big") for at in range(0, len(data), 32)]


def allowed(case: Case, world: World) -> bool:
    """What the configuration allows to be signed, read from the transaction by hand."""
    tx, to, data = case.tx, case.tx.call.to.lower(), case.tx.call.data
    if tx.chain_id != CHAIN_ID or tx.nonce < 0 or not 21_000 <= tx.gas <= MAX_GAS:
        return False
    if not 0 <= tx.tip_wei <= tx.max_fee_wei <= MAX_FEE:
        return False
    if to == ACCOUNT.lower() and data == b"":
        return (tx.gas, tx.call.value) == (21_000, 0)
    head, body = data[:4], data[4:]
    if to == GMX.exchange_router.lower() and head == MULTICALL:
        steps = steps_of(body)
        return steps is not None and 0 <= tx.call.value <= MOST_VALUE and allowed_order(steps, case, world)
    found = words(body)
    if found is None or tx.call.value != 0:
        return False
    if to == world.market.collateral_token.lower():
        return (
            head == APPROVE and len(found) == 2 and found[0] == number(GMX.router) and found[1] <= world.most
        )
    if to != GMX.exchange_router.lower():
        return False
    return (head == CANCEL_ORDER and len(found) == 1) or (head == CLAIM and allowed_claim(found, world))


def steps_of(body: bytes) -> list[bytes] | None:
    """The elements of a bytes[] that is laid out without gaps; None for any other layout."""
    found = words(body)
    if found is None or len(found) < 2 or found[0] != 32:
        return None
    count, at, steps = found[1], 0, []
    if count > 10 or len(found) < 2 + count:
        return None
    at = 64 + 32 * count
    for i in range(count):
        if found[2 + i] != at - 64 or at >= len(body):
            return None
        size = found[at // 32]
        end = at + 32 + size
        padded = -(-end // 32) * 32
        if padded > len(body) or any(body[end:padded]):
            return None
        steps.append(body[at + 32 : end])
        at = padded
    return steps if at == len(body) else None


def allowed_claim(found: list[int], world: World) -> bool:
    """Any markets and tokens of the market's, for the account, as two arrays behind each other."""
    if len(found) < 5 or found[2] != number(ACCOUNT) or found[0] != 96:
        return False
    many = found[3]
    if many > len(found) or len(found) < 5 + many or found[1] != 128 + 32 * many:
        return False
    count = found[4 + many]
    tokens = found[5 + many :]
    ours = {number(world.market.long_token), number(world.market.short_token)}
    return len(tokens) == count and set(tokens) <= ours and set(found[4 : 4 + many]) <= {number(GMX.market)}


def allowed_order(steps: Sequence[bytes], case: Case, world: World) -> bool:
    heads = [step[:4] for step in steps]
    if heads not in ([SEND_WNT, CREATE_ORDER], [SEND_WNT, SEND_TOKENS, CREATE_ORDER]):
        return False
    bodies: list[list[int] | None] = [words(step[4:]) for step in steps]
    if bodies[0] != [number(GMX.order_vault), case.tx.call.value]:
        return False
    order, brings = bodies[-1], 0
    if len(steps) == 3:
        sent = bodies[1]
        if sent is None or len(sent) != 3:
            return False
        if sent[:2] != [number(world.market.collateral_token), number(GMX.order_vault)] or sent[2] == 0:
            return False
        brings = int(sent[2])
    return order is not None and len(order) == 26 and allowed_struct(order, brings, case, world)


def allowed_struct(found: list[int], brings: int, case: Case, world: World) -> bool:
    """An order's struct, word by word: offsets, numbers, kinds, the addresses, two empty arrays."""
    usd, takes, trigger, acceptable, fee, callback_gas, least_out, valid_from = found[2:10]
    kind, swap, is_long, unwrap, auto, referral, data_at = found[10:17]
    addresses, swap_path_at, swap_path, data_list = found[17:23], found[23], found[24], found[25]
    own, token = number(ACCOUNT), number(world.market.collateral_token)
    if (found[0], found[1], data_at, swap_path_at, swap_path, data_list) != (32, 512, 768, 224, 0, 0):
        return False
    if addresses != [own, own, 0, 0, number(GMX.market), token]:
        return False
    if (trigger, callback_gas, least_out, valid_from, unwrap, auto, referral) != (0, 0, 0, 0, 0, 0, 0):
        return False
    if fee != case.tx.call.value or is_long not in (0, 1) or kind not in (2, 4):
        return False
    paid_in = number(world.market.long_token if is_long else world.market.short_token)
    if swap != (1 if kind == 4 and paid_in != token else 0):
        return False
    if (brings if kind == 4 else takes) != 0 or brings + takes > world.most:
        return False
    if usd == 0:
        return brings + takes > 0
    return allowed_size(usd, case, increases=kind == 2) and allowed_price(
        acceptable, case, world, buys=(kind == 2) == (is_long == 1)
    )


def allowed_size(usd: int, case: Case, *, increases: bool) -> bool:
    """60 units at most: what was decided, and of an increase its USD at the reference price."""
    if abs(case.meant.size) > MAX_ORDER:
        return False
    return not increases or usd * 10**6 <= MAX_ORDER * int(case.meant.reference_price * 10**6) * E30


def allowed_price(acceptable: int, case: Case, world: World, *, buys: bool) -> bool:
    """A tenth worse than the reference price at most."""
    if acceptable == 0:
        return False
    asked = acceptable * 10**7
    worth: int = int(case.meant.reference_price * 10**6) * 10 ** (30 - world.market.index_decimals)
    return asked <= worth * 11 if buys else asked >= worth * 9


@dataclass(frozen=True)
class Draft:
    """A transaction with an order, to be changed. `payments` are (token, receiver, amount)."""

    value: int
    fee_to: str
    fee: int
    payments: tuple[tuple[str, str, int], ...]
    order: dict[str, Any]
    before: tuple[bytes, ...] = ()
    between: tuple[bytes, ...] = ()
    after: tuple[bytes, ...] = ()
    to: str = field(default=GMX.exchange_router)

    @classmethod
    def of(cls, call: TxCall) -> "Draft":
        """What a prepared call says."""
        steps = decode(["bytes[]"], call.data[4:])[0]
        fee_to, fee = decode(["address", "uint256"], steps[0][4:])
        payments = tuple(decode(["address", "address", "uint256"], step[4:]) for step in steps[1:-1])
        addresses, numbers, *rest = decode([STRUCT], steps[-1][4:])[0]
        order = dict(zip(FIELDS, (*addresses, *numbers, *rest), strict=True))
        return cls(call.value, fee_to, fee, payments, order, to=call.to)

    def call(self) -> TxCall:
        """The transaction."""
        parts = (ADDRESSES, NUMBERS)
        grouped = [tuple(self.order[name] for name in part) for part in parts]
        struct = (*grouped, *(self.order[name] for name in REST))
        sent = [SEND_TOKENS + encode(["address", "address", "uint256"], payment) for payment in self.payments]
        steps = [
            *self.before,
            SEND_WNT + encode(["address", "uint256"], [self.fee_to, self.fee]),
            *self.between,
            *sent,
            CREATE_ORDER + encode([STRUCT], [struct]),
            *self.after,
        ]
        return TxCall(self.to, MULTICALL + encode(["bytes[]"], [steps]), self.value)

    def having(self, **changes: Any) -> "Draft":
        """With other fields of the order."""
        return replace(self, order=self.order | changes)


def priced(dice: random.Random, call: TxCall) -> UnsignedTx:
    fee = dice.randint(0, MAX_FEE)
    gas, nonce = dice.randint(21_000, MAX_GAS), dice.randint(0, 10**6)
    return UnsignedTx(CHAIN_ID, nonce, call, gas, fee, dice.randint(0, fee))


def own_order(dice: random.Random, world: World) -> Case:
    """An increase, a decrease, a close or moved margin, of any size up to the largest, at any price up to the worst."""
    mark = Decimal(dice.randint(10**8, 10**10)) / 10**6
    lots = dice.choice([1, int(MAX_ORDER / LOT), dice.randint(1, int(MAX_ORDER / LOT))])
    buys = dice.random() < 0.5
    more = dice.choice([0, dice.randint(1, 10**6)])
    size = lots * LOT * (1 if buys else -1)
    opened = Side(
        int((lots + more) * LOT * mark * E30), int((lots + more) * LOT * 10**world.market.index_decimals)
    )
    equity = (lots + more) * LOT * mark / 3
    what = dice.choice(["open", "grow", "close", "close", "add", "withdraw"])
    is_long = buys == (what != "close")
    state = gmx_state(
        str((lots + more) * LOT * (1 if is_long else -1)) if what != "open" else "0",
        mark=mark,
        margin=Margin(*[Decimal(0) if what == "open" else equity] * 6),
        collateral=OrderCollateral(
            Decimal(3), Decimal(1) if world.market.collateral_token == USDC else mark, dice.random() < 0.5
        ),
        keeper_gas=dice.choice([4_350_000, 20_000_000, dice.randint(1, 20_000_000)]),
        long=opened if is_long and what != "open" else None,
        short=opened if not is_long and what != "open" else None,
    )
    if what in ("add", "withdraw"):
        kind = IntentKind.ADD_MARGIN if what == "add" else IntentKind.WITHDRAW_MARGIN
        raw = dice.choice([1, world.most, dice.randint(1, world.most)])
        amount = Decimal(raw).scaleb(-world.market.collateral_decimals)
        meant = intent(kind=kind, size=str(amount), price_bound=Decimal(0), reference_price=mark)
    else:
        side = 1 if buys else -1
        worse = dice.choice([Decimal(0), GAP, GAP * dice.randint(0, 1000) / 1000])
        rounding = "ROUND_FLOOR" if buys else "ROUND_CEILING"
        bound = (mark * (1 + side * worse)).quantize(Decimal("0.000001"), rounding)
        meant = intent(size=str(size), price_bound=bound, reference_price=mark)
    return Case(priced(dice, world.venue.prepare(meant, state)), meant)


def own_other(dice: random.Random, world: World) -> Case:
    """An approval, a claim or a cancel as the bot makes them."""
    raw = dice.choice([0, 1, world.most, dice.randint(0, world.most)])
    changes: dict[str, Any] = dice.choice(
        [
            {"kind": IntentKind.APPROVE, "size": str(Decimal(raw).scaleb(-world.market.collateral_decimals))},
            {"kind": IntentKind.CLAIM, "size": "12"},
            {"kind": IntentKind.CANCEL, "size": "0", "order_id": "0x" + dice.randbytes(32).hex()},
        ]
    )
    meant = intent(price_bound=Decimal(0), **changes)
    return Case(priced(dice, world.venue.prepare(meant, gmx_state())), meant)


def own(dice: random.Random, world: World) -> Case:
    return own_other(dice, world) if dice.random() < 0.2 else own_order(dice, world)


Mutation = Callable[[random.Random, World], Case]


def of_the_order(change: Callable[[random.Random, World, Case, Draft], Draft]) -> Mutation:
    """An order of the bot's with something else in it, laid out as the protocol asks."""

    def mutated(dice: random.Random, world: World) -> Case:
        case = own_order(dice, world)
        draft = Draft.of(case.tx.call)
        return replace(case, tx=replace(case.tx, call=change(dice, world, case, draft).call()))

    mutated.__name__ = change.__name__
    return mutated


def of_the_bytes(change: Callable[[random.Random, bytes], bytes]) -> Mutation:
    """Any transaction of the bot's with other bytes."""

    def mutated(dice: random.Random, world: World) -> Case:
        case = own(dice, world)
        data = change(dice, case.tx.call.data)
        return replace(case, tx=replace(case.tx, call=replace(case.tx.call, data=data)))

    mutated.__name__ = change.__name__
    return mutated


def limits_of(world: World, case: Case) -> list[int]:
    """The worst acceptable prices of either side, raw."""
    worth = int(case.meant.reference_price * 10**6) * 10 ** (30 - world.market.index_decimals)
    return [worth * 9 // 10**7, worth * 11 // 10**7]


def value_for(name: str, dice: random.Random, world: World, case: Case) -> Any:
    """Another value of a field: near a bound, at its end, or somebody else's."""
    if name in ("swapPath", "dataList"):
        many = dice.randint(1, 2)
        return [GMX.market] * many if name == "swapPath" else [dice.randbytes(32)] * many
    if name in ADDRESSES:
        return dice.choice([FOREIGN, NOBODY, ACCOUNT, GMX.market, GMX.router, USDC, WETH, BTC])
    if name == "referralCode":
        return dice.choice([dice.randbytes(32), b"vaultkeel".ljust(32, b"\0")])
    if name == "orderType":
        return dice.choice(range(9))
    if name == "decreasePositionSwapType":
        return dice.choice([0, 1, 2])
    if name in REST:
        return dice.random() < 0.5
    if name == "sizeDeltaUsd":
        most = MAX_ORDER * int(case.meant.reference_price * 10**6) * 10**24
        return dice.choice([0, 1, most - 1, most, most + 1, 2 * most, MOST])
    if name == "acceptablePrice":
        return dice.choice(
            [0, 1, MOST, *(limit + step for limit in limits_of(world, case) for step in (-1, 0, 1))]
        )
    if name == "initialCollateralDeltaAmount":
        return dice.choice([0, 1, world.most, world.most + 1, MOST])
    return dice.choice([0, 1, case.tx.call.value, case.tx.call.value + 1, NOW, MOST])


def field_mutation(name: str) -> Mutation:
    def change(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
        return draft.having(**{name: value_for(name, dice, world, case)})

    change.__name__ = f"another {name}"
    return of_the_order(change)


def two_fields(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    names = dice.sample(FIELDS, 2)
    return draft.having(**{name: value_for(name, dice, world, case) for name in names})


def another_payment(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    """Another token, receiver or amount, none, or two."""
    token, amount = world.market.collateral_token, draft.payments[0][2] if draft.payments else 10
    wrong = dice.choice([FOREIGN, USDC, WETH, BTC, GMX.market])
    to = dice.choice([FOREIGN, ACCOUNT, GMX.router, GMX.exchange_router, NOBODY])
    amounts = [0, 1, world.most, world.most + 1, 2 * world.most, MOST]
    return replace(
        draft,
        payments=dice.choice(
            [
                (),
                ((token, GMX.order_vault, dice.choice(amounts)),),
                ((token, GMX.order_vault, dice.choice(amounts)),),
                ((wrong, GMX.order_vault, amount),),
                ((token, to, amount),),
                ((token, GMX.order_vault, amount),) * 2,
                ((token, GMX.order_vault, amount), (token, FOREIGN, amount)),
            ]
        ),
    )


def another_direction(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    """A decrease of an increase, or the other way round, with the swap that belongs to it."""
    kind, is_long = dice.choice([2, 4]), dice.random() < 0.5
    paid_in = world.market.long_token if is_long else world.market.short_token
    swap = 1 if kind == 4 and paid_in != world.market.collateral_token else 0
    return draft.having(orderType=kind, isLong=is_long, decreasePositionSwapType=swap)


def an_order_of_nothing(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    takes = dice.choice([0, draft.order["initialCollateralDeltaAmount"]])
    payments = dice.choice([(), draft.payments])
    return replace(draft, payments=payments).having(sizeDeltaUsd=0, initialCollateralDeltaAmount=takes)


def another_fee(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    """Another fee, in all three places, or in one of them alone."""
    fee = dice.choice([0, 1, MOST_VALUE, MOST_VALUE + 1, 10**19, draft.fee + 1, max(draft.fee - 1, 0)])
    whole = replace(draft, fee=fee, value=fee).having(executionFee=fee)
    return dice.choice(
        [whole, whole, replace(draft, fee=fee), replace(draft, value=fee), replace(whole, fee=draft.fee)]
    )


def another_fee_receiver(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    return replace(draft, fee_to=dice.choice([FOREIGN, ACCOUNT, GMX.router, GMX.exchange_router, NOBODY]))


def foreign_step(dice: random.Random) -> bytes:
    head = selector(dice.choice(OTHERS))
    arguments = [number(dice.choice([FOREIGN, GMX.order_vault, USDC])), number(FOREIGN), 10**18]
    return head + b"".join(value.to_bytes(32, "big") for value in arguments[: dice.randint(2, 3)])


def extra_steps(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    """Another step before, between or behind ours."""
    known = [
        foreign_step(dice),
        CANCEL_ORDER + KEY,
        SEND_WNT + encode(["address", "uint256"], [FOREIGN, 1]),
        Draft.of(case.tx.call).call().data,
        b"",
    ]
    where = dice.choice(["before", "between", "after"])
    changes: dict[str, Any] = {where: (dice.choice(known),)}
    return replace(draft, **changes)


def another_target(dice: random.Random, world: World, case: Case, draft: Draft) -> Draft:
    return replace(draft, to=dice.choice([FOREIGN, GMX.router, GMX.order_vault, USDC, WETH, ACCOUNT, ""]))


def two_orders(dice: random.Random, world: World) -> Case:
    case = own_order(dice, world)
    steps = decode(["bytes[]"], case.tx.call.data[4:])[0]
    mixed = dice.choice([[*steps, steps[-1]], [*steps, *steps], steps[::-1], steps[1:], steps[:-1], []])
    data = MULTICALL + encode(["bytes[]"], [mixed])
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, data=data)))


def a_step_alone(dice: random.Random, world: World) -> Case:
    """A step of ours without the others, or a token that is sent away."""
    case = own_order(dice, world)
    steps = decode(["bytes[]"], case.tx.call.data[4:])[0]
    gift = selector("transfer(address,uint256)") + encode(["address", "uint256"], [FOREIGN, 1])
    token = world.market.collateral_token
    calls = [*(TxCall(GMX.exchange_router, step) for step in steps), TxCall(token, gift)]
    return replace(case, tx=replace(case.tx, call=dice.choice(calls)))


def a_step_in_another_form(dice: random.Random, world: World) -> Case:
    """A step with a tail, cut short, with another head, or with a bit turned."""
    case = own_order(dice, world)
    steps = list(decode(["bytes[]"], case.tx.call.data[4:])[0])
    at = dice.randrange(len(steps))
    step = bytearray(steps[at])
    step[dice.randrange(len(step))] ^= 1 << dice.randrange(8)
    steps[at] = dice.choice(
        [bytes(step), steps[at] + bytes(32), steps[at] + b"\0", steps[at][:-32], foreign_step(dice)]
    )
    data = MULTICALL + encode(["bytes[]"], [steps])
    return replace(case, tx=replace(case.tx, call=replace(case.tx.call, data=data)))


def an_approval(dice: random.Random, world: World) -> Case:
    """To the router or to somebody else, of the collateral or of another token, of more or of everything."""
    case = own_other(dice, world)
    spender = dice.choice([GMX.router] * 8 + [FOREIGN, GMX.exchange_router, GMX.order_vault, ACCOUNT])
    amount = dice.choice([0, 1, world.most, world.most + 1, 2 * world.most, MOST])
    token = dice.choice([world.market.collateral_token] * 3 + [USDC, WETH, BTC, GMX.market])
    call = TxCall(token, APPROVE + encode(["address", "uint256"], [spender, amount]))
    return replace(case, tx=replace(case.tx, call=call))


def a_claim(dice: random.Random, world: World) -> Case:
    """For the account or for others, of this market and its tokens or of others."""
    case = own_other(dice, world)
    markets = [dice.choice([GMX.market] * 4 + [FOREIGN]) for _ in range(dice.randint(0, 3))]
    tokens = [dice.choice([USDC, WETH, USDC, WETH, BTC]) for _ in range(dice.randint(0, 3))]
    receiver = dice.choice([ACCOUNT, ACCOUNT, FOREIGN, GMX.order_vault, NOBODY])
    head = dice.choice([CLAIM, CLAIM, CLAIM, selector("claimUiFees(address[],address[],address)")])
    data = head + encode(["address[]", "address[]", "address"], [markets, tokens, receiver])
    return replace(case, tx=replace(case.tx, call=TxCall(GMX.exchange_router, data)))


def native_coin(dice: random.Random, world: World) -> Case:
    """A plain transfer, or coin with a call that takes none."""
    case = own_other(dice, world) if dice.random() < 0.5 else own_order(dice, world)
    value = dice.choice([1, -1, 10**18, MOST_VALUE, MOST_VALUE + 1])
    to = dice.choice([FOREIGN, ACCOUNT, GMX.order_vault, GMX.exchange_router])
    call = dice.choice([TxCall(to, b"", value), replace(case.tx.call, value=value)])
    return replace(case, tx=replace(case.tx, call=call, gas=dice.choice([21_000, case.tx.gas])))


def a_cancel_of_a_nonce(dice: random.Random, world: World) -> Case:
    case = own_other(dice, world)
    call = TxCall(dice.choice([ACCOUNT, ACCOUNT, FOREIGN]), dice.choice([b"", b"", b"\0"]), 0)
    return replace(case, tx=replace(case.tx, call=call, gas=dice.choice([21_000, 21_000, 21_001])))


def another_call(dice: random.Random, world: World) -> Case:
    """A function that no rule is of, or another rule's at the wrong contract."""
    case = own_other(dice, world)
    data = dice.choice([foreign_step(dice), dice.randbytes(4) + bytes(64), case.tx.call.data, b""])
    to = dice.choice([GMX.exchange_router, GMX.router, USDC, WETH, FOREIGN, GMX.market])
    return replace(case, tx=replace(case.tx, call=TxCall(to, data)))


def another_envelope(dice: random.Random, world: World) -> Case:
    """Another chain, nonce, gas limit or fee."""
    case = own(dice, world)
    changes: dict[str, Any] = dice.choice(
        [
            {"chain_id": dice.choice([0, 1, 42_161, -CHAIN_ID])},
            {"nonce": dice.choice([-1, 0, 2**64])},
            {"gas": dice.choice([0, 20_999, 21_000, MAX_GAS, MAX_GAS + 1])},
            {"max_fee_wei": dice.choice([-1, MAX_FEE, MAX_FEE + 1, MOST])},
            {"tip_wei": dice.choice([-1, case.tx.max_fee_wei, case.tx.max_fee_wei + 1])},
        ]
    )
    return replace(case, tx=replace(case.tx, **changes))


def another_meaning(dice: random.Random, world: World) -> Case:
    """Another size was decided, or at another price."""
    case = own_order(dice, world)
    hair = Decimal(1).scaleb(-18)
    sizes = [Decimal(0), Decimal(MAX_ORDER), -Decimal(MAX_ORDER), MAX_ORDER + hair, -MAX_ORDER - hair]
    share = Decimal(dice.choice([1, 89, 90, 91, 99, 101, 109, 110, 111, 200])) / 100
    price = (case.meant.reference_price * share).quantize(Decimal("0.000001"))
    meant = dice.choice(
        [replace(case.meant, size=dice.choice(sizes)), replace(case.meant, reference_price=price)]
    )
    return replace(case, meant=meant)


def flip_bits(dice: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def set_a_word(dice: random.Random, data: bytes) -> bytes:
    at = 4 + 32 * dice.randrange((len(data) - 4) // 32)
    value = dice.choice([0, 1, 2, 32, 2**160, 2**255, MOST, number(FOREIGN), number(ACCOUNT)])
    return data[:at] + value.to_bytes(32, "big") + data[at + 32 :]


def longer_or_shorter(dice: random.Random, data: bytes) -> bytes:
    tail = [b"\0", bytes(32), dice.randbytes(dice.randint(1, 96)), data]
    return dice.choice([data + dice.choice(tail), data[: dice.randrange(len(data))], data[:-32]])


def random_arguments(dice: random.Random, data: bytes) -> bytes:
    return data[:4] + dice.randbytes(dice.choice([dice.randint(0, 400), 32, 64, 128]))


MUTATIONS: tuple[Mutation, ...] = (
    *map(field_mutation, FIELDS),
    *map(
        of_the_order,
        (
            two_fields,
            another_payment,
            another_direction,
            an_order_of_nothing,
            another_fee,
            another_fee_receiver,
            extra_steps,
            another_target,
        ),
    ),
    *map(of_the_bytes, (flip_bits, set_a_word, longer_or_shorter, random_arguments)),
    two_orders,
    a_step_alone,
    a_step_in_another_form,
    an_approval,
    a_claim,
    native_coin,
    a_cancel_of_a_nonce,
    another_call,
    another_envelope,
    another_meaning,
)


def accepted(case: Case, mandate: Mandate) -> bool:
    """Whether the mandate lets it through. Any other error than a refusal fails the test."""
    try:
        mandate.check(case.tx, case.meant, NOW)
    except OrderRejected:
        return False
    return True


def disagreements(world: World, mandate: Mandate, verdicts: Counter[tuple[str, bool]]) -> Iterator[str]:
    """Where the mandate and this file's decoder part; `verdicts` counts the mandate's."""
    dice = dice_of(20_261_121)
    for number_ in range(CASES):
        mutation = MUTATIONS[number_ % len(MUTATIONS)]
        case = mutation(dice, world)
        lets = accepted(case, mandate)
        if lets != allowed(case, world):
            yield f"{mutation.__name__}, case {number_}, the mandate says {lets}: {case}"
        verdicts[mutation.__name__, lets] += 1


def caught(world: World, broken: Mandate) -> bool:
    return any(disagreements(world, broken, Counter()))


@in_every_world
def test_of_five_thousand_transactions_the_mandate_accepts_what_the_rules_allow_and_nothing_else(
    world: World,
) -> None:
    verdicts: Counter[tuple[str, bool]] = Counter()
    assert list(disagreements(world, world.mandate, verdicts)) == []
    assert sum(verdicts.values()) == CASES
    for mutation in MUTATIONS:
        assert verdicts[mutation.__name__, False] > 0, f"{mutation.__name__} never made a forbidden one"
    assert sum(count for (_, lets), count in verdicts.items() if lets) > CASES // 20, "some mutants are legal"


def test_a_length_that_no_machine_can_hold_is_refused() -> None:
    lengths = (2**62, 2**63 - 32, 2**63, 2**64, 2**255, MOST)
    for size in lengths:
        body = b"".join(word.to_bytes(32, "big") for word in (32, 1, 32, size))
        tx = UnsignedTx(CHAIN_ID, 0, TxCall(GMX.exchange_router, MULTICALL + body), 100_000, 1, 1)
        assert not accepted(Case(tx, intent()), IN_USDC.mandate)


@in_every_world
def test_every_order_approval_claim_and_cancel_of_the_bots_own_is_accepted(world: World) -> None:
    dice, mandate = dice_of(7), world.mandate
    heads: Counter[bytes] = Counter()
    kinds: Counter[tuple[int, bool, bool, bool]] = Counter()
    for number_ in range(600):
        case = (own_other if number_ % 3 == 0 else own_order)(dice, world)
        head = case.tx.call.data[:4]
        heads[head] += 1
        if head == MULTICALL:
            draft = Draft.of(case.tx.call)
            assert draft.call() == case.tx.call, "the bot's bytes are the protocol's encoding"
            order = draft.order
            kinds[order["orderType"], order["isLong"], order["sizeDeltaUsd"] > 0, bool(draft.payments)] += 1
        assert allowed(case, world), f"the decoder of this test has an error: {case}"
        assert accepted(case, mandate), case
    assert set(heads) == {MULTICALL, APPROVE, CLAIM, CANCEL_ORDER}
    for is_long in (True, False):
        for sort in ((2, is_long, True, True), (2, is_long, False, True), (4, is_long, False, False)):
            assert kinds[sort] > 0, sort
        assert kinds[4, is_long, True, False] > 0


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
    "has no function with selector",
    "the calldata of multicall is not in its canonical form",
    "is not allowed",
    "the steps are",
    "the executor's fee of",
    "which is not the collateral token",
    "which is not the order vault",
    "nothing is handed over with a payment",
    "with another",
    "a decrease that brings collateral",
    "an increase that takes collateral back",
    "a step that is none of ours",
    "the step sendWnt is not in its canonical form",
    "the step createOrder is not in its canonical form",
    "an order that moves",
    "an order that does nothing",
    "mandate: an order of",
    "an increase of",
    "an acceptable price of",
    "which is not the router",
    "an approval of 5",
    "a claim for",
    "a claim of another market",
    "a claim of another token",
)


@pytest.mark.parametrize("reason", REASONS)
def test_a_mandate_that_is_deaf_to_one_of_its_reasons_is_caught(reason: str) -> None:
    mandate = IN_USDC.mandate
    fields = (mandate.chain_id, mandate.account, mandate.rules, mandate.max_gas, mandate.max_fee_wei)
    assert caught(IN_USDC, DeafMandate(*fields, reason))


READ_BACK = ("isLong", "sizeDeltaUsd", "initialCollateralDeltaAmount", "acceptablePrice")
"""Fields that differ from order to order: their bounds are held, not their values."""


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in READ_BACK])
def test_a_mandate_that_is_blind_to_one_field_of_an_order_is_caught(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = gmx_orders.differences
    monkeypatch.setattr(
        gmx_orders, "differences", lambda found, wanted: [one for one in seen(found, wanted) if one != name]
    )
    assert caught(IN_USDC, IN_USDC.mandate)


HAIR = Decimal("0.000000001")
BROKEN: dict[str, tuple[World, Callable[[], Mandate]]] = {
    "a hair more in an order": (
        IN_USDC,
        lambda: IN_USDC.mandate_of(replace(BOUNDS, max_order=MAX_ORDER + HAIR), IN_USDC.most),
    ),
    "a hair less in an order": (
        IN_USDC,
        lambda: IN_USDC.mandate_of(replace(BOUNDS, max_order=MAX_ORDER - HAIR), IN_USDC.most),
    ),
    "a hair more of a gap": (
        IN_USDC,
        lambda: IN_USDC.mandate_of(replace(BOUNDS, max_bound_gap=GAP + HAIR), IN_USDC.most),
    ),
    "a hair less of a gap": (
        IN_USDC,
        lambda: IN_USDC.mandate_of(replace(BOUNDS, max_bound_gap=GAP - HAIR), IN_USDC.most),
    ),
    "a unit more of collateral": (IN_USDC, lambda: IN_USDC.mandate_of(BOUNDS, IN_USDC.most + 1)),
    "a unit less of collateral": (IN_USDC, lambda: IN_USDC.mandate_of(BOUNDS, IN_USDC.most - 1)),
    "another collateral token": (IN_USDC, lambda: IN_WETH.mandate),
    "another index": (SYNTHETIC, lambda: IN_USDC.mandate),
    "no rules": (IN_USDC, lambda: replace(IN_USDC.mandate, rules=())),
    "no cancels": (IN_USDC, lambda: without(IN_USDC.mandate, "cancelOrder")),
    "no claims": (IN_USDC, lambda: without(IN_USDC.mandate, "claimFundingFees")),
    "no approvals": (IN_USDC, lambda: without(IN_USDC.mandate, "approve")),
    "a wei more of value": (IN_USDC, lambda: with_value(IN_USDC.mandate, MOST_VALUE + 1)),
    "a wei less of value": (IN_USDC, lambda: with_value(IN_USDC.mandate, MOST_VALUE - 1)),
    "more gas": (IN_USDC, lambda: replace(IN_USDC.mandate, max_gas=MAX_GAS + 1)),
    "a dearer fee": (IN_USDC, lambda: replace(IN_USDC.mandate, max_fee_wei=MAX_FEE + 1)),
}


def without(mandate: Mandate, function: str) -> Mandate:
    return replace(mandate, rules=tuple(rule for rule in mandate.rules if rule.function != function))


def with_value(mandate: Mandate, wei: int) -> Mandate:
    rules = (
        replace(rule, max_value_wei=wei) if rule.function == "multicall" else rule for rule in mandate.rules
    )
    return replace(mandate, rules=tuple(rules))


@pytest.mark.parametrize("name", BROKEN)
def test_a_mandate_that_is_broken_on_purpose_is_caught(name: str) -> None:
    world, broken = BROKEN[name]
    assert caught(world, broken())


@pytest.mark.parametrize(
    "to", [GMX.exchange_router, GMX.router, GMX.order_vault, USDC, WETH, FOREIGN, ACCOUNT]
)
@pytest.mark.parametrize("signature", OTHERS)
def test_no_other_function_of_any_contract_is_accepted(signature: str, to: str) -> None:
    arguments = (number(FOREIGN), MOST, MOST, 0, 0, 0, 0)
    data = selector(signature) + b"".join(value.to_bytes(32, "big") for value in arguments)
    tx = UnsignedTx(CHAIN_ID, 0, TxCall(to, data), 100_000, 10**9, 10**9)
    for world in WORLDS:
        assert not accepted(Case(tx, intent()), world.mandate)
