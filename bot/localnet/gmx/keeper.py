"""The stand-in's keeper: it executes what is due, at the feeds' prices, and misbehaves as it is told or by chance.

Times are seconds since 1970 on the chain, a moved price is a fraction of the feed's: 0.01 is one percent up.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import numpy as np
from eth_abi.abi import encode

from bot.localnet.contract import Contract
from bot.localnet.gmx.deploy import GmxDeployment, gmx_contract, key
from bot.localnet.node import Node, Receipt, Reverted

# 30 decimals of USD, less the feed's 8 and the token's.
WETH_PRICE_UNIT: Final = 10**4
USDC_PRICE_UNIT: Final = 10**16
_PRECISION: Final = 10**12
_MOST_ORDERS: Final = 64
_MARKET_ORDERS: Final = (2, 4)
_INCREASES: Final = (2, 3, 8)


class Act(Enum):
    """What the keeper does with an order when it is due."""

    EXECUTE = "execute"
    CANCEL = "cancel"
    LEAVE = "leave"


@dataclass(frozen=True)
class Script:
    """One order's fate. None takes what the keeper draws; `reverts` attempts fail before the one that counts."""

    act: Act | None = None
    delay_s: int | None = None
    moved: Decimal | None = None
    reverts: int = 0


@dataclass(frozen=True)
class Manner:
    """How the keeper treats orders that have no script."""

    shortest_delay_s: int = 2
    longest_delay_s: int = 30
    cancel_chance: float = 0.1
    moved: Decimal = Decimal(0)


@dataclass(frozen=True)
class Attempt:
    """One transaction of the keeper's. `receipt` is None and `reason` says why where it was reverted."""

    order_key: bytes
    act: Act
    receipt: Receipt | None
    reason: str


@dataclass(frozen=True)
class _Plan:
    due_s: int
    act: Act
    moved: Decimal
    reverts: int


class Keeper:
    """Works through the pending orders of one deployment. `away` true makes it do nothing."""

    def __init__(
        self, node: Node, deployment: GmxDeployment, account: str, seed: int, manner: Manner | None = None
    ) -> None:
        self.manner = manner or Manner()
        self.away = False
        self._node = node
        self._gmx = deployment
        self._account = account
        self._random = np.random.default_rng(seed)
        self._scripts: deque[Script] = deque()
        self._plans: dict[bytes, _Plan] = {}
        self._contracts: dict[str, Contract] = {}

    def script(self, *scripts: Script) -> None:
        """The next orders that the keeper meets are treated so, in the order in which they were created."""
        self._scripts.extend(scripts)

    def pending(self) -> list[bytes]:
        """The keys of all orders that wait, the oldest first."""
        keys = self._contract("data_store").read("getBytes32ValuesAt", key("ORDER_LIST"), 0, _MOST_ORDERS)
        orders = {order_key: self._order(order_key) for order_key in keys}
        return sorted(keys, key=lambda order_key: int(orders[order_key]["numbers"]["updatedAtTime"]))

    def due(self) -> int | None:
        """When the next order that this keeper will touch is due; None when it has none to touch."""
        self._plan(self.pending())
        times = [plan.due_s for plan in self._plans.values() if plan.act is not Act.LEAVE]
        return min(times, default=None)

    def work(self, now: int) -> list[Attempt]:
        """Does what is due by `now`. An order that was reverted stays and is tried again at the next call."""
        if self.away:
            return []
        waiting = self.pending()
        self._plan(waiting)
        attempts = []
        for order_key in waiting:
            plan = self._plans[order_key]
            order = self._order(order_key)
            if plan.due_s > now or plan.act is Act.LEAVE or order["flags"]["isFrozen"]:
                continue
            attempt = self._attempt(order_key, order, plan, now)
            attempts.append(attempt)
            if attempt.receipt is None:
                self._plans[order_key] = replace(plan, reverts=max(plan.reverts - 1, 0))
        return attempts

    def execute(self, order_key: bytes, now: int | None = None, moved: Decimal = Decimal(0)) -> Receipt:
        """Executes one order at once, whatever its plan. Reverted when the real one would leave it pending."""
        index, short = self._feed_prices()
        price = _move(index, moved)
        return self.execute_at(order_key, (price, price), (short, short), self._time(now))

    def execute_at(
        self, order_key: bytes, index: tuple[int, int], short: tuple[int, int], timestamp: int
    ) -> Receipt:
        """Executes one order at these (min, max) prices, USD 1e30 per smallest unit, dated `timestamp`."""
        handler = self._contract("order_handler")
        return handler.send(
            "executeOrder", order_key, self.oracle_params(index, short, timestamp), sender=self._account
        )

    def liquidate(self, account: str, collateral: str, is_long: bool, now: int | None = None) -> Receipt:
        """Liquidates a position at the feeds' prices. Reverted where it is not liquidatable."""
        risk = self._contract("risk_handler")
        prices = self._oracle_params_now(now)
        return risk.send(
            "executeLiquidation", account, self._gmx.market, collateral, is_long, prices, sender=self._account
        )

    def deleverage(
        self, account: str, collateral: str, is_long: bool, size_delta_usd: int, now: int | None = None
    ) -> Receipt:
        """Closes so much (USD 1e30) of a position by ADL, at the feeds' prices."""
        risk = self._contract("risk_handler")
        prices = self._oracle_params_now(now)
        return risk.send(
            "executeAdl",
            account,
            self._gmx.market,
            collateral,
            is_long,
            size_delta_usd,
            prices,
            sender=self._account,
        )

    def oracle_params(
        self, index: tuple[int, int], short: tuple[int, int], timestamp: int
    ) -> tuple[list[str], list[str], list[bytes]]:
        """Prices as the stand-in's handlers take them."""
        tokens = [self._gmx.long_token, self._gmx.short_token]
        data = [encode(["uint256"] * 3, [*price, timestamp]) for price in (index, short)]
        return tokens, [self._gmx.index_feed, self._gmx.short_feed], data

    def _attempt(self, order_key: bytes, order: dict[str, Any], plan: _Plan, now: int) -> Attempt:
        index, short = self._feed_prices()
        timestamp = self._time(now)
        price = _move(index, plan.moved)
        if plan.act is Act.CANCEL:
            price = _unacceptable(order, price)
        if plan.reverts:
            # Prices from before the order are refused, and the order stays.
            timestamp = int(order["numbers"]["updatedAtTime"]) - 1
        try:
            receipt = self.execute_at(order_key, (price, price), (short, short), timestamp)
        except Reverted as error:
            return Attempt(order_key, plan.act, None, error.reason)
        return Attempt(order_key, plan.act, receipt, "")

    def _plan(self, waiting: Iterable[bytes]) -> None:
        known = list(waiting)
        self._plans = {order_key: plan for order_key, plan in self._plans.items() if order_key in known}
        for order_key in known:
            if order_key not in self._plans:
                self._plans[order_key] = self._new_plan(self._order(order_key))

    def _new_plan(self, order: dict[str, Any]) -> _Plan:
        # Both are drawn for every order, so that a script for one does not change the fate of the others.
        delay_s = int(self._random.integers(self.manner.shortest_delay_s, self.manner.longest_delay_s + 1))
        cancels = bool(self._random.random() < self.manner.cancel_chance)
        script = self._scripts.popleft() if self._scripts else Script()
        act = script.act or (Act.CANCEL if cancels else Act.EXECUTE)
        wait_s = delay_s if script.delay_s is None else script.delay_s
        moved = self.manner.moved if script.moved is None else script.moved
        return _Plan(int(order["numbers"]["updatedAtTime"]) + wait_s, act, moved, script.reverts)

    def _feed_prices(self) -> tuple[int, int]:
        index = int(self._contract("index_feed").read("latestAnswer")) * WETH_PRICE_UNIT
        return index, int(self._contract("short_feed").read("latestAnswer")) * USDC_PRICE_UNIT

    def _oracle_params_now(self, now: int | None) -> tuple[list[str], list[str], list[bytes]]:
        index, short = self._feed_prices()
        return self.oracle_params((index, index), (short, short), self._time(now))

    def _time(self, now: int | None) -> int:
        return max(now or 0, self._node.timestamp())

    def _order(self, order_key: bytes) -> dict[str, Any]:
        order: dict[str, Any] = self._contract("reader").read("getOrder", self._gmx.data_store, order_key)
        return order

    def _contract(self, field: str) -> Contract:
        if field not in self._contracts:
            self._contracts[field] = gmx_contract(self._node, self._gmx, field)
        return self._contracts[field]


def _move(price: int, moved: Decimal) -> int:
    return price * (_PRECISION + int(moved * _PRECISION)) // _PRECISION


def _unacceptable(order: dict[str, Any], price: int) -> int:
    """A price one percent beyond the acceptable one; an order that accepts every price keeps its own."""
    acceptable = int(order["numbers"]["acceptablePrice"])
    buys = order["flags"]["isLong"] == (order["numbers"]["orderType"] in _INCREASES)
    beyond = acceptable * 101 // 100 if buys else acceptable * 99 // 100
    return (
        price if beyond == 0 or beyond > 100 * price else max(beyond, price) if buys else min(beyond, price)
    )
