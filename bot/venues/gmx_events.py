"""GMX's events, which are items by name in two general logs, and what they say became of our orders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from eth_utils.crypto import keccak

from bot.chain.contracts import Contract, decode_values
from bot.core.model import Fill, Outcome, OutcomeState, Settled
from bot.core.units import from_raw
from bot.errors import DataError
from bot.ports import EventLog, Log, LogQuery, OutsideChange, Receipt
from bot.venues.gmx_errors import plain, reason_of
from bot.venues.gmx_market import LIQUIDATION, GmxMarket, same, usd

CHANGES = ("PositionIncrease", "PositionDecrease")
ENDS = ("OrderExecuted", "OrderCancelled", "OrderFrozen")
ADL = 1
"""The secondary type of an order that deleveraged a position for the pool's sake."""


@dataclass(frozen=True, slots=True)
class Event:
    """One of the protocol's events, its items by name, with the transaction that it came from."""

    name: str
    items: Mapping[str, Any]
    settled: Settled

    @property
    def key(self) -> str:
        """The order that it is about, as hexadecimal text; "" where it names none."""
        found: bytes = self.items.get("orderKey", self.items.get("key", b""))
        return "0x" + found.hex() if found else ""


def topic_of(address: str) -> bytes:
    """An address as an indexed topic."""
    return bytes.fromhex(address[2:]).rjust(32, b"\0")


def query(
    emitter: Contract,
    name: str,
    from_block: int,
    *rest: bytes | None,
    two: bool = False,
    to_block: int | None = None,
) -> LogQuery:
    """All events of a name since a block, or up to `to_block`. `rest` are the topics behind it; `two` for EventLog2."""
    log = "EventLog2" if two else "EventLog1"
    topics = [emitter.abi.topic(log), keccak(text=name), *rest]
    return LogQuery(
        emitter.address, tuple(t if t is None else "0x" + t.hex() for t in topics), from_block, name, to_block
    )


def of_order(emitter: Contract, order_key: str, from_block: int) -> LogQuery:
    """Everything that happened to one order."""
    topics = ("0x" + emitter.abi.topic("EventLog2").hex(), None, order_key)
    return LogQuery(emitter.address, topics, from_block, f"events of order {order_key}")


def read(emitter: Contract, log: Log, settled: Settled) -> Event | None:
    """The event of a log; None where it is not the emitter's. DataError where it has another form."""
    if not same(log.address, emitter.address) or not log.topics:
        return None
    for form in ("EventLog1", "EventLog2"):
        if log.topics[0] != emitter.abi.topic(form):
            continue
        inputs = emitter.abi.events[form].get("inputs", ())
        unindexed = [i for i in inputs if not i.get("indexed")]
        where = f"{emitter.abi.name}.{form}"
        values = dict(
            zip((i["name"] for i in unindexed), decode_values(where, unindexed, log.data), strict=True)
        )
        return Event(values["eventName"], items_of(values["eventData"]), settled)
    return None


def items_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """All of an event's single items by name, whatever their type."""
    return {item["key"]: item["value"] for kind in data.values() for item in kind["items"]}


def found(emitter: Contract, logs: Sequence[EventLog]) -> list[Event]:
    """The events of a log query, oldest first."""
    read_ones = [
        read(emitter, entry.log, Settled(entry.tx_hash, entry.block_number, entry.block_hash))
        for entry in logs
    ]
    return [event for event in read_ones if event is not None]


def in_receipt(emitter: Contract, receipt: Receipt) -> list[Event]:
    """The protocol's events of one transaction."""
    settled = Settled(receipt.tx_hash, receipt.block_number, receipt.block_hash)
    return [event for log in receipt.logs if (event := read(emitter, log, settled)) is not None]


def of_position(event: Event, account: str, market: str, collateral: str) -> bool:
    """Whether a change is of the account's position in a market that a token backs."""
    wanted = {"account": account, "market": market, "collateralToken": collateral}
    return all(same(event.items[name], value) for name, value in wanted.items())


def signed_size(event: Event, market: GmxMarket) -> Decimal:
    """What a PositionIncrease or PositionDecrease traded, in units: a bought long, or a closed short, is positive."""
    size = from_raw(event.items["sizeDeltaInTokens"], market.index_decimals)
    grows = event.name == "PositionIncrease"
    return size if grows is event.items["isLong"] else -size


def fill_of(change: Event, fees: Event, market: GmxMarket, reference: Decimal) -> Fill:
    """The fill that a change of the position and its fees tell. DataError where they leave it open.

    Funding is what was paid less what became claimable, borrowing included. Of the claimable tokens the collateral's
    and the index's own count: the events give no other price.
    """
    size = signed_size(change, market)
    notional = abs(size) * market.price_usd(change.items["executionPrice"])
    traded_at = notional if size > 0 else -notional
    price = fees.items["collateralTokenPrice.min"]
    paid = usd(fees.items["fundingFeeAmount"] * price) + usd(fees.items["borrowingFeeAmount"] * price)
    earned = Decimal(0)
    for token, amount in zip(
        (market.long_token, market.short_token),
        (fees.items["claimableLongTokenAmount"], fees.items["claimableShortTokenAmount"]),
        strict=True,
    ):
        if same(token, market.collateral_token):
            earned += usd(amount * price)
        elif market.is_index(token):
            earned += usd(amount * change.items["indexTokenPrice.min"])
    return Fill(
        size=size,
        notional=notional,
        fee_usd=usd(fees.items["positionFeeAmount"] * price),
        impact_usd=traded_at - size * reference,
        funding_usd=paid - earned,
    )


def keeper_wei(events: Sequence[Event], settled: Settled, account: str, most: int) -> int:
    """What the executor kept of an order's fee of `most` wei, from the events of the transaction that settled it.

    A cancel of our own pays us. Of several orders in one transaction the events don't say whose a fee was: then the
    largest that this order can have paid is taken.
    """
    paid = [
        event.items["executionFeeAmount"]
        for event in events
        if event.settled.tx_hash == settled.tx_hash and not same(event.items["keeper"], account)
    ]
    return max((wei for wei in paid if wei <= most), default=0)


def ended(events: Sequence[Event]) -> Event | None:
    """The event that decided an order: executed or cancelled; a freeze where neither came after it."""
    ends = [event for event in events if event.name in ENDS]
    final = [event for event in ends if event.name != "OrderFrozen"]
    return (final or ends)[-1] if ends else None


def cancelled(event: Event, market: GmxMarket) -> str:
    """Why an order was cancelled or frozen, in words: a plain reason, or the error that the protocol met."""
    reason: str = event.items.get("reason", "")
    return plain(reason) if reason else reason_of(event.items.get("reasonBytes", b""), market)


def waiting(order_key: str, since: int, now: int, expiration_s: int) -> Outcome:
    """An order that nobody has executed yet. It may be cancelled once it has waited as long as the protocol asks."""
    at = datetime.fromtimestamp(since, UTC)
    late = now - since >= expiration_s
    text = f"order {order_key} waits for its executor since {at:%Y-%m-%d %H:%M:%S} UTC, for {now - since} s"
    more = (
        f"; after {expiration_s} s it may be cancelled"
        if not late
        else "; it has expired and may be cancelled"
    )
    return Outcome(OutcomeState.PENDING, text + more, order_id=order_key, cancellable=late)


def changes_outside(
    changes: Sequence[Event],
    created: Sequence[Event],
    executed: Sequence[Event],
    known: frozenset[str],
    market: GmxMarket,
) -> tuple[OutsideChange, ...]:
    """The changes whose order was not placed by a transaction of ours, oldest first; none for moved collateral."""
    ours = {event.key for event in created if event.settled.tx_hash in known}
    forced = {event.key for event in executed if event.items.get("secondaryOrderType") == ADL}
    outside = []
    for event in sorted(changes, key=lambda change: change.settled.block_number):
        size = signed_size(event, market)
        if event.key in ours or size == 0:
            continue
        reason = "liquidation" if event.items["orderType"] == LIQUIDATION else ""
        if event.key in forced:
            reason = "auto-deleveraging"
        outside.append(OutsideChange(size, reason, event.settled.tx_hash))
    return tuple(outside)


def created_in(emitter: Contract, receipt: Receipt, account: str, market: str) -> Event:
    """The one order of ours that a transaction placed. DataError where it placed none, or several."""
    ours = [
        event
        for event in in_receipt(emitter, receipt)
        if event.name == "OrderCreated"
        and same(event.items["account"], account)
        and same(event.items["market"], market)
    ]
    if len(ours) != 1:
        raise DataError(f"{receipt.tx_hash} placed {len(ours)} orders of ours, not one")
    return ours[0]
