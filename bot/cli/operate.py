"""Commands that run a book and let a person step in: status, once, run, modes, orders, adopt, resolve."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot import render
from bot.app import App
from bot.book import Book
from bot.cli.shared import (
    DEFAULT_CONFIG,
    ConfigFile,
    Json,
    LogFormat,
    OnChain,
    Yes,
    busy,
    confirm,
    logs_as_json,
    opened,
    people,
    settings,
    show,
    warm_up,
)
from bot.core.decision import budgets_used
from bot.core.events import tell_nobody
from bot.core.greeks import position_greeks, price_book
from bot.core.model import OPEN_OUTCOMES, Mode
from bot.errors import ConfigError, VaultkeelError
from bot.log import set_up_logs
from bot.ops.watch import told, watched
from bot.ports import OpenIntent
from bot.scheduler import run as run_scheduler


def status(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Shows positions, greeks, the hedge, the net delta, what is left of each budget and what would be done now.

    Sends nothing.
    """
    set_up_logs(as_json=as_json, level="warning")
    warm_up()
    with opened(config) as bot:

        def one(book: Book) -> None:
            why = bot.ledger.mode_and_why(book.account.id)[1]
            with busy(f"reading {book.name}", as_json=as_json):
                record = bot.desk.assess(book)
            positions = position_greeks(price_book(record.snapshot, book.rules.target))
            budgets = budgets_used(record.snapshot, book.rules)
            shown = render.record_json(record, positions) | {
                "mode": record.mode.value,
                "trading": bot.config.mode,
                "budgets": render.budgets_json(budgets),
            }
            view = render.status_view(record, positions, budgets, why, bot.config.mode, book.account.chain)
            show(shown, view, as_json=as_json)

        of_each(bot.desk.books, one, as_json=as_json)


def once(config: ConfigFile = DEFAULT_CONFIG, log_format: LogFormat = None, as_json: Json = False) -> None:
    """Runs one tick of every book."""
    set_up_logs(as_json=logs_as_json(log_format, as_json=as_json))
    warm_up()
    with opened(config, trades=True) as bot:

        def one(book: Book) -> None:
            quiet = logs_as_json(log_format, as_json=as_json)
            with busy(f"a tick of {book.name}", as_json=quiet):
                tick = bot.desk.tick(book)
            positions = position_greeks(price_book(tick.record.snapshot, book.rules.target))
            shown = render.record_json(tick.record, positions) | {
                "tick": tick.id,
                "order": tick.intent_key,
                "outcome": render.outcome_json(tick.outcome),
                "again_in_s": tick.again_in_s,
            }
            show(shown, render.tick_view(tick.record, tick.outcome, tick.intent_key), as_json=as_json)

        of_each(bot.desk.books, one, as_json=as_json)


def run(config: ConfigFile = DEFAULT_CONFIG, log_format: LogFormat = None, as_json: Json = False) -> None:
    """Runs the scheduler until SIGTERM or Ctrl-C, which let the tick in flight finish."""
    set_up_logs(as_json=logs_as_json(log_format, as_json=as_json))
    warm_up()
    with (
        told(settings(config)) as alerts,
        opened(config, trades=True, notify=tell_nobody if alerts is None else alerts.notify) as bot,
        watched(bot.config, bot.desk, bot.ledger, alerts) as watch,
    ):
        people.print(f"{bot.config.mode} trading, a tick every {bot.config.interval_s} s; Ctrl-C drains")
        runner = run_scheduler(
            bot.desk, bot.config.interval_s, float(bot.config.watch_s), lambda text: people.print(text), watch
        )
        show(
            {"ticks": runner.ticks, "fatal": str(runner.fatal or "")},
            f"{runner.ticks} ticks run",
            as_json=as_json,
        )
        if runner.fatal is not None:
            raise runner.fatal


def halt(why: str, config: ConfigFile = DEFAULT_CONFIG, chain: OnChain = None, as_json: Json = False) -> None:
    """Stops new orders until `resume`, on all chains. Orders that were sent are still followed up."""
    set_mode(config, Mode.HALTED, why, chain, as_json=as_json)


def reduce_only(
    why: str, config: ConfigFile = DEFAULT_CONFIG, chain: OnChain = None, as_json: Json = False
) -> None:
    """Allows only orders that shrink the hedge, on all chains, until `resume`."""
    set_mode(config, Mode.REDUCING, why, chain, as_json=as_json)


def resume(config: ConfigFile = DEFAULT_CONFIG, chain: OnChain = None, as_json: Json = False) -> None:
    """Allows new orders again, on all chains, after a halt that a person has looked into."""
    set_mode(config, Mode.ACTIVE, "resumed by the operator", chain, as_json=as_json)


def intents(
    config: ConfigFile = DEFAULT_CONFIG,
    only_open: Annotated[bool, typer.Option("--open", help="Only those without an outcome.")] = False,
    as_json: Json = False,
) -> None:
    """Shows what was meant, what was signed and sent for it, and what became of it."""
    set_up_logs(as_json=as_json, level="warning")
    with opened(config) as bot:
        rows = [row for book in bot.desk.books for row in bot.ledger.orders(book.name)]
        wanted = [row for row in rows if not only_open or row["outcome"] in OPEN_OUTCOMES]
        show({"intents": wanted}, render.intents_table(wanted), as_json=as_json)


def adopt(
    config: ConfigFile = DEFAULT_CONFIG, chain: OnChain = None, yes: Yes = False, as_json: Json = False
) -> None:
    """Takes the venue's position as right, after a person found out where the difference comes from."""
    set_up_logs(as_json=as_json, level="warning")
    with opened(config, trades=True) as bot:
        for book in books_on(bot, chain):
            with busy(f"comparing {book.name} with its ledger", as_json=as_json):
                found, block = bot.desk.compare(book)
            ours, mined = book.sender.next_nonces()
            said = (
                f"{book.name}: the ledger expects a position of {found.expected:+f} and nonce {ours}, "
                f"the chain has {found.actual:+f} and {mined}"
            )
            if not found.agrees or (ours is not None and mined > ours):
                confirm(f"{said}. Adopt what the chain has?", yes=yes)
                why, now = "adopted by the operator", int(time.time())
                bot.ledger.adopt(found.account, found.market, found.actual, block, why, now, mined)
            shown = {
                "book": book.name,
                "before": str(found.expected),
                "now": str(found.actual),
                "nonce": mined,
            }
            show(shown, f"{book.name}: the ledger expects {found.actual:+f} from now on", as_json=as_json)


def resolve(
    key: str,
    config: ConfigFile = DEFAULT_CONFIG,
    chain: OnChain = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Send a no-op at the order's nonce now.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Walks a person through an order without an outcome: shows it, cancels it, or takes a lost one as dead."""
    set_up_logs(as_json=as_json, level="warning")
    with opened(config, trades=True) as bot:
        book, order = open_order(bot, key, chain)
        people.print(render.order_panel(order))
        if cancel:
            confirm("Send a no-op at its nonce? The order itself may still win.", yes=yes)
            bot.desk.cancel(book, order)
            said = "a no-op was sent; `vaultkeel once` follows both up"
        elif book.sender.is_lost(order):
            confirm(
                "Its nonce was used by a transaction that is not in the ledger. Take it as dead?", yes=yes
            )
            bot.ledger.bury(key, "its nonce was used by a foreign transaction", int(time.time()))
            said = "it is dead now; compare the positions with `vaultkeel adopt`, then `vaultkeel resume`"
        else:
            said = "it may still be mined; `vaultkeel once` follows it up, --cancel takes its place"
        show({"intent": key, "said": said}, said, as_json=as_json)


def set_mode(config: Path, mode: Mode, why: str, chain: str | None, *, as_json: bool) -> None:
    """Writes the mode of every account into the ledger, or that of one chain's."""
    set_up_logs(as_json=as_json, level="warning")
    with opened(config) as bot:
        for account in dict.fromkeys(book.account for book in books_on(bot, chain)):
            bot.ledger.set_mode(account.id, mode, why, int(time.time()))
            shown = {
                "account": account.address,
                "chain": account.chain,
                "mode": mode.value,
                "why": why,
            }
            show(shown, f"{account.text}: {mode.value}", as_json=as_json)


def of_each(books: Sequence[Book], one: Callable[[Book], None], *, as_json: bool) -> None:
    """Does `one` of every book, whatever becomes of the others. The first error is raised at the end.

    Of several books, each that failed is shown in its place.
    """
    first: VaultkeelError | None = None
    for book in books:
        try:
            one(book)
        except VaultkeelError as error:
            first = first or error
            if len(books) > 1:
                kind = type(error).__name__
                shown = {"book": book.name, "error": kind, "message": str(error)}
                show(shown, Text(f"{book.name}: {kind}: {error}", style="red"), as_json=as_json)
    if first is not None:
        raise first


def books_on(bot: App, chain: str | None) -> tuple[Book, ...]:
    """The books that trade on a chain, all for None. ConfigError where no book does."""
    found = tuple(book for book in bot.desk.books if chain in (None, book.account.chain))
    if not found:
        names = ", ".join(account.chain for account in bot.accounts)
        raise ConfigError(f"--chain: no book trades on {chain}; there is {names}")
    return found


def open_order(bot: App, key: str, chain: str | None = None) -> tuple[Book, OpenIntent]:
    """The order without an outcome that has this key, with its book. ConfigError where there is none."""
    for book in books_on(bot, chain):
        for order in bot.ledger.open_intents(book.account.id):
            if order.intent.key == key and order.intent.book == book.name:
                return book, order
    raise ConfigError(f"there is no order {key} without an outcome; `vaultkeel intents --open` lists them")
