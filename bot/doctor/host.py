"""What lies on this computer: the ledger and the mode in it, alerts and metrics. Reads, and writes nothing."""

from collections.abc import Iterator, Mapping

from bot.config import Config
from bot.core.accounts import Account
from bot.core.model import Mode
from bot.doctor.findings import Finding, fails, isolated, passes, warns
from bot.errors import ConfigError
from bot.ledger.look import is_traded_with, look_at
from bot.ledger.store import SqlLedger
from bot.ops.alerts import sender_of


def host_findings(config: Config, signer: str, bound: Mapping[str, str | None]) -> list[Finding]:
    """All of it. `bound` is whom the ledger must belong to on each chain, None where no book trades.

    `signer` is "", and `bound` empty, where the signer is not known.
    """
    return [
        *isolated("ledger", lambda: ledger(config, signer, bound)),
        *isolated("alerts", lambda: alerts(config)),
        *isolated("metrics", lambda: metrics(config)),
    ]


def ledger(config: Config, signer: str, bound: Mapping[str, str | None]) -> Iterator[Finding]:
    """Whether it can be used by this configuration, and the mode that it holds."""
    path = config.ledger
    if not path.exists():
        if not path.parent.is_dir():
            yield warns("ledger", f"{path} is not there, nor is its folder", "the first run makes both")
        else:
            yield passes("ledger", f"{path} is not there yet: the first run makes it")
        yield mode(config, Mode.ACTIVE, "")
        return
    try:
        found = look_at(path)
    except ConfigError as error:
        yield fails("ledger", str(error), "give this configuration a ledger of its own, or restore a copy")
        return
    try:
        wrong = list(foreign(config, found, bound))
        yield from wrong
        if not wrong:
            yield passes("ledger", f"{path} belongs to this account")
        if is_traded_with(path):
            yield passes("lock", "a run trades with it now")
        else:
            yield passes("lock", "no run trades with it now")
        for chain in dict.fromkeys(book.venue.chain for book in config.books if signer):
            account = Account(signer, config.chains[chain].chain_id, chain)
            yield mode(config, *found.mode_and_why(account.id), f" on {chain}" if several(config) else "")
            yield from orders(found, account)
    finally:
        found.close()


def several(config: Config) -> bool:
    """Whether books trade on several chains, so that what is said must name one."""
    return len({book.venue.chain for book in config.books}) > 1


def foreign(config: Config, found: SqlLedger, bound: Mapping[str, str | None]) -> Iterator[Finding]:
    """What in the ledger belongs to another chain, instance or account."""
    for name, chain_id, instance, account in found.bindings():
        chain = config.chains.get(name)
        if chain is None:
            continue
        ours = (chain.chain_id, chain.instance, (account and bound.get(name)) or account)
        if (chain_id, instance, account) != ours:
            said = f"it belongs to chain {chain_id} and account {account}, this configuration to others"
            yield fails("ledger", said, "give this configuration a ledger of its own")


def mode(config: Config, found: Mode, why: str, where: str = "") -> Finding:
    """Paper or live, and what the account may do. `where` tells it from other chains' accounts."""
    said = f"{config.mode}, {found.value}{where}" + (f": {why}" if why else "")
    if found is Mode.ACTIVE:
        return passes("mode", said)
    return warns("mode", said, "find out why, then `vaultkeel resume`")


def orders(found: SqlLedger, account: Account) -> Iterator[Finding]:
    """Orders without an outcome."""
    waiting = found.open_intents(account.id)
    if waiting:
        keys = ", ".join(order.intent.key for order in waiting)
        yield warns("orders", f"without an outcome: {keys}", "`vaultkeel intents --open`, then `resolve`")


def alerts(config: Config) -> Iterator[Finding]:
    """Whether somebody is told, and every channel can be used. Sends nothing."""
    if config.alerts is None:
        yield warns(
            "alerts", "nobody is told when something goes wrong", "add [alerts]: docs/configuration.md"
        )
        return
    for channel in config.alerts.channels:
        check = f"alerts {channel.name}"
        try:
            sender_of(channel, config.alerts.name)
        except ConfigError as error:
            yield fails(check, str(error), "mend the channel, or install what it needs")
        else:
            yield passes(check, f"from {channel.least} on; `vaultkeel alerts test` sends a message")


def metrics(config: Config) -> Iterator[Finding]:
    """Where they are served."""
    if config.metrics is None:
        yield passes("metrics", "not served")
    elif config.metrics.exposed:
        said = f"served at {config.metrics.listen} to other computers too"
        yield warns("metrics", said, "let a firewall keep all but Prometheus away")
    else:
        yield passes("metrics", f"served at {config.metrics.listen} while a run lasts")
