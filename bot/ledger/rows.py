"""From the ledger's rows to the domain's nouns and back."""

from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, select

from bot.core.decision import Decided
from bot.core.model import Decision, Exposure, Fill, Intent, IntentKind, Mode, Settled, Snapshot, Wake
from bot.ledger.schema import attempts
from bot.ports import AttemptRow

SNAPSHOT: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)
EXPOSURE: TypeAdapter[Exposure] = TypeAdapter(Exposure)
DECISION: TypeAdapter[Decision] = TypeAdapter(Decision)
WAKE: TypeAdapter[Wake] = TypeAdapter(Wake)


def tick_values(decided: Decided) -> dict[str, Any]:
    decision = decided.decision
    return {
        "book": decided.snapshot.book,
        "at": decided.snapshot.at,
        "spot": str(decided.snapshot.spot),
        "net_delta": f"{decided.exposure.net:.9f}",
        "decision": decision.kind,
        "code": decision.code if decision.kind == "hold" else decision.kind.upper(),
        "why": decision.text,
        "paper": int(decided.snapshot.paper),
        "change_usd": None if decided.snapshot.change_usd is None else float(decided.snapshot.change_usd),
        "snapshot_json": SNAPSHOT.dump_json(decided.snapshot).decode(),
        "exposure_json": EXPOSURE.dump_json(decided.exposure).decode(),
        "decision_json": DECISION.dump_json(decision).decode(),
        "remaining": str(decision.remaining) if decision.kind == "rebalance" else "0",
        "wake_json": WAKE.dump_json(decided.wake).decode(),
        "mode": decided.mode.value,
        "rules": decided.rules,
    }


def decided_of(row: Any) -> Decided:
    return Decided(
        snapshot=SNAPSHOT.validate_json(row["snapshot_json"]),
        mode=Mode(row["mode"]),
        exposure=EXPOSURE.validate_json(row["exposure_json"]),
        decision=DECISION.validate_json(row["decision_json"]),
        wake=WAKE.validate_json(row["wake_json"]),
        rules=row["rules"],
    )


def attempts_of(db: Connection, key: str) -> tuple[AttemptRow, ...]:
    columns = (c for c in attempts.c if c.name in AttemptRow.__slots__)
    wanted = select(*columns).where(attempts.c.intent_key == key).order_by(attempts.c.id)
    return tuple(
        AttemptRow(**{**row, "max_fee_wei": int(row["max_fee_wei"]), "tip_wei": int(row["tip_wei"])})
        for row in db.execute(wanted).mappings()
    )


def plain(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def intent_of(row: Any) -> Intent:
    return Intent(
        key=row["key"],
        book=row["book"],
        account=row["account"],
        market=row["market"],
        kind=IntentKind(row["kind"]),
        size=Decimal(row["size"]),
        price_bound=Decimal(row["price_bound"]),
        deadline=row["deadline"],
        reference_price=Decimal(row["reference_price"]),
        parent=row["parent"],
        order_id=row["order_id"],
    )


def settled_of(row: Any) -> Settled | None:
    if row["settled_tx"] is None:
        return None
    return Settled(row["settled_tx"], row["settled_block"], row["settled_block_hash"])


def fill_of(row: Any) -> Fill:
    names = ("size", "notional", "fee_usd", "impact_usd", "funding_usd")
    return Fill(**{name: Decimal(row[name]) for name in names})
