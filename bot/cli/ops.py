"""Commands around a run: doctor, export, and a test of the alerts."""

import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bot import export as exports
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, busy, settings, show
from bot.core.events import Kind, Severity
from bot.errors import ConfigError
from bot.log import conceal, set_up_logs
from bot.nearest import did_you_mean
from bot.render import plain_table

ANSWER_S = 30.0
"""How long one channel may take for its test message."""

alerts = typer.Typer(help="Who is told what happens.", no_args_is_help=True)


class Kinds(StrEnum):
    """The formats of an export."""

    CSV = "csv"
    PARQUET = "parquet"


def doctor(config: ConfigFile = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Examines everything that a run rests on, and says what to do about it. Signs, sends and writes nothing."""
    from bot.doctor import doctor_json, doctor_view, examine
    from bot.doctor.findings import State

    set_up_logs(as_json=as_json, level="error")
    with busy("examining", as_json=as_json):
        found = examine(config)
    show(doctor_json(found), doctor_view(found), as_json=as_json)
    if any(one.state is State.FAIL for one in found):
        raise typer.Exit(1)


def export(
    config: ConfigFile = DEFAULT_CONFIG,
    out: Annotated[Path, typer.Option(help="The folder for the files.")] = Path("export"),
    formats: Annotated[list[Kinds] | None, typer.Option("--format", help="Both are possible.")] = None,
    tables: Annotated[list[str] | None, typer.Option("--table", help="Only these; all if not given.")] = None,
    ledger: Annotated[
        Path | None,
        typer.Option("--ledger", help="Another ledger than the configuration's own.", exists=True),
    ] = None,
    as_json: Json = False,
) -> None:
    """Writes orders, transactions, fills, decisions and exposure as CSV or Parquet files. Changes nothing."""
    names = [table.name for table in exports.TABLES]
    for name in tables or ():
        if name not in names:
            raise ConfigError(f"--table {name}: there are {', '.join(names)}{did_you_mean(name, names)}")
    source = settings(config).ledger if ledger is None else ledger
    with busy("exporting", as_json=as_json) as said:
        counts = exports.export(
            source,
            out,
            [kind.value for kind in formats or [Kinds.CSV]],
            tables or names,
            lambda table, rows: said(f"{table}: {rows:,} rows"),
        )
    view = plain_table(f"Written to {out}")
    view.add_column("table")
    view.add_column("rows", justify="right")
    for name, rows in counts.items():
        view.add_row(name, f"{rows:,}")
    show({"out": str(out), "rows": counts}, view, as_json=as_json)


@alerts.command("test")
def send_test(
    config: ConfigFile = DEFAULT_CONFIG,
    channel: Annotated[str | None, typer.Option("--channel", help="Only this one.")] = None,
    as_json: Json = False,
) -> None:
    """Sends a test message to every configured channel, whatever its least severity, and says which took it."""
    from bot.ops.alerts import sender_of
    from bot.ops.grouping import Message

    set_up_logs(as_json=as_json, level="error")
    configured = settings(config).alerts
    channels = () if configured is None else configured.channels
    wanted = tuple(one for one in channels if channel in (None, one.name))
    if configured is None or not wanted:
        raise ConfigError("alerts.channels: there is no such channel: add it under [[alerts.channels]]")
    message = Message(Kind.TEST, Severity.INFO, "", "This is a test. Nothing is wrong.")
    results: dict[str, str] = {}

    def attempt(name: str) -> None:
        one = next(each for each in wanted if each.name == name)
        try:
            results[name] = (
                "delivered" if sender_of(one, configured.name)(message) else "the service did not take it"
            )
        except Exception as error:  # noqa: BLE001 - whatever a service's plugin raises is the channel's answer
            results[name] = conceal(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=attempt, args=(one.name,), daemon=True) for one in wanted]
    with busy("asking the channels", as_json=as_json):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(ANSWER_S)
    shown = {one.name: results.get(one.name, f"no answer in {ANSWER_S:.0f} s") for one in wanted}
    view = plain_table("Test message")
    view.add_column("channel")
    view.add_column("result", overflow="fold")
    for name, result in shown.items():
        view.add_row(Text(name), Text(result))
    show({"channels": shown}, view, as_json=as_json)
    if any(result != "delivered" for result in shown.values()):
        raise typer.Exit(1)
