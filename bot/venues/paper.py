"""Paper trading: any venue as it is, with the fills that were recorded and not sent laid over our position."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from bot.core.costs import Costs
from bot.core.model import Fill, Intent, Outcome, PerpPosition, VenueState
from bot.core.orders import Order
from bot.ports import PerpVenue, Reader, Receipt, TxCall


class PaperVenue:
    """Wraps `venue`; `fills` gives the book's recorded fills, oldest first.

    Reads, quotes and preflights are the real ones. Orders are prepared for the account as the chain has it.
    """

    def __init__(self, venue: PerpVenue, fills: Callable[[], tuple[Fill, ...]]) -> None:
        self.name = venue.name
        self.chain = venue.chain
        self.account = venue.account
        self._venue = venue
        self._fills = fills
        self.contracts = venue.contracts
        self.expected = venue.expected
        self.explain = venue.explain
        self.outside_changes = venue.outside_changes

    def read(self) -> Reader[VenueState]:
        """The venue's state with the recorded fills in its position and margin."""
        state = yield from self._venue.read()
        return overlay(state, self._fills())

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        """The real order's calldata, for the position that the chain has."""
        return self._venue.prepare(intent, self._on_chain(state))

    def decode(self, call: TxCall, state: VenueState) -> Order:
        """The real order's, for the position that the chain has."""
        return self._venue.decode(call, self._on_chain(state))

    def _on_chain(self, state: VenueState) -> VenueState:
        """`state` with the position that the chain has. On paper an order brings no collateral: none is allowed."""
        recorded = sum((fill.size for fill in self._fills()), Decimal(0))
        position = replace(state.position, size=state.position.size - recorded)
        return replace(state, position=position, collateral=None)

    def outcome(self, intent: Intent, receipt: Receipt, before: VenueState) -> Reader[Outcome]:
        """Never asked: nothing was sent."""
        return self._venue.outcome(intent, receipt, before)


def overlay(state: VenueState, fills: tuple[Fill, ...]) -> VenueState:
    """`state` as if `fills` had been traded: position, entry notional, and margin with their profit and fees.

    Open profit is marked at the price of closing now where it is quoted, else at the mark. Funding on recorded
    fills is not accrued.
    """
    if not fills:
        return state
    size = sum((f.size for f in fills), Decimal(0))
    cash = sum((f.notional if f.size < 0 else -f.notional for f in fills), Decimal(0))
    fees = sum((f.fee_usd for f in fills), Decimal(0))
    position = PerpPosition(
        state.position.market, state.position.size + size, state.position.entry_notional + cash
    )
    profit = cash - fees + size * state.mark
    grown = abs(position.size) - abs(state.position.size)
    margin = state.margin
    return replace(
        state,
        position=position,
        margin=replace(
            margin,
            account_value=margin.account_value + profit,
            mark_value=margin.mark_value + profit,
            free_collateral=margin.free_collateral + profit - grown * state.mark * state.initial_ratio,
            maintenance=margin.maintenance + grown * state.mark * state.maintenance_ratio,
            exit_value=margin.exit_value + cash - fees - exit_cost(state, size),
        ),
    )


def exit_cost(state: VenueState, size: Decimal) -> Decimal:
    """USD that closing `size` now would take (negative: would bring), fees included."""
    costs = Costs(state.mark, state.fee_ratio, state.curve, Decimal(0), state.lot)
    try:
        price = costs.average_price(-size)
    except ValueError:
        price = state.mark
    return -size * price + abs(size) * price * state.fee_ratio
