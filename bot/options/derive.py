"""Derive (Lyra v2): one or several subaccounts as an option vault.

A subaccount's balances are options, a perpetual, cash and wrapped tokens. Vols, forwards and spot are Derive's own
feeds. All amounts have 18 decimals.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from bot.chain.contracts import contract
from bot.core.model import Holding, OptionPosition, SourceState
from bot.core.units import from_raw
from bot.errors import DataError
from bot.options.derive_ids import OptionId, decode_sub_id
from bot.options.derive_market import DECIMALS, DeriveAddresses, DeriveMarket, Quote
from bot.ports import Call, Reader, Reverted

NOBODY = "0x" + "0" * 40


@dataclass(frozen=True, slots=True)
class DeriveRules:
    """How one source reads: `averaging_s` is the window before expiry whose average price settles an option.

    Assets in `ignored` may be held and don't count. Feeds below `min_confidence` are not believed. Where `marks` is
    set, each subaccount's manager is asked what the account is worth.
    """

    min_confidence: Decimal
    averaging_s: int
    ignored: tuple[str, ...] = ()
    marks: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """What the subaccounts hold together, in units of the underlying, long positive."""

    options: Mapping[OptionId, Decimal]
    perp: Decimal
    base: Decimal


class DeriveSource:
    """Reads subaccounts in two rounds, however many options they hold."""

    def __init__(
        self, name: str, chain: str, accounts: Sequence[int], addresses: DeriveAddresses, rules: DeriveRules
    ) -> None:
        self.name = name
        self.chain = chain
        self._accounts = tuple(accounts)
        self._at = addresses
        self._rules = rules
        self._market = DeriveMarket(addresses, rules.min_confidence)
        self._ledger = contract("derive_sub_accounts", addresses.sub_accounts)

    def contracts(self) -> dict[str, str]:
        """Addresses that must hold code, by the name of their configuration field."""
        return self._at.given()

    def read(self) -> Reader[SourceState]:
        """The subaccounts' state. DataError for an asset that the source wasn't told of, or a spot that is none.

        Round one asks the balances and the spot, round two the feeds and the managers' marks. What a live option
        lacks is told with its position (`OptionPosition.unread`): here nobody knows the time, so a feed that has
        nothing on an option which has expired is no fault.
        """
        spot_answer, *answers = yield [
            self._market.spot_call(may_fail=True),
            *(self._ledger.call("getAccountBalances", account) for account in self._accounts),
            *(self._ledger.call("manager", account) for account in self._accounts),
        ]
        spot = self._spot(spot_answer)
        count = len(self._accounts)
        held = self._held(answers[:count])
        managers = dict(zip(self._accounts, answers[count:], strict=True))
        for account, manager in managers.items():
            if manager == NOBODY:
                raise DataError(f"{self.name}: there is no subaccount {account}")
        questions = self._market.questions(held.options, spot)
        marks = (
            [self._mark_call(account, at) for account, at in managers.items()] if self._rules.marks else []
        )
        told = yield [*questions.values(), *marks]
        found = dict(zip(questions, told[: len(questions)], strict=True))
        quotes = {option: self._market.quote(option, spot, found) for option in sorted(held.options)}
        return SourceState(
            name=self.name,
            positions=tuple(
                self._position(option, held.options[option], quote)
                for option, quote in quotes.items()
                if not quote.settled
            ),
            holdings=self._holdings(held),
            spot=spot,
            rate=next((q.rate for q in reversed(list(quotes.values())) if q.rate is not None), 0.0),
            nav_usd=self._nav(told[len(questions) :]),
            settled=sum(quote.settled for quote in quotes.values()),
        )

    def watch(self) -> Reader[Decimal | None]:
        """The spot alone."""
        (answer,) = yield [self._market.spot_call()]
        return self._spot(answer)

    def _spot(self, answer: Any) -> Decimal:
        told = self._market.told("spot_feed", answer)
        if told.value is None:
            raise DataError(f"{self.name}: {told.why_not}")
        if told.value <= 0:
            raise DataError(f"{self.name}: spot_feed answers 0, which is no price")
        return told.value

    def _held(self, accounts: Sequence[Sequence[Mapping[str, Any]]]) -> Held:
        """All subaccounts together. DataError for an asset that is none of the market's and not ignored either."""
        options: dict[OptionId, Decimal] = defaultdict(Decimal)
        plain: dict[str, Decimal] = defaultdict(Decimal)
        kinds = {
            address.lower(): field for field, address in self._at.given().items() if field.endswith("_asset")
        } | {address.lower(): "ignored" for address in self._rules.ignored}
        for account, balances in zip(self._accounts, accounts, strict=True):
            for entry in balances:
                size, sub_id = from_raw(entry["balance"], DECIMALS), entry["subId"]
                kind = kinds.get(entry["asset"].lower())
                if size == 0 or kind == "ignored":
                    continue
                if kind is None:
                    raise DataError(
                        f"{self.name}: subaccount {account} holds {size.normalize():f} of asset {entry['asset']} "
                        f"(subId {sub_id}), which is none of this market's: name it, or list it in ignored_assets"
                    )
                if kind == "option_asset":
                    options[self._option(account, sub_id)] += size
                elif sub_id:
                    raise DataError(f"{self.name}: subaccount {account} holds subId {sub_id} of its {kind}")
                else:
                    plain[kind] += size
        live = {option: size for option, size in options.items() if size}
        return Held(live, plain["perp_asset"], plain["base_asset"])

    def _option(self, account: int, sub_id: int) -> OptionId:
        try:
            return decode_sub_id(sub_id)
        except ValueError as error:
            raise DataError(f"{self.name}: subaccount {account}: {error}") from None

    def _position(self, option: OptionId, size: Decimal, quote: Quote) -> OptionPosition:
        return OptionPosition(
            source=self.name,
            instrument=option.instrument,
            is_call=option.is_call,
            strike=option.strike,
            expiry=option.expiry,
            size=size,
            vol=quote.vol,
            slope=quote.slope,
            money_vol=quote.money_vol,
            averaging_s=self._rules.averaging_s,
            carry=quote.carry,
            unread=quote.unread,
        )

    def _holdings(self, held: Held) -> tuple[Holding, ...]:
        found = (
            Holding(self.name, "the subaccounts' perpetual", held.perp, is_spot=False),
            Holding(self.name, "base held by the subaccounts", held.base),
        )
        return tuple(holding for holding in found if holding.size)

    def _mark_call(self, account: int, manager: str) -> Call:
        # The maintenance margin, and of the scenarios the first: the mark beside them is the same for all.
        asked = "getMarginAndMarkToMarket", account, False, 0
        return contract("derive_manager", manager).call(*asked, may_fail=True)

    def _nav(self, answers: Sequence[Any]) -> Decimal | None:
        """The managers' own marks in USD, together; None where one of them has none, or isn't asked."""
        if not answers or any(isinstance(answer, Reverted) for answer in answers):
            return None
        return sum((from_raw(mark, DECIMALS) for _, mark in answers), Decimal(0))
