"""`vaultkeel doctor`: everything that a run rests on, examined one by one. It signs, sends and writes nothing."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from bot.app import bound_account
from bot.app.signers import make_signer
from bot.config import load_config
from bot.core.model import VenueState
from bot.doctor.books import Patient, book_findings
from bot.doctor.chains import chain_findings
from bot.doctor.findings import Finding, State, failed_by, isolated, passes, warns
from bot.doctor.host import host_findings
from bot.doctor.hyperliquid import hyperliquid_findings
from bot.errors import ConfigError, VaultkeelError
from bot.render import plain_table

COLOURS = {State.PASS: "green", State.WARN: "yellow", State.FAIL: "bold red"}


def examine(path: Path) -> list[Finding]:
    """Every finding about a configuration file, in the order in which a run would meet them."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return [failed_by("configuration", error)]
    found = [passes("configuration", f"{path.name} is right")]
    signer = ""
    bound: dict[str, str | None] = {}
    try:
        key = make_signer(config, signs=False)
        signer = key.address
        bound = {name: bound_account(config, key, name) for name in config.chains}
        said = f"{config.signer.kind} of {signer}"
        remote = config.signer.kind in ("web3signer", "aws_kms")
        if config.signer.kind == "key":
            found.append(
                warns("signer", f"{said}: it lies in the clear", "keep it elsewhere: docs/custody.md")
            )
        else:
            more = "; `vaultkeel key address` asks it to sign" if remote else ""
            found.append(passes("signer", f"{said}{more}"))
    except VaultkeelError as error:
        found.append(failed_by("signer", error))
    for name, chain in config.chains.items():
        found += isolated(name, partial(chain_findings, name, chain))
    if signer:
        for book in config.books:
            patient = Patient(config, book, signer)
            found += isolated(book.name, partial(book_findings, patient))
            seen = patient.states.get(book.venue.name)
            if isinstance(seen, VenueState):
                found += hyperliquid_findings(patient, seen)
    return found + host_findings(config, signer, bound)


def doctor_json(found: Sequence[Finding]) -> dict[str, Any]:
    """The findings for machines, with how many there are of each state."""
    return {
        "counts": {state.value: sum(one.state is state for one in found) for state in State},
        "checks": [
            {"check": one.check, "state": one.state.value, "text": one.text, "remedy": one.remedy}
            for one in found
        ],
    }


def doctor_view(found: Sequence[Finding]) -> RenderableType:
    """The findings in a table, each with its remedy."""
    counts = doctor_json(found)["counts"]
    summary = ", ".join(f"{number} {state}" for state, number in counts.items())
    table = plain_table(f"{len(found)} checks: {summary}")
    table.add_column("check", overflow="fold")
    table.add_column("")
    table.add_column("finding, and what to do", overflow="fold")
    for one in found:
        said = Text(one.text)
        if one.remedy:
            said.append(f"\n→ {one.remedy}", style="italic")
        table.add_row(Text(one.check), Text(one.state.value, style=COLOURS[one.state]), said)
    return table
