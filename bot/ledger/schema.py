"""The ledger's tables. The constraints are the last line of defence against a doubled order.

Sizes, prices and money are decimal text, times are Unix seconds, structures are JSON. An `account` is an address on one
chain (`bot.core.accounts`), but in `chains`: there it is the address that signs, with whose position it trades where
that is another's, and "" where the chain is only read. `change_usd` is a book's change
of value since the tick before, in USD.
"""

from sqlalchemy import (
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

SCHEMA_VERSION = 4

metadata = MetaData()

meta = Table(
    "meta", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False)
)

chains = Table(
    "chains",
    metadata,
    Column("chain", String, primary_key=True),
    Column("chain_id", Integer, nullable=False),
    Column("instance", String, nullable=False),
    Column("account", String, nullable=False),
)

modes = Table(
    "modes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False, index=True),
    Column("mode", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Integer, nullable=False),
)

ticks = Table(
    "ticks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("book", String, nullable=False, index=True),
    Column("at", Integer, nullable=False),
    Column("spot", String, nullable=False),
    Column("net_delta", String, nullable=False),
    Column("decision", String, nullable=False),
    Column("code", String, nullable=False),
    Column("why", Text, nullable=False),
    Column("paper", Integer, nullable=False),
    Column("change_usd", Float),
    Column("snapshot_json", Text, nullable=False),
    Column("exposure_json", Text, nullable=False),
    Column("decision_json", Text, nullable=False),
    Column("wake_json", Text, nullable=False),
    Column("remaining", String, nullable=False),
    Column("mode", String, nullable=False),
    Column("rules", String, nullable=False),
)
Index("changes_of_book", ticks.c.book, ticks.c.paper, ticks.c.at, ticks.c.change_usd)
Index("changes_in_all", ticks.c.paper, ticks.c.at, ticks.c.change_usd)
Index("deltas_of_book", ticks.c.book, ticks.c.paper, ticks.c.at, ticks.c.net_delta)
Index("codes_of_book", ticks.c.book, ticks.c.code)

intents = Table(
    "intents",
    metadata,
    Column("key", String, primary_key=True),
    Column("tick_id", ForeignKey("ticks.id"), nullable=False),
    Column("book", String, nullable=False),
    Column("account", String, nullable=False),
    Column("market", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("size", String, nullable=False),
    Column("price_bound", String, nullable=False),
    Column("deadline", Integer, nullable=False),
    Column("reference_price", String, nullable=False),
    Column("parent", String, nullable=False, server_default=""),
    Column("order_id", String, nullable=False, server_default=""),
    Column("outcome", String, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    Column("gas_usd", String, nullable=False, server_default="0"),
    Column("resolved_at", Integer),
    Column("resolved_after", ForeignKey("ticks.id")),
    Column("settled_tx", String),
    Column("settled_block", Integer),
    Column("settled_block_hash", String),
)
Index(
    "one_open_intent_per_market",
    intents.c.account,
    intents.c.market,
    unique=True,
    sqlite_where=text("outcome = 'PENDING' AND parent = ''"),
    postgresql_where=text("outcome = 'PENDING' AND parent = ''"),
)
Index(
    "one_open_cancel_per_order",
    intents.c.parent,
    unique=True,
    sqlite_where=text("outcome = 'PENDING' AND parent <> ''"),
    postgresql_where=text("outcome = 'PENDING' AND parent <> ''"),
)

Index("orders_by_end", intents.c.resolved_at)
Index("orders_by_tick", intents.c.tick_id)
Index("gas_of_book", intents.c.book, intents.c.resolved_at, intents.c.gas_usd)
Index("orders_by_outcome", intents.c.outcome)

attempts = Table(
    "attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", String, nullable=False, unique=True),
    Column("intent_key", ForeignKey("intents.key"), nullable=False, index=True),
    Column("account", String, nullable=False),
    Column("nonce", Integer, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("purpose", String, nullable=False),
    Column("max_fee_wei", String, nullable=False),
    Column("tip_wei", String, nullable=False),
    Column("signed_at", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("block_number", Integer),
    Column("block_hash", String),
    Column("gas_used", Integer),
    Column("gas_cost_wei", String),
)

nonces = Table(
    "nonces",
    metadata,
    Column("account", String, primary_key=True),
    Column("nonce", Integer, primary_key=True),
    Column("intent_key", ForeignKey("intents.key"), nullable=False),
    UniqueConstraint("intent_key"),
)

baselines = Table(
    "baselines",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("market", String, nullable=False),
    Column("size", String, nullable=False),
    Column("filled_before", String, nullable=False),
    Column("nonce", Integer),
    Column("block_number", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Integer, nullable=False),
)

epoch = Table(
    "epoch", metadata, Column("id", Integer, primary_key=True), Column("epoch", Integer, nullable=False)
)

fills = Table(
    "fills",
    metadata,
    Column("intent_key", ForeignKey("intents.key"), primary_key=True),
    Column("book", String, nullable=False, index=True),
    Column("paper", Integer, nullable=False),
    Column("at", Integer, nullable=False),
    Column("size", String, nullable=False),
    Column("notional", String, nullable=False),
    Column("fee_usd", String, nullable=False),
    Column("impact_usd", String, nullable=False),
    Column("funding_usd", String, nullable=False),
)
