"""A book's target from its configuration."""

from bot.config.books import BookConfig
from bot.core.target import Target


def target_of(book: BookConfig | None) -> Target:
    """What a book's hedge aims at; the usual target for a book that only the ledger knows."""
    return Target() if book is None else Target(**dict(book.target))
