"""`vaultkeel init` on the real local chain: the whole way of a new user, and what is refused before it is written."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gmx_rig import GmxRig
from support import Cli, Proxy, read_source, read_venue

from bot.config import load_config
from bot.config.deployment import DEPLOYMENT_FILE, Deployment, GmxRoots, load_deployment
from bot.config.venues import GmxConfig
from bot.errors import ConfigError, DataError, TransientError
from bot.localnet.configuration import world_deployment, write_deployment
from bot.localnet.world import World
from bot.setup import SetUp, set_up
from bot.setup.wanted import Defaults, Wanted

PATIENCE_S = 60.0
NOBODYS = "0x00000000000000000000000000000000000000aa"


def told(world: World, folder: Path) -> Path:
    """The file with which a local chain says where its contracts are."""
    write_deployment(folder, world_deployment(world))
    return folder / DEPLOYMENT_FILE


def made(folder: Path, deployment: Path | None, **changes: object) -> SetUp:
    """A set-up of which nothing is asked."""
    wanted = {"out": folder / "vaultkeel.toml", "deployment": deployment, **changes}
    return set_up(Wanted(**wanted), Defaults(agreed=True), lambda _: contextlib.nullcontext())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which `vaultkeel localnet` runs."""
    folder = tmp_path_factory.mktemp("new")
    with Cli(folder, "localnet", "--json", "--move-every", "0") as localnet:
        assert localnet.first_line(), localnet.err
        yield folder


class TestANewUser:
    def test_init_doctor_and_run_need_no_file_edited_and_no_flag(self, place: Path) -> None:
        with Cli(place, "init", "--yes", "--json") as init:
            done = init.json()
        assert done["next"] == ["vaultkeel doctor", "vaultkeel run"]
        assert done["mode"] == "paper"
        assert done["seen"]["option_positions"] > 3
        with Cli(place, "doctor", "--json") as doctor:
            assert doctor.json()["counts"]["fail"] == 0
        with Cli(place, "run", "--log-format", "json") as run:
            assert run.process.stderr is not None
            for line in run.process.stderr:
                if '"event": "tick"' in line:
                    break
            run.signal(signal.SIGTERM)
            assert run.code == 0
            assert "ticks run" in run.out

    def test_enter_is_the_answer_to_every_question(self, place: Path) -> None:
        code, shown = on_a_terminal(place, ["init", "--out", "asked.toml"], enters=3)
        assert code == 0, shown
        assert shown.count("?") + shown.count("]:") >= 3
        assert "asked.toml is written" in shown
        assert "vaultkeel doctor --config asked.toml" in shown
        theirs, ours = (load_config(place / name) for name in ("localnet/vaultkeel.toml", "asked.toml"))
        assert ours.chains == theirs.chains
        assert ours.books == theirs.books
        assert ours.signer.kind == "watch"

    def test_a_file_that_is_there_is_asked_about_and_kept(self, place: Path) -> None:
        (place / "mine.toml").write_text("mine")
        code, shown = on_a_terminal(place, ["init", "--out", "mine.toml"], enters=1)
        assert code == 2, shown
        assert "was left as it is" in " ".join(shown.split())
        assert (place / "mine.toml").read_text() == "mine"

    def test_its_file_names_addresses_and_no_key(self, place: Path) -> None:
        key = (place / "localnet" / "hedger.key").read_text().strip().removeprefix("0x")
        assert key not in (place / "asked.toml").read_text()
        assert key not in (place / "localnet" / DEPLOYMENT_FILE).read_text()


def on_a_terminal(folder: Path, arguments: list[str], *, enters: int) -> tuple[int, str]:
    """The program on a terminal of its own, where a person presses Enter so often; its exit code and its screen."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "200"},
        start_new_session=True,
    )
    os.close(slave)
    shown, give_up = "", time.monotonic() + PATIENCE_S
    os.write(master, b"\n" * enters)
    try:
        while time.monotonic() < give_up:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    shown += os.read(master, 4096).decode()
                except OSError:  # the other end is closed: the program has ended
                    break
            elif process.poll() is not None:
                break
        return process.wait(timeout=5), shown
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)


class TestWhatIsFound:
    def test_every_address_is_the_deployed_one(self, world: World, tmp_path: Path) -> None:
        done = made(tmp_path, told(world, tmp_path))
        (book,) = load_config(done.path).books
        for name in (
            "clearing_house_config",
            "account_balance",
            "exchange",
            "vault",
            "market_registry",
            "pool",
        ):
            assert getattr(book.venue, name) == getattr(world.curie, name)
            assert done.venue.source[name] == "read on the chain"
        for name in ("option_token", "greek_cache", "liquidity_pool", "pool_hedger", "base_asset"):
            assert getattr(book.sources[0], name) == getattr(world.lyra, name)
        assert book.sources[0].exchange_adapter == world.lyra.synthetix_adapter
        assert done.underlying == book.underlying == "ETH"
        assert done.seen.spot == read_source(world)[1].spot
        assert done.seen.index == read_venue(world).index

    def test_a_key_is_named_and_the_account_is_its_own(self, world: World, tmp_path: Path) -> None:
        key = tmp_path / "hedger.key"
        key.write_text(world.hedger_key)
        key.chmod(0o600)
        done = made(tmp_path, told(world, tmp_path), signer="file:hedger.key")
        assert done.seen.account == world.accounts.hedger
        assert world.hedger_key.removeprefix("0x") not in done.path.read_text()

    def test_an_rpc_address_that_is_named_stays_named(
        self, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOME_RPC", world.url)
        done = made(tmp_path, told(world, tmp_path), rpc=("env:SOME_RPC",))
        assert 'rpc_urls = ["env:SOME_RPC"]' in done.path.read_text()
        assert world.url not in done.path.read_text()
        assert world.url not in json.dumps(done.as_json())

    def test_two_providers_must_agree(self, world: World, tmp_path: Path) -> None:
        with Proxy(world.url) as other:
            done = made(tmp_path, told(world, tmp_path), rpc=(world.url, other.url))
            assert other.asked("eth_call") > 0
        assert load_config(done.path).chains["localnet"].quorum == 2

    def test_a_market_of_gmx_s_stand_in_is_found(self, fresh: World, tmp_path: Path) -> None:
        rig = GmxRig(fresh, tmp_path / "rig")
        gmx = rig.gmx
        roots = {name: getattr(gmx, name) for name in GmxRoots.model_fields if hasattr(gmx, name)}
        roots["long_feed"] = gmx.index_feed
        whole = world_deployment(fresh)
        other = whole.model_copy(update={"venue": GmxRoots(kind="gmx", **roots)})
        write_deployment(tmp_path, other)
        done = made(tmp_path, tmp_path / DEPLOYMENT_FILE, underlying="ETH")
        (book,) = load_config(done.path).books
        assert isinstance(book.venue, GmxConfig)
        assert (book.venue.index_token, book.venue.collateral_token) == (gmx.index_token, gmx.short_token)
        assert (book.venue.index_decimals, book.venue.collateral_decimals) == (18, 6)
        assert load_config(done.path).chains["localnet"].sequencer_feed is None
        assert "arbitrum" not in done.path.read_text().split("\n", 3)[3]


class TestWhatIsRefused:
    def refused(
        self, folder: Path, sentence: str, error: type[Exception], *, at: Path | None, **changes: object
    ) -> None:
        """Nothing is written."""
        if "at_" in changes:  # `at` is the deployment here
            changes["at"] = changes.pop("at_")
        with pytest.raises(error, match=sentence):
            made(folder, at, **changes)
        assert not (folder / "vaultkeel.toml").exists()
        assert not list(folder.glob(".*"))

    def test_a_node_that_is_down(self, world: World, tmp_path: Path) -> None:
        deployment = told(world, tmp_path)
        with Proxy(world.url) as gone:
            url = gone.url
        sentence = r"can't be reached .*: start `vaultkeel localnet` in another terminal"
        self.refused(tmp_path, sentence, TransientError, at=deployment, rpc=(url,))

    def test_a_node_that_speaks_no_json_rpc(self, world: World, tmp_path: Path) -> None:
        deployment = told(world, tmp_path)
        with Proxy(world.url, lambda _methods, _forward: (200, b"<html>")) as page:
            self.refused(tmp_path, "is not JSON-RPC", TransientError, at=deployment, rpc=(page.url,))

    def test_another_chain_than_the_preset_s(self, world: World, tmp_path: Path) -> None:
        sentence = "--preset arbitrum is for chain 42161, and the node is on chain 31337"
        self.refused(tmp_path, sentence, ConfigError, at=None, rpc=(world.url,), preset="arbitrum")

    @pytest.mark.parametrize(
        ("place", "sentence"),
        [
            (("chain", "multicall"), "there is no Multicall3 at"),
            (("vault", "viewer"), r"vault\.viewer: there is no contract at .*\(given\)"),
            (("venue", "quoter"), r"venue\.quoter: there is no contract at .*\(given\)"),
        ],
    )
    def test_an_address_where_there_is_nothing(
        self, world: World, tmp_path: Path, place: tuple[str, str], sentence: str
    ) -> None:
        self.refused(tmp_path, sentence, ConfigError, at=told(world, tmp_path), at_={place: NOBODYS})

    def test_contracts_that_were_swapped(self, world: World, tmp_path: Path) -> None:
        deployment = told(world, tmp_path)
        for place, address, sentence in (
            (("venue", "clearing_house"), world.curie.vault, r"venue\.clearing_house: .* is not the one"),
            (("venue", "base_token"), world.curie.usdc, r"venue\.base_token: "),
            (("vault", "market"), world.curie.usdc, r"vault\.market: the viewer doesn't list"),
            (("vault", "viewer"), world.curie.quoter, r"vault\.viewer: .* is no Lyra viewer"),
        ):
            self.refused(tmp_path, sentence, ConfigError, at=deployment, at_={place: address})

    def test_a_vault_that_can_t_be_read_whole(self, world: World, tmp_path: Path) -> None:
        deployment = told(world, tmp_path)
        at = {("vault", "exchange_adapter"): world.curie.usdc}
        self.refused(tmp_path, "getSpotPriceForMarket", DataError, at=deployment, at_=at)

    def test_the_deployment_of_another_run(self, world: World, tmp_path: Path) -> None:
        path = told(world, tmp_path)
        other = load_deployment(path).model_copy(update={"instance": "0x00"})
        path.write_text(Deployment.model_dump_json(other, exclude_none=True))
        self.refused(tmp_path, "another run of the local chain", ConfigError, at=path)

    def test_a_market_whose_price_is_far_from_the_vault_s(self, fresh: World, tmp_path: Path) -> None:
        deployment = told(fresh, tmp_path)
        rates = fresh.lyra_contract("exchange_rates")
        rates.send(
            "setRateAndInvalid", b"sETH".ljust(32, b"\0"), 3_000 * 10**18, False, sender=fresh.accounts.owner
        )
        self.refused(tmp_path, "they are not of one underlying", ConfigError, at=deployment)
