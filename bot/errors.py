"""What can go wrong, named by its consequence for the operator.

Every error carries one sentence that names the field, contract or package at fault. `exit_code` is what the
command line ends with. A refusal by policy, risk limit or mandate is a `Hold`, not an error.
"""


class VaultkeelError(Exception):
    """The root: anything that Vaultkeel says about itself."""

    exit_code = 1


class ConfigError(VaultkeelError):
    """The configuration or set-up is wrong. Nothing was sent; nothing will be until a person mends it."""

    exit_code = 2


class TransientError(VaultkeelError):
    """A node did not answer. The tick is skipped and the next one tries again."""

    exit_code = 3


class DataError(VaultkeelError):
    """An input is missing, stale or contradicts another. The tick is skipped: unknown is never zero."""

    exit_code = 4


class OrderRejected(VaultkeelError):
    """The venue, the mandate or the preflight refused an order before it was sent. Nothing is at risk."""

    exit_code = 5


class OutcomeUnknown(VaultkeelError):
    """A signed order may or may not have reached the chain. No new order until it is resolved."""

    exit_code = 6


class Halt(VaultkeelError):
    """A person must act before anything else is signed."""

    exit_code = 7


class PricingError(DataError):
    """A number that can't be priced: the sentence says which argument, and which element of it."""
