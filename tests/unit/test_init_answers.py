"""The answers that `vaultkeel init` takes: what is refused before a chain is asked, and what is never written."""

from pathlib import Path

import pytest
from builders import KEY, address

from bot.cli.init import Person
from bot.config.deployment import CurieRoots, Deployment, VaultRoots, load_deployment
from bot.errors import ConfigError
from bot.log import conceal
from bot.setup import fitting, set_up
from bot.setup.document import aligned
from bot.setup.files import put
from bot.setup.presets import presets
from bot.setup.roots import roots_of
from bot.setup.wanted import Defaults, Wanted, as_underlying, placed, refuse_token, signer_table

TOKEN = "0123456789abcdef0123456789abcdef"
CHECKSUMMED = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


def deployment(**changes: object) -> Deployment:
    values: dict[str, object] = {
        "chain": "localnet",
        "chain_id": 31337,
        "instance": "0xaa",
        "account": address(9),
        "vault": VaultRoots(viewer=address(1), market=address(2)),
        "venue": CurieRoots(
            kind="curie", clearing_house=address(3), base_token=address(4), quoter=address(5)
        ),
    }
    return Deployment.model_validate(values | changes)


class TestRpc:
    @pytest.mark.parametrize(
        "url",
        [
            f"https://rpc.invalid/v3/{TOKEN}",
            f"https://rpc.invalid/?apikey={TOKEN}",
            "https://rpc.invalid/?k=short",
            "https://me:pw@rpc.invalid",
        ],
    )
    def test_an_address_with_a_token_is_refused_without_repeating_it(self, url: str) -> None:
        with pytest.raises(
            ConfigError, match=r"holds no secret.*export VAULTKEEL_RPC_1.*env:VAULTKEEL_RPC_1"
        ) as no:
            refuse_token(url)
        assert "rpc.invalid" not in str(no.value)
        assert TOKEN not in str(no.value)
        assert TOKEN not in conceal(f"a library logs {url}")

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:8545", "https://arb1.arbitrum.io/rpc", "env:RPC", "file:rpc.url"]
    )
    def test_an_address_without_one_is_taken(self, url: str) -> None:
        refuse_token(url)

    @pytest.mark.parametrize(
        "url", ["127.0.0.1:8545", "ws://127.0.0.1", "http://", "http://[", "http://a:99999"]
    )
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(ConfigError, match=r"web address|starts with http"):
            refuse_token(url)


class TestSigner:
    def test_the_short_forms_name_a_key_and_never_hold_one(self) -> None:
        assert signer_table(CHECKSUMMED.lower()) == {"kind": "watch", "address": CHECKSUMMED}
        assert signer_table("env:KEY") == {"kind": "key", "key": "env:KEY", "plain_key": True}
        assert signer_table("keystore:k.json") == {
            "kind": "keystore",
            "keystore": "k.json",
            "password": "prompt",
        }

    @pytest.mark.parametrize("key", [KEY, KEY.removeprefix("0x")])
    def test_a_key_itself_is_refused_without_repeating_it(self, key: str) -> None:
        with pytest.raises(ConfigError, match="looks like a private key") as no:
            signer_table(key)
        assert "4242" not in str(no.value)

    def test_an_address_with_a_typing_error_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="--signer: this address has a typing error"):
            signer_table(CHECKSUMMED.replace("0x70", "0x71"))


@pytest.mark.parametrize("name", ["", "E\nH", 'E"H', "A" * 17, "E H"])
def test_an_underlying_that_would_need_quoting_is_refused(name: str) -> None:
    assert as_underlying("stETH-2.0") == "stETH-2.0"
    with pytest.raises(ConfigError, match="--underlying: a name like ETH"):
        as_underlying(name)


class TestAt:
    def test_addresses_are_placed_by_table_and_field(self) -> None:
        assert placed([f"vault.viewer={CHECKSUMMED}"]) == {("vault", "viewer"): CHECKSUMMED}

    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            (
                "venue.clearing_hous=0x1",
                r"--at venue\.clearing_hous: .* did you mean venue\.clearing_house\?",
            ),
            ("zzz=0x1", r"it is one of chain\.multicall, vault\.viewer"),
            ("vault.viewer=0x12", r"--at vault\.viewer: an address is 0x and 40 hex digits"),
            ("vault.viewer", r"--at vault\.viewer: an address is"),
        ],
    )
    def test_a_wrong_one_is_refused(self, given: str, sentence: str) -> None:
        with pytest.raises(ConfigError, match=sentence):
            placed([given])


class TestWithoutAPerson:
    def test_what_is_proposed_is_taken_only_with_yes(self) -> None:
        assert Defaults(agreed=True).text("Whose", "me", "--signer") == "me"
        with pytest.raises(
            ConfigError, match="Nobody is there to answer: give --signer, or --yes to take me"
        ):
            Defaults(agreed=False).text("Whose", "me", "--signer")

    def test_a_question_without_a_proposal_names_its_flag(self) -> None:
        with pytest.raises(ConfigError, match=r"Nobody is there to answer: give --signer$"):
            Defaults(agreed=True).text("Whose", "", "--signer")

    def test_the_only_choice_is_taken(self) -> None:
        assert Defaults(agreed=True).choose("Which", ["one"], "", "--at") == "one"


class TestFiles:
    def test_yes_alone_replaces_no_file(self, tmp_path: Path) -> None:
        there = tmp_path / "vaultkeel.toml"
        there.write_text("mine")
        with pytest.raises(ConfigError, match="was left as it is: give --out another name, or --force"):
            set_up(Wanted(there), Defaults(agreed=True), lambda _: pytest.fail("the chain was asked"))
        assert there.read_text() == "mine"

    @pytest.mark.parametrize(("out", "why"), [("", "is a folder"), ("no/file.toml", "is not there")])
    def test_a_place_that_takes_no_file_is_refused_first(self, tmp_path: Path, out: str, why: str) -> None:
        with pytest.raises(ConfigError, match=why):
            set_up(
                Wanted(tmp_path / out), Defaults(agreed=True), lambda _: pytest.fail("the chain was asked")
            )

    def test_a_file_that_came_meanwhile_is_left_and_nothing_else_stays(self, tmp_path: Path) -> None:
        there = tmp_path / "vaultkeel.toml"
        there.write_text("mine")
        with pytest.raises(ConfigError, match="has come to be there"):
            put(there, "ours", replaces=False)
        assert [path.name for path in tmp_path.iterdir()] == ["vaultkeel.toml"]
        assert there.read_text() == "mine"
        put(there, "ours", replaces=True)
        assert there.read_text() == "ours"


class TestRoots:
    def test_an_unknown_chain_is_refused_with_those_that_are_known(self) -> None:
        with pytest.raises(
            ConfigError, match=r"chain 10, whose contracts .*arbitrum \(42161\).*--deployment"
        ):
            roots_of(Wanted(Path("x")), 10, None)

    def test_a_preset_of_another_chain_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="arbitrum is for chain 42161, and the node is on chain 31337"):
            roots_of(Wanted(Path("x"), preset="arbitrum"), 31337, None)
        with pytest.raises(ConfigError, match=r"--preset arbitrm: .*did you mean arbitrum\?"):
            roots_of(Wanted(Path("x"), preset="arbitrm"), 42161, None)

    def test_a_local_chain_whose_addresses_nobody_told_is_refused_with_where_they_are(self) -> None:
        with pytest.raises(ConfigError, match=r"deployment\.json that `vaultkeel localnet` wrote"):
            roots_of(Wanted(Path("x")), 31337, None)

    def test_a_preset_s_gmx_is_taken_whole_and_its_vault_left_open(self) -> None:
        roots = roots_of(Wanted(Path("x")), 42161, None)
        preset = presets()["arbitrum"]
        assert (roots.kind, roots.own, roots.vault) == ("gmx", True, {})
        assert roots.venue["router"] == preset.venue["router"]
        assert roots.source["venue.router"] == "preset arbitrum"

    def test_what_is_given_goes_before_the_deployment(self) -> None:
        at = {("venue", "quoter"): address(77)}
        roots = roots_of(Wanted(Path("x"), at=at), 31337, deployment())
        assert roots.venue == {
            "clearing_house": address(3),
            "base_token": address(4),
            "quoter": address(77),
        }
        assert roots.vault == {"viewer": address(1), "market": address(2)}
        assert (roots.source["venue.quoter"], roots.source["vault.viewer"]) == ("given", "deployment")

    def test_a_deployment_on_a_chain_without_a_preset_is_described_by_its_kind_s_example(self) -> None:
        roots = roots_of(Wanted(Path("x")), 10, deployment(chain="optimism", chain_id=10))
        assert (roots.chain, roots.preset.name, roots.own) == ("optimism", "localnet", False)

    def test_a_deployment_of_another_run_is_passed_over_unless_it_was_given(self) -> None:
        one = deployment()
        assert fitting(one, 31337, "0xaa", given=False) is one
        assert fitting(one, 31337, "0xbb", given=False) is None
        assert fitting(one, 1, "", given=False) is None
        with pytest.raises(ConfigError, match="of another run of the local chain"):
            fitting(one, 31337, "0xbb", given=True)
        with pytest.raises(ConfigError, match="of chain 31337, and the node is on chain 1"):
            fitting(one, 1, "", given=True)

    def test_a_deployment_that_says_something_else_is_refused_in_one_line(self, tmp_path: Path) -> None:
        file = tmp_path / "deployment.json"
        file.write_text(deployment().model_dump_json(exclude_none=True))
        assert load_deployment(file) == deployment()
        file.write_text(file.read_text().replace('"quoter"', '"qoter"'))
        with pytest.raises(ConfigError, match=r"venue\.qoter: .*did you mean quoter\?"):
            load_deployment(file)
        file.write_text("{")
        with pytest.raises(ConfigError, match=r"deployment\.json: the file: Invalid JSON"):
            load_deployment(file)


def test_a_longer_value_leaves_its_comment_readable() -> None:
    before = 'a = "1"    # why\nb = "2"    # because\n'
    after = aligned('a = "12"    # why\nb = "2"    # because\n', before)
    lines = after.splitlines()
    assert lines == ['a = "12"' + " " * 20 + "# why", 'b = "2"    # because']


class TestAPersonChooses:
    CHOICES = ("WBTC/USD [WBTC-USDC] 0xb1", "WETH/USD [WETH-USDC] 0xe1", "WETH/USD [WETH-WETH] 0xe2")

    @pytest.mark.parametrize(
        ("answers", "chosen"),
        [(["2"], 1), (["wbtc"], 0), (["0xe2"], 2), (["weth", "4", "wtbc", "[weth-weth]"], 2)],
    )
    def test_by_number_by_name_or_by_address_until_it_is_one(
        self,
        answers: list[str],
        chosen: int,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = iter(answers)
        monkeypatch.setattr("typer.prompt", lambda *_, **__: next(given))
        assert Person().choose("Which market", self.CHOICES, "", "--at") == self.CHOICES[chosen]
        assert next(given, None) is None
        shown = capsys.readouterr()
        assert shown.out == ""
        assert ("fits several" in shown.err) is (len(answers) > 1)

    def test_enter_takes_what_is_proposed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("typer.prompt", lambda *_, default, **__: default)
        assert Person().choose("Which", self.CHOICES, self.CHOICES[1], "--at") == self.CHOICES[1]
