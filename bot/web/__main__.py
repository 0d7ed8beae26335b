"""The dashboard's process, which `vaultkeel dashboard` becomes."""

import argparse
import json
import os
import secrets
import socket
import sys
from pathlib import Path

from bot.config import load_config
from bot.errors import ConfigError, VaultkeelError
from bot.log import set_up_logs
from bot.private import read_private
from bot.web.door import SHORTEST_TOKEN, Door, is_loopback

TOKEN_VARIABLE = "VAULTKEEL_DASHBOARD_TOKEN"  # noqa: S105 - the name of a variable, not a token


def main() -> None:
    """Serves until SIGTERM or Ctrl-C. An error is one line and its exit code, as everywhere."""
    options = parsed(sys.argv[1:])
    set_up_logs(as_json=options.json, level="warning")
    try:
        serve(options)
    except VaultkeelError as error:
        if options.json:
            print(json.dumps({"error": type(error).__name__, "message": str(error)}))  # noqa: T201
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_code)


def parsed(arguments: list[str]) -> argparse.Namespace:
    """The options that `vaultkeel dashboard` passes on."""
    parser = argparse.ArgumentParser(prog="vaultkeel dashboard")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--token-file", type=Path, default=None)
    parser.add_argument("--allow-host", action="append", default=[])
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def serve(options: argparse.Namespace) -> None:
    """Listens, says where, and serves. ConfigError where it can't."""
    try:
        from bot.web.app import create_app
        from bot.web.serving import server_of
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the dashboard needs the package {error.name}: install it with `pip install 'vaultkeel[web]'`"
        ) from None
    config = load_config(options.config, secrets=False)
    token, generated = token_of(options.token_file)
    door = door_of(options, token)
    app = create_app(config, door)
    listening = listen(options.host, options.port)
    announce(door, listening.getsockname()[1], generated=generated, as_json=options.json)
    server_of(app).run(sockets=[listening])


def door_of(options: argparse.Namespace, token: str) -> Door:
    """Where it listens and by which names it may be asked."""
    return Door(options.host, token, tuple(options.allow_host))


def token_of(file: Path | None) -> tuple[str, bool]:
    """The token and whether it was made just now. ConfigError for one that could be guessed."""
    if file is not None:
        try:
            token = read_private(file).decode("utf-8").strip()
        except OSError as error:
            raise ConfigError(f"{file} can't be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError(f"{file} is not text") from None
        where = str(file)
    else:
        token, where = os.environ.get(TOKEN_VARIABLE, ""), TOKEN_VARIABLE
        if not token:
            return secrets.token_urlsafe(24), True
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{where}: a token has at least {SHORTEST_TOKEN} characters, so that nobody guesses it"
        )
    return token, False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. ConfigError where the address can't be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # By its protocol asyncio knows that it may send small packets at once.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        raise ConfigError(f"the dashboard can't listen on {host} port {port}: {error.strerror}") from None
    return listening


def announce(door: Door, port: int, *, generated: bool, as_json: bool) -> None:
    """Where to look, and once the token where it was made just now."""
    shown = f"[{door.host}]" if ":" in door.host else door.host
    url = f"http://{shown}:{port}/"
    if as_json:
        found = {"url": url, "token": door.token if generated else None}
        print(json.dumps(found), flush=True)  # noqa: T201 - this is the command's result
        return
    lines = [f"dashboard at {url}; Ctrl-C ends it"]
    if generated:
        lines.append(f"token for actions, shown only now: {door.token}")
    if not is_loopback(door.host):
        lines.append(
            "others can reach it: reading takes the token too. Put TLS in front of it (docs/dashboard.md)"
        )
    print("\n".join(lines), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
