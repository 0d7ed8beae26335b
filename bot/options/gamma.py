"""Opyn Gamma and its forks (Rysk V12): every vault of some owners, as one net position per series of options.

What an owner wrote is short, what lies in its vaults or as a plain token in its wallet is long. Collateral that follows
the underlying is a holding. Options bring no vols: the book's are used. Nothing here knows the time: until the oracle
reports an expiry's price an option is a position, and the pricing knows what one without time left is worth.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.model import SourceState
from bot.core.units import from_raw
from bot.errors import DataError
from bot.options.gamma_book import Followed, Seen, told
from bot.options.gamma_settlement import settlement_of, settling_assets
from bot.options.gamma_vaults import (
    PRICE_DECIMALS,
    Assets,
    OToken,
    Vault,
    check_otoken,
    check_strike,
    check_vault,
    counted,
    otoken_of,
    vault_of,
)
from bot.options.tokens import Follower, Rate, ask, checked_decimals, factor_of
from bot.ports import Call, Reader, Reverted

Key = tuple[Any, ...]
Answers = dict[Key, Any]


@dataclass(frozen=True, slots=True)
class GammaAddresses:
    """The protocol's contracts, and the two assets of the book's market."""

    controller: str
    oracle: str
    underlying: str
    strike_asset: str


@dataclass(frozen=True, slots=True)
class GammaScope:
    """What counts: whose vaults, which options in their wallets, what else follows the underlying.

    `otokens` are looked for in the wallets beside every series that was seen in a vault. `physical` settles by
    delivery, `wallet` counts the owners' own balances of what follows the underlying.
    """

    owners: tuple[str, ...]
    otokens: tuple[str, ...] = ()
    equivalents: tuple[Follower, ...] = ()
    ignored: frozenset[str] = frozenset()
    physical: bool = False
    wallet: bool = False
    max_vaults: int = 300


class GammaSource:
    """Reads the owners' vaults: in one round where nothing is new, in two with new vaults, in four at first."""

    def __init__(self, name: str, chain: str, addresses: GammaAddresses, scope: GammaScope) -> None:
        self.name = name
        self.chain = chain
        self._at = addresses
        self._scope = scope
        self._controller = contract("gamma_controller", addresses.controller)
        self._oracle = contract("gamma_oracle", addresses.oracle)
        itself = Follower("underlying", addresses.underlying, Decimal(1))
        self._followers = {f.token: f for f in (itself, *scope.equivalents)}
        self._assets = Assets(
            addresses.underlying, addresses.strike_asset, frozenset(self._followers), scope.ignored
        )
        self._decimals: dict[str, int] = {}
        self._options: dict[str, OToken] = {}
        self._counts: dict[str, int] = {}
        self._has_price = True
        self._oracle_checked = False

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        found = {field: getattr(self._at, field) for field in GammaAddresses.__slots__}
        found |= {f"otokens.{i}": address for i, address in enumerate(self._scope.otokens)}
        for follower in self._scope.equivalents:
            found[f"equivalents.{follower.name}"] = follower.token
            if isinstance(follower.follows, Rate):
                found[f"equivalents.{follower.name}.rate"] = follower.follows.address
        return found

    def watch(self) -> Reader[Decimal | None]:
        """The spot alone. None, without a question, where the oracle had none when it was last read."""
        if not self._has_price:
            return None
        (price,) = yield [self._oracle.call("getPrice", self._at.underlying)]
        return self._spot(price)

    def read(self) -> Reader[SourceState]:
        """The owners' options and what follows the underlying. DataError names the vault, option or token at fault.

        Round one asks everything that is known of, round two new vaults, round three new series, round four the
        prices at their expiries.
        """
        answers = yield from ask(self._first_calls())
        counts = {owner: answers["count", owner] for owner in self._scope.owners}
        counted(counts, self.name, self._scope.max_vaults)
        self._check_oracle(answers)
        wanted = [(owner, i) for owner, count in counts.items() for i in range(1, count + 1)]
        answers |= yield from ask(
            {("vault", *w): self._vault_call(*w) for w in wanted if ("vault", *w) not in answers}
        )
        vaults = tuple(vault_of(self.name, *w, answers["vault", *w][0]) for w in wanted)
        held = {address for vault in vaults for address in vault.otokens}
        fresh = sorted(held - self._options.keys() - set(self._scope.otokens))
        answers |= yield from ask(self._calls_of_options(fresh))
        self._learn(answers)
        expiries = {
            pair: self._expiry_call(*pair) for pair in self._expiries() if ("price", *pair) not in answers
        }
        answers |= yield from ask({("price", *pair): call for pair, call in expiries.items()})
        self._counts = counts
        self._refuse_strays(answers, held)
        return self._state(answers, vaults)

    def _first_calls(self) -> dict[Key, Call]:
        """Everything that doesn't depend on an answer of this tick."""
        scope = self._scope
        tokens = (*self._followers, self._at.strike_asset)
        calls: dict[Key, Call] = {
            ("count", owner): self._controller.call("getAccountVaultCounter", owner) for owner in scope.owners
        }
        calls["spot",] = self._oracle.call("getPrice", self._at.underlying, may_fail=True)
        if not self._oracle_checked:
            calls["oracle",] = self._controller.call("oracle", may_fail=True)
        for owner, count in self._counts.items():
            calls |= {("vault", owner, i): self._vault_call(owner, i) for i in range(1, count + 1)}
        for token in tokens:
            if token not in self._decimals:
                calls["decimals", token] = contract("erc20", token).call("decimals")
        for follower in scope.equivalents:
            if isinstance(follower.follows, Rate):
                calls["rate", follower.token] = follower.follows.call()
        if scope.wallet:
            calls |= {
                ("wallet", token, owner): contract("erc20", token).call("balanceOf", owner)
                for token in self._followers
                for owner in scope.owners
            }
        calls |= self._calls_of_options({*self._options, *scope.otokens})
        calls |= {("price", *pair): self._expiry_call(*pair) for pair in self._expiries()}
        return calls

    def _refuse_strays(self, answers: Answers, held: Set[str]) -> None:
        """DataError where a wallet holds a series that left the vaults: after a restart nobody would know it."""
        for address in self._options.keys() - held - set(self._scope.otokens):
            option = self._options[address]
            if option.underlying in self._scope.ignored:
                continue
            if not any(answers["balance", address, owner] for owner in self._scope.owners):
                continue
            raw, reported = answers["price", option.underlying, option.expiry]
            price = from_raw(raw, PRICE_DECIMALS)
            worthless = price <= option.strike if option.is_call else price >= option.strike
            if not (reported and worthless):
                raise DataError(
                    f"{self.name}: an owner's wallet holds options {address}, which no vault has any more: "
                    "name them in otokens"
                )

    def _calls_of_options(self, addresses: Iterable[str]) -> dict[Key, Call]:
        """The owners' balances of some series, and once what each of them is."""
        calls: dict[Key, Call] = {}
        for address in addresses:
            token = contract("gamma_otoken", address)
            if address not in self._options:
                calls["details", address] = token.call("getOtokenDetails")
                calls["decimals", address] = token.call("decimals")
            for owner in self._scope.owners:
                calls["balance", address, owner] = token.call("balanceOf", owner)
        return calls

    def _vault_call(self, owner: str, number: int) -> Call:
        return self._controller.call("getVaultWithDetails", owner, number)

    def _expiry_call(self, asset: str, expiry: int) -> Call:
        return self._oracle.call("getExpiryPrice", asset, expiry)

    def _expiries(self) -> set[tuple[str, int]]:
        """Every asset whose price settles an option, with the time."""
        counting = (o for o in self._options.values() if o.underlying not in self._scope.ignored)
        physical = self._scope.physical
        return {(asset, o.expiry) for o in counting for asset in settling_assets(o, physical=physical)}

    def _check_oracle(self, answers: Answers) -> None:
        """The controller's own oracle settles its vaults. A fork's controller may not say which it is."""
        theirs = answers.get(("oracle",))
        if theirs is not None and not isinstance(theirs, Reverted) and theirs != self._at.oracle:
            raise DataError(f"{self.name}: oracle is not the controller's, which is {theirs}")
        self._oracle_checked = True

    def _learn(self, answers: Answers) -> None:
        """Keeps what never changes: decimals, and what each series is."""
        for key, answer in answers.items():
            if key[0] == "details":
                option = otoken_of(self.name, key[1], answer, answers["decimals", key[1]])
                check_otoken(self.name, option, self._assets)
                self._options[key[1]] = option
            elif key[0] == "decimals" and ("details", key[1]) not in answers:
                self._decimals[key[1]] = checked_decimals(f"{self.name}: token {key[1]}", answer)

    def _spot(self, price: Any) -> Decimal | None:
        return None if isinstance(price, Reverted) or price == 0 else from_raw(price, PRICE_DECIMALS)

    def _state(self, answers: Answers, vaults: tuple[Vault, ...]) -> SourceState:
        spot = self._spot(answers["spot",])
        self._has_price = spot is not None
        prices = {(key[1], key[2]): tuple(answer) for key, answer in answers.items() if key[0] == "price"}
        options = {a: o for a, o in self._options.items() if o.underlying not in self._scope.ignored}
        settlements = {
            a: settlement_of(self.name, o, prices, physical=self._scope.physical) for a, o in options.items()
        }
        for address, option in options.items():
            at_expiry = settlements[address]
            check_strike(self.name, option, spot if at_expiry is None else at_expiry.underlying)
        counting = tuple(v for v in vaults if check_vault(self.name, v, self._options, self._assets))
        factors = {
            token: factor_of(self.name, follower, answers.get(("rate", token)))
            for token, follower in self._followers.items()
        }
        seen = Seen(
            source=self.name,
            physical=self._scope.physical,
            options=options,
            vaults=counting,
            settlements=settlements,
            balances={(k[1], k[2]): a for k, a in answers.items() if k[0] == "balance" and k[1] in options},
            wallets={(k[1], k[2]): a for k, a in answers.items() if k[0] == "wallet"},
            followers=tuple(
                Followed(follower.name, token, self._decimals[token], factors[token])
                for token, follower in self._followers.items()
            ),
        )
        positions, holdings, settled = told(seen)
        return SourceState(name=self.name, positions=positions, holdings=holdings, spot=spot, settled=settled)
