"""The mandate: what the key may sign at all. Checked on the exact transaction, just before the signature."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.chain.contracts import Contract
from bot.errors import DataError, OrderRejected
from bot.ports import UnsignedTx


@dataclass(frozen=True)
class Rule:
    """One function of one contract. `check` raises OrderRejected unless the decoded arguments are within bounds."""

    contract: Contract
    function: str
    check: Callable[[Mapping[str, Any]], None]


CANCEL_GAS = 21_000
"""What a transfer of nothing to oneself costs: the no-op that takes an expired order's nonce."""


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

    def check(self, tx: UnsignedTx) -> None:
        """Raises OrderRejected unless every part of `tx` is allowed."""
        if tx.chain_id != self.chain_id:
            raise OrderRejected(f"mandate: chain id {tx.chain_id} is not {self.chain_id}")
        if tx.call.value != 0:
            raise OrderRejected(f"mandate: a value of {tx.call.value} wei is not allowed")
        if tx.gas > self.max_gas:
            raise OrderRejected(f"mandate: a gas limit of {tx.gas} is above {self.max_gas}")
        if not 0 <= tx.tip_wei <= tx.max_fee_wei <= self.max_fee_wei:
            raise OrderRejected(f"mandate: a fee of {tx.max_fee_wei} wei per gas is above {self.max_fee_wei}")
        if not self._is_cancel(tx):
            self._rule(tx)

    def _is_cancel(self, tx: UnsignedTx) -> bool:
        return tx.call.to.lower() == self.account.lower() and tx.call.data == b"" and tx.gas == CANCEL_GAS

    def _rule(self, tx: UnsignedTx) -> None:
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
                rule.check(arguments)
                return
        raise OrderRejected(f"mandate: {function} at {tx.call.to} is not allowed")
