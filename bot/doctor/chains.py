"""A chain's providers, clock and contracts. Asks, and sends nothing."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bot.app.chains import make_providers
from bot.chain.client import Client, Provider
from bot.config.chains import ChainConfig
from bot.core.model import BlockRef
from bot.doctor.findings import Finding, fails, isolated, passes, warns
from bot.errors import DataError, VaultkeelError

SLOW_S = 2.0
MOST_AHEAD_S = 15
"""Blocks may be a little ahead of a right clock."""
OTHERS_SERVE = "the others are enough; ask its operator, or put another in its place"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one provider answered, in how many seconds."""

    provider: Provider
    chain_id: int
    head: BlockRef
    took_s: float


def provider_findings(name: str, chain: ChainConfig) -> Iterator[Finding]:
    """Every provider alone: whether it answers, its chain, its lag and its speed; then whether they are a quorum."""
    seen: list[Seen] = []
    bad: list[tuple[str, str]] = []
    for provider in make_providers(name, "provider", chain.rpc_urls, chain.timeout_s):
        try:
            seen.append(ask(name, provider))
        except VaultkeelError as error:
            bad.append((provider.name, str(error)))
    best = max((one.head.number for one in seen if one.chain_id == chain.chain_id), default=0)
    good = []
    for one in seen:
        lag = best - one.head.number
        if one.chain_id != chain.chain_id:
            said = f"it is on chain {one.chain_id}, the configuration says {chain.chain_id}"
            bad.append((one.provider.name, said))
        elif lag > chain.max_lag_blocks:
            bad.append(
                (one.provider.name, f"it lags {lag} blocks behind, the limit is {chain.max_lag_blocks}")
            )
        else:
            good.append(one)
    for one in good:
        text = f"block {one.head.number}, {best - one.head.number} behind, in {one.took_s:.2f} s"
        if one.took_s > SLOW_S:
            yield warns(one.provider.name, text, "it is slow: a nearer or a paid one makes ticks shorter")
        else:
            yield passes(one.provider.name, text)
    enough = len(good) >= chain.quorum
    for who, why in bad:
        if enough:
            yield warns(who, why, OTHERS_SERVE)
        else:
            yield fails(who, why, "mend its address in rpc_urls, or put another in its place")
    yield quorum_finding(name, chain, len(good))


def quorum_finding(name: str, chain: ChainConfig, good: int) -> Finding:
    """Whether enough providers are left to agree, and one to spare."""
    check, text = (
        f"{name} quorum",
        f"{good} of {len(chain.rpc_urls)} providers can be used, {chain.quorum} must agree",
    )
    if good < chain.quorum:
        return fails(check, text, "nothing is traded until as many providers answer")
    if chain.quorum == 1:
        return warns(check, f"{text}: one is believed", "give two or more providers and quorum = 2")
    if good == chain.quorum:
        return warns(check, text, "add a provider: any of these alone can stop the trading now")
    return passes(check, text)


def ask(chain: str, provider: Provider) -> Seen:
    """One provider's chain and head."""
    begun = time.monotonic()
    chain_id, head = provider.batch([("eth_chainId", []), ("eth_getBlockByNumber", ["latest", False])])
    took_s = time.monotonic() - begun
    with provider.expecting("eth_chainId"):
        number = int(chain_id, 16)
    return Seen(provider, number, provider.as_block(chain, "latest", head), took_s)


def sender_findings(name: str, chain: ChainConfig) -> Iterator[Finding]:
    """Where transactions go, if not to the providers that are read. Nothing is sent to them."""
    for provider in make_providers(name, "sender", chain.send_urls, chain.timeout_s):
        try:
            chain_id = provider.number("eth_chainId", [])
        except VaultkeelError as error:
            yield warns(
                provider.name, str(error), "some relays answer nothing but sends; if this one should, mend it"
            )
            continue
        if chain_id == chain.chain_id:
            yield passes(provider.name, f"chain {chain_id}")
        else:
            said = f"it is on chain {chain_id}, the configuration says {chain.chain_id}"
            yield fails(provider.name, said, "mend its address in send_urls")


def contract_findings(client: Client, chain: ChainConfig, addresses: Mapping[str, str]) -> Iterator[Finding]:
    """Whether every configured address holds code, and the chain is the one that the configuration means."""
    _, _, has_code = client.opening(list(addresses.values()))
    missing = [(field, address) for field, address in addresses.items() if not has_code[address]]
    for field, address in missing:
        yield fails(
            field, f"there is no contract at {address} on {client.chain}", "mend the address, or the chain"
        )
    if not missing:
        yield passes(f"{client.chain} contracts", f"all {len(addresses)} addresses hold code")
    if chain.instance and client.instance() != chain.instance:
        said = f"the node runs another local chain than {chain.instance}"
        yield fails(f"{client.chain} instance", said, "take the configuration that the local chain wrote")


def clock_findings(name: str, head: BlockRef, now: float, max_age_s: int) -> Iterator[Finding]:
    """This computer's clock beside the newest block's time, in Unix seconds."""
    check, age_s = f"{name} clock", now - head.timestamp
    if age_s < -MOST_AHEAD_S:
        said = f"the newest block is {-age_s:.0f} s ahead of this computer's clock"
        yield fails(check, said, "set the clock: turn on NTP")
    elif age_s > max_age_s:
        said = f"the newest block is {age_s:.0f} s old, nothing is traded on one older than {max_age_s} s"
        yield fails(
            check, said, "the chain stands still, the provider lags, or this clock is ahead: check NTP"
        )
    elif age_s > max_age_s / 2:
        yield warns(check, f"the newest block is {age_s:.0f} s old", "close to max_block_age_s; check NTP")
    else:
        yield passes(check, f"the newest block is {age_s:.0f} s old")


def newest(client: Client) -> BlockRef:
    """The head that a quorum agrees on. DataError or TransientError where there is none."""
    head = client.head()
    if head.timestamp <= 0:
        raise DataError(f"{client.chain}: the latest block has no time")
    return head


def all_of(parts: Iterable[tuple[str, Mapping[str, str]]]) -> dict[str, str]:
    """Addresses by the name of their field, of several parts by name."""
    return {f"{name}.{field}": address for name, fields in parts for field, address in fields.items()}


def chain_findings(name: str, chain: ChainConfig) -> list[Finding]:
    """What can be said of a chain without a book."""
    return [
        *isolated(f"{name} providers", lambda: provider_findings(name, chain)),
        *isolated(f"{name} senders", lambda: sender_findings(name, chain)),
    ]
