"""The doctor's checks: one that breaks hides no other, and each state says what to do."""

import io
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import pytest
from builders import ACCOUNT, ACCOUNT_ID, KEY, address, block, venue_state
from rich.console import Console
from typer.testing import CliRunner

from bot.cli import app
from bot.config import load_config
from bot.config.chains import ChainConfig
from bot.core.model import Margin, Mode, Privileges
from bot.doctor import chains, doctor_json, doctor_view, examine
from bot.doctor.books import Patient, margin, privileges, top_ups, vols
from bot.doctor.findings import Finding, State, fails, isolated, passes, warns
from bot.doctor.host import host_findings, metrics, mode
from bot.errors import ConfigError, DataError, Halt, TransientError
from bot.ledger import open_ledger
from bot.ledger.look import is_traded_with, look_at
from bot.share import share

SHIPPED = share("config", "localnet.toml")


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)


@pytest.fixture
def patient() -> Patient:
    config = load_config(SHIPPED)
    return Patient(config, config.books[0], ACCOUNT, now=lambda: 1_000.0)


def states(found: Any) -> list[State]:
    return [one.state for one in found]


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ConfigError("x"), "configuration"),
        (TransientError("x"), "add a provider"),
        (DataError("x"), "look at the contract"),
        (Halt("x"), "operating.md"),
        (ZeroDivisionError("x"), "report it"),
    ],
)
def test_an_error_in_a_check_is_its_finding_beside_what_it_found_before(
    error: Exception, remedy: str
) -> None:
    def look() -> Any:
        yield passes("one", "well")
        raise error

    first, second = isolated("two", look)
    assert first == passes("one", "well")
    assert (second.check, second.state) == ("two", State.FAIL)
    assert remedy in second.remedy


def test_the_counts_and_the_table_show_every_finding_with_its_remedy() -> None:
    found = [passes("a", "well"), warns("b", "hm", "look"), fails("c", "[bold]bad[/bold]", "mend it")]
    shown = doctor_json(found)
    assert shown["counts"] == {"pass": 1, "warn": 1, "fail": 1}
    assert shown["checks"][2] == {
        "check": "c",
        "state": "fail",
        "text": "[bold]bad[/bold]",
        "remedy": "mend it",
    }
    console = Console(width=100, file=io.StringIO())
    console.print(doctor_view(found))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "3 checks: 1 pass, 1 warn, 1 fail" in text
    assert "[bold]bad[/bold]" in text, "what a contract says is no markup"
    assert "→ mend it" in text


CHAIN = {"chain_id": 1, "rpc_urls": ["http://a", "http://b", "http://c"], "quorum": 2}


def seen(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[Finding]:
    """The findings about three providers that answer so: an error, or a chain id, a height and a duration."""

    def ask(chain: str, provider: Any) -> chains.Seen:
        answer = answers[provider.name[-1]]
        if isinstance(answer, Exception):
            raise answer
        chain_id, height, took_s = answer
        return chains.Seen(provider, chain_id, block(height), took_s)

    monkeypatch.setattr(chains, "ask", ask)
    return list(chains.provider_findings("main", ChainConfig.model_validate(CHAIN)))


def test_three_good_providers_pass_and_one_is_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, {"1": (1, 100, 0.1), "2": (1, 99, 0.1), "3": (1, 100, 0.1)})
    assert states(found) == [State.PASS] * 4


@pytest.mark.parametrize("bad", [TransientError("no answer"), DataError("odd"), (5, 100, 0.1), (1, 94, 0.1)])
def test_one_bad_provider_of_three_is_a_warning_and_two_are_a_fail(
    bad: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (1, 100, 0.1)
    found = seen(monkeypatch, {"1": bad, "2": good, "3": good})
    assert [one.state for one in found if one.check == "main provider 1"] == [State.WARN]
    assert found[-1].state is State.WARN
    assert "can stop the trading" in found[-1].remedy
    found = seen(monkeypatch, {"1": bad, "2": TransientError("gone"), "3": good})
    assert [one.state for one in found if one.check == "main provider 1"] == [State.FAIL]
    assert found[-1].state is State.FAIL


def test_a_slow_provider_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    found = seen(monkeypatch, {"1": (1, 100, 5.0), "2": (1, 100, 0.1), "3": (1, 100, 0.1)})
    assert [one.state for one in found if one.check == "main provider 1"] == [State.WARN]


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (None, State.WARN),
        (Privileges(ACCOUNT, ACCOUNT, True, True), State.PASS),
        (Privileges(ACCOUNT, address(9), True, False), State.PASS),
        (Privileges(ACCOUNT, address(9), True, True), State.WARN),
        (Privileges(ACCOUNT, address(9), False, False), State.FAIL),
    ],
)
def test_a_key_that_can_trade_and_not_withdraw_is_right(
    given: Privileges | None, state: State, patient: Patient
) -> None:
    assert states(privileges(patient, venue_state(privileges=given))) == [state]


@pytest.mark.parametrize(
    ("equity", "state", "word"),
    [
        (0, State.FAIL, "no collateral"),
        (1_000, State.FAIL, "may liquidate"),
        (2_000, State.FAIL, "below the critical level"),
        (5_000, State.WARN, "below the warning level"),
        (50_000, State.PASS, "times the requirement"),
    ],
)
def test_the_margin_is_judged_by_the_books_levels(
    equity: int, state: State, word: str, patient: Patient
) -> None:
    worth = Decimal(equity)
    venue = venue_state("10", margin=Margin(worth, worth, worth, worth, Decimal(1250), worth))
    (found,) = margin(patient, venue)
    assert found.state is state
    assert word in found.text


def test_a_margin_that_nobody_watches_is_a_warning(patient: Patient) -> None:
    patient.book = patient.book.model_copy(update={"margin": None})
    assert states(margin(patient, venue_state())) == [State.WARN, State.PASS]


@pytest.mark.parametrize(
    ("wallet", "allowance", "expected"),
    [
        (None, None, [State.WARN]),
        ("0", "0", [State.WARN]),
        ("5000", "0", [State.PASS]),
        ("5000", "1000000", [State.PASS, State.WARN]),
    ],
)
def test_what_can_be_added_is_told_and_so_is_an_allowance_that_is_left_over(
    wallet: str | None, allowance: str | None, expected: list[State], patient: Patient
) -> None:
    given = {"wallet": wallet, "allowance": allowance}
    venue = replace(venue_state(), **{k: None if v is None else Decimal(v) for k, v in given.items()})
    assert states(top_ups(patient, venue)) == expected


def test_a_vault_without_vols_of_its_own_has_the_vaults(patient: Patient) -> None:
    assert list(vols(patient)) == []


@pytest.mark.parametrize(("found", "state"), [(Mode.ACTIVE, State.PASS), (Mode.REDUCING, State.WARN)])
def test_a_mode_that_isnt_active_is_a_warning(found: Mode, state: State, patient: Patient) -> None:
    assert mode(patient.config, found, "why").state is state


def test_metrics_for_other_computers_are_a_warning(patient: Patient) -> None:
    config = patient.config
    assert states(metrics(config)) == [State.PASS]
    exposed = type(config).model_validate(
        config.model_dump(exclude={"signer", "chains", "alerts"})
        | {
            "signer": {"kind": "watch", "address": ACCOUNT},
            "chains": {"localnet": {"chain_id": 1, "rpc_urls": ["http://a"], "quorum": 1}},
            "metrics": {"listen": "0.0.0.0:9464", "exposed": True},
        }
    )
    assert states(metrics(exposed)) == [State.WARN]


OURS = {"localnet": ACCOUNT}


class TestLedger:
    def config(self, path: Path) -> Any:
        return load_config(SHIPPED).model_copy(update={"ledger": path})

    def test_one_that_is_not_there_yet_is_made_by_the_first_run_and_not_by_the_doctor(
        self, tmp_path: Path
    ) -> None:
        found = host_findings(self.config(tmp_path / "new.db"), ACCOUNT, OURS)
        assert found[0].state is State.PASS
        assert list(tmp_path.iterdir()) == []
        found = host_findings(self.config(tmp_path / "missing" / "new.db"), ACCOUNT, OURS)
        assert found[0].state is State.WARN

    @pytest.mark.parametrize(
        ("bind", "state"),
        [
            (("localnet", 31337, "", ACCOUNT), State.PASS),
            (("localnet", 31337, "", None), State.PASS),
            (("localnet", 1, "", ACCOUNT), State.FAIL),
            (("localnet", 31337, "other", ACCOUNT), State.FAIL),
            (("localnet", 31337, "", address(5)), State.FAIL),
        ],
    )
    def test_one_of_another_chain_instance_or_account_fails(
        self, bind: tuple[str, int, str, str | None], state: State, tmp_path: Path
    ) -> None:
        path = tmp_path / "vaultkeel.db"
        ledger = open_ledger(path)
        ledger.bind(*bind)
        ledger.close()
        assert host_findings(self.config(path), ACCOUNT, OURS)[0].state is state

    def test_looking_writes_nothing_and_is_refused_writing(self, tmp_path: Path) -> None:
        path = tmp_path / "vaultkeel.db"
        open_ledger(path).close()
        before = path.read_bytes()
        looked = look_at(path)
        assert looked.mode(ACCOUNT_ID) is Mode.ACTIVE
        with pytest.raises(Exception, match="readonly"):
            looked.set_mode(ACCOUNT_ID, Mode.HALTED, "x", 0)
        looked.close()
        assert path.read_bytes() == before
        assert [one.name for one in tmp_path.iterdir()] == [path.name]

    def test_a_run_that_holds_the_lock_is_seen(self, tmp_path: Path) -> None:
        path = tmp_path / "vaultkeel.db"
        assert not is_traded_with(path)
        ledger = open_ledger(path, trades=True)
        assert is_traded_with(path)
        ledger.close()
        assert not is_traded_with(path)

    def test_one_of_another_schema_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "vaultkeel.db"
        open_ledger(path).close()
        monkeypatch.setattr("bot.ledger.look.SCHEMA_VERSION", 99)
        (found, *_) = host_findings(self.config(path), ACCOUNT, ACCOUNT)
        assert found.state is State.FAIL
        assert "schema" in found.text


class TestExamine:
    @pytest.fixture(autouse=True)
    def no_chain(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def gone(*_: Any) -> NoReturn:
            raise TransientError("the node can't be reached")

        monkeypatch.setattr(chains, "ask", gone)
        monkeypatch.setattr("bot.chain.provider.Provider._speak", gone)
        monkeypatch.setattr("bot.chain.client.wait_random_exponential", lambda **_: lambda _state: 0)

    def test_a_dead_chain_fails_its_checks_and_leaves_the_others(self, tmp_path: Path) -> None:
        path = tmp_path / "vaultkeel.toml"
        path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
        found = {one.check: one.state for one in examine(path)}
        for check in ("localnet provider 1", "localnet quorum", "lyra-eth", "curie-eth"):
            assert found[check] is State.FAIL
        assert found["configuration"] is found["ledger"] is State.PASS

    def test_a_key_that_cant_be_had_leaves_the_chain_and_the_host(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", "nonsense-that-is-no-key")
        path = tmp_path / "vaultkeel.toml"
        path.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
        found = {one.check: one for one in examine(path)}
        assert found["signer"].state is State.FAIL
        assert "nonsense" not in found["signer"].text
        assert {"localnet quorum", "ledger"} <= found.keys()

    def test_the_exit_code_is_1_where_something_fails(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["doctor", "--config", str(tmp_path / "missing.toml"), "--json"])
        assert result.exit_code == 1
        assert "can't be read" in result.stdout
