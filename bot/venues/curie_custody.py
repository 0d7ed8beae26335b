"""What a Curie account's owners alone do: collateral in and out, and who may trade for them, as proposals for a Safe.

Each reader looks at the chain first and raises OrderRejected where owners would sign in vain.
"""

from dataclasses import dataclass
from decimal import Decimal

from bot.chain.contracts import Contract, contract
from bot.core.units import from_raw, to_raw
from bot.errors import ConfigError, OrderRejected
from bot.ports import Reader
from bot.safe import Proposal, Step
from bot.venues.curie import MAY_OPEN

EVERYTHING = 7
"""All bits of an approval. Those beside opening positions are not used by the protocol yet."""


@dataclass(frozen=True, slots=True)
class CurieCustody:
    """A Curie account as its owners see it. `approvals` is None where no delegation is configured."""

    account: str
    vault: Contract
    approvals: Contract | None

    def deposit(self, safe: str, amount: Decimal) -> Reader[Proposal]:
        """`amount` of the settlement token from the Safe to the account's collateral, approving exactly that."""
        token, decimals, raw = yield from self._amount(amount)
        (held,) = yield [token.call("balanceOf", safe)]
        if held < raw:
            has = from_raw(held, decimals)
            raise OrderRejected(f"the Safe {safe} holds {has:f} of {token.address}, less than {amount:f}")
        own = safe == self.account
        give = (
            Step(self.vault, "deposit", (token.address, raw))
            if own
            else Step(self.vault, "depositFor", (self.account, token.address, raw))
        )
        allow = Step(token, "approve", (self.vault.address, raw))
        whose = "its own" if own else f"{self.account}'s"
        return Proposal(f"Deposit {amount:f}", f"Adds {amount:f} to {whose} collateral", (allow, give))

    def withdraw(self, safe: str, amount: Decimal) -> Reader[Proposal]:
        """`amount` of the settlement token from the account's free collateral to the Safe."""
        self._check_holder(safe)
        token, decimals, raw = yield from self._amount(amount)
        (free,) = yield [self.vault.call("getFreeCollateral", self.account)]
        if free < raw:
            has = from_raw(free, decimals)
            raise OrderRejected(f"{self.account} has {has:f} of free collateral, less than {amount:f}")
        step = Step(self.vault, "withdraw", (token.address, raw))
        return Proposal(f"Withdraw {amount:f}", f"Takes {amount:f} of free collateral back", (step,))

    def approve(self, safe: str, delegate: str) -> Reader[Proposal]:
        """Lets `delegate` open positions for the Safe, and nothing else."""
        self._check_holder(safe)
        if delegate == safe:
            raise ConfigError(f"{safe} needs no approval to trade for itself")
        approvals = self._approvals()
        (actions,) = yield [approvals.call("getApprovedActions", safe, delegate)]
        if actions & MAY_OPEN:
            raise OrderRejected(f"{delegate} can trade for {safe} already")
        step = Step(approvals, "approve", (delegate, MAY_OPEN))
        return Proposal(
            "Approve delegate", f"Lets {delegate} open and close positions, not withdraw", (step,)
        )

    def revoke(self, safe: str, delegate: str) -> Reader[Proposal]:
        """Takes everything from `delegate` that it was approved for."""
        self._check_holder(safe)
        approvals = self._approvals()
        (actions,) = yield [approvals.call("getApprovedActions", safe, delegate)]
        if not actions:
            raise OrderRejected(f"{delegate} has no approval of {safe} that could be revoked")
        step = Step(approvals, "revoke", (delegate, EVERYTHING))
        return Proposal("Revoke delegate", f"{delegate} can't trade any more", (step,))

    def _amount(self, amount: Decimal) -> Reader[tuple[Contract, int, int]]:
        """The settlement token, its decimals, and `amount` of it in raw units."""
        if amount <= 0:
            raise ConfigError("an amount of nothing can't be proposed")
        address, decimals = yield [self.vault.call("getSettlementToken"), self.vault.call("decimals")]
        try:
            return contract("erc20", address), decimals, to_raw(amount, decimals)
        except ValueError:
            raise ConfigError(
                f"{amount:f} has more than {decimals} decimals, which the token has not"
            ) from None

    def _approvals(self) -> Contract:
        if self.approvals is None:
            raise ConfigError("books.venue.delegate_approval: name the contract that holds the approvals")
        return self.approvals

    def _check_holder(self, safe: str) -> None:
        if safe != self.account:
            raise ConfigError(
                f"books.venue.trader: the position is {self.account}'s, so that {safe} can't decide for it"
            )
