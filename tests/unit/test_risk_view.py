"""The risk report: every figure in both views, and a reason where one is missing."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import KEY, Rig, decided, option, snapshot, source, venue_state
from rich.console import Console
from typer.testing import CliRunner

from bot.cli import app
from bot.core.model import Snapshot
from bot.errors import ConfigError
from bot.risk_view import NO_VOL, RiskReport, RiskSettings, risk_json, risk_report, risk_view
from bot.share import share

BOOK = source(option(), option("4", strike="1800", is_call=False), holdings=("3.5",))
SEEN = snapshot(BOOK, venue=venue_state("5"))
RETURNS = tuple(0.001 * step for step in range(-100, 100))


def report(seen: Snapshot = SEEN, tick: int | None = 3, **settings: Any) -> RiskReport:
    return risk_report(decided(seen), tick, RiskSettings(**settings))


def shown(found: RiskReport, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(risk_view(found))
    return console.export_text()


def test_a_person_sees_the_grid_the_tails_the_stresses_and_the_margin() -> None:
    found = report(returns=RETURNS)
    text = shown(found)
    for words in (
        "Risk of book eth",
        "tick 3",
        "delta gamma",
        "monte carlo",
        "historical",
        "not shown yet",
        "locked",
        "liquidation price",
        "runway",
        "standard deviations against the hedge",
    ):
        assert words in text
    for result in found.stresses:
        assert result.stress.name in text
        assert result.stress.text[:40] in text


def test_the_grid_is_seven_prices_by_five_vols_and_fits_a_hundred_columns() -> None:
    lines = shown(report(), width=100).splitlines()
    start = next(i for i, line in enumerate(lines) if "vol points" in line)
    assert lines[start].count("%") == 7
    assert sum("Δ" in line for line in lines) == 5
    assert "…" not in "".join(lines[start : start + 12])


def test_machines_get_every_figure_as_json() -> None:
    found = report(returns=RETURNS)
    told = json.loads(json.dumps(risk_json(found), allow_nan=False))
    assert set(told) == {
        "book",
        "tick",
        "at",
        "spot_usd",
        "in_flight",
        "grid",
        "tails",
        "stresses",
        "margin",
        "runway",
        "not_measured",
    }
    grid = told["grid"]
    shape = (len(grid["price_moves"]), len(grid["vol_points"]), len(grid["hours"]))
    assert shape == (7, 5, 2)
    for name in ("book_usd", "hedge_usd", "pnl_usd", "book_delta", "hedge_delta", "delta"):
        assert (len(grid[name]), len(grid[name][0]), len(grid[name][0][0])) == shape
    assert grid["pnl_usd"][3][2][0] == pytest.approx(-float(SEEN.venue.fee_ratio) * 5 * 2000)
    assert {tail["method"] for tail in told["tails"]} == {"historical", "delta_gamma", "monte_carlo"}
    assert all(tail["es_usd"] >= tail["var_usd"] and tail["assumes"] for tail in told["tails"])
    assert [stress["name"] for stress in told["stresses"]] == [s.stress.name for s in found.stresses]
    assert told["margin"]["levels_usd"]["critical"] == "20000.0000"
    assert told["runway"]["strain"]["deviations"] == 2.0


def test_a_book_without_live_options_has_no_vol_and_says_so() -> None:
    found = report(snapshot(source(holdings=("2",)), venue=venue_state("-2")))
    assert found.not_measured == {
        "historical": "no past returns were given",
        "delta_gamma": NO_VOL,
        "monte_carlo": NO_VOL,
        "runway": NO_VOL,
    }
    told = json.loads(json.dumps(risk_json(found), allow_nan=False))
    assert told["tails"] == []
    assert told["runway"] is None
    assert NO_VOL[:20] in shown(found)
    given = report(snapshot(source(holdings=("2",))), vol=0.7)
    assert {tail.method for tail in given.tails} == {"delta_gamma", "monte_carlo"}


def test_too_few_returns_are_said_beside_what_could_be_measured() -> None:
    found = report(returns=(0.01, -0.01))
    assert "at least 100 returns, got 2" in found.not_measured["historical"]
    assert len(found.tails) == 2


def test_orders_without_an_outcome_are_said_not_to_be_counted() -> None:
    assert "not counted: +2" in shown(report(replace(SEEN, in_flight=Decimal(2)), tick=None))
    assert "observed now" in shown(report(tick=None))


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"confidence": 1.0}, "confidence"), ({"hours": -1.0}, "horizon"), ({"vol": 0.0}, "vol is 0")],
)
def test_settings_that_are_none_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        report(**settings)


class TestTheCommand:
    @pytest.fixture
    def ledger(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A ledger of the shipped configuration's book with one tick."""
        monkeypatch.setenv("VAULTKEEL_KEY", KEY)
        rig = Rig(tmp_path / "ledger.db", paper=True)
        rig.source.state = BOOK
        rig.tick()
        rig.ledger.close()
        return tmp_path / "ledger.db"

    def run(self, ledger: Path, *more: str) -> Any:
        config = str(share("config", "localnet.toml"))
        return CliRunner().invoke(app, ["risk", "--config", config, "--ledger", str(ledger), *more])

    def test_it_reads_the_newest_recorded_tick(self, ledger: Path) -> None:
        result = self.run(ledger, "--json")
        assert result.exit_code == 0, result.output
        told = json.loads(result.stdout)
        assert (told["book"], told["tick"]) == ("eth", 1)
        assert "Stresses" in self.run(ledger, "--tick", "1").stdout

    def test_it_reads_past_returns_from_a_file(self, ledger: Path, tmp_path: Path) -> None:
        returns = tmp_path / "returns.txt"
        returns.write_text("\n".join(map(str, RETURNS)) + "\n\n", encoding="utf-8")
        told = json.loads(self.run(ledger, "--json", "--returns", str(returns)).stdout)
        assert told["tails"][0]["outcomes"] == 200
        returns.write_text("0.01\nmuch\n", encoding="utf-8")
        failed = self.run(ledger, "--returns", str(returns)).exception
        assert isinstance(failed, ConfigError)
        assert "line 2: 'much' is not a return" in str(failed)

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            (["--tick", "9"], "no tick 9"),
            (["--confidence", "nan"], "confidence is nan"),
            (["--hours", "-1"], "horizon is -1.0"),
            (["--deviations", "nan"], "deviations is nan"),
            (["--correlation", "2"], "correlation is 2"),
            (["--paths", "3"], "3 paths"),
            (["--now", "--tick", "1"], "one of them"),
        ],
    )
    def test_what_cannot_be_asked_is_one_configuration_error(
        self, ledger: Path, more: list[str], says: str
    ) -> None:
        failed = self.run(ledger, *more).exception
        assert isinstance(failed, ConfigError)
        assert says in str(failed)
