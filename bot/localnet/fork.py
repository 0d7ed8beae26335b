"""`vaultkeel fork`: a rehearsal on a copy of any chain, which can't reach the chain that it was copied from.

A transaction signed for the source's chain id would be valid there, so the fork has a chain id of its own, and a
key of its own that holds nothing anywhere else. The source's address is given to the node over its RPC, not on its
command line, where others could read a token in it.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account

from bot.chain.client import Client
from bot.chain.contracts import Contract, contract
from bot.config import Config, load_config
from bot.config.venues import CurieConfig
from bot.core.units import to_raw_down
from bot.errors import ConfigError, VaultkeelError
from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.configuration import bare_config, fork_config, write_files
from bot.localnet.node import Node
from bot.localnet.serve import HEARTBEAT_S, Ready, ended_by_signal
from bot.localnet.world import STATES_KEPT

FIRST_CHAIN_ID = 7_000_000_000
CHAIN_IDS = 1_000_000_000
NATIVE_WEI = 100 * 10**18
FRESH_S = 600
"""A fork of a block younger than this runs on the computer's time, an older one goes on from its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to fork and how. `collateral` in whole settlement tokens, "0" leaves the account without any."""

    rpc: str
    block: int | None
    chain_config: Path | None
    collateral: Decimal
    port: int | None
    out: Path


def serve_fork(plan: Plan, progress: Callable[[str], None], announce: Callable[[Ready], None]) -> None:
    """Starts the fork, announces it, and keeps it up until SIGINT or SIGTERM."""
    source = Client.of_one("the source chain", plan.rpc, timeout_s=30)
    source_chain_id, head, _ = source.opening([])
    chain_id = FIRST_CHAIN_ID + secrets.randbelow(CHAIN_IDS)
    binary = anvil_binary(progress)
    with (
        ended_by_signal(),
        Anvil.start(
            binary=binary,
            args=("--chain-id", str(chain_id), "--prune-history", str(STATES_KEPT)),
            port=plan.port,
        ) as anvil,
    ):
        node = Node(anvil.url)
        fork_at(node, plan.rpc, plan.block)
        forked_at = node.timestamp()
        wall_clock = head.timestamp - forked_at < FRESH_S and time.time() - forked_at < FRESH_S
        if not wall_clock:
            node.rpc("evm_setTime", forked_at + 1)
        node.mine()
        account = Account.create()
        key = "0x" + bytes(account.key).hex()
        node.set_balance(account.address, NATIVE_WEI)
        if plan.chain_config is None:
            path = write_files(plan.out, bare_config(node, chain_id), key)
        else:
            toml = fork_config(plan.chain_config, source_chain_id, node, chain_id, wall_clock=wall_clock)
            path = write_files(plan.out, toml, key)
            fund(node, load_config(path), account.address, plan.collateral)
        announce(Ready(anvil.url, chain_id, path, {"hedger": account.address}))
        while True:
            time.sleep(HEARTBEAT_S)
            node.mine()


def fork_at(node: Node, rpc: str, block: int | None) -> None:
    """Makes `node` a copy of the chain behind `rpc`. ConfigError without the address, which may hold a token."""
    forking: dict[str, Any] = {"jsonRpcUrl": rpc}
    if block is not None:
        forking["blockNumber"] = block
    try:
        node.rpc("anvil_reset", {"forking": forking})
    except VaultkeelError as error:
        wanted = "its latest block" if block is None else f"block {block}"
        raise ConfigError(f"the source chain can't be forked at {wanted}") from error


def fund(node: Node, config: Config, account: str, collateral: Decimal) -> None:
    """Gives the fork's own account settlement tokens and deposits them at each book's venue.

    The account is impersonated for this set-up alone; the approval is of exactly the deposit.
    """
    if collateral == 0:
        return
    node.rpc("anvil_impersonateAccount", account)
    for book in config.books:
        if not isinstance(book.venue, CurieConfig):
            raise ConfigError(
                f"{book.venue.name}: only Curie keeps collateral in advance: use --collateral 0 and fund {account} "
                "yourself"
            )
        vault = contract("curie_vault", book.venue.vault)
        token = contract("erc20", ask(node, vault, "getSettlementToken"))
        decimals = ask(node, token, "decimals")
        amount = to_raw_down(collateral, decimals)
        try:
            node.rpc("anvil_dealERC20", account, token.address, hex(amount))
        except VaultkeelError as error:
            raise ConfigError(
                f"{token.address} can't be given to the fork's account; use --collateral 0 and fund {account} yourself"
            ) from error
        node.send(token.address, token.abi.encode("approve", vault.address, amount), account)
        node.send(vault.address, vault.abi.encode("deposit", token.address, amount), account)
    node.rpc("anvil_stopImpersonatingAccount", account)


def ask(node: Node, asked: Contract, function: str) -> Any:
    """One view without arguments, at the latest block."""
    return asked.abi.decode_output(function, node.call(asked.address, asked.abi.encode(function)))
