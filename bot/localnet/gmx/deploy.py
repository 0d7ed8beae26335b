"""The stand-in for GMX v2 on a local node: one ETH/USD market, its pool filled, its parameters like the real one's.

USD and factors are 1e30, a price is USD per smallest token unit, WETH has 18 decimals and USDC 6. Every parameter
lies in the DataStore under its real key, and the deploying owner may change it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from bot.localnet.contract import Contract
from bot.localnet.gmx.artifacts import deploy, interface
from bot.localnet.node import Node

ONE: Final = 10**30
WETH: Final = 10**18
USDC: Final = 10**6
FEED: Final = 10**8

POOL_WETH: Final = 20_000
POOL_USDC: Final = 60_000_000
MAX_OPEN_INTEREST_USD: Final = 100_000_000
REQUEST_EXPIRATION_S: Final = 300
KEEPER_ROLES: Final = ("ORDER_KEEPER", "FROZEN_ORDER_KEEPER", "LIQUIDATION_KEEPER", "ADL_KEEPER")


@dataclass(frozen=True)
class GmxDeployment:
    """Addresses, with checksums. `index_token` is `long_token`; `market` is the market token and holds the pool."""

    router: str
    exchange_router: str
    reader: str
    data_store: str
    event_emitter: str
    order_vault: str
    order_handler: str
    referral_storage: str
    market: str
    index_token: str
    long_token: str
    short_token: str
    index_feed: str
    short_feed: str
    role_store: str
    risk_handler: str


# Field of GmxDeployment → what its contract is called in bytecode.json.
_CONTRACTS: Final[dict[str, str]] = {
    "router": "StandInRouter",
    "exchange_router": "StandInExchangeRouter",
    "reader": "StandInReader",
    "data_store": "StandInDataStore",
    "event_emitter": "StandInEventEmitter",
    "order_vault": "StandInBank",
    "order_handler": "StandInOrderHandler",
    "referral_storage": "StandInReferralStorage",
    "market": "StandInBank",
    "index_token": "StandInWrappedEther",
    "long_token": "StandInWrappedEther",
    "short_token": "StandInToken",
    "index_feed": "StandInFeed",
    "short_feed": "StandInFeed",
    "role_store": "StandInRoleStore",
    "risk_handler": "StandInRiskHandler",
}


def gmx_contract(node: Node, deployment: GmxDeployment, field: str) -> Contract:
    """The contract behind one field of the deployment, whose errors the node can then describe."""
    shape = interface(_CONTRACTS[field])
    shape.teach_errors(node)
    return Contract(node, getattr(deployment, field), shape)


def key(base: str, *arguments: tuple[str, Any]) -> bytes:
    """A DataStore key: `key("MIN_COLLATERAL_USD")`, `key("MAX_OPEN_INTEREST", ("address", market), ("bool", True))`."""
    root = keccak(encode(["string"], [base]))
    if not arguments:
        return root
    return keccak(
        encode(["bytes32", *(kind for kind, _ in arguments)], [root, *(value for _, value in arguments)])
    )


def position_key(account: str, market: str, collateral: str, is_long: bool) -> bytes:
    """The key of a position."""
    return keccak(encode(["address", "address", "address", "bool"], [account, market, collateral, is_long]))


def deploy_gmx(
    node: Node,
    price: Decimal,
    progress: Callable[[str], None] = lambda _: None,
    *,
    owner: str,
    keeper: str,
) -> GmxDeployment:
    """Deploys the stand-in at this ETH price in USD. `keeper` gets every keeper role, `owner` may change all."""
    progress("Deploying a stand-in for GMX v2")

    def create(name: str, *arguments: Any) -> Contract:
        return deploy(node, name, *arguments, sender=owner)

    roles = create("StandInRoleStore")
    ground = roles.address
    weth = create("StandInWrappedEther")
    usdc = create("StandInToken", "USD Coin", "USDC", 6)
    tokens = (weth.address, usdc.address)
    index_feed = create("StandInFeed", "ETH / USD", int(price * FEED))
    short_feed = create("StandInFeed", "USDC / USD", FEED)
    store = create("StandInDataStore", ground)
    emitter = create("StandInEventEmitter", ground)
    router = create("StandInRouter", ground)
    vault = create("StandInBank", ground, weth.address)
    market = create("StandInBank", ground, weth.address)
    referrals = create("StandInReferralStorage", ground)
    calculator = create("StandInCalculator", ground, store.address, market.address, *tokens)
    creation, orders, positions = (
        create(name, ground, emitter.address)
        for name in ("StandInCreationEvents", "StandInOrderEvents", "StandInPositionEvents")
    )
    core = (ground, store.address, calculator.address)
    increase = create("StandInIncreaseExecutor", *core, positions.address, vault.address, *tokens)
    decrease = create("StandInDecreaseExecutor", *core, orders.address, positions.address, *tokens)
    handler = create(
        "StandInOrderHandler",
        ground,
        store.address,
        emitter.address,
        vault.address,
        referrals.address,
        increase.address,
        decrease.address,
        creation.address,
        orders.address,
        market.address,
        *tokens,
    )
    risk = create(
        "StandInRiskHandler",
        ground,
        store.address,
        decrease.address,
        creation.address,
        orders.address,
        *tokens,
    )
    exchange = create(
        "StandInExchangeRouter",
        router.address,
        ground,
        store.address,
        emitter.address,
        handler.address,
        orders.address,
        *tokens,
    )
    reader = create("StandInReader", calculator.address, market.address, *tokens)

    controllers = (calculator, creation, orders, positions, increase, decrease, handler, risk, exchange)
    grants = {
        "CONTROLLER": [contract.address for contract in controllers],
        "ROUTER_PLUGIN": [exchange.address],
        **{role: [keeper] for role in KEEPER_ROLES},
    }
    node.send_together(
        [
            *(
                roles.prepare("grantStandInRole", who, key(role), sender=owner)
                for role, who in grants.items()
            ),
            *_parameter_calls(store, market.address, weth.address, owner),
            usdc.prepare("mint", market.address, POOL_USDC * USDC, sender=owner),
        ]
    )
    _fill_with_weth(node, weth, market.address, owner)
    return GmxDeployment(
        router=router.address,
        exchange_router=exchange.address,
        reader=reader.address,
        data_store=store.address,
        event_emitter=emitter.address,
        order_vault=vault.address,
        order_handler=handler.address,
        referral_storage=referrals.address,
        market=market.address,
        index_token=weth.address,
        long_token=weth.address,
        short_token=usdc.address,
        index_feed=index_feed.address,
        short_feed=short_feed.address,
        role_store=roles.address,
        risk_handler=risk.address,
    )


def _parameter_calls(store: Contract, market: str, weth: str, owner: str) -> list[Any]:
    values = _parameters(market)
    funding = key("SAVED_FUNDING_FACTOR_PER_SECOND", ("address", market))
    return [
        store.prepare("setStandInUints", list(values), list(values.values()), sender=owner),
        # Longs pay 5 % a year to shorts.
        store.prepare("setInt", funding, 5 * ONE // (100 * 365 * 86_400), sender=owner),
        store.prepare("setAddress", key("WNT"), weth, sender=owner),
        store.prepare("addAddress", key("MARKET_LIST"), market, sender=owner),
    ]


def _parameters(market: str) -> dict[bytes, int]:
    """About what the real ETH/USD market has."""

    def of_market(base: str, *arguments: tuple[str, Any]) -> bytes:
        return key(base, ("address", market), *arguments)

    values = {
        key("MIN_COLLATERAL_USD"): ONE,
        key("MIN_POSITION_SIZE_USD"): ONE,
        key("REQUEST_EXPIRATION_TIME"): REQUEST_EXPIRATION_S,
        key("MAX_ORACLE_PRICE_AGE"): REQUEST_EXPIRATION_S,
        # Together 4.35M gas for a trade, as was seen on the real contracts.
        key("ESTIMATED_GAS_FEE_BASE_AMOUNT_V2_1"): 600_000,
        key("ESTIMATED_GAS_FEE_PER_ORACLE_PRICE"): 250_000,
        key("ESTIMATED_GAS_FEE_MULTIPLIER_FACTOR"): ONE,
        key("EXECUTION_GAS_FEE_BASE_AMOUNT_V2_1"): 600_000,
        key("EXECUTION_GAS_FEE_PER_ORACLE_PRICE"): 250_000,
        key("EXECUTION_GAS_FEE_MULTIPLIER_FACTOR"): ONE,
        key("INCREASE_ORDER_GAS_LIMIT"): 3_000_000,
        key("DECREASE_ORDER_GAS_LIMIT"): 3_000_000,
        key("SINGLE_SWAP_GAS_LIMIT"): 1_000_000,
        of_market("MIN_COLLATERAL_FACTOR"): ONE // 100,
        of_market("MIN_COLLATERAL_FACTOR_FOR_LIQUIDATION"): ONE // 200,
        of_market("MAX_POSITION_IMPACT_FACTOR_FOR_LIQUIDATIONS"): 0,
        # A million of imbalance costs 100 USD, a factor of 1e-10, and earns half of it.
        of_market("POSITION_IMPACT_FACTOR", ("bool", True)): ONE // (2 * 10**10),
        of_market("POSITION_IMPACT_FACTOR", ("bool", False)): ONE // 10**10,
        of_market("POSITION_FEE_FACTOR", ("bool", True)): 4 * ONE // 10_000,
        of_market("POSITION_FEE_FACTOR", ("bool", False)): 6 * ONE // 10_000,
    }
    for side in (True, False):
        values[of_market("MAX_POSITION_IMPACT_FACTOR", ("bool", side))] = ONE // 200
        values[of_market("MAX_OPEN_INTEREST", ("bool", side))] = MAX_OPEN_INTEREST_USD * ONE
        # 1 % of collateral at 100M USD of open interest.
        values[of_market("MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER", ("bool", side))] = (
            ONE // 10**10
        )
        # 3 % a year.
        values[of_market("BORROWING_FACTOR", ("bool", side))] = 3 * ONE // (100 * 365 * 86_400)
    return values


def _fill_with_weth(node: Node, weth: Contract, market: str, owner: str) -> None:
    """Ether out of nothing becomes the pool's wrapped ether; the owner's own stays what it was."""
    amount = POOL_WETH * WETH
    node.set_balance(owner, int(node.rpc("eth_getBalance", owner, "latest"), 16) + amount)
    node.send(weth.address, weth.interface.calldata("deposit", ()), owner, value=amount)
    weth.send("transfer", market, amount, sender=owner)
