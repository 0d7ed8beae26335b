"""Decisions on the real contracts: explained, replayed to the last bit, woken by the price, aimed as they are told."""

import json
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support import Proxy, opened, run_here, write_config

from bot.core.model import Band, Rebalance
from bot.localnet.market import Market
from bot.localnet.world import World
from bot.replay import replay
from bot.scheduler import Runner

Here = Callable[..., tuple[int, str, str]]
OPTIMAL = {"kind": "optimal_band", "daily_error_usd": "100", "min_trade": "0.01"}


@pytest.fixture
def market(fresh: World) -> Market:
    """A market whose pool has sold options, so that there is something to hedge."""
    moving = Market(fresh, 3)
    moving.open_interest(14)
    moving.refresh()
    return moving


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The command line in this process."""
    return lambda *arguments: run_here(monkeypatch, capsys, *arguments)


def book(**changes: Any) -> Callable[[Any], None]:
    """A configuration whose book has these tables."""

    def edit(document: Any) -> None:
        document["books"][0].update({"policy": OPTIMAL} | changes)

    return edit


def settled(app: Any) -> None:
    """Ticks until nothing is left to trade."""
    for _ in range(20):
        if app.desk.tick(app.desk.books[0]).again_in_s is None:
            return
    raise AssertionError("it never came to rest")


def moved(world: World, market: Market, share: str) -> None:
    """The price moves by a share, and the perp's with it."""
    market.advance(world.node.timestamp() + 60, market.spot() * (1 + Decimal(share)))
    market.refresh()


def test_real_ticks_replay_to_the_last_bit_and_explain_themselves(
    fresh: World, market: Market, tmp_path: Path, here: Here
) -> None:
    config = write_config(fresh, tmp_path, edit=book(doubts={"vol": "0.01"}))
    with opened(config, trades=True) as app:
        for share in ("0", "0.01", "-0.03", "0.002"):
            moved(fresh, market, share)
            settled(app)
        history, rules = app.ledger.history, app.desk.books[0].rules
        rows = list(replay(history.between("eth", None, None), rules))
        assert len(rows) >= 4
        assert all(row.identical for row in rows)
        assert any(isinstance(row.recorded, Rebalance) for row in rows)
        newest = history.newest("eth")

    code, out, _ = here("replay", "--config", config, "--json")
    told = json.loads(out)
    assert (code, told["ticks"], told["identical"]) == (0, len(rows), len(rows))
    code, out, _ = here("explain", "--config", config, "--json")
    shown = json.loads(out)
    assert (code, shown["tick"]) == (0, newest)
    parts = shown["attribution_usd"]
    assert parts["total"] == pytest.approx(sum(v for name, v in parts.items() if name != "total"))
    assert shown["delta"]["bounds"]["vols"][1] > 0
    code, out, _ = here("explain", "1", "--config", config)
    assert code == 0
    for words in ("Tick 1 of book eth", "cost now usd", "risk per day usd", "It would trade at"):
        assert words in out
    assert here("explain", "999", "--config", config)[0] == 2

    other = write_config(
        fresh, tmp_path / "other", edit=book(policy={"kind": "interval", "every_s": 1, "min_trade": "0.01"})
    )
    (ledger,) = tmp_path.glob("ledger-*.db")
    code, out, _ = here("replay", "2", "--config", other, "--ledger", ledger, "--json")
    beside = json.loads(out)
    assert (code, beside["same_rules"], beside["ticks"]) == (0, 0, len(rows) - 1)
    code, out, _ = here("replay", "--config", other, "--ledger", ledger)
    assert "these rules" in out


def test_little_of_a_change_of_value_is_unexplained(
    fresh: World, market: Market, tmp_path: Path, here: Here
) -> None:
    config = write_config(fresh, tmp_path, edit=book())
    with opened(config, trades=True) as app:
        settled(app)
        moved(fresh, market, "0.004")
        app.desk.tick(app.desk.books[0])
    code, out, _ = here("explain", "--config", config, "--json")
    parts = json.loads(out)["attribution_usd"]
    assert code == 0
    moves = sum(abs(parts[name]) for name in ("delta", "gamma", "theta", "vega"))
    assert abs(parts["unexplained"]) < 0.05 * moves


def test_a_run_wakes_on_the_price_with_one_request_per_look(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    def edit(document: Any) -> None:
        document["chains"]["localnet"]["rpc_urls"] = [proxy.url]

    with Proxy(fresh.url) as proxy:
        config = write_config(fresh, tmp_path, edit=edit)
        with opened(config, trades=True) as app:
            settled(app)
            runner = Runner(app.desk, 3600, 0.01)
            runner.visit(runner.accounts[0])
            assert runner.ticks == 1
            wake = app.desk.assess(app.desk.books[0]).wake
            assert wake.up is not None
            before = len(proxy.bodies)
            for _ in range(5):
                time.sleep(0.02)
                runner.visit(runner.accounts[0])
            assert (runner.ticks, len(proxy.bodies) - before) == (1, 5)
            market.set_price(wake.up * Decimal("1.001"))
            market.arbitrage()
            time.sleep(0.02)
            runner.visit(runner.accounts[0])
            assert runner.ticks == 2
            newest = app.ledger.history.tick(app.ledger.history.newest("eth")).decided
            assert isinstance(newest.decision, Rebalance)


def test_before_the_price_waited_for_the_policy_holds_and_beyond_it_it_trades(
    fresh: World, market: Market, tmp_path: Path
) -> None:
    with opened(write_config(fresh, tmp_path), trades=True) as app:
        settled(app)
        (traded,) = app.desk.books
        wake = app.desk.assess(traded).wake
        assert wake.down is not None
        for factor, expected in (("1.002", "hold"), ("0.998", "rebalance")):
            market.set_price(wake.down * Decimal(factor))
            market.arbitrage()
            assert app.desk.assess(traded).decision.kind == expected


@pytest.mark.parametrize(("ratio", "aim"), [("0.5", "0"), ("1.2", "0"), ("1", "3"), ("0", "-2")])
def test_the_hedge_goes_where_it_is_aimed(
    fresh: World, market: Market, tmp_path: Path, ratio: str, aim: str
) -> None:
    target = {"hedge_ratio": ratio, "delta": aim, "hedge_holdings": True}
    with opened(write_config(fresh, tmp_path, edit=book(target=target)), trades=True) as app:
        settled(app)
        exposure = app.desk.assess(app.desk.books[0]).exposure
        band = app.desk.assess(app.desk.books[0]).decision.band
    assert isinstance(band, Band)
    expected = float(aim) - float(ratio) * exposure.unhedged
    assert band.low <= exposure.perps - expected <= band.high


@pytest.mark.parametrize(
    ("vols", "name"),
    [({"kind": "constant", "vol": "0.75"}, "constant"), ({"kind": "file", "path": "vols.csv"}, "table")],
)
def test_vols_from_elsewhere_are_what_the_book_is_priced_with(
    fresh: World, market: Market, tmp_path: Path, vols: dict[str, str], name: str
) -> None:
    now = fresh.node.timestamp()
    rows = [
        f"{now + days * 86_400},{strike},0.75" for days in (1, 7, 30, 90) for strike in (1000, 2000, 4000)
    ]
    (tmp_path / "vols.csv").write_text("\n".join([f"# at: {now}", "expiry,strike,vol", *rows]) + "\n")
    with opened(write_config(fresh, tmp_path, edit=book(vols=vols))) as app:
        snapshot = app.desk.assess(app.desk.books[0]).snapshot
    assert snapshot.vols.name == name
    held = [position for source in snapshot.sources for position in source.positions]
    assert held
    assert [position.vol for position in held] == pytest.approx([0.75] * len(held), abs=1e-9)
