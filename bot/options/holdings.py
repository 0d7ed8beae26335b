"""What some owners hold that follows the underlying: the native coin, tokens, and shares of ERC-4626 vaults.

How much underlying one of each is, is configured: a fixed factor or a contract that says it. Decimals are read.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.model import Holding, SourceState
from bot.errors import DataError
from bot.options.tokens import Follower, Rate, ask, checked_decimals, factor_of, in_underlying
from bot.ports import Balance, Call, Reader

NATIVE_DECIMALS = 18


@dataclass(frozen=True, slots=True)
class Held:
    """One kind of holding. Of an ERC-4626 vault's shares `asset` is the vault's token, which the factor is about.

    `asset` is None for a plain token.
    """

    follower: Follower
    asset: str | None = None


class HoldingsSource:
    """Reads balances: in one round, in two where there are shares."""

    def __init__(
        self, name: str, chain: str, owners: tuple[str, ...], held: tuple[Held, ...], *, native: bool
    ) -> None:
        """`native` says whether the owners' native coin counts."""
        self.name = name
        self.chain = chain
        self._owners = owners
        self._held = held
        self._native = native
        self._decimals: dict[str, int] = {}

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        found = {}
        for held in self._held:
            follower = held.follower
            found[f"tokens.{follower.name}"] = follower.token
            if held.asset is not None:
                found[f"tokens.{follower.name}.asset"] = held.asset
            if isinstance(follower.follows, Rate):
                found[f"tokens.{follower.name}.rate"] = follower.follows.address
        return found

    def watch(self) -> Reader[Decimal | None]:
        """It has no price of its own, and asks nothing."""
        yield from ()
        return None

    def read(self) -> Reader[SourceState]:
        """Every balance in units of the underlying. DataError for decimals, rates and vaults that can't be right."""
        answers = yield from ask(self._first_calls())
        for key, answer in answers.items():
            if key[0] == "decimals":
                self._decimals[key[1]] = checked_decimals(f"{self.name}: token {key[1]}", answer)
        totals = {
            held.follower.token: sum(answers["balance", held.follower.token, owner] for owner in self._owners)
            for held in self._held
        }
        answers |= yield from ask(self._conversions(answers, totals))
        holdings = [self._holding(held, answers, totals) for held in self._held]
        if self._native:
            wei = sum(answers["native", owner] for owner in self._owners)
            native = Holding(
                self.name,
                "native coin",
                in_underlying(f"{self.name}: native coin", wei, NATIVE_DECIMALS, Decimal(1)),
            )
            holdings.insert(0, native)
        return SourceState(name=self.name, positions=(), holdings=tuple(holdings))

    def _first_calls(self) -> dict[tuple[Any, ...], Call | Balance]:
        calls: dict[tuple[Any, ...], Call | Balance] = {}
        if self._native:
            for owner in self._owners:
                calls["native", owner] = Balance(owner)
        for held in self._held:
            token = held.follower.token
            for owner in self._owners:
                calls["balance", token, owner] = contract("erc20", token).call("balanceOf", owner)
            counted = token if held.asset is None else held.asset
            if counted not in self._decimals:
                calls["decimals", counted] = contract("erc20", counted).call("decimals")
            if held.asset is not None:
                calls["asset", token] = contract("erc4626", token).call("asset")
            if isinstance(held.follower.follows, Rate):
                calls["rate", token] = held.follower.follows.call()
        return calls

    def _conversions(
        self, answers: dict[tuple[Any, ...], Any], totals: dict[str, int]
    ) -> dict[tuple[Any, ...], Call]:
        """What the shares are worth in their vault's token."""
        calls: dict[tuple[Any, ...], Call] = {}
        for held in self._held:
            token = held.follower.token
            if held.asset is None:
                continue
            if answers["asset", token] != held.asset:
                raise DataError(
                    f"{self.name}: the vault {held.follower.name} is of {answers['asset', token]}, not of its "
                    f"configured asset {held.asset}"
                )
            if totals[token]:
                calls["assets", token] = contract("erc4626", token).call("convertToAssets", totals[token])
        return calls

    def _holding(self, held: Held, answers: dict[tuple[Any, ...], Any], totals: dict[str, int]) -> Holding:
        token = held.follower.token
        factor = factor_of(self.name, held.follower, answers.get(("rate", token)))
        # An empty vault may not be able to convert nothing, so that isn't asked.
        raw = totals[token] if held.asset is None else answers.get(("assets", token), 0)
        decimals = self._decimals[token if held.asset is None else held.asset]
        name = held.follower.name
        return Holding(self.name, name, in_underlying(f"{self.name}: {name}", raw, decimals, factor))
