"""A key that trades another account's position and can't withdraw, on the protocol itself."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import Edit, as_it_is, hedger_nonce, opened, rows, run_here, write_config

from bot.app.venues import make_curie
from bot.chain.client import Client, RevertError
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.config import load_config
from bot.core.accounts import address_of
from bot.core.model import Hold, Intent, IntentKind, Mode, OutcomeState, Rebalance, VenueState
from bot.desk import Tick
from bot.errors import ConfigError, DataError, Halt, OrderRejected, VaultkeelError
from bot.localnet.curie import deposit_usdc
from bot.localnet.market import Market
from bot.localnet.world import World
from bot.ports import Receipt, TxCall, UnsignedTx
from bot.venues.curie import CurieVenue

COLLATERAL_USD = 200_000
OPEN_POSITION = 1
GAP = Decimal("0.099")
"""How much worse than the mark an order made by hand may be filled; the mandate allows a tenth."""

CALL_GAS = 25_000_000
REVOKED = "CH_SHNAOPT (the account has not approved this key as its delegate, or has revoked it"


@dataclass(frozen=True)
class Delegated:
    """The hedger's key without any money at the venue, and a trader with some."""

    world: World
    trader: str
    folder: Path

    @property
    def key(self) -> str:
        return self.world.accounts.hedger

    def config(self, edit: Edit = as_it_is, **venue: Any) -> Path:
        def both(document: Any) -> None:
            own = {"trader": self.trader, "delegate_approval": self.world.curie.delegate_approval}
            document["books"][0]["venue"].update(own | venue)
            edit(document)

        return write_config(self.world, self.folder, edit=both)

    def tick(self, config: Path | None = None) -> Tick:
        with opened(config or self.config()) as app:
            return app.desk.tick(app.desk.books[0])

    def approve(self, delegate: str | None = None) -> None:
        approvals = self.world.curie_contract("delegate_approval")
        approvals.send("approve", delegate or self.key, OPEN_POSITION, sender=self.trader)

    def revoke(self) -> None:
        approvals = self.world.curie_contract("delegate_approval")
        approvals.send("revoke", self.key, OPEN_POSITION, sender=self.trader)

    def position(self, account: str | None = None) -> int:
        """Raw, for nothing is to be lost by rounding."""
        balances = self.world.curie_contract("account_balance")
        size: int = balances.read("getTakerPositionSize", account or self.trader, self.world.curie.base_token)
        return size

    def money(self, account: str | None = None) -> int:
        value: int = self.world.curie_contract("vault").read("getAccountValue", account or self.trader)
        return value

    def venue(self) -> CurieVenue:
        return make_curie(load_config(self.config()).books[0].venue, self.key)

    def state(self) -> VenueState:
        client = Client.of_one("localnet", self.world.url)
        multicall = contract("multicall3", self.world.multicall)
        (state,) = drive(client, multicall, client.head(), [self.venue().read()], CALL_GAS)
        assert isinstance(state, VenueState)
        return state

    def intent(self, size: str | Decimal) -> Intent:
        state, wanted = self.state(), Decimal(size)
        bound = state.mark * (1 + GAP if wanted > 0 else 1 - GAP)
        return Intent(
            key="by-hand",
            book="eth",
            account=self.key,
            market=state.position.market,
            kind=IntentKind.TRADE,
            size=wanted,
            price_bound=bound.quantize(Decimal("0.000001")),
            deadline=self.world.node.timestamp() + 120,
            reference_price=state.mark,
        )

    def order(self, size: str | Decimal) -> TxCall:
        return self.venue().prepare(self.intent(size), self.state())

    def trade(self, size: str | Decimal) -> Receipt:
        """An order that the key sends by itself."""
        call = self.order(size)
        mined = self.world.node.send(call.to, call.data, self.key)
        found = Client.of_one("localnet", self.world.url).receipt(mined.transaction_hash)
        assert found is not None
        return found[0]

    def expose(self) -> None:
        """The option pool sells options, so that there is something to hedge."""
        market = Market(self.world, 3)
        market.open_interest(14)
        market.refresh()


@pytest.fixture
def unapproved(fresh: World, tmp_path: Path) -> Delegated:
    trader = fresh.accounts.traders[-1]
    usdc, vault = fresh.curie_contract("usdc"), fresh.curie_contract("vault")
    vault.send("withdrawAll", fresh.curie.usdc, sender=fresh.accounts.hedger)
    deposit_usdc(usdc, vault, trader, COLLATERAL_USD, fresh.accounts.owner)
    return Delegated(fresh, trader, tmp_path)


@pytest.fixture
def delegated(unapproved: Delegated) -> Delegated:
    unapproved.approve()
    return unapproved


class TestTrading:
    def test_a_tick_hedges_with_the_traders_position_and_the_keys_nonce(self, delegated: Delegated) -> None:
        delegated.expose()
        config, nonce = delegated.config(), hedger_nonce(delegated.world)
        done = delegated.tick(config)
        assert isinstance(done.record.decision, Rebalance)
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED
        assert done.record.snapshot.venue.account == delegated.trader
        assert Decimal(delegated.position()) / 10**18 == done.record.decision.size
        assert delegated.position(delegated.key) == delegated.money(delegated.key) == 0
        assert hedger_nonce(delegated.world) == nonce + 1
        with opened(config) as app:  # as after a restart
            again = app.desk.tick(app.desk.books[0])
            assert isinstance(again.record.decision, Hold)
            assert abs(again.record.exposure.net) < 0.01
            found, _ = app.desk.compare(app.desk.books[0])
        assert found.agrees
        assert (address_of(found.account), found.holder) == (delegated.key, delegated.trader)
        ledger = load_config(config).ledger
        assert rows(ledger, "SELECT DISTINCT account FROM intents") == [(found.account,)]
        assert rows(ledger, "SELECT DISTINCT account FROM nonces") == [(found.account,)]

    @pytest.mark.parametrize("held", ["12.345", "-12.345", "0.001", "-59.999"])
    def test_a_close_is_an_order_the_other_way_that_leaves_exactly_nothing(
        self, delegated: Delegated, held: str
    ) -> None:
        delegated.trade(held)
        market = Market(delegated.world, 1)
        market.set_price(Decimal("2011.37"))
        market.arbitrage()
        market.set_time(delegated.world.node.timestamp() + 3_600)  # funding to settle, too
        state = delegated.state()
        assert state.position.size == Decimal(held)
        intent = delegated.intent(-Decimal(held))
        receipt = delegated.trade(-Decimal(held))
        assert delegated.position() == 0
        assert delegated.state().position.entry_notional == 0
        with pytest.raises(StopIteration) as stop:
            next(delegated.venue().outcome(intent, receipt, state))
        assert stop.value.value.state is OutcomeState.FILLED
        assert stop.value.value.fill.size == -Decimal(held)

    @pytest.mark.parametrize("held", ["-7.5", "33.25"])
    def test_the_desk_closes_a_position_that_hedges_nothing_any_more(
        self, delegated: Delegated, held: str
    ) -> None:
        delegated.trade(held)
        with opened(delegated.config()) as app:
            found, block = app.desk.compare(app.desk.books[0])
            app.ledger.adopt(found.account, found.market, found.actual, block, "adopted", 0)
            done = app.desk.tick(app.desk.books[0])
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED
        assert done.outcome.fill is not None
        assert done.outcome.fill.size == -Decimal(held)
        assert done.again_in_s is None
        assert delegated.position() == 0

    @pytest.mark.parametrize("size", ["-12.345", "12.345"])
    def test_a_preflight_promises_the_fill_that_comes(self, delegated: Delegated, size: str) -> None:
        intent, state, venue = delegated.intent(size), delegated.state(), delegated.venue()
        client = Client.of_one("localnet", delegated.world.url)
        promised = venue.expected(
            intent, state, client.preflight(delegated.key, venue.prepare(intent, state))
        )
        with pytest.raises(StopIteration) as stop:
            next(venue.outcome(intent, delegated.trade(size), state))
        fill = stop.value.value.fill
        assert promised.size == fill.size == Decimal(size)
        assert abs(promised.notional - fill.notional) < Decimal("0.000001")
        assert abs(promised.fee_usd - fill.fee_usd) < Decimal("0.000001")

    def test_a_trade_of_the_owners_halts_the_desk_with_both_figures(self, delegated: Delegated) -> None:
        delegated.expose()
        config = delegated.config(lambda document: document["books"][0]["limits"].update({"max_order": "2"}))
        delegated.tick(config)
        ours = delegated.state().position.size
        order = {
            "baseToken": delegated.world.curie.base_token,
            "isBaseToQuote": True,
            "isExactInput": True,
            "amount": 10**18,
            "oppositeAmountBound": 0,
            "deadline": 2**40,
            "sqrtPriceLimitX96": 0,
            "referralCode": bytes(32),
        }
        delegated.world.curie_contract("clearing_house").send("openPosition", order, sender=delegated.trader)
        with opened(config) as app:
            said = f"has a position of {ours - 1:+f}, the ledger expects {ours:+f}"
            with pytest.raises(Halt, match=re.escape(said)):
                app.desk.tick(app.desk.books[0])
            assert app.ledger.mode(app.account) is Mode.HALTED


class TestPrivileges:
    def test_status_says_that_the_key_can_trade_and_not_withdraw(
        self, delegated: Delegated, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, _ = run_here(monkeypatch, capsys, "status", "--config", delegated.config(), "--json")
        assert code == 0
        assert f"this key can trade for {delegated.trader} and can't withdraw" in out
        assert '"can_trade": true, "can_withdraw": false' in out
        code, out, _ = run_here(monkeypatch, capsys, "status", "--config", delegated.config())
        assert "can't withdraw" in " ".join(out.split())

    def test_a_key_without_approval_is_told_who_must_approve_it(self, unapproved: Delegated) -> None:
        privileges = unapproved.state().privileges
        assert privileges is not None
        assert not privileges.can_trade
        assert not privileges.can_withdraw
        assert privileges.in_words() == (
            f"this key can't trade for {unapproved.trader} and can't withdraw: its owners approve {unapproved.key} "
            "with what `vaultkeel propose approve-delegate` writes"
        )

    @pytest.mark.parametrize(("actions", "can"), [(1, True), (2, False), (6, False), (7, True)])
    def test_only_the_approval_to_open_positions_lets_it_trade(
        self, unapproved: Delegated, actions: int, can: bool
    ) -> None:
        approvals = unapproved.world.curie_contract("delegate_approval")
        approvals.send("approve", unapproved.key, actions, sender=unapproved.trader)
        privileges = unapproved.state().privileges
        assert privileges is not None
        assert privileges.can_trade is can

    def test_the_accounts_own_key_can_do_everything(self, unapproved: Delegated) -> None:
        with opened(write_config(unapproved.world, unapproved.folder)) as app:
            privileges = app.desk.assess(app.desk.books[0]).snapshot.venue.privileges
        assert privileges is not None
        assert privileges.in_words() == (
            f"this key is the account {unapproved.key}: it can trade and withdraw everything"
        )

    def test_another_approval_contract_than_the_protocols_is_refused(self, delegated: Delegated) -> None:
        config = delegated.config(delegate_approval=delegated.world.curie.quoter)
        with pytest.raises(DataError, match="getApprovedActions"):
            delegated.tick(config)

    def test_a_stranger_of_an_approval_contract_is_refused_by_name(self, delegated: Delegated) -> None:
        world = delegated.world
        other = world.curie_files.core.deploy(world.node, "DelegateApproval", sender=world.accounts.owner)
        other.send("approve", delegated.key, OPEN_POSITION, sender=delegated.trader)
        ours = world.curie.delegate_approval
        with pytest.raises(
            DataError, match=f"delegate_approval is not the clearing house's, which is {ours}"
        ):
            delegated.tick(delegated.config(delegate_approval=other.address))

    def test_the_signer_is_not_its_own_trader(self, delegated: Delegated) -> None:
        with pytest.raises(ConfigError, match="trader is the signer itself, who needs no approval"):
            delegated.tick(delegated.config(trader=delegated.key))

    def test_a_ledger_belongs_to_one_trader(self, delegated: Delegated) -> None:
        delegated.tick()
        other = delegated.world.accounts.traders[0]
        for config in (delegated.config(trader=other), write_config(delegated.world, delegated.folder)):
            with pytest.raises(
                ConfigError, match=rf"account {delegated.key} for {delegated.trader} of localnet"
            ):
                delegated.tick(config)


class TestLimitsOfTheKey:
    def test_it_can_not_withdraw(self, delegated: Delegated) -> None:
        world = delegated.world
        usdc, vault = world.curie_contract("usdc"), world.curie_contract("vault")
        before = delegated.money()
        with pytest.raises(VaultkeelError, match="V_NEFC"):
            vault.send("withdraw", world.curie.usdc, 10**6, sender=delegated.key)
        held = usdc.read("balanceOf", delegated.key)
        vault.send("withdrawAll", world.curie.usdc, sender=delegated.key)  # all of its own: nothing
        assert usdc.read("balanceOf", delegated.key) == held
        assert delegated.money() == before == COLLATERAL_USD * 10**6

    def test_revoking_stops_it_with_the_reason_and_loses_nothing(self, delegated: Delegated) -> None:
        delegated.expose()
        config = delegated.config(lambda document: document["books"][0]["limits"].update({"max_order": "2"}))
        assert delegated.tick(config).outcome is not None
        position, nonce = delegated.position(), hedger_nonce(delegated.world)
        assert position != 0
        delegated.revoke()
        done = delegated.tick(config)
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.DEAD
        assert REVOKED in done.outcome.reason
        assert "vaultkeel propose approve-delegate" in done.outcome.reason
        assert (delegated.position(), hedger_nonce(delegated.world)) == (position, nonce)
        with opened(config) as app:
            assert app.ledger.open_intents(app.account) == ()
            assert app.ledger.mode(app.account) is Mode.ACTIVE
        delegated.approve()
        again = delegated.tick(config).outcome
        assert again is not None
        assert again.state is OutcomeState.FILLED

    def test_a_revocation_that_overtakes_an_order_leaves_it_dead(self, delegated: Delegated) -> None:
        delegated.expose()
        node = delegated.world.node
        config = delegated.config(lambda document: document["chains"]["localnet"].update({"patience_s": "0"}))
        approvals = delegated.world.curie_contract("delegate_approval")
        revoke = approvals.prepare("revoke", delegated.key, OPEN_POSITION, sender=delegated.trader)
        node.rpc("evm_setAutomine", False)
        try:
            assert delegated.tick(config).outcome is not None
            request = {
                "from": delegated.trader,
                "to": revoke.to,
                "data": "0x" + revoke.data.hex(),
                "gas": hex(200_000),
                "maxFeePerGas": hex(10**12),
                "maxPriorityFeePerGas": hex(10**11),
            }
            node.rpc("eth_sendTransaction", request)
            node.mine()
        finally:
            node.rpc("evm_setAutomine", True)
        delegated.tick(config)
        first, second = rows(
            load_config(config).ledger, "SELECT outcome, reason FROM intents ORDER BY tick_id"
        )
        assert first == ("DEAD", "the order reverted on chain; nothing was traded")
        assert second[0] == "DEAD"
        assert REVOKED in second[1]
        assert delegated.position() == 0

    def test_the_mandate_allows_its_orders_for_the_trader_and_nothing_else(
        self, delegated: Delegated
    ) -> None:
        world = delegated.world
        with opened(delegated.config()) as app:
            mandate = app.desk.books[0].sender._mandate
        base = UnsignedTx(world.chain_id, 0, delegated.order("-60"), 1_000_000, 10**9, 10**9)
        meant, now = delegated.intent("-60"), world.node.timestamp()
        mandate.check(base, meant, now)
        mandate.check(replace(base, call=delegated.order("60")), meant, now)
        house = contract("curie_clearing_house", world.curie.clearing_house)
        params = house.abi.decode_input(base.call.data)[1]["params"]
        vault, usdc = contract("curie_vault", world.curie.vault), contract("erc20", world.curie.usdc)
        approvals = contract("curie_delegate_approval", world.curie.delegate_approval)
        refused = {
            "for itself": (house, "openPositionFor", (delegated.key, params)),
            "for another": (house, "openPositionFor", (world.accounts.maker, params)),
            "too much": (
                house,
                "openPositionFor",
                (delegated.trader, params | {"amount": 60 * 10**18 + 1}),
            ),
            "no bound": (
                house,
                "openPositionFor",
                (delegated.trader, params | {"oppositeAmountBound": 0}),
            ),
            "a bad price": (
                house,
                "openPositionFor",
                (delegated.trader, params | {"oppositeAmountBound": params["oppositeAmountBound"] * 9 // 10}),
            ),
            "a late deadline": (
                house,
                "openPositionFor",
                (delegated.trader, params | {"deadline": now + 181}),
            ),
            "another market": (
                house,
                "openPositionFor",
                (delegated.trader, params | {"baseToken": world.curie.quote_token}),
            ),
            "its own order": (house, "openPosition", (params,)),
            "its own close": (house, "closePosition", (params,)),
            "a withdrawal": (vault, "withdraw", (world.curie.usdc, 1)),
            "a deposit": (vault, "depositFor", (delegated.trader, world.curie.usdc, 1)),
            "an allowance": (usdc, "approve", (world.curie.vault, 1)),
            "an approval": (approvals, "approve", (world.accounts.maker, 1)),
        }
        allowed = []
        for name, (at, function, arguments) in refused.items():
            call = TxCall(at.address, at.abi.encode(function, *arguments))
            try:
                mandate.check(replace(base, call=call), meant, now)
            except OrderRejected as error:
                assert str(error).startswith("mandate: ")  # noqa: PT017 - each is refused, and in these words
            else:
                allowed.append(name)
        assert allowed == []

    def test_the_protocol_itself_bounds_a_delegate_by_the_margin_and_the_trader_alone(
        self, delegated: Delegated
    ) -> None:
        # Five times what the mandate allows: past the bot, a stolen key could trade this account to pieces.
        delegated.trade("-300")
        assert delegated.position() == -300 * 10**18
        other = replace(delegated, trader=delegated.world.accounts.maker)
        client = Client.of_one("localnet", delegated.world.url)
        with pytest.raises(RevertError) as refused:
            client.preflight(delegated.key, other.order("-1"))
        assert delegated.venue().explain(refused.value.data).startswith("CH_SHNAOPT (")


def test_a_delegate_says_who_can_add_margin_and_makes_the_hedge_smaller_by_itself(
    delegated: Delegated,
) -> None:
    def watched(document: Any) -> None:
        document["books"][0]["margin"] = {"max_topup_day_usd": "50000"}
        document["books"][0]["target"].update({"hedge_ratio": "0", "delta": "40"})

    world = delegated.world
    world.curie_contract("vault").send(
        "withdraw", world.curie.usdc, (COLLATERAL_USD - 20_000) * 10**6, sender=delegated.trader
    )
    market = Market(world, 1)
    with opened(delegated.config(watched), trades=True) as app:
        book = app.desk.books[0]
        assert app.desk.tick(book).outcome is not None
        assert delegated.position() == 40 * 10**18
        held = app.desk.tick(book).record.decision
        assert isinstance(held, Hold)
        assert held.code == "MARGIN"
        assert (
            "the key can't deposit: its owners add collateral with what `vaultkeel propose deposit`"
            in held.text
        )
        market.advance(world.node.timestamp() + 60, Decimal(1_720))
        market.refresh()
        done = app.desk.tick(book)
        assert isinstance(done.record.decision, Rebalance)
        assert done.record.decision.protects
        assert done.outcome is not None
        assert done.outcome.state is OutcomeState.FILLED
    assert 0 < delegated.position() < 40 * 10**18
