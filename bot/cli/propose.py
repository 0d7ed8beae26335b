"""`vaultkeel propose`: what the hot key may not do, written for the owners of a Safe. Signs and sends nothing."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Group, RenderableType
from rich.text import Text

from bot.app.chains import make_client
from bot.app.signers import make_signer
from bot.chain.client import Client, RevertError
from bot.chain.contracts import contract
from bot.chain.reads import drive
from bot.cli.shared import DEFAULT_CONFIG, ConfigFile, Json, amount, show
from bot.config import Config, load_config
from bot.config.books import BookConfig
from bot.config.fields import Address
from bot.config.venues import CurieConfig
from bot.core.model import BlockRef
from bot.errors import ConfigError, OrderRejected
from bot.log import set_up_logs
from bot.ports import Reader, Reverted
from bot.safe import Proposal, batch_file
from bot.venues.curie_custody import CurieCustody

app = typer.Typer(
    help="Writes what the key may not do as a file for the owners of a Safe, who import it and sign.",
    no_args_is_help=True,
)

Safe = Annotated[str, typer.Option("--safe", help="The Safe whose owners are to sign.")]
Out = Annotated[Path, typer.Option("--out", help="The file to write; it must not be there yet.")]
Book = Annotated[
    str | None, typer.Option("--book", help="At this book's venue; the first one's if not given.")
]
Delegate = Annotated[
    str | None, typer.Option("--delegate", help="Another key than the configuration's signer.")
]


@app.command()
def deposit(
    usd: Annotated[str, typer.Argument(metavar="AMOUNT", help="Of the venue's settlement token.")],
    safe: Safe,
    out: Out,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    as_json: Json = False,
) -> None:
    """Collateral from the Safe to the traded account."""
    here = opened(config, book, safe, as_json=as_json)
    here.write(here.custody().deposit(here.safe, amount(usd)), out, as_json=as_json)


@app.command()
def withdraw(
    usd: Annotated[str, typer.Argument(metavar="AMOUNT", help="Of the venue's settlement token.")],
    safe: Safe,
    out: Out,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    as_json: Json = False,
) -> None:
    """Free collateral back to the Safe, whose account it is."""
    here = opened(config, book, safe, as_json=as_json)
    here.write(here.custody().withdraw(here.safe, amount(usd)), out, as_json=as_json)


@app.command()
def approve_delegate(
    safe: Safe,
    out: Out,
    delegate: Delegate = None,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    as_json: Json = False,
) -> None:
    """Lets the key trade for the Safe; it can't withdraw."""
    here = opened(config, book, safe, as_json=as_json)
    here.write(here.custody().approve(here.safe, here.delegate(delegate)), out, as_json=as_json)


@app.command()
def revoke_delegate(
    safe: Safe,
    out: Out,
    delegate: Delegate = None,
    config: ConfigFile = DEFAULT_CONFIG,
    book: Book = None,
    as_json: Json = False,
) -> None:
    """Stops the key from trading for the Safe."""
    here = opened(config, book, safe, as_json=as_json)
    here.write(here.custody().revoke(here.safe, here.delegate(delegate)), out, as_json=as_json)


class Account:
    """The account that a book trades, as the owners of a Safe decide about it."""

    def __init__(self, config: Config, book: BookConfig, safe: str) -> None:
        if not isinstance(book.venue, CurieConfig):
            raise ConfigError(
                f"{book.venue.name}: what owners propose is written for Curie's vault and delegates alone"
            )
        self._config = config
        self._venue = book.venue
        self.safe = safe

    def delegate(self, given: str | None) -> str:
        """The key that is meant: the one given, else the configured signer's."""
        return parsed("--delegate", given) if given else make_signer(self._config, signs=False).address

    def custody(self) -> CurieCustody:
        """The account that is traded."""
        venue = self._venue
        account = venue.trader or make_signer(self._config, signs=False).address
        approvals = venue.delegate_approval
        return CurieCustody(
            account,
            contract("curie_vault", venue.vault),
            None if approvals is None else contract("curie_delegate_approval", approvals),
        )

    def write(self, reader: Reader[Proposal], out: Path, *, as_json: bool) -> None:
        """Checks the proposal on the chain, writes it and shows it."""
        name = self._venue.chain
        chain = self._config.chains[name]
        client = make_client(name, chain)
        head = self._opening(client, chain.chain_id)
        multicall = contract("multicall3", chain.multicall) if chain.multicall else None
        proposal, (needed, owners) = drive(
            client, multicall, head, [reader, signatures(self.safe)], chain.call_gas
        )
        self._try_first(client, proposal)
        batch = batch_file(proposal, chain.chain_id, self.safe, int(time.time() * 1000))
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(json.dumps(batch, indent=2) + "\n")
        except OSError as error:
            raise ConfigError(f"--out: {out} can't be written: {error.strerror}") from None
        steps = [step.in_words() for step in proposal.steps]
        shown = {
            "file": str(out),
            "safe": self.safe,
            "chain_id": chain.chain_id,
            "name": proposal.name,
            "steps": steps,
            "signatures": needed,
            "owners": owners,
        }
        show(shown, view(out, proposal, f"{needed} of {owners}"), as_json=as_json)

    def _opening(self, client: Client, chain_id: int) -> BlockRef:
        """The head of the configured chain, with contracts at every address that is named."""
        venue = self._venue
        named = {"--safe": self.safe, f"{venue.name}.vault": venue.vault}
        if venue.delegate_approval is not None:
            named[f"{venue.name}.delegate_approval"] = venue.delegate_approval
        theirs, head, has_code = client.opening(list(named.values()))
        if theirs != chain_id:
            raise ConfigError(f"chains.{venue.chain}.chain_id is {chain_id}, the node's is {theirs}")
        for field, address in named.items():
            if not has_code[address]:
                raise ConfigError(f"{field}: there is no contract at {address} on {venue.chain}")
        return head

    def _try_first(self, client: Client, proposal: Proposal) -> None:
        """Runs the first step from the Safe without sending it, for the chain to refuse it before owners sign."""
        step = proposal.steps[0]
        try:
            client.preflight(self.safe, step.call)
        except RevertError as error:
            reason = step.contract.abi.explain(error.data)
            raise OrderRejected(f"{step.in_words()} would revert: {reason}") from None


def opened(path: Path, book: str | None, safe: str, *, as_json: bool) -> Account:
    """The account of a configuration's book. Opens no ledger: a run that holds it is not disturbed."""
    set_up_logs(as_json=as_json, level="warning")
    config = load_config(path)
    return Account(config, config.book(book), parsed("--safe", safe))


def signatures(safe: str) -> Reader[tuple[int, int]]:
    """How many of how many owners must sign. ConfigError where the contract is no Safe."""
    asked = contract("safe_multisig", safe)
    needed, owners = yield [
        asked.call("getThreshold", may_fail=True),
        asked.call("getOwners", may_fail=True),
    ]
    if isinstance(needed, Reverted) or isinstance(owners, Reverted):
        raise ConfigError(f"--safe: the contract at {safe} is no Safe")
    return needed, len(owners)


def parsed(option: str, address: str) -> str:
    """An address of the command line, with its checksum."""
    try:
        return TypeAdapter[str](Address).validate_python(address)
    except ValidationError as error:
        raise ConfigError(f"{option}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def view(out: Path, proposal: Proposal, signers: str) -> RenderableType:
    """What was written, step by step, and what its owners do with it."""
    lines = [Text(f"{proposal.name}: {proposal.why}", style="bold")]
    lines += [Text(f"{place}. {step.in_words()}") for place, step in enumerate(proposal.steps, start=1)]
    lines.append(
        Text(
            f"{out} is for Safe's transaction builder: an owner imports it, compares these lines, and {signers} "
            "owners sign"
        )
    )
    return Group(*lines)
