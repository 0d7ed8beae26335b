"""What a snapshot takes from the ledger: the last tick, the change of value since then, and what was spent."""

from dataclasses import replace
from decimal import Decimal

import structlog

from bot.book import Book
from bot.core.attribution import attribute
from bot.core.budgets import reserved
from bot.core.costs import costs_of
from bot.core.learning import taught
from bot.core.model import IntentKind, Snapshot, Spent
from bot.errors import DataError
from bot.ports import LastTick, Ledger, OpenIntent

log = structlog.get_logger("vaultkeel.spending")

CENT_PARTS = Decimal("0.000001")


def accounted(ledger: Ledger, book: Book, seen: Snapshot) -> Snapshot:
    """`seen` with all that the ledger knows of its book and of all books together, on whatever chains they trade."""
    open_orders = ledger.open_intents(None)
    last = ledger.last_tick(book.name)
    change = None if last is None else change_since(ledger, last, seen)
    spent = (spent_with_open(ledger, book, seen, open_orders, name, change) for name in (book.name, None))
    known = replace(
        seen,
        before=None if last is None else last.snapshot.prices,
        change_usd=change,
        spent=next(spent),
        spent_in_all=next(spent),
    )
    if book.rules.target.convention != "minimum_variance":
        return known
    return replace(known, fit=taught(None if last is None else last.snapshot, seen))


def spent_since(ledger: Ledger, book: Book, seen: Snapshot, own: str) -> Snapshot:
    """`seen` with what all books have spent by now, all open orders but `own` in full.

    Books of other chains decide at the same time. Each commits its order before it asks this, so that of two orders
    that together pass a budget at least one is refused.
    """
    others = tuple(order for order in ledger.open_intents(None) if order.intent.key != own)
    in_all = spent_with_open(ledger, book, seen, others, None, None)  # this tick's change is recorded by now
    return replace(seen, spent_in_all=in_all)


def change_since(ledger: Ledger, last: LastTick, seen: Snapshot) -> Decimal | None:
    """The book's change of value since its last tick in USD, after fees and gas; None where it can't be told.

    Where collateral came or went in between, what the greeks and the fills explain is all that counts: the rest would
    be somebody's deposit or withdrawal.
    """
    if last.snapshot.paper != seen.paper:
        return None
    trades, gas_usd = ledger.settled_since(last.id)
    try:
        found = attribute(last.snapshot, last.exposure, seen, trades, gas_usd)
    except DataError as error:
        log.warning("the change of value is not known", book=seen.book, why=str(error))
        return None
    moved = last.snapshot.venue.margin.collateral != seen.venue.margin.collateral
    return Decimal(found.total - found.unexplained if moved else found.total).quantize(CENT_PARTS)


def spent_with_open(
    ledger: Ledger,
    book: Book,
    seen: Snapshot,
    open_orders: tuple[OpenIntent, ...],
    name: str | None,
    change: Decimal | None,
) -> Spent:
    """What is spent, of one book or of all for None, with open orders in full and the change since the last tick."""
    spent = ledger.spent(name, seen.at, paper=seen.paper)
    every = [order.intent for order in open_orders if name in (None, order.intent.book)]
    ours = [intent for intent in every if intent.kind is IntentKind.TRADE]
    costs, cap = costs_of(seen), book.rules.limits.max_order_gas_usd
    gas_usd = costs.most_gas_usd(cap)
    spent = replace(spent, change_day_usd=spent.change_day_usd + (change or Decimal(0)))
    spent = replace(spent, gas_day_usd=spent.gas_day_usd + gas_usd * (len(every) - len(ours)))
    return reserved(spent, ours, costs.fee_ratio, gas_usd)
