"""A Gamma protocol in memory, which answers a reader's calls, and the same sums done the plain way, as fractions."""

from collections.abc import Generator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from builders import CHAIN, NOW, WEEK, address

from bot.chain.contracts import load_abi
from bot.core.model import SourceState
from bot.options.gamma import GammaAddresses, GammaScope, GammaSource
from bot.ports import Call, Reverted

CONTROLLER, ORACLE, COIN, MONEY, STAKED = (address(n) for n in range(101, 106))
RATES = address(106)
OWNER, SECOND = address(111), address(112)
AT = GammaAddresses(CONTROLLER, ORACLE, COIN, MONEY)
PRICE = 10**8


@dataclass
class Series:
    """One oToken."""

    strike: int = 2000 * PRICE
    expiry: int = NOW + WEEK
    is_put: bool = False
    collateral: str = COIN
    underlying: str = COIN
    strike_asset: str = MONEY
    decimals: int = 8


@dataclass
class VaultModel:
    """One vault: (token, raw amount) pairs."""

    shorts: list[tuple[str, int]] = field(default_factory=list)
    longs: list[tuple[str, int]] = field(default_factory=list)
    collateral: list[tuple[str, int]] = field(default_factory=list)

    def raw(self) -> dict[str, Any]:
        return {
            "shortOtokens": [a for a, _ in self.shorts],
            "longOtokens": [a for a, _ in self.longs],
            "collateralAssets": [a for a, _ in self.collateral],
            "shortAmounts": [n for _, n in self.shorts],
            "longAmounts": [n for _, n in self.longs],
            "collateralAmounts": [n for _, n in self.collateral],
        }


class Protocol:
    """Vaults, series, balances and prices; `asked` are the calls of each round of the newest read."""

    def __init__(self) -> None:
        self.vaults: dict[str, list[VaultModel]] = {OWNER: []}
        self.series: dict[str, Series] = {}
        self.decimals = {COIN: 18, MONEY: 6, STAKED: 18}
        self.balances: dict[tuple[str, str], int] = {}
        self.price: int | None = 2000 * PRICE
        self.expiries: dict[tuple[str, int], tuple[int, bool]] = {}
        self.rates: dict[str, int] = {RATES: 10**18}
        self.counts: dict[str, int] = {}
        self.oracle: str | None = ORACLE
        self.forged: dict[tuple[str, int], dict[str, Any]] = {}
        self.asked: list[list[Call]] = []

    def add(self, vault: VaultModel, owner: str = OWNER) -> VaultModel:
        self.vaults.setdefault(owner, []).append(vault)
        return vault

    def option(self, number: int = 1, **terms: Any) -> str:
        """A new series' address."""
        found = address(1000 + number)
        self.series[found] = Series(**terms)
        return found

    def report(self, price: int, expiry: int = NOW + WEEK, *, final: bool = True, asset: str = COIN) -> None:
        self.expiries[asset, expiry] = (price * PRICE, final)

    def answer(self, call: Call) -> Any:
        abi, _rest = call.name.split(".", 1)
        name, args = load_abi(abi).decode_input(call.data)
        values = list(args.values())
        match abi, name:
            case "gamma_controller", "getAccountVaultCounter":
                return self.counts.get(values[0], len(self.vaults.get(values[0], [])))
            case "gamma_controller", "getVaultWithDetails":
                owner, number = values[0], values[1]
                vaults = self.vaults.get(owner, [])
                raw = vaults[number - 1].raw() if number <= len(vaults) else VaultModel().raw()
                return [self.forged.get((owner, number), raw), 0, NOW]
            case "gamma_controller", "oracle":
                return Reverted("no such function") if self.oracle is None else self.oracle
            case "gamma_oracle", "getPrice":
                return Reverted("Pricer for this asset not set") if self.price is None else self.price
            case "gamma_oracle", "getExpiryPrice":
                stable = (PRICE, True) if values[0] == MONEY else (0, False)
                return list(self.expiries.get((values[0], values[1]), stable))
            case "gamma_otoken", "getOtokenDetails":
                s = self.series[call.to]
                return [s.collateral, s.underlying, s.strike_asset, s.strike, s.expiry, s.is_put]
            case "gamma_otoken" | "erc20", "decimals":
                return self.series[call.to].decimals if call.to in self.series else self.decimals[call.to]
            case "gamma_otoken" | "erc20", "balanceOf":
                return self.balances.get((call.to, values[0]), 0)
            case "rate_provider", _:
                return self.rates[call.to]
        raise AssertionError(f"{call.name} was not expected")

    def read(self, source: GammaSource) -> SourceState:
        """What a source makes of it."""
        reader: Generator[Any, Any, SourceState] = source.read()
        self.asked = []
        try:
            calls = next(reader)
            while True:
                self.asked.append(list(calls))
                calls = reader.send([self.answer(call) for call in calls])
        except StopIteration as stop:
            state: SourceState = stop.value
            return state


def gamma(*owners: str, **scope: Any) -> GammaSource:
    """A source of these owners' vaults."""
    return GammaSource("gamma-eth", CHAIN, AT, GammaScope(owners or (OWNER,), **scope))


class Naive:
    """The same figures in one pass over the model, as fractions; `factors` are each follower's units."""

    def __init__(self, protocol: Protocol, owners: tuple[str, ...], factors: dict[str, Fraction]) -> None:
        self.model = protocol
        self.owners = owners
        self.factors = factors

    def whole(self, token: str, raw: int) -> Fraction:
        known = self.model.series
        return Fraction(raw, 10 ** (known[token].decimals if token in known else self.model.decimals[token]))

    def settled(self, address_: str) -> tuple[Fraction, Fraction] | None:
        """The price of the underlying and of the collateral at expiry, None where one isn't reported."""
        series = self.model.series[address_]
        prices = []
        for asset in (series.underlying, series.collateral):
            stable = (PRICE, True) if asset == MONEY else (0, False)
            price, _ = self.model.expiries.get((asset, series.expiry), stable)
            prices.append(Fraction(price, PRICE))
        return (prices[0], prices[1]) if all(prices) else None

    def payout(self, address_: str) -> Fraction:
        series, settled = self.model.series[address_], self.settled(address_)
        assert settled is not None
        above = settled[0] - Fraction(series.strike, PRICE)
        return max(-above if series.is_put else above, Fraction(0)) / settled[1]

    def sizes(self) -> dict[str, Fraction]:
        """Net sizes of every series."""
        net: dict[str, Fraction] = dict.fromkeys(self.model.series, Fraction(0))
        for owner in self.owners:
            for vault in self.model.vaults.get(owner, []):
                for token, raw in vault.shorts:
                    net[token] -= self.whole(token, raw)
                for token, raw in vault.longs:
                    net[token] += self.whole(token, raw)
            for token in net:
                net[token] += self.whole(token, self.model.balances.get((token, owner), 0))
        return net

    def spot_holdings(self, *, physical: bool) -> Fraction:
        """Units of the underlying in vaults, and what settled options in wallets pay."""
        total = Fraction(0)
        for owner in self.owners:
            for vault in self.model.vaults.get(owner, []):
                for asset, factor in self.factors.items():
                    left = sum((self.whole(a, n) for a, n in vault.collateral if a == asset), Fraction(0))
                    legs = [(a, -n) for a, n in vault.shorts] + [(a, n) for a, n in vault.longs]
                    for token, raw in legs:
                        counts = not physical and self.model.series[token].collateral == asset
                        if counts and self.settled(token):
                            left += self.whole(token, raw) * self.payout(token)
                    total += factor * max(left, Fraction(0))
            for token, series in self.model.series.items():
                if not physical and series.collateral in self.factors and self.settled(token):
                    held = self.whole(token, self.model.balances.get((token, owner), 0))
                    total += held * self.payout(token) * self.factors[series.collateral]
        return total

    def deliveries(self) -> Fraction:
        """Units that physically settled options still move."""
        total = Fraction(0)
        for token, size in self.sizes().items():
            if self.settled(token) and self.payout(token) > 0:
                total += -size if self.model.series[token].is_put else size
        return total
