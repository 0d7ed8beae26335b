"""Who trades on which chain. One key has an account of its own on every chain, with nonces and positions of its own."""

from dataclasses import dataclass

NAMESPACE = "eip155"


@dataclass(frozen=True, slots=True)
class Account:
    """An address that signs on a chain; `chain` is the chain's name in the configuration."""

    address: str
    chain_id: int
    chain: str

    @property
    def id(self) -> str:
        """What the ledger keeps it under, by CAIP-10: `eip155:<chain id>:<address>`."""
        return account_id(self.chain_id, self.address)

    @property
    def text(self) -> str:
        """As people are shown it."""
        return f"{self.address} on {self.chain}"


def account_id(chain_id: int, address: str) -> str:
    """An address on a chain as one text, by CAIP-10."""
    return f"{NAMESPACE}:{chain_id}:{address}"


def address_of(account: str) -> str:
    """The address of an account's id."""
    return account.rpartition(":")[2]


def chain_id_of(account: str) -> int | None:
    """The chain id of an account's id; None where the text is none."""
    namespace, _, rest = account.partition(":")
    number = rest.partition(":")[0]
    return int(number) if namespace == NAMESPACE and number.isdigit() else None
