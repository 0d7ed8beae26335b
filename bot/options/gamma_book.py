"""From what was read of Gamma's vaults to positions and holdings: net sizes, collateral, payouts, deliveries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from bot.core.model import Holding, OptionPosition
from bot.core.units import from_raw
from bot.options.gamma_settlement import QUOTIENT, Settlement, left_in_vault, to_deliver
from bot.options.gamma_vaults import OToken, Vault, instruments
from bot.options.tokens import in_underlying


@dataclass(frozen=True, slots=True)
class Followed:
    """A token that follows the underlying, as it is now: one of it is `factor` units."""

    name: str
    token: str
    decimals: int
    factor: Decimal


@dataclass(frozen=True, slots=True)
class Seen:
    """One tick's figures. `balances` and `wallets` are raw, by token and owner; a settlement is None until reported."""

    source: str
    physical: bool
    options: Mapping[str, OToken]
    vaults: tuple[Vault, ...]
    settlements: Mapping[str, Settlement | None]
    balances: Mapping[tuple[str, str], int]
    wallets: Mapping[tuple[str, str], int]
    followers: tuple[Followed, ...]

    @property
    def doubt(self) -> str:
        """Words for an amount that a disputed price would change."""
        settled = (s for s in self.settlements.values() if s is not None)
        return "" if all(s.is_final for s in settled) else ", at a price that may still be disputed"


def told(seen: Seen) -> tuple[tuple[OptionPosition, ...], tuple[Holding, ...], int]:
    """The options that aren't settled, what follows the underlying, and how many series are settled and still held."""
    sizes = net_sizes(seen)
    names = instruments(seen.options[address] for address in sizes)
    unsettled = sorted(
        (seen.options[address] for address in sizes if seen.settlements[address] is None),
        key=lambda o: (o.expiry, o.strike, o.is_call, o.address),
    )
    positions = tuple(
        OptionPosition(
            seen.source, names[o.address], o.is_call, o.strike, o.expiry, sizes[o.address], vol=None
        )
        for o in unsettled
    )
    left = deliveries(seen, sizes, names) if seen.physical else payouts(seen)
    return positions, (*collateral(seen), *in_wallets(seen), *left), len(sizes) - len(unsettled)


def net_sizes(seen: Seen) -> dict[str, Decimal]:
    """Each series' net size over all owners, in whole options. What nets to nothing is left out."""
    raw: dict[str, int] = defaultdict(int)
    for vault in seen.vaults:
        for sign, legs in ((-1, vault.shorts), (1, vault.longs)):
            for address, amount in legs:
                raw[address] += sign * amount
    for (address, _owner), amount in seen.balances.items():
        raw[address] += amount
    return {address: from_raw(net, seen.options[address].decimals) for address, net in raw.items() if net}


def collateral(seen: Seen) -> Iterator[Holding]:
    """What the vaults hold of each token that follows the underlying, less what their settled options take."""
    for followed in seen.followers:
        total = units(followed, (of_vault(seen, vault, followed) for vault in seen.vaults))
        if total:
            doubt = "" if seen.physical else seen.doubt
            yield Holding(seen.source, f"{followed.name} in vaults{doubt}", total)


def of_vault(seen: Seen, vault: Vault, followed: Followed) -> Decimal:
    """Whole tokens. A vault whose options are delivered keeps everything until it is cleared."""
    raw = sum(amount for asset, amount in vault.collateral if asset == followed.token)
    amount = from_raw(raw, followed.decimals)
    if seen.physical:
        return amount
    legs = [
        (
            seen.options[address],
            from_raw(sign * raw, seen.options[address].decimals),
            seen.settlements[address],
        )
        for sign, pairs in ((-1, vault.shorts), (1, vault.longs))
        for address, raw in pairs
    ]
    return left_in_vault(amount, followed.token, legs)


def payouts(seen: Seen) -> Iterator[Holding]:
    """What settled options in the wallets will pay in tokens that follow the underlying."""
    for followed in seen.followers:
        owed = []
        for (address, _owner), raw in seen.balances.items():
            option, settlement = seen.options[address], seen.settlements[address]
            if settlement is not None and option.collateral == followed.token:
                owed.append(QUOTIENT.multiply(from_raw(raw, option.decimals), settlement.payout(option)))
        total = units(followed, owed)
        if total:
            yield Holding(seen.source, f"{followed.name} that settled options pay{seen.doubt}", total)


def deliveries(seen: Seen, sizes: Mapping[str, Decimal], names: Mapping[str, str]) -> Iterator[Holding]:
    """What expired options in the money still move. It counts with the options, whose delta it goes on."""
    for address, size in sorted(sizes.items(), key=lambda item: names[item[0]]):
        settlement = seen.settlements[address]
        if settlement is None:
            continue
        moved = to_deliver(seen.options[address], size, settlement)
        if moved:
            words = "received" if moved > 0 else "delivered"
            doubt = "" if settlement.is_final else ", unless the price is disputed"
            yield Holding(seen.source, f"to be {words} for {names[address]}{doubt}", moved, is_spot=False)


def in_wallets(seen: Seen) -> Iterator[Holding]:
    """The owners' own balances, where they count."""
    for followed in seen.followers:
        raw = sum(amount for (token, _), amount in seen.wallets.items() if token == followed.token)
        if raw:
            where = f"{seen.source}: {followed.name}"
            size = in_underlying(where, raw, followed.decimals, followed.factor)
            yield Holding(seen.source, f"{followed.name} in the owners' wallets", size)


def units(followed: Followed, amounts: Iterable[Decimal]) -> Decimal:
    """The sum of some amounts of a token in units of the underlying."""
    total = Decimal(0)
    for amount in amounts:
        total = QUOTIENT.add(total, amount)
    return QUOTIENT.multiply(total, followed.factor)
