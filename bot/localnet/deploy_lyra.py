"""Lyra Avalon on a local node: its ETH option market over Synthetix stand-ins, with a filled pool.

No boards yet. sUSD and sETH have 18 decimals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from bot.localnet import lyra_parameters as defaults
from bot.localnet.artifacts import Artifacts
from bot.localnet.contract import Contract
from bot.localnet.lyra_parameters import wei
from bot.localnet.node import Node
from bot.localnet.packages import LYRA, ensure

LP_DEPOSIT_USD: Final = 5_000_000


def currency(name: str) -> bytes:
    """Synthetix's key of a currency: its name in 32 bytes."""
    return name.encode().ljust(32, b"\0")


BASE_KEY: Final = currency("sETH")
QUOTE_KEY: Final = currency("sUSD")


@dataclass(frozen=True)
class LyraDeployment:
    """Addresses, with checksums. `quote_asset` is sUSD, `base_asset` is sETH."""

    gwav: str
    black_scholes: str
    synthetix_adapter: str
    viewer: str
    registry: str
    exchanger: str
    exchange_rates: str
    quote_asset: str
    base_asset: str
    synthetix: str
    delegate_approvals: str
    collateral_short: str
    address_resolver: str
    option_market: str
    pricer: str
    greek_cache: str
    liquidity_pool: str
    liquidity_token: str
    option_token: str
    short_collateral: str
    pool_hedger: str
    gwav_oracle: str
    keeper_helper: str


# Field of LyraDeployment → contract and constructor arguments, in the order of deployment.
_CONTRACTS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "gwav": ("GWAV", ()),
    "black_scholes": ("BlackScholes", ()),
    "synthetix_adapter": ("SynthetixAdapter", ()),
    "viewer": ("OptionMarketViewer", ()),
    "registry": ("LyraRegistry", ()),
    "exchanger": ("TestExchanger", ()),
    "exchange_rates": ("TestExchangeRates", ()),
    "quote_asset": ("TestERC20Fail", ("Synthetic USD", "sUSD")),
    "base_asset": ("TestERC20Fail", ("Synthetic ETH", "sETH")),
    "synthetix": ("TestSynthetixReturnZero", ()),
    "delegate_approvals": ("TestDelegateApprovals", ()),
    "collateral_short": ("TestCollateralShort", ()),
    "address_resolver": ("TestAddressResolver", ()),
    "option_market": ("OptionMarket", ()),
    "pricer": ("OptionMarketPricer", ()),
    "greek_cache": ("OptionGreekCache", ()),
    "liquidity_pool": ("LiquidityPool", ()),
    "liquidity_token": ("LiquidityToken", ("sUSD/sETH Pool Tokens", "LyraELPT")),
    "option_token": ("OptionToken", ("sUSD/sETH Option Tokens", "LyraEOT")),
    "short_collateral": ("ShortCollateral", ()),
    "pool_hedger": ("ShortPoolHedger", ()),
    "gwav_oracle": ("GWAVOracle", ()),
    "keeper_helper": ("KeeperHelper", ()),
}


class _Setup:
    """The contracts by field name while they are being wired together, all by the owner."""

    def __init__(self, node: Node, files: Artifacts, owner: str) -> None:
        self._owner = owner
        self._contracts: dict[str, Contract] = {}
        for field, (name, arguments) in _CONTRACTS.items():
            self._contracts[field] = files.deploy(
                node, name, *arguments, sender=owner, libraries=self._libraries()
            )

    def address(self, field: str) -> str:
        return self._contracts[field].address

    def addresses(self, *fields: str) -> list[str]:
        return [self.address(field) for field in fields]

    def send(self, field: str, function: str, *arguments: Any, sender: str | None = None) -> None:
        self._contracts[field].send(function, *arguments, sender=sender or self._owner)

    def init(self, field: str, *others: str) -> None:
        self.send(field, "init", *self.addresses(*others))

    def deployment(self) -> LyraDeployment:
        return LyraDeployment(**{field: contract.address for field, contract in self._contracts.items()})

    def _libraries(self) -> dict[str, str]:
        fields = {"GWAV": "gwav", "BlackScholes": "black_scholes"}
        return {name: self.address(field) for name, field in fields.items() if field in self._contracts}


def lyra_artifacts(progress: Callable[[str], None]) -> Artifacts:
    """The artifacts' folder, downloaded at its first use. ConfigError when that fails."""
    return Artifacts(ensure(LYRA, progress) / "dist/artifacts/contracts")


def lyra_contract(node: Node, files: Artifacts, deployment: LyraDeployment, field: str) -> Contract:
    """The contract behind one field of the deployment."""
    name, _ = _CONTRACTS[field]
    return files.at(node, name, getattr(deployment, field))


def deploy_lyra(
    node: Node,
    price: Decimal,
    progress: Callable[[str], None],
    *,
    owner: str,
    depositor: str,
    short_only: bool,
) -> LyraDeployment:
    """Deploys the market at this ETH price (USD), with the depositor's sUSD in its pool.

    `short_only` has the pool buy no base against the calls that it sells and not hedge itself, so that its
    whole delta is left to an external hedger. Otherwise the protocol's defaults hold.
    """
    progress("Deploying Lyra Avalon")
    setup = _Setup(node, lyra_artifacts(progress), owner)
    _wire_synthetix(setup)
    _wire_market(setup)
    _register(setup)
    _set_parameters(setup, short_only)
    setup.send("exchange_rates", "setRateAndInvalid", BASE_KEY, wei(price), False)
    _fill_pool(setup, depositor)
    return setup.deployment()


def _wire_synthetix(setup: _Setup) -> None:
    setup.send("synthetix_adapter", "initialize")
    setup.init("synthetix", "synthetix_adapter", "quote_asset", "address_resolver")
    setup.init("collateral_short", "synthetix_adapter", "quote_asset")
    services = {
        "ProxySynthetix": "synthetix",
        "Exchanger": "exchanger",
        "ExchangeRates": "exchange_rates",
        "CollateralShort": "collateral_short",
        "DelegateApprovals": "delegate_approvals",
    }
    names = [currency(name) for name in services]
    setup.send("address_resolver", "setAddresses", names, setup.addresses(*services.values()))
    # The adapter looks the services up here, and the pool and its hedger call one of them as they start.
    setup.send("synthetix_adapter", "setAddressResolver", setup.address("address_resolver"))
    for minter in setup.addresses("synthetix", "collateral_short"):
        setup.send("quote_asset", "permitMint", minter, True)
        setup.send("base_asset", "permitMint", minter, True)
    for service in ("synthetix", "collateral_short"):
        setup.send(service, "addBaseAsset", BASE_KEY, *setup.addresses("base_asset", "option_market"))
    market = setup.address("option_market")
    # A reward address of zero is refused.
    reward = defaults.SECURITY_MODULE
    setup.send(
        "synthetix_adapter", "setGlobalsForContract", market, QUOTE_KEY, BASE_KEY, reward, currency("")
    )
    setup.send("exchanger", "setFeeRateForExchange", BASE_KEY, QUOTE_KEY, defaults.BASE_EXCHANGE_FEE)
    setup.send("exchanger", "setFeeRateForExchange", QUOTE_KEY, BASE_KEY, defaults.QUOTE_EXCHANGE_FEE)


def _wire_market(setup: _Setup) -> None:
    adapter, market, cache, pool = "synthetix_adapter", "option_market", "greek_cache", "liquidity_pool"
    assets = ("quote_asset", "base_asset")
    setup.init(market, adapter, pool, "pricer", cache, "short_collateral", "option_token", *assets)
    setup.init("pricer", market, cache)
    setup.init(cache, adapter, market, "pricer")
    setup.init(pool, adapter, market, "liquidity_token", cache, "pool_hedger", "short_collateral", *assets)
    setup.init("liquidity_token", pool)
    setup.init("pool_hedger", adapter, market, cache, pool, *assets)
    setup.init("short_collateral", market, pool, "option_token", adapter, *assets)
    setup.init("option_token", market, cache, "short_collateral", adapter)
    setup.init("gwav_oracle", market, cache, adapter)
    setup.init("keeper_helper", market, "short_collateral", cache)


def _register(setup: _Setup) -> None:
    setup.init("viewer", "synthetix_adapter")
    services = {
        "SYNTHETIX_ADAPTER": "synthetix_adapter",
        "MARKET_VIEWER": "viewer",
        "GWAV": "gwav",
        "BLACK_SCHOLES": "black_scholes",
    }
    names = [currency(name) for name in services]
    setup.send("registry", "updateGlobalAddresses", names, setup.addresses(*services.values()))
    market = {
        "liquidityPool": setup.address("liquidity_pool"),
        "liquidityToken": setup.address("liquidity_token"),
        "greekCache": setup.address("greek_cache"),
        "optionMarket": setup.address("option_market"),
        "optionMarketPricer": setup.address("pricer"),
        "optionToken": setup.address("option_token"),
        "shortCollateral": setup.address("short_collateral"),
        "poolHedger": setup.address("pool_hedger"),
        "quoteAsset": setup.address("quote_asset"),
        "baseAsset": setup.address("base_asset"),
    }
    setup.send("viewer", "addMarket", market)
    setup.send("registry", "addMarket", {**market, "gwavOracle": setup.address("gwav_oracle")})


def _set_parameters(setup: _Setup, short_only: bool) -> None:
    # A pool that may pay no exchange fee can't buy base, and a hedger with no cap left has nothing to do.
    pool = {**defaults.POOL, "maxFeePaid": 0} if short_only else defaults.POOL
    hedger = {**defaults.HEDGER, "hedgeCap": 0} if short_only else defaults.HEDGER
    setup.send("option_market", "setOptionMarketParams", defaults.MARKET)
    setup.send("liquidity_pool", "setLiquidityPoolParameters", pool)
    setup.send("pool_hedger", "setPoolHedgerParams", hedger)
    setup.send("pool_hedger", "setShortBuffer", defaults.SHORT_BUFFER)
    setup.send("greek_cache", "setGreekCacheParameters", defaults.GREEK_CACHE)
    setup.send("greek_cache", "setMinCollateralParameters", defaults.MINIMUM_COLLATERAL)
    setup.send("greek_cache", "setForceCloseParameters", defaults.FORCE_CLOSE)
    setup.send("pricer", "setPricingParams", defaults.PRICING)
    setup.send("pricer", "setTradeLimitParams", defaults.TRADE_LIMITS)
    setup.send("pricer", "setVarianceFeeParams", defaults.VARIANCE_FEE)
    setup.send("option_token", "setPartialCollateralParams", defaults.PARTIAL_COLLATERAL)


def _fill_pool(setup: _Setup, depositor: str) -> None:
    # At once, because there are no boards yet; with boards a deposit waits in a queue for a week.
    amount = wei(LP_DEPOSIT_USD)
    setup.send("quote_asset", "mint", depositor, amount)
    setup.send("quote_asset", "approve", setup.address("liquidity_pool"), amount, sender=depositor)
    setup.send("liquidity_pool", "initiateDeposit", depositor, amount, sender=depositor)
    setup.send("pool_hedger", "openShortAccount")
