"""Sample states of the world, all of one market at 2000 USD, and a hand-written node without a network."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError
from eth_account import Account
from eth_utils.crypto import keccak

from bot.book import Book, ChainAccess
from bot.chain.client import Client
from bot.chain.contracts import contract
from bot.chain.mandate import Mandate
from bot.chain.pinned import Stamp
from bot.chain.sender import FeeRules, Sender
from bot.chain.signer import LocalSigner
from bot.core.accounts import account_id
from bot.core.decision import Decided, Rules, decide
from bot.core.events import Event
from bot.core.exposure import measure
from bot.core.fees import FeeCap, Offer
from bot.core.greeks import position_greeks, price_book
from bot.core.limits import Limits
from bot.core.model import (
    BlockRef,
    CostPoint,
    Exposure,
    Fill,
    Holding,
    Intent,
    IntentKind,
    Margin,
    Mode,
    OptionPosition,
    PerpPosition,
    PositionGreeks,
    Snapshot,
    SourceState,
    VenueState,
    VolsUsed,
)
from bot.core.policy import DeltaBand
from bot.core.target import Doubts, Target
from bot.desk import Desk, Tick
from bot.ledger import open_ledger
from bot.ports import (
    AttemptRow,
    Call,
    EventLog,
    Log,
    Reader,
    Receipt,
    SignedTx,
    TxCall,
    UnsignedTx,
)
from bot.venues.bounds import OrderBounds, TransferBounds
from bot.venues.curie import CurieAddresses, CurieVenue, Settlement
from bot.venues.paper import PaperVenue

CHAIN = "localnet"
CHAIN_ID = 31337
NOW = 1_700_000_000
WEEK = 7 * 86_400
KEY = "0x" + "42" * 32
SIGNER = LocalSigner(Account.from_key(KEY))
ACCOUNT = SIGNER.address
ACCOUNT_ID = account_id(CHAIN_ID, ACCOUNT)
"""Our account as the ledger keeps it."""


def address(number: int) -> str:
    """A made-up address, told apart by its last digits. All digits, so it is its own checksum form."""
    return f"0x{number:040d}"


CURIE = CurieAddresses(
    clearing_house=address(1),
    clearing_house_config=address(2),
    account_balance=address(3),
    exchange=address(4),
    vault=address(5),
    market_registry=address(6),
    quoter=address(7),
    base_token=address(8),
    pool=address(9),
)
MULTICALL = contract("multicall3", address(10))
OPTIONS_VAULT = address(11)


def block(number: int = 100, timestamp: int = NOW, chain: str = CHAIN) -> BlockRef:
    """A block whose hash follows from its number."""
    return BlockRef(chain, number, f"0x{number:064x}", timestamp, 10**9)


def option(
    size: str = "-10", *, strike: str = "2000", is_call: bool = True, **changes: Any
) -> OptionPosition:
    """Ten short calls at the money with a week to go, unless told otherwise."""
    values: dict[str, Any] = {
        "source": "lyra-eth",
        "instrument": f"{strike}-{'C' if is_call else 'P'}",
        "is_call": is_call,
        "strike": Decimal(strike),
        "expiry": NOW + WEEK,
        "size": Decimal(size),
        "vol": 0.8,
    }
    return OptionPosition(**(values | changes))


def source(*positions: OptionPosition, holdings: Sequence[str] = (), **changes: Any) -> SourceState:
    """An option vault with `positions`, and holdings of the sizes given."""
    values: dict[str, Any] = {
        "name": "lyra-eth",
        "positions": positions,
        "holdings": tuple(Holding("lyra-eth", "base", Decimal(size)) for size in holdings),
        "spot": Decimal(2000),
        "rate": 0.05,
        "nav_usd": Decimal(1_000_000),
        "cached_delta": -5.2,
        "cached_at": NOW - 60,
        "cached_spot": Decimal(1990),
        "settled": 0,
    }
    return SourceState(**(values | changes))


CURVE = tuple(
    CostPoint(Decimal(size), Decimal(price))
    for size, price in (("5", 2002), ("20", 2008), ("60", 2024), ("-5", 1998), ("-20", 1992), ("-60", 1976))
)


def venue_state(position: str = "0", **changes: Any) -> VenueState:
    """The perps venue with a position opened at the mark, deep enough for 60 units either way."""
    size = Decimal(position)
    values: dict[str, Any] = {
        "name": "curie-eth",
        "account": ACCOUNT,
        "position": PerpPosition(CURIE.base_token, size, -size * 2000),
        "margin": Margin(
            collateral=Decimal(200_000),
            account_value=Decimal(200_000),
            mark_value=Decimal(200_000),
            free_collateral=Decimal(150_000),
            maintenance=Decimal(10_000),
            exit_value=Decimal(199_000),
        ),
        "mark": Decimal(2000),
        "index": Decimal(2000),
        "fee_ratio": Decimal("0.001"),
        "funding_per_hour": Decimal("0.00001"),
        "pending_funding": Decimal(0),
        "curve": CURVE,
        "max_buy": Decimal(60),
        "max_sell": Decimal(60),
        "lot": Decimal("0.001"),
        "clip_interval_s": 16,
        "order_gas": 900_000,
        "initial_ratio": Decimal("0.1"),
        "maintenance_ratio": Decimal("0.0625"),
    }
    return VenueState(**(values | changes))


def snapshot(*sources: SourceState, venue: VenueState | None = None, **changes: Any) -> Snapshot:
    """A book with ten short calls at the money and no hedge."""
    values: dict[str, Any] = {
        "book": "eth",
        "underlying": "ETH",
        "at": NOW,
        "blocks": (block(),),
        "sources": sources or (source(option()),),
        "vols": VolsUsed("vault", NOW),
        "venue": venue or venue_state(),
        "spot": Decimal(2000),
        "native_usd": Decimal(2000),
        "gas_price_wei": 10**9,
    }
    return Snapshot(**(values | changes))


TARGET = Target()
SURE = Doubts(Decimal(0), Decimal(0))


def measured(seen: Snapshot, target: Target = TARGET, doubts: Doubts = SURE) -> Exposure:
    """The exposure of a snapshot, its inputs taken as exact unless told otherwise."""
    return measure(seen, price_book(seen, target), target, doubts)


def positions(seen: Snapshot, target: Target = TARGET) -> tuple[PositionGreeks, ...]:
    """Every option of a snapshot with its greeks."""
    return position_greeks(price_book(seen, target))


def exposure(low: float, high: float | None = None) -> Exposure:
    """A net delta of [low, high] and nothing else."""
    high = low if high is None else high
    flat = measured(snapshot(source()))
    return replace(flat, options=low, net_lo=low, net_hi=high, gap_lo=low, gap_hi=high, gross=abs(low))


def limits(**changes: Any) -> Limits:
    """The limits of the shipped local configuration."""
    values: dict[str, Any] = {
        "max_order": Decimal(60),
        "max_position": Decimal(300),
        "max_price_gap": Decimal("0.05"),
        "max_block_age_s": 120,
        "max_vol_age_s": 3600,
        "max_slippage": Decimal("0.005"),
        "max_bound_gap": Decimal("0.1"),
    }
    return Limits(**(values | changes))


def order_bounds(max_order: Decimal = Decimal(60)) -> OrderBounds:
    """What the mandate allows one order to be, as in the shipped local configuration."""
    return OrderBounds(max_order, Decimal("0.1"), 120)


def fill(size: str = "-2", price: str = "2000", **changes: Any) -> Fill:
    """A fill at `price` with a fee of a thousandth."""
    notional = abs(Decimal(size)) * Decimal(price)
    values: dict[str, Any] = {
        "size": Decimal(size),
        "notional": notional,
        "fee_usd": notional / 1000,
        "impact_usd": Decimal(1),
        "funding_usd": Decimal(0),
    }
    return Fill(**(values | changes))


BAND = DeltaBand(Decimal("0.5"), Decimal(0), Decimal("0.1"))


def rules(**changes: Any) -> Rules:
    """The band, everything hedged, all inputs exact, the limits of the shipped configuration."""
    values: dict[str, Any] = {
        "target": TARGET,
        "doubts": SURE,
        "policy": BAND,
        "limits": limits(),
        "interval_s": 60,
    }
    return Rules(**(values | changes))


def decided(seen: Snapshot | None = None, mode: Mode = Mode.ACTIVE) -> Decided:
    """What the rules make of a snapshot."""
    return decide(seen or snapshot(), mode, rules())


def intent(key: str = "intent-1", size: str = "5", **changes: Any) -> Intent:
    """An order to buy five units, at most at 2010."""
    values: dict[str, Any] = {
        "key": key,
        "book": "eth",
        "account": ACCOUNT_ID,
        "market": CURIE.base_token,
        "kind": IntentKind.TRADE,
        "size": Decimal(size),
        "price_bound": Decimal(2010),
        "deadline": NOW + 120,
        "reference_price": Decimal(2000),
    }
    return Intent(**(values | changes))


def signed(nonce: int = 0) -> SignedTx:
    """A transaction of our account that means nothing."""
    return SIGNER.sign(UnsignedTx(CHAIN_ID, nonce, TxCall(address(99), b""), 21_000, 2 * 10**9, 10**9))


def attempt(intent_key: str = "intent-1", nonce: int = 0, **changes: Any) -> AttemptRow:
    """A signed transaction of our account that means nothing."""
    transaction = signed(nonce)
    values: dict[str, Any] = {
        "hash": transaction.hash,
        "intent_key": intent_key,
        "account": ACCOUNT_ID,
        "nonce": nonce,
        "raw": transaction.raw,
        "purpose": "order",
        "max_fee_wei": 2 * 10**9,
        "tip_wei": 10**9,
        "signed_at": NOW,
        "state": "SIGNED",
    }
    return AttemptRow(**(values | changes))


def receipt(
    tx_hash: str, *, succeeded: bool = True, block_number: int = 100, logs: tuple[Log, ...] = ()
) -> Receipt:
    """A receipt that cost 0.001 of the native coin."""
    return Receipt(tx_hash, succeeded, block_number, f"0x{block_number:064x}", 500_000, 10**15, logs)


def position_changed(size: Decimal, price: str = "2000", *, trader: str = ACCOUNT) -> Log:
    """The clearing house's event of an executed order at an average `price`, with a fee of a thousandth."""
    house = contract("curie_clearing_house", CURIE.clearing_house)
    notional = -size * Decimal(price)
    figures = [int(size * 10**18), int(notional * 10**18), int(abs(notional) * 10**15), 0, 0, 0]
    types = ["int256", "int256", "uint256", "int256", "int256", "uint256"]
    topics = (house.abi.topic("PositionChanged"), word(trader), word(CURIE.base_token))
    return Log(house.address, topics, encode(types, figures))


def funding_settled(amount: int) -> Log:
    """The clearing house's event of a funding payment, in raw units."""
    house = contract("curie_clearing_house", CURIE.clearing_house)
    topics = (house.abi.topic("FundingPaymentSettled"), word(ACCOUNT), word(CURIE.base_token))
    return Log(house.address, topics, encode(["int256"], [amount]))


def word(address_: str) -> bytes:
    """An address as an indexed topic."""
    return bytes(12) + bytes.fromhex(address_[2:])


class FakeClock:
    """Stands still until it is set."""

    def __init__(self, now: int = NOW) -> None:
        self.time = now

    def now(self) -> int:
        """Unix seconds."""
        return self.time


class FakeClient(Client):
    """A node with scripted answers. `on_send` says what becomes of sent bytes; by default they vanish."""

    def __init__(self) -> None:
        self.chain = CHAIN
        self.block = block()
        self.chain_id = CHAIN_ID
        self.instance_id = ""
        self.without_code: set[str] = set()
        self.mined_nonce = 0
        self.pending_nonce = 0
        self.buried: int | None = None
        self.sent: list[bytes] = []
        self.receipts: dict[str, tuple[Receipt, int]] = {}
        self.preflights: list[TxCall] = []
        self.preflight_answer: bytes | Exception = encode(
            ["uint256", "uint256"], [5 * 10**18, 10_010 * 10**18]
        )
        self.gas: int | Exception = 400_000
        self.fees = Offer(3 * 10**9, 10**9)
        self.native_wei = 10**18
        self.on_send: Callable[[bytes], None] = lambda raw: None
        self.calls: list[tuple[str, str, bytes]] = []
        self.call_answers: list[bytes] = []

    def head(self) -> BlockRef:
        return self.block

    def confirmed(self, depth: int) -> BlockRef:
        return self.block

    def opening(self, addresses: Sequence[str]) -> tuple[int, BlockRef, dict[str, bool]]:
        return self.chain_id, self.block, {a: a not in self.without_code for a in addresses}

    def instance(self) -> str:
        return self.instance_id

    def call_at(
        self,
        block: BlockRef,
        to: str,
        data: bytes,
        gas: int,
        stamp_of: Callable[[bytes], Stamp] | None = None,
    ) -> bytes:
        """A scripted answer of Multicall3, behind what every round asks of the block."""
        self.calls.append((block.hash, to, data))
        answer = self.call_answers.pop(0)
        try:
            (rows,) = decode(["(bool,bytes)[]"], answer)
        except DecodingError:
            return answer
        here = [(True, encode(["uint256"], [figure])) for figure in (block.number, block.timestamp)]
        return encode(["(bool,bytes)[]"], [[*here, *rows]])

    def preflight(self, account: str, call: TxCall) -> bytes:
        self.preflights.append(call)
        if isinstance(self.preflight_answer, Exception):
            raise self.preflight_answer
        return self.preflight_answer

    def estimate_gas(self, account: str, call: TxCall) -> int:
        if isinstance(self.gas, Exception):
            raise self.gas
        return self.gas

    def nonces(self, account: str) -> tuple[int, int]:
        return self.mined_nonce, self.pending_nonce

    def buried_nonce(self, account: str, depth: int) -> int:
        return self.mined_nonce if self.buried is None else self.buried

    def offer(self, min_tip_wei: int) -> Offer:
        return self.fees

    def logs(self, address: str, topics: Sequence[str | None], first: int, last: int) -> list[EventLog]:
        return []

    def balance(self, account: str) -> int:
        return self.native_wei

    def receipt(self, tx_hash: str) -> tuple[Receipt, int] | None:
        return self.receipts.get(tx_hash)

    def send(self, raw: bytes) -> None:
        self.sent.append(raw)
        self.on_send(raw)

    def mine(self, receipt_: Receipt, depth: int = 1) -> None:
        """Puts one of our transactions on the chain."""
        self.receipts[receipt_.tx_hash] = (receipt_, depth)
        self.mined_nonce += 1
        self.pending_nonce = max(self.pending_nonce, self.mined_nonce)


class ScriptedSource:
    """An option source that says what it is told to."""

    name = "lyra-eth"
    chain = CHAIN

    def __init__(self, state: SourceState) -> None:
        self.state = state

    def read(self) -> Reader[SourceState]:
        yield from ()
        return self.state

    def watch(self) -> Reader[Decimal]:
        yield from ()
        return self.state.spot

    def contracts(self) -> dict[str, str]:
        return {"viewer": OPTIONS_VAULT}


class ScriptedCurie(CurieVenue):
    """The real adapter, whose reads are scripted: what it prepares, allows and makes of a receipt is its own."""

    def __init__(self, state: VenueState, settlement: Settlement | None = None) -> None:
        super().__init__("curie-eth", CHAIN, ACCOUNT, CURIE, Decimal("0.001"), settlement=settlement)
        self.state = state

    def read(self) -> Reader[VenueState]:
        yield from ()
        return self.state

    def traded(self, size: Decimal) -> None:
        """Moves the position by `size`."""
        position = replace(self.state.position, size=self.state.position.size + size)
        self.state = replace(self.state, position=position)


Rounds = Sequence[Sequence[Any]]


def feed(reader: Reader[Any], rounds: Rounds) -> tuple[Any, list[list[Call]]]:
    """What a reader returns when its rounds are answered from plain lists, and the calls of each round."""
    asked: list[list[Call]] = []
    try:
        asked.append(next(reader))
        for answers in rounds:
            if len(answers) != len(asked[-1]):
                raise AssertionError(f"{len(asked[-1])} calls were asked, the test answers {len(answers)}")
            asked.append(reader.send(list(answers)))
    except StopIteration as stop:
        return stop.value, asked
    raise AssertionError(f"the reader asked for round {len(asked)}, the test has {len(rounds)}")


def fee_rules(confirmations: int = 1, patience_s: float = 0.0) -> FeeRules:
    """At most 50 gwei and 10,000 USD, a bump after half a minute, final after ten blocks."""
    cap = FeeCap(50 * 10**9, Decimal(10_000))
    return FeeRules(10**6, cap, Decimal("1.3"), confirmations, 10, patience_s, 30)


class SpySigner:
    """The real signer, which counts what it signs."""

    def __init__(self) -> None:
        self.address = ACCOUNT
        self.signed: list[UnsignedTx] = []

    def sign(self, tx: UnsignedTx) -> SignedTx:
        """The real signature."""
        self.signed.append(tx)
        return SIGNER.sign(tx)


class Rig:
    """A desk with one book: a real ledger, the real sender, mandate and venue adapter, a scripted node.

    Without a script the node takes what is sent and mines nothing; `mines` has it mined and filled.
    """

    def __init__(self, path: Path, *, paper: bool = False, trades: bool = True) -> None:
        self.path = path
        self.trades = trades
        self.client = FakeClient()
        self.signer = SpySigner()
        self.clock = FakeClock()
        self.source = ScriptedSource(source(option()))
        self.curie = ScriptedCurie(venue_state())
        self.paper = paper
        self.rules = rules()
        self.instance = ""
        self.chain_id = CHAIN_ID
        self.confirmations = 1
        self.transfers: TransferBounds | None = None
        self.events: list[Event] = []
        self.start()

    def start(self) -> None:
        """A new process on the same ledger: nothing of the last one is left but what it committed."""
        self.ledger = open_ledger(self.path, trades=self.trades)
        mandate = Mandate(
            self.chain_id,
            ACCOUNT,
            self.curie.rules(order_bounds(self.rules.limits.max_order), self.transfers),
            5_000_000,
            50 * 10**9,
        )
        fees = fee_rules(self.confirmations)
        self.sender = Sender(self.client, self.ledger, self.signer, mandate, fees)
        self.book = Book(
            name="eth",
            underlying="ETH",
            sources=(self.source,),
            venue=PaperVenue(self.curie, lambda: self.ledger.paper_fills("eth"))
            if self.paper
            else self.curie,
            vols=None,
            rules=self.rules,
            order_ttl_s=120,
            sender=self.sender,
            paper=self.paper,
        )
        access = ChainAccess(self.client, MULTICALL, self.chain_id, self.instance, 10**7, 10**6, None)
        self.chains = {CHAIN: access}
        self.desk = Desk(self.chains, (self.book,), self.ledger, self.clock, self.events.append)

    def restart(self) -> None:
        """As after a crash."""
        self.ledger.close()
        self.start()

    def tick(self) -> Tick:
        """One tick."""
        return self.desk.tick(self.book)

    def next_block(self) -> None:
        """Time passes."""
        self.client.block = block(self.client.block.number + 1, self.client.block.timestamp + 1)
        self.clock.time += 1

    def mines(self, raw: bytes, share: str = "1", *, succeeded: bool = True) -> None:
        """Mines sent bytes in the head block; of the order's size `share` is traded."""
        tx_hash = "0x" + keccak(raw).hex()
        (order,) = self.ledger.open_intents(ACCOUNT_ID)
        size = order.intent.size * Decimal(share)
        logs = (position_changed(size),) if succeeded else ()
        if succeeded:
            self.curie.traded(size)
        self.client.mine(
            receipt(tx_hash, succeeded=succeeded, block_number=self.client.block.number, logs=logs)
        )

    def outcomes(self) -> list[str]:
        """Of every order, oldest first."""
        return [order["outcome"] for order in self.ledger.orders("eth")]

    def attempts(self) -> list[tuple[Any, ...]]:
        """What another connection to the database sees: hash, nonce, bytes and state of every attempt."""
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT hash, nonce, raw, state FROM attempts ORDER BY rowid").fetchall()
