"""A GMX market that answers as it is told: addresses, states, events and reads, encoded without the adapter's help."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from builders import ACCOUNT, CHAIN, NOW, address, receipt
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from bot.chain.contracts import load_abi
from bot.core.model import CostPoint, Margin, OrderCollateral, Outcome, PerpPosition
from bot.ports import Call, EventLog, Log, LogQuery, Reader, Receipt, Reverted
from bot.venues.gmx import GmxVenue
from bot.venues.gmx_market import GmxAddresses, GmxMarket, GmxRules, GmxState, PriceSource, Side

E12, E18, E24, E30 = 10**12, 10**18, 10**24, 10**30
GWEI = 10**9
WETH, USDC, BTC = address(41), address(42), address(43)
KEEPER = address(90)
TX, EXECUTED = "0x" + "ab" * 32, "0x" + "cd" * 32
KEY = bytes.fromhex("11" * 32)
MULTICALL = address(10)
GMX = GmxAddresses(
    router=address(30),
    exchange_router=address(31),
    reader=address(32),
    data_store=address(33),
    event_emitter=address(34),
    order_vault=address(35),
    order_handler=address(36),
    referral_storage=address(37),
    market=address(38),
)
INDEX_FEED, SHORT_FEED = PriceSource(address(51), 3_600), PriceSource(address(52), 86_400)
MARKET = GmxMarket(
    index_token=WETH,
    index_decimals=18,
    long_token=WETH,
    short_token=USDC,
    collateral_token=USDC,
    collateral_decimals=6,
    index_feed=INDEX_FEED,
    long_feed=INDEX_FEED,
    short_feed=SHORT_FEED,
)
RULES = GmxRules(leverage=Decimal(3), max_fee_wei=50 * GWEI)
LOT = Decimal("0.001")


def gmx_venue(market: GmxMarket = MARKET, rules: GmxRules = RULES) -> GmxVenue:
    """The real adapter."""
    return GmxVenue("gmx-eth", CHAIN, ACCOUNT, GMX, market, LOT, rules, MULTICALL)


def side(size: str, price: str = "2000") -> Side:
    """A position of `size` (> 0) opened at `price`."""
    return Side(int(Decimal(size) * Decimal(price) * E30), int(Decimal(size) * E18))


def gmx_state(position: str = "0", **changes: Any) -> GmxState:
    """The venue with a position opened at the mark with a third of it as collateral, and an allowance for nothing."""
    size = Decimal(position)
    opened = side(str(abs(size))) if size else None
    equity = abs(size) * 2000 / 3
    values: dict[str, Any] = {
        "name": "gmx-eth",
        "account": ACCOUNT,
        "position": PerpPosition(GMX.market, size, -size * 2000),
        "margin": Margin(equity, equity, equity, equity / 2, equity / 10, equity),
        "mark": Decimal(2000),
        "index": Decimal(2000),
        "fee_ratio": Decimal("0.0006"),
        "funding_per_hour": Decimal("0.00001"),
        "pending_funding": Decimal(0),
        "curve": (CostPoint(Decimal(1000), Decimal(2010)), CostPoint(Decimal(-1000), Decimal(1990))),
        "max_buy": Decimal(1000),
        "max_sell": Decimal(1000),
        "lot": LOT,
        "clip_interval_s": 2,
        "order_gas": 950_000,
        "initial_ratio": Decimal("0.01"),
        "maintenance_ratio": Decimal("0.005"),
        "keeper_gas": 4_350_000,
        "wallet": Decimal(1_000_000),
        "allowance": Decimal(0),
        "collateral": OrderCollateral(Decimal(3), Decimal(1)),
        "long": opened if size > 0 else None,
        "short": opened if size < 0 else None,
    }
    return GmxState(**(values | changes))


def event_log(name: str, topics: Sequence[bytes], items: Mapping[str, tuple[str, Any]]) -> Log:
    """One of the emitter's logs: `items` are (type, value) by name."""
    kinds = ("address", "uint256", "int256", "bool", "bytes32", "bytes", "string")
    groups = []
    for kind in kinds:
        groups.append(([(key, value) for key, (its, value) in items.items() if its == kind], []))
    shape = ",".join(f"((string,{kind})[],(string,{kind}[])[])" for kind in kinds)
    data = encode(["address", "string", f"({shape})"], [address(36), name, tuple(groups)])
    nested = shape
    arguments = "address,string,string," + "bytes32," * len(topics) + f"({nested})"
    first = keccak(text=f"EventLog{len(topics)}({arguments})")
    return Log(GMX.event_emitter, (first, keccak(text=name), *topics), data)


def padded(who: str) -> bytes:
    """An address as a topic."""
    return bytes(12) + bytes.fromhex(who[2:])


def order_created(
    size_usd: int,
    *,
    key: bytes = KEY,
    kind: int = 2,
    is_long: bool = True,
    who: str = ACCOUNT,
    fee: int = E18,
) -> Log:
    """OrderCreated, with the items that matter."""
    items = {
        "account": ("address", who),
        "market": ("address", GMX.market),
        "orderType": ("uint256", kind),
        "sizeDeltaUsd": ("uint256", size_usd),
        "executionFee": ("uint256", fee),
        "isLong": ("bool", is_long),
        "key": ("bytes32", key),
    }
    return event_log("OrderCreated", (key, padded(who)), items)


def order_ended(name: str, *, key: bytes = KEY, secondary: int = 0, text: str = "", data: bytes = b"") -> Log:
    """OrderExecuted, OrderCancelled or OrderFrozen."""
    items: dict[str, tuple[str, Any]] = {"key": ("bytes32", key), "account": ("address", ACCOUNT)}
    if name == "OrderExecuted":
        items["secondaryOrderType"] = ("uint256", secondary)
    else:
        items |= {"reason": ("string", text), "reasonBytes": ("bytes", data)}
    return event_log(name, (key, padded(ACCOUNT)), items)


def position_changed(
    size: str, usd: int, *, price: str = "2000", is_long: bool = True, **changes: Any
) -> Log:
    """PositionIncrease for a signed size that makes the side larger, else PositionDecrease."""
    amount = Decimal(size)
    name = "PositionIncrease" if (amount > 0) is is_long else "PositionDecrease"
    items: dict[str, tuple[str, Any]] = {
        "account": ("address", changes.get("who", ACCOUNT)),
        "market": ("address", changes.get("market", GMX.market)),
        "collateralToken": ("address", changes.get("token", USDC)),
        "executionPrice": ("uint256", int(Decimal(price) * E12)),
        "indexTokenPrice.min": ("uint256", 2000 * E12),
        "sizeDeltaUsd": ("uint256", usd),
        "sizeDeltaInTokens": ("uint256", int(abs(amount) * E18)),
        "orderType": ("uint256", changes.get("kind", 2 if name == "PositionIncrease" else 4)),
        "isLong": ("bool", is_long),
        "orderKey": ("bytes32", changes.get("key", KEY)),
    }
    return event_log(name, (padded(changes.get("who", ACCOUNT)),), items)


def fees_collected(
    fee: int, *, key: bytes = KEY, funding: int = 0, borrowing: int = 0, earned: tuple[int, int] = (0, 0)
) -> Log:
    """PositionFeesCollected in USDC at a dollar, raw amounts."""
    items = {
        "market": ("address", GMX.market),
        "collateralToken": ("address", USDC),
        "collateralTokenPrice.min": ("uint256", E24),
        "positionFeeAmount": ("uint256", fee),
        "fundingFeeAmount": ("uint256", funding),
        "borrowingFeeAmount": ("uint256", borrowing),
        "claimableLongTokenAmount": ("uint256", earned[0]),
        "claimableShortTokenAmount": ("uint256", earned[1]),
        "orderKey": ("bytes32", key),
    }
    return event_log("PositionFeesCollected", (padded(GMX.market),), items)


def keeper_paid(wei: int, who: str = KEEPER) -> Log:
    """KeeperExecutionFee."""
    items = {"keeper": ("address", who), "executionFeeAmount": ("uint256", wei)}
    return event_log("KeeperExecutionFee", (padded(who),), items)


def mined(log: Log, tx: str = EXECUTED, block: int = 105) -> EventLog:
    """A log as a query finds it."""
    return EventLog(log, tx, block, f"0x{block:064x}")


def placed(size_usd: int, **changes: Any) -> Receipt:
    """The receipt of our transaction with its order."""
    return receipt(TX, logs=(order_created(size_usd, **changes),))


def matches(log: Log, query: LogQuery) -> bool:
    """Whether a node would give this log for a query: absent topics match everything."""
    wanted = [None if t is None else bytes.fromhex(t[2:]) for t in query.topics]
    return len(log.topics) >= len(wanted) and all(
        topic is None or topic == has for topic, has in zip(wanted, log.topics, strict=False)
    )


@dataclass
class Chain:
    """Answers reads: events by their topics, functions by name and DataStore values by key, else by default."""

    logs: tuple[EventLog, ...] = ()
    now: int = NOW
    uints: dict[bytes, int] = field(default_factory=dict)
    bools: dict[bytes, bool] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[list[Call | LogQuery]] = field(default_factory=list)

    def drive(self, reader: Reader[Any]) -> Any:
        """What a reader makes of it."""
        try:
            calls = next(reader)
            while True:
                self.asked.append(list(calls))
                calls = reader.send([self.answer(call) for call in calls])
        except StopIteration as stop:
            return stop.value

    def outcome(self, reader: Reader[Outcome]) -> Outcome:
        """An order's."""
        told = self.drive(reader)
        assert isinstance(told, Outcome)
        return told

    def answer(self, call: Call | LogQuery) -> Any:
        """To one question."""
        if isinstance(call, LogQuery):
            assert call.address == GMX.event_emitter
            return [e for e in self.logs if e.block_number >= call.from_block and matches(e.log, call)]
        if call.to == GMX.data_store:
            what, key = load_abi("gmx_data_store").decode_input(call.data)
            values: Mapping[bytes, Any] = self.uints if what == "getUint" else self.bools
            return values.get(key["key"], 0 if what == "getUint" else False)
        function = call.name.split(".")[1].split(" ")[0]
        if function == "getCurrentBlockTimestamp":
            return self.now
        for key in (f"{function}@{call.to}", function):
            if key in self.answers:
                found = self.answers[key]
                return found(call) if callable(found) else found
        raise AssertionError(f"nobody says what {call.name} answers")


def waiting_order(since: int) -> dict[str, Any]:
    """What the Reader shows of an order placed at Unix second `since`; 0 for none."""
    return {"numbers": {"updatedAtTime": since}}


REVERTED = Reverted("PriceImpactLargerThanOrderSize")
