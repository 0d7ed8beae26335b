"""Perpetual Protocol v2 (Curie) as it stands on a local node: addresses, contracts and basic acts.

Prices are USD. Base and quote have 18 decimals, USDC has 6, the Chainlink stand-in has 8.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.localnet.artifacts import Artifacts
from bot.localnet.contract import Contract
from bot.localnet.node import Node
from bot.localnet.packages import CURIE, CURIE_DEPLOYMENTS, LYRA, PERP_ORACLE, UNISWAP_V3, ensure

MAX_UINT: Final = 2**256 - 1
Q96: Final = 2**96


@dataclass(frozen=True)
class CurieDeployment:
    """Addresses, with checksums."""

    usdc: str
    aggregator: str
    price_feed: str
    price_feed_dispatcher: str
    base_token: str
    quote_token: str
    clearing_house: str
    clearing_house_config: str
    market_registry: str
    order_book: str
    account_balance: str
    exchange: str
    insurance_fund: str
    vault: str
    collateral_manager: str
    delegate_approval: str
    uniswap_factory: str
    pool: str
    quoter: str


@dataclass(frozen=True)
class CurieArtifacts:
    """Where each of the system's contracts is found."""

    core: Artifacts
    oracle: Artifacts
    uniswap: Artifacts
    lens: Artifacts
    doubles: Artifacts


# Field of CurieDeployment → where its artifact lies and what it is called there.
_CONTRACTS: Final[dict[str, tuple[str, str]]] = {
    "usdc": ("doubles", "TestERC20SetDecimals"),
    "aggregator": ("doubles", "MockAggregatorV2V3"),
    "price_feed": ("oracle", "ChainlinkPriceFeedV3"),
    "price_feed_dispatcher": ("oracle", "PriceFeedDispatcher"),
    "base_token": ("core", "BaseToken"),
    "quote_token": ("core", "QuoteToken"),
    "clearing_house": ("core", "ClearingHouse"),
    "clearing_house_config": ("core", "ClearingHouseConfig"),
    "market_registry": ("core", "MarketRegistry"),
    "order_book": ("core", "OrderBook"),
    "account_balance": ("core", "AccountBalance"),
    "exchange": ("core", "Exchange"),
    "insurance_fund": ("core", "InsuranceFund"),
    "vault": ("core", "Vault"),
    "collateral_manager": ("core", "CollateralManager"),
    "delegate_approval": ("core", "DelegateApproval"),
    "uniswap_factory": ("uniswap", "UniswapV3Factory"),
    "pool": ("uniswap", "UniswapV3Pool"),
    "quoter": ("lens", "Quoter"),
}


def curie_artifacts(progress: Callable[[str], None]) -> CurieArtifacts:
    """The artifacts' folders, downloaded at their first use. ConfigError when that fails."""
    periphery = "optimism/periphery/artifacts/contracts/lens"
    return CurieArtifacts(
        Artifacts(ensure(CURIE, progress) / "artifacts/contracts"),
        Artifacts(ensure(PERP_ORACLE, progress) / "artifacts/contracts"),
        Artifacts(ensure(UNISWAP_V3, progress) / "artifacts/contracts"),
        Artifacts(ensure(CURIE_DEPLOYMENTS, progress) / periphery),
        Artifacts(ensure(LYRA, progress) / "dist/artifacts/contracts/test-helpers"),
    )


def curie_contract(node: Node, files: CurieArtifacts, deployment: CurieDeployment, field: str) -> Contract:
    """The contract behind one field of the deployment."""
    group, name = _CONTRACTS[field]
    artifacts: Artifacts = getattr(files, group)
    return artifacts.at(node, name, getattr(deployment, field))


def post_price(node: Node, aggregator: Contract, feed: Contract, price: Decimal, owner: str) -> None:
    """Posts one oracle round, USD per ETH, and has the feed take it in.

    Without the feed's own update the index's average goes wrong once the round is older than the averaging
    window. The feed refuses a second update in the same round.
    """
    post_round(node, aggregator, price, owner)
    feed.send("update", sender=owner)


def post_round(node: Node, aggregator: Contract, price: Decimal, owner: str) -> None:
    """Posts one oracle round, USD per ETH, dated with the latest block: the feed ignores a later one."""
    aggregator.send("setLatestAnswer", int(price * 10**8), node.timestamp(), sender=owner)


def sqrt_price_x96(price: Decimal) -> int:
    """Uniswap's fixed-point square root of a price (both tokens have 18 decimals)."""
    return math.isqrt(int(price * 10**18) * Q96 * Q96 // 10**18)


def deposit_usdc(
    usdc: Contract, vault: Contract, account: str, amount_usd: int, owner: str, kept_usd: int = 0
) -> None:
    """Mints test USDC for the account, which deposits it in the vault, approving exactly that amount.

    `kept_usd` more stays in its wallet.
    """
    amount = amount_usd * 10**6
    usdc.send("mint", account, amount + kept_usd * 10**6, sender=owner)
    usdc.send("approve", vault.address, amount, sender=account)
    vault.send("deposit", usdc.address, amount, sender=account)
