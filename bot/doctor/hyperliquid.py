"""What only a book on Hyperliquid rests on: its chain's node, the account's settings there, and the info API."""

from collections.abc import Iterator

from bot.app.chains import make_providers
from bot.app.venues import info_of
from bot.chain.contracts import contract
from bot.chain.provider import Provider
from bot.config.chains import ChainConfig
from bot.config.venues import HyperliquidConfig
from bot.core.model import VenueState
from bot.doctor.books import Patient
from bot.doctor.findings import Finding, fails, isolated, passes, warns
from bot.errors import VaultkeelError
from bot.venues.hyperliquid_market import MIN_ORDER_USD, HyperliquidState
from bot.venues.hyperliquid_reading import SHARED_MODES

NETWORKS = {999: "HyperEVM", 998: "HyperEVM's testnet"}
GAS_COIN = "HYPE"
LOOK_BACK = 64
"""How many blocks ago a node's memory is tried."""
LEAST_PROVIDED = (
    "set drift_blocks of its chain: else a read that a new block overtakes is refused and the tick skipped"
)


def hyperliquid_findings(patient: Patient, state: VenueState) -> list[Finding]:
    """Everything about a book's venue on Hyperliquid that can be told, once it was read."""
    venue, name = patient.book.venue, patient.book.name
    if not isinstance(venue, HyperliquidConfig):
        return []
    chain = patient.config.chains[venue.chain]
    return [
        *isolated(f"{venue.chain} network", lambda: network(venue, chain)),
        *isolated(f"{venue.chain} memory", lambda: memory(venue.chain, chain)),
        *isolated(f"{name} account settings", lambda: settings(patient, venue, state)),
        *isolated(f"{name} order sizes", lambda: sizes(patient, venue, state)),
        *isolated(f"{name} info API", lambda: info(patient, venue)),
    ]


def network(venue: HyperliquidConfig, chain: ChainConfig) -> Iterator[Finding]:
    """Which network it is, and what its gas is paid in."""
    check, known = f"{venue.chain} network", NETWORKS.get(chain.chain_id)
    if known is None:
        said = f"chain {chain.chain_id} is none of Hyperliquid's: HyperCore is a stand-in there"
        yield warns(check, said, "for real trading use chain 999, or 998 for the testnet")
    else:
        yield passes(check, f"{known}, perp {venue.market} is {venue.coin} there")
    if chain.native_usd == "underlying" and venue.coin != GAS_COIN:
        said = f"gas is counted as {venue.coin}, and HyperEVM's is paid in {GAS_COIN}"
        yield fails(f"{venue.chain} gas coin", said, f"set native_usd to the price of {GAS_COIN}")


def memory(name: str, chain: ChainConfig) -> Iterator[Finding]:
    """Whether each provider reads an old block as it was. HyperEVM's public one is said to answer with its newest."""
    for provider in make_providers(name, "provider", chain.rpc_urls, chain.timeout_s):
        check = f"{provider.name} memory"
        try:
            remembers = reads_the_past(provider, name, chain)
        except VaultkeelError as error:
            yield warns(check, f"it doesn't read {LOOK_BACK} blocks back: {error}", LEAST_PROVIDED)
            continue
        if remembers:
            yield passes(check, f"it reads a block of {LOOK_BACK} ago as it was")
        else:
            said = "it answers a read of an old block with its newest state, without saying so"
            yield warns(check, said, LEAST_PROVIDED)


def reads_the_past(provider: Provider, name: str, chain: ChainConfig) -> bool:
    """Whether a call at an old block's hash runs in that block, told by the time that Multicall3 sees there."""
    head = provider.block(name, "latest")
    old = provider.block(name, hex(max(head.number - LOOK_BACK, 0)))
    clock = contract("multicall3", chain.multicall)
    call = {"to": clock.address, "data": "0x" + clock.abi.encode("getCurrentBlockTimestamp").hex()}
    data = provider.data("eth_call", [call, {"blockHash": old.hash}])
    seen: int = clock.abi.decode_output("getCurrentBlockTimestamp", data)
    return seen == old.timestamp


def settings(patient: Patient, venue: HyperliquidConfig, state: VenueState) -> Iterator[Finding]:
    """The account's leverage for the market, which nothing on HyperEVM can set."""
    check = f"{patient.book.name} account settings"
    if not isinstance(state, HyperliquidState):
        return
    wanted = patient.book.limits.max_leverage
    text = f"{state.account} exists on HyperCore, its margin is cross, its leverage for {venue.coin} {state.leverage}"
    if wanted is not None and wanted > state.leverage:
        said = f"{text}, below the max_leverage {wanted:f} of the limits"
        yield warns(check, said, "set it on Hyperliquid itself, or lower max_leverage")
    else:
        yield passes(check, text)
    if patient.book.margin is None:
        return
    policy = patient.book.margin.protection().policy
    asked = policy.critical * state.maintenance_ratio if policy.measure == "ratio" else 1 / policy.critical
    if asked < state.initial_ratio:
        said = (
            f"the critical level asks {asked:.2%} of the notional and HyperCore {state.initial_ratio:.2%} to open a "
            "position: between the two orders are refused, and no top-up is made for them"
        )
        yield warns(f"{patient.book.name} margin levels", said, "raise critical, or the account's leverage")


def sizes(patient: Patient, venue: HyperliquidConfig, state: VenueState) -> Iterator[Finding]:
    """Whether HyperCore would take the smallest order, and the book bear the largest."""
    check, least = f"{patient.book.name} order sizes", patient.book.policy.min_trade * state.mark
    if least < MIN_ORDER_USD:
        said = f"min_trade is worth {least:.2f} USD, and HyperCore takes no order below {MIN_ORDER_USD}"
        yield fails(check, said, "raise min_trade: smaller orders are refused")
    elif patient.book.limits.max_order > venue.depth:
        said = f"max_order {patient.book.limits.max_order:f} is above depth {venue.depth:f}, to which orders are cut"
        yield warns(check, said, "raise depth as far as the order book bears it, or lower max_order")
    else:
        yield passes(check, f"the smallest order is worth {least:.2f} USD")


def info(patient: Patient, venue: HyperliquidConfig) -> Iterator[Finding]:
    """Whether the info API answers, and what it says of how the account's margin is shared."""
    check, asked = f"{patient.book.name} info API", info_of(venue, patient.signer)
    if asked is None:
        said = "none is configured: fees and some prices of fills are reckoned, funding and the margin mode unknown"
        yield warns(check, said, "set info_url, see docs/hyperliquid.md")
        return
    rate = asked.funding_per_hour()
    asked.fills(int(patient.now()))
    yield passes(check, f"it answers; longs pay {rate:.6%} per hour for {venue.coin}")
    mode = asked.margin_mode()
    if mode in SHARED_MODES:
        said = f"the account's margin mode is {mode}: HyperEVM doesn't show what backs its perps"
        yield fails(
            f"{patient.book.name} margin mode", said, "switch it back to separate balances on Hyperliquid"
        )
    else:
        yield passes(f"{patient.book.name} margin mode", f"it is {mode}: the perp side's figures are whole")
