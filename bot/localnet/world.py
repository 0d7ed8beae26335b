"""A whole local world: one anvil with Curie, Lyra and Multicall3 on it, ready in a fraction of a second.

The first start deploys everything and keeps the chain's state in the cache; later starts load it. Without a
`timestamp` a world is deterministic: it begins at the same block every time, and each block is one second
after the one before, whatever the wall clock does.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Final, Self

from eth_utils.address import to_checksum_address

from bot.errors import ConfigError, VaultkeelError
from bot.localnet import cached_state
from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.artifacts import Artifacts
from bot.localnet.cached_state import WorldState
from bot.localnet.contract import Contract
from bot.localnet.curie import CurieArtifacts, CurieDeployment, curie_artifacts, curie_contract, post_price
from bot.localnet.deploy_curie import deploy_curie
from bot.localnet.deploy_lyra import LyraDeployment, deploy_lyra, lyra_artifacts, lyra_contract
from bot.localnet.multicall import deploy_multicall
from bot.localnet.node import BASE_FEE_WEI, Node

CHAIN_ID: Final = 31_337
GENESIS_S: Final = 1_735_689_600  # 2025-01-01T00:00:00Z
START_PRICE: Final = Decimal(2_000)
# How many blocks back a call can still be made. Blocks, receipts and logs stay for ever.
STATES_KEPT: Final = 64
# A fork asks its source for old state as it needs it: ten minutes of a world in real time, about half a gigabyte.
REAL_TIME_STATES_KEPT: Final = 600

# Anvil's well-known second development account. It holds nothing anywhere else.
HEDGER_KEY: Final = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


@dataclass(frozen=True)
class Accounts:
    """Who does what, as addresses with checksums. All are unlocked on the node and hold 10,000 ETH."""

    owner: str
    hedger: str
    maker: str
    arbitrageur: str
    keeper: str
    liquidity_provider: str
    traders: tuple[str, ...]


@dataclass(frozen=True)
class World:
    """A running local chain. Use it as a context manager, or end it with `close()`."""

    anvil: Anvil
    node: Node
    lyra: LyraDeployment
    curie: CurieDeployment
    multicall: str
    accounts: Accounts
    short_only: bool
    lyra_files: Artifacts = field(repr=False)
    curie_files: CurieArtifacts = field(repr=False)
    _contracts: dict[str, Contract] = field(default_factory=dict, repr=False)
    chain_id: int = CHAIN_ID
    hedger_key: str = field(default=HEDGER_KEY, repr=False)

    @property
    def url(self) -> str:
        """Where the node answers."""
        return self.anvil.url

    def lyra_contract(self, name: str) -> Contract:
        """The contract behind one field of `lyra`."""
        key = f"lyra.{name}"
        if key not in self._contracts:
            self._contracts[key] = lyra_contract(self.node, self.lyra_files, self.lyra, name)
        return self._contracts[key]

    def curie_contract(self, name: str) -> Contract:
        """The contract behind one field of `curie`."""
        key = f"curie.{name}"
        if key not in self._contracts:
            self._contracts[key] = curie_contract(self.node, self.curie_files, self.curie, name)
        return self._contracts[key]

    def close(self) -> None:
        """Ends the node."""
        self.node.close()
        self.anvil.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start_world(
    *,
    short_only: bool,
    progress: Callable[[str], None] = lambda _: None,
    port: int | None = None,
    timestamp: int | None = None,
    chain_id: int = CHAIN_ID,
) -> World:
    """Starts a world from the cache, or deploys it once and caches it.

    `short_only` leaves the option pool's whole delta to an external hedger. With a `timestamp` (seconds since
    1970) the clock is moved there and runs with real time from then on. ConfigError when a package can't be
    had, the port is taken, or the timestamp lies before the cached world's.
    """
    with ExitStack() as on_failure:
        kept = STATES_KEPT if timestamp is None else REAL_TIME_STATES_KEPT
        anvil, node = start_chain(progress, port, kept, chain_id)
        on_failure.callback(anvil.stop)
        on_failure.callback(node.close)
        accounts = accounts_of(node)
        files = (lyra_artifacts(progress), curie_artifacts(progress))
        state = _restore_or_deploy(node, accounts, short_only, progress)
        world = World(
            anvil,
            node,
            state.lyra,
            state.curie,
            state.multicall,
            accounts,
            short_only,
            *files,
            chain_id=chain_id,
        )
        if timestamp is not None:
            _join_real_time(world, timestamp)
        on_failure.pop_all()
    return world


def start_chain(
    progress: Callable[[str], None],
    port: int | None = None,
    states_kept: int = STATES_KEPT,
    chain_id: int = CHAIN_ID,
) -> tuple[Anvil, Node]:
    """An empty local chain, one second per block: nothing in a deterministic world may depend on how fast it is run.

    Both are the caller's to end.
    """
    binary = anvil_binary(progress)
    # Later rules keep every block's hash in the state, which makes each block slower than the one before.
    chain = ("--hardfork", "cancun", "--timestamp", str(GENESIS_S), "--chain-id", str(chain_id))
    fees = ("--block-base-fee-per-gas", str(BASE_FEE_WEI))
    # By default anvil keeps the state of 500 blocks in memory and writes older ones to the disk, for good.
    history = ("--prune-history", str(states_kept))
    anvil = Anvil.start(binary=binary, args=(*chain, *fees, *history), port=port)
    node = Node(anvil.url)
    try:
        node.rpc("anvil_setBlockTimestampInterval", 1)
    except VaultkeelError:
        node.close()
        anvil.stop()
        raise
    return anvil, node


def accounts_of(node: Node) -> Accounts:
    """The development accounts by what each does."""
    owner, hedger, maker, arbitrageur, keeper, depositor, *traders = map(to_checksum_address, node.accounts())
    return Accounts(owner, hedger, maker, arbitrageur, keeper, depositor, tuple(traders))


def _restore_or_deploy(
    node: Node, accounts: Accounts, short_only: bool, progress: Callable[[str], None]
) -> WorldState:
    folder = cached_state.folder(node, short_only)
    state = cached_state.restore(node, folder)
    if state is None:
        progress("Deploying a local world (once; kept in the cache)")
        state = _deploy(node, accounts, short_only, progress)
        cached_state.keep(node, folder, state)
    return state


def _deploy(node: Node, accounts: Accounts, short_only: bool, progress: Callable[[str], None]) -> WorldState:
    multicall = deploy_multicall(node)
    curie = deploy_curie(node, START_PRICE, progress, owner=accounts.owner, maker=accounts.maker)
    lyra = deploy_lyra(
        node,
        START_PRICE,
        progress,
        owner=accounts.owner,
        depositor=accounts.liquidity_provider,
        short_only=short_only,
    )
    return WorldState(lyra, curie, multicall)


def _join_real_time(world: World, timestamp: int) -> None:
    node = world.node
    if timestamp <= node.timestamp():
        raise ConfigError(f"a local world can't start at {timestamp}: it begins at {node.timestamp()}")
    node.rpc("anvil_removeBlockTimestampInterval")
    node.set_next_timestamp(timestamp)
    node.mine()
    aggregator, feed = world.curie_contract("aggregator"), world.curie_contract("price_feed")
    post_price(node, aggregator, feed, START_PRICE, world.accounts.owner)
