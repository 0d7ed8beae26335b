"""What a chain says of its contracts, read from the few that were named. Readers: they do no I/O of their own."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bot.chain.contracts import Contract, contract
from bot.errors import ConfigError, DataError
from bot.ports import Call, LogQuery, Reader, Reverted
from bot.setup.presets import NOBODY

MOST_MARKETS = 200
"""GMX markets that are listed: more than any of its chains has."""
LYRA_FIELDS = {
    "option_token": "optionToken",
    "greek_cache": "greekCache",
    "liquidity_pool": "liquidityPool",
    "pool_hedger": "poolHedger",
    "base_asset": "baseAsset",
}
"""A source's fields, and what the viewer calls them."""

Round = Generator[Sequence[Call | LogQuery], list[Any], list[Any]]


@dataclass(frozen=True, slots=True)
class OptionMarket:
    """One Lyra market: its addresses by field, and the symbol of its base asset, "" where it says none."""

    addresses: dict[str, str]
    symbol: str


@dataclass(frozen=True, slots=True)
class CurieMarket:
    """A market of Perpetual Protocol v2: its contracts by field, its symbol, and its settlement token's."""

    addresses: dict[str, str]
    symbol: str
    settlement_symbol: str
    settlement_decimals: int


@dataclass(frozen=True, slots=True)
class GmxListed:
    """One market that GMX's Reader lists: its tokens by field, and their symbols, "" where one says none."""

    market: str
    tokens: dict[str, str]
    symbols: dict[str, str]

    @property
    def label(self) -> str:
        """As people call it, like WETH/USD [WETH-USDC]."""
        names = {field: symbol or "?" for field, symbol in self.symbols.items()}
        return f"{names['index_token']}/USD [{names['long_token']}-{names['short_token']}]"


@dataclass(frozen=True, slots=True)
class Decimals:
    """Of a GMX market's index token and of its collateral, the short token."""

    index: int
    collateral: int


def lyra_markets(viewer: str) -> Reader[list[OptionMarket]]:
    """Every market that a viewer lists, with the adapter that says its spot. ConfigError where it is no viewer."""
    asked = contract("lyra_viewer", viewer)
    listed, adapter = yield [
        probing(asked, "getMarketAddresses"),
        probing(asked, "synthetixAdapter"),
    ]
    if isinstance(listed, Reverted):
        raise ConfigError(f"vault.viewer: the contract at {viewer} is no Lyra viewer (getMarketAddresses)")
    if not listed:
        raise ConfigError(f"vault.viewer: the viewer at {viewer} lists no option market")
    symbols = yield [symbol_of(theirs["baseAsset"]) for theirs in listed]
    known = {} if isinstance(adapter, Reverted) else {"exchange_adapter": adapter}
    return [
        OptionMarket(
            {"viewer": viewer, "market": theirs["optionMarket"]}
            | {field: theirs[name] for field, name in LYRA_FIELDS.items()}
            | known,
            as_symbol(symbol),
        )
        for theirs, symbol in zip(listed, symbols, strict=True)
    ]


def curie_market(roots: Mapping[str, str]) -> Reader[CurieMarket]:
    """The contracts of a market, from the clearing house, the base token and the quoter.

    ConfigError where one is something else, belongs to another deployment, or its decimals contradict another's.
    """
    house = contract("curie_clearing_house", roots["clearing_house"])
    quoter = contract("curie_quoter", roots["quoter"])
    related = {
        "clearing_house_config": "getClearingHouseConfig",
        "account_balance": "getAccountBalance",
        "exchange": "getExchange",
        "vault": "getVault",
    }
    *parts, quoted, symbol = yield from needed(
        {
            **{f"clearing_house {name}": probing(house, name) for name in related.values()},
            "quoter marketRegistry": probing(quoter, "marketRegistry"),
            "base_token symbol": symbol_of(roots["base_token"]),
        }
    )
    addresses = {**roots, **dict(zip(related, parts, strict=True))}
    exchange, vault = (contract(f"curie_{name}", addresses[name]) for name in ("exchange", "vault"))
    registry, token, decimals = yield from needed(
        {
            "exchange getMarketRegistry": probing(exchange, "getMarketRegistry"),
            "vault getSettlementToken": probing(vault, "getSettlementToken"),
            "vault decimals": probing(vault, "decimals"),
        }
    )
    if quoted != registry:
        raise ConfigError(
            f"venue.quoter: it quotes the markets of {quoted}, the clearing house's are those of {registry}"
        )
    market, theirs, settlement = yield from needed(
        {
            "base_token market": probing(
                contract("curie_market_registry", registry), "getMarketInfo", roots["base_token"]
            ),
            "settlement_token decimals": decimals_of(token),
            "settlement_token symbol": symbol_of(token),
        }
    )
    if market["pool"] == NOBODY:
        raise ConfigError(f"venue.base_token: the clearing house has no market of {roots['base_token']}")
    if theirs != decimals:
        raise ConfigError(
            f"venue.settlement_token: {token} has {theirs} decimals, the vault counts it with {decimals}"
        )
    found = {"market_registry": registry, "pool": market["pool"], "settlement_token": token}
    return CurieMarket(addresses | found, as_symbol(symbol), as_symbol(settlement), decimals)


def gmx_markets(roots: Mapping[str, str]) -> Reader[list[GmxListed]]:
    """The markets that the Reader lists, without those that are for swaps alone. ConfigError where it is no Reader."""
    reader = contract("gmx_reader", roots["reader"])
    (listed,) = yield [probing(reader, "getMarkets", roots["data_store"], 0, MOST_MARKETS)]
    if isinstance(listed, Reverted):
        raise ConfigError(
            f"venue.reader: the contract at {roots['reader']} is no GMX Reader of the data store at "
            f"{roots['data_store']} (getMarkets: {listed.reason})"
        )
    names = {"index_token": "indexToken", "long_token": "longToken", "short_token": "shortToken"}
    traded = [
        (props["marketToken"], {field: props[name] for field, name in names.items()})
        for props in listed
        if props["indexToken"] != NOBODY
    ]
    if not traded:
        raise ConfigError(f"venue.data_store: GMX at {roots['data_store']} lists no market")
    tokens = sorted({token for _, found in traded for token in found.values()})
    symbols = dict(zip(tokens, (yield [symbol_of(token) for token in tokens]), strict=True))
    return [
        GmxListed(market, found, {field: as_symbol(symbols[token]) for field, token in found.items()})
        for market, found in traded
    ]


def gmx_decimals(market: GmxListed, synthetic: int | None) -> Reader[Decimals]:
    """Of the tokens that sizes and collateral are counted in.

    `synthetic` is taken for an index token that has no contract. ConfigError where there is none to take.
    """
    index, short = (market.tokens[field] for field in ("index_token", "short_token"))
    theirs, collateral = yield [decimals_of(index), decimals_of(short)]
    if isinstance(collateral, Reverted):
        raise ConfigError(f"venue.short_token: the contract at {short} is no token")
    counted = synthetic if isinstance(theirs, Reverted) else int(theirs)
    if counted is None:
        raise ConfigError(
            f"venue.index_token: {index} is a token without a contract, so that its decimals can't be read: write "
            "the file by hand, with index_decimals as GMX lists them (docs/gmx.md)"
        )
    return Decimals(counted, collateral)


def probing(at: Contract, function: str, *arguments: Any) -> Call:
    """A call of what may be another contract, or none: an answer of another type is `Reverted`, too."""
    call = at.call(function, *arguments, may_fail=True)

    def decode(data: bytes) -> Any:
        try:
            return call.decode(data)
        except DataError:
            return Reverted("the answer is not of its type")

    return replace(call, decode=decode)


def decimals_of(token: str) -> Call:
    """A token's decimals; `Reverted` where it says none."""
    return probing(contract("erc20", token), "decimals")


def symbol_of(token: str) -> Call:
    """What a token calls itself; as `Reverted` where it doesn't."""
    return probing(contract("erc20", token), "symbol")


def as_symbol(answer: Any) -> str:
    """A token's symbol as it can be shown: letters, digits and a few signs, "" where it has none."""
    if isinstance(answer, Reverted):
        return ""
    return "".join(sign for sign in str(answer)[:16] if sign.isalnum() or sign in ".-_+")


def needed(calls: Mapping[str, Call]) -> Round:
    """One round of calls that must answer, by "FIELD FUNCTION". ConfigError names the field of one that doesn't."""
    answers = yield list(calls.values())
    for (name, call), answer in zip(calls.items(), answers, strict=True):
        if isinstance(answer, Reverted):
            where, _, what = name.partition(" ")
            raise ConfigError(
                f"venue.{where}: the contract at {call.to} is not the one of Perpetual Protocol v2 "
                f"({what}: {answer.reason})"
            )
    return answers


def plain_name(symbol: str) -> str:
    """The underlying that a token's symbol stands for: vETH, sETH and WETH are all ETH."""
    if len(symbol) > 2 and symbol[0] in "vs" and symbol[1:].isupper():
        return symbol[1:]
    if symbol in ("WETH", "WBTC", "WAVAX"):
        return symbol[1:]
    return symbol
