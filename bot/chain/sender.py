"""Turns an intent's call into a signed transaction that is committed to the ledger before it leaves.

Order of things: nonce and fees → mandate → signature → commit → send. A crash at any point leaves either nothing
signed, or the exact bytes in the ledger to be sent again.
"""

import time
from dataclasses import dataclass
from decimal import Decimal

from bot.chain.client import Client, RevertError
from bot.chain.mandate import Mandate
from bot.core.model import AttemptState
from bot.core.units import from_raw
from bot.errors import Halt, OrderRejected, OutcomeUnknown, TransientError
from bot.ports import Ledger, OpenIntent, PerpVenue, Receipt, Signer, TxCall, UnsignedTx


@dataclass(frozen=True, slots=True)
class FeeRules:
    """How much to offer, and how long to wait.

    `gas_margin` multiplies the node's gas estimate; the wei figures are per gas unit. `patience_s` is how many seconds
    a tick waits for the receipt of the order that it sent; after that later ticks follow it up.
    """

    min_tip_wei: int
    max_fee_wei: int
    gas_margin: Decimal
    confirmations: int
    patience_s: float


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that the node accepted in a preflight: what it returned, and the gas limit to send it with."""

    call: TxCall
    returned: bytes
    gas: int


WEI_PER_GWEI = 10**9
POLL_S = 0.02
"""Between two looks for a receipt. A local chain mines in milliseconds, an L2 in a quarter of a second."""


class Sender:
    """Sends for one account on one chain."""

    def __init__(
        self, client: Client, ledger: Ledger, signer: Signer, mandate: Mandate, fees: FeeRules
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._signer = signer
        self._mandate = mandate
        self._fees = fees

    def preflight(self, venue: PerpVenue, call: TxCall) -> Prepared:
        """Runs `call` from the account without sending it. OrderRejected with the venue's reason where it reverts."""
        account = self._signer.address
        try:
            returned = self._client.preflight(account, call)
            gas = self._client.estimate_gas(account, call)
        except RevertError as error:
            reason = venue.explain(error.data) if error.data else str(error)
            raise OrderRejected(f"{venue.name} would refuse the order: {reason}") from error
        return Prepared(call, returned, int(gas * self._fees.gas_margin))

    def unsigned(self, prepared: Prepared) -> UnsignedTx:
        """The transaction as it would be signed now, within the mandate. Halt where the nonces don't agree."""
        max_fee, tip = self._client.fees(self._fees.min_tip_wei)
        base_fee = (max_fee - tip) // 2
        if base_fee > self._fees.max_fee_wei:  # signed, it would lie in wait until gas is cheap again
            allowed = self._fees.max_fee_wei / WEI_PER_GWEI
            raise OrderRejected(
                f"gas costs {base_fee / WEI_PER_GWEI:g} gwei, max_fee_gwei allows {allowed:g}"
            )
        transaction = UnsignedTx(
            chain_id=self._mandate.chain_id,
            nonce=self._nonce(),
            call=prepared.call,
            gas=prepared.gas,
            max_fee_wei=min(max_fee, self._fees.max_fee_wei),
            tip_wei=min(tip, self._fees.max_fee_wei),
        )
        self._mandate.check(transaction)
        return transaction

    def submit(self, intent_key: str, transaction: UnsignedTx) -> None:
        """Checks, signs, commits and sends `transaction`. OutcomeUnknown where the node's answer leaves a doubt."""
        self._mandate.check(transaction)
        self._check_gas_money(transaction)
        signed = self._signer.sign(transaction)
        self._ledger.attempt(intent_key, self._signer.address, transaction.nonce, signed)
        self._client.send(signed.raw)
        self._ledger.sent(signed.hash)

    def follow(self, open_intent: OpenIntent, *, resend: bool = True) -> Receipt | None:
        """The receipt of whichever attempt was mined, at the confirmation depth; None while none is.

        Sends the last attempt's stored bytes again where no attempt is on chain and `resend` allows it. Halt where
        another transaction used the nonce.
        """
        if not open_intent.attempts:
            return None
        last = open_intent.attempts[-1]
        buried_nonce = self._client.buried_nonce(last.account, self._fees.confirmations)
        found = self._found(open_intent)
        if found is not None:
            return self._confirmed(*found)
        if buried_nonce > last.nonce:
            raise Halt(
                f"nonce {last.nonce} of {last.account} was used by a transaction that is not in the ledger; "
                f"order {open_intent.intent.key} can't be told apart from lost"
            )
        if not resend:
            return None
        try:
            self._client.send(last.raw)
        except OutcomeUnknown:
            return None  # the order stays pending: the same bytes are tried again on the next tick
        if last.state == AttemptState.SIGNED:
            self._ledger.sent(last.hash)
        return None

    def wait(self, open_intent: OpenIntent) -> Receipt | None:
        """The receipt of an order that was just sent, if it comes within the configured patience. Sends nothing."""
        give_up = time.monotonic() + self._fees.patience_s
        while True:
            found = self._found(open_intent)
            receipt = None if found is None else self._confirmed(*found)
            if receipt is not None or time.monotonic() >= give_up:
                return receipt
            time.sleep(POLL_S)

    def _check_gas_money(self, transaction: UnsignedTx) -> None:
        """OrderRejected where the account can't pay for gas: a node would refuse the order, which then hangs."""
        most = transaction.gas * transaction.max_fee_wei
        held = self._client.balance(self._signer.address)
        if held < most:
            raise OrderRejected(
                f"{self._signer.address} holds {from_raw(held, 18):f} of the native coin, "
                f"an order's gas may cost {from_raw(most, 18):f}"
            )

    def _found(self, open_intent: OpenIntent) -> tuple[Receipt, int] | None:
        """The mined attempt, if any, with its depth."""
        for attempt in open_intent.attempts:
            found = self._client.receipt(attempt.hash)
            if found is not None:
                return found
        return None

    def _confirmed(self, receipt: Receipt, depth: int) -> Receipt | None:
        if depth < self._fees.confirmations:
            return None
        self._ledger.mined(receipt)
        return receipt

    def _nonce(self) -> int:
        account = self._signer.address
        mined, pending = self._client.nonces(account)
        ours = self._ledger.next_nonce(account)
        if pending > mined and (ours is None or pending > ours):
            raise Halt(f"{account} has a pending transaction that is not in the ledger")
        if ours is None:
            return mined
        if mined > ours:
            raise Halt(
                f"nonce {mined - 1} of {account} was used by a transaction that is not in the ledger: "
                "another program holds this key"
            )
        if mined < ours:
            raise TransientError(
                f"the node's nonce for {account} is {mined}, the ledger's is {ours}: the node lags"
            )
        return ours
