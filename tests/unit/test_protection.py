"""The margin among the decisions: what comes before what, and that no money is moved twice."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import (
    ACCOUNT,
    ACCOUNT_ID,
    CURIE,
    NOW,
    Rig,
    ScriptedCurie,
    address,
    block,
    feed,
    intent,
    limits,
    order_bounds,
    receipt,
    rules,
    snapshot,
    source,
    venue_state,
    word,
)
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from test_readers import EDGES, INDEX_TWAP, LADDER, TWAP, curie_first

from bot.chain.contracts import contract
from bot.config.books import MarginConfig
from bot.core.budgets import Budgets
from bot.core.decision import Rules, decide
from bot.core.margin import MarginPolicy
from bot.core.model import (
    Decision,
    Hold,
    IntentKind,
    Margin,
    Mode,
    OutcomeState,
    Rebalance,
    Snapshot,
    Spent,
    Transfer,
    VenueState,
)
from bot.core.protection import Protection
from bot.desk import make_intent
from bot.errors import DataError, Halt, OrderRejected
from bot.ledger.rows import DECISION, SNAPSHOT
from bot.ports import Log
from bot.venues.bounds import TransferBounds
from bot.venues.curie import CurieVenue, Delegation, Settlement

TOKEN = address(12)
SETTLEMENT = Settlement(TOKEN, 6)
PLENTY = Decimal(100_000)
KEEP = Protection(MarginPolicy(), Decimal(50_000))
REQUIREMENT = 1_250
VAULT, ERC20 = contract("curie_vault", CURIE.vault), contract("erc20", TOKEN)


def short(ratio: str, **changes: Any) -> VenueState:
    """Ten units short at 2000 USD, whose equity is so many times the 1,250 USD required."""
    equity = Decimal(ratio) * REQUIREMENT
    free = max(equity - 2 * REQUIREMENT, Decimal(0))
    margin = Margin(equity, equity, equity, free, Decimal(REQUIREMENT), equity)
    values: dict[str, Any] = {"margin": margin, "wallet": PLENTY, "allowance": Decimal(0)}
    return venue_state("-10", **(values | changes))


def seen(venue: VenueState, *, hedged: bool = True, **changes: Any) -> Snapshot:
    """A book that the hedge fits, or one without options, whose policy wants all of it back."""
    sources = (source(holdings=("10",)),) if hedged else (source(),)
    return snapshot(*sources, venue=venue, **({"top_up_left_usd": Decimal(50_000)} | changes))


def ruled(keep: Protection = KEEP, **changes: Any) -> Rules:
    return rules(margin=keep, limits=limits(**changes))


def does(venue: VenueState, mode: Mode = Mode.ACTIVE, by: Rules | None = None, **changes: Any) -> Decision:
    return decide(seen(venue, **changes), mode, by or ruled()).decision


class TestTopUp:
    @pytest.mark.parametrize("allowance", ["0", "100", "2499.99", "10000.01", str(2**255)])
    def test_it_first_allows_exactly_what_is_needed(self, allowance: str) -> None:
        done = does(short("5", allowance=Decimal(allowance)))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", 5_000)
        assert "5000.00 USD is added, towards the target of 9; first the venue is allowed" in done.text

    @pytest.mark.parametrize("allowance", ["5000", "2500", "4990.123456", "10000"])
    def test_what_was_allowed_for_it_is_deposited_whole(self, allowance: str) -> None:
        done = does(short("5", allowance=Decimal(allowance)))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("deposit", Decimal(allowance))

    @pytest.mark.parametrize(
        ("wallet", "left"), [("4999.99", "50000"), ("50000", "4999.99")], ids=["wallet", "budget"]
    )
    def test_neither_the_wallet_nor_the_budget_is_exceeded(self, wallet: str, left: str) -> None:
        venue = short("5", wallet=Decimal(wallet), allowance=Decimal(5_000))
        done = does(venue, top_up_left_usd=Decimal(left))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", Decimal("4999.99"))

    def test_a_top_up_that_was_begun_is_finished_above_the_warning_level(self) -> None:
        done = does(short("8", allowance=Decimal(2_000)))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("deposit", 2_000)
        assert isinstance(does(short("8")), Hold)

    def test_one_that_was_begun_is_left_where_one_has_just_failed(self) -> None:
        assert isinstance(does(short("8", allowance=Decimal(2_000)), top_up_failed="V_GTSTBC"), Hold)

    def test_one_that_was_begun_does_not_pass_the_days_budget(self) -> None:
        done = does(short("8", allowance=Decimal(2_000)), top_up_left_usd=Decimal(1_999))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", 0)

    def test_it_comes_before_the_policys_trade_and_in_reduce_only_too(self) -> None:
        assert isinstance(does(short("8"), hedged=False), Rebalance)
        assert isinstance(does(short("5"), hedged=False), Transfer)
        assert isinstance(does(short("5"), Mode.REDUCING), Transfer)
        assert isinstance(does(short("1.2")), Transfer)

    def test_not_on_a_halted_account_and_not_while_an_order_is_open(self) -> None:
        assert isinstance(does(short("5"), Mode.HALTED), Hold)
        held = does(short("5"), open_order="some-order")
        assert isinstance(held, Hold)
        held = does(short("5"), hedged=False, open_order="some-order")
        assert isinstance(held, Hold)
        assert held.code == "ORDER_OPEN"

    def test_a_spot_that_is_not_trusted_does_not_hold_it_up_but_an_old_block_does(self) -> None:
        assert isinstance(does(short("5"), spot=Decimal(2_200)), Transfer)
        held = does(short("5"), at=NOW + 121)
        assert isinstance(held, Hold)
        assert held.code == "STALE_BLOCK"
        held = does(short("5", paused="the venue is paused"))
        assert isinstance(held, Hold)
        assert held.code == "PAUSED"

    def test_a_pause_of_trading_alone_stops_no_top_up_and_every_trade(self) -> None:
        shut = {"paused": "the book is empty", "moves_while_paused": True, "curve": ()}
        shut |= {"max_buy": Decimal(0), "max_sell": Decimal(0)}
        assert isinstance(does(short("5", **shut)), Transfer)
        for level in ("1.5", "5", "8"):
            held = does(short(level, wallet=Decimal(0), **shut))
            assert isinstance(held, Hold), level
            assert held.code in ("PAUSED", "MARGIN"), level

    def test_a_paused_option_market_does_not_hold_it_up(self) -> None:
        found = seen(short("5"))
        found = replace(found, sources=(replace(found.sources[0], paused="the option market is paused"),))
        assert isinstance(decide(found, Mode.ACTIVE, ruled()).decision, Transfer)
        at_ease = replace(found, venue=short("8"))
        held = decide(at_ease, Mode.ACTIVE, ruled()).decision
        assert isinstance(held, Hold)
        assert held.code == "PAUSED"

    def test_after_one_that_failed_the_policy_goes_on_and_a_critical_hedge_shrinks(self) -> None:
        why = "V_GTSTBC"
        assert isinstance(does(short("5"), hedged=False, top_up_failed=why), Rebalance)
        held = does(short("5"), top_up_failed=why)
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"
        assert "nothing can be added: the last top-up failed: V_GTSTBC" in held.text
        assert "the wallet has" not in held.text, "it has enough"
        shrunk = does(short("1.5"), top_up_failed=why)
        assert isinstance(shrunk, Rebalance)
        assert shrunk.protects

    def test_the_days_gas_bounds_it(self) -> None:
        by = ruled(budgets=Budgets(max_gas_day_usd=Decimal(20)), max_order_gas_usd=Decimal(10))
        assert isinstance(does(short("5"), by=by, spent=Spent(gas_day_usd=Decimal(10))), Transfer)
        held = does(short("5"), by=by, spent=Spent(gas_day_usd=Decimal("10.01")))
        assert isinstance(held, Hold)
        assert "the day's gas of book eth is used up" in held.text

    def test_on_paper_it_is_said_and_the_policys_trade_stays(self) -> None:
        held = does(short("5"), paper=True)
        assert isinstance(held, Hold)
        assert held.code == "WOULD_TRANSFER"
        assert "5000.00 USD is added" in held.text
        assert isinstance(does(short("5"), paper=True, hedged=False), Rebalance)

    def test_a_key_that_can_not_deposit_says_who_can(self) -> None:
        venue = short("5", wallet=None, allowance=None)
        held = does(venue)
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"
        assert "`vaultkeel propose deposit`" in held.text
        assert isinstance(does(venue, hedged=False), Rebalance)
        shrunk = does(short("1.5", wallet=None, allowance=None))
        assert isinstance(shrunk, Rebalance)
        assert "`vaultkeel propose deposit`" in shrunk.text

    def test_a_decision_and_its_snapshot_survive_the_ledger(self) -> None:
        found = seen(short("5", allowance=Decimal("12.345678")), top_up_failed="", hedged=True)
        decided = decide(found, Mode.ACTIVE, ruled())
        again = SNAPSHOT.validate_json(SNAPSHOT.dump_json(found))
        assert again == found
        assert decide(again, Mode.ACTIVE, ruled()) == decided
        assert DECISION.validate_json(DECISION.dump_json(decided.decision)) == decided.decision


class TestAllowance:
    """What is left of an allowance that no deposit uses up."""

    @pytest.mark.parametrize(
        "venue",
        [
            short("9", allowance=Decimal(2_000)),
            short("8.5", allowance=Decimal(5_000)),
            short("8", allowance=Decimal(600)),
            short("8", allowance=Decimal(2**255)),
            short("8", allowance=Decimal("0.000001")),
            short("8", allowance=Decimal(2_000), wallet=Decimal(1_999)),
            short("13", allowance=Decimal(2_000)),
        ],
        ids=["recovered", "half recovered", "too little", "unlimited", "dust", "empty wallet", "in excess"],
    )
    @pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.REDUCING])
    def test_one_that_the_margin_does_not_need_is_taken_back(self, venue: VenueState, mode: Mode) -> None:
        done = does(venue, mode)
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", 0)
        assert f"may take {venue.allowance:f} USD of the wallet" in done.text

    def test_one_without_a_position_too(self) -> None:
        venue = venue_state("0", wallet=PLENTY, allowance=Decimal(7))
        done = decide(seen(venue, hedged=False), Mode.ACTIVE, ruled()).decision
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", 0)

    @pytest.mark.parametrize(
        "changes",
        [
            {"mode": Mode.HALTED},
            {"paper": True},
            {"open_order": "some-order"},
            {"at": NOW + 121},
            {"top_up_failed": "the approval reverted on chain"},
            {"by": ruled(replace(KEEP, max_topup_day_usd=Decimal(0))), "top_up_left_usd": Decimal(0)},
            {"by": ruled(budgets=Budgets(max_gas_day_usd=Decimal(0)), max_order_gas_usd=Decimal(10))},
        ],
        ids=["halted", "paper", "open order", "old block", "just failed", "nothing may be moved", "gas"],
    )
    def test_not_where_nothing_may_be_sent(self, changes: dict[str, Any]) -> None:
        assert isinstance(does(short("9", allowance=Decimal(2_000)), **changes), Hold)

    def test_the_venues_pause_keeps_it(self) -> None:
        assert isinstance(does(short("9", allowance=Decimal(2_000), paused="it is paused")), Hold)

    def test_the_policys_trade_and_a_withdrawal_come_first(self) -> None:
        assert isinstance(does(short("9", allowance=Decimal(2_000)), hedged=False), Rebalance)
        done = does(short("13", allowance=Decimal(2_000)), by=ruled(replace(KEEP, withdraw=True)))
        assert isinstance(done, Transfer)
        assert done.what == "withdraw"

    def test_one_that_is_wanted_and_can_not_be_used_now_stays(self) -> None:
        held = does(short("5", allowance=Decimal(2_000), wallet=Decimal(0)))
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"


def poor(ratio: str, **changes: Any) -> VenueState:
    """The same with an empty wallet."""
    return short(ratio, wallet=Decimal(0), **changes)


class TestDeleveraging:
    def test_with_nothing_to_add_the_hedge_is_made_smaller_and_the_text_says_what_that_leaves(self) -> None:
        done = does(poor("1.5"))
        assert isinstance(done, Rebalance)
        assert done.protects
        assert 0 < done.size < 10
        assert "below the critical level of 2, and nothing can be added: the wallet has 0.00" in done.text
        assert f"leaves the book unhedged: the net delta is then {done.size:+f}" in done.text

    @pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.REDUCING])
    def test_neither_net_delta_nor_pace_nor_the_gas_reserve_holds_it_back(self, mode: Mode) -> None:
        by = ruled(max_net=Decimal("0.01"), min_interval_s=3_600, min_native=Decimal(5), min_order=Decimal(9))
        changes: dict[str, Any] = {"spent": Spent(last_order_at=NOW - 1), "native": Decimal(1)}
        done = does(poor("1.5"), mode, by, **changes)
        assert isinstance(done, Rebalance)
        assert done.protects

    def test_a_days_loss_does_not_hold_it_back_but_the_turnover_does(self) -> None:
        lost = ruled(budgets=Budgets(max_loss_day_usd=Decimal(1)))
        spent = Spent(change_day_usd=Decimal(-100), turnover_day_usd=Decimal(1_000_000))
        assert isinstance(does(poor("1.5"), by=lost, spent=spent), Rebalance)
        turned = ruled(budgets=Budgets(max_turnover_day_usd=Decimal(1_000_000)))
        held = does(poor("1.5"), by=turned, spent=spent)
        assert isinstance(held, Hold)
        assert held.code == "TURNOVER_DAY"

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"spot": Decimal(2_200)}, "PRICE_GAP"),
            ({"at": NOW + 121}, "STALE_BLOCK"),
            ({"open_order": "k"}, "ORDER_OPEN"),
        ],
    )
    def test_what_can_not_be_trusted_and_an_open_order_do(self, changes: dict[str, Any], code: str) -> None:
        held = does(poor("1.5"), **changes)
        assert isinstance(held, Hold)
        assert held.code == code

    def test_a_halted_account_is_left_alone(self) -> None:
        assert isinstance(does(poor("1.5"), Mode.HALTED), Hold)

    def test_a_trade_of_the_policys_own_that_shrinks_it_more_stays(self) -> None:
        done = does(poor("1.5"), hedged=False)
        assert isinstance(done, Rebalance)
        assert done.size == 10
        assert not done.protects

    @pytest.mark.parametrize("holdings", ["9", "-5"], ids=["too little", "through zero"])
    def test_a_trade_of_the_policys_own_that_shrinks_it_less_or_turns_it_over_gives_way(
        self, holdings: str
    ) -> None:
        found = replace(seen(poor("1.5")), sources=(source(holdings=(holdings,)),))
        done = decide(found, Mode.ACTIVE, ruled()).decision
        assert isinstance(done, Rebalance)
        assert done.protects
        assert 1 < done.size < 10

    def test_where_it_is_not_wanted_the_policys_own_may_shrink_a_critical_hedge_less(self) -> None:
        found = replace(seen(poor("1.2")), sources=(source(holdings=("7",)),))
        done = decide(found, Mode.ACTIVE, ruled(replace(KEEP, deleverage=False))).decision
        assert isinstance(done, Rebalance)
        assert done.size == 3

    def test_the_venues_limit_cuts_it_and_the_rest_follows(self) -> None:
        done = does(poor("1.1", max_buy=Decimal(1)))
        assert isinstance(done, Rebalance)
        assert done.size == 1
        assert done.remaining > 0

    def test_where_it_is_not_wanted_it_is_said(self) -> None:
        held = does(poor("1.5"), by=ruled(replace(KEEP, deleverage=False)))
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"

    def test_the_policy_does_not_take_it_back(self) -> None:
        found = seen(poor("2.05"))
        found = replace(found, sources=(source(holdings=("11",)),))
        held = decide(found, Mode.ACTIVE, ruled()).decision
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"
        assert "a trade of -1 would make the hedge -11" in held.text.replace(".0", "")
        bought = replace(found, sources=(source(holdings=("9",)),))
        assert isinstance(decide(bought, Mode.ACTIVE, ruled()).decision, Rebalance)

    def test_it_is_of_the_smallest_order_at_least_so_that_a_slow_market_does_not_make_dust_of_it(
        self,
    ) -> None:
        by = ruled(min_order=Decimal("0.5"))
        done = does(poor("1.999"), by=by)
        assert isinstance(done, Rebalance)
        assert done.size == Decimal("0.5")
        assert "A trade of +0.5 makes the hedge smaller" in done.text.replace("0.500", "0.5")
        all_of_it = does(poor("1.999"), by=ruled(min_order=Decimal(11)))
        assert isinstance(all_of_it, Rebalance)
        assert all_of_it.size == 10


class TestGrowth:
    """The policy wants the book's ten units sold; what the hedge then asks is 1,250 USD, twice that at critical."""

    def wants(self, equity: str, by: Rules | None = None, *, size: str = "0", **changes: Any) -> Decision:
        worth = Decimal(equity)
        margin = Margin(worth, worth, worth, worth, abs(Decimal(size)) * 125, worth)
        values: dict[str, Any] = {"margin": margin, "wallet": PLENTY, "allowance": Decimal(0)}
        on_venue = {name: changes.pop(name) for name in ("wallet", "allowance") if name in changes}
        venue = venue_state(size, **(values | on_venue))
        return decide(seen(venue, **changes), Mode.ACTIVE, by or ruled()).decision

    @pytest.mark.parametrize(("equity", "trades"), [("2560", True), ("2559", False)])
    def test_a_hedge_grows_where_the_critical_level_holds_after_its_costs(
        self, equity: str, trades: bool
    ) -> None:
        # Ten units cost a fee of 20 USD and an impact of 40.
        done = self.wants(equity, wallet=Decimal(0))
        assert isinstance(done, Rebalance) is trades
        assert isinstance(done, Rebalance) or (isinstance(done, Hold) and done.code == "MARGIN")

    def test_where_it_does_not_collateral_is_added_first(self) -> None:
        done = self.wants("1000")
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", Decimal("10310") - Decimal("0.04"))
        assert "towards the target of 9" in done.text
        then = self.wants("1000", allowance=done.amount)
        assert isinstance(then, Transfer)
        assert (then.what, then.amount) == ("deposit", done.amount)

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"wallet": Decimal(1_500)}, "the wallet has 1500.00 USD"),
            ({"top_up_left_usd": Decimal(1_500)}, "the budget leaves 1500.00"),
            ({"top_up_failed": "V_GTSTBC"}, "the last top-up failed: V_GTSTBC"),
            ({"wallet": None, "allowance": None}, "`vaultkeel propose deposit`"),
        ],
        ids=["wallet", "budget", "just failed", "delegate"],
    )
    def test_not_where_that_would_not_be_enough(self, changes: dict[str, Any], says: str) -> None:
        held = self.wants("1000", **changes)
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"
        assert says in held.text

    @pytest.mark.parametrize(("equity", "trades"), [("3060", True), ("3059", False)])
    def test_what_other_markets_of_the_account_ask_counts_by_a_leverage_too(
        self, equity: str, trades: bool
    ) -> None:
        """At a leverage of 8 the hedge of ten asks 2,500 USD; 500 more are asked elsewhere; 60 are its costs."""
        levels = (Decimal(2), Decimal(4), Decimal(8), Decimal(1))
        by = ruled(replace(KEEP, policy=MarginPolicy(*levels, measure="leverage")))
        worth = Decimal(equity)
        margin = Margin(worth, worth, worth, worth, Decimal(500), worth)
        venue = venue_state("0", margin=margin, wallet=Decimal(0), allowance=Decimal(0))
        assert isinstance(decide(seen(venue), Mode.ACTIVE, by).decision, Rebalance) is trades

    @pytest.mark.parametrize(("equity", "trades"), [("1310", True), ("1309", False)])
    def test_a_leverage_beyond_the_venues_own_is_bounded_by_it(self, equity: str, trades: bool) -> None:
        levels = (Decimal(8), Decimal(12), Decimal(20), Decimal(4))
        by = ruled(replace(KEEP, policy=MarginPolicy(*levels, measure="leverage")))
        assert isinstance(self.wants(equity, by, wallet=Decimal(0)), Rebalance) is trades

    def test_less_than_the_target_is_added_where_it_bears_the_trade(self) -> None:
        done = self.wants("1000", wallet=Decimal(1_600))
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("approve", 1_600)

    def test_on_paper_it_is_said(self) -> None:
        held = self.wants("1000", paper=True)
        assert isinstance(held, Hold)
        assert held.code == "WOULD_TRANSFER"


class TestWithdrawal:
    GIVES = ruled(replace(KEEP, withdraw=True))

    def test_excess_is_taken_out_down_to_the_target(self) -> None:
        done = does(short("13"), by=self.GIVES)
        assert isinstance(done, Transfer)
        assert (done.what, done.amount) == ("withdraw", 5_000)

    def test_no_more_at_once_than_a_day_could_put_back(self) -> None:
        done = does(short("100"), by=self.GIVES)
        assert isinstance(done, Transfer)
        assert done.amount == 50_000

    @pytest.mark.parametrize(
        "changes",
        [
            {"mode": Mode.REDUCING},
            {"mode": Mode.HALTED},
            {"by": ruled()},
            {"open_order": "some-order"},
            {"spot": Decimal(2_200)},
            {"hedged": False},
            {"paper": True},
            {
                "by": ruled(
                    replace(KEEP, withdraw=True),
                    budgets=Budgets(max_gas_day_usd=Decimal(20)),
                    max_order_gas_usd=Decimal(10),
                ),
                "spent": Spent(gas_day_usd=Decimal(11)),
            },
            {"by": ruled(replace(KEEP, withdraw=True, max_topup_day_usd=Decimal(0)))},
        ],
        ids=[
            "reducing",
            "halted",
            "not wanted",
            "open order",
            "price gap",
            "trade",
            "paper",
            "gas",
            "nothing moves",
        ],
    )
    def test_only_where_all_is_well(self, changes: dict[str, Any]) -> None:
        assert not isinstance(does(short("13"), **({"by": self.GIVES} | changes)), Transfer)

    def test_a_delegate_takes_nothing_out(self) -> None:
        assert isinstance(does(short("13", wallet=None, allowance=None), by=self.GIVES), Hold)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A desk that watches its margin, ten units short and five times the requirement."""
    rig = Rig(tmp_path / "ledger.db")
    rig.ledger.close()
    rig.curie = ScriptedCurie(short("5"), SETTLEMENT)
    rig.source.state = source(holdings=("10",))
    rig.rules = ruled()
    rig.transfers = TransferBounds(Decimal(50_000))
    rig.start()
    rig.ledger.adopt(ACCOUNT_ID, CURIE.base_token, Decimal(-10), 1, "adopted", NOW)
    return rig


def event(of: str, amount: Decimal) -> Log:
    at = ERC20 if of == "Approval" else VAULT
    parts = (ACCOUNT, CURIE.vault) if of == "Approval" else (TOKEN, ACCOUNT)
    topics = (at.abi.topic(of), *(word(part) for part in parts))
    return Log(at.address, topics, encode(["uint256"], [int(amount * 10**6)]))


def happens(rig: Rig, raw: bytes, *, succeeded: bool = True) -> None:
    """The chain does what was signed: the allowance is set, or the money moves."""
    (order,) = rig.ledger.open_intents(ACCOUNT_ID)
    amount, state, logs = order.intent.size, rig.curie.state, ()
    if succeeded and order.intent.kind is IntentKind.APPROVE:
        logs, state = (event("Approval", amount),), replace(state, allowance=amount)
    elif succeeded:
        logs = (event("Deposited", amount),)
        margin = state.margin
        more = {n: getattr(margin, n) + amount for n in ("collateral", "account_value", "mark_value")}
        wallet, allowed = state.wallet or Decimal(0), state.allowance or Decimal(0)
        state = replace(
            state, margin=replace(margin, **more), wallet=wallet - amount, allowance=allowed - amount
        )
    rig.curie.state = state
    rig.client.mine(
        receipt(
            "0x" + keccak(raw).hex(), succeeded=succeeded, block_number=rig.client.block.number, logs=logs
        )
    )


def calls(rig: Rig) -> list[tuple[str, Any]]:
    """What was signed, each nonce once."""
    found = {}
    for tx in rig.signer.signed:
        abi = ERC20.abi if tx.call.to == TOKEN else VAULT.abi
        name, arguments = abi.decode_input(tx.call.data)
        found[tx.nonce] = (name, arguments["amount"])
    return list(found.values())


class TestDesk:
    def test_the_key_of_a_move_differs_from_a_trades_on_the_same_state(self, rig: Rig) -> None:
        found = rig.desk.observe(rig.book)
        moves = [Transfer("approve", Decimal(5), ""), Transfer("deposit", Decimal(5), "")]
        moves.append(Transfer("withdraw", Decimal(5), ""))
        keys = {make_intent(rig.book, found, one).key for one in (Rebalance(Decimal(5), ""), *moves)}
        assert len(keys) == 4

    def test_an_allowance_then_a_deposit_then_nothing(self, rig: Rig) -> None:
        rig.client.on_send = lambda raw: happens(rig, raw)
        for wanted in ("approve", "deposit"):
            done = rig.tick()
            assert isinstance(done.record.decision, Transfer)
            assert done.record.decision.what == wanted
            assert done.outcome is not None
            assert done.outcome.state is OutcomeState.FILLED
            assert done.again_in_s == 2
            rig.next_block()
        last = rig.tick()
        assert isinstance(last.record.decision, Hold)
        assert last.record.decision.code == "INSIDE_BAND"
        assert calls(rig) == [("approve", 5_000 * 10**6), ("deposit", 5_000 * 10**6)]
        found = last.record.snapshot
        assert found.venue.allowance == 0
        assert found.top_up_left_usd == 45_000
        assert (found.in_flight, found.last_trade, found.spent.trades_day) == (0, None, 0)
        assert found.spent.turnover_day_usd == found.spent.fees_day_usd == 0
        assert found.spent.gas_day_usd > 0
        assert rig.ledger.live_position(ACCOUNT_ID, CURIE.base_token) == -10

    def test_an_allowance_that_is_left_over_is_taken_back_once(self, rig: Rig) -> None:
        rig.curie.state = short("9", allowance=Decimal(2_000))
        rig.client.on_send = lambda raw: happens(rig, raw)
        done = rig.tick()
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED
        assert done.again_in_s == 2
        rig.next_block()
        assert isinstance(rig.tick().record.decision, Hold)
        assert calls(rig) == [("approve", 0)]
        assert rig.desk.observe(rig.book).top_up_left_usd == 50_000

    def test_a_deposit_in_doubt_is_not_made_twice_by_a_restart(self, rig: Rig) -> None:
        rig.curie.state = short("5", allowance=Decimal(5_000))
        done = rig.tick()
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.PENDING
        first = list(rig.client.sent)
        for _ in range(3):
            rig.restart()
            rig.next_block()
            again = rig.tick()
            assert again.outcome is None
            assert isinstance(again.record.decision, Hold)
            assert again.record.snapshot.in_flight == 0
            assert again.record.snapshot.top_up_left_usd == 45_000
        assert set(rig.client.sent) == set(first)
        happens(rig, first[0])
        rig.restart()
        rig.next_block()
        rig.tick()
        assert rig.outcomes() == ["FILLED"]
        assert calls(rig) == [("deposit", 5_000 * 10**6)]

    def test_one_that_expired_is_cancelled_and_counts_nowhere(self, rig: Rig) -> None:
        rig.curie.state = short("5", allowance=Decimal(5_000))
        rig.tick()
        rig.clock.time += 200
        rig.client.block = block(110, rig.clock.time)
        rig.tick()
        assert rig.signer.signed[-1].call.data == b""
        raw = rig.client.sent[-1]
        rig.client.mine(receipt("0x" + keccak(raw).hex(), block_number=110))
        rig.next_block()
        done = rig.tick()
        assert rig.outcomes()[0] == "DEAD"
        assert done.record.snapshot.top_up_left_usd == 50_000
        assert done.record.snapshot.top_up_failed == "cancelled: a no-op took its nonce"
        rig.clock.time += 61
        rig.client.block = block(112, rig.clock.time)
        assert isinstance(rig.tick().record.decision, Transfer)

    def test_one_that_reverts_waits_and_is_tried_again(self, rig: Rig) -> None:
        rig.client.on_send = lambda raw: happens(rig, raw, succeeded=False)
        rig.tick()
        assert rig.outcomes() == ["DEAD"]
        rig.next_block()
        held = rig.tick().record.decision
        assert isinstance(held, Hold)
        assert "the approval reverted on chain" in held.text

    def test_the_same_state_is_answered_once(self, rig: Rig) -> None:
        def refuse(raw: bytes) -> None:
            happens(rig, raw, succeeded=False)

        rig.client.on_send = refuse
        rig.tick()
        rig.clock.time += 61  # time passes, and the node shows the same block
        with pytest.raises(OrderRejected, match="was intended before"):
            rig.tick()
        assert len(calls(rig)) == 1

    def test_what_the_mandate_does_not_bound_is_not_signed(self, rig: Rig) -> None:
        rig.transfers = None
        rig.restart()
        done = rig.tick()
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.DEAD
        assert "is not a contract that may be called" in done.outcome.reason
        assert rig.signer.signed == []

    def test_a_deleveraging_is_signed_whatever_the_net_limit_says(self, rig: Rig) -> None:
        rig.curie.state = short("1.5", wallet=Decimal(0))
        rig.rules = ruled(max_net=Decimal("0.01"), min_interval_s=3600)
        rig.restart()
        rig.client.on_send = rig.mines
        done = rig.tick()
        assert isinstance(done.record.decision, Rebalance)
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED

    def test_a_position_that_changed_by_itself_is_seen_by_a_tick_that_holds(self, rig: Rig) -> None:
        rig.curie.state = short("9")
        rig.tick()
        assert rig.ledger.mode(ACCOUNT_ID) is Mode.ACTIVE
        rig.curie.traded(Decimal("0.1"))
        rig.next_block()
        with pytest.raises(Halt, match=r"the venue has a position of -9\.9, the ledger expects -10"):
            rig.tick()


class TestVenue:
    VENUE = ScriptedCurie(venue_state(), SETTLEMENT)

    @pytest.mark.parametrize(
        ("kind", "of"),
        [
            (IntentKind.APPROVE, "Approval"),
            (IntentKind.ADD_MARGIN, "Deposited"),
            (IntentKind.WITHDRAW_MARGIN, "Withdrawn"),
        ],
    )
    def test_an_outcome_is_the_contracts_own_event_of_exactly_that_amount(
        self, kind: IntentKind, of: str
    ) -> None:
        wanted = intent(size="12.5", kind=kind, price_bound=Decimal(0))
        told, _ = feed(
            self.VENUE.outcome(wanted, receipt("0xab", logs=(event(of, Decimal("12.5")),)), venue_state()), []
        )
        assert (told.state, told.fill) == (OutcomeState.FILLED, None)
        told, _ = feed(self.VENUE.outcome(wanted, receipt("0xab", succeeded=False), venue_state()), [])
        assert told.state is OutcomeState.DEAD
        other = "Approval" if of != "Approval" else "Deposited"
        for logs in ((), (event(of, Decimal(12)),), (event(other, Decimal("12.5")),)):
            with pytest.raises(DataError, match=f"succeeded without the {of} of 12.5"):
                feed(self.VENUE.outcome(wanted, receipt("0xab", logs=logs), venue_state()), [])

    def test_the_calls_name_the_vault_and_the_token_and_the_exact_amount(self) -> None:
        for kind, function in (
            ("approve", "approve"),
            ("add_margin", "deposit"),
            ("withdraw_margin", "withdraw"),
        ):
            call = self.VENUE.prepare(intent(size="12.5", kind=IntentKind(kind)), venue_state())
            at = ERC20 if function == "approve" else VAULT
            name, arguments = at.abi.decode_input(call.data)
            assert (call.to, name, arguments["amount"]) == (at.address, function, 12_500_000)
            assert next(iter(arguments.values())) == (CURIE.vault if function == "approve" else TOKEN)

    def test_a_delegate_moves_nothing_and_asks_for_no_wallet(self) -> None:
        delegation = Delegation(address(70), address(71))
        venue = CurieVenue("curie-eth", "localnet", ACCOUNT, CURIE, Decimal("0.001"), delegation, SETTLEMENT)
        with pytest.raises(OrderRejected, match=f"this key can't move the margin of {address(70)}"):
            venue.prepare(intent(kind=IntentKind.ADD_MARGIN), venue_state())
        assert [rule.function for rule in venue.rules(order_bounds(), TransferBounds(Decimal(1)))] == [
            "openPositionFor"
        ]
        assert not any("allowance" in call.name for call in next(venue.read()))

    def read(self, *money: Any, **changes: Any) -> VenueState:
        venue = CurieVenue("curie-eth", "localnet", ACCOUNT, CURIE, Decimal("0.001"), settlement=SETTLEMENT)
        state, _ = feed(
            venue.read(), [[*curie_first(**changes), *money], [*EDGES, *LADDER, TWAP, INDEX_TWAP]]
        )
        assert isinstance(state, VenueState)
        return state

    def test_wallet_and_allowance_are_read_in_the_same_round(self) -> None:
        state = self.read(TOKEN, 1_500_001, 2**256 - 1)
        assert state.wallet == Decimal("1.500001")
        assert state.allowance == Decimal(2**256 - 1) / 10**6

    def test_another_token_or_other_decimals_are_a_data_error(self) -> None:
        with pytest.raises(DataError, match=f"settlement_token is not the vault's, which is {address(13)}"):
            self.read(address(13), 0, 0)
        with pytest.raises(DataError, match="settlement_decimals is not the vault's, which is 18"):
            self.read(TOKEN, 0, 0, decimals=18)

    def test_the_token_must_hold_code(self) -> None:
        assert self.VENUE.contracts()["settlement_token"] == TOKEN


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "5"}, "margin levels must be 0 < critical < warning < target < excess"),
        ({"critical": "1"}, "at 1 the venue already liquidates"),
        ({"min_transfer_usd": "60000"}, "nothing could be added"),
        ({"measure": "leverage"}, "margin levels must be 0 < excess < target < warning < critical"),
    ],
)
def test_levels_that_contradict_each_other_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MarginConfig(**({"max_topup_day_usd": "50000"} | given))
