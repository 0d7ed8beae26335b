"""The whole file: TOML into frozen models. An unknown key, wrong type or missing secret is a ConfigError."""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from bot.config.books import BookConfig
from bot.config.chains import ChainConfig, SignerConfig
from bot.config.fields import FilePath, Model, NotNegative, Whole
from bot.config.keys import keys_at
from bot.config.limits import TotalLimitsConfig, check_gas
from bot.config.ops import AlertsConfig, MetricsConfig
from bot.errors import ConfigError
from bot.nearest import did_you_mean

UNIONS = ("signer", "policy", "vols", "venue")
"""Fields that are one of several kinds."""
LISTED_UNIONS = ("sources", "feeds")
"""Lists whose entries are one of several kinds."""


class Config(Model):
    """The whole file."""

    mode: Literal["paper", "live"] = "paper"
    """`"paper"` prepares, checks and records orders; `"live"` also sends them."""
    ledger: FilePath = Path("vaultkeel.db")
    """The SQLite file. On each chain (and local instance) it belongs to one account."""
    interval_s: Whole = 60
    """Seconds between two ticks of a book."""
    watch_s: NotNegative = Decimal(2)
    """Seconds between two looks at the price alone, which may wake a tick early; `"0"` never looks."""
    clock: Literal["system", "chain"] = "system"
    """Whose time ages are held against; `"chain"` is for forks and rehearsals."""
    stuck_after_s: Whole = 300
    """Seconds after which a tick is stuck: an alert, and `/live` fails."""
    alerts: AlertsConfig | None = None
    """Who is told what happens; without it nobody is."""
    metrics: MetricsConfig | None = None
    """Where metrics and health are served; without it nowhere."""
    chains: Annotated[dict[str, ChainConfig], Field(min_length=1)]
    """The chains, by the names that sources, venues and feeds call them."""
    signer: Annotated[SignerConfig, Field(discriminator="kind")]
    """The key that signs."""
    limits: TotalLimitsConfig = TotalLimitsConfig()
    """Budgets that all books share."""
    books: Annotated[tuple[BookConfig, ...], Field(min_length=1)]
    """The books: one for each market that is hedged in."""

    def book(self, name: str | None) -> BookConfig:
        """The book of that name, the first one for None. ConfigError where there is none."""
        for book in self.books:
            if name in (None, book.name):
                return book
        raise ConfigError(f"books: there is none called {name}{did_you_mean(str(name), self.names)}")

    @property
    def names(self) -> list[str]:
        """What the books are called."""
        return [book.name for book in self.books]

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        for book in self.books:
            for part in (*book.sources, book.venue, *book.feeds):
                if (part.chain or book.venue.chain) not in self.chains:
                    raise ValueError(f"{part.name}: chain {part.chain!r} is not under [chains]")
            if len({feed.name for feed in book.feeds}) < len(book.feeds):
                raise ValueError(f"book {book.name}: two feeds share a name")
            gas = self.chains[book.venue.chain].max_gas_usd
            check_gas(book.limits, f"book {book.name}", gas)
            check_gas(self.limits, "all books", gas)
            book.limits.check_within(self.limits, book.name)
        names = self.names
        markets = [(book.venue.chain, book.venue.market_address) for book in self.books]
        if len(set(names)) < len(names) or len(set(markets)) < len(markets):
            raise ValueError("two books share a name or a market of the venue")
        self._chains_are_told_apart()
        self._nothing_is_hedged_twice()
        traders = {(book.venue.chain, book.venue.trader) for book in self.books}
        if len(traders) > len({chain for chain, _ in traders}):
            raise ValueError(
                "the books of one chain trade for several accounts, whose positions one ledger can't tell apart"
            )
        takers = [
            (b.venue.chain, b.venue.router, b.venue.collateral_token)
            for b in self.books
            if b.venue.kind == "gmx"
        ]
        if len(set(takers)) < len(takers):
            raise ValueError(
                "two books bring the same collateral to one GMX router and would spend each other's allowance: "
                "give each a key of its own"
            )
        watchers: dict[tuple[str, str], str] = {}
        for book in self.books:
            if book.margin is not None:
                whose = (book.venue.chain, book.venue.taker_of_collateral)
                other = watchers.setdefault(whose, book.name)
                if other != book.name:
                    raise ValueError(
                        f"the books {other} and {book.name} watch the margin of one account: leave it to one of them"
                    )
        if self.mode == "live" and self.signer.kind == "watch":
            raise ValueError('mode "live" needs a signer that holds a key, not kind "watch"')
        return self

    def _nothing_is_hedged_twice(self) -> None:
        """ValueError where books that count the same hedge more than all of it together."""
        shares: dict[tuple[str, ...], dict[str, Decimal]] = {}
        for book in self.books:
            for counted in {one for source in book.sources for one in source.counts}:
                shares.setdefault(counted, {})[book.name] = book.target.hedge_ratio
        for counted, by_book in shares.items():
            if len(by_book) > 1 and sum(by_book.values()) > 1:
                both, share = " and ".join(by_book), sum(by_book.values())
                raise ValueError(
                    f"the books {both} count {' '.join(counted[1:])} and hedge {share:f} times its delta together: "
                    "lower their hedge_ratio, or let one book hedge it"
                )

    def _chains_are_told_apart(self) -> None:
        """ValueError where two names are one chain, or what belongs to one chain is asked of several."""
        names: dict[int, str] = {}
        for name, chain in self.chains.items():
            other = names.setdefault(chain.chain_id, name)
            if other != name:
                raise ValueError(
                    f"the chains {other} and {name} have one chain_id, {chain.chain_id}: an account there would "
                    "have two names"
                )
        traded_on = {book.venue.chain for book in self.books}
        if self.clock == "chain" and len(traded_on) > 1:
            raise ValueError("clock \"chain\" is one chain's: books that trade on several need the system's")
        for book in self.books:
            timed = [book.venue] if book.venue.kind in ("gmx", "hyperliquid") else []
            for part in (*timed, *(source for source in book.sources if source.kind == "declared")):
                where = part.chain or book.venue.chain
                if not self.chains[where].multicall:
                    raise ValueError(
                        f"{part.name}: chains.{where}.multicall is empty, but it is asked for the block's time"
                    )


def load_config(path: Path, *, secrets: bool = True) -> Config:
    """The configuration of a file, its relative paths taken from the file's folder. ConfigError in one line.

    Without `secrets` none is read: where a value is one, its name ("env:NAME", "file:PATH") stands in for it.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from None
    return checked(document, path, secrets=secrets)


def checked(document: Mapping[str, Any], path: Path, *, secrets: bool = True) -> Config:
    """The same from the file's content, as `tomllib` reads it."""
    try:
        return Config.model_validate(document, context={"folder": path.resolve().parent, "secrets": secrets})
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {explain(error)}") from None


def explain(error: ValidationError, model: type[BaseModel] = Config) -> str:
    """The first mistake with its field, in one line, without the value that was given.

    Where it is a key of `model` that isn't known, or a kind, the nearest one is named.
    """
    found = error.errors(include_input=False, include_url=False, include_context=False)
    # A list of books with a mistake in one counts as too short, too.
    mistakes = [mistake for mistake in found if mistake["type"] != "too_short"] or found
    # A misspelt key makes the right one missing, too: what is misspelt is the mistake.
    strangers = {mistake["loc"][:-1] for mistake in mistakes if mistake["type"] == "extra_forbidden"}
    first = next(each for each in mistakes if each["type"] != "missing" or each["loc"][:-1] not in strangers)
    path = [str(part) for part in first["loc"]]
    # pydantic puts the kind between a union and its field.
    where = [
        part
        for i, part in enumerate(path)
        if (i == 0 or path[i - 1] not in UNIONS) and (i < 2 or path[i - 2] not in LISTED_UNIONS)
    ]
    where += ["kind"] if first["type"].startswith("union_tag") else []
    field = ".".join(where) or "the file"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = f"this key is not known{did_you_mean(path[-1], keys_at(model, path[:-1]))}"
    if first["type"] == "union_tag_invalid":
        given, *kinds = re.findall(r"'([^']*)'", first["msg"].replace("using 'kind'", ""))
        message += did_you_mean(given, kinds)
    more = f" (and {len(mistakes) - 1} more)" if len(mistakes) > 1 else ""
    return f"{field}: {message}{more}"
