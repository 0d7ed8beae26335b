"""What must survive a crash: SQLite through SQLAlchemy Core."""

from bot.ledger.store import SqlLedger, open_ledger

__all__ = ["SqlLedger", "open_ledger"]
