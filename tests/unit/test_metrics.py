"""The metrics of a tick, by Prometheus' conventions, and the Grafana dashboard that shows them."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from builders import NOW, Rig, block, fill, intent
from prometheus_client.parser import text_string_to_metric_families

from bot.chain.client import Health
from bot.core.model import FeedPrice, Mode, Outcome, OutcomeState
from bot.errors import DataError
from bot.ops.metrics import OF_A_BOOK, Metrics, exposition, figures
from bot.ops.watch import Watch, harmless, state_line
from bot.ops.watchdog import Pulse
from bot.share import share

UNITS = ("seconds", "usd", "ratio", "blocks", "total", "info")
WITHOUT_UNIT = (
    "unhedged_delta",
    "net_delta",
    "net_delta_low",
    "net_delta_high",
    "gap",
    "band_low",
    "band_high",
    "hedge_size",
    "mode",
    "provider_up",
)
"""Counts, states, and sizes in units of whatever the book's underlying is."""


class NoAlerts:
    """Alerts as the metrics see them."""

    dropped = 3
    channels = (type("Channel", (), {"name": "phone", "sent": 7})(),)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "vaultkeel.db", paper=True)


@pytest.fixture
def metrics(rig: Rig) -> Metrics:
    alerts: Any = NoAlerts()
    return Metrics(rig.ledger.history, alerts, paper=True)


def samples(metrics: Metrics) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(exposition(metrics.registry)().decode()):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def value(metrics: Metrics, name: str, **labels: str) -> float:
    (found,) = [v for n, have, v in samples(metrics) if n == name and labels.items() <= have.items()]
    return found


def fed(rig: Rig) -> Any:
    """A tick with a feed and everything else that has a figure."""
    tick = rig.tick()
    feed = FeedPrice("chainlink", Decimal(2000), NOW - 40, 3600)
    seen = replace(tick.record.snapshot, feeds=(feed,), blocks=(block(timestamp=NOW - 7),))
    return replace(tick, record=replace(tick.record, snapshot=seen))


def test_a_tick_sets_the_figures_that_it_recorded(rig: Rig, metrics: Metrics) -> None:
    tick = fed(rig)
    metrics.done(tick, 0.3)
    record = tick.record
    assert value(metrics, "vaultkeel_net_delta", book="eth") == pytest.approx(record.exposure.net)
    assert value(metrics, "vaultkeel_spot_usd", book="eth") == 2000
    assert value(metrics, "vaultkeel_band_low", book="eth") == -0.5
    assert value(metrics, "vaultkeel_band_high", book="eth") == 0.5
    assert value(metrics, "vaultkeel_feed_age_seconds", feed="chainlink") == 40
    assert value(metrics, "vaultkeel_block_age_seconds", chain="localnet") == 7
    assert value(metrics, "vaultkeel_ticks_total", outcome="rebalance") == 1
    assert value(metrics, "vaultkeel_tick_duration_seconds_sum", book="eth") == 0.3
    assert math.isnan(value(metrics, "vaultkeel_liquidation_distance_ratio", book="eth"))


def test_exactly_one_mode_is_set(rig: Rig, metrics: Metrics) -> None:
    rig.ledger.set_mode(rig.book.account.id, Mode.HALTED, "why", NOW)
    metrics.done(rig.tick(), 0.1)
    modes = {labels["mode"]: v for name, labels, v in samples(metrics) if name == "vaultkeel_mode"}
    assert modes == {"ACTIVE": 0, "REDUCING": 0, "HALTED": 1}


def test_a_tick_that_fails_is_counted_by_its_error_and_leaves_the_figures(rig: Rig, metrics: Metrics) -> None:
    metrics.done(rig.tick(), 0.1)
    before = value(metrics, "vaultkeel_last_tick_timestamp_seconds", book="eth")
    metrics.failed("eth", DataError("no price"), 2.0)
    assert value(metrics, "vaultkeel_ticks_total", outcome="DataError") == 1
    assert value(metrics, "vaultkeel_last_tick_timestamp_seconds", book="eth") == before


def test_orders_gas_and_fees_are_the_ledgers_over_all_runs(rig: Rig, metrics: Metrics) -> None:
    tick_id = rig.tick().id
    for number in range(2):
        key = f"order-{number}"
        rig.ledger.intend(intent(key), tick_id)
        done = Outcome(OutcomeState.PAPER, "recorded", fill("-2"))
        rig.ledger.resolve(key, done, Decimal("0.25"), NOW)
    assert value(metrics, "vaultkeel_orders_total", book="eth", outcome="PAPER") >= 2
    assert value(metrics, "vaultkeel_gas_usd_total", book="eth") >= 0.5
    assert value(metrics, "vaultkeel_fees_usd_total", book="eth") >= 8


def test_a_ledger_that_cant_be_read_leaves_the_other_metrics(rig: Rig, metrics: Metrics) -> None:
    metrics.done(rig.tick(), 0.1)
    rig.path.unlink()
    rig.ledger.close()
    rig.path.mkdir()
    names = {name for name, _, _ in samples(metrics)}
    assert "vaultkeel_net_delta" in names
    assert "vaultkeel_orders_total" not in names


def test_providers_and_alerts_are_counted(metrics: Metrics) -> None:
    metrics.providers(
        [Health("a", 5, None), Health("b", 4, "it lags"), Health("c", None, None, failing=True)]
    )
    up = {labels["provider"]: v for n, labels, v in samples(metrics) if n == "vaultkeel_provider_up"}
    assert up == {"a": 1, "b": 0, "c": 0}
    assert value(metrics, "vaultkeel_alerts_dropped_total") == 3
    assert value(metrics, "vaultkeel_alerts_sent_total", channel="phone") == 7


def everything(rig: Rig, metrics: Metrics) -> set[str]:
    """The names of all samples, each provoked once."""
    metrics.done(fed(rig), 0.1)
    metrics.providers([Health("a", 5, None)])
    return {name for name, _, _ in samples(metrics)}


def test_names_follow_the_conventions(rig: Rig, metrics: Metrics) -> None:
    text = exposition(metrics.registry)().decode()
    everything(rig, metrics)
    for family in text_string_to_metric_families(text):
        name = family.name.removeprefix("vaultkeel_")
        assert family.name == f"vaultkeel_{name}"
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
        assert family.documentation
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        else:
            assert name in WITHOUT_UNIT or name.endswith(UNITS), f"{name} has no unit"


def test_every_figure_of_a_book_is_set_by_a_tick(rig: Rig) -> None:
    assert set(figures(rig.tick())) == set(OF_A_BOOK)


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(share("config", "grafana-dashboard.json").read_text(encoding="utf-8"))
    return found


def expressions(board: dict[str, Any]) -> list[str]:
    asked = [variable["query"] for variable in board["templating"]["list"]]
    return asked + [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_the_dashboard_asks_for_metrics_that_there_are_and_for_every_one(rig: Rig, metrics: Metrics) -> None:
    names = everything(rig, metrics)
    asked = {name for text in expressions(dashboard()) for name in re.findall(r"vaultkeel_\w+", text)}
    assert asked <= names, f"unknown: {asked - names}"
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in names}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert families <= shown, f"nowhere shown: {families - shown}"


def test_the_dashboards_labels_are_the_metrics_own(rig: Rig, metrics: Metrics) -> None:
    everything(rig, metrics)
    labels = {name: set(have) for name, have, _ in samples(metrics)}
    for text in expressions(dashboard()):
        for name, used in re.findall(r"(vaultkeel_\w+)\{(\w+)=~", text):
            assert used in labels[name]
        for wanted in re.findall(r"by \((\w+)\)", text):
            assert any(wanted in labels[name] for name in re.findall(r"vaultkeel_\w+", text))
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            (name, *_) = re.findall(r"vaultkeel_\w+", target["expr"])
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= labels[name]


def test_the_dashboards_panels_lie_side_by_side() -> None:
    taken: set[tuple[int, int]] = set()
    board = dashboard()
    for panel in board["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


class TestWatch:
    def test_a_bug_in_who_watches_goes_no_further(self) -> None:
        @harmless
        def broken() -> None:
            raise ZeroDivisionError

        broken()

    def test_a_tick_is_told_to_all_who_watch(self, rig: Rig, metrics: Metrics) -> None:
        pulse = Pulse(["eth"], 60, 300)
        told: list[Any] = []
        health = [Health("p1", 5, None), Health("p2", 5, "it lags 9 blocks behind")]
        watch = Watch(pulse, told.append, lambda: health, metrics)
        assert watch.state() == "0 ticks. None has succeeded yet."
        watch.began(rig.book)
        tick = rig.tick()
        watch.done(rig.book, tick)
        assert pulse.unready() == ""
        assert value(metrics, "vaultkeel_ticks_total", book="eth") == 1
        troubles = {event.about: event.over for event in told if event.about}
        assert troubles == {"p1": True, "p2": False}
        assert state_line(tick) in watch.state()
        watch.failed(rig.book, DataError("no price"))
        assert value(metrics, "vaultkeel_ticks_total", outcome="DataError") == 1

    def test_the_state_is_one_line_with_price_delta_hedge_and_mode(self, rig: Rig) -> None:
        line = state_line(rig.tick())
        assert line == "eth: ACTIVE, ETH 2,000.00 USD, net delta -5.2553, hedge +0.0000, rebalance"
