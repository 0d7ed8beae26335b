"""Bots that are broken on purpose, to see that the rehearsal notices.

A module of its own, for the bot's process imports its functions by name.
"""

from dataclasses import replace
from decimal import Decimal
from typing import Any

from bot.app import App
from bot.core.model import Intent, Outcome, OutcomeState
from bot.errors import OutcomeUnknown
from bot.ports import UnsignedTx


def signs_anew_when_in_doubt(app: App) -> None:
    """After a send without a clear answer it takes the order for failed and signs it again at the next nonce."""
    sender: Any = app.desk.books[0].sender
    submit = sender.submit

    def again(intent: Intent, transaction: UnsignedTx, now: int) -> None:
        try:
            submit(intent, transaction, now)
        except OutcomeUnknown:
            fresh = sender._signer.sign(replace(transaction, nonce=transaction.nonce + 1))
            sender._client.send(fresh.raw)

    sender.submit = again


def buries_when_in_doubt(app: App) -> None:
    """After a send without a clear answer it takes the order for dead, as if the node had refused it."""
    sender: Any = app.desk.books[0].sender
    ledger: Any = app.ledger
    submit = sender.submit

    def bury(intent: Intent, transaction: UnsignedTx, now: int) -> None:
        try:
            submit(intent, transaction, now)
        except OutcomeUnknown:
            ledger.bury(intent.key, "the node did not answer", now)

    sender.submit = bury


def sends_before_it_writes(app: App) -> None:
    """It sends first and commits then."""
    sender: Any = app.desk.books[0].sender
    ledger, client = sender._ledger, sender._client
    attempt = ledger.attempt

    def late(row: Any) -> None:
        client.send(row.raw)
        attempt(row)

    ledger.attempt = late


def forgets_fills(app: App) -> None:
    """It records that an order was executed, and another size than was traded."""
    ledger: Any = app.ledger
    resolve = ledger.resolve

    def wrong(intent_key: str, outcome: Outcome, gas_usd: Decimal, at: int) -> None:
        if outcome.state is OutcomeState.FILLED and outcome.fill is not None:
            outcome = replace(outcome, fill=replace(outcome.fill, size=outcome.fill.size / 2))
        resolve(intent_key, outcome, gas_usd, at)

    ledger.resolve = wrong
