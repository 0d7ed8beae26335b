"""Perpetual Protocol v2 (Curie): a perps DEX on a Uniswap v3 pool of virtual tokens, where an order is atomic.

Base, quote and profit have 18 decimals, the vault its settlement token's, ratios 6. `isBaseToQuote` sells.

An account may approve a delegate, who then opens positions for it and can't withdraw. The protocol has no close for
another: a delegate's close is an order for exactly the position's size the other way, which the tick limit refuses
where it would cut the account's own close.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.chain.mandate import Rule
from bot.core.model import (
    CostPoint,
    Fill,
    Intent,
    IntentKind,
    Margin,
    Outcome,
    OutcomeState,
    PerpPosition,
    Privileges,
    VenueState,
)
from bot.core.orders import Order
from bot.core.units import from_raw, to_raw
from bot.errors import DataError, OrderRejected
from bot.ports import Call, LogQuery, OutsideChange, Reader, Receipt, Reverted, TxCall
from bot.safe import ownership_calls, signs_alone
from bot.venues.bounds import OrderBounds, TransferBounds
from bot.venues.curie_calldata import order_of
from bot.venues.curie_rules import order_rules, transfer_rules

TICK = Decimal("1.0001")
PRICE_STEP = Decimal(10) ** -12
"""Prices and rates that come out of a division or a root are rounded to this."""

Q96 = Decimal(2) ** 96
WHOLE_CURVE = 2**127
TICK_SAFETY = 5
"""Ticks kept free of the protocol's limit, for the pool may move between the read and the order."""
BAND_SAFETY = Decimal("0.005")
"""Share of the index price kept free of the protocol's price band, for the same reason."""
CURVE_SHARES = (Decimal("0.02"), Decimal("0.1"), Decimal("0.4"))
"""Sizes that are quoted, as shares of what the pool's active liquidity gives within the tick limit."""
CLIP_INTERVAL_S = 16
"""The tick limit's baseline moves on at the first settlement 15 s after the last."""
ORDER_GAS = 900_000
REVERTED = {
    IntentKind.TRADE: "the order reverted on chain; nothing was traded",
    IntentKind.APPROVE: "the approval reverted on chain; nothing was allowed",
    IntentKind.ADD_MARGIN: "the deposit reverted on chain; nothing was moved",
    IntentKind.WITHDRAW_MARGIN: "the withdrawal reverted on chain; nothing was moved",
}
MAY_OPEN = 1
"""The bit of an approval that allows to open positions."""

REASONS = {
    "CH_NEFCI": "not enough free collateral for the initial margin",
    "CH_NEFCM": "not enough free collateral for the maintenance margin",
    "CH_TLRS": "the price moved past the order's bound",
    "CH_TMRL": "the price moved past the order's bound",
    "CH_TE": "the order's deadline has passed",
    "CH_PSZ": "there is no position to close",
    "CH_MNO": "the market is paused or closed",
    "CH_SHNAOPT": "the account has not approved this key as its delegate, or has revoked it: its owners approve it "
    "with what `vaultkeel propose approve-delegate` writes",
    "EX_MIP": "the market is paused",
    "EX_OPLAS": "the order would cross more ticks than the protocol allows within 15 s",
    "EX_OPB": "the order would leave the protocol's price band around the index",
    "V_GTSTBC": "the vault takes no more of its settlement token",
    "V_NEFC": "not enough free collateral to withdraw that much",
    "Pausable: paused": "the protocol is paused",
}


@dataclass(frozen=True, slots=True)
class CurieAddresses:
    """The protocol's contracts and the market's."""

    clearing_house: str
    clearing_house_config: str
    account_balance: str
    exchange: str
    vault: str
    market_registry: str
    quoter: str
    base_token: str
    pool: str


@dataclass(frozen=True, slots=True)
class Delegation:
    """Whose position is traded where it is not the signer's, and the contract that holds the approval."""

    trader: str
    delegate_approval: str


@dataclass(frozen=True, slots=True)
class Settlement:
    """The token that the vault keeps its collateral in, and that token's decimals."""

    token: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a swap would exchange: base signed by side, notional before fees, what is paid or received after them."""

    size: Decimal
    notional: Decimal
    after_fees: Decimal


class CurieVenue:
    """One account's position in one Curie market. `account` signs, `trader` is whose position it is.

    `settlement` is None where no margin is watched: then nothing is read of the wallet, and nothing can be moved.
    """

    def __init__(
        self,
        name: str,
        chain: str,
        account: str,
        addresses: CurieAddresses,
        lot: Decimal,
        delegation: Delegation | None = None,
        settlement: Settlement | None = None,
    ) -> None:
        self.name = name
        self.chain = chain
        self.account = account
        self.trader = account if delegation is None else delegation.trader
        self._delegation = delegation
        self._settlement = settlement
        self._token = None if settlement is None else contract("erc20", settlement.token)
        self._at = addresses
        self._lot = lot
        self._house = contract("curie_clearing_house", addresses.clearing_house)
        self._config = contract("curie_clearing_house_config", addresses.clearing_house_config)
        self._balances = contract("curie_account_balance", addresses.account_balance)
        self._exchange = contract("curie_exchange", addresses.exchange)
        self._vault = contract("curie_vault", addresses.vault)
        self._registry = contract("curie_market_registry", addresses.market_registry)
        self._quoter = contract("curie_quoter", addresses.quoter)
        self._base = contract("curie_base_token", addresses.base_token)
        self._pool = contract("uniswap_v3_pool", addresses.pool)

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        addresses = {field: getattr(self._at, field) for field in CurieAddresses.__slots__}
        if self._delegation is not None:
            addresses["delegate_approval"] = self._delegation.delegate_approval
        if self._settlement is not None:
            addresses["settlement_token"] = self._settlement.token
        return addresses

    def read(self) -> Reader[VenueState]:
        """The venue's state. Round one asks positions, money and the pool's price, round two the quotes."""
        me, base = self.trader, self._at.base_token
        (
            size_raw,
            open_notional,
            (owed, _unrealized, _pending_fee),
            maintenance,
            pending_funding,
            account_value,
            free,
            balance,
            decimals,
            index,
            market,
            max_ticks,
            slot0,
            liquidity,
            twap_interval,
            initial_ratio,
            maintenance_ratio,
            paused,
            is_open,
            *more,
        ) = yield [
            self._balances.call("getTakerPositionSize", me, base),
            self._balances.call("getTakerOpenNotional", me, base),
            self._balances.call("getPnlAndPendingFee", me),
            self._balances.call("getMarginRequirementForLiquidation", me),
            self._exchange.call("getPendingFundingPayment", me, base),
            self._vault.call("getAccountValue", me),
            self._vault.call("getFreeCollateral", me),
            self._vault.call("getBalance", me),
            self._vault.call("decimals"),
            self._base.call("getIndexPrice", 0),
            self._registry.call("getMarketInfo", base),
            self._exchange.call("getMaxTickCrossedWithinBlock", base),
            self._pool.call("slot0"),
            self._pool.call("liquidity"),
            self._config.call("getTwapInterval"),
            self._config.call("getImRatio"),
            self._config.call("getMmRatio"),
            self._house.call("paused"),
            self._base.call("isOpen"),
            *self._approval_calls(),
            *self._wallet_calls(),
        ]
        approval, money = more[: len(self._approval_calls())], more[len(self._approval_calls()) :]
        wallet, allowance = self._wallet(money, decimals)
        if market["pool"].lower() != self._at.pool.lower():
            raise DataError(f"{self.name}: pool is not the market's, which is {market['pool']}")
        size = from_raw(size_raw, 18)
        root = Decimal(slot0[0]) / Q96
        mark, index_price = (root * root).quantize(PRICE_STEP), from_raw(index, 18)
        if mark <= 0 or index_price <= 0:
            raise DataError(f"{self.name}: the pool's price is {mark}, the index price {index_price}")
        ticks = max(max_ticks - TICK_SAFETY, 0)
        band = from_raw(market["maxPriceSpreadRatio"], 6) - BAND_SAFETY
        lowest = max(mark / TICK**ticks, index_price * (1 - band))
        highest = min(mark * TICK**ticks, index_price * (1 + band))
        asked = [
            *self._edge_quote(lowest, mark, sells=True),
            *self._edge_quote(highest, mark, sells=False),
        ]
        edges = len(asked)
        depth = Decimal(liquidity) / 10**18 / root * (1 - 1 / TICK ** (Decimal(ticks) / 2))
        sizes = [side * (depth * share).quantize(self._lot) for side in (1, -1) for share in CURVE_SHARES]
        asked += [self._quote_call(s, may_fail=True) for s in sizes if s != 0]
        asked += [self._quote_call(-size)] if size != 0 else []
        asked += [
            self._exchange.call("getSqrtMarketTwapX96", base, twap_interval),
            self._base.call("getIndexPrice", twap_interval),
        ]
        *answers, twap_root, index_twap = yield asked
        close = _quote(answers.pop()) if size != 0 else Quote(Decimal(0), Decimal(0), Decimal(0))
        quotes = [_quote(answer) for answer in answers if not isinstance(answer, Reverted)]
        limits = [q.size for q in quotes[:edges]]
        max_buy = max((s for s in limits if s > 0), default=Decimal(0))
        max_sell = -min((s for s in limits if s < 0), default=Decimal(0))
        twap = (Decimal(twap_root) / Q96) ** 2
        collateral = from_raw(balance, decimals)
        settled = collateral + from_raw(owed, 18) - from_raw(pending_funding, 18)
        entry = from_raw(open_notional, 18)
        return VenueState(
            name=self.name,
            account=me,
            position=PerpPosition(base, size, entry),
            margin=Margin(
                collateral=collateral,
                account_value=from_raw(account_value, decimals),
                free_collateral=from_raw(free, decimals),
                mark_value=settled + entry + size * mark,
                maintenance=from_raw(maintenance, 18),
                exit_value=settled + entry - (close.after_fees if close.size > 0 else -close.after_fees),
            ),
            mark=mark,
            index=index_price,
            fee_ratio=from_raw(market["exchangeFeeRatio"], 6),
            funding_per_hour=((twap - from_raw(index_twap, 18)) / index_price / 24).quantize(PRICE_STEP),
            pending_funding=from_raw(pending_funding, 18),
            curve=tuple(
                CostPoint(q.size, (q.notional / abs(q.size)).quantize(PRICE_STEP))
                for q in quotes
                if -max_sell <= q.size <= max_buy and q.size != 0
            ),
            max_buy=max_buy,
            max_sell=max_sell,
            lot=self._lot,
            clip_interval_s=CLIP_INTERVAL_S,
            order_gas=ORDER_GAS,
            initial_ratio=from_raw(initial_ratio, 6),
            maintenance_ratio=from_raw(maintenance_ratio, 6),
            privileges=self._privileges(approval),
            paused=self._paused(paused=paused, is_open=is_open),
            wallet=wallet,
            allowance=allowance,
        )

    def prepare(self, intent: Intent, state: VenueState) -> TxCall:
        """An order for exactly `intent.size`; the protocol's own close where that leaves nothing of our own.

        That close is the one order that the tick limit may cut, so it can end as PARTIAL.
        """
        if intent.kind is not IntentKind.TRADE:
            return self._move(intent)
        bound = to_raw(abs(intent.size) * intent.price_bound, 18)
        common = {
            "baseToken": self._at.base_token,
            "oppositeAmountBound": bound,
            "deadline": intent.deadline,
            "sqrtPriceLimitX96": 0,
            "referralCode": bytes(32),
        }
        if self._delegation is None and state.position.size + intent.size == 0:
            return TxCall(self._house.address, self._house.abi.encode("closePosition", common))
        sells = intent.size < 0
        order = common | {
            "isBaseToQuote": sells,
            "isExactInput": sells,
            "amount": to_raw(abs(intent.size), 18),
        }
        if self._delegation is not None:
            return TxCall(self._house.address, self._house.abi.encode("openPositionFor", self.trader, order))
        return TxCall(self._house.address, self._house.abi.encode("openPosition", order))

    def decode(self, call: TxCall, state: VenueState) -> Order:
        """What a prepared call would trade. OrderRejected where it is no order of ours in this market."""
        return order_of(self._house, self._at.base_token, self.trader, call, state)

    def expected(self, intent: Intent, state: VenueState, returned: bytes) -> Fill:
        """The fill that a preflight of the order promises. The fee is taken from the quote side."""
        function = "openPosition" if self._delegation is None else "openPositionFor"
        base, quote, *_ = (from_raw(raw, 18) for raw in self._house.abi.decode_output(function, returned))
        sells = intent.size < 0
        notional = quote / (1 - state.fee_ratio) if sells else quote * (1 - state.fee_ratio)
        size = -base if sells else base
        return Fill(
            size=size,
            notional=notional,
            fee_usd=abs(notional - quote),
            impact_usd=_impact(size, notional, intent.reference_price),
            funding_usd=Decimal(0),
        )

    def explain(self, revert: bytes) -> str:
        """The protocol's code with its meaning."""
        reason = self._house.abi.explain(revert)
        return f"{reason} ({REASONS[reason]})" if reason in REASONS else reason

    def outcome(
        self,
        intent: Intent,
        receipt: Receipt,
        before: VenueState,  # noqa: ARG002 - the port's signature
    ) -> Reader[Outcome]:
        """FILLED, PARTIAL or DEAD, from the receipt's own events: on Curie mined is executed."""
        yield from ()
        if not receipt.succeeded:
            return Outcome(OutcomeState.DEAD, REVERTED[intent.kind])
        if intent.kind is not IntentKind.TRADE:
            return self._moved(intent, receipt)
        changes = self._events("PositionChanged", receipt)
        if len(changes) != 1:
            raise DataError(
                f"{self.name}: {receipt.tx_hash} changed {len(changes)} positions of ours, not one"
            )
        size = from_raw(changes[0]["exchangedPositionSize"], 18)
        notional = from_raw(abs(changes[0]["exchangedPositionNotional"]), 18)
        funding = sum(
            from_raw(e["fundingPayment"], 18) for e in self._events("FundingPaymentSettled", receipt)
        )
        fill = Fill(
            size=size,
            notional=notional,
            fee_usd=from_raw(changes[0]["fee"], 18),
            impact_usd=_impact(size, notional, intent.reference_price),
            funding_usd=Decimal(funding),
        )
        if size == intent.size:
            return Outcome(OutcomeState.FILLED, "", fill)
        return Outcome(OutcomeState.PARTIAL, f"{size:+f} of {intent.size:+f} was traded", fill)

    def outside_changes(
        self,
        from_block: int,
        since_s: int,  # noqa: ARG002 - events are found by their blocks
        known: frozenset[str],
    ) -> Reader[tuple[OutsideChange, ...]]:
        """Position changes of ours from other transactions. A liquidation explains itself by its own event."""
        us = "0x" + bytes.fromhex(self.trader[2:]).rjust(32, b"\0").hex()
        wanted = [
            LogQuery(self._house.address, ("0x" + self._house.abi.topic(event).hex(), us), from_block, event)
            for event in ("PositionChanged", "PositionLiquidated")
        ]
        changed, liquidated = yield list(wanted)
        liquidations = {found.tx_hash for found in liquidated}
        changes = []
        for found in changed:
            event = self._house.abi.decode_event("PositionChanged", found.log)
            if (
                event is None
                or found.tx_hash in known
                or event["baseToken"].lower() != self._at.base_token.lower()
            ):
                continue
            reason = "liquidation" if found.tx_hash in liquidations else ""
            changes.append(OutsideChange(from_raw(event["exchangedPositionSize"], 18), reason, found.tx_hash))
        return tuple(changes)

    def rules(self, bounds: OrderBounds, transfers: TransferBounds | None = None) -> tuple[Rule, ...]:
        """What the mandate allows here: orders within `bounds`, and the margin's transfers within `transfers`.

        A delegate may order for the configured trader alone, and moves no margin.
        """
        delegating = None if self._delegation is None else self.trader
        orders = order_rules(self._house, self._at.base_token, bounds, delegating)
        if delegating is not None or transfers is None or self._token is None or self._settlement is None:
            return orders
        return (*orders, *transfer_rules(self._token, self._vault, self._settlement.decimals, transfers))

    def _move(self, intent: Intent) -> TxCall:
        """Allows, deposits or withdraws exactly the intent's amount. Only for the signer's own account."""
        token, settlement = self._token, self._settlement
        if token is None or settlement is None or self._delegation is not None:
            raise OrderRejected(f"{self.name}: this key can't move the margin of {self.trader}")
        raw = to_raw(intent.size, settlement.decimals)
        if intent.kind is IntentKind.APPROVE:
            return TxCall(token.address, token.abi.encode("approve", self._vault.address, raw))
        function = "deposit" if intent.kind is IntentKind.ADD_MARGIN else "withdraw"
        return TxCall(self._vault.address, self._vault.abi.encode(function, token.address, raw))

    def _moved(self, intent: Intent, receipt: Receipt) -> Outcome:
        """FILLED where the contract's own event says that exactly this was done; DataError where none does."""
        token, settlement = self._token, self._settlement
        if token is None or settlement is None:
            raise DataError(f"{self.name}: settlement_token: name it to follow {intent.kind} {intent.key} up")
        at, event, parts = {
            IntentKind.APPROVE: (token, "Approval", ("owner", "spender", "value")),
            IntentKind.ADD_MARGIN: (self._vault, "Deposited", ("trader", "collateralToken", "amount")),
            IntentKind.WITHDRAW_MARGIN: (self._vault, "Withdrawn", ("trader", "collateralToken", "amount")),
        }[intent.kind]
        whom = self._vault.address if at is token else token.address
        wanted = (self.trader.lower(), whom.lower(), to_raw(intent.size, settlement.decimals))
        ours = [log for log in receipt.logs if log.address.lower() == at.address.lower()]
        seen = [found for log in ours if (found := at.abi.decode_event(event, log)) is not None]
        owner, other, amount = parts
        if wanted not in [(e[owner].lower(), e[other].lower(), e[amount]) for e in seen]:
            raise DataError(
                f"{self.name}: {receipt.tx_hash} succeeded without the {event} of {intent.size:f}"
            )
        return Outcome(OutcomeState.FILLED)

    def _wallet_calls(self) -> list[Call]:
        """What the signer could deposit; nothing to ask where no margin is watched. A delegate can't deposit."""
        if self._token is None:
            return []
        vault = [self._vault.call("getSettlementToken")]
        if self._delegation is not None:
            return vault
        return [
            *vault,
            self._token.call("balanceOf", self.account),
            self._token.call("allowance", self.account, self._vault.address),
        ]

    def _wallet(self, answers: list[Any], decimals: int) -> tuple[Decimal | None, Decimal | None]:
        """From the answers to `_wallet_calls`. DataError where the configured token is not the vault's."""
        if self._settlement is None:
            return None, None
        token, *held = answers
        if token.lower() != self._settlement.token.lower():
            raise DataError(f"{self.name}: settlement_token is not the vault's, which is {token}")
        if decimals != self._settlement.decimals:
            raise DataError(f"{self.name}: settlement_decimals is not the vault's, which is {decimals}")
        if not held:
            return None, None
        return from_raw(held[0], decimals), from_raw(held[1], decimals)

    def _approval_calls(self) -> list[Call]:
        """What says whether a delegate may trade; nothing to ask of an account that trades for itself."""
        if self._delegation is None:
            return []
        approvals = contract("curie_delegate_approval", self._delegation.delegate_approval)
        return [
            self._house.call("getDelegateApproval"),
            approvals.call("getApprovedActions", self.trader, self.account),
            *ownership_calls(self.trader, self.account),
        ]

    def _privileges(self, approval: list[Any]) -> Privileges:
        """From the answers to `_approval_calls`. DataError where another contract than the configured one decides.

        The vault knows no delegates and pays an account's money to that account alone, so a delegate withdraws only
        where it is the one owner that a Safe needs.
        """
        if self._delegation is None:
            return Privileges(self.account, self.account, can_trade=True, can_withdraw=True)
        deciding, actions, *ownership = approval
        if deciding.lower() != self._delegation.delegate_approval.lower():
            raise DataError(
                f"{self.name}: delegate_approval is not the clearing house's, which is {deciding}"
            )
        return Privileges(
            self.account,
            self.trader,
            can_trade=bool(actions & MAY_OPEN),
            can_withdraw=signs_alone(ownership),
        )

    def _paused(self, *, paused: bool, is_open: bool) -> str:
        """Why nothing can be traded, "" where it can."""
        if paused:
            return f"{self.name}: the clearing house is paused"
        return "" if is_open else f"{self.name}: the market is paused or closed"

    def _events(self, name: str, receipt: Receipt) -> list[dict[str, Any]]:
        decoded = (
            self._house.abi.decode_event(name, log)
            for log in receipt.logs
            if log.address.lower() == self._house.address.lower()
        )
        return [
            event
            for event in decoded
            if event is not None
            and event["trader"].lower() == self.trader.lower()
            and event["baseToken"].lower() == self._at.base_token.lower()
        ]

    def _edge_quote(self, limit: Decimal, mark: Decimal, *, sells: bool) -> list[Call]:
        """How much trades before the price reaches `limit`; nothing to ask where it is there already."""
        if (limit >= mark) if sells else (limit <= mark):
            return []
        root = int(limit.sqrt() * Q96)
        swap = (self._at.base_token, sells, True, WHOLE_CURVE, root)
        return [self._quoter.call("swap", swap)]

    def _quote_call(self, size: Decimal, *, may_fail: bool = False) -> Call:
        sells = size < 0
        swap = (self._at.base_token, sells, sells, to_raw(abs(size), 18), 0)
        return self._quoter.call("swap", swap, may_fail=may_fail)


def _quote(answer: Mapping[str, Any]) -> Quote:
    return Quote(
        size=from_raw(answer["exchangedPositionSize"], 18),
        notional=from_raw(abs(answer["exchangedPositionNotional"]), 18),
        after_fees=from_raw(answer["deltaAvailableQuote"], 18),
    )


def _impact(size: Decimal, notional: Decimal, reference: Decimal) -> Decimal:
    """USD paid against trading all of `size` at `reference`."""
    return notional - size * reference if size > 0 else -size * reference - notional
