"""From the ledger's rows to the domain's nouns and back."""

from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, select

from bot.core.model import Fill, Intent, IntentKind
from bot.ledger.schema import attempts
from bot.ports import AttemptRow


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
    )


def fill_of(row: Any) -> Fill:
    names = ("size", "notional", "fee_usd", "impact_usd", "funding_usd")
    return Fill(**{name: Decimal(row[name]) for name in names})
