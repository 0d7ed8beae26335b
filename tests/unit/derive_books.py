"""Derive's answers from plain values, for readers that are driven by lists."""

import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from builders import NOW, WEEK, address

from bot.core.model import SourceState
from bot.core.units import to_raw
from bot.options.derive import DeriveRules, DeriveSource
from bot.options.derive_ids import OptionId, encode_sub_id
from bot.options.derive_market import DeriveAddresses
from bot.ports import Call, Reverted

AT = DeriveAddresses(
    sub_accounts=address(70),
    option_asset=address(71),
    spot_feed=address(72),
    forward_feed=address(73),
    cash_asset=address(74),
    vol_feed=address(75),
    rate_feed=address(76),
    perp_asset=address(77),
    base_asset=address(78),
)
MANAGER = address(79)
STRANGER = address(80)
NOBODY = address(0)
RULES = DeriveRules(min_confidence=Decimal("0.55"), averaging_s=1800)
SPOT = Decimal(3000)
EXPIRY = NOW + 4 * WEEK
CALL = OptionId(EXPIRY, Decimal(3000), is_call=True)
ONE = 10**18


def smile(strike: float, expiry: int = EXPIRY) -> float:
    """The feed's vol: 80 % at 3000, 10 points less per unit of ln(strike), 5 points less per expiry after the first."""
    return 0.8 - 0.1 * math.log(strike / 3000) - 0.05 * (expiry - EXPIRY) / WEEK


def entry(asset: str, size: str, sub_id: int = 0) -> dict[str, Any]:
    """One balance as the contract answers it."""
    return {"asset": asset, "subId": sub_id, "balance": to_raw(Decimal(size), 18)}


def option_entry(option: OptionId, size: str) -> dict[str, Any]:
    """One option's balance."""
    return entry(AT.option_asset, size, encode_sub_id(option))


class FakeDerive:
    """Answers whatever a source asks, of each call by its function's name; `says` replaces answers by that name."""

    def __init__(
        self, accounts: Mapping[int, Sequence[dict[str, Any]]], says: Mapping[str, Any] | None = None
    ):
        self.accounts = accounts
        self.says = dict(says or {})
        self.rounds: list[list[Call]] = []

    def read(self, source: DeriveSource) -> SourceState:
        """What the source makes of it."""
        reader = source.read()
        asked = next(reader)
        while True:
            calls = [call for call in asked if isinstance(call, Call)]
            self.rounds.append(calls)
            try:
                asked = reader.send([self.answer(call) for call in calls])
            except StopIteration as stop:
                state: SourceState = stop.value
                return state

    def answer(self, call: Call) -> Any:
        """One call's answer. A revert of a call that must not fail would stop the tick: the test says so."""
        name = call.name.split(".")[1].split(" ")[0]
        words = [int.from_bytes(call.data[at : at + 32], "big") for at in range(4, len(call.data), 32)]
        told = self.says.get(name, getattr(self, "_" + re.sub("(?=[A-Z])", "_", name).lower()))
        answer = told(*words) if callable(told) else told
        if isinstance(answer, Reverted):
            assert call.may_fail, f"{call.name} must not fail"
        return answer

    def _get_spot(self) -> list[int]:
        return [to_raw(SPOT, 18), ONE]

    def _get_account_balances(self, account: int) -> Sequence[dict[str, Any]]:
        return self.accounts.get(account, ())

    def _manager(self, account: int) -> str:
        return MANAGER if account in self.accounts else NOBODY

    def _get_settlement_price(self, _expiry: int) -> list[Any]:
        return [False, 0]

    def _get_forward_price(self, _expiry: int) -> list[int]:
        return [3030 * ONE, ONE]

    def _get_interest_rate(self, _expiry: int) -> list[int]:
        return [ONE * 4 // 100, ONE]

    def _get_vol(self, strike: int, expiry: int) -> list[int]:
        return [int(smile(strike / ONE, expiry) * ONE), ONE]

    def _get_margin_and_mark_to_market(self, account: int, _initial: int, _scenario: int) -> list[int]:
        return [0, account * 1000 * ONE]


def derive(*accounts: int, at: DeriveAddresses = AT, rules: DeriveRules = RULES) -> DeriveSource:
    """A source of these subaccounts, the first where none is named."""
    return DeriveSource("derive-eth", "derive", accounts or (1,), at, rules)
