"""The small ABI files that we wrote, against the artifacts that the protocols published."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import bot
from bot.chain.contracts import load_abi
from bot.localnet.artifacts import Artifacts
from bot.localnet.curie import curie_artifacts
from bot.localnet.deploy_lyra import lyra_artifacts
from bot.localnet.packages import SAFE, ensure
from bot.share import share

Entry = dict[str, Any]

# File → whose package, and the contract in it.
CONTRACTS = {
    "chainlink_aggregator": ("doubles", "MockAggregatorV2V3"),
    "curie_account_balance": ("core", "AccountBalance"),
    "curie_base_token": ("core", "BaseToken"),
    "curie_clearing_house": ("core", "ClearingHouse"),
    "curie_clearing_house_config": ("core", "ClearingHouseConfig"),
    "curie_delegate_approval": ("core", "DelegateApproval"),
    "curie_exchange": ("core", "Exchange"),
    "curie_market_registry": ("core", "MarketRegistry"),
    "curie_quoter": ("lens", "Quoter"),
    "curie_vault": ("core", "Vault"),
    "erc20": ("doubles", "TestERC20SetDecimals"),
    "lyra_exchange_adapter": ("lyra", "SynthetixAdapter"),
    "lyra_greek_cache": ("lyra", "OptionGreekCache"),
    "lyra_liquidity_pool": ("lyra", "LiquidityPool"),
    "lyra_option_token": ("lyra", "OptionToken"),
    "lyra_pool_hedger": ("lyra", "ShortPoolHedger"),
    "lyra_viewer": ("lyra", "OptionMarketViewer"),
    "safe_multisig": ("safe", "Safe"),
    "uniswap_v3_pool": ("uniswap", "UniswapV3Pool"),
}
WITHOUT_ARTIFACT = {
    "multicall3": {
        "aggregate3": "0x82ad56cb",
        "getEthBalance": "0x4d2301cc",
        "getBlockNumber": "0x42cbb15c",
        "getCurrentBlockTimestamp": "0x0f28c97d",
    }
}
"""Multicall3 comes as bytecode alone: the selectors in it are what there is to compare with."""

UNPUBLISHED = {
    "gmx_reader": {
        "getMarket": "0x714af34b",
        "getMarkets": "0xce3264bf",
        "getAccountPositions": "0x77cfb162",
        "getAccountOrders": "0x42a6f8d3",
        "getOrder": "0x49651b6a",
        "getMarketInfo": "0x847bb469",
        "getPositionInfo": "0x0815bce1",
        "getExecutionPrice": "0x689031a2",
        "isPositionLiquidatable": "0x456110f9",
    },
    "gmx_exchange_router": {
        "multicall": "0xac9650d8",
        "sendWnt": "0x7d39aaf1",
        "sendTokens": "0xe6d66ac8",
        "createOrder": "0xf59c48eb",
        "cancelOrder": "0x7489ec23",
        "claimFundingFees": "0xc41b1ab3",
    },
    "gmx_data_store": {"getUint": "0xbd02d0f5", "getBool": "0x7ae1cfca"},
    "gmx_event_emitter": {
        "EventLog1": "0x137a44067c8961cd7e1d876f4754a5a3a75989b4552f1843fc69c3b372def160",
        "EventLog2": "0x468a25a7ba624ceea6e540ad6f49171b52495b648417ae91bca21676d8a24dc5",
    },
    "gmx_errors": {
        "InsufficientExecutionFee": "0x5dac504d",
        "DisabledFeature": "0xdd70e0c9",
        "EmptyOrder": "0x16307797",
        "RequestNotYetCancellable": "0xe8266438",
        "OrderNotUpdatable": "0x9aba92cb",
        "Unauthorized": "0xa35b150b",
    },
    "derive_sub_accounts": {"getAccountBalances": "0xc7569701", "manager": "0x52981457"},
    "derive_manager": {"getMarginAndMarkToMarket": "0x6691bc04"},
    "derive_feed": {
        "getSpot": "0x2b37269c",
        "getForwardPrice": "0xb34f2e36",
        "getSettlementPrice": "0xf395437d",
        "getVol": "0x96159550",
        "getInterestRate": "0xb0487ff6",
    },
    "pyth": {"getPriceUnsafe": "0x96834ad3", "PriceFeedNotFound": "0x14aebe68"},
    "gamma_controller": {
        "getAccountVaultCounter": "0xcaa6d21a",
        "getVaultWithDetails": "0x9daafbe8",
        "oracle": "0x7dc0d1d0",
    },
    "gamma_oracle": {"getPrice": "0x41976e09", "getExpiryPrice": "0x01957f81"},
    "gamma_otoken": {"getOtokenDetails": "0xaf0968fc", "balanceOf": "0x70a08231", "decimals": "0x313ce567"},
    "erc4626": {"asset": "0x38d52e0f", "convertToAssets": "0x07a2d13a"},
    "rate_provider": {"getRate": "0x679aefce", "stEthPerToken": "0x035faf82"},
    "hyperevm_core_writer": {
        "sendRawAction": "0x17938e13",
        "RawAction": "0x8c7f585fb295f7eb1e6aeb8fba61b23a4fe60beda405f0045073b185c74412e3",
    },
}
"""No package has these. The selectors and topics of GMX and Derive are those of their repositories' ABIs, main of March
2026 and January 2026, Pyth's those of its Solidity SDK, 4.2; Gamma's, ERC-4626's, the rates' and Hyperliquid's are the
hashes of the signatures in their published sources.
"""

ONLY_TESTED = {"erc20.transfer"}
"""What the key must never sign, kept as the example that the mandate's tests refuse."""


def folder(package: str) -> Artifacts:
    quiet = lambda _: None  # noqa: E731
    if package == "lyra":
        return lyra_artifacts(quiet)
    if package == "safe":
        return Artifacts(ensure(SAFE, quiet) / "build/artifacts/contracts")
    artifacts: Artifacts = getattr(curie_artifacts(quiet), package)
    return artifacts


def written(name: str) -> list[Entry]:
    entries: list[Entry] = json.loads(share("abis", f"{name}.json").read_text(encoding="utf-8"))
    return entries


def plain(parameter: Entry) -> Entry:
    """A parameter without what Solidity adds for its own tools."""
    kept = {name: parameter.get(name, False) for name in ("name", "type", "indexed")}
    if "components" in parameter:
        kept["components"] = [plain(component) for component in parameter["components"]]
    return kept


def essence(entry: Entry) -> Entry:
    """An entry's meaning: kind, name, parameters with their names, what it returns, and whether it writes."""
    kept = {"type": entry["type"], "name": entry["name"], "inputs": [plain(i) for i in entry["inputs"]]}
    if entry["type"] == "function":
        kept |= {
            "outputs": [plain(o) for o in entry["outputs"]],
            "stateMutability": entry["stateMutability"],
        }
    if entry["type"] == "event":
        kept["anonymous"] = entry.get("anonymous", False)
    return kept


ENTRIES = [(name, entry) for name in CONTRACTS for entry in written(name)]
IDS = [f"{name}.{entry['name']}" for name, entry in ENTRIES]


def test_every_file_is_in_the_table() -> None:
    files = {path.stem for path in share("abis").glob("*.json")}
    assert files == CONTRACTS.keys() | WITHOUT_ARTIFACT.keys() | UNPUBLISHED.keys()


@pytest.mark.parametrize(("name", "entry"), ENTRIES, ids=IDS)
def test_every_entry_is_the_published_one(name: str, entry: Entry) -> None:
    package, contract = CONTRACTS[name]
    artifacts = folder(package)
    if entry["type"] == "error":  # one that comes from deeper inside is not in the contract's own ABI
        published = errors_of(artifacts, entry["name"])
    else:
        published = [
            dict(e) for e in artifacts.load(contract).interface.abi if e.get("name") == entry["name"]
        ]
    assert essence(entry) in [essence(e) for e in published if e["type"] == entry["type"]]


@pytest.mark.parametrize("name", CONTRACTS)
def test_no_entry_is_written_twice(name: str) -> None:
    names = [(entry["type"], entry["name"]) for entry in written(name)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", WITHOUT_ARTIFACT)
def test_a_contract_without_an_artifact_has_the_selector_in_its_code(name: str) -> None:
    selectors = {e["name"]: "0x" + load_abi(name).selector(e["name"]).hex() for e in written(name)}
    assert selectors == WITHOUT_ARTIFACT[name]
    code = (Path(bot.__file__).parent / "localnet" / "multicall3.hex").read_text(encoding="utf-8")
    assert all(selector[2:] in code for selector in selectors.values())


@pytest.mark.parametrize("name", UNPUBLISHED)
def test_an_unpublished_contract_has_the_selectors_of_its_repository(name: str) -> None:
    abi = load_abi(name)
    found = {function: "0x" + abi.selector(function).hex() for function in abi.functions}
    found |= {event: "0x" + abi.topic(event).hex() for event in abi.events}
    found |= {
        error["name"]: "0x" + selector.hex()
        for selector, error in abi.errors.items()
        if error["name"] in UNPUBLISHED[name]
    }
    assert found == UNPUBLISHED[name]


def test_every_entry_is_used() -> None:
    # An error is used by being in the file: a revert is looked up by its selector, not by its name.
    package = Path(bot.__file__).parent
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(package.rglob("*.py")))
    loaded = set(re.findall(r'(?<!\w)contract\(\s*"(\w+)"', source))
    assert loaded == CONTRACTS.keys() | WITHOUT_ARTIFACT.keys() | UNPUBLISHED.keys() - {"gmx_errors"}
    unused = [
        f"{name}.{entry['name']}"
        for name, entry in ENTRIES
        if entry["type"] != "error" and f'"{entry["name"]}"' not in source
        if f"{name}.{entry['name']}" not in ONLY_TESTED
    ]
    assert unused == []


def errors_of(artifacts: Artifacts, name: str) -> list[Entry]:
    """Every custom error of this name in a package."""
    found = []
    for path in sorted(artifacts.root.rglob("*.json")):
        if path.name.endswith(".dbg.json"):
            continue
        abi = json.loads(path.read_text(encoding="utf-8")).get("abi", [])
        found += [entry for entry in abi if entry["type"] == "error" and entry["name"] == name]
    return found
