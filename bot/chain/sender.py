"""Turns an intent's call into signed transactions that are committed to the ledger before they leave.

Order of things: nonce and fees → mandate → signature → commit → send. A crash at any point leaves either nothing
signed, or the exact bytes in the ledger to be sent again. All attempts of an intent share its nonce, so at most one of
them is ever mined; they share its calldata too, but for the no-op that cancels an expired one.
"""

import time
from dataclasses import dataclass
from decimal import Decimal

import structlog
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from hexbytes import HexBytes

from bot.chain.client import Client, RevertError
from bot.chain.mandate import CANCEL_GAS, Mandate
from bot.core.accounts import Account
from bot.core.fees import FeeCap, Offer, bumped, within
from bot.core.model import AttemptState, BlockRef, Intent, Purpose
from bot.core.units import from_raw
from bot.errors import Halt, OrderRejected, OutcomeUnknown, TransientError
from bot.ports import AttemptRow, Ledger, OpenIntent, PerpVenue, Receipt, Signer, TxCall, UnsignedTx

log = structlog.get_logger("vaultkeel.sender")

WEI_PER_GWEI = 10**9
POLL_S = 0.02
"""Between two looks for a receipt. A local chain mines in milliseconds, an L2 in a quarter of a second."""
LOST_AFTER_S = 10
"""How long a used nonce may go without a receipt of ours. Behind one address may be nodes of different height."""


@dataclass(frozen=True, slots=True)
class FeeRules:
    """How much to offer, and how long to wait.

    `gas_margin` multiplies the node's gas estimate; the wei figures are per gas unit. `patience_s` is how many seconds
    a tick waits for the receipt of the order that it sent; after that later ticks follow it up. `bump_after_s` without
    a receipt raises the fees. `confirmations` make an outcome count, `finality` blocks make it irrevocable.
    """

    min_tip_wei: int
    cap: FeeCap
    gas_margin: Decimal
    confirmations: int
    finality: int
    patience_s: float
    bump_after_s: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that the node accepted in a preflight: what it returned, and the gas limit to send it with."""

    call: TxCall
    returned: bytes
    gas: int


@dataclass(frozen=True, slots=True)
class Powers:
    """What following up an order may do: send its bytes again and raise its fees, or cancel it once it has expired.

    `drop` cancels it at once: what it was meant for may no longer be so.
    """

    resend: bool
    cancel: bool
    drop: bool = False


@dataclass(frozen=True, slots=True)
class Mined:
    """The attempt that used an intent's nonce, at the confirmation depth."""

    receipt: Receipt
    purpose: Purpose


class Sender:
    """Sends for one account on one chain: `account`."""

    def __init__(
        self, client: Client, ledger: Ledger, signer: Signer, mandate: Mandate, fees: FeeRules
    ) -> None:
        self._client = client
        self._ledger = ledger
        self._signer = signer
        self._mandate = mandate
        self._fees = fees
        self._missing_since: dict[str, int] = {}
        self._address = signer.address
        self.account = Account(signer.address, mandate.chain_id, client.chain)

    def preflight(self, venue: PerpVenue, call: TxCall) -> Prepared:
        """Runs `call` from the account without sending it. OrderRejected with the venue's reason where it reverts."""
        try:
            returned = self._client.preflight(self._address, call)
            gas = self._client.estimate_gas(self._address, call)
        except RevertError as error:
            reason = venue.explain(error.data) if error.data else str(error)
            raise OrderRejected(f"{venue.name} would refuse the order: {reason}") from error
        return Prepared(call, returned, int(gas * self._fees.gas_margin))

    def unsigned(self, prepared: Prepared, intent: Intent, native_usd: Decimal, now: int) -> UnsignedTx:
        """The transaction as it would be signed at `now`, within the mandate. Halt where the nonces don't agree.

        `native_usd` is the price of the coin that pays for gas, for the cap in USD.
        """
        cap = self._fees.cap.for_gas(prepared.gas, native_usd)
        wanted = self._client.offer(self._fees.min_tip_wei)
        base_fee = (wanted.max_fee_wei - wanted.tip_wei) // 2
        if base_fee > cap:  # signed, it would lie in wait until gas is cheap again
            raise OrderRejected(
                f"gas costs {base_fee / WEI_PER_GWEI:g} gwei, max_fee_gwei and max_gas_usd allow {cap / WEI_PER_GWEI:g}"
            )
        offer = within(wanted, cap)
        transaction = self._transaction(prepared.call, prepared.gas, self._nonce(), offer)
        self._mandate.check(transaction, intent, now)
        return transaction

    def submit(self, intent: Intent, transaction: UnsignedTx, now: int) -> None:
        """Checks, signs, commits and sends `transaction`. OutcomeUnknown where the node's answer leaves a doubt."""
        self._mandate.check(transaction, intent, now)
        self._check_native(transaction)
        self._send(intent, transaction, Purpose.ORDER, now)

    def follow(self, order: OpenIntent, powers: Powers, now: int, native_usd: Decimal) -> Mined | None:
        """Whichever attempt was mined, at the confirmation depth; None while none is.

        Where none is on chain: an expired order is cancelled by a no-op at its nonce, one that waits too long is
        offered more, any other has its last bytes sent again. Halt where another transaction used the nonce.
        """
        if not order.attempts:
            return None
        buried_nonce = self._client.buried_nonce(self._address, self._fees.confirmations)
        found = self._found(order)
        if found is not None:
            self._missing_since.pop(order.intent.key, None)
            return self._confirmed(order, *found)
        if buried_nonce > order.attempts[-1].nonce:
            self._raise_if_lost(order, now)
            return None
        try:
            self._push(order, powers, now, native_usd)
        except OutcomeUnknown as error:
            log.warning("order in doubt", intent=order.intent.key, why=str(error))
        except OrderRejected as error:  # a signer that doesn't answer, say: the next tick tries again
            log.warning("order can't be pushed", intent=order.intent.key, why=str(error))
            self._ledger.note(order.intent.key, f"it can't be pushed: {error}")
        return None

    def cancel(self, order: OpenIntent, now: int, native_usd: Decimal) -> None:
        """Sends a no-op at the order's nonce. The order may still win; whichever is mined decides."""
        last = order.attempts[-1]
        offer = self._raised(last, CANCEL_GAS, native_usd)
        if offer is None:
            raise OrderRejected(
                f"order {order.intent.key} can't be cancelled: the fee cap leaves no room above {last}"
            )
        no_op = TxCall(self._address, b"")
        transaction = self._transaction(no_op, CANCEL_GAS, last.nonce, offer)
        log.warning("cancelling", intent=order.intent.key, nonce=last.nonce)
        self._send(order.intent, transaction, Purpose.CANCEL, now)

    def next_nonces(self) -> tuple[int | None, int]:
        """The account's next nonce as the ledger has it, and as the chain does by mined transactions."""
        mined, _ = self._client.nonces(self._address)
        return self._ledger.next_nonce(self.account.id), mined

    def check_nonces(self) -> None:
        """Halt where the account used a nonce that the ledger doesn't know. TransientError where the node lags."""
        self._nonce()

    def is_lost(self, order: OpenIntent) -> bool:
        """Whether the order's nonce is used and none of its attempts is on chain."""
        if not order.attempts or self._found(order) is not None:
            return False
        return self._client.buried_nonce(self._address, self._fees.confirmations) > order.attempts[-1].nonce

    def wait(self, order: OpenIntent) -> Mined | None:
        """The mined attempt of an order that was just sent, if it comes within the patience. Sends nothing."""
        give_up = time.monotonic() + self._fees.patience_s
        while True:
            found = self._found(order)
            mined = None if found is None else self._confirmed(order, *found)
            if mined is not None or time.monotonic() >= give_up:
                return mined
            time.sleep(POLL_S)

    def confirmed(self) -> BlockRef:
        """The newest block that is deep enough for what it shows to count."""
        return self._client.confirmed(self._fees.confirmations)

    def undone(self, order: OpenIntent) -> bool:
        """Whether a reorg took a block away that an order's outcome came from. Notes blocks that are final now."""
        for attempt in order.attempts:
            if attempt.state not in (AttemptState.MINED_OK, AttemptState.REVERTED):
                continue
            decisive = [(attempt.hash, attempt.block_hash)]
            if order.settled is not None:
                decisive.append((order.settled.tx_hash, order.settled.block_hash))
            depths = [self._depth(tx_hash, block_hash) for tx_hash, block_hash in decisive]
            if None in depths:
                return True
            if min(depth or 0 for depth in depths) >= self._fees.finality:
                self._ledger.finalise(attempt.hash)
        return False

    def _depth(self, tx_hash: str, block_hash: str | None) -> int | None:
        """How deep a transaction is in the block that we saw it in; None where it isn't there any more."""
        found = self._client.receipt(tx_hash)
        return None if found is None or found[0].block_hash != block_hash else found[1]

    def _push(self, order: OpenIntent, powers: Powers, now: int, native_usd: Decimal) -> None:
        last = order.attempts[-1]
        cancelling = last.purpose == Purpose.CANCEL
        expired = (powers.drop or now > order.intent.deadline) and not cancelling
        if expired and powers.cancel and self._raised(last, CANCEL_GAS, native_usd) is not None:
            self.cancel(order, now, native_usd)
            return
        if powers.drop and not cancelling:
            return
        if not (powers.resend or (cancelling and powers.cancel)):
            return
        transaction = (
            self._bumped(last, native_usd) if now - last.signed_at >= self._fees.bump_after_s else None
        )
        if transaction is not None:
            log.info("raising fees", intent=order.intent.key, max_fee_wei=transaction.max_fee_wei)
            self._send(order.intent, transaction, Purpose(last.purpose), now)
            return
        self._client.send(last.raw)
        if last.state == AttemptState.SIGNED:
            self._ledger.sent(last.hash)

    def _bumped(self, last: AttemptRow, native_usd: Decimal) -> UnsignedTx | None:
        """The same transaction with both fees raised; None where the cap leaves no room."""
        signed = TypedTransaction.from_bytes(HexBytes(last.raw)).as_dict()
        gas = int(signed["gas"])
        call = TxCall("0x" + bytes(signed["to"]).hex(), bytes(signed["data"]), int(signed["value"]))
        offer = self._raised(last, gas, native_usd)
        return None if offer is None else self._transaction(call, gas, last.nonce, offer)

    def _raised(self, last: AttemptRow, gas: int, native_usd: Decimal) -> Offer | None:
        cap = self._fees.cap.for_gas(gas, native_usd)
        return bumped(Offer(last.max_fee_wei, last.tip_wei), self._client.offer(self._fees.min_tip_wei), cap)

    def _transaction(self, call: TxCall, gas: int, nonce: int, offer: Offer) -> UnsignedTx:
        return UnsignedTx(self._mandate.chain_id, nonce, call, gas, offer.max_fee_wei, offer.tip_wei)

    def _send(self, intent: Intent, transaction: UnsignedTx, purpose: Purpose, now: int) -> None:
        self._mandate.check(transaction, intent, now)
        signed = self._signer.sign(transaction)
        self._ledger.attempt(
            AttemptRow(
                hash=signed.hash,
                intent_key=intent.key,
                account=self.account.id,
                nonce=transaction.nonce,
                raw=signed.raw,
                purpose=purpose,
                max_fee_wei=transaction.max_fee_wei,
                tip_wei=transaction.tip_wei,
                signed_at=now,
                state=AttemptState.SIGNED,
            )
        )
        self._client.send(signed.raw)
        self._ledger.sent(signed.hash)

    def _check_native(self, transaction: UnsignedTx) -> None:
        """OrderRejected where the account can't pay gas and value: a node would refuse the order, which then hangs."""
        most = transaction.most_wei
        held = self._client.balance(self._address)
        if held < most:
            raise OrderRejected(
                f"{self.account.text} holds {from_raw(held, 18):f} of the native coin, "
                f"an order may cost {from_raw(most, 18):f} of it"
            )

    def _found(self, order: OpenIntent) -> tuple[Receipt, int] | None:
        """The mined attempt, if any, with its depth. Every attempt is asked for: an older one may win."""
        for attempt in order.attempts:
            found = self._client.receipt(attempt.hash)
            if found is not None:
                return found
        return None

    def _confirmed(self, order: OpenIntent, receipt: Receipt, depth: int) -> Mined | None:
        if depth < self._fees.confirmations:
            return None
        self._ledger.mined(receipt)
        purposes = {attempt.hash: attempt.purpose for attempt in order.attempts}
        return Mined(receipt, Purpose(purposes[receipt.tx_hash]))

    def _raise_if_lost(self, order: OpenIntent, now: int) -> None:
        since = self._missing_since.setdefault(order.intent.key, now)
        if now - since >= LOST_AFTER_S:
            raise Halt(
                f"nonce {order.attempts[-1].nonce} of {self.account.text} was used by a transaction that is not in "
                f"the ledger; order {order.intent.key} can't be told apart from lost: see `vaultkeel resolve`"
            )

    def _nonce(self) -> int:
        account = self.account.text
        mined, pending = self._client.nonces(self._address)
        ours = self._ledger.next_nonce(self.account.id)
        if pending > mined and (ours is None or pending > ours):
            raise Halt(f"{account} has a pending transaction that is not in the ledger")
        if ours is None:
            return mined
        if mined > ours:
            raise Halt(
                f"nonce {mined - 1} of {account} was used by a transaction that is not in the ledger: another program "
                "holds this key; once you know which, run `vaultkeel adopt`"
            )
        if mined < ours:
            raise TransientError(
                f"the node's nonce for {account} is {mined}, the ledger's is {ours}: the node lags"
            )
        return ours
