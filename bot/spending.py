"""What a snapshot takes from the ledger: the last tick, the change of value since then, and what was spent."""

from dataclasses import replace
from decimal import Decimal

import structlog

from bot.book import Book
from bot.core.attribution import attribute, hedge_unexplained
from bot.core.budgets import reserved
from bot.core.costs import costs_of
from bot.core.learning import taught
from bot.core.model import IntentKind, Snapshot, Spent
from bot.errors import DataError
from bot.ports import LastTick, Ledger, OpenIntent

log = structlog.get_logger("vaultkeel.spending")

CENT_PARTS = Decimal("0.000001")
HOUR_S = 3_600
DAY_S = 86_400
MOST_FUNDING = Decimal("0.005")
"""The fraction of the notional per hour beyond which a change of collateral is not taken for funding."""
MOST_FORCED = Decimal("0.1")
"""How far from the mark a position may have been liquidated, as a fraction of it."""
LEAST_TRANSFER_USD = Decimal(5)
"""What is less is never taken for a transfer."""


def accounted(ledger: Ledger, book: Book, seen: Snapshot) -> Snapshot:
    """`seen` with all that the ledger knows of its book and of all books together, on whatever chains they trade."""
    open_orders = ledger.open_intents(None)
    last = ledger.last_tick(book.name)
    change = None if last is None else change_since(ledger, last, seen, book.account.id)
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


def change_since(ledger: Ledger, last: LastTick, seen: Snapshot, account: str) -> Decimal | None:
    """The book's change of value since its last tick in USD, after fees and gas; None where it can't be told.

    Where collateral came or went in between, what the greeks and the fills explain is all that counts: the rest would
    be somebody's deposit or withdrawal. Where the collateral itself pays funding and liquidations, all counts but a
    rest of the hedge's that is more than those could be, or of a time in which `account` (its ledger id) moved margin.
    """
    if last.snapshot.paper != seen.paper:
        return None
    trades, gas_usd = ledger.settled_since(last.id)
    try:
        found = attribute(last.snapshot, last.exposure, seen, trades, gas_usd)
    except DataError as error:
        log.warning("the change of value is not known", book=seen.book, why=str(error))
        return None
    left_out = 0.0
    if last.snapshot.venue.margin.collateral != seen.venue.margin.collateral:
        left_out = found.unexplained
        if seen.venue.collateral_pays:
            rest = hedge_unexplained(last.snapshot, seen, trades)
            most = most_paid(last.snapshot, seen, sum((trade.fill.size for trade in trades), Decimal(0)))
            transferred = abs(rest) > most or ledger.transferred_since(account, last.id)
            left_out = float(rest) if transferred else 0.0
    return Decimal(found.total - left_out).quantize(CENT_PARTS)


def most_paid(before: Snapshot, after: Snapshot, traded: Decimal) -> Decimal:
    """What funding and liquidations may have cost or brought between two snapshots, in USD: more is a transfer.

    `traded` is the signed size of the recorded fills in between. Funding is paid by the hour, so that of one hour may
    fall into any time. What the position changed by beyond the fills was liquidated, or is a fill not recorded yet.
    """
    held, holds = before.venue.position.size, after.venue.position.size
    mark, mark_before = after.venue.mark, before.venue.mark
    hours = 1 + Decimal(min(max(after.timestamp - before.timestamp, 0), DAY_S)) / HOUR_S
    funding = MOST_FUNDING * hours * max(abs(held) * mark_before, abs(holds) * mark)
    forced = abs(holds - held - traded) * (abs(mark - mark_before) + MOST_FORCED * mark)
    return max(funding, LEAST_TRANSFER_USD) + forced


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
