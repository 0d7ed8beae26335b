"""The commands' reference, from the program itself: `python docs/command_reference.py` writes docs/commands.md."""

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from bot.cli import app

PAGE = Path(__file__).parent / "commands.md"
HEAD = """# Commands

Made from the program itself by `docs/command_reference.py`. `--help` after any command says the same.

- `--json` prints one JSON object instead of tables. Logs go to standard error, results to standard output.
- `--config` names the configuration; else `VAULTKEEL_CONFIG` does, else it is `vaultkeel.toml`.
- Exit codes mean something: [operating](operating.md#exit-codes).
"""
EVERYWHERE = {"--json", "--config", "--help"}
"""Options that the head has told of."""


def all_commands(group: Any, before: str = "vaultkeel") -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, in the order of `--help`."""
    context = typer.Context(group)  # commands are imported as they are asked for
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from all_commands(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def usage(name: str, command: Any) -> str:
    """The command with its arguments, those that may be left out in brackets."""
    given = [param for param in command.params if param.param_type_name == "argument"]
    words = [(param.metavar or param.name.upper()).strip("[]") for param in given]
    return " ".join([name, *(w if p.required else f"[{w}]" for w, p in zip(words, given, strict=True))])


def rows(command: Any) -> Iterator[str]:
    """A line for each option and described argument, but for what every command has."""
    for param in command.params:
        is_option = param.param_type_name == "option"
        said = getattr(param, "help", None) or ""
        if (is_option and EVERYWHERE & set(param.opts)) or (not is_option and not said):
            continue
        name = param.opts[0] if is_option else (param.metavar or param.name.upper()).strip("[]")
        yield f"| `{name}` | {one_line(said)} | {default_of(param)} |"


def default_of(param: Any) -> str:
    """What an option is where it isn't given."""
    if param.required:
        return "*required*"
    value = param.default
    if callable(value) or value is None or value is False or value in ((), [], ""):
        return ""
    return f"`{value}`"


def one_line(text: str) -> str:
    """A text that fits a table."""
    return " ".join(text.split()).replace("|", "\\|")


def page() -> str:
    """The whole reference."""
    parts = [HEAD]
    for name, command in all_commands(typer.main.get_command(app)):
        about = one_line(inspect.cleandoc(command.help or ""))
        parts.append(f"## `{usage(name, command)}`\n\n{about}\n")
        found = list(rows(command))
        if found:
            parts.append("\n".join(["| option | meaning | default |", "|---|---|---|", *found, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
