"""What Opyn Gamma's contracts say of options and vaults, checked: each thing that can't be so is a DataError by name.

Struct and field names are `contracts/libs/MarginVault.sol`'s and `contracts/core/Otoken.sol`'s. Strikes and prices have
8 decimals by the protocol; every token's decimals are read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bot.core.units import from_raw
from bot.errors import DataError
from bot.options.tokens import checked_decimals

NOBODY = "0x" + "0" * 40
PRICE_DECIMALS = 8
FARTHEST_STRIKE = 100
"""A strike that is this many times the price, or its inverse, was written on another scale."""
EARLIEST_S, LATEST_S = 1_500_000_000, 4_102_444_800


@dataclass(frozen=True, slots=True)
class OToken:
    """One series of options. `strike` is in strike assets; the addresses have checksums."""

    address: str
    collateral: str
    underlying: str
    strike_asset: str
    strike: Decimal
    expiry: int
    is_call: bool
    decimals: int

    @property
    def instrument(self) -> str:
        """As people write it, such as 27NOV26-2000-C."""
        when = datetime.fromtimestamp(self.expiry, UTC)
        return f"{when:%d%b%y}-{self.strike.normalize():f}-{'C' if self.is_call else 'P'}".upper()


@dataclass(frozen=True, slots=True)
class Vault:
    """One vault: raw amounts, by oToken and by asset. Slots that the protocol emptied are gone."""

    owner: str
    id: int
    shorts: tuple[tuple[str, int], ...]
    longs: tuple[tuple[str, int], ...]
    collateral: tuple[tuple[str, int], ...]

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"vault {self.id} of {self.owner}"

    @property
    def otokens(self) -> tuple[str, ...]:
        """Every option in it."""
        return tuple(dict.fromkeys(address for address, _ in (*self.shorts, *self.longs)))


@dataclass(frozen=True, slots=True)
class Assets:
    """What may appear in a vault. `followers` are tokens that follow the underlying, which is one of them."""

    underlying: str
    strike_asset: str
    followers: frozenset[str]
    ignored: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        """Everything that may be collateral."""
        return self.followers | {self.strike_asset}


def otoken_of(source: str, address: str, details: Any, decimals: int) -> OToken:
    """An option from `getOtokenDetails` and `decimals`. DataError for decimals, strikes and times that can't be."""
    collateral, underlying, strike_asset, strike, expiry, is_put = details
    where = f"{source}: option {address}"
    checked_decimals(where, decimals, least=1, most=18)
    if strike <= 0:
        raise DataError(f"{where} has no strike")
    if not EARLIEST_S <= expiry <= LATEST_S:
        raise DataError(f"{where} expires at {expiry}, which is no Unix second of this century")
    price = from_raw(strike, PRICE_DECIMALS)
    return OToken(address, collateral, underlying, strike_asset, price, expiry, not is_put, decimals)


def check_otoken(source: str, option: OToken, assets: Assets) -> None:
    """DataError where an option is of another market than the book's. One on an ignored underlying passes."""
    where = f"{source}: option {option.address} ({option.instrument})"
    if option.underlying in assets.ignored:
        return
    if option.underlying != assets.underlying:
        raise DataError(
            f"{where} is on {option.underlying}, which is not the book's underlying: a book of its own may hedge it, "
            "and ignore_underlyings leaves it out of this one"
        )
    if option.strike_asset != assets.strike_asset:
        raise DataError(f"{where} has its strike in {option.strike_asset}, not in strike_asset")
    if option.collateral not in assets.known:
        raise DataError(
            f"{where} is collateralised in {option.collateral}, which is neither the underlying, nor strike_asset, nor "
            "among the equivalents"
        )


def check_strike(source: str, option: OToken, price: Decimal | None) -> None:
    """DataError where a strike is so far from the price in USD that it must be on another scale."""
    if price is not None and not price / FARTHEST_STRIKE <= option.strike <= price * FARTHEST_STRIKE:
        raise DataError(
            f"{source}: option {option.address} has a strike of {option.strike.normalize():f} beside a price of "
            f"{price.normalize():f}: a wrong strike scale"
        )


def vault_of(source: str, owner: str, number: int, raw: Mapping[str, Any]) -> Vault:
    """A vault from `getVaultWithDetails`. DataError where its arrays don't fit together, or a short has no cover."""
    where = f"{source}: vault {number} of {owner}"
    pairs = {
        kind: _pairs(where, kind, raw[tokens], raw[amounts])
        for kind, tokens, amounts in (
            ("short options", "shortOtokens", "shortAmounts"),
            ("long options", "longOtokens", "longAmounts"),
            ("collateral", "collateralAssets", "collateralAmounts"),
        )
    }
    vault = Vault(owner, number, pairs["short options"], pairs["long options"], pairs["collateral"])
    if vault.shorts and not (vault.collateral or vault.longs):
        raise DataError(f"{where} is short options without any collateral or long option to cover them")
    return vault


def _pairs(where: str, kind: str, tokens: list[str], amounts: list[int]) -> tuple[tuple[str, int], ...]:
    if len(tokens) != len(amounts):
        raise DataError(f"{where} has {len(tokens)} {kind} and {len(amounts)} amounts of them")
    for token, amount in zip(tokens, amounts, strict=True):
        if token == NOBODY and amount:
            raise DataError(f"{where} has an amount of {kind} without an address")
    return tuple((token, amount) for token, amount in zip(tokens, amounts, strict=True) if amount)


def check_vault(source: str, vault: Vault, options: Mapping[str, OToken], assets: Assets) -> bool:
    """Whether a vault counts: False for one of an ignored underlying. DataError where it holds what isn't known."""
    where = f"{source}: {vault.where}"
    held = [options[address] for address in vault.otokens]
    ignored = [option for option in held if option.underlying in assets.ignored]
    backed = {asset for asset, _ in vault.collateral}
    if ignored:
        if len(ignored) < len(held) or backed & assets.followers:
            raise DataError(
                f"{where} holds {ignored[0].instrument} on an ignored underlying together with what follows the "
                "book's own: neither can be told without the other"
            )
        return False
    for asset in backed - assets.known:
        raise DataError(
            f"{where} holds {asset} as collateral, which is neither the underlying, nor strike_asset, nor among the "
            "equivalents"
        )
    for option in held:
        if backed and option.collateral not in backed:
            raise DataError(
                f"{where} holds {option.instrument}, which is collateralised in {option.collateral}, and none of it"
            )
    return True


def counted(owners: Mapping[str, int], source: str, most: int) -> None:
    """DataError where an owner has more vaults than may be read in a tick."""
    for owner, count in owners.items():
        if count > most:
            raise DataError(f"{source}: {owner} has {count} vaults, max_vaults is {most}")


def instruments(options: Iterable[OToken]) -> dict[str, str]:
    """A name for each option's address; two series with the same terms are told apart by the address's end."""
    found = {option.address: option.instrument for option in options}
    names = list(found.values())
    return {
        address: name if names.count(name) == 1 else f"{name}-{address[-4:]}"
        for address, name in found.items()
    }
