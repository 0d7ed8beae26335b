"""What the GMX adapter signs: every byte of an order, its fee, its price bound, and the orders that it refuses."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from builders import ACCOUNT, NOW, address, intent
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from gmx_models import (
    BTC,
    E18,
    E30,
    GMX,
    GWEI,
    KEY,
    LOT,
    MARKET,
    USDC,
    WETH,
    gmx_state,
    gmx_venue,
    side,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.core.model import IntentKind, OrderCollateral, PerpPosition
from bot.core.orders import PRICE_STEP, Order
from bot.errors import OrderRejected
from bot.ports import TxCall
from bot.venues import gmx_keys
from bot.venues.gmx_fees import GasTerms, keeper_gas
from bot.venues.gmx_market import GmxState, Side

VENUE = gmx_venue()
FEE = 4_350_000 * 50 * GWEI
ORDER = (
    "((address,address,address,address,address,address,address[]),"
    "(uint256,uint256,uint256,uint256,uint256,uint256,uint256,uint256),"
    "uint8,uint8,bool,bool,bool,bytes32,bytes32[])"
)
NOBODY = address(0)


def by_hand(
    *,
    usd: int,
    takes: int,
    acceptable: int,
    kind: int,
    swap: int,
    is_long: bool,
    brings: int = 0,
    fee: int = FEE,
) -> bytes:
    """The whole transaction from the protocol's signatures, without the bot's encoder."""

    def step(signature: str, types: list[str], values: list[Any]) -> bytes:
        return keccak(text=signature)[:4] + encode(types, values)

    steps = [step("sendWnt(address,uint256)", ["address", "uint256"], [GMX.order_vault, fee])]
    if brings:
        kinds = ["address", "address", "uint256"]
        steps.append(step("sendTokens(address,address,uint256)", kinds, [USDC, GMX.order_vault, brings]))
    params = (
        (ACCOUNT, ACCOUNT, NOBODY, NOBODY, GMX.market, USDC, []),
        (usd, takes, 0, acceptable, fee, 0, 0, 0),
        *(kind, swap, is_long, False, False, bytes(32), []),
    )
    steps.append(step(f"createOrder({ORDER})", [ORDER], [params]))
    assert steps[-1][:4].hex() == "f59c48eb"
    return step("multicall(bytes[])", ["bytes[]"], [steps])


def trade(size: str, state: GmxState, bound: str | None = None) -> TxCall:
    wanted = bound or ("2010" if Decimal(size) > 0 else "1990")
    return VENUE.prepare(intent(size=size, price_bound=Decimal(wanted), market=GMX.market), state)


def acceptable(bound: str, *, buys: bool) -> int:
    """The price before a fee of 0.06 %, to a millionth of a millionth of a dollar, on the stricter side."""
    scaled, tenthousandths = int(Decimal(bound) * 10**12) * 10_000, 10_006 if buys else 9_994
    return scaled // tenthousandths if buys else -(-scaled // tenthousandths)


class TestCalldata:
    @pytest.mark.parametrize(("size", "is_long"), [("5", True), ("-5", False)])
    def test_an_increase_brings_its_collateral(self, size: str, is_long: bool) -> None:
        call = trade(size, gmx_state())
        # 10,000 USD at a leverage of 3, and the fee of 6 USD, rounded up to a millionth.
        assert (call.to, call.value) == (GMX.exchange_router, FEE)
        assert call.data == by_hand(
            usd=10_000 * E30,
            takes=0,
            acceptable=acceptable("2010" if is_long else "1990", buys=is_long),
            kind=2,
            swap=0,
            is_long=is_long,
            brings=3_339_333_334,
        )

    @pytest.mark.parametrize("position", ["4", "-4"])
    def test_a_close_in_full_is_for_the_whole_usd_and_takes_nothing_by_itself(self, position: str) -> None:
        is_long = position == "4"
        opened = Side(7_777 * E30 + 1, 4 * E18)
        state = gmx_state(position, **{"long" if is_long else "short": opened})
        call = trade("-4" if is_long else "4", state)
        assert call.data == by_hand(
            usd=7_777 * E30 + 1,
            takes=0,
            acceptable=acceptable("1990" if is_long else "2010", buys=not is_long),
            kind=4,
            swap=1 if is_long else 0,
            is_long=is_long,
        )

    @pytest.mark.parametrize("position", ["4", "-4"])
    def test_a_partial_decrease_goes_by_the_entry_and_takes_its_share_back(self, position: str) -> None:
        is_long = position == "4"
        opened = Side(10_000 * E30 + 3, 4 * E18)
        state = gmx_state(position, **{"long" if is_long else "short": opened})
        call = trade("-1" if is_long else "1", state)
        # Of 2,666.67 USD what is left needs 2,000, and the fee is 1.20: less than the quarter that was backed.
        assert call.data == by_hand(
            usd=2_500 * E30 + (0 if is_long else 1),
            takes=665_466_666,
            acceptable=acceptable("1990" if is_long else "2010", buys=not is_long),
            kind=4,
            swap=1 if is_long else 0,
            is_long=is_long,
        )

    @pytest.mark.parametrize("position", ["4", "-4"])
    def test_margin_moves_with_an_order_of_no_size(self, position: str) -> None:
        is_long, common = position == "4", {"usd": 0, "acceptable": 0, "is_long": position == "4"}
        moves = intent(kind=IntentKind.ADD_MARGIN, size="123.456789", price_bound=Decimal(0))
        added = VENUE.prepare(moves, gmx_state(position))
        assert added.data == by_hand(takes=0, kind=2, swap=0, brings=123_456_789, **common)
        taken = VENUE.prepare(replace(moves, kind=IntentKind.WITHDRAW_MARGIN), gmx_state(position))
        assert taken.data == by_hand(takes=123_456_789, kind=4, swap=1 if is_long else 0, **common)
        assert added.value == taken.value == FEE

    def test_what_belongs_to_orders_costs_no_fee(self) -> None:
        def bytes_of(signature: str, types: list[str], values: list[Any]) -> bytes:
            return keccak(text=signature)[:4] + encode(types, values)

        approve = VENUE.prepare(intent(kind=IntentKind.APPROVE, size="7.5"), gmx_state())
        assert (approve.to, approve.value) == (USDC, 0)
        spent = [GMX.router, 7_500_000]
        assert approve.data == bytes_of("approve(address,uint256)", ["address", "uint256"], spent)
        claim = VENUE.prepare(intent(kind=IntentKind.CLAIM, size="7.5"), gmx_state())
        kinds = ["address[]", "address[]", "address"]
        owed = [[GMX.market, GMX.market], [WETH, USDC], ACCOUNT]
        assert claim.data == bytes_of("claimFundingFees(address[],address[],address)", kinds, owed)
        cancel = VENUE.prepare(
            intent(kind=IntentKind.CANCEL, size="0", order_id="0x" + KEY.hex()), gmx_state()
        )
        assert cancel.data == bytes_of("cancelOrder(bytes32)", ["bytes32"], [KEY])
        assert (claim.to, claim.value, cancel.to, cancel.value) == (*(GMX.exchange_router, 0) * 2,)

    def test_a_flip_is_two_orders_and_the_side_that_is_open_goes_first(self) -> None:
        both = gmx_state("1", long=side("3"), short=side("2"))
        sold = VENUE.decode(trade("-3", both), both)
        bought = VENUE.decode(trade("2", both), both)
        assert (sold.size, bought.size) == (-3, 2)
        for size in ("-3.001", "2.001"):
            with pytest.raises(OrderRejected, match="a flip takes two orders"):
                trade(size, both)


class TestFee:
    def test_the_documented_formula(self) -> None:
        # 600,000 + 3 × 250,000 + 1.5 × 2,000,000 by hand; a decrease may swap its profit.
        terms = GasTerms(600_000, 250_000, 15 * E30 // 10, 2_000_000, 1_500_000, 300_000)
        assert keeper_gas(terms) == 4_350_000
        assert keeper_gas(replace(terms, decrease=1_900_000)) == 4_350_000 + 300_000

    def test_it_is_paid_at_the_cap_so_that_a_bumped_attempt_still_passes(self) -> None:
        assert trade("5", gmx_state(keeper_gas=1_000_000)).value == 1_000_000 * 50 * GWEI


class TestReadBack:
    @settings(max_examples=400, deadline=None)
    @given(
        lots=st.integers(1, 10**6),
        position_lots=st.integers(-(10**6), 10**6),
        entry=st.integers(1, 10**10),
        buys=st.booleans(),
        bound=st.integers(1, 10**11),
        fee=st.integers(0, 10**28),
        mark=st.integers(10**4, 10**14),
    )
    def test_every_order_means_what_was_decided(
        self, lots: int, position_lots: int, entry: int, buys: bool, bound: int, fee: int, mark: int
    ) -> None:
        """Lots × price steps × fees × marks × entry prices: the bytes say the intent, or the order is refused."""
        size = (lots if buys else -lots) * LOT
        position = position_lots * LOT
        opened = Side(abs(position_lots) * entry * 10**22, int(abs(position) * E18)) if position else None
        state = gmx_state(
            str(position),
            mark=Decimal(mark).scaleb(-8),
            fee_ratio=Decimal(fee).scaleb(-30),
            long=opened if position > 0 else None,
            short=opened if position < 0 else None,
        )
        asked = intent(size=str(size), price_bound=bound * PRICE_STEP)
        closes = position * size < 0
        if closes and abs(size) > abs(position):
            with pytest.raises(OrderRejected):
                VENUE.prepare(asked, state)
            return
        found = VENUE.decode(VENUE.prepare(asked, state), state)
        assert found == Order(size, bound * PRICE_STEP, None)

    @given(bound=st.integers(1, 10**12), fee=st.integers(0, 10**29), buys=st.booleans())
    def test_the_acceptable_price_is_never_looser_than_the_bound(
        self, bound: int, fee: int, buys: bool
    ) -> None:
        from bot.venues.gmx_orders import acceptable_price

        ratio = Decimal(fee).scaleb(-30)
        raw = acceptable_price(bound * PRICE_STEP, ratio, MARKET, buys=buys)
        side_ = 1 if buys else -1
        paid = raw * (E30 + side_ * fee)
        assert side_ * paid <= side_ * bound * 10**6 * E30
        assert side_ * (raw + side_) * (E30 + side_ * fee) > side_ * bound * 10**6 * E30, "and no stricter"

    def test_a_size_that_is_all_dust_can_be_closed(self) -> None:
        dusty = PerpPosition(GMX.market, Decimal("1.000000000000000013"), Decimal(-2_000))
        state = replace(gmx_state("1", long=Side(2_000 * E30 + 7, E18 + 13)), position=dusty)
        found = VENUE.decode(trade("-1.000000000000000013", state), state)
        assert found.size == Decimal("-1.000000000000000013")

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"to": GMX.router}, "goes to"),
            ({"value": FEE + 1}, "wei are sent"),
            ({"data": b"\x12\x34\x56\x78"}, "none of ours"),
        ],
    )
    def test_what_is_no_order_of_ours_is_refused(self, change: dict[str, Any], said: str) -> None:
        with pytest.raises(OrderRejected, match=said):
            VENUE.decode(replace(trade("5", gmx_state()), **change), gmx_state())

    def test_a_margin_order_is_no_trade(self) -> None:
        moves = intent(kind=IntentKind.ADD_MARGIN, size="5")
        with pytest.raises(OrderRejected, match="trades nothing"):
            VENUE.decode(VENUE.prepare(moves, gmx_state("4")), gmx_state("4"))

    def test_collateral_other_than_the_states_is_refused(self) -> None:
        call = trade("5", gmx_state())
        with pytest.raises(OrderRejected, match="of collateral, not"):
            VENUE.decode(call, gmx_state(collateral=OrderCollateral(Decimal(2), Decimal(1))))


class TestRefusals:
    def test_a_leverage_above_what_the_market_takes(self) -> None:
        with pytest.raises(OrderRejected, match=r"a leverage of 3 is above the 2\.50"):
            trade("5", gmx_state(initial_ratio=Decimal("0.4")))
        trade("-1", gmx_state("4", initial_ratio=Decimal("0.4")))

    def test_a_position_below_the_protocols_least_size(self) -> None:
        with pytest.raises(OrderRejected, match=r"make a position of 2\.00 USD, .* least is 5\.00"):
            trade("0.001", gmx_state(min_position_usd=Decimal(5)))
        with pytest.raises(OrderRejected, match=r"leave a position of 2\.00 USD, .* least is 5\.00"):
            trade("-3.999", gmx_state("4", min_position_usd=Decimal(5)))
        trade("-4", gmx_state("4", min_position_usd=Decimal(5)))

    def test_a_margin_below_the_protocols_least(self) -> None:
        with pytest.raises(OrderRejected, match=r"with a margin of .* least is 10\.00"):
            trade("0.01", gmx_state(min_collateral_usd=Decimal(10)))

    def test_margin_without_a_position_and_with_two(self) -> None:
        moves = intent(kind=IntentKind.ADD_MARGIN, size="5")
        with pytest.raises(OrderRejected, match="none is open"):
            VENUE.prepare(moves, gmx_state())
        with pytest.raises(OrderRejected, match="both sides are open"):
            VENUE.prepare(moves, gmx_state("1", long=side("3"), short=side("2")))
        with pytest.raises(OrderRejected, match="nothing to move"):
            VENUE.prepare(replace(moves, size=Decimal(0)), gmx_state("4"))

    @pytest.mark.parametrize("bound", ["0", "-1"])
    def test_an_order_without_a_bound(self, bound: str) -> None:
        with pytest.raises(OrderRejected, match="price bound"):
            trade("-5", gmx_state(), bound)

    def test_an_order_of_nothing(self) -> None:
        with pytest.raises(OrderRejected, match="trades nothing"):
            trade("0", gmx_state())


class TestKeys:
    def test_they_are_hashes_of_the_names_and_arguments(self) -> None:
        def name(text: str) -> bytes:
            tail = text.encode().ljust(-(-len(text) // 32) * 32, b"\0")
            return keccak((32).to_bytes(32, "big") + len(text).to_bytes(32, "big") + tail)

        def word(value: str | int) -> bytes:
            return (int(value, 16) if isinstance(value, str) else value).to_bytes(32, "big")

        assert gmx_keys.base("MIN_COLLATERAL_USD") == name("MIN_COLLATERAL_USD")
        long_name = "MIN_COLLATERAL_FACTOR_FOR_OPEN_INTEREST_MULTIPLIER"
        wanted = keccak(name(long_name) + word(GMX.market) + word(1))
        assert gmx_keys.of_side(long_name, GMX.market, flag=True) == wanted
        wanted = keccak(name("MIN_COLLATERAL_FACTOR") + word(GMX.market))
        assert gmx_keys.of_market("MIN_COLLATERAL_FACTOR", GMX.market) == wanted
        wanted = keccak(name("OPEN_INTEREST") + word(GMX.market) + word(USDC) + word(0))
        assert gmx_keys.open_interest(GMX.market, USDC, is_long=False) == wanted
        wanted = keccak(name("CLAIMABLE_FUNDING_AMOUNT") + word(GMX.market) + word(WETH) + word(ACCOUNT))
        assert gmx_keys.claimable_funding(GMX.market, WETH, ACCOUNT) == wanted
        wanted = keccak(name("CREATE_ORDER_FEATURE_DISABLED") + word(GMX.order_handler) + word(4))
        assert gmx_keys.feature("CREATE_ORDER_FEATURE_DISABLED", GMX.order_handler, 4) == wanted
        wanted = keccak(word(ACCOUNT) + word(GMX.market) + word(USDC) + word(1))
        assert gmx_keys.position(ACCOUNT, GMX.market, USDC, is_long=True) == wanted


class TestExpecting:
    @pytest.mark.parametrize(("size", "price"), [("500", "2005"), ("-500", "1995")])
    def test_the_cost_curve_promises_the_fill(self, size: str, price: str) -> None:
        told = VENUE.expected(intent(size=size), gmx_state(), b"")
        assert (told.size, told.notional) == (Decimal(size), 500 * Decimal(price))
        assert told.fee_usd == told.notional * Decimal("0.0006")
        assert told.impact_usd == 2_500
        assert told.funding_usd == 0


class TestExplaining:
    def test_an_error_is_told_with_its_meaning_and_its_figures(self) -> None:
        figures = encode(["uint256", "uint256"], [2_011 * 10**12, 2_010 * 10**12])
        head = keccak(text="OrderNotFulfillableAtAcceptablePrice(uint256,uint256)")[:4]
        told = VENUE.explain(head + figures)
        assert "the price moved past the order's bound" in told
        assert "2011.000000 USD" in told
        wei = encode(["uint256", "uint256"], [5, 4])
        told = VENUE.explain(keccak(text="InsufficientExecutionFee(uint256,uint256)")[:4] + wei)
        assert "too low at this transaction's gas price" in told

    def test_what_is_not_known_is_told_as_it_is(self) -> None:
        assert VENUE.explain(b"\x01\x02\x03\x04") == "unknown error 0x01020304"
        assert VENUE.explain(b"") == "reverted without a reason"


def test_the_claim_of_a_market_with_one_token_names_it_once() -> None:
    one = replace(MARKET, long_token=USDC, index_token=BTC, index_decimals=8)
    claim = gmx_venue(one).prepare(intent(kind=IntentKind.CLAIM, deadline=NOW), gmx_state())
    assert claim.data.count(bytes.fromhex(USDC[2:])) == 1
