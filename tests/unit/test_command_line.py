"""The command line itself: what it lists, completes and suggests, in how many words, and with what it brings along."""

import json
import os
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
import typer
from rich.console import Console

from bot import __version__, warm
from bot.cli import Commands, main, shared
from bot.cli.lazy import Place
from bot.cli.shared import busy
from bot.config.file import checked
from bot.errors import ConfigError
from bot.log import set_up_logs
from bot.nearest import did_you_mean
from bot.share import share

HEAVY = ("web3", "numba", "numpy", "sqlalchemy", "eth_account", "pydantic")
LOADED = f"import sys, bot.cli\ntry: bot.cli.main()\nfinally: print([m for m in {HEAVY} if m in sys.modules])"

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: exit code, standard output, standard error."""

    def here(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["vaultkeel", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return here


def alone(code: str, *arguments: str, **environment: str) -> str:
    """The standard output of Python in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


def completed(words: str, at: int) -> list[str]:
    """What bash is told to offer for the word at a place of a line."""
    run = "import bot.cli; bot.cli.main()"
    said = alone(run, _VAULTKEEL_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(at))
    return said.split()


class TestTheList:
    @pytest.mark.parametrize("name", Commands.places)
    def test_a_command_is_listed_with_its_own_first_line(self, name: str) -> None:
        place: Place = Commands.places[name]
        own = place.load().help
        assert own.strip().splitlines()[0] == place.help

    def test_help_version_and_completion_bring_no_library_along(self) -> None:
        assert alone(LOADED, "--help").splitlines()[-1] == "[]"
        assert alone(LOADED, "--version").splitlines() == [__version__, "[]"]
        assert "numba" in alone(LOADED, "status", "--help").splitlines()[-1], "the probe finds nothing at all"

    def test_the_version_is_a_command_and_a_flag(self, run: Run) -> None:
        assert run("--version")[:2] == (0, f"{__version__}\n")
        assert json.loads(run("version", "--json")[1]) == {"version": __version__}


class TestCompletion:
    def test_bash_completes_commands(self) -> None:
        found = completed("vaultkeel re", 1)
        assert sorted(found) == ["reduce-only", "rehearse", "replay", "resolve", "resume"]

    def test_bash_completes_a_command_s_options_and_its_own_commands(self) -> None:
        assert completed("vaultkeel init --hedge", 2) == ["--hedge-holdings"]
        assert set(completed("vaultkeel key ", 2)) == {"new", "import", "address"}

    def test_the_script_for_bash_can_be_shown(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
        code, out, _ = run("--show-completion", "bash")
        assert code == 0
        assert "_VAULTKEEL_COMPLETE=complete_bash" in out
        assert "-F _vaultkeel_completion vaultkeel" in out


class TestMistakes:
    def test_an_unknown_command_names_the_nearest(self, run: Run) -> None:
        code, out, err = run("stauts")
        assert (code, out) == (2, "")
        assert err == "ConfigError: there is no command 'stauts': did you mean 'status'?\n"
        assert "`--help` lists them" in run("zzzz")[2]

    def test_a_group_s_unknown_command_names_the_nearest(self, run: Run) -> None:
        code, _, err = run("key", "adress")
        assert code == 2
        assert "address" in err
        assert err.count("\n") == 1

    def test_an_unknown_option_is_one_line_that_names_the_nearest(self, run: Run) -> None:
        code, out, err = run("version", "--jsn")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "--json" in err
        assert "`vaultkeel version --help`" in err

    @pytest.mark.parametrize("wrong", [("stauts",), ("version", "--jsn"), ("halt",)])
    def test_a_machine_is_told_in_json(self, run: Run, wrong: tuple[str, ...]) -> None:
        code, out, _ = run(*wrong, "--json")
        assert code == 2
        assert json.loads(out).keys() == {"error", "message"}

    def test_without_arguments_it_shows_its_help(self, run: Run) -> None:
        code, out, err = run()
        assert code == 2
        assert "init" in out + err
        assert "UsageError" not in err

    def test_ctrl_c_at_a_question_is_no_traceback(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def asked(*_: object, **__: object) -> None:
            raise typer.Abort

        monkeypatch.setattr("bot.cli.show", asked)
        assert run("version") == (130, "", "interrupted\n")

    @pytest.mark.parametrize(
        ("right", "wrong", "sentence"),
        [
            (
                "clearing_house =",
                "clearing_hous =",
                r"venue\.clearing_hous: .* did you mean clearing_house\?",
            ),
            ("interval_s", "intervals_s", r"intervals_s: this key is not known; did you mean interval_s\?"),
            ("quorum", "qorum", r"chains\.localnet\.qorum: .* did you mean quorum\?"),
            ("carry_cap", "cary_cap", r"policy\.cary_cap: .* did you mean carry_cap\?"),
            ("plain_key", "plain_ky", r"signer\.plain_ky: .* did you mean plain_key\?"),
            ("viewer =", "viewr =", r"sources\.0\.viewr: .* did you mean viewer\?"),
            ('"curie"', '"curi"', r"venue\.kind: .* did you mean curie\?"),
            ("hedge_ratio", "zzzz", r"target\.zzzz: this key is not known$"),
            ("max_order =", "max_leverag =", r"limits\.max_leverag: .* did you mean max_leverage\?"),
        ],
    )
    def test_an_unknown_key_names_the_nearest_of_its_place(
        self, right: str, wrong: str, sentence: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", "0x" + "11" * 32)
        text = share("config", "localnet.toml").read_text(encoding="utf-8")
        with pytest.raises(ConfigError, match=sentence):
            checked(tomllib.loads(text.replace(right, wrong, 1)), Path("x.toml"))

    def test_an_unknown_book_names_the_nearest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", "0x" + "11" * 32)
        text = share("config", "localnet.toml").read_text(encoding="utf-8")
        config = checked(tomllib.loads(text), Path("x.toml"))
        with pytest.raises(ConfigError, match=r"there is none called eht; did you mean eth\?"):
            config.book("eht")

    def test_nothing_alike_is_suggested_for_nothing(self) -> None:
        assert did_you_mean("zzz", ["status", "run"]) == ""
        assert did_you_mean("STATUS", ["status"]) == "; did you mean status?"


class TestProgress:
    @pytest.fixture
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> Console:
        """Standard error as a terminal that is recorded."""
        monkeypatch.setenv("TERM", "xterm")
        console = Console(stderr=True, force_terminal=True, record=True, width=60)
        monkeypatch.setattr(shared, "people", console)
        return console

    def test_the_compiler_is_waited_for_once_per_installation(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, terminal: Console
    ) -> None:
        warm.main()
        assert not warm.is_cold()
        compiled: list[bool] = []
        monkeypatch.setattr(warm, "main", lambda: compiled.append(True))
        shared.warm_up()
        assert compiled == []
        monkeypatch.setattr(warm, "is_cold", lambda: True)
        shared.warm_up()
        assert compiled == [True]

    def test_a_log_line_is_written_above_the_spinner(
        self, terminal: Console, capsys: pytest.CaptureFixture[str]
    ) -> None:
        set_up_logs(as_json=False)
        with busy("counting"):
            structlog.get_logger().info("a line of the log")
        (line,) = [each for each in capsys.readouterr().err.splitlines() if "a line of the log" in each]
        assert "counting" not in line

    def test_a_person_sees_what_takes_its_time(
        self, terminal: Console, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with busy("counting [sheep]") as said:
            said("still counting")
            assert threading.active_count() > 1
        shown = capsys.readouterr()
        assert "counting" in shown.err
        assert shown.out == ""

    @pytest.mark.parametrize("as_json", [True, False])
    def test_neither_a_machine_nor_a_file_is_shown_a_spinner(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
    ) -> None:
        monkeypatch.setattr(shared, "people", Console(stderr=True, force_terminal=as_json))
        with busy("counting", as_json=as_json) as said:
            said("still counting")
        shown = capsys.readouterr()
        assert (shown.out, shown.err) == ("", "")
