"""What orders may use up in an hour and a day, of one book and of all together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from bot.core.model import Hold, Intent, Snapshot, Spent
from bot.core.orders import Cap, reserve_usd

TOTAL = "TOTAL_"
"""Begins the codes of what all books share."""

BUDGET_CODES = (
    "TRADES_HOUR",
    "TRADES_DAY",
    "TURNOVER_HOUR",
    "TURNOVER_DAY",
    "DAILY_FEES",
    "DAILY_GAS",
    "DAILY_LOSS",
)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most of each in a rolling hour or day, None for no limit. Money in USD."""

    max_trades_hour: int | None = None
    max_trades_day: int | None = None
    max_turnover_hour_usd: Decimal | None = None
    max_turnover_day_usd: Decimal | None = None
    max_fees_day_usd: Decimal | None = None
    max_gas_day_usd: Decimal | None = None
    max_loss_day_usd: Decimal | None = None


NO_BUDGETS = Budgets()


@dataclass(frozen=True, slots=True)
class Account:
    """What `whose` orders have used and may use; its holds' codes begin with `prefix`."""

    prefix: str
    whose: str
    spent: Spent
    budgets: Budgets


@dataclass(frozen=True, slots=True)
class Use:
    """How much is used of a budget that `name`, its key in the configuration, allows `whose` orders. Money in USD."""

    whose: str
    name: str
    used: Decimal
    allowed: Decimal

    @property
    def left(self) -> Decimal:
        """What may still be used, 0 where it is passed."""
        return max(self.allowed - self.used, Decimal(0))


def uses(account: Account) -> list[Use]:
    """Every budget of an account that is configured. A budget is called max_ and the name of what is spent."""
    found = []
    for name in Budgets.__slots__:
        most, used = getattr(account.budgets, name), getattr(account.spent, name.removeprefix("max_"))
        if most is not None:
            found.append(Use(account.whose, name, Decimal(used), Decimal(most)))
    return found


def accounts(snapshot: Snapshot, of_book: Budgets, in_all: Budgets) -> tuple[Account, Account]:
    """The book's own and the one of all books."""
    return (
        Account("", f"book {snapshot.book}", snapshot.spent, of_book),
        Account(TOTAL, "all books", snapshot.spent_in_all, in_all),
    )


def reserved(spent: Spent, open_orders: Sequence[Intent], fee_ratio: Decimal, gas_usd: Decimal) -> Spent:
    """`spent` with orders that may still be executed, each in full, with its fee and `gas_usd` of gas."""
    worth = sum((reserve_usd(o.size, o.price_bound, o.reference_price) for o in open_orders), Decimal(0))
    return replace(
        spent,
        trades_hour=spent.trades_hour + len(open_orders),
        trades_day=spent.trades_day + len(open_orders),
        turnover_hour_usd=spent.turnover_hour_usd + worth,
        turnover_day_usd=spent.turnover_day_usd + worth,
        fees_day_usd=spent.fees_day_usd + worth * fee_ratio,
        gas_day_usd=spent.gas_day_usd + gas_usd * len(open_orders),
    )


def turnover_caps(account: Account, unit_usd: Decimal) -> list[Cap]:
    """The largest orders that leave the turnover within its budgets, a unit counted at `unit_usd`."""
    spent, budgets = account.spent, account.budgets
    rows = (
        ("HOUR", "hour", spent.turnover_hour_usd, budgets.max_turnover_hour_usd),
        ("DAY", "day", spent.turnover_day_usd, budgets.max_turnover_day_usd),
    )
    return [
        Cap(
            f"{account.prefix}TURNOVER_{code}",
            f"the {word}'s turnover of {account.whose}, {used:.2f} USD of {limit:f}",
            max(limit - used, Decimal(0)) / unit_usd,
        )
        for code, word, used, limit in rows
        if limit is not None
    ]


def used_up(account: Account, fee_usd: Decimal, gas_usd: Decimal) -> Hold | None:
    """A Hold where one order more, with this fee and at most this gas, would pass a budget that no cut could keep."""
    spent, budgets, whose = account.spent, account.budgets, account.whose
    for code, word, used, most in (
        ("TRADES_HOUR", "hour", spent.trades_hour, budgets.max_trades_hour),
        ("TRADES_DAY", "day", spent.trades_day, budgets.max_trades_day),
    ):
        if most is not None and used + 1 > most:
            text = f"{whose}: {used} orders in the last {word}, the limit is {most}"
            return Hold(account.prefix + code, text)
    for code, word, paid, more, limit in (
        ("DAILY_FEES", "fees", spent.fees_day_usd, fee_usd, budgets.max_fees_day_usd),
        ("DAILY_GAS", "gas", spent.gas_day_usd, gas_usd, budgets.max_gas_day_usd),
    ):
        if limit is not None and paid + more > limit:
            text = (
                f"{whose}: {paid:.2f} USD of {word} in the last day and at most {more:.2f} for this order, "
                f"the limit is {limit:f}"
            )
            return Hold(account.prefix + code, text)
    return None


def lost(account: Account) -> Hold | None:
    """A Hold where the last day's loss is above its budget."""
    limit = account.budgets.max_loss_day_usd
    if limit is None or account.spent.loss_day_usd <= limit:
        return None
    text = (
        f"{account.whose}: {account.spent.loss_day_usd:.2f} USD lost in the last day, the limit is {limit:f}"
    )
    return Hold(f"{account.prefix}DAILY_LOSS", text)
