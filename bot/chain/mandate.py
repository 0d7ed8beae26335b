"""The mandate: what the key may sign at all. Checked on the exact transaction, just before the signature."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import Contract
from bot.core.model import Intent
from bot.errors import DataError, OrderRejected
from bot.ports import UnsignedTx


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a rule may hold the arguments against.

    `value` is the wei that the transaction carries, `reference_price` the venue's mark in USD per unit when the intent
    was decided, `now` the Unix second of the desk's clock. `size` is the intent's: signed units, of a transfer an
    amount of settlement tokens.
    """

    value: int
    reference_price: Decimal
    now: int
    size: Decimal = Decimal(0)


@dataclass(frozen=True)
class Rule:
    """One function of one contract. `check` raises OrderRejected unless the decoded arguments are within bounds.

    A call of it carries at most `max_value_wei` of the native coin.
    """

    contract: Contract
    function: str
    check: Callable[[Mapping[str, Any], Occasion], None]
    max_value_wei: int = 0


CANCEL_GAS = 21_000
"""What a transfer of nothing to oneself costs: the no-op that takes an expired order's nonce. Nothing costs less."""


@dataclass(frozen=True)
class Mandate:
    """An allow-list for `account`. `max_fee_wei` bounds the fee per gas unit, `max_gas` the gas limit.

    Besides what the rules allow, the account may send nothing to itself, which is how an expired order is cancelled.
    """

    chain_id: int
    account: str
    rules: tuple[Rule, ...]
    max_gas: int
    max_fee_wei: int

    def check(self, tx: UnsignedTx, intent: Intent, now: int) -> None:
        """Raises OrderRejected unless all of `tx`, which is sent for `intent`, is allowed at Unix second `now`."""
        if tx.chain_id != self.chain_id:
            raise OrderRejected(f"mandate: chain id {tx.chain_id} is not {self.chain_id}")
        if tx.nonce < 0:
            raise OrderRejected(f"mandate: a nonce of {tx.nonce} is below 0")
        if not CANCEL_GAS <= tx.gas <= self.max_gas:
            raise OrderRejected(
                f"mandate: a gas limit of {tx.gas} is not between {CANCEL_GAS} and {self.max_gas}"
            )
        if not 0 <= tx.tip_wei <= tx.max_fee_wei <= self.max_fee_wei:
            raise OrderRejected(f"mandate: a fee of {tx.max_fee_wei} wei per gas is above {self.max_fee_wei}")
        if not self._is_cancel(tx):
            self._rule(tx, Occasion(tx.call.value, intent.reference_price, now, intent.size))

    def _is_cancel(self, tx: UnsignedTx) -> bool:
        no_op = tx.call.data == b"" and tx.call.value == 0 and tx.gas == CANCEL_GAS
        return no_op and tx.call.to.lower() == self.account.lower()

    def _rule(self, tx: UnsignedTx, occasion: Occasion) -> None:
        here = [r for r in self.rules if r.contract.address.lower() == tx.call.to.lower()]
        if not here:
            raise OrderRejected(f"mandate: {tx.call.to} is not a contract that may be called")
        try:
            function, arguments = here[0].contract.abi.decode_input(tx.call.data)
        except DataError as error:
            raise OrderRejected(f"mandate: {error}") from error
        if here[0].contract.abi.encode(function, *arguments.values()) != tx.call.data:
            raise OrderRejected(f"mandate: the calldata of {function} is not in its canonical form")
        for rule in here:
            if rule.function == function:
                if not 0 <= tx.call.value <= rule.max_value_wei:
                    raise OrderRejected(
                        f"mandate: a value of {tx.call.value} wei with {function} is not within {rule.max_value_wei}"
                    )
                rule.check(arguments, occasion)
                return
        raise OrderRejected(f"mandate: {function} at {tx.call.to} is not allowed")
