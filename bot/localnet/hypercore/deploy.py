"""Puts the stand-in of HyperCore onto a local node: CoreWriter and the read precompiles, at their real addresses."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from eth_utils.address import to_checksum_address

from bot.localnet.contract import Contract
from bot.localnet.hypercore.answers import CORE_WRITER, PRECOMPILES, Answers, all_answers
from bot.localnet.hypercore.engine import Engine
from bot.localnet.hypercore.model import BTC, ETH, ZERO, Market
from bot.localnet.node import Node
from bot.localnet.standin import StandIn

STAND_IN: Final = StandIn("HyperCore", "bot.localnet.hypercore")
BTC_PRICE_USD: Final = Decimal(60_000)
FIRST_L1_BLOCK: Final = 500_000_000
# As many as the contract takes in one transaction: fourteen new accounts, 6M gas.
_WRITTEN_TOGETHER: Final = 128


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account starts with: USDC on the perp and the spot side, and its leverage by market.

    `unified` stands for unified and portfolio margin, where only spot USDC backs the perps.
    """

    perp_usd: Decimal = ZERO
    spot_usd: Decimal = ZERO
    unified: bool = False
    leverage: Mapping[int, int] | None = None


@dataclass(frozen=True)
class HyperCore:
    """Addresses with checksums, the market to hedge in, and the exchange behind it all.

    `state` is the contract that holds the precompiles' answers, and `operator` the only account that may write them.
    `first_block` is the first whose actions count.
    """

    core_writer: str
    state: str
    operator: str
    market: int
    coin: str
    accounts: tuple[str, ...]
    first_block: int
    engine: Engine


def deploy_hypercore(
    node: Node,
    price: Decimal,
    progress: Callable[[str], None] = lambda _: None,
    *,
    operator: str,
    accounts: Mapping[str, Funds],
    market: Market = ETH,
) -> HyperCore:
    """Deploys the stand-in at this price in USD, with a BTC market before it. `accounts` exist on HyperCore at once.

    Nothing acts on what CoreWriter is sent until a `Core` works.
    """
    progress("Placing a stand-in for HyperCore")
    state = STAND_IN.deploy(node, "StandInCoreState", sender=operator)
    writer = STAND_IN.deploy(node, "StandInCoreWriter", sender=operator)
    reader = STAND_IN.deploy(node, "StandInPrecompile", state.address, sender=operator)
    _place(node, writer.address, [CORE_WRITER])
    _place(node, reader.address, PRECOMPILES)
    engine = Engine(node.timestamp(), {BTC: BTC_PRICE_USD, market: price})
    for address, funds in accounts.items():
        engine.register(
            address, funds.perp_usd, funds.spot_usd, unified=funds.unified, leverage=funds.leverage
        )
    write_answers(state, all_answers(engine.state, FIRST_L1_BLOCK), operator)
    return HyperCore(
        core_writer=to_checksum_address(CORE_WRITER),
        state=state.address,
        operator=operator,
        market=market.index,
        coin=market.coin,
        accounts=tuple(to_checksum_address(address) for address in accounts),
        first_block=node.block_number() + 1,
        engine=engine,
    )


def core_state(node: Node, address: str) -> Contract:
    """The contract that holds the precompiles' answers."""
    return Contract(node, address, STAND_IN.interface("StandInCoreState"))


def write_answers(state: Contract, answers: Answers, operator: str) -> None:
    """Makes the precompiles answer so from the next block on. More than 128 answers take several blocks."""
    rows = [(address, question, answer) for (address, question), answer in answers.items()]
    for at in range(0, len(rows), _WRITTEN_TOGETHER):
        state.send("write", rows[at : at + _WRITTEN_TOGETHER], sender=operator)


def _place(node: Node, deployed: str, addresses: Iterable[str]) -> None:
    """Copies a contract's code, with the values that its constructor gave it, to other addresses."""
    code = node.rpc("eth_getCode", deployed, "latest")
    for address in addresses:
        node.rpc("anvil_setCode", address, code)
