"""The stand-in for GMX v2 on a real local chain: the real interface, and the behaviour that an adapter relies on."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector
from eth_utils.crypto import keccak

from bot.localnet.anvil import Anvil, anvil_binary
from bot.localnet.contract import Contract
from bot.localnet.gmx.artifacts import ERRORS, GmxEvent, error_abi, interface, read_events
from bot.localnet.gmx.deploy import (
    ONE,
    REQUEST_EXPIRATION_S,
    GmxDeployment,
    deploy_gmx,
    gmx_contract,
    key,
    position_key,
)
from bot.localnet.gmx.keeper import Act, Attempt, Keeper, Manner, Script
from bot.localnet.node import BASE_FEE_WEI, PRIORITY_FEE_WEI, Node, Receipt, Reverted, RpcError

GENESIS_S = 1_735_689_600
YEAR_S = 365 * 86_400
ANY_PRICE = 2**255
NOBODY = "0x" + "00" * 20
ETH = 10**12
"""One dollar per ETH, as a price of the contracts."""
DOLLAR = 10**24
USD_6 = 10**6
GAS_PRICE = BASE_FEE_WEI + PRIORITY_FEE_WEI
NEEDED_GAS = 4_350_000
FEE = 6_000_000 * GAS_PRICE

MARKET_INCREASE, LIMIT_INCREASE, MARKET_DECREASE = 2, 3, 4

# From the ABIs that gmx-synthetics main a5c0c883 (2026-03-13) compiles to.
SELECTORS = {
    "StandInReader": {
        "getMarket": "714af34b",
        "getMarkets": "ce3264bf",
        "getPosition": "0fa8f516",
        "getAccountPositions": "77cfb162",
        "getPositionInfo": "0815bce1",
        "getExecutionPrice": "689031a2",
        "getMarketInfo": "847bb469",
        "isPositionLiquidatable": "456110f9",
        "getOrder": "49651b6a",
        "getAccountOrders": "42a6f8d3",
    },
    "StandInExchangeRouter": {
        "multicall": "ac9650d8",
        "sendWnt": "7d39aaf1",
        "sendTokens": "e6d66ac8",
        "createOrder": "f59c48eb",
        "cancelOrder": "7489ec23",
        "claimFundingFees": "c41b1ab3",
    },
    "StandInOrderHandler": {"createOrder": "c6561b45", "cancelOrder": "7489ec23", "executeOrder": "7ebc83f7"},
    "StandInDataStore": {
        "getUint": "bd02d0f5",
        "getInt": "dc97d962",
        "getAddress": "21f8a721",
        "getBool": "7ae1cfca",
        "getBytes32": "a6ed563e",
        "setUint": "e2a4853a",
        "setBool": "abfdcced",
        "getBytes32Count": "f3903b9f",
        "getBytes32ValuesAt": "f069052a",
    },
}
TOPICS = {
    "EventLog1": "137a44067c8961cd7e1d876f4754a5a3a75989b4552f1843fc69c3b372def160",
    "EventLog2": "468a25a7ba624ceea6e540ad6f49171b52495b648417ae91bca21676d8a24dc5",
}
# Of gmx-synthetics error/Errors.sol.
ERROR_SELECTORS = {
    "DisabledFeature": "dd70e0c9",
    "DisabledMarket": "09f8c937",
    "EmptyMarket": "05fbc1ae",
    "EmptyOrder": "16307797",
    "EmptyPosition": "4dfbbff3",
    "EmptyPrimaryPrice": "cd64a025",
    "EmptyReceiver": "d551823d",
    "InsufficientCollateralAmount": "74cc815b",
    "InsufficientCollateralUsd": "2159b161",
    "InsufficientExecutionFee": "5dac504d",
    "InsufficientFundsToPayForCosts": "19d50093",
    "InsufficientOutputAmount": "d28d3eb5",
    "InsufficientWntAmountForExecutionFee": "3a78cd7e",
    "InvalidClaimFundingFeesInput": "7363cfa5",
    "InvalidCollateralTokenForMarket": "839c693e",
    "InvalidDecreaseOrderSize": "9fbe2cbc",
    "InvalidKeeperForFrozenOrder": "e5feddc0",
    "InvalidOrderPrices": "0481a15a",
    "InvalidPositionSizeValues": "bff65b3f",
    "LiquidatablePosition": "bc121108",
    "MaxOpenInterestExceeded": "2bf127cf",
    "MaxPriceAgeExceeded": "2b6e7c3f",
    "MinPositionSize": "85efb31a",
    "OracleTimestampsAreLargerThanRequestExpirationTime": "d84b8ee8",
    "OracleTimestampsAreSmallerThanRequired": "7d677abf",
    "OrderNotFulfillableAtAcceptablePrice": "e09ad0e9",
    "OrderTypeCannotBeCreated": "8a4bd513",
    "PositionShouldNotBeLiquidated": "ee919dd9",
    "PriceImpactLargerThanOrderSize": "f0641c92",
    "RequestNotYetCancellable": "e8266438",
    "UnableToWithdrawCollateral": "3a61a4a9",
    "Unauthorized": "a35b150b",
    "UnexpectedValidFromTime": "3af14617",
    "UnsupportedOrderType": "3784f834",
}


def selector(entry: Any) -> str:
    """The first four bytes of a function, or of an error, in hex."""
    return function_abi_to_4byte_selector({**entry, "type": "function"}).hex()


@dataclass
class Bench:
    """One stand-in with a trader by hand."""

    node: Node
    gmx: GmxDeployment
    owner: str
    trader: str
    other: str
    keeper: Keeper
    keeper_account: str

    def contract(self, field: str) -> Contract:
        return gmx_contract(self.node, self.gmx, field)

    def params(self, kind: int, size_usd: int, is_long: bool, **changed: Any) -> tuple[Any, ...]:
        """createOrder's argument. `acceptable` is any price unless it is given."""
        buys = is_long == (kind in (MARKET_INCREASE, LIMIT_INCREASE))
        who = changed.get("who", self.trader)
        addresses = (
            changed.get("receiver", who),
            changed.get("cancellation_receiver", NOBODY),
            NOBODY,
            NOBODY,
            self.gmx.market,
            changed.get("token", self.gmx.short_token),
            [],
        )
        numbers = (
            size_usd * ONE,
            changed.get("withdrawn", 0),
            changed.get("trigger", 0),
            changed.get("acceptable", ANY_PRICE if buys else 0),
            changed.get("fee", FEE),
            0,
            changed.get("min_output", 0),
            0,
        )
        swap = changed.get("swap", 0)
        return (addresses, numbers, kind, swap, is_long, False, False, bytes(32), [])

    def create(
        self, kind: int, size_usd: int, is_long: bool, collateral: int = 0, **changed: Any
    ) -> tuple[bytes, Receipt]:
        """Creates an order through multicall. `collateral` is in the token's smallest units."""
        router = self.contract("exchange_router").interface
        token, who = changed.get("token", self.gmx.short_token), changed.get("who", self.trader)
        fee = changed.get("fee", FEE)
        calls = [router.calldata("sendWnt", (self.gmx.order_vault, fee))]
        if collateral:
            calls.append(router.calldata("sendTokens", (token, self.gmx.order_vault, collateral)))
        calls.append(router.calldata("createOrder", (self.params(kind, size_usd, is_long, **changed),)))
        data = router.calldata("multicall", (calls,))
        receipt = self.node.send(self.gmx.exchange_router, data, who, value=fee)
        return one(receipt, "OrderCreated").items["key"], receipt

    def open(self, size_usd: int, is_long: bool, collateral: int, **changed: Any) -> Receipt:
        """Creates and executes a market increase."""
        order_key, _ = self.create(MARKET_INCREASE, size_usd, is_long, collateral, **changed)
        return self.keeper.execute(order_key)

    def close(self, size_usd: int, is_long: bool, **changed: Any) -> Receipt:
        """Creates and executes a market decrease."""
        order_key, _ = self.create(MARKET_DECREASE, size_usd, is_long, **changed)
        return self.keeper.execute(order_key)

    def position(self, is_long: bool, who: str | None = None, token: str | None = None) -> dict[str, Any]:
        found: dict[str, Any] = self.contract("reader").read(
            "getPosition",
            self.gmx.data_store,
            position_key(who or self.trader, self.gmx.market, token or self.gmx.short_token, is_long),
        )
        return found

    def prices(self, usd: int = 2_000) -> tuple[Any, ...]:
        return ((usd * ETH,) * 2, (usd * ETH,) * 2, (DOLLAR,) * 2)

    def info(self, is_long: bool, usd: int = 2_000) -> dict[str, Any]:
        found: dict[str, Any] = self.contract("reader").read(
            "getPositionInfo",
            self.gmx.data_store,
            self.gmx.referral_storage,
            position_key(self.trader, self.gmx.market, self.gmx.short_token, is_long),
            self.prices(usd),
            0,
            NOBODY,
            True,
        )
        return found

    def set_price(self, usd: int) -> None:
        self.contract("index_feed").send("setAnswer", usd * 10**8, sender=self.owner)

    def set_uint(self, base: str, value: int, *arguments: tuple[str, Any]) -> None:
        self.contract("data_store").send("setUint", key(base, *arguments), value, sender=self.owner)

    def set_bool(self, base: str, value: bool, *arguments: tuple[str, Any]) -> None:
        self.contract("data_store").send("setBool", key(base, *arguments), value, sender=self.owner)

    def balance(self, token: str, who: str) -> int:
        field = "short_token" if token == self.gmx.short_token else "long_token"
        return int(self.contract(field).read("balanceOf", who))

    def ether(self, who: str) -> int:
        return int(self.node.rpc("eth_getBalance", who, "latest"), 16)

    def wait(self, seconds: int) -> int:
        """Moves the chain's clock on and returns its time."""
        self.node.set_next_timestamp(self.node.timestamp() + seconds)
        self.node.mine()
        return self.node.timestamp()

    def orders(self, who: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.contract("reader").read(
            "getAccountOrders", self.gmx.data_store, who or self.trader, 0, 10
        )
        return found


@pytest.fixture(scope="module")
def deployed() -> Iterator[Bench]:
    chain = ("--hardfork", "cancun", "--timestamp", str(GENESIS_S))
    fees = ("--block-base-fee-per-gas", str(BASE_FEE_WEI))
    with Anvil.start(binary=anvil_binary(), args=(*chain, *fees)) as anvil:
        node = Node(anvil.url)
        node.rpc("anvil_setBlockTimestampInterval", 1)
        owner, trader, other, keeper = node.accounts()[:4]
        gmx = deploy_gmx(node, Decimal(2_000), owner=owner, keeper=keeper)
        bench = Bench(node, gmx, owner, trader, other, Keeper(node, gmx, keeper, 1), keeper)
        for who in (trader, other):
            bench.contract("short_token").send("mint", who, 10_000_000 * USD_6, sender=owner)
            bench.contract("short_token").send("approve", gmx.router, 2**256 - 1, sender=who)
            weth = bench.contract("long_token")
            node.send(weth.address, weth.interface.calldata("deposit", ()), who, value=100 * 10**18)
            weth.send("approve", gmx.router, 2**256 - 1, sender=who)
        yield bench
        node.close()


@pytest.fixture
def bench(deployed: Bench) -> Iterator[Bench]:
    """Goes back to the fresh deployment after the test, its keeper's chances too."""
    snapshot = deployed.node.snapshot()
    deployed.keeper = Keeper(deployed.node, deployed.gmx, deployed.keeper_account, 1)
    yield deployed
    deployed.node.revert(snapshot)


def one(receipt: Receipt, name: str) -> GmxEvent:
    """The only event of this name."""
    (event,) = [event for event in read_events(receipt) if event.name == name]
    return event


def names(receipt: Receipt) -> list[str]:
    return [event.name for event in read_events(receipt)]


def cancelled_because(receipt: Receipt) -> tuple[str, tuple[Any, ...]]:
    """The custom error for which an order was cancelled, with its arguments."""
    event = one(receipt, "OrderCancelled")
    assert event.items["reason"] == ""
    return error_of(event.items["reasonBytes"])


def error_of(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """A custom error's name and arguments."""
    for error in map(error_abi, ERRORS):
        if data[:4].hex() == selector(error):
            return error["name"], decode([i["type"] for i in error["inputs"]], data[4:])
    raise AssertionError(data.hex())


def refusal(
    bench: Bench, kind: int, *, fee: int, gas_price: int = GAS_PRICE, swap: int = 0
) -> tuple[str, tuple[Any, ...]] | None:
    """Why an order would be refused at this gas price; None where it would be taken.

    The harness itself calls at a gas price of 0, at which no fee is too low.
    """
    router = bench.contract("exchange_router").interface
    params = bench.params(kind, 1_000, True, fee=fee, swap=swap)
    calls = [
        router.calldata("sendWnt", (bench.gmx.order_vault, fee)),
        router.calldata("createOrder", (params,)),
    ]
    request = {
        "from": bench.trader,
        "to": bench.gmx.exchange_router,
        "data": "0x" + router.calldata("multicall", (calls,)).hex(),
        "value": hex(fee),
        "gasPrice": hex(gas_price),
    }
    try:
        bench.node.rpc("eth_call", request, "latest")
    except RpcError as error:
        return error_of(error.data)
    return None


class TestInterface:
    def test_functions_have_the_real_selectors(self) -> None:
        for contract, functions in SELECTORS.items():
            abi = interface(contract).abi
            found = {entry["name"]: selector(entry) for entry in abi if entry["type"] == "function"}
            assert {name: found[name] for name in functions} == functions

    def test_events_have_the_real_topics(self) -> None:
        abi: Any = interface("StandInEventEmitter").abi
        found = {entry["name"]: event_abi_to_log_topic(entry) for entry in abi if entry["type"] == "event"}
        assert {name: topic.hex() for name, topic in found.items()} == TOPICS

    def test_errors_have_the_real_selectors(self) -> None:
        assert {error["name"]: selector(error) for error in map(error_abi, ERRORS)} == ERROR_SELECTORS

    def test_liquidations_and_deleveraging_have_the_real_selectors(self) -> None:
        abi = interface("StandInRiskHandler").abi
        found = {entry["name"]: selector(entry) for entry in abi if entry["type"] == "function"}
        # LiquidationHandler.sol and AdlHandler.sol.
        assert found == {
            "executeLiquidation": "109ebc49",
            "executeAdl": "f09f032d",
        }

    def test_logs_carry_the_names_hash_and_topics(self, bench: Bench) -> None:
        order_key, receipt = bench.create(MARKET_INCREASE, 1_000, True, 200 * USD_6)
        (log,) = [log for log in receipt.logs if log.address == bench.gmx.event_emitter.lower()]
        assert log.topics == (
            bytes.fromhex(TOPICS["EventLog2"]),
            keccak(text="OrderCreated"),
            order_key,
            bytes(12) + bytes.fromhex(bench.trader[2:]),
        )

    def test_markets(self, bench: Bench) -> None:
        gmx, reader = bench.gmx, bench.contract("reader")
        market = {
            "marketToken": gmx.market,
            "indexToken": gmx.long_token,
            "longToken": gmx.long_token,
            "shortToken": gmx.short_token,
        }
        assert reader.read("getMarkets", gmx.data_store, 0, 10) == [market]
        assert reader.read("getMarket", gmx.data_store, gmx.market) == market
        assert bench.contract("data_store").read("getAddress", key("WNT")) == gmx.long_token

    def test_position_keys(self, bench: Bench) -> None:
        bench.open(1_000, True, 200 * USD_6)
        found = keccak(
            encode(
                ["address", "address", "address", "bool"],
                [bench.trader, bench.gmx.market, bench.gmx.short_token, True],
            )
        )
        assert bench.info(True)["positionKey"] == found
        assert bench.position(True)["numbers"]["sizeInUsd"] == 1_000 * ONE


class TestIncrease:
    def test_a_long_is_opened_without_impact_in_its_tokens(self, bench: Bench) -> None:
        receipt = bench.open(100_000, True, 10_000 * USD_6)
        increase = one(receipt, "PositionIncrease").items
        # 100,000 USD of imbalance cost 1e-10 × 1e10 = 1 USD, and the fee is 6 basis points.
        assert increase["pendingPriceImpactUsd"] == -ONE
        assert increase["pendingPriceImpactAmount"] == -(10**18) // 2_000
        assert increase["sizeDeltaInTokens"] == 50 * 10**18
        assert increase["executionPrice"] == 100_000 * ONE // (50 * 10**18 - 10**18 // 2_000)
        assert increase["collateralDeltaAmount"] == 9_940 * USD_6
        numbers = bench.position(True)["numbers"]
        assert numbers["sizeInTokens"] == 50 * 10**18
        assert numbers["pendingImpactAmount"] == -(10**18) // 2_000
        assert numbers["collateralAmount"] == 9_940 * USD_6
        assert names(receipt) == [
            "PositionFeesCollected",
            "PositionIncrease",
            "OrderExecuted",
            "KeeperExecutionFee",
            "ExecutionFeeRefund",
        ]

    def test_a_short_sells_at_the_lower_price(self, bench: Bench) -> None:
        order_key, _ = bench.create(MARKET_INCREASE, 30_001, False, 10_000 * USD_6)
        low, high = 1_999 * ETH, 2_001 * ETH
        receipt = bench.keeper.execute_at(order_key, (low, high), (DOLLAR, DOLLAR), bench.node.timestamp())
        increase = one(receipt, "PositionIncrease").items
        assert increase["executionPrice"] < low
        assert increase["sizeInTokens"] == -(-30_001 * ONE // low), "a short's tokens are rounded up"
        assert not increase["isLong"]

    def test_longs_and_shorts_never_net(self, bench: Bench) -> None:
        bench.open(10_000, True, 1_000 * USD_6)
        bench.open(4_000, False, 1_000 * USD_6)
        found = bench.contract("reader").read(
            "getAccountPositions", bench.gmx.data_store, bench.trader, 0, 10
        )
        assert [(p["flags"]["isLong"], p["numbers"]["sizeInUsd"] // ONE) for p in found] == [
            (True, 10_000),
            (False, 4_000),
        ]

    def test_wrapped_ether_as_collateral(self, bench: Bench) -> None:
        weth = bench.gmx.long_token
        receipt = bench.open(10_000, True, 2 * 10**18, token=weth)
        fees = one(receipt, "PositionFeesCollected").items
        assert fees["positionFeeAmount"] == 6 * ONE // (2_000 * ETH)
        position = bench.position(True, token=weth)["numbers"]
        assert position["collateralAmount"] == 2 * 10**18 - fees["totalCostAmount"]
        assert one(receipt, "KeeperExecutionFee").items["executionFeeAmount"] < FEE

    def test_what_balances_the_market_is_rewarded_and_pays_less(self, bench: Bench) -> None:
        bench.open(1_000_000, True, 100_000 * USD_6, who=bench.other)
        receipt = bench.open(100_000, False, 10_000 * USD_6)
        increase = one(receipt, "PositionIncrease").items
        # Half of 1e-10 × (1e6² - 0.9e6²).
        assert increase["pendingPriceImpactUsd"] == 95 * ONE // 10
        assert increase["executionPrice"] > 2_000 * ETH
        assert one(receipt, "PositionFeesCollected").items["positionFeeAmount"] == 40 * USD_6

    def test_the_reader_foretells_the_price(self, bench: Bench) -> None:
        foretold = bench.contract("reader").read(
            "getExecutionPrice",
            bench.gmx.data_store,
            bench.gmx.market,
            bench.prices(),
            0,
            0,
            250_000 * ONE,
            0,
            True,
        )
        increase = one(bench.open(250_000, True, 30_000 * USD_6), "PositionIncrease").items
        assert increase["executionPrice"] == foretold["executionPrice"]
        assert increase["pendingPriceImpactUsd"] == foretold["priceImpactUsd"]

    def test_open_interest_is_kept_per_collateral(self, bench: Bench) -> None:
        bench.open(10_000, True, 1_000 * USD_6)
        bench.open(6_000, True, 10**18, token=bench.gmx.long_token)
        store = bench.contract("data_store")
        market = ("address", bench.gmx.market)
        for token, usd in ((bench.gmx.short_token, 10_000), (bench.gmx.long_token, 6_000)):
            arguments = (market, ("address", token), ("bool", True))
            assert store.read("getUint", key("OPEN_INTEREST", *arguments)) == usd * ONE
            tokens = store.read("getUint", key("OPEN_INTEREST_IN_TOKENS", *arguments))
            assert tokens == usd * 10**18 // 2_000


class TestDecrease:
    def test_a_part_pays_its_profit_and_its_share_of_the_impact(self, bench: Bench) -> None:
        bench.open(100_000, False, 10_000 * USD_6)
        bench.set_price(1_900)
        before = bench.balance(bench.gmx.short_token, bench.trader)
        receipt = bench.close(40_000, False)
        decrease = one(receipt, "PositionDecrease").items
        assert decrease["basePnlUsd"] == 2_000 * ONE
        assert decrease["sizeDeltaInTokens"] == 20 * 10**18
        # 0.0002 ETH of pending impact, rounded against the position, at 1,900 USD.
        assert decrease["proportionalPendingImpactUsd"] == -38 * ONE // 100
        assert decrease["priceImpactUsd"] == 32 * ONE // 100
        assert decrease["totalImpactUsd"] == -6 * ONE // 100
        paid = bench.balance(bench.gmx.short_token, bench.trader) - before
        fees = one(receipt, "PositionFeesCollected").items
        assert fees["positionFeeAmount"] == 16 * USD_6
        assert paid == 2_000 * USD_6 - fees["totalCostAmount"] - 60_000
        numbers = bench.position(False)["numbers"]
        assert numbers["sizeInUsd"] == 60_000 * ONE
        assert numbers["sizeInTokens"] == 30 * 10**18
        assert numbers["pendingImpactAmount"] == -3 * 10**14

    def test_closing_all_returns_the_collateral(self, bench: Bench) -> None:
        bench.open(10_000, True, 1_000 * USD_6)
        before = bench.balance(bench.gmx.short_token, bench.trader)
        bench.close(10_000, True)
        assert bench.position(True)["numbers"]["sizeInUsd"] == 0
        back = bench.balance(bench.gmx.short_token, bench.trader) - before
        assert 980 * USD_6 < back < 994 * USD_6
        reader = bench.contract("reader")
        assert reader.read("getAccountPositions", bench.gmx.data_store, bench.trader, 0, 10) == []

    def test_a_long_is_paid_in_ether_unless_it_swaps(self, bench: Bench) -> None:
        bench.open(20_000, True, 4_000 * USD_6)
        bench.set_price(2_200)
        gmx = bench.gmx
        before = bench.balance(gmx.long_token, bench.trader)
        bench.close(10_000, True)
        paid = bench.balance(gmx.long_token, bench.trader) - before
        assert 45 * 10**16 < paid < 46 * 10**16, "1,000 USD, paid in ether"
        before = bench.balance(gmx.short_token, bench.trader)
        bench.close(5_000, True, swap=1)
        assert 490 * USD_6 < bench.balance(gmx.short_token, bench.trader) - before < 500 * USD_6

    def test_a_loss_is_taken_from_the_collateral(self, bench: Bench) -> None:
        bench.open(20_000, True, 4_000 * USD_6)
        held = bench.position(True)["numbers"]["collateralAmount"]
        bench.set_price(1_900)
        receipt = bench.close(10_000, True)
        assert one(receipt, "PositionDecrease").items["basePnlUsd"] == -500 * ONE
        lost = held - bench.position(True)["numbers"]["collateralAmount"]
        assert 500 * USD_6 < lost < 510 * USD_6

    def test_collateral_can_be_withdrawn_alone(self, bench: Bench) -> None:
        bench.open(10_000, True, 4_000 * USD_6)
        before = bench.balance(bench.gmx.short_token, bench.trader)
        receipt = bench.close(0, True, withdrawn=1_500 * USD_6)
        assert bench.balance(bench.gmx.short_token, bench.trader) - before == 1_500 * USD_6
        assert one(receipt, "PositionDecrease").items["collateralDeltaAmount"] == 1_500 * USD_6

    def test_a_remainder_that_is_too_small_is_closed_too(self, bench: Bench) -> None:
        bench.open(1_000, True, 500 * USD_6)
        bench.set_uint("MIN_POSITION_SIZE_USD", 200 * ONE)
        receipt = bench.close(900, True)
        changed = one(receipt, "OrderSizeDeltaAutoUpdated").items
        assert (changed["sizeDeltaUsd"], changed["nextSizeDeltaUsd"]) == (900 * ONE, 1_000 * ONE)
        assert bench.position(True)["numbers"]["sizeInUsd"] == 0

    def test_a_remainder_with_too_little_collateral_is_closed_too(self, bench: Bench) -> None:
        bench.open(1_000, True, 100 * USD_6)
        bench.set_uint("MIN_COLLATERAL_USD", 150 * ONE)
        assert "OrderSizeDeltaAutoUpdated" in names(bench.close(500, True))
        assert bench.position(True)["numbers"]["sizeInUsd"] == 0

    def test_negative_impact_is_capped_and_the_rest_reported(self, bench: Bench) -> None:
        bench.open(100_000, True, 10_000 * USD_6)
        market = ("address", bench.gmx.market)
        bench.set_uint("MAX_POSITION_IMPACT_FACTOR", 10**24, market, ("bool", False))
        decrease = one(bench.close(100_000, True), "PositionDecrease").items
        # Half of the dollar that the way in cost comes back, and 0.1 USD may be charged.
        assert decrease["totalImpactUsd"] == -ONE // 10
        assert decrease["values.priceImpactDiffUsd"] == 4 * ONE // 10


class TestCancelled:
    """What the keeper cannot execute is cancelled: collateral back, keeper paid, and the transaction succeeds."""

    def test_acceptable_price(self, bench: Bench) -> None:
        before = bench.balance(bench.gmx.short_token, bench.trader)
        order_key, _ = bench.create(MARKET_INCREASE, 10_000, True, 1_000 * USD_6, acceptable=2_000 * ETH)
        assert bench.balance(bench.gmx.short_token, bench.trader) == before - 1_000 * USD_6
        earned = bench.ether(bench.keeper_account)
        receipt = bench.keeper.execute(order_key)
        name, (price, acceptable) = cancelled_because(receipt)
        assert name == "OrderNotFulfillableAtAcceptablePrice"
        assert price > acceptable == 2_000 * ETH
        assert bench.balance(bench.gmx.short_token, bench.trader) == before
        paid = one(receipt, "KeeperExecutionFee").items["executionFeeAmount"]
        refunded = one(receipt, "ExecutionFeeRefund").items["refundFeeAmount"]
        assert paid + refunded == FEE
        assert bench.ether(bench.keeper_account) - earned == paid - receipt.gas_used * GAS_PRICE
        assert bench.orders() == []

    @pytest.mark.parametrize(
        ("is_long", "increases", "moved"),
        [(True, True, 1), (False, True, -1), (True, False, -1), (False, False, 1)],
    )
    def test_every_side_has_its_direction(
        self, bench: Bench, is_long: bool, increases: bool, moved: int
    ) -> None:
        if not increases:
            bench.open(10_000, is_long, 2_000 * USD_6)
        kind = MARKET_INCREASE if increases else MARKET_DECREASE
        collateral = 1_000 * USD_6 if increases else 0
        acceptable = 2_000 * ETH + moved * ETH
        good, _ = bench.create(kind, 2_000, is_long, collateral, acceptable=acceptable)
        bad, _ = bench.create(kind, 2_000, is_long, collateral, acceptable=acceptable)
        assert "OrderExecuted" in names(bench.keeper.execute(good))
        away = Decimal(moved) / 1_000
        assert (
            cancelled_because(bench.keeper.execute(bad, moved=away))[0]
            == "OrderNotFulfillableAtAcceptablePrice"
        )

    def test_a_decrease_beyond_the_position(self, bench: Bench) -> None:
        bench.open(1_000, True, 500 * USD_6)
        expected = ("InvalidDecreaseOrderSize", (1_001 * ONE, 1_000 * ONE))
        assert cancelled_because(bench.close(1_001, True)) == expected

    def test_no_position(self, bench: Bench) -> None:
        assert cancelled_because(bench.close(1_000, True)) == ("EmptyPosition", ())

    def test_too_much_leverage(self, bench: Bench) -> None:
        name, (remaining,) = cancelled_because(bench.open(10_000, True, 50 * USD_6))
        assert (name, remaining) == ("InsufficientCollateralUsd", 44 * ONE)

    def test_too_little_collateral(self, bench: Bench) -> None:
        name, arguments = cancelled_because(bench.open(10, True, USD_6 // 2))
        assert name == "LiquidatablePosition"
        assert arguments[0] == "min collateral"
        assert arguments[2] == ONE

    def test_too_little_for_its_leverage(self, bench: Bench) -> None:
        # The trade itself passes, and its fees to close leave less than the limit.
        name, arguments = cancelled_because(bench.open(10_000, True, 109 * USD_6))
        assert (name, arguments[0]) == ("LiquidatablePosition", "min collateral for leverage")

    def test_open_interest(self, bench: Bench) -> None:
        market = ("address", bench.gmx.market)
        bench.set_uint("MAX_OPEN_INTEREST", 50_000 * ONE, market, ("bool", True))
        expected = ("MaxOpenInterestExceeded", (60_000 * ONE, 50_000 * ONE))
        assert cancelled_because(bench.open(60_000, True, 10_000 * USD_6)) == expected

    def test_a_plain_string(self, bench: Bench) -> None:
        event = one(bench.open(10_000, True, 1), "OrderCancelled")
        assert event.items["reason"] == "Invalid state: negative collateralSum"
        assert event.items["reasonBytes"][:4].hex() == "08c379a0"

    def test_a_closed_market(self, bench: Bench) -> None:
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        bench.set_bool("IS_MARKET_DISABLED", True, ("address", bench.gmx.market))
        assert cancelled_because(bench.keeper.execute(order_key))[0] == "DisabledMarket"
        with pytest.raises(Reverted, match="DisabledMarket"):
            bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)

    def test_it_goes_to_the_cancellation_receiver(self, bench: Bench) -> None:
        ether = bench.ether(bench.other)
        before = bench.balance(bench.gmx.short_token, bench.other)
        order_key, _ = bench.create(
            MARKET_INCREASE,
            1_000,
            True,
            300 * USD_6,
            acceptable=1,
            cancellation_receiver=bench.other,
        )
        receipt = bench.keeper.execute(order_key)
        assert bench.balance(bench.gmx.short_token, bench.other) - before == 300 * USD_6
        refund = one(receipt, "ExecutionFeeRefund")
        assert bench.ether(bench.other) - ether == refund.items["refundFeeAmount"]
        assert refund.topics == (bytes(12) + bytes.fromhex(bench.other[2:]),)

    def test_min_output(self, bench: Bench) -> None:
        bench.open(10_000, True, 2_000 * USD_6)
        name, _ = cancelled_because(bench.close(10_000, True, min_output=2_100 * ONE))
        assert name == "InsufficientOutputAmount"


class TestPending:
    """What reverts the keeper's transaction leaves the order where it is."""

    def test_old_prices(self, bench: Bench) -> None:
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        price = (2_000 * ETH, 2_000 * ETH)
        old = bench.node.timestamp() - 1
        with pytest.raises(Reverted) as caught:
            bench.keeper.execute_at(order_key, price, (DOLLAR, DOLLAR), old)
        assert caught.value.name == "OracleTimestampsAreSmallerThanRequired"
        assert [order["orderKey"] for order in bench.orders()] == [order_key]

    def test_a_missing_price(self, bench: Bench) -> None:
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        price = (2_000 * ETH, 2_000 * ETH)
        params = bench.keeper.oracle_params(price, price, bench.node.timestamp())
        handler = bench.contract("order_handler")
        with pytest.raises(Reverted, match="EmptyPrimaryPrice"):
            handler.send(
                "executeOrder",
                order_key,
                tuple(part[:1] for part in params),
                sender=bench.keeper_account,
            )

    def test_a_disabled_feature(self, bench: Bench) -> None:
        handler = ("address", bench.gmx.order_handler)
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        kind = ("uint256", MARKET_INCREASE)
        for base in ("EXECUTE", "CREATE", "CANCEL"):
            bench.set_bool(f"{base}_ORDER_FEATURE_DISABLED", True, handler, kind)
        with pytest.raises(Reverted, match="DisabledFeature"):
            bench.keeper.execute(order_key)
        with pytest.raises(Reverted, match="DisabledFeature"):
            bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        with pytest.raises(Reverted, match="DisabledFeature"):
            bench.contract("exchange_router").send("cancelOrder", order_key, sender=bench.trader)
        assert len(bench.orders()) == 1

    def test_an_expired_order_can_only_be_cancelled(self, bench: Bench) -> None:
        before = bench.balance(bench.gmx.short_token, bench.trader)
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        router = bench.contract("exchange_router")
        with pytest.raises(Reverted) as early:
            router.send("cancelOrder", order_key, sender=bench.trader)
        assert early.value.name == "RequestNotYetCancellable"
        assert "requestType=Order" in early.value.reason
        bench.wait(REQUEST_EXPIRATION_S + 1)
        with pytest.raises(Reverted) as late:
            bench.keeper.execute(order_key)
        assert late.value.name == "OracleTimestampsAreLargerThanRequestExpirationTime"
        with pytest.raises(Reverted, match="Unauthorized"):
            router.send("cancelOrder", order_key, sender=bench.other)
        receipt = router.send("cancelOrder", order_key, sender=bench.trader)
        event = one(receipt, "OrderCancelled").items
        assert (event["reason"], event["reasonBytes"]) == ("USER_INITIATED_CANCEL", b"")
        assert bench.balance(bench.gmx.short_token, bench.trader) == before
        with pytest.raises(Reverted, match="EmptyOrder"):
            router.send("cancelOrder", order_key, sender=bench.trader)

    def test_only_a_keeper_executes(self, bench: Bench) -> None:
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        stranger = Keeper(bench.node, bench.gmx, bench.other, 1)
        with pytest.raises(Reverted, match=r"Unauthorized.*ORDER_KEEPER"):
            stranger.execute(order_key)


class TestExecutionFee:
    def test_the_least_fee_is_that_of_the_transactions_own_gas_price(self, bench: Bench) -> None:
        least = NEEDED_GAS * GAS_PRICE
        for kind in (MARKET_INCREASE, MARKET_DECREASE):
            expected = ("InsufficientExecutionFee", (least, least - 1))
            assert refusal(bench, kind, fee=least - 1) == expected
            assert refusal(bench, kind, fee=least) is None
            assert refusal(bench, kind, fee=least, gas_price=GAS_PRICE + 1) is not None

    def test_a_decrease_that_swaps_needs_more(self, bench: Bench) -> None:
        more = (NEEDED_GAS + 1_000_000) * GAS_PRICE
        expected = ("InsufficientExecutionFee", (more, NEEDED_GAS * GAS_PRICE))
        assert refusal(bench, MARKET_DECREASE, fee=NEEDED_GAS * GAS_PRICE, swap=1) == expected
        assert refusal(bench, MARKET_DECREASE, fee=more, swap=1) is None

    def test_fee_that_was_not_sent(self, bench: Bench) -> None:
        router = bench.contract("exchange_router")
        params = bench.params(MARKET_DECREASE, 1_000, True)
        with pytest.raises(Reverted, match="InsufficientWntAmountForExecutionFee"):
            router.send("createOrder", params, sender=bench.trader)

    def test_the_surplus_comes_back_to_the_receiver(self, bench: Bench) -> None:
        ether = bench.ether(bench.other)
        receipt = bench.open(1_000, True, 500 * USD_6, receiver=bench.other)
        keeper = one(receipt, "KeeperExecutionFee")
        refund = one(receipt, "ExecutionFeeRefund")
        assert keeper.topics == (bytes(12) + bytes.fromhex(bench.keeper_account[2:]),)
        paid = keeper.items["executionFeeAmount"]
        assert paid + refund.items["refundFeeAmount"] == FEE
        assert bench.ether(bench.other) - ether == refund.items["refundFeeAmount"]
        base = (600_000 + 3 * 250_000) * GAS_PRICE
        assert base < paid < base + receipt.gas_used * GAS_PRICE


class TestOtherOrders:
    def test_a_limit_order_waits_and_then_freezes(self, bench: Bench) -> None:
        order_key, _ = bench.create(
            LIMIT_INCREASE, 1_000, True, 500 * USD_6, trigger=1_950 * ETH, acceptable=1_900 * ETH
        )
        with pytest.raises(Reverted, match="InvalidOrderPrices"):
            bench.keeper.execute(order_key)
        bench.set_price(1_940)
        receipt = bench.keeper.execute(order_key)
        frozen = one(receipt, "OrderFrozen").items
        assert error_of(frozen["reasonBytes"])[0] == "OrderNotFulfillableAtAcceptablePrice"
        (pending,) = bench.orders()
        assert pending["order"]["flags"]["isFrozen"]
        assert pending["order"]["numbers"]["executionFee"] == 0
        assert pending["order"]["numbers"]["orderType"] == LIMIT_INCREASE
        receipt = bench.contract("exchange_router").send("cancelOrder", order_key, sender=bench.trader)
        assert one(receipt, "OrderCancelled").items["reason"] == "USER_INITIATED_CANCEL"

    @pytest.mark.parametrize("kind", [0, 1])
    def test_swaps_are_refused(self, bench: Bench, kind: int) -> None:
        with pytest.raises(Reverted, match="UnsupportedOrderType"):
            bench.create(kind, 1_000, True)

    def test_a_liquidation_is_not_for_users(self, bench: Bench) -> None:
        with pytest.raises(Reverted, match="OrderTypeCannotBeCreated"):
            bench.create(7, 1_000, True)


class TestRates:
    def test_funding_goes_from_longs_to_shorts_and_is_claimed(self, bench: Bench) -> None:
        bench.open(200_000, True, 30_000 * USD_6, who=bench.other)
        bench.open(100_000, False, 30_000 * USD_6)
        bench.wait(YEAR_S // 10)
        rates = bench.contract("reader").read(
            "getMarketInfo", bench.gmx.data_store, bench.prices(), bench.gmx.market
        )
        assert rates["nextFunding"]["longsPayShorts"]
        assert rates["nextFunding"]["fundingFactorPerSecond"] == 5 * ONE // (100 * YEAR_S)
        assert rates["borrowingFactorPerSecondForShorts"] == 3 * ONE // (100 * YEAR_S)
        # 0.5 % of the larger side, 1,000 USD, all of it to the one short.
        pending = bench.info(False)["fees"]
        assert pending["funding"]["claimableShortTokenAmount"] == pytest.approx(1_000 * USD_6, rel=1e-6)
        assert pending["borrowing"]["borrowingFeeAmount"] == pytest.approx(300 * USD_6, rel=1e-6)
        fees = one(bench.close(50_000, False), "PositionFeesCollected").items
        assert fees["claimableShortTokenAmount"] == pytest.approx(1_000 * USD_6, rel=1e-4)
        paid = one(bench.close(1_000, True, who=bench.other), "PositionFeesCollected").items
        assert paid["fundingFeeAmount"] == pytest.approx(1_000 * USD_6, rel=1e-4)

        gmx = bench.gmx
        claimable = key(
            "CLAIMABLE_FUNDING_AMOUNT",
            ("address", gmx.market),
            ("address", gmx.short_token),
            ("address", bench.trader),
        )
        store = bench.contract("data_store")
        amount = store.read("getUint", claimable)
        assert amount == fees["claimableShortTokenAmount"]
        before = bench.balance(gmx.short_token, bench.other)
        receipt = bench.contract("exchange_router").send(
            "claimFundingFees", [gmx.market], [gmx.short_token], bench.other, sender=bench.trader
        )
        assert bench.balance(gmx.short_token, bench.other) - before == amount
        assert store.read("getUint", claimable) == 0
        assert one(receipt, "FundingFeesClaimed").items["amount"] == amount

    def test_with_one_side_alone_nobody_pays(self, bench: Bench) -> None:
        bench.open(200_000, True, 30_000 * USD_6)
        bench.wait(YEAR_S // 10)
        assert bench.info(True)["fees"]["funding"]["fundingFeeAmount"] == 0

    def test_negative_funding_is_paid_by_shorts(self, bench: Bench) -> None:
        bench.contract("data_store").send(
            "setInt",
            key("SAVED_FUNDING_FACTOR_PER_SECOND", ("address", bench.gmx.market)),
            -ONE // YEAR_S,
            sender=bench.owner,
        )
        bench.open(100_000, True, 30_000 * USD_6, who=bench.other)
        bench.open(100_000, False, 30_000 * USD_6)
        bench.wait(YEAR_S // 100)
        assert bench.info(False)["fees"]["funding"]["fundingFeeAmount"] == pytest.approx(
            1_000 * USD_6, rel=1e-4
        )


class TestForced:
    def test_a_position_is_liquidated_when_it_is_due(self, bench: Bench) -> None:
        bench.open(100_000, True, 5_000 * USD_6)
        gmx = bench.gmx
        with pytest.raises(Reverted, match="PositionShouldNotBeLiquidated"):
            bench.keeper.liquidate(bench.trader, gmx.short_token, True)
        bench.set_price(1_910)
        market = (gmx.market, gmx.index_token, gmx.long_token, gmx.short_token)
        due, reason, info = bench.contract("reader").read(
            "isPositionLiquidatable",
            gmx.data_store,
            gmx.referral_storage,
            position_key(bench.trader, gmx.market, gmx.short_token, True),
            market,
            bench.prices(1_910),
            True,
            True,
        )
        assert (due, reason) == (True, "min collateral for leverage")
        assert info["remainingCollateralUsd"] < info["minCollateralUsdForLeverage"] == 500 * ONE
        receipt = bench.keeper.liquidate(bench.trader, gmx.short_token, True)
        assert names(receipt) == [
            "OrderCreated",
            "PositionFeesCollected",
            "PositionDecrease",
            "OrderExecuted",
        ]
        assert one(receipt, "OrderCreated").items["orderType"] == 7
        assert one(receipt, "PositionDecrease").items["orderType"] == 7
        assert one(receipt, "OrderExecuted").items["secondaryOrderType"] == 0
        assert bench.position(True)["numbers"]["sizeInUsd"] == 0

    def test_an_insolvent_position_is_closed_for_nothing(self, bench: Bench) -> None:
        bench.open(100_000, True, 5_000 * USD_6)
        bench.set_price(1_500)
        before = bench.balance(bench.gmx.short_token, bench.trader)
        bench.keeper.liquidate(bench.trader, bench.gmx.short_token, True)
        assert bench.balance(bench.gmx.short_token, bench.trader) == before
        assert bench.position(True)["numbers"]["sizeInUsd"] == 0

    def test_a_part_is_deleveraged(self, bench: Bench) -> None:
        bench.open(100_000, False, 10_000 * USD_6)
        bench.set_price(1_800)
        receipt = bench.keeper.deleverage(bench.trader, bench.gmx.short_token, False, 30_000 * ONE)
        executed = one(receipt, "OrderExecuted")
        assert executed.items["secondaryOrderType"] == 1
        decrease = one(receipt, "PositionDecrease").items
        assert decrease["orderType"] == MARKET_DECREASE
        assert decrease["orderKey"] == executed.topics[0]
        assert bench.position(False)["numbers"]["sizeInUsd"] == 70_000 * ONE

    def test_only_their_keepers_may(self, bench: Bench) -> None:
        stranger = Keeper(bench.node, bench.gmx, bench.other, 1)
        with pytest.raises(Reverted, match="Unauthorized"):
            stranger.liquidate(bench.trader, bench.gmx.short_token, True)
        with pytest.raises(Reverted, match="Unauthorized"):
            stranger.deleverage(bench.trader, bench.gmx.short_token, True, ONE)


class TestKeeper:
    def test_orders_wait_for_their_delay(self, bench: Bench) -> None:
        bench.keeper.script(Script(act=Act.EXECUTE, delay_s=20))
        order_key, _ = bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        created = bench.node.timestamp()
        assert bench.keeper.due() == created + 20
        assert bench.keeper.work(created + 19) == []
        (attempt,) = bench.keeper.work(bench.wait(20))
        assert (attempt.order_key, attempt.act) == (order_key, Act.EXECUTE)
        assert attempt.receipt is not None
        assert bench.keeper.due() is None

    def test_it_cancels_moves_the_price_and_leaves(self, bench: Bench) -> None:
        bench.keeper.script(
            Script(act=Act.CANCEL, delay_s=2),
            Script(act=Act.EXECUTE, delay_s=2, moved=Decimal("0.004")),
            Script(act=Act.LEAVE),
        )
        for _ in range(3):
            bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6, acceptable=2_010 * ETH)
        cancelled, moved = bench.keeper.work(bench.wait(60))
        assert cancelled.receipt is not None
        assert moved.receipt is not None
        assert cancelled_because(cancelled.receipt)[0] == "OrderNotFulfillableAtAcceptablePrice"
        assert one(moved.receipt, "PositionIncrease").items["indexTokenPrice.max"] == 2_008 * ETH
        assert len(bench.orders()) == 1

    def test_it_reverts_once(self, bench: Bench) -> None:
        bench.keeper.script(Script(act=Act.EXECUTE, delay_s=2, reverts=1))
        bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        now = bench.wait(5)
        (first,) = bench.keeper.work(now)
        assert first.receipt is None
        assert first.reason.startswith("OracleTimestampsAreSmallerThanRequired")
        (second,) = bench.keeper.work(now + 1)
        assert second.receipt is not None
        assert bench.orders() == []

    def test_it_goes_away_and_comes_back(self, bench: Bench) -> None:
        bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6)
        bench.keeper.away = True
        now = bench.wait(100)
        assert bench.keeper.work(now) == []
        bench.keeper.away = False
        assert len(bench.keeper.work(now)) == 1

    def test_the_same_seed_gives_the_same_fates(self, bench: Bench) -> None:
        manner = Manner(cancel_chance=0.5)
        for _ in range(6):
            bench.create(MARKET_INCREASE, 1_000, True, 500 * USD_6, acceptable=2_100 * ETH)
        snapshot = bench.node.snapshot()

        def fates() -> list[tuple[bytes, Act]]:
            keeper = Keeper(bench.node, bench.gmx, bench.keeper_account, 7, manner)
            attempts: list[Attempt] = []
            start = bench.node.timestamp()
            for second in range(1, 40):
                attempts += keeper.work(start + second)
            return [(attempt.order_key, attempt.act) for attempt in attempts]

        first = fates()
        bench.node.revert(snapshot)
        assert fates() == first
        assert {act for _, act in first} == {Act.EXECUTE, Act.CANCEL}
