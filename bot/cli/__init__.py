"""The commands. Each parses its arguments, calls one function and shows the result; no logic lives here."""

import json
import sys

import typer

from bot import __version__
from bot.cli import keys, local, look, operate, ops, propose, risk, web
from bot.cli.shared import Json, people, show
from bot.errors import VaultkeelError

INTERRUPTED = 130

app = typer.Typer(
    name="vaultkeel",
    help="Keeps on-chain option vaults delta-neutral.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def version(as_json: Json = False) -> None:
    """Prints the version."""
    show({"version": __version__}, __version__, as_json=as_json)


for name, command in (
    ("demo", local.demo),
    ("rehearse", local.rehearse),
    ("localnet", local.localnet),
    ("fork", local.fork),
    ("status", operate.status),
    ("once", operate.once),
    ("run", operate.run),
    ("explain", look.explain),
    ("replay", look.replay),
    ("risk", risk.risk),
    ("doctor", ops.doctor),
    ("export", ops.export),
    ("dashboard", web.dashboard),
    ("halt", operate.halt),
    ("reduce-only", operate.reduce_only),
    ("resume", operate.resume),
    ("intents", operate.intents),
    ("adopt", operate.adopt),
    ("resolve", operate.resolve),
):
    app.command(name)(command)
app.add_typer(keys.app, name="key")
app.add_typer(propose.app, name="propose")
app.add_typer(ops.alerts, name="alerts")


def main() -> None:
    """The entry point: an error is one line on standard error and its own exit code, never a traceback."""
    as_json = "--json" in sys.argv
    try:
        app()
    except VaultkeelError as error:
        if as_json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))  # noqa: T201
        people.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        people.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        people.print("interrupted")
        sys.exit(INTERRUPTED)
