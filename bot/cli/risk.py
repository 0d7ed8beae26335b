"""The command that shows what a book risks."""

from pathlib import Path
from typing import Annotated

import typer

from bot.cli.look import Book, Ledger
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, busy, opened, show, warm_up
from bot.config import load_config
from bot.core.decision import Decided
from bot.core.margin import Strain
from bot.errors import ConfigError
from bot.ledger import open_ledger
from bot.log import set_up_logs
from bot.risk_view import RiskSettings, risk_json, risk_report, risk_view


def risk(
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    ledger: Ledger = None,
    tick: Annotated[int | None, typer.Option("--tick", help="Of this tick; the newest one if none.")] = None,
    now: Annotated[bool, typer.Option("--now", help="Observe the chains instead of the ledger.")] = False,
    confidence: Annotated[float, typer.Option(help="Of VaR and expected shortfall.")] = 0.99,
    hours: Annotated[float, typer.Option(help="Their horizon.")] = 24.0,
    vol: Annotated[
        float | None, typer.Option(help="The price's annual vol, 0.8 = 80 %; the options' own if not given.")
    ] = None,
    vol_of_vol: Annotated[float, typer.Option(help="Annual, of the vols' relative move.")] = 1.0,
    correlation: Annotated[float, typer.Option(help="Of price and vols, -1 to 1.")] = -0.3,
    paths: Annotated[int, typer.Option(help="How many moves are drawn.")] = 20_000,
    returns: Annotated[
        Path | None,
        typer.Option(help="A file of past returns over the horizon, one fraction per line.", exists=True),
    ] = None,
    deviations: Annotated[float, typer.Option(help="Runway: how far the price goes.")] = 2.0,
    vol_points: Annotated[float, typer.Option(help="Runway: how much the vol rises, 0.2 = 20 points.")] = 0.2,
    funding: Annotated[float, typer.Option(help="Runway: the fraction of notional paid per hour.")] = 0.0005,
    as_json: Json = False,
) -> None:
    """Shows what the book risks: scenarios, VaR, stresses, margin and how long it lasts. Sends nothing."""
    set_up_logs(as_json=as_json, level="warning")
    loaded = load_config(config)
    wanted = loaded.book(book)
    if now and tick is not None:
        raise ConfigError("--now and --tick: one of them")
    found, decided = (None, None) if now else recorded(ledger or loaded.ledger, wanted.name, tick)
    if decided is None:
        decided = observed(config, wanted.name, as_json=as_json)
    elif decided.snapshot.book != wanted.name:
        raise ConfigError(f"tick {found} is of book {decided.snapshot.book}, not of {wanted.name}")
    try:
        settings = RiskSettings(
            confidence=confidence,
            hours=hours,
            vol=vol,
            vol_of_vol=vol_of_vol,
            correlation=correlation,
            paths=paths,
            returns=() if returns is None else returns_of(returns),
            strain=Strain(deviations, vol_points, funding),
            hedge_ratio=float(wanted.target.hedge_ratio),
        )
        with busy("weighing what could happen", as_json=as_json):
            report = risk_report(decided, found, settings)
    except ValueError as error:
        raise ConfigError(f"risk: {error}") from error
    show(risk_json(report), risk_view(report), as_json=as_json)


def recorded(ledger: Path, book: str, tick: int | None) -> tuple[int | None, Decided | None]:
    """A tick of the ledger with its number; the book's newest where `tick` is None, nothing where it has none."""
    history = open_ledger(ledger).history
    if tick is None:
        try:
            tick = history.newest(book)
        except ConfigError:
            return None, None
    return tick, history.tick(tick).decided


def observed(config: Path, book: str, *, as_json: bool) -> Decided:
    """What a tick of the book would decide now."""
    warm_up()
    with opened(config) as bot, busy("reading the chains", as_json=as_json):
        (found,) = (each for each in bot.desk.books if each.name == book)
        return bot.desk.assess(found)


def returns_of(path: Path) -> tuple[float, ...]:
    """The returns of a file, one per line; empty lines are passed over. ConfigError names the line that is none."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                found.append(float(line))
            except ValueError:
                raise ConfigError(f"{path}, line {number}: {line.strip()!r} is not a return") from None
    return tuple(found)
