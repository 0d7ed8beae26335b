"""The verdict after a fault: was an order doubled or lost? Fills are counted on the chain, never in the ledger."""

import itertools
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from bot.core.model import OPEN_OUTCOMES, OutcomeState, Purpose
from bot.core.units import from_raw
from bot.localnet.proxy import SEND, Exchange
from bot.ports import Log

if TYPE_CHECKING:
    from bot.localnet.rehearsal.stage import Stage

EXECUTED: Final = (OutcomeState.FILLED, OutcomeState.PARTIAL)
WEI_PER_GWEI: Final = Decimal(10) ** 9

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Sentences about what went wrong; none where nothing did. `broken` is any other promise that was not kept."""

    doubled: tuple[str, ...]
    lost: tuple[str, ...]
    broken: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.doubled or self.lost or self.broken)


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade of the hedger's as the chain's events tell it. `size` is signed."""

    tx_hash: str
    size: Decimal


@dataclass(frozen=True, slots=True)
class OnChain:
    """What the canonical chain holds of the hedger: trades, mined transactions (hash → succeeded), position."""

    fills: tuple[Fill, ...]
    mined: dict[str, bool]
    position: Decimal


@dataclass(frozen=True, slots=True)
class InLedger:
    """What the ledger holds: its rows, and the position that follows from them."""

    intents: tuple[Row, ...]
    attempts: tuple[Row, ...]
    fills: dict[str, Decimal]
    targets: tuple[float, ...]
    adopted: str
    position: Decimal


class Witness:
    """Sees to it that every signed transaction which leaves the bot was in the ledger before."""

    def __init__(self, ledger: Path, notes: Path) -> None:
        self._ledger = ledger
        self._notes = notes
        self._lock = threading.Lock()

    def look(self, exchange: Exchange) -> None:
        """Writes down the hash of a send that the ledger doesn't have."""
        for part in exchange.parts:
            if part["method"] == SEND:
                sent = "0x" + keccak(HexBytes(part["params"][0])).hex()
                known = {row["hash"] for row in rows(self._ledger, "SELECT hash FROM attempts")}
                if sent not in known:
                    with self._lock, self._notes.open("a", encoding="utf-8") as notes:
                        notes.write(sent + "\n")


def judge(stage: "Stage") -> Verdict:
    """The verdict on the stage as it is now, with the bot at rest."""
    chain, book = read_chain(stage), read_ledger(stage.ledger_file)
    lot = stage.config.books[0].venue.lot
    return Verdict(
        doubled=(*doubled(chain, book, stage.foreign), *overshoot(chain, book, lot, stage.foreign)),
        lost=tuple(lost(chain, book, stage.foreign)),
        broken=(*broken_attempts(book, cap_wei(stage)), *unwritten(stage.folder / "unwritten.txt")),
    )


def doubled(chain: OnChain, book: InLedger, foreign: Iterable[str]) -> list[str]:
    """More than one executed order for one decision."""
    intent_of = {row["hash"]: row["intent_key"] for row in book.attempts}
    found = []
    for intent in book.intents:
        executed = [fill for fill in chain.fills if intent_of.get(fill.tx_hash) == intent["key"]]
        if len(executed) > 1:
            found.append(f"order {intent['key']} was executed {len(executed)} times")
    ours = [fill for fill in chain.fills if fill.tx_hash not in foreign]
    meant = [intent for intent in book.intents if intent["outcome"] in EXECUTED]
    unresolved = [intent for intent in book.intents if intent["outcome"] in OPEN_OUTCOMES]
    if len(ours) > len(meant) + len(unresolved):
        found.append(f"{len(ours)} trades on the chain for {len(meant)} executed orders")
    return found


def overshoot(chain: OnChain, book: InLedger, lot: Decimal, foreign: Iterable[str]) -> list[str]:
    """A position beyond every target that an order was ever meant to reach, by more than a lot and foreign trades."""
    targets = [0.0, *book.targets]
    outside = [fill.size for fill in chain.fills if fill.tx_hash in foreign]
    room = lot + abs(sum(outside, Decimal(0)))
    low, high = min(targets) - float(room), max(targets) + float(room)
    positions = itertools.accumulate(fill.size for fill in chain.fills)
    return [
        f"the position was {position:+f}, no target was beyond {min(targets):+.4f} … {max(targets):+.4f}"
        for position in positions
        if not low <= float(position) <= high
    ]


def lost(chain: OnChain, book: InLedger, foreign: set[str]) -> list[str]:
    """Whatever one of the two knows and the other does not."""
    outcomes = {intent["key"]: intent["outcome"] for intent in book.intents}
    attempts = {row["hash"]: row for row in book.attempts}
    executed = {fill.tx_hash: fill for fill in chain.fills}
    found = []
    for fill in chain.fills:
        row = attempts.get(fill.tx_hash)
        if row is None:
            if fill.tx_hash not in foreign:
                found.append(f"the chain has a trade of {fill.size:+f} in {fill.tx_hash}, the ledger has not")
        elif book.fills.get(row["intent_key"]) != fill.size:
            found.append(f"the ledger has no fill of {fill.size:+f} for order {row['intent_key']}")
    for key, size in book.fills.items():
        if not any(row["intent_key"] == key and row["hash"] in executed for row in book.attempts):
            found.append(f"the ledger has a fill of {size:+f} for order {key}, the chain has not")
    for tx_hash, succeeded in chain.mined.items():
        row = attempts.get(tx_hash)
        if row is None:
            if tx_hash not in foreign:
                found.append(f"{tx_hash} was mined and is not in the ledger")
        elif (
            succeeded and row["purpose"] == Purpose.ORDER and outcomes[row["intent_key"]] == OutcomeState.DEAD
        ):
            found.append(f"order {row['intent_key']} is dead in the ledger, its {tx_hash} is on the chain")
    outside = sum(
        (f.size for f in chain.fills if f.tx_hash in foreign and f.tx_hash not in book.adopted), Decimal(0)
    )
    if book.position + outside != chain.position:
        found.append(f"the ledger's position is {book.position:+f}, the venue's {chain.position:+f}")
    return found


def broken_attempts(book: InLedger, cap: int) -> list[str]:
    """Attempts of one intent that differ in more than their fees, or whose fees rise too little or too far."""
    found = []
    for key in dict.fromkeys(row["intent_key"] for row in book.attempts):
        rows_ = [row for row in book.attempts if row["intent_key"] == key]
        signed = [TypedTransaction.from_bytes(HexBytes(row["raw"])).as_dict() for row in rows_]
        if len({tx["nonce"] for tx in signed}) > 1:
            found.append(f"the attempts of order {key} have several nonces")
        orders = [tx for tx, row in zip(signed, rows_, strict=True) if row["purpose"] == Purpose.ORDER]
        if len({(bytes(tx["to"]), bytes(tx["data"])) for tx in orders}) > 1:
            found.append(f"the attempts of order {key} have several meanings")
        fees = [(int(tx["maxFeePerGas"]), int(tx["maxPriorityFeePerGas"])) for tx in signed]
        for lower, higher in itertools.pairwise(fees):
            if any(10 * new < 11 * old for old, new in zip(lower, higher, strict=True)):
                found.append(f"order {key} was bumped from {lower} to {higher} wei, less than a tenth")
        if any(fee > cap for fee, _ in fees):
            found.append(f"order {key} offers more than the cap of {cap} wei")
    return found


def unwritten(notes: Path) -> list[str]:
    """Sends that the ledger did not have when they left."""
    sent = notes.read_text(encoding="utf-8").split() if notes.is_file() else []
    return [f"{tx_hash} left before it was in the ledger" for tx_hash in sent]


def cap_wei(stage: "Stage") -> int:
    """The configured fee cap per gas unit."""
    return int(stage.config.chains["localnet"].max_fee_gwei * WEI_PER_GWEI)


def read_chain(stage: "Stage") -> OnChain:
    """The hedger's trades, transactions and position on the canonical chain, since the fault began."""
    node, hedger = stage.node, stage.world.accounts.hedger
    last = node.block_number()
    house = stage.contract("curie_clearing_house", "clearing_house")
    where = {
        "address": house.address,
        "topics": ["0x" + house.abi.topic("PositionChanged").hex(), "0x" + hedger[2:].rjust(64, "0")],
        "fromBlock": hex(min(stage.first_block, last)),
    }
    fills = []
    for entry in node.rpc("eth_getLogs", where):
        topics = tuple(bytes.fromhex(topic[2:]) for topic in entry["topics"])
        event = house.abi.decode_event(
            "PositionChanged", Log(entry["address"], topics, bytes.fromhex(entry["data"][2:]))
        )
        if event is not None:
            fills.append(Fill(entry["transactionHash"], from_raw(event["exchangedPositionSize"], 18)))
    mined = {}
    for number in range(stage.first_block, last + 1):
        for tx in node.rpc("eth_getBlockByNumber", hex(number), True)["transactions"]:
            if tx["from"].lower() == hedger.lower():
                receipt = node.rpc("eth_getTransactionReceipt", tx["hash"])
                mined[tx["hash"]] = int(receipt["status"], 16) == 1
    balances = stage.world.curie_contract("account_balance")
    raw = balances.read("getTakerPositionSize", hedger, stage.world.curie.base_token)
    return OnChain(tuple(fills), mined, from_raw(raw, 18))


def read_ledger(path: Path) -> InLedger:
    """Everything of a ledger that a verdict needs, read past the program that wrote it."""
    intents = rows(path, "SELECT * FROM intents ORDER BY tick_id")
    fills = rows(path, "SELECT intent_key, size FROM fills WHERE paper = 0")
    baselines = rows(path, "SELECT * FROM baselines ORDER BY id")
    decided = (
        "SELECT json_extract(exposure_json, '$.options') AS o, json_extract(exposure_json, '$.holdings') AS h"
    )
    targets = rows(path, f"{decided} FROM ticks WHERE decision = 'rebalance'")
    sizes = {row["intent_key"]: Decimal(row["size"]) for row in fills}
    position = sum(sizes.values(), Decimal(0))
    if baselines:
        newest = baselines[-1]
        position += Decimal(newest["size"]) - Decimal(newest["filled_before"])
    return InLedger(
        intents=tuple(intents),
        attempts=tuple(rows(path, "SELECT * FROM attempts ORDER BY id")),
        fills=sizes,
        targets=tuple(-(row["o"] + row["h"]) for row in targets),
        adopted=" ".join(row["why"] for row in baselines),
        position=position,
    )


def rows(path: Path, query: str, values: Sequence[Any] = ()) -> list[Row]:
    """What a query finds; nothing where the ledger has no such table yet."""
    if not path.is_file():
        return []
    with closing(sqlite3.connect(path, timeout=5)) as db:
        db.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in db.execute(query, values)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
