"""The command that serves the dashboard."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import bot
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, people
from bot.errors import ConfigError

START = "import sys; sys.path.append({root!r}); from bot.web.__main__ import main; main()"


def dashboard(
    config: ConfigFile = DEFAULT_CONFIG,
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen on; on any but this computer's own, reading takes the token."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0 takes a free one.", min=0, max=65535)
    ] = 8600,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with the token, its owner's alone; else VAULTKEEL_DASHBOARD_TOKEN, else a new one."
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Another name that it may be asked by, behind a proxy.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Serves the dashboard of the configuration's ledger until Ctrl-C. It reads, and can't sign."""
    if not config.is_file():
        raise ConfigError(f"{config} is not there: `vaultkeel init` writes one, or give --config")
    arguments = ["--config", str(config), "--host", host, "--port", str(port)]
    arguments += [] if token_file is None else ["--token-file", str(token_file)]
    for name in allow_host or ():
        arguments += ["--allow-host", name]
    arguments += ["--json"] if as_json else []
    if people.is_terminal and not as_json:
        people.print("starting the dashboard")
    # This process may have imported what signs. The dashboard takes its place, and imports none of it; the package's
    # folder goes to the end of its path, where it can hide nothing.
    start = START.format(root=str(Path(bot.__file__).parents[1]))
    os.execv(sys.executable, [sys.executable, "-P", "-c", start, *arguments])  # noqa: S606
