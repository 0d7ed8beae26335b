"""`vaultkeel key`: keystores that only their owner can use, and that are never overwritten."""

import getpass
import io
import json
import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from eth_account import Account
from services import KmsStandIn, Web3SignerService
from support import run_here

from bot.chain.signer.local import signer_from_key
from bot.share import share

KEY = "0x" + "42" * 32
ADDRESS = signer_from_key(KEY).address
PASSWORD = "c4nary-p4ssw0rd"

Here = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def quick_keystores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keystores that open at once: what is tested here is not scrypt."""
    encrypt = Account.encrypt

    def quick(key: Any, password: str) -> dict[str, Any]:
        return encrypt(key, password, kdf="pbkdf2", iterations=2)

    monkeypatch.setattr(Account, "encrypt", quick)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Here:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: run_here(monkeypatch, capsys, "key", *arguments)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text(PASSWORD + "\n")
    return path


class Person:
    """Sits at the terminal and answers in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
        self.questions: list[str] = []
        left = list(answers)

        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        def answer(question: str) -> str:
            self.questions.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr(sys, "stdin", Terminal())
        monkeypatch.setattr(getpass, "getpass", answer)


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def opens(path: Path, password: str = PASSWORD) -> str:
    """The address of the key in a keystore, by the library alone."""
    key = Account.decrypt(json.loads(path.read_text()), password)
    return str(Account.from_key(key).address)


class TestNew:
    def test_a_new_keystore_is_its_owners_alone_and_opens_as_the_address_shown(
        self, here: Here, tmp_path: Path, password_file: Path
    ) -> None:
        code, out, err = here("new", "hedger.json", "--password-file", password_file)
        assert (code, err) == (0, "")
        path = tmp_path / "hedger.json"
        assert opens(path) == out.strip()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_two_keys_are_never_the_same(self, here: Here, password_file: Path) -> None:
        shown = {here("new", f"{n}.json", "--password-file", password_file)[1] for n in range(5)}
        assert len(shown) == 5

    def test_as_json_it_is_one_object(self, here: Here, password_file: Path) -> None:
        code, out, _ = here("new", "hedger.json", "--password-file", password_file, "--json")
        assert code == 0
        assert json.loads(out) == {"address": opens(Path("hedger.json")), "keystore": "hedger.json"}

    def test_a_password_is_asked_for_twice(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        person = Person(monkeypatch, PASSWORD, PASSWORD)
        code, out, err = here("new", "hedger.json")
        assert code == 0, err
        assert person.questions == ["New password: ", "The same once more: "]
        assert opens(Path("hedger.json")) == out.strip()
        assert PASSWORD not in out + err

    @pytest.mark.parametrize(
        ("answers", "says"),
        [
            ((PASSWORD, PASSWORD + "!"), "the two passwords differ"),
            (("",), "at least one character"),
            ((" blank ",), "no blank at its ends"),
            ((), "It was not answered"),
            ((PASSWORD,), "It was not answered"),
        ],
    )
    def test_without_a_password_nothing_is_written(
        self, here: Here, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], says: str
    ) -> None:
        Person(monkeypatch, *answers)
        code, out, err = here("new", "hedger.json")
        assert (code, out) == (2, "")
        assert says in err
        assert not Path("hedger.json").exists()

    def test_where_nobody_can_answer_it_says_what_to_give(
        self, here: Here, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        piped(monkeypatch, PASSWORD)
        code, _, err = here("new", "hedger.json")
        assert code == 2
        assert "Nobody is there to answer: give --password-file" in err

    @pytest.mark.parametrize("command", ["new", "import"])
    @pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
    def test_what_is_there_is_never_overwritten(
        self,
        here: Here,
        monkeypatch: pytest.MonkeyPatch,
        password_file: Path,
        command: str,
        kind: str,
    ) -> None:
        path, other = Path("hedger.json"), Path("other.json")
        if kind == "file":
            path.write_text("precious")
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to(other)
            if kind == "link":
                other.write_text("precious")
        piped(monkeypatch, KEY)
        code, _, err = here(command, path, "--password-file", password_file)
        assert code == 2
        assert "hedger.json is there already, and a key is never overwritten" in err
        assert kind != "file" or path.read_text() == "precious"
        assert kind != "link" or other.read_text() == "precious"
        assert kind != "dangling link" or not other.exists()

    def test_one_that_appears_meanwhile_is_not_overwritten_either(
        self, here: Here, monkeypatch: pytest.MonkeyPatch, password_file: Path
    ) -> None:
        encrypt = Account.encrypt

        def slow(key: Any, password: str) -> dict[str, Any]:
            Path("hedger.json").write_text("precious")
            return encrypt(key, password)

        monkeypatch.setattr(Account, "encrypt", slow)
        code, _, err = here("new", "hedger.json", "--password-file", password_file)
        assert code == 2
        assert "is there already" in err
        assert Path("hedger.json").read_text() == "precious"

    def test_a_folder_that_is_not_there_is_named(self, here: Here, password_file: Path) -> None:
        code, _, err = here("new", "nowhere/hedger.json", "--password-file", password_file)
        assert code == 2
        assert "nowhere/hedger.json can't be written: No such file" in err

    @pytest.mark.parametrize(
        ("content", "mode", "says"),
        [
            (PASSWORD.encode(), 0o644, "its permissions are 0644"),
            (b"  \n", 0o600, "is empty"),
            (b"\xff\xfe", 0o600, "is not text"),
        ],
    )
    def test_a_password_file_that_is_wide_or_odd_is_refused(
        self, here: Here, password_file: Path, content: bytes, mode: int, says: str
    ) -> None:
        password_file.write_bytes(content)
        password_file.chmod(mode)
        code, _, err = here("new", "hedger.json", "--password-file", password_file)
        assert code == 2
        assert says in err
        assert PASSWORD not in err
        assert not Path("hedger.json").exists()


class TestImport:
    @pytest.mark.parametrize("written", [KEY, KEY[2:], f"  {KEY}\n"])
    def test_a_key_comes_from_standard_input(
        self, here: Here, monkeypatch: pytest.MonkeyPatch, password_file: Path, written: str
    ) -> None:
        piped(monkeypatch, written)
        code, out, err = here("import", "hedger.json", "--password-file", password_file)
        assert (code, out, err) == (0, ADDRESS + "\n", "")
        assert opens(Path("hedger.json")) == ADDRESS
        assert KEY[2:] not in Path("hedger.json").read_text()

    def test_or_it_is_typed_unseen(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        person = Person(monkeypatch, KEY, PASSWORD, PASSWORD)
        code, out, _ = here("import", "hedger.json")
        assert (code, out) == (0, ADDRESS + "\n")
        assert person.questions[0] == "Private key in hex: "

    @pytest.mark.parametrize("written", ["", "0x12", "c4nary " * 9, KEY + "00", "0x" + "00" * 32])
    def test_what_is_no_key_is_refused_without_being_quoted(
        self, here: Here, monkeypatch: pytest.MonkeyPatch, password_file: Path, written: str
    ) -> None:
        piped(monkeypatch, written)
        code, _, err = here("import", "hedger.json", "--password-file", password_file)
        assert (code, err) == (2, "ConfigError: this is not a private key of 32 bytes in hex\n")
        assert not Path("hedger.json").exists()

    def test_a_piped_key_needs_a_password_file(self, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
        piped(monkeypatch, KEY)
        code, _, err = here("import", "hedger.json")
        assert code == 2
        assert "give --password-file" in err

    def test_a_key_is_never_an_argument(self, here: Here, password_file: Path) -> None:
        code, _, _ = here("import", "hedger.json", KEY, "--password-file", password_file)
        assert code != 0
        assert not Path("hedger.json").exists()


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "hedger.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(Account.encrypt(KEY, PASSWORD)))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """A configuration with this signer, whose ledger can't be made."""

    def write(**signer: Any) -> Path:
        document: Any = tomlkit.parse(share("config", "localnet.toml").read_text(encoding="utf-8"))
        document["signer"] = signer
        document["ledger"] = "no/such/folder/ledger.db"
        path = tmp_path / "vaultkeel.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        return path

    return write


class TestAddress:
    def test_a_keystore_is_opened(self, here: Here, keystore: Path, password_file: Path) -> None:
        code, out, _ = here("address", keystore, "--password-file", password_file)
        assert (code, out) == (0, ADDRESS + "\n")

    def test_its_password_may_be_typed(
        self, here: Here, keystore: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person = Person(monkeypatch, PASSWORD)
        code, out, _ = here("address", keystore, "--json")
        assert code == 0
        assert json.loads(out) == {"address": ADDRESS}
        assert person.questions == [f"Password of {keystore}: "]

    def test_a_wrong_password_is_refused(
        self, here: Here, keystore: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        Person(monkeypatch, "wrong")
        code, out, err = here("address", keystore)
        assert (code, out) == (2, "")
        assert f"signer.password: it does not open {keystore}" in err.replace("\n", " ")

    def test_every_kind_of_configured_signer_says_the_same_address(
        self,
        here: Here,
        keystore: Path,
        password_file: Path,
        config: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", KEY)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "example")
        with Web3SignerService(KEY) as service, KmsStandIn(KEY) as kms:
            signers: list[dict[str, Any]] = [
                {"kind": "key", "key": "env:VAULTKEEL_KEY", "plain_key": True},
                {"kind": "keystore", "keystore": str(keystore), "password": f"file:{password_file}"},
                {"kind": "web3signer", "url": service.url, "address": ADDRESS},
                {
                    "kind": "aws_kms",
                    "key_id": kms.key_id,
                    "address": ADDRESS,
                    "endpoint": kms.url,
                    "region": "eu-central-1",
                },
                {"kind": "watch", "address": ADDRESS},
            ]
            for signer in signers:
                code, out, err = here("address", "--config", config(**signer))
                assert (code, out) == (0, ADDRESS + "\n"), err
                assert ("in the clear" in err) is (signer["kind"] == "key")

    def test_a_prompt_asks_at_start_and_says_so_where_nobody_can_answer(
        self, here: Here, keystore: Path, config: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = config(kind="keystore", keystore=str(keystore), password="prompt")
        person = Person(monkeypatch, PASSWORD)
        assert here("address", "--config", path)[:2] == (0, ADDRESS + "\n")
        assert person.questions == [f"Password of {keystore}: "]
        piped(monkeypatch, PASSWORD)
        code, _, err = here("address", "--config", path)
        assert code == 2
        assert "Nobody is there to answer: signer.password can name a file or a variable instead" in err


class TestRefusedConfigurations:
    @pytest.mark.parametrize(
        ("signer", "says"),
        [
            (
                {"kind": "key", "key": "env:VAULTKEEL_KEY"},
                'signer: a key in the clear needs plain_key = true; safer is kind "keystore" '
                '(`vaultkeel key import` makes one), "web3signer" or "aws_kms"',
            ),
            (
                {"kind": "key", "key": "env:VAULTKEEL_KEY", "plain_key": "yes"},
                "signer.plain_key: Input should be a valid boolean",
            ),
            (
                {"kind": "web3signer", "url": "http://signer.example", "address": ADDRESS},
                "signer.url: http:// is for this computer alone; a service elsewhere needs https://",
            ),
            (
                {"kind": "web3signer", "url": "http://127.0.0.1.example:9000", "address": ADDRESS},
                "signer.url: http:// is for this computer alone; a service elsewhere needs https://",
            ),
            (
                {"kind": "web3signer", "url": "https://signer.example?key=1", "address": ADDRESS},
                "signer.url: the address ends before any ? or #",
            ),
            (
                {"kind": "web3signer", "url": "https://signer.example"},
                "signer.address: Field required",
            ),
            (
                {
                    "kind": "web3signer",
                    "url": "https://signer.example",
                    "address": ADDRESS,
                    "client_key": "hedger.key",
                },
                "signer: client_key needs client_cert",
            ),
            ({"kind": "aws_kms", "key_id": "", "address": ADDRESS}, "signer.key_id: String should have"),
            (
                {"kind": "aws_kms", "key_id": "k", "address": ADDRESS, "endpoint": "http://kms.example"},
                "signer.endpoint: http:// is for this computer alone",
            ),
            (
                {"kind": "aws_kms", "key_id": "k", "address": ADDRESS, "tries": 0},
                "signer.tries: Input should be greater than 0",
            ),
            (
                {"kind": "keystore", "keystore": "hedger.json", "password": "Prompt"},
                "signer.password: a secret is named, not written here",
            ),
        ],
    )
    def test_a_mistake_is_one_line(
        self,
        here: Here,
        config: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        signer: dict[str, Any],
        says: str,
    ) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", KEY)
        code, out, err = here("address", "--config", config(**signer))
        assert (code, out) == (2, "")
        assert err.startswith(f"ConfigError: vaultkeel.toml: {says}")
        assert err.count("\n") == 1

    @pytest.mark.parametrize("mode", [0o640, 0o644, 0o602])
    def test_a_key_file_that_others_may_use_is_refused(
        self, here: Here, config: Callable[..., Path], tmp_path: Path, mode: int
    ) -> None:
        secret = tmp_path / "hedger.key"
        secret.write_text(KEY)
        secret.chmod(mode)
        code, _, err = here("address", "--config", config(kind="key", key="file:hedger.key", plain_key=True))
        assert code == 2
        assert err == (
            f"ConfigError: vaultkeel.toml: signer.key: hedger.key can't be read: its permissions are {mode:04o}, "
            f"so that others may use it too; run `chmod 600 {secret}`\n"
        )

    def test_an_empty_secret_file_is_refused(
        self, here: Here, config: Callable[..., Path], tmp_path: Path
    ) -> None:
        (tmp_path / "hedger.key").touch(mode=0o600)
        code, _, err = here("address", "--config", config(kind="key", key="file:hedger.key", plain_key=True))
        assert (code, err) == (2, "ConfigError: vaultkeel.toml: signer.key: hedger.key is empty\n")


def test_on_a_real_terminal_neither_key_nor_password_is_echoed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bot", "key", "import", "hedger.json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    seen = b""
    try:
        for question, reply in ((b"hex: ", KEY), (b"password: ", PASSWORD), (b"more: ", PASSWORD)):
            seen = until(ours, seen, question)
            os.write(ours, reply.encode() + b"\n")
        seen = until(ours, seen, ADDRESS.encode())
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(ours)
    assert KEY[2:].encode() not in seen
    assert PASSWORD.encode() not in seen
    path = tmp_path / "hedger.json"
    assert opens(path) == ADDRESS
    assert json.loads(path.read_text())["crypto"]["kdf"] == "scrypt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def until(terminal: int, seen: bytes, expected: bytes) -> bytes:
    """What the terminal shows, once `expected` is at its end or on a line of its own."""
    give_up = time.monotonic() + 60
    while expected not in seen[-200:]:
        assert time.monotonic() < give_up, seen
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 1000)
            except OSError:  # its other end is closed
                break
    return seen + b"\n" * 200  # the next one must come after this
