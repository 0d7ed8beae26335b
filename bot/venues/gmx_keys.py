"""Keys of GMX's DataStore, where the protocol keeps its parameters: hashes of a name and its arguments."""

import functools
from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak


@functools.cache
def base(name: str) -> bytes:
    """The key of a parameter that the whole protocol shares, and what the others are derived from."""
    return keccak(encode(["string"], [name]))


def derived(name: str, types: Sequence[str], arguments: Sequence[object]) -> bytes:
    """The key of a parameter of a market, a token, a side or an account."""
    return keccak(encode(["bytes32", *types], [base(name), *arguments]))


def of_market(name: str, market: str) -> bytes:
    """A parameter of one market."""
    return derived(name, ["address"], [market])


def of_side(name: str, market: str, *, flag: bool) -> bytes:
    """A parameter of one side of a market (`flag`: the longs), or of fees (`flag`: the order improves the balance)."""
    return derived(name, ["address", "bool"], [market, flag])


def open_interest(market: str, collateral: str, *, is_long: bool) -> bytes:
    """The open interest in USD that one collateral token backs on one side."""
    return derived("OPEN_INTEREST", ["address", "address", "bool"], [market, collateral, is_long])


def claimable_funding(market: str, token: str, account: str) -> bytes:
    """The funding that an account may claim in one token."""
    arguments = [market, token, account]
    return derived("CLAIMABLE_FUNDING_AMOUNT", ["address", "address", "address"], arguments)


def feature(name: str, module: str, order_type: int) -> bytes:
    """Whether a handler has stopped one kind of order."""
    return derived(name, ["address", "uint256"], [module, order_type])


def position(account: str, market: str, collateral: str, *, is_long: bool) -> bytes:
    """A position's key: no name goes into it."""
    return keccak(encode(["address", "address", "address", "bool"], [account, market, collateral, is_long]))
