"""The margin on the real contracts: topped up in time, made smaller where nothing is left, hedged again after all."""

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_utils.abi import function_signature_to_4byte_selector
from support import events_of, hedger_nonce, opened, write_config

from bot.app import App
from bot.chain.contracts import contract
from bot.core.margin import margin_of
from bot.core.model import Hold, Intent, IntentKind, Mode, OutcomeState, Rebalance, Transfer
from bot.desk import Tick
from bot.errors import ConfigError, DataError, OrderRejected
from bot.localnet.market import Market
from bot.localnet.node import Log, Receipt
from bot.localnet.proxy import SEND, FaultProxy
from bot.localnet.proxy_rules import failing, forwarded, only
from bot.localnet.world import World
from bot.ports import TxCall, UnsignedTx
from bot.replay import replay

MARGIN = {"max_topup_day_usd": "50000"}
STEPS = 12
STEP_S = 300
PREMIUM = Decimal("0.03")
AIMS = [("1", "0"), ("0", "40"), ("0", "-40")]
"""What is hedged of the options, and the delta aimed at: a fixed one gives a hedge that no move makes smaller."""


def with_margin(aim: tuple[str, str] = ("1", "0"), **changes: Any) -> Callable[[Any], None]:
    def edit(document: Any) -> None:
        document["books"][0]["margin"] = MARGIN | changes
        document["books"][0]["target"].update({"hedge_ratio": aim[0], "delta": aim[1]})

    return edit


@pytest.fixture
def market(fresh: World) -> Market:
    """A market whose pool has sold options, so that there is something to hedge."""
    moving = Market(fresh, 3)
    moving.open_interest(14)
    moving.refresh()
    return moving


def raw(amount: Decimal) -> int:
    return int((amount * 10**6).to_integral_value(ROUND_DOWN))


def leave(world: World, app: App, ratio: str, *, wallet: bool = True) -> None:
    """So much collateral that the coming hedge has this many times its requirement; the rest leaves, by choice too."""
    decided = app.desk.assess(app.desk.books[0])
    venue = decided.snapshot.venue
    size = abs(Decimal(repr(gap(app))))
    stays = size * venue.mark * venue.maintenance_ratio * Decimal(ratio)
    usdc, vault, hedger = world.curie_contract("usdc"), world.curie_contract("vault"), world.accounts.hedger
    vault.send("withdraw", usdc.address, raw(venue.margin.collateral - stays), sender=hedger)
    if not wallet:
        held = usdc.read("balanceOf", hedger)
        usdc.send("transfer", world.accounts.maker, held, sender=hedger)


def gap(app: App) -> float:
    """What is left to trade, as a new tick would measure it."""
    exposure = app.desk.assess(app.desk.books[0]).exposure
    return (exposure.gap_lo + exposure.gap_hi) / 2


def ticks(app: App, most: int = 30) -> list[Tick]:
    """Ticks until nothing is left to do."""
    done = []
    for _ in range(most):
        done.append(app.desk.tick(app.desk.books[0]))
        if done[-1].again_in_s is None:
            return done
    raise AssertionError("it never came to rest")


def shift(world: World, market: Market, price: Decimal, side: int) -> None:
    """The price goes there, and the perp stays behind, so that the hedge pays funding."""
    market.set_time(world.node.timestamp() + STEP_S)
    market.set_price(price * (1 + side * PREMIUM))
    market.arbitrage()
    market.set_price(price)
    market.refresh()


def liquidated(world: World, since: int) -> list[dict[str, Any]]:
    return events_of(world, "PositionLiquidated", since)


def vault_events(world: World, event: str, since: int) -> list[dict[str, Any]]:
    vault = world.curie_contract("vault")
    found = world.node.rpc("eth_getLogs", {"address": vault.address, "fromBlock": hex(since + 1)})
    logs = tuple(
        Log(e["address"], tuple(bytes.fromhex(t[2:]) for t in e["topics"]), bytes.fromhex(e["data"][2:]))
        for e in found
    )
    events = vault.interface.events(event, Receipt("", 0, 0, None, logs))
    return [e for e in events if e["trader"] == world.accounts.hedger]


def is_liquidatable(world: World) -> bool:
    """By the protocol's own figures."""
    me = world.accounts.hedger
    value = world.curie_contract("vault").read("getAccountValue", me) * 10**12
    return bool(
        value < world.curie_contract("account_balance").read("getMarginRequirementForLiquidation", me)
    )


@pytest.mark.parametrize("aim", AIMS)
def test_a_move_of_35_percent_against_the_hedge_within_an_hour_leaves_it_unliquidated(
    fresh: World, market: Market, tmp_path: Path, aim: tuple[str, str]
) -> None:
    usdc, vault, me = fresh.curie_contract("usdc"), fresh.curie_contract("vault"), fresh.accounts.hedger
    with opened(write_config(fresh, tmp_path, edit=with_margin(aim)), trades=True) as app:
        leave(fresh, app, "8")
        since = fresh.node.block_number()
        ticks(app)
        held = app.desk.assess(app.desk.books[0]).snapshot.venue.position.size
        assert held != 0
        side = 1 if held > 0 else -1
        start = market.spot()
        for step in range(1, STEPS + 1):
            shift(fresh, market, start * (1 - side * Decimal("0.35") * step / STEPS), side)
            assert not is_liquidatable(fresh)
            ticks(app)
            assert not is_liquidatable(fresh)
        assert abs(market.spot() / start - 1 + side * Decimal("0.35")) < Decimal("0.001")
        end = app.desk.assess(app.desk.books[0])
        left = gap(app)
        replayed = list(replay(app.ledger.history.between("eth", None, None), app.desk.books[0].rules))
        assert len(replayed) > STEPS
        assert all(row.identical for row in replayed)
        rows = app.ledger.orders("eth")
        assert app.ledger.mode(app.account) is Mode.ACTIVE
    assert liquidated(fresh, since) == []
    deposits = [Decimal(e["amount"]) / 10**6 for e in vault_events(fresh, "Deposited", since)]
    added = [Decimal(r["intended"]) for r in rows if r["kind"] == IntentKind.ADD_MARGIN]
    assert deposits == added
    assert bool(added) == (
        aim[0] == "0"
    )  # calls that were sold lose their delta on the way down, and the hedge too
    assert sum(added) <= 50_000
    assert usdc.read("allowance", me, vault.address) == 0
    assert margin_of(end.snapshot.venue).ratio > Decimal("7.5")
    assert abs(left) < 0.5
    assert {r["outcome"] for r in rows} == {"FILLED"}


@pytest.mark.parametrize("aim", AIMS[1:])
def test_with_an_empty_wallet_it_makes_the_hedge_smaller_and_says_so(
    fresh: World, market: Market, tmp_path: Path, aim: tuple[str, str]
) -> None:
    with opened(write_config(fresh, tmp_path, edit=with_margin(aim)), trades=True) as app:
        leave(fresh, app, "4", wallet=False)
        since = fresh.node.block_number()
        ticks(app)
        held = app.desk.assess(app.desk.books[0]).snapshot.venue.position.size
        side = 1 if held > 0 else -1
        start, protecting = market.spot(), []
        for step in range(1, STEPS + 1):
            shift(fresh, market, start * (1 - side * Decimal("0.35") * step / STEPS), side)
            assert not is_liquidatable(fresh)
            done = ticks(app)
            decisions = [tick.record.decision for tick in done]
            protecting += [d for d in decisions if isinstance(d, Rebalance) and d.protects]
            assert not is_liquidatable(fresh)
        end = app.desk.assess(app.desk.books[0])
        rows = app.ledger.orders("eth")
    assert protecting
    for decision in protecting:
        assert decision.size * held < 0
        assert "nothing can be added: the wallet has 0.00 USD" in decision.text
        assert "leaves the book unhedged: the net delta is then" in decision.text
    assert liquidated(fresh, since) == []
    assert {r["kind"] for r in rows} == {"trade"}
    assert abs(end.snapshot.venue.position.size) < abs(held)


def test_a_hedge_that_the_collateral_does_not_bear_begins_with_a_top_up(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    with opened(write_config(fresh, tmp_path, edit=with_margin()), trades=True) as app:
        leave(fresh, app, "1")
        decisions = [tick.record.decision for tick in ticks(app)]
        assert [d.what if isinstance(d, Transfer) else d.kind for d in decisions] == [
            "approve",
            "deposit",
            "rebalance",
        ]
        end = app.desk.assess(app.desk.books[0])
        assert abs(gap(app)) < 0.5
        assert {row["outcome"] for row in app.ledger.orders("eth")} == {"FILLED"}
    assert abs(margin_of(end.snapshot.venue).ratio - 9) < Decimal("0.1")


def test_an_allowance_is_taken_back_where_the_margin_recovers_before_its_deposit(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    usdc, vault, me = fresh.curie_contract("usdc"), fresh.curie_contract("vault"), fresh.accounts.hedger
    with opened(write_config(fresh, tmp_path, edit=with_margin(("0", "40"))), trades=True) as app:
        leave(fresh, app, "7.3")
        decisions = [app.desk.tick(app.desk.books[0]).record.decision for _ in range(2)]
        assert [d.what for d in decisions if isinstance(d, Transfer)] == ["approve"]
        assert usdc.read("allowance", me, vault.address) > 0
        start = market.spot()
        for step in range(1, 9):
            market.advance(fresh.node.timestamp() + STEP_S, start * (1 + Decimal("0.04") * step))
        done = ticks(app)
        assert usdc.read("allowance", me, vault.address) == 0
        rows = app.ledger.orders("eth")
    moved = [(d.what, d.amount) for t in done if isinstance(d := t.record.decision, Transfer)]
    assert moved == [("approve", 0)]
    assert {row["outcome"] for row in rows} == {"FILLED"}
    assert [row["kind"] for row in rows].count("add_margin") == 0


def test_an_unlimited_allowance_from_elsewhere_is_taken_back_once(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    usdc, vault, me = fresh.curie_contract("usdc"), fresh.curie_contract("vault"), fresh.accounts.hedger
    usdc.send("approve", vault.address, 2**256 - 1, sender=me)
    with opened(write_config(fresh, tmp_path, edit=with_margin()), trades=True) as app:
        for _ in range(2):  # the hedge comes first
            ticks(app)
        assert usdc.read("allowance", me, vault.address) == 0
        assert abs(gap(app)) < 0.5
        kinds = [row["kind"] for row in app.ledger.orders("eth")]
        assert kinds.count("approve") == 1
        nonce = hedger_nonce(fresh)
        ticks(app)
        assert hedger_nonce(fresh) == nonce


def transfers(app: App) -> list[tuple[str, str]]:
    """Kind and outcome of everything that was meant to move margin, oldest first."""
    return [(row["kind"], row["outcome"]) for row in app.ledger.orders("eth") if row["kind"] != "trade"]


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, [("approve", "FILLED"), ("add_margin", "FILLED")]),
        (2, [("approve", "FILLED"), ("add_margin", "DEAD"), ("add_margin", "FILLED")]),
    ],
    ids=["the deposit alone", "its allowance too"],
)
def test_a_deposit_that_a_reorg_undoes_is_on_chain_once_in_the_end(
    fresh: World, market: Market, tmp_path: Path, depth: int, expected: list[tuple[str, str]]
) -> None:
    node, usdc, me = fresh.node, fresh.curie_contract("usdc"), fresh.accounts.hedger
    with opened(write_config(fresh, tmp_path, edit=with_margin(("0", "40"))), trades=True) as app:
        leave(fresh, app, "7")
        since, before = node.block_number(), usdc.read("balanceOf", me)
        for _ in range(3):
            app.desk.tick(app.desk.books[0])
        (deposit,) = vault_events(fresh, "Deposited", since)
        assert app.ledger.open_intents(app.account) == ()
        node.rpc("anvil_reorg", depth, [])
        assert vault_events(fresh, "Deposited", since) == []
        assert usdc.read("balanceOf", me) == before
        undone = app.desk.tick(app.desk.books[0])
        assert isinstance(undone.record.decision, Hold)
        left = Decimal(50_000) - Decimal(deposit["amount"]) / 10**6
        assert undone.record.snapshot.top_up_left_usd == left, "while it is open it counts in full"
        app.desk.tick(app.desk.books[0])
        market.set_time(node.timestamp() + 61)  # one that was cancelled is tried again after a minute
        market.refresh()
        for _ in range(5):
            app.desk.tick(app.desk.books[0])
        assert transfers(app) == expected
        deposits = vault_events(fresh, "Deposited", since)
        end = app.desk.assess(app.desk.books[0])
        assert reconciled(app)
        assert app.ledger.mode(app.account) is Mode.ACTIVE
        added = [
            raw(Decimal(row["intended"]))
            for row in app.ledger.orders("eth")
            if (row["kind"], row["outcome"]) == ("add_margin", "FILLED")
        ]
    assert [e["amount"] for e in deposits] == added
    assert len(added) == 1
    assert before - usdc.read("balanceOf", me) == added[0]
    assert usdc.read("allowance", me, fresh.curie.vault) == 0
    assert raw(end.snapshot.top_up_left_usd) == 50_000 * 10**6 - added[0]
    assert margin_of(end.snapshot.venue).ratio > Decimal("7.5")


def test_a_withdrawal_whose_send_is_answered_with_an_error_is_made_once(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    usdc, me = fresh.curie_contract("usdc"), fresh.accounts.hedger
    with FaultProxy(fresh.url) as proxy:

        def edit(document: Any) -> None:
            with_margin(withdraw=True)(document)
            document["chains"]["localnet"].update({"rpc_urls": [proxy.url], "patience_s": "0.2"})

        config = write_config(fresh, tmp_path, edit=edit)
        with opened(config, trades=True) as app:
            leave(fresh, app, "13")
            ticks(app)
            assert app.ledger.open_intents(app.account) == ()
        before, since, nonce = usdc.read("balanceOf", me), fresh.node.block_number(), hedger_nonce(fresh)
        proxy.rule = only(SEND, forwarded(failing("internal error")), times=1)
        fresh.node.rpc("evm_setAutomine", False)
        with opened(config, trades=True) as app:
            first = app.desk.tick(app.desk.books[0])
            open_ones = app.ledger.open_intents(app.account)
        assert isinstance(first.record.decision, Transfer)
        assert first.outcome is not None
        assert first.outcome.state is OutcomeState.PENDING
        assert [attempt.state for attempt in open_ones[0].attempts] == ["SIGNED"], (
            "nobody said that it was taken"
        )
        fresh.node.mine()
        fresh.node.rpc("evm_setAutomine", True)
        with opened(config, trades=True) as app:
            for _ in range(3):
                assert isinstance(app.desk.tick(app.desk.books[0]).record.decision, Hold)
            assert transfers(app) == [("withdraw_margin", "FILLED")]
            assert reconciled(app)
    amount = raw(first.record.decision.amount)
    assert [e["amount"] for e in vault_events(fresh, "Withdrawn", since)] == [amount]
    assert usdc.read("balanceOf", me) - before == amount
    assert hedger_nonce(fresh) == nonce + 1


def liquidate(world: World, trader: str) -> None:
    house = world.curie_contract("clearing_house")
    selector = function_signature_to_4byte_selector("liquidate(address,address)")
    words = b"".join(bytes.fromhex(a[2:]).rjust(32, b"\0") for a in (trader, world.curie.base_token))
    world.node.send(house.address, selector + words, world.accounts.arbitrageur)


def test_a_forced_liquidation_is_noticed_by_the_next_tick_and_hedged_again_by_the_second(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    with opened(write_config(fresh, tmp_path, edit=with_margin()), trades=True) as app:
        leave(fresh, app, "3", wallet=False)
        ticks(app)
        held = app.desk.assess(app.desk.books[0]).snapshot.venue.position.size
        side = 1 if held > 0 else -1
        market.advance(fresh.node.timestamp() + 60, market.spot() * (1 - side * Decimal("0.2")))
        market.set_time(fresh.node.timestamp() + 1_800)  # what the protocol liquidates by is an average
        market.set_price(market.spot())
        market.refresh()
        assert is_liquidatable(fresh)
        since = fresh.node.block_number()
        while is_liquidatable(fresh):
            liquidate(fresh, fresh.accounts.hedger)
        assert liquidated(fresh, since)
        market.arbitrage()
        usdc, vault, owner = fresh.curie_contract("usdc"), fresh.curie_contract("vault"), fresh.accounts.owner
        usdc.send("mint", owner, 200_000 * 10**6, sender=owner)
        usdc.send("approve", vault.address, 200_000 * 10**6, sender=owner)
        vault.send("depositFor", fresh.accounts.hedger, usdc.address, 200_000 * 10**6, sender=owner)
        first = app.desk.tick(app.desk.books[0])
        baseline = app.ledger.baseline(app.account, first.record.snapshot.venue.position.market)
        assert baseline is not None
        assert baseline.why.startswith("liquidation ")
        assert baseline.size == first.record.snapshot.venue.position.size
        if first.again_in_s is not None:
            app.desk.tick(app.desk.books[0])
        end = app.desk.assess(app.desk.books[0])
        assert abs(end.exposure.net) < 0.5
        assert app.ledger.mode(app.account) is Mode.ACTIVE
        assert reconciled(app)


def reconciled(app: App) -> bool:
    found, _ = app.desk.compare(app.desk.books[0])
    return found.agrees


def test_a_liquidation_is_noticed_by_a_tick_that_only_holds(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    def idle(document: Any) -> None:
        with_margin(deleverage=False)(document)
        document["books"][0]["policy"] = {"kind": "interval", "every_s": 7 * 86_400, "min_trade": "0.01"}

    with opened(write_config(fresh, tmp_path, edit=idle), trades=True) as app:
        leave(fresh, app, "3", wallet=False)
        ticks(app)
        held = app.desk.assess(app.desk.books[0]).snapshot.venue.position.size
        side = 1 if held > 0 else -1
        market.advance(fresh.node.timestamp() + 60, market.spot() * (1 - side * Decimal("0.2")))
        market.set_time(fresh.node.timestamp() + 1_800)
        market.set_price(market.spot())
        market.refresh()
        liquidate(fresh, fresh.accounts.hedger)
        market.arbitrage()
        done = app.desk.tick(app.desk.books[0])
        assert isinstance(done.record.decision, Hold)
        baseline = app.ledger.baseline(app.account, done.record.snapshot.venue.position.market)
        assert baseline is not None
        assert baseline.why.startswith("liquidation ")


def test_excess_goes_back_to_the_wallet_where_that_is_wanted(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    me, usdc = fresh.accounts.hedger, fresh.curie_contract("usdc")
    before = usdc.read("balanceOf", me)
    with opened(write_config(fresh, tmp_path, edit=with_margin(withdraw=True)), trades=True) as app:
        ticks(app)
        for _ in range(5):
            done = app.desk.tick(app.desk.books[0])
            if not isinstance(done.record.decision, Transfer):
                break
            assert done.record.decision.amount <= 50_000
            assert done.outcome is not None
            assert done.outcome.state is OutcomeState.FILLED
        end = app.desk.assess(app.desk.books[0])
        taken = [Decimal(r["intended"]) for r in app.ledger.orders("eth") if r["kind"] == "withdraw_margin"]
    assert taken
    assert usdc.read("balanceOf", me) - before == raw(sum(taken, Decimal(0)))
    assert abs(margin_of(end.snapshot.venue).ratio - 9) < Decimal("0.1")


def test_the_mandate_allows_exact_amounts_to_the_vault_alone(fresh: World, tmp_path: Path) -> None:
    vault, usdc = contract("curie_vault", fresh.curie.vault), contract("erc20", fresh.curie.usdc)
    limit = 50_000 * 10**6
    with opened(write_config(fresh, tmp_path, edit=with_margin())) as app:
        mandate = app.desk.books[0].sender._mandate
    with opened(write_config(fresh, tmp_path / "giving", edit=with_margin(withdraw=True))) as app:
        giving = app.desk.books[0].sender._mandate
    with opened(write_config(fresh, tmp_path / "without")) as app:
        without = app.desk.books[0].sender._mandate

    def tx(at: Any, function: str, *arguments: Any) -> UnsignedTx:
        call = TxCall(at.address, at.abi.encode(function, *arguments))
        return UnsignedTx(fresh.chain_id, 0, call, 300_000, 10**9, 10**9)

    allowed = [tx(usdc, "approve", vault.address, limit), tx(vault, "deposit", usdc.address, limit)]
    allowed.append(tx(usdc, "approve", vault.address, 0))
    withdrawal = tx(vault, "withdraw", usdc.address, limit)
    meant = Intent("a", "eth", "", "", IntentKind.APPROVE, Decimal(1), Decimal(0), 0, Decimal(2_000))
    for transaction in allowed:
        mandate.check(transaction, meant, 0)
        with pytest.raises(OrderRejected, match="is not a contract that may be called"):
            without.check(transaction, meant, 0)
        with pytest.raises(OrderRejected, match="a value of 1 wei"):
            mandate.check(replace(transaction, call=replace(transaction.call, value=1)), meant, 0)
    giving.check(withdrawal, meant, 0)
    with pytest.raises(OrderRejected, match=r"withdraw at .* is not allowed"):
        mandate.check(withdrawal, meant, 0)
    maker = fresh.accounts.maker
    for transaction in (
        tx(usdc, "approve", vault.address, 2**256 - 1),
        tx(usdc, "approve", vault.address, limit + 1),
        tx(usdc, "approve", maker, 1),
        tx(usdc, "approve", maker, 0),
        tx(usdc, "approve", fresh.curie.clearing_house, 1),
        tx(usdc, "transfer", maker, 1),
        tx(contract("erc20", fresh.curie.quote_token), "approve", vault.address, 1),
        tx(vault, "deposit", usdc.address, limit + 1),
        tx(vault, "deposit", usdc.address, 0),
        tx(vault, "withdraw", usdc.address, 0),
        tx(vault, "deposit", fresh.curie.quote_token, 1),
        tx(vault, "depositFor", maker, usdc.address, 1),
        tx(vault, "withdraw", usdc.address, limit + 1),
        tx(vault, "withdraw", fresh.curie.quote_token, 1),
    ):
        with pytest.raises(OrderRejected, match=r"^mandate: "):
            giving.check(transaction, meant, 0)


def test_another_token_than_the_vaults_is_refused(fresh: World, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        with_margin()(document)
        document["books"][0]["venue"]["settlement_token"] = fresh.curie.quote_token

    with (
        opened(write_config(fresh, tmp_path, edit=edit)) as app,
        pytest.raises(DataError, match=f"settlement_token is not the vault's, which is {fresh.curie.usdc}"),
    ):
        app.desk.tick(app.desk.books[0])


def test_margin_without_its_token_is_refused(fresh: World, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        with_margin()(document)
        del document["books"][0]["venue"]["settlement_token"]

    with (
        pytest.raises(ConfigError, match=r"margin needs venue\.settlement_token"),
        opened(write_config(fresh, tmp_path, edit=edit)),
    ):
        pass
