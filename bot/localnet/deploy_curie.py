"""Perpetual Protocol v2 (Curie) on a local node: one ETH market with a maker's liquidity in it.

The contracts stand alone, without their proxies. Prices are USD, ratios millionths.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from bot.localnet.contract import Contract
from bot.localnet.curie import (
    MAX_UINT,
    CurieArtifacts,
    CurieDeployment,
    curie_artifacts,
    deposit_usdc,
    post_price,
    post_round,
    sqrt_price_x96,
)
from bot.localnet.node import Node

UNISWAP_FEE: Final = 3_000
TICK_SPACING: Final = 60
TRADING_FEE: Final = 1_000
INSURANCE_FUND_SHARE: Final = 200_000
# The contract's own ceiling; at its default of 0 the market counts as paused.
MAX_TICKS_PER_BLOCK: Final = 1_000

FEED_TIMEOUT_S: Final = 2_400
FEED_TWAP_S: Final = 900
# The mark price needs half an hour of the pool's history, and a slot for each second in it that may see a trade:
# with fewer, a busy market overwrites what it needs, and everything reverts with OLD.
POOL_AGE_S: Final = 1_900
POOL_OBSERVATIONS: Final = 1_900
_SLOTS_AT_ONCE: Final = 600

MAKER_DEPOSIT_USD: Final = 80_000_000
MAKER_BASE_ETH: Final = 20_000
MAKER_QUOTE_USD: Final = 40_000_000
MAKER_RANGE: Final = 4


@dataclass(frozen=True)
class _Core:
    config: Contract
    registry: Contract
    order_book: Contract
    balances: Contract
    exchange: Contract
    insurance: Contract
    vault: Contract
    collateral: Contract
    house: Contract
    delegates: Contract


def deploy_curie(
    node: Node, price: Decimal, progress: Callable[[str], None], *, owner: str, maker: str
) -> CurieDeployment:
    """Deploys the market at this ETH price and fills its pool. Moves the chain's clock on by half an hour."""
    progress("Deploying Perpetual Protocol v2")
    files = curie_artifacts(progress)
    usdc = files.doubles.deploy(node, "TestERC20SetDecimals", "USD Coin", "USDC", 6, sender=owner)
    aggregator, feed, dispatcher = _deploy_oracle(node, files, price, owner)
    factory = files.uniswap.deploy(node, "UniswapV3Factory", sender=owner)
    quote, base = _deploy_tokens(node, files, dispatcher, owner)
    core = _deploy_core(node, files, owner, usdc, quote, factory)
    pool = _open_market(node, files, price, owner, core, factory, quote, base)
    quoter = files.lens.deploy(node, "Quoter", core.registry.address, sender=owner)

    node.set_next_timestamp(node.timestamp() + POOL_AGE_S)
    node.mine()
    post_price(node, aggregator, feed, price, owner)
    _add_maker(price, owner, maker, usdc, base, core)
    return CurieDeployment(
        usdc=usdc.address,
        aggregator=aggregator.address,
        price_feed=feed.address,
        price_feed_dispatcher=dispatcher.address,
        base_token=base.address,
        quote_token=quote.address,
        clearing_house=core.house.address,
        clearing_house_config=core.config.address,
        market_registry=core.registry.address,
        order_book=core.order_book.address,
        account_balance=core.balances.address,
        exchange=core.exchange.address,
        insurance_fund=core.insurance.address,
        vault=core.vault.address,
        collateral_manager=core.collateral.address,
        delegate_approval=core.delegates.address,
        uniswap_factory=factory.address,
        pool=pool.address,
        quoter=quoter.address,
    )


def _deploy_oracle(
    node: Node, files: CurieArtifacts, price: Decimal, owner: str
) -> tuple[Contract, Contract, Contract]:
    aggregator = files.doubles.deploy(node, "MockAggregatorV2V3", sender=owner)
    # The feed reads the decimals once, when it is deployed, and refuses to be read before the first round.
    aggregator.send("setDecimals", 8, sender=owner)
    post_round(node, aggregator, price, owner)
    feed = files.oracle.deploy(
        node, "ChainlinkPriceFeedV3", aggregator.address, FEED_TIMEOUT_S, FEED_TWAP_S, sender=owner
    )
    dispatcher = files.oracle.deploy(node, "PriceFeedDispatcher", feed.address, sender=owner)
    return aggregator, feed, dispatcher


def _deploy_tokens(
    node: Node, files: CurieArtifacts, dispatcher: Contract, owner: str
) -> tuple[Contract, Contract]:
    quote = files.core.deploy(node, "QuoteToken", sender=owner)
    quote.send("initialize", "vUSD", "vUSD", sender=owner)
    base = files.core.deploy(node, "BaseToken", sender=owner)
    # The registry takes a base token only if its address is below the quote token's.
    while int(base.address, 16) > int(quote.address, 16):
        base = files.core.deploy(node, "BaseToken", sender=owner)
    base.send("initialize", "vETH", "vETH", dispatcher.address, sender=owner)
    return quote, base


def _deploy_core(
    node: Node, files: CurieArtifacts, owner: str, usdc: Contract, quote: Contract, factory: Contract
) -> _Core:
    def create(name: str, *arguments: object) -> Contract:
        contract = files.core.deploy(node, name, sender=owner)
        contract.send("initialize", *arguments, sender=owner)
        return contract

    config = create("ClearingHouseConfig")
    registry = create("MarketRegistry", factory.address, quote.address)
    order_book = create("OrderBook", registry.address)
    balances = create("AccountBalance", config.address, order_book.address)
    exchange = create("Exchange", registry.address, order_book.address, config.address)
    exchange.send("setAccountBalance", balances.address, sender=owner)
    order_book.send("setExchange", exchange.address, sender=owner)
    insurance = create("InsuranceFund", usdc.address)
    vault = create("Vault", insurance.address, config.address, balances.address, exchange.address)
    insurance.send("setVault", vault.address, sender=owner)
    balances.send("setVault", vault.address, sender=owner)
    ratios = (5, 750_000, 500_000, 2_000, 30_000, 10_000 * 10**6, 500 * 10**6)
    collateral = create("CollateralManager", config.address, vault.address, *ratios)
    vault.send("setCollateralManager", collateral.address, sender=owner)
    parts = (config, vault, quote, factory, exchange, balances, insurance)
    house = create("ClearingHouse", *(part.address for part in parts))
    delegates = create("DelegateApproval")
    house.send("setDelegateApproval", delegates.address, sender=owner)
    for part in (registry, order_book, balances, exchange, vault):
        part.send("setClearingHouse", house.address, sender=owner)
    # At its default of 0 the vault refuses every deposit.
    config.send("setSettlementTokenBalanceCap", MAX_UINT, sender=owner)
    return _Core(
        config, registry, order_book, balances, exchange, insurance, vault, collateral, house, delegates
    )


def _open_market(
    node: Node,
    files: CurieArtifacts,
    price: Decimal,
    owner: str,
    core: _Core,
    factory: Contract,
    quote: Contract,
    base: Contract,
) -> Contract:
    market = (base.address, quote.address, UNISWAP_FEE)
    factory.send("createPool", *market, sender=owner)
    pool = files.uniswap.at(node, "UniswapV3Pool", factory.read("getPool", *market))
    pool.send("initialize", sqrt_price_x96(price), sender=owner)
    for slots in (*range(_SLOTS_AT_ONCE, POOL_OBSERVATIONS, _SLOTS_AT_ONCE), POOL_OBSERVATIONS):
        pool.send("increaseObservationCardinalityNext", slots, sender=owner)
    for token in (quote, base):
        token.send("mintMaximumTo", core.house.address, sender=owner)
        token.send("addWhitelist", core.house.address, sender=owner)
        token.send("addWhitelist", pool.address, sender=owner)
    core.registry.send("addPool", base.address, UNISWAP_FEE, sender=owner)
    core.registry.send("setFeeRatio", base.address, TRADING_FEE, sender=owner)
    core.registry.send("setInsuranceFundFeeRatio", base.address, INSURANCE_FUND_SHARE, sender=owner)
    core.exchange.send("setMaxTickCrossedWithinBlock", base.address, MAX_TICKS_PER_BLOCK, sender=owner)
    return pool


def _add_maker(price: Decimal, owner: str, maker: str, usdc: Contract, base: Contract, core: _Core) -> None:
    deposit_usdc(usdc, core.vault, maker, MAKER_DEPOSIT_USD, owner)
    order = {
        "baseToken": base.address,
        "base": MAKER_BASE_ETH * 10**18,
        "quote": MAKER_QUOTE_USD * 10**18,
        "lowerTick": _usable_tick(price / MAKER_RANGE),
        "upperTick": _usable_tick(price * MAKER_RANGE),
        "minBase": 0,
        "minQuote": 0,
        "useTakerBalance": False,
        "deadline": MAX_UINT,
    }
    core.house.send("addLiquidity", order, sender=maker)


def _usable_tick(price: Decimal) -> int:
    return round(math.log(float(price), 1.0001) / TICK_SPACING) * TICK_SPACING
