"""Commands for keys: make a keystore, put a key into one, show an address. A key is never an argument."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from bot.app.signers import make_signer
from bot.chain.signer.local import signer_from_keystore
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, show
from bot.config import load_config
from bot.errors import ConfigError
from bot.log import set_up_logs
from bot.private import hidden_answer, read_private, someone_answers, write_private

app = typer.Typer(help="Makes keystores and shows addresses.", no_args_is_help=True)

Keystore = Annotated[Path, typer.Argument(help="The keystore file.", show_default=False)]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", help="A file with the password, its owner's alone.")
]
INSTEAD = "give --password-file"


@app.command("new")
def new(path: Keystore, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Makes a key in a new keystore, and shows its address."""
    _refuse_to_overwrite(path)
    password = _new_password(password_file)
    _write(path, Account.create(), password, as_json=as_json)


@app.command("import")
def import_(path: Keystore, password_file: PasswordFile = None, as_json: Json = False) -> None:
    """Puts a private key, typed unseen or from standard input, into a new keystore, and shows its address."""
    _refuse_to_overwrite(path)
    if not someone_answers() and password_file is None:
        raise ConfigError(f"the key is read from standard input, so the password can't be: {INSTEAD}")
    key = hidden_answer("Private key in hex", "") if someone_answers() else sys.stdin.read()
    try:
        account = Account.from_key(key.strip())
    except Exception:  # noqa: BLE001 - any message of the library could quote the key
        raise ConfigError("this is not a private key of 32 bytes in hex") from None
    _write(path, account, _new_password(password_file), as_json=as_json)


@app.command("address")
def address(
    path: Annotated[
        Path | None, typer.Argument(help="A keystore file; without one the configured signer.")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    password_file: PasswordFile = None,
    as_json: Json = False,
) -> None:
    """Shows whose key a keystore, or the configured signer, has. It is opened, or asked to sign a harmless text."""
    set_up_logs(as_json=as_json, level="warning")
    if path is None:
        found = make_signer(load_config(config)).address
    elif password_file is None:
        found = signer_from_keystore(path, hidden_answer(f"Password of {path}", INSTEAD)).address
    else:
        found = signer_from_keystore(path, _password_of(password_file)).address
    show({"address": found}, found, as_json=as_json)


def _write(path: Path, account: LocalAccount, password: str, *, as_json: bool) -> None:
    """The keystore on the disk, once it was seen to open. ConfigError; an existing file is left as it is."""
    keystore = json.dumps(Account.encrypt(account.key, password))
    try:
        write_private(path, keystore.encode())
    except FileExistsError:
        _refuse_to_overwrite(path)
        raise
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror}") from None
    opened = signer_from_keystore(path, password).address
    if opened != account.address:
        raise ConfigError(f"{path} was written, but it opens as {opened}: don't use it")
    show({"address": opened, "keystore": str(path)}, opened, as_json=as_json)


def _refuse_to_overwrite(path: Path) -> None:
    if path.is_symlink() or path.exists():
        raise ConfigError(f"{path} is there already, and a key is never overwritten: choose another name")


def _new_password(file: Path | None) -> str:
    """From the file, or typed twice. ConfigError for one that is empty, or that a file could not hold."""
    if file is not None:
        return _password_of(file)
    password = hidden_answer("New password", INSTEAD)
    if not password or password != password.strip():
        raise ConfigError("a password has at least one character, and no blank at its ends")
    if hidden_answer("The same once more", INSTEAD) != password:
        raise ConfigError("the two passwords differ; nothing was written")
    return password


def _password_of(file: Path) -> str:
    try:
        password = read_private(file).decode("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{file} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file} is not text") from None
    if not password:
        raise ConfigError(f"{file} is empty")
    return password
