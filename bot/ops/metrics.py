"""Figures of a run for Prometheus. Sizes are in units of the underlying, money in USD, times in seconds."""

import time
from collections.abc import Callable, Iterable, Iterator

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from bot import __version__
from bot.chain.client import Health
from bot.core.margin import margin_of
from bot.core.model import Band, Mode, Snapshot
from bot.desk import Tick
from bot.errors import DataError
from bot.ledger.history import History
from bot.ops.alerts import Alerts

log = structlog.get_logger("vaultkeel.ops")

disable_created_metrics()  # type: ignore[no-untyped-call]
SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300)
UNKNOWN = float("nan")

OF_A_BOOK = {
    "spot_usd": "Spot of the underlying in USD.",
    "unhedged_delta": "Delta of options and holdings, in units of the underlying.",
    "net_delta": "Best estimate of the net delta, in units of the underlying.",
    "net_delta_low": "Lowest net delta that the doubts allow, in units of the underlying.",
    "net_delta_high": "Highest net delta that the doubts allow, in units of the underlying.",
    "gap": "What the hedge is away from its target, in units of the underlying.",
    "band_low": "Lowest gap that the policy leaves alone, in units of the underlying; NaN where it has none.",
    "band_high": "Highest gap that the policy leaves alone, in units of the underlying; NaN where it has none.",
    "hedge_size": "Position on the venue, signed, in units of the underlying.",
    "options_value_usd": "Value of the vault's options in USD.",
    "margin_equity_usd": "The hedge account's equity in USD.",
    "margin_ratio": "Equity over what the venue requires; NaN without a position.",
    "liquidation_distance_ratio": "Move of the mark to the liquidation price, as a signed fraction; NaN for none.",
    "funding_per_hour_ratio": "Fraction of notional that a long pays per hour.",
    "vols_age_seconds": "Age of the vols at the last tick that succeeded.",
    "loss_day_usd": "What the book lost in the last 24 hours, in USD; 0 where it gained.",
    "last_tick_timestamp_seconds": "Unix time of the last tick that succeeded.",
}


class Metrics:
    """Every figure, in a registry of its own. Written after each tick; what the ledger sums is read when asked for."""

    def __init__(self, history: History, alerts: Alerts | None, *, paper: bool) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self._book = {
            name: Gauge(f"vaultkeel_{name}", text, ["book"], registry=registry)
            for name, text in OF_A_BOOK.items()
        }
        self._duration = Histogram(
            "vaultkeel_tick_duration_seconds",
            "How long ticks took.",
            ["book"],
            buckets=SECONDS,
            registry=registry,
        )
        self._ticks = Counter(
            "vaultkeel_ticks",
            "Ticks by what they did or what stopped them.",
            ["book", "outcome"],
            registry=registry,
        )
        self._feed_age = Gauge(
            "vaultkeel_feed_age_seconds",
            "Age of a price feed at the last tick.",
            ["book", "feed"],
            registry=registry,
        )
        self._block_age = Gauge(
            "vaultkeel_block_age_seconds",
            "Age of the pinned block at the last tick.",
            ["book", "chain"],
            registry=registry,
        )
        self._mode = Gauge(
            "vaultkeel_mode", "1 for the mode that the account is in.", ["book", "mode"], registry=registry
        )
        self._provider = Gauge(
            "vaultkeel_provider_up",
            "1 for a provider that answers and is not set aside.",
            ["provider"],
            registry=registry,
        )
        self._height = Gauge(
            "vaultkeel_provider_height_blocks", "A provider's last height.", ["provider"], registry=registry
        )
        info = Gauge(
            "vaultkeel_build_info", "1, with the version.", ["version", "trading"], registry=registry
        )
        info.labels(__version__, "paper" if paper else "live").set(1)
        registry.register(FromLedger(history, paper=paper))
        registry.register(FromAlerts(alerts))

    def done(self, tick: Tick, seconds: float) -> None:
        """Notes a tick that succeeded and how long it took."""
        record = tick.record
        snapshot, decision = record.snapshot, record.decision
        book = snapshot.book
        for name, value in figures(tick).items():
            self._book[name].labels(book).set(value)
        outcome = decision.code.lower() if decision.kind == "hold" else decision.kind
        self._count(book, outcome, seconds)
        for feed in snapshot.feeds:
            self._feed_age.labels(book, feed.name).set(snapshot.at - feed.updated_at)
        for block in snapshot.blocks:
            self._block_age.labels(book, block.chain).set(snapshot.at - block.timestamp)
        for mode in Mode:
            self._mode.labels(book, mode.value).set(mode is record.mode)

    def failed(self, book: str, error: Exception, seconds: float) -> None:
        """Notes a tick that an error stopped."""
        self._count(book, type(error).__name__, seconds)

    def providers(self, health: Iterable[Health]) -> None:
        """Notes how the providers stand."""
        for one in health:
            self._provider.labels(one.name).set(not (one.failing or one.set_aside_why))
            if one.height is not None:
                self._height.labels(one.name).set(one.height)

    def _count(self, book: str, outcome: str, seconds: float) -> None:
        self._ticks.labels(book, outcome).inc()
        self._duration.labels(book).observe(seconds)


def figures(tick: Tick) -> dict[str, float]:
    """The figures of a tick by their names in `OF_A_BOOK`."""
    record = tick.record
    snapshot, exposure, band = record.snapshot, record.exposure, record.decision.band
    low, high = (band.low, band.high) if isinstance(band, Band) else (UNKNOWN, UNKNOWN)
    return {
        "spot_usd": float(snapshot.spot),
        "unhedged_delta": exposure.unhedged,
        "net_delta": exposure.net,
        "net_delta_low": exposure.net_lo,
        "net_delta_high": exposure.net_hi,
        "gap": (exposure.gap_lo + exposure.gap_hi) / 2,
        "band_low": low,
        "band_high": high,
        "hedge_size": float(snapshot.venue.position.size),
        "options_value_usd": exposure.value,
        **margin_figures(snapshot),
        "funding_per_hour_ratio": float(snapshot.venue.funding_per_hour),
        "vols_age_seconds": snapshot.at - snapshot.vols.at,
        "loss_day_usd": float(snapshot.spent.loss_day_usd),
        "last_tick_timestamp_seconds": time.time(),
    }


def margin_figures(snapshot: Snapshot) -> dict[str, float]:
    """The margin's figures, NaN where they are not known."""
    try:
        state = margin_of(snapshot.venue)
    except DataError:
        return dict.fromkeys(("margin_equity_usd", "margin_ratio", "liquidation_distance_ratio"), UNKNOWN)
    return {
        "margin_equity_usd": float(state.equity),
        "margin_ratio": UNKNOWN if state.ratio is None else float(state.ratio),
        "liquidation_distance_ratio": UNKNOWN if state.distance is None else float(state.distance),
    }


class FromLedger(Collector):
    """What the ledger has summed up over all runs: orders, gas and fees. Read when somebody asks, never by a tick."""

    def __init__(self, history: History, *, paper: bool) -> None:
        self._history = history
        self._paper = paper

    def describe(self) -> Iterable[Metric]:
        """Nothing: to say it would read the ledger."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The sums; nothing where the ledger can't be read now."""
        orders = CounterMetricFamily("vaultkeel_orders", "Orders by outcome.", labels=["book", "outcome"])
        gas = CounterMetricFamily("vaultkeel_gas_usd", "Gas paid in USD.", labels=["book"])
        fees = CounterMetricFamily("vaultkeel_fees_usd", "Fees paid to the venue in USD.", labels=["book"])
        try:
            counted, paid = self._history.totals(paper=self._paper)
        except Exception as error:  # noqa: BLE001 - a scrape is answered with what is known
            log.warning("the ledger could not be read for the metrics", why=type(error).__name__)
            return
        spent: dict[str, float] = {}
        for book, outcome, number, gas_usd in counted:
            orders.add_metric([book, outcome], number)
            spent[book] = spent.get(book, 0.0) + gas_usd
        for book, amount in spent.items():
            gas.add_metric([book], amount)
        for book, amount in paid:
            fees.add_metric([book], amount)
        yield from (orders, gas, fees)


class FromAlerts(Collector):
    """How many alerts went out and how many were dropped."""

    def __init__(self, alerts: Alerts | None) -> None:
        self._alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """The counts; 0 dropped where there are no alerts."""
        dropped = CounterMetricFamily("vaultkeel_alerts_dropped", "Alerts that could not be delivered.")
        dropped.add_metric([], 0 if self._alerts is None else self._alerts.dropped)
        sent = CounterMetricFamily("vaultkeel_alerts_sent", "Alerts that were delivered.", labels=["channel"])
        for channel in () if self._alerts is None else self._alerts.channels:
            sent.add_metric([channel.name], channel.sent)
        yield from (dropped, sent)


def exposition(registry: CollectorRegistry) -> Callable[[], bytes]:
    """The registry in Prometheus' text format, whenever it is asked for."""
    return lambda: generate_latest(registry)
