"""A HyperCore that answers as it is told: precompiles by their documented layout, without the adapter's help."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from builders import ACCOUNT, CHAIN, NOW, address, intent, receipt
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from bot.core.model import Intent, IntentKind, Outcome
from bot.ports import Call, Log, LogQuery, Reader, Receipt
from bot.venues.hyperliquid import HyperliquidVenue
from bot.venues.hyperliquid_market import (
    CoreInfo,
    HyperliquidMarket,
    HyperliquidState,
    ToldFill,
    ToldOrder,
    cloid_of,
)

D = Decimal
WRITER = "0x3333333333333333333333333333333333333333"
MULTICALL = address(10)
TX = "0x" + "ab" * 32
ETH = HyperliquidMarket(
    coin="ETH",
    index=1,
    lot=D("0.0001"),
    fee_ratio=D("0.00045"),
    impact_per_unit=D("0.00001"),
    depth=D(50),
    acts_within=60,
)
SEND = keccak(text="sendRawAction(bytes)")[:4]
RAW_ACTION = keccak(text="RawAction(address,bytes)")


def precompile(number: int) -> str:
    return f"0x{number:040x}"


@dataclass
class Core:
    """HyperCore's answers in units and USD. ETH has four size decimals, so prices have two in the precompiles."""

    size: Decimal = Decimal(0)
    entry: Decimal = Decimal(0)
    leverage: int = 20
    isolated: bool = False
    account_value: Decimal = Decimal(10_000)
    margin_used: Decimal = Decimal(0)
    notional: Decimal = Decimal(0)
    raw_usd: Decimal = Decimal(10_000)
    spot: Decimal = Decimal(500)
    hold: Decimal = Decimal(0)
    withdrawable: Decimal = Decimal(9_000)
    mark: Decimal = Decimal(2000)
    oracle: Decimal = Decimal(2001)
    bid: Decimal = Decimal("1999.5")
    ask: Decimal = Decimal("2000.5")
    exists: bool = True
    coin: str = "ETH"
    sz_decimals: int = 4
    max_leverage: int = 25
    only_isolated: bool = False
    block: int = 100
    now: int = NOW
    account: str = ACCOUNT
    market: int = 1
    asset: int = 1
    dex: int = 0
    rounds: list[list[Call]] = field(default_factory=list)

    def holding(self, size: str, entry: str = "2000", cash: str = "10000") -> "Core":
        """With a position opened at `entry`, and what follows from it at the mark."""
        self.size = D(size)
        self.entry = abs(self.size) * D(entry)
        self.raw_usd = D(cash) - self.size * D(entry)
        self.account_value = self.raw_usd + self.size * self.mark
        self.notional = abs(self.size) * self.mark
        self.margin_used = self.notional / self.leverage
        return self

    def answers(self) -> dict[tuple[str, bytes], bytes]:
        """By precompile and question, raw."""
        px, sz = 10 ** (6 - self.sz_decimals), 10**self.sz_decimals
        user, perp = ("address", self.account), ("uint32", self.market)

        def asked(*parts: tuple[str, Any]) -> bytes:
            return encode([kind for kind, _ in parts], [value for _, value in parts])

        usd = lambda amount: int(amount * 10**6)  # noqa: E731
        info = (self.coin, 55, self.sz_decimals, self.max_leverage, self.only_isolated)
        position = (int(self.size * sz), usd(self.entry), 0, self.leverage, self.isolated)
        summary = tuple(map(usd, (self.account_value, self.margin_used, self.notional, self.raw_usd)))
        spot = (int(self.spot * 10**8), int(self.hold * 10**8), 0)
        return {
            (precompile(0x801), asked(user, ("uint64", 0))): encode(["uint64"] * 3, spot),
            (precompile(0x803), asked(user)): encode(["uint64"], [usd(self.withdrawable)]),
            (precompile(0x806), asked(perp)): encode(["uint64"], [int(self.mark * px)]),
            (precompile(0x807), asked(perp)): encode(["uint64"], [int(self.oracle * px)]),
            (precompile(0x80A), asked(perp)): encode(["(string,uint32,uint8,uint8,bool)"], [info]),
            (precompile(0x80E), asked(("uint64", self.asset))): encode(
                ["uint64", "uint64"], [int(self.bid * px), int(self.ask * px)]
            ),
            (precompile(0x80F), asked(("uint32", self.dex), user)): encode(
                ["int64", "uint64", "uint64", "int64"], summary
            ),
            (precompile(0x810), asked(user)): encode(["bool"], [self.exists]),
            (precompile(0x813), asked(user, perp)): encode(
                ["int64", "uint64", "int64", "uint32", "bool"], position
            ),
        }

    def answer(self, call: Call | LogQuery) -> Any:
        """To one question; a KeyError for one that HyperCore doesn't know."""
        assert isinstance(call, Call), "HyperCore has no events"
        if call.to == MULTICALL:
            known = {"getBlockNumber": self.block, "getCurrentBlockTimestamp": self.now}
            return known[call.name.split(".")[1].split(" ")[0]]
        return call.decode(self.answers()[call.to.lower(), call.data])

    def drive(self, reader: Reader[Any]) -> Any:
        """What a reader makes of it."""
        try:
            calls = next(reader)
            while True:
                self.rounds.append([call for call in calls if isinstance(call, Call)])
                calls = reader.send([self.answer(call) for call in calls])
        except StopIteration as stop:
            return stop.value

    def state(self, venue: HyperliquidVenue) -> HyperliquidState:
        """As a tick would read it."""
        found = self.drive(venue.read())
        assert isinstance(found, HyperliquidState)
        return found

    def outcome(
        self, venue: HyperliquidVenue, meant: Intent, before: HyperliquidState, done: Receipt
    ) -> Outcome:
        """What became of an intent."""
        told = self.drive(venue.outcome(meant, done, before))
        assert isinstance(told, Outcome)
        return told


@dataclass
class Told:
    """An info API that says what it is told."""

    status: str | None = None
    fills_: tuple[ToldFill, ...] | None = ()
    funding: Decimal | None = None
    mode: str | None = "disabled"
    asked: list[tuple[int, int]] = field(default_factory=list)

    def order(self, cloid: int, since_s: int) -> ToldOrder | None:
        self.asked.append((cloid, since_s))
        return None if self.status is None else ToldOrder(self.status, self.fills_ or ())

    def fills(self, since_s: int) -> tuple[ToldFill, ...] | None:
        if self.fills_ is None:
            return None
        return tuple(fill for fill in self.fills_ if fill.at_ms >= since_s * 1_000)

    def funding_per_hour(self) -> Decimal | None:
        return self.funding

    def margin_mode(self) -> str | None:
        return self.mode


def told_fill(size: str, price: str = "2000", fee: str = "1", **changes: Any) -> ToldFill:
    values = {"at_ms": NOW * 1000, "oid": 77, "cloid": cloid_of("intent-1"), "reason": ""} | changes
    return ToldFill(D(size), D(price), D(fee), **values)


def hyperliquid_venue(
    info: CoreInfo | None = None, market: HyperliquidMarket = ETH, *, watches_margin: bool = False
) -> HyperliquidVenue:
    """The real adapter."""
    return HyperliquidVenue(
        "hyperliquid-eth",
        CHAIN,
        ACCOUNT,
        WRITER,
        market,
        MULTICALL,
        info,
        watches_margin=watches_margin,
    )


def order_action(
    is_buy: bool,
    price: int,
    size: int,
    *,
    reduce_only: bool = False,
    cloid: int = 7,
    asset: int = 1,
    tif: int = 3,
) -> bytes:
    """A limit order's bytes, price and size raw × 1e8."""
    types = ["uint32", "bool", "uint64", "uint64", "bool", "uint8", "uint128"]
    return b"\x01\x00\x00\x01" + encode(types, [asset, is_buy, price, size, reduce_only, tif, cloid])


def transfer_action(raw: int, *, to_perp: bool) -> bytes:
    """A USD class transfer's bytes."""
    return b"\x01\x00\x00\x07" + encode(["uint64", "bool"], [raw, to_perp])


def sent(data: bytes, who: str = ACCOUNT, block: int = 100, **changes: Any) -> Receipt:
    """The receipt of a transaction that passed an action on."""
    topics = (RAW_ACTION, bytes(12) + bytes.fromhex(who[2:]))
    log = Log(WRITER, topics, encode(["bytes"], [data]))
    return receipt(TX, logs=(log,), block_number=block, **changes)


def meant(size: str = "5", **changes: Any) -> Intent:
    """An order of five ETH, at most at 2010 or at least at 1990, the fee included."""
    bound = D(2010) if D(size) > 0 else D(1990)
    return intent(size=size, **({"price_bound": bound, "market": "hyperliquid:1"} | changes))


def placed(order: Intent, venue: HyperliquidVenue, state: HyperliquidState, block: int = 100) -> Receipt:
    """The receipt of what the adapter prepares for an intent."""
    data = venue.prepare(order, state).data
    length = int.from_bytes(data[36:68], "big")
    return sent(data[68 : 68 + length], block=block)


def action_types(venue: HyperliquidVenue, state: HyperliquidState) -> dict[IntentKind, int]:
    """The number of the action that each kind of intent becomes."""
    kinds = (IntentKind.TRADE, IntentKind.ADD_MARGIN, IntentKind.WITHDRAW_MARGIN)
    return {kind: venue.prepare(meant("1", kind=kind), state).data[71] for kind in kinds}
