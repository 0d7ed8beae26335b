"""The configuration: one clear line per mistake, and secrets that never show."""

import copy
import re
import tomllib
import traceback
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
import tomlkit
from builders import ACCOUNT, KEY, SIGNER
from pydantic import ValidationError

from bot.app import make_book
from bot.app.chains import make_access, make_client
from bot.app.parts import make_source
from bot.app.rules import make_limits, order_bounds
from bot.app.signers import make_signer
from bot.config import Config, load_config
from bot.config.chains import KeySigner
from bot.config.policies import OptimalBandConfig
from bot.core.budgets import Budgets
from bot.core.model import Mode
from bot.errors import ConfigError
from bot.ledger import open_ledger
from bot.localnet.configuration import fork_config
from bot.localnet.node import Node
from bot.options.derive import DeriveSource
from bot.share import share
from bot.venues.bounds import OrderBounds

SHIPPED = share("config", "localnet.toml")
TOKEN = "t0k3n-of-the-operator"
ADDRESS = "0xcA11bde05977b3631167028862bE2a173976CA11"

Where = tuple[str | int, ...]
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULTKEEL_KEY", KEY)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """The shipped configuration with one field set, or removed where the value is None."""

    def with_change(where: Where = (), value: Any = None) -> Path:
        document = copy.deepcopy(tomllib.loads(SHIPPED.read_text(encoding="utf-8")))
        if where:
            place: Any = document
            for name in where[:-1]:
                place = place[name]
            if value is None:
                del place[where[-1]]
            else:
                place[where[-1]] = value
        path = tmp_path / "vaultkeel.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        return path

    return with_change


def mistake(path: Path) -> str:
    """The one line that an operator is told."""
    with pytest.raises(ConfigError) as error:
        load_config(path)
    told = str(error.value)
    assert "\n" not in told
    assert error.value.__suppress_context__, "a traceback would quote what was given"
    return told


class TestShipped:
    def test_the_shipped_configuration_loads(self) -> None:
        config = load_config(SHIPPED)
        (book,) = config.books
        assert config.mode == "paper", "nothing is sent until the operator says so"
        assert config.chains["localnet"].chain_id == 31337
        assert config.chains["localnet"].native_usd == "underlying"
        assert isinstance(book.policy, OptimalBandConfig)
        assert book.target.hedge_holdings
        assert isinstance(config.signer, KeySigner)
        assert make_signer(config).address == ACCOUNT

    def test_amounts_keep_every_digit(self, write: Write) -> None:
        path = write(("books", 0, "limits", "max_position"), "12345678901234567.123456789012345678")
        assert str(load_config(path).books[0].limits.max_position) == "12345678901234567.123456789012345678"

    def test_a_price_of_the_gas_coin_may_be_given(self, write: Write) -> None:
        path = write(("chains", "localnet", "native_usd"), "0.75")
        assert load_config(path).chains["localnet"].native_usd == Decimal("0.75")

    def test_an_address_is_kept_in_its_checksum_form(self, write: Write) -> None:
        path = write(("books", 0, "venue", "pool"), ADDRESS.lower())
        assert load_config(path).books[0].venue.pool == ADDRESS

    def test_it_cant_be_changed(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            load_config(SHIPPED).interval_s = 1


VENUE: Where = ("books", 0, "venue")
SOURCE: Where = ("books", 0, "sources", 0)
LIMITS: Where = ("books", 0, "limits")
POLICY: Where = ("books", 0, "policy")
TARGET: Where = ("books", 0, "target")
VOLS: Where = ("books", 0, "vols")
BAND = {"kind": "delta_band", "trigger": "0.5"}
LOCALNET: Where = ("chains", "localnet")

FEEDS: Where = ("books", 0, "feeds")
FEED = {"kind": "redstone", "name": "redstone", "address": ADDRESS, "heartbeat_s": 21600}
DERIVE: dict[str, Any] = {
    "kind": "derive",
    "name": "derive-eth",
    "chain": "localnet",
    "accounts": [7],
    "sub_accounts": ADDRESS,
    "option_asset": "0x" + "1" * 40,
    "cash_asset": ADDRESS,
    "spot_feed": ADDRESS,
    "forward_feed": ADDRESS,
}

UNKNOWN_KEY = "this key is not known"
NOT_EXACT = 'an amount is written in quotes, like "0.25", for a float would not be exact'
ONE_RISK = "give one of risk_aversion, daily_error_usd and daily_error_nav"
NOT_WHOLE = "Input should be a valid integer"
NAMED = 'a secret is named, not written here: "env:NAME", "file:PATH" or "credential:NAME"'

MISTAKES: list[tuple[Where, Any, str, str]] = [
    (("typo",), 1, "typo", UNKNOWN_KEY),
    ((*LOCALNET, "typo"), 1, "chains.localnet.typo", UNKNOWN_KEY),
    (("signer", "typo"), 1, "signer.typo", UNKNOWN_KEY),
    (("books", 0, "typo"), 1, "books.0.typo", UNKNOWN_KEY),
    ((*SOURCE, "typo"), 1, "books.0.sources.0.typo", UNKNOWN_KEY),
    ((*VENUE, "typo"), 1, "books.0.venue.typo", UNKNOWN_KEY),
    ((*POLICY, "typo"), 1, "books.0.policy.typo", UNKNOWN_KEY),
    ((*LIMITS, "typo"), 1, "books.0.limits.typo", UNKNOWN_KEY),
    (("signer",), None, "signer", "Field required"),
    ((*VENUE, "quoter"), None, "books.0.venue.quoter", "Field required"),
    ((*LIMITS, "max_order"), None, "books.0.limits.max_order", "Field required"),
    ((*LOCALNET, "chain_id"), True, "chains.localnet.chain_id", NOT_WHOLE),
    ((*LOCALNET, "chain_id"), "31337", "chains.localnet.chain_id", NOT_WHOLE),
    ((*LOCALNET, "chain_id"), 31337.0, "chains.localnet.chain_id", NOT_WHOLE),
    ((*LOCALNET, "chain_id"), -1, "chains.localnet.chain_id", "greater than 0"),
    ((*LOCALNET, "confirmations"), 0, "chains.localnet.confirmations", "greater than 0"),
    ((*LOCALNET, "confirmations"), 1.5, "chains.localnet.confirmations", NOT_WHOLE),
    (("interval_s",), "15", "interval_s", NOT_WHOLE),
    (("interval_s",), 0, "interval_s", "greater than 0"),
    (("mode",), "LIVE", "mode", "'paper' or 'live'"),
    (("mode",), True, "mode", "'paper' or 'live'"),
    (("clock",), "wall", "clock", "'system' or 'chain'"),
    (("ledger",), 5, "ledger", "not a valid path"),
    (("chains",), {}, "chains", "at least 1"),
    (("chains",), "localnet", "chains", "valid dictionary"),
    (("books",), [], "books", "at least 1"),
    (("books",), "eth", "books", "valid tuple"),
    (("books", 0, "sources"), [], "books.0.sources", "at least 1"),
    (("books", 0, "name"), 5, "books.0.name", "valid string"),
    ((*POLICY, "min_trade"), 0.5, "books.0.policy.min_trade", NOT_EXACT),
    ((*POLICY, "min_trade"), True, "books.0.policy.min_trade", NOT_EXACT),
    ((*POLICY, "min_trade"), [1], "books.0.policy.min_trade", NOT_EXACT),
    ((*POLICY, "min_trade"), "half", "books.0.policy.min_trade", "not a decimal number"),
    ((*POLICY, "min_trade"), "nan", "books.0.policy.min_trade", "must be finite"),
    ((*POLICY, "min_trade"), "Infinity", "books.0.policy.min_trade", "must be finite"),
    ((*POLICY, "min_trade"), "-1", "books.0.policy.min_trade", "greater than or equal to 0"),
    ((*POLICY, "daily_error_nav"), "0", "books.0.policy.daily_error_nav", "greater than 0"),
    ((*POLICY, "daily_error_usd"), None, "books.0.policy", ONE_RISK),
    ((*POLICY, "daily_error_nav"), "0.1", "books.0.policy", ONE_RISK),
    ((*POLICY, "carry_cap"), "1.1", "books.0.policy.carry_cap", "less than or equal to 1"),
    ((*POLICY, "kind"), "grid", "books.0.policy.kind", "'delta_band'"),
    (POLICY, {"kind": "delta_band", "trigger": "0"}, "books.0.policy.trigger", "greater than 0"),
    (POLICY, {**BAND, "target": "-0.1"}, "books.0.policy.target", "greater than or equal to 0"),
    (POLICY, {**BAND, "target": "0.6"}, "books.0.policy", "target must not be above trigger"),
    (POLICY, {"kind": "interval", "every_s": 0}, "books.0.policy.every_s", "greater than 0"),
    (POLICY, {"kind": "price_move", "move": "1"}, "books.0.policy.move", "less than 1"),
    ((*TARGET, "hedge_holdings"), None, "books.0.target.hedge_holdings", "Field required"),
    ((*TARGET, "hedge_ratio"), "1.6", "books.0.target.hedge_ratio", "less than or equal to"),
    ((*TARGET, "numeraire"), "coin", "books.0.target", "hedge_holdings must be false"),
    ((*TARGET, "convention"), "sticky", "books.0.target.convention", "'sticky_strike'"),
    (("books", 0, "doubts", "vol"), "-0.01", "books.0.doubts.vol", "greater than or equal to 0"),
    (VOLS, {"kind": "oracle"}, "books.0.vols.kind", "'deribit'"),
    (VOLS, {"kind": "constant", "vol": "0"}, "books.0.vols.vol", "greater than 0"),
    (VOLS, {"kind": "deribit", "currency": "ETH", "url": "ftp://x"}, "books.0.vols.url", "starts with http"),
    (VOLS, {"kind": "deribit", "currency": "ETH", "url": "https://x?y"}, "books.0.vols.url", "before any ?"),
    (("watch_s",), "-1", "watch_s", "greater than or equal to 0"),
    ((*LIMITS, "max_order"), "0", "books.0.limits.max_order", "greater than 0"),
    ((*LIMITS, "max_position"), 300.0, "books.0.limits.max_position", NOT_EXACT),
    ((*LIMITS, "max_slippage"), "1", "books.0.limits.max_slippage", "less than 1"),
    ((*LIMITS, "max_price_gap"), "5", "books.0.limits.max_price_gap", "less than 1"),
    ((*LIMITS, "order_ttl_s"), "120", "books.0.limits.order_ttl_s", NOT_WHOLE),
    ((*LOCALNET, "max_fee_gwei"), 50.0, "chains.localnet.max_fee_gwei", NOT_EXACT),
    ((*LOCALNET, "min_tip_gwei"), "-1", "chains.localnet.min_tip_gwei", "greater than or equal to 0"),
    ((*LOCALNET, "native_usd"), 1.5, "chains.localnet.native_usd", NOT_EXACT),
    ((*LOCALNET, "native_usd"), "0", "chains.localnet.native_usd", "above zero"),
    ((*LOCALNET, "native_usd"), "-1", "chains.localnet.native_usd", "above zero"),
    ((*LOCALNET, "native_usd"), "junk", "chains.localnet.native_usd", "not a decimal number"),
    ((*LOCALNET, "native_usd"), ["underlying"], "chains.localnet.native_usd", NOT_EXACT),
    ((*VENUE, "lot"), "0", "books.0.venue.lot", "greater than 0"),
    ((*VENUE, "pool"), "0x12", "books.0.venue.pool", "an address is 0x and 40 hex digits"),
    ((*VENUE, "pool"), "vault.eth", "books.0.venue.pool", "an address is 0x and 40 hex digits"),
    ((*VENUE, "pool"), ADDRESS[:-1] + "2", "books.0.venue.pool", "typing error"),
    ((*VENUE, "pool"), 12, "books.0.venue.pool", "valid string"),
    ((*LOCALNET, "multicall"), ADDRESS + "00", "chains.localnet.multicall", "40 hex digits"),
    ((*SOURCE, "kind"), "opyn", "books.0.sources.0.kind", "'lyra'"),
    ((*SOURCE, "pool"), ADDRESS, "books.0.sources.0.pool", UNKNOWN_KEY),
    ((*SOURCE, "viewer"), "0x12", "books.0.sources.0.viewer", "an address is 0x and 40 hex digits"),
    (SOURCE, DERIVE | {"accounts": []}, "books.0.sources.0.accounts", "at least 1"),
    (SOURCE, DERIVE | {"accounts": [0]}, "books.0.sources.0.accounts.0", "greater than 0"),
    (SOURCE, DERIVE | {"accounts": ["7"]}, "books.0.sources.0.accounts.0", NOT_WHOLE),
    (SOURCE, DERIVE | {"accounts": [7, 7]}, "books.0.sources.0", "a subaccount is named twice"),
    (SOURCE, DERIVE | {"perp_asset": ADDRESS}, "books.0.sources.0", "one asset has two roles"),
    (SOURCE, DERIVE | {"ignored_assets": [ADDRESS]}, "books.0.sources.0", "one asset has two roles"),
    (SOURCE, DERIVE | {"min_confidence": "1.01"}, "books.0.sources.0.min_confidence", "less than or equal"),
    (SOURCE, DERIVE | {"averaging_s": -1}, "books.0.sources.0.averaging_s", "greater than or equal to 0"),
    (
        SOURCE,
        {key: DERIVE[key] for key in DERIVE if key != "spot_feed"},
        "books.0.sources.0.spot_feed",
        "Field required",
    ),
    (FEEDS, [FEED | {"kind": "venue_mark"}], "books.0.feeds.0.kind", "'chainlink'"),
    (FEEDS, [FEED | {"typo": 1}], "books.0.feeds.0.typo", UNKNOWN_KEY),
    (FEEDS, [FEED, FEED], "the file", "two feeds share a name"),
    ((*VENUE, "chain"), "mainnet", "the file", "curie-eth: chain 'mainnet' is not under [chains]"),
    ((*SOURCE, "chain"), "mainnet", "the file", "lyra-eth: chain 'mainnet' is not under [chains]"),
    (("signer", "kind"), "ledger-nano", "signer.kind", "does not match any of the expected tags"),
    (("signer", "kind"), None, "signer.kind", "Unable to extract tag"),
    (("signer", "key"), "0x" + "99" * 32, "signer.key", NAMED),
    (("signer", "key"), "99" * 32, "signer.key", NAMED),
    (("signer", "key"), 5, "signer.key", NAMED),
    (("signer", "key"), ["env:VAULTKEEL_KEY"], "signer.key", NAMED),
    (("signer", "key"), "env:NOWHERE", "signer.key", "the environment variable NOWHERE is not set"),
    (("signer", "key"), "file:nowhere.key", "signer.key", "nowhere.key can't be read: No such file"),
    (
        ("signer",),
        {"kind": "keystore", "keystore": "k.json", "password": "hunter22"},
        "signer.password",
        NAMED,
    ),
    (("signer",), {"kind": "watch", "address": "0x1"}, "signer.address", "40 hex digits"),
    (
        (*LOCALNET, "rpc_urls"),
        [f"wss://node/{TOKEN}"],
        "chains.localnet.rpc_urls.0",
        "starts with http:// or https://",
    ),
    ((*LOCALNET, "rpc_urls"), [8545], "chains.localnet.rpc_urls.0", NAMED),
    ((*LOCALNET, "rpc_urls"), ["env:NOWHERE"], "chains.localnet.rpc_urls.0", "NOWHERE is not set"),
]


@pytest.mark.parametrize(
    ("where", "value", "field", "why"),
    MISTAKES,
    ids=[f"{'.'.join(map(str, w))}={v!r}" for w, v, _, _ in MISTAKES],
)
def test_a_mistake_is_one_line_that_names_the_field(
    write: Write, where: Where, value: Any, field: str, why: str
) -> None:
    told = mistake(write(where, value))
    assert told.startswith(f"vaultkeel.toml: {field}: ")
    assert why in told
    for secret in (KEY[2:], "99" * 32, TOKEN, "hunter22"):
        assert secret not in told


def test_a_book_of_subaccounts_and_three_kinds_of_feeds_loads(write: Write) -> None:
    path = write(SOURCE, DERIVE)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    pyth = {**FEED, "kind": "pyth", "name": "pyth", "price_id": "ab" * 32, "max_confidence": "0.01"}
    cast(Any, document)["books"][0]["vols"] = {"kind": "constant", "vol": "0.8"}
    cast(Any, document)["books"][0]["feeds"] = [FEED, {**FEED, "kind": "chainlink", "name": "link"}, pyth]
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    config = load_config(path)
    (book,) = config.books
    assert [(feed.kind, feed.name) for feed in book.feeds] == [
        ("redstone", "redstone"),
        ("chainlink", "link"),
        ("pyth", "pyth"),
    ]
    assert book.sources[0].counts == {("localnet", ADDRESS, "7")}
    source = make_source(book.sources[0], config.chains, book.venue.chain)
    assert isinstance(source, DeriveSource)
    assert source.contracts().keys() == DERIVE.keys() - {"kind", "name", "chain", "accounts"}


def test_several_mistakes_are_the_first_and_a_count(write: Write) -> None:
    told = mistake(write(LIMITS, {"max_order": 1.5, "typo": 1}))
    assert told.startswith("vaultkeel.toml: books.0.limits.max_order: ")
    assert told.endswith("(and 2 more)"), "the missing max_position, and the typo"


def test_one_mistake_has_no_count(write: Write) -> None:
    assert "more)" not in mistake(write((*LIMITS, "typo"), 1))


class TestTogether:
    def doubled(self, write: Write, **changes: Any) -> Path:
        first = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["books"][0]
        second = copy.deepcopy(first) | {"name": "second"}
        second["sources"][0]["market"] = ADDRESS
        second["venue"]["base_token"] = ADDRESS
        del second["margin"]  # the account's is watched by the first
        second |= {name: value for name, value in changes.items() if name == "name"}
        if changes.get("base_token") == "the same":
            changes["base_token"] = first["venue"]["base_token"]
        second["venue"] |= {name: value for name, value in changes.items() if name != "name"}
        return write(("books",), [first, second])

    def test_two_books_of_two_markets_are_fine(self, write: Write) -> None:
        assert len(load_config(self.doubled(write)).books) == 2

    def test_one_margin_is_watched_by_one_book(self, write: Write) -> None:
        """Else one would take out what the other puts in, and take back what the other allows."""
        first = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["books"][0]
        second = copy.deepcopy(first) | {"name": "second"}
        second["sources"][0]["market"] = ADDRESS
        second["venue"]["base_token"] = ADDRESS
        told = mistake(write(("books",), [first, second]))
        assert "the books eth and second watch the margin of one account" in told
        second["venue"]["vault"] = ADDRESS
        assert len(load_config(write(("books",), [first, second])).books) == 2

    @pytest.mark.parametrize("change", [{"name": "eth"}, {"base_token": "the same"}], ids=["name", "market"])
    def test_two_books_of_one_name_or_market_are_refused(self, write: Write, change: dict[str, str]) -> None:
        assert "two books share a name or a market of the venue" in mistake(self.doubled(write, **change))

    def on_two_chains(self, write: Write, clock: str, other: str) -> Path:
        path = self.doubled(write, chain="other")
        text = path.read_text(encoding="utf-8")
        text = f'clock = "{clock}"\n' + re.sub(r"^clock = .*\n", "", text, flags=re.MULTILINE)
        path.write_text(
            f'{text}\n[chains.other]\nrpc_urls = ["http://other"]\nquorum = 1\n{other}\n', encoding="utf-8"
        )
        return path

    @pytest.mark.parametrize(("shares", "fits"), [(("1", "1"), False), (("0.4", "0.6"), True)])
    def test_two_books_of_one_vault_hedge_all_of_it_at_most(
        self, write: Write, shares: tuple[str, str], fits: bool
    ) -> None:
        first = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["books"][0]
        second = copy.deepcopy(first) | {"name": "second"}
        second["venue"]["base_token"] = ADDRESS
        del second["margin"]
        for book, ratio in zip((first, second), shares, strict=True):
            book["target"]["hedge_ratio"] = ratio
        path = write(("books",), [first, second])
        if fits:
            assert len(load_config(path).books) == 2
        else:
            assert "the books eth and second count lyra" in mistake(path)

    def test_books_may_trade_on_several_chains(self, write: Write) -> None:
        config = load_config(self.on_two_chains(write, "system", "chain_id = 10"))
        assert [book.venue.chain for book in config.books] == ["localnet", "other"]

    def test_several_chains_are_told_apart_by_their_ids(self, write: Write) -> None:
        path = self.on_two_chains(write, "system", "chain_id = 31337")
        assert "the chains localnet and other have one chain_id, 31337" in mistake(path)

    def test_one_chains_clock_is_not_the_time_of_several(self, write: Write) -> None:
        path = self.on_two_chains(write, "chain", "chain_id = 10")
        assert 'clock "chain" is one chain\'s' in mistake(path)

    def test_live_trading_needs_a_key(self, write: Write) -> None:
        watched = {"kind": "watch", "address": ADDRESS}
        path = write(("signer",), watched)
        assert load_config(path).signer.kind == "watch"
        path.write_text(path.read_text(encoding="utf-8").replace('mode = "paper"', 'mode = "live"'))
        assert 'mode "live" needs a signer that holds a key' in mistake(path)


FIRST, SECOND = f"https://first.invalid/{TOKEN}", "https://second.invalid"


class TestPoorChains:
    def chain(self, write: Write, **changes: Any) -> Any:
        document = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["chains"]["localnet"] | changes
        return write(("chains", "localnet"), document)

    def test_a_chain_may_have_no_multicall_and_nodes_without_history(self, write: Write) -> None:
        path = self.chain(write, multicall="", drift_blocks=3, max_log_blocks=1000, confirmations=2)
        config = load_config(path)
        client = make_client("localnet", config.chains["localnet"])
        assert make_access(client, config.chains["localnet"]).multicall is None
        rules = client._rules
        assert (rules.drift_blocks, rules.max_log_blocks, rules.parent_numbers) == (3, 1000, False)

    def test_drift_shorter_than_the_confirmations_is_refused(self, write: Write) -> None:
        path = self.chain(write, drift_blocks=2, confirmations=3)
        assert "drift_blocks 2 is below confirmations 3" in mistake(path)

    @pytest.mark.parametrize(
        ("chain_id", "given", "expected"),
        [(42161, {}, True), (10, {}, False), (10, {"parent_numbers": True}, True)],
    )
    def test_arbitrums_own_chains_are_known(
        self, write: Write, chain_id: int, given: dict[str, bool], expected: bool
    ) -> None:
        path = self.chain(write, chain_id=chain_id, **given)
        assert load_config(path).chains["localnet"].contracts_see_parent is expected
        if expected:
            told = mistake(self.chain(write, chain_id=chain_id, drift_blocks=3, **given))
            assert "counted by the number that contracts see" in told


class TestProviders:
    def chain(self, write: Write, **changes: Any) -> Path:
        shipped = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))["chains"]["localnet"]
        del shipped["quorum"]
        return write(LOCALNET, shipped | changes)

    def test_two_must_agree_unless_the_file_says_otherwise(self, write: Write) -> None:
        chain = load_config(self.chain(write, rpc_urls=[FIRST, SECOND])).chains["localnet"]
        assert (chain.quorum, chain.max_lag_blocks, chain.set_aside_s, chain.send_urls) == (2, 5, 30, ())

    def test_one_is_enough_only_where_the_file_says_so(self, write: Write) -> None:
        assert (
            len(load_config(self.chain(write, rpc_urls=[FIRST], quorum=1)).chains["localnet"].rpc_urls) == 1
        )
        assert mistake(self.chain(write, rpc_urls=[FIRST])) == (
            "vaultkeel.toml: chains.localnet: a quorum of 2 needs as many rpc_urls, not 1; "
            "a single provider is trusted only where quorum = 1 says so"
        )

    @pytest.mark.parametrize(
        ("changes", "field", "why"),
        [
            ({"rpc_urls": [FIRST, SECOND], "quorum": 3}, "", "a quorum of 3 needs as many rpc_urls, not 2"),
            ({"rpc_urls": [FIRST, SECOND, FIRST]}, "", "rpc_urls names the same address twice"),
            ({"rpc_urls": [FIRST, SECOND, "https://SECOND.invalid/"]}, "", "rpc_urls names the same address"),
            (
                {"rpc_urls": [FIRST, SECOND], "send_urls": [SECOND] * 2},
                "",
                "send_urls names the same address",
            ),
            ({"rpc_urls": []}, ".rpc_urls", "at least 1"),
            ({"rpc_urls": FIRST}, ".rpc_urls", "valid tuple"),
            ({"rpc_urls": [FIRST, f"wss://{TOKEN}"]}, ".rpc_urls.1", "starts with http:// or https://"),
            ({"rpc_urls": [FIRST, SECOND], "send_urls": [7]}, ".send_urls.0", NAMED),
            ({"rpc_urls": [FIRST, SECOND], "quorum": 0}, ".quorum", "greater than 0"),
            ({"rpc_urls": [FIRST, SECOND], "quorum": "2"}, ".quorum", NOT_WHOLE),
            ({"rpc_urls": [FIRST, SECOND], "max_lag_blocks": 0}, ".max_lag_blocks", "greater than 0"),
            ({"rpc_urls": [FIRST, SECOND], "set_aside_s": 0}, ".set_aside_s", "greater than 0"),
            ({"rpc_url": FIRST, "rpc_urls": [FIRST, SECOND]}, ".rpc_url", UNKNOWN_KEY),
        ],
    )
    def test_a_mistake_names_its_field_and_no_address(
        self, write: Write, changes: dict[str, Any], field: str, why: str
    ) -> None:
        told = mistake(self.chain(write, **changes))
        assert told.startswith(f"vaultkeel.toml: chains.localnet{field}: ")
        assert why in told
        assert TOKEN not in told
        assert "invalid/" not in told

    def test_a_private_relay_may_be_read_as_well(self, write: Write) -> None:
        path = self.chain(write, rpc_urls=[FIRST, SECOND], send_urls=[SECOND])
        assert load_config(path).chains["localnet"].send_urls[0].get_secret_value() == SECOND

    def test_each_is_called_by_its_place(self, write: Write) -> None:
        path = self.chain(write, rpc_urls=[FIRST, SECOND], send_urls=["env:VAULTKEEL_RELAY"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("VAULTKEEL_RELAY", f"https://relay.invalid/{TOKEN}")
            client = make_client("localnet", load_config(path).chains["localnet"])
        assert [each.name for each in client.health()] == ["localnet provider 1", "localnet provider 2"]
        assert [sender.name for sender in client._senders] == ["localnet sender 1"]

    def test_a_rehearsal_sends_nothing_to_the_relays_of_its_source(self, write: Write) -> None:
        path = self.chain(write, rpc_urls=[FIRST, SECOND], send_urls=[FIRST])

        class Fork:
            url = "http://127.0.0.1:1"

            def rpc(self, method: str) -> dict[str, str]:
                return {"instanceId": "0x" + "ab" * 32}

        text = fork_config(path, 31337, cast(Node, Fork()), 7, wall_clock=True)
        chain = tomllib.loads(text)["chains"]["localnet"]
        assert chain["rpc_urls"] == [Fork.url]
        assert chain["quorum"] == 1
        assert "send_urls" not in chain
        assert TOKEN not in text


class TestFiles:
    def test_a_missing_file_is_said_to_be_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere.toml"
        assert mistake(path) == f"{path} can't be read: No such file or directory"
        assert mistake(tmp_path) == f"{tmp_path} can't be read: Is a directory"

    @pytest.mark.parametrize(
        "content", [b"mode = ", b"[[books]", b"\xff\xfe", b'{"mode": "paper"}', b"a = 1\na = 2"]
    )
    def test_what_is_not_toml_is_said_to_be_none(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "vaultkeel.toml"
        path.write_bytes(content)
        assert mistake(path).startswith(f"{path} is not TOML: ")

    def test_an_empty_file_says_what_is_missing(self, tmp_path: Path) -> None:
        path = tmp_path / "vaultkeel.toml"
        path.write_text("")
        assert "chains: Field required" in mistake(path)

    def test_relative_paths_start_from_the_files_folder(
        self, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (tmp_path / "secrets").mkdir()
        secret = tmp_path / "secrets" / "hedger.key"
        secret.write_text(f"  {KEY}\n")
        secret.chmod(0o600)
        path = write(("signer",), {"kind": "key", "key": "file:secrets/hedger.key", "plain_key": True})
        monkeypatch.chdir(elsewhere)
        for given in (path, Path("..") / path.name):
            config = load_config(given)
            assert config.ledger == tmp_path / "vaultkeel.db"
            assert isinstance(config.signer, KeySigner)
            assert config.signer.key.get_secret_value() == KEY

    def test_absolute_paths_stay(self, write: Write, tmp_path: Path) -> None:
        assert load_config(write(("ledger",), "/var/lib/vaultkeel.db")).ledger == Path(
            "/var/lib/vaultkeel.db"
        )

    def test_the_default_ledger_lies_beside_the_file_too(self, write: Write, tmp_path: Path) -> None:
        assert load_config(write(("ledger",), None)).ledger == tmp_path / "vaultkeel.db"


class TestSecrets:
    def config(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> Config:
        monkeypatch.setenv("RPC", f"https://rpc.invalid/{TOKEN}")
        return load_config(write((*LOCALNET, "rpc_urls"), ["env:RPC"]))

    def test_a_secret_never_shows(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        config = self.config(write, monkeypatch)
        shown = [str(config), repr(config), config.model_dump_json(), str(config.model_dump())]
        shown += [repr(config.signer), repr(config.chains), f"{config.chains['localnet'].rpc_urls}"]
        for text in shown:
            assert KEY[2:] not in text
            assert TOKEN not in text

    def test_a_secret_is_there_for_who_asks(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        config = self.config(write, monkeypatch)
        assert config.chains["localnet"].rpc_urls[0].get_secret_value() == f"https://rpc.invalid/{TOKEN}"

    def test_an_rpc_address_that_is_written_out_is_a_secret_too(self, write: Write) -> None:
        config = load_config(write((*LOCALNET, "rpc_urls"), [f"https://rpc.invalid/{TOKEN}"]))
        assert TOKEN not in repr(config) + config.model_dump_json()

    @pytest.mark.parametrize(
        ("where", "value"),
        [
            (("signer", "key"), KEY),
            ((*LOCALNET, "rpc_urls"), f"ftp://rpc.invalid/{TOKEN}"),
            ((*LOCALNET, "rpc_urls"), [[f"https://rpc.invalid/{TOKEN}"]]),
            (("signer",), f"key = {KEY}"),
            (("signer",), [KEY]),
        ],
    )
    def test_a_misplaced_secret_is_in_no_error_and_no_traceback(
        self, write: Write, where: Where, value: Any
    ) -> None:
        try:
            load_config(write(where, value))
        except ConfigError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error)
        assert KEY[2:] not in shown
        assert TOKEN not in shown

    def test_the_library_underneath_quotes_no_secret_either(self) -> None:
        with pytest.raises(ValidationError) as error:
            Config.model_validate({"signer": {"kind": "key", "key": KEY}})
        assert KEY[2:10] not in str(error.value)

    def test_a_secret_that_cant_be_read_is_not_quoted(self, write: Write, tmp_path: Path) -> None:
        (tmp_path / "key").write_bytes(b"\xff" + KEY.encode())
        (tmp_path / "key").chmod(0o600)
        told = mistake(write(("signer", "key"), "file:key"))
        assert told.startswith("vaultkeel.toml: signer.key: ")
        assert KEY[2:] not in told

    def test_an_empty_variable_is_as_good_as_none(
        self, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("VAULTKEEL_KEY", "")
        assert "the environment variable VAULTKEEL_KEY is not set" in mistake(write())


GAS_SENTENCE = "what one order's gas may cost: lower that one first"

CONTRADICTIONS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"max_order": "301"}, {}, "books.0.limits: max_order 301 is above max_position 300"),
    ({"max_trades_hour": 9, "max_trades_day": 8}, {}, "max_trades_hour 9 is above max_trades_day 8"),
    (
        {"max_turnover_hour_usd": "20000001"},
        {},
        "max_turnover_hour_usd 20000001 is above max_turnover_day_usd 20000000",
    ),
    (
        {"max_turnover_hour_usd": "249999"},
        {},
        "max_order_usd 250000 is above max_turnover_hour_usd 249999",
    ),
    ({"max_turnover_day_usd": "9"}, {}, "max_order_usd 250000 is above max_turnover_day_usd 9"),
    ({"max_slippage": "0.02", "max_bound_gap": "0.01"}, {}, "max_slippage 0.02 is above max_bound_gap 0.01"),
    ({"max_order": "0.09"}, {}, "books.0: min_trade 0.1 is above max_order 0.09: nothing could be traded"),
    ({"max_order_usd": "25"}, {}, "max_order_usd 25 of book eth is not above max_gas_usd 25 of the chain"),
    ({"max_gas_day_usd": "24"}, {}, f"of book eth is below max_gas_usd 25 of the chain, {GAS_SENTENCE}"),
    ({}, {"max_gas_day_usd": "24"}, "max_gas_day_usd 24 of all books is below max_gas_usd 25"),
    (
        {"max_trades_hour": 1, "max_trades_day": 9},
        {"max_trades_day": 8},
        "max_trades_day of book eth is 9, above 8 of all books",
    ),
    ({}, {"max_trades_hour": 9, "max_trades_day": 8}, "limits: max_trades_hour 9 is above max_trades_day 8"),
    ({"then": {"DAILY_LOS": "halt"}}, {}, "books.0.limits.then: DAILY_LOS is no code of these limits"),
    ({"then": {"TOTAL_DAILY_LOSS": "halt"}}, {}, "TOTAL_DAILY_LOSS is no code of these limits"),
    ({}, {"then": {"DAILY_LOSS": "halt"}}, "limits.then: DAILY_LOSS is no code of these limits"),
    ({"then": {"DAILY_LOSS": "stop"}}, {}, "'reduce' or 'halt'"),
    ({"max_leverage": "0"}, {}, "books.0.limits.max_leverage: Input should be greater than 0"),
    ({"max_net": 1.5}, {}, f"books.0.limits.max_net: {NOT_EXACT}"),
    ({"max_trades_day": "9"}, {}, f"books.0.limits.max_trades_day: {NOT_WHOLE}"),
    ({}, {"max_order": "9"}, f"limits.max_order: {UNKNOWN_KEY}"),
]


class TestLimits:
    @pytest.mark.parametrize(("of_book", "in_all", "told"), CONTRADICTIONS)
    def test_limits_that_contradict_each_other_are_refused_in_a_sentence(
        self, tmp_path: Path, of_book: dict[str, Any], in_all: dict[str, Any], told: str
    ) -> None:
        document = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
        document["books"][0]["limits"].update(of_book)
        document["limits"] = in_all
        path = tmp_path / "vaultkeel.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        assert told in mistake(path)

    def test_every_limit_reaches_the_desk(self, tmp_path: Path) -> None:
        given: dict[str, Any] = {
            "max_order": "60", "max_position": "300", "max_order_usd": "200000", "max_leverage": "4",
            "max_bound_gap": "0.07", "max_gross": "500", "max_net": "20", "min_interval_s": 30, "max_price_move": "0.1",
            "min_native": "0.05", "max_trades_hour": 5, "max_trades_day": 50,
            "max_turnover_hour_usd": "1000000", "max_turnover_day_usd": "3000000",
            "max_fees_day_usd": "3000", "max_gas_day_usd": "100", "max_loss_day_usd": "9000",
        }  # fmt: skip
        document = tomllib.loads(SHIPPED.read_text(encoding="utf-8"))
        document["books"][0]["limits"] = given | {"then": {"DAILY_LOSS": "halt"}, "order_ttl_s": 90}
        document["limits"] = {"max_loss_day_usd": "10000", "then": {"TOTAL_DAILY_LOSS": "reduce"}}
        path = tmp_path / "vaultkeel.toml"
        path.write_text(tomlkit.dumps(document), encoding="utf-8")
        config = load_config(path)
        kept = make_limits(config, config.books[0])
        for name, value in given.items():
            owner = kept.budgets if name in Budgets.__slots__ else kept
            assert getattr(owner, name) == (value if isinstance(value, int) else Decimal(str(value))), name
        assert (kept.min_order, kept.max_order_gas_usd) == (Decimal("0.1"), 25)
        assert kept.in_all == Budgets(max_loss_day_usd=Decimal(10_000))
        with closing(open_ledger(path.with_name("ledger.db"))) as ledger:
            book = make_book(
                config, config.books[0], make_client("a", config.chains["localnet"]), ledger, SIGNER
            )
        bounds = order_bounds(config.books[0].limits)
        assert bounds == OrderBounds(Decimal(60), Decimal("0.07"), 90)
        assert book.then == {"DAILY_LOSS": Mode.HALTED, "TOTAL_DAILY_LOSS": Mode.REDUCING}
