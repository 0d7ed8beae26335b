"""GMX v2: a perps DEX on oracle prices, where an order is placed by us and executed, or cancelled, by a keeper later.

So a mined transaction tells nothing of a fill: the protocol's own events of the order do. Long and short are two
positions that never net; an order closes what is open the other way before the next one opens its own side. Every order
brings its collateral along, and the executor's fee in native coin.
"""

from decimal import Decimal

from bot.chain.mandate import Rule
from bot.core.costs import quoted_fill
from bot.core.model import (
    Fill,
    Intent,
    IntentKind,
    Outcome,
    OutcomeState,
    VenueState,
)
from bot.core.orders import Order
from bot.core.units import to_raw
from bot.errors import DataError, OrderRejected
from bot.ports import OutsideChange, Reader, Receipt, TxCall
from bot.venues import gmx_events as events
from bot.venues import gmx_keys as keys
from bot.venues.bounds import OrderBounds
from bot.venues.gmx_errors import reason_of
from bot.venues.gmx_market import (
    GmxAddresses,
    GmxContracts,
    GmxMarket,
    GmxRules,
)
from bot.venues.gmx_orders import Place, margin_order, order_of, trade
from bot.venues.gmx_reading import GmxReading
from bot.venues.gmx_rules import Allowed, mandate_rules

REVERTED = "the transaction reverted on chain; nothing was ordered, moved or allowed"


class GmxVenue:
    """One account's positions in one GMX market, with one collateral token. `account` signs and holds them."""

    def __init__(
        self,
        name: str,
        chain: str,
        account: str,
        addresses: GmxAddresses,
        market: GmxMarket,
        lot: Decimal,
        rules: GmxRules,
        multicall: str,
    ) -> None:
        self.name = name
        self.chain = chain
        self.account = account
        self._at = addresses
        self._market = market
        self._use = rules
        self._contracts = GmxContracts.at(addresses, market, multicall)
        self._reading = GmxReading(name, account, addresses, market, self._contracts, lot, rules)
        self._place = Place(
            account, addresses.market, addresses.order_vault, self._contracts.exchange, market
        )

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        named = {field: getattr(self._at, field) for field in GmxAddresses.__slots__}
        tokens = {field: getattr(self._market, field) for field in ("long_token", "short_token")}
        feeds = {
            f"{which}_feed": getattr(self._market, f"{which}_feed").feed
            for which in ("index", "long", "short")
        }
        return named | tokens | feeds

    def read(self) -> Reader[VenueState]:
        """The venue's state, in two rounds."""
        return (yield from self._reading.read())

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        """The one transaction of an intent. OrderRejected where the protocol would not do what is meant."""
        exchange, fee_cap = self._contracts.exchange, self._use.max_fee_wei
        match intent.kind:
            case IntentKind.TRADE:
                return trade(self._place, intent, state, fee_cap)
            case IntentKind.ADD_MARGIN | IntentKind.WITHDRAW_MARGIN:
                adds = intent.kind is IntentKind.ADD_MARGIN
                return margin_order(self._place, intent.size, state, fee_cap, adds=adds)
            case IntentKind.APPROVE:
                token = self._contracts.collateral
                raw = to_raw(intent.size, self._market.collateral_decimals)
                return TxCall(token.address, token.abi.encode("approve", self._at.router, raw))
            case IntentKind.CLAIM:
                tokens = list(self._market.backing)
                markets = [self._at.market] * len(tokens)
                data = exchange.abi.encode("claimFundingFees", markets, tokens, self.account)
                return TxCall(exchange.address, data)
            case IntentKind.CANCEL:
                order_key = bytes.fromhex(intent.order_id.removeprefix("0x"))
                return TxCall(exchange.address, exchange.abi.encode("cancelOrder", order_key))
        raise OrderRejected(f"{self.name}: nothing is known of {intent.kind}")

    def decode(self, call: TxCall, state: VenueState) -> Order:
        """What a prepared call would trade. OrderRejected where it is no order of ours in this market."""
        return order_of(self._place, call, state)

    def expected(self, intent: Intent, state: VenueState, _returned: bytes) -> Fill:
        """The fill that the cost curve promises: what a preflight returns is the order's key."""
        return quoted_fill(intent, state)

    def explain(self, revert: bytes) -> str:
        """The protocol's error with its meaning."""
        return reason_of(revert, self._market)

    def outcome(
        self,
        intent: Intent,
        receipt: Receipt,
        before: VenueState,  # noqa: ARG002 - the port's signature
    ) -> Reader[Outcome]:
        """From the events of the order that the transaction placed: PENDING until an executor came, and cancellable
        once it has waited for as long as the protocol asks.
        """
        if not receipt.succeeded:
            return Outcome(OutcomeState.DEAD, REVERTED)
        if intent.kind in (IntentKind.APPROVE, IntentKind.CLAIM):
            return Outcome(OutcomeState.FILLED)
        emitter = self._contracts.emitter
        if intent.kind is IntentKind.CANCEL:
            mine = [e for e in events.in_receipt(emitter, receipt) if e.key == intent.order_id]
            if "OrderCancelled" not in [event.name for event in mine]:
                raise DataError(f"{self.name}: {receipt.tx_hash} cancelled nothing of {intent.order_id}")
            return Outcome(OutcomeState.FILLED)
        placed = events.created_in(emitter, receipt, self.account, self._at.market)
        order, now, expiration, logs = yield [
            self._contracts.reader.call("getOrder", self._at.data_store, bytes.fromhex(placed.key[2:])),
            self._contracts.clock.call("getCurrentBlockTimestamp"),
            self._contracts.store.call("getUint", keys.base("REQUEST_EXPIRATION_TIME")),
            events.of_order(emitter, placed.key, receipt.block_number),
        ]
        end = events.ended(events.found(emitter, logs))
        if end is None or end.name == "OrderFrozen":
            since = order["numbers"]["updatedAtTime"]
            if since == 0:  # this node doesn't show what it should: the next look will
                return Outcome(OutcomeState.PENDING, f"order {placed.key} is not shown", order_id=placed.key)
            return events.waiting(placed.key, since, now, expiration)
        return (yield from self._settled(intent, placed, end))

    def outside_changes(
        self,
        from_block: int,
        since_s: int,  # noqa: ARG002 - events are found by their blocks
        known: frozenset[str],
    ) -> Reader[tuple[OutsideChange, ...]]:
        """Changes whose orders other transactions than `known` placed: liquidations, auto-deleveraging, strangers."""
        emitter, who = self._contracts.emitter, events.topic_of(self.account)
        *changed, created, executed = yield [
            *(events.query(emitter, name, from_block, who) for name in events.CHANGES),
            events.query(emitter, "OrderCreated", from_block, None, who, two=True),
            events.query(emitter, "OrderExecuted", from_block, None, who, two=True),
        ]
        found = [event for logs in changed for event in events.found(emitter, logs)]
        changes = [event for event in found if self._is_ours(event)]
        return events.changes_outside(
            changes, events.found(emitter, created), events.found(emitter, executed), known, self._market
        )

    def rules(self, bounds: OrderBounds, max_collateral: Decimal) -> tuple[Rule, ...]:
        """What the mandate allows here: orders within `bounds`, each with at most `max_collateral` tokens."""
        return mandate_rules(
            Allowed(
                self._place,
                self._contracts.collateral,
                self._at.router,
                bounds,
                max_collateral,
                self._use.max_fee_wei,
            )
        )

    def _settled(self, intent: Intent, placed: events.Event, end: events.Event) -> Reader[Outcome]:
        """What an executor's transaction did with our order."""
        emitter, block = self._contracts.emitter, end.settled.block_number
        who, market = events.topic_of(self.account), events.topic_of(self._at.market)
        paid, fees, *changed = yield [
            events.query(emitter, "KeeperExecutionFee", block, None, to_block=block),
            events.query(emitter, "PositionFeesCollected", block, market, to_block=block),
            *(events.query(emitter, name, block, who, to_block=block) for name in events.CHANGES),
        ]
        most = placed.items["executionFee"]
        kept = events.keeper_wei(events.found(emitter, paid), end.settled, self.account, most)
        if end.name == "OrderCancelled":
            reason = events.cancelled(end, self._market)
            return Outcome(OutcomeState.DEAD, reason, settled=end.settled, keeper_wei=kept)
        if intent.kind is not IntentKind.TRADE:
            return Outcome(OutcomeState.FILLED, settled=end.settled, keeper_wei=kept)
        found = [event for logs in changed for event in events.found(emitter, logs)]
        mine = [event for event in found if event.key == placed.key]
        charged = [event for event in events.found(emitter, fees) if event.key == placed.key]
        if len(mine) != 1 or len(charged) != 1:
            raise DataError(
                f"{self.name}: order {placed.key} was executed with {len(mine)} changes and {len(charged)} fees"
            )
        fill = events.fill_of(mine[0], charged[0], self._market, intent.reference_price)
        whole = mine[0].items["sizeDeltaUsd"] == placed.items["sizeDeltaUsd"]
        state = OutcomeState.FILLED if whole else OutcomeState.PARTIAL
        reason = "" if whole else "the protocol changed the order's size"
        return Outcome(state, reason, fill, settled=end.settled, keeper_wei=kept)

    def _is_ours(self, event: events.Event) -> bool:
        return events.of_position(event, self.account, self._at.market, self._market.collateral_token)
