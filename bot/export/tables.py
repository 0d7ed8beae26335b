"""The tables of an export: their columns with types, and where their rows come from. See docs/export.md."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Engine

from bot.core.accounts import address_of, chain_id_of
from bot.ledger import pages

Type = Literal["text", "decimal", "integer", "float", "time"]
"""A "decimal" is an exact decimal text, a "time" Unix seconds."""
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """One file: its columns with their types, and where its rows come from."""

    name: str
    columns: dict[str, Type]
    rows: Callable[[Engine], Iterator[Row]]


def with_chain(row: Row) -> Row:
    """A row whose account is an address, with the id of the chain that it signs on."""
    return {**row, "account": address_of(row["account"]), "chain_id": chain_id_of(row["account"])}


def exposure_row(row: Row) -> Row:
    """A tick's exposure beside what the venue said."""
    exposure, snapshot = json.loads(row["exposure_json"]), json.loads(row["snapshot_json"])
    venue = snapshot["venue"]
    known = {name: exposure[name] for name in EXPOSURE if name in exposure}
    net = exposure["options"] + exposure["holdings"] + exposure["perps"]
    return {
        "tick": row["id"],
        "book": row["book"],
        "at": row["at"],
        "spot": row["spot"],
        **known,
        "net": net,
        "hedge_size": venue["position"]["size"],
        "mark": venue["mark"],
        "index": venue["index"],
        "account_value": venue["margin"]["account_value"],
        "free_collateral": venue["margin"]["free_collateral"],
        "maintenance_margin": venue["margin"]["maintenance"],
        "funding_per_hour": venue["funding_per_hour"],
    }


EXPOSURE: dict[str, Type] = dict.fromkeys(
    (
        "options",
        "holdings",
        "perps",
        "net_lo",
        "net_hi",
        "gap_lo",
        "gap_hi",
        "gross",
        "value",
        "model_delta",
        "gamma",
        "vega",
        "theta",
        "rho",
        "vanna",
        "volga",
        "charm",
        "vol",
    ),
    "float",
)

TABLES = (
    Table(
        "orders",
        {
            "key": "text",
            "tick_id": "integer",
            "decided_at": "time",
            "book": "text",
            "account": "text",
            "chain_id": "integer",
            "market": "text",
            "kind": "text",
            "size": "decimal",
            "price_bound": "decimal",
            "reference_price": "decimal",
            "deadline": "time",
            "outcome": "text",
            "reason": "text",
            "gas_usd": "decimal",
            "resolved_at": "time",
        },
        lambda engine: map(with_chain, pages.orders(engine)),
    ),
    Table(
        "transactions",
        {
            "id": "integer",
            "hash": "text",
            "intent_key": "text",
            "account": "text",
            "chain_id": "integer",
            "nonce": "integer",
            "purpose": "text",
            "max_fee_wei": "decimal",
            "tip_wei": "decimal",
            "signed_at": "time",
            "state": "text",
            "block_number": "integer",
            "block_hash": "text",
            "gas_used": "integer",
            "gas_cost_wei": "decimal",
        },
        lambda engine: map(with_chain, pages.transactions(engine)),
    ),
    Table(
        "fills",
        {
            "intent_key": "text",
            "tick_id": "integer",
            "at": "time",
            "book": "text",
            "account": "text",
            "chain_id": "integer",
            "market": "text",
            "paper": "integer",
            "size": "decimal",
            "notional": "decimal",
            "reference_price": "decimal",
            "fee_usd": "decimal",
            "impact_usd": "decimal",
            "funding_usd": "decimal",
        },
        lambda engine: map(with_chain, pages.executions(engine)),
    ),
    Table(
        "decisions",
        {
            "id": "integer",
            "book": "text",
            "at": "time",
            "mode": "text",
            "paper": "integer",
            "spot": "decimal",
            "net_delta": "decimal",
            "decision": "text",
            "code": "text",
            "why": "text",
            "remaining": "decimal",
            "change_usd": "float",
            "rules": "text",
        },
        pages.decisions,
    ),
    Table(
        "exposure",
        {
            "tick": "integer",
            "book": "text",
            "at": "time",
            "spot": "decimal",
            **EXPOSURE,
            "net": "float",
            "hedge_size": "decimal",
            "mark": "decimal",
            "index": "decimal",
            "account_value": "decimal",
            "free_collateral": "decimal",
            "maintenance_margin": "decimal",
            "funding_per_hour": "decimal",
        },
        lambda engine: map(exposure_row, pages.exposures(engine)),
    ),
)
