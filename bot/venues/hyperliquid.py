"""Hyperliquid through HyperEVM: a perps exchange whose state HyperEVM reads, and whose orders it passes on.

An order is a transaction to CoreWriter, which HyperCore acts on seconds later, or drops without a word. So neither a
receipt nor an event tells a fill: the position, the client order id and time do. docs/hyperliquid.md says what of it is
exact.
"""

from dataclasses import replace

from bot.chain.contracts import contract
from bot.chain.mandate import Rule
from bot.core.costs import quoted_fill
from bot.core.model import Fill, Intent, IntentKind, Outcome, OutcomeState, Settled, VenueState
from bot.core.orders import Order
from bot.errors import DataError, Halt, OrderRejected, TransientError
from bot.ports import OutsideChange, Reader, Receipt, TxCall
from bot.venues import hyperliquid_core as core
from bot.venues.bounds import OrderBounds, TransferBounds
from bot.venues.hyperliquid_market import CoreInfo, HyperliquidMarket, HyperliquidState, cloid_of, is_ours
from bot.venues.hyperliquid_orders import Place, order_of, trade, transfer
from bot.venues.hyperliquid_outcome import Wait, of_order, of_transfer
from bot.venues.hyperliquid_reading import HyperliquidReading
from bot.venues.hyperliquid_rules import mandate_rules

REVERTED = "the transaction reverted on chain; HyperCore was asked for nothing"
BLOCK_S = 2
"""No block takes longer on average, in seconds: how far back the info API is asked for what blocks ago was done."""
SLACK_S = 600


class HyperliquidVenue:
    """One account's position in one perp of Hyperliquid. `account` signs, and is the account on HyperCore."""

    def __init__(
        self,
        name: str,
        chain: str,
        account: str,
        core_writer: str,
        market: HyperliquidMarket,
        multicall: str,
        info: CoreInfo | None = None,
        *,
        watches_margin: bool = False,
    ) -> None:
        self.name = name
        self.chain = chain
        self.account = account
        self._market = market
        self._info = info
        self._writer = contract("hyperevm_core_writer", core_writer)
        self._clock = contract("multicall3", multicall)
        self._place = Place(self._writer, market)
        self._reading = HyperliquidReading(name, account, market, info, watches_margin)

    def contracts(self) -> dict[str, str]:
        """CoreWriter alone: the read precompiles need no code."""
        return {"core_writer": self._writer.address}

    def read(self) -> Reader[HyperliquidState]:
        """The venue's state, in one round, and in two the first time."""
        return (yield from self._reading.read())

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        """The one transaction of an intent. OrderRejected where HyperCore would drop it, as far as that can be told."""
        match intent.kind:
            case IntentKind.TRADE:
                return trade(self._place, intent, state)
            case IntentKind.ADD_MARGIN | IntentKind.WITHDRAW_MARGIN:
                return transfer(self._place, intent, state)
        raise OrderRejected(
            f"{self.name}: HyperCore knows no {intent.kind}: USDC needs no allowance, nothing waits to be claimed, and "
            "an immediate order can't be cancelled"
        )

    def decode(self, call: TxCall, state: VenueState) -> Order:
        """What a prepared call would trade. OrderRejected where it is no order of ours in this market."""
        return order_of(self._place, call, state)

    def expected(self, intent: Intent, state: VenueState, _returned: bytes) -> Fill:
        """The fill that the cost curve promises: a preflight returns nothing here, whatever HyperCore will do."""
        return quoted_fill(intent, state)

    def explain(self, revert: bytes) -> str:
        """A revert's data in words. CoreWriter itself never reverts."""
        return self._writer.abi.explain(revert)

    def outcome(self, intent: Intent, receipt: Receipt, before: VenueState) -> Reader[Outcome]:
        """By what changed since `before`: PENDING until HyperCore acted, or the stated number of blocks has passed."""
        if not receipt.succeeded:
            return Outcome(OutcomeState.DEAD, REVERTED)
        action = core.sent_in(self._writer, receipt, self.account)
        asset = yield from self._reading.asset()
        asked = dict(self._reading.account_calls())
        asked["block"] = self._clock.call("getBlockNumber")
        asked["now"] = self._clock.call("getCurrentBlockTimestamp")
        answers = dict(zip(asked, (yield list(asked.values())), strict=True))
        seen = self._reading.seen(answers, asset)
        wait = Wait(max(answers["block"] - receipt.block_number, 0), self._market.acts_within)
        if isinstance(action, core.UsdClassTransfer):
            adds = intent.kind is IntentKind.ADD_MARGIN
            moves = adds or intent.kind is IntentKind.WITHDRAW_MARGIN
            same = moves and intent.size == action.amount and adds == action.to_perp
            self._check_sent(intent, receipt, as_meant=same)
            return of_transfer(intent, before, seen, wait)
        meant = intent.kind is IntentKind.TRADE and intent.size == action.signed
        self._check_sent(intent, receipt, as_meant=meant and action.cloid == cloid_of(intent.key))
        told = None
        if self._info is not None:
            told = self._info.order(action.cloid, answers["now"] - wait.blocks * BLOCK_S - SLACK_S)
        outcome = of_order(intent, action, before, seen, wait, told, asks=self._info is not None)
        if outcome.state is not OutcomeState.DEAD:
            return outcome
        # HyperCore decided it, and has no transaction of its own: ours stands for it, so that refusals in a row count.
        return replace(outcome, settled=Settled(receipt.tx_hash, receipt.block_number, receipt.block_hash))

    def outside_changes(
        self,
        from_block: int,  # noqa: ARG002 - fills name no block of HyperEVM's
        since_s: int,
        known: frozenset[str],  # noqa: ARG002 - nor a transaction
    ) -> Reader[tuple[OutsideChange, ...]]:
        """Fills that carry no client order id of ours, since that time, as the info API tells them.

        Halt where it isn't configured, for HyperCore has no events that HyperEVM could show; TransientError while it
        doesn't answer.
        """
        yield from ()
        if self._info is None:
            raise Halt(
                f"{self.name}: the position of {self.account} is not the one that the ledger expects, and HyperCore "
                "has no events that would say why (with info_url liquidations are told apart): find out who traded, "
                "then run `vaultkeel adopt`"
            )
        fills = self._info.fills(since_s)
        if fills is None:
            raise TransientError(
                f"{self.name}: the position is not the one that the ledger expects, and the info API, which would say "
                "why, doesn't answer"
            )
        return tuple(
            OutsideChange(fill.size, fill.reason, f"order {fill.oid}")
            for fill in fills
            if not is_ours(fill.cloid)
        )

    def rules(self, bounds: OrderBounds, transfers: TransferBounds | None = None) -> tuple[Rule, ...]:
        """What the mandate allows here: orders within `bounds`, and transfers of margin within `transfers`."""
        return mandate_rules(self._writer, self._market.asset, bounds, transfers)

    def _check_sent(self, intent: Intent, receipt: Receipt, *, as_meant: bool) -> None:
        if not as_meant:
            raise DataError(
                f"{self.name}: {receipt.tx_hash} asked HyperCore for something else than {intent.kind} {intent.key}"
            )
