"""The chains of a configuration, as the desk reads them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from pydantic import SecretStr

from bot.book import ChainAccess
from bot.chain.client import Client, Provider, ProviderRules
from bot.chain.contracts import contract
from bot.config.chains import (
    ChainConfig,
)
from bot.feeds.chainlink import SequencerFeed

WEI_PER_GWEI = Decimal(10) ** 9


class SystemClock:
    """The computer's clock."""

    def now(self) -> int:
        """Unix seconds."""
        return int(time.time())


@dataclass(frozen=True, slots=True)
class ChainClock:
    """The latest block's time, for chains whose time is not the computer's: forks and rehearsals.

    The block is the last that was read: a clock that asks the node could fail just where a halt is to be recorded.
    """

    client: Client

    def now(self) -> int:
        """Unix seconds."""
        return (self.client.newest or self.client.head()).timestamp


def make_client(name: str, chain: ChainConfig) -> Client:
    """The chain's providers, and the rules that they are asked by."""
    read = make_providers(name, "provider", chain.rpc_urls, chain.timeout_s)
    rules = ProviderRules(
        quorum=chain.quorum,
        max_lag_blocks=chain.max_lag_blocks,
        set_aside_s=chain.set_aside_s,
        read_tries=chain.read_tries,
        max_log_blocks=chain.max_log_blocks,
        drift_blocks=chain.drift_blocks,
        parent_numbers=chain.contracts_see_parent,
    )
    senders = make_providers(name, "sender", chain.send_urls, chain.timeout_s)
    return Client(name, read, senders or read, rules)


def make_providers(chain: str, role: str, urls: Sequence[SecretStr], timeout_s: float) -> list[Provider]:
    """One provider per address, each called by its place in the configuration."""
    return [
        Provider(f"{chain} {role} {place}", url.get_secret_value(), timeout_s)
        for place, url in enumerate(urls, start=1)
    ]


def make_access(client: Client, chain: ChainConfig) -> ChainAccess:
    """One chain as the desk reads it."""
    feed = chain.sequencer_feed
    return ChainAccess(
        client=client,
        multicall=contract("multicall3", chain.multicall) if chain.multicall else None,
        chain_id=chain.chain_id,
        instance=chain.instance,
        call_gas=chain.call_gas,
        min_tip_wei=int(chain.min_tip_gwei * WEI_PER_GWEI),
        native_usd=None if chain.native_usd == "underlying" else chain.native_usd,
        sequencer=None if feed is None else SequencerFeed(client.chain, feed, chain.sequencer_grace_s),
    )
