"""What the read precompiles answer: every question with its raw answer, from the exchange's state.

Raw scales: perp prices 10^(6 − szDecimals), spot prices 10^(8 − szDecimals), sizes 10^szDecimals, USD 1e6, spot
USDC 1e8. The zero address in a question stands for every user who is not on HyperCore.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from bot.core.units import to_raw
from bot.localnet.hypercore import rules
from bot.localnet.hypercore.model import ZERO, Account, Position
from bot.localnet.hypercore.state import State

CORE_WRITER: Final = "0x3333333333333333333333333333333333333333"


def precompile(number: int) -> str:
    """The address of a precompile, counted from 0x800 as the documentation does."""
    return to_checksum_address(number.to_bytes(20, "big"))


POSITION: Final = precompile(0x800)
SPOT_BALANCE: Final = precompile(0x801)
WITHDRAWABLE: Final = precompile(0x803)
MARK_PX: Final = precompile(0x806)
ORACLE_PX: Final = precompile(0x807)
SPOT_PX: Final = precompile(0x808)
L1_BLOCK_NUMBER: Final = precompile(0x809)
PERP_ASSET_INFO: Final = precompile(0x80A)
TOKEN_INFO: Final = precompile(0x80C)
BBO: Final = precompile(0x80E)
ACCOUNT_MARGIN_SUMMARY: Final = precompile(0x80F)
CORE_USER_EXISTS: Final = precompile(0x810)
POSITION_2: Final = precompile(0x813)
PRECOMPILES: Final = (
    POSITION,
    SPOT_BALANCE,
    WITHDRAWABLE,
    MARK_PX,
    ORACLE_PX,
    SPOT_PX,
    L1_BLOCK_NUMBER,
    PERP_ASSET_INFO,
    TOKEN_INFO,
    BBO,
    ACCOUNT_MARGIN_SUMMARY,
    CORE_USER_EXISTS,
    POSITION_2,
)

NOBODY: Final = "0x" + "00" * 20
FIRST_DEX: Final = 0
USDC: Final = 0
USDC_DECIMALS: Final = 8
_USD_DECIMALS: Final = 6
_SPOT_PX_DECIMALS: Final = 8
_MOST_UINT16: Final = 2**16 - 1

Answers = dict[tuple[str, bytes], bytes]
"""By the precompile's address and the calldata."""


@dataclass(frozen=True, slots=True)
class SpotPair:
    """A spot pair whose price, in USD, never moves: nothing is traded in it."""

    index: int
    sz_decimals: int
    px: Decimal


HYPE_USDC: Final = SpotPair(index=107, sz_decimals=2, px=Decimal(40))


def all_answers(state: State, l1_block: int, spots: Sequence[SpotPair] = (HYPE_USDC,)) -> Answers:
    """Every question that HyperCore would answer now, with its answer."""
    found: Answers = {(L1_BLOCK_NUMBER, b""): encode(["uint64"], [l1_block])}
    for address, question, answer in (
        *_of_markets(state),
        *_of_tokens(spots),
        *_of_account(state, Account(NOBODY), exists=False),
        *(row for account in state.accounts.values() for row in _of_account(state, account, exists=True)),
    ):
        found[address, question] = answer
    return found


_Rows = Iterator[tuple[str, bytes, bytes]]


def _of_markets(state: State) -> _Rows:
    for index, book in state.books.items():
        market = book.market

        def raw(px: Decimal | None, decimals: int = market.px_decimals) -> int:
            # What the real one says of an empty side is not documented.
            return 0 if px is None else to_raw(px, decimals)

        question = _asked(("uint32", index))
        yield MARK_PX, question, encode(["uint64"], [raw(book.mark)])
        yield ORACLE_PX, question, encode(["uint64"], [raw(book.oracle)])
        best = [raw(book.best(is_ask=is_ask)) for is_ask in (False, True)]
        yield BBO, question, encode(["uint64", "uint64"], best)
        info = (market.coin, market.margin_table, market.sz_decimals, market.max_leverage, False)
        yield PERP_ASSET_INFO, question, encode(["(string,uint32,uint8,uint8,bool)"], [info])


def _of_tokens(spots: Sequence[SpotPair]) -> _Rows:
    usdc = ("USDC", [pair.index for pair in spots], 0, NOBODY, NOBODY, USDC_DECIMALS, USDC_DECIMALS, 0)
    shape = "(string,uint64[],uint64,address,address,uint8,uint8,int8)"
    yield TOKEN_INFO, _asked(("uint64", USDC)), encode([shape], [usdc])
    for pair in spots:
        raw = to_raw(pair.px, _SPOT_PX_DECIMALS - pair.sz_decimals)
        yield SPOT_PX, _asked(("uint64", pair.index)), encode(["uint64"], [raw])


def _of_account(state: State, account: Account, *, exists: bool) -> _Rows:
    user = ("address", account.address)
    marks = state.marks
    for index, market in state.markets.items():
        held = account.positions.get(index, Position())
        size, paid = to_raw(held.size, market.sz_decimals), to_raw(held.entry_ntl, _USD_DECIMALS)
        leverage = rules.leverage(account, market) if exists else 0
        answer = encode(["int64", "uint64", "int64", "uint32", "bool"], [size, paid, 0, leverage, False])
        yield POSITION_2, _asked(user, ("uint32", index)), answer
        if index <= _MOST_UINT16:
            yield POSITION, _asked(user, ("uint16", index)), answer
    spot = [to_raw(account.spot_usd, USDC_DECIMALS), 0, 0]
    yield SPOT_BALANCE, _asked(user, ("uint64", USDC)), encode(["uint64"] * 3, spot)
    free = rules.withdrawable(account, state.markets, marks)
    yield WITHDRAWABLE, _asked(user), encode(["uint64"], [_usd(free)])
    summary = [
        _usd(rules.perp_value(account, marks)),
        _usd(rules.initial_margin(account, state.markets, marks)),
        _usd(rules.notional(account, marks)),
        _usd(account.raw_usd),
    ]
    margin = encode(["int64", "uint64", "uint64", "int64"], summary)
    yield ACCOUNT_MARGIN_SUMMARY, _asked(("uint32", FIRST_DEX), user), margin
    yield CORE_USER_EXISTS, _asked(user), encode(["bool"], [exists])


def _asked(*parts: tuple[str, Any]) -> bytes:
    return encode([kind for kind, _ in parts], [value for _, value in parts])


def _usd(amount: Decimal) -> int:
    return to_raw(amount or ZERO, _USD_DECIMALS)
